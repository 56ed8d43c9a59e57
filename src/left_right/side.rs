//! One side: a hash table of entries that are copied as they are, whoever owns what they lead to.
//!
//! Both sides have the same layout, so that what one bin holds can be copied to the other side without
//! asking for anybody's hash.

use super::bin::{Bin, Hashed, Slots};
use core::marker::PhantomData;
use core::ptr::NonNull;

/// Where an entry lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) bin: usize,
    pub(super) slot: usize,
}

/// A place in one word, because a small device keeps one in each note of a change: the bin's number, and in the
/// lowest three bits the slot's. (A bin takes 64 bytes of memory, so its number has bits to spare.)
#[cfg(feature = "left-right")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PackedPlace(usize);

#[cfg(feature = "left-right")]
impl From<Place> for PackedPlace {
    fn from(place: Place) -> Self {
        debug_assert!(place.slot < 8);
        Self(place.bin << 3 | place.slot)
    }
}

#[cfg(feature = "left-right")]
impl From<PackedPlace> for Place {
    fn from(place: PackedPlace) -> Self {
        Self { bin: place.0 >> 3, slot: place.0 & 7 }
    }
}

/// A side as readers see it: where its bins are.
pub(super) struct View<E> {
    bins: NonNull<Bin<E>>,
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
    /// The side is neither changed nor dropped while the reference is used, and has so many bins.
    #[inline(always)]
    unsafe fn bin<'a>(self, number: usize) -> &'a Bin<E> {
        debug_assert!(number < self.number);
        // SAFETY: as the caller says.
        unsafe { self.bins.add(number).as_ref() }
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

    /// As `find`. An entry that lies where it belongs is handed to `at_home`, after its bin and its slot, any other
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
        Bin::prefetch(self.bins.as_ptr().wrapping_add(home));
        // SAFETY: as the caller says; homes are below the number.
        unsafe {
            match Self::find_in(self.bin(home), hash, is) {
                Ok((slot, entry)) => Some(at_home(home, slot, entry)),
                Err(true) => self.find_past_home(home, hash, is).map(behind),
                Err(false) => None,
            }
        }
    }

    /// As `find`, in one bin, with the entry's slot; fails with whether it may lie behind.
    #[inline(always)]
    fn find_in(
        bin: &Bin<E>,
        hash: Hashed,
        mut is: impl FnMut(&E) -> bool,
    ) -> Result<(usize, &E), bool> {
        let mut matches = bin.head().matches(hash);
        while let Some(slot) = matches.first() {
            // SAFETY: an entry is there if a tag is, and an empty slot never looks like one.
            let entry = unsafe { bin.entry(slot) };
            if is(entry) {
                return Ok((slot, entry));
            }
            matches = matches.without_first();
        }
        Err(bin.head().has_overflowed())
    }

