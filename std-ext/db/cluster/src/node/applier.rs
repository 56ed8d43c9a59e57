//! The thread that applies committed entries to the state, and gives them to the local log.
//!
//! It is apart from the driver, so that a long entry, or a change of role that waits for all shards, never stops the
//! primary's beats. It does its orders one after the other. While the disk is slow it waits in the local log, and the
//! primary's entries wait in front of it: a disk that stays behind by [`MOST_WAITING`] has failed.

use crate::log::EtcdLog;
use crate::log::local_log::LocalLogError;
use crate::node::disk_thread::PushedBytes;
use crate::node::message::{ApplierReport, DriverMessage, Inbox};
use hedgerow_db_engine::Db;
use hedgerow_db_engine::clustered::FollowError;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_group::{Committed, Entry};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// Bytes of the primary's entries that may wait for the thread, besides those that wait in the local log.
const MOST_WAITING: usize = 256 << 20;

/// A task for the thread.
pub(crate) enum ApplierOrder {
    /// Apply these entries, and give them to the local log.
    Apply(Committed),
    /// Give these entries to the local log. The state of the primary has them.
    Keep(Committed),
    /// The node has caught up.
    Follow,
    /// Become the primary. No entry since the clock was set back last has a later time than this.
    /// [`ApplierReport::Serving`] carries the number.
    Lead(u64, u64),
    /// Cease to be the primary, or begin to hold changes. [`ApplierReport::SteppedDown`] answers.
    StepDown,
}

/// Called once, by the thread.
pub(crate) type OnFollow = Option<Box<dyn FnOnce() + Send>>;

/// The thread of the state.
pub(crate) struct Applier {
    orders: Option<Sender<ApplierOrder>>,
    thread: Option<JoinHandle<()>>,
    waiting: Arc<Mutex<WaitingBytes>>,
    inbox: Inbox,
}

/// The bytes of the primary's entries that wait for the thread. Nothing else bounds them.
#[derive(Default)]
struct WaitingBytes {
    bytes: usize,
    /// They were too many, and some of them still wait.
    too_many: bool,
}

impl WaitingBytes {
    /// Adds bytes. Returns true once, when they are too many.
    fn add(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.bytes > MOST_WAITING && !std::mem::replace(&mut self.too_many, true)
    }

    /// Removes bytes. Returns true if they were too many, and none wait any more.
    fn remove(&mut self, bytes: usize) -> bool {
        self.bytes -= bytes;
        self.bytes == 0 && std::mem::take(&mut self.too_many)
    }
}

fn bytes_of(committed: &Committed) -> usize {
    committed.entries.iter().map(|entry| size_of::<Entry>() + entry.changes.len()).sum()
}

/// Ends the node if the thread panics: it would answer no order any more.
struct EndsByPanic(Inbox);

impl Drop for EndsByPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            let why = "the thread of the cluster's state has panicked";
            // Fails only after the driver has stopped.
            let _ = self.0.send(DriverMessage::Restart(why.to_owned()));
        }
    }
}

impl Applier {
    /// Starts the thread. `on_follow` is called when the node has caught up for the first time.
    pub(crate) fn start(
        db: Db,
        log: Arc<EtcdLog>,
        pushed: PushedBytes,
        inbox: Inbox,
        on_follow: OnFollow,
    ) -> std::io::Result<Self> {
        let (orders, received) = mpsc::channel();
        let thread = thread::Builder::new().name("hedgerow-cluster-state".into());
        let waiting = Arc::<Mutex<WaitingBytes>>::default();
        let (of_thread, ends) = (Arc::clone(&waiting), EndsByPanic(inbox.clone()));
        let to_driver = inbox.clone();
        let worker =
            ApplierWorker { db, log, pushed, inbox, on_follow, waiting: of_thread, stuck: false };
        let thread = thread.spawn(move || {
            let _ends = ends;
            worker.run(&received);
        })?;
        Ok(Self { orders: Some(orders), thread: Some(thread), waiting, inbox: to_driver })
    }

    /// Gives an order.
    pub(crate) fn order(&self, order: ApplierOrder) {
        if let ApplierOrder::Keep(committed) = &order
            && lock(&self.waiting).add(bytes_of(committed))
        {
            let why = format!(
                "this node's disk hangs or is too slow: {} MiB of entries are waiting for it",
                MOST_WAITING >> 20
            );
            // Fails only after the driver has stopped.
            let _ = self.inbox.send(DriverMessage::Applier(ApplierReport::DiskLags(why)));
        }
        if let Some(orders) = &self.orders {
            // Fails only after a panic in the thread, which has ended the node.
            let _ = orders.send(order);
        }
    }
}

impl Drop for Applier {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the cluster's state has panicked");
        }
    }
}

struct ApplierWorker {
    db: Db,
    log: Arc<EtcdLog>,
    pushed: PushedBytes,
    inbox: Inbox,
    on_follow: OnFollow,
    waiting: Arc<Mutex<WaitingBytes>>,
    /// An entry could not be applied, so no later one may be.
    stuck: bool,
}

