//! builds: default
//!
//! Rules of code: sizes, atomics, orderings, `unsafe`, builds of tests.

use crate::{
    judge,
    source::{Source, Violation, block_end, is_word, words},
};
use std::path::Path;

/// Where the atomics of every build are chosen: nothing else names them.
const FACADE: &str = "src/facade.rs";
/// The same for the package of threads.
const THREADS_FACADE: &str = "std-ext/src/facade.rs";
/// One half of an ordering, made of system calls and of fences for the compiler.
const MEMBARRIER: &str = "std-ext/src/membarrier.rs";

const MAX_FILE: usize = 800;
const MAX_FUNCTION: usize = 100;
const MAX_LINE: usize = 120;

/// Unfinished or switched off, or volatile where only an atomic is sound.
const BANNED_CODE: [&str; 7] =
    ["read_volatile", "write_volatile", "todo!", "unimplemented!", "FIXME", "XXX", "#[ignore"];
/// Words that claim without a figure, or excuse.
const BANNED_WORDS: [&str; 10] = [
    "blazing",
    "blazingly",
    "simply",
    "obviously",
    "trivially",
    "seamless",
    "seamlessly",
    "leverage",
    "hack",
    "todo",
];
/// File names that say nothing about what is inside.
const BANNED_FILES: [&str; 5] = ["utils", "util", "helpers", "misc", "common"];

/// The builds that a test file may name in its first line. `default` is the README's command, which runs every file;
/// `.ci/run` has the others.
const BUILDS: [&str; 5] = ["asan", "default", "narrow", "portable", "tsan"];

pub(crate) fn atomics_come_from_the_facade(path: &str, text: &str) -> Vec<Violation> {
    // The database is an application of the maps: it runs on `std` only, and no model checks it.
    if [FACADE, THREADS_FACADE, MEMBARRIER].contains(&path) || path.starts_with("std-ext/db/") {
        return Vec::new();
    }
    let names = ["sync::atomic", "sync::{atomic", "portable_atomic", "atomic_maybe_uninit", "loom"];
    let mut found = Vec::new();
    for (i, line) in Source::read(text).code.iter().enumerate() {
        for name in names {
            for after in words(line, name).map(|at| &line[at + name.len()..]) {
                // `mod loom;` names a file of models; only a path into the crate is meant. The
                // models themselves need loom's threads.
                let innocent = name == "loom" && (!after.starts_with("::") || is_model(path));
                if !innocent {
                    found.push(Violation::new(path, i, format!("`{name}` outside the facade")));
                }
            }
        }
    }
    found
}

pub(crate) fn sizes_stay_small(path: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_FILE {
        found.push(Violation::new(path, 0, format!("{lines} lines, more than {MAX_FILE}")));
    }
    for (i, line) in text.lines().enumerate() {
        let width = line.chars().count();
        if width > MAX_LINE {
            found.push(Violation::new(path, i, format!("{width} columns, more than {MAX_LINE}")));
        }
    }
    let code = Source::read(text).code;
    for (i, line) in code.iter().enumerate() {
        for at in words(line, "fn") {
            // `fn(` is a type, not a function.
            let named = line[at + 2..].trim_start().starts_with(is_word);
            let length = block_end(&code, i, at).map_or(0, |end| end + 1 - i);
            if named && length > MAX_FUNCTION {
                let what = format!("function of {length} lines, more than {MAX_FUNCTION}");
                found.push(Violation::new(path, i, what));
            }
        }
    }
    found
}

/// The folders whose files, and the folders in them, are test binaries.
pub(crate) const TESTS: [&str; 3] = ["tests", "std-ext/db/tests", "std-ext/db/formats/tests"];
/// Folders in them that are no binary.
const NO_BINARIES: [&str; 2] = ["support", "embedded"];

