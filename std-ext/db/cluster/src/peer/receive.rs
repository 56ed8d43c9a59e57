//! Takes what a peer sends, checks all of it, and makes a folder of it that can be opened.
//!
//! Everything goes to the subfolder `resync` of the node's folder: the snapshot under its final name, and the
//! entries as a log of their own. A finished folder has the file `complete`; an unfinished one is removed.

use super::entries::{Arrived, EntryDecoder};
use super::error::PeerError;
use super::identity::GroupId;
use super::source::{chunk_crc, least_watermark};
use super::wire::fetch_response::Part;
use super::wire::{Chunk, FetchResponse, Manifest, Reached};
use crate::log::local_log::LocalLogPosition;
use crate::log::local_log::position::{mark_in, mark_of};
use hedgerow_db_engine::log::disk::DiskFile;
use hedgerow_db_engine::log::file::FileLog;
use hedgerow_db_engine::log::folder::{Folder, LOCK, numbered_name};
use hedgerow_db_engine::log::{Fsync, Log, Lsn, OpenError, Position};
use hedgerow_db_engine::snapshot::{self, Snapshot};
use hedgerow_db_group::Mark;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The subfolder.
pub(super) const STAGING: &str = "resync";
/// The file that says that the subfolder is complete.
pub(super) const COMPLETE: &str = "complete";
/// The file that takes its place while the folder's files are replaced.
pub(super) const MOVING: &str = "moving";
/// The temporary name of the snapshot.
const FETCHED: &str = "fetched.new";
/// The snapshot is synced each time that this much was written, so that the last sync is short.
const SYNC_STRIDE: u64 = 16 << 20;

/// Takes the parts of one fetch in order. Dropping it before [`finish`](Self::finish) removes the subfolder.
pub struct Receiver {
    group: GroupId,
    /// Bytes that may still be written.
    room: u64,
    staging: Arc<Folder>,
    stage: ReceiveStage,
    finished: bool,
}

enum ReceiveStage {
    Manifest,
    Snapshot(IncomingSnapshot),
    Log(Box<ReceivedEntries>),
    /// A part was refused: nothing further is taken.
    Refused,
}

/// The snapshot, as far as it has arrived.
struct IncomingSnapshot {
    file: Arc<dyn DiskFile>,
    lsn: Lsn,
    bytes: u64,
    first: Lsn,
    offset: u64,
    synced: u64,
}

/// The entries, as far as they have arrived.
struct ReceivedEntries {
    log: FileLog,
    decoder: EntryDecoder,
    offset: u64,
    snapshot_lsn: Lsn,
    mark: Option<Mark>,
}

impl Receiver {
    /// Makes the subfolder of `folder`, empty. At most `most_bytes` are written to it.
    ///
    /// # Errors
    /// If it cannot be made, or another fetch is writing it.
    pub fn create(folder: &Path, group: GroupId, most_bytes: u64) -> Result<Self, PeerError> {
        let path = folder.join(STAGING);
        let staging = Folder::claim(&path).map_err(disk_error)?;
        let disk = staging.disk();
        let names = disk.list(&path)?;
        if names.iter().any(|name| name == MOVING) {
            let why = "an earlier fetch was only partly installed; restart the node";
            return Err(PeerError::Disk(io::Error::other(why)));
        }
        // First the marker: without the files, a restart must not find it.
        let complete = names.iter().filter(|name| *name == COMPLETE);
        // The lock is held by its file, which stays.
        let others = names.iter().filter(|name| *name != COMPLETE && *name != LOCK);
        for name in complete.chain(others) {
            disk.remove(&staging.at(name))?;
            disk.sync_folder(&path)?;
        }
        Ok(Self {
            group,
            room: most_bytes,
            staging,
            stage: ReceiveStage::Manifest,
            finished: false,
        })
    }

