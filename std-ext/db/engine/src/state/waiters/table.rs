//! The waiters of a shard, by key.

use super::waiter::{Served, WaitEnd, WaitOutcome, Waiter, Wanted};
use crate::request::ValueType;
use crate::state::record::Record;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The waiters of a shard. Its lock protects them.
#[derive(Default)]
pub struct Waiters(Option<Box<WaitTable>>);

#[derive(Default)]
struct WaitTable {
    /// The queue of each key, by the waiters' tickets. Some may have ended, until their clients remove them.
    queues: HashMap<Box<[u8]>, WaitQueue>,
    /// The keys with a waiter that have got a value or lost it, in order: elements may be available.
    ready: Vec<ReadyKey>,
    /// What waiters have got by changes that are not published yet.
    served: Vec<(Arc<Waiter>, Served)>,
}

/// The waiters of a key.
#[derive(Default)]
struct WaitQueue {
    /// Those who take an element.
    takers: BTreeMap<u64, Arc<Waiter>>,
    /// Those who read entries.
    readers: BTreeMap<u64, Arc<Waiter>>,
    /// Whether the key is among those that are ready.
    is_ready: bool,
}

impl WaitQueue {
    fn is_empty(&self) -> bool {
        self.takers.is_empty() && self.readers.is_empty()
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Waiter>> {
        self.takers.values().chain(self.readers.values())
    }
}

/// A key that has got or lost a value, behind a number that says in which order such keys of all shards did.
pub(super) type ReadyKey = (u64, Box<[u8]>);

/// Returns the number of the next key that is ready.
fn next_number() -> u64 {
    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    // Relaxed: it orders the keys of one thread, which holds the locks of their shards.
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

impl Waiters {
    /// Whether nobody waits, and nothing is left to do for those who did.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Notes that the map has got this record, or has lost it.
    #[inline(always)]
    pub(crate) fn note(&mut self, record: Record) {
        if self.0.is_some() {
            self.note_key(record.key());
        }
    }

    #[cold]
    fn note_key(&mut self, key: &[u8]) {
        let Some(table) = &mut self.0 else { return };
        if let Some(queue) = table.queues.get_mut(key)
            && !std::mem::replace(&mut queue.is_ready, true)
        {
            table.ready.push((next_number(), key.into()));
        }
    }

    /// Notes all keys with waiters.
    pub(crate) fn note_all(&mut self) {
        let Some(table) = &mut self.0 else { return };
        for (key, queue) in &mut table.queues {
            if !std::mem::replace(&mut queue.is_ready, true) {
                table.ready.push((next_number(), key.clone()));
            }
        }
    }

    /// Whether a key has got or lost a value since the last [`take_ready`](Self::take_ready).
    #[inline(always)]
    pub(crate) fn has_ready(&self) -> bool {
        self.0.as_ref().is_some_and(|table| !table.ready.is_empty())
    }

    pub(super) fn take_ready(&mut self) -> Vec<ReadyKey> {
        let Some(table) = &mut self.0 else { return Vec::new() };
        let ready = std::mem::take(&mut table.ready);
        for (_, key) in &ready {
            if let Some(queue) = table.queues.get_mut(key) {
                queue.is_ready = false;
            }
        }
        self.shrink();
        ready
    }

    /// Gives back those of the keys that were taken whose waiters are not served yet.
    pub(super) fn give_back(&mut self, keys: impl IntoIterator<Item = ReadyKey>) {
        let Some(table) = &mut self.0 else { return };
        table.ready.extend(keys);
    }

    /// Adds a waiter to the queue of a key.
    pub(crate) fn add(&mut self, waiter: &Arc<Waiter>, key: &[u8]) {
        let table = self.0.get_or_insert_default();
        let queue = table.queues.entry(key.into()).or_default();
        let reads = matches!(waiter.wanted(), Wanted::Entries(_));
        let queue = if reads { &mut queue.readers } else { &mut queue.takers };
        queue.insert(waiter.ticket(), Arc::clone(waiter));
    }

    /// Removes a waiter from the queue of a key, if it is there.
    pub(crate) fn remove(&mut self, waiter: &Waiter, key: &[u8]) {
        let Some(table) = &mut self.0 else { return };
        if let Some(queue) = table.queues.get_mut(key) {
            queue.takers.remove(&waiter.ticket());
            queue.readers.remove(&waiter.ticket());
            if queue.is_empty() {
                table.queues.remove(key);
            }
        }
        self.shrink();
    }

    /// Returns the first waiter for a value of this type. Removes those before it that have ended.
    pub(super) fn first(&mut self, key: &[u8], value_type: ValueType) -> Option<Arc<Waiter>> {
        let queue = self.0.as_mut()?.queues.get_mut(key)?;
        while queue.takers.first_key_value().is_some_and(|(_, waiter)| !waiter.waits()) {
            queue.takers.pop_first();
        }
        let is_wanted =
            |waiter: &&Arc<Waiter>| waiter.waits() && waiter.wanted().value_type() == value_type;
        let first = queue.takers.values().find(is_wanted).cloned();
        if queue.is_empty() {
            self.0.as_mut()?.queues.remove(key);
        }
        first
    }

    /// Returns those who wait for entries of a key, in the order in which they came.
    pub(super) fn readers(&self, key: &[u8]) -> Vec<Arc<Waiter>> {
        let queue = self.0.as_ref().and_then(|table| table.queues.get(key));
        let readers = queue.into_iter().flat_map(|queue| queue.readers.values());
        readers.filter(|reader| reader.waits()).cloned().collect()
    }

    /// Notes what a waiter has got, until the change is published that took it.
    pub(crate) fn push_served(&mut self, waiter: Arc<Waiter>, served: Served) {
        self.0.get_or_insert_default().served.push((waiter, served));
    }

    /// Tells waiters what they have got. This entry is the last one of their shard.
    #[inline(always)]
    pub(crate) fn tell_served(&mut self, entry: u64) {
        if self.0.is_some() {
            self.tell(|served| WaitOutcome::Served(Served { lsn: entry, ..served }));
        }
    }

    /// Forgets changes that were undone before they were published. Ends the waits of those who have got something by
    /// them.
    pub(crate) fn discard(&mut self, why: WaitEnd) {
        self.take_ready();
        self.tell(|_| WaitOutcome::Ended(why));
    }

    #[cold]
    fn tell(&mut self, outcome: impl Fn(Served) -> WaitOutcome) {
        let Some(table) = &mut self.0 else { return };
        for (waiter, served) in table.served.drain(..) {
            waiter.finish(outcome(served));
        }
        self.shrink();
    }

    /// Ends the waits for the keys that are `gone`.
    pub(crate) fn end_where(&mut self, why: WaitEnd, gone: impl Fn(&[u8]) -> bool) {
        let Some(table) = &mut self.0 else { return };
        table.queues.retain(|key, queue| {
            let is_gone = gone(key);
            if is_gone {
                queue.all().for_each(|waiter| _ = waiter.end(why));
            }
            !is_gone
        });
        self.shrink();
    }

    /// Swaps the waiters of two shards.
    pub(crate) fn swap(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.0, &mut other.0);
    }

    fn shrink(&mut self) {
        // Then changes of the shard need not look at it.
        self.0.take_if(|table| {
            table.queues.is_empty() && table.ready.is_empty() && table.served.is_empty()
        });
    }

    /// Returns the number of keys with a queue, and of waiters in all queues.
    #[cfg(any(test, feature = "test-support"))]
    pub fn len(&self) -> (usize, usize) {
        let queues = self.0.as_ref().map(|table| &table.queues);
        queues.map_or((0, 0), |queues| {
            (queues.len(), queues.values().map(|queue| queue.all().count()).sum())
        })
    }
}
