//! Tests of peers over real sockets.

mod hostile;
mod installing;
mod node;
mod served;
mod spooled;
#[cfg(feature = "tls")]
mod tls;
