//! Making segments empty: the oldest hot one, or the cold one with the most dead bytes.
//!
//! One sweep at a time, a few records at a time, by whoever has the house: nobody else makes a segment ready to be
//! written anew, so to who has the house locations are names. A record that is linked is moved, or what lies below
//! it is linked in its stead; the others are passed over. A segment whose live bytes are then none is given back;
//! where there are some left, somebody is between appending and linking, or between unlinking and counting, and
//! it waits for another sweep.

use super::codec::{Choice, Work};
use super::expiry::RemovalCause;
use super::learn::Learning;
use super::pool::DEAD;
use super::read::Resolved;
use super::record::{Head, Location, RAW};
use super::segment::{Scratch, Segment, Use};
use super::store::{Open, Store, Trace};
use super::types::Policy;
use super::verify::Check;
use crate::api::hash::KeyHash;
use crate::bins::layout::Layout;
use crate::facade::atomic::Ordering;
use crate::memory::AllocError;
use crate::sync::backoff::Backoff;
use crate::sync::words::Indirect;
use crate::table::write::Change;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

/// Work that a step does at a time, so that others may come in between.
const SLICE: usize = 1024;
/// What looking for expired entries in a bin counts for.
const EXPIRING: usize = 256;
/// What having the index grow counts for.
const BINS: usize = 4096;
/// Entries that the index has bins for ahead, where it has four times as many.
const BORN: usize = 1024;
/// With fewer entries it is little work to make bins when they are needed.
const LITTLE: usize = 256;
/// How long writers have to come in.
const WAY: usize = 32;
/// What choosing a segment counts for.
const CHOICE: usize = 64;
/// What a record counts for that is passed over,
const RECORD: usize = 8;
/// and such a part of its bytes where they are not compressed, but copied at most.
const COPIED: usize = 8;

/// A cold segment is compacted before anything else where such a part of it is dead; where [`DEAD`] is, if there is
/// nothing to compress;
const MANY: usize = 4;
/// and where a sweep has no room for what it compresses, with so little.
const FEW: usize = 32;

type Bins = Layout<Indirect, ()>;

/// What came of sweeping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Swept {
    /// Some was done.
    Some,
    /// Somebody else is at it.
    Busy,
    /// Codecs learn first.
    Later,
    /// There is nothing that would make room.
    Nothing,
}

/// What is done to the records of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Aim {
    /// Those that were read stay hot, others become cold.
    Cool,
    Compact,
    /// Those that were not read go.
    Evict,
}

#[derive(Clone, Copy)]
struct Sweep {
    number: usize,
    aim: Aim,
    at: usize,
    end: usize,
}

/// What one at a time may do, and with what.
pub(super) struct House {
    sweep: Option<Sweep>,
    /// Where the next cold segment is looked for that entries are evicted from.
    hand: usize,
    /// A record, as it is copied.
    words: Vec<MaybeUninit<usize>>,
    plain: Vec<u8>,
    /// Where checking sums is.
    pub(super) check: Check,
    pub(super) desk: Desk,
}

/// What compresses, and where that goes.
pub(super) struct Desk {
    cold: Option<Open>,
    out: Vec<u8>,
    spare: Vec<u8>,
    /// Made with the first room for a record.
    work: Option<Work>,
    /// The models that are compressed by now, one a codec at most.
    pub(super) current: Vec<usize>,
    /// Which of them have been of use lately.
    pub(super) choice: Choice,
    pub(super) learning: Learning,
    /// What was done so far, in bytes that were compressed.
    worked: usize,
    /// Whether who sweeps allocates nothing.
    frugal: bool,
}

impl Desk {
    fn has_done(&mut self, work: usize) {
        self.worked = self.worked.wrapping_add(work);
    }

    fn room(&self, spared: usize) -> Room {
        Room { spared, frugal: self.frugal }
    }
}

/// Which segments a sweep may take.
#[derive(Clone, Copy)]
struct Room {
    /// So many of those that hold nothing are left.
    spared: usize,
    /// None that would have to be made.
    frugal: bool,
}

