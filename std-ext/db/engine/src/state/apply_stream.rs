//! Applying changes of streams. The log contains the names that were stored and removed, with the ID of a new entry and
//! the times of deliveries: those are the primary's.

use crate::encodings::EncodingLimit;
use crate::log::change;
use crate::request::stream_key::{self, StreamMeta};
use crate::request::{
    Answer, LONGEST_VALUE, NewStreamId, RequestError, StreamChange, StreamId, StreamTrim, TrimTo,
    ValueType,
};
use crate::state::apply::Apply;
use crate::state::apply_collection::Before;
use crate::state::record::Record;
use crate::state::value::Value;
use crate::state::value::stream::{REDIS_NODE, StreamValue};
use std::collections::BTreeSet;

/// How many entries a node of Redis has. Approximate trimming removes whole nodes.
#[derive(Clone, Copy)]
struct Nodes(u64);

impl Nodes {
    /// Returns how many of `count` entries at the beginning of a stream are whole nodes, as if entries had only ever
    /// been removed there: `gone` came before them.
    fn whole(self, gone: u64, count: u64) -> u64 {
        (gone.saturating_add(count) / self.0 * self.0).saturating_sub(gone)
    }
}

/// What a change does to a stream: first it removes names, then it stores some, then it removes ranges.
///
/// A change is planned from the version before and made afterwards, so that its reply is known before anything is
/// changed, and the log has what was made.
#[derive(Default)]
pub(super) struct StreamPlan {
    pub removed: Vec<Vec<u8>>,
    pub stored: Vec<(Vec<u8>, Vec<u8>)>,
    pub ranges: Vec<(Vec<u8>, Vec<u8>)>,
}

impl StreamPlan {
    pub(super) fn store(&mut self, name: impl Into<Vec<u8>>, value: Vec<u8>) {
        self.stored.push((name.into(), value));
    }

    pub(super) fn store_meta(&mut self, meta: StreamMeta) {
        self.store(stream_key::META, meta.bytes());
    }

    /// Removes the names that begin with `prefix`.
    pub(super) fn remove_beginning(&mut self, prefix: Vec<u8>) {
        let end = stream_key::behind(&prefix);
        self.ranges.push((prefix, end));
    }

    fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.stored.is_empty() && self.ranges.is_empty()
    }
}

impl Apply<'_, '_> {
    /// Changes a stream.
    pub(super) fn stream(
        &mut self,
        before: Before,
        change: StreamChange<'_>,
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let stream = before.1.as_ref().and_then(stream_of);
        let mut plan = StreamPlan::default();
        let done = match change {
            StreamChange::Add { id, fields, create, trim } => {
                if stream.is_none() && !create {
                    return answer(Answer::Nil);
                }
                let trim = trim.map(|trim| (trim, self.nodes()));
                match add(stream, (id, self.time), fields, trim, &mut plan) {
                    Err(error) => return answer(Answer::Error(error)),
                    Ok(id) => {
                        self.make(before, &plan);
                        return answer(Answer::Bytes(id.to_string().as_bytes()));
                    }
                }
            }
            StreamChange::Delete(ids) => {
                Answer::count(stream.map_or(0, |stream| delete(stream, ids, &mut plan)))
            }
            StreamChange::Trim(trim) => Answer::count(
                stream.map_or(0, |stream| plan_trim(stream, (trim, self.nodes()), None, &mut plan)),
            ),
            StreamChange::SetId { last, added, deleted } => {
                match set_id(stream, (last, added, deleted), &mut plan) {
                    Ok(()) => Answer::Done,
                    Err(error) => Answer::Error(error),
                }
            }
            StreamChange::Group(change) => {
                return self.stream_group(before, change, answer);
            }
        };
        self.make(before, &plan);
        answer(done);
    }

    fn nodes(&self) -> Nodes {
        let entries = self.core.encoding_limit(EncodingLimit::StreamEntries);
        Nodes(if entries == 0 { REDIS_NODE as u64 } else { entries as u64 })
    }

    /// Makes a planned change, and logs it.
    pub(super) fn make(&mut self, before: Before, plan: &StreamPlan) {
        if plan.is_empty() {
            return before.1.into_iter().for_each(|record| self.core.touch(record));
        }
        self.edit(ValueType::Stream, before, |edit| {
            plan.removed.iter().for_each(|name| _ = edit.remove(name));
            plan.stored.iter().for_each(|(name, value)| edit.add_entry(name, value));
            plan.ranges.iter().for_each(|(from, to)| edit.remove_between(from, to));
        });
        let (key, log) = (self.key, &mut *self.log);
        if !plan.removed.is_empty() {
            let names: Vec<&[u8]> = plan.removed.iter().map(Vec::as_slice).collect();
            change::remove_names(key, ValueType::Stream, &names, log);
        }
        if !plan.stored.is_empty() {
            let entries = plan.stored.iter().map(|(name, value)| (&name[..], &value[..]));
            change::store_entries(key, ValueType::Stream, entries, log);
        }
        plan.ranges.iter().for_each(|(from, to)| change::remove_range(key, from, to, log));
    }

    /// Removes the names of a stream from one on, up to another one, as the log has it.
    pub(super) fn remove_stream_range(&mut self, before: Before, from: &[u8], to: &[u8]) {
        if before.1.is_some() {
            self.edit(ValueType::Stream, before, |edit| edit.remove_between(from, to));
            change::remove_range(self.key, from, to, self.log);
        }
    }
}

