//! The client against etcd.

use super::{client, run, soon};
use crate::etcd::process::Etcd;
use crate::etcd::{
    AlarmKind, Bytes, CallOutcome, ClientSettings, Compare, ErrorKind, EtcdClient, EtcdError,
    EtcdTransaction, EtcdWatch, Keys, Operation, OperationAnswer, Range, Transacted, WatchEvent,
};
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(60);

fn key(key: &'static str) -> Bytes {
    Bytes::from_static(key.as_bytes())
}

#[test]
fn requests_of_all_kinds() {
    let Some(etcd) = Etcd::start(1) else { return };
    run(async {
        let client = client(&etcd.endpoints());
        let states = client.check_version().await.unwrap();
        println!("etcd {}", states[0].version);
        assert!(states[0].size >= states[0].size_in_use && states[0].size_in_use > 0);
        assert_eq!(states[0].leader, states[0].member);
        assert!(states[0].raft_index >= states[0].raft_applied && !states[0].learner);

        assert_eq!(client.get("a").await.unwrap().pair, None);
        let first = client.put("a", "1", 0).await.unwrap();
        let second = client.put("a", "2", 0).await.unwrap();
        let got = client.get("a").await.unwrap();
        let pair = got.pair.unwrap();
        assert_eq!((&pair.value[..], pair.created, pair.modified), (&b"2"[..], first, second));
        assert_eq!((pair.version, pair.lease, got.revision), (2, 0, second));

        for name in ["b/1", "b/2", "b/3", "c"] {
            client.put(name, name, 0).await.unwrap();
        }
        let found = async |range: Range| {
            let found = client.range(&range).await.unwrap();
            let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
            let pairs = found.pairs.iter().map(|pair| text(&pair.key) + "=" + &text(&pair.value));
            (pairs.collect::<Vec<_>>().join(" "), found.more)
        };
        let all = Range::of(Keys::prefix("b/"));
        assert_eq!(found(all.clone()).await, ("b/1=b/1 b/2=b/2 b/3=b/3".into(), false));
        assert_eq!(found(all.clone().limit(2)).await, ("b/1=b/1 b/2=b/2".into(), true));
        assert_eq!(found(all.clone().descending().limit(1)).await, ("b/3=b/3".into(), true));
        assert_eq!(found(all.keys_only()).await, ("b/1= b/2= b/3=".into(), false));
        let from = Range::of(Keys::between("b/2", "c"));
        assert_eq!(found(from).await, ("b/2=b/2 b/3=b/3".into(), false));
        let old = Range { revision: first, ..Range::of(Keys::one("a")) };
        assert_eq!(found(old).await, ("a=1".into(), false));
        let future = Range { revision: u64::MAX, ..Range::of(Keys::one("a")) };
        let error = client.range(&future).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::FutureRevision, CallOutcome::NotDone)
        );

        let deleted = client.delete(Keys::prefix("b/")).await.unwrap();
        assert_eq!(deleted.count, 3);
        client.compact(deleted.revision).await.unwrap();
        client.compact(deleted.revision).await.expect("a second compaction is no error");
        let old = Range { revision: first, ..Range::of(Keys::one("a")) };
        let error = client.range(&old).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Compacted { revision: None });
        assert_eq!(client.alarms().await.unwrap(), []);
    });
}

#[test]
fn calls_go_to_the_leader() {
    let Some(mut etcd) = Etcd::start(3) else { return };
    run(async {
        let endpoints = etcd.endpoints();
        for _ in 0..2 {
            let leader = etcd.leader();
            let mut urls = endpoints.clone();
            urls.rotate_left((leader + 1) % 3);
            let client = client(&urls);
            assert_ne!(client.endpoint(), endpoints[leader]);
            client.choose_leader(&client.status().await);
            assert_eq!(client.endpoint(), endpoints[leader]);
            client.put("a", "1", 0).await.unwrap();
            // The next round has another leader, and an endpoint that does not answer.
            etcd.kill(leader);
        }
    });
}

