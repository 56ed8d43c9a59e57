//! `LeftRightMap` with both ways to keep entries, and the writer's handle that threads share.

use super::common;
use super::{keeps, lasting, lasts, meet, see, see_entry};
use crate::play::Subject;
use crate::program::{Op, Program, Verb};
use crate::things::{Key, Spread, Thing};
use crate::world::{self, LASTING};
use hedgerow::LeftRightMap;
use hedgerow::left_right::{
    Boxed, Handles, Inline, ReadHandle, SharedWriteHandle, Snapshot, Storage, WriteHandle,
};
use std::cell::Cell;
use std::sync::{Mutex, TryLockError};

/// How a map with these handles is made.
pub(super) trait Make<K, V>: Storage<K, V> + Sized + 'static {
    /// Whether each entry's hash is kept.
    const HASHES: bool;

    fn handles(spread: Spread) -> Handles<K, V, Spread, Self>;
}

impl<K: 'static, V: 'static> Make<K, V> for Boxed {
    const HASHES: bool = true;

    fn handles(spread: Spread) -> Handles<K, V, Spread, Self> {
        LeftRightMap::with_hasher(spread)
    }
}

impl<K: Copy + 'static, V: Copy + 'static> Make<K, V> for Inline {
    const HASHES: bool = false;

    fn handles(spread: Spread) -> Handles<K, V, Spread, Self> {
        LeftRightMap::inline_with_hasher(spread)
    }
}

type Writer<K, V, P> = WriteHandle<Key<K>, V, Spread, P>;
type Reader<K, V, P> = ReadHandle<Key<K>, V, Spread, P>;

/// The handles of a thread.
pub(super) struct Local<K: Thing, V: Thing, P: Storage<Key<K>, V>> {
    reader: Reader<K, V, P>,
    /// Snapshots that this thread holds.
    held: Cell<u32>,
    leaks: bool,
    /// Whether keys may be hidden by others that answer `Hash` otherwise than before.
    hides: bool,
}

impl<K: Thing, V: Thing, P: Storage<Key<K>, V>> Local<K, V, P> {
    /// Whether a call that waits for readers would not wait for ever.
    fn may_wait(&self) -> bool {
        self.held.get() == 0 && !self.leaks
    }

    /// Holds a snapshot and an entry of it while other operations run, and checks the entry again afterwards.
    fn hold(&self, op: Op, rest: &mut dyn FnMut()) {
        struct Held<'a>(&'a Cell<u32>);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        self.held.set(self.held.get() + 1);
        let _held = Held(&self.held);
        let snapshot = self.reader.enter();
        let found = snapshot.get_key_value(&op.key());
        let many: Vec<_> = snapshot.iter().take(usize::from(op.value)).collect();
        rest();
        found.into_iter().chain(many).for_each(|(key, value)| see_entry(key, value));
        walk(&snapshot);
    }

    fn look(&self, op: Op) {
        match op.arg % 4 {
            0 => drop(self.reader.get(&op.key()).map(|guard| see(&*guard))),
            1 => drop(self.reader.get_with(&op.key(), |value| {
                world::step();
                see(value);
            })),
            2 => {
                let keys = [0, 1, 2].map(|n| Key::make(op.id() + n));
                let snapshot = self.reader.enter();
                snapshot.get_many(keys.each_ref()).into_iter().flatten().for_each(see);
            }
            _ => walk(&self.reader.enter()),
        }
    }
}

/// A walk through a snapshot meets what lasts.
fn walk<K: Thing, V: Thing, P: Storage<Key<K>, V>>(snapshot: &Snapshot<'_, Key<K>, V, Spread, P>) {
    common::walk("a snapshot", |meet| snapshot.iter().for_each(|(key, value)| meet(key, value)));
}

pub(super) struct Map<K: Thing, V: Thing, P: Make<Key<K>, V>> {
    writer: Mutex<Option<Writer<K, V, P>>>,
    reader: Mutex<Reader<K, V, P>>,
    leaks: bool,
}

