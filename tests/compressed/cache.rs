//! builds: default asan tsan narrow
//!
//! `CompressedMap` as a cache: values that expire, the listener of removals, and values that are computed once, on
//! demand.

use crate::support::{effort, within};
use hedgerow::CompressedMap;
use hedgerow::compressed::codec::{Corrupt, SmallText};
use hedgerow::compressed::{Decode, Policy, RemovalCause, StoreError, TypedMap};
use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

/// A clock that the test sets, in milliseconds.
#[derive(Clone, Default)]
struct Manual(Arc<AtomicU64>);

impl Manual {
    fn set(&self, millis: u64) {
        self.0.store(millis, Ordering::Relaxed);
    }

    fn clock(&self) -> impl Fn() -> Duration + Send + Sync + use<> {
        let millis = self.0.clone();
        move || Duration::from_millis(millis.load(Ordering::Relaxed))
    }
}

const LIFE: Duration = Duration::from_secs(1);

fn text(n: usize) -> String {
    format!(
        "{{\"number\": {n}, \"country\": \"Norway\", \"capital\": \"Oslo\", \"half\": {}}}",
        n / 2
    )
}

/// No operation on a key finds an expired value.
fn is_absent(map: &CompressedMap, key: &str) {
    let told = "an expired value was found";
    assert_eq!(map.get(key), Ok(None), "{told}");
    assert_eq!(map.get_into(key, &mut [0; 256]), Ok(None), "{told}");
    assert_eq!(map.peek_into(key, &mut [0; 256]), Ok(None), "{told}");
    assert!(!map.contains_key(key), "{told}");
    assert_eq!(map.time_to_live(key), None, "{told}");
    assert_eq!(map.update(key, Some), Ok(false), "{told}");
    assert!(map.iter().all(|(met, _)| met != key.as_bytes()), "{told}");
    map.retain(|met, _| {
        assert_ne!(met, key.as_bytes(), "{told}");
        true
    });
}

#[test]
fn a_value_is_there_until_it_expires() {
    let time = Manual::default();
    let map = CompressedMap::builder_without_codecs(1 << 20).clock(time.clock()).build();
    for (key, is_long) in [("short", false), ("long", true)] {
        let value = if is_long { text(1).repeat(40) } else { text(1) };
        time.set(0);
        assert_eq!(map.insert_for(key, &value, LIFE), Ok(false));
        for now in [0, 1, 999] {
            time.set(now);
            let left = Duration::from_millis(1000 - now);
            assert_eq!(map.time_to_live(key), Some(Some(left)), "another time to live at {now}");
            assert_eq!(map.get(key), Ok(Some(value.clone().into_bytes())));
            assert!(map.contains_key(key) && map.iter().any(|(met, _)| met == key.as_bytes()));
        }
        time.set(1000);
        is_absent(&map, key);
        assert_eq!(map.insert(key, &value), Ok(false), "an expired entry counted as a value");
        assert_eq!(map.time_to_live(key), Some(None));
        time.set(1_000_000);
        assert!(map.remove(key));
        map.insert_for(key, &value, Duration::ZERO).unwrap();
        is_absent(&map, key);
        assert!(!map.remove(key), "an expired entry counted as a value");
        assert_eq!(map.insert_for(key, &value, Duration::MAX), Ok(false));
        assert_eq!(map.time_to_live(key), Some(None));
        time.set(u64::MAX);
        assert!(map.contains_key(key), "Duration::MAX is not never");
    }
}

/// Returns a map of a small budget, filled until most values are compressed.
fn filled(time: &Manual, keys: usize) -> CompressedMap {
    let builder = CompressedMap::builder_without_codecs(256 << 10)
        .codec(SmallText::new())
        .clock(time.clock());
    let map = builder.policy(Policy::Refuse).build();
    for n in 0..keys {
        let key = format!("key {n}");
        if n.is_multiple_of(2) {
            map.insert_for(&key, &text(n), LIFE + Duration::from_millis(n as u64)).unwrap();
        } else {
            map.insert(&key, &text(n)).unwrap();
        }
        map.compress_step(4096);
    }
    assert!(map.stats().cold > 0, "nothing was compressed");
    map
}

