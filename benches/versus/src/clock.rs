//! The time of an operation, without the time that a thread waited for a core;
//! and whether threads that should have run together did.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Nanoseconds since this process first asked.
pub fn now() -> u64 {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    EPOCH.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Nanoseconds that [`now`] sees pass between two calls of it with nothing between
/// them: the mean of many but the slowest, since the clock may go by steps.
pub fn own() -> f64 {
    static OWN: OnceLock<f64> = OnceLock::new();
    *OWN.get_or_init(|| {
        let mut gaps = [0; 1000];
        for gap in &mut gaps {
            let start = now();
            *gap = now() - start;
        }
        gaps.sort_unstable();
        let usual = &gaps[..gaps.len() / 100 * 95];
        usual.iter().sum::<u64>() as f64 / usual.len() as f64
    })
}

/// Nanoseconds that the calling thread has had a core.
pub fn cpu() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec of our own, and the clock exists on Linux.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "no thread clock");
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// The scheduler's account of the thread that opened it.
///
/// Thread CPU time alone would not do: it leaves out the time that a thread
/// sleeps in a lock, which is the rival's cost. The time that it was ready and
/// had no core is somebody else's, and only the scheduler knows it.
pub struct Account(Option<File>);

impl Account {
    /// Opens the calling thread's account; where the kernel keeps none, it says
    /// that the thread never waited.
    pub fn open() -> Self {
        Self(File::open("/proc/thread-self/schedstat").ok())
    }

    /// Nanoseconds that the thread was ready to run and had no core.
    pub fn waited(&self) -> u64 {
        let mut text = [0; 64];
        let length = self.0.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
        let field = text[..length].split(|&b| b == b' ').nth(1);
        field.and_then(|f| str::from_utf8(f).ok()).and_then(|f| f.parse().ok()).unwrap_or(0)
    }
}

/// A piece of one thread's work in a round.
#[derive(Clone, Copy, Default)]
pub struct Stretch {
    /// When it began, on [`now`]'s clock.
    pub start: u64,
    /// When it ended.
    pub end: u64,
    /// How long of that the thread was ready and had no core.
    pub waited: u64,
    /// Operations done in it.
    pub ops: u64,
    /// Nanoseconds of it that two parts of each operation took, where somebody
    /// times them.
    pub parts: [u64; 2],
}

impl Stretch {
    fn length(&self) -> u64 {
        self.end - self.start
    }

    fn spent(&self) -> u64 {
        self.length() - self.waited.min(self.length())
    }

    /// Whether the thread had a core nearly all the time. Besides the time, one
    /// that had not has lost what it had in the caches.
    fn clean(&self) -> bool {
        self.waited * 20 <= self.length()
    }
}

/// Stretches count where the other thread had a core for this part of them.
const TOGETHER: f64 = 0.9;

/// A round counts if this part of it does. Less than all of it is enough: on a
/// busy machine the scheduler parts the threads every few milliseconds, and the
/// stretches between are sound.
const ENOUGH: f64 = 0.2;

/// Nanoseconds an operation cost the thread that did it, from the stretches of
/// each thread of one round; none if the threads hardly ran together.
pub fn cost(lanes: &[Vec<Stretch>]) -> Option<f64> {
    Some(each(&sound(lanes)?.concat()))
}

/// Nanoseconds an operation of these stretches.
pub fn each(stretches: &[Stretch]) -> f64 {
    let spent: u64 = stretches.iter().map(Stretch::spent).sum();
    let ops: u64 = stretches.iter().map(|s| s.ops).sum();
    spent as f64 / ops as f64
}

/// The same of the two parts that were timed.
pub fn parts(stretches: &[Stretch]) -> [f64; 2] {
    let ops: u64 = stretches.iter().map(|s| s.ops).sum();
    [0, 1].map(|part| {
        // Nobody knows in which part a thread waited: each bears its share.
        let had = |s: &Stretch| s.spent() as f64 / s.length() as f64;
        let spent: f64 = stretches.iter().map(|s| s.parts[part] as f64 * had(s)).sum();
        spent / ops as f64
    })
}

