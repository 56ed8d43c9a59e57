//! The messages and the service, generated from `proto/peer.proto`.

include!("generated.rs");
