//! Applying changes of hashes. The log contains the fields that were stored, with their values, and those that were
//! removed.

use crate::log::change;
use crate::number;
use crate::request::{
    Answer, HashChange, LONGEST_PAIR, LONGEST_VALUE, LongDouble, RequestError, ValueType,
};
use crate::state::apply::Apply;
use crate::state::apply_collection::Before;
use crate::state::record::Record;
use crate::state::value::Value;
use crate::state::value::hash::HashValue;

impl Apply<'_, '_> {
    /// Changes fields of a hash.
    pub(super) fn hash(
        &mut self,
        before: Before,
        change: HashChange<'_>,
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let current = before.1;
        match change {
            HashChange::Set(pairs) => {
                if pairs.iter().any(|(field, value)| is_too_long(field, value)) {
                    return answer(Answer::Error(RequestError::ValueTooLong));
                }
                let is_empty = pairs.is_empty();
                answer(Answer::count(if is_empty { 0 } else { self.set_fields(before, pairs) }));
            }
            HashChange::SetIfAbsent(field, value) => {
                if is_too_long(field, value) {
                    return answer(Answer::Error(RequestError::ValueTooLong));
                }
                let is_new = with_field(current, field, |value| value.is_none());
                if is_new {
                    self.set_fields(before, &[(field, value)]);
                } else if let Some(record) = current {
                    self.core.touch(record);
                }
                answer(Answer::Int(is_new.into()));
            }
            HashChange::Delete(fields) => {
                let has = |record: &Record, field: &[u8]| {
                    with_field(Some(*record), field, |value| value.is_some())
                };
                answer(Answer::count(self.remove_names(before, fields, has)));
            }
            HashChange::Increment(field, by) => match Self::sum(current, field, by) {
                Ok(sum) => {
                    let mut text = itoa::Buffer::new();
                    self.set_fields(before, &[(field, text.format(sum).as_bytes())]);
                    answer(Answer::Int(sum));
                }
                Err(error) => answer(Answer::Error(error)),
            },
            HashChange::IncrementFloat(field, by) => match Self::float_sum(current, field, by) {
                Ok(sum) => {
                    self.set_fields(before, &[(field, sum.as_bytes())]);
                    answer(Answer::Bytes(sum.as_bytes()));
                }
                Err(error) => answer(Answer::Error(error)),
            },
        }
    }

    /// Stores fields, and logs them. Returns how many were missing.
    fn set_fields(&mut self, before: Before, pairs: &[(&[u8], &[u8])]) -> usize {
        let added = self.edit(ValueType::Hash, before, |edit| {
            pairs.iter().filter(|(field, value)| edit.set_field(field, value)).count()
        });
        change::store_entries(self.key, ValueType::Hash, pairs.iter().copied(), self.log);
        added
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
    with(current.as_ref().and_then(hash_of).and_then(|hash| hash.get(field)))
}

fn hash_of(record: &Record) -> Option<HashValue<'_>> {
    if let Value::Hash(hash) = record.value() { Some(hash) } else { None }
}

fn is_too_long(field: &[u8], value: &[u8]) -> bool {
    field.len().max(value.len()) > LONGEST_VALUE || field.len() + value.len() > LONGEST_PAIR
}
