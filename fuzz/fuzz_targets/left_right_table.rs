//! `LeftRightTable` against models of the pending and of the published state, under a hasher that the input chooses:
//! filled up, with readers until all places are taken, snapshots that stay over publishes or are forgotten, and writers
//! that come and go. A snapshot does not change; the table refuses changes exactly while a reader is still in the state
//! before the last publish.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow::LeftRightTable;
use hedgerow::error::{Busy, TryInsertError};
use hedgerow::left_right::{TableReader, TableSnapshot, TableWriter};
use hedgerow_fuzz::hashing::Hashing;
use libfuzzer_sys::fuzz_target;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Action {
    Insert(u8),
    Update(u8),
    Remove(u8),
    /// Inserts a run of new keys until the table refuses one.
    Fill(u8),
    /// Removes this many of them again, the oldest first.
    Prune(u8),
    Retain(u8),
    Clear,
    Publish,
    /// Waits for readers, once no reader is in the way.
    Wait,
    /// Checks whether the table refuses changes, and which reader is the cause.
    Check,
    /// Drops the writer. The next action that needs one takes another.
    Leave,
    Claim,
    Drop(u8),
    /// Takes a snapshot.
    Enter(u8),
    Get(u8, u8),
    LookAway(u8),
    /// Leaks a snapshot, which ends with its reader.
    Forget(u8),
    Compare,
}

#[derive(Arbitrary, Debug)]
struct Script {
    hashing: Hashing,
    size: u8,
    actions: Vec<Action>,
}

/// Wide, so that parts of two values show.
type Value = [u64; 2];
/// No two values are the same.
type Model = HashMap<u64, Value>;
type Table<const BINS: usize, const READERS: usize> =
    LeftRightTable<u64, Value, BINS, READERS, Hashing>;

/// Keys beyond those that actions name are for filling.
const OWN: u64 = 256;

struct Reader<'a, const BINS: usize, const READERS: usize> {
    handle: TableReader<'a, u64, Value, BINS, READERS, Hashing>,
    /// Its snapshots that have not ended.
    depth: Cell<usize>,
    /// The number of publishes when its read section began, which its slot has: the table tells read sections apart by it.
    began: Cell<u64>,
}

impl<'a, const BINS: usize, const READERS: usize> Reader<'a, BINS, READERS> {
    /// Returns the handle for a read now, after this many publishes.
    fn look(&self, publishes: u64) -> &TableReader<'a, u64, Value, BINS, READERS, Hashing> {
        if self.depth.get() == 0 {
            self.began.set(publishes);
        }
        &self.handle
    }
}

struct Look<'a, const BINS: usize, const READERS: usize> {
    /// Borrows the reader's handle.
    snapshot: TableSnapshot<'a, u64, Value, BINS, Hashing>,
    reader: Rc<Reader<'a, BINS, READERS>>,
    /// The published state when the snapshot was taken.
    since: Rc<Model>,
    publishes: u64,
}

impl<const BINS: usize, const READERS: usize> Look<'_, BINS, READERS> {
    /// Asserts that the snapshot has not changed.
    fn check(&self) {
        let (snapshot, since) = (&self.snapshot, &*self.since);
        assert_eq!((snapshot.len(), snapshot.is_empty()), (since.len(), since.is_empty()));
        assert_eq!(snapshot.generation(), self.publishes);
        assert_eq!(snapshot.iter().count(), since.len(), "a key came twice, or not at all");
        assert!(snapshot.iter().all(|(key, value)| since.get(key) == Some(value)));
        assert!(since.iter().all(|(key, value)| snapshot.get(key) == Some(value)));
    }

    fn end(self) {
        self.check();
        drop(self.snapshot);
        self.reader.depth.update(|depth| depth - 1);
    }

    fn forget(self) {
        self.check();
        std::mem::forget(self.snapshot);
    }
}

struct Game<'a, const BINS: usize, const READERS: usize> {
    table: &'a Table<BINS, READERS>,
    /// None where it was dropped.
    writer: Option<TableWriter<'a, u64, Value, BINS, READERS, Hashing>>,
    readers: Vec<Rc<Reader<'a, BINS, READERS>>>,
    looks: Vec<Look<'a, BINS, READERS>>,
    draft: Model,
    published: Rc<Model>,
    /// Whether a change is pending, even one that restores an old value.
    changed: bool,
    /// Readers that may still read the state before the last publish, with the number of publishes at their begin.
    stuck: BTreeMap<usize, u64>,
    publishes: u64,
    serial: u64,
    oldest: u64,
    newest: u64,
}

impl<'a, const BINS: usize, const READERS: usize> Game<'a, BINS, READERS> {
    fn new(table: &'a Table<BINS, READERS>) -> Self {
        Self {
            table,
            writer: None,
            readers: Vec::new(),
            looks: Vec::new(),
            draft: Model::new(),
            published: Rc::default(),
            changed: false,
            stuck: BTreeMap::new(),
            publishes: 0,
            serial: 0,
            oldest: OWN,
            newest: OWN,
        }
    }

