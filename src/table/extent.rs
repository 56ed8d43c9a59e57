//! Extents: many segments of a large table in one allocation, so that huge pages can hold them.
//!
//! If a table is larger than the processor's cache of address translations covers, nearly every lookup waits for a
//! translation. Pages of 2 MiB instead of 4 KiB avoid this, but the system provides them only for memory in one piece.
//! So, with feature `std-ext` on Linux, the methods that make room ahead of demand allocate an extent first: a block of
//! 2 MiB or more, from which segments are taken while it lasts. These methods are `with_capacity`, `reserve`,
//! `shrink_to_fit`, and, in a large table, `grow_step`.
//!
//! An insert allocates no extent: the first access to a huge page zeroes all of it, which takes some 80 µs, and
//! milliseconds in a virtual machine whose host has to find the memory first. For the same reason, the thread that
//! makes an extent touches its pages with nothing locked.
//!
//! # Synchronization
//! The lock is held for a few loads and stores; nothing waits or allocates under it. The contents of a segment are
//! published with its directory entry, `[DI-1]`, as those of any other. The list of extents is
//! [`Published`](crate::sync::published::Published), newest first, and only grows while the table is shared, so
//! checking whether a block belongs to an extent takes no lock.

pub(crate) use imp::Extents;

#[cfg(all(feature = "std-ext", target_os = "linux", not(hedgerow_loom)))]
mod imp {
    use crate::bins::layout::Layout;
    use crate::facade::atomic::AtomicUsize;
    use crate::facade::lock::{Guard, Lock};
    use crate::facade::{Word, advise_huge};
    use crate::memory::{self, AllocError};
    use crate::sync::backoff::{Backoff, WouldWait};
    use crate::sync::cache::LINE_BYTES;
    use crate::sync::hint::Statistic;
    use crate::sync::published::Published;
    use crate::table::segment::NewSegment;
    use core::marker::PhantomData;
    use core::mem::ManuallyDrop;
    use core::ptr;

    const HUGE_PAGE: usize = 2 << 20;
    /// Tables of this many bytes or more are large.
    const LARGE: usize = 32 << 20;
    /// The size of an extent for growth ahead of demand: the table's size divided by this.
    const AHEAD_PART: usize = 16;

    /// The extents of a table. Most tables have none, and should stay small.
    pub(crate) struct Extents<K, V> {
        store: Published<Store>,
        entries: PhantomData<(K, V)>,
    }

    struct Store {
        /// Bytes of all extents, and of this.
        bytes: Statistic<AtomicUsize>,
        /// Segments that were taken and not returned.
        taken: Statistic<AtomicUsize>,
        /// All extents, the newest first. Only the holder of the lock of `room` publishes an extent.
        newest: Published<Description>,
        room: Lock<FreeMemory>,
    }

    /// The unused memory of extents.
    struct FreeMemory {
        /// The unused rest of the newest extent.
        free: *mut Word,
        words: usize,
        /// Returned segments. Each holds the address of the next in its first bytes.
        unused: *mut Word,
    }

    /// An extent that belongs to no table yet. The destructor frees it.
    struct Extent(*mut Description);

    /// The description of an extent, which does not change after it is published.
    struct Description {
        older: *mut Description,
        block: *mut Word,
        bytes: usize,
    }

    impl<K, V> Extents<K, V> {
        /// Returns the number of words from one segment in an extent to the next.
        #[inline]
        fn stride() -> usize {
            let words = Layout::<K, V>::segment_words(1 << Layout::<K, V>::SEGMENT_BITS);
            words.next_multiple_of(LINE_BYTES / size_of::<Word>())
        }

        fn segment_bytes() -> usize {
            Self::stride() * size_of::<Word>()
        }

        pub(crate) const fn new() -> Self {
            Self { store: Published::new(), entries: PhantomData }
        }

        fn store(&self) -> Option<&Store> {
            self.store.get()
        }