impl House {
    pub(super) fn new() -> Self {
        let desk = Desk {
            cold: None,
            out: Vec::new(),
            spare: Vec::new(),
            work: None,
            current: Vec::new(),
            choice: Choice::new(),
            learning: Learning::new(),
            worked: 0,
            frugal: false,
        };
        Self {
            sweep: None,
            hand: 0,
            words: Vec::new(),
            plain: Vec::new(),
            check: Check::default(),
            desk,
        }
    }

    /// Bytes of memory that is worked in.
    pub(super) fn bytes(&self) -> usize {
        let Desk { work, current, .. } = &self.desk;
        self.bytes_for_records()
            + work.as_ref().map_or(0, Work::bytes)
            + current.capacity() * size_of::<usize>()
    }

    /// Those of them that grow with the longest record.
    fn bytes_for_records(&self) -> usize {
        self.words.capacity() * size_of::<usize>()
            + self.plain.capacity()
            + self.desk.out.capacity()
            + self.desk.spare.capacity()
    }

    /// Bytes that there would be with room for records of `longest` bytes.
    pub(super) fn bytes_for(&self, longest: usize) -> usize {
        let others = self.bytes() - self.bytes_for_records();
        others + Scratch::words_for(longest) * size_of::<usize>() + 3 * longest
    }

    /// Makes room for records of `longest` bytes, and with `work` for compressors.
    pub(super) fn make_room(
        &mut self,
        longest: usize,
        work: impl FnOnce() -> Option<Work>,
    ) -> Result<(), AllocError> {
        self.desk.work = self.desk.work.take().or_else(work);
        let words = Scratch::words_for(longest);
        let (mut fresh, mut bytes) = (Vec::new(), [const { Vec::<u8>::new() }; 3]);
        fresh.try_reserve_exact(words).map_err(|_| AllocError)?;
        for bytes in &mut bytes {
            bytes.try_reserve_exact(longest).map_err(|_| AllocError)?;
            bytes.resize(longest, 0);
        }
        fresh.resize(words, MaybeUninit::uninit());
        self.words = fresh;
        [self.plain, self.desk.out, self.desk.spare] = bytes;
        Ok(())
    }
}

/// The sweep cannot go on: there is nowhere to put a record.
struct Stuck;

impl Store {
    /// Does so much sweeping, if somebody else is not at it and there is something to be had.
    pub(super) fn sweep_some(&self, bytes: usize) -> Swept {
        if let Some(done) = self.learn_first() {
            return if done { Swept::Later } else { Swept::Busy };
        }
        let Some(mut house) = self.house.try_lock() else {
            // relaxed: a hint.
            self.wanted.store(true, Ordering::Relaxed);
            return Swept::Busy;
        };
        if self.has_enough(&house) {
            return Swept::Some;
        }
        self.sweep_in(&mut house, bytes, None)
    }

    /// Whether nothing is being swept, and nothing needs to be.
    fn has_enough(&self, house: &House) -> bool {
        house.sweep.is_none() && self.pool.free() > self.pool.reserve + 1 && self.lack() == 0
    }

    /// As `sweep_some`, but allocates nothing: what cannot be done without is left to others.
    pub(super) fn sweep_frugally(&self, bytes: usize) -> Swept {
        let Some(mut house) = self.house.try_lock() else { return Swept::Busy };
        if self.is_to_learn() {
            return Swept::Later;
        }
        if self.has_enough(&house) {
            return Swept::Some;
        }
        house.desk.frugal = true;
        self.sweep_on(&mut house, bytes, None)
    }

    /// As `sweep_some`, but by evicting; whether anything was done.
    pub(super) fn evict_some(&self, bytes: usize) -> bool {
        let Some(mut house) = self.house.try_lock() else { return true };
        self.sweep_in(&mut house, bytes, Some(Aim::Evict)) == Swept::Some
    }

