//! builds: default
//!
//! The cluster client of this crate against small servers that answer as the test says. `tests/failover/groups.rs` has
//! it beside the clients that others wrote, against real nodes.

#[cfg(feature = "tls")]
#[path = "support/certificates.rs"]
mod certificates;

use hedgerow_db::client::{ClientError, ClusterClient, Unavailable};
use hedgerow_db::resp::read::{self, ReadItem, Reply};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A key of a low slot and one of a high slot, by the table of redis-server 7.0.15: 5474 and 12182.
const LOW: &str = "{user}1";
const HIGH: &str = "foo";
const LONG: Duration = Duration::from_secs(30);

/// The reaction of a node to a request.
enum Answer {
    Bytes(String),
    /// Closes the connection without a reply.
    Close,
    /// Closes the connection after the reply.
    Last(String),
    /// Sends nothing.
    Silence,
}

fn ok() -> Answer {
    Answer::Bytes("+OK\r\n".into())
}

fn error(text: &str) -> Answer {
    Answer::Bytes(format!("-{text}\r\n"))
}

/// Returns a script that sends clients to a node.
fn redirect(code: &str, node: &Node) -> impl FnMut(&str) -> Answer + Send + 'static {
    let answer = format!("-{code} 5474 {}\r\n", node.address);
    move |_| Answer::Bytes(answer.clone())
}

/// The ranges of slots that all nodes tell, and the port of each.
type Slots = Arc<Mutex<Vec<(u16, u16, u16)>>>;
type Script = Box<dyn FnMut(&str) -> Answer + Send>;

/// A node without data. Its threads end with the test's process.
struct Node {
    address: SocketAddr,
    /// The requests but for HELLO, in their order.
    seen: Arc<Mutex<Vec<String>>>,
    script: Arc<Mutex<Script>>,
    /// Gets a message when a connection was closed.
    closed: Receiver<()>,
}

