//! The database as a node of a cluster: opening it with a log that nodes share, and its changes of role.

use crate::db::{self, Db};
use crate::log::file::FileLog;
use crate::log::folder::Folder;
use crate::log::{BatchMark, Log, Lsn, OpenError, Position};
use crate::options::Options;
use crate::progress::Progress;
use crate::slot_set::SlotSet;
use crate::state::State;
use crate::state::load::LoadingShards;
use std::sync::Arc;

pub use crate::state::digest::DigestSum;
pub use crate::state::digest::{Digest, DigestError, DigestPart, PARTS};
pub use crate::state::follow::{FollowError, SteppedDown};
pub use crate::state::role::Role;

/// The contents of a node's folder when the node starts.
#[non_exhaustive]
pub struct NodeContents {
    /// The folder; `None` for a node without one.
    pub folder: Option<Arc<Folder>>,
    /// The folder's log, which contains committed entries only. It ends at `last`.
    pub log: Option<FileLog>,
    /// The number of the last entry that the state contains; 0 for none.
    pub last: Lsn,
    /// The latest time of these entries, as far as the folder says; a snapshot may say a later one.
    pub time: u64,
    /// The last mark of a batch, and the number of its entry. From the log, or else from the snapshot.
    pub batch: Option<(Lsn, BatchMark)>,
    /// The position that the snapshot contains; `None` without a snapshot, or if a database on one machine wrote it.
    pub snapshot: Option<Position>,
    /// The slots that the group has got (`true`) and lost in these entries, in order. Some may be older than the
    /// snapshot, whose slots they lead to.
    pub slots: Vec<(SlotSet, bool)>,
}

impl Db {
    /// Opens a node of a cluster: loads the newest snapshot and the entries of the folder's own log, and continues with
    /// the log that `make_log` returns. The node's role is [`Role::Loading`].
    ///
    /// `folder` is the folder of the options, if the caller has claimed it already.
    ///
    /// # Errors
    /// As [`Db::open`], and those of `make_log`.
    #[doc(hidden)]
    pub fn open_clustered<E: From<OpenError>>(
        options: Options,
        folder: Option<Arc<Folder>>,
        progress: &Progress,
        make_log: impl FnOnce(NodeContents) -> Result<Arc<dyn Log>, E>,
    ) -> Result<Self, E> {
        let began = std::time::Instant::now();
        let folder = match (&options.folder, folder) {
            (_, Some(folder)) => Some(folder),
            (Some(path), None) => Some(Folder::claim(path)?),
            (None, None) => None,
        };
        let shards = LoadingShards::clustered(&options);
        let mut opened = db::Opened::default();
        let (mut log, mut found) = (None, db::FolderContents::default());
        if let Some(folder) = &folder {
            let (file, read) = db::recover(folder, &options, &shards, &mut opened, progress)?;
            (log, found) = (Some(file), read);
        }
        let last = log.as_ref().map_or(0, Log::last);
        let contents = NodeContents {
            folder: folder.clone(),
            log,
            last,
            time: found.time,
            batch: found.batch,
            snapshot: found.snapshot,
            slots: found.slots,
        };
        let log = make_log(contents)?;
        let times = (found.watermark, found.time);
        let state = Arc::new(State::clustered(shards, log, times, &options));
        opened.took = began.elapsed();
        Ok(Self::over(state, folder, options, opened))
    }

    /// Returns the node's role.
    #[doc(hidden)]
    pub fn role(&self) -> Role {
        self.state().role.get()
    }

    /// Applies committed entries in order, as a follower: their numbers, times and changes. For each entry it calls
    /// `publish_last`, while it holds the locks of the shards that the entry changes. From then on the log's `last` and
    /// `committed` must be at least this number. One thread at a time may call this.
    ///
    /// # Errors
    /// If an entry cannot be applied. The state contains all entries before it. The node must not follow on, and never
    /// become the primary.
    #[doc(hidden)]
    pub fn follow(
        &self,
        entries: &[(Lsn, u64, &[u8])],
        publish_last: &dyn Fn(Lsn),
    ) -> Result<(), FollowError> {
        self.state().follow(entries, publish_last)
    }

    /// Returns a digest of all keys as of the first watermark in the log that is not before `from`, in milliseconds
    /// since
    /// 1970. All nodes of a cluster that are asked before this watermark digest the same entry. The primary logs a
    /// watermark when its clock has reached `from`.
    ///
    /// # Errors
    /// If the watermark does not come within a time, or another digest is being taken.
    #[doc(hidden)]
    pub fn digest(&self, from: u64, within: std::time::Duration) -> Result<Digest, DigestError> {
        self.state().digest(from, within)
    }

    /// Makes a node that has caught up a follower.
    #[doc(hidden)]
    pub fn become_follower(&self) {
        self.state().become_follower();
    }

    /// Makes the node the primary. `begin` is the time of its BEGIN entry, no earlier than that of any entry since the
    /// clock was set back last. The caller makes the log writable afterwards: then every change has a time of `begin`
    /// or later.
    #[doc(hidden)]
    pub fn become_primary(&self, begin: u64) {
        self.state().become_primary(begin);
    }

    /// Makes the primary a follower. The caller has made the log unwritable before. When this returns, no change is in
    /// progress.
    ///
    /// If `last` of the result is greater than `Log::committed`, the state contains changes that the log may never get,
    /// and must be thrown away.
    #[doc(hidden)]
    pub fn step_down(&self) -> SteppedDown {
        self.state().step_down()
    }
}

#[cfg(test)]
mod tests;
