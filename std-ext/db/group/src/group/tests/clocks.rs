//! Primaries whose clocks were ahead for a while.

use super::*;

const HOUR: u64 = 3_600_000;

/// Appends the entry that says that the clock was set back to the present time.
fn log_clock(leader: &mut Node, latest: u64) {
    let changes = [CLOCK, &latest.to_le_bytes()].concat();
    leader.append(&[&changes]);
}

/// A group whose primary has written a beat and an entry while its clock was an hour ahead. Returns its right time.
fn ahead() -> (Etcd, Node, u64) {
    let (mut etcd, mut leader) = leader();
    let right = leader.now.wall;
    leader.now.wall += HOUR;
    leader.append(&[b"a"]);
    leader.run(&mut etcd);
    leader.live(&mut etcd, LEASE);
    assert!(etcd.tail().time >= right + HOUR, "no line has the time");
    leader.now.wall -= HOUR;
    let right = leader.now.wall;
    (etcd, leader, right)
}

#[test]
fn a_line_goes_back_with_the_entry_that_says_so() {
    let (mut etcd, mut leader, right) = ahead();
    leader.live(&mut etcd, LEASE);
    assert!(etcd.tail().time >= right + HOUR, "the line forgets keys that have expired");
    log_clock(&mut leader, right + HOUR);
    leader.append(&[b"b"]);
    leader.run(&mut etcd);
    assert_eq!(etcd.tail().time, leader.now.wall, "the line keeps the old time");
    assert_eq!(leader.group.status().position.time, leader.now.wall, "the position keeps it");
    leader.live(&mut etcd, LEASE);
    let now = leader.now.wall;
    assert!((now - LEASE..=now).contains(&etcd.tail().time), "a beat keeps the old time");
}

#[test]
fn a_failover_after_a_clock_that_was_set_back_begins_at_the_right_time() {
    let (mut etcd, mut leader, right) = ahead();
    log_clock(&mut leader, right + HOUR);
    leader.append(&[b"b"]);
    leader.run(&mut etcd);
    let mut follower = Node::new(settings(2));
    (follower.now.wall, follower.closes) = (right + 5000, true);
    follower.run(&mut etcd);
    let position = follower.group.status().position;
    assert_eq!(position.time, right, "a follower's position keeps the old time");
    assert_eq!(position, leader.group.status().position);
    follower.live(&mut etcd, 2 * LEASE);
    assert_eq!(follower.role(), GroupRole::Primary);
    let begins = etcd.tail().time;
    assert!(begins < right + HOUR, "the epoch begins at the old time, and keys expire: {begins}");
}

/// The entry and those before and behind it are in one batch: their order counts.
#[test]
fn the_entries_behind_count_and_those_before_do_not() {
    let (mut etcd, mut leader) = leader();
    let right = leader.now.wall;
    leader.append(&[b"a"]);
    leader.now.wall += HOUR;
    leader.append(&[b"b"]);
    leader.now.wall = right + 10;
    log_clock(&mut leader, right + HOUR);
    leader.now.wall = right + 30;
    leader.append(&[b"c"]);
    leader.now.wall = right + 20;
    leader.append(&[b"d"]);
    leader.run(&mut etcd);
    let mut follower = Node::new(settings(2));
    follower.run(&mut etcd);
    assert_eq!(follower.changes().len(), 5);
    let times = [&leader, &follower].map(|node| node.group.status().position.time);
    assert_eq!(times, [right + 30; 2], "the times of the positions");
    assert_eq!(etcd.tail().time, right + 30, "the time of the line");
}

/// A release carries the time by which keys were removed, and no earlier clock.
#[test]
fn a_group_is_released_at_the_right_time() {
    let (mut etcd, mut leader, right) = ahead();
    etcd.members = Some(Members::default().with(node(1), 0).with(node(2), 0).print().into_bytes());
    etcd.revision += 1;
    let (revision, members) = (etcd.revision, etcd.members.clone());
    leader.event(Event::Watched { revision, seen: vec![WatchedChange::Members(members)] });
    log_clock(&mut leader, right + HOUR);
    leader.closes = false;
    leader.event(Event::HandOver(Some(node(2))));
    leader.event(Event::Closed { time: right + 7 });
    leader.run(&mut etcd);
    assert_eq!((etcd.tail().node, etcd.tail().nonce), (Some(node(2)), 0));
    assert_eq!(etcd.tail().time, right + 7, "the release has the old time");
}
