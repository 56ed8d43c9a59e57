//! builds: asan tsan
//!
//! Commands that wait until a key has an element or an entry, over sockets and with several threads.

mod support;

use hedgerow_db::{Db, Options};
use std::collections::BTreeMap;
use std::net::Shutdown;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::{Client, Running, bulk, command, until};

/// Returns a server of four threads.
fn start() -> Running {
    let mut options = Options::in_memory();
    options.shards = 8;
    let db = Db::open(options).unwrap();
    Running::over(db, |config| config.threads = 4)
}

/// Sends commands, one in each line, whose words have no spaces.
fn send(client: &mut Client, lines: &str) {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let all = lines.lines().map(|line| {
        let words = words(line);
        command(&words.iter().map(String::as_bytes).collect::<Vec<_>>())
    });
    client.send(all.collect::<Vec<_>>().concat());
}

#[track_caller]
fn ask(client: &mut Client, line: &str, wanted: impl AsRef<[u8]>) {
    send(client, line);
    client.expect(wanted);
}

/// Returns an array reply of bulk strings.
fn array(words: &[&str]) -> Vec<u8> {
    let all = words.iter().flat_map(|word| bulk(word.as_bytes()));
    format!("*{}\r\n", words.len()).into_bytes().into_iter().chain(all).collect()
}

/// Returns the reply to a command.
fn reply(client: &mut Client, line: &str) -> String {
    send(client, line);
    let mut all = Vec::new();
    read_reply(client, &mut all);
    String::from_utf8(all).unwrap()
}

fn read_line(client: &mut Client, all: &mut Vec<u8>) -> i64 {
    let begin = all.len();
    while !all[begin..].ends_with(b"\r\n") {
        let mut byte = [0];
        std::io::Read::read_exact(&mut client.0, &mut byte).unwrap();
        all.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&all[begin + 1..]).trim().to_owned();
    text.parse().unwrap_or(0)
}

/// Reads a reply of RESP2.
fn read_reply(client: &mut Client, all: &mut Vec<u8>) {
    let begin = all.len();
    let length = read_line(client, all);
    match all[begin] {
        b'$' if length >= 0 => {
            let mut bytes = vec![0; length.cast_unsigned() as usize + 2];
            std::io::Read::read_exact(&mut client.0, &mut bytes).unwrap();
            all.append(&mut bytes);
        }
        b'*' => (0..length).for_each(|_| read_reply(client, all)),
        _ => {}
    }
}

/// Waits until as many clients wait.
#[track_caller]
fn blocked(client: &mut Client, wanted: usize) {
    let client = Mutex::new(client);
    until(|| {
        let info = reply(&mut client.lock().unwrap(), "INFO clients");
        info.contains(&format!("\r\nblocked_clients:{wanted}\r\n"))
    });
}

/// Returns a client that waits for a command. It is the only one, but for as many.
fn waiting(running: &Running, control: &mut Client, line: &str, others: usize) -> Client {
    let mut client = running.client();
    send(&mut client, line);
    blocked(control, others + 1);
    client
}

#[test]
fn who_came_first_is_served_first() {
    let running = start();
    let mut control = running.client();
    let all = (0..20).map(|n| waiting(&running, &mut control, "BLPOP k 0", n));
    let mut all: Vec<Client> = all.collect();
    for (number, client) in all.iter_mut().enumerate() {
        ask(&mut control, &format!("RPUSH k {number}"), ":1\r\n");
        client.expect(array(&["k", &number.to_string()]));
    }
    ask(&mut control, "EXISTS k", ":0\r\n");
    blocked(&mut control, 0);
}

