//! A node for tests: a folder with a snapshot and a local log, and a server.

use crate::log::local_log::position::{logged_mark, mark_in, mark_of};
use crate::log::local_log::{DurablePosition, LocalLog, LocalLogPosition};
use crate::peer::client::{MOST_FETCHED, PeerClientOptions};
use crate::peer::identity::{GroupId, PeerStatus};
use crate::peer::server::{PeerServer, PeerServerOptions};
use crate::peer::serving::Serving;
use crate::peer::socket::{CONNECTIONS, HANDSHAKES};
use hedgerow_db_engine::clustered::{Digest, DigestError, DigestPart, PARTS};
use hedgerow_db_engine::log::disk::{Disk, SystemDisk};
use hedgerow_db_engine::log::file::FileLog;
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_engine::log::{self, Fsync, Log, Lsn};
use hedgerow_db_engine::request::StoredValue;
use hedgerow_db_engine::snapshot::{Snapshot, SnapshotWriter, remove_older};
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_group::{BatchChain, Committed, Entry, LogPosition, Mark, NodeId, Seq};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(super) const GROUP: GroupId = GroupId { cluster: [7; 16], incarnation: 3, group: 0 };
pub(super) const NODE: NodeId = NodeId([1; 20]);
pub(super) const OTHER: NodeId = NodeId([2; 20]);

/// The digest of every node.
pub(super) const DIGEST: Digest =
    Digest { lsn: 40, time: 400, parts: [DigestPart { keys: 6, hash: 7 << 70 }; PARTS] };

pub(super) fn options() -> PeerClientOptions {
    PeerClientOptions {
        group: GROUP,
        node: OTHER,
        tls: None,
        insecure: false,
        most_bytes: MOST_FETCHED,
    }
}

/// A folder that is synced quickly, where the system has one.
pub(super) fn in_memory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Waits until something holds.
pub(super) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

type Keys = BTreeMap<Vec<u8>, Vec<u8>>;

/// The content of a folder: the keys of its snapshot, and the entries of its log with their marks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) snapshot: Option<(Lsn, Keys)>,
    pub(super) entries: Vec<(Lsn, u64, Vec<u8>)>,
    pub(super) position: LocalLogPosition,
}

/// Reads a folder as a restart does.
pub(super) fn content(path: &Path) -> Content {
    content_of(&Folder::claim(path).unwrap())
}

pub(super) fn content_of(folder: &Arc<Folder>) -> Content {
    let (mut snapshot, mut watermark, mut last, mut mark) = (None, 0, 0, None);
    if let Some(newest) = Snapshot::newest(folder).unwrap() {
        let mut keys = BTreeMap::new();
        for (number, section) in newest.sections().iter().enumerate() {
            watermark = section.watermark;
            newest
                .read_section(number, &mut |key, _, value| {
                    keys.insert(key.to_vec(), value.bytes().to_vec());
                })
                .unwrap();
        }
        last = newest.last();
        let batch = newest.position().unwrap().batch.unwrap();
        mark = Some(mark_of(batch.0, &batch.1));
        snapshot = Some((last, keys));
    }
    let mut entries = Vec::new();
    let folder = Arc::clone(folder);
    let (log, _) =
        FileLog::open(folder, Fsync::Never, watermark + 1, last, &mut |lsn, time, changes| {
            mark = mark_in(lsn, changes).or(mark);
            entries.push((lsn, time, changes.to_vec()));
            Ok(())
        })
        .unwrap();
    let position = LocalLogPosition { mark, lsn: log.last() };
    Content { snapshot, entries, position }
}

/// A batch of one entry.
pub(super) fn batch(seq: Seq, lsn: Lsn, changes: &[u8]) -> Committed {
    let mark = Mark { seq, epoch: 1, chain: BatchChain([seq as u8; 16]), first: lsn };
    let entries = vec![Entry { lsn, time: lsn * 10, changes: changes.to_vec() }];
    Committed { mark, entries, after: LogPosition { seq, lsn, epoch: 1, ..LogPosition::default() } }
}

/// Writes a snapshot whose sections contain all entries up to `watermark`.
pub(super) fn write_snapshot(folder: &Arc<Folder>, watermark: Lsn, last: Lsn, value: &[u8]) {
    write_snapshot_of(GROUP, folder, watermark, last, value);
}

