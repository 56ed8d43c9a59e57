//! The commands on files that Redis wrote, on AOF files, and on damaged directories.

use super::run;
use hedgerow_db_engine::log::Fsync;
use hedgerow_db_engine::request::{
    Answer, Change, ExpireCondition, Expiry, GroupAction, GroupChange, HashChange, HashParts,
    HashQuery, NewStreamId, Packer, Query, ReadFrom, Request, Score, StoredValue, StreamChange,
    StreamId, ValueType, ascending,
};
use hedgerow_db_engine::{Db, Options};
use hedgerow_db_formats::rdb::redis_files::{self, bytes};
use hedgerow_db_formats::rdb::{RdbRecord, RdbValue, Reader, Writer};
use hedgerow_db_redis::config::{Config, Invocation};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Runs a command line. Returns its output and whether all is well, or the error.
fn command(folder: &TempDir, line: &str) -> Result<(String, bool), String> {
    let place = folder.path().to_str().unwrap();
    let words = line.split(' ').map(|word| word.replace('@', place));
    let Ok(Invocation::Data(asked)) = Config::read(words, []) else { panic!("{line}") };
    let mut out = Vec::new();
    let healthy = run(&asked, &mut out, &mut |_| (), &|| false)?;
    Ok((String::from_utf8(out).unwrap(), healthy))
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn open(folder: &TempDir) -> Db {
    Db::open(Options::at(folder.path().join("db"))).unwrap()
}

fn value(db: &Db, key: &str) -> Option<String> {
    db.get(key).unwrap().map(|value| String::from_utf8(value).unwrap())
}

type Fields = BTreeMap<Vec<u8>, Vec<u8>>;

fn owned((field, value): (&str, &str)) -> (Vec<u8>, Vec<u8>) {
    (field.into(), value.into())
}

/// Returns the fields of a hash.
fn hash(db: &Db, key: &str) -> Fields {
    let all = HashQuery::All { parts: HashParts::Both, most: usize::MAX };
    let mut fields = Fields::new();
    db.session().execute(&[Request::Read(key.as_bytes(), Query::Hash(all))], &mut |_, answer| {
        let Answer::Elements(list, _) = answer else { panic!("{answer:?}") };
        let elements: Vec<_> = list.iter().flatten().map(<[u8]>::to_vec).collect();
        fields = elements.as_chunks::<2>().0.iter().cloned().map(<(_, _)>::from).collect();
    });
    fields
}

/// Stores a hash, which may be long.
fn set_hash(db: &Db, key: &str, fields: &Fields, expiry: Expiry) {
    let pairs: Vec<_> = fields.iter().map(|(field, value)| (&field[..], &value[..])).collect();
    let change = Change::Hash(HashChange::Set(&pairs));
    let condition = ExpireCondition::Always;
    let expire = Change::Expire { expiry, condition, get: false };
    let requests = [change, expire].map(|change| Request::Change(key.as_bytes(), change));
    db.session().execute(&requests, &mut |_, answer| assert!(matches!(answer, Answer::Int(_))));
}

/// Returns the names and values of a value of a type, in order; those of a set in that of their bytes.
fn entries(db: &Db, key: &str, value_type: ValueType) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    db.session().execute(&[Request::Read(key.as_bytes(), Query::Stored)], &mut |_, answer| {
        let Answer::Stored(StoredValue::Packed(value)) = answer else { panic!("{answer:?}") };
        assert_eq!(value.value_type(), value_type, "{key}");
        entries = value.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    });
    if value_type == ValueType::Set {
        entries.sort();
    }
    entries
}

fn names(db: &Db, key: &str, value_type: ValueType) -> Vec<String> {
    let names = entries(db, key, value_type).into_iter().map(|(name, _)| name);
    names.map(|name| String::from_utf8(name).unwrap()).collect()
}

fn scores(db: &Db, key: &str) -> Vec<f64> {
    let scores = entries(db, key, ValueType::SortedSet).into_iter();
    scores.map(|(_, score)| Score::parse(&score).unwrap().get()).collect()
}

/// Stores a value of another type than string.
fn store(db: &Db, key: &str, packer: &Packer, expiry: Expiry) {
    let value = StoredValue::Packed(packer.packed());
    let change = Change::Restore { value, expiry, replace: true, usage: None };
    let request = Request::Change(key.as_bytes(), change);
    db.session().execute(&[request], &mut |_, answer| assert_eq!(answer, Answer::Done));
}

/// Packs names with scores, of which only a sorted set has some.
fn packed(value_type: ValueType, names: impl Iterator<Item = (String, f64)>) -> Packer {
    let mut packer = Packer::new(value_type);
    for (name, score) in names {
        packer.push(name.as_bytes(), &Score::new(score).unwrap().bytes());
    }
    if value_type == ValueType::SortedSet { ascending(packer) } else { packer }
}

/// Returns a command as clients and AOF files have it.
fn request(words: &str) -> String {
    let words: Vec<_> = words.split(' ').collect();
    let parts = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), parts.collect::<String>())
}

