//! Loads rows of text into a `CompressedMap` under several budgets, prints the saved memory and the time of a read,
//! and plots one against the other.
//!
//! ```text
//! cargo run --release --example cold_rows [-- [-o FILE.svg] [FILE...]]
//! ```
//!
//! A row is a line of the files. With no file they are those of the index of crates, which cargo keeps of all that
//! this program was built from: a JSON object for each version of each crate. Rows come in random order, and are read
//! unevenly, by Zipf's law with exponent 0.99, as if some were in fashion.
//!
//! It is measured against a `HashMap` of boxed slices, of which the bytes are counted that it asks the allocator for.

#![expect(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "figures are coarser")]

use hedgerow::CompressedMap;
use hedgerow::compressed::Stats;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs};

/// Budgets, in hundredths of the plain map's memory.
const BUDGETS: [usize; 8] = [100, 80, 65, 50, 40, 35, 30, 25];
const READS: usize = 400_000;
/// Reads before those that count.
const WARM: usize = 2_000_000;
const LONGEST: usize = 60_000;

type Row = (Box<[u8]>, Box<[u8]>);

fn main() -> ExitCode {
    let mut paths = Vec::new();
    let mut output = PathBuf::from("target/cold_rows.svg");
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-o" => output = args.next().unwrap_or_default().into(),
            _ => paths.push(PathBuf::from(arg)),
        }
    }
    let mut rows = if paths.is_empty() { crates() } else { lines(&paths) };
    if rows.len() < 1_000 {
        eprintln!("fewer than a thousand rows: name files with more lines");
        return ExitCode::FAILURE;
    }
    let mut rng = Rng(1);
    (1..rows.len()).rev().for_each(|n| rows.swap(n, rng.below(n + 1)));
    let zipf = Zipf::new(rows.len());
    let order: Vec<usize> = (0..WARM + READS).map(|_| zipf.rank(&mut rng)).collect();

    let (plain, bytes) = plain(&rows, &order);
    let text: usize = rows.iter().map(|(key, value)| key.len() + value.len()).sum();
    println!("{} rows, {} of text", rows.len(), mebibytes(text));
    println!("{:>22}  memory  of plain  hot  mean ns   p50   p99  refused", "");
    let row = |name: &str, bytes: usize, part: f64, point: &Point| {
        println!(
            "{name:>22} {:>7}  {part:>8.2} {:>4.0} {:>8.0} {:>5} {:>5} {:>8}",
            mebibytes(bytes),
            point.hot * 100.0,
            point.mean,
            point.p50,
            point.p99,
            point.refused
        );
    };
    row("HashMap of boxes", bytes, 1.0, &plain);
    let mut points = Vec::new();
    for budget in BUDGETS {
        let (point, stats) = compressed(&rows, &order, bytes / 100 * budget);
        row(
            &format!("budget {budget} %"),
            stats.memory_bytes,
            stats.memory_bytes as f64 / bytes as f64,
            &point,
        );
        // A budget that does not hold all rows is no alternative.
        if point.refused == 0 {
            points.push((stats.memory_bytes as f64 / bytes as f64, point));
        }
    }
    if let Err(why) = fs::write(&output, draw(&plain, &points, rows.len())) {
        eprintln!("{}: {why}", output.display());
        return ExitCode::FAILURE;
    }
    println!("{}", output.display());
    ExitCode::SUCCESS
}

/// The rows of cargo's index: the key is a crate and its version, the value is the index entry.
fn crates() -> Vec<Row> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let mut rows = Vec::new();
    let Some(index) = home.map(|home| home.join("registry/index")) else { return rows };
    visit(&index, &mut |text| {
        // A file's name is not in its rows' way: version and row follow each other, each ended by a zero.
        for row in text.split(|&byte| byte == 0).filter(|row| row.starts_with(b"{\"name\":")) {
            let key = row.split(|&byte| byte == b'"').skip(3).step_by(4).take(2);
            let key = key.collect::<Vec<_>>().join(&b' ');
            rows.push((key.into(), row[..row.len().min(LONGEST)].into()));
        }
    });
    rows
}

