//! Keys and values: pseudo-random, the same for every map, and such that a
//! right answer can be told from a wrong one without asking a map.

/// Keys have 62 bits, so that a stream word has room for what to do with one.
pub const KEY_BITS: u32 = 62;

/// The share of a miss in a checksum.
const NOTHING: u64 = 1 << 40;

/// The `i`-th key: distinct, and in no order a table could profit from.
///
/// Splitmix64's finalizer is a bijection on 64 bits; dropping two of them can
/// make two keys equal in theory, which would show as a wrong checksum.
pub fn key(i: u64) -> u64 {
    mix(i.wrapping_add(0x5851_f42d_4c95_7f2d)) >> (64 - KEY_BITS)
}

/// A value for `key`: the low half names the key, the high half is free.
#[inline]
pub fn value(key: u64, stamp: u64) -> u64 {
    (key & 0xffff_ffff) | (stamp << 32)
}

/// Returns an answer's share in a checksum: the key of the value, not its version.
///
/// Two threads may overwrite each other's values, so only the half that every
/// writer of a key agrees on can be checked.
#[inline]
pub fn fold(answer: Option<u64>) -> u64 {
    answer.map_or(NOTHING, |v| v & 0xffff_ffff)
}

/// A small generator with its whole state in one word; good enough to choose
/// keys, and the same everywhere.
pub struct Rng(u64);

impl Rng {
    /// The stream of numbers that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self(mix(seed ^ 0x9e37_79b9_7f4a_7c15))
    }

    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `n`, by multiplication (the bias is far below what is
    /// measured here).
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(n)) >> 64) as u64
    }

    /// Puts `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
