//! Tests of the table and of the messages, without a server.

use super::*;
use crate::limits::REDIRECTED_BYTES;
use crate::pubsub::{Left, Redirected, Subscriptions};
use hedgerow_db_engine::request::{Answer, MultiKeyOp, Query, Request};
use hedgerow_db_engine::{Db, Options};
use std::sync::Mutex;

thread_local! {
    /// How often this thread has encoded names.
    pub(super) static ENCODED: Cell<usize> = const { Cell::new(0) };
}

/// A client that tracks keys of a database, and its mailbox.
struct Client {
    mailbox: Arc<Mailbox>,
    tracking: Arc<Tracking>,
}

impl Client {
    fn new(db: &Db, id: u64) -> Self {
        Self::with(db, id, false, None)
    }

    fn with(db: &Db, id: u64, broadcasts: bool, redirect: Option<&Arc<Mailbox>>) -> Self {
        let (hub, mailbox) = (Hub::new(1), Arc::new(Mailbox::new(id)));
        let tracker = Arc::new(Tracker::new((&hub, &mailbox), broadcasts, redirect));
        Tracking::of(db.state()).track(db.state(), &tracker);
        Self { mailbox, tracking: Arc::clone(Tracking::of(db.state())) }
    }

    fn remember(&self, keys: &[&str]) {
        for key in keys {
            self.tracking.remember(key.as_bytes(), self.mailbox.client());
        }
    }

    /// Returns the messages since the last call, without their heads, with a space for each end of a line.
    fn messages(&self) -> Vec<String> {
        messages(&self.mailbox)
    }
}

/// Returns a client that hears of all keys and redirects its messages, and the mailbox that gets them.
fn redirecting() -> (Db, Arc<Mailbox>, Client) {
    let db = open();
    let receiver = Arc::new(Mailbox::new(3));
    let client = Client::with(&db, 1, true, Some(&receiver));
    client.tracking.add_prefix(b"", 1);
    (db, receiver, client)
}

fn messages(mailbox: &Mailbox) -> Vec<String> {
    let mut taken = Vec::new();
    mailbox.take(usize::MAX, &mut taken);
    mailbox.take_unasked(usize::MAX, &mut taken);
    let text = |message: &Message| String::from_utf8_lossy(message.rest()).replace("\r\n", " ");
    taken.iter().map(text).collect()
}

fn open() -> Db {
    let mut options = Options::in_memory();
    options.shards = 4;
    Db::open(options).unwrap()
}

/// The message for one key.
fn one(key: &str) -> String {
    format!("*1 ${} {key} ", key.len())
}

#[test]
fn each_way_to_change_a_key_tells_those_that_have_read_it() {
    let db = open();
    let (client, other) = (Client::new(&db, 1), Client::new(&db, 2));
    let check = |what: &str, keys: &[&str], change: &dyn Fn()| {
        client.remember(keys);
        change();
        let wanted: Vec<String> = keys.iter().map(|key| one(key)).collect();
        assert_eq!(client.messages(), wanted, "after {what}");
        change();
        assert_eq!(client.messages(), [""; 0], "a key is told twice after {what}");
    };
    check("a SET", &["rose"], &|| db.set("rose", "red").unwrap());
    check("a DEL", &["rose"], &|| {
        db.set("rose", "red").unwrap();
        db.delete("rose").unwrap();
    });
    check("an MSET", &["daisy", "tulip"], &|| {
        db.set_all(&[(b"daisy", b"white"), (b"tulip", b"red")]).unwrap();
    });
    let second = db.database(2).unwrap();
    check("a SET in another database", &["rose"], &|| second.set("rose", "red").unwrap());
    assert_eq!(other.messages(), [""; 0], "a client is told of keys that it has not read");
}

#[test]
fn a_swap_tells_that_any_key_may_have_changed() {
    let db = open();
    let client = Client::new(&db, 1);
    client.remember(&["rose"]);
    db.swap_databases(0, 1).unwrap();
    assert_eq!(client.messages(), ["$-1 "], "after a swap");
    assert_eq!(Tracking::of(db.state()).counts().keys, 0, "the table has keys after a swap");
}

