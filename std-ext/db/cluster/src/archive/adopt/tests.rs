//! Folders that are adopted, and the nodes that come back, over a real etcd. Without one, the tests say so and pass.

mod groups;

use super::survey::tests as made;
use super::*;
use crate::NodeExit;
use crate::etcd::process::Etcd;
use crate::membership::identity::Belonging;
use crate::node::tests::{
    Folders, Node, agree, open_alone, pairs, primary, settings, until, value, write,
};
use hedgerow_db_group::{Halt, NodeId};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn start(settings: &ClusterSettings, folders: &Folders, places: &[usize]) -> Vec<Node> {
    places.iter().map(|&place| Node::start(settings, folders.at(place)).unwrap()).collect()
}

/// Writes pairs, and waits until all nodes have them.
#[track_caller]
fn fill(nodes: &[Node], pairs: &[(String, String)]) {
    for (key, value) in pairs {
        write(nodes, key, value);
    }
    agree(nodes, pairs);
}

fn prepare(
    settings: &ClusterSettings,
    folders: &Folders,
    places: &[usize],
    replace: Option<&str>,
) -> Result<AdoptPlan, StartError> {
    let paths: Vec<_> = places.iter().map(|&place| folders.at(place).to_owned()).collect();
    let choices = Choices { replace: replace.map(str::to_owned), ..Choices::default() };
    AdoptPlan::prepare(settings, &paths, &choices)
}

#[track_caller]
fn refused(settings: &ClusterSettings, folders: &Folders, places: &[usize], wanted: &str) {
    let why = prepare(settings, folders, places, None).err().map(|why| why.to_string());
    let why = why.unwrap_or_default();
    assert!(why.contains(wanted), "{wanted:?} is missing in {why:?}");
}

/// The folder of a node that runs is refused.
#[track_caller]
fn is_in_use(settings: &ClusterSettings, folders: &Folders) {
    let why = AdoptPlan::prepare(settings, &[folders.at(0).to_owned()], &Choices::default()).err();
    let why = why.map(|why| why.to_string()).unwrap_or_default();
    assert!(why.contains("stop its node first"), "{why:?}");
}

/// Adopts without the wait for registrations of nodes that were dropped.
#[track_caller]
fn adopt(
    etcd: &Etcd,
    settings: &ClusterSettings,
    folders: &Folders,
    places: &[usize],
) -> AdoptOutcome {
    let plan = prepare(settings, folders, places, None).unwrap();
    etcd.etcdctl(&["del", "--prefix", &format!("/hedgerow/{}/node/", settings.name)]);
    plan.carry_out().unwrap()
}

