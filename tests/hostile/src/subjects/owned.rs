//! `EntryMap` and `StrMap`.

use super::{keeps, lasting, lasts, meet, see, see_entry};
use crate::play::{Subject, Walk};
use crate::program::{Op, Program, Verb};
use crate::things::{Key, Spread, Thing};
use crate::world::{self, LASTING};
use hedgerow::owned::{self, Cursor, Handle, pin};
use hedgerow::{EntryMap, StrMap};

pub(super) struct Map<K, V> {
    map: EntryMap<Key<K>, V, Spread>,
}

impl<K: Thing, V: Thing> Map<K, V> {
    /// Holds a guard and what it found while other operations are done, and looks at it again afterwards.
    fn hold(&self, op: Op, rest: &mut dyn FnMut()) {
        let handle = (op.arg >= 128).then(Handle::new);
        let guard = handle.as_ref().map_or_else(|| pin(), |handle| handle.pin());
        let found = self.map.get_key_value(&op.key(), &guard);
        let many: Vec<_> = self.map.iter(&guard).take(usize::from(op.value % 8)).collect();
        rest();
        for (key, value) in found.into_iter().chain(many) {
            see_entry(key, value);
        }
    }

    fn iterate(&self) {
        let mut walk = Walk::default();
        self.map.iter(&pin()).for_each(|(key, value)| walk.meet(meet(key, value)));
        if lasts::<K>() {
            walk.end("iter");
        }
    }

    fn scan(&self, op: Op) {
        let mut walk = Walk::default();
        let mut cursor = Some(Cursor::default());
        while let Some(at) = cursor {
            let (guard, budget) = (pin(), usize::from(op.arg));
            let meet = |key: &Key<K>, value: &V| walk.meet(meet(key, value));
            cursor = self.map.scan(at, budget, &guard, meet);
        }
        if lasts::<K>() {
            walk.end("scan");
        }
    }

    fn get_many(&self, op: Op) {
        let keys: Vec<Key<K>> = op.ids().map(Key::make).collect();
        let keys: Vec<&Key<K>> = keys.iter().collect();
        let (guard, mut values) = (pin(), vec![None; keys.len()]);
        self.map.get_many(&keys, &mut values, &guard);
        values.into_iter().flatten().for_each(see);
    }
}

