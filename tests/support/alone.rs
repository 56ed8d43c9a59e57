//! A test with a process of its own.
//!
//! A map frees an entry only when no guard of the process protects it. A reader in another test of the same binary
//! delays that, and so can hide an entry that is freed too soon, or make reclamation look stuck. Tests of reclamation
//! therefore run their body in a child process that runs nothing else.

use std::any::type_name;
use std::process::Command;

/// Set in the child process.
const ALONE: &str = "HEDGEROW_TEST_ALONE";

/// Runs `test`, a closure written in the body of a test function, in a process of its own: this binary again, with
/// that one test. Panics with the child's output if the test fails there.
pub(crate) fn alone<F: FnOnce()>(test: F) {
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    // The name of a closure is the path of the function that it is written in: `binary::module::test::{{closure}}`.
    let path = type_name::<F>();
    let name = path.split_once("::").and_then(|(_, path)| path.strip_suffix("::{{closure}}"));
    let name = name.unwrap_or_else(|| panic!("{path} is not a closure in a test function"));
    let binary = std::env::current_exe().expect("a test knows its binary");
    let child =
        Command::new(binary).env(ALONE, "1").args([name, "--exact", "--nocapture"]).output();
    let child = child.expect("a test can start its binary");
    let (out, err) =
        (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success(), "{name}, alone: {}\n{out}\n{err}", child.status);
    // A name without a test would be a success.
    assert!(out.contains("test result: ok. 1 passed"), "{name} did not run alone:\n{out}\n{err}");
}
