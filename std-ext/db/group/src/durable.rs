//! When a node puts the record of what it has on disk.

/// How often the key is put if the value stays the same, in milliseconds.
const AGAIN: u64 = 3000;
/// The same once the store has confirmed it [`SURE`] times.
const REST: u64 = 30_000;
/// A put that was given up may be done behind the first one that is confirmed, and hardly behind the second.
const SURE: u32 = 2;

/// The value that the node's key shall have, and when it is put next.
///
/// A put may fail, or be done behind a later one, and no later value may ever come: the primary refuses changes while
/// the store has little quota left, which ends once the keys say that the members have the changes on disk. A node that
/// begins with an older folder must take back what it said before, too. So the last value is put again and again; not
/// often once the store has confirmed it, because each put is written to the disks of all its members.
pub struct DurableKey<T> {
    value: Option<T>,
    /// How often the store has confirmed the value.
    confirmed: u32,
    /// When it is put next, boot time.
    due: u64,
}

impl<T> Default for DurableKey<T> {
    fn default() -> Self {
        Self { value: None, confirmed: 0, due: 0 }
    }
}

impl<T: Clone + PartialEq> DurableKey<T> {
    /// Sets the value, and makes it due at once.
    pub fn set(&mut self, value: T) {
        *self = Self { value: Some(value), ..Self::default() };
    }

    /// Notes that the store has confirmed a put of this value.
    pub fn confirm(&mut self, value: &T) {
        if self.value.as_ref() == Some(value) {
            self.confirmed = self.confirmed.saturating_add(1);
        }
    }

    /// Returns the value if it is time to put it.
    pub fn due(&mut self, now: u64) -> Option<T> {
        let value = self.value.clone().filter(|_| now >= self.due)?;
        self.due = now + if self.confirmed < SURE { AGAIN } else { REST };
        Some(value)
    }
}