/// As `write_snapshot`, for a node of `group`. Each entry has a batch of its own.
pub(super) fn write_snapshot_of(
    group: GroupId,
    folder: &Arc<Folder>,
    watermark: Lsn,
    last: Lsn,
    value: &[u8],
) {
    let mut writer = SnapshotWriter::create_clustered(folder).unwrap();
    writer.section(0..16384, watermark).unwrap();
    for key in 0..100_u8 {
        writer.entry(&[key], None, StoredValue::String(value)).unwrap();
    }
    let GroupId { cluster, incarnation, group } = group;
    let batch = Some((last, logged_mark(&batch(last, last, b"").mark)));
    let (epoch, slots) = (1, SlotSet::all());
    let batch_hash = None;
    let position = log::Position { cluster, group, incarnation, epoch, slots, batch, batch_hash };
    writer.finish_at(last, last * 10, Some(position)).unwrap();
    remove_older(folder, last).unwrap();
}

/// A node with data.
pub(super) struct Node {
    pub(super) path: tempfile::TempDir,
    pub(super) folder: Arc<Folder>,
    pub(super) local_log: Arc<LocalLog>,
}

impl Node {
    /// Makes a node with the entries 1 to 40, of which a snapshot contains those up to 20, and some of those up to 25.
    /// The log begins with entry 15.
    pub(super) fn new(value: &[u8]) -> Self {
        let node = Self::empty();
        for lsn in 1..15 {
            node.push(lsn);
        }
        node.local_log.log().rotate().unwrap();
        for lsn in 15..=40 {
            node.push(lsn);
        }
        node.local_log.force().unwrap();
        write_snapshot(&node.folder, 20, 25, value);
        node.local_log.drop_before(21).unwrap();
        node
    }

    pub(super) fn empty() -> Self {
        let path = tempfile::tempdir().unwrap();
        let folder = Folder::claim_on(path.path(), Arc::new(SystemDisk) as Arc<dyn Disk>).unwrap();
        let opened = FileLog::open(Arc::clone(&folder), Fsync::Never, 1, 0, &mut |_, _, _| Ok(()));
        let local_log = Arc::new(LocalLog::new(Arc::new(opened.unwrap().0), None).unwrap());
        Self { path, folder, local_log }
    }

    /// Appends an entry of some KiB in a batch of its own.
    pub(super) fn push(&self, lsn: Lsn) {
        let changes = vec![lsn as u8; 1000 * (lsn % 10) as usize];
        self.local_log.push(&batch(lsn, lsn, &changes)).unwrap();
    }

    pub(super) fn serving(&self) -> Arc<Serving> {
        let status = || PeerStatus {
            node: NODE,
            role: "follower".into(),
            epoch: 4,
            seq: 5,
            lsn: 6,
            time: 7,
            durable: DurablePosition { lsn: 8, seq: 9 },
            folder: [3; 16],
            version: "0.1.0".into(),
        };
        let data = Some((Arc::clone(&self.folder), Arc::clone(&self.local_log)));
        Arc::new(Serving {
            group: GROUP,
            node: NODE,
            status: Box::new(status),
            digest: Box::new(|time, _| if time == 0 { Err(DigestError::Late) } else { Ok(DIGEST) }),
            data: Mutex::new(data),
            deliver: Box::new(|_, _| ()),
            moves: None,
        })
    }

    pub(super) fn serve(&self) -> PeerServer {
        serve(self.serving())
    }
}

pub(super) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub(super) fn serve(serving: Arc<Serving>) -> PeerServer {
    PeerServer::start(loopback(), &PeerServerOptions::default(), serving).unwrap()
}

/// Opens more connections than a server has for peers, and sends nothing.
pub(super) fn crowd(server: SocketAddr) -> Vec<TcpStream> {
    (0..CONNECTIONS + HANDSHAKES).map(|_| TcpStream::connect(server).unwrap()).collect()
}

/// The names in a folder, but for its lock.
pub(super) fn names(path: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> = all.filter(|path| !path.ends_with("lock")).collect();
    names.sort();
    names
}
