//! The [limits of encodings](EncodingLimit), which can be set at run time, and count for values that change from then
//! on.

use crate::encodings::{EncodingLimit, EncodingLimits};
use crate::number;
use crate::request::{Packed, ValueType};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The limits of all types.
#[derive(Debug)]
pub struct SharedEncodingLimits([AtomicUsize; EncodingLimit::ALL.len()]);

impl SharedEncodingLimits {
    pub fn new(limits: &EncodingLimits) -> Self {
        Self(EncodingLimit::ALL.map(|limit| AtomicUsize::new(limits.get(limit))))
    }

    #[inline]
    pub fn get(&self, limit: EncodingLimit) -> usize {
        // Relaxed: settings, each by itself.
        self.0[limit as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, limit: EncodingLimit, most: usize) {
        // Relaxed: as above.
        self.0[limit as usize].store(most, Ordering::Relaxed);
    }

    /// Returns whether Redis would store a value of this many entries in its larger form, once this name was added with
    /// this value.
    #[inline]
    pub(crate) fn is_table(
        &self,
        value_type: ValueType,
        entries: usize,
        (name, value): (&[u8], &[u8]),
    ) -> bool {
        match value_type {
            ValueType::Hash => {
                name.len().max(value.len()) > self.get(EncodingLimit::HashValue)
                    || entries > self.get(EncodingLimit::HashEntries)
            }
            ValueType::Set => {
                entries > self.get(EncodingLimit::SetIntegers) || number::integer(name).is_none()
            }
            ValueType::SortedSet => {
                name.len() > self.get(EncodingLimit::SortedSetValue)
                    || entries > self.get(EncodingLimit::SortedSetEntries)
            }
            ValueType::List | ValueType::Stream | ValueType::String => false,
        }
    }

    /// Returns whether Redis would store a packed value in its larger form.
    pub(crate) fn is_packed_table(&self, packed: Packed<'_>) -> bool {
        let (value_type, len) = (packed.value_type(), packed.len());
        packed.iter().any(|entry| self.is_table(value_type, len, entry))
    }
}

impl Default for SharedEncodingLimits {
    fn default() -> Self {
        Self::new(&EncodingLimits::default())
    }
}
