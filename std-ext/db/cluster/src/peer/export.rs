//! Sends the keys of hash slots to another group.

use super::error::{PeerError, status_error};
use super::limits::SILENCE;
use super::pace::Pace;
use super::wire::export_response::Part;
use super::wire::{CaughtUp, ExportResponse, Frozen, Item as Sent, Items};
use hedgerow_db_engine::Db;
use hedgerow_db_engine::clustered::Role;
use hedgerow_db_engine::request::OwnedValue;
use hedgerow_db_engine::state::State;
use hedgerow_db_engine::state::transfer::{Export, TransferItem};
use hedgerow_db_formats::crc32;
use hedgerow_db_formats::slot_set::SlotSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::select;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tonic::codegen::tokio_stream::Stream;
use tonic::{Status, Streaming};

/// Exports at a time.
pub(super) const EXPORTS: usize = 4;
/// The bytes of a message, if no single key is longer.
const MESSAGE: usize = 256 << 10;
/// Messages that wait for the peer.
const WAITING: usize = 2;
/// How often the state is asked for changes.
const POLL: Duration = Duration::from_millis(4);
/// How often the peer is told that it has all, in polls.
const TELL: u32 = 25;
/// How often a peer hears something while nothing may be sent.
const ALIVE: Duration = Duration::from_secs(1);
/// How often the limit of the rate is looked at meanwhile.
const SLICE: Duration = Duration::from_millis(50);
/// Keys that expire this soon after the slots were lost are not counted: the clocks of the two groups differ by
/// less, and each of them may or may not have removed these.
const MARGIN: u64 = 60_000;
/// If the slots are not lost within this time after their keys were counted, they are counted again. In milliseconds.
const AHEAD: u64 = 60_000;

/// The messages of one export.
pub(super) struct ExportParts(Receiver<Result<ExportResponse, Status>>);

