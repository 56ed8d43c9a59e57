//! The commands on nodes in this process over a real etcd. Without one, the test says so and passes.

mod balance;
#[cfg(feature = "tls")]
mod renewal;
mod upgrades;

use super::*;
use crate::etcd::process::Etcd;
use crate::node::tests::{Folders, Node, agree, pairs, primary, settings, until, write};
use hedgerow_db_redis::config::subcommand::SUBCOMMANDS;
use hedgerow_db_redis::config::{Config, Invocation};
use serde_json::Value;

#[test]
fn every_command_has_a_function() {
    let names: Vec<_> = SUBCOMMANDS.iter().map(|command| command.name).collect();
    let functions: Vec<_> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, functions, "the same commands, in the same order");
}

/// The command lines about one cluster.
struct Admin {
    etcd: String,
    name: &'static str,
}

impl Admin {
    fn run(&self, words: &[&str]) -> Done {
        let settings = ["--cluster-etcd", &self.etcd, "--cluster-name", self.name];
        let words = std::iter::once("cluster").chain(words.iter().copied()).chain(settings);
        match Config::read(words.map(str::to_owned), []).unwrap() {
            Invocation::Cluster(asked) => run(&asked),
            other => panic!("{other:?}"),
        }
    }

    /// Returns what a command prints with `--json`, and whether all is well.
    #[track_caller]
    fn json(&self, words: &[&str]) -> (Value, bool) {
        let words: Vec<_> = words.iter().copied().chain(["--json"]).collect();
        let Done { out, healthy, failed, .. } = self.run(&words);
        assert_eq!(failed, None, "{words:?}");
        (serde_json::from_str(&out).unwrap(), healthy)
    }

    /// Runs a command that finds nothing wrong.
    #[track_caller]
    fn healthy(&self, words: &[&str]) -> Value {
        let (found, healthy) = self.json(words);
        assert!(healthy, "{words:?}: {found:#}");
        found
    }

    /// Runs a check that finds nothing wrong, and cannot compare a node.
    #[track_caller]
    fn compares_all_but(&self, node: &str) {
        let Done { out, healthy, incomplete, failed } = self.run(&["check", "--json"]);
        let found: Value = serde_json::from_str(&out).unwrap();
        assert!(failed.is_none() && !healthy && incomplete, "{found:#}");
        assert_eq!(found["problems"].as_array().unwrap().len(), 0, "{found:#}");
        let why = found["not_compared"][0].as_str().unwrap();
        assert!(why.contains(node) && why.contains("is not registered"), "{why}");
    }

    /// Runs a command that finds something wrong.
    #[track_caller]
    fn finds(&self, words: &[&str], wanted: &str) {
        let (found, healthy) = self.json(words);
        let problems = found["problems"].as_array().unwrap();
        let found = problems.iter().any(|one| one.as_str().unwrap().contains(wanted));
        assert!(found && !healthy, "{wanted:?} is missing in {problems:#?}");
    }

    #[track_caller]
    fn fails(&self, words: &[&str], wanted: &str) {
        let done = self.run(words);
        let why = done.failed.unwrap_or(done.out);
        assert!(why.contains(wanted), "{words:?}: {why}");
    }
}

/// Returns the states of the nodes that `nodes` lists, and whether each is a member, sorted.
fn states(listed: &Value) -> Vec<String> {
    let of = |node: &Value| format!("{} {}", node["state"].as_str().unwrap(), node["member"]);
    let mut states: Vec<_> = listed["nodes"].as_array().unwrap().iter().map(of).collect();
    states.sort();
    states
}

