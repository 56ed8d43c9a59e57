//! The primary: batches, beats, leases, and the table of outcomes.

use super::*;

#[test]
fn entries_are_committed_once_etcd_has_them() {
    let (mut etcd, mut leader) = leader();
    leader.append(&[b"a", b"b"]);
    assert!(
        leader.told.is_empty() || leader.committed().is_empty(),
        "committed before etcd answers"
    );
    let before = leader.group.status().position;
    leader.run(&mut etcd);
    let committed = leader.committed().remove(0);
    let mark = Mark { seq: 2, epoch: 1, chain: before.chain, first: 2 };
    assert_eq!(committed.mark, mark);
    assert_eq!(committed.entries.len(), 2);
    assert_eq!(committed.after.chain, etcd.tail().chain);
    assert!(leader.told.iter().any(|action| matches!(action, Action::CommitIndex(3))));
    assert_eq!(leader.group.status().pending, 0);
}

#[test]
fn one_transaction_is_in_flight() {
    let (mut etcd, mut leader) = leader();
    leader.append(&[b"a"]);
    leader.append(&[b"b"]);
    leader.append(&[b"c"]);
    assert_eq!(leader.txns.len(), 1);
    leader.run(&mut etcd);
    assert_eq!(etcd.tail().seq, 3, "the entries that waited are one batch");
    assert_eq!(leader.changes(), [b"a", b"b", b"c"]);
}

#[test]
fn each_transaction_compares_the_whole_line() {
    let (etcd, mut leader) = leader();
    leader.append(&[b"a"]);
    let (_, txn) = leader.txn();
    assert_eq!(txn.tail, ValueCompare::Is(etcd.tail.expect("a tail")), "the compared value");
}

#[test]
fn a_lease_counts_from_the_sending() {
    let (mut etcd, mut leader) = leader();
    leader.append(&[b"a"]);
    let sent = leader.now.boot;
    leader.pass(400);
    leader.run(&mut etcd);
    assert_eq!(leader.lease(), (1, sent + PROVEN, sent), "the lease counts from the sending");
}

#[test]
fn a_lease_counts_from_the_first_try() {
    let (mut etcd, mut leader) = leader();
    leader.append(&[b"a"]);
    let sent = leader.now.boot;
    let first = leader.lose();
    etcd.txn(&first);
    leader.pass(400);
    let again = leader.lose();
    assert_eq!(first, again, "another transaction than the first");
    leader.pass(400);
    leader.run(&mut etcd);
    assert_eq!(leader.lease(), (1, sent + PROVEN, sent), "the lease counts from the first try");
    assert_eq!(leader.changes(), [b"a"], "done once");
    assert_eq!(etcd.tail().seq, 2, "done once");
    assert!(!leader.is_fenced());
}

#[test]
fn a_lost_transaction_is_sent_again_until_it_is_done() {
    let (mut etcd, mut leader) = leader();
    leader.append(&[b"a"]);
    for _ in 0..20 {
        leader.lose();
        assert!(leader.committed().is_empty(), "committed without an answer");
        leader.pass(LEASE);
    }
    leader.append(&[b"b"]);
    leader.run(&mut etcd);
    assert_eq!(leader.changes(), [b"a", b"b"]);
    assert!(leader.notes().contains("no answer"));
}

#[test]
fn a_primary_beats_every_third_of_its_lease() {
    let (mut etcd, mut leader) = leader();
    let before = etcd.tail();
    leader.live(&mut etcd, LEASE);
    let after = etcd.tail();
    assert_eq!(after.seq, before.seq);
    let beats = after.beat - before.beat;
    assert!((2..=4).contains(&beats), "{beats} beats in a lease");
    let (_, until, _) = leader.lease();
    assert!(until > leader.now.boot + LEASE / 3, "the lease is not renewed in time");
    assert!(after.time > before.time, "the line tells the time");
}

#[test]
fn deadlines_are_in_the_future_and_in_time() {
    let (mut etcd, mut leader) = leader();
    let beat = etcd.tail().beat;
    for _ in 0..100 {
        let due = leader.group.deadline();
        assert!(due > leader.now.boot);
        leader.now.boot = due;
        leader.event(Event::Tick);
        leader.run(&mut etcd);
        assert!(leader.lease().1 > leader.now.boot, "the lease ran out");
    }
    assert!(etcd.tail().beat > beat);
}

#[test]
fn a_shorter_lease_counts_once_it_is_sent() {
    let (mut etcd, mut leader) = leader();
    leader.append(&[b"a"]);
    leader.run(&mut etcd);
    leader.event(Event::Lease(500));
    leader.append(&[b"b"]);
    let sent = leader.now.boot;
    assert_eq!(leader.lease().1, sent + 450, "others may wait for the shorter lease already");
    leader.lose();
    leader.pass(100);
    leader.run(&mut etcd);
    assert_eq!(leader.lease().1, sent + 450);
    assert_eq!(etcd.tail().lease, 500);
}

