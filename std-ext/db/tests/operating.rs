//! builds: default
//!
//! An operator's tools over sockets: they hold and describe the clients of a running server.

mod support;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::{Client, LIMIT, Running, bulk, command, until};

/// Reads lines, and nothing behind them.
fn lines(client: &mut Client, count: usize) -> Vec<String> {
    let mut reader = BufReader::with_capacity(1, &mut client.0);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    (0..count).map(|_| line()).collect()
}

/// Returns the line of INFO that counts the clients whose next command waits.
fn held(client: &mut Client) -> String {
    client.send(command(&[b"INFO", b"clients"]));
    let lines = lines(client, 8);
    lines.into_iter().find(|line| line.starts_with("blocked_clients:")).expect("a line of INFO")
}

#[test]
fn a_paused_client_is_answered_when_the_pause_ends() {
    let server = Running::new(|config| config.threads = 2);
    let (mut operator, mut other) = (server.client(), server.client());
    operator.send(command(&[b"CLIENT", b"PAUSE", b"100000000", b"WRITE"]));
    operator.expect(b"+OK\r\n");
    other.send(command(&[b"SET", b"rose", b"red"]));
    other.send(command(&[b"GET", b"rose"]));
    // The request has been read, and waits in a buffer.
    until(|| server.watcher.buffers() > 0);
    operator.send(command(&[b"GET", b"rose"]));
    operator.expect(b"$-1\r\n");
    let is_held = |_| held(&mut operator) == "blocked_clients:1";
    assert!(
        (0..10_000).any(is_held),
        "a client is not counted that waits for the end of the pause"
    );
    operator.send(command(&[b"CLIENT", b"UNPAUSE"]));
    operator.expect(b"+OK\r\n");
    other.expect(b"+OK\r\n$3\r\nred\r\n");
    assert_eq!(held(&mut operator), "blocked_clients:0");
}

