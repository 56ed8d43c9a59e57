//! etcd's messages, generated from `proto/etcd.proto`.

include!("generated.rs");
