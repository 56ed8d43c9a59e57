//! The group that slots are moved from: its primary leaves them, and removes their keys afterwards.

use super::env::Env;
use super::mover::{LOOK, Mover};
use super::record::{Actor, MoveRecord, MoveState};
use super::records::text;
use crate::peer::Asked;
use hedgerow_db_engine::lock::lock;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::select;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;

/// How long clients are held back at most, from before the slots are lost until the target serves them. Afterwards, a
/// client with a command for them is told to try again.
const HOLD: Duration = Duration::from_secs(2);

/// How often the record of a move is changed anew, if another node has changed it meanwhile.
const ATTEMPTS: usize = 5;

/// In how many looks for moves of its group a primary reads the published map of slots once. The map may be long.
const LOOKS: u32 = 10;

/// The moves for which clients are held back, because they cannot be told yet which group has the slots. Each is
/// notified when that is known.
#[derive(Clone, Default)]
struct Holds(Arc<Mutex<BTreeMap<u64, Arc<Notify>>>>);

impl Holds {
    /// Holds clients back until [`end`](Self::end), and for some time at most.
    fn begin<E: Env>(&self, mover: &Mover<E>, id: u64) {
        let taken = Arc::new(Notify::new());
        match lock(&self.0).entry(id) {
            // The target's primary asks again.
            Entry::Occupied(_) => return,
            Entry::Vacant(place) => _ = place.insert(Arc::clone(&taken)),
        }
        mover.log.hold(true);
        let (began, counters) = (Instant::now(), Arc::clone(&mover.counters));
        let (env, log, holds) = (mover.env.clone(), Arc::clone(&mover.log), self.clone());
        mover.env.spawn(async move {
            select! {
                biased;
                () = taken.notified() => {}
                () = env.sleep(HOLD) => {}
            }
            let mut others = lock(&holds.0);
            others.remove(&id);
            if others.is_empty() {
                log.hold(false);
            }
            counters.moves.longest_hold.raise(began.elapsed().as_micros() as u64);
        });
    }

    fn end(&self, id: u64) {
        if let Some(taken) = lock(&self.0).get(&id) {
            taken.notify_one();
        }
    }
}

/// Executes the requests of the primaries of other groups, and of a command that restores a backup.
pub(super) async fn answer<E: Env>(mover: Mover<E>, mut asked: UnboundedReceiver<Asked>) {
    let holds = Holds::default();
    while let Some(asked) = asked.recv().await {
        match asked {
            Asked::Leave { id, to, done } => {
                let left = leave(&mover, &holds, id, to).await;
                if let Err(why) = &left {
                    tracing::info!("the slots of the move {id:016x} cannot be given up: {why}");
                    holds.end(id);
                }
                // Fails if the caller has given up; it will ask again.
                let _ = done.send(left);
            }
            Asked::Taken { id } => {
                mover.see_map().await;
                holds.end(id);
            }
            Asked::Restores { by, answer } => {
                // As above.
                let _ = answer.send(mover.restores(by).await);
            }
        }
    }
}

