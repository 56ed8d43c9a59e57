//! Counts the words of text files on all cores, in one shared `FlatMap`.
//!
//! ```text
//! cargo run --release --example wordcount [-- [-n TOP] [-t THREADS] FILE-OR-FOLDER...]
//! ```
//!
//! With no path it reads the sources and documents of the crate itself. A word is an unbroken run
//! of letters and digits in Unicode's sense (`char::is_alphanumeric`), so `don't` is two; the
//! letters A to Z are taken for a to z, all others as they are. In folders, hidden entries,
//! symbolic links and caches (marked by `CACHEDIR.TAG`, as cargo marks `target`) are passed over.
//!
//! The keys are slices of the text itself: `FlatMap` wants `Copy` keys, and `&str` is one. Every
//! thread counts a word by one `compute`, whose replacement is atomic: no increment is lost.

use hedgerow::FlatMap;
use hedgerow::flat::Op;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

const USAGE: &str = "usage: wordcount [-n TOP] [-t THREADS] [FILE-OR-FOLDER...]";
/// Texts are cut to about this many bytes, so that one large file keeps every core busy.
const CHUNK: usize = 128 * 1024;
/// The default text: files of the crate's own folder.
const OWN_TEXT: [&str; 7] =
    ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "src", "std-ext", "tests", "benches"];

fn main() -> ExitCode {
    let options = match Options::parse(env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("wordcount: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };

    let mut failed = 0;
    let mut complain = |path: &Path, why: &str| {
        eprintln!("wordcount: {}: {why}", path.display());
        failed += 1;
    };
    let mut files = Vec::new();
    for path in &options.paths {
        find_files(path, &mut files, &mut complain);
    }
    let began = Instant::now();
    let mut texts = Vec::new();
    for (path, text) in files.iter().zip(read_all(&files, options.threads)) {
        match text {
            Ok(text) => texts.push(text),
            Err(why) => complain(path, &why),
        }
    }
    let reading = began.elapsed();

    let counts = FlatMap::<&str, u64>::new();
    let began = Instant::now();
    let (words, threads) = count_all(&texts, &counts, options.threads);
    let counting = began.elapsed();

    let bytes = texts.iter().map(String::len).sum();
    let run = Run { files: texts.len(), bytes, words, reading, counting, threads };
    let report = report(&run, &counts, options.top);
    // A reader that has seen enough, as `head` has, is no error.
    let _ = io::stdout().write_all(report.as_bytes());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Options {
    top: usize,
    threads: usize,
    paths: Vec<PathBuf>,
}

impl Options {
    /// None: only the usage was asked for.
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let mut options = Self { top: 20, threads, paths: Vec::new() };
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().ok_or(format!("{argument} wants a number"))?;
                value.parse().map_err(|_| format!("{argument} {value}: not a number"))
            };
            match argument.as_str() {
                "-n" => options.top = number()?,
                "-t" => options.threads = number()?.max(1),
                "-h" | "--help" => return Ok(None),
                flag if flag.starts_with('-') => return Err(format!("no option is called {flag}")),
                path => options.paths.push(path.into()),
            }
        }
        if options.paths.is_empty() {
            let own = Path::new(env!("CARGO_MANIFEST_DIR"));
            let own = OWN_TEXT.iter().map(|name| own.join(name)).filter(|path| path.exists());
            options.paths.extend(own);
        }
        Ok(Some(options))
    }
}

/// Appends `path`, if it is a file, or else all files in it.
fn find_files(path: &Path, into: &mut Vec<PathBuf>, complain: &mut impl FnMut(&Path, &str)) {
    let entries = match fs::metadata(path) {
        Ok(metadata) if !metadata.is_dir() => return into.push(path.into()),
        Ok(_) => fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>),
        Err(why) => Err(why),
    };
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(why) => return complain(path, &why.to_string()),
    };
    if entries.iter().any(|entry| entry.file_name() == "CACHEDIR.TAG") {
        return;
    }
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        // Not `metadata`, which would follow links, in circles if need be.
        if !hidden && entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_dir()) {
            find_files(&entry.path(), into, complain);
        }
    }
}

/// The texts of `files` in lower case, in order, or why not.
fn read_all(files: &[PathBuf], threads: usize) -> Vec<Result<String, String>> {
    let bar = progress("reading", files.len() as u64, "{pos}/{len} files");
    let mut texts = on_threads(threads, files, |path, done: &mut Vec<_>| {
        done.push((path, read(path)));
        bar.inc(1);
    });
    bar.finish_and_clear();
    let mut texts: Vec<_> = texts.iter_mut().flat_map(|done| done.drain(..)).collect();
    // All are slots of one slice, so their addresses are in its order.
    texts.sort_by_key(|&(path, _)| std::ptr::from_ref(path));
    texts.into_iter().map(|(_, text)| text).collect()
}

