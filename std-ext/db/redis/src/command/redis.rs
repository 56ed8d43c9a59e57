//! Compares replies with those of Redis byte by byte, as single requests and as pipelines.

use super::NextStep;
use super::table::{self, COMMANDS, SUBCOMMANDS};
use super::test_client::TestClient;
use hedgerow_db_formats::resp::{inline, read, write};

/// Files of requests and Redis's replies. The first lines of the first file describe the format.
const ANSWERS: [&str; 15] = [
    include_str!("../../tests/redis-7.txt"),
    include_str!("../../tests/redis-7-acl.txt"),
    include_str!("../../tests/redis-7-bits.txt"),
    include_str!("../../tests/redis-7-hyperloglog.txt"),
    include_str!("../../tests/redis-7-lcs.txt"),
    include_str!("../../tests/redis-7-usage.txt"),
    include_str!("../../tests/redis-7-types.txt"),
    include_str!("../../tests/redis-7-hashes.txt"),
    include_str!("../../tests/redis-7-lists.txt"),
    include_str!("../../tests/redis-7-sets.txt"),
    include_str!("../../tests/redis-7-sorted-sets.txt"),
    include_str!("../../tests/redis-7-geo.txt"),
    include_str!("../../tests/redis-7-streams.txt"),
    include_str!("../../tests/redis-7-stream-payloads.txt"),
    include_str!("../../tests/valkey-9-hash-times.txt"),
];
const FLOATS: &str = include_str!("../../tests/redis-7-floats.txt");
const ABOUT_COMMANDS: &str = include_str!("../../tests/redis-7-commands.txt");

/// Commands and subcommands that Redis 7.0 does not have.
const LATER: [&str; 21] = [
    "client|no-touch",
    "client|setinfo",
    "cluster|myshardid",
    "cluster|slot-stats",
    "delex",
    "delifeq",
    "digest",
    "hexpire",
    "hexpireat",
    "hexpiretime",
    "hgetdel",
    "hgetex",
    "hpersist",
    "hpexpire",
    "hpexpireat",
    "hpexpiretime",
    "hpttl",
    "hsetex",
    "httl",
    "msetex",
    "waitaof",
];

/// A request, with its replies in RESP2 and RESP3.
#[derive(Default)]
struct Row {
    line: &'static str,
    request: Vec<u8>,
    answers: [Vec<u8>; 2],
    closed: bool,
}

/// Converts text with backslash escapes to bytes.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let used = match behind[0] {
            b'r' => (b'\r', 1),
            b'n' => (b'\n', 1),
            b't' => (b'\t', 1),
            b'\\' => (b'\\', 1),
            b'x' => {
                (u8::from_str_radix(&text[text.len() - behind.len() + 1..][..2], 16).unwrap(), 3)
            }
            other => panic!("{other} behind a backslash in {text}"),
        };
        bytes.push(used.0);
        rest = &behind[used.1..];
    }
    bytes
}