/// Plans a new entry.
fn add(
    stream: Option<StreamValue<'_>>,
    (id, time): (NewStreamId, u64),
    fields: &[&[u8]],
    trim: Option<(StreamTrim, Nodes)>,
    plan: &mut StreamPlan,
) -> Result<StreamId, RequestError> {
    let mut meta = stream.map_or_else(StreamMeta::default, StreamValue::meta);
    let next = meta.last.next().ok_or(RequestError::StreamIdsUsedUp)?;
    let id = match id {
        // The clock may have been set back, or the client may have chosen a later ID.
        NewStreamId::Now if time > meta.last.ms => StreamId { ms: time, seq: 0 },
        NewStreamId::Now => next,
        NewStreamId::At(ms) if ms == meta.last.ms && next.ms == ms => next,
        NewStreamId::At(ms) if ms == meta.last.ms => {
            return Err(RequestError::StreamSequenceUsedUp);
        }
        NewStreamId::At(ms) => StreamId { ms, seq: 0 },
        NewStreamId::Given(id) => id,
    };
    if id <= meta.last {
        return Err(RequestError::StreamIdTooSmall);
    }
    let value = stream_key::entry_value(fields);
    if value.len() > LONGEST_VALUE {
        return Err(RequestError::ValueTooLong);
    }
    meta = StreamMeta { last: id, added: meta.added + 1, ..meta };
    plan.store(stream_key::entry(id), value);
    plan.store_meta(meta);
    if let Some(trim) = trim {
        match stream {
            Some(stream) => {
                plan_trim(stream, trim, Some(id), plan);
            }
            None => trim_first(trim.0, id, plan),
        }
    }
    Ok(id)
}

/// Plans to trim a stream that has only one entry, which is new.
fn trim_first(trim: StreamTrim, id: StreamId, plan: &mut StreamPlan) {
    let is_removed = match trim.to {
        TrimTo::Length(length) => length == 0,
        TrimTo::Id(least) => id < least,
    };
    if is_removed && trim.most.is_none_or(|most| most > 0) {
        plan.remove_beginning(stream_key::ENTRIES.to_vec());
    }
}

/// Plans to remove entries at the beginning of a stream, to which an entry is added if there is a new ID. Returns their
/// number.
fn plan_trim(
    stream: StreamValue<'_>,
    (trim, nodes): (StreamTrim, Nodes),
    added: Option<StreamId>,
    plan: &mut StreamPlan,
) -> usize {
    let entries = stream.entries();
    let gone = stream.meta().added.saturating_sub(entries.len() as u64);
    let len = entries.len() as u64 + u64::from(added.is_some());
    let mut count = match trim.to {
        TrimTo::Length(length) => len.saturating_sub(length),
        TrimTo::Id(least) => {
            let before = match least.previous() {
                Some(last) => stream.entry_range(StreamId::MIN, last).len() as u64,
                None => 0,
            };
            before + u64::from(added.is_some_and(|id| id < least))
        }
    };
    if trim.nodes && count < len {
        count = nodes.whole(gone, count);
    }
    // Redis removes a node only if the limit allows all of its entries.
    if let Some(most) = trim.most.filter(|most| *most < count) {
        count = nodes.whole(gone, most);
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count == 0 {
        return 0;
    }
    let kept = stream.nth(entries.start.saturating_add(count)).filter(|_| count < entries.len());
    let end = match (kept, added) {
        (Some((name, _)), _) => name.to_vec(),
        (None, Some(id)) if (count as u64) < len => stream_key::entry(id).to_vec(),
        (None, _) => stream_key::GROUPS.to_vec(),
    };
    plan.ranges.push((stream_key::ENTRIES.to_vec(), end));
    count
}

/// Plans to delete entries. Returns how many there are.
fn delete(stream: StreamValue<'_>, ids: &[StreamId], plan: &mut StreamPlan) -> usize {
    let ids: BTreeSet<StreamId> =
        ids.iter().copied().filter(|id| stream.entry(*id).is_some()).collect();
    let Some(last) = ids.last() else { return 0 };
    let meta = stream.meta();
    plan.removed.extend(ids.iter().map(|id| stream_key::entry(*id).to_vec()));
    if *last > meta.deleted {
        plan.store_meta(StreamMeta { deleted: *last, ..meta });
    }
    ids.len()
}

fn set_id(
    stream: Option<StreamValue<'_>>,
    (last, added, deleted): (StreamId, Option<u64>, Option<StreamId>),
    plan: &mut StreamPlan,
) -> Result<(), RequestError> {
    let stream = stream.ok_or(RequestError::NoSuchKey)?;
    let meta = stream.meta();
    if stream.last().is_some_and(|greatest| last < greatest) {
        return Err(RequestError::StreamIdBelowLast);
    }
    if added.is_some_and(|added| added < stream.len() as u64) {
        return Err(RequestError::StreamAddedBelowLength);
    }
    plan.store_meta(StreamMeta {
        last,
        added: added.unwrap_or(meta.added),
        deleted: deleted.unwrap_or(meta.deleted),
    });
    Ok(())
}

pub(super) fn stream_of(record: &Record) -> Option<StreamValue<'_>> {
    if let Value::Stream(stream) = record.value() { Some(stream) } else { None }
}
