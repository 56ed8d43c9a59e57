//! How a read is answered from a stream.

use super::read_stream_group as group;
use crate::request::{
    Answer, NestedBuilder, ReadFrom, RequestError, StreamId, StreamQuery, StreamRange, stream_key,
};
use crate::state::value::stream::{REDIS_NODE, StreamValue, reply_fields, write_entries};

/// Answers a query about a stream, or about a key that is missing.
pub(super) fn answer_stream(
    stream: Option<StreamValue<'_>>,
    query: StreamQuery<'_>,
    answer: impl FnOnce(Answer<'_>),
) {
    let nested = |most: usize, write: &mut dyn FnMut(&mut NestedBuilder)| {
        let mut reply = NestedBuilder::new(most);
        write(&mut reply);
        reply
    };
    let reply = match (query, stream) {
        (StreamQuery::Length, stream) => {
            return answer(Answer::count(stream.map_or(0, StreamValue::len)));
        }
        (StreamQuery::Range(range, most), stream) => nested(most, &mut |reply| match stream {
            Some(stream) => write_entries(stream, range, reply),
            None => reply.array(0),
        }),
        (StreamQuery::After { name, from, count, most }, Some(stream)) => {
            let after = match from {
                ReadFrom::After(after) => after,
                ReadFrom::New => return answer(Answer::Nil),
                ReadFrom::Refused(error) => {
                    let reply = nested(most, &mut |reply| reply.error(error));
                    return answer(Answer::Elements(reply.list(), 0));
                }
            };
            let Some(from) = after.next().filter(|from| *from <= stream.last().unwrap_or_default())
            else {
                return answer(Answer::Nil);
            };
            let range = StreamRange { from, to: StreamId::MAX, reverse: false, count };
            nested(most, &mut |reply| {
                reply.bytes(name);
                write_entries(stream, range, reply);
            })
        }
        (StreamQuery::After { from: ReadFrom::Refused(error), most, .. }, None) => {
            nested(most, &mut |reply| reply.error(error))
        }
        (StreamQuery::After { .. }, None) => return answer(Answer::Nil),
        (StreamQuery::Pending { name, group, most }, stream) => {
            nested(most, &mut |reply| group::write_summary(stream, (name, group), reply))
        }
        (StreamQuery::PendingRange(query), stream) => {
            nested(query.most, &mut |reply| group::write_pending(stream, query, reply))
        }
        (_, None) => return answer(Answer::Error(RequestError::NoSuchKey)),
        (StreamQuery::Refused(error), Some(_)) => {
            nested(usize::MAX, &mut |reply| reply.error(error))
        }
        (StreamQuery::Info { full: None, most }, Some(stream)) => {
            nested(most, &mut |reply| write_info(stream, reply))
        }
        (StreamQuery::Info { full: Some(count), most }, Some(stream)) => {
            nested(most, &mut |reply| write_all(stream, count, reply))
        }
        (StreamQuery::Groups(most), Some(stream)) => {
            nested(most, &mut |reply| group::write_groups(stream, reply))
        }
        (StreamQuery::Consumers { name, group, now, most }, Some(stream)) => {
            nested(most, &mut |reply| {
                group::write_consumers(stream, (name, group), now, reply);
            })
        }
    };
    answer(Answer::Elements(reply.list(), 0));
}

/// Writes the properties that both forms of XINFO STREAM begin with.
fn write_numbers(stream: StreamValue<'_>, reply: &mut NestedBuilder) {
    let (meta, len) = (stream.meta(), stream.len());
    // As if nodes were filled one after the other: nothing here has nodes.
    let nodes = len.div_ceil(REDIS_NODE);
    let numbers = [
        ("length", len as u64),
        ("radix-tree-keys", nodes as u64),
        ("radix-tree-nodes", nodes as u64 + 1),
    ];
    for (name, number) in numbers {
        reply.bytes(name);
        reply.int(number);
    }
    reply.bytes("last-generated-id");
    reply.bytes(meta.last.to_string());
    reply.bytes("max-deleted-entry-id");
    reply.bytes(meta.deleted.to_string());
    reply.bytes("entries-added");
    reply.int(meta.added);
    reply.bytes("recorded-first-entry-id");
    reply.bytes(stream.first().to_string());
}

fn write_info(stream: StreamValue<'_>, reply: &mut NestedBuilder) {
    reply.map(10);
    write_numbers(stream, reply);
    reply.bytes("groups");
    reply.int(stream.groups().len() as u64);
    let entries = stream.entries();
    let ends = [("first-entry", entries.start), ("last-entry", entries.end.saturating_sub(1))];
    for (name, place) in ends {
        reply.bytes(name);
        match stream.nth(place).filter(|_| !entries.is_empty()) {
            Some((name, fields)) => reply_fields(stream_key::last_id(name), fields, reply),
            None => reply.nil(),
        }
    }
}

fn write_all(stream: StreamValue<'_>, count: Option<u64>, reply: &mut NestedBuilder) {
    reply.map(9);
    write_numbers(stream, reply);
    reply.bytes("entries");
    let (from, to) = (StreamId::MIN, StreamId::MAX);
    write_entries(stream, StreamRange { from, to, reverse: false, count }, reply);
    reply.bytes("groups");
    group::write_all_groups(stream, count, reply);
}
