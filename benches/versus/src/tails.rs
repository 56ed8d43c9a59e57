//! The slowest upserts into a map that exists already: each is timed. Growth has
//! no part in it (see [`worst`](crate::worst)); the figures show deferred work,
//! such as freeing replaced entries.

use std::borrow::Borrow;

use crate::data::View;
use crate::keys::Rng;
use crate::memory::Source;
use crate::rivals::Bench;
use crate::worst::{Pauses, Timer};

/// Measures one map of `n` keys by four upserts a key; for a process that does
/// nothing else.
pub fn measure<M: Bench>(source: &Source<M>, n: u64) -> Pauses {
    let map = M::new();
    let mut rng = Rng::new(5);
    // These writes start the deferred work, and do not count.
    let mut before = Timer::new(2 * n as usize);
    for i in 0..n {
        upsert(source, &map, i, &mut before);
    }
    for _ in 0..n {
        upsert(source, &map, rng.below(n), &mut before);
    }
    let mut timer = Timer::new(4 * n as usize);
    for _ in 0..4 * n {
        let there = upsert(source, &map, rng.below(n), &mut timer);
        assert!(there, "a key is lost");
    }
    timer.pauses()
}

/// Sets the `i`-th key and says whether it was there. Making key and value is
/// the caller's, and is not timed.
fn upsert<M: Bench>(source: &Source<M>, map: &M, i: u64, timer: &mut Timer) -> bool {
    let (key, value) = ((source.key)(i), (source.value)(i));
    let (key, value): (&View<M::Key>, &View<M::Value>) = (key.borrow(), value.borrow());
    timer.time(|| map.insert(key, value, |_| 0)).is_some()
}
