//! How a read is answered from the consumer groups of a stream.

use crate::request::stream_key::{self, PendingEntry, StreamGroup};
use crate::request::{NestedBuilder, PendingQuery, StreamId};
use crate::state::value::stream::{StreamValue, first_of, no_group, no_key_or_group};

fn write_id_or_nil(stream: StreamValue<'_>, place: usize, reply: &mut NestedBuilder) {
    match stream.nth(place) {
        Some((name, _)) => reply.bytes(stream_key::last_id(name).to_string()),
        None => reply.nil(),
    }
}

/// Writes a summary of a group's pending entries.
pub(super) fn write_summary(
    stream: Option<StreamValue<'_>>,
    (name, group): (&[u8], &[u8]),
    reply: &mut NestedBuilder,
) {
    let Some(stream) = stream.filter(|stream| stream.group(group).is_some()) else {
        return reply.error(no_key_or_group(name, group));
    };
    let places = stream.beginning(&stream_key::pending(group));
    reply.array(4);
    reply.int(places.len() as u64);
    if places.is_empty() {
        reply.nil();
        reply.nil();
        return reply.nil_array();
    }
    write_id_or_nil(stream, places.start, reply);
    write_id_or_nil(stream, places.end - 1, reply);
    let (array, mut number) = (reply.open(), 0);
    each_consumer(stream, group, &mut |consumer, _| {
        let pending = stream.beginning(&stream_key::consumer_pending(group, consumer)).len();
        if pending > 0 {
            reply.array(2);
            reply.bytes(consumer);
            reply.bytes(pending.to_string());
            number += 1;
        }
        !reply.is_full()
    });
    reply.close(array, number);
}

/// Calls `each` with the consumers of a group and when they were last seen, until it returns false.
fn each_consumer<'a>(
    stream: StreamValue<'a>,
    group: &[u8],
    each: &mut dyn FnMut(&'a [u8], u64) -> bool,
) {
    let prefix = stream_key::consumers(group);
    stream.visit(stream.beginning(&prefix), false, &mut |name, times| {
        let (seen, _) = stream_key::parse_times(times).unwrap_or_default();
        each(&name[prefix.len()..], seen)
    });
}

/// Writes a group's pending entries in a range.
pub(super) fn write_pending(
    stream: Option<StreamValue<'_>>,
    query: &PendingQuery<'_>,
    reply: &mut NestedBuilder,
) {
    let group = query.group;
    let Some(stream) = stream.filter(|stream| stream.group(group).is_some()) else {
        return reply.error(no_key_or_group(query.name, group));
    };
    let all = stream_key::pending(group);
    let prefix = match query.consumer {
        Some(consumer) => stream_key::consumer_pending(group, consumer),
        None => all.clone(),
    };
    let (array, mut number) = (reply.open(), 0);
    let places = stream.with_ids(&prefix, query.range.from, query.range.to);
    stream.visit(places, false, &mut |name, _| {
        if query.range.count.is_some_and(|count| number as u64 >= count) {
            return false;
        }
        let id = stream_key::last_id(name);
        let Some(entry) = stream.pending(&all, id) else { return true };
        let idle = query.now.saturating_sub(entry.time);
        if idle >= query.idle {
            reply.array(4);
            reply.bytes(id.to_string());
            reply.bytes(entry.consumer);
            reply.int(idle);
            reply.int(entry.count);
            number += 1;
        }
        !reply.is_full()
    });
    reply.close(array, number);
}

/// Calls `each` with the groups, until it returns false.
fn each_group<'a>(stream: StreamValue<'a>, each: &mut dyn FnMut(&'a [u8], StreamGroup) -> bool) {
    stream.visit(stream.groups(), false, &mut |name, value| {
        each(stream_key::group_of(name), StreamGroup::parse(value).unwrap_or_default())
    });
}

fn write_number_or_nil(name: &str, number: Option<i64>, reply: &mut NestedBuilder) {
    reply.bytes(name);
    match number {
        Some(number) => reply.signed(number),
        None => reply.nil(),
    }
}

