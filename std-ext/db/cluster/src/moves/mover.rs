//! The common ground of the two sides of a move.

use super::env::Env;
use super::etcd::EtcdAccess as _;
use super::record::{Actor, MoveRecord};
use super::records::{self, StoredMove, text, unchanged};
use crate::etcd::{Compare, EtcdTransaction, KeyValue, Operation};
use crate::log::EtcdLog;
use crate::measure::counters::ClusterCounters;
use crate::membership::keys::GroupKeys;
use crate::membership::slot_map::SlotMap;
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_engine::request::RequestError;
use hedgerow_db_engine::state::State;
use hedgerow_db_engine::state::transfer::Clearing;
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_group::{NodeId, primary_value};
use std::sync::Arc;
use std::time::Duration;

/// How often a primary looks for moves of its group.
pub(super) const LOOK: Duration = Duration::from_millis(300);

/// The number in entries that belong to no move. The first move is number 1.
const NO_MOVE: u64 = 0;

/// The parts of a node that moves need.
#[derive(Clone)]
pub(crate) struct Mover<E> {
    pub(crate) env: E,
    pub(crate) keys: Arc<GroupKeys>,
    /// This node, and the random number of its process.
    pub(crate) process: (NodeId, u64),
    pub(crate) state: Arc<State>,
    pub(crate) log: Arc<EtcdLog>,
    /// How many groups the slots were divided among at birth.
    pub(crate) groups: u32,
    pub(crate) counters: Arc<ClusterCounters>,
}

impl<E: Env> Mover<E> {
    pub(super) fn group(&self) -> u32 {
        self.keys.number()
    }

    pub(super) fn is_primary(&self) -> bool {
        self.log.primary_epoch().is_some()
    }

    /// Returns the slots that the group owns, as far as this node knows.
    pub(super) fn owned(&self) -> SlotSet {
        self.state.ownership.slots()
    }

    /// Reads all moves, in the order of their numbers.
    pub(super) async fn moves(&self) -> Result<Vec<StoredMove>, String> {
        if !self.env.may_have_moves() {
            self.counters.moves.note(std::iter::empty());
            return Ok(Vec::new());
        }
        // One that cannot be read, perhaps of a later version, does not hold up the others.
        let readable = |(id, found): (u64, Result<StoredMove, String>)| {
            found.map_err(|why| tracing::warn!("the move {id:016x} cannot be read: {why}")).ok()
        };
        let all = records::all(self.env.etcd(), &self.keys).await?;
        let found: Vec<StoredMove> = all.into_iter().filter_map(readable).collect();
        let own = found.iter().map(|found| &found.record);
        let own = own.filter(|record| [record.from, record.to].contains(&self.group()));
        self.counters.moves.note(own.map(|record| record.state as usize));
        Ok(found)
    }

    /// Reads a move.
    pub(super) async fn find(&self, id: u64) -> Result<StoredMove, String> {
        let found = records::find(self.env.etcd(), &self.keys, id).await?;
        found.ok_or_else(|| "etcd has no such move".to_owned())
    }

    /// Changes the record of a move, if it is still the one that was read.
    pub(super) async fn change(
        &self,
        found: &StoredMove,
        next: MoveRecord,
    ) -> Result<StoredMove, String> {
        self.compare_and_swap(found, Some(&next)).await?;
        let MoveRecord { from, to, state, .. } = &next;
        tracing::info!("the move {:016x} from group {from} to group {to} is {state}", found.id);
        // The value that was put, which the next change compares.
        Ok(StoredMove { id: found.id, value: next.print().into_bytes(), record: next })
    }

    /// Deletes the record of a move, if it is still the one that was read.
    pub(super) async fn delete(&self, found: &StoredMove, by: Actor) -> Result<(), String> {
        found.record.end(by).map_err(text)?;
        self.compare_and_swap(found, None).await
    }

    async fn compare_and_swap(
        &self,
        found: &StoredMove,
        next: Option<&MoveRecord>,
    ) -> Result<(), String> {
        let done = records::compare_and_swap(self.env.etcd(), &self.keys, found, next).await?;
        if done { Ok(()) } else { Err("its record has changed meanwhile".to_owned()) }
    }

