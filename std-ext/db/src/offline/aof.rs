//! Append-only files: commands, as clients send them.

use super::item::{Item, Take};
use super::summary::{Summary, count};
use crate::command::{Replay, replay};
use crate::resp::parse::{Found, Limits, Requests};
use crate::state::number;
use std::io::BufRead;

/// A command: its name, and its bytes.
type Command = (&'static str, Vec<u8>);

/// The longest name that is counted.
const LONGEST_NAME: usize = 64;

/// The reader of one file, or of the commands behind an RDB file.
pub(super) struct Aof {
    /// The database that is imported, and the one that is selected.
    imported: u64,
    selected: u64,
    /// The bytes before the next command.
    offset: u64,
    /// The commands since MULTI, and the offset of that.
    transaction: Option<(u64, Vec<Command>)>,
}

/// The item at the beginning of a buffer.
enum Step {
    /// An item of this many bytes, which was used.
    Used(usize),
    /// The buffer must be longer.
    Unfinished,
}

impl Aof {
    pub(super) fn new(imported: u64, offset: u64) -> Self {
        Self { imported, selected: 0, offset, transaction: None }
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
        let mut requests = Requests::default();
        loop {
            match self.step(&mut requests, &buffer[at..], summary, take)? {
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
        requests: &mut Requests,
        bytes: &[u8],
        summary: &mut Summary,
        take: &mut Take<'_>,
    ) -> Result<Step, String> {
        match bytes.first() {
            None => return Ok(Step::Unfinished),
            Some(b'*') => {}
            // A note about the time.
            Some(b'#') => {
                let end = memchr::memchr(b'\n', bytes);
                return Ok(end.map_or(Step::Unfinished, |end| Step::Used(end + 1)));
            }
            Some(_) => return Err(format!("byte {} begins no command", self.offset)),
        }
        let mut arguments = Vec::new();
        match requests.next(bytes, Limits::FULL, &mut arguments) {
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
        let name = match replay(arguments) {
            Replay::Execute(_) if self.selected != self.imported => {
                count(&mut summary.databases, self.selected);
                return Ok(());
            }
            Replay::Execute(name) | Replay::ExecuteAlways(name) => name,
            Replay::Select => {
                let number =
                    number::integer(arguments[1]).and_then(|number| number.try_into().ok());
                self.selected =
                    number.ok_or_else(|| format!("byte {} selects no database", self.offset))?;
                return Ok(());
            }
            Replay::Multi => {
                self.transaction = Some((self.offset, Vec::new()));
                return Ok(());
            }
            Replay::Exec => {
                let (_, commands) = self.transaction.take().unwrap_or_default();
                for (name, bytes) in commands {
                    summary.commands += 1;
                    take(Item::Command(name, &bytes))?;
                }
                return Ok(());
            }
            Replay::Ignore => return Ok(()),
            Replay::Unknown => {
                let name = &arguments[0][..arguments[0].len().min(LONGEST_NAME)];
                count(&mut summary.unknown, name.to_ascii_uppercase().escape_ascii().to_string());
                return Ok(());
            }
        };
        if let Some((_, commands)) = &mut self.transaction {
            commands.push((name, bytes.to_vec()));
            return Ok(());
        }
        summary.commands += 1;
        take(Item::Command(name, bytes))
    }
}
