//! builds: portable
//!
//! `FlatMap`'s interface from outside: construction, lookups, errors and traits, as a user of std's `HashMap` expects
//! them.

use crate::support;

use hedgerow::FlatMap;
use hedgerow::error::{Busy, TryInsertError, TryReserveError};
use hedgerow::flat::Op;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fmt::Debug;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher, RandomState};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use support::hashers::{self, Mapped, Watched};
use support::{ignore, joined_scope, message, within};

/// Far more seconds than any of these needs.
const TIME_LIMIT: u64 = 120;

fn sorted<K: Ord + Copy, V: Copy>(map: impl IntoIterator<Item = (K, V)>) -> Vec<(K, V)> {
    let mut pairs: Vec<_> = map.into_iter().collect();
    pairs.sort_by_key(|&(key, _)| key);
    pairs
}

#[test]
fn every_constructor_makes_a_map_that_works() {
    fn works<S: BuildHasher>(map: &FlatMap<u64, u64, S>) {
        assert!(map.is_empty());
        assert_eq!(map.len(), 0);
        assert_eq!(map.get(&1), None);
        assert_eq!(map.iter().count(), 0);
        for key in 0..100 {
            assert_eq!(map.insert(key, key), None);
        }
        assert_eq!(map.insert(7, 8), Some(7));
        assert_eq!(map.get(&7), Some(8));
        assert_eq!(map.len(), 100);
    }
    works(&FlatMap::new());
    works(&FlatMap::<_, _>::default());
    works(&FlatMap::with_capacity(0));
    works(&FlatMap::with_capacity(1));
    works(&FlatMap::with_capacity(10_000));
    works(&FlatMap::with_hasher(RandomState::new()));
    works(&FlatMap::with_hasher(BuildHasherDefault::<DefaultHasher>::default()));
    works(&FlatMap::with_capacity_and_hasher(0, hashers::GOOD));
    works(&FlatMap::with_capacity_and_hasher(1_000, hashers::IDENTITY));
    works(&FlatMap::<_, _, Mapped>::default());
    works(&[].into_iter().collect::<FlatMap<_, _>>());
}

#[test]
fn a_static_map_needs_no_initializer() {
    static MAP: FlatMap<u32, u32, Mapped> = FlatMap::with_hasher(hashers::GOOD);
    joined_scope(|scope| {
        for thread in 0..2 {
            scope.spawn(move || MAP.insert(thread, thread));
        }
    });
    assert_eq!(sorted(&MAP), [(0, 0), (1, 1)]);
}

#[test]
fn hasher_gives_back_what_was_given() {
    let map = FlatMap::<u8, u8, _>::with_capacity_and_hasher(3, hashers::LOW_ENTROPY);
    assert_eq!(map.hasher().name, hashers::LOW_ENTROPY.name);
}

#[test]
fn collect_and_extend() {
    struct Boastful(u32);
    impl Iterator for Boastful {
        type Item = (u32, char);

        fn next(&mut self) -> Option<(u32, char)> {
            self.0 = self.0.checked_sub(1)?;
            Some((self.0, 'z'))
        }

        fn size_hint(&self) -> (usize, Option<usize>) {
            (1 << 20, Some(usize::MAX))
        }
    }

    let pairs = [(1_u32, 'a'), (2, 'b'), (1, 'c')];
    let mut map: FlatMap<_, _> = pairs.into_iter().collect();
    assert_eq!(sorted(&map), [(1, 'c'), (2, 'b')], "the last of equal keys wins");
    map.extend([(3, 'd'), (2, 'e')]);
    assert_eq!(sorted(&map), [(1, 'c'), (2, 'e'), (3, 'd')]);
    // By reference, from another kind of map.
    let more = HashMap::from([(3, 'f'), (4, 'g')]);
    map.extend(&more);
    assert_eq!(sorted(&map), [(1, 'c'), (2, 'e'), (3, 'f'), (4, 'g')]);
    map.extend(std::iter::empty::<(u32, char)>());
    assert_eq!(map.len(), 4);
    // An iterator may promise more entries than it has, or any number.
    map.extend(Boastful(2));
    assert_eq!(map.get(&0), Some('z'));
    assert_eq!(map.len(), 5);
}

