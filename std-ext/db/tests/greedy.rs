//! builds: default
//!
//! Clients that use more than their share of the server's memory: how far it serves them, and where it stops. The
//! tests measure the memory of their process, so they have their own process and run one at a time.

mod support;

use hedgerow_db::server::ServerConfig;
use hedgerow_db::server::http::HttpServer;
use hedgerow_db::{Db, Options};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use support::{Client, Running, begin_of_memory, bulk, command, memory_since, status, until};

/// A test's turn: one at a time, so that the peak memory of the process is that of the test.
struct Exclusive {
    _turn: MutexGuard<'static, ()>,
    before: usize,
}

fn exclusive() -> Exclusive {
    static TURN: Mutex<()> = Mutex::new(());
    let exclusive = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    Exclusive { _turn: exclusive, before: begin_of_memory() }
}

impl Exclusive {
    /// Returns how many bytes more than before the process had in memory at its peak; 0 if the system does not tell.
    fn used(&self) -> usize {
        memory_since(self.before)
    }
}

fn serve(change: impl FnOnce(&mut ServerConfig)) -> Running {
    Running::new(|config| {
        config.threads = 1;
        change(config);
    })
}

/// Requests with 100,000 values of 1,000 bytes: more in both directions than the kernel buffers.
fn long_pipeline(client: &mut Client) -> (Vec<u8>, Vec<u8>) {
    let (key, value) = ([b'k'; 200], [b'v'; 1000]);
    client.send(command(&[b"SET", &key, &value]));
    client.expect(b"+OK\r\n");
    (command(&[b"GET", &key]).repeat(100_000), bulk(&value).repeat(100_000))
}

/// Returns a client that has set `big` to this many bytes.
fn with_big(server: &Running, length: usize) -> Client {
    let mut client = server.client();
    client.send(command(&[b"SET", b"big", &vec![b'v'; length]]));
    client.expect(b"+OK\r\n");
    client
}

/// Sends a request again and again without reading, until the server closes the connection. Returns how much was sent.
fn send_without_reading(client: &mut Client, request: &[u8], most: usize) -> Option<usize> {
    // A server that neither reads nor closes is an answer, too, and not worth a longer wait.
    client.0.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    let requests = request.repeat((1 << 20) / request.len() + 1);
    let mut sent = 0;
    while sent < most {
        match client.0.write(&requests) {
            Ok(more) => sent += more,
            Err(why) if why.kind() == ErrorKind::WouldBlock => return None,
            Err(_) => return Some(sent),
        }
    }
    None
}

#[test]
fn a_pipeline_that_is_written_before_it_is_read_is_served() {
    let _turn = exclusive();
    let server = serve(|_| {});
    let mut client = server.client();
    let (pipeline, replies) = long_pipeline(&mut client);
    // Each part of it that the kernel accepts may wait that long.
    client.0.set_write_timeout(Some(Duration::from_secs(15))).unwrap();
    let written = client.0.write_all(&pipeline);
    assert!(written.is_ok(), "the server stopped reading the pipeline: {written:?}");
    client.expect(replies);
    until(|| server.watcher.buffers() == 0);
    assert_eq!(server.watcher.totals().slow, 0);
}

#[test]
fn others_are_served_while_a_pipeline_is_not_read() {
    let _turn = exclusive();
    let server = serve(|_| {});
    let (mut greedy, mut other) = (server.client(), server.client());
    let (pipeline, replies) = long_pipeline(&mut greedy);
    let writes = std::thread::spawn(move || {
        greedy.0.write_all(&pipeline).unwrap();
        greedy
    });
    let mut longest = Duration::ZERO;
    while !writes.is_finished() {
        let started = Instant::now();
        other.send(b"PING\r\n");
        other.expect(b"+PONG\r\n");
        longest = longest.max(started.elapsed());
    }
    assert!(longest < Duration::from_secs(1), "another client waited for {longest:?}");
    writes.join().unwrap().expect(replies);
}

