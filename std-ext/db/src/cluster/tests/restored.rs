//! An etcd that was restored and written to since: its last batch is another one.

use super::*;
use crate::cluster::core::{Batch, Tail};
use crate::cluster::etcd::{Client, Settings};
use crate::cluster::keys::Keys;

/// Replaces text in the last batch, as if another history had it.
fn forge(etcd: &Etcd, name: &str, from: &[u8], to: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::connect(&Settings::new(etcd.endpoints())).unwrap();
        let keys = Keys::new(name).unwrap();
        let value = async |key: String| client.get(key).await.unwrap().pair.unwrap().value;
        let tail = Tail::parse(&value(keys.tail()).await).unwrap();
        let mut batch = Batch::decode(&value(keys.batch(tail.seq)).await).unwrap();
        let at = batch.raw.windows(from.len()).position(|bytes| bytes == from).unwrap();
        batch.raw[at..at + from.len()].copy_from_slice(to);
        let tail = Tail { chain: batch.after(), ..tail };
        client.put(keys.batch(tail.seq), batch.encode(), 0).await.unwrap();
        client.put(keys.tail(), tail.to_string(), 0).await.unwrap();
    });
}

/// The whole log is in the snapshot, which alone knows what the last batch is.
#[test]
fn a_snapshot_notices_another_last_batch() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (settings(&etcd, "restored"), Folders::new(1));
    let node = Node::start(&settings, folders.at(0)).unwrap();
    write(std::slice::from_ref(&node), "rose", "red");
    node.db().snapshot().unwrap();
    assert!(node.member.release(TIME_LIMIT));
    drop(node);
    forge(&etcd, "restored", b"red", b"RED");
    let node = Node::start(&settings, folders.at(0)).unwrap();
    until("the node stops", || {
        assert!(!node.is_primary(), "a node goes on with another history");
        node.exit().is_some()
    });
    let Some(Exit::Stop(why)) = node.exit() else { panic!("{:?}", node.exit()) };
    assert!(why.contains("another history"), "{why}");
    drop(node);
    forge(&etcd, "restored", b"RED", b"red");
    let node = Node::start(&settings, folders.at(0)).unwrap();
    until("the right history is continued", || node.is_primary());
    assert_eq!(value(&node, "rose").as_deref(), Some("red"));
}
