//! One side: a hash table of entries that are copied as they are, whoever owns what they lead to.
//!
//! Both sides have the same layout, so that what one bucket holds can be copied to the other side without
//! asking for anybody's hash.

use super::bucket::{Bucket, Hashed, Slots};
use core::marker::PhantomData;
use core::ptr::NonNull;

/// Where an entry lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) bucket: usize,
    pub(super) slot: usize,
}

/// A place in one word, because a small device keeps one in each note of a change: the bucket's number, and in the
/// lowest three bits the slot's. (A bucket takes 64 bytes of memory, so its number has bits to spare.)
#[cfg(feature = "left-right")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PackedPlace(usize);

#[cfg(feature = "left-right")]
impl From<Place> for PackedPlace {
    fn from(place: Place) -> Self {
        debug_assert!(place.slot < 8);
        Self(place.bucket << 3 | place.slot)
    }
}

#[cfg(feature = "left-right")]
impl From<PackedPlace> for Place {
    fn from(place: PackedPlace) -> Self {
        Self { bucket: place.0 >> 3, slot: place.0 & 7 }
    }
}

/// A side as readers see it: where its buckets are.
pub(super) struct View<E> {
    buckets: NonNull<Bucket<E>>,
    number: usize,
    pub(super) len: usize,
    /// Publishes up to this state.
    #[cfg_attr(not(feature = "left-right"), allow(dead_code))]
    // The fixed table asks its side.
    pub(super) generation: u64,
}

impl<E> Clone for View<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for View<E> {}

impl<E: Copy> View<E> {
    /// # Safety
    /// The side is neither changed nor dropped while the reference is used, and has so many buckets.
    #[inline(always)]
    unsafe fn bucket<'a>(self, number: usize) -> &'a Bucket<E> {
        debug_assert!(number < self.number);
        // SAFETY: as the caller says.
        unsafe { self.buckets.add(number).as_ref() }
    }

    /// The entry of this hash for which `is` holds.
    ///
    /// # Safety
    /// The side is neither changed nor dropped while the result is used.
    #[cfg(feature = "left-right")]
    #[inline(always)]
    pub(super) unsafe fn find<'a>(
        self,
        hash: Hashed,
        is: impl Fn(&E) -> bool + Copy,
    ) -> Option<&'a E> {
        // SAFETY: as the caller says.
        unsafe { self.find_from_home(hash, is, |_, _, entry| entry, |entry| entry) }
    }

    /// As `find`. An entry that lies where it belongs is handed to `at_home`, after its bucket and its slot, any other
    /// to `behind`.
    ///
    /// # Safety
    /// As in `find`.
    #[inline(always)]
    unsafe fn find_from_home<'a, T>(
        self,
        hash: Hashed,
        is: impl Fn(&E) -> bool + Copy,
        at_home: impl FnOnce(usize, usize, &'a E) -> T,
        behind: impl FnOnce(&'a E) -> T,
    ) -> Option<T>
    where
        E: 'a,
    {
        let home = hash.home(self.number);
        Bucket::prefetch(self.buckets.as_ptr().wrapping_add(home));
        // SAFETY: as the caller says; homes are below the number.
        unsafe {
            match Self::find_in(self.bucket(home), hash, is) {
                Ok((slot, entry)) => Some(at_home(home, slot, entry)),
                Err(true) => self.find_behind(home, hash, is).map(behind),
                Err(false) => None,
            }
        }
    }

    /// As `find`, in one bucket, with the entry's slot; fails with whether it may lie behind.
    #[inline(always)]
    fn find_in(
        bucket: &Bucket<E>,
        hash: Hashed,
        mut is: impl FnMut(&E) -> bool,
    ) -> Result<(usize, &E), bool> {
        let mut matches = bucket.head().matches(hash);
        while let Some(slot) = matches.first() {
            // SAFETY: an entry is there if a tag is, and an empty slot never looks like one.
            let entry = unsafe { bucket.entry(slot) };
            if is(entry) {
                return Ok((slot, entry));
            }
            matches = matches.without_first();
        }
        Err(bucket.head().was_passed())
    }

    /// As `find`, behind the bucket that the entry belongs to.
    #[inline(never)]
    unsafe fn find_behind<'a>(
        self,
        home: usize,
        hash: Hashed,
        is: impl Fn(&E) -> bool + Copy,
    ) -> Option<&'a E> {
        let mut bucket = self.after(home);
        while bucket != home {
            // SAFETY: as the caller says.
            match Self::find_in(unsafe { self.bucket(bucket) }, hash, is) {
                Err(true) => bucket = self.after(bucket),
                found => return found.ok().map(|(_, entry)| entry),
            }
        }
        None
    }

    fn after(self, bucket: usize) -> usize {
        if bucket + 1 < self.number { bucket + 1 } else { 0 }
    }

    /// Asks for the lines of the bucket that `hash` names.
    #[cfg(feature = "left-right")]
    #[inline(always)]
    pub(super) fn prefetch(self, hash: Hashed) {
        Bucket::prefetch(self.buckets.as_ptr().wrapping_add(hash.home(self.number)));
    }

    /// Visits the entries in the bucket that `hash` names whose tag is its: mostly the one of that hash, if there is
    /// one, and hardly ever another.
    ///
    /// # Safety
    /// The side is neither changed nor dropped meanwhile.
    #[cfg(feature = "left-right")]
    #[inline(always)]
    pub(super) unsafe fn likely(self, hash: Hashed, mut each: impl FnMut(&E)) {
        // SAFETY: as the caller says; homes are below the number.
        let bucket = unsafe { self.bucket(hash.home(self.number)) };
        let _ = Self::find_in(bucket, hash, |entry| {
            each(entry);
            false
        });
    }

    /// Visits the entries that belong to the bucket that `from` names, wherever they lie, but those of smaller hashes;
    /// the least hash that belongs behind it, if one does. An entry's place changes with the number of buckets, the
    /// order of their hashes does not.
    ///
    /// # Safety
    /// The side is neither changed nor dropped meanwhile.
    #[cfg(feature = "left-right")]
    pub(super) unsafe fn visit(
        self,
        from: Hashed,
        hash: impl Fn(&E) -> Hashed,
        mut each: impl FnMut(&E),
    ) -> Option<u64> {
        let home = from.home(self.number);
        let mut at = home;
        loop {
            // SAFETY: as the caller says.
            let bucket = unsafe { self.bucket(at) };
            for slot in bucket.head().used() {
                // SAFETY: the head said that it is in use, and nothing changes.
                let entry = unsafe { bucket.entry(slot) };
                let hash = hash(entry);
                if hash.home(self.number) == home && hash.0 >= from.0 {
                    each(entry);
                }
            }
            at = self.after(at);
            if !bucket.head().was_passed() || at == home {
                return Hashed::first_behind(home, self.number);
            }
        }
    }

    /// All entries.
    ///
    /// # Safety
    /// The side is neither changed nor dropped while the iterator and its results are used.
    #[inline]
    pub(super) unsafe fn entries<'a>(self) -> Entries<'a, E> {
        // SAFETY: as the caller says; there is at least one bucket.
        let (slots, left) = (unsafe { self.bucket(0) }.head().used(), self.len);
        Entries { view: self, bucket: 0, slots, left, borrows: PhantomData }
    }
}

