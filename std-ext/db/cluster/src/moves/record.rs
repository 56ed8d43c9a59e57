//! The record of a move of slots: the value of the key `move/<id>` in etcd.
//!
//! The record says whether the move can still be given up. It does not say which group owns the slots: committed
//! entries of the groups' logs do. It changes only by a transaction that compares the whole value, and
//! [`MoveRecord::next`] alone decides which change is allowed:
//!
//! ```text
//! copying -> ready -> leaving -> moved -> arriving -> done
//! copying, ready -> cancelled
//! moved -> returned -> cancelled
//! ready -> copying
//! ```
//!
//! The source's primary deletes the key of a move that is done, the target's primary that of one that was cancelled;
//! each first removes the keys of the slots that its own group does not own.
//!
//! The target's primary *claims* the move before it clears the slots and begins to import: it writes its epoch into the
//! record. A transaction that an earlier primary of the target has sent, and that arrives late, then compares another
//! value. Without the claim it could say `arriving` after the later primary has cleared what the earlier one had
//! imported.

use crate::measure::counters::MOVE_STATES;
use hedgerow_db_formats::slot_set::{MOST_GROUPS, SlotSet};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest value of a key, in bytes: 8192 ranges of fourteen bytes, and a reason of characters that JSON escapes.
const MOST_BYTES: usize = 128 * 1024;
/// The longest reason, in characters.
const MOST_REASON: usize = 200;

/// The state of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MoveState {
    /// The target imports the keys of the slots.
    Copying,
    /// The target has nearly all of them, and waits until the source leaves the slots.
    Ready,
    /// The source appends the entry that takes the slots away from it.
    Leaving,
    /// That entry is committed: no group owns the slots, and their keys change no more.
    Moved,
    /// The target has all keys in its log, and appends the entry that gives it the slots.
    Arriving,
    /// That entry is committed: the target owns the slots. The source clears them.
    Done,
    /// An administrator gives the slots back. The source appends the entry that gives it the slots again.
    Returned,
    /// The source owns the slots. The target clears them.
    Cancelled,
}

impl MoveState {
    /// All states, in the order of their numbers.
    #[cfg(feature = "metrics")]
    pub(crate) const ALL: [Self; MOVE_STATES] = [
        Self::Copying,
        Self::Ready,
        Self::Leaving,
        Self::Moved,
        Self::Arriving,
        Self::Done,
        Self::Returned,
        Self::Cancelled,
    ];
}

// The counters have one for each state.
const _: () = assert!(MoveState::Cancelled as usize + 1 == MOVE_STATES);

impl fmt::Display for MoveState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Copying => "copying",
            Self::Ready => "ready",
            Self::Leaving => "leaving",
            Self::Moved => "moved",
            Self::Arriving => "arriving",
            Self::Done => "done",
            Self::Returned => "returned",
            Self::Cancelled => "cancelled",
        })
    }
}

/// The one that changes a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    /// A primary of the group that has had the slots.
    Source,
    /// The primary in this epoch of the group that gets them.
    Target(u64),
    /// The command line.
    Administrator,
}

/// The reason why a change of a record is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusedChange {
    /// The state does not follow this one.
    State {
        /// The state of the move.
        is: MoveState,
        /// The state that was asked for; `None` for the end of the key.
        wanted: Option<MoveState>,
    },
    /// The state follows, and another one makes it.
    Actor {
        /// The state that was asked for; `None` for the end of the key.
        wanted: Option<MoveState>,
    },
    /// Another primary of the target imports.
    Epoch {
        /// The epoch in the record.
        claimed: u64,
        /// The epoch of the primary that asked.
        own: u64,
    },
}

