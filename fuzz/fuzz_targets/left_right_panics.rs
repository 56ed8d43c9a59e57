//! `LeftRightMap` whose keys, values and closures panic as the input says. After each panic the operation is done or
//! not done, the map has dropped nothing twice, readers see the same state as before, and the map works.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow::LeftRightMap;
use hedgerow::left_right::{
    Boxed, Handles, Inline, ReadGuard, ReadHandle, Snapshot, Storage, WriteHandle,
};
use hedgerow_fuzz::fuse::{self, Fused as Plain, step};
use hedgerow_fuzz::hashing::Hashing;
use libfuzzer_sys::fuzz_target;
use std::cell::Cell;
use std::collections::HashMap;
use std::hash::Hash;

thread_local!(static ALIVE: Cell<usize> = const { Cell::new(0) });

/// Steps that a fuse of the input stands for: mostly few, as most operations take; some as many as growth.
fn steps(fuse: u8) -> u64 {
    match fuse {
        0..200 => u64::from(fuse % 6),
        _ => u64::from(fuse - 200) * 3,
    }
}

/// Runs `work`, which panics when its `fuse` has burnt down; returns `None` if it panicked.
fn survives<R>(fuse: Option<u8>, work: impl FnOnce() -> R) -> Option<R> {
    fuse::survives(fuse.map(steps), work)
}

/// A value that panics when it is cloned or dropped, but is dropped in any case.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Heaped(Box<Plain>);

impl Clone for Heaped {
    fn clone(&self) -> Self {
        step();
        Self::new(self.0.0)
    }
}

impl Drop for Heaped {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
        step();
    }
}

/// A key or value.
trait Number: Clone + Eq + Hash + 'static {
    fn new(number: u16) -> Self;
    fn number(&self) -> u16;
}

impl Number for Plain {
    fn new(number: u16) -> Self {
        Self(number)
    }

    fn number(&self) -> u16 {
        self.0
    }
}

impl Number for Heaped {
    fn new(number: u16) -> Self {
        ALIVE.set(ALIVE.get() + 1);
        Self(Box::new(Plain(number)))
    }

