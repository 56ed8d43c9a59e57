//! The log of a node of a cluster, as the database sees it: [`EtcdLog`].
//!
//! `append` only counts, and copies the bytes to a queue. The node's driver takes the queue and gives it to the
//! protocol, which puts batches into etcd and says which entries are committed. The [local log](local_log) keeps those
//! in the node's own folder; [`changes`] is the format of entries.
//!
//! # Terms
//! A *term* is a number that grows by one whenever the node becomes the primary, and when it ceases to be. It is odd
//! while the node is the primary. [`Log::epoch`] returns it, because an epoch of the group says nothing about
//! this node: it may lose the group and win it back.
//!
//! # Lease checks
//! An answer of a primary leaves only if the node was still the primary when the request was evaluated: the lease had
//! not ended, or etcd has confirmed the node since. Both are times of `CLOCK_BOOTTIME`, here in
//! microseconds. A follower's answers need no lease check: they may be stale, and the view says how old they may be.
//!
//! # Lock order
//! Shards; then `progress`; then one of `queue` and `lease`; then `slots`. A thread that takes `on_progress` holds no
//! other.

pub(super) mod changes;
pub mod local_log;
pub(super) mod slot_history;

use crate::log::local_log::LocalLog;
use crate::log::local_log::position::logged_mark;
use crate::log::slot_history::SlotHistory;
use crate::measure::clock;
use crate::measure::counters::LeaseCheckCounts;
use hedgerow_db_engine::gauge::Gauge;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::log::change::{LoggedChanges, LoggedOp};
use hedgerow_db_engine::log::{Epoch, LeaseCheck, Log, LogError, Lsn, Position, ReadIndex};
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_group::Entry;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The length from which on an entry gets no more changes: several fit into one batch.
const LONG_ENTRY: usize = 128 << 10;
/// How long a thread waits at most before it looks again: only a net below the notifications.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The settings of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogSettings {
    /// The cluster's id.
    pub(crate) cluster: [u8; 16],
    /// The incarnation of the group's log.
    pub(crate) incarnation: u64,
    /// The group's number.
    pub(crate) group: u32,
    /// The most bytes that a request may add to the log.
    pub(crate) largest_request: usize,
}

/// The callbacks of [`Log::on_progress`].
type ProgressCallback = Arc<dyn Fn() + Send + Sync>;

/// The log that the nodes of a group share.
pub(crate) struct EtcdLog {
    settings: LogSettings,
    local_log: Arc<LocalLog>,
    /// The slots that the group owns. Changed under the locks of their shards.
    slots: Mutex<SlotHistory>,
    queue: Mutex<EntryQueue>,
    /// The last entry that was appended here, or applied.
    last: AtomicU64,
    /// The last entry that may be acknowledged.
    committed: AtomicU64,
    writable: AtomicBool,
    /// Whether changes are refused because etcd's storage quota is nearly used up.
    full: AtomicBool,
    /// Whether the server should not read from its clients: the group is being handed over.
    holding: AtomicBool,
    /// See the module's text.
    term: AtomicU64,
    /// The group's epoch in which this node has become the primary.
    group_epoch: AtomicU64,
    lease: Mutex<PrimaryLease>,
    lease_check_counts: Arc<LeaseCheckCounts>,
    /// Whether an answer waits for a lease check since the driver was last told.
    lease_check_wanted: AtomicBool,
    /// Bytes that the protocol has taken and etcd does not have.
    pending: Gauge,
    /// Bytes in the queue.
    queued: Gauge,
    /// Bytes of replaced values that stay in memory until their entries are committed: those of `EntryQueue::held`.
    held: Gauge,
    progress: Mutex<()>,
    progressed: Condvar,
    on_progress: Mutex<Vec<ProgressCallback>>,
    /// Wakes the driver.
    wake: Box<dyn Fn() + Send + Sync>,
}

/// Entries that the driver has not taken yet.
#[derive(Default)]
struct EntryQueue {
    entries: Vec<Entry>,
    /// The number of entries for which the driver wants to be woken, or 0. While a transaction is in flight it does
    /// not: it looks when the answer comes.
    wanted: usize,
    closed: bool,
    /// The uncommitted entries that keep replaced values in memory, with the bytes of these.
    held: VecDeque<(Lsn, u64)>,
}

