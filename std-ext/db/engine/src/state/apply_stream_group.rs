//! Applying changes of consumer groups.

use crate::request::stream_key::{self, PendingEntry, StreamGroup, StreamMeta};
use crate::request::{
    Answer, GroupAction, GroupChange, NestedBuilder, ReadFrom, RequestError, StreamClaim, StreamId,
};
use crate::state::apply::Apply;
use crate::state::apply_collection::Before;
use crate::state::apply_stream::{StreamPlan, stream_of};
use crate::state::value::stream::{
    StreamValue, first_of, no_group, no_key_or_group, reply_entry, reply_fields,
};
use std::collections::BTreeMap;

/// As many pending entries are looked at for each that XAUTOCLAIM may claim.
const ATTEMPTS: u64 = 10;

impl Apply<'_, '_> {
    /// Changes a consumer group.
    pub(super) fn stream_group(
        &mut self,
        before: Before,
        change: &GroupChange<'_>,
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let stream = before.1.as_ref().and_then(stream_of);
        let mut plan = StreamPlan::default();
        if let GroupAction::Create { from, read, create } = change.action {
            if let (ReadFrom::Refused(error), true) = (from, stream.is_some() || create) {
                return refuse(error, answer);
            }
            let done = create_group(stream, (change.group, from, read), create, &mut plan);
            if done.is_ok() {
                self.make(before, &plan);
            }
            return answer(done.map_or_else(Answer::Error, |()| Answer::Done));
        }
        let group = stream.and_then(|stream| stream.group(change.group));
        let (Some(stream), Some(group)) = (stream, group) else {
            return without_group(change, stream.is_some(), answer);
        };
        let member = Member { stream, group: change.group, time: self.time };
        let mut reply = NestedBuilder::new(change.most());
        let done = match change.action {
            GroupAction::Create { .. } => unreachable!("answered above"),
            GroupAction::Refused { error, .. }
            | GroupAction::Read { from: ReadFrom::Refused(error), .. }
            | GroupAction::SetId { from: ReadFrom::Refused(error), .. } => {
                return refuse(error, answer);
            }
            GroupAction::SetId { from, read } => {
                let last = first_position(Some(stream), from);
                plan.store(stream_key::group(change.group), StreamGroup { last, read }.bytes());
                Answer::Done
            }
            GroupAction::Destroy => {
                plan.removed.push(stream_key::group(change.group));
                plan.remove_beginning(stream_key::consumers(change.group));
                plan.remove_beginning(stream_key::pending(change.group));
                plan.remove_beginning(stream_key::all_consumers_pending(change.group));
                Answer::Int(1)
            }
            GroupAction::CreateConsumer(consumer) => {
                Answer::Int(member.see(consumer, false, &mut plan).into())
            }
            GroupAction::DeleteConsumer(consumer) => {
                Answer::count(member.delete_consumer(consumer, &mut plan))
            }
            GroupAction::Acknowledge(ids) => Answer::count(member.acknowledge(ids, &mut plan)),
            GroupAction::Read { consumer, from, count, no_ack, .. } => {
                let is_any = match from {
                    ReadFrom::Refused(_) => unreachable!("refused above"),
                    ReadFrom::After(id) => {
                        member.history((change.name, consumer), (id, count), &mut reply, &mut plan);
                        true
                    }
                    ReadFrom::New => member.deliver(
                        group,
                        (change.name, consumer),
                        (count, no_ack),
                        &mut reply,
                        &mut plan,
                    ),
                };
                if is_any { Answer::Elements(reply.list(), 0) } else { Answer::Nil }
            }
            GroupAction::Claim(claim) => {
                member.claim(group, &claim, &mut reply, &mut plan);
                Answer::Elements(reply.list(), 0)
            }
            GroupAction::AutoClaim { consumer, idle, from, count, just_ids, .. } => {
                member.auto_claim(consumer, (idle, from, count, just_ids), &mut reply, &mut plan);
                Answer::Elements(reply.list(), 0)
            }
        };
        // The reply would be too long: what was delivered could not be shown.
        if reply.is_full() {
            return answer(done);
        }
        // The reply has its own copy of what the stream has.
        self.make(before, &plan);
        answer(done);
    }
}

