//! Requests about the entries and the consumer groups of a stream.

use hedgerow_db_formats::rdb::StreamId;

/// Bytes of a stored ID.
pub(crate) const ID_BYTES: usize = 16;

/// The ID that a new entry gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewStreamId {
    /// Of the present time, or the next after the last one if that is later.
    Now,
    /// Of this time, with the next sequence number.
    At(u64),
    /// This one.
    Given(StreamId),
}

/// Which entries at the beginning of a stream are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimTo {
    /// All but so many.
    Length(u64),
    /// Those before this ID.
    Id(StreamId),
}

/// How a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamTrim {
    /// Which entries are removed.
    pub to: TrimTo,
    /// Whether only whole nodes of 100 entries are removed, as Redis does with `~`.
    pub nodes: bool,
    /// The most entries that are removed.
    pub most: Option<u64>,
}

/// Entries, or pending entries, between two IDs, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamRange {
    /// The first ID.
    pub from: StreamId,
    /// The last ID.
    pub to: StreamId,
    /// Whether the last one comes first.
    pub reverse: bool,
    /// How many at most.
    pub count: Option<u64>,
}

/// From where on a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// The entries after this ID. Of a group: the consumer's pending ones.
    After(StreamId),
    /// Those that are added later. Of a group: those that it has not delivered.
    New,
    /// What should be an ID is none. This error is the answer, if the key has a stream and the group exists.
    Refused(&'static str),
}

/// A question about a stream. A missing key is an empty stream, unless the question is about a group; of a value of
/// another type the answer is [`RequestError::WrongType`](super::RequestError::WrongType). Most answers are
/// [nested](super::Nested).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamQuery<'a> {
    /// The number of entries: [`Answer::Int`](super::Answer::Int). O(log n).
    Length,
    /// The entries in a range.
    Range(StreamRange, usize),
    /// The name, and the entries after an ID; [`Answer::Nil`](super::Answer::Nil) if there are none.
    After {
        /// The key, which is a part of the answer.
        name: &'a [u8],
        /// From where on.
        from: ReadFrom,
        /// How many at most.
        count: Option<u64>,
        /// The answer ends once its reply takes more bytes than this.
        most: usize,
    },
    /// A summary of a group's pending entries.
    Pending {
        /// The key, for the error.
        name: &'a [u8],
        /// The group.
        group: &'a [u8],
        /// As in [`After`](Self::After).
        most: usize,
    },
    /// A group's pending entries in a range.
    PendingRange(&'a PendingQuery<'a>),
    /// Properties of the stream; with a count, also as many entries and pending entries, or all.
    Info {
        /// Whether everything is shown, and how many entries.
        full: Option<Option<u64>>,
        /// As in [`After`](Self::After).
        most: usize,
    },
    /// An error in the arguments, which is answered only if the key has a stream.
    Refused(&'a str),
    /// The groups.
    Groups(usize),
    /// The consumers of a group.
    Consumers {
        /// The key, for the error.
        name: &'a [u8],
        /// The group.
        group: &'a [u8],
        /// The present time in milliseconds since 1970.
        now: u64,
        /// As in [`After`](Self::After).
        most: usize,
    },
}

/// A question about pending entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingQuery<'a> {
    /// The key, for the error.
    pub name: &'a [u8],
    /// The group.
    pub group: &'a [u8],
    /// Only those of this consumer.
    pub consumer: Option<&'a [u8]>,
    /// Which entries.
    pub range: StreamRange,
    /// Only those that were delivered so many milliseconds ago.
    pub idle: u64,
    /// The present time in milliseconds since 1970.
    pub now: u64,
    /// The answer ends once its reply takes more bytes than this.
    pub most: usize,
}

/// A change of a stream. A value of another type stays as it is, and the answer is
/// [`RequestError::WrongType`](super::RequestError::WrongType). A stream that has lost its last entry stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamChange<'a> {
    /// Adds an entry. [`Answer::Bytes`](super::Answer::Bytes), its ID, or [`Answer::Nil`](super::Answer::Nil) if the
    /// key is missing and not created.
    Add {
        /// The ID.
        id: NewStreamId,
        /// Fields, each with its value behind it.
        fields: &'a [&'a [u8]],
        /// Whether a missing key is created.
        create: bool,
        /// How the stream is trimmed then.
        trim: Option<StreamTrim>,
    },
    /// Removes entries. [`Answer::Int`](super::Answer::Int), how many there were.
    Delete(&'a [StreamId]),
    /// Removes entries at the beginning. [`Answer::Int`](super::Answer::Int), how many.
    Trim(StreamTrim),
    /// Sets what the stream knows of its past. [`Answer::Done`](super::Answer::Done).
    SetId {
        /// The last ID.
        last: StreamId,
        /// How many entries were ever added.
        added: Option<u64>,
        /// The greatest ID that was deleted.
        deleted: Option<StreamId>,
    },
    /// Changes a group.
    Group(&'a GroupChange<'a>),
}

/// A change of a consumer group, or of its consumers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupChange<'a> {
    /// The key, which answers and errors show.
    pub name: &'a [u8],
    /// The group.
    pub group: &'a [u8],
    /// The change.
    pub action: GroupAction<'a>,
}

