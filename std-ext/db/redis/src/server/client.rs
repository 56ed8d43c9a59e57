//! One client's connection: bytes in, commands executed, replies out. Nothing here blocks, and each client gets a
//! bounded share of an event-loop cycle.

use super::client_list::ClientList;
use super::client_sizes::{self, SharedSizes};
use super::output::{ExceededOutput, Output, SendBound};
use super::stream::Stream;
use super::worker_context::WorkerContext;
use crate::command::{self, ClientSizes, Connection, NextStep, PostponedClient, Users};
use crate::limits::{OUTPUT_PAUSE, UNAUTHENTICATED_OUTPUT_PAUSE};
use crate::pubsub::Subscriptions;
use hedgerow_db_engine::log::{Lsn, ReadIndex};
use mio::{Registry, Token};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A client that has taken no byte for this long is stalled: it does not read its replies. From half of the output
/// limit on, the longer time applies, so that a slow network is not mistaken for a stalled client.
pub(super) const STALL: Duration = Duration::from_millis(30);
pub(super) const LONG_STALL: Duration = Duration::from_secs(1);
/// How often a worker checks whether throttled clients may be read again.
pub(super) const RECHECK: Duration = Duration::from_millis(10);
/// Batches of commands executed for one client in a cycle.
const BATCHES: usize = 16;
/// Bytes written to one client in a cycle.
const WRITE: usize = 1 << 20;
/// How long the server goes on reading, and discarding, after it has closed its side. Closing the socket at once would
/// reset the connection, and the client would lose replies that it has not read yet.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_AT_STOP: Duration = Duration::from_millis(100);
/// How long a closing client may go without reading any of its last replies.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);
/// The error that a client gets before it is closed, if its last replies were withdrawn.
const ROLLED_BACK: &[u8] =
    b"-MISCONF Errors writing to the log: unacknowledged changes that this connection \
made or read were rolled back. Check the server's log for details.\r\n";
const TOO_LARGE: &[u8] =
    b"-ERR Protocol error: the request is larger than client-query-buffer-limit\r\n";

mod mail;
mod output_limits;
mod wait;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientState {
    /// Commands are read and answered.
    Open,
    /// No more commands are executed; the connection closes when all replies are sent.
    Closing,
    /// The server has closed its side and discards input until this time, or until the client closes.
    Lingering(Instant),
    /// Closed.
    Dead,
}

/// Why held replies are never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Withdrawal {
    /// The log failed, and their changes were or will be rolled back.
    RolledBack,
    /// This node is not the primary any more. Nobody knows whether their changes were made.
    Deposed,
}

/// Why the server closes a client that did nothing wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The client was silent for longer than `timeout`.
    Idle,
    /// The time to discard input is over.
    Lingered,
}

/// The parts of a connection that the client list shows and commands change. A new name has another address, so names
/// are not copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct ConnectionInfo {
    /// The address and length of the connection's name.
    name: (usize, usize),
    /// The address of the user's name.
    user: usize,
    /// The numbers of subscriptions.
    subscriptions: [usize; 3],
}

impl ConnectionInfo {
    fn of(connection: &Connection) -> Self {
        let name = connection.name();
        Self {
            name: (name.as_ptr().addr(), name.len()),
            user: connection.user_name().as_ptr().addr(),
            subscriptions: connection.subscriptions().map_or([0; 3], Subscriptions::counts),
        }
    }
}

