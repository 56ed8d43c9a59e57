//! builds: default
//!
//! Events about keys over sockets: those that redis-server 7.0.15 publishes for each command, the events of keys that
//! expire or are evicted, and their order.

mod support;

use hedgerow_db::options::Eviction;
use hedgerow_db::resp::inline;
use hedgerow_db::resp::read::{self, Found, Reply};
use hedgerow_db::{Db, Options};
use std::io::Read;
use std::thread;
use support::{Client, Running, command};

/// The messages that redis-server sends to a subscriber. The first lines describe the format.
const REDIS: &str = include_str!("redis-7-key-events.txt");

/// A client that reads one reply after the other.
struct Reader {
    client: Client,
    input: Vec<u8>,
}

impl Reader {
    fn new(server: &Running) -> Self {
        Self { client: server.client(), input: Vec::new() }
    }

    /// Sends a command, and returns the first reply.
    fn ask(&mut self, words: &[&[u8]]) -> Reply {
        self.client.send(command(words));
        self.next()
    }

    fn next(&mut self) -> Reply {
        loop {
            if let Ok(Found::Reply(reply, length)) = read::reply(&self.input) {
                self.input.drain(..length);
                return reply;
            }
            let mut piece = [0; 1 << 14];
            let length = self.client.0.read(&mut piece).expect("messages stop");
            assert!(length > 0, "the client was disconnected");
            self.input.extend_from_slice(&piece[..length]);
        }
    }
}

/// A server that publishes these events, a client of it, and a subscriber of all events.
struct Setup {
    client: Reader,
    /// Sends the mark behind which the subscriber has got all events of the commands before.
    marker: Reader,
    subscriber: Reader,
    server: Running,
}

impl Setup {
    fn new(server: Running, letters: &str) -> Self {
        let (mut client, marker) = (Reader::new(&server), Reader::new(&server));
        client.ask(&[b"CONFIG", b"SET", b"notify-keyspace-events", letters.as_bytes()]);
        let mut subscriber = Reader::new(&server);
        subscriber.ask(&[b"PSUBSCRIBE", b"__key*"]);
        Self { client, marker, subscriber, server }
    }

