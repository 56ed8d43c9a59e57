//! A `FenceMap`, with the interface of the map that it stands in for. The main loop balances its fences, too, and
//! reads all of it as one range.

use crate::{HEAP, board, notes::Counter, reading::Reading};
use alloc::vec;
use hedgerow::FenceMap;
use hedgerow::error::Busy;
use hedgerow::fence::{Op, Range};
use semihosting::println;

pub use hedgerow::error::TryInsertError;

/// A step of balancing follows one of this many inserts.
const PACE: u32 = 8;

pub struct Map {
    map: FenceMap<u32, Reading>,
    inserts: Counter,
}

impl Map {
    /// Makes a map of two fences, so that balancing has work to do.
    pub fn new() -> Self {
        let map = FenceMap::new().with_splits([board::KEYS / 2]);
        Self { map, inserts: Counter::new() }
    }

    pub fn get(&self, key: &u32) -> Option<Reading> {
        self.map.get(key)
    }

    pub fn insert(&self, key: u32, value: Reading) -> Option<Reading> {
        self.inserts.add_one();
        if self.inserts.get() % PACE == 0 {
            self.map.rebalance_step(usize::MAX);
        }
        self.map.insert(key, value)
    }

    pub fn update(&self, key: &u32, f: impl FnMut(Reading) -> Reading) -> Option<Reading> {
        self.map.update(key, f)
    }

    pub fn remove(&self, key: &u32) -> Option<Reading> {
        self.map.remove(key)
    }

    pub fn try_get(&self, key: &u32) -> Result<Option<Reading>, Busy> {
        self.map.try_get(key)
    }

    pub fn try_insert(
        &self,
        key: u32,
        value: Reading,
    ) -> Result<Option<Reading>, TryInsertError<u32, Reading>> {
        self.map.try_insert(key, value)
    }

    pub fn len(&self) -> usize {
        self.map.len()
    }
}

impl IntoIterator for &Map {
    type Item = (u32, Reading);
    type IntoIter = Range<u32, Reading>;

    fn into_iter(self) -> Self::IntoIter {
        self.map.range(..)
    }
}

/// Fills a map and empties it again, with nothing running beside it; then one until the heap has no more.
pub fn run() {
    let at_rest = HEAP.used();
    let of = |key| Reading::new(key, key);
    let map: FenceMap<u32, Reading> = (0..board::KEYS).rev().map(|key| (key, of(key))).collect();
    assert!(map.range(10..20).eq((10..20).map(|key| (key, of(key)))));
    assert_eq!(
        (map.first_key_value(), map.last_key_value()),
        (Some((0, of(0))), map.get(&(board::KEYS - 1)).map(|v| (board::KEYS - 1, v)))
    );
    let changes =
        [(3, Op::Remove), (board::KEYS - 2, Op::Insert(of(7))), (board::KEYS, Op::Insert(of(8)))];
    assert_eq!(map.apply_batch(&changes), vec![Some(of(3)), Some(of(board::KEYS - 2)), None]);
    assert_eq!((map.get(&3), map.ceiling(&3)), (None, Some((4, of(4)))));
    assert_eq!(map.remove_range(..) as u32, board::KEYS);
    assert!(map.is_empty() && map.pop_first().is_none());
    drop(map);
    assert_eq!(HEAP.used(), at_rest, "memory was lost");
    out_of_memory();
    assert_eq!(HEAP.used(), at_rest, "memory was lost");
}

fn out_of_memory() {
    let map = FenceMap::new();
    let value = |key: u32| Reading::new(key, key);
    let mut n = 0;
    let refused = loop {
        match map.try_insert(n, value(n)) {
            Ok(old) => assert_eq!(old, None),
            Err(refused) => break refused,
        }
        n += 1;
    };
    match refused {
        TryInsertError::Alloc { key, value: back } => assert_eq!((key, back), (n, value(n))),
        other => panic!("busy with nobody there: {other:?}"),
    }
    assert_eq!(map.len(), n as usize);
    assert!((0..n).all(|key| map.get(&key) == Some(value(key))), "a key vanished");
    let stats = map.stats();
    println!("heap full at {n} keys in {} fences, {} bytes", stats.fences, stats.memory_bytes);
}
