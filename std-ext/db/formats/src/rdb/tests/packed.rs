//! Listpacks, ziplists, zipmaps and intsets.

use crate::rdb::packed::PackedEncoding::{self, Intset, Listpack, Ziplist, Zipmap};
use crate::rdb::packed::{ListpackWriter, PackedCursor, intset};

/// Returns the elements as text.
fn elements(encoding: PackedEncoding, bytes: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    let (mut cursor, mut all) = (PackedCursor::new(encoding, bytes)?, Vec::new());
    while let Some(element) = cursor.next(bytes)? {
        all.push(element.text(&mut itoa::Buffer::new()).to_vec());
    }
    assert_eq!(cursor.next(bytes), Ok(None));
    Ok(all)
}

pub(super) fn listpack<T: AsRef<[u8]>>(elements: &[T]) -> Vec<u8> {
    let mut writer = ListpackWriter::new();
    for element in elements {
        writer.push(element.as_ref());
    }
    writer.finish().unwrap()
}

/// Makes a ziplist of encoded elements.
pub(super) fn ziplist(elements: &[Vec<u8>]) -> Vec<u8> {
    let (mut bytes, mut previous, mut last) = (vec![0; 10], 0, 10);
    for element in elements {
        last = bytes.len();
        if previous < 254 {
            bytes.push(previous as u8);
        } else {
            bytes.push(254);
            bytes.extend_from_slice(&(previous as u32).to_le_bytes());
        }
        bytes.extend_from_slice(element);
        previous = bytes.len() - last;
    }
    bytes.push(255);
    let total = bytes.len() as u32;
    bytes[..4].copy_from_slice(&total.to_le_bytes());
    bytes[4..8].copy_from_slice(&(last as u32).to_le_bytes());
    bytes[8..10].copy_from_slice(&(elements.len() as u16).to_le_bytes());
    bytes
}

/// The elements of a ziplist in every encoding, and their texts.
pub(super) fn ziplist_elements() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let string = |head: &[u8], length| [head, &b"s".repeat(length)].concat();
    let all: [(Vec<u8>, String); 18] = [
        (b"\x00".to_vec(), String::new()),
        (b"\x03red".to_vec(), "red".to_owned()),
        (string(b"\x3F", 63), "s".repeat(63)),
        (string(b"\x40\x40", 64), "s".repeat(64)),
        (string(b"\x41\x2C", 300), "s".repeat(300)),
        (string(b"\x80\x00\x00\x40\x00", 16_384), "s".repeat(16_384)),
        (b"\xF1".to_vec(), "0".to_owned()),
        (b"\xFD".to_vec(), "12".to_owned()),
        (b"\xFE\x0D".to_vec(), "13".to_owned()),
        (b"\xFE\x80".to_vec(), "-128".to_owned()),
        (b"\xC0\x80\x00".to_vec(), "128".to_owned()),
        (b"\xC0\x00\x80".to_vec(), "-32768".to_owned()),
        (b"\xF0\x00\x80\x00".to_vec(), "32768".to_owned()),
        (b"\xF0\x00\x00\x80".to_vec(), "-8388608".to_owned()),
        (b"\xD0\x00\x00\x80\x00".to_vec(), "8388608".to_owned()),
        (b"\xD0\x00\x00\x00\x80".to_vec(), i32::MIN.to_string()),
        (b"\xE0\x00\x00\x00\x80\x00\x00\x00\x00".to_vec(), "2147483648".to_owned()),
        (b"\xE0\x00\x00\x00\x00\x00\x00\x00\x80".to_vec(), i64::MIN.to_string()),
    ];
    all.into_iter().map(|(bytes, text)| (bytes, text.into_bytes())).unzip()
}

