//! `FlatMap` and `FlatTable`.

use super::common::{
    Common, GROWING, Outcome, SINGLE, by_value, check_answer, get_or_insert, taken_apart,
};
use crate::program::{Op, Program, Verb};
use crate::things::{Key, Spread, Thing};
use crate::world::LASTING;
use hedgerow::flat::Cursor;
use hedgerow::{FlatMap, FlatTable};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

pub(super) struct Map<K, V> {
    map: FlatMap<Key<K>, V, Spread>,
}

impl<K: Thing + Copy, V: Thing + Copy> Map<K, V> {
    /// Looks keys up one after the other, and goes on after a panic as an iterator's user may.
    fn get_each(&self, op: Op) {
        let ids: Vec<u32> = (0..LASTING).chain(op.ids()).collect();
        let mut found = self.map.get_each(ids.iter().map(|&id| Key::make(id)));
        let mut panicked = None;
        for _ in &ids {
            match catch_unwind(AssertUnwindSafe(|| found.next())) {
                Ok(Some((key, value))) => check_answer::<Self>(key.id(), value.as_ref()),
                Ok(None) => break,
                Err(payload) => panicked = Some(payload),
            }
        }
        if let Some(payload) = panicked {
            resume_unwind(payload);
        }
    }
}

impl<K: Thing + Copy, V: Thing + Copy> Common for Map<K, V> {
    type Key = K;
    type Value = V;

    const GROUPS: &'static [&'static [Verb]] = &[
        SINGLE,
        GROWING,
        &[
            Verb::TryRemove,
            Verb::GetEach,
            Verb::Entry,
            Verb::GetOrInsert,
            Verb::InsertMany,
            Verb::RemoveMany,
            Verb::Reserve,
            Verb::Grow,
            Verb::Extract,
            Verb::Clone,
        ],
    ];

    fn empty(program: &Program) -> Self {
        Self { map: FlatMap::with_hasher(Spread(program.spreads())) }
    }

    by_value!(growing);

    get_or_insert!();

    taken_apart!();

    fn scan(&self, budget: usize, mut meet: impl FnMut(&Key<K>, &V)) {
        let mut cursor = Some(Cursor::default());
        while let Some(at) = cursor {
            cursor = self.map.scan(at, budget, |key, value| meet(&key, &value));
        }
    }

    fn try_reserve(&self, amount: usize) {
        let _ = self.map.try_reserve(amount);
    }

    fn reserve(&self, amount: usize) {
        self.map.reserve(amount);
    }

    fn others(&self, verb: Verb, op: Op) {
        let entries: Vec<_> = op.ids().map(|id| (Key::make(id), op.value())).collect();
        let mut before = vec![None; entries.len()];
        match verb {
            Verb::GetEach => self.get_each(op),
            Verb::InsertMany => self.map.insert_many(&entries, &mut before),
            Verb::RemoveMany => {
                let keys: Vec<Key<K>> = entries.into_iter().map(|(key, _)| key).collect();
                self.map.remove_many(&keys, &mut before);
            }
            _ => {
                self.map.grow_step(usize::from(op.arg));
            }
        }
        before.into_iter().for_each(Outcome::check);
    }

    fn tidy(&mut self) {
        self.map.shrink_to_fit();
    }

    fn len(&self) -> Option<usize> {
        Some(self.map.len())
    }
}

/// A table of fixed size, on the heap since it may be large.
pub(super) struct Table<K: Copy, V: Copy> {
    map: Box<FlatTable<Key<K>, V, 8, Spread>>,
}

impl<K: Thing + Copy, V: Thing + Copy> Common for Table<K, V> {
    type Key = K;
    type Value = V;

    const GROUPS: &'static [&'static [Verb]] = &[SINGLE, &[Verb::TryGet, Verb::Update]];

    fn empty(program: &Program) -> Self {
        Self { map: Box::new(FlatTable::with_hasher(Spread(program.spreads()))) }
    }

    by_value!();

    fn iterate_otherwise(&self, mut meet: impl FnMut(&Key<K>, &V)) {
        for (key, value) in &*self.map {
            meet(&key, &value);
        }
    }

    fn len(&self) -> Option<usize> {
        Some(self.map.len())
    }
}