#[test]
fn an_array_makes_a_map() {
    let map: FlatMap<_, _> = [(1, 'a'), (2, 'b'), (1, 'c')].into();
    assert_eq!(sorted(&map), [(1, 'c'), (2, 'b')]);
    // Nobody has to name the hasher. With another one, `collect` makes the map, as in the standard library.
    assert_eq!(FlatMap::from([("a", 1)]).get("a"), Some(1));
    let map: FlatMap<_, _, Mapped> = [("a", 1)].into_iter().collect();
    assert_eq!(map.get("a"), Some(1));
}

/// Errors have what `?` and a log need.
#[test]
fn errors_explain_themselves() {
    fn explains<E: Error + Clone + PartialEq + Send + Sync + 'static>(error: &E) {
        assert!(error.to_string().len() > 10, "{error}");
        assert_eq!(error, &error.clone());
        let _: Box<dyn Error> = Box::new(error.clone());
    }
    explains(&Busy);
    explains(&TryReserveError::Alloc);
    explains(&TryReserveError::CapacityOverflow);
    explains(&TryInsertError::Busy { key: 1, value: 2 });
    explains(&TryInsertError::Alloc { key: 1, value: 2 });
    assert_eq!(TryInsertError::Alloc { key: 1, value: 2 }.into_parts(), (1, 2));
    let huge = FlatMap::<u64, u64, _>::try_with_capacity_and_hasher(usize::MAX, hashers::EVEN_BITS);
    let Err((why, hasher)) = huge else { panic!("more than an address space") };
    assert_eq!((why, hasher.name), (TryReserveError::CapacityOverflow, hashers::EVEN_BITS.name));
}

#[test]
fn debug_output_is_that_of_a_map() {
    let map: FlatMap<&str, i32> = FlatMap::new();
    assert_eq!(format!("{map:?}"), "{}");
    map.insert("one", 1);
    assert_eq!(format!("{map:?}"), "{\"one\": 1}");
    assert_eq!(format!("{map:#?}"), "{\n    \"one\": 1,\n}");
    map.insert("two", 2);
    let text = format!("{map:?}");
    assert!(
        ["{\"one\": 1, \"two\": 2}", "{\"two\": 2, \"one\": 1}"].contains(&&text[..]),
        "{text}"
    );
}

#[test]
fn a_clone_is_independent() {
    let map: FlatMap<u64, u64, Watched> = FlatMap::with_hasher(Watched::new(hashers::LOW_ENTROPY));
    for key in 0..100 {
        map.insert(key, key);
    }
    let copy = map.clone();
    assert_eq!(sorted(&map), sorted(&copy));
    assert_eq!(copy.hasher().inner.name, hashers::LOW_ENTROPY.name);
    map.insert(0, 1);
    copy.remove(&1);
    copy.insert(1_000, 1);
    assert_eq!((copy.get(&0), map.get(&1), map.get(&1_000)), (Some(0), Some(1), None));
    drop(map);
    assert_eq!(copy.len(), 100);
}

#[test]
fn a_clone_while_others_write_is_whole() {
    within(TIME_LIMIT, "cloning", || {
        let map: FlatMap<u64, [u64; 2]> = FlatMap::new();
        for key in 0..100 {
            map.insert(key, [key; 2]);
        }
        let over = AtomicBool::new(false);
        joined_scope(|scope| {
            scope.spawn(|| {
                for key in 100..5_000 {
                    map.insert(key, [key; 2]);
                    map.insert(key % 100, [key % 100; 2]);
                }
                over.store(true, Ordering::SeqCst);
            });
            let mut last = false;
            while !last {
                last = over.load(Ordering::SeqCst);
                let copy = map.clone();
                let keys: HashSet<_> = copy.keys().collect();
                assert_eq!((keys.len(), copy.iter().count()), (copy.len(), copy.len()));
                assert!(
                    (0..100).all(|key| keys.contains(&key)),
                    "a key that stayed was not copied"
                );
                assert!(copy.iter().all(|(key, value)| value == [key; 2]));
            }
        });
    });
}

