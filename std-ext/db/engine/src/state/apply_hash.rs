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
use std::collections::HashSet;

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
                let is_new = with_field(current, field, self.time, |value| value.is_none());
                if is_new {
                    self.set_fields(before, &[(field, value)]);
                } else if let Some(record) = current {
                    self.core.touch(record);
                }
                answer(Answer::Int(is_new.into()));
            }
            HashChange::Delete(fields) => {
                let time = self.time;
                let has = |record: &Record, field: &[u8]| {
                    with_field(Some(*record), field, time, |value| value.is_some())
                };
                answer(Answer::count(self.remove_names(before, fields, has)));
            }
            HashChange::Increment(field, by) => match self.sum(current, field, by) {
                Ok(sum) => {
                    let mut text = itoa::Buffer::new();
                    self.set_keeping(before, field, text.format(sum).as_bytes());
                    answer(Answer::Int(sum));
                }
                Err(error) => answer(Answer::Error(error)),
            },
            HashChange::IncrementFloat(field, by) => match self.float_sum(current, field, by) {
                Ok(sum) => {
                    self.set_keeping(before, field, sum.as_bytes());
                    answer(Answer::Bytes(sum.as_bytes()));
                }
                Err(error) => answer(Answer::Error(error)),
            },
            HashChange::Expire { fields, expiry, condition } => {
                self.expire_fields(before, fields, (expiry, condition), answer);
            }
            HashChange::SetExpiring { pairs, fields_exist, key_exists, expiry } => {
                self.set_expiring(before, pairs, (fields_exist, key_exists, expiry), answer);
            }
            HashChange::GetExpire { fields, expiry, most } => {
                self.get_expire(before, fields, (expiry, most), answer);
            }
            HashChange::GetDelete { fields, most } => {
                self.get_delete(before, fields, most, answer);
            }
        }
    }

    /// Stores fields, and logs them. Returns how many were missing.
    pub(super) fn set_fields(&mut self, before: Before, pairs: &[(&[u8], &[u8])]) -> usize {
        // Before the change, which may free what the record has.
        let is_expired =
            |record: &&Record| record.next_field_time().is_some_and(|time| time <= self.time);
        let expired = before.1.as_ref().filter(is_expired).and_then(hash_of);
        let revived = expired.map_or(0, |hash| {
            let is_expired = |field: &[u8]| {
                hash.get(field).is_some() && hash.get_timed(field, self.time).is_none()
            };
            let fields: HashSet<_> =
                pairs.iter().map(|(field, _)| *field).filter(|field| is_expired(field)).collect();
            fields.len()
        });
        let added = self.edit(ValueType::Hash, before, |edit| {
            pairs.iter().filter(|(field, value)| edit.set_field(field, value)).count()
        });
        change::store_entries(self.key, ValueType::Hash, pairs.iter().copied(), self.log);
        added + revived
    }

    /// Stores a field that keeps its expiration.
    fn set_keeping(&mut self, before: Before, field: &[u8], value: &[u8]) {
        let current = before.1.as_ref().and_then(hash_of);
        let kept = current.and_then(|hash| hash.get_timed(field, self.time));
        match kept {
            Some((_, time)) if time != 0 => self.set_timed(before, &[(field, value, time)]),
            _ => _ = self.set_fields(before, &[(field, value)]),
        }
    }

    fn sum(&self, current: Option<Record>, field: &[u8], by: i64) -> Result<i64, RequestError> {
        let old =
            with_field(current, field, self.time, |value| value.map_or(Some(0), number::integer));
        let old = old.ok_or(RequestError::HashNotAnInteger)?;
        old.checked_add(by).ok_or(RequestError::Overflow)
    }

    fn float_sum(
        &self,
        current: Option<Record>,
        field: &[u8],
        by: LongDouble,
    ) -> Result<String, RequestError> {
        let read = |value: Option<&[u8]>| value.map_or(Some(LongDouble::ZERO), LongDouble::parse);
        let old = with_field(current, field, self.time, read).ok_or(RequestError::HashNotAFloat)?;
        old.checked_add(by).and_then(LongDouble::text).ok_or(RequestError::NotFinite)
    }
}

/// Calls `with` with the value of a field.
fn with_field<R>(
    current: Option<Record>,
    field: &[u8],
    time: u64,
    with: impl FnOnce(Option<&[u8]>) -> R,
) -> R {
    let hash = current.as_ref().and_then(hash_of);
    with(hash.and_then(|hash| hash.get_timed(field, time)).map(|(value, _)| value))
}

pub(super) fn hash_of(record: &Record) -> Option<HashValue<'_>> {
    if let Value::Hash(hash) = record.value() { Some(hash) } else { None }
}

pub(super) fn is_too_long(field: &[u8], value: &[u8]) -> bool {
    field.len().max(value.len()) > LONGEST_VALUE || field.len() + value.len() > LONGEST_PAIR
}