#[test]
fn a_client_that_never_reads_is_closed_at_the_limit() {
    const LIMIT: usize = 32 << 20;
    let exclusive = exclusive();
    let server = serve(|config| config.output.hard = LIMIT);
    let mut client = with_big(&server, 1000);
    let sent = send_without_reading(&mut client, &command(&[b"GET", b"big"]), 512 << 20);
    assert!(sent.is_some(), "a client that never reads was not closed at the limit");
    assert_eq!(server.watcher.totals().slow, 1);
    let used = exclusive.used();
    assert!(used < 3 * LIMIT, "{used} bytes were used for a limit of {LIMIT}");
    until(|| server.watcher.buffers() == 0);
}

#[test]
fn a_reply_is_not_built_beyond_the_limit() {
    const LIMIT: usize = 16 << 20;
    let exclusive = exclusive();
    let server = serve(|config| config.output.hard = LIMIT);
    let value = 1 << 20;
    let many: Vec<&[u8]> = [&b"MGET"[..]].into_iter().chain([&b"big"[..]; 1000]).collect();
    let changing = [command(&[b"SET", b"x", b"y"]), command(&[b"GET", b"big"]).repeat(500)];
    let names = std::iter::repeat_n(&b"client"[..], 50_000);
    let docs: Vec<&[u8]> = [&b"COMMAND"[..], b"DOCS"].into_iter().chain(names).collect();
    let requests = [
        ("MGET", command(&many)),
        ("GETRANGE", command(&[b"GETRANGE", b"big", b"0", b"-1"]).repeat(500)),
        ("a pipeline with a change", changing.concat()),
        ("GETSET", command(&[b"SET", b"big", &vec![b'v'; value], b"GET"]).repeat(100)),
        ("repeated names", command(&docs)),
        (
            "replies of a transaction",
            [b"MULTI\r\n", &*b"INFO\r\n".repeat(50_000), b"EXEC\r\n"].concat(),
        ),
        (
            "help in a transaction",
            [b"MULTI\r\n", &*b"OBJECT HELP\r\n".repeat(100_000), b"EXEC\r\n"].concat(),
        ),
    ];
    for (number, (name, request)) in requests.iter().enumerate() {
        let mut client = with_big(&server, value);
        // The connection may be closed before everything is sent.
        let _ = client.0.write_all(request);
        until(|| server.watcher.totals().slow == number as u64 + 1);
        let used = exclusive.used();
        assert!(used < 160 << 20, "{name}: {used} bytes were used for a limit of {LIMIT}");
    }
    let mut client = server.client();
    for first in 0..400_u32 {
        let keys: Vec<Vec<u8>> =
            (0..100).map(|n| format!("{first:032}{n:0100}").into_bytes()).collect();
        let words: Vec<&[u8]> =
            [&b"MSET"[..]].into_iter().chain(keys.iter().flat_map(|key| [&**key, b""])).collect();
        client.send(command(&words));
        client.expect(b"+OK\r\n");
    }
    // Either reply would be 5 MB.
    for (number, request) in [&b"KEYS *\r\n"[..], b"SCAN 0 COUNT 1000000\r\n"].iter().enumerate() {
        let mut client = server.client();
        let _ = client.0.write_all(&request.repeat(20));
        let wanted = requests.len() + number + 1;
        until(|| server.watcher.totals().slow == wanted as u64);
    }
}

/// Else a pipeline of such requests would occupy its thread long after the client was lost.
#[test]
fn a_range_is_not_copied_before_it_is_refused() {
    const LENGTH: usize = 128 << 20;
    let _turn = exclusive();
    let server = serve(|config| config.output.hard = 16 << 20);
    let mut client = server.client();
    client.send(command(&[b"SETRANGE", b"big", (LENGTH - 1).to_string().as_bytes(), b"x"]));
    client.expect(format!(":{LENGTH}\r\n"));
    let before = begin_of_memory();
    client.send(b"GETRANGE big 0 -1\r\n");
    until(|| server.watcher.totals().slow == 1);
    let used = memory_since(before);
    assert!(used < LENGTH / 2, "{used} bytes were used for a reply that is not sent");
}

