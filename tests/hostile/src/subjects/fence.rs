//! `FenceMap`.

use super::{keeps, lasting, lasts, meet, see, see_all, see_entry};
use crate::play::{Subject, Walk};
use crate::program::{Op, Program, Verb};
use crate::things::{Key, Ranked, Thing};
use crate::world::{self, LASTING};
use hedgerow::FenceMap;
use hedgerow::fence::{self, Cursor};

pub(super) struct Map<K: Copy, V: Copy> {
    map: FenceMap<Key<K>, V, Ranked>,
}

impl<K: Thing + Copy, V: Thing + Copy> Map<K, V> {
    pub(super) fn walk(what: &str, entries: impl Iterator<Item = (Key<K>, V)>) {
        let mut walk = Walk::default();
        entries.for_each(|(key, value)| walk.meet(meet(&key, &value)));
        if lasts::<K>() {
            walk.end(what);
        }
    }

    fn scan(&self, op: Op) {
        let mut walk = Walk::default();
        let mut cursor = Some(Cursor::default());
        // In an order that changes, what comes after a key has no end.
        for _ in 0..1000 {
            let Some(at) = cursor else { break };
            let budget = usize::from(op.arg);
            cursor = self.map.scan(at, budget, |key, value| walk.meet(meet(&key, &value)));
        }
        if lasts::<K>() {
            walk.end("scan");
        }
    }

    /// Takes the first or the last entry, where none of them lasts.
    fn pop(&self, op: Op) {
        if !lasts::<K>() {
            let first = op.arg.is_multiple_of(2);
            let popped = if first { self.map.pop_first() } else { self.map.pop_last() };
            if let Some((key, value)) = popped {
                see_entry(&key, &value);
            }
        }
    }

    fn batch(&self, op: Op) {
        let change = |n: usize, value| match n % 3 {
            0 => fence::Op::Remove,
            1 => fence::Op::Keep,
            _ => fence::Op::Insert(value),
        };
        let ids: Vec<u32> = op.ids().collect();
        let changes: Vec<_> = ids
            .iter()
            .enumerate()
            .map(|(n, &id)| (Key::make(id), change(n + usize::from(op.value), op.value())))
            .collect();
        let before = match op.arg % 4 {
            0 => world::scarce(op.scarcity(), || self.map.try_apply_batch(&changes).ok()),
            1 => Some(self.map.apply_each(&changes)),
            2 => {
                let keys: Vec<_> = changes.iter().map(|&(key, _)| key).collect();
                Some(self.map.snapshot_many(&keys))
            }
            _ => Some(self.map.apply_batch(&changes)),
        };
        see_all(before.into_iter().flatten().flatten());
    }

    fn near(&self, op: Op) {
        let key = op.key();
        let found = match op.arg % 6 {
            0 => self.map.first(),
            1 => self.map.last(),
            2 => self.map.floor(&key),
            3 => self.map.ceiling(&key),
            4 => self.map.lower(&key),
            _ => self.map.upper(&key),
        };
        if let Some((key, value)) = found {
            see_entry(&key, &value);
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
        Verb::Remove,
        Verb::Update,
        Verb::Compute,
        Verb::TryCompute,
        Verb::Retain,
        Verb::Iterate,
        Verb::Scan,
        Verb::Range,
        Verb::Near,
        Verb::Batch,
        Verb::Rebalance,
        Verb::Grow,
        Verb::Pop,
    ];
    const LASTS: bool = lasts::<K>();
    type Local = ();

    fn new(_: &Program) -> Self {
        let map = FenceMap::with_ranking(Ranked);
        lasting().for_each(|(key, value)| see_all(map.insert(key, value)));
        Self { map }
    }

    fn join(&self, _: &Program) {}

    fn act(&self, (): &(), op: Op, _: &mut dyn FnMut()) {
        let (map, key, value) = (&self.map, op.key::<K>(), op.value::<V>());
        let decide = |before: Option<V>| {
            world::step();
            see_all(before);
            match op.arg % 4 {
                0 => fence::Op::Keep,
                1 => fence::Op::Remove,
                _ => fence::Op::Insert(value),
            }
        };
        match op.verb(Self::VERBS) {
            Verb::Insert => see_all(map.insert(key, value)),
            Verb::InsertIfAbsent => see_all(map.insert_if_absent(key, value)),
            Verb::TryInsert => {
                see_all(world::scarce(op.scarcity(), || map.try_insert(key, value)).ok().flatten());
            }
            Verb::Get => see_all(map.get(&key)),
            Verb::TryGet => see_all(map.try_get(&key).ok().flatten()),
            Verb::GetMany => {
                let keys: Vec<Key<K>> = op.ids().map(Key::make).collect();
                let mut values = vec![None; keys.len()];
                map.get_many(&keys, &mut values);
                see_all(values.into_iter().flatten());
            }
            Verb::Remove => see_all(map.remove(&key)),
            Verb::Update => see_all(map.update(&key, |before| {
                world::step();
                see(&before);
                value
            })),
            Verb::Compute => see_all(map.compute(key, decide).after),
            Verb::TryCompute => {
                let done = world::scarce(op.scarcity(), || map.try_compute(key, decide));
                see_all(done.ok().and_then(|done| done.after));
            }
            Verb::Retain => map.retain(|key, value| keeps(meet(key, value), op)),
            Verb::Iterate => Self::walk("iter", map.iter()),
            Verb::Scan => self.scan(op),
            Verb::Range => {
                let from = Key::make(op.id());
                map.range(from..).for_each(|(key, value)| see_entry(&key, &value));
                Self::walk("range", map.range(..));
            }
            Verb::Near => self.near(op),
            Verb::Batch => self.batch(op),
            Verb::Rebalance => {
                map.rebalance_step(usize::from(op.arg));
            }
            // Enough entries for leaves to be split.
            Verb::Grow => {
                for id in 0..u32::from(op.arg) {
                    see_all(map.insert(Key::make(LASTING + op.id() + id), value));
                }
            }
            _ => self.pop(op),
        }
    }

    fn reenter(&self, (): &()) {
        let key = Key::make(LASTING + 1);
        see_all(self.map.insert(key, V::make(1)));
        see_all(self.map.remove(&key));
    }

    fn lasting(&self, (): &(), id: u32) -> Option<Option<u32>> {
        self.map.get(&Key::make(id)).map(|value| value.id())
    }

    fn end(&mut self) {
        Self::walk("iter", self.map.iter());
        Self::walk("range", self.map.range(..));
    }
}
