//! Runs many programs, each range of them in a process of its own, and shortens those that fail.

use hedgerow_hostile::minimize::minimize;
use hedgerow_hostile::play::STACK;
use hedgerow_hostile::program::Program;
use hedgerow_hostile::subjects::{self, ALL, Play};
use std::env;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const USAGE: &str = "usage: hedgerow-hostile [--programs N] [--minutes M] [--seed S] [--only NAME]
       hedgerow-hostile --replay NAME HEX

  --programs N   the number of programs on each kind of map; default 1000
  --minutes M    more of them until so much time has passed
  --seed S       other programs; default 0
  --only NAME    only kinds of maps whose name begins so
  --replay       one program, as a failure prints it";

/// The processor time after which a program counts as endless: a program has only a few dozen operations.
const WORK: Duration = Duration::from_secs(20);
/// The time after which a program counts as waiting forever, if other processes leave it some of the processor.
const TIME_LIMIT: Duration = Duration::from_secs(120);
/// Programs of a process; a new process has sound memory again. The number is small enough that a run of some minutes
/// plays every kind of map, also the slow ones.
const BATCH: u64 = 100;

fn main() -> ExitCode {
    let thread = thread::Builder::new().stack_size(STACK).spawn(run_arguments);
    thread.expect("a thread starts").join().unwrap_or(ExitCode::FAILURE)
}

fn run_arguments() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["--replay", name, hex] => replay(name, hex),
        ["--batch", name, from, to, seed, progress] => batch(name, from, to, seed, progress),
        _ => Options::read(&words).and_then(|options| options.run()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn play_of(name: &str) -> Result<Play, String> {
    subjects::named(name).ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        format!("{name:?} is none of {}", names.join(", "))
    })
}

/// Plays one program, and prints its findings.
fn replay(name: &str, hex: &str) -> Result<bool, String> {
    let program = Program::of_hex(hex).ok_or("the program is not in hexadecimal")?;
    let findings = play_of(name)?(&program);
    for finding in &findings {
        println!("{finding}");
    }
    Ok(findings.is_empty())
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

/// Plays programs one after the other, prints the number of each, and ends at the first finding.
fn batch(name: &str, from: &str, to: &str, seed: &str, progress: &str) -> Result<bool, String> {
    let (play, seed) = (play_of(name)?, number(seed)?);
    let file = File::create(progress).map_err(|error| format!("{progress}: {error}"))?;
    let at = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| watch(&at));
        for n in number(from)?..number(to)? {
            file.write_all_at(&n.to_le_bytes(), 0).map_err(|error| error.to_string())?;
            at.fetch_add(1, Ordering::Relaxed);
            let findings = play(&Program::numbered(n, seed));
            if !findings.is_empty() {
                println!("{}", findings.join("\n"));
                std::process::exit(1);
            }
        }
        std::process::exit(0)
    })
}

/// Ends the process if a program does not end.
fn watch(at: &AtomicU64) {
    let (mut last, mut since) = (0, Spent::now("self"));
    loop {
        thread::sleep(Duration::from_millis(100));
        let now = at.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Spent::now("self"));
        } else if since.is_over("self", WORK, TIME_LIMIT) {
            println!("a call waits for ever");
            std::process::exit(1);
        }
    }
}

/// A begin, and the processor time that its process had taken by then.
struct Spent {
    begin: Instant,
    work: Duration,
}

impl Spent {
    fn now(process: &str) -> Self {
        Self { begin: Instant::now(), work: Self::work_of(process) }
    }

    /// Returns whether it has worked, or lasted, for longer than this.
    fn is_over(&self, process: &str, work: Duration, limit: Duration) -> bool {
        let worked = Self::work_of(process).saturating_sub(self.work);
        worked > work || self.begin.elapsed() > limit
    }

    /// Returns the processor time of a process; zero if the system does not tell.
    fn work_of(process: &str) -> Duration {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // The name, in parentheses, may be anything. Behind it: state and ten numbers, then the time in user mode and
        // that in the kernel, in hundredths of a second.
        let numbers = text.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks = numbers.skip(11).take(2).map(|ticks| ticks.parse().unwrap_or(0));
        Duration::from_millis(10 * ticks.sum::<u64>())
    }
}

struct Options {
    programs: u64,
    minutes: u64,
    seed: u64,
    only: String,
}

/// Programs `from..to` of a kind of map.
struct Range {
    name: &'static str,
    from: u64,
    to: u64,
}

impl Options {
    fn read(words: &[&str]) -> Result<Self, String> {
        let mut options = Self { programs: 1000, minutes: 0, seed: 0, only: String::new() };
        for pair in words.chunks(2) {
            match pair {
                ["--programs", value] => options.programs = number(value)?,
                ["--minutes", value] => options.minutes = number(value)?,
                ["--seed", value] => options.seed = number(value)?,
                ["--only", value] => (*value).clone_into(&mut options.only),
                other => return Err(format!("{other:?} is no option")),
            }
        }
        Ok(options)
    }

