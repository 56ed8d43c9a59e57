//! The end of a primary: fencing, hand-over, release.

use super::*;

fn depose(etcd: &mut Etcd) {
    etcd.other(|tail| {
        (tail.epoch, tail.node, tail.nonce, tail.beat) = (tail.epoch + 1, Some(node(2)), 7, 0);
    });
}

/// Another node takes over with a proper batch.
fn take_over(etcd: &mut Etcd) {
    let tail = etcd.tail();
    etcd.append(tail.epoch + 1, &[b"begin "]);
    etcd.other(|tail| (tail.node, tail.nonce) = (Some(node(2)), 7));
}

/// Makes node 2 a member, and tells the leader.
fn add_member(etcd: &mut Etcd, leader: &mut Node) {
    etcd.members = Some(Members::default().with(node(1), 0).with(node(2), 0).print().into_bytes());
    etcd.revision += 1;
    etcd.seen.push(WatchedChange::Members(etcd.members.clone()));
    etcd.tell(leader);
}

#[test]
fn a_deposed_primary_without_changes_follows() {
    let (mut etcd, mut leader) = leader();
    leader.append(&[b"a"]);
    leader.run(&mut etcd);
    take_over(&mut etcd);
    etcd.append(2, &[b"b"]);
    leader.pass(LEASE / 3);
    leader.run(&mut etcd);
    assert_eq!(leader.role(), GroupRole::Follower);
    assert!(!leader.is_fenced());
    assert_eq!(leader.changes(), [b"a", b"b"], "it follows the next primary");
    assert_eq!(leader.group.status().position.chain, etcd.tail().chain);
}

#[test]
fn a_deposed_primary_with_changes_starts_anew() {
    let (mut etcd, mut leader) = leader();
    take_over(&mut etcd);
    leader.append(&[b"lost"]);
    leader.run(&mut etcd);
    assert!(leader.is_fenced(), "unsafe changes are kept");
    assert!(leader.committed().is_empty());
    let role = leader.told.iter().position(|told| matches!(told, Action::Role { .. }));
    let fenced = leader.told.iter().position(|told| matches!(told, Action::Fenced));
    assert!(role < fenced);
    // Nothing follows.
    leader.told.clear();
    leader.pass(10 * LEASE);
    assert!(leader.told.is_empty());
}

#[test]
fn a_change_that_came_too_late_starts_anew() {
    let (mut etcd, mut leader) = leader();
    leader.closes = false;
    depose(&mut etcd);
    leader.live(&mut etcd, LEASE);
    assert_eq!(leader.role(), GroupRole::Follower);
    assert!(!leader.is_fenced());
    leader.append(&[b"lost"]);
    assert!(leader.is_fenced(), "an unsafe change is kept");
}

#[test]
fn nothing_is_applied_while_workers_may_append() {
    let (mut etcd, mut leader) = leader();
    leader.closes = false;
    take_over(&mut etcd);
    leader.live(&mut etcd, LEASE);
    assert!(leader.committed().is_empty(), "applied between unsafe changes");
    leader.event(Event::Closed { time: 0 });
    leader.run(&mut etcd);
    assert_eq!(leader.committed().len(), 1);
}

#[test]
fn the_watch_fences_before_the_next_transaction() {
    let (mut etcd, mut leader) = leader();
    depose(&mut etcd);
    etcd.tell(&mut leader);
    assert_eq!(leader.role(), GroupRole::Follower);
}

#[test]
fn a_read_from_before_the_end_of_an_epoch_is_no_other_history() {
    let (mut etcd, mut leader) = leader();
    leader.event(Event::WatchLost);
    let (id, read) = pop(&mut leader.reads).expect("a read");
    let answer = Ok(etcd.read(&read));
    leader.append(&[b"a"]);
    let (sent, txn) = leader.txn();
    let outcome = etcd.txn(&txn);
    leader.event(Event::Transacted { id: sent, outcome });
    take_over(&mut etcd);
    etcd.tell(&mut leader);
    assert_eq!(leader.role(), GroupRole::Follower);
    leader.event(Event::Read { id, answer });
    assert_eq!(leader.stopped(), None, "an old line was taken for the present one");
    leader.run(&mut etcd);
    assert_eq!(leader.group.status().position.chain, etcd.tail().chain);
}

