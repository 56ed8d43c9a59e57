//! Tests of commands at the level of bytes.

use super::execute::REPLY_CHUNK;
use super::table::COMMANDS;
use super::test_client::TestClient;
use super::*;
use hedgerow_db_engine::{Db, Options};
use hedgerow_db_formats::glob;
use hedgerow_db_formats::resp::read::Reply;
use hedgerow_db_formats::resp::write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Returns a client of a database in a folder.
fn durable(folder: &Path) -> TestClient {
    let mut options = Options::at(folder);
    options.shards = 4;
    TestClient::new().with(Db::open(options).unwrap())
}

/// Returns a client of a server with the password `sesame`.
fn protected() -> TestClient {
    let mut client = TestClient::new();
    client.users().set_default_password(b"sesame");
    client.connect_again();
    client
}

#[test]
fn a_pipeline_is_answered_in_its_order() {
    let mut client = TestClient::new();
    let input = b"SET a 1\r\nSET b two\r\nGET a\r\nINCR a\r\nPING\r\n\
        GET c\r\nMGET a b c\r\nDEL a b c\r\nINCR b\r\n";
    let mut input = input.to_vec();
    write::request(&mut input, &["COMMAND", "COUNT"]);
    write::request(&mut input, &["EXISTS", "b", "b", "c"]);
    let wanted = format!(
        "+OK\r\n+OK\r\n$1\r\n1\r\n:2\r\n+PONG\r\n\
        $-1\r\n*3\r\n$1\r\n2\r\n$3\r\ntwo\r\n$-1\r\n:2\r\n:1\r\n:{}\r\n:2\r\n",
        COMMANDS.len()
    );
    assert_eq!(String::from_utf8(client.send(&input)).unwrap(), wanted);
}

#[test]
fn ranges_of_long_values_are_sent_from_their_pieces() {
    let mut client = TestClient::new();
    let value: String = (10_000..60_000).map(|number| number.to_string()).collect();
    let mut input = Vec::new();
    // A value that was stored as a whole is one piece.
    write::request(&mut input, &["SET", "long", &value[..100_000]]);
    write::request(&mut input, &["APPEND", "long", &value[100_000..]]);
    assert_eq!(client.send(&input), b"+OK\r\n:250000\r\n");
    let last = value.len() - 1;
    for (from, to) in
        [(0, last), (1, last), (0, 0), (last, last), (70_000, 70_010), (16_000, 200_000)]
    {
        let range = &value[from..=to];
        let reply = client.send(format!("GETRANGE long {from} {to}\r\n").as_bytes());
        assert!(reply == format!("${}\r\n{range}\r\n", range.len()).as_bytes(), "{from} to {to}");
    }
    assert_eq!(client.command(&format!("getrange long {} -1", last + 1)), "$0");
}

#[test]
fn command_info_lists_subcommands() {
    const ENCODING: &str = "*10 $15 object|encoding :3 *1 +readonly :2 :2 :1 *3 +@keyspace +@read +@slow \
        *1 $23 nondeterministic_output *1 *6 $5 flags *1 +RO \
        $12 begin_search *4 $4 type $5 index $4 spec *2 $5 index :2 \
        $9 find_keys *4 $4 type $5 range $4 spec *6 $7 lastkey :0 $7 keystep :1 $5 limit :0 *0";
    let mut client = TestClient::new();
    let reply = client.command("command info OBJECT|encoding object|none none|none");
    assert_eq!(reply, format!("*3 {ENCODING} $-1 $-1"));
    let reply = client.command("command info object");
    assert!(reply.contains(&format!("*0 *0 *5 {ENCODING}")), "subcommands are not listed: {reply}");
    let reply = client.command("command list");
    assert!(reply.contains("$6 object $15 object|encoding"), "{reply}");
    assert_eq!(client.command("command list filterby pattern object|e*"), "*1 $15 object|encoding");
}

#[test]
fn keys_of_a_command_are_among_its_arguments() {
    let mut client = TestClient::new();
    let names = table::COMMANDS.iter().chain(table::SUBCOMMANDS).map(|spec| spec.name);
    for name in names {
        for count in 0..6 {
            let given: Vec<String> = (0..count).map(|n| format!("a{n}")).collect();
            let words = ["COMMAND", "GETKEYS"].into_iter().chain(name.split('|'));
            let words: Vec<&str> = words.chain(given.iter().map(String::as_str)).collect();
            let mut input = Vec::new();
            write::request(&mut input, &words);
            let answer = String::from_utf8(client.send(&input)).unwrap();
            let keys: Vec<&str> = answer.lines().filter(|line| line.starts_with('a')).collect();
            let are_given = keys.iter().all(|key| given.iter().any(|word| word == key));
            // Scripts may have none.
            let has_none = answer.starts_with('-') || answer == "*0\r\n";
            assert!(are_given && keys.is_empty() == has_none, "{words:?}: {answer}");
        }
    }
}

