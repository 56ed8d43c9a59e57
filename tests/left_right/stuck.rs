//! builds: default
//!
//! A reader that is stopped for long in a read section. The writer of a `LeftRightMap` defers its changes, in notes
//! whose size depends on the keys and not on the changes. When the reader goes on, all changes are published.

use crate::support;

use hedgerow::LeftRightMap;
use hedgerow::error::TryReserveError;
use hedgerow::left_right::{ReadHandle, WriteHandle};
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use support::hashers::{self, Mapped};
use support::rng::Rng;
use support::tracked::Tracked;
use support::{joined_scope, seed, within};

/// Seconds, far more than any of these tests needs.
const TIME_LIMIT: u64 = 300;

const KEYS: u64 = 400;
const PUBLISH_EVERY: usize = 10;

type Model = HashMap<u64, u64>;

/// A map, the entries that it should have, and how many of its keys and values are alive.
struct Game {
    writer: WriteHandle<Tracked, Tracked, Mapped>,
    current: Model,
    alive: Arc<AtomicUsize>,
    rng: Rng,
    serial: u64,
}

impl Game {
    fn new() -> (Self, ReadHandle<Tracked, Tracked, Mapped>) {
        let (writer, reader) = LeftRightMap::with_hasher(hashers::GOOD);
        let (current, alive) = (Model::new(), Arc::default());
        (Self { writer, current, alive, rng: Rng::new(seed()), serial: 0 }, reader)
    }

    /// Returns a value that no entry had before.
    fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn insert(&mut self, key: u64) {
        let value = self.next();
        let [key_alive, value_alive] = [key, value].map(|n| Tracked::new(n, &self.alive));
        let replaced = self.writer.insert(key_alive, value_alive);
        assert_eq!(replaced, self.current.insert(key, value).is_some());
    }

    fn change(&mut self) {
        let key = self.rng.next() % KEYS;
        match self.rng.below(10) {
            0..5 => self.insert(key),
            5..8 => assert_eq!(self.writer.remove(&key), self.current.remove(&key).is_some()),
            _ => {
                let value = self.next();
                let new = Tracked::new(value, &self.alive);
                let updated = self.writer.update(&key, |_| new);
                assert_eq!(
                    updated,
                    self.current.get_mut(&key).map(|there| *there = value).is_some()
                );
            }
        }
        assert_eq!(self.writer.len(), self.current.len());
    }

    /// Makes changes until one of them publishes, and returns the entries that it published.
    fn change_until_published(&mut self) -> Model {
        let generation = self.writer.generation();
        while self.writer.generation() == generation {
            self.change();
        }
        self.current.clone()
    }

    /// Asserts that exactly the entries of `published` and the current ones are alive.
    fn check_alive(&self, published: &[&Model]) {
        let all = published.iter().copied().chain([&self.current]);
        let entries: HashSet<(u64, u64)> = all.flatten().map(|(k, v)| (*k, *v)).collect();
        let alive = self.alive.load(Ordering::Relaxed);
        assert_eq!(alive, 2 * entries.len(), "keys and values that are alive, and that should be");
    }
}

fn check(reader: &ReadHandle<Tracked, Tracked, Mapped>, model: &Model) {
    let snapshot = reader.enter();
    let all: Model = snapshot.iter().map(|(key, value)| (key.value, value.value)).collect();
    assert_eq!((&all, snapshot.len()), (model, model.len()));
}

/// The channels of a thread that stops in a read section.
struct Stopped {
    has_stopped: Sender<()>,
    go_on: Receiver<()>,
}

impl Stopped {
    /// Tells the writer that the thread has stopped, and returns when the writer lets it go on.
    fn stop(&self) {
        self.has_stopped.send(()).expect("the writer waits for this");
        self.go_on.recv().expect("the writer says so");
    }
}

/// Makes the channels of a thread that stops, and the writer's ends of them.
fn stop() -> (Stopped, Receiver<()>, Sender<()>) {
    let ((has_stopped, stopped), (go, go_on)) = (channel(), channel());
    (Stopped { has_stopped, go_on }, stopped, go)
}