/// A zipmap as Redis 2.4 made them: the second value has become shorter, and the third is long.
pub(super) fn zipmap() -> (Vec<u8>, Vec<Vec<u8>>) {
    let long = b"v".repeat(300);
    let bytes = [
        &b"\x03\x01f\x03\x00red\x04rose\x02\x04ok----\x00\xFE\x2C\x01\x00\x00\x00"[..],
        &long,
        b"\xFF",
    ]
    .concat();
    let texts = [&b"f"[..], b"red", b"rose", b"ok", b"", &long];
    (bytes, texts.map(<[u8]>::to_vec).to_vec())
}

#[test]
fn a_listpack_has_the_elements_that_were_written() {
    let edge = [0, 127, 128, 4095, 4096, 32_767, 32_768, 8_388_607, 8_388_608, 2_147_483_647];
    let integers = edge.into_iter().flat_map(|at: i64| [at, -at, -at - 1, at + 1]);
    let integers = integers.chain([i64::MAX, i64::MIN]).map(|integer| integer.to_string());
    let texts = ["", "red", "007", "-0", "+1", "1.5", "9223372036854775808"].map(str::to_owned);
    let lengths = [63, 64, 126, 127, 4095, 4096, 16_377, 16_378, 16_379, 2_097_145, 2_097_146];
    let strings = lengths.map(|length| "s".repeat(length));
    let all: Vec<String> = integers.chain(texts).chain(strings).collect();
    let wanted: Vec<_> = all.iter().map(|text| text.clone().into_bytes()).collect();
    assert_eq!(elements(Listpack, &listpack(&all)), Ok(wanted));
    assert_eq!(elements(Listpack, &listpack::<&str>(&[])), Ok(Vec::new()));
}

#[test]
fn more_elements_than_the_header_can_say_are_counted() {
    for count in [65_534, 65_535, 65_536, 70_000] {
        let (bytes, one) = (listpack(&vec!["1"; count]), b"1".to_vec());
        assert_eq!(elements(Listpack, &bytes), Ok(vec![one; count]));
        let wrong = [&bytes[..bytes.len() - 3], b"\xFF"].concat();
        let wrong = [&(wrong.len() as u32).to_le_bytes(), &wrong[4..]].concat();
        assert_eq!(elements(Listpack, &wrong).is_ok(), count >= 65_535, "{count}");
    }
}

#[test]
fn a_ziplist_has_its_elements() {
    let (parts, texts) = ziplist_elements();
    assert_eq!(elements(Ziplist, &ziplist(&parts)), Ok(texts));
    assert_eq!(elements(Ziplist, &ziplist(&[])), Ok(Vec::new()));
    // Redis does not shorten the number of an element whose neighbour has become shorter.
    let long = b"\x13\x00\x00\x00\x0D\x00\x00\x00\x02\x00\x00\x01a\xFE\x03\x00\x00\x00\xF2\xFF";
    let mut long = long.to_vec();
    long[0] = long.len() as u8;
    assert_eq!(elements(Ziplist, &long), Ok(vec![b"a".to_vec(), b"1".to_vec()]));
}

#[test]
fn a_zipmap_has_its_pairs() {
    let (bytes, texts) = zipmap();
    assert_eq!(elements(Zipmap, &bytes), Ok(texts.clone()));
    let uncounted = [b"\xFE", &bytes[1..]].concat();
    assert_eq!(elements(Zipmap, &uncounted), Ok(texts));
    assert_eq!(elements(Zipmap, b"\x00\xFF"), Ok(Vec::new()));
    // Redis refuses a length that takes more bytes than it needs.
    assert!(elements(Zipmap, b"\x01\xFE\x01\x00\x00\x00f\x01\x00v\xFF").is_err());
}

