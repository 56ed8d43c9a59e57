//! redis-rs's client for clusters.

use crate::LIMIT;
use crate::writers::{Client, Writer, serve};
use redis::Commands;
use redis::cluster::{ClusterClient, ClusterConnection};
use redis::cluster_read_routing::RandomReplicaStrategy;
use std::time::{Duration, Instant};

/// How long the client waits for a reply.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Starts the client in a thread.
pub(crate) fn start(ports: [u16; 3]) -> Writer {
    let urls = ports.map(|port| format!("redis://127.0.0.1:{port}/"));
    Writer::in_thread("redis-rs", move |asked, answer| {
        let client = || {
            let builder = ClusterClient::builder(urls.clone()).retries(3).max_retry_wait(100);
            builder.connection_timeout(TIMEOUT)
        };
        let mut connections = Connections {
            primary: client().build().unwrap(),
            replicas: client().read_routing_strategy(RandomReplicaStrategy).build().unwrap(),
            connection: None,
        };
        serve("redis-rs", Duration::from_millis(5), &mut connections, &asked, &answer);
    })
}

/// The client, and its connection to the nodes.
///
/// A blocking connection reads the list of nodes again when a node sends it elsewhere, but not when a node is dead. So
/// an error of the network ends it, as it does in a pool of connections, and the client makes another one.
struct Connections {
    primary: ClusterClient,
    replicas: ClusterClient,
    connection: Option<ClusterConnection>,
}

impl Connections {
    fn connection(&mut self, replicas: bool) -> Result<&mut ClusterConnection, redis::RedisError> {
        if self.connection.is_none() {
            let client = if replicas { &self.replicas } else { &self.primary };
            let connection = client.get_connection()?;
            connection.set_read_timeout(Some(TIMEOUT))?;
            self.connection = Some(connection);
        }
        Ok(self.connection.as_mut().expect("it was made above"))
    }
}

impl Client for Connections {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let result = self.connection(false).and_then(|connection| connection.set(key, value));
        result.map_err(|why| {
            self.connection = None;
            why.to_string()
        })
    }

    fn count(&mut self, keys: &[String], replicas: bool) -> usize {
        let end = Instant::now() + LIMIT / 2;
        self.connection = None;
        let has = |connections: &mut Self, key: &String| loop {
            let found: Result<Option<String>, _> = connections
                .connection(replicas)
                .and_then(|connection| connection.get(key.as_str()));
            match found {
                Ok(found) if found.as_ref() == Some(key) => return true,
                Ok(_) => {}
                Err(_) => connections.connection = None,
            }
            // A replica may be behind.
            if Instant::now() > end {
                return false;
            }
        };
        keys.iter().filter(|key| has(self, key)).count()
    }
}
