//! Maps as two handles, one that writes and one of many that read: those that
//! publish their changes, and those that threads may share anyway.

mod arc_swap;
mod entries;
mod evmap;
mod flashmap;
mod left_right;
mod locked;
mod ours;
mod shared;

use crate::data::Word;
use crate::rivals::{Dash, Flat, Leapfrog, Papaya, Role, Yard};
use crate::work::Row;
use crate::work::pairs::HELD;
use hedgerow::left_right::{Boxed, Inline};

pub use arc_swap::{Cached, Swap};
pub use entries::Entries;
pub use evmap::Evmap;
pub use flashmap::Flashmap;
pub use left_right::LeftRight;
pub use locked::Locked;
pub use ours::LeftRightMap;
pub use shared::Shared;

/// As tables will call the map that this suite is about.
pub const OURS: &str = "LeftRightMap";

/// A map of numbers to values of some size, behind two handles.
pub trait Pair<V: Word>: 'static {
    /// As tables call it.
    const NAME: &'static str;
    /// Its role in the comparison.
    const ROLE: Role = Role::Peer;
    /// Whether changes show only when they are published.
    const PUBLISHES: bool = true;
    /// Whether it looks up many keys in one call.
    const MANY: bool = false;
    /// The handle that writes.
    type Writer: Writer<V>;
    /// A handle that reads.
    type Reader: Reader<V>;

    /// Makes an empty map with its default capacity.
    fn new() -> (Self::Writer, Self::Reader);
    /// Whether it does such work in the time there is.
    fn can(_: &Row) -> bool {
        true
    }
}

/// The handle that writes.
pub trait Writer<V>: Send {
    /// Sets `key` to `value`, there or not.
    fn insert(&mut self, key: u64, value: V);
    /// Calls `work` with a way to set keys that are published together.
    #[inline]
    fn batched(&mut self, work: impl FnOnce(&mut dyn FnMut(u64, V))) {
        work(&mut |key, value| self.insert(key, value));
    }
    /// Lets readers see what was written.
    fn publish(&mut self) {}
    /// Does what a publish left for the next write to do.
    fn wait_for_readers(&mut self) {}
}

/// A handle that reads. One thread has it at a time, and some change with a look.
pub trait Reader<V>: Send {
    /// Another handle of the same map.
    #[must_use]
    fn another(&self) -> Self;
    /// Returns the result of `see` on the value of `key`.
    fn get(&mut self, key: &u64, see: impl FnOnce(&V) -> u64) -> Option<u64>;
    /// Returns the sum of `see` over each key's value, looked up one by one under
    /// one guard, or by a loop if the map has no guard.
    #[inline]
    fn held(&mut self, keys: &[u64; HELD], see: impl Fn(Option<&V>) -> u64) -> u64 {
        let one = |key| self.get(key, |value| see(Some(value))).unwrap_or_else(|| see(None));
        keys.iter().map(one).sum()
    }
    /// The same, asked for in one call.
    #[inline]
    fn many(&mut self, keys: &[u64; HELD], see: impl Fn(Option<&V>) -> u64) -> u64 {
        self.held(keys, see)
    }
}

/// Is shown types of maps, one after the other.
pub trait Visitor<V: Word> {
    /// The next.
    fn visit<P: Pair<V>>(&mut self);
}

/// The maps for values of any size, in the order of the tables.
pub fn words<V: Word>(visitor: &mut impl Visitor<V>) {
    visitor.visit::<Shared<Yard<u64, V>>>();
    if size_of::<V>() <= ours::INLINE {
        visitor.visit::<ours::LeftRightMap<V, Inline>>();
    }
    visitor.visit::<ours::LeftRightMap<V, Boxed>>();
    visitor.visit::<Shared<Flat<V>, true>>();
    visitor.visit::<Entries<V>>();
    visitor.visit::<LeftRight<V>>();
    visitor.visit::<Evmap<V>>();
    visitor.visit::<Flashmap<V>>();
    visitor.visit::<Swap<V>>();
    visitor.visit::<Cached<V>>();
    visitor.visit::<Shared<Papaya<u64, V>>>();
    visitor.visit::<Shared<Dash<u64, V>>>();
    visitor.visit::<Locked<V>>();
}

/// The maps for numbers.
pub fn numbers(visitor: &mut impl Visitor<u64>) {
    words::<u64>(visitor);
    visitor.visit::<Shared<Leapfrog>>();
}

#[cfg(test)]
mod tests {
    use super::{Pair, Reader, Visitor, Writer, numbers, words};
    use crate::data::Word;

    struct Witness;

    impl<V: Word> Visitor<V> for Witness {
        fn visit<P: Pair<V>>(&mut self) {
            let (mut writer, mut reader) = P::new();
            let mut other = reader.another();
            let mut want = [0; 2000];
            let mut change = |writer: &mut P::Writer, key: u64, stamp: u64| {
                writer.insert(key, V::new(key, stamp));
                want[key as usize] = stamp;
            };
            for key in 0..2000 {
                change(&mut writer, key, 1);
            }
            writer.publish();
            for step in 0..20 {
                for key in 0..100 {
                    change(&mut writer, (step * 331 + key * 7) % 2000, step + 2);
                }
                // The key that was just changed by all means.
                let key = (step * 331) % 2000;
                if P::PUBLISHES {
                    assert_ne!(reader.get(&key, V::stamp), Some(step + 2), "{}", P::NAME);
                }
                writer.publish();
                if step % 2 == 0 {
                    writer.wait_for_readers();
                }
                assert_eq!(other.get(&key, V::stamp), Some(step + 2), "{}", P::NAME);
            }
            for (key, &stamp) in want.iter().enumerate() {
                assert_eq!(reader.get(&(key as u64), V::stamp), Some(stamp), "{}", P::NAME);
            }
            let keys = std::array::from_fn(|i| i as u64 * 2);
            let see = |value: Option<&V>| value.map_or(1 << 30, V::stamp);
            let all: u64 = keys.iter().map(|&key| want[key as usize]).sum();
            assert_eq!([reader.held(&keys, see), reader.many(&keys, see)], [all; 2], "{}", P::NAME);
            assert_eq!(reader.get(&4000, V::stamp), None);
        }
    }

    /// Nothing shows before it is published, and all of it does afterwards, to
    /// old and new handles, in both of the two sides that most have.
    #[test]
    fn what_is_published_shows_and_nothing_else() {
        numbers(&mut Witness);
        words::<[u64; 8]>(&mut Witness);
    }
}
