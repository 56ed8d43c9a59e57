//! builds: narrow portable tsan
//!
//! Ordered maps are linearizable as a whole: single keys, neighbours, ends, ranges, range removals and batches
//! together. Records random plans on shared maps, and explains each history by a sequential map of all keys.
#![allow(clippy::borrowed_box, reason = "keys that are owned")]

use crate::support;

#[path = "../support/ordered_play.rs"]
mod ordered_play;
#[path = "../support/plain.rs"]
mod plain;

use hedgerow::OrdMap;
use hedgerow::fence::Op;
use hedgerow::owned::pin;
use ordered_play::{Plan, Target, play};
use plain::Plain;
use std::time::Duration;
use support::check::{check, explain};
use support::history::{Boxed, Value};
use support::ordered::{Call, KEYS, Near, OrderedEvent};
use support::rng::Rng;
use support::{seed, within};

struct Owned(OrdMap<Box<u64>, Boxed>);

impl Target for Owned {
    fn get(&self, key: u64, way: usize) -> Option<Value> {
        if way == 0 {
            return self.0.get_with(&key, Boxed::value);
        }
        self.0.pin().get(&key).map(Boxed::value)
    }

    fn insert(&self, key: u64, value: Value) -> Option<Value> {
        self.0.insert(Box::new(key), Boxed::of(value)).map(|old| old.value().value())
    }

    fn insert_if_absent(&self, key: u64, value: Value) -> Option<Value> {
        let guard = pin();
        let mut made = false;
        let make = || {
            made = true;
            Boxed::of(value)
        };
        let there = self.0.with_guard(&guard).get_or_insert_with(Box::new(key), make).value();
        (!made || there != value).then_some(there)
    }

    fn remove(&self, key: u64) -> Option<Value> {
        self.0.remove(&key).map(|old| old.value().value())
    }

    fn toggle(&self, key: u64, value: Value) -> Option<Value> {
        let mut before = None;
        self.0.compute(Box::new(key), |old| {
            before = old.map(Boxed::value);
            before.map_or_else(|| Op::Insert(Boxed::of(value)), |_| Op::Remove)
        });
        before
    }

    fn compare_exchange(&self, key: u64, from: Value, to: Value) -> Option<Value> {
        let mut before = None;
        self.0.compute(Box::new(key), |old| {
            before = old.map(Boxed::value);
            if before == Some(from) { Op::Insert(Boxed::of(to)) } else { Op::Keep }
        });
        before
    }

    fn near(&self, near: Near, key: u64) -> Option<(u64, Value)> {
        let map = self.0.pin();
        let popped = match near {
            Near::PopFirst => self.0.pop_first(),
            Near::PopLast => self.0.pop_last(),
            _ => {
                let found = match near {
                    Near::First => map.first_key_value(),
                    Near::Last => map.last_key_value(),
                    Near::Floor => map.floor(&key),
                    Near::Ceiling => map.ceiling(&key),
                    Near::Lower => map.predecessor(&key),
                    _ => map.successor(&key),
                };
                return found.map(|(key, value)| (**key, value.value()));
            }
        };
        popped.map(|entry| (**entry.key(), entry.value().value()))
    }

    fn range(&self, from: u64, to: u64, way: usize) -> Vec<(u64, Value)> {
        let guard = pin();
        let plain = |(key, value): (&Box<u64>, &Boxed)| (**key, value.value());
        match way {
            0 => self.0.with_guard(&guard).range(from..=to).rev().map(plain).collect(),
            _ => self.0.with_guard(&guard).range(from..=to).map(plain).collect(),
        }
    }

    fn remove_range(&self, from: u64, to: u64) -> usize {
        self.0.remove_range(from..=to)
    }

    fn batch(&self, _: &[(u64, Option<Value>)]) -> Option<Vec<Option<Value>>> {
        None
    }

    fn snapshot(&self, _: &[u64]) -> Option<Vec<Option<Value>>> {
        None
    }

    fn rebalance(&self) {
        self.0.rebalance_step(4);
    }
}

fn play_on<T: Target + Send + 'static>(new: impl Fn() -> T) {
    support::histories(1_000, Duration::from_secs(4), |round| {
        let seed = seed() ^ u64::from(round);
        let map = new();
        within(60, &format!("the history of seed {seed}"), move || {
            let plan = Plan::new(&mut Rng::new(seed));
            if let Err(story) = play(&map, &plan, seed) {
                panic!("{story}");
            }
        });
    });
}

/// Leaves of eight entries, so that the leaves of twenty keys are split and merged all the time.
#[test]
fn histories_of_small_leaves_are_linearizable() {
    play_on(Plain::<128>::default);
}

#[test]
fn histories_of_whole_maps_are_linearizable() {
    play_on(Plain::<2>::default);
}

#[test]
fn histories_of_boxes_are_linearizable() {
    play_on(|| Owned(OrdMap::new()));
}

/// Histories that no order explains: an insertion is seen, and one before it is not; a pop leaves its entry; half of a
/// batch is seen.
#[test]
fn histories_without_an_order_are_refused() {
    let event = |called, call, answer: Vec<Option<(usize, Value)>>| OrderedEvent {
        called,
        returned: called + 1,
        call,
        answer,
    };
    let both = Call::Batch(vec![(3, Some(7)), (9, Some(8))]);
    let stories = [
        vec![
            event(0, Call::Insert(3, 7), vec![None]),
            event(2, Call::Insert(9, 8), vec![None]),
            event(4, Call::Range(0, 19), vec![Some((9, 8))]),
        ],
        vec![
            event(0, Call::Insert(3, 7), vec![None]),
            event(2, Call::Near(Near::PopFirst, 0), vec![Some((3, 7))]),
            event(4, Call::Near(Near::Floor, 5), vec![Some((3, 7))]),
        ],
        vec![event(0, both.clone(), vec![None, None]), event(2, Call::Get(9), vec![None])],
    ];
    for story in stories {
        let history = [story];
        let stuck = check(&history, [None; KEYS]).expect_err("nothing explains it");
        let text = explain(&history, &stuck);
        assert!(text.lines().last().is_some_and(|line| line.starts_with("? t0")), "{text}");
    }
    let concurrent = [
        vec![event(0, both, vec![None, None])],
        vec![OrderedEvent {
            called: 0,
            returned: 9,
            call: Call::Range(2, 9),
            answer: vec![Some((3, 7)), Some((9, 8))],
        }],
    ];
    check(&concurrent, [None; KEYS]).expect("one after the other");
}