#[test]
fn old_lines_of_the_watch_do_not_fence() {
    let (mut etcd, mut leader) = leader();
    leader.live(&mut etcd, 2 * LEASE);
    etcd.tell(&mut leader);
    assert_eq!(leader.role(), GroupRole::Primary);
}

#[test]
fn a_hand_over_ends_the_role_before_it_is_sent() {
    let (mut etcd, mut leader) = leader();
    etcd.members = Some(Members::default().with(node(1), 0).with(node(2), 0).print().into_bytes());
    etcd.revision += 1;
    let (revision, members) = (etcd.revision, etcd.members.clone());
    leader.event(Event::Watched { revision, seen: vec![WatchedChange::Members(members)] });
    leader.closes = false;
    leader.event(Event::HandOver(Some(node(2))));
    assert!(leader.told.iter().any(|told| matches!(told, Action::Hold)));
    leader.append(&[b"a"]);
    leader.run(&mut etcd);
    assert_eq!(leader.role(), GroupRole::Primary, "it waits for the last changes");
    assert_eq!(leader.changes(), [b"a"]);
    leader.append(&[b"b"]);
    leader.append(&[b"c"]);
    leader.event(Event::Closed { time: 70_000_000 });
    let batch = leader.txns.len();
    leader.run(&mut etcd);
    assert_eq!(leader.changes(), [b"a", b"b", b"c"], "all changes are committed first");
    assert_eq!((batch, leader.role()), (1, GroupRole::Follower));
    let tail = etcd.tail();
    assert_eq!((tail.epoch, tail.node, tail.nonce), (1, Some(node(2)), 0));
    assert!(tail.time >= 70_000_000, "the next epoch may begin before keys were removed");
    let role = leader.told.iter().position(|told| matches!(told, Action::Role { .. }));
    let sent = leader.told.iter().rposition(|told| matches!(told, Action::Transact { .. }));
    assert!(role < sent, "it is the primary while another may be");
    assert!(!leader.is_fenced());
}

#[test]
fn a_released_group_is_not_taken_back_at_once() {
    let (mut etcd, mut leader) = leader();
    etcd.members = Some(Members::default().with(node(1), 0).with(node(2), 0).print().into_bytes());
    etcd.revision += 1;
    let (revision, members) = (etcd.revision, etcd.members.clone());
    leader.event(Event::Watched { revision, seen: vec![WatchedChange::Members(members)] });
    leader.event(Event::HandOver(None));
    leader.live(&mut etcd, LEASE);
    assert_eq!((etcd.tail().epoch, etcd.tail().node), (1, None), "taken back at once");
    leader.live(&mut etcd, 2 * LEASE);
    assert_eq!(etcd.tail().epoch, 2, "nobody else came");
}

#[test]
fn a_hand_over_to_nobody_is_refused() {
    let (mut etcd, mut leader) = leader();
    for to in [None, Some(node(1)), Some(node(9))] {
        leader.event(Event::HandOver(to));
        leader.run(&mut etcd);
        assert_eq!(leader.role(), GroupRole::Primary);
        assert!(leader.notes().contains("refused"));
    }
}

#[test]
fn a_hand_over_that_does_not_get_through_is_taken_back() {
    let (mut etcd, mut leader) = leader();
    etcd.members = Some(Members::default().with(node(1), 0).with(node(2), 0).print().into_bytes());
    etcd.revision += 1;
    let (revision, members) = (etcd.revision, etcd.members.clone());
    leader.event(Event::Watched { revision, seen: vec![WatchedChange::Members(members)] });
    leader.append(&[b"a"]);
    leader.event(Event::HandOver(None));
    for _ in 0..4 {
        leader.lose();
        leader.pass(LEASE);
    }
    assert!(leader.told.iter().any(|told| matches!(told, Action::Unhold)));
    leader.run(&mut etcd);
    leader.append(&[b"b"]);
    leader.run(&mut etcd);
    assert_eq!(leader.role(), GroupRole::Primary);
    assert_eq!(leader.changes(), [b"a", b"b"]);
}

