//! What the server for monitoring reports on.

use super::handles::ServerMonitor;
use super::metrics::NodeReport;
use crate::view::Views;
use hedgerow_db_engine::Progress;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

/// The source of reports over HTTP: the server if there is one, and the progress of loading before that.
#[derive(Clone, Default)]
pub(super) struct ReportSource {
    pub(super) server: Arc<OnceLock<ServerMonitor>>,
    pub(super) loading: Arc<OnceLock<Arc<Progress>>>,
    /// Whether certificates and passwords could not be read again.
    pub(super) reload_failed: Arc<AtomicBool>,
    pub(super) node: Arc<OnceLock<Box<dyn NodeReport>>>,
    pub(super) views: Arc<OnceLock<Arc<Views>>>,
}
