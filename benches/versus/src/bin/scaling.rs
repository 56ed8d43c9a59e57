//! Operations a second of all threads together, by the number of threads.
//!
//!     scaling [--seconds 0.2] [--threads 1,2,4,8,16] [--entries 65536,1048576] [--maps LIST] [--mixes LIST]
//!
//! For machines with many cores. Each map takes its turn in each round with the same streams of keys; the table shows
//! the median of the rounds. A round lasts for a fixed time, and each thread counts what it did in it, so that a thread
//! that was off its core costs the others nothing. Threads are not pinned. Maps that publish have one thread that
//! overwrites keys and publishes after each hundred; the table shows the reads of the others.

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use hedgerow::HashMap;
use hedgerow_versus::contest::median;
use hedgerow_versus::data::Word;
use hedgerow_versus::keys::{Rng, fold, key, value};
use hedgerow_versus::pairs::{self, Pair, Reader, Writer};
use hedgerow_versus::rivals::{Bench, Dash, Flat, Hasher, Locked, Papaya, Scc, SpinLocks, hasher};
use hedgerow_versus::trees::{self, Fence, Index, Skipmap, Tree};
use hedgerow_versus::work::zipf::Zipf;

const ROUNDS: usize = 3;
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

/// How many operations in a hundred change the map, and which keys they take.
#[derive(Clone, Copy)]
struct Mix {
    name: &'static str,
    changes: u64,
    law: Law,
}

#[derive(Clone, Copy)]
enum Law {
    /// Half of the changes insert and half remove, keys of a range twice the map's average length, so that it keeps
    /// its size.
    Uniform,
    /// Keys that are in the map, a few of them in most operations; changes overwrite.
    Zipf,
}

const MIXES: [Mix; 7] = [
    Mix { name: "get", changes: 0, law: Law::Uniform },
    Mix { name: "99/1", changes: 1, law: Law::Uniform },
    Mix { name: "90/10", changes: 10, law: Law::Uniform },
    Mix { name: "changes", changes: 100, law: Law::Uniform },
    Mix { name: "zipf-get", changes: 0, law: Law::Zipf },
    Mix { name: "zipf-95/5", changes: 5, law: Law::Zipf },
    Mix { name: "zipf-50/50", changes: 50, law: Law::Zipf },
];

/// Keys of a thread, each with what to do: 0 looks it up, 1 inserts it, and 2 removes it.
fn stream(mix: Mix, keys: u64, thread: u64) -> Vec<(u64, u8)> {
    let mut rng = Rng::new(thread.wrapping_mul(77) + keys);
    let zipf = matches!(mix.law, Law::Zipf).then(|| Zipf::new(keys as usize / 2));
    let one = |rng: &mut Rng| {
        let change = rng.below(100) < mix.changes;
        match &zipf {
            None => (key(rng.below(keys)), if change { 1 + (rng.word() & 1) as u8 } else { 0 }),
            Some(zipf) => (key(2 * zipf.draw(rng)), u8::from(change)),
        }
    };
    (0..STREAM).map(|_| one(&mut rng)).collect()
}

/// A stretch of time in which threads work and count their operations.
struct Round {
    start: Barrier,
    over: AtomicBool,
}

impl Round {
    fn new(threads: usize) -> Self {
        Self { start: Barrier::new(threads + 1), over: AtomicBool::new(false) }
    }

    fn is_over(&self) -> bool {
        // relaxed: `join` orders the counts.
        self.over.load(Ordering::Relaxed)
    }

    /// Calls `each` with the operations of `stream`, again and again. Returns millions of them a second.
    fn work(&self, stream: &[(u64, u8)], mut each: impl FnMut(u64, u8) -> u64) -> f64 {
        self.start.wait();
        let (begin, mut done, mut sum) = (Instant::now(), 0, 0_u64);
        for piece in stream.chunks(PIECE).cycle() {
            for &(key, what) in piece {
                sum = sum.wrapping_add(each(key, what));
            }
            done += piece.len();
            if self.is_over() {
                break;
            }
        }
        black_box(sum);
        done as f64 / begin.elapsed().as_secs_f64() / 1e6
    }

