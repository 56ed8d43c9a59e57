//! builds: default
//!
//! MIGRATE: keys move to another server, or stay; no change is lost that comes between.

#[path = "support/random.rs"]
mod random;
mod support;

use hedgerow_db::request::{
    Answer, Change, Expiry, Packer, Query, Request, Score, StoredValue, ValueType,
};
use hedgerow_db::{Db, Options};
use random::Random;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use support::{Client, Running, bulk, command};

/// The time that a test gives a server that answers.
const PATIENT: &str = "60000";

fn send(client: &mut Client, words: &[&str], wanted: &str) {
    client.send(command(&words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>()));
    client.expect(wanted.as_bytes());
}

/// Sends MIGRATE. The words behind the address follow.
fn migrate(client: &mut Client, to: SocketAddr, words: &[&str], wanted: &str) {
    let (host, port) = (to.ip().to_string(), to.port().to_string());
    let words = [&["MIGRATE", host.as_str(), port.as_str()], words].concat();
    send(client, &words, wanted);
}

#[test]
fn keys_move_with_their_time_to_live() {
    let (from, to) = (Running::new(|_| {}), Running::new(|_| {}));
    let (mut here, mut there) = (from.client(), to.client());
    send(&mut here, &["SET", "a", "rose"], "+OK\r\n");
    send(&mut here, &["SET", "b", "7", "EX", "1000"], "+OK\r\n");
    // The commands of a pipeline before it come first.
    here.send(b"APPEND a s\r\n");
    let words = ["", "1", PATIENT, "KEYS", "a", "missing", "b"];
    migrate(&mut here, to.address, &words, ":5\r\n+OK\r\n");
    send(&mut here, &["EXISTS", "a", "b"], ":0\r\n");
    send(&mut there, &["EXISTS", "a", "b"], ":0\r\n");
    send(&mut there, &["SELECT", "1"], "+OK\r\n");
    send(&mut there, &["GET", "a"], "$5\r\nroses\r\n");
    send(&mut there, &["TTL", "a"], ":-1\r\n");
    send(&mut there, &["GET", "b"], "$1\r\n7\r\n");
    send(&mut there, &["EXPIRE", "b", "900", "LT"], ":1\r\n");
    migrate(&mut here, to.address, &["a", "1", PATIENT], "+NOKEY\r\n");
}

#[test]
fn an_existing_key_is_replaced_with_replace_only() {
    let (from, to) = (Running::new(|_| {}), Running::new(|_| {}));
    let (mut here, mut there) = (from.client(), to.client());
    send(&mut here, &["MSET", "a", "new", "b", "other"], "+OK\r\n");
    send(&mut there, &["SET", "a", "old"], "+OK\r\n");
    let exists =
        "-ERR Target instance replied with error: BUSYKEY Target key name already exists.\r\n";
    // The other key moves.
    migrate(&mut here, to.address, &["", "0", PATIENT, "KEYS", "a", "b"], exists);
    send(&mut here, &["MGET", "a", "b"], "*2\r\n$3\r\nnew\r\n$-1\r\n");
    send(&mut there, &["MGET", "a", "b"], "*2\r\n$3\r\nold\r\n$5\r\nother\r\n");
    migrate(&mut here, to.address, &["a", "0", PATIENT, "COPY", "REPLACE"], "+OK\r\n");
    send(&mut here, &["GET", "a"], "$3\r\nnew\r\n");
    send(&mut there, &["GET", "a"], "$3\r\nnew\r\n");
    migrate(&mut here, to.address, &["a", "0", PATIENT, "REPLACE"], "+OK\r\n");
    send(&mut here, &["GET", "a"], "$-1\r\n");
}