#[test]
fn a_request_is_not_read_beyond_the_limit() {
    const LIMIT: usize = 4 << 20;
    let _turn = exclusive();
    let server = serve(|config| config.query_buffer_limit = LIMIT);
    // Many arguments, each of them allowed; a single one that is too long is refused as soon as its length is known.
    let argument = [&b"$65536\r\n"[..], &vec![b'a'; 65_536], b"\r\n"].concat();
    let many = [&b"*1000\r\n"[..], &argument.repeat(1000)].concat();
    for request in [&many[..], b"*2\r\n$3\r\nGET\r\n$5000000\r\nabc"] {
        let mut client = server.client();
        let _ = client.0.write_all(request);
        let mut read = String::new();
        let end = client.0.read_to_string(&mut read);
        assert_eq!(
            read, "-ERR Protocol error: the request is larger than client-query-buffer-limit\r\n",
            "a request beyond the limit was read: {end:?}"
        );
    }
    // A reply within the limit is sent.
    let mut client = with_big(&server, 3 << 20);
    client.send(b"STRLEN big\r\n");
    client.expect(b":3145728\r\n");
}

#[test]
fn an_unauthenticated_client_holds_little() {
    let _turn = exclusive();
    let server = serve(|config| config.password = Some("sesame".into()));
    let mut client = server.client();
    assert_eq!(send_without_reading(&mut client, b"PING\r\n", 64 << 20), None);
    let held = server.watcher.buffers();
    assert!(held < 512 << 10, "{held} bytes wait for an unauthenticated client");
}

#[test]
fn the_limits_of_buffers_are_set_as_in_redis() {
    let _turn = exclusive();
    let server = serve(|config| {
        config.settings = hedgerow_db::config::Config::default().server().settings;
    });
    let mut client = with_big(&server, 1 << 20);
    let mut says = |request: &[&[u8]], wanted: &str| {
        client.send(command(request));
        client.expect(wanted.as_bytes());
    };
    let name = &b"client-output-buffer-limit"[..];
    let shown = |value: &str| {
        let value = format!("{value} slave 268435456 67108864 60 pubsub 33554432 8388608 60");
        format!("*2\r\n$26\r\nclient-output-buffer-limit\r\n${}\r\n{value}\r\n", value.len())
    };
    says(&[b"CONFIG", b"GET", name], &shown("normal 1073741824 0 0"));
    says(&[b"CONFIG", b"SET", name, b"normal 99mb 2mb 1"], "+OK\r\n");
    says(&[b"CONFIG", b"GET", name], &shown("normal 103809024 2097152 1"));
    says(
        &[b"CONFIG", b"SET", name, b"normal 99mb 2mb"],
        "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Wrong number of \
         arguments in buffer limit configuration.\r\n",
    );
    // More than the kernel buffers, and less than the hard limit: the soft limit closes the connection.
    let mut slow = server.client();
    slow.send(command(&[b"GET", b"big"]).repeat(32));
    let started = Instant::now();
    until(|| server.watcher.totals().slow == 1);
    assert!(started.elapsed() >= Duration::from_millis(900), "it was closed too soon");
}

/// Returns the answer to a probe, and how long it took.
fn probe(address: SocketAddr, path: &str) -> Result<String, String> {
    let mut stream = TcpStream::connect(address).map_err(|why| why.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(|why| why.to_string())?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no head")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    Ok(format!("{status} {}", &body[..body.len().min(3)]))
}

#[test]
fn probes_are_answered_whatever_other_clients_send() {
    let _turn = exclusive();
    let page = HttpServer::start(([127, 0, 0, 1], 0).into()).unwrap();
    let server = serve(|_| {});
    page.set_server(server.watcher.clone());
    let address = page.address().unwrap();
    let before = status("Threads:");
    let attacks: [(&str, usize, Vec<u8>); 6] = [
        (
            "a body that does not come",
            1,
            b"GET /livez HTTP/1.1\r\nContent-Length: 9999\r\n\r\n".to_vec(),
        ),
        ("requests whose answers are not read", 1, b"GET /metrics HTTP/1.1\r\n\r\n".repeat(20_000)),
        ("half a request", 400, b"GET /livez HTTP/1.1\r\nHost: ".to_vec()),
        ("nothing", 400, Vec::new()),
        ("a head without an end", 1, b"GET /livez HTTP/1.1\r\nX: y\r\n".repeat(20_000)),
        (
            "a body in parts",
            1,
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab".to_vec(),
        ),
    ];
    let mut kept = Vec::new();
    for (what, number, bytes) in attacks {
        for _ in 0..number {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
            // Whether the server takes or refuses it does not matter.
            let _ = stream.write_all(&bytes);
            kept.push(stream);
        }
        for path in ["/livez", "/readyz"] {
            assert_eq!(
                probe(address, path).as_deref(),
                Ok("200 ok\n"),
                "{path} while there are {what}"
            );
        }
        assert_eq!(
            probe(address, "/metrics").as_deref(),
            Ok("200 # H"),
            "/metrics while there are {what}"
        );
        // The test harness may have started some for other tests.
        let threads = status("Threads:");
        assert!(threads <= before + 8, "{threads} threads while there are {what}");
    }
}

/// A server with a log, whose key `big` has a value of 20 MB.
fn with_log(max_memory: usize) -> (tempfile::TempDir, Running, Client) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::at(folder.path());
    options.max_memory = max_memory;
    let server = Running::over(Db::open(options).unwrap(), |config| config.threads = 1);
    let client = with_big(&server, 20 << 20);
    (folder, server, client)
}

