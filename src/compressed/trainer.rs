//! The state of training: the codec that is trained, its samples, and the time to train again.

use super::codec::{Model, Samples, TrainingTask};
use super::codec_lock::CodecLock;
use super::key_in_value;
use super::record::RecordHead;
use super::records::Records;
use super::segment::Use;
use crate::facade::atomic::{AtomicBool, AtomicUsize};
use crate::sync::hint::Hint;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Bytes of samples that one codec is trained from.
pub(super) const SAMPLES: usize = 128 * 1024;
/// Bytes that are compressed between two checks of the compression ratio.
const SPAN: usize = 1 << 20;
/// Writes that leave training to the thread that last called for a step.
const GRACE: usize = 256;
/// Attempts to train after panics.
const RETRIES: usize = 3;
/// Places of the hot front from which samples are taken.
const PLACES: usize = 64;
/// Segments that are examined at each place.
const MAX_EXAMINED: usize = 64;

/// Decides from the compression ratio when to train again.
pub(super) struct RatioMonitor {
    /// Whether codecs were trained before.
    is_trained: bool,
    plain: usize,
    stored: usize,
    /// The compressed length of 1000 bytes in the first span after the last training.
    reference: usize,
    /// Spans that must pass before the next training.
    pause: u32,
    /// The next pause. It doubles with each training, because training may be of no use.
    next_pause: u32,
}

impl RatioMonitor {
    pub(super) const fn new() -> Self {
        Self { is_trained: false, plain: 0, stored: 0, reference: 0, pause: 0, next_pause: 1 }
    }

    /// Notes that `plain` bytes were compressed to `stored` bytes. Returns whether it is time to train again.
    pub(super) fn note(&mut self, plain: usize, stored: usize, training: &Training) -> bool {
        self.plain += plain;
        self.stored += stored;
        if training.has_failed() && self.plain >= SAMPLES {
            self.plain = 0;
            self.stored = 0;
            return true;
        }
        if !self.is_trained || self.plain < SPAN {
            return false;
        }
        // In 64 bits: one value of some megabytes ends the span, and a thousand times its length is no `usize` of 32.
        let now = (self.stored as u64 * 1000 / self.plain as u64) as usize;
        (self.plain, self.stored) = (0, 0);
        self.pause = self.pause.saturating_sub(1);
        if self.reference == 0 {
            self.reference = now;
        }
        // A seventh worse than after the last training.
        now * 7 > self.reference * 8 && self.pause == 0
    }

    pub(super) fn note_training(&mut self) {
        if self.is_trained {
            self.pause = self.next_pause;
            self.next_pause = self.next_pause.saturating_mul(2);
        }
        (self.is_trained, self.plain, self.stored, self.reference) = (true, 0, 0, 0);
    }
}

/// The requests for training, and its state.
pub(super) struct Training {
    /// Whether training is requested.
    due: Hint<AtomicBool>,
    /// Whether codecs were trained once, so that the memory of their models is counted.
    done: Hint<AtomicBool>,
    /// Whether the last training ended by a panic, and another attempt is left.
    failed: Hint<AtomicBool>,
    /// Panics after which training is still tried again.
    retries: Hint<AtomicUsize>,
    /// Writes that still leave training to a thread that calls for steps.
    grace: Hint<AtomicUsize>,
    /// The training lock: held while a thread trains codecs.
    pub(super) trainer: CodecLock<Option<Trainer>>,
}

impl Training {
    pub(super) fn new(due: bool) -> Self {
        Self {
            due: Hint::<AtomicBool>::new(due),
            done: Hint::<AtomicBool>::new(false),
            failed: Hint::<AtomicBool>::new(false),
            retries: Hint::<AtomicUsize>::new(RETRIES),
            grace: Hint::<AtomicUsize>::new(0),
            trainer: CodecLock::new(None),
        }
    }

    /// Whether training is requested, from any thread that has the time.
    pub(super) fn is_due(&self) -> bool {
        self.due.load()
    }

    pub(super) fn set_due(&self, due: bool) {
        self.due.store(due);
    }

    /// Whether codecs were trained once, even without a result.
    pub(super) fn is_done(&self) -> bool {
        self.done.load()
    }

    /// Notes that a training has come to its end.
    pub(super) fn set_done(&self) {
        self.failed.store(false);
        self.done.store(true);
    }

    /// Whether the last training ended by a panic and is tried again. Its memory stays reserved until then.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load()
    }

    /// Notes that a codec has panicked in training. Values are compressed without waiting for another attempt.
    fn set_failed(&self) {
        let left = self.retries.load();
        self.retries.store(left.saturating_sub(1));
        self.due.store(false);
        self.failed.store(left > 0);
        self.done.store(true);
    }

    /// Notes that a thread calls for steps: writers leave training to it for a while.
    pub(super) fn note_step(&self) {
        self.grace.store(GRACE);
    }

    /// Whether a writer leaves training to a thread that calls for steps.
    pub(super) fn is_driven(&self) -> bool {
        let left = self.grace.load();
        self.grace.store(left.saturating_sub(1));
        left > 0
    }
}

/// Ends the training if a codec panics: nothing is adopted, and the codec is called again later, a few times. The
/// caller holds the training lock.
pub(super) struct CancelOnPanic<'a>(pub(super) &'a Training);

