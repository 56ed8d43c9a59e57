//! When codecs learn, and from what: from what is hot, which is plain.

use super::codec::Model;
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

    /// So many bytes became so many.
    pub(super) fn note(&mut self, plain: usize, stored: usize) {
        self.plain += plain;
        self.stored += stored;
    }

    /// Whether it is time to learn, or to learn anew.
    fn is_due(&mut self) -> bool {
        if !self.done {
            return true;
        }
        if self.plain < SPAN {
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

    /// Has all codecs learn, if that is due. It takes as long as they do.
    pub(super) fn learn_if_due(&self, desk: &mut Desk) {
        if !self.models.codecs().is_empty() && desk.learning.is_due() {
            let (bytes, ranges) = self.samples();
            let samples: Vec<&[u8]> = ranges.into_iter().map(|range| &bytes[range]).collect();
            self.learn(desk, &samples);
        }
    }

    /// Has all codecs learn from these; whether any did.
    pub(super) fn learn(&self, desk: &mut Desk, samples: &[&[u8]]) -> bool {
        desk.learning.learned();
        let mut any = false;
        for (codec, made) in self.models.codecs().iter().enumerate() {
            any |= made.train(samples).is_some_and(|model| self.adopt(desk, model, codec));
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
