//! Whole values, as the log, snapshots, dumps and the nodes of a cluster exchange them.
//!
//! A hash is packed into bytes:
//!
//! ```text
//! head 8 | number of fields 32 | for each: field's length, varint | field | value's length, varint | value
//! head: type 4 bits | reserved | IS_TREE | IS_TABLE | CONTINUES
//! ```
//!
//! A long hash is several parts, each of which is packed like this. All but the first have [`CONTINUES`] set: their
//! fields are added to those before. So nobody needs the memory for a whole one.

use std::collections::HashSet;
use std::fmt;

/// The type in the head of a packed hash.
const HASH: u8 = 1;
const TYPE: u8 = 0x0F;
/// The hash is stored in a tree. Without it the hash would be in another order after a restart.
const IS_TREE: u8 = 1 << 5;
/// Redis would store the hash as a table.
const IS_TABLE: u8 = 1 << 6;
/// This is a further part of the value of the same key.
const CONTINUES: u8 = 1 << 7;
/// Bytes before the first field.
const HEAD: usize = 5;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueType {
    /// Bytes.
    String,
    /// Fields with a value each.
    Hash,
}

impl ValueType {
    /// Returns Redis's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Hash => "hash",
        }
    }
}

/// A whole value, or a part of a long one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoredValue<'a> {
    /// A string.
    String(&'a [u8]),
    /// A hash.
    Hash(PackedHash<'a>),
}

impl<'a> StoredValue<'a> {
    /// Returns the value of a type other than string that these bytes are, if they are one.
    pub fn of_typed(bytes: &'a [u8]) -> Option<Self> {
        match bytes.first()? & TYPE {
            HASH => PackedHash::parse(bytes).map(Self::Hash),
            _ => None,
        }
    }

    /// Returns the type.
    pub fn value_type(self) -> ValueType {
        match self {
            Self::String(_) => ValueType::String,
            Self::Hash(_) => ValueType::Hash,
        }
    }

    /// Returns whether it is of another type than string, so that its bytes begin with the type.
    pub fn is_typed(self) -> bool {
        !matches!(self, Self::String(_))
    }

    /// Returns the bytes that are stored. A reader must know whether they are a string.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::String(bytes) => bytes,
            Self::Hash(hash) => hash.bytes,
        }
    }

    /// Returns whether this is a further part of the value of the same key.
    pub fn continues(self) -> bool {
        match self {
            Self::String(_) => false,
            Self::Hash(hash) => hash.continues(),
        }
    }

    /// Copies the value.
    pub fn to_owned(self) -> OwnedValue {
        OwnedValue { is_string: matches!(self, Self::String(_)), bytes: self.bytes().to_vec() }
    }
}

/// A whole value, or a part of a long one, that owns its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedValue {
    is_string: bool,
    bytes: Vec<u8>,
}

impl OwnedValue {
    /// Returns the string of these bytes.
    pub fn string(bytes: Vec<u8>) -> Self {
        Self { is_string: true, bytes }
    }

    /// Returns the value of a type other than string that these bytes are, if they are one.
    pub fn typed(bytes: Vec<u8>) -> Option<Self> {
        StoredValue::of_typed(&bytes)?;
        Some(Self { is_string: false, bytes })
    }

    /// Returns the value.
    pub fn stored(&self) -> StoredValue<'_> {
        if self.is_string {
            return StoredValue::String(&self.bytes);
        }
        // Checked when it was made.
        StoredValue::Hash(PackedHash { bytes: &self.bytes })
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether it is the empty string.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl fmt::Debug for OwnedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stored().fmt(f)
    }
}

/// A hash, or a part of one, packed into bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PackedHash<'a> {
    bytes: &'a [u8],
}