fn requests(lines: &[&str]) -> Vec<u8> {
    lines.iter().map(|line| request(line)).collect::<String>().into_bytes()
}

#[test]
fn values_of_all_types_are_imported_and_the_rest_is_named() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "valkey.rdb", &bytes(redis_files::VALKEY));
    let why = command(&folder, "import @/valkey.rdb --dir @/db").unwrap_err();
    for part in ["nothing was imported", "keys of types that are not supported here: hash"] {
        assert!(why.contains(part), "{part} is missing in {why}");
    }
    assert!(!folder.path().join("db").exists());
    let skips = "import @/valkey.rdb --dir @/valkey/db --skip-other-types";
    let (text, healthy) = command(&folder, skips).unwrap();
    assert!(healthy && text.contains("Skipped, by type: hash"), "{text}");
    write(&folder, "a.rdb", &bytes(redis_files::PLAIN));
    let all = "import @/a.rdb --dir @/db --skip-other-types --database 0";
    let (text, healthy) = command(&folder, all).unwrap();
    assert!(healthy && text.starts_with("Imported 20 keys.\n"), "{text}");
    assert!(text.contains("Skipped: 1 function libraries."), "{text}");
    let db = open(&folder);
    assert_eq!(
        (value(&db, "rose").as_deref(), value(&db, "i32").as_deref()),
        (Some("red"), Some("-123456789"))
    );
    assert_eq!(hash(&db, "hash"), [("f", "v"), ("g", "2")].map(owned).into());
    assert_eq!(hash(&db, "bighash"), [("f", &"a".repeat(91)[..])].map(owned).into());
    assert_eq!(names(&db, "list", ValueType::List), ["a", "b", "3"]);
    assert_eq!(names(&db, "biglist", ValueType::List)[1..], ["b"]);
    assert_eq!(names(&db, "intset", ValueType::Set), ["1", "2", "3"]);
    assert_eq!(names(&db, "set", ValueType::Set), ["a", "b", "c"]);
    assert_eq!(names(&db, "zset", ValueType::SortedSet), ["a", "b"]);
    assert_eq!(scores(&db, "zset"), [1.0, 2.5]);
    // Redis writes the last member first.
    assert_eq!(names(&db, "bigzset", ValueType::SortedSet)[1..], ["b"]);
    assert_eq!(scores(&db, "bigzset"), [1.0, f64::INFINITY]);
    assert_eq!((db.len(), db.stats().expires), (20, 2));
    drop(db);
    let why = command(&folder, all).unwrap_err();
    assert!(why.ends_with("already has 20 keys; --replace imports anyway"), "{why}");
    let (text, _) = command(&folder, "import @/a.rdb --dir @/all/db --skip-other-types").unwrap();
    assert!(text.starts_with("Imported 21 keys.\n"), "{text}");
    let db = Db::open(Options::at(folder.path().join("all/db"))).unwrap();
    let third = db.database(3).unwrap();
    assert_eq!((value(&third, "other").as_deref(), third.len(), db.len()), (Some("db"), 1, 20));
    let other = "import @/a.rdb --dir @/db --skip-other-types --database 3 --replace --json";
    let (json, _) = command(&folder, other).unwrap();
    assert!(
        json.starts_with("{\"keys\": 1, \"commands\": 0, ")
            && json.contains("\"other_databases\": {\"0\": 20}"),
        "{json}"
    );
    let db = open(&folder);
    assert_eq!((value(&db, "other").as_deref(), db.len()), (Some("db"), 21));
}

#[test]
fn a_damaged_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = bytes(redis_files::PLAIN);
    let end = file.len();
    file[end - 1] ^= 1;
    write(&folder, "a.rdb", &file);
    write(&folder, "b.rdb", &file[..end - 1]);
    file[end - 1] ^= 1;
    file.extend_from_slice(b"more");
    write(&folder, "c.rdb", &file);
    write(&folder, "d.rdb", b"");
    for (name, wanted) in
        [("a", "the checksum is wrong"), ("b", "the file ends after"), ("c", "no command begins")]
    {
        let line = format!("import @/{name}.rdb --dir @/db --skip-other-types --database 0");
        let why = command(&folder, &line).unwrap_err();
        assert!(why.contains(wanted), "{why}");
    }
    command(&folder, "import @/missing.rdb --dir @/db").unwrap_err();
    assert!(!folder.path().join("db").exists());
}

#[test]
fn expired_keys_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    write(
        &folder,
        "a.rdb",
        b"REDIS0003\xFC\x01\x00\x00\x00\x00\x00\x00\x00\x00\x04rose\x03red\x00\x01a\x01b\xFF",
    );
    let (text, _) = command(&folder, "import @/a.rdb --dir @/db").unwrap();
    assert_eq!(text, "Imported 1 keys.\nSkipped: 1 expired keys.\n");
    assert_eq!(open(&folder).len(), 1);
}