/// A client.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing by itself that comes and goes")]
pub(super) struct ServerClient {
    stream: Stream,
    connection: Connection,
    output: Output,
    /// Input that was received but not executed.
    input: Vec<u8>,
    /// The length of `input` below which no complete request can be in it.
    wanted: usize,
    /// The log entry that must be committed before the replies of this cycle are sent.
    lsn: Lsn,
    /// Whether a reply of this cycle shows data.
    shows_data: bool,
    /// The wait of its last command may be over.
    has_outcome: bool,
    /// Commands whose replies wait for the log, and the start of the cycle in which the first of them came.
    unanswered: (u64, Instant),
    state: ClientState,
    /// The socket may have input.
    readable: bool,
    /// The client has closed its side, or the socket has an error: a short read does not mean that all input was read.
    half_closed: bool,
    /// All input was read.
    input_ended: bool,
    /// `input` may hold complete requests that were left for another cycle.
    backlog: bool,
    /// The next command waits because the clients are paused (CLIENT PAUSE).
    postponed: Option<PostponedClient>,
    /// The socket accepts no more output at the moment.
    blocked: bool,
    /// The poll reports when the socket becomes writable.
    writable_event_requested: bool,
    /// Set at shutdown: the cycles in which input has been read since. Requests received by then are still answered.
    shutdown_cycles: Option<u32>,
    /// Whether the client is on the worker's list of this name.
    pub(super) queued: bool,
    pub(super) dirty: bool,
    pub(super) parked: bool,
    pub(super) throttled: bool,
    /// Its mailbox knows at which worker the client is.
    has_address: bool,
    /// Its mailbox has messages for which the output had no room.
    has_more_mail: bool,
    /// The bytes of the output that may be messages, for which the client did not ask.
    mail_in_output: usize,
    /// The bytes of the output that may be messages that others redirect to the client.
    redirected_in_output: usize,
    /// Input was executed since the client list was last updated.
    pub(super) used: bool,
    /// The name or the subscriptions changed, so the client list needs an update in this cycle.
    pub(super) renamed: bool,
    /// The parts of the connection that the client list has.
    noted: ConnectionInfo,
    /// The sizes in the client list, which other threads read. Nothing until the client has a buffer or a queue.
    shown_sizes: Option<Arc<SharedSizes>>,
    /// The window of its worker's meter in which it was last served.
    pub(super) window: u64,
    last_active: Instant,
    /// When the client last took output, or when its output began to wait.
    last_progress: Instant,
    /// Since when the output has been over the soft limit.
    over_soft_limit_since: Option<Instant>,
}

impl ServerClient {
    pub(super) fn new(stream: Stream, connection: Connection, now: Instant) -> Self {
        Self {
            stream,
            connection,
            output: Output::default(),
            input: Vec::new(),
            wanted: 0,
            lsn: 0,
            shows_data: false,
            has_outcome: false,
            unanswered: (0, now),
            state: ClientState::Open,
            readable: true,
            half_closed: false,
            input_ended: false,
            backlog: false,
            postponed: None,
            blocked: false,
            writable_event_requested: false,
            shutdown_cycles: None,
            queued: false,
            dirty: false,
            parked: false,
            throttled: false,
            has_address: false,
            has_more_mail: false,
            mail_in_output: 0,
            redirected_in_output: 0,
            used: false,
            renamed: false,
            noted: ConnectionInfo::default(),
            shown_sizes: None,
            window: 0,
            last_active: now,
            last_progress: now,
            over_soft_limit_since: None,
        }
    }

    /// Notes an event that the poll reported for the socket.
    pub(super) fn on_event(&mut self, readable: bool, half_closed: bool, writable: bool) {
        self.readable |= readable || half_closed;
        self.half_closed |= half_closed;
        self.blocked &= !writable;
    }

    pub(super) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    pub(super) fn id(&self) -> u64 {
        self.connection.id()
    }

    /// Updates this client's entry in the client list, as the client of a worker.
    pub(super) fn note(&mut self, worker: usize, client_list: &ClientList) {
        (self.used, self.renamed) = (false, false);
        self.noted = ConnectionInfo::of(&self.connection);
        let (info, sizes) = (self.connection.info(), self.shown_sizes.as_ref());
        client_list.note(worker, &info, self.last_active, sizes);
    }

    /// Shows the sizes of the client's buffers and queue, if they have changed. Called at most once for each time that
    /// the worker reads or writes: most commands leave nothing, so nothing is stored. Returns whether these are the
    /// first sizes, which the client list does not have yet.
    #[inline]
    pub(super) fn show_sizes(&mut self) -> bool {
        let sizes = self.sizes();
        match &self.shown_sizes {
            Some(shown) => {
                if shown.get() != sizes {
                    shown.set(&sizes);
                }
                false
            }
            None if sizes == client_sizes::bare() => false,
            None => {
                let shown = SharedSizes::default();
                shown.set(&sizes);
                self.shown_sizes = Some(Arc::new(shown));
                true
            }
        }
    }

