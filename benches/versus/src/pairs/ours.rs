//! `LeftRightMap`: small values in both sides, and beside it with each boxed once;
//! larger ones boxed.

use hedgerow::left_right::{Boxed, Handles, Inline, ReadHandle, Storage, WriteHandle};
use std::marker::PhantomData;

use super::{HELD, OURS, Pair, Reader, Writer};
use crate::data::Word;
use crate::rivals::{Hasher, Role, hasher};

/// `LeftRightMap`, with entries kept in one of the two ways.
pub struct LeftRightMap<V, P>(PhantomData<(V, P)>);

/// Values of no more bytes are kept in both sides.
pub const INLINE: usize = 16;

/// A way to keep entries, and to make a map that does.
pub trait StoredAs<V>: Storage<u64, V> + Sized + 'static {
    /// As tables call the map with small values.
    const NAME: &'static str;
    /// An empty map.
    fn handles() -> Handles<u64, V, Hasher, Self>;
}

impl<V: Word> StoredAs<V> for Inline {
    const NAME: &'static str = OURS;

    fn handles() -> Handles<u64, V, Hasher, Self> {
        hedgerow::LeftRightMap::inline_with_hasher(hasher())
    }
}

impl<V: Word> StoredAs<V> for Boxed {
    const NAME: &'static str = "LeftRightMap, boxed";

    fn handles() -> Handles<u64, V, Hasher, Self> {
        hedgerow::LeftRightMap::with_hasher(hasher())
    }
}

impl<V: Word, P: StoredAs<V>> Pair<V> for LeftRightMap<V, P> {
    const NAME: &'static str = if size_of::<V>() <= INLINE { P::NAME } else { OURS };
    const ROLE: Role = Role::Ours;
    const MANY: bool = true;
    type Writer = WriteHandle<u64, V, Hasher, P>;
    type Reader = ReadHandle<u64, V, Hasher, P>;

    fn new() -> (Self::Writer, Self::Reader) {
        P::handles()
    }
}

impl<V: Word, P: StoredAs<V>> Writer<V> for WriteHandle<u64, V, Hasher, P> {
    #[inline]
    fn insert(&mut self, key: u64, value: V) {
        WriteHandle::insert(self, key, value);
    }

    #[inline]
    fn batched(&mut self, work: impl FnOnce(&mut dyn FnMut(u64, V))) {
        let mut batch = self.batch();
        work(&mut |key, value| batch.insert(key, value));
    }

    #[inline]
    fn publish(&mut self) {
        WriteHandle::publish(self);
    }

    #[inline]
    fn wait_for_readers(&mut self) {
        WriteHandle::wait_for_readers(self);
    }
}

impl<V: Word, P: StoredAs<V>> Reader<V> for ReadHandle<u64, V, Hasher, P> {
    fn another(&self) -> Self {
        self.clone()
    }

    #[inline]
    fn get(&mut self, key: &u64, see: impl FnOnce(&V) -> u64) -> Option<u64> {
        self.get_with(key, see)
    }

    #[inline]
    fn held(&mut self, keys: &[u64; HELD], see: impl Fn(Option<&V>) -> u64) -> u64 {
        let snapshot = self.enter();
        keys.iter().map(|key| see(snapshot.get(key))).sum()
    }

    #[inline]
    fn many(&mut self, keys: &[u64; HELD], see: impl Fn(Option<&V>) -> u64) -> u64 {
        let snapshot = self.enter();
        snapshot.get_many(keys.each_ref()).into_iter().map(see).sum()
    }
}