    /// Returns the next message: its channel and its text.
    fn message(&mut self) -> String {
        let (Reply::Array(parts) | Reply::Push(parts)) = self.subscriber.next() else {
            panic!("no message")
        };
        let text = |part: &Reply| match part {
            Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(text(&parts[0]), "pmessage");
        format!("{} {}", text(&parts[2]), text(&parts[3]))
    }

    /// Returns the messages that came since the last call.
    fn messages(&mut self) -> Vec<String> {
        self.marker.ask(&[b"PUBLISH", b"__key-end", b""]);
        let mut all = Vec::new();
        loop {
            match self.message() {
                end if end == "__key-end " => return all,
                message => all.push(message),
            }
        }
    }
}

#[test]
fn events_are_those_of_redis() {
    let (mut sections, mut commands) = (0, 0);
    let mut lines = REDIS.lines().skip_while(|line| !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        if !line.starts_with("# ") {
            assert!(line.is_empty(), "a line outside of a section: {line}");
            continue;
        }
        sections += 1;
        let mut setup = Setup::new(Running::new(|_| ()), "");
        while let Some(line) = lines.next_if(|line| !line.is_empty()) {
            let request = line.strip_prefix("> ").unwrap_or_else(|| panic!("no command: {line}"));
            let words = inline::split(request.as_bytes()).unwrap();
            commands += 1;
            if words[0] == b"EVAL" && !cfg!(feature = "scripts") {
                while lines.next_if(|line| line.starts_with("__key")).is_some() {}
                continue;
            }
            setup.client.ask(&words.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let mut wanted = Vec::new();
            while let Some(line) = lines.next_if(|line| line.starts_with("__key")) {
                wanted.push(line.to_owned());
            }
            assert_eq!(setup.messages(), wanted, "other events at {line}");
        }
    }
    assert_eq!((sections, commands), (SECTIONS, COMMANDS));
}

/// The numbers of sections and of commands in the file.
const SECTIONS: usize = 5;
const COMMANDS: usize = 202;

#[test]
fn the_setting_is_shown_as_redis_does() {
    let server = Running::new(|_| ());
    let mut client = Reader::new(&server);
    let mut config = |words: &[&[u8]]| client.ask(&[&[b"CONFIG" as &[u8]], words].concat());
    let name: &[u8] = b"notify-keyspace-events";
    for (given, shown) in [("KEA", "AKE"), ("mKnA", "AKm"), ("nmK", "nKm"), ("", "")] {
        assert_eq!(config(&[b"SET", name, given.as_bytes()]), Reply::Simple(b"OK".into()));
        let wanted = [name, shown.as_bytes()].map(|text| Reply::Bulk(text.to_vec()));
        assert_eq!(config(&[b"GET", name]), Reply::Array(wanted.into()), "for {given}");
    }
    let Reply::Error(why) = config(&[b"SET", name, b"KEZ"]) else { panic!("KEZ is accepted") };
    assert_eq!(
        String::from_utf8_lossy(&why),
        "ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - Invalid event class \
         character. Use 'Ag$lshzxeKEtmdn'."
    );
}

#[test]
fn the_setting_of_the_start_holds() {
    let server = Running::new(|config| {
        config.settings = vec![("notify-keyspace-events".to_owned(), "K$".to_owned())];
    });
    let mut subscriber = Reader::new(&server);
    subscriber.ask(&[b"SUBSCRIBE", b"__keyspace@0__:rose"]);
    Reader::new(&server).ask(&[b"SET", b"rose", b"red"]);
    let message = subscriber.next();
    let wanted = ["message", "__keyspace@0__:rose", "set"];
    assert_eq!(message, Reply::Array(wanted.map(|text| Reply::Bulk(text.into())).into()));
}

#[test]
fn keys_that_expire_are_reported() {
    let mut setup = Setup::new(Running::new(|_| ()), "Ex$gn");
    setup.client.ask(&[b"SELECT", b"2"]);
    setup.client.ask(&[b"SET", b"rose", b"red", b"PX", b"1"]);
    assert_eq!(setup.message(), "__keyevent@2__:new rose");
    assert_eq!(setup.message(), "__keyevent@2__:set rose");
    assert_eq!(setup.message(), "__keyevent@2__:expire rose");
    // Nobody reads the key.
    assert_eq!(setup.message(), "__keyevent@2__:expired rose");
    assert_eq!(setup.messages(), [""; 0]);
    // A value that has expired when it is stored.
    setup.client.ask(&[b"SET", b"daisy", b"white", b"PXAT", b"1"]);
    let names = ["new", "set", "expire", "expired"];
    assert_eq!(setup.messages(), names.map(|name| format!("__keyevent@2__:{name} daisy")));
}

#[test]
fn keys_that_are_evicted_are_reported() {
    let mut options = Options::in_memory();
    (options.max_memory, options.eviction) = (2 << 20, Eviction::Random);
    let db = Db::open(options).unwrap();
    let mut setup = Setup::new(Running::over(db, |_| ()), "Ee");
    let value = [b'v'; 1000];
    for number in 0..4096_u32 {
        setup.client.ask(&[b"SET", number.to_string().as_bytes(), &value]);
    }
    let evicted = setup.messages();
    assert!(!evicted.is_empty(), "no eviction is reported");
    assert!(evicted.iter().all(|message| message.starts_with("__keyevent@0__:evicted ")));
}

#[cfg(feature = "scripts")]
#[test]
fn scripts_that_are_undone_report_nothing() {
    let mut setup = Setup::new(Running::new(|_| ()), "KA");
    setup.client.ask(&[b"CONFIG", b"SET", b"busy-reply-threshold", b"20"]);
    let endless = b"redis.call('SET', KEYS[1], 'red') while true do end";
    let stopped = setup.client.ask(&[b"EVAL", endless, b"1", b"rose"]);
    assert!(matches!(stopped, Reply::Error(_)), "{stopped:?}");
    assert_eq!(setup.client.ask(&[b"GET", b"rose"]), Reply::Null);
    assert_eq!(setup.messages(), [""; 0], "an event of a change that was undone");
    setup.client.ask(&[b"SET", b"rose", b"red"]);
    assert_eq!(setup.messages(), ["__keyspace@0__:rose set"]);
}

/// A subscriber that reads nothing is disconnected, and no writer waits for it.
#[test]
fn slow_subscribers_of_events_are_disconnected() {
    let mut setup = Setup::new(Running::new(|_| ()), "KEA");
    let limit = b"pubsub 65536 0 0";
    setup.client.ask(&[b"CONFIG", b"SET", b"client-output-buffer-limit", limit]);
    let mut slow = Reader::new(&setup.server);
    slow.ask(&[b"PSUBSCRIBE", b"*"]);
    let (key, mut rounds) = (vec![b'k'; 60_000], 0);
    while setup.server.watcher.clients() > 3 {
        setup.client.ask(&[b"SET", &key, b"v"]);
        rounds += 1;
        assert!(rounds < 10_000, "a slow subscriber stays");
    }
}

/// Two threads change one key. A subscriber that applied the events of its channel would have what the database has.
#[test]
fn events_of_a_key_come_in_the_order_of_its_changes() {
    const ROUNDS: usize = 2000;
    let mut setup = Setup::new(Running::new(|_| ()), "K$g");
    let writers = [true, false].map(|sets| {
        let mut writer = Reader::new(&setup.server);
        thread::spawn(move || {
            let words: &[&[u8]] =
                if sets { &[b"SETNX", b"rose", b"red"] } else { &[b"DEL", b"rose"] };
            for _ in 0..ROUNDS {
                writer.ask(words);
            }
        })
    });
    for writer in writers {
        writer.join().unwrap();
    }
    let messages = setup.messages();
    for (at, message) in messages.iter().enumerate() {
        let wanted = if at % 2 == 0 { "set" } else { "del" };
        assert_eq!(
            *message,
            format!("__keyspace@0__:rose {wanted}"),
            "message {at} is out of order"
        );
    }
}