#[test]
fn transactions_compare() {
    let Some(etcd) = Etcd::start(1) else { return };
    run(async {
        let client = client(&etcd.endpoints());
        let created = client.put("a", "1", 0).await.unwrap();
        let modified = client.put("a", "2", 0).await.unwrap();
        let holds = async |compare: Compare| {
            let transaction =
                EtcdTransaction { compare: vec![compare], ..EtcdTransaction::default() };
            client.transact(&transaction).await.unwrap().succeeded
        };
        let (a, none) = (key("a"), key("none"));
        for (compare, expected) in [
            (Compare::Value { key: a.clone(), value: key("2") }, true),
            (Compare::Value { key: a.clone(), value: key("1") }, false),
            (Compare::Value { key: none.clone(), value: key("") }, false),
            (Compare::Absent { key: a.clone() }, false),
            (Compare::Absent { key: none.clone() }, true),
            (Compare::Present { key: a.clone() }, true),
            (Compare::Present { key: none.clone() }, false),
            (Compare::Modified { key: a.clone(), revision: modified }, true),
            (Compare::Modified { key: a.clone(), revision: created }, false),
            (Compare::Created { key: a.clone(), revision: created }, true),
            (Compare::Created { key: a.clone(), revision: modified }, false),
        ] {
            assert_eq!(holds(compare.clone()).await, expected, "{compare:?}");
        }

        let transaction = EtcdTransaction {
            compare: vec![Compare::Value { key: a.clone(), value: key("2") }],
            then: vec![
                Operation::put("a", "3"),
                Operation::put("b", "new"),
                Operation::Delete(Keys::one("none")),
                Operation::get("a"),
            ],
            otherwise: vec![Operation::get("a")],
        };
        let done = client.transact(&transaction).await.unwrap();
        assert!(done.succeeded);
        assert_eq!(
            done.answers[..3],
            [OperationAnswer::Put, OperationAnswer::Put, OperationAnswer::Deleted(0)]
        );
        assert!(
            matches!(&done.answers[3], OperationAnswer::Found(pairs, false) if pairs[0].value == "3")
        );
        let refused = client.transact(&transaction).await.unwrap();
        assert!(!refused.succeeded && refused.revision == done.revision);
        assert!(
            matches!(&refused.answers[..], [OperationAnswer::Found(pairs, false)] if pairs[0].value == "3")
        );

        let large = EtcdTransaction {
            then: vec![Operation::put("a", vec![0; 1_600_000])],
            ..EtcdTransaction::default()
        };
        let error = client.transact(&large).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::TooLarge, CallOutcome::NotDone));
        let huge = client.put("a", vec![0; 4_000_000], 0).await.unwrap_err();
        assert_eq!(huge.kind(), ErrorKind::TooLarge);
    });
}

/// Returns the keys and revisions of the next report with events.
async fn next(watch: &mut EtcdWatch) -> Vec<(Bytes, u64)> {
    soon("a report", WITHIN, async {
        loop {
            let watched = watch.next().await.unwrap();
            if let Some(last) = watched.events.last() {
                assert!(watched.revision >= last.revision());
                let event = |event: &WatchEvent| (event.key().clone(), event.revision());
                return watched.events.iter().map(event).collect();
            }
        }
    })
    .await
}