#[test]
fn an_aof_is_executed() {
    let folder = tempfile::tempdir().unwrap();
    // The base has a key that has expired since; a command has given it a longer life before that.
    let base =
        b"REDIS0003\xFC\xE8\x03\x00\x00\x00\x00\x00\x00\x00\x04rose\x03red\x00\x01a\x01b\xFF";
    write(&folder, "aof/x.aof.1.base.rdb", base);
    let first = [
        "SELECT 0",
        "PEXPIREAT rose 4102444800000",
        "SET n 1",
        "INCR n",
        "MULTI",
        "SET m 1",
        "DEL a",
        "EXEC",
    ];
    write(&folder, "aof/x.aof.1.incr.aof", &requests(&first));
    let second =
        ["SELECT 0", "APPEND n 0", "PING", "SET gone 1 PXAT 5", "SET other 1 PXAT 4102444800000"];
    let mut file = b"#TS:1700000000\r\n".to_vec();
    file.extend(requests(&second));
    file.extend(requests(&["MULTI", "DEL n"]));
    write(&folder, "aof/x.aof.2.incr.aof", &file);
    let manifest = "file x.aof.1.base.rdb seq 1 type b\nfile x.aof.0.incr.aof seq 0 type h\n\
                    file x.aof.2.incr.aof seq 2 type i\nfile x.aof.1.incr.aof seq 1 type i\n";
    write(&folder, "aof/x.aof.manifest", manifest.as_bytes());
    let (text, healthy) = command(&folder, "import @/aof --dir @/db").unwrap();
    let incomplete = requests(&["MULTI", "DEL n"]).len();
    let wanted = format!(
        "Imported 2 keys and 8 commands.\nSkipped: 1 expired keys.\n\
         Skipped: {incomplete} bytes of an incomplete command at the end.\n"
    );
    assert!(healthy && text == wanted, "{text}");
    let (text, _) = command(&folder, "check @/db").unwrap();
    assert!(
        text.starts_with("Undamaged: 4 keys, 2 of them with an expiration, of which 0"),
        "{text}"
    );
    let db = open(&folder);
    let found = ["rose", "n", "m", "a", "gone", "other"].map(|key| value(&db, key));
    let wanted = [Some("red"), Some("20"), Some("1"), None, None, Some("1")];
    assert_eq!(found, wanted.map(|value| value.map(str::to_owned)));
}

#[test]
fn an_aof_with_other_commands_is_imported_without_them() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        "SELECT 0",
        "SET a 1",
        "JSON.SET l . 1",
        "JSON.SET l . 2",
        "INCR b",
        "RENAME l k",
        "SELECT 2",
        "SET a 2",
    ];
    let mut file = requests(&lines);
    write(&folder, "a.aof", &file);
    let why = command(&folder, "import @/a.aof --dir @/db --database 0").unwrap_err();
    assert!(why.contains("not supported here: JSON.SET (2);"), "{why}");
    let (text, _) = command(&folder, "import @/a.aof --dir @/all/db --skip-other-types").unwrap();
    assert!(text.starts_with("Imported 0 keys and 4 commands.\n"), "{text}");
    let db = Db::open(Options::at(folder.path().join("all/db"))).unwrap();
    assert_eq!(value(&db.database(2).unwrap(), "a").as_deref(), Some("2"));
    let line = "import @/a.aof --dir @/db --skip-other-types --database 0";
    let (text, _) = command(&folder, line).unwrap();
    let wanted = "Imported 0 keys and 3 commands.\nSkipped, by database: 2 (1).\nSkipped, commands: JSON.SET (2).\n\
                  Commands that failed: RENAME (1).\n";
    assert_eq!(text, wanted);
    assert_eq!(value(&open(&folder), "a").as_deref(), Some("1"));
    // A command that fails for no such reason is an error.
    write(&folder, "b.aof", &requests(&["SET a x", "INCR a"]));
    let (text, healthy) = command(&folder, "import @/b.aof --dir @/new").unwrap();
    assert!(!healthy && text.contains("Commands that failed: INCR (1)."), "{text}");
    for (end, wanted) in
        [(&b"no command"[..], "no command begins"), (b"*1\r\n$x", "no command begins")]
    {
        file.extend_from_slice(end);
        write(&folder, "c.aof", &file);
        let why = command(&folder, "import @/c.aof --dir @/new").unwrap_err();
        assert!(why.contains(wanted), "{why}");
        file.truncate(file.len() - end.len());
    }
}

