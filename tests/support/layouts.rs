//! Kinds of keys and values: every layout that a word-wise copy could get wrong.

use super::rng::mix;
use std::fmt::Debug;
use std::num::NonZeroU32;

/// A kind of key or value: the `n`-th of its kind. Distinct numbers below `LIMIT` make distinct
/// ones.
pub(crate) trait Nth: Copy + Debug + PartialEq + Send + Sync + 'static {
    const LIMIT: u64;
    fn nth(n: u64) -> Self;
}

impl Nth for () {
    const LIMIT: u64 = 1;

    fn nth(_: u64) -> Self {}
}

impl Nth for bool {
    const LIMIT: u64 = 2;

    fn nth(n: u64) -> Self {
        n % 2 == 1
    }
}

impl Nth for u8 {
    const LIMIT: u64 = 1 << 8;

    fn nth(n: u64) -> Self {
        n as u8
    }
}

impl Nth for u16 {
    const LIMIT: u64 = 1 << 16;

    fn nth(n: u64) -> Self {
        !(n as u16)
    }
}

impl Nth for u32 {
    const LIMIT: u64 = 1 << 32;

    fn nth(n: u64) -> Self {
        (n as u32).rotate_left(16)
    }
}

/// Extremes first.
impl Nth for u64 {
    const LIMIT: u64 = u64::MAX;

    fn nth(n: u64) -> Self {
        if n.is_multiple_of(2) { n / 2 } else { !(n / 2) }
    }
}

impl Nth for i64 {
    const LIMIT: u64 = u64::MAX;

    fn nth(n: u64) -> Self {
        u64::nth(n).cast_signed()
    }
}

impl Nth for u128 {
    const LIMIT: u64 = u64::MAX;

    fn nth(n: u64) -> Self {
        u128::from(n) << 64 | u128::from(!n)
    }
}

impl Nth for f64 {
    const LIMIT: u64 = 1 << 32;

    fn nth(n: u64) -> Self {
        f64::from(n as u32) / 8.0
    }
}

impl Nth for char {
    const LIMIT: u64 = 0xd000;

    fn nth(n: u64) -> Self {
        char::from_u32(n as u32 % 0xd000).expect("below the surrogates")
    }
}

/// 24 bytes that differ in the last ones only, aligned to one.
impl Nth for [u8; 24] {
    const LIMIT: u64 = u64::MAX;

    fn nth(n: u64) -> Self {
        let mut bytes = [7; 24];
        bytes[16..].copy_from_slice(&n.to_be_bytes());
        bytes
    }
}

/// Three bytes: smaller than a word, and no divisor of one.
impl Nth for [u8; 3] {
    const LIMIT: u64 = 1 << 24;

    fn nth(n: u64) -> Self {
        [n as u8, (n >> 8) as u8, (n >> 16) as u8]
    }
}

/// A kibibyte.
impl Nth for [u64; 128] {
    const LIMIT: u64 = u64::MAX;

    fn nth(n: u64) -> Self {
        let mut words = [0; 128];
        for (place, word) in words.iter_mut().enumerate() {
            *word = mix(n) ^ place as u64;
        }
        words[127] = n;
        words
    }
}

const WORDS: [&str; 9] =
    ["", "a", "b", "ab", "ba", "hedge", "hedgerow", "hedgerows", "a much longer one, far away"];

impl Nth for &'static str {
    const LIMIT: u64 = 9;

    fn nth(n: u64) -> Self {
        WORDS[(n % 9) as usize]
    }
}

static NUMBERS: [u64; 64] = {
    let mut numbers = [0; 64];
    let mut n = 0;
    while n < 64 {
        numbers[n] = n as u64 * 3;
        n += 1;
    }
    numbers
};

/// A niche, and provenance to keep: the comparison reads through the pointer.
impl Nth for Option<&'static u64> {
    const LIMIT: u64 = 65;

    fn nth(n: u64) -> Self {
        NUMBERS.get((n % 65) as usize)
    }
}

impl Nth for NonZeroU32 {
    const LIMIT: u64 = 1 << 31;

    fn nth(n: u64) -> Self {
        NonZeroU32::new(n as u32 | 1 << 31).expect("the top bit is set")
    }
}

impl Nth for fn(u64) -> u64 {
    const LIMIT: u64 = 2;

    fn nth(n: u64) -> Self {
        if n.is_multiple_of(2) { mix } else { u64::swap_bytes }
    }
}

/// Padding between, and for the longer ones at the end.
impl<A: Nth, B: Nth> Nth for (A, B) {
    const LIMIT: u64 = if A::LIMIT > B::LIMIT { A::LIMIT } else { B::LIMIT };

    fn nth(n: u64) -> Self {
        (A::nth(n), B::nth(n))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(align(64))]
pub(crate) struct Aligned(u64, u8);

impl Nth for Aligned {
    const LIMIT: u64 = u64::MAX;

    fn nth(n: u64) -> Self {
        Self(n, !n as u8)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(align(32))]
pub(crate) struct AlignedNothing;

impl Nth for AlignedNothing {
    const LIMIT: u64 = 1;

    fn nth(_: u64) -> Self {
        Self
    }
}

/// An enum with data: a tag, padding that depends on the variant, invalid bit patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mixed {
    Nothing,
    Letter(char),
    Long(u64, bool),
}

impl Nth for Mixed {
    const LIMIT: u64 = 1 << 15;

    fn nth(n: u64) -> Self {
        match n % 3 {
            _ if n == 0 => Self::Nothing,
            0 | 1 => Self::Letter(char::nth(n)),
            _ => Self::Long(n, n.is_multiple_of(2)),
        }
    }
}
