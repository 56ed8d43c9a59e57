//! Values in less memory than they take.
//!
//! So far only the ways to compress them: [`codec`].

pub mod codec;
