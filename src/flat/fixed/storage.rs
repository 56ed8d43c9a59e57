//! The memory of all bins, as one value.
//!
//! The length of an array cannot depend on the sizes of types, so the words of an entry are not an array: a slot is a
//! pair of key and value, packed as [`Layout`] lays them out, and accessed through pointers to words only.

use super::reach;
use crate::api::hash::KeyHash;
use crate::bins::bin::Bin;
use crate::bins::layout::Layout;
use core::panic::{RefUnwindSafe, UnwindSafe};

#[cfg(not(hedgerow_loom))]
pub(super) use inline::Storage;
#[cfg(hedgerow_loom)]
pub(super) use modelled::Storage;

#[cfg(not(hedgerow_loom))]
mod inline {
    use crate::bins::layout::{BIN_HEAD, Layout, MAX_SLOTS};
    use crate::facade::{Scheduled, Word};
    use crate::sync::words::WORD;
    use core::cell::UnsafeCell;
    use core::mem::{ManuallyDrop, MaybeUninit, offset_of};

    /// Key and value as an entry stores them: alignment beyond that of a word is ignored.
    #[cfg_attr(target_pointer_width = "64", repr(C, packed(8)))]
    #[cfg_attr(not(target_pointer_width = "64"), repr(C, packed(4)))]
    struct Pair<K, V> {
        key: MaybeUninit<K>,
        value: MaybeUninit<V>,
    }

    /// A slot, rounded up to whole words.
    #[repr(C)]
    union Slot<K, V> {
        pair: ManuallyDrop<Pair<K, V>>,
        words: [usize; 0],
    }

    type Entries<K, V> = [UnsafeCell<MaybeUninit<Slot<K, V>>>; MAX_SLOTS];

    /// The head of a bin. On 64-bit targets no head straddles two cache lines.
    #[cfg_attr(target_pointer_width = "64", repr(C, align(16)))]
    #[cfg_attr(not(target_pointer_width = "64"), repr(C))]
    struct Head(UnsafeCell<[usize; BIN_HEAD]>);

    /// All bins. They start as zeros, so that a `static` takes no space in the program's file.
    #[repr(C)]
    pub(in super::super) struct Storage<K, V, const BINS: usize> {
        heads: [Head; BINS],
        entries: [Entries<K, V>; BINS],
        pub(in super::super) scheduled: Scheduled,
    }

    impl<K, V, const BINS: usize> Storage<K, V, BINS> {
        const FITS: () = {
            assert!(BINS > 0, "a table needs a bin");
            assert!(BINS <= u32::MAX as usize, "bins are numbered by 32 bits");
            assert!(size_of::<Head>() == BIN_HEAD * WORD);
            assert!(align_of::<Word>() <= align_of::<usize>());
            assert!(align_of::<Slot<K, V>>() == align_of::<usize>());
            assert!(size_of::<Slot<K, V>>() == Layout::<K, V>::ENTRY * WORD);
            assert!(size_of::<Entries<K, V>>() == Layout::<K, V>::ENTRIES * WORD);
            assert!(offset_of!(Pair<K, V>, value) == Layout::<K, V>::VALUE_AT);
        };

        pub(in super::super) const fn new() -> Self {
            const { Self::FITS };
            Self {
                heads: [const { Head(UnsafeCell::new([0; BIN_HEAD])) }; BINS],
                entries: [const { [const { UnsafeCell::new(MaybeUninit::zeroed()) }; MAX_SLOTS] };
                    BINS],
                scheduled: Scheduled::new(),
            }
        }

        #[inline(always)]
        pub(super) fn heads(&self) -> *const Word {
            self.heads.as_ptr().cast()
        }

        #[inline(always)]
        pub(super) fn entries(&self) -> *const Word {
            self.entries.as_ptr().cast()
        }
    }
}

/// The memory of all bins under the model checker, whose words are larger than words and come from a constructor.
#[cfg(hedgerow_loom)]
mod modelled {
    use crate::bins::layout::{BIN_HEAD, Layout};
    use crate::facade::{Scheduled, Word};
    use alloc::boxed::Box;
    use core::marker::PhantomData;

    pub(in super::super) struct Storage<K, V, const BINS: usize> {
        heads: Box<[Word]>,
        entries: Box<[Word]>,
        pub(in super::super) scheduled: Scheduled,
        types: PhantomData<(K, V)>,
    }

    impl<K, V, const BINS: usize> Storage<K, V, BINS> {
        pub(in super::super) fn new() -> Self {
            let words = |count| core::iter::repeat_with(Word::new).take(count).collect();
            Self {
                heads: words(BINS * BIN_HEAD),
                entries: words(BINS * Layout::<K, V>::ENTRIES),
                scheduled: Scheduled::new(),
                types: PhantomData,
            }
        }

        pub(super) fn heads(&self) -> *const Word {
            self.heads.as_ptr()
        }

        pub(super) fn entries(&self) -> *const Word {
            self.entries.as_ptr()
        }
    }
}

// SAFETY: all shared words are accessed atomically, and only copies of keys and values leave. Threads pass each other
// such copies through the table, which needs `Send` alone.
unsafe impl<K: Send, V: Send, const BINS: usize> Sync for Storage<K, V, BINS> {}

// No user code runs while a bin is in a state that a panic must not leave behind.
impl<K, V, const BINS: usize> UnwindSafe for Storage<K, V, BINS> {}
impl<K, V, const BINS: usize> RefUnwindSafe for Storage<K, V, BINS> {}

impl<K: Copy, V: Copy, const BINS: usize> Storage<K, V, BINS> {
    /// The number of bins that can hold a key.
    pub(super) const REACH: usize = reach(BINS);

    /// Returns the home of a hash. Both branches use no bits of tags and filters.
    #[inline(always)]
    pub(super) fn home(hash: KeyHash) -> usize {
        if BINS.is_power_of_two() {
            hash.bin_bits() & (BINS - 1)
        } else if usize::BITS == 32 && BINS <= 1 << 10 {
            // As below, with 16 bits: a Cortex-M0 multiplies to 32 bits only.
            (((hash.0 as u32 >> 16) * BINS as u32) >> 16) as usize
        } else {
            // Lemire's multiplication instead of a remainder, which takes a division.
            (((hash.0 & u64::from(u32::MAX)) * BINS as u64) >> 32) as usize
        }
    }

    /// Returns the number of the bin `distance` after `home`, wrapping around at the end.
    #[inline(always)]
    pub(super) fn after(home: usize, distance: usize) -> usize {
        let number = home + distance;
        if number < BINS { number } else { number - BINS }
    }

    #[inline(always)]
    pub(super) fn bin(&self, number: usize) -> Bin<'_, K, V> {
        debug_assert!(number < BINS);
        let head = self.heads().wrapping_add(number * crate::bins::layout::BIN_HEAD);
        let entries = self.entries().wrapping_add(number * Layout::<K, V>::ENTRIES);
        // SAFETY: `number < BINS`, and `self` owns as many heads and sets of entries. `FITS` asserts that their sizes
        // in words match.
        unsafe { Bin::from_parts(head, entries) }
    }
}
