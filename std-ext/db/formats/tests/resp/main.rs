//! builds: default
//!
//! RESP in both directions: bytes that arrive in pieces, damaged bytes, and arbitrary bytes, compared with slow and
//! simple parsers.

mod alike;
mod slow;

use alike::{read_alike, taken};
use hedgerow_db_formats::resp::Protocol;
use hedgerow_db_formats::resp::parse::{Limits, ParseError, ParsedItem, Requests};
use hedgerow_db_formats::resp::read::{self, Reply};
use hedgerow_db_formats::resp::write::{self, RespWriter};
use hedgerow_db_formats::score;

/// Pseudo-random numbers, the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.roll(most + 1)).map(|_| self.roll(256) as u8).collect()
    }

    /// Returns bytes that are likely to mean something.
    fn babble(&mut self, words: &[&[u8]], most: usize) -> Vec<u8> {
        (0..self.roll(most + 1)).flat_map(|_| words[self.roll(words.len())].to_vec()).collect()
    }
}

/// Checks that bytes are parsed as by the slow parser, in one piece and in several.
fn agree(input: &[u8], dice: &mut Dice) {
    for (limits, unauthenticated) in [(Limits::FULL, false), (Limits::UNAUTHENTICATED, true)] {
        let wanted = slow::requests(input, unauthenticated);
        assert_eq!(taken(input, limits, || input.len()), wanted, "{}", input.escape_ascii());
        assert_eq!(taken(input, limits, || 1), wanted, "{}", input.escape_ascii());
        let most = 1 + dice.roll(30);
        assert_eq!(taken(input, limits, || dice.roll(most)), wanted, "{}", input.escape_ascii());
    }
}

#[test]
fn requests_are_the_same_in_any_pieces() {
    let mut dice = Dice(7);
    for round in 0..400 {
        let mut input = Vec::new();
        let mut wanted: Vec<Vec<Vec<u8>>> = Vec::new();
        for _ in 0..dice.roll(5) {
            let most = if round % 20 == 0 { 300 } else { 12 };
            let arguments = 1 + dice.roll(if round % 7 == 0 { 60 } else { 4 });
            let request: Vec<Vec<u8>> = (0..arguments).map(|_| dice.bytes(most)).collect();
            write::request(&mut input, &request);
            wanted.push(request);
        }
        let most = 1 + dice.roll(200);
        let taken = taken(&input, Limits::FULL, || dice.roll(most));
        assert_eq!(taken, (wanted, input.len(), None));
        agree(&input, &mut dice);
        // Damaged, it is another input, which both must parse in the same way.
        for _ in 0..3 {
            if let Some(last) = input.len().checked_sub(1) {
                let at = dice.roll(last + 1);
                input[at] = b"*$\r\n019-x\" "[dice.roll(11)];
                agree(&input, &mut dice);
            }
        }
    }
}

#[test]
fn arbitrary_bytes_are_parsed_like_the_slow_parser() {
    let words: [&[u8]; 22] = [
        b"*",
        b"$",
        b"\r\n",
        b"\r",
        b"\n",
        b"1",
        b"2",
        b"10",
        b"0",
        b"-",
        b"*1\r\n",
        b"*2\r\n$3\r\nGET\r\n",
        b"$1\r\nk",
        b"a",
        b" ",
        b"\"",
        b"'",
        b"\\",
        b"\x0b",
        b"\0",
        b"\xff",
        b"$16385\r\n",
    ];
    let mut dice = Dice(11);
    for _ in 0..4000 {
        let input = dice.babble(&words, 14);
        agree(&input, &mut dice);
    }
    for _ in 0..1000 {
        let input = dice.bytes(40);
        agree(&input, &mut dice);
    }
}

#[test]
fn limits_hold() {
    let last = |input: &[u8], limits| taken(input, limits, || input.len()).2;
    let full = |input: &str| last(input.as_bytes(), Limits::FULL);
    assert_eq!((full("*1048576\r\n"), full("*1048577\r\n")), (None, Some(ParseError::Count)));
    assert_eq!(full("*1\r\n$536870912\r\n"), None);
    assert_eq!(full("*1\r\n$536870913\r\n"), Some(ParseError::Length));
    let unauthenticated = |input: &str| last(input.as_bytes(), Limits::UNAUTHENTICATED);
    assert_eq!(
        (unauthenticated("*10\r\n"), unauthenticated("*11\r\n")),
        (None, Some(ParseError::UnauthenticatedCount))
    );
    assert_eq!(unauthenticated("*1\r\n$16384\r\n"), None);
    assert_eq!(unauthenticated("*1\r\n$16385\r\n"), Some(ParseError::UnauthenticatedLength));
    assert_eq!(full(&"x".repeat(65_536)), None);
    assert_eq!(full(&"x".repeat(65_537)), Some(ParseError::Line));
    assert_eq!(full(&format!("{}\n", "x".repeat(65_536))), None);
}

#[test]
fn an_incomplete_value_announces_its_length() {
    let mut requests = Requests::default();
    let mut input = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n".to_vec();
    let whole = input.len() + 1_000_002;
    for _ in 0..3 {
        let found = requests.next(&input, Limits::FULL, &mut Vec::new());
        assert_eq!(found, ParsedItem::Unfinished(whole));
        input.extend([0; 1000]);
    }
}

