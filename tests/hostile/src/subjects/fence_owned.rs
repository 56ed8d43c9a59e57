//! `FenceEntryMap`.

use super::{keeps, lasting, lasts, meet, see, see_entry};
use crate::play::{Subject, Walk};
use crate::program::{Op, Program, Verb};
use crate::things::{Key, Ranked, Thing};
use crate::world::{self, LASTING};
use hedgerow::FenceEntryMap;
use hedgerow::owned::{self, Handle, pin};

pub(super) struct Map<K: Thing, V> {
    map: FenceEntryMap<Key<K>, V, Ranked>,
}

impl<K: Thing, V: Thing> Map<K, V> {
    fn walk<'a>(what: &str, entries: impl Iterator<Item = (&'a Key<K>, &'a V)>) {
        let mut walk = Walk::default();
        entries.for_each(|(key, value)| walk.meet(meet(key, value)));
        if lasts::<K>() {
            walk.end(what);
        }
    }

    /// Holds a guard and what it found while other operations are done, and looks at it again afterwards.
    fn hold(&self, op: Op, rest: &mut dyn FnMut()) {
        let handle = (op.arg >= 128).then(Handle::new);
        let guard = handle.as_ref().map_or_else(|| pin(), |handle| handle.pin());
        let found = self.map.get_key_value(&op.key(), &guard);
        let range = self.map.range(.., &guard);
        rest();
        if let Some((key, value)) = found {
            see_entry(key, value);
        }
        Self::walk("a held range", range);
    }

    fn batch(&self, op: Op) {
        let change = |n: usize| match n % 3 {
            0 => owned::Op::Remove,
            1 => owned::Op::Keep,
            _ => owned::Op::Insert(op.value()),
        };
        let ids: Vec<u32> = op.ids().collect();
        if op.arg.is_multiple_of(4) {
            let keys: Vec<Key<K>> = ids.iter().map(|&id| Key::make(id)).collect();
            let keys: Vec<&Key<K>> = keys.iter().collect();
            self.map.snapshot_many(&keys, &pin()).into_iter().flatten().for_each(see);
            return;
        }
        let changes = ids.iter().enumerate().map(|(n, &id)| (Key::make(id), change(n)));
        let before = self.map.apply_batch(changes);
        before.iter().flatten().for_each(|old| see_entry(old.key(), old.value()));
    }

    fn near(&self, op: Op) {
        let (key, guard) = (op.key(), pin());
        let found = match op.arg % 6 {
            0 => self.map.first(&guard),
            1 => self.map.last(&guard),
            2 => self.map.floor(&key, &guard),
            3 => self.map.ceiling(&key, &guard),
            4 => self.map.lower(&key, &guard),
            _ => self.map.upper(&key, &guard),
        };
        if let Some((key, value)) = found {
            see_entry(key, value);
        }
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
        Verb::Compute,
        Verb::Retain,
        Verb::Iterate,
        Verb::Range,
        Verb::Near,
        Verb::Pop,
        Verb::Batch,
        Verb::Rebalance,
        Verb::Grow,
        Verb::Hold,
        Verb::Hold,
        Verb::Leak,
        Verb::Reclaim,
    ];
    const LASTS: bool = lasts::<K>();
    type Local = bool;

    fn new(program: &Program) -> Self {
        let map = FenceEntryMap::with_ranking(Ranked);
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
        match op.verb(Self::VERBS) {
            Verb::Insert => map.insert(key, value()).iter().for_each(|old| see(&**old)),
            Verb::InsertIfAbsent => {
                if let Err((key, value)) = map.insert_if_absent(key, value()) {
                    see_entry(&key, &value);
                }
            }
            Verb::TryInsert => {
                let value = value();
                if let Err(error) = world::scarce(op.scarcity(), || map.try_insert(key, value)) {
                    let (key, value) = error.into_parts();
                    see_entry(&key, &value);
                }
            }
            Verb::Get => drop(map.get_with(&key, |value| {
                world::step();
                see(value);
            })),
            Verb::GetMany => {
                let keys: Vec<Key<K>> = op.ids().map(Key::make).collect();
                let keys: Vec<&Key<K>> = keys.iter().collect();
                let (guard, mut values) = (pin(), vec![None; keys.len()]);
                map.get_many(&keys, &mut values, &guard);
                values.into_iter().flatten().for_each(see);
            }
            Verb::Remove => drop(map.remove(&key)),
            Verb::Take => {
                if let Some(Ok((key, value))) = map.remove(&key).map(owned::Removed::try_into_owned)
                {
                    see_entry(&key, &value);
                }
            }
            Verb::Compute => drop(map.compute(key, |before| {
                world::step();
                before.into_iter().for_each(see);
                match op.arg % 4 {
                    0 => owned::Op::Keep,
                    1 => owned::Op::Remove,
                    _ => owned::Op::Insert(value()),
                }
            })),
            Verb::Retain => map.retain(|key, value| keeps(meet(key, value), op)),
            Verb::Iterate => Self::walk("iter", map.iter(&pin())),
            Verb::Range => {
                let (from, guard) = (Key::make(op.id()), pin());
                map.range(&from.., &guard).for_each(|(key, value)| see_entry(key, value));
                Self::walk("range", map.range(.., &guard));
            }
            Verb::Near => self.near(op),
            Verb::Pop if !lasts::<K>() => drop(map.pop_first()),
            Verb::Batch => self.batch(op),
            Verb::Rebalance => {
                map.rebalance_step(usize::from(op.arg));
            }
            // Enough entries for leaves to be split.
            Verb::Grow => {
                for id in 0..u32::from(op.arg) {
                    drop(map.insert(Key::make(LASTING + op.id() + id), value()));
                }
            }
            Verb::Hold => self.hold(op, rest),
            Verb::Leak if *leaks => world::leak(pin()),
            _ => map.collect(),
        }
    }

    fn reenter(&self, _: &bool) {
        drop(self.map.insert(Key::make(LASTING + 1), V::make(1)));
        drop(self.map.remove(&Key::make(LASTING + 1)));
    }

    fn lasting(&self, _: &bool, id: u32) -> Option<Option<u32>> {
        self.map.get_with(&Key::make(id), Thing::id)
    }

    fn end(&mut self) {
        Self::walk("iter", self.map.iter(&pin()));
        self.map.collect();
    }
}
