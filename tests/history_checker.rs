//! builds: default
//!
//! The checker of histories is right: it agrees with an independent one on random small histories, legal and illegal,
//! and explains each refusal.

mod support;

#[path = "support/second_opinion.rs"]
mod second_opinion;

use std::time::Duration;
use support::check::{check, explain};
use support::history::{Answer, Call, Event, Rule, Value, apply};
use support::rng::Rng;
use support::{effort, rounds, seed};

/// A small history that is linearizable, since every operation takes effect between its stamps.
fn legal_history(rng: &mut Rng) -> Vec<Vec<Event>> {
    let threads = 2 + rng.below(2);
    let mut history = vec![Vec::new(); threads];
    let mut pending: Vec<Option<(u64, Call, Option<Answer>)>> = vec![None; threads];
    let (mut state, mut left) = (None, 3 + rng.below(6));
    for stamp in 0.. {
        let thread = rng.below(threads);
        match pending[thread] {
            None if left > 0 => {
                left -= 1;
                let new = 1 + rng.below(4) as Value;
                let rule = *rng.pick(&[Rule::Keep, Rule::Insert, Rule::Remove, Rule::Toggle]);
                let call = *rng.pick(&[
                    Call::Get,
                    Call::Get,
                    Call::Contains,
                    Call::Insert(new),
                    Call::Insert(new),
                    Call::InsertIfAbsent(new),
                    Call::Remove,
                    Call::Update(new),
                    Call::Compute(rule, new),
                    Call::Clear,
                    Call::Retain(new, None),
                    Call::Retain(new, Some(new + 4)),
                ]);
                pending[thread] = Some((stamp, call, None));
            }
            None if pending.iter().all(Option::is_none) => return history,
            None => {}
            Some((called, call, None)) => {
                let (next, answer) = apply(state, call);
                state = next;
                pending[thread] = Some((called, call, Some(answer)));
            }
            Some((called, call, Some(answer))) => {
                history[thread].push(Event { called, returned: stamp, call, answer });
                pending[thread] = None;
            }
        }
    }
    unreachable!("it returns when all is done")
}

/// Changes one answer, or makes an operation take less time than it did.
fn spoil(history: &mut [Vec<Event>], rng: &mut Rng) {
    let busy: Vec<_> = (0..history.len()).filter(|&thread| !history[thread].is_empty()).collect();
    let events = &mut history[*rng.pick(&busy)];
    let n = rng.below(events.len());
    let event = &mut events[n];
    let other = [None, Some(1 + rng.below(4) as Value)][rng.below(2)];
    match rng.below(3) {
        0 => event.answer.before = other,
        1 => event.answer.after = other,
        _ => event.answer = apply(other, event.call).1,
    }
}

#[test]
fn both_checkers_agree() {
    let mut rng = Rng::new(seed());
    let (mut accepted, mut refused) = (0, 0);
    rounds(4_000, Duration::from_secs(5), |round| {
        let mut history = legal_history(&mut rng);
        assert!(check(&history, None).is_ok(), "a legal history was refused: {history:#?}");
        if round % 2 == 1 {
            spoil(&mut history, &mut rng);
        }
        let verdict = check(&history, None).is_ok();
        assert_eq!(
            verdict,
            second_opinion::verdict(&history),
            "the checkers disagree: {history:#?}"
        );
        *(if verdict { &mut accepted } else { &mut refused }) += 1;
    });
    println!("{accepted} accepted, {refused} refused");
    let enough = effort(100);
    assert!(
        accepted > enough && refused > enough,
        "{accepted} accepted, {refused} refused: one-sided"
    );
}

/// The explanation shows the operation that nothing explains.
#[test]
fn a_refusal_is_explained() {
    let event = |called, returned, call, before| Event {
        called,
        returned,
        call,
        answer: Answer::found(before),
    };
    let history = [
        vec![event(0, 1, Call::Insert(7), None), event(2, 3, Call::Insert(8), Some(7))],
        vec![event(4, 5, Call::Get, Some(7))],
    ];
    let stuck = check(&history, None).expect_err("a stale read");
    let story = explain(&history, &stuck);
    assert!(story.contains("? t1 [4, 5] get = 7"), "{story}");
    assert!(story.contains("  t0 [2, 3] insert(8) = 7"), "{story}");
}
