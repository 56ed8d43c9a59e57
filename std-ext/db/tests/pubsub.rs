//! builds: default
//!
//! Subscriptions over sockets: replies and messages as redis-server 7.0.15 sends them, their order and completeness,
//! and subscribers that are slow or die.

#[path = "support/recorded.rs"]
mod recorded;
mod support;

use hedgerow_db::pubsub::Counts;
use hedgerow_db::resp::read::{self, ReadItem, Reply};
use recorded::{bytes, expect, expect_no_more, sections, send};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use support::{Client, Running, command, until};

/// The bytes that redis-server sends to several connections. The first lines describe the format.
const REDIS: &str = include_str!("redis-7-pubsub.txt");
const LINES: usize = 429;

#[test]
fn subscribers_get_what_redis_sends() {
    let sections = sections(REDIS);
    assert_eq!(sections.len(), 7);
    let lines: usize = sections.iter().map(Vec::len).sum();
    assert_eq!(lines, LINES, "lines of the recorded file");
    for section in sections {
        // Each section has a server of its own, whose clients are on several threads.
        let server = Running::new(|config| config.threads = 3);
        let mut clients = BTreeMap::new();
        for line in section {
            let name = line.chars().next().unwrap();
            let client: &mut Client = clients.entry(name).or_insert_with(|| server.client());
            if let Some(request) = line[1..].strip_prefix("> ") {
                send(client, request);
            } else if let Some(wanted) = line[1..].strip_prefix("= ") {
                expect(client, line, &bytes(wanted));
            } else {
                assert_eq!(&line[1..], " closed", "{line}");
                client.expect_end();
            }
        }
        for (name, client) in &mut clients {
            expect_no_more(client, *name);
        }
    }
}

/// A subscriber that takes one message after the other.
struct Subscriber {
    client: Client,
    input: Vec<u8>,
    /// Bytes of `input` that were taken.
    used: usize,
}

impl Subscriber {
    /// Connects, and subscribes by this command.
    fn new(server: &Running, subscribe: &[&[u8]]) -> Self {
        let mut client = server.client();
        client.send(command(subscribe));
        let mut subscriber = Self { client, input: Vec::new(), used: 0 };
        subscriber.next();
        subscriber
    }

    /// Returns the parts of the next message.
    fn next(&mut self) -> Vec<Vec<u8>> {
        loop {
            if let Ok(ReadItem::Reply(reply, length)) = read::reply(&self.input[self.used..]) {
                self.used += length;
                let (Reply::Array(parts) | Reply::Push(parts)) = reply else { panic!("{reply:?}") };
                return parts.into_iter().map(text).collect();
            }
            self.input.drain(..self.used);
            self.used = 0;
            let mut piece = [0; 1 << 14];
            let length = self.client.0.read(&mut piece).expect("messages stop");
            assert!(length > 0, "the subscriber was disconnected");
            self.input.extend_from_slice(&piece[..length]);
        }
    }
}

/// Returns the bytes of a part of a message.
fn text(reply: Reply) -> Vec<u8> {
    match reply {
        Reply::Bulk(bytes) => bytes,
        Reply::Integer(number) => number.to_string().into_bytes(),
        other => panic!("{other:?}"),
    }
}

/// Reads this many lines, each of which is a number.
fn expect_lines(client: &mut Client, count: usize) {
    let (mut lines, mut byte) = (0, [0]);
    while lines < count {
        client.0.read_exact(&mut byte).unwrap();
        assert!(b":0123456789\r\n".contains(&byte[0]), "{} in a number", byte[0]);
        lines += usize::from(byte[0] == b'\n');
    }
}

/// Whether a test is over.
#[derive(Default)]
struct Over(AtomicBool);

