//! Looking at several shards as they are at one moment.
//!
//! Each shard's state is shown by itself, and each look sees one. So all shards that are looked at are entered, and
//! then it is seen whether any has been shown anew since before the first was: if not, all that was entered was the
//! newest at one moment. If so it is tried again, and after some times with the shards locked.
//!
//! # Synchronization
//! A shard's turn ([`Figures`](crate::state::shard::Figures)) is odd while a state is being shown.
//! - **[MO-1]** odd is stored, with a fence behind it, before a state is shown → whoever has entered that state, and
//!   then loads the turn behind a fence of its own, sees that it has changed.
//! - **[MO-2]** even is stored with release after it was shown → whoever loads that with acquire enters that state, or
//!   a later one.
//! - **[MO-3]** the fence between entering and loading turns again is sequentially consistent: of two who look, the one
//!   that passes it later sees all that the other saw. So all who look agree in which order shards were shown.

use super::Session;
use super::look::tell;
use crate::ask::{Answer, Ask};
use crate::buffers::emptied;
use crate::log::Lsn;
use crate::state::State;
use crate::state::record::Record;
use crate::state::shard::Entered;
use std::sync::atomic::{Ordering, fence};

/// So often it is tried without locks.
const TRIES: usize = 32;

/// What came of it.
#[derive(Default)]
pub(super) struct Found {
    pub(super) lsn: Lsn,
    pub(super) hits: u64,
}

/// Buffers, which are used again.
#[derive(Default)]
pub(super) struct Moment {
    /// The shards, in order.
    shards: Vec<usize>,
    turns: Vec<u64>,
    /// Memory for what is entered, by a name under which it may go to another thread.
    room: Vec<Room>,
}

/// As large as what is entered.
type Room = [usize; size_of::<Entered<'static>>() / size_of::<usize>()];

impl Session {
    /// Answers looks, of which the first has this number, as of one moment.
    pub(super) fn look_at_once(
        &mut self,
        first: usize,
        asks: &[Ask<'_>],
        now: u64,
        answer: &mut impl FnMut(usize, Answer<'_>),
    ) -> Found {
        let Moment { mut shards, mut turns, room } = std::mem::take(&mut self.moment);
        let mut entered = emptied(room);
        let state = &*self.state;
        let keys = asks.iter().filter_map(|ask| Some(ask.look()?.0));
        shards.clear();
        shards.extend(keys.map(|key| state.shard_of(key)));
        shards.sort_unstable();
        shards.dedup();
        let mut found = Found::default();
        if (0..TRIES).any(|_| self.enter_all(&shards, &mut turns, &mut entered)) {
            let find =
                |at: usize, key: &[u8]| entered[at].get_key_value(key).map(|(there, ())| *there);
            found.hits = look_all(state, &shards, (first, asks), now, find, answer);
        } else {
            // A writer waits for readers that look, and holds a lock that this thread waits for.
            entered.clear();
            let mut cores = state.lock_all(shards.clone());
            let now = state.clock.now();
            let time = cores.iter_mut().map(|(_, core)| core.at(now)).max().unwrap_or(now);
            let find = |at: usize, key: &[u8]| cores[at].1.find(key);
            found.hits = look_all(state, &shards, (first, asks), time, find, answer);
        }
        let shown = shards.iter().map(|shard| state.shards[*shard].figures().shown());
        found.lsn = shown.max().unwrap_or(0);
        let room = emptied(entered);
        // As many as there are keys, until those of one shard are one.
        let shards = emptied(shards);
        self.moment = Moment { shards, turns, room };
        found
    }

    /// Enters the states of these shards; whether they are those of one moment, which they are not if one was shown
    /// meanwhile.
    fn enter_all<'s>(
        &'s self,
        shards: &[usize],
        turns: &mut Vec<u64>,
        entered: &mut Vec<Entered<'s>>,
    ) -> bool {
        let figures = |shard: &usize| self.state.shards[*shard].figures();
        turns.clear();
        entered.clear();
        for shard in shards {
            let Some(turn) = figures(shard).turn() else {
                std::hint::spin_loop();
                return false;
            };
            turns.push(turn);
        }
        entered.extend(shards.iter().map(|shard| self.readers[*shard].enter()));
        // [MO-3] SeqCst: everybody who looks passes such a fence here.
        fence(Ordering::SeqCst);
        shards.iter().zip(turns).all(|(shard, turn)| figures(shard).is_still(*turn))
    }
}

/// Answers all looks by what `find` finds in a shard that is told by its place in `shards`; how many found something.
fn look_all(
    state: &State,
    shards: &[usize],
    (first, asks): (usize, &[Ask<'_>]),
    time: u64,
    find: impl Fn(usize, &[u8]) -> Option<Record>,
    answer: &mut impl FnMut(usize, Answer<'_>),
) -> u64 {
    let mut hits = 0;
    for (at, ask) in asks.iter().enumerate() {
        let Some((key, look)) = ask.look() else { continue };
        let place = shards.binary_search(&state.shard_of(key)).expect("each key's shard is there");
        let alive = find(place, key).filter(|record| !record.has_ended(time));
        hits += u64::from(alive.is_some());
        tell(alive, look, time, state.cold.as_deref(), |told| answer(first + at, told));
    }
    hits
}
