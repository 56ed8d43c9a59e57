//! `tests/mutations.lock`: the rows that came out as expected, with fingerprints of the mutated file and of the check.
//!
//! If a row's text, its mutated file and its check have not changed since its last run, it would come out the same, as
//! far as these files decide it. So a run of `--unrecorded` rows is short after a small change, and its verdict does
//! not depend on the day. A run of all rows does not read the record.

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
    /// Reads the record; a missing file is an empty record.
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

    /// Forgets rows whose text or files have changed.
    pub fn keep_current(&mut self, table: &[Mutation]) {
        let current = table.iter().filter(|row| self.has(row));
        let labels: BTreeSet<String> = current.map(|row| row.label.clone()).collect();
        self.rows.retain(|label, _| labels.contains(label));
    }

    /// Records whether the row of this label came out as expected on the files with this fingerprint. It writes each
    /// row at once, so that an interrupted run loses none.
    pub fn note(&mut self, label: &str, print: &str, good: bool) -> io::Result<()> {
        if good {
            self.rows.insert(label.to_owned(), print.to_owned());
        } else {
            self.rows.remove(label);
        }
        let lines = self.rows.iter().map(|(label, print)| format!("{print} {label}\n"));
        fs::write(self.root.join(RECORD), HEAD.to_owned() + &lines.collect::<String>())
    }

    /// Returns a fingerprint of everything that decides the row's outcome.
    pub fn fingerprint(&self, row: &Mutation) -> String {
        self.hash(row, &row.text())
    }

    /// Returns a fingerprint of everything that decides the output of the row's check, without the expected outcome.
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

    /// Returns the file of a check; `None` if no rule here finds it.
    fn source_of(&self, check: &Check) -> Option<PathBuf> {
        let (package, target, name) = match check {
            Check::Model { name, .. } => match name.split_once('/') {
                Some(("std-ext", name)) => ("std-ext", "lib", name),
                _ => ("", "lib", name.as_str()),
            },
            Check::Test { target, name } => match target.split_once('/') {
                Some(("db" | "db-cluster", target)) => ("std-ext/db", target, name.as_str()),
                Some(("hostile", target)) => ("tests/hostile", target, name.as_str()),
                Some(("std-ext", target)) => ("std-ext", target, name.as_str()),
                _ => ("", target.as_str(), name.as_str()),
            },
            Check::Fuzz(target) => {
                return Some(self.root.join(format!("fuzz/fuzz_targets/{target}.rs")));
            }
        };
        let package = self.root.join(package);
        // The path of a test names its module.
        let parts: Vec<&str> = name.split("::").collect();
        let modules = (1..parts.len()).rev().map(|length| parts[..length].join("/"));
        if target != "lib" {
            let tests = package.join("tests");
            let modules = modules.map(|module| tests.join(target).join(format!("{module}.rs")));
            let files = [tests.join(target).join("main.rs"), tests.join(format!("{target}.rs"))];
            return modules.chain(files).find(|file| file.is_file());
        }
        let files =
            modules.flat_map(|path| [format!("src/{path}.rs"), format!("src/{path}/mod.rs")]);
        files.map(|file| package.join(file)).find(|file| file.is_file())
    }
}

/// FNV-1a of 64 bits. (Fowler, Noll and Vo.)
struct Fnv(u64);

impl Fnv {
    /// Adds the bytes and an end mark that no text has, so that two files differ from their concatenation.
    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes.iter().chain(&[0xFF]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }
}
