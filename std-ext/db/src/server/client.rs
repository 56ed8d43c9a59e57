//! One client: from bytes to commands, from answers to bytes. Nothing here blocks, and no client gets more than its
//! part of a turn.

use super::client_list::Register;
use super::output::Output;
use super::stream::Stream;
use super::worker_context::Room;
use crate::command::{self, Connection, NextStep};
use crate::limits::{PAUSE, PAUSE_OF_STRANGER};
use crate::log::Lsn;
use mio::{Registry, Token};
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// A client that has taken no byte for so long does not read. If half the limit waits, the longer time counts, so that
/// a slow network does not pass for a client that does not read.
pub(super) const STALL: Duration = Duration::from_millis(30);
pub(super) const LONG_STALL: Duration = Duration::from_secs(1);
/// How often a thread looks whether clients that it does not read from have taken something.
pub(super) const LOOK: Duration = Duration::from_millis(10);
/// Batches of commands that are obeyed in a turn.
const BATCHES: usize = 16;
/// Bytes that are written in a turn.
const WRITE: usize = 1 << 20;
/// How long what still comes from a client is read and thrown away, after it was told the end. Without that the system
/// takes back what was sent and not yet read.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_AT_STOP: Duration = Duration::from_millis(100);
/// How long a client that is to end may go without reading any of its last answers.
const LAST_WORDS: Duration = Duration::from_secs(60);
/// What a client is told whose last answers were withdrawn, before it is closed.
const UNDONE: &[u8] =
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
    ended: bool,
    /// `input` holds what could be obeyed, had there been time or room.
    backlog: bool,
    /// The socket takes nothing at the moment.
    blocked: bool,
    /// The system was asked to tell when it does.
    asked: bool,
    /// What has come by now is answered, then it ends.
    last: Option<u32>,
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
    touched: Instant,
    /// When answers were taken, or began to wait.
    taken: Instant,
    /// Since when more than the soft limit waits.
    over: Option<Instant>,
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
            ended: false,
            backlog: false,
            blocked: false,
            asked: false,
            last: None,
            queued: false,
            dirty: false,
            parked: false,
            paused: false,
            used: false,
            renamed: false,
            noted: (0, 0),
            touched: now,
            taken: now,
            over: None,
        }
    }

    /// What the loop was told of the socket.
    pub(super) fn told(&mut self, readable: bool, half_closed: bool, writable: bool) {
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
    pub(super) fn note(&mut self, register: &Register) {
        (self.used, self.renamed) = (false, false);
        self.noted = name_at(&self.connection);
        register.note(&self.connection.info(), self.touched);
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
    pub(super) fn ask_for_room(&mut self, registry: &Registry, token: Token) {
        if self.blocked == self.asked || self.is_dead() {
            return;
        }
        self.asked = self.blocked;
        if self.stream.reregister(registry, token, self.asked).is_err() {
            self.state = State::Dead;
        }
    }

    /// Whether another turn would read or obey something.
    pub(super) fn wants_turn(&self, room: &Room) -> bool {
        match self.state {
            State::Open => (self.readable || self.backlog) && self.goes_on(room),
            State::Lingering(_) => self.readable,
            State::Closing | State::Dead => false,
        }
    }

    /// Whether it would want a turn, but for the answers that wait.
    pub(super) fn is_paused(&self, room: &Room) -> bool {
        self.state == State::Open && (self.readable || self.backlog) && !self.goes_on(room)
    }

    /// Whether commands are read beside the answers that wait.
    fn goes_on(&self, room: &Room) -> bool {
        let waiting = self.output.waiting();
        if !self.connection.is_authenticated() {
            return waiting < PAUSE_OF_STRANGER;
        }
        // What waits for the log goes on by itself.
        if waiting < PAUSE || self.output.is_held() {
            return waiting < PAUSE;
        }
        does_not_read(waiting, room.limits.hard, room.now.saturating_duration_since(self.taken))
    }

    /// Tries to write, whether or not the system has told of room: it tells late.
    pub(super) fn probe(&mut self, room: &mut Room) {
        self.blocked = false;
        if self.wants_write() {
            self.write(room);
        }
    }

    /// Whether something could be written, or it is to be seen whether it ends.
    pub(super) fn wants_write(&self) -> bool {
        let ends = || self.state == State::Closing && self.output.waiting() == 0;
        !self.blocked && (self.output.is_sendable() || self.stream.holds_back() || ends())
    }

    /// What has come by now is the last that is answered.
    pub(super) fn finish_soon(&mut self) {
        if self.state == State::Open && self.last.is_none() {
            self.last = Some(0);
            self.readable = true;
        }
    }

    /// Closes it without another word.
    pub(super) fn kill(&mut self) {
        self.state = State::Dead;
    }

    /// Reads and obeys its part of a turn.
    pub(super) fn serve(&mut self, room: &mut Room) {
        match self.state {
            State::Open => {}
            State::Lingering(_) => return self.discard(room),
            State::Closing | State::Dead => return,
        }
        if self.output.waiting() < PAUSE {
            self.taken = room.now;
        }
        if self.backlog {
            self.obey_input(room);
        }
        if self.state == State::Open && self.readable && !self.backlog {
            self.read(room);
        }
        if self.state == State::Open && !self.backlog && self.is_through() {
            self.state = State::Closing;
        }
    }

    /// Whether all has come that is to be answered.
    fn is_through(&mut self) -> bool {
        /// A client that never stops sending is answered so many turns more.
        const LAST_TURNS: u32 = 64;
        let stops = self.last.as_mut().is_some_and(|turns| {
            *turns += 1;
            !self.readable || *turns >= LAST_TURNS
        });
        self.ended || stops
    }

    fn read(&mut self, room: &mut Room) {
        // What is left of before goes in front where it is short: then most commands are obeyed where they were read.
        let space = room.scratch.len();
        let kept = self.input.len();
        let joins = kept <= space / 4 && self.wanted <= space;
        let from = if joins { kept } else { 0 };
        room.scratch[..from].copy_from_slice(&self.input[..from]);
        let got = match self.stream.read(&mut room.scratch[from..]) {
            Ok(0) => {
                (self.ended, self.readable) = (true, false);
                return;
            }
            Ok(got) => got,
            Err(e) => return self.read_failed(&e),
        };
        let short = from + got < space && self.stream.short_read_is_all();
        self.readable = !short || self.half_closed;
        self.touched = room.now;
        room.counters.bytes_in.add(got as u64);
        if joins {
            let scratch = std::mem::take(&mut room.scratch);
            let used = self.obey(room, &scratch[..from + got]);
            self.keep(room, &scratch[used..from + got]);
            room.scratch = scratch;
        } else {
            // Not all that is announced is believed at once: room grows with what has come.
            let more = self.wanted.saturating_sub(kept).min(kept.max(1 << 20)).max(got);
            self.input.reserve_exact(more);
            self.input.extend_from_slice(&room.scratch[..got]);
            self.obey_input(room);
        }
        if self.input.len().max(self.wanted) > room.limits.input && self.state == State::Open {
            self.output.open(|| room.pool.take()).extend_from_slice(TOO_LARGE);
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
    fn obey_input(&mut self, room: &mut Room) {
        let input = std::mem::take(&mut self.input);
        let used = self.obey(room, &input);
        if used == 0 {
            self.input = input;
            return;
        }
        self.keep(room, &input[used..]);
        room.pool.give(input);
    }

    /// Keeps what was not obeyed, in a buffer of its size: the idle cost little.
    fn keep(&mut self, room: &mut Room, rest: &[u8]) {
        if rest.is_empty() {
            room.pool.give(std::mem::take(&mut self.input));
            return;
        }
        if self.input.capacity() == 0 {
            self.input = room.pool.take();
        }
        self.input.clear();
        self.input.extend_from_slice(rest);
    }

    /// Obeys the complete commands at the beginning of `input`, as far as answers have room; how many bytes those were.
    fn obey(&mut self, room: &mut Room, input: &[u8]) -> usize {
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
            if batch == BATCHES || waiting - before >= PAUSE || !self.goes_on(room) {
                self.backlog = true;
                break;
            }
            self.connection.set_reply_limit(room.limits.hard.saturating_sub(waiting));
            let out = self.output.open(|| room.pool.take());
            let done = command::process_input(
                &mut self.connection,
                &mut room.command_context(),
                rest,
                out,
            );
            room.counters.commands.add(done.commands as u64);
            used += done.consumed;
            if self.unanswered.0 == 0 {
                self.unanswered.1 = room.now;
            }
            self.unanswered.0 += done.commands as u64;
            self.wanted = done.wanted;
            self.lsn = self.lsn.max(done.lsn);
            self.used = true;
            self.renamed |= name_at(&self.connection) != self.noted;
            match done.next {
                NextStep::Continue => {}
                NextStep::Close => self.state = State::Closing,
                NextStep::Drop => self.drop_slow(room),
                NextStep::Shutdown { save } => {
                    room.shutdown(save);
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
    pub(super) fn settle(&mut self, safe: Lsn, room: &mut Room) {
        self.output.settle(std::mem::take(&mut self.lsn), safe);
        self.count_answered(room);
    }

    /// Counts the commands that are answered, unless answers still wait for the log.
    fn count_answered(&mut self, room: &mut Room) {
        if !self.output.is_held() {
            room.answer(std::mem::take(&mut self.unanswered.0), self.unanswered.1);
        }
    }

    /// What has to be safe for the answers of this turn.
    pub(super) fn needs(&self) -> Lsn {
        self.lsn
    }

    /// Lets answers go that waited for entries up to `safe`.
    pub(super) fn release(&mut self, safe: Lsn, room: &mut Room) {
        self.output.release(safe);
        self.count_answered(room);
    }

    /// The log failed: what is not safe is never told. In place of it the client gets an error, and the connection
    /// ends, so that nobody takes another answer for it. Whether it has to.
    pub(super) fn fail(&mut self, room: &Room) -> bool {
        if !self.output.is_held() {
            return false;
        }
        self.output.withdraw();
        self.unanswered.0 = 0;
        // The answers of a turn wait together, so the error begins where an answer began.
        self.output.open(Vec::new).extend_from_slice(UNDONE);
        self.output.settle(0, 0);
        self.state = State::Closing;
        room.counters.failed.add(1);
        true
    }

    /// Writes its part of a turn.
    pub(super) fn write(&mut self, room: &mut Room) {
        match self.try_write(room) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => self.blocked = true,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.state = State::Dead,
            Ok(()) => {}
        }
        if let Some(buffer) = self.output.take_empty() {
            room.pool.give(buffer);
        }
        self.check_output(room);
        if self.state == State::Closing && self.output.waiting() == 0 && !self.stream.holds_back() {
            self.end(room);
        }
    }

    /// Closes it where more waits than may.
    pub(super) fn check_output(&mut self, room: &Room) {
        let (waiting, limits) = (self.output.waiting(), &room.limits);
        // What waits for the log is not the client's delay.
        if limits.soft == 0 || waiting <= limits.soft || self.output.is_held() {
            self.over = None;
        } else {
            self.over.get_or_insert(room.now);
        }
        let over = |since| room.now.saturating_duration_since(since) >= limits.soft_for;
        if self.state != State::Dead && (waiting > limits.hard || self.over.is_some_and(over)) {
            self.drop_slow(room);
        }
    }

    /// Closes it without its answers, which are more than may wait.
    #[cold]
    fn drop_slow(&mut self, room: &Room) {
        tracing::debug!("a client is closed: its answers reached client-output-buffer-limit");
        room.counters.slow.add(1);
        self.state = State::Dead;
        self.output = Output::default();
    }

    fn try_write(&mut self, room: &mut Room) -> io::Result<()> {
        let mut budget = WRITE;
        while budget > 0 && !self.output.sendable().is_empty() {
            let bytes = self.output.sendable();
            let sent = self.stream.write(&bytes[..bytes.len().min(budget)])?;
            if sent == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            if let Some(buffer) = self.output.advance(sent) {
                room.pool.give(buffer);
            }
            (self.touched, self.taken) = (room.now, room.now);
            room.counters.bytes_out.add(sent as u64);
            budget -= sent;
        }
        self.stream.push()
    }

    /// All was said.
    fn end(&mut self, room: &Room) {
        if self.stream.finish().is_err() || self.ended {
            self.state = State::Dead;
            return;
        }
        let linger = if self.last.is_some() { LINGER_AT_STOP } else { LINGER };
        self.state = State::Lingering(room.now + linger);
        self.input = Vec::new();
        self.readable = true;
    }

    /// Reads what still comes and throws it away.
    fn discard(&mut self, room: &mut Room) {
        match self.stream.read(&mut room.scratch) {
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
                let timeout = if timeout.is_zero() && closing { LAST_WORDS } else { timeout };
                let idle = now.saturating_duration_since(self.touched);
                (!timeout.is_zero() && idle >= timeout).then_some(Overdue::Idle)
            }
            _ => None,
        }
    }
}

/// Whether a client does not read: `waiting` bytes wait for it, and it has taken none for the time `since`.
fn does_not_read(waiting: usize, limit: usize, since: Duration) -> bool {
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
            (PAUSE, 0, false),
            (PAUSE, 29, false),
            (PAUSE, 30, true),
            (limit / 2, 30, false),
            (limit, 999, false),
            (limit, 1000, true),
        ] {
            let reads_none = does_not_read(waiting, limit, Duration::from_millis(millis));
            assert_eq!(reads_none, wanted, "read ahead: {waiting} bytes after {millis} ms");
        }
    }
}
