//! Breaks the code in the ways that the files `mutations.toml` list, one at a time, and expects the check of the row to
//! fail. If it passes, the ordering is stronger than needed, or the check is too weak.
//!
//! Each worker has a copy of the tree under the target folder, with build folders that stay: a row compiles only its
//! package again, and never changes the tree.

mod affected;
mod check;
mod table;
mod tree;

use affected::{Change, Distance};
use check::{Check, Outcome};
use std::{
    collections::BTreeMap,
    env,
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};
use table::{Expect, Mutation};
use tree::Tree;

/// Without a mutation a model explores everything, which takes longer than to find a fault.
const BASELINE_TIMEOUT: Duration = Duration::from_secs(900);

/// How many rows a worker takes at once. It runs their checks on the unbroken tree before it breaks anything, because
/// the compiler builds the package again for each change.
const TOGETHER: usize = 8;

const USAGE: &str = "usage: hedgerow-mutants [OPTION...] [FILTER]

  FILTER          only rows whose label, file or check contains it
  --since=COMMIT  only rows that the changes since then can affect, nearest first
  --minutes=N     begin no row later than that; those that are left out are counted
  --jobs=N        N rows at a time, each in a copy of the tree; 2 if not given. Rows of the database mostly wait
  --list          run nothing: print the rows that it would run, in order
  --check         run nothing: only whether each row names code that exists";

#[derive(Default)]
struct Options {
    since: Option<String>,
    minutes: Option<u64>,
    jobs: Option<usize>,
    list: bool,
    check: bool,
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

fn number_of<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number\n{USAGE}"))
}

/// Parses the command line; returns `None` if the user wants help.
fn options() -> Result<Option<Options>, String> {
    let mut options = Options::default();
    for arg in env::args().skip(1) {
        match arg.split_once('=').map_or((arg.as_str(), ""), |pair| pair) {
            ("--list", "") => options.list = true,
            ("--check", "") => options.check = true,
            ("--since", commit) if !commit.is_empty() => options.since = Some(commit.into()),
            ("--minutes", minutes) => options.minutes = Some(number_of(minutes)?),
            ("--jobs", jobs) => options.jobs = Some(number_of(jobs)?),
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
    let start = Instant::now();
    // The variable of the run, not of the compilation: several trees may share a folder of artifacts.
    let here = env::var_os("CARGO_MANIFEST_DIR").ok_or("start it by cargo")?;
    let root = Path::new(&here).ancestors().nth(2).expect("two folders up");
    let table = table::read(root)?;
    if options.check {
        println!("{} rows", table.len());
        return Ok(true);
    }
    let rows = chosen(&table, &options, root)?;
    if options.list {
        rows.iter().for_each(|row| println!("{}  <{}>", row.label, row.check));
        return Ok(true);
    }
    let end = options.minutes.map(|minutes| start + Duration::from_secs(60 * minutes));
    let trees = Tree::copies(root, options.jobs.unwrap_or(2).max(1))
        .map_err(|e| format!("cannot copy the tree: {e}"))?;
    let runs = work(&trees, &rows, end);
    let of = |wanted| runs.iter().filter(|verdict| **verdict == wanted).count();
    let (wrong, not_run, late) = (of(Verdict::Wrong), of(Verdict::NotRun), of(Verdict::TooLate));
    let seconds = start.elapsed().as_secs();
    println!("{} mutations, {wrong} not as expected, {not_run} not run, {seconds} s", rows.len());
    if late != 0 {
        // `.ci/run` repeats such lines in its summary.
        println!("LEFT OUT: {late} of {} mutations: the time is over", rows.len());
    }
    Ok(wrong == 0)
}

/// Returns the rows to run, in their order.
fn chosen<'a>(
    table: &'a [Mutation],
    options: &Options,
    root: &Path,
) -> Result<Vec<&'a Mutation>, String> {
    let mut rows: Vec<_> = table.iter().filter(|row| row.matches(&options.filter)).collect();
    if rows.is_empty() {
        return Err(format!("no row of {} matches {:?}", table.len(), options.filter));
    }
    if let Some(commit) = &options.since {
        let change = Change::since(root, commit)?;
        let near = rows.iter().filter_map(|row| Some((change.distance(row)?, *row)));
        let mut near: Vec<(Distance, &Mutation)> = near.collect();
        near.sort_by_key(|(distance, _)| *distance);
        rows = near.into_iter().map(|(_, row)| row).collect();
    }
    Ok(rows)
}

