//! The guide: choosing and using the maps, what they guarantee, how they work. These modules contain no code.
//!
//! Using the maps:
//! - [`choosing`]: which map, which operation, which hasher.
//! - [`api`]: every operation of every map, with its return type, in one table.
//! - [`coming_from`]: migrating from dashmap, papaya, scc, `RwLock<HashMap>`, crossbeam-skiplist, evmap, left-right,
//!   flashmap, arc-swap and moka; updating values in place.
//! - [`left_right_or_flat`]: one writer that publishes, or many that write in place; stalled readers.
//! - [`computing_once`]: request coalescing, with threads and in async code; guards across `await`.
//! - [`compressing`]: sizing and tuning a compressed map.
//! - [`moving_load`]: how ordered maps balance their load, and when worker threads pay off.
//! - [`embedded`]: microcontrollers, interrupt handlers, maps in a `static`, WebAssembly.
//!
//! Reference:
//! - [`guarantees`]: linearizability, waiting, reclamation, panics, memory.
//! - [`limits`]: what the maps cannot do, and what they cost in bad cases.
//! - [`ordering`]: memory ordering between threads, and the labels of orderings in the code.
//! - [`model_checking`]: checking your program with loom or shuttle.
//! - [`how_it_works`]: the data structures in pictures.
//! - [`ancestors`]: what became of the plans of this project's predecessors.
//!
//! `ARCHITECTURE.md`, at the root of the repository, describes the code and how it is tested.

pub mod ancestors;
pub mod api;
pub mod choosing;
pub mod coming_from;
pub mod compressing;
#[cfg(not(hedgerow_loom))]
pub mod computing_once;
pub mod embedded;
pub mod guarantees;
pub mod how_it_works;
pub mod left_right_or_flat;
pub mod limits;
pub mod model_checking;
pub mod moving_load;
pub mod ordering;
