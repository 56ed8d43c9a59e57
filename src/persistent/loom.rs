//! Models of blocks: a handle that is dropped, one that becomes the only one, and the last one. Of versions: readers,
//! writers, committers, and the reclamation of what was replaced, as [`SnapshotMap`](super::SnapshotMap) combines them.

use super::PersistentMap;
use super::block::Block;
use super::commit::{Conflict, merge};
use super::current::Current;
use super::log::{Change, Log};
use crate::api::hash::KeyHash;
use crate::reclaim::garbage::Garbage;
use crate::reclaim::node::{NodeHeader, NodePtr, ReclaimNode};
use crate::reclaim::node_memory::NodeMemory;
use crate::sync::epoch::Domain;
use crate::sync::loom::explore;
use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::thread;
use alloc::boxed::Box;
use core::alloc::Layout;
use core::ptr::NonNull;
use std::string::ToString;
use std::sync::Mutex;
use std::vec::Vec;

/// A cell as an element. The model checker finds two threads that use it in no order.
struct Cell(UnsafeCell<u32>);

// SAFETY: the model checker reports unordered accesses.
unsafe impl Send for Cell {}
// SAFETY: as above.
unsafe impl Sync for Cell {}

impl Cell {
    fn read(&self) -> u32 {
        // SAFETY: the model proves that no other thread writes to the cell now.
        self.0.with(|cell| unsafe { *cell })
    }

    fn write(&self, value: u32) {
        // SAFETY: the model proves that no other thread uses the cell now.
        self.0.with_mut(|cell| unsafe { *cell = value });
    }
}

impl Clone for Cell {
    fn clone(&self) -> Self {
        Self(UnsafeCell::new(self.read()))
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.write(0);
    }
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        self.read() == other.read()
    }
}

type Cells = Block<Cell, u32, ()>;

fn block() -> Cells {
    let mut block = Cells::new(0, 1).unwrap();
    block.own().insert(0, Cell(UnsafeCell::new(7)), 0, ());
    block
}

/// A writer changes a block in place once the reader of another version has dropped its handle, and copies it before.
#[test]
fn loom_a_block_is_changed_in_place_by_its_only_owner() {
    explore(3, ["changed in place", "copied"], |saw| {
        let mut mine = block();
        let theirs = mine.share();
        let reader =
            thread::spawn(move || assert_eq!(theirs.a()[0].read(), 7, "a version has changed"));
        let outcome = match mine.as_unique() {
            Some(mut own) => {
                own.a_mut()[0].write(8);
                "changed in place"
            }
            None => {
                mine = mine.copy(0..1, 1).unwrap();
                mine.own().a_mut()[0].write(8);
                "copied"
            }
        };
        assert_eq!(mine.a()[0].read(), 8);
        reader.join().unwrap();
        saw(outcome.into());
    });
}

/// Three threads read a version and drop it. The last one drops the elements, after all reads.
#[test]
fn loom_the_last_version_drops_the_elements() {
    explore(3, ["dropped"], |saw| {
        let mine = block();
        let threads = [mine.share(), mine.share()].map(|theirs| {
            thread::spawn(move || {
                let again = theirs.share();
                drop(theirs);
                assert_eq!(again.a()[0].read(), 7, "an element is used after it was dropped");
            })
        });
        drop(mine);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        saw("dropped".into());
    });
}

