//! From the bytes that a connection has received to its replies.

use crate::command::batch::RequestBatch;
use crate::command::connection::{Connection, MAX_BATCH_COMMANDS, ReplyMode};
use crate::command::context::{Context, ServerApi};
use crate::command::diagnostics::call_meter::CallMeter;
use crate::command::observe::must_wait;
use crate::tracking;
use crate::view::ViewReader;
use bumpalo::Bump;
use hedgerow_db_engine::buffers::emptied;
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_engine::state::changed;
use hedgerow_db_engine::{Db, Session};
use hedgerow_db_formats::resp::inline;
use hedgerow_db_formats::resp::parse::{ParseError, ParsedItem};
use hedgerow_db_formats::resp::write::RespWriter;

/// A batch is executed when it has this many keys. One command may exceed it.
const MAX_BATCH_KEYS: usize = 4096;
/// Input is left for later when the commands of a turn have taken this long, in nanoseconds: other clients wait.
const LONG_TIME: u64 = 5_000_000;
/// Input is left for later when its replies have this many bytes.
pub(super) const REPLY_CHUNK: usize = 1 << 20;

/// The outcome of processing input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExecuteOutcome {
    /// Bytes that were consumed. If there are some, more complete requests may follow them.
    pub consumed: usize,
    /// Bytes that the next request needs at least, counted from there; 0 if unknown.
    pub needed: usize,
    /// Commands that were executed.
    pub commands: usize,
    /// Whether the next command waits because the clients are paused (CLIENT PAUSE).
    pub postponed: bool,
    /// Whether other clients should have their turn: the commands took long, or have changed as much as should wait for
    /// a commit.
    pub ends_turn: bool,
    /// The log entry that must be committed before the replies may be sent.
    pub lsn: Lsn,
    /// Whether a reply shows data, so that a primary must prove that it still is one before the replies may be sent.
    pub shows_data: bool,
    /// The next step of the connection.
    pub next: NextStep,
}

/// The next step of a connection after its replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NextStep {
    /// Wait for more input.
    #[default]
    Continue,
    /// Wait until the connection's [waiter](hedgerow_db_engine::state::waiters::Waiter) has an outcome, and execute
    /// nothing before.
    Wait,
    /// Send the replies, then close.
    Close,
    /// Close at once: the replies exceed the limit, and were not made.
    Drop,
    /// Send the replies, then shut the server down.
    Shutdown {
        /// Whether to write a snapshot first.
        save: bool,
    },
}

/// Executes the complete requests at the beginning of `input`, and appends their replies to `out`. After
/// [`NextStep::Close`], [`NextStep::Drop`] or [`NextStep::Shutdown`], it must not be called for this connection again.
pub fn process_input(
    connection: &mut Connection,
    context: &mut Context<'_>,
    input: &[u8],
    out: &mut Vec<u8>,
) -> ExecuteOutcome {
    context.scratch.meter.begin_input();
    // Once for all of the input, not for each command.
    if !connection.refresh_user(context.server.users()) {
        return ExecuteOutcome { next: NextStep::Close, ..ExecuteOutcome::default() };
    }
    let scratch = &mut *context.scratch;
    let observes = scratch.meter.diagnostics.observes();
    if observes && must_wait(&scratch.meter.diagnostics, connection, input) {
        return ExecuteOutcome { postponed: true, ..ExecuteOutcome::default() };
    }
    // While a script runs for too long, each command is checked as those of a transaction are.
    connection.blocked |= observes && scratch.meter.diagnostics.is_busy();
    let (batch, mut arguments) = scratch.take();
    let start = out.len();
    context.session.set_database(connection.database);
    let max_out = start.saturating_add(connection.reply_limit);
    let mut execution = Execution {
        connection,
        session: &mut *context.session,
        db: context.db,
        server: context.server,
        cluster: context.cluster,
        out,
        max_out,
        batch,
        lsn: 0,
        dataless: 0,
        next: NextStep::Continue,
        collects: false,
        in_transaction: false,
        in_script: false,
        meter: &mut scratch.meter,
        arena: &scratch.arena,
        input,
        start: 0,
        end: 0,
        measured: 0,
        time: None,
    };
    let mut outcome = ExecuteOutcome::default();
    // `must_wait` has looked at one request only.
    let batch_limit = if observes { 1 } else { execution.connection.batch_limit };
    while outcome.commands < batch_limit && execution.next == NextStep::Continue {
        // For each request anew: the last one may have been AUTH.
        let limits = execution.connection.limits();
        let rest = &input[outcome.consumed..];
        execution.start = outcome.consumed;
        match execution.connection.requests.next(rest, limits, &mut arguments) {
            ParsedItem::Request(consumed) => {
                execution.end = outcome.consumed + consumed;
                execution.handle_request(&arguments);
                outcome.consumed += consumed;
                outcome.commands += 1;
            }
            ParsedItem::Quoted(consumed) => {
                execution.execute_inline(&rest[..consumed]);
                outcome.consumed += consumed;
                outcome.commands += 1;
            }
            ParsedItem::Nothing(consumed) => outcome.consumed += consumed,
            ParsedItem::Unfinished(wanted) => {
                outcome.needed = wanted;
                break;
            }
            ParsedItem::Invalid(why) => {
                execution.protocol_error(why);
                break;
            }
        }
        if execution.is_long() {
            break;
        }
    }
    execution.start = outcome.consumed;
    execution.execute_batch();
    // Commands that were not in the batch.
    execution.lap(outcome.consumed);
    (outcome.lsn, outcome.next) = (execution.lsn, execution.next);
    let took_long = execution.meter.spent() >= LONG_TIME;
    outcome.ends_turn = took_long || changed::is_much();
    outcome.shows_data = execution.dataless < outcome.commands;
    let batch = execution.batch.emptied();
    scratch.put_back(batch, emptied(arguments));
    if connection.blocked {
        end_caller();
    }
    if observes {
        connection.update_blocked();
    } else {
        let shrinks = took_long || out.len() - start >= REPLY_CHUNK;
        connection.batch_limit = next_batch_limit(batch_limit, shrinks);
    }
    outcome
}

