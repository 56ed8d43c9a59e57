//! The messages and the service, generated from `hedgerow.proto`.

include!("generated.rs");
