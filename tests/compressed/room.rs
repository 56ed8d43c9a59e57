//! builds: default
//!
//! `CompressedMap` with its budget used up: writers wait for threads that make room.

use crate::support;

use hedgerow::CompressedMap;
use hedgerow::compressed::codec::{Codec, Corrupt, Model, Work};
use hedgerow::compressed::{Policy, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};
use support::within;

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
        for n in 0..60_000_u32 {
            map.insert(&n.to_le_bytes(), "v").expect("it evicts");
        }
        let sweeper = stopped_within_a_sweep(&map, &gate);
        let stored = Arc::new(AtomicUsize::new(0));
        let (other, told) = (map.clone(), stored.clone());
        let writer = thread::spawn(move || {
            (0..3_000_u32).find(|n| {
                told.fetch_add(1, Relaxed);
                other.insert(&(n | 1 << 30).to_le_bytes(), "v").is_err()
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
