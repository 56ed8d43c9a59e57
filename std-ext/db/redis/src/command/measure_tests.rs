use super::test_client::TestClient;
use hedgerow_db_formats::resp::read::Reply;
use hedgerow_db_formats::resp::write;
use std::time::Duration;

/// Returns the arguments of each entry of the slow log, the newest first, and its microseconds.
fn slow_commands(client: &mut TestClient) -> Vec<(String, i64)> {
    let Reply::Array(entries) = client.reply("SLOWLOG GET -1") else { panic!("no array") };
    let text = |reply: &Reply| match reply {
        Reply::Bulk(text) => String::from_utf8_lossy(text).into_owned(),
        other => panic!("{other:?}"),
    };
    let entry = |entry: &Reply| match entry {
        Reply::Array(parts) => match &parts[..] {
            [_, _, Reply::Integer(time), Reply::Array(words), address, _] => {
                assert_eq!(text(address), "10.0.0.1:1");
                (words.iter().map(text).collect::<Vec<_>>().join(" "), *time)
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    entries.iter().map(entry).collect()
}

/// Returns a line of INFO.
fn info(client: &mut TestClient, section: &str, name: &str) -> Option<String> {
    let text = client.command(&format!("INFO {section}"));
    let found = text.split_whitespace().find_map(|line| line.strip_prefix(name));
    found.and_then(|rest| rest.strip_prefix(':')).map(str::to_owned)
}

/// Returns the calls, rejected calls and failed calls of a command.
fn calls(client: &mut TestClient, name: &str) -> [u64; 3] {
    let line = info(client, "commandstats", &format!("cmdstat_{name}")).unwrap_or_default();
    ["calls=", "rejected_calls=", "failed_calls="].map(|field| {
        let part = line.split(',').find_map(|part| part.strip_prefix(field));
        part.map_or(0, |digits| digits.parse().unwrap())
    })
}

#[test]
fn slow_commands_are_logged() {
    let mut client = TestClient::new();
    client.command("CLIENT SETNAME rose");
    client.command("CONFIG SET slowlog-log-slower-than 1000000");
    client.command("GET a");
    client.delay = Duration::from_secs(2);
    client.command("SET a b");
    client.command("GET a");
    let slow = slow_commands(&mut client);
    assert_eq!(slow.len(), 1, "other commands than the slow one are logged: {slow:?}");
    assert_eq!(slow[0].0, "SET a b");
    assert!((2_000_000..3_600_000_000).contains(&slow[0].1), "{slow:?}");
    assert_eq!(client.command("SLOWLOG LEN"), ":1");
    assert_eq!(client.command("SLOWLOG RESET"), "+OK");
    assert_eq!(client.command("SLOWLOG LEN"), ":0");
    client.command("CONFIG SET slowlog-log-slower-than -1");
    client.delay = Duration::from_secs(2);
    client.command("SET a b");
    assert_eq!(client.command("SLOWLOG LEN"), ":0", "a command is logged although none shall be");
}

#[test]
fn a_slow_pipeline_is_one_entry() {
    let mut client = TestClient::new();
    client.command("CONFIG SET slowlog-log-slower-than 1000000");
    let pipeline = b"SET a b\r\nMGET a b c d\r\nGET a\r\n";
    client.delay = Duration::from_millis(2400);
    client.send(pipeline);
    let slow = slow_commands(&mut client);
    assert_eq!(slow.len(), 1, "not one entry: {slow:?}");
    assert_eq!(slow[0].0, "MGET a b c d ... (2 more commands of the pipeline)");
    assert!(slow[0].1 >= 2_400_000, "{slow:?}");
    client.command("SLOWLOG RESET");
    // Here each one's share is long.
    client.delay = Duration::from_secs(6);
    client.send(pipeline);
    let slow: Vec<String> =
        slow_commands(&mut client).into_iter().map(|(words, _)| words).collect();
    assert_eq!(slow, ["GET a", "MGET a b c d", "SET a b"]);
    client.command("SLOWLOG RESET");
    // A command that is executed alone is measured alone, here after the clock was read for those before it.
    client.delay = Duration::from_secs(6);
    client.send(b"DBSIZE\r\nGET a\r\n");
    client.delay = Duration::from_secs(6);
    client.send(b"SET a b\r\nGET a\r\nDBSIZE\r\nGET a\r\n");
    let slow: Vec<String> =
        slow_commands(&mut client).into_iter().map(|(words, _)| words).collect();
    assert_eq!(slow, ["GET a", "SET a b", "DBSIZE"], "a command is measured together with others");
}

#[test]
fn commands_that_were_queued_are_logged_as_their_exec() {
    let mut client = TestClient::new();
    client.command("CONFIG SET slowlog-log-slower-than 1000000");
    client.send(b"MULTI\r\nSET a b\r\n");
    client.delay = Duration::from_secs(6);
    client.send(b"GET a\r\nEXEC\r\n");
    client.delay = Duration::from_secs(6);
    client.send(b"MULTI\r\nSET a b\r\nEXEC\r\n");
    let slow: Vec<String> =
        slow_commands(&mut client).into_iter().map(|(words, _)| words).collect();
    assert_eq!(slow, ["EXEC", "MULTI", "EXEC"], "a command that was only queued is logged");
}

#[test]
fn entries_of_the_slow_log_are_short_and_without_secrets() {
    let mut client = TestClient::new();
    client.command("CONFIG SET slowlog-log-slower-than 0");
    client.command("SLOWLOG RESET");
    client.command("AUTH default sesame");
    client.send(b"SET quoted \"two words\"\r\n");
    let long = "x".repeat(200);
    let mut request = Vec::new();
    write::request(&mut request, &["SET", "a", &long]);
    client.send(&request);
    let mut words = vec!["DEL".to_owned()];
    words.extend((0..40).map(|n| format!("k{n}")));
    request.clear();
    write::request(&mut request, &words);
    client.send(&request);
    let slow: Vec<String> =
        slow_commands(&mut client).into_iter().map(|(words, _)| words).collect();
    let many: Vec<String> = (0..30).map(|n| format!("k{n}")).collect();
    assert_eq!(slow[0], format!("DEL {} ... (10 more arguments)", many.join(" ")));
    assert_eq!(slow[1], format!("SET a {}... (72 more bytes)", "x".repeat(128)));
    assert_eq!(slow[2], "SET quoted two words");
    assert_eq!(slow[3], "AUTH (redacted) (redacted)", "a password is in the slow log");
    client.command("CONFIG SET slowlog-max-len 2");
    client.command("PING");
    assert_eq!(client.command("SLOWLOG LEN"), ":2");
    client.command("CONFIG SET slowlog-max-len 0");
    let before = slow_commands(&mut client);
    client.command("PING");
    assert_eq!(slow_commands(&mut client), before);
}

#[test]
fn commands_are_counted() {
    let mut client = TestClient::new();
    client.send(
        b"SET a x\r\nGET a\r\nGET a\r\nINCR a\r\nPING\r\nGET\r\nSETRANGE a x y\r\nclient id\r\n",
    );
    assert_eq!(calls(&mut client, "get"), [2, 1, 0]);
    assert_eq!(calls(&mut client, "set"), [1, 0, 0]);
    assert_eq!(calls(&mut client, "ping"), [1, 0, 0]);
    assert_eq!(calls(&mut client, "client|id"), [1, 0, 0]);
    assert_eq!(calls(&mut client, "incr"), [1, 0, 1], "an error of a batch has no command");
    assert_eq!(calls(&mut client, "setrange"), [1, 0, 1]);
    client.send(b"MULTI\r\nGET a\r\nINCR a\r\nPING\r\nEXEC\r\n");
    assert_eq!(calls(&mut client, "get"), [3, 1, 0]);
    assert_eq!(calls(&mut client, "incr"), [2, 0, 2]);
    assert_eq!(calls(&mut client, "exec"), [1, 0, 0]);
    assert_eq!(info(&mut client, "errorstats", "errorstat_ERR").as_deref(), Some("count=4"));
    assert_eq!(info(&mut client, "stats", "total_error_replies").as_deref(), Some("4"));
    assert_eq!(client.command("CONFIG RESETSTAT"), "+OK");
    assert_eq!(calls(&mut client, "get"), [0, 0, 0], "statistics are not reset");
    assert_eq!(calls(&mut client, "config|resetstat"), [1, 0, 0]);
    assert_eq!(info(&mut client, "errorstats", "errorstat_ERR"), None);
    assert_eq!(info(&mut client, "stats", "keyspace_hits").as_deref(), Some("0"));
    client.send(b"GET a\r\nGET missing\r\n");
    assert_eq!(calls(&mut client, "get"), [2, 0, 0]);
    assert_eq!(info(&mut client, "stats", "keyspace_hits").as_deref(), Some("1"));
    assert_eq!(info(&mut client, "stats", "keyspace_misses").as_deref(), Some("1"));
}

#[test]
fn the_time_of_a_pipeline_is_divided_among_its_commands() {
    let mut client = TestClient::new();
    client.command("CONFIG SET latency-tracking-info-percentiles '50 99.9'");
    client.delay = Duration::from_secs(4);
    client.send(b"SET a b\r\nGET a\r\nGET a\r\nGET a\r\n");
    let line = info(&mut client, "commandstats", "cmdstat_get").unwrap();
    let field = |name: &str| -> f64 {
        let part = line.split(',').find_map(|part| part.strip_prefix(name)).unwrap();
        part.parse().unwrap()
    };
    let fits = (3_000_000.0..4_000_000.0).contains(&field("usec="));
    assert!(fits, "cmdstat_get is charged with {line}");
    assert!((1_000_000.0..2_000_000.0).contains(&field("usec_per_call=")), "{line}");
    let line = info(&mut client, "latencystats", "latency_percentiles_usec_get").unwrap();
    let parts: Vec<f64> =
        line.split(',').map(|part| part.split_once('=').unwrap().1.parse().unwrap()).collect();
    assert!(line.starts_with("p50=") && line.contains(",p99.9="), "{line}");
    assert!(parts.iter().all(|part| (1_000_000.0..2_100_000.0).contains(part)), "{line}");
    client.command("CONFIG RESETSTAT");
    client.command("CONFIG SET latency-tracking no");
    client.command("GET a");
    assert_eq!(info(&mut client, "latencystats", "latency_percentiles_usec_get"), None);
}

#[test]
fn long_commands_are_events() {
    let mut client = TestClient::new();
    client.delay = Duration::from_secs(2);
    client.command("GET a");
    assert_eq!(client.command("LATENCY LATEST"), "*0", "events are kept although none shall be");
    client.command("CONFIG SET latency-monitor-threshold 1000");
    client.delay = Duration::from_secs(2);
    client.send(b"GET a\r\nSTRLEN a\r\n");
    client.delay = Duration::from_secs(3);
    client.send(b"GET a\r\nSET a b\r\n");
    client.command("GET a");
    let latest = client.command("LATENCY LATEST");
    let words: Vec<&str> = latest.split(' ').collect();
    let [_, _, _, command, _, last, longest, _, _, fast, _, fast_last, _] = words[..] else {
        panic!("{latest}")
    };
    assert_eq!((command, fast), ("command", "fast-command"), "{latest}");
    let milliseconds = |text: &str| text.trim_start_matches(':').parse::<u64>().unwrap();
    assert!(milliseconds(last) >= 3000 && milliseconds(fast_last) >= 2000, "{latest}");
    assert_eq!(last, longest);
    assert!(client.command("LATENCY HISTORY command").starts_with("*1 *2 :"));
    assert!(
        client.command("LATENCY DOCTOR").contains("command: 1 seconds with an event of 1000 ms")
    );
    assert!(client.command("LATENCY GRAPH command").contains("all time high"));
    assert_eq!(client.command("LATENCY RESET"), ":2");
    assert_eq!(client.command("LATENCY LATEST"), "*0");
    assert!(client.command("LATENCY DOCTOR").contains("No event"));
}

#[test]
fn histograms_count_calls_by_their_latency() {
    let mut client = TestClient::new();
    client.command("CONFIG RESETSTAT");
    client.delay = Duration::from_secs(60);
    client.send(b"GET a\r\nGET a\r\nGET a\r\nSET a b\r\n");
    let reply = client.command("LATENCY HISTOGRAM get SET nothing");
    assert!(reply.starts_with("*4 $3 get *4 $5 calls :3 $14 histogram_usec *2 :"), "{reply}");
    assert!(
        reply.ends_with(" :3 $3 set *4 $5 calls :1 $14 histogram_usec *2 :17314086 :1"),
        "{reply}"
    );
    assert!(client.command("LATENCY HISTOGRAM config").contains("$16 config|resetstat"));
}

/// As redis-server 7.0.15 counts them: an answer of the database that is none itself may become one.
#[test]
fn errors_that_replies_make_are_counted() {
    let mut client = TestClient::new();
    client.send(b"SET text rose\r\nSETRANGE long 12000 x\r\nPFADD sketch x\r\nHSET hash a b\r\n");
    let failing = [
        ("PFCOUNT sketch text", "WRONGTYPE", "pfcount"),
        ("BITCOUNT text 0", "ERR", "bitcount"),
        ("BITPOS text 1 x", "ERR", "bitpos"),
        ("GETEX text EX 0", "ERR", "getex"),
        ("SORT text", "WRONGTYPE", "sort"),
        ("RESTORE text 0 x", "BUSYKEY", "restore"),
        ("RESTORE other 0 x", "ERR", "restore"),
        ("LCS long long", "ERR", "lcs"),
        ("LCS hash text x", "ERR", "lcs"),
        ("LCS text text x", "ERR", "lcs"),
        ("HSET text a b", "WRONGTYPE", "hset"),
        ("HGET text a", "WRONGTYPE", "hget"),
        ("HSCAN text 0 x", "WRONGTYPE", "hscan"),
        ("HSCAN hash 0 x", "ERR", "hscan"),
        ("GET hash", "WRONGTYPE", "get"),
        ("BITCOUNT hash 0", "WRONGTYPE", "bitcount"),
        ("INCRBYFLOAT hash x", "WRONGTYPE", "incrbyfloat"),
        ("INCRBYFLOAT text x", "ERR", "incrbyfloat"),
        ("SETRANGE none 536870912 x", "ERR", "setrange"),
        ("DELEX hash IFEQ x", "ERR", "delex"),
    ];
    for (command, code, name) in failing {
        let errors = |client: &mut TestClient| {
            let line = info(client, "errorstats", &format!("errorstat_{code}"));
            line.map_or(0, |line| line.trim_start_matches("count=").parse::<u64>().unwrap())
        };
        let (before, [_, rejected, failed]) = (errors(&mut client), calls(&mut client, name));
        assert!(client.command(command).starts_with(&format!("-{code} ")), "{command}");
        let counted = [0, rejected, failed + 1];
        let [_, now @ ..] = calls(&mut client, name);
        assert_eq!(now, counted[1..], "{command} has not failed");
        assert_eq!(errors(&mut client), before + 1, "the error of {command} is not counted");
    }
}

/// The counts are those of redis-server 7.0.15.
#[test]
fn commands_that_a_subscriber_must_not_use_are_rejected() {
    let mut client = TestClient::new();
    client.command("SUBSCRIBE a");
    for line in ["GET a", "OBJECT ENCODING a", "EXEC"] {
        let refused = client.command(line);
        assert!(refused.contains("Can't execute '"), "{refused}");
    }
    client.command("RESET");
    for name in ["get", "object|encoding", "exec"] {
        assert_eq!(calls(&mut client, name), [0, 1, 0], "{name}");
    }
}

#[test]
fn commands_that_memory_has_no_room_for_are_rejected() {
    let mut client = TestClient::new();
    client.command("CONFIG SET maxmemory 1");
    let replies = client.send(b"SET a b\r\nGET a\r\n");
    assert!(replies.starts_with(b"-OOM ") && replies.ends_with(b"$-1\r\n"));
    assert_eq!(calls(&mut client, "set"), [0, 1, 0], "a command is executed that was refused");
    assert_eq!(calls(&mut client, "get"), [1, 0, 0]);
    client.command("SET a b");
    assert_eq!(calls(&mut client, "set"), [0, 2, 0]);
    assert_eq!(info(&mut client, "errorstats", "errorstat_OOM").as_deref(), Some("count=2"));
    // Their wrong arguments only become an error once the key is found.
    for line in ["INCRBYFLOAT a x", "SETRANGE a 536870912 x", "HSET a b c d", "HINCRBYFLOAT a b x"]
    {
        assert!(client.command(line).starts_with("-OOM "), "{line}");
    }
    assert_eq!(calls(&mut client, "incrbyfloat"), [0, 1, 0]);
    assert!(client.command("HSCAN a 0 x").starts_with("*2 "));
}

/// As redis-server 7.0.15 counts them.
#[test]
#[cfg(feature = "scripts")]
fn errors_of_scripts_are_counted_once() {
    let mut client = TestClient::new();
    client.command("SET a b");
    let caught = "redis.pcall('incr', KEYS[1]) redis.pcall('nothing') redis.pcall('incr')";
    client.command(&format!("EVAL \"{caught} return 1\" 1 a"));
    let errors = |client: &mut TestClient| info(client, "errorstats", "errorstat_ERR");
    assert_eq!(errors(&mut client).as_deref(), Some("count=3"));
    assert_eq!(calls(&mut client, "incr"), [1, 1, 1]);
    assert_eq!(calls(&mut client, "eval"), [1, 0, 0], "a script has failed that caught its errors");
    // The error ends the script, and is returned by the next one.
    client.command("EVAL \"return redis.call('incr', KEYS[1])\" 1 a");
    client.command("EVAL \"return redis.pcall('incr', KEYS[1])\" 1 a");
    assert_eq!(errors(&mut client).as_deref(), Some("count=5"), "an error is counted twice");
    assert_eq!(calls(&mut client, "eval"), [3, 0, 2]);
    // Errors of the scripts' own.
    client.command("EVAL \"return redis.error_reply('MINE is one')\" 0");
    client.command("EVAL \"error('no command')\" 0");
    client.send(b"MULTI\r\nEVAL \"return redis.error_reply('MINE is one')\" 0\r\nEXEC\r\n");
    assert_eq!(info(&mut client, "errorstats", "errorstat_MINE").as_deref(), Some("count=2"));
    assert_eq!(errors(&mut client).as_deref(), Some("count=6"));
    assert_eq!(calls(&mut client, "eval")[2], 5);
    // `error_reply` of the transaction is the text of the fourth script.
    assert_eq!(info(&mut client, "memory", "number_of_cached_scripts").as_deref(), Some("5"));
}

#[test]
fn the_batches_of_a_turn_share_its_time() {
    let mut client = TestClient::new();
    let ends_turn =
        |client: &mut TestClient| client.process(b"PING\r\n", &mut Vec::new()).ends_turn;
    client.delay = Duration::from_secs(2);
    assert!(ends_turn(&mut client), "commands of two seconds do not end the turn");
    client.continue_turn();
    assert!(ends_turn(&mut client), "a second batch begins a turn");
    // Many times, because a short command takes long on a machine that does something else.
    assert!((0..100).any(|_| !ends_turn(&mut client)), "a short command ends the turn");
}
