//! Nodes over an etcd with a small storage quota.

use super::groups::of_group;
use super::*;
use crate::etcd::{ClientSettings, ErrorKind, EtcdClient, Keys};
use hedgerow_db_engine::request::RequestError;

const QUOTA: u64 = 64 << 20;
/// The bytes of a value.
const VALUE: usize = 256 << 10;

/// Starts an etcd with a small quota.
fn small_etcd(quota: u64) -> Option<Etcd> {
    Etcd::start_with(1, &["--quota-backend-bytes", &quota.to_string()], None)
}

fn with_quota(etcd: &Etcd, name: &str) -> ClusterSettings {
    let mut settings = settings(etcd, name);
    settings.etcd.quota = QUOTA;
    settings
}

/// Bytes that cannot be compressed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Sets a key as soon as that is possible, by a thread: a change may wait for etcd without end.
fn set_when_possible(node: &Node, value: &'static str) -> thread::JoinHandle<()> {
    set_key_when_possible(node, "rose", value)
}

fn set_key_when_possible(
    node: &Node,
    key: &'static str,
    value: &'static str,
) -> thread::JoinHandle<()> {
    let db = node.db().clone();
    thread::spawn(move || {
        let begin = Instant::now();
        while db.set(key, value).is_err() && begin.elapsed() < TIME_LIMIT {
            thread::sleep(Duration::from_millis(10));
        }
    })
}

/// Fills etcd with keys of another program.
async fn fill(client: &EtcdClient) {
    for number in 0..100 {
        let put = client.put(format!("/other/{number}"), noise(number, 1 << 20), 0).await;
        if put.is_err_and(|why| why.kind() == ErrorKind::NoSpace) {
            return;
        }
    }
    panic!("etcd has no quota");
}

