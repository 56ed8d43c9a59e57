//! Backups of nodes that run, damaged ones, and restored ones. Without etcd, the tests that need it say so and pass.

use super::*;
use crate::archive::adopt::{AdoptPlan, Choices};
use crate::etcd::process::Etcd;
use crate::membership::error::StartError;
use crate::node::tests::groups;
use crate::node::tests::{
    Folders, Node, agree, open_alone, pairs, primary, settings, until, value, write,
};
use hedgerow_db_engine::log::LOG;
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_formats::slots::slot;
use hedgerow_db_redis::config::ClusterSettings;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

fn why(error: Result<BackupContents, StartError>) -> String {
    error.err().map(|why| why.to_string()).unwrap_or_default()
}

fn take(
    settings: &ClusterSettings,
    to: &Path,
    node: Option<&str>,
) -> Result<BackupContents, StartError> {
    super::take(settings, to, node.as_slice(), Duration::from_secs(60))
}

/// Returns the number of the first key that a folder does not have: keys were written in order.
fn keys(folder: &Path) -> usize {
    let db = open_alone(folder);
    let keys = db.stats().keys as usize;
    for (key, value) in pairs(0, keys) {
        assert_eq!(db.get(&key).unwrap().as_deref(), Some(value.as_bytes()), "{key} is missing");
    }
    keys
}

#[test]
fn a_backup_has_the_state_at_its_entry() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (settings(&etcd, "backup"), Folders::new(4));
    let nodes: Vec<Node> = Node::start_all(&settings, &folders, 2);
    let first = pairs(0, 50);
    for (key, value) in &first {
        write(&nodes, key, value);
    }
    agree(&nodes, &first);
    // With a snapshot in the backup of one node, and without in that of the other.
    nodes[1].db().snapshot().unwrap();
    until("both are registered", || {
        let found = etcd.etcdctl(&["get", "--prefix", "/hedgerow/backup/node/"]);
        found.contains("\"follower\"") && found.contains("\"primary\"")
    });
    let (written, stop) = (AtomicUsize::new(50), AtomicBool::new(false));
    let backups = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Relaxed: `written` orders nothing, and the scope's end waits for this thread.
            while !stop.load(Ordering::Relaxed) {
                let at = written.load(Ordering::Relaxed);
                let [(key, value)] = &pairs(at, at + 1)[..] else { unreachable!() };
                write(&nodes, key, value);
                // Relaxed: as above. The write was acknowledged before.
                written.store(at + 1, Ordering::Relaxed);
            }
        });
        let backups = nodes.iter().enumerate().map(|(place, node)| {
            let to = folders.at(2).join(place.to_string());
            // Relaxed: an earlier number makes the check weaker.
            let least = written.load(Ordering::Relaxed);
            let id = node.member.id().to_string();
            let taken = take(&settings, &to, Some(&id[..8]));
            (to, least, taken, written.load(Ordering::Relaxed))
        });
        let backups: Vec<_> = backups.collect();
        // Relaxed: a flag, which the thread sees soon.
        stop.store(true, Ordering::Relaxed);
        backups
    });
    let plain = folders.at(2).join("plain");
    let chosen = take(&settings, &plain, None).unwrap();
    let follower = nodes[1 - primary(&nodes)].member.id().to_string();
    assert_eq!(chosen.groups[0].node, follower, "a follower");
    let copied = folders.at(3).join("copied");
    for (to, least, taken, most) in backups {
        let taken = taken.unwrap();
        assert_eq!(verify(&to).unwrap(), taken);
        let [group] = &taken.groups[..] else { panic!("{taken:?}") };
        assert_eq!(group.snapshot_keys > 0, group.node == nodes[1].member.id().to_string());
        copy(&to, &copied);
        let found = keys(&copied.join("group-0"));
        // One write may be in the log that was not acknowledged.
        assert!((least..=most + 1).contains(&found), "{least}, {found}, {most}");
        fs::remove_dir_all(&copied).unwrap();
    }
    assert!(why(take(&settings, &plain, None)).contains("must be an empty directory"));
    let other = folders.at(3).join("other");
    assert!(
        why(take(&settings, &other, Some("xyz"))).contains("no running node has an id that begins")
    );
    assert!(why(take(&settings, &other, Some(""))).contains("several node ids"));
    assert!(!other.exists(), "a backup that failed at once has left something");

    // Going back: the later changes are gone for good, and the other nodes begin anew.
    let (back, goes_back) = (folders.at(3).join("back"), folders.at(3).join("back/group-0"));
    copy(&plain, &back);
    let before = keys(&goes_back);
    fs::remove_dir_all(&back).unwrap();
    copy(&plain, &back);
    write(&nodes, "later", "change");
    drop(nodes);
    etcd.etcdctl(&["del", "--prefix", "/hedgerow/backup/node/"]);
    let id = chosen.cluster;
    let prepare = |folder: &PathBuf, replace: Option<&str>| {
        let choices = Choices { replace: replace.map(str::to_owned), ..Choices::default() };
        AdoptPlan::prepare(&settings, std::slice::from_ref(folder), &choices)
    };
    let refused = prepare(&goes_back, None);
    assert!(refused.err().unwrap().to_string().contains(&format!("--replace {id}")));
    let plan = prepare(&goes_back, Some(&id)).unwrap();
    assert!(plan.text().contains("are lost"), "{}", plan.text());
    plan.carry_out().unwrap();
    let nodes = [Node::start(&settings, &goes_back).unwrap()];
    agree(&nodes, &pairs(0, before));
    primary(&nodes);
    assert_eq!(nodes[0].db().get("later").unwrap(), None);
}