/// What a [`GroupChange`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupAction<'a> {
    /// Creates the group. [`Answer::Done`](super::Answer::Done).
    Create {
        /// After which entry it begins: [`ReadFrom::New`] is the last one.
        from: ReadFrom,
        /// How many entries count as read.
        read: Option<u64>,
        /// Whether a missing key is created.
        create: bool,
    },
    /// Sets after which entry the group continues. [`Answer::Done`](super::Answer::Done).
    SetId {
        /// As in [`Create`](Self::Create).
        from: ReadFrom,
        /// How many entries count as read.
        read: Option<u64>,
    },
    /// Removes the group. [`Answer::Int`](super::Answer::Int) 1 or 0.
    Destroy,
    /// Adds a consumer. [`Answer::Int`](super::Answer::Int) 1 or 0.
    CreateConsumer(&'a [u8]),
    /// Removes a consumer. [`Answer::Int`](super::Answer::Int), how many pending entries it had.
    DeleteConsumer(&'a [u8]),
    /// Delivers entries to a consumer: answered as [`StreamQuery::After`].
    Read {
        /// The consumer.
        consumer: &'a [u8],
        /// Which entries.
        from: ReadFrom,
        /// How many at most.
        count: Option<u64>,
        /// Whether they do not become pending.
        no_ack: bool,
        /// The answer's reply may take as many bytes; if it takes more, nothing is delivered.
        most: usize,
    },
    /// Removes pending entries. [`Answer::Int`](super::Answer::Int), how many there were.
    Acknowledge(&'a [StreamId]),
    /// Answers an error in the arguments, which is found only once the group was: XACK of a missing group is none.
    Refused {
        /// The error.
        error: &'a str,
        /// Whether this is XACK.
        acknowledges: bool,
    },
    /// Gives pending entries to a consumer.
    Claim(StreamClaim<'a>),
    /// Gives pending entries from an ID on to a consumer.
    AutoClaim {
        /// The consumer.
        consumer: &'a [u8],
        /// Only those that were delivered so many milliseconds ago.
        idle: u64,
        /// The first ID.
        from: StreamId,
        /// How many at most.
        count: u64,
        /// Whether only IDs are answered.
        just_ids: bool,
        /// As in [`Read`](Self::Read).
        most: usize,
    },
}

/// Which pending entries a consumer gets, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamClaim<'a> {
    /// The consumer.
    pub consumer: &'a [u8],
    /// Only those that were delivered so many milliseconds ago.
    pub idle: u64,
    /// The entries.
    pub ids: &'a [StreamId],
    /// When they count as delivered, in milliseconds since 1970; by default now.
    pub delivered: Option<u64>,
    /// How often they count as delivered.
    pub count: Option<u64>,
    /// Whether entries become pending that are not.
    pub force: bool,
    /// Whether only IDs are answered.
    pub just_ids: bool,
    /// The group continues after this entry at least.
    pub last: Option<StreamId>,
    /// As in [`GroupAction::Read`].
    pub most: usize,
}

impl StreamChange<'_> {
    /// Returns the bytes that it adds at most.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Add { fields, .. } => {
                let bytes = fields.iter().map(|field| field.len());
                bytes.fold(0, usize::saturating_add)
            }
            Self::Group(change) => change.group.len() + change.consumer().len(),
            Self::Delete(_) | Self::Trim(_) | Self::SetId { .. } => 0,
        }
    }

    /// Returns the bytes that the log gets of it at most, besides the key. What becomes pending is not counted: it is
    /// bounded by the reply.
    pub(crate) fn logged_bytes(&self) -> usize {
        /// The stored properties of the stream, of a group and of a consumer, with their keys.
        const META: usize = 192;
        /// The length of a field.
        const LENGTH: usize = 5;
        let more = match self {
            Self::Add { fields, .. } => fields.len().saturating_mul(LENGTH),
            Self::Delete(ids) => ids.len().saturating_mul(ID_BYTES + LENGTH),
            Self::Group(change) => {
                // A pending entry is logged by two names, with the group and the consumer.
                let each = 2 * (change.group.len() + change.consumer().len() + META);
                each.saturating_mul(1 + change.ids())
            }
            Self::Trim(_) | Self::SetId { .. } => 0,
        };
        META.saturating_add(self.bytes()).saturating_add(more)
    }

    /// Returns whether it may need memory.
    pub(crate) fn grows(&self) -> bool {
        match self {
            Self::Add { .. } => true,
            Self::Group(change) => {
                let action = &change.action;
                matches!(action, GroupAction::Create { .. } | GroupAction::CreateConsumer(_))
            }
            Self::Delete(_) | Self::Trim(_) | Self::SetId { .. } => false,
        }
    }
}

impl<'a> GroupChange<'a> {
    /// Returns the consumer, if it is about one.
    fn consumer(&self) -> &'a [u8] {
        match self.action {
            GroupAction::CreateConsumer(consumer)
            | GroupAction::DeleteConsumer(consumer)
            | GroupAction::Read { consumer, .. }
            | GroupAction::AutoClaim { consumer, .. }
            | GroupAction::Claim(StreamClaim { consumer, .. }) => consumer,
            _ => b"",
        }
    }

    /// Returns how many entries it names.
    fn ids(&self) -> usize {
        match self.action {
            GroupAction::Acknowledge(ids) | GroupAction::Claim(StreamClaim { ids, .. }) => {
                ids.len()
            }
            _ => 0,
        }
    }
}
