//! Honest peers: the status, and whole fetches.

use super::node::{
    Content, DIGEST, GROUP, NODE, Node, content, eventually, names, options, serve, write_snapshot,
};
use crate::log::local_log::{Incarnation, LocalLogPosition};
use crate::peer::client::{PeerClient, PeerClientOptions};
use crate::peer::error::PeerError;
use crate::peer::identity::{GroupId, PeerStatus};
use crate::peer::install::install;
use crate::peer::resync::{FetchDecision, fetch};
use crate::peer::server::{PeerServer, PeerServerOptions};
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_engine::log::{Log, Lsn};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

pub(super) fn status(address: &str, options: &PeerClientOptions) -> Result<PeerStatus, PeerError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { PeerClient::new(address, options)?.status().await })
}

/// Fetches until the entry `lsn` has arrived.
fn fetch_to(address: SocketAddr, path: &Path, lsn: Lsn) -> Result<LocalLogPosition, PeerError> {
    fetch(&address.to_string(), &options(), path, &mut |position| {
        let there = position.is_some_and(|position| position.lsn >= lsn);
        if there { FetchDecision::Enough } else { FetchDecision::Continue }
    })
}

#[test]
fn a_peer_says_where_it_is() {
    let node = Node::empty();
    let server = node.serve();
    let address = server.address().to_string();
    let found = status(&address, &options()).unwrap();
    assert_eq!(found, (node.serving().status)());
    assert_eq!(found.node, NODE);
    drop(server);
    let gone = status(&address, &options());
    assert!(matches!(gone, Err(PeerError::Unreachable(_))), "{gone:?}");
}

#[test]
fn a_peer_tells_its_digest() {
    let node = Node::empty();
    let server = node.serve();
    let ask = |time: u64, group: GroupId| {
        let address = server.address().to_string();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut client = PeerClient::new(&address, &PeerClientOptions { group, ..options() })?;
            client.digest(time, Duration::from_secs(1)).await
        })
    };
    assert_eq!(ask(400, GROUP).unwrap(), Some(DIGEST));
    assert_eq!(ask(0, GROUP).unwrap(), None, "its log was there already");
    let other = ask(400, GroupId { incarnation: 9, ..GROUP });
    assert!(matches!(other, Err(PeerError::Refused(_))), "{other:?}");
}

#[test]
fn peers_of_other_groups_are_refused() {
    let node = Node::empty();
    let server = node.serve();
    let mut groups = [GROUP; 3];
    groups[0].cluster[5] = 0;
    groups[1].incarnation += 1;
    groups[2].group += 1;
    for (group, word) in groups.into_iter().zip(["another cluster", "incarnation", "group"]) {
        let options = PeerClientOptions { group, ..options() };
        let path = tempfile::tempdir().unwrap();
        let address = server.address().to_string();
        let fetched = fetch(&address, &options, path.path(), &mut |_| FetchDecision::GiveUp);
        for refused in [status(&address, &options).map(|_| ()), fetched.map(|_| ())] {
            let text = refused.unwrap_err().to_string();
            assert!(text.contains(word), "{text}");
        }
    }
}

#[test]
fn a_node_without_data_sends_none() {
    let node = Node::empty();
    let serving = node.serving();
    *serving.data.lock().unwrap() = None;
    let server = serve(serving);
    let path = tempfile::tempdir().unwrap();
    let refused = fetch_to(server.address(), path.path(), 0);
    assert!(matches!(&refused, Err(PeerError::Refused(_))), "{refused:?}");
    assert_eq!(names(path.path()).len(), 0);
}

#[test]
fn a_folder_is_renewed_from_a_peer() {
    let node = Node::new(&[9; 5000]);
    let server = node.serve();
    // A folder with older data of its own.
    let old = Node::empty();
    old.push(1);
    old.local_log.force().unwrap();
    let path = old.path.path();
    let before = Incarnation::of(&old.folder).unwrap();
    let position = fetch_to(server.address(), path, 40).unwrap();
    assert_eq!((position.lsn, position.next_seq()), (40, 40));
    drop(old.local_log);
    drop(old.folder);
    let fetched = Folder::claim(path).unwrap();
    assert!(install(&fetched).unwrap());
    assert!(!install(&fetched).unwrap(), "it was installed twice");
    assert_ne!(Incarnation::of(&fetched).unwrap(), before, "the old disk still counts");
    drop(fetched);
    let got = content(path);
    assert_eq!(got.position, position);
    let keys: BTreeMap<_, _> = (0..100_u8).map(|key| (vec![key], vec![9; 5000])).collect();
    let lsns: Vec<Lsn> = got.entries.iter().map(|entry| entry.0).collect();
    assert_eq!(lsns, (21..=40).collect::<Vec<_>>());
    assert_eq!(got.snapshot, Some((25, keys)));
    drop(server);
    drop(node.local_log);
    drop(node.folder);
    let theirs = content(node.path.path());
    assert_eq!(got, Content { ..theirs });
}

