//! The running Redis that is imported: its address, the login, and TLS.

use hedgerow_db_redis::config::{LiveSource, LiveTls, RedisAddress};
use hedgerow_db_redis::outgoing::{ClientTls, OutgoingStream};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

/// How long connecting may take, and each step of the handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest password in a file.
const LONGEST_PASSWORD: u64 = 64 << 10;

/// A Redis, and how to connect to it.
pub(super) struct Endpoint {
    pub(super) address: RedisAddress,
    /// The password, which may come from a file.
    pub(super) password: Option<Vec<u8>>,
    tls: Option<ClientTls>,
}

impl Endpoint {
    /// Reads the files that an invocation names.
    ///
    /// # Errors
    /// If a file cannot be read, or is malformed.
    pub(super) fn new(source: &LiveSource) -> Result<Self, String> {
        let password = match &source.password_file {
            Some(path) => Some(password_in(path)?),
            None => source.address.password.clone(),
        };
        let tls = source.tls.as_ref().map(read_tls).transpose()?;
        Ok(Self { address: source.address.clone(), password, tls })
    }

    /// Connects.
    ///
    /// # Errors
    /// If Redis cannot be reached, or its certificate is refused.
    pub(super) fn connect(&self) -> Result<OutgoingStream, String> {
        let RedisAddress { host, port, .. } = &self.address;
        OutgoingStream::open(host, *port, Some(CONNECT), self.tls.as_ref())
            .map_err(|why| format!("{}: {why}", self.address))
    }
}

fn password_in(path: &Path) -> Result<Vec<u8>, String> {
    let mut password = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(LONGEST_PASSWORD).read_to_end(&mut password));
    read.map_err(|why| named(path, &why))?;
    while password.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
        password.pop();
    }
    Ok(password)
}

#[cfg(feature = "tls")]
fn read_tls(files: &LiveTls) -> Result<ClientTls, String> {
    let read = |path: &Path| std::fs::read(path).map_err(|why| named(path, &why));
    let authorities = read(&files.authorities)?;
    let Some((certificate, key)) = &files.own else {
        return ClientTls::new(&authorities).map_err(|why| named(&files.authorities, &why));
    };
    ClientTls::with_certificate(&authorities, &read(certificate)?, &read(key)?)
        .map_err(|why| named(certificate, &why))
}

#[cfg(not(feature = "tls"))]
fn read_tls(_: &LiveTls) -> Result<ClientTls, String> {
    Err("rediss:// requires a build with the feature `tls`".to_owned())
}

fn named(path: &Path, why: &io::Error) -> String {
    format!("{}: {why}", path.display())
}
