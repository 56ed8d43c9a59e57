//! What a thread asks with.

use crate::ask::{
    Answer, Ask, Change, LONGEST_KEY, LONGEST_VALUE, Life, Look, Refusal, Together, When,
};
use crate::log::{Lsn, change};
use crate::moment::Moment;
use crate::state::evict::Random;
use crate::state::record::{Record, UsedAt};
use crate::state::shard::{self, Core, Reader};
use crate::state::{Cores, Counters, State};
use hedgerow::left_right::Lookup;
use std::sync::Arc;

/// So many asks have what they will touch fetched at a time: more than a processor fetches at once, fewer than its
/// first cache has room for.
const AHEAD: usize = 32;
/// So few do not wait long enough for fetching to pay.
const FEW: usize = 3;
/// An entry of the log that has grown to so many bytes is not made longer.
const LONG_ENTRY: usize = 16 << 20;
/// Bytes of keys and values that are stored together, at most: an entry of the log holds all of them.
const MOST_TOGETHER: usize = 2 << 30;
/// Bits of a place in a walk: few enough for clients that have numbers with 53 bits.
const PLACE: u32 = 53;

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
        Self { readers, queues, queued, begun, moment, entry, counters, state }
    }

    pub(crate) fn moment(&mut self) -> &mut Moment {
        &mut self.moment
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn reader(&self, shard: usize) -> &Reader {
        &self.readers[shard]
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
        lsn.max(self.change_queued(asks, answer))
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
        let admitted = self.state.admits();
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
        let time = core.at(state.clock.now());
        // A refusal for the log's sake tells nothing of the state, and waits for nothing.
        let (mut made, mut told) = (0, admitted.is_ok());
        for &number in queue {
            let number = number as usize;
            match (&asks[number], admitted) {
                (Ask::Look(key, look), _) => {
                    told = true;
                    let alive = core.find(key).filter(|record| !record.has_ended(time));
                    let cold = state.cold.as_deref();
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
        // What was looked at may be of an entry before.
        if told { made.max(shard.figures().shown()) } else { made }
    }

    fn together(&mut self, together: Together<'_>) -> (Lsn, Answer<'static>) {
        let full = match self.state.admits() {
            Err(refusal) => return (0, Answer::Refused(refusal)),
            Ok(full) => full,
        };
        let state = Arc::clone(&self.state);
        let shard = |key: &&[u8]| state.shard_of(key);
        let (grows, shards) = match together {
            Together::SetAll(pairs) | Together::SetAllAbsent(pairs) => {
                if let Err(refusal) = measured(pairs) {
                    return (0, Answer::Refused(refusal));
                }
                (true, pairs.iter().map(|(key, _)| shard(key)).collect())
            }
            Together::DeleteAll(keys) => (false, keys.iter().map(shard).collect()),
            Together::Rename { from, to, .. } => (true, vec![shard(&from), shard(&to)]),
            Together::Clear => (false, (0..state.shards.len()).collect()),
        };
        if grows && full {
            return (0, Answer::Refused(Refusal::Memory));
        }
        let mut cores = state.lock_all(shards);
        let now = state.clock.now();
        let time = cores.iter_mut().map(|(_, core)| core.at(now)).max().unwrap_or(now);
        for (_, core) in &mut cores {
            core.at(time);
        }
        self.entry.clear();
        let mut deeds = Deeds { state: &state, cores: &mut cores, time, entry: &mut self.entry };
        let answer = match together {
            Together::SetAll(pairs) => deeds.set_all(pairs),
            Together::SetAllAbsent(pairs) => {
                let absent = !pairs.iter().any(|(key, _)| deeds.alive(key).is_some());
                if absent {
                    deeds.set_all(pairs);
                }
                Answer::Int(absent.into())
            }
            Together::DeleteAll(keys) => {
                Answer::count(keys.iter().filter(|key| deeds.delete(key)).count())
            }
            Together::Rename { from, to, absent } => deeds.rename(from, to, absent),
            Together::Clear => deeds.clear(),
        };
        let lsn = state.finish_all(&mut cores, time, &self.entry);
        let shown = cores.iter().map(|(number, _)| state.shards[*number].figures().shown()).max();
        (lsn.max(shown.unwrap_or(0)), answer)
    }

    /// Milliseconds since 1970, by which keys end.
    pub fn now(&self) -> u64 {
        self.state.clock.now()
    }

    /// How many keys there are, with those that have ended and were not removed yet.
    pub fn len(&self) -> usize {
        self.state.shards.iter().map(|shard| shard.figures().keys()).sum()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Visits some keys, about `count`, from a place on; the place to go on from, 0 where all were visited.
    ///
    /// A key that is there all the time is visited, maybe more than once. Begin with 0. Wait-free.
    pub fn scan(&mut self, from: u64, count: usize, each: &mut dyn FnMut(&[u8])) -> u64 {
        let shards = self.readers.len();
        let within = PLACE - shards.ilog2();
        let (mut shard, low) = ((from >> within) as usize, from & ((1 << within) - 1));
        if shard >= shards {
            return 0;
        }
        let (mut at, now, mut visited) = (low << (64 - within), self.now(), 0);
        loop {
            let next = self.readers[shard].enter().scan(at, |record, ()| {
                visited += 1;
                if !record.has_ended(now) {
                    each(record.key());
                }
            });
            let Some(next) = next else {
                (shard, at) = (shard + 1, 0);
                if shard == shards {
                    return 0;
                }
                if visited >= count {
                    return (shard as u64) << within;
                }
                continue;
            };
            // A place is told by its upper bits: only where that is not before where it began is it any progress.
            let told = next >> (64 - within);
            if visited >= count && told > low_of(from, within, shard) {
                return (shard as u64) << within | told;
            }
            at = next;
        }
    }

    /// Any key, if there is one.
    pub fn random_key(&mut self) -> Option<Vec<u8>> {
        let mut random = Random::new();
        let shards = self.readers.len();
        let (first, now) = (random.next() as usize % shards, self.now());
        for shard in (0..shards).map(|step| (first + step) % shards) {
            if self.state.shards[shard].figures().keys() == 0 {
                continue;
            }
            // From any place on, and then from the beginning.
            for start in [random.next(), 0] {
                let (mut at, mut found) = (Some(start), Vec::new());
                while let (Some(from), true) = (at, found.is_empty()) {
                    at = self.readers[shard].enter().scan(from, |record, ()| {
                        if !record.has_ended(now) {
                            found.push(record.key().to_vec());
                        }
                    });
                }
                if !found.is_empty() {
                    return Some(found.swap_remove(random.next() as usize % found.len()));
                }
            }
        }
        None
    }
}

/// The place within its shard at which a walk was begun, if it was begun in this one.
fn low_of(from: u64, within: u32, shard: usize) -> u64 {
    if (from >> within) as usize == shard { from & ((1 << within) - 1) } else { 0 }
}

fn measured(pairs: &[(&[u8], &[u8])]) -> Result<(), Refusal> {
    let mut all = 0_usize;
    for (key, value) in pairs {
        all = all.saturating_add(key.len()).saturating_add(value.len());
        if all > MOST_TOGETHER {
            return Err(Refusal::ValueTooLong);
        }
        if key.len() > LONGEST_KEY {
            return Err(Refusal::KeyTooLong);
        }
        if value.len() > LONGEST_VALUE {
            return Err(Refusal::ValueTooLong);
        }
    }
    Ok(())
}

/// Answers a look at what was found.
#[inline]
pub(crate) fn tell(
    alive: Option<Record>,
    look: Look,
    now: u64,
    cold: Option<&crate::state::cold::Cold>,
    answer: impl FnOnce(Answer<'_>),
) {
    let Some(record) = alive else {
        return answer(match look {
            Look::Exists | Look::Length => Answer::Int(0),
            Look::Part(..) => Answer::Bytes(b""),
            Look::Value | Look::Life | Look::Memory | Look::Idle => Answer::Nothing,
        });
    };
    let used = UsedAt::of(now);
    match look {
        Look::Idle => return answer(Answer::count((used.since(record.used()) / 1000) as usize)),
        Look::Memory => return answer(Answer::count(record.memory() + 20)),
        Look::Life => return answer(Answer::Lives(record.ends())),
        Look::Value | Look::Exists | Look::Length | Look::Part(..) => record.touch(used),
    }
    match look {
        Look::Value => shard::read(record, cold, |value| answer(Answer::Bytes(value))),
        Look::Part(from, to) => {
            shard::read(record, cold, |value| answer(Answer::Bytes(part(value, from, to))));
        }
        Look::Length => answer(Answer::count(record.value().length())),
        Look::Exists | Look::Idle | Look::Memory | Look::Life => answer(Answer::Int(1)),
    }
}

/// The bytes from one place to another, both included, counted from the end where they are negative.
fn part(value: &[u8], from: i64, to: i64) -> &[u8] {
    let length = value.len().cast_signed() as i64;
    if from < 0 && to < 0 && from > to {
        return b"";
    }
    let place = |at: i64| if at < 0 { (length + at).max(0) } else { at };
    let (from, to) = (place(from), place(to).min(length - 1));
    let at = |place: i64| place.cast_unsigned() as usize;
    if from > to { b"" } else { &value[at(from)..=at(to)] }
}

/// Changes of keys of several shards, all of them locked.
struct Deeds<'a, 'c> {
    state: &'a State,
    cores: &'a mut Cores<'c>,
    time: u64,
    entry: &'a mut Vec<u8>,
}

impl Deeds<'_, '_> {
    fn core(&mut self, key: &[u8]) -> &mut Core {
        let shard = self.state.shard_of(key);
        let place = self.cores.binary_search_by_key(&shard, |(number, _)| *number);
        &mut self.cores[place.expect("all that are asked for were locked")].1
    }

    fn alive(&mut self, key: &[u8]) -> Option<Record> {
        let time = self.time;
        self.core(key).find(key).filter(|record| !record.has_ended(time))
    }

    fn make(&mut self, key: &[u8], change: &Change<'_>, answer: &mut dyn FnMut(Answer<'_>)) {
        let (time, mut entry) = (self.time, std::mem::take(self.entry));
        crate::state::change(self.core(key), (time, false), key, change, &mut entry, answer);
        *self.entry = entry;
    }

    fn set(&mut self, key: &[u8], value: &[u8], life: Life) {
        let change = Change::Set { value, when: When::Always, life, get: false };
        self.make(key, &change, &mut |_| {});
    }

    fn set_all(&mut self, pairs: &[(&[u8], &[u8])]) -> Answer<'static> {
        for (key, value) in pairs {
            self.set(key, value, Life::Ever);
        }
        Answer::Done
    }

    fn delete(&mut self, key: &[u8]) -> bool {
        let mut deleted = false;
        self.make(key, &Change::Delete, &mut |made| deleted = made == Answer::Int(1));
        deleted
    }

    fn rename(&mut self, from: &[u8], to: &[u8], absent: bool) -> Answer<'static> {
        if to.len() > LONGEST_KEY {
            return Answer::Refused(Refusal::KeyTooLong);
        }
        let Some(record) = self.alive(from) else { return Answer::Refused(Refusal::NoSuchKey) };
        if absent && self.alive(to).is_some() {
            return Answer::Int(0);
        }
        if from != to {
            let value = self.core(from).read(record, <[u8]>::to_vec);
            let life = record.ends().map_or(Life::Ever, Life::Until);
            self.set(to, &value, life);
            self.delete(from);
        }
        if absent { Answer::Int(1) } else { Answer::Done }
    }

    fn clear(&mut self) -> Answer<'static> {
        for (number, core) in self.cores.iter_mut() {
            if core.len() != 0 {
                core.clear();
                change::clear(self.state.deal.slots(*number), self.entry);
            }
        }
        Answer::Done
    }
}
