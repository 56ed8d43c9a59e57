//! The node of a cluster that this process may be.

use crate::{EXIT_FAILED, explain_open_error, fail, print};
use hedgerow_db::cluster::node::{self, Node};
use hedgerow_db::config::{ClusterInvocation, ClusterSettings, Config};
use hedgerow_db::server::http::HttpServer;
use hedgerow_db::{Db, Progress};
use hedgerow_db_redis::view::Views;
use std::process::ExitCode;
use std::sync::Arc;

pub(crate) use hedgerow_db::cluster::node::Renewer;

/// Nothing that a command of `hedgerow-db cluster` looked at is wrong, but it could not look at everything.
const EXIT_INCOMPLETE: u8 = 3;

/// Runs a command of `hedgerow-db cluster`.
pub(crate) fn administer(asked: &ClusterInvocation) -> ExitCode {
    let done = hedgerow_db::cluster::admin::run(asked);
    print(&done.out);
    match done.failed {
        Some(why) => fail(&why, EXIT_FAILED),
        None if done.healthy => ExitCode::SUCCESS,
        None if done.incomplete => ExitCode::from(EXIT_INCOMPLETE),
        None => ExitCode::from(EXIT_FAILED),
    }
}

/// What the server needs of a node before the node starts.
pub(crate) struct Plan(Option<(Arc<Views>, ClusterSettings)>);

impl Plan {
    /// Returns what a configuration asks for: a node, or a database on one machine.
    pub(crate) fn of(config: &Config) -> Self {
        Self(config.cluster().map(|settings| (node::views(&settings), settings)))
    }

    /// Returns the cell in which the node shows its cluster.
    pub(crate) fn views(&self) -> Option<&Arc<Views>> {
        self.0.as_ref().map(|(views, _)| views)
    }

    /// Starts the node, if there is to be one. Waits until etcd answers. `stop` stops the server, and returns whether
    /// there is one.
    pub(crate) fn start(
        self,
        config: &Config,
        progress: &Progress,
        stop: impl Fn() -> bool + Send + 'static,
    ) -> Result<Started, String> {
        let Some((views, settings)) = self.0 else { return Ok(Started(None)) };
        let started = Node::start(&settings, config.options(), views, progress, stop);
        let started = started.map_err(|why| match why.open_error() {
            Some(why) => explain_open_error(why),
            None => why.to_string(),
        });
        Ok(Started(Some(started?)))
    }
}

/// The node, if there is one.
pub(crate) struct Started(Option<Node>);

impl Started {
    pub(crate) fn db(&self) -> Option<Db> {
        self.0.as_ref().map(|node| node.db().clone())
    }

    /// Adds the node to what is reported over HTTP.
    pub(crate) fn report_at(&self, http: &HttpServer) {
        if let Some(node) = &self.0 {
            http.set_node(node.monitor());
        }
    }

    /// Returns what releases the group, before the server stops.
    pub(crate) fn releaser(&self) -> Option<Box<dyn FnOnce() + Send>> {
        self.0.as_ref().map(Node::releaser)
    }

    /// Returns what reads certificates and passwords again.
    pub(crate) fn renewer(&self) -> Option<Renewer> {
        self.0.as_ref().map(Node::renewer)
    }

    /// Stops the node, after the server has stopped.
    pub(crate) fn end(self) -> Result<(), String> {
        self.0.map_or(Ok(()), Node::end)
    }
}
