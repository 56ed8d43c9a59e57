//! The primary's trimming.

use super::*;

fn filled(batches: usize) -> (Etcd, Node) {
    let (mut etcd, mut leader) = leader();
    for _ in 0..batches {
        leader.append(&[b"a"]);
        leader.run(&mut etcd);
    }
    (etcd, leader)
}

fn join(etcd: &mut Etcd, leader: &mut Node) {
    etcd.members = Some(Members::default().with(node(1), 0).with(node(2), 0).print().into_bytes());
    etcd.revision += 1;
    etcd.seen.push(WatchedChange::Members(etcd.members.clone()));
    etcd.tell(leader);
}

#[test]
fn a_batch_goes_once_all_members_have_it() {
    let (mut etcd, mut leader) = filled(20);
    join(&mut etcd, &mut leader);
    etcd.durable = vec![(node(1), 15)];
    leader.live(&mut etcd, 3000);
    assert_eq!(etcd.log.keys().next(), Some(&1), "trimmed before it is durable everywhere");
    etcd.durable.push((node(2), 9));
    leader.live(&mut etcd, 3000);
    assert_eq!(etcd.log.keys().next(), Some(&9), "the batch that a member begins with stays");
}

#[test]
fn a_member_counts_though_the_watch_did_not_tell_of_it() {
    let (mut etcd, mut leader) = filled(20);
    etcd.members = Some(Members::default().with(node(1), 0).with(node(2), 0).print().into_bytes());
    etcd.revision += 1;
    etcd.durable = vec![(node(1), 15)];
    leader.live(&mut etcd, 3000);
    assert_eq!(etcd.log.keys().next(), Some(&1), "trimmed by the members of before");
    etcd.durable.push((node(2), 9));
    leader.live(&mut etcd, 3000);
    assert_eq!(etcd.log.keys().next(), Some(&9), "the look did not bring the members");
}

#[test]
fn a_member_counts_that_joined_after_the_look() {
    let (mut etcd, mut leader) = filled(20);
    etcd.durable = vec![(node(1), 15)];
    leader.pass(2000);
    while leader.trims.is_empty() {
        let (id, read) = pop(&mut leader.reads).expect("a read");
        leader.event(Event::Read { id, answer: Ok(etcd.read(&read)) });
    }
    etcd.members = Some(Members::default().with(node(1), 0).with(node(2), 0).print().into_bytes());
    etcd.revision += 1;
    leader.live(&mut etcd, 6000);
    assert_eq!(etcd.log.keys().next(), Some(&1), "trimmed by the members of before");
}

#[test]
fn the_last_batch_stays() {
    let (mut etcd, mut leader) = filled(5);
    etcd.durable = vec![(node(1), 1000)];
    leader.live(&mut etcd, 3000);
    assert_eq!(etcd.log.keys().copied().collect::<Vec<_>>(), [6], "the last batch is gone");
}

/// Every group of an etcd does this, also those without clients.
#[test]
fn a_primary_with_nothing_to_trim_looks_seldom() {
    let (mut etcd, mut leader) = filled(5);
    etcd.durable = vec![(node(1), 6)];
    leader.live(&mut etcd, 4000);
    assert_eq!(etcd.log.keys().copied().collect::<Vec<_>>(), [6]);
    let mut looks = 0;
    for _ in 0..300 {
        leader.pass(100);
        looks += leader.reads.iter().filter(|(_, read)| *read == Read::Durable).count();
        leader.run(&mut etcd);
    }
    assert!((2..=4).contains(&looks), "{looks} looks in 30 s");
    leader.append(&[b"a"]);
    etcd.durable = vec![(node(1), 7)];
    leader.live(&mut etcd, 4000);
    assert_eq!(etcd.log.keys().copied().collect::<Vec<_>>(), [7], "a new batch is not looked at");
}

#[test]
fn under_pressure_the_copies_decide() {
    let mut etcd = Etcd::default();
    let mut leader = Node::new(GroupSettings { most_retained: 50_000, copies: 1, ..settings(1) });
    leader.run(&mut etcd);
    leader.event(Event::Serving);
    join(&mut etcd, &mut leader);
    etcd.durable = vec![(node(1), 1000)];
    let value: Vec<u8> = (0..10_000_u32).map(|n| (n * n % 251) as u8).collect();
    for n in 0..10 {
        leader.append(&[&value[n..]]);
        leader.run(&mut etcd);
    }
    let first = etcd.log.len();
    leader.live(&mut etcd, 3000);
    assert!(first >= 10 || leader.group.status().retained < 50_000);
    assert!(leader.group.status().retained <= 50_000, "{}", leader.group.status().retained);
}

