//! Two groups of nodes over one etcd.

use super::*;
use hedgerow_db_engine::request::RequestError;
use hedgerow_db_formats::slots::slot;

/// Returns the settings of a node of a group, in a cluster of two.
pub(crate) fn of_group(etcd: &Etcd, name: &str, group: u32) -> ClusterSettings {
    let mut settings = settings(etcd, name);
    (settings.group, settings.groups) = (group, 2);
    settings.announce.port = 7000 + group as u16;
    settings
}

/// Starts the nodes of a group.
pub(crate) fn start(settings: &ClusterSettings, folders: &Folders) -> Vec<Node> {
    Node::start_all(settings, folders, 2)
}

/// Returns keys with their values, and the group of each.
pub(super) fn keys(begin: usize, end: usize) -> Vec<(String, String, usize)> {
    let of = |(key, value): (String, String)| {
        let group = usize::from(slot(key.as_bytes()) >= 8192);
        (key, value, group)
    };
    pairs(begin, end).into_iter().map(of).collect()
}

/// Returns whether a node refuses a request because it is about a key of another group. On a busy machine, a primary
/// whose lease has run out refuses everything for a moment, until the next one takes over.
pub(super) fn is_refused<T>(request: impl Fn() -> Result<T, Error>) -> bool {
    let begin = Instant::now();
    loop {
        match request() {
            Err(Error::Log(_)) if begin.elapsed() < TIME_LIMIT => {
                thread::sleep(Duration::from_millis(2));
            }
            result => return matches!(result, Err(Error::Request(RequestError::SlotNotOwned))),
        }
    }
}

#[track_caller]
pub(crate) fn knows_all(node: &Node) {
    let knows = || {
        let view = node.view();
        view.groups().filter(|group| group.is_led && group.members.len() == 2).count() == 2
    };
    until_or(knows, || {
        let (exit, status) = (node.exit(), node.member.status());
        format!("a node misses a primary: {exit:?}, {status:?}, {:?}", node.view())
    });
}

#[test]
fn each_group_has_its_slots_and_survives_its_own_primary() {
    let Some(etcd) = Etcd::start(1) else { return };
    let folders = [Folders::new(2), Folders::new(2)];
    let mut groups: Vec<Vec<Node>> = (0..2)
        .map(|group| start(&of_group(&etcd, "two", group), &folders[group as usize]))
        .collect();
    let mut written = keys(0, 60);
    for (key, value, group) in &written {
        write(&groups[*group], key, value);
    }
    let check = |groups: &[Vec<Node>], written: &[(String, String, usize)]| {
        for (number, nodes) in groups.iter().enumerate() {
            let own = written.iter().filter(|(_, _, group)| *group == number);
            let own: Vec<_> = own.map(|(key, value, _)| (key.clone(), value.clone())).collect();
            agree(nodes, &own);
            for node in nodes {
                assert_eq!(node.db().session().len(), own.len(), "of group {number}");
                for (key, ..) in written.iter().filter(|(_, _, group)| *group != number) {
                    assert!(is_refused(|| node.db().get(key)), "group {number} has read {key}");
                    assert!(is_refused(|| node.db().set(key, "x")), "group {number} has set {key}");
                }
            }
        }
    };
    check(&groups, &written);
    groups.iter().flatten().for_each(knows_all);
    let ports = |node: &Node| {
        let view = node.view();
        view.groups().map(|group| group.primary().unwrap().addresses.port).collect::<Vec<_>>()
    };
    assert!(groups.iter().flatten().all(|node| ports(node) == [7000, 7001]));

    // One group loses its primary, and the other one goes on.
    let epoch = groups[0][0].member.status().epoch;
    let first = primary(&groups[1]);
    drop(groups[1].remove(first));
    let more = keys(60, 120);
    for (key, value, group) in &more {
        write(&groups[*group], key, value);
    }
    written.extend(more);
    check(&groups, &written);
    assert_eq!(groups[0][0].member.status().epoch, epoch, "the other group was taken over, too");
    until("the other group knows the next primary", || {
        let view = groups[0][0].view();
        let group = view.group(1).unwrap();
        group.is_led && group.primary == Some(groups[1][0].member.id().to_string())
    });
    assert!(groups.iter().flatten().all(|node| node.exit().is_none()));
}

#[test]
fn a_new_node_fetches_the_data_of_its_own_group() {
    let Some(etcd) = Etcd::start(1) else { return };
    let folders = [Folders::new(2), Folders::new(3)];
    let mut groups: Vec<Vec<Node>> = (0..2)
        .map(|group| start(&of_group(&etcd, "fetch", group), &folders[group as usize]))
        .collect();
    let written = keys(0, 40);
    for (key, value, group) in &written {
        write(&groups[*group], key, value);
    }
    let first = |group: u32| {
        let prefix = format!("/hedgerow/fetch/g/{group}/log/");
        etcd.etcdctl(&["get", "--prefix", "--keys-only", "--limit", "1", &prefix]).trim().to_owned()
    };
    let before = first(1);
    until("etcd forgets the first batch", || first(1) > before);
    let settings = of_group(&etcd, "fetch", 1);
    let late = Node::start(&settings, folders[1].at(2)).unwrap();
    until("the node wants to start anew", || late.exit().is_some());
    assert!(matches!(late.exit(), Some(NodeExit::Restart(_))), "{:?}", late.exit());
    drop(late);
    groups[1].push(Node::start(&settings, folders[1].at(2)).unwrap());
    let own = written.iter().filter(|(_, _, group)| *group == 1);
    let own: Vec<_> = own.map(|(key, value, _)| (key.clone(), value.clone())).collect();
    agree(&groups[1], &own);
    assert_eq!(groups[1][2].db().session().len(), own.len());
}

