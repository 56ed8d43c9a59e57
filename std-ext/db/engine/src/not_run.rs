//! Tests that cannot run on every machine.

use std::io::Write;

/// Says that the calling test, or a part of it, does not run here, and why. `.ci/run` lists these lines in its summary,
/// and to the runner of mutations a check that prints one is neither red nor green.
pub fn not_run(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Not a macro, whose output nobody sees if the test passes. After a line end, because libtest may be in a line.
    let _ = write!(std::io::stderr(), "\nNOT RUN: {test}: {why}\n");
}
