//! Histories: calls by several threads with their keys, times and answers.
//!
//! Threads stamp each call and each return from one shared counter, so one operation precedes
//! another in real time exactly if its return's stamp is below the other's call's.

use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

/// Values are unique within a history, so that a wrong one shows.
pub(crate) type Value = u64;

/// A value of two words, which differ from those of a dropped value.
#[derive(Clone, PartialEq)]
pub(crate) struct Boxed(Box<[Value; 2]>);

impl Boxed {
    pub(crate) fn of(value: Value) -> Self {
        Self(Box::new([value, !value]))
    }

    pub(crate) fn value(&self) -> Value {
        let [value, check] = *self.0;
        assert_eq!(check, !value, "torn, or freed");
        value
    }
}

impl Drop for Boxed {
    fn drop(&mut self) {
        *self.0 = [0xdead; 2];
    }
}

/// The decision of a `compute` closure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Keep,
    Insert,
    Remove,
    /// Removes a present value, inserts an absent one.
    Toggle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Get,
    /// `contains_key`, which answers with 0 for a value.
    Contains,
    Insert(Value),
    InsertIfAbsent(Value),
    Remove,
    Update(Value),
    Compute(Rule, Value),
    Clear,
    /// A `retain` whose closure last saw the first value and left the second; it may also have
    /// lost the race against a removal and changed nothing.
    Retain(Value, Option<Value>),
}

/// The answer of a call, in one form for all calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Answer {
    /// The value that the operation found: the one it returned, or the one its closure saw.
    pub(crate) before: Option<Value>,
    /// The value after `update` or `compute`; else `None`.
    pub(crate) after: Option<Value>,
}

impl Answer {
    pub(crate) fn found(before: Option<Value>) -> Self {
        Self { before, after: None }
    }
}

/// A call of a sequential map.
pub(crate) trait Operation {
    type State: Clone + Eq + Hash + fmt::Debug;
    type Answer: PartialEq;

    fn apply(&self, state: &Self::State) -> (Self::State, Self::Answer);

    /// Returns whether the answer leaves open if the operation had an effect.
    fn may_have_been_idle(&self) -> bool;
}

impl Operation for Call {
    /// Of one key.
    type State = Option<Value>;
    type Answer = Answer;

    fn apply(&self, state: &Option<Value>) -> (Option<Value>, Answer) {
        apply(*state, *self)
    }

    fn may_have_been_idle(&self) -> bool {
        matches!(self, Self::Clear | Self::Retain(..))
    }
}

/// One operation, on one key unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event<C = Call, A = Answer> {
    pub(crate) called: u64,
    pub(crate) returned: u64,
    pub(crate) call: C,
    pub(crate) answer: A,
}

/// A value, or a dash for nothing.
struct Maybe(Option<Value>);

impl fmt::Display for Maybe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "{value}"),
            None => f.write_str("-"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answer { before, after } = self.answer;
        let (before, after) = (Maybe(before), Maybe(after));
        write!(f, "[{}, {}] ", self.called, self.returned)?;
        match self.call {
            Call::Get => write!(f, "get = {before}"),
            Call::Contains => write!(f, "contains_key = {before}"),
            Call::Insert(new) => write!(f, "insert({new}) = {before}"),
            Call::InsertIfAbsent(new) => write!(f, "insert_if_absent({new}) = {before}"),
            Call::Remove => write!(f, "remove = {before}"),
            Call::Update(new) => write!(f, "update(-> {new}) saw {before} = {after}"),
            Call::Compute(rule, new) => {
                write!(f, "compute({rule:?} {new}) = {before} then {after}")
            }
            Call::Clear => f.write_str("clear"),
            Call::Retain(saw, left) => write!(f, "retain saw {saw}, left {}", Maybe(left)),
        }
    }
}

/// The sequential map: applies an operation to one key, and returns its new state and the answer.
pub(crate) fn apply(state: Option<Value>, call: Call) -> (Option<Value>, Answer) {
    let found = Answer::found(state);
    match call {
        Call::Get => (state, found),
        Call::Contains => (state, Answer::found(state.map(|_| 0))),
        Call::Insert(new) => (Some(new), found),
        Call::InsertIfAbsent(new) => (state.or(Some(new)), found),
        Call::Remove => (None, found),
        Call::Update(new) => {
            let after = state.map(|_| new);
            (after, Answer { before: state, after })
        }
        Call::Compute(rule, new) => {
            let after = match rule {
                Rule::Keep => state,
                Rule::Insert => Some(new),
                Rule::Remove => None,
                Rule::Toggle => state.is_none().then_some(new),
            };
            (after, Answer { before: state, after })
        }
        Call::Clear => (None, Answer::default()),
        Call::Retain(saw, left) => match state {
            Some(value) if value == saw => (left, Answer::default()),
            // Another thread removed the value before the change, so nothing happened. No other answer is possible.
            None => (None, Answer::default()),
            Some(_) => (state, found),
        },
    }
}

/// One thread's part of a history, key by key.
pub(crate) struct Log<'a> {
    clock: &'a AtomicU64,
    pub(crate) keys: Vec<Vec<Event>>,
}

impl<'a> Log<'a> {
    pub(crate) fn new(clock: &'a AtomicU64, keys: usize) -> Self {
        Self { clock, keys: vec![Vec::new(); keys] }
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Runs one operation on the key number `key` and records it.
    pub(crate) fn record(&mut self, key: usize, run: impl FnOnce() -> (Call, Answer)) {
        let called = self.now();
        let (call, answer) = run();
        self.push(key, called, call, answer);
    }

    /// Records an operation that was called at `called` and has just returned.
    pub(crate) fn push(&mut self, key: usize, called: u64, call: Call, answer: Answer) {
        let returned = self.now();
        self.keys[key].push(Event { called, returned, call, answer });
    }
}

/// The events on one key, thread by thread.
pub(crate) fn of_key(logs: &[Log<'_>], key: usize) -> Vec<Vec<Event>> {
    logs.iter().map(|log| log.keys[key].clone()).collect()
}
