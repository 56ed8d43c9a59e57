//! The group that slots are moved to: its primary fetches their keys, and takes the slots over.

use super::env::{Env, EnvParts as _};
use super::mover::{LOOK, Mover};
use super::record::{Actor, MoveState};
use super::records::{StoredMove, text};
use crate::peer::Exported;
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_engine::request::RequestError;
use hedgerow_db_engine::state::State;
use hedgerow_db_engine::state::transfer::{KeyCount, TransferItem};
use hedgerow_db_formats::slot_set::SlotSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::{join, select};
use tracing::Instrument as _;

/// Takes part in moves to this group, as its primary, until the node stops.
pub(super) async fn run<E: Env>(mover: Mover<E>) {
    while !mover.env.is_stopped() {
        mover.env.sleep(LOOK).await;
        let Some(epoch) = mover.log.primary_epoch() else { continue };
        let moves = match mover.moves().await {
            Ok(moves) => moves,
            Err(why) => {
                tracing::debug!("cannot read the moves: {why}");
                continue;
            }
        };
        // The keys of an earlier move of these slots are removed first.
        let waits = |found: &StoredMove| {
            let mut own = moves.iter().filter(|other| other.record.from == mover.group());
            own.any(|other| other.record.slots.overlaps(&found.record.slots))
        };
        let here = |found: &&StoredMove| found.record.to == mover.group() && !waits(found);
        for found in moves.iter().filter(here) {
            let import = Import { mover: &mover, epoch };
            if let Err(why) = import.go_on(found).await {
                tracing::info!("the move {:016x} makes no progress at present: {why}", found.id);
            }
        }
    }
}

/// The work of one primary at a move.
struct Import<'m, E> {
    mover: &'m Mover<E>,
    /// The epoch in which this node is the primary.
    epoch: u64,
}

