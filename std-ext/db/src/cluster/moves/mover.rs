//! The common ground of the two sides of a move: the parts of the node, and the records in etcd.

use super::record::{Actor, MoveRecord};
use crate::Db;
use crate::cluster::counters::Counters;
use crate::cluster::etcd::{
    Client, Compare, EtcdError, KeyValue, Keys as KeyRange, Operation, Range, Transaction,
};
use crate::cluster::keys::Keys;
use crate::cluster::log::EtcdLog;
use crate::cluster::message::{Inbox, Message};
use crate::cluster::peer::{PeerClient, PeerClientOptions};
use crate::cluster::slot_map::SlotMap;
use crate::lock::lock;
use crate::log::{Log as _, Lsn};
use crate::request::RequestError;
use crate::slot_set::SlotSet;
use crate::state::State;
use crate::state::transfer::Clearing;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::spawn_blocking;

/// How often a primary looks for moves of its group.
pub(super) const LOOK: Duration = Duration::from_millis(300);
/// The most moves that are read at a time.
const MOST_MOVES: u32 = 256;

/// The peer addresses of the primaries of all groups.
pub(in crate::cluster) type Primaries = Arc<Mutex<BTreeMap<u32, String>>>;

/// The parts of a node that moves need.
#[derive(Clone)]
pub(in crate::cluster) struct Mover {
    pub(in crate::cluster) client: Client,
    pub(in crate::cluster) keys: Arc<Keys>,
    pub(in crate::cluster) db: Db,
    pub(in crate::cluster) log: Arc<EtcdLog>,
    pub(in crate::cluster) primaries: Primaries,
    pub(in crate::cluster) peers: PeerClientOptions,
    pub(in crate::cluster) inbox: Inbox,
    /// How many groups the slots were divided among at birth.
    pub(in crate::cluster) groups: u32,
    pub(in crate::cluster) counters: Arc<Counters>,
}

/// A move as etcd has it.
pub(super) struct Found {
    pub(super) id: u64,
    /// The value, to compare it.
    pub(super) value: Vec<u8>,
    pub(super) record: MoveRecord,
}

impl Mover {
    pub(super) fn group(&self) -> u32 {
        self.keys.number()
    }

    pub(super) fn is_primary(&self) -> bool {
        self.log.primary_epoch().is_some()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.inbox.is_closed()
    }

    /// Reads all moves, in the order of their numbers.
    pub(super) async fn moves(&self) -> Result<Vec<Found>, String> {
        let prefix = self.keys.moves();
        let range = Range::of(KeyRange::prefix(prefix.clone())).limit(MOST_MOVES);
        let found = self.client.range(&range).await.map_err(text)?;
        let read = |pair: KeyValue| {
            let id = self.keys.move_id(&pair.key)?;
            match MoveRecord::parse(&pair.value) {
                Ok(record) => Some(Found { id, value: pair.value.to_vec(), record }),
                Err(why) => {
                    tracing::warn!("the move {id:016x} cannot be read: {why}");
                    None
                }
            }
        };
        let found: Vec<Found> = found.pairs.into_iter().filter_map(read).collect();
        let own = found.iter().map(|found| &found.record);
        let own = own.filter(|record| [record.from, record.to].contains(&self.group()));
        self.counters.moves.note(own.map(|record| record.state));
        Ok(found)
    }

    /// Reads a move.
    pub(super) async fn find(&self, id: u64) -> Result<Found, String> {
        let found = self.client.get(self.keys.move_of(id)).await.map_err(text)?;
        let value = found.pair.ok_or("etcd has no such move")?.value.to_vec();
        let record = MoveRecord::parse(&value)?;
        Ok(Found { id, value, record })
    }

    /// Changes the record of a move, if it is still the one that was read.
    pub(super) async fn change(&self, found: &Found, next: MoveRecord) -> Result<Found, String> {
        let value = next.print().into_bytes();
        let put = Operation::put(self.keys.move_of(found.id), value.clone());
        self.swap(found, put).await?;
        let MoveRecord { from, to, state, .. } = &next;
        tracing::info!("the move {:016x} from group {from} to group {to} is {state}", found.id);
        Ok(Found { id: found.id, value, record: next })
    }