impl Drop for CancelOnPanic<'_> {
    fn drop(&mut self) {
        self.0.set_failed();
    }
}

/// Trains the codecs of a map, one after the other.
pub(super) struct Trainer {
    /// The codec that is trained now.
    pub(super) codec: usize,
    pub(super) stage: Stage,
    /// Bytes that the models of the codecs may still take.
    pub(super) room: usize,
    /// The trained models, each with its codec.
    pub(super) models: Vec<(usize, Box<dyn Model>)>,
}

pub(super) enum Stage {
    Sampling(Sampling),
    /// The task, and the polls that it has left.
    Training(TrainingTask, u32),
}

impl Default for Stage {
    fn default() -> Self {
        Self::Sampling(Sampling { samples: Samples::default(), place: 0, random: 0x9E37_79B9 })
    }
}

impl Trainer {
    pub(super) fn new(room: usize) -> Self {
        Self { codec: 0, room, models: Vec::new(), stage: Stage::default() }
    }

    /// Ends the training of the current codec.
    pub(super) fn finish_codec(&mut self, model: Option<Box<dyn Model>>) {
        if let Some(model) = model {
            self.room = self.room.saturating_sub(model.bytes());
            self.models.push((self.codec, model));
        }
        self.codec += 1;
        self.stage = Stage::default();
    }
}

/// Samples of hot values, which are stored plain.
pub(super) struct Sampling {
    pub(super) samples: Samples,
    /// The next place.
    place: usize,
    random: usize,
}

impl Sampling {
    /// Samples one place of the hot front, up to `most` bytes of all places. Returns whether more samples are wanted.
    /// The caller holds the maintenance lock, so no sweep frees the segments. `demoted` is the hot segment under a
    /// sweep, if there is one. Other segments that are swept are cold, and their records have another form.
    pub(super) fn advance(
        &mut self,
        records: &Records,
        most: usize,
        demoted: Option<usize>,
    ) -> bool {
        let pool = &records.pool;
        let numbers = pool.numbers();
        let is_plain = |number: &usize| {
            let segment = pool.segment(*number);
            segment.is_some_and(|segment| segment.is(Use::Hot)) || demoted == Some(*number)
        };
        while self.place < PLACES {
            let start = |place: usize| place * numbers / PLACES;
            let range = start(self.place)..start(self.place + 1);
            let found = range.take(MAX_EXAMINED).find(is_plain);
            self.place += 1;
            if let Some(number) = found {
                let each = most / pool.hot().clamp(1, PLACES);
                self.sample_segment(records, number, each.max(1), most);
                return self.samples.len() < most;
            }
        }
        false
    }

    /// Takes about `each` bytes of a segment's values, and at most `most` bytes of all segments.
    fn sample_segment(&mut self, records: &Records, number: usize, each: usize, most: usize) {
        let (shape, Some(segment)) = (records.shape(), records.pool.segment(number)) else {
            return;
        };
        let full = (self.samples.len() + each).min(most);
        // Records at random distances, so that a pattern in the data does not bias the samples.
        let gap = (shape.room() / each).max(1);
        let mut at = shape.begin();
        while at < segment.end() && self.samples.len() < full {
            let location = shape.location(number, at, true);
            let Some((_, start)) = records.place(location) else { return };
            let Some((head, len)): Option<(RecordHead, usize)> = segment.head(start) else {
                return;
            };
            self.random = self.random.wrapping_mul(0x0019_660D).wrapping_add(0x3C6E_F35F);
            let wanted = (self.random >> 16).is_multiple_of(gap) && !head.is_operand();
            if wanted && self.samples.len() + head.stored <= most {
                let value = self.samples.add(head.stored);
                segment.copy_out(start + len + head.key, value);
                // Values are compressed without their key, so they are samples without it.
                let mut key = [0; key_in_value::MOST];
                if let Some(key) = key.get_mut(..head.key) {
                    segment.copy_out(start + len, key);
                    if let Some(at) = key_in_value::position(key, value) {
                        self.samples.cut_last(at, key.len());
                    }
                }
            }
            at += head.record_len(true);
        }
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::super::builder::Builder;
    use super::super::store::Store;
    use super::*;

    /// A cold segment that is compacted is swept, too, and its records have another form.
    #[test]
    fn samples_are_whole_values() {
        let store = Store::new(Builder::new(64 << 10).segment_bytes(1 << 10));
        for n in 0..8_u8 {
            store.insert(&[n; 5], &[b'c'; 60]).expect("there is room");
        }
        store.sweep_hot();
        store.seal_cold();
        assert!(store.begin_compaction(), "no segment is cold");
        for n in 8..40_u8 {
            store.insert(&[n; 5], &[b'h'; 60]).expect("there is room");
        }
        store.seal_hot();
        let mut sampling = Sampling { samples: Samples::default(), place: 0, random: 1 };
        let demoted = store.maintenance.lock().demoted();
        while sampling.advance(store.records(), 4_000, demoted) {}
        assert!(sampling.samples.len() > 0, "there are no samples");
        let whole = |sample: &[u8]| sample.len() == 60 && sample.iter().all(|&byte| byte == b'h');
        assert!(sampling.samples.iter().all(whole), "a sample is not a value");
    }
}
