//! When codecs are trained, and by which thread.
//!
//! Hot values are plain, so they are the samples. Training is a hand-polled future without a waker: each poll does
//! tens of microseconds of work, in a step or within a write.
//!
//! Codecs are trained when there are enough hot records, and again when they compress an eighth worse than before.
//! Samples are copied under the maintenance lock, one segment a step. The rest runs under the training lock alone, so
//! other threads use the existing models meanwhile. There is no model at first, so nothing is compressed until the
//! first training ends. Steps begin it when there are enough samples, and writers when half of the budget is in use.
//! (Training is an `async` function, because the compiler divides it into steps better than one can by hand.)

use super::codec::training::{self, TURN};
use super::codec::{Choice, Model};
use super::maintenance::ValueCompressor;
use super::models::Models;
use super::store::Store;
use super::trainer::{CancelOnPanic, SAMPLES, Stage, Trainer};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;
use core::task::Poll;

/// The part of the budget that is reserved for training again: one in this number, at most.
const RETRAINING: usize = 64;

/// Polls after which training is cancelled. `SmallText`, which needs the most, takes about a thousand.
const MAX_POLLS: u32 = 1 << 16;

/// The result of a turn of training.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TrainingTurn {
    Some,
    /// Another thread holds a lock that the turn needs.
    Busy,
    Done,
}

impl Store {
    /// Adds the models that codecs have without training.
    pub(super) fn add_untrained_models(&self) {
        let mut maintenance = self.maintenance.lock();
        for (codec, made) in self.models().codecs().enumerate() {
            let Some(model) = made.untrained() else { continue };
            let bytes = Models::bytes_of(&*model);
            let added = self.models().add(model, codec, bytes);
            maintenance.compressor.current.extend(added);
        }
        self.count_fixed(&maintenance);
        self.memory.count_models(self.models());
    }

    /// Whether there are enough samples to train before the budget is used up.
    pub(super) fn has_samples(&self) -> bool {
        self.contents.total() >= 2 * self.max_samples()
    }

    fn max_samples(&self) -> usize {
        SAMPLES.min(self.memory.budget / 32)
    }

    /// Trains codecs a little within a write, if no other thread does. Begins when half of the budget is in use, so
    /// that training ends before values have to be compressed.
    pub(super) fn train_in_time(&self) {
        if !self.training.is_due() {
            return;
        }
        let used = self.pool().made() * self.shape().bytes();
        if used >= self.memory.budget / 2 && !self.training.is_driven() {
            self.train_some(TURN);
        }
    }

    /// Trains codecs a little before values are compressed. Returns `None` if compression need not wait for that;
    /// otherwise whether this call trained codecs, rather than another thread.
    pub(super) fn train_first(&self) -> Option<bool> {
        if !self.training.is_due() {
            return None;
        }
        let first = !self.training.is_done();
        let done = (first || !self.training.is_driven()) && self.train_some(TURN);
        first.then_some(done)
    }

    /// Trains codecs, if that is due and no other thread does, for about as long as compressing `work` bytes takes.
    /// Returns whether any training was done. Holds no lock that other threads wait for.
    pub(super) fn train_some(&self, work: usize) -> bool {
        let Some(mut trainer) = self.training.trainer.try_lock() else { return false };
        if !self.training.is_due() {
            return false;
        }
        let cancel = CancelOnPanic(&self.training);
        let mut current = trainer.take().unwrap_or_else(|| Trainer::new(self.room_to_train()));
        let (mut left, mut any) = (work, false);
        let mut turn = TrainingTurn::Some;
        while turn == TrainingTurn::Some && (left > 0 || !any) {
            turn = self.train_one_turn(&mut current);
            any |= turn != TrainingTurn::Busy;
            left = left.saturating_sub(TURN);
        }
        mem::forget(cancel);
        if turn == TrainingTurn::Done {
            self.training.set_due(false);
        } else {
            *trainer = Some(current);
        }
        any
    }

