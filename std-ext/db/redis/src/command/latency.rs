//! LATENCY: the events that took longest, and the latencies of each command.

use crate::command::arguments::{CommandError, shown};
use crate::command::diagnostics::counters::CommandTotals;
use crate::command::execute::Execution;
use crate::command::rows::{Run, command, container};
use crate::command::table::groups::Group;
use crate::command::table::{NUMBERS, Row, by_number};
use hedgerow_db_engine::latency_monitor::{Events, Sample, event, seconds_now};
use hedgerow_db_formats::resp::write::RespWriter;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write;

const HELP: [&str; 15] = [
    "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    Return a human readable latency analysis report.",
    "GRAPH <event>",
    "    Return an ASCII latency graph for the <event> class.",
    "HISTORY <event>",
    "    Return time-latency samples for the <event> class.",
    "LATEST",
    "    Return the latest latency samples for all events.",
    "RESET [<event> ...]",
    "    Reset latency data of one or more <event> classes.",
    "    (default: reset all data for all event classes)",
    "HISTOGRAM [COMMAND ...]",
    "    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
    "    If no commands are specified then all histograms are replied.",
];

/// Columns and rows of a graph.
const COLUMNS: usize = 80;
const ROWS: usize = 4;
/// The characters of a column's end, from low to high.
const ENDS: [char; 3] = ['_', 'o', '#'];

/// The first bound of the histograms, in nanoseconds. Each further one is twice the one before.
const FIRST_BOUND: u64 = 1024;
const BOUNDS: u32 = 27;

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[container("latency", -2, LATENCY)
    .since("2.8.13", Group::Server)
    .summary("A container for latency diagnostics commands.")
    .without_data()];

const LATENCY: &[Row<Run>] = &[
    command("latency|doctor", 2, "admin noscript loading stale", |e, _| e.latency_doctor())
        .since("2.8.13", Group::Server)
        .summary("Reports slow events as text.")
        .tips("nondeterministic_output request_policy:all_nodes response_policy:special"),
    command("latency|graph", 3, "admin noscript loading stale", |e, a| e.latency_graph(a[2]))
        .since("2.8.13", Group::Server)
        .syntax("event")
        .summary("Draws the latencies of an event.")
        .tips("nondeterministic_output request_policy:all_nodes response_policy:special"),
    command("latency|histogram", -2, "admin noscript loading stale", |e, a| e.histograms(&a[2..]))
        .since("7.0.0", Group::Server)
        .syntax("[command...]")
        .summary("Returns the distribution of the latencies of commands.")
        .takes_time("O(N), N is the length of the reply")
        .tips("nondeterministic_output request_policy:all_nodes response_policy:special"),
    command("latency|history", 3, "admin noscript loading stale", |e, a| e.latency_history(a[2]))
        .since("2.8.13", Group::Server)
        .syntax("event")
        .summary("Returns the latest latencies of an event.")
        .takes_time("O(N), N is the length of the reply")
        .tips("nondeterministic_output request_policy:all_nodes response_policy:special"),
    command("latency|latest", 2, "admin noscript loading stale", |e, _| e.latest_events())
        .since("2.8.13", Group::Server)
        .summary("Returns the last latency of each event.")
        .tips("nondeterministic_output request_policy:all_nodes response_policy:special"),
    command("latency|reset", -2, "admin noscript loading stale", |e, a| e.reset_events(&a[2..]))
        .since("2.8.13", Group::Server)
        .syntax("[event...]")
        .summary("Removes the latencies of events.")
        .tips("request_policy:all_nodes response_policy:all_succeeded"),
    command("latency|help", 2, "loading stale", |e, _| e.help(&HELP))
        .since("2.8.13", Group::Server)
        .summary("Lists the subcommands."),
];

impl Execution<'_, '_> {
    /// LATENCY DOCTOR.
    fn latency_doctor(&mut self) -> Result<(), CommandError> {
        // Commands before this one count.
        self.execute_batch();
        let latency = &self.meter.diagnostics.latency;
        let report = doctor(latency.threshold(), latency.all().iter());
        self.answer(|out| out.verbatim(*b"txt", report.as_bytes()))
    }

    /// LATENCY GRAPH.
    fn latency_graph(&mut self, event: &[u8]) -> Result<(), CommandError> {
        self.execute_batch();
        let all = self.meter.diagnostics.latency.all();
        let Some((name, events)) = all.iter().find(|(name, _)| name.as_bytes() == event) else {
            let name = String::from_utf8_lossy(shown(event, usize::MAX)).into_owned();
            return Err(format!("ERR No samples available for event '{name}'").into());
        };
        let text = graph(name, events, seconds_now());
        self.answer(|out| out.verbatim(*b"txt", text.as_bytes()))
    }

