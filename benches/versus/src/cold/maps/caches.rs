//! Caches of compressed values. Their room is what they are told that keys and values may weigh.

use std::sync::Arc;

use lz4_flex::block;
use quick_cache::Weighter;
use quick_cache::sync::DefaultLifecycle;

use super::{Map, Plain};
use crate::cold::rows::Row;
use crate::rivals::{Hasher, hasher};

type Key = Box<[u8]>;
/// The value that a look-up clones, before it decompresses.
type Stored = Arc<[u8]>;

/// Bytes in front: the plain length, and in the topmost bit whether what follows is compressed.
const HEAD: usize = 4;
const COMPRESSED: u32 = 1 << 31;

/// A value as it is stored: by LZ4, unless that is longer.
fn compress(value: &[u8]) -> Vec<u8> {
    let plain = u32::try_from(value.len()).expect("values are short");
    let mut stored = vec![0; HEAD + block::get_maximum_output_size(value.len())];
    let len = block::compress_into(value, &mut stored[HEAD..]).expect("there is room");
    let smaller = len < value.len();
    let head = if smaller { plain | COMPRESSED } else { plain };
    stored[..HEAD].copy_from_slice(&head.to_le_bytes());
    if !smaller {
        stored[HEAD..HEAD + value.len()].copy_from_slice(value);
    }
    stored.truncate(HEAD + len.min(value.len()));
    stored.shrink_to_fit();
    stored
}

/// The inverse, to the front of `into`: the length.
#[inline]
fn decompress(stored: &[u8], into: &mut [u8]) -> usize {
    let (head, stored) = stored.split_first_chunk::<HEAD>().expect("it has a head");
    let head = u32::from_le_bytes(*head);
    let into = &mut into[..(head & !COMPRESSED) as usize];
    if head & COMPRESSED == 0 {
        into.copy_from_slice(stored);
        return into.len();
    }
    block::decompress_into(stored, into).expect("what was compressed")
}

/// Weighs keys and values.
#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Stored> for Bytes {
    fn weight(&self, key: &Key, stored: &Stored) -> u64 {
        (key.len() + stored.len()) as u64
    }
}

/// `quick_cache`.
pub struct Quick(quick_cache::sync::Cache<Key, Stored, Bytes, Hasher>);

impl Map for Quick {
    const NAME: &'static str = "quick_cache + LZ4";
    const FORGETS: bool = true;

    fn new(room: usize, rows: &[Row]) -> Self {
        let life = DefaultLifecycle::default();
        // How many will have room, of which it wants to know.
        let text = crate::cold::rows::text(rows);
        let many = (rows.len() * room / text).min(rows.len());
        Self(quick_cache::sync::Cache::with(many, room as u64, Bytes, hasher(), life))
    }

    fn insert(&mut self, key: &[u8], value: &[u8]) -> bool {
        self.0.insert(key.into(), compress(value).into());
        true
    }

    #[inline]
    fn read(&mut self, key: &[u8], into: &mut [u8]) -> Option<usize> {
        Some(decompress(&self.0.get(key)?, into))
    }
}

/// `quick_cache` in front of a plain map without a weight: a miss reads the row there and inserts it again.
pub struct Behind {
    cache: Quick,
    plain: Plain,
    reads: (usize, usize),
}

impl Map for Behind {
    const NAME: &'static str = "quick_cache + LZ4, plain behind";

    fn new(room: usize, rows: &[Row]) -> Self {
        Self { cache: Quick::new(room, rows), plain: Plain::new(0, rows), reads: (0, 0) }
    }

    fn insert(&mut self, key: &[u8], value: &[u8]) -> bool {
        self.plain.insert(key, value) && self.cache.insert(key, value)
    }

    #[inline]
    fn read(&mut self, key: &[u8], into: &mut [u8]) -> Option<usize> {
        if let Some(len) = self.cache.read(key, into) {
            self.reads.0 += 1;
            return Some(len);
        }
        let len = self.plain.read(key, into)?;
        self.reads.1 += 1;
        self.cache.insert(key, &into[..len]);
        Some(len)
    }

    fn hits(&self) -> Option<(usize, usize)> {
        Some(self.reads)
    }
}

/// moka.
pub struct Moka(moka::sync::Cache<Key, Stored, Hasher>);

impl Map for Moka {
    const NAME: &'static str = "moka + LZ4";
    const FORGETS: bool = true;

    fn new(room: usize, _: &[Row]) -> Self {
        let weigh = |key: &Key, stored: &Stored| (key.len() + stored.len()) as u32;
        let builder = moka::sync::Cache::builder().max_capacity(room as u64).weigher(weigh);
        Self(builder.build_with_hasher(hasher()))
    }

    fn insert(&mut self, key: &[u8], value: &[u8]) -> bool {
        self.0.insert(key.into(), compress(value).into());
        true
    }

    #[inline]
    fn read(&mut self, key: &[u8], into: &mut [u8]) -> Option<usize> {
        Some(decompress(&self.0.get(key)?, into))
    }

    fn finish_work(&mut self) {
        self.0.run_pending_tasks();
    }
}
