//! Tests of a cluster's commands, on views that do not change by themselves. The texts are those of Redis Cluster 7.

mod groups;

use crate::command::test_client::TestClient;
use crate::config::EndpointType;
use crate::view::{
    KnownGroup, MemberRole, MemberView, NodeAddresses, NodeHealth, View, ViewReader, Views,
};
use hedgerow_db_engine::log::none::NoLog;
use hedgerow_db_engine::log::{Log, OpenError};
use hedgerow_db_engine::{Db, Options, Progress};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";
const THREE: &str = "3333333333333333333333333333333333333333";
const GROUP: &str = "0123456789012345678901234567890123456789";

fn member(id: &str, ip: &str, number: u16, health: NodeHealth) -> MemberView {
    let hostname = if number == 1 { "one.example".into() } else { String::new() };
    MemberView {
        id: id.into(),
        addresses: NodeAddresses {
            ip: ip.into(),
            hostname,
            port: 7000 + number,
            tls_port: if number == 2 { 0 } else { 7100 + number },
            peer_port: 17_000 + number,
        },
        health,
        offset: 40 + u64::from(number),
        lag: u64::from(number),
    }
}

/// A group of three: node 1 is the primary, node 2 follows, and node 3 has failed.
fn view(own: &str, role: MemberRole) -> View {
    View {
        own_id: own.into(),
        role,
        group: KnownGroup {
            number: 0,
            id: GROUP.into(),
            epoch: 7,
            primary: Some(ONE.into()),
            is_led: true,
            members: vec![
                member(ONE, "10.0.0.1", 1, NodeHealth::Online),
                member(TWO, "10.0.0.2", 2, NodeHealth::Online),
                member(THREE, "fd00::3", 3, NodeHealth::Failed),
            ],
        },
        ..View::default()
    }
}

/// The same view, with a change of the group.
fn with(mut view: View, change: impl FnOnce(&mut KnownGroup)) -> View {
    change(&mut view.group);
    view
}

