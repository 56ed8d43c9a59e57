//! Lists, sets and sorted sets in files and payloads, in every encoding.

use super::hashes::{packed_payload, payload};
use super::packed::{listpack, ziplist, ziplist_elements};
use super::redis_files::{self, bytes};
use super::shapes::file;
use crate::rdb::payload::{
    PayloadError, PayloadValue, dump_list, dump_set, dump_sorted_set, restore,
};
use crate::rdb::{
    RdbError, RdbRecord, RdbValue, Reader, ScoredMember, SetEncoding, SortedSetEncoding, Writer,
};
use std::collections::BTreeMap;

/// Payloads that redis-server 7.0.15 made, in hexadecimal. Of the nodes of the long list, three have one long element
/// each.
const LIST: &str = "\
    120102c32f40721572000000080084726f73650580010101f1ffef03f4ff80000e7f09833030370483312e3504e046\
    61e03c000148ff0a007952acdd257d6138";
const LONG_LIST: &str = "\
    120402c340745fff07ff1f00000200856140000206f0ea200d0062e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff\
    00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0\
    ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0f000023fefff02c3406e60020b022000000100f0f41f00\
    0063e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00\
    e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0fa\
    00023ff9ff02c3407a633607362300000100f02820060064e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff\
    00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0\
    ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e00e000246adff020d0d0000000200\
    816502816602ff0a0082ea56291043cf69";
const INTSET_16: &str = "\
    0b0e020000000300000000800300ff7f0a0083161d355179ee3b";
const INTSET_32: &str = "\
    0b1404000000030000000000008007000000008000000a00b4c46308ab6eeaab";
const INTSET_64: &str = "\
    0bc31c280408000000042003a0000080a0070100012003400000ff600001ff7f0a00c4a6c2282198d4c2";
const SET: &str = "\
    020104726f73650a0078f219d2abf4faa1";
const SORTED_SET: &str = "\
    11c340cb40f10df10000001400856d2d696e66068440051805956d2d34363131363836303138343237333837393034\
    16f42029400001c009202d02312e35202d20051f05836d2d30040001876d35652d3332340897342e39343036353634\
    3538343132033436353460180718846d302e31059320040030e00500083114856d316531370620611f8a5d78456301\
    09946d393232333337323033363835343737353830371596392ee0071505652b31381786203e063330300797312ee0\
    0559033031652b2018207a20dd01058320040104ff0a00c4bc5b1a33307ae1";
const SKIP_LIST: &str = "\
    0504c00c000000000000f07fc3094041016363e034000163639a9999999999b93f0162000000000000000001610000\
    00000000f0ff0a00c42b47762e52af63";

/// A collection.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    List(Vec<Vec<u8>>),
    Set(Vec<Vec<u8>>),
    SortedSet(Vec<(Vec<u8>, f64)>),
}

use Value::{List, Set, SortedSet};

fn texts<T: AsRef<[u8]>>(texts: &[T]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_ref().to_vec()).collect()
}

fn scored<T: AsRef<[u8]>>(members: &[(T, f64)]) -> Value {
    SortedSet(members.iter().map(|(member, score)| (member.as_ref().to_vec(), *score)).collect())
}

/// Returns the recorded payloads, with what they contain.
fn recorded() -> Vec<(Vec<u8>, Value)> {
    let seventy = "a".repeat(70);
    let list = ["rose", "", "1", "-4097", "9223372036854775807", "007", "1.5", &seventy];
    let long = [("a", 5), ("b", 8170), ("c", 8180), ("d", 9000), ("e", 1), ("f", 1)];
    let long = long.map(|(letter, length)| letter.repeat(length));
    let least = f64::from_bits(1);
    let small = [
        ("m-inf", f64::NEG_INFINITY),
        ("m-4611686018427387904", -4_611_686_018_427_387_904.0),
        ("m-1.5", -1.5),
        ("m-0", 0.0),
        ("m5e-324", least),
        ("m0.1", 0.1),
        ("m1e17", 1e17),
        ("m9223372036854775807", 9_223_372_036_854_775_807.0),
        ("m1e300", 1e300),
        ("minf", f64::INFINITY),
    ];
    let large = [("12", f64::INFINITY), (&"c".repeat(65), 0.1), ("b", 0.0), ("a", -f64::INFINITY)];
    let sets = [
        (INTSET_16, &["-32768", "3", "32767"][..]),
        (INTSET_32, &["-2147483648", "7", "32768"]),
        (INTSET_64, &["-9223372036854775808", "0", "1", "9223372036854775807"]),
        (SET, &["rose"]),
    ];
    let mut all = vec![
        (bytes(LIST), List(texts(&list))),
        (bytes(LONG_LIST), List(texts(&long))),
        (bytes(SORTED_SET), scored(&small)),
        (bytes(SKIP_LIST), scored(&large)),
    ];
    all.extend(sets.map(|(hex, members)| (bytes(hex), Set(texts(members)))));
    all
}

