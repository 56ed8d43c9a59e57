//! Persistent collections.
mod balance;
mod block;
mod diff;
mod edit;
mod iter;
mod join;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod loom;
mod map;
mod node;
mod tree;
mod vec;
pub use map::{
    Diff, DiffItem, Entry, IntoIter, Iter, IterMut, Keys, OccupiedEntry, PersistentMap, Range,
    VacantEntry, Values, ValuesMut,
};
pub use vec::{PersistentVec, VecIntoIter, VecIter, VecIterMut};
