//! Histories of a whole ordered map of a few keys, and the sequential map that explains them.

use super::history::{Event, Operation, Value};
use std::fmt;

/// The number of keys, small enough for a search to have all of them in its state.
pub(crate) const KEYS: usize = 20;

/// The value of each key.
pub(crate) type State = [Option<Value>; KEYS];

/// The position of an entry, as seen from a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Near {
    First,
    Last,
    PopFirst,
    PopLast,
    Floor,
    Ceiling,
    Lower,
    Upper,
}

impl Near {
    pub(crate) const ALL: [Self; 8] = [
        Self::First,
        Self::Last,
        Self::PopFirst,
        Self::PopLast,
        Self::Floor,
        Self::Ceiling,
        Self::Lower,
        Self::Upper,
    ];

    fn find(self, state: &State, key: usize) -> Option<(usize, Value)> {
        let mut present = (0..KEYS).filter_map(|key| Some((key, state[key]?)));
        match self {
            Self::First | Self::PopFirst => present.next(),
            Self::Last | Self::PopLast => present.next_back(),
            Self::Floor => present.take_while(|(other, _)| *other <= key).last(),
            Self::Ceiling => present.find(|(other, _)| *other >= key),
            Self::Lower => present.take_while(|(other, _)| *other < key).last(),
            Self::Upper => present.find(|(other, _)| *other > key),
        }
    }
}

/// Keys by their numbers; both ends of a range belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Get(usize),
    Insert(usize, Value),
    InsertIfAbsent(usize, Value),
    Remove(usize),
    /// `compute` that removes what is there, and inserts where nothing is.
    Toggle(usize, Value),
    /// From the first value to the second.
    CompareExchange(usize, Value, Value),
    Near(Near, usize),
    Range(usize, usize),
    RemoveRange(usize, usize),
    /// Inserts and removes keys atomically.
    Batch(Vec<(usize, Option<Value>)>),
    Snapshot(Vec<usize>),
    /// Changes keys from the first value to the second, if all of them have the first.
    Commit(Vec<(usize, Option<Value>, Option<Value>)>),
}

/// The entries that a call found or replaced, in order. A removed range returns only their number. A commit returns the
/// conflicting keys, each with its value, or 0 if it has none.
pub(crate) type Answer = Vec<Option<(usize, Value)>>;

pub(crate) type OrderedEvent = Event<Call, Answer>;

impl Operation for Call {
    type State = State;
    type Answer = Answer;

    fn apply(&self, state: &State) -> (State, Answer) {
        let mut next = *state;
        let there = |key: usize| state[key].map(|value| (key, value));
        let answer = match *self {
            Self::Get(key) => vec![there(key)],
            Self::Insert(key, value) => {
                next[key] = Some(value);
                vec![there(key)]
            }
            Self::InsertIfAbsent(key, value) => {
                next[key] = state[key].or(Some(value));
                vec![there(key)]
            }
            Self::Remove(key) => {
                next[key] = None;
                vec![there(key)]
            }
            Self::Toggle(key, value) => {
                next[key] = state[key].is_none().then_some(value);
                vec![there(key)]
            }
            Self::CompareExchange(key, from, to) => {
                if state[key] == Some(from) {
                    next[key] = Some(to);
                }
                vec![there(key)]
            }
            Self::Near(near, key) => {
                let found = near.find(state, key);
                if let (Near::PopFirst | Near::PopLast, Some((key, _))) = (near, found) {
                    next[key] = None;
                }
                vec![found]
            }
            Self::Range(from, to) => (from..=to).filter_map(there).map(Some).collect(),
            Self::RemoveRange(from, to) => {
                next[from..=to].fill(None);
                vec![Some((state[from..=to].iter().flatten().count(), 0))]
            }
            Self::Batch(ref changes) => changes
                .iter()
                .map(|&(key, value)| {
                    let before = next[key].map(|value| (key, value));
                    next[key] = value;
                    before
                })
                .collect(),
            Self::Snapshot(ref keys) => keys.iter().map(|&key| there(key)).collect(),
            Self::Commit(ref changes) => {
                let differs = |&&(key, from, _): &&(usize, _, _)| state[key] != from;
                let conflicts: Vec<_> = changes
                    .iter()
                    .filter(differs)
                    .map(|&(key, ..)| Some((key, state[key].unwrap_or(0))))
                    .collect();
                if conflicts.is_empty() {
                    for &(key, _, to) in changes {
                        next[key] = to;
                    }
                }
                conflicts
            }
        };
        (next, answer)
    }

    fn may_have_been_idle(&self) -> bool {
        false
    }
}

impl fmt::Display for OrderedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}] {:?} =", self.called, self.returned, self.call)?;
        for found in &self.answer {
            match found {
                Some((key, value)) => write!(f, " {key}:{value}")?,
                None => f.write_str(" -")?,
            }
        }
        Ok(())
    }
}
