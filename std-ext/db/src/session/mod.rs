//! What a thread asks with.

mod look;
mod moment;
mod together;
mod walk;

use crate::ask::{Answer, Ask, Look, Refusal};
use crate::buffers::KEPT;
use crate::log::Lsn;
use crate::state::shard::Reader;
use crate::state::{Counters, State};
use hedgerow::left_right::Lookup;
use look::tell;
use moment::Moment;
use std::sync::Arc;

/// So many asks have what they will touch fetched at a time: more than a processor fetches at once, fewer than its
/// first cache has room for.
const AHEAD: usize = 32;
/// So few do not wait long enough for fetching to pay.
const FEW: usize = 3;
/// An entry of the log that has grown to so many bytes is not made longer.
const LONG_ENTRY: usize = 16 << 20;

/// What happened since a session began to answer.
#[derive(Clone, Copy, Default)]
struct Since {
    /// How often changes had been undone then.
    rollbacks: u64,
    /// Something was answered.
    answered: bool,
    /// Something was looked at without the lock of its shard.
    looked: bool,
    /// Changes were undone between two answers.
    parted: bool,
}

impl Since {
    /// Notes that something is answered, under the locks of the shards that it is about: nothing of them is undone
    /// meanwhile, and whether it is later, its entry says.
    fn answer_locked(&mut self, state: &State) {
        let rollbacks = state.rollbacks();
        if rollbacks != self.rollbacks {
            self.parted |= self.answered;
            self.rollbacks = rollbacks;
        }
        self.answered = true;
    }

    fn look(&mut self) {
        (self.looked, self.answered) = (true, true);
    }
}

/// A thread's way to the database. Made by [`Db::session`](crate::Db::session); belongs to one thread at a time.
pub struct Session {
    readers: Box<[Reader]>,
    /// By shard, the numbers of asks that wait for its lock; and which shards have some.
    queues: Box<[Vec<u32>]>,
    queued: Vec<u32>,
    /// Of the asks that are next: the shard, and what is known of the key.
    begun: Vec<(usize, Lookup)>,
    moment: Moment,
    /// The entry of the log that is being made.
    entry: Vec<u8>,
    since: Since,
    counters: Arc<Counters>,
    // Dropped last: readers are gone when the shards go.
    state: Arc<State>,
}

impl Session {
    pub(crate) fn new(state: Arc<State>) -> Self {
        let readers: Box<[Reader]> = state.shards.iter().map(|shard| shard.reader()).collect();
        let queues = readers.iter().map(|_| Vec::new()).collect();
        let (queued, begun, entry) = (Vec::new(), Vec::with_capacity(AHEAD), Vec::new());
        let counters = state.count();
        let moment = Moment::default();
        let since = Since::default();
        Self { readers, queues, queued, begun, moment, entry, since, counters, state }
    }

    /// Answers all asks, each once, by `answer(its number, ...)`: not in order where changes are among them.
    ///
    /// Those of one key take effect in order; a change and an ask for another key may change places, until the first is
    /// answered. Each linearizes where its shard's state is shown, or looked at.
    ///
    /// Returns the log's entry that must be safe ([`Log::commit`](crate::log::Log::commit)) before any of these answers
    /// may be shown to anybody: also of looks, which may have seen what is not safe yet.
    ///
    /// Looks are wait-free, but while [`Ask::Together`] is shown; changes lock their shards.
    pub fn run(&mut self, asks: &[Ask<'_>], answer: &mut impl FnMut(usize, Answer<'_>)) -> Lsn {
        let mut lsn = 0;
        // Of a run that an answer ended by a panic.
        self.queued.drain(..).for_each(|shard| self.queues[shard as usize].clear());
        // Before anything is looked at, and before this waits for what is being shown.
        self.since = Since { rollbacks: self.state.rollbacks(), ..Since::default() };
        let (now, mut hits, mut misses) = (self.now(), 0, 0);
        self.state.together.wait();
        // Asks before this one are answered already.
        let mut next = 0;
        for (first, part) in asks.chunks(AHEAD).enumerate().map(|(at, part)| (at * AHEAD, part)) {
            self.fetch(part);
            for (at, ask) in part.iter().enumerate() {
                let number = first + at;
                if number < next {
                    continue;
                }
                match ask {
                    Ask::LookAtOnce(_, _, several) => {
                        self.since.look();
                        lsn = lsn.max(self.change_queued(asks, answer));
                        let others = asks[number + 1..].iter().take(several.saturating_sub(1));
                        let others = others.take_while(|ask| matches!(ask, Ask::Look(..)));
                        next = number + 1 + others.count();
                        let found = self.look_at_once(number, &asks[number..next], now, answer);
                        lsn = lsn.max(found.lsn);
                        hits += found.hits;
                        misses += (next - number) as u64 - found.hits;
                    }
                    Ask::Look(key, look) => {
                        let begun @ (shard, _) = self.begun[at];
                        if !self.queues[shard].is_empty() {
                            self.queues[shard].push(number as u32);
                            continue;
                        }
                        self.since.look();
                        let answer = |found: Answer<'_>| answer(number, found);
                        let found = self.look(begun, key, *look, now, answer);
                        if found {
                            hits += 1;
                        } else {
                            misses += 1;
                        }
                        lsn = lsn.max(self.state.shards[shard].figures().shown());
                    }
                    Ask::Change(..) => {
                        let (shard, _) = self.begun[at];
                        if self.queues[shard].is_empty() {
                            self.queued.push(shard as u32);
                        }
                        self.queues[shard].push(number as u32);
                    }
                    Ask::Together(together) => {
                        lsn = lsn.max(self.change_queued(asks, answer));
                        let (made, found) = self.together(*together);
                        lsn = lsn.max(made);
                        answer(number, found);
                        self.state.together.wait();
                    }
                }
            }
        }
        Counters::add(&self.counters.hits, hits);
        Counters::add(&self.counters.misses, misses);
        let lsn = lsn.max(self.change_queued(asks, answer));
        // A session lives as long as its thread, so it would keep the longest entry there ever was.
        if self.entry.capacity() > KEPT {
            self.entry = Vec::new();
        }
        // [RB-1] What was looked at may have been undone since: it never becomes safe.
        let undone = self.since.looked && self.state.rollbacks() != self.since.rollbacks;
        if undone || self.since.parted { Lsn::MAX } else { lsn }
    }

