//! builds: default
//!
//! Rules that the tree breaks in places: `ceilings.txt` has the number of violations of each rule in each folder.
//!
//! A number only shrinks: a folder above its ceiling fails, and so does one below it, until the lower number is
//! committed. `HEDGEROW_TIDY=write` writes the file, unless a rule would be broken more often than before in total.

use crate::{Files, Rule, collect, prose, root, source::Violation};
use std::{collections::BTreeMap, env, fs, path::Path};

const RULES: [(&str, Rule); 4] = [
    ("clause", prose::clauses_have_nouns),
    ("fragment", prose::descriptions_name_things),
    ("phrase", prose::phrases_are_plain),
    ("name", prose::names_are_known),
];
const CEILINGS: &str = "tests/tidy/ceilings.txt";
const HEAD: &str = "\
# Violations of the rules of language: RULE FOLDER NUMBER. `HEDGEROW_TIDY=write cargo test --test tidy` lowers them.
";

/// The most lines of a page.
const LENGTHS: [(&str, usize); 2] = [("README.md", 130), ("ARCHITECTURE.md", 250)];
type Counts = BTreeMap<(String, String), usize>;

#[test]
fn language_stays_below_its_ceilings() {
    let mut found = Counts::new();
    for (rule, violation) in violations(|_| true) {
        *found.entry((rule.to_owned(), folder(&violation.path))).or_default() += 1;
    }
    for (page, limit) in LENGTHS {
        let text = fs::read_to_string(root().join(page)).expect("the page is readable");
        if excess(&text, limit) > 0 {
            found.insert(("length".to_owned(), page.to_owned()), excess(&text, limit));
        }
    }
    let text = fs::read_to_string(root().join(CEILINGS)).unwrap_or_default();
    let allowed = read(&text);
    if env::var("HEDGEROW_TIDY").is_ok_and(|what| what == "write") {
        for (rule, _) in RULES {
            let (now, before) = (total(&found, rule), total(&allowed, rule));
            assert!(
                text.is_empty() || now <= before,
                "{now} violations of {rule}, more than {before} before"
            );
        }
        fs::write(root().join(CEILINGS), write(&found)).expect("the list is writable");
        return;
    }
    let wrong = compare(&found, &allowed);
    assert!(wrong.is_empty(), "{CEILINGS}, see .ci/count:\n{}", wrong.join("\n"));
}

/// Prints the counts of each file; with `HEDGEROW_TIDY_LIST`, each violation. `HEDGEROW_TIDY_PATHS` names the paths.
#[test]
fn counts() {
    // Only `.ci/count` wants them.
    let Ok(paths) = env::var("HEDGEROW_TIDY_PATHS") else { return };
    let wanted = |path: &str| {
        paths.trim().is_empty() || paths.split_whitespace().any(|start| path.starts_with(start))
    };
    let mut counts: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
    for (rule, violation) in violations(wanted) {
        if env::var_os("HEDGEROW_TIDY_LIST").is_some() {
            println!("{violation}");
        }
        *counts.entry(violation.path).or_default().entry(rule).or_default() += 1;
    }
    let of = |rules: &BTreeMap<&str, usize>, rule: &str| rules.get(rule).copied().unwrap_or(0);
    for (path, rules) in &counts {
        let numbers = RULES.map(|(rule, _)| format!("{rule} {:>4}", of(rules, rule)));
        println!("{}  {path}", numbers.join("  "));
    }
    let totals = RULES.map(|(rule, _)| {
        format!("{rule} {:>4}", counts.values().map(|rules| of(rules, rule)).sum::<usize>())
    });
    println!("{}  total", totals.join("  "));
}

/// The lines of a page that is longer than its limit, and 0 of any other.
fn excess(text: &str, limit: usize) -> usize {
    let lines = text.lines().count();
    if lines > limit { lines } else { 0 }
}

