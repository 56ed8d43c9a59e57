//! Strings and their compression; the payloads of `DUMP` and `RESTORE`.

use crate::rdb::lzf::{self, LzfCompressor};
use crate::rdb::payload::{self, PayloadError, PayloadValue, dump};
use std::borrow::Cow;

/// Restores a string.
fn restore(payload: &[u8]) -> Result<Cow<'_, [u8]>, PayloadError> {
    match payload::restore(payload)? {
        PayloadValue::String(value) => Ok(value),
        _ => panic!("a collection"),
    }
}

/// Returns the numbers of a simple generator.
fn numbers(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    }
}

/// Returns strings with many repetitions, and with few.
fn strings(count: u64) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(|seed| {
        let mut number = numbers(seed);
        let (length, letters) = (number(if seed % 50 == 0 { 40_000 } else { 600 }), 1 + number(40));
        let mut string: Vec<u8> = Vec::new();
        while string.len() < length {
            if string.len() > 10 && number(4) == 0 {
                let from = number(string.len() - 3);
                let most = if number(8) == 0 { 600 } else { 20 };
                let bytes = 3 + number(most);
                string.extend_from_within(from..(from + bytes).min(string.len()));
            } else {
                string.push(number(letters) as u8);
            }
        }
        string
    })
}

#[test]
fn what_was_compressed_is_decompressed() {
    let mut compressor = LzfCompressor::default();
    for string in strings(3000) {
        let Some(compressed) = compressor.compress(&string, string.len()) else { continue };
        assert!(compressed.len() <= string.len());
        assert_eq!(lzf::decompress(&compressed, string.len()).as_ref(), Some(&string));
        assert_eq!(
            LzfCompressor::default().compress(&string, string.len()),
            Some(compressed.clone())
        );
        for wrong in [string.len().wrapping_sub(1), string.len() + 1, usize::MAX] {
            assert_eq!(lzf::decompress(&compressed, wrong), None);
        }
        let half = compressed.len() / 2;
        assert_eq!(lzf::decompress(&compressed[..half], string.len()), None);
    }
}

#[test]
fn the_compressor_forgets_earlier_strings_when_its_numbers_are_used_up() {
    let mut compressor = LzfCompressor::default();
    let string = b"roses are red, roses are red, roses are red";
    let first = compressor.compress(string, string.len());
    compressor.use_up(string.len() as u32 - 1);
    assert_eq!(compressor.compress(string, string.len()), first);
    compressor.use_up(0);
    assert_eq!(compressor.compress(string, string.len()), first);
}

#[test]
fn hostile_bytes_are_decompressed_or_refused() {
    let mut number = numbers(7);
    for _ in 0..20_000 {
        let input: Vec<u8> = (0..number(40)).map(|_| number(256) as u8).collect();
        let length = number(300);
        if let Some(output) = lzf::decompress(&input, length) {
            assert_eq!(output.len(), length);
        }
        let _ = restore(&input);
    }
    // A copy from before the beginning, and one that ends behind the output.
    assert_eq!(lzf::decompress(b"\x00a\x20\x01", 4), None);
    assert_eq!(lzf::decompress(b"\x00a\x20\x00", 4).as_deref(), Some(&b"aaaa"[..]));
    assert_eq!(lzf::decompress(b"\x00a\x20\x00", 3), None);
    assert_eq!(lzf::decompress(b"\x00a\x20\x00\x00b", 3), None);
    assert_eq!(lzf::decompress(b"\x00a\xE0", 3), None);
    assert_eq!(lzf::decompress(b"\x05a", 3), None);
}

fn dumped(value: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    dump(&[value], &mut payload);
    payload
}

#[test]
fn payloads_are_restored() {
    for string in strings(600).chain([b"".to_vec()]) {
        let payload = dumped(&string);
        assert_eq!(restore(&payload).as_deref(), Ok(&string[..]));
        let (mut pieces, (first, second)) = (Vec::new(), string.split_at(string.len() / 3));
        dump(&[first, second], &mut pieces);
        assert_eq!(pieces, payload);
    }
    for integer in [0, 1, -1, 127, 128, -128, -129, 32767, 32768, i32::MAX, i32::MIN] {
        let text = integer.to_string();
        let payload = dumped(text.as_bytes());
        assert!(payload.len() <= 16 && restore(&payload).as_deref() == Ok(text.as_bytes()));
    }
}

#[test]
fn damaged_payloads_are_refused() {
    let payload = dumped(b"roses are red, roses are red, roses are red");
    for end in 0..payload.len() {
        assert_eq!(restore(&payload[..end]), Err(PayloadError::VersionOrChecksum));
    }
    for at in 0..payload.len() {
        for flip in 1..=255 {
            let mut damaged = payload.clone();
            damaged[at] ^= flip;
            assert_eq!(restore(&damaged), Err(PayloadError::VersionOrChecksum));
        }
    }
}
