//! builds: default
//!
//! The house rules, run instead of remembered.
//!
//! Each rule is a function from a path and a text to what it finds there; each has a test in which
//! a planted violation turns it red and a clean text passes. The rules read code with comments and
//! strings blanked out, so that prose may name what code may not.

use std::{fmt, fs, path::Path};

/// Where the atomics of every build are chosen: nothing else names them.
const FACADE: &str = "src/facade.rs";
/// The same for the package of threads.
const THREADS_FACADE: &str = "std-ext/src/facade.rs";
/// What is itself half of an ordering, made of system calls and of fences for the compiler.
const MEMBARRIER: &str = "std-ext/src/membarrier.rs";

/// The rooms of the core and the layer of each. A room imports lower layers and itself only, so
/// structures, which share a layer, never import each other.
const ROOMS: [(&str, u8); 16] = [
    ("facade", 0),
    ("api", 1),
    ("error", 0),
    ("sync", 1),
    ("bins", 2),
    ("table", 3),
    ("reclaim", 4),
    ("flat", 5),
    ("owned", 5),
    ("left_right", 5),
    ("compressed", 5),
    ("fence", 5),
    ("sets", 6),
    ("std_ext", 6),
    ("docs", 7),
    (ROOT, 7),
];
/// The room of `lib.rs`, where every re-export lives.
const ROOT: &str = "lib";

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

/// What a test file may name in its first line: `default` is the README's command, which runs every file; `.ci/run`
/// has the others.
const BUILDS: [&str; 5] = ["asan", "default", "narrow", "portable", "tsan"];

type Rule = fn(&str, &str) -> Vec<Violation>;

const RULES: [Rule; 8] = [
    atomics_come_from_the_facade,
    sizes_stay_small,
    orderings_are_explained,
    unsafe_is_argued,
    primitives_list_their_pairs,
    imports_point_one_way,
    nothing_is_unfinished,
    words_are_honest,
];

#[test]
fn the_tree_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "std-ext/src", "std-ext/db/src"] {
        collect(root, &root.join(folder), &mut files);
    }
    assert!(files.iter().any(|(path, _)| path == "src/lib.rs"), "no sources found");

    let mut tests = Vec::new();
    collect(root, &root.join("tests"), &mut tests);
    collect(root, &root.join("std-ext/db/tests"), &mut tests);
    assert!(tests.iter().any(|(path, _)| path == "tests/tidy.rs"), "no tests found");

    let mut found: Vec<Violation> =
        files.iter().flat_map(|(p, t)| RULES.iter().flat_map(move |rule| rule(p, t))).collect();
    found.extend(tests.iter().flat_map(|(path, text)| sizes_stay_small(path, text)));
    found.extend(tests.iter().flat_map(|(path, text)| builds_are_named(path, text)));
    for page in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        if let Ok(text) = fs::read_to_string(root.join(page)) {
            found.extend(words_are_honest(page, &text));
        }
    }
    found.extend(labels_are_listed(&files));
    let list: Vec<String> = found.iter().map(Violation::to_string).collect();
    assert!(list.is_empty(), "{} violations:\n{}", list.len(), list.join("\n"));
}

/// All `.rs` files under `folder`, with paths relative to `root`.
fn collect(root: &Path, folder: &Path, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a source folder is readable") {
        let path = entry.expect("a folder entry is readable").path();
        if path.is_dir() {
            // What somebody built in place is not ours.
            if !path.ends_with("target") {
                collect(root, &path, into);
            }
        // Nor is what a machine wrote.
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("generated.rs") {
            let name = path.strip_prefix(root).expect("found under the root").to_string_lossy();
            into.push((name.replace('\\', "/"), fs::read_to_string(&path).expect("UTF-8 source")));
        }
    }
}

// ---------------------------------------------------------------------------------------- rules