/// The entries of a side that does not change.
pub(super) struct Entries<'a, E> {
    view: View<E>,
    bucket: usize,
    /// Of the bucket, those that are left.
    slots: Slots,
    left: usize,
    borrows: PhantomData<&'a E>,
}

impl<E> Clone for Entries<'_, E> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<'a, E: Copy> Iterator for Entries<'a, E> {
    type Item = (Place, &'a E);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // SAFETY: whoever made the iterator sees to it.
            let bucket = unsafe { self.view.bucket(self.bucket) };
            if let Some(slot) = self.slots.next() {
                self.left -= 1;
                // SAFETY: the head said that it is in use, and nothing changes.
                return Some((Place { bucket: self.bucket, slot }, unsafe { bucket.entry(slot) }));
            }
            if self.bucket + 1 >= self.view.number {
                return None;
            }
            self.bucket += 1;
            // SAFETY: as above.
            self.slots = unsafe { self.view.bucket(self.bucket) }.head().used();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// A side as its owner has it; `B` keeps the buckets, at least one.
pub(super) struct Side<E, B> {
    buckets: B,
    len: usize,
    generation: u64,
    entries: PhantomData<E>,
}

impl<E, B> Side<E, B> {
    /// Of buckets that are empty, and not none.
    pub(super) const fn new(buckets: B) -> Self {
        Self { buckets, len: 0, generation: 0, entries: PhantomData }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }
}

impl<E: Copy, B: AsRef<[Bucket<E>]> + AsMut<[Bucket<E>]>> Side<E, B> {
    fn all(&self) -> &[Bucket<E>] {
        self.buckets.as_ref()
    }

    fn at(&mut self, bucket: usize) -> &mut Bucket<E> {
        &mut self.buckets.as_mut()[bucket]
    }

    pub(super) fn view(&self) -> View<E> {
        let (all, len, generation) = (self.all(), self.len, self.generation);
        View { buckets: NonNull::from(all).cast(), number: all.len(), len, generation }
    }

    pub(super) fn buckets(&self) -> usize {
        self.all().len()
    }

    pub(super) fn capacity(&self) -> usize {
        Bucket::<E>::capacity(self.buckets())
    }

    #[cfg(feature = "left-right")]
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.all())
    }

    pub(super) fn find(&self, hash: Hashed, is: impl Fn(&E) -> bool + Copy) -> Option<(Place, &E)> {
        let at_home = |bucket, slot, entry| (Place { bucket, slot }, entry);
        let behind = |entry| (self.place_of(entry), entry);
        // SAFETY: `&self` lives as long as the result, and changes ask for `&mut self`.
        unsafe { self.view().find_from_home(hash, is, at_home, behind) }
    }

    /// Where `entry` lies, which is one of these.
    #[inline(never)]
    fn place_of(&self, entry: &E) -> Place {
        let at = core::ptr::from_ref(entry).addr() - self.all().as_ptr().addr();
        let (bucket, within) = (at / size_of::<Bucket<E>>(), at % size_of::<Bucket<E>>());
        // Entries of no size have no slot of their own: any that is in use will do.
        let any = || self.all()[bucket].head().used().next();
        let slot = within.checked_div(size_of::<E>()).or_else(any);
        Place { bucket, slot: slot.expect("in use") }
    }

    pub(super) fn entries(&self) -> Entries<'_, E> {
        // SAFETY: as in `find`.
        unsafe { self.view().entries() }
    }

    /// The places of `bucket` in use now.
    pub(super) fn places_of(&self, bucket: usize) -> impl Iterator<Item = Place> + use<E, B> {
        self.all()[bucket].head().used().map(move |slot| Place { bucket, slot })
    }

    /// The entry at `place`, if that is in use.
    pub(super) fn get(&self, place: Place) -> Option<&E> {
        let bucket = self.all().get(place.bucket)?;
        // SAFETY: the head says so.
        bucket.head().holds(place.slot).then(|| unsafe { bucket.entry(place.slot) })
    }

    /// Forgets all entries.
    pub(super) fn clear(&mut self) {
        self.buckets.as_mut().iter_mut().for_each(Bucket::clear);
        self.len = 0;
    }

    /// Returns the bucket that the entry at `place` belongs to, if `hash` is what its key's `Hash` answers now. If the
    /// tag of the entry says that the key answered otherwise before, returns the bucket where the entry lies: then no
    /// bucket counts one entry less, and at worst some searches go further than they need.
    #[inline(always)]
    pub(super) fn home_of(&self, hash: Hashed, place: Place) -> usize {
        let home = hash.home(self.buckets());
        // Most entries lie in the bucket that they belong to, and need not be asked for their tag.
        let is_its =
            home == place.bucket || self.all()[place.bucket].head().has_tag(place.slot, hash);
        if is_its { home } else { place.bucket }
    }

    /// Whether the entry at `place`, which belongs to the bucket `home`, is found under `hash`.
    #[cfg(feature = "left-right")]
    pub(super) fn is_found_under(&self, hash: Hashed, home: usize, place: Place) -> bool {
        let head = self.all()[place.bucket].head();
        hash.home(self.buckets()) == home && head.has_tag(place.slot, hash)
    }

    /// Replaces the entry at `place`, which is in use.
    pub(super) fn replace(&mut self, place: Place, entry: E) -> E {
        self.at(place.bucket).replace(place.slot, entry)
    }

    /// Places an entry that is not there yet, and returns its place. There must be room for it. Calls `touch` with each
    /// bucket that changes.
    #[inline(always)]
    pub(super) fn place(&mut self, hash: Hashed, entry: E, mut touch: impl FnMut(usize)) -> Place {
        debug_assert!(self.len < self.capacity());
        let mut bucket = hash.home(self.buckets());
        loop {
            touch(bucket);
            if let Some(slot) = self.at(bucket).put(hash, entry) {
                self.len += 1;
                return Place { bucket, slot };
            }
            self.at(bucket).pass();
            bucket = self.view().after(bucket);
        }
    }

    /// Takes out the entry at `place`, which belongs to the bucket `home`. Calls `touch` with each bucket that changes.
    pub(super) fn take(&mut self, home: usize, place: Place, mut touch: impl FnMut(usize)) -> E {
        let mut bucket = home;
        while bucket != place.bucket {
            touch(bucket);
            self.at(bucket).pass_less();
            bucket = self.view().after(bucket);
        }
        touch(bucket);
        self.len -= 1;
        self.at(bucket).take(place.slot)
    }

    /// Has `bucket` hold what it holds in `other`, which has as many.
    pub(super) fn copy_bucket(&mut self, other: &Self, bucket: usize) {
        *self.at(bucket) = other.all()[bucket];
        self.len = other.len;
    }

    /// Has all buckets hold what they hold in `other`, which has as many.
    #[cfg(feature = "left-right")]
    pub(super) fn copy_all(&mut self, other: &Self) {
        self.buckets.as_mut().copy_from_slice(other.all());
        self.len = other.len;
    }

    /// Asks for the lines of `bucket`.
    #[cfg(feature = "left-right")]
    pub(super) fn prefetch(&self, bucket: usize) {
        Bucket::prefetch(self.all().as_ptr().wrapping_add(bucket));
    }
}
