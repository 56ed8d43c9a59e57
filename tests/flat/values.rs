//! builds: asan tsan
//!
//! Guarantees of single values while the map grows: no value is torn or another key's, and no change is lost or counted
//! twice.

use crate::support;

use hedgerow::FlatMap;
use hedgerow::flat::{FlatTable, Op};
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::hashers::{self, Mapped};
use support::rng::Rng;
use support::{Stop, assert_consistent, effort, ignore, joined_scope, seed, within};

/// Far more seconds than any of these needs.
const TIME_LIMIT: u64 = 300;

/// A value whose parts must fit together, and with the key.
trait Whole: Copy + Send + Sync + 'static {
    fn make(key: u64, turn: u32) -> Self;
    /// Returns the turn; panics if the parts are of different values.
    fn turn(self, key: u64) -> u32;
}

fn word(key: u64, turn: u32) -> u64 {
    key << 32 | u64::from(turn)
}

impl Whole for [u64; 4] {
    fn make(key: u64, turn: u32) -> Self {
        [word(key, turn); 4]
    }

    fn turn(self, key: u64) -> u32 {
        assert!(self.iter().all(|&part| part == self[0]), "torn: {self:x?}");
        assert_eq!(self[0] >> 32, key, "another key's value");
        self[0] as u32
    }
}

impl Whole for (u64, u64) {
    fn make(key: u64, turn: u32) -> Self {
        (word(key, turn), !word(key, turn))
    }

    fn turn(self, key: u64) -> u32 {
        assert_eq!(self.0, !self.1, "torn");
        assert_eq!(self.0 >> 32, key, "another key's value");
        self.0 as u32
    }
}

/// A kibibyte.
impl Whole for [u64; 128] {
    fn make(key: u64, turn: u32) -> Self {
        let mut words = [0; 128];
        for (n, word_n) in words.iter_mut().enumerate() {
            *word_n = word(key, turn).rotate_left(n as u32);
        }
        words
    }

    fn turn(self, key: u64) -> u32 {
        let turn = self[0] as u32;
        assert_eq!(self, Self::make(key, turn), "torn");
        turn
    }
}

/// Padding between the parts; another value than 0 or 1 in the flag would be undefined behaviour.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Padded {
    odd: bool,
    turn: u32,
    low: u8,
    key: u64,
    letter: char,
}

impl Whole for Padded {
    fn make(key: u64, turn: u32) -> Self {
        let letter = char::from(b'a' + (turn % 26) as u8);
        Self { odd: turn % 2 == 1, turn, low: turn as u8, key, letter }
    }

    fn turn(self, key: u64) -> u32 {
        assert_eq!(self, Self::make(key, self.turn), "torn");
        self.turn
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(64))]
struct Aligned(u64, [u16; 3], u64);

impl Whole for Aligned {
    fn make(key: u64, turn: u32) -> Self {
        Self(word(key, turn), [turn as u16; 3], !word(key, turn))
    }

    fn turn(self, key: u64) -> u32 {
        let turn = self.0 as u32;
        assert_eq!(self, Self::make(key, turn), "torn");
        turn
    }
}

/// How long writers wait for readers that begin late on a busy machine.
const LATE: Duration = Duration::from_secs(30);

