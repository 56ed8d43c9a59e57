//! Messages between the handler and the main loop, the same for every map under test.

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
};

/// A counter that only one side writes, so that it needs no read-modify-write.
pub struct Counter(AtomicU32);

impl Counter {
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    pub fn add_one(&self) {
        self.0.store(self.0.load(SeqCst) + 1, SeqCst);
    }

    pub fn get(&self) -> u32 {
        self.0.load(SeqCst)
    }

    /// Begins again, while the other side does not count.
    #[cfg(feature = "left-right")]
    pub fn reset(&self) {
        self.0.store(0, SeqCst);
    }
}

/// The first wrong thing that the handler saw: its kind, the key, the words.
static WRONG: [AtomicU32; 5] = [const { AtomicU32::new(0) }; 5];

/// Takes note of a wrong thing, if it is the first; `kind` is not zero.
pub fn report(kind: u32, key: u32, words: [u32; 3]) {
    if WRONG[0].load(SeqCst) == 0 {
        for (place, word) in WRONG.iter().zip([kind, key, words[0], words[1], words[2]]) {
            place.store(word, SeqCst);
        }
    }
}

/// Returns the report of the handler.
pub fn wrong() -> Option<(u32, u32, [u32; 3])> {
    let [kind, key, words @ ..] = [0, 1, 2, 3, 4].map(|i: usize| WRONG[i].load(SeqCst));
    (kind != 0).then_some((kind, key, words))
}

/// A place for a value of the present round that the handler uses.
pub struct Slot<T>(UnsafeCell<Option<T>>);

// SAFETY: the caller of `replace` guarantees that no reference to the content exists, and replaces it only in a
// critical section. There is one core, so a content that only the handler uses, such as a reader's handle, has one
// user at a time. A content that both use, the map, is `Sync`.
unsafe impl<T> Sync for Slot<T> {}

impl<T> Slot<T> {
    pub const fn new() -> Self {
        Self(UnsafeCell::new(None))
    }

    /// Puts something else there, and gives what was there. Nobody may have a reference to that: the main
    /// loop calls this between rounds only, the handler for slots without references alone.
    pub fn replace(&self, content: Option<T>) -> Option<T> {
        // SAFETY: no handler runs here, and there is no reference, as said above.
        critical_section::with(|_| unsafe { core::mem::replace(&mut *self.0.get(), content) })
    }

    pub fn get(&self) -> Option<&T> {
        // SAFETY: the content is not replaced while there are references, as said at `replace`.
        unsafe { (*self.0.get()).as_ref() }
    }
}
