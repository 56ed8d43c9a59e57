//! builds: default
//!
//! The worker: no wake-up is lost, a panic affects only its own worker, and a worker ends when it is told to.
#![cfg(feature = "std-ext")]

use hedgerow::compressed::codec::{Codec, Corrupt, Model, Work};
use hedgerow::std_ext::{Compressor, Grower, Progress, Worker};
use hedgerow::{CompressedMap, FlatMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// Waits until `reached` returns true. Fails if that takes too long.
fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let began = Instant::now();
    while !reached() {
        assert!(began.elapsed() < LIMIT, "{what}: not in {LIMIT:?}");
        thread::yield_now();
    }
}

#[test]
fn every_wake_up_is_followed_by_a_step() {
    let (asked, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (seen, answer) = (asked.clone(), answered.clone());
    let worker = Worker::spawn("echo", 1, move |_| {
        answer.store(seen.load(SeqCst), SeqCst);
        Progress::Idle
    })
    .unwrap();
    // Each number waits for its own answer, so the test hangs if a wake-up is lost.
    for n in 1..=20_000 {
        asked.store(n, SeqCst);
        worker.wake();
        until("an answer", || answered.load(SeqCst) == n);
    }
}

#[test]
fn wakers_on_many_threads_lose_nothing() {
    const WAKERS: u64 = 4;
    const EACH: u64 = 5_000;
    let (added, taken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (source, total) = (added.clone(), taken.clone());
    let worker = Worker::spawn("sum", 1, move |_| {
        total.fetch_add(source.swap(0, SeqCst), SeqCst);
        Progress::Idle
    })
    .unwrap();
    thread::scope(|scope| {
        for _ in 0..WAKERS {
            scope.spawn(|| {
                for _ in 0..EACH {
                    added.fetch_add(1, SeqCst);
                    worker.wake();
                }
            });
        }
    });
    until("the sum", || taken.load(SeqCst) == WAKERS * EACH);
}

#[test]
fn a_step_may_eat_the_threads_own_unpark_token() {
    let (asked, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (seen, answer) = (asked.clone(), answered.clone());
    let worker = Worker::spawn("parker", 1, move |_| {
        answer.store(seen.load(SeqCst), SeqCst);
        // As a channel or a scope of the standard library may do within a step.
        thread::park_timeout(Duration::from_micros(20));
        Progress::Idle
    })
    .unwrap();
    for n in 1..=500 {
        asked.store(n, SeqCst);
        worker.wake();
        until("an answer", || answered.load(SeqCst) == n);
    }
}

#[test]
fn more_continues_by_itself_and_the_budget_is_passed() {
    let steps = Arc::new(AtomicUsize::new(0));
    let counted = steps.clone();
    let worker = Worker::spawn("ten", 7, move |budget| {
        assert_eq!((budget, thread::current().name()), (7, Some("ten")));
        if counted.fetch_add(1, SeqCst) + 1 < 10 { Progress::More } else { Progress::Idle }
    })
    .unwrap();
    until("ten steps", || steps.load(SeqCst) == 10);
    // An idle worker sleeps: only a wake-up causes the eleventh step.
    thread::sleep(Duration::from_millis(30));
    assert_eq!(steps.load(SeqCst), 10);
    worker.wake();
    until("the eleventh step", || steps.load(SeqCst) == 11);
    worker.shutdown().unwrap();
}

#[test]
fn later_steps_come_by_themselves_or_when_woken() {
    let steps = Arc::new(AtomicUsize::new(0));
    let counted = steps.clone();
    let worker = Worker::spawn("later", 1, move |_| match counted.fetch_add(1, SeqCst) {
        0..20 => Progress::Later(Duration::from_millis(1)),
        20 => Progress::Later(Duration::ZERO),
        21 => Progress::Later(Duration::from_secs(3600)),
        _ => Progress::Later(Duration::MAX),
    })
    .unwrap();
    until("twenty-two steps", || steps.load(SeqCst) == 22);
    for woken in 23..25 {
        thread::sleep(Duration::from_millis(5));
        assert_eq!(steps.load(SeqCst), woken - 1, "an hour has not passed");
        worker.wake();
        until("a step", || steps.load(SeqCst) == woken);
    }
    let began = Instant::now();
    worker.shutdown().unwrap();
    assert!(began.elapsed() < LIMIT);
}

#[test]
fn a_grower_keeps_ahead_of_all_its_maps_and_keeps_none_alive() {
    let grower = Grower::spawn().unwrap();
    let maps: Vec<_> = (0..4).map(|_| Arc::new(FlatMap::<u64, u64>::new())).collect();
    for map in &maps {
        grower.add(map);
    }
    for key in 0..50_000 {
        for map in &maps {
            assert_eq!(map.insert(key, key), None);
        }
    }
    // `grow_step` alone does what is due, without an insert.
    until("growth", || maps.iter().all(|map| !map.grow_step(0)));
    let bins: Vec<_> = maps.iter().map(|map| map.stats().bins).collect();
    for (map, bins) in maps.iter().zip(bins) {
        assert!((0..50_000).all(|key| map.get(&key) == Some(key)));
        assert!(bins * 4 > 51_000, "{bins} bins are none too many, but no more");
    }
    until("the end of steps", || maps.iter().all(|map| Arc::strong_count(map) == 1));
    let weak: Vec<_> = maps.iter().map(Arc::downgrade).collect();
    drop(maps);
    // For the time of a step the thread may be the last owner of a map.
    until("the end of the maps", || weak.iter().all(|map| map.strong_count() == 0));
    assert!(!grower.is_finished());
    let late = Arc::new(FlatMap::<u64, u64>::new());
    grower.add(&late);
    (0..10_000).for_each(|key| assert_eq!(late.insert(key, key), None));
    until("growth", || !late.grow_step(0));
    drop(grower);
    assert_eq!(Arc::weak_count(&late), 0);
}

#[test]
fn a_hash_that_panics_ends_the_grower_and_no_map() {
    use std::hash::{Hash, Hasher};
    #[derive(Clone, Copy, PartialEq, Eq)]
    struct Touchy(u64);
    impl Hash for Touchy {
        fn hash<H: Hasher>(&self, state: &mut H) {
            assert_ne!(thread::current().name(), Some("grower"), "planted");
            self.0.hash(state);
        }
    }
    let (grower, map) = (Grower::spawn().unwrap(), Arc::new(FlatMap::<Touchy, u64>::new()));
    (0..5_000).for_each(|key| assert_eq!(map.insert(Touchy(key), key), None));
    until("growth that is due", || {
        map.insert(Touchy(map.len() as u64), 0);
        map.grow_step(0)
    });
    grower.add(&map);
    until("the panic", || grower.is_finished());
    let late = Arc::new(FlatMap::<u64, u64>::new());
    (0..1_000).for_each(|_| grower.add(&late));
    assert_eq!(Arc::weak_count(&late), 0, "maps wait for a thread that has ended");
    for key in 0..20_000 {
        map.insert(Touchy(key), key);
    }
    assert!((0..20_000).all(|key| map.get(&Touchy(key)) == Some(key)));
}

struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn a_worker_that_always_has_more_still_ends() {
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Flag(ended.clone());
    let worker = Worker::spawn("busy", 1, move |_| {
        let _ = &flag;
        Progress::More
    })
    .unwrap();
    drop(worker);
    assert!(ended.load(SeqCst), "dropping joins, so the step and its captures are gone");
}

#[test]
fn a_panic_is_returned_and_affects_no_other_worker() {
    let (stepped, steps) = sync_channel(1);
    let sound = Worker::spawn("sound", 1, move |_| {
        let _ = stepped.try_send(());
        Progress::Idle
    })
    .unwrap();
    let broken = Worker::spawn("broken", 1, |_| panic!("planted")).unwrap();
    until("the panic", || broken.is_finished());
    broken.wake();
    steps.recv_timeout(LIMIT).expect("the first step");
    sound.wake();
    steps.recv_timeout(LIMIT).expect("a step after the other's panic");
    assert_eq!(broken.shutdown().unwrap_err().downcast_ref(), Some(&"planted"));
    drop(Worker::spawn("ignored", 1, |_| panic!("planted")).unwrap());
    sound.shutdown().unwrap();
}

#[test]
fn a_worker_dropped_by_its_own_step_does_not_wait_for_itself() {
    let own: Arc<Mutex<Option<Worker>>> = Arc::default();
    let (dropped, seen) = channel();
    let mine = own.clone();
    let worker = Worker::spawn("self-ending", 1, move |_| {
        let Some(worker) = mine.lock().unwrap().take() else { return Progress::More };
        drop(worker);
        dropped.send(()).unwrap();
        Progress::More
    })
    .unwrap();
    *own.lock().unwrap() = Some(worker);
    seen.recv_timeout(LIMIT).expect("the drop returns");
    until("the end of the thread", || Arc::strong_count(&own) == 1);
}

/// Compresses nothing.
struct Doomed;

impl Codec for Doomed {
    fn name(&self) -> &'static str {
        "doomed"
    }
    fn untrained(&self) -> Option<Box<dyn Model>> {
        Some(Box::new(Doomed))
    }
    fn train(&self, _: &[&[u8]], _: usize) -> Option<Box<dyn Model>> {
        None
    }
    fn import(&self, _: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
        Err(Corrupt::new())
    }
}

impl Model for Doomed {
    fn compress(&self, _: &[u8], _: &mut [u8], _: &mut Work) -> Option<usize> {
        panic!("planned")
    }
    fn decompress(&self, _: &[u8], _: &mut [u8]) -> Result<(), Corrupt> {
        Err(Corrupt::new())
    }
    fn export(&self, _: &mut dyn FnMut(&[u8])) {}
    fn bytes(&self) -> usize {
        0
    }
}

#[test]
fn a_compressor_frees_memory_and_ends_if_a_codec_panics() {
    let compressor = Compressor::spawn().unwrap();
    let map = Arc::new(CompressedMap::with_budget(512 << 10));
    compressor.add(&map);
    let row = |n: u32| format!("{{\"number\": {n}, \"name\": \"the {n}th of all rows\"}}");
    for n in 0..4_000 {
        map.insert(&n.to_string(), &row(n)).unwrap();
    }
    until("what is learned", || map.stats().codecs.iter().any(|codec| codec.models > 1));
    assert!((0..4_000).all(|n| map.get(&n.to_string()) == Ok(Some(row(n).into_bytes()))));

    let doomed = Arc::new(CompressedMap::builder_without_codecs(64 << 10).codec(Doomed).build());
    compressor.add(&doomed);
    // Writers use the codec, too, when they have to free memory.
    let mut n = 0;
    until("the end of the thread", || {
        n += 1;
        let _ = catch_unwind(AssertUnwindSafe(|| doomed.insert(&n.to_string(), &row(n))));
        compressor.is_finished()
    });
    assert!(doomed.len() > 100);
    let _ = map.insert("key", "value");
}
