//! Nodes in one process over a real etcd. Without one, the tests say so and pass.

pub(crate) mod groups;
mod idle;
mod moves;
mod placing;
mod quota;
mod restarts;
mod restored;
mod secured;

use crate::GroupMember;
use crate::NodeExit;
use crate::etcd::process::Etcd;
use crate::node;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::options::Options;
use hedgerow_db_engine::progress::Progress;
use hedgerow_db_engine::{Db, Error, TimeSource};
use hedgerow_db_redis::config::{
    AnnouncedAddresses, Bind, ClusterReads, ClusterSettings, EndpointType, EtcdSettings, Formats,
    PeerSettings,
};
use hedgerow_db_redis::view::{MemberRole, View};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for something, on a busy machine.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// The lease of most tests.
const LEASE: Duration = Duration::from_secs(1);

pub(crate) fn settings(etcd: &Etcd, name: &str) -> ClusterSettings {
    ClusterSettings {
        name: name.to_owned(),
        group: 0,
        auto_group: false,
        groups: 1,
        replicas: 1,
        zone: String::new(),
        ordinal: None,
        autoscale: None,
        forget: None,
        etcd: EtcdSettings {
            endpoints: etcd.endpoints(),
            user: None,
            authorities: None,
            identity: None,
            quota: 0,
        },
        lease: LEASE,
        reads: ClusterReads::Lease,
        max_stale: Duration::from_secs(10),
        max_skew: Duration::from_secs(10),
        max_entry: 32 << 20,
        copies: 2,
        move_rate: 0,
        peer: PeerSettings {
            binds: vec![Bind { address: ([127, 0, 0, 1], 0).into(), optional: false }],
            tls: None,
            insecure: false,
        },
        announce: AnnouncedAddresses {
            ip: Some("127.0.0.1".to_owned()),
            port: 7000,
            ..AnnouncedAddresses::default()
        },
        endpoint_type: EndpointType::Ip,
        formats: Formats::default(),
    }
}

fn options(folder: &Path) -> Options {
    let mut options = Options::at(folder);
    options.shards = 4;
    options
}

/// A node, and the reason why it could not go on.
pub(crate) struct Node {
    pub(crate) member: GroupMember,
    exit: Arc<Mutex<Option<NodeExit>>>,
}

impl Node {
    pub(crate) fn start(settings: &ClusterSettings, folder: &Path) -> Result<Self, String> {
        Self::start_with(settings, options(folder))
    }

    fn start_with(settings: &ClusterSettings, options: Options) -> Result<Self, String> {
        let exit: Arc<Mutex<Option<NodeExit>>> = Arc::default();
        let of_exit = Arc::clone(&exit);
        let on_exit = Box::new(move |exit| *lock(&of_exit) = Some(exit));
        let (views, progress) = (node::views(settings), Progress::default());
        let member = GroupMember::start(settings, options, views, &progress, on_exit);
        Ok(Self { member: member.map_err(|why| why.to_string())?, exit })
    }

    /// Starts several nodes, one after the other, and waits until each is a member with data. One that starts slowly
    /// may find the log trimmed: it fetches its data from another node, and starts anew, as the program does.
    #[track_caller]
    pub(crate) fn start_all(
        settings: &ClusterSettings,
        folders: &Folders,
        number: usize,
    ) -> Vec<Self> {
        let start = |place| loop {
            let node = Self::start(settings, folders.at(place)).unwrap();
            let has_data = || {
                let status = node.member.status();
                status.member && status.role != "loading"
            };
            until("a node is a member with data", || has_data() || node.exit().is_some());
            match node.exit() {
                None => return node,
                Some(NodeExit::Restart(_)) => drop(node),
                Some(NodeExit::Stop(why)) => panic!("{why}"),
            }
        };
        (0..number).map(start).collect()
    }

    pub(crate) fn db(&self) -> &Db {
        self.member.db()
    }

    fn view(&self) -> Arc<View> {
        self.member.views().current()
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.view().role == MemberRole::Primary
    }

    pub(crate) fn exit(&self) -> Option<NodeExit> {
        lock(&self.exit).clone()
    }
}

/// Opens a database without a cluster.
pub(crate) fn open_alone(folder: &Path) -> Db {
    Db::open(Options::at(folder)).unwrap()
}

#[track_caller]
pub(crate) fn until(what: &str, so: impl Fn() -> bool) {
    until_or(so, || format!("{what}: not within {TIME_LIMIT:?}"));
}

