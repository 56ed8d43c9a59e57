//! `hedgerow-db check`.

use super::folder::{self, Loaded};
use super::report::{json_string, output_error};
use hedgerow_db_engine::request::StoredValue;
use hedgerow_db_redis::config::DataInvocation;
use std::fmt::Write as _;
use std::io::Write;
use std::time::SystemTime;

/// The numbers of keys.
#[derive(Default)]
struct KeyCounts {
    keys: u64,
    with_ttl: u64,
    expired: u64,
    bytes: u64,
}

/// Reads a directory, and prints what is in it. Returns whether it is undamaged.
///
/// # Errors
/// If the result cannot be written.
pub(super) fn run(asked: &DataInvocation, out: &mut dyn Write) -> Result<bool, String> {
    let (text, healthy) = match folder::load(&asked.dir) {
        Ok(loaded) => (report(&loaded, &count(&loaded), asked.json), true),
        Err(why) if asked.json => {
            let why = json_string(why.to_string().as_bytes()).unwrap_or_default();
            (format!("{{\"healthy\": false, \"error\": {why}}}\n"), false)
        }
        Err(why) => (format!("{why}\nNo file was changed.\n"), false),
    };
    out.write_all(text.as_bytes()).map_err(|why| output_error(&why))?;
    Ok(healthy)
}

fn count(loaded: &Loaded) -> KeyCounts {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = now.as_millis();
    let mut counts = KeyCounts::default();
    loaded.each_key(&mut |_, key, expires_at, value| {
        counts.bytes += length(value) as u64;
        if value.continues() {
            return;
        }
        counts.keys += 1;
        counts.with_ttl += u64::from(expires_at.is_some());
        counts.expired += u64::from(expires_at.is_some_and(|end| u128::from(end) <= now));
        counts.bytes += key.len() as u64;
    });
    counts
}

/// Returns the bytes of a string, or of the names and values of a value of another type.
fn length(value: StoredValue<'_>) -> usize {
    match value {
        StoredValue::Packed(packed) => {
            packed.iter().map(|(name, value)| name.len() + value.len()).sum()
        }
        StoredValue::String(value) => value.len(),
    }
}

fn report(loaded: &Loaded, counts: &KeyCounts, json: bool) -> String {
    let KeyCounts { keys, with_ttl, expired, bytes } = counts;
    let Loaded { snapshot_keys, log_entries, truncated_bytes, discarded_entries, .. } = loaded;
    if json {
        return format!(
            "{{\"healthy\": true, \"keys\": {keys}, \"keys_with_expiration\": {with_ttl}, \"expired_keys\": {expired}, \
             \"bytes\": {bytes}, \"snapshot_keys\": {snapshot_keys}, \"log_entries\": {log_entries}, \
             \"incomplete_bytes\": {truncated_bytes}, \"discarded_entries\": {discarded_entries}}}\n"
        );
    }
    let mut text = format!(
        "Undamaged: {keys} keys, {with_ttl} of them with an expiration, of which {expired} have expired; {bytes} \
         bytes of keys and values.\n{snapshot_keys} keys are in the snapshot, and {log_entries} entries in the log \
         after it.\n"
    );
    if *truncated_bytes > 0 {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "The log ends with {truncated_bytes} bytes of an incomplete entry, as after a crash, and \
             {discarded_entries} entries after that; the next start removes them."
        );
    }
    text
}
