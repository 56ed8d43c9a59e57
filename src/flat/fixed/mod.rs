//! `FlatTable`: a number of bins in one piece, no more and no fewer.
//!
//! A key belongs to its *home* bin. Where that is full it becomes a *stray*, in the emptiest of the
//! fifteen bins that follow (of 31 on 32-bit targets, where bins are smaller). There are no chains and
//! nothing is allocated; where there is no room, the key is refused.
//!
//! The home knows of its strays: by the filter bit in its tags, which a key that is absent mostly
//! finds clear, and by counts, which stand where a growing table keeps its overflow number and say
//! when the bit may be cleared. So misses do not get slower and slower as entries come and go.
//!
//! # Synchronization
//! Within one bin everything is as in [`bin`](crate::bins::bin). What is new are strays.
//!
//! - `[FX-1]` Strays come and go under *both* locks, their home's and that of the bin that they lie in.
//!   Hence each key's comings and goings are in one order, that of its home's locks: a writer that found
//!   the key absent inserts it only if its home is still in the state that was read before the search,
//!   so there is never a second entry of one key. A value that is replaced where it lies needs that
//!   bin's lock only.
//! - `[FX-2]` *An entry never moves while it is there.* So a search that does not find a key, though it
//!   looks into the bins one after the other, has passed a moment at which the key was absent, and says
//!   so without asking the home again: had the key been there all the time, its tag would have been
//!   met, since who loads a bin's tags (acquire, `[FT-1]`) gets the store that put the key there or one
//!   of the stores after it, and of those only a removal takes the tag away. That removal then happened
//!   before the answer. It is why nothing is ever moved back home.
//! - `[FX-3]` A search goes outside only with the bit before its eyes, and who has seen it set gets it set
//!   from then on, or a later store (`[FT-1]`, `[FT-2]`). It is cleared only under the home's lock, by a
//!   removal that leaves no stray which needs it: whoever finds it clear after that finds the key gone
//!   or not yet there. So it does not matter which of the two bins' tags is stored first.
//! - `[FX-4]` Both locks are taken from states that were read, lower bin number first, and neither is
//!   waited for: a writer that does not get the second gives the first back (`[SL-6]`) and looks again. Who
//!   holds the higher one of a pair is never held up, so some writer always gets on.
//!
//! A hit is validated by the bin in which it is found (`[SL-2]`), be that the home or not: slots are
//! shared with the keys of other homes, whose writers hold only this bin's lock.

mod bins;
#[cfg(feature = "defmt")]
mod defmt;
mod iter;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod loom;
mod storage;
mod table;

pub use iter::{TableIter, TableKeys, TableValues};
pub use table::FlatTable;

use crate::bins::layout::MAX_SLOTS;

/// Bins that a key may lie in, its home included, in a table that has so many: about a hundred slots.
const MOST_REACH: usize = if MAX_SLOTS == 3 { 32 } else { 16 };

/// Returns the number of bins of a [`FlatTable`] in which `entries` entries find room, on the target that the program
/// is compiled for. A bin has seven slots on 64-bit targets and three on others, so this makes a capacity that means
/// the same on a host, where tests run, and on a microcontroller.
///
/// Up to 96 entries find room for certain. Tables for more have half as many slots again, because a key has slots in 16
/// bins only (32 on 32-bit targets): see [Fill](FlatTable#fill) for how full random keys make a table.
///
/// ```
/// use hedgerow::flat::{FlatTable, bins_for};
///
/// type Levels = FlatTable<u8, i16, { bins_for(40) }>;
/// static LEVELS: Levels = Levels::new();
///
/// for sensor in 0..40 {
///     assert_eq!(LEVELS.insert(sensor, 0), Ok(None));
/// }
/// ```
#[must_use]
pub const fn bins_for(entries: usize) -> usize {
    let full = entries.div_ceil(MAX_SLOTS);
    let bins = if full <= MOST_REACH && entries <= 96 {
        full
    } else {
        entries.saturating_add(entries / 2).div_ceil(MAX_SLOTS)
    };
    if bins == 0 { 1 } else { bins }
}

/// Bins that a key may lie in, in a table of `bins`.
const fn reach(bins: usize) -> usize {
    if bins < MOST_REACH { bins } else { MOST_REACH }
}
