//! builds: default
//!
//! The server over disks that are full, that lose data, or whose files are removed: no client waits for ever, committed
//! data can be read, and acknowledged changes survive a restart.

#[cfg(target_os = "linux")]
mod support;

use hedgerow_db::log::Fsync;
use hedgerow_db::log::disk::{Disk, DiskFile, SystemDisk};
use hedgerow_db::log::faults::{Faults, FaultyDisk};
use hedgerow_db::server::{Address, Loading, ServerConfig};
use hedgerow_db::{Db, Options, Progress};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{LIMIT, Running, until};

const POLICIES: [Fsync; 3] = [Fsync::Always, Fsync::EverySecond, Fsync::Never];

/// A directory in memory if possible: no test here needs a disk.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn options(path: &Path, fsync: Fsync) -> Options {
    let mut options = Options::at(path);
    (options.fsync, options.shards, options.snapshot_after) = (fsync, 8, 0);
    options
}

/// The reply to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reply {
    /// A line, a string or a number.
    Text(String),
    Nothing,
    Several(Vec<Reply>),
    /// The server closed the connection.
    Closed,
}

impl Reply {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Text(text) if text.starts_with("-MISCONF"))
    }
}

/// A client for inline commands.
struct Client(BufReader<TcpStream>);

impl Client {
    fn new(server: &Running) -> Self {
        let stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, text: &str) {
        // If the server has closed the connection, reading the reply shows it.
        let _ = self.0.get_mut().write_all(format!("{text}\r\n").as_bytes());
    }

    #[track_caller]
    fn reply(&mut self, to: &str) -> Reply {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => return Reply::Closed,
            Ok(_) => {}
            Err(why) if why.kind() == std::io::ErrorKind::ConnectionReset => return Reply::Closed,
            Err(why) => panic!("a client waits for ever for the reply to {to:.60?}: {why}"),
        }
        let line = line.trim_end();
        let length = || line[1..].parse::<usize>().ok();
        match line.as_bytes()[0] {
            b'$' | b'*' if line == "$-1" || line == "*-1" => Reply::Nothing,
            b'$' => {
                let mut bytes = vec![0; length().unwrap() + 2];
                self.0.read_exact(&mut bytes).unwrap();
                bytes.truncate(bytes.len() - 2);
                Reply::Text(String::from_utf8(bytes).unwrap())
            }
            b'*' => Reply::Several((0..length().unwrap()).map(|_| self.reply(to)).collect()),
            _ => Reply::Text(line.to_owned()),
        }
    }

    #[track_caller]
    fn request(&mut self, text: &str) -> Reply {
        self.send(text);
        self.reply(text)
    }
}

fn text(text: &str) -> Reply {
    Reply::Text(text.to_owned())
}

type Content = BTreeMap<String, String>;

/// Reads all keys and values in several ways, which must agree.
#[track_caller]
fn content(server: &Running) -> Content {
    let mut client = Client::new(server);
    let Reply::Several(keys) = client.request("KEYS *") else { panic!("no reply to KEYS") };
    let mut content = Content::new();
    for key in keys {
        let Reply::Text(key) = key else { panic!("{key:?} is not a key") };
        match client.request(&format!("GET {key}")) {
            Reply::Text(value) => drop(content.insert(key, value)),
            reply => panic!("GET {key} replies {reply:?}"),
        }
    }
    let mut scanned = 0;
    let mut from = text("0");
    while scanned == 0 || from != text("0") {
        let Reply::Text(cursor) = from else { panic!("a cursor") };
        let Reply::Several(part) = client.request(&format!("SCAN {cursor} COUNT 1000")) else {
            panic!("no reply to SCAN")
        };
        let [next, Reply::Several(keys)] = &part[..] else { panic!("{part:?}") };
        (from, scanned) = (next.clone(), scanned + keys.len());
    }
    assert_eq!(scanned, content.len(), "SCAN and KEYS agree");
    assert_eq!(client.request("DBSIZE"), text(&format!(":{scanned}")));
    content
}

