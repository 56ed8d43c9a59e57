//! Pages to read, with no code in them: choosing, coming from other maps, guarantees, ordering, limits.
//!
//! - [`choosing`]: which structure, which operation, which hasher, and what to do with data that is
//!   not `Copy`.
//! - [`coming_from`]: what the calls of dashmap, papaya, scc and a locked `HashMap` are called here.
//! - [`guarantees`]: what holds when threads, interrupts, panics and failing allocations meet.
//! - [`ordering`]: what one thread sees of another's writes, and the labelled pairs that make it so.
//! - [`limits`]: what the structures cannot do, and where each limit comes from.
//!
//! How the code is laid out and proved is in `ARCHITECTURE.md`, at the root of the repository.

pub mod choosing;
pub mod coming_from;
pub mod guarantees;
pub mod limits;
pub mod ordering;
