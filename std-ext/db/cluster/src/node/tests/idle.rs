//! What nodes without clients cost etcd, and how they hear of each other nevertheless.

use super::*;
use crate::etcd::{ClientSettings, EtcdClient, Keys as KeyRange};
use crate::membership::directory::ClusterDirectory;
use crate::membership::keys::GroupKeys;
use crate::membership::registration::Registration;
use hedgerow_db_group::NodeId;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// How long nodes without clients are watched.
const WATCHED: Duration = Duration::from_secs(10);

/// Starts three nodes, and waits until they have settled.
fn settled(etcd: &Etcd, name: &str, folders: &Folders) -> Vec<Node> {
    let mut settings = settings(etcd, name);
    settings.lease = Duration::from_secs(3);
    let nodes = Node::start_all(&settings, folders, 3);
    write(&nodes, "rose", "red");
    agree(&nodes, &[("rose".into(), "red".into())]);
    let known = |node: &Node| node.view().group.members.iter().filter(|m| m.lag < 60).count() == 3;
    until("all know all", || nodes.iter().all(known));
    // The last batch is trimmed, and the records of the disks are confirmed.
    thread::sleep(Duration::from_secs(10));
    nodes
}

/// The cost of a group without clients, by etcd's own counters. Before nodes heard of each other by watches, it was
/// thirty requests a second, five of which were written to the disks of etcd's members.
#[test]
fn a_group_without_clients_costs_etcd_few_requests() {
    let Some(etcd) = Etcd::start(1) else { return };
    let folders = Folders::new(3);
    let nodes = settled(&etcd, "idle", &folders);
    // Unary requests and lease keep-alives are one stream each; a watch is one stream with many messages.
    let requests = || {
        let watches = ["grpc_server_msg_received_total{grpc_method=\"Watch\""];
        etcd.count(0, &["grpc_server_started_total{"]) + etcd.count(0, &watches)
    };
    let writes = || etcd.count(0, &["etcd_server_proposals_applied_total"]);
    let (requests_before, writes_before, begin) = (requests(), writes(), Instant::now());
    thread::sleep(WATCHED);
    let passed = begin.elapsed().as_secs_f64();
    let (requests, writes) =
        ((requests() - requests_before) / passed, (writes() - writes_before) / passed);
    println!("{requests:.1} requests a second, {writes:.1} of them written");
    assert!(requests < 10.0, "{requests:.1} requests a second");
    assert!(writes < 2.5, "{writes:.1} writes a second");
    assert!(nodes.iter().all(|node| node.exit().is_none()));
}

#[test]
fn a_node_that_registers_is_seen_at_once() {
    let Some(etcd) = Etcd::start(1) else { return };
    let folders = Folders::new(3);
    let nodes = settled(&etcd, "seen", &folders);
    let runtime = runtime();
    let client = EtcdClient::connect(&ClientSettings::new(etcd.endpoints())).unwrap();
    let keys = GroupKeys::new("seen", 0).unwrap();
    let key = |n: u8| keys.node(&NodeId([n; 20]).to_string());
    let registration = Registration {
        nonce: 7,
        ip: "127.0.0.9".to_owned(),
        port: 7000,
        group: 1,
        epoch: 1,
        role: "primary".to_owned(),
        wall: TimeSource::System.now(),
        ..Registration::default()
    };
    let registration = serde_json::to_string(&registration).unwrap();
    let others =
        |node: &Node| node.view().others.iter().map(|group| group.members.len()).sum::<usize>();
    let all_see = |number: usize| nodes.iter().all(|node| others(node) == number);
    let mut fastest = Duration::MAX;
    for n in 1..=3 {
        let begin = Instant::now();
        runtime.block_on(client.put(key(n), registration.clone(), 0)).unwrap();
        until("all see it", || all_see(usize::from(n)));
        fastest = fastest.min(begin.elapsed());
        thread::sleep(Duration::from_millis(300));
    }
    println!("a registration was seen after {fastest:?}");
    // The views are made ten times a second. The best of three, on a busy machine.
    assert!(fastest < Duration::from_secs(1), "seen after {fastest:?}");
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A directory by way of a proxy, and a client that goes to etcd itself.
struct Watched<'e> {
    etcd: &'e Etcd,
    runtime: Runtime,
    client: EtcdClient,
    keys: Arc<GroupKeys>,
    directory: Arc<ClusterDirectory>,
    proxy: Proxy,
}

impl<'e> Watched<'e> {
    fn new(etcd: &'e Etcd) -> Self {
        let endpoint = etcd.endpoints().remove(0);
        let proxy = Proxy::start(endpoint.strip_prefix("http://").unwrap().parse().unwrap());
        let runtime = runtime();
        let keys = Arc::new(GroupKeys::new("watched", 0).unwrap());
        let (client, directory) = runtime.block_on(async {
            let by_proxy = ClientSettings::new([format!("http://{}", proxy.address)]);
            let by_proxy = EtcdClient::connect(&by_proxy).unwrap();
            (
                EtcdClient::connect(&ClientSettings::new(etcd.endpoints())).unwrap(),
                ClusterDirectory::new(by_proxy, Arc::clone(&keys)),
            )
        });
        let runs = Arc::clone(&directory);
        runtime.spawn(async move { runs.run().await });
        until("the keys are read", || directory.pair("").is_ok());
        Self { etcd, runtime, client, keys, directory, proxy }
    }

