//! A batch: the requests of a pipeline's commands, executed by the session together, and the steps that turn the
//! answers into replies in the commands' order.
//!
//! No command allocates once the thread's buffers ([`Scratch`]) have grown. They are reused for each pipeline, although
//! their contents borrow from another input buffer each time.

use crate::Session;
use crate::buffers::emptied;
use crate::command::arguments::CommandError;
use crate::command::redirects::Redirects;
use crate::command::reply::{ReplyKind, error_text};
use crate::log::Lsn;
use crate::request::{Answer, Change, MultiKeyOp, Query, Request, RequestError};
use crate::resp::Protocol;
use crate::resp::write::Writer;
use crate::session::TransactionOutcome;
use crate::state::watched_keys::KeyWatch;
use std::ops::Range;

/// A thread's buffers, reused for each pipeline.
#[derive(Default)]
pub struct Scratch {
    batch: Batch<'static>,
    arguments: Vec<&'static [u8]>,
}

impl Scratch {
    /// Takes the buffers out. They are empty.
    pub(super) fn take<'a>(&mut self) -> (Batch<'a>, Vec<&'a [u8]>) {
        (std::mem::take(&mut self.batch), std::mem::take(&mut self.arguments))
    }

    /// Puts the buffers back, and frees those that have become large.
    pub(super) fn put_back(&mut self, batch: Batch<'_>, arguments: Vec<&[u8]>) {
        self.arguments = emptied(arguments);
        self.batch = batch.emptied();
    }
}

/// A step in writing the replies.
#[derive(Clone, Copy, Debug)]
enum ReplyStep {
    /// Writes the prepared reply bytes up to this offset.
    Prepared(usize),
    /// Converts this many answers to a reply.
    Answers(ReplyKind, usize),
}

/// A request whose keys are in a buffer that may still be reallocated: it gets its slice when the batch is executed.
struct DeferredKeys {
    request: usize,
    what: DeferredOp,
    range: Range<usize>,
}

#[derive(Clone, Copy)]
enum DeferredOp {
    SetAll,
    SetAllIfAbsent,
    DeleteAll,
}

/// An answer that arrived out of order. Its bytes are in a buffer.
#[derive(Clone, Copy)]
enum StoredAnswer {
    Done,
    Nil,
    Int(i64),
    ExpiresAt(Option<u64>),
    Error(RequestError),
    Bytes(usize, usize),
}

/// The requests of a pipeline, and the steps that make its replies.
#[derive(Default)]
pub(crate) struct Batch<'a> {
    requests: Vec<Request<'a>>,
    steps: Vec<ReplyStep>,
    prepared: Vec<u8>,
    pairs: Vec<(&'a [u8], &'a [u8])>,
    keys: Vec<&'a [u8]>,
    deferred: Vec<DeferredKeys>,
    stored: Vec<StoredAnswer>,
    stored_bytes: Vec<u8>,
    /// Whether there is a change: then answers arrive in any order.
    changes: bool,
    /// Whether a reply depends on the current time.
    wants_time: bool,
}