    /// Sweeps ahead of writers, where they would soon have to, and has codecs learn; whether anything was done.
    pub(super) fn step(&self, bytes: usize) -> bool {
        self.driven();
        let expired = self.expire_some(bytes / EXPIRING) > 0;
        let (mut left, mut any) = (bytes, self.grow_some() || expired);
        if self.grow_index() {
            (left, any) = (left.saturating_sub(BINS), true);
        }
        if self.is_to_learn() && (self.room() < self.ahead() || self.has_samples()) {
            let done = left > 0 && self.learn_some(left);
            if done || !self.has_learned() {
                return any || done;
            }
        }
        while left > 0 || !any {
            let Some(mut house) = self.house.try_lock() else { return any };
            if house.sweep.is_none() && self.room() >= self.ahead() {
                return any;
            }
            let before = house.desk.worked;
            if self.sweep_in(&mut house, left.min(SLICE), None) != Swept::Some {
                return any;
            }
            left = left.saturating_sub(house.desk.worked.wrapping_sub(before));
            drop(house);
            self.give_way();
            any = true;
        }
        true
    }

    /// Lets a writer in who has no room and waits to make some.
    fn give_way(&self) {
        // relaxed: a hint.
        if self.wanted.load(Ordering::Relaxed) {
            // relaxed: as above.
            self.wanted.store(false, Ordering::Relaxed);
            let mut backoff = Backoff::spinning();
            for _ in 0..WAY {
                let _ = backoff.wait_long();
            }
        }
    }

    /// Has the index have bins for some more entries than there are, a few at a time; whether there were any to have.
    /// Where it does not live on segments it may only take what the next entries ask for.
    fn grow_index(&self) -> bool {
        let len = self.table.len();
        let wanted = Bins::bins_for(len + (len / 32).max(BORN.min(len / 4)));
        if len < LITTLE || !self.table.has_arena() || self.table.has(wanted) {
            return false;
        }
        let (rehash, mut backoff) =
            (|indirect: &Indirect| self.rehash(*indirect), Backoff::never());
        let _ = self.provide_index(len + BORN);
        self.table.grow_to(wanted, 1, &rehash, &mut backoff).is_ok()
    }

    /// Sweeps all that there is, and gives segments back that hold nothing.
    pub(super) fn shrink(&mut self) {
        // relaxed: `&mut self`.
        self.scarce.store(true, Ordering::Relaxed);
        self.seal_hot();
        let most = 4 * self.pool.made() * self.shape().bytes();
        let mut swept = 0;
        while swept < most && (self.pool.deadest(MANY).is_some() || self.pool.hot() > 0) {
            let mut house = self.house.lock();
            if self.sweep_in(&mut house, self.shape().bytes(), None) != Swept::Some {
                break;
            }
            swept += self.shape().bytes();
        }
        let mut house = self.house.lock();
        let unused = house.desk.cold.take_if(|open| open.at == self.shape().begin());
        if let Some(open) = unused {
            self.pool.give_back(open.number);
        }
        let kept = house.desk.current.clone();
        drop(house);
        self.models.drop_unused(&kept);
        self.pool.shrink();
        self.settle_models();
    }

    fn sweep_in(&self, house: &mut House, bytes: usize, aim: Option<Aim>) -> Swept {
        house.desk.frugal = false;
        self.sweep_on(house, bytes, aim)
    }

    fn sweep_on(&self, house: &mut House, bytes: usize, aim: Option<Aim>) -> Swept {
        if house.sweep.is_none() {
            house.sweep = match aim {
                Some(aim) => self.next_cold(house).map(|number| self.begin(number, aim)),
                None => self.choose(house),
            };
        }
        let begin = house.desk.worked;
        house.desk.has_done(CHOICE);
        loop {
            let Some(sweep) = house.sweep else { return Swept::Nothing };
            let Some(segment) = self.pool.segment(sweep.number) else { return Swept::Nothing };
            // With nothing live in it there is nothing to look at.
            if sweep.at >= sweep.end || segment.is_settled() {
                house.sweep = None;
                self.end(sweep, segment);
                return Swept::Some;
            }
            if house.desk.worked.wrapping_sub(begin) >= bytes.saturating_add(CHOICE) {
                return Swept::Some;
            }
            let Ok(size) = self.sweep_record(house, segment, sweep) else {
                house.sweep = Some(sweep);
                let frugal = house.desk.frugal;
                return if frugal { Swept::Busy } else { self.give_up(house, sweep, segment) };
            };
            house.desk.has_done(RECORD + size / COPIED);
        }
    }

