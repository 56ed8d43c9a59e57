//! builds: default
//!
//! `hedgerow-db import --live` and a primary that the test plays: it speaks the protocol as Redis does, or not. The
//! test with a real redis-server is in `moving.rs`.
#![cfg(unix)]

use hedgerow_db::rdb::Writer;
use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The offset of the first command.
const BEGIN: u64 = 1000;
/// How long the primary waits for the import before it closes the connection.
const TIMEOUT: Duration = Duration::from_secs(60);
const MARK: &[u8; 40] = b"0123456789abcdef0123456789abcdef01234567";

/// A step of a primary that was asked for its data.
enum Step {
    Send(Vec<u8>),
    /// So that the next bytes arrive in a read of their own.
    Pause,
    /// Waits until the replica has acknowledged this offset.
    Acknowledged(u64),
}
use Step::{Acknowledged, Pause, Send};

/// The state that all connections of a primary share.
#[derive(Default)]
struct State {
    password: Option<&'static str>,
    /// The offset that INFO returns.
    offset: u64,
    acknowledged: u64,
    /// The steps of each connection that becomes a replica's. After the last one, the primary has all data only.
    connections: VecDeque<Vec<Step>>,
    /// The histories and offsets that replicas have asked for.
    asked: Vec<String>,
}

struct Primary {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Primary {
    /// Starts a primary with an offset for INFO. It closes the connection after its steps, if that is before it.
    fn start(offset: u64, password: Option<&'static str>, steps: Vec<Step>) -> Self {
        Self::with_connections(offset, password, vec![steps])
    }

    /// Starts a primary with the steps of one connection after the other.
    fn with_connections(
        offset: u64,
        password: Option<&'static str>,
        connections: Vec<Vec<Step>>,
    ) -> Self {
        let connections = connections.into();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state =
            Arc::new(Mutex::new(State { password, offset, connections, ..State::default() }));
        let shared = Arc::clone(&state);
        // It ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { address, state }
    }