fn atomics_come_from_the_facade(path: &str, text: &str) -> Vec<Violation> {
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

/// The page of pairs, which says that it has all of them, has them.
fn labels_are_listed(files: &[(String, String)]) -> Vec<Violation> {
    const PAGE: &str = "src/docs/ordering.rs";
    let page = &files.iter().find(|(path, _)| path == PAGE).expect("there is such a page").1;
    let mut found = Vec::new();
    // The page tells the library's pairs; the database's are told where they are.
    let others = |path: &str| path != PAGE && !path.starts_with("std-ext/db/");
    for (path, text) in files.iter().filter(|(path, _)| others(path)) {
        for (i, line) in text.lines().enumerate() {
            for label in line.split('[').skip(1).filter_map(|rest| rest.split_once(']')) {
                let is_label = label.0.len() == 4
                    && label.0.starts_with(|c: char| c.is_ascii_uppercase())
                    && label.0[2..].starts_with('-');
                if is_label && !page.contains(label.0) {
                    found.push(Violation::new(path, i, format!("{} is not in {PAGE}", label.0)));
                }
            }
        }
    }
    found
}

fn sizes_stay_small(path: &str, text: &str) -> Vec<Violation> {
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

/// CI reads from a test file's first line which builds it serves beside the default one.
fn builds_are_named(path: &str, text: &str) -> Vec<Violation> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    if !["tests", "std-ext/db/tests"].contains(&folder) {
        return Vec::new();
    }
    let first = text.lines().next().unwrap_or_default();
    let Some(names) = first.strip_prefix("//! builds: ") else {
        return vec![Violation::new(path, 0, "no `//! builds: NAME...` in the first line".into())];
    };
    let wrong = names.split(' ').filter(|name| !BUILDS.contains(name));
    wrong.map(|name| Violation::new(path, 0, format!("no build is called {name:?}"))).collect()
}

fn orderings_are_explained(path: &str, text: &str) -> Vec<Violation> {
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

fn unsafe_is_argued(path: &str, text: &str) -> Vec<Violation> {
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

fn primitives_list_their_pairs(path: &str, text: &str) -> Vec<Violation> {
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

fn imports_point_one_way(path: &str, text: &str) -> Vec<Violation> {
    let Some((home, depth)) = home(path) else { return Vec::new() };
    let Some(layer) = layer(home) else {
        return vec![Violation::new(path, 0, format!("`{home}` is no room: give it a layer"))];
    };
    let source = Source::read(text);
    let tests = source.test_lines();
    let joined = source.code.join("\n");
    let line_of = |at: usize| joined[..at].matches('\n').count();
    let mut found = Vec::new();
    let mut check = |at: usize, name: &str, root_too: bool| {
        let target = match ROOMS.iter().find(|(room, _)| *room == name) {
            Some((room, _)) => room,
            // A re-export at the crate's root is an import of the topmost room.
            None if root_too && !name.is_empty() && !tests[line_of(at)] => ROOT,
            None => return,
        };
        if target != home && ROOMS.iter().any(|&(room, l)| room == target && l >= layer) {
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
        // Enough of them lead to the root, where the rooms are.
        if ups >= depth {
            for name in first_names(rest) {
                check(at, name, false);
            }
        }
    }
    found
}

fn nothing_is_unfinished(path: &str, text: &str) -> Vec<Violation> {
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(i, line)| {
            let hits = BANNED_CODE.into_iter().filter(move |b| line.contains(b));
            hits.map(move |b| Violation::new(path, i, format!("`{b}`")))
        })
        .collect()
}

fn words_are_honest(path: &str, text: &str) -> Vec<Violation> {
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

// -------------------------------------------------------------------------------- reading source

struct Violation {
    path: String,
    line: usize,
    what: String,
}

impl Violation {
    fn new(path: &str, index: usize, what: String) -> Self {
        Self { path: path.into(), line: index + 1, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// A file's lines twice: the code without comments and strings, and the comments alone.
struct Source {
    code: Vec<String>,
    comments: Vec<String>,
}

impl Source {
    fn read(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let (mut code, mut comments) = (String::new(), String::new());
        let mut i = 0;
        while i < chars.len() {
            let end = token_end(&chars, i);
            let comment = chars[i] == '/' && end > i + 1;
            // Only a literal or a comment is longer than one character.
            let literal = !comment && end > i + 1;
            for &c in &chars[i..end] {
                let newline = c == '\n';
                code.push(if newline || !(comment || literal) { c } else { ' ' });
                comments.push(if newline || comment { c } else { ' ' });
            }
            i = end;
        }
        let lines = |s: &str| s.split('\n').map(str::to_owned).collect();
        Self { code: lines(&code), comments: lines(&comments) }
    }

    /// Whether a comment that satisfies `wanted` stands at line `i`, in its statement, or within
    /// `reach` lines above; a comment that ends within reach counts whole.
    fn comment_near(&self, i: usize, reach: usize, wanted: impl Fn(&str) -> bool) -> bool {
        let ends = |l: &str| l.is_empty() || l.ends_with([';', '{', '}']);
        let mut first = i;
        while first > 0 && i - first < 8 && !ends(self.code[first - 1].trim()) {
            first -= 1;
        }
        first = first.saturating_sub(reach);
        let bare = |l: usize| self.code[l].trim().is_empty() && !self.comments[l].trim().is_empty();
        while first > 0 && bare(first) && bare(first - 1) {
            first -= 1;
        }
        self.comments[first..=i].iter().any(|c| wanted(c))
    }

    /// Which lines belong to an item under `#[cfg(test)]` or `#[cfg(all(test, ..))]`.
    fn test_lines(&self) -> Vec<bool> {
        let mut marked = vec![false; self.code.len()];
        for (i, line) in self.code.iter().enumerate() {
            let at = line.find("#[cfg(test").or_else(|| line.find("#[cfg(all(test"));
            if let Some(at) = at {
                let end = block_end(&self.code, i, at).unwrap_or(i);
                marked[i..=end].fill(true);
            }
        }
        marked
    }
}

/// Where the comment or literal that starts at `i` ends; `i + 1` where none starts.
fn token_end(chars: &[char], i: usize) -> usize {
    let at = |k: usize| chars.get(k).copied().unwrap_or('\0');
    let len = chars.len();
    match (at(i), at(i + 1)) {
        ('/', '/') => (i..len).find(|&k| chars[k] == '\n').unwrap_or(len),
        ('/', '*') => {
            let (mut k, mut open) = (i + 2, 1);
            while k < len && open > 0 {
                match (at(k), at(k + 1)) {
                    ('/', '*') => (open, k) = (open + 1, k + 2),
                    ('*', '/') => (open, k) = (open - 1, k + 2),
                    _ => k += 1,
                }
            }
            k.min(len)
        }
        ('r', '"' | '#') if i == 0 || !is_word(at(i - 1)) || matches!(at(i - 1), 'b' | 'c') => {
            let hashes = (i + 1..len).take_while(|&k| chars[k] == '#').count();
            let body = i + 1 + hashes;
            if at(body) != '"' {
                return i + 1;
            }
            let closes = |k: usize| at(k) == '"' && (1..=hashes).all(|h| at(k + h) == '#');
            (body + 1..len).find(|&k| closes(k)).map_or(len, |k| k + 1 + hashes)
        }
        ('"', _) => quoted_end(chars, i, '"'),
        // A quote that closes after one character is a literal, any other a lifetime.
        ('\'', '\\') => quoted_end(chars, i, '\''),
        ('\'', _) if at(i + 2) == '\'' => i + 3,
        _ => i + 1,
    }
}

fn quoted_end(chars: &[char], start: usize, quote: char) -> usize {
    let mut k = start + 1;
    while k < chars.len() && chars[k] != quote {
        k += if chars[k] == '\\' { 2 } else { 1 };
    }
    (k + 1).min(chars.len())
}

/// The line in which the first block after line `i`, column `at` ends; `None` where the item ends
/// without one.
fn block_end(code: &[String], i: usize, at: usize) -> Option<usize> {
    let (mut braces, mut brackets) = (0_u32, 0_u32);
    for (k, line) in code.iter().enumerate().skip(i) {
        for c in line[if k == i { at } else { 0 }..].chars() {
            match c {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets = brackets.saturating_sub(1),
                '{' => braces += 1,
                '}' if braces <= 1 => return Some(k),
                '}' => braces -= 1,
                // A `;` inside brackets is an array's length.
                ';' if braces == 0 && brackets == 0 => return None,
                _ => {}
            }
        }
    }
    None
}

/// Where `word` stands in `text` as a word of its own.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let joined_left = text[..at].ends_with(is_word);
        let joined_right = word.ends_with(is_word) && text[at + word.len()..].starts_with(is_word);
        !joined_left && !joined_right
    })
}

/// The first segments of the paths that follow a `crate::`: one, or those of a braced list.
fn first_names(rest: &str) -> Vec<&str> {
    let Some(list) = rest.strip_prefix('{') else { return vec![first_name(rest)] };
    let (mut names, mut start, mut open) = (Vec::new(), 0, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => open += 1,
            '}' if open > 0 => open -= 1,
            ',' | '}' if open == 0 => {
                names.push(first_name(&list[start..at]));
                start = at + 1;
            }
            _ => {}
        }
        if c == '}' && start == at + 1 {
            break;
        }
    }
    names
}

/// The identifier that `path` starts with; nothing for a macro, which lives at the root whatever
/// room defines it.
fn first_name(path: &str) -> &str {
    let path = path.trim_start();
    let (name, rest) = path.split_at(path.find(|c| !is_word(c)).unwrap_or(path.len()));
    if rest.starts_with('!') { "" } else { name }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
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
fn is_model(path: &str) -> bool {
    path.ends_with("/loom.rs") || path.ends_with("_loom.rs") || path.contains("/loom/")
}

/// Files that hold nothing but tests.
fn is_test(path: &str) -> bool {
    is_model(path) || path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// The room that a file of the core stands in, and how many modules deep.
fn home(path: &str) -> Option<(&str, usize)> {
    let module = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let module = module.strip_suffix("/mod").unwrap_or(module);
    let depth = if module == ROOT { 0 } else { module.split('/').count() };
    Some((module.split('/').next()?, depth))
}

fn layer(room: &str) -> Option<u8> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|&(_, layer)| layer)
}

// ----------------------------------------------------------------------- each rule can turn red

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
    let planted = ["//! Tests.\n", "", "//! builds: arm\n", "//! builds: asan,tsan\n"];
    let clean = ["//! builds: default\n", "//! builds: asan narrow\n//!\n//! Tests.\n"];
    judge(builds_are_named, "tests/flat_api.rs", &planted, &clean);
    judge(builds_are_named, "std-ext/db/tests/model.rs", &planted, &clean);
    judge(builds_are_named, "tests/support/mod.rs", &[], &planted);
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