#[test]
fn a_hand_over_does_not_make_a_release_optional() {
    let (mut etcd, mut leader) = leader();
    add_member(&mut etcd, &mut leader);
    leader.append(&[b"a"]);
    leader.event(Event::CannotServe("the disk is full".to_owned()));
    leader.event(Event::HandOver(Some(node(2))));
    assert!(leader.notes().contains("ignored"), "{}", leader.notes());
    for _ in 0..4 {
        leader.lose();
        leader.pass(LEASE);
    }
    assert!(!leader.told.iter().any(|told| matches!(told, Action::Unhold)), "it was cancelled");
    leader.run(&mut etcd);
    leader.live(&mut etcd, LEASE);
    assert_eq!((leader.role(), etcd.tail().node), (GroupRole::Follower, None));
}

#[test]
fn a_second_hand_over_can_still_be_taken_back() {
    let (mut etcd, mut leader) = leader();
    add_member(&mut etcd, &mut leader);
    leader.append(&[b"a"]);
    for _ in 0..5 {
        leader.event(Event::HandOver(None));
        leader.lose();
        leader.pass(LEASE);
    }
    assert!(leader.told.iter().any(|told| matches!(told, Action::Unhold)));
}

fn restarts(node: &Node) -> bool {
    node.told.iter().any(|told| matches!(told, Action::Restart(_)))
}

/// The thread of the state waits for a disk that hangs.
#[test]
fn a_primary_whose_state_does_not_let_go_ends() {
    for hands_over in [true, false] {
        let (mut etcd, mut leader) = leader();
        leader.closes = false;
        let members = Members::default().with(node(1), 0).with(node(2), 0);
        etcd.members = Some(members.print().into_bytes());
        etcd.revision += 1;
        etcd.seen.push(WatchedChange::Members(etcd.members.clone()));
        etcd.tell(&mut leader);
        leader.event(if hands_over {
            Event::HandOver(Some(node(2)))
        } else {
            Event::CannotServe("the disk hangs".to_owned())
        });
        leader.append(&[b"a"]);
        leader.live(&mut etcd, 3 * LEASE - 10);
        assert_eq!(leader.changes(), [b"a"], "changes from before are committed");
        assert!(leader.role() == GroupRole::Primary && !restarts(&leader));
        leader.live(&mut etcd, LEASE);
        let line = etcd.tail();
        assert_eq!(leader.role(), GroupRole::Follower, "it refuses changes, and keeps the group");
        leader.live(&mut etcd, 4 * LEASE);
        assert_eq!(etcd.tail(), line, "it still beats");
        assert!(!restarts(&leader), "a long command is taken for a state that never answers");
        leader.live(&mut etcd, 60_000);
        assert!(restarts(&leader) && !released(&leader));
    }
}

/// As below. Its disk hangs while it shall let go of the group.
#[test]
fn a_primary_that_lets_go_does_not_start_anew_while_its_disk_hangs() {
    let (mut etcd, mut leader) = leader();
    leader.closes = false;
    leader.append(&[b"a"]);
    leader.run(&mut etcd);
    leader.event(Event::DiskHangs(true));
    leader.event(Event::CannotServe("the disk hangs".to_owned()));
    leader.live(&mut etcd, 4 * LEASE);
    assert_eq!(leader.role(), GroupRole::Follower);
    let line = etcd.tail();
    leader.live(&mut etcd, 120_000);
    assert!(!restarts(&leader), "it starts anew while its disk hangs");
    assert_eq!(etcd.tail(), line, "it takes the group back, which its state has not let go");
    take_over(&mut etcd);
    etcd.append(2, &[b"b"]);
    etcd.tell(&mut leader);
    leader.event(Event::DiskHangs(false));
    leader.event(Event::Closed { time: 0 });
    leader.live(&mut etcd, LEASE);
    assert_eq!(leader.changes(), [b"a", b"b"], "it does not follow when its disk works");
    assert!(!restarts(&leader));
}

