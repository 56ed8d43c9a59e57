//! Followers: the watch, gaps, other histories, resync.

use super::*;

#[test]
fn batches_are_applied_in_order_whatever_the_watch_does() {
    let (mut etcd, mut follower) = follower();
    for n in 0..6_u8 {
        etcd.append(1, &[&[n]]);
    }
    let seen = std::mem::take(&mut etcd.seen);
    let batches: Vec<_> =
        seen.into_iter().filter(|seen| matches!(seen, WatchedChange::Batch(..))).collect();
    let order = [1, 0, 0, 5, 2, 1, 0, 5];
    for at in order {
        let seen = vec![batches[at].clone()];
        follower.event(Event::Watched { revision: 0, seen });
        follower.run(&mut etcd);
    }
    let all: Vec<_> = (0..6_u8).map(|n| vec![n]).collect();
    assert_eq!(follower.changes(), all, "an entry is missing, or came twice");
}

#[test]
fn a_gap_is_read() {
    let (mut etcd, mut follower) = follower();
    etcd.append(1, &[b"c"]);
    etcd.append(1, &[b"d"]);
    etcd.seen.drain(..2);
    etcd.tell(&mut follower);
    assert_eq!(follower.reads.last().map(|read| &read.1), Some(&Read::Batches(3, 3)));
    follower.run(&mut etcd);
    assert_eq!(follower.changes(), [b"c", b"d"]);
}

#[test]
fn a_line_without_its_batch_is_a_gap() {
    let (mut etcd, mut follower) = follower();
    etcd.append(1, &[b"c"]);
    etcd.seen.remove(0);
    etcd.tell(&mut follower);
    follower.run(&mut etcd);
    assert_eq!(follower.changes(), [b"c"], "a gap was not read");
}

#[test]
fn a_silent_watch_is_checked() {
    let (mut etcd, mut follower) = follower();
    etcd.append(1, &[b"c"]);
    follower.live(&mut etcd, LEASE / 2 + 20);
    assert_eq!(follower.changes(), [b"c"], "a silent watch is believed");
    for _ in 0..4 {
        etcd.append(1, &[b"c"]);
        follower.live(&mut etcd, LEASE / 2 + 20);
    }
    assert!(follower.told.iter().any(|told| matches!(told, Action::Watch(_))), "it begins anew");
}

#[test]
fn a_lost_watch_begins_behind_a_read() {
    let (mut etcd, mut follower) = follower();
    etcd.append(1, &[b"c"]);
    follower.event(Event::WatchLost);
    let (id, _) = pop(&mut follower.reads).expect("a read");
    follower.event(Event::Read { id, answer: Err(TxnFailure::Unknown(String::new())) });
    assert!(!follower.told.iter().any(|told| matches!(told, Action::Watch(_))));
    follower.live(&mut etcd, 300);
    let from = etcd.revision + 1;
    assert!(follower.told.iter().any(|told| matches!(told, Action::Watch(at) if *at == from)));
    assert_eq!(follower.changes(), [b"c"]);
}

#[test]
fn a_failed_read_is_repeated() {
    let (mut etcd, mut follower) = follower();
    etcd.append(1, &[b"c"]);
    etcd.seen.remove(0);
    etcd.tell(&mut follower);
    for _ in 0..5 {
        let (id, _) = pop(&mut follower.reads).expect("a read");
        follower.event(Event::Read { id, answer: Err(TxnFailure::Unknown(String::new())) });
        assert!(follower.reads.is_empty(), "without a pause");
        follower.pass(100);
    }
    follower.run(&mut etcd);
    assert_eq!(follower.changes(), [b"c"]);
}

