//! Checks the answers to clients against the committed entries.
//!
//! An answer tells of some keys. Each must be as some committed entry left it, and no older than any answer that left
//! before the request was made. As all answers agree with one order of entries, the order of real time included, the
//! history is linearizable.

use super::super::truth::Truth;
use super::answer::{KeyAnswer, ShownKey};
use super::codec::Codec;
use super::request::KeyRequest;
use super::store::{KeyHistory, Store};
use crate::Lsn;
use std::collections::BTreeMap;

/// Returns whether a key in an answer is as an entry left it. With a time, keys that have expired by then are hidden.
fn agrees<C: Codec>(truth: &KeyHistory<C>, shown: &ShownKey, time: Option<u64>) -> bool {
    let record = truth.record(&shown.key, shown.changed);
    let alive = record.filter(|record| match (time, record.ends) {
        (Some(time), Some(end)) => end > time && !shown.gone,
        _ => true,
    });
    alive.map(|record| &record.value[..]) == shown.value.as_deref()
}

/// An answer that leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    pub(super) request: &'a KeyRequest,
    pub(super) answer: &'a KeyAnswer,
    /// The entry of the request's own changes, and these.
    pub(super) own: Option<&'a (Lsn, Vec<u8>)>,
}

/// Checks what a real program says of conditions and times to live.
fn check_conditions<C: Codec>(truth: &Truth<KeyHistory<C>>, reply: Told<'_>) -> Result<(), String> {
    let (Some(whole), [shown, ..]) = (reply.answer.evaluation, &reply.answer.shown[..]) else {
        return Ok(());
    };
    let (token, conditional) = match reply.request {
        KeyRequest::SetNew { token, .. } | KeyRequest::Lock { token, .. } => (token, true),
        KeyRequest::SetFor { token, .. } => (token, false),
        _ => return Ok(()),
    };
    let stored = shown.value.as_ref() == Some(token);
    if stored != whole.done || reply.own.is_some() != whole.done {
        return Err(format!("an answer says that a key was set, and it is not there: {reply:?}"));
    }
    if let (true, Some((lsn, _))) = (conditional, reply.own)
        && let Some(entry) = truth.entry(*lsn)
        && let Some(before) = truth.history().record(&shown.key, lsn - 1)
        && before.ends.is_none_or(|end| end > entry.time)
    {
        return Err(format!("a key that was there was set as a new one: {before:?}: {reply:?}"));
    }
    if conditional && !whole.done && shown.value.is_none() {
        return Err(format!("a key that was not there could not be set: {reply:?}"));
    }
    Ok(())
}

/// What the clients of [`Keys`](super::Keys) know.
#[derive(Clone, Debug, Default)]
pub struct KeyChecker {
    /// The latest change of each key that an answer has shown.
    shown: BTreeMap<Vec<u8>, Lsn>,
    /// Tokens that were appended to lists, and whether that was acknowledged.
    tokens: BTreeMap<Vec<u8>, (Vec<u8>, bool)>,
    counted: (u64, u64),
    answers: u64,
}

impl KeyChecker {
    /// A client makes a request. Returns the earliest entry that the answer may show of each key.
    pub(super) fn required(&self, request: &KeyRequest) -> Vec<Lsn> {
        let required = |key: &&[u8]| self.shown.get(*key).copied().unwrap_or(0);
        request.keys().iter().map(required).collect()
    }

    /// A node begins to carry out a request.
    pub(super) fn count_attempt(&mut self, request: &KeyRequest) {
        match request {
            KeyRequest::Append { key, token } => {
                self.tokens.insert(token.clone(), (key.clone(), false));
            }
            KeyRequest::Add { .. } => self.counted.0 += 1,
            _ => {}
        }
    }

    /// An answer leaves.
    pub(super) fn check<C: Codec>(
        &mut self,
        reply: Told<'_>,
        truth: &Truth<KeyHistory<C>>,
    ) -> Result<(), String> {
        for shown in &reply.answer.shown {
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
            if !agrees(truth.history(), shown, reply.answer.evaluation.map(|whole| whole.time)) {
                return Err(format!("an answer shows what was never committed: {name}: {reply:?}"));
            }
        }
        check_conditions(truth, reply)?;
        if let Some((lsn, changes)) = reply.own
            && truth.entry(*lsn).is_none_or(|entry| entry.changes != *changes)
        {
            return Err(format!("an acknowledged change is lost: entry {lsn}: {reply:?}"));
        }
        if let [a, b] = &reply.answer.shown[..]
            && a.value != b.value
        {
            return Err(format!("half of a pair is shown: {reply:?}"));
        }
        for shown in &reply.answer.shown {
            let last = self.shown.entry(shown.key.clone()).or_default();
            *last = shown.changed.max(*last);
        }
        match reply.request {
            KeyRequest::Append { token, .. } => {
                self.tokens
                    .entry(token.clone())
                    .and_modify(|(_, acknowledged)| *acknowledged = true);
            }
            KeyRequest::Add { .. } => self.counted.1 += 1,
            _ => {}
        }
        self.answers += 1;
        Ok(())
    }

    /// All clients have stopped.
    pub(super) fn check_end<C: Codec>(&self, store: &Store<C>) -> Result<(), String> {
        for (token, (key, acknowledged)) in &self.tokens {
            let list = store.stored(key).map_or(&[][..], |record| &record.value);
            let times = list.chunks(token.len()).filter(|part| part == token).count();
            if times > 1 || (*acknowledged && times == 0) {
                let token = String::from_utf8_lossy(token);
                return Err(format!(
                    "the token {token} is there {times} times; acknowledged: {acknowledged}"
                ));
            }
        }
        let count = store
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