impl Node {
    fn start(slots: &Slots) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::default();
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(|_| ok())));
        let (closes, closed) = channel();
        let shared = (Arc::clone(slots), Arc::clone(&seen), Arc::clone(&script), closes);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (slots, seen, script, closes) = shared.clone();
                thread::spawn(move || {
                    serve(stream.unwrap(), &slots, &seen, &script);
                    // The test may have ended.
                    let _ = closes.send(());
                });
            }
        });
        Self { address, seen, script, closed }
    }

    fn answers(&self, script: impl FnMut(&str) -> Answer + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the requests since the last call.
    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

fn serve(mut stream: TcpStream, slots: &Slots, seen: &Mutex<Vec<String>>, script: &Mutex<Script>) {
    let mut input = Vec::new();
    loop {
        let request = match read::reply(&input).unwrap() {
            ReadItem::Reply(Reply::Array(words), length) => {
                input.drain(..length);
                let words = words.into_iter().map(|word| match word {
                    Reply::Bulk(word) => String::from_utf8(word).unwrap(),
                    other => panic!("{other:?}"),
                });
                words.collect::<Vec<_>>().join(" ")
            }
            ReadItem::Reply(other, _) => panic!("{other:?}"),
            ReadItem::Unfinished(_) => {
                let mut some = [0; 4096];
                match stream.read(&mut some) {
                    Ok(0) | Err(_) => return,
                    Ok(came) => input.extend_from_slice(&some[..came]),
                }
                continue;
            }
        };
        if request.starts_with("HELLO ") {
            stream.write_all(b"%0\r\n").unwrap();
            continue;
        }
        seen.lock().unwrap().push(request.clone());
        let answer = match &*request {
            "CLUSTER SLOTS" => Answer::Bytes(told(&slots.lock().unwrap())),
            _ => (script.lock().unwrap())(&request),
        };
        match answer {
            Answer::Bytes(bytes) => stream.write_all(bytes.as_bytes()).unwrap(),
            Answer::Last(bytes) => return stream.write_all(bytes.as_bytes()).unwrap(),
            Answer::Close => return,
            Answer::Silence => {}
        }
    }
}

fn told(slots: &[(u16, u16, u16)]) -> String {
    let range = |(first, last, port): &(u16, u16, u16)| {
        format!("*3\r\n:{first}\r\n:{last}\r\n*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$1\r\nx\r\n")
    };
    format!("*{}\r\n{}", slots.len(), slots.iter().map(range).collect::<String>())
}

/// Two nodes, each of which has half of the slots, and a client that knows the first one.
struct Two {
    low: Node,
    high: Node,
    slots: Slots,
    client: ClusterClient,
}

impl Two {
    fn new() -> Self {
        let slots = Slots::default();
        let (low, high) = (Node::start(&slots), Node::start(&slots));
        *slots.lock().unwrap() = vec![(0, 8191, low.port()), (8192, 16383, high.port())];
        let mut client = ClusterClient::connect(&[low.address]).unwrap();
        client.set_timeout(Some(LONG)).unwrap();
        assert_eq!(low.seen(), ["CLUSTER SLOTS"]);
        Self { low, high, slots, client }
    }
}

fn unavailable<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Unavailable {
    match result.unwrap_err() {
        ClientError::Unavailable(why) => why,
        other => panic!("{other}"),
    }
}

#[test]
fn each_key_goes_to_the_node_of_its_slot() {
    let Two { low, high, mut client, .. } = Two::new();
    // The slots are those that CLUSTER KEYSLOT of redis-server 7.0.15 replies.
    let keys = [
        ("{user}1", 5474),
        ("{user}2", 5474),
        ("user", 5474),
        ("foo", 12182),
        ("{}", 15257),
        ("{}{a}", 13650),
        ("{a", 10276),
        ("a}", 5921),
        ("{{a}}", 10276),
        ("x{a}{b}", 15495),
    ];
    for (key, slot) in keys {
        client.set(key, "x").unwrap();
        let (node, other) = if slot < 8192 { (&low, &high) } else { (&high, &low) };
        assert_eq!(node.seen(), [format!("SET {key} x")], "slot {slot}");
        assert!(other.seen().is_empty(), "{key} of slot {slot} went to both nodes");
    }
    client.command_with_key("foo", &["EVAL", "return 1", "1", "foo"]).unwrap();
    assert_eq!(high.seen(), ["EVAL return 1 1 foo"]);
    // Without a key: to any node, but to one only.
    client.command(&["PING"]).unwrap();
    assert_eq!([low.seen(), high.seen()].concat(), ["PING"]);
    assert_eq!(client.primaries(), [low.address.to_string(), high.address.to_string()]);
}

#[test]
fn moved_is_followed_and_remembered() {
    let Two { low, high, slots, mut client } = Two::new();
    low.answers(redirect("MOVED", &high));
    client.set(LOW, "x").unwrap();
    assert_eq!(
        (low.seen(), high.seen()),
        (vec![format!("SET {LOW} x")], vec![format!("SET {LOW} x")])
    );
    // The next request reads the map first, from the node that knows the change, and goes there at once.
    *slots.lock().unwrap() = vec![(0, 16383, high.port())];
    client.set(LOW, "y").unwrap();
    client.set("a}", "y").unwrap();
    let requests = ["CLUSTER SLOTS".to_owned(), format!("SET {LOW} y"), "SET a} y".to_owned()];
    assert_eq!((low.seen(), high.seen()), (vec![], requests.to_vec()));
}

#[test]
fn ask_is_followed_once() {
    let Two { low, high, mut client, .. } = Two::new();
    low.answers(redirect("ASK", &high));
    for _ in 0..2 {
        client.set(LOW, "x").unwrap();
        assert_eq!(low.seen(), [format!("SET {LOW} x")]);
        assert_eq!(high.seen(), ["ASKING".to_owned(), format!("SET {LOW} x")]);
    }
    // ASKING concerns one request only.
    client.set(HIGH, "x").unwrap();
    assert_eq!(high.seen(), [format!("SET {HIGH} x")]);
}

#[test]
fn a_request_that_was_refused_is_tried_again() {
    for text in [
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "CLUSTERDOWN Hash slot not served",
        "LOADING Redis is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    ] {
        let Two { low, mut client, .. } = Two::new();
        let mut left = 3;
        low.answers(move |_| {
            left -= 1;
            if left >= 0 { error(text) } else { ok() }
        });
        let begun = Instant::now();
        client.set(LOW, "x").unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(70), "{text}: without pauses");
        let seen = low.seen();
        assert_eq!(seen.iter().filter(|one| one.starts_with("SET")).count(), 4, "{text}");
        // The node is right about TRYAGAIN. Otherwise another one may serve the slot by now.
        let maps = if text.starts_with("TRYAGAIN") { 0 } else { 3 };
        assert_eq!(seen.iter().filter(|one| *one == "CLUSTER SLOTS").count(), maps, "{text}");
    }
}

