//! builds: default
//!
//! The most used Redis client for Rust, doing what programs do with it: it takes this server for Redis.

mod support;

use redis::{
    Client, Commands, Connection, ConnectionLike, ErrorKind, ExistenceCheck, Expiry, RedisError,
    ServerErrorKind, SetExpiry, SetOptions, Value, ValueType,
};
use std::collections::{HashMap, HashSet};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::Running;

/// Both protocols, because most programs still use the older one.
const PROTOCOLS: [&str; 2] = ["resp2", "resp3"];

fn connect(server: &Running, protocol: &str) -> Connection {
    let url = format!("redis://{}/?protocol={protocol}", server.address);
    let connection = Client::open(url).unwrap().get_connection().unwrap();
    // Fail rather than wait for ever.
    connection.set_read_timeout(Some(support::LIMIT)).unwrap();
    connection
}

fn in_both(test: impl Fn(&mut Connection)) {
    for protocol in PROTOCOLS {
        test(&mut connect(&Running::new(|_| {}), protocol));
    }
}

/// Returns the kind and the text of an error reply.
fn error_of<T>(result: Result<T, RedisError>) -> (ErrorKind, String) {
    let why = result.err().expect("it is refused");
    (why.kind(), why.detail().unwrap_or_default().to_owned())
}

#[test]
fn values_are_stored_and_read() {
    in_both(|it| {
        let _: () = it.set("rose", "red").unwrap();
        assert_eq!(it.get::<_, Option<String>>("rose").unwrap().as_deref(), Some("red"));
        assert_eq!(it.get::<_, Option<String>>("violet").unwrap(), None);
        let all: Vec<u8> = (0..=255).chain([b'\r', b'\n', 0]).collect();
        let _: () = it.set(&all, &all).unwrap();
        assert_eq!(it.get::<_, Vec<u8>>(&all).unwrap(), all);
        assert_eq!(it.append::<_, _, usize>("rose", "dish").unwrap(), 7);
        assert_eq!(it.getrange::<_, String>("rose", -4, -1).unwrap(), "dish");
        assert_eq!(it.setrange::<_, _, usize>("rose", 3, "RISH").unwrap(), 7);
        assert_eq!(it.get_del::<_, String>("rose").unwrap(), "redRISH");
        assert!(!it.exists::<_, bool>("rose").unwrap());
        let big: Vec<u8> = (0..5_u32 << 20).map(|place| (place % 253) as u8).collect();
        let _: () = it.set("big", &big).unwrap();
        assert_eq!(it.strlen::<_, usize>("big").unwrap(), big.len());
        assert!(it.get::<_, Vec<u8>>("big").unwrap() == big);
    });
}

#[test]
fn conditions_and_expirations_work() {
    in_both(|it| {
        let with = SetOptions::default;
        let absent = with().conditional_set(ExistenceCheck::NX).with_expiration(SetExpiry::EX(100));
        assert!(it.set_options::<_, _, bool>("lock", "mine", absent.clone()).unwrap());
        assert!(!it.set_options::<_, _, bool>("lock", "yours", absent).unwrap());
        assert!((99..=100).contains(&it.ttl::<_, i64>("lock").unwrap()));
        let keeping = with().with_expiration(SetExpiry::KEEPTTL).get(true);
        assert_eq!(it.set_options::<_, _, String>("lock", "still", keeping).unwrap(), "mine");
        assert!((98_000..=100_000).contains(&it.pttl::<_, i64>("lock").unwrap()));
        let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 1000;
        let until = with().with_expiration(SetExpiry::EXAT(end));
        let _: () = it.set_options("until", 1, until).unwrap();
        assert_eq!(it.expire_time::<_, u64>("until").unwrap(), end);
        assert_eq!(it.get_ex::<_, String>("until", Expiry::PERSIST).unwrap(), "1");
        assert_eq!(it.ttl::<_, i64>("until").unwrap(), -1);
        let _: () = it.pset_ex("soon", 1, 30).unwrap();
        thread::sleep(Duration::from_millis(60));
        assert_eq!(it.get::<_, Option<i32>>("soon").unwrap(), None);
        assert_eq!(it.ttl::<_, i64>("soon").unwrap(), -2);
    });
}

#[test]
fn numbers_are_counted() {
    in_both(|it| {
        assert_eq!(it.incr::<_, _, i64>("n", 1).unwrap(), 1);
        assert_eq!(it.incr::<_, _, i64>("n", 41).unwrap(), 42);
        assert_eq!(it.decr::<_, _, i64>("n", 2).unwrap(), 40);
        let half: f64 = it.incr("n", 0.5).unwrap();
        assert!((half - 40.5).abs() < 1e-12);
        let (kind, said) = error_of(it.incr::<_, _, i64>("n", 1));
        assert_eq!(kind, ErrorKind::Server(ServerErrorKind::ResponseError));
        assert_eq!(said, "value is not an integer or out of range");
    });
}

#[test]
fn multi_key_commands_work() {
    in_both(|it| {
        let pairs: Vec<_> = (0..100).map(|n| (format!("key {n}"), n)).collect();
        let _: () = it.mset(&pairs).unwrap();
        let names: Vec<_> = pairs.iter().map(|(name, _)| &name[..]).chain(["none"]).collect();
        let got: Vec<Option<i32>> = it.mget(names).unwrap();
        assert!(got.iter().copied().eq((0..100).map(Some).chain([None])));
        assert!(!it.mset_nx::<_, _, bool>(&[("key 1", 7), ("new", 7)]).unwrap());
        assert!(!it.exists::<_, bool>("new").unwrap());
        let met: HashSet<String> = it.scan_match("key ?").unwrap().map(Result::unwrap).collect();
        assert_eq!(met, (0..10).map(|n| format!("key {n}")).collect());
        assert_eq!(
            it.scan::<String>().unwrap().map(Result::unwrap).collect::<HashSet<_>>().len(),
            100
        );
        let kind = |it: &mut Connection, key| it.key_type::<_, ValueType>(key).unwrap();
        assert_eq!((kind(it, "key 1"), kind(it, "none")), (ValueType::String, ValueType::None));
        assert!(it.rename::<_, _, bool>("key 1", "one").unwrap());
        assert_eq!(it.del::<_, usize>(&["one", "key 2", "none"]).unwrap(), 2);
        let size: usize = redis::cmd("DBSIZE").query(it).unwrap();
        assert_eq!(size, 98);
    });
}

