//! builds: default
//!
//! The program as users start it: its output, its data, and its shutdown.
#![cfg(unix)]

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

fn program() -> Command {
    configured(Command::new(env!("CARGO_BIN_EXE_hedgerow-db")))
}

fn configured(mut program: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HEDGEROW_DB_") {
            program.env_remove(name);
        }
    }
    program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

/// A program that serves a socket in this directory and stores its data there.
struct Running {
    child: Child,
    said: String,
    socket: UnixStream,
}

impl Running {
    fn start(folder: &Path, flags: &[&str]) -> Self {
        Self::start_with(program(), folder, flags)
    }

    fn start_with(mut program: Command, folder: &Path, flags: &[&str]) -> Self {
        let socket = folder.join("socket");
        program.current_dir(folder).args(["--port", "0", "--threads", "2"]);
        program.arg("--unixsocket").arg(&socket).args(flags);
        let mut child = program.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.ends_with("Press Ctrl-C to stop.\n") {
            assert_ne!(out.read_line(&mut said).unwrap(), 0, "it exited: {said}");
        }
        let socket = UnixStream::connect(socket).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { child, said, socket }
    }

    fn request(&mut self, line: &str, wanted: &str) {
        self.socket.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        let mut got = vec![0; wanted.len()];
        self.socket.read_exact(&mut got).unwrap();
        assert_eq!(String::from_utf8_lossy(&got), wanted);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn joined(mut self) -> (Option<i32>, String) {
        let mut err = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code(), err)
    }
}

fn failed(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn acknowledged_changes_survive_every_kind_of_exit() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Running::start(folder.path(), &[]);
    assert!(first.said.contains("The database is empty."), "{}", first.said);
    assert!(first.said.contains("hedgerow-db-data, fsync every second."), "{}", first.said);
    first.request("SET rose red", "+OK\r\n");
    first.signal(Signal::TERM);
    let (code, err) = first.joined();
    assert_eq!(code, Some(0), "{err}");

    let mut second = Running::start(folder.path(), &["--appendfsync", "always"]);
    assert!(second.said.contains("Loaded 1 keys"), "{}", second.said);
    second.request("GET rose", "$3\r\nred\r\n");
    second.request("SET violet blue", "+OK\r\n");
    second.signal(Signal::KILL);
    second.joined();

    let mut third = Running::start(folder.path(), &[]);
    third.request("GET violet", "$4\r\nblue\r\n");
    third.request("INCR n", ":1\r\n");
    // No reply; the connection closes.
    third.socket.write_all(b"SHUTDOWN SAVE\r\n").unwrap();
    assert_eq!(third.joined().0, Some(0));

    let mut fourth = Running::start(folder.path(), &["--snapshot-after", "0"]);
    assert!(
        fourth.said.contains("Loaded 3 keys") && fourth.said.contains(": 3 keys from a snapshot"),
        "{}",
        fourth.said
    );
    fourth.request("INCR n", ":2\r\n");
    fourth.signal(Signal::INT);
    assert_eq!(fourth.joined().0, Some(0));
}

/// To remove a lock that looks stale is a habit. Two servers would overwrite each other's entries.
#[test]
fn a_second_server_is_refused_though_the_lock_was_removed() {
    for policy in ["everysec", "always"] {
        let folder = tempfile::tempdir().unwrap();
        let flags = ["--appendfsync", policy];
        let mut first = Running::start(folder.path(), &flags);
        let data = folder.path().join("hedgerow-db-data");
        first.request("SET rose red", "+OK\r\n");
        for remove in [true, false] {
            if remove {
                std::fs::remove_file(data.join("lock")).unwrap();
            }
            let mut second = program();
            second.current_dir(folder.path()).args(["--port", "0", "--unixsocket", "second"]);
            let err = failed(&second.output().unwrap(), 1);
            assert!(err.contains("hedgerow-db-data is in use by another process"), "{err}");
            assert!(err.contains("--dir") && err.contains("`lock` does not help"), "{err}");
            first.request("SET violet blue", "+OK\r\n");
        }
        // The first one makes the file again, for programs that know no other lock.
        let began = std::time::Instant::now();
        while !data.join("lock").exists() {
            assert!(began.elapsed() < Duration::from_secs(60), "the lock is not made again");
            std::thread::sleep(Duration::from_millis(10));
        }
        first.signal(Signal::KILL);
        first.joined();
        let mut next = Running::start(folder.path(), &flags);
        next.request("GET violet", "$4\r\nblue\r\n");
        next.signal(Signal::TERM);
        assert_eq!(next.joined().0, Some(0));
    }
}

