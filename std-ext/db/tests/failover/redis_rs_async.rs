//! redis-rs's asynchronous client for clusters, which programs on tokio use.

use crate::LIMIT;
use crate::writers::{Client, Writer, serve};
use redis::AsyncCommands;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_read_routing::RandomReplicaStrategy;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// How long the client waits for a reply, and for a connection.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Starts the client in a thread.
pub(crate) fn start(ports: [u16; 3]) -> Writer {
    let urls = ports.map(|port| format!("redis://127.0.0.1:{port}/"));
    Writer::in_thread("redis-rs async", move |asked, answer| {
        // The connection has tasks of its own, which go on while the thread below waits.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let builder = || {
            let builder = ClusterClient::builder(urls.clone()).retries(3).max_retry_wait(100);
            builder.connection_timeout(TIMEOUT).response_timeout(TIMEOUT)
        };
        let client = builder().build().unwrap();
        let replicas = builder().read_routing_strategy(RandomReplicaStrategy).build().unwrap();
        let connect = |client: &ClusterClient| {
            runtime.block_on(client.get_async_connection()).expect("the nodes run")
        };
        let mut connections = Connections {
            primary: connect(&client),
            replicas: connect(&replicas),
            client,
            runtime: &runtime,
        };
        serve("redis-rs-async", Duration::from_millis(5), &mut connections, &asked, &answer);
    })
}

/// A connection finds nodes that have moved by itself. To a node that is there but does not answer it sends each
/// request again, and never asks the other nodes, so a program has to connect again after a timeout.
struct Connections<'a> {
    client: ClusterClient,
    primary: ClusterConnection,
    replicas: ClusterConnection,
    runtime: &'a Runtime,
}

impl Client for Connections<'_> {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let done: Result<(), _> = self.runtime.block_on(self.primary.set(key, value));
        if done.as_ref().is_err_and(|why| why.is_timeout())
            && let Ok(again) = self.runtime.block_on(self.client.get_async_connection())
        {
            self.primary = again;
        }
        done.map_err(|why| why.to_string())
    }

    fn count(&mut self, keys: &[String], replicas: bool) -> usize {
        let end = Instant::now() + LIMIT / 2;
        let connection = if replicas { &mut self.replicas } else { &mut self.primary };
        let mut has = |key: &String| loop {
            let found = self.runtime.block_on(connection.get::<_, Option<String>>(key));
            if found.is_ok_and(|found| found.as_ref() == Some(key)) {
                return true;
            }
            // A replica may be behind.
            if Instant::now() > end {
                return false;
            }
        };
        keys.iter().filter(|key| has(key)).count()
    }
}
