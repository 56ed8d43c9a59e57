//! Values for codecs: of every kind, and of the lengths at which codecs change their ways.

use super::rng::Rng;

const WORDS: [&str; 16] = [
    "the ",
    "of ",
    "and ",
    "compressed ",
    "value",
    "map",
    "\n",
    ", ",
    "naïve ",
    "日本",
    "0",
    "17",
    "2024-05-",
    "http://",
    "ERROR ",
    "\u{1f600}",
];

/// A kind of values: makes one of a given number of bytes.
type Kind = fn(&mut Rng, usize) -> Vec<u8>;

const KINDS: [Kind; 7] = [
    |_, length| vec![0; length],
    |_, length| vec![0xff; length],
    |rng, length| (0..length).map(|_| rng.next() as u8).collect(),
    |rng, length| (0..length).map(|_| b'a' + rng.below(4) as u8).collect(),
    |rng, length| {
        let period = 1 + rng.below(40);
        (0..length).map(|at| (at % period * 37) as u8).collect()
    },
    text,
    |rng, length| {
        let mut bytes = text(rng, length);
        for _ in 0..length / 20 {
            bytes[rng.below(length)] = rng.next() as u8;
        }
        bytes
    },
];

fn text(rng: &mut Rng, length: usize) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < length {
        text.extend(rng.pick(&WORDS).as_bytes());
    }
    text.truncate(length);
    text
}

/// A row as databases have them.
pub(crate) fn row(rng: &mut Rng, number: usize) -> Vec<u8> {
    let (a, b) = (rng.below(100_000), rng.below(1000));
    let (name, state) = (rng.pick(&WORDS), rng.pick(&["open", "closed", "waiting"]));
    format!(
        r#"{{"id":{number},"name":"{name}{name}","price":{a}.{b},"state":"{state}","note":null}}"#
    )
    .into_bytes()
}

/// `count` rows.
pub(crate) fn rows(count: usize) -> Vec<Vec<u8>> {
    let mut rng = Rng::new(super::seed());
    (0..count).map(|number| row(&mut rng, number)).collect()
}

/// Every kind in every length.
pub(crate) fn all() -> Vec<Vec<u8>> {
    let mut rng = Rng::new(super::seed());
    let long = [63, 64, 65, 255, 256, 269, 270, 271, 1000, 4096, 65535, 65536, 100_000];
    let lengths: Vec<usize> = (0..40).chain(long).collect();
    KINDS
        .iter()
        .flat_map(|kind| lengths.iter().map(|&l| kind(&mut rng, l)).collect::<Vec<_>>())
        .collect()
}

/// References, as training wants them.
pub(crate) fn borrowed(values: &[Vec<u8>]) -> Vec<&[u8]> {
    values.iter().map(|value| &**value).collect()
}