#[test]
fn a_watch_delivers_every_revision_whole() {
    let Some(mut etcd) = Etcd::start(1) else { return };
    run(async {
        let client = client(&etcd.endpoints());
        let start = client.put("other", "", 0).await.unwrap();
        let mut watch = client.watch(Keys::prefix("w/"), start + 1);
        let both = EtcdTransaction {
            then: vec![Operation::put("w/a", "1"), Operation::put("w/b", "2")],
            ..EtcdTransaction::default()
        };
        let revision = client.transact(&both).await.unwrap().revision;
        assert_eq!(next(&mut watch).await, [(key("w/a"), revision), (key("w/b"), revision)]);
        let deleted = client.delete(Keys::one("w/a")).await.unwrap();
        assert_eq!(next(&mut watch).await, [(key("w/a"), deleted.revision)]);

        // etcd sends these in fragments to a watch that begins before them.
        let value = vec![7; 700_000];
        let mut revisions = Vec::new();
        for _ in 0..6 {
            revisions.push(client.put("w/large", value.clone(), 0).await.unwrap());
        }
        let mut late = client.watch(Keys::prefix("w/"), revision);
        let mut seen = Vec::new();
        while seen.len() < 9 {
            seen.extend(next(&mut late).await.into_iter().map(|(_, revision)| revision));
        }
        let all = [vec![revision, revision, deleted.revision], revisions.clone()].concat();
        assert_eq!(seen, all);
        let mut seen = Vec::new();
        while seen.len() < 6 {
            seen.extend(next(&mut watch).await.into_iter().map(|(_, revision)| revision));
        }
        assert_eq!(seen, revisions);

        // The member dies, and changes are made before the watch is back.
        etcd.restart(0);
        assert!(etcd.wait_until_healthy());
        // A read is repeated until it has found the lost connection; a change would be the caller's to repeat.
        client.get("w/after").await.unwrap();
        let after = client.put("w/after", "", 0).await.unwrap();
        assert_eq!(next(&mut watch).await, [(key("w/after"), after)]);

        client.compact(after).await.unwrap();
        let mut old = client.watch(Keys::prefix("w/"), start);
        let error = soon("an error", WITHIN, async {
            loop {
                if let Err(error) = old.next().await {
                    return error;
                }
            }
        });
        let error = error.await;
        assert_eq!(error.kind(), ErrorKind::Compacted { revision: Some(after) });
    });
}