/// The view of a follower whose group has no primary.
fn unled() -> View {
    with(view(TWO, MemberRole::Follower), |group| group.is_led = false)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// A client of a node with this view. Its data is fresh for an hour.
fn client_of(view: View, endpoint_type: EndpointType) -> (TestClient, Arc<Views>) {
    let views = Arc::new(Views::new(view, endpoint_type, Duration::from_secs(3600)));
    views.set_as_of(now(), 0);
    let mut client = TestClient::new();
    client.cluster = Some(ViewReader::new(&views));
    (client, views)
}

fn at_primary() -> TestClient {
    client_of(view(ONE, MemberRole::Primary), EndpointType::Ip).0
}

fn at_follower() -> (TestClient, Arc<Views>) {
    client_of(view(TWO, MemberRole::Follower), EndpointType::Ip)
}

/// Makes the client's thread take the newest view.
fn next_cycle(client: &mut TestClient) {
    client.cluster.as_mut().unwrap().refresh();
}

#[test]
fn the_primary_executes_commands_of_one_slot() {
    let mut client = at_primary();
    assert_eq!(client.command("set a 1"), "+OK");
    assert_eq!(client.command("mset {a}1 1 {a}2 2"), "+OK");
    assert_eq!(client.command("mget a {a}1 {a}2"), "*3 $1 1 $1 1 $1 2");
    let crossed = "-CROSSSLOT Keys in request don't hash to the same slot";
    for line in [
        "mget a b",
        "mset a 1 b 2",
        "msetex 2 a 1 b 2",
        "msetnx a 1 b 2",
        "del a b",
        "rename a b",
        "exists a b",
    ] {
        assert_eq!(client.command(line), crossed, "{line}");
    }
    for line in ["lcs a b", "sort a store b", "sort a limit 0 1 get # store b"] {
        assert_eq!(client.command(line), crossed, "{line}");
    }
    assert_eq!(client.command("lcs a {a}1 len"), ":1");
    assert_eq!(client.command("sort {a}3 store {a}2"), ":0");
    let denied = |option: &str| format!("-ERR {option} option of SORT denied in cluster mode.");
    assert_eq!(client.command("sort {a}3 by w_*"), denied("BY"));
    assert_eq!(client.command("sort {a}3 by w get #"), denied("GET"));
    assert_eq!(client.command("get b"), "$-1");
    // Values count for nothing.
    assert_eq!(client.command("mset {a}1 b {a}2 c"), "+OK");
    assert_eq!(client.command("dbsize"), ":3");
    assert_eq!(client.command("flushall"), "+OK");
    assert_eq!(client.command("readonly"), "+OK");
    assert_eq!(client.command("set a 1"), "+OK");
    assert_eq!(client.command("asking"), "+OK");
}

/// A client that does not look at the error for SELECT must not change the keys of database 0.
#[test]
fn commands_after_a_failed_select_are_not_executed() {
    let mut client = at_primary();
    assert_eq!(client.command("set a 1"), "+OK");
    assert_eq!(client.command("select 1"), "-ERR SELECT is not allowed in cluster mode");
    let missing = "-ERR not executed: the selected database does not exist; only SELECT 0 is valid";
    for line in ["set a 2", "get a", "flushall", "eval \"return 1\" 0"] {
        assert_eq!(client.command(line), missing, "{line}");
    }
    assert_eq!(client.command("ping"), "+PONG");
    assert_eq!(client.command("select 0"), "+OK");
    assert_eq!(client.command("get a"), "$1 1");
}

#[test]
fn a_transaction_has_one_slot() {
    let mut client = at_primary();
    let crossed = "-CROSSSLOT Keys in request don't hash to the same slot";
    let mut lines =
        |lines: &[&str]| -> Vec<String> { lines.iter().map(|line| client.command(line)).collect() };
    assert_eq!(
        lines(&["multi", "set {a}1 1", "ping", "incr {a}1", "object encoding {a}1", "exec"])[5],
        "*4 +OK +PONG :2 $3 int"
    );
    assert_eq!(lines(&["multi", "set a 1", "set b 1", "exec"])[2..], ["+QUEUED", crossed]);
    assert_eq!(lines(&["exec", "get a"]), ["-ERR EXEC without MULTI", "$-1"]);
    let aborted = "-EXECABORT Transaction discarded because of previous errors.";
    assert_eq!(lines(&["multi", "mset a 1 b 1", "exec"]), ["+OK", crossed, aborted]);
    assert_eq!(lines(&["watch {a}1 {a}2", "watch a b"]), ["+OK", crossed]);
    assert_eq!(lines(&["multi", "flushall", "get a", "exec"])[3], "*2 +OK $-1");
}

#[test]
fn a_follower_executes_transactions_of_reads() {
    let (mut client, _views) = at_follower();
    let moved = "-MOVED 15495 10.0.0.1:7001";
    let aborted = "-EXECABORT Transaction discarded because of previous errors.";
    let mut lines =
        |lines: &[&str]| -> Vec<String> { lines.iter().map(|line| client.command(line)).collect() };
    assert_eq!(lines(&["watch a", "multi", "get a", "exec"]), [moved, "+OK", moved, aborted]);
    assert_eq!(lines(&["readonly", "watch a"]), ["+OK"; 2]);
    assert_eq!(lines(&["multi", "get a", "ttl a", "exec"])[3], "*2 $-1 :-2");
    assert_eq!(lines(&["multi", "set a 1", "get a", "exec"]), ["+OK", moved, "+QUEUED", aborted]);
}

#[test]
fn a_follower_sends_clients_to_the_primary() {
    let (mut client, _views) = at_follower();
    let moved = "-MOVED 15495 10.0.0.1:7001";
    for line in ["get a", "set a 1", "mget a {a}", "incr a", "object encoding a", "memory usage a"]
    {
        assert_eq!(client.command(line), moved, "{line}");
    }
    assert_eq!(
        client.command("mget a b"),
        "-CROSSSLOT Keys in request don't hash to the same slot"
    );
    // Errors in the request come first, as in Redis.
    assert_eq!(client.command("get"), "-ERR wrong number of arguments for 'get' command");
    let read_only = "-READONLY You can't write against a read only replica.";
    assert_eq!(client.command("flushall"), read_only);
    assert_eq!(client.command("flushdb"), read_only);
    assert_eq!(client.command("dbsize"), ":0");
    assert_eq!(client.command("scan 0"), "*2 $1 0 *0");
    assert_eq!(client.command("ping"), "+PONG");
    let pipeline = client.send(b"get a\r\nping\r\nset b 1\r\n");
    let wanted = "-MOVED 15495 10.0.0.1:7001\r\n+PONG\r\n-MOVED 3300 10.0.0.1:7001\r\n";
    assert_eq!(String::from_utf8(pipeline).unwrap(), wanted);
    for line in ["wait 1 100", "wait x 0"] {
        let reply = client.command(line);
        assert!(reply.starts_with("-ERR WAIT cannot be used with replica"), "{line}: {reply}");
    }
    let reply = client.command("waitaof 1 0 0");
    assert!(reply.starts_with("-ERR WAITAOF cannot be used with replica"), "{reply}");
}

#[test]
fn a_message_goes_to_the_other_nodes() {
    let (mut client, views) = client_of(view(TWO, MemberRole::Follower), EndpointType::Ip);
    let sent = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&sent);
    views.broadcast().on_published(Arc::new(move |channel, message| {
        into.lock().unwrap().push([channel, message].map(<[u8]>::to_vec));
    }));
    assert_eq!(client.command("publish news one"), ":0");
    assert_eq!(client.command("multi"), "+OK");
    assert_eq!(client.command("publish news two"), "+QUEUED");
    assert_eq!(client.command("exec"), "*1 :0");
    let wanted = ["one", "two"].map(|message| [b"news".to_vec(), message.into()]);
    assert_eq!(*sent.lock().unwrap(), wanted, "PUBLISH stays on its node");
}

