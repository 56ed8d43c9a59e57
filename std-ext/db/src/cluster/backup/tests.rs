//! Backups of nodes that run, damaged ones, and restored ones. Without etcd, the tests that need it say so and pass.

use super::*;
use crate::cluster::adopt::Plan;
use crate::cluster::error::StartError;
use crate::cluster::etcd::process::Etcd;
use crate::cluster::tests::{
    Folders, Node, agree, open_alone, pairs, primary, settings, unless_forked, until, write,
};
use crate::log::LOG;
use crate::log::folder::Folder;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn why(error: Result<Contents, StartError>) -> String {
    error.err().map(|why| why.to_string()).unwrap_or_default()
}

fn verify(backup: &Path) -> Result<Contents, StartError> {
    unless_forked(|| super::verify(backup))
}

fn restore(backup: &Path, dir: &Path) -> Result<Contents, StartError> {
    unless_forked(|| super::restore(backup, dir))
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
    let nodes: Vec<Node> =
        (0..2).map(|place| Node::start(&settings, folders.at(place)).unwrap()).collect();
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
    assert_eq!(chosen.node, nodes[1 - primary(&nodes)].member.id().to_string(), "a follower");
    let restored = folders.at(3).join("restored");
    for (to, least, taken, most) in backups {
        let taken = taken.unwrap();
        assert_eq!(verify(&to).unwrap(), taken);
        assert_eq!(taken.snapshot_keys > 0, taken.node == nodes[1].member.id().to_string());
        assert_eq!(restore(&to, &restored).unwrap(), taken);
        let found = keys(&restored);
        // One write may be in the log that was not acknowledged.
        assert!((least..=most + 1).contains(&found), "{least}, {found}, {most}");
        fs::remove_dir_all(&restored).unwrap();
    }
    assert!(why(take(&settings, &plain, None)).contains("must be an empty directory"));
    let other = folders.at(3).join("other");
    assert!(why(take(&settings, &other, Some("xyz"))).contains("no node whose id begins"));
    assert!(why(take(&settings, &other, Some(""))).contains("several ids"));
    assert!(!other.exists(), "a backup that failed at once has left something");

    // Going back: the later changes are gone for good, and the other nodes begin anew.
    let goes_back = folders.at(3).join("back");
    restore(&plain, &goes_back).unwrap();
    let before = keys(&goes_back);
    fs::remove_dir_all(&goes_back).unwrap();
    restore(&plain, &goes_back).unwrap();
    write(&nodes, "later", "change");
    drop(nodes);
    etcd.etcdctl(&["del", "--prefix", "/hedgerow/backup/node/"]);
    let id = chosen.cluster;
    let prepare = |folder: &PathBuf, replace: Option<&str>| {
        unless_forked(|| Plan::prepare(&settings, std::slice::from_ref(folder), replace))
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

/// A backup that was made without nodes.
fn small(folder: &Path) -> (PathBuf, Contents) {
    let to = folder.join("backup");
    {
        let alone = open_alone(&to);
        for (key, value) in pairs(0, 20) {
            alone.set(key, value).unwrap();
        }
        alone.snapshot().unwrap();
        alone.set("rose", "red").unwrap();
    }
    let claimed = unless_forked(|| Folder::claim(&to)).unwrap();
    let contents = super::take::tests::describe_alone(&claimed);
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
    assert_eq!(contents.snapshot_keys, 20);
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
    for file in &contents.files {
        let path = backup.join(&file.name);
        let good = fs::read(&path).unwrap();
        let name = &file.name;
        for at in (0..good.len()).step_by(1 + good.len() / 50) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            with_bytes(&path, &bad, || {
                let why = why(verify(&backup));
                assert!(why.contains(name) && why.contains("checksum"), "byte {at}: {why:?}");
            });
        }
        with_bytes(&path, &good[..good.len() - 1], || {
            assert!(why(verify(&backup)).contains("bytes instead of"), "{name}");
        });
        fs::remove_file(&path).unwrap();
        let missing = why(verify(&backup));
        assert!(missing.contains(name) && missing.contains("is missing"), "{missing}");
        fs::write(&path, good).unwrap();
    }
    assert_eq!(verify(&backup).unwrap(), contents);
}

#[test]
fn other_folders_are_no_backups() {
    let folder = tempfile::tempdir().unwrap();
    let (backup, contents) = small(folder.path());
    let why_not = || why(verify(&backup));
    // A segment that the backup did not have.
    let added = backup.join(format!("{LOG}{:020}", 99));
    fs::write(&added, b"").unwrap();
    assert!(why_not().contains("was added to the backup later"), "{}", why_not());
    fs::remove_file(added).unwrap();
    // Its description of the files is wrong, or of another version.
    let described = backup.join(manifest::NAME);
    let good = fs::read(&described).unwrap();
    let (mut later, mut wrong, mut outside) =
        (contents.clone(), contents.clone(), contents.clone());
    later.format = 2;
    wrong.lsn += 1;
    outside.files[0].name = "../cluster".to_owned();
    for (contents, wanted) in [
        (later, "format 2"),
        (wrong, "does not say what its files have"),
        (outside, "no backup has"),
    ] {
        contents.write(&unless_forked(|| Folder::claim(&backup)).unwrap()).unwrap();
        assert!(why_not().contains(wanted), "{wanted:?}: {}", why_not());
        fs::write(&described, &good).unwrap();
    }
    fs::remove_file(&described).unwrap();
    assert!(why_not().contains("is no backup, or one that was not finished"), "{}", why_not());
    let nowhere = why(verify(&folder.path().join("no")));
    assert!(nowhere.contains("is no backup"), "{nowhere}");
    fs::write(&described, &good).unwrap();
    // Nothing is written over.
    let dir = folder.path().join("node");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("precious"), b"").unwrap();
    assert!(
        why(restore(&backup, &dir)).contains("must be an empty directory, but has \"precious\"")
    );
    let dir = folder.path().join("new");
    restore(&backup, &dir).unwrap();
    assert_eq!(open_alone(&dir).get("rose").unwrap().as_deref(), Some(&b"red"[..]));
}
