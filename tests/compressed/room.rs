//! builds: default
//!
//! `CompressedMap` with its budget used up: it takes longer values than before, waits for threads that make room, and
//! stays within its budget if many threads write.

use crate::support;

use hedgerow::CompressedMap;
use hedgerow::compressed::codec::{Codec, Corrupt, Model, Work};
use hedgerow::compressed::{Policy, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};
use support::nibbles::Nibbles;
use support::within;

/// Returns bytes that no codec makes shorter.
fn noise(n: u32, len: usize) -> Vec<u8> {
    let mut state = n.wrapping_mul(0x9E37_79B9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

fn long_key(n: u32) -> String {
    format!("long {n}")
}

fn filled(budget: usize, policy: Policy) -> (CompressedMap, u32) {
    // Every other budget is without codecs, for whose models a part would stay free.
    let builder = match budget % 200 {
        0 => CompressedMap::builder_without_codecs(budget),
        _ => CompressedMap::builder(budget),
    };
    let map = builder.policy(policy).build();
    let most = budget as u32 / 60;
    let refused = (0..most).find(|&n| map.insert(&n.to_le_bytes(), &noise(n, 80)).is_err());
    (map, refused.unwrap_or(most))
}

/// By the time at which longer values arrive, segments have taken the whole budget.
#[test]
fn a_full_map_takes_longer_values_than_before() {
    let others = (0..10).map(|n| (1_048_600 + n * 1_700, 16_000));
    for (budget, long) in [(256 << 10, 1_500), (1 << 20, 5_000)].into_iter().chain(others) {
        for policy in [Policy::Evict, Policy::Refuse] {
            let (map, short) = filled(budget, policy);
            if policy == Policy::Refuse {
                (0..short / 2).for_each(|n| assert!(map.remove(&n.to_le_bytes())));
            }
            let count = (budget / 16 / long) as u32;
            for n in 0..count {
                let value = noise(n, long);
                let stored = map.insert(&long_key(n), &value);
                let told = "a full map takes no longer value";
                assert_eq!(stored, Ok(false), "{told}: {budget} {policy:?}: {:?}", map.stats());
                assert_eq!(map.get(&long_key(n)), Ok(Some(value)));
                let stats = map.stats();
                assert!(stats.memory_bytes <= budget, "over budget: {stats:?}");
            }
            // Sweeps move the long values, which are longer than the buffers for compressing.
            for n in 0..4 * count {
                ignore_no_room(map.insert(&[n as u8; 5], &noise(n, long)));
                ignore_no_room(map.insert(&[n as u8; 6], &vec![n as u8; long]));
            }
            let there = (0..count).filter(|&n| {
                let value = map.get(&long_key(n)).expect("it is whole");
                assert!(value.is_none() || value == Some(noise(n, long)), "{n}");
                value.is_some()
            });
            assert!(there.count() == count as usize || policy == Policy::Evict);
            assert!(map.stats().memory_bytes <= budget, "over budget: {:?}", map.stats());
            map.clear();
            assert_eq!(map.insert("one", &vec![7; long]), Ok(false), "{:?}", map.stats());
        }
    }
}

fn ignore_no_room(stored: Result<bool, StoreError>) {
    assert!(matches!(stored, Ok(_) | Err(StoreError::BudgetExceeded)), "{stored:?}");
}

/// A codec that one thread at a time may be stopped in.
#[derive(Clone, Default)]
struct Gate(Arc<(AtomicBool, AtomicBool)>);

impl Gate {
    fn is_wanted(&self) -> &AtomicBool {
        &self.0.0
    }

    fn has_stopped(&self) -> &AtomicBool {
        &self.0.1
    }
}

impl Codec for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn untrained(&self) -> Option<Box<dyn Model>> {
        Some(Box::new(self.clone()))
    }

    fn train(&self, _: &[&[u8]], _: usize) -> Option<Box<dyn Model>> {
        None
    }

    fn import(&self, _: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
        Ok(Box::new(self.clone()))
    }
}

impl Model for Gate {
    fn compress(&self, _: &[u8], _: &mut [u8], _: &mut Work) -> Option<usize> {
        if self.is_wanted().load(Relaxed) && thread::current().name() == Some("swept by") {
            self.has_stopped().store(true, Relaxed);
            while self.is_wanted().load(Relaxed) {
                thread::yield_now();
            }
        }
        None
    }

    fn decompress(&self, _: &[u8], _: &mut [u8]) -> Result<(), Corrupt> {
        Err(Corrupt::new())
    }

    fn export(&self, _: &mut dyn FnMut(&[u8])) {}

    fn bytes(&self) -> usize {
        0
    }
}

/// Stops another thread within a sweep of the map, and returns it.
fn stopped_within_a_sweep(map: &Arc<CompressedMap>, gate: &Gate) -> thread::JoinHandle<()> {
    gate.is_wanted().store(true, Relaxed);
    let (other, stopper) = (map.clone(), gate.clone());
    let sweep = move || {
        for n in 0_u32.. {
            if stopper.has_stopped().load(Relaxed) {
                break;
            }
            ignore_no_room(other.insert(&n.to_be_bytes(), "v"));
            other.compress_step(1 << 10);
        }
    };
    let sweeper = thread::Builder::new().name("swept by".into()).spawn(sweep).expect("a thread");
    while !gate.has_stopped().load(Relaxed) {
        thread::yield_now();
    }
    sweeper
}

#[test]
fn a_writer_that_evicts_waits_for_a_sweep_and_is_not_refused() {
    within(60, "an insert beside a sweep", || {
        let gate = Gate::default();
        let builder = CompressedMap::builder(256 << 10).policy(Policy::Evict).codec(gate.clone());
        let map = Arc::new(builder.build());
        // Records so short that the index is full before the segments are.
        for n in 0..60_000_u32 {
            map.insert(&n.to_le_bytes()[..3], "").expect("it evicts");
        }
        let sweeper = stopped_within_a_sweep(&map, &gate);
        let stored = Arc::new(AtomicUsize::new(0));
        let (other, told) = (map.clone(), stored.clone());
        let writer = thread::spawn(move || {
            (0..3_000_u32).find(|n| {
                told.fetch_add(1, Relaxed);
                other.insert(&(n | 1 << 22).to_le_bytes()[..3], "").is_err()
            })
        });
        // Until the writer waits, or has been refused.
        let (mut seen, mut still) = (0, Instant::now());
        while still.elapsed() < Duration::from_millis(200) && !writer.is_finished() {
            let now = stored.load(Relaxed);
            if now != seen {
                (seen, still) = (now, Instant::now());
            }
            thread::yield_now();
        }
        gate.is_wanted().store(false, Relaxed);
        sweeper.join().expect("it ends");
        let refused = writer.join().expect("it ends");
        assert_eq!(refused, None, "a map that evicts refused a write beside a sweep");
    });
}

#[test]
fn a_longer_value_waits_for_no_codec_if_there_is_room() {
    let gate = Gate::default();
    let map = Arc::new(CompressedMap::builder(1 << 20).codec(gate.clone()).build());
    let sweeper = stopped_within_a_sweep(&map, &gate);
    map.clear();
    // The segment that is open for records may have room for this one.
    let other = map.clone();
    let longer = thread::spawn(move || other.insert("key", &[0; 300]));
    let begin = Instant::now();
    while !longer.is_finished() && begin.elapsed() < Duration::from_secs(10) {
        thread::yield_now();
    }
    let waits = !longer.is_finished();
    gate.is_wanted().store(false, Relaxed);
    sweeper.join().expect("it ends");
    assert!(!waits, "a writer with room waits for another thread's codec");
    ignore_no_room(longer.join().expect("it ends"));
}

/// The index of a small map takes its memory from the allocator, a step for many entries at a time. Writers that pass
/// the check of one step together must not make it take another.
#[test]
fn threads_together_stay_within_the_budget() {
    let budget = 128 << 10;
    for round in 0..4 {
        let builder = CompressedMap::builder_without_codecs(budget).codec(Nibbles);
        let map = builder.segment_bytes(2 << 10).build();
        thread::scope(|scope| {
            for thread in 0..8_u32 {
                let map = &map;
                scope.spawn(move || {
                    for n in 0..20_000_u32 {
                        ignore_no_room(map.insert(&(thread << 24 | n).to_le_bytes(), "x"));
                    }
                });
            }
        });
        let stats = map.stats();
        assert!(stats.memory_bytes <= budget, "over budget in round {round}: {stats:?}");
    }
}
