//! Measures how long a database takes to open, from its log and from a snapshot, and how much writing the snapshot
//! slows concurrent writers: `cargo run --release -p hedgerow-db --example recovery [KEYS [BYTES [PIPELINE]]]`.
//!
//! Fills a directory below the system's directory for temporary files with KEYS values of BYTES, in pipelines of
//! PIPELINE.

use hedgerow_db::log::Fsync;
use hedgerow_db::request::{Change, Expiry, Request, SetCondition};
use hedgerow_db::{Db, Options};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // The directory is temporary anyway.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(path: &Path) -> Result<Db, Box<dyn Error>> {
    let mut options = Options::at(path);
    (options.fsync, options.snapshot_after) = (Fsync::EverySecond, 0);
    Ok(Db::open(options)?)
}

fn set(value: &[u8]) -> Change<'_> {
    Change::Set { value, condition: SetCondition::Always, expiry: Expiry::Never, get: false }
}

/// Sets all keys. Returns the longest time of a pipeline, without writing the log: tables grow meanwhile.
fn fill(db: &Db, keys: usize, value: &[u8], pipeline: usize) -> Result<Duration, Box<dyn Error>> {
    let (mut session, all) = (db.session(), (0..keys).collect::<Vec<_>>());
    let mut longest = Duration::ZERO;
    for some in all.chunks(pipeline) {
        let names: Vec<String> = some.iter().map(|key| format!("key:{key:012}")).collect();
        let requests: Vec<_> =
            names.iter().map(|key| Request::Change(key.as_bytes(), set(value))).collect();
        let began = Instant::now();
        let lsn = session.execute(&requests, &mut |_, _| {});
        longest = longest.max(began.elapsed());
        db.log().commit(lsn)?;
    }
    Ok(longest)
}

/// Writes one key after the other while `work` runs. Returns the longest time, and the 99.9th percentile.
fn write_beside<R>(
    db: &Db,
    keys: usize,
    value: &[u8],
    work: impl FnOnce() -> R,
) -> (Duration, Duration, R) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (mut session, mut waits, mut key) = (db.session(), Vec::new(), 1_usize);
            // Relaxed: the flag only ends the loop.
            while !stop.load(Ordering::Relaxed) {
                key = key * 48_271 % 2_147_483_647;
                let name = format!("key:{:012}", key % keys);
                let began = Instant::now();
                let lsn = session
                    .execute(&[Request::Change(name.as_bytes(), set(value))], &mut |_, _| {});
                db.log().commit(lsn).expect("the disk keeps what it is given");
                waits.push(began.elapsed());
            }
            waits.sort_unstable();
            waits
        });
        let made = work();
        // Relaxed: as above.
        stop.store(true, Ordering::Relaxed);
        let waits = writer.join().expect("the writer stops when it is told to");
        let longest = waits.last().copied().unwrap_or_default();
        (longest, waits.get(waits.len() * 999 / 1000).copied().unwrap_or_default(), made)
    })
}

fn size(path: &Path, prefix: &str) -> Result<u64, Box<dyn Error>> {
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |otherwise: usize| {
        arguments.next().map_or(Ok(otherwise), |argument| argument.parse::<usize>())
    };
    let (keys, bytes, pipeline) =
        (argument(1_000_000)?.max(1), argument(64)?, argument(16)?.max(1));
    let folder =
        Folder(std::env::temp_dir().join(format!("hedgerow-db-recovery-{}", std::process::id())));
    let (path, value) = (&*folder.0, vec![b'v'; bytes]);
    let each = |bytes: u64| bytes / keys as u64;

    let began = Instant::now();
    let db = open(path)?;
    let longest = fill(&db, keys, &value, pipeline)?;
    db.close()?;
    drop(db);
    println!(
        "filled with {keys} keys of {bytes} bytes, {pipeline} at a time: {:.2?}, longest pipeline {longest:.3?}",
        began.elapsed()
    );
    println!("log: {} bytes a key", each(size(path, "log-")?));

    let db = open(path)?;
    let opened = db.opened();
    println!("opened from the log: {:.3?}, {} entries", opened.took, opened.log_entries);
    let (longest, usual, ()) =
        write_beside(&db, keys, &value, || thread::sleep(Duration::from_millis(500)));
    println!("a writer alone waits {longest:.3?} at longest, one in a thousand {usual:.3?}");
    let began = Instant::now();
    let (longest, usual, made) = write_beside(&db, keys, &value, || db.snapshot());
    made?;
    println!(
        "snapshot: {:.2?}, a shard locked for {:.3?} at longest; a writer beside waits {longest:.3?} at longest, \
         one in a thousand {usual:.3?}",
        began.elapsed(),
        db.stats().snapshot_pause
    );
    let began = Instant::now();
    db.snapshot()?;
    println!(
        "without concurrent writes: {:.2?}, locked for {:.3?}",
        began.elapsed(),
        db.stats().snapshot_pause
    );
    db.close()?;
    drop(db);
    println!("snapshot: {} bytes a key", each(size(path, "snapshot-")?));

    let db = open(path)?;
    let opened = db.opened();
    println!(
        "opened from the snapshot: {:.3?}, {} keys and {} entries",
        opened.took, opened.snapshot_keys, opened.log_entries
    );
    Ok(())
}