#[test]
fn other_errors_are_replies() {
    let Two { low, mut client, .. } = Two::new();
    low.answers(|_| error("CROSSSLOT Keys in request don't hash to the same slot"));
    let why = client.command(&["MSET", LOW, "x", HIGH, "y"]).unwrap_err();
    assert!(matches!(why, ClientError::Server(why) if why.starts_with("CROSSSLOT ")));
    assert_eq!(low.seen().len(), 1);
}

#[test]
fn a_request_with_an_unknown_outcome_is_not_repeated() {
    let Two { low, mut client, .. } = Two::new();
    client.set_limits(4, LONG);
    low.answers(|_| Answer::Close);
    let why = client.add(LOW, 1).unwrap_err();
    assert!(matches!(why, ClientError::Io(_)), "{why}");
    assert_eq!(low.seen(), [format!("INCRBY {LOW} 1")]);
    // Neither is one after a timeout.
    low.answers(|_| Answer::Silence);
    client.set_timeout(Some(Duration::from_millis(100))).unwrap();
    let why = client.add(LOW, 2).unwrap_err();
    assert!(matches!(why, ClientError::Io(_)), "{why}");
    client.set_timeout(Some(LONG)).unwrap();
    low.answers(|_| Answer::Bytes(":7\r\n".into()));
    assert_eq!(client.add(LOW, 4).unwrap(), 7);
    let mut seen = low.seen();
    seen.retain(|request| request != "CLUSTER SLOTS");
    assert_eq!(seen, [format!("INCRBY {LOW} 2"), format!("INCRBY {LOW} 4")]);
}

#[test]
fn a_connection_that_was_closed_before_is_not_used() {
    let Two { low, mut client, .. } = Two::new();
    for number in 0..3 {
        low.answers(|_| Answer::Last("+OK\r\n".into()));
        client.set(LOW, number.to_string()).unwrap();
        low.closed.recv_timeout(LONG).unwrap();
    }
    assert_eq!(low.seen(), [0, 1, 2].map(|number| format!("SET {LOW} {number}")));
}

#[test]
fn a_request_that_was_not_sent_is_repeated() {
    let Two { low, high, slots, mut client } = Two::new();
    // Nobody listens there.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let to_gone = format!("-MOVED 5474 {gone}\r\n");
    low.answers(move |_| Answer::Bytes(to_gone.clone()));
    *slots.lock().unwrap() = vec![(0, 16383, high.port())];
    client.set(LOW, "x").unwrap();
    assert_eq!(high.seen(), [format!("SET {LOW} x")]);
    // If there is no other node, the error says that the request was not sent.
    *slots.lock().unwrap() = vec![(0, 16383, gone.port())];
    high.answers(|_| error("CLUSTERDOWN Hash slot not served"));
    client.set_limits(5, LONG);
    let why = unavailable(client.set(LOW, "x"));
    assert_eq!((why.attempts, why.last.len()), (5, 5));
    let text = why.to_string();
    assert!(text.starts_with("no node executed the request in 5 attempts and "), "{text}");
    assert!(text.contains(&format!("{}: CLUSTERDOWN", high.address)), "{text}");
    assert!(text.contains(&format!("{gone}: the connection failed: ")), "{text}");
}

