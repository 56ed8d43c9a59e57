//! Streams as they are written.

use super::node::NodeWriter;
use super::{PendingEntry, StreamConsumer, StreamEncoding, StreamGroup, StreamId, StreamMeta};
use crate::rdb::HashPair;
use crate::rdb::encode::{write_length, write_string};
use crate::rdb::lzf::LzfCompressor;
use crate::rdb::packed::ListpackWriter;
use std::io;

/// Where the bytes go.
pub(in crate::rdb) trait StreamOutput {
    fn buffer(&mut self) -> (&mut Vec<u8>, &mut LzfCompressor);
    /// Has to be called now and then, so that the buffer does not have the whole stream.
    fn flush_if_full(&mut self) -> io::Result<()>;
}

/// Writes the parts of a stream, in the order of [`StreamPart`](super::StreamPart). Entries get into nodes as Redis
/// makes them of a stream that was only appended to.
///
/// # Panics
/// Its methods panic if the parts are in another order, or if there are not as many of them as those before have said.
pub struct StreamWriter<'w> {
    /// `None` if the nodes are only counted.
    out: Option<&'w mut dyn StreamOutput>,
    encoding: StreamEncoding,
    node: NodeWriter,
    nodes: u64,
    entries: u64,
    ends: Option<(StreamId, StreamId)>,
    has_meta: bool,
    groups: u64,
    pending: u64,
    consumers: u64,
    owned: u64,
}

impl<'w> StreamWriter<'w> {
    fn new(out: Option<&'w mut dyn StreamOutput>, encoding: StreamEncoding) -> Self {
        Self {
            out,
            encoding,
            node: NodeWriter::default(),
            nodes: 0,
            entries: 0,
            ends: None,
            has_meta: false,
            groups: 0,
            pending: 0,
            consumers: 0,
            owned: 0,
        }
    }

    /// Adds an entry, which has at least one field. Its id is greater than that of the entry before.
    ///
    /// # Errors
    /// Those of the output.
    pub fn entry<'a>(
        &mut self,
        id: StreamId,
        pairs: impl Iterator<Item = HashPair<'a>> + Clone,
    ) -> io::Result<()> {
        assert!(!self.has_meta, "an entry of a stream comes before all else");
        assert!(self.ends.is_none_or(|(_, last)| last < id), "ids of a stream ascend");
        self.ends = Some((self.ends.map_or(id, |(first, _)| first), id));
        self.entries += 1;
        let full = self.node.push(id, pairs);
        self.end_node(full)
    }

    fn end_node(&mut self, node: Option<(StreamId, ListpackWriter)>) -> io::Result<()> {
        let Some((id, listpack)) = node else { return Ok(()) };
        self.nodes += 1;
        let Some(out) = &mut self.out else { return Ok(()) };
        let (buffer, compressor) = out.buffer();
        write_string(buffer, &[&id.to_be_bytes()], compressor);
        let listpack = listpack.finish().expect("a node of a stream is below 4 GiB");
        write_string(buffer, &[&listpack], compressor);
        out.flush_if_full()
    }

    /// Adds what is known about the stream. There are as many entries as this says.
    ///
    /// # Errors
    /// Those of the output.
    pub fn meta(&mut self, meta: &StreamMeta) -> io::Result<()> {
        assert!(!self.has_meta && self.entries == meta.length, "parts of a stream");
        self.has_meta = true;
        self.groups = meta.groups;
        let last = self.node.end();
        self.end_node(last)?;
        let first = self.ends.map(|(first, _)| first).unwrap_or_default();
        self.write(|out, _, encoding| {
            write_length(out, meta.length);
            write_id(out, meta.last_id);
            if encoding >= StreamEncoding::Listpacks2 {
                write_id(out, first);
                write_id(out, meta.max_deleted_id);
                write_length(out, meta.entries_added);
            }
            write_length(out, meta.groups);
        })
    }

    /// Adds a group, which has as many pending entries as it says, and as many consumers as `consumers`. All that the
    /// group before has was added.
    ///
    /// # Errors
    /// Those of the output.
    pub fn group(&mut self, group: &StreamGroup<'_>, consumers: u64) -> io::Result<()> {
        self.check_group_end();
        self.groups = self.groups.checked_sub(1).expect("parts of a stream");
        (self.pending, self.consumers) = (group.pending, consumers);
        self.write(|out, compressor, encoding| {
            write_string(out, &[group.name], compressor);
            write_id(out, group.last_id);
            if encoding >= StreamEncoding::Listpacks2 {
                write_length(out, group.entries_read.unwrap_or(u64::MAX));
            }
            write_length(out, group.pending);
        })?;
        self.begin_consumers()
    }

    /// Adds a pending entry of the group. A consumer has to follow that has it, too.
    ///
    /// # Errors
    /// Those of the output.
    pub fn pending(&mut self, entry: &PendingEntry) -> io::Result<()> {
        self.pending = self.pending.checked_sub(1).expect("parts of a stream");
        self.write(|out, _, _| {
            out.extend_from_slice(&entry.id.to_be_bytes());
            write_time(out, Some(entry.delivered_at));
            write_length(out, entry.deliveries);
        })?;
        self.begin_consumers()
    }

    /// Writes the number of consumers, if no pending entry comes before it.
    fn begin_consumers(&mut self) -> io::Result<()> {
        let consumers = self.consumers;
        if self.pending > 0 { Ok(()) } else { self.write(|out, _, _| write_length(out, consumers)) }
    }

    /// Adds a consumer of the group, which has as many pending entries as it says.
    ///
    /// # Errors
    /// Those of the output.
    pub fn consumer(&mut self, consumer: &StreamConsumer<'_>) -> io::Result<()> {
        assert!(self.pending == 0 && self.owned == 0, "parts of a stream");
        self.consumers = self.consumers.checked_sub(1).expect("parts of a stream");
        self.owned = consumer.pending;
        self.write(|out, compressor, encoding| {
            write_string(out, &[consumer.name], compressor);
            write_time(out, Some(consumer.seen_at));
            if encoding >= StreamEncoding::Listpacks3 {
                write_time(out, consumer.active_at);
            }
            write_length(out, consumer.pending);
        })
    }

    /// Adds a pending entry of the consumer, by its id.
    ///
    /// # Errors
    /// Those of the output.
    pub fn owned(&mut self, id: StreamId) -> io::Result<()> {
        self.owned = self.owned.checked_sub(1).expect("parts of a stream");
        self.write(|out, _, _| out.extend_from_slice(&id.to_be_bytes()))
    }

    fn write(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>, &mut LzfCompressor, StreamEncoding),
    ) -> io::Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        let (buffer, compressor) = out.buffer();
        write(buffer, compressor, self.encoding);
        out.flush_if_full()
    }

    fn check_group_end(&self) {
        let left = [self.pending, self.consumers, self.owned];
        assert!(self.has_meta && left == [0; 3], "parts of a stream");
    }

    /// Returns the number of nodes.
    fn end(&self) -> u64 {
        self.check_group_end();
        assert_eq!(self.groups, 0, "parts of a stream");
        self.nodes
    }
}