/// CI reads from a test file's first line which builds it serves beside the default one.
pub(crate) fn builds_are_named(path: &str, text: &str) -> Vec<Violation> {
    let Some((_, inside)) = TESTS.iter().find_map(|folder| below(path, folder)) else {
        return Vec::new();
    };
    let in_tests = match inside.split_once('/') {
        Some((folder, _)) if NO_BINARIES.contains(&folder) => false,
        None | Some((_, "main.rs")) => true,
        // A module without tests is a help for the others.
        Some((_, module)) => !module.contains('/') && has_tests(text),
    };
    if !in_tests {
        return Vec::new();
    }
    let Some(names) = builds(text) else {
        return vec![Violation::new(path, 0, "no `//! builds: NAME...` in the first line".into())];
    };
    let wrong = names.iter().filter(|name| !BUILDS.contains(name));
    wrong.map(|name| Violation::new(path, 0, format!("no build is called {name:?}"))).collect()
}

/// The folder, and the rest of a path that begins with it.
fn below<'a>(path: &'a str, folder: &'a str) -> Option<(&'a str, &'a str)> {
    path.strip_prefix(folder)?.strip_prefix('/').map(|inside| (folder, inside))
}

fn has_tests(text: &str) -> bool {
    Source::read(text).code.iter().any(|line| line.contains("#[test]"))
}

fn builds(text: &str) -> Option<Vec<&str>> {
    Some(text.lines().next()?.strip_prefix("//! builds: ")?.split(' ').collect())
}

/// A binary of several modules: each file is a module of it. A build that the module does not name leaves it out, and
/// one that it names is one of the binary's.
pub(crate) fn modules_are_built(files: &[(String, String)]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (main, text) in files {
        let Some(folder) = main.strip_suffix("main.rs") else { continue };
        let inside = TESTS.iter().find_map(|tests| below(folder, tests));
        let is_binary = inside.is_some_and(|(_, inside)| inside.matches('/').count() == 1);
        let code = Source::read(text).code;
        let served = builds(text).unwrap_or_default();
        for (path, text) in files.iter().filter(|_| is_binary) {
            let name = path.strip_prefix(folder).and_then(|name| name.strip_suffix(".rs"));
            let Some(name) = name.filter(|name| *name != "main" && !name.contains('/')) else {
                continue;
            };
            let declared = code.iter().position(|line| line.trim() == format!("mod {name};"));
            let Some(at) = declared else {
                found.push(Violation::new(path, 0, format!("is no module of {main}")));
                continue;
            };
            let Some(named) = builds(text) else { continue };
            for build in named.iter().filter(|build| !served.contains(build)) {
                found.push(Violation::new(main, 0, format!("`{name}` is for {build}")));
            }
            let wanted = left_out_of(&named);
            // Attributes stand above the module's line.
            let above = code[..at].iter().rev().take_while(|line| line.trim().starts_with("#["));
            let stands = above.filter(|line| line.contains("build_")).map(|line| line.trim());
            // A binary for the default build alone needs none.
            if served != ["default"] && stands.collect::<String>() != wanted {
                let what = format!("`mod {name}` needs {wanted:?} for the builds of its file");
                found.push(Violation::new(main, at, what));
            }
        }
    }
    found
}

/// The attribute of a module for these builds.
fn left_out_of(named: &[&str]) -> String {
    let others = BUILDS.iter().filter(|build| **build != "default" && !named.contains(build));
    let others: Vec<String> = others.map(|build| format!("build_{build}")).collect();
    match &others[..] {
        [] => String::new(),
        [build] => format!("#[cfg(not({build}))]"),
        builds => format!("#[cfg(not(any({})))]", builds.join(", ")),
    }
}