#[test]
fn refused_commands_of_an_aof_are_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        "SELECT 0",
        "SET a 1",
        "EVAL return 0",
        "EVALSHA 2067d915024a3e1657c4169c84f809f8ec75fa52 0",
        "EVAL return 0",
        "MOVE a 1",
        "GET a",
        "EXPIRE a",
        "JSON.SET z . 1",
    ];
    write(&folder, "a.aof", &requests(&lines));
    let why = command(&folder, "import @/a.aof --dir @/db --database 0").unwrap_err();
    let wanted = "nothing was imported; besides 0 keys and 1 commands there are\n- commands that are not \
                  supported here: JSON.SET (1); --skip-other-types skips them\n- scripts, which an import does not \
                  execute: EVAL (2), EVALSHA (1); BGREWRITEAOF on the Redis that wrote the file replaces them with \
                  the keys that they changed; --skip-other-types skips them\n- commands that move keys between \
                  databases, although only one is imported: MOVE (1); without --database, all are; \
                  --skip-other-types skips them\n- commands that Redis never writes to such a file: EXPIRE \
                  (1), GET (1); --skip-other-types skips them";
    assert_eq!(why, wanted);
    let all = "import @/a.aof --dir @/db --skip-other-types --json";
    let (json, healthy) = command(&folder, all).unwrap();
    let wanted = "\"unknown_commands\": {\"JSON.SET\": 1}, \"refused_commands\": {\"EVAL\": 2, \"EVALSHA\": 1, \
                  \"EXPIRE\": 1, \"GET\": 1}";
    assert!(healthy && json.contains(wanted), "{json}");
    let other = "import @/a.aof --dir @/other --skip-other-types";
    let (text, _) = command(&folder, other).unwrap();
    let wanted = "Skipped, commands: EVAL (2), EVALSHA (1), EXPIRE (1), GET (1), JSON.SET (1).\n";
    assert!(text.ends_with(wanted), "{text}");
}

#[test]
fn what_redis_logs_without_a_change_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    // Redis logs PFCOUNT, which may store the number, and functions, which a program without them leaves out.
    let lines =
        ["PFADD h a b", "PFCOUNT h", "FUNCTION LOAD #!lua", "SCRIPT LOAD return", "SPUBLISH a b"];
    write(&folder, "a.aof", &requests(&lines));
    let (text, healthy) = command(&folder, "import @/a.aof --dir @/db").unwrap();
    let wanted = "Imported 0 keys and 1 commands.\nSkipped: 1 function libraries.\n";
    assert!(healthy && text == wanted, "{text}");
}

#[test]
fn times_to_live_of_an_aof_begin_when_it_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    // Redis writes times at which keys expire, but other programs may not.
    write(&folder, "a.aof", &requests(&["SET a 1 EX 1000", "SET b 1", "EXPIRE b 1000"]));
    let (text, healthy) = command(&folder, "import @/a.aof --dir @/db").unwrap();
    assert!(healthy && text == "Imported 0 keys and 3 commands.\n", "{text}");
    let db = open(&folder);
    assert_eq!(["a", "b"].map(|key| value(&db, key)), [Some("1".into()), Some("1".into())]);
}

#[test]
fn an_export_leaves_out_keys_that_have_expired() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::at(folder.path().join("db"));
    options.time = hedgerow_db_engine::clock::TimeSource::Manual(std::sync::Arc::new(1.into()));
    let db = Db::open(options).unwrap();
    db.set("a", "1").unwrap();
    db.set_with_ttl("b", "2", std::time::Duration::from_secs(1)).unwrap();
    db.snapshot().unwrap();
    drop(db);
    let (text, _) = command(&folder, "export @/out.rdb --dir @/db").unwrap();
    let said =
        text.starts_with("Wrote 1 keys to ") && text.ends_with("\nSkipped: 1 expired keys.\n");
    assert!(said, "{text}");
    let (json, _) = command(&folder, "export @/out.rdb --dir @/db --replace --json").unwrap();
    assert!(json.contains("\"keys\": 1, \"expired\": 1, "), "{json}");
    let (text, _) = command(&folder, "import @/out.rdb --dir @/again").unwrap();
    assert_eq!(text, "Imported 1 keys.\n");
}

#[test]
fn a_transaction_that_is_begun_twice_keeps_its_commands() {
    let folder = tempfile::tempdir().unwrap();
    let lines = ["MULTI", "SET a 1", "MULTI", "SET b 2", "EXEC", "SET c 3"];
    write(&folder, "a.aof", &requests(&lines));
    let (text, healthy) = command(&folder, "import @/a.aof --dir @/db").unwrap();
    assert!(healthy && text == "Imported 0 keys and 3 commands.\n", "a command is lost: {text}");
    let db = open(&folder);
    let found = ["a", "b", "c"].map(|key| value(&db, key));
    assert_eq!(found, ["1", "2", "3"].map(|value| Some(value.to_owned())));
}

#[test]
fn manifests_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (text, wanted) in [
        ("", "it names no file"),
        ("file a seq 1\n", "not a line of a manifest"),
        ("file a seq x type b\n", "not a line of a manifest"),
        ("file a seq 1 type z\n", "not a line of a manifest"),
        ("file ../a seq 1 type b\n", "a file name with a directory"),
        ("file a seq 1 type b\n", "No such file"),
    ] {
        write(&folder, "x.manifest", text.as_bytes());
        for line in ["import @/x.manifest --dir @/db", "import @ --dir @/db"] {
            let why = command(&folder, line).unwrap_err();
            assert!(why.contains(wanted), "{why}");
        }
    }
    assert!(!folder.path().join("db").exists());
}