#[test]
fn trimmed_batches_are_fetched_from_a_peer() {
    let (mut etcd, mut follower) = follower();
    for n in 0..6_u8 {
        etcd.append(1, &[&[n]]);
    }
    etcd.seen.clear();
    etcd.log = etcd.log.split_off(&6);
    follower.live(&mut etcd, LEASE);
    let wanted = follower.told.iter().find_map(|told| match told {
        Action::Resync { position, tail, primary } => Some((position.seq, *tail, *primary)),
        _ => None,
    });
    assert_eq!(wanted, Some((2, 8, Some(node(1)))), "a trimmed gap");
    assert_eq!(follower.role(), GroupRole::Loading);
    etcd.append(1, &[b"x"]);
    etcd.tell(&mut follower);
    assert!(follower.told.iter().any(|told| matches!(told, Action::Spool(9, _))));
    assert!(follower.changes().is_empty());
    follower.live(&mut etcd, 3 * LEASE);
    assert_eq!(etcd.tail().epoch, 1, "a takeover without the log");
    etcd.other(|_| {});
    etcd.tell(&mut follower);
    let batch = Batch::decode(&etcd.log[&7]).expect("a batch");
    let position =
        LogPosition { seq: 6, lsn: batch.first - 1, epoch: 1, chain: batch.before, time: 0 };
    follower.event(Event::Resynced { position, held: HeldEntries::up_to(batch.first) });
    follower.run(&mut etcd);
    assert_eq!(follower.changes(), [b"\x05".to_vec(), b"x".to_vec()]);
    assert_eq!(follower.role(), GroupRole::Follower);
}

#[test]
fn a_restarted_node_reads_its_last_batch_once_more() {
    let (mut etcd, mut first) = leader();
    first.append(&[b"a", b"b", b"c"]);
    first.run(&mut etcd);
    first.append(&[b"d"]);
    first.run(&mut etcd);
    let mark = first.committed()[0].mark;
    // The local log has half of the batch.
    let mut restarted = Node::at(settings(2), mark.before(0), 3);
    restarted.run(&mut etcd);
    assert_eq!(restarted.changes(), [b"c", b"d"], "the entries that it lacks, once");
    assert_eq!(restarted.committed()[0].mark, mark);
    let mut restarted = Node::at(settings(2), first.committed()[1].mark.before(0), 5);
    restarted.run(&mut etcd);
    assert!(restarted.committed().is_empty());
    assert_eq!(restarted.role(), GroupRole::Follower);
}

#[test]
fn another_history_stops_a_node() {
    let (mut etcd, mut first) = leader();
    first.append(&[b"a"]);
    first.run(&mut etcd);
    let mark = first.committed()[0].mark;
    let (mut other, mut second) = leader();
    second.append(&[b"b"]);
    second.run(&mut other);
    second.append(&[b"c"]);
    second.run(&mut other);
    // The folder of the first group, at the etcd of the second.
    let position = LogPosition { chain: BatchChain([9; 16]), ..mark.before(0) };
    let mut moved = Node::at(settings(1), position, 2);
    moved.run(&mut other);
    assert!(moved.stopped().expect("it stops").contains("a different history"));
    assert!(moved.committed().is_empty());
}

#[test]
fn a_line_of_another_history_stops_a_follower() {
    let (mut etcd, mut follower) = follower();
    etcd.other(|tail| tail.chain = BatchChain([1; 16]));
    follower.live(&mut etcd, LEASE);
    assert!(follower.stopped().expect("it stops").contains("a different history"));
}

#[test]
fn an_older_line_stops_a_node() {
    let (mut etcd, mut follower) = follower();
    let backup = etcd.clone();
    etcd.append(1, &[b"c"]);
    etcd.tell(&mut follower);
    follower.run(&mut etcd);
    let revision = etcd.revision;
    etcd = Etcd { revision, ..backup };
    follower.live(&mut etcd, LEASE);
    let stopped = follower.stopped().unwrap_or_default();
    assert!(stopped.contains("lost entries"), "a restored etcd is not noticed: {stopped}");
}

#[test]
fn an_answer_of_the_past_stops_a_node() {
    let (mut etcd, mut follower) = follower();
    etcd.revision = 1;
    follower.live(&mut etcd, LEASE);
    let stopped = follower.stopped().unwrap_or_default();
    assert!(stopped.contains("older state"), "a restored etcd is not noticed: {stopped}");
}

#[test]
fn an_old_line_of_the_watch_is_dropped() {
    let (mut etcd, mut follower) = follower();
    let old = etcd.tail.clone();
    etcd.append(1, &[b"c"]);
    etcd.tell(&mut follower);
    follower.event(Event::Watched { revision: 1, seen: vec![WatchedChange::Tail(old)] });
    assert_eq!(follower.group.status().tail, Some(etcd.tail()));
    assert_eq!(follower.stopped(), None);
}

