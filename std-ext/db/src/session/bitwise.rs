//! Bitwise operations on the values of several keys.

use super::multi_key::Apply;
use crate::request::{Answer, Bitwise, Expiry, LONGEST_KEY, RequestError};
use crate::state::record::Record;
use crate::state::shard;

impl Apply<'_, '_> {
    /// Stores the result of an operation. The log gets the result: replay of a name for it would need the other keys as
    /// they were, and a snapshot may have them as they were later.
    pub(super) fn bitwise(&mut self, op: Bitwise, to: &[u8], keys: &[&[u8]]) -> Answer<'static> {
        if to.len() > LONGEST_KEY {
            return Answer::Error(RequestError::KeyTooLong);
        }
        let found: Vec<Option<Record>> = keys.iter().map(|key| self.find_source(key)).collect();
        let lengths = found.iter().flatten().map(|record| record.value().length());
        let length = lengths.max().unwrap_or(0);
        let Some(left) = self.left.checked_sub(length) else {
            return Answer::Error(self.state.too_long());
        };
        self.left = left;
        if length == 0 {
            self.delete(to);
            return Answer::Int(0);
        }
        let mut result = vec![0; length];
        let mut sources = found.into_iter();
        self.combine(sources.next().flatten(), &mut result, |to, from| *to = from);
        if op == Bitwise::Not {
            for byte in &mut result {
                *byte = !*byte;
            }
        } else {
            for source in sources {
                let end = match op {
                    Bitwise::And => self.combine(source, &mut result, |to, from| *to &= from),
                    Bitwise::Or => self.combine(source, &mut result, |to, from| *to |= from),
                    Bitwise::Xor | Bitwise::Not => {
                        self.combine(source, &mut result, |to, from| *to ^= from)
                    }
                };
                // Zeros follow a shorter value, which only AND does not keep.
                if op == Bitwise::And {
                    result[end..].fill(0);
                }
            }
        }
        self.set(to, &result, Expiry::Never);
        Answer::count(length)
    }

    /// Combines each byte of the result with that of a value. Returns the value's length.
    fn combine(
        &self,
        source: Option<Record>,
        result: &mut [u8],
        combine: impl Fn(&mut u8, u8),
    ) -> usize {
        let Some(record) = source else { return 0 };
        let (value, mut at) = (record.value(), 0);
        let length = value.length();
        shard::visit(value, self.state.cold.as_deref(), 0..length, &mut |chunk| {
            let bytes = result[at..].iter_mut().zip(chunk);
            bytes.for_each(|(to, from)| combine(to, *from));
            at += chunk.len();
            true
        });
        length
    }
}