    fn put(&self, key: String, value: &str) -> u64 {
        self.runtime.block_on(self.client.put(key, value.to_owned(), 0)).unwrap()
    }

    fn delete(&self, key: String) {
        self.runtime.block_on(self.client.delete(KeyRange::one(key))).unwrap();
    }

    /// Returns how long it takes until a key has a value.
    #[track_caller]
    fn comes(&self, key: &str, value: Option<&str>) -> Duration {
        let begin = Instant::now();
        until(&format!("{key} is {value:?}"), || {
            let found = self.directory.pair(key);
            found
                .is_ok_and(|pair| pair.map(|pair| pair.value) == value.map(|v| v.to_owned().into()))
        });
        begin.elapsed()
    }

    /// The reads of keys that etcd has served: each is a transaction.
    fn reads(&self) -> f64 {
        self.etcd.count(0, &["grpc_server_started_total{grpc_method=\"Txn\""])
    }
}

#[test]
fn the_directory_hears_of_all_keys_but_those_of_groups() {
    let Some(etcd) = Etcd::start(1) else { return };
    let of = Watched::new(&etcd);
    let reads = of.reads();
    let names = [of.keys.coordinator(), of.keys.format(), of.keys.node("a"), of.keys.slots()];
    for (n, key) in names.iter().enumerate() {
        of.put(key.clone(), &n.to_string());
        of.put(of.keys.batch(n as u64), "large");
    }
    for (n, key) in names.iter().enumerate() {
        of.comes(key, Some(&n.to_string()));
    }
    assert_eq!(of.directory.pairs("").unwrap().len(), names.len(), "batches are read by all nodes");
    of.delete(names[2].clone());
    of.comes(&names[2], None);
    assert_eq!(of.directory.pairs(&of.keys.nodes()).unwrap(), []);
    // One may have been due.
    assert!(of.reads() <= reads + 1.0, "the keys are read again and again");
}

#[test]
fn a_watch_that_was_cut_goes_on() {
    let Some(etcd) = Etcd::start(1) else { return };
    let of = Watched::new(&etcd);
    let (one, two) = (of.keys.node("a"), of.keys.node("b"));
    of.put(one.clone(), "1");
    of.comes(&one, Some("1"));
    of.proxy.cut(true);
    of.delete(one.clone());
    of.put(two.clone(), "2");
    thread::sleep(Duration::from_millis(300));
    assert!(of.directory.pair(&two).unwrap_or_default().is_none(), "the proxy does not cut");
    of.proxy.cut(false);
    println!("heard after {:?}", of.comes(&two, Some("2")));
    of.comes(&one, None);
}

#[test]
fn a_watch_whose_revision_was_compacted_begins_anew() {
    let Some(etcd) = Etcd::start(1) else { return };
    let of = Watched::new(&etcd);
    let (one, two) = (of.keys.node("a"), of.keys.coordinator());
    of.put(one.clone(), "1");
    of.put(two.clone(), "1");
    of.comes(&one, Some("1"));
    of.comes(&two, Some("1"));
    of.proxy.cut(true);
    of.delete(one.clone());
    of.delete(two.clone());
    let last = of.put(of.keys.node("c"), "3");
    of.runtime.block_on(of.client.compact(last)).unwrap();
    of.proxy.cut(false);
    // Nobody tells of the deletions any more.
    of.comes(&one, None);
    of.comes(&two, None);
    of.comes(&of.keys.node("c"), Some("3"));
    of.put(one.clone(), "4");
    println!("heard after {:?}", of.comes(&one, Some("4")));
}

/// Passes connections on to an address, until it is told to cut them.
struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<Cut>>,
}

#[derive(Default)]
struct Cut {
    is_cut: bool,
    streams: Vec<TcpStream>,
}

impl Proxy {
    fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::<Mutex<Cut>>::default());
        let of_thread = Arc::clone(&state);
        // It ends with the process of the tests.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A connection that fails is one that was cut.
                let _ = Self::pass(stream, to, &of_thread);
            }
        });
        Self { address, state }
    }

    fn pass(near: TcpStream, to: SocketAddr, state: &Mutex<Cut>) -> io::Result<()> {
        let mut state = lock(state);
        if state.is_cut {
            return Ok(());
        }
        let far = TcpStream::connect(to)?;
        for (mut from, mut to) in
            [(near.try_clone()?, far.try_clone()?), (far.try_clone()?, near.try_clone()?)]
        {
            thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = from.read(&mut bytes) {
                    if to.write_all(&bytes[..count]).is_err() {
                        break;
                    }
                }
                // The other side may be gone.
                let _ = to.shutdown(Shutdown::Both);
            });
        }
        state.streams.extend([near, far]);
        Ok(())
    }

    /// Ends all connections, and takes no further ones; or takes them again.
    fn cut(&self, is_cut: bool) {
        let mut state = lock(&self.state);
        state.is_cut = is_cut;
        for stream in state.streams.drain(..) {
            // It may have ended.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