/// Changes that may meet a full disk. Some change a key more than once.
const CHANGES: [&str; 13] = [
    "SET k1 other",
    "SET new value",
    "APPEND k2 tail",
    "INCR n",
    "DEL k3 k4 k5 k6",
    "EXPIRE k7 1000",
    "MSET k8 other new value k9 other",
    "RENAME k10 k11",
    // Both names are in one shard, so the compressed value is passed on.
    "RENAME k10 {k10}new",
    "GETEX k8 EX 100\r\nRENAME k8 k9\r\nEXPIRE k9 200\r\nRENAME k9 new\r\nSET k8 other",
    "EXPIRE k7 100\r\nPERSIST k7\r\nAPPEND k7 tail\r\nAPPEND k7 tail\r\nSETRANGE k7 3 xyz",
    "SET new a\r\nAPPEND new b\r\nDEL new\r\nSET new c\r\nINCR n\r\nINCR n\r\nSETRANGE k1 1 x\r\nGETDEL k12",
    "FLUSHALL\r\nSET new value",
];

fn fill(client: &mut Client) {
    for key in 0..100 {
        // Some are long enough to be compressed.
        let rest = if (7..12).contains(&key) {
            "rose ".repeat(20).replace(' ', "-")
        } else {
            String::new()
        };
        assert_eq!(client.request(&format!("SET k{key} value{key}{rest}")), text("+OK"));
    }
    assert_eq!(client.request("SET n 7"), text("+OK"));
}

/// For each change that meets a full disk: its client gets an error, other clients go on reading committed data,
/// changes are refused, and everything recovers by itself when there is space.
#[test]
fn a_full_disk_blocks_no_client() {
    for fsync in POLICIES {
        let (path, disk) = (folder(), FaultyDisk::new());
        let mut options = options(path.path(), fsync);
        options.compressed = if fsync == Fsync::Never { 0 } else { 4 << 20 };
        let db = Db::open_on_disk(options.clone(), Arc::new(disk.clone())).unwrap();
        let server = Running::over(db, |_| {});
        let (mut writer, mut reader) = (Client::new(&server), Client::new(&server));
        fill(&mut writer);
        let before = content(&server);
        for (round, change) in CHANGES.iter().enumerate() {
            // A part of it fits, and may be on the disk.
            disk.change(|faults| {
                (faults.room, faults.cut) = (Some(round as u64 % 4 * 9), round % 3 == 1);
            });
            let mut unlucky = Client::new(&server);
            unlucky.send(change);
            let met = unlucky.reply(change);
            assert!(met.is_refusal(), "{change:?} got no error after the rollback: {met:?}");
            assert_eq!(content(&server), before, "{change:?} was not committed, {fsync:?}");
            assert_eq!(reader.request("TTL k7"), text(":-1"), "{fsync:?}");
            assert!(writer.request("SET k1 refused").is_refusal());
            assert!(!server.watcher.is_ready() && server.watcher.log_fails());
            disk.change(|faults| (faults.room, faults.cut) = (None, false));
            until(|| server.watcher.is_ready());
            assert_eq!(content(&server), before, "{change:?} is not restored");
            // The log continues after the rollback.
            assert_eq!(writer.request("INCR n"), text(":8"));
            assert_eq!(writer.request("DECR n"), text(":7"));
        }
        drop((writer, reader));
        server.end();
        let db = Db::open(options).unwrap();
        assert_eq!(db.opened().truncated_bytes, 0);
        let server = Running::over(db, |_| {});
        assert_eq!(content(&server), before, "after a restart, {fsync:?}");
    }
}

