//! Failures that go on for some seconds, which the operator must hear of once: [`Failures`].

/// How long attempts may fail unheard, in milliseconds. After as long, etcd has forgotten a node that has ended.
pub(crate) const UNHEARD: u64 = 5000;

/// Attempts of one kind that have failed, one after the other.
#[derive(Default)]
pub(crate) struct Failures {
    /// When the first of them was, boot time.
    since: Option<u64>,
    is_told: bool,
}

impl Failures {
    /// Notes another one. Returns true once, when they have gone on for longer than [`UNHEARD`].
    pub(crate) fn must_be_told(&mut self, now: u64) -> bool {
        let since = *self.since.get_or_insert(now);
        let is_late = now.saturating_sub(since) > UNHEARD;
        is_late && !std::mem::replace(&mut self.is_told, true)
    }

    /// Notes that an attempt has succeeded. Returns whether the failures were told.
    pub(crate) fn end(&mut self) -> bool {
        std::mem::take(self).is_told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_once_when_they_matter() {
        let mut failures = Failures::default();
        let late = 1000 + UNHEARD + 1;
        assert_eq!([1000, 2000, late - 1].map(|now| failures.must_be_told(now)), [false; 3]);
        assert!(failures.must_be_told(late), "nobody hears of them");
        assert!(!failures.must_be_told(late + 1000), "they are told again and again");
        assert!(failures.end() && !failures.end());
        assert!(!failures.must_be_told(late + 2000), "the failures before count");
    }
}