/// One writer per key replaces, removes and reinserts values with rising turns while the map grows. Readers see whole
/// values of the right key, and turns that never go back.
fn values_are_whole<V: Whole>(hasher: Mapped, span: Duration) {
    const KEYS: u64 = 12;
    const WRITERS: u64 = 2;
    let map: FlatMap<u64, V, Mapped> = FlatMap::with_hasher(hasher);
    let over = AtomicBool::new(false);
    let seen = AtomicU64::new(0);
    let far = if hasher.name == "constant" { 100 } else { 4_000 };
    joined_scope(|scope| {
        let (map, over, seen) = (&map, &over, &seen);
        for writer in 0..WRITERS {
            scope.spawn(move || {
                let _stop = Stop(over);
                let mut rng = Rng::new(seed() ^ writer);
                let end = Instant::now() + effort(span);
                let mut turn = 0;
                let waits = || seen.load(Ordering::Relaxed) == 0 && end.elapsed() < LATE;
                while Instant::now() < end || waits() {
                    for _ in 0..32 {
                        turn += 1;
                        let key = rng.next() % (KEYS / WRITERS) * WRITERS + writer;
                        change(map, key, turn, &mut rng);
                        let other = KEYS + rng.next() % far;
                        map.insert(other, V::make(other, turn));
                    }
                    map.remove(&(KEYS + rng.next() % far));
                }
            });
        }
        for reader in 0..2 {
            scope.spawn(move || {
                let _stop = Stop(over);
                let mut rng = Rng::new(seed() ^ 0x77 ^ reader);
                let mut latest = [0; KEYS as usize];
                while !over.load(Ordering::SeqCst) {
                    for _ in 0..32 {
                        let key = rng.next() % KEYS;
                        let Some(turn) = look(map, key, &mut rng) else { continue };
                        let latest = &mut latest[key as usize];
                        assert!(*latest <= turn, "{key} went back from {latest} to {turn}");
                        *latest = turn;
                        seen.fetch_add(1, Ordering::Relaxed);
                    }
                    if rng.one_in(16) {
                        for (key, value) in map {
                            value.turn(key);
                        }
                    }
                }
            });
        }
    });
    assert!(seen.into_inner() > 0, "the readers saw nothing");
    for (key, value) in &map {
        value.turn(key);
    }
}

/// Writes the key's next turn by one of several operations.
fn change<V: Whole>(map: &FlatMap<u64, V, Mapped>, key: u64, turn: u32, rng: &mut Rng) {
    let new = V::make(key, turn);
    match rng.below(6) {
        0 => {
            map.remove(&key);
            let _ = map.insert_if_absent(key, new);
        }
        1 => {
            map.update(&key, |old| {
                assert!(old.turn(key) < turn);
                new
            });
        }
        2 => {
            map.compute(key, |old| match old {
                Some(old) if old.turn(key) % 2 == 0 => Op::Remove,
                _ => Op::Insert(new),
            });
        }
        _ => {
            map.insert(key, new);
        }
    }
}

/// Reads the key's turn by one of several operations.
fn look<V: Whole>(map: &FlatMap<u64, V, Mapped>, key: u64, rng: &mut Rng) -> Option<u32> {
    match rng.below(3) {
        0 => map.get_with(&key, |value| {
            assert!(std::ptr::from_ref(value).is_aligned(), "a misaligned value");
            value.turn(key)
        }),
        1 => map.try_get(&key).ok().flatten().map(|value| value.turn(key)),
        _ => map.get(&key).map(|value| value.turn(key)),
    }
}

#[test]
fn values_are_never_torn() {
    within(TIME_LIMIT, "torn values", || {
        let span = Duration::from_millis(200);
        for hasher in [hashers::GOOD, hashers::CLUSTERED, hashers::CONSTANT] {
            println!("{}", hasher.name);
            values_are_whole::<[u64; 4]>(hasher, span);
            values_are_whole::<(u64, u64)>(hasher, span);
            values_are_whole::<[u64; 128]>(hasher, span);
            values_are_whole::<Padded>(hasher, span);
            values_are_whole::<Aligned>(hasher, span);
        }
    });
}