#[test]
fn a_follower_serves_reads_that_may_be_stale_while_it_is_fresh() {
    let (mut client, views) = at_follower();
    let moved = "-MOVED 15495 10.0.0.1:7001";
    assert_eq!(client.command("readonly"), "+OK");
    assert_eq!(client.command("get a"), "$-1");
    assert_eq!(client.command("set a 1"), moved);
    assert_eq!(
        client.command("mget a b"),
        "-CROSSSLOT Keys in request don't hash to the same slot"
    );
    // Also without a primary.
    views.publish(unled());
    next_cycle(&mut client);
    assert_eq!(client.command("get a"), "$-1");
    assert_eq!(client.command("set a 1"), "-CLUSTERDOWN The cluster is down");
    views.set_as_of(now() - 3_700_000, 0);
    let stale = "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    for line in ["get a", "ttl a", "dbsize", "keys *", "object encoding a"] {
        assert_eq!(client.command(line), stale, "{line}");
    }
    assert_eq!(client.command("ping"), "+PONG");
    views.set_as_of(now(), 0);
    views.publish(view(TWO, MemberRole::Follower));
    next_cycle(&mut client);
    assert_eq!(client.command("get a"), "$-1");
    assert_eq!(client.command("readwrite"), "+OK");
    assert_eq!(client.command("get a"), moved);
    assert_eq!(client.command("readonly"), "+OK");
    assert_eq!(client.command("reset"), "+RESET");
    assert_eq!(client.command("get a"), moved);
}

#[test]
fn clients_without_a_primary_are_told_so() {
    let down = "-CLUSTERDOWN The cluster is down";
    let led = view(TWO, MemberRole::Follower);
    let mut unknown = led.clone();
    unknown.group.members[0].addresses = NodeAddresses::default();
    for view in [
        unled(),
        with(led.clone(), |group| group.primary = None),
        with(led, |group| group.primary = Some(GROUP.into())),
        unknown,
    ] {
        let (mut client, _views) = client_of(view, EndpointType::Ip);
        assert_eq!(client.command("get a"), down);
        assert_eq!(client.command("set a 1"), down);
    }
}

/// A database that refuses changes, as one whose node is not the primary.
fn deposed() -> Db {
    let mut options = Options::in_memory();
    options.shards = 4;
    let open = Db::open_clustered(options, None, &Progress::default(), |_| {
        Ok::<Arc<dyn Log>, OpenError>(Arc::new(NoLog::new()))
    });
    open.unwrap()
}

