//! The operations of each map, stated once and checked by the compiler: `contract_rows.rs` has the rows of the table
//! in `src/docs/api.md`, this file checks and prints a row.
#![allow(clippy::type_complexity)] // The test is about these types.
#![allow(clippy::items_after_statements)]
#![allow(mismatched_lifetime_syntaxes)] // A cell of the table shows no lifetimes.

use hedgerow::flat::{DefaultHashBuilder, FixedHashBuilder};
use hedgerow::left_right::{TableReader, TableSnapshot, TableWriter};
use hedgerow::owned::Pinned;
use std::fmt::Debug;
use std::marker::PhantomData;

type K = u32;
type V = u64;
type S = DefaultHashBuilder;
type Key = &'static K;
type Keys = &'static [Key];
type Bytes = &'static [u8];
/// The type that a closure makes of a value.
type T = char;
/// The error type of a closure.
type E = char;
const N: usize = 2;
const BINS: usize = 4;
const READERS: usize = 4;

type HashMap = hedgerow::HashMap<K, V>;
type OrdMap = hedgerow::OrdMap<K, V>;
type SnapshotMap = hedgerow::SnapshotMap<K, V>;
type PersistentMap = hedgerow::PersistentMap<K, V>;
type BytesMap = hedgerow::BytesMap;
type FlatMap = hedgerow::FlatMap<K, V>;
type FlatTable = hedgerow::FlatTable<K, V, 4>;
type FenceMap = hedgerow::FenceMap<K, V>;
type LeftRightMap = hedgerow::LeftRightMap<K, V>;
type LeftRightTable = hedgerow::LeftRightTable<K, V, BINS, READERS>;
type CompressedMap = hedgerow::CompressedMap;
type ReadHandle<K, V> = hedgerow::left_right::ReadHandle<K, V>;
type WriteHandle<K, V> = hedgerow::left_right::WriteHandle<K, V>;
type Snapshot<'a, K, V> = hedgerow::left_right::Snapshot<'a, K, V>;

/// The columns of the table.
pub(crate) const MAPS: [&str; 10] = [
    "HashMap",
    "OrdMap",
    "SnapshotMap",
    "BytesMap",
    "FlatMap",
    "FlatTable",
    "FenceMap",
    "LeftRightMap",
    "LeftRightTable",
    "CompressedMap",
];

/// Types by names without lifetimes, since a lifetime that is written out leaves none to be inferred.
type PinnedHashMap = Pinned<'static, HashMap>;
type PinnedOrdMap = Pinned<'static, OrdMap>;
type PinnedBytesMap = Pinned<'static, BytesMap>;
type AnySnapshot = Snapshot<'static, K, V>;
type AnyTableSnapshot = TableSnapshot<'static, K, V, BINS>;
type AnyTableReader = TableReader<'static, K, V, BINS, READERS>;
type AnyTableWriter = TableWriter<'static, K, V, BINS, READERS>;

/// The type that has the methods of a row, in each column.
macro_rules! subject {
    (pinned HashMap) => { PinnedHashMap };
    (pinned OrdMap) => { PinnedOrdMap };
    (pinned BytesMap) => { PinnedBytesMap };
    (pinned SnapshotMap) => { PersistentMap };
    (pinned LeftRightMap) => { AnySnapshot };
    (pinned LeftRightTable) => { AnyTableSnapshot };
    (shown LeftRightMap) => { AnySnapshot };
    (shown LeftRightTable) => { AnyTableSnapshot };
    (read LeftRightMap) => { ReadHandle<K, V> };
    (read LeftRightTable) => { AnyTableReader };
    (write LeftRightMap) => { WriteHandle<K, V> };
    (write LeftRightTable) => { AnyTableWriter };
    ($kind:ident $map:ident) => { $map };
}

/// The return type of a method that a map lacks.
struct Nothing;