/// Loses the slots of a move. Does nothing twice.
async fn leave<E: Env>(mover: &Mover<E>, holds: &Holds, id: u64, to: u32) -> Result<(), String> {
    let mut found = mover.find(id).await?;
    let slots = found.record.slots.clone();
    if (found.record.from, found.record.to) != (mover.group(), to) {
        return Err("the move is between other groups".to_owned());
    }
    let owned = mover.owned();
    match found.record.state {
        MoveState::Ready if owned.contains_all(&slots) => {
            // Nobody can cancel the move from here on. If this node is not the primary any more, the entry below is
            // never committed, and the next primary is asked again.
            let next = found.record.next(MoveState::Leaving, Actor::Source, "");
            found = mover.change(&found, next.map_err(text)?).await?;
        }
        MoveState::Ready => return Err("this group does not own all of the slots".to_owned()),
        // An earlier call came this far, perhaps to another primary.
        MoveState::Leaving => {}
        MoveState::Moved => {
            holds.begin(mover, id);
            return Ok(());
        }
        // The target may have said already that it serves them.
        MoveState::Arriving | MoveState::Done => return Ok(()),
        state => return Err(format!("it is {state}")),
    }
    // Not before: up to here clients are served, however long etcd takes.
    holds.begin(mover, id);
    let time = if owned.overlaps(&slots) {
        let (entry, time) = mover.on_state(move |state| state.lose_slots(id, &slots)).await?;
        mover.committed(entry).await?;
        time
    } else {
        // The entry is in the log, and may not be committed yet: this group owned the slots when the move was leaving.
        mover.confirm(id).await?;
        // That of the entry: the clock may have been wrong then, and set back since. This node does not know it if it
        // was loaded from a snapshot that has the entry.
        mover.state.lost.time(id).unwrap_or_else(|| mover.state.latest_time())
    };
    for _ in 0..ATTEMPTS {
        let next = found.record.next(MoveState::Moved, Actor::Source, "").map_err(text)?;
        if mover.change(&found, MoveRecord { time, ..next }).await.is_ok() {
            return Ok(());
        }
        // A primary of the target may have claimed the move meanwhile. If etcd does not answer, that may pass: no group
        // has the slots, so it is asked again.
        match mover.find(id).await {
            Ok(now) if now.record.state != MoveState::Leaving => return Ok(()),
            Ok(now) => found = now,
            Err(why) => {
                tracing::info!("the move {id:016x} cannot be read: {why}");
                mover.env.sleep(LOOK).await;
            }
        }
    }
    Err("its record keeps changing, or etcd does not answer".to_owned())
}

/// Finishes moves from this group, and corrects the published map of slots, as its primary, until the node stops.
pub(super) async fn tidy<E: Env>(mover: Mover<E>) {
    let mut looks = 0_u32;
    while !mover.env.is_stopped() {
        mover.env.sleep(LOOK).await;
        if !mover.is_primary() {
            continue;
        }
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(LOOKS)
            && let Err(why) = mover.correct_map().await
        {
            tracing::debug!("cannot compare the published map of slots: {why}");
        }
        let moves = match mover.moves().await {
            Ok(moves) => moves,
            Err(why) => {
                tracing::debug!("cannot read the moves: {why}");
                continue;
            }
        };
        let is_due = |record: &MoveRecord| record.from == mover.group() && can_finish(record.state);
        for id in moves.iter().filter(|found| is_due(&found.record)).map(|found| found.id) {
            if let Err(why) = finish(&mover, id).await {
                tracing::debug!("the move {id:016x} is not finished yet: {why}");
            }
        }
    }
}

/// Returns whether the source has the next step of a move.
fn can_finish(state: MoveState) -> bool {
    matches!(state, MoveState::Done | MoveState::Returned)
}

async fn finish<E: Env>(mover: &Mover<E>, id: u64) -> Result<(), String> {
    // Again: the moves before this one may have taken a while.
    let found = mover.find(id).await?;
    let slots = found.record.slots.clone();
    match found.record.state {
        state if !can_finish(state) => Ok(()),
        MoveState::Returned => {
            // A deposed primary may own them only in its own state. An entry of its epoch is never committed.
            if mover.owned().contains_all(&slots) {
                mover.confirm(id).await?;
            } else {
                let got = mover.on_state(move |state| state.gain_slots(id, &slots, 0)).await?;
                mover.committed(got).await?;
            }
            mover.publish_slots().await?;
            // Published before: after the record has changed, nobody publishes for this move.
            let reason = "it was returned";
            let next = found.record.next(MoveState::Cancelled, Actor::Source, reason);
            let next = next.map_err(text)?;
            mover.change(&found, next).await.map(drop)
        }
        _ => {
            // First the keys: once the record is gone, nobody knows that they must go.
            mover.clear(&slots).await?;
            mover.delete(&found, Actor::Source).await
        }
    }
}
