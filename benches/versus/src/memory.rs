//! Bytes an entry, as the allocator counts them for each map.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};

use std::borrow::Borrow;

use crate::data::{View, Word};
use crate::keys;
use crate::pairs::{Pair, Reader, Writer};
use crate::rivals::Bench;
use crate::trees::Tree;

/// The system's allocator; while switched on it counts the bytes of blocks with
/// the allocator's rounding and headers: a map of boxed entries pays for them, a
/// map of few large blocks hardly.
///
/// Off, it costs one load of a word nobody writes, so that maps which allocate
/// for every insertion do not queue for a shared counter while they are timed.
pub struct Counting;

/// glibc keeps the size of a block in the word before it.
const HEADER: i64 = size_of::<usize>() as i64;

static ON: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);

fn count(block: *mut u8, sign: i64) {
    if ON.load(Relaxed) && !block.is_null() {
        // SAFETY: the block came from the system's allocator and is not freed.
        let usable = unsafe { libc::malloc_usable_size(block.cast()) };
        let more = sign * (usable.cast_signed() as i64 + HEADER);
        let live = LIVE.fetch_add(more, Relaxed) + more;
        PEAK.fetch_max(live, Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: promised by the caller.
        let block = unsafe { System.alloc(layout) };
        count(block, 1);
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: promised by the caller.
        let block = unsafe { System.alloc_zeroed(layout) };
        count(block, 1);
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(block, -1);
        // SAFETY: promised by the caller.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        count(block, -1);
        // SAFETY: promised by the caller.
        let grown = unsafe { System.realloc(block, layout, new) };
        count(if grown.is_null() { block } else { grown }, 1);
        grown
    }
}

/// Bytes an entry of one map.
#[derive(Clone, Copy, Debug)]
pub struct Bytes {
    /// After growing to `n` keys.
    pub grown: f64,
    /// The most at any time until then, against that.
    pub peak: f64,
    /// The mean while growing on to `2n`: `n` alone flatters the map whose last
    /// doubling was just before.
    pub mean: f64,
    /// After growing to `n` and replacing every key four times by another.
    pub churned: f64,
    /// The most at any time until then, against `grown`.
    pub churned_peak: f64,
}

/// How the `i`-th key and the `i`-th value are made.
pub struct Source<M: Bench> {
    /// The key.
    pub key: fn(u64) -> M::Key,
    /// The value.
    pub value: fn(u64) -> M::Value,
}

/// Measures one map; for a process that does nothing else, since maps free
/// memory late and would pay for each other.
pub fn measure<M: Bench>(source: &Source<M>, n: u64) -> Bytes {
    bytes(M::new, |map, i| source.put(map, i), |map, i| source.take(map, i), n)
}

/// The same of an ordered map.
pub fn measure_tree<T: Tree>(n: u64) -> Bytes {
    let put = |map: &T, i| map.insert(keys::key(i), keys::value(keys::key(i), 0));
    let take = |map: &T, i| assert!(map.remove(keys::key(i)), "a key is lost");
    bytes(T::new, put, take, n)
}

fn bytes<M>(new: fn() -> M, put: impl Fn(&M, u64), take: impl Fn(&M, u64), n: u64) -> Bytes {
    let each = |bytes: i64, keys: u64| bytes as f64 / keys as f64;
    let filled = || {
        start();
        let map = new();
        (0..n).for_each(|i| put(&map, i));
        map
    };
    let map = filled();
    let (grown, peak) = (LIVE.load(Relaxed), PEAK.load(Relaxed));
    let mut mean = 0.0;
    for step in 1..=16 {
        for i in n / 16 * (step - 1)..n / 16 * step {
            put(&map, n + i);
        }
        mean += each(LIVE.load(Relaxed), n + n / 16 * step) / 16.0;
    }
    ON.store(false, Relaxed);
    drop(map);
    let map = filled();
    for i in 0..4 * n {
        take(&map, i);
        put(&map, i + n);
    }
    let (churned, churned_peak) = (LIVE.load(Relaxed), PEAK.load(Relaxed));
    ON.store(false, Relaxed);
    Bytes {
        grown: each(grown, n),
        peak: peak as f64 / grown as f64,
        mean,
        churned: each(churned, n),
        churned_peak: churned_peak as f64 / grown as f64,
    }
}

/// Bytes an entry of one map behind two handles.
#[derive(Clone, Copy, Debug)]
pub struct PairBytes {
    /// With all keys, and some of them written again.
    pub grown: f64,
    /// The most at any time until then, against that.
    pub peak: f64,
}

/// Batches that are written again, so that both sides have seen writes.
const AGAIN: u64 = 16;

/// Keys in each of these.
const BATCH: u64 = 1000;

/// Measures one map behind two handles; for a process that does nothing else.
pub fn measure_pair<V: Word, P: Pair<V>>(n: u64) -> PairBytes {
    start();
    let (mut writer, mut reader) = P::new();
    let mut write = |range: std::ops::Range<u64>, stamp| {
        for i in range {
            writer.insert(keys::key(i), V::new(keys::key(i), stamp));
        }
        writer.publish();
        // A reader that never looked might keep what all others have left.
        assert!(reader.get(&keys::key(0), V::look).is_some(), "a key is lost");
    };
    write(0..n, 0);
    for batch in 0..AGAIN {
        write(batch * BATCH..(batch + 1) * BATCH, 1);
    }
    let (grown, peak) = (LIVE.load(Relaxed), PEAK.load(Relaxed));
    ON.store(false, Relaxed);
    PairBytes { grown: grown as f64 / n as f64, peak: peak as f64 / grown as f64 }
}

/// Counts from now on, from nothing.
pub(crate) fn start() {
    LIVE.store(0, Relaxed);
    PEAK.store(0, Relaxed);
    ON.store(true, Relaxed);
}

/// Counts no longer: the bytes that were taken and not given back.
pub(crate) fn stop() -> i64 {
    ON.store(false, Relaxed);
    LIVE.load(Relaxed)
}

impl<M: Bench> Source<M> {
    fn put(&self, map: &M, i: u64) {
        let (key, value) = ((self.key)(i), (self.value)(i));
        let key: &View<M::Key> = key.borrow();
        assert!(map.insert(key, value.borrow(), |_| 0).is_none(), "a key was there already");
    }

    fn take(&self, map: &M, i: u64) {
        let key = (self.key)(i);
        let key: &View<M::Key> = key.borrow();
        assert!(map.remove(key, |_| 0).is_some(), "a key is lost");
    }
}