#[test]
fn an_incomplete_log_entry_is_truncated_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Running::start(folder.path(), &[]);
    first.request("SET rose red", "+OK\r\n");
    first.signal(Signal::TERM);
    first.joined();
    let data = folder.path().join("hedgerow-db-data");
    let log = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
    let log =
        log.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("log-")).max();
    let mut log = std::fs::OpenOptions::new().append(true).open(log.unwrap()).unwrap();
    log.write_all(&[7; 5]).unwrap();
    drop(log);
    let mut second = Running::start(folder.path(), &[]);
    second.request("GET rose", "$3\r\nred\r\n");
    second.signal(Signal::TERM);
    let (code, err) = second.joined();
    assert_eq!(code, Some(0));
    assert!(err.contains("the last 5 bytes of the log in"), "{err}");
}

#[test]
fn errors_explain_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let run = |flags: &[&str]| program().current_dir(folder.path()).args(flags).output().unwrap();
    let err = failed(&run(&["--appendfsync", "sometimes"]), 2);
    let wanted = "hedgerow-db: --appendfsync: invalid value 'sometimes' for appendfsync: \
        expected one of always, everysec, no\n";
    assert_eq!(err, wanted);

    if cfg!(not(feature = "cluster")) {
        let settings =
            ["--cluster", "yes", "--cluster-name", "a", "--cluster-etcd", "http://127.0.0.1:9"];
        let err = failed(&run(&settings), 2);
        assert_eq!(err, "hedgerow-db: cluster requires a build with the feature `cluster`\n");
    }
    if cfg!(not(feature = "grpc")) {
        let err = failed(&run(&["--grpc-port", "7000"]), 2);
        assert_eq!(err, "hedgerow-db: grpc-port requires a build with the feature `grpc`\n");
    }

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let err = failed(&run(&["--port", &port]), 1);
    assert!(err.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{err}");
    assert!(err.contains("--port NUMBER"), "{err}");
    assert!(!folder.path().join("hedgerow-db-data").exists(), "a directory was made for nothing");

    let running = Running::start(folder.path(), &[]);
    let err = failed(&run(&["--port", "0", "--unixsocket", "other"]), 1);
    assert!(err.contains("is in use by another process") && err.contains("--dir DIR"), "{err}");
    running.signal(Signal::TERM);
    assert_eq!(running.joined().0, Some(0));
}

/// The server of a test ends with it, and is the same on every machine.
#[test]
fn an_ephemeral_server_ends_with_its_input() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hedgerow-db.conf"), "requirepass secret\n").unwrap();
    let mut program = program();
    program.env("HEDGEROW_DB_REQUIREPASS", "secret").current_dir(folder.path());
    let mut child = program.arg("ephemeral").stdin(Stdio::piped()).spawn().unwrap();
    let (mut out, mut url) = (BufReader::new(child.stdout.take().unwrap()), String::new());
    out.read_line(&mut url).unwrap();
    let address = url.trim().strip_prefix("redis://").unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    client.write_all(b"RPUSH k a\r\nKEYS *\r\n").unwrap();
    let (wanted, mut got) = (b":1\r\n*1\r\n$1\r\nk\r\n", [0; 15]);
    client.read_exact(&mut got).unwrap();
    assert_eq!(got, *wanted);
    // It ends although a client is connected.
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "it has written a file");
    let refused = self::program().args(["ephemeral", "--port", "1"]).output().unwrap();
    assert!(failed(&refused, 2).contains("ephemeral: it takes no arguments"), "{refused:?}");
}

