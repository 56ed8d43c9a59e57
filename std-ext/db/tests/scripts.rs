//! builds: asan
//!
//! Scripts: all of their changes or none, for every reader and after a crash at any time.

mod support;

use hedgerow_db::log::Fsync;
use hedgerow_db::log::faults::FaultyDisk;
use hedgerow_db::request::{Answer, Query, Request};
use hedgerow_db::{Db, Options, Session};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use support::{Client, Running, bulk, command};

const ACCOUNTS: usize = 6;
const EACH: i64 = 1000;
/// The sum of all accounts.
const TOTAL: i64 = 6 * EACH;
const MOVES: usize = 400;

/// Moves an amount between two accounts.
const MOVE: &[u8] =
    b"redis.call('decrby', KEYS[1], ARGV[1]) return redis.call('incrby', KEYS[2], ARGV[1])";
/// Moves an amount, and fails in between.
const FAIL: &[u8] =
    b"redis.call('incrby', KEYS[1], ARGV[1]) redis.call('decrby', KEYS[2], ARGV[1]) error('late')";
/// Moves an amount between two accounts that it has not declared.
const MOVE_UNDECLARED: &[u8] =
    b"redis.call('decrby', ARGV[2], ARGV[1]) return redis.call('incrby', ARGV[3], ARGV[1])";
/// Returns the sum of all accounts.
const SUM: &[u8] = b"local sum = 0 for _, key in ipairs(redis.call('keys', 'account *')) do \
    sum = sum + redis.call('get', key) end return sum";
/// Takes an amount from an account, and never ends.
const STAY: &[u8] = b"redis.call('decrby', KEYS[1], ARGV[1]) while true do end";

/// The beginning of the reply to a script that was stopped.
const STOPPED: &str = "-ERR Script stopped";

fn account(number: usize) -> Vec<u8> {
    format!("account {}", number % ACCOUNTS).into_bytes()
}

fn open(disk: &FaultyDisk, path: &Path) -> Db {
    let mut options = Options::at(path);
    (options.fsync, options.shards, options.snapshot_after) = (Fsync::Always, 4, 0);
    Db::open_on_disk(options, Arc::new(disk.clone())).unwrap()
}

fn fill(db: &Db) {
    for number in 0..ACCOUNTS {
        db.set(account(number), EACH.to_string()).unwrap();
    }
}

/// Returns the sum of all accounts in one snapshot.
fn snapshot_sum(session: &mut Session, keys: &[Vec<u8>]) -> i64 {
    let mut requests: Vec<_> = keys.iter().map(|key| Request::Read(key, Query::Value)).collect();
    requests[0] = Request::MultiRead(&keys[0], Query::Value, keys.len());
    let mut sum = 0;
    session.execute(&requests, &mut |_, answer| {
        let Answer::Bytes(text) = answer else { panic!("{answer:?}") };
        sum += std::str::from_utf8(text).unwrap().parse::<i64>().unwrap();
    });
    sum
}

/// Reads a reply of one line.
fn line(client: &mut Client) -> String {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while byte[0] != b'\n' {
        client.0.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

/// Executes scripts of each kind. Returns when their replies have come. On a busy machine, some may take too long.
fn move_amounts(client: &mut Client, thread: usize) {
    for round in 0..MOVES {
        let (from, to) = (account(round + thread), account(round * 5 + 1));
        let amount = (round % 7).to_string();
        let script = if round % 16 == 3 { FAIL } else { MOVE };
        client.send(command(&[b"EVAL", script, b"2", &from, &to, amount.as_bytes()]));
        let reply = line(client);
        let wanted = if script == FAIL { "-ERR user_script:1: late" } else { ":" };
        assert!(reply.starts_with(wanted) || reply.starts_with(STOPPED), "round {round}: {reply}");
    }
}

#[test]
fn no_reader_sees_a_part_of_a_script() {
    let mut options = Options::in_memory();
    options.shards = 4;
    let db = Db::open(options).unwrap();
    fill(&db);
    let server = Running::over(db.clone(), |_| {});
    let mut client = server.client();
    client.send(b"CONFIG SET script-time-limit 20\r\n");
    client.expect(b"+OK\r\n");
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let movers: Vec<_> = (0..2)
            .map(|thread| (thread, server.client()))
            .map(|(thread, mut client)| scope.spawn(move || move_amounts(&mut client, thread)))
            .collect();
        let mut stays = server.client();
        let stopped = scope.spawn(move || {
            for round in 0..5 {
                stays.send(command(&[b"EVAL", STAY, b"1", &account(round), b"500"]));
                let reply = line(&mut stays);
                assert!(reply.starts_with(STOPPED), "{reply}");
            }
        });
        scope.spawn(|| {
            let mut session = db.session();
            let keys: Vec<_> = (0..ACCOUNTS).map(account).collect();
            // Relaxed: the threads share nothing else.
            while !ended.load(Ordering::Relaxed) {
                let sum = snapshot_sum(&mut session, &keys);
                assert_eq!(sum, TOTAL, "a reader sees a part of a script");
            }
        });
        let joined: Vec<_> =
            movers.into_iter().chain([stopped]).map(thread::ScopedJoinHandle::join).collect();
        // Also if one has failed, because the scope waits for the reader.
        ended.store(true, Ordering::Relaxed);
        joined.into_iter().for_each(Result::unwrap);
    });
    client.send(command(&[b"EVAL", b"return KEYS[1]", b"1", b"k"]));
    client.expect(bulk(b"k"));
}

