//! builds: default
//!
//! The layers of the database's packages: a module imports lower layers and itself only, as the package's
//! ARCHITECTURE.md says.

use crate::{
    Files, collect,
    cycles::{self, Graph},
    is_rust, root,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// A folder with layers.
struct LayeredFolder {
    folder: &'static str,
    page: &'static str,
    /// The modules of each layer, the lowest layer first. Modules of one layer do not import each other.
    layers: &'static [&'static [&'static str]],
}

const FOLDERS: [LayeredFolder; 3] = [
    LayeredFolder {
        folder: "std-ext/db/redis/src",
        page: "std-ext/db/redis/ARCHITECTURE.md",
        layers: &[
            &["certificates", "limits", "test_support"],
            &["config", "outgoing", "pubsub", "scripts"],
            &["tracking", "view"],
            &["command"],
            &["server"],
            &["lib"],
        ],
    },
    LayeredFolder {
        folder: CLUSTER,
        page: "std-ext/db/cluster/ARCHITECTURE.md",
        layers: &[
            &["etcd", "measure"],
            &["log"],
            &["membership"],
            &["peer"],
            &["moves"],
            &["archive", "controller"],
            &["node"],
            &["admin"],
            &["lib"],
        ],
    },
    LayeredFolder {
        folder: "std-ext/db/engine/src",
        page: "std-ext/db/engine/ARCHITECTURE.md",
        layers: &[
            &[
                "bounds",
                "buffers",
                "clock",
                "effort",
                "encodings",
                "event_flags",
                "gauge",
                "lock",
                "not_run",
                "script_settings",
            ],
            &["latency_monitor", "options", "progress", "request"],
            &["log"],
            &["error", "snapshot", "watch"],
            &["state"],
            &["background", "session"],
            &["db"],
            &["clustered", "encoding_settings", "eviction_settings", "transaction"],
            &["lib"],
        ],
    },
];
const CLUSTER: &str = "std-ext/db/cluster/src";
/// The most files and folders in the folder of the cluster, apart from its root: more are not seen at a glance.
const MOST_ROOMS: usize = 12;

#[test]
fn the_database_imports_lower_layers() {
    for layers in &FOLDERS {
        let mut files = Files::new();
        collect(layers.folder, &is_rust, &mut files);
        let graph = cycles::imports(layers.folder, &files);
        assert!(!graph.is_empty(), "no sources found");
        let found = layers.violations(&graph);
        assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
    }
}

#[test]
fn the_cluster_has_few_rooms() {
    let mut files = Files::new();
    collect(CLUSTER, &is_rust, &mut files);
    let found = rooms(files.iter().map(|(path, _)| &path[CLUSTER.len() + 1..]));
    assert!(!found.is_empty() && found.len() <= MOST_ROOMS, "{} rooms: {found:?}", found.len());
    let found = rooms(["a.rs", "b/c.rs", "b/d/e.rs", "lib.rs", "b/mod.rs"].into_iter());
    assert_eq!(found, BTreeSet::from(["a.rs", "b"]));
}

/// The files and folders that lie in a folder directly, apart from the crate's root.
fn rooms<'a>(paths: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    paths.filter_map(|path| path.split('/').next()).filter(|room| *room != "lib.rs").collect()
}

#[test]
fn the_pages_have_the_layers_of_the_database() {
    for layers in &FOLDERS {
        let page = fs::read_to_string(root().join(layers.page)).expect("the page is readable");
        assert!(layers.is_shown(&page), "{} does not hold:\n{}", layers.page, layers.table());
    }
}

impl LayeredFolder {
    /// The imports that do not lead to a lower layer, and the files without a layer.
    fn violations(&self, graph: &Graph) -> Vec<String> {
        let mut found = Vec::new();
        for (path, targets) in graph {
            let Some((home, layer)) = self.place(path) else {
                found.push(format!("{path} has no layer: give it one in `FOLDERS`"));
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
        let module = inside.split('/').next()?;
        let mut all = self.layers.iter().enumerate();
        all.find_map(|(layer, names)| {
            let name = names.iter().find(|name| **name == module)?;
            Some((*name, layer))
        })
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
    let server = &FOLDERS[0];
    let folder = server.folder;
    let judge = |texts: &[(&str, &str)]| {
        let files: BTreeMap<&str, &str> = texts.iter().copied().collect();
        let files = files.iter().map(|(path, text)| (format!("{folder}/{path}"), (*text).into()));
        server.violations(&cycles::imports(folder, &files.collect()))
    };
    let tree = [
        (
            "lib.rs",
            "mod config;\nmod limits;\npub mod view;\nmod command;\npub use command::Command;",
        ),
        ("config/mod.rs", "mod server;\npub use server::Server;"),
        ("config/server.rs", "use crate::limits::Limit;\npub struct Server;"),
        ("limits.rs", "pub struct Limit;"),
        ("view/mod.rs", "mod broadcast;\nuse crate::config::Server;\npub struct View;"),
        ("view/broadcast.rs", ""),
        ("command/mod.rs", "use crate::view::View;\npub struct Command;"),
    ];
    assert_eq!(judge(&tree), [""; 0], "clean");
    for (path, planted) in [
        ("config/server.rs", "use crate::view::View;\npub struct Server;"),
        ("limits.rs", "fn f() { crate::config::g() }\npub struct Limit;"),
        // By way of the crate's root.
        ("config/server.rs", "use crate::Command;\npub struct Server;"),
        ("config/server.rs", "use super::super::command;\npub struct Server;"),
        ("view/broadcast.rs", "use crate::command::Command;"),
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
    let database = &FOLDERS[0];
    let page = format!("Text.\n\n{}\nText.\n", database.table());
    assert!(database.is_shown(&page));
    for (from, to) in [
        ("| 4 | `command` |\n", ""),
        ("`server` |\n", "`server`, `main` |\n"),
        ("`lib` |\n", "`lib` |\n| 7 | `main` |\n"),
    ] {
        assert!(!database.is_shown(&page.replace(from, to)), "a page without {from:?} passes");
    }
}
