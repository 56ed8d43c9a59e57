//! Checks the answers to clients against the committed entries.
//!
//! An answer tells of some keys. Each must be as some committed entry left it, and no older than any answer that left
//! before the request was made. As all answers agree with one order of entries, the order of real time included, the
//! history is linearizable.

use super::clients::{Reply, Request};
use super::truth::Truth;
use crate::log::Lsn;
use std::collections::BTreeMap;

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
            if truth.value(&shown.key, shown.changed) != shown.value.as_deref() {
                return Err(format!("an answer shows what was never committed: {name}: {reply:?}"));
            }
        }
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
