//! Tests of the server over a socket.
