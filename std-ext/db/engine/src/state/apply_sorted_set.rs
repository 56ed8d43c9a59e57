//! Applying changes of sorted sets. The log contains the members whose scores were changed, with these, and those that
//! were removed.

use crate::log::change;
use crate::request::{
    Answer, ElementListBuilder, Packer, RequestError, SCORE_BYTES, Score, ScoreCondition,
    SortedSetChange, ValueType,
};
use crate::state::apply::Apply;
use crate::state::apply_collection::{Before, check_lengths};
use crate::state::record::Record;
use crate::state::value::Value;
use crate::state::value::sorted_set::SortedSetValue;
use std::ops::Range;

/// How many members were missing, and how many have got another score.
#[derive(Default)]
struct Stored {
    new: usize,
    changed: usize,
}

impl Apply<'_, '_> {
    /// Changes members of a sorted set.
    pub(super) fn sorted_set(
        &mut self,
        before: Before,
        change: SortedSetChange<'_>,
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let set = before.1.as_ref().and_then(sorted_set_of);
        match change {
            SortedSetChange::Set(members) => {
                let stored = self.set_scores(before, members, ScoreCondition::default());
                answer(stored.map_or_else(Answer::Error, |stored| Answer::count(stored.new)));
            }
            SortedSetChange::SetIf { members, condition, counts_changed } => {
                let count =
                    |stored: Stored| stored.new + if counts_changed { stored.changed } else { 0 };
                let stored = self.set_scores(before, members, condition);
                answer(stored.map_or_else(Answer::Error, |stored| Answer::count(count(stored))));
            }
            SortedSetChange::Increment { member, by, condition } => {
                answer(self.add_to_score(before, (member, by), condition));
            }
            SortedSetChange::Remove(members) => {
                let has = |record: &Record, member: &[u8]| {
                    sorted_set_of(record).is_some_and(|set| set.score(member).is_some())
                };
                answer(Answer::count(self.remove_names(before, members, has)));
            }
            SortedSetChange::RemoveRange(range) => {
                let range = set.map_or(0..0, |set| set.range_of(range));
                let removed = range.len();
                self.remove_scored_range(before, range);
                answer(Answer::count(removed));
            }
            SortedSetChange::Pop { lowest, count, most } => {
                self.pop_scored(before, (lowest, count, most), answer);
            }
        }
    }

    /// Stores members with their scores if the condition holds for them, and logs those that were changed.
    fn set_scores(
        &mut self,
        before: Before,
        members: &[(Score, &[u8])],
        condition: ScoreCondition,
    ) -> Result<Stored, RequestError> {
        check_lengths(members.iter().map(|(_, member)| *member))?;
        let set = before.1.as_ref().and_then(sorted_set_of);
        let changes = |(score, member): &(Score, &[u8])| {
            let current = set.and_then(|set| set.score(member));
            allows(condition, current, *score) && current != Some(*score)
        };
        // Nothing is copied or logged if nothing changes.
        let Some(first) = members.iter().position(changes) else {
            before.1.into_iter().for_each(|record| self.core.touch(record));
            return Ok(Stored::default());
        };
        let (mut stored, mut logged) = (Stored::default(), Vec::with_capacity(members.len()));
        self.edit(ValueType::SortedSet, before, |edit| {
            for (score, member) in &members[first..] {
                let is_any = condition == ScoreCondition::default();
                if !is_any && !allows(condition, edit.score(member), *score) {
                    continue;
                }
                let update = edit.set_score(member, *score);
                if update.is_changed {
                    stored.new += usize::from(update.is_new);
                    stored.changed += usize::from(!update.is_new);
                    logged.push((*member, update.score.bytes()));
                }
            }
        });
        self.log_scores(&logged);
        Ok(stored)
    }

    fn log_scores(&mut self, members: &[(&[u8], [u8; SCORE_BYTES])]) {
        let entries = members.iter().map(|(member, score)| (*member, &score[..]));
        change::store_entries(self.key, ValueType::SortedSet, entries, self.log);
    }

    fn add_to_score(
        &mut self,
        before: Before,
        (member, by): (&[u8], Score),
        condition: ScoreCondition,
    ) -> Answer<'static> {
        if let Err(error) = check_lengths([member]) {
            return Answer::Error(error);
        }
        let set = before.1.as_ref().and_then(sorted_set_of);
        let current = set.and_then(|set| set.score(member));
        let touch = |apply: &mut Self| {
            before.1.into_iter().for_each(|record| apply.core.touch(record));
        };
        // In Redis's order: a sum that is none is an error only if the condition allows the member.
        if condition.exists.is_some_and(|wanted| wanted != current.is_some()) {
            touch(self);
            return Answer::Nil;
        }
        let Some(sum) = Score::new(current.map_or(by.get(), |score| score.get() + by.get())) else {
            return Answer::Error(RequestError::ScoreNotANumber);
        };
        if !allows(condition, current, sum) {
            touch(self);
            return Answer::Nil;
        }
        if current == Some(sum) {
            touch(self);
            return Answer::Score(sum);
        }
        let update = self.edit(ValueType::SortedSet, before, |edit| edit.set_score(member, sum));
        self.log_scores(&[(member, update.score.bytes())]);
        Answer::Score(sum)
    }

    /// Removes members at an end, and answers them.
    fn pop_scored(
        &mut self,
        before: Before,
        (lowest, count, most): (bool, usize, usize),
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let Some(set) = before.1.as_ref().and_then(sorted_set_of) else {
            return answer(Answer::Nil);
        };
        let (len, mut popped) = (set.len(), ElementListBuilder::new(most));
        let count = count.min(len);
        let range = if lowest { 0..count } else { len - count..len };
        set.visit_range(range.clone(), !lowest, &mut |member, score| {
            popped.push(member);
            popped.push(&score.bytes());
            !popped.is_full()
        });
        answer(Answer::Elements(popped.list(), 0));
        // The reply would be too long: what was removed could not be shown.
        if !popped.is_full() {
            self.remove_scored_range(before, range);
        }
    }

    /// Removes the members at some indices, and logs them.
    fn remove_scored_range(&mut self, before: Before, range: Range<usize>) {
        let Some(set) = before.1.as_ref().and_then(sorted_set_of) else { return };
        if range.is_empty() {
            return before.1.into_iter().for_each(|record| self.core.touch(record));
        }
        // Copied: the change may free nodes that have them, or edit these in place.
        let mut packer = Packer::new(ValueType::Set);
        let from = range.start;
        set.visit_range(range, false, &mut |member, _| {
            packer.push(member, b"");
            true
        });
        let members: Vec<&[u8]> = packer.packed().names().collect();
        self.edit(ValueType::SortedSet, before, |edit| edit.remove_scored_range(from, &members));
        change::remove_names(self.key, ValueType::SortedSet, &members, self.log);
    }
}

/// Returns whether a condition allows a member to get a score.
fn allows(condition: ScoreCondition, current: Option<Score>, score: Score) -> bool {
    let exists = condition.exists.is_none_or(|wanted| wanted == current.is_some());
    let (Some(current), Some(wanted)) = (current, condition.compares) else { return exists };
    exists && score.cmp(&current) == wanted
}

fn sorted_set_of(record: &Record) -> Option<SortedSetValue<'_>> {
    if let Value::SortedSet(set) = record.value() { Some(set) } else { None }
}