#[test]
fn keys_of_clients_that_are_gone_are_forgotten_before_the_next_one() {
    let db = open();
    db.set("rose", "red").unwrap();
    let client = Client::new(&db, 1);
    client.remember(&["rose"]);
    client.tracking.remove(1, [].into_iter());
    db.clear().unwrap();
    let client = Client::new(&db, 1);
    let none = TrackingCounts { clients: 1, ..TrackingCounts::default() };
    assert_eq!(client.tracking.counts(), none);
    db.set("rose", "white").unwrap();
    assert_eq!(client.messages(), [""; 0], "it is told of a key that it has not read since");
    client.remember(&["rose"]);
    let _second = Client::new(&db, 2);
    db.set("rose", "red").unwrap();
    assert_eq!(client.messages(), [one("rose")], "another client has cleared the table");
}

#[test]
fn the_switch_is_off_without_clients() {
    let db = open();
    assert!(!db.state().tracked.is_on());
    let client = Client::new(&db, 1);
    let second = Client::new(&db, 2);
    assert_eq!(Tracking::of(db.state()).counts().clients, 2);
    client.tracking.remove(1, std::iter::empty());
    assert!(db.state().tracked.is_on(), "a client is forgotten with another one");
    second.tracking.remove(2, std::iter::empty());
    assert!(!db.state().tracked.is_on(), "changes are looked at for no client");
}

#[test]
fn expired_keys_are_told() {
    let db = open();
    let client = Client::new(&db, 1);
    client.remember(&["rose"]);
    set_caller(1);
    let core = || db.state().shards[db.state().shard_of(b"rose")].lock();
    // On a busy machine a shorter time could be over before the change is made, which would then delete the key.
    db.set_with_ttl("rose", "red", std::time::Duration::from_millis(500)).unwrap();
    set_caller(0);
    assert_eq!(client.messages(), [""; 0], "a client is told of its own change");
    while core().len() != 0 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    // The removal is published before the lock is released, and the message sent.
    drop(core());
    assert_eq!(client.messages(), [one("rose")], "an expired key is not told");
}

#[test]
fn the_table_keeps_its_limit() {
    let db = open();
    let client = Client::new(&db, 1);
    let tracking = Tracking::of(db.state());
    tracking.set_max_keys(100);
    for number in 0..1000 {
        client.remember(&[&format!("key {number}")]);
        assert!(tracking.counts().keys <= 100, "the table grows beyond its limit");
    }
    let evicted = client.messages();
    assert_eq!(evicted.len(), 900, "a client is not told of each evicted key");
    // Exactly the keys that are left are told when they change.
    for number in 0..1000 {
        let key = format!("key {number}");
        db.set(&key, "").unwrap();
        let wanted = if evicted.contains(&one(&key)) { vec![] } else { vec![one(&key)] };
        assert_eq!(client.messages(), wanted);
    }
    assert_eq!((tracking.counts().keys, tracking.counts().items), (0, 0));
    assert_eq!(tracking.table.used(), 0, "bytes of forgotten keys are counted");
}

#[test]
fn the_memory_of_the_table_is_bounded() {
    let db = open();
    let tracking = Tracking::of(db.state());
    let client = Client::new(&db, 1);
    tracking.set_max_keys(0);
    assert_eq!(tracking.table.max_bytes.get(), crate::limits::TRACKING_BYTES as u64);
    let most = 8 << 20;
    tracking.table.max_bytes.set(most);
    let long = vec![b'x'; 60_000];
    for number in 0..2 * most / 60_000 {
        tracking.remember(&[&number.to_le_bytes(), &long[..]].concat(), 1);
        client.mailbox.take(usize::MAX, &mut Vec::new());
    }
    let used = tracking.table.used();
    assert!(used <= most, "the table takes {used} bytes");
    assert!(used > most / 2, "the table takes {used} bytes only");
}

#[test]
fn a_client_stays_interested_behind_its_own_change() {
    let db = open();
    let (client, other) = (Client::new(&db, 1), Client::new(&db, 2));
    client.remember(&["rose"]);
    other.remember(&["rose"]);
    set_caller(1);
    db.set("rose", "red").unwrap();
    set_caller(0);
    assert_eq!((client.messages(), other.messages()), (vec![], vec![one("rose")]));
    assert_eq!(Tracking::of(db.state()).counts().items, 1);
    db.set("rose", "white").unwrap();
    let wanted = (vec![one("rose")], vec![]);
    assert_eq!((client.messages(), other.messages()), wanted, "a change of another is missed");
}

