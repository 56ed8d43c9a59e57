//! Files of recorded replies and messages of redis-server, and a client that reads them one by one.
#![allow(dead_code, missing_docs, unreachable_pub)]

use super::support::{Client, Running, command};
use hedgerow_db::resp::inline;
use hedgerow_db::resp::read::{self, ReadItem, Reply};
use std::io::Read;

/// Returns the lines of each section of a file. A section begins with a line `# Title`, which is left out, and ends at
/// an empty line. The lines before the first empty line describe the format.
pub fn sections(file: &str) -> Vec<Vec<&str>> {
    let mut lines = file.lines().skip_while(|line| !line.is_empty());
    let mut sections = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with("# ") {
            sections.push(lines.by_ref().take_while(|line| !line.is_empty()).collect());
        } else {
            assert!(line.is_empty(), "a line outside of a section: {line}");
        }
    }
    sections
}

/// Converts text with backslash escapes to bytes.
pub fn bytes(text: &str) -> Vec<u8> {
    let quoted = text.replace('"', "\\x22");
    inline::split(format!("\"{quoted}\"").as_bytes()).unwrap().remove(0)
}

/// Replaces the number of a connection, which HELLO tells.
pub fn without_id(mut text: Vec<u8>) -> Vec<u8> {
    const ID: &[u8] = b"$2\r\nid\r\n:";
    if let Some(at) = text.windows(ID.len()).position(|part| part == ID) {
        let begin = at + ID.len();
        let digits = text[begin..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        text.splice(begin..begin + digits, *b"ID");
    }
    text
}

/// Sends a command, which is written as for `redis-cli`.
pub fn send(client: &mut Client, line: &str) {
    let words = inline::split(line.as_bytes()).unwrap();
    client.send(command(&words.iter().map(Vec::as_slice).collect::<Vec<_>>()));
}

/// Reads as many bytes as are wanted, and compares them up to the number of a connection.
pub fn expect(client: &mut Client, line: &str, wanted: &[u8]) {
    let wanted = without_id(wanted.to_vec());
    let (mut got, mut piece) = (Vec::new(), vec![0; 4096]);
    while without_id(got.clone()).len() < wanted.len() {
        let length = client.0.read(&mut piece).unwrap_or_else(|why| {
            panic!("{why} instead of {line}\nafter {}", String::from_utf8_lossy(&got))
        });
        assert!(length > 0, "closed instead of {line}");
        got.extend_from_slice(&piece[..length]);
    }
    let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
    assert_eq!(shown(&without_id(got)), shown(&wanted), "at {line}");
}

/// Checks that a client has got nothing that it has not read.
pub fn expect_no_more(client: &mut Client, name: char) {
    client.send(command(&[b"UNSUBSCRIBE", b"the end"]));
    let mut rest = vec![0; 64];
    let Ok(length @ 1..) = client.0.read(&mut rest) else { return };
    let rest = String::from_utf8_lossy(&rest[..length]).into_owned();
    assert!(rest[1..].starts_with("3\r\n$11\r\nunsubscribe\r\n"), "{name} has got {rest}");
}

/// A client that reads one reply or push after the other.
pub struct Reader {
    pub client: Client,
    input: Vec<u8>,
}

impl Reader {
    pub fn new(server: &Running) -> Self {
        Self { client: server.client(), input: Vec::new() }
    }

    pub fn send(&mut self, line: &str) {
        send(&mut self.client, line);
    }

    /// Sends a command, and returns the next reply or push.
    pub fn ask(&mut self, line: &str) -> Reply {
        self.send(line);
        self.next()
    }

    pub fn next(&mut self) -> Reply {
        loop {
            if let Ok(ReadItem::Reply(reply, length)) = read::reply(&self.input) {
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
