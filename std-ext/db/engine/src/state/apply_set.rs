//! Applying changes of sets. The log contains the members that were added, and those that were removed.

use crate::log::change;
use crate::request::{Answer, SetChange, ValueType};
use crate::state::apply::Apply;
use crate::state::apply_collection::{Before, check_lengths};
use crate::state::record::Record;
use crate::state::value::Value;
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
