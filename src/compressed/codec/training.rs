//! Training in turns.
//!
//! Training is written as one `async` function that pauses after each turn of work. The compiler turns it into a state
//! machine that continues where it paused.

use super::model::Model;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::future::poll_fn;
use core::ops::Range;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};

/// Training in progress. Each poll does tens of microseconds of work and wakes no task: the caller polls again when it
/// has time.
pub type TrainingTask = Pin<Box<dyn Future<Output = Option<Box<dyn Model>>> + Send>>;

/// The work of one turn, in bytes of samples that are compressed.
pub(in crate::compressed) const TURN: usize = 1 << 10;
/// Elements that are sorted in one turn.
const SORTED: usize = 512;

/// Samples of values, for training later.
///
/// ```
/// use hedgerow::compressed::codec::Samples;
///
/// let samples = Samples::from_iter(["one", "another"]);
/// assert!(samples.iter().eq([&b"one"[..], b"another"]));
/// ```
#[derive(Clone, Default)]
pub struct Samples {
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

impl Samples {
    /// Returns the samples in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.ranges.iter().map(|range| &self.bytes[range.clone()])
    }

    /// Returns the bytes of all samples.
    pub(in crate::compressed) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a sample of `len` bytes, which the caller fills.
    pub(in crate::compressed) fn add(&mut self, len: usize) -> &mut [u8] {
        let from = self.bytes.len();
        self.bytes.resize(from + len, 0);
        self.ranges.push(from..from + len);
        &mut self.bytes[from..]
    }

    /// Removes these many bytes at `at` from the last sample.
    pub(in crate::compressed) fn cut_last(&mut self, at: usize, bytes: usize) {
        if let Some(last) = self.ranges.last_mut() {
            self.bytes.drain(last.start + at..last.start + at + bytes);
            last.end -= bytes;
        }
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for Samples {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut samples = Self::default();
        for value in values {
            let value = value.as_ref();
            samples.add(value.len()).copy_from_slice(value);
        }
        samples
    }
}

impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, ranges } = self;
        f.debug_struct("Samples")
            .field("count", &ranges.len())
            .field("bytes", &bytes.len())
            .finish()
    }
}

/// Pauses training after a turn of work.
#[derive(Default)]
pub(super) struct Turns {
    done: usize,
}

impl Turns {
    /// Notes work that takes as long as compressing `work` bytes, and pauses if the turn is over.
    #[inline]
    pub(super) async fn spend(&mut self, work: usize) {
        self.done += work;
        if self.done >= TURN {
            self.done = 0;
            let mut stopped = false;
            let stop = |_: &mut Context<'_>| {
                if core::mem::replace(&mut stopped, true) { Poll::Ready(()) } else { Poll::Pending }
            };
            poll_fn(stop).await;
        }
    }
}

/// Does one turn of training. Returns the model at the end.
pub(in crate::compressed) fn poll(task: &mut TrainingTask) -> Poll<Option<Box<dyn Model>>> {
    task.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs training to its end without a pause.
pub(super) fn at_once<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
}

/// Sorts a list, a part in each turn.
pub(super) async fn sort<T>(list: &mut [T], order: impl Fn(&T, &T) -> Ordering, turns: &mut Turns) {
    let mut parts: Vec<Range<usize>> = core::iter::once(0..list.len()).collect();
    while let Some(part) = parts.pop() {
        let list = &mut list[part.clone()];
        let work = if list.len() <= SORTED {
            list.sort_unstable_by(&order);
            list.len()
        } else {
            let middle = list.len() / 2;
            list.select_nth_unstable_by(middle, &order);
            parts.extend([part.start + middle..part.end, part.start..part.start + middle]);
            list.len() / 8
        };
        turns.spend(work).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_in_turns() {
        for length in [0, 1, SORTED, SORTED + 1, 20 * SORTED] {
            let mut list: Vec<usize> = (0..length).map(|n| n * 7919 % 1009).collect();
            let mut sorted = list.clone();
            sorted.sort_unstable();
            let mut turns = Turns::default();
            let mut stops = 0;
            {
                let mut work = pin!(sort(&mut list, Ord::cmp, &mut turns));
                let mut context = Context::from_waker(Waker::noop());
                while work.as_mut().poll(&mut context).is_pending() {
                    stops += 1;
                }
            }
            assert_eq!(list, sorted);
            assert!(stops >= length / TURN, "{stops} stops of {length}");
        }
    }
}
