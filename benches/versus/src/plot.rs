//! The figures as a picture: for each size a panel, for each workload a group
//! of bars, each bar a map's speed against plain hashbrown's.

use std::fmt::Write as _;

use crate::contest::{Figure, NAMES, Outcome};
use crate::goals::Results;
use crate::options::short;
use crate::rivals::{Bench, Flat, Yard};
use crate::workload::Workload;

/// One colour for each of [`NAMES`]; ours stands out, the yard is a line.
const COLOURS: [&str; 7] =
    ["#444444", "#1a7f37", "#f0a35e", "#6fa8dc", "#b39ddb", "#b5b5b5", "#e0c341"];

const BAR: f64 = 9.0;
const CAPTION: f64 = 17.0;
const GROUP: f64 = CAPTION + BAR * (NAMES.len() - 1) as f64 + 9.0;
const LEFT: f64 = 92.0;
const TOP: f64 = 138.0;
const PANEL: f64 = 250.0;
const GAP: f64 = 40.0;

/// Bars that would pass this are cut, and say their length.
const LONGEST: f64 = 1.5;

/// A plot of all rows with this many threads; none if there are no such rows.
pub fn speeds(results: &Results, threads: usize) -> Option<String> {
    let rows: Vec<_> = results.outcomes.iter().filter(|o| o.row.threads == threads).collect();
    let mut sizes: Vec<_> = rows.iter().map(|o| o.row.n).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let works: Vec<_> =
        Workload::ALL.into_iter().filter(|w| rows.iter().any(|o| o.row.workload == *w)).collect();
    if rows.is_empty() {
        return None;
    }
    let longest = rows.iter().flat_map(|o| speeds_in(o)).map(|(_, s)| s).fold(1.0, f64::max);
    let scale = Scale(((longest * 4.0).ceil() / 4.0).min(LONGEST));
    let mut svg = Svg::new(
        (LEFT + (PANEL + GAP) * sizes.len() as f64).max(640.0),
        TOP + GROUP * works.len() as f64 + 52.0,
    );
    head(&mut svg, threads);
    for (i, work) in works.iter().enumerate() {
        let y = TOP + GROUP * i as f64 + CAPTION + BAR * (NAMES.len() - 1) as f64 / 2.0 + 4.0;
        svg.text(LEFT - 12.0, y, "end", "bold 13px", "#222222", &work.name());
    }
    for (i, &n) in sizes.iter().enumerate() {
        let left = LEFT + (PANEL + GAP) * i as f64;
        axis(&mut svg, left, works.len(), &scale, n);
        for (j, work) in works.iter().enumerate() {
            let top = TOP + GROUP * j as f64;
            match rows.iter().find(|o| o.row.n == n && o.row.workload == *work) {
                Some(outcome) => group(&mut svg, left, top, &scale, outcome),
                None => {
                    svg.text(left + 4.0, top + 40.0, "start", "11px", "#999999", "not measured");
                }
            }
        }
    }
    Some(svg.finish())
}

/// Each map's speed against the yard's, by its place in [`NAMES`].
fn speeds_in(outcome: &Outcome) -> Vec<(usize, f64)> {
    let cost = |name: &str| outcome.figures.iter().find(|f| f.name == name)?.cost();
    let speed = |(i, name): (usize, &&str)| Some((i, cost(Yard::NAME)? / cost(name)?));
    NAMES.iter().enumerate().filter(|(_, name)| **name != Yard::NAME).filter_map(speed).collect()
}

struct Scale(f64);

impl Scale {
    fn width(&self, speed: f64) -> f64 {
        speed.min(self.0) / self.0 * PANEL
    }
}