#[test]
fn the_destination_of_sort_is_a_key() {
    let mut client = TestClient::new();
    for (line, keys) in [
        ("sort a", "*1 $1 a"),
        ("sort a by store get store limit 0 store", "*1 $1 a"),
        ("sort a desc STORE b alpha", "*2 $1 a $1 b"),
        ("sort a store b get * store c", "*2 $1 a $1 c"),
        ("sort a limit 0 1 store", "*1 $1 a"),
        ("sort_ro a store b", "*1 $1 a"),
    ] {
        assert_eq!(client.command(&format!("command getkeys {line}")), keys, "{line}");
    }
}

#[test]
fn a_transaction_finds_subsequences_and_sorts() {
    let mut client = TestClient::new();
    client.command("mset a ohmytext b mynewtext d 1");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    for (line, reply) in [
        ("multi", "+OK".to_owned()),
        ("set b text", "+QUEUED".to_owned()),
        ("lcs a b", "+QUEUED".to_owned()),
        ("sort a", "+QUEUED".to_owned()),
        ("lcs a b len", "+QUEUED".to_owned()),
        ("sort a store b", "+QUEUED".to_owned()),
        ("sort missing store d", "+QUEUED".to_owned()),
        ("sort_ro missing", "+QUEUED".to_owned()),
        ("exec", format!("*7 +OK $4 text {wrong} :4 {wrong} :0 *0")),
        ("mget b d", "*2 $4 text $-1".to_owned()),
    ] {
        assert_eq!(client.command(line), reply, "{line}");
    }
    // Changes of the same pipeline that come before and after.
    let replies = client.send(b"SET a xay\r\nLCS a b\r\nSET a ext\r\nLCS a b LEN\r\nGET a\r\n");
    assert_eq!(replies, b"+OK\r\n$1\r\nx\r\n+OK\r\n:3\r\n$3\r\next\r\n");
}

#[test]
fn hello_chooses_the_protocol() {
    let mut client = TestClient::new();
    assert_eq!(client.command("get a"), "$-1");
    let hello = client.command("hello 3 setname rose");
    let wanted = "%7 $6 server $5 redis $7 version $6 7.0.15 $5 proto :3 $2 id :7 $4 mode $10 standalone \
        $4 role $6 master $7 modules *0";
    assert_eq!(hello, wanted);
    assert_eq!(client.command("get a"), "_");
    assert_eq!(client.command("client getname"), "$4 rose");
    // Earlier commands are answered in the earlier protocol.
    let answers = client.send(b"get a\r\nhello 2\r\nget a\r\n");
    assert!(answers.starts_with(b"_\r\n*14\r\n") && answers.ends_with(b"*0\r\n$-1\r\n"));
}

#[test]
fn commands_require_authentication() {
    let mut client = protected();
    let refused = "-NOAUTH Authentication required.";
    for line in
        ["get a", "set a b", "ping", "client id", "config get *", "shutdown", "info", "command"]
    {
        assert_eq!(client.command(line), refused, "{line}");
    }
    // Unknown commands and wrong numbers of arguments are reported without authentication.
    assert!(client.command("foo").starts_with("-ERR unknown command"));
    assert!(client.command("get").starts_with("-ERR wrong number of arguments"));
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.";
    for line in [
        "auth a",
        "auth sesam",
        "auth sesamee",
        "auth \"\"",
        "auth rose sesame",
        "hello 3 auth default a",
    ] {
        assert_eq!(client.command(line), wrong, "{line}");
        assert_eq!(client.command("get a"), refused, "{line}");
    }
    assert!(client.command("hello 3").starts_with("-NOAUTH HELLO must be called"));
    assert_eq!(client.command("reset"), "+RESET");
    assert_eq!(client.command("get a"), refused);
    assert_eq!(client.command("auth sesame"), "+OK");
    assert_eq!(client.command("get a"), "$-1");
    assert_eq!(client.command("reset"), "+RESET");
    assert_eq!(client.command("get a"), refused);
    assert!(client.command("hello 3 auth default sesame").starts_with("%7"));
    assert_eq!(client.command("get a"), "_");
    // Also within one pipeline.
    let mut client = protected();
    let answers = client.send(b"get a\r\nauth default sesame\r\nget a\r\nquit\r\n");
    assert_eq!(answers, b"-NOAUTH Authentication required.\r\n+OK\r\n$-1\r\n+OK\r\n");
    assert_eq!(client.next(), NextStep::Close);
}