/// A primary, which counts the keys of its slots.
fn serving() -> Db {
    let db = deposed();
    db.become_primary(1);
    db
}

#[test]
#[cfg_attr(hedgerow_malloc, ignore = "records are of other sizes in blocks of malloc's")]
fn slot_stats_are_those_of_valkey() {
    let mut client = at_primary().with(serving());
    for key in ["foo", "{foo}1", "{foo}2", "bar", "{bar}1", "{b}1"] {
        client.command(&format!("set {key} {key}"));
    }
    let stat = |slot: u16, keys: usize, bytes: usize| {
        format!("*2 :{slot} *4 $9 key-count :{keys} $12 memory-bytes :{bytes}")
    };
    // Shares of slabs: records of up to 16 bytes take 17, and of up to 24 bytes 25.
    let (b, bar, foo) = (stat(3300, 1, 17), stat(5061, 2, 42), stat(12182, 3, 67));
    let mut stats = |line: &str| client.command(&format!("cluster slot-stats {line}"));
    assert_eq!(stats("slotsrange 5061 5062"), format!("*2 {bar} {}", stat(5062, 0, 0)));
    assert_eq!(stats("orderby key-count limit 3"), format!("*3 {foo} {bar} {b}"));
    assert_eq!(stats("ORDERBY memory-bytes DESC LIMIT 1"), format!("*1 {foo}"));
    let least = format!("*2 {} {}", stat(0, 0, 0), stat(1, 0, 0));
    assert_eq!(stats("orderby key-count asc limit 2"), least);
    assert!(stats("orderby key-count").starts_with("*16384 "));
    let limit = &format!("-{}", crate::command::cluster::slot_stats::LIMIT);
    for (line, error) in [
        ("slotsrange 2 1", "-ERR Start slot number 2 is greater than end slot number 1"),
        ("slotsrange 0 16384", "-ERR Invalid or out of range slot"),
        ("slotsrange -1 0", "-ERR Invalid or out of range slot"),
        ("slotsrange x 0", "-ERR Invalid or out of range slot"),
        ("slotsrange 1 2 3", "-ERR syntax error"),
        ("slotsrange 1", "-ERR syntax error"),
        ("orderby cpu-usec", "-ERR Unrecognized sort metric for ORDERBY."),
        ("orderby key-count limit 0", limit),
        ("orderby key-count limit 16385", limit),
        ("orderby key-count limit", "-ERR syntax error"),
        ("orderby key-count asc desc", "-ERR syntax error"),
        ("orderby key-count limit 1 limit 1", "-ERR syntax error"),
        ("by key-count", "-ERR syntax error"),
    ] {
        assert_eq!(stats(line), error, "{line}");
    }
}

#[test]
fn changes_that_come_too_late_are_sent_to_the_next_primary() {
    let (client, views) = client_of(view(TWO, MemberRole::Primary), EndpointType::Ip);
    let mut client = client.with(deposed());
    // This node does not know the next primary yet.
    assert_eq!(client.command("set a 1"), "-CLUSTERDOWN The cluster is down");
    // The thread goes on with the old view for one more cycle.
    views.publish(view(TWO, MemberRole::Follower));
    let moved = "-MOVED 15495 10.0.0.1:7001";
    for line in ["set a 1", "getdel a", "mset a 1 {a} 2", "msetnx a 1", "del a {a}", "rename a {a}"]
    {
        assert_eq!(client.command(line), moved, "{line}");
    }
    assert_eq!(
        client.command("flushall"),
        "-READONLY You can't write against a read only replica."
    );
    let replies = client.send(b"set a 1\r\nping\r\nincr b\r\nget a\r\nset a 2\r\n");
    let wanted = format!("{moved}\r\n+PONG\r\n-MOVED 3300 10.0.0.1:7001\r\n$-1\r\n{moved}\r\n");
    assert_eq!(String::from_utf8(replies).unwrap(), wanted);
    // Clients of TLS get its port.
    client.use_tls();
    assert_eq!(client.command("set a 1"), "-MOVED 15495 10.0.0.1:7101");
}