#[test]
fn each_command_waits_and_answers_as_at_once() {
    let running = start();
    let mut control = running.client();
    let one = array(&["k", "a"]);
    let many = [b"*2\r\n", &bulk(b"k")[..], &array(&["c", "b"])].concat();
    for (command, wanted, left) in [
        ("BLPOP k 0", one.clone(), array(&["b", "c"])),
        ("BLPOP x k y 0", one.clone(), array(&["b", "c"])),
        ("BRPOP k 0", array(&["k", "c"]), array(&["a", "b"])),
        ("BLMPOP 0 2 k x RIGHT COUNT 2", many, array(&["a"])),
        (
            "BLMPOP 0 1 k LEFT",
            [b"*2\r\n", &bulk(b"k")[..], &array(&["a"])].concat(),
            array(&["b", "c"]),
        ),
        ("BLMOVE k to RIGHT LEFT 0", bulk(b"c"), array(&["a", "b"])),
        ("BLMOVE k k LEFT RIGHT 0", bulk(b"a"), array(&["b", "c", "a"])),
        ("BRPOPLPUSH k to 0", bulk(b"c"), array(&["a", "b"])),
    ] {
        for waits in [true, false] {
            send(&mut control, "FLUSHALL");
            control.expect("+OK\r\n");
            let mut client = running.client();
            if waits {
                client = waiting(&running, &mut control, command, 0);
            }
            ask(&mut control, "RPUSH k a b c", ":3\r\n");
            if !waits {
                send(&mut client, command);
            }
            client.expect(&wanted);
            assert_eq!(reply(&mut control, "LRANGE k 0 -1").as_bytes(), left, "{command}, {waits}");
            ask(&mut client, "PING", "+PONG\r\n");
        }
    }
}

#[test]
fn members_of_sorted_sets_are_waited_for() {
    let running = start();
    let mut control = running.client();
    let low = array(&["z", "a", "1.5"]);
    let many = "*2\r\n$1\r\nz\r\n*2\r\n*2\r\n$1\r\nc\r\n$1\r\n3\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n";
    for (command, wanted, left) in [
        ("BZPOPMIN x z 0", low, 2),
        ("BZPOPMAX z 0", array(&["z", "c", "3"]), 2),
        ("BZMPOP 0 2 x z MAX COUNT 2", many.as_bytes().to_vec(), 1),
    ] {
        for waits in [true, false] {
            ask(&mut control, "FLUSHALL", "+OK\r\n");
            let mut client = running.client();
            if waits {
                client = waiting(&running, &mut control, command, 0);
                // A list serves nobody who waits for a sorted set.
                ask(&mut control, "RPUSH z a", ":1\r\n");
                ask(&mut control, "DEL z", ":1\r\n");
            }
            ask(&mut control, "ZADD z 1.5 a 2 b 3 c", ":3\r\n");
            if !waits {
                send(&mut client, command);
            }
            client.expect(&wanted);
            ask(&mut control, "ZCARD z", format!(":{left}\r\n"));
        }
    }
    let mut client = running.client();
    ask(&mut client, "BZPOPMIN x 0.01", "*-1\r\n");
    ask(&mut client, "BZMPOP x 1 z MID", "-ERR syntax error\r\n");
}

#[test]
fn transactions_and_scripts_do_not_wait_and_serve_at_their_end() {
    let running = start();
    let (mut control, mut other) = (running.client(), running.client());
    let queued = "+OK\r\n+QUEUED\r\n+QUEUED\r\n";
    send(&mut other, "MULTI\r\nBLPOP k 0\r\nBLMOVE k to LEFT LEFT 0\r\nEXEC");
    other.expect([queued, "*2\r\n*-1\r\n$-1\r\n"].concat());
    if cfg!(feature = "scripts") {
        ask(&mut other, "EVAL return{redis.call('BLMPOP','0','1','k','LEFT')} 0", "*1\r\n$-1\r\n");
    }
    let mut client = waiting(&running, &mut control, "BLPOP k l 0", 0);
    send(&mut control, "MULTI\r\nRPUSH k a\r\nDEL k\r\nEXEC");
    control.expect([queued, "*2\r\n:1\r\n:1\r\n"].concat());
    blocked(&mut control, 1);
    send(&mut control, "MULTI\r\nRPUSH l b\r\nRPUSH k a\r\nEXEC");
    control.expect([queued, "*2\r\n:1\r\n:1\r\n"].concat());
    client.expect(array(&["l", "b"]));
    ask(&mut control, "DEL k", ":1\r\n");
    if !cfg!(feature = "scripts") {
        return;
    }
    let mut client = waiting(&running, &mut control, "BLPOP k 0", 0);
    let script = "EVAL redis.call('RPUSH','k','1','2');return(redis.call('LLEN','k')) 0";
    ask(&mut control, script, ":2\r\n");
    client.expect(array(&["k", "1"]));
    ask(&mut control, "LRANGE k 0 -1", array(&["2"]));
}