#[test]
fn a_read_that_was_overtaken_is_not_a_restore() {
    let (mut etcd, mut follower) = follower();
    follower.pass(LEASE / 2);
    let (id, read) = pop(&mut follower.reads).expect("a read");
    let answer = etcd.read(&read);
    etcd.append(1, &[b"c"]);
    etcd.tell(&mut follower);
    follower.event(Event::Read { id, answer: Ok(answer) });
    assert_eq!(follower.stopped(), None);
    assert_eq!(follower.group.status().tail, Some(etcd.tail()));
}

#[test]
fn a_local_log_ahead_of_etcd_stops_the_node() {
    let (mut etcd, _) = follower();
    let tail = etcd.tail();
    let position = LogPosition { seq: 9, lsn: 20, epoch: 1, chain: tail.chain, time: 0 };
    let mut ahead = Node::at(settings(3), position, 21);
    ahead.run(&mut etcd);
    assert!(ahead.stopped().expect("it stops").contains("lost entries"));
    let chain = Batch::decode(&etcd.log[&2]).expect("a batch").before;
    let before = LogPosition { seq: 1, lsn: 1, epoch: 1, chain, time: 0 };
    let mut ahead = Node::at(settings(3), before, 21);
    ahead.run(&mut etcd);
    let stopped = ahead.stopped().unwrap_or_default();
    assert!(stopped.contains("a different history"), "it has entries beyond etcd's: {stopped}");
}

#[test]
fn an_emptied_etcd_stops_a_node_with_data() {
    let (mut etcd, mut follower) = follower();
    let revision = etcd.revision;
    etcd = Etcd { revision, ..Etcd::default() };
    follower.live(&mut etcd, LEASE);
    assert!(follower.stopped().expect("it stops").contains("emptied"));
    let position = LogPosition { seq: 1, lsn: 1, epoch: 1, chain: BatchChain::default(), time: 0 };
    let mut restarted = Node::at(settings(3), position, 1);
    restarted.run(&mut etcd);
    let stopped = restarted.stopped().unwrap_or_default();
    assert!(stopped.contains("emptied"), "an emptied etcd is taken for a new one: {stopped}");
    assert!(etcd.tail.is_none(), "it changes nothing");
}

#[test]
fn wrong_bytes_stop_a_node() {
    let (mut etcd, mut follower) = follower();
    etcd.append(1, &[b"c"]);
    let mut damaged = etcd.log[&3].clone();
    damaged[50] ^= 1;
    let seen = vec![WatchedChange::Batch(3, damaged)];
    follower.event(Event::Watched { revision: etcd.revision, seen });
    assert!(follower.stopped().expect("it stops").contains("checksum"));
    let (_, mut other) = super::follower();
    other.event(Event::Watched {
        revision: 0,
        seen: vec![WatchedChange::Tail(Some(b"3 7".to_vec()))],
    });
    assert!(other.stopped().expect("it stops").contains("upgrade"));
    let (_, mut other) = super::follower();
    other.event(Event::Watched {
        revision: 99,
        seen: vec![WatchedChange::Members(Some(b"{".to_vec()))],
    });
    assert!(other.stopped().expect("it stops").contains("members"));
}

#[test]
fn nothing_is_applied_behind_an_entry_that_cannot_be() {
    let (mut etcd, mut follower) = follower();
    follower.event(Event::CannotApply("an unknown change".to_owned()));
    etcd.append(1, &[b"c"]);
    etcd.tell(&mut follower);
    follower.run(&mut etcd);
    assert!(follower.committed().is_empty());
}

#[test]
fn a_node_that_lags_holds_a_bounded_number_of_bytes() {
    let (mut etcd, mut follower) = follower();
    follower.applies = false;
    let value = vec![7; 400_000];
    for _ in 0..100 {
        etcd.append(1, &[&value]);
        etcd.tell(&mut follower);
        follower.run(&mut etcd);
    }
    let applied = follower.committed().len();
    assert!((40..60).contains(&applied), "{applied} batches wait to be applied");
    follower.applies = true;
    let last = follower.committed().last().expect("entries").after.lsn;
    follower.event(Event::Applied(last));
    follower.live(&mut etcd, LEASE);
    assert_eq!(follower.committed().len(), 100);
}

