//! builds: asan
//!
//! The whole database in a directory: after any failure, reopening it restores what it had.

#[path = "support/random.rs"]
mod random;

#[path = "support/requests.rs"]
mod requests;

use hedgerow_db::log::disk::{Disk, DiskFile};
use hedgerow_db::log::faults::FaultyDisk;
use hedgerow_db::log::{Fsync, LogError, OpenError};
use hedgerow_db::request::{
    Answer, Change, ExpireCondition, Expiry, Field, FieldOp, FieldType, MultiKeyOp, Overflow,
    Query, Request, RequestError,
};
use hedgerow_db::{Db, Error, Options, Session, TransactionOutcome};
use random::Random;
use requests::{FAR, KEYS, LIVES, VALUES, plain_set, with_pipeline};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const POLICIES: [Fsync; 3] = [Fsync::Always, Fsync::EverySecond, Fsync::Never];

/// The content of a database: value and expiration by key.
type Content = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

/// A directory in memory if possible: no test here needs a disk.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Snapshots are written only when a test requests them.
fn options(path: &Path, fsync: Fsync, shards: usize) -> Options {
    let mut options = Options::at(path);
    (options.fsync, options.shards, options.snapshot_after) = (fsync, shards, 0);
    options
}

fn open_on_disk(disk: &FaultyDisk, path: &Path, fsync: Fsync, shards: usize) -> Db {
    Db::open_on_disk(options(path, fsync, shards), Arc::new(disk.clone())).unwrap()
}

fn open(path: &Path, shards: usize) -> Result<Db, OpenError> {
    Db::open_on_disk(options(path, Fsync::Never, shards), Arc::new(FaultyDisk::new()))
}

fn read(session: &mut Session, key: &[u8]) -> Option<(Vec<u8>, Option<u64>)> {
    let (mut value, mut ends) = (None, None);
    let requests = [Request::Read(key, Query::Stored), Request::Read(key, Query::Expiry)];
    session.execute(&requests, &mut |_, answer| match answer {
        Answer::Stored(stored) => value = Some(stored.bytes().to_vec()),
        Answer::ExpiresAt(end) => ends = end,
        _ => {}
    });
    value.map(|value| (value, ends))
}

fn content(db: &Db) -> Content {
    let (mut session, mut keys, mut from) = (db.session(), Vec::new(), 0);
    loop {
        from = session.scan(from, 100, &mut |record| keys.push(record.key().to_vec()));
        if from == 0 {
            break;
        }
    }
    keys.into_iter().filter_map(|key| read(&mut session, &key).map(|found| (key, found))).collect()
}

fn number(db: &Db, key: &str) -> u64 {
    db.get(key).unwrap().map_or(0, |text| String::from_utf8(text).unwrap().parse().unwrap())
}

