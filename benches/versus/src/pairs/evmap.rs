//! evmap, with one value a key.

use ::evmap::Options;
use ::evmap::handles::{ReadHandle, WriteHandle};

use super::{HELD, Pair, Reader, Writer};
use crate::data::Word;
use crate::rivals::{Hasher, hasher};

/// evmap.
pub struct Evmap<V>(std::marker::PhantomData<V>);

impl<V: Word> Pair<V> for Evmap<V> {
    const NAME: &'static str = "evmap";
    type Writer = WriteHandle<u64, V, (), Hasher>;
    type Reader = ReadHandle<u64, V, (), Hasher>;

    fn new() -> (Self::Writer, Self::Reader) {
        // SAFETY: the hasher's seed never changes, and words hash and compare by
        // their value.
        unsafe { Options::default().with_hasher(hasher()).assert_stable() }
    }
}

impl<V: Word> Writer<V> for WriteHandle<u64, V, (), Hasher> {
    #[inline]
    fn insert(&mut self, key: u64, value: V) {
        // `insert` would add a second value.
        self.update(key, value);
    }

    #[inline]
    fn publish(&mut self) {
        self.publish();
    }
}

impl<V: Word> Reader<V> for ReadHandle<u64, V, (), Hasher> {
    fn another(&self) -> Self {
        self.clone()
    }

    #[inline]
    fn get(&mut self, key: &u64, see: impl FnOnce(&V) -> u64) -> Option<u64> {
        self.get_one(key).map(|value| see(&value))
    }

    #[inline]
    fn held(&mut self, keys: &[u64; HELD], see: impl Fn(Option<&V>) -> u64) -> u64 {
        let map = self.enter().expect("something was published");
        keys.iter().map(|key| see(map.get_one(key))).sum()
    }
}