impl GroupChange<'_> {
    /// Returns the bytes that its reply may have.
    fn most(&self) -> usize {
        match self.action {
            GroupAction::Read { most, .. }
            | GroupAction::AutoClaim { most, .. }
            | GroupAction::Claim(StreamClaim { most, .. }) => most,
            _ => usize::MAX,
        }
    }
}

/// Answers a change of a group that does not exist, in Redis's words.
fn without_group(change: &GroupChange<'_>, has_key: bool, answer: &mut dyn FnMut(Answer<'_>)) {
    let (name, group) = (change.name, change.group);
    let error = match change.action {
        GroupAction::Acknowledge(_) | GroupAction::Refused { acknowledges: true, .. } => {
            return answer(Answer::Int(0));
        }
        GroupAction::Read { .. } => {
            [&no_key_or_group(name, group)[..], b" in XREADGROUP with GROUP option"].concat()
        }
        GroupAction::Claim(_) | GroupAction::AutoClaim { .. } | GroupAction::Refused { .. } => {
            no_key_or_group(name, group)
        }
        _ if !has_key => return answer(Answer::Error(RequestError::StreamMissing)),
        GroupAction::Destroy => return answer(Answer::Int(0)),
        _ => no_group(name, group),
    };
    refuse(error, answer);
}

fn refuse(error: impl AsRef<[u8]>, answer: &mut dyn FnMut(Answer<'_>)) {
    let mut reply = NestedBuilder::new(usize::MAX);
    reply.error(error);
    answer(Answer::Elements(reply.list(), 0));
}

/// Returns after which entry a group begins.
fn first_position(stream: Option<StreamValue<'_>>, from: ReadFrom) -> StreamId {
    match from {
        ReadFrom::After(id) => id,
        ReadFrom::New | ReadFrom::Refused(_) => {
            stream.map_or(StreamId::MIN, |stream| stream.meta().last)
        }
    }
}

fn create_group(
    stream: Option<StreamValue<'_>>,
    (group, from, read): (&[u8], ReadFrom, Option<u64>),
    create: bool,
    plan: &mut StreamPlan,
) -> Result<(), RequestError> {
    match stream {
        None if !create => return Err(RequestError::StreamMissing),
        None => plan.store_meta(StreamMeta::default()),
        Some(stream) if stream.group(group).is_some() => return Err(RequestError::GroupExists),
        Some(_) => {}
    }
    let last = first_position(stream, from);
    plan.store(stream_key::group(group), StreamGroup { last, read }.bytes());
    Ok(())
}

/// A group of a stream, at the time of a change.
#[derive(Clone, Copy)]
struct Member<'s> {
    stream: StreamValue<'s>,
    group: &'s [u8],
    time: u64,
}

impl<'s> Member<'s> {
    fn consumer_name(self, consumer: &[u8]) -> Vec<u8> {
        [&stream_key::consumers(self.group), consumer].concat()
    }

    /// Plans that a consumer was seen now. Returns whether it is new.
    fn see(self, consumer: &[u8], is_active: bool, plan: &mut StreamPlan) -> bool {
        let name = self.consumer_name(consumer);
        let before = self.stream.get(&name).and_then(stream_key::parse_times);
        // XGROUP CREATECONSUMER changes nothing of a consumer that there is.
        if before.is_none() || is_active {
            plan.store(name, stream_key::consumer_times(self.time, self.time));
        }
        before.is_none()
    }

    fn delete_consumer(self, consumer: &[u8], plan: &mut StreamPlan) -> usize {
        let name = self.consumer_name(consumer);
        if self.stream.get(&name).is_none() {
            return 0;
        }
        let (pending, own) = self.prefixes(consumer);
        let places = self.stream.beginning(&own);
        let count = places.len();
        self.stream.visit(places, false, &mut |name, _| {
            plan.removed.push(stream_key::with_id(&pending, stream_key::last_id(name)));
            true
        });
        plan.removed.push(name);
        plan.remove_beginning(own);
        count
    }

