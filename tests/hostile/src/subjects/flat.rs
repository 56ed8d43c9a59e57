//! `FlatMap` and `FlatTable`.

use super::{keeps, lasting, lasts, meet, see, see_all, see_entry};
use crate::play::{Subject, Walk};
use crate::program::{Op, Program, Verb};
use crate::things::{Key, Spread, Thing};
use crate::world;
use hedgerow::flat::{self, Cursor};
use hedgerow::{FlatMap, FlatTable};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

pub(super) struct Map<K, V> {
    map: FlatMap<Key<K>, V, Spread>,
}

impl<K: Thing + Copy, V: Thing + Copy> Map<K, V> {
    /// Looks keys up one after the other, and goes on after a panic as an iterator's user may.
    fn get_each(&self, op: Op) {
        let ids: Vec<u32> = (0..world::LASTING).chain(op.ids()).collect();
        let mut found = self.map.get_each(ids.iter().map(|&id| Key::make(id)));
        let mut panicked = None;
        for _ in &ids {
            match catch_unwind(AssertUnwindSafe(|| found.next())) {
                Ok(Some((key, value))) => Self::check_lasting(key.id(), value.as_ref()),
                Ok(None) => break,
                Err(payload) => panicked = Some(payload),
            }
        }
        if let Some(payload) = panicked {
            resume_unwind(payload);
        }
    }

    fn get_many(&self, op: Op) {
        let ids: Vec<u32> = (0..world::LASTING).chain(op.ids()).collect();
        let keys: Vec<Key<K>> = ids.iter().map(|&id| Key::make(id)).collect();
        let mut values = vec![None; keys.len()];
        self.map.get_many(&keys, &mut values);
        ids.iter().zip(&values).for_each(|(&id, value)| Self::check_lasting(id, value.as_ref()));
    }

    fn check_lasting(id: u32, value: Option<&V>) {
        let number = value.map(Thing::id);
        if lasts::<K>() && id < world::LASTING && number.is_none_or(|n| n.is_some_and(|n| n != id))
        {
            world::note(|| format!("a batch finds {number:?} under the lasting key {id}"));
        }
    }

    fn iterate(&self) {
        let mut walk = Walk::default();
        self.map.iter().for_each(|(key, value)| walk.meet(meet(&key, &value)));
        if lasts::<K>() {
            walk.end("iter");
        }
    }

    fn scan(&self, op: Op) {
        let mut walk = Walk::default();
        let mut cursor = Some(Cursor::default());
        while let Some(at) = cursor {
            let budget = usize::from(op.arg);
            cursor = self.map.scan(at, budget, |key, value| walk.meet(meet(&key, &value)));
        }
        if lasts::<K>() {
            walk.end("scan");
        }
    }
}

impl<K: Thing + Copy, V: Thing + Copy> Subject for Map<K, V> {
    const VERBS: &'static [Verb] = &[
        Verb::Insert,
        Verb::Insert,
        Verb::InsertIfAbsent,
        Verb::TryInsert,
        Verb::Get,
        Verb::TryGet,
        Verb::GetMany,
        Verb::GetEach,
        Verb::Remove,
        Verb::Update,
        Verb::Compute,
        Verb::TryCompute,
        Verb::Entry,
        Verb::Retain,
        Verb::Iterate,
        Verb::Scan,
        Verb::InsertMany,
        Verb::RemoveMany,
        Verb::Reserve,
        Verb::Grow,
    ];
    const LASTS: bool = lasts::<K>();
    type Local = ();

    fn new(program: &Program) -> Self {
        let map = FlatMap::with_hasher(Spread(program.spreads()));
        lasting().for_each(|(key, value)| see_all(map.insert(key, value)));
        Self { map }
    }

    fn join(&self, _: &Program) {}

    fn act(&self, (): &(), op: Op, _: &mut dyn FnMut()) {
        let (map, key, value) = (&self.map, op.key::<K>(), op.value::<V>());
        match op.verb(Self::VERBS) {
            Verb::Insert => see_all(map.insert(key, value)),
            Verb::InsertIfAbsent => see_all(map.insert_if_absent(key, value)),
            Verb::TryInsert => match world::scarce(op.scarcity(), || map.try_insert(key, value)) {
                Ok(before) => see_all(before),
                Err(error) => {
                    let (key, value) = error.into_parts();
                    see_entry(&key, &value);
                }
            },
            Verb::Get => see_all(map.get(&key)),
            Verb::TryGet => see_all(map.try_get(&key).ok().flatten()),
            Verb::GetMany => self.get_many(op),
            Verb::GetEach => self.get_each(op),
            Verb::Remove => see_all(map.remove(&key)),
            Verb::Update => see_all(map.update(&key, |before| {
                world::step();
                see(&before);
                value
            })),
            Verb::Compute => {
                let done = map.compute(key, |before| decide(before, value, op));
                see_all(done.before);
                see_all(done.after);
            }
            Verb::TryCompute => {
                let decide = |before| decide(before, value, op);
                if let Ok(done) = world::scarce(op.scarcity(), || map.try_compute(key, decide)) {
                    see_all(done.before);
                    see_all(done.after);
                }
            }
            Verb::Entry => see(&map.entry(key).and_modify(see_mut).or_insert_with(|| {
                world::step();
                value
            })),
            Verb::Retain => map.retain(|key, value| keeps(meet(key, value), op)),
            Verb::Iterate => self.iterate(),
            Verb::Scan => self.scan(op),
            Verb::InsertMany => {
                let entries: Vec<_> = op.ids().map(|id| (Key::make(id), value)).collect();
                let mut before = vec![None; entries.len()];
                map.insert_many(&entries, &mut before);
                see_all(before.into_iter().flatten());
            }
            Verb::RemoveMany => {
                let keys: Vec<Key<K>> = op.ids().map(Key::make).collect();
                let mut before = vec![None; keys.len()];
                map.remove_many(&keys, &mut before);
                see_all(before.into_iter().flatten());
            }
            Verb::Reserve => {
                let _ = world::scarce(op.scarcity(), || {
                    map.try_reserve(op.amount(size_of::<(K, V)>()))
                });
                map.reserve(op.amount(size_of::<(K, V)>()));
            }
            _ => {
                map.grow_step(usize::from(op.arg));
            }
        }
    }

    fn reenter(&self, (): &()) {
        let key = Key::make(world::LASTING + 1);
        see_all(self.map.insert(key, V::make(1)));
        see_all(self.map.get(&Key::make(world::LASTING + 2)));
        see_all(self.map.remove(&key));
    }

    fn lasting(&self, (): &(), id: u32) -> Option<Option<u32>> {
        self.map.get(&Key::make(id)).map(|value| value.id())
    }

    fn end(&mut self) {
        self.iterate();
        self.map.shrink_to_fit();
        self.iterate();
        let (len, count) = (self.map.len(), self.map.iter().count());
        if len != count {
            world::note(|| format!("len is {len}, and there are {count} entries"));
        }
    }
}