#[test]
fn wrong_types_and_chains() {
    let running = start();
    let mut control = running.client();
    ask(&mut control, "SET text red", "+OK\r\n");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
    ask(&mut control, "BLPOP k text 0", wrong);
    ask(&mut control, "BLMOVE text k LEFT LEFT 0", wrong);
    let mut refused = waiting(&running, &mut control, "BLMOVE a text LEFT LEFT 0", 0);
    let mut first = waiting(&running, &mut control, "BLMOVE a b LEFT LEFT 0", 1);
    let mut second = waiting(&running, &mut control, "BLMOVE b c LEFT LEFT 0", 2);
    let mut last = waiting(&running, &mut control, "BRPOP c 0", 3);
    // The reply to the push comes when all of them have been served.
    send(&mut control, "RPUSH a 1\r\nEXISTS a b c");
    control.expect(":1\r\n:0\r\n");
    refused.expect(wrong);
    for client in [&mut first, &mut second] {
        client.expect(bulk(b"1"));
    }
    last.expect(array(&["c", "1"]));
}

#[test]
fn waits_end_in_time() {
    let running = start();
    let (mut control, mut client) = (running.client(), running.client());
    let begin = Instant::now();
    for command in ["BLPOP k 0.05", "BLMOVE k to LEFT LEFT 0.05", "BLMPOP 0.05 1 k LEFT"] {
        ask(&mut client, command, "*-1\r\n");
    }
    let took = begin.elapsed();
    assert!((Duration::from_millis(150)..Duration::from_secs(20)).contains(&took), "{took:?}");
    // In their order, whoever came first.
    let mut long = waiting(&running, &mut control, "BLPOP k 0.4", 0);
    let mut short = waiting(&running, &mut control, "BLPOP k 0.1", 1);
    short.expect("*-1\r\n");
    long.expect("*-1\r\n");
    send(&mut client, "HELLO 3");
    let mut hello = vec![0; 4096];
    assert!(std::io::Read::read(&mut client.0, &mut hello).unwrap() > 0);
    ask(&mut client, "BLPOP k 0.01", "_\r\n");
    ask(&mut control, "RPUSH k a", ":1\r\n");
    blocked(&mut control, 0);
    for (wrong, error) in [
        ("BLPOP k x", "timeout is not a float or out of range"),
        ("BLPOP k nan", "timeout is not a float or out of range"),
        ("BLPOP k -1", "timeout is negative"),
        ("BLPOP k inf", "timeout is negative"),
        ("BLPOP k 9223372036854776", "timeout is negative"),
        ("BLMOVE a b UP LEFT x", "syntax error"),
        ("BLMOVE a b LEFT LEFT x", "timeout is not a float or out of range"),
        ("BLMPOP x 0 k LEFT", "numkeys should be greater than 0"),
        ("BLMPOP x 1 k UP", "syntax error"),
        ("BLMPOP x 2 k LEFT", "syntax error"),
        ("BLMPOP x 1 k LEFT COUNT 0", "count should be greater than 0"),
        ("BLMPOP x 1 k LEFT COUNT 1", "timeout is not a float or out of range"),
    ] {
        ask(&mut control, wrong, format!("-ERR {error}\r\n"));
    }
}

/// Returns the id of the client that waits.
fn id_of_waiting(control: &mut Client) -> String {
    let list = reply(control, "CLIENT LIST");
    let line = list.lines().find(|line| line.contains(" flags=b ")).expect("a client waits");
    line.split(['=', ' ']).nth(1).unwrap().to_owned()
}

