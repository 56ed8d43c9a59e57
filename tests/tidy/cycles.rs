//! builds: default
//!
//! No file of a crate imports itself by way of others, except for the groups of files in `cycles.txt`.
//!
//! A name is followed through the re-exports of a `mod.rs` to the file that defines it. A re-export is an import only
//! if its file uses the name itself. Tests and models import as they like.

use crate::{
    CRATES, Files, collect, is_rust, root,
    source::{Source, block_end, is_word, words},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
};

const LIST: &str = "tests/tidy/cycles.txt";
const HEAD: &str = "\
# Groups of files that import each other, one group a line. `HEDGEROW_TIDY=write cargo test --test tidy` shrinks them.
";

type Groups = BTreeSet<BTreeSet<String>>;

#[test]
fn files_import_in_one_direction() {
    let mut found = Groups::new();
    for folder in CRATES {
        let mut files = Files::new();
        collect(folder, &is_rust, &mut files);
        // The program stands on the library of its package.
        files.retain(|(path, _)| !path.ends_with("src/main.rs"));
        found.extend(cycles(&imports(folder, &files)));
    }
    let text = fs::read_to_string(root().join(LIST)).unwrap_or_default();
    let listed = read(&text);
    if env::var("HEDGEROW_TIDY").is_ok_and(|what| what == "write") {
        let size = |groups: &Groups| groups.iter().map(BTreeSet::len).sum::<usize>();
        let grows = found.len() > listed.len() || size(&found) > size(&listed);
        assert!(text.is_empty() || !grows, "more files in cycles than before:\n{}", write(&found));
        fs::write(root().join(LIST), write(&found)).expect("the list is writable");
        return;
    }
    let wrong = compare(&found, &listed);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn read(text: &str) -> Groups {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

fn write(groups: &Groups) -> String {
    let line =
        |group: &BTreeSet<String>| group.iter().cloned().collect::<Vec<_>>().join(" ") + "\n";
    HEAD.to_owned() + &groups.iter().map(line).collect::<String>()
}

fn compare(found: &Groups, listed: &Groups) -> Vec<String> {
    let new =
        found.difference(listed).map(|group| format!("these files import each other: {group:?}"));
    let gone = listed
        .difference(found)
        .map(|group| format!("no longer a cycle, so not in {LIST}: {group:?}"));
    new.chain(gone).collect()
}

/// A module path below the crate's root.
type Module = Vec<String>;

struct Unit {
    path: String,
    uses: Vec<Use>,
    /// Paths in the code outside of `use`.
    inline: Vec<Module>,
    /// The code outside of `use`.
    code: String,
}

struct Use {
    path: Module,
    /// The name in this module; `*` for all.
    name: String,
    public: bool,
}

/// From each file to the files that it imports.
pub(crate) type Graph = BTreeMap<String, BTreeSet<String>>;

/// The files that each file imports, outside of its tests.
pub(crate) fn imports(folder: &str, files: &Files) -> Graph {
    let mut units = BTreeMap::new();
    let mut tests: Vec<Module> = Vec::new();
    for (path, text) in files {
        let inside =
            path.strip_prefix(folder).and_then(|p| p.strip_prefix('/')).expect("in its folder");
        let mut module: Module =
            inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|name| name == "mod" || name == "lib") {
            module.pop();
        }
        tests.extend(test_modules(text).into_iter().map(|name| child(&module, &name)));
        units.insert(module, unit(path, text));
    }
    units.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
    let mut graph = BTreeMap::new();
    for (module, unit) in &units {
        let of_uses =
            unit.uses.iter().filter(|u| !u.public || words(&unit.code, &u.name).next().is_some());
        let paths = of_uses.map(|u| &u.path).chain(&unit.inline);
        let targets = paths.filter_map(|path| resolve(&units, module, path, 0));
        graph.insert(unit.path.clone(), targets.filter(|target| *target != unit.path).collect());
    }
    graph
}

fn child(module: &Module, name: &str) -> Module {
    let mut child = module.clone();
    child.push(name.to_owned());
    child
}

/// The file that defines what `path`, as `module` writes it, leads to.
fn resolve(
    units: &BTreeMap<Module, Unit>,
    module: &Module,
    path: &Module,
    depth: usize,
) -> Option<String> {
    let mut at = module.clone();
    let mut rest = &path[..];
    match path.first()?.as_str() {
        "crate" => (at, rest) = (Module::new(), &path[1..]),
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|name| name == "super") {
                at.pop();
                rest = &rest[1..];
            }
        }
        name if units.contains_key(&child(module, name)) => {}
        _ => return None,
    }
    while let Some(name) = rest.first() {
        let below = child(&at, name);
        if units.contains_key(&below) {
            (at, rest) = (below, &rest[1..]);
            continue;
        }
        let unit = units.get(&at)?;
        // A macro's name, and a glob, stay here; a name that this module imports leads on.
        let named = unit.uses.iter().find(|u| u.name == *name && u.path != *path);
        if let Some(import) = named.filter(|_| depth < 8) {
            return resolve(units, &at, &import.path, depth + 1);
        }
        let all = unit.uses.iter().filter(|u| u.name == "*" && depth < 8);
        let behind = all.filter_map(|u| resolve(units, &at, &u.path, depth + 1));
        let defines = |file: &String| {
            let unit = units.values().find(|unit| unit.path == *file);
            unit.is_some_and(|unit| defined(&unit.code, name))
        };
        let defining = behind.into_iter().find(|file| *file != unit.path && defines(file));
        return Some(defining.unwrap_or_else(|| unit.path.clone()));
    }
    units.get(&at).map(|unit| unit.path.clone())
}

