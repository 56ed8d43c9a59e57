//! Settings: one [table] of them, read from a file, the environment and flags, each of which wins over those
//! before.

mod error;
#[cfg(feature = "cli")]
mod flags;
mod load;
pub(crate) mod server;
mod show;
mod source;
pub mod table;
pub(crate) mod value;

pub use error::ConfigError;
#[cfg(feature = "cli")]
pub use flags::{completions, help, manual};
pub use load::Config;
#[cfg(feature = "cli")]
pub use load::Wish;
#[cfg(feature = "grpc")]
pub use server::GrpcOptions;
pub use server::{Bind, ServerConfig};
#[cfg(feature = "tls")]
pub use server::{ClientCertificates, TlsFiles};
pub use show::{page, sample};
pub use source::Place;
pub use table::Setting;

#[cfg(all(test, feature = "cli"))]
mod tests;