    /// There is nowhere to put what is left in the segment, which waits for later; another one that holds less may
    /// be made empty first. Where none does, there is no room.
    #[cold]
    fn give_up(&self, house: &mut House, sweep: Sweep, segment: Segment<'_>) -> Swept {
        let next = if self.policy == Policy::Evict && sweep.aim != Aim::Evict {
            self.next_cold(house).map(|number| self.begin(number, Aim::Evict))
        } else {
            let dead = self.pool.deadest(FEW).and_then(|(number, _)| self.begin_cold(number));
            dead.or_else(|| self.emptiest(segment.live()))
        };
        let Some(next) = next else { return Swept::Nothing };
        self.pool.seal(sweep.number, sweep.end, sweep.aim == Aim::Cool);
        house.sweep = Some(next);
        Swept::Some
    }

    /// The sealed segment with the fewest live bytes, if they are fewer than so many.
    fn emptiest(&self, live: usize) -> Option<Sweep> {
        let sealed = |number| {
            let segment = self.pool.segment(number)?;
            let hot = segment.is(Use::Hot);
            (hot || segment.is(Use::Cold)).then(|| (segment.live(), number, hot))
        };
        let (least, number, hot) = (0..self.pool.numbers()).filter_map(sealed).min()?;
        let pool = &self.pool;
        let taken =
            least < live && if hot { pool.take_hot(number) } else { pool.take_cold(number) };
        taken.then(|| self.begin(number, if hot { Aim::Cool } else { Aim::Compact }))
    }

    fn begin(&self, number: usize, aim: Aim) -> Sweep {
        let end = self.pool.segment(number).map_or(0, |segment| segment.end());
        Sweep { number, aim, at: self.shape().begin(), end }
    }

    fn end(&self, sweep: Sweep, segment: Segment<'_>) {
        if segment.is_settled() {
            self.pool.give_back(sweep.number);
            self.note_room();
        } else {
            self.pool.seal(sweep.number, sweep.end, sweep.aim == Aim::Cool);
        }
    }

    /// What is best made empty.
    fn choose(&self, house: &mut House) -> Option<Sweep> {
        let dead = self.pool.has_dead().then(|| self.pool.deadest(DEAD)).flatten();
        let compact = |part| {
            let (number, _) = dead.filter(|&(_, dead)| self.pool.is_part(dead, part))?;
            self.begin_cold(number)
        };
        let cool = || self.pool.oldest_hot().map(|number| self.begin(number, Aim::Cool));
        let mut next = || self.next_cold(house).map(|number| self.begin(number, Aim::Evict));
        let evict = || if self.policy == Policy::Evict { next() } else { None };
        compact(MANY).or_else(cool).or_else(|| compact(DEAD)).or_else(evict)
    }

    /// Takes a cold segment to compact it, if it still is one.
    fn begin_cold(&self, number: usize) -> Option<Sweep> {
        self.pool.take_cold(number).then(|| self.begin(number, Aim::Compact))
    }

    /// Takes the next cold segment, in turn.
    fn next_cold(&self, house: &mut House) -> Option<usize> {
        let count = self.pool.numbers();
        for step in 0..count {
            let number = (house.hand + step) % count;
            if self.pool.take_cold(number) {
                house.hand = number + 1;
                return Some(number);
            }
        }
        None
    }

