//! builds: default
//!
//! Rules of imports: layers of the core, and cycles between files of a crate.

use crate::{
    judge,
    source::{Source, Violation, first_names, words},
};

/// The modules of the core and the layer of each. A module imports lower layers and itself only, so structures, which
/// share a layer, never import each other.
const LAYERS: [(&str, u8); 18] = [
    ("facade", 0),
    ("error", 0),
    ("sync", 1),
    ("memory", 2),
    ("api", 3),
    ("reclaim", 4),
    ("bins", 5),
    ("table", 6),
    ("flat", 7),
    ("owned", 7),
    ("left_right", 7),
    ("compressed", 7),
    ("fence", 7),
    ("persistent", 7),
    ("sets", 8),
    ("std_ext", 8),
    ("docs", 9),
    (ROOT, 9),
];
/// Imports that layers would allow, but that are violations: these structures do not stand on the hash table.
const APART: [(&str, &str); 4] =
    [("fence", "bins"), ("fence", "table"), ("left_right", "bins"), ("left_right", "table")];
/// The module of `lib.rs`, which has every re-export.
const ROOT: &str = "lib";

pub(crate) fn imports_point_one_way(path: &str, text: &str) -> Vec<Violation> {
    let Some((home, depth)) = home(path) else { return Vec::new() };
    let Some(layer) = layer(home) else {
        return vec![Violation::new(
            path,
            0,
            format!("`{home}` has no layer: give it one in `LAYERS`"),
        )];
    };
    let source = Source::read(text);
    let tests = source.test_lines();
    let joined = source.code.join("\n");
    let line_of = |at: usize| joined[..at].matches('\n').count();
    let mut found = Vec::new();
    let mut check = |at: usize, name: &str, root_too: bool| {
        let target = match LAYERS.iter().find(|(module, _)| *module == name) {
            Some((module, _)) => module,
            // A re-export at the crate's root is an import of the topmost module.
            None if root_too && !name.is_empty() && !tests[line_of(at)] => ROOT,
            None => return,
        };
        let above = LAYERS.iter().any(|&(module, l)| module == target && l >= layer);
        if target != home && (above || APART.contains(&(home, target))) {
            let what = format!("`{home}` imports `{name}`: imports point down only");
            found.push(Violation::new(path, line_of(at), what));
        }
    };
    for at in words(&joined, "crate::") {
        if !joined[..at].ends_with('$') {
            for name in first_names(&joined[at + "crate::".len()..]) {
                check(at, name, true);
            }
        }
    }
    for at in words(&joined, "super::") {
        if joined[..at].ends_with("super::") {
            continue;
        }
        let mut rest = &joined[at..];
        let mut ups = 0;
        while let Some(r) = rest.strip_prefix("super::") {
            (rest, ups) = (r, ups + 1);
        }
        // Enough of them lead to the crate's root.
        if ups >= depth {
            for name in first_names(rest) {
                check(at, name, false);
            }
        }
    }
    found
}

/// Returns the top module of a file of the core, and the file's depth.
pub(crate) fn home(path: &str) -> Option<(&str, usize)> {
    let module = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let module = module.strip_suffix("/mod").unwrap_or(module);
    let depth = if module == ROOT { 0 } else { module.split('/').count() };
    Some((module.split('/').next()?, depth))
}

pub(crate) fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|&(_, layer)| layer)
}

#[test]
fn an_import_that_points_up_is_found() {
    let planted = [
        "use crate::left_right::Side;",
        "use crate::{facade, sync::{words, seqlock}, compressed::Segment};",
        "use crate::FlatMap;",
        "use super::super::fence;",
        "fn f() { crate::std_ext::park() }",
    ];
    let clean = [
        "use crate::{facade::AtomicU32, sync::{words, fence}, flat::Op};",
        "use super::{dir, bin::fence};\nuse core::fmt;\ncrate::log!();\n// crate::std_ext parks",
        "#[cfg(test)]\nmod tests {\n    use crate::FlatMap;\n}",
        "macro_rules! m { () => { $crate::FlatMap } }",
    ];
    judge(imports_point_one_way, "src/flat/bin.rs", &planted, &clean);
    judge(imports_point_one_way, "src/lib.rs", &[], &["pub use crate::flat::FlatMap;"]);
    judge(
        imports_point_one_way,
        "src/facade.rs",
        &["use super::sync::words;"],
        &["use core::mem;"],
    );
    judge(imports_point_one_way, "src/attic.rs", &[""], &[]);
    // The ordered map and the left-right map stand beside the hash table, not on it.
    let apart = ["use crate::table::Table;", "use crate::bins::layout;"];
    judge(imports_point_one_way, "src/fence/leaf.rs", &apart, &["use crate::api::batch::WINDOW;"]);
    judge(imports_point_one_way, "src/left_right/map.rs", &apart, &["use crate::memory::Words;"]);
    judge(imports_point_one_way, "src/owned/map.rs", &[], &apart);
}