impl Stream for ExportParts {
    type Item = Result<ExportResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

/// The next thing to send.
pub(crate) enum NextPart {
    Items(Vec<TransferItem>),
    /// As [`Exported::CaughtUp`], unless that was said just now.
    Nothing {
        horizon: u64,
    },
    /// As [`Exported::Frozen`].
    Frozen {
        horizon: u64,
        keys: u64,
    },
    /// This node is not the primary any more.
    Over,
}

/// Begins to send the keys of slots.
pub(super) fn begin(db: Db, slots: SlotSet, permit: OwnedSemaphorePermit) -> ExportParts {
    let (parts, taken) = channel(WAITING);
    tokio::spawn(send(db, slots, parts, permit));
    ExportParts(taken)
}

async fn send(
    db: Db,
    slots: SlotSet,
    parts: Sender<Result<ExportResponse, Status>>,
    _permit: OwnedSemaphorePermit,
) {
    let mut export = Export::new(Arc::clone(db.state()), slots.clone());
    let (mut idle, mut crc) = (0, 0);
    let mut pace = Pace::new(Instant::now(), db.state().log.last());
    loop {
        let (of, slots) = (db.clone(), slots.clone());
        let read = spawn_blocking(move || {
            let next = next(of.state(), &slots, &mut export, MESSAGE);
            (export, next)
        });
        // It panics only if the runtime stops.
        let Ok((back, next)) = read.await else { return };
        export = back;
        let part = match next {
            NextPart::Items(items) => {
                idle = 0;
                crc = items.iter().fold(crc, crc_after);
                let (messages, last) = messages(items);
                for part in messages {
                    if !send_part(&parts, Ok(part)).await {
                        return;
                    }
                }
                Ok(last)
            }
            NextPart::Frozen { horizon, keys } => Ok(Part::Frozen(Frozen { horizon, keys, crc })),
            NextPart::Over => {
                Err(Status::failed_precondition("it is not the primary of its group"))
            }
            NextPart::Nothing { horizon } => {
                idle += 1;
                if idle % TELL != 1 {
                    sleep(POLL).await;
                    if parts.is_closed() {
                        return;
                    }
                    continue;
                }
                Ok(Part::CaughtUp(CaughtUp { horizon }))
            }
        };
        let ends = !matches!(part, Ok(Part::Items(_) | Part::TypedItems(_) | Part::CaughtUp(_)));
        if !send_part(&parts, part).await || ends {
            return;
        }
        pace.add(export.take_cost());
        if !wait(&db, &mut pace, &parts).await {
            return;
        }
    }
}

/// Sends a message. Returns whether the peer takes it.
async fn send_part(
    parts: &Sender<Result<ExportResponse, Status>>,
    part: Result<Part, Status>,
) -> bool {
    let message = part.map(|part| ExportResponse { part: Some(part) });
    // A peer that takes nothing would keep the changes of the slots in memory for ever.
    matches!(timeout(SILENCE, parts.send(message)).await, Ok(Ok(())))
}

/// Waits until more may be sent. Returns whether the peer is still there.
async fn wait(db: &Db, pace: &mut Pace, parts: &Sender<Result<ExportResponse, Status>>) -> bool {
    let mut told = Instant::now();
    loop {
        let (rate, last) = (db.state().move_rate(), db.state().log.last());
        let left = pace.pause(Instant::now(), rate, last);
        if left.is_zero() {
            return true;
        }
        select! {
            () = sleep(left.min(SLICE)) => {}
            () = parts.closed() => return false,
        }
        if told.elapsed() >= ALIVE {
            told = Instant::now();
            if !send_part(parts, Ok(Part::Items(Items::default()))).await {
                return false;
            }
        }
    }
}

/// Returns what to send next: pieces of a little more than `most` bytes.
pub(crate) fn next(state: &State, slots: &SlotSet, export: &mut Export, most: usize) -> NextPart {
    // Before the changes are read: once the slots are lost, no further key of them changes.
    let lost = !state.ownership.slots().overlaps(slots);
    let items = export.next(most);
    // After that: a node that ceases to be the primary may lose the slots by an entry that it has not made.
    if state.role.get() != Role::Primary {
        return NextPart::Over;
    }
    if !items.is_empty() {
        return NextPart::Items(items);
    }
    // Counted before the slots are lost, because clients wait afterwards.
    let count = export.key_count(state.latest_time() + MARGIN, AHEAD);
    let horizon = count.horizon();
    // While the entry by which they were lost is not committed, another primary may still have them, and change them.
    if !lost || !state.is_committed(slots) {
        return NextPart::Nothing { horizon };
    }
    NextPart::Frozen { horizon, keys: count.keys() }
}

/// Divides items into messages of a little more than [`MESSAGE`] bytes. A long value of another type than string is
/// many items, which stay in their order.
fn messages(items: Vec<TransferItem>) -> (Vec<Part>, Part) {
    let (mut full, mut last, mut bytes) = (Vec::new(), Vec::new(), 0);
    for item in items {
        if bytes >= MESSAGE {
            full.push(message(std::mem::take(&mut last)));
            bytes = 0;
        }
        bytes += item.bytes();
        last.push(item);
    }
    (full, message(last))
}

fn message(items: Vec<TransferItem>) -> Part {
    let items = Items { items: items.into_iter().map(to_wire).collect() };
    // An earlier version would take any other value for a string. It refuses the whole message instead.
    if items.items.iter().any(|item| item.typed) {
        Part::TypedItems(items)
    } else {
        Part::Items(items)
    }
}

fn to_wire(item: TransferItem) -> Sent {
    match item {
        TransferItem::Set(key, expires_at, value) => {
            let typed = value.stored().is_typed();
            let value = Some(value.into_bytes().into());
            Sent { key: key.into(), value, expires_at, typed, cleared: false }
        }
        TransferItem::Removed(key) => Sent { key: key.into(), ..Sent::default() },
        TransferItem::Cleared => Sent { cleared: true, ..Sent::default() },
    }
}

/// Reads what `to_wire` makes.
///
/// # Errors
/// If the bytes of a value are not what its type has.
fn from_wire(item: Sent) -> Result<TransferItem, PeerError> {
    Ok(match item.value {
        _ if item.cleared => TransferItem::Cleared,
        Some(value) => {
            let value = if item.typed {
                let unknown = PeerError::Invalid("a value is of an unknown type, or damaged");
                OwnedValue::typed(value.into()).ok_or(unknown)?
            } else {
                OwnedValue::string(value.into())
            };
            TransferItem::Set(item.key.into(), item.expires_at, value)
        }
        None => TransferItem::Removed(item.key.into()),
    })
}

/// Returns the checksum after an item. Lengths are part of it: a key's end is no value's beginning.
fn crc_after(before: u32, item: &TransferItem) -> u32 {
    let bytes = |before: u32, bytes: &[u8]| {
        crc32::after(crc32::after(before, &(bytes.len() as u64).to_le_bytes()), bytes)
    };
    match item {
        TransferItem::Set(key, expires_at, value) => {
            let end = expires_at.map_or(0, |end| end.saturating_add(1));
            let before = crc32::after(bytes(before, key), &end.to_le_bytes());
            let value = value.stored();
            let before = if value.is_typed() { crc32::after(before, b"typed") } else { before };
            bytes(before, value.bytes())
        }
        TransferItem::Removed(key) => crc32::after(bytes(before, key), b"removed"),
        TransferItem::Cleared => crc32::after(before, b"cleared"),
    }
}

/// The keys that another group sends.
pub(crate) struct Exports {
    messages: Streaming<ExportResponse>,
    crc: u32,
}

/// A message of it.
pub(crate) enum Exported {
    /// Some keys.
    Items(Vec<TransferItem>),
    /// There is no more at present. The source is likely to count its keys with this horizon in the end; 0 if it has
    /// an earlier version, which does not say it.
    CaughtUp { horizon: u64 },
    /// The group does not own the slots any more, and all was sent. `keys` counts those that do not expire by the
    /// horizon.
    Frozen { horizon: u64, keys: u64 },
}

impl Exports {
    pub(super) fn new(messages: Streaming<ExportResponse>) -> Self {
        Self { messages, crc: 0 }
    }