#[test]
fn borrowed_lookups() {
    // Another form with the same hash and equality.
    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    struct Tall([u8; 4]);
    impl std::borrow::Borrow<[u8]> for Tall {
        fn borrow(&self) -> &[u8] {
            &self.0
        }
    }
    #[derive(Clone, Copy)]
    struct Slices;
    impl BuildHasher for Slices {
        type Hasher = DefaultHasher;
        fn build_hasher(&self) -> DefaultHasher {
            DefaultHasher::new()
        }
    }

    let map: FlatMap<&'static str, u32> = FlatMap::new();
    map.insert("hedge", 1);
    // A key that lives no longer than this lookup.
    let own = String::from("hed") + "ge";
    let key: &str = &own;
    assert_eq!(map.get(key), Some(1));
    assert_eq!(map.try_get(key).ok(), Some(Some(1)));
    assert_eq!(map.get_with(key, |value| value + 1), Some(2));
    assert!(map.contains_key(key));
    assert_eq!(map.update(key, |value| value + 4), Some(5));
    assert_eq!(map.remove(key), Some(5));
    assert_eq!(map.remove(key), None);

    let map: FlatMap<Tall, u8, Slices> = FlatMap::with_hasher(Slices);
    map.insert(Tall(*b"row!"), 3);
    assert_eq!(map.get(&b"row!"[..]), Some(3));
    assert_eq!(map.get(&b"row"[..]), None);
}

/// The lookups, inserts and removals of the documentation, one after the other.
#[test]
fn single_threaded_semantics() {
    let map: FlatMap<u8, &str> = FlatMap::new();
    assert_eq!(map.insert(1, "a"), None);
    assert_eq!(map.insert(1, "b"), Some("a"));
    let occupied = map.insert_if_absent(1, "c").unwrap_err();
    assert_eq!((occupied.current, occupied.into_parts()), ("b", (1, "c")));
    assert_eq!(map.insert_if_absent(2, "d"), Ok(()));
    assert!(matches!(map.try_insert(2, "e"), Ok(Some("d"))));
    assert!(matches!(map.try_insert(3, "f"), Ok(None)));
    assert_eq!(map.len(), 3);
    assert_eq!(map.remove(&1), Some("b"));
    assert_eq!(map.remove(&1), None);
    assert_eq!(map.len(), 2);
    map.retain(|&key, value| {
        *value = "kept";
        key == 3
    });
    assert_eq!(sorted(&map), [(3, "kept")]);
    map.clear();
    assert!(map.is_empty());
    map.insert(9, "after");
    assert_eq!(sorted(&map), [(9, "after")]);
}

#[test]
fn update_and_compute_semantics() {
    let map: FlatMap<u8, u64> = FlatMap::new();
    let mut ran = 0;
    let mut count = |value: u64| {
        ran += 1;
        value + 1
    };
    assert_eq!(map.update(&1, &mut count), None);
    map.insert(1, 10);
    assert_eq!(map.update(&1, &mut count), Some(11));
    assert_eq!(ran, 1, "not for an absent key, and once if no other thread writes");
    assert_eq!(map.get(&1), Some(11));

    let same = map.compute(1, |found| {
        assert_eq!(found, Some(11));
        Op::Keep
    });
    assert_eq!((same.before, same.after), (Some(11), Some(11)));
    let set = map.compute(1, |_| Op::Insert(12));
    assert_eq!((set.before, set.after), (Some(11), Some(12)));
    let gone = map.compute(1, |_| Op::Remove);
    assert_eq!((gone.before, gone.after), (Some(12), None));
    let still = map.compute(1, |found| {
        assert_eq!(found, None);
        Op::Keep
    });
    assert_eq!((still.before, still.after), (None, None));
    let nothing = map.compute(1, |_| Op::Remove);
    assert_eq!((nothing.before, nothing.after), (None, None));
    assert!(map.is_empty());
    let new = map.compute(1, |_| Op::Insert(1));
    assert_eq!((new.before, new.after), (None, Some(1)));
    assert_eq!(map.len(), 1);
}

