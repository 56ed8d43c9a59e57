//! Collections as they are written.

use crate::number;
use crate::rdb::encode::{write_length, write_string};
use crate::rdb::lzf::LzfCompressor;
use crate::rdb::packed::{ListpackWriter, intset};
use crate::rdb::{PACKED_NODE, score, value_type};

/// The encodings of a hash that are written. Redis names them in its reply to `OBJECT ENCODING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashEncoding {
    /// One string with all pairs, for small hashes. Redis 7 and later read it.
    Listpack,
    /// A count and the pairs. Every version of Redis reads it.
    HashTable,
}

/// The encodings of a set that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetEncoding {
    /// One string with all members, which are integers as [`number::integer`] reads them.
    Intset,
    /// A count and the members.
    HashTable,
}

/// The encodings of a sorted set that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortedSetEncoding {
    /// One string with all members and scores, for small sorted sets. Redis 7 and later read it, and expect the members
    /// in ascending order.
    Listpack,
    /// A count, and the members with their scores. Redis 4 and later read it. They write the last member first, so that
    /// each is inserted at the beginning when the value is read.
    SkipList,
}

/// A field and its value.
pub type HashPair<'a> = (&'a [u8], &'a [u8]);
/// A member of a sorted set and its score.
pub type ScoredMember<'a> = (&'a [u8], f64);

/// What Redis reckons with for an element of a listpack besides its text.
const OVERHEAD: usize = 8;
/// The largest listpack of a list, with `list-max-listpack-size -2`. A longer element has one of its own: Redis 7.0
/// makes plain nodes only for elements above 1 GiB.
const NODE: usize = 8 << 10;

/// A part of a collection that is no packed value.
pub(super) trait WriteItem {
    fn write(self, out: &mut Vec<u8>, compressor: &mut LzfCompressor);
}

impl WriteItem for &[u8] {
    fn write(self, out: &mut Vec<u8>, compressor: &mut LzfCompressor) {
        write_string(out, &[self], compressor);
    }
}

impl WriteItem for HashPair<'_> {
    fn write(self, out: &mut Vec<u8>, compressor: &mut LzfCompressor) {
        write_string(out, &[self.0], compressor);
        write_string(out, &[self.1], compressor);
    }
}

impl WriteItem for ScoredMember<'_> {
    fn write(self, out: &mut Vec<u8>, compressor: &mut LzfCompressor) {
        write_string(out, &[self.0], compressor);
        out.extend_from_slice(&self.1.to_le_bytes());
    }
}

/// Appends a count and as many items.
///
/// # Panics
/// If there are not as many.
fn write_items<I: WriteItem>(
    out: &mut Vec<u8>,
    kind: u8,
    count: usize,
    items: impl Iterator<Item = I>,
    compressor: &mut LzfCompressor,
) {
    out.push(kind);
    write_length(out, count as u64);
    let mut written = 0;
    items.for_each(|item| {
        item.write(out, compressor);
        written += 1;
    });
    assert_eq!(written, count, "items of a collection");
}

/// Appends a listpack.
///
/// # Panics
/// If it has 4 GiB.
fn write_listpack(out: &mut Vec<u8>, listpack: ListpackWriter, compressor: &mut LzfCompressor) {
    let listpack = listpack.finish().expect("only small collections are listpacks");
    write_string(out, &[&listpack], compressor);
}

/// Appends a hash, with its type.
pub(super) fn write_hash<'a>(
    out: &mut Vec<u8>,
    encoding: HashEncoding,
    count: usize,
    pairs: impl Iterator<Item = HashPair<'a>>,
    compressor: &mut LzfCompressor,
) {
    if encoding == HashEncoding::HashTable {
        return write_items(out, value_type::HASH, count, pairs, compressor);
    }
    let mut listpack = ListpackWriter::new();
    pairs.for_each(|(field, value)| {
        listpack.push(field);
        listpack.push(value);
    });
    assert_eq!(listpack.elements(), 2 * count as u64, "items of a collection");
    out.push(value_type::HASH_LISTPACK);
    write_listpack(out, listpack, compressor);
}

/// Appends a sorted set, with its type.
pub(super) fn write_sorted_set<'a>(
    out: &mut Vec<u8>,
    encoding: SortedSetEncoding,
    count: usize,
    members: impl Iterator<Item = ScoredMember<'a>>,
    compressor: &mut LzfCompressor,
) {
    if encoding == SortedSetEncoding::SkipList {
        return write_items(out, value_type::SORTED_SET, count, members, compressor);
    }
    let mut listpack = ListpackWriter::new();
    members.for_each(|(member, score)| {
        listpack.push(member);
        score::push(&mut listpack, score);
    });
    assert_eq!(listpack.elements(), 2 * count as u64, "items of a collection");
    out.push(value_type::SORTED_SET_LISTPACK);
    write_listpack(out, listpack, compressor);
}

/// Appends a set, with its type.
pub(super) fn write_set<'a>(
    out: &mut Vec<u8>,
    encoding: SetEncoding,
    count: usize,
    members: impl Iterator<Item = &'a [u8]>,
    compressor: &mut LzfCompressor,
) {
    if encoding == SetEncoding::HashTable {
        return write_items(out, value_type::SET, count, members, compressor);
    }
    let integer = |member| number::integer(member).expect("an intset has integers");
    let mut integers: Vec<_> = members.map(integer).collect();
    integers.sort_unstable();
    assert_eq!(integers.len(), count, "items of a collection");
    out.push(value_type::SET_INTSET);
    write_string(out, &[&intset(&integers)], compressor);
}

/// Appends a list, with its type, in the nodes that Redis makes of elements that are pushed at the end.
pub(super) fn write_list<'a>(
    out: &mut Vec<u8>,
    elements: impl Iterator<Item = &'a [u8]>,
    compressor: &mut LzfCompressor,
) {
    out.push(value_type::LIST_QUICKLIST_2);
    let (count_at, mut nodes, mut node) = (out.len(), 0, ListpackWriter::new());
    let mut end_node = |node: &mut ListpackWriter| {
        if node.elements() > 0 {
            write_length(out, PACKED_NODE);
            write_listpack(out, std::mem::take(node), compressor);
            nodes += 1;
        }
    };
    elements.for_each(|element| {
        if node.len() + element.len() + OVERHEAD > NODE {
            end_node(&mut node);
        }
        node.push(element);
    });
    end_node(&mut node);
    // Only now it is known, and how many bytes it takes.
    let mut count = Vec::new();
    write_length(&mut count, nodes);
    out.splice(count_at..count_at, count);
}