/// Removing and reinserting passes slots and overflow lines from key to key. A reader that finds a key finds the key's
/// own value (ABA).
#[test]
fn slots_that_change_keys_confuse_nobody() {
    within(TIME_LIMIT, "ABA", || {
        for hasher in [hashers::CONSTANT, hashers::LOW_ENTROPY, hashers::GOOD] {
            let map: FlatMap<u64, [u64; 2], Mapped> = FlatMap::with_hasher(hasher);
            let over = AtomicBool::new(false);
            let seen = AtomicU64::new(0);
            joined_scope(|scope| {
                let (map, over, seen) = (&map, &over, &seen);
                for writer in 0..2 {
                    scope.spawn(move || {
                        let _stop = Stop(over);
                        let mut rng = Rng::new(seed() ^ writer);
                        let end = Instant::now() + effort(Duration::from_millis(500));
                        let waits = || seen.load(Ordering::Relaxed) == 0 && end.elapsed() < LATE;
                        while Instant::now() < end || waits() {
                            // Never many at once, so that slots and lines are reused soon.
                            for _ in 0..64 {
                                let key = rng.next() % 24;
                                if rng.one_in(2) {
                                    map.insert(key, [key, rng.next() << 8 | key]);
                                } else if let Some(value) = map.remove(&key) {
                                    assert_eq!([value[0], value[1] & 0xff], [key; 2]);
                                }
                            }
                        }
                    });
                    scope.spawn(move || {
                        let _stop = Stop(over);
                        let mut rng = Rng::new(seed() ^ 5 ^ writer);
                        while !over.load(Ordering::SeqCst) {
                            let key = rng.next() % 24;
                            if let Some(value) = map.get(&key) {
                                assert_eq!([value[0], value[1] & 0xff], [key; 2], "not its own");
                                seen.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    });
                }
            });
            assert!(seen.into_inner() > 0, "the readers saw nothing");
            assert_consistent(&map);
        }
    });
}

/// A key of equal words: `Hash` and `Eq` count the torn keys that they are given.
#[derive(Clone, Copy, Debug)]
struct Alike<const WORDS: usize>([u64; WORDS]);

/// The number of torn keys that user code has seen.
static TORN: AtomicU64 = AtomicU64::new(0);

impl<const WORDS: usize> Alike<WORDS> {
    fn of(number: u64) -> Self {
        Self([number; WORDS])
    }

    fn number(&self) -> u64 {
        let whole = self.0.iter().all(|&word| word == self.0[0]);
        TORN.fetch_add(u64::from(!whole), Ordering::Relaxed);
        self.0[0]
    }
}

impl<const WORDS: usize> PartialEq for Alike<WORDS> {
    fn eq(&self, other: &Self) -> bool {
        self.number() == other.number()
    }
}

impl<const WORDS: usize> Eq for Alike<WORDS> {}

impl<const WORDS: usize> Hash for Alike<WORDS> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.number());
    }
}

/// Runs `write` with rising numbers while `read` runs.
fn beside(write: impl Fn(u64) + Sync, read: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    joined_scope(|scope| {
        let _end = Stop(&stop);
        scope.spawn(|| {
            for turn in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                write(turn);
            }
        });
        read();
    });
}

/// Keys of one hash take each other's slots while lookups compare them, and while growth, `retain` and walks read them.
fn keys_are_whole<const WORDS: usize>() {
    const KEYS: u64 = 5;
    let key = |turn: u64| Alike::<WORDS>::of(turn % KEYS);
    let torn = || assert_eq!(TORN.load(Ordering::Relaxed), 0, "user code was given torn keys");

    let map = FlatMap::with_hasher(hashers::CONSTANT);
    let table = FlatTable::<_, u64, 2, _>::with_hasher(hashers::CONSTANT);
    let write = |turn| {
        map.insert(key(turn), turn);
        map.remove(&key(turn + KEYS - 2));
        assert!(table.insert(key(turn), turn).is_ok());
        table.remove(&key(turn + KEYS - 2));
    };
    beside(write, || {
        let end = Instant::now() + effort(Duration::from_millis(300));
        for turn in 0.. {
            map.get(&key(turn));
            table.get(&key(turn));
            if turn % 16 == 0 {
                let mut answers = [None; KEYS as usize];
                map.get_many(&[0, 1, 2, 3, 4].map(key), &mut answers);
                table.retain(|key, _| key.number() < KEYS);
                map.iter().chain(&table).for_each(|(key, _)| ignore(key.number()));
                if Instant::now() > end {
                    break;
                }
            }
        }
    });
    torn();

    // One bin after the other splits while its keys change.
    for hasher in [hashers::GOOD, hashers::CLUSTERED] {
        support::rounds(300, Duration::from_millis(300), |_| {
            let map = FlatMap::with_hasher(hasher);
            let write = |turn| {
                map.insert(key(turn), turn);
                map.remove(&key(turn + KEYS - 2));
            };
            beside(write, || {
                for more in (1..10).map(|bit| 1 << bit) {
                    map.reserve(more);
                }
            });
        });
    }
    torn();
}

