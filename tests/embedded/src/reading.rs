//! The value under test: it tells from its own words whether it was read in one piece.

/// Three words that must belong to one key and one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    generation: u32,
    echo: u32,
    sum: u32,
}

impl Reading {
    pub const fn new(key: u32, generation: u32) -> Self {
        let echo = (key ^ generation.rotate_left(13)).wrapping_mul(0x9e37_79b1) ^ generation;
        Self::from_words([generation, echo, generation.rotate_left(7) ^ echo ^ key])
    }

    pub const fn generation(self) -> u32 {
        self.generation
    }

    /// Whether these words were written together, for this key.
    pub fn is_whole(self, key: u32) -> bool {
        self == Self::new(key, self.generation)
    }

    pub const fn from_words([generation, echo, sum]: [u32; 3]) -> Self {
        Self { generation, echo, sum }
    }

    pub const fn words(self) -> [u32; 3] {
        [self.generation, self.echo, self.sum]
    }
}

/// A xorshift generator: the runs of one firmware are all the same.
pub struct Random(u32);

impl Random {
    pub const fn new(seed: u32) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        // The high bits, scaled: no division on cores that have none.
        ((u64::from(self.0) * u64::from(bound)) >> 32) as u32
    }
}
