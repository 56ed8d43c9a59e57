//! Moving slots from one group to another, while both serve.
//!
//! The key `move/<id>` in etcd has the [record] of a move. It changes by comparison of its value only, and says whether
//! the move can still turn back. The owner of the slots stands in the logs: `Out` in the source's, `Own` in the
//! target's.
//! The target's primary does nearly all of the work ([`target`]). The source's primary sends keys, and leaves the slots
//! when it is asked to ([`source`]). After a crash, the primary of the day goes on by the record. `model` searches all
//! runs of the protocol for a lost write; `simulation` runs this code, with data and crashes, by seed.
//!
//! ```text
//! copying -> ready -> leaving -> moved -> arriving -> done
//! cancelled: from copying and ready; returned: from moved
//! ```

pub(super) mod create;
mod env;
mod etcd;
#[cfg(test)]
mod model;
mod mover;
pub(super) mod record;
mod records;
#[cfg(test)]
mod simulation;
mod source;
mod target;

pub(super) use env::{NodeEnv, Primaries};
pub(super) use mover::Mover;
#[cfg(feature = "cli")]
pub(super) use records::read_slots;

use crate::peer::Asked;
use tokio::join;
use tokio::sync::mpsc::UnboundedReceiver;

/// Takes part in the moves of this node's group, until the node stops.
pub(super) async fn run<E: env::Env>(mover: Mover<E>, asked: UnboundedReceiver<Asked>) {
    join!(source::answer(mover.clone(), asked), source::tidy(mover.clone()), target::run(mover),);
}
