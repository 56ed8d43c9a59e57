//! The operations against a sorted array, with nothing running beside them.

use crate::{
    HEAP, board,
    reading::{Random, Reading},
};
use alloc::vec::Vec;
use core::{fmt::Debug, hash::Hash};
use hedgerow::FlatMap;
use hedgerow::error::TryInsertError;
use hedgerow::flat::{Computed, Op};
use semihosting::println;

/// Keys of the small layouts, and of the memory of the smallest board.
const FEW: u32 = 24;

pub fn run() {
    let at_rest = HEAP.used();
    layout("u32 to three words", board::KEYS / 2, |n| n, Reading::new);
    layout("u64", FEW, |n| u64::from(n) << 29 | 1, |n, m| u64::from(n) << 40 | u64::from(m));
    // Each layout is code of its own, and the smallest board's flash holds two.
    if !cfg!(feature = "microbit") {
        layout("bytes", FEW, |n| n as u8, |n, m| (n ^ m) as u8);
        layout("24 bytes to u16", FEW, |n| [n as u8; 24], |n, m| (n + m) as u16);
        layout("no key bits to u32", 1, |_| (), |_, m| m);
    }
    whole_map();
    out_of_memory();
    assert_eq!(HEAP.used(), at_rest, "memory was lost");
    // The smallest board has no room for the code of more maps.
    #[cfg(not(feature = "microbit"))]
    crate::lending::run();
}

/// The expected content of the map, in the order of keys.
struct Model<K, V>(Vec<(K, V)>);

impl<K: Copy + Ord, V: Copy> Model<K, V> {
    fn place(&self, key: K) -> Result<usize, usize> {
        self.0.binary_search_by_key(&key, |&(key, _)| key)
    }

    fn get(&self, key: K) -> Option<V> {
        self.place(key).ok().map(|at| self.0[at].1)
    }

    fn set(&mut self, key: K, value: Option<V>) -> Option<V> {
        match (self.place(key), value) {
            (Ok(at), Some(value)) => Some(core::mem::replace(&mut self.0[at].1, value)),
            (Ok(at), None) => Some(self.0.remove(at).1),
            (Err(at), Some(value)) => {
                self.0.insert(at, (key, value));
                None
            }
            (Err(_), None) => None,
        }
    }
}

/// Random operations on `keys` keys of one layout, each answer compared with the model's.
fn layout<K, V>(name: &str, keys: u32, key: impl Fn(u32) -> K, value: impl Fn(u32, u32) -> V)
where
    K: Copy + Ord + Hash + Debug,
    V: Copy + PartialEq + Debug,
{
    const STEPS: u32 = 4000;
    let map = FlatMap::new();
    let mut model = Model(Vec::new());
    model.0.reserve_exact(keys as usize);
    let mut random = Random::new(0x9e37_79b9);
    let mut longest = 0;
    for step in 0..STEPS {
        let n = random.below(keys);
        let (key, new) = (key(n), value(n, step));
        let old = model.get(key);
        match random.below(9) {
            0 | 1 => assert_eq!(map.insert(key, new), model.set(key, Some(new))),
            2 => {
                assert_eq!(map.insert_if_absent(key, new).err().map(|error| error.current), old);
                model.set(key, old.or(Some(new)));
            }
            3 => assert_eq!(map.try_insert(key, new).expect("alone"), model.set(key, Some(new))),
            4 => assert_eq!(map.remove(&key), model.set(key, None)),
            5 => {
                assert_eq!(map.update(&key, |_| new), old.map(|_| new));
                model.set(key, old.map(|_| new));
            }
            6 => {
                let op = [Op::Keep, Op::Insert(new), Op::Remove][random.below(3) as usize];
                let after = match op {
                    Op::Keep => old,
                    Op::Insert(new) => Some(new),
                    Op::Remove => None,
                };
                let Computed { before, after: kept, .. } = map.compute(key, |_| op);
                assert_eq!((before, kept), (old, after));
                model.set(key, after);
            }
            7 => assert_eq!(map.try_get(&key).expect("alone"), old),
            _ => assert_eq!((map.get(&key), map.contains_key(&key)), (old, old.is_some())),
        }
        assert_eq!(map.len(), model.0.len());
        longest = longest.max(map.len());
    }
    let mut content: Vec<_> = map.iter().collect();
    content.sort_unstable_by_key(|&(key, _)| key);
    assert!(content == model.0, "{name}: iteration differs from the model");
    let stats = map.stats();
    println!(
        "{name}: {STEPS} steps, at most {longest} keys, {} bins, {} bytes",
        stats.bins, stats.memory_bytes
    );
}

/// Operations on the whole map at once.
fn whole_map() {
    let map: FlatMap<u32, u32> = (0..FEW).map(|n| (n, n)).collect();
    map.retain(|key, value| {
        *value += 100;
        key % 3 != 0
    });
    assert_eq!(map.len(), (FEW - FEW.div_ceil(3)) as usize);
    for n in 0..FEW {
        assert_eq!(map.get(&n), (n % 3 != 0).then_some(n + 100));
    }
    map.clear();
    assert!(map.is_empty() && map.iter().next().is_none());
    assert_eq!(map.insert(1, 2), None);
    assert!(map.try_reserve(usize::MAX / 2).is_err(), "more than the address space was promised");
    assert_eq!(map.get(&1), Some(2));
}

/// Inserts until the heap has no more: the key and the value come back, and nothing is lost.
fn out_of_memory() {
    let map = FlatMap::new();
    let mut n = 0;
    let refused = loop {
        match map.try_insert(n, Reading::new(n, n)) {
            Ok(old) => assert_eq!(old, None),
            Err(refused) => break refused,
        }
        n += 1;
        // Long before the heap is full, the table must have grown for these keys as for any.
        if n.is_power_of_two() && (128..=1024).contains(&n) && board::HEAP_BYTES > 100_000 {
            let lines = map.stats().overflow_lines;
            assert!(lines < n as usize / 2, "{n} keys, {lines} overflow lines: no growth");
        }
    };
    match refused {
        TryInsertError::Alloc { key, value } => assert_eq!((key, value), (n, Reading::new(n, n))),
        other => panic!("busy with nobody there: {other:?}"),
    }
    assert_eq!(map.len(), n as usize);
    for key in 0..n {
        assert_eq!(map.get(&key), Some(Reading::new(key, key)));
    }
    assert_eq!(map.get(&n), None);
    assert_eq!(map.insert(0, Reading::new(0, 1)), Some(Reading::new(0, 0)), "needs no memory");
    println!("heap full at {n} keys, {} bytes", map.stats().memory_bytes);
}