#[test]
fn a_loading_node_answers_what_needs_no_data() {
    let (mut client, _views) = client_of(view(THREE, MemberRole::Loading), EndpointType::Ip);
    let loading = "-LOADING hedgerow-db is loading the dataset in memory";
    for line in ["get a", "set a 1", "dbsize", "ping", "flushall", "readonly x", "wait 0 0"] {
        let wanted = if line == "readonly x" {
            "-ERR wrong number of arguments for 'readonly' command"
        } else {
            loading
        };
        assert_eq!(client.command(line), wanted, "{line}");
    }
    assert_eq!(client.command("readonly"), "+OK");
    assert_eq!(client.command("get a"), loading);
    assert_eq!(client.command("cluster myid"), format!("$40 {THREE}"));
    assert!(client.command("info replication").contains("master_sync_in_progress:1"));
    assert_eq!(client.command("role"), "*5 $5 slave $8 10.0.0.1 :7001 $4 sync :0");
    assert!(client.command("client id").starts_with(':'));
}

#[test]
fn addresses_are_those_that_the_client_can_use() {
    let moved = |endpoint_type, tls, change: &dyn Fn(&mut NodeAddresses)| {
        let mut view = view(TWO, MemberRole::Follower);
        change(&mut view.group.members[0].addresses);
        let (mut client, _views) = client_of(view, endpoint_type);
        if tls {
            client.use_tls();
        }
        client.command("get a")
    };
    let as_they_are = &|_: &mut NodeAddresses| {};
    let found = [
        moved(EndpointType::Ip, false, as_they_are),
        moved(EndpointType::Ip, true, as_they_are),
        moved(EndpointType::Hostname, false, as_they_are),
        moved(EndpointType::Unknown, false, as_they_are),
        moved(EndpointType::Hostname, false, &|addresses| addresses.hostname.clear()),
        moved(EndpointType::Ip, false, &|addresses| addresses.ip = "fd00::1".into()),
        moved(EndpointType::Ip, false, &|addresses| addresses.ip.clear()),
        // A client without TLS reached this node, so it may know more than the view.
        moved(EndpointType::Ip, false, &|addresses| addresses.port = 0),
        moved(EndpointType::Ip, true, &|addresses| addresses.tls_port = 0),
    ];
    let wanted = [
        "10.0.0.1:7001",
        "10.0.0.1:7101",
        "one.example:7001",
        ":7001",
        "?:7001",
        "fd00::1:7001",
        ":7001",
        "10.0.0.1:7101",
        "10.0.0.1:7001",
    ];
    assert_eq!(found, wanted.map(|wanted| format!("-MOVED 15495 {wanted}")));
}

#[test]
fn cluster_slots_has_the_format_of_redis() {
    let slots = |endpoint_type| {
        client_of(view(ONE, MemberRole::Primary), endpoint_type).0.command("cluster slots")
    };
    let nodes = |one: &str, other_one: &str, two: &str, other_two: &str| {
        format!(
            "*1 *4 :0 :16383 *4 {one} :7001 $40 {ONE} {other_one} *4 {two} :7002 $40 {TWO} {other_two}"
        )
    };
    let hostname = "*2 $8 hostname $11 one.example";
    assert_eq!(slots(EndpointType::Ip), nodes("$8 10.0.0.1", hostname, "$8 10.0.0.2", "*0"));
    assert_eq!(
        slots(EndpointType::Hostname),
        nodes("$11 one.example", "*2 $2 ip $8 10.0.0.1", "$1 ?", "*2 $2 ip $8 10.0.0.2")
    );
    assert_eq!(
        slots(EndpointType::Unknown),
        nodes(
            "$-1",
            "*4 $2 ip $8 10.0.0.1 $8 hostname $11 one.example",
            "$-1",
            "*2 $2 ip $8 10.0.0.2"
        )
    );
    // The last primary is shown until there is another one.
    let (mut client, views) = client_of(unled(), EndpointType::Ip);
    assert!(client.command("cluster slots").contains(ONE));
    views.publish(with(view(TWO, MemberRole::Follower), |group| group.primary = None));
    next_cycle(&mut client);
    assert_eq!(client.command("cluster slots"), "-CLUSTERDOWN The cluster is down");
}