impl<K: Thing, V: Thing> Subject for Map<K, V> {
    const VERBS: &'static [Verb] = &[
        Verb::Insert,
        Verb::Insert,
        Verb::InsertIfAbsent,
        Verb::TryInsert,
        Verb::Get,
        Verb::GetMany,
        Verb::Remove,
        Verb::Take,
        Verb::Update,
        Verb::Compute,
        Verb::TryCompute,
        Verb::Entry,
        Verb::Retain,
        Verb::Iterate,
        Verb::Scan,
        Verb::Reserve,
        Verb::Hold,
        Verb::Hold,
        Verb::Leak,
        Verb::Reclaim,
    ];
    const LASTS: bool = lasts::<K>();
    type Local = bool;

    fn new(program: &Program) -> Self {
        let map = EntryMap::with_hasher(Spread(program.spreads()));
        lasting().for_each(|(key, value)| drop(map.insert(key, value)));
        if program.choice() >= 224 {
            map.set_pending_limit(Some(usize::from(program.choice() % 8)));
        }
        Self { map }
    }

    fn join(&self, program: &Program) -> bool {
        program.leaks()
    }

    fn act(&self, leaks: &bool, op: Op, rest: &mut dyn FnMut()) {
        let (map, key) = (&self.map, op.key::<K>());
        let value = || op.value::<V>();
        let decide = |before: Option<&V>| {
            world::step();
            before.into_iter().for_each(see);
            match op.arg % 4 {
                0 => owned::Op::Keep,
                1 => owned::Op::Remove,
                _ => owned::Op::Insert(value()),
            }
        };
        match op.verb(Self::VERBS) {
            Verb::Insert => map.insert(key, value()).iter().for_each(|old| see(&**old)),
            Verb::InsertIfAbsent => {
                if let Err((key, value)) = map.insert_if_absent(key, value()) {
                    see_entry(&key, &value);
                }
            }
            Verb::TryInsert => {
                let value = value();
                match world::scarce(op.scarcity(), || map.try_insert(key, value)) {
                    Ok(before) => before.iter().for_each(|old| see(&**old)),
                    Err(error) => {
                        let (key, value) = error.into_parts();
                        see_entry(&key, &value);
                    }
                }
            }
            Verb::Get => {
                map.get(&key, &pin()).into_iter().for_each(see);
                map.get_with(&key, |value| {
                    world::step();
                    see(value);
                });
            }
            Verb::GetMany => self.get_many(op),
            Verb::Remove => drop(map.remove(&key)),
            Verb::Take => match map.remove(&key).map(owned::Removed::try_into_owned) {
                Some(Ok((key, value))) => {
                    see_entry(&key, &value);
                }
                Some(Err(removed)) => {
                    see_entry(removed.key(), removed.value());
                    // What is forgotten stays for ever.
                    if *leaks {
                        world::leak(removed);
                    }
                }
                None => {}
            },
            Verb::Update => drop(map.compute(key, |before| match before {
                Some(before) => {
                    world::step();
                    see(before);
                    owned::Op::Insert(value())
                }
                None => owned::Op::Keep,
            })),
            Verb::Compute => drop(map.compute(key, decide)),
            Verb::TryCompute => {
                // The closure makes values whether or not there is memory for the map.
                let decide = |before: Option<&V>| world::unfailing(|| decide(before));
                drop(world::scarce(op.scarcity(), || map.try_compute(key, decide)));
            }
            Verb::Entry => {
                let guard = pin();
                see(map.get_or_insert_with(
                    key,
                    |_| {
                        world::step();
                        value()
                    },
                    &guard,
                ));
            }
            Verb::Retain => map.retain(|key, value| keeps(meet(key, value), op)),
            Verb::Iterate => self.iterate(),
            Verb::Scan => self.scan(op),
            Verb::Reserve => {
                let _ = world::scarce(op.scarcity(), || {
                    map.try_reserve(op.amount(size_of::<(K, V)>()))
                });
                map.reserve(op.amount(size_of::<(K, V)>()));
            }
            Verb::Hold => self.hold(op, rest),
            Verb::Leak if *leaks => world::leak(pin()),
            _ => map.collect(),
        }
    }

    fn reenter(&self, _: &bool) {
        drop(self.map.insert(Key::make(LASTING + 1), V::make(1)));
        self.map.get_with(&Key::make(LASTING + 2), see);
        drop(self.map.remove(&Key::make(LASTING + 1)));
    }

    fn lasting(&self, _: &bool, id: u32) -> Option<Option<u32>> {
        self.map.get_with(&Key::make(id), Thing::id)
    }

    fn end(&mut self) {
        self.iterate();
        self.map.collect();
        self.map.shrink_to_fit();
        self.iterate();
        let (len, count) = (self.map.len(), self.map.iter(&pin()).count());
        if len != count {
            world::note(|| format!("len is {len}, and there are {count} entries"));
        }
    }
}

/// `StrMap`: keys and values are bytes, whose hash and comparison are honest; the hasher may panic.
pub(super) struct Text(StrMap<Spread>);

fn key(id: u32) -> String {
    format!("key {id}")
}

fn value(id: u32) -> Vec<u8> {
    [id.to_le_bytes().as_slice(), &vec![id as u8; (id % 61) as usize]].concat()
}

/// The number of a value, if it is whole.
fn number(bytes: &[u8]) -> u32 {
    let id = bytes.first_chunk().map_or(0, |first| u32::from_le_bytes(*first));
    if bytes != world::unfailing(|| value(id)) {
        world::note(|| format!("a torn value of {} bytes", bytes.len()));
    }
    id
}

