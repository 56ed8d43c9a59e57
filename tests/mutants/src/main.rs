//! Breaks the crate in the ways that `tests/mutations.toml` lists, one at a time, and expects the
//! check of the row to fail. If it passes, the ordering is stronger than needed, or the check is
//! too weak.
//!
//! Each worker has a copy of the tree under the target folder, with build folders that stay: a row
//! compiles only the crate itself again, and never changes the tree.

mod check;
mod kept;
mod record;
mod table;
mod tree;

use check::{Check, Outcome};
use kept::Kept;
use record::Record;
use std::{
    collections::BTreeSet,
    env,
    path::Path,
    process::ExitCode,
    sync::Mutex,
    time::{Duration, Instant},
};
use table::{Expect, Mutation};
use tree::Tree;

/// Without a mutation a model explores everything, which takes longer than to find a fault.
const BASELINE_TIMEOUT: Duration = Duration::from_secs(900);

const USAGE: &str = "usage: hedgerow-mutants [OPTION...] [FILTER]

  FILTER          only rows whose label, file or check contains it
  --part=K/N      only every Nth row, from row K on
  --unrecorded    only rows that changed, or whose file or check did, since they were recorded; a check that says that
                  it does not run on this machine is named, and fails a run of all rows only
  --most=N        no more than the first N of them; the others are counted
  --jobs=N        N rows at a time, each in a copy of the tree; 2 if not given. Rows of the database mostly wait
  --check         run nothing: only whether each row names code that exists
  --record        write down in tests/mutations.lock which rows came out as expected
  --reuse         run nothing, but judge rows again of which only `says` or `hangs` changed since they failed
  --assume-green  skip the run of each check on the unbroken tree (where it has just passed)";

#[derive(Default)]
struct Options {
    assume_green: bool,
    part: Option<(usize, usize)>,
    unrecorded: bool,
    most: Option<usize>,
    jobs: Option<usize>,
    check: bool,
    record: bool,
    reuse: bool,
    filter: String,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

/// Parses `K/N` into the first row and the distance between rows.
fn part_of(text: &str) -> Result<(usize, usize), String> {
    let numbers = text.split_once('/').map(|(from, of)| (from.parse(), of.parse()));
    match numbers {
        Some((Ok(from), Ok(of))) if from < of => Ok((from, of)),
        _ => Err(format!("{text:?} is no part, such as 0/3\n{USAGE}")),
    }
}

fn number_of(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("{text:?} is no number\n{USAGE}"))
}

/// Parses the command line; returns `None` if the user wants help.
fn options() -> Result<Option<Options>, String> {
    let mut options = Options::default();
    for arg in env::args().skip(1) {
        match arg.split_once('=').map_or((arg.as_str(), ""), |pair| pair) {
            ("--assume-green", "") => options.assume_green = true,
            ("--unrecorded", "") => options.unrecorded = true,
            ("--check", "") => options.check = true,
            ("--record", "") => options.record = true,
            ("--reuse", "") => options.reuse = true,
            ("--part", part) => options.part = Some(part_of(part)?),
            ("--most", most) => options.most = Some(number_of(most)?),
            ("--jobs", jobs) => options.jobs = Some(number_of(jobs)?.max(1)),
            ("-h" | "--help", "") => return Ok(None),
            (flag, _) if flag.starts_with('-') => {
                return Err(format!("unknown option {flag}\n{USAGE}"));
            }
            _ => options.filter = arg,
        }
    }
    Ok(Some(options))
}

/// Runs the rows; returns whether all came out as the table says.
fn run() -> Result<bool, String> {
    let Some(options) = options()? else {
        println!("{USAGE}");
        return Ok(true);
    };
    // The variable of the run, not of the compilation: several trees may share a folder of artifacts.
    let here = env::var_os("CARGO_MANIFEST_DIR").ok_or("start it by cargo")?;
    let root = Path::new(&here).ancestors().nth(2).expect("two folders up");
    let table = table::read(root)?;
    if options.check {
        println!("{} rows", table.len());
        return Ok(true);
    }
    let mut record = Record::read(root).map_err(|e| format!("cannot read the record: {e}"))?;
    record.keep_current(&table);
    let Some(rows) = chosen(&table, &options, &record) else {
        println!("nothing to run: no row of {} matches {:?}", table.len(), options.filter);
        // A filter without a match is a mistake; an empty table is not.
        return Ok(table.is_empty());
    };

    let trees = Tree::copies(root, options.jobs.unwrap_or(2))
        .map_err(|e| format!("cannot copy the tree: {e}"))?;
    // Fingerprints of the copied files, because an editor may change the tree during the run.
    let prints: Vec<_> = rows.iter().map(|row| record.fingerprint(row)).collect();
    let changes = rows.iter().map(|row| record.fingerprint_of_change(row));
    let kept: Vec<_> =
        changes.map(|print| Kept::new(&trees[0].kept(), &print, options.reuse)).collect();
    let record = options.record.then(|| Mutex::new(record));
    let attempts = rows.iter().zip(&prints).zip(&kept);
    let attempts = attempts.filter(|(_, kept)| !options.reuse || kept.is_there());
    let attempts: Vec<_> = attempts
        .map(|((row, print), kept)| {
            Job::Mutated(Attempt { row, print, kept, record: record.as_ref() })
        })
        .collect();
    let count = attempts.len();
    let start = Instant::now();
    let checks: BTreeSet<&Check> = rows.iter().map(|row| &row.check).collect();
    let assumed = options.assume_green || options.reuse;
    let baseline = checks.into_iter().filter(|_| !assumed).map(Job::Baseline).collect();
    let unexpected = work(&trees, baseline).wrong;
    // A check that fails on the unbroken tree would make every mutation look caught.
    if unexpected != 0 {
        println!("{unexpected} checks fail on the unbroken tree");
        return Ok(false);
    }
    let Count { wrong, not_run } = work(&trees, attempts);
    let seconds = start.elapsed().as_secs();
    println!("{count} mutations, {wrong} not as expected, {not_run} not run, {seconds} s");
    Ok(wrong == 0 && (not_run == 0 || options.unrecorded))
}