pub(crate) fn orderings_are_explained(path: &str, text: &str) -> Vec<Violation> {
    if is_test(path) {
        return Vec::new();
    }
    let source = Source::read(text);
    let tests = source.test_lines();
    let explained = |comment: &str| {
        let prose = comment.to_lowercase();
        has_label(comment) || ["relaxed:", "pair", "pairs"].iter().any(|w| prose.contains(w))
    };
    let mut found = Vec::new();
    let mut in_use = false;
    for (i, line) in source.code.iter().enumerate() {
        let start = line.trim_start();
        in_use |=
            start.starts_with("use ") || (start.starts_with("pub") && start.contains(" use "));
        let orders = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];
        if !in_use && !tests[i] && !source.comment_near(i, 3, explained) {
            for order in orders.iter().filter(|o| words(line, o).next().is_some()) {
                found.push(Violation::new(path, i, format!("`{order}` without its label")));
            }
        }
        in_use &= !line.contains(';');
    }
    found
}

pub(crate) fn unsafe_is_argued(path: &str, text: &str) -> Vec<Violation> {
    let source = Source::read(text);
    let mut found = Vec::new();
    for (i, line) in source.code.iter().enumerate() {
        let opens = |at: usize| {
            let after = line[at + "unsafe".len()..].trim_start();
            after.starts_with('{') || after.starts_with("impl")
        };
        let argued = |c: &str| c.contains("SAFETY:");
        if words(line, "unsafe").any(opens) && !source.comment_near(i, 6, argued) {
            found.push(Violation::new(path, i, "`unsafe` without `SAFETY:`".into()));
        }
    }
    found
}

pub(crate) fn primitives_list_their_pairs(path: &str, text: &str) -> Vec<Violation> {
    let Some(name) = path.strip_prefix("src/sync/") else { return Vec::new() };
    // A primitive is a file here, or the root of a folder here.
    let primitive =
        !name.contains('/') || name.matches('/').count() == 1 && name.ends_with("/mod.rs");
    let listed = text.lines().any(|l| l.starts_with("//! # Synchronization"));
    if !primitive || name == "mod.rs" || is_test(path) || listed {
        return Vec::new();
    }
    vec![Violation::new(path, 0, "no `//! # Synchronization` section".into())]
}

pub(crate) fn nothing_is_unfinished(path: &str, text: &str) -> Vec<Violation> {
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(i, line)| {
            let hits = BANNED_CODE.into_iter().filter(move |b| line.contains(b));
            hits.map(move |b| Violation::new(path, i, format!("`{b}`")))
        })
        .collect()
}

pub(crate) fn words_are_honest(path: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    if BANNED_FILES.contains(&&*stem) {
        found.push(Violation::new(path, 0, format!("`{stem}` says nothing about its content")));
    }
    for (i, line) in text.to_lowercase().lines().enumerate() {
        for word in BANNED_WORDS.iter().filter(|w| words(line, w).next().is_some()) {
            found.push(Violation::new(path, i, format!("the word `{word}`")));
        }
    }
    found
}

/// Whether the comment cites a label such as `[SL-1]`.
fn has_label(comment: &str) -> bool {
    comment.split('[').skip(1).filter_map(|rest| rest.split_once(']')).any(|(label, _)| {
        label.split_once('-').is_some_and(|(family, number)| {
            let family = !family.is_empty() && family.chars().all(|c| c.is_ascii_uppercase());
            family && number.starts_with(|c: char| c.is_ascii_digit())
        })
    })
}

/// Files of models: they alone may name loom.
pub(crate) fn is_model(path: &str) -> bool {
    path.ends_with("/loom.rs") || path.ends_with("_loom.rs") || path.contains("/loom/")
}

/// Files that hold nothing but tests.
pub(crate) fn is_test(path: &str) -> bool {
    is_model(path) || path.ends_with("/tests.rs") || path.contains("/tests/")
}

