//! The undo history of a text editor that keeps every version of the text.
//!
//! ```text
//! cargo run --release --features persistent --example versions [-- [-e EDITS] FILE...]
//! ```
//!
//! Without a file it edits the sources of the persistent collections themselves. The edits are made up, and the same in
//! each run: a line is typed, changed or deleted, or a block is moved, and the next edit is usually nearby.
//!
//! A version is a sequence of lines and a count of each word. Undo and redo choose another version. An editor without
//! versions keeps a list of edits, and each undo reverses one. This program does both, and compares the two texts after
//! each step. It counts the bytes that all versions take together, of which each shares most with the one before it.

use hedgerow::{PersistentMap, PersistentVec};
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, io, mem};

const USAGE: &str = "usage: versions [-e EDITS] [FILE...]";

fn main() -> ExitCode {
    match Options::parse(env::args().skip(1)).and_then(|options| options.read()) {
        Ok((lines, edits)) => {
            println!("{}", work(&lines, edits));
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("versions: {why}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

struct Options {
    edits: usize,
    paths: Vec<PathBuf>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { edits: 1000, paths: Vec::new() };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "-e" => {
                    let value = arguments.next().ok_or("-e needs a number of edits")?;
                    options.edits =
                        value.parse().map_err(|_| format!("-e {value}: not a number"))?;
                }
                flag if flag.starts_with('-') => return Err(format!("unknown option {flag}")),
                path => options.paths.push(path.into()),
            }
        }
        Ok(options)
    }

    /// Returns the lines of the files, and the number of edits.
    fn read(self) -> Result<(Vec<Line>, usize), String> {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/persistent");
        let paths = match self.paths.as_slice() {
            [] => sources(&own).map_err(|why| format!("{}: {why}", own.display()))?,
            _ => self.paths,
        };
        let mut lines = Vec::new();
        for path in paths {
            let text = fs::read_to_string(&path);
            let text = text.map_err(|why| format!("{}: {why}", path.display()))?;
            lines.extend(text.lines().map(Line::from));
        }
        Ok((lines, self.edits))
    }
}

/// Returns the paths of the sources in a folder, in order.
fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    paths.sort();
    Ok(paths)
}

/// Edits a text, undoes and redoes all edits, checks each step, and returns a report.
fn work(lines: &[Line], count: usize) -> String {
    let edits = Typist::new().edits(lines, count);
    let start = in_use();
    let mut history = History::new(lines);
    let of_first = in_use() - start;
    let began = Instant::now();
    for edit in &edits {
        history.edit(edit);
    }
    let editing = began.elapsed();
    let of_all = in_use() - start;

    let mut plain = Plain { lines: lines.to_vec(), inverses: Vec::new() };
    for edit in &edits {
        plain.edit(edit);
    }
    assert!(history.now().is(&plain.lines), "all edits");
    let mut times = Times::default();
    for step in 0..count {
        times.ours(|| assert!(history.undo()));
        times.plain(|| plain.undo());
        assert!(history.now().is(&plain.lines), "undo {step}");
    }
    assert!(!history.undo(), "nothing came before the first version");
    for edit in &edits {
        times.ours(|| assert!(history.redo()));
        times.plain(|| plain.edit(edit));
        assert!(history.now().is(&plain.lines), "redo");
    }
    assert!(!history.redo(), "nothing was undone");
    assert!(history.now().words == count_words(&plain.lines), "words are counted with each edit");

    // Back to the middle, and on from there with another edit: the versions after the middle are still there.
    (0..count / 2).for_each(|_| assert!(history.undo()));
    history.edit(&Edit::Insert(0, "another beginning".into()));
    assert!(!history.redo() && history.undo() && history.redo());
    let last = &history.versions[count];
    assert!(last.is(&plain.lines), "no version is lost");

    let first = &history.versions[0];
    let changed = first.words.diff(&last.words).count();
    let copies: usize = history.versions[..=count].iter().map(Version::bytes).sum();
    let (steps, [ours, other]) = (2 * count, times.0);
    let report = [
        format!("text    {} lines, {} different words", lines.len(), first.words.len()),
        format!("edits   {count}, {:.1} µs each", micros(editing, count)),
        format!(
            "undo    {:.2} µs a step; {:.2} µs by reversing edits",
            micros(ours, steps),
            micros(other, steps)
        ),
        format!("words   {changed} have other counts in the last version than in the first"),
        format!("memory  {} kB for the first version", of_first / 1000),
        format!(
            "        {} kB for all {}: {} bytes an edit",
            of_all / 1000,
            count + 1,
            (of_all - of_first) / count.max(1)
        ),
        format!("        {} kB if they shared nothing", copies / 1000),
    ];
    // A short text is a leaf or two, and has nothing to share.
    let shares = lines.len() >= 1000 && count >= 100;
    assert!(!shares || of_all < copies / 4, "versions share most of their nodes");
    let text = report.join("\n");
    drop((history, plain, report));
    assert_eq!(in_use() - start, text.capacity(), "the last version of a node frees it");
    text
}

