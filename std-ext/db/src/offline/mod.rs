//! The commands about a directory that no server has open: `hedgerow-db import`, `export`, `check` and `dump`.
//!
//! `check`, `dump` and `export` load the directory into memory through a disk that cannot change anything
//! (`folder`). `import` reads its files twice: first to find damage and values that it cannot store, and then, if
//! there are none, to store the rest. `import --live` does so with the data of a running Redis (`live`), and then
//! executes the commands that Redis executes.

mod absolute;
mod aof;
mod check;
mod dump;
mod endpoint;
mod export;
mod folder;
mod follower;
mod import;
mod input;
mod item;
mod link;
mod live;
mod replies;
mod report;
mod sources;
mod summary;

#[cfg(test)]
mod tests;

use self::report::ReportProgress;
use hedgerow_db_redis::config::{DataCommand, DataInvocation};
use std::io::Write;

/// Runs a command. Writes its result to `out`, and its progress to `progress`. Returns whether all is well. The import
/// of a running Redis ends soon after `stop` returns true; the other commands do not call it.
///
/// # Errors
/// The reason why the command failed.
pub fn run(
    asked: &DataInvocation,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(&str),
    stop: &dyn Fn() -> bool,
) -> Result<bool, String> {
    let mut progress = ReportProgress::new(progress);
    match asked.command {
        DataCommand::Import => match &asked.live {
            Some(source) => live::run(asked, source, out, &mut progress, stop),
            None => import::run(asked, out, &mut progress),
        },
        DataCommand::Export => export::run(asked, out, &mut progress),
        DataCommand::Check => check::run(asked, out),
        DataCommand::Dump => dump::run(asked, out),
    }
}