/// Copies the groups' folders of a backup, which makes them the folders of nodes.
fn copy(backup: &Path, to: &Path) {
    for group in fs::read_dir(backup).unwrap().map(|found| found.unwrap().path()) {
        if !group.is_dir() {
            continue;
        }
        let into = to.join(group.file_name().unwrap());
        fs::create_dir_all(&into).unwrap();
        for file in fs::read_dir(&group).unwrap().map(|found| found.unwrap().path()) {
            fs::copy(&file, into.join(file.file_name().unwrap())).unwrap();
        }
    }
}

/// A backup of two groups that was made without nodes.
fn small(folder: &Path) -> (PathBuf, BackupContents) {
    let to = folder.join("backup");
    for group in ["group-0", "group-1"] {
        let alone = open_alone(&to.join(group));
        for (key, value) in pairs(0, 20) {
            alone.set(key, value).unwrap();
        }
        alone.snapshot().unwrap();
        alone.set("rose", group).unwrap();
        alone.set_with_ttl("later", "gone", Duration::from_secs(9000)).unwrap();
    }
    let contents = super::take::tests::describe_alone(&to, 2);
    (to, contents)
}

/// Changes a file for the time of a check.
fn with_bytes(path: &Path, bytes: &[u8], check: impl FnOnce()) {
    let good = fs::read(path).unwrap();
    fs::write(path, bytes).unwrap();
    check();
    fs::write(path, good).unwrap();
}

#[test]
fn every_byte_of_a_backup_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (backup, contents) = small(folder.path());
    assert_eq!(verify(&backup).unwrap(), contents);
    assert_eq!(contents.groups[1].snapshot_keys, 20);
    let described = backup.join(manifest::NAME);
    let good = fs::read(&described).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        with_bytes(&described, &bad, || {
            let why = why(verify(&backup));
            assert!(why.contains(manifest::NAME), "byte {at}: {why:?}");
        });
    }
    for end in [0, 1, good.len() / 2, good.len() - 1] {
        with_bytes(&described, &good[..end], || assert!(why(verify(&backup)).contains("damaged")));
    }
    for group in &contents.groups {
        let path = backup.join(format!("group-{}", group.group));
        group.files.iter().for_each(|file| every_byte_of_a_file_counts(&backup, &path, &file.name));
        // A whole group.
        let away = folder.path().join("away");
        fs::rename(&path, &away).unwrap();
        let missing = why(verify(&backup));
        assert!(
            missing.contains(&*path.to_string_lossy()) && missing.contains("missing"),
            "{missing}"
        );
        fs::rename(&away, &path).unwrap();
    }
    assert_eq!(verify(&backup).unwrap(), contents);
}

