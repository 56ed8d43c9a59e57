//! Finds the tests of the peers in the packages that cargo has downloaded, and makes a module of each file, for the
//! test binary of its peer.
//!
//! A line keeps its number, so that a failure can be looked up in the peer's source. `outcomes.txt` lists the tests
//! that do not pass here. One that fails becomes a test that has to panic, so it turns red as soon as it passes.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};
use syn::spanned::Spanned;
use syn::{Attribute, Item, ItemFn};

const PEERS: [&str; 4] = ["crossbeam-skiplist", "dashmap", "flurry", "papaya"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=outcomes.txt");
    println!("cargo::rerun-if-changed=Cargo.lock");
    println!("cargo::rustc-cfg=papaya_asan");
    let sources = sources();
    for peer in PEERS {
        let mut files = Files::new(peer, &sources[peer]);
        files.add_folder("tests");
        files.add_folder("src");
        files.finish();
    }
}

/// The folders of the peers' packages.
fn sources() -> BTreeMap<String, PathBuf> {
    let cargo = Command::new(env::var_os("CARGO").expect("cargo sets it"))
        .args(["metadata", "--format-version=1", "--locked"])
        .output()
        .expect("cargo runs");
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let metadata: Value = serde_json::from_slice(&cargo.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("packages are a list");
    let folder = |package: &Value| {
        let manifest = Path::new(package["manifest_path"].as_str()?);
        Some((package["name"].as_str()?.to_owned(), manifest.parent()?.to_owned()))
    };
    packages.iter().filter_map(folder).collect()
}

/// What `outcomes.txt` says about one peer.
#[derive(Default)]
struct Outcomes {
    fails: BTreeSet<String>,
    left_out: BTreeSet<String>,
    count: usize,
}

impl Outcomes {
    fn of(peer: &str) -> Self {
        let mut outcomes = Self::default();
        let text = fs::read_to_string("outcomes.txt").expect("outcomes.txt is there");
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            let mut word = || words.next().unwrap_or_else(|| panic!("`{line}` is incomplete"));
            let (of, outcome, name) = (word(), word(), word());
            if of != peer {
                continue;
            }
            match outcome {
                "runs" => outcomes.count = name.parse().expect("a number of tests"),
                "fails" => assert!(outcomes.fails.insert(name.to_owned()), "`{line}` comes twice"),
                "left-out" => {
                    assert!(outcomes.left_out.insert(name.to_owned()), "`{line}` comes twice");
                }
                _ => panic!("`{line}` has an unknown outcome"),
            }
        }
        outcomes
    }
}

/// The files of one peer.
struct Files {
    peer: &'static str,
    source: PathBuf,
    target: PathBuf,
    outcomes: Outcomes,
    /// The listed names that were found.
    used: BTreeSet<String>,
    tests: usize,
    /// The text of the test binary's root.
    root: String,
}

impl Files {
    fn new(peer: &'static str, source: &Path) -> Self {
        let target = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join(peer);
        let _ = fs::remove_dir_all(&target);
        Self {
            peer,
            source: source.to_owned(),
            target,
            outcomes: Outcomes::of(peer),
            used: BTreeSet::new(),
            tests: 0,
            root: String::new(),
        }
    }

    fn add_folder(&mut self, folder: &str) {
        let Ok(entries) = fs::read_dir(self.source.join(folder)) else { return };
        let mut names: Vec<_> = entries
            .map(|entry| {
                entry.expect("a readable folder").file_name().into_string().expect("UTF-8")
            })
            .collect();
        names.sort();
        for name in names {
            let path = format!("{folder}/{name}");
            if self.source.join(&path).is_dir() {
                self.add_folder(&path);
            } else if Path::new(&path).extension().is_some_and(|end| end == "rs") {
                self.add_file(&path);
            }
        }
    }