/// Payloads of encodings that Redis 7.0 reads and does not write, and of one of Redis 7.2.
fn other_encodings() -> Vec<(Vec<u8>, Value)> {
    let (parts, all) = ziplist_elements();
    let nodes = [ziplist(&parts[..2]), ziplist(&[]), ziplist(&parts[6..8])];
    let nodes = nodes.map(|node| [&[node.len() as u8], &node[..]].concat()).concat();
    let nodes = [&[3], &nodes[..]].concat();
    let pairs: Vec<_> = [&b"\x01a"[..], b"\xF2", b"\x01b", b"\x03-.5"].map(<[u8]>::to_vec).into();
    let packed = listpack(&["rose", "7"]);
    let plain =
        [&b"\x03\x01\xC0\x05\x02"[..], &[packed.len() as u8], &packed[..], b"\x01\x01z"].concat();
    vec![
        (payload(1, b"\x02\x01a\xC0\x05"), List(texts(&["a", "5"]))),
        (packed_payload(10, &ziplist(&parts)), List(all)),
        (payload(14, &nodes), List(texts(&["", "red", "0", "12"]))),
        (payload(18, &plain), List(texts(&["5", "rose", "7", "z"]))),
        (packed_payload(20, &packed), Set(texts(&["rose", "7"]))),
        (
            payload(3, b"\x04\x01a\x031.5\x01b\xFE\x01c\xFF\x01d\x07-12e-01"),
            scored(&[("a", 1.5), ("b", f64::INFINITY), ("c", f64::NEG_INFINITY), ("d", -1.2)]),
        ),
        (packed_payload(12, &ziplist(&pairs)), scored(&[("a", 1.0), ("b", -0.5)])),
    ]
}

fn restored(payload: &[u8]) -> Result<Value, PayloadError> {
    let value = restore(payload)?;
    let (PayloadValue::List(payload)
    | PayloadValue::Set(payload)
    | PayloadValue::SortedSet(payload)) = value
    else {
        return Err(PayloadError::Format);
    };
    let (mut items, mut elements, mut members) = (payload.items(), Vec::new(), Vec::new());
    assert_eq!(items.pair(), Ok(None));
    while let Some(element) = items.element()? {
        elements.push(element.to_vec());
    }
    while let Some((member, score)) = items.scored()? {
        members.push((member.to_vec(), score));
    }
    Ok(match value {
        PayloadValue::List(_) => List(elements),
        PayloadValue::Set(_) => Set(elements),
        _ => SortedSet(members),
    })
}

fn borrowed(elements: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    elements.iter().map(|element| &element[..])
}

fn borrowed_members(members: &[(Vec<u8>, f64)]) -> impl Iterator<Item = ScoredMember<'_>> {
    members.iter().map(|(member, score)| (&member[..], *score))
}

/// Dumps a value, packed if it can be.
fn dumped(value: &Value, is_packed: bool) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        List(elements) => dump_list(borrowed(elements), &mut out),
        Set(members) => {
            let encoding = if is_packed { SetEncoding::Intset } else { SetEncoding::HashTable };
            dump_set(encoding, members.len(), borrowed(members), &mut out);
        }
        SortedSet(members) => {
            let packed = SortedSetEncoding::Listpack;
            let encoding = if is_packed { packed } else { SortedSetEncoding::SkipList };
            dump_sorted_set(encoding, members.len(), borrowed_members(members), &mut out);
        }
    }
    out
}

#[test]
fn payloads_of_redis_are_restored_and_made() {
    for (payload, value) in recorded() {
        assert_eq!(restored(&payload).as_ref(), Ok(&value));
        let is_packed = matches!(payload[0], 11 | 17);
        assert_eq!(dumped(&value, is_packed), payload);
        if !matches!(value, Set(_)) {
            assert_eq!(restored(&dumped(&value, !is_packed)).as_ref(), Ok(&value));
        }
    }
    for (payload, value) in other_encodings() {
        assert_eq!(restored(&payload).as_ref(), Ok(&value));
        assert_eq!(restored(&dumped(&value, false)).as_ref(), Ok(&value));
    }
}

#[test]
fn a_listpack_has_no_negative_zero_and_a_skip_list_has() {
    let value = scored(&[("a", -0.0)]);
    for (is_packed, is_negative) in [(true, false), (false, true)] {
        let Ok(SortedSet(members)) = restored(&dumped(&value, is_packed)) else { panic!() };
        assert_eq!(members[0].1.is_sign_negative(), is_negative);
    }
}