/// Fills a directory: a snapshot, and a log behind it.
fn filled(folder: &TempDir) {
    let mut options = Options::at(folder.path().join("db"));
    (options.fsync, options.shards) = (Fsync::Always, 4);
    let db = Db::open(options).unwrap();
    for number in 0..300 {
        db.set(format!("key:{number}"), format!("value {number}")).unwrap();
    }
    db.snapshot().unwrap();
    db.set([0, 0xFF, b'"'], b"\\ \x01").unwrap();
    let far = std::time::Duration::from_secs(1 << 30);
    db.set_with_ttl("daisy", "a \"white\" one", far).unwrap();
    db.database(7).unwrap().set("seventh", "heaven").unwrap();
    db.close().unwrap();
}

/// Returns the bytes of all files of the directory.
fn all_files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    };
    fs::read_dir(path).unwrap().map(|entry| file(entry.unwrap())).collect()
}

#[test]
fn a_directory_is_checked_dumped_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    filled(&folder);
    // A crash may have left these.
    write(&folder, "db/manifest.new", b"half");
    write(&folder, "db/snapshot.new", b"half");
    let before = all_files(&folder.path().join("db"));
    let (text, healthy) = command(&folder, "check @/db").unwrap();
    assert!(
        healthy
            && text
                .starts_with("Undamaged: 303 keys, 1 of them with an expiration, of which 0 have"),
        "{text}"
    );
    let (json, _) = command(&folder, "check @/db --json").unwrap();
    assert!(
        json.contains("\"keys\": 303, ")
            && json.contains("\"snapshot_keys\": 300, \"log_entries\": 3, "),
        "{json}"
    );

    let (text, _) = command(&folder, "dump @/db").unwrap();
    assert_eq!(text.lines().count(), 304);
    assert!(text.ends_with("SELECT 7\nSET \"seventh\" \"heaven\"\n"), "{text}");
    assert!(text.contains("SET \"\\x00\\xff\\\"\" \"\\\\ \\x01\"\n"), "{text}");
    assert!(text.contains("SET \"daisy\" \"a \\\"white\\\" one\" PXAT "), "{text}");
    let (json, _) = command(&folder, "dump @/db --json").unwrap();
    assert!(json.contains("{\"key\": \"key:7\", \"value\": \"value 7\"}\n"), "{json}");
    assert!(json.contains("{\"key_hex\": \"00ff22\", \"value\": \"\\\\ \\u0001\"}\n"), "{json}");
    assert!(
        json.contains("{\"key\": \"daisy\", \"value\": \"a \\\"white\\\" one\", \"expires_at\": "),
        "{json}"
    );

    let (text, _) = command(&folder, "export @/out.rdb --dir @/db").unwrap();
    assert!(text.starts_with("Wrote 303 keys to "), "{text}");
    let why = command(&folder, "export @/out.rdb --dir @/db").unwrap_err();
    assert!(why.ends_with("exists; use --replace to overwrite it"), "{why}");
    command(&folder, "export @/out.rdb --dir @/db --replace").unwrap();
    let file = fs::read(folder.path().join("out.rdb")).unwrap();
    let (mut reader, mut found) = (Reader::new(&file[..]).unwrap(), BTreeMap::new());
    while let Some(record) = reader.next().unwrap() {
        if let RdbRecord::Entry(entry) = record {
            assert_eq!(entry.database, if entry.key == b"seventh" { 7 } else { 0 });
            let RdbValue::String(value) = entry.value else { panic!("{:?}", entry.value) };
            found.insert(entry.key, (value, entry.expires_at));
        }
    }
    assert_eq!((found.len(), &found[&b"key:9"[..]]), (303, &(b"value 9".to_vec(), None)));
    assert!(found[&b"daisy"[..]].1.is_some());
    assert_eq!(all_files(&folder.path().join("db")), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn hashes_are_checked_dumped_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    let short: Fields = [("colour", "a \"white\" one"), ("", "")].map(owned).into();
    let binary: Fields = [(vec![0xFF], b"x".to_vec())].into();
    // Several parts, also of an import.
    let long: Fields =
        (0..40_000).map(|n| owned((&format!("field {n}"), &format!("a value of {n}")))).collect();
    let far = Expiry::At(1 << 42);
    set_hash(&db, "short", &short, Expiry::Never);
    set_hash(&db, "binary", &binary, far);
    set_hash(&db, "long", &long, far);
    db.set("rose", "red").unwrap();
    db.close().unwrap();
    drop(db);
    let bytes = |fields: &Fields| fields.iter().map(|(f, v)| f.len() + v.len()).sum::<usize>();
    let all = bytes(&short) + bytes(&binary) + bytes(&long) + "shortbinarylongrosered".len();
    let (text, _) = command(&folder, "check @/db").unwrap();
    let wanted = format!(
        "Undamaged: 4 keys, 2 of them with an expiration, of which 0 have expired; {all} bytes"
    );
    assert!(text.starts_with(&wanted), "{text}");

    let (text, _) = command(&folder, "dump @/db").unwrap();
    let short_lines = [
        "DEL \"short\"\nHSET \"short\" \"\" \"\" \"colour\" \"a \\\"white\\\" one\"\n",
        "DEL \"short\"\nHSET \"short\" \"colour\" \"a \\\"white\\\" one\" \"\" \"\"\n",
    ];
    assert!(short_lines.iter().any(|lines| text.contains(lines)), "{text}");
    let binary_lines =
        "DEL \"binary\"\nHSET \"binary\" \"\\xff\" \"x\"\nPEXPIREAT \"binary\" 4398046511104\n";
    assert!(text.contains(binary_lines), "{text}");
    let of_long: Vec<_> = text.lines().filter(|line| line.contains(" \"long\"")).collect();
    assert!(of_long.len() > 10, "a long line");
    assert_eq!(of_long[0], "DEL \"long\"");
    assert_eq!(of_long.last(), Some(&"PEXPIREAT \"long\" 4398046511104"));
    let (json, _) = command(&folder, "dump @/db --json").unwrap();
    assert!(json.contains("\"hash_hex\": {\"ff\": \"78\"}, \"expires_at\": "), "{json}");
    assert!(json.contains("\"colour\": \"a \\\"white\\\" one\""), "{json}");
    let continued = json.lines().filter(|line| line.contains("\"continues\": true")).count();
    assert_eq!(continued, of_long.len() - 3, "parts of the long hash but the first");

    command(&folder, "export @/out.rdb --dir @/db").unwrap();
    let (text, _) = command(&folder, "import @/out.rdb --dir @/again/db").unwrap();
    assert_eq!(text, "Imported 4 keys.\n");
    for path in ["db", "again/db"] {
        let db = Db::open(Options::at(folder.path().join(path))).unwrap();
        assert!(hash(&db, "long") == long, "{path}");
        assert_eq!((hash(&db, "short"), hash(&db, "binary")), (short.clone(), binary.clone()));
        assert_eq!((db.len(), db.stats().expires), (4, 2), "{path}");
        assert_eq!(value(&db, "rose").as_deref(), Some("red"));
    }
}

