//! Hashes in files and payloads, in every encoding.

use super::packed::{ziplist, ziplist_elements, zipmap};
use super::redis_files::{self, bytes};
use super::shapes::file;
use crate::rdb::payload::{PayloadError, PayloadValue, dump_hash, restore};
use crate::rdb::{HashEncoding, RdbError, RdbRecord, RdbValue, Reader, Writer, crc64};
use std::collections::BTreeMap;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Payloads that redis-server 7.0.15 made, in hexadecimal: integers of every size, other texts, long values with
/// `hash-max-listpack-value 100000`, and a hash table.
const INTEGERS: &str = "\
    10c34117416318630100002e008269300300018269310301018469313237057f6007193805c0800283692d3104dfff\
    0286692d3430393607d0000285692009023506cfc014053707f1ffef0360150b3606f1001003866933323736401604\
    7f0387692d400c043808f10080a018063807f200800004a019183908f2ff7fff0488693833383836303709f2ffff7f\
    0489692d800f05380af2000080e0001e023809f3200e010005e0001f02390af3202f0eff058b693231343734383336\
    34370c201205ff7f058c692de0001301380d2037010080e0032602380cf440122003010009e0032a02390df4403e20\
    0317ff0994693932323333373230333638353437373538303715401f4000047f0995692de009200138164058400002\
    8009ff0a00cfe27c4d580bc461";
const TEXTS: &str = "\
    10c3405d410f0e0f0100000e00800185656d70747906a0061f80018200ff0382ff00038330303704822d300383312e\
    350493393232333337320e30333638353437373538303814bf78e035000340e04079e036000342e0407ae036000542\
    822b3103ff0a00db56ce116e4b11f4";
const LONG: &str = "\
    10c3408b605f0b5f2000000600816102e04061e036000742816202efff6162e0ff01e0ff01e0ff01e0ff01e0ff01e0\
    ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e07c010c2081816302f002100000616263e0\
    ff02e1ff07e1ff07e1ff07e1ff07e1ff07e1ff07e1ff07e1ff07e1ff07e1ff07e1ff07e1ff07e1ff07e1ff07e17e07\
    022087ff0a0048c61bbe4e7b9b50";
const TABLE: &str = "04010166c3094041017676e034000176760a003d71be523786cf45";

fn pairs_of(pairs: &[(&str, &str)]) -> Pairs {
    pairs.iter().map(|(field, value)| (field.as_bytes().into(), value.as_bytes().into())).collect()
}

/// Returns the recorded payloads, with what they contain.
fn recorded() -> Vec<(Vec<u8>, HashEncoding, Pairs)> {
    let edges: [i64; 23] = [
        0,
        1,
        127,
        128,
        -1,
        -4096,
        4095,
        -4097,
        4096,
        32_767,
        -32_768,
        32_768,
        -32_769,
        8_388_607,
        -8_388_608,
        8_388_608,
        -8_388_609,
        2_147_483_647,
        -2_147_483_648,
        2_147_483_648,
        -2_147_483_649,
        i64::MAX,
        i64::MIN,
    ];
    let integers =
        edges.map(|edge| (format!("i{edge}").into_bytes(), edge.to_string().into_bytes()));
    let texts = [
        (&b""[..], &b"empty"[..]),
        (b"empty", b""),
        (b"\x00\xff", b"\xff\x00"),
        (b"007", b"-0"),
        (b"1.5", b"9223372036854775808"),
        (&[b'x'; 63], &[b'y'; 64]),
        (&[b'z'; 64], b"+1"),
    ];
    let texts = texts.map(|(field, value)| (field.to_vec(), value.to_vec()));
    let (a, b, c) = ("a".repeat(64), "ab".repeat(2047) + "a", "abc".repeat(1366));
    vec![
        (bytes(INTEGERS), HashEncoding::Listpack, integers.to_vec()),
        (bytes(TEXTS), HashEncoding::Listpack, texts.to_vec()),
        (bytes(LONG), HashEncoding::Listpack, pairs_of(&[("a", &a), ("b", &b), ("c", &c)])),
        (bytes(TABLE), HashEncoding::HashTable, pairs_of(&[("f", &"v".repeat(65))])),
    ]
}

fn restored(payload: &[u8]) -> Result<Pairs, PayloadError> {
    let PayloadValue::Hash(hash) = restore(payload)? else { return Ok(Vec::new()) };
    let (mut pairs, mut all) = (hash.items(), Vec::new());
    while let Some((field, value)) = pairs.pair()? {
        all.push((field.to_vec(), value.to_vec()));
    }
    Ok(all)
}

fn borrowed(pairs: &Pairs) -> impl Iterator<Item = (&[u8], &[u8])> {
    pairs.iter().map(|(field, value)| (&field[..], &value[..]))
}

fn dumped(encoding: HashEncoding, pairs: &Pairs) -> Vec<u8> {
    let mut payload = Vec::new();
    dump_hash(encoding, pairs.len(), borrowed(pairs), &mut payload);
    payload
}

