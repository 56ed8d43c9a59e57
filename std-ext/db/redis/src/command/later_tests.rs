//! Commands and options of Redis versions after 7.0, and replies that suites of clients compare.

use super::test_client::TestClient;
use hedgerow_db_engine::log::Fsync;
use hedgerow_db_engine::log::faults::FaultyDisk;
use hedgerow_db_engine::{Db, Options};
use std::sync::Arc;

/// Returns a client of a database in files, and its disk. Nothing is synced by itself.
fn unsynced() -> (TestClient, FaultyDisk, tempfile::TempDir) {
    let (folder, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::new());
    let mut options = Options::at(folder.path());
    (options.shards, options.fsync) = (4, Fsync::Never);
    let db = Db::open_on_disk(options, Arc::new(disk.clone())).unwrap();
    (TestClient::new().with(db), disk, folder)
}

/// Sends each line, and compares the replies.
fn compare(client: &mut TestClient, rows: &[(&str, &str)]) {
    for (line, reply) in rows {
        assert_eq!(client.command(line), *reply, "{line}");
    }
}

#[test]
fn connections_without_an_age_are_not_killed() {
    let mut client = TestClient::new();
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
    assert_eq!(client.command("waitaof 0 0 0"), "*2 :0 :0");
    assert_eq!(disk.counts().syncs, before, "the log is synced, for which nobody has asked");
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
    compare(&mut TestClient::new(), &[("waitaof 1 0 0", refused), ("waitaof 0 5 0", "*2 :0 :0")]);
}

