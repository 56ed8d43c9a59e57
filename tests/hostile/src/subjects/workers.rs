//! `FenceWorkers`: requests done by threads of the library.

use super::common::walk;
use super::{lasting, see, see_all};
use crate::play::Subject;
use crate::program::{Op, Program, Verb};
use crate::things::{Key, Pair, Ranked, Thing};
use crate::world::{self, LASTING};
use hedgerow::FenceMap;
use hedgerow::fence;
use hedgerow::std_ext::{FenceWorkers, FenceWorkersBuilder, Ticket};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct Workers {
    workers: FenceWorkers<Key<Pair>, Pair, Ranked>,
}

type Pending = Ticket<fence::Computed<Pair>>;

impl Workers {
    fn map(&self) -> &FenceMap<Key<Pair>, Pair, Ranked> {
        self.workers.map()
    }
}

impl Subject for Workers {
    const VERBS: &'static [&'static [Verb]] = &[&[
        Verb::Submit,
        Verb::Submit,
        Verb::Submit,
        Verb::Batch,
        Verb::Finish,
        Verb::Leak,
        Verb::Get,
        Verb::Insert,
        Verb::Remove,
        Verb::Range,
        Verb::Rebalance,
    ]];
    const LASTS: bool = true;
    type Local = RefCell<Vec<Pending>>;

    fn new(program: &Program) -> Self {
        let map = FenceMap::with_ranking(Ranked);
        lasting().for_each(|(key, value)| see_all(map.insert(key, value)));
        // Enough keys for several fences.
        for id in LASTING..LASTING + 4 * u32::from(program.choice()) {
            see_all(map.insert(Key::make(id), Pair::make(id)));
        }
        let choice = program.choice();
        let pace =
            [Duration::ZERO, Duration::from_micros(50), Duration::MAX][usize::from(choice) % 3];
        // Each fence is a worker's from its first conflict on.
        let builder = FenceWorkersBuilder::default().workers(1 + usize::from(choice) % 2);
        let builder = builder.pace(pace).threshold(0).queue(usize::from(choice) % 5);
        let workers = builder.spawn(Arc::new(map)).expect("threads start");
        Self { workers }
    }

    fn join(&self, _: &Program) -> Self::Local {
        RefCell::default()
    }

    fn act(&self, pending: &Self::Local, op: Op, _: &mut dyn FnMut()) {
        let (key, value) = (op.key::<Pair>(), op.value::<Pair>());
        let decide = move |before: Option<Pair>| {
            world::arm(op.fuse(), None);
            world::step();
            world::arm(None, None);
            see_all(before);
            match op.arg % 4 {
                0 => fence::Op::Keep,
                1 => fence::Op::Remove,
                _ => fence::Op::Insert(value),
            }
        };
        match op.verb(Self::VERBS) {
            Verb::Submit if op.arg >= 128 => {
                if let Ok(ticket) = self.workers.try_submit(key, decide) {
                    pending.borrow_mut().push(ticket);
                }
            }
            Verb::Submit => {
                if let Ok(ticket) = self.workers.submit(key, decide) {
                    pending.borrow_mut().push(ticket);
                }
            }
            Verb::Batch => {
                let changes = op.ids().map(|id| (Key::make(id), fence::Op::Insert(value)));
                if let Ok(ticket) = self.workers.submit_all(changes.collect()) {
                    drop(ticket.wait());
                }
            }
            Verb::Finish => {
                for ticket in pending.take() {
                    see_all(ticket.wait().ok().and_then(|done| done.after));
                }
            }
            Verb::Leak => drop(pending.borrow_mut().pop()),
            Verb::Get => see_all(self.map().get(&key)),
            Verb::Insert => see_all(self.map().insert(key, value)),
            Verb::Remove => see_all(self.map().remove(&key)),
            Verb::Range => walk("range", |meet| {
                self.map().range(..).for_each(|(key, value)| meet(&key, &value));
            }),
            _ => {
                self.map().rebalance_step(usize::from(op.arg));
            }
        }
    }

    fn reenter(&self, _: &Self::Local) {
        self.map().get(&Key::make(LASTING + 1)).iter().for_each(see);
    }

    fn lasting(&self, _: &Self::Local, id: u32) -> Option<Option<u32>> {
        self.map().get(&Key::make(id)).map(|value| value.id())
    }

    fn end(&mut self) {
        walk("iter", |meet| self.map().iter().for_each(|(key, value)| meet(&key, &value)));
    }
}