fn every_byte_of_a_file_counts(backup: &Path, group: &Path, name: &str) {
    let path = group.join(name);
    let good = fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(1 + good.len() / 50) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        with_bytes(&path, &bad, || {
            let why = why(verify(backup));
            assert!(why.contains(name) && why.contains("checksum"), "byte {at}: {why:?}");
        });
    }
    with_bytes(&path, &good[..good.len() - 1], || {
        assert!(why(verify(backup)).contains("bytes instead of"), "{name}");
    });
    fs::remove_file(&path).unwrap();
    let missing = why(verify(backup));
    assert!(missing.contains(name) && missing.contains("is missing"), "{missing}");
    fs::write(&path, good).unwrap();
}

#[test]
fn other_folders_are_no_backups() {
    let folder = tempfile::tempdir().unwrap();
    let (backup, contents) = small(folder.path());
    let why_not = || why(verify(&backup));
    // A segment that the backup did not have, and a group.
    let added = backup.join("group-1").join(format!("{LOG}{:020}", 99));
    fs::write(&added, b"").unwrap();
    assert!(why_not().contains("was added to the backup later"), "{}", why_not());
    fs::remove_file(added).unwrap();
    let added = backup.join("group-2");
    fs::create_dir(&added).unwrap();
    assert!(why_not().contains("group-2 was added to the backup later"), "{}", why_not());
    fs::remove_dir(added).unwrap();
    // Its description of the files is wrong, or of another version.
    let described = backup.join(manifest::NAME);
    let good = fs::read(&described).unwrap();
    let change = |change: fn(&mut BackupContents)| {
        let mut changed = contents.clone();
        change(&mut changed);
        changed
    };
    for (contents, wanted) in [
        (change(|all| all.format = 3), "format 3, but this version reads only format 2"),
        (change(|all| all.groups[1].lsn += 1), "does not match the files of group 1"),
        (change(|all| all.groups[0].files[0].name = "../cluster".to_owned()), "not a backup's"),
        (change(|all| drop(all.groups.pop())), "the slots 8192-16383 have no group"),
        (change(|all| all.groups[1].group = 0), "it lists group 0 twice"),
        (
            change(|all| all.groups[1].slots[0].0 -= 1),
            "the slots 8191-8191 belong to the groups 0 and 1",
        ),
        // The same slots, but not those of the files.
        (
            change(|all| {
                let [one, other] = &mut all.groups[..] else { unreachable!() };
                std::mem::swap(&mut one.slots, &mut other.slots);
            }),
            "does not match the files of group 0",
        ),
    ] {
        contents.write(&Folder::claim(&backup).unwrap()).unwrap();
        assert!(why_not().contains(wanted), "{wanted:?}: {}", why_not());
        fs::write(&described, &good).unwrap();
    }
    fs::remove_file(&described).unwrap();
    assert!(why_not().contains("is not a backup, or not a complete one"), "{}", why_not());
    let nowhere = why(verify(&folder.path().join("no")));
    assert!(nowhere.contains("is not a backup"), "{nowhere}");
    fs::write(&described, &good).unwrap();
    let dir = folder.path().join("new");
    copy(&backup, &dir);
    for group in ["group-0", "group-1"] {
        let found = open_alone(&dir.join(group)).get("rose").unwrap();
        assert_eq!(found.as_deref(), Some(group.as_bytes()));
    }
}

