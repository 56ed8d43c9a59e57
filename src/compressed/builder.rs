//! The settings of a map.

#[cfg(feature = "lz4")]
use super::codec::Lz4;
use super::codec::{Codec, Corrupt, SmallText};
use super::expiry::{Clock, Listener, RemovalCause};
use super::hash::KeyHasher;
use super::models::NamedCodec;
use super::types::{Merge, Policy};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::hash::BuildHasher;
use core::time::Duration;

/// The sizes of segments, as powers of two.
const SMALLEST: u32 = if cfg!(hedgerow_loom) { 8 } else { 10 };
const LARGEST: u32 = 16;

/// Configures a [`CompressedMap`](crate::CompressedMap): budget, codecs, and what to do when the budget is used up.
/// [`CompressedMap::builder`](crate::CompressedMap::builder) returns one with the default codecs.
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
    pub(super) codecs: Vec<NamedCodec>,
    /// Whether the first codec of the caller replaces those in `codecs`.
    has_default_codecs: bool,
    pub(super) merge: Option<Box<dyn Merge>>,
    pub(super) policy: Policy,
    pub(super) hasher: Option<KeyHasher>,
    pub(super) clock: Option<Box<dyn Clock>>,
    pub(super) time_to_live: Option<Duration>,
    pub(super) listener: Option<Box<Listener>>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("budget", &self.budget)
            .field("policy", &self.policy)
            .field("time_to_live", &self.time_to_live)
            .finish_non_exhaustive()
    }
}

impl Builder {
    pub(super) fn new(budget: usize) -> Self {
        Self {
            budget,
            segment: None,
            codecs: Vec::new(),
            has_default_codecs: false,
            merge: None,
            policy: Policy::default(),
            hasher: None,
            clock: None,
            time_to_live: None,
            listener: None,
        }
    }

    /// Adds the default codecs: one for short texts and, with feature `lz4`, one for longer values.
    pub(super) fn with_default_codecs(self) -> Self {
        let builder = self.codec(SmallText::new());
        #[cfg(feature = "lz4")]
        let builder = builder.codec(Lz4::new());
        Self { has_default_codecs: true, ..builder }
    }

    /// Adds a codec. The first one replaces the default codecs.
    ///
    /// If a map has several, each value is stored in its shortest compressed form. A value that no codec shortens by a
    /// tenth is stored uncompressed. A codec must not change its own map: that call may hang.
    ///
    /// # Panics
    /// If the codec's name is longer than 255 bytes, for which an export has no room.
    pub fn codec(mut self, codec: impl Codec + 'static) -> Self {
        if core::mem::take(&mut self.has_default_codecs) {
            self.codecs.clear();
        }
        self.codecs.push(NamedCodec::new(codec));
        self
    }

    /// Sets the function that merges deferred changes into values; see
    /// [`modify_deferred`](crate::CompressedMap::modify_deferred).
    pub fn merge(mut self, merge: impl Merge + 'static) -> Self {
        self.merge = Some(Box::new(merge));
        self
    }

    /// Sets what the map does when its budget is used up.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the size of a segment in bytes, rounded down to a power of two from 1 KiB to 64 KiB. It is also the maximum
    /// length of an entry. The default is a 64th of the budget, rounded down likewise.
    ///
    /// From 16 KiB, the index takes its memory from segments too, so no part of the budget is reserved for it. If a
    /// segment takes more than a 32nd of the budget, a full map may refuse entries that are longer than those before,
    /// because it reserves no memory for moving them.
    pub fn segment_bytes(mut self, bytes: usize) -> Self {
        self.segment = Some(bytes);
        self
    }

    /// Sets the hasher of the keys. By default it is a [`DefaultHashBuilder`](crate::flat::DefaultHashBuilder), which
    /// is seeded separately for each map.
    ///
    /// ```
    /// use hedgerow::CompressedMap;
    /// use std::hash::RandomState;
    ///
    /// let map = CompressedMap::builder(1 << 20).hasher(RandomState::new()).build();
    /// assert_eq!(map.insert("key", "value"), Ok(false));
    /// ```
    pub fn hasher(mut self, hasher: impl BuildHasher + Send + Sync + 'static) -> Self {
        self.hasher = Some(KeyHasher::Other(Box::new(hasher)));
        self
    }

    /// Sets the time to live of values that are inserted without one. By default values do not expire, and a value
    /// that a [deferred change](super::CompressedMap::modify_deferred) begins never does.
    ///
    /// ```
    /// use std::time::Duration;
    /// let map = hedgerow::CompressedMap::builder(1 << 20).time_to_live(Duration::ZERO).build();
    /// map.insert("key", "value").unwrap();
    /// assert_eq!(map.get("key"), Ok(None));
    /// ```
    pub fn time_to_live(mut self, time_to_live: Duration) -> Self {
        self.time_to_live = Some(time_to_live);
        self
    }

    /// Sets the clock by which values expire. With feature `std`, the default is the system's monotonic clock, which
    /// `wasm32-unknown-unknown` does not have.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use std::time::Duration;
    ///
    /// static SECONDS: AtomicU64 = AtomicU64::new(0); // of a timer interrupt, for example
    /// let clock = || Duration::from_secs(SECONDS.load(Ordering::Relaxed));
    /// let map = hedgerow::CompressedMap::builder(1 << 20).clock(clock).build();
    /// map.insert_for("key", "value", Duration::from_secs(60)).unwrap();
    /// SECONDS.store(59, Ordering::Relaxed);
    /// assert!(map.contains_key("key"));
    /// SECONDS.store(60, Ordering::Relaxed);
    /// assert!(!map.contains_key("key"));
    /// ```
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// Calls `listener` with the key, the value and the cause for each entry that expires or is evicted.
    ///
    /// It is not called for an entry that a caller removes or replaces, even if that had expired. It is called for an
    /// expired entry when the memory is freed: by [`expire_step`](super::CompressedMap::expire_step), or when a write
    /// needs room. It runs in any thread that makes room. No lock is held that a lookup needs, but other threads that
    /// make room may wait for it. Like a codec, it must not change the map. With a listener, each removal allocates the
    /// value.
    ///
    /// ```
    /// use hedgerow::compressed::RemovalCause;
    /// use std::sync::mpsc::channel;
    /// use std::time::Duration;
    ///
    /// let (removed, told) = channel();
    /// let map = hedgerow::CompressedMap::builder(1 << 20)
    ///     .on_removal(move |key, value, cause| {
    ///         let value = value.map(<[u8]>::to_vec);
    ///         removed.send((key.to_vec(), value, cause)).unwrap();
    ///     })
    ///     .build();
    /// map.insert_for("key", "value", Duration::ZERO).unwrap();
    /// map.expire_step(64);
    /// let (key, value) = (b"key".to_vec(), b"value".to_vec());
    /// assert_eq!(told.recv(), Ok((key, Ok(value), RemovalCause::Expired)));
    /// ```
    pub fn on_removal(
        mut self,
        listener: impl Fn(&[u8], Result<&[u8], Corrupt>, RemovalCause) + Send + Sync + 'static,
    ) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    pub(super) fn segment_bits(&self) -> u32 {
        let bytes = self.segment.unwrap_or(self.budget / 64).max(1);
        bytes.ilog2().clamp(SMALLEST, LARGEST)
    }
}