#[test]
fn a_deadline_moves_with_its_record() {
    let (time, keys) = (Manual::default(), 2_000);
    let map = filled(&time, keys);
    let live = |n: usize| n.is_multiple_of(2).then(|| LIFE + Duration::from_millis(n as u64));
    for round in 0..3 {
        for n in 0..keys {
            let key = format!("key {n}");
            let left = map.time_to_live(&key);
            assert_eq!(left, Some(live(n)), "a deadline was lost in round {round}");
            // A value that is read twice is promoted, and demoted later.
            assert_eq!(map.get(&key), Ok(Some(text(n).into_bytes())));
            if n % 7 == round {
                map.update(&key, Some).unwrap();
            }
        }
        for n in 0..keys / 4 {
            map.insert(&format!("other {n}"), &text(n)).unwrap();
            map.compress_step(4096);
        }
        (0..keys / 4).for_each(|n| _ = map.remove(&format!("other {n}")));
    }
    time.set(1000 + keys as u64 / 2);
    for n in 0..keys {
        let is_there = n % 2 == 1 || n > keys / 2;
        assert_eq!(map.contains_key(&format!("key {n}")), is_there, "key {n}");
    }
}

#[test]
fn memory_of_expired_entries_is_free_without_writers() {
    let (time, keys) = (Manual::default(), 2_000);
    let map = filled(&time, keys);
    time.set(1_000_000);
    assert_eq!(map.len(), keys);
    for _ in 0..10_000 {
        map.compress_step(1 << 12);
        if map.len() == keys / 2 {
            break;
        }
    }
    assert_eq!(map.len(), keys / 2, "expired entries keep their memory");
    time.set(0);
    for n in 0..keys {
        assert_eq!(map.contains_key(&format!("key {n}")), n % 2 == 1, "key {n}");
    }
}

#[test]
fn an_export_contains_times_to_live() {
    let time = Manual::default();
    let keys = 2_000;
    let map = filled(&time, keys);
    map.insert_for("gone", "value", Duration::ZERO).unwrap();
    time.set(500);
    let mut bytes = Vec::new();
    let write = |part: &[u8]| {
        bytes.extend_from_slice(part);
        Ok::<_, ()>(())
    };
    assert_eq!(map.export(write), Ok(keys), "an expired entry was exported");
    // The other map has another clock.
    let later = Manual::default();
    later.set(70_000);
    // Values that never expired do not get this map's default.
    let other = CompressedMap::builder_without_codecs(1 << 20)
        .codec(SmallText::new())
        .clock(later.clock())
        .time_to_live(Duration::from_secs(60));
    let (other, mut rest) = (other.build(), &bytes[..]);
    let read = |into: &mut [u8]| std::io::Read::read(&mut rest, into);
    assert_eq!(other.import(read).unwrap(), keys);
    for n in 0..keys {
        let key = format!("key {n}");
        let left = n.is_multiple_of(2).then(|| Duration::from_millis(500 + n as u64));
        assert_eq!(other.time_to_live(&key), Some(left), "{key} lives for another time");
    }
}

#[test]
fn a_deferred_change_neither_prolongs_nor_revives() {
    let append = |_: &[u8], value: Option<&[u8]>, changes: &[&[u8]]| {
        [value.unwrap_or_default(), &changes.concat()].concat()
    };
    let time = Manual::default();
    let map =
        CompressedMap::builder_without_codecs(1 << 20).clock(time.clock()).merge(append).build();
    map.insert_for("key", "a", LIFE).unwrap();
    map.modify_deferred("key", "b").unwrap();
    assert_eq!(map.get("key"), Ok(Some(b"ab".to_vec())));
    assert_eq!(map.time_to_live("key"), Some(Some(LIFE)), "a deferred change hides the deadline");
    time.set(1000);
    is_absent(&map, "key");
    map.modify_deferred("key", "c").unwrap();
    assert_eq!(map.get("key"), Ok(Some(b"c".to_vec())), "a deferred change revived a value");
    assert_eq!(map.time_to_live("key"), Some(None));
}

/// Values and causes by key.
type Told = HashMap<Vec<u8>, (Vec<u8>, RemovalCause)>;

