//! builds: portable
//!
//! Feature `serde`: every map is written and read as a map, every set as a sequence.

#[path = "support/compare.rs"]
#[allow(dead_code, reason = "each test binary uses a part of these helpers")]
mod compare;

use compare::compare_by_cmp;
use hedgerow::left_right::{LeftRightTable, WriteHandle};
use hedgerow::{
    BytesMap, FenceMap, FenceSet, FlatMap, FlatSet, FlatTable, HashMap, HashSet, OrdMap, OrdSet,
    PersistentMap, PersistentSet, PersistentVec, SnapshotMap,
};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde::ser::Serialize;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

type Model = BTreeMap<u64, u64>;

/// Writes `map` as text and as bytes, and reads both. The text must be the same as that of `model`.
fn there_and_back<M: Serialize + DeserializeOwned>(map: &M, model: &impl Serialize) -> [M; 2] {
    let text = serde_json::to_string(map).expect("it can be written");
    let sorted = |mut value: serde_json::Value| {
        if let serde_json::Value::Array(elements) = &mut value {
            elements.sort_by_key(|n| n.as_u64());
        }
        value
    };
    let written = sorted(serde_json::from_str(&text).expect("it is JSON"));
    assert_eq!(written, serde_json::to_value(model).expect("the model can be written"));
    let mut bytes = vec![];
    ciborium::into_writer(map, &mut bytes).expect("it can be written");
    let from_bytes = ciborium::from_reader(&bytes[..]).expect("it can be read");
    [serde_json::from_str(&text).expect("it can be read"), from_bytes]
}

fn model() -> Model {
    (0..20).map(|n| (n, n * n)).collect()
}

#[test]
fn every_map_is_written_and_read_as_a_map() {
    let model = model();
    for map in there_and_back(&model.clone().into_iter().collect::<FlatMap<u64, u64>>(), &model) {
        assert_eq!(map.iter().collect::<Model>(), model);
    }
    for map in
        there_and_back(&model.clone().into_iter().collect::<PersistentMap<u64, u64>>(), &model)
    {
        assert!(map.iter().eq(&model));
    }
    for map in there_and_back(&model.clone().into_iter().collect::<SnapshotMap<u64, u64>>(), &model)
    {
        assert!(map.pin().iter().eq(&model));
    }
    for map in there_and_back(&model.clone().into_iter().collect::<FenceMap<u64, u64>>(), &model) {
        assert_eq!(map.iter().collect::<Model>(), model);
    }
    for map in there_and_back(&model.clone().into_iter().collect::<HashMap<u64, u64>>(), &model) {
        assert_eq!(map.pin().iter().map(|(&k, &v)| (k, v)).collect::<Model>(), model);
    }
    for map in there_and_back(&model.clone().into_iter().collect::<OrdMap<u64, u64>>(), &model) {
        assert_eq!(map.pin().iter().map(|(&k, &v)| (k, v)).collect::<Model>(), model);
    }
    let table = FlatTable::<u64, u64, 8>::default();
    for (&key, &value) in &model {
        assert_eq!(table.insert(key, value), Ok(None));
    }
    for map in there_and_back(&table, &model) {
        assert_eq!(map.iter().collect::<Model>(), model);
    }
    let names: BTreeMap<String, String> = [("rose".into(), "red".into())].into();
    for map in there_and_back(&names.clone().into_iter().collect::<BytesMap>(), &names) {
        assert_eq!(map.get("rose").as_deref(), Some(&b"red"[..]));
    }
}

#[test]
fn a_writer_is_read_as_a_map_that_is_published() {
    let text = serde_json::to_string(&model()).expect("the model can be written");
    let writer: WriteHandle<u64, u64> = serde_json::from_str(&text).expect("it is a map");
    let reader = writer.read_handle();
    assert_eq!(reader.enter().iter().map(|(&k, &v)| (k, v)).collect::<Model>(), model());
    assert_eq!(
        serde_json::to_string(&reader.enter()).expect("it can be written").len(),
        text.len()
    );
}

#[test]
fn a_fixed_table_of_two_sides_is_read_as_a_map_that_is_published() {
    type Table = LeftRightTable<u64, u64, 4, 1>;
    let text = serde_json::to_string(&model()).expect("the model can be written");
    let table: Table = serde_json::from_str(&text).expect("it is a map");
    let reader = table.reader().expect("nobody reads");
    let read = reader.enter();
    assert_eq!(read.iter().map(|(&k, &v)| (k, v)).collect::<Model>(), model(), "not published");
    assert_eq!(serde_json::to_string(&read).expect("it can be written").len(), text.len());
    let larger: Model = (0..22).map(|n| (n, n)).collect();
    let text = serde_json::to_string(&larger).expect("the model can be written");
    let full = serde_json::from_str::<Table>(&text).expect_err("21 entries at most");
    assert!(full.to_string().contains("the table is full"));
}

#[test]
fn every_set_is_written_and_read_as_a_sequence() {
    let all: Vec<u64> = (0..20).collect();
    macro_rules! set {
        ($set:ty) => {
            let set: $set = all.iter().copied().collect();
            for read in there_and_back(&set, &all) {
                assert_eq!(read, set);
            }
        };
    }
    set!(FlatSet<u64>);
    set!(FenceSet<u64>);
    set!(HashSet<u64>);
    set!(OrdSet<u64>);
    set!(PersistentSet<u64>);
    set!(PersistentVec<u64>);
}

/// A number that is equal to every other.
#[derive(Clone, Copy)]
struct Alike(u64);

impl<'de> Deserialize<'de> for Alike {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self)
    }
}

impl Ord for Alike {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}
compare_by_cmp!(Alike);

impl Hash for Alike {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[test]
fn of_equal_elements_a_set_that_is_read_keeps_the_first() {
    macro_rules! keeps {
        ($set:ty) => {
            let set: $set = serde_json::from_str("[1, 2]").expect("it is a sequence");
            let all: Vec<u64> = set.into_iter().map(|Alike(n)| n).collect();
            assert_eq!(all, [1], "a later element replaced the first");
        };
    }
    keeps!(FlatSet<Alike>);
    keeps!(FenceSet<Alike>);
    keeps!(HashSet<Alike>);
    keeps!(OrdSet<Alike>);
}

#[test]
fn input_that_does_not_fit_is_an_error() {
    let text = serde_json::to_string(&model()).expect("the model can be written");
    let read = serde_json::from_str::<FlatTable<u64, u64, 1>>(&text);
    assert!(read.expect_err("seven slots at most").to_string().contains("the table is full"));
    assert!(serde_json::from_str::<FlatSet<u64>>(&text).is_err(), "a set is not read from a map");
    assert!(
        serde_json::from_str::<FenceMap<u64, u64>>("[1]").is_err(),
        "a map is not read from a sequence"
    );
}
