//! The database over gRPC: single operations, batches, streams of them, walks and watches, beside the standard health
//! and reflection services. `hedgerow.proto` describes it; [`api`] is made of that.
//!
//! Threads of its own serve it, which share the database with those of the RESP server.

mod bounds;
pub(crate) mod codec;
mod server;
mod service;

#[expect(missing_docs, clippy::pedantic, clippy::allow_attributes, reason = "made by a machine")]
#[rustfmt::skip]
#[path = "generated.rs"]
pub mod api;

pub use crate::config::GrpcOptions;
pub use server::GrpcServer;