#[test]
fn a_folder_stays_in_its_group_and_a_cluster_keeps_its_number_of_groups() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (mut settings, folders) = (of_group(&etcd, "stay", 1), Folders::new(3));
    let node = Node::start(&settings, folders.at(0)).unwrap();
    write(std::slice::from_ref(&node), "a", "red");
    node.db().snapshot().unwrap();
    drop(node);
    settings.group = 0;
    let why = Node::start(&settings, folders.at(0)).err().unwrap();
    assert!(why.contains("group 1") && why.contains("set cluster-group 1"), "{why}");
    // Also if the file that says it was lost or exchanged.
    let file = folders.at(0).join("cluster");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"group\":1,", "")).unwrap();
    let why = Node::start(&settings, folders.at(0)).err().unwrap();
    assert!(why.contains("the snapshot") && why.contains("group 1"), "{why}");
    std::fs::write(&file, &text).unwrap();

    // The number of groups is that of the cluster.
    (settings.group, settings.groups) = (1, 7);
    let node = Node::start(&settings, folders.at(0)).unwrap();
    assert_eq!(value(&node, "a").as_deref(), Some("red"));
    assert!(is_refused(|| node.db().get("b")));
    until("the view says so", || node.view().owns(8192) && !node.view().owns(8191));
    // A group beyond them has no slots.
    settings.group = 5;
    let more = Node::start(&settings, folders.at(1)).unwrap();
    until("it leads its group", || more.is_primary());
    assert!(["a", "b"].iter().all(|key| is_refused(|| more.db().set(key, "x"))));
    assert_eq!(value(&node, "a").as_deref(), Some("red"));

    // A cluster that was made before there were groups has one.
    let format = etcd.etcdctl(&["get", "--print-value-only", "/hedgerow/stay/format"]);
    assert!(format.contains("\"format\":2") && format.contains("\"groups\":2"), "{format}");
    let old = format.replace("\"format\":2", "\"format\":1").replace(",\"groups\":2", "");
    etcd.etcdctl(&["put", "/hedgerow/old/format", old.trim()]);
    let mut settings = super::settings(&etcd, "old");
    settings.groups = 2;
    let node = Node::start(&settings, folders.at(2)).unwrap();
    for key in ["a", "b"] {
        write(std::slice::from_ref(&node), key, "red");
    }
    assert!(node.view().is_whole());
}

/// The messages that a node's clients would get.
type Received = Arc<Mutex<Vec<(Vec<u8>, usize)>>>;

fn receive(node: &Node) -> Received {
    let received = Received::default();
    let into = Arc::clone(&received);
    node.member.views().broadcast().on_received(Arc::new(move |channel, message| {
        lock(&into).push((channel.to_vec(), message.len()));
    }));
    received
}

#[test]
fn messages_reach_all_other_nodes_in_order() {
    let Some(etcd) = Etcd::start(1) else { return };
    let folders = [Folders::new(2), Folders::new(2)];
    let start = |group| start(&of_group(&etcd, "two", group as u32), &folders[group]);
    let nodes: Vec<Node> = (0..2).flat_map(start).collect();
    let received: Vec<Received> = nodes.iter().map(receive).collect();
    nodes.iter().for_each(knows_all);
    let publish = |length: usize| {
        nodes[0].member.views().broadcast().publish(b"news", &vec![b'm'; length]);
    };
    // A node that has just come may miss the first ones, as in Redis.
    let all_have = |wanted: usize| {
        received[1..].iter().all(|one| lock(one).iter().any(|(_, length)| *length == wanted))
    };
    until("all nodes get messages", || {
        publish(1);
        all_have(1)
    });
    let long = 3 << 20;
    for length in (2..500).chain([long, 500]) {
        publish(length);
    }
    until("all nodes get the last message", || all_have(500));
    for (place, received) in received.iter().enumerate().skip(1) {
        let mut found = lock(received).clone();
        found.retain(|(_, length)| *length > 1);
        assert!(found.iter().all(|(channel, _)| channel == b"news"));
        let lengths: Vec<usize> = found.iter().map(|(_, length)| *length).collect();
        let wanted: Vec<usize> = (2..500).chain([long, 500]).collect();
        assert!(lengths == wanted, "node {place} got other messages: {lengths:?}");
    }
    assert!(lock(&received[0]).is_empty(), "a message came back to its own node");
    publish(64 << 20);
    let (sent, lost) = nodes[0].member.monitor().messages();
    assert!(sent >= 3 * 501 && lost >= 3, "{sent} sent, {lost} lost");
}
