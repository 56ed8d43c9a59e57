//! Comparisons, rankings and closures of a `FenceMap` that panic as the input says: after each panic the map has the
//! state before or after the operation, and works. Or comparisons and rankings that contradict themselves: then
//! answers may be wrong, but every operation ends, and every entry that comes out was inserted.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow::FenceMap;
use hedgerow::fence::{Cursor, Op, Ranking};
use hedgerow_fuzz::fuse::{step, survives};
use hedgerow_fuzz::hashing::mix;
use libfuzzer_sys::fuzz_target;
use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

thread_local! {
    /// The state of the liar, and how many in 256 of its answers are lies.
    static LIES: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// A random number, if it is time for a lie.
fn lie() -> Option<u64> {
    let (state, share) = LIES.get();
    if share == 0 {
        return None;
    }
    let state = mix(state.wrapping_add(1));
    LIES.set((state, share));
    (state % 256 < share).then_some(state >> 8)
}

/// A key whose comparisons are steps, and sometimes lies.
#[derive(Clone, Copy, Debug)]
struct Key(u16);

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        step();
        lie().map_or_else(
            || self.0.cmp(&other.0),
            |lie| [Ordering::Less, Ordering::Equal, Ordering::Greater][(lie % 3) as usize],
        )
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key {}

/// A ranking whose every answer is a step, and sometimes a lie.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Ranked {
    Nothing,
    Coarsely,
    Exactly,
}

impl Ranking<Key> for Ranked {
    fn rank(&self, key: &Key) -> u64 {
        step();
        let honest = match self {
            Self::Nothing => 0,
            Self::Coarsely => u64::from(key.0 >> 4) << 52,
            Self::Exactly => u64::from(key.0) << 48,
        };
        lie().unwrap_or(honest)
    }
}

/// A value of the key's own, and large, so that a leaf has eight of them.
type Value = [u16; 500];

fn value(key: u16, stamp: u16) -> Value {
    let mut value = [stamp; 500];
    value[0] = key;
    value
}

