//! Applying changes of HyperLogLogs.

use crate::log::change;
use crate::request::{Answer, Expiry, RequestError};
use crate::state::apply::Apply;
use crate::state::apply_bits::PART_OVERHEAD;
use crate::state::cold::ColdStore;
use crate::state::hyperloglog::{self, HEAD};
use crate::state::record::Record;
use crate::state::value::string;
use std::ops::Range;

/// Calls `with` with the value of a record if it is a HyperLogLog, and returns the result.
pub(crate) fn read<R>(
    record: Record,
    cold: Option<&ColdStore>,
    with: impl FnOnce(&[u8]) -> R,
) -> Result<R, RequestError> {
    let value = record.string().ok_or(RequestError::WrongType)?;
    let (length, head) = (value.length(), 0..value.length().min(HEAD));
    // A long value is not copied to find that it is none.
    string::read_part(value, cold, head, |head| hyperloglog::check(head, length))?;
    Ok(string::read(value, cold, with))
}

impl Apply<'_, '_> {
    /// Adds elements to a HyperLogLog. Answers whether it was created or changed.
    pub(super) fn add_elements(
        &mut self,
        stored: Option<Record>,
        current: Option<Record>,
        elements: &[&[u8]],
    ) -> Answer<'static> {
        let old = match current.map(|record| read(record, self.core.cold(), <[u8]>::to_vec)) {
            None => None,
            Some(Ok(value)) => Some(value),
            Some(Err(error)) => return Answer::Error(error),
        };
        let mut new = old.clone().unwrap_or_else(hyperloglog::empty);
        // PFADD without elements creates an empty HyperLogLog.
        let mut changed = old.is_none();
        for element in elements {
            match hyperloglog::add(&mut new, element) {
                Ok(raised) => changed |= raised,
                // Nothing was stored. Redis, which works in place, keeps the registers that it raised before it met the
                // corrupt run.
                Err(error) => return Answer::Error(error),
            }
        }
        if changed {
            hyperloglog::forget_cardinality(&mut new);
            match old {
                // Logs the bytes that differ: a dense value has 12 KiB, and an element changes at most two bytes of it.
                Some(old) if old.len() == new.len() => {
                    let parts = differing(&old, &new, self.key.len() + PART_OVERHEAD);
                    let part = |part: Range<usize>| (part.start, &new[part]);
                    let parts: Vec<(usize, &[u8])> = parts.into_iter().map(part).collect();
                    if !parts.is_empty() {
                        self.overwrite(stored, current, &parts);
                    }
                }
                _ => {
                    let expires_at = current.and_then(|record| record.expires_at());
                    self.core.put(stored, self.key, &new, expires_at);
                    let expiry = if expires_at.is_some() { Expiry::Keep } else { Expiry::Never };
                    change::set(self.key, &new, expiry, self.log);
                }
            }
        }
        Answer::Int(changed.into())
    }
}

/// Returns the parts in which two values of one length differ. Parts with at most `gap` bytes between them are one.
fn differing(old: &[u8], new: &[u8], gap: usize) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    for (at, _) in old.iter().zip(new).enumerate().filter(|(_, (old, new))| old != new) {
        match parts.last_mut() {
            Some(last) if at <= last.end + gap => last.end = at + 1,
            _ => parts.push(at..at + 1),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_differ_are_found() {
        assert_eq!(differing(b"red rose", b"red rose", 1), []);
        assert_eq!(differing(b"red rose", b"rad hope", 1), [1..2, 4..7]);
        assert_eq!(differing(b"red rose", b"rad hope", 2), vec![1..7; 1]);
    }
}
