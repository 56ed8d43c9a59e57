//! The number of event loops that serve clients: as few as can do the work.
//!
//! A loop that has all the work finds several events whenever it polls. Two loops that share the work find fewer
//! each, so they poll more often, and wait and are woken more often: at one request at a time, that costs half again
//! as much processor time for each request. So the server begins with one active loop. A loop that has no time left
//! activates another one and gives it clients. When the work would fit into fewer loops, the last active one retires
//! and gives its clients away.
//!
//! All decisions go by the time that loops spend waiting for events, over periods of time. A loop is full at [`FULL`],
//! and one retires only if the others would be loaded to [`QUIET`] at most with its work. So no steady load both
//! activates and retires a loop. A load that comes and goes does so more and more seldom ([`LoopChange::quiet`]).
//!
//! If one command occupies an active loop for very long, another loop serves new connections: see
//! `worker/work_stealing.rs`.

use hedgerow_db_engine::gauge::Gauge;
use hedgerow_db_engine::lock::lock;
use std::sync::Mutex;
use std::time::Duration;

/// How long a loop measures its load before it decides.
pub(super) const WINDOW: Duration = Duration::from_millis(20);
/// A thread that waits is put to sleep and woken, which takes longer than this.
const SHORTEST_WAIT: Duration = Duration::from_micros(3);
/// How long the work must have been little before a loop retires, at least and at most.
const SHORTEST_QUIET: Duration = Duration::from_secs(1);
const LONGEST_QUIET: Duration = Duration::from_secs(64);
/// Windows in which a loop must have been full before it activates another.
const FULL_WINDOWS: u32 = 2;
/// The share of its time that a full loop works, in percent.
const FULL: u64 = 90;
/// The share of their time that the remaining loops may work after one has retired, in percent.
const QUIET: u64 = 50;

/// How often a worker looks whether other loops are occupied.
const LOOK: Duration = Duration::from_secs(1);
/// The same while another loop is occupied and the worker serves its connections. Nobody who stops a command notices a
/// delay of this length.
const LOOK_SOON: Duration = Duration::from_millis(20);

/// The state of the other loops when a worker last looked at them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OtherEventLoops {
    /// All of them go on.
    Free,
    /// At least one is occupied.
    Occupied,
}

