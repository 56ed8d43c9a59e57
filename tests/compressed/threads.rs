//! builds: asan tsan
//!
//! `CompressedMap` with many threads: the order of values that each thread reads, and the state at the end.

use crate::support;

use hedgerow::CompressedMap;
use hedgerow::compressed::Policy;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::nibbles::Nibbles;
use support::rng::Rng;
use support::{joined_scope, rounds, seed};

fn append(_: &[u8], value: Option<&[u8]>, operands: &[&[u8]]) -> Vec<u8> {
    [value.unwrap_or_default(), &operands.concat()].concat()
}

const MANY: usize = 300;
const FEW: usize = 8;

/// Returns a value that repeats its key and version many times, so that a torn one is detected.
fn value(key: usize, version: usize, len: usize) -> Vec<u8> {
    format!("<{key}.{version}>").into_bytes().into_iter().cycle().take(len.max(24)).collect()
}

fn read(key: usize, value: &[u8]) -> usize {
    let text = std::str::from_utf8(value).expect("text");
    let first = &text[..=text.find('>').expect("whole")];
    let whole: Vec<u8> = first.bytes().cycle().take(value.len()).collect();
    assert_eq!(whole, value, "torn");
    let inside = first.trim_matches(['<', '>']);
    let (of, version) = inside.split_once('.').expect("two numbers");
    assert_eq!(of.parse(), Ok(key), "another key's");
    version.parse().expect("a number")
}

/// Each key has one writer. Its readers never see an older version again, nor one that was not written yet.
#[test]
fn no_reader_ever_sees_an_older_value_again() {
    rounds(6, Duration::from_secs(30), |round| {
        let map = CompressedMap::builder_without_codecs(96 << 10)
            .codec(Nibbles)
            .segment_bytes(1 << 10)
            .policy(if round % 2 == 0 { Policy::Refuse } else { Policy::Evict })
            .build();
        let over = AtomicBool::new(false);
        joined_scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut rng = Rng::new(seed() ^ u64::from(round) ^ 0x63);
                    let mut latest = [0; MANY];
                    while !over.load(Ordering::Relaxed) {
                        let key = rng.below(MANY).min(rng.below(MANY));
                        if let Some(found) = map.get(&format!("key {key}")).expect("it is whole") {
                            let version = read(key, &found);
                            assert!(version >= latest[key], "{version} after {}", latest[key]);
                            latest[key] = version;
                        }
                    }
                });
            }
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    map.compress_step(2048);
                    std::thread::yield_now();
                }
            });
            let writers: Vec<_> = (0..2usize).collect();
            let _stop = support::Stop(&over);
            std::thread::scope(|scope| {
                for writer in writers {
                    let map = &map;
                    scope.spawn(move || {
                        let mut rng = Rng::new(seed() + u64::from(round) * 2 + writer as u64);
                        for version in 0..8_000 {
                            let key = rng.below(MANY / 2) * 2 + writer;
                            let name = format!("key {key}");
                            if rng.one_in(10) {
                                map.remove(&name);
                            } else {
                                let value = value(key, version, rng.below(300));
                                if map.insert(&name, &value).is_ok() && round % 2 == 0 {
                                    assert_eq!(map.get(&name), Ok(Some(value)));
                                }
                            }
                        }
                    });
                }
            });
        });
        for (key, found) in &map {
            let key = String::from_utf8(key).expect("text");
            read(key[4..].parse().expect("a number"), &found.expect("it is whole"));
        }
        map.clear();
        let stats = map.stats();
        assert_eq!((stats.len, stats.raw, stats.cold, stats.hot), (0, 0, 0, 0), "{stats:?}");
    });
}

/// Threads append to the same values, deferred or not. Nothing is lost, and the changes of each thread stay in order.
#[test]
fn no_deferred_change_is_lost() {
    rounds(4, Duration::from_secs(20), |round| {
        let map = CompressedMap::builder_without_codecs(128 << 10)
            .codec(Nibbles)
            .segment_bytes(4 << 10)
            .merge(append)
            .build();
        let each = 60;
        joined_scope(|scope| {
            for thread in 0..3u8 {
                let map = &map;
                scope.spawn(move || {
                    let mut rng = Rng::new(seed() + u64::from(round));
                    for step in 0..each {
                        for key in 0..FEW {
                            let change = [b'a' + thread, step];
                            if rng.one_in(3) {
                                let add = |mut value: Vec<u8>| {
                                    value.extend_from_slice(&change);
                                    Some(value)
                                };
                                if map.update(&[key as u8], add) == Ok(true) {
                                    continue;
                                }
                            }
                            map.modify_deferred(&[key as u8], &change).expect("there is room");
                            // Pushes the other values out of the hot front.
                            let _ = map.insert(&[key as u8, thread, step], &[step; 150]);
                            let _ = map.remove(&[key as u8, thread, step.wrapping_sub(9)]);
                        }
                    }
                });
            }
        });
        for key in 0..FEW {
            let whole = map.get(&[key as u8]).expect("it is whole").expect("it is there");
            for thread in 0..3u8 {
                let of_thread = whole.chunks(2).filter(|change| change[0] == b'a' + thread);
                let steps: Vec<u8> = of_thread.map(|change| change[1]).collect();
                assert_eq!(steps, (0..each).collect::<Vec<u8>>(), "thread {thread}, key {key}");
            }
        }
    });
}