/// Executes requests as one transaction. Returns the entry that the answers need.
fn transaction(
    session: &mut Session,
    requests: &[Request<'_>],
    answer: &mut impl FnMut(usize, Answer<'_>),
) -> u64 {
    match session.transaction(requests, None, answer) {
        TransactionOutcome::Done(lsn) => lsn,
        other => panic!("{other:?}"),
    }
}

/// A database in memory executes the same requests; the tests of the state compare that one with a model.
#[test]
fn reopening_restores_the_content() {
    for seed in 0..12 {
        let (path, disk, mut random) = (folder(), FaultyDisk::new(), Random(seed));
        let twin = Db::open(Options::in_memory()).unwrap();
        let mut beside = twin.session();
        let (mut snapshot_keys, mut entries, mut last) = (0, 0, 0);
        for round in 0..15 {
            let (fsync, shards) = (random.of(&POLICIES), random.of(&[1, 2, 16, 64]));
            let mut options = options(path.path(), fsync, shards);
            options.compressed = random.of(&[0, 4 << 20]);
            let db = Db::open_on_disk(options, Arc::new(disk.clone())).unwrap();
            assert_eq!(content(&db), content(&twin), "seed {seed}, round {round}");
            assert_eq!((db.opened().truncated_bytes, db.stats().last_entry), (0, last));
            snapshot_keys += db.opened().snapshot_keys;
            entries += db.opened().log_entries;
            let mut session = db.session();
            for _ in 0..random.below(40) {
                let as_transaction = random.below(3) == 0;
                with_pipeline(&mut random, &LIVES, |requests| {
                    let (mut here, mut there) =
                        (vec![None; requests.len()], vec![None; requests.len()]);
                    let mut note = |at: usize, answer: Answer<'_>| {
                        here[at] = Some(format!("{answer:?}"));
                    };
                    let lsn = if as_transaction {
                        transaction(&mut session, requests, &mut note)
                    } else {
                        session.execute(requests, &mut note)
                    };
                    db.log().wait(lsn).unwrap();
                    beside.execute(requests, &mut |at, answer| {
                        there[at] = Some(format!("{answer:?}"));
                    });
                    assert_eq!(here, there);
                });
                if random.below(15) == 0 {
                    db.snapshot().unwrap();
                }
            }
            last = db.stats().last_entry;
            if random.below(2) == 0 {
                db.close().unwrap();
            }
        }
        assert!(snapshot_keys > 0 && entries > 0, "seed {seed} covers too little");
    }
}

/// Changes of a long value log the change, not the value.
#[test]
fn the_log_grows_by_the_size_of_changes() {
    let (path, disk) = (folder(), FaultyDisk::new());
    let db = open_on_disk(&disk, path.path(), Fsync::EverySecond, 64);
    db.set("a", vec![b'v'; 1 << 20]).unwrap();
    let mut session = db.session();
    let live = |expiry| Change::Expire { expiry, condition: ExpireCondition::Always, get: false };
    let rename = |from: &'static str, to: &'static str| {
        let (from, to) = (from.as_bytes(), to.as_bytes());
        Request::MultiKey(MultiKeyOp::Rename { from, to, if_absent: false })
    };
    let kind = FieldType::new(false, 33).unwrap();
    let field = |offset| Field { kind, offset, op: FieldOp::IncrementBy(1, Overflow::Wrap) };
    let requests = [
        Request::Change(b"a", Change::Append(b"tail")),
        Request::Change(b"a", Change::SetRange { offset: 7, bytes: b"part" }),
        Request::Change(b"a", Change::SetBit { offset: 4_000_000, bit: true }),
        Request::Change(b"a", Change::Fields(&[field(3), field(77), field(5_000_000)])),
        Request::Change(b"a", live(Expiry::At(FAR))),
        rename("a", "b"),
        Request::Change(b"b", live(Expiry::Never)),
        Request::Change(b"b", live(Expiry::At(FAR + 1))),
        rename("b", "{b}c"),
        rename("{b}c", "d"),
    ];
    for request in requests {
        let before = db.log().bytes();
        let lsn = session.execute(&[request], &mut |_, answer| {
            let is_made = matches!(answer, Answer::Int(_) | Answer::Done | Answer::Fields(_));
            assert!(is_made, "{answer:?}");
        });
        db.log().wait(lsn).unwrap();
        let grown = db.log().bytes() - before;
        assert!((1..500).contains(&grown), "{grown} bytes in the log for {request:?} of 1 MiB");
    }
    let wanted = content(&db);
    assert_eq!(wanted[&b"d"[..]].0.len(), (1 << 20) + 4);
    assert_eq!((wanted.len(), wanted[&b"d"[..]].1), (1, Some(FAR + 1)));
    drop((session, db));
    assert_eq!(content(&open(path.path(), 4).unwrap()), wanted);
}

/// A snapshot may contain one of the keys before the change and the other after it.
#[test]
fn keys_renamed_during_a_snapshot_are_not_lost() {
    for round in 0..10 {
        let (path, disk) = (folder(), FaultyDisk::new());
        let db = open_on_disk(&disk, path.path(), Fsync::EverySecond, 64);
        for key in 0..64 {
            db.set(format!("{key}:0"), format!("value {key}")).unwrap();
        }
        let stop = AtomicBool::new(false);
        let last = thread::scope(|scope| {
            let renames = scope.spawn(|| {
                let mut session = db.session();
                let mut turn = 0_u64;
                // Relaxed: the flag only ends the loop.
                while !stop.load(Ordering::Relaxed) {
                    for key in 0..64 {
                        let (from, to) = (format!("{key}:{turn}"), format!("{key}:{}", turn + 1));
                        let (from, to) = (from.as_bytes(), to.as_bytes());
                        let rename = MultiKeyOp::Rename { from, to, if_absent: false };
                        session.execute(&[Request::MultiKey(rename)], &mut |_, answer| {
                            assert_eq!(answer, Answer::Done);
                        });
                    }
                    turn += 1;
                }
                turn
            });
            for _ in 0..3 {
                thread::sleep(Duration::from_millis(5));
                db.snapshot().unwrap();
            }
            // Relaxed: as above.
            stop.store(true, Ordering::Relaxed);
            renames.join().unwrap()
        });
        drop(db);
        let again = open(path.path(), 64).unwrap_or_else(|why| {
            panic!("round {round}: keys renamed during a snapshot cannot be read: {why}")
        });
        let wanted = (0..64).map(|key| {
            let name = format!("{key}:{last}").into_bytes();
            (name, (format!("value {key}").into_bytes(), None))
        });
        assert_eq!(content(&again), wanted.collect::<Content>(), "keys renamed during a snapshot");
    }
}

/// Keys expire in the middle of the test: changes before and after that are replayed with the same result.
#[test]
fn keys_expire_the_same_way_in_replay() {
    for seed in 0..6_u64 {
        let (path, disk) = (folder(), FaultyDisk::new());
        let before = {
            let db = open_on_disk(&disk, path.path(), Fsync::EverySecond, 16);
            thread::scope(|scope| {
                for thread in 0..3 {
                    let (db, mut random) = (&db, Random(seed * 10 + thread));
                    scope.spawn(move || {
                        let mut session = db.session();
                        for _ in 0..300 {
                            let now = session.now();
                            let soon = [0, 1, 2, 3, 5].map(|soon| Expiry::At(now + soon));
                            let lives =
                                [&soon[..], &[Expiry::Keep, Expiry::Keep, Expiry::Never]].concat();
                            with_pipeline(&mut random, &lives, |requests| {
                                session.execute(requests, &mut |_, _| {});
                            });
                            if random.below(10) == 0 {
                                thread::sleep(Duration::from_micros(random.below(2000)));
                            }
                        }
                    });
                }
                scope.spawn(|| (0..3).for_each(|_| db.snapshot().unwrap()));
            });
            // Everything that expires soon has expired.
            thread::sleep(Duration::from_millis(8));
            content(&db)
        };
        assert!(!before.is_empty());
        for shards in [16, 1, 64] {
            assert_eq!(
                content(&open(path.path(), shards).unwrap()),
                before,
                "seed {seed}, {shards} shards"
            );
        }
    }
}

#[test]
fn time_does_not_go_back() {
    let path = folder();
    let db = open(path.path(), 4).unwrap();
    db.set("key", "5").unwrap();
    db.expire("key", Duration::from_millis(1)).unwrap();
    while db.contains_key("key").unwrap() {
        thread::yield_now();
    }
    assert_eq!(db.add("key", 1).unwrap(), 1);
    let now = db.session().now();
    drop(db);
    let db = open(path.path(), 4).unwrap();
    assert_eq!(db.get("key").unwrap().as_deref(), Some(&b"1"[..]));
    assert!(db.session().now() + 1 >= now);
}

// ------------------------------------------------------------------------------------------ crashes at every step

/// A disk that is photographed before each operation: its contents if the process dies there, and in the worst case if
/// the power fails there.
#[derive(Clone)]
struct Watched {
    disk: FaultyDisk,
    album: Arc<Mutex<Album>>,
}

#[derive(Default)]
struct Album {
    from: PathBuf,
    pictures: Vec<Picture>,
    /// The number of acknowledged changes, and of begun ones.
    acknowledged: usize,
    begun: usize,
}

struct Picture {
    folder: tempfile::TempDir,
    powerless: bool,
    step: String,
    acknowledged: usize,
    begun: usize,
}

impl Watched {
    fn new(path: &Path) -> Self {
        let album = Album { from: path.into(), ..Album::default() };
        Self { disk: FaultyDisk::new(), album: Arc::new(Mutex::new(album)) }
    }

    fn before(&self, step: &str) {
        let mut album = self.album.lock().unwrap();
        for powerless in [false, true] {
            let folder = folder();
            if powerless {
                self.disk.copy_synced(&album.from, folder.path()).unwrap();
            } else {
                for entry in fs::read_dir(&album.from).unwrap() {
                    let entry = entry.unwrap();
                    fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
                }
            }
            let (acknowledged, begun, step) = (album.acknowledged, album.begun, step.to_string());
            album.pictures.push(Picture { folder, powerless, step, acknowledged, begun });
        }
    }
}

struct WatchedFile(Watched, Arc<dyn DiskFile>);

impl DiskFile for WatchedFile {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.before("write");
        // In two steps, because the process may die between them.
        let (some, rest) = bytes.split_at(bytes.len() / 2);
        self.1.write(some)?;
        self.0.before("write the rest");
        self.1.write(rest)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.before("sync");
        self.1.sync()
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.0.before("cut");
        self.1.cut(length)
    }
}

