//! hashbrown's map of boxes: the memory and time of the same rows without compression.

use hashbrown::HashMap;

use super::Map;
use crate::cold::rows::Row;
use crate::rivals::{Hasher, hasher};

/// A map of boxed keys to boxed values.
pub struct Plain(HashMap<Box<[u8]>, Box<[u8]>, Hasher>);

impl Map for Plain {
    const NAME: &'static str = "plain";

    fn new(_: usize, _: &[Row]) -> Self {
        Self(HashMap::with_hasher(hasher()))
    }

    fn insert(&mut self, key: &[u8], value: &[u8]) -> bool {
        self.0.insert(key.into(), value.into());
        true
    }

    #[inline]
    fn read(&mut self, key: &[u8], into: &mut [u8]) -> Option<usize> {
        let value = self.0.get(key)?;
        into[..value.len()].copy_from_slice(value);
        Some(value.len())
    }
}