    /// Returns the beginnings of the names of the group's pending entries, and of those of a consumer.
    fn prefixes(self, consumer: &[u8]) -> (Vec<u8>, Vec<u8>) {
        (stream_key::pending(self.group), stream_key::consumer_pending(self.group, consumer))
    }

    fn acknowledge(self, ids: &[StreamId], plan: &mut StreamPlan) -> usize {
        let mut pending = PendingEdit::new(self);
        let removed = ids.iter().filter(|id| pending.remove(**id)).count();
        pending.plan(plan);
        removed
    }

    /// Answers with a consumer's pending entries after an ID.
    fn history(
        self,
        (name, consumer): (&[u8], &[u8]),
        (after, count): (StreamId, Option<u64>),
        reply: &mut NestedBuilder,
        plan: &mut StreamPlan,
    ) {
        self.see(consumer, true, plan);
        reply.bytes(name);
        let (array, mut number) = (reply.open(), 0);
        let (_, own) = self.prefixes(consumer);
        let places =
            after.next().map_or(0..0, |from| self.stream.with_ids(&own, from, StreamId::MAX));
        let mut pending = PendingEdit::new(self);
        self.stream.visit(first_of(places, count), false, &mut |entry, _| {
            let id = stream_key::last_id(entry);
            reply_entry(self.stream, id, true, reply);
            // Redis counts this as a delivery, if the entry is still there.
            if let (Some(_), Some(found)) = (self.stream.entry(id), pending.get(id)) {
                pending.set(id, found.consumer, (self.time, found.count + 1));
            }
            number += 1;
            !reply.is_full()
        });
        reply.close(array, number);
        pending.plan(plan);
    }

    /// Delivers new entries. Returns whether there are any.
    fn deliver(
        self,
        mut group: StreamGroup,
        (name, consumer): (&'s [u8], &'s [u8]),
        (count, no_ack): (Option<u64>, bool),
        reply: &mut NestedBuilder,
        plan: &mut StreamPlan,
    ) -> bool {
        let stream = self.stream;
        let places = group.last.next().map_or(0..0, |from| stream.entry_range(from, StreamId::MAX));
        if places.is_empty() {
            return false;
        }
        self.see(consumer, true, plan);
        reply.bytes(name);
        let places = first_of(places, count);
        reply.array(places.len());
        let (mut pending, has_entries) = (PendingEdit::new(self), stream.meta().added > 0);
        stream.visit(places, false, &mut |entry, fields| {
            let id = stream_key::last_id(entry);
            group.read = match group.read {
                Some(read) if !stream.has_gap(id) => Some(read + 1),
                read if !has_entries => read,
                _ => stream.distance(id),
            };
            group.last = id;
            reply_fields(id, fields, reply);
            if !no_ack {
                pending.set(id, consumer, (self.time, 1));
            }
            !reply.is_full()
        });
        plan.store(stream_key::group(self.group), group.bytes());
        pending.plan(plan);
        true
    }

    fn claim(
        self,
        mut group: StreamGroup,
        claim: &StreamClaim<'s>,
        reply: &mut NestedBuilder,
        plan: &mut StreamPlan,
    ) {
        if let Some(last) = claim.last.filter(|last| *last > group.last) {
            group.last = last;
            plan.store(stream_key::group(self.group), group.bytes());
        }
        let delivered = claim.delivered.filter(|time| *time <= self.time).unwrap_or(self.time);
        let (array, mut number, mut pending) = (reply.open(), 0, PendingEdit::new(self));
        let mut is_seen = false;
        for id in claim.ids {
            let found = pending.get(*id);
            if self.stream.entry(*id).is_none() {
                pending.remove(*id);
                continue;
            }
            let is_idle = |found: PendingEntry<'_>| self.idle(found) >= claim.idle;
            let before = match found {
                Some(found) if is_idle(found) => found.count,
                None if claim.force => 1,
                _ => continue,
            };
            let count = claim.count.unwrap_or(before + u64::from(!claim.just_ids));
            pending.set(*id, claim.consumer, (delivered, count));
            reply_entry(self.stream, *id, !claim.just_ids, reply);
            (number, is_seen) = (number + 1, true);
            if reply.is_full() {
                break;
            }
        }
        reply.close(array, number);
        if is_seen {
            self.see(claim.consumer, true, plan);
        }
        pending.plan(plan);
    }