impl<E: Env> Import<'_, E> {
    fn by(&self) -> Actor {
        Actor::Target(self.epoch)
    }

    async fn change(
        &self,
        found: &StoredMove,
        to: MoveState,
        why: &str,
    ) -> Result<StoredMove, String> {
        let next = found.record.next(to, self.by(), why).map_err(text)?;
        self.mover.change(found, next).await
    }

    /// Goes on with a move, as far as it goes at present.
    async fn go_on(&self, found: &StoredMove) -> Result<(), String> {
        // Again: the moves before this one may have taken a while.
        let found = self.mover.find(found.id).await?;
        match found.record.state {
            MoveState::Cancelled => {
                self.clear_cancelled(&found).await?;
                self.mover.delete(&found, self.by()).await
            }
            MoveState::Copying | MoveState::Ready | MoveState::Leaving | MoveState::Moved => {
                let (id, from) = (found.id, found.record.from);
                let span = tracing::debug_span!("import_slots", move_id = id, from_group = from);
                self.import(found).instrument(span).await
            }
            MoveState::Arriving => self.arrive(found).await,
            // The node may have stopped before it published the slots.
            MoveState::Done => self.mover.publish_slots().await,
            MoveState::Returned => Ok(()),
        }
    }

    /// Removes the keys that came before the move was cancelled. This group may own some of the slots: then the source
    /// did not, and none of their keys came.
    async fn clear_cancelled(&self, found: &StoredMove) -> Result<(), String> {
        let slots = found.record.slots.difference(&self.mover.owned());
        if slots.is_empty() {
            return self.mover.confirm(found.id).await;
        }
        self.mover.clear(&slots).await
    }

    /// Removes the keys that came before.
    async fn clear(&self, found: &StoredMove) -> Result<(), String> {
        self.mover.clear(&found.record.slots).await
    }

    /// Fetches the keys of the slots, and takes the slots over.
    async fn import(&self, found: StoredMove) -> Result<(), String> {
        // With this node's epoch: a change that an earlier primary has sent compares another record. And no longer
        // `ready`: the keys that have come are cleared below.
        let claimed = match found.record.state {
            MoveState::Ready => MoveState::Copying,
            state => state,
        };
        let found = self.change(&found, claimed, "").await?;
        self.clear(&found).await?;
        match self.receive(found).await {
            Err(ImportFailure::Again(why)) => Err(why),
            Err(ImportFailure::Full(id)) => self.give_up(id).await,
            Ok(found) => {
                let found = self.say_arriving(found).await?;
                self.arrive(found).await
            }
        }
    }

    /// Makes the move `arriving`. The keys of the slots must not be cleared any more once that was sent: it may be done
    /// although no answer came. So it is repeated until etcd says what the move is.
    async fn say_arriving(&self, mut found: StoredMove) -> Result<StoredMove, String> {
        loop {
            let why = match self.change(&found, MoveState::Arriving, "").await {
                Ok(found) => return Ok(found),
                Err(why) => why,
            };
            self.check_that_it_leads().map_err(|_| why)?;
            self.mover.env.sleep(LOOK).await;
            match self.mover.find(found.id).await {
                Ok(now) if now.record.state == MoveState::Moved => found = now,
                Ok(now) if now.record.state == MoveState::Arriving => return Ok(now),
                Ok(now) => return Err(format!("it is {}", now.record.state)),
                Err(why) => tracing::info!("the move {:016x} cannot be read: {why}", found.id),
            }
        }
    }

    /// Cancels a move for which this group has too little memory.
    async fn give_up(&self, id: u64) -> Result<(), String> {
        let why = format!("group {} has too little memory for the keys", self.mover.group());
        let found = self.mover.find(id).await?;
        self.change(&found, MoveState::Cancelled, &why).await?;
        Err(why)
    }

    /// Receives all keys until the source has lost the slots. Returns the move, which is `moved` then.
    async fn receive(&self, mut found: StoredMove) -> Result<StoredMove, ImportFailure> {
        let (id, slots) = (found.id, found.record.slots.clone());
        let mut parts = self.mover.env.export(found.record.from, &slots).await?;
        let mut cancelled = pin!(self.cancelled(id));
        let mut leaving: Option<oneshot::Receiver<Result<(), String>>> = None;
        let (mut last, mut count): (_, Option<KeyCount>) = (0, None);
        loop {
            // Only between two messages: nothing is imported after this function has returned, so the keys can be
            // cleared.
            let part = select! {
                biased;
                () = &mut cancelled => return Err(ImportFailure::Again("it was cancelled".to_owned())),
                part = parts.next() => part?,
            };
            match part {
                Exported::Items(items) => {
                    let committed = self.store(id, &found, items).await?;
                    // A message ahead: etcd is the brake.
                    self.mover.committed(std::mem::replace(&mut last, committed)).await?;
                }
                Exported::CaughtUp { horizon } => {
                    let answer = leaving.as_mut().map(oneshot::Receiver::try_recv);
                    // The source has not answered yet, and may be waiting for etcd.
                    if answer == Some(Err(TryRecvError::Empty)) {
                        continue;
                    }
                    // The channel has one answer, and is not polled again if the keys are counted first.
                    leaving = None;
                    let pause = match answer {
                        // The slots may be lost nevertheless, and all of their keys are here.
                        Some(Ok(Err(why))) => {
                            self.check_that_it_goes_on(id, &why).await?;
                            LOOK
                        }
                        Some(answer) => answer.map_err(text).map(|_| Duration::ZERO)?,
                        None => Duration::ZERO,
                    };
                    self.mover.committed(last).await?;
                    let is_counted = count.as_ref().is_some_and(|count| count.is_of(horizon));
                    if horizon != 0 && !is_counted {
                        count = Some(self.count(&slots, horizon).await?);
                        // More may have come while they were counted.
                        continue;
                    }
                    if found.record.state == MoveState::Copying {
                        found = self.change(&found, MoveState::Ready, "").await?;
                    }
                    leaving = Some(self.ask_to_leave(&found, pause));
                }
                Exported::Frozen { horizon, keys } => {
                    self.mover.committed(last).await?;
                    if let Some(answer) = leaving {
                        // The slots are lost, also if the answer is an error.
                        _ = answer.await;
                    }
                    let count = match count.take().filter(|count| count.is_of(horizon)) {
                        Some(count) => count,
                        None => self.count(&slots, horizon).await?,
                    };
                    self.compare(id, count, keys).await?;
                    return Ok(self.wait_until_moved(&found).await?);
                }
            }
        }
    }

    /// Waits until the move is `moved`. The source has lost the slots, and all of their keys are here, so no failure is
    /// a reason to clear them: no group would have the slots until all have come once more.
    async fn wait_until_moved(&self, found: &StoredMove) -> Result<StoredMove, String> {
        let (id, from) = (found.id, found.record.from);
        loop {
            match self.mover.find(id).await {
                Ok(now) if now.record.state == MoveState::Moved => return Ok(now),
                // The source's primary has changed in between: the next one says it when it is asked.
                Ok(now) if now.record.state == MoveState::Leaving => {
                    let Err(why) = self.mover.env.leave(from, id).await else { continue };
                    tracing::info!("the move {id:016x} is not moved yet: {why}");
                }
                Ok(now) => return Err(format!("it is {}", now.record.state)),
                Err(why) => tracing::info!("the move {id:016x} cannot be read: {why}"),
            }
            self.check_that_it_leads()?;
            self.mover.env.sleep(LOOK).await;
        }
    }

    /// Fails if this node's term has ended.
    fn check_that_it_leads(&self) -> Result<(), String> {
        if self.mover.log.primary_epoch() != Some(self.epoch) || self.mover.env.is_stopped() {
            return Err("this node is no longer the primary".to_owned());
        }
        Ok(())
    }

    /// Fails if the source will not leave the slots any more. `why` says why it has not done so yet.
    async fn check_that_it_goes_on(&self, id: u64, why: &str) -> Result<(), String> {
        self.check_that_it_leads()?;
        tracing::info!("the slots of the move {id:016x} are not given up yet: {why}");
        let goes_on = [MoveState::Ready, MoveState::Leaving, MoveState::Moved];
        match self.mover.find(id).await {
            Ok(now) if !goes_on.contains(&now.record.state) => {
                Err(format!("it is {}", now.record.state))
            }
            // If etcd does not answer, that may pass.
            _ => Ok(()),
        }
    }

    /// Asks the source to leave the slots, after a pause. The result gets its answer.
    fn ask_to_leave(
        &self,
        found: &StoredMove,
        pause: Duration,
    ) -> oneshot::Receiver<Result<(), String>> {
        let (answer, answered) = oneshot::channel();
        let (env, from, id) = (self.mover.env.clone(), found.record.from, found.id);
        self.mover.env.spawn(async move {
            if !pause.is_zero() {
                env.sleep(pause).await;
            }
            // Fails if the import has ended meanwhile.
            _ = answer.send(env.leave(from, id).await);
        });
        answered
    }

    /// Returns when a move is cancelled. If etcd does not answer, the import does not go on either.
    async fn cancelled(&self, id: u64) {
        loop {
            self.mover.env.sleep(LOOK).await;
            let found = self.mover.find(id).await;
            if found.is_ok_and(|found| found.record.state == MoveState::Cancelled) {
                return;
            }
        }
    }

    async fn store(
        &self,
        id: u64,
        found: &StoredMove,
        items: Vec<TransferItem>,
    ) -> Result<Lsn, ImportFailure> {
        let slots = found.record.slots.clone();
        let bytes: usize = items.iter().map(TransferItem::bytes).sum();
        self.mover.counters.moves.bytes.add(bytes as u64);
        // Beyond that, the move cannot be cancelled.
        let may_exceed = !matches!(found.record.state, MoveState::Copying | MoveState::Ready);
        let import = move |state: &State| Ok(state.import(&slots, &items, may_exceed));
        let stored = self.mover.on_state(import).await?;
        stored.map_err(|why| match why {
            RequestError::OutOfMemory => ImportFailure::Full(id),
            why => ImportFailure::Again(why.to_string()),
        })
    }

    /// Counts the keys that have come, and those that come or go from now on.
    async fn count(&self, slots: &SlotSet, horizon: u64) -> Result<KeyCount, String> {
        let (state, slots) = (Arc::clone(&self.mover.state), slots.clone());
        self.mover.on_state(move |_| Ok(KeyCount::begin(state, slots, horizon))).await
    }

    /// Compares the number of keys with that of the source.
    async fn compare(&self, id: u64, count: KeyCount, keys: u64) -> Result<(), ImportFailure> {
        let own = self.mover.on_state(move |_| Ok(count.keys())).await?;
        if own == keys {
            return Ok(());
        }
        tracing::error!(
            "move {id:016x}: this group has {own} keys and the source {keys}; fetching them again",
        );
        Err(ImportFailure::Again("the number of keys differs from that of the source".to_owned()))
    }

    /// Takes the slots over, whose keys this group's log has.
    async fn arrive(&self, found: StoredMove) -> Result<(), String> {
        let (id, slots, time) = (found.id, found.record.slots.clone(), found.record.time);
        // An earlier primary may have appended the entry.
        if self.mover.owned().contains_all(&slots) {
            self.mover.confirm(id).await?;
        } else {
            // A key that had expired when the source lost the slots must not be back. If the own clock is raised to
            // that time, they have expired here, too. If the source's clock was far ahead, they are removed instead:
            // the own clock must not become as wrong, because it would cost this group's own keys.
            let far = self.mover.state.clock.is_far_behind(time);
            if far {
                self.mover.clear_expired(&slots, time).await?;
            }
            let time = if far { 0 } else { time };
            let got = self.mover.on_state(move |state| state.gain_slots(id, &slots, time)).await?;
            self.mover.committed(got).await?;
        }
        self.mover.publish_slots().await?;
        // The source's clients wait for that. Without it, the source learns it within a second.
        let told = self.mover.env.taken(found.record.from, id);
        let (told, done) = join!(told, self.change(&found, MoveState::Done, ""));
        done.and(told)
    }
}

/// Why an import has ended.
enum ImportFailure {
    /// It can be tried again.
    Again(String),
    /// There is too little memory for the keys of this move.
    Full(u64),
}

impl From<String> for ImportFailure {
    fn from(why: String) -> Self {
        Self::Again(why)
    }
}
