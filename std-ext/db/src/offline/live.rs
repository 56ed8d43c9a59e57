//! `hedgerow-db import --live`: moving in from a Redis that goes on serving.
//!
//! The program is a replica of it. It gets all data as a file, imports that as any other file, and then executes the
//! commands that Redis executes, until it is stopped. The clock of the database stands still meanwhile: Redis sends a
//! command when a key has expired.

use super::aof::Aof;
use super::export::Temporary;
use super::follower::Follower;
use super::import::{self, Store};
use super::link::{Link, Login};
use super::report::Progress;
use super::sources::Sources;
use super::summary::Summary;
use crate::config::{DataInvocation, LiveSource};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often Redis is asked for its offset.
const ASK_INTERVAL: Duration = Duration::from_millis(500);
/// The longest password in a file.
const LONGEST_PASSWORD: u64 = 64 << 10;

/// Imports the data of a running Redis, and follows it until `stop` returns true.
///
/// # Errors
/// If Redis cannot be reached, ends the connection, or has something that cannot be stored; or if the directory cannot
/// be written. The commands that were executed before are in the directory.
pub(super) fn run(
    asked: &DataInvocation,
    source: &LiveSource,
    out: &mut dyn Write,
    progress: &mut Progress<'_>,
    stop: &dyn Fn() -> bool,
) -> Result<bool, String> {
    let (address, login) = (&source.address, login(source)?);
    let connect = || Link::connect(address, &login, stop);
    let mut link = connect()?;
    // Before the data is sent, which may take long.
    let mut store = Store::open(asked, true)?;
    let lag = Lag::start(source, &connect, progress)?;
    let begin = link.request_data()?;
    progress.say(&format!("connected to {address}; waiting for its data"));
    let file = Temporary::beside(&asked.dir);
    link.copy_data(file.path(), &mut |bytes| {
        if progress.is_due() {
            progress.say(&format!("receiving: {bytes} bytes so far"));
        }
    })?;
    let mut follower = link.follow(begin)?;
    progress.say("all data has come; importing it");
    let sources = Sources::live(file.path());
    import::check_sources(asked, (&sources, None), out, progress, stop)?;
    let mut summary = import::store_sources((&sources, None), &mut store, progress, stop)?;
    drop(file);
    let mut following = Following {
        commands: Aof::live(begin, asked.skip_other_types),
        follower: &mut follower,
        store: &mut store,
        summary: &mut summary,
        skips_failed: asked.skip_other_types,
        lag,
    };
    let ended = following.run(source.until_caught_up, progress, stop);
    let offset = following.commands.offset();
    drop(follower);
    store.finish(&mut summary)?;
    if let Err(why) = ended {
        return Err(format!(
            "{why}\n{} has what Redis had executed up to offset {offset}. Another import begins with all data, in an \
             empty directory.",
            asked.dir.display()
        ));
    }
    progress.say(&format!("ended at offset {offset}"));
    import::write_summary(asked, &summary, out)
}

/// Returns the login, with the password of the file if there is one.
fn login(source: &LiveSource) -> Result<Login, String> {
    let password = match &source.password_file {
        Some(path) => Some(password_in(path)?),
        None => source.address.password.clone(),
    };
    Ok(Login { user: source.address.user.clone(), password })
}

fn password_in(path: &Path) -> Result<Vec<u8>, String> {
    let mut password = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(LONGEST_PASSWORD).read_to_end(&mut password));
    read.map_err(|why| format!("{}: {why}", path.display()))?;
    while password.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
        password.pop();
    }
    Ok(password)
}

/// The execution of the commands that come.
struct Following<'a, 'l> {
    commands: Aof,
    follower: &'a mut Follower,
    store: &'a mut Store,
    summary: &'a mut Summary,
    /// Whether commands that fail are left out.
    skips_failed: bool,
    lag: Lag<'l>,
}

