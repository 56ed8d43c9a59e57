//! builds: asan narrow
//!
//! `CompressedMap`: export and import, malicious streams, damaged memory, and training by steps.

use crate::support;

use hedgerow::CompressedMap;
use hedgerow::compressed::codec::SmallText;
use hedgerow::compressed::{ExportError, ImportError, StoreError};
use std::collections::HashMap;
use support::nibbles::Nibbles;
use support::rng::Rng;

fn key(n: usize) -> Vec<u8> {
    format!("key-{n}").into_bytes()
}

fn text(n: usize) -> Vec<u8> {
    let line = format!("{{\"number\": {n}, \"name\": \"{}\"}}", ["alder", "birch", "hazel"][n % 3]);
    line.repeat(1 + n % 4).into_bytes()
}

fn append(_: &[u8], value: Option<&[u8]>, operands: &[&[u8]]) -> Vec<u8> {
    [value.unwrap_or_default(), &operands.concat()].concat()
}

/// Returns a map of hot, cold, plain and deferred values, compressed by two codecs.
fn full() -> CompressedMap {
    let builder =
        CompressedMap::builder_without_codecs(256 << 10).codec(SmallText::new()).codec(Nibbles);
    let map = builder.segment_bytes(4 << 10).merge(append).build();
    for n in 0..3_000 {
        let done = map.insert(&key(n), &text(n));
        assert_eq!(done, Ok(false), "{n}: {:?}", map.stats());
    }
    let mut rng = Rng::new(7);
    for n in 3_000..3_050 {
        let noise: Vec<u8> = (0..50).map(|_| rng.below(256) as u8).collect();
        map.insert(&key(n), &noise).expect("there is room");
    }
    (0..50).for_each(|n| map.modify_deferred(&key(n * 7), "more").expect("there is room"));
    (0..50).for_each(|n| drop(map.get(&key(n * 11)).expect("it is whole")));
    let codecs = map.stats().codecs;
    assert!(codecs.iter().any(|codec| codec.models > 0 && codec.records > 0), "{codecs:?}");
    map
}

fn exported(map: &CompressedMap) -> Vec<u8> {
    let mut bytes = Vec::new();
    let count = map.export(|part| {
        bytes.extend_from_slice(part);
        Ok::<_, ()>(())
    });
    assert_eq!(count, Ok(map.len()));
    bytes
}

fn import(map: &CompressedMap, mut bytes: &[u8]) -> Result<usize, ImportError<std::io::Error>> {
    map.import(|into| std::io::Read::read(&mut bytes, into))
}

#[test]
fn an_export_can_be_imported() {
    let map = full();
    let bytes = exported(&map);
    let other = CompressedMap::with_budget(1 << 20);
    // The other map does not have the codecs of this test.
    let unknown = import(&other, &bytes);
    let fresh = CompressedMap::builder_without_codecs(1 << 20)
        .codec(SmallText::new())
        .codec(Nibbles)
        .build();
    assert_eq!(import(&fresh, &bytes).expect("it is whole"), map.len());
    let whole = |(key, value): (_, Result<Vec<u8>, _>)| (key, value.expect("it is whole"));
    let entries: HashMap<_, _> = map.iter().map(whole).collect();
    assert_eq!(fresh.iter().map(whole).collect::<HashMap<_, _>>(), entries);
    if let Err(error) = unknown {
        assert!(matches!(error, ImportError::UnknownCodec { .. }), "{error}");
    }
    // Values are exported compressed: fewer bytes than the entries have.
    assert!(bytes.len() < map.stats().raw, "{} of {}", bytes.len(), map.stats().raw);
}

#[test]
fn bytes_that_changed_are_found() {
    let bytes = exported(&full());
    let mut rng = Rng::new(support::seed());
    for _ in 0..support::effort(300) {
        let mut bytes = bytes.clone();
        let at = rng.below(bytes.len());
        bytes[at] ^= 1 << rng.below(8);
        let map = CompressedMap::builder_without_codecs(1 << 20)
            .codec(SmallText::new())
            .codec(Nibbles)
            .build();
        let error = import(&map, &bytes).expect_err("a bit was turned");
        let known = matches!(error, ImportError::Corrupt | ImportError::UnknownCodec { .. });
        assert!(known, "at {at}: {error}");
        assert_eq!(import(&map, &bytes[..at]).expect_err("the end is missing").to_string(), {
            "the bytes are not what was exported"
        });
    }
}

#[test]
fn an_import_returns_the_entry_that_does_not_fit() {
    let bytes = exported(&full());
    let small = CompressedMap::builder_without_codecs(40 << 10)
        .codec(SmallText::new())
        .codec(Nibbles)
        .build();
    let Err(ImportError::Store { error, key, value }) = import(&small, &bytes) else {
        panic!("it does not fit")
    };
    assert_eq!(error, StoreError::BudgetExceeded);
    assert!(key.starts_with(b"key-") && !value.is_empty() && !small.is_empty());
    let refused = full().export(|_| Err("no"));
    assert_eq!(refused, Err(ExportError::Write("no")));
}

