//! Breaks the crate in the ways that `tests/mutations.toml` lists, one at a time, and expects the
//! check named in the row to fail. A mutation that survives is an ordering or a test too many.
//!
//! Everything happens in copies under the target folder, one for each worker, with build folders
//! that are kept: only the crate itself is compiled again for a row, and the tree is never touched.

mod check;
mod table;
mod tree;

use check::{Check, Outcome};
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

const USAGE: &str = "usage: hedgerow-mutants [--assume-green] [--part=K/N] [FILTER]

  FILTER          only rows whose label, file or check contains it
  --part=K/N      only every Nth row, from row K on
  --assume-green  skip the run of each check on the unbroken tree (where it has just passed)";

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

/// Where to begin, and how far from one to the next.
fn part_of(text: &str) -> Result<(usize, usize), String> {
    let numbers = text.split_once('/').map(|(from, of)| (from.parse(), of.parse()));
    match numbers {
        Some((Ok(from), Ok(of))) if from < of => Ok((from, of)),
        _ => Err(format!("{text:?} is no part, such as 0/3\n{USAGE}")),
    }
}

/// Whether everything came out as the table says.
fn run() -> Result<bool, String> {
    let (mut assume_green, mut every, mut filter) = (false, (0, 1), String::new());
    for arg in env::args().skip(1) {
        match arg.as_str() {
            "--assume-green" => assume_green = true,
            part if part.starts_with("--part=") => every = part_of(&part["--part=".len()..])?,
            "-h" | "--help" => {
                println!("{USAGE}");
                return Ok(true);
            }
            flag if flag.starts_with('-') => return Err(format!("unknown option {flag}\n{USAGE}")),
            _ => filter = arg,
        }
    }
    // Where it runs, not where it was compiled: a folder of artifacts may serve several trees.
    let here = env::var_os("CARGO_MANIFEST_DIR").ok_or("start it by cargo")?;
    let root = Path::new(&here).ancestors().nth(2).expect("two folders up");
    let table = table::read(root)?;
    let wanted = table.iter().skip(every.0).step_by(every.1);
    let rows: Vec<&Mutation> = wanted.filter(|row| row.matches(&filter)).collect();
    if rows.is_empty() {
        println!("nothing to run: no row of {} matches {filter:?}", table.len());
        // A filter that finds nothing is a slip of the hand; an empty table is not.
        return Ok(table.is_empty());
    }

    let trees = Tree::copies(root, 2).map_err(|e| format!("cannot copy the tree: {e}"))?;
    let start = Instant::now();
    let checks: BTreeSet<&Check> = rows.iter().map(|row| &row.check).collect();
    let baseline = checks.into_iter().filter(|_| !assume_green).map(Job::Baseline).collect();
    let mut unexpected = work(&trees, baseline);
    // Checks that fail by themselves would make every mutation look caught.
    if unexpected == 0 {
        unexpected = work(&trees, rows.iter().map(|row| Job::Mutated(row)).collect());
    }
    let seconds = start.elapsed().as_secs();
    println!("{} mutations, {unexpected} lines not as expected, {seconds} s", rows.len());
    Ok(unexpected == 0)
}

#[derive(Clone, Copy)]
enum Job<'a> {
    /// The check passes on the tree as it is.
    Baseline(&'a Check),
    /// The check fails on the broken tree.
    Mutated(&'a Mutation),
}

/// Runs the jobs and gives the number of those that came out wrong.
fn work(trees: &[Tree], jobs: Vec<Job<'_>>) -> usize {
    // Models are single-threaded and run side by side. A test may need every core to itself for
    // two of its threads to meet, so tests follow one by one.
    let (models, tests) = jobs.into_iter().partition(|job| job.check().is_model());
    side_by_side(trees, models) + side_by_side(&trees[..1], tests)
}

fn side_by_side(trees: &[Tree], jobs: Vec<Job<'_>>) -> usize {
    let queue = Mutex::new(jobs.into_iter());
    let next = || queue.lock().expect("no worker panics").next();
    std::thread::scope(|scope| {
        let worker = |tree| move || std::iter::from_fn(next).filter(|job| !job.run(tree)).count();
        let workers: Vec<_> = trees.iter().map(|tree| scope.spawn(worker(tree))).collect();
        workers.into_iter().map(|w| w.join().expect("no worker panics")).sum()
    })
}

impl Job<'_> {
    fn check(&self) -> &Check {
        match self {
            Job::Baseline(check) => check,
            Job::Mutated(row) => &row.check,
        }
    }

    /// Runs it, prints its line, and says whether it came out as expected.
    fn run(&self, tree: &Tree) -> bool {
        let start = Instant::now();
        let (outcome, expect, label) = match *self {
            Job::Baseline(check) => {
                (check.run(tree, BASELINE_TIMEOUT), Expect::Survives, "unbroken")
            }
            Job::Mutated(row) => (row.run(tree), row.expect, row.label.as_str()),
        };
        let (word, good) = match (&outcome, expect) {
            (Outcome::Red | Outcome::Hung, Expect::Caught) => ("red", true),
            (Outcome::Green, Expect::Survives) => ("green", true),
            (Outcome::Green, Expect::Caught) => ("SURVIVED", false),
            (Outcome::Red | Outcome::Hung, Expect::Survives) => ("UNEXPECTEDLY RED", false),
            (Outcome::Elsewhere, _) => ("RED FOR ANOTHER REASON", false),
            (Outcome::Broken, _) => ("DOES NOT COMPILE", false),
            (Outcome::Empty, _) => ("RAN NO TEST", false),
        };
        let hung = if matches!(outcome, Outcome::Hung) { " (hung)" } else { "" };
        let seconds = start.elapsed().as_secs_f32();
        println!("{:<18} {seconds:>6.1} s  {label}  <{}>", format!("{word}{hung}"), self.check());
        if !good {
            println!("{}", tree.last_output());
        }
        good
    }
}
