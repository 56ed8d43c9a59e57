//! The figures as a picture: for each size a panel, for each workload a group
//! of bars, each bar a map's speed against plain hashbrown's.
//!
//! A library for plots would choose scales and axes. Here all places are known,
//! and what is left to it would be to write four elements of SVG.

use std::fmt::Write as _;

use crate::contest::{Figure, Outcome};
use crate::goals::Results;
use crate::options::short;
use crate::rivals::Role;
use crate::work::Suite;

/// The yard is a line, ours stand out, and the others keep their places.
const YARD: &str = "#444444";
const OURS: [&str; 3] = ["#1a7f37", "#57ab5a", "#96d0a0"];
const PEERS: [&str; 8] =
    ["#f0a35e", "#6fa8dc", "#b39ddb", "#b5b5b5", "#e0c341", "#d98880", "#76c7c0", "#c49a6c"];

const BAR: f64 = 9.0;
const CAPTION: f64 = 17.0;
const LEFT: f64 = 150.0;
const TOP: f64 = 138.0;
const PANEL: f64 = 250.0;
const GAP: f64 = 40.0;

/// Bars that would pass this are cut, and say their length.
const LONGEST: f64 = 2.0;

/// A map as it is drawn.
struct Map {
    name: &'static str,
    ours: bool,
    colour: &'static str,
}

/// The bars of a group, in their order.
fn maps(figures: &[Figure]) -> Vec<Map> {
    let (mut ours, mut peers) = (OURS.iter().cycle(), PEERS.iter().cycle());
    let map = |figure: &Figure| match figure.role {
        Role::Yard => None,
        Role::Peer => Some((false, *peers.next()?)),
        Role::Ours | Role::Foil => Some((figure.role == Role::Ours, *ours.next()?)),
    };
    let drawn = figures.iter().map(map).zip(figures);
    drawn
        .filter_map(|(map, f)| map.map(|(ours, colour)| Map { name: f.name, ours, colour }))
        .collect()
}

/// A plot of all rows of a suite with this many threads; none if there are no
/// such rows.
pub fn speeds(results: &Results, suite: Suite, threads: usize) -> Option<String> {
    let mut rows = results.of(suite);
    rows.retain(|o| o.row.threads == threads);
    let mut sizes: Vec<_> = rows.iter().map(|o| o.row.n).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let works = suite.workloads().iter();
    let works: Vec<_> = works.filter(|w| rows.iter().any(|o| o.row.workload == **w)).collect();
    let maps = maps(&rows.first()?.figures);
    let tall = CAPTION + BAR * maps.len() as f64 + 9.0;
    let longest = rows.iter().flat_map(|o| maps.iter().filter_map(|map| speed(o, map)));
    let longest = longest.fold(1.0, f64::max);
    let scale = Scale(((longest * 4.0).ceil() / 4.0).min(LONGEST));
    let mut svg = Svg::new(
        (LEFT + (PANEL + GAP) * sizes.len() as f64).max(legend(&maps)),
        TOP + tall * works.len() as f64 + 52.0,
    );
    head(&mut svg, suite, threads, &maps);
    for (i, work) in works.iter().enumerate() {
        let y = TOP + tall * i as f64 + CAPTION + BAR * maps.len() as f64 / 2.0 + 4.0;
        svg.text(LEFT - 12.0, y, "end", "bold 13px", "#222222", &work.name());
    }
    for (i, &n) in sizes.iter().enumerate() {
        let left = LEFT + (PANEL + GAP) * i as f64;
        axis(&mut svg, left, tall * works.len() as f64, &scale, n);
        for (j, work) in works.iter().enumerate() {
            let top = TOP + tall * j as f64;
            match rows.iter().find(|o| o.row.n == n && o.row.workload == **work) {
                Some(outcome) => group(&mut svg, left, top, &scale, outcome, &maps),
                None => {
                    svg.text(left + 4.0, top + 40.0, "start", "11px", "#999999", "not measured");
                }
            }
        }
    }
    Some(svg.finish())
}

/// A map's speed against the yard's.
fn speed(outcome: &Outcome, map: &Map) -> Option<f64> {
    Some(outcome.yard()? / outcome.cost(map.name)?)
}

struct Scale(f64);

impl Scale {
    fn width(&self, speed: f64) -> f64 {
        speed.min(self.0) / self.0 * PANEL
    }
}

fn head(svg: &mut Svg, suite: Suite, threads: usize, maps: &[Map]) {
    let together = if threads == 1 { "one thread" } else { "two threads at once" };
    let title = format!("{}: {together}", suite.title());
    svg.text(20.0, 32.0, "start", "bold 19px", "#111111", &title);
    let each = if threads == 1 { "" } else { " of each thread" };
    let scale =
        format!("Speed{each} as a multiple of plain hashbrown's on one thread, the line at 1.");
    svg.text(20.0, 53.0, "start", "12px", "#444444", &scale);
    let how = "One hasher, default capacity, medians of interleaved rounds. Longer is faster.";
    svg.text(20.0, 70.0, "start", "12px", "#444444", how);
    let mut x = 20.0;
    for map in maps {
        svg.bar(x, 84.0, 12.0, 12.0, map.colour);
        let weight = if map.ours { "bold 12px" } else { "12px" };
        svg.text(x + 17.0, 94.5, "start", weight, "#222222", map.name);
        x += entry(map);
    }
}

/// How wide a map's place in the legend is.
fn entry(map: &Map) -> f64 {
    44.0 + 7.0 * map.name.len() as f64
}

fn legend(maps: &[Map]) -> f64 {
    maps.iter().map(entry).sum::<f64>() + 20.0
}

fn axis(svg: &mut Svg, left: f64, tall: f64, scale: &Scale, n: usize) {
    let bottom = TOP + tall;
    let name = format!("{} keys", short(n));
    svg.text(left, TOP - 12.0, "start", "bold 13px", "#222222", &name);
    let speeds = (0..).map(|tick| (tick, f64::from(tick) / 4.0));
    for (tick, speed) in speeds.take_while(|&(_, speed)| speed <= scale.0) {
        let x = left + scale.width(speed);
        let (colour, wide) = if tick == 4 { (YARD, 1.5) } else { ("#e3e3de", 1.0) };
        svg.line(x, TOP, bottom, colour, wide);
        if tick % 2 == 0 {
            svg.text(x, bottom + 16.0, "middle", "11px", "#444444", &format!("{speed}"));
        }
    }
    let unit = "× hashbrown's speed";
    svg.text(left + PANEL / 2.0, bottom + 34.0, "middle", "11px", "#444444", unit);
}

fn group(svg: &mut Svg, left: f64, top: f64, scale: &Scale, outcome: &Outcome, maps: &[Map]) {
    if let Some(cost) = outcome.yard() {
        let caption = format!("hashbrown {cost:.1} ns");
        svg.text(left + 2.0, top + CAPTION - 5.0, "start", "10px", "#777777", &caption);
    }
    for (i, map) in maps.iter().enumerate() {
        let y = top + CAPTION + BAR * i as f64;
        let Some(speed) = speed(outcome, map) else {
            svg.text(left + 3.0, y + BAR - 1.5, "start", "9px", "#999999", "no figure");
            continue;
        };
        let width = scale.width(speed);
        svg.bar(left, y, width, BAR - 1.5, map.colour);
        if map.ours || speed > scale.0 {
            let inside = width > PANEL - 32.0;
            let (x, anchor) = if inside { (width - 3.0, "end") } else { (width + 3.0, "start") };
            let colour = if inside && map.ours { "#ffffff" } else { "#222222" };
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
