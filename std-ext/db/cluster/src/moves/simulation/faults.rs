//! The faults that a scenario makes at a place of its choice.

use super::plan::Step;

/// The faults.
#[derive(Default)]
pub(super) struct Faults {
    pause: Pause,
    /// How many requests about the record of a move etcd leaves without an answer behind a step, and the group that
    /// asks.
    silent: Vec<(Step, u32, u64)>,
}

/// The pause of a process that has read the published map, before it changes that.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Pause {
    #[default]
    None,
    /// The primary of this group stops when it publishes slots.
    Wanted(u32),
    /// A process is stopped.
    Begun,
}

impl Faults {
    /// Stops the primary of a group when it publishes slots.
    pub(super) fn pause(&mut self, group: u32) {
        self.pause = Pause::Wanted(group);
    }

    /// Returns whether a process of this group stops now.
    pub(super) fn pauses(&mut self, group: u32) -> bool {
        let pauses = self.pause == Pause::Wanted(group);
        if pauses {
            self.pause = Pause::Begun;
        }
        pauses
    }

    /// Returns whether a process is stopped.
    pub(super) fn is_paused(&self) -> bool {
        self.pause == Pause::Begun
    }

    /// Lets the process go on.
    pub(super) fn go_on(&mut self) {
        self.pause = Pause::None;
    }

    /// Leaves this number of requests of a group without an answer behind a step.
    pub(super) fn silence(&mut self, behind: Step, group: u32, requests: u64) {
        self.silent.push((behind, group, requests));
    }

    /// Returns whether a request of this group gets no answer.
    pub(super) fn is_silent(&mut self, group: u32, is_made: impl Fn(Step) -> bool) -> bool {
        let is_meant = |one: &&mut (Step, u32, u64)| one.1 == group && one.2 > 0 && is_made(one.0);
        let Some((_, _, left)) = self.silent.iter_mut().find(is_meant) else { return false };
        *left -= 1;
        true
    }
}