    /// Does what is to be done to the next record of a sweep; the bytes that it takes.
    fn sweep_record(
        &self,
        house: &mut House,
        segment: Segment<'_>,
        sweep: Sweep,
    ) -> Result<usize, Stuck> {
        let hot = sweep.aim == Aim::Cool;
        let at = self.shape().location(sweep.number, sweep.at, hot);
        let Some((_, start)) = self.place(at) else { return Err(Stuck) };
        let (head, len) = segment.head(start).ok_or(Stuck)?;
        let size = head.record(hot);
        // Before codecs are called: if a codec panics, its record is passed over and waits for another sweep.
        house.sweep = Some(Sweep { at: sweep.at + size, ..sweep });
        let hash = self.rehash(at.indirect());
        if !self.is_linked(hash, at) {
            return Ok(size);
        }
        let House { words, plain, desk, .. } = house;
        let mut scratch = Scratch::new(words);
        if !segment.copy(start + len, head.key + head.stored, &scratch) {
            return Err(Stuck);
        }
        let (key, stored) = scratch.bytes().split_at(head.key);
        let touched = segment.is_touched(sweep.at);
        // Who is to go is asked each time anew.
        let marked = touched && sweep.aim == Aim::Compact;
        let record = Moved { at, hash, head, key, stored, touched, marked };
        let expired = self.has_passed(head.deadline);
        if (expired || sweep.aim == Aim::Evict) && desk.frugal && self.tells() {
            return Err(Stuck);
        }
        if expired {
            let leads = |top: Location| self.leads_to(top, at);
            self.discard(hash, key, leads, RemovalCause::Expired);
            return Ok(size);
        }
        match sweep.aim {
            Aim::Cool if head.is_operand() && desk.frugal => return Err(Stuck),
            Aim::Cool if head.is_operand() => self.fold_away(desk, &record)?,
            Aim::Cool => self.cool(desk, &record)?,
            Aim::Evict if !touched && self.evict(&record) => {}
            Aim::Evict => {
                // Without room it goes as well, if it may.
                let stays = self.compact(desk, plain, &record).is_ok() || self.evict(&record);
                stays.then_some(()).ok_or(Stuck)?;
            }
            Aim::Compact => self.compact(desk, plain, &record)?,
        }
        Ok(size)
    }

    /// Whether an entry leads to this very record, directly or by what lies on it.
    fn is_linked(&self, hash: KeyHash, at: Location) -> bool {
        let leads = |indirect: &Indirect| self.leads_to(Location::from(*indirect), at);
        self.table.get(hash, leads, |_| MaybeUninit::new(())).is_some()
    }

    /// Links `to` where `from` is linked, and counts `from` down, if it is; else says false.
    fn relink(&self, hash: KeyHash, from: Location, to: Location) -> bool {
        let leads = |indirect: &Indirect| self.leads_to(Location::from(*indirect), from);
        let done = self.table.amend(hash, leads, |top| {
            let mut above = Location::from(top);
            if above == from {
                return Some(to.indirect());
            }
            while let Some(below) = self.below(above) {
                if below == from
                    && let Some(segment) = self.pool.segment(self.shape().segment(above))
                {
                    segment.set_below(self.shape().offset(above), to);
                    break;
                }
                above = below;
            }
            None
        });
        if done {
            self.drop_record(from);
        }
        done
    }

    /// Links the copy `to` where `from` is linked; one of the two is then nobody's.
    fn relocate(&self, hash: KeyHash, from: Location, to: Location) {
        if !self.relink(hash, from, to) {
            self.drop_record(to);
        }
    }

    /// A hot record of a value: once more hot, or what lies below it, or compressed.
    fn cool(&self, desk: &mut Desk, record: &Moved<'_>) -> Result<(), Stuck> {
        let &Moved { at, hash, head, key, stored, touched, .. } = record;
        let below = self.below(at);
        if touched
            && let Some(to) = self.append_hot(below.unwrap_or(Location::NONE), head, key, stored)
        {
            self.relocate(hash, at, to);
            return Ok(());
        }
        let Some(below) = below else {
            let to = self.append_compressed(desk, key, stored, head.deadline)?;
            self.relocate(hash, at, to);
            return Ok(());
        };
        // Only itself goes: what lies below is linked by that.
        self.relink(hash, at, below);
        Ok(())
    }

