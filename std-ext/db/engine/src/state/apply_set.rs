//! Applying changes of sets. The log contains the members that were added, and those that were removed.

use crate::log::change;
use crate::request::{Answer, ElementListBuilder, SetChange, ValueType};
use crate::state::apply::Apply;
use crate::state::apply_collection::{Before, check_lengths};
use crate::state::record::Record;
use crate::state::value::Value;
use crate::state::value::choose::choose;
use crate::state::value::set::SetValue;

impl Apply<'_, '_> {
    /// Changes members of a set.
    pub(super) fn members(
        &mut self,
        before: Before,
        change: SetChange<'_>,
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        match change {
            SetChange::Add(members) => {
                if let Err(error) = check_lengths(members.iter().copied()) {
                    return answer(Answer::Error(error));
                }
                answer(Answer::count(self.add_members(before, members)));
            }
            SetChange::Remove(members) => {
                let has = |record: &Record, member: &[u8]| {
                    set_of(record).is_some_and(|set| set.contains(member))
                };
                answer(Answer::count(self.remove_names(before, members, has)));
            }
            SetChange::Pop { count, most } => self.pop_members(before, (count, most), answer),
        }
    }

    /// Removes random members, and answers with them.
    fn pop_members(
        &mut self,
        before: Before,
        (count, most): (Option<usize>, usize),
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let mut popped = ElementListBuilder::new(most);
        let set = before.1.as_ref().and_then(set_of);
        if let Some(set) = set {
            let wanted = i64::try_from(count.unwrap_or(1)).unwrap_or(i64::MAX);
            choose(set, wanted, &mut |member| {
                popped.push(member);
                !popped.is_full()
            });
        }
        // From a copy: the members may lie in nodes that the change edits in place.
        let members: Vec<&[u8]> = popped.list().iter().flatten().collect();
        match (count, members.first()) {
            (Some(_), _) => answer(Answer::Elements(popped.list(), 0)),
            (None, Some(member)) => answer(Answer::Bytes(member)),
            (None, None) => answer(Answer::Nil),
        }
        // The reply would be too long: what was removed could not be shown.
        if popped.is_full() {
            return;
        }
        if !members.is_empty() && set.is_some_and(|set| members.len() == set.len()) {
            self.remove(before.0, before.1);
        } else {
            self.remove_names(before, &members, |_, _| true);
        }
    }

    /// Adds members, and logs those that were missing. Returns their number.
    fn add_members(&mut self, before: Before, members: &[&[u8]]) -> usize {
        let set = before.1.as_ref().and_then(set_of);
        let is_new = |member: &&&[u8]| set.is_none_or(|set| !set.contains(member));
        if !members.iter().any(|member| is_new(&member)) {
            before.1.into_iter().for_each(|record| self.core.touch(record));
            return 0;
        }
        let mut added = Vec::with_capacity(members.len());
        self.edit(ValueType::Set, before, |edit| {
            added.extend(members.iter().copied().filter(|member| edit.add_member(member)));
        });
        let entries = added.iter().map(|member| (*member, &b""[..]));
        change::store_entries(self.key, ValueType::Set, entries, self.log);
        added.len()
    }
}

fn set_of(record: &Record) -> Option<SetValue<'_>> {
    if let Value::Set(set) = record.value() { Some(set) } else { None }
}