/// The log has the value of each copy, so that short commands make long entries.
#[test]
fn a_pipeline_of_copies_is_executed_no_faster_than_it_is_logged() {
    let turn = exclusive();
    let (_folder, _server, mut client) = with_log(0);
    client.send(command(&[b"COPY", b"big", b"other", b"REPLACE"]).repeat(50));
    client.expect(b":1\r\n".repeat(50));
    assert!(turn.used() < 400 << 20, "copies of 1 GB wait in {} bytes", turn.used());
}

/// Each command examines a long value, so that a pipeline of them takes seconds.
#[test]
fn others_are_served_while_a_pipeline_takes_long() {
    let _turn = exclusive();
    let server = serve(|_| {});
    let mut other = server.client();
    other.send(command(&[b"SETBIT", b"big", b"128000000", b"0"]));
    other.expect(b":0\r\n");
    let compared = command(&[b"DELEX", b"big", b"IFDEQ", b"0000000000000000"]);
    for (name, request, reply, number) in [
        ("bitpos", command(&[b"BITPOS", b"big", b"1"]), b":-1\r\n".as_slice(), 200),
        ("delex", compared, b":0\r\n", 60),
    ] {
        // Another client for each: the batches of one become shorter after a long one.
        let mut client = server.client();
        client.send(request.repeat(number));
        let (mut calls, mut turns) = (0, 0);
        while calls < number {
            other.send(b"INFO commandstats\r\n");
            let now = calls_of(&mut other, name);
            turns += usize::from(now > calls);
            calls = now;
        }
        client.expect(reply.repeat(number));
        assert!(turns > number / 8, "another client had {turns} turns during {number} {name}");
    }
}

/// Reads a reply to INFO, and returns how often a command was called.
fn calls_of(client: &mut Client, name: &str) -> usize {
    let (mut reader, mut head) = (BufReader::new(&client.0), String::new());
    reader.read_line(&mut head).unwrap();
    let mut text = vec![0; head[1..].trim_end().parse::<usize>().unwrap() + 2];
    reader.read_exact(&mut text).unwrap();
    let text = String::from_utf8_lossy(&text);
    let after = text.split_once(&format!("cmdstat_{name}:calls=")).map_or("0,", |(_, after)| after);
    after.split_once(',').and_then(|(calls, _)| calls.parse().ok()).expect("a number of calls")
}