impl Disk for Watched {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.before("create");
        Ok(Arc::new(WatchedFile(self.clone(), self.disk.create(path)?)))
    }

    fn reopen(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(WatchedFile(self.clone(), self.disk.reopen(path)?)))
    }

    fn read(&self, path: &Path) -> io::Result<File> {
        self.disk.read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(&format!("rename to {}", to.display()));
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.before(&format!("remove {}", path.display()));
        self.disk.remove(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.before("sync the folder");
        self.disk.sync_folder(folder)
    }
}

/// At every point of a crash: acknowledged changes are there, and no change is there without those before it.
#[test]
fn a_crash_at_any_step_keeps_acknowledged_changes() {
    for fsync in POLICIES {
        let path = folder();
        let watched = Watched::new(path.path());
        let (mut random, mut history) = (Random(fsync as u64), vec![Content::new()]);
        {
            // Opened more than once; the last time, the database is not closed before the pictures are taken.
            for shards in [4, 1, 16] {
                let opened = Db::open_on_disk(
                    options(path.path(), fsync, shards),
                    Arc::new(watched.clone()),
                );
                let db = opened.unwrap();
                assert_eq!(content(&db), history[history.len() - 1]);
                for _ in 0..7 {
                    let (key, value) = (random.of(&KEYS), random.of(&VALUES));
                    let mut next = history[history.len() - 1].clone();
                    watched.album.lock().unwrap().begun += 1;
                    if random.below(4) == 0 {
                        db.delete(key).unwrap();
                        next.remove(key);
                    } else {
                        let other = random.of(&KEYS);
                        db.set_all(&[(key, value), (other, b"other")]).unwrap();
                        next.insert(key.to_vec(), (value.to_vec(), None));
                        next.insert(other.to_vec(), (b"other".to_vec(), None));
                    }
                    watched.album.lock().unwrap().acknowledged += 1;
                    history.push(next);
                    if random.below(3) == 0 {
                        db.snapshot().unwrap();
                    }
                }
            }
        }
        let album = std::mem::take(&mut *watched.album.lock().unwrap());
        assert!(album.pictures.len() > 100);
        for Picture { folder, powerless, step, acknowledged, begun } in album.pictures {
            let opened = open(folder.path(), 2);
            let db =
                opened.unwrap_or_else(|why| panic!("{fsync:?}, before {step}, {powerless}: {why}"));
            let found = content(&db);
            // Otherwise a power failure loses the last acknowledged changes, but leaves a state of the past.
            let first = if powerless && fsync != Fsync::Always { 0 } else { acknowledged };
            let known = history[first..=begun].contains(&found);
            assert!(known, "{fsync:?}, before {step}, {powerless}: {found:?}");
        }
    }
}

