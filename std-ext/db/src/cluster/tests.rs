//! Nodes over a real etcd.
