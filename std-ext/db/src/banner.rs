//! What the program prints when it is ready.

use hedgerow_db::config::Config;
use hedgerow_db::log::Fsync;
use hedgerow_db::server::Address;
use hedgerow_db::server::http::HttpServer;
use hedgerow_db::{Db, Opened};
use std::fmt::Write;
use std::path::Path;

/// Returns the version, where the data is and what was loaded, the addresses, and what to try first.
pub(crate) fn banner(
    config: &Config,
    db: &Db,
    addresses: &[Address],
    http: Option<&HttpServer>,
) -> String {
    let mut text = concat!("hedgerow-db ", env!("CARGO_PKG_VERSION"), "\n").to_owned();
    // Writing to a string does not fail.
    let mut line = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    line(persistence_line(db));
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    line(format!("Listening on {}.", all.join(", ")));
    if let Some(address) = config.grpc() {
        line(format!("gRPC at {address}."));
    }
    if let Some(address) = http.and_then(HttpServer::address) {
        line(format!("Metrics at http://{address}/metrics."));
    }
    let tcp = addresses.iter().find_map(|address| match address {
        Address::Tcp(address) => Some(address),
        _ => None,
    });
    if let Some(address) = tcp {
        let host = match address.ip() {
            ip if ip.is_loopback() || ip.is_unspecified() => String::new(),
            ip => format!(" -h {ip}"),
        };
        let password = if config.get("requirepass").is_empty() { "" } else { " --askpass" };
        line(format!("Try: redis-cli{host} -p {}{password} set rose red", address.port()));
    }
    line("Press Ctrl-C to stop.".to_owned());
    text
}

/// Returns a line about the data's folder and the loaded data.
fn persistence_line(db: &Db) -> String {
    let Some(folder) = &db.options().folder else {
        return "Persistence is off: all data is lost at shutdown.".to_owned();
    };
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.clone());
    let when = match db.options().fsync {
        Fsync::Always => "fsync before each acknowledgement",
        Fsync::EverySecond => "fsync every second",
        Fsync::Never => "no fsync",
    };
    format!(
        "Data in {}, {when}.
{}",
        folder.display(),
        recovery_lines(&folder, db)
    )
}

fn recovery_lines(folder: &Path, db: &Db) -> String {
    let Opened { snapshot_keys, log_entries, truncated_bytes, discarded_entries, took, .. } =
        *db.opened();
    if truncated_bytes > 0 {
        tracing::warn!(
            "truncated the last {truncated_bytes} bytes of the log in {}: they were an incomplete entry, as after a \
             crash",
            folder.display()
        );
    }
    if discarded_entries > 0 {
        tracing::warn!(
            "{discarded_entries} complete entries followed them, as after a power failure before fsync; they were \
             moved to a file whose name begins with \"cut-\""
        );
    }
    if snapshot_keys == 0 && log_entries == 0 {
        return "The database is empty.".to_owned();
    }
    let keys = db.stats().keys;
    format!(
        "Loaded {keys} keys in {took:.2?}: {snapshot_keys} keys from a snapshot and {log_entries} log entries."
    )
}
