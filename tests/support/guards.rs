//! What dereferences to a value of the user leaves method calls to the value, as `std::cell::Ref` does.

use super::implemented;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Types that dereference to a value of the user: guards, and entries that were taken out of a map. Each with the
/// methods by reference that it has nevertheless, because users of dashmap expect them.
const TO_VALUES: [(&str, &[&str]); 7] = [
    ("ElementRef", &[]),
    ("Formatted", &[]),
    ("KeyRef", &[]),
    ("ReadGuard", &[]),
    ("Ref", &["key", "pair", "value"]),
    ("Removed", &["key", "pair", "value"]),
    ("RemovedBytes", &["key", "value"]),
];

/// Types that dereference to a type of this crate, whose methods they may have in another form.
const TO_OURS: [&str; 7] = [
    "BagGuard",
    "CodecGuard",
    "OwnedGuard",
    "Pinned",
    "SharedWriteGuard",
    "Shared",
    "PinnedVersion",
];

/// Traits whose methods are called as methods of the value, so that an implementation would hide the value's.
const SHADOWING: [&str; 3] = ["AsRef", "Borrow", "Clone"];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a source folder is readable") {
        let path = entry.expect("a folder entry is readable").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The name of a type, without path and parameters.
fn name(of: &str) -> String {
    let of = of.split(['<', ' ', '{']).next().expect("a split has a first part");
    of.rsplit("::").next().expect("a split has a first part").to_string()
}

/// The traits that the sources implement or derive for each type, and each type's public methods by reference.
#[derive(Default)]
struct Found {
    traits: BTreeMap<String, Vec<String>>,
    methods: BTreeMap<String, Vec<String>>,
}

fn find(text: &str, found: &mut Found) {
    let (mut of, mut derived) = (None, String::new());
    for (at, line) in text.match_indices('\n').map(|(at, _)| (at, text[at + 1..].lines().next())) {
        let (line, rest) = (line.unwrap_or_default(), &text[at + 1..]);
        if line.starts_with("impl") {
            let header =
                rest.split('{').next().expect("a split has a first part").replace('\n', " ");
            of = implemented(&header);
            if let Some((before, to)) = header.split_once(" for ") {
                let mut depth = 0;
                let shown = before.rsplit(|c| {
                    depth += i32::from(c == '>') - i32::from(c == '<');
                    c == ' ' && depth == 0
                });
                let shown = shown.into_iter().next().expect("a split has a first part");
                found.traits.entry(name(to)).or_default().push(name(shown));
            }
        } else if let Some(traits) = line.strip_prefix("#[derive(") {
            derived = traits.to_string();
        } else if let Some((_, ty)) = line.split_once("struct ").filter(|_| !line.starts_with("//"))
        {
            let traits = derived.split([',', ')', ' ']).filter(|name| !name.is_empty());
            found.traits.entry(name(ty)).or_default().extend(traits.map(str::to_string));
            derived.clear();
        }
        let method = line.trim_start();
        let method = method.strip_prefix("pub const fn ").or(method.strip_prefix("pub fn "));
        if let (Some(of), Some(method)) = (&of, method) {
            let arguments = rest.split_once('(').map_or("", |(_, rest)| rest).trim_start();
            if arguments.starts_with("&self") || arguments.starts_with("&mut self") {
                let method = method.split(['<', '(']).next().expect("a split has a first part");
                found.methods.entry(of.clone()).or_default().push(method.to_string());
            }
        }
    }
}

#[test]
fn what_dereferences_to_a_value_hides_none_of_its_methods() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut found = Found::default();
    for file in files {
        find(&fs::read_to_string(file).expect("a source is readable"), &mut found);
    }
    let mut expected: Vec<_> = TO_VALUES.iter().map(|(name, _)| *name).chain(TO_OURS).collect();
    expected.sort_unstable();
    let implements = |name: &str, of: &str| found.traits[of].iter().any(|one| one == name);
    let all: Vec<_> = found.traits.keys().filter(|of| implements("Deref", of)).collect();
    assert_eq!(all, expected, "decide what a new type that dereferences leaves to its value");
    for (of, allowed) in TO_VALUES {
        for name in SHADOWING {
            assert!(!implements(name, of), "{of} has {name}, and so hides the value's");
        }
        let mut methods = found.methods.get(of).cloned().unwrap_or_default();
        methods.sort_unstable();
        assert_eq!(methods, allowed, "{of} has methods that hide the value's");
    }
}

/// Compiles for a future that a runtime may move to another thread at any `await`.
fn task(_: impl Future<Output = ()> + Send) {}

fn something() -> impl Future<Output = ()> + Send {
    std::future::ready(())
}

/// Iterates in a task, with an `await` for each item.
macro_rules! in_a_task {
    ($map:ident: $($all:expr),*) => {
        $(task(async {
            let $map = &$map;
            for item in $all {
                something().await;
                let _ = std::hint::black_box(item);
            }
        });)*
    };
    (pinned $map:ident: $($all:expr),*) => {
        $(task(async {
            let $map = $map.pin_owned();
            for item in $all {
                something().await;
                let _ = std::hint::black_box(item);
            }
        });)*
    };
}

#[test]
fn a_task_may_iterate_across_an_await() {
    let map = hedgerow::HashMap::<u32, String>::new();
    in_a_task!(pinned map: &map, map.iter(), map.keys(), map.values(), map.iter().clone());
    let map = hedgerow::BytesMap::new();
    in_a_task!(pinned map: &map, map.iter(), map.keys(), map.values());
    let map = hedgerow::OrdMap::<u32, String>::new();
    in_a_task!(pinned map: &map, map.iter(), map.keys(), map.values(), map.range(1..), map.iter_range(1..).rev());
    let guard = hedgerow::owned::Handle::new().into_guard();
    task(async {
        for entry in &map.with_guard(&guard) {
            something().await;
            let _ = std::hint::black_box(entry);
        }
    });
    let map = hedgerow::FlatMap::<u32, u32>::new();
    in_a_task!(map: map, map.iter(), map.keys(), map.values(), map.drain());
    let map = hedgerow::FlatTable::<u32, u32, 4>::new();
    in_a_task!(map: map, map.iter(), map.keys(), map.values());
    let map = hedgerow::FenceMap::<u32, u32>::new();
    in_a_task!(map: map, map.iter(), map.keys(), map.values(), map.range(1..), map.iter_range(1..), map.drain());
    let map = hedgerow::CompressedMap::with_budget(1 << 20);
    in_a_task!(map: map.iter(), map.keys(), map.values());
}
