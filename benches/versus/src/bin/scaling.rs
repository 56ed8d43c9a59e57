//! Operations a second of all threads together, by the number of threads: `scaling [SECONDS] [THREADS,...]`.
//!
//! For machines with many cores. Each map takes its turn in each round with the same streams of keys; the table shows
//! the median of the rounds. A round lasts for a fixed time, and each thread counts what it did in it, so that a thread
//! that was off its core costs the others nothing. Threads are not pinned.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hedgerow::HashMap;
use hedgerow_versus::contest::median;
use hedgerow_versus::data::Word;
use hedgerow_versus::keys::{Rng, fold, key, value};
use hedgerow_versus::rivals::{Bench, Dash, Flat, Hasher, Locked, Papaya, Scc, SpinLocks, hasher};
use hedgerow_versus::trees::{self, Fence, Index, Skipmap, Tree};

const ROUNDS: usize = 5;
/// Operations between two looks at the clock's flag.
const PIECE: usize = 256;
const STREAM: usize = 1 << 16;

/// The operations of a map in this benchmark.
trait Subject: Sync {
    fn get(&self, key: u64) -> u64;
    fn insert(&self, key: u64);
    fn remove(&self, key: u64);
}

struct Hashed<M>(M);

impl<M: Bench<Key = u64, Value = u64>> Subject for Hashed<M> {
    fn get(&self, key: u64) -> u64 {
        fold(self.0.read(&key, Word::look))
    }

    fn insert(&self, key: u64) {
        black_box(self.0.insert(&key, &value(key, 1), Word::look));
    }

    fn remove(&self, key: u64) {
        black_box(self.0.remove(&key, Word::look));
    }
}

struct Ordered<T>(T);

impl<T: Tree> Subject for Ordered<T> {
    fn get(&self, key: u64) -> u64 {
        fold(self.0.get(key))
    }

    fn insert(&self, key: u64) {
        self.0.insert(key, value(key, 1));
    }

    fn remove(&self, key: u64) {
        black_box(self.0.remove(key));
    }
}

/// The map of owned data, of words here, to see what it costs to keep each entry in memory of its own.
struct Owned(HashMap<u64, u64, Hasher>);

impl Subject for Owned {
    fn get(&self, key: u64) -> u64 {
        fold(self.0.get_with(&key, |value| *value))
    }

    fn insert(&self, key: u64) {
        black_box(self.0.insert(key, value(key, 1)));
    }

    fn remove(&self, key: u64) {
        black_box(self.0.remove(&key));
    }
}

/// The number of operations in a hundred that change the map: half of them insert, half remove, keys of a range twice
/// the map's average length, so that it keeps its size.
#[derive(Clone, Copy)]
struct Mix {
    name: &'static str,
    changes: u64,
}

const MIXES: [Mix; 4] = [
    Mix { name: "get", changes: 0 },
    Mix { name: "99/1", changes: 1 },
    Mix { name: "90/10", changes: 10 },
    Mix { name: "changes", changes: 100 },
];

/// Keys of a thread, each with what to do: 0 looks it up, 1 inserts it, and 2 removes it.
fn stream(mix: Mix, keys: u64, thread: u64) -> Vec<(u64, u8)> {
    let mut rng = Rng::new(thread.wrapping_mul(77) + keys);
    let one = |rng: &mut Rng| {
        let change = rng.below(100) < mix.changes;
        (key(rng.below(keys)), if change { 1 + (rng.word() & 1) as u8 } else { 0 })
    };
    (0..STREAM).map(|_| one(&mut rng)).collect()
}

