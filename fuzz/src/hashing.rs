//! Hashers that the input chooses, from good to useless.

use arbitrary::Arbitrary;
use std::hash::{BuildHasher, Hasher};

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Hashing {
    Good,
    Identity,
    Constant,
    /// Groups of this many neighbours, and one more, share a hash.
    Clustered(u8),
    /// This many distinct hashes, and one more.
    Few(u8),
    /// Only this many bits differ, shifted left.
    Window {
        bits: u8,
        shift: u8,
    },
}

impl BuildHasher for Hashing {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding { how: *self, state: 0 }
    }
}

pub struct Folding {
    how: Hashing,
    state: u64,
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.state = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ word;
    }

    fn finish(&self) -> u64 {
        match self.how {
            Hashing::Good => mix(self.state),
            Hashing::Identity => self.state,
            Hashing::Constant => 0,
            Hashing::Clustered(most) => mix(self.state / (u64::from(most % 32) + 1)),
            Hashing::Few(most) => mix(mix(self.state) % (u64::from(most) + 1)),
            Hashing::Window { bits, shift } => {
                let window = (1 << (bits % 16)) - 1;
                (mix(self.state) & window) << (shift % 49)
            }
        }
    }
}

/// A bijection of 64-bit words that spreads every bit.
pub fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