#[test]
fn a_single_node_has_no_cluster() {
    let mut client = TestClient::new();
    let disabled = "-ERR This instance has cluster support disabled";
    for line in [
        "cluster info",
        "cluster slots",
        "cluster keyslot a",
        "cluster meet 10.0.0.1 1",
        "cluster help",
        "readonly",
        "readwrite",
        "asking",
    ] {
        assert_eq!(client.command(line), disabled, "{line}");
    }
    assert_eq!(
        client.command("cluster nonsense"),
        "-ERR unknown subcommand 'nonsense'. Try CLUSTER HELP."
    );
    assert_eq!(
        client.command("cluster keyslot"),
        "-ERR wrong number of arguments for 'cluster|keyslot' command"
    );
    client.command("set a 1");
    assert_eq!(client.command("role"), "*3 $6 master :0 *0");
    assert_eq!(client.command("wait 1 100"), ":0");
    assert_eq!(client.command("mget a b c"), "*3 $1 1 $-1 $-1");
}

#[test]
fn unauthenticated_requests_are_limited() {
    let mut client = protected();
    assert_eq!(
        client.send(b"*11\r\n"),
        b"-ERR Protocol error: unauthenticated multibulk length\r\n"
    );
    let mut client = protected();
    let answer = client.send(b"*1\r\n$16385\r\n");
    assert_eq!(answer, b"-ERR Protocol error: unauthenticated bulk length\r\n");
    let mut client = protected();
    client.command("auth sesame");
    let mut request = Vec::new();
    write::request(&mut request, &[&b"SET"[..], b"k", &b"x".repeat(20_000)]);
    assert_eq!(client.send(&request), b"+OK\r\n");
}

#[test]
fn clients_are_listed() {
    let mut client = TestClient::new();
    client.command("client setname rose");
    assert_eq!(client.command("select 5"), "+OK");
    assert_eq!(client.command("client setinfo lib-name petals"), "+OK");
    assert_eq!(client.command("client setinfo LIB-VER 1.0"), "+OK");
    assert_eq!(client.command("client setinfo foo 1"), "-ERR Unrecognized option 'foo'");
    let wrong = "-ERR lib-ver cannot contain spaces, newlines or special characters.";
    assert_eq!(client.command("client setinfo lib-ver '1 0'"), wrong);
    let lines = |reply: Reply| match reply {
        Reply::Bulk(text) => String::from_utf8(text).unwrap().lines().map(str::to_owned).collect(),
        other => panic!("{other:?}"),
    };
    let own: Vec<String> = lines(client.reply("client info"));
    let [own] = &own[..] else { panic!("{own:?}") };
    let begins = "id=7 addr=10.0.0.1:1 laddr=10.0.0.9:6379 fd=0 name=rose age=0 idle=0 flags=N ";
    assert!(own.starts_with(begins) && own.contains(" db=5 "), "{own}");
    assert!(
        own.ends_with(" cmd=client|info user=default redir=-1 resp=2 lib-name=petals lib-ver=1.0"),
        "{own}"
    );
    // Fields that client libraries parse as numbers.
    for name in ["id", "multi", "qbuf", "qbuf-free", "argv-mem", "obl", "oll", "omem", "tot-mem"] {
        let value = own.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        assert!(value.is_some_and(|value| value.parse::<i64>().is_ok()), "{name}: {own}");
    }
    let all: Vec<String> = lines(client.reply("client list"));
    assert!(all[1].starts_with("id=8 addr=10.0.0.2:2 laddr=10.0.0.9:6379 fd=0 name= "));
    assert_eq!(lines(client.reply("client list id 8 9")), all[1..]);
    assert_eq!(lines(client.reply("client list type normal")).len(), 2);
    assert_eq!(lines(client.reply("client list type pubsub")), Vec::<String>::new());
}

