//! Keys and values that can tell whether they are whole, and whether they were dropped.

use crate::world;
use hedgerow::fence::Ranking;
use std::cmp::Ordering;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};

/// A key's or value's content, made of a number that it can tell as long as it is whole.
pub trait Thing: Clone + Default + PartialEq + Send + Sync + Sized + 'static {
    /// Makes one.
    fn make(id: u32) -> Self;

    /// Returns the number that it was made of; `None` if it has no place for one. Notes a finding if the value is torn
    /// or dropped.
    fn id(&self) -> Option<u32>;

    /// Returns a clone with this number.
    #[must_use]
    fn with_id(&self, id: u32) -> Self {
        Self::make(id)
    }
}

/// Traits of values by their numbers: each is user code, and so may panic or call the map.
macro_rules! by_number {
    ($([$($generics:tt)*] $thing:ty;)*) => {$(
        impl<$($generics)*> PartialEq for $thing {
            fn eq(&self, other: &Self) -> bool {
                world::step();
                self.id() == other.id()
            }
        }

        impl<$($generics)*> Default for $thing {
            fn default() -> Self {
                world::step();
                Self::make(world::LASTING)
            }
        }
    )*};
    (with clones: $($thing:ty;)*) => {
        by_number!($([] $thing;)*);
        $(impl Clone for $thing {
            fn clone(&self) -> Self {
                world::step();
                Self::make(self.id().unwrap_or(world::LASTING))
            }
        })*
    };
}
pub(crate) use by_number;

by_number! {
    [] Pair;
    [] Unit;
    [] Page;
    [const PAIRS: usize] Bulk<PAIRS>;
}
by_number! {
    with clones:
    Owned;
    OwnedPage;
    Void;
}

// ------------------------------------------------------------------------------------- plain data

/// Two words that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Pair(u64, u64);

impl Pair {
    fn of(id: u32) -> Self {
        let word = u64::from(id) << 32 | u64::from(!id);
        Self(word, !word)
    }

    /// Its number, if its halves agree.
    fn whole(self) -> Result<u32, u32> {
        let id = (self.0 >> 32) as u32;
        let whole = self.1 == !self.0 && self.0 as u32 == !id;
        if whole { Ok(id) } else { Err(id) }
    }

    fn checked(self, what: &str) -> u32 {
        self.whole().unwrap_or_else(|id| {
            world::note(|| format!("a torn {what}: {:#x}, {:#x}", self.0, self.1));
            id
        })
    }
}

impl Thing for Pair {
    fn make(id: u32) -> Self {
        Self::of(id)
    }

    fn id(&self) -> Option<u32> {
        Some(self.checked("pair of words"))
    }
}

/// Nothing.
#[derive(Clone, Copy, Debug)]
pub struct Unit;

impl Thing for Unit {
    fn make(_: u32) -> Self {
        Self
    }

    fn id(&self) -> Option<u32> {
        None
    }
}

/// A pair that is aligned to half a page. (The compiler misplaces values that are aligned to a whole page: see
/// `hedgerow::docs::limits`.)
#[derive(Clone, Copy, Debug)]
#[repr(align(2048))]
pub struct Page(Pair);

impl Thing for Page {
    fn make(id: u32) -> Self {
        Self(Pair::of(id))
    }

    fn id(&self) -> Option<u32> {
        let at = std::ptr::from_ref(self).addr();
        if !at.is_multiple_of(2048) {
            world::note(|| format!("a value that is aligned to half a page is at {at:#x}"));
        }
        Some(self.0.checked("page"))
    }
}

/// Many pairs that are the same: `Bulk<4096>` has 64 KiB.
#[derive(Clone, Copy, Debug)]
pub struct Bulk<const PAIRS: usize>([Pair; PAIRS]);

impl<const PAIRS: usize> Thing for Bulk<PAIRS> {
    #[allow(clippy::large_stack_arrays, reason = "that is what it is for")]
    fn make(id: u32) -> Self {
        Self([Pair::of(id); PAIRS])
    }

    fn id(&self) -> Option<u32> {
        let id = self.0[0].checked("large value");
        for at in [1, PAIRS / 2, PAIRS - 2, PAIRS - 1] {
            let other = self.0[at].checked("large value");
            if other != id {
                world::note(|| format!("a torn large value: {id} first, {other} at {at}"));
            }
        }
        Some(id)
    }
}

// ------------------------------------------------------------------------------ data with destructors

/// Values of one program that can be told apart.
const MOST: usize = 1 << 16;
const ALIVE: u8 = 1;
const DEAD: u8 = 2;
/// By serial number: whether the value is alive. The harness owns this memory, so it can read it after the value's own
/// memory was freed.
static STATES: [AtomicU8; MOST] = [const { AtomicU8::new(0) }; MOST];
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Forgets the values of the last program.
pub(crate) fn forget_all() {
    NEXT.store(0, Relaxed);
}

