//! Membership and takeovers.

use super::*;

#[test]
fn the_first_node_makes_the_group() {
    let (mut etcd, mut first) = (Etcd::default(), Node::new(settings(1)));
    first.run(&mut etcd);
    let tail = etcd.tail();
    assert_eq!((tail.epoch, tail.seq, tail.lsn, tail.holder()), (1, 1, 1, Some(node(1))));
    assert_eq!(first.role(), GroupRole::Primary);
    let committed = first.committed();
    assert_eq!(committed[0].entries[0].lsn, 1);
    assert_eq!(committed[0].after.chain, tail.chain);
    assert!(etcd.primary.expect("a primary").contains(&node(1).to_string()));
    let members = Members::parse(&etcd.members.expect("members")).expect("members");
    assert!(members.has(node(1)));
}

#[test]
fn a_second_node_joins_and_follows() {
    let (etcd, follower) = follower();
    let members = Members::parse(&etcd.members.expect("members")).expect("members");
    assert!(members.has(node(1)) && members.has(node(2)));
    assert_eq!(follower.role(), GroupRole::Follower);
}

/// The boot time at which a follower sends its takeover, if nothing is heard.
fn takeover(etcd: &mut Etcd, node: &mut Node) -> u64 {
    let started = node.now.boot;
    while node.now.boot < started + 10 * LEASE {
        node.pass(1);
        while let Some((id, read)) = pop(&mut node.reads) {
            node.event(Event::Read { id, answer: Ok(etcd.read(&read)) });
        }
        if !node.txns.is_empty() {
            return node.now.boot - started;
        }
    }
    panic!("no takeover");
}

#[test]
fn a_candidate_waits_by_the_lease_in_the_line() {
    let (mut etcd, _) = follower();
    let mut impatient = Node::new(GroupSettings { lease: 500, ..settings(3) });
    impatient.run(&mut etcd);
    let waited = takeover(&mut etcd, &mut impatient);
    assert!(waited >= WAIT - 20, "the lease of the line still ran after {waited} ms");
    assert!(waited <= WAIT + LEASE / 4 + 20, "{waited} ms are too long");
}

#[test]
fn any_new_line_renews_the_lease() {
    let (mut etcd, mut follower) = follower();
    for _ in 0..20 {
        follower.live(&mut etcd, LEASE / 3);
        etcd.other(|_| {});
        etcd.tell(&mut follower);
    }
    assert_eq!(etcd.tail().epoch, 1, "a takeover from a live primary");
}

#[test]
fn a_takeover_is_one_transaction() {
    let (mut etcd, mut follower) = follower();
    takeover(&mut etcd, &mut follower);
    let (id, txn) = follower.txn();
    assert_eq!(txn.tail, ValueCompare::Is(etcd.tail.clone().expect("a tail")));
    assert_eq!(txn.members, ValueCompare::Is(etcd.members.clone().expect("members")), "members");
    let outcome = etcd.txn(&txn);
    follower.event(Event::Transacted { id, outcome });
    let (old, tail) = (follower.committed().remove(0), etcd.tail());
    assert_eq!((tail.epoch, tail.seq, tail.lsn), (2, 3, 4));
    assert_eq!((old.mark.seq, old.entries[0].lsn, old.after.chain), (3, 4, tail.chain));
    assert_eq!(follower.role(), GroupRole::Primary);
    assert!(follower.told.iter().any(|action| matches!(
        action,
        Action::Role { role: GroupRole::Primary, epoch: 2, lsn: 4, reason, .. }
            if *reason == RoleReason::TookOver(Takeover::LeaseEnded(node(1)))
    )));
}

#[test]
fn a_takeover_abandons_an_entry_without_its_end() {
    let (mut etcd, mut follower) = follower();
    let tail = etcd.tail();
    let mut raw = Vec::new();
    encode_entry(&Entry { lsn: 4, time: 1, changes: vec![1; 100] }, &mut raw);
    raw.truncate(50);
    let (first, before) = (tail.lsn + 1, tail.chain);
    etcd.put(&Batch { epoch: 1, first, entries: 0, piece: BatchPiece::Part, before, raw });
    etcd.tell(&mut follower);
    takeover(&mut etcd, &mut follower);
    follower.run(&mut etcd);
    assert_eq!((etcd.tail().seq, etcd.tail().lsn), (4, 4), "half an entry counts");
    follower.append(&[b"c"]);
    follower.run(&mut etcd);
    let mut third = Node::new(settings(3));
    third.run(&mut etcd);
    assert_eq!(third.changes(), [b"a", b"b", b"c"]);
    assert_eq!(third.group.status().position.chain, etcd.tail().chain);
}

#[test]
fn an_epoch_begins_no_earlier_than_the_one_before_it() {
    let (mut etcd, mut follower) = follower();
    etcd.other(|tail| tail.time = 60_000_000);
    etcd.tell(&mut follower);
    follower.live(&mut etcd, 2 * LEASE);
    assert_eq!(follower.role(), GroupRole::Primary);
    let begun = follower.committed()[0].entries[0].time;
    assert!(begun >= 60_000_000, "the epoch begins in the past: {begun}");
}