    /// Returns the sizes of the client's buffers and queue, without messages in its mailbox: the client list asks that
    /// itself.
    fn sizes(&self) -> ClientSizes {
        let output = self.output.sizes();
        let input = self.input.capacity();
        let subscribed = self.connection.subscriptions().map_or(0, Subscriptions::bytes);
        let queue = self.connection.sizes();
        let waiter = self.connection.waiter().map_or(0, |waiter| waiter.bytes());
        let held =
            input + output.last + output.full_bytes + subscribed + waiter + self.stream.memory();
        ClientSizes {
            input: self.input.len() as u64,
            input_room: (input - self.input.len()) as u64,
            reply_buffer: output.last as u64,
            reply_bytes: output.waiting as u64,
            full_buffers: output.full as u64,
            full_bytes: output.full_bytes as u64,
            total: client_sizes::bare().total + held as u64 + queue.queued_bytes,
            ..queue
        }
    }

    /// Returns whether another worker can serve this client from now on.
    pub(super) fn may_move(&self) -> bool {
        // [MV-1] Replies wait for their log entries at the worker that executed the commands, because only that worker
        // knows which rollbacks and epochs came after them. A worker that has seen a later rollback would take the
        // committed number of other entries for that of these.
        // Who serves a client that waits tells the worker at which it began to.
        let waits = self.connection.waits();
        self.state == ClientState::Open && !self.output.is_held() && self.lsn == 0 && !waits
    }

    /// Prepares the client for another worker: it is on none of its lists, and its poll reports nothing yet.
    pub(super) fn begin_again(&mut self) {
        (self.queued, self.dirty, self.parked, self.throttled) = (false, false, false, false);
        // [MV-4] Between the two registrations no event is reported. To try in vain costs little.
        (self.readable, self.blocked) = (true, false);
        // The registration with the new poll is one for input only.
        self.writable_event_requested = false;
        self.window = 0;
    }

    /// Returns the bytes of memory in the client's buffers and queues: all that it takes beyond a bare client.
    pub(super) fn buffers(&self) -> usize {
        let mailbox = |subscriptions: &Subscriptions| subscriptions.mailbox().bytes();
        let messages = self.connection.subscriptions().map_or(0, mailbox);
        (self.sizes().total - client_sizes::bare().total) as usize + messages
    }

    pub(super) fn is_dead(&self) -> bool {
        self.state == ClientState::Dead
    }

    pub(super) fn is_lingering(&self) -> bool {
        matches!(self.state, ClientState::Lingering(_))
    }

    /// Returns whether replies wait for the log.
    pub(super) fn has_held_replies(&self) -> bool {
        self.output.is_held()
    }

    /// Asks the poll to report when the socket becomes writable, as long as output waits for that.
    pub(super) fn request_writable_event(&mut self, registry: &Registry, token: Token) {
        if self.blocked == self.writable_event_requested || self.is_dead() {
            return;
        }
        self.writable_event_requested = self.blocked;
        if self.stream.reregister(registry, token, self.writable_event_requested).is_err() {
            self.state = ClientState::Dead;
        }
    }

    /// Returns whether another cycle would read or execute something.
    pub(super) fn wants_service(&self, context: &WorkerContext) -> bool {
        match self.state {
            ClientState::Open if self.connection.waits() => self.may_end_wait(),
            ClientState::Open => (self.readable || self.backlog) && self.may_read(context),
            ClientState::Lingering(_) => self.readable,
            ClientState::Closing | ClientState::Dead => false,
        }
    }

    /// Returns whether the client has input that is not read for now: it must take replies first, the log must write
    /// entries, or a pause of the clients must end.
    pub(super) fn is_throttled(&self, context: &WorkerContext) -> bool {
        self.state == ClientState::Open
            && (self.readable || self.backlog)
            // Whoever serves it wakes this worker.
            && !self.connection.waits()
            && !self.may_read(context)
    }

