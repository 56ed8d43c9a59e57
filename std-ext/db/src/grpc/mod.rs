//! The database over gRPC: operations, batches, pipelines, scans and watches, with the standard health and reflection
//! services. `hedgerow.proto` defines the service, and [`api`] is generated from it.
//!
//! The gRPC server has its own threads, which share the database with those of the RESP server.

mod access;
mod batch;
mod bounds;
pub(crate) mod codec;
#[cfg(test)]
mod lease_check_tests;
mod options;
mod server;
mod service;

#[expect(missing_docs, clippy::pedantic, clippy::allow_attributes, reason = "made by a machine")]
pub mod api;

pub use options::GrpcOptions;
pub use server::{GrpcReloader, GrpcServer};