/// Returns the lines of a file behind its first ones, the last of which says how many requests there are: so a file
/// that loses some is noticed.
fn rows_of(file: &'static str) -> impl Iterator<Item = &'static str> {
    let (head, rows) = file.split_once("\n\n").unwrap();
    let found = rows.lines().filter(|line| line.starts_with("> ")).count();
    assert!(
        head.ends_with(&format!("\n# {found} requests.")),
        "{found} requests of a recorded file"
    );
    rows.lines()
}

/// Returns the sections, each of which begins with an empty database.
fn sections() -> Vec<(&'static str, Vec<Row>)> {
    let mut sections: Vec<(&str, Vec<Row>)> = Vec::new();
    for line in ANSWERS.into_iter().flat_map(rows_of) {
        if let Some(name) = line.strip_prefix("# ") {
            sections.push((name, Vec::new()));
            continue;
        }
        let Some((_, rows)) = sections.last_mut() else { continue };
        match line.split_at(line.len().min(2)) {
            ("> ", request) => {
                let request = match request.strip_prefix("raw ") {
                    Some(raw) => bytes(raw),
                    None if request == "raw* 70000 x" => b"x".repeat(70_000),
                    None => {
                        let mut bytes = Vec::new();
                        write::request(&mut bytes, &inline::split(request.as_bytes()).unwrap());
                        bytes
                    }
                };
                rows.push(Row { line, request, ..Row::default() });
            }
            ("= ", answer) => rows.last_mut().unwrap().answers.fill(bytes(answer)),
            ("2 ", answer) => rows.last_mut().unwrap().answers[0] = bytes(answer),
            ("3 ", answer) => rows.last_mut().unwrap().answers[1] = bytes(answer),
            ("cl", _) => rows.last_mut().unwrap().closed = true,
            _ => assert!(line.is_empty(), "{line}"),
        }
    }
    assert!(sections.len() > 8 && sections.iter().all(|(_, rows)| rows.len() > 20));
    sections
}

/// Returns the number in a reply to TTL.
fn seconds(answer: &[u8]) -> Option<i64> {
    let digits = answer.strip_prefix(b":")?.strip_suffix(b"\r\n")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn is_answer(row: &Row, protocol: usize, answer: &[u8]) -> bool {
    let wanted = &row.answers[protocol];
    // On a slow machine, some of the key's time has passed.
    if row.line.starts_with("> TTL")
        && let (Some(wanted @ 1..), Some(left)) = (seconds(wanted), seconds(answer))
    {
        return (wanted - 60..=wanted).contains(&left);
    }
    answer == wanted
}

fn shown(answer: &[u8]) -> String {
    answer.escape_ascii().to_string()
}

/// Returns how many replies differ, and prints each of those.
fn differing<'r>(answers: impl Iterator<Item = (&'r Row, usize, Vec<u8>)>) -> usize {
    let differing_replies =
        answers.filter(|(row, protocol, answer)| !is_answer(row, *protocol, answer));
    differing_replies
        .inspect(|(row, protocol, answer)| {
            let wanted = shown(&row.answers[*protocol]);
            println!("{}\n  RESP{}: {wanted}\n  here:  {}", row.line, protocol + 2, shown(answer));
        })
        .count()
}

fn client(protocol: usize) -> TestClient {
    let mut client = TestClient::new();
    // Redis recorded an empty slow log. A busy machine would put commands into it.
    client.send(b"CONFIG SET slowlog-log-slower-than 600000000\r\n");
    if protocol == 1 {
        client.send(b"HELLO 3\r\n");
    }
    client
}

#[test]
fn requests_are_answered_as_redis_does() {
    let sections = sections();
    let mut differing_replies = 0;
    for (_, rows) in sections.iter().filter(|(name, _)| *name != "bytes as they are") {
        for protocol in 0..2 {
            let mut client = client(protocol);
            differing_replies +=
                differing(rows.iter().map(|row| (row, protocol, client.send(&row.request))));
        }
    }
    assert_eq!(differing_replies, 0);
}

#[test]
fn pipelines_are_answered_as_redis_does() {
    let sections = sections();
    let mut differing_replies = 0;
    for (_, rows) in sections.iter().filter(|(name, _)| *name != "bytes as they are") {
        for protocol in 0..2 {
            let mut client = client(protocol);
            let input: Vec<u8> = rows.iter().flat_map(|row| row.request.clone()).collect();
            let all = client.send(&input);
            let mut rest = &all[..];
            differing_replies += differing(rows.iter().map(|row| {
                let length = match read::reply(rest) {
                    Ok(read::ReadItem::Reply(_, length)) => length,
                    other => panic!("{other:?} in reply to {}", row.line),
                };
                let (answer, behind) = rest.split_at(length);
                rest = behind;
                (row, protocol, answer.to_vec())
            }));
            assert_eq!(rest, b"", "replies without a request");
        }
    }
    assert_eq!(differing_replies, 0, "replies of pipelines differ");
}

