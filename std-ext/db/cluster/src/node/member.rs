//! A node of a cluster, from its start to its end: [`GroupMember`].
//!
//! Starting goes through these steps. Each may refuse with a sentence, and changes nothing then.
//!
//! 1. Claim the folder, and install data that were fetched from a peer before the last restart.
//! 2. With `cluster-group auto` and a folder that has no group: wait until the coordinator places the node in one.
//! 3. Wait for etcd, and check that it has the cluster that the folder belongs to.
//! 4. Load the snapshot and the local log.
//! 5. Serve peers, and start the driver. It reads on in etcd from where the local log ends.

use crate::controller::coordinator::{Coordinator, Waiting};
use crate::etcd::EtcdClient;
use crate::log::changes::CHANGES;
use crate::log::local_log::position::mark_of;
use crate::log::local_log::{Incarnation, LocalLog};
use crate::log::slot_history;
use crate::log::{EtcdLog, LogSettings};
use crate::measure::clock;
use crate::membership::bootstrap;
use crate::membership::error::StartError;
use crate::membership::identity::{self, Age, Belonging, ClusterFormat};
use crate::membership::keys::GroupKeys;
use crate::membership::load::LoadMeter;
use crate::membership::registration::Registration;
use crate::membership::registry::{NodeRegistry, Told};
use crate::membership::topology::Topology;
use crate::moves::{self, Mover, NodeEnv, Primaries};
use crate::node::applier::{Applier, OnFollow};
use crate::node::calls::Calls;
use crate::node::disk_thread::DiskThread;
use crate::node::driver::{Driver, DriverParts};
use crate::node::former;
use crate::node::message::{DriverMessage, Inbox};
use crate::node::messenger::Messenger;
use crate::node::quota::QuotaTracker;
use crate::node::resync::{Resync, SharedSpool};
use crate::node::status::{NodeExit, NodeMonitor, NodeStatus};
use crate::node::tasks;
use crate::peer::client::MOST_FETCHED;
use crate::peer::spool::MOST_SPOOLED;
use crate::peer::{
    self, Asked, Asks, GroupId, PeerClientOptions, PeerServer, PeerServerOptions, PeerStatus,
    PeerTls, Serving, SharedTls, Spool,
};
use hedgerow_db_engine::Db;
use hedgerow_db_engine::clock::milliseconds;
use hedgerow_db_engine::clustered::NodeContents;
use hedgerow_db_engine::log::Log;
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_engine::options::Options;
use hedgerow_db_engine::progress::Progress;
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_formats::slot_set::share;
use hedgerow_db_group::{Group, NodeId, Now};
use hedgerow_db_redis::config::{ClusterReads, ClusterSettings};
use hedgerow_db_redis::view::Views;
use std::io;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

/// The bytes of batches in etcd beyond which only `cluster-copies` decides what etcd keeps.
const MOST_RETAINED: u64 = 256 << 20;
/// The time of the moving averages of the load, if the settings say nothing.
const AVERAGE: Duration = Duration::from_secs(120);
/// The uncompressed bytes of a batch.
const MOST_BATCH: usize = 512 << 10;

/// A node of a cluster. Dropping it stops it at once, without releasing the group.
pub struct GroupMember {
    db: Db,
    id: NodeId,
    views: Arc<Views>,
    inbox: Inbox,
    monitor: NodeMonitor,
    peers: Vec<PeerServer>,
    driver: Option<JoinHandle<()>>,
    client: EtcdClient,
    /// The certificates that this node shows to others; `None` without TLS.
    tls: Option<SharedTls>,
}

