//! The thread that applies committed entries to the state, and gives them to the relay.
//!
//! It is apart from the driver, so that a long entry, or a change of role that waits for all shards, never stops the
//! primary's beats. It does its orders one after the other.

use super::core::Committed;
use super::durable::Pushed;
use super::log::EtcdLog;
use super::message::{Inbox, Message, Report};
use super::relay::RelayError;
use crate::Db;
use crate::clustered::FollowError;
use crate::log::Lsn;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

/// A task for the thread.
pub(super) enum Order {
    /// Apply these entries, and give them to the relay.
    Apply(Committed),
    /// Give these entries to the relay. The state of the primary has them.
    Keep(Committed),
    /// The node has caught up.
    Follow,
    /// Become the primary. No entry since the clock was set back last has a later time than this.
    /// [`Report::Serving`] carries the number.
    Lead(u64, u64),
    /// Cease to be the primary, or begin to hold changes. [`Report::SteppedDown`] answers.
    StepDown,
}

/// Called once, by the thread.
pub(super) type OnFollow = Option<Box<dyn FnOnce() + Send>>;

/// The thread of the state.
pub(super) struct Replica {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Replica {
    /// Starts the thread. `on_follow` is called when the node has caught up for the first time.
    pub(super) fn start(
        db: Db,
        log: Arc<EtcdLog>,
        pushed: Pushed,
        inbox: Inbox,
        on_follow: OnFollow,
    ) -> std::io::Result<Self> {
        let (orders, received) = mpsc::channel();
        let thread = thread::Builder::new().name("hedgerow-cluster-state".into());
        let worker = Worker { db, log, pushed, inbox, on_follow, stuck: false };
        let thread = thread.spawn(move || worker.run(&received))?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// Gives an order.
    pub(super) fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // Fails only after a panic in the thread, which the driver notices by the answers that do not come.
            let _ = orders.send(order);
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the cluster's state has panicked");
        }
    }
}

struct Worker {
    db: Db,
    log: Arc<EtcdLog>,
    pushed: Pushed,
    inbox: Inbox,
    on_follow: OnFollow,
    /// An entry could not be applied, so no later one may be.
    stuck: bool,
}

impl Worker {
    fn run(mut self, orders: &Receiver<Order>) {
        for order in orders {
            let report = match order {
                Order::Apply(committed) => self.apply(&committed),
                Order::Keep(committed) => {
                    self.keep(&committed);
                    None
                }
                Order::Follow => {
                    self.db.become_follower();
                    if let Some(on_follow) = self.on_follow.take() {
                        on_follow();
                    }
                    None
                }
                Order::Lead(number, time) => {
                    self.db.become_primary(time);
                    Some(Report::Serving(number))
                }
                Order::StepDown => Some(Report::SteppedDown(self.db.step_down().time)),
            };
            if let Some(report) = report {
                self.report(report);
            }
        }
    }

    fn report(&self, report: Report) {
        // Fails only after the driver has stopped.
        let _ = self.inbox.send(Message::Replica(report));
    }

    fn apply(&mut self, committed: &Committed) -> Option<Report> {
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
                FollowError::TimeWentBack { .. } => Report::MustRestart(why.to_string()),
                why => Report::CannotApply(why.to_string()),
            });
        }
        self.keep(committed);
        self.log.tell();
        Some(Report::Applied(self.log.reached()))
    }

    /// Gives committed entries to the relay.
    fn keep(&mut self, committed: &Committed) {
        match self.log.relay().push(committed) {
            Ok(()) => self.pushed.add(committed.entries.iter().map(|e| e.changes.len()).sum()),
            Err(why @ RelayError::Log(_)) => self.report(Report::DiskFailed(why.to_string())),
            Err(why) => {
                self.stuck = true;
                self.report(Report::MustRestart(why.to_string()));
            }
        }
    }
}