#[test]
fn changes_are_refused_before_etcd_is_full() {
    // Twice the setting: a compaction writes the changes of a second anew, which is much of so small a quota.
    let Some(etcd) = small_etcd(2 * QUOTA) else { return };
    let (settings, folders) = (with_quota(&etcd, "brake"), Folders::new(2));
    let mut nodes: Vec<Node> = Node::start_all(&settings, &folders, 2);
    until("both are members", || nodes.iter().all(|node| node.member.status().member));
    let first = write(&nodes, "rose", "red");
    agree(&nodes, &[("rose".into(), "red".into())]);
    // etcd must keep what the other node lacks.
    drop(nodes.remove(1 - first));
    let db = nodes[0].db().clone();
    let writer = thread::spawn(move || {
        for number in 0.. {
            match db.set(format!("key {number}"), noise(number, VALUE)) {
                Err(Error::Request(RequestError::LogFull)) => return number,
                set => set.unwrap(),
            }
        }
        unreachable!("etcd is filled without end")
    });
    until("changes are refused", || writer.is_finished());
    let written = writer.join().unwrap();
    assert!(written * VALUE as u64 > QUOTA / 3, "refused after {written} changes");
    assert_eq!(etcd.etcdctl(&["alarm", "list"]), "", "etcd is full");
    assert_eq!(value(&nodes[0], "rose").as_deref(), Some("red"), "reads go on");
    until("the status says why", || nodes[0].member.status().is_full);
    until("it registers why", || {
        let registered = etcd.etcdctl(&["get", "--prefix", "/hedgerow/brake/node/"]);
        registered.contains(r#""refuses":"etcd's storage quota is nearly used up"#)
    });
    let found = nodes[0].member.status().etcd_quota;
    assert_eq!((found.quota, found.in_use <= found.size), (QUOTA, true));

    nodes.push(Node::start(&settings, folders.at(1 - first)).unwrap());
    let writer = set_when_possible(&nodes[0], "white");
    until("there is room again", || writer.is_finished());
    agree(&nodes, &[("rose".into(), "white".into())]);
    let last = format!("key {}", written - 1);
    assert_eq!(nodes[1].db().get(last).unwrap(), Some(noise(written - 1, VALUE)));
}

/// The record of a disk is not there, as if the put had failed, and the group is idle: no later one would come.
#[test]
fn a_record_of_a_disk_that_was_lost_comes_back() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (settings(&etcd, "records"), Folders::new(1));
    let nodes = [Node::start(&settings, folders.at(0)).unwrap()];
    write(&nodes, "rose", "red");
    let keys = crate::membership::keys::GroupKeys::new("records", 0).unwrap();
    let key = keys.durable(&nodes[0].member.id().to_string());
    let record = || etcd.etcdctl(&["get", "--print-value-only", &key]);
    let last = || format!(r#""lsn":{},"#, nodes[0].member.status().applied);
    until("the last entry is on the disk", || record().contains(&last()));
    etcd.etcdctl(&["del", &key]);
    // On a slow machine there may be another entry by now.
    until("the record comes back", || record().contains(&last()));
}

#[test]
fn an_etcd_that_was_full_is_used_on_once_there_is_room() {
    let Some(etcd) = small_etcd(QUOTA) else { return };
    let (settings, folders) = (with_quota(&etcd, "alarm"), Folders::new(1));
    let nodes = [Node::start(&settings, folders.at(0)).unwrap()];
    write(&nodes, "rose", "red");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = || EtcdClient::connect(&ClientSettings::new(etcd.endpoints())).unwrap();
    // Another program fills it.
    runtime.block_on(fill(&client()));
    assert!(etcd.etcdctl(&["alarm", "list"]).contains("NOSPACE"));
    let writer = set_when_possible(&nodes[0], "white");
    runtime.block_on(async { client().delete(Keys::prefix("/other/")).await.unwrap() });
    until("the node goes on by itself", || {
        assert!(nodes[0].exit().is_none());
        etcd.etcdctl(&["defrag"]);
        thread::sleep(Duration::from_millis(100));
        writer.is_finished()
    });
    writer.join().unwrap();
    assert_eq!(etcd.etcdctl(&["alarm", "list"]), "", "the alarm is raised still");
    assert_eq!(value(&nodes[0], "rose").as_deref(), Some("white"));
}

/// etcd 3.5 does not say its quota, so a node with a larger setting takes the alarm for one that it may disarm.
#[test]
fn an_alarm_that_comes_back_is_left_raised() {
    let Some(etcd) = small_etcd(QUOTA / 4) else { return };
    let (settings, folders) = (with_quota(&etcd, "smaller"), Folders::new(1));
    let nodes = [Node::start(&settings, folders.at(0)).unwrap()];
    write(&nodes, "rose", "red");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = || EtcdClient::connect(&ClientSettings::new(etcd.endpoints())).unwrap();
    let other = client();
    let quota = || nodes[0].member.status().etcd_quota.quota;
    // The other program tries again after each disarm: what the node puts may be small enough to fit.
    let learned = || {
        runtime.block_on(fill(&other));
        thread::sleep(Duration::from_millis(50));
        quota() < QUOTA / 3
    };
    until_or(learned, || format!("the quota is taken for {}", quota()));
    assert!(quota() > QUOTA / 5, "{}", quota());
    let is_raised = || etcd.etcdctl(&["alarm", "list"]).contains("NOSPACE");
    until("the alarm is raised again", is_raised);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(4) {
        assert!(is_raised(), "the alarm is disarmed again, {:?} later", begin.elapsed());
    }
    runtime.block_on(async { client().delete(Keys::prefix("/other/")).await.unwrap() });
    let writer = set_when_possible(&nodes[0], "white");
    until("the node goes on by itself", || {
        etcd.etcdctl(&["defrag"]);
        thread::sleep(Duration::from_millis(100));
        writer.is_finished()
    });
    writer.join().unwrap();
    assert_eq!(value(&nodes[0], "rose").as_deref(), Some("white"));
    assert!(quota() < QUOTA / 3, "it believes the setting again: {}", quota());
}

/// Starts two groups of one node each. The keys `b` and `a` are theirs.
fn two_groups(etcd: &Etcd, name: &str, folders: &Folders) -> Vec<Node> {
    let of = |group: u32| {
        let mut settings = of_group(etcd, name, group);
        (settings.etcd.quota, settings.copies) = (QUOTA, 1);
        Node::start(&settings, folders.at(group as usize)).unwrap()
    };
    let nodes: Vec<Node> = (0..2).map(of).collect();
    for (node, key) in nodes.iter().zip(["b", "a"]) {
        write(std::slice::from_ref(node), key, "red");
    }
    nodes
}

/// Both primaries compact etcd, and trim their own logs.
#[test]
fn two_groups_use_a_small_etcd_without_end() {
    let Some(etcd) = small_etcd(2 * QUOTA) else { return };
    let folders = Folders::new(2);
    let nodes = two_groups(&etcd, "both", &folders);
    let writers = nodes.iter().zip(["{b}", "{a}"]).map(|(node, tag)| {
        let db = node.db().clone();
        thread::spawn(move || {
            let begin = Instant::now();
            for number in 0..QUOTA / VALUE as u64 {
                loop {
                    match db.set(format!("{tag}{}", number % 8), noise(number, VALUE)) {
                        Ok(()) => break,
                        // The brake, until there is room again.
                        Err(Error::Request(RequestError::LogFull)) => {
                            assert!(begin.elapsed() < TIME_LIMIT, "there is never room again");
                            thread::sleep(Duration::from_millis(10));
                        }
                        Err(why) => panic!("{tag}: {why}"),
                    }
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    until("both groups have written the quota", || writers.iter().all(|one| one.is_finished()));
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(etcd.etcdctl(&["alarm", "list"]), "", "etcd is full");
    assert!(nodes.iter().all(|node| node.exit().is_none()));
    for (node, key) in nodes.iter().zip(["b", "a"]) {
        write(std::slice::from_ref(node), key, "white");
        assert_eq!(node.db().session().len(), 9);
    }
}

/// Both primaries compact etcd at once, and disarm its alarm.
#[test]
fn two_groups_go_on_after_etcd_was_full() {
    let Some(etcd) = small_etcd(QUOTA) else { return };
    let folders = Folders::new(2);
    let nodes = two_groups(&etcd, "alarms", &folders);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = || EtcdClient::connect(&ClientSettings::new(etcd.endpoints())).unwrap();
    runtime.block_on(fill(&client()));
    assert!(etcd.etcdctl(&["alarm", "list"]).contains("NOSPACE"));
    let writers = [("b", &nodes[0]), ("a", &nodes[1])];
    let writers = writers.map(|(key, node)| set_key_when_possible(node, key, "white"));
    runtime.block_on(async { client().delete(Keys::prefix("/other/")).await.unwrap() });
    until("both groups go on by themselves", || {
        assert!(nodes.iter().all(|node| node.exit().is_none()));
        etcd.etcdctl(&["defrag"]);
        thread::sleep(Duration::from_millis(100));
        writers.iter().all(|writer| writer.is_finished())
    });
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(etcd.etcdctl(&["alarm", "list"]), "", "the alarm is raised still");
    let values = [value(&nodes[0], "b"), value(&nodes[1], "a")];
    assert_eq!(values.each_ref().map(Option::as_deref), [Some("white"); 2]);
}