/// A node that has the entries of its last batch, and starts anew.
fn restarted(changes: &[&[u8]]) -> (Etcd, Node) {
    let (mut etcd, mut first) = leader();
    let position = first.group.status().position;
    first.append(&[b"a", b"b"]);
    first.run(&mut etcd);
    let mut held = HeldEntries::up_to(position.lsn);
    for changes in changes {
        held.add(first.now.wall, changes);
    }
    let mut node = Node::holding(settings(2), position, held);
    node.event(Event::Tick);
    (etcd, node)
}

#[test]
fn another_last_batch_is_another_history() {
    let (mut etcd, mut same) = restarted(&[b"a", b"b"]);
    same.run(&mut etcd);
    assert_eq!((same.role(), same.stopped()), (GroupRole::Follower, None));
    assert!(same.changes().is_empty(), "it has them");
    let (mut etcd, mut other) = restarted(&[b"a", b"c"]);
    other.run(&mut etcd);
    assert!(
        other.stopped().is_some_and(|why| why.contains("a different history")),
        "{:?}",
        other.told
    );
    let shown = other.told.iter().any(|told| matches!(told, Action::Role { .. }));
    assert!(!shown, "a lost history was shown");
}

#[test]
fn data_of_a_peer_beyond_the_known_log_are_not_shown() {
    let (mut etcd, mut follower) = follower();
    etcd.append(1, &[b"c"]);
    etcd.append(1, &[b"d"]);
    etcd.seen.clear();
    etcd.log = etcd.log.split_off(&4);
    follower.live(&mut etcd, LEASE);
    assert_eq!(follower.role(), GroupRole::Loading, "it needs a resync");
    let tail = etcd.tail();
    let position =
        LogPosition { seq: tail.seq + 9, lsn: tail.lsn + 9, epoch: 1, ..LogPosition::default() };
    follower.event(Event::Resynced { position, held: HeldEntries::up_to(position.lsn) });
    assert_eq!(follower.role(), GroupRole::Loading, "a lost history was shown");
    assert_eq!(follower.reads.len(), 1, "it does not ask which history etcd has");
    follower.run(&mut etcd);
    assert!(follower.stopped().is_some_and(|why| why.contains("lost entries")));
}

/// As [`restarted`], after etcd was seeded anew.
fn of_an_earlier_incarnation(changes: &[&[u8]]) -> (Etcd, Node) {
    let (etcd, node) = restarted(changes);
    (etcd, Node { group: node.group.of_an_earlier_incarnation(), ..node })
}

/// Another node appends, and etcd forgets all but the last batch.
fn forget(etcd: &mut Etcd) {
    etcd.append(1, &[b"c"]);
    etcd.append(1, &[b"d"]);
    etcd.log = etcd.log.split_off(&etcd.tail().seq);
}

#[test]
fn entries_from_before_etcd_was_seeded_anew_are_compared() {
    let resyncs = |node: &Node| node.told.iter().any(|told| matches!(told, Action::Resync { .. }));
    let (mut etcd, mut same) = of_an_earlier_incarnation(&[b"a", b"b"]);
    same.run(&mut etcd);
    assert_eq!((same.role(), same.stopped()), (GroupRole::Follower, None));
    forget(&mut etcd);
    same.live(&mut etcd, LEASE);
    assert!(resyncs(&same), "it was compared, and may be renewed: {:?}", same.told);

    let (mut etcd, mut unconfirmed) = of_an_earlier_incarnation(&[b"a", b"b"]);
    forget(&mut etcd);
    unconfirmed.run(&mut etcd);
    assert!(!resyncs(&unconfirmed), "entries that may be lost were replaced without a word");
    let stopped = unconfirmed.stopped().unwrap_or_default();
    assert!(stopped.contains("reseeded"), "{stopped}");

    let (mut etcd, mut other) = of_an_earlier_incarnation(&[b"a", b"c"]);
    other.run(&mut etcd);
    assert!(
        other.stopped().is_some_and(|why| why.contains("a different history")),
        "{:?}",
        other.told
    );
}
