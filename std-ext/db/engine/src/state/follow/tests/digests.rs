//! Tests of digests: nodes with the same data have the same digest, and others do not.

use super::*;
use crate::clustered::{Digest, DigestError};

const LONG: Duration = Duration::from_secs(60);
/// The time from which on a watermark counts.
const FROM: u64 = 5000;

/// Returns the digests of a primary and of a follower, which gets the entries of the primary that it lacks.
fn digests(primary: &Node, follower: &Node) -> [Digest; 2] {
    let has = follower.log.last() as usize;
    thread::scope(|scope| {
        let asked = [primary, follower].map(|node| {
            let state = &node.state;
            scope.spawn(move || state.digest(FROM, LONG).unwrap())
        });
        for node in [primary, follower] {
            while node.state.digest_from().is_none() {
                thread::yield_now();
            }
        }
        let last = primary.log.last();
        primary.state.log_watermark_if_due();
        assert_eq!(primary.log.last(), last, "a watermark was logged too early");
        primary.set_time(FROM + 1);
        primary.state.log_watermark_if_due();
        // It has no part in the digest.
        let mut later = Session::new(Arc::clone(&primary.state));
        later
            .execute(&[Request::Change(b"later", set(b"too late", Expiry::Never))], &mut |_, _| {});
        follower.follow(&primary.log.entries()[has..]).unwrap();
        let digests = asked.map(|asked| asked.join().unwrap());
        for node in [primary, follower] {
            let may_free = node.state.shards.iter().all(|shard| shard.lock().may_relocate());
            assert!(may_free, "a shard holds records after the digest");
        }
        digests
    })
}

fn keys(digest: &Digest) -> u64 {
    digest.parts.iter().map(|part| part.keys).sum()
}

#[test]
fn nodes_with_the_same_data_have_the_same_digest() {
    let (mut primary, follower) = (Node::primary(1000), Node::follower(1000));
    for number in 0..200 {
        let value = "red".repeat(number % 7 * 1000);
        primary.set(&format!("rose {number}"), &value, Expiry::Never);
    }
    primary.set("daisy", "white", Expiry::At(9000));
    let [one, other] = digests(&primary, &follower);
    assert_eq!(one, other, "the same data, and another digest");
    assert_eq!((keys(&one), one.time), (201, FROM + 1));
    assert!(one.parts.iter().all(|part| part.keys > 0), "slots of a part are missing");
    // The records that were noted are freed, and another digest can be taken.
    assert_eq!(primary.state.digest(FROM, LONG), Err(DigestError::Late));
    assert_eq!(follower.state.digest(FROM, LONG), Err(DigestError::Late));
}

#[test]
fn expired_keys_have_no_part_in_a_digest() {
    let (mut primary, follower) = (Node::primary(1000), Node::follower(1000));
    primary.set("gone", "1", Expiry::At(2000));
    primary.set("going", "1", Expiry::At(FROM + 1));
    primary.set("there", "1", Expiry::At(FROM + 2));
    follower.follow(&primary.log.entries()).unwrap();
    // The primary removes a key that its followers keep: there is no watermark yet.
    primary.set_time(2000);
    run_cycle(&primary.state);
    let [one, other] = digests(&primary, &follower);
    assert_eq!(one, other, "an expired key makes a difference");
    assert_eq!(keys(&one), 1);
}

#[test]
fn other_data_have_another_digest() {
    let base = |time: u64| {
        let (mut primary, follower) = (Node::primary(1000), Node::follower(1000));
        primary.set("rose", "red", Expiry::Never);
        primary.set("daisy", "white", Expiry::At(time));
        (primary, follower)
    };
    let (primary, follower) = base(9000);
    let [wanted, _] = digests(&primary, &follower);
    let (other, _) = base(9001);
    let [later, _] = digests(&other, &Node::follower(1000));
    assert_ne!(wanted.parts, later.parts, "an expiration has no part in the digest");
    // A follower that has lost a key, as after a fault.
    let (mut primary, follower) = base(9000);
    follower.follow(&primary.log.entries()).unwrap();
    let shard = follower.state.shard_of(b"rose");
    let mut core = follower.state.shards[shard].lock();
    let record = core.find(b"rose").unwrap();
    core.remove(record);
    follower.state.log_and_publish(&follower.state.shards[shard], &mut core, 0, &[]);
    drop(core);
    primary.set("iris", "blue", Expiry::Never);
    let [one, other] = digests(&primary, &follower);
    assert_eq!(one.lsn, other.lsn);
    let differ = one.parts.iter().zip(&other.parts).filter(|(one, other)| one != other).count();
    assert_eq!((differ, keys(&one), keys(&other)), (1, 3, 2));
}

#[test]
fn a_digest_that_nothing_comes_of_ends() {
    let primary = Node::primary(1000);
    assert_eq!(primary.state.digest(FROM, Duration::ZERO), Err(DigestError::TimedOut));
    assert_eq!(primary.state.digest_from(), None);
    primary.set_time(3000);
    let late = primary.state.digest(2000, Duration::ZERO);
    assert_eq!(late, Err(DigestError::Late), "its clock is there");
    let loading = Node::with(ManualLog::trusting(), 4, 1000);
    assert_eq!(loading.state.digest(FROM, LONG), Err(DigestError::Loading));
    thread::scope(|scope| {
        let first = scope.spawn(|| primary.state.digest(FROM, LONG));
        while primary.state.digest_from().is_none() {
            thread::yield_now();
        }
        assert_eq!(primary.state.digest(FROM, LONG), Err(DigestError::Busy));
        primary.set_time(FROM);
        primary.state.log_watermark_if_due();
        assert_eq!(first.join().unwrap().map(|digest| digest.time), Ok(FROM));
    });
}