/// The lease of this node as the primary, in one term.
#[derive(Clone, Copy, Default)]
struct PrimaryLease {
    term: u64,
    /// The end of the lease, in microseconds.
    until: u64,
    /// When the last request was sent that etcd answered with this node as the primary, in microseconds.
    sent: u64,
}

impl EtcdLog {
    /// Makes the log of a node that has the entries up to `last`, and whose group owns `slots`. `wake` tells the driver
    /// to look at the log; it must not block.
    pub(crate) fn new(
        settings: LogSettings,
        local_log: Arc<LocalLog>,
        (last, slots): (Lsn, SlotSet),
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        Self {
            settings,
            local_log,
            slots: Mutex::new(SlotHistory::of(slots)),
            queue: Mutex::default(),
            last: AtomicU64::new(last),
            committed: AtomicU64::new(last),
            writable: AtomicBool::new(false),
            full: AtomicBool::new(false),
            holding: AtomicBool::new(false),
            term: AtomicU64::new(0),
            group_epoch: AtomicU64::new(0),
            lease: Mutex::default(),
            lease_check_counts: Arc::default(),
            lease_check_wanted: AtomicBool::new(false),
            pending: Gauge::default(),
            queued: Gauge::default(),
            held: Gauge::default(),
            progress: Mutex::new(()),
            progressed: Condvar::new(),
            on_progress: Mutex::default(),
            wake,
        }
    }

    // ---------------------------------------------------------------------------- for the driver

    /// Takes the appended entries, if there are `least` of them. Otherwise the driver is woken when there are.
    pub(crate) fn take(&self, least: usize) -> Vec<Entry> {
        let mut queue = lock(&self.queue);
        if queue.entries.len() < least {
            queue.wanted = least;
            return Vec::new();
        }
        queue.wanted = 0;
        self.queued.set(0);
        std::mem::take(&mut queue.entries)
    }

    /// Returns the number and the bytes of the entries that the driver has not taken.
    pub(crate) fn waiting(&self) -> (usize, u64) {
        (lock(&self.queue).entries.len(), self.queued.get())
    }

    /// Whether an answer waits for a lease check since the last call.
    pub(crate) fn take_lease_check_wanted(&self) -> bool {
        // Acquire: pairs with the release in `check_lease`, so a lease check that is wanted after this call has an
        // evaluation before it.
        self.lease_check_wanted.swap(false, Ordering::Acquire)
    }

    /// Begins a term as the primary. `begin` is the entry that begins the group's epoch.
    pub(crate) fn begin_term(&self, begin: Lsn, epoch: Epoch) {
        self.set_reached(begin);
        // Relaxed: read after the term.
        self.group_epoch.store(epoch, Ordering::Relaxed);
        // Release: pairs with the acquire in `epoch`, so a worker that sees the term sees the entries before it.
        self.term.fetch_add(1, Ordering::Release);
        // Relaxed: read under the locks of shards. The state's role has changed under all of them before.
        self.writable.store(true, Ordering::Relaxed);
        self.tell();
    }

    /// Returns the group's epoch, if this node is its primary.
    pub(crate) fn primary_epoch(&self) -> Option<Epoch> {
        // Relaxed: `epoch` acquires the term, and with it an epoch of this term or a later one.
        self.is_primary().then(|| self.group_epoch.load(Ordering::Relaxed))
    }

    /// Ends the term: from now on no change begins, no lease check passes, and no uncommitted entry
    /// is committed any more. Returns false if this node was not the primary.
    pub(crate) fn end_term(&self) -> bool {
        // Relaxed: `State::step_down` takes the locks of all shards afterwards, so a change either comes before it, or
        // sees this.
        self.writable.store(false, Ordering::Relaxed);
        if !self.is_primary() {
            return false;
        }
        // Release: pairs with the acquire in `epoch`, so a worker that sees the new term sees the new view.
        self.term.fetch_add(1, Ordering::Release);
        self.pending.set(0);
        // The state without entries that will never be committed is loaded anew.
        self.release_held(Lsn::MAX);
        self.tell();
        true
    }