    /// Returns whether commands are read although replies, or the log's entries, are waiting.
    fn may_read(&self, context: &WorkerContext) -> bool {
        if context.congested || self.postponed.is_some() && context.clients_are_paused() {
            return false;
        }
        let waiting = self.output.waiting();
        if !self.connection.is_authenticated() {
            return waiting < UNAUTHENTICATED_OUTPUT_PAUSE;
        }
        // Replies held for the log are no sign of a client that does not read, and the log will release them. So no
        // command is read beyond the pause.
        if waiting < OUTPUT_PAUSE || self.output.is_held() {
            return waiting < OUTPUT_PAUSE;
        }
        // A client that takes nothing may be writing a whole pipeline before it reads a reply. If the server stopped
        // reading, the two would wait for each other for ever. A client that takes some is only slow, and can wait.
        let since_progress = context.now.saturating_duration_since(self.last_progress);
        is_stalled(waiting, context.limits.output.hard, since_progress)
    }

    /// Tries to write although the poll has reported nothing: on some systems, it reports late.
    pub(super) fn probe(&mut self, context: &mut WorkerContext) {
        self.blocked = false;
        if self.wants_write() {
            self.write(context);
        }
    }

    /// Returns whether there is something to write, or a closing client that has nothing left to write.
    pub(super) fn wants_write(&self) -> bool {
        let ends = || self.state == ClientState::Closing && self.output.waiting() == 0;
        !self.blocked && (self.output.is_sendable() || self.stream.holds_back() || ends())
    }

    /// Begins shutdown for this client: requests that it has sent by now are still answered.
    pub(super) fn finish(&mut self) {
        if self.state == ClientState::Open && self.shutdown_cycles.is_none() {
            self.shutdown_cycles = Some(0);
            self.readable = true;
        }
    }

    /// Takes the newest rights of the client's user. Closes the client if its user was removed, or may no longer use a
    /// channel to which the client subscribes.
    pub(super) fn refresh_user(&mut self, users: &Users) {
        if self.state == ClientState::Open && !self.connection.refresh_user(users) {
            self.kill();
        }
    }

    /// Closes the client without another reply.
    pub(super) fn kill(&mut self) {
        self.state = ClientState::Dead;
    }

    /// Reads and executes the client's share of a cycle.
    pub(super) fn serve(&mut self, context: &mut WorkerContext) {
        match self.state {
            ClientState::Open => {}
            ClientState::Lingering(_) => return self.discard(context),
            ClientState::Closing | ClientState::Dead => return,
        }
        self.deliver_all(context);
        if self.connection.waits() && !self.end_wait(context) {
            return;
        }
        // Below the pause, no client counts as stalled: start its time again.
        if self.output.waiting() < OUTPUT_PAUSE {
            self.last_progress = context.now;
        }
        if self.backlog {
            self.process_buffered(context);
        }
        // Read only if the buffered input is used up: otherwise input would grow without bound.
        if self.state == ClientState::Open && self.readable && !self.backlog {
            self.read(context);
        }
        if self.state == ClientState::Open && !self.backlog && self.is_input_finished() {
            self.state = ClientState::Closing;
        }
        // A client that has said good-bye gets no more messages.
        if self.state != ClientState::Open {
            self.connection.end_mail();
        }
    }

    /// Returns whether all requests to answer have been read.
    fn is_input_finished(&mut self) -> bool {
        /// A client that never stops sending gets this many more cycles at shutdown.
        const MAX_SHUTDOWN_CYCLES: u32 = 64;
        let stops = self.shutdown_cycles.as_mut().is_some_and(|cycles| {
            *cycles += 1;
            !self.readable || *cycles >= MAX_SHUTDOWN_CYCLES
        });
        self.input_ended || stops
    }