fn see_mut<V: Thing>(value: &mut V) {
    world::step();
    see(value);
}

fn decide<V: Thing + Copy>(before: Option<V>, value: V, op: Op) -> flat::Op<V> {
    world::step();
    see_all(before);
    match op.arg % 4 {
        0 => flat::Op::Keep,
        1 => flat::Op::Remove,
        _ => flat::Op::Insert(value),
    }
}

/// A table of fixed size, on the heap since it may be large.
pub(super) struct Table<K: Copy, V: Copy>(Box<FlatTable<Key<K>, V, 8, Spread>>);

impl<K: Thing + Copy, V: Thing + Copy> Table<K, V> {
    fn iterate(&self) {
        let mut walk = Walk::default();
        self.0.iter().for_each(|(key, value)| walk.meet(meet(&key, &value)));
        if lasts::<K>() {
            walk.end("iter");
        }
    }
}

impl<K: Thing + Copy, V: Thing + Copy> Subject for Table<K, V> {
    const VERBS: &'static [Verb] = &[
        Verb::Insert,
        Verb::Insert,
        Verb::InsertIfAbsent,
        Verb::TryInsert,
        Verb::Get,
        Verb::TryGet,
        Verb::Remove,
        Verb::Update,
        Verb::Compute,
        Verb::Retain,
        Verb::Iterate,
    ];
    const LASTS: bool = lasts::<K>();
    type Local = ();

    fn new(program: &Program) -> Self {
        let table = Box::new(FlatTable::with_hasher(Spread(program.spreads())));
        for (key, value) in lasting() {
            assert!(table.insert(key, value).is_ok(), "there is room for what lasts");
        }
        Self(table)
    }

    fn join(&self, _: &Program) {}

    fn act(&self, (): &(), op: Op, _: &mut dyn FnMut()) {
        let (table, key, value) = (&*self.0, op.key::<K>(), op.value::<V>());
        match op.verb(Self::VERBS) {
            Verb::Insert => see_all(table.insert(key, value).ok().flatten()),
            Verb::InsertIfAbsent => see_all(table.insert_if_absent(key, value).ok().flatten()),
            Verb::TryInsert => see_all(table.try_insert(key, value).ok().flatten()),
            Verb::Get => see_all(table.get(&key)),
            Verb::TryGet => see_all(table.try_get(&key).ok().flatten()),
            Verb::Remove => see_all(table.remove(&key)),
            Verb::Update => see_all(table.update(&key, |before| {
                world::step();
                see(&before);
                value
            })),
            Verb::Compute => {
                if let Ok(done) = table.compute(key, |before| decide(before, value, op)) {
                    see_all(done.before);
                    see_all(done.after);
                }
            }
            Verb::Retain => table.retain(|key, value| keeps(meet(key, value), op)),
            _ => self.iterate(),
        }
    }

    fn reenter(&self, (): &()) {
        let key = Key::make(world::LASTING + 1);
        see_all(self.0.insert(key, V::make(1)).ok().flatten());
        see_all(self.0.remove(&key));
    }

    fn lasting(&self, (): &(), id: u32) -> Option<Option<u32>> {
        self.0.get(&Key::make(id)).map(|value| value.id())
    }

    fn end(&mut self) {
        self.iterate();
    }
}