#[test]
fn samples_of_eviction_are_a_setting() {
    let refused = |why| {
        format!("-ERR CONFIG SET failed (possibly related to argument 'maxmemory-samples') - {why}")
    };
    let bounds = refused("argument must be between 1 and 64 inclusive");
    compare(
        &mut TestClient::new(),
        &[
            ("config get maxmemory-samples", "*2 $17 maxmemory-samples $1 5"),
            ("config set hash-max-listpack-entries 1", "+OK"),
            ("config get hash-max-listpack-entries", "*2 $25 hash-max-listpack-entries $1 1"),
            ("hset hash one 1", ":1"),
            ("object encoding hash", "$8 listpack"),
            ("hset hash two 2", ":1"),
            ("object encoding hash", "$9 hashtable"),
            ("config set hash-max-listpack-entries 512", "+OK"),
            ("hset hash three 3", ":1"),
            ("object encoding hash", "$9 hashtable"),
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

#[test]
fn values_are_combined_with_the_first_one() {
    let mut client = TestClient::new();
    // 01100001 01100010, 01100010, 01110000
    client.command("mset a ab b b c p");
    for (words, value) in [
        ("diff to a b c", "$2 \u{1}b"),
        ("DIFF1 to a b c", "$2 \u{12}\0"),
        ("andor to a b c", "$2 `\0"),
        ("one to a b c", "$2 \u{13}b"),
        ("one to b", "$1 b"),
        ("one to b b", "$1 \0"),
        ("one to a b b", "$2 \u{1}b"),
        ("diff to missing a", "$2 \0\0"),
        ("diff1 to missing a", "$2 ab"),
        ("andor to missing a", "$2 \0\0"),
        ("diff to a missing", "$2 ab"),
    ] {
        let length = format!(":{}", &value[1..2]);
        assert_eq!(client.command(&format!("bitop {words}")), length, "{words}");
        assert_eq!(client.command("get to"), value, "{words}");
    }
    for (words, reply) in [
        ("diff to a", "-ERR BITOP DIFF must be called with at least two source keys."),
        ("diff1 to a", "-ERR BITOP DIFF1 must be called with at least two source keys."),
        ("AndOr to a", "-ERR BITOP ANDOR must be called with at least two source keys."),
        ("nand to a b", "-ERR syntax error"),
        ("one to missing", ":0"),
        ("andor to missing missing", ":0"),
    ] {
        assert_eq!(client.command(&format!("bitop {words}")), reply, "{words}");
    }
    assert_eq!(client.command("exists to"), ":0");
}

#[test]
fn a_client_shows_how_many_keys_it_watches() {
    let mut client = TestClient::new();
    for (line, shown) in [("watch a b a", " watch=2 "), ("unwatch", " watch=0 ")] {
        client.command(line);
        let info = client.command("client info");
        assert!(info.contains(shown), "after {line}: {info}");
    }
}

#[test]
fn several_values_are_set_with_an_expiration() {
    let mut client = TestClient::new();
    let wrong_pairs = "-ERR wrong number of key-value pairs";
    let numkeys = "-ERR invalid numkeys value";
    let syntax = "-ERR syntax error";
    compare(
        &mut client,
        &[
            ("msetex 2 a 1 b 2 PXAT 9000000000000", ":1"),
            ("pexpiretime b", ":9000000000000"),
            ("msetex 2 b 3 c 3 nx", ":0"),
            ("msetex 2 b 3 c 3 XX", ":0"),
            ("mget a b c", "*3 $1 1 $1 2 $-1"),
            ("msetex 2 a 4 b 5 XX KEEPTTL", ":1"),
            ("mget a b", "*2 $1 4 $1 5"),
            ("pexpiretime a", ":9000000000000"),
            ("msetex 1 a 6", ":1"),
            ("pexpiretime a", ":-1"),
            ("msetex 1 c 7 EXAT 1 EXAT 9000000000 nx", ":1"),
            ("expiretime c", ":9000000000"),
            ("msetex 0 a 1", numkeys),
            ("msetex x a 1", numkeys),
            ("msetex 2147483648 a 1", numkeys),
            ("msetex 2 a 1 b", wrong_pairs),
            ("msetex 1 a 1 b 2", syntax),
            ("msetex 1 a 1 NX XX", syntax),
            ("msetex 1 a 1 EX 1 PX 1", syntax),
            ("msetex 1 a 1 KEEPTTL EX 1", syntax),
            ("msetex 1 a 1 EX", syntax),
            ("msetex 1 a 1 GET", syntax),
            ("msetex 1 a 1 EX 0", "-ERR invalid expire time in 'msetex' command"),
            ("msetex 1 a 1 EX x", "-ERR value is not an integer or out of range"),
            ("msetex 1 a", "-ERR wrong number of arguments for 'msetex' command"),
            ("get a", "$1 6"),
            ("multi", "+OK"),
            ("msetex 1 a 8 XX", "+QUEUED"),
            ("exec", "*1 :1"),
            ("get a", "$1 8"),
            ("command getkeys msetex 2 a 1 b 2 nx", "*2 $1 a $1 b"),
            ("command getkeys msetex 3 a 1 b 2", "-ERR Invalid arguments specified for command"),
            ("command getkeysandflags msetex 1 a 1", "*1 *2 $1 a *2 +OW +update"),
        ],
    );
    let info = client.command("command info msetex");
    assert!(info.contains("*3 +write +denyoom +movablekeys :0 :0 :0 "), "{info}");
    assert!(
        info.contains("$6 keynum $4 spec *6 $9 keynumidx :0 $8 firstkey :1 $7 keystep :2"),
        "{info}"
    );
}

#[test]
fn values_with_an_expiration_are_in_the_log() {
    let (mut client, _disk, folder) = unsynced();
    client.command("msetex 2 a 1 b 2 PXAT 9000000000000");
    client.db.close().unwrap();
    drop(client);
    let mut client = TestClient::new().with(Db::open(Options::at(folder.path())).unwrap());
    compare(&mut client, &[("mget a b", "*2 $1 1 $1 2"), ("pexpiretime b", ":9000000000000")]);
}

#[test]
fn values_have_digests() {
    let mut client = TestClient::new();
    let long = "x".repeat(300_000);
    client.command(&format!("mset empty '' a hello n 1234 v v8 whole {long}"));
    client.command("setrange pieces 299999 x");
    let hello = "9555e8555c62dcfd";
    compare(
        &mut client,
        &[
            ("digest empty", "$16 2d06800538d394c2"),
            ("digest a", &format!("$16 {hello}")),
            ("digest n", "$16 87b1e526910fd7e1"),
            ("digest v", "$16 0cc76dbb41381419"),
            ("digest whole", "$16 06fe7c0f19bb18bf"),
            ("digest pieces", "$16 6acd7d05602492eb"),
            ("digest missing", "$-1"),
            ("digest a b", "-ERR wrong number of arguments for 'digest' command"),
            ("delex pieces ifdeq 6acd7d05602492ec", ":0"),
            ("delex pieces ifdeq 6acd7d05602492eb", ":1"),
            ("set a b IFDEQ 0000000000000000", "$-1"),
            (&format!("set a b IFDNE {hello}"), "$-1"),
            ("get a", "$5 hello"),
            (&format!("set a b ifdeq {} GET", hello.to_uppercase()), "$5 hello"),
            (&format!("set a c IFDNE {hello} KEEPTTL"), "+OK"),
            ("set a d IFDEQ 123", "-ERR must be exactly 16 hexadecimal characters"),
            ("set a d IFDNE 123", "-ERR must be exactly 16 hexadecimal characters"),
            ("set a d IFDNE zzzzzzzzzzzzzzzz", "+OK"),
            ("set missing v IFDEQ 123", "$-1"),
            ("set missing v IFDNE 123", "+OK"),
            ("set a e IFDEQ 123 NX", "-ERR syntax error"),
            ("set a e IFDEQ 123 IFEQ d", "-ERR syntax error"),
            ("set a e IFEQ x IFEQ d", "+OK"),
            ("get a", "$1 e"),
        ],
    );
}

#[test]
fn keys_are_deleted_by_their_values() {
    let mut client = TestClient::new();
    let hello = "9555e8555c62dcfd";
    let arity = "-ERR wrong number of arguments for 'delex' command";
    compare(
        &mut client,
        &[
            ("mset a hello b hello c hello d hello e hello", "+OK"),
            ("delex a", ":1"),
            ("delex a", ":0"),
            ("delex b IFEQ other", ":0"),
            ("delex b ifeq hello", ":1"),
            ("delex c IFNE hello", ":0"),
            ("delex c IFNE other", ":1"),
            ("delex c IFNE other", ":0"),
            (&format!("delex d IFDNE {}", hello.to_uppercase()), ":0"),
            (&format!("delex d IFDEQ {hello}"), ":1"),
            ("delex e IFDEQ 123", "-ERR must be exactly 16 hexadecimal characters"),
            ("delex e IFDNE 123", "-ERR must be exactly 16 hexadecimal characters"),
            ("delex e FOO hello", "-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"),
            ("delex missing FOO hello", ":0"),
            ("delex missing IFDEQ 123", ":0"),
            ("delex e IFEQ", arity),
            ("delex missing IFEQ hello extra", arity),
            ("exists e", ":1"),
            ("delex e IFDNE 0000000000000000", ":1"),
            ("command getkeysandflags delex a", "*1 *2 $1 a *2 +RM +delete"),
            ("command getkeysandflags delex a IFEQ b", "*1 *2 $1 a *3 +RW +access +delete"),
            ("command getkeysandflags set a b IFDNE c", "*1 *2 $1 a *3 +RW +access +update"),
            ("command getkeysandflags digest a", "*1 *2 $1 a *2 +RO +access"),
        ],
    );
}

#[test]
fn a_hash_has_no_value_to_compare() {
    let mut client = TestClient::new();
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    let condition = "-ERR Key should be of string type if conditions are specified";
    compare(
        &mut client,
        &[
            ("hset h a 1", ":1"),
            ("digest h", wrong),
            ("delifeq h 1", wrong),
            ("set h 1 ifeq 1", wrong),
            ("set h 1 ifdne 9555e8555c62dcfd", wrong),
            ("delex h ifeq 1", condition),
            ("delex h IFNE 1", condition),
            ("delex h ifdeq 123", condition),
            ("delex h foo 1", condition),
            ("multi", "+OK"),
            ("delex h ifdne 9555e8555c62dcfd", "+QUEUED"),
            ("delex h foo 1", "+QUEUED"),
            ("exec", &format!("*2 {condition} {condition}")),
            ("hgetall h", "*2 $1 a $1 1"),
            ("delex h", ":1"),
            ("hset h a 1", ":1"),
            ("msetex 1 h 2 xx", ":1"),
            ("get h", "$1 2"),
        ],
    );
}

#[test]
fn deletions_by_value_are_in_the_log() {
    let (mut client, _disk, folder) = unsynced();
    client.command("mset a 1 b 2");
    assert_eq!(client.command("delex a IFNE 2"), ":1");
    client.db.close().unwrap();
    drop(client);
    let mut client = TestClient::new().with(Db::open(Options::at(folder.path())).unwrap());
    assert_eq!(client.command("mget a b"), "*2 $-1 $1 2");
}

const FULL: &str = "-OOM command not allowed when used memory > 'maxmemory'.";

/// As Redis's flag `denyoom` says, whatever the arguments would change. Replies of redis-server 7.0.15.
#[test]
fn the_flag_denyoom_decides_what_is_refused_while_memory_is_full() {
    let mut client = TestClient::new();
    compare(&mut client, &[("set a 10", "+OK"), ("set b 12", "+OK")]);
    client.command("config set maxmemory 1");
    let all = [
        "bitfield a",
        "bitfield a get u8 0",
        "bitfield a set u99 0 1",
        "bitop not to a b",
        "copy a a",
        "copy missing c",
        "incrby a x",
        "incrbyfloat a x",
        "restore a 0 xx",
        "restore n x xx",
        "set a v bad",
        "setbit a 1 2",
        "setex a 0 v",
        "setrange a x y",
        "sort a",
        "sort missing",
    ];
    for line in all {
        assert_eq!(client.command(line), FULL, "{line}");
    }
    let rejected =
        "cmdstat_bitfield:calls=0,usec=0,usec_per_call=0.00,rejected_calls=3,failed_calls=0";
    let shown = client.command("info commandstats");
    assert!(shown.contains(rejected), "{shown}");
    compare(
        &mut client,
        &[
            ("getex a ex x", "-ERR value is not an integer or out of range"),
            ("bitfield_ro a get u8 0", "*1 :49"),
            ("rename a a_longer_name", "+OK"),
            ("renamenx a_longer_name an_even_longer_name", ":1"),
            ("renamenx an_even_longer_name b", ":0"),
            ("rename an_even_longer_name a", "+OK"),
            ("move a 1", ":1"),
        ],
    );
    // It becomes full after the commands were queued.
    for (line, refused) in [("sort missing", true), ("set b x bad", true), ("get b", false)] {
        compare(&mut client, &[("config set maxmemory 0", "+OK"), ("multi", "+OK")]);
        compare(&mut client, &[(line, "+QUEUED")]);
        client.db.set_max_memory(1);
        let reply = client.command("exec");
        let wanted = format!("-EXECABORT Transaction discarded because of: {}", &FULL[1..]);
        assert_eq!(reply == wanted, refused, "{line}: {reply}");
    }
}

/// The commands before one in a pipeline count.
#[test]
fn memory_that_a_pipeline_frees_is_free() {
    let mut client = TestClient::new();
    client.command("set a 10");
    let without = client.db.stats().memory;
    let long = "v".repeat(1 << 16);
    client.command(&format!("set b {long}"));
    client.db.set_max_memory(without as usize + 4096);
    let replies = client.send(b"DEL b\r\nBITFIELD a GET u8 0\r\nSETBIT a 1 2\r\n");
    let wanted = b":1\r\n*1\r\n:49\r\n-ERR bit is not an integer or out of range\r\n";
    assert_eq!(String::from_utf8_lossy(&replies), String::from_utf8_lossy(wanted));
}

/// A script with flags is refused before it runs, as a command with the flag `denyoom`.
#[cfg(feature = "scripts")]
#[test]
fn scripts_with_flags_are_refused_while_memory_is_full() {
    let mut client = TestClient::new();
    client.command("set a 1");
    let loaded = client.command("script load \"#!lua\\nreturn 1\"");
    let sha = loaded.rsplit(' ').next().unwrap().to_owned();
    client.command("config set maxmemory 1");
    let plain = "eval \"#!lua\\nreturn 1\" 0".to_owned();
    let reads_only = plain.replace("eval", "eval_ro");
    let refused =
        [plain.clone(), reads_only, format!("evalsha {sha} 0"), format!("evalsha_ro {sha} 0")];
    for line in &refused {
        assert_eq!(client.command(line), FULL, "{line}");
        let aborted = "-EXECABORT Transaction discarded because of previous errors.";
        compare(&mut client, &[("multi", "+OK"), (line, FULL), ("exec", aborted)]);
    }
    compare(
        &mut client,
        &[
            ("eval \"#!lua flags=allow-oom\\nreturn redis.call('set', 'a', '2')\" 1 a", "+OK"),
            ("eval \"#!lua flags=no-writes\\nreturn redis.call('get', 'a')\" 1 a", "$1 2"),
            ("eval \"return redis.call('get', 'a')\" 1 a", "$1 2"),
            (
                "evalsha 0123456789012345678901234567890123456789 0",
                "-NOSCRIPT No matching script. Please use EVAL.",
            ),
            ("config set maxmemory 0", "+OK"),
            ("multi", "+OK"),
            (&plain, "+QUEUED"),
        ],
    );
    client.db.set_max_memory(1);
    let late = format!("-EXECABORT Transaction discarded because of: {}", &FULL[1..]);
    assert_eq!(client.command("exec"), late);
}

/// A key that is too long cannot exist: what would create it is an error, and all else finds it missing.
#[test]
fn all_but_new_values_find_a_key_missing_that_is_too_long() {
    let mut client = TestClient::new();
    let key = "k".repeat(hedgerow_db_engine::request::LONGEST_KEY + 1);
    client.command("set a 1");
    let rows = [
        ("del KEY", ":0"),
        ("del KEY KEY", ":0"),
        ("unlink KEY", ":0"),
        ("unlink a2 KEY", ":0"),
        ("getdel KEY", "$-1"),
        ("delifeq KEY 1", ":0"),
        ("delex KEY", ":0"),
        ("getex KEY ex 10", "$-1"),
        ("getex KEY persist", "$-1"),
        ("exists KEY a", ":1"),
        ("touch KEY", ":0"),
        ("expire KEY 10", ":0"),
        ("pexpire KEY 10 nx", ":0"),
        ("expireat KEY 1", ":0"),
        ("pexpireat KEY 1", ":0"),
        ("persist KEY", ":0"),
        ("set KEY v xx", "$-1"),
        ("set KEY v xx get", "$-1"),
        ("set KEY v ifeq 1", "$-1"),
        ("setrange KEY 0 \"\"", ":0"),
        ("bitfield KEY get u8 0", "*1 :0"),
        ("rename KEY b", "-ERR no such key"),
        ("rename KEY KEY", "-ERR no such key"),
        ("renamenx missing KEY", "-ERR no such key"),
        ("copy KEY b", ":0"),
        ("copy missing KEY", ":0"),
        ("move KEY 1", ":0"),
        ("msetnx KEY 1 a 2", ":0"),
        ("msetex 1 KEY 1 xx", ":0"),
        ("bitop and KEY missing missing", ":0"),
        ("bitop not KEY KEY", ":0"),
        ("sort missing store KEY", ":0"),
        ("object encoding KEY", "$-1"),
        ("memory usage KEY", "$-1"),
        ("watch KEY", "+OK"),
        ("unwatch", "+OK"),
    ];
    let too_long = "-ERR key exceeds maximum allowed size (65535 bytes)";
    let creating = [
        "set KEY v",
        "set KEY v get",
        "setnx KEY v",
        "getset KEY v",
        "append KEY v",
        "incr KEY",
        "setrange KEY 0 x",
        "setbit KEY 1 1",
        "bitfield KEY set u8 0 1",
        "pfadd KEY",
        "pfmerge KEY",
        "mset a 2 KEY 1",
        "msetnx b 1 KEY 1",
        "rename a KEY",
        "renamenx a KEY",
        "copy a KEY",
        "bitop not KEY a",
    ];
    let creating = creating.map(|line| (line, too_long));
    for (line, wanted) in rows.into_iter().chain(creating) {
        let line = line.replace("KEY", &key);
        assert_eq!(client.command(&line), wanted, "{line:.30}");
        if !line.contains("watch") {
            client.command("multi");
            client.command(&line);
            let all = client.command("exec");
            assert_eq!(all, format!("*1 {wanted}"), "in a transaction: {line:.30}");
        }
    }
    compare(&mut client, &[("get a", "$1 1"), ("dbsize", ":1")]);
}

/// Redis takes the words of the other policies for counters and times.
#[test]
fn keys_begin_anew_when_the_policy_changes() {
    let mut client = TestClient::new();
    client.command("set a 1");
    client.command("config set maxmemory-policy allkeys-lfu");
    let counter = client.command("object freq a");
    // A minute may have passed.
    assert!([":5", ":4"].contains(&&*counter), "{counter}");
    client.command("config set maxmemory-policy volatile-lru");
    let idle: u64 = client.command("object idletime a")[1..].parse().unwrap();
    assert!(idle < 60, "{idle} seconds");
}
