//! `hedgerow-db import --from`: moving in from a Redis that goes on serving.
//!
//! The program is a replica of it: it gets all data as a file, imports that as any other file, and then executes the
//! commands that Redis has executed since, until it is stopped.

use super::aof::Aof;
use super::export::Temporary;
use super::import::{self, Store};
use super::link::{Link, Login};
use super::sources::{Selection, Sources};
use super::summary::Summary;
use super::{Progress, output_error};
use crate::config::DataInvocation;
use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

/// With `--once`, the import ends when nothing has come for this long.
const CAUGHT_UP: Duration = Duration::from_secs(1);

/// Imports the data of a running Redis, and follows it until `stop` says so.
///
/// # Errors
/// If Redis cannot be reached, or has something that cannot be stored; or if the directory cannot be written.
pub(super) fn run(
    asked: &DataInvocation,
    from: &str,
    out: &mut dyn Write,
    progress: &mut Progress<'_>,
    stop: &dyn Fn() -> bool,
) -> Result<bool, String> {
    let read = |file| {
        fs::read(file).map_err(|why| format!("{}: {why}", asked.password_file.display()))
    };
    let named = !asked.password_file.as_os_str().is_empty();
    let password = named.then(|| read(&asked.password_file)).transpose()?;
    let password = password.as_deref().map(|password| password.trim_ascii_end());
    let file = Temporary::beside(&asked.dir);
    progress.say("connecting");
    let login = Login { user: asked.user.as_deref(), password };
    let mut link = Link::open(from, &login, file.path())?;
    progress.say("all data has come");
    let sources = Sources::of_replica(file.path());
    let (mut store, mut summary) = import::store_files(asked, &sources, out, progress)?;
    drop(file);
    follow(asked, &mut link, (&mut store, &mut summary), progress, stop)?;
    let offset = link.offset();
    drop(link);
    store.finish(&mut summary)?;
    progress.say(&format!("ended at offset {offset}"));
    let text = if asked.json { summary.json() } else { summary.text() };
    out.write_all(text.as_bytes()).map_err(|why| output_error(&why))?;
    Ok(summary.failed.is_empty() || asked.skip_other_types)
}

/// Executes the commands that come.
fn follow(
    asked: &DataInvocation,
    link: &mut Link,
    (store, summary): (&mut Store, &mut Summary),
    progress: &mut Progress<'_>,
    stop: &dyn Fn() -> bool,
) -> Result<(), String> {
    let mut commands = Aof::new(Selection::of(asked).database, link.offset());
    let (mut buffer, mut idle_since, mut was_idle) = (Vec::new(), Instant::now(), false);
    while !stop() {
        if link.has_more()? {
            let bytes = link.bytes();
            buffer.extend_from_slice(bytes);
            let read = bytes.len();
            link.consume(read);
            commands.use_up(&mut buffer, summary, &mut |item| store.take(item))?;
            if let Some(why) = summary.refusal(asked) {
                return Err(format!("{} has a part of the data only: {why}", asked.dir.display()));
            }
            (idle_since, was_idle) = (Instant::now(), false);
            continue;
        }
        store.execute()?;
        if idle_since.elapsed() < CAUGHT_UP {
            continue;
        }
        if asked.once {
            break;
        }
        if !was_idle {
            progress.say(&format!("caught up at offset {}; Ctrl-C ends the import", link.offset()));
            was_idle = true;
        }
    }
    Ok(())
}