/// Two groups of two nodes, with keys of both.
fn two_groups(etcd: &Etcd, name: &str, folders: &[Folders; 2]) -> Vec<Vec<Node>> {
    let start =
        |group: u32| groups::start(&groups::of_group(etcd, name, group), &folders[group as usize]);
    let nodes: Vec<Vec<Node>> = (0..2).map(start).collect();
    for (key, value) in pairs(0, 40) {
        write(&nodes[usize::from(slot(key.as_bytes()) >= 8192)], &key, &value);
    }
    until("all nodes are registered", || {
        let found = etcd.etcdctl(&["get", "--prefix", &format!("/hedgerow/{name}/node/")]);
        found.matches("\"follower\"").count() == 2 && found.matches("\"primary\"").count() == 2
    });
    nodes
}

#[test]
fn a_backup_is_made_again_if_slots_move_meanwhile() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (folders, to) = ([Folders::new(2), Folders::new(2)], Folders::new(1));
    let _nodes = two_groups(&etcd, "calm", &folders);
    let settings = groups::of_group(&etcd, "calm", 0);
    // A move that does not end.
    let key = "/hedgerow/calm/move/0000000000000001";
    etcd.etcdctl(&["put", key, "x"]);
    let path = to.at(0).join("busy");
    let why = super::take(&settings, &path, &[], Duration::from_secs(1));
    let why = why.err().map(|why| why.to_string()).unwrap_or_default();
    assert!(why.contains("1 moves of slots are still in progress"), "a copy in between: {why:?}");
    assert!(!path.exists());
    etcd.etcdctl(&["del", key]);
    // A move that begins and ends while the groups are copied, for the first time.
    let mut rounds = 0;
    let mut copied = || {
        rounds += 1;
        let move_ends = || etcd.etcdctl(&["put", "/hedgerow/calm/last-move", "2"]);
        (rounds == 1).then(move_ends);
    };
    let path = to.at(0).join("calm");
    let within = Duration::from_secs(60);
    let taken = super::take::take_in_rounds(&settings, &path, &[], within, &mut copied).unwrap();
    assert_eq!(rounds, 2, "slots have moved meanwhile");
    assert_eq!(verify(&to.at(0).join("calm")).unwrap(), taken);
    let slots: Vec<_> = taken.groups.iter().map(|group| group.slots.clone()).collect();
    assert_eq!(slots, [[(0, 8191)], [(8192, 16_383)]]);
    // A move in each round, until the time is over.
    let mut rounds = 2;
    let mut copied = || {
        rounds += 1;
        assert!(rounds < 5, "all groups are copied for ever");
        etcd.etcdctl(&["put", "/hedgerow/calm/last-move", &rounds.to_string()]);
    };
    let path = to.at(0).join("restless");
    let taken = super::take::take_in_rounds(&settings, &path, &[], Duration::ZERO, &mut copied);
    let why = taken.err().map(|why| why.to_string()).unwrap_or_default();
    assert!(why.contains("the time for the backup is over"), "{why:?}");
    assert!(rounds == 3 && !path.join("group-0").exists());
}

#[test]
fn keys_are_restored_into_an_empty_cluster_only() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (settings(&etcd, "restored"), Folders::new(2));
    // Each of its groups has all keys, and those of other slots do not count.
    let (backup, _) = small(folders.at(1));
    let nodes = [Node::start(&settings, folders.at(0)).unwrap()];
    let restore = || {
        super::restore(&settings, &backup, Duration::from_secs(60)).map_err(|why| why.to_string())
    };
    let restored = restore().unwrap();
    assert_eq!((restored.keys, &restored.problems[..]), (22, &[][..]));
    agree(&nodes, &pairs(0, 20));
    let owner = format!("group-{}", u32::from(slot(b"rose") >= 8192));
    assert_eq!(value(&nodes[0], "rose"), Some(owner));
    let again = restore();
    let why = again.expect_err("it was not empty");
    assert!(why.contains("already has 22 keys"), "{why}");
    nodes[0].db().clear().unwrap();
    assert_eq!(restore().unwrap().digest, restored.digest);
}