/// Two writers replace a version, each by one that it has made from the version that it found. None overwrites the
/// other's, and a reader sees a whole one.
#[test]
fn loom_two_writers_replace_the_current_version() {
    explore(3, ["0", "1", "2"], |saw| {
        let current = Arc::new(Current::<Cell>::new());
        let write = |current: &Current<Cell>| {
            loop {
                let base = current.load();
                // SAFETY: null, or a version of this model. These are freed at its end.
                let count = unsafe { base.as_ref() }.map_or(0, Cell::read);
                let new = Box::into_raw(Box::new(Cell(UnsafeCell::new(0))));
                // SAFETY: just allocated.
                unsafe { &*new }.write(count + 1);
                if current.replace(base, new) {
                    return base;
                }
                // SAFETY: nobody else has it.
                drop(unsafe { Box::from_raw(new) });
            }
        };
        let theirs = current.clone();
        let writer = thread::spawn(move || write(&theirs) as usize);
        let theirs = current.clone();
        // SAFETY: as above.
        let reader = thread::spawn(move || unsafe { theirs.load().as_ref() }.map_or(0, Cell::read));
        let mine = write(&current);
        let (theirs, seen) = (writer.join().unwrap() as *mut Cell, reader.join().unwrap());
        for version in [mine, theirs, current.load()] {
            // SAFETY: each version was replaced once, or is the last one, and no thread uses them any more.
            drop((!version.is_null()).then(|| unsafe { Box::from_raw(version) }).inspect(
                |version| {
                    assert!([1, 2].contains(&version.read()), "a version is lost");
                },
            ));
        }
        saw(seen.to_string());
    });
}

type Map = PersistentMap<u32, Cell>;

fn cell(value: u32) -> Cell {
    Cell(UnsafeCell::new(value))
}

/// A version that may be current. The model keeps the memory to its end, so it is defined to look at a version that was
/// freed: an access to the cell that the model checker reports.
#[repr(C)]
struct Version {
    header: NodeHeader,
    map: UnsafeCell<Option<Map>>,
    log: Log<u32, Cell>,
}

// SAFETY: the header is the first field.
unsafe impl ReclaimNode for Version {
    unsafe fn clear(node: NonNull<Self>) -> NodeMemory {
        // SAFETY: the model keeps the memory until it ends.
        let map = unsafe { &(*node.as_ptr()).map };
        // SAFETY: the model proves that no reader uses the version now.
        let map = map.with_mut(|map| unsafe { &mut *map }.take());
        drop(map.expect("a version is freed once"));
        // SAFETY: the size is not zero. The block stands for the node's memory, which the model keeps.
        unsafe { NodeMemory::get(Layout::new::<u8>(), None) }.unwrap()
    }
}

/// What a `SnapshotMap` consists of, with the steps of its operations.
struct Shared {
    domain: Domain,
    garbage: Garbage<Version>,
    current: Current<Version>,
    memory: Mutex<Vec<NodePtr<Version>>>,
}