#[test]
fn a_cluster_is_looked_after() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (settings(&etcd, "admin"), Folders::new(3));
    let admin = Admin { etcd: etcd.endpoints().join(","), name: "admin" };
    admin.fails(&["status"], "etcd has no cluster at /hedgerow/admin/format");
    let mut nodes: Vec<Node> = Node::start_all(&settings, &folders, 3);
    let mut written = pairs(0, 40);
    for (key, value) in &written {
        write(&nodes, key, value);
    }
    agree(&nodes, &written);
    // Registrations and disks are told once a second.
    let is_loading = |status: &Value| {
        let members = status["members"].as_array().unwrap();
        members.iter().any(|member| member["state"] == "loading")
    };
    until("the status is fine", || {
        let (status, healthy) = admin.json(&["status"]);
        healthy && !is_loading(&status)
    });
    let status = admin.healthy(&["status"]);
    let id = |node: &Node| node.member.id().to_string();
    let at = primary(&nodes);
    assert_eq!(status["log"]["primary"], id(&nodes[at]));
    assert_eq!(
        (status["format"].as_u64(), status["members"][2]["port"].as_u64()),
        (Some(2), Some(7000))
    );
    assert_eq!(status["etcd"][0]["leader"], true);

    let listed = admin.healthy(&["nodes"]);
    assert_eq!(states(&listed), ["follower true", "follower true", "primary true"]);
    let coordinates = |node: &&Node| node.member.monitor().coordinates();
    let coordinator = nodes.iter().find(coordinates).map(id).expect("one coordinates");
    assert_eq!((&listed["coordinator"], &listed["spares"]), (&coordinator.into(), &0.into()));

    let checked = admin.healthy(&["check"]);
    assert_eq!(checked["nodes"].as_array().unwrap().len(), 3);
    assert_eq!(checked["nodes"][0]["keys"], 40);
    assert_eq!(checked["lsn"], checked["nodes"][2]["lsn"]);

    let to = id(&nodes[(at + 1) % 3]);
    let moved = admin.healthy(&["handover", "--to", &to[..8]]);
    assert_eq!((moved["to"].as_str(), moved["changed"].as_bool()), (Some(&*to), Some(true)));
    until("it serves", || nodes[(at + 1) % 3].is_primary());
    let again = admin.healthy(&["handover", "--to", &to]);
    assert_eq!(again["changed"], false);

    // A member that is away keeps the log in etcd.
    let gone = nodes.remove((at + 2) % 3);
    let gone_id = id(&gone);
    admin.fails(&["forget", &gone_id], "is registered");
    drop(gone);
    let more = pairs(40, 50);
    for (key, value) in &more {
        write(&nodes, key, value);
    }
    written.extend(more);
    agree(&nodes, &written);
    until("its registration ends", || {
        admin.json(&["status"]).0["members"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["state"] == "absent")
    });
    admin.finds(&["status"], &format!("hedgerow-db cluster forget {gone_id}"));
    admin.compares_all_but(&gone_id);
    until("the coordinator misses it", || {
        let listed = admin.json(&["nodes"]).0;
        let nodes = listed["nodes"].as_array().unwrap();
        let gone = nodes.iter().find(|node| node["node"] == *gone_id).unwrap();
        gone["state"] == "gone" && gone["gone_since_ms"].is_u64()
    });
    assert_eq!(states(&admin.json(&["nodes"]).0), ["follower true", "gone true", "primary true"]);
    let log = admin.json(&["status"]).0["log"].clone();
    let number = |name: &str| log[name].as_u64().unwrap();
    let (first, last) = (number("first_seq"), number("seq"));
    assert!(first + 4 < last, "etcd has trimmed what a member needs: {log:#}");
    let batch = |seq: u64| format!("/hedgerow/admin/g/0/log/{seq:020}");
    etcd.etcdctl(&["del", &batch(last - 3)]);
    admin.finds(&["check"], &format!("{} is missing", last - 3));
    etcd.etcdctl(&["put", &batch(last - 3), "no batch"]);
    admin.finds(&["check"], &format!("batch {} cannot be read", last - 3));

    let forgotten = admin.healthy(&["forget", &gone_id]);
    assert_eq!(
        (forgotten["copies"].as_u64(), &forgotten["forgotten"]),
        (Some(2), &Value::from(&*gone_id))
    );
    admin.fails(&["forget", &gone_id], "no member id begins with");
    // Nobody needs the batches any more, so the one that is wrong goes, too.
    until("etcd forgets them", || {
        admin.json(&["status"]).0["log"]["first_seq"].as_u64() > Some(last - 3)
    });
    admin.healthy(&["check"]);

    lose_a_key(&nodes[1 - primary(&nodes)], "key 7");
    admin.finds(&["check"], "differ in the slots");
}

