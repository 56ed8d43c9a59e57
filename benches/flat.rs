//! `FlatMap` against its own past: `cargo bench --bench flat -- --save-baseline before`, then, with
//! the change, `-- --baseline before`. Against other maps: `benches/versus`.

use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use foldhash::fast::FixedState;
use hedgerow::FlatMap;
use std::hint::black_box;
use std::time::Duration;

type Map = FlatMap<u64, u64, FixedState>;

/// In a core's own caches, in the shared one, and in memory.
const SIZES: [u64; 3] = [1 << 10, 1 << 16, 1 << 20];

/// Operations in one iteration, so that the clock and the loop around them cost nothing.
const CHUNK: usize = 1024;

/// The `i`-th key: distinct, and in no order that a table could profit from.
fn key(i: u64) -> u64 {
    let x = (i ^ (i >> 30)).wrapping_add(1).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Keys of `n` numbers from `first` on, in an order that has nothing to do with how they were inserted;
/// as many rounds of it as make the branch predictor forget.
fn order(first: u64, n: u64) -> Vec<u64> {
    let mut numbers: Vec<u64> = (first..first + n).collect();
    let mut keys = Vec::new();
    for round in 0..(1 << 15_u64).max(n) / n {
        numbers.sort_unstable_by_key(|&i| key(i ^ (round + 1) << 40));
        keys.extend(numbers.iter().map(|&i| key(i)));
    }
    keys
}

/// With the same hasher in every run: another seed is another table.
fn empty() -> Map {
    Map::with_hasher(FixedState::with_seed(1))
}

fn filled(n: u64) -> Map {
    let map = empty();
    for i in 0..n {
        map.insert(key(i), i);
    }
    map
}

/// Operations on keys of a map that stays as it is, [`CHUNK`] by `CHUNK`.
fn steady<R>(
    group: &mut BenchmarkGroup<WallTime>,
    name: &str,
    n: u64,
    keys: &[u64],
    op: impl Fn(u64) -> R,
) {
    group.throughput(Throughput::Elements(CHUNK as u64));
    group.bench_function(BenchmarkId::new(name, n), |bencher| {
        let mut chunks = keys.chunks_exact(CHUNK).cycle();
        bencher.iter(|| {
            for &key in chunks.next().into_iter().flatten() {
                black_box(op(key));
            }
        });
    });
}

fn flat(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flat");
    group.sample_size(20).warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(2));
    for n in SIZES {
        let map = filled(n);
        let (there, absent) = (order(0, n), order(n, n));
        steady(&mut group, "get hit", n, &there, |key| map.get(&key));
        steady(&mut group, "get miss", n, &absent, |key| map.get(&key));
        steady(&mut group, "upsert", n, &there, |key| map.insert(key, key));

        group.throughput(Throughput::Elements(n));
        group.bench_function(BenchmarkId::new("iterate", n), |bencher| {
            bencher.iter(|| map.iter().fold(0, |sum: u64, (_, value)| sum.wrapping_add(value)));
        });
        // The figures leave out freeing: criterion drops the closures' results outside of the measurement.
        group.bench_function(BenchmarkId::new("insert from empty", n), |bencher| {
            let insert = |map: Map| {
                for &key in &there[..n as usize] {
                    map.insert(key, key);
                }
                map
            };
            bencher.iter_batched(empty, insert, BatchSize::PerIteration);
        });
        group.bench_function(BenchmarkId::new("remove", n), |bencher| {
            let remove = |map: Map| {
                for key in &there[..n as usize] {
                    map.remove(key);
                }
                map
            };
            bencher.iter_batched(|| filled(n), remove, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, flat);
criterion_main!(benches);