    fn number(&self) -> u16 {
        self.0.0
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Action {
    Insert(u8, u16),
    Remove(u8),
    Update(u8, u16),
    /// Keeps those whose key has none of these bits.
    Retain(u8),
    Clear,
    Reserve(u8),
    Shrink,
    Extend(u8),
    Get(u8),
    GetMany([u8; 3]),
    /// A snapshot is held from here on.
    Enter,
    LookAway,
    Publish,
    TryPublish,
    PublishEvery(u8),
}

#[derive(Arbitrary, Debug)]
struct Script {
    hashing: Hashing,
    /// Whether each panic drops the writer's handle, as an uncaught panic does.
    leaves: bool,
    /// The step of each operation that panics.
    actions: Vec<(Action, Option<u8>)>,
}

type Model = HashMap<u16, u16>;

struct Game<'r, T, P: Storage<T, T>> {
    writer: WriteHandle<T, T, Hashing, P>,
    reader: &'r ReadHandle<T, T, Hashing, P>,
    /// A snapshot, and the published state when it was taken.
    held: Option<(Snapshot<'r, T, T, Hashing, P>, Model)>,
    /// It has been held since before the last publish.
    stuck: bool,
    draft: Model,
    published: Model,
    publishes: u64,
    fresh: u16,
}

fuzz_target!(|script: Script| {
    play::<Heaped, Boxed>(LeftRightMap::with_hasher(script.hashing), &script);
    assert_eq!(ALIVE.get(), 0);
    play::<Plain, Inline>(LeftRightMap::inline_with_hasher(script.hashing), &script);
});

fn play<T: Number, P: Storage<T, T>>(handles: Handles<T, T, Hashing, P>, script: &Script) {
    let (writer, reader) = handles;
    let (draft, published) = (Model::new(), Model::new());
    let (reader, fresh) = (&reader, 1_000);
    let mut game =
        Game { writer, reader, held: None, stuck: false, draft, published, publishes: 0, fresh };
    for &(action, fuse) in script.actions.iter().take(300) {
        if game.act(action, fuse) {
            if script.leaves {
                let Game { writer, .. } = game;
                drop(writer);
                game = Game { writer: reader.writer().expect("nobody has it"), ..game };
            }
            game.compare();
        }
        game.check();
    }
    // No reader is stuck, and the map drops all retired entries once the next publish has waited for readers.
    game.act(Action::Publish, None);
    game.act(Action::Insert(0, 0), None);
    game.act(Action::Publish, None);
    game.writer.wait_for_readers();
    game.compare();
    assert!([0, 2 * game.draft.len()].contains(&ALIVE.get()));
}

impl<T: Number, P: Storage<T, T>> Game<'_, T, P> {
    /// Whether it panicked.
    fn act(&mut self, action: Action, fuse: Option<u8>) -> bool {
        match action {
            Action::Insert(key, value) => self.one(key.into(), Some(value), fuse, |writer| {
                writer.insert(T::new(key.into()), T::new(value))
            }),
            Action::Remove(key) => {
                self.one(key.into(), None, fuse, |writer| writer.remove(&T::new(key.into())))
            }
            Action::Update(key, value) => {
                let before = self.draft.get(&key.into()).copied();
                self.one(key.into(), before.and(Some(value)), fuse, |writer| {
                    writer.update(&T::new(key.into()), |there| {
                        assert_eq!(Some(there.number()), before);
                        step();
                        T::new(value)
                    })
                })
            }
            Action::Extend(count) => {
                for _ in 0..=count % 32 {
                    let key = self.fresh;
                    self.fresh = key.wrapping_add(1).max(1_000);
                    let insert = |writer: &mut WriteHandle<T, T, Hashing, P>| {
                        writer.insert(T::new(key), T::new(key))
                    };
                    if self.draft.len() < 600 && self.one(key, Some(key), fuse, insert) {
                        return true;
                    }
                }
                false
            }
            Action::Retain(bits) => {
                let wanted = |key: u16| key & u16::from(bits) == 0;
                self.sweep(fuse, wanted, |writer| {
                    writer.retain(|key, _| {
                        step();
                        wanted(key.number())
                    });
                })
            }
            Action::Clear => self.sweep(fuse, |_| false, WriteHandle::clear),
            Action::Shrink => self.sweep(fuse, |_| true, WriteHandle::shrink_to_fit),
            Action::Reserve(more) => survives(fuse, || self.writer.reserve(more.into())).is_none(),
            Action::Get(key) => self.get(key, fuse),
            Action::GetMany(keys) => {
                let found = survives(fuse, || {
                    let keys = keys.map(|key| T::new(key.into()));
                    let snapshot = self.reader.enter();
                    snapshot.get_many(keys.each_ref()).map(|value| value.map(T::number))
                });
                let there = keys.map(|key| self.published.get(&key.into()).copied());
                found.inspect(|found| assert_eq!(*found, there)).is_none()
            }
            Action::Enter => {
                self.look_away();
                self.held = Some((self.reader.enter(), self.published.clone()));
                false
            }
            Action::LookAway => {
                self.look_away();
                false
            }
            Action::Publish => {
                self.look_away();
                let done = survives(fuse, || self.writer.publish()).is_some();
                self.follow();
                assert!(!done || !self.writer.has_changes() && self.draft == self.published);
                !done
            }
            Action::TryPublish => {
                let stuck = self.stuck && self.writer.has_changes();
                let done = survives(fuse, || self.writer.try_publish());
                self.follow();
                assert!(done.is_none_or(|done| done.is_err() == stuck));
                assert!(done != Some(Ok(())) || self.draft == self.published);
                done.is_none()
            }
            Action::PublishEvery(operations) => {
                self.writer.publish_every(operations.into());
                false
            }
        }
    }

    /// Checks an operation on one key, its old value and the value that it leaves. After a panic the model follows the
    /// map, if the map's state is one that the operation may leave.
    fn one(
        &mut self,
        key: u16,
        after: Option<u16>,
        fuse: Option<u8>,
        work: impl FnOnce(&mut WriteHandle<T, T, Hashing, P>) -> bool,
    ) -> bool {
        let before = self.draft.get(&key).copied();
        let there = survives(fuse, || work(&mut self.writer));
        assert!(there.is_none_or(|there| there == before.is_some()));
        let found = self.writer.get(&T::new(key)).map(T::number);
        let undone = there.is_none() && found == before;
        assert!(found == after || undone, "an operation leaves {found:?} of {key}");
        match found {
            Some(value) => self.draft.insert(key, value),
            None => self.draft.remove(&key),
        };
        self.follow();
        there.is_none()
    }

    /// An operation that leaves the entries whose keys are `wanted`, and waits for readers.
    fn sweep(
        &mut self,
        fuse: Option<u8>,
        wanted: impl Fn(u16) -> bool,
        work: impl FnOnce(&mut WriteHandle<T, T, Hashing, P>),
    ) -> bool {
        if self.stuck {
            self.look_away();
        }
        let panicked = survives(fuse, || work(&mut self.writer)).is_none();
        let writer = &self.writer;
        self.draft.retain(|&key, value| {
            let found = writer.get(&T::new(key)).map(T::number);
            let expected = wanted(key).then_some(*value);
            assert!(found == expected || panicked && found == Some(*value), "{key}: {found:?}");
            found.is_some()
        });
        self.follow();
        panicked
    }

    fn get(&self, key: u8, fuse: Option<u8>) -> bool {
        let found = survives(fuse, || {
            let key = T::new(key.into());
            let guard = self.reader.get(&key).map(|guard| {
                ReadGuard::map(guard, |value| {
                    step();
                    value
                })
            });
            let found = guard.as_deref().map(T::number);
            let again = self.reader.get_with(&key, |value| {
                step();
                value.number()
            });
            assert_eq!(found, again);
            found
        });
        let there = self.published.get(&key.into()).copied();
        found.inspect(|found| assert_eq!(*found, there)).is_none()
    }

    fn look_away(&mut self) {
        self.stuck = false;
        self.held.take().iter().for_each(|(snapshot, model)| compare(snapshot, model));
    }

    /// Copies to the model whether the map published.
    fn follow(&mut self) {
        let publishes = self.writer.generation();
        if publishes != self.publishes {
            assert_eq!(publishes, self.publishes + 1);
            self.publishes = publishes;
            self.published.clone_from(&self.draft);
            self.stuck = self.held.is_some();
        }
    }

    fn check(&self) {
        assert_eq!(
            (self.writer.len(), self.reader.len()),
            (self.draft.len(), self.published.len())
        );
        assert_eq!(self.writer.stalled_readers().count(), usize::from(self.stuck));
        assert!(self.writer.has_changes() || self.draft == self.published);
    }

    fn compare(&self) {
        let mut count = 0;
        for (key, value) in self.writer.iter() {
            assert_eq!(self.draft.get(&key.number()), Some(&value.number()));
            count += 1;
        }
        assert_eq!(count, self.draft.len(), "a key is lost, or there twice");
        for (key, value) in &self.draft {
            assert_eq!(self.writer.get(&T::new(*key)).map(T::number), Some(*value));
        }
        compare(&self.reader.enter(), &self.published);
        self.held.iter().for_each(|(snapshot, model)| compare(snapshot, model));
    }
}

fn compare<T: Number, P: Storage<T, T>>(snapshot: &Snapshot<'_, T, T, Hashing, P>, model: &Model) {
    assert_eq!((snapshot.len(), snapshot.iter().count()), (model.len(), model.len()));
    for (key, value) in snapshot {
        assert_eq!(model.get(&key.number()), Some(&value.number()));
    }
    for (key, value) in model {
        assert_eq!(snapshot.get(&T::new(*key)).map(T::number), Some(*value));
    }
}