/// As above, and etcd does not answer: nobody knows whether the log has the last change.
#[test]
fn a_primary_whose_disk_hangs_waits_for_the_answer_about_its_last_change() {
    let (mut etcd, mut leader) = leader();
    leader.closes = false;
    leader.append(&[b"a"]);
    leader.event(Event::DiskHangs(true));
    leader.event(Event::CannotServe("the disk hangs".to_owned()));
    leader.pass(4 * LEASE);
    assert!(!restarts(&leader), "it starts anew although its disk hangs");
    assert_eq!(
        leader.role(),
        GroupRole::Primary,
        "it follows with a change that the log may not have"
    );
    leader.live(&mut etcd, LEASE);
    assert!(leader.role() == GroupRole::Follower && !restarts(&leader), "it keeps the group");
    assert_eq!(leader.changes(), [b"a"]);
}

#[test]
fn a_primary_whose_last_change_has_no_answer_starts_anew_if_its_disk_works() {
    let (_, mut leader) = leader();
    leader.closes = false;
    leader.append(&[b"a"]);
    leader.event(Event::CannotServe("a thread is stuck".to_owned()));
    leader.pass(4 * LEASE);
    assert!(restarts(&leader), "it keeps a change that the log may not have");
}

/// A process with a thread that waits for a disk may not be able to end, and would answer no client any more.
#[test]
fn a_deposed_primary_does_not_start_anew_while_its_disk_hangs() {
    let (mut etcd, mut leader) = leader();
    leader.closes = false;
    leader.event(Event::DiskHangs(true));
    take_over(&mut etcd);
    leader.live(&mut etcd, 120_000);
    assert!(!restarts(&leader), "it starts anew while its disk hangs");
    leader.event(Event::DiskHangs(false));
    leader.live(&mut etcd, 56_000);
    assert!(!restarts(&leader), "the minute does not begin when the disk works again");
    leader.live(&mut etcd, 5000);
    assert!(restarts(&leader), "it waits without end");
}

/// The thread of the state is stuck, and the group has another primary.
#[test]
fn a_deposed_primary_whose_state_does_not_let_go_ends() {
    for closes in [false, true] {
        let (mut etcd, mut leader) = leader();
        leader.closes = false;
        take_over(&mut etcd);
        leader.live(&mut etcd, LEASE);
        assert_eq!(leader.role(), GroupRole::Follower);
        leader.live(&mut etcd, 56_000);
        assert!(!restarts(&leader), "a slow disk is taken for one that hangs");
        if closes {
            leader.event(Event::Closed { time: 0 });
        }
        leader.live(&mut etcd, 2 * LEASE);
        let ends = restarts(&leader);
        assert_eq!(ends, !closes, "it hangs for ever, or ends although its state has let go");
    }
}

/// A command may hold its shards for longer than three short leases.
#[test]
fn a_state_has_some_seconds_to_let_go() {
    let (mut etcd, mut leader) = leader();
    leader.closes = false;
    leader.event(Event::Lease(500));
    leader.live(&mut etcd, LEASE);
    leader.event(Event::CannotServe("its clock is ahead".to_owned()));
    leader.live(&mut etcd, 4500);
    assert_eq!(etcd.tail().lease, 500);
    assert!(leader.role() == GroupRole::Primary && !restarts(&leader), "it ends although it works");
    leader.live(&mut etcd, 500);
    assert_eq!(leader.role(), GroupRole::Follower);
}

#[test]
fn a_process_that_stops_does_not_start_anew_if_its_state_does_not_let_go() {
    let (mut etcd, mut leader) = leader();
    leader.closes = false;
    leader.event(Event::Exit);
    leader.live(&mut etcd, 4 * LEASE);
    assert!(released(&leader) && !restarts(&leader));
}

fn released(node: &Node) -> bool {
    node.told.iter().any(|told| matches!(told, Action::Released))
}