    /// Returns half of the bytes that models may still take. Old models stay as long as the map is shared, so the other
    /// half is left for the next training.
    pub(super) fn room_to_train(&self) -> usize {
        let room = self.memory.max_models();
        let left = self.memory.budget.saturating_sub(self.bytes());
        room.saturating_sub(self.models().bytes()).min(room / 2).min(left)
    }

    fn train_one_turn(&self, trainer: &mut Trainer) -> TrainingTurn {
        let Some(codec) = self.models().codec(trainer.codec) else {
            // All codecs are trained.
            let Some(mut maintenance) = self.maintenance.try_lock() else {
                return TrainingTurn::Busy;
            };
            self.adopt_all(&mut maintenance.compressor, mem::take(&mut trainer.models));
            return TrainingTurn::Done;
        };
        let model = match &mut trainer.stage {
            Stage::Sampling(sampling) => {
                // The lock keeps sweeps away from the segments that are sampled.
                let Some(maintenance) = self.maintenance.try_lock() else {
                    return TrainingTurn::Busy;
                };
                if sampling.advance(self.records(), self.max_samples(), maintenance.demoted()) {
                    return TrainingTurn::Some;
                }
                drop(maintenance);
                match codec.start_training(mem::take(&mut sampling.samples), trainer.room) {
                    Ok(task) => {
                        trainer.stage = Stage::Training(task, MAX_POLLS);
                        return TrainingTurn::Some;
                    }
                    // A codec that cannot train in turns is trained at once.
                    Err(samples) => codec.train(&samples.iter().collect::<Vec<_>>(), trainer.room),
                }
            }
            Stage::Training(task, left) => match training::poll(task) {
                Poll::Ready(model) => model,
                Poll::Pending if *left > 0 => {
                    *left -= 1;
                    return TrainingTurn::Some;
                }
                // If there is no room, writers wait for this training, so its polls are bounded.
                Poll::Pending => None,
            },
        };
        trainer.finish_codec(model);
        TrainingTurn::Some
    }

    /// Trains all codecs from these samples, as soon as no other thread trains them. Returns whether any model was
    /// adopted.
    pub(super) fn train(&self, samples: &[&[u8]]) -> bool {
        let mut trainer = self.training.trainer.lock();
        // These samples replace the map's own.
        *trainer = None;
        self.training.set_due(false);
        let cancel = CancelOnPanic(&self.training);
        let mut room = self.room_to_train();
        let mut models = Vec::new();
        for (codec, made) in self.models().codecs().enumerate() {
            if let Some(model) = made.train(samples, room) {
                room = room.saturating_sub(model.bytes());
                models.push((codec, model));
            }
        }
        let any = self.adopt_all(&mut self.maintenance.lock().compressor, models);
        mem::forget(cancel);
        any
    }

    /// Compresses by these models from now on, as far as the budget has room for them. Returns whether any was adopted.
    fn adopt_all(
        &self,
        compressor: &mut ValueCompressor,
        models: Vec<(usize, Box<dyn Model>)>,
    ) -> bool {
        compressor.ratio.note_training();
        let (mut any, mut bytes) = (false, 0);
        for (codec, model) in models {
            bytes = Models::bytes_of(&*model).saturating_add(bytes);
            any |= self.adopt(compressor, model, codec);
        }
        let reserved = bytes.min(self.memory.budget / RETRAINING);
        self.memory.retraining_bytes.store(reserved);
        self.training.set_done();
        any
    }

    fn adopt(&self, compressor: &mut ValueCompressor, model: Box<dyn Model>, codec: usize) -> bool {
        let bytes = Models::bytes_of(&*model);
        let all = self.models().bytes().saturating_add(bytes);
        if all > self.memory.max_models() || !self.reserve_model(bytes) {
            return false;
        }
        let at = self.models().add(model, codec, bytes);
        self.memory.count_models(self.models());
        let Some(at) = at else { return false };
        compressor.current.retain(|&other| self.models().codec_of(other) != Some(codec));
        compressor.current.push(at);
        compressor.choice = Choice::new();
        true
    }
}
