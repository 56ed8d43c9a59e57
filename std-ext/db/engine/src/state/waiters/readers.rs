//! Serving clients that wait for entries of streams (`XREAD` and `XREADGROUP` with `BLOCK`).
//!
//! Unlike an element of a list, an entry is there for every reader: all who wait for it get it, but for those of a
//! group, of which the first one does. So such waiters have queues of their own, which are looked at from the first to
//! the last when a key has got a value or lost it.

use super::serve::pass;
use super::stream_reader::{ReadBy, StreamReader};
use super::waiter::{Served, Waiter, Wanted};
use crate::request::{
    Answer, Change, ElementListBuilder, GroupAction, GroupChange, NestedBuilder, ReadFrom,
    StreamChange, StreamId, StreamRange,
};
use crate::state::shard::Core;
use crate::state::value::Value;
use crate::state::value::stream::{StreamValue, write_entries};
use crate::state::{State, apply_change};

const NO_STREAM: &[u8] = b"UNBLOCKED the stream key no longer exists";
const NO_GROUP: &[u8] = b"NOGROUP the consumer group this client was blocked on no longer exists";

/// What a look at a key means for a reader.
enum Turn {
    /// There is nothing for it.
    Waits,
    /// It gets this, which changes nothing.
    Gets(NestedBuilder),
    /// An entry is delivered to it.
    IsDelivered,
}

impl State {
    /// Serves the readers that wait for entries of a key. Returns whether it has stopped because the entry is long.
    pub(super) fn serve_readers(
        &self,
        core: &mut Core,
        time: u64,
        key: &[u8],
        log: &mut Vec<u8>,
    ) -> bool {
        // The group of which no entry is left: of a thousand readers, one looks.
        let mut exhausted: Option<Box<[u8]>> = None;
        for waiter in core.waiters.readers(key) {
            let Wanted::Entries(reader) = waiter.wanted() else { continue };
            let group = reader.group();
            if group.is_some() && group == exhausted.as_deref() {
                continue;
            }
            let turn = turn(core, time, key, (&waiter, reader));
            if matches!(turn, Turn::Waits) {
                exhausted = group.map(Into::into).or(exhausted);
                continue;
            }
            // From here on it gets the entries, whatever becomes of its client.
            if !waiter.claim() {
                continue;
            }
            let served = match turn {
                Turn::Gets(reply) => Some(self.served_alone(Answer::Elements(reply.list(), 0))),
                _ => self.deliver(core, time, (key, reader), log),
            };
            pass(core, &waiter, served);
            core.waiters.remove(&waiter, key);
            if log.len() >= self.longest_entry {
                return true;
            }
        }
        false
    }

    /// Delivers new entries to a consumer.
    fn deliver(
        &self,
        core: &mut Core,
        time: u64,
        (key, reader): (&[u8], &StreamReader),
        log: &mut Vec<u8>,
    ) -> Option<Served> {
        let ReadBy::Group { group, consumer, no_ack } = &reader.by else { return None };
        let action = GroupAction::Read {
            consumer,
            from: ReadFrom::New,
            count: reader.count,
            no_ack: *no_ack,
            most: usize::MAX,
        };
        let change = GroupChange { name: key, group, action };
        let (change, mut served) = (Change::Stream(StreamChange::Group(&change)), None);
        apply_change(core, (time, false), key, &change, log, &mut |made| {
            served = Some(self.served_alone(made));
        });
        served
    }

    /// Returns the answer about one stream, as that of an operation on several.
    fn served_alone(&self, answer: Answer<'_>) -> Served {
        let Answer::Elements(list, next) = answer else { return self.served(answer) };
        let mut stored = Vec::new();
        list.store(next, &mut stored);
        let mut all = ElementListBuilder::new(usize::MAX);
        all.push(&stored);
        self.served(Answer::Elements(all.list(), 0))
    }
}

/// Returns what a key has for a reader.
fn turn(core: &Core, time: u64, key: &[u8], (waiter, reader): (&Waiter, &StreamReader)) -> Turn {
    let record = core.find(key).filter(|record| !record.is_expired(time));
    let stream = match record.as_ref().map(|record| record.value()) {
        Some(Value::Stream(stream)) => Some(stream),
        _ => None,
    };
    match (&reader.by, stream) {
        (ReadBy::After(_), None) => Turn::Waits,
        (ReadBy::After(after), Some(stream)) => {
            // Of a key that it names twice, the first place counts, as in Redis.
            let Some((_, after)) = waiter.keys().zip(after).find(|(name, _)| *name == key) else {
                return Turn::Waits;
            };
            let Some(from) = after.next().filter(|from| has_entry(stream, *from)) else {
                return Turn::Waits;
            };
            let mut reply = NestedBuilder::new(usize::MAX);
            reply.bytes(key);
            let range =
                StreamRange { from, to: StreamId::MAX, reverse: false, count: reader.count };
            write_entries(stream, range, &mut reply);
            Turn::Gets(reply)
        }
        (ReadBy::Group { .. }, None) => Turn::Gets(error(NO_STREAM)),
        (ReadBy::Group { group, .. }, Some(stream)) => match stream.group(group) {
            None => Turn::Gets(error(NO_GROUP)),
            Some(group) if group.last.next().is_some_and(|from| has_entry(stream, from)) => {
                Turn::IsDelivered
            }
            Some(_) => Turn::Waits,
        },
    }
}

fn has_entry(stream: StreamValue<'_>, from: StreamId) -> bool {
    !stream.entry_range(from, StreamId::MAX).is_empty()
}

fn error(text: &[u8]) -> NestedBuilder {
    let mut reply = NestedBuilder::new(usize::MAX);
    reply.error(text);
    reply
}