/// How a row came out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Expected,
    Wrong,
    /// The check is neither red nor green.
    NotRun,
    /// The time was over.
    TooLate,
}

/// Runs the rows, some in each tree at a time. Most of a row's time goes into the compiler, which uses one core for
/// most of it.
fn work(trees: &[Tree], rows: &[&Mutation], end: Option<Instant>) -> Vec<Verdict> {
    use Verdict::{Expected, NotRun, TooLate, Wrong};
    let queue = Mutex::new(rows.chunks(TOGETHER));
    // How each check came out on the unbroken tree: one that fails there would make each mutation look caught.
    let unbroken_runs = Mutex::new(BTreeMap::<Check, Arc<OnceLock<Verdict>>>::new());
    let is_late = || end.is_some_and(|end| Instant::now() > end);
    let unbroken = |tree: &Tree, row: &Mutation| {
        let lock = || unbroken_runs.lock().expect("no worker panics");
        let run = Arc::clone(lock().entry(row.check.clone()).or_default());
        // Another worker may be running it.
        *run.get_or_init(|| unbroken(&row.check, tree))
    };
    let run = |tree: &Tree, rows: &[&Mutation]| -> Vec<Verdict> {
        let checked = rows.iter().map(|row| if is_late() { TooLate } else { unbroken(tree, row) });
        let checked: Vec<Verdict> = checked.collect();
        let broken = std::iter::zip(rows, checked).map(|(row, verdict)| match verdict {
            Expected if is_late() => TooLate,
            Expected => mutated(row, tree),
            Wrong | NotRun => {
                println!("not broken: {}  <{}>", row.label, row.check);
                verdict
            }
            TooLate => TooLate,
        });
        broken.collect()
    };
    let next = || queue.lock().expect("no worker panics").next();
    std::thread::scope(|scope| {
        let run =
            |tree| move || std::iter::from_fn(next).flat_map(|rows| run(tree, rows)).collect();
        let workers: Vec<_> = trees.iter().map(|tree| scope.spawn(run(tree))).collect();
        let verdicts = workers.into_iter().map(|w| w.join().expect("no worker panics"));
        verdicts.collect::<Vec<Vec<_>>>().concat()
    })
}

/// Runs the check on the tree as it is.
fn unbroken(check: &Check, tree: &Tree) -> Verdict {
    let start = Instant::now();
    let outcome = check.run(tree, BASELINE_TIMEOUT);
    report(outcome, Expect::Survives, "the unbroken tree", check, tree, start)
}

/// Runs the check on the broken tree.
fn mutated(row: &Mutation, tree: &Tree) -> Verdict {
    let start = Instant::now();
    report(row.run(tree), row.expect, &row.label, &row.check, tree, start)
}

/// Judges an outcome, and prints its line.
fn report(
    outcome: Outcome,
    expect: Expect,
    label: &str,
    check: &Check,
    tree: &Tree,
    start: Instant,
) -> Verdict {
    let (word, verdict) = match (outcome, expect) {
        (Outcome::Red | Outcome::Hung, Expect::Caught) => ("red", Verdict::Expected),
        (Outcome::Green, Expect::Survives) => ("green", Verdict::Expected),
        (Outcome::Green, Expect::Caught) => ("SURVIVED", Verdict::Wrong),
        (Outcome::Red | Outcome::Hung, Expect::Survives) => ("UNEXPECTEDLY RED", Verdict::Wrong),
        (Outcome::Elsewhere, _) => ("RED FOR ANOTHER REASON", Verdict::Wrong),
        (Outcome::Broken, _) => ("DOES NOT COMPILE", Verdict::Wrong),
        (Outcome::Empty, _) => ("RAN NO TEST", Verdict::Wrong),
        (Outcome::NotRun, _) => ("NOT RUN", Verdict::NotRun),
    };
    let reason = match outcome {
        Outcome::Red | Outcome::Elsewhere => tree.reason(),
        Outcome::NotRun => tree.not_run().unwrap_or_default(),
        Outcome::Hung => "hung".into(),
        _ => String::new(),
    };
    let seconds = start.elapsed().as_secs_f32();
    println!("{word:<18} {seconds:>6.1} s  {label}  <{check}>  {reason}");
    match verdict {
        Verdict::Wrong => println!("{}", tree.last_output()),
        // `.ci/run` repeats such lines in its summary.
        Verdict::NotRun => println!("NOT RUN: mutation {:?}: {reason}", label.replace(": ", " ")),
        Verdict::Expected | Verdict::TooLate => {}
    }
    verdict
}
