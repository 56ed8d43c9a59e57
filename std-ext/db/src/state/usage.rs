//! How the use of a key is recorded for eviction and `OBJECT`: when it was last used, or how often.
//!
//! A record has 32 bits for this. As in Redis, the eviction policy decides what they mean, so after a change of the
//! policy they are wrong until the keys were used again:
//!
//! ```text
//! most policies: seconds 32                136 years
//! LFU:           minutes 24 | counter 8    31 years
//! ```
//!
//! The counter grows with the logarithm of the number of uses: the higher it is, the less likely a use increments it
//! (R. Morris, "Counting Large Numbers of Events in Small Registers", 1978). It decays by one each `lfu-decay-time`
//! minutes. A counter of 255 stands for about a million uses at the default `lfu-log-factor`, as in Redis.

use crate::options::Eviction;
use crate::request::Usage;
use crate::state::limit::MemoryLimit;
use crate::state::random::Random;
use crate::state::record::Record;
use std::cell::RefCell;

/// Milliseconds in the units of both kinds of time.
const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
/// The counter of a new key, as in Redis: so that it is not evicted before its first use.
const INITIAL_COUNTER: u8 = 5;
const COUNTER_BITS: u32 = 8;
const MINUTE_MASK: u32 = u32::MAX >> COUNTER_BITS;

thread_local! {
    static RANDOM: RefCell<Random> = RefCell::new(Random::new());
}

/// The present time, and the policy, which decides whether it is recorded.
#[derive(Clone, Copy)]
pub(crate) struct UsageClock<'a> {
    pub(crate) now: u64,
    pub(crate) limit: &'a MemoryLimit,
}