    /// Has the processor fetch what these asks will touch, so that it waits for memory once, not for one after the
    /// other; notes the shard of each and what is known of its key.
    fn fetch(&mut self, asks: &[Ask<'_>]) {
        self.begun.clear();
        for ask in asks {
            let key = match ask {
                Ask::Look(key, _) | Ask::LookAtOnce(key, ..) | Ask::Change(key, _) => key,
                // Locks its shards anyway.
                Ask::Together(_) => &&[][..],
            };
            let shard = self.state.shard_of(key);
            self.begun.push((shard, self.readers[shard].enter().begin_lookup(*key)));
        }
        if asks.len() < FEW {
            return;
        }
        for (shard, lookup) in &self.begun {
            self.readers[*shard].enter().likely(*lookup, |record, ()| record.fetch());
        }
    }

    /// Answers a look; whether the key was there.
    #[inline]
    fn look(
        &self,
        (shard, lookup): (usize, Lookup),
        key: &[u8],
        look: Look,
        now: u64,
        answer: impl FnOnce(Answer<'_>),
    ) -> bool {
        let snapshot = self.readers[shard].enter();
        let there = snapshot.end_lookup(lookup, key).map(|(record, ())| *record);
        let alive = there.filter(|record| !record.has_ended(now));
        tell(alive, look, now, self.state.cold.as_deref(), answer);
        alive.is_some()
    }

    /// Makes the changes that wait, shard by shard.
    fn change_queued(
        &mut self,
        asks: &[Ask<'_>],
        answer: &mut impl FnMut(usize, Answer<'_>),
    ) -> Lsn {
        if self.queued.is_empty() {
            return 0;
        }
        let mut last = 0;
        let admitted = self.state.admits(|| asks.iter().map(Ask::adds).sum());
        while let Some(shard) = self.queued.pop() {
            let mut queue = std::mem::take(&mut self.queues[shard as usize]);
            last = last.max(self.change_shard(shard as usize, &queue, asks, admitted, answer));
            queue.clear();
            self.queues[shard as usize] = queue;
        }
        last
    }

    fn change_shard(
        &mut self,
        number: usize,
        queue: &[u32],
        asks: &[Ask<'_>],
        admitted: Result<bool, Refusal>,
        answer: &mut impl FnMut(usize, Answer<'_>),
    ) -> Lsn {
        let state = &self.state;
        let shard = &state.shards[number];
        self.entry.clear();
        let mut core = shard.lock();
        self.since.answer_locked(state);
        let time = core.at(state.clock.now());
        // Once changes were undone, no more are made until the log can be written.
        let mut admitted = admitted;
        if !state.log.writable() {
            admitted = Err(Refusal::Log);
        }
        // A refusal for the log's sake tells nothing of the state, and waits for nothing.
        let (mut made, mut told, mut hits, mut misses) = (0, admitted.is_ok(), 0, 0);
        for &number in queue {
            let number = number as usize;
            match (&asks[number], admitted) {
                (Ask::Look(key, look), _) => {
                    told = true;
                    let alive = core.find(key).filter(|record| !record.has_ended(time));
                    let cold = state.cold.as_deref();
                    if alive.is_some() {
                        hits += 1;
                    } else {
                        misses += 1;
                    }
                    tell(alive, *look, time, cold, |found| answer(number, found));
                }
                (Ask::Change(..), Err(refusal)) => answer(number, Answer::Refused(refusal)),
                (Ask::Change(key, change), Ok(full)) => {
                    let answer = &mut |made: Answer<'_>| answer(number, made);
                    let log = &mut self.entry;
                    crate::state::change(&mut core, (time, full), key, change, log, answer);
                }
                (Ask::LookAtOnce(..) | Ask::Together(_), _) => {
                    unreachable!("those are never queued")
                }
            }
            if self.entry.len() >= LONG_ENTRY {
                made = state.finish(shard, &mut core, time, &self.entry);
                self.entry.clear();
            }
        }
        let made = state.finish(shard, &mut core, time, &self.entry).max(made);
        Counters::add(&self.counters.hits, hits);
        Counters::add(&self.counters.misses, misses);
        // What was looked at may be of an entry before.
        if told { made.max(shard.figures().shown()) } else { made }
    }

    /// Milliseconds since 1970, by which keys end.
    pub fn now(&self) -> u64 {
        self.state.clock.now()
    }

    /// How many keys there are, with those that have ended and were not removed yet.
    pub fn len(&self) -> usize {
        self.state.together.wait();
        self.state.shards.iter().map(|shard| shard.figures().keys()).sum()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