fn visit(path: &Path, each: &mut impl FnMut(&[u8])) {
    if let Ok(folder) = fs::read_dir(path) {
        let mut inside: Vec<_> = folder.flatten().map(|entry| entry.path()).collect();
        inside.sort();
        for path in &inside {
            visit(path, each);
        }
    } else if let Ok(text) = fs::read(path) {
        each(&text);
    }
}

/// Lines by their numbers.
fn lines(paths: &[PathBuf]) -> Vec<Row> {
    let mut rows = Vec::new();
    for path in paths {
        visit(path, &mut |text| {
            for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                let key = rows.len().to_string().into_bytes();
                rows.push((key.into(), line[..line.len().min(LONGEST)].into()));
            }
        });
    }
    rows
}

/// The time of a read.
struct Point {
    mean: f64,
    p50: u128,
    p99: u128,
    /// The part of the reads that found their row hot.
    hot: f64,
    refused: usize,
}

fn measure(order: &[usize], mut read: impl FnMut(usize) -> usize) -> Point {
    let mut seen = order[..WARM].iter().map(|&row| read(row)).sum::<usize>();
    let start = Instant::now();
    seen += order[WARM..].iter().map(|&row| read(row)).sum::<usize>();
    let mean = start.elapsed().as_nanos() as f64 / READS as f64;
    // One by one, each a look at the clock longer.
    let mut each: Vec<u128> = order[WARM..]
        .iter()
        .map(|&row| {
            let start = Instant::now();
            seen += read(row);
            start.elapsed().as_nanos()
        })
        .collect();
    each.sort_unstable();
    assert!(seen > 0, "nothing was read");
    Point { mean, p50: each[READS / 2], p99: each[READS / 100 * 99], hot: 1.0, refused: 0 }
}

/// The plain map, and its bytes: of its table, a power of two of places of which an eighth stays free, and of boxes.
fn plain(rows: &[Row], order: &[usize]) -> (Point, usize) {
    let mut map = HashMap::new();
    for (key, value) in rows {
        map.insert(key.clone(), value.clone());
    }
    let table = (map.len() * 8 / 7).next_power_of_two() * (size_of::<Row>() + 1);
    let boxes: usize = map.iter().map(|(key, value)| key.len() + value.len()).sum();
    let mut into = vec![0; LONGEST];
    let point = measure(order, |row| {
        let value = &map[&rows[row].0];
        into[..value.len()].copy_from_slice(value);
        value.len()
    });
    (point, table + boxes)
}

fn compressed(rows: &[Row], order: &[usize], budget: usize) -> (Point, Stats) {
    let map = CompressedMap::with_budget(budget);
    let refused = rows.iter().filter(|(key, value)| map.insert(key, value).is_err()).count();
    let mut into = vec![0; LONGEST];
    let before = map.stats();
    let mut point = measure(order, |row| {
        let read = map.get_into(&rows[row].0, &mut into);
        read.expect("whole, and short enough").unwrap_or(0)
    });
    let stats = map.stats();
    let (hits, misses) = (stats.hits - before.hits, stats.misses - before.misses);
    point.hot = hits as f64 / (hits + misses).max(1) as f64;
    point.refused = refused;
    (point, stats)
}