impl UsageClock<'_> {
    /// Records that a key is used.
    #[inline]
    pub(crate) fn touch(self, record: Record) {
        record.set_usage(if self.limit.counts_uses() {
            self.counted(record)
        } else {
            self.seconds()
        });
    }

    /// Returns what is recorded of a key that is written. `before` is the record whose value it continues.
    #[inline]
    pub(crate) fn of_written(self, before: Option<Record>) -> u32 {
        if !self.limit.counts_uses() {
            return self.seconds();
        }
        let alive = before.filter(|record| !record.is_expired(self.now));
        alive.map_or_else(|| self.word(INITIAL_COUNTER), |record| self.counted(record))
    }

    /// Returns what is recorded of a key that is restored from a dump. `usage` is ignored if the policy records the
    /// other kind.
    pub(crate) fn of_restored(self, usage: Option<Usage>) -> u32 {
        match (usage, self.limit.counts_uses()) {
            (Some(Usage::Frequency(counter)), true) => self.word(counter),
            (Some(Usage::IdleSeconds(seconds)), false) => {
                self.seconds().wrapping_sub(u32::try_from(seconds).unwrap_or(u32::MAX))
            }
            _ => self.of_written(None),
        }
    }

    /// Returns the seconds since a key was last used, unless the policy counts uses.
    pub(crate) fn idle_seconds(self, record: Record) -> Option<u64> {
        (!self.limit.counts_uses()).then(|| self.seconds().wrapping_sub(record.usage()).into())
    }

    /// Returns the logarithmic counter of a key's uses, if the policy counts them.
    pub(crate) fn frequency(self, record: Record) -> Option<u8> {
        self.limit.counts_uses().then(|| self.decayed(record.usage()))
    }

    /// Returns how much a record is worth keeping. The key with the lowest value is evicted.
    pub(crate) fn priority(self, record: Record, policy: Eviction) -> u64 {
        let idle = || u64::from(self.seconds().wrapping_sub(record.usage()));
        match policy {
            Eviction::Lru | Eviction::VolatileLru => u64::MAX - idle(),
            Eviction::Lfu | Eviction::VolatileLfu => {
                // Of keys that are used equally often, the one that was used last stays.
                let word = record.usage();
                let recent = MINUTE_MASK - self.minutes_since(word);
                u64::from(self.decayed(word)) << u32::BITS | u64::from(recent)
            }
            Eviction::VolatileTtl => record.expires_at().unwrap_or(u64::MAX),
            Eviction::Never | Eviction::Random | Eviction::VolatileRandom => 0,
        }
    }

    fn seconds(self) -> u32 {
        (self.now / SECOND) as u32
    }

    /// Returns the word of a key that is used now, with this counter.
    fn word(self, counter: u8) -> u32 {
        ((self.now / MINUTE) as u32) << COUNTER_BITS | u32::from(counter)
    }

    /// Returns the minutes since a key's counter was updated.
    fn minutes_since(self, word: u32) -> u32 {
        ((self.now / MINUTE) as u32).wrapping_sub(word >> COUNTER_BITS) & MINUTE_MASK
    }

    /// Returns the counter of a key now, if it is not used.
    fn decayed(self, word: u32) -> u8 {
        let periods =
            self.minutes_since(word).checked_div(self.limit.lfu_decay_time()).unwrap_or(0);
        (word as u8).saturating_sub(u8::try_from(periods).unwrap_or(u8::MAX))
    }

    /// Returns the word of a key after one more use.
    ///
    /// Uses at the same time may count as one, because no thread waits for another. A counter that grows with the
    /// logarithm hardly changes by that.
    #[inline(never)]
    fn counted(self, record: Record) -> u32 {
        let counter = self.decayed(record.usage());
        let above = u64::from(counter.saturating_sub(INITIAL_COUNTER));
        let one_of = above * u64::from(self.limit.lfu_log_factor()) + 1;
        // A small number of 64 random bits: the remainder is as good as uniform.
        let increments = RANDOM.with_borrow_mut(Random::next).is_multiple_of(one_of);
        self.word(counter.saturating_add(increments.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::state::record::Value;

    const DAY: u64 = 24 * 60 * MINUTE;

    fn limit(eviction: Eviction) -> MemoryLimit {
        MemoryLimit::new(&Options { eviction, ..Options::in_memory() })
    }

    fn clock(limit: &MemoryLimit, now: u64) -> UsageClock<'_> {
        UsageClock { now, limit }
    }

    /// Calls `test` with a record that was written at `now`.
    fn with_record(at: UsageClock<'_>, test: impl FnOnce(Record)) {
        let record = Record::new(b"k", Value::Inline(b"v"), Some(u64::MAX), at.of_written(None));
        test(record);
        // SAFETY: `test` has returned, and no other pointer to the record is used.
        unsafe { record.free() };
    }

    fn restore(at: UsageClock<'_>, record: Record, usage: Usage) {
        record.set_usage(at.of_restored(Some(usage)));
    }

    #[test]
    fn access_times_of_days_and_months_differ() {
        let limit = limit(Eviction::Lru);
        let now = 1_800_000_000_000;
        with_record(clock(&limit, now), |record| {
            for days in [1, 3, 4, 30, 365] {
                let idle = clock(&limit, now + days * DAY).idle_seconds(record);
                let what = "the age of a key that was not used for";
                assert_eq!(idle, Some(days * DAY / SECOND), "{what} {days} days");
            }
            clock(&limit, now + DAY).touch(record);
            assert_eq!(clock(&limit, now + DAY + 7000).idle_seconds(record), Some(7));
            assert_eq!(clock(&limit, now).frequency(record), None);
        });
    }

    /// The figures are those of the comments in redis.conf. The seed is fixed, because counters are estimates: of
    /// some hundred seeds one ends outside these ranges.
    #[test]
    fn counters_grow_with_the_logarithm_of_the_uses() {
        RANDOM.set(Random::of_seed(1));
        for (factor, uses, expected) in [
            (0, 100, 105..=105),
            (0, 1000, 255..=255),
            (10, 100, 7..=15),
            (10, 1000, 13..=24),
            (10, 100_000, 125..=160),
            (100, 1000, 7..=16),
            (u32::MAX, 1000, 6..=7),
        ] {
            let limit = limit(Eviction::Lfu);
            limit.set_lfu_log_factor(factor);
            let now = clock(&limit, 40 * 365 * DAY);
            with_record(now, |record| {
                assert_eq!(now.frequency(record), Some(INITIAL_COUNTER));
                (0..uses).for_each(|_| now.touch(record));
                let counter = now.frequency(record).unwrap();
                assert!(expected.contains(&counter), "{uses} uses at factor {factor}: {counter}");
                assert_eq!(now.idle_seconds(record), None);
            });
        }
    }

    #[test]
    fn counters_decay_while_keys_are_not_used() {
        let limit = limit(Eviction::VolatileLfu);
        let now = 1_800_000_000_000;
        with_record(clock(&limit, now), |record| {
            restore(clock(&limit, now), record, Usage::Frequency(100));
            let after = |minutes| clock(&limit, now + minutes * MINUTE).frequency(record).unwrap();
            assert_eq!([0, 1, 10, 100, 100_000].map(after), [100, 99, 90, 0, 0]);
            limit.set_lfu_decay_time(10);
            assert_eq!([9, 10, 99, 100].map(after), [100, 99, 91, 90]);
            limit.set_lfu_decay_time(0);
            assert_eq!(after(100_000), 100, "a counter decays although `lfu-decay-time` is 0");
        });
    }

    #[test]
    fn a_new_value_continues_the_uses_of_the_old_one() {
        let limit = limit(Eviction::Lfu);
        let at = clock(&limit, 1_800_000_000_000);
        with_record(at, |record| {
            restore(at, record, Usage::Frequency(200));
            assert!([200, 201].contains(&(at.of_written(Some(record)) as u8)));
            let late = clock(&limit, u64::MAX);
            let begins_anew = late.of_written(Some(record)) as u8 == INITIAL_COUNTER;
            assert!(begins_anew, "a key continues the uses of one that has expired");
        });
    }

    #[test]
    fn the_least_used_key_goes_first() {
        let limit = limit(Eviction::Lfu);
        let (now, minute) = (1_800_000_000_000, MINUTE);
        let priority = |counter, minutes_ago: u64| {
            let mut found = 0;
            with_record(clock(&limit, now - minutes_ago * minute), |record| {
                restore(
                    clock(&limit, now - minutes_ago * minute),
                    record,
                    Usage::Frequency(counter),
                );
                found = clock(&limit, now).priority(record, Eviction::Lfu);
            });
            found
        };
        assert!(priority(10, 0) < priority(11, 0));
        assert!(
            priority(10, 5) < priority(10, 1),
            "counters of keys that are not used do not decay"
        );
        assert!(
            priority(0, 9) < priority(0, 8),
            "of equal counters, that of the key that was used last"
        );
    }

    #[test]
    fn dumps_restore_what_the_policy_records() {
        let (by_time, by_count) = (limit(Eviction::Never), limit(Eviction::Lfu));
        let now = 1_800_000_000_000;
        with_record(clock(&by_time, now), |record| {
            restore(clock(&by_time, now), record, Usage::Frequency(77));
            assert_eq!(clock(&by_time, now).idle_seconds(record), Some(0));
            restore(clock(&by_time, now), record, Usage::IdleSeconds(1000));
            assert_eq!(clock(&by_time, now).idle_seconds(record), Some(1000));
        });
        with_record(clock(&by_count, now), |record| {
            restore(clock(&by_count, now), record, Usage::IdleSeconds(1000));
            assert_eq!(clock(&by_count, now).frequency(record), Some(INITIAL_COUNTER));
            restore(clock(&by_count, now), record, Usage::Frequency(77));
            assert_eq!(clock(&by_count, now).frequency(record), Some(77));
        });
    }
}