    /// LATENCY HISTORY.
    fn latency_history(&mut self, event: &[u8]) -> Result<(), CommandError> {
        self.execute_batch();
        let all = self.meter.diagnostics.latency.all();
        let found = all.iter().find(|(name, _)| name.as_bytes() == event);
        let samples = found.map(|(_, events)| &events.samples);
        self.answer(|out| {
            out.array(samples.map_or(0, VecDeque::len));
            for sample in samples.into_iter().flatten() {
                out.array(2);
                out.integer(sample.at.cast_signed());
                out.integer(sample.milliseconds.cast_signed());
            }
        })
    }

    /// LATENCY LATEST.
    fn latest_events(&mut self) -> Result<(), CommandError> {
        self.execute_batch();
        let all = self.meter.diagnostics.latency.all();
        self.answer(|out| {
            out.array(all.len());
            for (name, events) in &all {
                let last = events.samples.back();
                out.array(4);
                out.bulk(name.as_bytes());
                out.integer(last.map_or(0, |last| last.at.cast_signed()));
                out.integer(last.map_or(0, |last| last.milliseconds.cast_signed()));
                out.integer(events.longest.cast_signed());
            }
        })
    }

    /// LATENCY RESET.
    fn reset_events(&mut self, events: &[&[u8]]) -> Result<(), CommandError> {
        self.execute_batch();
        let count = self.meter.diagnostics.latency.reset(events);
        self.answer(|out| out.integer(count.cast_signed() as i64))
    }

    /// LATENCY HISTOGRAM, of the named commands and their subcommands, or of all.
    fn histograms(&mut self, names: &[&[u8]]) -> Result<(), CommandError> {
        self.execute_batch();
        let totals = self.meter.diagnostics.totals_since_reset();
        let mut numbers: Vec<usize> = Vec::new();
        if names.is_empty() {
            numbers.extend(0..NUMBERS);
        }
        // A request may have a million names, or one as often. All but the first of a name are skipped at once.
        let mut unlisted: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for number in 0..NUMBERS {
            let name = by_number(number).name;
            unlisted.entry(name.into()).or_default().push(number);
            if let Some((command, _)) = name.split_once('|') {
                unlisted.entry(command.into()).or_default().push(number);
            }
        }
        let mut listed = [false; NUMBERS];
        for name in names {
            let named = unlisted.remove(&name.to_ascii_lowercase()).unwrap_or_default();
            numbers.extend(
                named.into_iter().filter(|number| !std::mem::replace(&mut listed[*number], true)),
            );
        }
        numbers.retain(|number| totals[*number].tracked() > 0);
        self.answer(|out| {
            out.map(numbers.len());
            for number in &numbers {
                write_histogram(by_number(*number).name, &totals[*number], out);
            }
        })
    }
}

fn write_histogram(name: &str, of: &CommandTotals, out: &mut RespWriter<'_>) {
    let bounds = || (0..BOUNDS).map(|n| FIRST_BOUND << n);
    let counts = of.within(bounds());
    let mut before = 0;
    let mut rises: Vec<(u64, u64)> = Vec::new();
    for (bound, count) in bounds().zip(counts) {
        if count > before {
            // Redis shows the largest value that its histogram takes for this bound.
            rises.push(((bound + (bound >> 7) - 1) / 1000, count));
            before = count;
        }
    }
    out.bulk(name.as_bytes());
    out.map(2);
    out.bulk(b"calls");
    out.integer(of.tracked().cast_signed());
    out.bulk(b"histogram_usec");
    out.map(rises.len());
    for (microseconds, count) in rises {
        out.integer(microseconds.cast_signed());
        out.integer(count.cast_signed());
    }
}

/// Says what the samples show, and what to do.
fn doctor<'e>(threshold: u64, all: impl Iterator<Item = (&'e &'static str, &'e Events)>) -> String {
    if threshold == 0 {
        return "Latency monitoring is off. To turn it on, use CONFIG SET latency-monitor-threshold <milliseconds>.\n"
            .to_owned();
    }
    let mut report = String::new();
    let mut advice: Vec<&str> = Vec::new();
    for (name, events) in all {
        let about = advice_about(name);
        if !advice.contains(&about) {
            advice.push(about);
        }
        let count = events.samples.len() as u64;
        let sum: u64 = events.samples.iter().map(|sample| sample.milliseconds).sum();
        let mean = sum.checked_div(count).unwrap_or(0);
        // Writing to memory does not fail.
        let _ = writeln!(
            report,
            "{name}: {count} seconds with an event of {threshold} ms or more; average {mean} ms, maximum {} ms.",
            events.longest
        );
    }
    if report.is_empty() {
        return format!("No event has taken {threshold} ms or more.\n");
    }
    for about in advice {
        report.push_str(about);
        report.push('\n');
    }
    report.push_str("Everything is slow if the machine has too few CPU cores.\n");
    report
}