/// Ends a test, also if it fails.
struct AtEnd<'a>(&'a Over);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        // Relaxed: the threads that read it are joined.
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Many publishers and subscribers, by channels and by patterns, while others come and die.
#[test]
fn each_subscriber_gets_every_message_in_order() {
    const CHANNELS: usize = 3;
    const PUBLISHERS: usize = 3;
    const SUBSCRIBERS: usize = 6;
    const MESSAGES: usize = 1500;
    let server = Running::new(|config| config.threads = 3);
    let (subscribed, over) = (Barrier::new(SUBSCRIBERS + PUBLISHERS), Over::default());
    let listen = |number: usize| {
        let mut subscriber;
        if number.is_multiple_of(2) {
            subscriber = Subscriber::new(&server, &[b"PSUBSCRIBE", b"channel:*"]);
        } else {
            let words: [&[u8]; 4] = [b"SUBSCRIBE", b"channel:0", b"channel:1", b"channel:2"];
            subscriber = Subscriber::new(&server, &words);
            subscriber.next();
            subscriber.next();
        }
        subscribed.wait();
        let mut got = vec![Vec::new(); CHANNELS];
        for _ in 0..PUBLISHERS * MESSAGES {
            let mut parts = subscriber.next();
            let (payload, channel) = (parts.pop().unwrap(), parts.pop().unwrap());
            let channel = usize::from(channel[channel.len() - 1] - b'0');
            got[channel].push(String::from_utf8(payload).unwrap());
        }
        got
    };
    let publish = |number: usize| {
        let mut client = server.client();
        subscribed.wait();
        for n in 0..MESSAGES {
            let channel = format!("channel:{}", n % CHANNELS);
            let payload = format!("{number} {n}");
            client.send(command(&[b"PUBLISH", channel.as_bytes(), payload.as_bytes()]));
            // Some in pipelines.
            if n % 100 == 99 {
                expect_lines(&mut client, 100);
            }
        }
    };
    let die = || {
        // Relaxed: the end of the test; the thread is joined.
        while !over.0.load(Ordering::Relaxed) {
            let mut dying = Subscriber::new(&server, &[b"PSUBSCRIBE", b"*", b"none"]);
            dying.client.send(command(&[b"SUBSCRIBE", b"channel:0"]));
            dying.next();
        }
    };
    let all: Vec<Vec<Vec<String>>> = thread::scope(|scope| {
        let listeners: Vec<_> =
            (0..SUBSCRIBERS).map(|number| scope.spawn(move || listen(number))).collect();
        for number in 0..PUBLISHERS {
            scope.spawn(move || publish(number));
        }
        scope.spawn(die);
        // Also if a listener fails.
        let _ends = AtEnd(&over);
        listeners.into_iter().map(|listener| listener.join().unwrap()).collect()
    });
    for got in &all {
        assert_eq!(got, &all[0], "subscribers got messages in different orders");
        for (number, channel) in (0..PUBLISHERS).flat_map(|n| (0..CHANNELS).map(move |c| (n, c))) {
            let prefix = format!("{number} ");
            let of = got[channel].iter().filter_map(|text| text.strip_prefix(&prefix));
            let of: Vec<usize> = of.map(|n| n.parse().unwrap()).collect();
            let wanted: Vec<usize> = (channel..MESSAGES).step_by(CHANNELS).collect();
            assert_eq!(of, wanted, "messages of one publisher are missing or out of order");
        }
    }
    until(|| server.watcher.subscriptions() == Counts::default());
}

#[test]
fn a_slow_subscriber_is_disconnected_and_delays_nobody() {
    let server = Running::new(|config| config.subscriber_output.hard = 1 << 20);
    let slow = Subscriber::new(&server, &[b"SUBSCRIBE", b"news"]);
    let mut other = Subscriber::new(&server, &[b"PSUBSCRIBE", b"n*"]);
    let payload = vec![b'x'; 100_000];
    let mut publisher = server.client();
    let mut count = 0;
    // The system's buffers take some of them.
    while server.watcher.totals().slow_subscribers == 0 {
        assert!(count < 2000, "a subscriber that reads nothing is not disconnected");
        publisher.send(command(&[b"PUBLISH", b"news", &payload]));
        let mut reply = [0; 4];
        publisher.0.read_exact(&mut reply).unwrap();
        let message = other.next();
        assert!(
            message[0] == b"pmessage" && message[3] == payload,
            "another subscriber missed one"
        );
        count += 1;
    }
    until(|| server.watcher.subscriptions().channels == 0);
    publisher.send(command(&[b"PUBLISH", b"news", b"end"]));
    publisher.expect(b":1\r\n");
    assert_eq!(other.next()[3], b"end");
    assert_eq!(server.watcher.totals().slow, 0, "it counts as another client");
    drop(slow);
}

#[test]
fn a_subscriber_above_the_soft_limit_is_disconnected() {
    let server = Running::new(|_| {});
    let mut publisher = server.client();
    let limits = b"pubsub 0 100kb 1";
    publisher.send(command(&[b"CONFIG", b"SET", b"client-output-buffer-limit", limits]));
    publisher.expect(b"+OK\r\n");
    publisher.send(command(&[b"CONFIG", b"GET", b"client-output-buffer-limit"]));
    let shown = "normal 1073741824 0 0 slave 268435456 67108864 60 pubsub 0 102400 1";
    let shown =
        format!("*2\r\n$26\r\nclient-output-buffer-limit\r\n${}\r\n{shown}\r\n", shown.len());
    publisher.expect(shown);
    let slow = Subscriber::new(&server, &[b"SUBSCRIBE", b"news"]);
    let large = vec![b'x'; 64 << 20];
    publisher.send(command(&[b"PUBLISH", b"news", &large]));
    publisher.expect(b":1\r\n");
    until(|| server.watcher.totals().slow_subscribers == 1);
    drop(slow);
}

/// The server wakes nobody in vain and holds nothing for subscriptions that have ended.
#[test]
fn subscriptions_count_to_the_memory_of_a_client() {
    let server = Running::new(|_| {});
    let mut client = server.client();
    let names: Vec<Vec<u8>> = (0..10_000).map(|n| format!("channel:{n}").into_bytes()).collect();
    let mut words: Vec<&[u8]> = vec![b"SSUBSCRIBE"];
    words.extend(names.iter().map(Vec::as_slice));
    client.send(command(&words));
    until(|| server.watcher.buffers() > 10_000 * 200);
    assert_eq!(server.watcher.subscriptions().shard_channels, 10_000);
    drop(client);
    until(|| server.watcher.buffers() == 0 && server.watcher.subscriptions().shard_channels == 0);
}