/// For each operation that the disk refuses, during changes or snapshots: every request is answered, and acknowledged
/// changes survive a restart.
#[test]
fn every_request_is_answered_whatever_the_disk_refuses() {
    type Fault = (&'static str, fn(&mut Faults));
    let faults: [Fault; 6] = [
        ("sync", |faults| faults.sync = true),
        ("sync_folder", |faults| faults.sync_folder = true),
        ("create", |faults| faults.create = true),
        ("rename", |faults| faults.rename = true),
        ("room", |faults| faults.room = Some(60)),
        ("cut", |faults| (faults.room, faults.cut) = (Some(60), true)),
    ];
    for (fault, change) in faults {
        for fsync in POLICIES {
            let (path, disk) = (folder(), FaultyDisk::new());
            let db = Db::open_on_disk(options(path.path(), fsync), Arc::new(disk.clone())).unwrap();
            let server = Running::over(db, |_| {});
            fill(&mut Client::new(&server));
            let mut known = content(&server);
            disk.change(change);
            for round in 0..10 {
                // A snapshot first, or changes.
                if round % 2 == 1 {
                    let saved = Client::new(&server).request("SAVE");
                    let failed = matches!(&saved, Reply::Text(why) if why.starts_with("-ERR "));
                    assert!(failed || saved == text("+OK"), "{fault}, {fsync:?}: SAVE: {saved:?}");
                }
                let mut client = Client::new(&server);
                match client.request(&format!("SET k{round} new{round}")) {
                    Reply::Text(ok) if ok == "+OK" => {
                        known.insert(format!("k{round}"), format!("new{round}"));
                    }
                    refused => {
                        let reply = refused == Reply::Closed || refused.is_refusal();
                        assert!(reply, "{fault}, {fsync:?}: SET: {refused:?}");
                    }
                }
                assert_eq!(content(&server), known, "{fault}, {fsync:?}");
            }
            disk.change(|faults| *faults = Faults::default());
            server.end();
            let db = Db::open(options(path.path(), fsync)).unwrap();
            let server = Running::over(db, |_| {});
            // A change that was not acknowledged may still be on the disk.
            let found = content(&server);
            for (key, value) in &known {
                let there = &found[key];
                let late = there.starts_with("new") && value.starts_with("value");
                assert!(
                    there == value || late,
                    "{fault}, {fsync:?}: {key} is {there}, not {value}"
                );
            }
            server.end();
        }
    }
}

/// A disk that blocks the writing of snapshots while one lock is held, and syncs of the log while the other is.
#[derive(Clone, Default)]
struct Slow {
    snapshots: Arc<Mutex<()>>,
    syncs: Arc<Mutex<()>>,
}

struct SlowFile {
    file: Arc<dyn DiskFile>,
    writing: Arc<Mutex<()>>,
    syncing: Arc<Mutex<()>>,
}

impl DiskFile for SlowFile {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        drop(self.writing.lock());
        self.file.write(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        drop(self.syncing.lock());
        self.file.sync()
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.file.cut(length)
    }
}

impl Slow {
    fn of(&self, path: &Path, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let (free, slow) = (Arc::default(), self.clone());
        let is_snapshot = path.ends_with("snapshot.new");
        let (writing, syncing) =
            if is_snapshot { (slow.snapshots, free) } else { (free, slow.syncs) };
        Arc::new(SlowFile { file, writing, syncing })
    }
}

impl Disk for Slow {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.of(path, SystemDisk.create(path)?))
    }

    fn reopen(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.of(path, SystemDisk.reopen(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<File> {
        SystemDisk.read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        SystemDisk.list(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        SystemDisk.sync_folder(folder)
    }
}

/// While a snapshot is being written, keys expire and no other snapshot starts, however often one is requested.
#[test]
fn a_snapshot_blocks_nothing() {
    const OFTEN: usize = 2000;
    let (path, disk) = (folder(), Slow::default());
    let mut options = options(path.path(), Fsync::Never);
    options.snapshot_after = 1;
    let held = disk.snapshots.lock().unwrap();
    let db = Db::open_on_disk(options, Arc::new(disk.clone())).unwrap();
    let server = Running::over(db.clone(), |_| {});
    let mut client = Client::new(&server);
    // Drops first if the test fails: the database waits for its snapshot.
    let held = held;
    // The log has grown, so a snapshot starts automatically.
    until(|| db.stats().snapshot_in_progress);
    for key in 0..50 {
        assert_eq!(client.request(&format!("SET k{key} value PX 1")), text("+OK"));
    }
    let began = Instant::now();
    while db.stats().keys != 0 {
        assert!(began.elapsed() < LIMIT, "expired keys stay while a snapshot is written");
        std::thread::sleep(Duration::from_millis(5));
    }
    let running = text("-ERR Background save already in progress");
    client.send(&vec!["BGSAVE"; OFTEN].join("\r\n"));
    for _ in 0..OFTEN {
        assert_eq!(client.reply("BGSAVE"), running, "one snapshot at a time");
    }
    assert_eq!(client.request("SAVE"), running);
    assert_eq!(client.request("BGSAVE SCHEDULE"), text("+Background saving scheduled"));
    let Reply::Text(info) = client.request("INFO persistence") else { panic!("no reply to INFO") };
    assert!(info.contains("rdb_bgsave_in_progress:1"), "{info}");
    drop(held);
    until(|| !db.stats().snapshot_in_progress);
    assert!(!db.stats().snapshot_failed && db.stats().last_snapshot_at > 0);
    // Also one at a time when snapshots are quick: each client gets one of the two replies.
    client.send(&vec!["BGSAVE"; OFTEN].join("\r\n"));
    for _ in 0..OFTEN {
        let reply = client.reply("BGSAVE");
        assert!(reply == running || reply == text("+Background saving started"), "{reply:?}");
    }
    let threads = saving_threads();
    assert!(threads <= 10, "{threads} threads write snapshots");
    drop(client);
    server.end();
}

/// Under `always` changes wait for a sync. While the disk hangs in one, the server takes few more of them.
#[test]
fn a_hanging_sync_does_not_fill_the_memory() {
    let (path, disk) = (folder(), Slow::default());
    let db = Db::open_on_disk(options(path.path(), Fsync::Always), Arc::new(disk.clone())).unwrap();
    let server = Running::over(db, |_| {});
    // Dropped first if the test fails: the database waits for its log.
    let hangs = disk.syncs.lock().unwrap();
    let mut client = Client::new(&server);
    let (value, number) = ("v".repeat(1 << 20), 200);
    let change = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{value}\r\n", value.len());
    let pipeline = change.repeat(number);
    let mut stream = client.0.get_ref();
    stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut sent = 0;
    while let Some(rest) = pipeline.as_bytes().get(sent..).filter(|rest| !rest.is_empty()) {
        let Ok(written) = stream.write(&rest[..rest.len().min(1 << 20)]) else { break };
        sent += written;
    }
    // The system's buffers of the connection are counted, too.
    assert!(sent < 64 << 20, "the server took {sent} bytes of changes that no disk has");
    drop(hangs);
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream.write_all(&pipeline.as_bytes()[sent..]).expect("the server takes changes again");
    for _ in 0..number {
        assert_eq!(client.reply("SET"), text("+OK"));
    }
    drop(client);
    server.end();
}

/// Counts the threads of this process that write snapshots, on Linux. Other tests' threads do not count: each database
/// has one.
fn saving_threads() -> usize {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0 };
    let name = |task: io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.ok()?.path().join("comm")).ok()
    };
    tasks.filter_map(name).filter(|name| name.starts_with("hedgerow-db-sav")).count()
}