fn defined(code: &str, name: &str) -> bool {
    let items =
        ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "macro_rules!"];
    words(code, name).any(|at| items.iter().any(|item| code[..at].trim_end().ends_with(item)))
}

/// Modules that this file declares for tests alone.
fn test_modules(text: &str) -> Vec<String> {
    let source = Source::read(text);
    let tests = source.test_lines();
    let lines = source.code.iter().enumerate().filter(|(i, _)| tests[*i]);
    lines
        .filter_map(|(_, line)| {
            line.trim().strip_suffix(';')?.split("mod ").nth(1).map(str::to_owned)
        })
        .collect()
}

fn unit(path: &str, text: &str) -> Unit {
    let source = Source::read(text);
    let tests = source.test_lines();
    let mut code: Vec<String> = source.code;
    code.iter_mut().zip(&tests).filter(|(_, test)| **test).for_each(|(line, _)| line.clear());
    // In a module within the file, `super` is the file.
    for i in 0..code.len() {
        let opens = words(&code[i], "mod").next().filter(|_| code[i].trim_end().ends_with('{'));
        if let Some(end) = opens.and_then(|at| block_end(&code, i, at)) {
            code[i + 1..=end].iter_mut().for_each(|line| *line = line.replace("super::", "self::"));
        }
    }
    let joined = code.join("\n");
    let (mut uses, mut plain, mut done) = (Vec::new(), String::new(), 0);
    for at in words(&joined, "use").collect::<Vec<_>>() {
        let Some(end) = joined[at..].find(';').map(|length| at + length) else { continue };
        let before = joined[..at].trim_end();
        let public = before.ends_with("pub") || before.ends_with(')');
        if at < done || !(public || before.is_empty() || before.ends_with([';', '{', '}', ']'])) {
            continue;
        }
        expand(&joined[at + 3..end], &Module::new(), public, &mut uses);
        plain.push_str(&joined[done..at]);
        done = end;
    }
    plain.push_str(&joined[done..]);
    Unit { path: path.to_owned(), uses, inline: inline(&plain), code: plain }
}

