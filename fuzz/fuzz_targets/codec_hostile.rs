//! Hostile bytes, imported as models and decompressed as values. The result is an error, a whole model, or exactly the
//! requested number of bytes; the codec reads and writes nothing beyond.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow::compressed::codec::{Codec, Lz4, Model, SmallText, Work};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Script {
    text: bool,
    /// A model's bytes; a model of text has symbols for all single bytes in front of them.
    model: Vec<u8>,
    widths: [u8; 8],
    count: u16,
    /// Nothing is added to the model.
    bare: bool,
    stored: Vec<Vec<u8>>,
    lengths: Vec<u16>,
}

/// Returns the begin of a table of symbols, so that the codec does not refuse every input.
fn table(script: &Script) -> Vec<u8> {
    let mut bytes = vec![1];
    bytes.extend(script.widths.map(|width| width % 15));
    let single = (0..=255).flat_map(|byte| [1, byte]);
    // As many as are there, most times.
    let mut rest = &script.model[..];
    let mut count = 256_u16;
    while let Some((&length, behind)) = rest.split_first() {
        let Some(behind) = behind.get(usize::from(length)..) else { break };
        (rest, count) = (behind, count.saturating_add(1));
    }
    let count = if script.count % 4 == 0 { script.count } else { count };
    bytes.extend(count.to_le_bytes());
    bytes.extend(single);
    bytes.extend(&script.model);
    bytes
}

fuzz_target!(|script: Script| {
    let codec: Box<dyn Codec> =
        if script.text { Box::new(SmallText::new()) } else { Box::new(Lz4::new()) };
    let bytes = if script.text && !script.bare { table(&script) } else { script.model.clone() };
    let Ok(model) = codec.import(&bytes) else { return };
    let model: &dyn Model = &*model;
    let mut work = Work::small();
    for stored in &script.stored {
        for &length in &script.lengths {
            // The bytes on both sides of the destination must stay.
            let mut into = vec![0xa5; usize::from(length) + 128];
            let _ = model.decompress(stored, &mut into[64..64 + usize::from(length)]);
            assert!(
                into[..64]
                    .iter()
                    .chain(&into[64 + usize::from(length)..])
                    .all(|&byte| byte == 0xa5)
            );
        }
        // A model that was imported compresses, too.
        let mut into = vec![0; 3 * stored.len() + 16];
        if let Some(used) = model.compress(stored, &mut into, &mut work) {
            let mut back = vec![0; stored.len()];
            model.decompress(&into[..used], &mut back).expect("what was compressed");
            assert_eq!(back, *stored);
        }
    }
});
