//! A `FlatTable` in a `static`, with the interface of the map that it stands in for: nothing of it is on
//! the heap, and it is so full that many keys lie outside their own bin.

use crate::{board, reading::Reading};
use hedgerow::FlatTable;
use hedgerow::error::{Busy, Full};
use hedgerow::flat::TableIter;
use semihosting::println;

pub use hedgerow::error::TryInsertError;

/// Three slots each: four in five of them are taken when all keys are there.
const BINS: usize = board::KEYS as usize * 5 / 12;

static TABLE: FlatTable<u32, Reading, BINS> = FlatTable::new();

pub struct Table;

impl Table {
    pub fn new() -> Self {
        TABLE.clear();
        Self
    }

    pub fn get(&self, key: &u32) -> Option<Reading> {
        TABLE.get(key)
    }

    pub fn insert(&self, key: u32, value: Reading) -> Option<Reading> {
        TABLE.insert(key, value).expect("there is room for all keys")
    }

    pub fn update(&self, key: &u32, f: impl FnMut(Reading) -> Reading) -> Option<Reading> {
        TABLE.update(key, f)
    }

    pub fn remove(&self, key: &u32) -> Option<Reading> {
        TABLE.remove(key)
    }

    pub fn try_get(&self, key: &u32) -> Result<Option<Reading>, Busy> {
        TABLE.try_get(key)
    }

    pub fn try_insert(
        &self,
        key: u32,
        value: Reading,
    ) -> Result<Option<Reading>, TryInsertError<u32, Reading>> {
        TABLE.try_insert(key, value)
    }

    pub fn len(&self) -> usize {
        TABLE.len()
    }
}

impl<'a> IntoIterator for &'a Table {
    type Item = (u32, Reading);
    type IntoIter = TableIter<'a, u32, Reading, BINS>;

    fn into_iter(self) -> Self::IntoIter {
        TABLE.iter()
    }
}

/// Fills the table and empties it again, with nothing running beside it.
pub fn run() {
    let of = |key| Reading::new(key, key);
    let mut n = 0;
    let refused = loop {
        match TABLE.insert(n, of(n)) {
            Ok(old) => assert_eq!(old, None),
            Err(full) => break full,
        }
        n += 1;
    };
    let Full { key, value, .. } = refused;
    assert_eq!((key, value, TABLE.get(&n)), (n, of(n), None));
    assert_eq!(TABLE.len(), n as usize);
    assert!((0..n).all(|key| TABLE.get(&key) == Some(of(key))), "a key vanished");
    TABLE.retain(|key, value| {
        *value = Reading::new(*key, 7);
        key % 3 != 0
    });
    for key in 0..n {
        let kept = (key % 3 != 0).then(|| Reading::new(key, 7));
        assert_eq!((TABLE.remove(&key), TABLE.try_remove(&key)), (kept, Ok(None)));
    }
    assert!(TABLE.is_empty());
    println!("{} bytes, full at {n} keys of {}", size_of_val(&TABLE), TABLE.capacity());
}