/// Takes a tree of `use` apart: `a::{b, c::{self, d}}`.
fn expand(tree: &str, stem: &Module, public: bool, into: &mut Vec<Use>) {
    let tree = tree.trim();
    if let Some((head, list)) = tree.split_once('{') {
        let mut stem = stem.clone();
        stem.extend(segments(head));
        let list = list.trim_end().strip_suffix('}').unwrap_or(list);
        let (mut open, mut start) = (0, 0);
        for (at, c) in list.char_indices().chain([(list.len(), ',')]) {
            match c {
                '{' => open += 1,
                '}' => open -= 1,
                ',' if open == 0 => {
                    expand(&list[start..at], &stem, public, into);
                    start = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let (path, alias) = tree.split_once(" as ").unwrap_or((tree, ""));
    let mut path: Module = stem.iter().cloned().chain(segments(path)).collect();
    if path.len() > 1 && path.last().is_some_and(|name| name == "self") {
        path.pop();
    }
    let Some(last) = path.last().cloned() else { return };
    let name = if alias.trim().is_empty() { last.clone() } else { alias.trim().to_owned() };
    if last == "*" {
        path.pop();
    }
    into.push(Use { path, name, public });
}

fn segments(path: &str) -> impl Iterator<Item = String> {
    path.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned)
}

/// The paths in an expression or a type. A name behind which a `!` stands is a macro.
fn inline(code: &str) -> Vec<Module> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(is_word) {
        let length = |text: &str| text.find(|c| !is_word(c) && c != ':').unwrap_or(text.len());
        let end = at + length(&rest[at..]);
        let path = &rest[at..end];
        if path.contains("::") && !rest[end..].starts_with('!') && !rest[..at].ends_with(['$', '.'])
        {
            found.push(segments(path).collect());
        }
        rest = &rest[end..];
    }
    found
}

/// The groups of two or more files in which each file imports each other one, directly or through others.
fn cycles(graph: &Graph) -> Groups {
    let reached = |from: &String| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(file) = open.pop() {
            for next in graph.get(file).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        seen
    };
    let all: BTreeMap<&String, BTreeSet<String>> =
        graph.keys().map(|file| (file, reached(file))).collect();
    let group = |file: &String| -> BTreeSet<String> {
        all[file]
            .iter()
            .filter(|other| all.get(other).is_some_and(|back| back.contains(file)))
            .cloned()
            .collect()
    };
    graph.keys().map(group).filter(|group| group.len() > 1).collect()
}

#[test]
fn a_cycle_is_found() {
    let files = |texts: &[(&str, &str)]| -> Files {
        texts.iter().map(|(path, text)| (format!("src/{path}"), (*text).to_owned())).collect()
    };
    let root = ("lib.rs", "mod a;\nmod b;\npub use a::{one::One, two};");
    let facade = ("a/mod.rs", "mod one;\nmod two;\npub(crate) use one::One;\npub use two::*;");
    let clean: [&[(&str, &str)]; 4] = [
        &[
            root,
            facade,
            ("a/one.rs", "use super::Two;\npub struct One;"),
            ("a/two.rs", "pub struct Two;"),
            ("b.rs", ""),
        ],
        // Tests may, and comments.
        &[
            root,
            ("a/mod.rs", "#[cfg(test)]\nmod t { use crate::b::B; }"),
            ("b.rs", "use crate::a::A; // crate::b"),
        ],
        &[
            ("lib.rs", "#[cfg(test)]\nmod models;\nmod b;"),
            ("models.rs", "use crate::b;"),
            ("b.rs", "use crate::models;"),
        ],
        // A macro stands at the root.
        &[("lib.rs", "mod a;\nfn f() { a::g() }"), ("a.rs", "crate::log!();")],
    ];
    for (i, texts) in clean.iter().enumerate() {
        let found = cycles(&imports("src", &files(texts)));
        assert!(found.is_empty(), "clean {i}: {found:?}");
    }
    let planted: [&[(&str, &str)]; 5] = [
        &[
            ("a.rs", "use crate::b::B;\nstruct A;"),
            ("b.rs", "use super::a;\nstruct B;"),
            ("lib.rs", ""),
        ],
        &[
            ("a.rs", "fn f() { crate::b::g() }"),
            ("b.rs", "use super::{a::{self, f}};"),
            ("lib.rs", ""),
        ],
        // Through the facade's re-export, and through its glob.
        &[
            facade,
            ("a/one.rs", "use super::Two;\nstruct One;"),
            ("a/two.rs", "use super::One;\npub struct Two;"),
            ("lib.rs", ""),
        ],
        // A module that uses what it re-exports.
        &[
            ("a/mod.rs", "pub use one::One;\nfn f() -> One { One }\nstruct A;"),
            ("a/one.rs", "use super::A;\nstruct One;"),
            ("lib.rs", ""),
        ],
        &[
            ("a/mod.rs", "struct A;\nfn f() { one::g() }"),
            ("a/one.rs", "use crate::a::A;\nfn g() {}"),
            ("lib.rs", ""),
        ],
    ];
    for (i, texts) in planted.iter().enumerate() {
        let found = cycles(&imports("src", &files(texts)));
        assert_eq!(found.len(), 1, "planted {i}");
        assert_eq!(found.first().expect("one").len(), 2, "planted {i}: {found:?}");
    }
}

#[test]
fn a_cycle_that_is_not_listed_or_is_gone_is_found() {
    let listed = read("# a list\nsrc/a.rs src/b.rs\n");
    assert!(compare(&listed, &listed).is_empty());
    assert_eq!(read(&write(&listed)), listed);
    assert_eq!(compare(&read("src/a.rs src/c.rs\nsrc/a.rs src/b.rs\n"), &listed).len(), 1);
    assert_eq!(compare(&Groups::new(), &listed).len(), 1);
}