    /// Deletes the record of a move, if it is still the one that was read.
    pub(super) async fn delete(&self, found: &Found, by: Actor) -> Result<(), String> {
        found.record.end(by).map_err(text)?;
        let delete = Operation::Delete(KeyRange::one(self.keys.move_of(found.id)));
        self.swap(found, delete).await
    }

    async fn swap(&self, found: &Found, operation: Operation) -> Result<(), String> {
        let key = self.keys.move_of(found.id).into();
        let swap = Transaction {
            compare: vec![Compare::Value { key, value: found.value.clone().into() }],
            then: vec![operation],
            ..Transaction::default()
        };
        let done = self.client.transact(&swap).await.map_err(text)?;
        if done.succeeded { Ok(()) } else { Err("its record has changed meanwhile".to_owned()) }
    }

    /// Does something to the state, by a thread that may block.
    pub(super) async fn on_state<T: Send + 'static>(
        &self,
        change: impl FnOnce(&State) -> Result<T, RequestError> + Send + 'static,
    ) -> Result<T, String> {
        let db = self.db.clone();
        let done = spawn_blocking(move || change(db.state())).await;
        done.map_err(text)?.map_err(|why| why.to_string())
    }

    /// Removes the keys of slots that the group does not own, and waits until that is committed.
    pub(super) async fn clear(&self, slots: &SlotSet) -> Result<(), String> {
        let (mut clearing, mut last) = (Clearing::new(self.db.state(), slots.clone()), 0);
        loop {
            let step = move |state: &State| {
                let done = clearing.step(state)?;
                Ok((clearing, done))
            };
            let (back, (entry, done)) = self.on_state(step).await?;
            // A step ahead: etcd is the brake.
            self.safe(std::mem::replace(&mut last, entry)).await?;
            if done {
                return self.safe(last).await;
            }
            clearing = back;
        }
    }

    /// Waits until an entry is committed.
    pub(super) async fn safe(&self, entry: Lsn) -> Result<(), String> {
        let log = Arc::clone(&self.log);
        spawn_blocking(move || log.wait(entry)).await.map_err(text)?.map_err(text)
    }

    /// Returns a client of a group's primary.
    pub(super) fn primary_of(&self, group: u32) -> Result<PeerClient, String> {
        let address = lock(&self.primaries).get(&group).cloned();
        let address = address.ok_or_else(|| format!("group {group} has no primary at present"))?;
        PeerClient::new(&address, &self.peers).map_err(text)
    }

    /// Publishes the slots that this group owns, and makes the node show them.
    pub(super) async fn publish_slots(&self) -> Result<(), String> {
        let key = self.keys.slots();
        loop {
            let found = self.client.get(key.clone()).await.map_err(text)?.pair;
            let map = match &found {
                Some(pair) => SlotMap::parse(&pair.value)?,
                None => SlotMap::divided(self.groups),
            };
            let next = map.with(self.group(), &self.db.state().ownership.slots());
            // Fails only after the driver has stopped.
            let _ = self.inbox.send(Message::Slots(next.clone()));
            if next == map {
                return Ok(());
            }
            let compare = match found {
                Some(pair) => Compare::Value { key: key.clone().into(), value: pair.value },
                None => Compare::Absent { key: key.clone().into() },
            };
            let put = Transaction {
                compare: vec![compare],
                then: vec![Operation::put(key.clone(), next.print())],
                ..Transaction::default()
            };
            if self.client.transact(&put).await.map_err(text)?.succeeded {
                return Ok(());
            }
        }
    }
}

pub(super) fn text(why: impl Display) -> String {
    why.to_string()
}

/// Reads the published map of slots; nothing if no slot has ever moved.
pub(in crate::cluster) async fn read_slots(
    client: &Client,
    keys: &Keys,
) -> Result<Option<SlotMap>, EtcdError> {
    let found = client.get(keys.slots()).await?;
    Ok(found.pair.and_then(|pair| match SlotMap::parse(&pair.value) {
        Ok(map) => Some(map),
        Err(why) => {
            tracing::warn!("{why}");
            None
        }
    }))
}
