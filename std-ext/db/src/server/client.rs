//! One client: from bytes to commands, from answers to bytes. Nothing here blocks, and no client gets more than its
//! part of a turn.

use super::client_list::ClientList;
use super::output::Output;
use super::stream::Stream;
use super::worker_context::WorkerContext;
use crate::command::{self, Connection, NextStep};
use crate::limits::{OUTPUT_PAUSE, UNAUTHENTICATED_OUTPUT_PAUSE};
use crate::log::Lsn;
use mio::{Registry, Token};
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// A client that has taken no byte for so long does not read. If half the limit waits, the longer time counts, so that
/// a slow network does not pass for a client that does not read.
pub(super) const STALL: Duration = Duration::from_millis(30);
pub(super) const LONG_STALL: Duration = Duration::from_secs(1);
/// How often a thread looks whether clients that it does not read from have taken something.
pub(super) const RECHECK: Duration = Duration::from_millis(10);
/// Batches of commands that are obeyed in a turn.
const BATCHES: usize = 16;
/// Bytes that are written in a turn.
const WRITE: usize = 1 << 20;
/// How long what still comes from a client is read and thrown away, after it was told the end. Without that the system
/// takes back what was sent and not yet read.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_AT_STOP: Duration = Duration::from_millis(100);
/// How long a client that is to end may go without reading any of its last answers.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);
/// What a client is told whose last answers were withdrawn, before it is closed.
const ROLLED_BACK: &[u8] =
    b"-MISCONF Errors writing to the log, so what was changed here, or seen of others' changes, \
was undone. Please check the server's log for details about the error.\r\n";
const TOO_LARGE: &[u8] =
    b"-ERR Protocol error: the request is larger than client-query-buffer-limit\r\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Commands come and are answered.
    Open,
    /// No more commands are obeyed; it ends when all answers are out.
    Closing,
    /// It was told the end, which it may take until then to see.
    Lingering(Instant),
    /// Gone.
    Dead,
}

/// Why a client is closed by the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Nothing came for too long.
    Idle,
    /// It had its time to see the end.
    Lingered,
}

/// One client.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing by itself that comes and goes")]
pub(super) struct Client {
    stream: Stream,
    connection: Connection,
    output: Output,
    /// What came and was not obeyed.
    input: Vec<u8>,
    /// How long `input` has to be before it is worth looking at.
    wanted: usize,
    /// What has to be safe before the answers of this turn are sent.
    lsn: Lsn,
    /// Commands whose answers may not go yet, and when the turn began in which the first of them came.
    unanswered: (u64, Instant),
    state: State,
    /// There may be something to read.
    readable: bool,
    /// The other side sends no more, or there is an error to be read: a short read is not all.
    half_closed: bool,
    /// There is no more to read.
    input_ended: bool,
    /// `input` holds what could be obeyed, had there been time or room.
    backlog: bool,
    /// The socket takes nothing at the moment.
    blocked: bool,
    /// The system was asked to tell when it does.
    writable_event_requested: bool,
    /// What has come by now is answered, then it ends.
    cycles_left: Option<u32>,
    /// On a list of the loop's.
    pub(super) queued: bool,
    pub(super) dirty: bool,
    pub(super) parked: bool,
    pub(super) paused: bool,
    /// Something came since it was noted for others.
    pub(super) used: bool,
    /// What others know of it has to be noted soon.
    pub(super) renamed: bool,
    /// Where the name was that was noted: another one stands elsewhere.
    noted: (usize, usize),
    last_active: Instant,
    /// When answers were taken, or began to wait.
    last_progress: Instant,
    /// Since when more than the soft limit waits.
    over_soft_limit_since: Option<Instant>,
}

impl Client {
    pub(super) fn new(stream: Stream, connection: Connection, now: Instant) -> Self {
        Self {
            stream,
            connection,
            output: Output::default(),
            input: Vec::new(),
            wanted: 0,
            lsn: 0,
            unanswered: (0, now),
            state: State::Open,
            readable: true,
            half_closed: false,
            input_ended: false,
            backlog: false,
            blocked: false,
            writable_event_requested: false,
            cycles_left: None,
            queued: false,
            dirty: false,
            parked: false,
            paused: false,
            used: false,
            renamed: false,
            noted: (0, 0),
            last_active: now,
            last_progress: now,
            over_soft_limit_since: None,
        }
    }

