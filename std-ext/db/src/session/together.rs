//! Changes of keys of several shards, which everybody sees at once.

use super::Session;
use crate::ask::{Answer, Ask, Change, LONGEST_KEY, LONGEST_VALUE, Life, Refusal, Together, When};
use crate::limits::MOST_TOGETHER;
use crate::log::{Lsn, change};
use crate::state::record::Record;
use crate::state::shard::{self, Core};
use crate::state::{Cores, State};
use std::sync::Arc;

impl Session {
    /// Makes them; the entry that must be safe before the answer is shown.
    pub(super) fn together(&mut self, together: Together<'_>) -> (Lsn, Answer<'static>) {
        let full = match self.state.admits(|| Ask::Together(together).adds()) {
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
        if !state.log.writable() {
            return (0, Answer::Refused(Refusal::Log));
        }
        self.since.answer_locked(&state);
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
            let there = self.core(to).find(to);
            self.core(to).put_moved(there, to, record, record.ends());
            // A snapshot may have one of the keys as it was before, and the other as it is now.
            if self.state.is_snapshotting() {
                let life = record.ends().map_or(Life::Ever, Life::Until);
                let (cold, entry) = (self.state.cold.as_deref(), &mut *self.entry);
                shard::read(record, cold, |value| change::set(to, value, life, entry));
                change::delete(from, self.entry);
            } else {
                change::rename(from, to, self.entry);
            }
            self.core(from).remove_moved(record);
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
