//! The command line.

use crate::workload::Workload;

/// What `--help` prints.
pub const HELP: &str = "\
Compares FlatMap<u64, u64> with other maps; prints Markdown, writes plots.

  --quick            fewer and shorter rounds, no 16 M keys; about two minutes
  --only LIST        of get-hit get-miss insert upsert update remove 90/10 70/30
                     50/50 memory worst; with commas
  --sizes LIST       of keys: 1k,64k,1M,16M (k = 1024)
  --threads LIST     1,2
  --rounds N         rounds that must count, for each map and row; 3 or more
  --out DIR          where the report, the rounds and the plots go";

/// What to measure and where to put it.
pub struct Options {
    /// Fewer and shorter rounds.
    pub quick: bool,
    /// Names given to `--only`; empty for everything.
    pub only: Vec<String>,
    /// Keys in the map.
    pub sizes: Vec<usize>,
    /// One, two or both.
    pub threads: Vec<usize>,
    /// Overrides the pace's rounds.
    pub rounds: Option<usize>,
    /// Folder of the results.
    pub out: String,
}

impl Options {
    /// Reads the arguments, or says what is wrong with them.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            quick: false,
            only: vec![],
            sizes: vec![],
            threads: vec![1, 2],
            rounds: None,
            out: concat!(env!("CARGO_MANIFEST_DIR"), "/target/versus").into(),
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--quick" => options.quick = true,
                "--only" => options.only = list(&value()?, name)?,
                "--sizes" => options.sizes = list(&value()?, size)?,
                "--threads" => options.threads = list(&value()?, threads)?,
                "--rounds" => options.rounds = Some(number(&value()?)?.max(3)),
                "--out" => options.out = value()?,
                _ => return Err(format!("unknown option {word}")),
            }
        }
        if options.sizes.is_empty() {
            let all = [1 << 10, 1 << 16, 1 << 20, 1 << 24];
            options.sizes = all[..if options.quick { 3 } else { 4 }].to_vec();
        }
        Ok(options)
    }

    /// Whether `name` is to be measured.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// The workloads to run at `n` keys. The largest size takes minutes to
    /// build, so there it is the three that say most unless others are named.
    pub fn workloads(&self, n: usize) -> Vec<Workload> {
        let few = [Workload::GetHit, Workload::GetMiss, Workload::Upsert];
        let fits = |w: &Workload| n < 1 << 24 || !self.only.is_empty() || few.contains(w);
        Workload::ALL.into_iter().filter(|w| self.wants(&w.name()) && fits(w)).collect()
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

fn name(word: &str) -> Result<String, String> {
    let known = Workload::ALL.iter().any(|w| w.name() == word);
    let known = known || ["memory", "worst"].contains(&word);
    known.then(|| word.to_owned()).ok_or(format!("nothing called {word} is measured"))
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