    /// Takes a part.
    ///
    /// # Errors
    /// [`PeerError`] says what is wrong with it, or with the disk. Nothing further is taken then.
    pub fn receive(&mut self, response: FetchResponse) -> Result<(), PeerError> {
        let part = response.part.ok_or(PeerError::Invalid("a part is empty"));
        // Stays so if the part is refused.
        let stage = std::mem::replace(&mut self.stage, ReceiveStage::Refused);
        self.stage = match (stage, part?) {
            (ReceiveStage::Manifest, Part::Manifest(manifest)) => self.begin(&manifest)?,
            (ReceiveStage::Snapshot(incoming), Part::Snapshot(chunk)) => {
                self.take_room(&chunk)?;
                self.snapshot(incoming, &chunk)?
            }
            (ReceiveStage::Log(mut entries), Part::Log(chunk)) => {
                self.take_room(&chunk)?;
                entries.take(&chunk)?;
                ReceiveStage::Log(entries)
            }
            (ReceiveStage::Log(entries), Part::Reached(Reached { lsn })) => {
                entries.check_reached(lsn)?;
                ReceiveStage::Log(entries)
            }
            (ReceiveStage::Refused, _) => {
                return Err(PeerError::Invalid("an earlier part was refused"));
            }
            _ => return Err(PeerError::Invalid("a part is out of order")),
        };
        Ok(())
    }

    /// Returns the place from which a folder with the parts so far continues. None while it cannot be opened: parts of
    /// the snapshot, or entries that the snapshot needs, are missing.
    pub fn position(&self) -> Option<LocalLogPosition> {
        let ReceiveStage::Log(entries) = &self.stage else { return None };
        let lsn = entries.decoder.next_lsn() - 1;
        (lsn >= entries.snapshot_lsn).then_some(LocalLogPosition { mark: entries.mark, lsn })
    }

    /// Completes the subfolder: all is on the disk then. An entry that has arrived in part is left out.
    ///
    /// # Errors
    /// If there is no [`position`](Self::position) yet, or the disk fails.
    pub fn finish(mut self) -> Result<LocalLogPosition, PeerError> {
        let Some(position) = self.position() else {
            return Err(PeerError::Invalid("the end is missing"));
        };
        if let ReceiveStage::Log(entries) = &self.stage {
            entries.log.close()?;
        }
        let (disk, staging) = (self.staging.disk(), &self.staging);
        disk.sync_folder(staging.path())?;
        // Last: it vouches for all other files, also after a loss of power.
        disk.create(&staging.at(COMPLETE))?.sync()?;
        disk.sync_folder(staging.path())?;
        self.finished = true;
        Ok(position)
    }

    /// Checks a chunk before it is stored.
    fn take_room(&mut self, chunk: &Chunk) -> Result<(), PeerError> {
        if chunk.data.is_empty() {
            return Err(PeerError::Invalid("a chunk is empty"));
        }
        if chunk_crc(chunk.offset, &chunk.data) != chunk.crc {
            return Err(PeerError::Invalid("a chunk has a wrong checksum"));
        }
        let rest = self.room.checked_sub(chunk.data.len() as u64);
        self.room = rest.ok_or(PeerError::Invalid("it is more than this node accepts"))?;
        Ok(())
    }

    fn begin(&self, manifest: &Manifest) -> Result<ReceiveStage, PeerError> {
        self.group.check(manifest.of.as_ref()).map_err(PeerError::OtherGroup)?;
        let &Manifest { snapshot_lsn, snapshot_bytes, first, .. } = manifest;
        if first == 0 || first > snapshot_lsn.saturating_add(1) || snapshot_lsn >= Lsn::MAX - 1 {
            return Err(PeerError::Invalid("entries after the snapshot are missing"));
        }
        if snapshot_bytes == 0 {
            // A node that has never written a snapshot sends its whole log.
            return if snapshot_lsn == 0 {
                self.entries(first, 0, None)
            } else {
                Err(PeerError::Invalid("the snapshot is empty"))
            };
        }
        let file = self.staging.disk().create(&self.staging.at(FETCHED))?;
        let (lsn, bytes) = (snapshot_lsn, snapshot_bytes);
        Ok(ReceiveStage::Snapshot(IncomingSnapshot {
            file,
            lsn,
            bytes,
            first,
            offset: 0,
            synced: 0,
        }))
    }

    fn snapshot(
        &self,
        mut incoming: IncomingSnapshot,
        chunk: &Chunk,
    ) -> Result<ReceiveStage, PeerError> {
        let length = chunk.data.len() as u64;
        if chunk.offset != incoming.offset {
            return Err(PeerError::Invalid("a chunk of the snapshot is missing"));
        }
        if length > incoming.bytes - incoming.offset {
            return Err(PeerError::Invalid("the snapshot is longer than it said"));
        }
        incoming.file.write(&chunk.data)?;
        incoming.offset += length;
        if incoming.offset < incoming.bytes {
            if incoming.offset - incoming.synced >= SYNC_STRIDE {
                incoming.file.sync()?;
                incoming.synced = incoming.offset;
            }
            return Ok(ReceiveStage::Snapshot(incoming));
        }
        incoming.file.sync()?;
        self.check_snapshot(&incoming)
    }

