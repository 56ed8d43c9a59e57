//! Commands that wait until a key has an element. Those that wait for entries of streams are with the
//! [others](super::stream_reads) that read them.
//!
//! In a transaction or a script they do not wait: they answer that there is none.

use crate::command::arguments::{CommandError, SYNTAX};
use crate::command::connection::ReplyMode;
use crate::command::execute::{Execution, NextStep};
use crate::command::lists::{PopArguments, end};
use crate::command::reply::{ReplyKind, error_text};
use crate::command::rows::{Run, alone};
use crate::command::sorted_sets::lowest;
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, DELETE, INSERT, RW, key};
use crate::command::waiting::Waiting;
use hedgerow_db_engine::request::{
    Answer, End, LongDouble, MultiKeyOp, Popped, Request, RequestError,
};
use hedgerow_db_formats::resp::write::RespWriter;
use std::time::{Duration, Instant};

const NOT_A_TIMEOUT: &str = "ERR timeout is not a float or out of range";
const NEGATIVE: &str = "ERR timeout is negative";

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    alone("blpop", -3, "write noscript blocking", |e, a| e.pop_list(a, End::Front))
        .keys(&[key(1, RW | ACCESS | DELETE).to(-2, 1)])
        .since("2.0.0", Group::List)
        .syntax("key#0... timeout/double")
        .summary("Removes the first element of a list and returns it. Waits until there is one.")
        .takes_time("O(N), N is the number of keys"),
    alone("brpop", -3, "write noscript blocking", |e, a| e.pop_list(a, End::Back))
        .keys(&[key(1, RW | ACCESS | DELETE).to(-2, 1)])
        .since("2.0.0", Group::List)
        .syntax("key#0... timeout/double")
        .summary("Removes the last element of a list and returns it. Waits until there is one.")
        .takes_time("O(N), N is the number of keys"),
    alone("blmpop", -5, "write blocking movablekeys", |e, a| e.pop_list_elements(a))
        .keys(&[key(2, RW | ACCESS | DELETE).counted(1)])
        .since("7.0.0", Group::List)
        .syntax("timeout/double numkeys/integer key#0... where:<LEFT|RIGHT> [COUNT count/integer]")
        .summary(
            "Removes elements of the first list that has some and returns them. Waits until there \
             is one.",
        )
        .takes_time("O(N + M), N is the number of keys, M that of the elements"),
    alone("blmove", 6, "write denyoom noscript blocking", |e, a| {
        e.move_or_wait((a[1], end(a[3])?), (a[2], end(a[4])?), a[5])
    })
    .keys(&[key(1, RW | ACCESS | DELETE), key(2, RW | INSERT)])
    .since("6.2.0", Group::List)
    .syntax("source#0 destination#1 wherefrom:<LEFT|RIGHT> whereto:<LEFT|RIGHT> timeout/double")
    .summary("Moves an element from one list to another and returns it. Waits until there is one."),
    alone("brpoplpush", 4, "write denyoom noscript blocking", |e, a| {
        e.move_or_wait((a[1], End::Back), (a[2], End::Front), a[3])
    })
    .keys(&[key(1, RW | ACCESS | DELETE), key(2, RW | INSERT)])
    .since("2.2.0", Group::List)
    .syntax("source#0 destination#1 timeout/double")
    .summary(
        "Moves the last element of a list to the front of another and returns it. Waits until \
         there is one.",
    ),
    alone("bzpopmin", -3, "write noscript blocking fast", |e, a| e.pop_member(a, true))
        .keys(&[key(1, RW | ACCESS | DELETE).to(-2, 1)])
        .since("5.0.0", Group::SortedSet)
        .syntax("key#0... timeout/double")
        .summary(
            "Removes the member of a sorted set with the lowest score and returns it. Waits until \
             there is one.",
        )
        .takes_time("O(N + log M), N is the number of keys, M of the members"),
    alone("bzpopmax", -3, "write noscript blocking fast", |e, a| e.pop_member(a, false))
        .keys(&[key(1, RW | ACCESS | DELETE).to(-2, 1)])
        .since("5.0.0", Group::SortedSet)
        .syntax("key#0... timeout/double")
        .summary(
            "Removes the member of a sorted set with the highest score and returns it. Waits until \
             there is one.",
        )
        .takes_time("O(N + log M), N is the number of keys, M of the members"),
    alone("bzmpop", -5, "write blocking movablekeys", |e, a| e.pop_members(a))
        .keys(&[key(2, RW | ACCESS | DELETE).counted(1)])
        .since("7.0.0", Group::SortedSet)
        .syntax("timeout/double numkeys/integer key#0... where:<MIN|MAX> [COUNT count/integer]")
        .summary(
            "Removes members of the first sorted set that has some and returns them. Waits until \
             there is one.",
        )
        .takes_time("O(N + M log L), N is the number of keys, M of the members returned, L of all"),
];

