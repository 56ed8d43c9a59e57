//! CLIENT PAUSE: for some time, no commands of clients are executed, or none that change something.

use hedgerow_db_engine::gauge::Gauge;
use hedgerow_db_engine::lock::lock;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The commands that wait during a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::command) enum PauseKind {
    /// Those that change something.
    Writes,
    /// All.
    All,
}

/// A pause of the clients.
///
/// While there is one, it is counted in a gauge that threads read before each batch. The gauge changes under the lock:
/// otherwise a thread that finds the last pause over could take back the flag of the next one.
#[derive(Debug, Default)]
pub(super) struct Pause(Mutex<Option<(PauseKind, Instant)>>);

impl Pause {
    /// Begins a pause. During another one, the longer one and the one of more commands win, as in Redis.
    pub(super) fn begin(&self, kind: PauseKind, time: Duration, now: Instant, observers: &Gauge) {
        // A time that the clock cannot show becomes a century.
        let end = now.checked_add(time).unwrap_or(now + Duration::from_secs(100 * 365 * 86_400));
        let mut present = lock(&self.0);
        let (kind, end) = match *present {
            Some((other, until)) if until > now => (kind.max(other), end.max(until)),
            _ => (kind, end),
        };
        if present.replace((kind, end)).is_none() {
            observers.add(1);
        }
    }

    pub(super) fn end(&self, observers: &Gauge) {
        if lock(&self.0).take().is_some() {
            observers.sub(1);
        }
    }

    /// Returns the commands that wait.
    pub(super) fn kind(&self, now: Instant, observers: &Gauge) -> Option<PauseKind> {
        let mut present = lock(&self.0);
        let (kind, end) = (*present)?;
        if end > now {
            return Some(kind);
        }
        *present = None;
        observers.sub(1);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_pause_of_more_commands_wins() {
        let (pause, now) = (Pause::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        let observers = Gauge::default();
        assert_eq!(pause.kind(now, &observers), None);
        pause.begin(PauseKind::All, Duration::from_secs(10), now, &observers);
        pause.begin(PauseKind::Writes, Duration::from_secs(5), now, &observers);
        assert_eq!(pause.kind(at(9), &observers), Some(PauseKind::All));
        assert_eq!(observers.get(), 1);
        assert_eq!(pause.kind(at(10), &observers), None);
        assert_eq!(observers.get(), 0, "a pause that is over costs every batch");
        pause.begin(PauseKind::Writes, Duration::MAX, at(11), &observers);
        assert_eq!(pause.kind(at(1000), &observers), Some(PauseKind::Writes));
        pause.end(&observers);
        pause.end(&observers);
        assert_eq!((pause.kind(at(12), &observers), observers.get()), (None, 0));
    }
}
