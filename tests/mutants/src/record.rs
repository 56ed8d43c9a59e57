//! `tests/mutations.lock`: which rows came out as expected, and on what text of the mutated file and of the check.
//!
//! A row whose mutated file, check and own text are what they were when it was last run would come out the same, as
//! far as these files decide it. So a run of `--unrecorded` rows is short after a small change, and says the same on
//! any day. A run of all rows does not read the record.

use crate::{check::Check, table::Mutation};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

const RECORD: &str = "tests/mutations.lock";
const HEAD: &str = "\
# Rows of mutations.toml that came out as expected, each with a fingerprint of the files that decide it. Written by
# `cargo run --release --manifest-path tests/mutants/Cargo.toml -- --record`; never by hand.
";

pub struct Record {
    root: PathBuf,
    /// From a row's label to the fingerprint with which it was run.
    rows: BTreeMap<String, String>,
}

impl Record {
    /// Reads the record; a file that is not there is an empty one.
    pub fn read(root: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(root.join(RECORD)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let rows = lines.filter_map(|line| line.split_once(' '));
        let rows = rows.map(|(print, label)| (label.to_owned(), print.to_owned())).collect();
        Ok(Self { root: root.into(), rows })
    }

    pub fn has(&self, row: &Mutation) -> bool {
        self.rows.get(&row.label).is_some_and(|print| *print == self.fingerprint(row))
    }

    /// Forgets rows of which the table or the files have changed.
    pub fn keep_current(&mut self, table: &[Mutation]) {
        let current = table.iter().filter(|row| self.has(row));
        let labels: BTreeSet<String> = current.map(|row| row.label.clone()).collect();
        self.rows.retain(|label, _| labels.contains(label));
    }

    /// Writes down that the row of this label came out as expected, on the files with this fingerprint, or that it
    /// did not. Each row is written at once: a run that is cut off loses none.
    pub fn note(&mut self, label: &str, print: &str, good: bool) -> io::Result<()> {
        if good {
            self.rows.insert(label.to_owned(), print.to_owned());
        } else {
            self.rows.remove(label);
        }
        let lines = self.rows.iter().map(|(label, print)| format!("{print} {label}\n"));
        fs::write(self.root.join(RECORD), HEAD.to_owned() + &lines.collect::<String>())
    }

    /// Stands for everything that decides how the row comes out.
    pub fn fingerprint(&self, row: &Mutation) -> String {
        self.hash(row, &row.text())
    }

    /// Stands for everything that decides what the row's check prints: whatever is expected of it.
    pub fn fingerprint_of_change(&self, row: &Mutation) -> String {
        self.hash(row, &row.change())
    }

    fn hash(&self, row: &Mutation, text: &str) -> String {
        let mut hash = Fnv(0xCBF2_9CE4_8422_2325);
        hash.add(text.as_bytes());
        hash.add(&fs::read(self.root.join(&row.file)).unwrap_or_default());
        if let Some(path) = self.source_of(&row.check) {
            hash.add(&fs::read(path).unwrap_or_default());
        }
        format!("{:016x}", hash.0)
    }

    /// The file that a check stands in. `None` if it is where no rule here looks for it.
    fn source_of(&self, check: &Check) -> Option<PathBuf> {
        let (package, target, name) = match check {
            Check::Model { name, .. } => match name.split_once('/') {
                Some(("std-ext", name)) => ("std-ext", "lib", name),
                _ => ("", "lib", name.as_str()),
            },
            Check::Test { target, name } => match target.split_once('/') {
                Some(("db", target)) => ("std-ext/db", target, name.as_str()),
                Some(("hostile", target)) => ("tests/hostile", target, name.as_str()),
                Some(("std-ext", target)) => ("std-ext", target, name.as_str()),
                _ => ("", target.as_str(), name.as_str()),
            },
            Check::Fuzz(target) => {
                return Some(self.root.join(format!("fuzz/fuzz_targets/{target}.rs")));
            }
        };
        let package = self.root.join(package);
        if target != "lib" {
            let tests = package.join("tests");
            let files = [tests.join(format!("{target}.rs")), tests.join(target).join("main.rs")];
            return files.into_iter().find(|file| file.is_file());
        }
        // The test's path names its module: the longest part of it that is a file.
        let parts: Vec<&str> = name.split("::").collect();
        let paths = (1..parts.len()).rev().map(|length| parts[..length].join("/"));
        let files = paths.flat_map(|path| [format!("src/{path}.rs"), format!("src/{path}/mod.rs")]);
        files.map(|file| package.join(file)).find(|file| file.is_file())
    }
}

/// FNV-1a of 64 bits. (Fowler, Noll and Vo.)
struct Fnv(u64);

impl Fnv {
    /// Adds the bytes, and an end that no text has, so that two files are not one longer one.
    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes.iter().chain(&[0xFF]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }
}
