//! builds: default
//!
//! Data that moves between redis-server and the program, in both directions: files, and payloads of `DUMP`. Left out if
//! redis-server is not installed.
#![cfg(unix)]

#[cfg(feature = "tls")]
#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/random.rs"]
mod random;

use hedgerow_db_engine::not_run::not_run;
use random::Random;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A server in a directory of its own, with a socket. Dropping it kills the process.
struct Server {
    child: Child,
    socket: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client: its replies are bulk strings, or one line.
struct Client(BufReader<UnixStream>);

impl Client {
    fn ask(&mut self, words: &[&[u8]]) -> Option<Vec<u8>> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend(format!("${}\r\n", word.len()).bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        self.0.get_mut().write_all(&request).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let Some(length) = line.strip_prefix('$') else { return Some(line.trim_end().into()) };
        let length = length.trim_end().parse::<usize>().ok()?;
        let mut bytes = vec![0; length + 2];
        self.0.read_exact(&mut bytes).unwrap();
        bytes.truncate(length);
        Some(bytes)
    }

    fn done(&mut self, words: &[&[u8]]) {
        let reply = self.ask(words).unwrap();
        assert!(!reply.starts_with(b"-"), "{}", String::from_utf8_lossy(&reply));
    }
}

impl Server {
    fn start(mut command: Command, folder: &Path) -> Option<Self> {
        let socket = folder.join("socket");
        command.args(["--port", "0", "--dir", ".", "--unixsocket", "socket"]).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().ok()?;
        let server = Self { child, socket };
        let begin = Instant::now();
        while server
            .connect()
            .is_none_or(|mut client| client.ask(&[b"PING"]) != Some(b"+PONG".into()))
        {
            assert!(begin.elapsed() < Duration::from_secs(60), "the server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }

    fn redis(folder: &Path, flags: &[&str]) -> Option<Self> {
        let mut command = Command::new("redis-server");
        command.args(flags);
        let server = Self::start(command, folder);
        if server.is_none() {
            not_run("no redis-server (apt-get install redis-server)");
        }
        server
    }

    fn own(folder: &Path) -> Self {
        Self::start(program(), folder).unwrap()
    }

    fn connect(&self) -> Option<Client> {
        let stream = UnixStream::connect(&self.socket).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Some(Client(BufReader::new(stream)))
    }

    fn client(&self) -> Client {
        self.connect().unwrap()
    }

    /// Ends the server, which writes all that it has to write.
    fn shut_down(mut self, how: &[u8]) {
        let mut client = self.client();
        client.0.get_mut().write_all(&[b"SHUTDOWN ", how, b"\r\n"].concat()).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_hedgerow-db"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HEDGEROW_DB_") {
            program.env_remove(name);
        }
    }
    program
}

fn run(folder: &Path, words: &[&str]) -> Output {
    program().args(words).current_dir(folder).output().unwrap()
}

#[track_caller]
fn succeeds(folder: &Path, words: &[&str]) -> String {
    let output = run(folder, words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

const LIBRARY: &[u8] = b"#!lua name=l\nredis.register_function('f', function() return 1 end)";

type Content = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

/// Returns keys with values of all kinds, some with an expiration far away.
fn content(seed: u64) -> Content {
    let mut random = Random(seed);
    let mut content = Content::new();
    for number in 0..400 {
        let length = if number == 0 { 100_000 } else { random.below(300) as usize };
        let value = match number % 4 {
            0 => (0..length).map(|_| random.below(256) as u8).collect(),
            1 => (0..length).map(|_| random.of(b"ab")).collect(),
            2 => (random.below(1 << 40).cast_signed() >> random.below(40)).to_string().into_bytes(),
            _ => b"roses are red, ".repeat(length / 10),
        };
        let ends = (number % 3 == 0).then(|| 4_102_444_800_000 + random.below(1000));
        content.insert(format!("key {number}\r\n\0").into_bytes(), (value, ends));
    }
    content
}

fn fill(client: &mut Client, content: &Content) {
    for (key, (value, ends)) in content {
        client.done(&[b"SET", key, value]);
        if let Some(ends) = ends {
            client.done(&[b"PEXPIREAT", key, ends.to_string().as_bytes()]);
        }
    }
}

#[track_caller]
fn holds(client: &mut Client, content: &Content) {
    assert_eq!(client.ask(&[b"DBSIZE"]).unwrap(), format!(":{}", content.len()).into_bytes());
    for (key, (value, ends)) in content {
        assert_eq!(client.ask(&[b"GET", key]).as_ref(), Some(value), "{}", key.escape_ascii());
        let ends = ends.map_or(-1, u64::cast_signed);
        assert_eq!(client.ask(&[b"PEXPIRETIME", key]).unwrap(), format!(":{ends}").into_bytes());
    }
}

#[test]
fn payloads_are_the_same_in_both_servers() {
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(redis) = Server::redis(theirs.path(), &["--save", ""]) else { return };
    let own = Server::own(ours.path());
    let (mut redis, mut own) = (redis.client(), own.client());
    for (key, (value, _)) in content(1) {
        redis.done(&[b"SET", &key, &value]);
        own.done(&[b"SET", &key, &value]);
        let (wanted, made) =
            (redis.ask(&[b"DUMP", &key]).unwrap(), own.ask(&[b"DUMP", &key]).unwrap());
        assert!(wanted == made, "{}", value.escape_ascii());
        for client in [&mut redis, &mut own] {
            client.done(&[b"RESTORE", b"copy", b"0", &made, b"REPLACE"]);
            assert_eq!(client.ask(&[b"GET", b"copy"]).as_ref(), Some(&value));
        }
    }
}

#[test]
fn redis_loads_an_exported_file() {
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    if Server::redis(theirs.path(), &["--save", ""]).is_none() {
        return;
    }
    let content = content(2);
    let own = Server::own(ours.path());
    fill(&mut own.client(), &content);
    own.shut_down(b"NOSAVE");
    let file = theirs.path().join("dump.rdb");
    let said = succeeds(ours.path(), &["export", file.to_str().unwrap(), "--dir", "."]);
    assert!(said.starts_with("Wrote 400 keys to "), "{said}");
    let redis = Server::redis(theirs.path(), &["--save", ""]).unwrap();
    holds(&mut redis.client(), &content);
}

#[test]
fn files_of_redis_are_imported() {
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let flags = ["--save", "", "--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"];
    let Some(redis) = Server::redis(theirs.path(), &flags) else { return };
    let mut content = content(3);
    let mut client = redis.client();
    fill(&mut client, &content);
    client.done(&[b"SAVE"]);
    let file = theirs.path().join("dump.rdb");
    let file = file.to_str().unwrap();
    let said = succeeds(ours.path(), &["import", file, "--dir", "rdb"]);
    assert_eq!(said, "Imported 400 keys.\n");
    let rdb = ours.path().join("rdb");
    let own = Server::own(&rdb);
    holds(&mut own.client(), &content);
    drop(own);
    let again = run(ours.path(), &["import", file, "--dir", "rdb"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&again.stderr)
            .contains("already has 400 keys; --replace imports anyway")
    );
    assert_eq!(run(ours.path(), &["import", file]).status.code(), Some(2));

    // The rewritten log begins with an RDB file. Commands follow it.
    client.done(&[b"BGREWRITEAOF"]);
    let begin = Instant::now();
    while !String::from_utf8_lossy(&client.ask(&[b"INFO", b"persistence"]).unwrap())
        .contains("aof_rewrite_in_progress:0")
        || !theirs.path().join("appendonlydir/appendonly.aof.2.base.rdb").exists()
    {
        assert!(begin.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    client.done(&[b"SET", b"late", b"1", b"PX", b"100000000000"]);
    client.done(&[b"PERSIST", b"late"]);
    client.done(&[b"INCRBY", b"late", b"41"]);
    client.done(&[b"SETRANGE", b"range", b"3", b"x"]);
    client.done(&[b"RENAME", b"range", b"moved"]);
    // The file has PFCOUNT, which stores the number, and the changes of scripts.
    client.done(&[b"PFADD", b"hll", b"a", b"b"]);
    client.done(&[b"PFCOUNT", b"hll"]);
    client.done(&[b"EVAL", b"redis.call('SET', 'scripted', '1') return 1", b"0"]);
    client.done(&[b"FUNCTION", b"LOAD", LIBRARY]);
    client.done(&[b"DEL", b"hll"]);
    content.insert(b"scripted".to_vec(), (b"1".to_vec(), None));
    content.insert(b"late".to_vec(), (b"42".to_vec(), None));
    content.insert(b"moved".to_vec(), (b"\0\0\0x".to_vec(), None));
    let first = content.keys().next().unwrap().clone();
    client.done(&[b"DEL", &first]);
    content.remove(&first);
    client.0.get_mut().write_all(b"MULTI\r\nAPPEND late 0\r\nSET other 1\r\nEXEC\r\n").unwrap();
    let mut line = String::new();
    while !line.contains(":3") {
        assert_ne!(client.0.read_line(&mut line).unwrap(), 0);
    }
    content.insert(b"late".to_vec(), (b"420".to_vec(), None));
    content.insert(b"other".to_vec(), (b"1".to_vec(), None));
    redis.shut_down(b"NOSAVE");
    let folder = theirs.path().join("appendonlydir");
    // A key that has expired since.
    let log =
        std::fs::OpenOptions::new().append(true).open(folder.join("appendonly.aof.2.incr.aof"));
    let expired = b"*5\r\n$3\r\nSET\r\n$4\r\ngone\r\n$1\r\n1\r\n$4\r\nPXAT\r\n$1\r\n5\r\n";
    log.unwrap().write_all(expired).unwrap();
    let said = succeeds(ours.path(), &["import", folder.to_str().unwrap(), "--dir", "aof"]);
    let left_out = "Skipped: 1 expired keys.\nSkipped: 1 function libraries.\n";
    assert_eq!(said, format!("Imported 400 keys and 12 commands.\n{left_out}"));
    let said = succeeds(ours.path(), &["check", "aof"]);
    assert!(said.starts_with(&format!("Undamaged: {} keys, ", content.len())), "{said}");
    holds(&mut Server::own(&ours.path().join("aof")).client(), &content);
}

/// Lets redis-server listen on a free port too, by the setting `port`. Returns it.
fn listen(redis: &Server, setting: &[u8]) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let number = listener.local_addr().unwrap().port();
    drop(listener);
    redis.client().done(&[b"CONFIG", b"SET", setting, number.to_string().as_bytes()]);
    number
}

/// The databases and the keys of writers.
const DATABASES: [&[u8]; 3] = [b"0", b"1", b"2"];
const KEYS: u64 = 300;

fn key(number: u64) -> Vec<u8> {
    format!("k{number}").into_bytes()
}

/// Changes random keys until `stop`. Some commands fail, and are sent to no replica then.
fn write_at_random(client: &mut Client, seed: u64, stop: &dyn Fn() -> bool) {
    let (mut random, begin) = (Random(seed), Instant::now());
    // The test has failed if the time is over.
    while !stop() && begin.elapsed() < Duration::from_secs(120) {
        // Some thousands of changes a second, with which a build without optimizations keeps up.
        std::thread::sleep(Duration::from_micros(200));
        let (one, other) = (key(random.below(KEYS)), key(random.below(KEYS)));
        let number = random.below(2000).to_string().into_bytes();
        let database = DATABASES[random.below(3) as usize];
        let script = b"redis.call('SET', KEYS[1], ARGV[1], 'EX', 900) redis.call('INCR', KEYS[2])";
        let words: &[&[u8]] = match random.below(24) {
            0 => &[b"SELECT", database],
            1 => &[b"SET", &one, &number, b"EX", b"1000"],
            2 => &[b"SET", &one, &number, b"PX", b"20"],
            3 => &[b"SET", &one, &number, b"KEEPTTL"],
            4 => &[b"DEL", &one, &other],
            5 => &[b"APPEND", &one, &number],
            6 => &[b"INCRBY", &one, &number],
            7 => &[b"INCRBYFLOAT", &one, b"0.25"],
            8 => &[b"SETRANGE", &one, &number, &other],
            9 => &[b"SETBIT", &one, &number, b"1"],
            10 => &[b"BITFIELD", &one, b"INCRBY", b"u8", &number, b"3"],
            11 => &[b"MSET", &one, &number, &other, b"x"],
            12 => &[b"RENAME", &one, &other],
            13 => &[b"COPY", &one, &other, b"DB", database, b"REPLACE"],
            14 => &[b"MOVE", &one, database],
            15 => &[b"EXPIRE", &one, b"2000"],
            16 => &[b"PEXPIRE", &one, b"10"],
            17 => &[b"PERSIST", &one],
            18 => &[b"GETEX", &one, b"PX", b"5000000"],
            19 => &[b"GETDEL", &one],
            20 => &[b"PFADD", b"hll", &number],
            21 => &[b"SWAPDB", b"1", b"2"],
            22 => &[b"EVAL", script, b"2", &one, &other, &number],
            _ => &[b"UNLINK", &one],
        };
        client.ask(words);
        if words[0] == b"BITFIELD" {
            // Its reply is an array, of one element.
            client.0.read_line(&mut String::new()).unwrap();
        }
    }
}

/// Checks that two servers have the same keys, with the same values and expirations.
fn are_equal(redis: &mut Client, own: &mut Client) {
    for database in DATABASES {
        redis.done(&[b"SELECT", database]);
        own.done(&[b"SELECT", database]);
        for key in (0..KEYS).map(key).chain([b"hll".to_vec(), b"p:1".to_vec(), b"p:20000".to_vec()])
        {
            for command in [&b"GET"[..], b"PEXPIRETIME"] {
                let (theirs, ours) = (redis.ask(&[command, &key]), own.ask(&[command, &key]));
                let place = (database.escape_ascii().to_string(), key.escape_ascii().to_string());
                assert_eq!(ours, theirs, "{place:?}");
            }
        }
    }
}

/// Moves a running redis-server in, while clients write to it, and its connection is closed several times.
/// `port` is the setting of its port, and the import gets the scheme of the address, and more words.
fn moves_in_live(flags: &[&str], port: &str, scheme: &str, more: &[&str]) {
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let flags = [flags, &["--save", "", "--repl-diskless-sync-delay", "0"]].concat();
    let Some(redis) = Server::redis(theirs.path(), &flags) else { return };
    let content = content(4);
    let mut client = redis.client();
    fill(&mut client, &content);
    client.done(&[
        b"EVAL",
        b"for i = 1, 20000 do redis.call('SET', 'p:' .. i, i) end return 1",
        b"0",
    ]);
    let url = format!("{scheme}://127.0.0.1:{}/", listen(&redis, port.as_bytes()));
    let stopped = std::sync::atomic::AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        for seed in 0..2 {
            let (mut client, stopped) = (redis.client(), &stopped);
            let stop = || stopped.load(std::sync::atomic::Ordering::Relaxed);
            scope.spawn(move || write_at_random(&mut client, seed, &stop));
        }
        let mut import = program();
        import.args(["import", "--live", &url, "--dir", "db"]).args(more).current_dir(ours.path());
        let import = import.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let begin = Instant::now();
        // A replica is counted as soon as it follows.
        while client.ask(&[b"WAIT", b"1", b"100"]) != Some(b":1".into()) {
            assert!(begin.elapsed() < Duration::from_secs(60), "the import does not follow");
            client.done(&[b"SET", b"unused", b"1"]);
        }
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(250));
            client.done(&[b"CLIENT", b"KILL", b"TYPE", b"replica"]);
        }
        stopped.store(true, std::sync::atomic::Ordering::Relaxed);
        // Once the writers have ended, the import must acknowledge all that they wrote.
        std::thread::sleep(Duration::from_millis(200));
        client.done(&[b"SET", b"unused", b"2"]);
        assert_eq!(client.ask(&[b"WAIT", b"1", b"30000"]), Some(b":1".into()));
        let pid = rustix::process::Pid::from_child(&import);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        import.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("connecting again\nconnected at offset "), "{said}");
    let own = Server::own(&ours.path().join("db"));
    let mut own = own.client();
    are_equal(&mut client, &mut own);
    for (key, (value, _)) in &content {
        own.done(&[b"SELECT", b"0"]);
        assert_eq!(own.ask(&[b"GET", key]).as_ref(), Some(value), "{}", key.escape_ascii());
    }
}

#[test]
fn a_running_redis_is_imported_from_its_disk() {
    moves_in_live(&["--repl-diskless-sync", "no"], "port", "redis", &[]);
}

#[test]
fn a_running_redis_is_imported_without_its_disk() {
    moves_in_live(&["--repl-diskless-sync", "yes"], "port", "redis", &[]);
}

#[cfg(feature = "tls")]
#[test]
fn a_running_redis_is_imported_with_tls() {
    let certificates = certificates::Certificates::new();
    let files = ["localhost.pem", "localhost.key", "ca.pem", "client.pem", "client.key"];
    let files = files.map(|name| certificates.file(name).to_str().unwrap().to_owned());
    let [certificate, key, authority, own_certificate, own_key] = &files;
    let flags = [
        &["--tls-cert-file", certificate, "--tls-key-file", key][..],
        &["--tls-ca-cert-file", authority, "--tls-auth-clients", "yes", "--tls-replication", "yes"],
    ];
    let own = ["--cacert", authority, "--cert", own_certificate, "--key", own_key];
    moves_in_live(&flags.concat(), "tls-port", "rediss", &own);
}