fn violations(wanted: impl Fn(&str) -> bool) -> Vec<(&'static str, Violation)> {
    let mut files = Files::new();
    for folder in ["src", "std-ext", "tests", "fuzz", "benches", ".ci"] {
        collect(folder, &has_prose, &mut files);
    }
    for entry in fs::read_dir(root()).expect("the root is readable").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if has_prose(&entry.path()) && entry.path().is_file() {
            files.push((name, fs::read_to_string(entry.path()).expect("UTF-8 page")));
        }
    }
    files.retain(|(path, _)| wanted(path));
    files.sort();
    let found = |(rule, check): &(&'static str, Rule)| {
        let (rule, check) = (*rule, *check);
        files
            .iter()
            .flat_map(move |(path, text)| check(path, text))
            .map(move |v| (rule, v))
            .collect::<Vec<_>>()
    };
    RULES.iter().flat_map(found).collect()
}

fn has_prose(path: &Path) -> bool {
    let Some(extension) = path.extension() else {
        return fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"#!"));
    };
    // The rows of mutations are data.
    ["rs", "md", "sh", "toml", "py", "conf"].iter().any(|e| extension == *e)
        && !path.ends_with("mutations.toml")
}

/// The part of the tree that a file belongs to: `src/fence`, `std-ext/db/src/log`, `tests`, `README.md`.
fn folder(path: &str) -> String {
    let Some((folders, _)) = path.rsplit_once('/') else { return path.to_owned() };
    let depth = match path {
        _ if path.starts_with("std-ext/db/src/") => 4,
        _ if path.starts_with("std-ext/db/") => 3,
        _ => 2,
    };
    folders.split('/').take(depth).collect::<Vec<_>>().join("/")
}

fn read(text: &str) -> Counts {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let counts = lines.map(|line| {
        let parts: Vec<&str> = line.split(' ').collect();
        let [rule, folder, count] = parts[..] else { panic!("{CEILINGS}: {line}") };
        ((rule.to_owned(), folder.to_owned()), count.parse().expect("a number"))
    });
    counts.collect()
}

fn write(counts: &Counts) -> String {
    let lines = counts.iter().map(|((rule, folder), count)| format!("{rule} {folder} {count}\n"));
    HEAD.to_owned() + &lines.collect::<String>()
}

fn total(counts: &Counts, rule: &str) -> usize {
    counts.iter().filter(|((name, _), _)| name == rule).map(|(_, count)| count).sum()
}

fn compare(found: &Counts, allowed: &Counts) -> Vec<String> {
    let mut wrong = Vec::new();
    for place in found.keys().chain(allowed.keys().filter(|place| !found.contains_key(*place))) {
        let of = |counts: &Counts| counts.get(place).copied().unwrap_or(0);
        let (now, ceiling) = (of(found), of(allowed));
        let (rule, folder) = place;
        if now > ceiling {
            wrong.push(format!(
                "{folder}: {now} violations of {rule}, and the ceiling is {ceiling}"
            ));
        } else if now < ceiling {
            wrong.push(format!(
                "{folder}: only {now} violations of {rule}: lower the ceiling of {ceiling}"
            ));
        }
    }
    wrong
}

#[test]
fn a_folder_above_or_below_its_ceiling_is_found() {
    let counts = |text: &str| read(&format!("{HEAD}{text}"));
    let allowed = counts("clause src/fence 3\nphrase README.md 1\n");
    assert!(compare(&allowed, &allowed).is_empty());
    for planted in [
        "clause src/fence 4\nphrase README.md 1\n",
        "clause src/fence 3\n",
        "clause src/fence 3\nphrase README.md 1\nname src 1\n",
    ] {
        assert_eq!(compare(&counts(planted), &allowed).len(), 1, "{planted}");
    }
    assert_eq!(read(&write(&allowed)), allowed);
    assert_eq!(folder("std-ext/db/src/log/file.rs"), "std-ext/db/src/log");
    assert_eq!(folder("src/fence/entry/map.rs"), "src/fence");
}

#[test]
fn a_page_that_is_too_long_is_found() {
    let page = "line\n".repeat(20);
    assert_eq!(excess(&page, 20), 0);
    assert_eq!(excess(&page, 19), 20);
    let found = read("length README.md 20\n");
    assert_eq!(compare(&found, &Counts::new()).len(), 1);
    assert_eq!(compare(&found, &read("length README.md 19\n")).len(), 1);
}
