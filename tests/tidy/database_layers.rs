//! builds: default
//!
//! The layers of the database's packages: a module imports lower layers and itself only, as the package's
//! ARCHITECTURE.md says.

use crate::{
    Files, collect,
    cycles::{self, Graph},
    is_rust, root,
};
use std::{collections::BTreeMap, fs};

/// A package with layers.
struct Package {
    folder: &'static str,
    page: &'static str,
    /// The modules of each layer, the lowest layer first. Modules of one layer do not import each other. A module with
    /// a slash has a layer of its own, apart from the folder that it is in.
    layers: &'static [&'static [&'static str]],
}

const PACKAGES: [Package; 2] = [
    Package {
        folder: "std-ext/db/src",
        page: "std-ext/db/ARCHITECTURE.md",
        layers: &[
            &["certificates", "cluster/broadcast", "limits"],
            &["config", "outgoing", "pubsub", "scripts"],
            &["cluster/view", "tracking"],
            &["command"],
            &["client", "cluster", "offline"],
            &["server"],
            &["grpc"],
            &["docs", "lib"],
        ],
    },
    Package {
        folder: "std-ext/db/engine/src",
        page: "std-ext/db/engine/ARCHITECTURE.md",
        layers: &[
            &[
                "bounds",
                "buffers",
                "clock",
                "effort",
                "event_flags",
                "gauge",
                "lock",
                "script_settings",
            ],
            &["latency_monitor", "options", "progress", "request"],
            &["log"],
            &["error", "snapshot", "watch"],
            &["state"],
            &["background", "session"],
            &["db"],
            &["clustered", "eviction_settings", "transaction"],
            &["lib"],
        ],
    },
];
/// The program stands on the library of its package.
const PROGRAM: [&str; 2] = ["std-ext/db/src/main.rs", "std-ext/db/src/reload.rs"];

#[test]
fn the_database_imports_lower_layers() {
    for package in &PACKAGES {
        let mut files = Files::new();
        collect(package.folder, &is_rust, &mut files);
        files.retain(|(path, _)| !PROGRAM.contains(&&**path));
        assert!(files.iter().any(|(path, _)| path.ends_with("/lib.rs")), "no sources found");
        let found = package.violations(&cycles::imports(package.folder, &files));
        assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
    }
}

#[test]
fn the_pages_have_the_layers_of_the_database() {
    for package in &PACKAGES {
        let page = fs::read_to_string(root().join(package.page)).expect("the page is readable");
        assert!(package.is_shown(&page), "{} does not hold:\n{}", package.page, package.table());
    }
}

impl Package {
    /// The imports that do not lead to a lower layer, and the files without a layer.
    fn violations(&self, graph: &Graph) -> Vec<String> {
        let mut found = Vec::new();
        for (path, targets) in graph {
            let Some((home, layer)) = self.place(path) else {
                found.push(format!("{path} has no layer: give it one in `PACKAGES`"));
                continue;
            };
            for target in targets {
                if self
                    .place(target)
                    .is_some_and(|(module, other)| module != home && other >= layer)
                {
                    found.push(format!(
                        "{path} imports {target}: imports point to lower layers only"
                    ));
                }
            }
        }
        found
    }

    /// The module of a file, and the number of its layer.
    fn place(&self, path: &str) -> Option<(&'static str, usize)> {
        let inside = path.strip_prefix(self.folder)?.strip_prefix('/')?.strip_suffix(".rs")?;
        let layer_of = |wanted: &str| {
            let all = self.layers.iter().enumerate();
            let mut all =
                all.flat_map(|(layer, names)| names.iter().map(move |&name| (name, layer)));
            all.find(|(name, _)| *name == wanted)
        };
        let mut ends = inside.match_indices('/').map(|(at, _)| at).chain([inside.len()]);
        let first = &inside[..ends.next()?];
        ends.next().and_then(|end| layer_of(&inside[..end])).or_else(|| layer_of(first))
    }

    /// Whether a page has the table of layers, without further rows.
    fn is_shown(&self, page: &str) -> bool {
        page.contains(&format!("\n\n{}\n", self.table()))
    }

    /// The layers as the page shows them.
    fn table(&self) -> String {
        let row = |(layer, names): (usize, &&[&str])| {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("| {} | {} |\n", layer + 1, names.join(", "))
        };
        let rows: String = self.layers.iter().enumerate().map(row).collect();
        format!("| layer | modules |\n|---|---|\n{rows}")
    }
}

#[test]
fn an_import_that_does_not_point_down_is_found() {
    let database = &PACKAGES[0];
    let folder = database.folder;
    let judge = |texts: &[(&str, &str)]| {
        let files: BTreeMap<&str, &str> = texts.iter().copied().collect();
        let files = files.iter().map(|(path, text)| (format!("{folder}/{path}"), (*text).into()));
        database.violations(&cycles::imports(folder, &files.collect()))
    };
    let tree = [
        (
            "lib.rs",
            "mod config;\nmod limits;\npub mod cluster;\nmod command;\npub use command::Command;",
        ),
        ("config/mod.rs", "mod server;\npub use server::Server;"),
        ("config/server.rs", "use crate::cluster::broadcast;\npub struct Server;"),
        ("limits/mod.rs", "pub struct Limit;"),
        ("cluster/mod.rs", "pub mod view;\nuse crate::command::Command;\npub struct Cluster;"),
        ("cluster/view.rs", "use super::broadcast;\nuse crate::config::Server;\npub struct View;"),
        ("cluster/broadcast.rs", ""),
        ("command/mod.rs", "use crate::limits::Limit;\npub struct Command;"),
    ];
    assert_eq!(judge(&tree), [""; 0], "clean");
    for (path, planted) in [
        ("config/server.rs", "use crate::cluster::view::View;\npub struct Server;"),
        ("limits/mod.rs", "fn f() { crate::config::g() }\npub struct Limit;"),
        ("config/server.rs", "use crate::Command;\npub struct Server;"),
        ("config/server.rs", "use super::super::command;\npub struct Server;"),
        ("cluster/view.rs", "use super::Cluster;\npub struct View;"),
        ("cluster/broadcast.rs", "use super::view::View;"),
        ("attic.rs", ""),
    ] {
        let mut tree = tree.to_vec();
        tree.push((path, planted));
        let found = judge(&tree);
        assert_eq!(found.len(), 1, "planted in {path}: {planted}\nfound: {found:#?}");
        assert!(found[0].starts_with(&format!("{folder}/{path} ")), "{found:?}");
    }
}

#[test]
fn a_page_with_other_layers_is_found() {
    let database = &PACKAGES[0];
    let page = format!("Text.\n\n{}\nText.\n", database.table());
    assert!(database.is_shown(&page));
    for (from, to) in [
        ("| 4 | `command` |\n", ""),
        ("`grpc` |\n", "`grpc`, `main` |\n"),
        ("`lib` |\n", "`lib` |\n| 9 | `main` |\n"),
    ] {
        assert!(!database.is_shown(&page.replace(from, to)), "a page without {from:?} passes");
    }
}
