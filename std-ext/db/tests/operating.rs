//! builds: default
//!
//! An operator's tools over sockets: what holds, watches and measures the clients of a running server.

mod support;

use support::{Running, command, until};

#[test]
fn a_paused_client_is_answered_when_the_pause_ends() {
    let server = Running::new(|config| config.threads = 2);
    let (mut operator, mut other) = (server.client(), server.client());
    operator.send(command(&[b"CLIENT", b"PAUSE", b"100000000", b"WRITE"]));
    operator.expect(b"+OK\r\n");
    other.send(command(&[b"SET", b"rose", b"red"]));
    other.send(command(&[b"GET", b"rose"]));
    // The request has been read, and waits in a buffer.
    until(|| server.watcher.buffers() > 0);
    operator.send(command(&[b"GET", b"rose"]));
    operator.expect(b"$-1\r\n");
    operator.send(command(&[b"CLIENT", b"UNPAUSE"]));
    operator.expect(b"+OK\r\n");
    other.expect(b"+OK\r\n$3\r\nred\r\n");
}

#[test]
fn a_shutdown_ends_a_pause() {
    let server = Running::new(|_| {});
    let (mut operator, mut other) = (server.client(), server.client());
    operator.send(command(&[b"CLIENT", b"PAUSE", b"100000000"]));
    operator.expect(b"+OK\r\n");
    other.send(command(&[b"PING"]));
    until(|| server.watcher.buffers() > 0);
    server.stopper.stop();
    other.expect(b"+PONG\r\n");
}
