//! Primaries that die without releasing their group, and start again. The lease is so long that nobody waits for it.

use super::*;

fn long_lease(etcd: &Etcd, name: &str) -> ClusterSettings {
    ClusterSettings { lease: Duration::from_secs(600), ..settings(etcd, name) }
}

/// Returns how often a node has become the primary, and how often for a reason.
fn takeovers(node: &Node, reason: &str) -> (u64, u64) {
    let counts = node.member.monitor().takeovers();
    let sum = |of: &[(&str, u64)]| of.iter().map(|count| count.1).sum();
    let for_it: Vec<_> = counts.iter().copied().filter(|count| count.0 == reason).collect();
    (sum(&counts), sum(&for_it))
}

#[test]
fn a_primary_that_died_takes_its_group_back_at_once() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (long_lease(&etcd, "back"), Folders::new(3));
    let mut nodes = Node::start_all(&settings, &folders, 3);
    let mut written = pairs(0, 10);
    for (key, value) in &written {
        write(&nodes, key, value);
    }
    for round in 1..4 {
        let first = primary(&nodes);
        let folder = nodes[first].db().options().folder.clone().unwrap();
        if round < 3 {
            drop(nodes.remove(first));
            nodes.insert(first, Node::start(&settings, &folder).unwrap());
        } else {
            nodes.clear();
            nodes = Node::start_all(&settings, &folders, 3);
        }
        let more = pairs(10 * round, 10 * (round + 1));
        for (key, value) in &more {
            write(&nodes, key, value);
        }
        written.extend(more);
        let at = primary(&nodes);
        assert_eq!(nodes[at].db().options().folder.as_deref(), Some(&*folder));
        assert_eq!(takeovers(&nodes[at], "taken-back"), (1, 1));
        agree(&nodes, &written);
    }
}

/// As an operator copies a node to make another one.
#[test]
fn a_copy_of_the_primary_s_folder_takes_nothing() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (long_lease(&etcd, "copied"), Folders::new(2));
    let original = Node::start(&settings, folders.at(0)).unwrap();
    let nodes = [original];
    write(&nodes, "rose", "red");
    for file in std::fs::read_dir(folders.at(0)).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folders.at(1).join(file.file_name())).unwrap();
    }
    let copy = Node::start(&settings, folders.at(1)).unwrap();
    assert_eq!(copy.member.id(), nodes[0].member.id());
    until("the copy notices the original", || {
        assert!(!copy.is_primary(), "a copy takes the group from a primary that is alive");
        assert!(nodes[0].exit().is_none(), "the copy ends the original: {:?}", nodes[0].exit());
        copy.exit().is_some()
    });
    let Some(NodeExit::Stop(why)) = copy.exit() else { panic!("{:?}", copy.exit()) };
    assert!(why.contains("its directory is a copy of this one"), "{why}");
    write(&nodes, "rose", "white");
    assert_eq!(takeovers(&nodes[0], "new"), (1, 1));
}
