//! When codecs learn, and from what: from what is hot, which is plain.

use super::codec::{Choice, Model};
use super::segment::Use;
use super::store::Store;
use super::sweep::Desk;
use crate::facade::atomic::Ordering;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

/// Bytes of samples.
const SAMPLES: usize = 128 * 1024;
/// Bytes that are compressed before it is asked again whether that is still done well.
const SPAN: usize = 1 << 20;

/// Sweeps for which writers leave it to whoever has called for a step that codecs learn.
const PATIENCE: usize = 256;

/// How well it goes.
pub(super) struct Learning {
    done: bool,
    plain: usize,
    stored: usize,
    /// Bytes that a thousand became, after the last time.
    then: usize,
    /// Spans to pass before the next time, which double where that was of no use.
    rest: u32,
    patience: u32,
}

impl Learning {
    pub(super) const fn new() -> Self {
        Self { done: false, plain: 0, stored: 0, then: 0, rest: 0, patience: 1 }
    }

    /// So many bytes became so many; whether it is time to learn anew.
    pub(super) fn note(&mut self, plain: usize, stored: usize) -> bool {
        self.plain += plain;
        self.stored += stored;
        if !self.done || self.plain < SPAN {
            return false;
        }
        let now = self.stored.saturating_mul(1000) / self.plain;
        (self.plain, self.stored) = (0, 0);
        self.rest = self.rest.saturating_sub(1);
        if self.then == 0 {
            self.then = now;
        }
        // A seventh worse.
        now * 7 > self.then * 8 && self.rest == 0
    }

    fn learned(&mut self) {
        if self.done {
            self.rest = self.patience;
            self.patience = self.patience.saturating_mul(2);
        }
        (self.done, self.plain, self.stored, self.then) = (true, 0, 0, 0);
    }
}

impl Store {
    /// Adds what codecs know without having learned.
    pub(super) fn begin_models(&self) {
        let mut house = self.house.lock();
        for (codec, made) in self.models.codecs().iter().enumerate() {
            if let Some(at) = made.untrained().and_then(|model| self.models.add(model, codec)) {
                house.desk.current.push(at);
            }
        }
        self.settle_fixed(&house);
        self.settle_models();
    }

    /// Whether codecs are to learn, by whoever has the time.
    pub(super) fn is_to_learn(&self) -> bool {
        // relaxed: a hint.
        self.to_learn.load(Ordering::Relaxed)
    }

    /// Whether there is enough to learn from that need not wait for the budget to be used up.
    pub(super) fn has_samples(&self) -> bool {
        self.raw.total() >= 2 * SAMPLES.min(self.budget / 32)
    }

    /// Somebody calls for steps, and will see to it that codecs learn.
    pub(super) fn driven(&self) {
        // relaxed: a hint.
        self.patience.store(PATIENCE, Ordering::Relaxed);
    }

    /// Has codecs learn within a writer's call, where nobody else sees to it.
    pub(super) fn learn_unless_driven(&self) {
        if !self.is_to_learn() {
            return;
        }
        // relaxed: a hint.
        match self.patience.load(Ordering::Relaxed) {
            0 => drop(self.learn()),
            // relaxed: as above.
            left => self.patience.store(left - 1, Ordering::Relaxed),
        }
    }

    /// Has all codecs learn from what is hot, if that is due and nobody is at it; whether it was. It takes as long as
    /// they do, while nothing is locked that others wait for.
    pub(super) fn learn(&self) -> bool {
        let Some(_school) = self.school.try_lock() else { return false };
        let (bytes, ranges) = {
            // Segments are not swept meanwhile.
            let Some(_house) = self.house.try_lock() else { return false };
            // relaxed: changes to false here only.
            if !self.to_learn.swap(false, Ordering::Relaxed) {
                return false;
            }
            self.samples()
        };
        let samples: Vec<&[u8]> = ranges.into_iter().map(|range| &bytes[range]).collect();
        self.learn_from(&samples);
        true
    }

    /// Has all codecs learn from these, when nobody else is at it; whether any did.
    pub(super) fn train(&self, samples: &[&[u8]]) -> bool {
        let _school = self.school.lock();
        // relaxed: a hint.
        self.to_learn.store(false, Ordering::Relaxed);
        self.learn_from(samples)
    }

    fn learn_from(&self, samples: &[&[u8]]) -> bool {
        // Half of it is left for another time: what was learned before is needed as long as the map is shared.
        let room = self.models_room();
        let mut room = room.saturating_sub(self.models.bytes()).min(room / 2);
        let mut learned = Vec::new();
        for (codec, made) in self.models.codecs().iter().enumerate() {
            if let Some(model) = made.train(samples, room) {
                room = room.saturating_sub(model.bytes());
                learned.push((codec, model));
            }
        }
        let desk = &mut self.house.lock().desk;
        desk.learning.learned();
        let mut any = false;
        for (codec, model) in learned {
            any |= self.adopt(desk, model, codec);
        }
        // relaxed: a hint.
        self.learned.store(true, Ordering::Relaxed);
        self.settle_models();
        any
    }

    fn adopt(&self, desk: &mut Desk, model: Box<dyn Model>, codec: usize) -> bool {
        if self.models.bytes() + model.bytes() > self.models_room() {
            return false;
        }
        let Some(at) = self.models.add(model, codec) else { return false };
        desk.current.retain(|&other| self.models.codec_of(other) != Some(codec));
        desk.current.push(at);
        desk.choice = Choice::new();
        true
    }

    /// Some of the plain values that there are, from all over the hot front.
    fn samples(&self) -> (Vec<u8>, Vec<Range<usize>>) {
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        let most = SAMPLES.min(self.budget / 32);
        let shape = self.shape();
        let plain = |number: &usize| {
            let segment = self.pool.segment(*number);
            segment.is_some_and(|segment| segment.is(Use::Hot) || segment.is(Use::Swept))
        };
        let hot: Vec<usize> = (0..self.pool.numbers()).filter(plain).collect();
        let each = (most / hot.len().max(1)).max(most / 64);
        // Few records of each segment, with gaps between that an odd generator makes.
        let mut random = 0x9E37_79B9usize;
        let step = hot.len().div_ceil(64).max(1);
        for &number in hot.iter().step_by(step) {
            let Some(segment) = self.pool.segment(number) else { continue };
            let skip = (shape.room() / each.max(1)).max(1);
            let (mut at, full) = (shape.begin(), bytes.len() + each);
            while at < segment.end() && bytes.len() < full.min(most) {
                let location = shape.location(number, at, true);
                let Some((_, start)) = self.place(location) else { break };
                let Some((head, len)) = segment.head(start) else { break };
                random = random.wrapping_mul(0x0019_660D).wrapping_add(0x3C6E_F35F);
                let wanted = (random >> 16).is_multiple_of(skip) && !head.is_operand();
                if wanted && bytes.len() + head.stored <= most {
                    let from = bytes.len();
                    bytes.resize(from + head.stored, 0);
                    segment.copy_out(start + len + head.key, &mut bytes[from..]);
                    ranges.push(from..bytes.len());
                }
                at += head.record(true);
            }
        }
        (bytes, ranges)
    }
}
