//! What a record's value is.
//!
//! A type of value is a variant of [`Value`] and a file here. Each part of the database that looks inside values asks
//! this module: the compiler names the places that a further type has to fill in.

pub(crate) mod choose;
pub mod collection;
mod field_times;
pub mod hash;
pub mod list;
mod scored_entry;
pub mod set;
mod sorted_range;
pub mod sorted_set;
pub(crate) mod stored_string;
pub mod stream;
pub(crate) mod string;
mod time_entry;

use crate::request::{StoredValue, ValueType};
use crate::state::cold::ColdStore;
use collection::Collection;
use hash::HashValue;
use list::ListValue;
use set::SetValue;
use sorted_set::SortedSetValue;
use stream::StreamValue;
use string::StringValue;

/// A value as a record stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Bytes.
    String(StringValue<'a>),
    /// Fields with a value each.
    Hash(HashValue<'a>),
    /// Elements in an order.
    List(ListValue<'a>),
    /// Members.
    Set(SetValue<'a>),
    /// Members with scores.
    SortedSet(SortedSetValue<'a>),
    /// Entries, and consumer groups.
    Stream(StreamValue<'a>),
}

impl<'a> Value<'a> {
    /// Returns the value of a type, which is not string.
    #[inline]
    pub(crate) fn of_collection(value_type: ValueType, stored: Collection<'a>) -> Self {
        match value_type {
            ValueType::List => Self::List(ListValue(stored)),
            ValueType::Set => Self::Set(SetValue(stored)),
            ValueType::SortedSet => Self::SortedSet(SortedSetValue(stored)),
            ValueType::Stream => Self::Stream(StreamValue(stored)),
            ValueType::Hash | ValueType::String => Self::Hash(HashValue(stored)),
        }
    }

    /// Returns how a value of another type than string is stored.
    #[inline]
    pub(crate) fn collection(self) -> Option<Collection<'a>> {
        match self {
            Self::String(_) => None,
            Self::Hash(HashValue(stored))
            | Self::List(ListValue(stored))
            | Self::Set(SetValue(stored))
            | Self::SortedSet(SortedSetValue(stored))
            | Self::Stream(StreamValue(stored)) => Some(stored),
        }
    }

    /// Returns the type.
    #[inline]
    pub fn value_type(self) -> ValueType {
        match self {
            Self::String(_) => ValueType::String,
            Self::Hash(_) => ValueType::Hash,
            Self::List(_) => ValueType::List,
            Self::Set(_) => ValueType::Set,
            Self::SortedSet(_) => ValueType::SortedSet,
            Self::Stream(_) => ValueType::Stream,
        }
    }

    /// Returns the string, if it is one.
    #[inline]
    pub fn string(self) -> Option<StringValue<'a>> {
        match self {
            Self::String(value) => Some(value),
            _ => None,
        }
    }

    /// Returns whether Redis would store it in its larger form.
    pub(crate) fn is_table(self) -> bool {
        self.collection().is_some_and(Collection::is_table)
    }

    /// Returns the approximate bytes that it takes in the log or in a dump.
    pub(crate) fn stored_bytes(self) -> usize {
        match self {
            Self::String(value) => value.length(),
            _ => self.collection().map_or(0, Collection::stored_bytes),
        }
    }

    /// Calls `with` with the whole value, and returns the result. A long one is copied.
    pub(crate) fn with_stored<R>(
        self,
        cold: Option<&ColdStore>,
        with: impl FnOnce(StoredValue<'_>) -> R,
    ) -> R {
        match (self, self.collection()) {
            (_, Some(stored)) => {
                stored.with_packed(self.value_type(), |packed| with(StoredValue::Packed(packed)))
            }
            (Self::String(value), None) => {
                string::read(value, cold, |value| with(StoredValue::String(value)))
            }
            (_, None) => with(StoredValue::String(b"")),
        }
    }

    /// Calls `each` with the value: a string as a whole, another long value in parts of some 64 KiB or one entry.
    pub(crate) fn each_part(self, cold: Option<&ColdStore>, each: &mut dyn FnMut(StoredValue<'_>)) {
        if let Self::String(value) = self {
            return string::read(value, cold, |value| each(StoredValue::String(value)));
        }
        let Some(stored) = self.collection() else { return };
        stored.each_part(self.value_type(), &mut |packed| each(StoredValue::Packed(packed)));
    }
}
