//! Clocks that were ahead for a while, and are set back.

use super::*;

const HOUR: u64 = 3_600_000;

/// Makes a primary that follows one whose clock was an hour ahead.
fn successor() -> Node {
    let node = Node::follower(1_000_000);
    let ahead = 1_000_000 + HOUR;
    let daisy = entry(1, ahead, |log| change::set(b"daisy", b"white", Expiry::Never, log));
    node.follow(&[daisy, entry(2, ahead, |log| change::begin(2, &[1; 20], log))]).unwrap();
    node.state.become_primary(ahead);
    node.log.set(|state| state.writable = true);
    node
}

#[test]
fn no_time_from_before_a_clock_was_set_back_counts() {
    let (mut primary, mut follower) = (successor(), Node::follower(1_000_000));
    assert_eq!(primary.state.latest_time(), 1_000_000 + HOUR);
    run_cycle(&primary.state);
    assert_eq!(primary.state.latest_time(), 1_000_000, "the primary counts from an old time");
    primary.set_time(1_010_000);
    primary.set("rose", "red", Expiry::At(1_010_000 + HOUR / 2));
    let daisy = entry(1, 1_000_000 + HOUR, |log| {
        change::set(b"daisy", b"white", Expiry::Never, log);
    });
    let begin = entry(2, 1_000_000 + HOUR, |log| change::begin(2, &[1; 20], log));
    let rest = primary.log.entries();
    follower.follow(&[&[daisy, begin][..], &rest[..]].concat()).unwrap();
    assert_eq!(follower.state.latest_time(), 1_010_000, "a follower counts from an old time");
    follower.set_time(1_020_000);
    follower.log.set(|state| state.writable = true);
    follower.state.become_primary(follower.state.latest_time());
    run_cycle(&follower.state);
    assert_eq!(follower.get("rose"), "red", "a failover costs a key");
}

/// Keys that had expired by the later time are gone at all nodes, so an epoch may begin at an earlier one.
#[test]
fn a_former_primary_counts_from_the_clock_that_was_set_back() {
    let mut node = Node::primary(1_000_000);
    node.set("rose", "red", Expiry::At(1_000_000 + 2 * HOUR));
    node.set_time(1_000_000 + HOUR);
    run_cycle(&node.state);
    node.log.set(|state| state.writable = false);
    let ahead = node.state.step_down().time;
    assert_eq!(ahead, 1_000_000 + HOUR);
    let last = node.log.last();
    node.follow(&[
        entry(last + 1, ahead, |log| change::begin(2, &[1; 20], log)),
        entry(last + 2, 1_001_000, |log| change::clock(ahead, log)),
    ])
    .unwrap();
    assert!(node.state.seal_snapshot(), "no snapshot is written until the old time");
    node.set_time(1_002_000);
    run_cycle(&node.state);
    let next = entry(last + 3, 1_002_000, |log| change::begin(3, &[2; 20], log));
    node.follow(&[next]).expect("the next primary begins behind all removals");
    node.state.become_primary(1_003_000);
    assert_eq!(node.session.now(), 1_003_000, "it begins at the old time");
}

/// The primary could not hand over while its clock was ahead.
#[test]
fn a_primary_that_stays_counts_from_the_clock_that_was_set_back() {
    let mut node = Node::primary(1_000_000);
    node.set("rose", "red", Expiry::Never);
    node.set_time(1_000_000 + HOUR);
    run_cycle(&node.state);
    node.log.set(|state| state.writable = false);
    node.state.step_down();
    node.state.become_primary(0);
    node.log.set(|state| state.writable = true);
    node.set_time(1_001_000);
    run_cycle(&node.state);
    node.log.set(|state| state.writable = false);
    assert_eq!(node.state.step_down().time, 1_001_000);
    let next = entry(node.log.last() + 1, 1_002_000, |log| change::begin(2, &[1; 20], log));
    node.follow(&[next]).expect("the next primary begins behind all removals");
}

/// The entry that sets the clock back is appended under the locks of all shards, before the time goes back or after.
#[test]
fn a_snapshot_has_the_time_of_its_last_entry() {
    let node = Node::primary(1_000_000);
    let state = Arc::clone(&node.state);
    let cores = state.lock_every_shard();
    let (sender, done) = mpsc::channel();
    let of_thread = Arc::clone(&state);
    let thread = thread::spawn(move || sender.send(of_thread.last_entry()).unwrap());
    let early = done.recv_timeout(Duration::from_millis(100));
    assert!(early.is_err(), "a snapshot may have an entry from before, and the time from behind");
    drop(cores);
    assert_eq!(done.recv().unwrap(), (0, 1_000_000));
    thread.join().unwrap();
}

#[test]
fn an_entry_is_published_behind_its_time() {
    let follower = Node::follower(1000);
    let (lsn, time, changes) =
        entry(1, 5000, |log| change::set(b"rose", b"red", Expiry::Never, log));
    let published = |lsn| {
        let latest = follower.state.latest_time();
        assert_eq!(latest, 5000, "a snapshot with this entry is older than the entry");
        follower.log.publish_last(lsn);
    };
    follower.state.follow(&[(lsn, time, &changes)], &published).unwrap();
}

/// The thread that follows the clock has looked at some shards when the node steps down.
#[test]
fn a_primary_that_steps_down_removes_nothing_more_by_its_clock() {
    let mut node = Node::primary(1_000_000);
    let state = Arc::clone(&node.state);
    let last = state.shards.len() - 1;
    for number in 0..1000 {
        let key = format!("key{number}");
        if [0, last].contains(&state.shard_of(key.as_bytes())) {
            node.set(&key, "value", Expiry::At(1_000_000 + HOUR / 2));
        }
    }
    let keys = |shard: usize| state.shards[shard].stats().keys();
    let before = keys(last);
    node.set_time(1_000_000 + HOUR);
    assert_eq!(node.session.now(), 1_000_000 + HOUR);
    node.set_time(1_001_000);
    let held = state.shards[last].lock();
    thread::scope(|scope| {
        scope.spawn(|| state.follow_clock());
        while keys(0) != 0 {
            thread::yield_now();
        }
        // The lock of the last shard is held, so this is what `step_down` does.
        let others: Vec<_> = (0..last).map(|shard| state.shards[shard].lock()).collect();
        state.role.set(Role::Follower);
        drop(others);
        drop(held);
    });
    assert_eq!(keys(last), before, "a follower has removed keys by its own clock");
}