impl fmt::Display for RefusedChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::State { is, wanted: None } => {
                write!(f, "the move is {is}, and ends only after it is done or cancelled")
            }
            Self::State { is, wanted: Some(wanted) } => {
                write!(f, "the move is {is}, and becomes {wanted} only if it is {}", before(wanted))
            }
            Self::Actor { wanted: None } => f.write_str(
                "the source ends a move that is done, the target one that was cancelled, after they have cleared the \
                 slots",
            ),
            Self::Actor { wanted: Some(wanted) } => {
                write!(f, "only {} makes a move {wanted}", maker(wanted))
            }
            Self::Epoch { claimed: 0, own } => {
                write!(f, "the target's primary of epoch {own} has not begun to import")
            }
            Self::Epoch { claimed, own } => write!(
                f,
                "the target's primary of epoch {claimed} imports, and the one of epoch {own} does not"
            ),
        }
    }
}

/// Returns the states that a state follows, for people.
fn before(state: MoveState) -> &'static str {
    match state {
        MoveState::Copying => "copying or ready",
        MoveState::Ready => "copying",
        MoveState::Leaving => "ready",
        MoveState::Moved => "leaving",
        MoveState::Arriving | MoveState::Returned => "moved",
        MoveState::Done => "arriving",
        MoveState::Cancelled => "copying, ready or returned",
    }
}

/// Returns the one that makes a state, for people.
fn maker(state: MoveState) -> &'static str {
    match state {
        MoveState::Leaving | MoveState::Moved => "the source's primary",
        MoveState::Copying | MoveState::Ready | MoveState::Arriving | MoveState::Done => {
            "the target's primary"
        }
        MoveState::Returned => "an administrator",
        MoveState::Cancelled => "an administrator, or the source's primary after a return,",
    }
}

/// The part of a record that changes: all that the rules depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MovePhase {
    /// The state.
    pub(crate) state: MoveState,
    /// The epoch of the target's primary that imports; 0 before the first one has claimed the move.
    pub(crate) epoch: u64,
}

impl MovePhase {
    /// The phase of a new move.
    pub(crate) const NEW: Self = Self { state: MoveState::Copying, epoch: 0 };

    /// Returns the phase after a change to the state `to`. To the same state, it is a claim by the target's primary.
    ///
    /// # Errors
    /// If the change is not allowed.
    pub(crate) fn next(self, to: MoveState, by: Actor) -> Result<Self, RefusedChange> {
        use MoveState::{Arriving, Cancelled, Copying, Done, Leaving, Moved, Ready, Returned};
        let Self { state, epoch } = self;
        let made = match (state, to) {
            // A claim. An earlier primary has been deposed, and takes nothing from a later one.
            (Copying | Ready, Copying) | (Leaving, Leaving) | (Moved, Moved) => match by {
                Actor::Target(own) if own >= epoch && own > 0 => {
                    return Ok(Self { state: to, epoch: own });
                }
                Actor::Target(own) => return Err(RefusedChange::Epoch { claimed: epoch, own }),
                _ => false,
            },
            // Only the primary that has imported knows that it has all. A later one clears, and begins again.
            (Copying, Ready) | (Moved, Arriving) => match by {
                Actor::Target(own) if own == epoch && own > 0 => true,
                Actor::Target(own) => return Err(RefusedChange::Epoch { claimed: epoch, own }),
                _ => false,
            },
            (Ready, Leaving) | (Leaving, Moved) | (Returned, Cancelled) => by == Actor::Source,
            // Any primary of the target knows by its log that it owns the slots.
            (Arriving, Done) => matches!(by, Actor::Target(_)),
            // The source owns the slots: it has not been asked to leave.
            (Copying | Ready, Cancelled) => by != Actor::Source,
            // The slots have no owner, and only the source can get them back: the target must not import any more.
            (Moved, Returned) => by == Actor::Administrator,
            _ => return Err(RefusedChange::State { is: state, wanted: Some(to) }),
        };
        if made {
            Ok(Self { state: to, epoch })
        } else {
            Err(RefusedChange::Actor { wanted: Some(to) })
        }
    }

