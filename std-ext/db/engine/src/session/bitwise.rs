//! Bitwise operations on the values of several keys.

use super::multi_key::ApplyMany;
use crate::request::{Answer, Bitwise, Expiry, LONGEST_KEY, RequestError};
use crate::state::record::Record;
use crate::state::value::string;

#[cfg(test)]
thread_local! {
    /// How many values this thread has combined with others.
    static COMBINED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl ApplyMany<'_, '_> {
    /// Stores the result of an operation. The log gets the result: replay of a name for it would need the other keys as
    /// they were, and a snapshot may have them as they were later.
    pub(super) fn bitwise(&mut self, op: Bitwise, to: &[u8], keys: &[&[u8]]) -> Answer<'static> {
        let found: Vec<Option<Record>> = keys.iter().map(|key| self.find_source(key)).collect();
        let mut length = 0;
        for record in found.iter().flatten() {
            let Some(value) = record.string() else {
                return Answer::Error(RequestError::WrongType);
            };
            length = length.max(value.length());
        }
        let Some(left) = self.left.checked_sub(length) else {
            return Answer::Error(self.state.too_long());
        };
        self.left = left;
        if length == 0 {
            self.delete(to);
            return Answer::Int(0);
        }
        if to.len() > LONGEST_KEY {
            return Answer::Error(RequestError::KeyTooLong);
        }
        let result = self.combined(op, found, length);
        self.set(to, &result, Expiry::Never);
        Answer::count(length)
    }

    /// Returns the result of an operation on values, of which the longest has this length.
    fn combined(&self, op: Bitwise, mut found: Vec<Option<Record>>, length: usize) -> Vec<u8> {
        if op == Bitwise::One {
            return self.bits_of_one(found, length);
        }
        if matches!(op, Bitwise::Diff | Bitwise::Diff1 | Bitwise::AndOr) {
            let others = found.split_off(1);
            return self.compared(op, found[0], self.combined(Bitwise::Or, others, length));
        }
        let mut result = vec![0; length];
        // NOT has one operand.
        if op == Bitwise::Not {
            found.truncate(1);
        }
        // A missing value is all zeros.
        if op == Bitwise::And && found.contains(&None) {
            return result;
        }
        let mut sources = distinct(op, found).into_iter();
        if let Some(first) = sources.next() {
            self.combine(first, &mut result, |to, from| *to = from);
        }
        for source in sources {
            let end = match op {
                Bitwise::And => self.combine(source, &mut result, |to, from| *to &= from),
                Bitwise::Or => self.combine(source, &mut result, |to, from| *to |= from),
                _ => self.combine(source, &mut result, |to, from| *to ^= from),
            };
            // Zeros follow a shorter value, which only AND does not keep.
            if op == Bitwise::And {
                result[end..].fill(0);
            }
        }
        if op == Bitwise::Not {
            for byte in &mut result {
                *byte = !*byte;
            }
        }
        result
    }

    /// Combines the first value with the bits that any other has.
    fn compared(&self, op: Bitwise, first: Option<Record>, mut others: Vec<u8>) -> Vec<u8> {
        let end = first.map_or(0, |first| match op {
            Bitwise::Diff => self.combine(first, &mut others, |to, from| *to = from & !*to),
            Bitwise::Diff1 => self.combine(first, &mut others, |to, from| *to &= !from),
            _ => self.combine(first, &mut others, |to, from| *to &= from),
        });
        // Zeros follow a shorter value.
        if op != Bitwise::Diff1 {
            others[end..].fill(0);
        }
        others
    }

    /// Returns the bits that exactly one of the values has.
    fn bits_of_one(&self, found: Vec<Option<Record>>, length: usize) -> Vec<u8> {
        // Of each byte the bits that a value has, and those that several have.
        let mut bits = vec![[0_u8; 2]; length];
        for (record, times) in counted(found) {
            self.combine(record, &mut bits, |[any, several], from| {
                *several |= if times > 1 { from } else { *any & from };
                *any |= from;
            });
        }
        bits.into_iter().map(|[any, several]| any & !several).collect()
    }

    /// Combines each byte of the result with that of a value. Returns the value's length.
    fn combine<T>(&self, record: Record, result: &mut [T], combine: impl Fn(&mut T, u8)) -> usize {
        #[cfg(test)]
        COMBINED.set(COMBINED.get() + 1);
        // The types were checked.
        let Some(value) = record.string() else { return 0 };
        let (length, mut at) = (value.length(), 0);
        string::visit(value, self.state.cold.as_deref(), 0..length, &mut |chunk| {
            let bytes = result[at..].iter_mut().zip(chunk);
            bytes.for_each(|(to, from)| combine(to, *from));
            at += chunk.len();
            true
        });
        length
    }
}

