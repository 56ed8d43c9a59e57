//! builds: default
//!
//! A thread that is stopped for long while it looks: the writer of a `LeftRightMap` goes on beside, by notes that
//! grow with the keys and not with the changes, and when the thread lets go everything appears.

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

/// Far above what any of these needs.
const TIME_LIMIT: u64 = 300;

const KEYS: u64 = 400;
const EVERY: usize = 10;

type Model = HashMap<u64, u64>;

/// A map, what it should hold, and how many of its keys and values are alive.
struct Game {
    writer: WriteHandle<Tracked, Tracked, Mapped>,
    draft: Model,
    alive: Arc<AtomicUsize>,
    rng: Rng,
    serial: u64,
}

impl Game {
    fn new() -> (Self, ReadHandle<Tracked, Tracked, Mapped>) {
        let (writer, reader) = LeftRightMap::with_hasher(hashers::GOOD);
        let (draft, alive) = (Model::new(), Arc::default());
        (Self { writer, draft, alive, rng: Rng::new(seed()), serial: 0 }, reader)
    }

    /// A value that none had before.
    fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn insert(&mut self, key: u64) {
        let value = self.next();
        let [key_alive, value_alive] = [key, value].map(|n| Tracked::new(n, &self.alive));
        let replaced = self.writer.insert(key_alive, value_alive);
        assert_eq!(replaced, self.draft.insert(key, value).is_some());
    }

    fn change(&mut self) {
        let key = self.rng.next() % KEYS;
        match self.rng.below(10) {
            0..5 => self.insert(key),
            5..8 => assert_eq!(self.writer.remove(&key), self.draft.remove(&key).is_some()),
            _ => {
                let value = self.next();
                let new = Tracked::new(value, &self.alive);
                let updated = self.writer.update(&key, |_| new);
                assert_eq!(updated, self.draft.get_mut(&key).map(|there| *there = value).is_some());
            }
        }
        assert_eq!(self.writer.len(), self.draft.len());
    }

    /// Changes until there was a publish, and gives what it showed.
    fn change_until_published(&mut self) -> Model {
        let generation = self.writer.generation();
        while self.writer.generation() == generation {
            self.change();
        }
        self.draft.clone()
    }

    /// An entry is alive as long as it is in one of these, or in the draft.
    fn census(&self, seen: &[&Model]) {
        let all = seen.iter().copied().chain([&self.draft]);
        let entries: HashSet<(u64, u64)> = all.flatten().map(|(k, v)| (*k, *v)).collect();
        let alive = self.alive.load(Ordering::Relaxed);
        assert_eq!(alive, 2 * entries.len(), "keys and values alive, and in use");
    }
}

fn check(reader: &ReadHandle<Tracked, Tracked, Mapped>, model: &Model) {
    let snapshot = reader.enter();
    let all: Model = snapshot.iter().map(|(key, value)| (key.value, value.value)).collect();
    assert_eq!((&all, snapshot.len()), (model, model.len()));
}

/// Two ends of what a thread that is to be stopped says and is told.
struct Stopped {
    looks: Sender<()>,
    go_on: Receiver<()>,
}

impl Stopped {
    /// Says that the thread looks, and returns when it is to go on.
    fn stop(&self) {
        self.looks.send(()).expect("the writer waits for this");
        self.go_on.recv().expect("the writer says so");
    }
}

/// The writer's ends of the same.
fn stop() -> (Stopped, Receiver<()>, Sender<()>) {
    let ((looks, are_looking), (go, go_on)) = (channel(), channel());
    (Stopped { looks, go_on }, are_looking, go)
}

