//! Functions that `run.mjs` calls. A check that fails is a panic, which is a trap here.

use hedgerow::compressed::StoreError;
use hedgerow::{BytesMap, CompressedMap, FlatMap, HashMap, LeftRightMap, OrdMap};
use std::sync::LazyLock;
use std::time::Duration;

/// A value with padding.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Padded(u8, u64);

/// Uses each map in one thread.
#[unsafe(no_mangle)]
pub extern "C" fn one_thread() {
    let owned: HashMap<String, u32> = (0..1000).map(|n| (n.to_string(), n)).collect();
    assert!((0..1000).all(|n| owned.get(&n.to_string()).as_deref() == Some(&n)));
    let ordered: OrdMap<u32, String> = (0..1000).map(|n| (n, n.to_string())).collect();
    assert_eq!(ordered.range(10..20).count(), 10);
    let bytes = BytesMap::from([("rose", "red")]);
    assert_eq!(bytes.get("rose").as_deref(), Some(&b"red"[..]));
    let flat: FlatMap<u32, Padded> = (0..1000).map(|n| (n, Padded(1, n.into()))).collect();
    assert_eq!(flat.get(&7), Some(Padded(1, 7)));
    let (mut writer, reader) = LeftRightMap::<u32, String>::new();
    writer.insert(7, "seven".into());
    writer.publish();
    assert_eq!(reader.get_cloned(&7).as_deref(), Some("seven"));
}

/// Uses a map with a budget, which has no clock here unless it is given one.
#[unsafe(no_mangle)]
pub extern "C" fn without_a_clock() {
    let map = CompressedMap::with_budget(1 << 20);
    map.insert("rose", "red").unwrap();
    assert_eq!(map.get("rose").unwrap().as_deref(), Some(&b"red"[..]));
    let minute = Duration::from_secs(60);
    assert_eq!(map.insert_for("rose", "white", minute), Err(StoreError::NoClock));
    let timed = CompressedMap::builder(1 << 20).clock(|| Duration::ZERO).build();
    timed.insert_for("rose", "white", minute).unwrap();
    assert_eq!(timed.time_to_live("rose"), Some(Some(minute)));
}

static SHARED: LazyLock<FlatMap<u32, Padded>> = LazyLock::new(FlatMap::new);
static OWNED: LazyLock<HashMap<u32, String>> = LazyLock::new(HashMap::new);

/// Writes and reads values that all threads share. A torn value has halves that differ.
#[unsafe(no_mangle)]
pub extern "C" fn one_of_many_threads(number: u8) {
    for round in 0..200_000 {
        let (key, n) = (round % 50, u64::from(number) << 32 | u64::from(round));
        SHARED.insert(key, Padded(n as u8, n));
        let found = SHARED.get(&key).unwrap();
        assert_eq!(found.0, found.1 as u8);
        OWNED.insert(key, n.to_string());
        assert!(OWNED.get(&key).unwrap().parse::<u64>().is_ok());
    }
    assert_eq!(SHARED.len(), 50);
}

/// Returns memory for the stack or the thread-locals of a thread.
#[unsafe(no_mangle)]
pub extern "C" fn allocate(bytes: usize) -> *mut u8 {
    Vec::leak(vec![0; bytes]).as_mut_ptr()
}
