//! The items of a collection, in every encoding: the elements of a list or a set, the members of a sorted set with
//! their scores, the fields of a hash with their values. Hashes with fields that expire are not read.

use crate::rdb::packed::{Fault, PackedCursor};
use crate::rdb::skip::{Kind, ValuePart, ValueShape, described};
use crate::rdb::source::Source;
use crate::rdb::{HashPair, PACKED_NODE, PLAIN_NODE, RdbError, ScoredMember, score};
use std::io::BufRead;

/// The types of hashes with fields that expire.
const EXPIRING_HASHES: std::ops::RangeInclusive<u8> = 22..=25;

const NO_SCORE: Fault = "the score of a sorted set is not a number";
const NO_PARTNER: Fault = "a field without a value, or a member without a score";

/// What a collection has many of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Item<'a> {
    Element(&'a [u8]),
    Scored(ScoredMember<'a>),
    Pair(HashPair<'a>),
}

/// A collection that is read item by item.
pub(super) struct Body {
    kind: Kind,
    /// What is repeated: an item, or a packed value with several.
    parts: &'static [ValuePart],
    /// How many of them follow, or `None` if their count was not read.
    left: Option<u64>,
    packed: Option<(Vec<u8>, PackedCursor)>,
    /// The last item, as far as it is not part of a packed value.
    strings: [Vec<u8>; 2],
    score: f64,
    integers: [itoa::Buffer; 2],
}

impl Body {
    /// Begins a value of this type, or returns `None` if it is not read item by item.
    pub(super) fn new(number: u8) -> Option<Self> {
        let (kind, shape) = described(number)?;
        let (left, parts) = match shape {
            _ if EXPIRING_HASHES.contains(&number) => return None,
            ValueShape::Once(parts) => (Some(1), parts),
            ValueShape::Repeated(parts) => (None, parts),
            _ => return None,
        };
        let integers = [itoa::Buffer::new(), itoa::Buffer::new()];
        Some(Self {
            kind: kind?,
            parts,
            left,
            packed: None,
            strings: [vec![], vec![]],
            score: 0.0,
            integers,
        })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the next item, or `None` after the last.
    pub(super) fn next<R: BufRead>(
        &mut self,
        source: &mut Source<R>,
    ) -> Result<Option<Item<'_>>, RdbError> {
        if !self.find(source)? {
            return Ok(None);
        }
        let Some((bytes, cursor)) = &mut self.packed else {
            let [first, second] = &self.strings;
            return Ok(Some(match self.kind {
                Kind::Hash => Item::Pair((first, second)),
                Kind::SortedSet => Item::Scored((first, self.score)),
                _ => Item::Element(first),
            }));
        };
        let item = packed_item(self.kind, bytes, cursor, &mut self.integers);
        item.map(Some).map_err(|why| source.damaged(why))
    }

    /// Reads up to the next item, which is in `strings` then, or at the cursor. Returns whether there is one.
    fn find<R: BufRead>(&mut self, source: &mut Source<R>) -> Result<bool, RdbError> {
        loop {
            if let Some((bytes, cursor)) = &self.packed {
                if !cursor.is_at_end(bytes) {
                    return Ok(true);
                }
                cursor.check_end(bytes).map_err(|why| source.damaged(why))?;
                self.packed = None;
            }
            let left = match self.left {
                Some(left) => left,
                None => source.length()?,
            };
            self.left = Some(left.saturating_sub(1));
            if left == 0 {
                return Ok(false);
            }
            self.read_parts(source)?;
            // A list may have packed nodes without elements, which Redis reads over.
            if self.packed.is_none() {
                return Ok(true);
            }
        }
    }

    fn read_parts<R: BufRead>(&mut self, source: &mut Source<R>) -> Result<(), RdbError> {
        let (mut strings, mut is_plain) = (self.strings.iter_mut(), false);
        for part in self.parts {
            match part {
                ValuePart::String => {
                    if let Some(string) = strings.next() {
                        source.string_into(string)?;
                    }
                }
                ValuePart::Container => {
                    is_plain = match source.length()? {
                        PLAIN_NODE => true,
                        PACKED_NODE => false,
                        _ => return Err(source.damaged("a node of a list has an unknown kind")),
                    }
                }
                ValuePart::Packed(_) if is_plain => {
                    if let Some(string) = strings.next() {
                        source.string_into(string)?;
                        if string.is_empty() {
                            return Err(source.damaged("a plain node of a list is empty"));
                        }
                    }
                }
                ValuePart::Packed(encoding) => {
                    let bytes = source.string()?;
                    let cursor =
                        PackedCursor::new(*encoding, &bytes).map_err(|why| source.damaged(why))?;
                    self.packed = Some((bytes, cursor));
                }
                ValuePart::Binary => self.score = f64::from_le_bytes(source.array()?),
                ValuePart::Text => self.score = source.fraction()?,
                ValuePart::Time | ValuePart::ExpiresIn => {}
            }
        }
        if self.score.is_nan() { Err(source.damaged(NO_SCORE)) } else { Ok(()) }
    }

    /// Reads over the items that were not read. A packed value is not checked.
    pub(super) fn skip<R: BufRead>(self, source: &mut Source<R>) -> Result<(), RdbError> {
        let left = match self.left {
            Some(left) => left,
            None => source.length()?,
        };
        source.skip_parts(left, self.parts)
    }
}

/// Returns the item at a cursor that is not at the end.
fn packed_item<'a>(
    kind: Kind,
    bytes: &'a [u8],
    cursor: &mut PackedCursor,
    [first, second]: &'a mut [itoa::Buffer; 2],
) -> Result<Item<'a>, Fault> {
    let mut element = || cursor.next(bytes)?.ok_or(NO_PARTNER);
    let text = element()?.text(first);
    Ok(match kind {
        Kind::Hash => Item::Pair((text, element()?.text(second))),
        Kind::SortedSet => Item::Scored((text, score::of_element(element()?).ok_or(NO_SCORE)?)),
        _ => Item::Element(text),
    })
}