/// Makes a payload of a type and a value.
pub(super) fn payload(kind: u8, value: &[u8]) -> Vec<u8> {
    let mut payload = [&[kind], value, &[10, 0]].concat();
    payload.extend(crc64::after(0, &payload).to_le_bytes());
    payload
}

/// Makes a payload of a packed value.
pub(super) fn packed_payload(kind: u8, packed: &[u8]) -> Vec<u8> {
    let length = [&[0x80][..], &(packed.len() as u32).to_be_bytes()].concat();
    payload(kind, &[&length, packed].concat())
}

/// Ziplists and zipmaps, with their types and pairs.
fn old_encodings() -> [(u8, Vec<u8>, Pairs); 2] {
    let pairs = |texts: &[Vec<u8>]| {
        texts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect::<Pairs>()
    };
    let ((parts, texts), (zipmap, pairs_of_zipmap)) = (ziplist_elements(), zipmap());
    [(13, ziplist(&parts), pairs(&texts)), (9, zipmap, pairs(&pairs_of_zipmap))]
}

#[test]
fn payloads_of_redis_are_restored_and_made() {
    for (payload, encoding, pairs) in recorded() {
        assert_eq!(restored(&payload).as_ref(), Ok(&pairs));
        assert_eq!(dumped(encoding, &pairs), payload);
        for encoding in [HashEncoding::Listpack, HashEncoding::HashTable] {
            assert_eq!(restored(&dumped(encoding, &pairs)).as_ref(), Ok(&pairs));
        }
    }
    for (kind, packed, pairs) in old_encodings() {
        assert_eq!(restored(&packed_payload(kind, &packed)), Ok(pairs));
    }
}

#[test]
fn payloads_without_a_hash_are_refused() {
    let refused = [
        payload(4, b"\x00"),
        packed_payload(16, b"\x07\x00\x00\x00\x00\x00\xFF"),
        packed_payload(13, b"\x0B\x00\x00\x00\x0A\x00\x00\x00\x00\x00\xFF"),
        packed_payload(9, b"\x00\xFF"),
        // A field without a value; a value of another encoding.
        packed_payload(16, b"\x0A\x00\x00\x00\x01\x00\x81a\x02\xFF"),
        packed_payload(13, b"\x0A\x00\x00\x00\x01\x00\x81a\x02\xFF"),
        payload(4, b"\x01\x01f"),
        payload(4, b"\xC0\x01\x01f\x01v"),
        payload(4, b""),
        payload(16, b""),
        // Hashes with fields that expire.
        payload(22, b"\x01\x00\x01f\x01v"),
        payload(23, b"\x01f"),
        payload(24, b"12345678\x01\x00\x01f\x01v"),
        payload(25, b"12345678\x01f"),
    ];
    for payload in refused {
        assert_eq!(restore(&payload), Err(PayloadError::Format), "{}", payload.escape_ascii());
    }
    // The first pair is good.
    assert_eq!(restored(&payload(4, b"\x02\x01f\x01v\x01g")), Err(PayloadError::Format));
}

#[test]
fn every_truncation_and_changed_byte_of_a_payload_is_refused_or_gives_pairs() {
    let mut examples: Vec<_> = recorded().into_iter().map(|(payload, ..)| payload).collect();
    let old = old_encodings().map(|(kind, packed, _)| packed_payload(kind, &packed));
    examples.extend(old.into_iter().filter(|payload| payload.len() < 1000));
    for example in examples {
        for end in 0..example.len() {
            assert_eq!(restored(&example[..end]), Err(PayloadError::VersionOrChecksum));
        }
        let (kind, value) = (example[0], &example[1..example.len() - 10]);
        assert_eq!(payload(kind, value), example);
        for end in 0..value.len() {
            assert_eq!(restored(&payload(kind, &value[..end])), Err(PayloadError::Format));
        }
        for at in 0..value.len() {
            for flip in 1..=255 {
                let mut value = value.to_vec();
                value[at] ^= flip;
                // Neither a panic nor much memory. What it returns depends on the byte.
                let _ = restored(&payload(kind, &value));
            }
        }
    }
}

/// Returns the hashes of a file. Of each key, at most `most` pairs are read.
fn hashes(file: &[u8], most: usize) -> Result<BTreeMap<Vec<u8>, Pairs>, RdbError> {
    let (mut reader, mut found) = (Reader::new(file)?, BTreeMap::new());
    assert_eq!(reader.pair()?, None);
    while let Some(record) = reader.next()? {
        let RdbRecord::Entry(entry) = record else {
            assert_eq!(reader.pair()?, None);
            continue;
        };
        let mut pairs = Vec::new();
        while pairs.len() < most
            && let Some((field, value)) = reader.pair()?
        {
            pairs.push((field.to_vec(), value.to_vec()));
        }
        assert!(entry.value == RdbValue::Hash || pairs.is_empty());
        assert!(
            entry.value != RdbValue::Hash
                || reader.element()?.is_none() && reader.scored()?.is_none()
        );
        found.insert(entry.key, pairs);
    }
    Ok(found)
}

