//! Decisions and their transactions, without etcd.