/// Returns the values that decide the result, each once.
fn distinct(op: Bitwise, found: Vec<Option<Record>>) -> Vec<Record> {
    // Two equal values of an XOR are zeros together.
    let counts = |times: usize| op != Bitwise::Xor || times % 2 == 1;
    let all = counted(found).into_iter();
    all.filter(|(_, times)| counts(*times)).map(|(record, _)| record).collect()
}

/// Returns each value once, and how often it was named. A request of a few bytes for each name may have a million names
/// of one value of 512 MiB.
fn counted(found: Vec<Option<Record>>) -> Vec<(Record, usize)> {
    let mut all: Vec<Record> = found.into_iter().flatten().collect();
    all.sort_unstable_by_key(|record| record.address());
    let groups = all.chunk_by(|one, other| one.address() == other.address());
    groups.map(|same| (same[0], same.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{MultiKeyOp, Query, Request};
    use crate::{Db, Options, Session};

    /// Executes a request, and returns the number or bytes that it answers.
    fn execute(session: &mut Session, request: Request<'_>) -> (i64, Vec<u8>) {
        let mut made = (0, Vec::new());
        session.execute(&[request], &mut |_, answer| match answer {
            Answer::Int(number) => made.0 = number,
            Answer::Bytes(bytes) => made.1 = bytes.to_vec(),
            other => panic!("{other:?}"),
        });
        made
    }

    #[test]
    fn a_value_is_read_once_although_it_is_named_often() {
        let db = Db::open(Options::in_memory()).unwrap();
        db.set_all(&[(b"a", b"abc"), (b"b", b"ab")]).unwrap();
        let mut session = db.session();
        let (a, b): (&[u8], &[u8]) = (b"a", b"b");
        let many = [a; 1000];
        let and = |more: &[&'static [u8]]| [&many, more].concat();
        let before =
            |first: &[&'static [u8]], last: &[&'static [u8]]| [first, &many, last].concat();
        for (op, keys, wanted, read) in [
            (Bitwise::And, and(&[]), b"abc", 1),
            (Bitwise::And, and(&[b"missing"]), b"\0\0\0", 0),
            (Bitwise::And, and(&[b]), b"ab\0", 2),
            (Bitwise::Or, before(&[b], &[]), b"abc", 2),
            (Bitwise::Xor, and(&[]), b"\0\0\0", 0),
            (Bitwise::Xor, and(&[a]), b"abc", 1),
            (Bitwise::Xor, and(&[b]), b"ab\0", 1),
            (Bitwise::One, and(&[b]), b"\0\0\0", 2),
            (Bitwise::Diff, before(&[a], &[b]), b"\0\0\0", 3),
        ] {
            COMBINED.set(0);
            let request = Request::MultiKey(MultiKeyOp::Bitwise { op, to: b"to", keys: &keys });
            assert_eq!(execute(&mut session, request).0, 3, "{op:?}");
            assert_eq!(COMBINED.get(), read, "values that {op:?} reads");
            let (_, found) = execute(&mut session, Request::Read(b"to", Query::Value));
            assert_eq!(found, wanted, "{op:?}");
        }
    }
}