#[test]
fn hashes_in_files_of_redis_are_read() {
    for hex in [redis_files::PLAIN, redis_files::LRU, redis_files::LFU] {
        let hashes = hashes(&bytes(hex), usize::MAX).unwrap();
        assert_eq!(hashes[&b"hash"[..]], pairs_of(&[("f", "v"), ("g", "2")]));
        assert_eq!(hashes[&b"bighash"[..]], pairs_of(&[("f", &"a".repeat(91))]));
        assert_eq!(hashes.values().filter(|pairs| !pairs.is_empty()).count(), 2);
    }
}

#[test]
fn hashes_of_every_encoding_are_read_from_files() {
    let mut records = Vec::new();
    let mut wanted = BTreeMap::new();
    let old = old_encodings().map(|(kind, packed, pairs)| (packed_payload(kind, &packed), pairs));
    let new = recorded().into_iter().map(|(payload, _, pairs)| (payload, pairs));
    for (number, (payload, pairs)) in old.into_iter().chain(new).enumerate() {
        records.extend([payload[0], 1, number as u8]);
        records.extend_from_slice(&payload[1..payload.len() - 10]);
        wanted.insert(vec![number as u8], pairs);
    }
    records.extend_from_slice(b"\x04\x05empty\x00\x00\x01s\x01v");
    wanted.extend([(b"empty".to_vec(), Vec::new()), (b"s".to_vec(), Vec::new())]);
    let file = file(11, &records);
    // Pairs that are not read are skipped.
    for most in [0, 1, 2, 3, 22, usize::MAX] {
        let cut = wanted.clone().into_iter().map(|(key, mut pairs)| {
            pairs.truncate(most);
            (key, pairs)
        });
        assert_eq!(hashes(&file, most).unwrap(), cut.collect());
        for end in (9..file.len()).step_by(101) {
            let why = hashes(&file[..end], most).unwrap_err();
            assert!(matches!(why, RdbError::Truncated { offset } if offset == end as u64), "{why}");
        }
    }
}

#[test]
fn damage_in_a_packed_hash_is_an_error_where_its_pairs_are_read() {
    let damaged = b"\x10\x01h\x0D\x0D\x00\x00\x00\x02\x00\x81f\x02\x81v\x03\xFF";
    let file = file(10, damaged);
    assert_eq!(hashes(&file, 0).unwrap().len(), 1);
    let why = hashes(&file, usize::MAX).unwrap_err();
    assert!(matches!(why, RdbError::Damaged { offset: 26, .. }), "{why}");
}

#[test]
fn written_hashes_are_read() {
    let (mut file, mut wanted) = (Vec::new(), BTreeMap::new());
    let mut writer = Writer::new(&mut file).unwrap();
    writer.database(0, 6, 1).unwrap();
    let many = (0..100_000).map(|at| (format!("field:{at}").into_bytes(), vec![b'v'; at % 9]));
    let all = recorded().into_iter().map(|(_, _, pairs)| pairs).chain([many.collect()]);
    for (number, pairs) in all.enumerate() {
        let key = format!("hash:{number}").into_bytes();
        let expires_at = (number == 2).then_some(4_102_444_800_123);
        writer.hash(&key, expires_at, pairs.len(), borrowed(&pairs)).unwrap();
        wanted.insert(key, pairs);
    }
    writer.entry(b"string", None, &[b"value"]).unwrap();
    wanted.insert(b"string".to_vec(), Vec::new());
    let (_, length) = writer.finish().unwrap();
    assert_eq!(length as usize, file.len());
    assert_eq!(hashes(&file, usize::MAX).unwrap(), wanted);
    assert_eq!(hashes(&file, 0).unwrap().len(), wanted.len());
    assert_eq!(super::content(&file)[&(0, b"hash:2".to_vec())].1, Some(4_102_444_800_123));
}

#[test]
#[should_panic(expected = "items of a collection")]
fn another_count_than_the_pairs_have_is_a_bug() {
    dump_hash(HashEncoding::HashTable, 2, [(&b"f"[..], &b"v"[..])], &mut Vec::new());
}

#[test]
fn a_wrong_count_takes_no_memory() {
    let length = b"\x81\x00\x00\x01\x00\x00\x00\x00\x00";
    let value = [&length[..], b"\x01f\x01v\x01g\x01w"].concat();
    assert_eq!(restored(&payload(4, &value)), Err(PayloadError::Format));
    for kind in [9, 13, 16] {
        assert_eq!(restored(&payload(kind, &value)), Err(PayloadError::Format));
        let compressed = [b"\xC3", &length[..], length, b"abc"].concat();
        assert_eq!(restored(&payload(kind, &compressed)), Err(PayloadError::Format));
    }
}