/// Millions of operations a second.
fn round<S: Subject>(map: &S, streams: &[Vec<(u64, u8)>], time: Duration) -> f64 {
    let (over, start) = (AtomicBool::new(false), Barrier::new(streams.len() + 1));
    let work = |stream: &[(u64, u8)]| {
        start.wait();
        let (begin, mut done, mut sum) = (Instant::now(), 0, 0_u64);
        for piece in stream.chunks(PIECE).cycle() {
            for &(key, what) in piece {
                match what {
                    0 => sum = sum.wrapping_add(map.get(key)),
                    1 => map.insert(key),
                    _ => map.remove(key),
                }
            }
            done += piece.len();
            // relaxed: `join` orders the counts.
            if over.load(Ordering::Relaxed) {
                break;
            }
        }
        black_box(sum);
        done as f64 / begin.elapsed().as_secs_f64() / 1e6
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = streams.iter().map(|stream| scope.spawn(|| work(stream))).collect();
        start.wait();
        std::thread::sleep(time);
        // relaxed: as above.
        over.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("threads do not panic")).sum()
    })
}

/// A round of a map that was built for it, by its streams and its time.
type Run<'a> = Box<dyn Fn(&[Vec<(u64, u8)>], Duration) -> f64 + 'a>;

/// Builds a map of half of `keys`, which a mix of inserts and removes keeps.
fn subject<'a, S: Subject + 'a>(map: S, keys: u64) -> Run<'a> {
    (0..keys).step_by(2).for_each(|n| map.insert(key(n)));
    Box::new(move |streams, time| round(&map, streams, time))
}

fn main() {
    let mut words = std::env::args().skip(1);
    let seconds: f64 = words.next().map_or(0.2, |word| word.parse().expect("seconds"));
    let threads = words.next().unwrap_or_else(|| "1,2,4,8,16".into());
    let threads: Vec<u64> =
        threads.split(',').map(|word| word.parse().expect("a number of threads")).collect();
    for keys in [1 << 17, 1 << 21] {
        hashed(keys, &threads, Duration::from_secs_f64(seconds));
        ordered(keys, &threads, Duration::from_secs_f64(seconds));
    }
}

fn hashed(keys: u64, threads: &[u64], time: Duration) {
    fn of<'a, M: Bench<Key = u64, Value = u64>>(keys: u64) -> (&'static str, Run<'a>) {
        (M::NAME, subject(Hashed(M::new()), keys))
    }
    let maps = [
        of::<Flat>(keys),
        ("HashMap", subject(Owned(HashMap::with_hasher(hasher())), keys)),
        of::<Papaya<u64, u64>>(keys),
        of::<Scc<u64, u64>>(keys),
        of::<Dash<u64, u64>>(keys),
        of::<SpinLocks<u64, u64>>(keys),
        of::<Locked<u64, u64>>(keys),
    ];
    compare("hash maps", keys, &maps, threads, time);
}

fn ordered(keys: u64, threads: &[u64], time: Duration) {
    fn of<'a, T: Tree>(keys: u64) -> (&'static str, Run<'a>) {
        (T::NAME, subject(Ordered(T::new()), keys))
    }
    let maps = [
        of::<Fence>(keys),
        of::<Skipmap>(keys),
        of::<Index>(keys),
        of::<trees::BbTree>(keys),
        of::<trees::Locked>(keys),
    ];
    compare("ordered maps", keys, &maps, threads, time);
}

fn compare(what: &str, keys: u64, maps: &[(&str, Run<'_>)], threads: &[u64], time: Duration) {
    let names: Vec<_> = maps.iter().map(|(name, _)| *name).collect();
    println!("\n{what}, {} entries, million operations a second\n", keys / 2);
    println!("| | threads | {} |\n|---|--:|{}", names.join(" | "), "--:|".repeat(maps.len()));
    for mix in MIXES {
        for &threads in threads {
            let streams: Vec<_> = (0..threads).map(|thread| stream(mix, keys, thread)).collect();
            let mut speeds = vec![vec![]; maps.len()];
            for _ in 0..ROUNDS {
                for ((_, run), speeds) in maps.iter().zip(&mut speeds) {
                    speeds.push(run(&streams, time));
                }
            }
            let cells = speeds
                .iter()
                .map(|speeds| format!("{:.1}", median(speeds).expect("there are rounds")));
            let cells: Vec<_> = cells.collect();
            println!("| {} | {threads} | {} |", mix.name, cells.join(" | "));
        }
    }
}
