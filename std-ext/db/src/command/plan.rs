//! What the commands of a pipeline ask of the database, gathered to be asked at once, and how the answers become
//! replies in the commands' order.
//!
//! Nothing is allocated for a command once the thread's buffers ([`Scratch`]) have grown: they are emptied and used
//! again, although what they hold borrows from another buffer each time.

use crate::Session;
use crate::ask::{Answer, Ask, Change, Look, Refusal, Together};
use crate::buffers::emptied;
use crate::command::shape::{Shape, error_text};
use crate::log::Lsn;
use crate::resp::Protocol;
use crate::resp::write::Writer;
use std::ops::Range;

/// Buffers of a thread, which are used again for each pipeline.
#[derive(Default)]
pub struct Scratch {
    batch: Batch<'static>,
    arguments: Vec<&'static [u8]>,
}

impl Scratch {
    /// Lends the buffers, which are empty.
    pub(super) fn lend<'a>(&mut self) -> (Batch<'a>, Vec<&'a [u8]>) {
        (std::mem::take(&mut self.batch), std::mem::take(&mut self.arguments))
    }

    /// Takes them back. Those that have become large are not kept.
    pub(super) fn take_back(&mut self, batch: Batch<'_>, arguments: Vec<&[u8]>) {
        self.arguments = emptied(arguments);
        self.batch = Batch {
            asks: emptied(batch.asks),
            steps: emptied(batch.steps),
            texts: emptied(batch.texts),
            pairs: emptied(batch.pairs),
            keys: emptied(batch.keys),
            later: emptied(batch.later),
            kept: emptied(batch.kept),
            kept_bytes: emptied(batch.kept_bytes),
            changes: false,
            wants_time: false,
        };
    }
}

/// What comes next in the output.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// What was written to `texts`, up to here.
    Text(usize),
    /// What becomes of the next so many answers.
    Answers(Shape, usize),
}

/// An ask whose keys lie in buffers that may grow until all is gathered.
struct Later {
    ask: usize,
    what: What,
    range: Range<usize>,
}

#[derive(Clone, Copy)]
enum What {
    SetAll,
    SetAllAbsent,
    DeleteAll,
}

/// An answer that came too soon. Bytes lie in a buffer.
#[derive(Clone, Copy)]
enum Kept {
    Done,
    Nothing,
    Int(i64),
    Lives(Option<u64>),
    Refused(Refusal),
    Bytes(usize, usize),
}

/// What the commands of a pipeline ask, and what their replies are made of.
#[derive(Default)]
pub(crate) struct Batch<'a> {
    asks: Vec<Ask<'a>>,
    steps: Vec<Step>,
    texts: Vec<u8>,
    pairs: Vec<(&'a [u8], &'a [u8])>,
    keys: Vec<&'a [u8]>,
    later: Vec<Later>,
    kept: Vec<Kept>,
    kept_bytes: Vec<u8>,
    /// Whether something changes, so that answers come in any order.
    changes: bool,
    /// Whether a reply depends on the time.
    wants_time: bool,
}

impl<'a> Batch<'a> {
    /// Whether nothing was gathered.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// How much is asked.
    pub(super) fn len(&self) -> usize {
        self.asks.len()
    }

    /// Bytes of replies that are made.
    pub(super) fn written(&self) -> usize {
        self.texts.len()
    }

