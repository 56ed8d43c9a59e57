//! A node as the program runs it. If the node cannot go on, the process executes itself anew, or ends.

mod alarm;
mod applier;
mod calls;
mod compaction;
pub(super) mod disk_thread;
mod driver;
pub(super) mod former;
mod group_commit;
pub mod member;
pub(super) mod message;
mod messenger;
#[cfg(feature = "metrics")]
mod metrics;
pub(super) mod quota;
pub(super) mod resync;
pub(super) mod status;
mod tasks;
#[cfg(test)]
pub(super) mod tests;
pub(super) mod wording;

use crate::measure::clock;
use crate::membership::error::StartError;
use crate::node::member::GroupMember;
use crate::node::status::{NodeExit, NodeMonitor};
use hedgerow_db_engine::Db;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::options::Options;
use hedgerow_db_engine::progress::Progress;
use hedgerow_db_redis::config::ClusterSettings;
use hedgerow_db_redis::view::{View, Views};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long a process that stops waits for etcd to take its last entries.
const RELEASE: Duration = Duration::from_secs(5);
/// How long it then waits for the next primary, so that it can tell its clients.
const SUCCESSOR: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A node as the program runs it.
pub struct Node {
    member: Arc<GroupMember>,
    failed: Arc<Mutex<Option<String>>>,
}

/// Checks the certificates and passwords of a node, and returns what uses them.
pub type Renewer =
    Box<dyn Fn(&ClusterSettings) -> Result<Box<dyn FnOnce() + Send>, StartError> + Send>;

/// Returns a cell for the view of a group, before anything is known.
pub fn views(settings: &ClusterSettings) -> Arc<Views> {
    let views = Views::new(View::default(), settings.endpoint_type, settings.max_stale);
    Arc::new(views.with_uptime(clock::now))
}

impl Node {
    /// Starts a node. `stop` stops the server, and returns whether there is one. If the node cannot go on, the process
    /// executes itself anew, or stops.
    ///
    /// # Errors
    /// As [`GroupMember::start`].
    pub fn start(
        settings: &ClusterSettings,
        options: Options,
        views: Arc<Views>,
        progress: &Progress,
        stop: impl Fn() -> bool + Send + 'static,
    ) -> Result<Self, StartError> {
        let failed: Arc<Mutex<Option<String>>> = Arc::default();
        let of_exit = Arc::clone(&failed);
        let on_exit = move |exit| match exit {
            NodeExit::Restart(why) => {
                tracing::warn!("the process restarts: {why}");
                let why = execute_anew();
                tracing::error!("the process cannot restart: {why}");
                std::process::exit(1);
            }
            NodeExit::Stop(why) => {
                tracing::error!("{why}");
                *lock(&of_exit) = Some(why);
                // Nothing else would end the process.
                if !stop() {
                    std::process::exit(1);
                }
            }
        };
        let member = GroupMember::start(settings, options, views, progress, Box::new(on_exit))?;
        Ok(Self { member: Arc::new(member), failed })
    }

    /// Returns the database.
    pub fn db(&self) -> &Db {
        self.member.db()
    }

    /// Returns a reader of the node's state.
    pub fn monitor(&self) -> NodeMonitor {
        self.member.monitor()
    }

    /// Returns the function that the process calls before its server stops: it releases the group, and waits until
    /// clients can be told who the next primary is.
    pub fn releaser(&self) -> Box<dyn FnOnce() + Send> {
        let member = Arc::downgrade(&self.member);
        Box::new(move || {
            // The node may have been dropped by then: this function does not keep it alive.
            if let Some(member) = member.upgrade() {
                release(&member);
            }
        })
    }

    /// Returns the function that reads certificates and passwords again: see [`GroupMember::prepare`].
    pub fn renewer(&self) -> Renewer {
        let member = Arc::downgrade(&self.member);
        Box::new(move |settings| match member.upgrade() {
            Some(member) => member.prepare(settings),
            None => Ok(Box::new(|| {})),
        })
    }

    /// Stops the node, after the server has stopped.
    ///
    /// # Errors
    /// Why the node could not go on, if that was the reason.
    pub fn end(self) -> Result<(), String> {
        // Already done, unless a client has stopped the server.
        release(&self.member);
        match lock(&self.failed).take() {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }
}

fn release(member: &GroupMember) {
    if !member.is_running() {
        return;
    }
    let served = member.status().serving;
    if !member.release(RELEASE) {
        tracing::warn!(
            "etcd did not take the last entries in time; another node takes over after the lease"
        );
    } else if served {
        let until = Instant::now() + SUCCESSOR;
        while !member.views().current().group.is_led && Instant::now() < until {
            thread::sleep(LOOK_AGAIN);
        }
    }
}

/// Replaces the process by a new one with the same program, arguments and environment. All of its files and sockets
/// close. Returns only if that fails.
fn execute_anew() -> io::Error {
    // This names the program also after its file was replaced by another version.
    let program = if cfg!(target_os = "linux") {
        "/proc/self/exe".into()
    } else {
        match std::env::current_exe() {
            Ok(program) => program,
            Err(why) => return why,
        }
    };
    let mut arguments = std::env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).exec()
}

// The settings of a cluster are read as the program reads them.
#[cfg(all(test, feature = "cli"))]
mod program_tests {
    use super::*;
    use hedgerow_db_redis::config::{Config, Invocation};

    fn settings() -> ClusterSettings {
        let arguments = ["cluster", "status", "--cluster-name", "roses"].map(str::to_owned);
        let etcd = ("HEDGEROW_DB_CLUSTER_ETCD".to_owned(), "http://127.0.0.1:2379".to_owned());
        match Config::read(arguments, [etcd]).unwrap() {
            Invocation::Cluster(asked) => asked.config.cluster().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The clock of the primary was an hour ahead when it wrote its last line.
    #[test]
    fn a_follower_that_is_cut_off_serves_no_old_data() {
        let views = views(&settings());
        clock::manual::set(1_000_000_000);
        views.set_as_of(5_000_000 + 3_600_000, 1_000_000);
        assert!(views.is_fresh(5_000_000));
        clock::manual::set(1_010_001_000);
        assert!(!views.is_fresh(5_010_001), "old data is served until its time has come");
        clock::manual::clear();
    }
}
