//! The thread that forces a node's own disk.
//!
//! A disk that hangs reports nothing: each thread that uses it waits. So the thread notes when it begins to force the
//! disk, and the driver looks how long that takes ([`hangs`]).

use crate::log::local_log::{DiskCondition, LocalLog};
use crate::measure::clock;
use crate::measure::counters::ClusterCounters;
use crate::node::message::{ApplierReport, DriverMessage, Inbox};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often the disk is forced at least, if there is something to force.
const PERIOD: Duration = Duration::from_secs(1);
/// Bytes after which it is forced sooner.
const BYTES: usize = 8 << 20;
/// How long forcing the disk may take until the disk counts as one that hangs, in milliseconds. A disk that works
/// takes less as a rule: it is forced after some MiB. More may wait in the system's cache if other programs write much,
/// and then a slow disk counts as one that hangs until it has answered.
const HANGS: u64 = 10_000;

/// The thread that forces the local log to the disk.
pub(crate) struct DiskThread {
    pushed: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How another thread says that it has given bytes to the local log.
pub(crate) struct PushedBytes {
    bytes: usize,
    sender: SyncSender<()>,
}

impl PushedBytes {
    /// Notes bytes. Returns at once.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes >= BYTES {
            self.bytes = 0;
            // A full channel says the same already.
            if let Err(TrySendError::Disconnected(())) = self.sender.try_send(()) {}
        }
    }
}

impl DiskThread {
    /// Starts the thread, which tells `inbox` what is on the disk.
    pub(crate) fn start(
        local_log: Arc<LocalLog>,
        inbox: Inbox,
        counters: Arc<ClusterCounters>,
    ) -> std::io::Result<(Self, PushedBytes)> {
        let (sender, pushes) = sync_channel(1);
        let thread = thread::Builder::new().name("hedgerow-cluster-disk".into());
        let thread = thread.spawn(move || run(&local_log, &inbox, &pushes, &counters))?;
        let pushed = PushedBytes { bytes: 0, sender: sender.clone() };
        Ok((Self { pushed: Some(sender), thread: Some(thread) }, pushed))
    }
}

impl Drop for DiskThread {
    fn drop(&mut self) {
        drop(self.pushed.take());
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has printed its message.
            let _ = thread.join();
        }
    }
}

/// Returns whether the disk hangs, by the thread that forces it.
pub(crate) fn hangs(counters: &ClusterCounters, now: u64) -> bool {
    let since = counters.forcing_since.get();
    since != 0 && now >= since.saturating_add(HANGS)
}

fn run(local_log: &LocalLog, inbox: &Inbox, pushes: &Receiver<()>, counters: &ClusterCounters) {
    let report = |report| inbox.send(DriverMessage::Applier(report)).is_ok();
    let (mut told, mut failed) = (None, false);
    while !matches!(pushes.recv_timeout(PERIOD), Err(RecvTimeoutError::Disconnected)) {
        // An empty disk is told, too: the key may still have the progress of the one before it.
        if told == Some(local_log.position().lsn) {
            continue;
        }
        counters.forcing_since.set(clock::now());
        let forced = local_log.force();
        counters.forcing_since.set(0);
        match forced {
            Ok(forced) => {
                told = Some(forced.lsn);
                let mended = !std::mem::take(&mut failed) || report(ApplierReport::DiskMended);
                if !mended || inbox.send(DriverMessage::Forced(forced)).is_err() {
                    return;
                }
            }
            Err(why) => {
                let first = !std::mem::replace(&mut failed, true);
                if first && !report(ApplierReport::DiskFailed(why.to_string())) {
                    return;
                }
                // After a failed fsync, nothing is ever written again.
                if matches!(local_log.condition(), DiskCondition::Failed(_)) {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_engine::log::Fsync;
    use hedgerow_db_engine::log::faults::FaultyDisk;
    use hedgerow_db_engine::log::file::FileLog;
    use hedgerow_db_engine::log::folder::Folder;
    use hedgerow_db_group::{BatchChain, Committed, Entry, LogPosition, Mark};
    use std::time::Instant;
    use tokio::sync::mpsc::unbounded_channel;

    /// Nothing else tells it: the threads that write and force the disk wait without end.
    #[test]
    fn a_disk_that_hangs_is_noticed() {
        let (path, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::new());
        let folder = Folder::claim_on(path.path(), Arc::new(disk.clone())).unwrap();
        let (log, _) =
            FileLog::open(folder, Fsync::EverySecond, 1, 0, &mut |_, _, _| Ok(())).unwrap();
        let local_log = Arc::new(LocalLog::new(Arc::new(log), None).unwrap());
        let (inbox, mut messages) = unbounded_channel();
        let counters = Arc::<ClusterCounters>::default();
        let (thread, pushed) =
            DiskThread::start(Arc::clone(&local_log), inbox, Arc::clone(&counters)).unwrap();
        let soon = || hangs(&counters, clock::now() + HANGS);
        assert!(comes(|| messages.try_recv().is_ok()), "an empty disk is not told");
        assert!(!soon(), "an idle disk is taken for one that hangs");
        disk.change(|faults| faults.hang = true);
        let mark = Mark { seq: 1, epoch: 1, chain: BatchChain::default(), first: 1 };
        let entries = vec![Entry { lsn: 1, time: 1, changes: b"one".to_vec() }];
        local_log.push(&Committed { mark, entries, after: LogPosition::default() }).unwrap();
        let (noticed, at_once) = (comes(soon), hangs(&counters, clock::now()));
        // Before anything is asserted: the thread is waited for in any case.
        disk.change(|faults| faults.hang = false);
        assert!(noticed, "a disk that hangs is not noticed");
        assert!(!at_once, "a slow disk is taken for one that hangs");
        assert!(comes(|| messages.try_recv().is_ok()), "the disk does not go on");
        assert!(!soon(), "a disk that works again is taken for one that hangs");
        drop((pushed, thread));
    }

    /// Waits until something is so. Returns whether it is.
    fn comes(mut so: impl FnMut() -> bool) -> bool {
        let begin = Instant::now();
        while !so() {
            if begin.elapsed() > Duration::from_secs(20) {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        true
    }
}