fn micros(time: Duration, steps: usize) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(u32::try_from(steps.max(1)).unwrap_or(u32::MAX))
}

/// Times of steps of the two kinds of undo.
#[derive(Default)]
struct Times([Duration; 2]);

impl Times {
    fn ours(&mut self, step: impl FnOnce()) {
        let began = Instant::now();
        step();
        self.0[0] += began.elapsed();
    }

    fn plain(&mut self, step: impl FnOnce()) {
        let began = Instant::now();
        step();
        self.0[1] += began.elapsed();
    }
}

type Line = Arc<str>;

/// A change of a text. Lines are numbered from zero.
enum Edit {
    /// A new line before the one with this number.
    Insert(usize, Line),
    Remove(usize),
    Replace(usize, Line),
    /// As many lines from `from` on are cut, and inserted before line `to` of the rest.
    Move {
        from: usize,
        count: usize,
        to: usize,
    },
}

/// A version of the text, with what an editor derives from it.
#[derive(Clone)]
struct Version {
    lines: PersistentVec<Line>,
    /// How often each word occurs.
    words: PersistentMap<Line, usize>,
}

impl Version {
    /// Compares with a plain text.
    fn is(&self, plain: &[Line]) -> bool {
        self.lines.len() == plain.len() && self.lines.iter().eq(plain)
    }

    /// Returns the bytes of all nodes, shared ones included.
    fn bytes(&self) -> usize {
        self.lines.memory_bytes() + self.words.memory_bytes()
    }

    fn edit(&mut self, edit: &Edit) {
        match edit {
            Edit::Insert(at, line) => {
                self.lines.insert(*at, line.clone());
                add(&mut self.words, line);
            }
            Edit::Remove(at) => {
                let old = self.lines.remove(*at);
                subtract(&mut self.words, &old);
            }
            Edit::Replace(at, line) => {
                let old = mem::replace(&mut self.lines[*at], line.clone());
                subtract(&mut self.words, &old);
                add(&mut self.words, line);
            }
            Edit::Move { from, count, to } => {
                let mut cut = self.lines.split_off(*from);
                let mut rest = cut.split_off(*count);
                self.lines.append(&mut rest);
                let mut rest = self.lines.split_off(*to);
                self.lines.append(&mut cut);
                self.lines.append(&mut rest);
            }
        }
    }
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

fn add(counts: &mut PersistentMap<Line, usize>, line: &str) {
    for word in words(line) {
        match counts.get_mut(word) {
            Some(count) => *count += 1,
            None => _ = counts.insert(word.into(), 1),
        }
    }
}

fn subtract(counts: &mut PersistentMap<Line, usize>, line: &str) {
    for word in words(line) {
        let count = counts.get_mut(word).expect("each word is counted");
        *count -= 1;
        if *count == 0 {
            counts.remove(word);
        }
    }
}

fn count_words(lines: &[Line]) -> PersistentMap<Line, usize> {
    let mut counts = PersistentMap::new();
    for line in lines {
        add(&mut counts, line);
    }
    counts
}

/// All versions, and the one that is shown.
struct History {
    versions: Vec<Version>,
    /// The version from which each was made; the first one has itself.
    parents: Vec<usize>,
    now: usize,
    /// What redo leads to, the next one last.
    undone: Vec<usize>,
}

impl History {
    fn new(lines: &[Line]) -> Self {
        let first = Version { lines: lines.iter().cloned().collect(), words: count_words(lines) };
        Self { versions: vec![first], parents: vec![0], now: 0, undone: Vec::new() }
    }