    fn idle(self, found: PendingEntry<'_>) -> u64 {
        self.time.saturating_sub(found.time)
    }

    fn auto_claim(
        self,
        consumer: &'s [u8],
        (idle, from, most, just_ids): (u64, StreamId, u64, bool),
        reply: &mut NestedBuilder,
        plan: &mut StreamPlan,
    ) {
        let (prefix, _) = self.prefixes(consumer);
        let places = self.stream.with_ids(&prefix, from, StreamId::MAX);
        let (mut pending, mut attempts, mut left) =
            (PendingEdit::new(self), most.saturating_mul(ATTEMPTS), most);
        let (mut next, mut claimed, mut deleted) = (StreamId::MIN, Vec::new(), Vec::new());
        self.stream.visit(places, false, &mut |name, value| {
            let id = stream_key::last_id(name);
            if attempts == 0 || left == 0 {
                next = id;
                return false;
            }
            attempts -= 1;
            let Some(found) = PendingEntry::parse(value) else { return true };
            if self.stream.entry(id).is_none() {
                pending.remove(id);
                deleted.push(id);
                left -= 1;
            } else if self.idle(found) >= idle {
                pending.set(id, consumer, (self.time, found.count + u64::from(!just_ids)));
                claimed.push(id);
                left -= 1;
            }
            true
        });
        reply.array(3);
        reply.bytes(next.to_string());
        reply.array(claimed.len());
        for id in &claimed {
            reply_entry(self.stream, *id, !just_ids, reply);
        }
        reply.array(deleted.len());
        for id in deleted {
            reply.bytes(id.to_string());
        }
        if !claimed.is_empty() {
            self.see(consumer, true, plan);
        }
        pending.plan(plan);
    }
}

/// Changes of pending entries: a command may name one several times.
struct PendingEdit<'s> {
    member: Member<'s>,
    prefix: Vec<u8>,
    /// `None` for one that is removed.
    changed: BTreeMap<StreamId, Option<PendingEntry<'s>>>,
}

impl<'s> PendingEdit<'s> {
    fn new(member: Member<'s>) -> Self {
        Self { member, prefix: stream_key::pending(member.group), changed: BTreeMap::new() }
    }

    fn get(&self, id: StreamId) -> Option<PendingEntry<'s>> {
        let changed = self.changed.get(&id).copied();
        changed.unwrap_or_else(|| self.member.stream.pending(&self.prefix, id))
    }

    fn set(&mut self, id: StreamId, consumer: &'s [u8], (time, count): (u64, u64)) {
        self.changed.insert(id, Some(PendingEntry { time, count, consumer }));
    }

    /// Removes one. Returns whether it was there.
    fn remove(&mut self, id: StreamId) -> bool {
        let is_there = self.get(id).is_some();
        if is_there {
            self.changed.insert(id, None);
        }
        is_there
    }

    /// Adds the changes to a plan.
    fn plan(self, plan: &mut StreamPlan) {
        let (stream, group) = (self.member.stream, self.member.group);
        let own = |consumer: &[u8], id| {
            stream_key::with_id(&stream_key::consumer_pending(group, consumer), id)
        };
        for (id, after) in self.changed {
            let before = stream.pending(&self.prefix, id);
            let moves = before.map(|entry| entry.consumer) != after.map(|entry| entry.consumer);
            if let Some(before) = before.filter(|_| moves) {
                plan.removed.push(own(before.consumer, id));
            }
            let name = stream_key::with_id(&self.prefix, id);
            match after {
                Some(entry) => {
                    plan.store(name, entry.bytes());
                    if moves {
                        plan.store(own(entry.consumer, id), Vec::new());
                    }
                }
                None if before.is_some() => plan.removed.push(name),
                None => {}
            }
        }
    }
}
