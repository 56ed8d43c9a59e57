//! builds: default
//!
//! Watches: each change with the watched prefix is reported once, in order, and a watcher that lags behind gets an
//! error.

use hedgerow_db::request::{
    Change, End, HashChange, ListChange, MultiKeyOp, Request, Score, SetChange, SortedSetChange,
};
use hedgerow_db::watch::{EventKind, WatchError};
use hedgerow_db::{Db, Options};
use std::thread;
use std::time::Duration;

const NONE: Duration = Duration::ZERO;

#[test]
fn changes_with_a_prefix_are_reported_in_order() {
    let db = Db::open(Options::in_memory()).unwrap();
    db.set("rose", "before").unwrap();
    let mut watch = db.watch("ro");
    db.set("daisy", "white").unwrap();
    db.set("rose", "red").unwrap();
    db.add("robin", 1).unwrap();
    db.delete("rose").unwrap();
    // There was nothing to remove.
    db.delete("rose").unwrap();
    db.expire("robin", Duration::from_secs(60)).unwrap();
    db.clear().unwrap();
    let mut received = Vec::new();
    while let Some(event) = watch.next(NONE).unwrap() {
        received.push(event);
    }
    assert!(received.is_sorted_by_key(|event| event.lsn));
    let changed: Vec<EventKind> = received.into_iter().map(|event| event.kind).collect();
    let key = |key: &[u8]| EventKind::Changed(key.to_vec());
    let removed = EventKind::Removed(b"rose".to_vec());
    let wanted = [key(b"rose"), key(b"robin"), removed, key(b"robin"), EventKind::Cleared];
    assert_eq!(changed, wanted, "changes reported for a prefix");
}

#[test]
fn changes_of_other_types_than_string_are_reported() {
    let db = Db::open(Options::in_memory()).unwrap();
    let mut watch = db.watch("");
    let (names, score): ([&[u8]; 2], _) = ([b"a", b"b"], Score::new(1.5).unwrap());
    let push = ListChange::Push { end: End::Back, elements: &names, if_present: false };
    let pop = ListChange::Pop { end: End::Front, count: Some(2), most: usize::MAX };
    let requests = [
        ("hash", Change::Hash(HashChange::Set(&[(b"field", b"value")]))),
        ("list", Change::List(push)),
        ("set", Change::Members(SetChange::Add(&names))),
        ("set", Change::Members(SetChange::Remove(&names[..1]))),
        ("zset", Change::SortedSet(SortedSetChange::Set(&[(score, b"member")]))),
        // Nothing is left of it.
        ("list", Change::List(pop)),
    ];
    // One by one: those of a pipeline are executed shard by shard.
    for (key, change) in requests {
        db.session().execute(&[Request::Change(key.as_bytes(), change)], &mut |_, _| ());
    }
    let mut changed = Vec::new();
    while let Some(event) = watch.next(NONE).unwrap() {
        changed.push(event.kind);
    }
    let keys = ["hash", "list", "set", "set", "zset", "list"].map(|key| key.as_bytes().to_vec());
    assert_eq!(changed, keys.map(EventKind::Changed));
}

