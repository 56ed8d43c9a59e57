//! builds: default
//!
//! The contract of all maps: the operations of each map, and their results. `support/contract.rs` states it, and the
//! compiler checks each type and each absence. The tests here compare the table and the lists of `src/docs/api.md` with
//! that file, and the public methods in the sources with both.

#[path = "support/bounds.rs"]
mod bounds;
#[path = "support/contract.rs"]
mod contract;
#[path = "support/guards.rs"]
mod guards;

use contract::{MAPS, Row, table};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Methods that one map alone has, which are in no row.
const OWN: [(&str, &[&str]); 11] = [
    (
        "FlatMap",
        &[
            "fetch_update",
            "get_each",
            "grow_step",
            "insert_many",
            "remove_many",
            "try_compare_exchange",
            "try_insert_many",
        ],
    ),
    ("FenceMap", &["apply_each", "range_into", "try_apply_batch", "try_range_into"]),
    ("LeftRightMap", &["inline", "inline_with_hasher"]),
    ("ReadHandle", &["factory", "generation", "get_copied", "try_clone"]),
    ("Snapshot", &["begin_lookup", "end_lookup", "likely"]),
    (
        "WriteHandle",
        &[
            "batch",
            "capacity",
            "contains_key",
            "generation",
            "get_key_value",
            "has_changes",
            "publish_every",
            "try_publish",
        ],
    ),
    (
        "CompressedMap",
        &[
            "builder",
            "builder_without_codecs",
            "compress_step",
            "expire_step",
            "export",
            "get_into",
            "import",
            "insert_for",
            "modify_deferred",
            "peek_into",
            "shrink",
            "time_to_live",
            "train",
            "with_budget",
        ],
    ),
    ("SnapshotMap", &["commit", "into_inner", "snapshot", "write"]),
    (
        "PersistentMap",
        &[
            "append",
            "clear",
            "diff",
            "entry",
            "extract_if",
            "first_entry",
            "get_index",
            "get_mut",
            "insert",
            "into_keys",
            "into_values",
            "iter_mut",
            "last_entry",
            "memory_bytes",
            "new",
            "pop_first",
            "pop_last",
            "ptr_eq",
            "range_len",
            "range_mut",
            "rank",
            "remove",
            "remove_entry",
            "remove_index",
            "remove_range",
            "retain",
            "slice",
            "split_off",
            "try_insert",
            "try_remove_entry",
            "values_mut",
        ],
    ),
    ("Pinned<HashMap>", &["par_iter"]),
    ("Pinned<BytesMap>", &["par_iter"]),
];

/// Operations of the table that `api_meaning` does not call. The list only shrinks.
const NOT_COMPARED: [&str; 25] = [
    "apply_batch",
    "compare_exchange",
    "fences",
    "generation",
    "get_many",
    "hasher",
    "is_pending",
    "pending_limit",
    "pin_owned",
    "ranking",
    "read_handle",
    "reader_id",
    "rebalance_step",
    "scan",
    "snapshot_many",
    "try_reserve",
    "try_with_capacity",
    "try_with_capacity_and_hasher",
    "wait_for_readers",
    "with_capacity",
    "with_capacity_and_hasher",
    "with_guard",
    "with_hasher",
    "with_ranking",
    "with_splits",
];

/// The type that has a row's method in the column of a map.
fn subject(kind: &str, map: &str) -> String {
    match (kind, map) {
        ("pinned", "SnapshotMap") => "PersistentMap".into(),
        ("pinned", "LeftRightMap") => "Snapshot".into(),
        ("pinned", "LeftRightTable") => "TableSnapshot".into(),
        ("pinned", _) => format!("Pinned<{map}>"),
        ("read", "LeftRightMap") => "ReadHandle".into(),
        ("read", "LeftRightTable") => "TableReader".into(),
        ("write", "LeftRightMap") => "WriteHandle".into(),
        ("write", "LeftRightTable") => "TableWriter".into(),
        _ => map.into(),
    }
}

