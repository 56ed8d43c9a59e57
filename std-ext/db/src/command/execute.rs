//! From the bytes that a connection has received to those that it is sent.

use crate::command::batch::Batch;
use crate::command::connection::{Connection, MOST_GATHERED, ReplyMode};
use crate::command::context::{Context, ServerApi};
use crate::log::Lsn;
use crate::resp::inline;
use crate::resp::parse::{Found, ParseError};
use crate::resp::write::Writer;
use crate::{Db, Session};

/// So many keys are asked for at once, but for those of one command.
const MOST_ASKED: usize = 4096;
/// With so many bytes to be sent a pipeline is put down for a while.
pub(super) const ENOUGH: usize = 1 << 20;

/// What came of the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// So many bytes were obeyed. Where there are some, there may be more to obey behind them.
    pub consumed: usize,
    /// So many bytes from there it takes, at the least, for the next request; 0 where that is not known.
    pub needed: usize,
    /// So many commands they were.
    pub commands: usize,
    /// The entry of the log that must be safe before the replies may be sent.
    pub lsn: Lsn,
    /// What is to be done next.
    pub next: NextStep,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NextStep {
    /// Wait for more.
    #[default]
    Continue,
    /// Send the replies, then close.
    Close,
    /// Close at once: the replies are more than there is room for, and were not made.
    Drop,
    /// Send the replies, then end the server.
    Shutdown {
        /// With a snapshot.
        save: bool,
    },
}

/// Obeys requests that `input` begins with, and appends the replies to `out`. After [`NextStep::Close`], [`NextStep::Drop`] or
/// [`NextStep::Shutdown`] it is not called for this connection any more.
pub fn process_input(
    connection: &mut Connection,
    context: &mut Context<'_>,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Outcome {
    let (batch, mut arguments) = context.scratch.lend();
    let began = out.len();
    let (session, db, server) = (&mut *context.session, context.db, context.server);
    let max_out = began.saturating_add(connection.reply_limit);
    let next = NextStep::Continue;
    let mut execution =
        Execution { connection, session, db, server, out, max_out, batch, lsn: 0, next };
    let mut outcome = Outcome::default();
    let most = execution.connection.most;
    while outcome.commands < most && execution.next == NextStep::Continue {
        let limits = execution.connection.limits();
        let rest = &input[outcome.consumed..];
        match execution.connection.requests.next(rest, limits, &mut arguments) {
            Found::Request(used) => {
                execution.handle_request(&arguments);
                outcome.consumed += used;
                outcome.commands += 1;
            }
            Found::Quoted(used) => {
                execution.execute_inline(&rest[..used]);
                outcome.consumed += used;
                outcome.commands += 1;
            }
            Found::Nothing(used) => outcome.consumed += used,
            Found::Unfinished(wanted) => {
                outcome.needed = wanted;
                break;
            }
            Found::Invalid(why) => {
                execution.protocol_error(why);
                break;
            }
        }
        if execution.batch.len() >= MOST_ASKED || execution.out.len() >= ENOUGH {
            break;
        }
    }
    execution.execute_batch();
    (outcome.lsn, outcome.next) = (execution.lsn, execution.next);
    context.scratch.take_back(execution.batch, arguments);
    // Of commands with long replies fewer are gathered, since nobody knows before how long they are.
    let long = out.len() - began >= ENOUGH;
    connection.most = if long { (most / 4).max(1) } else { (most * 2).min(MOST_GATHERED) };
    outcome
}

/// The commands of a pipeline while they are obeyed.
pub(super) struct Execution<'t, 'a> {
    pub(super) connection: &'t mut Connection,
    pub(super) session: &'t mut Session,
    pub(super) db: &'t Db,
    pub(super) server: &'t dyn ServerApi,
    pub(super) out: &'t mut Vec<u8>,
    /// How long `out` may become.
    pub(super) max_out: usize,
    pub(super) batch: Batch<'a>,
    /// What must be safe before `out` may be sent.
    pub(super) lsn: Lsn,
    pub(super) next: NextStep,
}

impl<'a> Execution<'_, 'a> {
    #[inline]
    fn handle_request(&mut self, arguments: &[&'a [u8]]) {
        if self.connection.reply_mode == ReplyMode::All {
            self.execute(arguments);
        } else {
            self.execute_muted(arguments);
        }
    }

    /// Obeys a command whose reply is not wanted.
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
        self.execute(arguments);
        self.execute_batch();
        // Now they are wanted only if this was `CLIENT REPLY ON`, which is answered.
        if self.connection.reply_mode != ReplyMode::All {
            self.out.truncate(before);
            // What is not sent needs no room.
            if self.next == NextStep::Drop {
                self.next = NextStep::Continue;
            }
        }
        if self.connection.reply_mode == ReplyMode::SkipThis {
            self.connection.reply_mode = ReplyMode::All;
        }
    }

    /// Obeys a line with quotes. Its words are not those in the buffer, so nothing is gathered.
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
        let mut execution = Execution {
            connection: self.connection,
            session: self.session,
            db: self.db,
            server: self.server,
            out: self.out,
            max_out: self.max_out,
            batch: Batch::default(),
            lsn: self.lsn,
            next: self.next,
        };
        execution.handle_request(&words);
        execution.execute_batch();
        (self.lsn, self.next) = (execution.lsn, execution.next);
    }

    /// Says what is wrong with a request. Nobody knows where the next one begins.
    #[cold]
    fn protocol_error(&mut self, why: ParseError) {
        match why {
            // Any byte, as it was sent.
            ParseError::Expected(byte) => {
                let text: [&[u8]; 3] = [b"ERR Protocol error: expected '$', got '", &[byte], b"'"];
                self.error(text.concat());
            }
            _ => self.error(format!("ERR {why}")),
        }
        self.next = NextStep::Close;
    }

    /// Asks and answers what was gathered.
    pub(super) fn execute_batch(&mut self) {
        if !self.batch.is_empty() {
            let (protocol, most) = (self.connection.protocol, self.max_out);
            let (lsn, all) = self.batch.execute(self.session, protocol, self.out, most);
            self.lsn = self.lsn.max(lsn);
            if !all {
                self.next = NextStep::Drop;
            }
        }
    }

    /// Whether a reply that has come to `bytes` bytes while it is made has room. If not, the connection ends.
    pub(super) fn fits(&mut self, bytes: usize) -> bool {
        let fits = self.out.len().saturating_add(bytes) <= self.max_out;
        if !fits {
            self.next = NextStep::Drop;
        }
        fits
    }

    /// Notes that what was seen of the whole database may be no older than this moment.
    pub(super) fn wait_for_last_entry(&mut self) {
        self.lsn = self.lsn.max(self.db.log().last());
    }

    /// A reply that asks for nothing.
    pub(super) fn reply(&mut self, write: impl FnOnce(&mut Writer<'_>)) {
        if self.batch.is_empty() {
            write(&mut Writer::new(self.out, self.connection.protocol));
            self.fits(0);
        } else {
            self.batch.push_reply(self.connection.protocol, write);
            // What is written there counts as `out` does: it is long enough to be put down for a while.
            if self.batch.reply_bytes() >= ENOUGH {
                self.execute_batch();
            }
        }
    }

    /// A reply that is an error.
    pub(super) fn error(&mut self, text: impl AsRef<[u8]>) {
        self.reply(|out| out.error(text));
    }
}
