//! Shortens a program that fails.

use crate::program::Program;

/// The shortest program that was found on the way down from `program` and still `fails`, trying `tries` at most.
pub fn minimize(
    program: Program,
    mut tries: usize,
    mut fails: impl FnMut(&Program) -> bool,
) -> Program {
    let mut best = program;
    'again: loop {
        for shorter in best.shorter() {
            if tries == 0 {
                return best;
            }
            tries -= 1;
            if fails(&shorter) {
                best = shorter;
                continue 'again;
            }
        }
        return best;
    }
}
