//! etcd that lost entries, and nodes with more and with less.

use super::*;

/// A group that node 1 leads; node 2, which follows and has entries up to 6; and a copy of etcd as of entry 3.
fn restored() -> (Etcd, Node, Etcd) {
    let (etcd, mut follower) = follower();
    let (backup, mut etcd) = (etcd.clone(), etcd);
    for changes in [b"c", b"d", b"e"] {
        etcd.append(1, &[changes]);
    }
    etcd.tell(&mut follower);
    follower.run(&mut etcd);
    assert_eq!(follower.group.status().last, 6);
    // The revision does not show that it went back.
    let revision = etcd.revision;
    (etcd, follower, Etcd { revision, ..backup })
}

/// A node that was away since before the backup.
fn lagging(etcd: &mut Etcd) -> Node {
    let mut lagging = Node::new(settings(3));
    lagging.run(etcd);
    assert_eq!(lagging.role(), GroupRole::Follower, "{:?}", lagging.told);
    lagging
}

#[test]
fn a_node_with_more_says_so_before_it_stops_and_nobody_takes_over() {
    let (_, mut follower, mut etcd) = restored();
    follower.event(Event::WatchLost);
    let (id, read) = pop(&mut follower.reads).expect("a read");
    follower.event(Event::Read { id, answer: Ok(etcd.read(&read)) });
    assert_eq!(follower.stopped(), None, "it stops before etcd has its record");
    follower.run(&mut etcd);
    let stopped = follower.stopped().expect("it stops");
    let says = ["ends with entry 3", "entries up to 6"];
    assert!(says.iter().all(|text| stopped.contains(text)), "{stopped}");
    let halt = etcd.halt.as_deref().and_then(Halt::parse).expect("a record");
    assert_eq!((halt.node, halt.lsn, halt.seq), (node(2), 6, etcd.tail().seq + 3));
    let mut lagging = lagging(&mut etcd);
    lagging.live(&mut etcd, 2 * WAIT);
    assert_eq!(etcd.tail().lsn, 3, "it writes over acknowledged entries");
    assert!(lagging.notes().contains("node 0202"), "{}", lagging.notes());
    let why = lagging.group.status().disqualified;
    assert!(matches!(why, Some(Disqualification::EntriesLost(_))), "{why:?}");
}

#[test]
fn a_takeover_compares_that_nobody_has_said_anything() {
    let (_, mut follower, mut etcd) = restored();
    let mut lagging = lagging(&mut etcd);
    // The candidate has looked, and its transaction is on the way.
    while lagging.txns.is_empty() {
        lagging.pass(10);
        while let Some((id, read)) = pop(&mut lagging.reads) {
            lagging.event(Event::Read { id, answer: Ok(etcd.read(&read)) });
        }
    }
    follower.event(Event::WatchLost);
    follower.run(&mut etcd);
    assert!(follower.stopped().is_some());
    lagging.live(&mut etcd, 2 * WAIT);
    assert_eq!(etcd.tail().lsn, 3, "it writes over acknowledged entries");
}

#[test]
fn a_node_that_starts_finds_that_etcd_lacks_its_last_batch() {
    let (whole, _, mut etcd) = restored();
    let batch = Batch::decode(&whole.log[&whole.tail().seq]).expect("a batch");
    let before =
        LogPosition { seq: whole.tail().seq - 1, lsn: 5, epoch: 1, chain: batch.before, time: 0 };
    let mut starts = Node::at(settings(2), before, 6);
    starts.run(&mut etcd);
    let stopped = starts.stopped().expect("it stops");
    assert!(stopped.contains("lost entries"), "{stopped}");
    assert!(etcd.halt.is_some(), "nobody knows of its entries");

    // A program without a cluster has appended entries to the folder: they are in no batch.
    let (mut etcd, tail) = (whole.clone(), whole.tail());
    let mut changed = Node::at(settings(2), before, tail.lsn + 2);
    changed.run(&mut etcd);
    assert!(changed.stopped().expect("it stops").contains("a different history"));
    assert_eq!(etcd.halt, None, "a folder that was changed stops a healthy group");
}

#[test]
fn entries_of_an_earlier_incarnation_stop_nobody() {
    let (whole, _, mut etcd) = restored();
    let tail = whole.tail();
    let position = LogPosition { seq: tail.seq, lsn: 6, epoch: 1, chain: tail.chain, time: 0 };
    let node = Node::at(settings(2), position, 6);
    let mut node = Node { group: node.group.of_an_earlier_incarnation(), ..node };
    node.run(&mut etcd);
    assert!(node.stopped().expect("it stops").contains("reseeded"));
    assert_eq!(etcd.halt, None, "entries that were left out on purpose stop the group");
}

#[test]
fn after_a_takeover_there_is_nothing_to_protect() {
    let (_, mut follower, mut etcd) = restored();
    let mut lagging = lagging(&mut etcd);
    lagging.live(&mut etcd, 2 * WAIT);
    assert_eq!(lagging.role(), GroupRole::Primary, "{:?}", lagging.told);
    follower.event(Event::WatchLost);
    follower.run(&mut etcd);
    let stopped = follower.stopped().expect("it stops");
    assert!(stopped.contains("two histories"), "{stopped}");
    assert_eq!(etcd.halt, None, "the group ends with its next primary");
}

#[test]
fn what_is_on_a_disk_of_a_member_speaks_against_a_takeover() {
    let (_, _, mut etcd) = restored();
    etcd.durable.push((node(1), etcd.tail().seq + 1));
    let mut lagging = lagging(&mut etcd);
    lagging.live(&mut etcd, 2 * WAIT);
    assert_eq!(etcd.tail().lsn, 3, "a later entry is on a member's disk");
    etcd.durable.clear();
    lagging.live(&mut etcd, 2 * WAIT);
    assert_eq!(lagging.role(), GroupRole::Primary, "the record is gone, and it still waits");
}

#[test]
fn a_node_that_cannot_say_it_tries_for_a_while() {
    let (_, mut follower, mut etcd) = restored();
    follower.event(Event::WatchLost);
    let (id, read) = pop(&mut follower.reads).expect("a read");
    follower.event(Event::Read { id, answer: Ok(etcd.read(&read)) });
    let mut tries = 0;
    while follower.stopped().is_none() {
        while let Some((id, _)) = pop(&mut follower.halts) {
            tries += 1;
            let outcome = Err(TxnFailure::Unknown("no answer".to_owned()));
            follower.event(Event::Halted { id, outcome });
        }
        follower.pass(100);
        assert!(tries < 1000, "it tries for ever");
    }
    assert!(tries > 50, "{tries}");
    let stopped = follower.stopped().expect("it stops");
    assert!(stopped.contains("could not be told"), "{stopped}");
    follower.run(&mut etcd);
    assert_eq!(etcd.halt, None);
}
