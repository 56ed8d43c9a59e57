//! From the bytes that a connection has received to those that it is sent.

use crate::command::connection::{Connection, MOST_GATHERED, Replies};
use crate::command::context::{Context, ServerFacts};
use crate::command::plan::Batch;
use crate::log::Lsn;
use crate::resp::inline;
use crate::resp::parse::{Found, Wrong};
use crate::resp::write::Writer;
use crate::{Db, Session};

/// So many keys are asked for at once, but for those of one command.
const MOST_ASKED: usize = 4096;
/// With so many bytes to be sent a pipeline is put down for a while.
pub(super) const ENOUGH: usize = 1 << 20;

/// What came of the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Obeyed {
    /// So many bytes were obeyed. Where there are some, there may be more to obey behind them.
    pub consumed: usize,
    /// So many bytes from there it takes, at the least, for the next request; 0 where that is not known.
    pub wanted: usize,
    /// So many commands they were.
    pub commands: usize,
    /// The entry of the log that must be safe before the replies may be sent.
    pub lsn: Lsn,
    /// What is to be done next.
    pub then: Then,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// Wait for more.
    #[default]
    GoOn,
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

/// Obeys requests that `input` begins with, and appends the replies to `out`. After [`Then::Close`], [`Then::Drop`] or
/// [`Then::Shutdown`] it is not called for this connection any more.
pub fn obey(
    connection: &mut Connection,
    context: &mut Context<'_>,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Obeyed {
    let (batch, mut arguments) = context.scratch.lend();
    let began = out.len();
    let (session, db, server) = (&mut *context.session, context.db, context.server);
    let most_out = began.saturating_add(connection.room);
    let then = Then::GoOn;
    let mut turn = Turn { connection, session, db, server, out, most_out, batch, lsn: 0, then };
    let mut obeyed = Obeyed::default();
    let most = turn.connection.most;
    while obeyed.commands < most && turn.then == Then::GoOn {
        let limits = turn.connection.limits();
        let rest = &input[obeyed.consumed..];
        match turn.connection.requests.next(rest, limits, &mut arguments) {
            Found::Request(used) => {
                turn.request(&arguments);
                obeyed.consumed += used;
                obeyed.commands += 1;
            }
            Found::Quoted(used) => {
                turn.line(&rest[..used]);
                obeyed.consumed += used;
                obeyed.commands += 1;
            }
            Found::Nothing(used) => obeyed.consumed += used,
            Found::Unfinished(wanted) => {
                obeyed.wanted = wanted;
                break;
            }
            Found::Wrong(why) => {
                turn.wrong(why);
                break;
            }
        }
        if turn.batch.len() >= MOST_ASKED || turn.out.len() >= ENOUGH {
            break;
        }
    }
    turn.run();
    (obeyed.lsn, obeyed.then) = (turn.lsn, turn.then);
    context.scratch.take_back(turn.batch, arguments);
    // Of commands with long replies fewer are gathered, since nobody knows before how long they are.
    let long = out.len() - began >= ENOUGH;
    connection.most = if long { (most / 4).max(1) } else { (most * 2).min(MOST_GATHERED) };
    obeyed
}

/// The commands of a pipeline while they are obeyed.
pub(super) struct Turn<'t, 'a> {
    pub(super) connection: &'t mut Connection,
    pub(super) session: &'t mut Session,
    pub(super) db: &'t Db,
    pub(super) server: &'t dyn ServerFacts,
    pub(super) out: &'t mut Vec<u8>,
    /// How long `out` may become.
    pub(super) most_out: usize,
    pub(super) batch: Batch<'a>,
    /// What must be safe before `out` may be sent.
    pub(super) lsn: Lsn,
    pub(super) then: Then,
}

impl<'a> Turn<'_, 'a> {
    #[inline]
    fn request(&mut self, arguments: &[&'a [u8]]) {
        if self.connection.replies == Replies::All {
            self.command(arguments);
        } else {
            self.muted(arguments);
        }
    }

    /// Obeys a command whose reply is not wanted.
    #[cold]
    fn muted(&mut self, arguments: &[&'a [u8]]) {
        self.run();
        if self.then == Then::Drop {
            return;
        }
        let before = self.out.len();
        let replies = self.connection.replies;
        if replies == Replies::AllButNext {
            self.connection.replies = Replies::AllButThis;
        }
        self.command(arguments);
        self.run();
        // Now they are wanted only if this was `CLIENT REPLY ON`, which is answered.
        if self.connection.replies != Replies::All {
            self.out.truncate(before);
            // What is not sent needs no room.
            if self.then == Then::Drop {
                self.then = Then::GoOn;
            }
        }
        if self.connection.replies == Replies::AllButThis {
            self.connection.replies = Replies::All;
        }
    }

    /// Obeys a line with quotes. Its words are not those in the buffer, so nothing is gathered.
    #[cold]
    fn line(&mut self, line: &[u8]) {
        let words = match inline::split(line) {
            Ok(words) => words,
            Err(why) => return self.wrong(why),
        };
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        if words.is_empty() {
            return;
        }
        self.run();
        let mut turn = Turn {
            connection: self.connection,
            session: self.session,
            db: self.db,
            server: self.server,
            out: self.out,
            most_out: self.most_out,
            batch: Batch::default(),
            lsn: self.lsn,
            then: self.then,
        };
        turn.request(&words);
        turn.run();
        (self.lsn, self.then) = (turn.lsn, turn.then);
    }

    /// Says what is wrong with a request. Nobody knows where the next one begins.
    #[cold]
    fn wrong(&mut self, why: Wrong) {
        match why {
            // Any byte, as it was sent.
            Wrong::Expected(byte) => {
                let text: [&[u8]; 3] = [b"ERR Protocol error: expected '$', got '", &[byte], b"'"];
                self.error(text.concat());
            }
            _ => self.error(format!("ERR {why}")),
        }
        self.then = Then::Close;
    }

    /// Asks and answers what was gathered.
    pub(super) fn run(&mut self) {
        if !self.batch.is_empty() {
            let (protocol, most) = (self.connection.protocol, self.most_out);
            let (lsn, all) = self.batch.run(self.session, protocol, self.out, most);
            self.lsn = self.lsn.max(lsn);
            if !all {
                self.then = Then::Drop;
            }
        }
    }

    /// Whether a reply that has come to `bytes` bytes while it is made has room. If not, the connection ends.
    pub(super) fn has_room(&mut self, bytes: usize) -> bool {
        let fits = self.out.len().saturating_add(bytes) <= self.most_out;
        if !fits {
            self.then = Then::Drop;
        }
        fits
    }

    /// Notes that what was seen of the whole database may be no older than this moment.
    pub(super) fn seen(&mut self) {
        self.lsn = self.lsn.max(self.db.log().last());
    }

    /// A reply that asks for nothing.
    pub(super) fn reply(&mut self, write: impl FnOnce(&mut Writer<'_>)) {
        if self.batch.is_empty() {
            write(&mut Writer::new(self.out, self.connection.protocol));
            self.has_room(0);
        } else {
            self.batch.text(self.connection.protocol, write);
            // What is written there counts as `out` does: it is long enough to be put down for a while.
            if self.batch.written() >= ENOUGH {
                self.run();
            }
        }
    }

    /// A reply that is an error.
    pub(super) fn error(&mut self, text: impl AsRef<[u8]>) {
        self.reply(|out| out.error(text));
    }
}
