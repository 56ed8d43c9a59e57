//! Feeds arbitrary messages to a node that fetches a peer's data. Each is taken or refused. If the fetch can be
//! finished, the folder that is made of it opens, and ends where the fetch said.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow_db::cluster::peer::entries;
use hedgerow_db::cluster::peer::identity::GroupId;
use hedgerow_db::cluster::peer::install;
use hedgerow_db::cluster::peer::receive::Receiver;
use hedgerow_db::cluster::peer::wire::fetch_response::Part;
use hedgerow_db::cluster::peer::wire::{
    Chunk, FetchRequest, FetchResponse, Identity, Manifest, Reached, StatusRequest, StatusResponse,
};
use hedgerow_db::log::file::FileLog;
use hedgerow_db::log::folder::Folder;
use hedgerow_db::log::{Fsync, Log};
use hedgerow_db::request::StoredValue;
use hedgerow_db::snapshot::{Snapshot, SnapshotWriter};
use libfuzzer_sys::fuzz_target;
use prost::Message;
use std::path::Path;

const GROUP: GroupId = GroupId { cluster: [7; 16], incarnation: 3, group: 0 };

#[derive(Arbitrary, Debug)]
struct Script<'a> {
    /// The snapshot: its floor, how far it reaches behind that, and its values.
    snapshot: Option<(u8, u8, Vec<&'a [u8]>)>,
    /// Whether the peer says what is right, before it sends this.
    honest: bool,
    steps: Vec<Step<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// The bytes of a message.
    Raw(&'a [u8]),
    /// Its number, its bytes, the first entry, and whether it is of this group.
    Manifest(u8, u16, u8, bool),
    /// A piece of the snapshot: offset and length, or that which is next.
    Snapshot(Option<u16>, u16, u8),
    /// Entries: the first number, or that which is next, and their changes. The bytes are harmed.
    Entries(Option<u8>, Vec<&'a [u8]>, Option<(u16, u8)>),
    /// Bytes of the log as they are.
    Log(&'a [u8]),
    /// The last entry, or that which was sent.
    Reached(Option<u8>),
}

fn chunk(offset: u64, data: &[u8]) -> Chunk {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&offset.to_le_bytes());
    crc.update(data);
    Chunk { offset, data: data.to_vec().into(), crc: crc.finalize() }
}

fn manifest(lsn: u64, bytes: u64, first: u64, ours: bool) -> Part {
    let cluster = vec![if ours { 7 } else { 8 }; 16].into();
    let of = Identity { cluster, incarnation: 3, group: 0, node: vec![1; 20].into() };
    Part::Manifest(Manifest { of: Some(of), snapshot_lsn: lsn, snapshot_bytes: bytes, first })
}

/// Returns the bytes of a snapshot, its floor, and the last entry that it contains a part of.
fn snapshot(script: &Script<'_>, path: &Path) -> (Vec<u8>, u64, u64) {
    let Some((floor, more, values)) = &script.snapshot else { return (Vec::new(), 0, 0) };
    let (floor, last) = (u64::from(*floor), u64::from(*floor) + u64::from(*more));
    let folder = Folder::claim(path).expect("nobody has it");
    let mut writer = SnapshotWriter::create(&folder).expect("there is room");
    writer.section(0..16384, floor).expect("the slots are in order");
    for (key, value) in values.iter().enumerate() {
        writer.entry(&key.to_le_bytes(), None, StoredValue::String(value)).expect("there is room");
    }
    writer.finish(last, 1).expect("there is room");
    let file = path.join(format!("snapshot-{last:020}"));
    (std::fs::read(file).expect("it was written"), floor, last)
}

/// How much was sent so far.
struct Sent {
    snapshot: u64,
    log: u64,
    next: u64,
}

fn part(step: &Step<'_>, whole: &[u8], sent: &mut Sent) -> Option<FetchResponse> {
    let part = match step {
        Step::Raw(bytes) => return FetchResponse::decode(*bytes).ok(),
        Step::Manifest(lsn, bytes, first, ours) => {
            manifest((*lsn).into(), (*bytes).into(), (*first).into(), *ours)
        }
        Step::Snapshot(offset, length, with) => {
            let offset = offset.map_or(sent.snapshot, u64::from);
            let rest = whole.get(offset as usize..).unwrap_or_default();
            let mut data = rest[..rest.len().min(usize::from(*length))].to_vec();
            data.iter_mut().take(1).for_each(|byte| *byte ^= with & (with >> 4));
            sent.snapshot = offset + data.len() as u64;
            Part::Snapshot(chunk(offset, &data))
        }
        Step::Entries(first, all, harm) => {
            let (first, mut bytes) = (first.map_or(sent.next, u64::from), Vec::new());
            for (lsn, changes) in (first..).zip(all) {
                entries::encode(lsn, 1, changes, &mut bytes);
                sent.next = lsn + 1;
            }
            if let Some((at, with)) = harm {
                let length = bytes.len().max(1);
                bytes
                    .iter_mut()
                    .skip(usize::from(*at) % length)
                    .take(1)
                    .for_each(|byte| *byte ^= with);
            }
            let chunk = chunk(sent.log, &bytes);
            sent.log += bytes.len() as u64;
            Part::Log(chunk)
        }
        Step::Log(bytes) => {
            let chunk = chunk(sent.log, bytes);
            sent.log += bytes.len() as u64;
            Part::Log(chunk)
        }
        Step::Reached(lsn) => Part::Reached(Reached { lsn: lsn.map_or(sent.next - 1, u64::from) }),
    };
    Some(FetchResponse { part: Some(part) })
}

fuzz_target!(|script: Script<'_>| {
    let memory = Path::new("/dev/shm");
    let folder = || {
        if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
    };
    let (theirs, ours) = (folder(), folder());
    let (whole, floor, last) = snapshot(&script, theirs.path());
    let mut sent = Sent { snapshot: 0, log: 0, next: floor + 1 };
    let mut parts = Vec::new();
    if script.honest {
        parts.push(manifest(last, whole.len() as u64, floor + 1, true));
        parts.extend((!whole.is_empty()).then(|| Part::Snapshot(chunk(0, &whole))));
        sent.snapshot = whole.len() as u64;
    }
    let mut first = parts.iter().find_map(|part| match part {
        Part::Manifest(manifest) => Some(manifest.first),
        _ => None,
    });
    let begin = parts.into_iter().map(|part| FetchResponse { part: Some(part) });
    let mut receiver = Receiver::create(ours.path(), GROUP, 1 << 16).expect("there is room");
    for response in begin {
        receiver.receive(response).expect("it is right");
    }
    for step in &script.steps {
        if let Step::Raw(bytes) = step {
            // The messages that a server reads.
            let _ = (FetchRequest::decode(*bytes), StatusRequest::decode(*bytes));
            let _ = StatusResponse::decode(*bytes);
        }
        let Some(response) = part(step, &whole, &mut sent) else { continue };
        if let Some(Part::Manifest(manifest)) = &response.part {
            first = first.or(Some(manifest.first));
        }
        if receiver.receive(response).is_err() {
            break;
        }
    }
    let Ok(position) = receiver.finish() else {
        assert!(!ours.path().join("resync").exists(), "a fetch that failed leaves something");
        return;
    };
    let folder = Folder::claim(ours.path()).expect("nobody has it");
    assert!(install(&folder).expect("there is room"));
    let snapshot = Snapshot::newest(&folder).expect("it was checked");
    let above = snapshot.map_or(0, |snapshot| snapshot.last());
    let from = first.expect("there was a manifest");
    let opened = FileLog::open(folder, Fsync::Never, from, above, &mut |_, _, _| Ok(()));
    let (log, _) = opened.expect("it was checked");
    assert_eq!(log.last(), position.lsn);
});