#[test]
fn iterators_can_be_kept_and_mixed_with_writes() {
    let map: FlatMap<u64, u64> = (0..1_000).map(|key| (key, key)).collect();
    // Removes keys that the walk has met, and inserts others meanwhile.
    let mut met = HashSet::new();
    for (key, value) in &map {
        assert_eq!(key, value);
        assert!(met.insert(key), "{key} came twice");
        assert_eq!(map.remove(&key), Some(key));
        if key < 1_000 {
            map.insert(key + 1_000, key + 1_000);
        }
    }
    assert!((0..1_000).all(|key| met.contains(&key)), "a key that stayed was missed");
    // Two at once, one of them dropped half-way.
    let mut first = map.iter();
    let second = map.iter();
    first.next();
    drop(first);
    assert_eq!(second.count(), map.len());
    let mut done = map.iter();
    done.by_ref().for_each(drop);
    assert_eq!(done.next(), None, "after the end there is nothing more");
}

#[test]
fn reserving_too_much_is_an_error() {
    let map: FlatMap<u64, u64> = FlatMap::new();
    map.insert(1, 2);
    for shift in usize::BITS - 5..usize::BITS {
        map.try_reserve(1 << shift).expect_err("no machine has that much");
    }
    assert_eq!(map.try_reserve(usize::MAX), Err(TryReserveError::CapacityOverflow));
    let before = map.stats().memory_bytes;
    map.try_reserve(0).expect("nothing to do");
    assert_eq!(map.stats().memory_bytes, before);
    assert_eq!(sorted(&map), [(1, 2)], "a refused reservation changes nothing");
    map.try_reserve(1_000).expect("there is memory");
    assert!(map.stats().memory_bytes > before);
    assert_eq!(sorted(&map), [(1, 2)]);
}

/// Capacity overflows panic as in std; nothing aborts, and the map stays usable.
#[test]
fn impossible_capacities_panic() {
    fn overflows(what: &str, work: impl FnOnce()) {
        let payload = catch_unwind(AssertUnwindSafe(work)).expect_err(what);
        let message = message(payload.as_ref()).to_lowercase();
        assert!(message.contains("capacity overflow"), "{what}: {message}");
    }
    overflows("with_capacity", || drop(FlatMap::<u64, u64>::with_capacity(usize::MAX)));
    overflows("with_capacity_and_hasher", || {
        drop(FlatMap::<u8, [u64; 128], _>::with_capacity_and_hasher(usize::MAX / 8, hashers::GOOD));
    });
    overflows("of nothing", || drop(FlatMap::<(), ()>::with_capacity(usize::MAX)));
    let map = FlatMap::<u64, u64>::new();
    map.insert(1, 2);
    overflows("reserve", || map.reserve(usize::MAX));
    assert_eq!(map.insert(1, 3), Some(2));
}

#[test]
fn shrinking_gives_memory_back() {
    let mut map: FlatMap<u64, u64> = FlatMap::new();
    for key in 0..50_000 {
        map.insert(key, key);
    }
    let full = map.stats().memory_bytes;
    map.retain(|key, _| key % 100 == 0);
    assert_eq!(map.len(), 500);
    map.shrink_to_fit();
    let small = map.stats().memory_bytes;
    assert!(small * 20 < full, "{full} bytes with 50,000 keys, {small} with 500");
    assert_eq!(map.len(), 500);
    for key in 0..50_000 {
        assert_eq!(map.get(&key), (key % 100 == 0).then_some(key));
    }
    for key in 0..1_000 {
        map.insert(key, key);
    }
    assert_eq!(map.len(), 1_490);
    map.clear();
    map.shrink_to_fit();
    assert!(map.is_empty());
    assert!(map.stats().memory_bytes <= small);
    map.insert(1, 1);
    assert_eq!(map.get(&1), Some(1));
}

