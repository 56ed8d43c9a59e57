//! builds: asan narrow
//!
//! Properties of every codec: all values come back; damaged bytes do no harm; models survive export and import; only
//! training allocates; small stacks are enough.

use crate::support;

use hedgerow::compressed::codec::{Choice, Codec, Corrupt, Lz4, Model, SmallText, Work};
use std::sync::OnceLock;
use std::thread;
use support::alloc::counted;
use support::rng::{Rng, mix};
use support::values;

/// Counts the allocations of each thread.
/// Random inputs of each kind.
const TURNS: usize = 1000;

fn codecs() -> [Box<dyn Codec>; 3] {
    [Box::new(Lz4::new()), Box::new(SmallText::new()), Box::new(SmallText::with_symbols(400))]
}

/// A model, its codec, and its name in messages.
struct Trained {
    name: &'static str,
    codec: Box<dyn Codec>,
    model: Box<dyn Model>,
}

fn models() -> &'static [Trained] {
    static MODELS: OnceLock<Vec<Trained>> = OnceLock::new();
    MODELS.get_or_init(|| {
        let (rows, mixed) = (values::rows(1000), short());
        let mut models = Vec::new();
        for samples in [values::borrowed(&rows), values::borrowed(&mixed)] {
            for codec in codecs() {
                let model = codec.train(&samples, 1 << 20).expect("the samples are alike");
                models.push(Trained { name: codec.name(), codec, model });
            }
        }
        for codec in codecs() {
            if let Some(model) = codec.untrained() {
                models.push(Trained { name: "untrained", codec, model });
            }
        }
        models
    })
}

/// Returns values of all kinds, except the longest.
fn short() -> Vec<Vec<u8>> {
    let mut values = values::all();
    values.retain(|value| value.len() <= 4096);
    values
}

fn exported(model: &dyn Model) -> Vec<u8> {
    let mut bytes = Vec::new();
    model.export(&mut |piece| bytes.extend(piece));
    bytes
}

fn compressed(model: &dyn Model, plain: &[u8], work: &mut Work) -> Vec<u8> {
    // No byte takes more than two bytes.
    let mut stored = vec![0; 2 * plain.len() + 16];
    let length = model.compress(plain, &mut stored, work).expect("there is room");
    stored.truncate(length);
    stored
}

