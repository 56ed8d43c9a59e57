//! The three structures of two sides behind one face: a table in a `static`, a map that keeps its entries in
//! boxes, and one that keeps them in both sides.

use crate::{board, reading::Reading};
use hedgerow::LeftRightMap;
use hedgerow::error::{Busy, TryInsertError};
use hedgerow::left_right::{
    DefaultHashBuilder, Inline, LeftRightTable, ReadHandle, ReaderOf, Snapshot, SnapshotOf,
    WriteHandle, WriterOf,
};

pub const KINDS: [&str; 3] = ["table", "boxed map", "inline map"];

/// Room for little more than half of the keys: it is nearly full when most are there.
const BINS: usize = board::KEYS as usize / 8 + 1;
/// The handler's two, and one more for [`handles`](crate::handles).
const READERS: usize = 3;

pub type Table = LeftRightTable<u32, Reading, BINS, READERS>;

pub static TABLE: Table = Table::new();

pub enum Writer {
    Table(WriterOf<'static, Table>),
    Boxed(WriteHandle<u32, Reading>),
    Inline(WriteHandle<u32, Reading, DefaultHashBuilder, Inline>),
}

pub enum Reader {
    Table(ReaderOf<'static, Table>),
    Boxed(ReadHandle<u32, Reading>),
    Inline(ReadHandle<u32, Reading, DefaultHashBuilder, Inline>),
}

pub enum AnySnapshot<'a> {
    Table(SnapshotOf<'a, Table>),
    Boxed(Snapshot<'a, u32, Reading>),
    Inline(Snapshot<'a, u32, Reading, DefaultHashBuilder, Inline>),
}

/// Nothing was done, because a reader is in the way.
#[derive(Debug)]
pub struct Refused;

fn not_yet(_: Busy) -> Refused {
    Refused
}

/// An empty one of a kind, with two readers.
pub fn make(kind: usize) -> (Writer, [Reader; 2]) {
    match kind {
        0 => {
            let mut writer = TABLE.writer().expect("the last round's writer is dropped");
            writer.clear().expect("no reader is in the way");
            writer.publish();
            let reader = || Reader::Table(TABLE.reader().expect("as are its readers"));
            (Writer::Table(writer), [reader(), reader()])
        }
        1 => {
            let (writer, reader) = LeftRightMap::new();
            let other = reader.clone();
            (Writer::Boxed(writer), [reader, other].map(Reader::Boxed))
        }
        _ => {
            let (writer, reader) = LeftRightMap::inline();
            let other = reader.clone();
            (Writer::Inline(writer), [reader, other].map(Reader::Inline))
        }
    }
}

/// The same of each.
macro_rules! each {
    ($kind:ident of $self:ident, $it:ident => $what:expr) => {
        match $self {
            $kind::Table($it) => $what,
            $kind::Boxed($it) => $what,
            $kind::Inline($it) => $what,
        }
    };
}

impl Writer {
    pub fn insert(&mut self, key: u32, value: Reading) -> Result<bool, Refused> {
        match self {
            Self::Table(writer) => {
                writer.insert(key, value).map(|old| old.is_some()).map_err(|refused| {
                    assert!(matches!(refused, TryInsertError::Busy { .. }), "the table is full");
                    assert_eq!(refused.into_parts(), (key, value), "something else came back");
                    Refused
                })
            }
            Self::Boxed(writer) => Ok(writer.insert(key, value)),
            Self::Inline(writer) => Ok(writer.insert(key, value)),
        }
    }

    pub fn update(&mut self, key: u32, value: Reading) -> Result<bool, Refused> {
        match self {
            Self::Table(writer) => Ok(writer.update(&key, |_| value).map_err(not_yet)?.is_some()),
            Self::Boxed(writer) => Ok(writer.update(&key, |_| value)),
            Self::Inline(writer) => Ok(writer.update(&key, |_| value)),
        }
    }

    pub fn remove(&mut self, key: u32) -> Result<bool, Refused> {
        match self {
            Self::Table(writer) => Ok(writer.remove(&key).map_err(not_yet)?.is_some()),
            Self::Boxed(writer) => Ok(writer.remove(&key)),
            Self::Inline(writer) => Ok(writer.remove(&key)),
        }
    }

    pub fn clear(&mut self) -> Result<(), Refused> {
        match self {
            Self::Table(writer) => writer.clear().map_err(not_yet)?,
            Self::Boxed(writer) => writer.clear(),
            Self::Inline(writer) => writer.clear(),
        }
        Ok(())
    }

    /// Gives back memory, of those that have taken any.
    pub fn shrink(&mut self) {
        match self {
            Self::Table(_) => (),
            Self::Boxed(writer) => writer.shrink_to_fit(),
            Self::Inline(writer) => writer.shrink_to_fit(),
        }
    }

    /// Publishes if no reader is stuck any more. A handle that was stuck a moment ago may count as stuck while it
    /// reads again.
    pub fn publish(&mut self) {
        match self {
            Self::Table(writer) => writer.publish(),
            Self::Boxed(writer) => while writer.try_publish().is_err() {},
            Self::Inline(writer) => while writer.try_publish().is_err() {},
        }
    }

    pub fn is_stuck(&self) -> bool {
        each!(Writer of self, writer => writer.stalled_readers().next().is_some())
    }

    /// Waits until nobody is stuck.
    pub fn wait(&mut self) {
        if let Self::Table(writer) = self {
            writer.wait_for_readers();
        }
        while self.is_stuck() {}
    }

    pub fn get(&self, key: u32) -> Option<Reading> {
        match self {
            Self::Table(writer) => writer.get(&key),
            Self::Boxed(writer) => writer.get(&key).copied(),
            Self::Inline(writer) => writer.get(&key).copied(),
        }
    }

    pub fn len(&self) -> usize {
        each!(Writer of self, writer => {
            assert_eq!(writer.iter().count(), writer.len(), "iteration missed or doubled a key");
            writer.len()
        })
    }
}

impl Reader {
    pub fn enter(&self) -> AnySnapshot<'_> {
        match self {
            Self::Table(reader) => AnySnapshot::Table(reader.enter()),
            Self::Boxed(reader) => AnySnapshot::Boxed(reader.enter()),
            Self::Inline(reader) => AnySnapshot::Inline(reader.enter()),
        }
    }

    pub fn get(&self, key: u32) -> Option<Reading> {
        match self {
            Self::Table(reader) => reader.get(&key),
            Self::Boxed(reader) => reader.get(&key).map(|value| *value),
            Self::Inline(reader) => reader.get_copied(&key),
        }
    }
}

impl AnySnapshot<'_> {
    pub fn get(&self, key: u32) -> Option<Reading> {
        each!(AnySnapshot of self, snapshot => snapshot.get(&key).copied())
    }

    pub fn len(&self) -> usize {
        each!(AnySnapshot of self, snapshot => snapshot.len())
    }

    pub fn publishes(&self) -> u32 {
        each!(AnySnapshot of self, snapshot => snapshot.generation() as u32)
    }
}