#[test]
fn a_lease_lives_until_it_is_dropped_or_revoked() {
    let Some(etcd) = Etcd::start(1) else { return };
    run(async {
        let client = client(&etcd.endpoints());
        let exists = async || client.get("k").await.unwrap().pair.is_some();
        let gone = async |why: &str| {
            soon(why, WITHIN, async {
                while exists().await {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
            .await;
        };
        let lease = client.grant(Duration::from_secs(2)).await.unwrap();
        client.put("k", "v", lease.id()).await.unwrap();
        assert_eq!(client.get("k").await.unwrap().pair.unwrap().lease, lease.id());
        // Without keep-alives etcd would end it in this time.
        let end = Instant::now() + Duration::from_secs(6);
        while Instant::now() < end {
            assert!(exists().await && !lease.is_lost(), "the lease is not kept alive");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(client.lease_left(lease.id()).await.unwrap() <= 2);
        let id = lease.id();
        lease.revoke().await;
        assert!(!exists().await, "a lease that was revoked lives on");
        assert_eq!(client.lease_left(id).await, Ok(0));

        let lease = client.grant(Duration::from_secs(600)).await.unwrap();
        client.put("k", "v", lease.id()).await.unwrap();
        assert!((500..=600).contains(&client.lease_left(lease.id()).await.unwrap()));
        drop(lease);
        gone("a lease that was dropped").await;

        let mut lease = client.grant(Duration::from_secs(3)).await.unwrap();
        client.put("k", "v", lease.id()).await.unwrap();
        etcd.etcdctl(&["lease", "revoke", &format!("{:x}", lease.id())]);
        soon("the loss", WITHIN, lease.lost()).await;
        assert!(lease.is_lost() && !exists().await);
        let error = client.put("k", "v", lease.id()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::LeaseNotFound, CallOutcome::NotDone)
        );
    });
}

/// Adds one to the number in key `n` by compare-and-swap, and repeats the same transaction until its outcome is known.
/// Returns the last answer.
async fn add(client: &EtcdClient, from: u64, unknown: &mut u64) -> Transacted {
    let transaction = EtcdTransaction {
        compare: vec![Compare::Value { key: key("n"), value: from.to_string().into() }],
        then: vec![Operation::put("n", (from + 1).to_string())],
        otherwise: vec![Operation::get("n")],
    };
    loop {
        match client.transact(&transaction).await {
            Ok(done) => return done,
            Err(error) => *unknown += u64::from(error.outcome() == CallOutcome::Unknown),
        }
    }
}

/// Counts while a leader fails, and returns how many outcomes were unknown.
async fn count(client: &EtcdClient, from: u64, to: u64) -> u64 {
    let mut unknown = 0;
    for n in from..to {
        let done = add(client, n, &mut unknown).await;
        if !done.succeeded {
            // An earlier try took effect: nobody else writes.
            let [OperationAnswer::Found(pairs, _)] = &done.answers[..] else { panic!("{done:?}") };
            assert_eq!(pairs[0].value, (n + 1).to_string(), "a change was lost or done twice");
        }
    }
    unknown
}

#[test]
fn changes_survive_the_death_and_the_pause_of_the_leader() {
    let Some(mut etcd) = Etcd::start(3) else { return };
    run(async {
        let settings = ClientSettings::new(etcd.endpoints());
        let client = EtcdClient::connect(&settings).unwrap().with_timeout(Duration::from_secs(1));
        let start = soon("a put", WITHIN, put_until_done(&client, "n", "0")).await;
        let mut watch = client.watch(Keys::one("n"), start + 1);
        let mut counted = 0;
        for frozen in [false, true] {
            let leader = etcd.leader();
            if frozen {
                etcd.freeze(leader);
            } else {
                etcd.kill(leader);
            }
            let unknown = soon("to count", WITHIN, count(&client, counted, counted + 20)).await;
            println!("leader frozen {frozen}: {unknown} unknown outcomes");
            counted += 20;
            if frozen {
                etcd.thaw(leader);
            } else {
                etcd.restart(leader);
            }
            assert!(etcd.wait_until_healthy());
        }
        let got = client.get("n").await.unwrap().pair.unwrap();
        assert_eq!((got.value, got.version), (counted.to_string().into(), counted + 1));
        // The watch has seen each value once, in order.
        let mut seen = Vec::new();
        while seen.len() < counted as usize {
            seen.extend(next(&mut watch).await);
        }
        assert!(seen.is_sorted_by(|a, b| a.1 < b.1) && seen.len() == counted as usize);
    });
}

/// Puts a value until etcd has confirmed it. Returns the revision.
async fn put_until_done(client: &EtcdClient, key: &'static str, value: &'static str) -> u64 {
    loop {
        if let Ok(revision) = client.put(key, value, 0).await {
            return revision;
        }
    }
}

#[test]
fn calls_fail_in_time_without_a_majority() {
    let Some(mut etcd) = Etcd::start(3) else { return };
    run(async {
        let settings = ClientSettings::new(etcd.endpoints());
        let client = EtcdClient::connect(&settings).unwrap();
        soon("a put", WITHIN, put_until_done(&client, "k", "1")).await;
        let start = client.get("k").await.unwrap().revision + 1;
        let mut watch = client.watch(Keys::one("k"), start);
        etcd.kill(0);
        etcd.kill(1);
        for _ in 0..2 {
            let begun = Instant::now();
            let error = client.put("k", "2", 0).await.expect_err("there is no majority");
            // The member that is left has no leader, or has not noticed, or the endpoint is dead.
            let known = [ErrorKind::NoLeader, ErrorKind::TimedOut, ErrorKind::Unreachable];
            assert!(
                known.contains(&error.kind()) || error.kind() == ErrorKind::Unavailable,
                "{error}"
            );
            assert!(client.get("k").await.is_err(), "a read needs a majority as well");
            assert!(begun.elapsed() < Duration::from_secs(30));
        }
        etcd.restart(0);
        etcd.restart(1);
        assert!(etcd.wait_until_healthy());
        let revision = soon("a put", WITHIN, put_until_done(&client, "k", "3")).await;
        let last = soon("the watch", WITHIN, async {
            loop {
                if let Some((_, last)) = next(&mut watch).await.last()
                    && *last >= revision
                {
                    return *last;
                }
            }
        });
        assert_eq!(last.await, revision);
    });
}

#[test]
fn a_full_database_is_told_and_can_be_left() {
    let Some(etcd) = Etcd::start_with(1, &["--quota-backend-bytes", "4194304"], None) else {
        return;
    };
    run(async {
        let client = client(&etcd.endpoints());
        let (mut put, mut first_error) = (0_usize, None);
        while first_error.is_none() {
            assert!(put < 100, "the quota is never used up");
            let transaction = EtcdTransaction {
                compare: vec![Compare::Absent { key: format!("k/{put:03}").into() }],
                then: vec![Operation::put(format!("k/{put:03}"), vec![7; 200_000])],
                ..EtcdTransaction::default()
            };
            first_error = client.transact(&transaction).await.err();
            put += 1;
        }
        let error: EtcdError = first_error.unwrap();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::NoSpace, CallOutcome::Unknown));
        let found = client.range(&Range::of(Keys::prefix("k/")).keys_only()).await.unwrap();
        let took_effect = found.pairs.len() == put;
        println!("the transaction that used the quota up took effect: {took_effect}");
        let alarms = soon("the alarm", WITHIN, async {
            loop {
                let alarms = client.alarms().await.unwrap();
                if !alarms.is_empty() {
                    return alarms;
                }
            }
        })
        .await;
        assert_eq!(alarms.iter().map(|alarm| alarm.kind).collect::<Vec<_>>(), [AlarmKind::NoSpace]);
        let error = client.put("k/small", "v", 0).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        let status = client.status().await.remove(0).1.unwrap();
        assert!(status.errors.iter().any(|error| error.contains("NOSPACE")), "{status:?}");

        // etcd still does requests that only delete, also as transactions.
        let delete = EtcdTransaction {
            then: vec![Operation::Delete(Keys::prefix("k/"))],
            ..EtcdTransaction::default()
        };
        let deleted = client.transact(&delete).await.unwrap();
        assert_eq!(deleted.answers, [OperationAnswer::Deleted(found.pairs.len() as u64)]);
        client.compact(deleted.revision).await.unwrap();
        // etcd compacts in the background.
        soon("space", WITHIN, async {
            loop {
                etcd.etcdctl(&["defrag"]);
                client.disarm(&alarms[0]).await.unwrap();
                if client.put("k/large", vec![7; 200_000], 0).await.is_ok() {
                    return;
                }
            }
        })
        .await;
        assert_eq!(client.alarms().await.unwrap(), []);
    });
}

#[test]
fn an_etcd_that_was_restored_is_refused() {
    let Some(mut etcd) = Etcd::start(1) else { return };
    let backup = etcd.folder().join("backup");
    let backup = backup.to_str().unwrap();
    run(async {
        let client = client(&etcd.endpoints());
        client.put("k", "1", 0).await.unwrap();
        etcd.etcdctl(&["snapshot", "save", backup]);
        let seen = client.put("k", "2", 0).await.unwrap();
        etcd.kill(0);
        std::fs::remove_dir_all(etcd.data(0)).unwrap();
        // The member that is restored has the same name, URLs and token.
        let arguments: Vec<_> = etcd.arguments(0).iter().map(String::as_str).collect();
        let mut restore = vec!["snapshot", "restore", backup];
        for pair in arguments.windows(2) {
            if ["--name", "--data-dir", "--initial-cluster", "--initial-cluster-token"]
                .contains(&pair[0])
                || pair[0] == "--initial-advertise-peer-urls"
            {
                restore.extend(pair);
            }
        }
        etcd.etcdctl(&restore);
        etcd.restart(0);
        assert!(etcd.wait_until_healthy());
        let error = client.get("k").await.expect_err("data of the past is taken");
        let ErrorKind::RevisionWentBack { seen: before, found } = error.kind() else {
            panic!("{error}");
        };
        assert!(before == seen && found < seen, "{error}");
        assert!(error.to_string().contains("restored from a backup"), "{error}");
    });
}
