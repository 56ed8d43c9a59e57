//! compressible-map, which holds what was used last plain and compresses the rest when it is told to.

use compressible_map::{
    BytesCompression, Compressed, CompressibleMap, Compression, Lz4, MaybeCompressed,
};

use super::Map;
use crate::cold::rows::Row;
use crate::rivals::Hasher;

type Inner = CompressibleMap<Box<[u8]>, Vec<u8>, Frames, Hasher>;

/// One in this many rows stays plain, if any do.
const HOT: usize = 10;

/// Values by the LZ4 that it brings, which writes frames, at its fastest.
#[derive(Clone)]
struct Frames;

impl Compression for Frames {
    type Data = Vec<u8>;
    type CompressedData = Box<[u8]>;

    fn compress(&self, value: &Vec<u8>) -> Compressed<Self> {
        let mut stored = Vec::new();
        Lz4 { level: 0 }.compress_bytes(value, &mut stored);
        Compressed::new(stored.into())
    }

    fn decompress(stored: &Box<[u8]>) -> Vec<u8> {
        let mut value = Vec::new();
        Lz4::decompress_bytes(stored, &mut value);
        value
    }
}

/// Everything compressed, and read by its only way that leaves it so.
pub struct AllCold(Inner);

impl Map for AllCold {
    const NAME: &'static str = "compressible-map, all cold";

    fn new(_: usize, _: &[Row]) -> Self {
        Self(Inner::new(Frames))
    }

    fn insert(&mut self, key: &[u8], value: &[u8]) -> bool {
        self.0.insert(key.into(), value.into());
        self.0.compress_lru();
        true
    }

    fn read(&mut self, key: &[u8], into: &mut [u8]) -> Option<usize> {
        let value = self.0.get_copy_without_caching(&key.into())?;
        let value = MaybeCompressed::as_decompressed(value);
        into[..value.len()].copy_from_slice(&value);
        Some(value.len())
    }
}

/// A tenth of the rows plain.
pub struct SomeHot {
    map: Inner,
    hot: usize,
}

impl Map for SomeHot {
    const NAME: &'static str = "compressible-map, a tenth hot";

    fn new(_: usize, rows: &[Row]) -> Self {
        Self { map: Inner::new(Frames), hot: rows.len() / HOT }
    }

    fn insert(&mut self, key: &[u8], value: &[u8]) -> bool {
        self.map.insert(key.into(), value.into());
        self.trim();
        true
    }

    fn read(&mut self, key: &[u8], into: &mut [u8]) -> Option<usize> {
        // It has a panic for keys that are not there.
        let value = self.map.get(key.into())?;
        into[..value.len()].copy_from_slice(value);
        let len = value.len();
        self.trim();
        Some(len)
    }
}

impl SomeHot {
    fn trim(&mut self) {
        while self.map.len_cached() > self.hot {
            self.map.compress_lru();
        }
    }
}
