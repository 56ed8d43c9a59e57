//! Stands for the node of a cluster in a build without the feature: there is never one.

use crate::{EXIT_BAD_CONFIG, NO_CLUSTER, fail};
use hedgerow_db::config::{ClusterInvocation, ClusterSettings, Config};
use hedgerow_db::server::http::HttpServer;
use hedgerow_db::{Db, Progress};
use hedgerow_db_redis::view::Views;
use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;

/// The type that a node's function has.
pub(crate) type Renewer =
    Box<dyn Fn(&ClusterSettings) -> Result<Box<dyn FnOnce() + Send>, Infallible> + Send>;

pub(crate) fn administer(_: &ClusterInvocation) -> ExitCode {
    fail(NO_CLUSTER, EXIT_BAD_CONFIG)
}

pub(crate) struct Plan;

#[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "a node has something to say")]
impl Plan {
    pub(crate) fn of(_: &Config) -> Self {
        Self
    }

    pub(crate) fn views(&self) -> Option<&Arc<Views>> {
        None
    }

    pub(crate) fn start(
        self,
        _: &Config,
        _: &Progress,
        _: impl Fn() -> bool + Send + 'static,
    ) -> Result<Started, String> {
        Ok(Started)
    }
}

pub(crate) struct Started;

#[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "a node has something to say")]
impl Started {
    pub(crate) fn db(&self) -> Option<Db> {
        None
    }

    pub(crate) fn report_at(&self, _: &HttpServer) {}

    pub(crate) fn releaser(&self) -> Option<Box<dyn FnOnce() + Send>> {
        None
    }

    pub(crate) fn renewer(&self) -> Option<Renewer> {
        None
    }

    pub(crate) fn end(self) -> Result<(), String> {
        Ok(())
    }
}
