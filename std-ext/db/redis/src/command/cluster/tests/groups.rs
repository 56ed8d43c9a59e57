//! A node of a cluster of two groups. The keys `b` and `bar` are of group 0, `a` and `foo` of group 1.

use super::*;
use crate::view::SlotOwners;
use hedgerow_db_formats::slot_set::SlotSet;

const FOUR: &str = "4444444444444444444444444444444444444444";
const FIVE: &str = "5555555555555555555555555555555555555555";
const OTHER: &str = "9999999999999999999999999999999999999999";
const NOT_SERVED: &str = "-CLUSTERDOWN Hash slot not served";

/// The other group: node 4 is the primary, and node 5 follows.
fn other() -> KnownGroup {
    KnownGroup {
        number: 1,
        id: OTHER.into(),
        epoch: 9,
        primary: Some(FOUR.into()),
        is_led: true,
        members: vec![
            member(FOUR, "10.0.0.4", 4, NodeHealth::Online),
            member(FIVE, "10.0.0.5", 5, NodeHealth::Online),
        ],
    }
}

fn two_groups(own: &str, role: MemberRole) -> View {
    View { others: vec![other()], owners: SlotOwners::divided(2), ..view(own, role) }
}

fn client(view: View) -> TestClient {
    client_of(view, EndpointType::Ip).0
}

#[test]
fn commands_go_to_the_group_that_has_the_slot() {
    let mut at = client(two_groups(ONE, MemberRole::Primary));
    assert_eq!(at.command("set b 1"), "+OK");
    assert_eq!(at.command("get bar"), "$-1");
    assert_eq!(at.command("mset {b}1 1 {b}2 2"), "+OK");
    let moved = "-MOVED 15495 10.0.0.4:7004";
    for line in [
        "get a",
        "set a 1",
        "mget a {a}1",
        "del a {a}1",
        "msetnx a 1 {a}1 2",
        "incr a",
        "expire a 1",
        "rename a {a}1",
        "object encoding a",
        "memory usage a",
        "exists a",
    ] {
        assert_eq!(at.command(line), moved, "{line}");
    }
    assert_eq!(at.command("mget a b"), "-CROSSSLOT Keys in request don't hash to the same slot");
    let replies = at.send(b"set a 1\r\nset b 3\r\nget a\r\nget b\r\n");
    let wanted = format!("{moved}\r\n+OK\r\n{moved}\r\n$1\r\n3\r\n");
    assert_eq!(String::from_utf8(replies).unwrap(), wanted);
    assert_eq!(at.command("dbsize"), ":3");
    assert_eq!(at.command("cluster countkeysinslot 15495"), ":0");
    assert_eq!(at.command("cluster keyslot a"), ":15495");
    assert_eq!(at.command("flushall"), "+OK");
    at.use_tls();
    assert_eq!(at.command("get a"), "-MOVED 15495 10.0.0.4:7104");
}

/// As nodes of Redis Cluster treat keys that a script has not declared.
#[cfg(feature = "scripts")]
#[test]
fn scripts_access_slots_of_their_group_only() {
    const NOT_LOCAL: &str = "-ERR Script attempted to access a non local key in a cluster node";
    const CROSS_SLOT: &str =
        "-ERR Script attempted to access keys that do not hash to the same slot";
    let mut at = client(two_groups(ONE, MemberRole::Primary));
    let both = "redis.call('set', 'b', 1) return redis.call('set', 'bar', 1)";
    for (call, wanted) in [
        ("eval \"return redis.call('set', 'b', 1)\" 0", "+OK"),
        ("eval \"return redis.call('get', 'a')\" 0", NOT_LOCAL),
        ("eval \"return redis.call('get', 'a')\" 1 b", NOT_LOCAL),
        ("eval \"return redis.call('spublish', 'a', 'x')\" 0", NOT_LOCAL),
        ("eval \"return redis.call('spublish', 'b', 'x')\" 0", ":0"),
        ("eval \"return redis.call('publish', 'a', 'x')\" 0", ":0"),
        (&format!("eval \"{both}\" 0"), "+OK"),
        (&format!("eval \"#!lua\\n{both}\" 0"), CROSS_SLOT),
        ("eval \"#!lua\\nreturn redis.call('get', 'b')\" 1 bar", CROSS_SLOT),
        ("eval \"#!lua\\nreturn redis.call('spublish', 'b', 'x')\" 1 bar", CROSS_SLOT),
        (&format!("eval \"#!lua flags=allow-cross-slot-keys\\n{both}\" 0"), "+OK"),
        ("eval \"return redis.call('dbsize')\" 0", ":2"),
    ] {
        let reply = at.command(call);
        assert!(reply.starts_with(wanted), "{call}: {reply}");
    }
    let mut at = client(two_groups(TWO, MemberRole::Follower));
    let read = "eval_ro \"return redis.call('get', 'b')\" 0";
    assert!(at.command(read).starts_with(NOT_LOCAL), "a follower reads what may be stale");
    assert_eq!(at.command("readonly"), "+OK");
    assert_eq!(at.command(read), "$-1");
    let write = "eval \"return redis.call('set', 'b', 1)\" 0";
    assert!(at.command(write).starts_with(NOT_LOCAL), "a follower writes");
}

