//! Nodes of two versions in one cluster. The older one is this one with fewer formats.

use super::*;
use crate::NodeExit;
use hedgerow_db_redis::config::{ClusterSettings, Formats};

/// Returns the settings of a node of the version before.
fn older(settings: &ClusterSettings) -> ClusterSettings {
    ClusterSettings { formats: Formats { lowest: 1, highest: 1 }, ..settings.clone() }
}

/// Writes a key, and checks that all nodes get it.
fn serve(nodes: &[Node], key: &str) {
    write(nodes, key, "red");
    agree(nodes, &[(key.to_owned(), "red".to_owned())]);
}

#[test]
fn the_format_is_raised_once_all_nodes_read_it() {
    let Some(etcd) = Etcd::start(1) else { return };
    let admin = Admin { etcd: etcd.endpoints().join(","), name: "upgrade" };
    let (new, folders) = (settings(&etcd, admin.name), Folders::new(3));
    let old = older(&new);
    let mut nodes =
        vec![Node::start(&old, folders.at(0)).unwrap(), Node::start(&old, folders.at(1)).unwrap()];
    serve(&nodes, "of the old version");

    // One node is upgraded, and goes back, and forth again. Both versions lead once.
    for settings in [&new, &old, &new] {
        drop(nodes.remove(0));
        nodes.insert(0, Node::start(settings, folders.at(0)).unwrap());
        until("there is a primary", || nodes.iter().any(Node::is_primary));
        serve(&nodes, "of both versions");
    }
    for _ in 0..2 {
        until("a follower takes over", || admin.run(&["handover"]).failed.is_none());
        serve(&nodes, "of both versions");
    }
    let found = admin.json(&["upgrade"]);
    assert_eq!((&found.0["format"], found.1), (&Value::from(1), false), "{:#}", found.0);
    let away = nodes[1].member.id().to_string();
    let refused = admin.run(&["upgrade", "--finish"]).failed.expect("an older node runs");
    assert!(refused.contains(&away) && refused.contains("reads formats up to 1"), "{refused}");
    // Nothing that only the later format has is written yet.
    let group = ClusterSettings { group: 1, ..new.clone() };
    let refused = Node::start(&group, folders.at(2)).err().expect("a group begins in format 1");
    assert!(refused.contains("allows only one group"), "{refused}");

    // A member that is away may come back with the old version.
    drop(nodes.remove(1));
    until("its registration ends", || {
        admin.json(&["status"]).0["members"][1]["state"] == "absent"
            || admin.json(&["status"]).0["members"][0]["state"] == "absent"
    });
    let refused = admin.run(&["upgrade", "--finish"]).failed.expect("a member is away");
    assert!(refused.contains(&format!("member {away} is absent")), "{refused}");
    nodes.push(Node::start(&new, folders.at(1)).unwrap());
    until("all nodes are ready", || admin.json(&["upgrade"]).1);
    let raised = admin.healthy(&["upgrade", "--finish"]);
    assert_eq!((&raised["format"], &raised["raised"]), (&Value::from(2), &Value::from(true)));
    assert_eq!(admin.healthy(&["upgrade", "--finish"])["raised"], false, "it is raised twice");
    serve(&nodes, "of the new version");

    let refused = Node::start(&old, folders.at(2)).err().unwrap();
    assert!(refused.contains("format 2") && refused.contains("upgrade this node"), "{refused}");
    let more = Node::start(&group, folders.at(2)).unwrap();
    until("the second group has a primary", || more.is_primary());
}

#[test]
fn a_node_stops_when_its_cluster_gets_a_format_that_it_does_not_read() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (older(&settings(&etcd, "later")), Folders::new(1));
    let node = Node::start(&settings, folders.at(0)).unwrap();
    serve(std::slice::from_ref(&node), "before");
    let format = etcd.etcdctl(&["get", "--print-value-only", "/hedgerow/later/format"]);
    etcd.etcdctl(&["put", "/hedgerow/later/format", "nonsense"]);
    serve(std::slice::from_ref(&node), "beside nonsense");
    let later = format.trim().replace("\"format\":1", "\"format\":2");
    etcd.etcdctl(&["put", "/hedgerow/later/format", &later]);
    until("the node has stopped", || node.exit().is_some());
    let Some(NodeExit::Stop(why)) = node.exit() else { panic!("{:?}", node.exit()) };
    assert!(why.contains("format 2") && why.contains("upgrade this node"), "{why}");
}
