//! How the use of a key is recorded for eviction and `OBJECT`: when it was last used, or how often.
//!
//! A record has 32 bits for this. The eviction policy decides what is recorded, and the highest bit says which of both
//! it is:
//!
//! ```text
//! most policies: 0 | seconds 31                68 years
//! LFU:           1 | minutes 23 | counter 8    15 years
//! ```
//!
//! Half of these times is the longest that counts: a longer one is that of a clock that was set back, so it is none.
//!
//! After a change of the policy, a key has a word of the other kind until it is used again. Under LFU it then counts as
//! a new key of the time of the change, because a counter of 0 would evict keys that are used often before those that
//! were just written. Under the other policies its last use is known to the minute.
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
/// The bit of a word with a counter.
const COUNTED: u32 = 1 << 31;
const SECOND_MASK: u32 = COUNTED - 1;
const MINUTE_MASK: u32 = SECOND_MASK >> COUNTER_BITS;

thread_local! {
    static RANDOM: RefCell<Random> = RefCell::new(Random::new());
}

/// The present time, and the policy, which decides whether it is recorded.
#[derive(Clone, Copy)]
pub(crate) struct UsageClock<'a> {
    pub now: u64,
    pub limit: &'a MemoryLimit,
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
        // A new key must not inherit the counter of one that had expired.
        let alive = before.filter(|record| !record.is_expired(self.now));
        alive.map_or_else(|| self.word(INITIAL_COUNTER), |record| self.counted(record))
    }

    /// Returns what is recorded of a key that is restored from a dump. `usage` is ignored if the policy records the
    /// other kind.
    pub(crate) fn of_restored(self, usage: Option<Usage>) -> u32 {
        match (usage, self.limit.counts_uses()) {
            (Some(Usage::Frequency(counter)), true) => self.word(counter),
            (Some(Usage::IdleSeconds(seconds)), false) => {
                // More would count as a time in the future, which is none.
                let most = SECOND_MASK / 2;
                let seconds = u32::try_from(seconds).map_or(most, |seconds| seconds.min(most));
                self.seconds().wrapping_sub(seconds) & SECOND_MASK
            }
            _ => self.of_written(None),
        }
    }

    /// Returns the seconds since a key was last used, unless the policy counts uses.
    pub(crate) fn idle_seconds(self, record: Record) -> Option<u64> {
        (!self.limit.counts_uses()).then(|| self.idle(record.usage()).into())
    }

    /// Returns the logarithmic counter of a key's uses, if the policy counts them.
    pub(crate) fn frequency(self, record: Record) -> Option<u8> {
        self.limit.counts_uses().then(|| self.decayed(record.usage()))
    }

    /// Returns how much a record is worth keeping. The key with the lowest value is evicted.
    pub(crate) fn priority(self, record: Record, policy: Eviction) -> u64 {
        match policy {
            Eviction::Lru | Eviction::VolatileLru => {
                u64::MAX - u64::from(self.idle(record.usage()))
            }
            Eviction::Lfu | Eviction::VolatileLfu => {
                // Of keys that are used equally often, the one that was used last stays.
                let word = record.usage();
                let recent = MINUTE_MASK - self.minutes_since(word);
                u64::from(self.decayed(word)) << u32::BITS | u64::from(recent)
            }
            // The sooner it expires, the sooner it goes (`evictionPoolPopulate`).
            Eviction::VolatileTtl => record.expires_at().unwrap_or(u64::MAX),
            Eviction::Never | Eviction::Random | Eviction::VolatileRandom => 0,
        }
    }

    fn seconds(self) -> u32 {
        let seconds: u32 = (self.now / SECOND) as u32;
        seconds & SECOND_MASK
    }

    fn minutes(self) -> u32 {
        (self.now / MINUTE) as u32 & MINUTE_MASK
    }

    /// Returns the word of a key that is used now, with this counter.
    fn word(self, counter: u8) -> u32 {
        COUNTED | self.minutes() << COUNTER_BITS | u32::from(counter)
    }

    /// Returns the milliseconds since the kind of what is recorded has changed.
    fn since_change(self) -> u64 {
        self.now.saturating_sub(self.limit.counts_since())
    }

    /// Returns the seconds since a key was last used.
    fn idle(self, word: u32) -> u32 {
        if word & COUNTED == 0 {
            return elapsed(self.seconds(), word, SECOND_MASK);
        }
        // As if the key was used at the end of its minute, so that a key is not older than it is.
        let minutes = u64::from(self.minutes_since(word));
        let seconds = (minutes * 60 + self.now / SECOND % 60).saturating_sub(59);
        seconds.max(self.since_change() / SECOND).min(SECOND_MASK.into()) as u32
    }

    /// Returns the minutes since a key was last used.
    fn minutes_since(self, word: u32) -> u32 {
        if word & COUNTED == 0 {
            return (self.idle(word) / 60).min(MINUTE_MASK);
        }
        elapsed(self.minutes(), word >> COUNTER_BITS, MINUTE_MASK)
    }

    /// Returns the counter of a key now, if it is not used.
    fn decayed(self, word: u32) -> u8 {
        let (counter, minutes) = if word & COUNTED == 0 {
            let changed = self.limit.counts_since() / MINUTE;
            (INITIAL_COUNTER, (self.now / MINUTE).saturating_sub(changed) as u32)
        } else {
            (word as u8, self.minutes_since(word))
        };
        // A decay time of 0 means never (`LFUDecrAndReturn`).
        let periods = minutes.checked_div(self.limit.lfu_decay_time()).unwrap_or(0);
        counter.saturating_sub(u8::try_from(periods).unwrap_or(u8::MAX))
    }

    /// Returns the word of a key after one more use.
    ///
    /// Uses at the same time may count as one, because no thread waits for another. A counter that grows with the
    /// logarithm hardly changes by that.
    #[inline(never)]
    fn counted(self, record: Record) -> u32 {
        let counter = self.decayed(record.usage());
        let above = u64::from(counter.saturating_sub(INITIAL_COUNTER));
        // The reciprocal of the probability in `LFULogIncr`.
        let one_of = above * u64::from(self.limit.lfu_log_factor()) + 1;
        // A small number of 64 random bits: the remainder is as good as uniform.
        let increments = RANDOM.with_borrow_mut(Random::next).is_multiple_of(one_of);
        self.word(counter.saturating_add(increments.into()))
    }
}