/// Returns the bulk string that a command returns.
fn text_of(client: &mut Client, words: &[&[u8]]) -> String {
    client.send(command(words));
    let head = lines(client, 1).remove(0);
    let bytes: usize = head[1..].parse().unwrap();
    let mut text = vec![0; bytes + 2];
    client.0.read_exact(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// Returns the line of CLIENT LIST about the client of a name.
fn listed(operator: &mut Client, name: &str) -> String {
    let text = text_of(operator, &[b"CLIENT", b"LIST"]);
    let wanted = format!(" name={name} ");
    let line = text.lines().find(|line| line.contains(&wanted));
    line.unwrap_or_else(|| panic!("{name} is not in {text}")).to_owned()
}

/// Returns a number of a line of CLIENT LIST.
fn number(line: &str, field: &str) -> i64 {
    let pair = line.split(' ').find_map(|pair| pair.strip_prefix(field)?.strip_prefix('='));
    pair.unwrap_or_else(|| panic!("{field} is not in {line}")).parse().unwrap()
}

/// Waits until a line of CLIENT LIST is as wanted.
fn until_listed(operator: &mut Client, name: &str, is_so: impl Fn(&str) -> bool) {
    let end = Instant::now() + LIMIT;
    loop {
        let line = listed(operator, name);
        if is_so(&line) {
            return;
        }
        assert!(Instant::now() < end, "the client list never shows it: {line}");
    }
}

#[test]
fn the_client_list_shows_what_each_client_holds() {
    let server = Running::new(|config| config.threads = 2);
    let named = |name: &str| {
        let mut client = server.client();
        client.send(command(&[b"CLIENT", b"SETNAME", name.as_bytes()]));
        client.expect(b"+OK\r\n");
        client
    };
    let mut operator = named("operator");
    let own = listed(&mut operator, "operator");
    let shown = ["qbuf", "argv-mem", "multi", "obl", "omem"].map(|field| number(&own, field));
    assert_eq!(shown, [26, 10, -1, 0, 0], "another client shows itself: {own}");
    assert!(number(&own, "fd") > 0 && number(&own, "tot-mem") > 0, "{own}");

    // Half a request.
    let mut half = named("half");
    half.send(b"*2\r\n$3\r\nGET\r\n$1000\r\nx");
    until_listed(&mut operator, "half", |line| number(line, "qbuf") == 21);

    // A transaction that is not executed yet.
    let mut multi = named("multi");
    multi.send(command(&[b"MULTI"]));
    multi.send(command(&[b"SET", b"key", &[b'v'; 1000]]));
    multi.expect(b"+OK\r\n+QUEUED\r\n");
    until_listed(&mut operator, "multi", |line| {
        let size = number(line, "multi-mem");
        number(line, "multi") == 1 && size > 1000 && number(line, "tot-mem") > size
    });
    assert!(listed(&mut operator, "multi").contains(" flags=x "), "MULTI is no flag");
    multi.send(command(&[b"EXEC"]));
    multi.expect(b"*1\r\n+OK\r\n");
    until_listed(&mut operator, "multi", |line| {
        number(line, "multi") == -1 && number(line, "multi-mem") == 0
    });

    // Replies that nobody reads: more than the system's buffers take.
    operator.send(command(&[b"SET", b"big", &vec![b'v'; 1 << 20]]));
    operator.expect(b"+OK\r\n");
    let mut slow = named("slow");
    slow.send(command(&[b"GET", b"big"]).repeat(40));
    until_listed(&mut operator, "slow", |line| {
        let size = number(line, "omem");
        size > 1 << 20 && number(line, "oll") > 0 && number(line, "tot-mem") > size
    });

    // Messages that nobody reads.
    let mut subscriber = named("subscriber");
    subscriber.send(command(&[b"SUBSCRIBE", b"news"]));
    subscriber.expect(b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    for _ in 0..16 {
        operator.send(command(&[b"PUBLISH", b"news", &vec![b'm'; 1 << 20]]));
        operator.expect(b":1\r\n");
    }
    until_listed(&mut operator, "subscriber", |line| number(line, "omem") > 1 << 20);
}

#[test]
fn info_counts_the_memory_of_all_clients() {
    let server = Running::new(|config| config.threads = 2);
    let mut clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send(command(&[b"CLIENT", b"SETNAME", b"idle"]));
        client.expect(b"+OK\r\n");
    }
    let mut operator = server.client();
    let each = number(&listed(&mut operator, "idle"), "tot-mem");
    let wanted = format!("mem_clients_normal:{}", each * 21);
    // The figures are up to a second old.
    let end = Instant::now() + LIMIT;
    loop {
        let info = text_of(&mut operator, &[b"INFO", b"memory"]);
        let line = info.lines().find(|line| line.starts_with("mem_clients_normal:"));
        if line == Some(&wanted) {
            break;
        }
        assert!(Instant::now() < end, "{line:?}, and {each} bytes each of 21");
    }
}

#[test]
fn a_shutdown_ends_a_pause() {
    let server = Running::new(|_| {});
    let (mut operator, mut other) = (server.client(), server.client());
    operator.send(command(&[b"CLIENT", b"PAUSE", b"100000000"]));
    operator.expect(b"+OK\r\n");
    other.send(command(&[b"PING"]));
    until(|| server.watcher.buffers() > 0);
    server.stopper.stop();
    other.expect(b"+PONG\r\n");
}

#[test]
fn settings_that_were_changed_are_written_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.conf");
    std::fs::write(&path, "# mine\ntimeout 5\nmaxclients 100\n").unwrap();
    let server = Running::new(|config| {
        config.config_file = path.to_str().unwrap().to_owned();
        let was =
            [("timeout", "5"), ("maxclients", "100"), ("maxmemory", "0"), ("requirepass", "")];
        config.settings = was.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    });
    let mut client = server.client();
    let mut sent = |words: &[&[u8]]| {
        client.send(command(words));
        client.expect(b"+OK\r\n");
    };
    sent(&[b"CONFIG", b"REWRITE"]);
    let text = || std::fs::read_to_string(&path).unwrap();
    assert_eq!(text(), "# mine\ntimeout 5\nmaxclients 100\n");
    sent(&[b"CONFIG", b"SET", b"timeout", b"7", b"maxmemory", b"3mb"]);
    sent(&[b"CONFIG", b"REWRITE"]);
    let more = "# Generated by CONFIG REWRITE\n";
    let wanted = format!("# mine\ntimeout 7\nmaxclients 100\n{more}maxmemory 3145728\n");
    assert_eq!(text(), wanted, "a change is not written");
    sent(&[b"CONFIG", b"SET", b"timeout", b"5", b"maxmemory", b"0"]);
    sent(&[b"CONFIG", b"REWRITE"]);
    let wanted = format!("# mine\ntimeout 5\nmaxclients 100\n{more}maxmemory 0\n");
    assert_eq!(text(), wanted, "a value that was changed back is not written");
    std::fs::remove_file(&path).unwrap();
    client.send(command(&[b"CONFIG", b"REWRITE"]));
    client.expect(b"-ERR Rewriting config file: No such file or directory (os error 2)\r\n");
}

#[test]
fn users_are_described_with_the_digest_of_their_password() {
    let server = Running::new(|config| config.password = Some("sesame".to_owned()));
    let mut client = server.client();
    client.send(command(&[b"AUTH", b"default", b"sesame"]));
    client.expect(b"+OK\r\n");
    client.send(command(&[b"ACL", b"LIST"]));
    let digest = "d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272";
    client.expect(format!("*1\r\n$93\r\nuser default on #{digest} ~* &* +@all\r\n"));
}

#[test]
fn a_monitor_sees_the_commands_of_all_others() {
    let server = Running::new(|config| config.threads = 2);
    let (mut monitor, mut other) = (server.client(), server.client());
    monitor.send(command(&[b"MONITOR"]));
    monitor.expect(b"+OK\r\n");
    for words in [
        &[&b"SET"[..], b"rose", b"red"][..],
        &[b"CONFIG", b"GET", b"port"],
        &[b"MULTI"],
        &[b"GET", b"rose"],
        &[b"EXEC"],
        &[b"AUTH", b"default", b"sesame"],
    ] {
        other.send(command(words));
    }
    let mut seen = lines(&mut monitor, 5);
    for line in &mut seen {
        let (_, words) = line.split_once("] ").expect("a line of MONITOR");
        *line = words.to_owned();
    }
    let wanted = [
        "\"SET\" \"rose\" \"red\"",
        "\"MULTI\"",
        "\"GET\" \"rose\"",
        "\"EXEC\"",
        "\"AUTH\" \"(redacted)\" \"(redacted)\"",
    ];
    assert_eq!(seen, wanted, "MONITOR does not show the commands");
    // A transaction that is refused ends for the monitor, too.
    for words in [&[&b"MULTI"[..]][..], &[b"NOTHING"], &[b"EXEC"]] {
        other.send(command(words));
    }
    let seen = lines(&mut monitor, 2);
    assert!(seen[0].ends_with("\"MULTI\"") && seen[1].ends_with("\"EXEC\""), "{seen:?}");
    // The commands of a script come behind its call.
    #[cfg(feature = "scripts")]
    {
        let script = b"redis.pcall('get') return redis.call('set', KEYS[1], 'blue')";
        other.send(command(&[b"EVAL", script, b"1", b"rose"]));
        let seen = lines(&mut monitor, 2);
        assert!(seen[0].contains("\"EVAL\" "), "{seen:?}");
        assert!(seen[1].ends_with("[0 lua] \"set\" \"rose\" \"blue\""), "{seen:?}");
    }
    // After RESET it sees nothing more.
    monitor.send(command(&[b"RESET"]));
    monitor.expect(b"+RESET\r\n");
    other.send(command(&[b"GET", b"rose"]));
    monitor.send(command(&[b"PING"]));
    monitor.expect(b"+PONG\r\n");
}

#[test]
fn a_monitor_that_only_sends_takes_no_more_than_a_subscriber() {
    // Each request of the monitor moves its lines to the output, whose own limit is far higher.
    let server = Running::new(|config| {
        config.subscriber_output.hard = 1 << 20;
        config.output.hard = 1 << 30;
    });
    let (mut monitor, mut other) = (server.client(), server.client());
    monitor.send(command(&[b"MONITOR"]));
    monitor.expect(b"+OK\r\n");
    let request = command(&[b"ECHO", &b"x".repeat(50_000)]);
    let reply = bulk(&b"x".repeat(50_000));
    for _ in 0..1000 {
        other.send(&request);
        other.expect(&reply);
        // It may be closed by now.
        let _ = monitor.0.write_all(b"\r\n");
        if server.watcher.clients() == 1 {
            return;
        }
        // A client that reads nothing for a while may still send, so that the lines do not fill its mailbox.
        sleep(Duration::from_millis(5));
    }
    panic!("a monitor that sends line ends takes any memory");
}

#[test]
fn a_monitor_ends_with_its_right() {
    let server = Running::new(|config| config.threads = 2);
    let (mut monitor, mut admin) = (server.client(), server.client());
    admin.send(command(&[b"ACL", b"SETUSER", b"rose", b"on", b"nopass", b"+@all", b"~*"]));
    admin.expect(b"+OK\r\n");
    monitor.send(command(&[b"AUTH", b"rose", b"x"]));
    monitor.expect(b"+OK\r\n");
    monitor.send(command(&[b"MONITOR"]));
    monitor.expect(b"+OK\r\n");
    // A change that leaves it the right.
    admin.send(command(&[b"ACL", b"SETUSER", b"rose", b"-get"]));
    admin.expect(b"+OK\r\n");
    admin.send(command(&[b"PING"]));
    admin.expect(b"+PONG\r\n");
    assert!(lines(&mut monitor, 1)[0].contains("PING"), "a monitor with the right is closed");
    admin.send(command(&[b"ACL", b"SETUSER", b"rose", b"-monitor"]));
    admin.expect(b"+OK\r\n");
    let end = monitor.0.read_to_end(&mut Vec::new());
    let goes_on = end.is_err_and(|why| why.kind() == ErrorKind::WouldBlock);
    assert!(!goes_on, "a monitor without the right sees commands");
}

#[test]
fn a_monitor_that_reads_nothing_is_closed() {
    let server = Running::new(|config| config.subscriber_output.hard = 1 << 20);
    let (mut monitor, mut other) = (server.client(), server.client());
    monitor.send(command(&[b"MONITOR"]));
    monitor.expect(b"+OK\r\n");
    let request = command(&[b"ECHO", &b"x".repeat(50_000)]);
    let reply = bulk(&b"x".repeat(50_000));
    // The buffers of the sockets take some before lines wait in the server.
    for _ in 0..2000 {
        other.send(&request);
        other.expect(&reply);
        if server.watcher.clients() == 1 {
            return;
        }
    }
    panic!("a monitor that reads nothing takes any memory");
}