#[test]
fn a_long_way_is_trimmed_in_steps() {
    let (mut etcd, mut leader) = filled(3000);
    leader.pass(2000);
    let mut steps = Vec::new();
    etcd.durable = vec![(node(1), 2500)];
    while steps.last() != Some(&2500) {
        if let Some((id, read)) = pop(&mut leader.reads) {
            leader.event(Event::Read { id, answer: Ok(etcd.read(&read)) });
            continue;
        }
        let (id, trim) = pop(&mut leader.trims).expect("a deletion");
        assert_eq!(Some(trim.primary), etcd.primary, "compared with the epoch");
        steps.push(trim.below);
        leader.event(Event::Trimmed { id, outcome: Ok(true) });
    }
    assert_eq!(steps, [1025, 2049, 2500]);
}

#[test]
fn a_failed_deletion_is_repeated_later() {
    let (mut etcd, mut leader) = filled(10);
    etcd.durable = vec![(node(1), 11)];
    for outcome in [Ok(false), Err(TxnFailure::Unknown(String::new()))] {
        leader.pass(2000);
        while leader.trims.is_empty() {
            let (id, read) = pop(&mut leader.reads).expect("a read");
            leader.event(Event::Read { id, answer: Ok(etcd.read(&read)) });
        }
        let (id, ..) = pop(&mut leader.trims).expect("a deletion");
        leader.event(Event::Trimmed { id, outcome });
        assert!(leader.trims.is_empty(), "at once");
        leader.run(&mut etcd);
    }
    leader.live(&mut etcd, 3000);
    assert_eq!(etcd.log.keys().next(), Some(&11));
}

/// A member has come back while etcd has little quota left, so no change comes that its disk could tell of next.
#[test]
fn a_record_that_was_lost_is_put_again() {
    let (mut etcd, mut leader) = filled(20);
    join(&mut etcd, &mut leader);
    etcd.durable = vec![(node(1), 15), (node(2), 3)];
    leader.event(Event::QuotaShort(true));
    leader.live(&mut etcd, 3000);
    assert_eq!(etcd.log.keys().next(), Some(&3));
    let (mut key, mut puts) = (DurableKey::default(), 0);
    key.set(12);
    for _ in 0..100 {
        leader.live(&mut etcd, 100);
        if let Some(seq) = key.due(leader.now.boot) {
            puts += 1;
            // The first one is lost.
            if puts > 1 {
                etcd.durable[1] = (node(2), seq);
            }
        }
    }
    assert_eq!(etcd.log.keys().next(), Some(&12), "etcd keeps for ever what both have");
    assert!(puts <= 4, "{puts} puts in ten seconds");
}

/// Each put is a write of all members of etcd, for every node of every group.
#[test]
fn a_record_that_etcd_has_is_put_seldom() {
    let mut key = DurableKey::default();
    key.set(12);
    let puts = |key: &mut DurableKey<u64>, from: u64, to: u64| {
        let mut puts = 0;
        for now in (from..to).step_by(100) {
            if key.due(now).is_some() {
                puts += 1;
                key.confirm(&12);
            }
        }
        puts
    };
    assert_eq!(puts(&mut key, 0, 9000), 3, "one that was given up may be done behind the first");
    assert_eq!(puts(&mut key, 9000, 67_000), 2, "the record is never put again, or too often");
    key.set(13);
    // Those that etcd confirms now are of before.
    assert_eq!(puts(&mut key, 67_000, 76_000), 3);
    assert_eq!(puts(&mut key, 76_000, 85_000), 3, "an unconfirmed record is put seldom");
}

#[test]
fn with_little_quota_left_the_copies_decide_at_once() {
    let (mut etcd, mut leader) = filled(20);
    join(&mut etcd, &mut leader);
    etcd.members = Some(
        Members::default().with(node(1), 0).with(node(2), 0).with(node(3), 0).print().into_bytes(),
    );
    etcd.revision += 1;
    etcd.seen.push(WatchedChange::Members(etcd.members.clone()));
    etcd.tell(&mut leader);
    etcd.durable = vec![(node(1), 15), (node(2), 9)];
    leader.live(&mut etcd, 3000);
    assert_eq!(etcd.log.keys().next(), Some(&1), "node 3 has none of it");
    leader.event(Event::QuotaShort(true));
    leader.run(&mut etcd);
    assert_eq!(etcd.log.keys().next(), Some(&9), "two copies, without a pause");
    etcd.durable = vec![(node(1), 15), (node(2), 12)];
    leader.event(Event::QuotaShort(false));
    leader.live(&mut etcd, 3000);
    assert_eq!(etcd.log.keys().next(), Some(&9), "etcd keeps the batches for node 3");
}