/// Waits until a node cannot go on, and returns the reason.
#[track_caller]
fn stopped(node: &Node) -> String {
    until("the node stops", || node.exit().is_some());
    match node.exit() {
        Some(NodeExit::Stop(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Copies the data of etcd, as a backup of it has them.
fn save(etcd: &mut Etcd) {
    etcd.kill(0);
    copy(&etcd.data(0), &etcd.folder().join("saved"));
    etcd.restart(0);
    assert!(etcd.wait_until_healthy());
}

/// Restores what `save` has copied.
fn bring_back(etcd: &mut Etcd) {
    etcd.kill(0);
    fs::remove_dir_all(etcd.data(0)).unwrap();
    copy(&etcd.folder().join("saved"), &etcd.data(0));
    etcd.restart(0);
    assert!(etcd.wait_until_healthy());
}

fn belonging(folder: &Path) -> String {
    fs::read_to_string(folder.join("cluster")).unwrap()
}

fn cluster_id(folder: &Path) -> String {
    let belonging = serde_json::from_str::<serde_json::Value>(&belonging(folder)).unwrap();
    belonging["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_new_etcd_gets_all_that_a_folder_has() {
    let Some(lost) = Etcd::start(1) else { return };
    let (old, folders) = (settings(&lost, "lost"), Folders::new(4));
    let mut nodes = start(&old, &folders, &[0, 1, 2]);
    let mut written = pairs(0, 30);
    fill(&nodes, &written);
    // One node stops earlier. Another has a snapshot, which its log begins behind.
    drop(nodes.remove(2));
    nodes[1].db().snapshot().unwrap();
    let more = pairs(30, 50);
    fill(&nodes, &more);
    written.extend(more);
    drop(nodes);
    drop(lost);

    let Some(etcd) = Etcd::start(1) else { return };
    let new = settings(&etcd, "lost");
    let why = Node::start(&new, folders.at(0)).err().unwrap();
    assert!(why.contains("hedgerow-db cluster adopt"), "{why}");
    let plan = prepare(&new, &folders, &[2, 0, 1], None).unwrap();
    let text = plan.text();
    for wanted in ["except the last ", "etcd: no data of the cluster", "; selected"] {
        assert!(text.contains(wanted), "{wanted:?} is missing in {text}");
    }
    let adopted = plan.carry_out().unwrap();
    assert_eq!((adopted.incarnation, adopted.groups[0].alone), (2, false), "{text}");
    let nodes = start(&new, &folders, &[0, 1, 2]);
    agree(&nodes, &written);
    let more = pairs(50, 60);
    fill(&nodes, &more);
    written.extend(more);
    for place in 0..3 {
        until("the folder is of the new incarnation", || {
            belonging(folders.at(place)).contains("\"incarnation\":2")
        });
    }
    // A peer takes a snapshot of the incarnation before.
    let first = |etcd: &Etcd| {
        let prefix = "/hedgerow/lost/g/0/log/";
        etcd.etcdctl(&["get", "--prefix", "--keys-only", "--limit", "1", prefix])
    };
    let begin = first(&etcd);
    until("etcd forgets the first batch", || first(&etcd) != begin);
    let late = Node::start(&new, folders.at(3)).unwrap();
    until("the node wants to start anew", || late.exit().is_some());
    assert!(matches!(late.exit(), Some(NodeExit::Restart(_))), "{:?}", late.exit());
    drop(late);
    let mut nodes = nodes;
    nodes.extend(start(&new, &folders, &[3]));
    agree(&nodes, &written);
    assert!(nodes.iter().all(|node| node.exit().is_none()));
}

#[test]
fn a_restored_etcd_is_refused_and_filled_again() {
    let Some(mut etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (settings(&etcd, "restored"), Folders::new(2));
    let nodes = start(&settings, &folders, &[0, 1]);
    let mut written = pairs(0, 20);
    fill(&nodes, &written);
    drop(nodes);
    save(&mut etcd);
    let nodes = start(&settings, &folders, &[0, 1]);
    let more = pairs(20, 40);
    fill(&nodes, &more);
    written.extend(more);
    drop(nodes);
    bring_back(&mut etcd);

    let node = Node::start(&settings, folders.at(0)).unwrap();
    let why = stopped(&node);
    assert!(why.contains("restored from a backup") && why.contains("cluster adopt"), "{why}");
    drop(node);
    let plan = prepare(&settings, &folders, &[0, 1], None).unwrap();
    assert!(plan.text().contains("The log in etcd, which ends with entry"), "{}", plan.text());
    drop(plan);
    adopt(&etcd, &settings, &folders, &[0, 1]);
    let nodes = start(&settings, &folders, &[1, 0]);
    agree(&nodes, &written);
    fill(&nodes, &pairs(40, 45));
}

/// A node was away when etcd was backed up. It comes back to the restored etcd before the others do, or after them.
#[test]
fn a_node_that_was_away_does_not_write_over_what_a_restored_etcd_lacks() {
    let Some(mut etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (settings(&etcd, "lagging"), Folders::new(2));
    let mut nodes = start(&settings, &folders, &[0, 1]);
    let mut written = pairs(0, 20);
    fill(&nodes, &written);
    drop(nodes.remove(1));
    save(&mut etcd);
    let more = pairs(20, 40);
    until("the node is the primary", || primary(&nodes) == 0);
    fill(&nodes, &more);
    written.extend(more);
    // It runs while etcd is restored.
    bring_back(&mut etcd);
    let why = stopped(&nodes[0]);
    assert!(why.contains("lost entries") && why.contains("Keep this directory"), "{why}");
    drop(nodes);
    let wait = || std::thread::sleep(4 * settings.lease);
    let away = Node::start(&settings, folders.at(1)).unwrap();
    wait();
    assert!(!away.is_primary(), "acknowledged entries are written over");
    drop(away);
    refused(&settings, &folders, &[1], "reported that it has entries up to");
    adopt(&etcd, &settings, &folders, &[0, 1]);
    let nodes = start(&settings, &folders, &[1, 0]);
    agree(&nodes, &written);
    fill(&nodes, &pairs(40, 45));
    drop(nodes);

    // The node that was away is alone for long enough to take over.
    drop(start(&settings, &folders, &[0]));
    save(&mut etcd);
    let nodes = start(&settings, &folders, &[0]);
    fill(&nodes, &pairs(50, 90));
    drop(nodes);
    bring_back(&mut etcd);
    let away = start(&settings, &folders, &[1]);
    fill(&away, &pairs(90, 91));
    drop(away);
    let late = Node::start(&settings, folders.at(0)).unwrap();
    let why = stopped(&late);
    assert!(why.contains("Keep this directory"), "{why}");
    drop(late);
    refused(&settings, &folders, &[0], "may have been acknowledged to clients");
}

/// etcd is restored to before an adoption, which a node knows that does not read the log then.
#[test]
fn a_node_of_a_later_incarnation_speaks_against_takeovers() {
    let Some(mut etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (settings(&etcd, "later"), Folders::new(2));
    let nodes = start(&settings, &folders, &[0, 1]);
    let mut written = pairs(0, 10);
    fill(&nodes, &written);
    drop(nodes);
    save(&mut etcd);
    let nodes = start(&settings, &folders, &[0]);
    let more = pairs(10, 20);
    fill(&nodes, &more);
    written.extend(more);
    drop(nodes);
    bring_back(&mut etcd);
    adopt(&etcd, &settings, &folders, &[0]);
    let nodes = start(&settings, &folders, &[0]);
    agree(&nodes, &written);
    until("the folder is of the new incarnation", || {
        belonging(folders.at(0)).contains("\"incarnation\":2")
    });
    drop(nodes);
    bring_back(&mut etcd);
    let why = Node::start(&settings, folders.at(0)).err().unwrap();
    assert!(why.contains("has incarnation 2") && why.contains("Keep this directory"), "{why}");
    let away = Node::start(&settings, folders.at(1)).unwrap();
    std::thread::sleep(4 * settings.lease);
    assert!(!away.is_primary(), "acknowledged entries are written over");
    drop(away);
    refused(&settings, &folders, &[1], "entries of a later incarnation");
    adopt(&etcd, &settings, &folders, &[0, 1]);
    let nodes = start(&settings, &folders, &[1, 0]);
    agree(&nodes, &written);
}

#[test]
fn a_member_of_another_history_is_refused() {
    let Some(mut etcd) = Etcd::start(1) else { return };
    let (mut settings, folders) = (settings(&etcd, "fork"), Folders::new(3));
    settings.copies = 1;
    let nodes = start(&settings, &folders, &[0]);
    let mut written = pairs(0, 10);
    fill(&nodes, &written);
    drop(nodes);
    save(&mut etcd);
    copy(folders.at(0), folders.at(1));
    fs::remove_file(folders.at(1).join("node-id")).unwrap();
    let nodes = start(&settings, &folders, &[0]);
    let more = pairs(10, 20);
    fill(&nodes, &more);
    written.extend(more);
    drop(nodes);
    // The copy goes on from the restored etcd, further than the first node has come.
    bring_back(&mut etcd);
    let nodes = start(&settings, &folders, &[1]);
    let others: Vec<_> = pairs(10, 60).into_iter().map(|(key, value)| (key, value + "!")).collect();
    fill(&nodes, &others);
    let away = Node::start(&settings, folders.at(0)).unwrap();
    let why = stopped(&away);
    assert!(why.contains("a different history") && why.contains("cluster adopt"), "{why}");
    drop((nodes, away));

    refused(&settings, &folders, &[0, 1], "have different entries");
    refused(&settings, &folders, &[1], "nothing is lost, so start the nodes");
    refused(&settings, &folders, &[0], "may have been acknowledged to clients");
    let id = cluster_id(folders.at(0));
    let plan = prepare(&settings, &folders, &[0], Some(&id)).unwrap();
    assert!(plan.text().contains("are lost"), "{}", plan.text());
    etcd.etcdctl(&["del", "--prefix", "/hedgerow/fork/node/"]);
    plan.carry_out().unwrap();
    let nodes = start(&settings, &folders, &[0]);
    fill(&nodes, &written);
    let away = Node::start(&settings, folders.at(1)).unwrap();
    let why = stopped(&away);
    assert!(why.contains("reseeded") && why.contains("Keep this directory"), "{why}");
    assert!(belonging(folders.at(1)).contains("\"incarnation\":1"), "its folder was changed");
    drop(away);
    // Emptied, it may come back.
    agree(
        &[nodes, start(&settings, &folders, &[2])].into_iter().flatten().collect::<Vec<_>>(),
        &written,
    );
}

#[test]
fn entries_that_cannot_be_compared_are_not_replaced() {
    let Some(mut etcd) = Etcd::start(1) else { return };
    let (mut settings, folders) = (settings(&etcd, "unproved"), Folders::new(2));
    settings.copies = 1;
    let nodes = start(&settings, &folders, &[0]);
    fill(&nodes, &pairs(0, 10));
    drop(nodes);
    copy(folders.at(0), folders.at(1));
    fs::remove_file(folders.at(1).join("node-id")).unwrap();
    let nodes = start(&settings, &folders, &[0]);
    fill(&nodes, &pairs(10, 20));
    // The log of the folder begins behind all that the copy has.
    nodes[0].db().snapshot().unwrap();
    fill(&nodes, &pairs(20, 25));
    drop(nodes);
    bring_nothing(&mut etcd);
    let plan = prepare(&settings, &folders, &[0, 1], None).unwrap();
    assert!(plan.text().contains("cannot be compared; its node"), "{}", plan.text());
    drop(plan);
    adopt(&etcd, &settings, &folders, &[0]);
    let nodes = start(&settings, &folders, &[0]);
    agree(&nodes, &pairs(0, 25));
    let before = belonging(folders.at(1));
    let away = Node::start(&settings, folders.at(1)).unwrap();
    let why = stopped(&away);
    assert!(why.contains("reseeded") && why.contains("cluster adopt"), "{why}");
    assert_eq!(belonging(folders.at(1)), before);
}

/// Makes etcd empty.
fn bring_nothing(etcd: &mut Etcd) {
    etcd.kill(0);
    fs::remove_dir_all(etcd.data(0)).unwrap();
    etcd.restart(0);
    assert!(etcd.wait_until_healthy());
}

#[test]
fn a_database_on_one_machine_becomes_the_first_member() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (mut settings, folders) = (settings(&etcd, "grown"), Folders::new(2));
    settings.copies = 1;
    let written = pairs(0, 20);
    let alone = open_alone(folders.at(0));
    for (key, value) in &written {
        alone.set(key, value).unwrap();
    }
    alone.snapshot().unwrap();
    alone.set_with_ttl("short", "life", Duration::from_millis(1)).unwrap();
    alone.set_with_ttl("long", "life", Duration::from_secs(10_000)).unwrap();
    drop(alone);
    let why = Node::start(&settings, folders.at(0)).err().unwrap();
    assert!(
        why.contains("Make it the first node of one with `hedgerow-db cluster adopt`"),
        "{why}"
    );
    let plan = prepare(&settings, &folders, &[0], None).unwrap();
    assert!(plan.text().contains("a standalone database"), "{}", plan.text());
    let adopted = plan.carry_out().unwrap();
    assert!(adopted.groups[0].alone && adopted.incarnation == 1, "{adopted:?}");
    let mut nodes = start(&settings, &folders, &[0]);
    agree(&nodes, &written);
    assert_eq!(value(&nodes[0], "long").as_deref(), Some("life"));
    assert_eq!(value(&nodes[0], "short"), None);
    assert_eq!(primary(&nodes), 0);
    // A second node copies all of it.
    let second = Node::start(&settings, folders.at(1)).unwrap();
    until("the node wants to start anew", || second.exit().is_some());
    drop(second);
    nodes.extend(start(&settings, &folders, &[1]));
    fill(&nodes, &pairs(20, 25));
    agree(&nodes, &written);
    is_in_use(&settings, &folders);
}

#[test]
fn the_folder_of_a_member_can_be_opened_alone() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (settings(&etcd, "alone"), Folders::new(1));
    let nodes = start(&settings, &folders, &[0]);
    let written = pairs(0, 20);
    fill(&nodes, &written);
    nodes[0].db().snapshot().unwrap();
    fill(&nodes, &[("rose".to_owned(), "red".to_owned())]);
    drop(nodes);
    let alone = open_alone(folders.at(0));
    for (key, value) in &written {
        assert_eq!(alone.get(key).unwrap().as_deref(), Some(value.as_bytes()));
    }
    drop(alone);
    let nodes = start(&settings, &folders, &[0]);
    agree(&nodes, &written);
    drop(nodes);
    // Its change is not in the log of the cluster.
    let alone = open_alone(folders.at(0));
    alone.set("rose", "white").unwrap();
    drop(alone);
    let node = Node::start(&settings, folders.at(0)).unwrap();
    let why = stopped(&node);
    assert!(why.contains("a different history"), "{why}");
    drop(node);
    // With it, the folder can be adopted.
    adopt(&etcd, &settings, &folders, &[0]);
    let nodes = start(&settings, &folders, &[0]);
    until("the entry is there", || value(&nodes[0], "rose").as_deref() == Some("white"));
    assert_eq!(primary(&nodes), 0);
}

#[test]
fn nothing_is_replaced_without_a_word() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (roses, folders) = (settings(&etcd, "roses"), Folders::new(3));
    refused(&roses, &folders, &[0], "none of the directories has an entry");
    let nowhere = AdoptPlan::prepare(&roses, &[folders.at(0).join("no")], &Choices::default());
    assert!(nowhere.err().unwrap().to_string().contains("there is no directory"));
    assert_eq!(fs::read_dir(folders.at(0)).unwrap().count(), 0, "a directory was changed");
    let nodes = start(&roses, &folders, &[0]);
    fill(&nodes, &pairs(0, 5));
    is_in_use(&roses, &folders);
    // The folder of a node that runs elsewhere.
    copy(folders.at(0), folders.at(1));
    refused(&settings(&etcd, "daisies"), &folders, &[1], "belongs to the cluster \"roses\"");
    refused(&roses, &folders, &[1], "nothing is lost");
    let id = cluster_id(folders.at(0));
    let wrong = prepare(&roses, &folders, &[1], Some("x")).err().unwrap().to_string();
    assert!(wrong.contains("--replace names"), "{wrong}");
    until("the node is registered", || {
        etcd.etcdctl(&["get", "--prefix", "/hedgerow/roses/node/"]).contains("wall")
    });
    let before = etcd.etcdctl(&["get", "/hedgerow/roses/format"]);
    let running = prepare(&roses, &folders, &[1], Some(&id)).unwrap().carry_out();
    let why = running.err().unwrap().to_string();
    assert!(why.contains("stop all nodes first") && why.contains("Nothing was changed"), "{why}");
    assert_eq!(etcd.etcdctl(&["get", "/hedgerow/roses/format"]), before);
    drop(nodes);

    // Another cluster of the same name, and a database on one machine.
    etcd.etcdctl(&["del", "--prefix", "/hedgerow/roses/"]);
    drop(Node::start(&roses, folders.at(2)).unwrap());
    refused(&roses, &folders, &[0], "--replace");
    refused(&roses, &folders, &[0, 1], "--replace");
    let plan = |replace: &str| prepare(&roses, &folders, &[0], Some(replace));
    assert!(plan(&id).is_err(), "the id is not that in etcd");
}

#[test]
fn an_interrupted_adoption_is_repeated() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (settings(&etcd, "again"), Folders::new(1));
    let nodes = start(&settings, &folders, &[0]);
    let written = pairs(0, 10);
    fill(&nodes, &written);
    drop(nodes);
    etcd.etcdctl(&["del", "--prefix", "/hedgerow/again/g/"]);
    let format = etcd.etcdctl(&["get", "--print-value-only", "/hedgerow/again/format"]);
    let filling = format.trim().replace('}', ",\"adopter\":7}");
    etcd.etcdctl(&["put", "/hedgerow/again/format", &filling]);
    let plan = prepare(&settings, &folders, &[0], None).unwrap();
    assert!(plan.text().contains("did not finish"), "{}", plan.text());
    drop(plan);
    std::thread::scope(|scope| {
        // It waits.
        let node = scope.spawn(|| Node::start(&settings, folders.at(0)));
        let copied = Folders::new(1);
        copy(folders.at(0), copied.at(0));
        adopt(&etcd, &settings, &copied, &[0]);
        let node = node.join().unwrap().unwrap();
        agree(&[node], &written);
    });
}

/// A folder of the cluster "roses" without nodes, and the incarnation that it belongs to.
fn folder(batches: &[&[u8]], incarnation: u64) -> made::Made {
    of_group(made::folder(batches), incarnation, (0, 1))
}

/// Makes a folder one of a group, and of a cluster of this number of groups.
fn of_group(made: made::Made, incarnation: u64, (group, groups): (u32, u32)) -> made::Made {
    let format =
        ClusterFormat { cluster: [7; 16], incarnation, ..ClusterFormat::new(1, groups).unwrap() };
    Belonging::new("roses", &format, group).write(&made.folder).unwrap();
    made
}

fn candidates(folders: Vec<made::Made>) -> Result<FolderCandidates, StartError> {
    Ok(groups(folders)?.remove(0))
}

fn groups(folders: Vec<made::Made>) -> Result<Vec<FolderCandidates>, StartError> {
    let paths: Vec<_> = folders.iter().map(|made| made.path.path().to_owned()).collect();
    // Their locks are released, and the directories stay.
    let kept: Vec<_> = folders.into_iter().map(|made| made.path).collect();
    let opened = FolderCandidates::open(&paths, "roses");
    drop(kept);
    opened
}

#[test]
fn the_folder_with_the_latest_entry_is_taken() {
    let two = [folder(&[&[1, 2], &[3]], 1), folder(&[&[1, 2], &[3, 4]], 1)];
    let longer = two[1].path.path().to_owned();
    let found = candidates(two.into()).unwrap();
    assert_eq!((found.taken.path(), found.others[0].1), (&*longer, Relation::Prefix));
    let fork = candidates(vec![folder(&[&[1, 2], &[3]], 1), folder(&[&[1, 2], &[5, 4]], 1)]);
    let why = fork.err().map(|why| why.to_string()).unwrap_or_default();
    assert!(why.contains("have different entries"), "two histories are merged: {why}");
    let alone = made::folder(&[&[1, 2]]);
    let mixed = candidates(vec![folder(&[&[1, 2], &[3]], 1), alone]);
    assert!(mixed.err().unwrap().to_string().contains("standalone databases"));
}

#[test]
fn only_what_was_lost_is_replaced() {
    let found = groups(vec![folder(&[&[1, 2]], 4)]).unwrap();
    let in_etcd = |cluster, incarnation| {
        let format = ClusterFormat { cluster, incarnation, ..ClusterFormat::new(1, 1).unwrap() };
        AdoptTarget {
            text: None,
            format: Some(format),
            tails: BTreeMap::new(),
            known: BTreeMap::new(),
        }
    };
    let check = |target: &AdoptTarget, standing, replace: Option<&str>| {
        let format = next_incarnation((0, 1), &found, target).unwrap();
        may_replace("roses", &[(&found[0].taken, standing)], target, &format, replace)?;
        Ok::<_, StartError>(format.incarnation)
    };
    let (same, other) = (in_etcd([7; 16], 9), in_etcd([8; 16], 99));
    let (id, other_id) = (hex::text(&[7; 16]), hex::text(&[8; 16]));
    let refused = |done: Result<u64, StartError>| done.err().map(|why| why.to_string());
    for lost in [Standing::Empty, Standing::Behind(1), Standing::Damaged] {
        assert_eq!(check(&same, lost, None).unwrap(), 10, "{lost:?}");
        let why = refused(check(&other, lost, None)).unwrap_or_default();
        assert!(
            why.contains(&format!("--replace {other_id}")),
            "another cluster is replaced: {why}"
        );
    }
    let kept = [Standing::Complete(70), Standing::Unknown(70), Standing::Unknown(1)];
    for kept in kept.into_iter().chain([Standing::Fork(1), Standing::Fork(70)]) {
        let why = refused(check(&same, kept, None)).unwrap_or_default();
        assert!(why.contains(&format!("--replace {id}")), "{kept:?} is replaced: {why}");
        assert!(refused(check(&same, kept, Some(&other_id))).is_some());
        assert_eq!(check(&same, kept, Some(&id)).unwrap(), 10);
    }
    assert_eq!(check(&other, Standing::Complete(70), Some(&other_id)).unwrap(), 5);
    let said = AdoptTarget { known: [(0, (3, NodeId([9; 20])))].into(), ..in_etcd([7; 16], 9) };
    let why = refused(check(&said, Standing::Behind(1), None)).unwrap_or_default();
    assert!(
        why.contains("has entries up to 3") && why.contains("--from"),
        "entries are lost: {why}"
    );
    assert_eq!(check(&said, Standing::Behind(1), Some(&id)).unwrap(), 10);
    let said = AdoptTarget { known: [(0, (2, NodeId([9; 20])))].into(), ..in_etcd([7; 16], 9) };
    assert_eq!(check(&said, Standing::Behind(1), None).unwrap(), 10);
    let later = Halt::of_a_later_incarnation(NodeId([9; 20]));
    let known = |incarnation| AdoptTarget {
        known: [(0, (later.lsn, later.node))].into(),
        ..in_etcd([7; 16], incarnation)
    };
    let why = refused(check(&known(4), Standing::Complete(2), None)).unwrap_or_default();
    assert!(why.contains("entries of a later incarnation"), "entries are lost: {why}");
    // The folder is of incarnation 4.
    assert_eq!(check(&known(3), Standing::Behind(1), None).unwrap(), 5);
    let nothing =
        AdoptTarget { text: None, format: None, tails: BTreeMap::new(), known: BTreeMap::new() };
    assert_eq!(check(&nothing, Standing::Empty, None).unwrap(), 5);
}
