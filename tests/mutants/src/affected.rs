//! Which rows a change can affect: those of the packages that it touches. A run that is short of time plays the nearest
//! first, and names those that it leaves out.

use crate::{
    check::Check,
    table::{self, Mutation, TABLE},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// How near a row is to a change, nearest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distance {
    /// The row itself is new or changed.
    Row,
    /// The file that it breaks has changed, or one that enters its check: the test's own, its corpus, and support files
    /// and transcripts that the test names.
    File,
    /// Another file of the folder that it breaks has changed.
    Folder,
    /// Another file of the package that it breaks, or that has its check; or a support file that other ones use.
    Package,
}

/// What has changed since a commit.
pub struct Change {
    root: PathBuf,
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
        Ok(Self { root: root.to_owned(), paths, rows })
    }

    /// Returns how near the row is to the change; `None` if the change cannot affect it.
    pub fn distance(&self, row: &Mutation) -> Option<Distance> {
        if self.rows.get(&row.label) != Some(row) {
            return Some(Distance::Row);
        }
        let test = source(&self.root, &row.check);
        self.paths.iter().filter_map(|path| of_path(row, path, &test)).min()
    }
}

/// Returns how near the row is to a change of one file. `test` is the source of its check.
fn of_path(row: &Mutation, path: &str, test: &str) -> Option<Distance> {
    // Other rows, and words, enter no check.
    if path.ends_with(TABLE) || path.ends_with(".md") && path != row.file {
        return None;
    }
    let folder = row.file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let package = row.check.package();
    if path == row.file || is_named(path, test) || enters(&row.check, path) {
        Some(Distance::File)
    } else if path.rsplit_once('/').is_some_and(|(of, _)| of == folder) {
        Some(Distance::Folder)
    } else if is_common(path)
        || [package_of(&row.file), package].into_iter().any(|package| uses(package, path))
    {
        Some(Distance::Package)
    } else {
        None
    }
}

/// Returns whether the source of a test names the file: as a file that it includes, or as a module of its folder.
fn is_named(path: &str, test: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = match folder {
        // Other packages name a module of this one by its crate.
        "std-ext/db/group/src" => "hedgerow_db_group",
        _ => folder.rsplit('/').next().unwrap_or_default(),
    };
    let stem = name.strip_suffix(".rs").unwrap_or(name);
    name != "mod.rs" && (test.contains(name) || test.contains(&format!("{folder}::{stem}")))
}

/// Returns the text of the file that has the check, and of the support files that it names.
fn source(root: &Path, check: &Check) -> String {
    let package = check.package();
    let (folder, name) = match check {
        Check::Fuzz(target) => (format!("{package}fuzz_targets/"), target.as_str()),
        Check::Test { target, name } if !target.ends_with("lib") => {
            let target = target.rsplit('/').next().expect("a name");
            (format!("{package}tests/{target}/"), name.as_str())
        }
        Check::Test { name, .. } | Check::Model { name, .. } => {
            (format!("{package}src/"), name.rsplit('/').next().expect("a name"))
        }
    };
    // The last words of the name are the test and modules without a file.
    let path = format!("{folder}{}", name.replace("::", "/"));
    let path = Path::new(&path).ancestors().flat_map(|path| {
        let path = root.join(path);
        [path.with_extension("rs"), path.join("mod.rs")]
    });
    let test = path.filter_map(|path| fs::read_to_string(path).ok()).next();
    let folders = ["tests/support".to_owned(), format!("{package}tests/support")];
    let names = folders.iter().flat_map(|folder| {
        let files = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
        files.map(move |file| format!("{folder}/{}", file.file_name().display()))
    });
    let mut others: BTreeSet<String> = names.collect();
    let mut text = test.unwrap_or_default();
    while let Some(path) = others.iter().find(|path| is_named(path, &text)).cloned() {
        text += &fs::read_to_string(root.join(&path)).unwrap_or_default();
        others.remove(&path);
    }
    text
}

/// The folders of packages; the root has the maps.
const PACKAGES: [&str; 16] = [
    // A package before the folder that it is in.
    "std-ext/db/cluster/",
    "std-ext/db/engine/",
    "std-ext/db/formats/",
    "std-ext/db/group/",
    "std-ext/db/redis/",
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

/// Returns whether the file belongs to the package, or to one that the package may use. The database's packages lie in
/// its folder.
fn uses(package: &str, path: &str) -> bool {
    let database = "std-ext/db/";
    package_of(path) == package || package.starts_with(database) && path.starts_with(database)
}

/// Returns whether the file decides how everything is built or run.
fn is_common(path: &str) -> bool {
    path.starts_with("tests/mutants/")
        // Tests of all packages use these.
        || path.starts_with("tests/support/")
        || matches!(path, "Cargo.toml" | "Cargo.lock" | "rust-toolchain.toml")
}

/// Returns whether the file is a part of the check itself.
fn enters(check: &Check, path: &str) -> bool {
    let package = check.package();
    if package_of(path) != package {
        return false;
    }
    let rest = &path[package.len()..];
    match check {
        Check::Fuzz(target) => {
            let (corpus, source) =
                (format!("corpus/{target}/"), format!("fuzz_targets/{target}.rs"));
            rest.starts_with(&corpus) || rest == source || rest.starts_with("src/")
        }
        Check::Model { name, .. } => is_module(rest, name),
        Check::Test { target, name } if target.ends_with("lib") => is_module(rest, name),
        Check::Test { target, .. } => {
            let target = target.rsplit('/').next().expect("a name");
            let test = rest.strip_prefix("tests/");
            test.is_some_and(|test| test.split(['/', '.']).next() == Some(target))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A check that is weakened must be played first. Most are weakened outside the code that their rows break.
    #[test]
    fn what_enters_a_check_is_near() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the root");
        let table = table::read(root).expect("rows of today");
        let (history, search) = ("tests/support/check.rs", "std-ext/db/group/src/search.rs");
        for (path, checks) in [
            (history, "test:owned::history::"),
            (history, "test:fence::history::"),
            (history, "shuttle:fence::models::shuttle::"),
            ("tests/support/play.rs", "test:flat::history::"),
            ("tests/owned/history.rs", "test:owned::history::"),
            ("fuzz/corpus/ord_map/of_today", "fuzz:ord_map"),
            ("fuzz/fuzz_targets/ord_map.rs", "fuzz:ord_map"),
            ("std-ext/db/redis/tests/redis-7.txt", "test:db-redis/lib::command::redis::"),
            ("std-ext/db/tests/redis-7-pubsub.txt", "test:db/pubsub::"),
            (search, "test:db-cluster/lib::moves::model::"),
            ("src/fence/models/balance_loom.rs", "loom:fence::models::balance_loom::"),
        ] {
            assert!(root.join(path).with_file_name("").is_dir(), "no folder of {path}");
            let near = |row: &&Mutation| {
                let test = source(root, &row.check);
                of_path(row, path, &test) == Some(Distance::File)
            };
            let (near, far): (Vec<_>, Vec<_>) = table.iter().partition(near);
            let has = |rows: &[&Mutation]| {
                rows.iter().filter(|row| row.check.to_string().starts_with(checks)).count()
            };
            assert!(has(&near) > 0 && has(&far) == 0, "{path} is not near to {checks}");
            assert!(near.len() < 60, "{path} is near to {} rows", near.len());
        }
    }
}
