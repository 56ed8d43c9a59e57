//! Draws how a `FenceMap`'s fences follow a hot range that moves: an SVG of time, keys and load.
//!
//! ```text
//! cargo run --release --example hot_range --features std-ext [-- [-o FILE] [FILE-OR-FOLDER...]]
//! ```
//!
//! The keys are the words of real text: with no path, of the sources of all crates that cargo has fetched, without
//! which this program was not built. Two threads write; nine writes of ten fall on a sixteenth of the words that follow
//! each other, first here, then there, and at last on the way from one end to the other. Workers keep the fences
//! balanced meanwhile.
//!
//! It says after how many writes each move had been followed: when no fence had more than a fifth of the hot range.

#![expect(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "pixels are coarser")]

use hedgerow::FenceMap;
use hedgerow::std_ext::FenceWorkers;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, mem, thread};

/// A word, its end cut off or filled up with zeroes.
type Word = [u8; 16];
/// The record of a word; a fence holds some thousands of this size.
type Known = [u64; 16];

const THREADS: usize = 2;
const WRITES: usize = 12_000_000;
/// Looks at the fences; each sixth of them is a column of the picture.
const COLUMNS: usize = 600;
const EACH: usize = 6;
/// So much text is read.
const TEXT: usize = 48 << 20;
/// Of all words, the part that is hot.
const HOT: usize = 16;
/// Where the hot range begins, in thousandths of the words, from which part of the writes on, in thousandths.
const PLACES: [(usize, usize); 4] = [(0, 700), (180, 150), (360, 420), (540, 860)];
/// From here on it drifts from one end to the other.
const DRIFT: usize = 720;

fn main() -> ExitCode {
    let mut paths = Vec::new();
    let mut output = PathBuf::from("target/hot_range.svg");
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.size_hint()) {
            ("-o", _) => output = args.next().unwrap_or_default().into(),
            _ => paths.push(PathBuf::from(arg)),
        }
    }
    if paths.is_empty() {
        let home = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
        paths.extend(home.map(|home| home.join("registry/src")));
    }
    let words = words_of(&paths);
    if words.len() < 1_000 {
        eprintln!("fewer than a thousand words: name files or folders with more text");
        return ExitCode::FAILURE;
    }
    let columns = watch(&words);
    report(&columns);
    if let Err(why) = fs::write(&output, draw(&columns, words.len())) {
        eprintln!("{}: {why}", output.display());
        return ExitCode::FAILURE;
    }
    println!("{}", output.display());
    ExitCode::SUCCESS
}

/// All words of the files, in order, each once.
fn words_of(paths: &[PathBuf]) -> Vec<Word> {
    let (mut words, mut left) = (BTreeSet::new(), TEXT);
    for path in paths {
        read(path, &mut words, &mut left);
    }
    words.into_iter().collect()
}

fn read(path: &Path, words: &mut BTreeSet<Word>, left: &mut usize) {
    if let Ok(folder) = fs::read_dir(path) {
        let mut inside: Vec<_> = folder.flatten().map(|entry| entry.path()).collect();
        inside.sort();
        for path in &inside {
            read(path, words, left);
        }
        return;
    }
    let is_text = path.extension().is_some_and(|end| end == "rs" || end == "md" || end == "txt");
    let Some(text) =
        Some(path).filter(|_| is_text && *left > 0).and_then(|path| fs::read(path).ok())
    else {
        return;
    };
    *left = left.saturating_sub(text.len());
    for word in text.split(|byte| !byte.is_ascii_alphanumeric()) {
        if word.first().is_some_and(u8::is_ascii_alphabetic) && word.len() > 1 {
            let mut key = Word::default();
            key.iter_mut().zip(word).for_each(|(to, from)| *to = from.to_ascii_lowercase());
            words.insert(key);
        }
    }
}

struct Rng(u64);
impl Rng {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % bound as u64) as usize
    }
}

/// Returns the begin of the hot range after this many writes.
fn hot_at(writes: usize, words: usize) -> usize {
    let done = writes.saturating_mul(1_000) / WRITES;
    let last = words - words / HOT;
    if done >= DRIFT {
        let way = writes.saturating_sub(WRITES / 1_000 * DRIFT);
        return (last as u64 * way as u64 / (WRITES / 1_000 * (1_000 - DRIFT)) as u64) as usize;
    }
    let place = PLACES.iter().rev().find(|(from, _)| *from <= done).map_or(0, |place| place.1);
    last * place / 1_000
}

/// The fences at a moment.
struct Column {
    writes: usize,
    /// The first word of the hot range, and the one behind its last.
    hot: (usize, usize),
    /// Of each fence the number of its first word, and its load.
    fences: Vec<(usize, usize)>,
}