    /// Starts the threads, ends their work after `time`, and returns the sum of their results.
    fn run(&self, time: Duration, threads: Vec<ScopedJoinHandle<'_, f64>>) -> f64 {
        self.start.wait();
        std::thread::sleep(time);
        // relaxed: as above.
        self.over.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("threads do not panic")).sum()
    }
}

/// Millions of operations a second.
fn round<S: Subject>(map: &S, streams: &[Vec<(u64, u8)>], time: Duration) -> f64 {
    let round = Round::new(streams.len());
    let each = |key, what| match what {
        0 => map.get(key),
        1 => {
            map.insert(key);
            0
        }
        _ => {
            map.remove(key);
            0
        }
    };
    let work = |stream: &[(u64, u8)]| round.work(stream, each);
    std::thread::scope(|scope| {
        let threads = streams.iter().map(|stream| scope.spawn(|| work(stream))).collect();
        round.run(time, threads)
    })
}

/// A round of a map that was built for it, by its streams and its time.
type Run<'a> = Box<dyn Fn(&[Vec<(u64, u8)>], Duration) -> f64 + 'a>;

/// Builds a map and fills it.
type Build<'a> = Box<dyn FnOnce() -> Run<'a> + 'a>;

/// Fills a map with half of `keys`, which a mix of inserts and removes keeps.
fn subject<'a, S: Subject + 'a>(map: S, keys: u64) -> Run<'a> {
    (0..keys).step_by(2).for_each(|n| map.insert(key(n)));
    Box::new(move |streams, time| round(&map, streams, time))
}

/// The wanted measurements.
#[derive(Clone)]
struct Options {
    time: Duration,
    threads: Vec<u64>,
    entries: Vec<u64>,
    /// Names of maps and of mixes; empty for all.
    maps: Vec<String>,
    mixes: Vec<String>,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Self {
        let mut options = Self {
            time: Duration::from_millis(200),
            threads: vec![1, 2, 4, 8, 16],
            entries: vec![1 << 16, 1 << 20],
            maps: vec![],
            mixes: vec![],
        };
        while let Some(word) = words.next() {
            let list: Vec<String> =
                words.next().expect("a value").split(',').map(str::to_owned).collect();
            let numbers = || list.iter().map(|word| word.parse().expect("a number")).collect();
            match word.as_str() {
                "--seconds" => {
                    options.time = Duration::from_secs_f64(list[0].parse().expect("seconds"));
                }
                "--threads" => options.threads = numbers(),
                "--entries" => options.entries = numbers(),
                "--maps" => options.maps = list,
                "--mixes" => options.mixes = list,
                _ => panic!("unknown option {word}"),
            }
        }
        options
    }

    fn wants_map(&self, name: &str) -> bool {
        self.maps.is_empty() || self.maps.iter().any(|map| map == name)
    }

    fn wants_mix(&self, mix: &Mix) -> bool {
        self.mixes.is_empty() || self.mixes.iter().any(|name| name == mix.name)
    }
}

fn main() {
    let options = Options::parse(std::env::args().skip(1));
    for &entries in &options.entries {
        hashed(2 * entries, &options);
        ordered(2 * entries, &options);
    }
    published(1 << 20, &options);
}

fn hashed(keys: u64, options: &Options) {
    fn of<'a, M: Bench<Key = u64, Value = u64>>(keys: u64) -> (&'static str, Build<'a>) {
        (M::NAME, Box::new(move || subject(Hashed(M::new()), keys)))
    }
    let owned = move || subject(Owned(HashMap::with_hasher(hasher())), keys);
    let maps = [
        of::<Flat>(keys),
        ("HashMap", Box::new(owned) as Build<'_>),
        of::<Papaya<u64, u64>>(keys),
        of::<Scc<u64, u64>>(keys),
        of::<Dash<u64, u64>>(keys),
        of::<SpinLocks<u64, u64>>(keys),
        of::<Locked<u64, u64>>(keys),
    ];
    compare("hash maps", keys, maps, &MIXES, options);
}

fn ordered(keys: u64, options: &Options) {
    fn of<'a, T: Tree>(keys: u64) -> (&'static str, Build<'a>) {
        (T::NAME, Box::new(move || subject(Ordered(T::new()), keys)))
    }
    let maps = [
        of::<Fence>(keys),
        of::<Skipmap>(keys),
        of::<Index>(keys),
        of::<trees::BbTree>(keys),
        of::<trees::Locked>(keys),
    ];
    compare("ordered maps", keys, maps, &MIXES, options);
}

