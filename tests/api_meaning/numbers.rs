//! What operations return, as numbers: maps differ in the type of a value.

use hedgerow::Computed;
use hedgerow::compressed::codec::Corrupt;
use hedgerow::error::{Full, OccupiedError};
use hedgerow::owned::{KeyRef, Ref, Removed, RemovedBytes};

/// The number that a map's value, or an entry, stands for.
pub(super) trait Number {
    fn number(&self) -> u64;
}

impl Number for u64 {
    fn number(&self) -> u64 {
        *self
    }
}

impl Number for [u8] {
    fn number(&self) -> u64 {
        u64::from_le_bytes(self.try_into().expect("eight bytes"))
    }
}

impl Number for [u8; 8] {
    fn number(&self) -> u64 {
        self[..].number()
    }
}

impl Number for Vec<u8> {
    fn number(&self) -> u64 {
        self[..].number()
    }
}

impl<T: Number + ?Sized> Number for &T {
    fn number(&self) -> u64 {
        (**self).number()
    }
}

impl<T: Number + ?Sized> Number for &mut T {
    fn number(&self) -> u64 {
        (**self).number()
    }
}

impl<K: ?Sized, V: Number + ?Sized> Number for Ref<'_, K, V> {
    fn number(&self) -> u64 {
        self.value().number()
    }
}

impl<K: Number + ?Sized> Number for KeyRef<'_, K> {
    fn number(&self) -> u64 {
        (**self).number()
    }
}

impl<K, V: Number> Number for Removed<'_, K, V> {
    fn number(&self) -> u64 {
        self.value().number()
    }
}

impl Number for RemovedBytes<'_> {
    fn number(&self) -> u64 {
        self.value().number()
    }
}

/// The numbers that a key and its value stand for.
pub(super) trait Pair {
    fn numbers(&self) -> (u64, u64);
}

impl<K: Number, V: Number> Pair for (K, V) {
    fn numbers(&self) -> (u64, u64) {
        (self.0.number(), self.1.number())
    }
}

impl<K: Number + ?Sized, V: Number + ?Sized> Pair for Ref<'_, K, V> {
    fn numbers(&self) -> (u64, u64) {
        (self.key().number(), self.value().number())
    }
}

impl<K: Number, V: Number> Pair for Removed<'_, K, V> {
    fn numbers(&self) -> (u64, u64) {
        (self.key().number(), self.value().number())
    }
}

impl Pair for RemovedBytes<'_> {
    fn numbers(&self) -> (u64, u64) {
        (self.key().number(), self.value().number())
    }
}

/// The entries that an iterator returns, in order.
pub(super) fn sorted<T: Pair>(entries: impl IntoIterator<Item = T>) -> Vec<(u64, u64)> {
    let mut all: Vec<_> = entries.into_iter().map(|entry| entry.numbers()).collect();
    all.sort_unstable();
    all
}

/// The result of an operation that may store, apart from a lack of room.
pub(super) trait Stored {
    type Answer;
    fn stored(self) -> Self::Answer;
}

impl<T> Stored for Option<T> {
    type Answer = Self;
    fn stored(self) -> Self {
        self
    }
}

impl<T> Stored for Computed<T> {
    type Answer = Self;
    fn stored(self) -> Self {
        self
    }
}

impl<K, V, C> Stored for Result<(), OccupiedError<K, V, C>> {
    type Answer = Self;
    fn stored(self) -> Self {
        self
    }
}

impl<T, K, V> Stored for Result<T, Full<K, V>> {
    type Answer = T;
    fn stored(self) -> T {
        self.ok().expect("there is room")
    }
}

/// The value that `get_or_default` returns, if nothing is damaged.
pub(super) trait Whole {
    type Value;
    fn whole(self) -> Self::Value;
}

impl Whole for u64 {
    type Value = Self;
    fn whole(self) -> Self {
        self
    }
}

impl Whole for Vec<u8> {
    type Value = Self;
    fn whole(self) -> Self {
        self
    }
}

impl<T> Whole for Result<T, Corrupt> {
    type Value = T;
    fn whole(self) -> T {
        self.expect("nothing is damaged")
    }
}

pub(super) fn numbers<T: Number>(answer: Option<T>) -> Option<u64> {
    answer.map(|value| value.number())
}

pub(super) fn both<T: Number>(computed: Computed<T>) -> (Option<u64>, Option<u64>) {
    (numbers(computed.before), numbers(computed.after))
}
