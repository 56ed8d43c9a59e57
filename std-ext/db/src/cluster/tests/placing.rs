//! Nodes that the coordinator places in groups.

use super::*;

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
    assert_eq!(nodes.iter().filter(|node| node.member.monitor().coordinates()).count(), 1);
    // The folder says the group now. Nobody has to place the node again.
    drop(nodes.remove(0));
    etcd.etcdctl(&["del", "--prefix", "/hedgerow/auto/place/"]);
    nodes.push(start(0).unwrap());
    agree(&nodes, &written);
}
