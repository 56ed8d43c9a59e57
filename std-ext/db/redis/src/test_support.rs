//! What tests of this package and of those above it share.

use hedgerow_db_engine::clock::TimeSource;
use hedgerow_db_engine::clustered::Role;
use hedgerow_db_engine::log::manual::ManualLog;
use hedgerow_db_engine::log::{Log, OpenError};
use hedgerow_db_engine::{Db, Options, Progress};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Opens the primary of a cluster.
pub fn primary(log: &Arc<ManualLog>) -> Db {
    let shared = Arc::clone(log);
    // The clock stands still, so the background tasks log no watermark.
    let mut options = Options::in_memory();
    options.time = TimeSource::Manual(Arc::new(AtomicU64::new(500)));
    let opened = Db::open_clustered(options, None, &Progress::default(), |_| {
        Ok::<Arc<dyn Log>, OpenError>(shared)
    });
    let db = opened.unwrap();
    db.become_primary(500);
    assert_eq!(db.role(), Role::Primary);
    db
}