    /// A reply that asks for nothing.
    pub(super) fn text(&mut self, protocol: Protocol, write: impl FnOnce(&mut Writer<'_>)) {
        write(&mut Writer::new(&mut self.texts, protocol));
        match self.steps.last_mut() {
            Some(Step::Text(end)) => *end = self.texts.len(),
            _ => self.steps.push(Step::Text(self.texts.len())),
        }
    }

    /// Asks something about a key.
    #[inline]
    pub(super) fn look(&mut self, key: &'a [u8], look: Look, shape: Shape) {
        self.wants_time |= matches!(shape, Shape::Life { .. });
        self.asks.push(Ask::Look(key, look));
        self.steps.push(Step::Answers(shape, 1));
    }

    /// Asks the same about several keys.
    pub(super) fn looks(&mut self, keys: &[&'a [u8]], look: Look, shape: Shape) {
        // The first says that all are of one moment.
        let ask = |(at, key): (usize, &&'a [u8])| match at {
            0 if keys.len() > 1 => Ask::LookAtOnce(key, look, keys.len()),
            _ => Ask::Look(key, look),
        };
        self.asks.extend(keys.iter().enumerate().map(ask));
        self.steps.push(Step::Answers(shape, keys.len()));
    }

    /// Changes a key.
    #[inline]
    pub(super) fn change(&mut self, key: &'a [u8], change: Change<'a>, shape: Shape) {
        self.changes = true;
        self.asks.push(Ask::Change(key, change));
        self.steps.push(Step::Answers(shape, 1));
    }

    /// Changes several keys.
    pub(super) fn together(&mut self, together: Together<'a>, shape: Shape) {
        self.changes = true;
        self.asks.push(Ask::Together(together));
        self.steps.push(Step::Answers(shape, 1));
    }

    /// Removes keys.
    pub(super) fn delete_all(&mut self, keys: &[&'a [u8]]) {
        let from = self.keys.len();
        self.keys.extend_from_slice(keys);
        self.later(What::DeleteAll, from..self.keys.len());
        self.together(Together::DeleteAll(&[]), Shape::Integer);
    }

    /// Stores values: arguments are keys and values in turn, as many of each. Where `absent` only if all are missing.
    pub(super) fn set_all(&mut self, arguments: &[&'a [u8]], absent: bool) {
        let from = self.pairs.len();
        self.pairs.extend(arguments.as_chunks().0.iter().map(|&[key, value]| (key, value)));
        let range = from..self.pairs.len();
        if absent {
            self.later(What::SetAllAbsent, range);
            self.together(Together::SetAllAbsent(&[]), Shape::Integer);
        } else {
            self.later(What::SetAll, range);
            self.together(Together::SetAll(&[]), Shape::Done);
        }
    }

    fn later(&mut self, what: What, range: Range<usize>) {
        self.later.push(Later { ask: self.asks.len(), what, range });
    }

    /// Asks all that was gathered and writes the replies; then there is nothing gathered. Returns the entry of the log
    /// that must be safe before anybody sees them, and whether `out` has room for all of them with `most` bytes. If it
    /// has not, the rest is left out.
    pub(super) fn run(
        &mut self,
        session: &mut Session,
        protocol: Protocol,
        out: &mut Vec<u8>,
        most: usize,
    ) -> (Lsn, bool) {
        let now = if self.wants_time { session.now() } else { 0 };
        // Values that come too soon lie in another buffer first.
        let most_kept = most.saturating_sub(out.len());
        let mut full = false;
        let mut replies = Replies {
            out: Writer::new(out, protocol),
            most,
            full: false,
            steps: &self.steps,
            texts: &self.texts,
            written: 0,
            left: 0,
            sum: 0,
            refused: None,
            now,
        };
        let mut lsn = 0;
        if !self.asks.is_empty() {
            // Those that borrow from the buffers of keys do so only here.
            let mut asks = shortened(std::mem::take(&mut self.asks));
            for later in &self.later {
                let range = later.range.clone();
                asks[later.ask] = Ask::Together(match later.what {
                    What::SetAll => Together::SetAll(&self.pairs[range]),
                    What::SetAllAbsent => Together::SetAllAbsent(&self.pairs[range]),
                    What::DeleteAll => Together::DeleteAll(&self.keys[range]),
                });
            }
            if self.changes && asks.len() > 1 {
                let kept = &mut self.kept;
                let bytes = &mut self.kept_bytes;
                kept.resize(asks.len(), Kept::Nothing);
                lsn = session.run(&asks, &mut |ask, answer| {
                    kept[ask] = keep(answer, bytes, most_kept, &mut full);
                });
                for kept in kept.iter() {
                    replies.answer(kept.answer(bytes));
                }
            } else {
                // They come in order.
                lsn = session.run(&asks, &mut |_, answer| replies.answer(answer));
            }
            self.asks = emptied(asks);
        }
        replies.texts();
        full |= replies.full;
        self.clear();
        (lsn, !full)
    }

    fn clear(&mut self) {
        self.asks.clear();
        self.steps.clear();
        self.texts.clear();
        self.pairs.clear();
        self.keys.clear();
        self.later.clear();
        self.kept.clear();
        self.kept_bytes.clear();
        (self.changes, self.wants_time) = (false, false);
    }
}

/// The same asks, for a shorter time.
fn shortened<'short, 'a: 'short>(asks: Vec<Ask<'a>>) -> Vec<Ask<'short>> {
    asks
}

/// Keeps an answer, and appends its bytes to `bytes`. Sets `full` if there would be more than `most`.
fn keep(answer: Answer<'_>, bytes: &mut Vec<u8>, most: usize, full: &mut bool) -> Kept {
    match answer {
        Answer::Done => Kept::Done,
        Answer::Nothing => Kept::Nothing,
        Answer::Int(n) => Kept::Int(n),
        Answer::Lives(until) => Kept::Lives(until),
        Answer::Refused(refusal) => Kept::Refused(refusal),
        Answer::Bytes(value) => keep_bytes(&[value], bytes, most, full),
        Answer::Pieces(pieces) => keep_bytes(pieces, bytes, most, full),
    }
}

fn keep_bytes(pieces: &[&[u8]], bytes: &mut Vec<u8>, most: usize, full: &mut bool) -> Kept {
    let from = bytes.len();
    if pieces.iter().map(|piece| piece.len()).sum::<usize>() > most.saturating_sub(from) {
        *full = true;
        return Kept::Nothing;
    }
    for piece in pieces {
        bytes.extend_from_slice(piece);
    }
    Kept::Bytes(from, bytes.len())
}

impl Kept {
    fn answer(self, bytes: &[u8]) -> Answer<'_> {
        match self {
            Self::Done => Answer::Done,
            Self::Nothing => Answer::Nothing,
            Self::Int(n) => Answer::Int(n),
            Self::Lives(until) => Answer::Lives(until),
            Self::Refused(refusal) => Answer::Refused(refusal),
            Self::Bytes(from, to) => Answer::Bytes(&bytes[from..to]),
        }
    }
}

/// Makes replies of answers that come in order.
struct Replies<'o, 'b> {
    out: Writer<'o>,
    /// How long the output may become, and whether it would be longer.
    most: usize,
    full: bool,
    /// Those that are to come.
    steps: &'b [Step],
    texts: &'b [u8],
    /// How much of the texts was written.
    written: usize,
    /// How many answers the first step has yet to get, if it has some already.
    left: usize,
    sum: i64,
    refused: Option<Refusal>,
    now: u64,
}

impl Replies<'_, '_> {
    /// Writes the texts that come next.
    #[inline]
    fn texts(&mut self) {
        while let Some((&Step::Text(end), rest)) = self.steps.split_first() {
            if self.fits(end - self.written) {
                self.out.raw(&self.texts[self.written..end]);
            }
            (self.written, self.steps) = (end, rest);
        }
    }