#[test]
fn members_of_an_intset_may_come_in_any_order() {
    let payload = dumped(&Set(texts(&["70000", "-1", "3"])), true);
    assert_eq!(restored(&payload), Ok(Set(texts(&["-1", "3", "70000"]))));
}

#[test]
fn payloads_without_a_collection_are_refused() {
    let (nan, empty) = (f64::NAN.to_le_bytes(), listpack::<&str>(&[]));
    let refused = [
        payload(1, b"\x00"),
        payload(2, b"\x00"),
        payload(3, b"\x00"),
        payload(5, b"\x00"),
        payload(14, b"\x00"),
        payload(18, b"\x00"),
        packed_payload(10, &ziplist(&[])),
        packed_payload(11, b"\x02\x00\x00\x00\x00\x00\x00\x00"),
        packed_payload(12, &ziplist(&[])),
        packed_payload(17, &empty),
        packed_payload(20, &empty),
        // Nodes without elements, and of unknown kinds.
        payload(18, &[b"\x01\x02\x07", &empty[..]].concat()),
        payload(18, b"\x01\x01\x00"),
        payload(18, b"\x01\x00\x01a"),
        payload(18, b"\x01\x03\x01a"),
        // Scores that are no numbers.
        payload(3, b"\x01\x01a\xFD"),
        payload(3, b"\x01\x01a\x03nan"),
        payload(3, b"\x01\x01a\x00"),
        payload(3, b"\x01\x01a\x021x"),
        payload(5, &[b"\x01\x01a", &nan[..]].concat()),
        packed_payload(17, &listpack(&["a", "nan"])),
        packed_payload(17, &listpack(&["a", ""])),
        packed_payload(17, &listpack(&["a"])),
        // A value of another encoding.
        packed_payload(17, &ziplist(&[b"\x01a".to_vec(), b"\xF1".to_vec()])),
        packed_payload(10, &listpack(&["a"])),
        packed_payload(11, &listpack(&["1"])),
    ];
    for payload in refused {
        assert_eq!(restore(&payload), Err(PayloadError::Format), "{}", payload.escape_ascii());
    }
    // The first element is good.
    for damaged in [
        payload(1, b"\x02\x01a"),
        payload(5, b"\x02\x01a12345678\x01b1234"),
        payload(18, &[b"\x02\x01\x01a\x02\x08", &listpack(&["b"])[..], b"\xFF"].concat()),
        packed_payload(17, &listpack(&["a", "1", "b", "x"])),
        packed_payload(11, b"\x02\x00\x00\x00\x02\x00\x00\x00\x02\x00\x01\x00"),
    ] {
        assert!(restore(&damaged).is_ok());
        assert_eq!(restored(&damaged), Err(PayloadError::Format));
    }
}

#[test]
fn every_truncation_and_changed_byte_of_a_payload_is_refused_or_gives_a_value() {
    let all = recorded().into_iter().chain(other_encodings()).map(|(payload, _)| payload);
    for example in all.filter(|payload| payload.len() < 400) {
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
                if let Ok(SortedSet(members)) = restored(&payload(kind, &value)) {
                    assert!(members.iter().all(|(_, score)| !score.is_nan()));
                }
            }
        }
    }
}

/// Returns the collections of a file. Of each key, at most `most` items are read.
fn collections(file: &[u8], most: usize) -> Result<BTreeMap<Vec<u8>, Value>, RdbError> {
    let (mut reader, mut found) = (Reader::new(file)?, BTreeMap::new());
    while let Some(record) = reader.next()? {
        let RdbRecord::Entry(entry) = record else {
            assert!(reader.element()?.is_none() && reader.scored()?.is_none());
            continue;
        };
        let (mut elements, mut members) = (Vec::new(), Vec::new());
        while elements.len() < most
            && let Some(element) = reader.element()?
        {
            elements.push(element.to_vec());
        }
        while members.len() < most
            && let Some((member, score)) = reader.scored()?
        {
            members.push((member.to_vec(), score));
        }
        let value = match entry.value {
            RdbValue::List => List(elements),
            RdbValue::Set => Set(elements),
            RdbValue::SortedSet => SortedSet(members),
            _ => {
                assert!(elements.is_empty() && members.is_empty());
                continue;
            }
        };
        assert!(reader.pair()?.is_none());
        found.insert(entry.key, value);
    }
    Ok(found)
}