    /// What the loop was told of the socket.
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

    /// Notes what others may know of it.
    pub(super) fn note(&mut self, client_list: &ClientList) {
        (self.used, self.renamed) = (false, false);
        self.noted = name_at(&self.connection);
        client_list.note(&self.connection.info(), self.last_active);
    }

    /// Bytes of memory in its buffers.
    pub(super) fn buffers(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    pub(super) fn is_dead(&self) -> bool {
        self.state == State::Dead
    }

    pub(super) fn is_lingering(&self) -> bool {
        matches!(self.state, State::Lingering(_))
    }

    pub(super) fn is_held(&self) -> bool {
        self.output.is_held()
    }

    /// Has the system tell when there is room to write, while that is waited for.
    pub(super) fn request_writable_event(&mut self, registry: &Registry, token: Token) {
        if self.blocked == self.writable_event_requested || self.is_dead() {
            return;
        }
        self.writable_event_requested = self.blocked;
        if self.stream.reregister(registry, token, self.writable_event_requested).is_err() {
            self.state = State::Dead;
        }
    }

    /// Whether another turn would read or obey something.
    pub(super) fn wants_service(&self, context: &WorkerContext) -> bool {
        match self.state {
            State::Open => (self.readable || self.backlog) && self.may_read(context),
            State::Lingering(_) => self.readable,
            State::Closing | State::Dead => false,
        }
    }

    /// Whether it would want a turn, but for the answers that wait.
    pub(super) fn is_paused(&self, context: &WorkerContext) -> bool {
        self.state == State::Open && (self.readable || self.backlog) && !self.may_read(context)
    }

    /// Whether commands are read beside the answers that wait.
    fn may_read(&self, context: &WorkerContext) -> bool {
        let waiting = self.output.waiting();
        if !self.connection.is_authenticated() {
            return waiting < UNAUTHENTICATED_OUTPUT_PAUSE;
        }
        // What waits for the log goes on by itself.
        if waiting < OUTPUT_PAUSE || self.output.is_held() {
            return waiting < OUTPUT_PAUSE;
        }
        let since_progress = context.now.saturating_duration_since(self.last_progress);
        is_stalled(waiting, context.limits.hard, since_progress)
    }

    /// Tries to write, whether or not the system has told of room: it tells late.
    pub(super) fn probe(&mut self, context: &mut WorkerContext) {
        self.blocked = false;
        if self.wants_write() {
            self.write(context);
        }
    }

    /// Whether something could be written, or it is to be seen whether it ends.
    pub(super) fn wants_write(&self) -> bool {
        let ends = || self.state == State::Closing && self.output.waiting() == 0;
        !self.blocked && (self.output.is_sendable() || self.stream.holds_back() || ends())
    }

    /// What has come by now is the last that is answered.
    pub(super) fn finish(&mut self) {
        if self.state == State::Open && self.cycles_left.is_none() {
            self.cycles_left = Some(0);
            self.readable = true;
        }
    }

    /// Closes it without another word.
    pub(super) fn kill(&mut self) {
        self.state = State::Dead;
    }

    /// Reads and obeys its part of a turn.
    pub(super) fn serve(&mut self, context: &mut WorkerContext) {
        match self.state {
            State::Open => {}
            State::Lingering(_) => return self.discard(context),
            State::Closing | State::Dead => return,
        }
        if self.output.waiting() < OUTPUT_PAUSE {
            self.last_progress = context.now;
        }
        if self.backlog {
            self.process_buffered(context);
        }
        if self.state == State::Open && self.readable && !self.backlog {
            self.read(context);
        }
        if self.state == State::Open && !self.backlog && self.is_input_finished() {
            self.state = State::Closing;
        }
    }

    /// Whether all has come that is to be answered.
    fn is_input_finished(&mut self) -> bool {
        /// A client that never stops sending is answered so many turns more.
        const LAST_TURNS: u32 = 64;
        let stops = self.cycles_left.as_mut().is_some_and(|turns| {
            *turns += 1;
            !self.readable || *turns >= LAST_TURNS
        });
        self.input_ended || stops
    }

    fn read(&mut self, context: &mut WorkerContext) {
        // What is left of before goes in front where it is short: then most commands are obeyed where they were read.
        let space = context.scratch.len();
        let kept = self.input.len();
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
        self.readable = !short || self.half_closed;
        self.last_active = context.now;
        context.counters.bytes_in.add(got as u64);
        if joins {
            let scratch = std::mem::take(&mut context.scratch);
            let used = self.process_input(context, &scratch[..from + got]);
            self.buffer_rest(context, &scratch[used..from + got]);
            context.scratch = scratch;
        } else {
            // Not all that is announced is believed at once: room grows with what has come.
            let more = self.wanted.saturating_sub(kept).min(kept.max(1 << 20)).max(got);
            self.input.reserve_exact(more);
            self.input.extend_from_slice(&context.scratch[..got]);
            self.process_buffered(context);
        }
        if self.input.len().max(self.wanted) > context.limits.input && self.state == State::Open {
            self.output.open(|| context.pool.take()).extend_from_slice(TOO_LARGE);
            self.input = Vec::new();
            self.state = State::Closing;
        }
    }

    fn read_failed(&mut self, why: &io::Error) {
        match why.kind() {
            ErrorKind::WouldBlock => self.readable = false,
            ErrorKind::Interrupted => {}
            _ => self.state = State::Dead,
        }
    }

    /// Obeys what was kept.
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

    /// Keeps what was not obeyed, in a buffer of its size: the idle cost little.
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

    /// Obeys the complete commands at the beginning of `input`, as far as answers have room; how many bytes those were.
    fn process_input(&mut self, context: &mut WorkerContext, input: &[u8]) -> usize {
        self.backlog = false;
        let mut used = 0;
        // A turn makes no more answers of a client that does not read than of one that does.
        let before = self.output.waiting();
        for batch in 0.. {
            let rest = &input[used..];
            if rest.is_empty() || rest.len() < self.wanted || self.state != State::Open {
                break;
            }
            let waiting = self.output.waiting();
            if batch == BATCHES || waiting - before >= OUTPUT_PAUSE || !self.may_read(context) {
                self.backlog = true;
                break;
            }
            self.connection.set_reply_limit(context.limits.hard.saturating_sub(waiting));
            let out = self.output.open(|| context.pool.take());
            let done = command::process_input(
                &mut self.connection,
                &mut context.command_context(),
                rest,
                out,
            );
            context.counters.commands.add(done.commands as u64);
            used += done.consumed;
            if self.unanswered.0 == 0 {
                self.unanswered.1 = context.now;
            }
            self.unanswered.0 += done.commands as u64;
            self.wanted = done.needed;
            self.lsn = self.lsn.max(done.lsn);
            self.used = true;
            self.renamed |= name_at(&self.connection) != self.noted;
            match done.next {
                NextStep::Continue => {}
                NextStep::Close => self.state = State::Closing,
                NextStep::Drop => self.drop_slow(context),
                NextStep::Shutdown { save } => {
                    context.shutdown(save);
                    self.state = State::Closing;
                }
            }
            if done.consumed == 0 {
                break;
            }
        }
        used
    }

    /// Ends the turn for its answers, where all up to `safe` is; what has to be, for those that are left.
    pub(super) fn finish_cycle(&mut self, safe: Lsn, context: &mut WorkerContext) {
        self.output.hold_until(std::mem::take(&mut self.lsn), safe);
        self.count_answered(context);
    }

    /// Counts the commands that are answered, unless answers still wait for the log.
    fn count_answered(&mut self, context: &mut WorkerContext) {
        if !self.output.is_held() {
            context.count_answered(std::mem::take(&mut self.unanswered.0), self.unanswered.1);
        }
    }

    /// What has to be safe for the answers of this turn.
    pub(super) fn required_lsn(&self) -> Lsn {
        self.lsn
    }

    /// Lets answers go that waited for entries up to `safe`.
    pub(super) fn release(&mut self, safe: Lsn, context: &mut WorkerContext) {
        self.output.release(safe);
        self.count_answered(context);
    }

    /// The log failed: what is not safe is never told. In place of it the client gets an error, and the connection
    /// ends, so that nobody takes another answer for it. Whether it has to.
    pub(super) fn withdraw_replies(&mut self, context: &WorkerContext) -> bool {
        if !self.output.is_held() {
            return false;
        }
        self.output.withdraw_held();
        self.unanswered.0 = 0;
        // The answers of a turn wait together, so the error begins where an answer began.
        self.output.open(Vec::new).extend_from_slice(ROLLED_BACK);
        self.output.hold_until(0, 0);
        self.state = State::Closing;
        context.counters.failed.add(1);
        true
    }

    /// Writes its part of a turn.
    pub(super) fn write(&mut self, context: &mut WorkerContext) {
        match self.try_write(context) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => self.blocked = true,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.state = State::Dead,
            Ok(()) => {}
        }
        if let Some(buffer) = self.output.take_empty() {
            context.pool.give(buffer);
        }
        self.check_output(context);
        if self.state == State::Closing && self.output.waiting() == 0 && !self.stream.holds_back() {
            self.close_stream(context);
        }
    }

