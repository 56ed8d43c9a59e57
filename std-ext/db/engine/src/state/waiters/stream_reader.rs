//! What a client reads that waits for entries of streams.

use crate::request::{GroupAction, MultiKeyOp, ReadFrom, StreamId};

/// What a client reads that waits for entries.
#[derive(Clone, Debug)]
pub(crate) struct StreamReader {
    /// As what it reads.
    pub(super) by: ReadBy,
    /// How many entries of a stream at most.
    pub(super) count: Option<u64>,
}

/// As what a client reads.
#[derive(Clone, Debug)]
pub(super) enum ReadBy {
    /// As itself. It knows after which ID it reads each of its keys.
    After(Box<[StreamId]>),
    /// As a consumer of a group, which knows what it has delivered.
    Group { group: Box<[u8]>, consumer: Box<[u8]>, no_ack: bool },
}

impl StreamReader {
    /// Returns what an operation reads, if it can wait for that. `last` returns the last ID of the stream of a key.
    pub(super) fn of(op: MultiKeyOp<'_>, last: &mut dyn FnMut(&[u8]) -> StreamId) -> Option<Self> {
        match op {
            MultiKeyOp::ReadStreams { keys, from, count, .. } => {
                let after = |(key, from): (&&[u8], &ReadFrom)| match from {
                    ReadFrom::After(after) => *after,
                    ReadFrom::New | ReadFrom::Refused(_) => last(key),
                };
                let after = keys.iter().zip(from).map(after).collect();
                Some(Self { by: ReadBy::After(after), count })
            }
            MultiKeyOp::DeliverStreams { changes: [first, ..], .. } => {
                let GroupAction::Read { consumer, count, no_ack, .. } = first.action else {
                    return None;
                };
                let (group, consumer) = (first.group.into(), consumer.into());
                Some(Self { by: ReadBy::Group { group, consumer, no_ack }, count })
            }
            _ => None,
        }
    }

    pub(super) fn group(&self) -> Option<&[u8]> {
        if let ReadBy::Group { group, .. } = &self.by { Some(group) } else { None }
    }

    /// Returns the bytes of memory that it takes besides its keys.
    pub(super) fn bytes(&self) -> usize {
        match &self.by {
            ReadBy::After(after) => size_of_val(&**after),
            ReadBy::Group { group, consumer, .. } => group.len() + consumer.len(),
        }
    }
}