#[test]
fn stats_tell_what_is_there() {
    let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hashers::GOOD);
    assert_eq!((map.stats().len, map.stats().memory_bytes), (0, 0));
    for key in 0..10_000 {
        map.insert(key, key);
    }
    let stats = map.stats();
    assert_eq!(stats.len, 10_000);
    assert!(stats.bins > 0 && stats.memory_bytes >= 10_000 * 16);
    assert!(stats.retired_bytes <= stats.memory_bytes);
    let crowded: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hashers::CONSTANT);
    for key in 0..100 {
        crowded.insert(key, key);
    }
    assert!(crowded.stats().overflow_lines > 0, "a hundred keys do not fit one bin");
}

/// Every type of key goes through the user's hasher. (The first version of this map hashed integers by a rule of its
/// own.)
#[test]
fn a_hasher_is_honoured_for_every_type_of_key() {
    fn honoured<K: Copy + Eq + Hash + Debug>(keys: [K; 2]) {
        let hasher = Watched::new(hashers::CONSTANT);
        let probe = hasher.clone();
        let map: FlatMap<K, u8, Watched> = FlatMap::with_hasher(hasher);
        let asked = |what: &str, work: &dyn Fn()| {
            let before = probe.uses();
            work();
            assert!(probe.uses() > before, "{what} of {keys:?} did not ask the hasher");
        };
        for key in keys {
            asked("insert", &|| ignore(map.insert(key, 1)));
            asked("insert_if_absent", &|| ignore(map.insert_if_absent(key, 1)));
            asked("try_insert", &|| ignore(map.try_insert(key, 1)));
            asked("get", &|| assert_eq!(map.get(&key), Some(1)));
            asked("try_get", &|| ignore(map.try_get(&key)));
            asked("get_with", &|| ignore(map.get_with(&key, |_| ())));
            asked("contains_key", &|| assert!(map.contains_key(&key)));
            asked("update", &|| ignore(map.update(&key, |_| 2)));
            asked("compute", &|| ignore(map.compute(key, |_| Op::Keep)));
            asked("remove", &|| assert_eq!(map.remove(&key), Some(2)));
        }
    }
    honoured([1_u8, u8::MAX]);
    honoured([1_u16, u16::MAX]);
    honoured([1_u32, u32::MAX]);
    honoured([1_u64, u64::MAX]);
    honoured([1_u128, u128::MAX]);
    honoured([1_usize, usize::MAX]);
    honoured([1_i8, -1]);
    honoured([1_i16, -1]);
    honoured([1_i32, -1]);
    honoured([1_i64, -1]);
    honoured([1_i128, -1]);
    honoured([1_isize, -1]);
    honoured(['a', char::MAX]);
    honoured([true, false]);
    honoured(["", "a"]);
    honoured([[0_u8; 24], [1; 24]]);
    honoured([(1_u8, 2_u32), (3, 4)]);
    honoured([(), ()]);
}

/// The hasher gets what the key feeds it, so a key's own `Hash` decides which keys collide.
#[test]
fn the_keys_own_hash_is_used() {
    static SEEN: AtomicU64 = AtomicU64::new(0);
    #[derive(Clone, Copy, Default)]
    struct Listening;
    struct Listener;
    impl BuildHasher for Listening {
        type Hasher = Listener;
        fn build_hasher(&self) -> Listener {
            Listener
        }
    }
    impl Hasher for Listener {
        fn write(&mut self, _: &[u8]) {
            panic!("a u64 writes a u64");
        }
        fn write_u64(&mut self, word: u64) {
            SEEN.store(word, Ordering::SeqCst);
        }
        fn finish(&self) -> u64 {
            7
        }
    }
    let map: FlatMap<u64, u64, Listening> = FlatMap::default();
    for key in [0, 1, u64::MAX] {
        map.insert(key, key);
        assert_eq!(SEEN.load(Ordering::SeqCst), key);
    }
    for key in [0, 1, u64::MAX] {
        assert_eq!(map.get(&key), Some(key));
    }
}

/// Without entropy, the hashes of two default maps may be equal; but hashes always differ from key to key.
#[test]
fn the_default_hasher_tells_keys_apart() {
    let map: FlatMap<u64, u64> = FlatMap::new();
    let hashes: HashSet<_> = (0..1_000_u64).map(|key| map.hasher().hash_one(key)).collect();
    assert_eq!(hashes.len(), 1_000);
    let again = map.hasher().clone();
    assert!((0..1_000_u64).all(|key| again.hash_one(key) == map.hasher().hash_one(key)));
}

