//! The maps, each as a [`Subject`](crate::play::Subject).

mod common;
mod compressed;
mod fence;
mod fence_owned;
mod flat;
mod guarded;
mod left_right;
mod left_right_table;
mod ordered;
mod owned;
mod snapshot;
mod workers;

use crate::play::play;
use crate::program::Program;
use crate::things::{Bulk, Key, Owned, OwnedPage, Page, Pair, Thing, Unit, Void};
use crate::world::{self, LASTING};
use hedgerow::left_right::{Boxed, Inline};

/// Plays a program on one kind of map.
pub type Play = fn(&Program) -> Vec<String>;

/// Every kind of map with the types that say something about it. (A constant would be compiled where it is used.)
pub static ALL: &[(&str, Play)] = &[
    ("flat_pairs", play::<flat::Map<Pair, Pair>>),
    ("flat_unit_keys", play::<flat::Map<Unit, Pair>>),
    ("flat_pages", play::<flat::Map<Page, Unit>>),
    ("flat_bulk", play::<flat::Map<Pair, Bulk<4096>>>),
    ("table_pairs", play::<flat::Table<Pair, Pair>>),
    ("owned_owned", play::<owned::Map<Owned, Owned>>),
    ("owned_void_keys", play::<owned::Map<Void, Owned>>),
    ("owned_pages", play::<owned::Map<OwnedPage, Bulk<4096>>>),
    ("text", play::<owned::Text>),
    ("left_right_owned", play::<left_right::Map<Owned, Owned, Boxed>>),
    ("left_right_pages", play::<left_right::Map<OwnedPage, Void, Boxed>>),
    ("left_right_inline", play::<left_right::Map<Pair, Bulk<4096>, Inline>>),
    ("left_right_shared", play::<left_right::Shared<Owned, Owned>>),
    ("left_right_table", play::<left_right_table::Table>),
    ("fence_pairs", play::<fence::Map<Pair, Pair>>),
    ("fence_bulk", play::<fence::Map<Unit, Bulk<64>>>),
    ("fence_owned", play::<fence_owned::Map<Owned, Owned>>),
    ("fence_owned_pages", play::<fence_owned::Map<OwnedPage, Void>>),
    ("snapshot_owned", play::<snapshot::Map<Owned, Owned>>),
    ("snapshot_void_keys", play::<snapshot::Map<Void, Owned>>),
    ("snapshot_pages", play::<snapshot::Map<OwnedPage, Void>>),
    ("workers", play::<workers::Workers>),
    ("compressed", play::<compressed::Map>),
];

/// The play of this name.
pub fn named(name: &str) -> Option<Play> {
    ALL.iter().find(|(other, _)| *other == name).map(|&(_, play)| play)
}

/// Looks at a value that a map returned: it must be whole.
fn see<V: Thing>(value: &V) {
    let _ = value.id();
}

fn see_all<V: Thing>(values: impl IntoIterator<Item = V>) {
    values.into_iter().for_each(|value| see(&value));
}

/// Looks at an entry that a map returned.
fn see_entry<K: Thing, V: Thing>(key: &Key<K>, value: &V) {
    meet(key, value);
}

/// Looks at an entry that a walk met, and returns its key's number.
fn meet<K: Thing, V: Thing>(key: &Key<K>, value: &V) -> u32 {
    see(value);
    key.id()
}

/// The lasting entries, each with its own number as its value.
fn lasting<K: Thing, V: Thing>() -> impl Iterator<Item = (Key<K>, V)> {
    let last = if lasts::<K>() { LASTING } else { 0 };
    (0..last).map(|id| (Key::make(id), V::make(id)))
}

/// Whether keys have a place for a number. (Those of no size have none.)
const fn lasts<K>() -> bool {
    size_of::<K>() != 0
}

/// Whether a value has many KiB. Code that moves such values takes minutes to optimize: their maps do less by value.
const fn is_large<V>() -> bool {
    size_of::<V>() > 1024
}

/// Decides for a closure that may keep or remove; it never removes a lasting key.
fn keeps(id: u32, op: crate::program::Op) -> bool {
    world::step();
    id < LASTING || op.picks(id)
}