    fn writer(&mut self) -> &mut TableWriter<'a, u64, Value, BINS, READERS, Hashing> {
        self.writer.get_or_insert_with(|| self.table.writer().expect("nobody has it"))
    }

    fn next(&mut self) -> Value {
        self.serial += 1;
        [self.serial, !self.serial]
    }

    fn reader(&self, n: u8) -> Option<Rc<Reader<'a, BINS, READERS>>> {
        let at = usize::from(n).checked_rem(self.readers.len())?;
        Some(Rc::clone(&self.readers[at]))
    }

    /// Taken places: those of readers, and of dropped readers with snapshots.
    fn taken(&self) -> BTreeMap<usize, &Reader<'a, BINS, READERS>> {
        let all = self.readers.iter().chain(self.looks.iter().map(|look| &look.reader));
        all.map(|reader| (reader.handle.reader_id(), &**reader)).collect()
    }

    /// Readers in a read section, with the number of publishes at its begin.
    fn looking(&self) -> BTreeMap<usize, u64> {
        let mut taken = self.taken();
        taken.retain(|_, reader| reader.depth.get() > 0);
        taken.into_iter().map(|(number, reader)| (number, reader.began.get())).collect()
    }

    /// Returns whether a reader is stuck; checks one after the other until one is. A reader that begins a new read
    /// section sees the publish, and so is not.
    fn is_stuck(&mut self) -> bool {
        let looking = self.looking();
        while let Some(first) = self.stuck.first_entry() {
            if looking.get(first.key()) == Some(first.get()) {
                return true;
            }
            first.remove();
        }
        false
    }

    /// Returns the result of a change; `None` if the table refused it, as it had to.
    fn done<R>(&self, stuck: bool, result: Result<R, Busy>) -> Option<R> {
        assert_eq!(
            result.is_err(),
            stuck,
            "changed under somebody's eyes, or refused and nobody looks"
        );
        result.ok()
    }

    fn act(&mut self, action: Action) {
        // Few enough to be met again.
        let narrow = |key: u8| u64::from(key % 48);
        match action {
            Action::Claim => self.claim(),
            Action::Drop(n) if !self.readers.is_empty() => {
                self.readers.swap_remove(usize::from(n) % self.readers.len());
            }
            Action::Enter(n) if self.looks.len() < 12 => self.enter(n),
            Action::Get(n, key) => {
                if let Some(reader) = self.reader(n) {
                    let value = reader.look(self.publishes).get(&narrow(key));
                    assert_eq!(value, self.published.get(&narrow(key)).copied());
                }
            }
            Action::LookAway(look) if !self.looks.is_empty() => {
                self.looks.remove(usize::from(look) % self.looks.len()).end();
            }
            Action::Forget(look) if !self.looks.is_empty() => {
                self.looks.remove(usize::from(look) % self.looks.len()).forget();
            }
            Action::Drop(_) | Action::Enter(_) | Action::LookAway(_) | Action::Forget(_) => {}
            Action::Compare => self.compare(),
            Action::Leave => self.writer = None,
            action => self.write(action, narrow),
        }
    }

    fn claim(&mut self) {
        let taken = self.taken();
        let free = (0..READERS).find(|number| !taken.contains_key(number));
        let handle = self.table.reader();
        assert_eq!(handle.as_ref().map(TableReader::reader_id), free);
        if let Some(handle) = handle {
            let began = Cell::new(self.publishes);
            self.readers.push(Rc::new(Reader { handle, depth: Cell::new(0), began }));
        }
    }

    fn enter(&mut self, n: u8) {
        let Some(reader) = self.reader(n) else { return };
        // SAFETY: the look keeps the reader, which does not move, and is dropped before it.
        let handle = unsafe { &*(&raw const *reader.look(self.publishes)) };
        let snapshot = handle.enter();
        reader.depth.update(|depth| depth + 1);
        let (since, publishes) = (Rc::clone(&self.published), self.publishes);
        self.looks.push(Look { snapshot, reader, since, publishes });
    }

    /// Actions that only a writer can do.
    fn write(&mut self, action: Action, narrow: impl Fn(u8) -> u64) {
        match action {
            Action::Insert(key) => self.insert(narrow(key)),
            Action::Fill(count) => {
                for _ in 0..count {
                    self.newest += 1;
                    self.insert(self.newest);
                }
            }
            Action::Update(key) => self.update(narrow(key)),
            Action::Remove(key) => self.remove(narrow(key)),
            Action::Prune(count) => {
                for _ in 0..count {
                    if self.oldest < self.newest {
                        self.oldest += 1;
                        self.remove(self.oldest);
                    }
                }
            }
            Action::Retain(rest) => {
                let stuck = self.is_stuck();
                let wanted = |key: u64| key % 7 != u64::from(rest) % 7;
                let mut asked = 0;
                let result = self.writer().retain(|key, _| {
                    asked += 1;
                    wanted(*key)
                });
                assert_eq!(asked, if stuck { 0 } else { self.draft.len() });
                if self.done(stuck, result).is_some() {
                    self.changed |= self.draft.keys().any(|key| !wanted(*key));
                    self.draft.retain(|key, _| wanted(*key));
                }
            }
            Action::Clear => {
                let stuck = self.is_stuck();
                let result = self.writer().clear();
                if self.done(stuck, result).is_some() {
                    self.changed = true;
                    self.draft.clear();
                }
            }
            Action::Publish => self.publish(),
            Action::Wait => {
                self.looks.drain(..).for_each(Look::end);
                // Those with a snapshot that was forgotten.
                self.readers.retain(|reader| reader.depth.get() == 0);
                self.writer().wait_for_readers();
                assert!(!self.is_stuck(), "waited for nobody");
            }
            Action::Check => {
                let looking = self.looking();
                let stuck: Vec<_> = self.writer().stalled_readers().collect();
                self.stuck.retain(|reader, began| looking.get(reader) == Some(began));
                assert!(stuck.iter().eq(self.stuck.keys()));
                assert_eq!(self.writer().is_pending(), self.is_stuck());
            }
            _ => unreachable!("done before"),
        }
    }

    fn insert(&mut self, key: u64) {
        let (value, stuck) = (self.next(), self.is_stuck());
        match self.writer().insert(key, value) {
            Ok(replaced) => {
                assert!(!stuck, "changed under somebody's eyes");
                assert_eq!(replaced, self.draft.insert(key, value));
                self.changed = true;
            }
            Err(why @ TryInsertError::Full { .. }) => {
                assert_eq!(why.into_parts(), (key, value));
                assert!(!stuck && !self.draft.contains_key(&key));
                assert_eq!(self.draft.len(), self.table.capacity(), "refused, and there is room");
            }
            Err(why) => {
                assert_eq!(why, TryInsertError::Busy { key, value });
                assert!(stuck, "refused, and nobody looks");
            }
        }
        assert!(self.draft.len() <= self.table.capacity());
    }

    fn update(&mut self, key: u64) {
        let (value, stuck, old) = (self.next(), self.is_stuck(), self.draft.get(&key).copied());
        let table = self.table;
        let result = self.writer().update(&key, |there| {
            assert_eq!(Some(there), old);
            assert!(!stuck && table.writer().is_none(), "two writers");
            value
        });
        if let Some(updated) = self.done(stuck, result) {
            assert_eq!(updated, old.map(|_| value));
            self.draft.entry(key).and_modify(|there| *there = value);
            self.changed |= old.is_some();
        }
    }

    fn remove(&mut self, key: u64) {
        let stuck = self.is_stuck();
        let result = self.writer().remove(&key);
        if let Some(removed) = self.done(stuck, result) {
            assert_eq!(removed, self.draft.remove(&key));
            self.changed |= removed.is_some();
        }
    }

    fn publish(&mut self) {
        let stuck = self.is_stuck();
        self.writer().publish();
        // Where somebody is stuck nothing has changed since.
        assert!(!stuck || !self.changed);
        if self.changed {
            self.changed = false;
            self.publishes += 1;
            self.published = Rc::new(self.draft.clone());
            self.stuck = self.looking();
        }
    }

    /// Checks that cost little.
    fn check(&mut self) {
        let keys = [self.serial % 48, self.newest, self.oldest];
        if let Some(reader) = self.reader(self.serial as u8) {
            let published = &self.published;
            let snapshot = reader.look(self.publishes).enter();
            assert_eq!((snapshot.len(), snapshot.generation()), (published.len(), self.publishes));
            assert!(keys.iter().all(|key| snapshot.get(key) == published.get(key)));
        }
        if let Some(writer) = &self.writer {
            assert!(self.table.writer().is_none(), "two writers");
            assert_eq!(
                (writer.len(), writer.is_empty()),
                (self.draft.len(), self.draft.is_empty())
            );
            assert!(keys.iter().all(|key| writer.get(key) == self.draft.get(key).copied()));
        }
    }

    fn compare(&mut self) {
        self.looks.iter().for_each(Look::check);
        let draft = self.draft.clone();
        let writer = self.writer();
        assert_eq!(writer.iter().count(), draft.len(), "a key came twice, or not at all");
        assert!(writer.iter().all(|(key, value)| draft.get(key) == Some(value)));
        let found = draft.iter().all(|(key, value)| writer.get(key) == Some(*value));
        assert!(found, "the writer does not find what it stored");
    }
}

fn play<const BINS: usize, const READERS: usize>(script: &Script) {
    let table = Box::new(Table::<BINS, READERS>::with_hasher(script.hashing));
    let mut game = Game::new(&table);
    for action in script.actions.iter().take(400) {
        game.act(*action);
        game.check();
    }
    // At the end all pending changes are published.
    game.compare();
    game.act(Action::Wait);
    game.act(Action::Publish);
    game.act(Action::Claim);
    game.act(Action::Enter(0));
    game.compare();
}

fuzz_target!(|script: Script| match script.size % 5 {
    0 => play::<1, 1>(&script),
    1 => play::<2, 3>(&script),
    2 => play::<5, 2>(&script),
    3 => play::<16, 4>(&script),
    _ => play::<40, 20>(&script),
});