/// A type that is `Send` but not `Sync`, and `Copy`: allowed as key or value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Unshared(u32, PhantomData<Cell<u8>>);

const fn is_send_and_sync<T: Send + Sync>() {}

const _: () = {
    is_send_and_sync::<FlatMap<u64, u64>>();
    is_send_and_sync::<FlatMap<&'static str, Option<&'static u64>>>();
    is_send_and_sync::<FlatMap<Unshared, Unshared>>();
    is_send_and_sync::<FlatMap<u64, u64, Watched>>();
    is_send_and_sync::<hedgerow::flat::Iter<'static, u64, u64>>();
    is_send_and_sync::<hedgerow::flat::FlatStats>();
};

/// Compiles only if `$map` is neither `Send` nor `Sync`: else the choice of `mark` is ambiguous.
macro_rules! assert_neither_send_nor_sync {
    ($map:ty) => {
        const _: fn() = || {
            trait Ambiguous<A> {
                fn mark() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            #[allow(dead_code, reason = "only its existence matters")]
            struct IsSend;
            impl<T: ?Sized + Send> Ambiguous<IsSend> for T {}
            #[allow(dead_code, reason = "only its existence matters")]
            struct IsSync;
            impl<T: ?Sized + Sync> Ambiguous<IsSync> for T {}
            <$map as Ambiguous<_>>::mark();
        };
    };
}

assert_neither_send_nor_sync!(FlatMap<u64, *const u8>);
assert_neither_send_nor_sync!(FlatMap<*const u8, u64>);
assert_neither_send_nor_sync!(FlatMap<u64, &'static Cell<u8>>);
assert_neither_send_nor_sync!(FlatMap<u64, u64, BuildWithRc>);

/// A hasher that must stay in its thread.
#[derive(Clone)]
#[allow(dead_code, reason = "only its type matters")]
struct BuildWithRc(std::rc::Rc<()>);

/// A map moves to another thread and is shared by reference from there.
#[test]
fn maps_move_and_are_shared() {
    let map: FlatMap<Unshared, Unshared> = FlatMap::new();
    let key = |n| Unshared(n, PhantomData);
    map.insert(key(1), key(1));
    let map = thread::spawn(move || {
        joined_scope(|scope| {
            scope.spawn(|| assert!(map.get(&key(1)).is_some_and(|value| value == key(1))));
            scope.spawn(|| map.insert(key(2), key(1)));
        });
        map
    })
    .join()
    .expect("no panic");
    assert_eq!(map.len(), 2);
}

/// A map is covariant enough for keys that borrow, and requires no `'static`.
#[test]
fn keys_may_borrow() {
    let text = String::from("one two one");
    let map: FlatMap<&str, u32> = FlatMap::new();
    for word in text.split(' ') {
        map.compute(word, |count| Op::Insert(count.unwrap_or(0) + 1));
    }
    assert_eq!(sorted(&map), [("one", 2), ("two", 1)]);
}

/// The first entry of a map needs bins first: the closure's decision before they exist still holds then.
#[test]
fn the_first_compute_of_a_map_calls_its_closure_once() {
    let map: FlatMap<u32, u32> = FlatMap::new();
    let mut asked = 0;
    let done = map.compute(1, |old| {
        asked += 1;
        assert_eq!(old, None);
        Op::Insert(asked)
    });
    assert_eq!((done.after, asked, map.get(&1)), (Some(1), 1, Some(1)));
}

#[test]
fn a_cloned_iterator_continues_from_the_same_place() {
    let map: FlatMap<u32, u32> = (0..1_000).map(|n| (n, n)).collect();
    let mut entries = map.iter();
    entries.by_ref().take(100).for_each(drop);
    let rest: Vec<_> = entries.clone().collect();
    assert_eq!((rest.len(), entries.collect::<Vec<_>>()), (900, rest));
    assert!(map.keys().cycle().take(2_000).zip(map.values().cycle()).all(|(k, v)| k == v));
}
