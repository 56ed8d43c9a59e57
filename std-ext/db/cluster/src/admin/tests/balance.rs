//! `rebalance` and `drain` on two groups.

use super::*;
use crate::node::tests::groups::{knows_all, of_group, start};

/// The bytes of a group, as a plan shows them.
fn bytes(shown: &Value, group: usize) -> u64 {
    shown["groups"][group]["bytes"].as_u64().unwrap()
}

/// Returns the nodes that have a key.
fn places(groups: &[Vec<Node>], key: &str) -> Vec<usize> {
    let has = |nodes: &Vec<Node>| {
        let nodes = nodes.iter().filter(|node| node.is_primary());
        nodes.filter_map(|node| node.db().get(key).ok().flatten()).count()
    };
    groups.iter().enumerate().flat_map(|(group, nodes)| vec![group; has(nodes)]).collect()
}

#[test]
fn groups_get_the_same_bytes_and_one_is_drained() {
    let Some(etcd) = Etcd::start(1) else { return };
    let folders = [Folders::new(2), Folders::new(2)];
    let mut groups: Vec<Vec<Node>> = (0..2)
        .map(|group| start(&of_group(&etcd, "balance", group), &folders[group as usize]))
        .collect();
    groups.iter().flatten().for_each(knows_all);
    let admin = Admin { etcd: etcd.endpoints().join(","), name: "balance" };
    // Most bytes are in the lower half, and some slots have more than others.
    let keys: Vec<String> = (0..800).map(|n| format!("key {n}")).collect();
    let group_of =
        |key: &str| usize::from(hedgerow_db_formats::slots::slot(key.as_bytes()) >= 8192);
    for (n, key) in keys.iter().enumerate() {
        let group = group_of(key);
        write(&groups[group], key, &"x".repeat(if group == 0 { 100 + n * 3 } else { 20 }));
    }
    let words = ["rebalance"];
    let dry = [&words[..], &["--dry-run"]].concat();
    until("all nodes are registered with their roles", || admin.run(&dry).failed.is_none());
    let planned = admin.healthy(&dry);
    let sum = bytes(&planned, 0) + bytes(&planned, 1);
    assert!(bytes(&planned, 0) > 9 * bytes(&planned, 1), "{planned:#}");
    assert_eq!(planned["groups"][0]["slots"], 8192);
    assert_eq!(planned["groups"][0]["keys"], keys.iter().filter(|key| group_of(key) == 0).count());
    assert_eq!((&planned["moves"][0]["done"], &planned["dry_run"]), (&false.into(), &true.into()));
    let moves = |shown: &Value| shown["moves"].as_array().unwrap().len();
    assert_eq!(moves(&planned), 1, "{planned:#}");

    let made = admin.healthy(&words);
    assert_eq!(made["moves"][0]["done"], true, "{made:#}");
    assert_eq!(made["moves"][0]["slots"], planned["moves"][0]["slots"], "another plan");
    let after = admin.healthy(&dry);
    assert_eq!((bytes(&after, 0) + bytes(&after, 1), moves(&after)), (sum, 0), "{after:#}");
    assert!((sum * 45 / 100..=sum * 55 / 100).contains(&bytes(&after, 0)), "{after:#}");
    for key in &keys {
        assert_eq!(places(&groups, key).len(), 1, "{key}");
    }

    let drained = admin.healthy(&["drain", "--group", "0"]);
    assert_eq!(drained["moves"].as_array().unwrap().len(), 1);
    for key in &keys {
        assert_eq!(places(&groups, key), [1], "{key}");
    }
    let (empty, all) = (groups[0][0].db().session().len(), groups[1][0].db().session().len());
    assert_eq!((empty, all), (0, keys.len()));
    assert_eq!(moves(&admin.healthy(&["drain", "--group", "0"])), 0);

    admin.fails(&[&words[..], &["--within", "0"]].concat(), "from 1 to 100");
    admin.fails(&["drain"], "--group NUMBER");
    admin.fails(&["drain", "--group", "x"], "a group's number");
    let at = 1 - primary(&groups[1]);
    drop(groups[1].remove(at));
    until("its registration ends", || admin.run(&words).failed.is_some());
    admin.fails(&words, "group 1 has no registered follower");
    admin.fails(&["drain", "--group", "0"], "group 1 has no registered follower");
    assert_eq!(admin.run(&["drain", "--group", "1", "--dry-run"]).failed, None, "it keeps no data");
}