/// Waits until something is so. `otherwise` describes what there is instead.
#[track_caller]
pub(crate) fn until_or(so: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < TIME_LIMIT, "{}", otherwise());
        thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until one of the nodes is the primary, and returns its place.
#[track_caller]
pub(crate) fn primary(nodes: &[Node]) -> usize {
    until("a primary", || nodes.iter().any(Node::is_primary));
    nodes.iter().position(Node::is_primary).expect("there is one")
}

/// Writes until a primary acknowledges it. Returns the place of the primary.
#[track_caller]
pub(crate) fn write(nodes: &[Node], key: &str, value: &str) -> usize {
    let begin = Instant::now();
    loop {
        let at = primary(nodes);
        match nodes[at].db().set(key, value) {
            Ok(()) => return at,
            Err(why) => assert!(begin.elapsed() < TIME_LIMIT, "{key}: {why}"),
        }
    }
}

pub(crate) fn value(node: &Node, key: &str) -> Option<String> {
    let value = node.db().get(key).ok()??;
    Some(String::from_utf8(value).unwrap())
}

/// Waits until all nodes have the same last entry and the same values.
#[track_caller]
pub(crate) fn agree(nodes: &[Node], keys: &[(String, String)]) {
    let last = |node: &Node| node.member.status().applied;
    let equal = || {
        let most = nodes.iter().map(last).max();
        nodes.iter().all(|node| Some(last(node)) == most)
    };
    until_or(equal, || {
        let states = nodes.iter().map(|node| (node.exit(), node.member.status()));
        format!("the nodes have other last entries: {:#?}", states.collect::<Vec<_>>())
    });
    for (key, wanted) in keys {
        for (place, node) in nodes.iter().enumerate() {
            until(&format!("{key} at node {place}"), || value(node, key).as_ref() == Some(wanted));
        }
    }
}

pub(crate) struct Folders(Vec<tempfile::TempDir>);

impl Folders {
    pub(crate) fn new(number: usize) -> Self {
        Self((0..number).map(|_| tempfile::tempdir().unwrap()).collect())
    }

    pub(crate) fn at(&self, place: usize) -> &Path {
        self.0[place].path()
    }
}

pub(crate) fn pairs(begin: usize, end: usize) -> Vec<(String, String)> {
    (begin..end).map(|n| (format!("key {n}"), format!("value {n}"))).collect()
}

#[test]
fn acknowledged_changes_survive_the_primary() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (settings(&etcd, "survive"), Folders::new(3));
    let mut nodes: Vec<Node> = Node::start_all(&settings, &folders, 3);
    let mut written = pairs(0, 50);
    for (key, value) in &written {
        write(&nodes, key, value);
    }
    agree(&nodes, &written);
    for round in 1..3 {
        let first = primary(&nodes);
        let gone = nodes.remove(first);
        let gone_folder = folders
            .0
            .iter()
            .position(|folder| Some(folder.path()) == gone.db().options().folder.as_deref());
        // Nothing is released: the others wait for the end of the lease.
        drop(gone);
        let more = pairs(50 * round, 50 * (round + 1));
        for (key, value) in &more {
            write(&nodes, key, value);
        }
        written.extend(more);
        agree(&nodes, &written);
        nodes.push(Node::start(&settings, folders.at(gone_folder.unwrap())).unwrap());
        agree(&nodes, &written);
    }
    assert!(nodes.iter().all(|node| node.exit().is_none()));
}

#[test]
fn a_follower_changes_nothing() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (settings(&etcd, "follower"), Folders::new(2));
    let nodes: Vec<Node> = Node::start_all(&settings, &folders, 2);
    let first = write(&nodes, "rose", "red");
    let other = &nodes[1 - first];
    until("the other node follows", || other.view().role == MemberRole::Follower);
    let refused = other.db().set("rose", "white");
    assert!(matches!(refused, Err(Error::Request(_))), "a follower took a change: {refused:?}");
    agree(&nodes, &[("rose".into(), "red".into())]);
}