impl OtherEventLoops {
    /// Returns how long the worker waits until it looks again.
    pub(super) fn pause(self) -> Duration {
        match self {
            Self::Free => LOOK,
            Self::Occupied => LOOK_SOON,
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos() as u64
}

/// The time that a loop has spent waiting for events, in nanoseconds, for any thread to read.
///
/// One word tells the time up to the last wait and whether the loop waits now, so a reader never counts a wait twice.
/// Its last bit says whether the loop waits. The others are the sum of all waits, or, while it waits, the time at
/// which it would have begun to wait if it had waited only once.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct IdleTime(Gauge);

impl IdleTime {
    /// Returns the sum of all waits until `now`.
    pub(super) fn until(&self, now: u64) -> u64 {
        let word = self.0.get();
        if word & 1 == 1 { now.saturating_sub(word >> 1) } else { word >> 1 }
    }

    /// Returns whether the loop waits now.
    pub(super) fn is_waiting(&self) -> bool {
        self.0.get() & 1 == 1
    }

    /// Notes that the loop waits from `now` on. Only the loop calls this.
    pub(super) fn begin_wait(&self, now: u64) {
        self.0.set(now.saturating_sub(self.until(now)) << 1 | 1);
    }

    /// Notes that the loop has waited from `began` until `now`. Only the loop calls this.
    pub(super) fn end_wait(&self, began: u64, now: u64) {
        // A loop that found events at once has not waited. A full loop with few clients asks often.
        let waited = now.saturating_sub(began) > nanoseconds(SHORTEST_WAIT);
        self.0.set(self.until(if waited { now } else { began }) << 1);
    }
}

/// The number of active loops: those with the lowest numbers.
#[derive(Debug)]
pub(super) struct EventLoops {
    active: Gauge,
    /// The number of threads.
    most: usize,
    change: Mutex<LoopChange>,
    /// Each client moves to the next loop whenever it is served.
    #[cfg(test)]
    pub(super) restless: Gauge,
    /// The number stays as a test has set it: on a busy machine, a loop could retire before the test has begun.
    #[cfg(test)]
    pinned: Gauge,
}

/// The last changes of the number.
#[derive(Debug)]
struct LoopChange {
    /// When a loop was last activated or retired.
    at: u64,
    /// When a loop last retired.
    retired: Option<u64>,
    /// How long the work must have been little before a loop retires. It doubles when a loop is missed soon after it
    /// has retired, so a load that comes and goes does not move clients all the time.
    quiet: u64,
}

impl EventLoops {
    pub(super) fn new(most: usize) -> Self {
        let change = LoopChange { at: 0, retired: None, quiet: nanoseconds(SHORTEST_QUIET) };
        Self {
            active: Gauge::new(1),
            most,
            change: Mutex::new(change),
            #[cfg(test)]
            restless: Gauge::default(),
            #[cfg(test)]
            pinned: Gauge::default(),
        }
    }

    pub(super) fn active(&self) -> usize {
        self.active.get() as usize
    }

    /// Activates a loop, unless all are active or one was activated or retired just now.
    pub(super) fn activate(&self, now: u64) {
        let active = self.active();
        let mut change = lock(&self.change);
        // The last change must show in a whole window before the next one.
        let may_change = now.saturating_sub(change.at) >= nanoseconds(WINDOW) * 2;
        // Another loop may have activated one meanwhile.
        if active == self.most || active != self.active() || !may_change {
            return;
        }
        let soon = |at| now.saturating_sub(at) < nanoseconds(LONGEST_QUIET);
        let soon = change.retired.is_some_and(soon);
        // Missed soon after it has retired: the load comes and goes.
        let quiet = if soon { change.quiet * 2 } else { nanoseconds(SHORTEST_QUIET) };
        change.quiet = quiet.min(nanoseconds(LONGEST_QUIET));
        change.at = now;
        self.active.set(active as u64 + 1);
    }

    /// Retires the last active loop, if the work of all active loops would fit into one fewer. `worked` is the time
    /// that each has worked in a period of time that ends `now`. The last active loop calls this.
    pub(super) fn retire(&self, now: u64, period: u64, worked: &[u64]) {
        #[cfg(test)]
        if self.pinned.get() == 1 {
            return;
        }
        let active = self.active();
        let mut change = lock(&self.change);
        let quiet = now.saturating_sub(change.at) >= change.quiet && period >= change.quiet;
        // Measurements of another number of loops say nothing about this one.
        if active == 1 || active != worked.len() || active != self.active() || !quiet {
            return;
        }
        let fits = worked.iter().sum::<u64>() * 100 <= period * QUIET * (active as u64 - 1);
        // A full loop stays so if it gets more clients.
        if fits && worked.iter().all(|&worked| worked * 100 < period * FULL) {
            (change.at, change.retired) = (now, Some(now));
            self.active.set(active as u64 - 1);
        }
    }

    /// Returns how long the work must be little before a loop retires.
    pub(super) fn quiet(&self) -> u64 {
        lock(&self.change).quiet
    }

    /// Sets the number of active loops, which stays until [`unpin`](Self::unpin).
    #[cfg(test)]
    pub(super) fn pin(&self, active: usize) {
        self.pinned.set(1);
        self.set_active(active);
    }

    /// Lets loops retire again.
    #[cfg(test)]
    pub(super) fn unpin(&self) {
        self.pinned.set(0);
    }

    /// Sets the number of active loops.
    #[cfg(test)]
    pub(super) fn set_active(&self, active: usize) {
        self.active.set(active as u64);
    }
}

/// Why and where a worker gives clients away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moving {
    /// It keeps its clients.
    No,
    /// It gives this many to a worker.
    Some { to: usize, left: usize },
    /// Its loop is retired: it gives all away.
    All,
}

/// A loop's measurements of itself.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// The number of this window. A client that has another one was not served in it.
    window: u64,
    began: u64,
    /// The time that the loop had waited when the window began.
    idle: u64,
    /// Clients served in this window.
    served: u64,
    /// Consecutive windows in which the loop was full, up to the last one.
    full: u32,
    /// When the last active loop began to measure the work of all, and the time that each had waited then.
    review: Option<(u64, Vec<u64>)>,
}

