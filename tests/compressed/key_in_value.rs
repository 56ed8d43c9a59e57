//! builds: asan narrow
//!
//! `CompressedMap`: values that contain their key.

use hedgerow::CompressedMap;
use hedgerow::compressed::Stats;
use hedgerow::compressed::codec::SmallText;

const ENTRIES: usize = 4_000;
/// Less than the values take plain.
const BUDGET: usize = 384 << 10;

/// Texts before and behind the key, which repeat from value to value.
const BEFORE: [&str; 4] = ["", "id=", "{\"kind\": \"oak\", \"id\": \"", "the tree of number "];
const BEHIND: [&str; 4] = ["", " planted by the road", "\", \"height\": 12}", "; see there"];

fn key(n: usize) -> Vec<u8> {
    let key = format!("{:x}", n.wrapping_mul(0x9E37_79B9)).into_bytes();
    // Some keys are too short to be left out, and some too long.
    match n % 40 {
        0 => vec![b'#', n as u8, (n >> 8) as u8],
        1 => key.repeat(60),
        _ => key,
    }
}

fn value(n: usize) -> Vec<u8> {
    let (key, before, behind) = (key(n), BEFORE[n % 4].as_bytes(), BEHIND[n / 4 % 4].as_bytes());
    match n % 16 {
        13 => key,
        14 => [before, behind].concat(),
        15 => [before, &key, behind, &key, &key[..2]].concat(),
        _ => [before, &key, behind].concat(),
    }
}

fn map(budget: usize) -> CompressedMap {
    CompressedMap::builder_without_codecs(budget)
        .codec(SmallText::new())
        .segment_bytes(4 << 10)
        .build()
}

/// Fills a map whose budget is far below the length of its values.
fn filled() -> CompressedMap {
    let map = map(BUDGET);
    for n in 0..ENTRIES {
        map.insert(&key(n), &value(n))
            .unwrap_or_else(|why| panic!("{n}: {why}, {:?}", map.stats()));
    }
    while map.compress_step(1 << 16) {}
    map
}

fn cold(stats: &Stats) -> usize {
    stats.codecs.iter().map(|codec| codec.records).sum()
}

#[test]
fn values_that_contain_their_key_come_back() {
    let map = filled();
    assert!(cold(&map.stats()) > ENTRIES / 4, "{:?}", map.stats());
    for n in 0..ENTRIES {
        assert_eq!(map.get(&key(n)), Ok(Some(value(n))), "the value of {n}");
    }
    let seen = map.iter().map(|(key, value)| (key, value.expect("it is whole")));
    let mut seen: Vec<_> = seen.collect();
    let mut all: Vec<_> = (0..ENTRIES).map(|n| (key(n), value(n))).collect();
    seen.sort_unstable();
    all.sort_unstable();
    assert!(seen == all, "a walk meets other values");
}

#[test]
fn an_export_has_values_without_their_keys() {
    let map = filled();
    let (mut bytes, other) = (Vec::new(), CompressedMap::with_budget(4 << 20));
    let exported = map.export(|part| {
        bytes.extend_from_slice(part);
        Ok::<_, ()>(())
    });
    assert_eq!(exported, Ok(ENTRIES));
    let mut rest = &bytes[..];
    let imported = other.import(|into| std::io::Read::read(&mut rest, into));
    assert_eq!(imported.ok(), Some(ENTRIES));
    for n in 0..ENTRIES {
        assert_eq!(other.get(&key(n)), Ok(Some(value(n))), "the value of {n}");
    }
}

#[test]
fn a_key_within_its_value_takes_no_memory() {
    let stored = |with_key: bool| {
        let map = map(1 << 20);
        for n in 0..20_000_u64 {
            let key = format!("{:016x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let other = if with_key { &*key } else { "" };
            let value = format!("{other} a road sign at kilometre {}", n % 100);
            map.insert(&key, &value).expect("there is room");
        }
        while map.compress_step(1 << 16) {}
        let codecs = map.stats().codecs;
        let (records, bytes) = codecs.iter().fold((0, 0), |(records, bytes), codec| {
            (records + codec.records, bytes + codec.stored)
        });
        assert!(records > 10_000, "{codecs:?}");
        bytes * 10 / records
    };
    let (with_key, without) = (stored(true), stored(false));
    // A position takes a byte.
    assert!(with_key <= without + 15, "{with_key} and {without} tenths of a byte for an entry");
}