/// Notes that later changes of this thread are those of other clients.
fn end_caller() {
    tracking::set_caller(0);
    tracking::end_own_reads();
}

/// Returns how many commands the next batch may have. The time that commands take and the length of their replies are
/// known only afterwards, so the limit follows the last batch: it shrinks after a long one, and grows again.
fn next_batch_limit(last: usize, shrinks: bool) -> usize {
    if shrinks { (last / 4).max(1) } else { (last * 2).min(MAX_BATCH_COMMANDS) }
}

/// The state of executing the commands of one pipeline.
pub(super) struct Execution<'t, 'a> {
    pub(super) connection: &'t mut Connection,
    pub(super) session: &'t mut Session,
    pub(super) db: &'t Db,
    pub(super) server: &'t dyn ServerApi,
    /// The group, if this is a node of a cluster. Commands ask `group`.
    pub(super) cluster: Option<&'t ViewReader>,
    pub(super) out: &'t mut Vec<u8>,
    /// The longest that `out` may become.
    pub(super) max_out: usize,
    /// Memory for the slices of requests with many keys.
    pub(super) arena: &'a Bump,
    pub(super) batch: RequestBatch<'a>,
    /// The log entry that must be committed before `out` may be sent.
    pub(super) lsn: Lsn,
    /// Requests of the client itself whose replies show no data.
    pub(super) dataless: usize,
    pub(super) next: NextStep,
    /// Whether the batch becomes a transaction, so that it is not executed before it is complete.
    pub(super) collects: bool,
    /// Whether the commands are those of a transaction that are about no key.
    pub(super) in_transaction: bool,
    /// Whether a script calls the commands.
    pub(super) in_script: bool,
    pub(super) meter: &'t mut CallMeter,
    /// The input of the connection.
    pub(super) input: &'t [u8],
    /// Where the present request begins and ends in the input.
    pub(super) start: usize,
    pub(super) end: usize,
    /// The end of the requests whose time was measured.
    pub(super) measured: usize,
    /// The time of commands whose shards are locked already.
    pub(super) time: Option<u64>,
}