#[test]
fn a_longer_lease_counts_once_it_is_written() {
    let (mut etcd, mut leader) = leader();
    leader.append(&[b"a"]);
    leader.run(&mut etcd);
    let until = leader.lease().1;
    leader.event(Event::Lease(30_000));
    leader.append(&[b"b"]);
    assert_eq!(leader.group.status().until, until, "a longer lease before it is in the line");
    let sent = leader.now.boot;
    leader.run(&mut etcd);
    assert_eq!(leader.lease().1, sent + 27_000);
}

#[test]
fn reads_of_the_line_prove_without_a_lease() {
    let mut etcd = Etcd::default();
    let mut leader = Node::new(GroupSettings { lease_reads: false, ..settings(1) });
    leader.run(&mut etcd);
    leader.event(Event::Serving);
    leader.run(&mut etcd);
    assert_eq!(leader.lease().1, 0, "a lease proves reads, although it must not");
    leader.pass(7);
    leader.event(Event::LeaseCheckWanted);
    let issued = leader.now.boot;
    leader.pass(9);
    leader.event(Event::LeaseCheckWanted);
    assert_eq!(leader.reads.len(), 1, "reads are shared");
    assert!(leader.txns.is_empty(), "a lease check costs a transaction");
    leader.pass(5);
    let (id, read) = pop(&mut leader.reads).expect("a read");
    leader.event(Event::Read { id, answer: Ok(etcd.read(&read)) });
    assert_eq!(leader.lease(), (1, 0, issued), "a read proves what was evaluated before it");
    leader.run(&mut etcd);
    assert_eq!(leader.lease(), (1, 0, issued + 14), "the second read was sent later");
}

#[test]
fn a_wanted_lease_check_is_a_beat() {
    let (mut etcd, mut leader) = leader();
    leader.pass(20);
    leader.event(Event::LeaseCheckWanted);
    assert_eq!(leader.txns.len(), 1);
    leader.run(&mut etcd);
    assert_eq!(leader.lease().2, leader.now.boot);
    assert!(leader.txns.is_empty());
}

#[test]
fn a_read_of_the_line_that_is_not_its_own_fences() {
    let mut etcd = Etcd::default();
    let mut leader = Node::new(GroupSettings { lease_reads: false, ..settings(1) });
    leader.run(&mut etcd);
    leader.event(Event::LeaseCheckWanted);
    etcd.other(|tail| (tail.epoch, tail.node, tail.nonce) = (2, Some(node(2)), 7));
    leader.run(&mut etcd);
    assert_eq!(leader.role(), GroupRole::Follower);
    assert_ne!(leader.lease().0, 2);
}

#[test]
fn a_batch_that_is_too_large_is_cut() {
    let (mut etcd, mut leader) = leader();
    let values: Vec<Vec<u8>> = (0..64_u8).map(|n| noise(n, 4000)).collect();
    let changes: Vec<&[u8]> = values.iter().map(|value| &value[..]).collect();
    leader.append(&changes);
    let (id, txn) = leader.txn();
    assert!(size(&txn) > 200_000);
    leader.fail(id, TxnFailure::TooLarge);
    let (id, half) = leader.txn();
    assert!(size(&half) <= size(&txn) / 2 + 5000);
    let outcome = etcd.txn(&half);
    leader.event(Event::Transacted { id, outcome });
    leader.run(&mut etcd);
    assert!(leader.changes() == values, "each entry once");
}

#[test]
fn a_larger_batch_that_was_done_after_all_is_found() {
    let (mut etcd, mut leader) = leader();
    let values: Vec<Vec<u8>> = (0..64_u8).map(|n| noise(n, 4000)).collect();
    let changes: Vec<&[u8]> = values.iter().map(|value| &value[..]).collect();
    leader.append(&changes);
    let sent = leader.now.boot;
    // One member of etcd does it, unheard; another one says that it is too large.
    let whole = leader.lose();
    etcd.txn(&whole);
    leader.pass(1000);
    let (id, again) = leader.txn();
    assert_eq!(whole, again);
    leader.fail(id, TxnFailure::TooLarge);
    let (id, half) = leader.txn();
    assert_ne!(whole.puts, half.puts);
    let outcome = etcd.txn(&half);
    assert!(matches!(outcome, TxnOutcome::Refused { .. }));
    leader.event(Event::Transacted { id, outcome });
    leader.run(&mut etcd);
    assert!(leader.changes() == values, "each entry once");
    assert_eq!(leader.told.iter().filter(|told| matches!(told, Action::CommitIndex(_))).count(), 1);
    assert_eq!(leader.lease().2, sent);
}