    fn now(&self) -> &Version {
        &self.versions[self.now]
    }

    fn edit(&mut self, edit: &Edit) {
        // O(1), and the edit copies what it changes.
        let mut version = self.now().clone();
        version.edit(edit);
        self.parents.push(self.now);
        self.now = self.versions.len();
        self.versions.push(version);
        self.undone.clear();
    }

    /// Returns whether there was an edit to undo.
    fn undo(&mut self) -> bool {
        if self.now == 0 {
            return false;
        }
        self.undone.push(self.now);
        self.now = self.parents[self.now];
        true
    }

    /// Returns whether there was an edit to redo.
    fn redo(&mut self) -> bool {
        let next = self.undone.pop();
        self.now = next.unwrap_or(self.now);
        next.is_some()
    }
}

/// The same text without versions. An undo reverses an edit.
struct Plain {
    lines: Vec<Line>,
    inverses: Vec<Edit>,
}

impl Plain {
    fn edit(&mut self, edit: &Edit) {
        let inverse = Self::apply(&mut self.lines, edit);
        self.inverses.push(inverse);
    }

    fn undo(&mut self) {
        let inverse = self.inverses.pop().expect("there is an edit to undo");
        Self::apply(&mut self.lines, &inverse);
    }

    /// Returns the edit that reverses this one.
    fn apply(lines: &mut Vec<Line>, edit: &Edit) -> Edit {
        match *edit {
            Edit::Insert(at, ref line) => {
                lines.insert(at, line.clone());
                Edit::Remove(at)
            }
            Edit::Remove(at) => Edit::Insert(at, lines.remove(at)),
            Edit::Replace(at, ref line) => {
                Edit::Replace(at, mem::replace(&mut lines[at], line.clone()))
            }
            Edit::Move { from, count, to } => {
                let block: Vec<Line> = lines.drain(from..from + count).collect();
                lines.splice(to..to, block);
                Edit::Move { from: to, count, to: from }
            }
        }
    }
}

/// Somebody who edits a text.
struct Typist {
    cursor: usize,
    random: u64,
}

impl Typist {
    fn new() -> Self {
        Self { cursor: 0, random: 1 }
    }

    /// Returns a number below `end`.
    fn below(&mut self, end: usize) -> usize {
        // Knuth's constants.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % end
    }

    /// Returns edits that can be applied to the text one after another.
    fn edits(mut self, lines: &[Line], count: usize) -> Vec<Edit> {
        let mut text = lines.to_vec();
        let mut edits = Vec::with_capacity(count);
        for _ in 0..count {
            let edit = self.next(&text);
            Plain::apply(&mut text, &edit);
            edits.push(edit);
        }
        edits
    }

    fn next(&mut self, text: &[Line]) -> Edit {
        if text.is_empty() {
            return Edit::Insert(0, "the first line".into());
        }
        // Somewhere else in the text, or one of the next lines.
        self.cursor = match self.below(20) {
            0 => self.below(text.len()),
            _ => (self.cursor + self.below(3)).min(text.len() - 1),
        };
        match self.below(20) {
            0 => {
                let count = 1 + self.below((text.len() - self.cursor).min(40));
                let to = self.below(text.len() - count + 1);
                Edit::Move { from: self.cursor, count, to }
            }
            1..6 => Edit::Remove(self.cursor),
            6..12 => {
                // A line that is somewhere else, too.
                let line = text[self.below(text.len())].clone();
                Edit::Insert(self.cursor, line)
            }
            _ => {
                let (old, word) = (&text[self.cursor], self.below(1000));
                Edit::Replace(self.cursor, format!("{old} word{word}").into())
            }
        }
    }
}

/// The system's allocator, with a count of the bytes in use.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// Returns the bytes in use.
fn in_use() -> usize {
    // relaxed: a count that only one thread changes.
    IN_USE.load(Ordering::Relaxed)
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: promised by the caller.
        unsafe { System.dealloc(block, layout) }
    }
}