/// Stops a test's threads, even if the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        // Relaxed: the flag only ends the loops.
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Threads write beside snapshots, and the power fails at any time. With `always`, everything acknowledged before is
/// there; otherwise, a state of the past. A snapshot never contains what the log has lost.
#[test]
fn a_power_failure_loses_nothing_acknowledged() {
    const THREADS: usize = 3;
    for (fsync, shards) in POLICIES.into_iter().zip([16, 1, 4]) {
        let (path, disk) = (folder(), FaultyDisk::new());
        let db = open_on_disk(&disk, path.path(), fsync, shards);
        let acknowledged: [AtomicU64; THREADS] = Default::default();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for (thread, known) in acknowledged.iter().enumerate() {
                let (db, stop) = (&db, &stop);
                scope.spawn(move || {
                    let (counter, value) = (format!("counter {thread}"), format!("value {thread}"));
                    // Relaxed: the flag only ends the loop.
                    for round in (1..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                        assert_eq!(db.add(&counter, 1).unwrap(), round);
                        let (tag, text) = (format!("{{tag}}{thread}"), round.to_string());
                        db.set_all(&[
                            (value.as_bytes(), text.as_bytes()),
                            (tag.as_bytes(), text.as_bytes()),
                        ])
                        .unwrap();
                        // Release: pairs with the acquire before the picture, so that picture contains this change.
                        known.store(round.unsigned_abs(), Ordering::Release);
                    }
                });
            }
            scope.spawn(|| {
                // Relaxed: as above.
                while !stop.load(Ordering::Relaxed) {
                    db.snapshot().unwrap();
                }
            });
            let _stop = Stop(&stop);
            for _ in 0..25 {
                thread::sleep(Duration::from_micros(500));
                let left = folder();
                // Acquire: pairs with the release above, so the picture taken next contains these changes.
                let known = acknowledged.each_ref().map(|known| known.load(Ordering::Acquire));
                disk.copy_synced(path.path(), left.path()).unwrap();
                let there = open(left.path(), 8).unwrap();
                for (thread, known) in known.into_iter().enumerate() {
                    let value = number(&there, &format!("value {thread}"));
                    let counter = number(&there, &format!("counter {thread}"));
                    assert!(
                        value >= known || fsync != Fsync::Always,
                        "{value} is there, {known} was acknowledged"
                    );
                    assert!(counter == value || counter == value + 1);
                    assert_eq!(
                        number(&there, &format!("{{tag}}{thread}")),
                        value,
                        "stored together"
                    );
                }
            }
        });
        // Relaxed: those threads were joined.
        assert!(acknowledged.iter().all(|known| known.load(Ordering::Relaxed) > 0));
        let before = content(&db);
        drop(db);
        assert_eq!(content(&open(path.path(), 2).unwrap()), before);
    }
}

