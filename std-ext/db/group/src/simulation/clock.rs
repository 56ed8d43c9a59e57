//! The clocks of a simulated machine.

use super::random::Random;

/// The year 2026, in milliseconds since 1970.
const WALL: u64 = 1_767_225_600_000;

/// A machine's clocks: their rate, their offset, and how long the machine was stopped together with them.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// Thousandths of the true rate.
    rate: u64,
    boot: u64,
    wall: u64,
    /// True milliseconds that the clocks did not count.
    stopped: u64,
}

impl Clock {
    /// Makes the clocks of a machine: within 10 % of the true rate, and up to `skew` milliseconds apart.
    pub(super) fn new(random: &mut Random, skew: u64) -> Self {
        Self {
            rate: random.between(905, 1096),
            boot: random.between(1_000, 1_000_000),
            wall: WALL + random.below(skew + 1),
            stopped: 0,
        }
    }

    fn counted(&self, now: u64) -> u64 {
        now.saturating_sub(self.stopped) * self.rate / 1000
    }

    pub(super) fn boot(&self, now: u64) -> u64 {
        self.boot + self.counted(now)
    }

    pub(super) fn wall(&self, now: u64) -> u64 {
        self.wall + self.counted(now)
    }

    /// Returns the true time at which the boot clock reaches `boot`.
    pub(super) fn when(&self, boot: u64) -> u64 {
        (boot.saturating_sub(self.boot).min(1 << 40) * 1000).div_ceil(self.rate) + self.stopped
    }

    /// The wall clock is set.
    pub(super) fn jump(&mut self, by: i64) {
        self.wall = self.wall.saturating_add_signed(by);
    }

    /// The machine was stopped together with its clocks.
    pub(super) fn stop(&mut self, milliseconds: u64) {
        self.stopped += milliseconds;
    }
}

#[test]
fn a_clock_reaches_what_is_due_when_it_says() {
    let mut random = Random::new(7, 0);
    for _ in 0..1000 {
        let mut clock = Clock::new(&mut random, 8000);
        clock.stop(random.below(50));
        let due = clock.boot(100) + random.below(10_000);
        let when = clock.when(due);
        assert!(clock.boot(when) >= due && clock.boot(when - 1) < due, "{clock:?} {due} {when}");
    }
}