#[test]
fn a_foreign_atomic_is_found() {
    let planted = [
        "use core::sync::atomic::AtomicU32;",
        "use core::{mem, sync::atomic::fence};",
        "use std::sync::{atomic, Arc};",
        "type Word = portable_atomic::AtomicUsize;",
        "use atomic_maybe_uninit::AtomicMaybeUninit;",
        "#[cfg(test)]\nmod tests { fn f() { loom::model(|| ()); } }",
    ];
    let clean = [
        "// unlike core::sync::atomic, this one counts\nuse crate::facade::AtomicU32;",
        "const NAME: &str = \"portable_atomic\";",
        "#[cfg(all(test, hedgerow_loom))]\nmod loom;\nmod bloom {}\nuse bloom::x;",
    ];
    judge(atomics_come_from_the_facade, "src/sync/words.rs", &planted, &clean);
    judge(atomics_come_from_the_facade, FACADE, &[], &planted);
    judge(atomics_come_from_the_facade, "src/flat/loom.rs", &planted[..1], &planted[5..]);
}

#[test]
fn a_long_line_function_or_file_is_found() {
    let body = |lines: usize| format!("fn long() {{\n{}}}\n", "    step();\n".repeat(lines - 2));
    let in_a_string = format!("const A: &str = \"fn a() {{\";\n{}", body(MAX_FUNCTION));
    judge(
        sizes_stay_small,
        "src/flat/mod.rs",
        &[
            &body(MAX_FUNCTION + 1),
            &format!("// {}", "x".repeat(MAX_LINE - 2)),
            &"\n".repeat(MAX_FILE + 1),
        ],
        &[
            &in_a_string,
            &format!("// {}", "é".repeat(MAX_LINE - 3)),
            &"\n".repeat(MAX_FILE),
            &format!("type F = fn(u8);\ntrait T {{ fn f(a: [u8; 2]); }}\n{}", "x();\n".repeat(101)),
        ],
    );
}

#[test]
fn a_test_file_without_its_builds_is_found() {
    let planted = [
        "//! Tests.\n#[test]",
        "#[test]",
        "//! builds: arm\n#[test]",
        "//! builds: asan,tsan\n#[test]",
    ];
    let clean =
        ["//! builds: default\n#[test]", "//! builds: asan narrow\n//!\n//! Tests.\n#[test]"];
    for path in
        ["tests/serde.rs", "tests/flat/api.rs", "tests/flat/main.rs", "std-ext/db/tests/model.rs"]
    {
        judge(builds_are_named, path, &planted, &clean);
    }
    judge(builds_are_named, "tests/flat/main.rs", &["mod api;"], &[]);
    judge(builds_are_named, "tests/flat/plays.rs", &[], &["fn play() {}"]);
    judge(builds_are_named, "tests/support/mod.rs", &[], &planted);
}

#[test]
fn a_module_that_no_build_runs_is_found() {
    let files = |modules: &[(&str, &str)]| -> Vec<(String, String)> {
        modules
            .iter()
            .map(|(name, text)| (format!("tests/flat/{name}.rs"), (*text).into()))
            .collect()
    };
    let (of_asan, of_default) = (left_out_of(&["asan"]), left_out_of(&["default"]));
    assert_eq!(of_asan, "#[cfg(not(any(build_narrow, build_portable, build_tsan)))]");
    assert_eq!(left_out_of(&["asan", "portable", "narrow"]), "#[cfg(not(build_tsan))]");
    let head = "//! builds: asan default\n#[path = \"../x.rs\"]\nmod x;\n";
    let main = format!("{head}{of_asan}\nmod api;\n#[cfg(x)]\n{of_default}\nmod map;");
    let api = ("api", "//! builds: asan\n#[test]");
    let map = ("map", "//! builds: default\n#[test]");
    assert!(modules_are_built(&files(&[("main", &main), api, map])).is_empty());
    let all = "//! builds: asan narrow portable tsan";
    let planted: [&[(&str, &str)]; 6] = [
        &[("main", &main), api, map, ("maps", "")],
        &[("main", &main), api, ("map", "//! builds: asan\n#[test]")],
        &[("main", &format!("{head}{of_asan}\nmod api;\nmod map;")), api, map],
        &[("main", &format!("{head}{of_default}\nmod api;\n{of_default}\nmod map;")), api, map],
        &[("main", &format!("{all}\n{of_asan}\nmod api;")), ("api", all)],
        &[("main", "//! builds: asan narrow tsan\nmod api;"), ("api", all)],
    ];
    for modules in planted {
        assert_eq!(modules_are_built(&files(modules)).len(), 1, "{modules:?}");
    }
}