#[test]
fn pipelines_are_answered_in_order() {
    in_both(|it| {
        let mut pipe = redis::pipe();
        for n in 0..5000 {
            pipe.set(format!("key {n}"), n).ignore().incr("sum", n).get(format!("key {}", n / 2));
        }
        let got: Vec<i64> = pipe.query(it).unwrap();
        let wanted = (0..5000).scan(0, |sum, n| {
            *sum += n;
            Some([*sum, n / 2])
        });
        assert_eq!(got, wanted.flatten().collect::<Vec<_>>());
        // A failing command does not affect those around it.
        let mut pipe = redis::pipe();
        pipe.set("a", "x").ignore().incr("a", 1).set("b", "y").ignore();
        let (kind, _) = error_of(pipe.query::<Vec<Value>>(it));
        assert_eq!(kind, ErrorKind::Server(ServerErrorKind::ResponseError));
        assert_eq!(it.mget::<_, (String, String)>(&["a", "b"]).unwrap(), ("x".into(), "y".into()));
    });
}

#[test]
fn transactions_are_executed_as_a_whole() {
    in_both(|it| {
        it.set::<_, _, ()>("b", "y").unwrap();
        let mut pipe = redis::pipe();
        pipe.atomic().set("n", 1).ignore().incr("n", 1).get("b");
        assert_eq!(pipe.query::<(i64, String)>(it).unwrap(), (2, "y".into()));
        // Another change comes between, the first time.
        let mut attempts = 0;
        let (sum,): (i64,) = redis::transaction(it, &["n"], |it, pipe| {
            let n: i64 = it.get("n")?;
            attempts += 1;
            if attempts == 1 {
                it.set::<_, _, ()>("n", 7)?;
            }
            pipe.incr("n", n).query(it)
        })
        .unwrap();
        assert_eq!((sum, attempts), (14, 2));
    });
}

#[test]
fn the_server_describes_itself() {
    in_both(|it| {
        let info: redis::InfoDict = redis::cmd("INFO").query(it).unwrap();
        assert_eq!(info.get::<String>("role").as_deref(), Some("master"));
        assert_eq!(info.get::<u32>("process_id"), Some(std::process::id()));
        let _: () = redis::cmd("CLIENT").arg("SETNAME").arg("rust").query(it).unwrap();
        let list: String = redis::cmd("CLIENT").arg("LIST").query(it).unwrap();
        assert!(list.contains("name=rust ") && list.contains("lib-name=redis-rs"), "{list}");
        let limits: HashMap<String, String> =
            redis::cmd("CONFIG").arg("GET").arg("maxmemory*").query(it).unwrap();
        assert_eq!(limits["maxmemory-policy"], "noeviction");
        let (kind, said) = error_of(redis::cmd("LOLWUT").query::<()>(it));
        assert_eq!(kind, ErrorKind::Server(ServerErrorKind::ResponseError));
        assert!(said.starts_with("unknown command 'LOLWUT'"), "{said}");
    });
}

#[test]
fn passwords_are_checked() {
    let server = Running::new(|config| config.password = Some("open sesame".into()));
    let at = server.address;
    for protocol in PROTOCOLS {
        let open = |user: &str| {
            let url = format!("redis://{user}{at}/?protocol={protocol}");
            Client::open(url).unwrap().get_connection()
        };
        let mut it = open(":open%20sesame@").unwrap();
        let _: () = it.set("rose", "red").unwrap();
        let mut it = open("default:open%20sesame@").unwrap();
        assert_eq!(it.get::<_, String>("rose").unwrap(), "red");
        assert!(open(":mellon@").is_err() && open("somebody:open%20sesame@").is_err());
        // An unauthenticated client can connect, but gets only errors.
        let result = open("").and_then(|mut it| it.get::<_, String>("rose"));
        assert!(result.unwrap_err().to_string().contains("NOAUTH"), "{protocol}");
    }
}

#[test]
fn many_connections_count_together() {
    let server = Running::new(|_| {});
    thread::scope(|scope| {
        for thread in 0..8 {
            let mut it = connect(&server, PROTOCOLS[thread % 2]);
            scope.spawn(move || {
                for _ in 0..200 {
                    let _: () = it.incr("n", 1).unwrap();
                }
            });
        }
    });
    assert_eq!(connect(&server, "resp2").get::<_, u64>("n").unwrap(), 1600);
}

#[cfg(unix)]
#[test]
fn clients_reconnect_to_a_restarted_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let start = || Running::new(|config| config.unix = Some(path.clone()));
    let server = start();
    let client = Client::open(format!("redis+unix://{}?protocol=resp3", path.display())).unwrap();
    let mut it = client.get_connection().unwrap();
    let _: () = it.set("rose", "red").unwrap();
    server.end();
    assert!(it.get::<_, Option<String>>("rose").is_err() && !it.is_open());
    assert!(client.get_connection().is_err());
    let _again = start();
    let mut it = client.get_connection().unwrap();
    assert_eq!(it.get::<_, Option<String>>("rose").unwrap(), None);
}
