//! What a map is made with.

use super::codec::Codec;
use super::map::CompressedMap;
use super::models::Named;
use super::record::Shape;
use super::types::{Merge, Policy};
use crate::api::hasher::DefaultHashBuilder;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Sizes of segments, as powers of two.
const SMALLEST: u32 = if cfg!(hedgerow_loom) { 8 } else { 10 };
const LARGEST: u32 = 16;

/// Makes a [`CompressedMap`]: how much memory, which codecs, and what is done when there is no more.
///
/// ```
/// use hedgerow::CompressedMap;
/// use hedgerow::compressed::Policy;
///
/// let map = CompressedMap::builder(1 << 20).policy(Policy::Evict).build();
/// map.insert("key", "value").unwrap();
/// assert_eq!(map.get("key"), Ok(Some(b"value".to_vec())));
/// ```
#[must_use]
pub struct Builder {
    pub(super) budget: usize,
    segment: Option<usize>,
    pub(super) codecs: Vec<Named>,
    pub(super) merge: Option<Box<dyn Merge>>,
    pub(super) policy: Policy,
    pub(super) hasher: Option<DefaultHashBuilder>,
}

impl Builder {
    pub(super) fn new(budget: usize) -> Self {
        let (codecs, merge) = (Vec::new(), None);
        Self { budget, segment: None, codecs, merge, policy: Policy::default(), hasher: None }
    }

    /// Adds a codec. Of several, the one that makes least of a value compresses it; values that none of them makes
    /// a tenth smaller are stored as they are.
    ///
    /// A codec must not use the map that it belongs to, which may hang.
    ///
    /// # Panics
    /// The codec's name has more than 255 bytes: what it compresses could be exported, but not imported.
    pub fn codec(mut self, codec: impl Codec + 'static) -> Self {
        self.codecs.push(Named::new(codec));
        self
    }

    /// Folds deferred changes into values; see [`modify_deferred`](CompressedMap::modify_deferred).
    pub fn merge(mut self, merge: impl Merge + 'static) -> Self {
        self.merge = Some(Box::new(merge));
        self
    }

    /// What is done at the budget.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Bytes in a segment, made a power of two from 1 KiB to 64 KiB. No entry is longer. By default a segment is a
    /// sixtieth of the budget or less. From 16 KiB on the index takes its memory from segments, too, and no part of
    /// the budget is kept for it.
    pub fn segment_bytes(mut self, bytes: usize) -> Self {
        self.segment = Some(bytes);
        self
    }

    /// The hasher of the keys; one is keyed anew for each map otherwise.
    pub fn hasher(mut self, hasher: DefaultHashBuilder) -> Self {
        self.hasher = Some(hasher);
        self
    }

    pub(super) fn segment_bits(&self) -> u32 {
        let bytes = self.segment.unwrap_or(self.budget / 64).max(1);
        bytes.ilog2().clamp(SMALLEST, LARGEST)
    }

    /// The map, which allocates nothing of its budget yet but what codecs know without having learned.
    #[must_use]
    pub fn build(self) -> CompressedMap {
        debug_assert!(Shape::new(self.segment_bits()).room() > 0);
        CompressedMap::of(self)
    }
}
