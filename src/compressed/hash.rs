//! Hashes of keys, which lie in one piece with the caller, and in words of a segment with the map.

use super::record::Location;
use super::store::Store;
use crate::api::hash::KeyHash;
use crate::api::hasher::{DefaultHashBuilder, mixes_well};
use crate::sync::words::Indirect;
use alloc::boxed::Box;
use core::hash::{BuildHasher, Hasher};

/// Bytes of a key that are hashed at a time.
const HASHED: usize = 64;

/// The hasher of a map: its own kind, or a caller's, which costs a call through a table of functions.
pub(super) enum KeyHasher {
    Default(DefaultHashBuilder),
    Other(Box<dyn AnyHasher>),
}

/// A `BuildHasher` of any type.
pub(super) trait AnyHasher: Send + Sync {
    /// The hash of what `feed` writes to the hasher that it is given.
    fn hash(&self, feed: &dyn Fn(&mut dyn Hasher)) -> KeyHash;
}

impl<S: BuildHasher + Send + Sync> AnyHasher for S {
    fn hash(&self, feed: &dyn Fn(&mut dyn Hasher)) -> KeyHash {
        let mut hasher = self.build_hasher();
        feed(&mut hasher);
        KeyHash::spread(hasher.finish(), mixes_well::<S>())
    }
}

#[inline(always)]
fn feed_key(hasher: &mut (impl Hasher + ?Sized), key: &[u8]) {
    hasher.write_usize(key.len());
    // Most keys are one part.
    if (1..=HASHED).contains(&key.len()) {
        return hasher.write(key);
    }
    key.chunks(HASHED).for_each(|part| hasher.write(part));
}

/// The hash of a key by a caller's hasher.
#[inline(never)]
fn hash_by_other(hasher: &dyn AnyHasher, key: &[u8]) -> KeyHash {
    hasher.hash(&|hasher| feed_key(hasher, key))
}

impl Store {
    #[inline(always)]
    pub(super) fn hash(&self, key: &[u8]) -> KeyHash {
        match &self.hasher {
            KeyHasher::Default(hasher) => {
                let mut hasher = hasher.build_hasher();
                feed_key(&mut hasher, key);
                KeyHash::spread(hasher.finish(), mixes_well::<DefaultHashBuilder>())
            }
            KeyHasher::Other(hasher) => hash_by_other(&**hasher, key),
        }
    }

    /// The hash of the key that an entry leads to. Of one that leads there no more some hash.
    pub(super) fn rehash(&self, indirect: Indirect) -> KeyHash {
        let at = Location::from(indirect);
        match &self.hasher {
            KeyHasher::Default(hasher) => {
                let mut hasher = hasher.build_hasher();
                if !self.feed_key_of(&mut hasher, at) {
                    return KeyHash(0);
                }
                KeyHash::spread(hasher.finish(), mixes_well::<DefaultHashBuilder>())
            }
            KeyHasher::Other(hasher) => hasher.hash(&|hasher| _ = self.feed_key_of(hasher, at)),
        }
    }

    /// Writes the key of a record to `hasher` as `feed_key` does; false if there is none.
    fn feed_key_of(&self, hasher: &mut (impl Hasher + ?Sized), at: Location) -> bool {
        let Some((segment, start)) = self.place(at) else { return false };
        let Some((head, len)) = segment.head(start) else { return false };
        hasher.write_usize(head.key);
        let mut part = [0; HASHED];
        let mut done = 0;
        while done < head.key {
            let part = &mut part[..HASHED.min(head.key - done)];
            segment.copy_out(start + len + done, part);
            hasher.write(part);
            done += part.len();
        }
        true
    }
}
