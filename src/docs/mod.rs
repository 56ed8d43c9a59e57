//! Pages to read, with no code in them: choosing a map, coming from other maps, guarantees, limits and more.
//!
//! To choose and to use:
//! - [`choosing`]: the map, the operation and the hasher for your case; data that is not `Copy`.
//! - [`api`]: every operation of every map, with its return type, in one table.
//! - [`coming_from`]: the calls of dashmap, papaya, scc, crossbeam-skiplist, evmap, left-right, flashmap, arc-swap and
//!   a locked `HashMap`, and ours beside them; code that compiles and means something else; values that are changed in
//!   place.
//! - [`left_right_or_flat`]: one writer that publishes, or many that write at once; readers that get stuck.
//! - [`computing_once`]: one thread or task computes a value that many need; maps in async code.
//! - [`compressing`]: the budget and the codec of a compressed map, with a plot.
//! - [`moving_load`]: how an ordered map follows its load, with a plot; when to have worker threads.
//! - [`embedded`]: features, targets, interrupt handlers, maps in a `static`.
//!
//! To rely on:
//! - [`guarantees`]: linearizability, waiting, memory, panics.
//! - [`limits`]: the limits of the maps, and the reason for each.
//! - [`ordering`]: the order in which threads see each other's writes, and the labelled pairs of orderings.
//! - [`how_it_works`]: how each map is built, in pictures.
//! - [`ancestors`]: what became of the plans of the projects before this one.
//!
//! `ARCHITECTURE.md`, at the root of the repository, describes the code and how it is checked.

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
pub mod moving_load;
pub mod ordering;
