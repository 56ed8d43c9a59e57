//! builds: default
//!
//! redis-rs's client for clusters, on two servers whose views the test publishes. Each server has a database of its
//! own, so a value says which one has stored it.

#[path = "support/group.rs"]
mod group;
mod support;

use group::{Cluster, EndpointType};
use hedgerow_db_engine::not_run::not_run;
use redis::{Commands, RedisError};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn changes_go_to_the_primary_whichever_node_is_known() {
    for endpoint_type in [EndpointType::Ip, EndpointType::Hostname, EndpointType::Unknown] {
        let cluster = Cluster::new(endpoint_type);
        for known in 0..2 {
            let mut client = cluster.connect(known, false);
            let _: () = client.set("rose", format!("red {known}")).unwrap();
            assert_eq!(client.get::<_, String>("rose").unwrap(), format!("red {known}"));
            assert_eq!(cluster.stored(0, "rose"), format!("red {known}"), "{endpoint_type:?}");
        }
        assert_eq!(cluster.stored(1, "rose"), "", "the follower has made a change");
    }
}

#[test]
fn clients_follow_the_primary() {
    let cluster = Cluster::new(EndpointType::Ip);
    let mut client = cluster.connect(0, false);
    let _: () = client.set("rose", "red").unwrap();
    cluster.make_primary(1);
    let _: () = client.set("rose", "white").unwrap();
    assert_eq!(
        (cluster.stored(0, "rose"), cluster.stored(1, "rose")),
        ("red".into(), "white".into())
    );
    // Without a primary, the client tries again until there is one.
    cluster.lose_primary();
    std::thread::scope(|scope| {
        let set = scope.spawn(|| client.set::<_, _, ()>("rose", "pink"));
        std::thread::sleep(Duration::from_millis(200));
        cluster.make_primary(0);
        set.join().unwrap().unwrap();
    });
    assert_eq!(cluster.stored(0, "rose"), "pink");
}

#[test]
fn clients_read_from_followers_if_they_want_to() {
    let cluster = Cluster::new(EndpointType::Ip);
    let mut client = cluster.connect(0, true);
    let _: () = client.set("rose", "red").unwrap();
    // The follower has nothing.
    assert_eq!(client.get::<_, Option<String>>("rose").unwrap(), None);
    cluster.0[1].views.set_as_of(0, 0);
    let stale: Result<Option<String>, RedisError> = client.get("rose");
    assert!(stale.is_err() || stale.unwrap().as_deref() == Some("red"), "too old data was read");
}

#[test]
fn keys_of_several_slots_are_split_by_the_client() {
    let cluster = Cluster::new(EndpointType::Ip);
    let mut client = cluster.connect(1, false);
    let _: () = client.set("a", 1).unwrap();
    let _: () = client.set("b", 2).unwrap();
    assert_eq!(client.mget::<_, Vec<u32>>(&["a", "b"]).unwrap(), [1, 2]);
    let crossed: Result<(), RedisError> = redis::cmd("RENAME").arg("a").arg("b").query(&mut client);
    assert!(crossed.is_err());
}

/// A program with redis-py. It says when the primary may change, and waits until it has changed.
const PYTHON: &str = r#"
import sys
from redis.cluster import RedisCluster
it = RedisCluster(host="127.0.0.1", port=int(sys.argv[1]), socket_timeout=20)
it.set("rose", "red")
assert it.get("rose") == b"red"
kinds = sorted(node.server_type for node in it.get_nodes())
assert kinds == ["primary", "replica"], kinds
nodes = it.cluster_nodes()
assert sorted(node["flags"].replace("myself,", "") for node in nodes.values()) == ["master", "slave"], nodes
assert [node["slots"] for node in nodes.values() if "master" in node["flags"]] == [[["0", "16383"]]], nodes
slots = it.cluster_slots()
assert list(slots) == [(0, 16383)] and len(slots[0, 16383]["replicas"]) == 1, slots
assert it.cluster_info()["cluster_state"] == "ok"
if hasattr(it, "cluster_shards"):
    shards = it.cluster_shards()
    assert str(shards[0]["slots"]).strip("[()]") == "0, 16383" and len(shards[0]["nodes"]) == 2, shards
assert it.cluster_keyslot("foo") == 12182
assert it.mget_nonatomic(["rose", "tulip"]) == [b"red", None]
print("ready", flush=True)
sys.stdin.readline()
it.set("rose", "white")
assert it.get("rose") == b"white"
"#;

#[test]
fn redis_py_follows_the_primary() {
    let interpreters = ["/usr/bin/python3", "python3"];
    let has_client = |program: &&&str| {
        let output = Command::new(program).args(["-c", "import redis.cluster"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let Some(program) = interpreters.iter().find(has_client) else {
        not_run("no Python with the package redis (apt-get install python3-redis)");
        return;
    };
    let cluster = Cluster::new(EndpointType::Ip);
    let port = cluster.0[1].address().port().to_string();
    let mut command = Command::new(program);
    command.args(["-c", PYTHON, &port]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if line == "ready\n" {
        cluster.make_primary(1);
    }
    // If the program has failed, its pipe is closed.
    let _ = child.stdin.take().unwrap().write_all(b"go\n");
    assert!(child.wait().unwrap().success(), "see what Python has printed");
    assert_eq!(
        (cluster.stored(0, "rose"), cluster.stored(1, "rose")),
        ("red".into(), "white".into())
    );
}
