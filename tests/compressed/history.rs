//! builds: portable tsan
//!
//! `CompressedMap` is linearizable for each key while values are compressed, moved, promoted, folded and compacted. The
//! test records random operations on maps of few segments, and explains them by a sequential map.

use crate::support;

use hedgerow::CompressedMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use support::check::{check, explain};
use support::history::{Event, Operation};
use support::nibbles::Nibbles;
use support::rng::Rng;
use support::{ignore, seed, within};

/// The writes that a value contains, the oldest first. An insert begins a new value; other writes add to it.
type Value = Vec<u32>;

#[derive(Clone, Copy, Debug)]
enum Call {
    Get,
    Contains,
    Insert(u32),
    Remove,
    /// Adds to the value that it finds.
    Update(u32),
    /// Adds to the value, or begins one.
    Defer(u32),
}

#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Saw(Option<Value>),
    Was(bool),
    Nothing,
}

impl Operation for Call {
    type State = Option<Value>;
    type Answer = Answer;

    fn apply(&self, state: &Self::State) -> (Self::State, Answer) {
        let and = |new: u32| [state.clone().unwrap_or_default(), vec![new]].concat();
        match *self {
            Self::Get => (state.clone(), Answer::Saw(state.clone())),
            Self::Contains => (state.clone(), Answer::Was(state.is_some())),
            Self::Insert(new) => (Some(vec![new]), Answer::Was(state.is_some())),
            Self::Remove => (None, Answer::Was(state.is_some())),
            Self::Update(new) => (state.is_some().then(|| and(new)), Answer::Saw(state.clone())),
            Self::Defer(new) => (Some(and(new)), Answer::Nothing),
        }
    }

    fn may_have_been_idle(&self) -> bool {
        false
    }
}

type Events = Vec<Event<Call, Answer>>;

impl fmt::Display for Event<Call, Answer> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Event { called, returned, call, answer } = self;
        write!(f, "[{called}, {returned}] {call:?} = {answer:?}")
    }
}

/// Returns 24 bytes for each number, from which the number can be read.
fn bytes_of(value: &[u32]) -> Vec<u8> {
    value.iter().flat_map(|n| format!("<{n:010}-{n:010}>").into_bytes()).collect()
}

fn value_of(bytes: &[u8]) -> Value {
    let numbers = bytes.chunks(23).map(|part| {
        let text = std::str::from_utf8(part).expect("text");
        let (one, other) = text[1..22].split_once('-').expect("two numbers");
        assert!(text.starts_with('<') && text.ends_with('>') && one == other, "torn: {text}");
        one.parse().expect("a number")
    });
    numbers.collect()
}

fn merge(_: &[u8], value: Option<&[u8]>, changes: &[&[u8]]) -> Vec<u8> {
    [value.unwrap_or_default(), &changes.concat()].concat()
}

/// Does a random operation. Returns `None` if it was refused without effect.
fn operate(map: &CompressedMap, key: &[u8], rng: &mut Rng, new: u32) -> Option<(Call, Answer)> {
    let was = |done: Result<bool, _>| done.ok().map(Answer::Was);
    Some(match rng.below(16) {
        0..4 => (Call::Get, Answer::Saw(map.get_with(key, value_of).expect("it is whole"))),
        4 => {
            let mut into = [0; 4096];
            let len = map.get_into(key, &mut into).expect("it is whole, and short enough");
            (Call::Get, Answer::Saw(len.map(|len| value_of(&into[..len]))))
        }
        5 => (Call::Contains, Answer::Was(map.contains_key(key))),
        6..10 => (Call::Insert(new), was(map.insert(key, &bytes_of(&[new])))?),
        10 => (Call::Remove, Answer::Was(map.remove(key))),
        11..13 => {
            let mut saw = None;
            let done = map.update(key, |bytes| {
                saw = Some(value_of(&bytes));
                Some([bytes, bytes_of(&[new])].concat())
            });
            // The values that a closure saw in a failed attempt do not count.
            let saw = saw.filter(|_| done.is_ok_and(|there| there));
            done.ok().map(|_| (Call::Update(new), Answer::Saw(saw)))?
        }
        _ => {
            map.modify_deferred(key, &bytes_of(&[new])).ok()?;
            (Call::Defer(new), Answer::Nothing)
        }
    })
}

