//! State that a worker shares with the client that it serves: buffers, session, limits and counters.

use super::counters::Counters;
use super::runtime_config::BufferLimits;
use super::shared::ServerShared;
use crate::command::{Context, PostponedClient, Scratch};
use crate::pubsub::Message;
use crate::view::{MemberRole, ViewReader};
use hedgerow_db_engine::Session;
use hedgerow_db_engine::bounds::LOG_BACKLOG;
use hedgerow_db_engine::log::Epoch;
use hedgerow_db_engine::state::changed;
use hedgerow_db_formats::slots::slot;
use std::sync::Arc;
use std::time::Instant;

/// Bytes read from a client at a time.
const SCRATCH: usize = 64 << 10;
/// Larger buffers are freed instead of pooled.
const LARGEST_POOLED: usize = 64 << 10;
/// Buffers in the pool at most.
const MAX_POOLED: usize = 64;

/// State that a worker shares with the client that it serves.
pub(super) struct WorkerContext {
    pub(super) scratch: Vec<u8>,
    pub(super) pool: BufferPool,
    pub(super) counters: Arc<Counters>,
    /// The start of this cycle.
    pub(super) now: Instant,
    /// The end of the last cycle.
    pub(super) end: Instant,
    /// Commands that came in this cycle and whose replies may be sent.
    answered: u64,
    /// The clients' buffer limits, read once a cycle.
    pub(super) limits: BufferLimits,
    /// More waits for the log than [`LOG_BACKLOG`], so no commands are read in this cycle.
    pub(super) congested: bool,
    /// The number of rollbacks, and the epoch of the log, when this cycle began.
    pub(super) noticed: (u64, Epoch),
    /// A buffer for messages on their way from a mailbox to an output.
    pub(super) messages: Vec<Message>,
    session: Session,
    commands: Scratch,
    /// The group, if this is a node of a cluster.
    cluster: Option<ViewReader>,
    shared: Arc<ServerShared>,
}

impl WorkerContext {
    pub(super) fn new(shared: &Arc<ServerShared>, counters: Arc<Counters>) -> Self {
        Self {
            scratch: vec![0; SCRATCH],
            pool: BufferPool::default(),
            counters,
            now: Instant::now(),
            end: Instant::now(),
            answered: 0,
            limits: shared.runtime_config.buffer_limits(),
            congested: false,
            noticed: (shared.db.rollbacks(), shared.log.epoch()),
            messages: Vec::new(),
            session: shared.db.session(),
            commands: Scratch::new(Arc::clone(shared.runtime_config.diagnostics())),
            cluster: shared.views.as_ref().map(ViewReader::new),
            shared: Arc::clone(shared),
        }
    }

    /// Begins a cycle.
    pub(super) fn begin_cycle(&mut self) {
        self.now = Instant::now();
        self.commands.begin(self.now);
        self.limits = self.shared.runtime_config.buffer_limits();
        self.congested = self.shared.log.backlog() > LOG_BACKLOG;
        changed::reset();
    }

    /// Notes that the next input is of the same client as the last.
    pub(super) fn continue_turn(&mut self) {
        self.commands.continue_turn();
    }

    /// Returns whether more changes of all threads wait for the log than should.
    pub(super) fn is_log_behind(&self) -> bool {
        self.shared.log.backlog() > LOG_BACKLOG
    }

    /// Takes the newest view of the group. The caller has taken the log's epoch before.
    pub(super) fn refresh_view(&mut self) {
        if let Some(cluster) = &mut self.cluster {
            cluster.refresh();
        }
    }

    /// Returns whether another node of the cluster has a slot's channel.
    pub(super) fn has_lost(&self, channel: &[u8]) -> bool {
        let view = self.cluster.as_ref().map(ViewReader::view);
        view.is_some_and(|view| view.role != MemberRole::Primary || !view.owns(slot(channel)))
    }

    /// Returns whether this is a node of a cluster.
    pub(super) fn is_clustered(&self) -> bool {
        self.cluster.is_some()
    }

    /// Returns what commands are executed with.
    pub(super) fn command_context(&mut self) -> Context<'_> {
        Context {
            session: &mut self.session,
            db: &self.shared.db,
            server: &*self.shared,
            scratch: &mut self.commands,
            cluster: self.cluster.as_ref(),
        }
    }

    /// Counts commands whose replies may be sent now and that came in the cycle that began `then`.
    pub(super) fn count_answered(&mut self, commands: u64, then: Instant) {
        // These are counted at the end of the cycle, when their replies are written; the others have waited for the
        // log.
        if then == self.now {
            self.answered += commands;
        } else if commands > 0 {
            self.counters.latency.add(commands, self.now.saturating_duration_since(then));
        }
    }

    /// Ends a cycle, and records the latency of its commands, now that their replies are written. The clock is read
    /// once a cycle, not once a command.
    pub(super) fn end_cycle(&mut self) {
        self.end = Instant::now();
        let commands = std::mem::take(&mut self.answered);
        if commands > 0 {
            let took = self.end.saturating_duration_since(self.now);
            self.counters.latency.add(commands, took);
        }
    }

    /// Counts a client whose next command waits because the clients are paused.
    pub(super) fn postpone_client(&self) -> PostponedClient {
        self.shared.runtime_config.diagnostics().postpone()
    }

    /// Returns whether commands of clients wait (CLIENT PAUSE).
    pub(super) fn clients_are_paused(&self) -> bool {
        self.shared.runtime_config.diagnostics().is_paused(self.now)
    }

    /// Starts the shutdown that a client has requested.
    pub(super) fn shutdown(&self, save: bool) {
        self.shared.shutdown(save);
    }
}

/// Empty buffers with capacity: an idle client holds none, and an active one does not allocate.
#[derive(Debug, Default)]
pub(super) struct BufferPool(Vec<Vec<u8>>);

impl BufferPool {
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    pub(super) fn give(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > 0 && buffer.capacity() <= LARGEST_POOLED && self.0.len() < MAX_POOLED
        {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}