/// Someone removes the directory or replaces it: changes that would not be found again are not acknowledged.
#[cfg(unix)]
#[test]
fn a_removed_directory_is_noticed() {
    for fsync in POLICIES {
        let base = folder();
        let path = base.path().join("data");
        let server = Running::over(Db::open(options(&path, fsync)).unwrap(), |_| {});
        let (mut writer, mut reader) = (Client::new(&server), Client::new(&server));
        fill(&mut writer);
        if fsync == Fsync::Never {
            std::fs::rename(&path, base.path().join("elsewhere")).unwrap();
        } else {
            std::fs::remove_dir_all(&path).unwrap();
        }
        if fsync == Fsync::Always {
            assert!(writer.request("SET k1 lost").is_refusal(), "nothing is acknowledged");
            assert_eq!(reader.request("GET k1"), text("value1"));
        } else {
            until(|| server.watcher.log_fails());
        }
        assert!(Client::new(&server).request("SET k1 refused").is_refusal());
        assert_eq!(content(&server).len(), 101, "its data can be read and saved elsewhere");
        assert!(!server.watcher.is_ready());
        server.end();
    }
}

/// Replaces all files of a folder by copies, as rsync does.
fn replace_files(path: &Path) {
    for entry in std::fs::read_dir(path).unwrap() {
        let file = entry.unwrap().path();
        let copy = file.with_extension("copy");
        std::fs::copy(&file, &copy).unwrap();
        std::fs::rename(&copy, &file).unwrap();
    }
}

