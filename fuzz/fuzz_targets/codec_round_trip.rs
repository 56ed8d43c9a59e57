//! Codecs that learn from some parts of the input compress and decompress the others: whatever they learned, a value
//! comes back, takes the room that it takes and no less, and what was exported does the same. What `Lz4` makes is a
//! block that `lz4_flex` understands.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow::compressed::codec::{Choice, Codec, Lz4, Model, SmallText, Work};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Script {
    /// Repeated, so that there is something to learn.
    samples: Vec<Vec<u8>>,
    repeated: u8,
    values: Vec<Vec<u8>>,
    /// Each value is made so many times as long.
    longer: u8,
    symbols: u16,
    small: bool,
}

fn exported(model: &dyn Model) -> Vec<u8> {
    let mut bytes = Vec::new();
    model.export(&mut |piece| bytes.extend(piece));
    bytes
}

fn round_trip(codec: &dyn Codec, model: &dyn Model, plain: &[u8], work: &mut Work) {
    let mut stored = vec![0; 2 * plain.len() + 16];
    let length = model.compress(plain, &mut stored, work).expect("there is room");
    let mut back = vec![1; plain.len()];
    model.decompress(&stored[..length], &mut back).expect("what was compressed");
    assert_eq!(back, plain);
    if codec.name() == "lz4" {
        let dictionary = exported(model);
        let other =
            lz4_flex::block::decompress_with_dict(&stored[..length], plain.len(), &dictionary);
        assert_eq!(other.expect("a block"), plain);
    }
    let mut exactly = vec![0; length];
    assert_eq!(model.compress(plain, &mut exactly, work), Some(length));
    assert_eq!(exactly, stored[..length]);
    if length > 0 {
        assert_eq!(model.compress(plain, &mut exactly[1..], work), None);
    }
    back.push(0);
    let stored = &stored[..length];
    assert!(model.decompress(stored, &mut back).is_err(), "longer than the value was");
    if !plain.is_empty() {
        assert!(model.decompress(stored, &mut back[2..]).is_err(), "shorter than it was");
    }
}

fuzz_target!(|script: Script| {
    let mut samples: Vec<&[u8]> = Vec::new();
    for _ in 0..=script.repeated {
        samples.extend(script.samples.iter().map(|sample| &**sample));
    }
    let mut work = if script.small { Work::small() } else { Work::new() };
    let codecs: [Box<dyn Codec>; 2] =
        [Box::new(Lz4::new()), Box::new(SmallText::with_symbols(usize::from(script.symbols)))];
    let mut models: Vec<Box<dyn Model>> = Vec::new();
    for codec in &codecs {
        for model in codec.untrained().into_iter().chain(codec.train(&samples, 1 << 20)) {
            for value in &script.values {
                let plain = value.repeat(1 + usize::from(script.longer));
                round_trip(&**codec, &*model, &plain, &mut work);
            }
            let bytes = exported(&*model);
            let copy = codec.import(&bytes).expect("what was exported");
            assert_eq!(exported(&*copy), bytes);
            models.push(copy);
        }
    }
    let models: Vec<&dyn Model> = models.iter().map(|model| &**model).collect();
    let mut choice = Choice::new();
    for plain in &script.values {
        let (mut into, mut other) = (plain.clone(), plain.clone());
        let best = choice.best_of(&models, plain, &mut into, &mut other, &mut work);
        if let Some((by, length)) = best {
            assert!(length < Choice::worth(plain.len()));
            models[by].decompress(&into[..length], &mut other).expect("what was compressed");
            assert_eq!(other, *plain);
        }
    }
});
