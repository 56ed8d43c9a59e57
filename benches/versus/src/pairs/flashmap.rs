//! flashmap.

use std::ptr::NonNull;

use ::flashmap::{ReadHandle, View, WriteGuard, WriteHandle};

use super::{HELD, Pair, Reader, Writer};
use crate::data::Word;
use crate::rivals::{Hasher, hasher};

/// flashmap.
pub struct Flashmap<V>(std::marker::PhantomData<V>);

impl<V: Word> Pair<V> for Flashmap<V> {
    const NAME: &'static str = "flashmap";
    type Writer = Held<V>;
    type Reader = ReadHandle<u64, V, Hasher>;

    fn new() -> (Self::Writer, Self::Reader) {
        // SAFETY: the hasher has one seed for ever.
        let (writer, reader) = unsafe { ::flashmap::with_hasher(hasher()) };
        let handle = NonNull::from(Box::leak(Box::new(writer)));
        (Held { guard: None, handle }, reader)
    }
}

/// A write handle and, from the first write until the publish, its guard, which
/// publishes when it is dropped.
pub struct Held<V: Word> {
    guard: Option<View<WriteGuard<'static, u64, V, Hasher>>>,
    /// A box of our own; while there is a guard, only the guard uses it.
    handle: NonNull<WriteHandle<u64, V, Hasher>>,
}

// SAFETY: the handle may be sent, and the guard, which borrows only from the
// handle, always goes with it.
unsafe impl<V: Word> Send for Held<V> {}

impl<V: Word> Held<V> {
    #[inline]
    fn guard(&mut self) -> &mut View<WriteGuard<'static, u64, V, Hasher>> {
        let handle = self.handle;
        // SAFETY: the handle lives until `drop`, which drops the guard before it,
        // and there is no guard yet that borrows it.
        self.guard.get_or_insert_with(|| unsafe { &mut *handle.as_ptr() }.guard())
    }
}

impl<V: Word> Drop for Held<V> {
    fn drop(&mut self) {
        self.guard = None;
        // SAFETY: from `Box::leak`, and nothing borrows it any more.
        drop(unsafe { Box::from_raw(self.handle.as_ptr()) });
    }
}

impl<V: Word> Writer<V> for Held<V> {
    #[inline]
    fn insert(&mut self, key: u64, value: V) {
        self.guard().insert(key, value);
    }

    #[inline]
    fn publish(&mut self) {
        if let Some(guard) = self.guard.take() {
            guard.publish();
        }
    }

    /// A new guard waits for readers of the old side and brings that up to date.
    #[inline]
    fn wait_for_readers(&mut self) {
        self.guard();
    }
}

impl<V: Word> Reader<V> for ReadHandle<u64, V, Hasher> {
    fn another(&self) -> Self {
        self.clone()
    }

    #[inline]
    fn get(&mut self, key: &u64, see: impl FnOnce(&V) -> u64) -> Option<u64> {
        self.guard().get(key).map(see)
    }

    #[inline]
    fn held(&mut self, keys: &[u64; HELD], see: impl Fn(Option<&V>) -> u64) -> u64 {
        let map = self.guard();
        keys.iter().map(|key| see(map.get(key))).sum()
    }
}
