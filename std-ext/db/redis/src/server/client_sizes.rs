//! The sizes of a client's buffers and queue, for the threads that list it.

use crate::command::ClientSizes;
use hedgerow_db_engine::gauge::Gauge;

/// Approximate bytes of memory that a client takes without buffers and TLS, its place in the list of clients included.
/// `tests/clients/idle.mjs` compares it with the memory of the process.
const BARE: u64 = 1024;

/// Returns the sizes of a client without buffers and queue. Nearly all idle clients are such.
pub(super) fn bare() -> ClientSizes {
    ClientSizes { total: BARE, ..ClientSizes::default() }
}

/// The sizes of a client's buffers and queue. Only its worker writes them, and any thread reads them. A reader may see
/// some old and some new ones.
#[derive(Debug, Default)]
pub(super) struct SharedSizes {
    input: Gauge,
    input_room: Gauge,
    /// The number of queued commands and one; 0 without MULTI.
    queued: Gauge,
    watched: Gauge,
    queued_bytes: Gauge,
    reply_buffer: Gauge,
    reply_bytes: Gauge,
    full_buffers: Gauge,
    full_bytes: Gauge,
    total: Gauge,
}

impl SharedSizes {
    /// Shows new sizes. The worker calls this if they have changed, at most once for each time it reads or writes.
    pub(super) fn set(&self, sizes: &ClientSizes) {
        self.input.set(sizes.input);
        self.input_room.set(sizes.input_room);
        // A transaction without commands yet is shown as `multi=0`, and none as `multi=-1`.
        self.queued.set(sizes.queued.map_or(0, |queued| queued + 1));
        self.watched.set(sizes.watched);
        self.queued_bytes.set(sizes.queued_bytes);
        self.reply_buffer.set(sizes.reply_buffer);
        self.reply_bytes.set(sizes.reply_bytes);
        self.full_buffers.set(sizes.full_buffers);
        self.full_bytes.set(sizes.full_bytes);
        self.total.set(sizes.total);
    }

    /// Returns the sizes. Between two commands there are no arguments.
    pub(super) fn get(&self) -> ClientSizes {
        ClientSizes {
            input: self.input.get(),
            input_room: self.input_room.get(),
            arguments: 0,
            queued: self.queued.get().checked_sub(1),
            watched: self.watched.get(),
            queued_bytes: self.queued_bytes.get(),
            reply_buffer: self.reply_buffer.get(),
            reply_bytes: self.reply_bytes.get(),
            full_buffers: self.full_buffers.get(),
            full_bytes: self.full_bytes.get(),
            total: self.total.get(),
        }
    }
}