        /// Returns the store, and makes it if there is none yet.
        fn make(&self) -> Result<&Store, AllocError> {
            if let Some(store) = self.store() {
                return Ok(store);
            }
            let (free, unused) = (ptr::null_mut(), ptr::null_mut());
            let room = Lock::new(FreeMemory { free, words: 0, unused });
            let bytes = Statistic::<AtomicUsize>::new(size_of::<Store>());
            let taken = Statistic::<AtomicUsize>::new(0);
            let store = Store { bytes, taken, newest: Published::new(), room };
            let made = memory::with_tail::<Store, ()>(store, 0, || ())?;
            // SAFETY: just made by `with_tail`; it is freed with `self` once it is published.
            if !unsafe { self.store.publish_first(made) } {
                // SAFETY: just made, and no other thread has seen it.
                unsafe { memory::free_with_tail::<Store, ()>(made, 0) };
            }
            self.store().ok_or(AllocError)
        }

        fn bytes_of(bins: usize) -> usize {
            (bins >> Layout::<K, V>::SEGMENT_BITS).saturating_mul(Self::segment_bytes())
        }

        /// Ensures that an extent with free segments exists, allocating one for `bins` more bins if they fill whole
        /// pages. If allocation fails, segments are allocations of their own.
        pub(crate) fn provide(&self, bins: usize, backoff: &Backoff) {
            self.provide_bytes(Self::bytes_of(bins), backoff);
        }

        /// Does what `provide` does, for a large table of `bins` bins, before more bins are needed.
        pub(crate) fn provide_ahead(&self, bins: usize, backoff: &Backoff) {
            let bytes = Self::bytes_of(bins);
            if bytes >= LARGE {
                self.provide_bytes(bytes / AHEAD_PART, backoff);
            }
        }

        fn provide_bytes(&self, bytes: usize, backoff: &Backoff) {
            // Whole pages, and of these as much as whole segments fill.
            let whole = bytes - bytes % HUGE_PAGE;
            let whole = whole - whole % Self::segment_bytes();
            if whole == 0 {
                return;
            }
            let Ok(store) = self.make() else { return };
            let has_room = |room: Guard<'_, FreeMemory>| room.has(Self::stride());
            if store.room(backoff).map_or(true, has_room) {
                return;
            }
            let Ok(extent) = Extent::new(whole) else { return };
            if let Ok(mut room) = store.room(backoff) {
                let unused = store.add(&mut room, extent, Self::stride());
                drop(room);
                if unused.is_none() {
                    store.bytes.add(whole + size_of::<Description>());
                }
            }
        }

        /// Returns a segment whose bins are all uninitialized: from an extent, or an allocation of its own.
        pub(crate) fn segment(&self, backoff: &Backoff) -> Result<NewSegment<K, V>, AllocError> {
            let bins = 1 << Layout::<K, V>::SEGMENT_BITS;
            // A caller that may not wait for the lock gets an allocation.
            let take = |store: &Store| store.room(backoff).ok()?.take(Self::stride());
            let Some((store, block)) = self.store().and_then(|store| Some((store, take(store)?)))
            else {
                return NewSegment::new(bins);
            };
            store.taken.add(1);
            // SAFETY: `stride` words of an extent, which `take` hands to one caller only. Their old contents have no
            // destructor.
            unsafe { block.write_bytes(0, Self::stride()) };
            Ok(NewSegment::within(block, bins))
        }

        /// Takes back a segment that was added to no directory. If that would require waiting, the segment stays unused
        /// until the table is dropped, with the extent that its memory belongs to.
        pub(crate) fn give_back(&self, segment: NewSegment<K, V>, backoff: &Backoff) {
            if let Some(block) = segment.into_borrowed() {
                self.take_back(block, backoff);
            }
        }

        /// Takes back the words of a segment in an extent that no reader can see, as `give_back` does.
        pub(crate) fn take_back(&self, block: *mut Word, backoff: &Backoff) {
            if let Some(store) = self.store()
                && let Ok(mut room) = store.room(backoff)
            {
                // SAFETY: the first bytes of a segment that no other thread uses; a segment has two words or more.
                unsafe { block.cast::<*mut Word>().write(room.unused) };
                room.unused = block;
                store.taken.sub(1);
            }
        }

        /// Whether the words at `block` belong to an extent. Takes no lock.
        pub(crate) fn contains(&self, block: *mut Word) -> bool {
            let within = |description: &Description| {
                let at = block.addr().wrapping_sub(description.block.addr());
                at < description.bytes
            };
            self.store().is_some_and(|store| store.extents().any(within))
        }