/// Compiles if the method returns an iterator over `X`.
fn iterates<'m, M: 'm, I: Iterator<Item = X>, X>(_: fn(&'m M) -> I) {}

/// Compiles if the method with an argument returns an iterator over `X`.
fn iterates_with<'m, M: 'm, A, I: Iterator<Item = X>, X>(_: fn(&'m M, A) -> I) {}

/// Checks a cell, and returns its text in the table.
macro_rules! cell {
    // The map lacks the method: the trait's is what its name means.
    ($kind:ident $map:ident $name:ident [no]) => {{
        let _: fn() -> Nothing = <subject!($kind $map)>::$name;
        "–".to_string()
    }};
    // A pinned map has the method by `Deref`.
    ($kind:ident $map:ident $name:ident [deref]) => {{
        let _: fn() -> Nothing = <subject!($kind $map)>::$name;
        let _: for<'a> fn(&'a subject!($kind $map)) -> &'a $map = |map| map;
        "the map's".to_string()
    }};
    ($kind:ident $map:ident $name:ident [(&self) -> iter $item:ty]) => {{
        iterates::<subject!($kind $map), _, $item>(<subject!($kind $map)>::$name);
        concat!("iterator of `", stringify!($item), "`").to_string()
    }};
    ($kind:ident $map:ident $name:ident [(&self, $arg:ty) -> iter $item:ty]) => {{
        iterates_with::<subject!($kind $map), $arg, _, $item>(<subject!($kind $map)>::$name);
        concat!("iterator of `", stringify!($item), "`").to_string()
    }};
    ($kind:ident $map:ident $name:ident [(&'p self $(, $arg:ty)*)]) => {{
        let _: for<'p> fn(&'p subject!($kind $map) $(, $arg)*) = <subject!($kind $map)>::$name;
        "`()`".to_string()
    }};
    ($kind:ident $map:ident $name:ident [(&'static self $(, $arg:ty)*) -> $ret:ty]) => {{
        let _: fn(&'static subject!($kind $map) $(, $arg)*) -> $ret = <subject!($kind $map)>::$name;
        let shown = concat!("`", stringify!($ret), "`").replace("'static, ", "");
        shown.replace("<'static>", "").replace("'static ", "")
    }};
    ($kind:ident $map:ident $name:ident [(&self $(, $arg:ty)*)]) => {{
        let _: fn(&subject!($kind $map) $(, $arg)*) = <subject!($kind $map)>::$name;
        "`()`".to_string()
    }};
    ($kind:ident $map:ident $name:ident [(&self $(, $arg:ty)*) -> $ret:ty]) => {{
        let _: fn(&subject!($kind $map) $(, $arg)*) -> $ret = <subject!($kind $map)>::$name;
        concat!("`", stringify!($ret), "`").to_string()
    }};
    ($kind:ident $map:ident $name:ident [(&mut self $(, $arg:ty)*)]) => {{
        let _: fn(&mut subject!($kind $map) $(, $arg)*) = <subject!($kind $map)>::$name;
        "`()`".to_string()
    }};
    ($kind:ident $map:ident $name:ident [(&mut self $(, $arg:ty)*) -> $ret:ty]) => {{
        let _: fn(&mut subject!($kind $map) $(, $arg)*) -> $ret = <subject!($kind $map)>::$name;
        concat!("`", stringify!($ret), "`").to_string()
    }};
    ($kind:ident $map:ident $name:ident [(self $(, $arg:ty)*) -> Self]) => {{
        let _: fn(subject!($kind $map) $(, $arg)*) -> subject!($kind $map) = <subject!($kind $map)>::$name;
        "`Self`".to_string()
    }};
    ($kind:ident $map:ident $name:ident [($($arg:ty),*) -> Self]) => {{
        let _: fn($($arg),*) -> subject!($kind $map) = <subject!($kind $map)>::$name;
        "`Self`".to_string()
    }};
    ($kind:ident $map:ident $name:ident [($($arg:ty),*) -> $ret:ty]) => {{
        let _: fn($($arg),*) -> $ret = <subject!($kind $map)>::$name;
        concat!("`", stringify!($ret), "`").to_string()
    }};
}

/// A row: the owner of the method (`made`, `read`, `write`, `pinned`), the method's name, the call as the table shows
/// it, and each map's method.
macro_rules! row {
    ($kind:ident $name:ident $call:literal $($($map:ident)+ => $cell:tt)*) => {{
        #[allow(dead_code, clippy::new_ret_no_self)]
        trait Absent {
            fn $name() -> Nothing {
                Nothing
            }
        }
        impl<X: ?Sized> Absent for X {}
        Row {
            kind: stringify!($kind),
            name: stringify!($name),
            call: $call,
            cells: vec![$($((stringify!($map), cell!($kind $map $name $cell))),+),*],
        }
    }};
}

/// A row of the table.
pub(crate) struct Row {
    pub(crate) kind: &'static str,
    pub(crate) name: &'static str,
    pub(crate) call: &'static str,
    pub(crate) cells: Vec<(&'static str, String)>,
}

#[path = "contract_rows.rs"]
mod rows;

/// The table: headings, each with its rows.
pub(crate) fn table() -> Vec<(&'static str, Vec<Row>)> {
    let mut of_pinned = rows::pinned();
    of_pinned.extend(rows::pinned_more());
    vec![
        ("Construction", rows::making()),
        ("Lookups", rows::lookups()),
        ("Lookups of a pinned map, and of a snapshot", of_pinned),
        ("Inserts", rows::storing()),
        ("Changes and removals", rows::changing()),
        ("All entries", rows::whole()),
        ("By key order", rows::ordered()),
        ("Size, and removed entries", rows::sizes()),
        ("One writer", rows::one_writer()),
        ("Traits", traits()),
    ]
}

/// Whether a type has a trait, as a cell shows it.
macro_rules! has {
    ($subject:ty: $($bound:tt)+) => {{
        struct Probe<X: ?Sized>(#[allow(dead_code)] PhantomData<X>);
        #[allow(dead_code)]
        trait Lacks {
            const HAS: bool = false;
        }
        impl<X: ?Sized> Lacks for Probe<X> {}
        #[allow(dead_code)]
        impl<X: $($bound)+> Probe<X> {
            const HAS: bool = true;
        }
        if <Probe<$subject>>::HAS { "yes" } else { "–" }.to_string()
    }};
}

/// A row about a trait: first as maps of any keys have it, then as maps of bytes do.
macro_rules! trait_row {
    ($kind:ident $call:literal $any:tt $bytes:tt) => {
        Row {
            kind: "trait",
            name: $call,
            call: $call,
            cells: vec![
                ("HashMap", trait_row!(@ $kind HashMap $any)),
                ("OrdMap", trait_row!(@ $kind OrdMap $any)),
                ("SnapshotMap", trait_row!(@ $kind SnapshotMap $any)),
                ("BytesMap", trait_row!(@ $kind BytesMap $bytes)),
                ("FlatMap", trait_row!(@ $kind FlatMap $any)),
                ("FlatTable", trait_row!(@ $kind FlatTable $any)),
                ("FenceMap", trait_row!(@ $kind FenceMap $any)),
                ("LeftRightMap", trait_row!(@ $kind LeftRightMap $any)),
                ("LeftRightTable", trait_row!(@ $kind LeftRightTable $any)),
                ("CompressedMap", trait_row!(@ $kind CompressedMap $bytes)),
            ],
        }
    };
    (@ borrowed $map:ident ($($bound:tt)+)) => { has!(&'static subject!(shown $map): $($bound)+) };
    (@ $kind:ident $map:ident ($($bound:tt)+)) => { has!(subject!($kind $map): $($bound)+) };
}

/// Traits. A map with one writer has them on the writer's handle; references to it are references to a snapshot.
fn traits() -> Vec<Row> {
    vec![
        trait_row! { write "Default" (Default) (Default) },
        trait_row! { write "Debug" (Debug) (Debug) },
        trait_row! { write "Clone" (Clone) (Clone) },
        trait_row! { write "PartialEq" (PartialEq) (PartialEq) },
        trait_row! { write "FromIterator<(K, V)>" (FromIterator<(K, V)>) (FromIterator<(Bytes, Bytes)>) },
        trait_row! { write "From<[(K, V); N]>" (From<[(K, V); N]>) (From<[(Bytes, Bytes); N]>) },
        trait_row! { write "Extend<(K, V)>" (Extend<(K, V)>) (Extend<(Bytes, Bytes)>) },
        trait_row! { borrowed "Extend<(K, V)> for &" (Extend<(K, V)>) (Extend<(Bytes, Bytes)>) },
        trait_row! {
            write "Extend<(&K, &V)>"
            (Extend<(&'static K, &'static V)>) (Extend<(&'static Bytes, &'static Bytes)>)
        },
        trait_row! { write "IntoIterator" (IntoIterator) (IntoIterator) },
        trait_row! { borrowed "IntoIterator for &" (IntoIterator) (IntoIterator) },
    ]
}