impl Meter {
    /// Counts a client that is served. `last` is the window in which it was served last.
    #[inline]
    pub(super) fn note_served(&mut self, last: &mut u64) {
        if *last != self.window {
            *last = self.window;
            self.served += 1;
        }
    }

    /// Returns whether the window is over.
    #[inline]
    pub(super) fn is_over(&self, now: u64) -> bool {
        now.saturating_sub(self.began) >= nanoseconds(WINDOW)
    }

    /// Begins a new window. Returns the number of clients served in the last one, and whether the loop is full.
    pub(super) fn end_window(&mut self, now: u64, idle: u64) -> (u64, bool) {
        let waited = idle.saturating_sub(self.idle);
        // By the time waited, not by the time worked: a loop that the system does not let run is as full as one that
        // works.
        let is_full = waited * 100 <= (now - self.began) * (100 - FULL);
        self.full = if is_full { self.full + 1 } else { 0 };
        let served = std::mem::take(&mut self.served);
        (self.began, self.idle, self.window) = (now, idle, self.window + 1);
        (served, self.full >= FULL_WINDOWS)
    }

    /// Begins to count full windows anew.
    pub(super) fn restart(&mut self) {
        self.full = 0;
    }

    /// Measures the work of the active loops over a period of at least `quiet`. At its end, returns its length and the
    /// time that each has worked. `idle` are the times that each has waited.
    pub(super) fn review(
        &mut self,
        now: u64,
        quiet: u64,
        idle: Vec<u64>,
    ) -> Option<(u64, Vec<u64>)> {
        let (since, before) = match &self.review {
            // A loop joined or retired meanwhile, so the period begins again.
            Some((since, before)) if before.len() == idle.len() => (*since, before),
            _ => {
                self.review = Some((now, idle));
                return None;
            }
        };
        let period = now.saturating_sub(since);
        if period < quiet {
            return None;
        }
        let waited = idle.iter().zip(before).map(|(now, before)| now.saturating_sub(*before));
        let worked = waited.map(|waited| period.saturating_sub(waited)).collect();
        self.review = Some((now, idle));
        Some((period, worked))
    }

