//! When codecs learn, and from what: from what is hot, which is plain.

use super::codec::lesson::{self, TURN};
use super::codec::{Choice, Lesson, Model, Samples};
use super::models::Models;
use super::segment::Use;
use super::store::Store;
use super::sweep::Desk;
use crate::facade::atomic::{AtomicBool, Ordering};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;
use core::task::Poll;

/// Bytes of samples.
const SAMPLES: usize = 128 * 1024;
/// Bytes that are compressed before it is asked again whether that is still done well.
const SPAN: usize = 1 << 20;

/// Writes for which writers leave it to whoever has called for a step that codecs learn.
const PATIENCE: usize = 256;

/// Such a part of the budget is kept for learning anew, at most.
const NEXT: usize = 64;

/// Turns after which a lesson is given up. `SmallText`, which takes the most, takes about a thousand.
const MOST_TURNS: u32 = 1 << 16;

/// Samples are taken from so many places,
const PLACES: usize = 64;
/// at each of which so many segments are looked at.
const LOOK: usize = 64;

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

/// Codecs that learn, one after the other, and how far they have come.
pub(super) struct Class {
    codec: usize,
    stage: Stage,
    /// What the models of those that are through, and of the others, may yet take.
    room: usize,
    learned: Vec<(usize, Box<dyn Model>)>,
}

enum Stage {
    Sampling(Sampling),
    /// With the turns that it may yet take.
    Lesson(Lesson, u32),
}

impl Default for Stage {
    fn default() -> Self {
        Self::Sampling(Sampling { samples: Samples::default(), at: 0, random: 0x9E37_79B9 })
    }
}

struct Sampling {
    samples: Samples,
    /// The next place.
    at: usize,
    random: usize,
}

/// How far somebody has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Come {
    Some,
    /// Somebody else is at what it takes.
    Busy,
    Done,
}

/// Where a codec panics, nothing is learned by any, and not again.
struct Expelled<'a>(&'a AtomicBool);

