//! builds: default
//!
//! Client-side caching over sockets: replies and messages as redis-server 7.0.15 sends them, keys that expire or are
//! evicted, the order of replies and messages, and clients that do not read.

#[path = "support/recorded.rs"]
mod recorded;
mod support;

use hedgerow_db::options::Eviction;
use hedgerow_db::resp::read::Reply;
use hedgerow_db::{Db, Options};
use recorded::{Reader, bytes, expect, expect_no_more, sections, send};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;
use support::{Client, Running, command};

/// The bytes that redis-server sends to several connections. The first lines describe the format.
const REDIS: &str = include_str!("redis-7-tracking.txt");
/// The numbers of sections and of requests in the file.
const SECTIONS: usize = 13;
const REQUESTS: usize = 312;

/// Connects, and begins to use RESP3 and to track keys by these words.
fn tracking(server: &Running, words: &str) -> Reader {
    let mut reader = Reader::new(server);
    reader.ask("HELLO 3");
    assert_eq!(reader.ask(&format!("CLIENT TRACKING ON {words}")), Reply::Simple(b"OK".into()));
    reader
}

/// Returns the text of the next reply, which is a text.
fn text(reader: &mut Reader, line: &str) -> String {
    match reader.ask(line) {
        Reply::Bulk(text) | Reply::Verbatim(_, text) => String::from_utf8(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn id(reader: &mut Reader) -> i64 {
    match reader.ask("CLIENT ID") {
        Reply::Integer(id) => id,
        other => panic!("{other:?}"),
    }
}

fn changed(keys: &[&str]) -> Reply {
    let keys = keys.iter().map(|key| Reply::Bulk(key.as_bytes().to_vec())).collect();
    Reply::Push(vec![Reply::Bulk(b"invalidate".to_vec()), Reply::Array(keys)])
}

/// The connections of a section, with their numbers.
struct Section {
    server: Running,
    clients: BTreeMap<char, (Client, i64)>,
}

impl Section {
    fn entry(&mut self, name: char) -> &mut (Client, i64) {
        self.clients.entry(name).or_insert_with(|| {
            let mut reader = Reader::new(&self.server);
            let id = id(&mut reader);
            (reader.client, id)
        })
    }

    fn client(&mut self, name: char) -> &mut Client {
        &mut self.entry(name).0
    }

    /// Replaces `@a` by the number of the connection `a`.
    fn numbered(&mut self, text: &str) -> String {
        let mut parts = text.split('@');
        let mut whole = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let id = self.entry(part.chars().next().unwrap()).1;
            whole.extend([&*id.to_string(), &part[1..]]);
        }
        whole
    }
}

#[test]
fn clients_get_what_redis_sends() {
    let sections = sections(REDIS);
    assert_eq!(sections.len(), SECTIONS);
    let mut requests = 0;
    for lines in sections {
        // Without an interpreter, the rest of the section would differ.
        if !cfg!(feature = "scripts") && lines.iter().any(|line| line[1..].starts_with("> EVAL")) {
            continue;
        }
        // Each section has a server of its own, whose clients are on several threads.
        let server = Running::new(|config| config.threads = 3);
        let mut section = Section { server, clients: BTreeMap::new() };
        for line in lines {
            let name = line.chars().next().unwrap();
            if let Some(request) = line[1..].strip_prefix("> ") {
                requests += 1;
                let request = section.numbered(request);
                send(section.client(name), &request);
            } else {
                let wanted = line[1..].strip_prefix("= ").unwrap_or_else(|| panic!("{line}"));
                let wanted = section.numbered(wanted);
                expect(section.client(name), line, &bytes(&wanted));
            }
        }
        for (name, (client, _)) in &mut section.clients {
            expect_no_more(client, *name);
        }
    }
    assert!(requests == REQUESTS || !cfg!(feature = "scripts"), "{requests} requests");
}

#[test]
fn a_reply_comes_before_the_message_that_makes_it_stale() {
    let server = Running::new(|_| ());
    let mut client = tracking(&server, "");
    let requests: Vec<u8> = [&[b"GET" as &[u8], b"rose"][..], &[b"SET", b"rose", b"red"]]
        .iter()
        .flat_map(|words| command(words))
        .collect();
    client.client.send(&requests);
    assert_eq!(client.next(), Reply::Null);
    assert_eq!(client.next(), Reply::Simple(b"OK".into()));
    assert_eq!(client.next(), changed(&["rose"]));
    // Behind its own change in the pipeline, the key is read and remembered anew.
    let requests: Vec<u8> = [&[b"SET" as &[u8], b"rose", b"white"][..], &[b"GET", b"rose"]]
        .iter()
        .flat_map(|words| command(words))
        .collect();
    client.client.send(&requests);
    assert_eq!(client.next(), Reply::Simple(b"OK".into()));
    assert_eq!(client.next(), Reply::Bulk(b"white".into()), "a key is told that was not read");
    assert_eq!(Reader::new(&server).ask("SET rose blue"), Reply::Simple(b"OK".into()));
    assert_eq!(client.next(), changed(&["rose"]), "the key of a pipeline is forgotten");
}

#[test]
fn keys_that_expire_are_told() {
    let server = Running::new(|_| ());
    let mut client = tracking(&server, "NOLOOP");
    // A time that is not over before the key is read, on a busy machine.
    client.ask("SET rose red PX 1000");
    assert_eq!(client.ask("GET rose"), Reply::Bulk(b"red".into()));
    // Nobody else reads or changes the key.
    assert_eq!(client.next(), changed(&["rose"]));
    let mut client = tracking(&server, "BCAST NOLOOP PREFIX ros");
    client.ask("SET rose red PX 500");
    assert_eq!(client.next(), changed(&["rose"]));
}

#[test]
fn keys_that_are_evicted_are_told() {
    let mut options = Options::in_memory();
    (options.max_memory, options.eviction) = (2 << 20, Eviction::Random);
    let server = Running::over(Db::open(options).unwrap(), |_| ());
    let mut client = tracking(&server, "BCAST NOLOOP");
    let value = "v".repeat(1000);
    for number in 0..4096 {
        client.send(&format!("SET {number} {value}"));
    }
    let (mut replies, mut evicted) = (0, 0);
    while replies < 4096 || evicted == 0 {
        match client.next() {
            Reply::Simple(_) => replies += 1,
            // A client that is not told of its own changes is told of these.
            Reply::Push(_) => evicted += 1,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_idle_client_gets_redirected_messages() {
    let server = Running::new(|config| config.threads = 3);
    let (mut client, mut other) = (Reader::new(&server), Reader::new(&server));
    let mut receivers: Vec<Reader> = (0..8).map(|_| Reader::new(&server)).collect();
    for receiver in &mut receivers {
        receiver.ask("HELLO 3");
        let id = id(receiver);
        client.ask(&format!("CLIENT TRACKING ON REDIRECT {id}"));
        client.ask("GET rose");
        other.ask("SET rose red");
        // It has asked for nothing since.
        assert_eq!(receiver.next(), changed(&["rose"]));
    }
}

#[test]
fn clients_and_counts_are_shown() {
    let server = Running::new(|_| ());
    let mut plain = Reader::new(&server);
    assert!(text(&mut plain, "CLIENT INFO").contains(" flags=N "));
    let mut receiver = Reader::new(&server);
    let id = id(&mut receiver);
    let mut client = tracking(&server, &format!("REDIRECT {id}"));
    let line = text(&mut client, "CLIENT INFO");
    assert!(line.contains(" flags=t ") && line.contains(&format!(" redir={id} ")), "{line}");
    let mut broad = tracking(&server, "BCAST PREFIX a PREFIX b");
    let line = text(&mut broad, "CLIENT INFO");
    assert!(line.contains(" flags=tB ") && line.contains(" redir=0 "), "{line}");
    client.ask("MGET rose daisy");
    let info = text(&mut plain, "INFO");
    for wanted in [
        "tracking_clients:2",
        "tracking_total_keys:2",
        "tracking_total_items:2",
        "tracking_total_prefixes:2",
    ] {
        assert!(info.lines().any(|line| line == wanted), "no {wanted} in {info}");
    }
    receiver.ask("QUIT");
    plain.ask("SET rose red");
    let broken = [Reply::Bulk(b"tracking-redir-broken".to_vec()), Reply::Integer(id)];
    assert_eq!(client.next(), Reply::Push(broken.to_vec()));
    assert!(text(&mut client, "CLIENT INFO").contains(" flags=tR "));
    // A client that ends is forgotten.
    drop((client, broad));
    let deadline = Instant::now() + support::LIMIT;
    while !text(&mut plain, "INFO clients").contains("tracking_clients:0") {
        assert!(Instant::now() < deadline, "a client that has ended still tracks");
    }
    assert!(text(&mut plain, "INFO stats").contains("tracking_total_prefixes:0"));
}

#[test]
fn a_broadcast_names_only_keys_that_the_user_may_use() {
    let server = Running::new(|_| {});
    let (mut other, mut client) = (Reader::new(&server), Reader::new(&server));
    other.ask("ACL SETUSER rose on nopass +@all ~mine:*");
    client.ask("HELLO 3 AUTH rose x");
    client.ask("CLIENT TRACKING ON BCAST");
    other.ask("SET secret 1");
    other.ask("SET mine:a 1");
    assert_eq!(client.next(), changed(&["mine:a"]), "a name of another user's key is told");
    other.ask("FLUSHALL");
    assert!(matches!(client.next(), Reply::Push(_)), "nobody is told that all keys are gone");
}

#[test]
fn a_tracker_that_must_log_in_is_closed() {
    let server = Running::new(|_| {});
    let mut other = Reader::new(&server);
    other.ask("CONFIG SET requirepass sesame");
    let mut client = Reader::new(&server);
    // It is connected when there is a password, and may do everything while there is none.
    assert!(matches!(client.ask("PING"), Reply::Error(_)), "a client need not log in");
    other.ask("CONFIG SET requirepass ''");
    client.ask("HELLO 3");
    client.ask("CLIENT TRACKING ON BCAST");
    other.ask("CONFIG SET requirepass sesame");
    other.ask("SET secret 1");
    client.client.expect_end();
}

/// The prefixes of a client count together, however many requests they come in.
#[test]
fn prefixes_have_a_limit() {
    let server = Running::new(|_| {});
    let mut client = Reader::new(&server);
    client.ask("HELLO 3");
    let long = "x".repeat(400 << 10);
    let replies = ["a", "b", "c"]
        .map(|first| client.ask(&format!("CLIENT TRACKING ON BCAST PREFIX {first}{long}")));
    let ok = Reply::Simple(b"OK".into());
    let refused = b"ERR the prefixes of a client have at most 1048576 bytes".to_vec();
    assert_eq!(replies, [ok.clone(), ok, Reply::Error(refused)]);
}

#[test]
fn the_table_has_a_limit() {
    let server = Running::new(|config| {
        config.settings = vec![("tracking-table-max-keys".to_owned(), "2".to_owned())];
    });
    let mut client = tracking(&server, "");
    client.send("MGET a b c");
    assert!(matches!(client.next(), Reply::Array(values) if values.len() == 3));
    assert!(matches!(client.next(), Reply::Push(_)), "a forgotten key is not told");
    let mut other = Reader::new(&server);
    other.ask("CONFIG SET tracking-table-max-keys 1");
    assert!(matches!(client.next(), Reply::Push(_)), "a lower limit has no effect");
    assert!(text(&mut other, "INFO stats").contains("tracking_total_keys:1\r\n"));
    assert_eq!(
        other.ask("CONFIG GET tracking-table-max-keys"),
        Reply::Array(["tracking-table-max-keys", "1"].map(|text| Reply::Bulk(text.into())).into())
    );
}

/// A client that reads nothing is disconnected, and no writer waits for it.
#[test]
fn slow_clients_are_disconnected() {
    let server = Running::new(|_| ());
    let mut client = Reader::new(&server);
    client.ask("CONFIG SET client-output-buffer-limit 'pubsub 65536 0 0'");
    let _slow = tracking(&server, "BCAST");
    let (key, mut rounds) = ("k".repeat(60_000), 0);
    while server.watcher.clients() > 1 {
        client.ask(&format!("SET {key} v"));
        rounds += 1;
        assert!(rounds < 10_000, "a slow client stays");
    }
}

/// Changes a key until a client in broadcasting mode is told of something. Returns that.
fn change_until_told(tracker: &mut Reader, writer: &mut Reader, key: &str) -> Reply {
    for _ in 0..10_000 {
        writer.ask(&format!("SET {key} v"));
        match tracker.ask("PING") {
            Reply::Simple(_) => {}
            told => return told,
        }
    }
    panic!("messages to a client that does not read are kept");
}

fn limit_output(client: &mut Reader) {
    let limits = "'normal 65536 0 0 pubsub 65536 0 0'";
    let set = client.ask(&format!("CONFIG SET client-output-buffer-limit {limits}"));
    assert_eq!(set, Reply::Simple(b"OK".into()));
}

/// Anybody may redirect messages to any client. One that has not asked for them, and reads nothing, stays.
#[test]
fn a_client_cannot_close_another_by_redirecting_to_it() {
    let server = Running::new(|_| ());
    let mut client = Reader::new(&server);
    limit_output(&mut client);
    let mut receiver = Reader::new(&server);
    receiver.ask("HELLO 3");
    let receiver_id = id(&mut receiver);
    let mut tracker = tracking(&server, &format!("BCAST REDIRECT {receiver_id}"));
    let key = "k".repeat(60_000);
    let told = change_until_told(&mut tracker, &mut client, &key);
    let broken = [Reply::Bulk(b"tracking-redir-broken".to_vec()), Reply::Integer(receiver_id)];
    assert_eq!(told, Reply::Push(broken.to_vec()));
    // When it has sent a command, its output is compared with the limits.
    receiver.send("PING");
    let mut shown = || text(&mut client, &format!("CLIENT LIST ID {receiver_id}"));
    let deadline = Instant::now() + support::LIMIT;
    while !shown().contains(" cmd=ping ") && shown().contains("id=") {
        assert!(Instant::now() < deadline, "a command is not executed");
    }
    assert!(shown().contains("id="), "the receiver is closed");
    let mut messages = 0;
    while receiver.next() == changed(&[&key]) {
        messages += 1;
    }
    assert!(messages > 0, "the receiver gets nothing");
}

/// One that has asked for them is limited as any subscriber is: it would miss some, and could not know.
#[test]
fn a_slow_receiver_that_subscribes_is_disconnected() {
    let server = Running::new(|_| ());
    let mut client = Reader::new(&server);
    limit_output(&mut client);
    let mut receiver = Reader::new(&server);
    let receiver_id = id(&mut receiver);
    receiver.ask("SUBSCRIBE __redis__:invalidate");
    let mut tracker = tracking(&server, &format!("BCAST REDIRECT {receiver_id}"));
    change_until_told(&mut tracker, &mut client, &"k".repeat(60_000));
    let deadline = Instant::now() + support::LIMIT / 4;
    while text(&mut client, "CLIENT LIST").contains(&format!("id={receiver_id} ")) {
        assert!(Instant::now() < deadline, "a slow subscriber misses messages");
    }
}

/// Clients that keep what they read, and drop it when they are told, have the last value in the end.
#[test]
fn no_client_keeps_a_stale_value() {
    const ROUNDS: usize = 3000;
    let server = Running::new(|config| config.threads = 3);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let mut client = tracking(&server, "");
                let over = &over;
                scope.spawn(move || {
                    let (mut kept, mut reads) = (None, 0);
                    loop {
                        // Relaxed: the value that is read afterwards is compared only after the writer has ended.
                        let last = over.load(Ordering::Relaxed);
                        if kept.is_none() {
                            client.send("GET rose");
                            reads += 1;
                        } else {
                            client.send("PING");
                        }
                        loop {
                            match client.next() {
                                Reply::Push(_) => kept = None,
                                Reply::Bulk(value) => break kept = Some(value),
                                Reply::Null => break kept = Some(Vec::new()),
                                _ => break,
                            }
                        }
                        if last && kept.is_some() {
                            break;
                        }
                    }
                    // The messages of the last changes have been sent before the writer has got its last reply.
                    client.send("PING");
                    while let Reply::Push(_) = client.next() {
                        kept = None;
                    }
                    (kept, reads)
                })
            })
            .collect();
        let mut writer = Reader::new(&server);
        for round in 0..ROUNDS {
            writer.ask(&format!("SET rose {round}"));
        }
        // Relaxed: see the load.
        over.store(true, Ordering::Relaxed);
        for reader in readers {
            let (kept, reads) = reader.join().unwrap();
            let last = (ROUNDS - 1).to_string().into_bytes();
            assert!(kept.is_none_or(|kept| kept == last), "a stale value is kept");
            assert!(reads > 1, "no message has come");
        }
    });
}
