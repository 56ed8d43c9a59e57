//! Entries that were appended to the log and are not written yet.
//!
//! Each thread appends to a buffer of its own, or shares one with few others. One buffer for all was what bounded a
//! server with many event loops: 16 loops made fewer changes a second than 4, each in three times the processor time,
//! most of it spent on the buffer's lock (Xeon, 16 cores).
//!
//! # Numbers
//! A thread takes the number of an entry while it has the lock of its buffer. So a thread that reads the next number,
//! and then locks one buffer after another, finds every entry with a lower number: if it had locked that buffer before
//! the entry's thread did, its read of the next number would have come before the entry's number was taken. It may also
//! find an entry with a higher number and miss one before it. Such entries are kept for the next call, because the
//! entries of a file are in the order of their numbers.
//!
//! # Synchronization
//! - `[AP-1]` `used` is raised before an entry's number is taken, with release ↔ `[AP-2]` a thread reads the next
//!   number, with acquire, and then `used`: it locks the buffers of all entries with lower numbers.

use crate::lock::lock;
use crate::log::api::Lsn;
use crate::log::frame;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

/// The number of buffers. More threads than that share them.
const PARTS: usize = 16;
/// A buffer with a larger capacity is freed after it was written.
const MAX_RETAINED: usize = 256 << 10;
/// Entries in a row that are at least this long are moved with their buffer, and never copied.
const LONG: usize = 256 << 10;

/// Alone on its cache lines, because another thread uses the one beside it.
#[derive(Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// The buffers of all threads.
pub(super) struct Appends {
    next: Apart<AtomicU64>,
    parts: [Apart<Mutex<Vec<u8>>>; PARTS],
    /// The buffers with higher indices are empty and were never used.
    used: AtomicUsize,
}

/// Entries that were taken out of the buffers, and wait for one with a lower number.
#[derive(Default)]
pub(super) struct TakenEntries([EntryRun; PARTS]);

/// Entries of one buffer, in the order of their numbers.
#[derive(Default)]
struct EntryRun {
    bytes: Vec<u8>,
    /// The index of the first entry that was not moved on yet.
    at: usize,
}

/// All buffers, locked.
pub(super) struct LockedAppends<'a> {
    next: &'a AtomicU64,
    parts: Vec<MutexGuard<'a, Vec<u8>>>,
}

/// Returns the index of the calling thread's buffer.
fn own_part() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        // Relaxed: a number that no other thread gets, and nothing else.
        static PART: usize = THREADS.fetch_add(1, Ordering::Relaxed) % PARTS;
    }
    PART.with(|part| *part)
}

impl Appends {
    /// Returns empty buffers. The next entry gets the number `next`.
    pub(super) fn new(next: Lsn) -> Self {
        Self {
            next: Apart(AtomicU64::new(next)),
            parts: Default::default(),
            used: AtomicUsize::new(0),
        }
    }

    /// Returns the number of the next entry.
    pub(super) fn next(&self) -> Lsn {
        // [AP-2] Acquire: pairs with the release in `append`.
        self.next.0.load(Ordering::Acquire)
    }

    /// Appends an entry, and returns its number. Calls `check` under the lock of the thread's buffer first.
    #[inline]
    pub(super) fn append<E>(
        &self,
        check: impl FnOnce() -> Result<(), E>,
        encode: impl FnOnce(&mut Vec<u8>, Lsn),
    ) -> Result<Lsn, E> {
        let part = own_part();
        let mut bytes = lock(&self.parts[part].0);
        check()?;
        // Relaxed: it only rises, so a thread that reads an old value raises it once more.
        if self.used.load(Ordering::Relaxed) <= part {
            // [AP-1] Relaxed: ordered by the release below.
            self.used.fetch_max(part + 1, Ordering::Relaxed);
        }
        // [AP-1] Release: pairs with the acquire in `next`, so the thread that takes the entries sees `used`.
        let lsn = self.next.0.fetch_add(1, Ordering::Release);
        encode(&mut bytes, lsn);
        Ok(lsn)
    }

    /// Moves entries to the end of `pending`, which is empty, in the order of their numbers. Returns the number of the
    /// last one. `last` is the number of the one before.
    ///
    /// The caller has called [`next`](Self::next). The entry behind `last` is among them, if its number is below that
    /// result. So are all with numbers below it, unless they are long: the rest is left for another call.
    pub(super) fn take(&self, taken: &mut TakenEntries, last: Lsn, pending: &mut Vec<u8>) -> Lsn {
        // [AP-2] Relaxed: ordered by the acquire in `next`, so it covers all entries with numbers below its result.
        let used = self.used.load(Ordering::Relaxed);
        for (part, run) in self.parts[..used].iter().zip(&mut taken.0) {
            run.take(&mut lock(&part.0));
        }
        merge(&mut taken.0[..used], last, pending)
    }

