//! A client of etcd: reads, transactions, watches and leases, and the rules that make them reliable.
//!
//! - Every call has a deadline, and every answer a largest size.
//! - Every read that a caller decides by is linearizable.
//! - An error says whether the request may have taken effect ([`EtcdError::outcome`]). The client repeats reads. It
//!   never repeats a transaction whose outcome is unknown: only the caller knows how to tell whether the first one took
//!   effect.
//! - A revision that goes back, or another cluster id, is an error that stays: etcd was restored from a backup, or the
//!   endpoints belong to different clusters.
//! - A watch is a hint. It delivers revisions in order, reconnects on its own, and may still miss or delay events;
//!   a follower of a log counts its entries.
//!
//! The messages are generated from `proto/etcd.proto`, the part of etcd's API that the client uses. The crate
//! `etcd-client` has none of these rules: it can send a transaction again after its token has expired, and returns
//! the status of gRPC as the error. All of the above would remain to be written around it.

#[expect(unreachable_pub, clippy::pedantic, reason = "made by a machine")]
mod api;
mod caller;
mod client;
mod connection;
mod error;
mod history;
mod lease;
mod method;
#[cfg(test)]
pub(crate) mod process;
mod request;
mod settings;
mod status;
#[cfg(test)]
mod tests;
mod watch;

pub use caller::LONGEST_ANSWER;
pub use client::EtcdClient;
pub use error::{CallOutcome, ErrorKind, EtcdError};
pub use lease::Lease;
pub use prost::bytes::Bytes;
pub use request::{
    Compare, Deleted, EtcdTransaction, GetAnswer, KeyValue, Keys, Operation, OperationAnswer,
    Order, Range, RangeAnswer, Transacted,
};
pub use settings::{ClientSettings, TlsSettings};
pub use status::{Alarm, AlarmKind, Status};
pub use watch::{EtcdWatch, WatchEvent, WatchReport};
