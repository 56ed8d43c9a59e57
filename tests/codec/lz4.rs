//! builds: default
//!
//! `Lz4` against `lz4_flex`, in both directions.

use crate::support;

use hedgerow::compressed::codec::{Codec, Lz4, Model, Work};
use lz4_flex::block;
use support::values;

/// Returns a model with this dictionary.
fn with(dictionary: &[u8]) -> Box<dyn Model> {
    Lz4::new().import(dictionary).expect("any bytes are a dictionary")
}

/// Compresses by this crate, and decompresses by this crate and by `lz4_flex`. Returns the compressed length, if it is
/// at most `room`.
fn round_trip(
    model: &dyn Model,
    dictionary: &[u8],
    plain: &[u8],
    room: usize,
    work: &mut Work,
) -> Option<usize> {
    let mut stored = vec![0; room];
    let length = model.compress(plain, &mut stored, work)?;
    let mut back = vec![1; plain.len()];
    model.decompress(&stored[..length], &mut back).expect("what was compressed");
    assert!(back == plain, "another value comes back: {plain:?}");
    let other = block::decompress_with_dict(&stored[..length], plain.len(), dictionary);
    assert!(other.expect("a block") == plain, "others understand another value: {plain:?}");
    Some(length)
}

#[test]
fn blocks_are_understood_by_others() {
    let mut work = Work::new();
    for dictionary in [values::rows(0).concat(), values::rows(200).concat(), vec![0; 32 << 10]] {
        let model = with(&dictionary);
        for plain in values::all() {
            let most = block::get_maximum_output_size(plain.len());
            let length =
                round_trip(&*model, &dictionary, &plain, most, &mut work).expect("there is room");
            // This room is enough, and with less there is an answer, too.
            assert_eq!(round_trip(&*model, &dictionary, &plain, length, &mut work), Some(length));
            assert_eq!(round_trip(&*model, &dictionary, &plain, length - 1, &mut work), None);
        }
    }
}

#[test]
fn blocks_of_others_are_understood() {
    for dictionary in [values::rows(0).concat(), values::rows(200).concat()] {
        let model = with(&dictionary);
        for plain in values::all() {
            let stored = block::compress_with_dict(&plain, &dictionary);
            let mut back = vec![1; plain.len()];
            model.decompress(&stored, &mut back).expect("a block");
            assert_eq!(back, plain);
            if !plain.is_empty() {
                assert!(model.decompress(&stored, &mut back[1..]).is_err(), "one byte too long");
            }
            back.push(1);
            assert!(model.decompress(&stored, &mut back).is_err(), "one byte too short");
        }
    }
}

/// A search stops when the bytes that it has passed do not fit. A match may extend back over some of them.
#[test]
fn no_more_room_is_asked_for_than_is_needed() {
    let (model, mut work, mut stored) = (with(&[]), Work::small(), [0; 1000]);
    for (one, other) in
        (0..=255).step_by(17).flat_map(|one| (0..=255).step_by(5).map(move |other| (one, other)))
    {
        for length in [280, 290, 300] {
            let plain: Vec<u8> = [one, other].into_iter().cycle().take(length).collect();
            let used = model.compress(&plain, &mut stored, &mut work).expect("there is room");
            let again = model.compress(&plain, &mut stored[..used], &mut work);
            assert_eq!(again, Some(used), "the reported length is not enough room");
        }
    }
}

/// Some decoders read beyond a block whose last bytes are no literals.
#[test]
fn the_last_bytes_are_literals() {
    let (model, mut work, mut stored) = (with(&[]), Work::new(), [0; 100]);
    for length in 13..40 {
        let used = model.compress(&vec![7; length], &mut stored, &mut work).expect("there is room");
        assert!(used >= 6, "{length}: no room for five literals at the end");
        let token = stored[used - 6];
        assert_eq!((token >> 4, &stored[used - 5..used]), (5, &[7; 5][..]), "{length}");
    }
}

#[test]
fn no_dictionary_is_longer_than_a_match_reaches() {
    assert!(Lz4::new().import(&vec![0; 32 << 10]).is_ok());
    assert!(Lz4::new().import(&vec![0; (32 << 10) + 1]).is_err());
    let rows = values::rows(20_000);
    for most in [1 << 10, 16 << 10, 1 << 20] {
        let model = Lz4::with_dictionary(most)
            .train(&values::borrowed(&rows), 1 << 20)
            .expect("rows are alike");
        let mut length = 0;
        model.export(&mut |bytes| length += bytes.len());
        assert!(length > 256 && length <= most.min(32 << 10), "{length}");
    }
}
