//! The slots that each group has after an adoption: those that its directory says, or the operator.
//!
//! The logs of two groups that slots have moved between may end at different moments. If the source's lacks the entry
//! by which it has lost the slots, both claim them; if the target's lacks the entry by which it has got them, neither
//! does. Then the operator decides with `--assign`. Each group whose directory says something else gets one more entry
//! in etcd, which no directory has: it takes slots away from the group, or gives it some.

use super::candidates::FolderCandidates;
use crate::membership::error::StartError;
use crate::membership::slot_claims::Disputed;
use crate::membership::slot_map::SlotMap;
use hedgerow_db_engine::log::change;
use hedgerow_db_formats::slot_set::SlotSet;

/// The number of the move in entries that belong to none.
const NO_MOVE: u64 = 0;

/// The slots of a group as its directory says, and as they will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FolderOwnership {
    /// The slots that it will have.
    pub(crate) slots: SlotSet,
    /// Those that its directory does not give it.
    pub(crate) gains: SlotSet,
    /// Those that its directory gives it, and that it will not have.
    pub(crate) loses: SlotSet,
}

impl FolderOwnership {
    /// Returns the changes of the entry that the group's log needs; `None` if its directory is right.
    pub(crate) fn changes(&self) -> Option<Vec<u8>> {
        let mut changes = Vec::new();
        if !self.loses.is_empty() {
            change::out(NO_MOVE, self.loses.bits(), &mut changes);
        }
        if !self.gains.is_empty() {
            change::own(NO_MOVE, self.gains.bits(), &mut changes);
        }
        (!changes.is_empty()).then_some(changes)
    }
}

/// Decides which group has which slots: those that `assigned` says, and otherwise those whose directories claim them.
/// Returns the slots of the groups, in the order of `groups`.
///
/// # Errors
/// If a slot would have no group, or several; or if a group is named whose directory is not there.
pub(crate) fn decide(
    groups: &[FolderCandidates],
    assigned: &[(SlotSet, u32)],
) -> Result<Vec<FolderOwnership>, StartError> {
    let none = || SlotSet::of_range(0..0);
    let mut decided = none();
    for (slots, group) in assigned {
        if decided.overlaps(slots) {
            return Err(StartError::new("--assign gives some slots to several groups"));
        }
        if !groups.iter().any(|one| one.group() == *group) {
            return Err(StartError::new(format!(
                "--assign gives slots to group {group}, but no directory of that group with entries was named"
            )));
        }
        decided = decided.union(slots);
    }
    let own = groups.iter().map(|one| {
        let claimed = &one.taken.survey.slots;
        let given = assigned.iter().filter(|(_, group)| *group == one.group());
        let given = given.fold(none(), |all, (slots, _)| all.union(slots));
        // The operator's word counts for these slots alone, and against every other claim.
        let slots = claimed.difference(&decided).union(&given);
        FolderOwnership {
            gains: slots.difference(claimed),
            loses: claimed.difference(&slots),
            slots,
        }
    });
    let own: Vec<_> = own.collect();
    let numbered = groups.iter().zip(&own);
    let disputed = Disputed::of(numbered.map(|(one, own)| (one.group(), &own.slots)));
    if disputed.is_empty() {
        return Ok(own);
    }
    let mut why = "the directories do not tell which group owns which slots:\n".to_owned();
    let ranges = disputed.ranges.iter().zip(disputed.sentences());
    why.extend(ranges.map(|((first, last, owners), sentence)| {
        format!("- {sentence}: {}\n", advice(groups, (*first, *last), owners))
    }));
    why.push_str("Nothing was changed. If directories are missing, name them with --from");
    Err(StartError::new(why))
}

/// Says which group should get a range of slots.
fn advice(groups: &[FolderCandidates], (first, last): (u16, u16), owners: &[u32]) -> String {
    let range = SlotSet::of_range(first..last + 1);
    let claim = |one: &&FolderCandidates| owners.contains(&one.group());
    // After a move the target has all keys. Before its end only the source has.
    let (fits, why): (Vec<_>, _) = if owners.is_empty() {
        let lost = groups.iter().filter(|one| one.taken.survey.lost.contains_all(&range));
        (lost.collect(), "was giving them away in a move, and has their keys")
    } else {
        let got =
            groups.iter().filter(claim).filter(|one| one.taken.survey.got.contains_all(&range));
        (got.collect(), "received them in a move, and has their keys")
    };
    match fits[..] {
        [one] => {
            format!("group {} {why}; add --assign {first}-{last}={}", one.group(), one.group())
        }
        _ => format!("add --assign {first}-{last}=GROUP"),
    }
}

/// Returns the map of slots of these groups; `None` if it is that of a new cluster of `groups` groups.
pub(crate) fn map(groups: u32, own: impl IntoIterator<Item = (u32, SlotSet)>) -> Option<SlotMap> {
    let new = SlotMap::divided(groups);
    let map = own.into_iter().fold(new.clone(), |map, (group, slots)| map.with(group, &slots));
    (map != new).then_some(map)
}