#[test]
fn a_hand_over_loses_nothing_and_waits_for_no_lease() {
    let Some(etcd) = Etcd::start(1) else { return };
    let mut settings = settings(&etcd, "hand-over");
    // So long that only a hand-over can be meant.
    settings.lease = Duration::from_secs(60);
    let folders = Folders::new(2);
    let nodes: Vec<Node> = Node::start_all(&settings, &folders, 2);
    until("both are members", || nodes.iter().all(|node| node.member.status().member));
    let mut written = Vec::new();
    for round in 0..6 {
        let key = (format!("key {round}"), format!("value {round}"));
        let at = write(&nodes, &key.0, &key.1);
        written.push(key);
        let to = &nodes[1 - at];
        until("the other node follows", || to.view().role == MemberRole::Follower);
        // The primary may not know yet that the other one is a member, so the request is repeated.
        let begin = Instant::now();
        while !to.is_primary() {
            if round % 2 == 0 {
                nodes[at].member.hand_over(Some(to.member.id()));
            } else {
                to.member.views().hand_over().unwrap();
            }
            let soon = Instant::now() + Duration::from_secs(1);
            while !to.is_primary() && Instant::now() < soon {
                thread::sleep(Duration::from_millis(1));
            }
            let status = || nodes.iter().map(|node| node.member.status()).collect::<Vec<_>>();
            assert!(begin.elapsed() < TIME_LIMIT, "round {round}: {:#?}", status());
        }
        assert!(!nodes[at].is_primary());
    }
    agree(&nodes, &written);
}

#[test]
fn a_hand_over_is_requested_also_after_etcd_has_ended_the_leases() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (folders, settings) = (Folders::new(2), settings(&etcd, "roses"));
    let nodes: Vec<_> = Node::start_all(&settings, &folders, 2);
    let at = primary(&nodes);
    let to = &nodes[1 - at];
    until("both know both", || nodes.iter().all(|node| node.view().group.members.len() == 2));
    until("a follower", || to.view().role == MemberRole::Follower);
    // A leader of etcd that stalled has done that. The nodes notice it seconds later.
    until("a lease of each, and the coordinator's", || leases(&etcd).len() == 3);
    for lease in leases(&etcd) {
        etcd.etcdctl(&["lease", "revoke", &lease]);
    }
    to.member.views().hand_over().unwrap();
    let begin = Instant::now();
    while !to.is_primary() {
        assert!(begin.elapsed() < TIME_LIMIT, "the request for the group was lost");
        thread::sleep(Duration::from_millis(2));
    }
}

fn leases(etcd: &Etcd) -> Vec<String> {
    let text = etcd.etcdctl(&["lease", "list"]);
    text.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn a_node_that_leads_without_serving_follows_again() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (folders, settings) = (Folders::new(2), settings(&etcd, "moments"));
    let nodes: Vec<_> = Node::start_all(&settings, &folders, 2);
    let status = |place: usize| nodes[place].member.status();
    let stuck = || format!("a node follows no more: {:#?}", [status(0), status(1)]);
    let thirty_epochs = || {
        // So often that a node is asked also between its takeover and its service.
        for place in [0, 1].repeat(10) {
            nodes[place].member.hand_over(Some(nodes[1 - place].member.id()));
            thread::sleep(Duration::from_micros(50));
        }
        (0..2).all(|place| status(place).epoch >= 30)
    };
    until_or(thirty_epochs, stuck);
    let last = (0..2).map(|place| status(place).applied).max();
    until_or(|| (0..2).all(|place| Some(status(place).applied) >= last), stuck);
}

#[test]
fn a_process_that_stops_names_its_successor() {
    let Some(etcd) = Etcd::start(1) else { return };
    let mut settings = settings(&etcd, "release");
    settings.lease = Duration::from_secs(60);
    let folders = Folders::new(2);
    let mut nodes: Vec<Node> = Node::start_all(&settings, &folders, 2);
    let first = write(&nodes, "rose", "red");
    until("both are members", || nodes.iter().all(|node| node.member.status().member));
    agree(&nodes, &[("rose".into(), "red".into())]);
    assert!(nodes[first].member.release(TIME_LIMIT), "it was not released");
    drop(nodes.remove(first));
    assert_eq!(write(&nodes, "rose", "white"), 0);
}

#[test]
fn a_new_node_fetches_what_etcd_has_forgotten() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (settings(&etcd, "fetch"), Folders::new(3));
    let mut nodes: Vec<Node> = Node::start_all(&settings, &folders, 2);
    let mut written = pairs(0, 20);
    for (key, value) in &written {
        write(&nodes, key, value);
    }
    agree(&nodes, &written);
    let first = etcd_first(&etcd, "fetch");
    until("etcd forgets the first batch", || etcd_first(&etcd, "fetch") > first);

    let late = Node::start(&settings, folders.at(2)).unwrap();
    until("the node wants to start anew", || late.exit().is_some());
    assert!(matches!(late.exit(), Some(NodeExit::Restart(_))), "{:?}", late.exit());
    assert_eq!(late.member.monitor().resyncs(), 1);
    drop(late);
    nodes.push(Node::start(&settings, folders.at(2)).unwrap());
    let more = pairs(20, 30);
    for (key, value) in &more {
        write(&nodes, key, value);
    }
    written.extend(more);
    agree(&nodes, &written);
}