/// It is one that was stored, whole.
fn whole(value: &Value) {
    assert!(value[2..].iter().all(|&word| word == value[1]), "torn");
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Action {
    Get(u8),
    Insert(u8, u16),
    InsertIfAbsent(u8, u16),
    Remove(u8),
    Update(u8, u16),
    Compute(u8, Option<u16>),
    Near(u8),
    PopFirst,
    PopLast,
    Range(u8, u8),
    RemoveRange(u8, u8),
    /// Keeps those whose key has none of these bits.
    Retain(u8),
    Clear,
    Scan(u8, u8),
    Extend(u8),
}

#[derive(Arbitrary, Debug)]
struct Script {
    ranked: Ranked,
    /// The number of 256 answers that are lies; `None` if all are honest.
    lies: Option<(u8, u64)>,
    /// The step of each operation that panics.
    actions: Vec<(Action, Option<u8>)>,
}

type Map = FenceMap<Key, Value, Ranked>;
type Model = BTreeMap<u16, u16>;

struct Game {
    map: Map,
    /// The expected content, if comparisons and rankings are right.
    model: Option<Model>,
    fresh: u16,
}

fuzz_target!(|script: Script| {
    let lies = script.lies.map(|(share, seed)| (u64::from(share), seed));
    LIES.set(lies.map_or((0, 0), |(share, seed)| (seed, share)));
    let mut game = Game {
        map: FenceMap::with_ranking(script.ranked),
        model: lies.is_none().then(Model::new),
        fresh: 1_000,
    };
    for &(action, fuse) in script.actions.iter().take(200) {
        game.act(action, fuse.map(steps));
        if let Some(model) = &game.model {
            assert_eq!(game.map.len(), model.len());
        }
    }
    LIES.set((0, 0));
    game.compare();
    // No leaf is locked, and every walk ends.
    game.map.clear();
    let left = game.map.iter().count();
    assert!(left == 0 && game.map.is_empty() || game.model.is_none());
});

/// Steps that a fuse of the input stands for: mostly few, some as many as a split takes.
fn steps(fuse: u8) -> u64 {
    match fuse {
        0..200 => u64::from(fuse % 16),
        _ => u64::from(fuse - 200) * 4,
    }
}

impl Game {
    fn act(&mut self, action: Action, fuse: Option<u64>) {
        let key = |number: u8| Key(number.into());
        let map = &self.map;
        match action {
            Action::Get(number) => {
                let found = survives(fuse, || map.get(&key(number)));
                self.agrees(found, |model| model.get(&number.into()).copied());
            }
            Action::Insert(number, new) => {
                let value = value(number.into(), new);
                let done = survives(fuse, || map.insert(key(number), value));
                self.follow(number.into(), done, |_| Some(new));
            }
            Action::InsertIfAbsent(number, new) => {
                let value = value(number.into(), new);
                let done = survives(fuse, || map.insert_if_absent(key(number), value));
                let done = done.map(|done| done.err().map(|error| error.current));
                self.follow(number.into(), done, |old| old.or(Some(new)));
            }
            Action::Remove(number) => {
                let done = survives(fuse, || map.remove(&key(number)));
                self.follow(number.into(), done, |_| None);
            }
            Action::Update(number, new) => {
                let mut before = None;
                let done = survives(fuse, || {
                    map.update(&key(number), |old| {
                        step();
                        before = Some(old);
                        value(number.into(), new)
                    });
                    before
                });
                self.follow(number.into(), done, |old| old.map(|_| new));
            }
            Action::Compute(number, new) => {
                let op = new.map_or(Op::Remove, |new| Op::Insert(value(number.into(), new)));
                let done = survives(fuse, || {
                    let decide = |_| {
                        step();
                        op
                    };
                    map.compute(key(number), decide).before
                });
                self.follow(number.into(), done, |_| new);
            }
            Action::Extend(count) => {
                for _ in 0..count % 32 {
                    let number = self.fresh;
                    self.fresh = self.fresh.wrapping_add(1).max(1_000);
                    let value = value(number, number);
                    let done = survives(fuse, || self.map.insert(Key(number), value));
                    self.follow(number, done, |_| Some(number));
                }
            }
            Action::Near(number) => self.near(number, fuse),
            Action::PopFirst => {
                let done = survives(fuse, || map.pop_first());
                self.pop(done, |model| model.first_key_value().map(|(key, _)| *key));
            }
            Action::PopLast => {
                let done = survives(fuse, || map.pop_last());
                self.pop(done, |model| model.last_key_value().map(|(key, _)| *key));
            }
            Action::Range(from, to) => {
                let found = survives(fuse, || map.range(key(from)..key(to)).collect::<Vec<_>>());
                let Some(found) = found else { return };
                found.iter().for_each(|(_, value)| whole(value));
                if let Some(model) = &self.model {
                    let want = u16::from(from)..u16::from(to.max(from));
                    let found = found.iter().map(|(key, value)| (key.0, value[1]));
                    assert!(found.eq(model.range(want).map(|(key, stamp)| (*key, *stamp))));
                }
            }
            Action::Scan(from, budget) => {
                survives(fuse, || {
                    map.scan(Cursor::from(key(from)), budget.into(), |_, value| {
                        step();
                        whole(&value);
                    })
                });
            }
            _ => self.many(action, fuse),
        }
    }

    /// Operations that remove or change many entries.
    fn many(&mut self, action: Action, fuse: Option<u64>) {
        let Self { map, model, .. } = self;
        let keeps: Box<dyn Fn(u16) -> bool> = match action {
            Action::RemoveRange(from, to) => {
                let (from, to) = (u16::from(from), u16::from(to));
                let done = survives(fuse, || {
                    map.remove_range((Bound::Included(Key(from)), Bound::Included(Key(to))))
                });
                if let (Some(done), Some(model)) = (done, &model) {
                    let gone = model.keys().filter(|&&key| (from..=to).contains(&key));
                    assert_eq!(done, gone.count());
                }
                Box::new(move |key| !(from..=to).contains(&key))
            }
            Action::Retain(bits) => {
                survives(fuse, || {
                    map.retain(|key, value| {
                        step();
                        whole(value);
                        key.0 & u16::from(bits) == 0
                    });
                });
                Box::new(move |key| key & u16::from(bits) == 0)
            }
            Action::Clear => {
                survives(fuse, || map.clear());
                Box::new(|_| false)
            }
            _ => unreachable!("done before"),
        };
        // After a panic some entries may be left that the operation would remove, but all others are present.
        if let Some(model) = model {
            let before = std::mem::take(model);
            for (key, stamp) in before {
                let found = map.get(&Key(key)).map(|value| value[1]);
                assert!(found == Some(stamp) || found.is_none() && !keeps(key), "{key}");
                found.map(|stamp| model.insert(key, stamp));
            }
        }
        self.compare();
    }

    fn near(&self, number: u8, fuse: Option<u64>) {
        let (map, key, number) = (&self.map, Key(number.into()), u16::from(number));
        let found = survives(fuse, || {
            [
                map.floor(&key),
                map.predecessor(&key),
                map.ceiling(&key),
                map.successor(&key),
                map.first_key_value(),
                map.last_key_value(),
            ]
        });
        let Some(found) = found else { return };
        found.iter().flatten().for_each(|(_, value)| whole(value));
        let Some(model) = &self.model else { return };
        let above = (Bound::Excluded(number), Bound::Unbounded);
        let want = [
            model.range(..=number).next_back(),
            model.range(..number).next_back(),
            model.range(number..).next(),
            model.range(above).next(),
            model.first_key_value(),
            model.last_key_value(),
        ];
        assert_eq!(
            found.map(|entry| entry.map(|(key, _)| key.0)),
            want.map(|entry| entry.map(|(key, _)| *key))
        );
    }

    /// Checks the answer against the model, if the operation did not panic.
    fn agrees(&self, found: Option<Option<Value>>, want: impl FnOnce(&Model) -> Option<u16>) {
        let Some(found) = found else { return };
        found.iter().for_each(whole);
        if let Some(model) = &self.model {
            assert_eq!(found.map(|value| value[1]), want(model));
        }
    }

    /// Checks an operation on one key: its old value is right. After a panic the model follows the map, if the map's
    /// state is one that the operation may leave.
    fn follow(
        &mut self,
        number: u16,
        done: Option<Option<Value>>,
        after: impl FnOnce(Option<u16>) -> Option<u16>,
    ) {
        let panicked = done.is_none();
        self.agrees(done, |model| model.get(&number).copied());
        let Some(model) = &mut self.model else { return };
        let before = model.get(&number).copied();
        let after = after(before);
        let found = self.map.get(&Key(number)).map(|value| value[1]);
        assert!(found == after || panicked && found == before, "{number}: {found:?}");
        match found {
            Some(stamp) => model.insert(number, stamp),
            None => model.remove(&number),
        };
        if panicked {
            self.compare();
        }
    }

    fn pop(&mut self, done: Option<Option<(Key, Value)>>, which: fn(&Model) -> Option<u16>) {
        done.iter().flatten().for_each(|(_, value)| whole(value));
        let Some(model) = &mut self.model else { return };
        let first = which(model);
        match done {
            Some(popped) => {
                assert_eq!(popped.map(|(key, _)| key.0), first);
                first.map(|key| model.remove(&key));
            }
            // The change may have come before the panic or after it.
            None => {
                let gone = first.filter(|key| self.map.get(&Key(*key)).is_none());
                gone.map(|key| model.remove(&key));
            }
        }
        self.compare();
    }

    fn compare(&self) {
        self.map.iter().for_each(|(_, value)| whole(&value));
        let Some(model) = &self.model else { return };
        let want = || model.iter().map(|(key, stamp)| (*key, value(*key, *stamp)));
        assert!(self.map.iter().map(|(key, value)| (key.0, value)).eq(want()));
        for (key, value) in want() {
            assert_eq!(self.map.get(&Key(key)), Some(value));
        }
    }
}
