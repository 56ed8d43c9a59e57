//! Tests of peers over real sockets.

mod hostile;
mod installing;
mod node;
mod renewing;
mod served;
mod spooled;
#[cfg(feature = "tls")]
mod tls;
