//! arc-swap: every publish replaces a whole map, which the next write copies.

use std::marker::PhantomData;
use std::sync::Arc;

use ::arc_swap::{ArcSwap, Cache};
use hashbrown::HashMap;

use super::{HELD, Pair, Reader, Writer};
use crate::data::Word;
use crate::rivals::{Hasher, hasher};
use crate::work::pairs::Paired;
use crate::work::{Row, Workload};

type Map<V> = HashMap<u64, V, Hasher>;
type Shared<V> = Arc<ArcSwap<Map<V>>>;

/// No more entries are copied than this for an operation: tens of microseconds
/// are enough to see who loses.
const TIME_LIMIT: usize = 2000;

/// arc-swap, loaded for each look-up.
pub struct Swap<V>(PhantomData<V>);

/// arc-swap's cache, which keeps a map until there is another.
pub struct Cached<V>(PhantomData<V>);

/// The map that all see and, from the first write until the publish, its
/// successor.
pub struct Successor<V> {
    shared: Shared<V>,
    next: Option<Map<V>>,
}

impl<V: Word> Pair<V> for Swap<V> {
    const NAME: &'static str = "arc-swap";
    type Writer = Successor<V>;
    type Reader = Shared<V>;

    fn new() -> (Self::Writer, Self::Reader) {
        let shared = Arc::new(ArcSwap::from_pointee(Map::with_hasher(hasher())));
        (Successor { shared: Arc::clone(&shared), next: None }, shared)
    }

    fn can(row: &Row) -> bool {
        match row.workload {
            Workload::Pair(Paired::Mix { every, by }) => row.n / (every * by) <= TIME_LIMIT,
            _ => true,
        }
    }
}

impl<V: Word> Pair<V> for Cached<V> {
    const NAME: &'static str = "arc-swap cache";
    type Writer = Successor<V>;
    type Reader = Cache<Shared<V>, Arc<Map<V>>>;

    fn new() -> (Self::Writer, Self::Reader) {
        let (writer, shared) = Swap::new();
        (writer, Cache::new(shared))
    }

    fn can(row: &Row) -> bool {
        Swap::<V>::can(row)
    }
}

impl<V: Word> Successor<V> {
    #[inline]
    fn next(&mut self) -> &mut Map<V> {
        let Self { shared, next } = self;
        next.get_or_insert_with(|| Map::clone(&shared.load()))
    }
}

impl<V: Word> Writer<V> for Successor<V> {
    #[inline]
    fn insert(&mut self, key: u64, value: V) {
        self.next().insert(key, value);
    }

    #[inline]
    fn publish(&mut self) {
        if let Some(next) = self.next.take() {
            self.shared.store(Arc::new(next));
        }
    }

    #[inline]
    fn wait_for_readers(&mut self) {
        self.next();
    }
}

impl<V: Word> Reader<V> for Shared<V> {
    fn another(&self) -> Self {
        Arc::clone(self)
    }

    #[inline]
    fn get(&mut self, key: &u64, see: impl FnOnce(&V) -> u64) -> Option<u64> {
        self.load().get(key).map(see)
    }

    #[inline]
    fn held(&mut self, keys: &[u64; HELD], see: impl Fn(Option<&V>) -> u64) -> u64 {
        let map = self.load();
        keys.iter().map(|key| see(map.get(key))).sum()
    }
}

impl<V: Word> Reader<V> for Cache<Shared<V>, Arc<Map<V>>> {
    fn another(&self) -> Self {
        self.clone()
    }

    #[inline]
    fn get(&mut self, key: &u64, see: impl FnOnce(&V) -> u64) -> Option<u64> {
        self.load().get(key).map(see)
    }

    #[inline]
    fn held(&mut self, keys: &[u64; HELD], see: impl Fn(Option<&V>) -> u64) -> u64 {
        let map = self.load();
        keys.iter().map(|key| see(map.get(key))).sum()
    }
}
