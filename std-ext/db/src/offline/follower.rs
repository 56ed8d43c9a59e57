//! The commands that a running Redis sends its replica, and the offset that the replica sends back.

use super::input::{CHUNK, ImportOutput, Input};
use hedgerow_db_engine::lock::lock;
use hedgerow_db_formats::resp::write::request;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often Redis is told the offset. It drops replicas that are silent for `repl-timeout`.
const ACK_INTERVAL: Duration = Duration::from_secs(1);
/// The most bytes that wait to be executed. More of them wait in Redis.
const MOST_WAITING: usize = 256 << 20;
/// Bytes that are executed at a time.
const BATCH: usize = 1 << 20;
/// How long a call waits for commands.
const WAIT: Duration = Duration::from_millis(100);

/// A part of the commands, or why there are no more.
type CommandChunk = Result<Vec<u8>, String>;

/// The commands that Redis sends. A thread reads them, and another one tells Redis the offset.
pub(super) struct Follower {
    /// Taken when it is dropped, so that the thread that reads does not wait for room.
    chunks: Option<Receiver<CommandChunk>>,
    /// Why there are no more chunks, if that was read behind others.
    ended: Option<String>,
    acknowledged: Arc<Acknowledged>,
    /// The thread that acknowledges ends when this is dropped.
    running: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// The side of the connection by which Redis is told the offset. It takes no answer.
struct Acknowledged {
    output: ImportOutput,
    /// The offset up to which commands were executed.
    offset: Mutex<u64>,
}

impl Acknowledged {
    /// Tells Redis the offset. The thread that reads notices if the connection has ended.
    fn send(&self) {
        // Locked while it is sent, so that the requests of two threads do not mix.
        let offset = lock(&self.offset);
        let mut bytes = Vec::new();
        request(&mut bytes, &[&b"REPLCONF"[..], b"ACK", offset.to_string().as_bytes()]);
        let _ = self.output.send(&bytes);
    }
}

impl Follower {
    /// Starts the threads.
    ///
    /// # Errors
    /// If one cannot be started.
    pub(super) fn start(input: Input, output: ImportOutput, offset: u64) -> io::Result<Self> {
        let (chunks, received) = mpsc::sync_channel(MOST_WAITING / CHUNK);
        let (running, stopped) = mpsc::channel();
        let acknowledged = Arc::new(Acknowledged { output, offset: Mutex::new(offset) });
        let mut follower = Self {
            chunks: Some(received),
            ended: None,
            acknowledged: Arc::clone(&acknowledged),
            running: Some(running),
            threads: Vec::new(),
        };
        let start = |name: &str, run: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.to_owned()).spawn(run)
        };
        follower.threads.push(start("read", Box::new(move || read(input, &chunks)))?);
        let acknowledge = move || {
            // Redis sends no commands before the first one, if it sent its data without storing it.
            acknowledged.send();
            while stopped.recv_timeout(ACK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                acknowledged.send();
            }
        };
        follower.threads.push(start("acknowledge", Box::new(acknowledge))?);
        Ok(follower)
    }

    /// Waits for a moment, and adds commands to a buffer. Returns whether some have come.
    ///
    /// # Errors
    /// If the connection has ended, and all that came before was returned.
    pub(super) fn collect(&mut self, buffer: &mut Vec<u8>) -> Result<bool, String> {
        if let Some(why) = self.ended.take() {
            return Err(why);
        }
        let none = || "the connection to Redis has ended".to_owned();
        let chunks = self.chunks.as_ref().ok_or_else(none)?;
        match chunks.recv_timeout(WAIT) {
            Ok(chunk) => buffer.extend_from_slice(&chunk?),
            Err(RecvTimeoutError::Timeout) => return Ok(false),
            Err(RecvTimeoutError::Disconnected) => return Err(none()),
        }
        while buffer.len() < BATCH
            && let Ok(chunk) = chunks.try_recv()
        {
            match chunk {
                Ok(bytes) => buffer.extend_from_slice(&bytes),
                Err(why) => {
                    self.ended = Some(why);
                    break;
                }
            }
        }
        Ok(true)
    }

    /// Notes that commands up to this offset were executed.
    pub(super) fn executed(&self, offset: u64) {
        *lock(&self.acknowledged.offset) = offset;
    }

    /// Tells Redis the offset now.
    pub(super) fn acknowledge(&self) {
        self.acknowledged.send();
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // Both threads end: one cannot send, and finds the connection closed; the other one finds its channel closed.
        (self.chunks, self.running) = (None, None);
        self.acknowledged.output.close();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Sends all commands to the queue, until the connection ends or nobody takes it.
fn read(mut input: Input, chunks: &SyncSender<CommandChunk>) {
    loop {
        let chunk = match input.has_more() {
            Ok(false) => continue,
            Ok(true) => Ok(input.bytes().to_vec()),
            Err(why) => Err(why),
        };
        let (ended, bytes) = (chunk.is_err(), chunk.as_ref().map_or(0, Vec::len));
        if chunks.send(chunk).is_err() || ended {
            return;
        }
        input.consume(bytes);
    }
}
