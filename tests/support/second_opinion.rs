//! The verdict of an independent checker, stateright's, over a sequential map of its own.

use super::support::history::{Answer, Call, Event, Rule, Value};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

/// The sequential map again, in the words of the other checker.
#[derive(Clone, Default)]
struct Slot(Option<Value>);

impl SequentialSpec for Slot {
    type Op = Call;
    type Ret = Answer;

    fn invoke(&mut self, call: &Call) -> Answer {
        let before = self.0;
        let mut after = None;
        match *call {
            Call::Get => {}
            Call::Contains => return Answer { before: before.and(Some(0)), after },
            Call::Insert(new) => self.0 = Some(new),
            Call::InsertIfAbsent(new) => {
                if before.is_none() {
                    self.0 = Some(new);
                }
            }
            Call::Remove => self.0 = None,
            Call::Update(new) => {
                if before.is_some() {
                    self.0 = Some(new);
                    after = self.0;
                }
            }
            Call::Compute(rule, new) => {
                if rule == Rule::Insert || rule == Rule::Toggle && before.is_none() {
                    self.0 = Some(new);
                } else if rule != Rule::Keep {
                    self.0 = None;
                }
                after = self.0;
            }
            Call::Clear => {
                self.0 = None;
                return Answer::default();
            }
            Call::Retain(saw, left) => {
                if before == Some(saw) {
                    self.0 = left;
                } else if before.is_some() {
                    return Answer { before, after };
                }
                return Answer::default();
            }
        }
        Answer { before, after }
    }
}

/// Whether the other checker accepts a history that begins with nothing.
pub(crate) fn verdict(history: &[Vec<Event>]) -> bool {
    let mut stamps = Vec::new();
    for (thread, events) in history.iter().enumerate() {
        for event in events {
            stamps.push((event.called, thread, Ok(event.call)));
            stamps.push((event.returned, thread, Err(event.answer)));
        }
    }
    stamps.sort_by_key(|&(stamp, ..)| stamp);
    let mut tester = LinearizabilityTester::new(Slot(None));
    for (_, thread, what) in stamps {
        match what {
            Ok(call) => tester.on_invoke(thread, call),
            Err(answer) => tester.on_return(thread, answer),
        }
        .expect("calls and returns alternate");
    }
    tester.is_consistent()
}
