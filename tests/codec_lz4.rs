//! `Lz4` against `lz4_flex`, both ways.

mod support;

use hedgerow::compressed::codec::{Codec, Lz4, Model, Work};
use support::values;

/// Compresses and decompresses, by us and by `lz4_flex`; how many bytes it takes, if no more than `room`.
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
    assert_eq!(back, plain);
    let other = lz4_flex::block::decompress_with_dict(&stored[..length], plain.len(), dictionary);
    assert_eq!(other.expect("a block"), plain);
    Some(length)
}

#[test]
fn all_kinds_of_values_come_back() {
    let (model, mut work) = (Lz4::new().untrained().unwrap(), Work::new());
    for plain in values::all() {
        let most = lz4_flex::block::get_maximum_output_size(plain.len());
        let length = round_trip(&*model, &[], &plain, most, &mut work).expect("there is room");
        // No more room than that is needed, and with less there is an answer too.
        assert_eq!(round_trip(&*model, &[], &plain, length, &mut work), Some(length));
        assert_eq!(round_trip(&*model, &[], &plain, length - 1, &mut work), None);
    }
}

#[test]
fn blocks_of_others_are_understood() {
    let model = Lz4::new().untrained().unwrap();
    for plain in values::all() {
        let stored = lz4_flex::block::compress(&plain);
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