impl GroupMember {
    /// Starts a node. Waits until etcd answers. `on_exit` is called, by another thread, if the node cannot go on.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what to do.
    pub fn start(
        settings: &ClusterSettings,
        options: Options,
        views: Arc<Views>,
        progress: &Progress,
        on_exit: Box<dyn Fn(NodeExit) + Send>,
    ) -> Result<Self, StartError> {
        let Some(path) = &options.folder else {
            return Err(StartError::new(
                "a node of a cluster keeps its id and its copy of the log in a directory: set dir, and appendonly yes",
            ));
        };
        let keys = GroupKeys::new(&settings.name, settings.group)
            .map_err(|why| StartError::new(why.to_string()))?;
        let folder = Folder::claim(path)?;
        peer::install(&folder)?;
        let id = identity::node_id(&folder)?;
        let (inbox, messages) = unbounded_channel();
        let runtime = runtime()?;
        let (settings, keys, client, format, age) = runtime.block_on(async {
            let client = EtcdClient::connect(&bootstrap::etcd_settings(settings))
                .map_err(|why| StartError::new(why.to_string()))?;
            let folder = &folder;
            let (client, keys, views) = (&client, &keys, &views);
            let peers = PeerClientOptions {
                group: GroupId::default(),
                node: id,
                insecure: settings.peer.insecure,
                tls: SharedTls::read(settings)?,
                most_bytes: MOST_FETCHED,
            };
            let waiting = Waiting { client, keys, settings, folder, id, progress, views, peers };
            let group = waiting.find_group().await?;
            let settings = ClusterSettings { group, ..settings.clone() };
            let keys = keys.of_group(group);
            let (format, age) = bootstrap::bootstrap(client, &keys, &settings, folder).await?;
            Ok::<_, StartError>((settings, Arc::new(keys), client.clone(), format, age))
        })?;
        let settings = &settings;
        let opened = OpenedMember::open(settings, options, &folder, &format, &inbox, progress)?;
        let starting = Starting { settings, keys, folder, id, format, age, client, inbox, views };
        starting.start(opened, runtime, messages, on_exit)
    }

    /// Returns the database.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Returns the node's id.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Returns the cell with the view of the group that clients get.
    pub fn views(&self) -> &Arc<Views> {
        &self.views
    }

    /// Returns what the node knows about itself and its group.
    pub fn status(&self) -> NodeStatus {
        self.monitor.status()
    }

    /// Returns what reads the node's state from any thread.
    pub fn monitor(&self) -> NodeMonitor {
        self.monitor.clone()
    }

    /// Returns whether the node still runs. If not, `on_exit` was called.
    pub fn is_running(&self) -> bool {
        !self.inbox.is_closed()
    }

    /// Reads the certificates for other nodes and for etcd again, and the password for etcd. The returned function uses
    /// them for new connections. Those that exist go on.
    ///
    /// # Errors
    /// A sentence, if a file cannot be used. Nothing has changed then.
    pub fn prepare(
        &self,
        settings: &ClusterSettings,
    ) -> Result<Box<dyn FnOnce() + Send>, StartError> {
        let wrong = |why: &dyn std::fmt::Display| StartError::new(why.to_string());
        let renewal = self.client.prepare(&bootstrap::etcd_settings(settings));
        let (client, renewal) = (self.client.clone(), renewal.map_err(|why| wrong(&why))?);
        // All files are read before the first one is used: a reload changes everything or nothing.
        let mut steps: Vec<Box<dyn FnOnce() + Send>> =
            vec![Box::new(move || client.renew(renewal))];
        // Whether the peer port has TLS does not change.
        if let (Some(shared), Some(tls)) = (self.tls.clone(), PeerTls::read(settings)?) {
            for peers in &self.peers {
                steps.push(Box::new(peers.prepare(&tls).map_err(|why| wrong(&why))?));
            }
            steps.push(Box::new(move || shared.renew(tls)));
        }
        Ok(Box::new(move || {
            for step in steps {
                step();
            }
        }))
    }

    /// Hands the group over to another member, if this node is the primary. Returns at once.
    pub fn hand_over(&self, to: Option<NodeId>) {
        // Fails only if the node has stopped.
        let _ = self.inbox.send(DriverMessage::HandOver(to));
    }

    /// Releases the group, if this node is the primary, and never takes it over again. Returns whether that was done in
    /// time. Afterwards, clients are told who the next primary is.
    pub fn release(&self, within: Duration) -> bool {
        let (sender, done) = mpsc::channel();
        self.inbox.send(DriverMessage::Leave(sender)).is_ok() && done.recv_timeout(within).is_ok()
    }
}

