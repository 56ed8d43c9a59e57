//! Append-only files, and the stream that a primary sends to its replicas: commands, as clients send them.

use super::absolute;
use super::item::{Item, Take};
use super::summary::{Summary, count};
use hedgerow_db_engine::clock::TimeSource;
use hedgerow_db_formats::number;
use hedgerow_db_formats::resp::parse::{Limits, ParsedItem, Requests};
use hedgerow_db_redis::command::{Refusal, Replay, replay};
use std::io::BufRead;

/// A command: its name, and its bytes.
type Command = (&'static str, Vec<u8>);

/// The command that selects a database.
const SELECT: &str = "select";

/// The longest name that is counted.
const LONGEST_NAME: usize = 64;

/// The most bytes of a transaction in memory, or of one command: the limit of a request that Redis itself has by
/// default.
const MOST_PENDING: usize = 1 << 30;

/// The longest note about the time. Those of Redis have about 15 bytes.
const LONGEST_NOTE: usize = 64 << 10;

/// The reader of one file, or of the commands behind an RDB file.
pub(super) struct Aof {
    /// The database that is imported; none if all are, each under its number.
    imported: Option<u64>,
    selected: u64,
    /// The bytes before the next command.
    offset: u64,
    /// The commands since MULTI, and the offset of that.
    transaction: Option<(u64, Vec<Command>)>,
    /// The bytes of these commands, with the memory that they take themselves.
    pending: usize,
    /// The most bytes of a transaction, or of one command.
    most_pending: usize,
    requests: Requests,
    /// Set if a running Redis sends the commands.
    live: Option<LiveKeys>,
}

/// The commands that a running Redis sends.
#[derive(Default)]
struct LiveKeys {
    /// Whether commands that cannot be executed are left out.
    skips_refused: bool,
    /// Whether Redis has asked for the offset.
    asked_for_offset: bool,
}

/// The item at the beginning of a buffer.
enum AofItem {
    /// An item of this many bytes, which was used.
    Used(usize),
    /// The buffer must be longer.
    Unfinished,
}

impl Aof {
    pub(super) fn new(imported: Option<u64>, offset: u64) -> Self {
        Self {
            imported,
            selected: 0,
            offset,
            transaction: None,
            pending: 0,
            most_pending: MOST_PENDING,
            requests: Requests::default(),
            live: None,
        }
    }

    /// Returns the reader of the commands that a running Redis sends, from this offset on.
    pub(super) fn live(offset: u64, skips_refused: bool) -> Self {
        let live = Some(LiveKeys { skips_refused, ..LiveKeys::default() });
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
        while let AofItem::Used(bytes) = self.step(&buffer[at..], summary, take)? {
            at += bytes;
            self.offset += bytes as u64;
        }
        buffer.drain(..at);
        self.limit_command(buffer.len())
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
                AofItem::Used(bytes) => {
                    at += bytes;
                    self.offset += bytes as u64;
                }
                AofItem::Unfinished => {
                    buffer.drain(..at);
                    at = 0;
                    self.limit_command(buffer.len())?;
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
            return Err(format!("it ends inside a command or transaction, at byte {end}"));
        }
        summary.incomplete += end - complete;
        Ok(())
    }

    fn step(
        &mut self,
        bytes: &[u8],
        summary: &mut Summary,
        take: &mut Take<'_>,
    ) -> Result<AofItem, String> {
        match bytes.first() {
            None => return Ok(AofItem::Unfinished),
            Some(b'*') => {}
            // Redis keeps the connection alive.
            Some(b'\r' | b'\n') if self.live.is_some() => return Ok(AofItem::Used(1)),
            // A note about the time.
            Some(b'#') if self.live.is_none() => {
                let note = &bytes[..bytes.len().min(LONGEST_NOTE)];
                return match memchr::memchr(b'\n', note) {
                    Some(end) => Ok(AofItem::Used(end + 1)),
                    None if note.len() < LONGEST_NOTE => Ok(AofItem::Unfinished),
                    None => {
                        let at = self.offset;
                        Err(format!(
                            "an annotation of more than {LONGEST_NOTE} bytes begins at byte {at}"
                        ))
                    }
                };
            }
            Some(_) => return Err(format!("no command begins at byte {}", self.offset)),
        }
        let mut arguments = Vec::new();
        match self.requests.next(bytes, Limits::FULL, &mut arguments) {
            ParsedItem::Request(used) => {
                self.command(&arguments, &bytes[..used], summary, take)?;
                Ok(AofItem::Used(used))
            }
            ParsedItem::Nothing(used) if used > 0 => Ok(AofItem::Used(used)),
            ParsedItem::Unfinished(_) => Ok(AofItem::Unfinished),
            _ => Err(format!("no command begins at byte {}", self.offset)),
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
                self.selected = number.ok_or_else(|| {
                    format!("the SELECT at byte {} names no database", self.offset)
                })?;
                if !imports_all {
                    return Ok(());
                }
                SELECT
            }
            Replay::Multi => {
                // Within a transaction, this is an error that changes nothing, as in Redis.
                self.transaction.get_or_insert_with(|| (self.offset, Vec::new()));
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
            Replay::Library => {
                summary.functions += 1;
                return Ok(());
            }
            Replay::Refused(why) => return self.refused(why, arguments[0], summary),
        };
        let absolute = absolute::rewritten(name, arguments, TimeSource::System.now());
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
        self.pending = 0;
        let (_, commands) = self.transaction.take().unwrap_or_default();
        for (name, bytes) in commands {
            summary.commands += u64::from(name != SELECT);
            take(Item::Command(name, &bytes))?;
        }
        Ok(())
    }

    /// Refuses a transaction that becomes too long, by a command of this many bytes.
    fn limit_transaction(&mut self, bytes: usize) -> Result<(), String> {
        self.pending += bytes + size_of::<Command>();
        if self.pending <= self.most_pending {
            return Ok(());
        }
        let (at, most) = (self.offset(), self.most_pending);
        Err(format!("the transaction at byte {at} takes more than {most} bytes"))
    }

    /// Refuses an incomplete command of more than this many bytes.
    fn limit_command(&self, bytes: usize) -> Result<(), String> {
        if bytes <= self.most_pending {
            return Ok(());
        }
        let (at, most) = (self.offset, self.most_pending);
        Err(format!("the command at byte {at} has more than {most} bytes"))
    }

    /// Handles a command that cannot be executed.
    fn refused(&self, why: Refusal, name: &[u8], summary: &mut Summary) -> Result<(), String> {
        let name = &name[..name.len().min(LONGEST_NAME)];
        let name = name.to_ascii_uppercase().escape_ascii().to_string();
        if self.live.as_ref().is_some_and(|live| !live.skips_refused) {
            return Err(match why {
                Refusal::Script => format!(
                    "Redis sent the script {name} instead of its effects, as versions before 5 do, but an import \
                     does not execute scripts: stop the writers, and import an RDB file written by SAVE. With \
                     --skip-other-types, the effects of scripts are missing"
                ),
                Refusal::Unknown => format!(
                    "Redis executed {name}, which is not supported here; --skip-other-types skips such commands"
                ),
                Refusal::OtherDatabase | Refusal::Unexpected => format!(
                    "Redis sent {name} in an unexpected form; --skip-other-types skips such commands"
                ),
            });
        }
        count(&mut summary.refused, (why, name));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    /// Reads a file, with a limit. Returns the commands.
    fn read(file: &str, most_pending: usize) -> Result<String, String> {
        let (mut taken, mut summary) = (String::new(), Summary::default());
        let mut take = |item: Item<'_>| {
            if let Item::Command(_, bytes) = item {
                taken.push_str(std::str::from_utf8(bytes).unwrap());
            }
            Ok(())
        };
        let aof = Aof { most_pending, ..Aof::new(None, 0) };
        let input = BufReader::with_capacity(100, file.as_bytes());
        aof.read(input, true, &mut summary, &mut take)?;
        Ok(taken)
    }

    #[test]
    fn a_file_is_not_collected_in_memory() {
        let (multi, incr) = ("*1\r\n$5\r\nMULTI\r\n", "*2\r\n$4\r\nINCR\r\n$1\r\na\r\n");
        let each = incr.len() + size_of::<Command>();
        let begun = format!("{incr}{multi}{}", incr.repeat(10));
        assert_eq!(read(&begun, 10 * each), Ok(incr.to_owned()));
        let why = read(&begun, 10 * each - 1).expect_err("a transaction of any length");
        assert_eq!(
            why,
            format!(
                "the transaction at byte {} takes more than {} bytes",
                incr.len(),
                10 * each - 1
            )
        );
        // Each transaction has the limit for itself.
        let exec = "*1\r\n$4\r\nEXEC\r\n";
        let many = format!("{multi}{incr}{exec}").repeat(5);
        assert_eq!(read(&many, 200), Ok(incr.repeat(5)));
        let why = read(&format!("{incr}*9\r\n$1000\r\n{}", "x".repeat(700)), 300);
        let why = why.expect_err("a command of any length");
        assert!(why.contains("has more than 300 bytes"), "{why}");
        let longest = format!("#{}\n{incr}", "x".repeat(LONGEST_NOTE - 2));
        assert_eq!(read(&longest, MOST_PENDING), Ok(incr.to_owned()));
        let why = read(&format!("{incr}#{}\n", "x".repeat(LONGEST_NOTE - 1)), MOST_PENDING);
        let why = why.expect_err("a note of any length");
        assert_eq!(
            why,
            format!("an annotation of more than 65536 bytes begins at byte {}", incr.len())
        );
    }
}