#[test]
fn a_primary_without_a_known_address_is_shown_to_no_client() {
    let mut unknown = view(TWO, MemberRole::Follower);
    unknown.group.members[0].addresses = NodeAddresses::default();
    let (mut client, _views) = client_of(unknown, EndpointType::Ip);
    assert_eq!(client.command("cluster slots"), "-CLUSTERDOWN The cluster is down");
    let nodes = client.command("cluster nodes");
    assert!(nodes.contains(&format!("{ONE} :0@0 master,noaddr - ")), "{nodes}");
    assert_eq!(nodes.matches("noaddr").count(), 1, "{nodes}");
}

#[test]
fn a_node_that_knows_no_other_yet_shows_no_slots() {
    let alone = View { is_new: true, ..view(ONE, MemberRole::Primary) };
    let (mut client, views) = client_of(alone, EndpointType::Ip);
    assert_eq!(client.command("cluster slots"), "-CLUSTERDOWN The cluster is down");
    assert_eq!(client.command("set a 1"), "+OK");
    views.publish(view(ONE, MemberRole::Primary));
    next_cycle(&mut client);
    assert!(client.command("cluster slots").contains(TWO));
}

#[test]
fn only_database_0_can_be_selected() {
    let mut client = at_primary();
    assert_eq!(client.command("select 0"), "+OK");
    assert_eq!(client.command("select 1"), "-ERR SELECT is not allowed in cluster mode");
    // The next command was meant for the other database.
    assert!(client.command("set a 1").starts_with("-ERR not executed: "));
    assert_eq!(client.command("select 0"), "+OK");
    assert_eq!(client.command("set a 1"), "+OK");
    assert_eq!(client.command("select x"), "-ERR value is not an integer or out of range");
}