#[test]
fn a_node_that_has_not_applied_the_log_does_not_take_over() {
    let (mut etcd, mut follower) = follower();
    follower.applies = false;
    etcd.append(1, &[b"c"]);
    etcd.tell(&mut follower);
    follower.live(&mut etcd, 4 * LEASE);
    assert_eq!(etcd.tail().epoch, 1, "a takeover without the last entry");
    follower.event(Event::Applied(4));
    follower.run(&mut etcd);
    assert_eq!(etcd.tail().epoch, 2);
}

#[test]
fn a_node_that_cannot_apply_an_entry_never_takes_over() {
    let (mut etcd, mut follower) = follower();
    follower.event(Event::CannotApply("an unknown change".to_owned()));
    follower.live(&mut etcd, 4 * LEASE);
    assert_eq!(etcd.tail().epoch, 1, "a takeover by a node that cannot read the log");
    assert!(follower.notes().contains("upgrade"));
    assert!(follower.group.status().disqualified.is_some());
}

#[test]
fn a_node_whose_disk_fails_does_not_take_over() {
    let (mut etcd, mut follower) = follower();
    follower.event(Event::CannotServe("the disk is full".to_owned()));
    follower.live(&mut etcd, 4 * LEASE);
    assert_eq!(etcd.tail().epoch, 1);
    follower.event(Event::CanServe);
    follower.run(&mut etcd);
    assert_eq!(etcd.tail().epoch, 2);
}

/// The takeover is done, and the state of the new primary serves. Neither shows that the disk works again.
#[test]
fn a_node_whose_disk_fails_during_its_takeover_leaves_and_stays_unfit() {
    let (mut etcd, mut follower) = follower();
    takeover(&mut etcd, &mut follower);
    follower.event(Event::CannotServe("the disk is full".to_owned()));
    follower.run(&mut etcd);
    assert_eq!(etcd.tail().epoch, 2);
    follower.event(Event::Serving);
    follower.run(&mut etcd);
    let released = (etcd.tail().node, etcd.tail().nonce);
    assert_eq!(released, (None, 0), "a node whose disk fails keeps the group");
    follower.live(&mut etcd, 4 * LEASE);
    assert_eq!(etcd.tail().epoch, 2, "it takes over although its disk still fails");
    assert!(follower.group.status().disqualified.is_some());
    follower.event(Event::CanServe);
    follower.run(&mut etcd);
    assert_eq!(etcd.tail().epoch, 3);
}

#[test]
fn a_removed_node_does_not_take_over() {
    let (mut etcd, mut follower) = follower();
    let waited = takeover(&mut etcd, &mut follower);
    assert!(waited >= WAIT - 20);
    // It has not heard of it: the transaction compares.
    let others = Members::default().with(node(1), 0).print().into_bytes();
    etcd.members = Some(others.clone());
    etcd.revision += 1;
    follower.run(&mut etcd);
    assert_eq!(etcd.tail().epoch, 1, "a takeover by a node that was removed");
    follower.live(&mut etcd, 4 * LEASE);
    assert_eq!(etcd.tail().epoch, 1, "a takeover by a node that was removed");
    assert_eq!(etcd.members, Some(others), "it adds itself again");
    assert!(follower.notes().contains("removed"));
}

#[test]
fn a_handed_over_group_is_taken_at_once_by_the_chosen_node() {
    for chosen in [2, 3] {
        let (mut etcd, mut follower) = follower();
        etcd.other(|tail| (tail.node, tail.nonce) = (Some(node(chosen)), 0));
        etcd.tell(&mut follower);
        follower.run(&mut etcd);
        let took = etcd.tail().epoch == 2;
        assert_eq!(took, chosen == 2, "node {chosen} was chosen");
        follower.live(&mut etcd, 2 * LEASE);
        assert_eq!(etcd.tail().epoch, 2, "nobody else came");
    }
}

#[test]
fn a_released_group_is_taken_by_the_first_member_at_once() {
    let (mut etcd, mut follower) = follower();
    etcd.members = Some(Members::default().with(node(2), 0).print().into_bytes());
    etcd.revision += 1;
    etcd.seen.push(WatchedChange::Members(etcd.members.clone()));
    etcd.other(|tail| (tail.node, tail.nonce) = (None, 0));
    etcd.tell(&mut follower);
    follower.run(&mut etcd);
    assert_eq!(etcd.tail().epoch, 2, "nobody has the group, and nobody takes it");
}

#[test]
fn members_take_over_one_after_another() {
    let (mut etcd, mut second) = follower();
    let mut third = Node::new(settings(3));
    third.run(&mut etcd);
    etcd.seen.clear();
    second.event(Event::WatchLost);
    second.run(&mut etcd);
    let (first, later) =
        (takeover(&mut etcd.clone(), &mut second), takeover(&mut etcd, &mut third));
    assert!((WAIT - 20..WAIT + LEASE / 8 + 20).contains(&first), "{first}");
    assert!((WAIT + LEASE / 8 - 20..WAIT + LEASE / 4 + 20).contains(&later), "{later}");
}