/// Says what makes an event take long, and what to do.
fn advice_about(name: &str) -> &'static str {
    match name {
        event::EXPIRE_CYCLE => {
            "A background thread removes expired keys and locks one shard at a time, so only writes to that shard \
             wait. A round is long if many keys expire at the same time: spread their expiration times."
        }
        event::EVICTION_CYCLE | event::EVICTION_DEL => {
            "Writes wait while keys are evicted for them. Raise maxmemory, or write less at a time. A volatile \
             policy has to search longer if few keys have a TTL."
        }
        event::AOF_FSYNC_ALWAYS => {
            "With appendfsync always, replies to writes wait for the disk. Use a faster disk, or everysec, which \
             may lose the writes of the last two seconds in a power failure."
        }
        event::AOF_WRITE | event::AOF_WRITE_PENDING_FSYNC => {
            "The disk is slow to accept log writes. Other programs may be using it, or a snapshot is being written; \
             with everysec and always, a sync delays the writes after it."
        }
        _ => {
            "SLOWLOG GET shows the commands. Commands on all keys (KEYS, FLUSHALL, SAVE), very large values and \
             long pipelines are slow."
        }
    }
}

/// Draws the samples of an event, as Redis does.
fn graph(name: &str, events: &Events, now: u64) -> String {
    let times = || events.samples.iter().map(|sample| sample.milliseconds);
    let (high, low) = (times().max().unwrap_or(0), times().min().unwrap_or(0));
    let longest = events.longest;
    let mut text = format!("{name} - high {high} ms, low {low} ms (all time high {longest} ms)\n");
    text.push_str(&"-".repeat(COLUMNS));
    text.push('\n');
    let samples: Vec<Sample> = events.samples.iter().copied().collect();
    for (number, line) in samples.chunks(COLUMNS).enumerate() {
        if number > 0 {
            text.push('\n');
        }
        draw(line, (low, high), now, &mut text);
    }
    text
}

/// Draws one line of a graph: columns, and below them how long ago each was.
fn draw(samples: &[Sample], (low, high): (u64, u64), now: u64, text: &mut String) {
    let steps = ENDS.len() * ROWS;
    let range = (high - low).max(1);
    let step = |sample: &Sample| {
        (((sample.milliseconds - low) * steps as u64 / range) as usize).min(steps - 1)
    };
    for row in 0..ROWS {
        let below = (ROWS - row - 1) * ENDS.len();
        text.extend(samples.iter().map(|sample| match step(sample).checked_sub(below) {
            None => ' ',
            Some(end) => ENDS.get(end).copied().unwrap_or('|'),
        }));
        text.push('\n');
    }
    let labels: Vec<String> = samples.iter().map(|sample| ago(now, sample.at)).collect();
    text.push_str(&" ".repeat(samples.len()));
    text.push('\n');
    for at in 0..labels.iter().map(String::len).max().unwrap_or(0) {
        text.extend(labels.iter().map(|label| label.chars().nth(at).unwrap_or(' ')));
        text.push('\n');
    }
}

/// Says how long ago a time was.
fn ago(now: u64, at: u64) -> String {
    match now.saturating_sub(at) {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_doctor_knows_what_makes_each_event_long() {
        let samples = || [Sample { at: 1000, milliseconds: 30 }].into();
        let events = Events { samples: samples(), longest: 30 };
        let says = |names: &[&'static str]| doctor(20, names.iter().map(|name| (name, &events)));
        for (name, about) in [
            (event::EXPIRE_CYCLE, "expire at the same time"),
            (event::EVICTION_CYCLE, "maxmemory"),
            (event::AOF_FSYNC_ALWAYS, "appendfsync always"),
            (event::AOF_WRITE, "disk"),
            ("command", "SLOWLOG"),
        ] {
            let report = says(&[name]);
            assert!(report.starts_with(&format!("{name}: 1 seconds")), "{report}");
            assert!(report.contains(about), "the doctor does not know {name}: {report}");
            assert_eq!(report.contains("SLOWLOG"), name == "command", "{report}");
        }
        let twice = says(&[event::EVICTION_CYCLE, event::EVICTION_DEL]);
        assert_eq!(twice.matches("maxmemory").count(), 1, "an advice is given twice: {twice}");
    }

    #[test]
    fn graphs_are_those_of_redis() {
        let sample = |at, milliseconds| Sample { at, milliseconds };
        let samples = [(1000, 100), (1001, 200), (1002, 300), (1003, 50), (1012, 100)];
        let samples = samples.map(|(at, milliseconds)| sample(at, milliseconds)).into();
        let text = graph("command", &Events { samples, longest: 300 }, 1075);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "command - high 300 ms, low 50 ms (all time high 300 ms)");
        assert_eq!(lines[1], "-".repeat(80));
        assert_eq!(lines[2..], ["  #  ", " o|  ", " ||  ", "#||_#", "     ", "11111", "mmmmm"]);
        assert_eq!(ago(90_000, 0), "1d");
    }
}
