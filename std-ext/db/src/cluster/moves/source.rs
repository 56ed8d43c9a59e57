//! The group that slots are moved from: its primary leaves them, and removes their keys afterwards.

use super::env::Env;
use super::mover::{LOOK, Mover};
use super::record::{Actor, MoveRecord, MoveState};
use super::records::{Found, text};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::select;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::{Notify, oneshot};

/// How long clients are held back at most, from before the slots are lost until the target serves them. Afterwards, a
/// client with a command for them is told to try again.
const HOLD: Duration = Duration::from_secs(2);

/// How often the record of a move is changed anew, if another node has changed it meanwhile.
const ATTEMPTS: usize = 5;

/// A request of the target's primary to the source's.
pub(in crate::cluster) enum Asked {
    /// Lose the slots of this move to this group.
    Leave { id: u64, to: u32, done: oneshot::Sender<Result<(), String>> },
    /// The target serves the slots of this move.
    Taken { id: u64 },
}

/// Sends requests to the task that executes them.
pub(in crate::cluster) type Asks = UnboundedSender<Asked>;

/// The move for which clients are held back.
struct Holding {
    id: u64,
    taken: Arc<Notify>,
}

/// Executes the requests of the primaries of other groups.
pub(super) async fn answer<E: Env>(mover: Mover<E>, mut asked: UnboundedReceiver<Asked>) {
    let mut holding: Option<Holding> = None;
    while let Some(asked) = asked.recv().await {
        match asked {
            Asked::Leave { id, to, done } => {
                let taken = hold(&mover);
                let left = leave(&mover, id, to).await;
                match &left {
                    Ok(()) => holding = Some(Holding { id, taken }),
                    Err(why) => {
                        tracing::info!("the slots of the move {id:016x} are not left: {why}");
                        taken.notify_one();
                    }
                }
                // Fails if the caller has given up; it will ask again.
                let _ = done.send(left);
            }
            Asked::Taken { id } => {
                mover.see_map().await;
                if let Some(one) = holding.take_if(|one| one.id == id) {
                    one.taken.notify_one();
                }
            }
        }
    }
}

/// Holds clients back for a time, or until the result is notified: they cannot be told yet which group has the slots.
fn hold<E: Env>(mover: &Mover<E>) -> Arc<Notify> {
    let (taken, log) = (Arc::new(Notify::new()), Arc::clone(&mover.log));
    let (until, env) = (Arc::clone(&taken), mover.env.clone());
    let (began, counters) = (Instant::now(), Arc::clone(&mover.counters));
    log.hold(true);
    mover.env.spawn(async move {
        select! {
            biased;
            () = until.notified() => {}
            () = env.sleep(HOLD) => {}
        }
        log.hold(false);
        counters.moves.longest_hold.raise(began.elapsed().as_micros() as u64);
    });
    taken
}

/// Loses the slots of a move. Does nothing twice.
async fn leave<E: Env>(mover: &Mover<E>, id: u64, to: u32) -> Result<(), String> {
    let mut found = mover.find(id).await?;
    let slots = found.record.slots.clone();
    if (found.record.from, found.record.to) != (mover.group(), to) {
        return Err("it is a move of other groups".to_owned());
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
        MoveState::Leaving => {}
        MoveState::Moved | MoveState::Arriving | MoveState::Done => return Ok(()),
        state => return Err(format!("it is {state}")),
    }
    let time = if owned.overlaps(&slots) {
        let (entry, time) = mover.on_state(move |state| state.lose_slots(id, &slots)).await?;
        mover.safe(entry).await?;
        time
    } else {
        // The entry is in the log, and may not be committed yet: this group owned the slots when the move was leaving.
        mover.confirm(id).await?;
        mover.state.latest_time()
    };
    for _ in 0..ATTEMPTS {
        let next = found.record.next(MoveState::Moved, Actor::Source, "").map_err(text)?;
        if mover.change(&found, MoveRecord { time, ..next }).await.is_ok() {
            return Ok(());
        }
        // A primary of the target may have claimed the move meanwhile.
        found = mover.find(id).await?;
        if found.record.state != MoveState::Leaving {
            return Ok(());
        }
    }
    Err("its record changes all the time".to_owned())
}

/// Finishes moves from this group, as its primary, until the node stops.
pub(super) async fn tidy<E: Env>(mover: Mover<E>) {
    while !mover.env.is_stopped() {
        mover.env.sleep(LOOK).await;
        if !mover.is_primary() {
            continue;
        }
        let moves = match mover.moves().await {
            Ok(moves) => moves,
            Err(why) => {
                tracing::debug!("cannot read the moves: {why}");
                continue;
            }
        };
        for found in moves.into_iter().filter(|found| found.record.from == mover.group()) {
            let id = found.id;
            if let Err(why) = finish(&mover, found).await {
                tracing::debug!("the move {id:016x} is not finished yet: {why}");
            }
        }
    }
}

async fn finish<E: Env>(mover: &Mover<E>, found: Found) -> Result<(), String> {
    let (id, slots) = (found.id, found.record.slots.clone());
    match found.record.state {
        MoveState::Done => {
            mover.clear(&slots).await?;
            mover.delete(&found, Actor::Source).await
        }
        MoveState::Returned => {
            if mover.owned().contains_all(&slots) {
                mover.confirm(id).await?;
            } else {
                let got = mover.on_state(move |state| state.gain_slots(id, &slots, 0)).await?;
                mover.safe(got).await?;
            }
            mover.publish_slots().await?;
            let reason = "it was returned";
            let next = found.record.next(MoveState::Cancelled, Actor::Source, reason);
            let next = next.map_err(text)?;
            mover.change(&found, next).await.map(drop)
        }
        _ => Ok(()),
    }
}