#[test]
fn the_listener_gets_each_removed_entry_once_with_its_value() {
    let told: Arc<Mutex<Told>> = Arc::default();
    let (note, time) = (told.clone(), Manual::default());
    let map = CompressedMap::builder_without_codecs(128 << 10)
        .codec(SmallText::new())
        .policy(Policy::Evict)
        .clock(time.clock())
        .on_removal(move |key, value: Result<&[u8], Corrupt>, cause| {
            let before =
                note.lock().unwrap().insert(key.to_vec(), (value.unwrap().to_vec(), cause));
            assert_eq!(before, None, "told twice");
        })
        .build();
    let keys = 5_000_usize;
    for n in 0..keys {
        let life = if n.is_multiple_of(3) { LIFE } else { Duration::MAX };
        map.insert_for(&format!("{n}"), &text(n), life).unwrap();
        time.set(n as u64);
    }
    while map.expire_step(1000) > 0 {}
    let told = told.lock().unwrap();
    let (mut expired, mut evicted) = (0, 0);
    for n in 0..keys {
        let key = format!("{n}");
        let is_told = told.get(key.as_bytes());
        if let Some((value, cause)) = is_told {
            assert_eq!(*value, text(n).into_bytes(), "told with another value");
            match cause {
                RemovalCause::Expired => expired += 1,
                _ => evicted += 1,
            }
        }
        let is_there = map.contains_key(&key);
        assert!(
            is_there != is_told.is_some(),
            "key {n} is absent and the listener was not called, or the reverse"
        );
    }
    assert!(expired > 0 && evicted > 0, "{expired} were told to have expired, {evicted} evicted");
}

#[test]
fn a_value_is_computed_once_for_all_threads() {
    let map = CompressedMap::with_budget(1 << 20);
    let (threads, keys) = (4, 50);
    let made: Vec<AtomicUsize> = (0..keys).map(|_| AtomicUsize::new(0)).collect();
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                start.wait();
                for (n, made) in made.iter().enumerate() {
                    let make = || {
                        made.fetch_add(1, Ordering::Relaxed);
                        thread::yield_now();
                        text(n).into_bytes()
                    };
                    let value = map.get_or_insert_with(&format!("{n}"), make);
                    assert_eq!(value, Ok(text(n).into_bytes()));
                }
            });
        }
    });
    let once = made.iter().all(|made| made.load(Ordering::Relaxed) == 1);
    assert!(once, "a value was made more than once: {made:?}");
}

#[test]
fn a_closure_that_fails_leaves_the_turn_to_the_next() {
    let map = CompressedMap::with_budget(1 << 20);
    let panicked =
        catch_unwind(AssertUnwindSafe(|| map.get_or_insert_with("key", || panic!("no"))));
    assert!(panicked.is_err());
    assert_eq!(map.get_or_try_insert_with("key", || Err(7)), Ok(Err(7)));
    assert!(!map.contains_key("key"));
    let nested = catch_unwind(AssertUnwindSafe(|| {
        map.get_or_insert_with("key", || map.get_or_insert_with("key", Vec::new).unwrap())
    }));
    assert!(nested.is_err(), "it waits for itself");
    // A closure may request the value of another key.
    let outer =
        map.get_or_insert_with("key", || map.get_or_insert_with("inner", || vec![1]).unwrap());
    assert_eq!((outer, map.get("inner")), (Ok(vec![1]), Ok(Some(vec![1]))));
    // A value without room is returned nevertheless.
    let long = map.get_or_insert_with("long", || vec![1; 1 << 20]);
    assert_eq!((long.map(|value| value.len()), map.contains_key("long")), (Ok(1 << 20), false));
}

/// A hasher that writes the true hash, or another each time, or panics.
#[derive(Clone)]
struct Liar(Arc<AtomicUsize>);

impl BuildHasher for Liar {
    type Hasher = Lie;

    fn build_hasher(&self) -> Lie {
        Lie(DefaultHasher::new(), self.0.clone())
    }
}

struct Lie(DefaultHasher, Arc<AtomicUsize>);

impl Hasher for Lie {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    fn finish(&self) -> u64 {
        match self.1.load(Ordering::Relaxed) {
            0 => self.0.finish(),
            1 => 7,
            turn => {
                self.1.store(turn + 1, Ordering::Relaxed);
                assert!(turn % 97 != 0, "a hash that panics");
                turn as u64 * 0x9E37_79B9_7F4A_7C15
            }
        }
    }
}

#[test]
fn a_hasher_may_lie_and_panic() {
    for mood in 0..3 {
        let liar = Liar(Arc::new(AtomicUsize::new(mood)));
        let map = CompressedMap::builder_without_codecs(128 << 10)
            .hasher(liar.clone())
            .policy(Policy::Evict);
        let map = map.codec(SmallText::new()).build();
        for n in 0..effort(3_000).max(600) {
            let key = format!("{}", n % 500);
            let _ = catch_unwind(AssertUnwindSafe(|| {
                let _ = map.insert(&key, &text(n));
                let _ = (map.get(&key), map.remove(&format!("{}", n % 300)));
                map.compress_step(1 << 10);
            }));
        }
        if mood == 0 {
            assert_eq!(map.insert("key", "value"), Ok(false));
            assert_eq!(map.get("key"), Ok(Some(b"value".to_vec())));
        }
    }
}

