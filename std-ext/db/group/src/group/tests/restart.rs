//! The next process of a primary that has died [C-15].

use super::*;

/// The number of the process after that of `settings(1)`.
const NEXT: u64 = 0x777;

/// The settings of the next process of node 1, which knows that the one before has ended.
fn again() -> GroupSettings {
    GroupSettings { nonce: NEXT, former: vec![3, settings(1).nonce], ..settings(1) }
}

fn reason(node: &Node) -> String {
    let reason = node.told.iter().rev().find_map(|action| match action {
        Action::Role { role: GroupRole::Primary, reason, .. } => Some(reason.to_string()),
        _ => None,
    });
    reason.unwrap_or_default()
}

#[test]
fn the_next_process_of_a_primary_takes_the_group_back_at_once() {
    let (mut etcd, mut first) = leader();
    first.append(&[b"a", b"b"]);
    first.run(&mut etcd);
    let mut next = Node::new(again());
    next.run(&mut etcd);
    assert_eq!(next.role(), GroupRole::Primary, "it waits for a lease that protects nobody");
    assert_eq!(next.changes(), [b"a", b"b"]);
    let tail = etcd.tail();
    assert_eq!((tail.epoch, tail.nonce), (2, NEXT), "the epoch of a process that is dead goes on");
    assert!(reason(&next).contains("former process"), "{}", reason(&next));
    assert_eq!(next.group.takeover(), Takeover::TakenBack);
}

#[test]
fn a_line_that_no_ended_process_of_this_node_wrote_is_not_taken_back() {
    // Another process has the id of this node, as on a copy of the folder. Another node, with the same number.
    let copy = |tail: &mut Tail| tail.nonce += 7;
    let other = |tail: &mut Tail| tail.node = Some(node(2));
    for change in [copy, other] {
        let (mut etcd, _) = leader();
        etcd.other(change);
        let mut next = Node::new(again());
        next.live(&mut etcd, WAIT - 100);
        assert_eq!(etcd.tail().epoch, 1, "it takes the group from a process that may be alive");
        next.live(&mut etcd, LEASE);
        assert_eq!((etcd.tail().epoch, etcd.tail().nonce), (2, NEXT));
        assert!(reason(&next).contains("ran out"), "{}", reason(&next));
    }
}

/// It may be in an etcd that was restored from a backup: see [C-14].
#[test]
fn a_line_whose_lease_has_run_out_is_waited_for() {
    for (age, taken) in [(LEASE, true), (LEASE + 1, false)] {
        let (mut etcd, first) = leader();
        etcd.other(|tail| tail.time = first.now.wall - age);
        let mut next = Node::new(again());
        next.run(&mut etcd);
        assert_eq!(etcd.tail().epoch == 2, taken, "a line of {age} ms ago: {:?}", next.told);
    }
}

#[test]
fn what_the_dead_process_has_sent_comes_before_the_takeover_or_never() {
    for before in [true, false] {
        let (mut etcd, mut first) = leader();
        first.append(&[b"late"]);
        let (_, late) = first.txn();
        let mut next = Node::new(again());
        while next.txns.is_empty() {
            let (id, read) = pop(&mut next.reads).expect("a read, or the takeover");
            next.event(Event::Read { id, answer: Ok(etcd.read(&read)) });
        }
        if before {
            assert!(matches!(etcd.txn(&late), TxnOutcome::Done { .. }));
        }
        next.run(&mut etcd);
        assert_eq!((next.role(), etcd.tail().epoch), (GroupRole::Primary, 2));
        if !before {
            let outcome = etcd.txn(&late);
            assert!(
                matches!(outcome, TxnOutcome::Refused { .. }),
                "a dead process writes: {outcome:?}"
            );
        }
        let wanted: &[&[u8]] = if before { &[b"late"] } else { &[] };
        assert_eq!(next.changes(), wanted, "an entry that may be acknowledged is gone");
    }
}

#[test]
fn half_an_entry_of_the_dead_process_is_abandoned() {
    let (mut etcd, _) = leader();
    let tail = etcd.tail();
    let mut raw = Vec::new();
    encode_entry(&Entry { lsn: 2, time: 1, changes: vec![1; 100] }, &mut raw);
    raw.truncate(50);
    let (first, before) = (tail.lsn + 1, tail.chain);
    etcd.put(&Batch { epoch: 1, first, entries: 0, piece: BatchPiece::Part, before, raw });
    etcd.other(|tail| tail.time = 50_000_000);
    let mut next = Node::new(again());
    next.run(&mut etcd);
    next.append(&[b"whole"]);
    next.run(&mut etcd);
    let mut follower = Node::new(settings(2));
    follower.run(&mut etcd);
    assert_eq!(follower.changes(), [b"whole"], "{:?}", follower.stopped());
}