    /// An operand and all that is of its chain become one compressed record.
    fn fold_away(&self, desk: &mut Desk, record: &Moved<'_>) -> Result<(), Stuck> {
        let &Moved { at, hash, head, key, stored, .. } = record;
        for _ in 0..4 {
            let leads = |top: Location| self.leads_to(top, at);
            let Some(resolved) = self.resolve_any(hash, leads, key) else { return Ok(()) };
            if self.has_passed(resolved.deadline) {
                self.discard(hash, key, leads, RemovalCause::Expired);
                return Ok(());
            }
            let Resolved { top, value: Ok(value), deadline, .. } = resolved else { break };
            if !self.can_store(key, &value) {
                break;
            }
            let to = self.append_compressed(desk, key, &value, deadline)?;
            if self.swing_all(hash, top, to) {
                self.raw.add((key.len() + value.len()).cast_signed());
                return Ok(());
            }
            self.drop_record(to);
        }
        // Others are faster, or it cannot be folded: it stays what it is, elsewhere.
        let below = self.below(at).unwrap_or(Location::NONE);
        let to = self.append_hot(below, head, key, stored).ok_or(Stuck)?;
        self.relocate(hash, at, to);
        Ok(())
    }

    /// Whether what is worked in has room for a record of the value, and a segment has. A merge function makes
    /// values of any length.
    fn can_store(&self, key: &[u8], value: &[u8]) -> bool {
        // relaxed: it changes only under the lock of `house`.
        let longest = self.longest.load(Ordering::Relaxed).min(self.shape().most());
        value.len() <= longest && Head::raw(key.len(), value.len()).record(true) <= longest
    }

    /// Lets the entry that leads to `top` lead to `to`, and unlinks all that it led to.
    fn swing_all(&self, hash: KeyHash, top: Location, to: Location) -> bool {
        let mut trace = Trace::default();
        let same = |indirect: &Indirect| Location::from(*indirect) == top;
        let decide = |found: Option<&Indirect>| {
            if found.is_none() {
                return Change::Keep;
            }
            self.trace_into(top, &mut trace);
            Change::Entry(to.indirect(), ())
        };
        let rehash = |indirect: &Indirect| self.rehash(*indirect);
        let backoff = Backoff::spinning();
        let done = self.table.alter(hash, same, |entry| entry.key(), rehash, backoff, decide);
        let swung = matches!(done, Ok((_, Change::Entry(..))));
        if swung {
            self.unlinked(&trace);
        }
        swung
    }

    /// A cold record that was not read goes, unless something lies on it.
    fn evict(&self, record: &Moved<'_>) -> bool {
        let at = record.at;
        self.discard(record.hash, record.key, |top| top == at, RemovalCause::Evicted)
    }

    /// A cold record is copied, or compressed anew where it was by a model that is used no more.
    fn compact(&self, desk: &mut Desk, plain: &mut [u8], record: &Moved<'_>) -> Result<(), Stuck> {
        let &Moved { at, hash, head, key, stored, marked, .. } = record;
        let old = head.model().is_some_and(|model| !desk.current.contains(&model));
        let again = plain.get_mut(..head.plain).filter(|_| old).and_then(|plain| {
            self.models.expand(head, stored, plain).ok()?;
            let new = self.compress(desk, plain);
            let new = Head { key: head.key, deadline: head.deadline, ..new };
            // What took more than before could leave a sweep without room.
            (new.record(false) <= head.record(false)).then_some((new, plain))
        });
        let room = desk.room(0);
        let Desk { cold, out, .. } = desk;
        let (head, stored) = match again {
            Some((new, plain)) => (new, new.choose(plain, out)),
            None => (head, stored),
        };
        let to = self.append_cold(cold, room, head, key, stored)?;
        if marked && let Some(segment) = self.pool.segment(self.shape().segment(to)) {
            segment.touch(self.shape().offset(to));
        }
        self.relocate(hash, at, to);
        Ok(())
    }