/// Removed files come back if their removal had not reached the disk, in any combination.
#[test]
fn removed_files_may_come_back() {
    let (path, disk, before) = (folder(), FaultyDisk::new(), folder());
    let db = open_on_disk(&disk, path.path(), Fsync::Always, 4);
    for round in 0..3 {
        (0..50).for_each(|key| db.set(format!("key{key}"), format!("{round}")).unwrap());
        for entry in fs::read_dir(path.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), before.path().join(entry.file_name())).unwrap();
        }
        db.snapshot().unwrap();
    }
    db.delete("key7").unwrap();
    let wanted = content(&db);
    drop(db);
    let old: Vec<_> =
        fs::read_dir(before.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let gone: Vec<_> = old.into_iter().filter(|name| !path.path().join(name).exists()).collect();
    assert!(gone.len() >= 4, "{gone:?}");
    for back in 0..1_u32 << gone.len() {
        let left = folder();
        for entry in fs::read_dir(path.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), left.path().join(entry.file_name())).unwrap();
        }
        for (_, name) in gone.iter().enumerate().filter(|(place, _)| back >> place & 1 == 1) {
            fs::copy(before.path().join(name), left.path().join(name)).unwrap();
        }
        let db = open(left.path(), 4).unwrap();
        assert_eq!(content(&db), wanted);
        // The next snapshot removes them for good.
        db.set("more", "").unwrap();
        db.snapshot().unwrap();
        let files = fs::read_dir(left.path()).unwrap().count();
        assert_eq!(files, 4, "a log, a snapshot, the manifest and the lock");
    }
}

