//! `LeftRightMap` against models of the pending and of the published state, under a hasher that the input chooses:
//! with guards and snapshots that stay over publishes, and handles that come and go. A snapshot does not change; the
//! map drops each key and value once, and as soon as no reader can see it. The same with entries stored inline.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow::LeftRightMap;
use hedgerow::left_right::{Boxed, Handles, Inline, Storage};
use hedgerow::left_right::{ReadGuard, ReadHandle, Snapshot, WriteHandle};
use hedgerow_fuzz::hashing::Hashing;
use libfuzzer_sys::fuzz_target;
use std::borrow::Borrow;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::rc::Rc;

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Action {
    Insert(u8),
    TryInsert(u8),
    Update(u8),
    Remove(u8),
    TryRemove(u8),
    /// Inserts a run of new keys.
    Grow(u8),
    Retain(u8),
    Clear,
    Reserve(u8),
    Shrink,
    Publish,
    TryPublish,
    PublishEvery(u8),
    /// Drops the writer's handle. The next action that needs one takes another.
    Leave,
    Clone(u8),
    Drop(u8),
    /// Takes a snapshot.
    Enter(u8),
    /// Takes a guard of a key's value.
    Hold(u8, u8),
    LookAway(u8),
    /// Leaks a snapshot or guard, which ends with its handle.
    Forget(u8),
    GetMany(u8, [u8; 4]),
    Compare,
}

#[derive(Arbitrary, Debug)]
struct Script {
    hashing: Hashing,
    actions: Vec<Action>,
    /// Whether the writer's handle is the last to be dropped.
    writer_last: bool,
}

thread_local!(static ALIVE: Cell<usize> = const { Cell::new(0) });

/// On the heap, so that a sanitizer sees what is looked at too late or freed twice.
#[derive(PartialEq, Eq)]
struct Counted(Box<u64>);

impl From<u64> for Counted {
    fn from(number: u64) -> Self {
        ALIVE.set(ALIVE.get() + 1);
        Self(Box::new(number))
    }
}
impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
    }
}
impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::from(*self.0)
    }
}
impl Hash for Counted {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.hash(hasher);
    }
}
impl Borrow<u64> for Counted {
    fn borrow(&self) -> &u64 {
        &self.0
    }
}

/// A key or value.
trait Number: Clone + Eq + Hash + Borrow<u64> + From<u64> + 'static {
    /// How many there are, if they are counted.
    fn alive() -> Option<usize>;
}

impl Number for Counted {
    fn alive() -> Option<usize> {
        Some(ALIVE.get())
    }
}

impl Number for u64 {
    fn alive() -> Option<usize> {
        None
    }
}

trait Kept<T>: Storage<T, T> + 'static {}

impl<T, P: Storage<T, T> + 'static> Kept<T> for P {}

/// Values by key. No two values are the same.
type Model = HashMap<u64, u64>;

struct Reader<T: Number, P: Kept<T>> {
    handle: ReadHandle<T, T, Hashing, P>,
    /// Its read sections that have not ended.
    depth: Cell<usize>,
    /// The number of publishes when its read section began, which its slot has: the map tells read sections apart by it.
    began: Cell<u64>,
}

impl<T: Number, P: Kept<T>> Reader<T, P> {
    fn new(handle: ReadHandle<T, T, Hashing, P>, publishes: u64) -> Rc<Self> {
        Rc::new(Self { handle, depth: Cell::new(0), began: Cell::new(publishes) })
    }

    /// Returns the handle for a read now, after this many publishes.
    fn look(&self, publishes: u64) -> &ReadHandle<T, T, Hashing, P> {
        if self.depth.get() == 0 {
            self.began.set(publishes);
        }
        &self.handle
    }
}