    /// Checks that the key may be deleted.
    ///
    /// # Errors
    /// If it may not be.
    pub(crate) fn end(self, by: Actor) -> Result<(), RefusedChange> {
        let ends = match self.state {
            MoveState::Done => by == Actor::Source,
            MoveState::Cancelled => matches!(by, Actor::Target(_)),
            is => return Err(RefusedChange::State { is, wanted: None }),
        };
        if ends { Ok(()) } else { Err(RefusedChange::Actor { wanted: None }) }
    }
}

/// A move of slots from one group to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MoveRecord {
    /// The slots.
    pub(crate) slots: SlotSet,
    /// The group that has had them.
    pub(crate) from: u32,
    /// The group that gets them.
    pub(crate) to: u32,
    /// The state.
    pub(crate) state: MoveState,
    /// The epoch of the target's primary that imports; 0 before the first one has claimed the move.
    pub(crate) epoch: u64,
    /// When the source has lost the slots by its clock, in milliseconds since 1970; 0 before. When the target serves
    /// them, it has no key that had expired by then.
    pub(crate) time: u64,
    /// Why the move is in this state, for people; empty if there is nothing to say.
    pub(crate) reason: String,
}

/// A record as etcd has it.
#[derive(Serialize, Deserialize)]
// A program of another version would lose a field that it does not know when it changes the record.
#[serde(deny_unknown_fields)]
struct MoveRecordJson {
    slots: Vec<(u16, u16)>,
    from: u32,
    to: u32,
    state: MoveState,
    epoch: u64,
    time: u64,
    reason: String,
}

impl MoveRecord {
    /// Returns the record of a new move.
    ///
    /// # Errors
    /// A sentence that says why there can be no such move.
    pub(crate) fn new(slots: SlotSet, from: u32, to: u32) -> Result<Self, String> {
        let MovePhase { state, epoch } = MovePhase::NEW;
        let new = Self { slots, from, to, state, epoch, time: 0, reason: String::new() };
        Self::parse(new.print().as_bytes())
    }