// SAFETY: the model checker reports unordered accesses to the cells.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    fn new(entries: &[u32]) -> Arc<Self> {
        let shared = Self {
            domain: Domain::new(),
            garbage: Garbage::new(),
            current: Current::new(),
            memory: Mutex::default(),
        };
        let first = shared.version(entries.iter().map(|&value| (value, cell(value))).collect());
        assert!(shared.current.replace(core::ptr::null_mut(), first.0.as_ptr()));
        Arc::new(shared)
    }

    fn version(&self, map: Map) -> NodePtr<Version> {
        let version = Box::new(Version {
            header: NodeHeader::new(KeyHash(0)),
            log: Log::new(map.len()),
            map: UnsafeCell::new(Some(map)),
        });
        let version = NodePtr(NonNull::from(Box::leak(version)));
        self.memory.lock().unwrap().push(version);
        version
    }

    /// The number of a slot, for a thread that will read and write.
    fn slot(&self) -> usize {
        self.domain.claim().unwrap().number()
    }

    fn load(&self) -> (*mut Version, Map) {
        let base = self.current.load();
        // SAFETY: the model keeps the memory until it ends.
        let map = unsafe { &(*base).map };
        // SAFETY: the model proves that the version is not freed now.
        (base, map.with(|map| unsafe { &*map }.as_ref().expect("a version that is alive").clone()))
    }

    /// As `SnapshotMap::snapshot`.
    fn snapshot(&self, slot: usize) -> Map {
        let slot = self.domain.slot(slot);
        self.domain.pin(slot);
        let (_, map) = self.load();
        Domain::unpin(slot);
        map
    }

    /// As `SnapshotMap::write`.
    fn write<R>(&self, slot: usize, mut change: impl FnMut(&mut Map) -> R) -> R {
        loop {
            let pinned = self.domain.slot(slot);
            self.domain.pin(pinned);
            let (base, before) = self.load();
            let mut map = before.clone();
            let result = change(&mut map);
            if map.ptr_eq(&before) {
                Domain::unpin(pinned);
                return result;
            }
            drop(before);
            let new = self.version(map);
            let is_replaced = self.current.replace(base, new.0.as_ptr());
            Domain::unpin(pinned);
            if is_replaced {
                let base = NodePtr(NonNull::new(base).unwrap());
                // SAFETY: this thread alone has replaced it.
                unsafe { self.garbage.add_and_free(|| &self.domain, || slot, base) };
                return result;
            }
            // SAFETY: no other thread has it.
            unsafe { Version::free(new.0) };
        }
    }

    /// As a writer with the turn appends to the log of the current version. Returns whether the log took the change.
    fn append(&self, slot: usize, key: u32, value: u32) -> bool {
        let slot = self.domain.slot(slot);
        self.domain.pin(slot);
        // SAFETY: the model keeps the memory until it ends.
        let log = unsafe { &(*self.current.load()).log };
        // SAFETY: one thread of each model appends, or two that have the turn.
        let appended = unsafe { log.append(Change::Put(key, cell(value))) };
        Domain::unpin(slot);
        appended.is_ok()
    }

    /// As `SnapshotMap::publish` out of turn: replaces the version by one that has the changes of its log, and returns
    /// that one.
    fn publish(&self, slot: usize) -> Map {
        let pinned = self.domain.slot(slot);
        self.domain.pin(pinned);
        let (base, before) = self.load();
        // SAFETY: the model keeps the memory until it ends.
        let log = unsafe { &(*base).log };
        log.seal();
        // SAFETY: just sealed.
        let map = unsafe { log.replay(&before) };
        drop(before);
        let (published, new) = (map.clone(), self.version(map));
        let is_replaced = self.current.replace(base, new.0.as_ptr());
        Domain::unpin(pinned);
        assert!(is_replaced, "another thread has replaced the version");
        // SAFETY: this thread alone has replaced it.
        unsafe {
            self.garbage.add_and_free(
                || &self.domain,
                || slot,
                NodePtr(NonNull::new(base).unwrap()),
            );
        }
        published
    }

    /// As `SnapshotMap::commit`.
    fn commit(&self, slot: usize, base: &Map, new: &Map) -> Result<(), Conflict<u32, Cell>> {
        self.write(slot, |map| merge(map, base, new))
    }

    /// Whether the first version is freed.
    fn has_freed_the_first(&self) -> bool {
        let first = self.memory.lock().unwrap()[0];
        // SAFETY: the memory is there, and there are no other threads.
        unsafe { &(*first.0.as_ptr()).map }.with(|map| unsafe { &*map }.is_none())
    }

    /// As the drop of a `SnapshotMap`: drops all versions. There are no other threads.
    fn end(&self) {
        for version in self.memory.lock().unwrap().drain(..) {
            // SAFETY: no thread uses it any more, and it was leaked by `version`. Garbage does not look at its nodes
            // when it is dropped.
            let version = unsafe { Box::from_raw(version.0.as_ptr()) };
            // SAFETY: as above.
            drop(version.map.with_mut(|map| unsafe { &mut *map }.take()));
        }
    }
}

/// A reader takes a snapshot, while a writer replaces the version, and frees it. The snapshot is whole as long as it
/// lives, and whoever has the last handle drops the elements.
#[test]
fn loom_a_snapshot_against_a_writer_that_frees_the_version() {
    explore(3, ["new freed", "new kept", "old freed", "old kept"], |saw| {
        let map = Shared::new(&[7]);
        let (theirs, slot, mine) = (map.clone(), map.slot(), map.slot());
        let reader = thread::spawn(move || {
            let snapshot = theirs.snapshot(slot);
            let seen = snapshot[&7].read();
            assert!([7, 8].contains(&seen), "an element is used after it was dropped");
            if seen == 7 { "old" } else { "new" }
        });
        map.write(mine, |map| drop(map.insert(7, cell(8))));
        map.garbage.reclaim(&map.domain);
        let seen = reader.join().unwrap();
        let is_freed = map.has_freed_the_first();
        map.end();
        saw(std::format!("{seen} {}", if is_freed { "freed" } else { "kept" }));
    });
}