impl Column {
    /// The greatest part of the hot range that is in one fence.
    fn most_in_one(&self) -> f64 {
        let (from, to) = self.hot;
        let ends = self.fences.iter().skip(1).map(|fence| fence.0).chain([usize::MAX]);
        let inside = self.fences.iter().zip(ends);
        let inside = inside.map(|(fence, end)| end.min(to).saturating_sub(fence.0.max(from)));
        inside.max().unwrap_or(0) as f64 / (to - from) as f64
    }
}

/// Writes, and looks at the fences now and then.
fn watch(words: &[Word]) -> Vec<Column> {
    let map: Arc<FenceMap<Word, Known>> =
        Arc::new(words.iter().map(|word| (*word, Known::default())).collect());
    let builder = FenceWorkers::<Word, Known>::builder().fences_a_step(32);
    let workers = builder.spawn(Arc::clone(&map)).expect("a thread");
    let written = AtomicUsize::new(0);
    let mut columns = Vec::with_capacity(COLUMNS);
    let began = Instant::now();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (map, written) = (&map, &written);
            scope.spawn(move || {
                let mut rng = Rng(thread as u64);
                let mut writes = 0;
                while writes < WRITES {
                    // relaxed: a count.
                    writes = written.fetch_add(100, Ordering::Relaxed);
                    let hot = hot_at(writes, words.len());
                    for _ in 0..100 {
                        let at = if rng.below(10) > 0 {
                            hot + rng.below(words.len() / HOT)
                        } else {
                            rng.below(words.len())
                        };
                        map.update(&words[at], |mut known| {
                            known[0] += 1;
                            known
                        });
                    }
                }
            });
        }
        for column in 0..COLUMNS {
            // relaxed: a count.
            while written.load(Ordering::Relaxed) < WRITES / COLUMNS * column {
                thread::sleep(Duration::from_micros(500));
            }
            // relaxed: a count.
            let writes = written.load(Ordering::Relaxed);
            let hot = hot_at(writes, words.len());
            let fences = map.fences().into_iter().map(|fence| {
                let first = fence.low.map_or(0, |low| words.partition_point(|word| *word < low));
                (first, fence.load)
            });
            let hot = (hot, hot + words.len() / HOT);
            columns.push(Column { writes, hot, fences: fences.collect() });
        }
    });
    let stats = workers.stats();
    println!(
        "{} words, {WRITES} writes in {:.1} s, {} looks of the workers",
        words.len(),
        began.elapsed().as_secs_f64(),
        stats.rebalance_steps
    );
    println!("{:?}", map.stats());
    columns
}

/// When each move had been followed.
fn report(columns: &[Column]) {
    for (at, (from, _)) in PLACES.iter().enumerate() {
        let until = PLACES.get(at + 1).map_or(DRIFT, |next| next.0);
        let from = WRITES / 1_000 * from;
        let until = WRITES / 1_000 * until;
        let here = || {
            let inside = |column: &&Column| from <= column.writes && column.writes < until;
            columns.iter().filter(inside).map(|column| (column.writes, column.most_in_one()))
        };
        let Some((_, last)) = here().next_back() else { continue };
        let Some((_, first)) = here().next() else { continue };
        let followed = here().find(|&(_, part)| part <= 0.2);
        println!(
            "move {at}: the fence with most of the hot range had {:.0} % of it, at last {:.0} %; \
             no more than a fifth after {} writes",
            first * 100.0,
            last * 100.0,
            followed.map_or(0, |(writes, _)| writes - from)
        );
    }
}

/// Colours of load, from none to the most.
const SHADES: [&str; 8] =
    ["#f2f0e9", "#e3e6d0", "#c6dcb4", "#98cba0", "#5fb39a", "#35908f", "#26667d", "#2a3c63"];