/// Returns until when a command waits; `None` for ever.
fn deadline(timeout: &[u8]) -> Result<Option<Instant>, CommandError> {
    let seconds = LongDouble::parse(timeout).ok_or(NOT_A_TIMEOUT)?;
    // Redis casts a number that is too large to a negative one.
    let milliseconds = seconds.thousandfold().and_then(|time| u64::try_from(time).ok());
    Ok(deadline_after(milliseconds.ok_or(NEGATIVE)?))
}

/// Returns until when a command waits for so many milliseconds; `None` for ever, which is what 0 stands for.
pub(super) fn deadline_after(milliseconds: u64) -> Option<Instant> {
    let after = (milliseconds != 0).then(|| Duration::from_millis(milliseconds));
    // A time that the clock cannot show is for ever.
    after.and_then(|after| Instant::now().checked_add(after))
}

impl<'a> Execution<'_, 'a> {
    /// BLPOP and BRPOP.
    fn pop_list(&mut self, arguments: &[&'a [u8]], end: End) -> Result<(), CommandError> {
        let (timeout, keys) = arguments[1..].split_last().ok_or(SYNTAX)?;
        self.pop_or_wait(keys, (Popped::List(end), 1), timeout, ReplyKind::PoppedOne)
    }

    /// BLMPOP.
    fn pop_list_elements(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let PopArguments { keys, what, count } = PopArguments::read(arguments, 2, end)?;
        self.pop_or_wait(keys, (Popped::List(what), count), arguments[1], ReplyKind::Popped)
    }

    /// BZPOPMIN and BZPOPMAX.
    fn pop_member(&mut self, arguments: &[&'a [u8]], lowest: bool) -> Result<(), CommandError> {
        let (timeout, keys) = arguments[1..].split_last().ok_or(SYNTAX)?;
        let popped = (Popped::SortedSet { lowest }, 1);
        self.pop_or_wait(keys, popped, timeout, ReplyKind::PoppedOneScored)
    }

    /// BZMPOP.
    fn pop_members(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let PopArguments { keys, what, count } = PopArguments::read(arguments, 2, lowest)?;
        let popped = (Popped::SortedSet { lowest: what }, count);
        self.pop_or_wait(keys, popped, arguments[1], ReplyKind::PoppedScored)
    }

    fn pop_or_wait(
        &mut self,
        keys: &[&'a [u8]],
        (popped, count): (Popped, usize),
        timeout: &[u8],
        kind: ReplyKind,
    ) -> Result<(), CommandError> {
        let deadline = deadline(timeout)?;
        let (keys, most) = (self.keep(keys), self.room());
        let op = MultiKeyOp::PopFirst { keys, popped, count, most };
        self.take_or_wait(op, deadline, kind)
    }

    /// BLMOVE and BRPOPLPUSH.
    fn move_or_wait(
        &mut self,
        (from, take): (&'a [u8], End),
        (to, put): (&'a [u8], End),
        timeout: &[u8],
    ) -> Result<(), CommandError> {
        let deadline = deadline(timeout)?;
        let op = MultiKeyOp::MoveElement { from, take, to, put };
        self.take_or_wait(op, deadline, ReplyKind::Value)
    }

    /// Executes an operation, or waits until it has something to take.
    pub(super) fn take_or_wait(
        &mut self,
        op: MultiKeyOp<'a>,
        deadline: Option<Instant>,
        kind: ReplyKind,
    ) -> Result<(), CommandError> {
        if self.collects {
            self.batch.multi_key(op, kind);
            return Ok(());
        }
        self.execute_batch();
        if self.next != NextStep::Continue {
            return Ok(());
        }
        let (mut refused, mut failed) = (None, None);
        let writer = &mut RespWriter::new(self.out, self.connection.protocol);
        let (lsn, waiter) = self.session.take_or_wait(op, &mut |answer| match answer {
            Answer::Error(error) => refused = Some(error),
            answer => failed = kind.write(writer, answer, 0),
        });
        if let Some(error) = failed {
            self.meter.fail(self.batch.command.into());
            self.meter.diagnostics.count_error(error.as_bytes());
        }
        self.lsn = self.lsn.max(lsn);
        self.fits(0);
        match refused {
            Some(error @ (RequestError::NotPrimary | RequestError::SlotNotOwned)) => {
                let lost = error == RequestError::SlotNotOwned;
                return Err(self.redirects().refused(&Request::MultiKey(op), lost));
            }
            Some(error) => return Err(error_text(error).into()),
            None => {}
        }
        if let Some(waiter) = waiter {
            self.server.note_waiter(self.connection.id, Some(&waiter));
            self.connection.waiting = Some(Box::new(Waiting {
                waiter,
                deadline,
                kind,
                command: self.batch.command,
                // As of now: the mode may be one for this command alone.
                is_muted: self.connection.reply_mode != ReplyMode::All,
                _counted: self.meter.diagnostics.begin_wait(),
            }));
            self.next = NextStep::Wait;
        }
        Ok(())
    }
}