#[test]
fn changes_are_broadcast_by_prefix() {
    let db = open();
    let (client, other) = (Client::with(&db, 1, true, None), Client::with(&db, 2, true, None));
    let tracking = Tracking::of(db.state());
    for (prefix, id) in [("r", 1), ("da", 1), ("", 2), ("rosemary", 2)] {
        tracking.add_prefix(prefix.as_bytes(), id);
    }
    assert_eq!(tracking.counts().prefixes, 4);
    db.set_all(&[(b"rose", b""), (b"dahlia", b""), (b"ruby", b""), (b"d", b"")]).unwrap();
    let mut got = client.messages();
    got.sort();
    assert_eq!(got, ["*1 $6 dahlia ", "*2 $4 rose $4 ruby "], "not one message a prefix");
    assert_eq!(other.messages(), ["*4 $4 rose $6 dahlia $4 ruby $1 d "]);
    db.set("rosemary", "").unwrap();
    assert_eq!(client.messages(), [one("rosemary")]);
    assert_eq!(other.messages(), [one("rosemary"), one("rosemary")]);
    // Of changes of its own, a client is told nothing if it wants that.
    set_caller(2);
    db.set("rose", "").unwrap();
    set_caller(0);
    assert_eq!((client.messages(), other.messages()), (vec![one("rose")], vec![]));
    tracking.remove(1, [&b"r"[..], b"da"].into_iter());
    db.set("rose", "").unwrap();
    assert_eq!(client.messages(), [""; 0], "a client that has ended is told");
    assert_eq!(tracking.counts().prefixes, 2);
}

#[test]
fn a_redirected_message_says_that_its_receiver_is_gone() {
    let db = open();
    let receiver = Arc::new(Mailbox::new(3));
    let client = Client::with(&db, 1, false, Some(&receiver));
    client.remember(&["rose"]);
    db.set("rose", "red").unwrap();
    assert_eq!((messages(&receiver), client.messages()), (vec![one("rose")], vec![]));
    client.remember(&["rose"]);
    receiver.close();
    db.set("rose", "red").unwrap();
    let broken = vec![":3 ".to_owned()];
    assert_eq!((messages(&receiver), client.messages()), (vec![], broken.clone()));
    drop(receiver);
    client.remember(&["rose"]);
    db.set("rose", "red").unwrap();
    assert_eq!(client.messages(), broken, "a mailbox that was dropped gets messages");
}

#[test]
fn a_redirected_message_without_room_breaks_the_redirection_only() {
    let (db, receiver, client) = redirecting();
    let key = vec![b'k'; 60_000];
    for _ in 0..2 * REDIRECTED_BYTES / key.len() {
        db.set(&key, "").unwrap();
    }
    let broken = client.messages();
    assert_eq!(broken[0], ":3 ", "the client is not told that messages are missed");
    assert!(receiver.bytes() <= REDIRECTED_BYTES, "{} bytes wait", receiver.bytes());
    let left = receiver.take(0, &mut Vec::new());
    assert_eq!((left, receiver.waiting()), (Left::Some, 0), "the receiver is harmed");
    // The messages that it has missed are no reason to trust it again.
    assert_eq!(messages(&receiver).len(), REDIRECTED_BYTES / key.len());
    db.set(&key, "").unwrap();
    assert_eq!((messages(&receiver).len(), client.messages()), (0, vec![":3 ".to_owned()]));
}

#[test]
fn a_redirected_message_may_be_long_if_no_other_waits() {
    let (db, receiver, client) = redirecting();
    let keys: Vec<Vec<u8>> = (0..20).map(|number| vec![number; 60_000]).collect();
    let keys: Vec<(&[u8], &[u8])> = keys.iter().map(|key| (&key[..], &b""[..])).collect();
    let mut session = db.session();
    session.execute(&[Request::MultiKey(MultiKeyOp::SetAll(&keys))], &mut |_, _| {});
    db.set("rose", "").unwrap();
    assert!(receiver.bytes() > REDIRECTED_BYTES, "a long message counts as missed");
    assert_eq!(client.messages(), [":3 "], "the next one has room");
}