/// Writes the groups.
pub(super) fn write_groups(stream: StreamValue<'_>, reply: &mut NestedBuilder) {
    reply.array(stream.groups().len());
    each_group(stream, &mut |name, group| {
        reply.map(6);
        reply.bytes("name");
        reply.bytes(name);
        reply.bytes("consumers");
        reply.int(stream.beginning(&stream_key::consumers(name)).len() as u64);
        reply.bytes("pending");
        reply.int(stream.beginning(&stream_key::pending(name)).len() as u64);
        reply.bytes("last-delivered-id");
        reply.bytes(group.last.to_string());
        write_number_or_nil("entries-read", group.read.map(u64::cast_signed), reply);
        write_number_or_nil("lag", stream.lag(group), reply);
        !reply.is_full()
    });
}

/// Writes the consumers of a group.
pub(super) fn write_consumers(
    stream: StreamValue<'_>,
    (name, group): (&[u8], &[u8]),
    now: u64,
    reply: &mut NestedBuilder,
) {
    if stream.group(group).is_none() {
        return reply.error(no_group(name, group));
    }
    reply.array(stream.beginning(&stream_key::consumers(group)).len());
    each_consumer(stream, group, &mut |consumer, seen| {
        let pending = stream.beginning(&stream_key::consumer_pending(group, consumer)).len();
        reply.map(3);
        reply.bytes("name");
        reply.bytes(consumer);
        reply.bytes("pending");
        reply.int(pending as u64);
        reply.bytes("idle");
        reply.int(now.saturating_sub(seen));
        !reply.is_full()
    });
}

/// Writes the groups with their consumers and, up to a count, their pending entries.
pub(super) fn write_all_groups(
    stream: StreamValue<'_>,
    count: Option<u64>,
    reply: &mut NestedBuilder,
) {
    reply.array(stream.groups().len());
    each_group(stream, &mut |name, group| {
        let all = stream_key::pending(name);
        reply.map(7);
        reply.bytes("name");
        reply.bytes(name);
        reply.bytes("last-delivered-id");
        reply.bytes(group.last.to_string());
        write_number_or_nil("entries-read", group.read.map(u64::cast_signed), reply);
        write_number_or_nil("lag", stream.lag(group), reply);
        write_all_pending(stream, (&all, &all), (count, true), reply);
        reply.bytes("consumers");
        reply.array(stream.beginning(&stream_key::consumers(name)).len());
        each_consumer(stream, name, &mut |consumer, seen| {
            reply.map(4);
            reply.bytes("name");
            reply.bytes(consumer);
            reply.bytes("seen-time");
            reply.int(seen);
            let own = stream_key::consumer_pending(name, consumer);
            write_all_pending(stream, (&own, &all), (count, false), reply);
            !reply.is_full()
        });
        !reply.is_full()
    });
}

/// Writes the number of the pending entries whose names begin with `own`, and some of them.
fn write_all_pending(
    stream: StreamValue<'_>,
    (own, all): (&[u8], &[u8]),
    (count, with_consumer): (Option<u64>, bool),
    reply: &mut NestedBuilder,
) {
    let places = stream.with_ids(own, StreamId::MIN, StreamId::MAX);
    reply.bytes("pel-count");
    reply.int(places.len() as u64);
    reply.bytes("pending");
    let places = first_of(places, count);
    let (array, mut number) = (reply.open(), 0);
    stream.visit(places, false, &mut |name, _| {
        let id = stream_key::last_id(name);
        let Some(PendingEntry { time, count, consumer }) = stream.pending(all, id) else {
            return true;
        };
        reply.array(if with_consumer { 4 } else { 3 });
        reply.bytes(id.to_string());
        if with_consumer {
            reply.bytes(consumer);
        }
        reply.int(time);
        reply.int(count);
        number += 1;
        !reply.is_full()
    });
    reply.close(array, number);
}
