//! Configuration: one [table] of settings, read from a file, environment variables and flags. Each source overrides the
//! ones before it.
//!
//! clap parses the words of command lines, prints their help and completes them. Values are parsed here (`value.rs`),
//! so that a wrong value is the same error in a file, in a variable, in a flag and in `CONFIG SET`. With serde or with
//! clap's derive, a setting would be declared once for each of these, and for the reference page, `CONFIG GET` and
//! `CONFIG REWRITE`. The format of the file is Redis's.

mod autoscale;
mod cluster;
#[cfg(feature = "cli")]
mod data_command;
#[cfg(feature = "cli")]
mod ephemeral;
mod error;
pub(crate) mod file_limit;
#[cfg(feature = "cli")]
mod flags;
#[cfg(feature = "cli")]
mod invocation;
mod load;
#[cfg(feature = "cli")]
mod redis_url;
mod render;
pub(crate) mod rewrite;
pub(crate) mod server;
mod source;
#[cfg(feature = "cli")]
pub mod subcommand;
pub mod table;
pub(crate) mod value;

pub use autoscale::AutoscaleSettings;
pub use cluster::{
    AnnouncedAddresses, ClusterReads, ClusterSettings, EndpointType, EtcdSettings, Formats,
    PeerCertificates, PeerSettings, is_loopback,
};
#[cfg(feature = "cli")]
pub use data_command::{DataCommand, DataInvocation, LiveSource, LiveTls};
pub use error::ConfigError;
#[cfg(feature = "cli")]
pub use flags::{completions, help, manual};
#[cfg(feature = "cli")]
pub use invocation::Invocation;
pub use load::Config;
#[cfg(feature = "cli")]
pub use redis_url::RedisAddress;
pub use render::{page, sample};
pub use server::{Bind, OutputLimit, ServerConfig};
#[cfg(feature = "tls")]
pub use server::{ClientCertificates, TlsFiles};
pub use source::SettingOrigin;
#[cfg(feature = "cli")]
pub use subcommand::ClusterInvocation;
pub use table::Setting;

#[cfg(all(test, feature = "cli"))]
mod tests;