/// The table as the page has to show it.
fn shown() -> Vec<String> {
    let mut lines = vec![
        format!("| | {} |", MAPS.map(|map| format!("[`{map}`](crate::{map})")).join(" | ")),
        format!("|---{}|", "|---".repeat(MAPS.len())),
    ];
    for (section, rows) in table() {
        lines.push(format!("| **{section}** {}|", "| ".repeat(MAPS.len())));
        for row in rows {
            let mut line = format!("| `{}` ", row.call);
            for map in MAPS {
                let cell = row.cells.iter().filter(|(of, _)| *of == map).map(|(_, cell)| cell);
                let cell = cell.collect::<Vec<_>>();
                // Not every map has snapshots or a writer.
                let may_lack = row.kind == "pinned" || section == "One writer";
                let is_stated = cell.len() == 1 || (cell.is_empty() && may_lack);
                assert!(is_stated, "row `{}` must have one entry for {map}", row.call);
                line += "| ";
                if let Some(cell) = cell.first() {
                    write!(line, "{cell} ").expect("a String takes everything");
                }
            }
            lines.push(line + "|");
        }
    }
    lines
}

/// The lists as the page has to show them.
fn listed() -> Vec<String> {
    OWN.map(|(of, names)| format!("- Of `{of}`: `{}`", names.join("`, `"))).into()
}

#[test]
fn the_page_shows_what_the_code_has() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/api.md"));
    let page = page.expect("the page is readable");
    let begins = |with: &'static str| page.lines().filter(move |line| line.starts_with(with));
    for (begin, stated) in [("|", shown()), ("- Of `", listed())] {
        let differs = stated.iter().zip(begins(begin)).find(|(stated, there)| stated != there);
        let there = begins(begin).count();
        assert!(
            differs.is_none() && there == stated.len(),
            "src/docs/api.md differs from tests/support/contract.rs: {differs:#?}\n\
             ({there} lines for {}). It has to show:\n{}",
            stated.len(),
            stated.join("\n"),
        );
    }
}

/// The type that an `impl` is for, if it is one of the table's, by the text up to its brace.
fn implemented(header: &str) -> Option<String> {
    let mut depth = 0;
    let generics = header.strip_prefix("impl").expect("an impl");
    let end = generics.char_indices().find(|&(at, c)| {
        let arrow = c == '>' && generics[..at].ends_with('-');
        depth += i32::from(c == '<') - i32::from(c == '>' && !arrow);
        depth == 0
    });
    let rest = match end {
        Some((at, '>')) => &generics[at + 1..],
        _ => generics,
    };
    if rest.contains(" for ") {
        return None;
    }
    let name = rest.trim_start().split(['<', ' ']).next().expect("a split has a first part");
    if name != "Pinned" {
        return Some(name.to_string());
    }
    let map = rest.split_once("'_, ")?.1.split('<').next()?;
    Some(format!("Pinned<{map}>"))
}

/// The methods that several maps have, each written once, by a macro.
const SHARED: &str =
    concat!(include_str!("../src/api/or_insert.rs"), include_str!("../src/reclaim/methods.rs"));

/// The public methods that a macro of `SHARED` writes; none if it has no macro of this name.
fn shared_methods(name: &str) -> impl Iterator<Item = String> {
    let body = SHARED.split_once(&format!("macro_rules! {name} {{")).map_or("", |(_, body)| body);
    let body = body.split("\n}\n").next().expect("a split has a first part");
    body.split("pub fn ").skip(1).map(|method| {
        method.split(['<', '(']).next().expect("a split has a first part").to_string()
    })
}