impl Drop for GroupMember {
    fn drop(&mut self) {
        // Fails only if the driver has stopped.
        let _ = self.inbox.send(DriverMessage::Stop);
        // Their calls use the database, and end here.
        self.peers.clear();
        if let Some(driver) = self.driver.take()
            && driver.join().is_err()
        {
            tracing::error!("the thread of the cluster has panicked");
        }
    }
}

fn runtime() -> Result<Runtime, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|why| StartError::new(format!("cannot start a thread for etcd: {why}")))
}

/// A database that was loaded from the folder.
struct OpenedMember {
    db: Db,
    log: Arc<EtcdLog>,
    local_log: Arc<LocalLog>,
    incarnation: Incarnation,
    /// The latest time of an entry.
    time: u64,
}

impl OpenedMember {
    fn open(
        settings: &ClusterSettings,
        options: Options,
        folder: &Arc<Folder>,
        format: &ClusterFormat,
        inbox: &Inbox,
        progress: &Progress,
    ) -> Result<Self, StartError> {
        let incarnation = Incarnation::of(folder)?;
        let (waker, mut found) = (inbox.clone(), None);
        let log_settings = LogSettings {
            cluster: format.cluster,
            incarnation: format.incarnation,
            group: settings.group,
            largest_request: settings.max_entry,
        };
        let make_log = |contents: NodeContents| -> Result<Arc<dyn Log>, StartError> {
            check_data(&contents, folder, format, settings.group)?;
            let slots = slots_of(&contents, format, settings.group);
            let NodeContents { log, last, time, batch, snapshot, .. } = contents;
            let Some(file) = log else {
                return Err(StartError::new("a node of a cluster needs a directory: set dir"));
            };
            let mark = batch.map(|(first, mark)| mark_of(first, &mark));
            let local_log = LocalLog::new(Arc::new(file), mark);
            let local_log = Arc::new(local_log.map_err(|why| StartError::new(why.to_string()))?);
            if let Some(hash) = snapshot.and_then(|snapshot| snapshot.batch_hash) {
                local_log.set_in_snapshot(&hash);
            }
            let wake = move || {
                // Fails only after the driver has stopped.
                let _ = waker.send(DriverMessage::Wake);
            };
            let log =
                EtcdLog::new(log_settings, Arc::clone(&local_log), (last, slots), Box::new(wake));
            let log = Arc::new(log);
            found = Some((Arc::clone(&log), local_log, time));
            Ok(log)
        };
        let db = Db::open_clustered(options, Some(Arc::clone(folder)), progress, make_log)?;
        db.set_move_rate(settings.move_rate);
        let (log, local_log, time) = found.expect("the log was made");
        Ok(Self { db, log, local_log, incarnation, time })
    }
}

fn cannot_spawn(why: &io::Error) -> StartError {
    StartError::new(format!("cannot start a thread: {why}"))
}

/// The things that are known once etcd was met.
struct Starting<'a> {
    settings: &'a ClusterSettings,
    keys: Arc<GroupKeys>,
    folder: Arc<Folder>,
    id: NodeId,
    format: ClusterFormat,
    age: Age,
    client: EtcdClient,
    inbox: Inbox,
    views: Arc<Views>,
}