impl<'a> PackedHash<'a> {
    /// Returns the hash of these bytes if they have the right form. O(n). Does not compare the fields.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
        if head[0] & TYPE != HASH {
            return None;
        }
        let (mut rest, mut left) = (rest, Self { bytes }.len());
        while !rest.is_empty() {
            let (_, _, behind) = take_pair(rest)?;
            rest = behind;
            left = left.checked_sub(1)?;
        }
        (left == 0).then_some(Self { bytes })
    }

    /// As `parse`, of bytes that have the right form.
    pub(crate) fn trusted(bytes: &'a [u8]) -> Self {
        debug_assert!(Self::parse(bytes).is_some(), "bytes that were never packed");
        Self { bytes }
    }

    /// Returns the bytes that these fields take.
    pub(crate) fn len_of<'p>(pairs: impl Iterator<Item = (&'p [u8], &'p [u8])>) -> usize {
        let long = |bytes: &[u8]| varint(bytes.len(), &mut [0; 10]).len() + bytes.len();
        HEAD + pairs.map(|(field, value)| long(field) + long(value)).sum::<usize>()
    }

    /// Writes a part with these fields, which may be the same.
    pub(crate) fn write_part<'p>(
        pairs: impl ExactSizeIterator<Item = (&'p [u8], &'p [u8])>,
        into: &mut Vec<u8>,
    ) {
        into.push(HASH | CONTINUES);
        into.extend_from_slice(&(pairs.len() as u32).to_le_bytes());
        for (field, value) in pairs {
            push(field, into);
            push(value, into);
        }
    }

    /// Returns all bytes.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the number of fields.
    #[inline]
    pub fn len(self) -> usize {
        let number = self.bytes[1..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        number as usize
    }

    /// Returns whether there are no fields.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Returns whether two fields are the same. O(n).
    pub fn has_field_twice(self) -> bool {
        let fields: HashSet<_> = self.iter().map(|(field, _)| field).collect();
        fields.len() < self.len()
    }

    /// Returns whether Redis would store the hash as a table: it has, or once had, many fields or a long one.
    pub fn is_table(self) -> bool {
        self.bytes[0] & IS_TABLE != 0
    }

    /// Returns whether the hash is stored in a tree.
    pub(crate) fn is_tree(self) -> bool {
        self.bytes[0] & IS_TREE != 0
    }

    /// Returns whether the fields are to be added to those of the key's value.
    pub fn continues(self) -> bool {
        self.bytes[0] & CONTINUES != 0
    }

    /// Returns the fields with their values.
    #[inline]
    pub fn iter(self) -> PackedPairs<'a> {
        PackedPairs { rest: &self.bytes[HEAD..] }
    }

    /// Returns the value of a field. O(n).
    pub(crate) fn get(self, field: &[u8]) -> Option<&'a [u8]> {
        self.iter().find(|(name, _)| *name == field).map(|(_, value)| value)
    }
}

impl fmt::Debug for PackedHash<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// The fields of a [`PackedHash`] with their values.
#[derive(Clone, Debug)]
pub struct PackedPairs<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for PackedPairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (field, value, rest) = take_pair(self.rest)?;
        self.rest = rest;
        Some((field, value))
    }
}

#[inline]
fn take_pair(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (field, rest) = take(bytes)?;
    let (value, rest) = take(rest)?;
    Some((field, value, rest))
}

/// Splits off some bytes behind their length.
#[inline]
fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        return rest.split_at_checked((*first).into());
    }
    take_long(bytes)
}

fn take_long(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut length, mut shift, mut rest) = (0, 0, bytes);
    loop {
        let (byte, behind) = rest.split_first()?;
        (length, rest) = (length | u64::from(byte & 0x7F) << shift, behind);
        if *byte < 0x80 {
            return rest.split_at_checked(usize::try_from(length).ok()?);
        }
        shift += 7;
        // No string has so many bytes.
        if shift > 35 {
            return None;
        }
    }
}

/// Packs a hash, or a part of one.
#[derive(Clone, Debug)]
pub struct HashPacker {
    bytes: Vec<u8>,
}

impl Default for HashPacker {
    fn default() -> Self {
        Self::in_buffer(Vec::new())
    }
}

impl HashPacker {
    /// Begins an empty hash.
    pub fn new() -> Self {
        Self::default()
    }

    /// As `new`, in a buffer whose contents are not needed.
    pub(crate) fn in_buffer(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        bytes.extend_from_slice(&[HASH, 0, 0, 0, 0]);
        Self { bytes }
    }

    /// Begins with a copy of a hash, in a buffer.
    pub(crate) fn copy(hash: PackedHash<'_>, mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        bytes.extend_from_slice(hash.bytes);
        Self { bytes }
    }

    /// Says that the fields are to be added to those of the key's value.
    pub fn continuing(mut self) -> Self {
        self.bytes[0] |= CONTINUES;
        self
    }

    /// Says how the hash is stored. It does not continue another.
    pub(crate) fn set_form(&mut self, is_tree: bool, is_table: bool) {
        let (tree, table) =
            (if is_tree { IS_TREE } else { 0 }, if is_table { IS_TABLE } else { 0 });
        self.bytes[0] = HASH | tree | table;
    }

    /// Adds a field. The caller makes sure that it is not there.
    pub fn push(&mut self, field: &[u8], value: &[u8]) {
        push(field, &mut self.bytes);
        push(value, &mut self.bytes);
        self.set_len(self.packed().len() + 1);
    }

