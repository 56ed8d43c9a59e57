//! Work without an end, cut where the clock is looked at.

use crate::clock::{Account, Barrier, Stretch, cost, now};

/// The kind of a lap.
#[derive(Clone, Copy, Default)]
pub struct Lap {
    /// How many operations.
    pub ops: u64,
    /// Nanoseconds that two parts of them took, where somebody times them.
    pub parts: [u64; 2],
}

/// How long threads run.
#[derive(Clone, Copy)]
pub struct Span {
    /// Nanoseconds before the clock counts.
    pub warm: u64,
    /// Nanoseconds after that, at least.
    pub span: u64,
}

/// Nanoseconds after which a stretch ends: a small part of the scheduler's time
/// slice, so that most stretches are not interrupted.
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
    let counted = |thread, place| Lap { ops: lap(thread, place), parts: [0; 2] };
    let (lanes, ops): (Vec<_>, Vec<u64>) = lanes(span, places, &counted).into_iter().unzip();
    (cost(&lanes), ops.iter().sum())
}

/// The same, with each thread's stretches and all its operations.
pub fn lanes(
    span: Span,
    places: &mut [usize],
    lap: &(impl Fn(usize, usize) -> Lap + Sync),
) -> Vec<(Vec<Stretch>, u64)> {
    let barrier = &Barrier::new(places.len());
    std::thread::scope(|scope| {
        let start = |(thread, place)| scope.spawn(move || walk(span, thread, place, barrier, lap));
        let threads: Vec<_> = places.iter_mut().enumerate().map(start).collect();
        threads.into_iter().map(|t| t.join().expect("threads do not panic")).collect()
    })
}

/// One thread's part.
fn walk(
    span: Span,
    thread: usize,
    place: &mut usize,
    go: &Barrier,
    lap: &impl Fn(usize, usize) -> Lap,
) -> (Vec<Stretch>, u64) {
    let account = Account::open();
    let mut until = |deadline| {
        let mut done = Lap::default();
        while done.ops == 0 || now() < deadline {
            let Lap { ops, parts } = lap(thread, *place);
            done.ops += ops;
            done.parts = [0, 1].map(|part| done.parts[part] + parts[part]);
            *place += 1;
        }
        done
    };
    let mut all = until(now() + span.warm).ops;
    let mut stretches = Vec::new();
    go.wait();
    let begin = now();
    let mut before = account.waited();
    let mut start = now();
    while start < begin + span.span {
        let Lap { ops, parts } = until(start + STRETCH);
        all += ops;
        let end = now();
        let waited = account.waited();
        stretches.push(Stretch { start, end, waited: waited - before, ops, parts });
        before = waited;
        start = now();
    }
    (stretches, all)
}