#[test]
fn all_values_come_back() {
    let mut values = short();
    values.extend(values::rows(200));
    values.extend(values::all().pop());
    let (mut work, mut small) = (Work::new(), Work::small());
    for Trained { name, model, .. } in models() {
        for plain in &values {
            for work in [&mut work, &mut small] {
                let mut stored = compressed(&**model, plain, work);
                let length = stored.len();
                let mut back = vec![1; plain.len()];
                model.decompress(&stored, &mut back).expect(name);
                assert!(back == *plain, "{name}: {plain:?}");
                // With exactly this room the result is the same; with less it is `None`.
                assert_eq!(model.compress(plain, &mut stored, work), Some(length), "{name}");
                let less = length.checked_sub(1).map(|less| &mut stored[..less]);
                assert!(
                    less.is_none_or(|less| model.compress(plain, less, work).is_none()),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn a_length_that_is_wrong_is_found() {
    let mut work = Work::new();
    for Trained { name, model, .. } in models() {
        for plain in values::rows(200) {
            let stored = compressed(&**model, &plain, &mut work);
            for length in (0..plain.len() + 20).filter(|&length| length != plain.len()) {
                let done = model.decompress(&stored, &mut vec![0; length]);
                let found = done == Err(Corrupt::new());
                assert!(found, "{name}: {length} bytes came back instead of {}", plain.len());
            }
            for short in 0..stored.len() {
                assert!(model.decompress(&stored[..short], &mut plain.clone()).is_err(), "{name}");
            }
        }
    }
}

#[test]
fn damaged_values_do_no_harm() {
    let (mut rng, mut work) = (Rng::new(support::seed()), Work::new());
    let values = values::rows(50);
    for Trained { name, model, .. } in models() {
        let mut found = 0;
        for _ in 0..TURNS {
            let plain = rng.pick(&values).clone();
            let mut stored = compressed(&**model, &plain, &mut work);
            let at = rng.below(stored.len());
            match rng.below(3) {
                0 => stored[at] ^= 1 << rng.below(8),
                1 => stored.truncate(at),
                _ => stored.iter_mut().for_each(|byte| *byte = rng.next() as u8),
            }
            found += usize::from(model.decompress(&stored, &mut plain.clone()).is_err());
        }
        assert!(found > TURNS / 2, "{name}: {found}");
    }
}

#[test]
fn an_imported_model_does_the_same() {
    let (mut work, values) = (Work::new(), values::rows(200));
    for Trained { name, codec, model } in models() {
        let bytes = exported(&**model);
        let copy = codec.import(&bytes).expect(name);
        assert_eq!(exported(&*copy), bytes, "{name}");
        assert_eq!(copy.bytes(), model.bytes(), "{name}");
        for plain in &values {
            let stored = compressed(&*copy, plain, &mut work);
            assert_eq!(stored, compressed(&**model, plain, &mut work), "{name}");
        }
    }
}

#[test]
fn damaged_models_do_no_harm() {
    let (mut rng, mut work) = (Rng::new(support::seed()), Work::new());
    let values = values::rows(20);
    for Trained { codec, model, .. } in models() {
        let whole = exported(&**model);
        for turn in 0..TURNS / 5 {
            let mut bytes = whole.clone();
            if bytes.is_empty() {
                break;
            }
            for _ in 0..=rng.below(4) {
                // The first bytes matter most.
                let at = if rng.one_in(2) { rng.below(bytes.len()) } else { rng.below(16) };
                bytes[at] = rng.next() as u8;
            }
            if turn % 4 == 0 {
                bytes.truncate(rng.below(bytes.len()));
            }
            let Ok(damaged) = codec.import(&bytes) else { continue };
            for plain in &values {
                let stored = compressed(&*damaged, plain, &mut work);
                let mut back = vec![0; plain.len()];
                damaged.decompress(&stored, &mut back).expect("its own");
                assert_eq!(back, *plain, "another model, but a whole one");
                let _ = damaged.decompress(&compressed(&**model, plain, &mut work), &mut back);
            }
        }
    }
}

#[test]
fn too_few_samples_teach_nothing() {
    for codec in codecs() {
        assert!(codec.train(&[], 1 << 20).is_none());
        assert!(codec.train(&[b"", b"", b""], 1 << 20).is_none());
        assert!(codec.train(&[&b"one"[..]; 10], 1 << 20).is_none());
    }
    assert!(SmallText::new().untrained().is_none());
}

#[test]
fn only_training_allocates() {
    let (mut work, values) = (Work::new(), values::rows(300));
    for Trained { name, model, .. } in models() {
        let (mut stored, mut back) = (vec![0; 1000], vec![0; 1000]);
        let ((), counts) = counted(|| {
            for plain in &values {
                let length = model.compress(plain, &mut stored, &mut work).expect("there is room");
                model.decompress(&stored[..length], &mut back[..plain.len()]).expect(name);
                let _ = model.decompress(plain, &mut back);
            }
        });
        assert_eq!(counts.allocations, 0, "{name}");
    }
}

#[test]
fn a_model_says_how_many_bytes_it_has() {
    for Trained { codec, model, .. } in models() {
        let bytes = exported(&**model);
        let (model, counts) = counted(|| codec.import(&bytes).expect("a model"));
        assert_eq!(counts.live, model.bytes().cast_signed(), "{}", codec.name());
    }
}

#[test]
fn a_small_stack_is_enough() {
    let (models, last) = (models(), values::all().pop().expect("there are values"));
    let (mut stored, mut back, mut work) = (vec![0; 3 * last.len()], last.clone(), Work::new());
    // The system uses a part of a thread's stack, and unoptimized code takes several times as much.
    let thread = thread::Builder::new().stack_size(16 << 10).spawn(move || {
        for Trained { model, .. } in models {
            let length = model.compress(&last, &mut stored, &mut work).expect("there is room");
            model.decompress(&stored[..length], &mut back).expect("what was compressed");
        }
    });
    thread.expect("a thread").join().expect("it ends");
}

#[test]
fn rows_get_much_smaller() {
    let rows = values::rows(4000);
    let (samples, others) = rows.split_at(3000);
    let samples = values::borrowed(samples);
    let text = SmallText::new().train(&samples, 1 << 20).expect("rows are alike");
    let blocks = Lz4::new().train(&samples, 1 << 20).expect("rows are alike");
    let (mut work, mut choice) = (Work::new(), Choice::new());
    let (mut into, mut other) = ([0; 200], [0; 200]);
    let (mut plain, mut by_text, mut by_blocks, mut best) = (0, 0, 0, 0);
    for row in others {
        plain += row.len();
        by_text += text.compress(row, &mut into, &mut work).expect("there is room");
        by_blocks += blocks.compress(row, &mut into, &mut work).expect("there is room");
        let models = [&*blocks, &*text];
        best += choice
            .best_of(&models, row, &mut into, &mut other, &mut work)
            .map_or(row.len(), |(_, length)| length);
    }
    assert!(by_text * 4 < plain, "{by_text} of {plain}");
    assert!(by_blocks * 2 < plain, "{by_blocks} of {plain}");
    assert!(best <= by_text, "{best}");
}

/// The most symbols that there may be. Training keeps more of them in its first rounds.
#[test]
fn training_of_the_most_symbols_ends() {
    let mut rng = Rng::new(8192);
    let letter = |rng: &mut Rng| b'a' + u8::try_from(rng.below(26)).unwrap();
    let words: Vec<Vec<u8>> =
        (0..6000).map(|_| (0..8).map(|_| letter(&mut rng)).collect()).collect();
    let rows: Vec<Vec<u8>> = (0..20_000)
        .map(|_| {
            let mut word = || &*words[rng.below(words.len())];
            [word(), word(), word()].join(&b' ')
        })
        .collect();
    let codec = SmallText::with_symbols(usize::MAX);
    let model = codec.train(&values::borrowed(&rows), 1 << 20).expect("the words repeat");
    let again = codec.import(&exported(&*model)).expect("an exported model is read");
    assert_eq!(exported(&*again), exported(&*model));
}

/// Texts of many kinds, also some whose symbols differ in few bits: the hashes of all are apart.
#[test]
fn trained_tables_are_imported() {
    let numbers = |count: u64, make: &dyn Fn(u64) -> String| -> Vec<Vec<u8>> {
        (0..count).map(|n| make(n).into_bytes()).collect()
    };
    let sets = [
        numbers(9_000, &|n| format!("user:{n:09}")),
        numbers(9_000, &|n| format!("{:016x}{:016x}", mix(n), mix(!n))),
        numbers(9_000, &|n| format!("https://example.org/{}/{}?page={n}", n % 97, mix(n) % 1000)),
        numbers(9_000, &|n| format!("{}.{}.{}.{}", n % 7, n % 251, mix(n) % 256, n % 256)),
        numbers(2_000, &|n| "日本語の文字".chars().cycle().skip(n as usize % 5).take(40).collect()),
        (0..4_000_u64).map(|n| (n * n).to_be_bytes().repeat(4)).collect(),
        (0..4_000_u64).map(|n| (0..60).map(|at| (mix(n + at) % 3) as u8 * 64).collect()).collect(),
        values::rows(4_000),
        short(),
    ];
    for (number, set) in sets.iter().enumerate() {
        for codec in [SmallText::new(), SmallText::with_symbols(usize::MAX)] {
            let model = codec.train(&values::borrowed(set), 1 << 20).expect("values are alike");
            let again = codec.import(&exported(&*model));
            let again = again.unwrap_or_else(|_| panic!("the table of set {number} is refused"));
            assert_eq!(exported(&*again), exported(&*model), "set {number}");
        }
    }
}