#[test]
fn settings_are_those_of_the_database_and_the_server() {
    let mut client = TestClient::new();
    assert_eq!(client.command("config get po* maxmemory"), "*4 $9 maxmemory $1 0 $4 port $4 6379");
    let shown = client.command("config get cluster-etcd-*");
    assert_eq!(shown, "*2 $21 cluster-etcd-password $0", "the password of etcd is shown");
    assert_eq!(client.command("config set timeout 7 maxmemory 2mb"), "+OK");
    assert_eq!(
        client.command("config get timeout maxmemory"),
        "*4 $9 maxmemory $7 2097152 $7 timeout $1 7"
    );
    let failed = |name: &str, why: &str| {
        format!("-ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
    };
    assert_eq!(
        client.command("config set timeout x"),
        failed("timeout", "argument couldn't be parsed")
    );
    assert_eq!(client.command("config set port 1"), failed("port", "can't set immutable config"));
    assert_eq!(
        client.command("config set appendonly no"),
        failed("appendonly", "can't set immutable config")
    );
    // As in Redis, a name that is no setting is not looked for among those before it.
    assert_eq!(
        client.command("config set foo 1 foo 2"),
        "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'"
    );
    // If one value is invalid, the server changes no setting.
    client.command("config set maxmemory 1 maxmemory-policy foo");
    assert_eq!(client.command("config get maxmemory"), "*2 $9 maxmemory $7 2097152");
}

/// A pattern may be as long as a request. Read once for each name, it could take minutes.
#[test]
fn a_pattern_of_names_is_read_once() {
    let mut client = TestClient::new();
    let before = glob::COMPILED.get();
    assert_eq!(
        client.command("config get [L-N]axmemory [s-u]IMEOUT"),
        "*4 $9 maxmemory $1 0 $7 timeout $0"
    );
    assert_eq!(glob::COMPILED.get() - before, 2, "CONFIG GET reads a pattern for each setting");
    let found = client.command("command list filterby pattern [F-g]etrang[D-F]");
    assert_eq!(found, "*1 $8 getrange");
    assert_eq!(glob::COMPILED.get() - before, 3, "COMMAND LIST reads a pattern for each command");
}

#[test]
fn out_of_memory_is_reported() {
    let mut client = TestClient::new();
    client.command("set a b");
    client.command("config set maxmemory 1");
    let full = "-OOM command not allowed when used memory > 'maxmemory'.";
    for line in [
        "set a c",
        "append a c",
        "incr n",
        "mset a 1 b 2",
        "setrange a 0 x",
        "getset a b",
        "sort n store a",
    ] {
        assert_eq!(client.command(line), full, "{line}");
    }
    assert_eq!(client.command("rename a n"), "+OK");
    assert_eq!(client.command("renamenx n a"), ":1");
    let aborted = "-EXECABORT Transaction discarded because of previous errors.";
    for (line, reply) in [("multi", "+OK"), ("set a c", full), ("exec", aborted)] {
        assert_eq!(client.command(line), reply, "{line}");
    }
    assert_eq!(client.command("get a"), "$1 b");
    assert_eq!(client.command("del a"), ":1");
}

#[test]
fn a_closed_log_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let mut client = durable(folder.path());
    assert_eq!(client.command("set a b"), "+OK");
    assert_eq!(client.command("config get appendonly"), "*2 $10 appendonly $3 yes");
    assert_eq!(client.command("save"), "+OK");
    assert_eq!(client.command("bgsave"), "+Background saving started");
    client.db.close().unwrap();
    for line in ["set a c", "del a", "mset a 1 b 2", "flushall"] {
        assert!(client.command(line).starts_with("-MISCONF "), "{line}");
    }
    assert_eq!(client.command("get a"), "$1 b");
}

#[test]
fn replies_wait_for_the_entries_they_show() {
    let folder = tempfile::tempdir().unwrap();
    let mut client = durable(folder.path());
    let mut lsn = |input: &str| client.process(input.as_bytes(), &mut Vec::new()).lsn;
    assert_eq!(lsn("ping\r\nget a\r\n"), 0);
    let first = lsn("set a 1\r\n");
    assert!(first > 0);
    let second = lsn("mset a 1 b 2 c 3\r\nping\r\n");
    assert!(second > first);
    for reads in [
        "get a\r\n",
        "keys *\r\n",
        "dbsize\r\n",
        "scan 0 count 1000\r\n",
        "randomkey\r\n",
        "\"get\" a\r\n",
    ] {
        assert_eq!(lsn(reads), second, "{reads} does not wait for the entries it shows");
    }
}

