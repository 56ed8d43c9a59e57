//! What layers above the state keep for each state: [`Extensions`].

use std::any::Any;
use std::sync::OnceLock;

/// How many types of values there are at most.
const TYPES: usize = 4;

/// Values that live as long as the state, at most one of each type. The state knows none of these types.
///
/// A value must not own the state, which would never be freed.
#[derive(Default)]
pub struct Extensions([OnceLock<Box<dyn Any + Send + Sync>>; TYPES]);

impl Extensions {
    /// Returns the value of a type. The first call makes it by `make`, which must not use the extensions.
    ///
    /// # Panics
    /// If there are values of too many other types.
    pub fn get_or_init<T: Any + Send + Sync>(&self, make: impl Fn() -> T) -> &T {
        // All threads begin with the first slot, so a type never gets two.
        let mut slots = self.0.iter().map(|slot| slot.get_or_init(|| Box::new(make())));
        slots.find_map(|value| value.downcast_ref()).expect("there are few types")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_one_value() {
        let extensions = Extensions::default();
        assert_eq!(*extensions.get_or_init(|| 1_u64), 1);
        assert_eq!(*extensions.get_or_init(|| "a text"), "a text");
        assert_eq!(*extensions.get_or_init(|| 2_u64), 1, "a value is replaced");
        assert_eq!(*extensions.get_or_init(|| ""), "a text", "a value is replaced");
    }
}