/// A node whose process or machine hangs takes connections and answers nothing.
#[test]
fn a_node_that_does_not_answer_is_left() {
    let Two { low, high, slots, mut client } = Two::new();
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    *slots.lock().unwrap() = vec![(0, 16383, hangs.local_addr().unwrap().port())];
    low.answers(redirect("MOVED", &high));
    client.set(LOW, "x").unwrap();
    // The next map leads to the node that hangs. Until another node has its slots, no request is sent.
    high.answers(|_| error("CLUSTERDOWN Hash slot not served"));
    client.set_timeout(Some(Duration::from_millis(200))).unwrap();
    client.set_limits(3, LONG);
    let why = unavailable(client.set(LOW, "y"));
    assert!(why.to_string().contains(&hangs.local_addr().unwrap().to_string()), "{why}");
    *slots.lock().unwrap() = vec![(0, 16383, high.port())];
    high.answers(|_| ok());
    client.set_limits(10, LONG);
    high.seen();
    client.set(LOW, "z").unwrap();
    assert_eq!(high.seen().last(), Some(&format!("SET {LOW} z")));
}

#[test]
fn redirections_without_end_are_followed_within_limits() {
    let Two { low, high, mut client, .. } = Two::new();
    // It ends late, so that a client without limits ends, too.
    let send_to = |node: &Node| {
        let (mut left, answer) = (8, format!("-MOVED 5474 {}\r\n", node.address));
        move |_: &str| {
            left -= 1;
            if left >= 0 { Answer::Bytes(answer.clone()) } else { ok() }
        }
    };
    low.answers(send_to(&high));
    high.answers(send_to(&low));
    client.set_limits(10, LONG);
    let why = unavailable(client.set(LOW, "x"));
    assert_eq!((why.attempts, why.last.len()), (10, 8));
    let text = why.to_string();
    assert!(text.contains("in 10 attempts") && text.contains("; the last: "), "{text}");
    assert_eq!((low.seen().len(), high.seen().len()), (5, 5));

    low.answers(|_| error("TRYAGAIN later"));
    client.set_limits(u32::MAX, Duration::from_millis(300));
    let begun = Instant::now();
    let why = unavailable(client.set(LOW, "x"));
    assert!((1..10).contains(&why.attempts) && why.elapsed <= Duration::from_secs(5), "{why}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_pipeline_is_sent_to_all_nodes_before_replies_are_read() {
    let Two { low, high, mut client, .. } = Two::new();
    let ((low_came, at_low), (high_came, at_high)) = (channel(), channel());
    // Each node waits for the other one's request before it replies.
    low.answers(move |request| {
        low_came.send(()).unwrap();
        at_high.recv_timeout(LONG).unwrap();
        Answer::Bytes(format!("+{request}\r\n"))
    });
    high.answers(move |request| {
        high_came.send(()).unwrap();
        at_low.recv_timeout(LONG).unwrap();
        Answer::Bytes(format!("+{request}\r\n"))
    });
    let mut pipeline = client.pipeline();
    for number in 0..3 {
        let number = number.to_string();
        pipeline.command(&["APPEND", HIGH, &number]).command(&["APPEND", LOW, &number]);
    }
    let replies = pipeline.send().unwrap();
    let wanted: Vec<Reply> = (0..3)
        .flat_map(|number| {
            [HIGH, LOW].map(|key| Reply::Simple(format!("APPEND {key} {number}").into()))
        })
        .collect();
    assert_eq!(replies, wanted);
    assert_eq!(client.pipeline().send().unwrap(), []);
}

/// The replies of redirected commands stand where their commands do.
#[test]
fn redirected_commands_of_a_pipeline_are_answered_in_their_places() {
    let Two { low, high, mut client, .. } = Two::new();
    let moved = format!("-MOVED 5474 {}\r\n", high.address);
    low.answers(move |request| match request {
        request if request.contains(LOW) => Answer::Bytes(moved.clone()),
        request => Answer::Bytes(format!("+low {request}\r\n")),
    });
    high.answers(|request| match request {
        "INCR foo" => error("ERR value is not an integer or out of range"),
        request => Answer::Bytes(format!("+high {request}\r\n")),
    });
    let mut pipeline = client.pipeline();
    pipeline
        .command(&["GET", HIGH])
        .command(&["GET", LOW])
        .command(&["GET", "a}"])
        .command(&["INCR", HIGH])
        .command(&["STRLEN", LOW])
        .command(&["STRLEN", "a}"]);
    let replies: Vec<String> = pipeline.send().unwrap().into_iter().map(text).collect();
    let wanted = [
        "high GET foo",
        "high GET {user}1",
        "low GET a}",
        "ERR value is not an integer or out of range",
        "high STRLEN {user}1",
        "low STRLEN a}",
    ];
    assert_eq!(replies, wanted, "a reply is in the place of another one");
}

fn text(reply: Reply) -> String {
    match reply {
        Reply::Simple(text) | Reply::Error(text) => String::from_utf8(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A pipeline that is sent in several parts holds back commands of a slot whose earlier command was refused.
#[test]
fn a_pipeline_keeps_the_order_of_a_slot() {
    let Two { low, high, mut client, .. } = Two::new();
    let mut is_first = true;
    low.answers(
        move |_| if std::mem::take(&mut is_first) { error("TRYAGAIN later") } else { ok() },
    );
    // One part each.
    let values = ["1", "2", "3"].map(|number| number.repeat(40_000));
    let mut pipeline = client.pipeline();
    for value in &values {
        pipeline.command(&["SET", LOW, value]);
    }
    assert_eq!(pipeline.send().unwrap().len(), 3);
    let seen: Vec<String> = low.seen().iter().map(|request| request[12..13].to_owned()).collect();
    assert_eq!(seen, ["1", "1", "2", "3"], "the commands of a slot changed their order");

    // The others follow the first one at once, by the map.
    low.answers(redirect("MOVED", &high));
    let mut pipeline = client.pipeline();
    for value in &values {
        pipeline.command(&["SET", LOW, value]);
    }
    assert_eq!(pipeline.send().unwrap().len(), 3);
    assert_eq!((low.seen().len(), high.seen().len()), (1, 3), "a redirection was not remembered");
}

#[test]
fn a_pipeline_repeats_no_command_with_an_unknown_outcome() {
    let Two { low, high, mut client, .. } = Two::new();
    let mut count = 0;
    high.answers(move |_| {
        count += 1;
        if count == 2 { Answer::Close } else { ok() }
    });
    let long = "x".repeat(40_000);
    let mut pipeline = client.pipeline();
    pipeline
        .command(&["INCR", HIGH])
        .command(&["INCR", LOW])
        .command(&["INCR", HIGH])
        .command(&["SET", HIGH, &long])
        .command(&["SET", "{}", &long])
        .command(&["INCR", LOW]);
    let results = pipeline.send_each();
    assert!(matches!(results[..], [Ok(_), Ok(_), Err(_), Err(_), Ok(_), Ok(_)]), "{results:?}");
    assert!(matches!(results[2], Err(ClientError::Io(_))), "{results:?}");
    // Of the same slot, and certainly not executed.
    assert!(matches!(results[3], Err(ClientError::Unavailable(_))), "{results:?}");
    let seen: Vec<String> = high
        .seen()
        .into_iter()
        .map(|mut request| {
            request.truncate(8);
            request
        })
        .collect();
    assert_eq!(seen, ["INCR foo", "INCR foo", "SET {} x"]);
    assert_eq!(low.seen().iter().filter(|request| request.starts_with("INCR")).count(), 2);

    // The whole pipeline has one error.
    high.answers(|_| Answer::Close);
    let mut pipeline = client.pipeline();
    pipeline.command(&["GET", LOW]).command(&["GET", HIGH]);
    assert!(matches!(pipeline.send(), Err(ClientError::Io(_))));
}

#[test]
fn any_seed_is_enough() {
    let slots = Slots::default();
    let node = Node::start(&slots);
    *slots.lock().unwrap() = vec![(0, 16383, node.port())];
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut client = ClusterClient::connect(&[gone, node.address]).unwrap();
    client.set(LOW, "x").unwrap();
    let why = unavailable(ClusterClient::connect(&[gone, gone]));
    assert!(why.to_string().contains(&gone.to_string()), "{why}");
    let none: [&str; 0] = [];
    assert_eq!(unavailable(ClusterClient::connect(&none)).attempts, 0);
    for wrong in ["127.0.0.1", ":7001", "rose:0"] {
        assert!(matches!(ClusterClient::connect(&[wrong]), Err(ClientError::Io(_))), "{wrong}");
    }
    // Debug output has no password.
    let client = ClusterClient::connect_with_password(&[node.address], "thorn").unwrap();
    assert!(!format!("{client:?}").contains("thorn"));
}

/// A node that has just started may know no primary: another one, or the node itself, knows it later.
#[test]
fn a_cluster_may_have_no_primary_at_first() {
    let slots = Slots::default();
    let node = Node::start(&slots);
    let mut client = ClusterClient::connect(&[node.address]).unwrap();
    assert!(client.primaries().is_empty());
    let (told, port) = (Arc::clone(&slots), node.port());
    node.answers(move |_| {
        let mut told = told.lock().unwrap();
        if told.is_empty() {
            told.push((0, 16383, port));
            return error("CLUSTERDOWN The cluster is down");
        }
        ok()
    });
    client.set(LOW, "x").unwrap();
    assert_eq!(client.primaries(), [node.address.to_string()]);
}

#[cfg(feature = "tls")]
#[test]
fn nodes_are_reached_with_tls() {
    use hedgerow_db::client::{ClientOptions, ClientTls};
    use std::sync::atomic::Ordering;
    let (slots, certificates) = (Slots::default(), certificates::Certificates::new());
    let (low, high) = (Node::start(&slots), Node::start(&slots));
    let (low_front, high_front) =
        (certificates.in_front_of(low.address), certificates.in_front_of(high.address));
    let ports = (low_front.address.port(), high_front.address.port());
    *slots.lock().unwrap() = vec![(0, 8191, ports.0), (8192, 16383, ports.1)];
    let mut options = ClientOptions::default();
    options.tls = Some(ClientTls::new(&certificates.pem("ca.pem")).unwrap());
    let mut client = ClusterClient::connect_with(&[low_front.address], &options).unwrap();
    // Idle connections have received messages of TLS. They are not closed for that.
    for _ in 0..3 {
        client.set(LOW, "x").unwrap();
        client.set(HIGH, "x").unwrap();
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(low.seen()[1..], ["SET {user}1 x", "SET {user}1 x", "SET {user}1 x"]);
    assert_eq!(high.seen(), ["SET foo x", "SET foo x", "SET foo x"]);
    let opened = [&low_front, &high_front].map(|front| front.opened.load(Ordering::Relaxed));
    assert_eq!(opened, [1, 1]);
    let mut pipeline = client.pipeline();
    pipeline.command(&["SET", LOW, "y"]).command(&["SET", HIGH, "y"]);
    assert_eq!(pipeline.send().unwrap().len(), 2);
    // A connection that was closed is not used.
    high.answers(|_| Answer::Last("+OK\r\n".into()));
    client.set(HIGH, "x").unwrap();
    high_front.closed.recv_timeout(LONG).unwrap();
    high.answers(|_| ok());
    client.set(HIGH, "x").unwrap();
}