#[test]
fn other_clients_end_a_wait() {
    let running = start();
    let mut control = running.client();
    let mut client = waiting(&running, &mut control, "BLPOP a b c 0", 0);
    let id = id_of_waiting(&mut control);
    ask(&mut control, &format!("CLIENT UNBLOCK {id}"), ":1\r\n");
    client.expect("*-1\r\n");
    ask(&mut control, &format!("CLIENT UNBLOCK {id} ERROR"), ":0\r\n");
    send(&mut client, "BLPOP a b c 10");
    blocked(&mut control, 1);
    ask(&mut control, &format!("CLIENT UNBLOCK {id} ERROR"), ":1\r\n");
    client.expect("-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
    let stats = reply(&mut control, "INFO errorstats");
    assert!(stats.contains("errorstat_UNBLOCKED:count=1"), "{stats}");
    send(&mut client, "BLPOP a b c 0\r\nPING");
    blocked(&mut control, 1);
    ask(&mut control, &format!("CLIENT KILL ID {id}"), ":1\r\n");
    // From this reply on it takes nothing.
    ask(&mut control, "RPUSH b 1", ":1\r\n");
    ask(&mut control, "LLEN b", ":1\r\n");
    client.expect_end();
    blocked(&mut control, 0);
    ask(&mut control, "CLIENT UNBLOCK 1000000", ":0\r\n");
    ask(&mut control, "CLIENT UNBLOCK x", "-ERR value is not an integer or out of range\r\n");
}

#[test]
fn clients_that_are_gone_take_nothing() {
    let running = start();
    let mut control = running.client();
    // Closed, and with the reply still readable: in Redis that ends the wait, too.
    for half in [false, true] {
        let client = waiting(&running, &mut control, "BLPOP k 0\r\nPING", 0);
        if half {
            client.0.shutdown(Shutdown::Write).unwrap();
        } else {
            drop(client);
        }
        blocked(&mut control, 0);
        ask(&mut control, "RPUSH k a", ":1\r\n");
        ask(&mut control, "LPOP k", bulk(b"a"));
    }
    let mut late = running.client();
    send(&mut late, "BLPOP k 0");
    late.0.shutdown(Shutdown::Write).unwrap();
    late.expect_end();
    blocked(&mut control, 0);
}

#[test]
fn commands_behind_a_wait_follow_it() {
    let running = start();
    let mut control = running.client();
    let pipeline = "SET s 1\r\nBLPOP k 0\r\nSET s 2\r\nBLPOP k 0\r\nSET s 3";
    let mut client = waiting(&running, &mut control, pipeline, 0);
    client.expect("+OK\r\n");
    ask(&mut control, "GET s", bulk(b"1"));
    ask(&mut control, "RPUSH k a", ":1\r\n");
    client.expect([&array(&["k", "a"])[..], b"+OK\r\n"].concat());
    blocked(&mut control, 1);
    ask(&mut control, "GET s", bulk(b"2"));
    // Input that comes meanwhile is not read.
    let long = format!("SET long {}", "x".repeat(1 << 20));
    let mut writer = Client::new(client.0.try_clone().unwrap());
    let sender = thread::spawn(move || (0..16).for_each(|_| send(&mut writer, &long)));
    ask(&mut control, "RPUSH k b", ":1\r\n");
    client.expect([&array(&["k", "b"])[..], b"+OK\r\n", &b"+OK\r\n".repeat(16)].concat());
    sender.join().unwrap();
    // Replies that nobody wants.
    let mut client = waiting(&running, &mut control, "CLIENT REPLY SKIP\r\nBLPOP k 0\r\nPING", 0);
    ask(&mut control, "RPUSH k c", ":1\r\n");
    client.expect("+PONG\r\n");
    ask(&mut control, "EXISTS k", ":0\r\n");
}

#[test]
fn messages_reach_a_client_that_waits() {
    let running = start();
    let mut control = running.client();
    let mut client = running.client();
    send(&mut client, "HELLO 3");
    let mut hello = vec![0; 4096];
    assert!(std::io::Read::read(&mut client.0, &mut hello).unwrap() > 0);
    ask(&mut client, "SUBSCRIBE c", ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    send(&mut client, "BLPOP k 0");
    blocked(&mut control, 1);
    ask(&mut control, "PUBLISH c hello", ":1\r\n");
    client.expect(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n");
    ask(&mut control, "RPUSH k a", ":1\r\n");
    client.expect(array(&["k", "a"]));
}

#[test]
fn a_stop_does_not_wait_for_clients_that_do() {
    let running = start();
    let mut control = running.client();
    let mut client = waiting(&running, &mut control, "BLPOP k 0", 0);
    let begin = Instant::now();
    running.end();
    assert!(begin.elapsed() < Duration::from_secs(5), "the server waits for a client that waits");
    client.expect_end();
}

/// Waits leave nothing in the tables of the shards, however they end.
#[test]
fn waits_leave_nothing_behind() {
    let running = start();
    let mut control = running.client();
    let memory = |control: &mut Client| -> i64 {
        let info = reply(control, "INFO memory");
        let line = info.lines().find_map(|line| line.strip_prefix("mem_clients_normal:"));
        line.unwrap().parse().unwrap()
    };
    let mut client = running.client();
    for n in 0..200 {
        ask(&mut client, &format!("BLPOP a{n} b{n} 0.001"), "*-1\r\n");
    }
    ask(&mut control, "PING", "+PONG\r\n");
    let before = memory(&mut control);
    let keys: Vec<String> = (0..1000).map(|n| format!("{}{n}", "k".repeat(100))).collect();
    let client = waiting(&running, &mut control, &format!("BLPOP {} 0", keys.join(" ")), 0);
    until(|| memory(&mut running.client()) > before + 200_000);
    drop(client);
    until(|| memory(&mut running.client()) < before + 100_000);
}

/// Many clients push, wait, and leave, on several threads. Each element is delivered once.
#[test]
fn each_element_is_delivered_once() {
    const ELEMENTS: usize = 2000;
    const TAKERS: usize = 12;
    let running = start();
    let (delivered, received) = (Mutex::new(BTreeMap::new()), AtomicUsize::new(0));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for taker in 0..TAKERS {
            let (running, delivered, received, is_over) =
                (&running, &delivered, &received, &is_over);
            scope.spawn(move || {
                let mut client = running.client();
                let command = match taker % 4 {
                    0 => "BLPOP a b c 0.3",
                    1 => "BRPOP c b a 0.01",
                    2 => "BLMPOP 0.05 3 b c a LEFT",
                    _ => "BLMOVE a c RIGHT LEFT 0.01",
                };
                // Relaxed: it stands for itself.
                while !is_over.load(Ordering::Relaxed) {
                    let got = reply(&mut client, command);
                    let words: Vec<&str> = got.split("\r\n").collect();
                    let element = match words[..] {
                        // Elements are longer than the names of keys.
                        [.., last, ""] if words.len() > 3 => last,
                        _ => continue,
                    };
                    *delivered.lock().unwrap().entry(element.to_owned()).or_insert(0) += 1;
                    // Relaxed: a count.
                    received.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let pushers: Vec<_> = (0..2)
            .map(|pusher| {
                let running = &running;
                scope.spawn(move || {
                    let mut client = running.client();
                    for n in 0..ELEMENTS / 2 {
                        let key = ["a", "b", "c"][n % 3];
                        let element = format!("element-{pusher}-{n}");
                        send(&mut client, &format!("RPUSH {key} {element}"));
                        let mut all = Vec::new();
                        read_reply(&mut client, &mut all);
                    }
                })
            })
            .collect();
        for pusher in pushers {
            pusher.join().unwrap();
        }
        // Relaxed: as above.
        until(|| received.load(Ordering::Relaxed) >= ELEMENTS);
        // Relaxed: as above.
        is_over.store(true, Ordering::Relaxed);
    });
    let delivered = delivered.into_inner().unwrap();
    assert_eq!(delivered.len(), ELEMENTS, "elements are lost");
    assert!(delivered.values().all(|times| *times == 1), "an element is delivered twice");
}

/// Returns the reply of XREAD about one stream: the numbers of its entries, each with the field `f` and its number.
fn entries(name: &str, numbers: &[usize]) -> Vec<u8> {
    let entry = |n: &usize| {
        let fields = array(&["f", &n.to_string()]);
        [b"*2\r\n", &bulk(format!("{n}-0").as_bytes())[..], &fields].concat()
    };
    let all: Vec<u8> = numbers.iter().flat_map(entry).collect();
    let count = format!("*{}\r\n", numbers.len());
    [b"*1\r\n*2\r\n", &bulk(name.as_bytes())[..], count.as_bytes(), &all].concat()
}

#[test]
fn readers_of_streams_get_what_is_new_to_them() {
    let running = start();
    let mut control = running.client();
    let add = |control: &mut Client, n: usize| {
        ask(control, &format!("XADD s {n}-0 f {n}"), bulk(format!("{n}-0").as_bytes()));
    };
    add(&mut control, 1);
    ask(&mut control, "XGROUP CREATE s g $", "+OK\r\n");
    ask(&mut control, "XREAD BLOCK 0 STREAMS s 0", entries("s", &[1]));
    let lines = [
        "XREAD BLOCK 0 STREAMS s $",
        "XREAD BLOCK 0 STREAMS t s $ 1-0",
        "XREAD BLOCK 0 STREAMS s 2-0",
        "XREADGROUP GROUP g one BLOCK 0 STREAMS s >",
        "XREADGROUP GROUP g two BLOCK 0 STREAMS s >",
    ];
    let all = lines.iter().enumerate().map(|(n, line)| waiting(&running, &mut control, line, n));
    let mut all: Vec<Client> = all.collect();
    add(&mut control, 2);
    for at in [0, 1, 3] {
        all[at].expect(entries("s", &[2]));
    }
    blocked(&mut control, 2);
    // All of a transaction comes at once, and an entry that it removes again does not come.
    let all_of = "MULTI\nXADD s 3-0 f 3\nXDEL s 3-0\nXADD s 4-0 f 4\nXADD s 5-0 f 5\nEXEC";
    send(&mut control, all_of);
    let replies = [bulk(b"3-0"), b":1\r\n".to_vec(), bulk(b"4-0"), bulk(b"5-0")].concat();
    control.expect([&b"+OK\r\n"[..], &b"+QUEUED\r\n".repeat(4), b"*4\r\n", &replies].concat());
    for at in [2, 4] {
        all[at].expect(entries("s", &[4, 5]));
    }
    let pending = reply(&mut control, "XPENDING s g");
    assert!(pending.starts_with("*4\r\n:3\r\n"), "{pending}");
    blocked(&mut control, 0);
}

#[test]
fn readers_of_a_group_learn_that_it_is_gone() {
    const NO_STREAM: &str = "-UNBLOCKED the stream key no longer exists\r\n";
    const NO_GROUP: &str =
        "-NOGROUP the consumer group this client was blocked on no longer exists\r\n";
    let running = start();
    let mut control = running.client();
    for (lines, wanted) in [
        ("DEL s", NO_STREAM),
        ("SET s x", NO_STREAM),
        ("RENAME s t", NO_STREAM),
        ("FLUSHALL", NO_STREAM),
        ("PEXPIRE s 1", NO_STREAM),
        ("SWAPDB 0 1", NO_STREAM),
        ("XGROUP DESTROY s g", NO_GROUP),
        ("MULTI\nDEL s\nXADD s 9-0 f 9\nEXEC", NO_GROUP),
    ] {
        reply(&mut control, "FLUSHALL");
        reply(&mut control, "XGROUP CREATE s g $ MKSTREAM");
        // One that reads without a group waits on.
        let mut reader = waiting(&running, &mut control, "XREAD BLOCK 0 STREAMS s $", 0);
        let line = "XREADGROUP GROUP g one BLOCK 0 STREAMS s >";
        let mut client = waiting(&running, &mut control, line, 1);
        for line in lines.lines() {
            reply(&mut control, line);
        }
        client.expect(wanted);
        if !lines.contains("XADD") {
            blocked(&mut control, 1);
            reply(&mut control, "DEL s");
            reply(&mut control, "XADD s 9-0 f 9");
        }
        reader.expect(entries("s", &[9]));
        blocked(&mut control, 0);
    }
    let stats = reply(&mut control, "INFO errorstats");
    assert!(stats.contains("errorstat_UNBLOCKED:count=6"), "{stats}");
}

#[test]
fn waits_for_entries_end_in_time() {
    let running = start();
    let mut control = running.client();
    ask(&mut control, "XREAD BLOCK 1 STREAMS s $", "*-1\r\n");
    ask(&mut control, "XREAD BLOCK -1 STREAMS s $", "-ERR timeout is negative\r\n");
    ask(&mut control, "SET s x", "+OK\r\n");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
    ask(&mut control, "XREAD BLOCK 0 STREAMS s $", wrong);
    ask(&mut control, "DEL s", ":1\r\n");
    let transaction = "MULTI\nXREAD BLOCK 0 STREAMS s $\nEXEC";
    send(&mut control, transaction);
    control.expect("+OK\r\n+QUEUED\r\n*1\r\n*-1\r\n");
    // What follows the command waits with it.
    let mut client = waiting(&running, &mut control, "XREAD BLOCK 0 STREAMS s $\nPING", 0);
    ask(&mut control, "XADD s 1-0 f 1", bulk(b"1-0"));
    client.expect([entries("s", &[1]), b"+PONG\r\n".to_vec()].concat());
}

/// Returns the IDs in a reply, each behind the name of its stream.
fn ids(reply: &str) -> Vec<(String, usize)> {
    let (mut stream, mut all) = (String::new(), Vec::new());
    for line in reply.lines() {
        match line.strip_suffix("-0").map(str::parse) {
            Some(Ok(number)) => all.push((stream.clone(), number)),
            _ if line == "a" || line == "b" => line.clone_into(&mut stream),
            _ => {}
        }
    }
    all
}

/// Adds entries to two streams while clients read them, alone and in groups. Each of the former gets each entry once
/// and in order; each group delivers each entry to one of its consumers.
#[test]
fn each_reader_gets_each_entry_and_each_group_delivers_it_once() {
    const ENTRIES: usize = 300;
    let running = start();
    let mut control = running.client();
    for (stream, group) in [("a", "g"), ("a", "h"), ("b", "g"), ("b", "h")] {
        reply(&mut control, &format!("XGROUP CREATE {stream} {group} $ MKSTREAM"));
    }
    let wanted: Vec<(String, usize)> =
        ["a", "b"].iter().flat_map(|name| (1..=ENTRIES).map(|n| ((*name).to_owned(), n))).collect();
    let delivered = Mutex::new(BTreeMap::<(char, String, usize), usize>::new());
    thread::scope(|scope| {
        let (running, wanted, delivered) = (&running, &wanted, &delivered);
        for _ in 0..2 {
            scope.spawn(move || {
                let (mut client, mut last) =
                    (running.client(), BTreeMap::from([("a", 0), ("b", 0)]));
                let mut all = Vec::new();
                while all.len() < wanted.len() {
                    let line = format!(
                        "XREAD BLOCK 0 COUNT 3 STREAMS a b {}-0 {}-0",
                        last["a"], last["b"]
                    );
                    for (stream, number) in ids(&reply(&mut client, &line)) {
                        *last.get_mut(&*stream).unwrap() = number;
                        all.push((stream, number));
                    }
                }
                // In the order of their streams: within one, they came in order.
                all.sort_by(|(one, _), (other, _)| one.cmp(other));
                assert_eq!(all, *wanted);
            });
        }
        for (group, consumer) in [('g', 1), ('g', 2), ('h', 1), ('h', 2), ('h', 3)] {
            scope.spawn(move || {
                let mut client = running.client();
                let line = format!(
                    "XREADGROUP GROUP {group} {consumer} BLOCK 200 COUNT 2 STREAMS a b > >"
                );
                loop {
                    let got = ids(&reply(&mut client, &line));
                    let mut delivered = delivered.lock().unwrap();
                    for (stream, number) in got {
                        *delivered.entry((group, stream, number)).or_default() += 1;
                    }
                    if delivered.len() == 2 * wanted.len() {
                        break;
                    }
                }
            });
        }
        for stream in ["a", "b"] {
            scope.spawn(move || {
                let mut client = running.client();
                for n in 1..=ENTRIES {
                    reply(&mut client, &format!("XADD {stream} {n}-0 f {n}"));
                }
            });
        }
    });
    let delivered = delivered.into_inner().unwrap();
    assert!(delivered.values().all(|count| *count == 1), "an entry was delivered twice");
    blocked(&mut control, 0);
}
