//! Applying changes of when fields of hashes expire. The log contains the times, and the fields that were removed
//! because theirs had passed.

use crate::log::change;
use crate::request::{
    Answer, ElementListBuilder, ExpireCondition, Expiry, FieldValues, Packer, RequestError,
    ValueType,
};
use crate::state::apply::Apply;
use crate::state::apply_collection::Before;
use crate::state::apply_hash::{hash_of, is_too_long};
use std::collections::HashSet;

/// What a change answers for a field.
const MISSING: i64 = -2;
const NO_EXPIRY: i64 = -1;
const FORBIDDEN: i64 = 0;
const CHANGED: i64 = 1;
const REMOVED: i64 = 2;

/// A field, its value, and when it expires; 0 if it does not.
pub(super) type TimedField<'f> = (&'f [u8], &'f [u8], u64);

impl Apply<'_, '_> {
    /// Stores fields with their times, and logs them.
    pub(super) fn set_timed(&mut self, before: Before, fields: &[TimedField<'_>]) {
        let mut part = Packer::new(ValueType::Hash).with_times().continuing();
        for (field, value, time) in fields {
            part.push_timed(field, value, *time);
        }
        self.edit(ValueType::Hash, before, |edit| {
            for (field, value, time) in fields {
                edit.set_timed_field(field, value, *time);
            }
        });
        change::store_part(self.key, part.packed(), self.log);
    }

    /// Returns when a field expires, 0 if it does not; `None` if it is missing.
    fn time_of(&self, before: Before, field: &[u8]) -> Option<u64> {
        let hash = before.1.as_ref().and_then(hash_of)?;
        hash.get_timed(field, self.time).map(|(_, time)| time)
    }

    /// Sets or removes the times of fields that are there, and logs them; or removes the fields, if the time has
    /// passed.
    fn set_times(&mut self, before: Before, fields: &[&[u8]], expiry: Expiry) {
        if fields.is_empty() {
            if let Some(record) = before.1 {
                self.core.touch(record);
            }
            return;
        }
        let time = if let Expiry::At(end) = expiry { end } else { 0 };
        if expiry != Expiry::Never && time <= self.time {
            self.remove_names(before, fields, |_, _| true);
            return;
        }
        let mut part = Packer::new(ValueType::Hash).with_only_times();
        for field in fields {
            part.push_timed(field, b"", time);
        }
        self.edit(ValueType::Hash, before, |edit| {
            for field in fields {
                edit.set_time(field, time);
            }
        });
        change::store_part(self.key, part.packed(), self.log);
    }

    /// HEXPIRE and HPERSIST.
    pub(super) fn expire_fields(
        &mut self,
        before: Before,
        fields: &[&[u8]],
        (expiry, condition): (Expiry, ExpireCondition),
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let end = if let Expiry::At(end) = expiry { end } else { 0 };
        let has_passed = expiry != Expiry::Never && end <= self.time;
        let (mut answers, mut changed, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for field in fields {
            let old = self.time_of(before, field);
            let is_again = seen.contains(field);
            let made = match (expiry, old) {
                (_, None) => MISSING,
                // It comes twice, and was removed.
                _ if has_passed && is_again => MISSING,
                (Expiry::Never, Some(0)) => NO_EXPIRY,
                (Expiry::Never, _) if is_again => NO_EXPIRY,
                (Expiry::At(_), Some(old)) => {
                    let old = if is_again { end } else { old };
                    match is_allowed(condition, end, old) {
                        true if has_passed => REMOVED,
                        true => CHANGED,
                        false => FORBIDDEN,
                    }
                }
                _ => CHANGED,
            };
            FieldValues::store(Some(made), &mut answers);
            if made > FORBIDDEN && seen.insert(*field) {
                changed.push(*field);
            }
        }
        self.set_times(before, &changed, expiry);
        answer(Answer::Fields(FieldValues::stored(&answers)));
    }

    /// HSETEX.
    pub(super) fn set_expiring(
        &mut self,
        before: Before,
        pairs: &[(&[u8], &[u8])],
        (fields_exist, key_exists, expiry): (Option<bool>, Option<bool>, Expiry),
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        if pairs.iter().any(|(field, value)| is_too_long(field, value)) {
            return answer(Answer::Error(RequestError::ValueTooLong));
        }
        let holds = |wanted: Option<bool>, exists: bool| wanted.is_none_or(|is| is == exists);
        let times: Vec<_> = pairs.iter().map(|(field, _)| self.time_of(before, field)).collect();
        if !holds(key_exists, before.1.is_some())
            || times.iter().any(|time| !holds(fields_exist, time.is_some()))
        {
            return answer(Answer::Int(0));
        }
        match expiry {
            Expiry::At(end) if end <= self.time => {
                let there = pairs.iter().zip(&times).filter(|(_, time)| time.is_some());
                let there: Vec<&[u8]> = there.map(|((field, _), _)| *field).collect();
                if !there.is_empty() {
                    self.remove_names(before, &there, |_, _| true);
                }
            }
            Expiry::Keep | Expiry::At(_) => {
                let time = |kept: Option<u64>| match expiry {
                    Expiry::At(end) => end,
                    _ => kept.unwrap_or(0),
                };
                let fields = pairs.iter().zip(times);
                let fields: Vec<TimedField<'_>> =
                    fields.map(|((field, value), kept)| (*field, *value, time(kept))).collect();
                if fields.iter().all(|(.., time)| *time == 0) {
                    self.set_fields(before, pairs);
                } else {
                    self.set_timed(before, &fields);
                }
            }
            Expiry::Never => _ = self.set_fields(before, pairs),
        }
        answer(Answer::Int(1));
    }

    /// HGETEX.
    pub(super) fn get_expire(
        &mut self,
        before: Before,
        fields: &[&[u8]],
        (expiry, most): (Expiry, usize),
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let removes = matches!(expiry, Expiry::At(end) if end <= self.time);
        let (values, mut changed) = self.values(before, fields, (most, removes));
        if expiry == Expiry::Never {
            changed.retain(|field| self.time_of(before, field) != Some(0));
        }
        self.set_times(before, &changed, expiry);
        answer(Answer::Elements(values.list(), 0));
    }

    /// HGETDEL.
    pub(super) fn get_delete(
        &mut self,
        before: Before,
        fields: &[&[u8]],
        most: usize,
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let (values, there) = self.values(before, fields, (most, true));
        if !there.is_empty() {
            self.remove_names(before, &there, |_, _| true);
        }
        answer(Answer::Elements(values.list(), 0));
    }

    /// Returns the values of fields, and those that are there, each once.
    fn values<'f>(
        &self,
        before: Before,
        fields: &[&'f [u8]],
        (most, removes): (usize, bool),
    ) -> (ElementListBuilder, Vec<&'f [u8]>) {
        let (mut values, mut there) = (ElementListBuilder::new(most), Vec::new());
        let mut seen = HashSet::new();
        let hash = before.1.as_ref().and_then(hash_of);
        for field in fields {
            let value = hash.and_then(|hash| hash.get_timed(field, self.time));
            let is_again = value.is_some() && !seen.insert(*field);
            let shown = value.filter(|_| !(removes && is_again));
            values.push_or_nil(shown.map(|(value, _)| value));
            if value.is_some() && !is_again {
                there.push(*field);
            }
        }
        (values, there)
    }
}

fn is_allowed(condition: ExpireCondition, new: u64, old: u64) -> bool {
    let later_than_all = if old == 0 { u64::MAX } else { old };
    match condition {
        ExpireCondition::Always => true,
        ExpireCondition::NoExpiry => old == 0,
        ExpireCondition::HasExpiry => old != 0,
        ExpireCondition::Later => new > later_than_all,
        ExpireCondition::Sooner => new < later_than_all,
        ExpireCondition::HasExpiryAndSooner => old != 0 && new < old,
    }
}