#[test]
fn cluster_nodes_has_the_format_of_redis() {
    let (mut client, _views) = at_follower();
    let text = client.command("cluster nodes");
    let (length, text) = text.split_once(' ').unwrap();
    assert!(length.starts_with('$'));
    let lines: Vec<&str> = text.trim_end_matches('\n').split('\n').collect();
    let [one, two, three] = lines[..] else { panic!("{text}") };
    let fields = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let heard = |line: &str| fields(line)[5].parse::<u64>().unwrap();
    assert!(now().abs_diff(heard(one)) < 1_000_000, "{one}");
    let known = |line: &str| line.replace(&heard(line).to_string(), "T");
    assert_eq!(
        known(one),
        format!("{ONE} 10.0.0.1:7001@17001,one.example master - 0 T 7 connected 0-16383")
    );
    assert_eq!(
        fields(two)[..],
        [TWO, "10.0.0.2:7002@17002", "myself,slave", ONE, "0", "0", "7", "connected"]
    );
    assert_eq!(
        known(three),
        format!("{THREE} fd00::3:7003@17003 slave,fail {ONE} 0 T 7 disconnected")
    );
    let replicas = client.command(&format!("cluster replicas {ONE}"));
    assert!(replicas.starts_with(&format!("*2 ${} {two} $", two.len())), "{replicas}");
    // A millisecond may have passed meanwhile.
    let is_time = |word: &str| word.len() == 13 && word.bytes().all(|byte| byte.is_ascii_digit());
    let words = |text: &str| {
        let words = text.split(' ').filter(|word| !is_time(word));
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let slaves = client.command(&format!("cluster slaves {ONE}"));
    assert_eq!(words(&replicas), words(&slaves));
    assert_eq!(
        client.command(&format!("cluster replicas {TWO}")),
        "-ERR The specified node is not a master"
    );
    assert_eq!(client.command("cluster replicas x"), "-ERR Unknown node x");
    // In RESP3, these texts are verbatim strings.
    client.command("hello 3");
    assert!(client.send(b"cluster nodes\r\n").starts_with(b"="));
    assert!(client.send(b"cluster info\r\n").starts_with(b"="));
}

#[test]
fn cluster_shards_has_the_format_of_redis() {
    let mut client = at_primary();
    let one = format!(
        "*18 $2 id $40 {ONE} $4 port :7001 $8 tls-port :7101 $2 ip $8 10.0.0.1 $8 endpoint $8 10.0.0.1 \
         $8 hostname $11 one.example $4 role $6 master $18 replication-offset :0 $6 health $6 online"
    );
    let two = format!(
        "*14 $2 id $40 {TWO} $4 port :7002 $2 ip $8 10.0.0.2 $8 endpoint $8 10.0.0.2 $4 role $7 replica \
         $18 replication-offset :42 $6 health $6 online"
    );
    let three = format!(
        "*16 $2 id $40 {THREE} $4 port :7003 $8 tls-port :7103 $2 ip $7 fd00::3 $8 endpoint $7 fd00::3 \
         $4 role $7 replica $18 replication-offset :43 $6 health $4 fail"
    );
    assert_eq!(
        client.command("cluster shards"),
        format!("*1 *4 $5 slots *2 :0 :16383 $5 nodes *3 {one} {two} {three}")
    );
    client.command("hello 3");
    assert!(
        client.command("cluster shards").starts_with("*1 %2 $5 slots *2 :0 :16383 $5 nodes *3 %9")
    );
}

#[test]
fn cluster_info_says_whether_there_is_a_primary() {
    let mut client = at_primary();
    let text = client.command("cluster info");
    let wanted = "cluster_state:ok cluster_slots_assigned:16384 cluster_slots_ok:16384 cluster_slots_pfail:0 \
        cluster_slots_fail:0 cluster_known_nodes:3 cluster_size:1 cluster_current_epoch:7 cluster_my_epoch:7 \
        cluster_stats_messages_sent:0 cluster_stats_messages_received:0 \
        total_cluster_links_buffer_limit_exceeded:0";
    assert_eq!(text.split_once(' ').unwrap().1, wanted);
    let (mut client, _views) = client_of(unled(), EndpointType::Ip);
    let text = client.command("cluster info");
    assert!(
        text.contains("cluster_state:fail") && text.contains("cluster_slots_fail:16384"),
        "{text}"
    );
}

#[test]
fn the_other_subcommands_answer() {
    let mut client = at_primary().with(serving());
    assert_eq!(client.command("cluster myid"), format!("$40 {ONE}"));
    assert_eq!(client.command("cluster myshardid"), format!("$40 {GROUP}"));
    assert_eq!(client.command("cluster keyslot foo"), ":12182");
    assert_eq!(client.command("cluster keyslot a{foo}b"), ":12182");
    assert_eq!(client.command("cluster links"), "*0");
    assert_eq!(client.command(&format!("cluster count-failure-reports {TWO}")), ":0");
    assert_eq!(client.command("cluster count-failure-reports x"), "-ERR Unknown node x");
    assert!(client.command("cluster help").starts_with("*36 +CLUSTER <subcommand>"));
    for key in ["foo", "{foo}1", "{foo}2", "bar"] {
        client.command(&format!("set {key} 1"));
    }
    assert_eq!(client.command("cluster countkeysinslot 12182"), ":3");
    assert_eq!(client.command("cluster countkeysinslot 0"), ":0");
    assert_eq!(client.command("cluster countkeysinslot 16384"), "-ERR Invalid slot");
    assert_eq!(client.command("cluster countkeysinslot -1"), "-ERR Invalid slot");
    assert!(
        client.command("cluster countkeysinslot x").starts_with("-ERR value is not an integer")
    );
    assert!(client.command("cluster getkeysinslot 12182 2").starts_with("*2 $"));
    assert!(client.command("cluster getkeysinslot 12182 9").starts_with("*3 $"));
    assert_eq!(client.command("cluster getkeysinslot 12182 0"), "*0");
    let invalid = "-ERR Invalid slot or number of keys";
    assert_eq!(client.command("cluster getkeysinslot 16384 1"), invalid);
    assert_eq!(client.command("cluster getkeysinslot 1 -1"), invalid);
    for line in
        ["addslots 1", "meet 10.0.0.1 1", "forget x", "reset", "setslot 1 stable", "bumpepoch"]
    {
        let name = line.split(' ').next().unwrap().to_uppercase();
        let reply = client.command(&format!("cluster {line}"));
        assert!(reply.starts_with(&format!("-ERR CLUSTER {name} is not supported: ")), "{reply}");
    }
    assert_eq!(
        client.command("cluster nonsense"),
        "-ERR unknown subcommand 'nonsense'. Try CLUSTER HELP."
    );
}

#[test]
fn failover_asks_for_a_hand_over() {
    let (mut client, views) = at_follower();
    assert!(client.command("cluster failover").starts_with("-ERR "));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    views.on_hand_over(Box::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }));
    assert_eq!(client.command("cluster failover"), "+OK");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    for line in ["cluster failover force", "cluster failover takeover", "cluster failover now"] {
        assert!(client.command(line).starts_with("-ERR "), "{line}");
    }
    let mut client = at_primary();
    assert_eq!(
        client.command("cluster failover"),
        "-ERR You should send CLUSTER FAILOVER to a replica"
    );
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn roles_and_waits_count_live_followers() {
    let mut client = at_primary();
    assert_eq!(client.command("role"), "*3 $6 master :0 *1 *3 $8 10.0.0.2 $4 7002 $2 42");
    assert_eq!(client.command("wait 1 100"), ":1");
    assert_eq!(client.command("wait 5 100"), ":1");
    // Also for changes whose replies the client did not want.
    client.send(b"client reply off\r\nset a 1\r\nclient reply on\r\n");
    let waiting = client.process(b"wait 1 0\r\n", &mut Vec::new());
    assert_eq!(waiting.lsn, 1, "the reply to WAIT leaves before the changes are committed");
    let mut out = Vec::new();
    let waiting = client.process(b"waitaof 1 1 0\r\n", &mut out);
    assert_eq!(out, b"*2\r\n:1\r\n:1\r\n");
    assert_eq!(waiting.lsn, 1, "the reply to WAITAOF leaves before the changes are committed");
    assert_eq!(client.command("wait x 100"), "-ERR value is not an integer or out of range");
    assert_eq!(client.command("wait 1 -1"), "-ERR timeout is negative");
    let hello = client.command("hello");
    assert!(hello.contains("$4 mode $7 cluster $4 role $6 master"), "{hello}");
    let (mut client, views) = at_follower();
    assert_eq!(client.command("role"), "*5 $5 slave $8 10.0.0.1 :7001 $9 connected :0");
    let hello = client.command("hello");
    assert!(hello.contains("$4 mode $7 cluster $4 role $7 replica"), "{hello}");
    views.publish(unled());
    next_cycle(&mut client);
    assert_eq!(client.command("role"), "*5 $5 slave $8 10.0.0.1 :7001 $7 connect :0");
}

