//! builds: default
//!
//! The layers of the database: a module imports lower layers and itself only, as its ARCHITECTURE.md says.

use crate::{
    Files, collect,
    cycles::{self, Graph},
    is_rust, root,
};
use std::{collections::BTreeMap, fs};

const FOLDER: &str = "std-ext/db/src";
const PAGE: &str = "std-ext/db/ARCHITECTURE.md";
/// The program stands on the library of its package.
const PROGRAM: [&str; 2] = ["std-ext/db/src/main.rs", "std-ext/db/src/reload.rs"];

/// The modules of each layer, the lowest layer first. Modules of one layer do not import each other. A module with a
/// slash has a layer of its own, apart from the folder that it is in.
const LAYERS: [&[&str]; 13] = [
    &[
        "bounds",
        "buffers",
        "certificates",
        "clock",
        "event_flags",
        "gauge",
        "lock",
        "script_settings",
    ],
    &[
        "cluster/broadcast",
        "latency_monitor",
        "limits",
        "options",
        "outgoing",
        "progress",
        "request",
    ],
    &["config", "log", "pubsub"],
    &["cluster/view", "error", "snapshot", "watch"],
    &["state"],
    &["background", "session", "tracking"],
    &["db"],
    &["clustered", "eviction_settings", "scripts", "transaction"],
    &["command"],
    &["client", "cluster", "offline"],
    &["server"],
    &["grpc"],
    &["docs", "lib"],
];

#[test]
fn the_database_imports_lower_layers() {
    let mut files = Files::new();
    collect(FOLDER, &is_rust, &mut files);
    files.retain(|(path, _)| !PROGRAM.contains(&&**path));
    assert!(files.iter().any(|(path, _)| path.ends_with("/lib.rs")), "no sources found");
    let found = violations(&cycles::imports(FOLDER, &files));
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_page_has_the_layers_of_the_database() {
    let page = fs::read_to_string(root().join(PAGE)).expect("the page is readable");
    assert!(shows_layers(&page), "{PAGE} does not hold:\n{}", table());
}

/// The imports that do not lead to a lower layer, and the files without a layer.
fn violations(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for (path, targets) in graph {
        let Some((home, layer)) = place(path) else {
            found.push(format!("{path} has no layer: give it one in `LAYERS`"));
            continue;
        };
        for target in targets {
            if place(target).is_some_and(|(module, other)| module != home && other >= layer) {
                found.push(format!("{path} imports {target}: imports point to lower layers only"));
            }
        }
    }
    found
}

/// The module of a file, and the number of its layer.
fn place(path: &str) -> Option<(&'static str, usize)> {
    let inside = path.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_suffix(".rs")?;
    let layer_of = |wanted: &str| {
        let all = LAYERS.iter().enumerate();
        let mut all = all.flat_map(|(layer, names)| names.iter().map(move |&name| (name, layer)));
        all.find(|(name, _)| *name == wanted)
    };
    let mut ends = inside.match_indices('/').map(|(at, _)| at).chain([inside.len()]);
    let first = &inside[..ends.next()?];
    ends.next().and_then(|end| layer_of(&inside[..end])).or_else(|| layer_of(first))
}

/// Whether a page has the table of layers, without further rows.
fn shows_layers(page: &str) -> bool {
    page.contains(&format!("\n\n{}\n", table()))
}

/// The layers as the page shows them.
fn table() -> String {
    let row = |(layer, names): (usize, &&[&str])| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        format!("| {} | {} |\n", layer + 1, names.join(", "))
    };
    let rows: String = LAYERS.iter().enumerate().map(row).collect();
    format!("| layer | modules |\n|---|---|\n{rows}")
}

#[test]
fn an_import_that_does_not_point_down_is_found() {
    let judge = |texts: &[(&str, &str)]| {
        let files: BTreeMap<&str, &str> = texts.iter().copied().collect();
        let files = files.iter().map(|(path, text)| (format!("{FOLDER}/{path}"), (*text).into()));
        violations(&cycles::imports(FOLDER, &files.collect()))
    };
    let tree = [
        ("lib.rs", "mod config;\nmod log;\npub mod cluster;\nmod state;\npub use state::State;"),
        ("config/mod.rs", "mod server;\npub use server::Server;"),
        ("config/server.rs", "use crate::cluster::broadcast;\npub struct Server;"),
        ("log/mod.rs", "pub struct Log;"),
        ("cluster/mod.rs", "pub mod view;\nuse crate::state::State;\npub struct Cluster;"),
        ("cluster/view.rs", "use super::broadcast;\nuse crate::config::Server;\npub struct View;"),
        ("cluster/broadcast.rs", ""),
        ("state/mod.rs", "use crate::log::Log;\npub struct State;"),
    ];
    assert_eq!(judge(&tree), [""; 0], "clean");
    for (path, planted) in [
        ("config/server.rs", "use crate::cluster::view::View;\npub struct Server;"),
        ("config/server.rs", "fn f() { crate::log::g() }\npub struct Server;"),
        ("config/server.rs", "use crate::State;\npub struct Server;"),
        ("config/server.rs", "use super::super::state;\npub struct Server;"),
        ("cluster/view.rs", "use super::Cluster;\npub struct View;"),
        ("cluster/broadcast.rs", "use super::view::View;"),
        ("attic.rs", ""),
    ] {
        let mut tree = tree.to_vec();
        tree.push((path, planted));
        let found = judge(&tree);
        assert_eq!(found.len(), 1, "planted in {path}: {planted}\nfound: {found:#?}");
        assert!(found[0].starts_with(&format!("{FOLDER}/{path} ")), "{found:?}");
    }
}

#[test]
fn a_page_with_other_layers_is_found() {
    let page = format!("Text.\n\n{}\nText.\n", table());
    assert!(shows_layers(&page));
    for (from, to) in [
        ("| 5 | `state` |\n", ""),
        ("`grpc` |\n", "`grpc`, `main` |\n"),
        ("`lib` |\n", "`lib` |\n| 14 | `main` |\n"),
    ] {
        assert!(!shows_layers(&page.replace(from, to)), "a page without {from:?} passes");
    }
}