/// Returns the first batch that etcd has.
fn etcd_first(etcd: &Etcd, name: &str) -> String {
    let prefix = format!("/hedgerow/{name}/g/0/log/");
    etcd.etcdctl(&["get", "--prefix", "--keys-only", "--limit", "1", &prefix]).trim().to_owned()
}

#[test]
fn a_node_refuses_what_does_not_belong_together() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (roses, folders) = (settings(&etcd, "roses"), Folders::new(4));
    let node = Node::start(&roses, folders.at(0)).unwrap();
    write(std::slice::from_ref(&node), "rose", "red");
    drop(node);
    let refused = |settings: &ClusterSettings, folder: usize, wanted: &str| {
        let why = Node::start(settings, folders.at(folder)).err().unwrap_or_default();
        assert!(why.contains(wanted), "{wanted:?} is missing in {why:?}");
    };
    // A directory of one cluster, and the etcd of another.
    let daisies = settings(&etcd, "daisies");
    refused(&daisies, 0, "etcd has no cluster");
    drop(Node::start(&daisies, folders.at(1)).unwrap());
    refused(&daisies, 0, "cluster adopt");
    // The data of a database on one machine.
    let alone = Db::open(Options::at(folders.at(2))).unwrap();
    alone.set("rose", "red").unwrap();
    drop(alone);
    refused(&roses, 2, "not a node of a cluster");
    // A directory that is in use.
    let node = Node::start(&roses, folders.at(0)).unwrap();
    refused(&roses, 0, "in use");
    drop(node);
    // An etcd that was emptied.
    etcd.etcdctl(&["del", "--prefix", "/hedgerow/roses/"]);
    refused(&roses, 0, "etcd was emptied");
    // Nothing on disk.
    let (views, progress) = (node::views(&roses), Progress::default());
    let memory = GroupMember::start(&roses, Options::in_memory(), views, &progress, Box::new(drop));
    assert!(memory.err().unwrap().to_string().contains("set dir"));
    let wrong = ClusterSettings { name: "a/b".to_owned(), ..roses.clone() };
    refused(&wrong, 3, "cluster-name");
    // None of this has changed anything.
    assert!(!folders.at(3).join("node-id").exists());
}

#[test]
fn a_copy_of_a_directory_is_noticed() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (settings(&etcd, "twins"), Folders::new(2));
    let node = Node::start(&settings, folders.at(0)).unwrap();
    until("the node is registered", || {
        etcd.etcdctl(&["get", "--prefix", "/hedgerow/twins/node/"]).contains("wall")
    });
    for file in ["node-id", "cluster"] {
        std::fs::copy(folders.at(0).join(file), folders.at(1).join(file)).unwrap();
    }
    let twin = Node::start(&settings, folders.at(1)).unwrap();
    until("the twin stops", || twin.exit().is_some());
    let Some(NodeExit::Stop(why)) = twin.exit() else { panic!("{:?}", twin.exit()) };
    assert!(why.contains("is a copy of this one"), "{why}");
    assert!(node.exit().is_none(), "the first node stopped, too");
}

#[test]
fn a_lease_that_is_set_counts_for_the_others() {
    let Some(etcd) = Etcd::start(1) else { return };
    let mut settings = settings(&etcd, "lease");
    settings.lease = Duration::from_secs(600);
    let folders = Folders::new(2);
    let mut nodes: Vec<Node> = Node::start_all(&settings, &folders, 2);
    let first = write(&nodes, "rose", "red");
    until("both are members", || nodes.iter().all(|node| node.member.status().member));
    nodes[first].member.views().set_lease(700);
    let tail = || etcd.etcdctl(&["get", "--print-value-only", "/hedgerow/lease/g/0/tail"]);
    until("the line has the new lease", || tail().contains(" 700 "));
    agree(&nodes, &[("rose".into(), "red".into())]);
    drop(nodes.remove(first));
    // With the lease before, this would take ten minutes.
    assert_eq!(write(&nodes, "rose", "white"), 0);
    assert!(tail().contains(" 600000 "), "the next primary has its own lease: {}", tail());
}

