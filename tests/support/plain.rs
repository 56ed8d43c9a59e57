//! `FenceMap` as the target of a recorded history.

use super::ordered_play::Target;
use super::support::history::Value;
use super::support::ordered::Near;
use hedgerow::FenceMap;
use hedgerow::fence::Op;

/// A value of equal words, so large that a handful of entries fills a leaf.
type Wide<const N: usize> = [Value; N];

fn whole<const N: usize>(wide: &Wide<N>) -> Value {
    assert!(wide.iter().all(|word| *word == wide[0]), "torn");
    wide[0]
}

#[derive(Default)]
pub(crate) struct Plain<const N: usize>(FenceMap<u64, Wide<N>>);

impl<const N: usize> Target for Plain<N> {
    fn get(&self, key: u64, way: usize) -> Option<Value> {
        match way {
            0 => self.0.get_with(&key, whole),
            1 => {
                let mut found = [None; 20];
                let mut keys = [0; 20];
                keys[7] = key;
                self.0.get_many(&keys, &mut found);
                found[7].as_ref().map(whole)
            }
            _ => self.0.get(&key).as_ref().map(whole),
        }
    }

    fn insert(&self, key: u64, value: Value) -> Option<Value> {
        self.0.insert(key, [value; N]).as_ref().map(whole)
    }

    fn insert_if_absent(&self, key: u64, value: Value) -> Option<Value> {
        self.0.insert_if_absent(key, [value; N]).err().map(|error| whole(&error.current))
    }

    fn remove(&self, key: u64) -> Option<Value> {
        self.0.remove(&key).as_ref().map(whole)
    }

    fn toggle(&self, key: u64, value: Value) -> Option<Value> {
        let toggled =
            |old: Option<_>| if old.is_some() { Op::Remove } else { Op::Insert([value; N]) };
        self.0.compute(key, toggled).before.as_ref().map(whole)
    }

    fn compare_exchange(&self, key: u64, from: Value, to: Value) -> Option<Value> {
        let before = self.0.compare_exchange(key, Some([from; N]), Some([to; N]));
        before.unwrap_or_else(|other| other).as_ref().map(whole)
    }

    fn near(&self, near: Near, key: u64) -> Option<(u64, Value)> {
        let found = match near {
            Near::First => self.0.first_key_value(),
            Near::Last => self.0.last_key_value(),
            Near::PopFirst => self.0.pop_first(),
            Near::PopLast => self.0.pop_last(),
            Near::Floor => self.0.floor(&key),
            Near::Ceiling => self.0.ceiling(&key),
            Near::Lower => self.0.predecessor(&key),
            Near::Upper => self.0.successor(&key),
        };
        found.map(|(key, value)| (key, whole(&value)))
    }

    fn range(&self, from: u64, to: u64, way: usize) -> Vec<(u64, Value)> {
        let plain = |(key, value): (u64, Wide<N>)| (key, whole(&value));
        let mut found = Vec::new();
        match way {
            0 => return self.0.range(from..=to).rev().map(plain).collect(),
            1 if self.0.try_range_into(from..=to, &mut found).is_err() => found.clear(),
            1 => return found.into_iter().map(plain).collect(),
            _ => {}
        }
        self.0.range(from..=to).map(plain).collect()
    }

    fn remove_range(&self, from: u64, to: u64) -> usize {
        self.0.remove_range(from..=to)
    }

    fn batch(&self, changes: &[(u64, Option<Value>)]) -> Option<Vec<Option<Value>>> {
        let op = |value: Option<Value>| value.map_or(Op::Remove, |value| Op::Insert([value; N]));
        let changes: Vec<_> = changes.iter().map(|&(key, value)| (key, op(value))).collect();
        Some(self.0.apply_batch(&changes).iter().map(|had| had.as_ref().map(whole)).collect())
    }

    fn snapshot(&self, keys: &[u64]) -> Option<Vec<Option<Value>>> {
        Some(self.0.snapshot_many(keys).iter().map(|found| found.as_ref().map(whole)).collect())
    }

    fn rebalance(&self) {
        self.0.rebalance_step(4);
    }
}