    /// Refuses changes, while the node stays the primary: entries that were appended can still be committed.
    pub(crate) fn refuse_changes(&self) {
        // Relaxed: as in `end_term`.
        self.writable.store(false, Ordering::Relaxed);
    }

    /// Accepts changes again.
    pub(crate) fn accept_changes(&self) {
        // Relaxed: as in `begin_term`.
        self.writable.store(true, Ordering::Relaxed);
    }

    /// Sets whether changes are refused because etcd's storage quota is nearly used up.
    pub(crate) fn set_full(&self, full: bool) {
        // Relaxed: a change that does not see it yet is one more of those that wait already.
        self.full.store(full, Ordering::Relaxed);
    }

    /// Sets whether the server should not read from its clients for a moment.
    pub(crate) fn hold(&self, holding: bool) {
        // A build for the check of the chaos run's checkers, which must report what its clients write meanwhile.
        let holding = holding && !cfg!(hedgerow_no_ownership);
        // Relaxed: a hint. A worker that reads the old value reads one more time from its clients.
        if self.holding.swap(holding, Ordering::Relaxed) && !holding {
            self.tell();
        }
    }

    /// Notes that entries up to this one are committed, and part of the state.
    pub(crate) fn set_committed(&self, lsn: Lsn) {
        // Release: pairs with the acquire in `committed`, so a thread that acknowledges an entry sees that it is
        // committed.
        self.committed.fetch_max(lsn, Ordering::Release);
        self.release_held(lsn);
    }

    /// Counts the values that entries up to this one have replaced no more.
    fn release_held(&self, lsn: Lsn) {
        // Followers hold none, and call this under the locks of shards.
        if self.held.get() == 0 {
            return;
        }
        let mut queue = lock(&self.queue);
        while let Some(&(entry, bytes)) = queue.held.front()
            && entry <= lsn
        {
            queue.held.pop_front();
            self.held.sub(bytes);
        }
    }

    /// Notes that a follower's state has the entries up to this one. The caller holds the locks of the shards that the
    /// entry changed.
    pub(crate) fn set_reached(&self, lsn: Lsn) {
        // Release: pairs with the acquire in `last`, so a snapshot that reads the number after the shard has the entry.
        self.last.store(lsn, Ordering::Release);
        self.set_committed(lsn);
    }

    /// Returns the last entry that the state has.
    pub(crate) fn reached(&self) -> Lsn {
        // Acquire: pairs with the release in `set_reached` and `append`.
        self.last.load(Ordering::Acquire)
    }

    /// Renews the lease of this term: notes its end and the time of the last confirmation.
    pub(crate) fn renew_lease(&self, until: u64, sent: u64) {
        // Acquire: pairs with the release in `begin_term`; only this thread changes it.
        let term = self.term.load(Ordering::Acquire);
        *lock(&self.lease) = PrimaryLease { term, until, sent };
    }

    /// Notes the bytes that the protocol has and etcd does not.
    pub(crate) fn set_pending(&self, bytes: usize) {
        self.pending.set(bytes as u64);
    }

    /// Wakes all threads that wait for the log.
    pub(crate) fn tell(&self) {
        drop(lock(&self.progress));
        self.progressed.notify_all();
        let callbacks = lock(&self.on_progress).clone();
        for callback in callbacks {
            callback();
        }
    }

    /// Returns the counts of lease checks that passed.
    pub(crate) fn lease_check_counts(&self) -> &Arc<LeaseCheckCounts> {
        &self.lease_check_counts
    }

    /// Returns the local log.
    pub(crate) fn local_log(&self) -> &Arc<LocalLog> {
        &self.local_log
    }

    // ---------------------------------------------------------------------------- for the trait

    /// Whether this node is the primary, as far as workers may know.
    fn is_primary(&self) -> bool {
        !self.epoch().is_multiple_of(2)
    }

