//! Shortens a program that fails.

use crate::program::Program;

/// Returns the shortest program below `program` that still `fails`, found in at most this many attempts.
pub fn minimize(
    program: Program,
    mut attempts: usize,
    mut fails: impl FnMut(&Program) -> bool,
) -> Program {
    let mut best = program;
    'again: loop {
        for shorter in best.shorter() {
            if attempts == 0 {
                return best;
            }
            attempts -= 1;
            if fails(&shorter) {
                best = shorter;
                continue 'again;
            }
        }
        return best;
    }
}