impl ApplierWorker {
    fn run(mut self, orders: &Receiver<ApplierOrder>) {
        for order in orders {
            let report = match order {
                ApplierOrder::Apply(committed) => self.apply(&committed),
                ApplierOrder::Keep(committed) => {
                    self.keep(&committed);
                    let keeps_up = lock(&self.waiting).remove(bytes_of(&committed));
                    keeps_up.then_some(ApplierReport::DiskKeepsUp)
                }
                ApplierOrder::Follow => {
                    self.db.become_follower();
                    if let Some(on_follow) = self.on_follow.take() {
                        on_follow();
                    }
                    None
                }
                ApplierOrder::Lead(number, time) => {
                    self.db.become_primary(time);
                    Some(ApplierReport::Serving(number))
                }
                ApplierOrder::StepDown => {
                    Some(ApplierReport::SteppedDown(self.db.step_down().time))
                }
            };
            if let Some(report) = report {
                self.report(report);
            }
        }
    }

    fn report(&self, report: ApplierReport) {
        // Fails only after the driver has stopped.
        let _ = self.inbox.send(DriverMessage::Applier(report));
    }

    fn apply(&mut self, committed: &Committed) -> Option<ApplierReport> {
        if self.stuck {
            return None;
        }
        let entries: Vec<(Lsn, u64, &[u8])> =
            committed.entries.iter().map(|e| (e.lsn, e.time, &e.changes[..])).collect();
        let log = &self.log;
        let followed = self.db.follow(&entries, &|lsn| log.set_reached(lsn));
        if let Err(why) = followed {
            self.stuck = true;
            return Some(match why {
                // As the primary, this node expired keys by a later clock. A state that is loaded anew has not.
                FollowError::TimeWentBack { .. } => ApplierReport::MustRestart(why.to_string()),
                why => ApplierReport::CannotApply(why.to_string()),
            });
        }
        self.keep(committed);
        self.log.tell();
        Some(ApplierReport::Applied(self.log.reached()))
    }

    /// Gives committed entries to the local log.
    fn keep(&mut self, committed: &Committed) {
        match self.log.local_log().push(committed) {
            Ok(()) => self.pushed.add(committed.entries.iter().map(|e| e.changes.len()).sum()),
            Err(why @ LocalLogError::Log(_)) => {
                self.report(ApplierReport::DiskFailed(why.to_string()));
            }
            Err(why) => {
                self.stuck = true;
                self.report(ApplierReport::MustRestart(why.to_string()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_group::{BatchChain, LogPosition, Mark};
    use tokio::sync::mpsc::unbounded_channel;

    /// An entry that takes this number of bytes.
    fn committed(bytes: usize) -> Committed {
        let mark = Mark { seq: 1, epoch: 1, chain: BatchChain::default(), first: 1 };
        let entries = vec![Entry { lsn: 1, time: 1, changes: vec![0; bytes - size_of::<Entry>()] }];
        Committed { mark, entries, after: LogPosition::default() }
    }

    /// The thread of this replica waits for a disk that hangs.
    #[test]
    fn a_disk_that_stays_behind_has_failed() {
        let (orders, _waiting) = mpsc::channel();
        let (inbox, mut messages) = unbounded_channel();
        let waiting = Arc::default();
        let replica = Applier { orders: Some(orders), thread: None, waiting, inbox };
        let part = MOST_WAITING / 4;
        for _ in 0..4 {
            replica.order(ApplierOrder::Keep(committed(part)));
        }
        assert!(messages.try_recv().is_err(), "the disk may be behind for a moment");
        replica.order(ApplierOrder::Keep(committed(99)));
        let Ok(DriverMessage::Applier(ApplierReport::DiskLags(why))) = messages.try_recv() else {
            panic!("entries wait without end");
        };
        assert!(why.contains("256 MiB"), "{why}");
        replica.order(ApplierOrder::Keep(committed(99)));
        assert!(messages.try_recv().is_err(), "it is told with each batch");
        let mut waiting = lock(&replica.waiting);
        assert!(!waiting.remove(4 * part) && !waiting.remove(99), "some of them still wait");
        assert!(waiting.remove(99), "it has caught up");
        assert!(!waiting.add(4 * part) && !waiting.remove(4 * part));
        assert!(waiting.add(4 * part + 1), "it hangs again");
    }

    #[test]
    fn a_panic_of_the_thread_ends_the_node() {
        let (inbox, mut messages) = unbounded_channel();
        let ends = EndsByPanic(inbox.clone());
        let thread = thread::spawn(move || {
            let _ends = ends;
            panic!("as wanted by the test");
        });
        assert!(thread.join().is_err());
        assert!(matches!(messages.try_recv(), Ok(DriverMessage::Restart(_))), "nobody hears of it");
        drop(EndsByPanic(inbox));
        assert!(messages.try_recv().is_err());
    }
}
