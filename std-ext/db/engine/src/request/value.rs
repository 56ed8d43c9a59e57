//! Whole values, as the log, snapshots, dumps and the nodes of a cluster exchange them.

use super::packed::{Packed, Packer};
use super::value_type::ValueType;
use std::fmt;

/// A whole value, or a part of a long one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredValue<'a> {
    /// A string.
    String(&'a [u8]),
    /// A value of another type.
    Packed(Packed<'a>),
}

impl<'a> StoredValue<'a> {
    /// Returns the packed value, unless this is a string.
    pub fn packed(self) -> Option<Packed<'a>> {
        match self {
            Self::String(_) => None,
            Self::Packed(packed) => Some(packed),
        }
    }

    /// Returns the value of a type other than string that these bytes are, if they are one.
    pub fn of_typed(bytes: &'a [u8]) -> Option<Self> {
        Packed::parse(bytes).map(Self::Packed)
    }

    /// Returns the type.
    pub fn value_type(self) -> ValueType {
        self.packed().map_or(ValueType::String, Packed::value_type)
    }

    /// Returns whether it is of another type than string, so that its bytes begin with the type.
    pub fn is_typed(self) -> bool {
        self.packed().is_some()
    }

    /// Returns the bytes that are stored. A reader must know whether they are a string.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::String(bytes) => bytes,
            Self::Packed(packed) => packed.bytes(),
        }
    }

    /// Returns whether this is a further part of the value of the same key.
    pub fn continues(self) -> bool {
        self.packed().is_some_and(Packed::continues)
    }

    /// Copies the value.
    pub fn to_owned(self) -> OwnedValue {
        OwnedValue { is_string: matches!(self, Self::String(_)), bytes: self.bytes().to_vec() }
    }
}

impl Packer {
    /// Returns the value with its bytes.
    pub fn into_owned(self) -> OwnedValue {
        OwnedValue { is_string: false, bytes: self.into_buffer() }
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
        StoredValue::Packed(Packed::trusted(&self.bytes))
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