    /// Returns the outcome of an entry, if that is decided.
    fn outcome(&self, lsn: Lsn) -> Option<Result<(), LogError>> {
        // Before `committed`: an entry that is committed before the term ends stays so, even if the term ends
        // meanwhile.
        let is_primary = self.is_primary();
        if self.committed() >= lsn {
            return Some(Ok(()));
        }
        if lsn == Lsn::MAX || !is_primary {
            return Some(Err(LogError::Deposed));
        }
        lock(&self.queue).closed.then_some(Err(LogError::Closed))
    }

    /// Notes the slots that the group gets or loses by an entry.
    fn note_slots(&self, entry: Lsn, changes: &[u8]) {
        let (slots, owned) = match LoggedChanges::new(changes).next() {
            Some(Ok(LoggedOp::Out(_, slots))) => (slots, false),
            Some(Ok(LoggedOp::Own(_, slots))) => (slots, true),
            _ => return,
        };
        self.assign_slots(entry, &SlotSet::from_bits(slots), owned);
    }

    /// Wakes the driver if it waits for as many entries as there are.
    fn nudge(&self) {
        let mut queue = lock(&self.queue);
        if queue.wanted > 0 && queue.entries.len() >= queue.wanted {
            queue.wanted = 0;
            drop(queue);
            (self.wake)();
        }
    }