impl Text {
    fn iterate(&self) {
        let mut walk = Walk::default();
        for (key, bytes) in self.0.iter(&pin()) {
            number(bytes);
            let id = std::str::from_utf8(key).ok().and_then(|key| key[4..].parse().ok());
            walk.meet(id.unwrap_or_else(|| {
                world::note(|| "a torn key".into());
                LASTING
            }));
        }
        walk.end("iter");
    }
}

impl Subject for Text {
    const VERBS: &'static [Verb] = &[
        Verb::Insert,
        Verb::Insert,
        Verb::InsertIfAbsent,
        Verb::TryInsert,
        Verb::Get,
        Verb::GetMany,
        Verb::Remove,
        Verb::Compute,
        Verb::TryCompute,
        Verb::Retain,
        Verb::Iterate,
        Verb::Reserve,
        Verb::Hold,
        Verb::Reclaim,
    ];
    const LASTS: bool = true;
    type Local = ();

    fn new(program: &Program) -> Self {
        let map = StrMap::with_hasher(Spread(program.spreads()));
        (0..LASTING).for_each(|id| drop(map.insert(key(id), value(id))));
        Self(map)
    }

    fn join(&self, _: &Program) {}

    fn act(&self, (): &(), op: Op, rest: &mut dyn FnMut()) {
        let (map, name, bytes) = (&self.0, key(op.id()), value(u32::from(op.arg)));
        let decide = |before: Option<&[u8]>| {
            world::step();
            before.map(number);
            match op.arg % 4 {
                0 => owned::Op::Keep,
                1 => owned::Op::Remove,
                _ => owned::Op::Insert(world::unfailing(|| bytes.clone())),
            }
        };
        match op.verb(Self::VERBS) {
            Verb::Insert => drop(map.insert(&name, &bytes)),
            Verb::InsertIfAbsent => drop(map.insert_if_absent(&name, &bytes)),
            Verb::TryInsert => {
                drop(world::scarce(op.scarcity(), || map.try_insert(&name, &bytes)));
            }
            Verb::Get => drop(map.get_with(&name, number)),
            Verb::GetMany => {
                let keys: Vec<String> = op.ids().map(key).collect();
                let (guard, mut values) = (pin(), vec![None; keys.len()]);
                map.get_many(&keys, &mut values, &guard);
                values.into_iter().flatten().for_each(|bytes| {
                    number(bytes);
                });
            }
            Verb::Remove => drop(map.remove(&name)),
            Verb::Compute => drop(map.compute(&name, decide)),
            Verb::TryCompute => {
                drop(world::scarce(op.scarcity(), || map.try_compute(&name, decide)));
            }
            Verb::Retain => map.retain(|key, bytes| {
                number(bytes);
                let id = std::str::from_utf8(&key[4..]).ok().and_then(|id| id.parse().ok());
                keeps(id.unwrap_or(0), op)
            }),
            Verb::Iterate => self.iterate(),
            Verb::Reserve => {
                let _ = world::scarce(op.scarcity(), || map.try_reserve(op.amount(32)));
                map.reserve(op.amount(32));
            }
            Verb::Hold => {
                let guard = pin();
                let found = map.get(&name, &guard);
                rest();
                found.map(number);
            }
            _ => map.collect(),
        }
    }

    fn reenter(&self, (): &()) {
        drop(self.0.insert(key(LASTING + 1), value(1)));
        drop(self.0.remove(key(LASTING + 1)));
    }

    fn lasting(&self, (): &(), id: u32) -> Option<Option<u32>> {
        self.0.get_with(key(id), |bytes| Some(number(bytes)))
    }

    fn end(&mut self) {
        self.iterate();
        self.0.shrink_to_fit();
        self.iterate();
    }
}
