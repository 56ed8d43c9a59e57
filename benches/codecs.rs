//! The codecs against their own past: `cargo bench --bench codecs -- --save-baseline before`, then, with the change,
//! `-- --baseline before`. `codecs` in `benches/versus` compares them with other codecs, and has their ratios.
//!
//! The values are rows made up, and the lines of this crate's sources: real sets are there, too.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hedgerow::compressed::codec::{Choice, Codec, Lz4, Model, SmallText, Work};
use std::fs;
use std::hint::black_box;
use std::path::Path;

/// One value in its stored form.
struct Stored {
    bytes: Vec<u8>,
    plain: usize,
}

/// Rows of about a hundred bytes.
fn rows() -> Vec<Vec<u8>> {
    let words = ["hedge", "row", "field", "lane", "meadow", "brook", "gate", "stile"];
    let mut state = 1_u64;
    let mut below = move |bound: u64| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 33) % bound
    };
    let row = |number| {
        let (one, other) = (words[below(8) as usize], words[below(8) as usize]);
        let (x, y, open) = (below(90_000_000), below(90_000_000), below(2) == 1);
        format!(
            r#"{{"id":{number},"name":"{one} {other}","x":{x},"y":{y},"open":{open},"note":null}}"#
        )
        .into_bytes()
    };
    (0..20_000).map(row).collect()
}

/// Pieces of some lines of all sources below the folder.
fn sources(folder: &Path, into: &mut Vec<Vec<u8>>) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .expect("sources")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read(&path).expect("a source");
            let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
            into.extend(lines.chunks(8).map(|lines| lines.concat()));
        }
    }
}

fn models(values: &[Vec<u8>]) -> Vec<(&'static str, Box<dyn Model>)> {
    let samples: Vec<&[u8]> = values.iter().step_by(2).map(|value| &**value).collect();
    let text = SmallText::new().train(&samples, 1 << 20).expect("there is something to learn");
    let blocks = Lz4::new().train(&samples, 1 << 20).expect("there is something to learn");
    let plain = Lz4::new().untrained().expect("it needs no training");
    vec![("small-text", text), ("lz4", blocks), ("lz4 untrained", plain)]
}

fn codecs(criterion: &mut Criterion) {
    let mut pieces = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut pieces);
    for (set, values) in [("rows", rows()), ("sources", pieces)] {
        let plain: usize = values.iter().map(Vec::len).sum();
        let (mut work, mut into, mut other) = (Work::new(), vec![0; 1 << 16], vec![0; 1 << 16]);
        let models = models(&values);
        for (name, model) in &models {
            let stored: Vec<Stored> = values
                .iter()
                .map(|value| {
                    let length =
                        model.compress(value, &mut into, &mut work).expect("there is room");
                    Stored { bytes: into[..length].to_vec(), plain: value.len() }
                })
                .collect();
            let bytes: usize = stored.iter().map(|stored| stored.bytes.len()).sum();
            println!("{set} by {name}: {plain} bytes take {bytes}");
            let mut group = criterion.benchmark_group(format!("{set}/{name}"));
            group.throughput(Throughput::Bytes((plain / values.len()) as u64));
            let mut next = values.iter().cycle();
            group.bench_function("compress", |bencher| {
                bencher.iter(|| {
                    model.compress(
                        next.next().expect("it repeats"),
                        black_box(&mut into),
                        &mut work,
                    )
                });
            });
            let mut next = stored.iter().cycle();
            group.bench_function("decompress", |bencher| {
                bencher.iter(|| {
                    let stored = next.next().expect("it repeats");
                    model.decompress(&stored.bytes, black_box(&mut into[..stored.plain]))
                });
            });
        }
        let all: Vec<&dyn Model> = models.iter().map(|(_, model)| &**model).collect();
        let mut choice = Choice::new();
        let mut next = values.iter().cycle();
        criterion.bench_function(&format!("{set}/best of all/compress"), |bencher| {
            bencher.iter(|| {
                let value = next.next().expect("it repeats");
                choice.best_of(&all, value, black_box(&mut into), &mut other, &mut work)
            });
        });
    }
    training(criterion);
}

fn training(criterion: &mut Criterion) {
    let rows = rows();
    let samples: Vec<&[u8]> = rows.iter().map(|row| &**row).collect();
    let mut group = criterion.benchmark_group("training");
    group.sample_size(10);
    group.bench_function("small-text", |bencher| {
        bencher.iter(|| SmallText::new().train(&samples, 1 << 20));
    });
    group.bench_function("lz4", |bencher| bencher.iter(|| Lz4::new().train(&samples, 1 << 20)));
}

criterion_group!(benches, codecs);
criterion_main!(benches);
