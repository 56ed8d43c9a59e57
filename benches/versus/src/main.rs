//! The comparison: measures, prints the report, writes it and its plots.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use hedgerow_versus::contest::Pace;
use hedgerow_versus::goals::Results;
use hedgerow_versus::memory::Counting;
use hedgerow_versus::options::{HELP, Options};
use hedgerow_versus::work::Suite;
use hedgerow_versus::{ancestor, cold, field, latency, plot, report, solo, watchdog};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [first, what, name] = words.as_slice()
        && first == solo::OPTION
    {
        solo::answer(what, name);
        return ExitCode::SUCCESS;
    }
    if words.iter().any(|word| word == "--help" || word == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(words.into_iter()) {
        Ok(options) => options,
        Err(wrong) => {
            eprintln!("{wrong}\n\n{HELP}");
            return ExitCode::FAILURE;
        }
    };
    if let Err(error) = compare(&options) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn compare(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut pace = if options.quick {
        Pace { rounds: 5, short: 10, long: 40, time: Duration::from_secs(5) }
    } else {
        Pace { rounds: 9, short: 25, long: 80, time: Duration::from_secs(40) }
    };
    pace.rounds = options.rounds.unwrap_or(pace.rounds);
    let mut results = Results::default();
    if options.measures("memory") {
        results.memory = solo::memory();
        results.text_memory = solo::text_memory();
    }
    if options.measures("worst") {
        let rounds = if options.quick { 3 } else { 5 };
        results.worst = solo::worst(rounds);
        results.worst_of_two = solo::worst_of_two(rounds);
    }
    if options.measures("tails") {
        let rounds = if options.quick { 3 } else { 5 };
        results.tails = solo::tails(rounds);
        results.text_tails = solo::text_tails(rounds);
    }
    if options.measures("pins") {
        results.pins = solo::pins();
    }
    if options.measures_within(Suite::LeftRight, "bytes") {
        results.pair_memory = solo::pair_memory();
    }
    if options.measures_within(Suite::Ordered, "bytes") {
        results.tree_memory = solo::tree_memory();
    }
    if options.measures_within(Suite::Persistent, "bytes") {
        results.version_memory = solo::version_memory().into();
    }
    let rounds = if options.quick { 3 } else { 5 };
    if options.measures_within(Suite::Persistent, "pauses") {
        results.version_pauses = solo::version_pauses(rounds);
    }
    if options.measures_within(Suite::Snapshots, "crowd") {
        results.crowd = solo::crowd(rounds);
    }
    watchdog::start();
    if options.measures("cold") {
        let sources = options.data();
        if sources.is_empty() {
            eprintln!("cold: there are no rows; README.md says where they come from");
        }
        results.cold = cold::run(&sources, &cold::Plan::new(options.quick));
    }
    if options.measures_within(Suite::LeftRight, "latency") {
        results.latencies = Some(latency::run(looks(options.quick)));
    }
    if options.measures("ancestor") {
        results.ancestor = ancestor::run(&pace);
    }
    for suite in Suite::ALL {
        let mut outcomes = Vec::new();
        for (n, rows) in options.rows(suite) {
            outcomes.extend(field::run(suite, &rows, n, &pace));
        }
        outcomes.sort_by_key(|o| {
            let order = |w| suite.workloads().iter().position(|&x| x == w);
            (order(o.row.workload), o.row.n, o.row.threads)
        });
        results.outcomes.extend(outcomes);
    }
    publish(&results, options)
}

/// How long look-ups are timed one by one.
fn looks(quick: bool) -> latency::Times {
    let [rest, busy] = if quick { [150, 600] } else { [500, 3000] }.map(Duration::from_millis);
    latency::Times { rounds: if quick { 3 } else { 5 }, rest, busy }
}

fn publish(results: &Results, options: &Options) -> Result<(), Box<dyn Error>> {
    let out = Path::new(&options.out);
    std::fs::create_dir_all(out)?;
    let report = report::markdown(results);
    if options.goals {
        print!("{}", report::goals(results, true));
    } else {
        print!("{report}");
    }
    std::fs::write(out.join("versus.md"), report)?;
    if results.outcomes.is_empty() {
        return Ok(());
    }
    std::fs::write(out.join("rounds.tsv"), report::rounds(results))?;
    // Of rows so unlike each other as of maps with one writer, or of ordered ones, a plot shows little.
    let alike = |suite: &Suite| {
        !matches!(
            suite,
            Suite::LeftRight
                | Suite::Ordered
                | Suite::Snapshots
                | Suite::Persistent
                | Suite::PersistentText
                | Suite::Sequences
        )
    };
    for suite in Suite::ALL.into_iter().filter(alike) {
        for threads in [1, 2] {
            if let Some(svg) = plot::speeds(results, suite, threads) {
                std::fs::write(out.join(format!("{}-{threads}.svg", suite.file())), svg)?;
            }
        }
    }
    eprintln!("written to {}", out.display());
    Ok(())
}