#[test]
fn an_intset_has_the_integers_that_were_written() {
    let edges = [i64::MIN, i32::MIN.into(), -32_769, -32_768, -1, 0, 1, 32_767, 32_768];
    let edges: Vec<i64> =
        edges.into_iter().chain([i32::MAX.into(), 2_147_483_648, i64::MAX]).collect();
    for from in 0..edges.len() {
        for to in from + 1..=edges.len() {
            let integers = &edges[from..to];
            let wanted = integers.iter().map(|integer| integer.to_string().into_bytes()).collect();
            assert_eq!(elements(Intset, &intset(integers)), Ok(wanted));
        }
    }
    let refused = [
        // Empty, as in Redis; of an unknown width; not in order; an integer twice; too few, too many.
        &b"\x02\x00\x00\x00\x00\x00\x00\x00"[..],
        b"\x03\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00",
        b"\x02\x00\x00\x00\x02\x00\x00\x00\x02\x00\x01\x00",
        b"\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x01\x00",
        b"\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00",
        b"\x02\x00\x00\x00\x01\x00\x00\x00\x01\x00\x02\x00",
        b"\x08\x00\x00\x00\xFF\xFF\xFF\xFF\x01\x00",
    ];
    for bytes in refused {
        assert!(elements(Intset, bytes).is_err(), "{}", bytes.escape_ascii());
    }
}

fn examples() -> Vec<(PackedEncoding, Vec<u8>)> {
    let strings = ["", "red", "1", "-1", "300", "70000", "-2000000", "5000000000", "s\u{fc}d"];
    let long = strings.map(str::to_owned).into_iter().chain(["s".repeat(70), "s".repeat(5000)]);
    let (mut parts, _) = ziplist_elements();
    parts.remove(5);
    vec![
        (Listpack, listpack(&strings)),
        (Listpack, listpack(&long.collect::<Vec<_>>())),
        (Ziplist, ziplist(&parts)),
        (Zipmap, zipmap().0),
        (Intset, intset(&[-7, 0, 300])),
        (Intset, intset(&[i64::MIN, i64::MAX])),
    ]
}

#[test]
fn every_truncation_is_refused() {
    for (encoding, bytes) in examples() {
        for end in 0..bytes.len() {
            assert!(elements(encoding, &bytes[..end]).is_err(), "{encoding:?} of {end} bytes");
            let mut ended = bytes[..end].to_vec();
            ended.push(255);
            if !matches!(encoding, Zipmap | Intset) && ended.len() > 4 {
                let total = ended.len() as u32;
                ended[..4].copy_from_slice(&total.to_le_bytes());
            }
            // An intset has no end mark, so this may be its last byte.
            if encoding != Intset || end + 1 < bytes.len() {
                let is_whole = ended == bytes;
                assert_eq!(
                    elements(encoding, &ended).is_ok(),
                    is_whole,
                    "{encoding:?}, {end} bytes"
                );
            }
        }
        let longer = [&bytes[..], b"\xFF"].concat();
        assert!(elements(encoding, &longer).is_err());
    }
}

#[test]
fn every_changed_byte_gives_an_error_or_as_many_elements() {
    for (encoding, bytes) in examples() {
        let count = elements(encoding, &bytes).unwrap().len();
        for at in 0..bytes.len() {
            // In long strings, one byte is like the next.
            let values = if at < 200 { 0..=255 } else { bytes[at] ^ 1..=bytes[at] ^ 1 };
            for value in values {
                let mut changed = bytes.clone();
                changed[at] = value;
                if let Ok(found) = elements(encoding, &changed) {
                    // A zipmap with a larger count has to be counted.
                    assert!(found.len() == count, "{encoding:?}: {value:#x} at {at}");
                }
            }
        }
    }
}

#[test]
fn a_length_beyond_the_bytes_is_refused() {
    let long = b"\xFF\xFF\xFF\xFF";
    let in_listpack = [b"\x0D\x00\x00\x00\x01\x00\xF0", &long[..], b"a\xFF"].concat();
    let in_ziplist =
        [b"\x12\x00\x00\x00\x0A\x00\x00\x00\x01\x00\x00\x80", &long[..], b"a\xFF"].concat();
    assert!(elements(Listpack, &in_listpack).is_err());
    assert!(elements(Ziplist, &in_ziplist).is_err());
    for begin in [&b"\x01\xFE"[..], b"\x01\x01f\xFE", b"\x01\x01f\x01\xFFv"] {
        assert!(elements(Zipmap, &[begin, long, b"\x00a\xFF"].concat()).is_err());
    }
}