fn head(svg: &mut Svg, threads: usize) {
    let title = match threads {
        1 => "FlatMap and its rivals, one thread",
        _ => "FlatMap and its rivals, two threads at once",
    };
    svg.text(20.0, 32.0, "start", "bold 19px", "#111111", title);
    let each = if threads == 1 { "" } else { " of each thread" };
    let scale =
        format!("Speed{each} as a multiple of plain hashbrown's on one thread, the line at 1.");
    svg.text(20.0, 53.0, "start", "12px", "#444444", &scale);
    let how =
        "u64 → u64, one hasher, default capacity, medians of interleaved rounds. Longer is faster.";
    svg.text(20.0, 70.0, "start", "12px", "#444444", how);
    let mut x = 20.0;
    for (name, colour) in NAMES.iter().zip(COLOURS).skip(1) {
        svg.bar(x, 84.0, 12.0, 12.0, colour);
        let weight = if *name == Flat::NAME { "bold 12px" } else { "12px" };
        svg.text(x + 17.0, 94.5, "start", weight, "#222222", name);
        x += 44.0 + 7.0 * name.len() as f64;
    }
}

fn axis(svg: &mut Svg, left: f64, groups: usize, scale: &Scale, n: usize) {
    let bottom = TOP + GROUP * groups as f64;
    let name = format!("{} keys", short(n));
    svg.text(left, TOP - 12.0, "start", "bold 13px", "#222222", &name);
    let speeds = (0..).map(|tick| (tick, f64::from(tick) / 4.0));
    for (tick, speed) in speeds.take_while(|&(_, speed)| speed <= scale.0) {
        let x = left + scale.width(speed);
        let (colour, wide) = if tick == 4 { (COLOURS[0], 1.5) } else { ("#e3e3de", 1.0) };
        svg.line(x, TOP, bottom, colour, wide);
        if tick % 2 == 0 {
            svg.text(x, bottom + 16.0, "middle", "11px", "#444444", &format!("{speed}"));
        }
    }
    let unit = "× hashbrown's speed";
    svg.text(left + PANEL / 2.0, bottom + 34.0, "middle", "11px", "#444444", unit);
}

fn group(svg: &mut Svg, left: f64, top: f64, scale: &Scale, outcome: &Outcome) {
    let yard = outcome.figures.iter().find(|f| f.name == Yard::NAME).and_then(Figure::cost);
    if let Some(cost) = yard {
        let caption = format!("hashbrown {cost:.1} ns");
        svg.text(left + 2.0, top + CAPTION - 5.0, "start", "10px", "#777777", &caption);
    }
    let speeds = speeds_in(outcome);
    for i in 1..NAMES.len() {
        let y = top + CAPTION + BAR * (i - 1) as f64;
        let Some(&(_, speed)) = speeds.iter().find(|(place, _)| *place == i) else {
            svg.text(left + 3.0, y + BAR - 1.5, "start", "9px", "#999999", "no figure");
            continue;
        };
        let width = scale.width(speed);
        svg.bar(left, y, width, BAR - 1.5, COLOURS[i]);
        let ours = NAMES[i] == Flat::NAME;
        if ours || speed > scale.0 {
            let inside = width > PANEL - 32.0;
            let (x, anchor) = if inside { (width - 3.0, "end") } else { (width + 3.0, "start") };
            let colour = if inside && ours { "#ffffff" } else { "#222222" };
            let figure = format!("{speed:.2}");
            svg.text(left + x, y + BAR - 1.5, anchor, "bold 10px", colour, &figure);
        }
    }
}

/// Just enough SVG.
struct Svg(String);

impl Svg {
    fn new(width: f64, height: f64) -> Self {
        let mut svg = Self(String::new());
        svg.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">"
        ));
        svg.bar(0.0, 0.0, width, height, "#fcfcf9");
        svg
    }

    fn put(&mut self, element: std::fmt::Arguments) {
        writeln!(self.0, "{element}").expect("a string takes what is written to it");
    }

    fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        self.put(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill=\"{colour}\"/>"
        ));
    }

    fn line(&mut self, x: f64, top: f64, bottom: f64, colour: &str, width: f64) {
        self.put(format_args!(
            "<path d=\"M{x:.1} {top:.1}V{bottom:.1}\" stroke=\"{colour}\" \
             stroke-width=\"{width}\"/>"
        ));
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, font: &str, colour: &str, words: &str) {
        let words = words.replace('&', "&amp;").replace('<', "&lt;");
        self.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\" \
             style=\"font:{font} 'DejaVu Sans',Helvetica,Arial,sans-serif\">{words}</text>"
        ));
    }

    fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}