impl Starting<'_> {
    fn start(
        self,
        opened: OpenedMember,
        runtime: Runtime,
        messages: UnboundedReceiver<DriverMessage>,
        on_exit: Box<dyn Fn(NodeExit) + Send>,
    ) -> Result<GroupMember, StartError> {
        let monitor = NodeMonitor::default();
        // Both are new.
        let _ = monitor.lease_checks.set(Arc::clone(opened.log.lease_check_counts()));
        let _ = monitor.etcd.set(self.client.clone());
        let nonce = u64::from_le_bytes(identity::random()?).max(1);
        // The lock on the directory is held, which proves that they have ended [C-15].
        let former = former::succeed(&self.folder, nonce);
        let tls = PeerTls::read(self.settings)?;
        let (asks, asked) = unbounded_channel();
        let peers = self.serve_peers(&opened, &monitor, tls.clone(), &asks)?;
        let registration = self.registration(nonce, &peers, &opened.log.slots());
        let group = self.group(&opened, nonce, former.clone())?;
        let (local_log, db) = (Arc::clone(&opened.local_log), opened.db.clone());
        let (disk, pushed) =
            DiskThread::start(local_log, self.inbox.clone(), Arc::clone(&monitor.counters))
                .map_err(|why| cannot_spawn(&why))?;
        let average = self.settings.autoscale.as_ref().map_or(AVERAGE, |scale| scale.average);
        let meter = Arc::new(LoadMeter::new(db.clone(), Arc::clone(&self.views), average));
        let told = Told::new(self.settings, Arc::clone(&self.views), Some(Arc::clone(&meter)));
        let registry = NodeRegistry::new(
            self.client.clone(),
            Arc::clone(&self.keys),
            (self.id, former),
            registration.clone(),
            (Arc::clone(&monitor.counters), told),
        );
        let log = Arc::clone(&opened.log);
        let replica = Applier::start(db.clone(), log, pushed, self.inbox.clone(), self.on_follow());
        let spool = self.spool();
        let tls = tls.map(SharedTls::from);
        let peer_client = self.peer_client(tls.clone());
        let messenger = Messenger::start(peer_client.clone(), Arc::clone(&monitor.counters));
        let messenger = messenger.map_err(|why| cannot_spawn(&why))?;
        let links = Arc::clone(messenger.links());
        let sending = Arc::clone(&links);
        let send = move |channel: &[u8], message: &[u8]| sending.send(channel, message);
        self.views.broadcast().on_published(Arc::new(send));
        let primaries = Primaries::default();
        let env = NodeEnv {
            client: self.client.clone(),
            state: Arc::clone(opened.db.state()),
            log: Arc::clone(&opened.log),
            primaries: Arc::clone(&primaries),
            peers: peer_client.clone(),
            events: Arc::new(self.inbox.clone()),
            keys: Arc::clone(&self.keys),
            directory: Arc::clone(registry.directory()),
        };
        let mover = Mover {
            env,
            keys: Arc::clone(&self.keys),
            process: (self.id, nonce),
            state: Arc::clone(opened.db.state()),
            log: Arc::clone(&opened.log),
            groups: self.format.groups,
            counters: Arc::clone(&monitor.counters),
        };
        let resync =
            Resync::new(self.folder.path(), peer_client, Arc::clone(&spool), self.inbox.clone());
        let calls =
            Calls::new(self.client.clone(), Arc::clone(&self.keys), self.inbox.clone(), spool);
        let parts = DriverParts {
            group,
            db: opened.db,
            log: opened.log,
            views: Arc::clone(&self.views),
            calls,
            replica: replica.map_err(|why| cannot_spawn(&why))?,
            registry: Arc::clone(&registry),
            topology: Topology::new(self.id, self.format.cluster, self.format.groups, registration),
            resync,
            links,
            primaries,
            quota: QuotaTracker::new(self.settings.etcd.quota),
            incarnation: opened.incarnation,
            format: self.format.clone(),
            durable_key: self.keys.durable(&self.id.to_string()),
            wanted_key: self.keys.wanted(),
            own: self.id,
            lease: milliseconds(self.settings.lease),
            monitor: monitor.clone(),
            meter,
            on_exit,
        };
        let tasks = (registry, mover, asked);
        let driver = Some(self.drive(parts, tasks, (disk, messenger), runtime, messages)?);
        let Self { id, inbox, views, client, .. } = self;
        Ok(GroupMember { db, id, views, inbox, monitor, peers, driver, client, tls })
    }

    /// Starts the thread that runs the node.
    fn drive(
        &self,
        parts: DriverParts,
        (registry, mover, asked): (Arc<NodeRegistry>, Mover<NodeEnv>, UnboundedReceiver<Asked>),
        threads: (DiskThread, Messenger),
        runtime: Runtime,
        messages: UnboundedReceiver<DriverMessage>,
    ) -> Result<JoinHandle<()>, StartError> {
        let (wanting, registering) = (self.inbox.clone(), Arc::new(self.inbox.clone()));
        let (ending, counters) = (self.inbox.clone(), Arc::clone(&parts.monitor.counters));
        let coordinator = Coordinator::new(
            self.client.clone(),
            GroupKeys::clone(&self.keys),
            self.id,
            self.settings,
            (Arc::clone(&parts.monitor.counters), mover.env.peers.clone()),
            Arc::clone(registry.directory()),
        );
        self.views.on_hand_over(Box::new(move || {
            wanting.send(DriverMessage::Want).map_err(|_| "this node stops".to_owned())
        }));
        let run = move || {
            // Dropped behind the driver: it owns what the driver's threads use.
            let _threads = threads;
            runtime.block_on(async move {
                let run = registry.run(registering);
                tasks::needed("registers this node", ending.clone(), run);
                tasks::needed("moves slots", ending, moves::run(mover, asked));
                let (_running, stopped) = oneshot::channel();
                // Another node coordinates then, perhaps with the same end. The data is served on all of them.
                tasks::on_panic(coordinator.run(stopped), move || {
                    counters.coordinates.set(0);
                    tracing::error!(
                        "the task that coordinates the cluster has panicked; this node cannot be the coordinator \
                         until it is restarted"
                    );
                });
                Driver::new(parts).run(messages).await;
            });
        };
        let thread = thread::Builder::new().name("hedgerow-cluster".into());
        thread.spawn(run).map_err(|why| cannot_spawn(&why))
    }

    /// Opens the batches that wait to be applied. One of an earlier incarnation is removed: this one may lack them.
    fn spool(&self) -> SharedSpool {
        let spool = Spool::open(self.folder.path(), MOST_SPOOLED).unwrap_or_else(|why| {
            tracing::warn!("{why}; the batches are read from etcd instead");
            None
        });
        let spool = match self.age {
            Age::Current => spool,
            Age::Earlier => {
                if let Some(Err(why)) = spool.map(Spool::remove) {
                    tracing::warn!("{why}");
                }
                None
            }
        };
        Arc::new(Mutex::new(spool))
    }

    fn group(
        &self,
        opened: &OpenedMember,
        nonce: u64,
        former: Vec<u64>,
    ) -> Result<Group, StartError> {
        let settings = hedgerow_db_group::GroupSettings {
            node: self.id,
            format: CHANGES,
            nonce,
            former,
            lease: milliseconds(self.settings.lease),
            lease_reads: self.settings.reads == ClusterReads::Lease,
            max_skew: milliseconds(self.settings.max_skew),
            copies: self.settings.copies,
            most_retained: MOST_RETAINED,
            most_batch: MOST_BATCH,
            random: u64::from_le_bytes(identity::random()?),
        };
        let contents = opened.local_log.position();
        let position = contents.mark.map(|mark| mark.before(opened.time)).unwrap_or_default();
        let now = Now { boot: clock::now(), wall: opened.db.now() };
        let held = opened.local_log.held().map_err(|why| StartError::new(why.to_string()))?;
        let group = Group::new(settings, position, held, now);
        Ok(match self.age {
            Age::Current => group,
            Age::Earlier => group.of_an_earlier_incarnation(),
        })
    }

    /// Notes in the folder, once its entries are compared with the log, that they are of this incarnation.
    fn on_follow(&self) -> OnFollow {
        let belonging = Belonging::new(&self.settings.name, &self.format, self.settings.group);
        let folder = Arc::clone(&self.folder);
        let write = move || match belonging.write(&folder) {
            Ok(()) => tracing::info!(
                "etcd was reseeded with all entries of this node, which now has incarnation {}",
                belonging.incarnation()
            ),
            // The next start compares the entries again.
            Err(why) => tracing::warn!("{why}"),
        };
        (self.age == Age::Earlier).then(|| Box::new(write) as _)
    }

    fn peer_client(&self, tls: Option<SharedTls>) -> PeerClientOptions {
        PeerClientOptions {
            group: self.group_id(),
            node: self.id,
            insecure: self.settings.peer.insecure,
            tls,
            most_bytes: MOST_FETCHED,
        }
    }

    /// Returns the group's identity for peers.
    fn group_id(&self) -> GroupId {
        let ClusterFormat { cluster, incarnation, .. } = self.format;
        GroupId { cluster, incarnation, group: self.settings.group }
    }

    fn registration(&self, nonce: u64, peers: &[PeerServer], slots: &SlotSet) -> Registration {
        let announced = Registration::announced(self.settings, nonce);
        let peer_port = match (announced.peer_port, peers.first()) {
            (0, Some(server)) => server.address().port(),
            (port, _) => port,
        };
        let mut registration = Registration {
            group: self.settings.group,
            peer_port,
            role: "loading".to_owned(),
            ..announced
        };
        registration.set_slots(slots);
        registration
    }

    /// Returns what peers are told, and sent.
    fn serving(&self, opened: &OpenedMember, monitor: NodeMonitor, asks: Asks) -> Serving {
        let (id, local_log) = (self.id, Arc::clone(&opened.local_log));
        let folder = opened.incarnation.0;
        let told = move || {
            let status = monitor.status();
            PeerStatus {
                node: id,
                role: status.role.to_owned(),
                epoch: status.epoch,
                seq: status.seq,
                lsn: status.applied,
                time: status.time,
                durable: local_log.position().durable(),
                folder,
                version: env!("CARGO_PKG_VERSION").to_owned(),
            }
        };
        let db = opened.db.clone();
        Serving {
            group: self.group_id(),
            node: self.id,
            status: Box::new(told),
            digest: Box::new(move |time, within| db.digest(time, within)),
            data: Mutex::new(Some((Arc::clone(&self.folder), Arc::clone(&opened.local_log)))),
            deliver: {
                let views = Arc::clone(&self.views);
                Box::new(move |channel, message| views.broadcast().receive(channel, message))
            },
            moves: Some((opened.db.clone(), asks)),
        }
    }

    fn serve_peers(
        &self,
        opened: &OpenedMember,
        monitor: &NodeMonitor,
        tls: Option<PeerTls>,
        asks: &Asks,
    ) -> Result<Vec<PeerServer>, StartError> {
        let serving = Arc::new(self.serving(opened, monitor.clone(), asks.clone()));
        let options = PeerServerOptions { insecure: self.settings.peer.insecure, tls };
        let mut servers = Vec::new();
        for bind in &self.settings.peer.binds {
            match PeerServer::start(bind.address, &options, Arc::clone(&serving)) {
                Ok(server) => servers.push(server),
                Err(why) if bind.optional => tracing::debug!("{}: {why}", bind.address),
                Err(why) => {
                    return Err(StartError::new(format!(
                        "cannot serve the other nodes at {}: {why}\nChoose another port: --cluster-peer-port NUMBER",
                        bind.address
                    )));
                }
            }
        }
        Ok(servers)
    }
}