#[test]
fn lists_sets_and_sorted_sets_are_checked_dumped_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    let far = Expiry::At(1 << 42);
    let named = |number: u32| format!("element {number}");
    // Several parts each, also of an import; the scores of half of the members are the same.
    let long = |value_type| {
        packed(value_type, (0..60_000).map(|n| (named(n * 7 % 60_000), f64::from(n / 2 % 9000))))
    };
    let types = [ValueType::List, ValueType::Set, ValueType::SortedSet];
    for value_type in types {
        let name = value_type.name();
        let short =
            packed(value_type, [("b \"1\"".into(), 1.5), (String::new(), -0.5)].into_iter());
        store(&db, &format!("short {name}"), &short, Expiry::Never);
        store(&db, &format!("long {name}"), &long(value_type), far);
        let mut binary = Packer::new(value_type);
        binary.push(&[0xFF], &Score::new(f64::INFINITY).unwrap().bytes());
        store(&db, &format!("binary {name}"), &binary, far);
    }
    let twice = packed(ValueType::List, [("2".into(), 0.0), ("2".into(), 0.0)].into_iter());
    store(&db, "twice", &twice, Expiry::Never);
    store(&db, "integers", &packed(ValueType::Set, [("3".into(), 0.0)].into_iter()), Expiry::Never);
    let read = |db: &Db| -> BTreeMap<String, Vec<_>> {
        let keys = types
            .map(|of| (of, ["short", "long", "binary"].map(|one| format!("{one} {}", of.name()))));
        keys.into_iter()
            .flat_map(|(of, keys)| keys.map(|key| (entries(db, &key, of), key)))
            .map(|(entries, key)| (key, entries))
            .collect()
    };
    let wanted = read(&db);
    db.close().unwrap();
    drop(db);

    let (text, _) = command(&folder, "check @/db").unwrap();
    let begin = "Undamaged: 11 keys, 6 of them with an expiration, of which 0 have expired; ";
    assert!(text.starts_with(begin), "{text}");
    let (text, _) = command(&folder, "dump @/db").unwrap();
    for lines in [
        "DEL \"short list\"\nRPUSH \"short list\" \"b \\\"1\\\"\" \"\"\n",
        "DEL \"short set\"\nSADD \"short set\" \"",
        "DEL \"short zset\"\nZADD \"short zset\" -0.5 \"\" 1.5 \"b \\\"1\\\"\"\n",
        "ZADD \"binary zset\" inf \"\\xff\"\nPEXPIREAT \"binary zset\" 4398046511104\n",
        "RPUSH \"twice\" \"2\" \"2\"\n",
        "SADD \"integers\" \"3\"\n",
    ] {
        assert!(text.contains(lines), "{lines} is missing");
    }
    for (name, verb) in [("list", "RPUSH"), ("set", "SADD"), ("zset", "ZADD")] {
        let of_long = format!("\"long {name}\"");
        let of_long: Vec<_> = text.lines().filter(|line| line.contains(&of_long)).collect();
        assert!(of_long.len() > 10, "a long line of {name}");
        assert_eq!(of_long[0], format!("DEL \"long {name}\""));
        assert!(of_long[1..of_long.len() - 1].iter().all(|line| line.starts_with(verb)));
        assert!(of_long[of_long.len() - 1].starts_with("PEXPIREAT "));
    }
    let (json, _) = command(&folder, "dump @/db --json").unwrap();
    for part in [
        "{\"key\": \"short list\", \"list\": [\"b \\\"1\\\"\", \"\"]}\n",
        "{\"key\": \"short zset\", \"zset\": {\"\": -0.5, \"b \\\"1\\\"\": 1.5}}\n",
        "\"zset_hex\": {\"ff\": \"inf\"}, \"expires_at\": ",
        "\"list_hex\": [\"ff\"], \"expires_at\": ",
        "{\"key\": \"integers\", \"set\": [\"3\"]}\n",
    ] {
        assert!(json.contains(part), "{part} is missing");
    }

    command(&folder, "export @/out.rdb --dir @/db").unwrap();
    let (text, _) = command(&folder, "import @/out.rdb --dir @/again/db").unwrap();
    assert_eq!(text, "Imported 11 keys.\n");
    for path in ["db", "again/db"] {
        let db = Db::open(Options::at(folder.path().join(path))).unwrap();
        assert!(read(&db) == wanted, "{path}");
        assert_eq!((db.len(), db.stats().expires), (11, 6), "{path}");
        assert_eq!(names(&db, "twice", ValueType::List), ["2", "2"]);
    }
}