#[test]
fn it_logs_in() {
    let from = Running::new(|_| {});
    let to = Running::new(|config| config.password = Some("sesame".to_owned()));
    let (mut here, mut there) = (from.client(), to.client());
    send(&mut there, &["AUTH", "sesame"], "+OK\r\n");
    send(
        &mut there,
        &["ACL", "SETUSER", "rose", "on", ">thorn", "~*", "+restore", "+select"],
        "+OK\r\n",
    );
    send(&mut here, &["MSET", "a", "1", "b", "2"], "+OK\r\n");
    let refused = |why: &str| format!("-ERR Target instance replied with error: {why}\r\n");
    let wrong = refused("WRONGPASS invalid username-password pair or user is disabled.");
    let cases: [(&[&str], String); 4] = [
        (&[], refused("NOAUTH Authentication required.")),
        (&["AUTH", "wrong"], wrong.clone()),
        (&["AUTH2", "rose", "sesame"], wrong),
        (&["AUTH2", "rose", "thorn"], "+OK\r\n".to_owned()),
    ];
    for (login, wanted) in cases {
        migrate(&mut here, to.address, &[&["a", "0", PATIENT], login].concat(), &wanted);
    }
    migrate(&mut here, to.address, &["b", "0", PATIENT, "AUTH", "sesame"], "+OK\r\n");
    send(&mut here, &["DBSIZE"], ":0\r\n");
    send(&mut there, &["MGET", "a", "b"], "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
    send(&mut here, &["SET", "a", "1"], "+OK\r\n");
    let no_database = refused("ERR DB index is out of range");
    migrate(&mut here, to.address, &["a", "99", PATIENT, "AUTH", "sesame"], &no_database);
    send(&mut here, &["DBSIZE"], ":1\r\n");
}

#[test]
fn many_and_large_keys_move() {
    let (from, to) = (Running::new(|_| {}), Running::new(|_| {}));
    let (mut here, mut there) = (from.client(), to.client());
    // Bytes that do not compress.
    let mut random = Random(1);
    let large: Vec<u8> = (0..3 << 20).map(|_| random.below(256) as u8).collect();
    let names: Vec<String> = (0..1000).map(|number| format!("key{number}")).collect();
    for name in &names {
        send(&mut here, &["SET", name, name], "+OK\r\n");
    }
    here.send(command(&[b"SET", b"large", &large]));
    here.expect(b"+OK\r\n");
    let mut words = vec!["", "0", PATIENT, "KEYS", "large"];
    words.extend(names.iter().map(String::as_str));
    migrate(&mut here, to.address, &words, "+OK\r\n");
    send(&mut here, &["DBSIZE"], ":0\r\n");
    send(&mut there, &["DBSIZE"], ":1001\r\n");
    there.send(b"GET large\r\n");
    there.expect(bulk(&large));
}

#[test]
fn values_of_all_types_move() {
    let dbs = [(); 2].map(|()| Db::open(Options::in_memory()).unwrap());
    let [from, to] = dbs.each_ref().map(|db| Running::over(db.clone(), |_| {}));
    let types = [ValueType::Hash, ValueType::List, ValueType::Set, ValueType::SortedSet];
    let mut words = vec!["", "0", PATIENT, "KEYS"];
    for value_type in types {
        // Enough for a tree, and for several nodes of a list.
        let mut packer = Packer::new(value_type);
        for number in 0..5000_u32 {
            packer.push(
                format!("name {number}").as_bytes(),
                &Score::new(number.into()).unwrap().bytes(),
            );
        }
        let value = StoredValue::Packed(packer.packed());
        let change = Change::Restore { value, expiry: Expiry::Never, replace: true, usage: None };
        let store = Request::Change(value_type.name().as_bytes(), change);
        dbs[0].session().execute(&[store], &mut |_, answer| assert_eq!(answer, Answer::Done));
        words.push(value_type.name());
    }
    let stored = |db: &Db| {
        types.map(|value_type| {
            let (mut entries, key) = (Vec::new(), value_type.name().as_bytes());
            db.session().execute(&[Request::Read(key, Query::Stored)], &mut |_, answer| {
                let Answer::Stored(StoredValue::Packed(value)) = answer else { return };
                assert_eq!(value.value_type(), value_type);
                entries =
                    value.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
            });
            entries
        })
    };
    let wanted = stored(&dbs[0]);
    assert!(wanted.iter().all(|entries| entries.len() == 5000));
    let mut here = from.client();
    migrate(&mut here, to.address, &words, "+OK\r\n");
    send(&mut here, &["DBSIZE"], ":0\r\n");
    assert!(stored(&dbs[1]) == wanted, "values that have moved");
}

#[test]
fn transactions_and_scripts_refuse_it() {
    let from = Running::new(|_| {});
    let mut here = from.client();
    send(&mut here, &["SET", "a", "1"], "+OK\r\n");
    send(&mut here, &["MULTI"], "+OK\r\n");
    migrate(&mut here, from.address, &["a", "0", PATIENT], "+QUEUED\r\n");
    let refused = "-ERR MIGRATE is not supported in transactions and scripts\r\n";
    send(&mut here, &["EXEC"], &format!("*1\r\n{refused}"));
    let script = "return redis.pcall('migrate', '127.0.0.1', '1', KEYS[1], 0, 100)";
    send(&mut here, &["EVAL", script, "1", "a"], refused);
    send(&mut here, &["GET", "a"], "$1\r\n1\r\n");
}

/// A server that is played by a test.
struct Played(BufReader<TcpStream>);

impl Played {
    /// Returns the next request.
    fn request(&mut self) -> Vec<String> {
        let mut line = String::new();
        let mut number = |stream: &mut BufReader<TcpStream>| {
            line.clear();
            stream.read_line(&mut line).unwrap();
            line[1..].trim_end().parse::<usize>().unwrap()
        };
        let count = number(&mut self.0);
        let mut words = Vec::new();
        for _ in 0..count {
            let mut word = vec![0; number(&mut self.0) + 2];
            self.0.read_exact(&mut word).unwrap();
            word.truncate(word.len() - 2);
            words.push(String::from_utf8_lossy(&word).into_owned());
        }
        words
    }

    fn reply(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Returns the request that follows SELECT.
    fn first_request(&mut self) -> Vec<String> {
        assert_eq!(self.request(), ["SELECT", "0"]);
        self.reply(b"+OK\r\n");
        self.request()
    }
}

/// Plays a server to which one client connects.
fn play(with: impl FnOnce(Played) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let played = thread::spawn(move || {
        let stream = listener.accept().unwrap().0;
        stream.set_read_timeout(Some(support::LIMIT)).unwrap();
        with(Played(BufReader::new(stream)));
    });
    (address, played)
}

/// Returns whether a request restores this value, which is in its payload.
fn restores(request: &[String], value: &str, replace: bool) -> bool {
    request[..3] == ["RESTORE", "a", "0"]
        && request[3].contains(value)
        && request.get(4).is_some_and(|option| option == "REPLACE") == replace
}

/// Starts a server that has a key. Its database can be used while MIGRATE occupies its event loop.
fn with_key() -> (Running, Db) {
    let db = Db::open(Options::in_memory()).unwrap();
    db.set("a", "rose").unwrap();
    (Running::over(db.clone(), |_| {}), db)
}

#[test]
fn a_key_that_changes_meanwhile_is_sent_again() {
    let (from, db) = with_key();
    let (to, played) = play(move |mut to| {
        let request = to.first_request();
        assert!(restores(&request, "rose", false), "{request:?}");
        db.append("a", "s").unwrap();
        to.reply(b"+OK\r\n");
        let request = to.request();
        assert!(restores(&request, "roses", true), "{request:?}");
        // The same value is a change, too: the time to live may differ.
        db.set("a", "roses").unwrap();
        to.reply(b"+OK\r\n");
        let request = to.request();
        assert!(restores(&request, "roses", true), "{request:?}");
        to.reply(b"+OK\r\n");
    });
    let mut here = from.client();
    migrate(&mut here, to, &["a", "0", PATIENT], "+OK\r\n");
    send(&mut here, &["EXISTS", "a"], ":0\r\n");
    played.join().unwrap();
}

#[test]
fn a_key_that_is_deleted_meanwhile_is_deleted_there() {
    let (from, db) = with_key();
    let (to, played) = play(move |mut to| {
        let request = to.first_request();
        assert!(restores(&request, "rose", false), "{request:?}");
        db.delete("a").unwrap();
        to.reply(b"+OK\r\n");
        assert_eq!(to.request(), ["DEL", "a"]);
        to.reply(b":1\r\n");
    });
    migrate(&mut from.client(), to, &["a", "0", PATIENT], "+OK\r\n");
    played.join().unwrap();
}

/// Otherwise a key that changes each time would be sent for ever.
#[test]
fn a_key_that_always_changes_is_locked() {
    let (from, db) = with_key();
    let changed = db.clone();
    let (to, played) = play(move |mut to| {
        let request = to.first_request();
        assert!(restores(&request, "rose", false), "{request:?}");
        for change in 1..=8 {
            let value = format!("value{change}.");
            db.set("a", &value).unwrap();
            to.reply(b"+OK\r\n");
            let request = to.request();
            assert!(restores(&request, &value, true), "{request:?}");
        }
        thread::scope(|scope| {
            let change = scope.spawn(|| db.set("a", "later").unwrap());
            thread::sleep(Duration::from_millis(300));
            assert!(!change.is_finished(), "it is not locked after eight changes");
            to.reply(b"+OK\r\n");
        });
    });
    migrate(&mut from.client(), to, &["a", "0", PATIENT], "+OK\r\n");
    played.join().unwrap();
    // The last change has come after the key was moved.
    assert_eq!(changed.get("a").unwrap().as_deref(), Some(&b"later"[..]));
}

/// Changes the key during each attempt that does not lock it, and takes the request of the one that does.
fn change_each_time(to: &mut Played, db: &Db) {
    to.first_request();
    for _ in 0..8 {
        db.append("a", "s").unwrap();
        to.reply(b"+OK\r\n");
        to.request();
    }
}

/// All clients wait that change keys of its shard.
#[test]
fn a_key_is_locked_for_two_seconds_at_most() {
    let (from, db) = with_key();
    let left = db.clone();
    let (to, played) = play(move |mut to| {
        change_each_time(&mut to, &db);
        // Until the end of the connection.
        to.0.get_mut().set_read_timeout(Some(support::LIMIT / 2)).unwrap();
        let end = to.0.read(&mut [0]);
        assert!(matches!(end, Ok(0)), "a hanging server keeps the key locked: {end:?}");
    });
    let reading = "-IOERR error or timeout reading to target instance\r\n";
    migrate(&mut from.client(), to, &["a", "0", "80000000"], reading);
    played.join().unwrap();
    assert_eq!(left.get("a").unwrap().as_deref(), Some(&b"rosessssssss"[..]));
}

#[test]
fn a_locked_key_stays_if_the_other_server_refuses_it() {
    let (from, db) = with_key();
    let left = db.clone();
    let (to, played) = play(move |mut to| {
        change_each_time(&mut to, &db);
        to.reply(b"-OOM full\r\n");
    });
    let full = "-ERR Target instance replied with error: OOM full\r\n";
    migrate(&mut from.client(), to, &["a", "0", PATIENT], full);
    played.join().unwrap();
    // Nothing is locked.
    left.append("a", ".").unwrap();
    assert_eq!(left.get("a").unwrap().as_deref(), Some(&b"rosessssssss."[..]));
}

/// With a copy, nothing is deleted here, so changes may come between.
#[test]
fn a_copy_is_sent_once() {
    let (from, db) = with_key();
    let (to, played) = play(move |mut to| {
        let request = to.first_request();
        assert!(restores(&request, "rose", false), "{request:?}");
        db.append("a", "s").unwrap();
        to.reply(b"+OK\r\n");
    });
    let mut here = from.client();
    migrate(&mut here, to, &["a", "0", PATIENT, "COPY"], "+OK\r\n");
    send(&mut here, &["GET", "a"], "$5\r\nroses\r\n");
    played.join().unwrap();
}

#[test]
fn keys_stay_if_the_other_server_does_not_store_them() {
    let reading = "-IOERR error or timeout reading to target instance\r\n";
    let cases: [(&str, &str); 4] = [
        ("", reading),
        ("$2\r\nOK\r\n", reading),
        ("-OOM full\r\n", "-ERR Target instance replied with error: OOM full\r\n"),
        ("+OK", reading),
    ];
    let from = Running::new(|_| {});
    let mut here = from.client();
    send(&mut here, &["MSET", "a", "rose", "b", "2"], "+OK\r\n");
    for (reply, wanted) in cases {
        let (to, played) = play(move |mut to| {
            to.first_request();
            to.reply(reply.as_bytes());
        });
        migrate(&mut here, to, &["a", "0", PATIENT], wanted);
        send(&mut here, &["GET", "a"], "$4\r\nrose\r\n");
        played.join().unwrap();
    }
    // Those whose replies have come are there.
    let (to, played) = play(|mut to| {
        to.first_request();
        to.request();
        to.reply(b"+OK\r\n");
    });
    migrate(&mut here, to, &["", "0", PATIENT, "KEYS", "a", "b"], reading);
    send(&mut here, &["MGET", "a", "b"], "*2\r\n$-1\r\n$1\r\n2\r\n");
    played.join().unwrap();
}

/// A server that is silent, or sends a byte now and then, costs no more than the timeout.
#[test]
fn a_slow_server_does_not_keep_it() {
    let from = Running::new(|_| {});
    let mut here = from.client();
    send(&mut here, &["SET", "a", "rose"], "+OK\r\n");
    for drips in [false, true] {
        let (to, played) = play(move |mut to| {
            let begun = Instant::now();
            while begun.elapsed() < support::LIMIT {
                thread::sleep(Duration::from_millis(20));
                if drips && to.0.get_mut().write_all(b"+").is_err() {
                    return;
                }
                to.0.get_mut().set_read_timeout(Some(Duration::from_millis(1))).unwrap();
                let mut bytes = [0; 1024];
                if matches!(to.0.read(&mut bytes), Ok(0)) {
                    return;
                }
            }
        });
        let reading = "-IOERR error or timeout reading to target instance\r\n";
        let begun = Instant::now();
        migrate(&mut here, to, &["a", "0", "300"], reading);
        assert!(begun.elapsed() < support::LIMIT / 2, "the timeout begins anew with each byte");
        send(&mut here, &["GET", "a"], "$4\r\nrose\r\n");
        played.join().unwrap();
    }
}

/// Begins a MIGRATE to a server that never replies, with a timeout of a day. Returns its client when it waits.
fn wait_for_a_silent_server(from: &Running) -> (Client, JoinHandle<()>) {
    let (waits, began) = std::sync::mpsc::channel();
    let (to, played) = play(move |mut to| {
        to.first_request();
        waits.send(()).unwrap();
        // The end of the connection.
        let _ = to.0.read(&mut [0]);
    });
    let mut here = from.client();
    let (host, port) = (to.ip().to_string(), to.port().to_string());
    let words = ["MIGRATE", &host, &port, "a", "0", "80000000"].map(str::as_bytes);
    here.send(command(&words));
    began.recv().unwrap();
    (here, played)
}

/// An administrator can end it, from a connection that another event loop serves.
#[test]
fn a_kill_ends_it() {
    let (from, db) = with_key();
    let mut admin = from.client();
    send(&mut admin, &["CONFIG", "SET", "busy-reply-threshold", "100"], "+OK\r\n");
    let (mut here, played) = wait_for_a_silent_server(&from);
    let address = here.0.local_addr().unwrap().to_string();
    send(&mut from.client(), &["CLIENT", "KILL", "ADDR", &address], ":1\r\n");
    here.0.set_read_timeout(Some(support::LIMIT / 4)).unwrap();
    here.expect("-IOERR error or timeout reading to target instance\r\n");
    here.expect_end();
    played.join().unwrap();
    assert!(db.get(b"a").unwrap().is_some(), "the key is deleted although it was not moved");
}

/// A server that shuts down does not wait for the other one.
#[test]
fn a_shutdown_ends_it() {
    let (from, _) = with_key();
    let (_client, played) = wait_for_a_silent_server(&from);
    let begun = Instant::now();
    from.end();
    assert!(begun.elapsed() < support::LIMIT / 2, "the shutdown waits for the other server");
    played.join().unwrap();
}

/// It is logged: a copy of the log that is read anew does not have the key.
#[test]
fn a_moved_key_is_gone_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let to = Running::new(|_| {});
    let from = Running::over(Db::open(Options::at(folder.path())).unwrap(), |_| {});
    let mut here = from.client();
    send(&mut here, &["MSET", "a", "1", "b", "2"], "+OK\r\n");
    migrate(&mut here, to.address, &["a", "0", PATIENT], "+OK\r\n");
    drop(here);
    from.end();
    let db = Db::open(Options::at(folder.path())).unwrap();
    assert_eq!(db.get("a").unwrap(), None);
    assert_eq!(db.get("b").unwrap().as_deref(), Some(&b"2"[..]));
}
