//! Hashers that no map would like: constant, identity, few distinct values, all entropy at one
//! end, one that panics when told to, one that changes its answer, one that counts its uses.

use super::rng::mix;
use super::{effort, planned_panic};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Folds its input into one word, and then makes a hash of it by a plain function. One integer is
/// folded into itself.
#[derive(Clone, Copy)]
pub(crate) struct Mapped {
    pub(crate) name: &'static str,
    map: fn(u64) -> u64,
}

pub(crate) const GOOD: Mapped = Mapped { name: "good", map: mix };
pub(crate) const CONSTANT: Mapped = Mapped { name: "constant", map: |_| 0 };
pub(crate) const ALL_ONES: Mapped = Mapped { name: "all ones", map: |_| u64::MAX };
pub(crate) const IDENTITY: Mapped = Mapped { name: "identity", map: |word| word };
/// Seven distinct hashes for all keys.
pub(crate) const LOW_ENTROPY: Mapped =
    Mapped { name: "low entropy", map: |word| mix(mix(word) % 7) };
/// Two dozen neighbours share each hash: chains of overflow lines in a table of any size, of which
/// a split moves some and leaves some.
pub(crate) const CLUSTERED: Mapped = Mapped { name: "clustered", map: |word| mix(word / 24) };
/// Two neighbours share each hash.
pub(crate) const PAIRS: Mapped = Mapped { name: "pairs", map: |word| mix(word / 2) };
/// Only the top sixteen bits ever differ.
pub(crate) const HIGH_BITS: Mapped = Mapped { name: "high bits", map: |word| word << 48 };
/// Only the low bits ever differ, every other one of them.
pub(crate) const EVEN_BITS: Mapped =
    Mapped { name: "even bits", map: |word| word & 0x5555_5555_5555_5555 };

/// Every hasher that is quick for a few hundred keys.
pub(crate) const ALL: [Mapped; 8] =
    [GOOD, CLUSTERED, CONSTANT, ALL_ONES, IDENTITY, LOW_ENTROPY, HIGH_BITS, EVEN_BITS];

/// Every bad hasher with the number of keys for which it is quick.
pub(crate) fn all_with_sizes() -> impl Iterator<Item = (Mapped, u64)> {
    ALL.into_iter().map(|hasher| {
        let size = match hasher.name {
            "good" => 20_000,
            "clustered" => 3_000,
            "identity" | "even bits" | "high bits" => 500,
            _ => 200,
        };
        (hasher, effort(size))
    })
}

impl Default for Mapped {
    fn default() -> Self {
        GOOD
    }
}

impl BuildHasher for Mapped {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding { state: 0, map: self.map }
    }
}

pub(crate) struct Folding {
    state: u64,
    map: fn(u64) -> u64,
}

impl Folding {
    fn fold(&mut self, word: u64) {
        self.state = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ word;
    }
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fold(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.fold(word.into());
    }

    fn write_u16(&mut self, word: u16) {
        self.fold(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.fold(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.fold(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.fold(word as u64);
    }

    fn finish(&self) -> u64 {
        (self.map)(self.state)
    }
}

/// A countdown that panics when it gets to zero; a copy counts along. Disarmed to begin with.
#[derive(Clone)]
pub(crate) struct Fuse(Arc<AtomicI64>);

impl Default for Fuse {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(i64::MAX)))
    }
}

impl Fuse {
    /// The `n`-th step from now panics, the first being number 0.
    pub(crate) fn arm(&self, n: i64) {
        self.0.store(n, Ordering::SeqCst);
    }

    pub(crate) fn disarm(&self) {
        self.arm(i64::MAX);
    }

    pub(crate) fn step(&self) {
        if self.0.fetch_sub(1, Ordering::SeqCst) == 0 {
            planned_panic();
        }
    }
}

/// Counts its uses, panics when its fuse burns down, and otherwise hashes like `Mapped`.
#[derive(Clone, Default)]
pub(crate) struct Watched {
    pub(crate) inner: Mapped,
    pub(crate) fuse: Fuse,
    pub(crate) uses: Arc<AtomicU64>,
}

impl Watched {
    pub(crate) fn new(inner: Mapped) -> Self {
        Self { inner, ..Self::default() }
    }

    pub(crate) fn uses(&self) -> u64 {
        self.uses.load(Ordering::SeqCst)
    }
}

impl BuildHasher for Watched {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        self.uses.fetch_add(1, Ordering::SeqCst);
        self.fuse.step();
        self.inner.build_hasher()
    }
}

/// Never the same answer for long: every third hash differs from the key's own.
#[derive(Clone, Default)]
pub(crate) struct Fickle(Arc<AtomicU64>);

impl BuildHasher for Fickle {
    type Hasher = FickleHasher;

    fn build_hasher(&self) -> FickleHasher {
        FickleHasher { inner: GOOD.build_hasher(), turn: self.0.fetch_add(1, Ordering::SeqCst) }
    }
}

pub(crate) struct FickleHasher {
    inner: Folding,
    turn: u64,
}

impl Hasher for FickleHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.inner.write(bytes);
    }

    fn finish(&self) -> u64 {
        let hash = self.inner.finish();
        if self.turn.is_multiple_of(3) { hash ^ mix(self.turn) } else { hash }
    }
}
