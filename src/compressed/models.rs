//! The models of a map, by which records were compressed, and the codecs that made them.
//!
//! The results of codecs and merge functions are checked twice: where the crate gets them (`Choice::best_among`,
//! [`NamedCodec::new`], [`Models::bytes_of`]), and where a wrong one would do harm. The append refuses a record that
//! does not fit, or is not as long as its head says.
//!
//! # Synchronization
//! - `[CD-1]` release store of a model's address ↔ `[CD-2]` acquire load: a reader of a record finds the model that
//!   compressed it. No model is freed while the map is shared, so readers need nothing else.

use super::codec::{Choice, Codec, Corrupt, Model, Work};
use super::key_in_value;
use super::record::{MAX_MODELS, PLAIN, RecordHead};
use super::types::CodecStats;
use crate::facade::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::sync::hint::Statistic;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ptr;

/// The bytes of the longest name for which an export has room.
const LONGEST_NAME: usize = u8::MAX as usize;

/// A codec, and its name when it was added. Asked again, it might return another name.
pub(super) struct NamedCodec {
    name: &'static str,
    codec: Box<dyn Codec>,
}

impl NamedCodec {
    /// # Panics
    /// The name is too long for an export.
    pub(super) fn new(codec: impl Codec + 'static) -> Self {
        let (name, codec) = (codec.name(), Box::new(codec));
        assert!(name.len() <= LONGEST_NAME, "a codec's name has more than {LONGEST_NAME} bytes");
        Self { name, codec }
    }
}

/// A model and its codec.
pub(super) struct ModelSlot {
    model: Box<dyn Model>,
    codec: usize,
    /// The bytes that the model reported when it was added, and those of the slot.
    bytes: usize,
}

/// The codecs of a map, and their models.
pub(super) struct Models {
    codecs: Vec<NamedCodec>,
    slots: [AtomicPtr<ModelSlot>; MAX_MODELS],
    /// Records of each kind, plain ones first, and the bytes that they take.
    records: [Statistic<AtomicUsize>; 1 + MAX_MODELS],
    stored: [Statistic<AtomicUsize>; 1 + MAX_MODELS],
}

impl Models {
    pub(super) fn new(codecs: Vec<NamedCodec>) -> Self {
        Self {
            codecs,
            slots: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            records: core::array::from_fn(|_| Statistic::<AtomicUsize>::new(0)),
            stored: core::array::from_fn(|_| Statistic::<AtomicUsize>::new(0)),
        }
    }

    pub(super) fn codecs(&self) -> impl ExactSizeIterator<Item = &dyn Codec> {
        self.codecs.iter().map(|named| &*named.codec)
    }

    /// Returns one of the codecs.
    pub(super) fn codec(&self, index: usize) -> Option<&dyn Codec> {
        self.codecs.get(index).map(|named| &*named.codec)
    }

    /// Returns the codec with this name.
    pub(super) fn named(&self, name: &[u8]) -> Option<&dyn Codec> {
        let named = self.codecs.iter().find(|named| named.name.as_bytes() == name)?;
        Some(&*named.codec)
    }

    fn slot(&self, index: usize) -> Option<&ModelSlot> {
        // [CD-2] acquire: pairs with the release in `add` [CD-1], so the model is initialized.
        let slot = self.slots.get(index)?.load(Ordering::Acquire);
        // SAFETY: null, or a box that is dropped only through `&mut Models`.
        unsafe { slot.as_ref() }
    }

    /// Returns the codec of a model.
    pub(super) fn codec_of(&self, index: usize) -> Option<usize> {
        self.slot(index).map(|slot| slot.codec)
    }