/// Returns the units of time between two times of `mask` bits; 0 if the clock was set back.
fn elapsed(now: u32, then: u32, mask: u32) -> u32 {
    let passed = now.wrapping_sub(then) & mask;
    if passed > mask / 2 { 0 } else { passed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::state::value::Value;
    use crate::state::value::string::StringValue;

    const DAY: u64 = 24 * 60 * MINUTE;

    fn limit(eviction: Eviction) -> MemoryLimit {
        MemoryLimit::new(&Options { eviction, ..Options::in_memory() })
    }

    fn clock(limit: &MemoryLimit, now: u64) -> UsageClock<'_> {
        UsageClock { now, limit }
    }

    /// Calls `test` with a record that was written at `now`.
    fn with_record(at: UsageClock<'_>, test: impl FnOnce(Record)) {
        let record = Record::new(
            b"k",
            Value::String(StringValue::Inline(b"v")),
            Some(u64::MAX),
            at.of_written(None),
        );
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

    /// Redis reads the word of the other kind: hot keys get a counter of 0, and go first.
    #[test]
    fn after_a_change_of_the_policy_counters_begin_as_those_of_new_keys() {
        let limit = limit(Eviction::Lru);
        let (then, now) = (1_800_000_000_000, 1_800_000_000_000 + 10 * DAY);
        with_record(clock(&limit, then), |record| {
            limit.set_eviction(Eviction::Lfu, now);
            let after = |minutes| clock(&limit, now + minutes * MINUTE).frequency(record).unwrap();
            assert_eq!(after(0), INITIAL_COUNTER, "a key has the counter of another policy's word");
            assert_eq!([1, 3, 5, 1000].map(after), [4, 2, 0, 0], "it does not decay");
            with_record(clock(&limit, now), |new| {
                let priority = |of| clock(&limit, now).priority(of, Eviction::Lfu);
                assert!(priority(record) < priority(new), "of equal counters the one used last");
            });
            let used = clock(&limit, now + MINUTE);
            used.touch(record);
            assert!([4, 5].contains(&used.frequency(record).unwrap()));
        });
    }

    #[test]
    fn after_a_change_of_the_policy_keys_are_as_idle_as_they_are() {
        let limit = limit(Eviction::VolatileLfu);
        let then = 1_800_000_000_000;
        with_record(clock(&limit, then + 30 * SECOND), |record| {
            let change = then + 70 * SECOND;
            limit.set_eviction(Eviction::Lru, change);
            let idle = |after| clock(&limit, change + after * SECOND).idle_seconds(record).unwrap();
            assert_eq!(idle(0), 11, "a key has the idle time of another policy's word");
            assert_eq!([5, 60, 3600].map(idle), [16, 71, 3611]);
            // A change between policies of one kind is none.
            limit.set_eviction(Eviction::Never, change + DAY);
            assert_eq!(idle(60), 71);
            with_record(clock(&limit, change), |new| {
                let priority = |of| clock(&limit, change + DAY).priority(of, Eviction::Lru);
                assert!(priority(record) < priority(new), "the key that was used last goes first");
            });
        });
        let limit = MemoryLimit::new(&Options { eviction: Eviction::Lfu, ..Options::in_memory() });
        with_record(clock(&limit, then), |record| {
            limit.set_eviction(Eviction::Lru, then + 2 * SECOND);
            assert_eq!(clock(&limit, then + 2 * SECOND).idle_seconds(record), Some(0));
            assert_eq!(clock(&limit, then + 9 * SECOND).idle_seconds(record), Some(7));
        });
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_key_old() {
        let now = 1_800_000_000_000;
        let by_time = limit(Eviction::Lru);
        with_record(clock(&by_time, now), |record| {
            assert_eq!(clock(&by_time, now - DAY).idle_seconds(record), Some(0));
            restore(clock(&by_time, now), record, Usage::IdleSeconds(u64::MAX));
            let idle = clock(&by_time, now).idle_seconds(record).unwrap();
            assert!(idle > 30 * 365 * DAY / SECOND, "a key of {idle} seconds");
        });
        let by_count = limit(Eviction::Lfu);
        with_record(clock(&by_count, now), |record| {
            let counter = clock(&by_count, now - DAY).frequency(record);
            assert_eq!(
                counter,
                Some(INITIAL_COUNTER),
                "a clock that was set back decays a counter"
            );
        });
    }
}
