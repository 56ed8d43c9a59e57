//! Cold values without the key that they contain.
//!
//! Many values repeat their key: lines of an index begin with it, and objects have a field with their id. A codec
//! cannot shorten a key, which occurs in one value only. So a value that contains its key is compressed without it, and
//! the head of its record says where the key was.

use super::codec::{Corrupt, Model};

/// The shortest key that is left out. A position takes a byte or two.
const LEAST: usize = 4;
/// The longest, so that a search takes a bounded time for each byte of the value.
pub(super) const MOST: usize = 256;

/// Returns where a value first contains its key, if the key is worth leaving out.
pub(super) fn position(key: &[u8], value: &[u8]) -> Option<usize> {
    if !(LEAST..=MOST).contains(&key.len()) {
        return None;
    }
    // Almost all places differ in the first four bytes, which are compared as one number.
    let start = key.first_chunk::<LEAST>()?;
    let starts = value.windows(LEAST).enumerate().filter(|(_, window)| window == start);
    starts.map(|(at, _)| at).find(|&at| value[at..].starts_with(key))
}

/// Copies a value without the `key` bytes at `at` to the front of `into`, and returns the copy.
pub(super) fn cut<'b>(value: &[u8], at: usize, key: usize, into: &'b mut [u8]) -> &'b [u8] {
    let into = &mut into[..value.len() - key];
    into[..at].copy_from_slice(&value[..at]);
    into[at..].copy_from_slice(&value[at + key..]);
    into
}

/// Fills `into` with the value that was compressed to `stored` without its key, which was at `at`.
pub(super) fn decompress(
    model: &dyn Model,
    stored: &[u8],
    at: usize,
    key: &[u8],
    into: &mut [u8],
) -> Result<(), Corrupt> {
    let rest = into.len().checked_sub(key.len()).filter(|rest| at <= *rest).ok_or(Corrupt)?;
    model.decompress(stored, &mut into[..rest])?;
    into.copy_within(at..rest, at + key.len());
    into[at..at + key.len()].copy_from_slice(key);
    Ok(())
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::super::codec::Work;
    use super::*;
    use alloc::vec;

    /// A model that stores values as they are.
    struct Plain;

    impl Model for Plain {
        fn compress(&self, plain: &[u8], into: &mut [u8], _: &mut Work) -> Option<usize> {
            into.get_mut(..plain.len())?.copy_from_slice(plain);
            Some(plain.len())
        }

        fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
            (stored.len() == into.len()).then(|| into.copy_from_slice(stored)).ok_or(Corrupt)
        }

        fn export(&self, _: &mut dyn FnMut(&[u8])) {}

        fn bytes(&self) -> usize {
            0
        }
    }

    #[test]
    fn keys_are_found_where_they_begin_first() {
        let found = |key: &str, value: &str| position(key.as_bytes(), value.as_bytes());
        assert_eq!(found("rose", "rose"), Some(0));
        assert_eq!(found("rose", "a rose is a rose"), Some(2));
        assert_eq!(found("roses", "rose and roses"), Some(9));
        assert_eq!(found("rose", "ros"), None);
        assert_eq!(found("roses", "a rose"), None);
        assert_eq!(found("oak", "an oak"), None, "too short to be worth it");
        let long = "x".repeat(MOST + 1);
        assert_eq!((found(&long, &long), found(&long[1..], &long)), (None, Some(0)));
    }

    #[test]
    fn values_come_back_with_their_keys() {
        let mut rest = [0; 100];
        for (key, value) in [("rose", "rose"), ("rose", "roses"), ("rose", "a rose is a rose")] {
            let (key, value) = (key.as_bytes(), value.as_bytes());
            let at = position(key, value).unwrap();
            let rest = cut(value, at, key.len(), &mut rest);
            assert_eq!(rest.len(), value.len() - key.len());
            let mut back = vec![0; value.len()];
            assert_eq!(decompress(&Plain, rest, at, key, &mut back), Ok(()));
            assert_eq!(back, value);
        }
    }

    #[test]
    fn damaged_heads_are_errors() {
        let mut back = [0; 8];
        let mut read = |at, key: &[u8]| decompress(&Plain, b"four", at, key, &mut back);
        assert_eq!(read(4, b"key."), Ok(()));
        assert_eq!(read(5, b"key."), Err(Corrupt), "the key would end behind the value");
        assert_eq!(read(usize::MAX, b"key."), Err(Corrupt));
        assert_eq!(read(0, b"a long key"), Err(Corrupt), "a key is longer than its value");
        assert_eq!(read(0, b"keys."), Err(Corrupt), "the rest has another length");
    }
}