#[test]
fn help_and_sample_list_all_settings() {
    let run = |flag: &str| String::from_utf8(program().arg(flag).output().unwrap().stdout).unwrap();
    let help = run("--help");
    for setting in hedgerow_db::config::table::all() {
        assert!(help.contains(&format!("  --{} <", setting.name)), "{}", setting.name);
    }
    assert_eq!(run("--version"), format!("hedgerow-db {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(run("--sample"), hedgerow_db::config::sample());
}

#[cfg(target_os = "linux")]
#[test]
fn a_hangup_reads_passwords_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.conf");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("requirepass red\n");
    let mut program = program();
    program.env("HEDGEROW_DB_CONFIG", &file);
    let mut server = Running::start_with(program, folder.path(), &[]);
    server.request("AUTH red", "+OK\r\n");
    let connect = || {
        let socket = UnixStream::connect(folder.path().join("socket")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket
    };
    let accepts = |password: &str| {
        let (mut socket, mut got) = (connect(), [0; 5]);
        socket.write_all(format!("AUTH {password}\r\n").as_bytes()).unwrap();
        socket.read_exact(&mut got).unwrap();
        got == *b"+OK\r\n"
    };
    let hangup = |accepted: &str, refused: &str| {
        server.signal(Signal::HUP);
        for _ in 0..400 {
            if accepts(accepted) && !accepts(refused) {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("SIGHUP does not bring the password {accepted}");
    };
    write("requirepass blue\nmaxclients 5\n");
    hangup("blue", "red");
    // Nothing is taken of a file that is wrong.
    write("requirepass pink\nmaxclient 5\n");
    server.signal(Signal::HUP);
    std::thread::sleep(Duration::from_millis(300));
    assert!(accepts("blue") && !accepts("pink"), "settings that are wrong are taken");
    write("requirepass white\n");
    hangup("white", "blue");
    server.request("PING", "+PONG\r\n");
    server.signal(Signal::TERM);
    let (code, said) = server.joined();
    assert_eq!(code, Some(0));
    assert!(said.contains("maxclients was changed, and takes effect at the next start"), "{said}");
    assert!(said.contains("maxclient") && said.contains("remain in use"), "{said}");
}

#[test]
fn a_password_that_is_not_utf8_is_an_error() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let word = OsStr::from_bytes(b"se\xffsame");
    let mut by_variable = program();
    by_variable.env("HEDGEROW_DB_REQUIREPASS", word).args(["--port", "0", "--unixsocket", "s"]);
    let mut by_flag = program();
    by_flag.arg("--requirepass").arg(word).args(["--port", "0", "--unixsocket", "s"]);
    for mut program in [by_variable, by_flag] {
        let mut child = program.current_dir(folder.path()).spawn().unwrap();
        for _ in 0..100 {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2), "the server started without the password");
        assert!(String::from_utf8_lossy(&output.stderr).contains("not valid UTF-8"), "{output:?}");
    }
}

#[test]
fn commands_on_a_cluster_have_exit_statuses() {
    let run = |words: &[&str]| program().arg("cluster").args(words).output().unwrap();
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    for name in ["status", "check", "handover", "forget"] {
        assert!(text.contains(name), "{text}");
        assert_eq!(run(&[name, "--help"]).status.code(), Some(0));
    }
    let wrong = failed(&run(&["stats"]), 2);
    assert!(wrong.contains("cluster has no command 'stats'"), "{wrong}");
    let gone = ["status", "--cluster-name", "roses", "--cluster-etcd", "http://127.0.0.1:9"];
    if cfg!(feature = "cluster") {
        let gone = failed(&run(&gone), 1);
        assert!(gone.contains("http://127.0.0.1:9"), "{gone}");
    } else {
        let without = failed(&run(&gone), 2);
        assert!(without.contains("requires a build with the feature `cluster`"), "{without}");
    }
}