    /// As `find`, behind the bin that the entry belongs to.
    #[inline(never)]
    unsafe fn find_past_home<'a>(
        self,
        home: usize,
        hash: Hashed,
        is: impl Fn(&E) -> bool + Copy,
    ) -> Option<&'a E> {
        let mut bin = self.after(home);
        while bin != home {
            // SAFETY: as the caller says.
            match Self::find_in(unsafe { self.bin(bin) }, hash, is) {
                Err(true) => bin = self.after(bin),
                found => return found.ok().map(|(_, entry)| entry),
            }
        }
        None
    }

    fn after(self, bin: usize) -> usize {
        if bin + 1 < self.number { bin + 1 } else { 0 }
    }

    /// Asks for the lines of the bin that `hash` names.
    #[cfg(feature = "left-right")]
    #[inline(always)]
    pub(super) fn prefetch(self, hash: Hashed) {
        Bin::prefetch(self.bins.as_ptr().wrapping_add(hash.home(self.number)));
    }

    /// Visits the entries in the bin that `hash` names whose tag is its: mostly the one of that hash, if there is
    /// one, and hardly ever another.
    ///
    /// # Safety
    /// The side is neither changed nor dropped meanwhile.
    #[cfg(feature = "left-right")]
    #[inline(always)]
    pub(super) unsafe fn likely(self, hash: Hashed, mut each: impl FnMut(&E)) {
        // SAFETY: as the caller says; homes are below the number.
        let bin = unsafe { self.bin(hash.home(self.number)) };
        let _ = Self::find_in(bin, hash, |entry| {
            each(entry);
            false
        });
    }

    /// Visits the entries that belong to the bin that `from` names, wherever they lie, but those of smaller hashes;
    /// the least hash that belongs behind it, if one does. An entry's place changes with the number of bins, the
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
            let bin = unsafe { self.bin(at) };
            for slot in bin.head().used() {
                // SAFETY: the head said that it is in use, and nothing changes.
                let entry = unsafe { bin.entry(slot) };
                let hash = hash(entry);
                if hash.home(self.number) == home && hash.0 >= from.0 {
                    each(entry);
                }
            }
            at = self.after(at);
            if !bin.head().has_overflowed() || at == home {
                return Hashed::first_past(home, self.number);
            }
        }
    }

    /// All entries.
    ///
    /// # Safety
    /// The side is neither changed nor dropped while the iterator and its results are used.
    #[inline]
    pub(super) unsafe fn entries<'a>(self) -> Entries<'a, E> {
        // SAFETY: as the caller says; there is at least one bin.
        let (slots, left) = (unsafe { self.bin(0) }.head().used(), self.len);
        Entries { view: self, bin: 0, slots, left, borrows: PhantomData }
    }
}

/// The entries of a side that does not change.
pub(super) struct Entries<'a, E> {
    view: View<E>,
    bin: usize,
    /// Of the bin, those that are left.
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
            let bin = unsafe { self.view.bin(self.bin) };
            if let Some(slot) = self.slots.next() {
                self.left -= 1;
                // SAFETY: the head said that it is in use, and nothing changes.
                return Some((Place { bin: self.bin, slot }, unsafe { bin.entry(slot) }));
            }
            if self.bin + 1 >= self.view.number {
                return None;
            }
            self.bin += 1;
            // SAFETY: as above.
            self.slots = unsafe { self.view.bin(self.bin) }.head().used();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// A side as its owner has it; `B` keeps the bins, at least one.
pub(super) struct Side<E, B> {
    bins: B,
    len: usize,
    generation: u64,
    entries: PhantomData<E>,
}

impl<E, B> Side<E, B> {
    /// Of bins that are empty, and not none.
    pub(super) const fn new(bins: B) -> Self {
        Self { bins, len: 0, generation: 0, entries: PhantomData }
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

impl<E: Copy, B: AsRef<[Bin<E>]> + AsMut<[Bin<E>]>> Side<E, B> {
    fn all(&self) -> &[Bin<E>] {
        self.bins.as_ref()
    }

    fn at(&mut self, bin: usize) -> &mut Bin<E> {
        &mut self.bins.as_mut()[bin]
    }

    pub(super) fn view(&self) -> View<E> {
        let (all, len, generation) = (self.all(), self.len, self.generation);
        View { bins: NonNull::from(all).cast(), number: all.len(), len, generation }
    }

    pub(super) fn bins(&self) -> usize {
        self.all().len()
    }

    pub(super) fn capacity(&self) -> usize {
        Bin::<E>::capacity(self.bins())
    }

    #[cfg(feature = "left-right")]
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.all())
    }

    pub(super) fn find(&self, hash: Hashed, is: impl Fn(&E) -> bool + Copy) -> Option<(Place, &E)> {
        let at_home = |bin, slot, entry| (Place { bin, slot }, entry);
        let behind = |entry| (self.place_of(entry), entry);
        // SAFETY: `&self` lives as long as the result, and changes ask for `&mut self`.
        unsafe { self.view().find_from_home(hash, is, at_home, behind) }
    }

    /// Where `entry` lies, which is one of these.
    #[inline(never)]
    fn place_of(&self, entry: &E) -> Place {
        let at = core::ptr::from_ref(entry).addr() - self.all().as_ptr().addr();
        let (bin, within) = (at / size_of::<Bin<E>>(), at % size_of::<Bin<E>>());
        // Entries of no size have no slot of their own: any that is in use will do.
        let any = || self.all()[bin].head().used().next();
        let slot = within.checked_div(size_of::<E>()).or_else(any);
        Place { bin, slot: slot.expect("in use") }
    }