/// The public methods of all types, by the sources under `folder`.
fn methods(folder: &Path, into: &mut BTreeMap<String, BTreeSet<String>>) {
    for entry in fs::read_dir(folder).expect("a source folder is readable") {
        let path = entry.expect("a folder entry is readable").path();
        if path.is_dir() {
            methods(&path, into);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        let (mut of, mut header) = (None, String::new());
        for line in text.lines() {
            if line.starts_with("impl") || !header.is_empty() {
                header += line;
                header.push(' ');
                if line.contains('{') {
                    of = implemented(&header);
                    header.clear();
                }
            }
            let line = line.trim_start();
            if let (Some(of), Some((name, _))) = (&of, line.split_once("!(")) {
                into.entry(of.clone()).or_default().extend(shared_methods(name));
            }
            let line = line.strip_prefix("pub const fn ").or(line.strip_prefix("pub fn "));
            if let (Some(of), Some(line)) = (&of, line) {
                let name = line.split(['<', '(']).next().expect("a split has a first part");
                into.entry(of.clone()).or_default().insert(name.to_string());
            }
        }
    }
}

#[test]
fn every_public_method_of_a_map_is_in_the_table_or_in_a_list() {
    let mut found = BTreeMap::new();
    methods(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let mut stated = BTreeMap::<String, BTreeSet<String>>::new();
    let rows = table().into_iter().flat_map(|(_, rows)| rows);
    for Row { kind, name, cells, .. } in rows.filter(|row| row.kind != "trait") {
        for (map, cell) in cells {
            let of = subject(kind, map);
            let has = !["–", "the map's", ""].contains(&cell.as_str());
            let names = stated.entry(of.clone()).or_default();
            assert!(!has || names.insert(name.to_string()), "two rows say what {of}::{name} is");
        }
    }
    for (of, names) in OWN {
        for name in names {
            let names = stated.entry(of.to_string()).or_default();
            assert!(names.insert(name.to_string()), "{of}::{name} is in the table and in a list");
        }
    }
    for (of, names) in stated {
        if of.starts_with("Pinned<F") || of == "Pinned<CompressedMap>" {
            assert!(names.is_empty(), "{of} is no type");
            continue;
        }
        let found = found.remove(&of).unwrap_or_default();
        assert!(!found.is_empty(), "no source has a method of {of}");
        let missing = found.difference(&names).collect::<Vec<_>>();
        assert!(
            missing.is_empty(),
            "{of} has methods that are in no row and in no list: {missing:?}"
        );
        let gone = names.difference(&found).collect::<Vec<_>>();
        assert!(gone.is_empty(), "no source has these methods of {of}: {gone:?}");
    }
}

#[test]
fn what_two_maps_have_is_a_row() {
    let map = |of: &str| match of {
        "LeftRightMap" | "ReadHandle" | "WriteHandle" | "Snapshot" => "LeftRightMap".to_string(),
        "TableReader" | "TableWriter" | "TableSnapshot" => "LeftRightTable".to_string(),
        _ => of.to_string(),
    };
    let mut seen = BTreeMap::new();
    for (of, names) in OWN {
        // Only feature `rayon` brings it.
        for name in names.iter().filter(|name| **name != "par_iter") {
            let first = seen.entry(name).or_insert(of);
            assert_eq!(map(first), map(of), "{name} is an operation of two maps: make it a row");
        }
    }
}

#[test]
fn the_meaning_of_every_row_is_checked() {
    let text = concat!(
        include_str!("api_meaning/main.rs"),
        include_str!("api_meaning/snapshots.rs"),
        include_str!("api_meaning/equivalent_keys.rs")
    );
    let rows = table().into_iter().flat_map(|(_, rows)| rows);
    for Row { name, .. } in rows.filter(|row| row.kind != "trait") {
        let is_called = [".", "::"].iter().any(|dots| text.contains(&format!("{dots}{name}(")));
        let is_listed = NOT_COMPARED.contains(&name);
        assert!(is_called || is_listed, "tests/api_meaning does not call {name}");
        assert!(!(is_called && is_listed), "{name} is called: remove it from NOT_COMPARED");
    }
}