        /// Returns the bytes of all extents, used or not.
        pub(crate) fn bytes(&self) -> usize {
            self.store().map_or(0, |store| store.bytes.load())
        }

        /// Returns the number of segments that are in extents.
        pub(crate) fn segments(&self) -> usize {
            self.store().map_or(0, |store| store.taken.load())
        }
    }

    impl<K, V> Drop for Extents<K, V> {
        fn drop(&mut self) {
            let store = self.store.take();
            if !store.is_null() {
                // SAFETY: `make` allocated it by `with_tail`, and `&mut self`: no other thread uses it.
                unsafe { memory::free_with_tail::<Store, ()>(store, 0) };
            }
        }
    }

    impl Store {
        fn room(&self, backoff: &Backoff) -> Result<Guard<'_, FreeMemory>, WouldWait> {
            backoff.lock(&self.room)
        }

        /// Takes segments from `extent` from now on. If there are free segments by now, returns it instead. `room` is
        /// this store's.
        fn add(&self, room: &mut FreeMemory, extent: Extent, stride: usize) -> Option<Extent> {
            if room.has(stride) {
                return Some(extent);
            }
            let description = extent.take();
            // SAFETY: no other thread sees the extent before it is published below.
            let Description { older, block, bytes } = unsafe { &mut *description };
            *older = self
                .newest
                .get()
                .map_or(ptr::null_mut(), |description| ptr::from_ref(description).cast_mut());
            (room.free, room.words) = (*block, *bytes / size_of::<Word>());
            // SAFETY: an extent is freed with the store; the caller holds the lock of `room`, so no other thread
            // publishes one.
            unsafe { self.newest.publish(description) };
            None
        }