    /// Locks all buffers, so that no thread appends meanwhile.
    pub(super) fn lock_all(&self) -> LockedAppends<'_> {
        LockedAppends {
            next: &self.next.0,
            parts: self.parts.iter().map(|part| lock(&part.0)).collect(),
        }
    }
}

impl LockedAppends<'_> {
    /// Returns the number of the next entry.
    pub(super) fn next(&self) -> Lsn {
        // Relaxed: the locks order it after all entries.
        self.next.load(Ordering::Relaxed)
    }

    /// Discards all entries, and those in `taken`. The next number is skipped: no entry gets it.
    pub(super) fn discard(&mut self, taken: &mut TakenEntries) {
        for part in &mut self.parts {
            **part = Vec::new();
        }
        *taken = TakenEntries::default();
        // [AP-1] Release: continues the release sequence of the additions before.
        self.next.fetch_add(1, Ordering::Release);
    }
}

impl EntryRun {
    fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Takes all entries of a buffer.
    fn take(&mut self, part: &mut Vec<u8>) {
        if part.is_empty() {
            return;
        }
        if self.is_empty() {
            self.bytes.clear();
            self.at = 0;
            std::mem::swap(&mut self.bytes, part);
        } else {
            // Entries that were moved on are removed, because under load there may always be one that waits.
            self.bytes.drain(..self.at);
            self.at = 0;
            self.bytes.append(part);
        }
        if part.capacity() > MAX_RETAINED {
            *part = Vec::new();
        }
    }

    /// Returns the entries whose numbers follow `last` without a gap, and the number of the last of them.
    fn following(&self, last: Lsn) -> (Range<usize>, Lsn) {
        let (mut end, mut lsn) = (self.at, last);
        while let Some((next, length)) = frame::number_and_length(&self.bytes[end..])
            && next == lsn + 1
        {
            (lsn, end) = (next, end + length);
        }
        (self.at..end, lsn)
    }
}

