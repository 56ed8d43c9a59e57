//! builds: default
//!
//! Events about keys over sockets: those that redis-server 7.0.15 publishes for each command, the events of keys that
//! expire or are evicted, and their order.

#[path = "support/recorded.rs"]
mod recorded;
mod support;

use hedgerow_db::options::Eviction;
use hedgerow_db::resp::read::Reply;
use hedgerow_db::{Db, Options};
use recorded::{Reader, sections};
use std::thread;
use support::Running;

/// The messages that redis-server sends to a subscriber. The first lines describe the format.
const REDIS: [&str; 3] = [
    include_str!("redis-7-key-events.txt"),
    include_str!("redis-7-key-events-collections.txt"),
    include_str!("redis-7-key-events-streams.txt"),
];

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
        client.ask(&format!("CONFIG SET notify-keyspace-events '{letters}'"));
        let mut subscriber = Reader::new(&server);
        subscriber.ask("PSUBSCRIBE __key*");
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
        self.marker.ask("PUBLISH __key-end ''");
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
    let sections: Vec<_> = REDIS.into_iter().flat_map(sections).collect();
    assert_eq!(sections.len(), SECTIONS);
    let mut commands = 0;
    for section in sections {
        let mut setup = Setup::new(Running::new(|_| ()), "");
        for part in section.chunk_by(|_, line| line.starts_with("__key")) {
            let (line, wanted) = part.split_first().unwrap();
            let request = line.strip_prefix("> ").unwrap_or_else(|| panic!("no command: {line}"));
            commands += 1;
            if request.starts_with("EVAL") && !cfg!(feature = "scripts") {
                continue;
            }
            setup.client.ask(request);
            assert_eq!(setup.messages(), wanted, "other events at {line}");
        }
    }
    assert_eq!(commands, COMMANDS);
}

/// The numbers of sections and of commands in the files.
const SECTIONS: usize = 15;
const COMMANDS: usize = 662;

#[test]
fn the_setting_is_shown_as_redis_does() {
    let server = Running::new(|_| ());
    let mut client = Reader::new(&server);
    let mut config = |words: &str| client.ask(&format!("CONFIG {words}"));
    let name = "notify-keyspace-events";
    for (given, shown) in [("KEA", "AKE"), ("mKnA", "AKm"), ("nmK", "nKm"), ("", "")] {
        assert_eq!(config(&format!("SET {name} '{given}'")), Reply::Simple(b"OK".into()));
        let wanted = [name, shown].map(|text| Reply::Bulk(text.into()));
        assert_eq!(config(&format!("GET {name}")), Reply::Array(wanted.into()), "for {given}");
    }
    let Reply::Error(why) = config(&format!("SET {name} KEZ")) else { panic!("KEZ is accepted") };
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
    subscriber.ask("SUBSCRIBE __keyspace@0__:rose");
    Reader::new(&server).ask("SET rose red");
    let message = subscriber.next();
    let wanted = ["message", "__keyspace@0__:rose", "set"];
    assert_eq!(message, Reply::Array(wanted.map(|text| Reply::Bulk(text.into())).into()));
}

#[test]
fn keys_that_expire_are_reported() {
    let mut setup = Setup::new(Running::new(|_| ()), "Ex$gn");
    setup.client.ask("SELECT 2");
    setup.client.ask("SET rose red PX 1");
    assert_eq!(setup.message(), "__keyevent@2__:new rose");
    assert_eq!(setup.message(), "__keyevent@2__:set rose");
    assert_eq!(setup.message(), "__keyevent@2__:expire rose");
    // Nobody reads the key.
    assert_eq!(setup.message(), "__keyevent@2__:expired rose");
    assert_eq!(setup.messages(), [""; 0]);
    // A value that has expired when it is stored.
    setup.client.ask("SET daisy white PXAT 1");
    let names = ["new", "set", "expire", "expired"];
    assert_eq!(setup.messages(), names.map(|name| format!("__keyevent@2__:{name} daisy")));
}

#[test]
fn keys_that_are_evicted_are_reported() {
    let mut options = Options::in_memory();
    (options.max_memory, options.eviction) = (2 << 20, Eviction::Random);
    let db = Db::open(options).unwrap();
    let mut setup = Setup::new(Running::over(db, |_| ()), "Ee");
    let value = "v".repeat(1000);
    for number in 0..4096 {
        setup.client.ask(&format!("SET {number} {value}"));
    }
    let evicted = setup.messages();
    assert!(!evicted.is_empty(), "no eviction is reported");
    assert!(evicted.iter().all(|message| message.starts_with("__keyevent@0__:evicted ")));
}

#[cfg(feature = "scripts")]
#[test]
fn scripts_that_are_undone_report_nothing() {
    let mut setup = Setup::new(Running::new(|_| ()), "KA");
    setup.client.ask("CONFIG SET script-time-limit 20");
    let endless = "redis.call('SET', KEYS[1], 'red') while true do end";
    let stopped = setup.client.ask(&format!("EVAL \"{endless}\" 1 rose"));
    assert!(matches!(stopped, Reply::Error(_)), "{stopped:?}");
    assert_eq!(setup.client.ask("GET rose"), Reply::Null);
    assert_eq!(setup.messages(), [""; 0], "an event of a change that was undone");
    setup.client.ask("SET rose red");
    assert_eq!(setup.messages(), ["__keyspace@0__:rose set"]);
}

/// A subscriber that reads nothing is disconnected, and no writer waits for it.
#[test]
fn slow_subscribers_of_events_are_disconnected() {
    let mut setup = Setup::new(Running::new(|_| ()), "KEA");
    setup.client.ask("CONFIG SET client-output-buffer-limit 'pubsub 65536 0 0'");
    let mut slow = Reader::new(&setup.server);
    slow.ask("PSUBSCRIBE *");
    let (key, mut rounds) = ("k".repeat(60_000), 0);
    while setup.server.watcher.clients() > 3 {
        setup.client.ask(&format!("SET {key} v"));
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
            let command = if sets { "SETNX rose red" } else { "DEL rose" };
            for _ in 0..ROUNDS {
                writer.ask(command);
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