/// Returns the chosen rows; `None` if the filter matches none.
fn chosen<'a>(
    table: &'a [Mutation],
    options: &Options,
    record: &Record,
) -> Option<Vec<&'a Mutation>> {
    let (first, step) = options.part.unwrap_or((0, 1));
    let fitting = table.iter().skip(first).step_by(step);
    let mut rows: Vec<_> = fitting.filter(|row| row.matches(&options.filter)).collect();
    if rows.is_empty() {
        return None;
    }
    if options.unrecorded {
        rows.retain(|row| !record.has(row));
    }
    let most = options.most.unwrap_or(usize::MAX);
    if rows.len() > most {
        println!("{} rows are left to a run of all", rows.len() - most);
        rows.truncate(most);
    }
    Some(rows)
}

#[derive(Clone, Copy)]
enum Job<'a> {
    /// The check passes on the tree as it is.
    Baseline(&'a Check),
    /// The check fails on the broken tree.
    Mutated(Attempt<'a>),
}

/// A row, and the places that its outcome is written to.
#[derive(Clone, Copy)]
struct Attempt<'a> {
    row: &'a Mutation,
    /// The row's fingerprint in the record.
    print: &'a str,
    kept: &'a Kept,
    record: Option<&'a Mutex<Record>>,
}

/// How a job came out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Expected,
    Wrong,
    /// The check is neither red nor green.
    NotRun,
}

/// How many jobs came out otherwise than expected.
struct Count {
    wrong: usize,
    not_run: usize,
}

/// Runs the jobs, one in each tree at a time. Most of a row's time goes into the compiler, which uses one core for most
/// of it.
fn work(trees: &[Tree], jobs: Vec<Job<'_>>) -> Count {
    let queue = Mutex::new(jobs.into_iter());
    let next = || queue.lock().expect("no worker panics").next();
    let verdicts: Vec<Verdict> = std::thread::scope(|scope| {
        let run = |tree| move || std::iter::from_fn(next).map(|job| job.run(tree)).collect();
        let workers: Vec<_> = trees.iter().map(|tree| scope.spawn(run(tree))).collect();
        let verdicts = workers.into_iter().map(|w| w.join().expect("no worker panics"));
        verdicts.collect::<Vec<Vec<_>>>().concat()
    });
    let of = |wanted| verdicts.iter().filter(|verdict| **verdict == wanted).count();
    Count { wrong: of(Verdict::Wrong), not_run: of(Verdict::NotRun) }
}

impl Job<'_> {
    /// Records the outcome, if `--record` is set.
    fn note(&self, good: bool) {
        if let Job::Mutated(Attempt { row, print, record: Some(record), .. }) = self {
            let mut record = record.lock().expect("no worker panics");
            if let Err(error) = record.note(&row.label, print, good) {
                println!("cannot write the record: {error}");
            }
        }
    }

    /// Runs it, and prints its line.
    fn run(&self, tree: &Tree) -> Verdict {
        let start = Instant::now();
        let (outcome, expect, label, check) = match *self {
            Job::Baseline(check) => {
                (check.run(tree, BASELINE_TIMEOUT), Expect::Survives, "unbroken", check)
            }
            Job::Mutated(Attempt { row, kept, .. }) => {
                (row.run(tree, kept), row.expect, row.label.as_str(), &row.check)
            }
        };
        let (word, verdict) = match (&outcome, expect) {
            (Outcome::Red | Outcome::Hung, Expect::Caught) => ("red", Verdict::Expected),
            (Outcome::Green, Expect::Survives) => ("green", Verdict::Expected),
            (Outcome::Green, Expect::Caught) => ("SURVIVED", Verdict::Wrong),
            (Outcome::Red | Outcome::Hung, Expect::Survives) => {
                ("UNEXPECTEDLY RED", Verdict::Wrong)
            }
            (Outcome::Elsewhere, _) => ("RED FOR ANOTHER REASON", Verdict::Wrong),
            (Outcome::Broken, _) => ("DOES NOT COMPILE", Verdict::Wrong),
            (Outcome::Empty, _) => ("RAN NO TEST", Verdict::Wrong),
            (Outcome::NotRun, _) => ("NOT RUN", Verdict::NotRun),
        };
        let hung = if matches!(outcome, Outcome::Hung) { " (hung)" } else { "" };
        let seconds = start.elapsed().as_secs_f32();
        let reason = match outcome {
            Outcome::Red | Outcome::Elsewhere => tree.reason(),
            Outcome::NotRun => tree.not_run().unwrap_or_default(),
            _ => String::new(),
        };
        self.note(verdict == Verdict::Expected);
        let word = format!("{word}{hung}");
        println!("{word:<18} {seconds:>6.1} s  {label}  <{check}>  {reason}");
        match verdict {
            Verdict::Expected => {}
            Verdict::Wrong => println!("{}", tree.last_output()),
            // `.ci/run` repeats such lines in its summary.
            Verdict::NotRun if matches!(self, Job::Mutated(_)) => {
                println!("NOT RUN: mutation {:?}: {reason}", label.replace(": ", " "));
            }
            Verdict::NotRun => {}
        }
        verdict
    }
}