/// A flag that is set when this is dropped, also by a panic.
struct Flag<'a>(&'a AtomicBool);

impl Drop for Flag<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

const THREADS: usize = 3;

/// Fills the map with other keys, and sweeps it, until the flag is set.
fn press(map: &CompressedMap, over: &AtomicBool, seed: u64) {
    let mut rng = Rng::new(seed);
    let mut n = 0u32;
    while !over.load(Ordering::Acquire) {
        ignore(map.insert(&n.to_le_bytes(), &bytes_of(&[n; 4])));
        if n > 40 {
            map.remove(&(n - 40).to_le_bytes());
        }
        n += 1;
        if rng.one_in(4) {
            map.compress_step(rng.below(2_000));
        }
        if rng.one_in(200) {
            map.train(&[&bytes_of(&[n; 9])]);
        }
    }
}

fn play(seed: u64) {
    let mut rng = Rng::new(seed);
    let keys: Vec<Vec<u8>> = (0..=rng.below(3)).map(|n| format!("k{n}").into_bytes()).collect();
    let builder = CompressedMap::builder_without_codecs([24 << 10, 48 << 10][rng.below(2)]);
    let map = builder.segment_bytes(1 << 10).codec(Nibbles).merge(merge).build();
    let (clock, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let operations = 60 + rng.below(120);
    let mut logs: Vec<Vec<Events>> = std::thread::scope(|scope| {
        let (map, clock, keys, over) = (&map, &clock, &keys, &over);
        let _over = Flag(over);
        scope.spawn(move || press(map, over, seed));
        let player = |thread: usize| {
            move || {
                let mut rng = Rng::new(seed ^ (thread as u64 + 1) << 32);
                let mut log = vec![Events::new(); keys.len()];
                for n in 0..operations {
                    let key = rng.below(keys.len());
                    let called = clock.fetch_add(1, Ordering::SeqCst);
                    let new = (thread * 1_000 + n) as u32;
                    if let Some((call, answer)) = operate(map, &keys[key], &mut rng, new) {
                        let returned = clock.fetch_add(1, Ordering::SeqCst);
                        log[key].push(Event { called, returned, call, answer });
                    }
                }
                log
            }
        };
        let players: Vec<_> = (0..THREADS).map(|thread| scope.spawn(player(thread))).collect();
        players.into_iter().map(|player| player.join().expect("a player panicked")).collect()
    });
    // The value at the end is the last event of the history.
    let end = u64::MAX - 1;
    let last = |key: &Vec<u8>| {
        let answer = Answer::Saw(map.get_with(key, value_of).expect("it is whole"));
        vec![Event { called: end, returned: end + 1, call: Call::Get, answer }]
    };
    logs.push(keys.iter().map(last).collect());
    for key in 0..keys.len() {
        let history: Vec<Events> = logs.iter().map(|log| log[key].clone()).collect();
        if let Err(stuck) = check(&history, None) {
            panic!("seed {seed}, key {key}: {}", explain(&history, &stuck));
        }
    }
}

#[test]
fn histories_of_keys_are_linearizable() {
    support::histories(400, Duration::from_secs(5), |round| {
        let seed = seed() ^ u64::from(round);
        within(60, &format!("the history of seed {seed}"), move || play(seed));
    });
}

/// The check finds a history that no order explains.
#[test]
fn an_older_value_that_comes_back_is_found() {
    let event = |called, call, answer| Event { called, returned: called + 1, call, answer };
    let history = [vec![
        event(0, Call::Insert(1), Answer::Was(false)),
        event(2, Call::Insert(2), Answer::Was(true)),
        event(4, Call::Get, Answer::Saw(Some(vec![1]))),
    ]];
    assert!(check(&history, None).is_err());
}
