//! `CompressedMap`.

use crate::{ENTRIES, count, hits, keys};
use hedgerow::CompressedMap;
use hedgerow::flat::FixedHashBuilder;

pub(crate) fn all() {
    let map = CompressedMap::builder_without_codecs(64 << 20).hasher(FixedHashBuilder).build();
    fill(&map);
    let mut buffer = [0; 256];
    count("CompressedMap::get_into, hot value", &names(), |key| map.get_into(&key, &mut buffer));
    count("CompressedMap::insert, present key", &names(), |key| map.insert(&key, &line(key)));
    // Far less than the values take plain, so most of them are cold.
    let map = CompressedMap::builder_without_codecs(768 << 10).hasher(FixedHashBuilder).build();
    fill(&map);
    while map.compress_step(1 << 20) {}
    count("CompressedMap::peek_into, cold value", &names(), |key| map.peek_into(&key, &mut buffer));
}

fn fill(map: &CompressedMap) {
    for key in keys().map(u64::to_le_bytes) {
        map.insert(&key, &line(key)).expect("the value fits into the budget");
    }
    assert_eq!(map.len(), ENTRIES as usize);
}

fn names() -> Vec<[u8; 8]> {
    hits().into_iter().map(u64::to_le_bytes).collect()
}

/// A value of 64 bytes, which repeats parts of the others.
fn line(name: [u8; 8]) -> [u8; 64] {
    let mut line = *b"city=Utrecht country=NL zone=Europe/Amsterdam id=0123456789ABCDE";
    let id = u64::from_le_bytes(name);
    for (at, byte) in line[48..].iter_mut().enumerate() {
        *byte = b"0123456789ABCDEF"[(id >> (4 * at)) as usize & 15];
    }
    line
}
