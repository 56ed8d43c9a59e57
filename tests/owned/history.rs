//! builds: narrow portable tsan
//!
//! Linearizability of `HashMap` key by key, as of `FlatMap`: threads run random plans on shared maps, and a sequential
//! map must explain the recorded results. Each value is an allocation that detects torn reads and reads after free.

use crate::support;

#[path = "../support/play.rs"]
mod play;

use hedgerow::HashMap;
use hedgerow::error::Busy;
use hedgerow::error::TryInsertError;
use hedgerow::flat::Op;
use hedgerow::owned::pin;
use play::{Maybe, Plan, Target, play};
use std::time::Duration;
use support::hashers::Mapped;
use support::history::{Answer, Boxed, Value};
use support::rng::Rng;
use support::{seed, within};

/// Returns the key and value of an error, which must be `Busy`: there is memory, and no limit.
fn busy<V>(
    why: TryInsertError<u64, V>,
    value: impl FnOnce(V) -> Option<Boxed>,
) -> (u64, Option<Boxed>) {
    assert!(matches!(why, TryInsertError::Busy { .. }));
    let (key, given) = why.into_parts();
    (key, value(given))
}

struct Owned(HashMap<u64, Boxed, Mapped>);

impl Target for Owned {
    fn get(&self, key: u64, way: usize) -> Maybe {
        let guard = pin();
        Ok(match way {
            0 => self.0.get_with(&key, Boxed::value),
            1 => self.0.with_guard(&guard).get_key_value(&key).map(|(_, value)| value.value()),
            2 => {
                let mut found = [None; 3];
                let map = self.0.with_guard(&guard);
                map.get_many(&[&!key, &key, &(key ^ 1)], &mut found);
                found[1].map(Boxed::value)
            }
            _ => self.0.with_guard(&guard).get(&key).map(Boxed::value),
        })
    }

    fn contains(&self, key: u64) -> bool {
        self.0.contains_key(&key)
    }

    fn insert(&self, key: u64, value: Value, way: usize) -> Maybe {
        let given_back = |(same, given): (u64, Option<Boxed>)| {
            let whole = given.is_none_or(|given| given.value() == value);
            assert!(same == key && whole, "not what was given");
            Busy
        };
        let done = match way {
            0 => self.0.try_insert(key, Boxed::of(value)).map_err(|why| busy(why, Some)),
            1 => {
                let decide = |_: Option<&Boxed>| Op::Insert(Boxed::of(value));
                let done = self.0.try_compute(key, decide);
                let done = done.map(|done| done.before.map(|before| before.value().value()));
                return done.map_err(|why| given_back(busy(why, |given| given)));
            }
            _ => Ok(self.0.insert(key, Boxed::of(value))),
        };
        done.map(|old| old.map(|old| old.value().value())).map_err(given_back)
    }

    fn insert_if_absent(&self, key: u64, value: Value) -> Option<Value> {
        let guard = pin();
        let mut made = false;
        let mut make = || {
            made = true;
            Boxed::of(value)
        };
        let map = self.0.with_guard(&guard);
        let there = match map.try_get_or_insert_with(key, &mut make) {
            Ok(there) => there,
            Err(_) => map.get_or_insert_with(key, make),
        };
        (!made || there.value() != value).then_some(there.value())
    }

    fn remove(&self, key: u64) -> Option<Value> {
        self.0.remove(&key).map(|old| match old.try_into_owned() {
            Ok((same, value)) => {
                assert_eq!(same, key);
                value.value()
            }
            Err(shared) => shared.value().value(),
        })
    }

    fn update(&self, key: u64, change: &mut dyn FnMut(Value) -> Value) -> Option<Value> {
        let mut after = None;
        let old = self.0.update(&key, |value| {
            let new = change(value.value());
            after = Some(new);
            Boxed::of(new)
        });
        old.and(after)
    }

    fn compute(&self, key: u64, decide: &mut dyn FnMut(Option<Value>) -> Op<Value>) -> Answer {
        let (mut before, mut after) = (None, None);
        self.0.compute(key, |found| {
            before = found.map(Boxed::value);
            let op = decide(before);
            after = match op {
                Op::Keep => before,
                Op::Insert(value) => Some(value),
                Op::Remove => None,
            };
            match op {
                Op::Keep => Op::Keep,
                Op::Insert(value) => Op::Insert(Boxed::of(value)),
                Op::Remove => Op::Remove,
            }
        });
        Answer { before, after }
    }

    fn retain(&self, keep: &mut dyn FnMut(u64, &mut Value) -> bool) {
        self.0.retain(|&key, value| keep(key, &mut value.value()));
    }

    fn rewrites(&self) -> bool {
        false
    }

    fn clear(&self) {
        self.0.clear();
    }

    fn visit(&self, see: &mut dyn FnMut(u64, Value)) {
        self.0.pin().iter().for_each(|(&key, value)| see(key, value.value()));
    }
}

#[test]
fn histories_of_boxes_are_linearizable() {
    support::histories(2_000, Duration::from_secs(5), |round| {
        let seed = seed() ^ u64::from(round);
        within(60, &format!("the history of seed {seed}"), move || {
            let plan = Plan::new(&mut Rng::new(seed));
            let map = Owned(HashMap::with_hasher(plan.hasher));
            if let Err(story) = play(&map, &plan, seed) {
                panic!("{story}");
            }
        });
    });
}