/// A value with a destructor and memory of its own.
#[derive(Debug)]
pub struct Owned {
    /// Number and serial number.
    pair: (Pair, Pair),
    /// An allocation that no code reads: a sanitizer sees whether it is freed once.
    heap: Box<u32>,
}

impl Owned {
    fn state(&self, what: &str) -> Option<&'static AtomicU8> {
        STATES.get(self.pair.1.checked(what) as usize)
    }
}

impl Thing for Owned {
    fn make(id: u32) -> Self {
        let serial = NEXT.fetch_add(1, Relaxed);
        if let Some(state) = STATES.get(serial as usize) {
            state.store(ALIVE, Relaxed);
        }
        world::created();
        let heap = world::unfailing(|| Box::new(id));
        Self { pair: (Pair::of(id), Pair::of(serial)), heap }
    }

    fn id(&self) -> Option<u32> {
        let state = self.state("owned value, looked at");
        if state.is_some_and(|state| state.load(Relaxed) != ALIVE) {
            world::note(|| "a value is looked at that was dropped".into());
        } else if *self.heap != self.pair.0.checked("owned value") {
            world::note(|| "an owned value and its memory do not agree".into());
        }
        Some(self.pair.0.checked("owned value"))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let state = self.state("owned value, dropped");
        if state.is_some_and(|state| state.swap(DEAD, Relaxed) != ALIVE) {
            world::note(|| "a value is dropped twice".into());
        }
        world::died();
        world::drop_step();
    }
}

/// An owned value that is aligned to half a page.
#[derive(Debug)]
#[repr(align(2048))]
pub struct OwnedPage(Owned);

impl Thing for OwnedPage {
    fn make(id: u32) -> Self {
        Self(Owned::make(id))
    }

    fn id(&self) -> Option<u32> {
        let at = std::ptr::from_ref(self).addr();
        if !at.is_multiple_of(2048) {
            world::note(|| format!("an owned value that is aligned to half a page is at {at:#x}"));
        }
        self.0.id()
    }
}

/// Nothing, with a destructor.
#[derive(Debug)]
pub struct Void(());

impl Thing for Void {
    fn make(_: u32) -> Self {
        world::created();
        Self(())
    }

    fn id(&self) -> Option<u32> {
        None
    }
}

impl Drop for Void {
    fn drop(&mut self) {
        world::died();
        world::drop_step();
    }
}

// -------------------------------------------------------------------------------------------- keys

/// A key whose traits behave as the program's manners say.
#[derive(Debug)]
pub struct Key<T>(pub T);

impl<T: Thing> Key<T> {
    /// Makes a key of this number.
    pub fn make(id: u32) -> Self {
        Self(T::make(id))
    }

    /// The number that it was made of. All keys without a place for one are the same.
    pub fn id(&self) -> u32 {
        self.0.id().unwrap_or(world::LASTING)
    }
}

impl<T: Thing> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        world::step();
        state.write_u64(world::hashed(self.id()));
    }
}

impl<T: Thing> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        world::step();
        world::same(self.id(), other.id())
    }
}

impl<T: Thing> Eq for Key<T> {}

impl<T: Thing> Ord for Key<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        world::step();
        world::ordered(self.id(), other.id())
    }
}

impl<T: Thing> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[allow(clippy::expl_impl_clone_on_copy, reason = "a clone is the user's code, and may lie")]
impl<T: Thing> Clone for Key<T> {
    fn clone(&self) -> Self {
        world::step();
        Self(self.0.with_id(world::cloned(self.id())))
    }
}

impl<T: Thing + Copy> Copy for Key<T> {}

/// A ranking that lies as `Ord` does.
#[derive(Clone, Copy, Debug)]
pub struct Ranked;

impl<T: Thing> Ranking<Key<T>> for Ranked {
    fn rank(&self, key: &Key<T>) -> u64 {
        world::step();
        world::ranked(key.id())
    }
}

// ----------------------------------------------------------------------------------------- hashers

/// Mixes its input, or passes it on unchanged.
#[derive(Clone, Copy, Debug)]
pub struct Spread(pub bool);

impl BuildHasher for Spread {
    type Hasher = Spreading;

    fn build_hasher(&self) -> Spreading {
        world::step();
        Spreading { spreads: self.0, word: 0 }
    }
}

/// The hasher of [`Spread`].
#[derive(Debug)]
pub struct Spreading {
    spreads: bool,
    word: u64,
}

impl Hasher for Spreading {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.word = self.word.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ word;
    }

    fn finish(&self) -> u64 {
        if self.spreads {
            let word = (self.word ^ self.word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            word ^ word >> 31
        } else {
            self.word
        }
    }
}