    fn read(&mut self, context: &mut WorkerContext) {
        let space = context.scratch.len();
        let kept = self.input.len();
        // If the rest of the last read is short, copy it in front of the new bytes: then most commands are parsed where
        // they were read, and `input` stays empty. A long request collects in `input`, so that each byte is copied
        // once.
        let joins = kept <= space / 4 && self.wanted <= space;
        let from = if joins { kept } else { 0 };
        context.scratch[..from].copy_from_slice(&self.input[..from]);
        let got = match self.stream.read(&mut context.scratch[from..]) {
            Ok(0) => {
                (self.input_ended, self.readable) = (true, false);
                return;
            }
            Ok(got) => got,
            Err(e) => return self.read_failed(&e),
        };
        let short = from + got < space && self.stream.short_read_is_all();
        // A short read has emptied the socket, so the next event reports new bytes; trying again would cost a system
        // call for each request. After a half close, no event follows, so read on to the end.
        self.readable = !short || self.half_closed;
        self.last_active = context.now;
        context.counters.bytes_in.add(got as u64);
        if joins {
            let scratch = std::mem::take(&mut context.scratch);
            let used = self.process_input(context, &scratch[..from + got]);
            self.buffer_rest(context, &scratch[used..from + got]);
            context.scratch = scratch;
        } else {
            // Memory grows with the bytes received, not with the length that a request announces: a client must not
            // make the server allocate 512 MiB by a few bytes.
            let more = self.wanted.saturating_sub(kept).min(kept.max(1 << 20)).max(got);
            self.input.reserve_exact(more);
            self.input.extend_from_slice(&context.scratch[..got]);
            self.process_buffered(context);
        }
        if self.input.len().max(self.wanted) > context.limits.input
            && self.state == ClientState::Open
        {
            self.output.open(|| context.pool.take()).extend_from_slice(TOO_LARGE);
            self.input = Vec::new();
            self.state = ClientState::Closing;
        }
    }

    fn read_failed(&mut self, why: &io::Error) {
        match why.kind() {
            ErrorKind::WouldBlock => self.readable = false,
            ErrorKind::Interrupted => {}
            _ => self.state = ClientState::Dead,
        }
    }

    /// Executes buffered input.
    fn process_buffered(&mut self, context: &mut WorkerContext) {
        let input = std::mem::take(&mut self.input);
        let used = self.process_input(context, &input);
        if used == 0 {
            self.input = input;
            return;
        }
        self.buffer_rest(context, &input[used..]);
        context.pool.give(input);
    }

    /// Buffers the bytes that were not executed, in a buffer from the pool, so that an idle client holds no memory.
    fn buffer_rest(&mut self, context: &mut WorkerContext, rest: &[u8]) {
        if rest.is_empty() {
            context.pool.give(std::mem::take(&mut self.input));
            return;
        }
        if self.input.capacity() == 0 {
            self.input = context.pool.take();
        }
        self.input.clear();
        self.input.extend_from_slice(rest);
    }