    /// Copies a file with its tests, without those that are left out. Of a file of `src` only the tests are copied.
    fn add_file(&mut self, path: &str) {
        if self.outcomes.left_out.contains(path) {
            self.used.insert(path.to_owned());
            return;
        }
        let text = fs::read_to_string(self.source.join(path)).expect("cargo has downloaded it");
        let file = syn::parse_file(&text).unwrap_or_else(|why| panic!("{path}: {why}"));
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let in_src = path.starts_with("src/");
        let before = self.tests;
        for item in &file.items {
            let is_test = match item {
                Item::Mod(module) => module.attrs.iter().any(is_cfg_test),
                Item::Fn(function) => is_test(function),
                _ => false,
            };
            if in_src && !is_test {
                blank(&mut lines, item);
            } else {
                self.visit(item, &format!("{path}::"), &mut lines);
            }
        }
        if in_src {
            if self.tests == before {
                return;
            }
            // The imports of the file itself are gone.
            lines[0] = String::from("#[allow(unused_imports)] use crate::*;");
        }
        let text = lines
            .join("\n")
            // In the peer's own crate each file is a crate of its own.
            .replace("#[macro_export]", "")
            .replace("\nmod common;", "\n#[macro_use] mod common;");
        let copy = self.target.join(path);
        fs::create_dir_all(copy.parent().expect("it is in a folder")).expect("a folder");
        fs::write(&copy, text).expect("a file");
        // The others are modules of these.
        let depth = path.matches('/').count();
        if in_src || depth == 1 && path != "tests/common.rs" || path.ends_with("/main.rs") {
            let name = path.trim_end_matches("/main.rs").trim_end_matches(".rs").replace('/', "_");
            writeln!(self.root, "#[path = {:?}] mod {name};", copy.display().to_string())
                .expect("a string grows");
        }
    }

    fn visit(&mut self, item: &Item, prefix: &str, lines: &mut [String]) {
        match item {
            Item::Mod(module) => {
                let prefix = format!("{prefix}{}::", module.ident);
                for item in module.content.iter().flat_map(|(_, items)| items) {
                    self.visit(item, &prefix, lines);
                }
            }
            Item::Fn(function) => {
                let name = format!("{prefix}{}", function.sig.ident);
                if self.outcomes.left_out.contains(&name) {
                    blank(lines, item);
                    self.used.insert(name);
                } else if is_test(function) {
                    self.tests += 1;
                    if self.outcomes.fails.contains(&name) {
                        has_to_fail(function, lines);
                        self.used.insert(name);
                    }
                }
            }
            _ => {}
        }
    }

    fn finish(self) {
        let listed: BTreeSet<_> =
            self.outcomes.fails.union(&self.outcomes.left_out).cloned().collect();
        let unknown: Vec<_> = listed.difference(&self.used).collect();
        assert!(
            unknown.is_empty(),
            "outcomes.txt lists tests that {} lacks: {unknown:?}",
            self.peer
        );
        let (found, listed) = (self.tests, self.outcomes.count);
        assert!(
            found == listed,
            "{}: {found} tests, of which outcomes.txt says {listed}",
            self.peer
        );
        fs::write(self.target.join("root.rs"), self.root).expect("a file");
    }
}

fn is_test(function: &ItemFn) -> bool {
    function.attrs.iter().any(|attribute| attribute.path().is_ident("test"))
}

fn is_cfg_test(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
}

/// Removes the text of an item, and keeps its lines.
fn blank(lines: &mut [String], item: &Item) {
    let span = item.span();
    for line in &mut lines[span.start().line - 1..span.end().line] {
        line.clear();
    }
}

/// Makes a test that fails here pass if it panics, and one that has to panic pass if it does not.
fn has_to_fail(function: &ItemFn, lines: &mut [String]) {
    let panics = function.attrs.iter().find(|attribute| attribute.path().is_ident("should_panic"));
    match panics {
        Some(attribute) => lines[attribute.span().start().line - 1].clear(),
        None => lines[function.sig.span().start().line - 1].insert_str(0, "#[should_panic] "),
    }
}
