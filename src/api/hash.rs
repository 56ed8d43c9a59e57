//! The hash of a key, as hash maps use it.

/// A hash whose bits all depend on the whole key: the lowest bits are the bin's number, the topmost make the tag.
///
/// Users bring hashers of any quality. One multiplication carries each bit of the user's hash to all higher bits of a
/// product of 128 bits, whose halves are added: the lowest bits of the upper half, to which all bits of the hash
/// contribute, reach those of the lower half, which are 0 for a hash that ends in zeros (an address, an `id << 32`).
/// Reversing the bytes brings the best bits of the lower half down to the bits that number bins. So an identity hash,
/// or one whose entropy sits in a few bits, neither crowds a few bins nor gives all keys one tag. (This is Knuth's
/// multiplicative hashing, read from the other end because bins split by their low bits. The halves are added and not
/// xored, because consecutive numbers then hardly ever share both bin and tag.)
#[derive(Clone, Copy)]
pub(crate) struct KeyHash(pub(crate) u64);

impl KeyHash {
    /// Spreads the hash of the user's hasher, unless that hasher is known to mix well (`mixed`).
    #[inline(always)]
    pub(crate) fn spread(hash: u64, mixed: bool) -> Self {
        // 2^64 divided by the golden ratio.
        const MULTIPLIER: u128 = 0x9E37_79B9_7F4A_7C15;
        let spread = || {
            let product = u128::from(hash) * MULTIPLIER;
            (product as u64).wrapping_add((product >> 64) as u64).swap_bytes()
        };
        Self(if mixed { hash } else { spread() })
    }

    /// Returns a hash of which only the bits that number bins matter.
    pub(crate) fn of_bin_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the bits that number bins.
    #[inline(always)]
    pub(crate) fn bin_bits(self) -> usize {
        self.0 as usize
    }

    /// Returns the tag: seven bits, never 0, so hashes with tag bits 0 and 1 share a tag. No bin number reaches up to
    /// these bits.
    #[inline(always)]
    pub(crate) fn tag(self) -> u8 {
        let bits = (self.0 >> 57) as u8;
        bits + u8::from(bits == 0)
    }

    /// Returns the number of the tag byte whose filter bit is set when a key of this hash overflows its bin.
    #[inline(always)]
    pub(crate) fn filter(self) -> u32 {
        (self.0 >> 54) as u32 % (usize::BITS / 8)
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    /// Identity hashers, with the keys that they are used for. The test counts how many keys share a tag, a filter
    /// number, or both bin and tag, and compares with random hashes.
    #[test]
    fn keys_that_end_in_zeros_have_all_tags_and_filters() {
        type NthKey = fn(u64) -> u64;
        const FILTERS: usize = size_of::<usize>();
        const BINS: u64 = 4096;
        const KEYS: u64 = 7 * BINS / 2;
        let sets: [(&str, NthKey); 12] = [
            ("numbers", |n| n),
            ("addresses of words", |n| 0x7F30_0000_0000 + (n << 3)),
            ("low eight bits zero", |n| n << 8),
            ("pages from 0", |n| n << 12),
            ("addresses of pages", |n| 0x7F30_0000_0000 + (n << 12)),
            ("huge pages", |n| n << 21),
            ("id << 32", |n| n << 32),
            ("id << 40", |n| n << 40),
            ("id << 48", |n| n << 48),
            ("thousands", |n| 1000 * n),
            ("floats", |n| f64::from(n as u32).to_bits()),
            ("two halves", |n| (n % 128) << 40 | (n / 128) << 8),
        ];
        for (name, key) in sets {
            let hashes = (0..KEYS).map(|n| KeyHash::spread(key(n), false));
            let (mut tags, mut filters) = ([0; 128], [0; FILTERS]);
            let mut pairs = std::collections::HashMap::new();
            for hash in hashes {
                tags[usize::from(hash.tag())] += 1;
                filters[hash.filter() as usize] += 1;
                *pairs.entry((hash.bin_bits() as u64 % BINS, hash.tag())).or_insert(0) += 1;
            }
            let most = tags.into_iter().max().unwrap_or(0);
            // Tag 1 stands for tag bits 0 and 1.
            assert!(most < 3 * KEYS / 127, "{name}: {most} keys of {KEYS} have one tag");
            let most = filters.into_iter().max().unwrap_or(0);
            let mean = KEYS / FILTERS as u64;
            assert!(most < mean + mean / 4, "{name}: {most} keys of {KEYS} have one filter number");
            let alike: u64 = pairs.into_values().map(|n: u64| n * (n - 1) / 2).sum();
            let chance = KEYS * KEYS / 2 / BINS / 127;
            assert!(
                alike < 5 * chance,
                "{name}: {alike} pairs of one bin and tag, {chance} by chance"
            );
        }
    }
}
