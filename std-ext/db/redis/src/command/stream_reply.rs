//! Writing answers that consist of values inside of values.

use hedgerow_db_engine::request::{Answer, ElementList, Nested};
use hedgerow_db_formats::resp::Protocol;
use hedgerow_db_formats::resp::write::RespWriter;

/// The code of the errors that name a group, by which they are counted.
const NO_GROUP: &str = "NOGROUP";
/// That of those that end a wait.
const UNBLOCKED: &str = "UNBLOCKED";
/// The code of those about arguments.
const OTHER: &str = "ERR";

fn code(text: &[u8]) -> &'static str {
    let is = |code: &&str| text.starts_with(code.as_bytes());
    [NO_GROUP, UNBLOCKED].into_iter().find(is).unwrap_or(OTHER)
}

/// Writes such an answer. Returns the error if it is one.
pub(super) fn write_nested(
    out: &mut RespWriter<'_>,
    list: ElementList<'_>,
) -> Option<&'static str> {
    let mut error = None;
    for value in Nested::all(list) {
        match value {
            Nested::Bytes(bytes) => out.bulk(bytes),
            Nested::Int(number) => out.integer(number),
            Nested::Array(len) => out.array(len),
            Nested::Map(len) => out.map(len),
            Nested::Nil => out.null(),
            Nested::NilArray => out.null_array(),
            Nested::Error(text) => {
                out.error(text);
                error = Some(code(text));
            }
        }
    }
    error
}

/// The reply of XREAD and XREADGROUP, to which each stream adds its entries.
#[derive(Default)]
pub(super) struct StreamsReply {
    written: Vec<u8>,
    streams: usize,
    /// The first error. It is the whole reply.
    error: Option<Vec<u8>>,
}

impl StreamsReply {
    /// Returns the reply for answers that are stored as elements.
    pub(super) fn of(all: ElementList<'_>, protocol: Protocol) -> Self {
        let mut this = Self::default();
        for stored in all.iter().flatten() {
            let (list, next) = ElementList::stored(stored);
            this.add(Answer::Elements(list, next), protocol);
        }
        this
    }

    /// Adds the answer about a stream.
    pub(super) fn add(&mut self, answer: Answer<'_>, protocol: Protocol) {
        let Answer::Elements(list, _) = answer else { return };
        if let Some(Nested::Error(text)) = Nested::all(list).next() {
            self.error.get_or_insert_with(|| text.to_vec());
            return;
        }
        let out = &mut RespWriter::new(&mut self.written, protocol);
        // A name and its entries: in RESP3 they are a pair of a map.
        if protocol == Protocol::Two {
            out.array(2);
        }
        write_nested(out, list);
        self.streams += 1;
    }

    /// Returns whether the reply is an error.
    pub(super) fn is_error(&self) -> bool {
        self.error.is_some()
    }

    /// Writes the reply. Returns the error if it is one.
    pub(super) fn write(self, out: &mut RespWriter<'_>) -> Option<&'static str> {
        if let Some(text) = self.error {
            out.error(&text);
            return Some(code(&text));
        }
        match (self.streams, out.protocol()) {
            (0, _) => out.null_array(),
            (streams, Protocol::Two) => out.array(streams),
            (streams, Protocol::Three) => out.map(streams),
        }
        out.raw(&self.written);
        None
    }
}