/// Its registration stays for five seconds, and another node is the primary sooner.
#[test]
fn a_primary_that_was_killed_is_shown_as_none() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (settings(&etcd, "killed"), Folders::new(2));
    let admin = Admin { etcd: etcd.endpoints().join(","), name: "killed" };
    let mut nodes: Vec<Node> = Node::start_all(&settings, &folders, 2);
    write(&nodes, "rose", "red");
    until("the status is fine", || admin.json(&["status"]).1);
    let every = admin.healthy(&["status", "--all-groups"]);
    assert_eq!((every.as_array().unwrap().len(), &every[0]["group"]), (1, &0.into()));
    until("a check of all groups is fine", || admin.json(&["check", "--all-groups"]).1);
    admin.fails(&["status", "--all-groups", "--group", "0"], "exclude each other");
    for command in ["status", "check", "handover"] {
        admin.fails(&[command, "--group", "7"], "no group 7: its only group is 0");
    }
    let at = primary(&nodes);
    let killed = nodes.remove(at);
    let id = killed.member.id().to_string();
    drop(killed);
    until("the other one takes over", || nodes[0].is_primary());
    let (status, healthy) = admin.json(&["status"]);
    let state = |id: &str| {
        let members = status["members"].as_array().unwrap();
        let member = members.iter().find(|member| member["node"] == id).unwrap();
        member["state"].as_str().unwrap()
    };
    let next = nodes[0].member.id().to_string();
    assert_eq!(state(&next), "primary");
    assert!(["silent", "absent"].contains(&state(&id)), "it is {}", state(&id));
    assert!(!healthy && status["problems"][0].as_str().unwrap().contains(&id), "{status:#}");
    let listed = admin.json(&["nodes"]).0;
    let primaries = states(&listed).iter().filter(|state| state.starts_with("primary")).count();
    assert_eq!(primaries, 1, "{listed:#}");
}

/// Removes a key of one node, as a fault would.
fn lose_a_key(node: &Node, key: &str) {
    let state = node.db().state();
    let shard = &state.shards[state.shard_of(key.as_bytes())];
    let mut core = shard.lock();
    let record = core.find(key.as_bytes()).unwrap();
    core.remove(record);
    state.log_and_publish(shard, &mut core, 0, &[]);
}

#[test]
fn an_etcd_that_does_not_answer_is_named() {
    let admin = Admin { etcd: "http://127.0.0.1:9".to_owned(), name: "admin" };
    let done = admin.run(&["status", "--json"]);
    let why = done.failed.unwrap();
    assert!(why.contains("127.0.0.1:9"), "{why}");
    let json: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(json["error"], *why);
}

#[test]
fn the_nodes_of_many_groups_are_listed() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (mut settings, folders) = (settings(&etcd, "many"), Folders::new(2));
    let admin = Admin { etcd: etcd.endpoints().join(","), name: "many" };
    admin.fails(&["nodes"], "etcd has no cluster of this name");
    // More groups than one transaction reads. The first node is in the last one.
    (settings.groups, settings.group) = (60, 59);
    let last = Node::start(&settings, folders.at(0)).unwrap();
    settings.auto_group = true;
    let placed = Node::start(&settings, folders.at(1)).unwrap();
    let of = |node: &Node, group: u32| (node.member.id().to_string(), u64::from(group));
    until("both are members of their groups", || {
        let listed = admin.json(&["nodes"]).0;
        let nodes = listed["nodes"].as_array().unwrap().iter();
        let found = nodes.filter(|node| node["member"] == true).map(|node| {
            (node["node"].as_str().unwrap().to_owned(), node["group"].as_u64().unwrap())
        });
        found.eq([of(&placed, 0), of(&last, 59)])
    });
}
