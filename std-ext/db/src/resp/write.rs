//! Replies and requests, written behind what a buffer holds.

use super::Protocol;

/// Writes replies in one of the two versions behind what a buffer holds.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut Vec<u8>,
    protocol: Protocol,
}

impl<'o> Writer<'o> {
    /// Writes into `out` from now on.
    #[inline]
    pub fn new(out: &'o mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// How many bytes the buffer holds.
    #[inline]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether the buffer holds nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The version that is written.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A short text without line ends.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// An error: a code in capitals, then what is wrong. Line ends in it become spaces.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        self.out.push(b'-');
        let clean = |&byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte };
        self.out.extend(text.as_ref().iter().map(clean));
        self.out.extend_from_slice(b"\r\n");
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, n: i64) {
        match n {
            0 => self.out.extend_from_slice(b":0\r\n"),
            1 => self.out.extend_from_slice(b":1\r\n"),
            _ => self.line(b':', itoa::Buffer::new().format(n).as_bytes()),
        }
    }

    /// Bytes of any kind.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 16);
        self.length(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// The same, of several pieces.
    pub fn bulk_of(&mut self, pieces: &[&[u8]]) {
        let length = pieces.iter().map(|piece| piece.len()).sum();
        self.out.reserve(length + 16);
        self.length(b'$', length);
        for piece in pieces {
            self.out.extend_from_slice(piece);
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// That there is nothing.
    #[inline]
    pub fn null(&mut self) {
        match self.protocol {
            Protocol::Two => self.out.extend_from_slice(b"$-1\r\n"),
            Protocol::Three => self.out.extend_from_slice(b"_\r\n"),
        }
    }

    /// That there is nothing where an array would be.
    pub fn null_array(&mut self) {
        match self.protocol {
            Protocol::Two => self.out.extend_from_slice(b"*-1\r\n"),
            Protocol::Three => self.out.extend_from_slice(b"_\r\n"),
        }
    }

    /// The beginning of an array of `count` replies, which follow.
    #[inline]
    pub fn array(&mut self, count: usize) {
        self.length(b'*', count);
    }

    /// The beginning of `count` pairs of replies; of an array of twice as many in RESP2.
    pub fn map(&mut self, count: usize) {
        match self.protocol {
            Protocol::Two => self.length(b'*', 2 * count),
            Protocol::Three => self.length(b'%', count),
        }
    }

    /// The beginning of `count` replies in no order; of an array in RESP2.
    pub fn set(&mut self, count: usize) {
        match self.protocol {
            Protocol::Two => self.length(b'*', count),
            Protocol::Three => self.length(b'~', count),
        }
    }

    /// The beginning of `count` replies that nobody asked for; of an array in RESP2.
    pub fn push(&mut self, count: usize) {
        match self.protocol {
            Protocol::Two => self.length(b'*', count),
            Protocol::Three => self.length(b'>', count),
        }
    }

    /// A number with a fraction; its digits as bytes in RESP2.
    pub fn double(&mut self, x: f64) {
        let text = if x.is_nan() {
            "nan".to_owned()
        } else if x.is_infinite() {
            if x > 0.0 { "inf" } else { "-inf" }.to_owned()
        } else {
            x.to_string()
        };
        match self.protocol {
            Protocol::Two => self.bulk(text.as_bytes()),
            Protocol::Three => self.line(b',', text.as_bytes()),
        }
    }

    /// Yes or no; 1 or 0 in RESP2.
    pub fn boolean(&mut self, yes: bool) {
        match (self.protocol, yes) {
            (Protocol::Two, _) => self.integer(yes.into()),
            (Protocol::Three, true) => self.out.extend_from_slice(b"#t\r\n"),
            (Protocol::Three, false) => self.out.extend_from_slice(b"#f\r\n"),
        }
    }

    /// An integer of any size, as digits; bytes in RESP2.
    pub fn big_number(&mut self, digits: &str) {
        match self.protocol {
            Protocol::Two => self.bulk(digits.as_bytes()),
            Protocol::Three => self.line(b'(', digits.as_bytes()),
        }
    }

    /// A text for people, of a kind such as `txt`; bytes in RESP2.
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

    /// What was written somewhere else.
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

/// A length on a line of its own. Nearly all have up to three digits.
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
