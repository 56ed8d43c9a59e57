//! The bounds of what waits in memory and of what one request can take. The server adds those of each client.

/// While more bytes of entries than this wait for the log, the server reads from no client, and gRPC executes no call.
/// Then the clients' sockets fill up, and not this process's memory.
pub const LOG_BACKLOG: usize = 8 << 20;
/// Log entries that may wait for a watcher.
pub const WATCH_QUEUE: usize = 1 << 14;
/// Bytes of log entries that may wait for a watcher, not counting the last.
pub const WATCH_QUEUE_BYTES: usize = 64 << 20;
/// Bytes of the keys and values of one multi-key operation: a single log entry holds all of them.
pub const MAX_MULTI_KEY_BYTES: usize = 2 << 30;
/// Bytes of values that the commands of one transaction or script copy or compute, or `maxmemory` if that is between
/// the two: all of them are in one log entry, and a few short commands make gigabytes of copies.
pub const LEAST_PRODUCED_BYTES: usize = 64 << 20;
pub const MAX_PRODUCED_BYTES: usize = 512 << 20;
/// Bytes of memory that the keys take which one connection watches.
pub const WATCHED_BYTES: usize = 1 << 20;
