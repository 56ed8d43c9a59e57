//! What a record's value is.
//!
//! A type of value is a variant of [`Value`] and a file here. Each part of the database that looks inside values asks
//! this module: the compiler names the places that a further type has to fill in.

pub mod hash;
pub(crate) mod stored_string;
pub(crate) mod string;

use crate::request::{PackedHash, StoredValue, ValueType};
use crate::state::cold::ColdStore;
use hash::HashValue;
use string::StringValue;

/// A value as a record stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Bytes.
    String(StringValue<'a>),
    /// Fields with a value each.
    Hash(HashValue<'a>),
}

impl<'a> Value<'a> {
    /// Returns the type.
    pub fn value_type(self) -> ValueType {
        match self {
            Self::String(_) => ValueType::String,
            Self::Hash(_) => ValueType::Hash,
        }
    }

    /// Returns the string, if it is one.
    #[inline]
    pub fn string(self) -> Option<StringValue<'a>> {
        match self {
            Self::String(value) => Some(value),
            Self::Hash(_) => None,
        }
    }

    /// Returns the approximate bytes that it takes in the log or in a dump.
    pub(crate) fn stored_bytes(self) -> usize {
        match self {
            Self::String(value) => value.length(),
            Self::Hash(value) => value.stored_bytes(),
        }
    }

    /// Calls `with` with the whole value, and returns the result. A long hash is copied.
    pub(crate) fn with_stored<R>(
        self,
        cold: Option<&ColdStore>,
        with: impl FnOnce(StoredValue<'_>) -> R,
    ) -> R {
        match self {
            Self::String(value) => {
                string::read(value, cold, |value| with(StoredValue::String(value)))
            }
            Self::Hash(value) => value.with_packed(|packed| with(StoredValue::Hash(packed))),
        }
    }

    /// Calls `each` with the value: a string as a whole, a long hash in parts of some 64 KiB or one field.
    pub(crate) fn each_part(self, cold: Option<&ColdStore>, each: &mut dyn FnMut(StoredValue<'_>)) {
        match self {
            Self::String(value) => {
                string::read(value, cold, |value| each(StoredValue::String(value)));
            }
            Self::Hash(value) => {
                value.each_part(&mut |packed: PackedHash<'_>| each(StoredValue::Hash(packed)));
            }
        }
    }
}
