//! Applying a change to a key. Outcome and answer depend only on the state, the change and the time, so replaying the
//! same changes gives the same state.
//!
//! The log entry contains the outcome of a change, not its conditions. Of an addition it contains the summand.

use crate::log::change;
use crate::number;
use crate::request::{
    Answer, Change, ExpireCondition, Expiry, LONGEST_KEY, LONGEST_VALUE, LongDouble, RequestError,
    SetCondition,
};
use crate::state::record::Record;
use crate::state::rope::MAX_INLINE;
use crate::state::shard::Core;
use crate::state::value::string;
use crate::state::xxh3;

/// The change of one key.
pub struct Apply<'a, 'd> {
    pub core: &'d mut Core,
    pub time: u64,
    /// Whether memory is full: changes that need memory are rejected.
    pub full: bool,
    /// The log entry, to which the change is appended.
    pub log: &'d mut Vec<u8>,
    pub key: &'a [u8],
}

type ApplyReply<'r> = &'r mut dyn FnMut(Answer<'_>);

impl Apply<'_, '_> {
    /// Applies the change and calls `answer` once.
    pub fn run(&mut self, change: &Change<'_>, answer: ApplyReply<'_>) {
        // A key that is too long cannot exist, so all else finds it missing.
        if self.key.len() > LONGEST_KEY && change.creates() {
            return answer(Answer::Error(RequestError::KeyTooLong));
        }
        let stored = self.core.find(self.key);
        // `stored` is what the map loses, `current` what the client may see. Passing `current` to `put` would leak an
        // expired record: it would be neither counted out nor retired.
        let current = stored.filter(|record| !record.is_expired(self.time));
        // Replay passes `full: false`: a logged change was admitted once, and must not be refused.
        if self.full && change.grows() {
            return answer(Answer::Error(RequestError::OutOfMemory));
        }
        // Once for all changes, so that none of those below meets a value of another type.
        if let (Some(record), Some(wanted)) = (&current, change.wanted_type())
            && record.value().value_type() != wanted
        {
            return answer(Answer::Error(RequestError::WrongType));
        }
        match *change {
            Change::Set { value, condition, expiry, get } => {
                self.set(stored, current, value, (condition, expiry, get), answer);
            }
            Change::Restore { value, expiry, replace, usage } => {
                // A key that was already there keeps its own usage (`BUSYKEY`).
                let done = replace || current.is_none();
                self.restore((stored, current), value, (replace, expiry), answer);
                if done {
                    self.core.restore_usage(self.key, usage);
                }
            }
            Change::Hash(change) => self.hash((stored, current), change, answer),
            Change::List(change) => self.list((stored, current), change, answer),
            Change::Members(change) => self.members((stored, current), change, answer),
            Change::SortedSet(change) => self.sorted_set((stored, current), change, answer),
            Change::Stream(change) => self.stream((stored, current), change, answer),
            Change::RemoveRange(from, to) => {
                self.remove_stream_range((stored, current), from, to);
                answer(Answer::Done);
            }
            Change::RemoveNames(names) => {
                let names: Vec<&[u8]> = names.names().collect();
                answer(Answer::count(self.remove_names((stored, current), &names, |_, _| true)));
            }
            Change::Delete => {
                self.remove(stored, current);
                answer(Answer::Int(current.is_some().into()));
            }
            Change::DeleteIf(condition) => match self.forbids(current, condition) {
                Ok(forbidden) => {
                    let removes = !forbidden && current.is_some();
                    if removes {
                        self.remove(stored, current);
                    }
                    answer(Answer::Int(removes.into()));
                }
                Err(refusal) => answer(Answer::Error(refusal)),
            },
            Change::GetDelete => {
                self.remove(stored, current);
                self.value(current, answer);
            }
            Change::Expire { expiry, condition, get } => {
                let done = self.set_expiry(current, expiry, condition);
                if get { self.value(current, answer) } else { answer(Answer::Int(done.into())) }
            }
            Change::Increment(by) => match self.add(stored, current, by) {
                Ok(sum) => answer(Answer::Int(sum)),
                Err(refusal) => answer(Answer::Error(refusal)),
            },
            Change::IncrementFloat(by) => match self.add_float(stored, current, by) {
                Ok(sum) => answer(Answer::Bytes(sum.as_bytes())),
                Err(refusal) => answer(Answer::Error(refusal)),
            },
            Change::Append(tail) => {
                let length = length(current);
                answer(self.splice(stored, current, length, tail, true));
            }
            Change::SetRange { offset: at, bytes } => {
                answer(self.splice(stored, current, at, bytes, false));
            }
            Change::SetBit { offset, bit } => answer(self.set_bit(stored, current, offset, bit)),
            Change::AddElements(elements) => answer(self.add_elements(stored, current, elements)),
            Change::Fields(fields) => self.fields(stored, current, fields, answer),
        }
    }

    /// Answers with a record's value. A record that was just removed can still be read: it is freed only after the
    /// removal was published.
    fn value(&self, record: Option<Record>, answer: ApplyReply<'_>) {
        match record.as_ref().and_then(Record::string) {
            Some(value) => self.core.read(value, |value| answer(Answer::Bytes(value))),
            None => answer(Answer::Nil),
        }
    }

    /// Stores a value. Inlined into its two callers: a call takes 2 % of a SET's instructions.
    #[inline(always)]
    pub(super) fn set(
        &mut self,
        stored: Option<Record>,
        current: Option<Record>,
        value: &[u8],
        (condition, expiry, get): (SetCondition<'_>, Expiry, bool),
        answer: ApplyReply<'_>,
    ) {
        if value.len() > LONGEST_VALUE {
            return answer(Answer::Error(RequestError::ValueTooLong));
        }
        let forbidden = match self.forbids(current, condition) {
            Ok(forbidden) => forbidden,
            Err(refusal) => return answer(Answer::Error(refusal)),
        };
        if !forbidden {
            let expires_at = match expiry {
                Expiry::Keep => current.and_then(|record| record.expires_at()),
                Expiry::Never => None,
                Expiry::At(end) => Some(end),
            };
            // Redis stores such a value and lets the next access expire it. No client can tell the difference, and the
            // entry need not carry a value that nobody can read.
            if expires_at.is_some_and(|end| end <= self.time) {
                self.remove(stored, current);
            } else {
                self.core.put(stored, self.key, value, expires_at);
                // `Keep` without a TTL to keep is logged as `Never`: an entry has no conditions.
                let expiry = if expires_at.is_none() { Expiry::Never } else { expiry };
                change::set(self.key, self.logged(value), expiry, self.log);
            }
        }
        // As in Redis: a lock that many try to take is a key that is used.
        if forbidden && let Some(record) = current {
            self.core.touch(record);
        }
        match (get, forbidden) {
            (true, _) => self.value(current, answer),
            (false, true) => answer(Answer::Nil),
            (false, false) => answer(Answer::Done),
        }
    }

    /// Returns whether a condition forbids to change what the key has.
    #[inline]
    fn forbids(
        &self,
        current: Option<Record>,
        condition: SetCondition<'_>,
    ) -> Result<bool, RequestError> {
        Ok(match condition {
            SetCondition::Always => false,
            SetCondition::IfAbsent => current.is_some(),
            SetCondition::IfPresent => current.is_none(),
            SetCondition::IfEqual(other) => !self.is_value(current, other),
            SetCondition::IfNotEqual(other) => self.is_value(current, other),
            SetCondition::IfDigest(digest) => !self.has_digest(current, digest)?,
            SetCondition::IfNotDigest(digest) => self.has_digest(current, digest)?,
        })
    }

    /// Returns whether the key exists and has a value of this digest. Digits are compared in any case.
    #[cold]
    fn has_digest(&self, record: Option<Record>, wanted: &[u8]) -> Result<bool, RequestError> {
        let Some(record) = record else { return Ok(false) };
        if wanted.len() != xxh3::DIGITS {
            return Err(RequestError::NotADigest);
        }
        let value = record.string().ok_or(RequestError::WrongType)?;
        let digest = xxh3::digest(value, self.core.cold());
        Ok(digest.as_bytes().eq_ignore_ascii_case(wanted))
    }

    /// Returns whether the key exists and has this value. A long value is compared in its pieces.
    fn is_value(&self, record: Option<Record>, wanted: &[u8]) -> bool {
        let Some(value) = record.as_ref().and_then(Record::string) else { return false };
        let (mut rest, mut equal) = (wanted, true);
        // Also what bounds `split_at` below.
        if value.length() != wanted.len() {
            return false;
        }
        string::visit(value, self.core.cold(), 0..wanted.len(), &mut |piece| {
            let (own, behind) = rest.split_at(piece.len());
            (equal, rest) = (own == piece, behind);
            equal
        });
        equal
    }

    /// Returns what the log entry contains of a value. If entries are not written to files, only watchers read them,
    /// and only for the keys: then a long value is not copied.
    pub(super) fn logged<'v>(&self, value: &'v [u8]) -> &'v [u8] {
        let is_read = value.len() <= MAX_INLINE || self.core.is_logged();
        if is_read { value } else { &[] }
    }

    /// Removes the stored record. An expired one needs no log entry, since replay expires it by itself.
    pub(super) fn remove(&mut self, stored: Option<Record>, current: Option<Record>) {
        if let Some(record) = stored {
            self.core.remove(record);
        }
        if current.is_some() {
            change::delete(self.key, self.log);
        }
    }

    fn set_expiry(
        &mut self,
        current: Option<Record>,
        expiry: Expiry,
        condition: ExpireCondition,
    ) -> bool {
        let Some(record) = current else { return false };
        let expires_at = record.expires_at();
        let wanted = match expiry {
            Expiry::Keep => return false,
            // PERSIST replies 0 then, and a change that changes nothing is not logged.
            Expiry::Never if expires_at.is_none() => return false,
            Expiry::Never => None,
            Expiry::At(end) => Some(end),
        };
        // No expiration is later than any.
        let (new, old) = (wanted.unwrap_or(u64::MAX), expires_at.unwrap_or(u64::MAX));
        let allowed = match condition {
            ExpireCondition::Always => true,
            ExpireCondition::NoExpiry => expires_at.is_none(),
            ExpireCondition::HasExpiry => expires_at.is_some(),
            ExpireCondition::Later => new > old,
            ExpireCondition::Sooner => new < old,
            ExpireCondition::HasExpiryAndSooner => expires_at.is_some() && new < old,
        };
        if !allowed {
            return false;
        }
        // As in `expireGenericCommand` after `checkAlreadyExpired`: the key is deleted, and what is logged and reported
        // is `del`.
        if wanted.is_some_and(|end| end <= self.time) {
            self.remove(current, current);
            return true;
        }
        self.core.put_moved(current, self.key, record, wanted);
        change::expire(self.key, wanted, self.log);
        true
    }

    /// Parses a value as a number. No number is so long that it is stored in pieces.
    fn number<N>(&self, record: Record, read: impl FnOnce(&[u8]) -> Option<N>) -> Option<N> {
        let value = record.string().filter(|value| value.length() <= MAX_INLINE)?;
        self.core.read(value, read)
    }

    fn add(
        &mut self,
        stored: Option<Record>,
        current: Option<Record>,
        by: i64,
    ) -> Result<i64, RequestError> {
        let old = current.map_or(Some(0), |record| self.number(record, number::integer));
        let sum =
            old.ok_or(RequestError::NotAnInteger)?.checked_add(by).ok_or(RequestError::Overflow)?;
        let expires_at = current.and_then(|record| record.expires_at());
        let mut text = itoa::Buffer::new();
        self.core.put(stored, self.key, text.format(sum).as_bytes(), expires_at);
        // The summand, because sums of integers are exact: replay gets the same result from a record of fixed length.
        change::add(self.key, by, self.log);
        Ok(sum)
    }

    fn add_float(
        &mut self,
        stored: Option<Record>,
        current: Option<Record>,
        by: LongDouble,
    ) -> Result<String, RequestError> {
        let read = |record| self.number(record, LongDouble::parse);
        let old = current.map_or(Some(LongDouble::ZERO), read).ok_or(RequestError::NotAFloat)?;
        let text = old.checked_add(by).and_then(LongDouble::text).ok_or(RequestError::NotFinite)?;
        let expires_at = current.and_then(|record| record.expires_at());
        self.core.put(stored, self.key, text.as_bytes(), expires_at);
        let expiry = if expires_at.is_some() { Expiry::Keep } else { Expiry::Never };
        // The sum, as `incrbyfloatCommand` replicates a SET: another floating-point implementation, or a change of
        // ours, must not make replay restore another number.
        change::set(self.key, text.as_bytes(), expiry, self.log);
        Ok(text)
    }

    /// Writes `part` at `at`, and zeros before it if the value is shorter. `appends` if `at` is the value's length.
    fn splice(
        &mut self,
        stored: Option<Record>,
        current: Option<Record>,
        at: usize,
        part: &[u8],
        appends: bool,
    ) -> Answer<'static> {
        let before = length(current);
        // Only APPEND creates a key for nothing: `appendCommand` adds an empty string, `setrangeCommand` returns 0.
        if part.is_empty() && (current.is_some() || !appends) {
            return Answer::count(before);
        }
        // Redis's `checkStringLength`, with the default of `proto-max-bulk-len`. Otherwise a SETRANGE of one byte could
        // allocate any number of zeros.
        let end = at.checked_add(part.len()).filter(|end| *end <= LONGEST_VALUE);
        let Some(end) = end else { return Answer::Error(RequestError::ValueTooLong) };
        self.core.write(stored, current, self.key, &[(at, part)]);
        if appends {
            change::append(self.key, self.logged(part), self.log);
        } else {
            change::write(self.key, at, self.logged(part), self.log);
        }
        Answer::count(before.max(end))
    }
}

pub(super) fn length(record: Option<Record>) -> usize {
    record.as_ref().and_then(Record::string).map_or(0, |value| value.length())
}