    /// Plays all programs and returns whether none failed.
    fn run(&self) -> Result<bool, String> {
        let names: Vec<&'static str> =
            ALL.iter().map(|(name, _)| *name).filter(|name| name.starts_with(&self.only)).collect();
        if names.is_empty() {
            return Err(format!("no kind of map is called {:?}", self.only));
        }
        let end = Instant::now() + Duration::from_secs(60 * self.minutes);
        let mut ranges = Vec::new();
        let mut from = 0;
        let more = move || {
            let to = (from + BATCH).min(self.programs.max(from));
            let past = from >= self.programs;
            let to = if past { from + BATCH } else { to };
            (past && Instant::now() >= end, std::mem::replace(&mut from, to), to)
        };
        let state = Mutex::new((more, &mut ranges));
        let next = || {
            let mut state = state.lock().expect("no thread panics with it");
            let (more, ranges) = &mut *state;
            if ranges.is_empty() {
                let (over, from, to) = more();
                if over {
                    return None;
                }
                ranges.extend(names.iter().rev().map(|&name| Range { name, from, to }));
            }
            ranges.pop()
        };
        let jobs = thread::available_parallelism().map_or(1, usize::from);
        let folder = env::temp_dir().join(format!("hedgerow-hostile-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let (played, failed) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for job in 0..jobs {
                let (folder, next, played, failed) = (&folder, &next, &played, &failed);
                scope.spawn(move || {
                    let file = folder.join(job.to_string());
                    while let Some(range) = next() {
                        let bad = self.play(&range, &file, failed);
                        played.fetch_add(range.to - range.from, Ordering::Relaxed);
                        if bad && failed.load(Ordering::Relaxed) >= 20 {
                            break;
                        }
                    }
                });
            }
        });
        let _ = fs::remove_dir_all(&folder);
        let (played, failed) = (played.into_inner(), failed.into_inner());
        println!("{played} programs on {} kinds of maps, {failed} failed", names.len());
        Ok(failed == 0)
    }

    /// Plays a range of programs in processes of their own; returns whether one failed.
    fn play(&self, range: &Range, file: &Path, failed: &AtomicU64) -> bool {
        let (mut from, mut bad) = (range.from, false);
        while from < range.to {
            let _ = fs::remove_file(file);
            let words = [from, range.to, self.seed].map(|number| number.to_string());
            let mut child = Command::new(env::current_exe().expect("a program has a path"));
            child.arg("--batch").arg(range.name).args(words).arg(file);
            let output = child.output().expect("the program can be started again");
            if output.status.success() {
                return bad;
            }
            bad = true;
            let at = fs::read(file).ok().and_then(|bytes| bytes.try_into().ok());
            let Some(at) = at.map(u64::from_le_bytes) else {
                println!("{}: {}", range.name, String::from_utf8_lossy(&output.stderr));
                failed.fetch_add(1, Ordering::Relaxed);
                return true;
            };
            self.report(range.name, at, &output.stdout, file);
            from = at + 1;
            // The findings of a range mostly have one cause.
            if failed.fetch_add(1, Ordering::Relaxed) >= 3 {
                return true;
            }
        }
        bad
    }

    /// Shortens a program that failed, and prints it.
    fn report(&self, name: &str, number: u64, said: &[u8], file: &Path) {
        let program = Program::numbered(number, self.seed);
        let end = Instant::now() + Duration::from_secs(120);
        let short = minimize(program, 400, |program| {
            // Threads meet by chance.
            Instant::now() < end && (0..5).any(|_| fails(name, program))
        });
        let said = String::from_utf8_lossy(said);
        println!("{name}, program {number} of seed {}: {}", self.seed, said.trim());
        println!("    --replay {name} {}", short.hex());
        let path: PathBuf = file.with_extension("last");
        let _ = fs::write(path, short.bytes());
    }
}

/// Whether a program fails in a process of its own.
fn fails(name: &str, program: &Program) -> bool {
    let mut child = Command::new(env::current_exe().expect("a program has a path"));
    child.args(["--replay", name, &program.hex()]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child: Child = child.spawn().expect("the program can be started again");
    let process = child.id().to_string();
    let begin = Spent::now(&process);
    loop {
        if let Some(status) = child.try_wait().expect("it is a child of this process") {
            return !status.success();
        }
        if begin.is_over(&process, WORK / 4, TIME_LIMIT / 4) {
            let _ = child.kill();
            let _ = child.wait();
            return true;
        }
        thread::sleep(Duration::from_millis(2));
    }
}
