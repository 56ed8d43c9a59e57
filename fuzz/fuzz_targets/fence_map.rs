//! `FenceMap` against std's `BTreeMap`: every operation, keys that lie close, far apart and at both ends, with ranks
//! that tell them apart, that tie or say nothing, in leaves of few entries and of many; and walks that continue
//! while the map changes.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow::FenceMap;
use hedgerow::fence::{ByType, Cursor, Iter, Op, Ranking};
use hedgerow_fuzz::hashing::mix;
use libfuzzer_sys::fuzz_target;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::ops::Bound;

/// More entries than this make a run slow, and no more fences than there are.
const MOST: usize = 6_000;

/// Where keys lie.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Spread {
    Dense,
    Sparse,
    /// Half of them count up from 0, half down from the largest.
    Ends,
    /// Groups of this many neighbours, and one more, far from each other.
    Clumps(u8),
}

impl Spread {
    fn place(self, number: u16) -> u64 {
        let number = u64::from(number);
        match self {
            Self::Dense => number,
            Self::Sparse => mix(number),
            Self::Ends if number.is_multiple_of(2) => number / 2,
            Self::Ends => u64::MAX - number / 2,
            Self::Clumps(most) => {
                let size = u64::from(most) + 1;
                (number / size) << 44 | number % size
            }
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Limit {
    None,
    With(u16),
    Without(u16),
}

impl Limit {
    fn bound<K: Key>(self, spread: Spread) -> Bound<K> {
        match self {
            Self::None => Bound::Unbounded,
            Self::With(number) => Bound::Included(spread.place(number).into()),
            Self::Without(number) => Bound::Excluded(spread.place(number).into()),
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Action {
    Get(u16),
    GetMany(u16, u8),
    Insert(u16),
    InsertIfAbsent(u16),
    Remove(u16),
    Update(u16),
    /// Whether the closure stores an entry, if the key is absent and if it is present.
    Compute(u16, [Option<bool>; 2]),
    /// Whether it expects what is there, and whether it leaves something.
    CompareExchange(u16, bool, bool),
    /// A run of keys at this distance from each other.
    Grow(u16, u8, i8),
    Shrink(u16, u8, i8),
    Near(u16),
    PopFirst(u8),
    PopLast(u8),
    Range(Limit, Limit),
    RemoveRange(Limit, Limit),
    Retain(u8),
    Clear,
    /// Begins a walk with a cursor, from a key or from the beginning.
    Enter(Option<u16>),
    Step(u8),
    /// Begins a walk with an iterator, within bounds.
    Iterate(Limit, Limit),
    Next(u8),
    Clone,
    Compare,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    Exact,
    ExactWide,
    Tied,
    TiedWide,
    Coarse,
    CoarseWide,
}

#[derive(Arbitrary, Debug)]
struct Script {
    kind: Kind,
    spread: Spread,
    /// Whether the target uses the non-blocking twin of an operation, if it has one.
    fallible: bool,
    actions: Vec<Action>,
}

trait Key: Copy + Ord + Debug + From<u64> + Into<u64> {}

impl<K: Copy + Ord + Debug + From<u64> + Into<u64>> Key for K {}

/// A key that no ranking by type knows: all have rank 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tied(u64);

impl From<u64> for Tied {
    fn from(place: u64) -> Self {
        Self(place)
    }
}
impl From<Tied> for u64 {
    fn from(key: Tied) -> Self {
        key.0
    }
}

/// Ranks that many neighbours share.
#[derive(Clone)]
struct Coarse;

impl Ranking<Tied> for Coarse {
    fn rank(&self, key: &Tied) -> u64 {
        key.0 >> 5 << 5
    }
}

trait Value: Copy + PartialEq + Debug + From<u64> {}

impl<V: Copy + PartialEq + Debug + From<u64>> Value for V {}

/// A value so large that leaves have only eight entries, and a few thousand make several fences.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Wide([u64; 100]);

impl From<u64> for Wide {
    fn from(number: u64) -> Self {
        Self(std::array::from_fn(|at| number.wrapping_mul(at as u64 + 1)))
    }
}

fuzz_target!(|script: Script| {
    match script.kind {
        Kind::Exact => play::<u64, u64, _>(&script, ByType),
        Kind::ExactWide => play::<u64, Wide, _>(&script, ByType),
        Kind::Tied => play::<Tied, u64, _>(&script, ByType),
        Kind::TiedWide => play::<Tied, Wide, _>(&script, ByType),
        Kind::Coarse => play::<Tied, u64, _>(&script, Coarse),
        Kind::CoarseWide => play::<Tied, Wide, _>(&script, Coarse),
    }
});

/// A walk that has begun.
struct Walk<K> {
    /// Keys that were present since the walk began, and are ahead of it.
    steady: BTreeSet<K>,
    last: Option<K>,
}

impl<K: Key> Walk<K> {
    fn new<V>(model: &BTreeMap<K, V>, bounds: (Bound<K>, Bound<K>)) -> Self {
        let steady = if is_range(bounds) {
            model.range(bounds).map(|(key, _)| *key).collect()
        } else {
            BTreeSet::new()
        };
        Self { steady, last: None }
    }

    /// Checks the next key that it shows: it is after the last one, and the walk leaves none out between them.
    fn show(&mut self, key: K) {
        assert!(self.last.is_none_or(|last| last < key), "{key:?} after {:?}", self.last);
        self.last = Some(key);
        if let Some(first) = self.steady.first().copied()
            && first <= key
        {
            assert_eq!(first, key, "left out");
            self.steady.remove(&first);
        }
    }

    fn end(&self) {
        assert!(self.steady.is_empty(), "left out at the end: {:?}", self.steady.first());
    }
}

struct Game<'a, K, V, R> {
    map: &'a FenceMap<K, V, R>,
    model: BTreeMap<K, V>,
    spread: Spread,
    fallible: bool,
    serial: u64,
    cursor: Option<(Cursor<K>, Walk<K>)>,
    iter: Option<(Iter<'a, K, V, R>, Walk<K>)>,
}

fn play<K: Key, V: Value, R: Ranking<K> + Clone>(script: &Script, ranking: R) {
    let map: FenceMap<K, V, R> = FenceMap::with_ranking(ranking);
    let mut game = Game {
        map: &map,
        model: BTreeMap::new(),
        spread: script.spread,
        fallible: script.fallible,
        serial: 0,
        cursor: None,
        iter: None,
    };
    for &action in script.actions.iter().take(300) {
        game.act(action);
        game.check();
    }
    game.step(usize::MAX);
    game.next(usize::MAX);
    same(&map, &game.model);
    assert_eq!(map.remove_range(..), game.model.len());
    assert!(map.is_empty() && map.first_key_value().is_none() && map.iter().next().is_none());
}

impl<K: Key, V: Value, R: Ranking<K> + Clone> Game<'_, K, V, R> {
    fn key(&self, number: u16) -> K {
        self.spread.place(number).into()
    }

    fn fresh(&mut self) -> V {
        self.serial += 1;
        self.serial.into()
    }

    fn bounds(&self, from: Limit, to: Limit) -> (Bound<K>, Bound<K>) {
        (from.bound(self.spread), to.bound(self.spread))
    }

    fn act(&mut self, action: Action) {
        let map = self.map;
        match action {
            Action::Get(number) => self.get(self.key(number)),
            Action::GetMany(number, count) => {
                let keys: Vec<K> =
                    (0..count.into()).map(|at| self.key(number.wrapping_add(at))).collect();
                let mut values = vec![None; keys.len()];
                map.get_many(&keys, &mut values);
                assert!(values.into_iter().eq(keys.iter().map(|key| self.model.get(key).copied())));
            }
            Action::Grow(number, count, step) | Action::Shrink(number, count, step)
                if count % 2 == 1 =>
            {
                let shrinks = matches!(action, Action::Shrink(..));
                let keys = self.run(number, count, step);
                self.batch(&keys, shrinks || self.model.len() >= MOST);
            }
            Action::Grow(number, count, step) => {
                for key in self.run(number, count, step) {
                    if self.model.len() < MOST {
                        self.insert(key);
                    }
                }
            }
            Action::Shrink(number, count, step) => {
                self.run(number, count, step).into_iter().for_each(|key| self.remove(key));
            }
            Action::Near(number) => self.near(self.key(number)),
            Action::PopFirst(count) => {
                for _ in 0..count {
                    assert_eq!(map.pop_first(), self.model.pop_first());
                }
            }
            Action::PopLast(count) => {
                for _ in 0..count {
                    assert_eq!(map.pop_last(), self.model.pop_last());
                }
            }
            Action::Range(from, to) => self.range(self.bounds(from, to)),
            Action::RemoveRange(from, to) => self.remove_range(self.bounds(from, to)),
            Action::Retain(rest) => {
                let keep = |key: &K| (*key).into() % 7 != u64::from(rest) % 7;
                let new = self.fresh();
                let mut asked = Vec::new();
                map.retain(|key, value| {
                    assert_eq!(self.model.get(key), Some(&*value));
                    asked.push(*key);
                    *value = new;
                    keep(key)
                });
                assert!(asked.iter().eq(self.model.keys()));
                self.model.retain(|key, value| {
                    *value = new;
                    keep(key)
                });
            }
            Action::Clear => {
                map.clear();
                self.model.clear();
            }
            Action::Clone => same(&map.clone(), &self.model),
            Action::Compare => same(map, &self.model),
            Action::Enter(_) | Action::Step(_) | Action::Iterate(..) | Action::Next(_) => {
                self.walk(action);
            }
            _ => self.alter(action),
        }
    }

    /// The keys of a run, all different unless it goes round.
    fn run(&self, number: u16, count: u8, step: i8) -> Vec<K> {
        let place = |at: u16| number.wrapping_add_signed((i16::from(step)).wrapping_mul(at as i16));
        (0..u16::from(count) * 4).map(|at| self.key(place(at))).collect()
    }

    /// Applies a batch atomically: mostly insertions, or mostly removals.
    fn batch(&mut self, keys: &[K], shrinks: bool) {
        let mut changes = Vec::with_capacity(keys.len());
        for (at, &key) in keys.iter().enumerate() {
            let place: u64 = key.into();
            let op = match mix(place ^ at as u64) % 8 {
                0 => Op::Keep,
                1 | 2 if shrinks => Op::Insert(self.fresh()),
                1 => Op::Remove,
                _ if shrinks => Op::Remove,
                _ => Op::Insert(self.fresh()),
            };
            changes.push((key, op));
        }
        let had = match changes.len() % 3 {
            _ if self.fallible => self.map.try_apply_batch(&changes).expect("nobody is in the way"),
            0 => self.map.apply_each(&changes),
            _ => self.map.apply_batch(&changes),
        };
        for ((key, op), had) in changes.into_iter().zip(had) {
            assert_eq!(had, self.model.get(&key).copied());
            match op {
                Op::Keep => None,
                Op::Insert(value) => self.model.insert(key, value),
                Op::Remove => self.model.remove(&key),
            };
        }
        let now: Vec<_> = keys.iter().map(|key| self.model.get(key).copied()).collect();
        assert_eq!(self.map.snapshot_many(keys), now);
    }

    fn get(&self, key: K) {
        let (map, there) = (self.map, self.model.get(&key).copied());
        let found = if self.fallible { map.try_get(&key).ok().flatten() } else { map.get(&key) };
        assert_eq!(found, there);
        assert_eq!(
            (map.get_with(&key, |value| *value), map.contains_key(&key)),
            (there, there.is_some())
        );
    }

    fn insert(&mut self, key: K) {
        let new = self.fresh();
        let old = if self.fallible {
            self.map.try_insert(key, new).expect("nobody is in the way")
        } else {
            self.map.insert(key, new)
        };
        assert_eq!(old, self.model.insert(key, new));
    }

    fn remove(&mut self, key: K) {
        let old = if self.fallible {
            self.map.try_remove(&key).expect("nobody is in the way")
        } else {
            self.map.remove(&key)
        };
        assert_eq!(old, self.model.remove(&key));
    }

    /// Changes of one entry.
    fn alter(&mut self, action: Action) {
        let (map, new) = (self.map, self.fresh());
        match action {
            Action::Insert(number) => self.insert(self.key(number)),
            Action::Remove(number) => self.remove(self.key(number)),
            Action::InsertIfAbsent(number) => {
                let key = self.key(number);
                let done = if self.fallible {
                    map.try_insert_if_absent(key, new).expect("nobody is in the way")
                } else {
                    map.insert_if_absent(key, new)
                };
                assert_eq!(done.err().map(|error| error.current), self.model.get(&key).copied());
                self.model.entry(key).or_insert(new);
            }
            Action::Update(number) => {
                let key = self.key(number);
                let there = self.model.get(&key).copied();
                let replace = |value| {
                    assert_eq!(Some(value), there);
                    new
                };
                let after = if self.fallible {
                    map.try_update(&key, replace).expect("nobody is in the way")
                } else {
                    map.update(&key, replace)
                };
                assert_eq!(after, there.map(|_| new));
                self.model.entry(key).and_modify(|value| *value = new);
            }
            Action::Compute(number, [none, some]) => {
                let key = self.key(number);
                let before = self.model.get(&key).copied();
                let decide = |old: Option<V>| match if old.is_some() { some } else { none } {
                    None => Op::Keep,
                    Some(true) => Op::Insert(new),
                    Some(false) => Op::Remove,
                };
                match decide(before) {
                    Op::Insert(new) => _ = self.model.insert(key, new),
                    Op::Remove => _ = self.model.remove(&key),
                    _ => {}
                }
                let done = if self.fallible {
                    map.try_compute(key, decide).expect("nobody is in the way")
                } else {
                    map.compute(key, decide)
                };
                assert_eq!((done.before, done.after), (before, self.model.get(&key).copied()));
            }
            Action::CompareExchange(number, right, leaves) => {
                let key = self.key(number);
                let there = self.model.get(&key).copied();
                // A value that nobody has.
                let expected = if right { there } else { Some(new) };
                let after = leaves.then_some(new);
                let done = map.compare_exchange(key, expected, after);
                assert_eq!(done, if right { Ok(there) } else { Err(there) });
                match after {
                    _ if !right => None,
                    Some(new) => self.model.insert(key, new),
                    None => self.model.remove(&key),
                };
            }
            _ => unreachable!("done before"),
        }
    }

    fn near(&self, key: K) {
        let (map, model) = (self.map, &self.model);
        assert_eq!(map.floor(&key), own(model.range(..=key).next_back()));
        assert_eq!(map.predecessor(&key), own(model.range(..key).next_back()));
        assert_eq!(map.ceiling(&key), own(model.range(key..).next()));
        let above = (Bound::Excluded(key), Bound::Unbounded);
        assert_eq!(map.successor(&key), own(model.range(above).next()));
    }

    fn range(&self, bounds: (Bound<K>, Bound<K>)) {
        let want: Vec<(K, V)> = if is_range(bounds) {
            self.model.range(bounds).map(|entry| (*entry.0, *entry.1)).collect()
        } else {
            Vec::new()
        };
        if self.fallible {
            let mut found = Vec::new();
            self.map.try_range_into(bounds, &mut found).expect("nobody is in the way");
            assert_eq!(found, want);
        } else {
            assert_eq!(self.map.range(bounds).as_slice(), want);
        }
        assert!(self.map.range(bounds).rev().eq(want.iter().rev().copied()));
        assert!(self.map.iter_range(bounds).eq(want.iter().copied()));
    }

    fn remove_range(&mut self, bounds: (Bound<K>, Bound<K>)) {
        let gone: Vec<K> = if is_range(bounds) {
            self.model.range(bounds).map(|(key, _)| *key).collect()
        } else {
            Vec::new()
        };
        assert_eq!(self.map.remove_range(bounds), gone.len());
        gone.iter().for_each(|key| _ = self.model.remove(key));
    }

    /// Walks that continue while the map changes.
    fn walk(&mut self, action: Action) {
        match action {
            Action::Enter(from) => {
                let from = from.map(|number| self.key(number));
                let start = from.map_or(Bound::Unbounded, Bound::Included);
                let cursor = from.map_or_else(Cursor::default, Cursor::from);
                self.cursor = Some((cursor, Walk::new(&self.model, (start, Bound::Unbounded))));
            }
            Action::Step(budget) => self.step(budget.into()),
            Action::Iterate(from, to) => {
                let bounds = self.bounds(from, to);
                let iter = self.map.iter_range(bounds);
                self.iter = Some((iter, Walk::new(&self.model, bounds)));
            }
            Action::Next(count) => self.next(count.into()),
            _ => unreachable!("done before"),
        }
    }

    fn step(&mut self, budget: usize) {
        let Some((cursor, mut walk)) = self.cursor.take() else { return };
        let mut shown = 0;
        let next = self.map.scan(cursor, budget, |key, value| {
            assert_eq!(self.model.get(&key), Some(&value));
            walk.show(key);
            shown += 1;
        });
        if let Some(cursor) = next {
            assert!(shown >= budget);
            self.cursor = Some((cursor, walk));
        } else {
            walk.end();
        }
    }

    fn next(&mut self, count: usize) {
        let Some((mut iter, mut walk)) = self.iter.take() else { return };
        for _ in 0..count {
            let Some((key, _)) = iter.next() else { return walk.end() };
            walk.show(key);
        }
        self.iter = Some((iter, walk));
    }

    /// Checks that cost little. A walk need not show removed keys.
    fn check(&mut self) {
        let (map, model) = (self.map, &self.model);
        assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
        assert_eq!(map.first_key_value(), own(model.first_key_value()), "the first entry");
        assert_eq!(map.last_key_value(), own(model.last_key_value()));
        let cursor = self.cursor.as_mut().map(|(_, walk)| walk);
        let iter = self.iter.as_mut().map(|(_, walk)| walk);
        for walk in cursor.into_iter().chain(iter) {
            walk.steady.retain(|key| model.contains_key(key));
        }
    }
}

fn own<K: Copy, V: Copy>(entry: Option<(&K, &V)>) -> Option<(K, V)> {
    entry.map(|(key, value)| (*key, *value))
}

/// Whether std takes these bounds; ours takes all.
fn is_range<K: Ord>(bounds: (Bound<K>, Bound<K>)) -> bool {
    use Bound::{Excluded, Included};
    match bounds {
        (Excluded(a), Excluded(b)) => a < b,
        (Included(a) | Excluded(a), Included(b) | Excluded(b)) => a <= b,
        _ => true,
    }
}

fn same<K: Key, V: Value, R: Ranking<K>>(map: &FenceMap<K, V, R>, model: &BTreeMap<K, V>) {
    let want = || model.iter().map(|(key, value)| (*key, *value));
    assert!(map.iter().eq(want()) && map.range(..).eq(want()));
    assert!(map.keys().eq(model.keys().copied()) && map.values().eq(model.values().copied()));
    for (key, value) in model {
        assert_eq!(map.get(key), Some(*value));
    }
    let stats = map.stats();
    assert_eq!((map.len(), stats.len), (model.len(), model.len()));
    assert!(stats.memory_bytes >= model.len() * (size_of::<K>() + size_of::<V>()));
}