impl<K: Thing, V: Thing, P: Make<Key<K>, V>> Map<K, V, P> {
    /// Writes, if nobody does: neither another thread nor this one from within.
    fn write(&self, local: &Local<K, V, P>, op: Op, verb: Verb) {
        let mut place = match self.writer.try_lock() {
            Ok(place) => place,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if verb == Verb::Handle {
            drop(place.take());
        }
        if place.is_none() {
            *place = local.reader.writer();
        }
        let Some(writer) = &mut *place else { return };
        let (key, value) = (op.key::<K>(), || op.value::<V>());
        let waits = local.may_wait();
        match verb {
            Verb::Insert => drop(writer.insert(key, value())),
            // Enough entries for the sides to grow.
            Verb::InsertMany => {
                let mut batch = writer.batch();
                for id in 0..u32::from(op.arg) {
                    batch.insert(Key::make(op.id() + id), value());
                }
                if op.arg % 4 == 3 && local.leaks {
                    world::leak(batch);
                }
            }
            Verb::RemoveMany => {
                for id in op.ids() {
                    writer.remove(&Key::make(id));
                }
            }
            Verb::TryInsert => {
                let value = value();
                let done = world::scarce(op.scarcity(), || writer.try_insert(key, value));
                if let Err(error) = done {
                    let (key, value) = error.into_parts();
                    see_entry(&key, &value);
                }
            }
            Verb::Remove => drop(writer.remove(&key)),
            Verb::Update => drop(writer.update(&key, |before| {
                world::step();
                see(before);
                value()
            })),
            Verb::Get => {
                writer.get(&key).into_iter().for_each(see);
                writer.iter().for_each(|(key, value)| see_entry(key, value));
            }
            Verb::Reserve if waits => {
                let _ = world::scarce(op.scarcity(), || {
                    writer.try_reserve(op.amount(size_of::<(K, V)>()))
                });
            }
            Verb::Retain if waits => writer.retain(|key, value| keeps(meet(key, value), op)),
            Verb::Grow if waits => writer.shrink_to_fit(),
            Verb::Publish if waits => writer.publish(),
            Verb::Finish if waits => writer.wait_for_readers(),
            _ => drop(writer.try_publish()),
        }
    }
}

impl<K: Thing, V: Thing, P: Make<Key<K>, V>> Subject for Map<K, V, P>
where
    Writer<K, V, P>: Send,
    Reader<K, V, P>: Send,
{
    const VERBS: &'static [&'static [Verb]] = &[&[
        Verb::Insert,
        Verb::Insert,
        Verb::Insert,
        Verb::InsertMany,
        Verb::RemoveMany,
        Verb::TryInsert,
        Verb::Get,
        Verb::Remove,
        Verb::Remove,
        Verb::Update,
        Verb::Retain,
        Verb::Iterate,
        Verb::Iterate,
        Verb::Reserve,
        Verb::Grow,
        Verb::Hold,
        Verb::Hold,
        Verb::Leak,
        Verb::Publish,
        Verb::TryPublish,
        Verb::TryPublish,
        Verb::Finish,
        Verb::Handle,
    ]];
    const LASTS: bool = lasts::<K>();
    type Local = Local<K, V, P>;

    fn new(program: &Program) -> Self {
        let (mut writer, reader) = P::handles(Spread(program.spreads()));
        for (key, value) in lasting() {
            writer.insert(key, value);
        }
        writer.publish();
        let leaks = program.leaks();
        Self { writer: Mutex::new(Some(writer)), reader: Mutex::new(reader), leaks }
    }

    fn join(&self, program: &Program) -> Self::Local {
        let reader = self.reader.lock().expect("nothing panics with it").clone();
        let hides = !P::HASHES && program.manners().hash.changes();
        Local { reader, held: Cell::new(0), leaks: program.leaks(), hides }
    }

    fn act(&self, local: &Self::Local, op: Op, rest: &mut dyn FnMut()) {
        match op.verb(Self::VERBS) {
            Verb::Hold => local.hold(op, rest),
            Verb::Iterate => local.look(op),
            Verb::Leak if local.leaks => world::leak(local.reader.enter()),
            verb => self.write(local, op, verb),
        }
    }

    fn reenter(&self, local: &Self::Local) {
        local.reader.get_with(&Key::make(LASTING + 1), see);
        walk(&local.reader.enter());
    }

    fn lasting(&self, local: &Self::Local, id: u32) -> Option<Option<u32>> {
        let found = local.reader.get_with(&Key::make(id), Thing::id);
        found.or(local.hides.then_some(None))
    }

    fn end(&mut self) {
        let writer = self.writer.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(writer) = writer.as_mut().filter(|_| !self.leaks) {
            writer.publish();
            writer.wait_for_readers();
        }
    }
}

/// Threads that share a writer's handle.
pub(super) struct Shared<K: Thing, V: Thing> {
    handle: SharedWriteHandle<Key<K>, V, Spread>,
}

impl<K: Thing, V: Thing> Subject for Shared<K, V> {
    const VERBS: &'static [&'static [Verb]] = &[&[
        Verb::Insert,
        Verb::Insert,
        Verb::Remove,
        Verb::Update,
        Verb::Iterate,
        Verb::Hold,
        Verb::Leak,
        Verb::Publish,
        Verb::TryPublish,
    ]];
    const LASTS: bool = lasts::<K>();
    type Local = Local<K, V, Boxed>;

    fn new(program: &Program) -> Self {
        let (mut writer, _) = LeftRightMap::with_hasher(Spread(program.spreads()));
        for (key, value) in lasting() {
            writer.insert(key, value);
        }
        writer.publish();
        Self { handle: SharedWriteHandle::new(writer) }
    }

    fn join(&self, program: &Program) -> Self::Local {
        let reader = self.handle.read_handle();
        Local { reader, held: Cell::new(0), leaks: program.leaks(), hides: false }
    }

    fn act(&self, local: &Self::Local, op: Op, rest: &mut dyn FnMut()) {
        let (handle, key) = (&self.handle, op.key::<K>());
        match op.verb(Self::VERBS) {
            Verb::Insert => drop(handle.insert(key, op.value())),
            Verb::Remove => drop(handle.remove(&key)),
            Verb::Update => drop(handle.update(&key, |before| {
                world::step();
                see(before);
                op.value()
            })),
            Verb::Iterate => local.look(op),
            Verb::Hold => local.hold(op, rest),
            Verb::Leak if local.leaks => world::leak(local.reader.enter()),
            Verb::Publish if local.may_wait() => handle.publish(),
            _ => drop(handle.try_publish()),
        }
    }

    fn reenter(&self, local: &Self::Local) {
        local.reader.get_with(&Key::make(LASTING + 2), see);
        self.handle.insert(Key::make(LASTING + 1), V::make(1));
        self.handle.remove(&Key::make(LASTING + 2));
    }

    fn lasting(&self, local: &Self::Local, id: u32) -> Option<Option<u32>> {
        local.reader.get_with(&Key::make(id), Thing::id)
    }
}
