//! Maps and sets that are made from arrays, and extended by reference.

#[path = "compare.rs"]
#[allow(dead_code, reason = "each test binary uses a part of these helpers")]
mod compare;

use super::{bytes, sorted};
use compare::compare_by_cmp;
use hedgerow::sets::ElementRef;
use hedgerow::{BytesMap, FenceMap, FenceSet, FlatMap, FlatSet, HashMap, HashSet, OrdMap, OrdSet};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

#[test]
fn arrays_make_maps_whose_hasher_or_ranking_is_not_named() {
    assert_eq!(sorted(HashMap::from([(1_u64, 2_u64), (3, 4), (1, 5)])), [(1, 5), (3, 4)]);
    assert_eq!(sorted(OrdMap::from([(1_u64, 2_u64), (3, 4), (1, 5)])), [(1, 5), (3, 4)]);
    assert_eq!(sorted(BytesMap::from([(bytes(1), bytes(2)), (bytes(1), bytes(5))])), [(1, 5)]);
    assert_eq!(sorted(FlatMap::from([(1_u64, 2_u64), (3, 4), (1, 5)])), [(1, 5), (3, 4)]);
    assert_eq!(sorted(FenceMap::from([(1_u64, 2_u64), (3, 4), (1, 5)])), [(1, 5), (3, 4)]);
    let lens = (FlatSet::from([1, 2, 1]).len(), HashSet::from(["a", "b", "a"]).len());
    assert_eq!(lens, (2, 2));
    assert_eq!((FenceSet::from([1, 2, 1]).len(), OrdSet::from(["a", "b", "a"]).len()), (2, 2));
}

#[test]
fn maps_of_plain_data_extend_by_reference() {
    let more = BTreeMap::from([(1_u64, 2_u64), (3, 4)]);
    macro_rules! extends {
        ($map:expr) => {{
            let mut map = $map;
            map.extend(&more);
            assert_eq!(sorted(&map), [(1, 2), (3, 4)]);
        }};
    }
    extends!(HashMap::<u64, u64>::new());
    extends!(OrdMap::<u64, u64>::new());
    extends!(FlatMap::<u64, u64>::new());
    extends!(FenceMap::<u64, u64>::new());
}

/// An element that is equal to others with the same number: the mark tells them apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marked(u64, char);

impl Ord for Marked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
compare_by_cmp!(Marked);

impl Hash for Marked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[test]
fn of_equal_elements_a_set_keeps_the_first() {
    macro_rules! keeps {
        ($set:ident) => {{
            let elements = [Marked(1, 'a'), Marked(2, 'a'), Marked(1, 'b')];
            let marks = |set: $set<Marked>| -> Vec<(u64, char)> {
                let mut marks: Vec<_> = set.into_iter().map(|Marked(n, mark)| (n, mark)).collect();
                marks.sort_unstable();
                marks
            };
            let expected = [(1, 'a'), (2, 'a')];
            let inserted = <$set<Marked>>::default();
            let news = elements.map(|element| inserted.insert(element));
            assert_eq!((news, &marks(inserted)[..]), ([true, true, false], &expected[..]));
            assert_eq!(marks($set::from(elements)), expected, "an array replaced an element");
            assert_eq!(marks(elements.into_iter().collect()), expected, "collect replaced it");
            let mut extended = $set::from([Marked(1, 'a')]);
            (&extended).extend([Marked(1, 'b')]);
            extended.extend([Marked(2, 'a'), Marked(1, 'c')]);
            assert_eq!(marks(extended), expected, "extend replaced an element");
        }};
    }
    keeps!(FlatSet);
    keeps!(HashSet);
    keeps!(FenceSet);
    keeps!(OrdSet);
}

/// By reference and by value, as std's sets are.
#[test]
fn sets_are_walked_and_taken_apart() {
    macro_rules! walks {
        ($set:expr) => {{
            let set = $set;
            let mut sum = 0;
            for element in &set {
                let element: u64 = element.into_number();
                sum += element;
            }
            let mut elements: Vec<u64> = set.into_iter().collect();
            elements.sort_unstable();
            assert_eq!((sum, elements), (10, vec![1, 2, 3, 4]));
        }};
    }
    trait IntoNumber {
        fn into_number(self) -> u64;
    }
    impl IntoNumber for u64 {
        fn into_number(self) -> u64 {
            self
        }
    }
    impl IntoNumber for ElementRef<'_, u64> {
        fn into_number(self) -> u64 {
            *self
        }
    }
    walks!(FlatSet::from([1_u64, 2, 3, 4]));
    walks!(HashSet::from([1_u64, 2, 3, 4]));
    walks!(FenceSet::from([1_u64, 2, 3, 4]));
    walks!(OrdSet::from([1_u64, 2, 3, 4]));
}
