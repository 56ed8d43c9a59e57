//! One group, as one of its members sees it.

use super::api::{Action, Event, Settings, Status};
use super::entry::{Now, Position};
use crate::log::Lsn;

/// One group, as one of its members sees it.
#[derive(Debug)]
pub struct Group {
    settings: Settings,
}

impl Group {
    /// Makes the group of a node that has started.
    ///
    /// `position` is where it begins to read in etcd, [`Mark::before`](super::Mark::before) the last mark of its relay
    /// (an empty relay: `Position::default()`). `have` is the last entry that its state has.
    pub fn new(settings: Settings, position: Position, have: Lsn, now: Now) -> Self {
        let _ = (position, have, now);
        Self { settings }
    }

    /// Handles an event. The actions are appended to `out`, in order. The first call should be [`Event::Tick`].
    pub fn handle(&mut self, now: Now, event: Event, out: &mut Vec<Action>) {
        let _ = (now, event, out, &self.settings);
        todo!()
    }

    /// The boot time at which [`Event::Tick`] is due.
    pub fn deadline(&self) -> u64 {
        todo!()
    }

    /// What others may see of the group.
    pub fn status(&self) -> Status {
        todo!()
    }
}