    pub(super) fn entries(&self) -> Entries<'_, E> {
        // SAFETY: as in `find`.
        unsafe { self.view().entries() }
    }

    /// The places of `bin` in use now.
    pub(super) fn places_of(&self, bin: usize) -> impl Iterator<Item = Place> + use<E, B> {
        self.all()[bin].head().used().map(move |slot| Place { bin, slot })
    }

    /// The entry at `place`, if that is in use.
    pub(super) fn get(&self, place: Place) -> Option<&E> {
        let bin = self.all().get(place.bin)?;
        // SAFETY: the head says so.
        bin.head().holds(place.slot).then(|| unsafe { bin.entry(place.slot) })
    }

    /// Forgets all entries.
    pub(super) fn clear(&mut self) {
        self.bins.as_mut().iter_mut().for_each(Bin::clear);
        self.len = 0;
    }

    /// Returns the bin that the entry at `place` belongs to, if `hash` is what its key's `Hash` answers now. If the
    /// tag of the entry says that the key answered otherwise before, returns the bin where the entry lies: then no
    /// bin counts one entry less, and at worst some searches go further than they need.
    #[inline(always)]
    pub(super) fn home_of(&self, hash: Hashed, place: Place) -> usize {
        let home = hash.home(self.bins());
        // Most entries lie in the bin that they belong to, and need not be asked for their tag.
        let is_its = home == place.bin || self.all()[place.bin].head().has_tag(place.slot, hash);
        if is_its { home } else { place.bin }
    }

    /// Whether the entry at `place`, which belongs to the bin `home`, is found under `hash`.
    #[cfg(feature = "left-right")]
    pub(super) fn is_found_under(&self, hash: Hashed, home: usize, place: Place) -> bool {
        let head = self.all()[place.bin].head();
        hash.home(self.bins()) == home && head.has_tag(place.slot, hash)
    }

    /// Replaces the entry at `place`, which is in use.
    pub(super) fn replace(&mut self, place: Place, entry: E) -> E {
        self.at(place.bin).replace(place.slot, entry)
    }

    /// Places an entry that is not there yet, and returns its place. There must be room for it. Calls `touch` with each
    /// bin that changes.
    #[inline(always)]
    pub(super) fn place(&mut self, hash: Hashed, entry: E, mut mark: impl FnMut(usize)) -> Place {
        debug_assert!(self.len < self.capacity());
        let mut bin = hash.home(self.bins());
        loop {
            mark(bin);
            if let Some(slot) = self.at(bin).put(hash, entry) {
                self.len += 1;
                return Place { bin, slot };
            }
            self.at(bin).add_overflow();
            bin = self.view().after(bin);
        }
    }

    /// Takes out the entry at `place`, which belongs to the bin `home`. Calls `touch` with each bin that changes.
    pub(super) fn take(&mut self, home: usize, place: Place, mut mark: impl FnMut(usize)) -> E {
        let mut bin = home;
        while bin != place.bin {
            mark(bin);
            self.at(bin).remove_overflow();
            bin = self.view().after(bin);
        }
        mark(bin);
        self.len -= 1;
        self.at(bin).take(place.slot)
    }

    /// Has `bin` hold what it holds in `other`, which has as many.
    pub(super) fn copy_bin(&mut self, other: &Self, bin: usize) {
        *self.at(bin) = other.all()[bin];
        self.len = other.len;
    }

    /// Has all bins hold what they hold in `other`, which has as many.
    #[cfg(feature = "left-right")]
    pub(super) fn copy_all(&mut self, other: &Self) {
        self.bins.as_mut().copy_from_slice(other.all());
        self.len = other.len;
    }

    /// Asks for the lines of `bin`.
    #[cfg(feature = "left-right")]
    pub(super) fn prefetch(&self, bin: usize) {
        Bin::prefetch(self.all().as_ptr().wrapping_add(bin));
    }
}