/// Steps train codecs, so that no writer has to.
#[test]
fn steps_train_ahead_of_writers() {
    let map = CompressedMap::builder_without_codecs(1 << 20).codec(SmallText::new()).build();
    assert!(!map.compress_step(1 << 12));
    let models = || map.stats().codecs[0].models;
    let mut n = 0;
    while models() == 0 {
        assert!(n < 20_000, "no codec was trained: {:?}", map.stats());
        map.insert(&key(n), &text(n)).expect("there is room");
        map.compress_step(1 << 12);
        n += 1;
    }
    let stats = map.stats();
    assert_eq!(stats.cold, 0, "something was compressed before");
    assert!(stats.hot < 512 << 10, "there were more samples than training takes: {stats:?}");
    assert!(map.train(&[&text(1), &text(2)]) || models() == 1);
}

/// Returns a block of an export, with its checksum.
fn block(parts: &[&[u8]]) -> Vec<u8> {
    let bytes = parts.concat();
    [&bytes[..], &crc32fast::hash(&bytes).to_le_bytes()].concat()
}

/// An attacker can compute checksums. False lengths, unknown numbers and blocks in any order are errors, and the
/// entries before them stay.
#[test]
fn malicious_streams_do_no_harm() {
    let four = |n: u32| n.to_le_bytes();
    let entry = |id: u8, lens: [u32; 3], key: &[u8], stored: &[u8]| {
        let lens = lens.map(four);
        block(&[b"e", &[id], &lens.concat(), key, stored])
    };
    let good = entry(255, [3, 5, 5], b"key", b"value");
    let end = |count: u64| block(&[b"z", &count.to_le_bytes()]);
    let model =
        |id: u8, len: u32, bytes: &[u8]| block(&[b"m", &[id, 7], b"nibbles", &four(len), bytes]);
    let most = u32::MAX;
    let hostile: Vec<Vec<u8>> = vec![
        // A plain value is as long as its stored bytes.
        entry(255, [3, 6, 5], b"key", b"value"),
        entry(255, [3, 0, 5], b"key", b"value"),
        // A model that was not exported, or that cannot exist.
        entry(0, [3, 5, 5], b"key", b"value"),
        entry(31, [3, 5, 5], b"key", b"value"),
        entry(32, [3, 5, 5], b"key", b"value"),
        entry(254, [3, 5, 5], b"key", b"value"),
        // Longer than any entry, or than the rest of the stream.
        entry(255, [most, 5, 5], b"key", b"value"),
        entry(255, [3, most, 5], b"key", b"value"),
        entry(255, [3, 5, most], b"key", b"value"),
        entry(255, [(1 << 21) - 1, 5, 5], b"key", b"value"),
        entry(255, [4, 5, 5], b"key", b"value"),
        // Bytes that are no model, or more than any model has.
        model(0, 15, b"no fifteen"),
        model(0, 3, b"abc"),
        model(0, most, b"abc"),
        model(32, 15, b"fifteen bytes.."),
        model(255, 15, b"fifteen bytes.."),
        // The stored bytes decompress to a shorter or longer value.
        [model(0, 15, b"fifteen bytes.."), entry(0, [3, 200_000, 1], b"key", b"v")].concat(),
        [model(0, 15, b"fifteen bytes.."), entry(0, [3, 5, 0], b"key", b"")].concat(),
        // The end comes too early, or counts other entries.
        end(0),
        end(u64::MAX),
        b"z".to_vec(),
        b"?".to_vec(),
    ];
    let build = || CompressedMap::builder_without_codecs(1 << 20).codec(Nibbles).build();
    let whole = [b"hedgerowC\x01", &good[..], &end(1)].concat();
    assert_eq!(import(&build(), &whole).expect("it is whole"), 1);
    for (index, bytes) in hostile.into_iter().enumerate() {
        let map = build();
        let bytes = [b"hedgerowC\x01", &good[..], &bytes, &end(2)].concat();
        let error = import(&map, &bytes).expect_err("the stream is malicious").to_string();
        assert_eq!(error, "the bytes are not what was exported", "stream {index}");
        assert_eq!((map.get("key"), map.len()), (Ok(Some(b"value".to_vec())), 1), "{index}");
    }
    // A reader that claims to have read more bytes than there was room for, or reads nothing for ever.
    for told in [usize::MAX, 11, 0] {
        let error = build().import(|_| Ok::<_, std::io::Error>(told)).expect_err("it lies");
        assert!(matches!(error, ImportError::Corrupt), "{error}");
    }
}