/// A failed script keeps the changes that it has made: here a whole move, so that the sum stays the same.
#[test]
fn a_crash_keeps_whole_scripts() {
    let (path, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::new());
    let db = open(&disk, path.path());
    fill(&db);
    let server = Running::over(db, |_| {});
    let keys: Vec<_> = (0..ACCOUNTS).map(account).collect();
    thread::scope(|scope| {
        let mover = |thread| {
            let mut client = server.client();
            scope.spawn(move || move_amounts(&mut client, thread))
        };
        let movers: Vec<_> = (0..2).map(mover).collect();
        let (mut crashes, mut keeps) = (0, 0_u32);
        while crashes < 10 || movers.iter().any(|mover| !mover.is_finished()) {
            let copy = tempfile::tempdir().unwrap();
            let torn = disk.copy_torn(path.path(), copy.path(), &mut || {
                keeps += 1;
                !keeps.is_multiple_of(3)
            });
            torn.unwrap();
            let db = open(&FaultyDisk::new(), copy.path());
            let sum = snapshot_sum(&mut db.session(), &keys);
            assert_eq!(sum, TOTAL, "a crash keeps a part of a script");
            crashes += 1;
        }
    });
}

/// Counts, and publishes the count.
const COUNT: &[u8] =
    b"local n = redis.call('incr', KEYS[1]) return redis.call('publish', 'counts', n)";

/// Subscribes to a channel in RESP3, or in RESP2.
fn subscriber(server: &Running, protocol: u8, channel: &str) -> Client {
    let mut client = server.client();
    let head = if protocol == 3 {
        client.send(b"HELLO 3\r\n");
        while !line(&mut client).starts_with("$7") {}
        while !line(&mut client).starts_with("*0") {}
        '>'
    } else {
        '*'
    };
    client.send(format!("SUBSCRIBE {channel}\r\n"));
    client
        .expect(format!("{head}3\r\n$9\r\nsubscribe\r\n${}\r\n{channel}\r\n:1\r\n", channel.len()));
    client
}

/// Reads a message of a channel, and returns its payload.
fn message(client: &mut Client, channel: &str) -> String {
    let head = line(client);
    assert!(["*3\r\n", ">3\r\n"].contains(&&*head), "not a message: {head}");
    client.expect(format!("$7\r\nmessage\r\n${}\r\n{channel}\r\n", channel.len()));
    line(client);
    line(client).trim_end().to_owned()
}

/// A subscriber that reacts to a message sees the changes before it, and the messages of several scripts have the order
/// of their changes.
#[test]
fn messages_of_scripts_follow_their_changes() {
    const ROUNDS: usize = 300;
    let server = Running::new(|_| {});
    let mut subscriber = subscriber(&server, 2, "counts");
    let mut reader = server.client();
    thread::scope(|scope| {
        for _ in 0..3 {
            let mut client = server.client();
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    client.send(command(&[b"EVAL", COUNT, b"1", b"n"]));
                    client.expect(b":1\r\n");
                }
            });
        }
        for count in 1..=3 * ROUNDS {
            let sent = message(&mut subscriber, "counts");
            assert_eq!(sent, count.to_string(), "messages have another order than the changes");
            reader.send(b"GET n\r\n");
            line(&mut reader);
            let seen: usize = line(&mut reader).trim_end().parse().unwrap();
            assert!(seen >= count, "a message came before its change: {seen} and not {count}");
        }
    });
}

#[test]
fn a_script_that_is_stopped_sends_no_message() {
    let server = Running::new(|_| {});
    let (mut subscriber, mut client) = (subscriber(&server, 2, "c"), server.client());
    client.send(b"CONFIG SET script-time-limit 20\r\n");
    client.expect(b"+OK\r\n");
    let stays = b"redis.call('publish', 'c', 'lost') while true do end";
    client.send(command(&[b"EVAL", stays, b"0"]));
    assert!(line(&mut client).starts_with(STOPPED));
    client.send(b"MULTI\r\nPUBLISH c lost\r\n");
    client.expect(b"+OK\r\n+QUEUED\r\n");
    client.send(command(&[b"EVAL", stays, b"0"]));
    client.send(b"EXEC\r\n");
    client.expect(b"+QUEUED\r\n");
    let reply = line(&mut client);
    assert!(reply.starts_with("-EXECABORT"), "{reply}");
    // One that fails has sent its messages, as it keeps its changes.
    client.send(command(&[b"EVAL", b"redis.call('publish', 'c', 'kept') error('late')", b"0"]));
    assert!(line(&mut client).starts_with("-ERR"));
    assert_eq!(message(&mut subscriber, "c"), "kept", "a script that was stopped has sent it");
}

