//! A batch: the requests of a pipeline's commands, executed by the session together, and the steps that turn the
//! answers into replies in the commands' order.
//!
//! No command allocates once the thread's buffers ([`Scratch`]) have grown. They are reused for each pipeline, although
//! their contents borrow from another input buffer each time.

use crate::command::arguments::{ArgumentError, CommandError};
use crate::command::diagnostics::Diagnostics;
use crate::command::diagnostics::call_meter::CallMeter;
use crate::command::lcs::{self, LcsOptions};
use crate::command::redirects::Redirects;
use crate::command::reply::{ReplyKind, error_text};
use crate::command::reply_writer::{ReplyFailure, ReplyStep, ReplyWriter};
use crate::command::stored_answer::{StoredAnswer, store};
use bumpalo::Bump;
use hedgerow_db_engine::Session;
use hedgerow_db_engine::buffers::{KEPT, emptied};
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_engine::request::{
    Change, Combination, CombinationQuery, DatabaseQuery, MultiKeyOp, Query, Request, RequestError,
};
#[cfg(feature = "scripts")]
use hedgerow_db_engine::session::LockedKeys;
use hedgerow_db_engine::session::TransactionOutcome;
use hedgerow_db_engine::state::watched_keys::KeyWatch;
use hedgerow_db_formats::resp::Protocol;
use hedgerow_db_formats::resp::write::RespWriter;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

/// A batch is executed when it has this many operations that may examine a whole value, for up to 50 milliseconds each.
const LONG_OPERATIONS: u32 = 4;

/// A thread's buffers, reused for each pipeline.
#[derive(Default)]
pub struct Scratch {
    batch: RequestBatch<'static>,
    arguments: Vec<&'static [u8]>,
    /// The keys, pairs and fields of requests that have many.
    pub(super) arena: Bump,
    pub(super) meter: CallMeter,
}

impl Scratch {
    /// Makes the buffers of a thread whose commands are counted in `diagnostics`.
    pub fn new(diagnostics: Arc<Diagnostics>) -> Self {
        Self { meter: CallMeter::new(diagnostics), ..Self::default() }
    }

    /// Notes the time from which on commands are executed.
    pub fn begin(&mut self, now: Instant) {
        self.meter.begin(now);
    }

    /// Notes that the next input is of the same connection as the last: its commands share a limit of time.
    pub fn continue_turn(&mut self) {
        self.meter.continue_turn();
    }

    /// Takes the buffers out. They are empty.
    pub(super) fn take<'a>(&mut self) -> (RequestBatch<'a>, Vec<&'a [u8]>) {
        (std::mem::take(&mut self.batch), std::mem::take(&mut self.arguments))
    }

    /// Puts the buffers back, which are empty, and frees what has become large.
    pub(super) fn put_back(&mut self, batch: RequestBatch<'static>, arguments: Vec<&'static [u8]>) {
        (self.batch, self.arguments) = (batch, arguments);
        if self.arena.allocated_bytes() > KEPT {
            self.arena = Bump::new();
        } else {
            self.arena.reset();
        }
    }
}

/// The requests of a pipeline, and the steps that make its replies.
#[derive(Default)]
pub(crate) struct RequestBatch<'a> {
    /// The number of the command whose requests are added.
    pub(super) command: u16,
    /// The numbers of the commands whose replies are errors, and their errors.
    pub(super) failures: Vec<(u16, ReplyFailure)>,
    requests: Vec<Request<'a>>,
    steps: Vec<ReplyStep>,
    prepared: Vec<u8>,
    stored: Vec<StoredAnswer>,
    stored_bytes: Vec<u8>,
    /// Whether answers are stored until all are there: with a change, they arrive in any order. A reply that takes long
    /// to make must not be made under a lock or within a read section.
    stores_answers: bool,
    /// Whether a reply depends on the current time.
    wants_time: bool,
    /// Whether an operation copies or computes values, so that a short command makes a long log entry.
    produces_values: bool,
    /// The operations that may examine a whole value.
    long_operations: u32,
}

impl<'a> RequestBatch<'a> {
    /// Empties the batch, for requests of another lifetime. Frees the buffers that have become large.
    #[inline]
    pub(super) fn emptied<'b>(self) -> RequestBatch<'b> {
        RequestBatch {
            command: self.command,
            failures: emptied(self.failures),
            requests: emptied(self.requests),
            steps: emptied(self.steps),
            prepared: emptied(self.prepared),
            stored: emptied(self.stored),
            stored_bytes: emptied(self.stored_bytes),
            stores_answers: false,
            wants_time: false,
            produces_values: false,
            long_operations: 0,
        }
    }

