//! `FenceMap` with and without workers: two threads that write to a hot range which moves, or everywhere.
//!
//! `cargo bench --bench workers --features std-ext [-- ROUNDS]`. The ways of writing take turns in one process, in
//! another order each round; a figure is the median over the rounds of a way's throughput by that of direct calls in
//! the same round. A change counts when a worker has applied it. The last column has the processor time of a change,
//! of all threads together and over all rounds: on Linux, in steps of a hundredth of a second. A busy machine falsifies
//! that figure less.

use hedgerow::FenceMap;
use hedgerow::fence::Op;
use hedgerow::std_ext::FenceWorkers;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

const ENTRIES: u64 = 1 << 20;
/// Of the keys, the part that is hot.
const HOT: u64 = 100;
const THREADS: u64 = 2;
/// Changes of a thread in a round of one way, and between two moves of the hot range.
const CHANGES: u64 = 1_000_000;
const STAY: u64 = 200_000;
/// Changes that are handed over together.
const BATCH: u64 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Direct,
    Balanced,
    Submit,
    Wait,
    Post,
    PostSmall,
    AllAndWait,
    Each,
    /// `submit` where everything is handed over.
    Always,
    /// `post_all` of the same.
    AlwaysPost,
}

const METHODS: [(Method, &str); 10] = [
    (Method::Direct, "compute"),
    (Method::Balanced, "compute, balanced in the background"),
    (Method::Submit, "submit, ticket dropped"),
    (Method::Wait, "submit and wait"),
    (Method::Post, "post_all of 64"),
    (Method::PostSmall, "post_all of 8"),
    (Method::AllAndWait, "submit_all of 64, waiting for the one before"),
    (Method::Each, "apply_each of 64, no workers"),
    (Method::Always, "submit, ticket dropped, all handed over"),
    (Method::AlwaysPost, "post_all of 64, all handed over"),
];

struct Rng(u64);
impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// The keys that the writers choose.
#[derive(Clone, Copy)]
enum Load {
    Uniform,
    /// A hundredth of them, somewhere else after each `STAY` changes of a thread.
    Hot(u64),
}

impl Load {
    fn key(self, n: u64, rng: &mut Rng) -> u64 {
        let number = match self {
            Self::Uniform => rng.next() % ENTRIES,
            Self::Hot(round) => {
                let start = Rng((round << 32) | (n / STAY)).next() % (ENTRIES - ENTRIES / HOT);
                start + rng.next() % (ENTRIES / HOT)
            }
        };
        number * 16
    }
}

fn count(n: Option<u64>) -> Op<u64> {
    Op::Insert(n.unwrap_or(0) + 1)
}

/// One thread's part.
fn write(
    way: Method,
    map: &FenceMap<u64, u64>,
    workers: &FenceWorkers<u64, u64>,
    load: Load,
    seed: u64,
) {
    let mut rng = Rng(seed);
    let size = if way == Method::PostSmall { 8 } else { BATCH };
    let mut before = None;
    let mut n = 0;
    let batch = |n: &mut u64, rng: &mut Rng| -> Vec<(u64, Op<u64>)> {
        let some = (0..size).map(|at| (load.key(*n + at, rng), Op::Insert(*n))).collect();
        *n += size;
        some
    };
    while n < CHANGES {
        match way {
            Method::Direct | Method::Balanced => _ = map.compute(load.key(n, &mut rng), count),
            Method::Submit | Method::Always => drop(workers.submit(load.key(n, &mut rng), count)),
            Method::Wait => {
                let ticket = workers.submit(load.key(n, &mut rng), count).unwrap();
                ticket.wait().unwrap();
            }
            Method::Post | Method::PostSmall | Method::AlwaysPost => {
                workers.post_all(batch(&mut n, &mut rng)).unwrap();
                continue;
            }
            Method::AllAndWait => {
                let next = workers.submit_all(batch(&mut n, &mut rng)).unwrap();
                if let Some(ticket) = before.replace(next) {
                    ticket.wait().unwrap();
                }
                continue;
            }
            Method::Each => {
                map.apply_each(&batch(&mut n, &mut rng));
                continue;
            }
        }
        n += 1;
    }
}

