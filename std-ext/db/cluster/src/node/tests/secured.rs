//! A cluster whose etcd gives it a right on its own keys, and no other.

use super::*;

/// Returns the commands of etcdctl on the page about security.
fn commands() -> Vec<Vec<String>> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("etcdctl "));
    lines.map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

#[test]
fn a_role_on_the_keys_of_the_cluster_is_enough() {
    let Some(etcd) = Etcd::start(1) else { return };
    let commands = commands();
    assert!(commands.len() > 5, "the page says how to make a role");
    for words in &commands {
        etcd.etcdctl(&words.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let as_user = |name: &str| {
        let mut settings = settings(&etcd, name);
        settings.etcd.user = Some(("hedgerow".to_owned(), "PASSWORD".to_owned()));
        settings
    };
    let (roses, folders) = (as_user("roses"), Folders::new(3));
    let mut nodes: Vec<_> = Node::start_all(&roses, &folders, 2);
    write(&nodes, "rose", "red");
    agree(&nodes, &[("rose".to_owned(), "red".to_owned())]);
    let trimmed = |nodes: &[Node]| nodes.iter().any(|node| node.member.monitor().has_trimmed());
    until("the log is trimmed", || trimmed(&nodes));
    until("the size of etcd is known", || {
        nodes.iter().any(|node| node.member.status().etcd_quota.in_use > 0)
    });
    let led = nodes.iter().position(Node::is_primary).unwrap();
    drop(nodes.remove(led));
    until("another node takes over", || nodes[0].is_primary());
    write(&nodes, "rose", "blue");

    let refused = Node::start(&as_user("tulips"), folders.at(2)).err().unwrap();
    assert!(refused.contains("permission denied"), "{refused}");
    let mut anonymous = roses;
    anonymous.etcd.user = None;
    let refused = Node::start(&anonymous, folders.at(2)).err().unwrap();
    assert!(refused.contains("user name is empty"), "{refused}");
}
