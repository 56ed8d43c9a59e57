//! A build without TLS.

/// Has no value, so that code about TLS compiles and is never executed.
#[derive(Clone, Copy, Debug)]
pub enum ClientTls {}
