//! The keys whose changes make transactions fail (`WATCH`).
//!
//! Each shard has the watched ones of its keys, with a flag for each watcher. A thread that changes the shard sets the
//! flags of the changed keys under the shard's lock, before it publishes the change. A transaction reads its flag under
//! the locks of all its keys. So a change is either noticed, or made after the transaction.
//!
//! A watcher that ends drops its flag, and takes no lock: its entries are removed later.

use crate::log::change::{LoggedChanges, LoggedOp};
use crate::slot_set::SlotSet;
use crate::slots::slot;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// Watchers of a shard that are kept without a look whether they have ended.
const FEW: usize = 64;
/// Bytes that a watched key takes besides its own, at its watcher and in its shard.
const OVERHEAD: usize = 128;

/// Keys whose changes make a transaction fail, as Redis's `WATCH`. A session adds them.
#[derive(Debug, Default)]
pub struct KeyWatch {
    changed: Arc<AtomicBool>,
    /// Each key behind the number of its database, and whether it existed when it was watched.
    keys: HashMap<Box<[u8]>, bool>,
    /// An estimate of the memory that the keys take.
    bytes: usize,
}

impl KeyWatch {
    /// Returns whether this key of a database is watched.
    #[doc(hidden)]
    pub fn contains(&self, database: u16, key: &[u8]) -> bool {
        self.keys.contains_key(&[&database.to_le_bytes(), key].concat()[..])
    }

    /// Returns the number of keys.
    #[doc(hidden)]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns an estimate of the memory that the watch takes with one more key.
    pub(crate) fn bytes_with(&self, key: &[u8]) -> usize {
        // The key is here and in its shard.
        self.bytes + 2 * key.len() + OVERHEAD
    }

    /// Returns the keys, each with its database, and whether each existed when it was watched.
    #[doc(hidden)]
    pub fn keys(&self) -> impl Iterator<Item = (u16, &[u8], bool)> {
        self.keys.iter().filter_map(|(key, existed)| {
            let (database, key) = key.split_first_chunk()?;
            Some((u16::from_le_bytes(*database), key, *existed))
        })
    }

    /// Returns whether one of the keys was changed. Keys that have expired do not count before the transaction.
    pub fn is_changed(&self) -> bool {
        // Relaxed: a transaction holds the locks under which it was stored. A thread that has read a changed value has
        // acquired its publication, which follows the store. To others it is a hint.
        self.changed.load(Ordering::Relaxed)
    }

    /// Counts one of the keys as changed.
    #[doc(hidden)]
    pub fn set_changed(&self) {
        // Relaxed: only the thread of this connection reads it.
        self.changed.store(true, Ordering::Relaxed);
    }
}

/// A watcher of one key.
#[derive(Debug)]
struct Watcher {
    changed: Weak<AtomicBool>,
    /// Whether the key existed when it was watched.
    existed: bool,
}

impl Watcher {
    fn note(&self) {
        if let Some(changed) = self.changed.upgrade() {
            // Relaxed: loaded under the lock that the caller holds.
            changed.store(true, Ordering::Relaxed);
        }
    }

    fn is_alive(&self) -> bool {
        self.changed.strong_count() != 0
    }
}

/// The watched keys of a shard. Its lock protects them.
#[derive(Debug, Default)]
#[doc(hidden)]
pub struct WatchedKeys(Option<Box<WatchTable>>);

#[derive(Debug, Default)]
struct WatchTable {
    keys: HashMap<Box<[u8]>, Vec<Watcher>>,
    /// The number of watchers, and the number at which those that have ended are removed.
    watchers: usize,
    full: usize,
    /// Entries that were compared with the keys since the last removal.
    compared: usize,
}

impl WatchedKeys {
    /// Begins to watch a key of this shard, which is one of a database.
    #[doc(hidden)]
    pub fn watch(&mut self, watch: &mut KeyWatch, database: u16, key: &[u8], existed: bool) {
        watch.bytes = watch.bytes_with(key);
        watch.keys.insert([&database.to_le_bytes(), key].concat().into(), existed);
        let table = self.0.get_or_insert_default();
        // `full` is twice what the last look left alive, so the watches since have paid for the walk.
        if table.watchers >= table.full.max(FEW) {
            table.remove_ended();
        }
        let changed = Arc::downgrade(&watch.changed);
        table.keys.entry(key.into()).or_default().push(Watcher { changed, existed });
        table.watchers += 1;
    }

    /// Notes the changes of an entry. The caller has not published them yet. `database` returns the database of this
    /// shard; `None` if the entry changes no other shard.
    #[inline]
    #[doc(hidden)]
    pub fn note(&mut self, changes: &[u8], database: impl FnOnce() -> Option<u16>) {
        if self.0.is_some() {
            self.note_changes(changes, database());
        }
    }