    /// Reads the value of the key.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MOST_BYTES {
            return Err(format!("the record of a move has more than {MOST_BYTES} bytes"));
        }
        let MoveRecordJson { slots, from, to, state, epoch, time, reason } =
            serde_json::from_slice(bytes)
                .map_err(|why| format!("the record of a move cannot be read: {why}"))?;
        let slots = SlotSet::from_ranges(&slots)
            .ok_or("the ranges of slots are not ascending ranges of the slots 0 to 16383")?;
        if slots.is_empty() {
            return Err("the move has no slots".to_owned());
        }
        if from == to {
            return Err(format!("the slots move from group {from} to the same group"));
        }
        if from.max(to) >= MOST_GROUPS {
            return Err(format!("group {} is more than {}", from.max(to), MOST_GROUPS - 1));
        }
        if epoch == 0 && !matches!(state, MoveState::Copying | MoveState::Cancelled) {
            return Err(format!("the move is {state}, and no epoch of the target has imported"));
        }
        if reason.chars().count() > MOST_REASON {
            return Err(format!("the reason has more than {MOST_REASON} characters"));
        }
        Ok(Self { slots, from, to, state, epoch, time, reason })
    }

    /// Returns the value of the key. A transaction compares what etcd has, which may be written in another way.
    pub(crate) fn print(&self) -> String {
        let Self { from, to, state, epoch, time, .. } = *self;
        let (slots, reason) = (self.slots.ranges(), self.reason.clone());
        serde_json::to_string(&MoveRecordJson { slots, from, to, state, epoch, time, reason })
            .unwrap_or_default()
    }

    /// Returns the phase of the move.
    pub(crate) fn phase(&self) -> MovePhase {
        MovePhase { state: self.state, epoch: self.epoch }
    }

    /// Returns the record after a change to the state `to`, with the reason for it. To the same state, it is a claim by
    /// the target's primary, which sets a move that is ready back to copying.
    ///
    /// # Errors
    /// If the change is not allowed.
    pub(crate) fn next(
        &self,
        to: MoveState,
        by: Actor,
        reason: &str,
    ) -> Result<Self, RefusedChange> {
        let MovePhase { state, epoch } = self.phase().next(to, by)?;
        let reason = reason.chars().take(MOST_REASON).collect();
        Ok(Self { state, epoch, reason, slots: self.slots.clone(), ..*self })
    }

    /// Checks that the key may be deleted.
    ///
    /// # Errors
    /// If it may not be.
    pub(crate) fn end(&self, by: Actor) -> Result<(), RefusedChange> {
        self.phase().end(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MoveState::{Arriving, Cancelled, Copying, Done, Leaving, Moved, Ready, Returned};

    const TEXT: &str =
        r#"{"slots":[[0,8191]],"from":0,"to":1,"state":"copying","epoch":0,"time":0,"reason":""}"#;
    const STATES: [MoveState; 8] =
        [Copying, Ready, Leaving, Moved, Arriving, Done, Returned, Cancelled];

    #[test]
    fn a_record_is_written_as_it_is_read() {
        let record = MoveRecord::new(SlotSet::of_range(0..8192), 0, 1).unwrap();
        assert_eq!(record.print(), TEXT);
        assert_eq!(MoveRecord::parse(TEXT.as_bytes()), Ok(record.clone()));
        for state in STATES {
            let reason = format!("it \"is\" {state}\n");
            let record = MoveRecord { state, epoch: u64::MAX, reason, ..record.clone() };
            assert!(record.print().contains(&format!("\"state\":\"{state}\"")));
            assert_eq!(MoveRecord::parse(record.print().as_bytes()), Ok(record));
        }
    }

    #[test]
    fn a_record_that_makes_no_sense_is_refused() {
        for (from, to, why) in [
            ("[[0,8191]]", "[[0,16384]]", "ascending"),
            ("[[0,8191]]", "[[5,9],[9,10]]", "ascending"),
            ("[[0,8191]]", "[[5,9],[1,2]]", "ascending"),
            ("[[0,8191]]", "[[9,5]]", "ascending"),
            ("[[0,8191]]", "[[0,65536]]", "cannot be read"),
            ("[[0,8191]]", "[[1,2,3]]", "cannot be read"),
            ("[[0,8191]]", "[]", "no slots"),
            ("\"to\":1", "\"to\":0", "the same group"),
            ("\"to\":1", "\"to\":4096", "more than 4095"),
            ("\"to\":1", "\"to\":-1", "cannot be read"),
            ("copying", "moving", "cannot be read"),
            ("copying", "ready", "no epoch"),
            ("\"epoch\":0,", "", "cannot be read"),
            ("\"epoch\":0,", "\"epoch\":0,\"extra\":0,", "cannot be read"),
            ("\"\"", &format!("{:?}", "r".repeat(201)), "200 characters"),
            ("}", "} x", "cannot be read"),
        ] {
            let refused = MoveRecord::parse(TEXT.replace(from, to).as_bytes()).unwrap_err();
            assert!(refused.contains(why), "{to}: {refused}");
        }
        assert!(MoveRecord::parse(b"").is_err());
        let padded = format!("{TEXT}{}", " ".repeat(MOST_BYTES));
        assert!(MoveRecord::parse(padded.as_bytes()).unwrap_err().contains("131072 bytes"));
    }

    #[test]
    fn a_new_record_stays_readable_whatever_the_reason() {
        let most: Vec<_> = (0..8192).map(|slot| (slot * 2 + 1, slot * 2 + 1)).collect();
        let record = MoveRecord::new(SlotSet::from_ranges(&most).unwrap(), 4094, 4095).unwrap();
        for letter in ["\0", "\u{10FFFF}", "x"] {
            let next = record.next(Copying, Actor::Target(u64::MAX), &letter.repeat(300)).unwrap();
            assert_eq!(next.reason.chars().count(), 200);
            assert_eq!(MoveRecord::parse(next.print().as_bytes()), Ok(next));
        }
        assert!(MoveRecord::new(SlotSet::all(), 1, 1).is_err());
    }

    /// All changes that are allowed, each with the epoch before and after it.
    fn allowed() -> Vec<(MoveState, MoveState, Actor)> {
        let (source, admin) = (Actor::Source, Actor::Administrator);
        let (same, later) = (Actor::Target(5), Actor::Target(6));
        let mut allowed = vec![
            (Copying, Ready, same),
            (Ready, Leaving, source),
            (Leaving, Moved, source),
            (Moved, Arriving, same),
            (Arriving, Done, Actor::Target(4)),
            (Arriving, Done, same),
            (Arriving, Done, later),
            (Copying, Cancelled, admin),
            (Ready, Cancelled, admin),
            (Moved, Returned, admin),
            (Returned, Cancelled, source),
        ];
        for by in [Actor::Target(4), same, later] {
            allowed.extend([(Copying, Cancelled, by), (Ready, Cancelled, by)]);
        }
        for by in [same, later] {
            let claims = [(Copying, Copying), (Ready, Copying), (Leaving, Leaving), (Moved, Moved)];
            allowed.extend(claims.map(|(state, to)| (state, to, by)));
        }
        allowed
    }

    #[test]
    fn only_these_changes_are_allowed() {
        let record = MoveRecord::new(SlotSet::all(), 3, 4).unwrap();
        let allowed = allowed();
        let mut found = 0;
        for (state, to) in STATES.into_iter().flat_map(|state| STATES.map(|to| (state, to))) {
            for by in [Actor::Source, Actor::Administrator]
                .into_iter()
                .chain([4, 5, 6].map(Actor::Target))
            {
                let record = MoveRecord { state, epoch: 5, ..record.clone() };
                let next = record.next(to, by, "");
                let change = (state, to, by);
                assert_eq!(next.is_ok(), allowed.contains(&change), "{change:?}: {next:?}");
                found += usize::from(next.is_ok());
                let epoch = if by == Actor::Target(6) && to <= Moved { 6 } else { 5 };
                let wanted = MoveRecord { state: to, epoch, ..record };
                assert!(next.is_err() || next == Ok(wanted), "{change:?}");
            }
        }
        assert_eq!(found, allowed.len());
        let unclaimed = record.next(Ready, Actor::Target(0), "");
        assert_eq!(unclaimed, Err(RefusedChange::Epoch { claimed: 0, own: 0 }));
    }

    #[test]
    fn a_key_ends_after_its_slots_were_cleared() {
        for state in STATES {
            let phase = MovePhase { state, epoch: 5 };
            assert_eq!(phase.end(Actor::Source).is_ok(), state == Done, "the source ends a move");
            assert_eq!(phase.end(Actor::Target(4)).is_ok(), state == Cancelled);
            assert!(phase.end(Actor::Administrator).is_err());
        }
    }

    #[test]
    fn a_refusal_says_what_would_be_allowed() {
        let record = MoveRecord::new(SlotSet::all(), 3, 4).unwrap();
        let at = |state| MoveRecord { state, epoch: 5, ..record.clone() };
        let admin = Actor::Administrator;
        for (state, to, by, text) in [
            (
                Leaving,
                Cancelled,
                admin,
                "the move is leaving, and becomes cancelled only if it is copying, ready or returned",
            ),
            (Done, Returned, admin, "the move is done, and becomes returned only if it is moved"),
            (Ready, Leaving, admin, "only the source's primary makes a move leaving"),
            (
                Moved,
                Arriving,
                Actor::Target(4),
                "the target's primary of epoch 5 imports, and the one of epoch 4 does not",
            ),
        ] {
            assert_eq!(at(state).next(to, by, "").unwrap_err().to_string(), text);
        }
        assert_eq!(
            at(Moved).end(admin).unwrap_err().to_string(),
            "the move is moved, and ends only after it is done or cancelled"
        );
    }
}
