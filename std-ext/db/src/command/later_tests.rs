//! Commands and options of Redis versions after 7.0, and replies that suites of clients compare.

use super::test_client::Client;
use crate::log::Fsync;
use crate::log::faults::FaultyDisk;
use crate::{Db, Options};
use std::sync::Arc;

/// Returns a client of a database in files, and its disk. Nothing is synced by itself.
fn unsynced() -> (Client, FaultyDisk, tempfile::TempDir) {
    let (folder, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::new());
    let options = Options { shards: 4, fsync: Fsync::Never, ..Options::at(folder.path()) };
    let db = Db::open_on_disk(options, Arc::new(disk.clone())).unwrap();
    (Client::new().with(db), disk, folder)
}

/// Sends each line, and compares the replies.
fn compare(client: &mut Client, rows: &[(&str, &str)]) {
    for (line, reply) in rows {
        assert_eq!(client.command(line), *reply, "{line}");
    }
}

#[test]
fn connections_without_an_age_are_not_killed() {
    let mut client = Client::new();
    let refused = "-ERR maxage should be greater than 0";
    compare(
        &mut client,
        &[
            ("CLIENT KILL MAXAGE 0", refused),
            ("CLIENT KILL MAXAGE -1", refused),
            ("CLIENT KILL MAXAGE x", "-ERR maxage is not an integer or out of range"),
            ("CLIENT KILL MAXAGE 100000 SKIPME no", ":0"),
        ],
    );
}

#[test]
fn a_primary_without_replicas_has_no_offset() {
    let (mut client, ..) = unsynced();
    client.command("set a 1");
    assert_eq!(client.command("role"), "*3 $6 master :0 *0");
}

#[test]
fn a_rewrite_follows_the_snapshot_that_is_written() {
    let (mut client, _disk, _folder) = unsynced();
    let scheduled = "+Background append only file rewriting scheduled";
    compare(
        &mut client,
        &[
            ("multi", "+OK"),
            ("set a b", "+QUEUED"),
            ("bgrewriteaof", "+QUEUED"),
            ("exec", &format!("*2 +OK {scheduled}")),
        ],
    );
    // A snapshot takes several renames and syncs.
    let mut replies = (0..1000).map(|_| client.command("bgrewriteaof"));
    assert!(replies.any(|reply| reply == scheduled), "no rewrite is scheduled");
}

#[test]
fn waitaof_syncs_the_log() {
    let (mut client, disk, _folder) = unsynced();
    client.command("set a 1");
    let before = disk.counts().syncs;
    assert_eq!(client.command("waitaof 1 0 0"), "*2 :1 :0");
    assert!(disk.counts().syncs > before, "the log is not synced");
    compare(
        &mut client,
        &[
            ("multi", "+OK"),
            ("set a 2", "+QUEUED"),
            ("waitaof 1 1 10", "+QUEUED"),
            ("exec", "*2 +OK *2 :1 :0"),
            ("waitaof 2 0 0", "-ERR value is out of range, value must between 0 and 1"),
            ("waitaof x 0 0", "-ERR value is not an integer or out of range"),
            ("waitaof 1 -1 0", "-ERR value is out of range, must be positive"),
            ("waitaof 1 x 0", "-ERR value is out of range, must be positive"),
            ("waitaof 1 0 x", "-ERR timeout is not an integer or out of range"),
            ("waitaof 1 0 -1", "-ERR timeout is negative"),
            ("waitaof 1 0", "-ERR wrong number of arguments for 'waitaof' command"),
        ],
    );
    disk.change(|faults| faults.sync = true);
    client.command("set a 3");
    assert_eq!(client.command("waitaof 1 0 0"), "*2 :0 :0");
    let refused = "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";
    compare(&mut Client::new(), &[("waitaof 1 0 0", refused), ("waitaof 0 5 0", "*2 :0 :0")]);
}

#[test]
fn samples_of_eviction_are_a_setting() {
    let refused = |why| {
        format!("-ERR CONFIG SET failed (possibly related to argument 'maxmemory-samples') - {why}")
    };
    let bounds = refused("argument must be between 1 and 64 inclusive");
    compare(
        &mut Client::new(),
        &[
            ("config get maxmemory-samples", "*2 $17 maxmemory-samples $1 5"),
            ("config set maxmemory-samples 10", "+OK"),
            ("config get maxmemory-samples", "*2 $17 maxmemory-samples $2 10"),
            ("config set maxmemory-samples 0", &bounds),
            ("config set maxmemory-samples 65", &bounds),
            (
                "config set maxmemory-samples x",
                &refused("argument couldn't be parsed into an integer"),
            ),
        ],
    );
}