    /// Executes the complete commands at the beginning of `input` as long as replies have room. Returns the number of
    /// bytes consumed.
    fn process_input(&mut self, context: &mut WorkerContext, input: &[u8]) -> usize {
        (self.backlog, self.postponed) = (false, None);
        let _span = tracing::trace_span!("requests", client = self.connection.id()).entered();
        let mut used = 0;
        // Even for a stalled client that is served beyond the pause, one cycle adds no more output than the pause
        // allows.
        let before = self.output.waiting();
        for batch in 0.. {
            let rest = &input[used..];
            // Fewer bytes than `wanted` hold no complete request: parsing them again would cost quadratic time for a
            // long request that arrives in pieces.
            if rest.is_empty() || rest.len() < self.wanted || self.state != ClientState::Open {
                break;
            }
            let waiting = self.output.waiting();
            // Leave the rest for the next cycle: one client's pipeline must not delay the others, nor fill memory with
            // replies or with entries of the log. A short command may make a long entry.
            let fills_memory =
                || waiting - before >= OUTPUT_PAUSE || batch > 0 && context.is_log_behind();
            if batch == BATCHES || fills_memory() || !self.may_read(context) {
                self.backlog = true;
                break;
            }
            // A reply beyond this would close the client anyway, so it is not even made.
            let own = self.own_waiting();
            self.connection.set_reply_limit(context.limits.output.hard.saturating_sub(own));
            let out = self.output.open(|| context.pool.take());
            if batch > 0 {
                context.continue_turn();
            }
            let outcome = command::process_input(
                &mut self.connection,
                &mut context.command_context(),
                rest,
                out,
            );
            context.counters.commands.add(outcome.commands as u64);
            used += outcome.consumed;
            if self.unanswered.0 == 0 {
                self.unanswered.1 = context.now;
            }
            self.unanswered.0 += outcome.commands as u64;
            self.wanted = outcome.needed;
            self.lsn = self.lsn.max(outcome.lsn);
            self.shows_data |= outcome.shows_data;
            self.used = true;
            self.renamed |= ConnectionInfo::of(&self.connection) != self.noted;
            match outcome.next {
                NextStep::Continue => {}
                NextStep::Wait => {
                    self.backlog = true;
                    break;
                }
                NextStep::Close => self.state = ClientState::Closing,
                NextStep::Drop => {
                    self.drop_slow(ExceededOutput::Hard, self.connection.is_subscriber(), context);
                }
                NextStep::Shutdown { save } => {
                    context.shutdown(save);
                    self.state = ClientState::Closing;
                }
            }
            if outcome.postponed {
                (self.backlog, self.postponed) = (true, Some(context.postpone_client()));
                break;
            }
            if outcome.ends_turn {
                self.backlog = true;
                break;
            }
            // Only an incomplete request is left.
            if outcome.consumed == 0 {
                break;
            }
        }
        used
    }

    /// Ends the cycle: holds its replies until the log allows them to be sent, or releases them if it does already.
    pub(super) fn finish_cycle(
        &mut self,
        read_index: ReadIndex,
        allowed: &SendBound<'_>,
        context: &mut WorkerContext,
    ) {
        let needs_lease_check = self.needs_lease_check();
        let lsn = std::mem::take(&mut self.lsn);
        self.shows_data = false;
        if needs_lease_check {
            self.output.hold_until(lsn, read_index, allowed);
        } else {
            self.output.queue_behind_held();
        }
        self.count_answered(context);
    }

    /// Counts the latency of answered commands, unless their replies still wait for the log.
    fn count_answered(&mut self, context: &mut WorkerContext) {
        if !self.output.is_held() {
            context.count_answered(std::mem::take(&mut self.unanswered.0), self.unanswered.1);
        }
    }

    /// Returns the log entry that must be committed before the replies of this cycle are sent.
    pub(super) fn required_lsn(&self) -> Lsn {
        self.lsn
    }

    /// Returns whether a reply of this cycle waits for the lease check of its evaluation.
    pub(super) fn needs_lease_check(&self) -> bool {
        self.lsn > 0 || self.shows_data
    }

    /// Returns the evaluation whose lease check the first held replies wait for, or `None` if their entry is not
    /// committed either.
    pub(super) fn awaited_lease_check(&self, committed: Lsn) -> Option<ReadIndex> {
        self.output.awaited_lease_check(committed)
    }

    /// Releases the replies that the log allows to be sent.
    pub(super) fn release(&mut self, allowed: &SendBound<'_>, context: &mut WorkerContext) {
        self.output.release(allowed);
        self.count_answered(context);
    }

    /// Withdraws all held replies because the log failed: a change that may be lost is never acknowledged. The client
    /// is closed, because it could not tell which command a later reply belongs to. If its changes were undone, it gets
    /// an error that says so. Returns whether there were held replies.
    pub(super) fn withdraw_replies(&mut self, why: Withdrawal, context: &WorkerContext) -> bool {
        if !self.output.is_held() {
            return false;
        }
        self.output.withdraw_held();
        self.unanswered.0 = 0;
        if why == Withdrawal::RolledBack {
            // The replies of a cycle are held together, so this error begins at a reply boundary.
            self.output.open(Vec::new).extend_from_slice(ROLLED_BACK);
            self.output.free_all();
        }
        self.state = ClientState::Closing;
        context.counters.failed.add(1);
        true
    }