    /// Closes it where more waits than may.
    pub(super) fn check_output(&mut self, context: &WorkerContext) {
        let (waiting, limits) = (self.output.waiting(), &context.limits);
        // What waits for the log is not the client's delay.
        if limits.soft == 0 || waiting <= limits.soft || self.output.is_held() {
            self.over_soft_limit_since = None;
        } else {
            self.over_soft_limit_since.get_or_insert(context.now);
        }
        let over_soft_limit_since =
            |since| context.now.saturating_duration_since(since) >= limits.soft_time;
        if self.state != State::Dead
            && (waiting > limits.hard
                || self.over_soft_limit_since.is_some_and(over_soft_limit_since))
        {
            self.drop_slow(context);
        }
    }

    /// Closes it without its answers, which are more than may wait.
    #[cold]
    fn drop_slow(&mut self, context: &WorkerContext) {
        tracing::debug!("a client is closed: its answers reached client-output-buffer-limit");
        context.counters.slow.add(1);
        self.state = State::Dead;
        self.output = Output::default();
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

    /// All was said.
    fn close_stream(&mut self, context: &WorkerContext) {
        if self.stream.finish().is_err() || self.input_ended {
            self.state = State::Dead;
            return;
        }
        let linger = if self.cycles_left.is_some() { LINGER_AT_STOP } else { LINGER };
        self.state = State::Lingering(context.now + linger);
        self.input = Vec::new();
        self.readable = true;
    }

    /// Reads what still comes and throws it away.
    fn discard(&mut self, context: &mut WorkerContext) {
        match self.stream.read(&mut context.scratch) {
            Ok(0) => self.state = State::Dead,
            Ok(_) => {}
            Err(e) => self.read_failed(&e),
        }
    }

    /// Whether it has to be closed by now.
    pub(super) fn overdue(&self, now: Instant, timeout: Duration) -> Option<Overdue> {
        match self.state {
            State::Lingering(until) if now >= until => Some(Overdue::Lingered),
            // What waits for the log is not the client's delay.
            State::Open | State::Closing if !self.output.is_held() => {
                let closing = self.state == State::Closing;
                let timeout = if timeout.is_zero() && closing { CLOSE_TIMEOUT } else { timeout };
                let idle = now.saturating_duration_since(self.last_active);
                (!timeout.is_zero() && idle >= timeout).then_some(Overdue::Idle)
            }
            _ => None,
        }
    }
}

/// Whether a client does not read: `waiting` bytes wait for it, and it has taken none for the time `since`.
fn is_stalled(waiting: usize, limit: usize, since: Duration) -> bool {
    since >= if waiting < limit / 2 { STALL } else { LONG_STALL }
}

/// Where the name of a connection stands, and how long it is.
fn name_at(connection: &Connection) -> (usize, usize) {
    let name = connection.name();
    (name.as_ptr().addr(), name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_slowly_is_not_read_far_ahead_of() {
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
