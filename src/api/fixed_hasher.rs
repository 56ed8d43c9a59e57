//! The default hasher of tables of fixed size.

use core::hash::{BuildHasher, Hasher};

/// The default hasher of tables of fixed size: it has size zero and a fixed seed.
///
/// A `static` table with it is all zeros, so the table is in `.bss` and takes no flash. Hashes are the same in each run
/// of a program, but differ between targets: on 64-bit targets it is foldhash, on others a hash of 32-bit words, which
/// needs no multiplication that small microcontrollers do not have.
///
/// **It has no secret keys.** Anybody can choose keys that collide. For keys that an attacker chooses, pass a hasher
/// with secret keys to `with_hasher`: for example a [`DefaultHashBuilder`](crate::flat::DefaultHashBuilder), if it gets
/// its keys from entropy. With keys, the table is not all zeros: if it is a `static`, the linker stores the whole table
/// in flash.
///
/// ```
/// use hedgerow::flat::FixedHashBuilder;
/// use std::hash::BuildHasher;
///
/// assert_eq!(size_of::<FixedHashBuilder>(), 0);
/// assert_eq!(FixedHashBuilder.hash_one("key"), FixedHashBuilder.hash_one("key"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FixedHashBuilder;

impl BuildHasher for FixedHashBuilder {
    type Hasher = FixedHasher;

    #[inline(always)]
    fn build_hasher(&self) -> FixedHasher {
        FixedHasher(inner())
    }
}

#[cfg(target_pointer_width = "64")]
type WrappedHasher = foldhash::fast::FoldHasher<'static>;
#[cfg(not(target_pointer_width = "64"))]
type WrappedHasher = WordHasher;

#[cfg(target_pointer_width = "64")]
#[inline(always)]
fn inner() -> WrappedHasher {
    // The fractional part of the square root of two, a number without hidden choices.
    WrappedHasher::with_seed(0x6A09_E667_F3BC_C908, foldhash::SharedSeed::global_fixed())
}

#[cfg(not(target_pointer_width = "64"))]
#[inline(always)]
fn inner() -> WrappedHasher {
    WordHasher::default()
}

/// The hasher that a [`FixedHashBuilder`] builds.
#[derive(Clone)]
pub struct FixedHasher(WrappedHasher);

impl Hasher for FixedHasher {
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    #[inline(always)]
    fn write_u8(&mut self, n: u8) {
        self.0.write_u8(n);
    }

    #[inline(always)]
    fn write_u16(&mut self, n: u16) {
        self.0.write_u16(n);
    }

    #[inline(always)]
    fn write_u32(&mut self, n: u32) {
        self.0.write_u32(n);
    }

    #[inline(always)]
    fn write_u64(&mut self, n: u64) {
        self.0.write_u64(n);
    }

    #[inline(always)]
    fn write_u128(&mut self, n: u128) {
        self.0.write_u128(n);
    }

    #[inline(always)]
    fn write_usize(&mut self, n: usize) {
        self.0.write_usize(n);
    }

    #[inline(always)]
    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

impl core::fmt::Debug for FixedHasher {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("FixedHasher").finish_non_exhaustive()
    }
}

/// A hash of 32-bit words, by multiplications of which only the lower halves are used: a Cortex-M0 has no others.
///
/// Each word is xored into the state, a multiplication carries bits upwards, and a shift brings them down again. The
/// end multiplies twice more. (This is the finalizer of MurmurHash3, for each word. With a rotation instead of the
/// shift, as in FxHash, 102 of the 768 texts of the test below had the hash of another one.)
#[cfg(any(not(target_pointer_width = "64"), all(test, not(hedgerow_loom))))]
#[derive(Clone, Default)]
struct WordHasher(u32);

#[cfg(any(not(target_pointer_width = "64"), all(test, not(hedgerow_loom))))]
impl WordHasher {
    /// 2^32 divided by the golden ratio, made odd.
    const MULTIPLIER: u32 = 0x9E37_79B9;

    #[inline(always)]
    fn word(&mut self, word: u32) {
        let product = (self.0 ^ word).wrapping_mul(Self::MULTIPLIER);
        self.0 = product ^ product >> 16;
    }
}

