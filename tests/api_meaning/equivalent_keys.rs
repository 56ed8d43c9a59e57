//! builds: default
//!
//! Keys are found by whatever is equivalent to them.

use super::numbers::{Number, numbers};
use equivalent::{Comparable, Equivalent};
use hedgerow::owned::Ref;
use hedgerow::{FenceMap, FlatMap, FlatTable, HashMap, OrdMap};
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// A key in parts, which is equal to the whole without making it.
#[derive(Clone, Copy)]
struct Parts(u64, u64);

impl Hash for Parts {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0 * 10 + self.1).hash(state);
    }
}

impl Equivalent<u64> for Parts {
    fn equivalent(&self, key: &u64) -> bool {
        self.0 * 10 + self.1 == *key
    }
}

/// A name whose case does not count, which `Borrow` could not express.
struct AnyCase<'a>(&'a str);

impl Equivalent<Name> for AnyCase<'_> {
    fn equivalent(&self, key: &Name) -> bool {
        self.compare(key).is_eq()
    }
}

impl Comparable<Name> for AnyCase<'_> {
    fn compare(&self, key: &Name) -> Ordering {
        self.0.to_lowercase().as_str().cmp(key.0)
    }
}

/// A type for which `ByType` has no rank.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Name(&'static str);

macro_rules! equivalent {
    ($map:expr) => {{
        let map = $map;
        assert!(map.get_or_insert(47, 1).number() == 1);
        assert_eq!(map.get(&Parts(4, 7)).map(|value| value.number()), Some(1));
        assert!(map.contains_key(&Parts(4, 7)) && !map.contains_key(&Parts(7, 4)));
        assert_eq!(numbers(map.update(&Parts(4, 7), |n| n.number() + 1)), Some(2));
        assert_eq!(numbers(map.remove(&Parts(4, 7))), Some(2));
        assert!(map.remove(&Parts(4, 7)).is_none());
    }};
}

macro_rules! comparable {
    ($map:expr, $key:expr) => {{
        let map = $map;
        for (n, name) in ["briar", "hazel", "rose"].into_iter().enumerate() {
            map.insert(Name(name), n as u64);
        }
        assert_eq!(numbers(map.get(&AnyCase("Hazel"))), Some(1));
        assert!(map.contains_key(&AnyCase("ROSE")) && !map.contains_key(&AnyCase("rowan")));
        assert_eq!(map.floor(&AnyCase("Elder")).map($key), Some(Name("briar")));
        assert_eq!(map.ceiling(&AnyCase("ELDER")).map($key), Some(Name("hazel")));
        assert_eq!(map.predecessor(&AnyCase("Hazel")).map($key), Some(Name("briar")));
        assert_eq!(map.successor(&AnyCase("Hazel")).map($key), Some(Name("rose")));
        assert_eq!(numbers(map.update(&AnyCase("Rose"), |n| n.number() + 5)), Some(7));
        assert_eq!(numbers(map.remove_if(&AnyCase("Rose"), |_, n| *n == 7)), Some(7));
        assert_eq!(numbers(map.remove(&AnyCase("BRIAR"))), Some(0));
        assert_eq!(map.len(), 1);
    }};
}

#[test]
fn keys_are_found_by_all_that_is_equivalent() {
    equivalent!(HashMap::<u64, u64>::new());
    equivalent!(FlatMap::<u64, u64>::new());
    let table = FlatTable::<u64, u64, 4>::new();
    table.insert(47, 1).expect("there is room");
    assert_eq!((table.get(&Parts(4, 7)), table.remove(&Parts(4, 7))), (Some(1), Some(1)));
    let (mut writer, reader) = hedgerow::LeftRightMap::<u64, u64>::new();
    writer.insert(47, 1);
    writer.publish();
    assert_eq!((reader.get_copied(&Parts(4, 7)), writer.remove(&Parts(4, 7))), (Some(1), true));
    comparable!(OrdMap::<Name, u64>::new(), |entry: Ref<'_, Name, u64>| *entry.key());
    comparable!(FenceMap::<Name, u64>::new(), |entry: (Name, u64)| entry.0);
}
