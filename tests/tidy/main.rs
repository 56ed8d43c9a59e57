//! builds: default
//!
//! The rules of this tree as tests: layers, sizes, orderings, `unsafe`, import cycles.
//!
//! Each rule is a function from a path and a text to the violations that it finds. Each has a test in which a planted
//! violation turns it red and a clean text passes. Rules of code read code with comments and strings blanked out, so
//! that prose may name what code may not.

mod cycles;
mod database_layers;
mod imports;
mod labels;
mod rules;
mod source;

use source::Violation;
use std::{env, fs, path::Path};

type Rule = fn(&str, &str) -> Vec<Violation>;
/// Paths below the root, and texts.
type Files = Vec<(String, String)>;

/// The sources of each crate that is published.
const CRATES: [&str; 8] = [
    "src",
    "std-ext/src",
    "std-ext/db/src",
    "std-ext/db/cluster/src",
    "std-ext/db/engine/src",
    "std-ext/db/formats/src",
    "std-ext/db/group/src",
    "std-ext/db/redis/src",
];

const RULES: [Rule; 8] = [
    rules::atomics_come_from_the_facade,
    rules::sizes_stay_small,
    rules::orderings_are_explained,
    rules::unsafe_is_argued,
    rules::primitives_list_their_pairs,
    imports::imports_point_one_way,
    rules::nothing_is_unfinished,
    rules::words_are_honest,
];

#[test]
fn the_tree_is_tidy() {
    let mut files = Files::new();
    for folder in CRATES {
        collect(folder, &is_rust, &mut files);
    }
    assert!(files.iter().any(|(path, _)| path == "src/lib.rs"), "no sources found");

    let mut tests = Files::new();
    for folder in rules::TESTS {
        collect(folder, &is_rust, &mut tests);
    }
    assert!(tests.iter().any(|(path, _)| path == "tests/tidy/main.rs"), "no tests found");

    let mut found: Vec<Violation> =
        files.iter().flat_map(|(p, t)| RULES.iter().flat_map(move |rule| rule(p, t))).collect();
    found.extend(tests.iter().flat_map(|(path, text)| rules::sizes_stay_small(path, text)));
    found.extend(tests.iter().flat_map(|(path, text)| rules::builds_are_named(path, text)));
    found.extend(rules::modules_are_built(&tests));
    for page in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        if let Ok(text) = fs::read_to_string(root().join(page)) {
            found.extend(rules::words_are_honest(page, &text));
        }
    }
    found.extend(labels::labels_are_listed(&files));
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("a file of this tree");
    let mut tables = Files::new();
    collect("src", &|path| path.ends_with(labels::TABLE), &mut tables);
    let tables: String = tables.into_iter().map(|(_, text)| text).collect();
    found.extend(labels::exceptions_are_listed(&read(labels::PAGE), &tables));
    let list: Vec<String> = found.iter().map(Violation::to_string).collect();
    assert!(list.is_empty(), "{} violations:\n{}", list.len(), list.join("\n"));
}

/// The folder of the workspace. `HEDGEROW_TIDY_ROOT` names another tree to look at.
fn root() -> &'static Path {
    static ROOT: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();
    ROOT.get_or_init(|| {
        env::var_os("HEDGEROW_TIDY_ROOT")
            .unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into())
            .into()
    })
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "rs")
}

/// Reads all files under `folder` whose path is `wanted`.
fn collect(folder: &str, wanted: &dyn Fn(&Path) -> bool, into: &mut Files) {
    for entry in fs::read_dir(root().join(folder)).expect("a source folder is readable") {
        let path = entry.expect("a folder entry is readable").path();
        let name = path.strip_prefix(root()).expect("found under the root").to_string_lossy();
        let name = name.replace('\\', "/");
        if path.is_dir() {
            // Build output, inputs and outputs of fuzz targets.
            let foreign = ["target", "corpus", "artifacts", "coverage", "node_modules"];
            if !foreign.iter().any(|folder| path.ends_with(folder)) {
                collect(&name, wanted, into);
            }
        // A program wrote it.
        } else if wanted(&path) && !path.ends_with("generated.rs") {
            into.push((name, fs::read_to_string(&path).expect("UTF-8 source")));
        }
    }
}

/// The rule finds exactly one violation in each of `planted` and none in any of `clean`.
fn judge(rule: Rule, path: &str, planted: &[&str], clean: &[&str]) {
    for text in planted {
        let found: Vec<String> = rule(path, text).iter().map(Violation::to_string).collect();
        assert_eq!(found.len(), 1, "planted in {path}:\n{text}\nfound: {found:#?}");
    }
    for text in clean {
        let found: Vec<String> = rule(path, text).iter().map(Violation::to_string).collect();
        assert!(found.is_empty(), "clean {path}:\n{text}\nfound: {found:#?}");
    }
}