/// Each of these makes its changes at once, and not with the batch of its pipeline.
#[test]
fn changes_at_once_are_made_no_faster_than_they_are_logged() {
    let copy = command(&[b"COPY", b"big", b"other", b"REPLACE"]);
    let in_transaction = [&b"MULTI\r\n"[..], &copy, b"EXEC\r\n"].concat();
    let script = b"return redis.call('copy', KEYS[1], KEYS[2], 'replace')";
    let in_script = command(&[b"EVAL", script, b"2", b"big", b"other"]);
    let quoted = b"COPY \"big\" other REPLACE\r\n".to_vec();
    let (off, on) = (b"CLIENT REPLY OFF\r\n".as_slice(), b"CLIENT REPLY ON\r\n".as_slice());
    for (name, sent, expected) in [
        ("EXEC", in_transaction.repeat(40), b"+OK\r\n+QUEUED\r\n*1\r\n:1\r\n".repeat(40)),
        ("EVAL", in_script.repeat(40), b":1\r\n".repeat(40)),
        ("CLIENT REPLY OFF", [off, &copy.repeat(40), on].concat(), b"+OK\r\n".to_vec()),
        ("quoted words", quoted.repeat(40), b":1\r\n".repeat(40)),
    ] {
        let turn = exclusive();
        let (_folder, _server, mut client) = with_log(0);
        client.send(sent);
        client.expect(expected);
        assert!(turn.used() < 400 << 20, "copies of 800 MB, {name}: {} bytes", turn.used());
    }
}

/// Each client has one command in a cycle, and all of them together are more than should wait for its end.
#[test]
fn changes_of_many_clients_are_made_no_faster_than_they_are_logged() {
    let turn = exclusive();
    let (_folder, server, _client) = with_log(0);
    let mut clients: Vec<Client> = (0..60).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send(command(&[b"COPY", b"big", b"other", b"REPLACE"]));
    }
    for client in &mut clients {
        client.expect(b":1\r\n");
    }
    assert!(turn.used() < 400 << 20, "copies of 1.2 GB wait in {} bytes", turn.used());
}

/// A change in the middle of a long value copies the pieces that readers may see, and those only once before they see
/// the change.
#[test]
fn a_value_that_is_changed_often_is_not_copied_as_often() {
    let write = command(&[b"SETRANGE", b"big", b"0", b"x"]);
    let length = 20 << 20;
    let replies = |number: usize| format!(":{length}\r\n").repeat(number).into_bytes();
    let transaction = [&b"MULTI\r\n"[..], &write.repeat(4000), b"EXEC\r\n"].concat();
    let mut exec = [&b"+OK\r\n"[..], &b"+QUEUED\r\n".repeat(4000), b"*4000\r\n"].concat();
    exec.extend(replies(4000));
    let script = b"for i = 1, 4000 do redis.call('setbit', KEYS[1], 0, i % 2) end";
    let in_script = command(&[b"EVAL", script, b"1", b"big"]);
    for (name, sent, expected) in [
        ("a transaction", transaction, exec),
        ("a script", in_script, b"$-1\r\n".to_vec()),
        ("a pipeline", write.repeat(8000), replies(8000)),
    ] {
        let turn = exclusive();
        let (_folder, _server, mut client) = with_log(0);
        client.send(sent);
        client.expect(expected);
        assert!(turn.used() < 150 << 20, "{name} copies pieces of {} bytes", turn.used());
    }
}

#[test]
fn a_transaction_copies_no_more_than_the_data_set_may_have() {
    let _turn = exclusive();
    let (_folder, _server, mut client) = with_log(100 << 20);
    let copy = command(&[b"COPY", b"big", b"other", b"REPLACE"]);
    let too_long = "-ERR this transaction copies or computes, or this script stores, more bytes of values than \
                    maxmemory (64mb to 512mb)\r\n";
    client.send([&b"MULTI\r\n"[..], &copy.repeat(6), b"EXEC\r\n"].concat());
    client.expect(b"+OK\r\n");
    client.expect(b"+QUEUED\r\n".repeat(6));
    client.expect([&b"*6\r\n"[..], &b":1\r\n".repeat(5), too_long.as_bytes()].concat());
    client.send(copy);
    client.expect(b":1\r\n");
}

#[test]
fn half_a_request_times_out() {
    let _turn = exclusive();
    let page = HttpServer::start(([127, 0, 0, 1], 0).into()).unwrap();
    let mut stream = TcpStream::connect(page.address().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(12))).unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\n").unwrap();
    let end = stream.read_to_end(&mut Vec::new());
    assert!(
        !end.is_err_and(|why| why.kind() == ErrorKind::WouldBlock),
        "half a request was kept open"
    );
    // Invalid requests get an HTTP error.
    for (sent, status) in [("PUT / HTTP/1.1\r\n\r\n", "405"), ("rose\n\n", "400")] {
        let mut stream = TcpStream::connect(page.address().unwrap()).unwrap();
        stream.write_all(sent.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
    }
}