/// Appends to the log as another server does that has opened it.
fn append_to_log(path: &Path) {
    let log = path.join("log-00000000000000000001");
    let mut log = File::options().append(true).open(log).unwrap();
    log.write_all(b"an entry").unwrap();
}

/// Locks the folder as another server does after the file was removed.
fn lock_anew(path: &Path) -> File {
    std::fs::remove_file(path.join("lock")).unwrap();
    let other = File::create(path.join("lock")).unwrap();
    rustix::fs::flock(&other, rustix::fs::FlockOperation::LockExclusive).unwrap();
    other
}

/// A copying program or another server is at work in the directory: what it does not keep is not acknowledged.
#[cfg(unix)]
#[test]
fn a_directory_that_others_change_is_noticed() {
    for fsync in POLICIES {
        for (how, said) in
            [(0, "removed or replaced"), (1, "another process"), (2, "another process")]
        {
            let base = folder();
            let path = base.path().join("data");
            let db = Db::open(options(&path, fsync)).unwrap();
            let server = Running::over(db.clone(), |_| {});
            let mut writer = Client::new(&server);
            fill(&mut writer);
            let _locked = match how {
                0 => (replace_files(&path), None).1,
                1 => (append_to_log(&path), None).1,
                _ => Some(lock_anew(&path)),
            };
            if fsync == Fsync::Always {
                assert!(writer.request("SET k1 lost").is_refusal(), "nothing is acknowledged");
            } else {
                until(|| server.watcher.log_fails());
            }
            let why = db.log().sync().unwrap_err().to_string();
            assert!(why.contains(said), "{why}");
            assert!(Client::new(&server).request("SET k1 refused").is_refusal());
            assert_eq!(content(&server).len(), 101, "its data can be read and saved elsewhere");
            server.end();
        }
    }
}

/// Nothing is written to a directory that has taken the place of the database's.
#[cfg(unix)]
#[test]
fn a_snapshot_goes_to_no_other_directory() {
    for fsync in POLICIES {
        let base = folder();
        let path = base.path().join("data");
        let db = Db::open(options(&path, fsync)).unwrap();
        db.set("rose", "red").unwrap();
        db.log().sync().unwrap();
        std::fs::rename(&path, base.path().join("elsewhere")).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(db.snapshot().is_err(), "a snapshot is written to another directory");
        assert!(db.log().sync().is_err(), "a lost log is synced");
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0, "another directory is changed");
    }
}

