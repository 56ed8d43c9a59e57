//! Tests of the hub without a server.

use super::message::ENCODED;
use super::*;
use hedgerow_db_formats::resp::Protocol;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.rest()).into_owned()
}

fn taken(mailbox: &Mailbox) -> Vec<String> {
    let mut messages = Vec::new();
    mailbox.take(usize::MAX, &mut messages);
    messages.iter().map(text).collect()
}

#[test]
fn a_broadcast_without_some_keys_has_the_others() {
    let encoded = |text: &str| -> Arc<[u8]> { text.as_bytes().into() };
    let all = encoded("*3\r\n$1\r\na\r\n$4\r\n\r\n$1\r\n$0\r\n\r\n");
    let rest = |message: Option<Message>| message.map(|message| Arc::clone(message.rest()));
    let broadcast = |keys: &Arc<[u8]>| Message::broadcast(keys, false);
    assert_eq!(rest(broadcast(&all).with_keys(|_| true)), Some(Arc::clone(&all)));
    assert_eq!(rest(broadcast(&all).with_keys(|_| false)), None);
    let left = encoded("*2\r\n$4\r\n\r\n$1\r\n$0\r\n\r\n");
    assert_eq!(rest(broadcast(&all).with_keys(|key| key != b"a")), Some(left));
    // A key that the client has read, and the message that all keys have changed.
    let read = Message::invalidation(&all, false);
    assert_eq!(rest(read.with_keys(|_| false)), Some(Arc::clone(&all)));
    for null in ["_\r\n", "$-1\r\n"] {
        let null = encoded(null);
        assert_eq!(rest(broadcast(&null).with_keys(|_| false)), Some(null));
    }
}

#[test]
fn a_message_is_shared_by_its_receivers() {
    let hub = Hub::new(1);
    let mut clients: Vec<_> = (0..3).map(|id| Subscriptions::new(&hub, id)).collect();
    for client in &mut clients {
        assert!(client.add(ChannelKind::Channel, b"news"));
    }
    assert!(clients[0].add(ChannelKind::Pattern, b"n*"));
    assert_eq!(hub.publish(b"news", b"hi"), 4);
    let mut got = Vec::new();
    clients[1].mailbox().take(usize::MAX, &mut got);
    clients[2].mailbox().take(usize::MAX, &mut got);
    assert!(Arc::ptr_eq(got[0].rest(), got[1].rest()), "the message was copied");
    assert_eq!(text(&got[0]), "3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n");
    let heads = [Protocol::Two, Protocol::Three].map(|protocol| got[0].head(protocol, true));
    assert_eq!(heads, [Some(&b"*"[..]), Some(b">")]);
    assert_eq!(taken(clients[0].mailbox()).len(), 2);
}

#[test]
fn a_client_that_ends_is_forgotten() {
    let hub = Hub::new(1);
    let mut client = Subscriptions::new(&hub, 7);
    for n in 0..1000 {
        assert!(client.add(ChannelKind::Channel, format!("channel {n}").as_bytes()));
        assert!(client.add(ChannelKind::ShardChannel, format!("channel {n}").as_bytes()));
    }
    assert!(client.add(ChannelKind::Pattern, b"c*"));
    let counts = Counts { channels: 1000, patterns: 1, shard_channels: 1000 };
    assert_eq!(hub.counts(), counts);
    let mut left = Vec::new();
    client.remove_all(ChannelKind::Channel, |_, count| left.push(count));
    assert_eq!((left.len(), left[0], left[999]), (1000, 1000, 1), "wrong counts");
    drop(client);
    assert_eq!(hub.counts(), Counts::default(), "a subscription outlives its client");
    assert_eq!(hub.publish(b"channel 1", b""), 0);
}

