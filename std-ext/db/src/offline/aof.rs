//! Append-only files, and the stream that a primary sends to its replicas: commands, as clients send them.

use super::absolute;
use super::item::{Item, Take};
use super::summary::{Summary, count};
use crate::clock::TimeSource;
use crate::command::{Replay, replay};
use crate::resp::parse::{Found, Limits, Requests};
use crate::state::number;
use std::io::BufRead;

/// A command: its name, and its bytes.
type Command = (&'static str, Vec<u8>);

/// The command that selects a database.
const SELECT: &str = "select";

/// The longest name that is counted.
const LONGEST_NAME: usize = 64;

/// The most bytes of a transaction, or of one command, that a running Redis may send: the limit of a request that Redis
/// itself has by default.
const MOST_PENDING: usize = 1 << 30;

/// The reader of one file, or of the commands behind an RDB file.
pub(super) struct Aof {
    /// The database that is imported; none if all are, each under its number.
    imported: Option<u64>,
    selected: u64,
    /// The bytes before the next command.
    offset: u64,
    /// The commands since MULTI, and the offset of that.
    transaction: Option<(u64, Vec<Command>)>,
    requests: Requests,
    /// Set if a running Redis sends the commands.
    live: Option<Live>,
}

/// The commands that a running Redis sends.
#[derive(Default)]
struct Live {
    /// Whether commands that this program does not have are left out.
    skips_unknown: bool,
    /// Whether Redis has asked for the offset.
    asked_for_offset: bool,
    /// The bytes of the commands since MULTI.
    pending: usize,
}

/// The item at the beginning of a buffer.
enum Step {
    /// An item of this many bytes, which was used.
    Used(usize),
    /// The buffer must be longer.
    Unfinished,
}

impl Aof {
    pub(super) fn new(imported: Option<u64>, offset: u64) -> Self {
        let (transaction, requests) = (None, Requests::default());
        Self { imported, selected: 0, offset, transaction, requests, live: None }
    }

    /// Returns the reader of the commands that a running Redis sends, from this offset on.
    pub(super) fn live(offset: u64, skips_unknown: bool) -> Self {
        let live = Some(Live { skips_unknown, ..Live::default() });
        Self { live, ..Self::new(None, offset) }
    }

    /// Returns the offset up to which commands were taken. Those of an incomplete transaction were not.
    pub(super) fn offset(&self) -> u64 {
        self.transaction.as_ref().map_or(self.offset, |(begin, _)| *begin)
    }

    /// Returns whether Redis has asked for the offset since the last call.
    pub(super) fn asked_for_offset(&mut self) -> bool {
        self.live.as_mut().is_some_and(|live| std::mem::take(&mut live.asked_for_offset))
    }

    /// Takes all complete commands from the beginning of a buffer.
    ///
    /// # Errors
    /// If there is something else than commands, or a command that cannot be imported, or `take` fails.
    pub(super) fn use_up(
        &mut self,
        buffer: &mut Vec<u8>,
        summary: &mut Summary,
        take: &mut Take<'_>,
    ) -> Result<(), String> {
        let mut at = 0;
        while let Step::Used(bytes) = self.step(&buffer[at..], summary, take)? {
            at += bytes;
            self.offset += bytes as u64;
        }
        buffer.drain(..at);
        if buffer.len() > MOST_PENDING {
            return Err(format!("a command of Redis is longer than {MOST_PENDING} bytes"));
        }
        Ok(())
    }

    /// Reads all commands. At the end of the last file, a part of a command or transaction may be missing.
    ///
    /// # Errors
    /// If there is something else than commands, or `take` fails.
    pub(super) fn read(
        mut self,
        mut input: impl BufRead,
        is_last: bool,
        summary: &mut Summary,
        take: &mut Take<'_>,
    ) -> Result<(), String> {
        let (mut buffer, mut at) = (Vec::new(), 0);
        loop {
            match self.step(&buffer[at..], summary, take)? {
                Step::Used(bytes) => {
                    at += bytes;
                    self.offset += bytes as u64;
                }
                Step::Unfinished => {
                    buffer.drain(..at);
                    at = 0;
                    let more = input.fill_buf().map_err(|why| why.to_string())?;
                    if more.is_empty() {
                        break;
                    }
                    buffer.extend_from_slice(more);
                    let read = more.len();
                    input.consume(read);
                }
            }
        }
        let end = self.offset + buffer.len() as u64;
        let complete = self.transaction.map_or(self.offset, |(begin, _)| begin);
        if end > complete && !is_last {
            return Err(format!("it ends within a command or transaction, at byte {end}"));
        }
        summary.incomplete += end - complete;
        Ok(())
    }

    fn step(
        &mut self,
        bytes: &[u8],
        summary: &mut Summary,
        take: &mut Take<'_>,
    ) -> Result<Step, String> {
        match bytes.first() {
            None => return Ok(Step::Unfinished),
            Some(b'*') => {}
            // Redis keeps the connection alive.
            Some(b'\r' | b'\n') if self.live.is_some() => return Ok(Step::Used(1)),
            // A note about the time.
            Some(b'#') if self.live.is_none() => {
                let end = memchr::memchr(b'\n', bytes);
                return Ok(end.map_or(Step::Unfinished, |end| Step::Used(end + 1)));
            }
            Some(_) => return Err(format!("byte {} begins no command", self.offset)),
        }
        let mut arguments = Vec::new();
        match self.requests.next(bytes, Limits::FULL, &mut arguments) {
            Found::Request(used) => {
                self.command(&arguments, &bytes[..used], summary, take)?;
                Ok(Step::Used(used))
            }
            Found::Nothing(used) if used > 0 => Ok(Step::Used(used)),
            Found::Unfinished(_) => Ok(Step::Unfinished),
            _ => Err(format!("byte {} begins no command", self.offset)),
        }
    }

    fn command(
        &mut self,
        arguments: &[&[u8]],
        bytes: &[u8],
        summary: &mut Summary,
        take: &mut Take<'_>,
    ) -> Result<(), String> {
        let imports_all = self.imported.is_none();
        let name = match replay(arguments, imports_all) {
            Replay::Execute(_) if self.imported.is_some_and(|number| number != self.selected) => {
                count(&mut summary.databases, self.selected);
                return Ok(());
            }
            Replay::Execute(name) | Replay::ExecuteAlways(name) => name,
            Replay::Select => {
                let number =
                    number::integer(arguments[1]).and_then(|number| number.try_into().ok());
                self.selected =
                    number.ok_or_else(|| format!("byte {} selects no database", self.offset))?;
                if !imports_all {
                    return Ok(());
                }
                SELECT
            }
            Replay::Multi => {
                self.transaction = Some((self.offset, Vec::new()));
                return Ok(());
            }
            Replay::Exec => return self.execute_transaction(summary, take),
            Replay::SendOffset => {
                if let Some(live) = &mut self.live {
                    live.asked_for_offset = true;
                }
                return Ok(());
            }
            Replay::Ignore => return Ok(()),
            Replay::Unknown => return self.unknown(arguments[0], summary),
        };
        let absolute = match self.live {
            Some(_) => absolute::rewritten(name, arguments, TimeSource::System.now()),
            None => None,
        };
        let bytes = absolute.as_deref().unwrap_or(bytes);
        if let Some((_, commands)) = &mut self.transaction {
            commands.push((name, bytes.to_vec()));
            return self.limit_transaction(bytes.len());
        }
        summary.commands += u64::from(name != SELECT);
        take(Item::Command(name, bytes))
    }

    fn execute_transaction(
        &mut self,
        summary: &mut Summary,
        take: &mut Take<'_>,
    ) -> Result<(), String> {
        if let Some(live) = &mut self.live {
            live.pending = 0;
        }
        let (_, commands) = self.transaction.take().unwrap_or_default();
        for (name, bytes) in commands {
            summary.commands += u64::from(name != SELECT);
            take(Item::Command(name, &bytes))?;
        }
        Ok(())
    }

    /// Refuses a transaction of a running Redis that becomes too long, by a command of this many bytes.
    fn limit_transaction(&mut self, bytes: usize) -> Result<(), String> {
        let Some(live) = &mut self.live else { return Ok(()) };
        live.pending += bytes;
        if live.pending > MOST_PENDING {
            return Err(format!("a transaction of Redis is longer than {MOST_PENDING} bytes"));
        }
        Ok(())
    }

    /// Handles a command that this program does not have.
    fn unknown(&self, name: &[u8], summary: &mut Summary) -> Result<(), String> {
        let name = &name[..name.len().min(LONGEST_NAME)];
        let name = name.to_ascii_uppercase().escape_ascii().to_string();
        if self.live.as_ref().is_some_and(|live| !live.skips_unknown) {
            return Err(format!(
                "Redis has executed {name}, which this program does not have; --skip-other-types leaves out such \
                 commands"
            ));
        }
        count(&mut summary.unknown, name);
        Ok(())
    }
}