    /// Does something to the state, by a thread that may block.
    pub(super) async fn on_state<T: Send + 'static>(
        &self,
        change: impl FnOnce(&State) -> Result<T, RequestError> + Send + 'static,
    ) -> Result<T, String> {
        self.env.on_state(change).await?.map_err(text)
    }

    /// Removes the keys of slots that the group does not own, and waits until that is committed.
    pub(super) async fn clear(&self, slots: &SlotSet) -> Result<(), String> {
        self.clear_by(Clearing::new(&self.state, slots.clone())).await
    }

    /// Removes the keys of slots that the group does not own, and that have expired by a time.
    pub(super) async fn clear_expired(&self, slots: &SlotSet, time: u64) -> Result<(), String> {
        self.clear_by(Clearing::of_expired(&self.state, slots.clone(), time)).await
    }

    async fn clear_by(&self, mut clearing: Clearing) -> Result<(), String> {
        let mut last = 0;
        loop {
            let step = move |state: &State| {
                let done = clearing.step(state)?;
                Ok((clearing, done))
            };
            let (back, (entry, done)) = self.on_state(step).await?;
            // A step ahead: etcd is the brake.
            self.committed(std::mem::replace(&mut last, entry)).await?;
            if done {
                return self.committed(last).await;
            }
            clearing = back;
        }
    }

    /// Waits until an entry is committed.
    pub(super) async fn committed(&self, entry: Lsn) -> Result<(), String> {
        self.env.committed(entry).await
    }

    /// Makes sure that the group's log says what this node has read in its state before: a node that was deposed, and
    /// has not noticed it, may own slots that its group has lost, and the other way round.
    pub(super) async fn confirm(&self, id: u64) -> Result<(), String> {
        let entry = self.on_state(move |state| state.log_nothing(id)).await?;
        self.committed(entry).await
    }

    /// Publishes the slots that this group owns, and makes the node show them.
    ///
    /// A node may be stopped between its read and its transaction, until the slots have moved on. So the transaction
    /// compares `primary`, too: the value of `slots` alone may be the same again, and a deposed primary that reads it
    /// anew still believes that it owns the slots.
    pub(super) async fn publish_slots(&self) -> Result<(), String> {
        let epoch = self.log.primary_epoch().ok_or("this node is no longer the primary")?;
        let own = primary_value(epoch, self.process.0, self.process.1);
        let (key, primary) = (self.keys.slots(), self.keys.primary());
        loop {
            let (found, map) = self.published().await?;
            let next = map.with(self.group(), &self.owned());
            // Before etcd has it: what this group owns is certain.
            self.env.show(next.clone());
            if next == map {
                return Ok(());
            }
            let leads = Compare::Value { key: primary.clone().into(), value: own.clone().into() };
            let put = EtcdTransaction {
                compare: vec![unchanged(key.clone(), found), leads],
                then: vec![Operation::put(key.clone(), next.print())],
                ..EtcdTransaction::default()
            };
            // A refusal means that the map has changed, which is repeated, or that this node was deposed.
            if self.env.etcd().transact(&put).await.map_err(text)? {
                return Ok(());
            }
            let found = self.env.etcd().read(primary.clone()).await.map_err(text)?;
            if found.is_none_or(|pair| pair.value != own) {
                return Err("another node has become the primary".to_owned());
            }
        }
    }

    /// Publishes the slots that this group owns if the published map gives some of them to another group. A transaction
    /// of an earlier move may have arrived late, and nobody publishes the slots of a move that has ended.
    ///
    /// Only the owner corrects the map. So two primaries never correct each other, except for one that does not know
    /// yet that it was deposed, and that one fails to confirm what it owns.
    pub(super) async fn correct_map(&self) -> Result<(), String> {
        let is_right = |map: &SlotMap| map.with(self.group(), &self.owned()) == *map;
        if self.env.heard_map(self.groups).as_ref().is_some_and(is_right) {
            return Ok(());
        }
        let (_, map) = self.published().await?;
        if is_right(&map) {
            return Ok(());
        }
        tracing::info!("the published map gives slots of group {} to another one", self.group());
        self.confirm(NO_MOVE).await?;
        self.publish_slots().await
    }

    /// Reads the published map of slots, and its key. Before the first move, the slots are divided as at birth.
    async fn published(&self) -> Result<(Option<KeyValue>, SlotMap), String> {
        let found = self.env.etcd().read(self.keys.slots()).await.map_err(text)?;
        let map = match &found {
            Some(pair) => SlotMap::parse(&pair.value)?,
            None => SlotMap::divided(self.groups),
        };
        Ok((found, map))
    }

    /// Returns whether a sender restores a backup into the cluster.
    pub(super) async fn restores(&self, by: NodeId) -> Result<bool, String> {
        let found = self.env.etcd().read(self.keys.restoring()).await.map_err(text)?;
        // The whole id, which is secret: that of the cluster is not.
        Ok(found.is_some_and(|pair| pair.value == by.to_string()))
    }

    /// Reads the published map of slots, and makes the node show it.
    pub(super) async fn see_map(&self) {
        match records::read_slots(self.env.etcd(), &self.keys).await {
            Ok(map) => map.into_iter().for_each(|map| self.env.show(map)),
            Err(why) => tracing::debug!("cannot read the published map of slots: {why}"),
        }
    }
}
