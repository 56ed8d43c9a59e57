//! Nodes that the coordinator places in groups.

use super::*;
use hedgerow_db_group::Members;
use std::fs;

/// Returns the settings of a node that the cluster places.
fn auto(etcd: &Etcd, name: &str, port: u16) -> ClusterSettings {
    let mut settings = settings(etcd, name);
    settings.auto_group = true;
    settings.announce.port = port;
    settings
}

#[test]
fn nodes_without_a_group_are_placed_and_keep_their_place() {
    let Some(etcd) = Etcd::start(1) else { return };
    let folders = Folders::new(2);
    let start = |n: usize| Node::start(&auto(&etcd, "auto", 7000 + n as u16), folders.at(n));
    let mut nodes: Vec<Node> = (0..2).map(|n| start(n).unwrap()).collect();
    let written = pairs(0, 20);
    for (key, value) in &written {
        write(&nodes, key, value);
    }
    agree(&nodes, &written);
    // A node that waited for a place starts anew once it has one, and then nobody coordinates for a moment.
    let coordinates = |node: &&Node| node.member.monitor().coordinates();
    until("one node coordinates", || nodes.iter().filter(coordinates).count() == 1);
    // The folder says the group now. Nobody has to place the node again.
    drop(nodes.remove(0));
    etcd.etcdctl(&["del", "--prefix", "/hedgerow/auto/place/"]);
    nodes.push(start(0).unwrap());
    agree(&nodes, &written);
}

#[test]
fn a_place_from_before_a_directory_was_filled_does_not_empty_it() {
    let Some(etcd) = Etcd::start(1) else { return };
    let folders = Folders::new(2);
    // The node was to leave the group, as in a backup of etcd from before it was placed there again.
    let id = "03".repeat(20);
    fs::create_dir_all(folders.at(1)).unwrap();
    fs::write(folders.at(1).join("node-id"), &id).unwrap();
    let place = format!("/hedgerow/stale/place/{id}");
    etcd.etcdctl(&["put", &place, r#"{"group":0,"leave":true}"#]);
    let mut nodes = Node::start_all(&settings(&etcd, "stale"), &folders, 2);
    let written = pairs(0, 20);
    for (key, value) in &written {
        write(&nodes, key, value);
    }
    agree(&nodes, &written);
    drop(nodes.pop());
    let key = "/hedgerow/stale/g/0/members";
    let members = etcd.etcdctl(&["get", "--print-value-only", key]);
    let members = Members::parse(members.trim().as_bytes()).unwrap();
    etcd.etcdctl(&["put", key, &members.without(id.parse().unwrap()).print()]);
    let disk = || fs::read(folders.at(1).join("incarnation")).unwrap();
    let before = disk();
    nodes.push(Node::start(&auto(&etcd, "stale", 7001), folders.at(1)).unwrap());
    assert_eq!(disk(), before, "the directory was emptied");
    agree(&nodes, &written);
    assert_eq!(etcd.etcdctl(&["get", &place]), "", "a running node would leave");
    assert!(nodes[1].exit().is_none());
    // After etcd was restored, its revisions are lower. The node is not asked to leave again and again.
    drop(nodes.pop());
    let (file, far) = (folders.at(1).join("cluster"), r#""since":9000000000"#);
    let text = fs::read_to_string(&file).unwrap();
    let since = text.find(r#""since":"#).expect("the revision at which the data began");
    fs::write(&file, format!("{}{far}}}", &text[..since])).unwrap();
    nodes.push(Node::start(&auto(&etcd, "stale", 7001), folders.at(1)).unwrap());
    agree(&nodes, &written);
    assert!(!fs::read_to_string(&file).unwrap().contains(far), "no decision counts for long");
}
