//! Applying changes of sorted sets. The log contains the members that were stored, with their scores, and those that
//! were removed.

use crate::log::change;
use crate::request::{Answer, SCORE_BYTES, Score, SortedSetChange, ValueType};
use crate::state::apply::Apply;
use crate::state::apply_collection::{Before, check_lengths};
use crate::state::record::Record;
use crate::state::value::Value;
use crate::state::value::sorted_set::SortedSetValue;

impl Apply<'_, '_> {
    /// Changes members of a sorted set.
    pub(super) fn sorted_set(
        &mut self,
        before: Before,
        change: SortedSetChange<'_>,
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        match change {
            SortedSetChange::Set(members) => {
                if let Err(error) = check_lengths(members.iter().map(|(_, member)| *member)) {
                    return answer(Answer::Error(error));
                }
                let added = if members.is_empty() { 0 } else { self.set_scores(before, members) };
                answer(Answer::count(added));
            }
            SortedSetChange::Remove(members) => {
                let has = |record: &Record, member: &[u8]| {
                    sorted_set_of(record).is_some_and(|set| set.score(member).is_some())
                };
                answer(Answer::count(self.remove_names(before, members, has)));
            }
        }
    }

    /// Stores members with their scores, and logs them. Returns how many were missing.
    fn set_scores(&mut self, before: Before, members: &[(Score, &[u8])]) -> usize {
        let added = self.edit(ValueType::SortedSet, before, |edit| {
            members.iter().filter(|(score, member)| edit.set_score(member, *score)).count()
        });
        let scores: Vec<[u8; SCORE_BYTES]> =
            members.iter().map(|(score, _)| score.bytes()).collect();
        let entries = members.iter().zip(&scores).map(|((_, member), score)| (*member, &score[..]));
        change::store_entries(self.key, ValueType::SortedSet, entries, self.log);
        added
    }
}

fn sorted_set_of(record: &Record) -> Option<SortedSetValue<'_>> {
    if let Value::SortedSet(set) = record.value() { Some(set) } else { None }
}