#[test]
fn a_follower_reads_slots_of_its_own_group_only() {
    let mut at = client(two_groups(TWO, MemberRole::Follower));
    let (own, other) = ("-MOVED 3300 10.0.0.1:7001", "-MOVED 15495 10.0.0.4:7004");
    assert_eq!((at.command("get b"), at.command("get a")), (own.into(), other.into()));
    assert_eq!(at.command("readonly"), "+OK");
    assert_eq!(at.command("get b"), "$-1");
    for line in ["get a", "mget a {a}1", "set a 1"] {
        assert_eq!(at.command(line), other, "{line}");
    }
    assert_eq!(at.command("set b 1"), own);
    let mut at = client(two_groups(THREE, MemberRole::Loading));
    assert!(at.command("get a").starts_with("-LOADING"));
}

#[test]
fn a_group_without_a_primary_is_reached_by_its_followers() {
    let at = |change: &dyn Fn(&mut KnownGroup)| {
        let mut view = two_groups(ONE, MemberRole::Primary);
        change(&mut view.others[0]);
        client(view).command("get a")
    };
    let (primary, follower) = ("-MOVED 15495 10.0.0.4:7004", "-MOVED 15495 10.0.0.5:7005");
    assert_eq!(at(&|_| {}), primary);
    assert_eq!(at(&|group| group.members[0].health = NodeHealth::Failed), follower);
    assert_eq!(at(&|group| group.members[0].addresses = NodeAddresses::default()), follower);
    assert_eq!(at(&|group| group.primary = None), primary, "any of its nodes knows more");
    let failed = |group: &mut KnownGroup| {
        group.is_led = false;
        group.members.iter_mut().for_each(|member| member.health = NodeHealth::Failed);
    };
    assert_eq!(at(&failed), NOT_SERVED);
    let mut alone = two_groups(ONE, MemberRole::Primary);
    alone.others.clear();
    let mut alone = client(alone);
    assert_eq!(
        (alone.command("get a"), alone.command("set b 1")),
        (NOT_SERVED.into(), "+OK".into())
    );
    assert!(alone.command("cluster slots").starts_with("*1 *4 :0 :8191 "));
    assert!(
        alone.command("cluster info").contains("cluster_state:fail cluster_slots_assigned:8192 ")
    );
}

#[test]
fn a_slot_that_leaves_is_still_listed() {
    let mut leaving = two_groups(ONE, MemberRole::Primary);
    let map: Vec<u16> = (0..16_384).map(|slot| slot / 8192).collect();
    leaving.owners = SlotOwners::of(&map, 0, &SlotSet::of_range(0..3300));
    let mut at = client(leaving);
    // The slot of `b` is 3300.
    assert_eq!(at.command("set b 1"), "-TRYAGAIN The slot is being moved to another group");
    assert_eq!(at.command("set a 1"), "-MOVED 15495 10.0.0.4:7004");
    let slots = at.command("cluster slots");
    assert!(slots.starts_with("*2 *4 :0 :8191 "), "a client misses slots: {slots}");
    assert!(at.command("cluster nodes").contains(" 0-8191"), "a client misses slots");
    assert!(at.command("cluster info").contains("cluster_state:ok"));
}