#[test]
fn atomic_changes_have_one_log_entry() {
    let db = Db::open(Options::in_memory()).unwrap();
    let mut watch = db.watch("");
    let pairs: [(&[u8], &[u8]); 3] = [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")];
    db.session().execute(&[Request::MultiKey(MultiKeyOp::SetAll(&pairs))], &mut |_, _| ());
    let received: Vec<_> = (0..3).map(|_| watch.next(NONE).unwrap().unwrap()).collect();
    assert!(received.iter().all(|event| event.lsn == received[0].lsn));
    assert_eq!(watch.next(NONE).unwrap(), None);
}

/// No change of a key is missing, reported twice, or reported before an earlier one.
#[test]
fn changes_of_a_key_are_reported_in_their_order() {
    const CHANGES: i64 = 2000;
    let db = Db::open(Options::in_memory()).unwrap();
    let mut watch = db.watch("");
    thread::scope(|scope| {
        for key in 0..4 {
            let db = &db;
            scope.spawn(move || {
                for _ in 0..CHANGES {
                    db.add(format!("key{key}"), 1).unwrap();
                }
            });
        }
    });
    let (mut number, mut seen) = (0, 0);
    while let Some(event) = watch.next(NONE).unwrap() {
        // Changes of one shard arrive in order; over several shards, a number may arrive late.
        number = event.lsn.max(number);
        seen += 1;
    }
    assert_eq!(seen, 4 * CHANGES);
    assert_eq!(number, 4 * CHANGES.cast_unsigned());
}

#[test]
fn a_lagging_watcher_gets_an_error() {
    let db = Db::open(Options::in_memory()).unwrap();
    let mut watch = db.watch("");
    let mut other = db.watch("");
    for _ in 0..20_000 {
        db.add("n", 1).unwrap();
        other.next(NONE).unwrap().unwrap();
    }
    let mut received = 0;
    let why = loop {
        match watch.next(NONE) {
            Ok(Some(_)) => received += 1,
            Ok(None) => panic!("the watch has lost changes"),
            Err(why) => break why,
        }
    };
    assert!(matches!(why, WatchError::Lagged));
    assert!((10_000..20_000).contains(&received), "{received}");
    // A watcher that keeps up gets everything.
    assert_eq!(other.next(NONE).unwrap(), None);
}

#[test]
fn a_rename_is_reported_for_both_keys() {
    use hedgerow_db::request::{MultiKeyOp, Request};
    let db = Db::open(Options::in_memory()).unwrap();
    db.set("rose", "red").unwrap();
    let (mut both, mut one) = (db.watch(""), db.watch("d"));
    let rename = MultiKeyOp::Rename { from: b"rose", to: b"daisy", if_absent: false };
    db.session().execute(&[Request::MultiKey(rename)], &mut |_, _| {});
    let next =
        |watch: &mut hedgerow_db::watch::Watch| watch.next(NONE).unwrap().map(|event| event.kind);
    let (daisy, rose) = (EventKind::Changed(b"daisy".into()), EventKind::Removed(b"rose".into()));
    assert_eq!([next(&mut both), next(&mut both)], [Some(daisy.clone()), Some(rose)]);
    assert_eq!([next(&mut one), next(&mut one)], [Some(daisy), None]);
}

/// The longest value that is copied to an entry even if no file stores it.
const LONG: [u8; 16_000] = [b'v'; 16_000];

/// Long values are not kept for a watcher, however few there are.
#[test]
fn a_watcher_lagging_by_bytes_gets_an_error() {
    use hedgerow_db::request::{MultiKeyOp, Request};
    let db = Db::open(Options::in_memory()).unwrap();
    let mut watch = db.watch("");
    let mut other = db.watch("");
    for _ in 0..12_000 {
        db.set("long", LONG).unwrap();
        other.next(NONE).unwrap().unwrap();
    }
    let received = (0..12_000).take_while(|_| watch.next(NONE).is_ok()).count();
    assert!(
        received < 5000,
        "{} MiB of entries are kept for one watcher",
        (received * LONG.len()) >> 20
    );
    assert!(matches!(watch.next(NONE), Err(WatchError::Lagged)));
    // A watcher that keeps up gets everything, even an entry longer than the limit.
    let pairs: Vec<(&[u8], &[u8])> = vec![(b"longer", &LONG); 5000];
    db.session().execute(&[Request::MultiKey(MultiKeyOp::SetAll(&pairs))], &mut |_, _| {});
    assert!((0..5000).all(|_| other.next(NONE).unwrap().is_some()));
    assert_eq!(other.next(NONE).unwrap(), None);
}

#[test]
fn a_watcher_that_does_not_read_holds_little() {
    let db = Db::open(Options::in_memory()).unwrap();
    let mut watch = db.watch("");
    for _ in 0..12_000 {
        db.set("big", LONG).unwrap();
    }
    let received = (0..12_000).take_while(|_| matches!(watch.next(NONE), Ok(Some(_)))).count();
    assert!(received < 6000, "a watcher that does not read got everything");
    assert!(matches!(watch.next(NONE), Err(WatchError::Lagged)));
    // A watcher that reads gets everything, however much it is.
    let mut watch = db.watch("");
    for _ in 0..12_000 {
        db.set("big", LONG).unwrap();
        watch.next(NONE).unwrap().unwrap();
    }
}