/// A reader changes its snapshot, while a writer replaces the version and frees it. The reader changes the nodes in
/// place if the writer has let go of them, and copies them before; no version changes.
#[test]
fn loom_a_snapshot_is_changed_while_its_version_is_freed() {
    explore(3, ["copied", "in place"], |saw| {
        let map = Shared::new(&[7]);
        let (theirs, slot, mine) = (map.clone(), map.slot(), map.slot());
        let reader = thread::spawn(move || {
            let mut snapshot = theirs.snapshot(slot);
            let before = core::ptr::from_ref(&snapshot[&7]);
            let value = snapshot.get_mut(&7).unwrap();
            value.write(9);
            let is_same = core::ptr::eq(before, value);
            assert_eq!(snapshot[&7].read(), 9, "a snapshot has changed");
            if is_same { "in place" } else { "copied" }
        });
        map.write(mine, |map| {
            let seen = map[&7].read();
            assert_eq!(seen, 7, "a version has changed");
            map.get_mut(&7).unwrap().write(seen + 1);
        });
        map.garbage.reclaim(&map.domain);
        let current = map.load().1;
        assert_eq!(current[&7].read(), 8, "a version has changed");
        drop(current);
        let outcome = reader.join().unwrap();
        map.end();
        saw(outcome.into());
    });
}

/// Two threads commit changes that they have prepared on the same version. Changes of different keys are both made; of
/// two changes of one key, the second is refused.
#[test]
fn loom_two_committers() {
    explore(2, ["mine", "theirs"], |saw| {
        let map = Shared::new(&[1, 2]);
        let (theirs, slot, mine) = (map.clone(), map.slot(), map.slot());
        let base = map.snapshot(mine);
        let commit = |map: &Shared, slot, base: &Map, keys: &[u32], value| {
            let mut new = base.clone();
            keys.iter().for_each(|key| new.get_mut(key).unwrap().write(value));
            map.commit(slot, base, &new).is_ok()
        };
        let same = base.clone();
        let other = thread::spawn(move || {
            let has_won = commit(&theirs, slot, &same, &[1], 10);
            let later = theirs.snapshot(slot);
            (has_won, commit(&theirs, slot, &later, &[2], 10))
        });
        let has_won = commit(&map, mine, &base, &[1], 20);
        let (other_has_won, again) = other.join().unwrap();
        drop(base);
        let current = map.load().1;
        let (one, two) = (current[&1].read(), current[&2].read());
        drop(current);
        map.end();
        assert!(has_won != other_has_won, "of two changes of one key, not one alone is made");
        assert_eq!(one, if has_won { 20 } else { 10 }, "a commit is lost");
        assert!(again && two == 10, "a commit of another key is lost");
        saw(if has_won { "mine" } else { "theirs" }.into());
    });
}

/// A writer appends changes to the log, while a reader seals it, and publishes a version that has them. A change that
/// the log takes is in that version, complete; the others are not, and are made again.
#[test]
fn loom_a_log_is_sealed_while_changes_are_appended() {
    explore(3, ["0 of 0", "1 of 1", "2 of 2"], |saw| {
        let map = Shared::new(&[7]);
        let (theirs, slot, mine) = (map.clone(), map.slot(), map.slot());
        let reader = thread::spawn(move || {
            let seen = theirs.publish(slot);
            seen.values().skip(1).for_each(|value| assert_eq!(value.read(), 5, "a torn change"));
            seen.len() - 1
        });
        let (first, second) = (map.append(mine, 8, 5), map.append(mine, 9, 5));
        let seen = reader.join().unwrap();
        // Changes of the version that the reader has published are in its log.
        // SAFETY: the model keeps the memory until it ends, and there are no other threads.
        let later = unsafe { &(*map.current.load()).log }.len();
        map.end();
        let appended = usize::from(first) + usize::from(second);
        assert_eq!(seen + later, appended, "a change is lost");
        saw(std::format!("{seen} of {}", appended - later));
    });
}