#[test]
fn subscriptions_have_a_limit() {
    let hub = Hub::new(1);
    let mut client = Subscriptions::new(&hub, 7);
    let long = vec![b'x'; 1 << 20];
    let name = |n: u64| [&long[..], &n.to_le_bytes()].concat();
    let most = (0..100).take_while(|n| client.add(ChannelKind::Pattern, &name(*n))).count();
    // The hub has each of them compiled as well.
    assert_eq!(most, 21, "the limit is not kept");
    assert!(client.add(ChannelKind::Pattern, &name(3)), "a subscription that exists needs room");
    client.remove(ChannelKind::Pattern, &name(3));
    let channels = (0..100).take_while(|n| client.add(ChannelKind::Channel, &name(*n))).count();
    assert_eq!(channels, 3, "a channel takes as much as a pattern");
    client.clear();
    assert_eq!((client.bytes(), client.is_empty()), (0, true));
}

#[test]
fn a_full_mailbox_is_emptied() {
    let hub = Hub::new(1);
    hub.set_limit(1000);
    let mut client = Subscriptions::new(&hub, 7);
    assert!(client.add(ChannelKind::Channel, b"a"));
    client.set_place(0, 5);
    assert_eq!(hub.publish(b"a", &[0; 500]), 1);
    assert_eq!(hub.publish(b"a", &[0; 500]), 1);
    assert_eq!(client.mailbox().waiting(), 0, "a slow subscriber keeps its messages");
    assert_eq!(client.mailbox().take(usize::MAX, &mut Vec::new()), Left::Overflow);
}

/// A client may have subscribed to hundreds of thousands of patterns that all match.
#[test]
fn a_full_mailbox_costs_no_copies() {
    let hub = Hub::new(1);
    hub.set_limit(1000);
    let mut client = Subscriptions::new(&hub, 7);
    for n in 0..100 {
        assert!(client.add(ChannelKind::Pattern, format!("[a{n}]").as_bytes()));
    }
    client.set_place(0, 5);
    let before = ENCODED.get();
    assert_eq!(hub.publish(b"a", &[0; 400]), 100);
    assert!(ENCODED.get() - before <= 3, "messages are copied for a client that is over its limit");
    assert_eq!(client.mailbox().take(usize::MAX, &mut Vec::new()), Left::Overflow);
    // Another client gets its message.
    let mut other = Subscriptions::new(&hub, 8);
    assert!(other.add(ChannelKind::Pattern, b"[a5]"));
    assert_eq!(hub.publish(b"a", b"news"), 101);
    assert_eq!(taken(other.mailbox()).len(), 1);
}

/// A subscriber that moves between workers all the time gets each message, at a worker that was told of it.
#[test]
fn no_message_is_left_at_a_worker_that_the_client_has_left() {
    const MESSAGES: usize = 20_000;
    const WORKERS: usize = 3;
    let hub = Hub::new(WORKERS);
    let mut client = Subscriptions::new(&hub, 7);
    assert!(client.add(ChannelKind::Channel, b"a"));
    let (mailbox, over) = (client.mailbox(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..MESSAGES {
                assert_eq!(hub.publish(b"a", n.to_string().as_bytes()), 1);
            }
            // Relaxed: the scope joins this thread before the last check.
            over.store(true, Ordering::Relaxed);
        });
        let (mut got, mut round, mut places, mut late) = (Vec::new(), 0, Vec::new(), 0);
        while got.len() < MESSAGES {
            let worker = round % WORKERS;
            client.set_place(worker, round);
            // Only announced messages are taken.
            for _ in 0..round % 5 {
                hub.take_announced(worker, &mut places);
                if places.drain(..).any(|place| place == round) {
                    mailbox.take(300, &mut got);
                    if mailbox.take(0, &mut got) == Left::Some {
                        mailbox.take(usize::MAX, &mut got);
                    }
                }
            }
            mailbox.clear_place();
            round += 1;
            // Relaxed: as above.
            late += usize::from(over.load(Ordering::Relaxed));
            assert!(late < 10_000, "a message is not announced");
        }
        for (n, message) in got.iter().enumerate() {
            assert!(text(message).ends_with(&format!("\r\n{n}\r\n")), "messages are out of order");
        }
    });
}