// ---------------------------------------------------------------------------------------------- disks that fail

/// Gives the disk space again, even if the test fails, so that its threads end.
struct Heals<'a>(&'a FaultyDisk);

impl Drop for Heals<'_> {
    fn drop(&mut self) {
        self.0.change(|faults| (faults.room, faults.cut) = (None, false));
    }
}

/// The disk is full now and then: refused changes are not made, others survive reopening, and no thread waits for ever.
#[test]
fn memory_and_log_agree_on_a_full_disk() {
    for fsync in POLICIES {
        let (path, disk) = (folder(), FaultyDisk::new());
        let db = open_on_disk(&disk, path.path(), fsync, 4);
        let stop = AtomicBool::new(false);
        let work = |thread: usize| {
            let mut done = 0;
            // Relaxed: the flag only ends the loop.
            while !stop.load(Ordering::Relaxed) {
                match db.add(format!("counter {thread}"), 1) {
                    Ok(sum) => {
                        done += 1;
                        assert_eq!(sum, done);
                    }
                    // It was rolled back, or not begun.
                    Err(
                        Error::Request(RequestError::LogUnavailable)
                        | Error::Log(LogError::RolledBack),
                    ) => {}
                    Err(why) => panic!("{why}"),
                }
                let known = db.get(format!("counter {thread}")).unwrap().unwrap_or_default();
                let wanted = if done == 0 { String::new() } else { done.to_string() };
                assert_eq!(
                    String::from_utf8(known).unwrap(),
                    wanted,
                    "only committed changes are shown"
                );
                let appended = db.append(format!("all {}", done / 100), [b'x'; 20]);
                assert!(matches!(
                    appended,
                    Ok(_)
                        | Err(Error::Request(RequestError::LogUnavailable)
                            | Error::Log(LogError::RolledBack))
                ));
                thread::sleep(Duration::from_micros(20));
            }
            done
        };
        let done: Vec<i64> = thread::scope(|scope| {
            let (work, ends) = (&work, Stop(&stop));
            for thread in 0..2 {
                let (db, stop) = (&db, &stop);
                scope.spawn(move || {
                    let mut shown = 0;
                    // Relaxed: as above.
                    while !stop.load(Ordering::Relaxed) {
                        let now = number(db, &format!("counter {thread}"));
                        assert!(now >= shown, "{shown} was acknowledged and rolled back: {now}");
                        shown = now;
                    }
                });
            }
            let workers: Vec<_> = (0..3).map(|thread| scope.spawn(move || work(thread))).collect();
            for round in 0..8 {
                let heals = Heals(&disk);
                disk.change(|faults| {
                    (faults.room, faults.cut) = (Some(round * 23), round % 2 == 0);
                });
                while db.log().writable() {
                    thread::sleep(Duration::from_micros(100));
                }
                // A refused change waits for no log entry.
                let refused = [Request::Change(b"all 0", plain_set(b""))];
                assert_eq!(db.session().execute(&refused, &mut |_, _| {}), 0);
                assert!(db.snapshot().is_err());
                drop(heals);
                let last = db.stats().last_entry;
                while db.stats().last_entry < last + 20 {
                    thread::sleep(Duration::from_micros(100));
                }
            }
            db.snapshot().unwrap();
            drop(ends);
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        let before = content(&db);
        for (thread, done) in done.into_iter().enumerate() {
            assert_eq!(number(&db, &format!("counter {thread}")), done.unsigned_abs());
        }
        drop(db);
        assert_eq!(content(&open(path.path(), 4).unwrap()), before);
    }
}

/// A read meets a rollback as late as possible: its answer is not shown, although the change that it saw is gone.
#[test]
fn a_read_that_meets_a_rollback_is_not_shown() {
    let (path, disk) = (folder(), FaultyDisk::new());
    let db = open_on_disk(&disk, path.path(), Fsync::Never, 1);
    db.set("key", "old").unwrap();
    let last = db.session().execute(&[Request::Change(b"key", plain_set(b"new"))], &mut |_, _| {});
    disk.change(|faults| faults.room = Some(0));
    let _heals = Heals(&disk);
    thread::scope(|scope| {
        let mut session = db.session();
        let read = [Request::Read(b"key", Query::Value), Request::Read(b"key", Query::Exists)];
        let lsn = session.execute(&read[..1], &mut |_, answer| {
            assert_eq!(answer, Answer::Bytes(b"new"));
            scope.spawn(|| db.log().commit(last));
            // The rollback has its number, and soon waits only for this read.
            while db.stats().last_entry == last {
                thread::yield_now();
            }
            thread::sleep(Duration::from_millis(200));
        });
        let shown = db.log().wait(lsn);
        assert!(shown.is_err(), "a rolled-back value is shown: entry {lsn} counts as committed");
        let lsn = session.execute(&read, &mut |_, answer| {
            assert!(matches!(answer, Answer::Bytes(b"old") | Answer::Int(1)), "{answer:?}");
        });
        db.log().wait(lsn).unwrap();
    });
}

/// A disk fails to store the log: all changes that may be lost get an error, and so do later ones.
#[test]
fn changes_that_may_be_lost_are_not_acknowledged() {
    let (path, disk) = (folder(), FaultyDisk::new());
    let db = open_on_disk(&disk, path.path(), Fsync::Always, 4);
    db.set("key", "kept").unwrap();
    disk.change(|faults| faults.sync = true);
    assert!(matches!(db.set("key", "lost"), Err(Error::Log(LogError::Sync(_)))));
    disk.change(|faults| faults.sync = false);
    for _ in 0..20 {
        assert!(!db.log().writable() && db.set("key", "no").is_err() && db.add("key", 1).is_err());
        // Changes that may be lost are not shown either; committed ones are.
        let mut session = db.session();
        let lsn = session.execute(&[Request::Read(b"key", Query::Value)], &mut |_, answer| {
            assert_eq!(answer, Answer::Bytes(b"kept"), "only committed changes are shown");
        });
        db.log().wait(lsn).unwrap();
        assert_eq!(db.get("key").unwrap().as_deref(), Some(&b"kept"[..]));
        assert!(db.contains_key("key").unwrap() && db.snapshot().is_err());
        thread::sleep(Duration::from_millis(1));
    }
    let left = folder();
    disk.copy_synced(path.path(), left.path()).unwrap();
    assert_eq!(open(left.path(), 4).unwrap().get("key").unwrap().as_deref(), Some(&b"kept"[..]));
}

/// Changes that the log could not write before it was closed are not shown.
#[test]
fn changes_that_were_never_written_are_not_shown() {
    let (path, disk) = (folder(), FaultyDisk::new());
    let db = open_on_disk(&disk, path.path(), Fsync::Never, 4);
    db.session().execute(&[Request::Change(b"key", plain_set(b"lost"))], &mut |_, _| {});
    disk.change(|faults| faults.room = Some(0));
    assert!(matches!(db.close(), Err(Error::Log(LogError::Write(_)))));
    let found = db.get("key");
    assert!(matches!(found, Err(Error::Log(LogError::Closed))), "a lost value is shown: {found:?}");
}

#[test]
fn a_closed_database_refuses_changes() {
    for fsync in POLICIES {
        let path = folder();
        let db = open_on_disk(&FaultyDisk::new(), path.path(), fsync, 4);
        db.set("key", "value").unwrap();
        db.close().unwrap();
        assert!(matches!(db.set("key", "no"), Err(Error::Request(RequestError::LogUnavailable))));
        assert_eq!(db.get("key").unwrap().as_deref(), Some(&b"value"[..]));
        drop(db);
        assert_eq!(
            open(path.path(), 4).unwrap().get("key").unwrap().as_deref(),
            Some(&b"value"[..])
        );
    }
}
