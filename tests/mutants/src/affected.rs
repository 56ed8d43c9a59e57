//! Which rows a change can affect: those of the packages that it touches. A run that is short of time plays the nearest
//! first, and names those that it leaves out.

use crate::{
    check::Check,
    table::{self, Mutation, TABLE},
};
use std::{collections::BTreeMap, path::Path};

/// How near a row is to a change, nearest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distance {
    /// The row itself is new or changed.
    Row,
    /// The file that it breaks has changed, or something that enters its check: the test's own file, support files, a
    /// corpus, a transcript.
    File,
    /// Another file of the folder that it breaks has changed.
    Folder,
    /// Another file of the package that it breaks, or that has its check.
    Package,
}

/// What has changed since a commit.
pub struct Change {
    paths: Vec<String>,
    /// The rows as they were, by label.
    rows: BTreeMap<String, Mutation>,
}

impl Change {
    /// Compares the tree, uncommitted files included, with `commit`.
    pub fn since(root: &Path, commit: &str) -> Result<Self, String> {
        let changed = table::git(root, &["diff", "--name-only", "--no-renames", commit])?;
        let new = table::git(root, &["ls-files", "--others", "--exclude-standard"])?;
        let paths = changed.lines().chain(new.lines()).map(str::to_owned).collect();
        let mut rows = BTreeMap::new();
        let then = table::git(root, &["ls-tree", "-r", "--name-only", commit])?;
        for path in then.lines().filter(|path| path.rsplit('/').next() == Some(TABLE)) {
            let text = table::git(root, &["show", &format!("{commit}:{path}")])?;
            // A table that the runner of today cannot read has no row that is still the same.
            let known = table::parse(path, &text).unwrap_or_default();
            rows.extend(known.into_iter().map(|row| (row.label.clone(), row)));
        }
        Ok(Self { paths, rows })
    }

    /// Returns how near the row is to the change; `None` if the change cannot affect it.
    pub fn distance(&self, row: &Mutation) -> Option<Distance> {
        if self.rows.get(&row.label) != Some(row) {
            return Some(Distance::Row);
        }
        self.paths.iter().filter_map(|path| of_path(row, path)).min()
    }
}

/// Returns how near the row is to a change of one file.
fn of_path(row: &Mutation, path: &str) -> Option<Distance> {
    // Other rows, and words, enter no check.
    if path.ends_with(TABLE) || path.ends_with(".md") && path != row.file {
        return None;
    }
    let folder = row.file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let package = row.check.package();
    if path == row.file || enters(&row.check, path) {
        Some(Distance::File)
    } else if path.rsplit_once('/').is_some_and(|(of, _)| of == folder) {
        Some(Distance::Folder)
    } else if [package_of(&row.file), package].contains(&package_of(path)) || is_common(path) {
        Some(Distance::Package)
    } else {
        None
    }
}

/// The folders of packages; the root has the maps.
const PACKAGES: [&str; 11] = [
    "std-ext/db/",
    "std-ext/",
    "fuzz/",
    "benches/",
    "tests/hostile/",
    "tests/embedded/",
    "tests/mutants/",
    "tests/newcomers/",
    "tests/modelled/",
    "tests/peers/",
    "tests/wasm/",
];

/// Returns the folder of the package that the file belongs to.
fn package_of(path: &str) -> &str {
    PACKAGES.into_iter().find(|folder| path.starts_with(folder)).unwrap_or_default()
}

/// Returns whether the file decides how everything is built or run.
fn is_common(path: &str) -> bool {
    path.starts_with("tests/mutants/")
        || matches!(path, "Cargo.toml" | "Cargo.lock" | "rust-toolchain.toml")
}

/// Returns whether the file is a part of the check itself. Of a package's tests and their data all is, but for what
/// belongs to another target: to follow `#[path]` and files that are read at run time is not worth its code.
fn enters(check: &Check, path: &str) -> bool {
    let package = check.package();
    if package_of(path) != package {
        // Other packages' tests use these, too.
        return path.starts_with("tests/support/") && !check.is_model();
    }
    let rest = &path[package.len()..];
    match check {
        Check::Fuzz(target) => {
            let (corpus, source) =
                (format!("corpus/{target}/"), format!("fuzz_targets/{target}.rs"));
            rest.starts_with(&corpus) || rest == source || rest.starts_with("src/")
        }
        Check::Model { name, .. } => is_module(rest, name),
        Check::Test { target, name } if target.ends_with("lib") => {
            is_module(rest, name) || rest.starts_with("tests/") && !rest.ends_with(".rs")
        }
        Check::Test { target, .. } => {
            let target = target.rsplit('/').next().expect("a name");
            let Some(test) = rest.strip_prefix("tests/") else { return false };
            let own = test.split(['/', '.']).next() == Some(target);
            own || test.starts_with("support/") || !test.ends_with(".rs")
        }
    }
}

/// Returns whether the file has the module of the test `name`, or one below or above it.
fn is_module(path: &str, name: &str) -> bool {
    let module = name.rsplit_once("::").map_or("", |(module, _)| module);
    let module = module.rsplit_once('/').map_or(module, |(_, module)| module).replace("::", "/");
    let path = path.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs"));
    path.is_some_and(|path| {
        let path = path.strip_suffix("/mod").unwrap_or(path);
        module.starts_with(path) || path.starts_with(&module)
    })
}