#[test]
fn redirected_messages_are_dropped_or_limited_as_the_receiver_takes_them() {
    let (db, receiver, client) = redirecting();
    db.set("rose", "").unwrap();
    receiver.set_redirected(Redirected::Ignored);
    assert_eq!(receiver.bytes(), 0, "a message is kept that the receiver ignores");
    db.set("rose", "").unwrap();
    assert_eq!((receiver.bytes(), client.messages().len()), (0, 0), "an ignored message counts");
    receiver.set_redirected(Redirected::Wanted);
    db.set("rose", "").unwrap();
    assert!(receiver.waiting() > 0, "a message that the receiver wants has no limit");
    assert_eq!(messages(&receiver), [one("rose")]);
}

/// A key may begin with the prefixes of thousands of clients that read nothing.
#[test]
fn names_are_not_encoded_for_clients_without_room() {
    let (db, hub) = (open(), Hub::new(1));
    hub.set_limit(1000);
    let key = [b'k'; 900];
    for id in 1..=100 {
        let mailbox = Arc::new(Mailbox::new(id));
        let tracker = Arc::new(Tracker::new((&hub, &mailbox), true, None));
        Tracking::of(db.state()).track(db.state(), &tracker);
        Tracking::of(db.state()).add_prefix(&key[..id as usize], id);
    }
    let before = ENCODED.get();
    let sent = || {
        db.set(key, "").unwrap();
        ENCODED.get() - before
    };
    assert_eq!(sent(), 100, "a client with room gets no message");
    assert_eq!(sent(), 100, "names are encoded for clients that are over their limit");
}

#[test]
fn a_change_is_visible_when_it_is_told() {
    let db = open();
    let hub = Hub::new(1);
    let subscriptions = Subscriptions::new(&hub, 1);
    subscriptions.set_place(0, 0);
    let (session, seen) = (Mutex::new(db.session()), Arc::new(Mutex::new(Vec::new())));
    let all = Arc::clone(&seen);
    // Called when the message is in the mailbox, by the thread that makes the change.
    hub.on_mail(Box::new(move |_| {
        let request = Request::Read(b"rose", Query::Value);
        session.lock().unwrap().execute(&[request], &mut |_, found| {
            all.lock().unwrap().push(matches!(found, Answer::Bytes(b"red")));
        });
    }));
    let tracker = Arc::new(Tracker::new((&hub, subscriptions.mailbox()), false, None));
    Tracking::of(db.state()).track(db.state(), &tracker);
    Tracking::of(db.state()).remember(b"rose", 1);
    db.set("rose", "red").unwrap();
    assert_eq!(*seen.lock().unwrap(), [true], "a key is told before its change");
    Tracking::of(db.state()).remove(1, std::iter::empty());
}

/// A client that keeps what it reads, and drops it when told, never keeps a value that is older than the last change.
#[test]
fn no_value_is_stale() {
    const ROUNDS: usize = 20_000;
    let db = open();
    let client = Client::new(&db, 1);
    let (next, seen) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let writer = db.clone();
        scope.spawn(move || {
            for round in 0..ROUNDS {
                writer.set("rose", round.to_string()).unwrap();
                // Now and then the reader must have taken all messages so far.
                if round % 64 == 63 && next.send(round).is_err() {
                    return;
                }
            }
        });
        let mut kept: Option<Vec<u8>> = None;
        for last in seen {
            for _ in 0..8 {
                if !client.messages().is_empty() {
                    kept = None;
                }
                if kept.is_none() {
                    client.remember(&["rose"]);
                    kept = db.get("rose").unwrap();
                }
            }
            // A kept value of before `last` must have been told to be changed.
            let value = |kept: &Option<Vec<u8>>| -> usize {
                let text = kept.as_deref().map(String::from_utf8_lossy);
                text.and_then(|text| text.parse().ok()).unwrap_or(0)
            };
            let old = value(&kept) < last;
            assert!(!old || !client.messages().is_empty(), "a stale value is kept");
            if old {
                kept = None;
            }
        }
    });
}
