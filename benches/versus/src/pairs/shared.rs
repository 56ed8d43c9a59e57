//! Maps that threads share: both handles are the map.

use std::sync::Arc;

use super::{HELD, Pair, Reader, Writer};
use crate::data::Word;
use crate::rivals::{Bench, Role};

/// Both handles of a shared map. `MANY` says whether its [`Bench::read_many`] is
/// a call for many keys, or else a loop under one guard.
pub struct Shared<M, const MANY: bool = false>(Arc<M>);

impl<V: Word, M: Bench<Key = u64, Value = V>, const MANY: bool> Pair<V> for Shared<M, MANY> {
    const NAME: &'static str = M::NAME;
    /// Others of ours are here for comparison only.
    const ROLE: Role = match M::ROLE {
        Role::Ours => Role::Foil,
        other => other,
    };
    const PUBLISHES: bool = false;
    const MANY: bool = MANY;
    type Writer = Self;
    type Reader = Self;

    fn new() -> (Self, Self) {
        let map = Arc::new(M::new());
        (Self(Arc::clone(&map)), Self(map))
    }
}

impl<V: Word, M: Bench<Key = u64, Value = V>, const MANY: bool> Writer<V> for Shared<M, MANY> {
    #[inline]
    fn insert(&mut self, key: u64, value: V) {
        self.0.insert(&key, &value, |_| 0);
    }
}

impl<V: Word, M: Bench<Key = u64, Value = V>, const MANY: bool> Reader<V> for Shared<M, MANY> {
    fn another(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    #[inline]
    fn get(&mut self, key: &u64, see: impl FnOnce(&V) -> u64) -> Option<u64> {
        self.0.read(key, see)
    }

    #[inline]
    fn held(&mut self, keys: &[u64; HELD], see: impl Fn(Option<&V>) -> u64) -> u64 {
        if !MANY {
            return self.0.read_many(keys, see);
        }
        let one = |key| self.get(key, |value| see(Some(value))).unwrap_or_else(|| see(None));
        keys.iter().map(one).sum()
    }

    #[inline]
    fn many(&mut self, keys: &[u64; HELD], see: impl Fn(Option<&V>) -> u64) -> u64 {
        self.0.read_many(keys, see)
    }
}