#[test]
fn reads_by_the_log_need_no_lease() {
    let Some(etcd) = Etcd::start(1) else { return };
    let mut settings = settings(&etcd, "log-reads");
    settings.reads = ClusterReads::Log;
    let folder = Folders::new(1);
    let nodes = [Node::start(&settings, folder.at(0)).unwrap()];
    for round in 0..20 {
        let wanted = round.to_string();
        write(&nodes, "rose", &wanted);
        assert_eq!(value(&nodes[0], "rose"), Some(wanted));
    }
    assert_eq!(nodes[0].member.status().lease_until, 0);
}

#[test]
fn a_snapshot_and_the_entries_behind_it_are_loaded() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (settings(&etcd, "snapshot"), Folders::new(2));
    let mut nodes: Vec<Node> = Node::start_all(&settings, &folders, 2);
    let mut written = pairs(0, 30);
    for (key, value) in &written {
        write(&nodes, key, value);
    }
    agree(&nodes, &written);
    for node in &nodes {
        node.db().snapshot().unwrap();
    }
    let more = pairs(30, 40);
    for (key, value) in &more {
        write(&nodes, key, value);
    }
    written.extend(more);
    agree(&nodes, &written);
    nodes.clear();
    let nodes: Vec<Node> = Node::start_all(&settings, &folders, 2);
    agree(&nodes, &written);
    assert!(nodes.iter().all(|node| node.db().opened().snapshot_keys > 0));
}

/// Waits until the disks of nodes have all entries. Then nothing is forced any more, and no thread says that a disk
/// works.
fn rest<'n>(etcd: &Etcd, name: &str, nodes: impl IntoIterator<Item = &'n Node>) {
    // A second after the last change, the primary adds the entry by which the others remove what has expired.
    thread::sleep(Duration::from_secs(2));
    for node in nodes {
        let key = format!("/hedgerow/{name}/g/0/durable/{}", node.view().own_id);
        until("the disk has all entries", || {
            let last = format!("\"lsn\":{},", node.member.status().applied);
            etcd.etcdctl(&["get", "--print-value-only", &key]).contains(&last)
        });
    }
}

/// With a lease that no pause of a busy machine exceeds. A takeover adds an entry, which is forced.
fn settings_of_a_lasting_primary(etcd: &Etcd, name: &str) -> ClusterSettings {
    ClusterSettings { lease: Duration::from_secs(60), ..settings(etcd, name) }
}

/// Three nodes with some data, the place of the primary, and those of the others.
fn three_whose_disks_rest(etcd: &Etcd, name: &str, folders: &Folders) -> (Vec<Node>, [usize; 3]) {
    let nodes = Node::start_all(&settings_of_a_lasting_primary(etcd, name), folders, 3);
    let at = write(&nodes, "rose", "red");
    agree(&nodes, &[("rose".to_owned(), "red".to_owned())]);
    rest(etcd, name, &nodes);
    (nodes, [at, (at + 1) % 3, (at + 2) % 3])
}

fn unfit(node: &Node) -> bool {
    node.member.status().disqualified.is_some_and(|why| why.contains("hangs"))
}

/// The threads that force the disks of nodes wait for them without end, as far as their drivers can see.
fn hang(nodes: &[&Node], milliseconds: u64) {
    for node in nodes {
        let since = crate::measure::clock::now() - milliseconds;
        node.member.monitor().counters.forcing_since.set(since);
    }
}

fn work_again(node: &Node) {
    node.member.monitor().counters.forcing_since.set(0);
}

/// Waits until something is so while disks hang. If an entry comes late after all, its thread says that the disk works.
#[track_caller]
fn until_with_hanging(what: &str, nodes: &[&Node], so: impl Fn() -> bool) {
    until(what, || {
        hang(nodes, 20_000);
        so()
    });
}

/// Lets disks hang for some time, at least for as long as drivers need to look again.
fn let_hang(nodes: &[&Node], since: u64, time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        hang(nodes, since);
        thread::sleep(Duration::from_millis(2));
    }
}

const LOOK: Duration = Duration::from_millis(300);

#[test]
fn a_follower_whose_disk_hangs_leaves_the_lead_to_others_if_one_is_better() {
    let Some(etcd) = Etcd::start(1) else { return };
    let folders = Folders::new(3);
    let (nodes, places) = three_whose_disks_rest(&etcd, "hanging", &folders);
    let [primary, one, two] = places.map(|place| &nodes[place]);
    let_hang(&[primary, one], 9000, LOOK);
    assert!(!unfit(one) && !unfit(primary), "a slow disk is taken for a hung one");
    let some = [primary, one];
    until_with_hanging("a follower whose disk hangs says so", &some, || unfit(one));
    let_hang(&some, 20_000, LOOK);
    assert!(primary.is_primary() && !unfit(primary), "the primary has gone");
    assert!(primary.member.status().disk_fails, "it does not say that its disk hangs");
    let all = [primary, one, two];
    let fit = || !unfit(one) && !unfit(two);
    until_with_hanging("a follower may lead if all disks hang", &all, fit);
    work_again(two);
    until_with_hanging("another one is better", &some, || unfit(one) && !unfit(two));
    work_again(one);
    until("it may lead again", || !unfit(one));
}

