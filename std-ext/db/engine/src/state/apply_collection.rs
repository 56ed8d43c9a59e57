//! Applying changes that are the same for all types but string. The log contains the entries that were stored, and the
//! names of those that were removed.

use crate::log::change;
use crate::request::{
    Answer, Expiry, LONGEST_VALUE, Packed, RequestError, SetCondition, StoredValue, ValueType,
};
use crate::state::apply::Apply;
use crate::state::record::Record;
use crate::state::value::collection::CollectionEdit;

/// The record that a change replaces, and the one that the client may see: none if it has expired.
pub(super) type Before = (Option<Record>, Option<Record>);

impl Apply<'_, '_> {
    /// Stores a value of any type, or adds a part to it. Answers as [`Change::Restore`](crate::request::Change) says.
    pub(super) fn restore(
        &mut self,
        (stored, current): Before,
        value: StoredValue<'_>,
        (replace, expiry): (bool, Expiry),
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let value = match value {
            StoredValue::String(value) => {
                let condition = if replace { SetCondition::Always } else { SetCondition::IfAbsent };
                return self.set(stored, current, value, (condition, expiry, false), answer);
            }
            StoredValue::Packed(value) => value,
        };
        if value.continues() {
            self.edit(value.value_type(), (stored, current), |edit| edit.add(value));
            change::store_part(self.key, value, self.log);
            return answer(Answer::Done);
        }
        if !replace && current.is_some() {
            return answer(Answer::Nil);
        }
        self.store_packed((stored, current), value, expiry);
        answer(Answer::Done);
    }

    /// Stores a whole value, or the first part of one. As Redis's `DEL` and `RESTORE`: nothing is left of an empty one,
    /// or of one that has expired.
    fn store_packed(&mut self, (stored, current): Before, value: Packed<'_>, expiry: Expiry) {
        let expires_at = match expiry {
            Expiry::Keep => current.and_then(|record| record.expires_at()),
            Expiry::Never => None,
            Expiry::At(end) => Some(end),
        };
        if value.is_empty() || expires_at.is_some_and(|end| end <= self.time) {
            return self.remove(stored, current);
        }
        let (value_type, before) = (value.value_type(), (stored, None));
        let add = |edit: &mut CollectionEdit<'_>| edit.add(value);
        self.core.edit_collection(value_type, before, self.key, expires_at, add);
        let expiry = if expires_at.is_none() { Expiry::Never } else { expiry };
        change::store(self.key, value, expiry, self.log);
    }

    /// Changes a value of a type, which is missing or of that type.
    pub(super) fn edit<R>(
        &mut self,
        value_type: ValueType,
        before: Before,
        with: impl FnOnce(&mut CollectionEdit<'_>) -> R,
    ) -> R {
        let expires_at = before.1.and_then(|record| record.expires_at());
        self.core.edit_collection(value_type, before, self.key, expires_at, with)
    }

    /// Removes names from a hash, a set or a sorted set, and logs those that were there. Returns their number. `has`
    /// returns whether a record has a name.
    pub(super) fn remove_names(
        &mut self,
        before: Before,
        names: &[&[u8]],
        has: impl Fn(&Record, &[u8]) -> bool,
    ) -> usize {
        let Some(record) = before.1 else { return 0 };
        // Nothing is copied or logged if there is none of them.
        if !names.iter().any(|name| has(&record, name)) {
            self.core.touch(record);
            return 0;
        }
        let value_type = record.value().value_type();
        // A field that has expired counts as missing. Before the change, which may free what the record has.
        let present: Vec<&[u8]>;
        let names = if record.next_field_time().is_some() {
            present = names.iter().copied().filter(|name| has(&record, name)).collect();
            &present
        } else {
            names
        };
        let mut removed = Vec::with_capacity(names.len());
        self.edit(value_type, before, |edit| {
            removed.extend(names.iter().copied().filter(|name| edit.remove(name)));
        });
        change::remove_names(self.key, value_type, &removed, self.log);
        removed.len()
    }
}

/// Returns an error if an element, a member or a field is longer than any string.
pub(super) fn check_lengths<'n>(
    names: impl IntoIterator<Item = &'n [u8]>,
) -> Result<(), RequestError> {
    let is_short = names.into_iter().all(|name| name.len() <= LONGEST_VALUE);
    is_short.then_some(()).ok_or(RequestError::ValueTooLong)
}