#[test]
fn info_has_what_dashboards_read_of_a_cluster() {
    let mut client = at_primary();
    let text = client.command("info replication");
    let wanted = format!(
        "# Replication role:master connected_slaves:1 slave0:ip=10.0.0.2,port=7002,state=online,offset=42,lag=2 \
         master_failover_state:no-failover master_replid:{GROUP} master_repl_offset:0 repl_backlog_active:0"
    );
    assert_eq!(text.split_once(' ').unwrap().1, wanted);
    let text = client.command("info server");
    assert!(text.contains(" redis_mode:cluster "), "{text}");
    let text = client.command("info cluster");
    assert!(text.contains("cluster_enabled:1 cluster_state:ok"), "{text}");
    let (mut client, views) = at_follower();
    let text = client.command("info replication");
    for line in [
        "role:slave",
        "master_host:10.0.0.1",
        "master_port:7001",
        "master_link_status:up",
        "master_last_io_seconds_ago:",
        "master_sync_in_progress:0",
        "slave_repl_offset:0",
        "slave_read_only:1",
        "connected_slaves:0",
        "master_repl_offset:0",
    ] {
        assert!(text.contains(&format!(" {line}")), "{line} in {text}");
    }
    views.set_as_of(now() - 3_700_000, 0);
    let text = client.command("info replication");
    assert!(text.contains("master_link_status:down"), "{text}");
    assert!(text.contains("master_link_down_since_seconds:3700"), "{text}");
}