    /// Names the snapshot and reads all of it.
    fn check_snapshot(&self, incoming: &IncomingSnapshot) -> Result<ReceiveStage, PeerError> {
        let &IncomingSnapshot { lsn, first, .. } = incoming;
        let staging = &self.staging;
        let name = staging.at(&numbered_name(snapshot::NAME, lsn));
        staging.disk().rename(&staging.at(FETCHED), &name)?;
        let missing = PeerError::Invalid("the snapshot is missing");
        let snapshot = Snapshot::newest(staging).map_err(damaged)?.ok_or(missing)?;
        // All of it, because the node will give up its own data for it.
        for number in 0..snapshot.sections().len() {
            snapshot.read_section(number, &mut |_, _, _| {}).map_err(damaged)?;
        }
        if first > least_watermark(snapshot.sections()).saturating_add(1) {
            return Err(PeerError::Invalid("entries are missing that the snapshot needs"));
        }
        let mut mark = None;
        if let Some(position) = snapshot.position() {
            let Position { cluster, incarnation, group, .. } = *position;
            // Of an earlier incarnation: the peer, which is of this one, has compared it with the log.
            let kept = incarnation <= self.group.incarnation;
            if !kept || (GroupId { cluster, group, ..self.group }) != self.group {
                return Err(PeerError::OtherGroup("the peer's snapshot is of another group"));
            }
            mark = position.batch.as_ref().map(|(first, mark)| mark_of(*first, mark));
        }
        self.entries(first, lsn, mark)
    }

    /// Begins the log with the entry `first`.
    fn entries(
        &self,
        first: Lsn,
        snapshot_lsn: Lsn,
        mark: Option<Mark>,
    ) -> Result<ReceiveStage, PeerError> {
        let staging = Arc::clone(&self.staging);
        // `finish` syncs: until then the directory counts for nothing.
        let opened = FileLog::open(staging, Fsync::Never, first, first - 1, &mut |_, _, _| Ok(()));
        let (log, _) = opened.map_err(disk_error)?;
        let decoder = EntryDecoder::new(first);
        Ok(ReceiveStage::Log(Box::new(ReceivedEntries {
            log,
            decoder,
            offset: 0,
            snapshot_lsn,
            mark,
        })))
    }
}

impl ReceivedEntries {
    fn take(&mut self, chunk: &Chunk) -> Result<(), PeerError> {
        if chunk.offset != self.offset {
            return Err(PeerError::Invalid("a chunk of the log is missing"));
        }
        self.offset += chunk.data.len() as u64;
        self.decoder.push(&chunk.data);
        while let Some(Arrived { lsn, time, changes }) = self.decoder.entry()? {
            self.mark = mark_in(lsn, changes).or(self.mark);
            self.log.append(time, changes)?;
        }
        self.log.commit(self.log.last())?;
        Ok(())
    }

    /// Checks what says that all entries were sent.
    fn check_reached(&self, lsn: Lsn) -> Result<(), PeerError> {
        let next = self.decoder.next_lsn();
        if !self.decoder.is_empty() || lsn != next - 1 {
            return Err(PeerError::Gap { wanted: next, found: lsn.saturating_add(1) });
        }
        if lsn < self.snapshot_lsn {
            return Err(PeerError::Invalid("its log ends before its snapshot"));
        }
        Ok(())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if !self.finished {
            // The log has a file open in the folder.
            self.stage = ReceiveStage::Refused;
            // If this fails, the next start removes it.
            let _ = fs::remove_dir_all(self.staging.path());
        }
    }
}

fn damaged(why: OpenError) -> PeerError {
    match why {
        OpenError::Io(..) => disk_error(why),
        why => PeerError::Damaged(why),
    }
}

fn disk_error(why: OpenError) -> PeerError {
    match why {
        OpenError::Io(_, why) => PeerError::Disk(why),
        why => PeerError::Disk(io::Error::other(why)),
    }
}
