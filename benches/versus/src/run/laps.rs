//! Work without an end, cut where the clock is looked at.

use crate::clock::{Account, Barrier, Stretch, cost, now};

/// How long threads run.
#[derive(Clone, Copy)]
pub struct Span {
    /// Nanoseconds before the clock counts.
    pub warm: u64,
    /// Nanoseconds after that, at least.
    pub span: u64,
}

/// Nanoseconds after which a stretch ends: a small part of what the scheduler
/// gives at once, so that most stretches are not interrupted.
const STRETCH: u64 = 500_000;

/// Runs `lap` over and over on a thread for each of `places`, which count laps
/// from where they stand; nanoseconds an operation, if the threads ran together,
/// and all operations, those before the clock counted too.
///
/// A lap is given its thread and its number, and says how many operations it was.
pub fn laps(
    span: Span,
    places: &mut [usize],
    lap: &(impl Fn(usize, usize) -> u64 + Sync),
) -> (Option<f64>, u64) {
    let barrier = &Barrier::new(places.len());
    let lanes: Vec<_> = std::thread::scope(|scope| {
        let start = |(thread, place)| scope.spawn(move || walk(span, thread, place, barrier, lap));
        let threads: Vec<_> = places.iter_mut().enumerate().map(start).collect();
        threads.into_iter().map(|t| t.join().expect("threads do not panic")).collect()
    });
    let (lanes, ops): (Vec<_>, Vec<u64>) = lanes.into_iter().unzip();
    (cost(&lanes), ops.iter().sum())
}

/// One thread's part.
fn walk(
    span: Span,
    thread: usize,
    place: &mut usize,
    go: &Barrier,
    lap: &impl Fn(usize, usize) -> u64,
) -> (Vec<Stretch>, u64) {
    let account = Account::open();
    let mut until = |deadline| {
        let mut ops = 0;
        while ops == 0 || now() < deadline {
            ops += lap(thread, *place);
            *place += 1;
        }
        ops
    };
    let mut all = until(now() + span.warm);
    let mut stretches = Vec::new();
    go.wait();
    let begin = now();
    let mut before = account.waited();
    let mut start = now();
    while start < begin + span.span {
        let ops = until(start + STRETCH);
        all += ops;
        let end = now();
        let waited = account.waited();
        stretches.push(Stretch { start, end, waited: waited - before, ops });
        before = waited;
        start = now();
    }
    (stretches, all)
}