#[test]
fn the_mark_of_a_snapshot_counts_if_no_batch_follows() {
    let node = Node::empty();
    (1..=3).for_each(|lsn| node.push(lsn));
    node.local_log.log().rotate().unwrap();
    write_snapshot(&node.folder, 3, 3, b"value");
    node.local_log.drop_before(4).unwrap();
    let server = node.serve();
    let path = tempfile::tempdir().unwrap();
    let position = fetch_to(server.address(), path.path(), 3).unwrap();
    assert_eq!((position.lsn, position.next_seq()), (3, 3));
    assert!(install(&Folder::claim(path.path()).unwrap()).unwrap());
    assert_eq!(content(path.path()).position, position);
}

#[test]
fn a_peer_without_a_snapshot_sends_its_log() {
    let node = Node::empty();
    (1..=3).for_each(|lsn| node.push(lsn));
    let server = node.serve();
    let path = tempfile::tempdir().unwrap();
    fetch_to(server.address(), path.path(), 3).unwrap();
    assert!(install(&Folder::claim(path.path()).unwrap()).unwrap());
    let got = content(path.path());
    assert_eq!((got.snapshot, got.entries.len()), (None, 3));
}

#[test]
fn a_fetch_follows_until_it_is_enough() {
    let node = Node::new(b"value");
    let server = node.serve();
    let path = tempfile::tempdir().unwrap();
    let address = server.address().to_string();
    let mut pushed = 40;
    let position = fetch(&address, &options(), path.path(), &mut |position| {
        match position {
            // The peer has sent all. It commits one more, ten times.
            Some(position) if position.lsn == pushed && pushed < 50 => {
                pushed += 1;
                node.push(pushed);
                FetchDecision::Continue
            }
            Some(position) if position.lsn == 50 => FetchDecision::Enough,
            _ => FetchDecision::Continue,
        }
    });
    assert_eq!(position.unwrap().lsn, 50);
    let given = fetch(&address, &options(), path.path(), &mut |_| FetchDecision::GiveUp);
    assert!(matches!(given, Err(PeerError::GivenUp)), "{given:?}");
    assert_eq!(names(path.path()).len(), 0, "a fetch that was given up leaves something");
}

#[test]
fn what_is_being_sent_is_not_removed() {
    let node = Node::new(&vec![9; 100_000]);
    let server = node.serve();
    let path = tempfile::tempdir().unwrap();
    let address = server.address().to_string();
    let mut renewed = false;
    let position = fetch(&address, &options(), path.path(), &mut |position| {
        if !renewed {
            // The first chunks have come. The peer makes a new snapshot, and removes what it does not need.
            renewed = true;
            node.local_log.log().rotate().unwrap();
            node.push(41);
            write_snapshot(&node.folder, 41, 41, b"newer");
            node.local_log.drop_before(41).unwrap();
        }
        let there = position.is_some_and(|position| position.lsn == 41);
        if there { FetchDecision::Enough } else { FetchDecision::Continue }
    });
    assert_eq!(position.unwrap().lsn, 41);
    eventually("the segments are kept for ever", || {
        node.local_log.drop_before(41).unwrap();
        !node.path.path().join(format!("log-{:020}", 15)).exists()
    });
    assert!(install(&Folder::claim(path.path()).unwrap()).unwrap());
    let got = content(path.path());
    assert_eq!(got.snapshot.map(|(lsn, keys)| (lsn, keys[&vec![0]].len())), Some((25, 100_000)));
    assert_eq!(got.entries.len(), 21);
}

#[test]
fn other_machines_are_served_over_tls_only() {
    let node = Node::empty();
    let anywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let refused = PeerServer::start(anywhere, &PeerServerOptions::default(), node.serving());
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("cluster-insecure"), "{text}");
    for address in ["10.0.0.1:7", "example.org:7", "[2001:db8::1]:7", "127.0.0.1.example.org:7"] {
        let refused = status(address, &options()).unwrap_err().to_string();
        assert!(refused.contains("cluster-insecure"), "{address}: {refused}");
    }
    let server = PeerServer::start(
        anywhere,
        &PeerServerOptions { insecure: true, tls: None },
        node.serving(),
    );
    let port = server.as_ref().unwrap().address().port();
    for host in ["127.0.0.1", "localhost"] {
        status(&format!("{host}:{port}"), &options()).unwrap();
    }
    let taken = PeerServer::start(
        server.as_ref().unwrap().address(),
        &PeerServerOptions { insecure: true, tls: None },
        node.serving(),
    );
    assert!(taken.is_err(), "the address is in use");
    assert!(matches!(status("no address", &options()), Err(PeerError::Settings(_))));
}
