//! Pages to read, with no code in them: choosing, coming from other maps, guarantees, ordering, limits and more.
//!
//! - [`api`]: every operation of every map, with what it returns, in one table.
//! - [`choosing`]: which structure, which operation, which hasher, and what to do with data that is
//!   not `Copy`.
//! - [`left_right_or_flat`]: one writer who publishes, or many who write at once; readers that get stuck.
//! - [`coming_from`]: what the calls of dashmap, papaya, scc, crossbeam-skiplist, evmap, left-right, flashmap, arc-swap
//!   and a locked `HashMap` are called here; what differs though it compiles; values that are changed in place.
//! - [`computing_once`]: one thread or task computes what many ask for; maps in async code.
//! - [`guarantees`]: what holds when threads, interrupts, panics and failing allocations meet.
//! - [`ordering`]: what one thread sees of another's writes, and the labelled pairs that make it so.
//! - [`compressing`]: which budget and which codec a compressed map needs, with a picture.
//! - [`moving_load`]: how the load of an ordered map is followed, with a picture; when to have workers.
//! - [`limits`]: what the structures cannot do, and where each limit comes from.
//!
//! How the code is laid out and proved is in `ARCHITECTURE.md`, at the root of the repository.

pub mod api;
pub mod choosing;
pub mod coming_from;
pub mod compressing;
#[cfg(not(hedgerow_loom))]
pub mod computing_once;
pub mod guarantees;
pub mod left_right_or_flat;
pub mod limits;
pub mod moving_load;
pub mod ordering;
