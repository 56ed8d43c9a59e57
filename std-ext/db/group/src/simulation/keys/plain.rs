//! The encoding of [`PlainKeys`](super::PlainKeys).

use super::codec::{Codec, Lifetime, Op};
use crate::{EntryFormat, Epoch, NodeId};

const SET: u8 = 1;
const SET_UNTIL: u8 = 2;
const SET_KEPT: u8 = 3;
const DELETE: u8 = 4;
const ADD: u8 = 7;
const APPEND: u8 = 8;
const CLOCK: u8 = 12;
const BEGIN: u8 = 13;
const WATERMARK: u8 = 14;

/// A byte for the kind of operation, and its operands. Numbers are varints, texts begin with their length.
///
/// The bytes are those of hedgerow-db's log: the sizes of entries decide what a seed meets, and seeds are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plain;

impl EntryFormat for Plain {
    fn begin(&self, epoch: Epoch, node: NodeId) -> Vec<u8> {
        let mut changes = vec![BEGIN];
        number(epoch, &mut changes);
        changes.extend_from_slice(&node.0);
        changes
    }

    fn sets_clock_back(&self, changes: &[u8]) -> bool {
        changes.first() == Some(&CLOCK)
    }
}

impl Codec for Plain {
    const FORMAT: &'static dyn EntryFormat = &Self;

    fn encode(op: &Op<'_>, into: &mut Vec<u8>) {
        match *op {
            Op::Set { key, value, lifetime } => {
                into.push(match lifetime {
                    Lifetime::Unlimited => SET,
                    Lifetime::Until(_) => SET_UNTIL,
                    Lifetime::Kept => SET_KEPT,
                });
                text(key, into);
                if let Lifetime::Until(end) = lifetime {
                    number(end, into);
                }
                text(value, into);
            }
            Op::Delete(key) => {
                into.push(DELETE);
                text(key, into);
            }
            Op::Add(key, by) => {
                into.push(ADD);
                text(key, into);
                into.extend_from_slice(&by.to_le_bytes());
            }
            Op::Append(key, tail) => {
                into.push(APPEND);
                text(key, into);
                text(tail, into);
            }
            Op::Watermark(time) => {
                into.push(WATERMARK);
                number(time, into);
            }
            Op::Clock(latest) => {
                into.push(CLOCK);
                number(latest, into);
            }
            // The protocol writes it.
            Op::Begin | Op::Nothing => {}
        }
    }

    fn decode(changes: &[u8]) -> Result<Vec<Op<'_>>, String> {
        let (mut operations, mut rest) = (Vec::new(), Bytes(changes));
        while !rest.0.is_empty() {
            operations.push(rest.operation().ok_or("an operation is unknown or cut off")?);
        }
        Ok(operations)
    }
}

fn number(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn text(bytes: &[u8], into: &mut Vec<u8>) {
    number(bytes.len() as u64, into);
    into.extend_from_slice(bytes);
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7F).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(number);
            }
            shift += 7;
        }
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    fn operation(&mut self) -> Option<Op<'a>> {
        let kind = self.take(1)?[0];
        Some(match kind {
            SET | SET_UNTIL | SET_KEPT => {
                let key = self.text()?;
                let lifetime = match kind {
                    SET => Lifetime::Unlimited,
                    SET_UNTIL => Lifetime::Until(self.number()?),
                    _ => Lifetime::Kept,
                };
                Op::Set { key, value: self.text()?, lifetime }
            }
            DELETE => Op::Delete(self.text()?),
            ADD => Op::Add(self.text()?, i64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            APPEND => Op::Append(self.text()?, self.text()?),
            CLOCK => Op::Clock(self.number()?),
            BEGIN => {
                self.number()?;
                self.take(20)?;
                Op::Begin
            }
            WATERMARK => Op::Watermark(self.number()?),
            _ => return None,
        })
    }
}