/// Sends a request, expects its reply, and returns how long that took.
fn time_of(client: &mut Client, request: &[u8], reply: impl AsRef<[u8]>) -> Duration {
    let started = Instant::now();
    client.send(request);
    client.expect(reply);
    started.elapsed()
}

/// Long patterns of many classes: one that matches nothing, and one that does.
fn long_patterns() -> [Vec<u8>; 2] {
    [b"[]".repeat(2 << 20), b"[ab]".repeat(1 << 20)]
}

/// Memory for a long pattern, the request that has it, and its reply.
const PATTERN_MEMORY: usize = 40 << 20;

#[test]
fn a_long_pattern_of_a_subscriber_delays_no_publisher() {
    let _turn = exclusive();
    for pattern in long_patterns() {
        let server = serve(|_| {});
        let (mut subscriber, mut other) = (server.client(), server.client());
        let subscribe = command(&[b"PSUBSCRIBE", &pattern]);
        other.send(b"CONFIG SET notify-keyspace-events KEA\r\n");
        other.expect(b"+OK\r\n");
        let before = begin_of_memory();
        subscriber.send(subscribe);
        until(|| server.watcher.subscriptions().patterns == 1);
        for (request, reply) in [("PUBLISH news hi\r\n", ":0\r\n"), ("SET a 1\r\n", "+OK\r\n")] {
            let took = time_of(&mut other, &request.repeat(100).into_bytes(), reply.repeat(100));
            assert!(took < Duration::from_secs(1), "{request:?} waits for a pattern: {took:?}");
        }
        let used = memory_since(before);
        assert!(used < PATTERN_MEMORY, "{used} bytes were used for the pattern of a subscriber");
    }
}

#[test]
fn a_long_pattern_is_compiled_no_further_than_a_name_can_match() {
    let _turn = exclusive();
    let server = serve(|_| {});
    let (mut subscriber, mut client) = (server.client(), with_big(&server, 10));
    subscriber.send(command(&[b"SUBSCRIBE", b"news"]));
    until(|| server.watcher.subscriptions().channels == 1);
    for pattern in long_patterns() {
        let none = &b"*0\r\n"[..];
        let scanned = &b"*2\r\n$1\r\n0\r\n*0\r\n"[..];
        let requests: [(&[&[u8]], &[u8]); 3] = [
            (&[b"KEYS", &pattern], none),
            (&[b"SCAN", b"0", b"MATCH", &pattern], scanned),
            (&[b"PUBSUB", b"CHANNELS", &pattern], none),
        ];
        for (words, reply) in requests {
            let (request, name) = (command(words), String::from_utf8_lossy(words[0]));
            let before = begin_of_memory();
            let took = time_of(&mut client, &request, reply);
            assert!(took < Duration::from_secs(1), "{name}: a pattern is compiled for {took:?}");
            let used = memory_since(before);
            assert!(used < PATTERN_MEMORY, "{name}: {used} bytes were used for a pattern");
        }
    }
}

/// A read of many fields copies or decompresses a value once.
#[test]
fn fields_of_a_compressed_value_are_read_at_once() {
    const FIELDS: usize = 100_000;
    let _turn = exclusive();
    // About the longest value that is compressed.
    let get: [&[u8]; 3] = [b"GET", b"u8", b"#59999"];
    let request = command(&[&[&b"BITFIELD"[..], b"big"][..], &get.repeat(FIELDS)].concat());
    let replies = format!("*{FIELDS}\r\n{}", format!(":{}\r\n", b'v').repeat(FIELDS));
    let took = [0, 256 << 20].map(|compressed| {
        let mut options = Options::in_memory();
        options.compressed = compressed;
        let server = Running::over(Db::open(options).unwrap(), |config| config.threads = 1);
        time_of(&mut with_big(&server, 60_000), &request, &replies)
    });
    let [plain, compressed] = took;
    assert!(
        compressed < 2 * plain + Duration::from_millis(100),
        "the value is read for each field: {compressed:?} and not {plain:?}"
    );
}