fn draw(columns: &[Column], words: usize) -> String {
    const LEFT: f64 = 78.0;
    const TOP: f64 = 46.0;
    const WIDTH: f64 = 790.0;
    const HEIGHT: f64 = 380.0;
    // Each shade is twice the load of the one before; the lightest is what falls on every word.
    let shade = |load: usize, words: usize| {
        let part = load as f64 / words.max(1) as f64;
        (part.max(1.0).log2() as usize).min(7)
    };
    let columns: Vec<&Column> = columns.iter().step_by(EACH).collect();
    let x = |writes: usize| LEFT + WIDTH * writes.min(WRITES) as f64 / WRITES as f64;
    let y = |word: usize| TOP + HEIGHT - HEIGHT * word as f64 / words as f64;
    let mut rows = [const { String::new() }; 8];
    let mut lines = String::new();
    // Fences, with their shades, that look as they did in the column before, and since when.
    let mut open: BTreeMap<(usize, usize, usize), f64> = BTreeMap::new();
    for column in columns.iter().map(Some).chain([None]) {
        let mut now = BTreeMap::new();
        let from = column.map_or(LEFT + WIDTH, |column| x(column.writes));
        if let Some(Column { fences, .. }) = column {
            let ends = fences.iter().skip(1).map(|fence| fence.0).chain([words]);
            for (&(low, load), end) in fences.iter().zip(ends) {
                let kind = (low, end, shade(load, end - low));
                now.insert(kind, open.remove(&kind).unwrap_or(from));
            }
        }
        for ((low, end, shade), begin) in mem::replace(&mut open, now) {
            let (bottom, top) = (y(low), y(end));
            let _ = write!(rows[shade], "M{begin:.0} {top:.1}H{from:.0}V{bottom:.1}H{begin:.0}z");
            if low > 0 {
                let _ = write!(lines, "M{begin:.0} {bottom:.1}H{from:.0}");
            }
        }
    }
    let (mut over, mut under) = (String::new(), String::new());
    for writes in (0..=WRITES).step_by(WRITES / 1_000) {
        let sign = if over.is_empty() { 'M' } else { 'L' };
        let low = hot_at(writes, words);
        let x = x(writes);
        let _ = write!(over, "{sign}{x:.1} {:.1}", y(low + words / HOT));
        let _ = write!(under, "{sign}{x:.1} {:.1}", y(low));
    }
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 500\" width=\"900\" height=\"500\" \
         style=\"min-width:620px;max-width:100%;height:auto\" font-family=\"sans-serif\" font-size=\"13\" role=\"img\">\n\
         <title>Fences of a FenceMap following a hot range</title>\n\
         <g fill=\"currentColor\"><text x=\"{LEFT}\" y=\"20\" font-size=\"15\">Fences follow a hot range of keys that \
         moves</text></g>\n"
    );
    for (row, colour) in rows.iter().zip(SHADES).filter(|(row, _)| !row.is_empty()) {
        let _ = writeln!(
            svg,
            "<path fill=\"{colour}\" stroke=\"{colour}\" stroke-width=\".3\" d=\"{row}\"/>"
        );
    }
    let _ = writeln!(
        svg,
        "<path fill=\"none\" stroke=\"#30343a\" stroke-width=\".35\" d=\"{lines}\"/>"
    );
    for edge in [over, under] {
        let _ = writeln!(
            svg,
            "<path fill=\"none\" stroke=\"#d9480f\" stroke-width=\"1.6\" d=\"{edge}\"/>"
        );
    }
    axes(&mut svg, [LEFT, TOP, WIDTH, HEIGHT], words);
    svg.push_str("</svg>\n");
    svg
}

fn axes(svg: &mut String, [left, top, width, height]: [f64; 4], words: usize) {
    let bottom = top + height;
    let _ = write!(
        svg,
        "<g fill=\"none\" stroke=\"currentColor\"><path d=\"M{left} {top}V{bottom}H{}\"/></g>\n<g fill=\"currentColor\">",
        left + width
    );
    for million in (0..=WRITES / 1_000_000).step_by(2) {
        let x = left + width * million as f64 * 1e6 / WRITES as f64;
        let _ = write!(
            svg,
            "<text x=\"{x:.0}\" y=\"{}\" text-anchor=\"middle\">{million}</text>",
            bottom + 18.0
        );
    }
    let _ = write!(
        svg,
        "<text x=\"{:.0}\" y=\"{}\" text-anchor=\"middle\">writes so far, millions</text>",
        left + width / 2.0,
        bottom + 38.0
    );
    let steps = [1, 2, 5, 10, 20, 50, 100, 200].map(|step| step * 1_000);
    let step = steps.into_iter().find(|step| words / step < 9).unwrap_or(words);
    for word in (0..=words).step_by(step) {
        let y = bottom - height * word as f64 / words as f64 + 4.0;
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{y:.0}\" text-anchor=\"end\">{}</text>",
            left - 8.0,
            word / 1_000
        );
    }
    let middle = top + height / 2.0;
    let _ = write!(
        svg,
        "<text transform=\"translate(22 {middle}) rotate(-90)\" text-anchor=\"middle\">keys in order, thousands</text>"
    );
    let mut x = left + width - 380.0;
    let _ = write!(
        svg,
        "<text x=\"{}\" y=\"36\" text-anchor=\"end\">writes to a key, lately: few</text>",
        x - 6.0
    );
    for colour in SHADES {
        let _ =
            write!(svg, "<rect x=\"{x}\" y=\"26\" width=\"16\" height=\"11\" fill=\"{colour}\"/>");
        x += 16.0;
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"36\">many</text><path d=\"M{} 31h22\" stroke=\"#808080\" stroke-width=\"1.5\"/><text x=\"{}\" y=\"36\">fence\
         </text><path d=\"M{} 31h22\" stroke=\"#d9480f\" stroke-width=\"2\"/><text x=\"{}\" y=\"36\">hot range</text></g>",
        x + 6.0,
        x + 50.0,
        x + 78.0,
        x + 125.0,
        x + 153.0
    );
}