    /// Returns the next message.
    pub(crate) async fn next(&mut self) -> Result<Exported, PeerError> {
        let message =
            timeout(SILENCE, self.messages.message()).await.map_err(|_| PeerError::Silent)?;
        let message = message.map_err(|status| status_error(&status))?;
        let part = message.ok_or(PeerError::Invalid("the end is missing"))?.part;
        match part.ok_or(PeerError::Invalid("a part is empty"))? {
            Part::Items(items) | Part::TypedItems(items) => {
                let items: Result<Vec<_>, _> = items.items.into_iter().map(from_wire).collect();
                let items = items?;
                self.crc = items.iter().fold(self.crc, crc_after);
                Ok(Exported::Items(items))
            }
            Part::CaughtUp(CaughtUp { horizon }) => Ok(Exported::CaughtUp { horizon }),
            Part::Frozen(Frozen { crc, .. }) if crc != self.crc => {
                Err(PeerError::Invalid("the keys have a wrong checksum"))
            }
            Part::Frozen(Frozen { horizon, keys, .. }) => Ok(Exported::Frozen { horizon, keys }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_engine::log::none::NoLog;
    use hedgerow_db_engine::log::{Log, OpenError};
    use hedgerow_db_engine::request::{Packer, Score, ValueType};
    use hedgerow_db_engine::{Db, Options, Progress};

    #[test]
    fn keys_are_counted_before_the_slots_are_lost() {
        let mut options = Options::in_memory();
        options.shards = 4;
        let log = |_| Ok::<Arc<dyn Log>, OpenError>(Arc::new(NoLog::of(0..16384)));
        let db = Db::open_clustered(options, None, &Progress::default(), log).unwrap();
        db.become_primary(1);
        db.set("{tulip}1", "red").unwrap();
        let (state, slots) = (db.state(), SlotSet::all());
        let mut export = Export::new(Arc::clone(state), slots.clone());
        let mut next = || next(state, &slots, &mut export, MESSAGE);
        assert!(matches!(next(), NextPart::Items(items) if items.len() == 1));
        let NextPart::Nothing { horizon } = next() else { panic!("there is more") };
        assert!(horizon >= state.latest_time() + MARGIN);
        // Changes after the count count, too.
        db.set("{tulip}2", "red").unwrap();
        assert!(matches!(next(), NextPart::Items(items) if items.len() == 1));
        state.lose_slots(7, &slots).unwrap();
        let NextPart::Frozen { horizon: last, keys } = next() else { panic!("it is not the end") };
        assert_eq!((last, keys), (horizon, 2));
    }

    fn set(key: &[u8], end: Option<u64>, value: &[u8]) -> TransferItem {
        TransferItem::Set(key.to_vec(), end, OwnedValue::string(value.to_vec()))
    }

    fn packed(key: &[u8], packer: Packer) -> TransferItem {
        TransferItem::Set(key.to_vec(), None, packer.into_owned())
    }

    #[test]
    fn each_part_of_an_item_is_in_the_checksum() {
        let mut packer = Packer::new(ValueType::Hash);
        packer.push(b"colour", b"red");
        let of_type = |value_type| {
            let mut packer = Packer::new(value_type);
            packer.push(b"colour", &Score::new(1.5).unwrap().bytes());
            packer
        };
        let all = [
            set(b"key", None, b"value"),
            set(b"keyv", None, b"alue"),
            set(b"key", Some(0), b"value"),
            set(b"key", Some(1), b"value"),
            set(b"key", None, b""),
            // A string with the bytes of a hash is another value.
            set(b"key", None, packer.packed().bytes()),
            packed(b"key", packer.clone()),
            packed(b"key", packer.continuing()),
            packed(b"key", of_type(ValueType::Hash)),
            packed(b"key", of_type(ValueType::List)),
            packed(b"key", of_type(ValueType::Set)),
            packed(b"key", of_type(ValueType::SortedSet)),
            packed(b"key", of_type(ValueType::SortedSet).continuing()),
            TransferItem::Removed(b"key".to_vec()),
            TransferItem::Cleared,
        ];
        let mut sums: Vec<_> = all.iter().map(|item| crc_after(7, item)).collect();
        sums.sort_unstable();
        sums.dedup();
        assert_eq!(sums.len(), all.len());
        for item in all {
            assert_eq!(from_wire(to_wire(item.clone())).unwrap(), item);
        }
        let no_score = [4, 1, 0, 0, 0, 1, b'm', 1, b's'];
        let unknown_type = [6, 0, 0, 0, 0];
        for value in [&[1, 2, 3][..], &no_score, &unknown_type] {
            let mut damaged = to_wire(packed(b"key", Packer::new(ValueType::Hash)));
            damaged.value = Some(value.to_vec().into());
            assert!(from_wire(damaged).is_err(), "{value:?}");
        }
    }

    #[test]
    fn long_values_are_several_messages_in_order() {
        let mut items = vec![set(b"string", None, b"value")];
        for value_type in [ValueType::Hash, ValueType::List, ValueType::Set, ValueType::SortedSet] {
            for number in 0..40_u8 {
                let (mut packer, mut name) = (Packer::new(value_type), vec![number; 30_000]);
                name[0] = value_type as u8;
                packer.push(&name, &Score::new(number.into()).unwrap().bytes());
                let packer = if number > 0 { packer.continuing() } else { packer };
                items.push(packed(value_type.name().as_bytes(), packer));
            }
        }
        items.push(set(b"string", None, b"other value"));
        let (mut all, last) = messages(items.clone());
        all.push(last);
        let mut received = Vec::new();
        for part in all {
            // An earlier version does not know this part of a response.
            let Part::TypedItems(part) = part else { panic!("typed values in {part:?}") };
            let bytes: usize =
                part.items.iter().filter_map(|one| Some(one.value.as_ref()?.len())).sum();
            assert!(bytes < MESSAGE + 40_000, "{bytes} bytes");
            received.extend(part.items.into_iter().map(|item| from_wire(item).unwrap()));
        }
        assert_eq!(received, items);
        assert!(matches!(message(vec![set(b"string", None, b"")]), Part::Items(_)));
    }
}
