//! How the commands of a connection are counted and measured.
//!
//! The clock is read once for each batch, and once for each command that is executed alone. If a batch was slow, its
//! requests are parsed once more for the slow log, so that a batch that was not has no cost.

use crate::command::diagnostics::call_meter::Slow;
use crate::command::diagnostics::slow_log::{SlowCommand, shortened};
use crate::command::execute::Execution;
use crate::command::redact::redacted;
use crate::command::reply::error_text;
use crate::command::reply_writer::ReplyFailure;
use crate::command::table::{self, CommandSpec, Flag, Id};
use hedgerow_db_engine::latency_monitor::seconds_now;
use hedgerow_db_engine::request::RequestError;
use hedgerow_db_formats::resp::inline;
use hedgerow_db_formats::resp::parse::{Limits, ParsedItem, Requests};
use std::borrow::Cow;

/// The arguments of a request.
type RequestArguments<'i> = Vec<Cow<'i, [u8]>>;

/// Returns whether Redis refuses a command for this before it executes it, so that it counts as rejected.
fn is_rejection(error: RequestError) -> bool {
    use RequestError::{LogFull, LogUnavailable, NotPrimary, OutOfMemory, SlotNotOwned};
    matches!(error, OutOfMemory | LogUnavailable | LogFull | NotPrimary | SlotNotOwned)
}

impl Execution<'_, '_> {
    /// Counts a command that was dispatched outside of a batch, or has subcommands.
    pub(super) fn count_measured(&mut self, spec: &CommandSpec) {
        self.meter.count(spec.id.number().into());
        // With a batch pending, its commands would be counted into this one's time.
        if self.batch.is_empty() && !spec.is_brief {
            self.lap(self.end);
        }
    }

    /// Replies an error of a command that was dispatched.
    #[cold]
    pub(super) fn fail(&mut self, spec: &'static CommandSpec, arguments: &[&[u8]], error: &str) {
        let spec = spec.with_part(arguments);
        let number = spec.id.number().into();
        let full = error_text(RequestError::OutOfMemory);
        // Before wrong arguments, as in Redis, which looks at the flag alone.
        if error == full || spec.has_flag(Flag::DenyOom) && self.lacks_memory() {
            self.meter.reject(number);
            return self.error(full);
        }
        self.meter.count(number);
        self.meter.fail(number);
        self.error(error);
    }

    /// Returns whether memory is full, so that a command with the flag `denyoom` is refused although it adds no change
    /// to the batch. The commands of transactions and scripts are checked elsewhere, before their shards are locked.
    pub(super) fn lacks_memory(&mut self) -> bool {
        if self.collects || !self.session.is_memory_full() {
            return false;
        }
        // Earlier commands may free some.
        self.execute_batch();
        self.session.is_memory_full()
    }

    /// Counts the errors among the replies of a batch, and removes them.
    #[cold]
    pub(super) fn count_failures(&mut self, failures: &mut Vec<(u16, ReplyFailure)>) {
        for (number, failure) in failures.drain(..) {
            match failure {
                ReplyFailure::Answered(error) if is_rejection(error) => {
                    self.meter.reject_counted(number.into());
                }
                ReplyFailure::Answered(_) | ReplyFailure::Replied(_) => {
                    self.meter.fail(number.into());
                }
            }
            self.meter.diagnostics.count_error(match failure {
                ReplyFailure::Answered(RequestError::NotPrimary | RequestError::SlotNotOwned) => {
                    b"MOVED"
                }
                ReplyFailure::Answered(error) => error_text(error).as_bytes(),
                ReplyFailure::Replied(text) => text.as_bytes(),
            });
        }
    }

    /// Measures the commands that were counted since the last call, whose requests end at `upto`.
    #[inline]
    pub(super) fn lap(&mut self, upto: usize) {
        if let Some(slow) = self.meter.lap() {
            self.note_slow(slow, upto);
        }
        self.measured = upto;
    }