/// A request that dispatch has let through by an old view.
#[test]
fn a_request_that_the_session_refuses_is_sent_to_the_other_group() {
    let (client, views) = client_of(view(ONE, MemberRole::Primary), EndpointType::Ip);
    let mut at = client.with(half());
    assert_eq!(at.command("set b 1"), "+OK");
    // The view says that the slot is here: the group has just lost it.
    let moving = "-TRYAGAIN The slot is being moved to another group";
    assert_eq!(at.command("set a 1"), moving);
    assert_eq!(at.command("get a"), moving);
    views.publish(two_groups(ONE, MemberRole::Primary));
    let moved = "-MOVED 15495 10.0.0.4:7004";
    for line in [
        "set a 1",
        "get a",
        "mget a {a}1",
        "mget a",
        "exists a {a}1",
        "exists a",
        "ttl a",
        "del a {a}1",
    ] {
        assert_eq!(at.command(line), moved, "{line}");
    }
    let replies = at.send(b"mget a {a}1\r\nset b 2\r\nexists a {a}1\r\nmget b {b}1\r\n");
    let wanted = format!("{moved}\r\n+OK\r\n{moved}\r\n*2\r\n$1\r\n2\r\n$-1\r\n");
    assert_eq!(String::from_utf8(replies).unwrap(), wanted);
}

/// A database of group 0, which is its primary.
fn half() -> Db {
    let mut options = Options::in_memory();
    options.shards = 4;
    let open = Db::open_clustered(options, None, &Progress::default(), |_| {
        Ok::<Arc<dyn Log>, OpenError>(Arc::new(NoLog::of(0..8192)))
    });
    let db = open.unwrap();
    db.become_primary(1);
    db
}

#[test]
fn all_groups_are_shown_as_redis_shows_them() {
    let mut at = client(two_groups(TWO, MemberRole::Follower));
    let text = at.command("cluster slots");
    let end = format!(
        "*4 :8192 :16383 *4 $8 10.0.0.4 :7004 $40 {FOUR} *0 *4 $8 10.0.0.5 :7005 $40 {FIVE} *0"
    );
    assert!(
        text.starts_with("*2 *4 :0 :8191 *4 $8 10.0.0.1 :7001") && text.ends_with(&end),
        "{text}"
    );
    let text = at.command("cluster shards");
    assert!(text.starts_with("*2 *4 $5 slots *2 :0 :8191 $5 nodes *3 "), "{text}");
    assert!(text.contains(" *4 $5 slots *2 :8192 :16383 $5 nodes *2 *16 $2 id $40 4444"), "{text}");
    let text = at.command("cluster nodes");
    let line = |id: &str| {
        let mut lines = text.split('\n').map(|line| line.trim_start_matches("$0 "));
        let line = lines.find(|line| line.contains(&format!("{id} 10."))).unwrap_or_default();
        line[line.find(id).unwrap_or(0)..].split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    let [one, four, five] = [ONE, FOUR, FIVE].map(line);
    assert_eq!(
        (&one[2][..], &one[6..]),
        ("master", &["7", "connected", "0-8191"].map(String::from)[..])
    );
    assert_eq!(
        (&four[2][..], &four[6..]),
        ("master", &["9", "connected", "8192-16383"].map(String::from)[..])
    );
    assert_eq!((&five[2][..], &five[3][..], five.len()), ("slave", FOUR, 8));
    assert!(at.command(&format!("cluster replicas {FOUR}")).contains(FIVE));
    assert_eq!(
        at.command(&format!("cluster replicas {FIVE}")),
        "-ERR The specified node is not a master"
    );
    assert_eq!(at.command(&format!("cluster count-failure-reports {FIVE}")), ":0");
    assert_eq!(at.command("cluster myshardid"), format!("$40 {GROUP}"));
    let text = at.command("cluster info");
    let wanted = "cluster_state:ok cluster_slots_assigned:16384 cluster_slots_ok:16384 cluster_slots_pfail:0 \
        cluster_slots_fail:0 cluster_known_nodes:5 cluster_size:2 cluster_current_epoch:9 cluster_my_epoch:7 ";
    assert!(text.contains(wanted), "{text}");
    // Replies about one group are about the own one.
    assert_eq!(at.command("role"), "*5 $5 slave $8 10.0.0.1 :7001 $9 connected :0");
    assert!(
        at.command("info cluster")
            .contains("cluster_state:ok cluster_epoch:7 cluster_known_nodes:5")
    );

    let mut half = two_groups(ONE, MemberRole::Primary);
    half.others[0].is_led = false;
    let mut at = client(half);
    let text = at.command("cluster info");
    let wanted = "cluster_state:fail cluster_slots_assigned:16384 cluster_slots_ok:8192 cluster_slots_pfail:0 \
        cluster_slots_fail:8192 cluster_known_nodes:5 cluster_size:2 ";
    assert!(text.contains(wanted), "{text}");
    assert!(at.command("info cluster").contains("cluster_state:fail"));
    assert_eq!(at.command("set b 1"), "+OK", "a group serves although another one does not");
}
