//! builds: default
//!
//! The cluster client of this crate, on two groups of two nodes: it reaches the keys of all slots, and goes on when a
//! primary is killed.

use crate::LIMIT;
use crate::etcd::Etcd;
use crate::groups::{Groups, ask, key_of_each_slot};
use hedgerow_db::client::{ClientError, ClusterClient};
use hedgerow_db::resp::read::Reply;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Connects a client that knows one node, and tries longer than a failover takes on a busy machine.
fn connect(groups: &Groups, n: usize) -> ClusterClient {
    let mut client = ClusterClient::connect(&[format!("127.0.0.1:{}", groups.ports[n])]).unwrap();
    client.set_limits(10_000, LIMIT);
    client
}

#[test]
fn the_client_of_this_crate_reaches_all_slots_and_survives_a_primary() {
    let Some(etcd) = Etcd::start(1) else { return };
    let mut groups = Groups::new(&etcd, 2);
    let keys = key_of_each_slot();
    let (mut one, mut other) = (connect(&groups, 0), connect(&groups, 3));
    write(&mut one, &keys, "first");
    assert_eq!(read(&mut other, &keys), vec!["first"; keys.len()]);
    for group in 0..2 {
        let port = groups.ports[groups.primary(group)];
        assert_eq!(ask(port, &["DBSIZE"]), (keys.len() / 2).to_string(), "of group {group}");
    }
    let (mine, theirs) = (&keys[7], &keys[16_000]);
    one.set(mine, "mine").unwrap();
    assert_eq!(other.get(mine).unwrap().as_deref(), Some(&b"mine"[..]));
    assert!(other.delete(mine).unwrap() && !one.set_if_absent(theirs, "theirs").unwrap());

    let dead = groups.primary(1);
    increments_are_counted_while(theirs, &mut groups, |groups| groups.kill(dead));
    // These clients were idle. They notice the closed connections before they send anything, so no outcome is unknown.
    write(&mut one, &keys, "second");
    other.add(theirs, 1).unwrap_err();
    assert_eq!(read(&mut other, &keys), vec!["second"; keys.len()]);
    assert_ne!(groups.primary(1), dead);
    groups.start(dead);
    groups.wait_for_all();
    assert_eq!(read(&mut connect(&groups, dead), &keys), vec!["second"; keys.len()]);
}

/// Writes one value to all keys by pipelines.
fn write(client: &mut ClusterClient, keys: &[String], value: &str) {
    for keys in keys.chunks(2048) {
        let mut pipeline = client.pipeline();
        for key in keys {
            pipeline.command(&["SET", key, value]);
        }
        let replies = pipeline.send().unwrap();
        assert_eq!(replies, vec![Reply::Simple(b"OK".to_vec()); keys.len()]);
    }
}

/// Reads all keys by pipelines.
fn read(client: &mut ClusterClient, keys: &[String]) -> Vec<String> {
    let mut values = Vec::new();
    for keys in keys.chunks(2048) {
        let mut pipeline = client.pipeline();
        for key in keys {
            pipeline.command(&["GET", key]);
        }
        values.extend(pipeline.send().unwrap().into_iter().map(|reply| match reply {
            Reply::Bulk(value) => String::from_utf8(value).unwrap(),
            other => panic!("{other:?}"),
        }));
    }
    values
}

/// Increments a number in a loop while something happens. Each acknowledged increment counts once, and one with an
/// unknown outcome once at most.
fn increments_are_counted_while(key: &str, groups: &mut Groups, happens: impl FnOnce(&mut Groups)) {
    let mut client = connect(groups, 0);
    assert!(client.delete(key).unwrap());
    let (acknowledged, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    // All orderings are relaxed: the values that are compared are read after the thread has ended.
    let more = || {
        let (wanted, end) = (acknowledged.load(Ordering::Relaxed) + 50, Instant::now() + LIMIT);
        while acknowledged.load(Ordering::Relaxed) < wanted {
            assert!(Instant::now() < end, "the client does not go on");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let (unknown, value) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut unknown = 0;
            while !stop.load(Ordering::Relaxed) {
                match client.add(key, 1) {
                    Ok(_) => drop(acknowledged.fetch_add(1, Ordering::Relaxed)),
                    Err(ClientError::Io(_)) => unknown += 1,
                    Err(why) => panic!("{why}"),
                }
            }
            (unknown, client.add(key, 0).unwrap())
        });
        more();
        happens(groups);
        more();
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    let (acknowledged, value) = (acknowledged.into_inner(), value.cast_unsigned());
    println!("{acknowledged} acknowledged, {unknown} unknown, the sum is {value}");
    assert!((acknowledged..=acknowledged + unknown).contains(&value), "{value}");
    assert!(unknown <= 5, "{unknown} requests have an unknown outcome");
}