#[test]
fn a_thread_stopped_in_a_read_section_holds_up_one_publish_and_little_memory() {
    within(TIME_LIMIT, "a thread that is stopped", || {
        let (mut game, reader) = Game::new();
        (0..KEYS / 2).for_each(|key| game.insert(key));
        game.insert(KEYS);
        game.writer.publish();
        game.writer.publish_every(PUBLISH_EVERY);
        let first = game.current.clone();
        let factory = reader.factory();
        joined_scope(|scope| {
            let (thread, stopped, go) = stop();
            let handle = factory.handle();
            let held = first.clone();
            scope.spawn(move || {
                let snapshot = handle.enter();
                thread.stop();
                let all: Model = snapshot.iter().map(|(k, v)| (k.value, v.value)).collect();
                assert_eq!(all, held, "the contents of a snapshot have changed");
                drop(snapshot);
                thread.stop();
            });
            stopped.recv().expect("it holds a snapshot");
            // The sides are swapped once, and then not again.
            let second = game.change_until_published();
            let generation = game.writer.generation();
            // Each key once, so that each has a note.
            (0..KEYS).for_each(|key| game.insert(key));
            let bytes = game.writer.stats().memory_bytes;
            for step in 0..20_000 {
                game.change();
                if step % 500 == 0 {
                    game.check_alive(&[&first, &second]);
                    check(&reader, &second);
                }
            }
            assert_eq!(
                game.writer.generation(),
                generation,
                "published while a reader was in the way"
            );
            assert_eq!(game.writer.stalled_readers().count(), 1);
            assert!(game.writer.stats().memory_bytes <= 2 * bytes, "notes grow with the changes");
            go.send(()).expect("it waits");
            stopped.recv().expect("it has dropped the snapshot");
            // The next change publishes all of them.
            game.insert(0);
            assert_eq!(game.writer.generation(), generation + 1);
            check(&reader, &game.current);
            game.writer.publish();
            game.writer.wait_for_readers();
            game.check_alive(&[]);
            go.send(()).expect("it waits");
        });
        drop((game.writer, reader, factory));
        assert_eq!(game.alive.load(Ordering::Relaxed), 0);
    });
}

/// As above, in the closure of a lookup, and a second thread that stops in the state published since.
#[test]
fn threads_stopped_one_after_the_other_hold_up_a_publish_each() {
    within(TIME_LIMIT, "threads that are stopped", || {
        let (mut game, reader) = Game::new();
        game.insert(KEYS);
        game.writer.publish();
        game.writer.publish_every(PUBLISH_EVERY);
        let first = game.current.clone();
        let factory = reader.factory();
        joined_scope(|scope| {
            let ((one, one_stopped, one_go), (other, other_stopped, other_go)) = (stop(), stop());
            let handle = factory.handle();
            scope.spawn(move || {
                let value = handle.get_with(&KEYS, |value| {
                    one.stop();
                    value.value
                });
                assert_eq!(value, Some(1));
                one.stop();
            });
            one_stopped.recv().expect("it reads");
            let second = game.change_until_published();
            let (handle, held) = (factory.handle(), second.clone());
            scope.spawn(move || {
                check(&handle, &held);
                let guard = handle.get(&KEYS).expect("no thread removes it");
                other.stop();
                assert_eq!(guard.value, held[&KEYS], "the entry of a guard has changed");
                drop(guard);
                other.stop();
            });
            other_stopped.recv().expect("it holds a guard");
            (0..3_000).for_each(|_| game.change());
            assert!(game.writer.stalled_readers().count() == 1 && game.writer.has_changes());
            game.check_alive(&[&first, &second]);
            one_go.send(()).expect("it waits");
            one_stopped.recv().expect("it has left the closure");
            // This change publishes, and now the other thread is in the way of the next publish.
            game.change();
            let third = game.current.clone();
            check(&reader, &third);
            (0..3_000).for_each(|_| game.change());
            game.check_alive(&[&second, &third]);
            check(&reader, &third);
            other_go.send(()).expect("it waits");
            other_stopped.recv().expect("it has dropped the guard");
            game.change();
            check(&reader, &game.current);
            game.writer.publish();
            game.writer.wait_for_readers();
            game.check_alive(&[]);
            one_go.send(()).and(other_go.send(())).expect("they wait");
        });
    });
}

/// If the room for notes cannot be addressed, that is an error, and not a lack of memory, which would abort the
/// process.
#[test]
fn room_that_cannot_be_addressed_is_refused_while_a_reader_is_stalled() {
    let (mut writer, reader) = LeftRightMap::<u64, u64>::new();
    writer.insert(1, 1);
    writer.publish();
    let stalled = reader.enter();
    writer.insert(2, 2);
    writer.publish();
    assert_eq!(writer.stalled_readers().count(), 1);
    let many = writer.try_reserve(usize::MAX);
    assert_eq!(many, Err(TryReserveError::CapacityOverflow), "more notes than can be addressed");
    let panics = catch_unwind(AssertUnwindSafe(|| writer.reserve(usize::MAX)));
    assert!(panics.is_err(), "reserve of more than can be addressed did not panic");
    writer.insert(3, 3);
    assert_eq!((stalled.get(&1), stalled.get(&2)), (Some(&1), None));
    drop(stalled);
    writer.publish();
    assert_eq!([1, 2, 3].map(|key| reader.get_cloned(&key)), [1, 2, 3].map(Some));
}