        fn extents(&self) -> impl Iterator<Item = &Description> {
            // SAFETY: descriptions live as long as the store, and do not change once they are published.
            core::iter::successors(self.newest.get(), |description| unsafe {
                description.older.as_ref()
            })
        }
    }

    impl FreeMemory {
        fn has(&self, stride: usize) -> bool {
            self.words >= stride || !self.unused.is_null()
        }

        fn take(&mut self, stride: usize) -> Option<*mut Word> {
            let block = self.unused;
            if !block.is_null() {
                // SAFETY: `take_back` wrote the link there.
                self.unused = unsafe { block.cast::<*mut Word>().read() };
                return Some(block);
            }
            let block = self.free;
            self.words = self.words.checked_sub(stride)?;
            self.free = block.wrapping_add(stride);
            Some(block)
        }
    }

    impl Drop for Store {
        fn drop(&mut self) {
            let mut description = self.newest.take();
            // SAFETY: null, or an extent of this store, which the loop meets once and no other thread uses.
            while let Some(this) = unsafe { description.as_ref() } {
                let older = this.older;
                drop(Extent(description));
                description = older;
            }
        }
    }

    impl Extent {
        /// Allocates an extent of `bytes >= HUGE_PAGE`, with any contents.
        fn new(bytes: usize) -> Result<Self, AllocError> {
            let block = memory::block(bytes, HUGE_PAGE)?;
            let made = Description { older: ptr::null_mut(), block, bytes };
            let description =
                memory::with_tail::<Description, ()>(made, 0, || ()).inspect_err(|_| {
                    // SAFETY: allocated above with this size and alignment.
                    unsafe { memory::free_block(block, bytes, HUGE_PAGE) };
                })?;
            // If the system does not take the advice, the pages are small ones, and all else is the same.
            let _ = advise_huge(block.cast(), bytes);
            for page in (0..bytes).step_by(HUGE_PAGE) {
                // SAFETY: within the block, which no other thread sees yet.
                unsafe { block.cast::<u8>().add(page).write(0) };
            }
            Ok(Self(description))
        }

        /// Returns the extent. Its new owner frees it by dropping an `Extent` of the same address.
        fn take(self) -> *mut Description {
            ManuallyDrop::new(self).0
        }
    }

    impl Drop for Extent {
        fn drop(&mut self) {
            // SAFETY: `new` made it, and this is its only owner.
            let Description { block, bytes, .. } = *unsafe { &*self.0 };
            // SAFETY: `new` allocated both with these sizes, and this is the only place that frees them. The table that
            // owned the extent is being dropped, or never had it.
            unsafe {
                memory::free_block(block, bytes, HUGE_PAGE);
                memory::free_with_tail::<Description, ()>(self.0, 0);
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::api::hash::KeyHash;
        use crate::bins::bin::EntryWords;
        use crate::table::Table;
        use crate::table::directory::Directory;
        use crate::table::write::EntryChange;
        use alloc::boxed::Box;
        use std::sync::mpsc::RecvTimeoutError;

        type Of = Extents<u64, u64>;

        fn bins(pages: usize) -> usize {
            (pages * HUGE_PAGE / Of::segment_bytes()) << Layout::<u64, u64>::SEGMENT_BITS
        }

        #[test]
        fn only_what_fills_a_page_or_belongs_to_a_large_table_is_provided() {
            let (extents, backoff) = (Of::new(), Backoff::never());
            extents.provide(bins(1) - 1, &backoff);
            extents.provide_ahead(bins(LARGE / HUGE_PAGE) - 1, &backoff);
            assert_eq!(extents.bytes(), 0);
            extents.provide(bins(3) + bins(1) / 2, &backoff);
            let descriptions = size_of::<Description>() + size_of::<Store>();
            assert_eq!(extents.bytes(), 3 * HUGE_PAGE + descriptions);
            let extents = Of::new();
            extents.provide_ahead(bins(LARGE / HUGE_PAGE), &backoff);
            assert_eq!(extents.bytes(), HUGE_PAGE + descriptions);
        }

        #[test]
        fn segments_are_zeroed_apart_and_used_again() {
            let (extents, backoff) = (Of::new(), Backoff::never());
            let fill = |segment: &NewSegment<u64, u64>, byte: u8| {
                // SAFETY: a segment that the test alone has.
                let bytes = unsafe {
                    core::slice::from_raw_parts_mut(
                        segment.block().cast::<u8>(),
                        Of::segment_bytes(),
                    )
                };
                let before = bytes[0];
                assert!(bytes.iter().all(|&it| it == before), "its bytes are not alike");
                bytes.fill(byte);
                before
            };
            extents.provide(bins(2), &backoff);
            let mut taken = alloc::vec::Vec::new();
            for byte in 1..=2 * HUGE_PAGE / Of::segment_bytes() {
                let segment = extents.segment(&backoff).unwrap();
                assert!(extents.contains(segment.block()));
                assert_eq!(fill(&segment, byte as u8), 0, "not zeroed, or taken twice");
                taken.push(segment);
            }
            let single = extents.segment(&backoff).unwrap();
            assert!(!extents.contains(single.block()), "more room than there is");
            for (byte, segment) in taken.iter().enumerate() {
                assert_eq!(
                    fill(segment, 0xA5),
                    (byte as u8).wrapping_add(1),
                    "two have the same bytes"
                );
            }
            extents.give_back(single, &backoff);
            let block = taken[7].block();
            extents.give_back(taken.swap_remove(7), &backoff);
            assert_eq!(extents.segments(), taken.len());
            let again = extents.segment(&backoff).unwrap();
            assert!(again.block() == block);
            assert_eq!(fill(&again, 0), 0, "a returned segment is not zeroed");
        }

        /// Runs `work`, which must not wait for a lock that this thread holds.
        fn without_waiting(work: impl FnOnce() + Send + 'static) {
            let (done, is_done) = std::sync::mpsc::channel();
            let worker = std::thread::spawn(move || {
                work();
                let _ = done.send(());
            });
            let time_limit = std::time::Duration::from_secs(20);
            let waited = is_done.recv_timeout(time_limit) == Err(RecvTimeoutError::Timeout);
            assert!(!waited, "an operation that may not wait waits for the lock of the extents");
            assert!(worker.join().is_ok(), "see above");
        }

        type Map = Table<u64, u64>;

        fn try_insert(table: &Map, key: u64) {
            let hash = |key: &u64| KeyHash::spread(*key, false);
            let read = |entry: EntryWords<'_, u64, u64>| entry.value();
            let change = |_: Option<&u64>| EntryChange::Entry(key, key);
            let done = table.alter(hash(&key), |k| *k == key, read, hash, Backoff::never(), change);
            assert!(done.is_ok(), "nobody else is in the table");
        }

        /// Inserts entries up to the first segments that could be in an extent.
        #[test]
        fn an_insert_that_may_not_wait_grows_while_the_lock_is_held() {
            let table: &'static Map = Box::leak(Box::new(Map::new()));
            table.extents.provide(bins(1), &Backoff::never());
            let held = table.extents.make().unwrap().room.lock();
            without_waiting(|| (0..2_000).for_each(|key| try_insert(table, key)));
            assert_eq!(table.len(), 2_000);
            drop(held);
        }

        /// The segment is in an extent: the thread that may not wait drops the directory, and leaves the segment.
        #[test]
        fn a_directory_that_comes_too_late_is_dropped_while_the_lock_is_held() {
            let table: &'static Map = Box::leak(Box::new(Map::new()));
            table.extents.provide(bins(1), &Backoff::never());
            let first = |initialized| {
                let bits = Layout::<u64, u64>::SEGMENT_BITS;
                table.make_directory(bits, initialized, ptr::null_mut(), &Backoff::never()).unwrap()
            };
            let (made, late) = (first(true), first(true).expose_provenance());
            assert_eq!(table.extents.segments(), 2);
            assert!(table.publish_directory(Directory::none(), made, &Backoff::never()).is_ok());
            let held = table.extents.make().unwrap().room.lock();
            without_waiting(move || {
                let late = ptr::with_exposed_provenance_mut(late);
                assert!(
                    table.publish_directory(Directory::none(), late, &Backoff::never()).is_ok()
                );
            });
            drop(held);
            // A thread that may wait returns the segment.
            assert!(
                table
                    .publish_directory(Directory::none(), first(true), &Backoff::spinning())
                    .is_ok()
            );
            assert_eq!(table.extents.segments(), 2, "a segment that was not published is lost");
        }

        #[test]
        fn a_caller_that_may_not_wait_gets_a_segment_of_its_own() {
            let (extents, backoff) = (Of::new(), Backoff::never());
            extents.provide(bins(1), &backoff);
            let held = extents.make().unwrap().room.lock();
            extents.provide(bins(1), &backoff);
            let segment = extents.segment(&backoff).unwrap();
            drop(held);
            assert!(!extents.contains(segment.block()));
            assert!(extents.contains(extents.segment(&backoff).unwrap().block()));
        }
    }
}

#[cfg(not(all(feature = "std-ext", target_os = "linux", not(hedgerow_loom))))]
mod imp {
    use crate::bins::layout::Layout;
    use crate::facade::Word;
    use crate::memory::AllocError;
    use crate::sync::backoff::Backoff;
    use crate::table::segment::NewSegment;
    use core::marker::PhantomData;

    /// Without huge pages there are no extents, and every segment is an allocation.
    pub(crate) struct Extents<K, V>(PhantomData<(K, V)>);

    #[allow(clippy::unused_self)] // The other implementation uses it.
    impl<K, V> Extents<K, V> {
        pub(crate) const fn new() -> Self {
            Self(PhantomData)
        }

        pub(crate) fn provide(&self, _bins: usize, _: &Backoff) {}

        pub(crate) fn provide_ahead(&self, _bins: usize, _: &Backoff) {}

        pub(crate) fn segment(&self, _: &Backoff) -> Result<NewSegment<K, V>, AllocError> {
            NewSegment::new(1 << Layout::<K, V>::SEGMENT_BITS)
        }

        pub(crate) fn give_back(&self, segment: NewSegment<K, V>, _: &Backoff) {
            drop(segment);
        }

        pub(crate) fn take_back(&self, _block: *mut Word, _: &Backoff) {}

        pub(crate) fn contains(&self, _block: *mut Word) -> bool {
            false
        }

        pub(crate) fn bytes(&self) -> usize {
            0
        }

        pub(crate) fn segments(&self) -> usize {
            0
        }
    }
}
