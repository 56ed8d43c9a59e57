//! Streams as they are read.

use super::{
    Node, PendingEntry, StreamConsumer, StreamEncoding, StreamGroup, StreamId, StreamMeta,
    StreamPart,
};
use crate::rdb::RdbError;
use crate::rdb::source::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

/// A stream that is read part by part. Of a group, it keeps the pending entries and the names of the consumers, to know
/// that they are different, and that each pending entry has a consumer.
pub(in crate::rdb) struct StreamBody {
    encoding: StreamEncoding,
    /// How many nodes follow, or `None` if their number was not read.
    nodes: Option<u64>,
    node: Option<Node>,
    /// The entries that were read: how many, the first one, and the last one.
    entries: u64,
    ends: Option<(StreamId, StreamId)>,
    /// Known once all entries were read.
    meta: Option<StreamMeta>,
    left: Left,
    names: BTreeSet<Vec<u8>>,
    consumers: BTreeSet<Vec<u8>>,
    /// Those of the group, and whether a consumer has them.
    pending: BTreeMap<StreamId, (PendingEntry, bool)>,
    owned: usize,
    name: Vec<u8>,
}

/// How many parts follow.
struct Left {
    groups: u64,
    pending: u64,
    /// `None` if their number was not read.
    consumers: Option<u64>,
    owned: u64,
}

impl StreamBody {
    /// Begins a value of this type, or returns `None` if it is no stream.
    pub(in crate::rdb) fn new(number: u8) -> Option<Self> {
        Some(Self {
            encoding: StreamEncoding::of(number)?,
            nodes: None,
            node: None,
            entries: 0,
            ends: None,
            meta: None,
            left: Left { groups: 0, pending: 0, consumers: Some(0), owned: 0 },
            names: BTreeSet::new(),
            consumers: BTreeSet::new(),
            pending: BTreeMap::new(),
            owned: 0,
            name: Vec::new(),
        })
    }