    /// Stores a field, in its place if it is there. Returns whether it was missing. O(n).
    pub(crate) fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        let Some((_, at, end)) = self.find(field) else {
            self.push(field, value);
            return true;
        };
        let (mut head, length) = ([0; 10], value.len());
        let head = varint(length, &mut head);
        if end - at == head.len() + length {
            self.bytes[end - length..end].copy_from_slice(value);
        } else {
            drop(self.bytes.splice(at..end, head.iter().chain(value).copied()));
        }
        false
    }

    /// Removes a field. Returns whether it was there. O(n).
    pub(crate) fn remove(&mut self, field: &[u8]) -> bool {
        let Some((begin, _, end)) = self.find(field) else { return false };
        drop(self.bytes.drain(begin..end));
        self.set_len(self.packed().len() - 1);
        true
    }

    /// Returns where a field begins, where the length of its value does, and where the value ends.
    fn find(&self, field: &[u8]) -> Option<(usize, usize, usize)> {
        let mut rest = &self.bytes[HEAD..];
        loop {
            let begin = self.bytes.len() - rest.len();
            let (name, behind) = take(rest)?;
            let at = self.bytes.len() - behind.len();
            (_, rest) = take(behind)?;
            if name == field {
                return Some((begin, at, self.bytes.len() - rest.len()));
            }
        }
    }

    fn set_len(&mut self, len: usize) {
        // Fields take memory, of which there is less.
        self.bytes[1..HEAD].copy_from_slice(&(len as u32).to_le_bytes());
    }

    /// Returns the hash.
    #[inline]
    pub fn packed(&self) -> PackedHash<'_> {
        PackedHash { bytes: &self.bytes }
    }

    /// Returns the hash with its bytes.
    pub fn into_owned(self) -> OwnedValue {
        OwnedValue { is_string: false, bytes: self.bytes }
    }

    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }
}

fn push(bytes: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(varint(bytes.len(), &mut [0; 10]));
    into.extend_from_slice(bytes);
}

/// Encodes a length.
fn varint(mut number: usize, buffer: &mut [u8; 10]) -> &[u8] {
    let mut at = 0;
    while number >= 0x80 {
        buffer[at] = number as u8 | 0x80;
        (number, at) = (number >> 7, at + 1);
    }
    buffer[at] = number as u8;
    &buffer[..=at]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_hash_has_what_was_put_into_it() {
        let mut packer = HashPacker::new();
        let long = vec![7; 40_000];
        let pairs: [(&[u8], &[u8]); 4] =
            [(b"one", b"1"), (b"", b"empty"), (&long, b""), (b"long", &long)];
        for (field, value) in pairs {
            assert!(packer.set(field, value));
        }
        let packed = packer.packed();
        assert_eq!(packed.iter().collect::<Vec<_>>(), pairs);
        assert_eq!(
            (packed.len(), packed.get(b""), packed.get(b"none")),
            (4, Some(&b"empty"[..]), None)
        );
        // Longer, shorter, and of the same length.
        for value in [&long[..], b"", b"x", b"y"] {
            assert!(!packer.set(b"one", value));
            assert_eq!(packer.packed().get(b"one"), Some(value));
            assert_eq!(packer.packed().get(b""), Some(&b"empty"[..]));
        }
        assert!(packer.remove(b"") && !packer.remove(b""));
        assert_eq!(packer.packed().len(), 3);
        let bytes = packer.packed().bytes().to_vec();
        assert_eq!(StoredValue::of_typed(&bytes), Some(StoredValue::Hash(packer.packed())));
        let owned = packer.clone().continuing().into_owned();
        assert!(owned.stored().continues() && !packer.packed().continues());
    }

    #[test]
    fn bytes_of_another_form_are_refused() {
        let mut packer = HashPacker::new();
        packer.push(b"field", &[9; 300]);
        packer.push(b"other", b"value");
        let bytes = packer.packed().bytes();
        for end in 0..bytes.len() {
            assert_eq!(StoredValue::of_typed(&bytes[..end]), None, "{end} bytes");
        }
        let mut wrong = bytes.to_vec();
        wrong[1] = 3;
        assert_eq!(StoredValue::of_typed(&wrong), None, "a field is missing");
        wrong[1] = 1;
        assert_eq!(StoredValue::of_typed(&wrong), None, "a field too many");
        wrong[0] = 2;
        assert_eq!(StoredValue::of_typed(&wrong), None, "another type");
        // A length of more than 64 bits.
        assert_eq!(
            StoredValue::of_typed(&[[HASH, 1, 0, 0, 0].as_slice(), &[0xFF; 20]].concat()),
            None
        );
    }
}
