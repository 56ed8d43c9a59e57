//! The checks that a row can name, and their commands.

use crate::tree::Tree;
use serde::{Deserialize, Deserializer};
use std::{
    fmt,
    fs::File,
    os::unix::process::CommandExt,
    process::Command,
    sync::RwLock,
    time::{Duration, Instant},
};

/// Builds and models share the machine. A test holds this lock exclusively, because two of its threads may need all
/// cores to meet.
static MACHINE: RwLock<()> = RwLock::new(());

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// `loom:NAME`, `round:NAME` or `shuttle:NAME`: the model with this name; `loom:std-ext/NAME` one of the
    /// operating-system layer's.
    Model { kind: &'static Kind, name: String },
    /// `test:TARGET::NAME`: the test with this name; target `lib` holds the crate's own, `db/...` the
    /// database's, `db-cluster/...`, `db-engine/...`, `db-formats/...`, `db-group/...` and `db-redis/...` those of its
    /// packages, `hostile/...` those of hostile users, `std-ext/...` the operating-system layer's.
    Test { target: String, name: String },
    /// `fuzz:TARGET`: the fuzz target, on its committed corpus.
    Fuzz(String),
}

/// A kind of models, and the compiler's flags for it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    name: &'static str,
    flags: &'static str,
}

const KINDS: [Kind; 3] = [
    Kind { name: "loom", flags: "--cfg hedgerow_loom" },
    // Counters of swaps wrap soon, as they do in words of 32 bits.
    Kind { name: "round", flags: "--cfg hedgerow_loom --cfg hedgerow_swaps_wrap" },
    // Histories of random schedules.
    Kind { name: "shuttle", flags: "--cfg hedgerow_loom --cfg hedgerow_shuttle" },
];

/// A package other than the library, as checks name it.
struct Package {
    prefix: &'static str,
    name: &'static str,
    folder: &'static str,
    features: &'static [&'static str],
}

const PACKAGES: [Package; 8] = [
    Package { prefix: "db", name: "hedgerow-db", folder: "std-ext/db/", features: &[] },
    Package {
        prefix: "db-cluster",
        name: "hedgerow-db-cluster",
        folder: "std-ext/db/cluster/",
        features: &[],
    },
    Package {
        prefix: "db-engine",
        name: "hedgerow-db-engine",
        folder: "std-ext/db/engine/",
        features: &[],
    },
    Package {
        prefix: "db-formats",
        name: "hedgerow-db-formats",
        folder: "std-ext/db/formats/",
        features: &[],
    },
    Package {
        prefix: "db-group",
        name: "hedgerow-db-group",
        folder: "std-ext/db/group/",
        features: &["--all-features"],
    },
    Package {
        prefix: "db-redis",
        name: "hedgerow-db-redis",
        folder: "std-ext/db/redis/",
        features: &["--all-features"],
    },
    Package {
        prefix: "hostile",
        name: "hedgerow-hostile",
        folder: "tests/hostile/",
        features: &[],
    },
    Package { prefix: "std-ext", name: "hedgerow-std-ext", folder: "std-ext/", features: &[] },
];

#[derive(Clone, Copy)]
pub enum Outcome {
    Green,
    Red,
    /// The check ran out of time: caught, if the row says that a thread waits forever.
    Hung,
    /// Failed or ran out of time, but not as the row says.
    Elsewhere,
    /// The mutation does not compile, which proves nothing about the check.
    Broken,
    /// No test has the name, so none failed.
    Empty,
    /// The test passed, and said that it does not run on this machine, or that a part of it does not.
    NotRun,
}

pub fn parse<'de, D: Deserializer<'de>>(from: D) -> Result<Check, D::Error> {
    let text = String::deserialize(from)?;
    let kind_of = |word: &str| KINDS.iter().find(|kind| kind.name == word);
    let check = match text.split_once(':') {
        Some((kind, name)) if !name.is_empty() && kind_of(kind).is_some() => {
            kind_of(kind).map(|kind| Check::Model { kind, name: name.into() })
        }
        Some(("test", rest)) => rest
            .split_once("::")
            .map(|(target, name)| Check::Test { target: target.into(), name: name.into() }),
        Some(("fuzz", target)) if !target.is_empty() => Some(Check::Fuzz(target.into())),
        _ => None,
    };
    let wanted = "none of loom:NAME, round:NAME, shuttle:NAME, test:TARGET::NAME, fuzz:TARGET";
    check.ok_or_else(|| serde::de::Error::custom(format!("check {text:?} is {wanted}")))
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model { kind, name } => write!(f, "{}:{name}", kind.name),
            Self::Test { target, name } => write!(f, "test:{target}::{name}"),
            Self::Fuzz(target) => write!(f, "fuzz:{target}"),
        }
    }
}

impl Check {
    /// Returns the least time limit of a run. A fuzz target is slow without optimization and with sanitizers.
    pub fn least_time(&self) -> Duration {
        Duration::from_secs(if matches!(self, Self::Fuzz(_)) { 400 } else { 0 })
    }

    /// Returns whether the check is a model, which has one thread and explores everything.
    pub fn is_model(&self) -> bool {
        matches!(self, Self::Model { .. })
    }

