//! Versions, and the working copy of the writer whose turn it is.

use crate::persistent::log::{Change, Log};
use crate::persistent::map::PersistentMap;
use crate::reclaim::pair::{KeyNode, out_of_memory};
use crate::reclaim::retired::Fresh;

/// A version that is, or was, the current one.
pub(super) struct Version<K, V> {
    pub(super) map: PersistentMap<K, V>,
    /// One more than that of the version that this one replaces. Addresses are used again, numbers are not.
    pub(super) number: u64,
    pub(super) log: Log<K, V>,
}

/// A version as a node of the garbage.
pub(super) type VersionNode<K, V> = KeyNode<Version<K, V>>;

/// What [`SnapshotMap::current`](super::SnapshotMap::current) finds.
pub(super) struct Shown<'g, K, V> {
    pub(super) node: *mut VersionNode<K, V>,
    pub(super) version: Option<&'g Version<K, V>>,
}

impl<'g, K, V> Shown<'g, K, V> {
    /// Returns the map of the version without its log, or `empty`.
    pub(super) fn map(&self, empty: &'g PersistentMap<K, V>) -> &'g PersistentMap<K, V> {
        self.version.map_or(empty, |version| &version.map)
    }

    /// Returns how often it is worth to look for the turn, so that nobody has to replay the log.
    pub(super) fn waits_worth(&self) -> usize {
        self.version.map_or(0, |version| version.log.len() / CHANGES_PER_WAIT)
    }

    /// Returns the number of the version; that of the first one is 1.
    pub(super) fn number(&self) -> u64 {
        self.version.map_or(0, |version| version.number)
    }
}

/// A reader that finds fewer changes than this in the log comes so soon after the one before it that a log pays
/// nothing.
const FEW: usize = 8;

/// How many changes are published one by one at most, before a log is tried again.
const MOST_EAGER: u32 = 1024;

/// Changes in a log for each time that a thread looks once more whether it gets the turn, before it replays the log:
/// that takes milliseconds, as long as it takes until a writer that was descheduled runs again. With eight writers on
/// two cores, all threads together replayed a hundred long logs a second when they waited as for short ones.
const CHANGES_PER_WAIT: usize = 8;

/// Changes in the logs of replaced versions, after which a writer frees these. A version whose log was full has copies
/// of as many leaves, so a whole batch of garbage, 256 versions, would be larger than the map.
const HEAVY: usize = 1024;

/// What the writer whose turn it is works on.
pub(super) struct Working<K, V> {
    /// The version of this number with all changes of its log. No other thread has one that can append to that log.
    copy: Option<(u64, PersistentMap<K, V>)>,
    /// How many changes the log had when a snapshot was taken of the copy.
    shared_at: usize,
    /// Changes to come that are published at once.
    eager: u32,
    /// How many there were the last time.
    last_eager: u32,
    /// Changes in the logs of versions that were replaced since garbage was freed.
    pub(super) weight: usize,
}

/// Makes a version, which is not current yet.
pub(super) fn node_of<K, V>(map: PersistentMap<K, V>, number: u64) -> Fresh<VersionNode<K, V>> {
    let log = Log::new(map.len());
    let made = KeyNode::new(Version { map, number, log });
    made.unwrap_or_else(|version| out_of_memory::<K, V, _, _>(version.map))
}

impl<K, V> Version<K, V> {
    /// Returns the entries with all changes of the log so far.
    ///
    /// # Safety
    /// The caller has sealed the log, or has the turn.
    pub(super) unsafe fn replayed(&self) -> PersistentMap<K, V> {
        // SAFETY: the caller promises that.
        unsafe { self.log.replay(&self.map) }
    }
}

impl<K, V> Working<K, V> {
    pub(super) const fn new() -> Self {
        Self { copy: None, shared_at: 0, eager: 0, last_eager: 0, weight: 0 }
    }

    /// Takes the working copy, or makes one.
    ///
    /// # Safety
    /// This is what the caller's turn is for, and the version is of the same map.
    pub(super) unsafe fn take(&mut self, version: &Version<K, V>) -> PersistentMap<K, V> {
        match self.copy.take() {
            Some((number, map)) if number == version.number => map,
            // SAFETY: the caller has the turn.
            _ => unsafe { version.replayed() },
        }
    }

    /// Returns a clone of the working copy, unless the last snapshot was of the same changes: then a version is better,
    /// which snapshots find without the turn.
    ///
    /// If a version were published for each snapshot, the copy would share all its nodes with it. As it is, the next
    /// changes copy nodes only if the snapshot still lives.
    ///
    /// # Safety
    /// As [`take`](Self::take).
    pub(super) unsafe fn share(&mut self, version: &Version<K, V>) -> Option<PersistentMap<K, V>> {
        let last = core::mem::replace(&mut self.shared_at, version.log.len());
        // SAFETY: the caller promises that.
        (last != self.shared_at).then(|| unsafe { self.take(version) }).inspect(|map| {
            self.copy = Some((version.number, map.clone()));
        })
    }

    /// Returns whether garbage is to be freed now.
    pub(super) fn is_heavy(&mut self) -> bool {
        let is_heavy = self.weight >= HEAVY;
        if is_heavy {
            self.weight = 0;
        }
        is_heavy
    }

    /// Decides, of a log that a reader has ended, whether changes are to be published at once for some time.
    pub(super) fn judge(&mut self, len: usize) {
        self.last_eager = if len < FEW { (2 * self.last_eager).clamp(16, MOST_EAGER) } else { 0 };
        self.eager = self.last_eager;
    }

    /// Returns whether the next change goes into the log.
    pub(super) fn uses_log(&mut self, version: &Version<K, V>) -> bool {
        if self.eager > 0 {
            self.eager -= 1;
            return false;
        }
        version.log.is_open()
    }
}

impl<K: Ord + Clone, V: Clone> Working<K, V> {
    /// Changes the working copy, and appends the change to the log. Returns nothing if the log refuses it. The caller
    /// has the turn.
    #[inline]
    pub(super) fn edit<R>(
        &mut self,
        version: &Version<K, V>,
        change: &mut Option<Change<K, V>>,
        attempt: impl FnOnce(&mut PersistentMap<K, V>, &mut Option<Change<K, V>>) -> R,
    ) -> Option<R> {
        // Not put back if user code panics, or the log is sealed.
        // SAFETY: the caller has the turn.
        let mut map = unsafe { self.take(version) };
        let result = attempt(&mut map, change);
        if let Some(made) = change.take() {
            // SAFETY: the caller has the turn.
            if let Err(made) = unsafe { version.log.append(made) } {
                *change = Some(made);
                self.judge(version.log.len());
                return None;
            }
        }
        self.copy = Some((version.number, map));
        Some(result)
    }
}