/// The stretches of each thread that count; none if the threads hardly ran
/// together.
///
/// If all stretches counted, locks would look too good: while one thread has no
/// core, the other has the lock to itself.
pub fn sound(lanes: &[Vec<Stretch>]) -> Option<Vec<Vec<Stretch>>> {
    let whole: u64 = lanes.iter().flatten().map(Stretch::length).sum();
    let clean = lanes.iter().map(|lane| lane.iter().filter(|s| s.clean()).copied().collect());
    let clean: Vec<Vec<Stretch>> = clean.collect();
    let mut good = match clean.as_slice() {
        [alone] => vec![alone.clone()],
        [one, two] => vec![together(one, two), together(two, one)],
        _ => unreachable!("there are one or two threads"),
    };
    let counted: u64 = good.iter().flatten().map(Stretch::length).sum();
    if (counted as f64) < whole as f64 * ENOUGH {
        if lanes.len() > 1 {
            return None;
        }
        // Long stretches are never clean on a busy machine. For one thread it
        // will do to take out the time that it waited.
        good = lanes.to_vec();
    }
    Some(good)
}

/// Those of `lane`'s stretches that `other`'s cover.
fn together(lane: &[Stretch], other: &[Stretch]) -> Vec<Stretch> {
    let mut first = 0;
    let covered = |s: &&Stretch| {
        first += other[first..].iter().take_while(|o| o.end <= s.start).count();
        let meeting = other[first..].iter().take_while(|o| o.start < s.end);
        let common: u64 = meeting.map(|o| o.end.min(s.end) - o.start.max(s.start)).sum();
        common as f64 >= s.length() as f64 * TOGETHER
    };
    lane.iter().filter(covered).copied().collect()
}

/// Lets threads go on together, within nanoseconds of each other.
///
/// It spins: a thread woken by the kernel would start microseconds late, and a
/// thousand-key map is full by then.
pub struct Barrier {
    threads: usize,
    arrived: AtomicUsize,
}

impl Barrier {
    /// For this many threads, any number of times.
    pub fn new(threads: usize) -> Self {
        Self { threads, arrived: AtomicUsize::new(0) }
    }

    /// Waits until every thread has called it as often as this one.
    pub fn wait(&self) {
        let ticket = self.arrived.fetch_add(1, Ordering::AcqRel);
        let full = (ticket / self.threads + 1) * self.threads;
        let mut spins = 0_u32;
        while self.arrived.load(Ordering::Acquire) < full {
            spins += 1;
            if spins.is_multiple_of(10_000) {
                std::thread::yield_now();
            }
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Stretch, cost, parts};

    fn stretch(start: u64, end: u64, waited: u64, ops: u64) -> Stretch {
        Stretch { start, end, waited, ops, parts: [ops; 2] }
    }

    #[test]
    fn only_what_both_threads_ran_counts() {
        // The second thread has no core from 100 to 200; the first one is fast
        // meanwhile, which must not show.
        let one = vec![stretch(0, 100, 0, 10), stretch(100, 200, 0, 100), stretch(200, 300, 0, 10)];
        let two = vec![stretch(0, 98, 0, 10), stretch(98, 205, 100, 1), stretch(205, 300, 0, 10)];
        assert_eq!(cost(&[one, two]).map(f64::round), Some(10.0));
    }

    #[test]
    fn threads_that_never_meet_have_no_figure() {
        assert_eq!(cost(&[vec![stretch(0, 100, 0, 9)], vec![stretch(100, 200, 0, 9)]]), None);
    }

    #[test]
    fn one_thread_is_not_charged_for_waiting() {
        let waiting = [stretch(0, 400, 300, 10)];
        assert_eq!(cost(&[waiting.to_vec()]), Some(10.0));
        assert_eq!(parts(&waiting).map(|ns| (ns * 100.0) as i64), [25; 2]);
    }
}