impl Following<'_, '_> {
    /// Executes the commands that come, until `stop` returns true, or all are executed if that was asked for.
    fn run(
        &mut self,
        until_caught_up: bool,
        progress: &mut Progress<'_>,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), String> {
        let mut buffer = Vec::new();
        while !stop() {
            let came = self.follower.collect(&mut buffer)?;
            if came {
                self.execute(&mut buffer)?;
            }
            let caught_up = self.lag.look(self.commands.offset(), came, progress);
            if caught_up && until_caught_up {
                break;
            }
        }
        Ok(())
    }

    fn execute(&mut self, buffer: &mut Vec<u8>) -> Result<(), String> {
        let Self { commands, store, summary, .. } = self;
        let used = commands.use_up(buffer, summary, &mut |item| store.take(item));
        // Also those before the one that cannot be imported.
        store.execute()?;
        used?;
        if let Some(why) = store.first_error().filter(|_| !self.skips_failed) {
            return Err(format!(
                "a command that Redis has executed fails here: {why}\n--skip-other-types leaves out commands that fail"
            ));
        }
        self.follower.executed(self.commands.offset());
        if self.commands.asked_for_offset() {
            self.follower.acknowledge();
        }
        Ok(())
    }
}

/// How many bytes of commands Redis is ahead.
struct Lag<'l> {
    connect: &'l dyn Fn() -> Result<Link<'l>, String>,
    /// The connection that asks Redis for its offset. Redis may close it while it is idle.
    link: Option<Link<'l>>,
    /// Whether Redis says its offset. Otherwise a moment without commands counts as being up to date.
    is_known: bool,
    asked_at: Instant,
    /// The offset of Redis then.
    target: u64,
    caught_up: bool,
    /// The offset of the last report.
    reported: u64,
}

impl<'l> Lag<'l> {
    /// Checks that Redis says its offset.
    ///
    /// # Errors
    /// If it does not, although the import ends at that offset.
    fn start(
        source: &LiveSource,
        connect: &'l dyn Fn() -> Result<Link<'l>, String>,
        progress: &mut Progress<'_>,
    ) -> Result<Self, String> {
        let (link, asked_at, target) = (None, Instant::now(), u64::MAX);
        let mut lag =
            Self { connect, link, is_known: true, target, asked_at, caught_up: false, reported: 0 };
        if let Err(why) = lag.offset() {
            if source.until_caught_up {
                return Err(format!("--until-caught-up needs the offset of Redis: {why}"));
            }
            lag.is_known = false;
            progress.say(&format!("the lag will not be reported: {why}"));
        }
        Ok(lag)
    }

    /// Returns the offset of Redis.
    fn offset(&mut self) -> Result<u64, String> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => (self.connect)()?,
        };
        let offset = link.offset()?;
        self.link = Some(link);
        Ok(offset)
    }

    /// Compares an offset with that of Redis, from time to time, and reports it. Returns whether all that Redis had
    /// executed is imported. Under constant writes that may be never, though Redis is hardly ahead.
    fn look(&mut self, offset: u64, came: bool, progress: &mut Progress<'_>) -> bool {
        if self.asked_at.elapsed() < ASK_INTERVAL {
            return false;
        }
        let ahead = match self.is_known.then(|| self.offset()) {
            Some(Ok(of_redis)) => Some(of_redis.saturating_sub(offset)),
            // The connection of the replica tells why.
            Some(Err(_)) => {
                self.asked_at = Instant::now();
                return false;
            }
            None => None,
        };
        self.asked_at = Instant::now();
        let was_reached = ahead.map_or(!came, |_| offset >= self.target);
        self.target = ahead.map_or(0, |ahead| offset.saturating_add(ahead));
        if was_reached && !self.caught_up {
            self.caught_up = true;
            progress.say(&format!(
                "caught up at offset {offset}; stop the writers, and end the import with Ctrl-C when Redis is 0 \
                 bytes ahead"
            ));
            self.reported = offset;
        } else if offset != self.reported && progress.is_due() {
            let ahead =
                ahead.map_or_else(String::new, |ahead| format!("; Redis is {ahead} bytes ahead"));
            progress.say(&format!("following at offset {offset}{ahead}"));
            self.reported = offset;
        }
        ahead.map_or(!came, |ahead| ahead == 0)
    }
}