/// Returns the slots that the group owns, as far as the folder knows its log. The snapshot says those of its end. It
/// may need entries from before, which lead to the same.
fn slots_of(contents: &NodeContents, format: &ClusterFormat, group: u32) -> SlotSet {
    let at_birth = || SlotSet::of_range(share(group, format.groups));
    let snapshot = contents.snapshot.as_ref().map(|snapshot| snapshot.slots.clone());
    let mut slots = snapshot.unwrap_or_else(at_birth);
    for (changed, owned) in &contents.slots {
        slots = slot_history::changed(&slots, changed, *owned);
    }
    slots
}

/// Refuses a folder whose data are not those of this cluster.
fn check_data(
    contents: &NodeContents,
    folder: &Folder,
    format: &ClusterFormat,
    group: u32,
) -> Result<(), StartError> {
    let path = folder.path().display();
    let snapshot = contents.snapshot.as_ref();
    if snapshot.is_some_and(|snapshot| snapshot.cluster != format.cluster) {
        return Err(StartError::new(format!(
            "the snapshot in {path} belongs to another cluster: restore the directory, or choose an empty one with \
             --dir and let the node fetch its data from the others"
        )));
    }
    if let Some(other) = snapshot.filter(|snapshot| snapshot.group != group) {
        return Err(StartError::new(format!(
            "the snapshot in {path} belongs to group {0} of the cluster, and cluster-group is {group}: set \
             cluster-group {0}; or choose an empty directory with --dir, and let the node fetch the data of group \
             {group}",
            other.group
        )));
    }
    if contents.last > 0 && contents.batch.is_none() {
        return Err(StartError::new(format!(
            "{path} has entries that belong to no batch of the cluster: choose an empty directory with --dir, and \
             let the node fetch its data from the others"
        )));
    }
    Ok(())
}
