//! left-right, with hashbrown's map behind it.

use ::left_right::{Absorb, ReadHandle, WriteHandle};
use hashbrown::HashMap;

use super::{HELD, Pair, Reader, Writer};
use crate::data::Word;
use crate::rivals::{Hasher, hasher};

/// left-right around a map.
pub struct LeftRight<V>(std::marker::PhantomData<V>);

/// One of the two sides.
#[derive(Clone)]
pub struct Side<V>(HashMap<u64, V, Hasher>);

/// A key and its new value.
pub struct Set<V>(u64, V);

impl<V: Word> Absorb<Set<V>> for Side<V> {
    fn absorb_first(&mut self, set: &mut Set<V>, _: &Self) {
        self.0.insert(set.0, set.1);
    }

    fn absorb_second(&mut self, set: Set<V>, _: &Self) {
        self.0.insert(set.0, set.1);
    }

    fn sync_with(&mut self, first: &Self) {
        self.0.clone_from(&first.0);
    }
}

impl<V: Word> Pair<V> for LeftRight<V> {
    const NAME: &'static str = "left-right";
    type Writer = WriteHandle<Side<V>, Set<V>>;
    type Reader = ReadHandle<Side<V>>;

    fn new() -> (Self::Writer, Self::Reader) {
        ::left_right::new_from_empty(Side(HashMap::with_hasher(hasher())))
    }
}

impl<V: Word> Writer<V> for WriteHandle<Side<V>, Set<V>> {
    #[inline]
    fn insert(&mut self, key: u64, value: V) {
        self.append(Set(key, value));
    }

    #[inline]
    fn publish(&mut self) {
        self.publish();
    }
}

impl<V: Word> Reader<V> for ReadHandle<Side<V>> {
    fn another(&self) -> Self {
        self.clone()
    }

    #[inline]
    fn get(&mut self, key: &u64, see: impl FnOnce(&V) -> u64) -> Option<u64> {
        self.enter()?.0.get(key).map(see)
    }

    #[inline]
    fn held(&mut self, keys: &[u64; HELD], see: impl Fn(Option<&V>) -> u64) -> u64 {
        let side = self.enter().expect("the writer is there");
        keys.iter().map(|key| see(side.0.get(key))).sum()
    }
}
