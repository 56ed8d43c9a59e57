//! `PersistentMap`, its iterators and entries.

mod diff;
mod entry;
mod iter;
mod ops;
mod order;
mod traits;

pub use diff::{Diff, DiffItem};
pub use entry::{Entry, OccupiedEntry, VacantEntry};
pub use iter::{
    IntoIter, IntoKeys, IntoValues, Iter, IterMut, Keys, Range, RangeMut, Teardown, Values,
    ValuesMut,
};
pub use ops::PersistentMap;
pub(crate) use ops::{Pairs, out_of_memory};
pub use order::ExtractIf;
