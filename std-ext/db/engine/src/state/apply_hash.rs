//! Applying changes of hashes. The log contains the fields that were stored, with their values, and those that were
//! removed.

use crate::log::change;
use crate::number;
use crate::request::{
    Answer, Expiry, HashChange, LONGEST_PAIR, LONGEST_VALUE, LongDouble, PackedHash, RequestError,
    SetCondition, StoredValue,
};
use crate::state::apply::Apply;
use crate::state::record::Record;
use crate::state::value::hash::HashEdit;

impl Apply<'_, '_> {
    /// Stores a value of any type, or adds a part to it. Answers as [`Change::Restore`](crate::request::Change) says.
    pub(super) fn restore(
        &mut self,
        stored: Option<Record>,
        current: Option<Record>,
        value: StoredValue<'_>,
        (replace, expiry): (bool, Expiry),
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let hash = match value {
            StoredValue::String(value) => {
                let condition = if replace { SetCondition::Always } else { SetCondition::IfAbsent };
                return self.set(stored, current, value, (condition, expiry, false), answer);
            }
            StoredValue::Hash(hash) => hash,
        };
        if hash.continues() {
            let expires_at = current.and_then(|record| record.expires_at());
            self.edit(stored, current, expires_at, |edit| edit.add(hash));
            change::hash_part(self.key, hash, self.log);
            return answer(Answer::Done);
        }
        if !replace && current.is_some() {
            return answer(Answer::Nil);
        }
        self.store_hash(stored, current, hash, expiry);
        answer(Answer::Done);
    }

    /// Stores a whole hash, or the first part of one. As Redis's `DEL` and `RESTORE`: nothing is left of an empty one,
    /// or of one that has expired.
    fn store_hash(
        &mut self,
        stored: Option<Record>,
        current: Option<Record>,
        hash: PackedHash<'_>,
        expiry: Expiry,
    ) {
        let expires_at = match expiry {
            Expiry::Keep => current.and_then(|record| record.expires_at()),
            Expiry::Never => None,
            Expiry::At(end) => Some(end),
        };
        if hash.is_empty() || expires_at.is_some_and(|end| end <= self.time) {
            return self.remove(stored, current);
        }
        self.edit(stored, None, expires_at, |edit| edit.add(hash));
        let expiry = if expires_at.is_none() { Expiry::Never } else { expiry };
        change::store(self.key, hash, expiry, self.log);
    }

    /// Changes fields of a hash.
    pub(super) fn hash(
        &mut self,
        stored: Option<Record>,
        current: Option<Record>,
        change: HashChange<'_>,
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let expires_at = current.and_then(|record| record.expires_at());
        let edit = |apply: &mut Self, with: &mut dyn FnMut(&mut HashEdit<'_>)| {
            apply.edit(stored, current, expires_at, with);
        };
        match change {
            HashChange::Set(pairs) => {
                if pairs.iter().any(|(field, value)| is_too_long(field, value)) {
                    return answer(Answer::Error(RequestError::ValueTooLong));
                }
                let mut added = 0;
                if !pairs.is_empty() {
                    edit(self, &mut |edit| {
                        let new = pairs.iter().filter(|(field, value)| edit.set(field, value));
                        added = new.count();
                    });
                    change::hash_set(self.key, pairs, self.log);
                }
                answer(Answer::count(added));
            }
            HashChange::SetIfAbsent(field, value) => {
                if is_too_long(field, value) {
                    return answer(Answer::Error(RequestError::ValueTooLong));
                }
                let is_new = with_field(current, field, |value| value.is_none());
                if is_new {
                    edit(self, &mut |edit| _ = edit.set(field, value));
                    change::hash_set(self.key, &[(field, value)], self.log);
                } else if let Some(record) = current {
                    self.core.touch(record);
                }
                answer(Answer::Int(is_new.into()));
            }
            HashChange::Delete(fields) => {
                let removed = self.delete_fields(stored, current, fields);
                answer(Answer::count(removed));
            }
            HashChange::Remove(fields) => {
                let fields: Vec<&[u8]> = fields.iter().map(|(field, _)| field).collect();
                let removed = self.delete_fields(stored, current, &fields);
                answer(Answer::count(removed));
            }
            HashChange::Increment(field, by) => match Self::sum(current, field, by) {
                Ok(sum) => {
                    let mut text = itoa::Buffer::new();
                    let value = text.format(sum).as_bytes();
                    edit(self, &mut |edit| _ = edit.set(field, value));
                    change::hash_set(self.key, &[(field, value)], self.log);
                    answer(Answer::Int(sum));
                }
                Err(error) => answer(Answer::Error(error)),
            },
            HashChange::IncrementFloat(field, by) => match Self::float_sum(current, field, by) {
                Ok(sum) => {
                    let value = sum.as_bytes();
                    edit(self, &mut |edit| _ = edit.set(field, value));
                    change::hash_set(self.key, &[(field, value)], self.log);
                    answer(Answer::Bytes(value));
                }
                Err(error) => answer(Answer::Error(error)),
            },
        }
    }

    fn edit<R>(
        &mut self,
        stored: Option<Record>,
        current: Option<Record>,
        expires_at: Option<u64>,
        with: impl FnOnce(&mut HashEdit<'_>) -> R,
    ) -> R {
        self.core.edit_hash(stored, current, self.key, expires_at, with)
    }

    /// Removes fields, and logs those that were there. Returns their number.
    fn delete_fields(
        &mut self,
        stored: Option<Record>,
        current: Option<Record>,
        fields: &[&[u8]],
    ) -> usize {
        let Some(record) = current else { return 0 };
        // Nothing is copied or logged if there is none of them.
        if fields.iter().all(|field| with_field(current, field, |value| value.is_none())) {
            self.core.touch(record);
            return 0;
        }
        let mut removed = Vec::with_capacity(fields.len());
        self.edit(stored, current, record.expires_at(), |edit| {
            removed.extend(fields.iter().copied().filter(|field| edit.remove(field)));
        });
        change::hash_delete(self.key, &removed, self.log);
        removed.len()
    }

    fn sum(current: Option<Record>, field: &[u8], by: i64) -> Result<i64, RequestError> {
        let old = with_field(current, field, |value| value.map_or(Some(0), number::integer));
        let old = old.ok_or(RequestError::HashNotAnInteger)?;
        old.checked_add(by).ok_or(RequestError::Overflow)
    }

    fn float_sum(
        current: Option<Record>,
        field: &[u8],
        by: LongDouble,
    ) -> Result<String, RequestError> {
        let read = |value: Option<&[u8]>| value.map_or(Some(LongDouble::ZERO), LongDouble::parse);
        let old = with_field(current, field, read).ok_or(RequestError::HashNotAFloat)?;
        old.checked_add(by).and_then(LongDouble::text).ok_or(RequestError::NotFinite)
    }
}

/// Calls `with` with the value of a field.
fn with_field<R>(
    current: Option<Record>,
    field: &[u8],
    with: impl FnOnce(Option<&[u8]>) -> R,
) -> R {
    let hash = current.as_ref().and_then(Record::hash);
    with(hash.and_then(|hash| hash.get(field)))
}

fn is_too_long(field: &[u8], value: &[u8]) -> bool {
    field.len().max(value.len()) > LONGEST_VALUE || field.len() + value.len() > LONGEST_PAIR
}
