//! An etcd that was restored and written to since: its last batch is another one.

use super::*;
use crate::etcd::{ClientSettings, EtcdClient};
use crate::membership::keys::GroupKeys;
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_engine::snapshot::Snapshot;
use hedgerow_db_group::{Batch, Tail};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// Returns the number of the last entry in etcd.
fn last_entry(etcd: &Etcd, name: &str) -> Lsn {
    block_on(async {
        let client = EtcdClient::connect(&ClientSettings::new(etcd.endpoints())).unwrap();
        let tail = client.get(GroupKeys::new(name, 0).unwrap().tail()).await.unwrap().pair.unwrap();
        Tail::parse(&tail.value).unwrap().lsn
    })
}

/// Turns a bit of the last batch, as if another history had it: of a value, of a node's id, or of a time.
fn forge(etcd: &Etcd, name: &str) {
    block_on(async {
        let client = EtcdClient::connect(&ClientSettings::new(etcd.endpoints())).unwrap();
        let keys = GroupKeys::new(name, 0).unwrap();
        let value = async |key: String| client.get(key).await.unwrap().pair.unwrap().value;
        let tail = Tail::parse(&value(keys.tail()).await).unwrap();
        let mut batch = Batch::decode(&value(keys.batch(tail.seq)).await).unwrap();
        *batch.raw.last_mut().unwrap() ^= 1;
        let tail = Tail { chain: batch.after(), ..tail };
        client.put(keys.batch(tail.seq), batch.encode(), 0).await.unwrap();
        client.put(keys.tail(), tail.to_string(), 0).await.unwrap();
    });
}

/// Runs two nodes until a snapshot of the follower has the whole log, and stops them. Returns the follower's place.
fn leave_the_log_to_a_snapshot(
    etcd: &Etcd,
    settings: &ClusterSettings,
    folders: &Folders,
) -> usize {
    for _ in 0..20 {
        let mut nodes: Vec<Node> = Node::start_all(settings, folders, 2);
        let follower = 1 - write(&nodes, "rose", "red");
        agree(&nodes, &[("rose".into(), "red".into())]);
        // The snapshot of a primary ends behind an entry of its own, which stays in the log.
        nodes[follower].db().snapshot().unwrap();
        drop(nodes.remove(follower));
        assert!(nodes[0].member.release(TIME_LIMIT));
        drop(nodes);
        let folder = Folder::claim(folders.at(follower)).unwrap();
        let snapshot = Snapshot::newest(&folder).unwrap().expect("one was written");
        // Not if the primary has logged its time since.
        if snapshot.last() == last_entry(etcd, &settings.name) {
            return follower;
        }
    }
    panic!("the primary always logs something after the snapshot");
}

#[test]
fn a_snapshot_notices_another_last_batch() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (settings(&etcd, "restored"), Folders::new(2));
    let follower = leave_the_log_to_a_snapshot(&etcd, &settings, &folders);
    forge(&etcd, "restored");
    let node = Node::start(&settings, folders.at(follower)).unwrap();
    until("the node stops", || {
        assert!(!node.is_primary(), "a node goes on with another history");
        node.exit().is_some()
    });
    let Some(NodeExit::Stop(why)) = node.exit() else { panic!("{:?}", node.exit()) };
    assert!(why.contains("a different history"), "{why}");
    drop(node);
    forge(&etcd, "restored");
    let node = Node::start(&settings, folders.at(follower)).unwrap();
    until("the right history is continued", || node.is_primary());
    assert_eq!(value(&node, "rose").as_deref(), Some("red"));
}
