//! Maps that hold much in little memory, and those that one would use instead, behind one trait.

mod caches;
mod compressible;
mod ours;
mod plain;

pub use caches::{Behind, Moka, Quick};
pub use compressible::{AllCold, SomeHot};
pub use ours::{Ours, Tail, fill};
pub use plain::Plain;

use super::rows::Row;

/// A map from bytes to bytes, asked by one thread.
pub trait Map: Sized + 'static {
    /// As tables and plots call it.
    const NAME: &'static str;
    /// Whether it may forget rows, since it is a cache.
    const FORGETS: bool = false;

    /// Empty; `room` is what it takes for its size. It may know what is to come.
    fn new(room: usize, rows: &[Row]) -> Self;
    /// Whether there is room for it.
    fn insert(&mut self, key: &[u8], value: &[u8]) -> bool;
    /// Copies the value to the front of `into`, which is long enough: its length.
    fn read(&mut self, key: &[u8], into: &mut [u8]) -> Option<usize>;
    /// Finishes deferred work after many changes.
    fn finish_work(&mut self) {}
    /// Reads that found what they looked for plain, and those that did not, if it knows.
    fn hits(&self) -> Option<(usize, usize)> {
        None
    }
}

/// Is shown types of maps, one after the other.
pub trait Visitor {
    /// The next.
    fn visit<M: Map>(&mut self);
}

/// All of them, in the order of the tables.
pub fn all(visitor: &mut impl Visitor) {
    visitor.visit::<Plain>();
    visitor.visit::<Ours>();
    visitor.visit::<Quick>();
    visitor.visit::<Behind>();
    visitor.visit::<Moka>();
    visitor.visit::<AllCold>();
    visitor.visit::<SomeHot>();
}

#[cfg(test)]
mod tests {
    use super::{Map, Visitor, all};
    use crate::cold::rows::ROOM;
    use crate::keys::Rng;
    use std::collections::HashMap;

    struct Witness;

    impl Visitor for Witness {
        fn visit<M: Map>(&mut self) {
            let mut map = M::new(1 << 24, &vec![(b"1000"[..].into(), [0; 160][..].into()); 2000]);
            let mut model = HashMap::new();
            let (mut rng, mut into) = (Rng::new(3), vec![0; ROOM]);
            for step in 0..40_000_u64 {
                let key = rng.below(2000).to_string().into_bytes();
                if rng.below(3) == 0 {
                    // Some are long, some are nothing, some do not compress.
                    let word = if step % 2 == 0 { rng.word() } else { 0x2020_2020 };
                    let value = word.to_le_bytes().repeat(rng.below(40) as usize);
                    assert!(map.insert(&key, &value), "{} has no room", M::NAME);
                    model.insert(key, value);
                } else {
                    let found = map.read(&key, &mut into).map(|len| &into[..len]);
                    assert_eq!(found, model.get(&key).map(|value| &**value), "{}", M::NAME);
                }
            }
        }
    }

    #[test]
    fn every_map_does_what_a_hash_map_does() {
        all(&mut Witness);
    }
}
