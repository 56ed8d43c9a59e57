//! The renewal of a folder: a spool that cannot be written, or becomes too long, delays it and loses nothing.

use super::node::{Node, eventually, options};
use crate::node::message::{DriverMessage, Inbox};
use crate::node::resync::{Resync, SharedSpool};
use crate::peer::install::install;
use crate::peer::spool::Spool;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_group::Seq;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A node that needs the data of another one.
struct Renewing {
    path: tempfile::TempDir,
    resync: Resync,
    spool: SharedSpool,
    messages: UnboundedReceiver<DriverMessage>,
}

impl Renewing {
    fn new() -> Self {
        let path = tempfile::tempdir().unwrap();
        let (inbox, messages): (Inbox, _) = unbounded_channel();
        let spool = SharedSpool::default();
        let resync = Resync::new(path.path(), options(), Arc::clone(&spool), inbox);
        Self { path, resync, spool, messages }
    }

    fn path(&self) -> &Path {
        self.path.path()
    }

    /// The first and the last batch of the spool.
    fn spooled(&self) -> Option<(Seq, Seq)> {
        lock(&self.spool).as_ref().and_then(Spool::range)
    }

    /// Waits until the data are there, and returns the batch that the node reads next.
    fn next_seq(&mut self) -> Seq {
        eventually("nothing is fetched", || match self.messages.try_recv() {
            Ok(DriverMessage::Fetched) => true,
            Ok(DriverMessage::Failed(why)) => panic!("{why}"),
            _ => false,
        });
        let folder = Folder::claim(self.path()).unwrap();
        assert!(install(&folder).unwrap());
        super::node::content_of(&folder).position.next_seq()
    }
}

#[test]
fn a_disk_that_is_full_for_a_while_delays_a_renewal() {
    let node = Node::new(b"value");
    let server = node.serve();
    let mut late = Renewing::new();
    late.resync.set_sources(vec![server.address().to_string()]);
    // Neither the spool nor the data can be written.
    let (spool, data) = (late.path().join("spool"), late.path().join("resync"));
    fs::create_dir(&spool).unwrap();
    fs::write(&data, "").unwrap();
    late.resync.begin(40);
    late.resync.spool(41, b"lost");
    assert!(lock(&late.spool).is_none());
    fs::remove_dir(&spool).unwrap();
    eventually("the spool is not tried again", || lock(&late.spool).is_some());
    // The first batch that it keeps need not be the first one that came.
    late.resync.spool(42, b"kept");
    fs::remove_file(&data).unwrap();
    node.push(41);
    node.push(42);
    let next = late.next_seq();
    assert_eq!((late.spooled(), next), (Some((42, 42)), 42), "a batch is missing between the two");
}

#[test]
fn a_renewal_begins_anew_when_its_spool_is_too_long() {
    let node = Node::new(b"value");
    let server = node.serve();
    let mut late = Renewing::new();
    late.resync.most_spooled = 1000;
    late.resync.begin(40);
    let mut seq = 40;
    // No peer is there yet.
    while lock(&late.spool).is_some() {
        seq += 1;
        assert!(seq < 100, "the spool is not bounded");
        late.resync.spool(seq, &[7; 100]);
    }
    assert!(seq > 44, "batch {seq} was not kept");
    eventually("no new spool is begun", || lock(&late.spool).is_some());
    late.resync.spool(seq + 1, b"kept");
    (41..=seq + 1).for_each(|lsn| node.push(lsn));
    late.resync.set_sources(vec![server.address().to_string()]);
    let (next, kept) = (late.next_seq(), late.spooled());
    assert_eq!((kept, next), (Some((seq + 1, seq + 1)), seq + 1), "a batch is missing");
}
