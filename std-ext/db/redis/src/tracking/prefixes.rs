//! The prefixes of clients in broadcasting mode.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

/// The clients of each prefix.
///
/// A change looks up one prefix of each length, and not each prefix, and it hashes all of them in one pass over its
/// key: clients that add many must not slow down every writer.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    clients: HashMap<Box<[u8]>, HashSet<u64>>,
    /// For each length, how many prefixes have each hash.
    hashes: BTreeMap<usize, HashMap<u64, usize>>,
    hasher: PrefixHasher,
}

impl Prefixes {
    pub(super) fn add(&mut self, prefix: &[u8], client: u64) {
        if !self.clients.contains_key(prefix) {
            let hash = self.hasher.extend(PrefixHasher::EMPTY, prefix);
            *self.hashes.entry(prefix.len()).or_default().entry(hash).or_default() += 1;
        }
        self.clients.entry(prefix.into()).or_default().insert(client);
    }

    pub(super) fn remove(&mut self, prefix: &[u8], client: u64) {
        let Some(clients) = self.clients.get_mut(prefix) else { return };
        clients.remove(&client);
        if !clients.is_empty() {
            return;
        }
        self.clients.remove(prefix);
        let Some(hashes) = self.hashes.get_mut(&prefix.len()) else { return };
        let hash = self.hasher.extend(PrefixHasher::EMPTY, prefix);
        if let Some(number) = hashes.get_mut(&hash) {
            *number -= 1;
            if *number == 0 {
                hashes.remove(&hash);
            }
        }
        if hashes.is_empty() {
            self.hashes.remove(&prefix.len());
        }
    }

    /// Returns the number of prefixes.
    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Returns those of the keys that have each prefix, and the clients of the prefix.
    pub(super) fn matches<'k>(
        &self,
        keys: &[&'k [u8]],
    ) -> impl Iterator<Item = (Vec<&'k [u8]>, &HashSet<u64>)> {
        let mut found: BTreeMap<&'k [u8], Vec<&'k [u8]>> = BTreeMap::new();
        for key in keys {
            let (mut hash, mut hashed) = (PrefixHasher::EMPTY, 0);
            for (&length, hashes) in self.hashes.range(..=key.len()) {
                hash = self.hasher.extend(hash, &key[hashed..length]);
                hashed = length;
                // Another prefix may have this hash.
                if hashes.contains_key(&hash) && self.clients.contains_key(&key[..length]) {
                    found.entry(&key[..length]).or_default().push(key);
                }
            }
        }
        found.into_iter().filter_map(|(prefix, keys)| Some((keys, self.clients.get(prefix)?)))
    }
}

/// Hashes a text byte by byte: its bytes are the coefficients of a polynomial, which is evaluated at a secret point.
/// (Karp and Rabin.)
#[derive(Debug)]
struct PrefixHasher(u64);

impl Default for PrefixHasher {
    fn default() -> Self {
        Self(RandomState::new().hash_one(()) & Self::PRIME)
    }
}

impl PrefixHasher {
    /// The hash of the empty text. Not 0, or zero bytes at the beginning would not count.
    const EMPTY: u64 = 1;
    const PRIME: u64 = (1 << 61) - 1;

    /// Returns the hash of a text with `more` behind it.
    fn extend(&self, hash: u64, more: &[u8]) -> u64 {
        let next = |hash, byte: &u8| {
            let product = u128::from(hash) * u128::from(self.0) + u128::from(*byte);
            // 2^61 is 1 modulo the prime.
            let sum = (product as u64 & Self::PRIME) + (product >> 61) as u64;
            if sum >= Self::PRIME { sum - Self::PRIME } else { sum }
        };
        more.iter().fold(hash, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns all texts of these bytes, up to a length.
    fn texts(longest: u32) -> Vec<Vec<u8>> {
        let bytes = [0, 1, b'a'];
        let text = |length: u32, number: usize| {
            (0..length).map(|at| bytes[number / 3_usize.pow(at) % 3]).collect()
        };
        let of_length =
            |length: u32| (0..3_usize.pow(length)).map(move |number| text(length, number));
        (0..=longest).flat_map(of_length).collect()
    }

    #[test]
    fn keys_match_the_prefixes_that_they_begin_with() {
        let (mut prefixes, keys) = (Prefixes::default(), texts(5));
        // Of each length some are there, some are removed again, and some never were there.
        let numbered = || texts(4).into_iter().enumerate();
        for (_, prefix) in numbered().filter(|(number, _)| number % 3 != 0) {
            prefixes.add(&prefix, 1);
            prefixes.add(&prefix, 2);
        }
        for (_, prefix) in numbered().filter(|(number, _)| number % 3 == 1) {
            prefixes.remove(&prefix, 1);
            prefixes.remove(&prefix, 2);
        }
        let kept = numbered().filter(|(number, _)| number % 3 == 2);
        let kept: Vec<Vec<u8>> = kept.map(|(_, prefix)| prefix).collect();
        for key in &keys {
            let wanted = kept.iter().filter(|prefix| key.starts_with(prefix)).count();
            assert_eq!(prefixes.matches(&[key]).count(), wanted, "the prefixes of {key:?}");
        }
        for prefix in &kept {
            prefixes.remove(prefix, 1);
            prefixes.remove(prefix, 2);
        }
        assert_eq!((prefixes.len(), prefixes.hashes.len()), (0, 0), "a prefix is left over");
    }
}