    /// Returns the name of a model's codec.
    pub(super) fn name_of(&self, index: usize) -> Option<&'static str> {
        self.codec_of(index).map(|codec| self.codecs[codec].name)
    }

    pub(super) fn model(&self, index: usize) -> Option<&dyn Model> {
        self.slot(index).map(|slot| &*slot.model)
    }

    /// Adds a model of one of the codecs, which takes `bytes` bytes. Returns its index, or `None` if no slot is free.
    /// Only one thread at a time may call this.
    pub(super) fn add(&self, model: Box<dyn Model>, codec: usize, bytes: usize) -> Option<usize> {
        // relaxed: only one thread at a time adds, under the maintenance lock, so it has seen earlier additions.
        let free = |slot: &AtomicPtr<ModelSlot>| slot.load(Ordering::Relaxed).is_null();
        let index = self.slots.iter().position(free)?;
        let slot = Box::into_raw(Box::new(ModelSlot { model, codec, bytes }));
        // [CD-1] release: pairs with the acquire in `slot` [CD-2].
        self.slots[index].store(slot, Ordering::Release);
        Some(index)
    }

    /// Drops the models that compressed no stored record, except those in `kept`.
    pub(super) fn drop_unused(&mut self, kept: &[usize]) {
        for index in 0..MAX_MODELS {
            if !kept.contains(&index) && self.records[1 + index].load() == 0 {
                self.drop_slot(index);
            }
        }
    }

    fn drop_slot(&mut self, index: usize) {
        // relaxed: `&mut self` excludes other threads.
        let slot = self.slots[index].swap(ptr::null_mut(), Ordering::Relaxed);
        if !slot.is_null() {
            // SAFETY: a box from `add`, and `&mut self` excludes other users.
            drop(unsafe { Box::from_raw(slot) });
        }
    }

    /// Returns the bytes of all models on the heap.
    pub(super) fn bytes(&self) -> usize {
        let slots = (0..MAX_MODELS).filter_map(|index| self.slot(index));
        slots.fold(0, |sum, slot| sum.saturating_add(slot.bytes))
    }

    /// Returns the bytes of a model. A caller's model may report any size, and another size next time.
    pub(super) fn bytes_of(model: &dyn Model) -> usize {
        model.bytes().saturating_add(size_of_val(model) + size_of::<ModelSlot>())
    }

    /// Fills `into` with the value of this key, which was compressed to `stored`.
    #[inline]
    pub(super) fn decompress(
        &self,
        head: RecordHead,
        key: &[u8],
        stored: &[u8],
        into: &mut [u8],
    ) -> Result<(), Corrupt> {
        match head.model() {
            None if stored.len() == into.len() => {
                into.copy_from_slice(stored);
                Ok(())
            }
            None => Err(Corrupt),
            Some(index) => {
                let model = self.model(index).ok_or(Corrupt)?;
                match head.key_at {
                    None => model.decompress(stored, into),
                    Some(at) => key_in_value::decompress(model, stored, at, key, into),
                }
            }
        }
    }

    /// Compresses by the model of `among` that makes the value shortest. Returns the kind of the record and the bytes
    /// written to `into`; `PLAIN` if no model saves a tenth.
    pub(super) fn compress(
        &self,
        among: &[usize],
        choice: &mut Choice,
        plain: &[u8],
        into: &mut [u8],
        spare: &mut [u8],
        work: &mut Work,
    ) -> (u8, usize) {
        let there = || among.iter().filter_map(|&index| Some((index, self.model(index)?)));
        let models = there().map(|(_, model)| model);
        let best = choice.best_among(models, plain, into, spare, work);
        let kind = best.and_then(|(place, len)| Some((1 + there().nth(place)?.0 as u8, len)));
        kind.unwrap_or((PLAIN, plain.len()))
    }

    /// Counts a cold record that was appended.
    pub(super) fn count_up(&self, head: RecordHead) {
        let kind = usize::from(head.kind).min(MAX_MODELS);
        self.records[kind].add(1);
        self.stored[kind].add(head.record_len(false));
    }

    /// Counts a cold record that was unlinked.
    pub(super) fn count_down(&self, head: RecordHead) {
        let kind = usize::from(head.kind).min(MAX_MODELS);
        self.records[kind].sub(1);
        self.stored[kind].sub(head.record_len(false));
    }

    /// Returns the count of cold records, and the bytes of all of them.
    pub(super) fn cold(&self) -> (usize, usize) {
        let sum = |of: &[Statistic<AtomicUsize>]| {
            let sum = of.iter().fold(0, |sum: usize, n| sum.wrapping_add(n.load()));
            usize::try_from(sum.cast_signed()).unwrap_or(0)
        };
        (sum(&self.records), sum(&self.stored))
    }

    /// Returns statistics by codec. The last row is for records that no codec compressed.
    pub(super) fn stats(&self) -> Vec<CodecStats> {
        let names = self.codecs.iter().map(|named| named.name);
        let mut all: Vec<_> = names.map(CodecStats::new).collect();
        all.push(CodecStats::new("none"));
        for kind in 0..=MAX_MODELS {
            let slot = kind.checked_sub(1).and_then(|index| self.slot(index));
            let at = slot.map_or(self.codecs.len(), |slot| slot.codec);
            all[at].records += self.records[kind].load();
            all[at].stored += self.stored[kind].load();
            all[at].models += usize::from(slot.is_some());
        }
        all
    }
}

impl Drop for Models {
    fn drop(&mut self) {
        (0..MAX_MODELS).for_each(|index| self.drop_slot(index));
    }
}
