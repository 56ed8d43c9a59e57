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
    /// The sources of its layers.
    sources: &'static str,
    folder: &'static str,
    page: &'static str,
    /// The heading of its column on the page.
    heading: &'static str,
    /// The modules of each layer, the lowest layer first. Modules of one layer do not import each other. A module with
    /// a slash has a layer of its own, apart from the folder that it is in.
    layers: &'static [&'static [&'static str]],
}

const FOLDERS: [LayeredFolder; 3] = [
    LayeredFolder {
        sources: "std-ext/db/src",
        folder: "std-ext/db/src",
        page: "std-ext/db/ARCHITECTURE.md",
        heading: "modules",
        layers: &[
            &["certificates", "limits"],
            &["config", "outgoing", "pubsub", "scripts"],
            &["cluster/view", "tracking"],
            &["command"],
            &["client", "cluster", "offline"],
            &["server"],
            &["grpc"],
            &["docs", "lib"],
        ],
    },
    LayeredFolder {
        sources: "std-ext/db/src",
        folder: CLUSTER,
        page: "std-ext/db/ARCHITECTURE.md",
        heading: "in `cluster/`",
        layers: &[
            &["etcd", "measure", "view"],
            &["log"],
            &["membership"],
            &["peer"],
            &["moves"],
            &["archive", "controller"],
            &["node"],
            &["admin"],
        ],
    },
    LayeredFolder {
        sources: "std-ext/db/engine/src",
        folder: "std-ext/db/engine/src",
        page: "std-ext/db/engine/ARCHITECTURE.md",
        heading: "modules",
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
/// The program stands on the library of its layers.
const PROGRAM: [&str; 2] = ["std-ext/db/src/main.rs", "std-ext/db/src/reload.rs"];
const CLUSTER: &str = "std-ext/db/src/cluster";
/// The most files and folders in the folder of the cluster, apart from its root: more are not seen at a glance.
const MOST_ROOMS: usize = 12;

#[test]
fn the_database_imports_lower_layers() {
    for layers in &FOLDERS {
        let mut files = Files::new();
        collect(layers.sources, &is_rust, &mut files);
        files.retain(|(path, _)| !PROGRAM.contains(&&**path));
        let graph = cycles::imports(layers.sources, &files);
        assert!(graph.keys().any(|path| layers.has(path)), "no sources found");
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
    let found = rooms(["a.rs", "b/c.rs", "b/d/e.rs", "mod.rs", "b/mod.rs"].into_iter());
    assert_eq!(found, BTreeSet::from(["a.rs", "b"]));
}

/// The files and folders that lie in a folder directly, apart from its root.
fn rooms<'a>(paths: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    paths.filter_map(|path| path.split('/').next()).filter(|room| *room != "mod.rs").collect()
}

#[test]
fn the_pages_have_the_layers_of_the_database() {
    for layers in &FOLDERS {
        let page = fs::read_to_string(root().join(layers.page)).expect("the page is readable");
        assert!(layers.is_shown(&page), "{} does not hold:\n{}", layers.page, layers.table());
    }
}

impl LayeredFolder {
    /// Whether a file has a layer. The root of a folder only declares modules, and is named to make items visible.
    fn has(&self, path: &str) -> bool {
        let inside = path.strip_prefix(self.folder).and_then(|path| path.strip_prefix('/'));
        inside.is_some_and(|inside| inside != "mod.rs")
    }

    /// The imports that do not lead to a lower layer, and the files without a layer.
    fn violations(&self, graph: &Graph) -> Vec<String> {
        let mut found = Vec::new();
        for (path, targets) in graph.iter().filter(|(path, _)| self.has(path)) {
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
        format!("| layer | {} |\n|---|---|\n{rows}", self.heading)
    }
}

#[test]
fn an_import_that_does_not_point_down_is_found() {
    let folder = FOLDERS[0].folder;
    let judge = |texts: &[(&str, &str)]| {
        let files: BTreeMap<&str, &str> = texts.iter().copied().collect();
        let files = files.iter().map(|(path, text)| (format!("{folder}/{path}"), (*text).into()));
        let graph = cycles::imports(folder, &files.collect());
        FOLDERS[..2].iter().flat_map(|layers| layers.violations(&graph)).collect::<Vec<_>>()
    };
    let tree = [
        (
            "lib.rs",
            "mod config;\nmod limits;\npub mod cluster;\nmod command;\npub use command::Command;",
        ),
        ("config/mod.rs", "mod server;\npub use server::Server;"),
        ("config/server.rs", "use crate::limits::Limit;\npub struct Server;"),
        ("limits/mod.rs", "pub struct Limit;"),
        (
            "cluster/mod.rs",
            "pub mod view;\nmod node;\npub use node::Node;\nuse crate::command::Command;\npub struct Cluster;",
        ),
        ("cluster/view/mod.rs", "mod broadcast;\nuse crate::config::Server;\npub struct View;"),
        ("cluster/view/broadcast.rs", ""),
        ("cluster/log/mod.rs", "use crate::cluster::etcd::Client;\npub struct EtcdLog;"),
        ("cluster/etcd/mod.rs", "mod watch;\npub(in crate::cluster) struct Client;"),
        ("cluster/etcd/watch.rs", "use super::Client;\npub struct Watch;"),
        ("cluster/node/mod.rs", "use crate::cluster::log::EtcdLog;\npub struct Node;"),
        ("cluster/controller/mod.rs", "use super::etcd::Client;\npub struct Coordinator;"),
        ("command/mod.rs", "use crate::limits::Limit;\npub struct Command;"),
    ];
    assert_eq!(judge(&tree), [""; 0], "clean");
    for (path, planted) in [
        ("config/server.rs", "use crate::cluster::view::View;\npub struct Server;"),
        ("limits/mod.rs", "fn f() { crate::config::g() }\npub struct Limit;"),
        ("config/server.rs", "use crate::Command;\npub struct Server;"),
        ("config/server.rs", "use super::super::command;\npub struct Server;"),
        ("cluster/view/mod.rs", "use super::Cluster;\npub struct View;"),
        ("cluster/log/mod.rs", "use super::node::Node;\npub struct EtcdLog;"),
        // By way of the folder's root.
        ("cluster/controller/mod.rs", "use crate::cluster::Node;\npub struct Coordinator;"),
        ("cluster/etcd/watch.rs", "use crate::cluster::log::EtcdLog;\npub struct Watch;"),
        ("cluster/attic.rs", ""),
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
        ("`grpc` |\n", "`grpc`, `main` |\n"),
        ("`lib` |\n", "`lib` |\n| 9 | `main` |\n"),
    ] {
        assert!(!database.is_shown(&page.replace(from, to)), "a page without {from:?} passes");
    }
}
