//! `LeftRightTable`, of fixed size and without an allocator.

use super::common::walk;
use super::{keeps, lasting, meet, see, see_all, see_entry};
use crate::play::Subject;
use crate::program::{Op, Program, Verb};
use crate::things::{Key, Pair, Spread, Thing};
use crate::world;
use hedgerow::LeftRightTable;

type Inner = LeftRightTable<Key<Pair>, Pair, 16, 8, Spread>;

pub(super) struct Table {
    inner: Box<Inner>,
    /// Whether keys may be hidden by others that answer `Hash` otherwise than before.
    hides: bool,
}

impl Table {
    /// Looks at all of it, while other operations are done.
    fn hold(&self, op: Op, rest: &mut dyn FnMut()) {
        let Some(reader) = self.inner.reader() else { return };
        let snapshot = reader.enter();
        let found = snapshot.get(&op.key());
        rest();
        found.into_iter().for_each(see);
        walk("a snapshot", |meet| snapshot.iter().for_each(|(key, value)| meet(key, value)));
    }

    fn write(&self, op: Op, verb: Verb) {
        let Some(mut writer) = self.inner.writer() else { return };
        let (key, value) = (op.key::<Pair>(), op.value::<Pair>());
        match verb {
            Verb::Insert => drop(writer.insert(key, value)),
            Verb::Remove => see_all(writer.remove(&key).ok().flatten()),
            Verb::Update => see_all(
                writer
                    .update(&key, |before| {
                        world::step();
                        see(&before);
                        value
                    })
                    .ok()
                    .flatten(),
            ),
            Verb::Retain => drop(writer.retain(|key, value| keeps(meet(key, value), op))),
            Verb::Get => {
                see_all(writer.get(&key));
                writer.iter().for_each(|(key, value)| see_entry(key, value));
            }
            _ => writer.publish(),
        }
    }
}

impl Subject for Table {
    const VERBS: &'static [&'static [Verb]] = &[&[
        Verb::Insert,
        Verb::Insert,
        Verb::Remove,
        Verb::Update,
        Verb::Retain,
        Verb::Get,
        Verb::Publish,
        Verb::Publish,
        Verb::Iterate,
        Verb::Hold,
    ]];
    const LASTS: bool = true;
    type Local = ();

    fn new(program: &Program) -> Self {
        let table = Box::new(Inner::with_hasher(Spread(program.spreads())));
        if let Some(mut writer) = table.writer() {
            for (key, value) in lasting() {
                assert!(writer.insert(key, value).is_ok(), "there is room for lasting keys");
            }
            writer.publish();
        }
        Self { inner: table, hides: program.manners().hash.changes() }
    }

    fn join(&self, _: &Program) {}

    fn act(&self, (): &(), op: Op, rest: &mut dyn FnMut()) {
        match op.verb(Self::VERBS) {
            Verb::Iterate => self.hold(op, &mut || {}),
            Verb::Hold => self.hold(op, rest),
            verb => self.write(op, verb),
        }
    }

    fn reenter(&self, (): &()) {
        if let Some(reader) = self.inner.reader() {
            see_all(reader.get(&Key::make(world::LASTING + 1)));
        }
    }

    fn lasting(&self, (): &(), id: u32) -> Option<Option<u32>> {
        // Threads and their snapshots may take all places. Without a place nothing can be checked.
        let Some(reader) = self.inner.reader() else { return Some(Some(id)) };
        let found = reader.get(&Key::make(id)).map(|value| value.id());
        found.or(self.hides.then_some(None))
    }
}
