//! The hasher of keys. A caller's key is one slice; a stored key is read word by word, so both are hashed in the same
//! pieces.

use super::records::HASH_CHUNK;
use crate::api::hash::KeyHash;
use crate::api::hasher::{DefaultHashBuilder, mixes_well};
use alloc::boxed::Box;
use core::hash::{BuildHasher, Hasher};

/// The hasher of a map: the default, or the caller's, which costs a virtual call.
pub(super) enum KeyHasher {
    Default(DefaultHashBuilder),
    Other(Box<dyn AnyHasher>),
}

/// A `BuildHasher` of any type.
pub(super) trait AnyHasher: Send + Sync {
    /// Returns the hash of the bytes that `feed` writes.
    fn hash(&self, feed: &dyn Fn(&mut dyn Hasher)) -> KeyHash;
}

impl<S: BuildHasher + Send + Sync> AnyHasher for S {
    fn hash(&self, feed: &dyn Fn(&mut dyn Hasher)) -> KeyHash {
        let mut hasher = self.build_hasher();
        feed(&mut hasher);
        KeyHash::spread(hasher.finish(), mixes_well::<S>())
    }
}

impl KeyHasher {
    /// Returns the hash of a key.
    #[inline(always)]
    pub(super) fn hash(&self, key: &[u8]) -> KeyHash {
        match self {
            Self::Default(hasher) => {
                let mut hasher = hasher.build_hasher();
                feed_key(&mut hasher, key);
                KeyHash::spread(hasher.finish(), mixes_well::<DefaultHashBuilder>())
            }
            Self::Other(hasher) => hash_by_other(&**hasher, key),
        }
    }
}

#[inline(always)]
fn feed_key(hasher: &mut (impl Hasher + ?Sized), key: &[u8]) {
    hasher.write_usize(key.len());
    // Most keys are one piece.
    if (1..=HASH_CHUNK).contains(&key.len()) {
        return hasher.write(key);
    }
    key.chunks(HASH_CHUNK).for_each(|part| hasher.write(part));
}

#[inline(never)]
fn hash_by_other(hasher: &dyn AnyHasher, key: &[u8]) -> KeyHash {
    hasher.hash(&|hasher| feed_key(hasher, key))
}