#[test]
fn streams_are_exported_and_imported() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    let mut session = db.session();
    let mut change = |key: &'static [u8], change: StreamChange<'_>| {
        session.execute(&[Request::Change(key, Change::Stream(change))], &mut |_, made| {
            assert!(!matches!(made, Answer::Error(_)), "{made:?}");
        });
    };
    let group = |name: &'static [u8], action| GroupChange { name, group: b"g", action };
    for (key, count) in [(&b"short"[..], 3), (b"long", 20_000), (b"empty", 0)] {
        for n in 0..count {
            let (id, text) = (NewStreamId::Given(StreamId { ms: 5 + n, seq: 1 }), n.to_string());
            let fields: [&[u8]; 4] = [b"f", text.as_bytes(), b"a field", b""];
            change(key, StreamChange::Add { id, fields: &fields, create: true, trim: None });
        }
        let from = ReadFrom::After(StreamId::MIN);
        let create = group(key, GroupAction::Create { from, read: Some(0), create: true });
        change(key, StreamChange::Group(&create));
        for consumer in [&b"one"[..], b"two"] {
            let (from, count) = (ReadFrom::New, Some(count / 4));
            let most = usize::MAX;
            let read = GroupAction::Read { consumer, from, count, no_ack: false, most };
            change(key, StreamChange::Group(&group(key, read)));
        }
        change(key, StreamChange::Delete(&[StreamId { ms: 6, seq: 1 }]));
    }
    drop(session);
    let read = |db: &Db| {
        ["short", "long", "empty"].map(|key| {
            let mut all = entries(db, key, ValueType::Stream);
            // The format of Redis 7.0 has no time at which a consumer was last active.
            all.retain(|(name, _)| name[0] != 3);
            all
        })
    };
    let wanted = read(&db);
    assert!(wanted[1].len() > 20_000);
    db.close().unwrap();
    drop(db);
    command(&folder, "export @/out.rdb --dir @/db").unwrap();
    let (text, _) = command(&folder, "import @/out.rdb --dir @/again/db").unwrap();
    assert_eq!(text, "Imported 3 keys.\n");
    let db = Db::open(Options::at(folder.path().join("again/db"))).unwrap();
    assert!(read(&db) == wanted, "a stream has other contents");
}