/// Returns a random reply.
fn any_reply(dice: &mut Dice, depth: usize) -> Reply {
    let line = |dice: &mut Dice| {
        let mut line = dice.bytes(20);
        line.retain(|byte| !b"\r\n".contains(byte));
        line
    };
    let many = |dice: &mut Dice| -> Vec<Reply> {
        (0..dice.roll(4)).map(|_| any_reply(dice, depth + 1)).collect()
    };
    match dice.roll(if depth > 4 { 9 } else { 13 }) {
        0 => Reply::Simple(String::from_utf8_lossy(&line(dice)).into_owned().into_bytes()),
        1 => Reply::Error(line(dice)),
        2 => Reply::Integer([0, 1, -1, 99, i64::MIN, i64::MAX][dice.roll(6)]),
        3 => Reply::Bulk(dice.bytes(1200)),
        4 => Reply::Null,
        5 => Reply::Double([0.5, -3.0, 1e300, f64::INFINITY, f64::NEG_INFINITY][dice.roll(5)]),
        6 => Reply::Boolean(dice.roll(2) == 0),
        7 => Reply::BigNumber(b"-123456789012345678901234567890".to_vec()),
        8 => Reply::Verbatim(*b"txt", dice.bytes(30)),
        9 => Reply::Array(many(dice)),
        10 => Reply::Set(many(dice)),
        11 => Reply::Push(many(dice)),
        _ => Reply::Map(
            many(dice).into_iter().map(|key| (key, any_reply(dice, depth + 1))).collect(),
        ),
    }
}

fn written(reply: &Reply, out: &mut RespWriter<'_>) {
    match reply {
        Reply::Simple(text) => out.simple(std::str::from_utf8(text).unwrap()),
        Reply::Error(text) => out.error(text),
        Reply::Integer(n) => out.integer(*n),
        Reply::Bulk(bytes) => out.bulk(bytes),
        Reply::Null => out.null(),
        Reply::Double(x) => out.double(*x),
        Reply::Boolean(yes) => out.boolean(*yes),
        Reply::BigNumber(digits) => out.big_number(std::str::from_utf8(digits).unwrap()),
        Reply::Verbatim(kind, text) => out.verbatim(*kind, text),
        Reply::Array(many) | Reply::Set(many) | Reply::Push(many) => {
            match reply {
                Reply::Array(_) => out.array(many.len()),
                Reply::Set(_) => out.set(many.len()),
                _ => out.push(many.len()),
            }
            for reply in many {
                written(reply, out);
            }
        }
        Reply::Map(pairs) => {
            out.map(pairs.len());
            for (key, value) in pairs {
                written(key, out);
                written(value, out);
            }
        }
        other => panic!("{other:?}"),
    }
}

/// Converts a reply to RESP2.
fn plain(reply: &Reply) -> Reply {
    let all = |many: &[Reply]| many.iter().map(plain).collect();
    match reply {
        Reply::Double(x) => score::with_text(*x, |text| Reply::Bulk(text.to_vec())),
        Reply::Boolean(yes) => Reply::Integer((*yes).into()),
        Reply::BigNumber(text) | Reply::Verbatim(_, text) => Reply::Bulk(text.clone()),
        Reply::Array(many) | Reply::Set(many) | Reply::Push(many) => Reply::Array(all(many)),
        Reply::Map(pairs) => {
            Reply::Array(pairs.iter().flat_map(|(key, value)| [plain(key), plain(value)]).collect())
        }
        other => other.clone(),
    }
}

#[test]
fn written_replies_are_read_back() {
    let mut dice = Dice(3);
    for _ in 0..1500 {
        let reply = any_reply(&mut dice, 0);
        for (protocol, wanted) in [(Protocol::Three, reply.clone()), (Protocol::Two, plain(&reply))]
        {
            let mut bytes = Vec::new();
            written(&reply, &mut RespWriter::new(&mut bytes, protocol));
            let length = bytes.len();
            bytes.extend(dice.bytes(3));
            assert_eq!(read::reply(&bytes), Ok(read::ReadItem::Reply(wanted, length)));
        }
    }
}

#[test]
fn arbitrary_replies_are_parsed_like_the_slow_parser() {
    let words: [&[u8]; 26] = [
        b"*",
        b"$",
        b"\r\n",
        b"\r",
        b"\n",
        b"1",
        b"2",
        b"3",
        b"0",
        b"-1",
        b"+ok\r\n",
        b"-no\r\n",
        b":7\r\n",
        b"$-1\r\n",
        b"*2\r\n",
        b"%1\r\n",
        b"~1\r\n",
        b">1\r\n",
        b"|1\r\n",
        b"_\r\n",
        b",1.5\r\n",
        b"#t\r\n",
        b"(12\r\n",
        b"=5\r\ntxt:a\r\n",
        b"!1\r\nx\r\n",
        b"$2\r\nab\r\n",
    ];
    let mut dice = Dice(5);
    for _ in 0..6000 {
        read_alike(&dice.babble(&words, 9));
    }
    for _ in 0..300 {
        let mut bytes = Vec::new();
        written(&any_reply(&mut dice, 3), &mut RespWriter::new(&mut bytes, Protocol::Three));
        read_alike(&bytes);
        let at = dice.roll(bytes.len());
        bytes[at] = dice.roll(256) as u8;
        read_alike(&bytes);
    }
}

#[test]
fn nesting_is_limited() {
    let deep = |depth: usize| [b"*1\r\n".repeat(depth), b"_\r\n".to_vec()].concat();
    assert!(matches!(read::reply(&deep(64)), Ok(read::ReadItem::Reply(..))));
    assert_eq!(read::reply(&deep(65)), Err(read::Malformed::TooDeep));
    assert_eq!(read::reply(&deep(1_000_000)), Err(read::Malformed::TooDeep));
}