#[test]
fn an_unexplained_ordering_is_found() {
    let planted = [
        "self.s.load(Acquire);",
        "self.s.load(Ordering::Relaxed); // the count",
        "// [SL-1] too far away\nlet a = 1;\nlet b = 2;\nlet c = 3;\natomic::fence(Release);",
        "// see [the manual]\natomic::fence(SeqCst);",
        "/// Loads [SL-1]\nfn f() {}\n#[cfg(test)]\nmod tests {}\n\nfn g() { x.load(Acquire) }",
    ];
    let clean = [
        "pub use core::cmp;\nuse crate::facade::{\n    Ordering,\n    Ordering::Acquire,\n};",
        "self.s.load(Acquire); // [SL-2]",
        "// [SL-1] before the words,\n// and so on,\n// and so on,\n// and so on.\nfence(Release);",
        "// Relaxed: only a hint.\nself.hint.load(Relaxed);",
        "// [BK-1] locks\nlet old = self.s.compare_exchange(\n    a,\n    b,\n    Acquire,\n    Relaxed,\n);",
        "#[cfg(test)]\nmod tests {\n    fn f(x: &A) { x.load(SeqCst); }\n}",
        "/// Stores with Release.\nfn f() { log(\"Acquire\") }",
    ];
    judge(orderings_are_explained, "src/flat/bin.rs", &planted, &clean);
    judge(orderings_are_explained, "src/flat/loom.rs", &[], &planted);
}

#[test]
fn an_unargued_unsafe_is_found() {
    let far = format!("// SAFETY: far.\n{}unsafe {{ go() }};", "let a = 1;\n".repeat(7));
    judge(
        unsafe_is_argued,
        "std-ext/src/lib.rs",
        &["let v = unsafe { go() };", "unsafe impl Send for A {}", &far],
        &[
            "// SAFETY: checked above.\nlet v = unsafe { go() };",
            "// SAFETY: the words are atomic.\nunsafe impl Send for A {}\nunsafe impl Sync for A {}",
            "/// # Safety\n/// The caller holds the lock.\npub unsafe fn f() {}",
            "// never `unsafe {`\nlet s = \"unsafe {\";",
        ],
    );
}

#[test]
fn a_primitive_without_its_pairs_is_found() {
    let (bare, full) = ("//! A seqlock.\n", "//! A seqlock.\n//!\n//! # Synchronization\n");
    judge(primitives_list_their_pairs, "src/sync/seqlock.rs", &[bare], &[full]);
    judge(primitives_list_their_pairs, "src/sync/seqlock/mod.rs", &[bare], &[full]);
    for exempt in ["src/sync/mod.rs", "src/sync/seqlock/loom.rs", "src/flat/bin.rs"] {
        judge(primitives_list_their_pairs, exempt, &[], &[bare]);
    }
}

#[test]
fn an_unfinished_line_is_found() {
    let planted = ["p.read_volatile()", "todo!()", "#[ignore = \"slow\"]", "// FIXME: later"];
    judge(nothing_is_unfinished, "src/flat/mod.rs", &planted, &["// never volatile"]);
}

#[test]
fn a_dishonest_word_is_found() {
    let planted = ["// Simply wait.", "//! A blazing map."];
    judge(words_are_honest, "src/flat/mod.rs", &planted, &["// hacksaws are simple"]);
    judge(words_are_honest, "src/flat/utils.rs", &[""], &[]);
}