    /// Compresses a value and appends it to the cold segments. Together those of a hot segment may take more than
    /// that, where operands were folded: the last segment is left to what makes room whatever becomes of it.
    fn append_compressed(
        &self,
        desk: &mut Desk,
        key: &[u8],
        plain: &[u8],
        deadline: u64,
    ) -> Result<Location, Stuck> {
        let head = Head { key: key.len(), deadline, ..self.compress(desk, plain) };
        let room = desk.room(self.pool.reserve - 1);
        let Desk { cold, out, .. } = desk;
        self.append_cold(cold, room, head, key, head.choose(plain, out))
    }

    /// Compresses a value: the head of its record, but for the key.
    fn compress(&self, desk: &mut Desk, plain: &[u8]) -> Head {
        desk.has_done(plain.len());
        let Desk { out, spare, work, current, choice, learning, .. } = desk;
        let (kind, len) = match work {
            Some(work) => self.models.compress(current, choice, plain, out, spare, work),
            None => (RAW, plain.len()),
        };
        if learning.note(plain.len(), len) && self.room_to_learn() > 0 {
            // relaxed: a hint.
            self.to_learn.store(true, Ordering::Relaxed);
        }
        Head { kind, key: 0, stored: len, plain: plain.len(), deadline: 0 }
    }

    fn append_cold(
        &self,
        cold: &mut Option<Open>,
        room: Room,
        head: Head,
        key: &[u8],
        stored: &[u8],
    ) -> Result<Location, Stuck> {
        let size = head.record(false);
        if let Some(open) = cold.take_if(|open| open.at + size > self.shape().end()) {
            self.pool.seal(open.number, open.at, false);
            self.note_sum(&open);
        }
        if cold.is_none() {
            let may_grow = || !room.frugal && (self.may_grow() || self.may_spill());
            let number = self.pool.take(room.spared, may_grow).ok_or(Stuck)?;
            self.note_room();
            *cold = Some(Open::new(number, self.shape()));
        }
        let open = cold.as_mut().ok_or(Stuck)?;
        let at = self.write(open, None, head, key, stored).ok_or(Stuck)?;
        self.models.count_up(head);
        Ok(at)
    }

    /// Seals the hot segment that is open.
    pub(super) fn seal_hot(&self) {
        let open = self.hot.lock().take();
        if let Some(open) = open {
            self.pool.seal(open.number, open.at, true);
        }
    }
}

/// A record that a sweep has met, copied.
struct Moved<'a> {
    at: Location,
    hash: KeyHash,
    head: Head,
    key: &'a [u8],
    stored: &'a [u8],
    touched: bool,
    /// Whether its copy counts as read.
    marked: bool,
}

#[cfg(all(test, not(hedgerow_shuttle)))]
impl Store {
    /// Compresses what is hot, one segment after the other.
    pub(super) fn sweep_hot(&self) {
        self.seal_hot();
        while self.pool.hot() > 0 {
            assert_ne!(self.sweep_some(1 << 10), Swept::Nothing);
        }
        let _ = self.sweep_some(0);
    }

    /// What the key's entry leads to.
    pub(super) fn top(&self, key: &[u8]) -> Option<Location> {
        let of_key = |indirect: &Indirect| self.is_of(Location::from(*indirect), key);
        self.table.get(self.hash(key), of_key, |entry| entry.key()).map(Location::from)
    }

    pub(super) fn seal_cold(&self) {
        if let Some(open) = self.house.lock().desk.cold.take() {
            self.pool.seal(open.number, open.at, false);
            self.note_sum(&open);
        }
    }

    /// Compacts the cold segments that there are.
    pub(super) fn sweep_cold(&self) {
        let mut house = self.house.lock();
        for number in 0..self.pool.numbers() {
            if self.pool.take_cold(number) {
                house.sweep = Some(self.begin(number, Aim::Compact));
                let _ = self.sweep_in(&mut house, 1 << 10, None);
            }
        }
    }
}