#[test]
fn scans_visit_all_keys() {
    let mut client = TestClient::new();
    let names: Vec<String> = (0..1000).map(|n| format!("rose:{n}")).collect();
    for name in &names {
        client.command(&format!("set {name} {name}"));
    }
    client.command("set tulip 1");
    let mut found = Vec::new();
    let (mut from, mut steps) = ("0".to_owned(), 0);
    loop {
        let Reply::Array(reply) = client.reply(&format!("scan {from} match rose:* count 20"))
        else {
            panic!()
        };
        let [Reply::Bulk(next), Reply::Array(keys)] = &reply[..] else { panic!("{reply:?}") };
        for key in keys {
            let Reply::Bulk(key) = key else { panic!("{key:?}") };
            found.push(String::from_utf8(key.clone()).unwrap());
        }
        from = String::from_utf8(next.clone()).unwrap();
        steps += 1;
        if from == "0" {
            break;
        }
    }
    assert!(steps > 20);
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(sorted(found), sorted(names.clone()));
    let Reply::Array(keys) = client.reply("keys rose:?[0-4]") else { panic!() };
    assert_eq!(keys.len(), 45);
    assert_eq!(client.command("dbsize"), ":1001");
}

#[test]
fn long_replies_are_made_in_parts() {
    let mut client = TestClient::new();
    let long = "x".repeat(100_000);
    client.command(&format!("set long {long}"));
    let mut input = b"get long\r\n".repeat(1000);
    let mut answered = 0;
    let mut parts = 0;
    while !input.is_empty() {
        let mut out = Vec::new();
        let outcome = client.process(&input, &mut out);
        assert!(outcome.consumed > 0);
        // The first part is as long as possible; then batches become smaller.
        assert!(
            parts == 0
                || out.len() <= REPLY_CHUNK.max(outcome.commands * 100_011)
                    && outcome.commands <= 128
        );
        answered += out.len();
        input.drain(..outcome.consumed);
        parts += 1;
    }
    assert_eq!(answered, 1000 * (100_000 + "$100000\r\n\r\n".len()));
    assert!(parts > 20, "{parts}");
}

#[test]
fn keys_that_are_too_long_do_not_exist() {
    let mut client = TestClient::new();
    let key = "k".repeat(hedgerow_db_engine::request::LONGEST_KEY + 1);
    for (line, wanted) in [
        ("get", "$-1"),
        ("exists", ":0"),
        ("strlen", ":0"),
        ("mget a", "*2 $-1 $-1"),
        ("ttl", ":-2"),
    ] {
        assert_eq!(client.command(&format!("{line} {key}")), wanted, "{line}");
    }
    assert_eq!(
        client.command(&format!("set {key} 1")),
        "-ERR key exceeds maximum allowed size (65535 bytes)"
    );
    assert_eq!(
        client.command(&format!("mset a 1 {key} 1")),
        "-ERR key exceeds maximum allowed size (65535 bytes)"
    );
    assert_eq!(client.command("exists a"), ":0");
    let key = &key[1..];
    assert_eq!(client.command(&format!("set {key} 1")), "+OK");
    assert_eq!(client.command(&format!("get {key}")), "$1 1");
}

#[test]
fn info_has_what_dashboards_read() {
    let mut client = TestClient::new();
    client.command("mset a 1 b 2");
    client.command("expire a 100");
    client.command("get a");
    client.command("get missing");
    let Reply::Bulk(text) = client.reply("info") else { panic!() };
    let text = String::from_utf8(text).unwrap();
    let value = |name: &str| {
        let line = text.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("{name} in {text}")).to_owned()
    };
    let exact = [
        ("redis_version", COMPATIBLE),
        ("redis_mode", "standalone"),
        ("tcp_port", "6379"),
        ("connected_clients", "2"),
        ("maxmemory_policy", "noeviction"),
        ("loading", "0"),
        ("rdb_last_bgsave_status", "ok"),
        ("aof_enabled", "0"),
        ("keyspace_hits", "1"),
        ("keyspace_misses", "1"),
        ("role", "master"),
        ("db0", "keys=2,expires=1,avg_ttl=0"),
    ];
    for (name, wanted) in exact {
        assert_eq!(value(name), wanted, "{name}");
    }
    let numbers = [
        "process_id",
        "uptime_in_seconds",
        "maxclients",
        "blocked_clients",
        "used_memory",
        "used_memory_rss",
        "used_memory_peak",
        "total_system_memory",
        "maxmemory",
        "mem_fragmentation_ratio",
        "mem_not_counted_for_evict",
        "rdb_last_save_time",
        "rdb_changes_since_last_save",
        "rdb_bgsave_in_progress",
        "total_connections_received",
        "total_commands_processed",
        "instantaneous_ops_per_sec",
        "total_net_input_bytes",
        "total_net_output_bytes",
        "rejected_connections",
        "expired_keys",
        "evicted_keys",
        "connected_slaves",
        "master_repl_offset",
        "used_cpu_sys",
        "used_cpu_user",
    ];
    for name in numbers {
        assert!(value(name).parse::<f64>().is_ok(), "{name}");
    }
    assert!(value("used_memory").parse::<u64>().unwrap() > 0);
    let Reply::Bulk(text) = client.reply("info Keyspace nonsense cpu") else { panic!() };
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("# CPU\r\n") && text.contains("\r\n\r\n# Keyspace\r\ndb0:"), "{text}");
    assert_eq!(client.command("info nonsense"), "$0");
}