fn read(path: &Path) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|why| why.to_string())?;
    let mut text = String::from_utf8(bytes).map_err(|why| {
        format!("not UTF-8 text (at byte {}): skipped", why.utf8_error().valid_up_to())
    })?;
    text.make_ascii_lowercase();
    Ok(text)
}

/// Counts the words of all texts into `counts`; returns how many there were, and how many threads
/// had something to do.
fn count_all<'a>(
    texts: &'a [String],
    counts: &FlatMap<&'a str, u64>,
    threads: usize,
) -> (u64, usize) {
    let chunks: Vec<&str> = texts.iter().flat_map(|text| chunks(text)).collect();
    let bytes = texts.iter().map(|text| text.len() as u64).sum();
    let bar = progress("counting", bytes, "{bytes}/{total_bytes}  {bytes_per_sec}");
    let words = on_threads(threads, &chunks, |chunk, words: &mut u64| {
        for word in chunk.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            counts.compute(word, |count| Op::Insert(count.unwrap_or(0) + 1));
            *words += 1;
        }
        bar.inc(chunk.len() as u64);
    });
    bar.finish_and_clear();
    (words.iter().sum(), words.len())
}

/// Cuts a text where no word is cut.
fn chunks(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let mut about = CHUNK.min(text.len());
        while !text.is_char_boundary(about) {
            about += 1;
        }
        let rest = text[about..].find(|c: char| !c.is_alphanumeric());
        let chunk;
        (chunk, text) = text.split_at(rest.map_or(text.len(), |rest| about + rest));
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// Runs `work` on every item, on this many threads; returns the result of each thread.
fn on_threads<'a, T: Sync, R: Default + Send>(
    threads: usize,
    items: &'a [T],
    work: impl Fn(&'a T, &mut R) + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut made = R::default();
        // relaxed: hands numbers out; the threads are joined before anybody reads their results.
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item, &mut made);
        }
        made
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.min(items.len())).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().expect("the work does not panic")).collect()
    })
}

/// A bar on the error output, or none where that is not a terminal.
fn progress(what: &'static str, length: u64, figures: &str) -> ProgressBar {
    let template = format!("{{msg}} [{{wide_bar}}] {figures}  {{eta}}");
    let style = ProgressStyle::with_template(&template).expect("a template that indicatif knows");
    ProgressBar::new(length).with_style(style.progress_chars("=> ")).with_message(what)
}

struct Run {
    files: usize,
    bytes: usize,
    words: u64,
    reading: Duration,
    counting: Duration,
    threads: usize,
}

fn report(run: &Run, counts: &FlatMap<&str, u64>, top: usize) -> String {
    let Run { files, bytes, words, .. } = *run;
    if words == 0 {
        return format!("no words in {files} files of {bytes} bytes together\n");
    }
    let mut all: Vec<(&str, u64)> = counts.iter().collect();
    let distinct = all.len();
    all.sort_unstable_by(|(a, n), (b, m)| m.cmp(n).then(a.cmp(b)));
    all.truncate(top);

    let mut text = String::new();
    let mut line = |what: std::fmt::Arguments<'_>| {
        text.write_fmt(what).and_then(|()| text.write_char('\n')).expect("a String takes all");
    };
    line(format_args!("{:>5} {:>12} {:>7}  word", "rank", "count", "share"));
    for (rank, (word, count)) in (1..).zip(all) {
        let share = 100.0 * float(count) / float(words);
        line(format_args!("{rank:>5} {count:>12} {share:>6.2}%  {word}"));
    }

    let seconds = run.counting.as_secs_f64();
    let megabytes = float(bytes) / 1e6;
    let stats = counts.stats();
    let load = float(stats.len) / float(stats.bins);
    let each = float(stats.memory_bytes) / float(stats.len);
    line(format_args!(""));
    line(format_args!("words      {words}, {distinct} of them distinct"));
    line(format_args!("text       {files} files, {megabytes:.1} MB"));
    line(format_args!("threads    {}", run.threads));
    line(format_args!("reading    {:.3} s", run.reading.as_secs_f64()));
    line(format_args!(
        "counting   {seconds:.3} s: {:.0} MB/s, {:.1} million words/s",
        megabytes / seconds,
        float(words) / seconds / 1e6,
    ));
    line(format_args!(
        "map        {} entries in {} bins, {load:.2} of {} slots a bin on the mean",
        stats.len, stats.bins, stats.slots_per_bin,
    ));
    line(format_args!("           {} overflow lines in use", stats.overflow_lines));
    line(format_args!(
        "           {} bytes, {each:.1} an entry, {} of the bytes retired",
        stats.memory_bytes, stats.retired_bytes,
    ));
    text
}

/// For figures that people read: three digits of a count are enough.
#[allow(clippy::cast_precision_loss)]
fn float(count: impl TryInto<u64>) -> f64 {
    count.try_into().unwrap_or(u64::MAX) as f64
}