/// Changes a second.
fn run(way: Method, map: &Arc<FenceMap<u64, u64>>, load: Load, seed: u64) -> (f64, String) {
    let threshold = match way {
        Method::Always | Method::AlwaysPost => 0,
        Method::Direct | Method::Balanced | Method::Each => usize::MAX,
        _ => std::env::var("THRESHOLD").map_or(1 << 14, |text| text.parse().unwrap()),
    };
    // As good as none.
    let pace = if matches!(way, Method::Direct | Method::Each) { 3_600_000 } else { 1 };
    let builder = FenceWorkers::<u64, u64>::builder().threshold(threshold);
    let workers = builder.pace(Duration::from_millis(pace)).spawn(Arc::clone(map)).unwrap();
    let barrier = Barrier::new(THREADS as usize + 1);
    let mut began = Instant::now();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (workers, barrier) = (&workers, &barrier);
            scope.spawn(move || {
                barrier.wait();
                write(way, map, workers, load, seed * THREADS + thread);
            });
        }
        barrier.wait();
        began = Instant::now();
    });
    let stats = workers.stats();
    workers.shutdown();
    let nanoseconds = u32::try_from(began.elapsed().as_nanos()).unwrap_or(u32::MAX);
    let rate = f64::from((THREADS * CHANGES) as u32) * 1e9 / f64::from(nanoseconds);
    (rate, format!("{stats:?}"))
}

/// Seconds that processors have worked for this process; 0 where that is not known.
fn worked() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may have blanks in it.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u32 = fields.skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    f64::from(ticks) / 100.0
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn main() {
    let rounds: u64 = std::env::args().skip(1).find_map(|text| text.parse().ok()).unwrap_or(9);
    let map: Arc<FenceMap<u64, u64>> = Arc::new((0..ENTRIES).map(|n| (n * 16, 0)).collect());
    for what in ["a hot hundredth that moves", "everywhere"] {
        let mut rates = vec![Vec::new(); METHODS.len()];
        let mut notes = vec![String::new(); METHODS.len()];
        let mut work = vec![0.0; METHODS.len()];
        for round in 0..rounds {
            let load = if what == "everywhere" { Load::Uniform } else { Load::Hot(round) };
            let mut order: Vec<usize> = (0..METHODS.len()).collect();
            order.sort_by_key(|&at| Rng(round * 64 + at as u64).next());
            for at in order {
                let conflicts = |map: &FenceMap<u64, u64>| -> usize {
                    map.fences().iter().map(|fence| fence.conflicts).sum()
                };
                let before = conflicts(&map);
                let begun = worked();
                let (rate, stats) = run(METHODS[at].0, &map, load, round);
                work[at] += worked() - begun;
                rates[at].push(rate);
                notes[at] = format!("conflicts {}, {stats}", conflicts(&map).wrapping_sub(before));
            }
        }
        println!(
            "\n{what}: {rounds} rounds, million changes a second (median), by direct calls; ns of work each, by direct calls"
        );
        let direct = rates[0].clone();
        for (at, (_, name)) in METHODS.iter().enumerate() {
            let ratios = rates[at].iter().zip(&direct).map(|(a, b)| a / b);
            let ratio = median(&mut ratios.collect::<Vec<_>>());
            let rate = median(&mut rates[at].clone()) / 1e6;
            let each = work[at] * 1e9 / f64::from((rounds * THREADS * CHANGES) as u32);
            let saves = work[0] / work[at];
            println!("{rate:>7.2}  {ratio:>5.2}  {each:>5.0}  {saves:>5.2}  {name}");
            if std::env::var_os("VERBOSE").is_some() {
                println!("                {}", notes[at]);
            }
        }
    }
}