#[test]
fn collections_in_files_of_redis_are_read() {
    for hex in [redis_files::PLAIN, redis_files::LRU, redis_files::LFU] {
        let found = collections(&bytes(hex), usize::MAX).unwrap();
        assert_eq!(found[&b"list"[..]], List(texts(&["a", "b", "3"])));
        assert_eq!(found[&b"biglist"[..]], List(texts(&["a".repeat(55), "b".to_owned()])));
        assert_eq!(found[&b"intset"[..]], Set(texts(&["1", "2", "3"])));
        let Set(mut set) = found[&b"set"[..]].clone() else { panic!() };
        set.sort();
        assert_eq!(set, texts(&["a", "b", "c"]));
        assert_eq!(found[&b"zset"[..]], scored(&[("a", 1.0), ("b", 2.5)]));
        let long = "a".repeat(89);
        assert_eq!(found[&b"bigzset"[..]], scored(&[("b", f64::INFINITY), (&long, 1.0)]));
        assert_eq!(found.len(), 6);
    }
}

#[test]
fn collections_of_every_encoding_are_read_from_files() {
    let (mut records, mut wanted) = (Vec::new(), BTreeMap::new());
    for (number, (payload, value)) in recorded().into_iter().chain(other_encodings()).enumerate() {
        records.extend([payload[0], 1, number as u8]);
        records.extend_from_slice(&payload[1..payload.len() - 10]);
        wanted.insert(vec![number as u8], value);
    }
    records.extend_from_slice(b"\x01\x05empty\x00\x00\x01s\x01v");
    wanted.insert(b"empty".to_vec(), List(Vec::new()));
    let file = file(11, &records);
    // Items that are not read are skipped.
    for most in [0, 1, 2, 3, 5, usize::MAX] {
        let cut = wanted.clone().into_iter().map(|(key, mut value)| {
            match &mut value {
                List(elements) | Set(elements) => elements.truncate(most),
                SortedSet(members) => members.truncate(most),
            }
            (key, value)
        });
        assert_eq!(collections(&file, most).unwrap(), cut.collect());
        for end in (9..file.len()).step_by(37) {
            let why = collections(&file[..end], most).unwrap_err();
            assert!(matches!(why, RdbError::Truncated { offset } if offset == end as u64), "{why}");
        }
    }
}

#[test]
fn written_collections_are_read() {
    let (mut file, mut wanted) = (Vec::new(), BTreeMap::new());
    let mut writer = Writer::new(&mut file).unwrap();
    writer.database(0, 6, 1).unwrap();
    let many: Vec<_> = (0..100_000).map(|at| format!("element:{at}").into_bytes()).collect();
    let all = recorded().into_iter().map(|(_, value)| value).chain([List(many)]);
    for (number, value) in all.enumerate() {
        let key = format!("key:{number}").into_bytes();
        let expires_at = (number == 2).then_some(4_102_444_800_123);
        match &value {
            List(elements) => writer.list(&key, expires_at, elements.len(), borrowed(elements)),
            Set(members) => writer.set(&key, expires_at, members.len(), borrowed(members)),
            SortedSet(members) => {
                writer.sorted_set(&key, expires_at, members.len(), borrowed_members(members))
            }
        }
        .unwrap();
        wanted.insert(key, value);
    }
    writer.finish().unwrap();
    assert_eq!(collections(&file, usize::MAX).unwrap(), wanted);
    assert_eq!(collections(&file, 0).unwrap().len(), wanted.len());
    assert_eq!(super::content(&file)[&(0, b"key:2".to_vec())].1, Some(4_102_444_800_123));
}

#[test]
#[should_panic(expected = "items of a collection")]
fn another_count_than_the_members_have_is_a_bug() {
    dump_sorted_set(SortedSetEncoding::Listpack, 2, [(&b"a"[..], 1.0)], &mut Vec::new());
}

#[test]
#[should_panic(expected = "an intset has integers")]
fn another_member_of_an_intset_than_integers_is_a_bug() {
    dump_set(SetEncoding::Intset, 1, [&b"01"[..]], &mut Vec::new());
}

#[test]
fn a_wrong_count_takes_no_memory() {
    let length = b"\x81\x00\x00\x01\x00\x00\x00\x00\x00";
    let value = [&length[..], b"\x01\x01f\x01\x01v\x01\x01g\x01\x01w"].concat();
    let compressed = [b"\xC3", &length[..], length, b"abc"].concat();
    for kind in [1, 2, 3, 5, 10, 11, 12, 14, 17, 18, 20] {
        assert_eq!(restored(&payload(kind, &value)), Err(PayloadError::Format), "{kind}");
        assert_eq!(restored(&payload(kind, &compressed)), Err(PayloadError::Format), "{kind}");
    }
}
