//! Memory against latency: for each set of rows two panels, each map a line.

use super::{GAP, OURS, PEERS, Svg, YARD};
use crate::cold::Measurements;
use crate::cold::maps::{Behind, Map, Moka, Ours, Plain, Quick};
use crate::cold::reads::{Point, Reads};
use crate::goals::Results;

const LEFT: f64 = 70.0;
const TOP: f64 = 129.0;
const WIDE: f64 = 400.0;
const TALL: f64 = 220.0;
/// From the bottom of a panel to the top of the next: its axis, and a title.
const BETWEEN: f64 = 92.0;

const MAPS: [(&str, &str); 5] = [
    (Plain::NAME, YARD),
    (Ours::NAME, OURS[0]),
    (Quick::NAME, PEERS[0]),
    (Behind::NAME, PEERS[5]),
    (Moka::NAME, PEERS[1]),
];

type Figure = fn(&Point) -> Reads;

const PANELS: [(&str, Figure); 2] =
    [("asked for by Zipf's law", |point| point.zipf), ("asked for evenly", |point| point.uniform)];

/// The plot of all sets; none if there are none.
pub fn plot(results: &Results) -> Option<String> {
    let sets = &results.cold;
    let tall = TOP + (TALL + BETWEEN) * sets.len() as f64;
    let mut svg = Svg::new(LEFT + (WIDE + GAP + LEFT) * 2.0 - LEFT, tall);
    svg.text(20.0, 32.0, "start", "bold 19px", "#111111", "Memory against latency");
    let how = [
        "Nanoseconds of a look-up against memory, by that of a plain map of boxes. Lines: the mean, with the part in \
         hundredths",
        "that found their row plain, or in the cache at all. Dashed: the median of look-ups timed one by one. A miss of \
         a cache",
        "costs nothing here, unless there is a plain map behind it, whose memory does not count.",
    ];
    for (line, y) in how.into_iter().zip([53.0, 70.0, 87.0]) {
        svg.text(20.0, y, "start", "12px", "#444444", line);
    }
    let mut x = 20.0;
    for (name, colour) in MAPS {
        svg.bar(x, 97.0, 12.0, 12.0, colour);
        svg.text(x + 17.0, 107.5, "start", "12px", "#222222", name);
        x += 44.0 + 7.0 * name.len() as f64;
    }
    for (row, set) in sets.iter().enumerate() {
        let top = TOP + 26.0 + (TALL + BETWEEN) * row as f64;
        for (column, (name, figure)) in PANELS.into_iter().enumerate() {
            let left = LEFT + (WIDE + GAP + LEFT - 20.0) * column as f64;
            let title = format!("{}, {name}", set.set);
            svg.text(left, top - 10.0, "start", "bold 13px", "#222222", &title);
            panel(&mut svg, set, figure, left, top);
        }
    }
    (!sets.is_empty()).then(|| svg.finish())
}

fn panel(svg: &mut Svg, set: &Measurements, figure: Figure, left: f64, top: f64) {
    let shown = || set.points.iter().filter(|p| MAPS.iter().any(|(name, _)| *name == p.map));
    let reads = shown().map(figure);
    let tallest = reads.map(|reads| reads.mean.max(reads.p50)).fold(0.0, f64::max) * 1.1;
    let x = |memory: f64| left + WIDE * memory.min(1.1) / 1.1;
    let y = |ns: f64| top + TALL - TALL * ns / tallest;
    let steps = [10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0];
    let step = steps.into_iter().find(|step| tallest / step < 8.0).unwrap_or(10_000.0);
    for tick in (0..).map(|n| f64::from(n) * step).take_while(|&ns| ns <= tallest) {
        svg.path(&[(left, y(tick)), (left + WIDE, y(tick))], "#e3e3de", 1.0, false);
        svg.text(left - 8.0, y(tick) + 4.0, "end", "11px", "#444444", &format!("{tick}"));
    }
    for tick in (0..=5).map(|n| f64::from(n) / 5.0) {
        svg.line(x(tick), top, top + TALL, "#e3e3de", 1.0);
        svg.text(x(tick), top + TALL + 16.0, "middle", "11px", "#444444", &format!("{tick}"));
    }
    let unit = "memory, by that of a plain map";
    svg.text(left + WIDE / 2.0, top + TALL + 34.0, "middle", "11px", "#444444", unit);
    for (name, colour) in MAPS {
        // Of a map that stands beside the others at each budget, the one where all have half.
        let points: Vec<&Point> = shown().filter(|point| point.map == name).collect();
        let points =
            if name == Plain::NAME { &points[points.len() / 2..][..1] } else { &points[..] };
        let line = |of: fn(&Reads) -> f64| -> Vec<(f64, f64)> {
            points.iter().map(|point| (x(point.memory), y(of(&figure(point))))).collect()
        };
        let (means, medians) = (line(|reads| reads.mean), line(|reads| reads.p50));
        svg.path(&medians, colour, 1.2, true);
        svg.path(&means, colour, 2.0, false);
        if name == Plain::NAME {
            // Its line is a point.
            let (x, y) = medians[0];
            svg.bar(x - 6.0, y - 0.5, 12.0, 1.0, colour);
        }
        for (&(x, y), point) in means.iter().zip(points) {
            svg.dot(x, y, 3.5, colour);
            if name != Plain::NAME {
                let hits = format!("{:.0}", figure(point).hits * 100.0);
                svg.text(x, y - 7.0, "middle", "9px", colour, &hits);
            }
        }
    }
}
