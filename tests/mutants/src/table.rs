//! The table of mutations, each with the check that must notice it.

use crate::{
    BASELINE_TIMEOUT,
    check::{Check, Outcome},
    kept::Kept,
    tree::Tree,
};
use serde::Deserialize;
use std::{collections::BTreeSet, fs, path::Path, time::Duration};

const TABLE: &str = "tests/mutations.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    mutation: Vec<Mutation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutation {
    pub label: String,
    pub file: String,
    from: String,
    to: String,
    #[serde(deserialize_with = "crate::check::parse")]
    pub check: Check,
    #[serde(default)]
    pub expect: Expect,
    /// A text that the failing check prints: the proof that it failed for the mutated property.
    #[serde(default)]
    says: String,
    /// Whether the check is expected to run out of time, as it does if a thread waits for ever.
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

/// Reads the table and checks each row against the tree, so that a stale row is reported before
/// the first minute is spent.
pub fn read(root: &Path) -> Result<Vec<Mutation>, String> {
    let text = fs::read_to_string(root.join(TABLE)).map_err(|e| format!("{TABLE}: {e}"))?;
    let table: Table = toml::from_str(&text).map_err(|e| format!("{TABLE}: {e}"))?;
    let mut wrong: Vec<String> = table.mutation.iter().filter_map(|row| row.fault(root)).collect();
    let mut labels = BTreeSet::new();
    let twice = table.mutation.iter().filter(|row| !labels.insert(row.label.as_str()));
    wrong.extend(twice.map(|row| format!("  {}: there are two rows of this label", row.label)));
    if wrong.is_empty() {
        Ok(table.mutation)
    } else {
        Err(format!("{TABLE}:\n{}", wrong.join("\n")))
    }
}

impl Mutation {
    pub fn matches(&self, filter: &str) -> bool {
        let check = self.check.to_string();
        [&self.label, &self.file, &check].iter().any(|text| text.contains(filter))
    }

    /// Returns all of the row as one text.
    pub fn text(&self) -> String {
        let Self { label, file, from, to, check, expect, says, hangs, .. } = self;
        let survives = *expect == Expect::Survives;
        format!("{label}\n{file}\n{from}\n{to}\n{check}\n{survives}\n{says}\n{hangs}")
    }

    /// Returns the change and its check as one text.
    pub fn change(&self) -> String {
        let Self { file, from, to, check, timeout, .. } = self;
        format!("{file}\n{from}\n{to}\n{check}\n{timeout}")
    }

    /// Returns the fault of the row itself, if it has one.
    fn fault(&self, root: &Path) -> Option<String> {
        let text = fs::read_to_string(root.join(&self.file)).unwrap_or_default();
        let places = text.matches(&self.from).count();
        let what = if self.from.is_empty() || places != 1 {
            format!("`from` stands {places} times in {}, not once", self.file)
        } else if self.from == self.to {
            "`to` is the same as `from`".into()
        } else if (self.expect == Expect::Survives) == self.why.is_empty() {
            "`why` and `expect = \"survives\"` go together".into()
        } else if self.hangs && !self.says.is_empty() {
            "a check that hangs says nothing".into()
        } else if self.expect == Expect::Caught && !self.hangs && self.says.is_empty() {
            "`says` is missing: what does the check print about the property?".into()
        } else {
            return None;
        };
        Some(format!("  {}: {what}", self.label))
    }

    /// Runs the check on the broken tree, or takes the output of an earlier run from `kept`.
    pub fn run(&self, tree: &Tree, kept: &Kept) -> Outcome {
        let outcome = kept.take(tree).unwrap_or_else(|| {
            let outcome = self.run_now(tree);
            kept.put(outcome, tree);
            outcome
        });
        self.judge(outcome, tree)
    }

    fn run_now(&self, tree: &Tree) -> Outcome {
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
        outcome
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