    /// Returns whether the batch has no step.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Returns the number of requests.
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Returns whether an operation copies or computes values.
    pub(super) fn produces_values(&self) -> bool {
        self.produces_values
    }

    /// Returns whether the batch may take so long that the time is measured before more commands are added.
    pub(super) fn may_take_long(&self) -> bool {
        self.long_operations >= LONG_OPERATIONS
    }

    /// Returns the bytes of prepared replies.
    pub(super) fn reply_bytes(&self) -> usize {
        self.prepared.len()
    }

    /// Adds a reply that needs no answer.
    pub(super) fn push_reply(
        &mut self,
        protocol: Protocol,
        write: impl FnOnce(&mut RespWriter<'_>),
    ) {
        write(&mut RespWriter::new(&mut self.prepared, protocol));
        match self.steps.last_mut() {
            Some(ReplyStep::Prepared(end)) => *end = self.prepared.len(),
            _ => self.steps.push(ReplyStep::Prepared(self.prepared.len())),
        }
    }

    /// Adds a read of one key.
    #[inline]
    pub(super) fn read(&mut self, key: &'a [u8], query: Query<'a>, kind: ReplyKind) {
        self.wants_time |= matches!(kind, ReplyKind::Ttl { .. });
        self.requests.push(Request::Read(key, query));
        self.steps.push(ReplyStep::Answers(kind, self.command, 1));
    }

    /// Adds the same read of several keys, in one snapshot.
    pub(super) fn multi_read(&mut self, keys: &[&'a [u8]], query: Query<'a>, kind: ReplyKind) {
        // The first one announces the group.
        let request = |(at, key): (usize, &&'a [u8])| match at {
            0 if keys.len() > 1 => Request::MultiRead(key, query, keys.len()),
            _ => Request::Read(key, query),
        };
        self.requests.extend(keys.iter().enumerate().map(request));
        self.steps.push(ReplyStep::Answers(kind, self.command, keys.len()));
    }

    /// Adds reads of several keys, in one snapshot.
    pub(super) fn read_each(&mut self, reads: &[(&'a [u8], Query<'a>)], kind: ReplyKind) {
        // The first one announces the group. A group of one is read without a lock.
        let request = |(at, (key, query)): (usize, &(&'a [u8], Query<'a>))| match at {
            0 => Request::MultiRead(key, *query, reads.len()),
            _ => Request::Read(key, *query),
        };
        self.requests.extend(reads.iter().enumerate().map(request));
        self.steps.push(ReplyStep::Answers(kind, self.command, reads.len()));
    }

    /// Adds a change of one key.
    #[inline]
    pub(super) fn change(&mut self, key: &'a [u8], change: Change<'a>, kind: ReplyKind) {
        self.stores_answers = true;
        self.long_operations += u32::from(change.examines_value());
        self.requests.push(Request::Change(key, change));
        self.steps.push(ReplyStep::Answers(kind, self.command, 1));
    }

    /// Adds an atomic change of several keys.
    pub(super) fn multi_key(&mut self, op: MultiKeyOp<'a>, kind: ReplyKind) {
        self.stores_answers = true;
        // RENAME and MOVE, too: while a snapshot is written, their entry contains the value.
        self.produces_values |= matches!(
            op,
            MultiKeyOp::Bitwise { .. }
                | MultiKeyOp::StoreRange { .. }
                | MultiKeyOp::StoreSearch { .. }
                | MultiKeyOp::StoreCombination(..)
                | MultiKeyOp::Copy { .. }
                | MultiKeyOp::Rename { .. }
                | MultiKeyOp::Sort { .. }
                | MultiKeyOp::Move { .. }
        );
        self.requests.push(Request::MultiKey(op));
        self.steps.push(ReplyStep::Answers(kind, self.command, 1));
    }

    /// Adds the choice of another database for the requests behind it. Only a transaction has this.
    pub(super) fn select(&mut self, database: u16) {
        self.stores_answers = true;
        self.requests.push(Request::Select(database));
        self.steps.push(ReplyStep::Answers(ReplyKind::Done, self.command, 1));
    }

    /// Adds a question about all keys of the selected database.
    pub(super) fn ask_database(&mut self, query: DatabaseQuery<'a>, kind: ReplyKind) {
        self.requests.push(Request::Database(query));
        self.steps.push(ReplyStep::Answers(kind, self.command, 1));
    }

    /// Adds a question about the sets of several keys.
    pub(super) fn combine(
        &mut self,
        combination: Combination<'a>,
        query: CombinationQuery,
        kind: ReplyKind,
    ) {
        self.long_operations += 1;
        self.requests.push(Request::Combine(combination, query));
        self.steps.push(ReplyStep::Answers(kind, self.command, 1));
    }

    /// Adds a read of two values, whose longest common subsequence is the reply, or the error for wrong options.
    pub(super) fn lcs(&mut self, keys: &[&'a [u8]], options: Result<LcsOptions, ArgumentError>) {
        (self.stores_answers, self.long_operations) = (true, LONG_OPERATIONS);
        // No more of a value than shows that it is too long for LCS; nearly nothing for its type alone.
        let last = if options.is_ok() { lcs::REFUSED_LENGTH - 1 } else { 0 };
        self.multi_read(keys, Query::Range(0, last), ReplyKind::Lcs(options));
    }

    /// Adds a read of HyperLogLogs, the size of whose union is the reply. A name that comes again changes nothing, and
    /// may come a million times.
    pub(super) fn count_union(&mut self, keys: &[&'a [u8]]) {
        let mut seen = HashSet::with_capacity(keys.len());
        let distinct: Vec<&[u8]> = keys.iter().copied().filter(|key| seen.insert(*key)).collect();
        self.multi_read(&distinct, Query::HyperLogLog, ReplyKind::Union);
    }

    /// Adds a read that may take long. It is made without a lock, even if changes of the same shard are queued.
    pub(super) fn long_read(&mut self, key: &'a [u8], query: Query<'a>, kind: ReplyKind) {
        self.long_operations += 1;
        self.unlocked_read(key, query, kind);
    }

    /// Adds a read that takes long only if its reply is long. It is made without a lock, too.
    pub(super) fn unlocked_read(&mut self, key: &'a [u8], query: Query<'a>, kind: ReplyKind) {
        // A group of one, before which the queued changes are made: a plain read would be queued behind them, under
        // their lock.
        self.requests.push(Request::MultiRead(key, query, 1));
        self.steps.push(ReplyStep::Answers(kind, self.command, 1));
    }

    /// Executes all requests and writes the replies. Returns the log entry that must be committed before the replies
    /// are sent, and whether all replies fit into `max_out` bytes of `out`. If not, the rest is left out.
    pub(super) fn execute(
        &mut self,
        session: &mut Session,
        redirects: Redirects<'_>,
        protocol: Protocol,
        out: &mut Vec<u8>,
        max_out: usize,
    ) -> (Lsn, bool) {
        let now = if self.wants_time { session.now() } else { 0 };
        // Values that arrive out of order are copied to another buffer first.
        let max_stored = max_out.saturating_sub(out.len());
        let mut full = false;
        let out = RespWriter::new(out, protocol);
        let steps = (&self.steps[..], &self.prepared[..], &mut self.failures);
        let mut replies = ReplyWriter::new(out, max_out, steps, now);
        let mut lsn = 0;
        if !self.requests.is_empty() {
            let requests = std::mem::take(&mut self.requests);
            // Changes are answered shard by shard, so the answers are stored until all are there, and then written in
            // order.
            if self.stores_answers && requests.len() > 1 {
                let stored = &mut self.stored;
                let bytes = &mut self.stored_bytes;
                stored.resize(requests.len(), StoredAnswer::Nil);
                lsn = session.execute(&requests, &mut |request, answer| {
                    stored[request] = store(answer, bytes, max_stored, &mut full);
                });
                replies.stored_answers(stored, bytes, &requests, redirects);
            } else {
                // Otherwise answers arrive in order and are written as they come.
                lsn = session.execute(&requests, &mut |request, answer| {
                    let redirection = |lost| redirects.refused(&requests[request], lost);
                    replies.answer(answer, redirection);
                });
            }
            self.requests = emptied(requests);
        }
        replies.prepared();
        full |= replies.full;
        self.clear();
        (lsn, !full)
    }

    /// Executes all requests as one transaction, and stores the answers for
    /// [`write_transaction`](Self::write_transaction).
    pub(super) fn execute_transaction(
        &mut self,
        session: &mut Session,
        watch: Option<&KeyWatch>,
        redirects: Redirects<'_>,
        max_out: usize,
    ) -> BatchOutcome {
        let requests = &self.requests;
        let (stored, bytes, mut full) = (&mut self.stored, &mut self.stored_bytes, false);
        stored.resize(requests.len(), StoredAnswer::Nil);
        let outcome = session.transaction(requests, watch, &mut |request, answer| {
            stored[request] = store(answer, bytes, max_out, &mut full);
        });
        match outcome {
            TransactionOutcome::Done(lsn) => BatchOutcome::Done { lsn, full },
            TransactionOutcome::Refused(why, at) => BatchOutcome::Refused(match why {
                RequestError::NotPrimary | RequestError::SlotNotOwned => {
                    redirects.refused(&requests[at], why == RequestError::SlotNotOwned)
                }
                _ => transaction_refused(error_text(why)),
            }),
            // `Conflict`. The enum may grow: nothing but `Done` may be taken for success.
            _ => BatchOutcome::Conflict,
        }
    }

    /// Executes the requests of one command on locked keys, and writes its reply. Returns whether it fits into
    /// `max_out` bytes of `out`.
    #[cfg(feature = "scripts")]
    pub(super) fn execute_locked(
        &mut self,
        keys: &mut LockedKeys<'_>,
        redirects: Redirects<'_>,
        protocol: Protocol,
        out: &mut Vec<u8>,
        max_out: usize,
    ) -> bool {
        let requests = std::mem::take(&mut self.requests);
        let out = RespWriter::new(out, protocol);
        let steps = (&self.steps[..], &self.prepared[..], &mut self.failures);
        let mut replies = ReplyWriter::new(out, max_out, steps, keys.time());
        keys.execute(&requests, &mut |request, answer| {
            let redirection = |lost| redirects.refused(&requests[request], lost);
            replies.answer(answer, redirection);
        });
        replies.prepared();
        let full = replies.full;
        self.requests = emptied(requests);
        self.clear();
        !full
    }

    /// Returns the place behind the replies so far.
    pub(super) fn place(&mut self) -> AnswerPlace {
        if !matches!(self.steps.last(), Some(ReplyStep::Prepared(_))) {
            self.steps.push(ReplyStep::Prepared(self.prepared.len()));
        }
        AnswerPlace { step: self.steps.len() - 1, offset: self.prepared.len() }
    }

    /// Inserts replies at places, which are in order. Each reply reaches to an offset in `replies`.
    pub(super) fn insert_replies(
        &mut self,
        places: &[AnswerPlace],
        ends: &[usize],
        replies: &[u8],
    ) {
        // One pass for all places: inserting each reply by itself would move the rest of the buffer each time.
        let mut all = Vec::with_capacity(self.prepared.len() + replies.len());
        let (mut copied, mut inserted, mut next) = (0, 0, 0);
        for (place, end) in places.iter().zip(ends) {
            self.steps[next..place.step].iter_mut().for_each(|step| step.shift(inserted));
            next = place.step;
            all.extend_from_slice(&self.prepared[copied..place.offset]);
            all.extend_from_slice(&replies[inserted..*end]);
            (copied, inserted) = (place.offset, *end);
        }
        self.steps[next..].iter_mut().for_each(|step| step.shift(inserted));
        all.extend_from_slice(&self.prepared[copied..]);
        self.prepared = all;
    }

    /// Writes the replies of a transaction of this many commands as an array. Returns whether all fit into `max_out`
    /// bytes of `out`.
    pub(super) fn write_transaction(
        &mut self,
        (session, commands): (&Session, usize),
        redirects: Redirects<'_>,
        protocol: Protocol,
        out: &mut Vec<u8>,
        max_out: usize,
    ) -> bool {
        let now = if self.wants_time { session.now() } else { 0 };
        let mut out = RespWriter::new(out, protocol);
        out.array(commands);
        let steps = (&self.steps[..], &self.prepared[..], &mut self.failures);
        let mut replies = ReplyWriter::new(out, max_out, steps, now);
        replies.stored_answers(&self.stored, &self.stored_bytes, &self.requests, redirects);
        replies.prepared();
        let full = replies.full;
        self.clear();
        !full
    }

    pub(super) fn clear(&mut self) {
        self.requests.clear();
        self.steps.clear();
        self.prepared.clear();
        self.stored.clear();
        self.stored_bytes.clear();
        (self.stores_answers, self.wants_time, self.produces_values) = (false, false, false);
        self.long_operations = 0;
    }
}

/// The outcome of a batch that was executed as a transaction.
pub(super) enum BatchOutcome {
    /// It was executed.
    Done {
        /// The log entry that must be committed before the replies are sent.
        lsn: Lsn,
        /// The answers exceed the limit, and are not complete.
        full: bool,
    },
    /// A watched key has changed, so nothing was executed.
    Conflict,
    /// Nothing was executed. The reply says why.
    Refused(CommandError),
}

/// A place in the replies of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerPlace {
    /// The step of prepared replies.
    step: usize,
    /// The offset in the prepared replies.
    offset: usize,
}

/// Returns the reply to the EXEC of a transaction that an error has ended.
pub(super) fn transaction_refused(error: &str) -> CommandError {
    let error = error.strip_prefix("ERR ").unwrap_or(error);
    format!("EXECABORT Transaction discarded because of: {error}").into()
}

#[cfg(test)]
mod tests;
