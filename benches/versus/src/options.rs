//! The command line.

use std::path::Path;

use crate::cold::rows::Source;
use crate::work::{Row, Suite};

/// The text of `--help`.
pub const HELP: &str = "\
Compares FlatMap and its family with other maps; prints Markdown, writes plots.

  --suite LIST       of words batches zipf counters iterate values strings
                     leftright ordered snapshots persistent persistent-text
                     sequences cold ancestor memory worst tails pins;
                     with commas. Without it all: half an hour or more
  --quick            fewer and shorter rounds, no 16 M keys
  --only LIST        of get-hit get-look get-miss insert upsert update remove
                     90/10 70/30 50/50 zipf-99/1 zipf-90/10 count iterate
                     get-many-1 (4, 16, 64) insert-many-16 remove-many-16
                     ancestor memory worst tails pins; of leftright get held-16
                     many-16 (with -zipf) reads-50 (99, 99.9, 99.99, 99.999;
                     up to 99.9 with -by-100) publish-1 (100, 10000) latency
                     bytes; of ordered scan-100 scan-100-written ascend hot-90/10
                     (50/50) moving-90/10 (50/50) bytes; of snapshots snapshot
                     90/10-reported crowd; of persistent kept-1 (100) diff-100
                     drop bytes pauses; of sequences push insert-middle
                     split-append; in the suites chosen
  --sizes LIST       of keys: 1k,64k,1M,16M (k = 1024)
  --threads LIST     1,2
  --rows NAME=FILE   rows for cold, any number of times: a line each, with a tab
                     between key and value or without a key; or pieces of as
                     many bytes as the file's ending says. Without it all files
                     in target/rows
  --rounds N         rounds that must count, for each map and row; 3 or more
  --goals            prints only the goals of the project and whether they are
                     reached; also those without a figure
  --out DIR          where the report, the rounds and the plots go";

/// Measurements that are no suite of rows.
const APART: [&str; 6] = ["cold", "ancestor", "memory", "worst", "tails", "pins"];

/// Measurements beside the rows of a suite.
const WITHIN: [&str; 4] = ["latency", "bytes", "pauses", "crowd"];

/// The chosen measurements and the folder of results.
pub struct Options {
    /// Fewer and shorter rounds.
    pub quick: bool,
    /// Names given to `--suite`; empty for all.
    pub suites: Vec<String>,
    /// Names given to `--only`; empty for everything.
    pub only: Vec<String>,
    /// Keys in the map; empty for each suite's default.
    pub sizes: Vec<usize>,
    /// One, two or both; empty for each suite's default.
    pub threads: Vec<usize>,
    /// Rows of data, for the suite that wants some.
    pub data: Vec<Source>,
    /// Overrides the pace's rounds.
    pub rounds: Option<usize>,
    /// Prints the goals and nothing else.
    pub goals: bool,
    /// Folder of the results.
    pub out: String,
}

impl Options {
    /// Reads the arguments, or says what is wrong with them.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            quick: false,
            suites: vec![],
            only: vec![],
            sizes: vec![],
            threads: vec![],
            data: vec![],
            rounds: None,
            goals: false,
            out: concat!(env!("CARGO_MANIFEST_DIR"), "/target/versus").into(),
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--quick" => options.quick = true,
                "--goals" => options.goals = true,
                "--suite" => options.suites = list(&value()?, suite)?,
                "--only" => options.only = list(&value()?, work)?,
                "--sizes" => options.sizes = list(&value()?, size)?,
                "--threads" => options.threads = list(&value()?, threads)?,
                "--rows" => options.data.push(Source::parse(&value()?)?),
                "--rounds" => options.rounds = Some(number(&value()?)?.max(3)),
                "--out" => options.out = value()?,
                _ => return Err(format!("unknown option {word}")),
            }
        }
        Ok(options)
    }

    /// The sets of rows for the suite that wants some: those that were named, or those that are there.
    pub fn data(&self) -> Vec<Source> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/target/rows");
        if self.data.is_empty() { Source::all(Path::new(folder)) } else { self.data.clone() }
    }

    /// Returns whether to run the suite called `name`.
    pub fn runs(&self, name: &str) -> bool {
        self.suites.is_empty() || self.suites.iter().any(|suite| suite == name)
    }

    /// Returns whether to run the measurement `name`, which is no suite.
    pub fn measures(&self, name: &str) -> bool {
        self.runs(name) && self.picks(name)
    }

    /// Returns whether to run the measurement `name` beside its suite's rows.
    pub fn measures_within(&self, suite: Suite, name: &str) -> bool {
        self.runs(suite.name()) && self.picks(name)
    }

    fn picks(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// The rows of a suite, by the size of their maps.
    pub fn rows(&self, suite: Suite) -> Vec<(usize, Vec<Row>)> {
        if !self.runs(suite.name()) {
            return vec![];
        }
        let given = |asked: &[usize], usual: &[usize]| {
            if asked.is_empty() { usual.to_vec() } else { asked.to_vec() }
        };
        let mut sizes = given(&self.sizes, suite.sizes());
        sizes.retain(|&n| n <= suite.most());
        if self.sizes.is_empty() && self.quick {
            sizes.retain(|&n| n < 1 << 24);
        }
        let threads = given(&self.threads, suite.threads());
        let rows = |n: usize| -> Vec<Row> {
            let named = !self.only.is_empty();
            let works = suite.workloads().iter().filter(|w| self.picks(&w.name()));
            let row =
                |&workload| threads.iter().map(move |&threads| Row { suite, workload, n, threads });
            let usual = |row: &Row| named || suite.usual(row.workload, row.n, row.threads);
            works.flat_map(row).filter(usual).collect()
        };
        sizes.into_iter().map(|n| (n, rows(n))).filter(|(_, rows)| !rows.is_empty()).collect()
    }
}

/// `n` as people write it: 65536 is 64 k.
pub fn short(n: usize) -> String {
    match n {
        _ if n >= 1 << 20 && n.is_multiple_of(1 << 20) => format!("{} M", n >> 20),
        _ if n >= 1 << 10 && n.is_multiple_of(1 << 10) => format!("{} k", n >> 10),
        _ => n.to_string(),
    }
}

fn list<T>(words: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    words.split(',').map(read).collect()
}

fn work(word: &str) -> Result<String, String> {
    let mut all = Suite::ALL.iter().flat_map(|suite| suite.workloads());
    let known =
        all.any(|work| work.name() == word) || [&APART[..], &WITHIN].concat().contains(&word);
    known.then(|| word.to_owned()).ok_or(format!("nothing called {word} is measured"))
}

fn suite(word: &str) -> Result<String, String> {
    let known = Suite::ALL.iter().any(|suite| suite.name() == word) || APART.contains(&word);
    known.then(|| word.to_owned()).ok_or(format!("no suite is called {word}"))
}

fn size(word: &str) -> Result<usize, String> {
    let (digits, shift) = match word.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 10),
        None => word.strip_suffix(['m', 'M']).map_or((word, 0), |digits| (digits, 20)),
    };
    let n = number(digits)? << shift;
    // Smaller maps have no guests for two threads; larger ones no 32-bit index.
    (64..=1 << 30).contains(&n).then_some(n).ok_or(format!("{word} keys are not measured"))
}

fn threads(word: &str) -> Result<usize, String> {
    let n = number(word)?;
    (1..=2).contains(&n).then_some(n).ok_or("one or two threads".into())
}

fn number(word: &str) -> Result<usize, String> {
    word.parse().map_err(|_| format!("{word} is no number"))
}
