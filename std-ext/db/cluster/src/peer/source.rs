//! The parts that `Fetch` sends: the newest snapshot of a folder, then the entries of its local log.
//!
//! The file of the snapshot is open, and the local log keeps the entries, until this is dropped. So neither a new
//! snapshot nor trimming takes away what is being sent. All of this blocks.

use super::entries;
use super::limits::CHUNK;
use super::wire::fetch_response::Part;
use super::wire::{Chunk, Identity, Manifest, Reached};
use crate::log::local_log::{LocalLog, LocalLogError, LocalRecords};
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_engine::log::{Lsn, OpenError};
use hedgerow_db_engine::snapshot::{SectionInfo, Snapshot};
use hedgerow_db_formats::crc32;
use hedgerow_db_formats::slots::SLOTS;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;
use std::sync::Arc;

/// How often the newest snapshot may be replaced while it is being opened.
const ATTEMPTS: usize = 10;

/// The parts that a peer gets, in order.
pub(super) struct SnapshotSource {
    manifest: Option<Manifest>,
    snapshot: Option<SnapshotFile>,
    records: LocalRecords,
    /// Encoded entries, of which the first `sent` bytes were sent.
    encoded: Vec<u8>,
    sent: usize,
    /// Bytes of entries that were sent.
    offset: u64,
    folder: PathBuf,
}

/// The snapshot's file.
struct SnapshotFile {
    file: File,
    offset: u64,
    bytes: u64,
}

impl SnapshotSource {
    /// Opens the newest snapshot and the entries that it needs.
    pub(super) fn open(
        of: Identity,
        folder: &Arc<Folder>,
        local_log: &LocalLog,
    ) -> Result<Self, LocalLogError> {
        // From here on no entry is removed, so none that the snapshot needs.
        let pin = local_log.pin();
        let newest = open_newest(folder)?;
        let (snapshot_lsn, watermark) = newest.as_ref().map_or((0, 0), |(snapshot, _)| {
            (snapshot.last(), least_watermark(snapshot.sections()))
        });
        let records = local_log.read_from(watermark + 1)?;
        drop(pin);
        let snapshot = newest.map(|(snapshot, file)| SnapshotFile {
            file,
            offset: 0,
            bytes: snapshot.bytes(),
        });
        let manifest = Manifest {
            of: Some(of),
            snapshot_lsn,
            snapshot_bytes: snapshot.as_ref().map_or(0, |sending| sending.bytes),
            first: watermark + 1,
        };
        Ok(Self {
            manifest: Some(manifest),
            snapshot,
            records,
            encoded: Vec::new(),
            sent: 0,
            offset: 0,
            folder: folder.path().into(),
        })
    }

    /// Returns the next part; none if there is no further entry yet.
    pub(super) fn next(&mut self) -> Result<Option<Part>, LocalLogError> {
        if let Some(manifest) = self.manifest.take() {
            return Ok(Some(Part::Manifest(manifest)));
        }
        if let Some(sending) = &mut self.snapshot {
            let folder = &self.folder;
            let chunk = sending.next().map_err(|why| OpenError::Io(folder.clone(), why))?;
            if let Some(chunk) = chunk {
                return Ok(Some(Part::Snapshot(chunk)));
            }
            self.snapshot = None;
        }
        // Whole entries are encoded and then cut, since one may be longer than a chunk.
        if self.sent == self.encoded.len() {
            self.encoded.clear();
            self.sent = 0;
            for record in self.records.read(CHUNK)? {
                entries::encode(record.lsn, record.time, &record.changes, &mut self.encoded);
            }
            if self.encoded.is_empty() {
                return Ok(None);
            }
        }
        let end = self.encoded.len().min(self.sent + CHUNK);
        let chunk = chunk(self.offset, self.encoded[self.sent..end].to_vec());
        self.offset += (end - self.sent) as u64;
        self.sent = end;
        Ok(Some(Part::Log(chunk)))
    }

    /// Returns what says that all entries were sent.
    pub(super) fn reached(&self) -> Part {
        Part::Reached(Reached { lsn: self.records.next_lsn() - 1 })
    }
}

impl SnapshotFile {
    fn next(&mut self) -> std::io::Result<Option<Chunk>> {
        let left = self.bytes - self.offset;
        if left == 0 {
            return Ok(None);
        }
        let mut data = vec![0; left.min(CHUNK as u64) as usize];
        self.file.read_exact(&mut data)?;
        let chunk = chunk(self.offset, data);
        self.offset += chunk.data.len() as u64;
        Ok(Some(chunk))
    }
}

fn chunk(offset: u64, data: Vec<u8>) -> Chunk {
    let crc = chunk_crc(offset, &data);
    Chunk { offset, data: data.into(), crc }
}

/// Returns the checksum of a chunk.
pub(super) fn chunk_crc(offset: u64, data: &[u8]) -> u32 {
    crc32::after(crc32::of(&offset.to_le_bytes()), data)
}

/// Opens the newest snapshot and its file. Tries again if a newer one has replaced it meanwhile.
fn open_newest(folder: &Arc<Folder>) -> Result<Option<(Snapshot, File)>, OpenError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let opened = Snapshot::newest_complete(folder).and_then(|newest| {
            let Some(snapshot) = newest else { return Ok(None) };
            let file = folder.disk().read(snapshot.file());
            let file = file.map_err(|why| OpenError::Io(snapshot.file().into(), why))?;
            Ok(Some((snapshot, file)))
        });
        match opened {
            Err(OpenError::Io(_, why))
                if why.kind() == ErrorKind::NotFound && attempts < ATTEMPTS => {}
            opened => return opened,
        }
    }
}

/// Returns the last entry up to which the sections contain all entries, for all slots.
pub(crate) fn least_watermark(sections: &[SectionInfo]) -> Lsn {
    let covered = sections
        .iter()
        .fold(0, |end, section| if section.slots.start == end { section.slots.end } else { end });
    // The snapshot lacks some slots, so the whole log is needed.
    if covered < SLOTS {
        return 0;
    }
    sections.iter().map(|section| section.watermark).min().unwrap_or(0)
}