    fn url(&self, login: &str) -> String {
        format!("redis://{login}{}", self.address)
    }
}

/// Reads one request. Returns nothing at the end.
fn request(stream: &mut TcpStream) -> Option<Vec<String>> {
    fn line(stream: &mut TcpStream) -> Option<usize> {
        let (mut line, mut byte) = (String::new(), [0]);
        while !line.ends_with('\n') {
            stream.read_exact(&mut byte).ok()?;
            line.push(byte[0].into());
        }
        line[1..].trim_end().parse().ok()
    }
    let words = line(stream)?;
    let word = |_| {
        let mut word = vec![0; line(stream)? + 2];
        stream.read_exact(&mut word).ok()?;
        word.truncate(word.len() - 2);
        String::from_utf8(word).ok()
    };
    (0..words).map(word).collect()
}

fn serve(mut stream: TcpStream, state: &Arc<Mutex<State>>) {
    let mut authenticated = state.lock().unwrap().password.is_none();
    while let Some(words) = request(&mut stream) {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let reply = match &words[..] {
            ["AUTH", .., given] => {
                authenticated = state.lock().unwrap().password == Some(given);
                let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
                if authenticated { "+OK\r\n" } else { wrong }.to_owned()
            }
            _ if !authenticated => "-NOAUTH Authentication required.\r\n".to_owned(),
            ["PING"] => "+PONG\r\n".to_owned(),
            ["REPLCONF", "ACK", offset] => {
                state.lock().unwrap().acknowledged = offset.parse().unwrap();
                continue;
            }
            ["REPLCONF", ..] => "+OK\r\n".to_owned(),
            ["INFO", "replication"] => {
                let offset = state.lock().unwrap().offset;
                let text =
                    format!("# Replication\r\nrole:master\r\nmaster_repl_offset:{offset}\r\n");
                format!("${}\r\n{text}\r\n", text.len())
            }
            ["PSYNC", history, next] => {
                let (stream, state) = (stream.try_clone().unwrap(), Arc::clone(state));
                let steps = {
                    let mut state = state.lock().unwrap();
                    state.asked.push(format!("{history} {next}"));
                    state.connections.pop_front().unwrap_or_else(|| vec![resync()])
                };
                thread::spawn(move || play(stream, steps, &state));
                continue;
            }
            other => panic!("{other:?}"),
        };
        let _ = stream.write_all(reply.as_bytes());
    }
}

/// Sends the data and the commands. Closes the connection at the end, or after a while.
fn play(mut stream: TcpStream, steps: Vec<Step>, state: &Mutex<State>) {
    let wait_for = |offset| {
        let begin = Instant::now();
        while state.lock().unwrap().acknowledged < offset && begin.elapsed() < TIMEOUT {
            thread::sleep(Duration::from_millis(10));
        }
    };
    for step in steps {
        match step {
            // The import may have ended.
            Send(bytes) => drop(stream.write_all(&bytes)),
            Pause => thread::sleep(Duration::from_millis(300)),
            Acknowledged(offset) => wait_for(offset),
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

fn send(text: &str) -> Step {
    Send(text.into())
}

fn resync() -> Step {
    send(&format!("+FULLRESYNC {} {BEGIN}\r\n", "a".repeat(40)))
}

fn commands(lines: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        let words: Vec<_> = line.split(' ').collect();
        bytes.extend(format!("*{}\r\n", words.len()).bytes());
        for word in words {
            bytes.extend(format!("${}\r\n{word}\r\n", word.len()).bytes());
        }
    }
    bytes
}

/// Returns an RDB file: keys in the databases 0 and 3. One of them has expired, which only the primary may notice.
fn file() -> Vec<u8> {
    let (mut file, value) = (Vec::new(), "long ".repeat(50_000));
    let mut writer = Writer::new(&mut file).unwrap();
    writer.database(0, 3, 1).unwrap();
    writer.entry(b"rose", None, &[b"red"]).unwrap();
    writer.entry(b"old", Some(5), &[b"x"]).unwrap();
    writer.entry(b"long", None, &[value.as_bytes()]).unwrap();
    writer.database(3, 1, 0).unwrap();
    writer.entry(b"third", None, &[b"3"]).unwrap();
    writer.finish().unwrap();
    file
}

fn with_length(file: &[u8]) -> Step {
    Send([format!("${}\r\n", file.len()).as_bytes(), file].concat())
}

fn program(folder: &Path, words: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_hedgerow-db"));
    program.args(words).current_dir(folder).stdin(Stdio::null());
    program
}

fn import(folder: &Path, url: &str, more: &[&str]) -> Output {
    let words = [&["import", "--live", url, "--dir", "db"], more].concat();
    program(folder, &words).output().unwrap()
}

/// Imports from a primary with these steps behind the handshake, which must fail. Returns the error.
#[track_caller]
fn fails(steps: Vec<Step>, more: &[&str]) -> (String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let primary = Primary::start(u64::MAX / 4, None, steps);
    let output = import(folder.path(), &primary.url(""), more);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| name == "db"), "the received file was left");
    (error, folder)
}

fn dump(folder: &Path) -> String {
    let output = program(folder, &["dump", "db"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn has_lines(text: &str, wanted: &[&str]) {
    for line in wanted {
        assert!(text.lines().any(|found| found == *line), "{line} is missing in {text}");
    }
}

/// The commands that a primary sends, and the lines that `dump` prints then.
const STREAM: [&str; 32] = [
    "PING",
    "SELECT 0",
    "SET a 1 PXAT 4102444800000",
    "SET a 2 KEEPTTL",
    "INCRBY n 41",
    "INCR n",
    "INCRBYFLOAT f 0.5",
    "APPEND rose !",
    "SETRANGE range 1 x",
    "SETBIT bits 1 1",
    "BITFIELD bits SET u8 0 65",
    "MSET m1 1 m2 2",
    "MULTI",
    "DEL m1",
    "RENAME m2 m3",
    "EXEC",
    "COPY rose tulip DB 5",
    "MOVE long 4",
    "PFADD hll a b",
    "SET gone 1",
    "GETDEL gone",
    "SET kept 1 PXAT 4102444800000",
    "PERSIST kept",
    // A key that has expired by the clock of this machine: the primary has given it a longer life before.
    "PEXPIREAT old 4102444800000",
    "SELECT 7",
    "SET x 7",
    "FLUSHDB",
    "SELECT 3",
    "UNLINK third",
    "SET swapped 1",
    "SWAPDB 3 6",
    "REPLCONF GETACK *",
];
const DUMPED: [&str; 9] = [
    "SET \"a\" \"2\" PXAT 4102444800000",
    "SET \"n\" \"42\"",
    "SET \"f\" \"0.5\"",
    "SET \"rose\" \"red!\"",
    "SET \"range\" \"\\x00x\"",
    "SET \"bits\" \"A\"",
    "SET \"m3\" \"2\"",
    "SET \"kept\" \"1\"",
    "SET \"old\" \"x\" PXAT 4102444800000",
];

#[track_caller]
fn moves_in(steps: Vec<Step>, stream: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let end = BEGIN + stream.len() as u64;
    let steps = steps.into_iter().chain([Acknowledged(u64::MAX)]).collect();
    let primary = Primary::start(end, Some("pw"), steps);
    fs::write(folder.path().join("password"), "pw\n").unwrap();
    let more = ["--password-file", "password", "--until-caught-up"];
    let output = import(folder.path(), &primary.url(""), &more);
    let said = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{error}");
    assert_eq!(said, "Imported 4 keys and 25 commands.\n", "{error}");
    assert!(error.contains(&format!("ended at offset {end}\n")), "{error}");
    let dump = dump(folder.path());
    has_lines(&dump, &DUMPED);
    let place = |line: &str| dump.find(line).unwrap_or_else(|| panic!("{line}: {dump}"));
    assert!(
        place("SELECT 4\nSET \"long\" \"long long") < place("SELECT 5\nSET \"tulip\" \"red!\"")
    );
    assert!(dump.ends_with("SELECT 6\nSET \"swapped\" \"1\"\n"), "{dump}");
    assert!(dump.contains("SET \"hll\" \"HYLL") && !dump.contains("third"), "{dump}");
    assert_eq!(dump.lines().count(), 10 + 2 * 3, "{dump}");
}

#[test]
fn a_primary_that_stores_its_data_is_imported() {
    let stream = commands(&STREAM);
    // Newlines say that the data is being made. Commands follow it at once.
    let begin = [resync(), send("\n"), Pause, send("\n\n"), with_length(&file())];
    let last = stream.len() - 5;
    let parts = [Send(stream[..last].to_vec()), Pause, Send(stream[last..].to_vec())];
    moves_in(begin.into_iter().chain(parts).collect(), &stream);
}

#[test]
fn a_primary_that_sends_a_mark_is_imported() {
    let (stream, file) = (commands(&STREAM), file());
    // Redis sends no commands until the replica has acknowledged the data. The mark arrives in two parts.
    let steps = vec![
        send("\n"),
        resync(),
        Send([b"$EOF:", &MARK[..], b"\r\n"].concat()),
        Send([&file[..], &MARK[..7]].concat()),
        Pause,
        Send(MARK[7..].to_vec()),
        Acknowledged(BEGIN),
        Send(stream.clone()),
    ];
    moves_in(steps, &stream);
    let steps = vec![resync(), Send([b"$EOF:", &MARK[..], b"\r\n", &file, MARK, &stream].concat())];
    moves_in(steps, &stream);
}

#[test]
fn times_to_live_of_an_older_primary_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        "SELECT 0",
        "SET a 1 EX 1000",
        "SETEX b 1000 2",
        "SET c 3",
        "EXPIRE c 1000",
        "EXPIRE a -1",
    ];
    let stream = commands(&lines);
    let steps = vec![resync(), with_length(&file()), Send(stream.clone()), Acknowledged(u64::MAX)];
    let primary = Primary::start(BEGIN + stream.len() as u64, None, steps);
    let output = import(folder.path(), &primary.url(""), &["--until-caught-up", "--json"]);
    let json = String::from_utf8(output.stdout).unwrap();
    assert!(json.contains("\"keys\": 4, \"commands\": 5, "), "{json}");
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let dump = dump(folder.path());
    for (key, least) in [("a", now - 100_000), ("b", now + 900_000), ("c", now + 900_000)] {
        let line = dump.lines().find(|line| line.starts_with(&format!("SET \"{key}\"")));
        let at: u64 = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        assert!((least..least + 100_001).contains(&at), "{dump}");
    }
}

#[test]
fn a_wrong_password_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let primary = Primary::start(BEGIN, Some("pw"), Vec::new());
    for (login, wanted) in
        [(":secret@", "refuses AUTH: WRONGPASS"), ("me:secret@", "WRONGPASS"), ("", "NOAUTH")]
    {
        let output = import(folder.path(), &primary.url(login), &[]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(error.contains(wanted) && !error.contains("secret"), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_incomplete_transfer_imports_nothing() {
    let file = file();
    let half = &file[..file.len() / 2];
    let marked = [b"$EOF:", &MARK[..], b"\r\n", half].concat();
    let unfinished = format!("${}\r\n", file.len());
    for (transfer, wanted) in [
        (marked, "Redis closed the connection; nothing was imported"),
        ([unfinished.as_bytes(), half].concat(), "Redis closed the connection; nothing was"),
        (b"$5".to_vec(), "Redis closed the connection"),
        ([format!("${}\r\n", half.len()).as_bytes(), half].concat(), "Redis sent: the file ends"),
    ] {
        let (error, folder) = fails(vec![resync(), Send(transfer)], &[]);
        assert!(error.contains(wanted), "{error}");
        assert_eq!(dump(folder.path()), "");
    }
}

#[test]
fn lengths_are_bounded() {
    let long_string =
        b"$30\r\nREDIS0009\x00\x01k\x81\xff\xff\xff\xff\xff\xff\xff\xffxxxxxxxxxx".to_vec();
    let line = [vec![b'$'], vec![b'1'; 10_000]].concat();
    for (transfer, wanted) in [
        (b"$99999999999999\r\n".to_vec(), "did not announce the end of its data: $99999999999999"),
        (b"$-1\r\n".to_vec(), "did not announce the end of its data"),
        (b"$EOF:short\r\n".to_vec(), "did not announce the end of its data"),
        (b"-LOADING later\r\n".to_vec(), "does not send its data: LOADING later"),
        (line, "a line that is too long"),
        (long_string, "a string is longer than 512 MiB"),
    ] {
        let (error, _) = fails(vec![resync(), Send(transfer)], &[]);
        assert!(error.contains(wanted), "{error}");
    }
    for reply in ["+CONTINUE\r\n", "+FULLRESYNC x y\r\n", "+FULLRESYNC x 18446744073709551615\r\n"]
    {
        let (error, _) = fails(vec![send(reply)], &[]);
        assert!(error.contains("Redis does not send its data: +"), "{error}");
    }
    for bytes in
        ["*99999999999\r\n", "*1\r\n$99999999999\r\n", "$5\r\n", "+OK\r\n", "*1\r\n+OK\r\n"]
    {
        let steps = vec![resync(), with_length(&file()), send(bytes), Acknowledged(BEGIN + 1)];
        let (error, _) = fails(steps, &[]);
        assert!(error.contains("no command begins"), "{bytes}: {error}");
    }
}

#[test]
fn a_stream_that_ends_leaves_what_was_executed() {
    let mut stream = commands(&["SELECT 0", "SET a 1", "MULTI", "SET b 1"]);
    let complete = BEGIN + commands(&["SELECT 0", "SET a 1"]).len() as u64;
    stream.extend_from_slice(b"*2\r\n$3\r\nDEL\r\n$1");
    let steps = vec![resync(), with_length(&file()), Send(stream), Acknowledged(complete)];
    let (error, folder) = fails(steps, &["--until-caught-up"]);
    let lost = "hedgerow-db: Redis closed the connection. Redis no longer has the commands after";
    assert!(error.contains(&format!("{lost} offset {complete}: ")), "{error}");
    assert!(error.contains(&format!("Redis up to offset {complete}.")), "{error}");
    let dump = dump(folder.path());
    has_lines(&dump, &["SET \"rose\" \"red\"", "SET \"a\" \"1\""]);
    assert!(!dump.contains("\"b\""), "half of a transaction was executed: {dump}");
}

#[test]
fn a_command_about_another_type_is_named() {
    let lines = ["SELECT 0", "SET a 1", "JSON.SET rose . 1", "SET b 2", "INCR rose"];
    let stream = commands(&lines);
    let steps =
        || vec![resync(), with_length(&file()), Send(stream.clone()), Acknowledged(u64::MAX)];
    let (error, folder) = fails(steps(), &[]);
    assert!(error.contains("Redis executed JSON.SET, which is not supported here"), "{error}");
    let text = dump(folder.path());
    has_lines(&text, &["SET \"a\" \"1\""]);
    assert!(!text.contains("\"b\""), "{text}");

    let folder = tempfile::tempdir().unwrap();
    let primary = Primary::start(BEGIN + stream.len() as u64, None, steps());
    let more = ["--until-caught-up", "--skip-other-types"];
    let output = import(folder.path(), &primary.url(""), &more);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("Skipped, commands: JSON.SET (1).\nCommands that failed: INCR (1)."),
        "{said}"
    );
    has_lines(&dump(folder.path()), &["SET \"b\" \"2\"", "SET \"rose\" \"red\""]);

    let script = commands(&["EVAL return 0"]);
    let steps = vec![resync(), with_length(&file()), Send(script), Acknowledged(u64::MAX)];
    let (error, _) = fails(steps, &[]);
    assert!(error.contains("Redis sent the script EVAL instead of its effects"), "{error}");

    // A command that fails has another effect here than in Redis.
    let steps = vec![
        resync(),
        with_length(&file()),
        Send(commands(&["INCR rose"])),
        Acknowledged(u64::MAX),
    ];
    let (error, _) = fails(steps, &[]);
    assert!(error.contains("fails here: INCR: ERR value is not an integer"), "{error}");
}

#[test]
fn a_signal_ends_the_import() {
    let folder = tempfile::tempdir().unwrap();
    let stream = commands(&["SELECT 0", "SET a 1"]);
    let end = BEGIN + stream.len() as u64;
    let steps = vec![resync(), with_length(&file()), Send(stream), Acknowledged(u64::MAX)];
    let primary = Primary::start(end, None, steps);
    let url = primary.url("");
    let words = ["import", "--live", &url, "--dir", "db/"];
    let mut command = program(folder.path(), &words);
    let child: Child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while primary.state.lock().unwrap().acknowledged < end {
        assert!(begin.elapsed() < TIMEOUT, "the import does not acknowledge");
        thread::sleep(Duration::from_millis(10));
    }
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"Imported 4 keys and 1 commands.\n");
    has_lines(&dump(folder.path()), &["SET \"a\" \"1\""]);
}

/// A connection that is lost is made again, and each command is executed once.
#[test]
fn a_lost_connection_continues_where_it_ended() {
    let first = commands(&[
        "SELECT 3", "INCR n", "MULTI", "INCR n", "SELECT 5", "INCR m", "EXEC", "INCR m",
    ]);
    let second = commands(&["INCR m", "SELECT 0", "INCR z", "INCRBY z 10"]);
    let stream = [&first[..], &second].concat();
    let end = BEGIN + stream.len() as u64;
    let position = |commands: &[u8]| BEGIN + commands.len() as u64;
    let in_transaction = commands(&["SELECT 3", "INCR n", "MULTI", "INCR n", "SELECT 5"]);
    let before_transaction = position(&commands(&["SELECT 3", "INCR n"]));
    let rest = stream[(before_transaction - BEGIN) as usize..].to_vec();
    let cut = first.len() + 7;
    let connections = vec![
        // The first connection ends within a transaction, behind its SELECT.
        vec![
            resync(),
            with_length(&file()),
            Send(in_transaction),
            Acknowledged(before_transaction),
        ],
        // A primary that starts has no answer yet.
        vec![send("-LOADING Redis is loading the dataset in memory\r\n")],
        // The second one ends within a command.
        vec![
            send("+CONTINUE bcd\r\n"),
            Send(rest[..cut - (before_transaction - BEGIN) as usize].to_vec()),
            Acknowledged(position(&first)),
        ],
        vec![send("+CONTINUE\r\n"), Send(second), Acknowledged(u64::MAX)],
    ];
    let primary = Primary::with_connections(end, Some("pw"), connections);
    let folder = tempfile::tempdir().unwrap();
    let output = import(folder.path(), &primary.url(":pw@"), &["--until-caught-up"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{error}");
    let asked = [
        "? -1".to_owned(),
        format!("{} {}", "a".repeat(40), before_transaction + 1),
        format!("{} {}", "a".repeat(40), before_transaction + 1),
        format!("bcd {}", position(&first) + 1),
    ];
    assert_eq!(primary.state.lock().unwrap().asked, asked, "{error}");
    let again = "Redis closed the connection; connecting again\nconnected at offset ";
    for offset in [before_transaction, position(&first)] {
        assert!(error.contains(&format!("{again}{offset}\n")), "{error}");
    }
    assert!(error.contains(&format!("ended at offset {end}\n")), "{error}");
    let dump = dump(folder.path());
    has_lines(&dump, &["SET \"z\" \"11\"", "SET \"n\" \"2\"", "SET \"m\" \"3\""]);
    assert_eq!(output.stdout, b"Imported 4 keys and 7 commands.\n");
}

#[test]
fn a_primary_that_stays_away_ends_the_import() {
    let stream = commands(&["SELECT 0", "SET a 1"]);
    let end = BEGIN + stream.len() as u64;
    let steps = || vec![resync(), with_length(&file()), Send(stream.clone()), Acknowledged(end)];
    let away = || vec![send("-NOMASTERLINK Can't SYNC while not connected with my master\r\n")];
    for (limit, wanted) in [
        ("1", "the connection; after 1 seconds: Redis refuses PSYNC: NOMASTERLINK"),
        ("0", "hedgerow-db: Redis closed the connection\n"),
    ] {
        let connections = [steps()].into_iter().chain((0..50).map(|_| away())).collect();
        let primary = Primary::with_connections(end + 1, None, connections);
        let folder = tempfile::tempdir().unwrap();
        let output = import(folder.path(), &primary.url(""), &["--reconnect", limit]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(wanted), "{error}");
        assert!(error.contains(&format!("Redis up to offset {end}.")), "{error}");
        has_lines(&dump(folder.path()), &["SET \"a\" \"1\""]);
    }
}