#[test]
fn a_primary_whose_disk_hangs_does_not_lead_again_before_others() {
    let Some(etcd) = Etcd::start(1) else { return };
    let folders = Folders::new(3);
    let (nodes, places) = three_whose_disks_rest(&etcd, "deposed", &folders);
    let [primary, one, two] = places.map(|place| &nodes[place]);
    let_hang(&[primary], 20_000, LOOK);
    assert!(primary.is_primary() && !unfit(primary), "the primary has gone");
    primary.member.hand_over(None);
    let leads = || one.is_primary() || two.is_primary();
    until_with_hanging("another one leads", &[primary], leads);
    let says = "a primary that was deposed says that its disk hangs";
    until_with_hanging(says, &[primary], || unfit(primary));
}

/// A long command holds all shards, so the state neither lets go of the group nor serves again when the hand-over is
/// taken back.
#[test]
fn a_primary_whose_threads_do_not_answer_may_lead_again_when_they_do() {
    let Some(etcd) = Etcd::start(1) else { return };
    // Three leases are less than the five seconds for which a hand-over waits for the state.
    let lease = Duration::from_millis(1500);
    let settings = ClusterSettings { lease, ..settings(&etcd, "stuck") };
    let folders = Folders::new(2);
    let nodes = Node::start_all(&settings, &folders, 2);
    let primary = &nodes[write(&nodes, "rose", "red")];
    agree(&nodes, &[("rose".to_owned(), "red".to_owned())]);
    until("both know both", || nodes.iter().all(|node| node.view().group.members.len() == 2));
    let key = format!("/hedgerow/stuck/node/{}", primary.view().own_id);
    let registered = || etcd.etcdctl(&["get", "--print-value-only", &key]);
    let says_so = || registered().contains("\"cannot_lead\":true");
    let is_stuck =
        || primary.member.status().disqualified.is_some_and(|why| why.contains("threads"));
    assert!(!says_so(), "{}", registered());
    let shards = primary.db().state().lock_every_shard();
    primary.member.hand_over(None);
    until("its threads do not answer", is_stuck);
    until("its registration says that it cannot lead", says_so);
    drop(shards);
    until("it may lead again", || !is_stuck());
    until("its registration is that of a fit node", || !says_so());
    assert_eq!(primary.exit(), None);
}

#[test]
fn a_primary_whose_clock_is_ahead_does_not_name_a_follower_whose_disk_hangs() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (settings, folders) = (settings_of_a_lasting_primary(&etcd, "ahead"), Folders::new(2));
    let time = Arc::new(AtomicU64::new(TimeSource::System.now()));
    let set = |ahead| time.store(TimeSource::System.now() + ahead, Ordering::Relaxed);
    let source = TimeSource::Manual(Arc::clone(&time));
    let mut own = options(folders.at(0));
    own.time = source;
    let primary = Node::start_with(&settings, own).unwrap();
    until("the first node leads", || primary.is_primary());
    let follower = Node::start(&settings, folders.at(1)).unwrap();
    let status = || follower.member.status();
    until("the second one follows", || status().member && status().role == "follower");
    set(1000);
    rest(&etcd, "ahead", [&primary, &follower]);
    let epoch = || primary.view().group.epoch;
    let before = epoch();
    let registered = || etcd.etcdctl(&["get", "--prefix", "/hedgerow/ahead/node/"]);
    let says = "the follower says that its disk hangs";
    until_with_hanging(says, &[&follower], || registered().contains("disk_fails"));
    // The primary hears of it, too.
    let_hang(&[&follower], 20_000, Duration::from_secs(2));
    // No change follows, which would set the other clock, too.
    set(60_000);
    let_hang(&[&follower], 20_000, Duration::from_secs(4));
    let stays = primary.is_primary() && epoch() == before;
    assert!(stays, "the group is given to a node whose disk hangs");
    work_again(&follower);
    until("the follower takes over when its disk works", || follower.is_primary());
}
