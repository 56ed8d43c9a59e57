//! `hedgerow-db import --live`: moving in from a Redis that goes on serving.
//!
//! The program is a replica of it. It gets all data as a file, imports that as any other file, and then executes the
//! commands that Redis executes, until it is stopped. If the connection is lost then, it connects again, and Redis
//! sends the commands that are missing, of which it keeps the last `repl-backlog-size` bytes. The clock of the database
//! stands still meanwhile: Redis sends a command when a key has expired.

use super::aof::Aof;
use super::endpoint::Endpoint;
use super::export::Temporary;
use super::follower::Follower;
use super::import::{self, ImportStore};
use super::link::{LinkPosition, MasterLink};
use super::report::ReportProgress;
use super::sources::Sources;
use super::summary::Summary;
use hedgerow_db_redis::config::{DataInvocation, LiveSource};
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

/// How often Redis is asked for its offset.
const ASK_INTERVAL: Duration = Duration::from_millis(500);
/// The wait before another attempt to connect.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(500);

/// Imports the data of a running Redis, and follows it until `stop` returns true.
///
/// # Errors
/// If Redis cannot be reached, or has something that cannot be stored; if the connection is lost before all data was
/// received, or stays lost afterwards; or if the directory cannot be written. The commands that were executed before
/// are in the directory.
pub(super) fn run(
    asked: &DataInvocation,
    source: &LiveSource,
    out: &mut dyn Write,
    progress: &mut ReportProgress<'_>,
    stop: &dyn Fn() -> bool,
) -> Result<bool, String> {
    let endpoint = Endpoint::new(source)?;
    let connect = || MasterLink::connect(&endpoint, stop);
    let mut link = connect()?;
    // Before the data is sent, which may take long.
    let mut store = ImportStore::open(asked, true)?;
    let lag = Lag::start(source, &connect, progress)?;
    let begin = link.request_data()?;
    progress.say(&format!("connected to {}; waiting for its data", endpoint.address));
    let file = Temporary::beside(&asked.dir);
    link.copy_data(file.path(), &mut |bytes| {
        if progress.is_due() {
            progress.say(&format!("receiving: {bytes} bytes so far"));
        }
    })?;
    let follower = link.follow(begin.offset)?;
    progress.say("received all data; importing it");
    let sources = Sources::live(file.path());
    import::check_sources(asked, (&sources, None), out, progress, stop)?;
    let mut summary = import::store_sources((&sources, None), &mut store, progress, stop)?;
    drop(file);
    let mut following = Following {
        source,
        connect: &connect,
        stop,
        commands: Aof::live(begin.offset, asked.skip_other_types),
        history: begin.history,
        follower,
        connected_at: Instant::now(),
        store: &mut store,
        summary: &mut summary,
        skips_failed: asked.skip_other_types,
        lag,
    };
    let ended = following.run(progress);
    let offset = following.commands.offset();
    drop(following);
    store.finish(&mut summary)?;
    if let Err(why) = ended {
        return Err(format!(
            "{why}\n{} has all writes of Redis up to offset {offset}. A new import must start over, in an empty \
             directory.",
            asked.dir.display()
        ));
    }
    progress.say(&format!("ended at offset {offset}"));
    import::write_summary(asked, &summary, out)
}

/// The execution of the commands that come.
struct Following<'a, 'l> {
    source: &'a LiveSource,
    connect: &'l Connect<'l>,
    stop: &'a dyn Fn() -> bool,
    commands: Aof,
    /// The id of the history that they are part of.
    history: String,
    follower: Follower,
    connected_at: Instant,
    store: &'a mut ImportStore,
    summary: &'a mut Summary,
    /// Whether commands that fail are left out.
    skips_failed: bool,
    lag: Lag<'l>,
}

/// Makes a connection to Redis.
type Connect<'l> = dyn Fn() -> Result<MasterLink<'l>, String> + 'l;

impl Following<'_, '_> {
    /// Executes the commands that come, until `stop` returns true, or all are executed if that was asked for.
    fn run(&mut self, progress: &mut ReportProgress<'_>) -> Result<(), String> {
        let mut buffer = Vec::new();
        while !(self.stop)() {
            let came = match self.follower.collect(&mut buffer) {
                Ok(came) => came,
                Err(why) => {
                    // The beginning of a command is sent again.
                    buffer.clear();
                    self.reconnect(&why, progress)?;
                    continue;
                }
            };
            if came {
                self.execute(&mut buffer)?;
            }
            let caught_up = self.lag.look(self.commands.offset(), came, progress);
            if caught_up && self.source.until_caught_up {
                break;
            }
        }
        Ok(())
    }

    /// Connects again, and continues behind the commands that were executed. Returns also when `stop` returns true.
    ///
    /// # Errors
    /// If that takes too long, or Redis does not have the missing commands any more.
    fn reconnect(&mut self, lost: &str, progress: &mut ReportProgress<'_>) -> Result<(), String> {
        let limit = self.source.reconnect;
        if limit.is_zero() {
            return Err(lost.to_owned());
        }
        progress.say(&format!("{lost}; connecting again"));
        // Redis may end each connection at once.
        thread::sleep(BETWEEN_ATTEMPTS.saturating_sub(self.connected_at.elapsed()));
        let begin = Instant::now();
        while !(self.stop)() {
            match self.resume() {
                Ok(true) => {
                    progress.say(&format!("connected at offset {}", self.commands.offset()));
                    break;
                }
                Ok(false) => {
                    return Err(format!(
                        "{lost}. Redis no longer has the commands after offset {}: raise its repl-backlog-size. A \
                         restarted Redis has none",
                        self.commands.offset()
                    ));
                }
                Err(why) if begin.elapsed() >= limit => {
                    return Err(format!("{lost}; after {} seconds: {why}", limit.as_secs()));
                }
                Err(_) => thread::sleep(BETWEEN_ATTEMPTS),
            }
        }
        Ok(())
    }

    /// Returns whether Redis sends the commands that are missing.
    fn resume(&mut self) -> Result<bool, String> {
        let mut link = (self.connect)()?;
        let (history, offset) = (self.history.clone(), self.commands.offset());
        let mut position = LinkPosition { history, offset };
        if !link.request_rest(&mut position)? {
            return Ok(false);
        }
        (self.follower, self.connected_at) = (link.follow(offset)?, Instant::now());
        self.history = position.history;
        self.commands = Aof::live(offset, self.skips_failed);
        Ok(true)
    }

    fn execute(&mut self, buffer: &mut Vec<u8>) -> Result<(), String> {
        let Self { commands, store, summary, .. } = self;
        let used = commands.use_up(buffer, summary, &mut |item| store.take(item));
        // Also those before the one that cannot be imported.
        store.execute()?;
        used?;
        if let Some(why) = store.first_error().filter(|_| !self.skips_failed) {
            return Err(format!(
                "a command that Redis executed fails here: {why}\n--skip-other-types skips commands that fail"
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
    connect: &'l Connect<'l>,
    /// The connection that asks Redis for its offset. Redis may close it while it is idle.
    link: Option<MasterLink<'l>>,
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
        connect: &'l Connect<'l>,
        progress: &mut ReportProgress<'_>,
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
    fn look(&mut self, offset: u64, came: bool, progress: &mut ReportProgress<'_>) -> bool {
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
                "caught up at offset {offset}; stop the writers, and stop the import with Ctrl-C once Redis is 0 \
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