#[test]
fn command_describes_the_commands() {
    let mut client = TestClient::new();
    let get = "*10 $3 get :2 *2 +readonly +fast :1 :1 :1 *3 +@read +@string +@fast \
        *0 *1 *6 $5 flags *2 +RO +access \
        $12 begin_search *4 $4 type $5 index $4 spec *2 $5 index :1 \
        $9 find_keys *4 $4 type $5 range $4 spec *6 $7 lastkey :0 $7 keystep :1 $5 limit :0 *0";
    assert_eq!(client.command("command info GET foo"), format!("*2 {get} $-1"));
    let Reply::Array(all) = client.reply("command") else { panic!() };
    assert_eq!(all.len(), table::COMMANDS.len());
    let docs = "*2 $3 get *10 $7 summary $27 Returns the value of a key. $5 since $5 1.0.0 $5 group $6 string \
        $10 complexity $4 O(1) $9 arguments *1 *6 $4 name $3 key $4 type $3 key $14 key_spec_index :0";
    assert_eq!(client.command("command docs get foo"), docs);
    let docs = "*2 $11 acl|genpass *10 $7 summary $21 Generates a password. $5 since $5 6.0.0 $5 group $6 server \
        $10 complexity $4 O(1) $9 arguments *1 *6 $4 name $4 bits $4 type $7 integer $5 flags *1 +optional";
    assert_eq!(client.command("command docs acl|GENPASS acl|none"), docs);
    let docs = client.command("command docs acl");
    assert!(docs.contains(" $11 subcommands *26 $7 acl|cat *10 "), "{docs}");
    let Reply::Array(docs) = client.reply("command docs") else { panic!() };
    assert_eq!(docs.len(), 2 * table::COMMANDS.len());
    assert_eq!(
        client.command("command list filterby pattern INCR*"),
        "*3 $4 incr $6 incrby $11 incrbyfloat"
    );
    let Reply::Array(fast) = client.reply("command list filterby aclcat fast") else { panic!() };
    assert!(
        fast.contains(&Reply::Bulk(b"get".to_vec()))
            && !fast.contains(&Reply::Bulk(b"set".to_vec()))
    );
}

#[test]
fn shutdown_and_quit_end_the_connection() {
    for (line, then) in [
        ("shutdown", NextStep::Shutdown { save: false }),
        ("shutdown nosave now force", NextStep::Shutdown { save: false }),
        ("SHUTDOWN SAVE", NextStep::Shutdown { save: true }),
        ("quit", NextStep::Close),
    ] {
        let mut client = TestClient::new();
        let input = format!("set a 1\r\n{line}\r\nset a 2\r\n");
        let mut out = Vec::new();
        let outcome = client.process(input.as_bytes(), &mut out);
        assert_eq!((outcome.next, outcome.consumed), (then, 9 + line.len() + 2), "{line}");
        assert!(out.starts_with(b"+OK\r\n"));
        assert_eq!(client.db.get("a").unwrap().as_deref(), Some(&b"1"[..]), "{line}");
    }
}