    /// Whether `bytes` bytes have room. If they do not, they are not written, and nothing behind them is ever sent.
    #[inline]
    fn fits(&mut self, bytes: usize) -> bool {
        let fits = self.out.len() + bytes <= self.most;
        if !fits {
            self.full = true;
        }
        fits
    }

    #[inline]
    fn answer(&mut self, answer: Answer<'_>) {
        let bytes = match answer {
            Answer::Bytes(value) => value.len(),
            Answer::Pieces(pieces) => pieces.iter().map(|piece| piece.len()).sum(),
            _ => 0,
        };
        if !self.fits(bytes) {
            return;
        }
        self.texts();
        match self.steps.split_first() {
            Some((&Step::Answers(shape, 1), rest))
                if !matches!(shape, Shape::Values | Shape::Sum) =>
            {
                shape.write(&mut self.out, answer, self.now);
                self.steps = rest;
            }
            Some((&Step::Answers(shape, count), _)) => self.answer_of(shape, count, answer),
            _ => debug_assert!(false, "an answer to nothing"),
        }
    }

    /// One of several answers to a command.
    fn answer_of(&mut self, shape: Shape, count: usize, answer: Answer<'_>) {
        if self.left == 0 {
            self.left = count;
            if shape == Shape::Values {
                self.out.array(count);
            }
        }
        match (shape, answer) {
            (Shape::Sum, Answer::Int(n)) => self.sum += n,
            (Shape::Sum, Answer::Refused(Refusal::KeyTooLong)) => {}
            (Shape::Sum, Answer::Refused(refusal)) => self.refused = Some(refusal),
            _ => shape.write(&mut self.out, answer, self.now),
        }
        self.left -= 1;
        if self.left == 0 {
            if shape == Shape::Sum {
                match self.refused.take() {
                    Some(refusal) => self.out.error(error_text(refusal)),
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
        let mut asks: Vec<Ask<'_>> = Vec::with_capacity(100);
        asks.push(Ask::Look(&text, Look::Value));
        let (at, room) = (asks.as_ptr().addr(), asks.capacity());
        let mut again: Vec<Ask<'static>> = emptied(asks);
        assert!(again.is_empty());
        again.push(Ask::Look(b"rose", Look::Value));
        assert_eq!((again.as_ptr().addr(), again.capacity()), (at, room));
        let large: Vec<u8> = emptied(vec![0_u8; crate::buffers::KEPT + 1]);
        assert_eq!(large.capacity(), 0);
    }
}