#[cfg(any(not(target_pointer_width = "64"), all(test, not(hedgerow_loom))))]
impl Hasher for WordHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for &word in words {
            self.word(u32::from_le_bytes(word));
        }
        for &byte in rest {
            self.word(byte.into());
        }
    }

    #[inline(always)]
    fn write_u8(&mut self, n: u8) {
        self.word(n.into());
    }

    #[inline(always)]
    fn write_u16(&mut self, n: u16) {
        self.word(n.into());
    }

    #[inline(always)]
    fn write_u32(&mut self, n: u32) {
        self.word(n);
    }

    #[inline(always)]
    fn write_u64(&mut self, n: u64) {
        self.word(n as u32);
        self.word((n >> 32) as u32);
    }

    #[inline(always)]
    fn write_usize(&mut self, n: usize) {
        // Only tests run this on targets with longer numbers.
        if usize::BITS > 32 { self.write_u64(n as u64) } else { self.word(n as u32) }
    }

    /// Returns the hash. Tables number their bins by the lower half, and take tags from the top of the upper half.
    #[inline(always)]
    fn finish(&self) -> u64 {
        let low = self.0.wrapping_mul(0xC2B2_AE35);
        let low = low ^ low >> 15;
        let high = low.wrapping_mul(Self::MULTIPLIER);
        u64::from(high) << 32 | u64::from(low)
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;
    use core::hash::Hash;
    use std::collections::HashMap;

    fn hash(key: impl Hash) -> u64 {
        let mut hasher = WordHasher::default();
        key.hash(&mut hasher);
        hasher.finish()
    }

    /// Counts how many keys share a bin, a tag, a filter number, or both bin and tag, and compares with random hashes.
    /// The bins of a `FlatTable` are numbered by low bits or by a multiplication; those of a `LeftRightTable` by the
    /// highest bits, and their tags are the lowest.
    #[test]
    fn hashes_of_words_spread_like_chance() {
        const BINS: u64 = 256;
        const KEYS: u64 = 3 * BINS;
        type NthHash = fn(u64) -> u64;
        type BinAndTag = fn(u64) -> (u64, u64);
        let sets: [(&str, NthHash); 14] = [
            ("numbers", |n| hash(n as u32)),
            ("long numbers", hash),
            ("bytes, twice", |n| hash([n as u8, (n >> 8) as u8])),
            ("short numbers", |n| hash(n as u16)),
            ("addresses of words", |n| hash(0x2000_0000u32 + (n << 2) as u32)),
            ("addresses of pages", |n| hash((n << 12) as u32)),
            ("id << 16", |n| hash((n << 16) as u32)),
            ("id << 20", |n| hash((n << 20) as u32)),
            ("id << 48", |n| hash(n << 48)),
            ("thousands", |n| hash(1000 * n as u32)),
            ("floats", |n| hash(f32::from(n as u16).to_bits())),
            ("pairs", |n| hash(((n % 32) as u32, (n / 32) as u32))),
            ("texts", |n| hash(std::format!("sensor/{n}"))),
            ("internet addresses", |n| hash([192, 168, (n >> 8) as u8, n as u8])),
        ];
        for (name, nth) in sets {
            let ways: [(&str, BinAndTag); 3] = [
                ("low bits", |h| (h % BINS, h >> 57)),
                ("a multiplication", |h| (((h & 0xFFFF_FFFF) * 251) >> 32, h >> 57)),
                ("the highest bits", |h| (((h >> 32) * 251) >> 32, h % 128)),
            ];
            for (way, places) in ways {
                let (mut bins, mut tags) = ([0; BINS as usize], [0; 128]);
                let mut pairs = HashMap::new();
                for n in 0..KEYS {
                    let (bin, tag) = places(nth(n));
                    bins[bin as usize] += 1;
                    tags[tag as usize] += 1;
                    *pairs.entry((bin, tag)).or_insert(0) += 1;
                }
                let most = bins.into_iter().max().unwrap_or(0);
                assert!(most <= 14, "{name}, {way}: {most} keys of {KEYS} share a bin");
                let most = tags.into_iter().max().unwrap_or(0);
                assert!(most <= 24, "{name}, {way}: {most} keys of {KEYS} share a tag");
                let alike: u64 = pairs.into_values().map(|n: u64| n * (n - 1) / 2).sum();
                let chance = KEYS * KEYS / 2 / BINS / 128;
                assert!(alike < 4 * chance, "{name}, {way}: {alike} pairs of one bin and tag");
            }
            let mut filters = [0; 4];
            for n in 0..KEYS {
                // As `KeyHash::filter` takes it.
                filters[(nth(n) >> 54) as usize % 4] += 1;
            }
            let most = filters.into_iter().max().unwrap_or(0);
            assert!(most < KEYS / 3, "{name}: {most} keys of {KEYS} share a filter number");
        }
    }
}
