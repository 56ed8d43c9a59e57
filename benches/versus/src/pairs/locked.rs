//! hashbrown's map under std's lock for many readers or one writer.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use hashbrown::HashMap;

use super::{HELD, Pair, Reader, Writer};
use crate::data::Word;
use crate::rivals::{Hasher, hasher};

type Map<V> = HashMap<u64, V, Hasher>;

/// Both handles of a map under a lock.
pub struct Locked<V>(Arc<RwLock<Map<V>>>);

impl<V> Locked<V> {
    #[inline]
    fn read(&self) -> RwLockReadGuard<'_, Map<V>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Word> Pair<V> for Locked<V> {
    const NAME: &'static str = "RwLock";
    const PUBLISHES: bool = false;
    type Writer = Self;
    type Reader = Self;

    fn new() -> (Self, Self) {
        let map = Arc::new(RwLock::new(Map::with_hasher(hasher())));
        (Self(Arc::clone(&map)), Self(map))
    }
}

impl<V: Word> Writer<V> for Locked<V> {
    #[inline]
    fn insert(&mut self, key: u64, value: V) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key, value);
    }
}

impl<V: Word> Reader<V> for Locked<V> {
    fn another(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    #[inline]
    fn get(&mut self, key: &u64, see: impl FnOnce(&V) -> u64) -> Option<u64> {
        self.read().get(key).map(see)
    }

    #[inline]
    fn held(&mut self, keys: &[u64; HELD], see: impl Fn(Option<&V>) -> u64) -> u64 {
        let map = self.read();
        keys.iter().map(|key| see(map.get(key))).sum()
    }
}
