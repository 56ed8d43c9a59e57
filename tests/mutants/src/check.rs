//! The checks that a row can name, and how each is run.

use crate::tree::Tree;
use serde::{Deserialize, Deserializer};
use std::{
    fmt,
    fs::File,
    os::unix::process::CommandExt,
    process::Command,
    time::{Duration, Instant},
};

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// `loom:NAME`: the model with this name.
    Loom(String),
    /// `test:TARGET::NAME`: the test with this name; target `lib` holds the crate's own.
    Test { target: String, name: String },
}

pub enum Outcome {
    Green,
    Red,
    /// Not done in time: a mutation that makes a thread wait for ever is caught too.
    Hung,
    /// The mutation does not compile, which says nothing about the check.
    Broken,
    /// The name fits no test: green by absence.
    Empty,
}

pub fn parse<'de, D: Deserializer<'de>>(from: D) -> Result<Check, D::Error> {
    let text = String::deserialize(from)?;
    let check = match text.split_once(':') {
        Some(("loom", name)) if !name.is_empty() => Some(Check::Loom(name.into())),
        Some(("test", rest)) => rest
            .split_once("::")
            .map(|(target, name)| Check::Test { target: target.into(), name: name.into() }),
        _ => None,
    };
    let wanted = "neither loom:NAME nor test:TARGET::NAME";
    check.ok_or_else(|| serde::de::Error::custom(format!("check {text:?} is {wanted}")))
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loom(name) => write!(f, "loom:{name}"),
            Self::Test { target, name } => write!(f, "test:{target}::{name}"),
        }
    }
}

impl Check {
    pub fn is_model(&self) -> bool {
        matches!(self, Self::Loom(_))
    }

    /// Builds first, so that a failure afterwards is a test's.
    pub fn run(&self, tree: &Tree, timeout: Duration) -> Outcome {
        let mut build = self.command(tree);
        build.arg("--no-run");
        if wait(build, tree.output(), Duration::MAX) != Some(true) {
            return Outcome::Broken;
        }
        let mut run = self.command(tree);
        run.args(["--", self.name()]);
        match wait(run, tree.output(), timeout) {
            None => Outcome::Hung,
            Some(false) => Outcome::Red,
            Some(true) if tree.last_output().contains("test result: ok. 0 passed") => {
                Outcome::Empty
            }
            Some(true) => Outcome::Green,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Loom(name) | Self::Test { name, .. } => name,
        }
    }

    fn command(&self, tree: &Tree) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(tree.sources()).arg("test").args(["--features", "std"]);
        // Cargo tells its children which package they run for; this one runs for another.
        cargo.env_remove("CARGO_MANIFEST_DIR").env_remove("RUSTFLAGS");
        match self {
            Self::Loom(_) => {
                cargo.args(["--release", "--lib"]).env("RUSTFLAGS", "--cfg hedgerow_loom");
                cargo.env("CARGO_TARGET_DIR", tree.build("loom"));
            }
            Self::Test { target, .. } => {
                if target == "lib" {
                    cargo.arg("--lib");
                } else {
                    cargo.args(["--test", target]);
                }
                cargo.env("CARGO_TARGET_DIR", tree.build("test"));
            }
        }
        cargo
    }
}

/// Whether the command succeeded; `None` where it was still running after `timeout`.
fn wait(mut command: Command, output: File, timeout: Duration) -> Option<bool> {
    let errors = output.try_clone().expect("a file handle");
    // A group of its own, since the process that hangs is a child of cargo's.
    command.process_group(0).stdin(std::process::Stdio::null()).stdout(output).stderr(errors);
    let mut child = command.spawn().expect("cargo starts");
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return Some(status.success());
        }
        if start.elapsed() > timeout {
            let group = format!("-{}", child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