    /// Builds before it runs, so that a later failure is a test's.
    pub fn run(&self, tree: &Tree, timeout: Duration) -> Outcome {
        let built = {
            let _shared = MACHINE.read().expect("no worker panics");
            wait(self.build(tree), tree.output(), Duration::MAX)
        };
        if built != Some(true) {
            return Outcome::Broken;
        }
        let ended = if self.is_model() {
            let _shared = MACHINE.read().expect("no worker panics");
            wait(self.command(tree), tree.output(), timeout)
        } else {
            let _alone = MACHINE.write().expect("no worker panics");
            wait(self.command(tree), tree.output(), timeout)
        };
        match ended {
            None => Outcome::Hung,
            Some(false) => Outcome::Red,
            Some(true) if self.did_nothing(&tree.last_output()) => Outcome::Empty,
            Some(true) if tree.not_run().is_some() => Outcome::NotRun,
            Some(true) => Outcome::Green,
        }
    }

    fn did_nothing(&self, output: &str) -> bool {
        match self {
            Self::Model { .. } | Self::Test { .. } => output.contains("test result: ok. 0 passed"),
            Self::Fuzz(_) => {
                !output.contains("DONE") || output.contains("A corpus is not provided")
            }
        }
    }

    fn build(&self, tree: &Tree) -> Command {
        let mut cargo = self.cargo(tree);
        match self {
            Self::Model { .. } | Self::Test { .. } => cargo.arg("--no-run"),
            Self::Fuzz(target) => cargo.arg("build").args(Self::fuzz_options(target)).arg(target),
        };
        cargo
    }

    fn command(&self, tree: &Tree) -> Command {
        let mut cargo = self.cargo(tree);
        match self {
            Self::Model { name, .. } => cargo.args(["--", "--exact", Self::package_of(name).1]),
            Self::Test { name, .. } => cargo.args(["--", "--exact", name]),
            Self::Fuzz(target) => {
                cargo.arg("run").args(Self::fuzz_options(target));
                cargo.args([target, &format!("fuzz/corpus/{target}")]);
                // Plays the corpus without new inputs. An input of more than 100 seconds fails.
                cargo.args(["--", "-runs=0", "-timeout=100"])
            }
        };
        cargo
    }

    /// Returns the folder of the package that has the check.
    pub fn package(&self) -> &'static str {
        let target = match self {
            Self::Model { name, .. } => name,
            Self::Test { target, .. } => target,
            Self::Fuzz(_) => return "fuzz/",
        };
        Self::package_of(target).0.map_or("", |package| package.folder)
    }

    /// Returns the package of a target, if it is not the library, and the target's name there.
    fn package_of(target: &str) -> (Option<&'static Package>, &str) {
        let parts = target.split_once('/').and_then(|(prefix, rest)| {
            let package = PACKAGES.iter().find(|package| package.prefix == prefix)?;
            Some((Some(package), rest))
        });
        parts.unwrap_or((None, target))
    }

    /// Options of a quick build. To play a corpus takes seconds, but to optimize the target takes minutes, and so do
    /// dependencies that it does not need.
    fn fuzz_options(target: &str) -> Vec<String> {
        let feature = match target {
            "hostile" => Some("--features=hostile"),
            "db_batch" | "db_peer" => Some("--features=cluster"),
            "db_rdb" => Some("--features=formats"),
            "db_scripts" => Some("--features=scripts"),
            target if target.starts_with("db_") => Some("--features=db"),
            _ => None,
        };
        let options = ["--dev", "--no-default-features"].into_iter().chain(feature);
        options.map(str::to_owned).collect()
    }

    /// Returns the command with the options that building and running share.
    fn cargo(&self, tree: &Tree) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(tree.sources());
        // Cargo tells its children their package and toolchain by variables. This child is for another
        // package.
        for name in ["CARGO_MANIFEST_DIR", "RUSTFLAGS", "RUSTUP_TOOLCHAIN", "CARGO"] {
            cargo.env_remove(name);
        }
        // A row changes a line: incremental builds do not compile the rest again.
        cargo.env("CARGO_INCREMENTAL", "1");
        match self {
            Self::Model { kind, name } => {
                // A model spends most of its time in the checker, and a row most of its time in the compiler: without
                // optimization a row takes a tenth.
                cargo.args(["--config", "profile.release.package.hedgerow.opt-level=0"]);
                match Self::package_of(name).0 {
                    Some(package) => cargo.args(["test", "-p", package.name]),
                    None => cargo.args(["test", "--features", "std"]),
                };
                cargo.args(["--release", "--lib"]);
                cargo.env("RUSTFLAGS", kind.flags);
                cargo.env("CARGO_PROFILE_RELEASE_DEBUG", "false");
                cargo.env("CARGO_TARGET_DIR", tree.build(kind.name));
            }
            Self::Test { target, .. } => {
                let (package, target) = Self::package_of(target);
                match package {
                    Some(package) => {
                        cargo.args(["test", "-p", package.name]).args(package.features)
                    }
                    None => cargo.args(["test", "--features", "std-ext,serde,rayon,defmt"]),
                };
                if target == "grpc" {
                    cargo.args(["--features", "grpc"]);
                }
                if target == "lib" {
                    cargo.arg("--lib");
                } else {
                    cargo.args(["--test", target]);
                }
                cargo.env("CARGO_PROFILE_DEV_DEBUG", "false");
                cargo.env("CARGO_TARGET_DIR", tree.build("test"));
            }
            Self::Fuzz(_) => {
                cargo.args(["+nightly", "fuzz"]);
                cargo.env("CARGO_TARGET_DIR", tree.build("fuzz"));
            }
        }
        cargo
    }
}

/// Returns whether the command succeeded; `None` if it was still running after `timeout`.
fn wait(mut command: Command, output: File, timeout: Duration) -> Option<bool> {
    let errors = output.try_clone().expect("a file handle");
    // A process group of its own, because the process that hangs is a child of cargo's.
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
