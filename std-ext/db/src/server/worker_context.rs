//! What a thread of the server works with, and lends to each client in turn.

use super::counters::Counters;
use super::runtime_config::BufferLimits;
use super::shared::Shared;
use crate::Session;
use crate::command::{Context, Scratch};
use std::sync::Arc;
use std::time::Instant;

/// Bytes that are read from a client in a turn.
const SCRATCH: usize = 64 << 10;
/// Buffers of more bytes are not kept for others.
const LARGEST_POOLED: usize = 64 << 10;
/// So many are kept.
const MAX_POOLED: usize = 64;

/// What a thread of the server works with.
pub(super) struct WorkerContext {
    pub(super) scratch: Vec<u8>,
    pub(super) pool: BufferPool,
    pub(super) counters: Arc<Counters>,
    /// When this turn began.
    pub(super) now: Instant,
    /// Commands that came in this turn, and whose answers may go.
    answered: u64,
    /// What a client may have waiting, as of this turn.
    pub(super) limits: BufferLimits,
    session: Session,
    commands: Scratch,
    shared: Arc<Shared>,
}

impl WorkerContext {
    pub(super) fn new(shared: &Arc<Shared>, counters: Arc<Counters>) -> Self {
        Self {
            scratch: vec![0; SCRATCH],
            pool: BufferPool::default(),
            counters,
            now: Instant::now(),
            answered: 0,
            limits: shared.runtime_config.buffer_limits(),
            session: shared.db.session(),
            commands: Scratch::default(),
            shared: Arc::clone(shared),
        }
    }

    /// Begins a turn.
    pub(super) fn begin_cycle(&mut self) {
        self.now = Instant::now();
        self.limits = self.shared.runtime_config.buffer_limits();
    }

    /// What commands are executed with.
    pub(super) fn command_context(&mut self) -> Context<'_> {
        Context {
            session: &mut self.session,
            db: &self.shared.db,
            server: &*self.shared,
            scratch: &mut self.commands,
        }
    }

    /// Counts commands that came in the turn that began `then`, and whose answers may go by now.
    pub(super) fn count_answered(&mut self, commands: u64, then: Instant) {
        if then == self.now {
            self.answered += commands;
        } else if commands > 0 {
            self.counters.latency.add(commands, self.now.saturating_duration_since(then));
        }
    }

    /// Notes how long the commands of this turn took, now that their answers are written. The clock is read once a
    /// turn, not once a command.
    pub(super) fn end_cycle(&mut self) {
        let commands = std::mem::take(&mut self.answered);
        if commands > 0 {
            self.counters.latency.add(commands, self.now.elapsed());
        }
    }

    /// A client asked the server to end.
    pub(super) fn shutdown(&self, save: bool) {
        self.shared.shutdown(save);
    }
}

/// Empty buffers with room, so that a client that is idle needs none and one that is not allocates none.
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