    /// Forgets the measurement of all loops' work: this is not the last active loop.
    pub(super) fn end_review(&mut self) {
        self.review = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_engine::effort::rounds;

    const SECOND: u64 = 1_000_000_000;
    const MOST: usize = 8;

    /// A server whose loops share the load evenly, in steps of a window. The load is in thousandths of a loop that
    /// works all the time, and each further loop makes the work dearer by `dearer` thousandths.
    struct Server {
        event_loops: EventLoops,
        meters: Vec<Meter>,
        idle: Vec<u64>,
        now: u64,
        changes: Vec<u64>,
    }

    impl Server {
        fn new() -> Self {
            let meters = (0..MOST).map(|_| Meter::default()).collect();
            let idle = vec![0; MOST];
            Self { event_loops: EventLoops::new(MOST), meters, idle, now: 0, changes: Vec::new() }
        }

        fn step(&mut self, load: u64, dearer: u64) {
            let (before, step) = (self.event_loops.active(), nanoseconds(WINDOW));
            self.now += step;
            let load = load * (1000 + (dearer * (before as u64 - 1)).min(600)) / 1000;
            for number in 0..MOST {
                let share = if number < before { (load / before as u64).min(1000) } else { 0 };
                self.idle[number] += step * (1000 - share) / 1000;
            }
            for number in 0..before {
                let (_, full) = self.meters[number].end_window(self.now, self.idle[number]);
                if full {
                    self.event_loops.activate(self.now);
                }
            }
            let last = before - 1;
            let idle = self.idle[..before].to_vec();
            let review = self.meters[last].review(self.now, self.event_loops.quiet(), idle);
            if let Some((period, worked)) = review {
                self.event_loops.retire(self.now, period, &worked);
            }
            if self.event_loops.active() != before {
                self.changes.push(self.now);
            }
        }

        fn run(&mut self, seconds: u64, dearer: u64, load: impl Fn(u64) -> u64) {
            let end = self.now + seconds * SECOND;
            while self.now < end {
                self.step(load(self.now), dearer);
            }
        }
    }

    #[test]
    fn loops_follow_the_load() {
        let mut server = Server::new();
        server.run(2, 0, |_| 850);
        assert_eq!(server.event_loops.active(), 1, "a loop is activated that is not needed");
        server.run(1, 0, |_| 2000);
        assert_eq!(server.event_loops.active(), 3, "two loops have the work of two full ones");
        server.run(1, 0, |_| 20_000);
        assert_eq!(server.event_loops.active(), MOST);
        server.run(60, 0, |_| 200);
        assert_eq!(server.event_loops.active(), 1, "idle loops do not retire");
    }

    #[test]
    fn no_steady_load_makes_the_number_swing() {
        let step = 9000 / rounds(128, 39) as usize;
        for steady in (0..9000).step_by(step) {
            for dearer in [0, 100, 500] {
                let mut server = Server::new();
                // From below and from above.
                for begin in [0, 20_000] {
                    server.run(30, dearer, |_| begin);
                    server.run(30, dearer, |_| steady);
                    server.changes.clear();
                    server.run(60, dearer, |_| steady);
                    assert_eq!(server.changes, [0_u64; 0], "at {steady}, {dearer}");
                }
            }
        }
    }

    #[test]
    fn a_load_that_comes_and_goes_moves_clients_seldom() {
        for period in [1, 3, 10, 60] {
            let mut server = Server::new();
            let load =
                |now: u64| if (now / (period * SECOND)).is_multiple_of(2) { 1500 } else { 100 };
            server.run(3600, 100, load);
            let last_half = server.changes.iter().filter(|at| **at > 1800 * SECOND).count();
            assert!(last_half <= 70, "{last_half} changes in half an hour, every {period} s");
        }
    }

    #[test]
    fn no_loop_retires_from_beside_a_full_one() {
        let event_loops = EventLoops::new(MOST);
        event_loops.set_active(4);
        let (period, now) = (SECOND, 100 * SECOND);
        event_loops.retire(now, period, &[period, 0, 0, 0]);
        assert_eq!(event_loops.active(), 4);
        event_loops.retire(now, period, &[period / 2, 0, 0, 0]);
        assert_eq!(event_loops.active(), 3);
    }

    #[test]
    fn idle_time_is_the_sum_of_all_waits() {
        let idle = IdleTime::default();
        idle.begin_wait(1_000_000);
        assert_eq!(idle.until(1_500_000), 500_000);
        idle.end_wait(1_000_000, 2_000_000);
        assert_eq!(idle.until(9_000_000), 1_000_000);
        idle.begin_wait(3_000_000);
        assert_eq!(idle.until(3_500_000), 1_500_000);
        idle.end_wait(3_000_000, 4_000_000);
        assert_eq!(idle.until(9_000_000), 2_000_000);
        // Events that are there at once are no wait.
        idle.begin_wait(5_000_000);
        idle.end_wait(5_000_000, 5_000_900);
        assert_eq!(idle.until(9_000_000), 2_000_000);
    }
}