#[test]
fn without_a_clock_nothing_can_expire() {
    // With `std` there is always a clock, except on a target that has none.
    let map = CompressedMap::with_budget(1 << 20);
    assert_ne!(map.insert_for("key", "value", LIFE), Err(StoreError::NoClock));
    assert_eq!(StoreError::NoClock.to_string(), "the map has no clock; its builder takes one");
}

/// A sweep may fold deferred changes while a read applies them. Then the read promotes the folded record.
#[test]
fn a_read_that_meets_deferred_changes_keeps_the_deadline() {
    let append = |_: &[u8], value: Option<&[u8]>, changes: &[&[u8]]| {
        [value.unwrap_or_default(), &changes.concat()].concat()
    };
    let (time, armed) = (Manual::default(), Arc::new(AtomicUsize::new(0)));
    let map = Arc::new(OnceLock::<CompressedMap>::new());
    let clock = {
        let (clock, armed, map) = (time.clock(), armed.clone(), Arc::downgrade(&map));
        move || {
            // It stands for another thread that runs between the two lookups of a read.
            if armed.swap(0, Ordering::Relaxed) == 1 {
                let shared = map.upgrade().unwrap();
                let fold = move || {
                    let map = shared.get().unwrap();
                    for n in 0..20_000_u32 {
                        map.insert(&(n % 50).to_le_bytes(), &[7; 20]).unwrap();
                    }
                    assert!(map.get("key").unwrap().is_some());
                };
                thread::spawn(fold).join().unwrap();
            }
            clock()
        }
    };
    let small = CompressedMap::builder(64 << 10).segment_bytes(1 << 10);
    let map = map.get_or_init(|| small.merge(append).clock(clock).build());
    map.insert_for("key", "value", LIFE).unwrap();
    map.modify_deferred("key", "+").unwrap();
    armed.store(1, Ordering::Relaxed);
    assert_eq!(map.get("key"), Ok(Some(b"value+".to_vec())));
    assert_eq!(armed.load(Ordering::Relaxed), 0, "no thread ran between the lookups");
    assert_eq!(map.time_to_live("key"), Some(Some(LIFE)), "a read dropped the deadline");
    time.set(1_000);
    assert_eq!(map.get("key"), Ok(None));
}

/// A typed map is the same cache.
#[test]
fn typed_values_expire_and_are_computed_once() {
    let time = Manual::default();
    let map = CompressedMap::builder(1 << 20).clock(time.clock()).time_to_live(2 * LIFE).build();
    let map = TypedMap::<String, u64>::new(map);
    assert_eq!(map.insert_for("oak", &1, LIFE), Ok(false));
    assert_eq!(map.insert("elm", &2), Ok(false));
    assert_eq!(map.time_to_live("oak"), Some(Some(LIFE)));
    assert_eq!(map.time_to_live("elm"), Some(Some(2 * LIFE)));
    assert_eq!(map.time_to_live("ash"), None);
    time.set(1_000);
    assert_eq!((map.get("oak"), map.get("elm")), (Ok(None), Ok(Some(2))));
    assert_eq!(map.get_or_insert_with("oak", || 3), Ok(3));
    assert_eq!(map.get_or_insert_with("oak", || unreachable!("it is there")), Ok(3));
    assert_eq!(map.get_or_try_insert_with("ash", || Err("offline")), Ok(Err("offline")));
    assert!(!map.contains_key("ash"), "a failed computation was stored");
    assert_eq!(map.get_or_try_insert_with("oak", || Err("offline")), Ok(Ok(3)));
    // Bytes that are no number are not overwritten, and stay.
    map.as_map().insert("yew", "no number").unwrap();
    assert_eq!(map.get_or_insert_with("yew", || 4), Err(Corrupt::new()));
    map.retain(|key, n| key != "elm" || n != 2);
    let there = ["oak", "elm", "yew"].map(|key| map.contains_key(key));
    assert_eq!(there, [true, false, true]);
    assert_eq!((map.stats().len, map.len()), (2, 2));
    map.clear();
    assert!(map.is_empty());
}