#[test]
fn a_set_that_redis_would_refuse_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (file, wanted) in [
        (&b"REDIS0009\x02\x01s\x02\x01a\x01a\xFF"[..], "a set has the same member twice"),
        (
            b"REDIS0003\x03\x01z\x02\x01a\x011\x01a\x012\xFF",
            "a sorted set has the same member twice",
        ),
    ] {
        write(&folder, "a.rdb", &[file, &[0; 8]].concat());
        let why = command(&folder, "import @/a.rdb --dir @/db").unwrap_err();
        assert!(why.ends_with(wanted), "{why}");
        assert!(!folder.path().join("db").exists());
    }
    // In different parts.
    let long = ["x", "y"].map(|letter| letter.repeat(3 << 19));
    let members = [b"a", long[0].as_bytes(), long[1].as_bytes(), b"a"];
    let mut writer = Writer::new(Vec::new()).unwrap();
    writer.database(0, 1, 0).unwrap();
    writer.set(b"s", None, members.len(), members).unwrap();
    write(&folder, "b.rdb", &writer.finish().unwrap().0);
    let mut writer = Writer::new(Vec::new()).unwrap();
    writer.database(0, 1, 0).unwrap();
    let scored = members.iter().zip([4.0, 3.0, 2.0, 1.0]).map(|(member, score)| (*member, score));
    writer.sorted_set(b"s", None, members.len(), scored).unwrap();
    write(&folder, "c.rdb", &writer.finish().unwrap().0);
    for (name, wanted) in [("b", "a set has"), ("c", "a sorted set has")] {
        let why = command(&folder, &format!("import @/{name}.rdb --dir @/{name}")).unwrap_err();
        assert!(why.ends_with(&format!("{wanted} the same member twice")), "{why}");
    }
    // Redis leaves empty values out. A score that is no number is damage.
    let empty = b"REDIS0003\x01\x01l\x00\x02\x01s\x00\x03\x01z\x00\x00\x01a\x01b\xFF";
    write(&folder, "d.rdb", empty);
    let (text, _) = command(&folder, "import @/d.rdb --dir @/new").unwrap();
    assert_eq!(text, "Imported 1 keys.\n");
    write(&folder, "e.rdb", b"REDIS0003\x03\x01z\x01\x01a\xFD\xFF");
    command(&folder, "import @/e.rdb --dir @/nan").unwrap_err();
}

#[test]
fn a_hash_that_redis_would_refuse_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "a.rdb", b"REDIS0003\x04\x01h\x02\x01a\x01b\x01a\x01c\xFF");
    let why = command(&folder, "import @/a.rdb --dir @/db").unwrap_err();
    assert!(why.ends_with("a hash has the same field twice"), "{why}");
    assert!(!folder.path().join("db").exists());
    // In different parts.
    let (mut writer, long) = (Writer::new(Vec::new()).unwrap(), vec![b'x'; 3 << 19]);
    writer.database(0, 1, 0).unwrap();
    let pairs: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"b", &long), (b"c", &long), (b"a", b"2")];
    writer.hash(b"h", None, pairs.len(), pairs).unwrap();
    write(&folder, "b.rdb", &writer.finish().unwrap().0);
    let why = command(&folder, "import @/b.rdb --dir @/db").unwrap_err();
    assert!(why.ends_with("a hash has the same field twice"), "{why}");
    // Redis leaves it out.
    write(&folder, "c.rdb", b"REDIS0003\x04\x01h\x00\x00\x01a\x01b\xFF");
    let (text, _) = command(&folder, "import @/c.rdb --dir @/new").unwrap();
    assert_eq!(text, "Imported 1 keys.\n");
}

#[test]
fn damage_is_found_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    filled(&folder);
    let path = folder.path().join("db");
    let before = all_files(&path);
    for (name, good) in before.iter().filter(|(_, bytes)| !bytes.is_empty()) {
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        write(&folder, &format!("db/{name}"), &bad);
        let damaged = all_files(&path);
        let (text, healthy) = command(&folder, "check @/db").unwrap();
        assert!(
            !healthy && text.contains(name) && text.ends_with("No file was changed.\n"),
            "{name}: {text}"
        );
        let (json, healthy) = command(&folder, "check @/db --json").unwrap();
        assert!(!healthy && json.starts_with("{\"healthy\": false, \"error\": \""), "{json}");
        for line in ["dump @/db", "export @/out.rdb --dir @/db"] {
            command(&folder, line).unwrap_err();
        }
        assert_eq!(all_files(&path), damaged);
        write(&folder, &format!("db/{name}"), good);
    }
    assert!(command(&folder, "check @/db").unwrap().1);
}

#[test]
fn a_directory_that_is_open_or_missing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    filled(&folder);
    write(&folder, "a.rdb", b"REDIS0003\x00\x01a\x01b\xFF");
    let db = open(&folder);
    let text = command(&folder, "check @/db").unwrap().0;
    assert!(text.contains("is in use by another process"), "{text}");
    for line in ["dump @/db", "export @/out.rdb --dir @/db", "import @/a.rdb --dir @/db --replace"]
    {
        assert!(command(&folder, line).unwrap_err().contains("is in use by another process"));
    }
    fs::remove_file(folder.path().join("db/lock")).unwrap();
    let text = command(&folder, "check @/db").unwrap().0;
    assert!(text.contains("is in use by another process"), "the lock was removed: {text}");
    drop(db);
    let (text, healthy) = command(&folder, "check @/db").unwrap();
    assert!(healthy, "nobody has it open: {text}");
    assert!(!command(&folder, "check @/none").unwrap().1);
    assert!(!folder.path().join("none").exists());
    assert!(!command(&folder, "check @").unwrap().1, "no database is taken for an empty one");
    assert!(!folder.path().join("lock").exists());
    write(&folder, "node/node-id", b"x");
    let why = command(&folder, "import @/a.rdb --dir @/node").unwrap_err();
    assert!(why.contains("is the directory of a cluster node"), "{why}");
}
