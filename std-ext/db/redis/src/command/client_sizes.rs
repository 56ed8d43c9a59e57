//! The sizes of a connection's buffers and queue, as CLIENT LIST shows them.

use std::fmt;

/// The sizes of a connection's buffers and queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientSizes {
    /// Bytes of input that were received and not executed.
    pub input: u64,
    /// Bytes that the buffer of the input has room for beside these.
    pub input_room: u64,
    /// Bytes of the arguments of the command that is being executed.
    pub arguments: u64,
    /// Commands that are queued since MULTI; nothing without MULTI.
    pub queued: Option<u64>,
    /// Keys that the client watches (`WATCH`).
    pub watched: u64,
    /// Bytes that the queued commands take.
    pub queued_bytes: u64,
    /// Bytes of the buffer to which replies are appended.
    pub reply_buffer: u64,
    /// Bytes of replies that wait in this buffer.
    pub reply_bytes: u64,
    /// Full buffers of replies and messages that wait before this one.
    pub full_buffers: u64,
    /// Bytes of memory in these, and of messages that wait for a subscriber.
    pub full_bytes: u64,
    /// Bytes of memory that all this takes, without the messages.
    pub total: u64,
}

impl fmt::Display for ClientSizes {
    /// Writes the fields of CLIENT LIST. The peak of the buffer of replies is not known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, input_room, arguments, queued, watched, queued_bytes, .. } = self;
        let Self { reply_buffer, reply_bytes, full_buffers, full_bytes, total, .. } = self;
        let multi = queued.map_or(-1, u64::cast_signed);
        write!(
            f,
            "multi={multi} watch={watched} qbuf={input} qbuf-free={input_room} argv-mem={arguments} \
             multi-mem={queued_bytes} rbs={reply_buffer} rbp=0 obl={reply_bytes} oll={full_buffers} \
             omem={full_bytes} tot-mem={total}"
        )
    }
}