#[test]
fn user_code_is_given_whole_keys() {
    within(TIME_LIMIT, "keys of several words", || {
        keys_are_whole::<2>();
        keys_are_whole::<32>();
    });
}

/// Increments by `update` and by `compute` add up, while the map grows.
#[test]
fn increments_add_up() {
    within(TIME_LIMIT, "increments", || {
        for (hasher, size) in hashers::all_with_sizes() {
            const THREADS: u64 = 3;
            let each = effort(2_000);
            let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hasher);
            joined_scope(|scope| {
                for thread in 0..THREADS {
                    let map = &map;
                    scope.spawn(move || {
                        for n in 0..each {
                            let key = n % 5;
                            if (n + thread) % 2 == 0 || map.update(&key, |n| n + 1).is_none() {
                                map.compute(key, |n| Op::Insert(n.unwrap_or(0) + 1));
                            }
                            if thread == 0 && n < size / 8 {
                                map.insert(100 + n, 0);
                            }
                        }
                    });
                }
            });
            for key in 0..5 {
                assert_eq!(map.get(&key), Some(THREADS * each / 5), "{key}: an increment is lost");
            }
            assert_consistent(&map);
        }
    });
}

/// If many threads insert a key if absent and remove it, the number of successful inserts minus that of removals is
/// what is left. Each inserted value is removed at most once.
#[test]
fn one_insert_wins_and_one_remove_gets_it() {
    within(TIME_LIMIT, "wins", || {
        for (hasher, size) in hashers::all_with_sizes() {
            const KEYS: u64 = 8;
            let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hasher);
            let wins = [const { AtomicU64::new(0) }; KEYS as usize];
            let removals = [const { AtomicU64::new(0) }; KEYS as usize];
            joined_scope(|scope| {
                for thread in 0..3 {
                    let (map, wins, removals) = (&map, &wins, &removals);
                    scope.spawn(move || {
                        let mut rng = Rng::new(seed() ^ thread);
                        for n in 0..effort(3_000) {
                            let key = rng.next() % KEYS;
                            if rng.one_in(2) {
                                let won = map.insert_if_absent(key, n << 8 | thread).is_ok();
                                wins[key as usize].fetch_add(won.into(), Ordering::Relaxed);
                            } else {
                                let gone = map.remove(&key).is_some();
                                removals[key as usize].fetch_add(gone.into(), Ordering::Relaxed);
                            }
                            if thread == 0 && n < size / 8 {
                                map.insert(100 + n, 0);
                            }
                        }
                    });
                }
            });
            for (key, (wins, removals)) in wins.iter().zip(&removals).enumerate() {
                let left = wins.load(Ordering::Relaxed) - removals.load(Ordering::Relaxed);
                let there = map.contains_key(&(key as u64));
                assert_eq!(left, u64::from(there), "{key}: wins less removals is not what is left");
            }
            assert_consistent(&map);
        }
    });
}

/// `retain` changes values in place, and loses no increment by another thread.
#[test]
fn retain_loses_no_increment() {
    within(TIME_LIMIT, "retain and increments", || {
        for hasher in [hashers::GOOD, hashers::CONSTANT] {
            let map: FlatMap<u64, (u64, u64), Mapped> = FlatMap::with_hasher(hasher);
            (0..40).for_each(|key| ignore(map.insert(key, (0, 0))));
            let each = effort(400);
            joined_scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..each {
                        map.retain(|_, value| {
                            value.0 += 1;
                            true
                        });
                    }
                });
                scope.spawn(|| {
                    for n in 0..each * 40 {
                        map.update(&(n % 40), |value| (value.0, value.1 + 1));
                        if n % 64 == 0 && n / 64 < 100 {
                            map.insert(1_000 + n / 64, (0, 0));
                        }
                    }
                });
            });
            for key in 0..40 {
                assert_eq!(map.get(&key), Some((each, each)), "{key}: a change is lost");
            }
        }
    });
}