/// A slow disk, here a pipe in place of the log: clients that connect learn that the data is being loaded, and how far
/// it is.
#[cfg(target_os = "linux")]
#[test]
fn clients_get_loading_errors_while_the_data_is_loaded() {
    /// Kills the program, even if the test fails.
    struct Ends(std::process::Child);
    impl Drop for Ends {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (data, socket) = (folder.path().join("data"), folder.path().join("socket"));
    std::fs::create_dir(&data).unwrap();
    let log = data.join("log-00000000000000000001");
    assert!(std::process::Command::new("mkfifo").arg(&log).status().unwrap().success());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_hedgerow-db"));
    program.args(["--port", "0", "--threads", "1", "--metrics-port", &free.to_string()]);
    program.arg("--unixsocket").arg(&socket).arg("--dir").arg(&data);
    program.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let _ends = Ends(program.spawn().unwrap());
    let began = Instant::now();
    let mut client = loop {
        match std::os::unix::net::UnixStream::connect(&socket) {
            Ok(client) => break client,
            Err(why) => assert!(began.elapsed() < LIMIT, "clients cannot connect: {why}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    client.set_read_timeout(Some(LIMIT)).unwrap();
    let loading = "-LOADING hedgerow-db is loading the dataset in memory\r\n";
    client.write_all(b"PING\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nINFO\r\n").unwrap();
    let mut got = String::new();
    let mut bytes = [0; 1024];
    while !got.contains("loading_eta_seconds:") {
        let some = client.read(&mut bytes).unwrap();
        got.push_str(&String::from_utf8_lossy(&bytes[..some]));
    }
    assert!(got.starts_with(&loading.repeat(2)), "{got}");
    assert!(got.contains("\r\nloading:1\r\n") && got.contains("loading_loaded_perc:0.00"), "{got}");
    let http = |path: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", free)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let ask = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    let ready = http("/readyz");
    assert!(ready.contains(" 503 ") && ready.contains("not ready: loading: 0 %"), "{ready}");
    let metrics = http("/metrics");
    assert!(metrics.contains("hedgerow_db_loading 1") && metrics.contains("hedgerow_db_ready 0"));
    assert!(http("/livez").contains(" 200 "));
}

/// When the data is loaded, connected clients stay connected, and half requests end.
#[test]
fn early_clients_are_served_when_the_data_is_loaded() {
    let mut config = ServerConfig::default();
    config.threads = 2;
    let progress = Arc::new(Progress::default());
    let loading = Loading::start(config, Arc::clone(&progress)).unwrap();
    let Address::Tcp(address) = loading.addresses()[0] else { panic!("TCP is first") };
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Client(BufReader::new(stream))
    };
    let reply = text("-LOADING hedgerow-db is loading the dataset in memory");
    let mut early: Vec<Client> = (0..5).map(|_| connect()).collect();
    for client in &mut early {
        assert_eq!(client.request("SET k v"), reply);
        assert_eq!(client.request("SET \"k\" v"), reply);
    }
    let mut half = connect();
    assert_eq!(half.request("PING"), reply);
    half.0.get_mut().write_all(b"*2\r\n$3\r\nGET\r\n").unwrap();
    let mut long = connect();
    let _ = long.0.get_mut().write_all(&support::command(&[b"SET", b"k", &vec![b'v'; 1 << 20]]));
    assert_eq!(long.reply("SET"), reply, "an incomplete request gets a reply");
    let mut wrong = connect();
    wrong.0.get_mut().write_all(b"*1\r\n:").unwrap();
    assert!(matches!(wrong.reply(""), Reply::Text(error) if error.contains("Protocol error")));
    let mut leaves = connect();
    assert_eq!((leaves.request("QUIT"), leaves.reply("")), (text("+OK"), Reply::Closed));
    // The server has read the half request.
    std::thread::sleep(Duration::from_millis(100));
    let server = loading.finish(Db::open(Options::in_memory()).unwrap(), None).unwrap();
    let stopper = server.stop_handle();
    let running = std::thread::spawn(|| server.run());
    assert_eq!(half.reply("GET"), Reply::Closed);
    early.push(connect());
    for client in &mut early {
        assert_eq!(client.request("PING"), text("+PONG"), "an early client is served");
    }
    drop(early);
    stopper.stop();
    running.join().unwrap().unwrap();
}

/// Loaded bytes are counted up to the total.
#[test]
fn progress_of_loading_is_counted() {
    let path = folder();
    let value = [b'x'; 1000];
    for round in 0..2 {
        let progress = Progress::default();
        let db = Db::open_with_progress(options(path.path(), Fsync::Never), &progress).unwrap();
        if round == 0 {
            assert_eq!((progress.total(), progress.done()), (0, 0));
            (0..3000).for_each(|key| db.set(format!("snapshot{key}"), value).unwrap());
            db.snapshot().unwrap();
            (0..3000).for_each(|key| db.set(format!("log{key}"), value).unwrap());
        } else {
            assert!(progress.total() > 6_000_000 && progress.percent() > 60.0, "{progress:?}");
        }
    }
}

/// A small file system, unmounted when dropped.
#[cfg(target_os = "linux")]
struct Small(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl Small {
    /// `None` if this process may not mount one.
    fn mount(size: &str) -> Option<Self> {
        let at = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]).arg(at.path());
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self(at)),
            failed => {
                hedgerow_db_engine::not_run::not_run(&format!(
                    "no file system can be mounted: {failed:?}"
                ));
                None
            }
        }
    }
}

