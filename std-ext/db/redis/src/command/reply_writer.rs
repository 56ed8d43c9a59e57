//! Writing the replies of a batch: from the answers of the database to the replies of the commands, in their order.

use crate::command::arguments::{ArgumentError, CommandError};
use crate::command::lcs::{self, LcsOptions};
use crate::command::redirects::Redirects;
use crate::command::reply::{ReplyKind, error_text};
use crate::command::stored_answer::StoredAnswer;
use crate::command::stream_reply::StreamsReply;
use hedgerow_db_engine::request::{Answer, Request, RequestError};
use hedgerow_db_engine::state::hyperloglog::{self, REGISTERS};
use hedgerow_db_formats::resp::write::RespWriter;

/// A step in writing the replies.
#[derive(Clone, Copy, Debug)]
pub(super) enum ReplyStep {
    /// Writes the prepared reply bytes up to this offset.
    Prepared(usize),
    /// Converts this many answers to the reply of the command of this number.
    Answers(ReplyKind, u16, usize),
}

impl ReplyStep {
    /// Notes that bytes were inserted before this step, or in it.
    pub(super) fn shift(&mut self, bytes: usize) {
        if let Self::Prepared(end) = self {
            *end += bytes;
        }
    }
}

/// Why the reply of a command is an error.
#[derive(Clone, Copy, Debug)]
pub(super) enum ReplyFailure {
    /// The database has answered so.
    Answered(RequestError),
    /// The answer was no error, but its reply is this one.
    Replied(&'static str),
}

/// Converts answers that arrive in order to replies.
pub(super) struct ReplyWriter<'o, 'b> {
    out: RespWriter<'o>,
    /// The longest that the output may become, and whether it would have become longer.
    max_out: usize,
    pub(super) full: bool,
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
    /// The registers of the HyperLogLogs so far.
    union: Option<Box<[u8; REGISTERS]>>,
    /// The first value of an LCS.
    first_value: Vec<u8>,
    /// The streams that a command has read so far.
    streams: StreamsReply,
    error: Option<RequestError>,
    failures: &'b mut Vec<(u16, ReplyFailure)>,
    now: u64,
}

impl<'o, 'b> ReplyWriter<'o, 'b> {
    #[inline]
    pub(super) fn new(
        out: RespWriter<'o>,
        max_out: usize,
        (steps, prepared, failures): (&'b [ReplyStep], &'b [u8], &'b mut Vec<(u16, ReplyFailure)>),
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
            union: None,
            first_value: Vec::new(),
            streams: StreamsReply::default(),
            error: None,
            failures,
            now,
        }
    }

