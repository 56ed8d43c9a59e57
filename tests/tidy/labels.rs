//! builds: default
//!
//! What `docs::ordering` says about labels of orderings, compared with the code and the rows of `mutations.toml`.

use crate::source::Violation;
use std::collections::BTreeSet;

pub(crate) const PAGE: &str = "src/docs/ordering.rs";
/// The rows that break the code in their folder.
pub(crate) const TABLE: &str = "mutations.toml";

/// The page of pairs, which says that it has all of them, has them.
pub(crate) fn labels_are_listed(files: &[(String, String)]) -> Vec<Violation> {
    let page = &files.iter().find(|(path, _)| path == PAGE).expect("there is such a page").1;
    let mut found = Vec::new();
    // The page tells the library's pairs; the database's are told where they are.
    let others = |path: &str| path != PAGE && !path.starts_with("std-ext/db/");
    for (path, text) in files.iter().filter(|(path, _)| others(path)) {
        for (i, line) in text.lines().enumerate() {
            for label in line.split('[').skip(1).filter_map(|rest| rest.split_once(']')) {
                if is_label(label.0) && !page.contains(label.0) {
                    found.push(Violation::new(path, i, format!("{} is not in {PAGE}", label.0)));
                }
            }
        }
    }
    found
}

/// The page's exceptions are the labels of which no row of these tables turns a check red.
pub(crate) fn exceptions_are_listed(page: &str, tables: &str) -> Vec<Violation> {
    let (pairs, rest) = page.split_once("weakens each of them").expect("the page has such a list");
    let exceptions = rest.lines().filter_map(|line| line.strip_prefix("//! - "));
    let said = labels(exceptions.filter_map(|line| line.split_once(':')).map(|(head, _)| head));
    let broken = labels(rows_that_fail(tables));
    let (all, mut found) = (labels([pairs]), Vec::new());
    for label in all.difference(&broken).filter(|label| !said.contains(*label)) {
        let what = format!("no row of {TABLE} that turns a check red has {label}");
        found.push(Violation::new(PAGE, 0, what));
    }
    for label in said.intersection(&broken) {
        let what = format!("{label} is no exception: {TABLE} has a row that turns a check red");
        found.push(Violation::new(PAGE, 0, what));
    }
    found
}

/// Returns the heads of the labels of rows that are expected to turn a check red.
fn rows_that_fail(tables: &str) -> impl Iterator<Item = &str> {
    let rows = tables.split("[[mutation]]\n").skip(1);
    let rows = rows.filter(|row| !row.lines().any(|line| value(line, "expect").is_some()));
    let labels = rows.filter_map(|row| row.lines().find_map(|line| value(line, "label")));
    labels.filter_map(|label| label.split_once(':')).map(|(head, _)| head)
}

fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.trim_start().strip_prefix('=')
}

/// Returns the labels that stand in these texts as words.
fn labels<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let words = texts.into_iter().flat_map(|text| {
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| is_label(word))
    });
    words.collect()
}

fn is_label(word: &str) -> bool {
    word.len() == 4
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word[2..].starts_with('-')
        && word.ends_with(|c: char| c.is_ascii_digit())
}

#[test]
fn a_label_that_no_check_misses_is_found() {
    let row = |label: &str, more: &str| format!("\n[[mutation]]\nlabel = \"{label}: x\"\n{more}");
    let table = [row("AB-1", ""), row("AB-2", "expect = \"survives\"\n"), row("CD-1", "")].concat();
    let page = |exceptions: &str| {
        format!("//! - `AB-1` ↔ `AB-2`, `CD-1`\n//! It weakens each of them:\n{exceptions}")
    };
    let count = |exceptions: &str| exceptions_are_listed(&page(exceptions), &table).len();
    assert_eq!(count("//! - `AB-2`: as `CD-1` is\n"), 0);
    assert_eq!(count(""), 1, "a label whose only row survives");
    assert_eq!(count("//! - `AB-2`, `CD-1`: why\n"), 1, "an exception that has a row");
    assert_eq!(exceptions_are_listed(&page("//! - `AB-2`: x\n"), "").len(), 2, "without rows");
}