/// Threads that have waited for long are asleep, and each is woken.
#[test]
fn threads_that_wait_for_a_value_for_long_are_woken() {
    within(60, "waiting for a value", || {
        let map = CompressedMap::with_budget(1 << 20);
        let (map, all) = (&map, &Barrier::new(4));
        thread::scope(|scope| {
            scope.spawn(move || {
                let slow = || {
                    all.wait();
                    thread::sleep(Duration::from_millis(100));
                    b"value".to_vec()
                };
                assert_eq!(map.get_or_insert_with("key", slow).unwrap(), b"value");
            });
            for _ in 0..3 {
                scope.spawn(move || {
                    all.wait();
                    let other = || unreachable!("another thread computes");
                    assert_eq!(map.get_or_insert_with("key", other).unwrap(), b"value");
                });
            }
        });
    });
}

#[test]
fn values_of_many_types_come_back() {
    fn stored<T: Decode + Clone + PartialEq + std::fmt::Debug>(values: &[T]) {
        let map = TypedMap::<u8, T>::new(CompressedMap::with_budget(1 << 16));
        for value in values {
            map.insert(&1, value).unwrap();
            assert_eq!(map.get(&1), Ok(Some(value.clone())));
        }
        assert_eq!(map.values().count(), 1);
    }
    stored(&[0.0, -1.5, f64::MAX]);
    stored(&[0.5_f32]);
    stored(&[true, false]);
    stored(&['a', '\u{10FFFF}']);
    stored(&[usize::MAX, 0]);
    stored(&[isize::MIN, 7]);
    stored(&[()]);
    stored(&[Arc::<str>::from("rose")]);
    stored(&[Arc::<[u8]>::from([1, 2])]);
    // Bytes of no such value.
    assert_eq!((bool::decode(&[2]), char::decode(&[0, 0xD8, 0, 0])), (None, None));
    assert_eq!((<()>::decode(&[1]), usize::decode(&[1])), (None, None));
    assert_eq!(Arc::<str>::decode(&[0xFF]), None);
}

/// A value may expire while an update changes it. The update is stored then, and its closure runs once.
#[test]
fn an_update_that_its_value_did_not_outlive_is_stored_once() {
    let now = Manual::default();
    let map = CompressedMap::builder(1 << 20).clock(now.clock()).build();
    map.insert_for("key", [1].as_slice(), Duration::from_millis(10)).unwrap();
    let mut runs = 0;
    let done = map.update("key", |value| {
        runs += 1;
        now.set(20);
        Some(vec![value[0] + 1])
    });
    assert_eq!((done, runs), (Ok(true), 1), "an update that was stored says that it was not");
    // The clock may go back, because it is the caller's.
    now.set(0);
    assert_eq!(map.get("key"), Ok(Some(vec![2])));
}

/// A deadline makes the head of a record longer, and so does each length of more than 127 bytes.
#[test]
fn the_length_that_an_error_names_is_taken() {
    let time = Manual::default();
    for (segment, longest_key) in [(1 << 10, 300), (4 << 10, 300), (64 << 10, 20_000)] {
        for key in [0, 1, 127, longest_key].map(|len| "k".repeat(len)) {
            let builder = || {
                let budget = 32 * segment.max(4 << 10);
                let builder = CompressedMap::builder_without_codecs(budget);
                builder.clock(time.clock()).segment_bytes(segment)
            };
            let (map, mortal) = (builder().build(), builder().time_to_live(LIFE).build());
            let too_long = vec![1; segment];
            let Err(StoreError::ValueTooLarge { most }) = map.insert(&key, &too_long) else {
                panic!("a value as long as a segment was taken");
            };
            let refused = Err(StoreError::ValueTooLarge { most });
            assert_eq!(mortal.insert(&key, &too_long), refused);
            assert_eq!(map.insert_for(&key, &too_long, LIFE), refused);
            assert!(segment - most < 200 + segment / 64, "{most} of {segment} bytes");
            let value = vec![7; most - key.len()];
            let told = format!("{most} bytes were refused, with a key of {}", key.len());
            assert_eq!(map.insert(&key, &value), Ok(false), "{told}");
            assert_eq!(map.insert_for(&key, &value, LIFE), Ok(true), "{told} and a deadline");
            assert_eq!(mortal.insert(&key, &value), Ok(false), "{told} and a default deadline");
            assert_eq!(
                (map.get(&key), mortal.get(&key)),
                (Ok(Some(value.clone())), Ok(Some(value)))
            );
        }
    }
}