    #[cold]
    fn note_changes(&mut self, changes: &[u8], own: Option<u16>) {
        let Some(table) = &mut self.0 else { return };
        let mut database = 0;
        // This program has encoded the changes, or has decoded them before.
        for operation in LoggedChanges::new(changes).map_while(Result::ok) {
            let is_own = own.is_none_or(|own| own == database);
            match operation {
                LoggedOp::Database(number) => database = number,
                LoggedOp::Move(key, to) if is_own || own == Some(to) => table.note_key(key),
                LoggedOp::Change(..) | LoggedOp::Rename(..) | LoggedOp::Clear(..) if !is_own => {}
                LoggedOp::Change(key, _) => table.note_key(key),
                LoggedOp::Rename(from, to) => {
                    table.note_key(from);
                    table.note_key(to);
                }
                // A key that did not exist, and has not changed since, is not removed by this.
                LoggedOp::Clear(begin, end) => table
                    .note_if(|key, watcher| watcher.existed && (begin..end).contains(&slot(key))),
                // Another group changes these keys from now on, or has changed them until now.
                LoggedOp::Out(_, slots) | LoggedOp::Own(_, slots) => {
                    let slots = SlotSet::from_bits(slots);
                    table.note_if(|key, _| slots.contains(slot(key)));
                }
                // The entry does not name the keys that it removes.
                LoggedOp::Clock(_) => table.note_if(|_, _| true),
                LoggedOp::Move(..)
                // The keys of a swap were noted before.
                | LoggedOp::Swap(..)
                | LoggedOp::Begin(..)
                | LoggedOp::Watermark(_)
                | LoggedOp::Batch(_) => {}
            }
        }
        // Otherwise ended watchers would cost each entry a comparison until somebody watches a key of this shard again.
        table.compared += 1;
        if table.compared >= table.watchers.max(FEW) {
            table.remove_ended();
        }
        self.0.take_if(|table| table.keys.is_empty());
    }

    /// Whether there is none.
    #[doc(hidden)]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Counts those keys as changed for which `changed` returns true, and those that existed.
    pub(crate) fn note_where(&mut self, changed: &mut dyn FnMut(&[u8]) -> bool) {
        let Some(table) = &mut self.0 else { return };
        table.keys.retain(|key, watchers| {
            let is_changed = changed(key);
            let noted = |watcher: &&Watcher| is_changed || watcher.existed;
            watchers.iter().filter(noted).for_each(Watcher::note);
            !is_changed
        });
        table.remove_ended();
        self.0.take_if(|table| table.keys.is_empty());
    }

    /// Counts all watched keys as changed.
    pub(crate) fn note_all(&mut self) {
        if let Some(table) = self.0.take() {
            table.keys.values().flatten().for_each(Watcher::note);
        }
    }

    /// Returns the number of watchers, with those that have ended and are still here.
    #[cfg(test)]
    #[doc(hidden)]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |table| table.watchers)
    }
}

impl WatchTable {
    fn note_key(&mut self, key: &[u8]) {
        // Their transactions fail now, so later changes need not be noted for them.
        if let Some(watchers) = self.keys.remove(key) {
            watchers.iter().for_each(Watcher::note);
            self.watchers -= watchers.len();
        }
    }

    fn note_if(&mut self, changed: impl Fn(&[u8], &Watcher) -> bool) {
        for (key, watchers) in &self.keys {
            watchers.iter().filter(|watcher| changed(key, watcher)).for_each(Watcher::note);
        }
    }

    fn remove_ended(&mut self) {
        self.keys.retain(|_, watchers| {
            watchers.retain(Watcher::is_alive);
            !watchers.is_empty()
        });
        self.watchers = self.keys.values().map(Vec::len).sum();
        (self.full, self.compared) = (2 * self.watchers, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::change;
    use crate::request::Expiry;
    use crate::slot_set::SlotSet;

    /// Returns a watch of `rose`, which exists or not, after these changes.
    fn changed(existed: bool, encode: impl FnOnce(&mut Vec<u8>)) -> bool {
        let (mut keys, mut watch, mut entry) =
            (WatchedKeys::default(), KeyWatch::default(), Vec::new());
        keys.watch(&mut watch, 0, b"rose", existed);
        encode(&mut entry);
        keys.note(&entry, || None);
        watch.is_changed()
    }

    #[test]
    fn each_change_of_a_key_is_noted() {
        let own = slot(b"rose");
        assert!(changed(true, |entry| change::set(b"rose", b"", Expiry::Never, entry)));
        assert!(changed(true, |entry| change::delete(b"rose", entry)));
        assert!(changed(true, |entry| change::rename(b"rose", b"daisy", entry)));
        assert!(changed(true, |entry| change::rename(b"daisy", b"rose", entry)));
        assert!(changed(true, |entry| change::clear(own..own + 1, entry)));
        assert!(changed(true, |entry| change::clock(7, entry)));
        let slots = SlotSet::of_range(own..own + 1);
        assert!(changed(false, |entry| change::out(7, slots.bits(), entry)));
        assert!(changed(false, |entry| change::own(7, slots.bits(), entry)));
        // None of these changes the key.
        assert!(!changed(true, |entry| change::set(b"daisy", b"rose", Expiry::Never, entry)));
        assert!(!changed(true, |entry| change::clear(own + 1..own + 2, entry)));
        assert!(!changed(false, |entry| change::clear(own..own + 1, entry)));
        assert!(!changed(true, |entry| change::watermark(7, entry)));
    }

    #[test]
    fn watches_that_have_ended_are_removed() {
        let mut keys = WatchedKeys::default();
        let mut kept = KeyWatch::default();
        keys.watch(&mut kept, 0, b"kept", true);
        for number in 0..10_000_u32 {
            keys.watch(&mut KeyWatch::default(), 0, &number.to_le_bytes(), true);
            assert!(keys.len() <= FEW + 1, "{} watchers after {number}", keys.len());
        }
        // Writers remove them, too.
        let mut entry = Vec::new();
        change::delete(b"other", &mut entry);
        (0..=FEW).for_each(|_| keys.note(&entry, || None));
        assert_eq!(keys.len(), 1);
        drop(kept);
        (0..=FEW).for_each(|_| keys.note(&entry, || None));
        assert!(keys.0.is_none(), "writers decode their changes for nobody");
    }

    #[test]
    fn a_rollback_changes_all_keys() {
        let (mut keys, mut watch) = (WatchedKeys::default(), KeyWatch::default());
        keys.watch(&mut watch, 0, b"rose", false);
        keys.note_all();
        assert!(watch.is_changed());
        assert_eq!(keys.len(), 0);
    }
}