/// Moves the entries whose numbers follow `last` without a gap to `pending`, and returns the last number.
fn merge(runs: &mut [EntryRun], mut last: Lsn, pending: &mut Vec<u8>) -> Lsn {
    'entries: loop {
        for run in &mut *runs {
            let (entries, lsn) = run.following(last);
            if entries.is_empty() {
                continue;
            }
            let is_long = entries.len() >= LONG;
            if pending.is_empty()
                && entries.start == 0
                && (is_long || entries.end == run.bytes.len())
            {
                // Swaps the buffers instead of copying a long run. What is left waits for an entry of another buffer.
                std::mem::swap(pending, &mut run.bytes);
                run.bytes.extend_from_slice(&pending[entries.end..]);
                pending.truncate(entries.end);
            // A long run goes alone at the next call, with its own buffer.
            } else if pending.len() >= LONG || is_long && !pending.is_empty() {
                return last;
            } else {
                run.at = entries.end;
                pending.extend_from_slice(&run.bytes[entries]);
            }
            last = lsn;
            continue 'entries;
        }
        return last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    fn encode(bytes: &mut Vec<u8>, lsn: Lsn, changes: &[u8]) {
        frame::encode(bytes, 0, lsn, 0, frame::crc(changes), changes);
    }

    fn append(appends: &Appends, changes: &[u8]) -> Lsn {
        let appended =
            appends.append(|| Ok::<_, Infallible>(()), |bytes, lsn| encode(bytes, lsn, changes));
        appended.unwrap()
    }

    /// Appends an entry to the buffer of another thread. Its number was taken before.
    fn append_elsewhere(appends: &Appends, lsn: Lsn, changes: &[u8]) {
        let part = (own_part() + 1) % PARTS;
        appends.used.fetch_max(part + 1, Ordering::Relaxed);
        encode(&mut lock(&appends.parts[part].0), lsn, changes);
    }

    fn numbers(mut bytes: &[u8]) -> Vec<Lsn> {
        let mut all = Vec::new();
        while let Some((lsn, length)) = frame::number_and_length(bytes) {
            all.push(lsn);
            bytes = &bytes[length..];
        }
        all
    }

    #[test]
    fn an_entry_waits_for_the_one_before() {
        let (appends, mut taken, mut pending) =
            (Appends::new(1), TakenEntries::default(), Vec::new());
        assert_eq!(append(&appends, b"one"), 1);
        // A thread has taken this number, and its entry follows.
        let late = appends.next.0.fetch_add(1, Ordering::Release);
        assert_eq!(append(&appends, b"three"), 3);
        let last = appends.take(&mut taken, 0, &mut pending);
        assert_eq!(last, 1, "an entry is written before its predecessor");
        assert_eq!(numbers(&pending), [1]);

        pending.clear();
        append_elsewhere(&appends, late, b"two");
        assert_eq!(append(&appends, b"four"), 4);
        assert_eq!(appends.take(&mut taken, 1, &mut pending), 4);
        assert_eq!(numbers(&pending), [2, 3, 4]);
        pending.clear();
        assert_eq!(appends.take(&mut taken, 4, &mut pending), 4);
        assert!(pending.is_empty(), "entries are written twice");
    }

    #[test]
    fn long_entries_are_not_copied() {
        let (appends, mut taken, mut pending) =
            (Appends::new(1), TakenEntries::default(), Vec::new());
        let late = appends.next.0.fetch_add(1, Ordering::Release);
        append_elsewhere(&appends, late, b"short");
        append(&appends, &vec![b'x'; LONG]);
        append_elsewhere(&appends, appends.next.0.fetch_add(1, Ordering::Release), b"short");
        append(&appends, b"short");
        let address = lock(&appends.parts[own_part()].0).as_ptr();

        assert_eq!(appends.take(&mut taken, 0, &mut pending), 1, "the long entry is copied");
        pending.clear();
        assert_eq!(appends.take(&mut taken, 1, &mut pending), 2);
        assert_eq!(pending.as_ptr(), address, "the long entry is copied");
        pending.clear();
        assert_eq!(appends.take(&mut taken, 2, &mut pending), 4);
        assert_eq!(numbers(&pending), [3, 4]);
    }

    #[test]
    fn what_is_discarded_leaves_no_number_out_but_one() {
        let (appends, mut taken, mut pending) =
            (Appends::new(1), TakenEntries::default(), Vec::new());
        append(&appends, b"one");
        appends.next.0.fetch_add(1, Ordering::Release);
        append(&appends, b"three");
        assert_eq!(appends.take(&mut taken, 0, &mut pending), 1);
        append(&appends, b"four");
        pending.clear();

        let mut all = appends.lock_all();
        assert_eq!(all.next(), 5);
        all.discard(&mut taken);
        drop(all);
        assert_eq!(append(&appends, b"six"), 6);
        assert_eq!(appends.take(&mut taken, 5, &mut pending), 6);
        assert_eq!(numbers(&pending), [6], "a discarded entry is written");
    }

    #[test]
    fn entries_that_always_wait_take_no_more_and_more_memory() {
        let (appends, mut taken) = (Appends::new(1), TakenEntries::default());
        let (mut last, mut late) = (0, appends.next.0.fetch_add(1, Ordering::Release));
        for _ in 0..200 {
            append(&appends, b"early");
            let mut pending = Vec::new();
            assert_eq!(appends.take(&mut taken, last, &mut pending), last, "no entry comes first");
            append_elsewhere(&appends, late, b"late");
            late = appends.next.0.fetch_add(1, Ordering::Release);
            append(&appends, b"early");
            last = appends.take(&mut taken, last, &mut pending);
            assert_eq!(last + 1, late);
        }
        let kept: usize = taken.0.iter().map(|run| run.bytes.len()).sum();
        assert!(kept < 1000, "{kept} bytes of one entry that waits");
    }

    /// More threads than buffers. Takes bring all entries whose numbers were taken before them.
    #[test]
    fn threads_append_while_another_takes() {
        const EACH: u64 = if cfg!(miri) { 20 } else { 2_000 };
        let (appends, mut taken, over) =
            (Appends::new(1), TakenEntries::default(), AtomicBool::new(false));
        let threads = PARTS as u64 + 3;
        let (mut last, mut found) = (0, Vec::new());
        thread::scope(|scope| {
            let (appends, over) = (&appends, &over);
            let writers: Vec<_> = (0..threads)
                .map(|thread| {
                    let changes = vec![thread as u8; 1 + thread as usize];
                    scope.spawn(move || {
                        for _ in 0..EACH {
                            append(appends, &changes);
                        }
                    })
                })
                .collect();
            scope.spawn(move || {
                for writer in writers {
                    writer.join().unwrap();
                }
                // Release: pairs with the acquire below, so the last take finds everything.
                over.store(true, Ordering::Release);
            });
            let mut ends = false;
            while !ends {
                // Acquire: pairs with the release above.
                ends = over.load(Ordering::Acquire);
                let next = appends.next();
                while last + 1 < next {
                    let (before, mut pending) = (last, Vec::new());
                    last = appends.take(&mut taken, last, &mut pending);
                    assert!(last > before, "an entry is missing");
                    found.extend(numbers(&pending));
                }
            }
        });
        assert!(found.into_iter().eq(1..=threads * EACH), "the entries are not in order");
    }
}