    /// Writes the client's share of a cycle.
    pub(super) fn write(&mut self, context: &mut WorkerContext) {
        let mut written = self.try_write(context);
        while written.is_ok() && self.has_more_mail && !self.output.is_sendable() {
            self.deliver(context);
            if !self.output.is_sendable() {
                break;
            }
            written = self.try_write(context);
        }
        match written {
            Err(e) if e.kind() == ErrorKind::WouldBlock => self.blocked = true,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.state = ClientState::Dead,
            Ok(()) => {}
        }
        if let Some(buffer) = self.output.take_empty() {
            context.pool.give(buffer);
        }
        self.check_output(context);
        if self.state == ClientState::Closing
            && self.output.waiting() == 0
            && !self.stream.holds_back()
        {
            self.close_stream(context);
        }
    }

    fn try_write(&mut self, context: &mut WorkerContext) -> io::Result<()> {
        let mut budget = WRITE;
        while budget > 0 && !self.output.sendable().is_empty() {
            let bytes = self.output.sendable();
            let sent = self.stream.write(&bytes[..bytes.len().min(budget)])?;
            if sent == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            if let Some(buffer) = self.output.advance(sent) {
                context.pool.give(buffer);
            }
            (self.last_active, self.last_progress) = (context.now, context.now);
            context.counters.bytes_out.add(sent as u64);
            budget -= sent;
        }
        self.stream.push()
    }

    /// Closes the server's side after the last reply.
    fn close_stream(&mut self, context: &WorkerContext) {
        if self.stream.finish().is_err() || self.input_ended {
            self.state = ClientState::Dead;
            return;
        }
        // A stop must not take a second for each client that does not close.
        let linger = if self.shutdown_cycles.is_some() { LINGER_AT_STOP } else { LINGER };
        self.state = ClientState::Lingering(context.now + linger);
        self.input = Vec::new();
        self.readable = true;
    }

    /// Reads and discards input.
    fn discard(&mut self, context: &mut WorkerContext) {
        match self.stream.read(&mut context.scratch) {
            Ok(0) => self.state = ClientState::Dead,
            Ok(_) => {}
            Err(e) => self.read_failed(&e),
        }
    }

    /// Returns why the client is due to be closed, if it is.
    pub(super) fn overdue(&self, now: Instant, timeout: Duration) -> Option<Overdue> {
        match self.state {
            ClientState::Lingering(until) if now >= until => Some(Overdue::Lingered),
            // Replies that wait for the log, and commands that wait for the end of a pause, are no delay of the client.
            ClientState::Open | ClientState::Closing
                if !self.output.is_held()
                    && self.postponed.is_none()
                    && !self.connection.waits() =>
            {
                let closing = self.state == ClientState::Closing;
                // As in Redis, a subscriber has nothing to say.
                if !closing && self.connection.is_subscriber() {
                    return None;
                }
                let timeout = if timeout.is_zero() && closing { CLOSE_TIMEOUT } else { timeout };
                let idle = now.saturating_duration_since(self.last_active);
                (!timeout.is_zero() && idle >= timeout).then_some(Overdue::Idle)
            }
            _ => None,
        }
    }
}

/// Returns whether a client is stalled: `waiting` bytes wait for it, and it has taken none for the time `since`.
fn is_stalled(waiting: usize, limit: usize, since: Duration) -> bool {
    since >= if waiting < limit / 2 { STALL } else { LONG_STALL }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_is_not_stalled() {
        let limit = 64 << 20;
        for (waiting, millis, wanted) in [
            (OUTPUT_PAUSE, 0, false),
            (OUTPUT_PAUSE, 29, false),
            (OUTPUT_PAUSE, 30, true),
            (limit / 2, 30, false),
            (limit, 999, false),
            (limit, 1000, true),
        ] {
            let reads_none = is_stalled(waiting, limit, Duration::from_millis(millis));
            assert_eq!(reads_none, wanted, "read ahead: {waiting} bytes after {millis} ms");
        }
    }
}