#[test]
fn all_subscribers_get_the_messages_in_one_order() {
    const MESSAGES: usize = 10_000;
    let long = [&b"["[..], &b"a".repeat(20_000), b"]"].concat();
    let hub = Hub::new(1);
    let mut clients: Vec<_> = (0..20).map(|id| Subscriptions::new(&hub, id)).collect();
    for client in &mut clients {
        // The one gets them by the name, the next by a pattern, and the third one by a long pattern.
        let (kind, name) = [
            (ChannelKind::Channel, &b"a"[..]),
            (ChannelKind::Pattern, b"?"),
            (ChannelKind::Pattern, &long),
        ][client.mailbox().client() as usize % 3];
        assert!(client.add(kind, name));
    }
    thread::scope(|scope| {
        for publisher in 0..2 {
            let hub = &hub;
            scope.spawn(move || {
                for n in 0..MESSAGES {
                    hub.publish(b"a", format!("{publisher} {n}").as_bytes());
                }
            });
        }
    });
    let payloads = |client: &Subscriptions| -> Vec<String> {
        let all = taken(client.mailbox());
        all.iter().filter_map(|text| Some(text.lines().last()?.to_owned())).collect()
    };
    let first = payloads(&clients[0]);
    assert_eq!(first.len(), 2 * MESSAGES);
    for client in &clients[1..] {
        assert!(payloads(client) == first, "subscribers got messages in different orders");
    }
}

/// The names of a client's channels have 64 MiB, and there may be thousands of clients.
#[test]
fn no_more_names_are_collected_than_a_reply_may_have() {
    let hub = Hub::new(1);
    let mut client = Subscriptions::new(&hub, 7);
    for number in 0..1000 {
        assert!(client.add(ChannelKind::Channel, format!("channel {number:04}").as_bytes()));
    }
    let found = |pattern, room| hub.names(ChannelKind::Channel, pattern, room).len();
    // Each takes 18 bytes of the reply, `*` and the number of names not counted.
    assert_eq!((found(None, 1000 * 18), found(Some(&b"c*"[..]), 1000 * 18)), (1000, 1000));
    assert_eq!((found(None, 100 * 18), found(Some(b"c*"), 100 * 18)), (101, 101), "names go on");
    assert_eq!(found(Some(b"*5"), 50 * 18), 51, "names that do not match count");
}

/// A pattern could take hours. Everyone would wait: publishers hold locks while they compare.
#[test]
fn a_pattern_that_takes_long_gets_no_message() {
    const LENGTH: usize = 20_000;
    let hub = Hub::new(1);
    let mut clients: Vec<_> = (0..3).map(|id| Subscriptions::new(&hub, id)).collect();
    let channel = [&vec![b'c'; LENGTH][..], b"a"].concat();
    // From each of its letters the first half of the name matches half of the pattern.
    let slow = [&b"*"[..], &channel[LENGTH / 2..]].concat();
    for (client, pattern) in clients.iter_mut().zip([&slow[..], b"*cca", b"*?[a-c]*a*"]) {
        assert!(client.add(ChannelKind::Pattern, pattern));
    }
    assert!(clients[2].add(ChannelKind::Channel, &channel));
    assert_eq!(hub.publish(&channel, b"hi"), 3, "a pattern is compared for as long as it takes");
    let lengths: Vec<_> = clients.iter().map(|client| taken(client.mailbox()).len()).collect();
    assert_eq!(lengths, [0, 1, 2]);
    let names = |pattern| hub.names(ChannelKind::Channel, Some(pattern), usize::MAX).len();
    assert_eq!((names(&slow), names(b"*cca")), (0, 1), "a name is compared for as long");
    // Short names are compared to the end with any pattern.
    let channel = [&[b'c'; 254][..], b"a"].concat();
    let slow = [&b"*"[..], &channel[127..]].concat();
    assert!(clients[0].add(ChannelKind::Pattern, &slow));
    assert_eq!(hub.publish(&channel, b"hi"), 3, "a short name needs too many steps");
}