#[test]
fn an_etcd_that_takes_nothing_loses_its_primary() {
    let (_, mut leader) = leader();
    leader.append(&[&noise(1, 100_000)]);
    for _ in 0..20 {
        let Some((id, _)) = pop(&mut leader.txns) else { break };
        leader.fail(id, TxnFailure::TooLarge);
        leader.pass(1000);
    }
    assert!(leader.notes().contains("too large"));
    assert!(leader.is_fenced());
}

#[test]
fn an_etcd_whose_quota_is_used_up_gets_the_same_again() {
    let (mut etcd, mut leader) = leader();
    leader.append(&[b"a"]);
    let (id, first) = leader.txn();
    // etcd does the one that reaches the quota, and reports an error.
    etcd.txn(&first);
    leader.fail(id, TxnFailure::NoSpace);
    assert!(leader.told.iter().any(|told| matches!(told, Action::ReclaimQuota)));
    assert!(leader.reads.iter().any(|read| read.1 == Read::Durable), "it trims");
    for _ in 0..3 {
        leader.pass(LEASE / 4);
        let (id, again) = leader.txn();
        assert_eq!(first, again);
        leader.fail(id, TxnFailure::NoSpace);
    }
    assert!(leader.notes().contains("out of space"));
    leader.pass(LEASE / 4);
    leader.run(&mut etcd);
    assert_eq!(leader.changes(), [b"a"]);
}

#[test]
fn other_failures_have_their_rows() {
    let denied = TxnFailure::Denied("no permission".to_owned());
    let busy = TxnFailure::Busy("too many requests".to_owned());
    for (failure, says) in [(denied, "denies access"), (busy, "busy")] {
        let (mut etcd, mut leader) = leader();
        leader.append(&[b"a"]);
        for _ in 0..4 {
            let (id, _) = leader.txn();
            leader.fail(id, failure.clone());
            leader.pass(1000);
        }
        assert!(leader.notes().contains(says), "{failure:?}: {}", leader.notes());
        leader.run(&mut etcd);
        assert_eq!(leader.changes(), [b"a"]);
    }
    for (failure, says) in [
        (TxnFailure::Corrupt, "damaged"),
        (TxnFailure::WentBack, "restored"),
        (TxnFailure::OtherCluster, "another store"),
    ] {
        let (mut etcd, mut leader) = leader();
        leader.append(&[b"a"]);
        let (id, _) = leader.txn();
        leader.fail(id, failure.clone());
        leader.run(&mut etcd);
        assert!(leader.stopped().expect("it stops").contains(says), "{failure:?}");
        assert_eq!(leader.role(), GroupRole::Follower, "a stopped primary still renews its lease");
        assert!(leader.txns.is_empty());
    }
}

#[test]
fn an_answer_of_the_past_stops_a_primary() {
    let (mut etcd, mut leader) = leader();
    leader.append(&[b"a"]);
    let (id, _) = leader.txn();
    leader.event(Event::Transacted { id, outcome: TxnOutcome::Done { revision: 1 } });
    leader.run(&mut etcd);
    assert!(leader.stopped().expect("it stops").contains("restored"));
}

#[test]
fn a_long_entry_goes_in_parts() {
    let (mut etcd, mut leader) = leader();
    let long = noise(1, 1_300_000);
    leader.append(&[b"a", &long, b"b"]);
    leader.run(&mut etcd);
    assert!(leader.changes() == [b"a".to_vec(), long.clone(), b"b".to_vec()]);
    let committed = leader.committed();
    assert_eq!(
        (committed[1].mark.seq, committed[1].mark.first),
        (3, 3),
        "the mark is the first part's"
    );
    assert_eq!(committed[1].after.seq, 5);
    assert_eq!((etcd.tail().seq, etcd.tail().lsn), (6, 4));
    let mut follower = Node::new(settings(2));
    follower.run(&mut etcd);
    assert!(follower.changes() == [b"a".to_vec(), long, b"b".to_vec()]);
    assert_eq!(follower.committed().last(), committed.last());
}

#[test]
fn an_entry_is_committed_with_its_last_part() {
    let (mut etcd, mut leader) = leader();
    leader.append(&[&noise(1, 600_000)]);
    let (id, txn) = leader.txn();
    let outcome = etcd.txn(&txn);
    leader.event(Event::Transacted { id, outcome });
    assert!(leader.committed().is_empty(), "half an entry is committed");
    assert!(!leader.told.iter().any(|told| matches!(told, Action::CommitIndex(_))));
    assert_eq!(etcd.tail().lsn, 1);
    leader.run(&mut etcd);
    assert_eq!(etcd.tail().lsn, 2);
}

/// Bytes that do not compress.
fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut state = u64::from(seed) + 0x9E37_79B9;
    let byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    std::iter::repeat_with(byte).take(length).collect()
}

fn size(txn: &Txn) -> usize {
    let size = |put: &Put| if let Put::Batch(_, value) = put { value.len() } else { 0 };
    txn.puts.iter().map(size).sum()
}
