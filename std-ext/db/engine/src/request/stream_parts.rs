//! Streams as the parts that Redis's formats have.

use super::LONGEST_VALUE;
use super::lengths::push;
use super::packed::Packer;
use super::stream_key::{self, Part, PendingEntry, StreamGroup, StreamMeta};
use super::value::OwnedValue;
use super::value_type::ValueType;
use hedgerow_db_formats::rdb::{self, HashPair, StreamEntry, StreamId, StreamPart, StreamWriter};
use std::collections::BTreeMap;
use std::io;

/// A consumer's name, and when it was last seen and last active.
type SeenConsumer<'v> = (&'v [u8], u64, u64);

/// The groups of a stream, with what each has.
#[derive(Default)]
struct Groups<'v> {
    all: Vec<(&'v [u8], StreamGroup)>,
    consumers: BTreeMap<&'v [u8], Vec<SeenConsumer<'v>>>,
    pending: BTreeMap<&'v [u8], Vec<(StreamId, PendingEntry<'v>)>>,
}

/// Writes a stream, whose names and values come in order.
///
/// # Errors
/// Those of the writer.
pub fn write_stream<'v>(
    parts: impl Iterator<Item = HashPair<'v>>,
    out: &mut StreamWriter<'_>,
) -> io::Result<()> {
    let (mut length, mut meta, mut groups) = (0, StreamMeta::default(), Groups::default());
    for (name, value) in parts {
        match stream_key::part(name, value) {
            Some(Part::Entry) => {
                let fields = stream_key::entry_fields(value);
                let pairs = fields.clone().step_by(2).zip(fields.skip(1).step_by(2));
                out.entry(stream_key::last_id(name), pairs)?;
                length += 1;
            }
            Some(Part::Meta(found)) => meta = found,
            Some(Part::Group(name, group)) => groups.all.push((name, group)),
            Some(Part::Consumer(group, name, (seen, active))) => {
                groups.consumers.entry(group).or_default().push((name, seen, active));
            }
            Some(Part::Pending(group, id, entry)) => {
                groups.pending.entry(group).or_default().push((id, entry));
            }
            // What a consumer has is known from the pending entries of its group.
            Some(Part::Owned) | None => {}
        }
    }
    out.meta(&rdb::StreamMeta {
        length,
        last_id: meta.last,
        max_deleted_id: meta.deleted,
        entries_added: meta.added,
        groups: groups.all.len() as u64,
    })?;
    groups.all.iter().try_for_each(|(name, group)| groups.write(name, group, out))
}

impl Groups<'_> {
    fn write(
        &self,
        name: &[u8],
        group: &StreamGroup,
        out: &mut StreamWriter<'_>,
    ) -> io::Result<()> {
        let consumers = self.consumers.get(name).map_or(&[][..], Vec::as_slice);
        let pending = self.pending.get(name).map_or(&[][..], Vec::as_slice);
        let (last_id, entries_read) = (group.last, group.read);
        let group = rdb::StreamGroup { name, last_id, entries_read, pending: pending.len() as u64 };
        out.group(&group, consumers.len() as u64)?;
        let mut owned = BTreeMap::<&[u8], Vec<StreamId>>::new();
        for (id, entry) in pending {
            let (delivered_at, deliveries) = (entry.time, entry.count);
            out.pending(&rdb::PendingEntry { id: *id, delivered_at, deliveries })?;
            owned.entry(entry.consumer).or_default().push(*id);
        }
        for (name, seen, active) in consumers {
            let owned = owned.remove(name).unwrap_or_default();
            out.consumer(&rdb::StreamConsumer {
                name,
                seen_at: *seen,
                active_at: Some(*active),
                pending: owned.len() as u64,
            })?;
            owned.iter().try_for_each(|id| out.owned(*id))?;
        }
        Ok(())
    }
}

/// Makes a stream from its parts.
#[derive(Debug)]
pub struct StreamPacker {
    meta: StreamMeta,
    entries: Packer,
    /// What comes behind the entries, in no order.
    others: Vec<(Vec<u8>, Vec<u8>)>,
    group: Vec<u8>,
    consumer: Vec<u8>,
}

impl Default for StreamPacker {
    fn default() -> Self {
        Self {
            meta: StreamMeta::default(),
            entries: Packer::new(ValueType::Stream),
            others: Vec::new(),
            group: Vec::new(),
            consumer: Vec::new(),
        }
    }
}

impl StreamPacker {
    /// Adds a part, in the order of [`StreamPart`]. Returns false if it is larger than a value may be.
    #[must_use]
    pub fn push(&mut self, part: StreamPart<'_>) -> bool {
        match part {
            StreamPart::Entry(entry) => return self.entry(entry),
            StreamPart::Meta(meta) => {
                let (last, deleted) = (meta.last_id, meta.max_deleted_id);
                self.meta = StreamMeta { last, deleted, added: meta.entries_added };
            }
            StreamPart::Group(group) => {
                group.name.clone_into(&mut self.group);
                let value = StreamGroup { last: group.last_id, read: group.entries_read };
                self.others.push((stream_key::group(group.name), value.bytes()));
            }
            StreamPart::Consumer(consumer) => {
                consumer.name.clone_into(&mut self.consumer);
                let name = [&stream_key::consumers(&self.group), consumer.name].concat();
                let active = consumer.active_at.unwrap_or(consumer.seen_at);
                self.others.push((name, stream_key::consumer_times(consumer.seen_at, active)));
            }
            StreamPart::Owned(entry) => {
                let name = stream_key::with_id(&stream_key::pending(&self.group), entry.id);
                let value = PendingEntry {
                    time: entry.delivered_at,
                    count: entry.deliveries,
                    consumer: &self.consumer,
                };
                self.others.push((name, value.bytes()));
                let own = stream_key::consumer_pending(&self.group, &self.consumer);
                self.others.push((stream_key::with_id(&own, entry.id), Vec::new()));
            }
            // Each comes again with its consumer.
            _ => {}
        }
        true
    }

    fn entry(&mut self, mut entry: StreamEntry<'_>) -> bool {
        let mut value = Vec::new();
        while let Some((field, text)) = entry.pairs.next() {
            push(field, &mut value);
            push(text, &mut value);
            // The names of a node's fields are stored once, and may be long.
            if value.len() > LONGEST_VALUE
                || self.entries.packed().bytes().len() + value.len() > LONGEST_VALUE
            {
                return false;
            }
        }
        self.entries.push(&stream_key::entry(entry.id), &value);
        true
    }

    /// Returns the stream.
    pub fn finish(mut self) -> OwnedValue {
        let mut all = Packer::new(ValueType::Stream);
        all.push(stream_key::META, &self.meta.bytes());
        self.entries.packed().iter().for_each(|(name, value)| all.push(name, value));
        self.others.sort_unstable();
        self.others.iter().for_each(|(name, value)| all.push(name, value));
        all.into_owned()
    }
}