enum Held<T: Number, P: Kept<T>> {
    Snapshot(Snapshot<'static, T, T, Hashing, P>),
    Guard(u64, ReadGuard<'static, T>),
}

struct Look<T: Number, P: Kept<T>> {
    /// Borrows the reader's handle.
    held: Held<T, P>,
    reader: Rc<Reader<T, P>>,
    /// The published state when the guard was taken.
    since: Rc<Model>,
}

struct Game<T: Number, P: Kept<T>> {
    /// None where the handle was dropped.
    writer: Option<WriteHandle<T, T, Hashing, P>>,
    /// At least one.
    readers: Vec<Rc<Reader<T, P>>>,
    looks: Vec<Look<T, P>>,
    draft: Model,
    published: Rc<Model>,
    /// The state published before that, if it still exists.
    last: Option<Rc<Model>>,
    /// Readers whose read section began before the last publish, with the number of publishes at its begin.
    stuck: BTreeMap<usize, u64>,
    publishes: u64,
    operations: usize,
    publish_every: usize,
    serial: u64,
    /// Long chains are slow; then there are fewer keys.
    most: usize,
}

fuzz_target!(|script: Script| {
    play::<Counted, Boxed>(LeftRightMap::with_hasher(script.hashing), &script);
    assert_eq!(ALIVE.get(), 0, "keys or values outlive the map");
    play::<u64, Inline>(LeftRightMap::inline_with_hasher(script.hashing), &script);
});

fn play<T: Number, P: Kept<T>>(handles: Handles<T, T, Hashing, P>, script: &Script) {
    let (writer, handle) = handles;
    let mut game = Game {
        writer: Some(writer),
        readers: vec![Reader::new(handle, 0)],
        looks: Vec::new(),
        draft: Model::new(),
        published: Rc::default(),
        last: None,
        stuck: BTreeMap::new(),
        publishes: 0,
        operations: 0,
        publish_every: 0,
        serial: 1 << 32,
        most: match script.hashing {
            Hashing::Good => 3_000,
            Hashing::Clustered(_) => 1_500,
            Hashing::Identity | Hashing::Window { .. } => 600,
            Hashing::Constant | Hashing::Few(_) => 400,
        },
    };
    for action in script.actions.iter().take(300) {
        game.act(*action);
        game.check();
    }
    game.compare();
    for look in std::mem::take(&mut game.looks) {
        let_go(look);
    }
    if script.writer_last {
        game.writer();
        game.readers.clear();
    }
}

impl<T: Number, P: Kept<T>> Game<T, P> {
    fn writer(&mut self) -> &mut WriteHandle<T, T, Hashing, P> {
        let handle = &self.readers[0].handle;
        self.writer.get_or_insert_with(|| handle.writer().expect("nobody has it"))
    }

    fn reader(&self, n: u8) -> &Rc<Reader<T, P>> {
        &self.readers[usize::from(n) % self.readers.len()]
    }

    fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn act(&mut self, action: Action) {
        // Few enough to be met again.
        let narrow = |key: u8| u64::from(key % 48);
        match action {
            Action::Insert(key) => self.insert(narrow(key)),
            Action::Grow(count) => {
                for _ in 0..count {
                    if self.draft.len() < self.most {
                        let key = self.next();
                        self.insert(key);
                    }
                }
            }
            Action::Enter(_) | Action::Hold(..) if self.looks.len() >= 12 => {}
            Action::Enter(reader) => self.look(reader, None),
            Action::Hold(reader, key) => self.look(reader, Some(narrow(key))),
            Action::LookAway(look) if !self.looks.is_empty() => {
                let look = self.looks.remove(usize::from(look) % self.looks.len());
                let_go(look);
            }
            Action::Forget(look) if !self.looks.is_empty() => {
                let look = self.looks.remove(usize::from(look) % self.looks.len());
                look.check();
                std::mem::forget(look.held);
            }
            Action::LookAway(_) | Action::Forget(_) => {}
            // More than a block's.
            Action::Clone(reader) if self.readers.len() < 20 => {
                let handle = if reader % 2 == 0 {
                    self.reader(reader / 2).handle.clone()
                } else {
                    self.writer().read_handle()
                };
                self.readers.push(Reader::new(handle, self.publishes));
            }
            Action::Drop(reader) if self.readers.len() > 1 => {
                self.readers.swap_remove(usize::from(reader) % self.readers.len());
            }
            Action::Clone(_) | Action::Drop(_) => {}
            Action::GetMany(reader, keys) => {
                let snapshot = self.reader(reader).look(self.publishes).enter();
                let keys = keys.map(narrow);
                let found = snapshot.get_many(keys.each_ref()).map(|value| value.map(T::borrow));
                assert_eq!(found, keys.map(|key| self.published.get(&key)));
            }
            Action::Compare => self.compare(),
            Action::Leave => self.writer = None,
            action => self.write(action, narrow),
        }
    }

    /// Actions that only a writer can do.
    fn write(&mut self, action: Action, narrow: impl Fn(u8) -> u64) {
        match action {
            Action::TryInsert(key) => {
                let (key, value) = (narrow(key), self.next());
                let replaced = self.writer().try_insert(key.into(), value.into());
                let there = self.draft.insert(key, value).is_some();
                assert_eq!(replaced.ok(), Some(there), "there is memory");
                self.count();
            }
            Action::Update(key) => {
                let (key, value) = (narrow(key), self.next());
                let old = self.draft.get(&key).copied();
                let updated = self.writer().update(&key, |there| {
                    assert_eq!(Some(*there.borrow()), old);
                    value.into()
                });
                assert_eq!(updated, old.is_some());
                self.draft.entry(key).and_modify(|there| *there = value);
                self.count();
            }
            Action::Remove(key) => {
                let removed = self.writer().remove(&narrow(key));
                assert_eq!(removed, self.draft.remove(&narrow(key)).is_some());
                self.count();
            }
            Action::TryRemove(key) => {
                let removed = self.writer().try_remove(&narrow(key));
                assert_eq!(removed, Ok(self.draft.remove(&narrow(key)).is_some()));
                self.count();
            }
            Action::Retain(rest) => {
                self.unstick();
                let wanted = |key: u64| key % 7 != u64::from(rest) % 7;
                self.writer().retain(|key, _| wanted(*key.borrow()));
                self.draft.retain(|key, _| wanted(*key));
                self.count();
            }
            Action::Clear => {
                self.unstick();
                self.writer().clear();
                self.draft.clear();
                self.count();
            }
            Action::Reserve(more) => {
                let more = usize::from(more);
                self.writer().reserve(more);
                let least = if !self.is_stuck() { self.draft.len() + more } else { 0 };
                assert!(self.writer().capacity() >= least);
                self.drop_retired();
            }
            Action::Shrink => {
                self.unstick();
                self.writer().shrink_to_fit();
                self.drop_retired();
            }
            Action::Publish => {
                // It would wait for this thread's own read sections.
                self.let_all_go();
                let turns = self.writer().has_changes();
                self.writer().publish();
                self.publish(turns);
            }
            Action::TryPublish => {
                let (stuck, turns) = (self.is_stuck(), self.writer().has_changes());
                match self.writer().try_publish() {
                    Ok(()) => {
                        assert!(!stuck || !turns, "published over somebody's head");
                        if !stuck {
                            self.publish(turns);
                        }
                    }
                    Err(why) => {
                        assert!(stuck && turns, "nobody was in the way");
                        assert_eq!(why.readers, self.stuck.len());
                    }
                }
            }
            Action::PublishEvery(operations) => {
                self.publish_every = operations.into();
                self.writer().publish_every(operations.into());
            }
            _ => unreachable!("done before"),
        }
    }

    fn insert(&mut self, key: u64) {
        let value = self.next();
        let replaced = self.writer().insert(key.into(), value.into());
        assert_eq!(replaced, self.draft.insert(key, value).is_some());
        self.count();
    }

    /// Notes a change, which may have published all.
    fn count(&mut self) {
        self.drop_retired();
        self.operations += 1;
        let due = self.publish_every != 0 && self.operations >= self.publish_every;
        if due && !self.is_stuck() {
            let turns = self.writer().generation() != self.publishes;
            self.publish(turns);
        }
    }

    /// Notes a publish; `turns` if changes were pending.
    fn publish(&mut self, turns: bool) {
        self.operations = 0;
        if turns {
            // Entries that the publish before replaced are dropped now, and those of this publish by the next change.
            self.drop_retired();
            self.publishes += 1;
            let published = Rc::new(self.draft.clone());
            self.last = Some(std::mem::replace(&mut self.published, published));
            self.stuck = self.looking().collect();
        }
        assert!(!self.writer().has_changes());
        assert_eq!(self.draft, *self.published);
    }

    /// Readers in a read section, with the number of publishes at its begin.
    fn looking(&self) -> impl Iterator<Item = (usize, u64)> {
        let all = self.readers.iter().chain(self.looks.iter().map(|look| &look.reader));
        let looking = all.filter(|reader| reader.depth.get() > 0);
        looking.map(|reader| (reader.handle.reader_id(), reader.began.get()))
    }

    /// Returns whether a reader is stuck. A reader that begins a new read section sees the publish, and so is not.
    fn is_stuck(&mut self) -> bool {
        let looking: BTreeMap<_, _> = self.looking().collect();
        self.stuck.retain(|reader, began| looking.get(reader) == Some(began));
        !self.stuck.is_empty()
    }

    /// Lets the writer drop retired entries that no reader can see.
    fn drop_retired(&mut self) {
        if !self.is_stuck() {
            self.last = None;
        }
    }

    fn look(&mut self, reader: u8, key: Option<u64>) {
        let reader = Rc::clone(self.reader(reader));
        // SAFETY: the look owns the reader, which does not move, and is dropped before it.
        let handle = unsafe { &*(&raw const *reader.look(self.publishes)) };
        let held = if let Some(key) = key {
            let guard = handle.get(&key);
            let found = guard.as_deref().map(T::borrow);
            assert_eq!(found, self.published.get(&key), "a guard has another value");
            let Some(guard) = guard else { return };
            Held::Guard(key, guard)
        } else {
            Held::Snapshot(handle.enter())
        };
        reader.depth.update(|depth| depth + 1);
        self.looks.push(Look { held, reader, since: Rc::clone(&self.published) });
    }

    fn unstick(&mut self) {
        if self.is_stuck() {
            self.let_all_go();
        }
    }

    fn let_all_go(&mut self) {
        for look in std::mem::take(&mut self.looks) {
            let_go(look);
        }
        if self.readers.iter().all(|reader| reader.depth.get() > 0) {
            let handle = self.readers[0].handle.clone();
            self.readers.push(Reader::new(handle, self.publishes));
        }
        self.readers.retain(|reader| reader.depth.get() == 0);
    }

    /// Checks that cost little.
    fn check(&mut self) {
        let keys = [self.serial % 48, self.serial, self.serial - 1];
        let published = &self.published;
        let handle = self.reader(self.serial as u8).look(self.publishes);
        let shown = (handle.len(), handle.generation());
        assert_eq!(
            shown,
            (published.len(), self.publishes),
            "how many a reader sees, of which publish"
        );
        for key in keys {
            let value = published.get(&key).copied();
            let found = handle.get(&key).map(|value| *(*value).borrow());
            assert_eq!(found, value, "a reader finds another value than was published");
            assert_eq!(handle.contains_key(&key), value.is_some());
        }
        if let Some(writer) = &self.writer {
            assert!(handle.writer().is_none(), "two writers");
            assert_eq!((writer.len(), writer.generation()), (self.draft.len(), self.publishes));
            assert!(writer.has_changes() || self.draft == **published);
            let found =
                keys.iter().all(|key| writer.get(key).map(T::borrow) == self.draft.get(key));
            assert!(found, "the writer does not find what it stored");
            let stuck: Vec<_> = writer.stalled_readers().collect();
            self.is_stuck();
            assert_eq!(stuck.len(), self.stuck.len(), "how many readers are in the way");
            assert!(stuck.iter().all(|reader| self.stuck.contains_key(reader)));
        }
        if self.draft.len() < 100 {
            self.census();
        }
    }

    /// Checks that the map has dropped all entries that no reader can see, and no others.
    fn census(&self) {
        let Some(alive) = T::alive() else { return };
        let models = [Some(&self.draft), Some(&*self.published), self.last.as_deref()];
        let values: HashSet<u64> =
            models.into_iter().flatten().flat_map(HashMap::values).copied().collect();
        assert_eq!(alive, 2 * values.len());
    }

    fn compare(&mut self) {
        self.looks.iter().for_each(Look::check);
        compare(&self.readers[0].look(self.publishes).enter(), &self.published);
        let draft = self.draft.clone();
        let writer = self.writer();
        let all: Model =
            writer.iter().map(|(key, value)| (*key.borrow(), *value.borrow())).collect();
        assert_eq!(all, draft, "the writer has other entries than it stored");
        assert_eq!(writer.iter().count(), draft.len(), "a key came twice");
        assert!(draft.iter().all(|(key, value)| writer.get(key).map(T::borrow) == Some(value)));
        self.census();
    }
}

impl<T: Number, P: Kept<T>> Look<T, P> {
    /// Asserts that the snapshot has not changed.
    fn check(&self) {
        match &self.held {
            Held::Snapshot(snapshot) => compare(snapshot, &self.since),
            Held::Guard(key, value) => assert_eq!(*(**value).borrow(), self.since[key]),
        }
    }
}

fn let_go<T: Number, P: Kept<T>>(look: Look<T, P>) {
    look.check();
    let Look { held, reader, .. } = look;
    drop(held);
    reader.depth.update(|depth| depth - 1);
}

fn compare<T: Number, P: Kept<T>>(snapshot: &Snapshot<'_, T, T, Hashing, P>, model: &Model) {
    let mut entries = snapshot.iter();
    for left in (0..model.len()).rev() {
        let (key, value) = entries.next().expect("as many as there are");
        let shown = (Some(value.borrow()), entries.len());
        let wanted = (model.get(key.borrow()), left);
        assert_eq!(shown, wanted, "a snapshot shows other entries than were published");
    }
    assert!(entries.next().is_none(), "a snapshot shows more entries than were published");
    let len = (snapshot.len(), snapshot.is_empty());
    assert_eq!(len, (model.len(), model.is_empty()), "a snapshot has a wrong number of entries");
    for (key, value) in model {
        let found = snapshot.get_key_value(key).map(|(key, value)| (key.borrow(), value.borrow()));
        assert_eq!(found, Some((key, value)), "a snapshot finds another entry");
    }
}
