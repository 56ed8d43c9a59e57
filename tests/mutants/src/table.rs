//! The rows: which code to break, and the check that must notice it.

use crate::{
    BASELINE_TIMEOUT,
    check::{Check, Outcome},
    tree::Tree,
};
use serde::Deserialize;
use std::{collections::BTreeSet, fs, path::Path, process::Command, time::Duration};

/// The name of a file of rows. It lies beside the code that its rows break.
pub const TABLE: &str = "mutations.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    mutation: Vec<Mutation>,
}

#[derive(Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Mutation {
    pub label: String,
    /// In a table, the path from the table's folder; [`parse`] makes it the path from the root.
    pub file: String,
    from: String,
    to: String,
    #[serde(deserialize_with = "crate::check::parse")]
    pub check: Check,
    #[serde(default)]
    pub expect: Expect,
    /// A text that the failing check prints: the proof that it failed because of the mutated property.
    #[serde(default)]
    says: String,
    /// Whether the check is expected to run out of time, as it does if a thread waits forever.
    #[serde(default)]
    hangs: bool,
    #[serde(default)]
    why: String,
    #[serde(default = "default_timeout")]
    timeout: u64,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    #[default]
    Caught,
    Survives,
}

fn default_timeout() -> u64 {
    120
}

/// Runs git in `root`, and returns what it prints.
pub fn git(root: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new("git").args(args).current_dir(root).output();
    let output = output.map_err(|e| format!("cannot start git: {e}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("git {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr)))
    }
}

/// Reads all tables and compares each row with the code, so that a stale row is reported before the first minute is
/// spent.
pub fn read(root: &Path) -> Result<Vec<Mutation>, String> {
    let pattern = format!(":(glob)**/{TABLE}");
    let list = git(root, &["ls-files", "--cached", "--others", "--exclude-standard", &pattern])?;
    let mut rows = Vec::new();
    for path in list.lines().filter(|path| root.join(path).is_file()) {
        let text = fs::read_to_string(root.join(path)).map_err(|e| format!("{path}: {e}"))?;
        rows.extend(parse(path, &text)?);
    }
    let mut labels = BTreeSet::new();
    let twice = rows.iter().filter(|row: &&Mutation| !labels.insert(row.label.as_str()));
    let twice = twice.map(|row| format!("  {}: there are two rows with this label", row.label));
    let faults = rows.iter().filter_map(|row| row.fault(root));
    let wrong: Vec<String> = faults.chain(twice).collect();
    if wrong.is_empty() { Ok(rows) } else { Err(wrong.join("\n")) }
}

/// Parses the table at `path`.
pub fn parse(path: &str, text: &str) -> Result<Vec<Mutation>, String> {
    let mut rows = toml::from_str::<Table>(text).map_err(|e| format!("{path}: {e}"))?.mutation;
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    for row in &mut rows {
        row.file = joined(folder, &row.file);
    }
    Ok(rows)
}

/// Appends a relative path, which may begin with `../`.
fn joined(folder: &str, file: &str) -> String {
    match (file.strip_prefix("../"), folder.rsplit_once('/')) {
        (Some(rest), Some((parent, _))) => joined(parent, rest),
        _ => format!("{folder}/{file}"),
    }
}

impl Mutation {
    pub fn matches(&self, filter: &str) -> bool {
        let check = self.check.to_string();
        [&self.label, &self.file, &check].iter().any(|text| text.contains(filter))
    }

    /// Returns what is wrong with the row itself.
    fn fault(&self, root: &Path) -> Option<String> {
        let text = fs::read_to_string(root.join(&self.file)).unwrap_or_default();
        let places = text.matches(&self.from).count();
        let what = if self.from.is_empty() || places != 1 {
            format!("`from` is {places} times in {}, not once", self.file)
        } else if self.from == self.to {
            "`to` is the same as `from`".into()
        } else if (self.expect == Expect::Survives) == self.why.is_empty() {
            "`why` and `expect = \"survives\"` go together".into()
        } else if self.hangs && !self.says.is_empty() {
            "a check that hangs says nothing".into()
        } else if self.expect == Expect::Caught && !self.hangs && self.is_boilerplate() {
            "`says` must be a text about the property, not one that any failing test prints".into()
        } else {
            return None;
        };
        Some(format!("  {}: {what}", self.label))
    }

    /// Returns whether a check may print `says` whatever it fails for.
    fn is_boilerplate(&self) -> bool {
        let name = self.check.to_string();
        let any = "test result: FAILED; thread panicked at assertion `left == right` failed";
        self.says.is_empty() || any.contains(&self.says) || name.contains(&self.says)
    }

    /// Runs the check on the broken tree.
    pub fn run(&self, tree: &Tree) -> Outcome {
        let unbroken = tree.read(&self.file);
        tree.write(&self.file, &unbroken.replacen(&self.from, &self.to, 1));
        // A model without a fault explores everything.
        let least = match self.expect {
            Expect::Caught => self.check.least_time(),
            Expect::Survives => BASELINE_TIMEOUT,
        };
        let timeout = Duration::from_secs(self.timeout).max(least);
        let mut outcome = self.check.run(tree, timeout);
        for _ in 1..self.attempts() {
            if !matches!(outcome, Outcome::Green) {
                break;
            }
            outcome = self.check.run(tree, timeout);
        }
        tree.write(&self.file, &unbroken);
        self.judge(outcome, tree)
    }

    /// Judges the outcome: a check that fails for another reason than the row's proves nothing about the row.
    fn judge(&self, outcome: Outcome, tree: &Tree) -> Outcome {
        match outcome {
            Outcome::Red if self.hangs || !tree.whole_output().contains(&self.says) => {
                Outcome::Elsewhere
            }
            Outcome::Hung if !self.hangs => Outcome::Elsewhere,
            outcome => outcome,
        }
    }

    /// Returns how often a check runs until it is red. Threads of a test meet by chance, and a machine may be busy,
    /// so a test may miss a mutation once. A model explores everything, and a row that survives is run once.
    fn attempts(&self) -> u32 {
        if self.check.is_model() || self.expect == Expect::Survives { 1 } else { 3 }
    }
}