#[test]
fn a_takeover_that_nobody_heard_of_is_found() {
    let (mut etcd, mut follower) = follower();
    takeover(&mut etcd, &mut follower);
    let sent = follower.now.boot;
    let first = follower.lose();
    etcd.txn(&first);
    for _ in 0..3 {
        follower.pass(700);
        let again = follower.lose();
        assert_eq!(again, first, "another transaction than the first");
    }
    follower.pass(1000);
    follower.run(&mut etcd);
    assert_eq!(follower.role(), GroupRole::Primary);
    assert_eq!(etcd.tail().epoch, 2);
    let lease = follower.told.iter().find_map(|action| match action {
        Action::RenewLease { epoch, until, sent } => Some((*epoch, *until, *sent)),
        _ => None,
    });
    assert_eq!(lease, Some((2, sent + PROVEN, sent)), "the lease counts from the first try");
}

#[test]
fn the_watch_may_tell_of_the_own_takeover_first() {
    let (mut etcd, mut follower) = follower();
    takeover(&mut etcd, &mut follower);
    let txn = follower.lose();
    etcd.txn(&txn);
    etcd.tell(&mut follower);
    assert_eq!(follower.role(), GroupRole::Primary);
    assert_eq!(follower.committed().len(), 1, "the entry that begins the epoch came twice");
}

#[test]
fn a_read_from_before_the_takeover_says_nothing() {
    for lease_reads in [true, false] {
        let (mut etcd, _) = follower();
        let mut candidate = Node::new(GroupSettings { lease_reads, ..settings(3) });
        candidate.run(&mut etcd);
        takeover(&mut etcd, &mut candidate);
        candidate.event(Event::WatchLost);
        let (id, read) = pop(&mut candidate.reads).expect("a read");
        let answer = Ok(etcd.read(&read));
        candidate.run(&mut etcd);
        assert_eq!(candidate.role(), GroupRole::Primary);
        candidate.event(Event::Read { id, answer });
        assert_eq!(candidate.stopped(), None, "an old line was taken for the present one");
        candidate.run(&mut etcd);
        assert_eq!(candidate.role(), GroupRole::Primary);
    }
}

#[test]
fn a_lost_race_for_the_group_is_no_takeover() {
    let (mut etcd, mut follower) = follower();
    takeover(&mut etcd, &mut follower);
    let mut rival = Node::new(settings(3));
    rival.run(&mut etcd);
    takeover(&mut etcd, &mut rival);
    rival.run(&mut etcd);
    follower.run(&mut etcd);
    let roles = (rival.role(), follower.role());
    assert_eq!(roles, (GroupRole::Primary, GroupRole::Follower), "two primaries");
    assert_eq!(etcd.tail().holder(), Some(node(3)));
    follower.live(&mut etcd, LEASE);
    assert_eq!(follower.group.status().position.seq, etcd.tail().seq);
}

#[test]
fn a_primary_that_writes_is_not_deposed_by_a_candidate_that_looked_before() {
    let (mut etcd, mut follower) = follower();
    takeover(&mut etcd, &mut follower);
    etcd.append(1, &[b"c"]);
    follower.run(&mut etcd);
    assert_eq!((etcd.tail().epoch, etcd.tail().seq), (1, 3), "an acknowledged batch is gone");
    assert_eq!(follower.role(), GroupRole::Follower);
}

fn ahead(own: u64, others: &[i64]) -> bool {
    let (mut etcd, mut follower) = follower();
    follower.now.wall += own;
    let clocks = others.iter().enumerate().map(|(number, ahead)| (node(10 + number as u8), *ahead));
    follower.event(Event::Clocks(clocks.collect()));
    follower.live(&mut etcd, 4 * LEASE);
    etcd.tail().epoch == 1
}

#[test]
fn a_clock_far_ahead_does_not_lead() {
    assert!(ahead(30_000, &[-30_000, -30_000]), "entries get times far ahead");
    assert!(ahead(30_000, &[-30_000]), "also with two nodes");
    assert!(!ahead(5_000, &[-5_000]), "within the setting");
    assert!(
        !ahead(30_000, &[0, 0]),
        "the others are ahead as well: only the last primary was behind"
    );
    assert!(!ahead(0, &[30_000, 40_000]), "the lowest clock may always lead");
    assert!(!ahead(0, &[-30_000]), "not ahead of the line");
    assert!(!ahead(30_000, &[]), "there is nobody else");
}

#[test]
fn a_node_that_has_just_joined_was_not_removed() {
    let (mut etcd, _) = leader();
    let old = etcd.members.clone();
    let mut joining = Node::new(settings(2));
    joining.run(&mut etcd);
    assert!(joining.group.status().member);
    // The watch tells both values at once, and the first one is from before this node joined.
    let seen = vec![WatchedChange::Members(old), WatchedChange::Members(etcd.members.clone())];
    joining.event(Event::Watched { revision: etcd.revision, seen });
    assert_eq!(joining.notes(), "", "a node that was never removed says that it was");
    assert!(joining.group.status().member);
}
