//! `HashMap`, with numbers for keys.

use std::sync::Arc;

use hedgerow::HashMap;

use super::{HELD, Pair, Reader, Writer};
use crate::data::Word;
use crate::rivals::{Hasher, Role, hasher};

/// Both handles of a `HashMap`.
pub struct Entries<V>(Arc<HashMap<u64, V, Hasher>>);

impl<V: Word> Pair<V> for Entries<V> {
    const NAME: &'static str = "HashMap";
    const ROLE: Role = Role::Foil;
    const PUBLISHES: bool = false;
    const MANY: bool = true;
    type Writer = Self;
    type Reader = Self;

    fn new() -> (Self, Self) {
        let map = Arc::new(HashMap::with_hasher(hasher()));
        (Self(Arc::clone(&map)), Self(map))
    }
}

impl<V: Word> Writer<V> for Entries<V> {
    #[inline]
    fn insert(&mut self, key: u64, value: V) {
        self.0.insert(key, value);
    }
}

impl<V: Word> Reader<V> for Entries<V> {
    fn another(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    #[inline]
    fn get(&mut self, key: &u64, see: impl FnOnce(&V) -> u64) -> Option<u64> {
        self.0.pin().get(key).map(see)
    }

    #[inline]
    fn held(&mut self, keys: &[u64; HELD], see: impl Fn(Option<&V>) -> u64) -> u64 {
        let map = self.0.pin();
        keys.iter().map(|key| see(map.get(key))).sum()
    }

    #[inline]
    fn many(&mut self, keys: &[u64; HELD], see: impl Fn(Option<&V>) -> u64) -> u64 {
        let (map, mut values) = (self.0.pin(), [None; HELD]);
        map.get_many(&keys.each_ref(), &mut values);
        values.iter().map(|value| see(*value)).sum()
    }
}