#[test]
fn a_process_that_stops_releases_the_group_for_good() {
    let (mut etcd, mut leader) = leader();
    leader.append(&[b"a"]);
    leader.event(Event::Exit);
    assert!(!released(&leader));
    leader.run(&mut etcd);
    assert!(released(&leader));
    assert_eq!((etcd.tail().node, etcd.tail().nonce), (None, 0));
    assert_eq!(leader.changes(), [b"a"]);
    leader.live(&mut etcd, 10 * LEASE);
    assert_eq!(etcd.tail().epoch, 1, "it takes the group back although it stops");
    let (_, mut follower) = follower();
    follower.event(Event::Exit);
    assert!(released(&follower), "a follower has nothing to release");
}

#[test]
fn a_release_that_nobody_heard_of_is_found() {
    let (mut etcd, mut leader) = leader();
    leader.event(Event::Exit);
    let txn = leader.lose();
    etcd.txn(&txn);
    assert!(!released(&leader));
    leader.pass(1000);
    leader.run(&mut etcd);
    assert!(released(&leader));
    assert_eq!(etcd.tail().nonce, 0);
}

#[test]
fn a_primary_whose_state_does_not_serve_leaves() {
    let mut etcd = Etcd::default();
    let mut leader = Node::new(settings(1));
    leader.run(&mut etcd);
    assert_eq!(leader.role(), GroupRole::Primary);
    leader.live(&mut etcd, 2 * LEASE);
    assert_eq!(leader.role(), GroupRole::Primary);
    leader.live(&mut etcd, LEASE + 100);
    assert_eq!(leader.role(), GroupRole::Follower, "it keeps the group without serving");
    assert!(leader.notes().contains("did not begin to serve"));
}

#[test]
fn a_primary_whose_disk_fails_leaves() {
    let (mut etcd, mut leader) = leader();
    leader.event(Event::CannotServe("the disk is full".to_owned()));
    leader.live(&mut etcd, 4 * LEASE);
    assert_eq!((etcd.tail().node, etcd.tail().epoch), (None, 1));
    assert!(leader.notes().contains("the disk is full"));
}

#[test]
fn a_primary_that_was_removed_leaves() {
    let (mut etcd, mut leader) = leader();
    etcd.members = Some(b"[]".to_vec());
    etcd.revision += 1;
    etcd.seen.push(WatchedChange::Members(etcd.members.clone()));
    etcd.tell(&mut leader);
    leader.live(&mut etcd, 4 * LEASE);
    assert_eq!((etcd.tail().node, etcd.tail().epoch), (None, 1));
}

#[test]
fn a_primary_whose_clock_is_far_ahead_leaves() {
    let (mut etcd, mut leader) = leader();
    add_member(&mut etcd, &mut leader);
    leader.event(Event::Clocks(vec![(node(2), -9_000)]));
    leader.run(&mut etcd);
    assert_eq!(leader.role(), GroupRole::Primary);
    leader.event(Event::Clocks(vec![(node(2), -11_000)]));
    leader.run(&mut etcd);
    assert_eq!((etcd.tail().node, etcd.tail().nonce), (Some(node(2)), 0));
}

/// It loads, or its disk fails. The others would wait for it for a lease.
#[test]
fn a_primary_whose_clock_is_ahead_names_no_member_that_would_not_take_over() {
    let (mut etcd, mut leader) = leader();
    let members = Members::default().with(node(1), 0).with(node(2), 0).with(node(3), 0);
    etcd.members = Some(members.print().into_bytes());
    etcd.revision += 1;
    etcd.seen.push(WatchedChange::Members(etcd.members.clone()));
    etcd.tell(&mut leader);
    let clocks = || Event::Clocks(vec![(node(2), -12_000), (node(3), -11_000)]);
    leader.event(Event::Unfit(vec![node(2), node(3)]));
    leader.event(clocks());
    leader.live(&mut etcd, LEASE);
    assert_eq!(leader.role(), GroupRole::Primary, "no member would take the group over");
    leader.event(Event::Unfit(vec![node(2)]));
    leader.event(clocks());
    leader.run(&mut etcd);
    let named = (etcd.tail().node, etcd.tail().nonce);
    assert_eq!(named, (Some(node(3)), 0), "a node that would not take over is named");
}