fn write_id(out: &mut Vec<u8>, id: StreamId) {
    write_length(out, id.ms);
    write_length(out, id.seq);
}

/// Writes a time, or that there is none.
fn write_time(out: &mut Vec<u8>, at: Option<u64>) {
    let at = at.map_or(-1, |at| i64::try_from(at).unwrap_or(i64::MAX));
    out.extend_from_slice(&at.to_le_bytes());
}

/// Appends a stream, with its type.
pub(in crate::rdb) fn dump_parts(
    out: &mut Vec<u8>,
    encoding: StreamEncoding,
    compressor: &mut LzfCompressor,
    write: impl FnOnce(&mut StreamWriter<'_>) -> io::Result<()>,
) -> io::Result<()> {
    struct Buffer<'b>(&'b mut Vec<u8>, &'b mut LzfCompressor);
    impl StreamOutput for Buffer<'_> {
        fn buffer(&mut self) -> (&mut Vec<u8>, &mut LzfCompressor) {
            (self.0, self.1)
        }
        fn flush_if_full(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    out.push(encoding.number());
    let count_at = out.len();
    let mut buffer = Buffer(out, compressor);
    let mut writer = StreamWriter::new(Some(&mut buffer), encoding);
    write(&mut writer)?;
    let nodes = writer.end();
    // Only now it is known, and how many bytes it takes.
    let mut count = Vec::new();
    write_length(&mut count, nodes);
    out.splice(count_at..count_at, count);
    Ok(())
}

/// Writes a stream, behind `begin`, which is called with its type.
pub(in crate::rdb) fn write_parts<O: StreamOutput>(
    out: &mut O,
    encoding: StreamEncoding,
    begin: impl FnOnce(&mut O, u8),
    mut write: impl FnMut(&mut StreamWriter<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut counter = StreamWriter::new(None, encoding);
    write(&mut counter)?;
    let nodes = counter.end();
    begin(out, encoding.number());
    write_length(out.buffer().0, nodes);
    let mut writer = StreamWriter::new(Some(out), encoding);
    write(&mut writer)?;
    assert_eq!(writer.end(), nodes, "parts of a stream are the same again");
    Ok(())
}