/// As Redis 8.4 and Valkey 9 reply. Redis 7 has neither the options nor the command.
#[test]
fn values_are_compared_before_they_change() {
    let mut client = TestClient::new();
    let long = "x".repeat(300_000);
    for (request, reply) in [
        ("SET lock a IFEQ a", "$-1\r\n"),
        ("SET lock a IFNE a", "+OK\r\n"),
        ("SET lock b IFNE a", "$-1\r\n"),
        ("SET lock b IFEQ ab", "$-1\r\n"),
        ("SET lock b ifeq a PX 100000 GET", "$1\r\na\r\n"),
        ("SET lock c IFEQ a GET", "$1\r\nb\r\n"),
        ("SET lock c IFNE b GET", "$1\r\nb\r\n"),
        ("GET lock", "$1\r\nb\r\n"),
        ("SET lock d IFEQ b KEEPTTL", "+OK\r\n"),
        ("DELIFEQ lock b", ":0\r\n"),
        ("DELIFEQ lock d", ":1\r\n"),
        ("DELIFEQ lock d", ":0\r\n"),
        ("SET missing v IFEQ \"\" GET", "$-1\r\n"),
        ("EXISTS lock missing", ":0\r\n"),
        ("SET k v IFEQ", "-ERR syntax error\r\n"),
        ("SET k v IFEQ a NX", "-ERR syntax error\r\n"),
        ("SET k v XX IFNE a", "-ERR syntax error\r\n"),
        ("SET k v IFEQ a IFEQ a", "$-1\r\n"),
        ("SET k v IFNE a IFEQ a", "-ERR syntax error\r\n"),
        ("DELIFEQ k", "-ERR wrong number of arguments for 'delifeq' command\r\n"),
        ("SETRANGE long 299999 x", ":300000\r\n"),
        (&format!("DELIFEQ long {long}"), ":0\r\n"),
        (&format!("SET long {long}"), "+OK\r\n"),
        (&format!("DELIFEQ long y{}", &long[1..]), ":0\r\n"),
        (&format!("DELIFEQ long {long}"), ":1\r\n"),
    ] {
        let mut bytes = Vec::new();
        let words = hedgerow_db_formats::resp::inline::split(request.as_bytes()).unwrap();
        hedgerow_db_formats::resp::write::request(&mut bytes, &words);
        let found = client.send(&bytes);
        assert_eq!(String::from_utf8_lossy(&found), reply, "{}", &request[..request.len().min(60)]);
    }
}

