//! Maps of owned data: keys and values of any type, each pair in an allocation of its own.
//!
//! The table holds pointers. A look-up borrows what it finds under a [`Guard`], which says that somebody may
//! be looking; what is taken out of the map is dropped when nobody can be looking any more.

mod batch;
mod fused;
mod garbage;
mod guard;
mod iter;
mod map;
mod node;
mod nodes;
mod ops;
mod pair;
mod removed;
mod str_iter;
mod str_map;
mod traits;

pub use crate::bins::hasher::DefaultHashBuilder;
pub use crate::bins::types::{Busy, Op};
pub use crate::table::cursor::Cursor;
pub use crate::table::types::{TryInsertError, TryReserveError};
pub use guard::{Guard, Handle, OwnedGuard, Stalled, pin};
pub use iter::{IntoIter, Iter};
pub use map::EntryMap;
pub use removed::Removed;
pub use str_iter::StrIter;
pub use str_map::{RemovedStr, StrMap};
