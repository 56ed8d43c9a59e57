//! Checks the answers to clients against the committed entries.
//!
//! An answer tells of some keys. Each must be as some committed entry left it, and no older than any answer that left
//! before the request was made. As all answers agree with one order of entries, the order of real time included, the
//! history is linearizable.

use super::clients::{Reply, Request, ShownKey};
use super::truth::Truth;
use crate::log::Lsn;
use std::collections::BTreeMap;

/// Returns whether a key in an answer is as an entry left it. With a time, keys that have expired by then are hidden.
fn agrees(truth: &Truth, shown: &ShownKey, time: Option<u64>) -> bool {
    let record = truth.record(&shown.key, shown.changed);
    let alive = record.filter(|record| match (time, record.ends) {
        (Some(time), Some(end)) => end > time && !shown.gone,
        _ => true,
    });
    alive.map(|record| &record.value[..]) == shown.value.as_deref()
}

/// Checks what the real state says of conditions and times to live.
fn check_conditions(truth: &Truth, reply: &Reply) -> Result<(), String> {
    let (Some(whole), [shown, ..]) = (reply.whole, &reply.shown[..]) else { return Ok(()) };
    let (token, conditional) = match &reply.request {
        Request::SetNew { token, .. } | Request::Lock { token, .. } => (token, true),
        Request::SetFor { token, .. } => (token, false),
        _ => return Ok(()),
    };
    let stored = shown.value.as_ref() == Some(token);
    if stored != whole.done || reply.own.is_some() != whole.done {
        return Err(format!("an answer says that a key was set, and it is not there: {reply:?}"));
    }
    if let (true, Some((lsn, _))) = (conditional, &reply.own)
        && let Some(entry) = truth.entry(*lsn)
        && let Some(before) = truth.record(&shown.key, lsn - 1)
        && before.ends.is_none_or(|end| end > entry.time)
    {
        return Err(format!("a key that was there was set as a new one: {before:?}: {reply:?}"));
    }
    if conditional && !whole.done && shown.value.is_none() {
        return Err(format!("a key that was not there could not be set: {reply:?}"));
    }
    Ok(())
}

#[derive(Clone, Debug, Default)]
pub(super) struct Checker {
    /// The latest change of each key that an answer has shown.
    shown: BTreeMap<Vec<u8>, Lsn>,
    /// Tokens that were appended to lists, and whether that was acknowledged.
    tokens: BTreeMap<Vec<u8>, (Vec<u8>, bool)>,
    counted: (u64, u64),
    pub(super) answers: u64,
}

impl Checker {
    /// A client makes a request. Returns the earliest entry that the answer may show of a key.
    pub(super) fn required(&self, key: &[u8]) -> Lsn {
        self.shown.get(key).copied().unwrap_or(0)
    }

    /// A node begins to carry out a request.
    pub(super) fn attempt(&mut self, request: &Request) {
        match request {
            Request::Append { key, token } => {
                self.tokens.insert(token.clone(), (key.clone(), false));
            }
            Request::Add { .. } => self.counted.0 += 1,
            _ => {}
        }
    }

    /// A reply leaves a primary.
    pub(super) fn answer(&mut self, truth: &Truth, reply: &Reply) -> Result<(), String> {
        for shown in &reply.shown {
            let name = String::from_utf8_lossy(&shown.key).into_owned();
            if shown.changed > truth.last() {
                return Err(format!(
                    "an answer shows {name} of entry {}, but only {} are committed: {reply:?}",
                    shown.changed,
                    truth.last()
                ));
            }
            if shown.changed < shown.required {
                return Err(format!(
                    "an old read: {name} of entry {} after an answer showed {}: {reply:?}",
                    shown.changed, shown.required
                ));
            }
            if !agrees(truth, shown, reply.whole.map(|whole| whole.time)) {
                return Err(format!("an answer shows what was never committed: {name}: {reply:?}"));
            }
        }
        check_conditions(truth, reply)?;
        if let Some((lsn, changes)) = &reply.own
            && truth.entry(*lsn).is_none_or(|entry| entry.changes != *changes)
        {
            return Err(format!("an acknowledged change is lost: entry {lsn}: {reply:?}"));
        }
        if let [a, b] = &reply.shown[..]
            && a.value != b.value
        {
            return Err(format!("half of a pair is shown: {reply:?}"));
        }
        for shown in &reply.shown {
            let last = self.shown.entry(shown.key.clone()).or_default();
            *last = shown.changed.max(*last);
        }
        match &reply.request {
            Request::Append { token, .. } => {
                self.tokens
                    .entry(token.clone())
                    .and_modify(|(_, acknowledged)| *acknowledged = true);
            }
            Request::Add { .. } => self.counted.1 += 1,
            _ => {}
        }
        self.answers += 1;
        Ok(())
    }

    /// All clients have stopped.
    pub(super) fn finish(&self, truth: &Truth) -> Result<(), String> {
        for (token, (key, acknowledged)) in &self.tokens {
            let list = truth.store.stored(key).map_or(&[][..], |record| &record.value);
            let times = list.chunks(token.len()).filter(|part| part == token).count();
            if times > 1 || (*acknowledged && times == 0) {
                let token = String::from_utf8_lossy(token);
                return Err(format!(
                    "the token {token} is there {times} times; acknowledged: {acknowledged}"
                ));
            }
        }
        let count = truth
            .store
            .stored(b"count")
            .map_or(0, |record| String::from_utf8_lossy(&record.value).parse::<u64>().unwrap_or(0));
        let (attempted, acknowledged) = self.counted;
        if count < acknowledged || count > attempted {
            return Err(format!(
                "counted {count}: {acknowledged} acknowledged, {attempted} attempted"
            ));
        }
        Ok(())
    }
}
