//! Checks whether a history of one key or of a whole map is linearizable: the search of Wing and Gong with Lowe's
//! memory of visited states. A state has the position of each thread instead of a set of operations. The operations
//! of a thread are sequential, so the positions determine the set, and a thread that slept long costs nothing.

use super::history::{Event, Operation};
use std::collections::HashSet;
use std::fmt::{Debug, Display, Write};

/// The most threads a history can have.
const THREADS: usize = 8;

/// The number of states after which the search panics. Real histories need a few per operation.
const STATE_LIMIT: usize = 4_000_000;

type Progress = [u32; THREADS];

/// The state of the order that explains the most operations.
#[derive(Debug)]
pub(crate) struct Stuck<S> {
    progress: Progress,
    state: S,
}

/// Each thread's events, in the order of its calls.
type History<O> = [Vec<Event<O, <O as Operation>::Answer>>];

/// Returns whether an order of the operations that respects real time explains every answer, if it
/// begins with `state`.
pub(crate) fn check<O: Operation>(
    history: &History<O>,
    state: O::State,
) -> Result<(), Stuck<O::State>> {
    assert!(history.len() <= THREADS, "more threads than the checker takes");
    let total: usize = history.iter().map(Vec::len).sum();
    let mut deepest = (0, Stuck { progress: [0; THREADS], state: state.clone() });
    let mut visited = HashSet::new();
    let mut open = vec![([0; THREADS], state)];
    while let Some((mut progress, state)) = open.pop() {
        take_without_effect(history, &mut progress, &state);
        if !visited.insert((progress, state.clone())) {
            continue;
        }
        assert!(visited.len() < STATE_LIMIT, "the checker gave up; the history is too wide");
        let done = progress.iter().map(|&n| n as usize).sum::<usize>();
        if done == total {
            return Ok(());
        }
        if done >= deepest.0 {
            deepest = (done, Stuck { progress, state: state.clone() });
        }
        for (thread, event) in candidates(history, &progress) {
            let (next, answer) = event.call.apply(&state);
            if answer == event.answer {
                let mut progress = progress;
                progress[thread] += 1;
                open.push((progress, next));
            }
        }
    }
    Err(deepest.1)
}

/// Takes every operation that may come next, is explained, and changes nothing. If any order of
/// the rest works, then one that begins with these does. (This does not hold for `clear` and
/// `retain`, because their answers leave open whether they had an effect.)
fn take_without_effect<O: Operation>(
    history: &History<O>,
    progress: &mut Progress,
    state: &O::State,
) {
    loop {
        let before = *progress;
        for (thread, event) in candidates(history, &before) {
            if event.call.may_have_been_idle() {
                continue;
            }
            let (next, answer) = event.call.apply(state);
            if next == *state && answer == event.answer {
                progress[thread] += 1;
            }
        }
        if *progress == before {
            return;
        }
    }
}

/// The operations that may come next: those called before any other pending one returned.
fn candidates<'a, C, A>(
    history: &'a [Vec<Event<C, A>>],
    progress: &Progress,
) -> impl Iterator<Item = (usize, &'a Event<C, A>)> {
    let pending = |(thread, events): (usize, &'a Vec<Event<C, A>>)| {
        events.get(progress[thread] as usize).map(|event| (thread, event))
    };
    let first_return = history
        .iter()
        .enumerate()
        .filter_map(pending)
        .map(|(_, event)| event.returned)
        .min()
        .unwrap_or(0);
    let next: Vec<_> = history.iter().enumerate().filter_map(pending).collect();
    next.into_iter().filter(move |(_, event)| event.called < first_return)
}

/// The part of the history around the place where the search got stuck, one operation a line.
pub(crate) fn explain<C, A>(history: &[Vec<Event<C, A>>], stuck: &Stuck<impl Debug>) -> String
where
    Event<C, A>: Display,
{
    let mut lines = Vec::new();
    for (thread, events) in history.iter().enumerate() {
        let at = stuck.progress[thread] as usize;
        for (n, event) in events.iter().enumerate().take(at + 4).skip(at.saturating_sub(5)) {
            let mark = if n < at { ' ' } else { '?' };
            lines.push((event.called, format!("{mark} t{thread} {event}")));
        }
    }
    lines.sort();
    let mut text = format!(
        "no order explains it; the furthest ends with {:?} before the lines with a question mark\n",
        stuck.state
    );
    for (_, line) in lines {
        writeln!(text, "{line}").expect("a string takes everything");
    }
    text
}
