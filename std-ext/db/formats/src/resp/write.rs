//! Writes replies and requests to the end of a buffer.

use super::Protocol;
use crate::score;

/// Writes replies in one version of RESP to the end of a buffer.
#[derive(Debug)]
pub struct RespWriter<'o> {
    out: &'o mut Vec<u8>,
    protocol: Protocol,
}

impl<'o> RespWriter<'o> {
    /// Makes a writer that appends to `out`.
    #[inline]
    pub fn new(out: &'o mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// Returns the length of the buffer.
    #[inline]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Returns whether the buffer is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Returns the version of RESP.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Writes `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// Writes a simple string, which must not contain line ends.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// Writes an error: a code in capitals, then a message. Line ends become spaces.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        self.out.push(b'-');
        let clean = |&byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte };
        self.out.extend(text.as_ref().iter().map(clean));
        self.out.extend_from_slice(b"\r\n");
    }

    /// Writes an integer.
    #[inline]
    pub fn integer(&mut self, n: i64) {
        match n {
            0 => self.out.extend_from_slice(b":0\r\n"),
            1 => self.out.extend_from_slice(b":1\r\n"),
            _ => self.line(b':', itoa::Buffer::new().format(n).as_bytes()),
        }
    }

    /// Writes a bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 16);
        self.length(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Writes a bulk string made of several pieces.
    pub fn bulk_of(&mut self, pieces: &[&[u8]]) {
        let length = pieces.iter().map(|piece| piece.len()).sum();
        self.out.reserve(length + 16);
        self.length(b'$', length);
        for piece in pieces {
            self.out.extend_from_slice(piece);
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// Writes null.
    #[inline]
    pub fn null(&mut self) {
        match self.protocol {
            Protocol::Two => self.out.extend_from_slice(b"$-1\r\n"),
            Protocol::Three => self.out.extend_from_slice(b"_\r\n"),
        }
    }

    /// Writes null instead of an array.
    pub fn null_array(&mut self) {
        match self.protocol {
            Protocol::Two => self.out.extend_from_slice(b"*-1\r\n"),
            Protocol::Three => self.out.extend_from_slice(b"_\r\n"),
        }
    }

    /// Begins an array of `count` replies.
    #[inline]
    pub fn array(&mut self, count: usize) {
        self.length(b'*', count);
    }

    /// Begins a map of `count` pairs; in RESP2, an array of twice as many replies.
    pub fn map(&mut self, count: usize) {
        match self.protocol {
            Protocol::Two => self.length(b'*', 2 * count),
            Protocol::Three => self.length(b'%', count),
        }
    }

    /// Begins a set of `count` replies; in RESP2, an array.
    pub fn set(&mut self, count: usize) {
        match self.protocol {
            Protocol::Two => self.length(b'*', count),
            Protocol::Three => self.length(b'~', count),
        }
    }

    /// Begins a push message of `count` replies; in RESP2, an array.
    pub fn push(&mut self, count: usize) {
        match self.protocol {
            Protocol::Two => self.length(b'*', count),
            Protocol::Three => self.length(b'>', count),
        }
    }

    /// Writes a double, as a score; in RESP2, a bulk string.
    pub fn double(&mut self, x: f64) {
        score::with_text(x, |text| match self.protocol {
            Protocol::Two => self.bulk(text),
            Protocol::Three => self.line(b',', text),
        });
    }

    /// Writes a number, whose text is known, as a double; in RESP2, as a bulk string.
    pub fn long_double(&mut self, text: &str) {
        match self.protocol {
            Protocol::Two => self.bulk(text.as_bytes()),
            Protocol::Three => self.line(b',', text.as_bytes()),
        }
    }

    /// Writes a boolean; in RESP2, 1 or 0.
    pub fn boolean(&mut self, yes: bool) {
        match (self.protocol, yes) {
            (Protocol::Two, _) => self.integer(yes.into()),
            (Protocol::Three, true) => self.out.extend_from_slice(b"#t\r\n"),
            (Protocol::Three, false) => self.out.extend_from_slice(b"#f\r\n"),
        }
    }

    /// Writes a big number; in RESP2, a bulk string.
    pub fn big_number(&mut self, digits: &str) {
        match self.protocol {
            Protocol::Two => self.bulk(digits.as_bytes()),
            Protocol::Three => self.line(b'(', digits.as_bytes()),
        }
    }

    /// Writes a verbatim string with a format such as `txt`; in RESP2, a bulk string.
    pub fn verbatim(&mut self, kind: [u8; 3], text: &[u8]) {
        match self.protocol {
            Protocol::Two => self.bulk(text),
            Protocol::Three => {
                self.length(b'=', text.len() + 4);
                self.out.extend_from_slice(&kind);
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Appends bytes that are encoded already.
    #[inline]
    pub fn raw(&mut self, written: &[u8]) {
        self.out.extend_from_slice(written);
    }

    #[inline]
    fn line(&mut self, mark: u8, text: &[u8]) {
        self.out.reserve(text.len() + 3);
        self.out.push(mark);
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }

    #[inline]
    fn length(&mut self, mark: u8, length: usize) {
        length_line(self.out, mark, length);
    }
}

/// Writes a length on its own line. Nearly all lengths have up to three digits, which are written without a loop.
#[inline]
fn length_line(out: &mut Vec<u8>, mark: u8, length: usize) {
    let digit = |tens: usize| b'0' + (length / tens % 10) as u8;
    match length {
        0..10 => out.extend_from_slice(&[mark, digit(1), b'\r', b'\n']),
        10..100 => out.extend_from_slice(&[mark, digit(10), digit(1), b'\r', b'\n']),
        100..1000 => {
            out.extend_from_slice(&[mark, digit(100), digit(10), digit(1), b'\r', b'\n']);
        }
        _ => {
            out.push(mark);
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Writes a request.
pub fn request<T: AsRef<[u8]>>(out: &mut Vec<u8>, arguments: &[T]) {
    length_line(out, b'*', arguments.len());
    for argument in arguments {
        let bytes = argument.as_ref();
        length_line(out, b'$', bytes.len());
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    }
}