/// A message to the client itself is no element of a reply: it follows that of EXEC and EVAL.
#[test]
fn own_messages_follow_the_reply() {
    let server = Running::new(|_| {});
    let mut client = subscriber(&server, 3, "c");
    let own = |payload: &str| format!(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n{payload}\r\n");
    client.send(command(&[b"EVAL", b"return {redis.call('publish', 'c', 'a'), 7}", b"0"]));
    client.send(b"PING\r\n");
    client.expect(format!("*2\r\n:1\r\n:7\r\n{}+PONG\r\n", own("a")));
    client.send(b"MULTI\r\nPUBLISH c b\r\nSET k v\r\nUNSUBSCRIBE c\r\nEXEC\r\nGET k\r\n");
    let ended = ">3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n";
    client.expect(format!(
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n:1\r\n+OK\r\n{ended}{}$1\r\nv\r\n",
        own("b")
    ));
    // With a script, messages keep the order in which they were sent.
    client.send(b"SUBSCRIBE c\r\n");
    client.expect(">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    client.send(b"MULTI\r\nPUBLISH c x\r\n");
    client.send(command(&[b"EVAL", b"return redis.call('publish', 'c', 'y')", b"0"]));
    client.send(b"PUBLISH c z\r\nPING\r\nEXEC\r\nGET k\r\n");
    client.expect(format!(
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n:1\r\n:1\r\n:1\r\n+PONG\r\n{}{}{}$1\r\nv\r\n",
        own("x"),
        own("y"),
        own("z")
    ));
}

#[test]
fn the_messages_of_a_script_are_bounded() {
    let server = Running::new(|_| {});
    let (mut subscriber, mut client) = (subscriber(&server, 2, "c"), server.client());
    let much = b"local s = ('x'):rep(2 ^ 20) local n = 0 while true do \
        local r = redis.pcall('publish', ARGV[1], s) \
        if type(r) == 'table' then return r end n = n + 1 if n == 200 then return n end end";
    // Nobody gets them, so they take no memory.
    client.send(command(&[b"EVAL", much, b"0", b"nobody"]));
    client.expect(b":200\r\n");
    client.send(command(&[b"EVAL", much, b"0", b"c"]));
    client.expect(b"-ERR the messages published by this script exceed 64 MiB\r\n");
    // Those before the error were sent: they exceed what a subscriber may leave unread.
    let mut rest = Vec::new();
    let _ = subscriber.0.read_to_end(&mut rest);
}

/// Scripts that lock shards as they reach them, those of all keys, and those with declared keys: none waits for another
/// forever, and none sees a part of another.
#[test]
fn scripts_reach_undeclared_keys_together() {
    let mut options = Options::in_memory();
    options.shards = 4;
    let db = Db::open(options).unwrap();
    fill(&db);
    let server = Running::over(db.clone(), |config| config.threads = 4);
    thread::scope(|scope| {
        for thread in 0..2 {
            let mut client = server.client();
            scope.spawn(move || move_amounts(&mut client, thread));
            let mut client = server.client();
            scope.spawn(move || {
                for round in 0..MOVES {
                    let (from, to) = (account(round + thread), account(round * 5 + 1));
                    let (from, to) = if thread == 0 { (from, to) } else { (to, from) };
                    client.send(command(&[b"EVAL", MOVE_UNDECLARED, b"0", b"3", &from, &to]));
                    let reply = line(&mut client);
                    assert!(reply.starts_with(':'), "{reply}");
                }
            });
        }
        let mut client = server.client();
        scope.spawn(move || {
            for _ in 0..MOVES {
                client.send(command(&[b"EVAL", SUM, b"0"]));
                assert_eq!(line(&mut client), format!(":{TOTAL}\r\n"), "a script sees a part");
            }
        });
    });
    let keys: Vec<_> = (0..ACCOUNTS).map(account).collect();
    assert_eq!(snapshot_sum(&mut db.session(), &keys), TOTAL);
}

/// Redis 7.0 remembers declared keys only, so its client keeps a stale value.
#[test]
fn caching_clients_are_told_of_undeclared_keys() {
    let server = Running::new(|_| {});
    let (mut caches, mut writes) = (subscriber(&server, 3, "c"), server.client());
    caches.send(b"CLIENT TRACKING ON\r\n");
    caches.expect(b"+OK\r\n");
    caches.send(command(&[b"EVAL", b"return redis.call('get', ARGV[1])", b"1", b"k", b"read"]));
    caches.expect(b"_\r\n");
    writes.send(b"SET read 1\r\n");
    writes.expect(b"+OK\r\n");
    caches.expect(b">2\r\n$10\r\ninvalidate\r\n*1\r\n$4\r\nread\r\n");
}

/// A table that contains itself is cut, and takes no thread with it.
#[test]
fn a_table_that_contains_itself_is_cut() {
    let running = Running::new(|_| ());
    let mut client = running.client();
    let script = b"local a = {} local b = {a} a[1] = b return a";
    client.send(command(&[b"EVAL", script, b"0"]));
    client.expect([&b"*1\r\n".repeat(257)[..], b"-ERR reached lua stack limit\r\n"].concat());
    client.send("PING\r\n");
    client.expect("+PONG\r\n");
}
