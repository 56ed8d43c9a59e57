//! What versions take of memory, and the pauses they cause; each measured in a process that does nothing else.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{Key, Versioned};
use crate::clock::{cpu, now};
use crate::keys::{Rng, key, value};
use crate::memory::{start, stop};
use crate::trees::Tree;
use crate::worst::{Pauses, Timer};

/// Keys of a map whose versions are measured.
pub const KEYS: u64 = 1 << 20;

/// Changes between two versions.
pub const STEPS: [u64; 3] = [1, 100, 10_000];

/// Versions that are kept of each of [`STEPS`].
const KEPT: u64 = 50;

/// Entries of a map that is dropped.
pub const DROPPED: u64 = 10_000_000;

/// Threads that write.
pub const WRITERS: usize = 8;

fn filled<K: Key, M: Versioned<K>>(n: u64) -> M {
    let mut map = M::new();
    (0..n).for_each(|number| map.insert(K::make(number), number));
    map
}

/// Returns bytes an entry; and bytes a version, for each of [`STEPS`], which is what the map takes once more if a clone
/// copies everything.
pub fn memory<K: Key, M: Versioned<K>>() -> [f64; 4] {
    start();
    let mut map = filled::<K, M>(KEYS);
    let all = stop();
    let mut rng = Rng::new(7);
    let mut version = |step| {
        if !M::SHARES {
            return all as f64;
        }
        let mut kept = Vec::with_capacity(KEPT as usize);
        start();
        for stamp in 0..KEPT {
            kept.push(map.clone());
            for _ in 0..step {
                let number = rng.below(KEYS);
                map.insert(K::make(number), value(number, stamp));
            }
        }
        stop() as f64 / KEPT as f64
    };
    let [one, hundred, many] = STEPS.map(&mut version);
    [all as f64 / KEYS as f64, one, hundred, many]
}

/// Returns the pauses of single upserts while versions are kept, a new one after each hundred; of a map whose versions
/// are copies only the first, which changes nothing for the upserts.
pub fn pauses<M: Versioned<u64>>() -> Pauses {
    let mut map = filled::<u64, M>(KEYS);
    let mut kept = VecDeque::from([map.clone()]);
    let mut rng = Rng::new(8);
    let mut timer = Timer::new(KEYS as usize);
    for step in 0..KEYS {
        if M::SHARES && step % 100 == 0 {
            kept.push_back(map.clone());
            // What is dropped is part of no upsert.
            if kept.len() > 100 {
                kept.pop_front();
            }
        }
        let number = rng.below(KEYS);
        timer.time(|| map.insert(key(number), value(number, step)));
    }
    timer.pauses()
}

/// Returns the milliseconds of dropping the only version of [`DROPPED`] entries.
pub fn drop_all<M: Versioned<u64>>() -> f64 {
    let map = filled::<u64, M>(DROPPED);
    let begin = cpu();
    drop(black_box(map));
    (cpu() - begin) as f64 / 1e6
}

/// Returns the upserts in a second of [`WRITERS`] threads, and their pauses, while another thread takes a snapshot,
/// visits all its entries, and begins again a millisecond later.
pub fn crowd<T: Tree>() -> (f64, Pauses) {
    const SECOND: u64 = 1_000_000_000;
    const PART: usize = 1 << 22;
    let map = T::new();
    (0..KEYS).map(key).for_each(|key| map.insert(key, value(key, 0)));
    let done = AtomicBool::new(false);
    let write = |seed| {
        let (mut rng, mut times) = (Rng::new(seed), Vec::with_capacity(PART));
        while !done.load(Ordering::Relaxed) && times.len() < PART {
            let key = key(rng.below(KEYS));
            let begin = now();
            map.insert(key, value(key, seed));
            times.push(u32::try_from(now() - begin).unwrap_or(u32::MAX));
        }
        times
    };
    let begin = now();
    let times: Vec<u32> = thread::scope(|scope| {
        let writers: Vec<_> =
            (1..=WRITERS as u64).map(|seed| scope.spawn(move || write(seed))).collect();
        while now() < begin + SECOND {
            let mut sum = 0_u64;
            map.each_at_once(|value| sum = sum.wrapping_add(value));
            black_box(sum);
            thread::sleep(Duration::from_millis(1));
        }
        done.store(true, Ordering::Relaxed);
        writers
            .into_iter()
            .flat_map(|writer| writer.join().expect("threads do not panic"))
            .collect()
    });
    let seconds = (now() - begin) as f64 / SECOND as f64;
    (times.len() as f64 / seconds, Pauses::of(times))
}