    /// Adds commands to the slow log. Each has an equal share of the time. If no share is as long as the threshold,
    /// but all are together, the entry is the longest request, and says how many others there were.
    #[cold]
    fn note_slow(&mut self, slow: Slow, upto: usize) {
        let requests = executed(self.requests(upto));
        self.note_event(slow, &requests);
        let count = requests.len() as u64;
        let Some(share) = slow.took.checked_div(count) else { return };
        let threshold = self.meter.diagnostics.slow_log.threshold();
        if slow.took < threshold {
            return;
        }
        if share >= threshold {
            for request in &requests {
                self.push_slow(request, share, None);
            }
            return;
        }
        let size = |request: &&RequestArguments<'_>| -> usize {
            request.iter().map(|argument| argument.len() + size_of::<&[u8]>()).sum()
        };
        if let Some(longest) = requests.iter().max_by_key(size) {
            let others = format!("... ({} more commands of the pipeline)", count - 1);
            self.push_slow(longest, slow.took, Some(others));
        }
    }

    /// Keeps an event for LATENCY.
    fn note_event(&self, slow: Slow, requests: &[RequestArguments<'_>]) {
        let monitor = &self.meter.diagnostics.latency;
        let (took, threshold) = (slow.took / 1_000_000, monitor.threshold());
        if threshold == 0 || took < threshold {
            return;
        }
        let is_fast = |request: &RequestArguments<'_>| {
            let part = request.get(1).and_then(|part| table::find_part(&request[0], part));
            part.or_else(|| table::find(&request[0])).is_some_and(|spec| spec.has_flag(Flag::Fast))
        };
        let event = if requests.iter().all(is_fast) { "fast-command" } else { "command" };
        monitor.note(event, seconds_now(), took);
    }

    fn push_slow(&self, request: &RequestArguments<'_>, nanoseconds: u64, others: Option<String>) {
        let arguments: Vec<&[u8]> = request.iter().map(|argument| &**argument).collect();
        let mut arguments = shortened(&redacted(&arguments));
        arguments.extend(others.map(String::into_bytes));
        self.meter.diagnostics.slow_log.push(SlowCommand {
            id: 0,
            at: seconds_now(),
            microseconds: nanoseconds / 1000,
            arguments,
            address: self.connection.address.clone(),
            name: self.connection.name().to_vec(),
        });
    }

    /// Parses the requests that were not measured before, up to `upto`.
    fn requests(&self, upto: usize) -> Vec<RequestArguments<'_>> {
        let mut at = self.measured;
        let (mut parser, mut arguments, mut all) = (Requests::default(), Vec::new(), Vec::new());
        while at < upto {
            let rest = &self.input[at..];
            let (request, length): (RequestArguments<'_>, _) =
                match parser.next(rest, Limits::FULL, &mut arguments) {
                    ParsedItem::Request(length) => (
                        arguments.iter().map(|argument| Cow::Borrowed(*argument)).collect(),
                        length,
                    ),
                    ParsedItem::Quoted(length) => {
                        let words = inline::split(&rest[..length]).unwrap_or_default();
                        (words.into_iter().map(Cow::Owned).collect(), length)
                    }
                    ParsedItem::Nothing(length) => (Vec::new(), length),
                    ParsedItem::Unfinished(_) | ParsedItem::Invalid(_) => break,
                };
            at += length.max(1);
            if !request.is_empty() {
                all.push(request);
            }
        }
        all
    }
}

/// Leaves out requests that were only queued, or not executed because they are no command.
fn executed(requests: Vec<RequestArguments<'_>>) -> Vec<RequestArguments<'_>> {
    let mut all: Vec<RequestArguments<'_>> = Vec::new();
    let mut queues = false;
    for request in requests {
        let Some(spec) = table::find(&request[0]).filter(|spec| spec.takes(request.len())) else {
            continue;
        };
        let ends_queue = matches!(spec.id, Id::EXEC | Id::DISCARD);
        if ends_queue && !queues {
            // The MULTI came with earlier input, and the requests before this one were queued.
            all.clear();
        }
        if ends_queue || !queues {
            all.push(request);
        }
        queues = is_multi(spec) || queues && !ends_queue;
    }
    all
}

fn is_multi(spec: &CommandSpec) -> bool {
    spec.id == Id::MULTI
}
