//! `FlatTable`: a fixed number of bins, all in one value.
//!
//! A key belongs to its *home* bin. If that is full, its entry is *displaced*: it goes to the emptiest of the
//! fifteen bins that follow (31 on 32-bit targets, whose bins are smaller). There are no chains, and nothing is
//! allocated. If these bins are full too, the table refuses the key.
//!
//! The home keeps track of its displaced entries by filter bits in its tags, and by counts in the place of the overflow
//! number of a growing table's bin. A lookup of an absent key mostly finds its filter bit clear, and ends. The counts
//! tell when a bit may be cleared, so misses do not become slower and slower as entries are inserted and removed.
//!
//! With random keys in 80 % of the slots of a table that was just filled, 5 % of all misses search outside of their
//! home. After long churn it is more, because no displaced entry moves home when a slot there becomes free.
//!
//! # Synchronization
//! Within one bin the protocol is that of [`bin`](crate::bins::bin). Only displaced entries are new.
//!
//! - `[FX-1]` A writer adds or removes a displaced entry under *both* locks, that of its home and that of the bin that
//!   holds it. So the insertions and removals of a key are in one order, that of its home's locks. A writer that found
//!   the key absent inserts it only if its home is still in the state that was read before the search, so there is
//!   never a second entry of one key. Replacing a value needs only the lock of the bin that holds it.
//! - `[FX-2]` *An entry never moves while it is in the table.* So a search that finds no entry, although it loads the
//!   bins one after the other, has passed a moment at which the key was absent, and returns without validating the
//!   home. Proof: had the key been present all the time, the search would have met its tag. A search that loads the
//!   tags of the key's bin (acquire, `[FT-1]`) gets the store that added the key or a later one, and only a removal
//!   takes the tag away. That removal then happened before the search returned. This is why no entry is ever moved back
//!   home.
//! - `[FX-3]` A search leaves the home bin only if it finds the filter bit set, and a search that happens after one
//!   that found it set finds it set or a later store (`[FT-1]`, `[FT-2]`). The bit is cleared only under the home's
//!   lock, by a removal that leaves no displaced entry which needs it: a search that finds it clear after that finds
//!   the key gone, or not there yet. So it does not matter which of the two bins' tags is stored first.
//! - `[FX-4]` A writer takes both locks from states that it has read, the lower bin number first, and waits for
//!   neither. If it does not get the second, it returns the first (`[SL-6]`) and searches again. The holder of the
//!   higher bin of a pair never waits, so some writer always makes progress.
//!
//! A hit is validated by the bin that holds it (`[SL-2]`), home or not: the keys of other homes share its slots, and
//! their writers hold only this bin's lock.

mod bins;
#[cfg(feature = "defmt")]
mod defmt;
mod fallible;
mod iter;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod loom;
mod storage;
mod table;

pub use iter::{TableIter, TableKeys, TableValues};
pub use table::FlatTable;

use crate::bins::layout::MAX_SLOTS;

/// The number of bins that can hold a key, home included, in a table that has that many: about a hundred slots.
const MOST_REACH: usize = if MAX_SLOTS == 3 { 32 } else { 16 };

/// Returns the number of bins of a [`FlatTable`] that have room for `entries` entries, on the target that the program
/// is compiled for. A bin has seven slots on 64-bit targets and three on others. So this names a capacity that means
/// the same on a host, where tests run, and on a microcontroller.
///
/// Up to 96 entries always find room. Tables for more get half as many slots again, because a key can be in 16 bins
/// only (32 on 32-bit targets): see [Fill](FlatTable#fill) for how full random keys make a table.
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

/// Returns the number of bins that can hold a key, in a table of `bins`.
const fn reach(bins: usize) -> usize {
    if bins < MOST_REACH { bins } else { MOST_REACH }
}