    /// Waits until `decided` returns something.
    fn wait_until<T>(&self, decided: impl Fn() -> Option<T>) -> T {
        // `tell` takes this lock before it notifies, so no notification comes between the check and the wait.
        let mut progress = lock(&self.progress);
        loop {
            if let Some(decided) = decided() {
                return decided;
            }
            let woken = self.progressed.wait_timeout(progress, LOOK_AGAIN);
            progress = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Log for EtcdLog {
    fn append(&self, time: u64, changes: &[u8]) -> Result<Lsn, LogError> {
        self.append_holding(time, changes, 0)
    }

    fn append_holding(&self, time: u64, changes: &[u8], held: usize) -> Result<Lsn, LogError> {
        // Copied before the lock: it is most of the work.
        let changes = changes.to_vec();
        let mut queue = lock(&self.queue);
        if queue.closed {
            return Err(LogError::Closed);
        }
        // Relaxed: only this function stores it while the node is the primary, under the lock of the queue.
        let lsn = self.last.load(Ordering::Relaxed) + 1;
        // Before the number is published: a snapshot that ends with this entry has the slots behind it.
        self.note_slots(lsn, &changes);
        // Release: as in `set_reached`, it pairs with the acquire in `reached`.
        self.last.store(lsn, Ordering::Release);
        self.queued.add(changes.len() as u64);
        if held > 0 {
            // Under the lock, as it is removed: the entry is not committed before the driver has taken it.
            self.held.add(held as u64);
            queue.held.push_back((lsn, held as u64));
        }
        queue.entries.push(Entry { lsn, time, changes });
        Ok(lsn)
    }

    #[inline]
    fn writable(&self) -> bool {
        // Relaxed: the caller holds a shard's lock, and both changes are ordered by these locks; see `begin_term` and
        // `end_term`. The other flag as in `set_full`.
        self.writable.load(Ordering::Relaxed) && !self.full.load(Ordering::Relaxed)
    }

    fn is_full(&self) -> bool {
        // Relaxed: as in `writable`. A primary that was deposed refuses changes for that reason first.
        self.writable.load(Ordering::Relaxed) && self.full.load(Ordering::Relaxed)
    }

    fn last(&self) -> Lsn {
        self.reached()
    }

    fn commit(&self, lsn: Lsn) -> Result<bool, LogError> {
        if let Some(outcome) = self.outcome(lsn) {
            return outcome.map(|()| true);
        }
        self.nudge();
        Ok(false)
    }

    fn wait(&self, lsn: Lsn) -> Result<(), LogError> {
        if self.commit(lsn)? { Ok(()) } else { self.wait_until(|| self.outcome(lsn)) }
    }

    #[inline]
    fn committed(&self) -> Lsn {
        // Acquire: pairs with the release in `set_committed`.
        self.committed.load(Ordering::Acquire)
    }

    fn on_progress(&self, told: Box<dyn Fn() + Send + Sync>) {
        lock(&self.on_progress).push(Arc::from(told));
    }

    #[inline]
    fn epoch(&self) -> Epoch {
        // Acquire: pairs with the release in `begin_term` and `end_term`, so a request that is evaluated after this
        // load is evaluated in this term or a later one.
        self.term.load(Ordering::Acquire)
    }

    fn read_index(&self, before: Epoch) -> ReadIndex {
        // If the term has changed meanwhile, no lease check of this one passes any more.
        let time = if before.is_multiple_of(2) { 0 } else { clock::micros() };
        ReadIndex { epoch: before, time }
    }

    fn check_lease(&self, read_index: &ReadIndex) -> LeaseCheck {
        let lease = *lock(&self.lease);
        if self.epoch() != read_index.epoch {
            return LeaseCheck::Failed;
        }
        if read_index.epoch.is_multiple_of(2) {
            return LeaseCheck::Passed;
        }
        // Less, and not equal: within one microsecond, the request to etcd may have been sent before the evaluation.
        let is_leased = read_index.time < lease.until;
        if lease.term == read_index.epoch && (is_leased || read_index.time < lease.sent) {
            let Self { lease_check_counts: counts, .. } = self;
            if is_leased { &counts.by_lease } else { &counts.by_log }.add(1);
            return LeaseCheck::Passed;
        }
        // Release: pairs with the acquire in `take_lease_check_wanted`.
        if !self.lease_check_wanted.swap(true, Ordering::Release) {
            self.lease_check_counts.waited.add(1);
            (self.wake)();
        }
        LeaseCheck::Pending
    }

    fn wait_lease_check(&self, read_index: &ReadIndex) -> Result<(), LogError> {
        self.wait_until(|| match self.check_lease(read_index) {
            LeaseCheck::Passed => Some(Ok(())),
            LeaseCheck::Failed => Some(Err(LogError::Deposed)),
            LeaseCheck::Pending => None,
        })
    }

    fn longest_entry(&self) -> usize {
        LONG_ENTRY
    }

    fn largest_request(&self) -> usize {
        self.settings.largest_request
    }

    fn backlog(&self) -> usize {
        // Relaxed: a hint; see `hold`.
        if self.holding.load(Ordering::Relaxed) {
            // Beyond every bound, so that the server stops reading.
            return usize::MAX;
        }
        (self.queued.get() + self.pending.get() + self.held.get()) as usize
    }

    fn position(&self, last: Lsn) -> Option<Position> {
        let mark = self.local_log.mark_at(last);
        let LogSettings { cluster, incarnation, group, .. } = self.settings;
        Some(Position {
            cluster,
            group,
            incarnation,
            epoch: mark.map_or(0, |mark| mark.epoch),
            slots: lock(&self.slots).at(last),
            batch: mark.map(|mark| (mark.first, logged_mark(&mark))),
            batch_hash: self.local_log.batch_hash(last).unwrap_or_else(|why| {
                tracing::warn!("{why}; the snapshot will not name its last batch");
                None
            }),
        })
    }

    fn slots(&self) -> SlotSet {
        lock(&self.slots).at(Lsn::MAX)
    }

    fn assign_slots(&self, entry: Lsn, slots: &SlotSet, owned: bool) {
        lock(&self.slots).note(entry, slots, owned);
    }

    fn rotate(&self) -> Result<Lsn, LogError> {
        self.local_log.log().rotate()
    }

    fn drop_before(&self, first: Lsn) -> Result<(), LogError> {
        self.local_log.drop_before(first)
    }

    /// Waits until all that was appended is committed, and on this node's disk.
    fn sync(&self) -> Result<(), LogError> {
        let last = self.last();
        self.wait(last)?;
        // Entries come to the local log soon after they are committed.
        self.wait_until(|| {
            if self.local_log.position().lsn >= last {
                return Some(Ok(()));
            }
            lock(&self.queue).closed.then_some(Err(LogError::Closed))
        })?;
        self.local_log.log().sync()
    }

    fn bytes(&self) -> u64 {
        self.local_log.log().bytes()
    }

    /// Refuses further entries, and closes the local log. Entries that etcd does not have are not waited for: the
    /// driver has released the group before, which waits for them.
    fn close(&self) -> Result<(), LogError> {
        lock(&self.queue).closed = true;
        self.refuse_changes();
        self.tell();
        let closed = self.local_log.close();
        // Callbacks may own what owns the log: without this, neither would be freed.
        let callbacks = std::mem::take(&mut *lock(&self.on_progress));
        drop(callbacks);
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_engine::log::Fsync;
    use hedgerow_db_engine::log::file::FileLog;
    use hedgerow_db_engine::log::folder::Folder;

    /// A log whose local log has no entries, and the number of times that it has woken its driver.
    fn log() -> (tempfile::TempDir, Arc<EtcdLog>, Arc<Gauge>) {
        let folder = tempfile::tempdir().unwrap();
        let claimed = Folder::claim(folder.path()).unwrap();
        let (file, _) =
            FileLog::open(claimed, Fsync::EverySecond, 1, 0, &mut |_, _, _| Ok(())).unwrap();
        let local_log = Arc::new(LocalLog::new(Arc::new(file), None).unwrap());
        let settings =
            LogSettings { cluster: [7; 16], incarnation: 1, group: 0, largest_request: 1000 };
        let wakes = Arc::new(Gauge::default());
        let of_log = Arc::clone(&wakes);
        let wake = Box::new(move || {
            of_log.add(1);
        });
        (folder, Arc::new(EtcdLog::new(settings, local_log, (0, SlotSet::all()), wake)), wakes)
    }

    #[test]
    fn an_entry_is_acknowledged_once_it_is_committed() {
        let (_folder, log, _) = log();
        assert!(!log.writable());
        log.begin_term(1, 1);
        assert!(log.writable() && (log.last(), log.committed()) == (1, 1));
        assert_eq!((log.append(5, b"one").unwrap(), log.append(6, b"two").unwrap()), (2, 3));
        assert!(!log.commit(2).unwrap());
        let taken: Vec<_> = log.take(1).iter().map(|entry| (entry.lsn, entry.time)).collect();
        assert_eq!(taken, [(2, 5), (3, 6)]);
        log.set_committed(2);
        assert!(log.commit(2).unwrap() && !log.commit(3).unwrap());
        let waiter = Arc::clone(&log);
        let waits = std::thread::spawn(move || waiter.wait(3));
        log.set_committed(3);
        log.tell();
        waits.join().unwrap().unwrap();
    }

    #[test]
    fn entries_of_a_term_that_is_over_are_never_committed() {
        let (_folder, log, _) = log();
        log.begin_term(1, 1);
        log.append(5, b"one").unwrap();
        let waiter = Arc::clone(&log);
        let waits = std::thread::spawn(move || waiter.wait(2));
        assert!(log.end_term() && !log.end_term());
        assert!(matches!(log.commit(2), Err(LogError::Deposed)), "it is waited for without end");
        assert!(matches!(waits.join().unwrap(), Err(LogError::Deposed)));
        assert!(matches!(log.commit(Lsn::MAX), Err(LogError::Deposed)));
        assert!(log.commit(1).unwrap(), "this one was committed");
        // A change that had begun is counted, so that the state is thrown away.
        assert_eq!(log.append(6, b"late").unwrap(), 3);
    }

    #[test]
    fn an_answer_needs_a_lease_check_of_its_own_term() {
        let (_folder, log, wakes) = log();
        let as_follower = log.read_index(log.epoch());
        assert_eq!(log.check_lease(&as_follower), LeaseCheck::Passed);
        log.begin_term(1, 1);
        assert_eq!(
            log.check_lease(&as_follower),
            LeaseCheck::Failed,
            "the view may have changed meanwhile"
        );

        let first = log.read_index(log.epoch());
        assert_eq!(log.check_lease(&first), LeaseCheck::Pending);
        assert_eq!((wakes.get(), log.take_lease_check_wanted()), (1, true));
        log.renew_lease(first.time, first.time);
        assert_eq!(log.check_lease(&first), LeaseCheck::Pending, "not later than the evaluation");
        log.renew_lease(0, first.time + 1);
        assert_eq!(log.check_lease(&first), LeaseCheck::Passed, "etcd has confirmed it since");
        log.renew_lease(first.time + 1, 0);
        assert_eq!(log.check_lease(&first), LeaseCheck::Passed, "the lease lasts");

        log.renew_lease(u64::MAX, u64::MAX);
        log.end_term();
        assert_eq!(log.check_lease(&first), LeaseCheck::Failed);
        assert!(matches!(log.wait_lease_check(&first), Err(LogError::Deposed)));
        log.begin_term(2, 1);
        assert_eq!(log.check_lease(&first), LeaseCheck::Failed, "it outlives its term");
        let second = log.read_index(log.epoch());
        assert_eq!(
            log.check_lease(&second),
            LeaseCheck::Pending,
            "a lease of the term before counts"
        );
    }

    #[test]
    fn the_driver_is_woken_once() {
        let (_folder, log, wakes) = log();
        log.begin_term(1, 1);
        log.append(5, b"one").unwrap();
        log.commit(2).unwrap();
        assert_eq!(wakes.get(), 0, "a transaction is in flight: the driver looks by itself");
        assert_eq!((log.take(1).len(), log.take(1).len()), (1, 0));
        log.append(5, b"two").unwrap();
        assert_eq!(wakes.get(), 0, "appending wakes nobody: it is done under locks");
        log.commit(3).unwrap();
        log.commit(3).unwrap();
        assert_eq!(wakes.get(), 1);
        assert_eq!((log.take(2).len(), log.take(1).len()), (0, 1));
        assert_eq!(log.take(2).len(), 0);
        log.append(5, b"three").unwrap();
        log.commit(4).unwrap();
        assert_eq!(wakes.get(), 1, "one entry is not enough");
        log.append(5, b"four").unwrap();
        log.commit(5).unwrap();
        assert_eq!((wakes.get(), log.take(2).len()), (2, 2));
    }

    #[test]
    fn clients_wait_for_a_backlog_and_for_the_next_primary() {
        let (_folder, log, _) = log();
        log.begin_term(1, 1);
        log.append(5, &[0; 100]).unwrap();
        log.set_pending(1000);
        assert_eq!(log.backlog(), 1100);
        log.take(0);
        assert_eq!(log.backlog(), 1000);
        log.hold(true);
        assert_eq!(log.backlog(), usize::MAX);
        log.hold(false);
        assert_eq!((log.backlog(), log.largest_request()), (1000, 1000));
    }

    /// A large value that a small one has replaced stays in memory until the entry of the small one is committed.
    #[test]
    fn replaced_values_wait_as_their_entries_do() {
        let (_folder, log, _) = log();
        log.begin_term(1, 1);
        log.append_holding(5, &[0; 10], 1000).unwrap();
        log.append(5, &[0; 10]).unwrap();
        log.append_holding(5, &[0; 10], 500).unwrap();
        assert_eq!(log.backlog(), 1530, "replaced values wait beside the backlog");
        assert_eq!(log.waiting(), (3, 30), "batches are gathered by their own bytes");
        log.take(0);
        assert_eq!(log.backlog(), 1500);
        log.set_committed(3);
        assert_eq!(log.backlog(), 500, "the values of entries that are committed wait");
        log.set_committed(4);
        assert_eq!(log.backlog(), 0);
        log.append_holding(5, &[0; 10], 700).unwrap();
        log.take(0);
        log.end_term();
        assert_eq!(log.backlog(), 0, "values of a term that is over wait");
    }

    #[test]
    fn a_full_log_refuses_changes_until_there_is_room() {
        let (_folder, log, _) = log();
        log.set_full(true);
        assert!(!log.is_full(), "a follower refuses changes for another reason");
        log.begin_term(1, 1);
        assert!(!log.writable() && log.is_full(), "a full log takes changes");
        log.set_full(false);
        assert!(log.writable() && !log.is_full());
        log.set_full(true);
        log.end_term();
        assert!(!log.writable() && !log.is_full());
    }

    #[test]
    fn a_log_that_is_closed_takes_nothing() {
        let (_folder, log, _) = log();
        log.begin_term(1, 1);
        log.close().unwrap();
        assert!(matches!(log.append(5, b"one"), Err(LogError::Closed)) && !log.writable());
    }
}
