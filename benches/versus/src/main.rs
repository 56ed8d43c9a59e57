//! The comparison: measures, prints the report, writes it and its plots.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use hedgerow_versus::contest::{self, Pace};
use hedgerow_versus::goals::Results;
use hedgerow_versus::memory::Counting;
use hedgerow_versus::options::{HELP, Options};
use hedgerow_versus::workload::Workload;
use hedgerow_versus::{plot, report, solo, watchdog};

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
        Pace { rounds: 5, short: 10, long: 40, patience: Duration::from_secs(5) }
    } else {
        Pace { rounds: 9, short: 25, long: 80, patience: Duration::from_secs(40) }
    };
    pace.rounds = options.rounds.unwrap_or(pace.rounds);
    let memory = if options.wants("memory") { solo::memory() } else { vec![] };
    let runs = if options.quick { 3 } else { 5 };
    let worst = if options.wants("worst") { solo::worst(runs) } else { vec![] };
    let mut outcomes = Vec::new();
    watchdog::start();
    for &n in &options.sizes {
        outcomes.extend(contest::run(&options.workloads(n), n, &options.threads, &pace));
    }
    outcomes.sort_by_key(|o| {
        let order = |w| Workload::ALL.iter().position(|&x| x == w);
        (order(o.row.workload), o.row.n, o.row.threads)
    });
    publish(&Results { outcomes, memory, worst }, Path::new(&options.out))
}

fn publish(results: &Results, out: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(out)?;
    let report = report::markdown(results);
    print!("{report}");
    std::fs::write(out.join("versus.md"), report)?;
    if results.outcomes.is_empty() {
        return Ok(());
    }
    std::fs::write(out.join("rounds.tsv"), report::rounds(results))?;
    for threads in [1, 2] {
        if let Some(svg) = plot::speeds(results, threads) {
            std::fs::write(out.join(format!("versus-{threads}.svg")), svg)?;
        }
    }
    eprintln!("written to {}", out.display());
    Ok(())
}