impl<'a> Execution<'_, 'a> {
    /// Returns whether to stop before the end of the input. The caller then sends the replies, and checks how many
    /// changes wait for the log. The length of the input bounds neither them nor the time: a short command may copy or
    /// examine a long value. So execution stops after each batch with such commands, after any command that has changed
    /// much at once, as a transaction or a script may, and after commands that took long.
    #[inline]
    fn is_long(&self) -> bool {
        let fills_batch = self.batch.len() >= MAX_BATCH_KEYS || self.batch.produces_values();
        let took_long = self.meter.spent() >= LONG_TIME;
        fills_batch || took_long || self.out.len() >= REPLY_CHUNK || changed::is_much()
    }

    #[inline]
    fn handle_request(&mut self, arguments: &[&'a [u8]]) {
        // Nearly all connections want replies, so the other modes are out of line.
        if self.connection.reply_mode == ReplyMode::All {
            self.execute(arguments);
        } else {
            self.execute_muted(arguments);
        }
        // Then their time is known before the next command is added.
        if self.batch.may_take_long() {
            self.execute_batch();
        }
    }

    /// Executes a command whose reply the client does not want (CLIENT REPLY OFF or SKIP).
    #[cold]
    fn execute_muted(&mut self, arguments: &[&'a [u8]]) {
        self.execute_batch();
        if self.next == NextStep::Drop {
            return;
        }
        let before = self.out.len();
        let replies = self.connection.reply_mode;
        if replies == ReplyMode::SkipNext {
            self.connection.reply_mode = ReplyMode::SkipThis;
        }
        self.connection.pushed = false;
        self.execute(arguments);
        self.execute_batch();
        // Only CLIENT REPLY ON can have changed the mode, and that command is answered. A push is no reply.
        let pushed = std::mem::take(&mut self.connection.pushed);
        if self.connection.reply_mode != ReplyMode::All && !pushed {
            self.out.truncate(before);
            // A reply that is not sent needs no room.
            if self.next == NextStep::Drop {
                self.next = NextStep::Continue;
            }
        }
        if self.connection.reply_mode == ReplyMode::SkipThis {
            self.connection.reply_mode = ReplyMode::All;
        }
    }

    /// Executes an inline command with quotes. Its words are not in the input buffer, so the batch, which borrows from
    /// that, cannot hold them.
    #[cold]
    fn execute_inline(&mut self, line: &[u8]) {
        let words = match inline::split(line) {
            Ok(words) => words,
            Err(why) => return self.protocol_error(why),
        };
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        if words.is_empty() {
            return;
        }
        self.execute_batch();
        let end = self.start + line.len();
        let mut execution = self.nested(RequestBatch::default());
        // The line counts as executed, also for the slow log.
        (execution.start, execution.end) = (end, end);
        execution.handle_request(&words);
        execution.execute_batch();
        (self.lsn, self.next, self.measured) = (execution.lsn, execution.next, execution.measured);
    }

    /// Returns an execution of commands of the same connection that are not in the input buffer.
    pub(super) fn nested<'n, 'b>(&'n mut self, batch: RequestBatch<'b>) -> Execution<'n, 'b>
    where
        'a: 'b,
    {
        Execution {
            connection: self.connection,
            session: self.session,
            db: self.db,
            server: self.server,
            cluster: self.cluster,
            out: self.out,
            max_out: self.max_out,
            batch,
            lsn: self.lsn,
            dataless: 0,
            next: self.next,
            collects: false,
            in_transaction: self.in_transaction,
            in_script: self.in_script,
            meter: self.meter,
            arena: self.arena,
            input: self.input,
            start: self.start,
            end: self.end,
            measured: self.measured,
            time: None,
        }
    }

    /// Returns the time from which relative expirations count, in milliseconds since 1970.
    pub(super) fn now(&self) -> u64 {
        self.time.unwrap_or_else(|| self.session.now())
    }

    /// Replies to a malformed request. The connection closes, because nobody can tell where the next request begins.
    #[cold]
    fn protocol_error(&mut self, why: ParseError) {
        match why {
            // The byte as it was sent, even if it is no character.
            ParseError::Expected(byte) => {
                let text: [&[u8]; 3] = [b"ERR Protocol error: expected '$', got '", &[byte], b"'"];
                self.error(text.concat());
            }
            _ => self.error(format!("ERR {why}")),
        }
        self.next = NextStep::Close;
    }

    /// Returns a copy of a slice that lives as long as the requests of the batch.
    pub(super) fn keep<T: Copy>(&self, items: &[T]) -> &'a [T] {
        self.arena.alloc_slice_copy(items)
    }

    /// Returns the pairs of arguments that alternate between keys and values.
    pub(super) fn keep_pairs(&self, arguments: &[&'a [u8]]) -> &'a [(&'a [u8], &'a [u8])] {
        let pairs = arguments.as_chunks().0.iter().map(|&[key, value]| (key, value));
        self.arena.alloc_slice_fill_iter(pairs)
    }

    /// Executes the batch and appends its replies.
    pub(super) fn execute_batch(&mut self) {
        if !self.batch.is_empty() && !self.collects {
            let (protocol, most) = (self.connection.protocol, self.max_out);
            let redirects = self.redirects();
            let (lsn, all) = self.batch.execute(self.session, redirects, protocol, self.out, most);
            self.lsn = self.lsn.max(lsn);
            if !all {
                self.next = NextStep::Drop;
            }
            if !self.batch.failures.is_empty() {
                let mut failures = std::mem::take(&mut self.batch.failures);
                self.count_failures(&mut failures);
            }
            self.lap(self.start);
        }
    }

    /// Returns whether a reply of `bytes` bytes fits into the output. If it does not, the connection ends.
    pub(super) fn fits(&mut self, bytes: usize) -> bool {
        let fits = self.out.len().saturating_add(bytes) <= self.max_out;
        if !fits {
            self.next = NextStep::Drop;
        }
        fits
    }

    /// Notes that a command has read the whole database: its reply must wait for the newest log entry.
    pub(super) fn wait_for_last_entry(&mut self) {
        self.lsn = self.lsn.max(self.db.log().last());
    }

    /// Adds a reply that needs nothing from the database.
    pub(super) fn reply(&mut self, write: impl FnOnce(&mut RespWriter<'_>)) {
        if self.batch.is_empty() && !self.collects {
            write(&mut RespWriter::new(self.out, self.connection.protocol));
            self.fits(0);
        } else {
            self.batch.push_reply(self.connection.protocol, write);
            // Replies within the batch count towards the output as well.
            if self.batch.reply_bytes() >= REPLY_CHUNK {
                self.execute_batch();
            }
        }
    }

    /// Adds an error reply.
    pub(super) fn error(&mut self, text: impl AsRef<[u8]>) {
        self.meter.diagnostics.count_error(text.as_ref());
        self.reply(|out| out.error(text));
    }
}