#[test]
fn a_thread_that_is_stopped_in_a_look_holds_up_one_publish_and_little_memory() {
    within(TIME_LIMIT, "a thread that is stopped", || {
        let (mut game, reader) = Game::new();
        (0..KEYS / 2).for_each(|key| game.insert(key));
        game.insert(KEYS);
        game.writer.publish();
        game.writer.publish_every(EVERY);
        let first = game.draft.clone();
        let factory = reader.factory();
        joined_scope(|scope| {
            let (stopped, are_looking, go) = stop();
            let handle = factory.handle();
            let held = first.clone();
            scope.spawn(move || {
                let snapshot = handle.enter();
                stopped.stop();
                let all: Model = snapshot.iter().map(|(k, v)| (k.value, v.value)).collect();
                assert_eq!(all, held, "what a snapshot shows has changed");
                drop(snapshot);
                stopped.stop();
            });
            are_looking.recv().expect("it looks");
            // The sides change places once, and then not again.
            let second = game.change_until_published();
            let generation = game.writer.generation();
            // Each key in turn, so that there is a note of each.
            (0..KEYS).for_each(|key| game.insert(key));
            let bytes = game.writer.stats().memory_bytes;
            for step in 0..20_000 {
                game.change();
                if step % 500 == 0 {
                    game.census(&[&first, &second]);
                    check(&reader, &second);
                }
            }
            assert_eq!(game.writer.generation(), generation, "published over somebody's head");
            assert_eq!(game.writer.stalled_readers().count(), 1);
            assert!(game.writer.stats().memory_bytes <= 2 * bytes, "notes grow with the changes");
            go.send(()).expect("it waits");
            are_looking.recv().expect("it has let go");
            // The very next change shows all of them.
            game.insert(0);
            assert_eq!(game.writer.generation(), generation + 1);
            check(&reader, &game.draft);
            game.writer.publish();
            game.writer.wait_for_readers();
            game.census(&[]);
            go.send(()).expect("it waits");
        });
        drop((game.writer, reader, factory));
        assert_eq!(game.alive.load(Ordering::Relaxed), 0);
    });
}

/// As above, in a closure that a look-up runs, and a second thread that begins to look at what was shown since.
#[test]
fn threads_that_are_stopped_one_after_the_other_hold_up_a_publish_each() {
    within(TIME_LIMIT, "threads that are stopped", || {
        let (mut game, reader) = Game::new();
        game.insert(KEYS);
        game.writer.publish();
        game.writer.publish_every(EVERY);
        let first = game.draft.clone();
        let factory = reader.factory();
        joined_scope(|scope| {
            let ((one, one_looks, one_go), (other, other_looks, other_go)) = (stop(), stop());
            let handle = factory.handle();
            scope.spawn(move || {
                let value = handle.get_with(&KEYS, |value| {
                    one.stop();
                    value.value
                });
                assert_eq!(value, Some(1));
                one.stop();
            });
            one_looks.recv().expect("it looks");
            let second = game.change_until_published();
            let (handle, held) = (factory.handle(), second.clone());
            scope.spawn(move || {
                check(&handle, &held);
                let guard = handle.get(&KEYS).expect("nobody removes it");
                other.stop();
                assert_eq!(guard.value, held[&KEYS], "what a guard holds has changed");
                drop(guard);
                other.stop();
            });
            other_looks.recv().expect("it looks");
            (0..3_000).for_each(|_| game.change());
            assert!(game.writer.stalled_readers().count() == 1 && game.writer.has_changes());
            game.census(&[&first, &second]);
            one_go.send(()).expect("it waits");
            one_looks.recv().expect("it has let go");
            // One publish, and now the other is in the way of the next.
            game.change();
            let third = game.draft.clone();
            check(&reader, &third);
            (0..3_000).for_each(|_| game.change());
            game.census(&[&second, &third]);
            check(&reader, &third);
            other_go.send(()).expect("it waits");
            other_looks.recv().expect("it has let go");
            game.change();
            check(&reader, &game.draft);
            game.writer.publish();
            game.writer.wait_for_readers();
            game.census(&[]);
            one_go.send(()).and(other_go.send(())).expect("they wait");
        });
    });
}

/// Room for notes that cannot be addressed is no want of memory, which would end the process.
#[test]
fn room_that_cannot_be_addressed_is_refused_while_a_reader_is_stuck() {
    let (mut writer, reader) = LeftRightMap::<u64, u64>::new();
    writer.insert(1, 1);
    writer.publish();
    let stuck = reader.enter();
    writer.insert(2, 2);
    writer.publish();
    assert_eq!(writer.stalled_readers().count(), 1);
    let many = writer.try_reserve(usize::MAX);
    assert_eq!(many, Err(TryReserveError::CapacityOverflow), "more notes than can be addressed");
    let panics = catch_unwind(AssertUnwindSafe(|| writer.reserve(usize::MAX)));
    assert!(panics.is_err(), "reserve of more than can be addressed did not panic");
    writer.insert(3, 3);
    assert_eq!((stuck.get(&1), stuck.get(&2)), (Some(&1), None));
    drop(stuck);
    writer.publish();
    assert_eq!([1, 2, 3].map(|key| reader.get_cloned(&key)), [1, 2, 3].map(Some));
}