impl<'a> Batch<'a> {
    /// Empties the batch, for requests of another lifetime. Frees the buffers that have become large.
    #[inline]
    pub(super) fn emptied<'b>(self) -> Batch<'b> {
        Batch {
            requests: emptied(self.requests),
            steps: emptied(self.steps),
            prepared: emptied(self.prepared),
            pairs: emptied(self.pairs),
            keys: emptied(self.keys),
            deferred: emptied(self.deferred),
            stored: emptied(self.stored),
            stored_bytes: emptied(self.stored_bytes),
            changes: false,
            wants_time: false,
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

    /// Returns the bytes of prepared replies.
    pub(super) fn reply_bytes(&self) -> usize {
        self.prepared.len()
    }

    /// Adds a reply that needs no answer.
    pub(super) fn push_reply(&mut self, protocol: Protocol, write: impl FnOnce(&mut Writer<'_>)) {
        write(&mut Writer::new(&mut self.prepared, protocol));
        match self.steps.last_mut() {
            Some(ReplyStep::Prepared(end)) => *end = self.prepared.len(),
            _ => self.steps.push(ReplyStep::Prepared(self.prepared.len())),
        }
    }

    /// Adds a read of one key.
    #[inline]
    pub(super) fn read(&mut self, key: &'a [u8], query: Query, kind: ReplyKind) {
        self.wants_time |= matches!(kind, ReplyKind::Ttl { .. });
        self.requests.push(Request::Read(key, query));
        self.steps.push(ReplyStep::Answers(kind, 1));
    }

    /// Adds the same read of several keys, in one snapshot.
    pub(super) fn multi_read(&mut self, keys: &[&'a [u8]], query: Query, kind: ReplyKind) {
        // The first one announces the group.
        let request = |(at, key): (usize, &&'a [u8])| match at {
            0 if keys.len() > 1 => Request::MultiRead(key, query, keys.len()),
            _ => Request::Read(key, query),
        };
        self.requests.extend(keys.iter().enumerate().map(request));
        self.steps.push(ReplyStep::Answers(kind, keys.len()));
    }

    /// Adds a change of one key.
    #[inline]
    pub(super) fn change(&mut self, key: &'a [u8], change: Change<'a>, kind: ReplyKind) {
        self.changes = true;
        self.requests.push(Request::Change(key, change));
        self.steps.push(ReplyStep::Answers(kind, 1));
    }

    /// Adds an atomic change of several keys.
    pub(super) fn multi_key(&mut self, op: MultiKeyOp<'a>, kind: ReplyKind) {
        self.changes = true;
        self.requests.push(Request::MultiKey(op));
        self.steps.push(ReplyStep::Answers(kind, 1));
    }

    /// Adds the removal of several keys.
    pub(super) fn delete_all(&mut self, keys: &[&'a [u8]]) {
        let from = self.keys.len();
        self.keys.extend_from_slice(keys);
        self.defer(DeferredOp::DeleteAll, from..self.keys.len());
        self.multi_key(MultiKeyOp::DeleteAll(&[]), ReplyKind::Integer);
    }

    /// Adds an MSET: `arguments` alternate between keys and values. If `absent`, the values are stored only if none of
    /// the keys exists.
    pub(super) fn set_all(&mut self, arguments: &[&'a [u8]], absent: bool) {
        let from = self.pairs.len();
        self.pairs.extend(arguments.as_chunks().0.iter().map(|&[key, value]| (key, value)));
        let range = from..self.pairs.len();
        if absent {
            self.defer(DeferredOp::SetAllIfAbsent, range);
            self.multi_key(MultiKeyOp::SetAllIfAbsent(&[]), ReplyKind::Integer);
        } else {
            self.defer(DeferredOp::SetAll, range);
            self.multi_key(MultiKeyOp::SetAll(&[]), ReplyKind::Done);
        }
    }

    fn defer(&mut self, what: DeferredOp, range: Range<usize>) {
        self.deferred.push(DeferredKeys { request: self.requests.len(), what, range });
    }

    /// Executes all requests and writes the replies. Returns the log entry that must be safe before the replies are
    /// sent, and whether all replies fit into `max_out` bytes of `out`. If not, the rest is left out.
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
        let out = Writer::new(out, protocol);
        let mut replies = ReplyWriter::new(out, max_out, (&self.steps, &self.prepared), now);
        let mut lsn = 0;
        if !self.requests.is_empty() {
            // From here on, no buffer of keys grows, so requests may borrow from them.
            let mut requests = shortened(std::mem::take(&mut self.requests));
            complete(&mut requests, &self.deferred, &self.pairs, &self.keys);
            // Changes are answered shard by shard, so the answers are stored until all are there, and then written in
            // order.
            if self.changes && requests.len() > 1 {
                let stored = &mut self.stored;
                let bytes = &mut self.stored_bytes;
                stored.resize(requests.len(), StoredAnswer::Nil);
                lsn = session.execute(&requests, &mut |request, answer| {
                    stored[request] = store(answer, bytes, max_stored, &mut full);
                });
                replies.stored_answers(stored, bytes, &requests, redirects);
            } else {
                // Without changes, answers arrive in order and are written as they come.
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
    ) -> Executed {
        // The batch keeps its own for the replies.
        let mut requests = shortened(self.requests.clone());
        complete(&mut requests, &self.deferred, &self.pairs, &self.keys);
        let (stored, bytes, mut full) = (&mut self.stored, &mut self.stored_bytes, false);
        stored.resize(requests.len(), StoredAnswer::Nil);
        let outcome = session.transaction(&requests, watch, &mut |request, answer| {
            stored[request] = store(answer, bytes, max_out, &mut full);
        });
        match outcome {
            TransactionOutcome::Done(lsn) => Executed::Done { lsn, full },
            TransactionOutcome::Conflict => Executed::Conflict,
            TransactionOutcome::Refused(why, at) => Executed::Refused(match why {
                RequestError::NotPrimary | RequestError::SlotNotOwned => {
                    redirects.refused(&requests[at], why == RequestError::SlotNotOwned)
                }
                _ => transaction_refused(error_text(why)),
            }),
        }
    }

    /// Returns the place behind the replies so far.
    pub(super) fn place(&mut self) -> Place {
        if !matches!(self.steps.last(), Some(ReplyStep::Prepared(_))) {
            self.steps.push(ReplyStep::Prepared(self.prepared.len()));
        }
        Place { step: self.steps.len() - 1, offset: self.prepared.len() }
    }

    /// Inserts replies at places, which are in order. Each reply reaches to an offset in `replies`.
    pub(super) fn insert_replies(&mut self, places: &[Place], ends: &[usize], replies: &[u8]) {
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
        let mut out = Writer::new(out, protocol);
        out.array(commands);
        let mut replies = ReplyWriter::new(out, max_out, (&self.steps, &self.prepared), now);
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
        self.pairs.clear();
        self.keys.clear();
        self.deferred.clear();
        self.stored.clear();
        self.stored_bytes.clear();
        (self.changes, self.wants_time) = (false, false);
    }
}

/// The outcome of a batch that was executed as a transaction.
pub(super) enum Executed {
    /// It was executed.
    Done {
        /// The log entry that must be safe before the replies are sent.
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
pub(super) struct Place {
    /// The step of prepared replies.
    step: usize,
    /// The offset in the prepared replies.
    offset: usize,
}

impl ReplyStep {
    /// Notes that bytes were inserted before this step, or in it.
    fn shift(&mut self, bytes: usize) {
        if let Self::Prepared(end) = self {
            *end += bytes;
        }
    }
}

/// Returns the reply to the EXEC of a transaction that an error has ended.
pub(super) fn transaction_refused(error: &str) -> CommandError {
    let error = error.strip_prefix("ERR ").unwrap_or(error);
    format!("EXECABORT Transaction discarded because of: {error}").into()
}

/// Gives requests the keys that were in a buffer.
#[inline]
fn complete<'a>(
    requests: &mut [Request<'a>],
    deferred: &[DeferredKeys],
    pairs: &'a [(&'a [u8], &'a [u8])],
    keys: &'a [&'a [u8]],
) {
    for deferred in deferred {
        let range = deferred.range.clone();
        requests[deferred.request] = Request::MultiKey(match deferred.what {
            DeferredOp::SetAll => MultiKeyOp::SetAll(&pairs[range]),
            DeferredOp::SetAllIfAbsent => MultiKeyOp::SetAllIfAbsent(&pairs[range]),
            DeferredOp::DeleteAll => MultiKeyOp::DeleteAll(&keys[range]),
        });
    }
}

/// Shortens the lifetime of the requests.
fn shortened<'short, 'a: 'short>(requests: Vec<Request<'a>>) -> Vec<Request<'short>> {
    requests
}

/// Stores an answer, with its bytes in `bytes`. Sets `full` instead of storing more than `max_out` bytes.
fn store(answer: Answer<'_>, bytes: &mut Vec<u8>, max_out: usize, full: &mut bool) -> StoredAnswer {
    match answer {
        Answer::Done => StoredAnswer::Done,
        Answer::Nil => StoredAnswer::Nil,
        Answer::Int(n) => StoredAnswer::Int(n),
        Answer::ExpiresAt(until) => StoredAnswer::ExpiresAt(until),
        Answer::Error(error) => StoredAnswer::Error(error),
        Answer::Bytes(value) => store_bytes(&[value], bytes, max_out, full),
        Answer::Pieces(pieces) => store_bytes(pieces, bytes, max_out, full),
    }
}

fn store_bytes(
    pieces: &[&[u8]],
    bytes: &mut Vec<u8>,
    max_out: usize,
    full: &mut bool,
) -> StoredAnswer {
    let from = bytes.len();
    if pieces.iter().map(|piece| piece.len()).sum::<usize>() > max_out.saturating_sub(from) {
        *full = true;
        return StoredAnswer::Nil;
    }
    for piece in pieces {
        bytes.extend_from_slice(piece);
    }
    StoredAnswer::Bytes(from, bytes.len())
}

impl StoredAnswer {
    fn answer(self, bytes: &[u8]) -> Answer<'_> {
        match self {
            Self::Done => Answer::Done,
            Self::Nil => Answer::Nil,
            Self::Int(n) => Answer::Int(n),
            Self::ExpiresAt(until) => Answer::ExpiresAt(until),
            Self::Error(error) => Answer::Error(error),
            Self::Bytes(from, to) => Answer::Bytes(&bytes[from..to]),
        }
    }
}

/// Converts answers that arrive in order to replies.
struct ReplyWriter<'o, 'b> {
    out: Writer<'o>,
    /// The longest that the output may become, and whether it would have become longer.
    max_out: usize,
    full: bool,
    /// The remaining steps.
    steps: &'b [ReplyStep],
    prepared: &'b [u8],
    /// How much of the prepared replies was written.
    written: usize,
    /// Answers that the first step still needs; 0 if it has none yet.
    missing_answers: usize,
    /// Whether the error that sends the client to another node is its reply already.
    redirected: bool,
    sum: i64,
    error: Option<RequestError>,
    now: u64,
}

impl<'o, 'b> ReplyWriter<'o, 'b> {
    #[inline]
    fn new(
        out: Writer<'o>,
        max_out: usize,
        (steps, prepared): (&'b [ReplyStep], &'b [u8]),
        now: u64,
    ) -> Self {
        Self {
            out,
            max_out,
            full: false,
            steps,
            prepared,
            written: 0,
            missing_answers: 0,
            redirected: false,
            sum: 0,
            error: None,
            now,
        }
    }

    /// Writes the prepared replies up to the next step that needs an answer.
    #[inline]
    fn prepared(&mut self) {
        while let Some((&ReplyStep::Prepared(end), rest)) = self.steps.split_first() {
            if self.fits(end - self.written) {
                self.out.raw(&self.prepared[self.written..end]);
            }
            (self.written, self.steps) = (end, rest);
        }
    }

    /// Returns whether `bytes` more bytes fit into the output. If they do not, the connection will be closed, so
    /// nothing after them is sent either.
    #[inline]
    fn fits(&mut self, bytes: usize) -> bool {
        let fits = self.out.len() + bytes <= self.max_out;
        if !fits {
            self.full = true;
        }
        fits
    }

    /// Writes what stored answers add to the replies.
    fn stored_answers(
        &mut self,
        stored: &[StoredAnswer],
        bytes: &[u8],
        requests: &[Request<'_>],
        redirects: Redirects<'_>,
    ) {
        for (stored, request) in stored.iter().zip(requests) {
            let redirection = |lost| redirects.refused(request, lost);
            self.answer(stored.answer(bytes), redirection);
        }
    }

    /// Writes what an answer adds to the replies. `redirection` returns the error for a request that only the primary
    /// executes, or whose slot this group has not (`true`).
    #[inline]
    fn answer(&mut self, answer: Answer<'_>, redirection: impl FnOnce(bool) -> CommandError) {
        let bytes = match answer {
            Answer::Bytes(value) => value.len(),
            Answer::Pieces(pieces) => pieces.iter().map(|piece| piece.len()).sum(),
            _ => 0,
        };
        if !self.fits(bytes) {
            return;
        }
        self.prepared();
        match self.steps.split_first() {
            Some((&ReplyStep::Answers(kind, 1), rest))
                if !matches!(kind, ReplyKind::Values | ReplyKind::Sum) =>
            {
                match answer {
                    Answer::Error(
                        why @ (RequestError::NotPrimary | RequestError::SlotNotOwned),
                    ) => {
                        let error = redirection(why == RequestError::SlotNotOwned);
                        self.out.error(error.as_bytes());
                    }
                    answer => kind.write(&mut self.out, answer, self.now),
                }
                self.steps = rest;
            }
            Some((&ReplyStep::Answers(kind, count), _)) => {
                self.answer_of(kind, count, answer, redirection);
            }
            _ => debug_assert!(false, "an answer without a step"),
        }
    }

    /// Processes one of several answers to a command.
    fn answer_of(
        &mut self,
        kind: ReplyKind,
        count: usize,
        answer: Answer<'_>,
        redirection: impl FnOnce(bool) -> CommandError,
    ) {
        if self.missing_answers == 0 {
            self.missing_answers = count;
            // The keys of a command have one slot, and are answered together: if one answer is this error, so are all.
            self.redirected = answer == Answer::Error(RequestError::SlotNotOwned);
            if self.redirected {
                self.out.error(redirection(true).as_bytes());
            } else if kind == ReplyKind::Values {
                self.out.array(count);
            }
        }
        match (kind, answer) {
            _ if self.redirected => {}
            (ReplyKind::Sum, Answer::Int(n)) => self.sum += n,
            (ReplyKind::Sum, Answer::Error(RequestError::KeyTooLong)) => {}
            (ReplyKind::Sum, Answer::Error(error)) => self.error = Some(error),
            _ => kind.write(&mut self.out, answer, self.now),
        }
        self.missing_answers -= 1;
        if self.missing_answers == 0 {
            if kind == ReplyKind::Sum {
                match self.error.take() {
                    _ if self.redirected => {}
                    Some(error) => self.out.error(error_text(error)),
                    None => self.out.integer(self.sum),
                }
                self.sum = 0;
            }
            self.steps = &self.steps[1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emptied_buffers_keep_their_memory() {
        let text = b"rose".to_vec();
        let mut requests: Vec<Request<'_>> = Vec::with_capacity(100);
        requests.push(Request::Read(&text, Query::Value));
        let (at, capacity) = (requests.as_ptr().addr(), requests.capacity());
        let mut again: Vec<Request<'static>> = emptied(requests);
        assert!(again.is_empty());
        again.push(Request::Read(b"rose", Query::Value));
        assert_eq!((again.as_ptr().addr(), again.capacity()), (at, capacity));
        let large: Vec<u8> = emptied(vec![0_u8; crate::buffers::KEPT + 1]);
        assert_eq!(large.capacity(), 0);
    }
}