fn mebibytes(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

struct Rng(u64);
impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Ranks of which the nth comes with a probability by 1 / n^0.99.
struct Zipf(Vec<f64>);
impl Zipf {
    fn new(ranks: usize) -> Self {
        let mut sum = 0.0;
        let add = |rank: usize| {
            sum += (rank as f64).powf(-0.99);
            sum
        };
        Self((1..=ranks).map(add).collect())
    }

    fn rank(&self, rng: &mut Rng) -> usize {
        let all = self.0.last().expect("there are ranks");
        let wanted = rng.next() as f64 / u64::MAX as f64 * all;
        self.0.partition_point(|&sum| sum < wanted).min(self.0.len() - 1)
    }
}

fn draw(plain: &Point, points: &[(f64, Point)], rows: usize) -> String {
    const LEFT: f64 = 70.0;
    const TOP: f64 = 50.0;
    const WIDTH: f64 = 620.0;
    const HEIGHT: f64 = 290.0;
    let bottom = TOP + HEIGHT;
    let means = points.iter().map(|(_, point)| point.mean);
    let tallest = means.chain([plain.mean]).fold(0.0, f64::max) * 1.15;
    let x = |part: f64| LEFT + WIDTH * part / 1.05;
    let y = |mean: f64| bottom - HEIGHT * mean / tallest;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 400\" width=\"720\" height=\"400\" \
         style=\"min-width:620px;max-width:100%;height:auto\" font-family=\"sans-serif\" font-size=\"13\" role=\"img\">\n\
         <title>Mean time of a read against memory</title>\n\
         <g fill=\"currentColor\" stroke=\"none\"><text x=\"{LEFT}\" y=\"22\" font-size=\"15\">Mean time of a read of {rows} rows; percent \
         of reads that found a plain copy</text>\n"
    );
    for part in 0..=5 {
        let part = f64::from(part) / 5.0;
        let (at, below) = (x(part), bottom + 18.0);
        let _ =
            writeln!(svg, "<text x=\"{at:.0}\" y=\"{below}\" text-anchor=\"middle\">{part}</text>");
    }
    let step =
        [50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0].into_iter().find(|step| tallest / step < 8.0);
    let step = step.unwrap_or(5000.0);
    for line in 0..=(tallest / step) as usize {
        let (mean, left) = (line as f64 * step, LEFT - 8.0);
        let at = y(mean);
        let _ = writeln!(
            svg,
            "<text x=\"{left}\" y=\"{:.0}\" text-anchor=\"end\">{mean}</text>",
            at + 4.0
        );
    }
    let (middle, below, half) = (LEFT + WIDTH / 2.0, bottom + 40.0, TOP + HEIGHT / 2.0);
    let _ = write!(
        svg,
        "<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">memory, relative to a map of boxes</text>\n\
         <text transform=\"translate(20 {half}) rotate(-90)\" text-anchor=\"middle\">mean time of a read, ns</text></g>\n\
         <path fill=\"none\" stroke=\"currentColor\" d=\"M{LEFT} {TOP}V{bottom}H{}\"/>\n",
        LEFT + WIDTH
    );
    let mut path = String::new();
    for (n, (part, point)) in points.iter().enumerate() {
        let _ =
            write!(path, "{}{:.1} {:.1}", if n == 0 { 'M' } else { 'L' }, x(*part), y(point.mean));
    }
    let _ =
        writeln!(svg, "<path fill=\"none\" stroke=\"#35908f\" stroke-width=\"2\" d=\"{path}\"/>");
    for (n, (part, point)) in points.iter().enumerate() {
        let (x, y, hot) = (x(*part), y(point.mean), point.hot * 100.0);
        // Off the curve: beside a point from which it falls, below a minimum, and else above. Memory falls with `n`.
        let before = (n > 0).then(|| points[n - 1].1.mean);
        let next = points.get(n + 1).map(|(_, next)| next.mean);
        let (side, at, above) = match (next, before) {
            (_, Some(before)) if before <= point.mean => ("start", x + 8.0, y - 5.0),
            (Some(next), Some(_)) if next > point.mean => ("middle", x, y + 21.0),
            (None, Some(_)) => ("end", x - 8.0, y + 4.0),
            _ => ("middle", x, y - 11.0),
        };
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#35908f\"/><text x=\"{at:.0}\" y=\"{above:.0}\" \
             fill=\"currentColor\" text-anchor=\"{side}\">{hot:.0} %</text>"
        );
    }
    let (x, y) = (x(1.0), y(plain.mean));
    let _ = write!(
        svg,
        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"#d9480f\"/>\
         <text x=\"{:.0}\" y=\"{:.0}\" fill=\"currentColor\" text-anchor=\"end\">map of boxes</text>\n</svg>\n",
        x - 10.0,
        y + 5.0
    );
    svg
}