    /// Writes the prepared replies up to the next step that needs an answer.
    #[inline]
    pub(super) fn prepared(&mut self) {
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
    pub(super) fn stored_answers(
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
    pub(super) fn answer(
        &mut self,
        answer: Answer<'_>,
        redirection: impl FnOnce(bool) -> CommandError,
    ) {
        let bytes = match answer {
            Answer::Bytes(value) => value.len(),
            Answer::Pieces(pieces) => pieces.iter().map(|piece| piece.len()).sum(),
            Answer::Fields(values) => values.as_bytes().len(),
            Answer::Elements(elements, _) => elements.reply_bytes(),
            Answer::Stored(value) => value.bytes().len(),
            _ => 0,
        };
        // Before anything is written: a reply cut in the middle must not be followed by another.
        if !self.fits(bytes) {
            return;
        }
        self.prepared();
        match self.steps.split_first() {
            Some((&ReplyStep::Answers(kind, command, 1), rest))
                // With these, even a single answer is not the reply: it is an element of an array, or a number is
                // computed from it.
                if !matches!(
                    kind,
                    ReplyKind::Values
                        | ReplyKind::Sum
                        | ReplyKind::Union
                        | ReplyKind::Streams
                ) =>
            {
                match answer {
                    Answer::Error(why) => self.refused((kind, command), why, redirection),
                    answer => {
                        let error = kind.write(&mut self.out, answer, self.now);
                        self.fail_with(command, error);
                    }
                }
                self.steps = rest;
            }
            Some((&ReplyStep::Answers(kind, command, count), _)) => {
                self.answer_of((kind, command, count), answer, redirection);
            }
            _ => debug_assert!(false, "an answer without a step"),
        }
    }

    /// Writes the reply for a request that the database has refused.
    #[cold]
    fn refused(
        &mut self,
        (kind, command): (ReplyKind, u16),
        why: RequestError,
        redirection: impl FnOnce(bool) -> CommandError,
    ) {
        if let Some(text) = kind.own_error(why) {
            self.fail_with(command, Some(text));
            return self.out.error(text);
        }
        self.failures.push((command, ReplyFailure::Answered(why)));
        match why {
            RequestError::NotPrimary | RequestError::SlotNotOwned => {
                let error = redirection(why == RequestError::SlotNotOwned);
                self.out.error(error.as_bytes());
            }
            _ => self.out.error(error_text(why)),
        }
    }

    /// Counts an error that was replied although the answer was none, if there is one.
    #[inline]
    fn fail_with(&mut self, command: u16, error: Option<&'static str>) {
        if let Some(error) = error {
            self.failures.push((command, ReplyFailure::Replied(error)));
        }
    }

    /// Adds a HyperLogLog to the union. The first one that is none makes the reply.
    fn add_to_union(&mut self, answer: Answer<'_>) {
        let added = match answer {
            Answer::Bytes(value) => {
                let union = self.union.get_or_insert_with(|| Box::new([0; REGISTERS]));
                hyperloglog::merge(value, union)
            }
            Answer::Error(error) => Err(error),
            _ => Ok(()),
        };
        if let Err(error) = added {
            // `pfcountCommand` stops at the first key that is no HyperLogLog.
            self.error.get_or_insert(error);
        }
    }

    /// Processes one of the two answers to LCS.
    fn lcs_answer(
        &mut self,
        (options, command): (Result<LcsOptions, ArgumentError>, u16),
        answer: Answer<'_>,
    ) {
        // A key that is too long cannot exist, so its value is empty, too.
        let value = if let Answer::Bytes(value) = answer { value } else { &[] };
        if answer == Answer::Error(RequestError::WrongType) {
            self.error = Some(RequestError::WrongType);
        }
        if self.missing_answers > 1 {
            self.first_value = value.to_vec();
            return;
        }
        let first = std::mem::take(&mut self.first_value);
        // `lcsCommand` looks at the types before it reads the options.
        let refused = match (self.error.take(), options) {
            (Some(_), _) => Err(lcs::WRONG_TYPE),
            (None, Err(error)) => Err(error.text()),
            (None, Ok(options)) => Ok(options),
        };
        let error = match refused {
            Ok(options) => lcs::write(&mut self.out, (&first, value), options),
            Err(text) => {
                self.out.error(text);
                Some(text)
            }
        };
        self.fail_with(command, error);
        // Afterwards, because only `lcs` knows how long its reply is.
        self.fits(0);
    }

    /// Processes one of several answers to a command.
    fn answer_of(
        &mut self,
        (kind, command, count): (ReplyKind, u16, usize),
        answer: Answer<'_>,
        redirection: impl FnOnce(bool) -> CommandError,
    ) {
        if self.missing_answers == 0 {
            self.missing_answers = count;
            // The keys of a command have one slot, and are answered together: if one answer is this error, so are all.
            self.redirected = answer == Answer::Error(RequestError::SlotNotOwned);
            if self.redirected {
                self.failures.push((command, ReplyFailure::Answered(RequestError::SlotNotOwned)));
                self.out.error(redirection(true).as_bytes());
            } else if kind == ReplyKind::Values {
                self.out.array(count);
            }
        }
        match (kind, answer) {
            _ if self.redirected => {}
            (ReplyKind::Sum, Answer::Int(n)) => self.sum += n,
            (ReplyKind::Sum, Answer::Error(error)) => self.error = Some(error),
            (ReplyKind::Union, _) => self.add_to_union(answer),
            (ReplyKind::Streams, Answer::Error(error)) => {
                // The first error counts.
                if !self.streams.is_error() {
                    self.error.get_or_insert(error);
                }
            }
            (ReplyKind::Streams, _) => self.streams.add(answer, self.out.protocol()),
            (ReplyKind::Lcs(options), _) => self.lcs_answer((options, command), answer),
            _ => {
                let error = kind.write(&mut self.out, answer, self.now);
                self.fail_with(command, error);
            }
        }
        self.missing_answers -= 1;
        if self.missing_answers == 0 {
            if kind == ReplyKind::Union {
                match (self.error.take(), self.union.take()) {
                    _ if self.redirected => {}
                    (Some(error), _) => {
                        self.failures.push((command, ReplyFailure::Answered(error)));
                        self.out.error(error_text(error));
                    }
                    (None, union) => {
                        let count = union.map_or(0, |union| hyperloglog::cardinality_of(&union));
                        self.out.integer(count.cast_signed());
                    }
                }
            }
            if kind == ReplyKind::Streams && !self.redirected {
                let streams = std::mem::take(&mut self.streams);
                if let Some(error) = self.error.take() {
                    self.failures.push((command, ReplyFailure::Answered(error)));
                    self.out.error(error_text(error));
                } else {
                    let error = streams.write(&mut self.out);
                    self.fail_with(command, error);
                }
            }
            if kind == ReplyKind::Sum {
                match self.error.take() {
                    _ if self.redirected => {}
                    Some(error) => {
                        self.failures.push((command, ReplyFailure::Answered(error)));
                        self.out.error(error_text(error));
                    }
                    None => self.out.integer(self.sum),
                }
                self.sum = 0;
            }
            self.steps = &self.steps[1..];
        }
    }
}