impl Drop for Expelled<'_> {
    fn drop(&mut self) {
        // relaxed: a hint.
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Store {
    /// Adds what codecs know without having learned.
    pub(super) fn begin_models(&self) {
        let mut house = self.house.lock();
        for (codec, made) in self.models.codecs().enumerate() {
            let Some(model) = made.untrained() else { continue };
            let bytes = Models::bytes_of(&*model);
            house.desk.current.extend(self.models.add(model, codec, bytes));
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

    /// Whether codecs have learned once, or have tried to.
    pub(super) fn has_learned(&self) -> bool {
        // relaxed: a hint.
        self.learned.load(Ordering::Relaxed)
    }

    /// Somebody calls for steps, and will see to it that codecs learn.
    pub(super) fn driven(&self) {
        // relaxed: a hint.
        self.patience.store(PATIENCE, Ordering::Relaxed);
    }

    /// Whether a writer leaves it to somebody who calls for steps that codecs learn.
    fn is_driven(&self) -> bool {
        // relaxed: a hint.
        let left = self.patience.load(Ordering::Relaxed);
        // relaxed: as above.
        self.patience.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }

    /// Has codecs learn a little within a writer's call, where nobody else sees to it: when half of the budget is in
    /// use, so that they are through before any of it has to be compressed.
    pub(super) fn learn_in_time(&self) {
        if !self.is_to_learn() {
            return;
        }
        let used = self.pool.made() * self.shape().bytes();
        if used >= self.budget / 2 && !self.is_driven() {
            self.learn_some(TURN);
        }
    }

    /// Has codecs learn a little where something is to be compressed. If that has to wait until they have: whether
    /// they did learn, or somebody else is at it.
    pub(super) fn learn_first(&self) -> Option<bool> {
        if !self.is_to_learn() {
            return None;
        }
        let first = !self.has_learned();
        let done = (first || !self.is_driven()) && self.learn_some(TURN);
        first.then_some(done)
    }

    /// Has all codecs learn from what is hot, if that is due and nobody is at it: about as long as it takes to
    /// compress so many bytes; whether any was done. Nothing is locked that others wait for.
    pub(super) fn learn_some(&self, work: usize) -> bool {
        let Some(mut school) = self.school.try_lock() else { return false };
        if !self.is_to_learn() {
            return false;
        }
        let expelled = Expelled(&self.to_learn);
        let mut class = school.take().unwrap_or_else(|| self.class());
        let (mut left, mut any) = (work, false);
        let mut come = Come::Some;
        while come == Come::Some && (left > 0 || !any) {
            come = self.go_on(&mut class);
            any |= come != Come::Busy;
            left = left.saturating_sub(TURN);
        }
        mem::forget(expelled);
        if come == Come::Done {
            // relaxed: a hint.
            self.to_learn.store(false, Ordering::Relaxed);
        } else {
            *school = Some(class);
        }
        any
    }

    fn class(&self) -> Class {
        Class { codec: 0, room: self.room_to_learn(), learned: Vec::new(), stage: Stage::default() }
    }

    /// Half of what models may yet take: what was learned before is needed as long as the map is shared.
    pub(super) fn room_to_learn(&self) -> usize {
        let room = self.models_room();
        let left = self.budget.saturating_sub(self.bytes());
        room.saturating_sub(self.models.bytes()).min(room / 2).min(left)
    }

    /// Does a turn's work.
    fn go_on(&self, class: &mut Class) -> Come {
        let Some(codec) = self.models.codec(class.codec) else {
            let Some(mut house) = self.house.try_lock() else { return Come::Busy };
            self.adopt_all(&mut house.desk, mem::take(&mut class.learned));
            return Come::Done;
        };
        let learned = match &mut class.stage {
            Stage::Sampling(sampling) => {
                // Segments are not swept meanwhile.
                let Some(house) = self.house.try_lock() else { return Come::Busy };
                if self.sample(sampling) {
                    return Come::Some;
                }
                drop(house);
                match codec.lesson(mem::take(&mut sampling.samples), class.room) {
                    Ok(lesson) => {
                        class.stage = Stage::Lesson(lesson, MOST_TURNS);
                        return Come::Some;
                    }
                    Err(samples) => codec.train(&samples.iter().collect::<Vec<_>>(), class.room),
                }
            }
            Stage::Lesson(lesson, left) => match lesson::go_on(lesson) {
                Poll::Ready(learned) => learned,
                Poll::Pending if *left > 0 => {
                    *left -= 1;
                    return Come::Some;
                }
                // If there is no room, writers wait for this training, so its polls are bounded.
                Poll::Pending => None,
            },
        };
        if let Some(model) = learned {
            class.room = class.room.saturating_sub(model.bytes());
            class.learned.push((class.codec, model));
        }
        class.codec += 1;
        class.stage = Stage::default();
        Come::Some
    }

    /// Has all codecs learn from these, when nobody else is at it; whether any did.
    pub(super) fn train(&self, samples: &[&[u8]]) -> bool {
        let mut school = self.school.lock();
        // What they are at is of no use any more.
        *school = None;
        // relaxed: a hint.
        self.to_learn.store(false, Ordering::Relaxed);
        let mut room = self.room_to_learn();
        let mut learned = Vec::new();
        for (codec, made) in self.models.codecs().enumerate() {
            if let Some(model) = made.train(samples, room) {
                room = room.saturating_sub(model.bytes());
                learned.push((codec, model));
            }
        }
        self.adopt_all(&mut self.house.lock().desk, learned)
    }

    /// Has values be compressed by what was learned; whether any is.
    fn adopt_all(&self, desk: &mut Desk, learned: Vec<(usize, Box<dyn Model>)>) -> bool {
        desk.learning.learned();
        let (mut any, mut bytes) = (false, 0);
        for (codec, model) in learned {
            bytes = Models::bytes_of(&*model).saturating_add(bytes);
            any |= self.adopt(desk, model, codec);
        }
        // relaxed: a figure.
        self.next_models.store(bytes.min(self.budget / NEXT), Ordering::Relaxed);
        // relaxed: a hint.
        self.learned.store(true, Ordering::Relaxed);
        any
    }

    fn adopt(&self, desk: &mut Desk, model: Box<dyn Model>, codec: usize) -> bool {
        let bytes = Models::bytes_of(&*model);
        let all = self.models.bytes().saturating_add(bytes);
        if all > self.models_room() || !self.may_keep(bytes) {
            return false;
        }
        let at = self.models.add(model, codec, bytes);
        self.settle_models();
        let Some(at) = at else { return false };
        desk.current.retain(|&other| self.models.codec_of(other) != Some(codec));
        desk.current.push(at);
        desk.choice = Choice::new();
        true
    }

    /// Takes some of the plain values that there are, from one place of the hot front; whether more are wanted.
    fn sample(&self, sampling: &mut Sampling) -> bool {
        let most = SAMPLES.min(self.budget / 32);
        let numbers = self.pool.numbers();
        let plain = |number: &usize| {
            let segment = self.pool.segment(*number);
            segment.is_some_and(|segment| segment.is(Use::Hot) || segment.is(Use::Swept))
        };
        while sampling.at < PLACES {
            let place = |at: usize| at * numbers / PLACES;
            let found = (place(sampling.at)..place(sampling.at + 1)).take(LOOK).find(plain);
            sampling.at += 1;
            if let Some(number) = found {
                let each = most / self.pool.hot().clamp(1, PLACES);
                self.sample_segment(number, each.max(1), most, sampling);
                return sampling.samples.len() < most;
            }
        }
        false
    }

    /// Takes about so many bytes of a segment's records, and no more than `most` of all.
    fn sample_segment(&self, number: usize, each: usize, most: usize, sampling: &mut Sampling) {
        let Some(segment) = self.pool.segment(number) else { return };
        let Sampling { samples, random, .. } = sampling;
        let full = (samples.len() + each).min(most);
        // Few records, with gaps between that an odd generator makes.
        let gap = (self.shape().room() / each).max(1);
        let mut at = self.shape().begin();
        while at < segment.end() && samples.len() < full {
            let location = self.shape().location(number, at, true);
            let Some((_, start)) = self.place(location) else { return };
            let Some((head, len)) = segment.head(start) else { return };
            *random = random.wrapping_mul(0x0019_660D).wrapping_add(0x3C6E_F35F);
            let wanted = (*random >> 16).is_multiple_of(gap) && !head.is_operand();
            if wanted && samples.len() + head.stored <= most {
                segment.copy_out(start + len + head.key, samples.add(head.stored));
            }
            at += head.record(true);
        }
    }
}
