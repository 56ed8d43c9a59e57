//! Plugs in a codec that hedgerow does not have: Snappy, by the crate `snap`. Prints how short it and the others
//! make the lines of some text.
//!
//! ```text
//! cargo run --release --example own_codec [-- FILE...]
//! ```
//!
//! Without a file it takes hedgerow's own sources.

use hedgerow::compressed::codec::{Choice, Codec, Corrupt, Lz4, Model, SmallText, Work};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs, io};

/// Learns nothing, so codec and model are the same.
#[derive(Clone, Copy)]
struct Snappy;

/// Reused memory. The encoder has tables of its own, and wants more room than it uses.
struct Scratch {
    encoder: snap::raw::Encoder,
    room: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { encoder: snap::raw::Encoder::new(), room: Vec::new() }
    }
}

impl Codec for Snappy {
    fn name(&self) -> &'static str {
        "snappy"
    }

    fn untrained(&self) -> Option<Box<dyn Model>> {
        Some(Box::new(*self))
    }

    fn train(&self, _samples: &[&[u8]], _room: usize) -> Option<Box<dyn Model>> {
        None
    }

    fn import(&self, bytes: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
        if bytes.is_empty() { Ok(Box::new(*self)) } else { Err(Corrupt::new()) }
    }
}

impl Model for Snappy {
    fn compress(&self, plain: &[u8], into: &mut [u8], work: &mut Work) -> Option<usize> {
        // Made for the first value, and kept.
        let scratch = work.keep::<Scratch>();
        let most = snap::raw::max_compress_len(plain.len());
        if scratch.room.len() < most {
            scratch.room.resize(most, 0);
        }
        let length = scratch.encoder.compress(plain, &mut scratch.room).ok()?;
        into.get_mut(..length)?.copy_from_slice(&scratch.room[..length]);
        Some(length)
    }

    fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
        match snap::raw::Decoder::new().decompress(stored, into) {
            Ok(length) if length == into.len() => Ok(()),
            _ => Err(Corrupt::new()),
        }
    }

    fn export(&self, _into: &mut dyn FnMut(&[u8])) {}

    fn bytes(&self) -> usize {
        0
    }
}

fn main() -> ExitCode {
    let mut lines = Vec::new();
    let files: Vec<_> = env::args().skip(1).collect();
    let read = if files.is_empty() {
        lines_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut lines)
    } else {
        files.iter().try_for_each(|file| lines_of(Path::new(file), &mut lines))
    };
    if let Err(why) = read {
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    // Every eighth is learned from.
    let samples: Vec<&[u8]> = lines.iter().step_by(8).map(|line| &**line).collect();
    let codecs: [&dyn Codec; 3] = [&Snappy, &Lz4::new(), &SmallText::new()];
    let mut models = Vec::new();
    for codec in codecs {
        models.extend(codec.untrained().map(|model| (codec.name().to_owned(), model)));
        models.extend(
            codec
                .train(&samples, 1 << 20)
                .map(|model| (codec.name().to_owned() + ", trained", model)),
        );
    }
    let bytes: usize = lines.iter().map(Vec::len).sum();
    println!(
        "{} lines, {bytes} bytes, {} of them on average",
        lines.len(),
        bytes / lines.len().max(1)
    );
    for (name, model) in &models {
        report(name, &[&**model], &lines);
    }
    let all: Vec<&dyn Model> = models.iter().map(|(_, model)| &**model).collect();
    report("the best of all", &all, &lines);
    ExitCode::SUCCESS
}

/// The lines of all files in a folder.
fn lines_below(folder: &Path, lines: &mut Vec<Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            lines_below(&path, lines)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            lines_of(&path, lines)?;
        }
    }
    Ok(())
}

fn lines_of(file: &Path, lines: &mut Vec<Vec<u8>>) -> io::Result<()> {
    lines.extend(fs::read_to_string(file)?.lines().map(|line| line.as_bytes().to_vec()));
    Ok(())
}

/// Compresses all lines, each by the model that makes it smallest, and reads them again.
fn report(name: &str, models: &[&dyn Model], lines: &[Vec<u8>]) {
    let longest = lines.iter().map(Vec::len).max().unwrap_or(0);
    let (mut work, mut choice) = (Work::new(), Choice::new());
    let (mut into, mut other) = (vec![0; longest], vec![0; longest]);
    let begin = Instant::now();
    let stored: Vec<(Option<usize>, Vec<u8>)> = lines
        .iter()
        .map(|line| match choice.best_of(models, line, &mut into, &mut other, &mut work) {
            Some((model, length)) => (Some(model), into[..length].to_vec()),
            None => (None, line.clone()),
        })
        .collect();
    let write = begin.elapsed();
    let begin = Instant::now();
    for (line, (model, stored)) in lines.iter().zip(&stored) {
        if let Some(model) = model {
            let back = &mut into[..line.len()];
            models[*model].decompress(stored, back).expect("what was compressed");
            assert_eq!(back, line);
        }
    }
    let read = begin.elapsed();
    let plain: usize = lines.iter().map(Vec::len).sum();
    let bytes: usize = stored.iter().map(|(_, stored)| stored.len()).sum();
    let each = |time: std::time::Duration| time.as_nanos() / lines.len().max(1) as u128;
    let percent = bytes * 100 / plain.max(1);
    println!("{name:22} {percent:3} %  {:5} ns to write, {:4} to read", each(write), each(read));
}