#[test]
fn float_sums_match_redis() {
    let (mut client, mut rows, mut differing_replies) = (TestClient::new(), 0, 0);
    let lines = FLOATS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let [value, by, sum] = words[..] else { panic!("{line}") };
        let wanted = match sum {
            "invalid" => b"-ERR value is not a valid float\r\n".to_vec(),
            "infinite" => b"-ERR increment would produce NaN or Infinity\r\n".to_vec(),
            sum => format!("${}\r\n{sum}\r\n", sum.len()).into_bytes(),
        };
        client.send(&request(&[b"SET", b"n", value.as_bytes()]));
        let answer = client.send(&request(&[b"INCRBYFLOAT", b"n", by.as_bytes()]));
        if answer != wanted {
            println!("{value} + {by}\n  Redis: {sum}\n  here:  {}", shown(&answer));
            differing_replies += 1;
        }
        rows += 1;
    }
    assert!(rows >= 400, "{rows} rows");
    assert_eq!(differing_replies, 0, "sums that differ from those of Redis");
}

fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write::request(&mut bytes, words);
    bytes
}

#[test]
fn malformed_input_is_answered_as_redis_does() {
    let sections = sections();
    let (_, rows) = sections.iter().find(|(name, _)| *name == "bytes as they are").unwrap();
    let mut differing_replies = 0;
    for row in rows {
        let mut client = TestClient::new();
        let answer = client.send_some(&row.request);
        differing_replies += differing(std::iter::once((row, 0, answer)));
        assert_eq!(client.next() != NextStep::Continue, row.closed, "{}", row.line);
    }
    assert_eq!(differing_replies, 0);
}

/// The words of a text, sorted.
fn words(text: &str, by: char) -> Vec<&str> {
    let mut words: Vec<&str> =
        text.split(by).filter(|word| !word.is_empty() && *word != "-").collect();
    words.sort_unstable();
    words
}

/// Of each command of Redis that exists here, clients are told the same.
#[test]
fn the_command_table_matches_redis() {
    let mut client = TestClient::new();
    client.command("hello 3");
    let mut reply_of = |request: String| {
        let mut reply = Vec::new();
        client.process(request.as_bytes(), &mut reply);
        reply
    };
    let has = |reply: &[u8], part: &[u8]| reply.windows(part.len()).any(|window| window == part);
    let mut compared = 0;
    for line in ABOUT_COMMANDS.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('\t');
        let [name, arity, flags, first, last, step, categories] =
            fields.next().unwrap().split(' ').collect::<Vec<_>>()[..]
        else {
            panic!("{line}")
        };
        let Some(spec) = table::find_spec(name.as_bytes()) else { continue };
        compared += 1;
        assert_eq!(spec.arity, arity.parse::<i8>().unwrap(), "the arity of {name}");
        let keys = [first, last, step].map(|place| place.parse::<i8>().unwrap());
        assert_eq!(<[i8; 3]>::from(spec.keys), keys, "the keys of {name}");
        assert_eq!(words(spec.flags, ' '), words(flags, ','), "the flags of {name}");
        let own: Vec<&str> = spec.categories.names().collect();
        let categories = categories.replace('@', "");
        assert_eq!(words(&own.join(" "), ' '), words(&categories, ','), "categories of {name}");

        let recorded = [b"\r\n", &bytes(fields.next().unwrap())[..]].concat();
        let reply = reply_of(format!("command info {name}\r\n"));
        let shown = String::from_utf8_lossy(&reply);
        assert!(has(&reply, &recorded), "tips and key specifications of {name}: {shown}");

        let reply = reply_of(format!("command docs {name}\r\n"));
        // The arguments of a command with subcommands stand before them.
        let parts = reply.windows(11).position(|window| window == b"subcommands");
        let own = &reply[..parts.unwrap_or(reply.len())];
        let field = &b"$9\r\narguments\r\n"[..];
        match fields.next().map(|recorded| [field, &bytes(recorded)].concat()) {
            // It has the conditions of later versions, too.
            _ if name == "set" => {}
            Some(recorded) => assert!(has(own, &recorded), "arguments of {name}"),
            None => assert!(!has(own, field), "{name} has no arguments"),
        }
    }
    assert_eq!(compared + LATER.len(), COMMANDS.len() + SUBCOMMANDS.len());
}