#[test]
fn times_are_reported() {
    let mut client = TestClient::new();
    let Reply::Array(time) = client.reply("time") else { panic!() };
    let number = |reply: &Reply| match reply {
        Reply::Bulk(digits) => std::str::from_utf8(digits).unwrap().parse::<u64>().unwrap(),
        other => panic!("{other:?}"),
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(number(&time[0]).abs_diff(now.as_secs()) < 1000 && number(&time[1]) < 1_000_000);
    client.command("set a 1 px 100000");
    let Reply::Integer(left) = client.reply("pttl a") else { panic!() };
    assert!((40_000..=100_000).contains(&left), "{left}");
    let Reply::Integer(idle) = client.reply("object idletime a") else { panic!() };
    assert!((0..60).contains(&idle), "{idle}");
    let Reply::Integer(bytes) = client.reply("memory usage a samples 5") else { panic!() };
    assert!((2..500).contains(&bytes), "{bytes}");
}

#[test]
fn no_message_follows_the_end_of_its_subscription() {
    let mut client = TestClient::new();
    client.send(b"HELLO 3\r\n");
    client.send(b"SUBSCRIBE news\r\nPSUBSCRIBE n*\r\n");
    assert_eq!(client.hub().publish(b"news", b"1"), 2);
    let message = ">3 $7 message $4 news $1 1 >4 $8 pmessage $2 n* $4 news $1 1";
    let ended = ">3 $11 unsubscribe $4 news :1";
    let got = client.command("UNSUBSCRIBE news");
    assert_eq!(got, format!("{message} {ended}"), "a message follows the end of its subscription");
    assert_eq!(client.hub().publish(b"news", b"2"), 1);
    let message = ">4 $8 pmessage $2 n* $4 news $1 2";
    let got = client.command("PUNSUBSCRIBE");
    assert_eq!(got, format!("{message} >3 $12 punsubscribe $2 n* :0"));
}

/// A client that subscribes to as much as it can costs a bounded amount of memory.
#[test]
fn subscriptions_of_a_client_have_a_limit() {
    let mut client = TestClient::new();
    let name = vec![b'x'; 8 << 20];
    let mut subscribed = 0;
    let refused = loop {
        let mut input = Vec::new();
        let name = [&name[..], subscribed.to_string().as_bytes()].concat();
        write::request(&mut input, &[b"SUBSCRIBE", &name[..]]);
        let reply = client.send(&input);
        if reply.starts_with(b"-") {
            break reply;
        }
        subscribed += 1;
        assert!(subscribed < 100, "a client may subscribe to everything");
    };
    assert_eq!(refused, b"-ERR the subscriptions of this connection exceed 64 MiB\r\n");
    assert_eq!(subscribed, 7);
    assert!(client.command("UNSUBSCRIBE").ends_with(":0"));
    assert_eq!(client.hub().counts().channels, 0);
}

#[test]
fn tools_that_expect_replicas_modules_and_a_debugger_get_replies() {
    let mut client = TestClient::new();
    for line in ["replicaof no one", "SLAVEOF NO ONE"] {
        assert_eq!(client.command(line), "+OK");
    }
    let refused = client.command("replicaof 10.0.0.1 6379");
    assert!(refused.starts_with("-ERR this server cannot be a replica of another"), "{refused}");
    assert_eq!(client.command("module list"), "*0");
    assert_eq!(client.command("module load x"), "-ERR unknown subcommand 'load'. Try MODULE HELP.");
    // A subcommand is named as the client wrote it.
    for (container, line) in [
        ("CLIENT", "Pause 1 all x"),
        ("ACL", "genPass 1 2"),
        ("ACL", "cat a b"),
        ("SLOWLOG", "get 1 2"),
    ] {
        let name = line.split(' ').next().unwrap();
        let why = "unknown subcommand or wrong number of arguments for";
        let wanted = format!("-ERR {why} '{name}'. Try {container} HELP.");
        assert_eq!(client.command(&format!("{container} {line}")), wanted);
    }
    assert!(client.command("module help").starts_with("*5 +MODULE <subcommand>"));
    let refused = client.command("function load x");
    assert!(refused.starts_with("-ERR unknown command 'function': functions are not"), "{refused}");
    let stats = client.command("memory stats");
    for field in ["peak.allocated", "dataset.percentage", "fragmentation.bytes"] {
        assert!(stats.contains(&format!("{field} ")), "{stats}");
    }
    assert!(stats.starts_with("*54 "), "27 fields, as Redis has: {stats}");
}

/// SET refuses it, too: the key would never expire, and no reply could tell when it does.
#[test]
fn no_key_is_restored_with_a_time_beyond_all() {
    let mut client = TestClient::new();
    let restore = r#"restore a 9223372036854775807 "\x00\x03red\n\x00\xe5\xbe7T5\xe6\x8a\xd1""#;
    assert_eq!(client.command(restore), "-ERR invalid expire time in 'restore' command");
    assert_eq!(client.command("exists a"), ":0");
    assert_eq!(client.command(&format!("{restore} absttl")), "+OK");
    assert_eq!(client.command("pexpiretime a"), ":9223372036854775807");
}

#[test]
fn bgrewriteaof_makes_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let mut client = durable(folder.path());
    assert_eq!(client.command("set a b"), "+OK");
    let started = "+Background append only file rewriting started";
    assert_eq!(client.command("bgrewriteaof"), started);
    let began = Instant::now();
    while client.db.stats().last_snapshot_at == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "there is no snapshot");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the time for which this thread has run: on a busy machine, a clock says little.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec.cast_unsigned() as u32)
}

/// The list of clients is locked while it is shown.
#[test]
fn clients_are_listed_as_fast_whatever_ids_are_wanted() {
    let mut client = TestClient::new();
    let found = client.command("CLIENT LIST ID 99 8 98 7 1");
    assert_eq!(
        found.matches(" addr=").count(),
        2,
        "a client whose id is wanted is missing: {found}"
    );
    let ids: Vec<String> = (1_000..1_001_000).map(|id| id.to_string()).collect();
    let mut words = vec![&b"CLIENT"[..], b"LIST", b"ID"];
    words.extend(ids.iter().map(String::as_bytes));
    let mut request = Vec::new();
    write::request(&mut request, &words);
    let [alone, among_others] = [0, 10_000].map(|others| {
        client.set_more_clients(others);
        let started = processor_time();
        assert_eq!(client.send(&request), b"$0\r\n\r\n");
        processor_time().saturating_sub(started)
    });
    assert!(
        among_others < 2 * alone + Duration::from_millis(500),
        "each id is compared with each client: {among_others:?} and not {alone:?}"
    );
}