#[cfg(target_os = "linux")]
impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// The same as above, on a real file system of 1 MiB that others fill as well.
#[cfg(target_os = "linux")]
#[test]
fn a_small_file_system_blocks_no_client() {
    let Some(small) = Small::mount("1m") else { return };
    let at = small.0.path();
    for fsync in POLICIES {
        let path = at.join(format!("{fsync:?}"));
        let server = Running::over(Db::open(options(&path, fsync)).unwrap(), |_| {});
        let mut writer = Client::new(&server);
        fill(&mut writer);
        let mut kept = content(&server);
        let value = "x".repeat(10_000);
        let began = Instant::now();
        let mut number = 0;
        loop {
            number += 1;
            let key = format!("long{number}");
            match writer.request(&format!("SET {key} {value}")) {
                Reply::Text(ok) if ok == "+OK" => drop(kept.insert(key, value.clone())),
                Reply::Closed => break,
                reply if reply.is_refusal() => break,
                reply => panic!("{reply:?}"),
            }
            assert!(number < 200, "1 MiB is full");
        }
        assert_eq!(content(&server), kept, "committed data can be read, {fsync:?}");
        let mut writer = Client::new(&server);
        assert!(writer.request("SET more value").is_refusal());
        // Space becomes available only when it is made.
        std::thread::sleep(Duration::from_millis(300));
        assert!(writer.request("SET more value").is_refusal());
        // Only a snapshot of fewer keys takes less space than before; here others free space.
        let other = at.join("other");
        assert!(!other.exists());
        server.end();
        assert!(began.elapsed() < LIMIT, "no client waits: {:?}", began.elapsed());
        // There may be too little space to open the database. If there is enough, nothing is lost.
        if let Ok(db) = Db::open(options(&path, fsync)) {
            let server = Running::over(db, |_| {});
            assert_eq!(content(&server), kept, "committed data is restored, {fsync:?}");
            server.end();
        }
        std::fs::remove_dir_all(&path).unwrap();
    }
    // Another program's file fills the disk, and is removed.
    let path = at.join("shared");
    let server = Running::over(Db::open(options(&path, Fsync::EverySecond)).unwrap(), |_| {});
    let mut writer = Client::new(&server);
    fill(&mut writer);
    let mut other = std::fs::File::create(at.join("other")).unwrap();
    while other.write_all(&[0; 4096]).is_ok() {}
    let before = content(&server);
    // The page that the log has begun may still take a change.
    let value = "x".repeat(10_000);
    let met = writer.request(&format!("SET k1 {value}"));
    assert!(met == Reply::Closed || met.is_refusal(), "{met:?}");
    assert_eq!(content(&server), before);
    std::fs::remove_file(at.join("other")).unwrap();
    drop(other);
    until(|| server.watcher.is_ready());
    let mut writer = Client::new(&server);
    assert_eq!(writer.request("SET k1 value"), text("+OK"));
    server.end();
    let server = Running::over(Db::open(options(&path, Fsync::EverySecond)).unwrap(), |_| {});
    assert_eq!(Client::new(&server).request("GET k1"), text("value"));
    server.end();
}