/// Millions of reads a second beside one thread that writes.
fn beside_writer<P: Pair<u64>>(
    writer: &mut P::Writer,
    readers: &mut [P::Reader],
    streams: &[Vec<(u64, u8)>],
    time: Duration,
) -> f64 {
    let round = Round::new(streams.len());
    let read = |reader: &mut P::Reader, stream: &[(u64, u8)]| {
        round.work(stream, |key, _| fold(reader.get(&key, |&value| value)))
    };
    std::thread::scope(|scope| {
        let (first, others) = streams.split_first().expect("a stream a thread");
        scope.spawn(|| {
            round.start.wait();
            for piece in first.chunks(100).cycle() {
                writer.batched(|insert| {
                    for &(key, _) in piece {
                        insert(key, value(key, 1));
                    }
                });
                writer.publish();
                if round.is_over() {
                    break;
                }
            }
        });
        let readers = others.iter().zip(readers);
        let threads =
            readers.map(|(stream, reader)| scope.spawn(|| read(reader, stream))).collect();
        round.run(time, threads)
    })
}

/// Maps of one writer, and maps that threads share anyway, with keys by Zipf's law.
fn published(keys: u64, options: &Options) {
    fn of<P: Pair<u64>>(keys: u64, most: u64) -> (&'static str, Build<'static>) {
        let build = move || -> Run<'static> {
            let (mut writer, reader) = P::new();
            writer.batched(|insert| {
                (0..keys).step_by(2).map(key).for_each(|key| insert(key, value(key, 1)));
            });
            writer.publish();
            let readers: Vec<_> = (0..most).map(|_| reader.another()).collect();
            let state = RefCell::new((writer, readers));
            Box::new(move |streams, time| {
                let (writer, readers) = &mut *state.borrow_mut();
                beside_writer::<P>(writer, readers, streams, time)
            })
        };
        (P::NAME, Box::new(build))
    }
    let most = options.threads.iter().copied().max().unwrap_or(1);
    let maps = [
        of::<pairs::LeftRightMap<u64, hedgerow::left_right::Inline>>(keys, most),
        of::<pairs::Shared<Flat<u64>, true>>(keys, most),
        of::<pairs::LeftRight<u64>>(keys, most),
        of::<pairs::Evmap<u64>>(keys, most),
        of::<pairs::Flashmap<u64>>(keys, most),
        of::<pairs::Shared<Papaya<u64, u64>>>(keys, most),
        of::<pairs::Shared<Dash<u64, u64>>>(keys, most),
        of::<pairs::Locked<u64>>(keys, most),
    ];
    let mix = Mix { name: "beside-writer", changes: 0, law: Law::Zipf };
    // One of the threads is the writer.
    let threads = options.threads.iter().copied().filter(|&threads| threads > 1).collect();
    compare("maps of one writer", keys, maps, &[mix], &Options { threads, ..options.clone() });
}

/// Builds the wanted maps and prints the table of them.
fn compare<const N: usize>(
    what: &str,
    keys: u64,
    maps: [(&'static str, Build<'_>); N],
    mixes: &[Mix],
    options: &Options,
) {
    let maps: Vec<_> = maps.into_iter().filter(|(name, _)| options.wants_map(name)).collect();
    let mixes: Vec<_> = mixes.iter().copied().filter(|mix| options.wants_mix(mix)).collect();
    if mixes.is_empty() || maps.is_empty() {
        return;
    }
    let (names, maps): (Vec<_>, Vec<_>) =
        maps.into_iter().map(|(name, build)| (name, build())).unzip();
    println!("\n{what}, {} entries, million operations a second\n", keys / 2);
    println!("| | threads | {} |\n|---|--:|{}", names.join(" | "), "--:|".repeat(maps.len()));
    for mix in mixes {
        for &threads in &options.threads {
            let streams: Vec<_> = (0..threads).map(|thread| stream(mix, keys, thread)).collect();
            let mut speeds = vec![vec![]; maps.len()];
            for _ in 0..ROUNDS {
                for (run, speeds) in maps.iter().zip(&mut speeds) {
                    speeds.push(run(&streams, options.time));
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