    /// Returns the next part, or `None` after the last.
    pub(in crate::rdb) fn next<R: BufRead>(
        &mut self,
        source: &mut Source<R>,
    ) -> Result<Option<StreamPart<'_>>, RdbError> {
        if self.meta.is_none() {
            if self.find_entry(source)? {
                return Ok(self.node.as_ref().map(|node| StreamPart::Entry(node.entry())));
            }
            let meta = self.read_meta(source)?;
            self.left.groups = meta.groups;
            self.meta = Some(meta);
            return Ok(Some(StreamPart::Meta(meta)));
        }
        if take_one(&mut self.left.pending) {
            return self.read_pending(source).map(Some);
        }
        let mut consumers = match self.left.consumers {
            Some(left) => left,
            None => source.length()?,
        };
        self.left.consumers = Some(consumers);
        if take_one(&mut self.left.owned) {
            return self.read_owned(source).map(Some);
        }
        if take_one(&mut consumers) {
            self.left.consumers = Some(consumers);
            return self.read_consumer(source).map(Some);
        }
        if self.owned < self.pending.len() {
            return Err(source.damaged("a pending entry of a stream belongs to no consumer"));
        }
        if take_one(&mut self.left.groups) {
            return self.read_group(source).map(Some);
        }
        Ok(None)
    }

    /// Reads up to the next entry, which the node has then. Returns whether there is one.
    fn find_entry<R: BufRead>(&mut self, source: &mut Source<R>) -> Result<bool, RdbError> {
        loop {
            if let Some(node) = &mut self.node {
                if let Some(id) = node.advance().map_err(|why| source.damaged(why))? {
                    if self.ends.is_some_and(|(_, last)| id <= last) {
                        return Err(source.damaged("the ids of a stream do not ascend"));
                    }
                    self.ends = Some((self.ends.map_or(id, |(first, _)| first), id));
                    self.entries += 1;
                    return Ok(true);
                }
                self.node = None;
            }
            let mut left = match self.nodes {
                Some(left) => left,
                None => source.length()?,
            };
            let is_more = take_one(&mut left);
            self.nodes = Some(left);
            if !is_more {
                return Ok(false);
            }
            source.string_into(&mut self.name)?;
            let Ok(id) = self.name[..].try_into() else {
                return Err(source.damaged("the id of a node of a stream has not 16 bytes"));
            };
            let bytes = source.string()?;
            let node = Node::new(StreamId::from_be_bytes(id), bytes);
            self.node = Some(node.map_err(|why| source.damaged(why))?);
        }
    }

    fn read_meta<R: BufRead>(&self, source: &mut Source<R>) -> Result<StreamMeta, RdbError> {
        let (length, last_id) = (source.length()?, source.stream_id()?);
        let (mut max_deleted_id, mut entries_added) = (StreamId::default(), length);
        if self.encoding >= StreamEncoding::Listpacks2 {
            // The first id.
            source.stream_id()?;
            (max_deleted_id, entries_added) = (source.stream_id()?, source.length()?);
        }
        if length != self.entries {
            return Err(source.damaged("a stream has another length than it says"));
        }
        if self.ends.is_some_and(|(_, last)| last_id < last) {
            return Err(source.damaged("the last id of a stream is less than that of an entry"));
        }
        if entries_added < length || i64::try_from(entries_added).is_err() {
            return Err(source.damaged("the number of entries added to a stream is impossible"));
        }
        let groups = source.length()?;
        Ok(StreamMeta { length, last_id, max_deleted_id, entries_added, groups })
    }

    fn read_group<R: BufRead>(
        &mut self,
        source: &mut Source<R>,
    ) -> Result<StreamPart<'_>, RdbError> {
        source.string_into(&mut self.name)?;
        if !self.names.insert(self.name.clone()) {
            return Err(source.damaged("a stream has two groups of the same name"));
        }
        let last_id = source.stream_id()?;
        let entries_read = match self.encoding {
            StreamEncoding::Listpacks => self.estimated(last_id),
            // It is -1 if it is not known.
            _ => Some(source.length()?).filter(|count| i64::try_from(*count).is_ok()),
        };
        let pending = source.length()?;
        self.left = Left { pending, consumers: None, owned: 0, ..self.left };
        (self.owned, self.pending, self.consumers) = Default::default();
        Ok(StreamPart::Group(StreamGroup { name: &self.name, last_id, entries_read, pending }))
    }

    /// Returns how many entries were added up to an id of a stream from which nothing was deleted, as far as its ends
    /// say so.
    fn estimated(&self, id: StreamId) -> Option<u64> {
        let meta = self.meta?;
        let Some((first, _)) = self.ends else { return Some(0) };
        match () {
            () if id == meta.last_id => Some(meta.entries_added),
            () if id < first => Some(0),
            () if id == first => Some(1),
            () => None,
        }
    }

    fn read_pending<R: BufRead>(
        &mut self,
        source: &mut Source<R>,
    ) -> Result<StreamPart<'_>, RdbError> {
        let id = StreamId::from_be_bytes(source.array()?);
        let (delivered_at, deliveries) = (source.time()?, source.length()?);
        let entry = PendingEntry { id, delivered_at, deliveries };
        if self.pending.insert(id, (entry, false)).is_some() {
            return Err(source.damaged("a group of a stream has the same pending entry twice"));
        }
        Ok(StreamPart::Pending(entry))
    }

    fn read_consumer<R: BufRead>(
        &mut self,
        source: &mut Source<R>,
    ) -> Result<StreamPart<'_>, RdbError> {
        source.string_into(&mut self.name)?;
        if !self.consumers.insert(self.name.clone()) {
            return Err(source.damaged("a group of a stream has two consumers of the same name"));
        }
        let seen_at = source.time()?;
        let active_at = match self.encoding {
            // It is -1 for never.
            StreamEncoding::Listpacks3 => i64::from_le_bytes(source.array()?).try_into().ok(),
            _ => Some(seen_at),
        };
        let pending = source.length()?;
        self.left.owned = pending;
        Ok(StreamPart::Consumer(StreamConsumer { name: &self.name, seen_at, active_at, pending }))
    }

    fn read_owned<R: BufRead>(
        &mut self,
        source: &mut Source<R>,
    ) -> Result<StreamPart<'_>, RdbError> {
        let id = StreamId::from_be_bytes(source.array()?);
        match self.pending.get_mut(&id) {
            Some((entry, is_owned)) if !*is_owned => {
                *is_owned = true;
                self.owned += 1;
                Ok(StreamPart::Owned(*entry))
            }
            Some(_) => Err(source.damaged("a pending entry of a stream has two consumers")),
            None => Err(source.damaged("a consumer's pending entry is none of its group")),
        }
    }

    /// Reads over the parts that were not read. They are not checked.
    pub(in crate::rdb) fn skip<R: BufRead>(self, source: &mut Source<R>) -> Result<(), RdbError> {
        if self.meta.is_none() {
            let nodes = match self.nodes {
                Some(left) => left,
                None => source.length()?,
            };
            return source.skip_stream_from(self.encoding, nodes);
        }
        source.skip_pending(self.left.pending)?;
        let consumers = match self.left.consumers {
            Some(left) => left,
            None => source.length()?,
        };
        source.skip_owned(self.left.owned)?;
        source.skip_consumers(self.encoding, consumers)?;
        source.skip_groups(self.encoding, self.left.groups)
    }
}

/// Subtracts one, if that is possible. Returns whether it is.
fn take_one(left: &mut u64) -> bool {
    let is_more = *left > 0;
    *left -= u64::from(is_more);
    is_more
}

impl<R: BufRead> Source<R> {
    fn stream_id(&mut self) -> Result<StreamId, RdbError> {
        Ok(StreamId { ms: self.length()?, seq: self.length()? })
    }

    /// Reads a time. One before 1970 has passed just as well as 1970.
    fn time(&mut self) -> Result<u64, RdbError> {
        Ok(i64::from_le_bytes(self.array()?).try_into().unwrap_or(0))
    }
}
