//! redis-rs's asynchronous client for clusters, which programs on tokio use.

use crate::LIMIT;
use crate::writers::{Client, Writer, serve};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_read_routing::RandomReplicaStrategy;
use redis::{Cmd, FromRedisValue, RedisError, RedisResult};
use std::io::ErrorKind::TimedOut;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// How long the client waits for a reply, and for a connection.
const TIMEOUT: Duration = Duration::from_millis(500);
/// How long the program waits for the client, which sends a request up to four times.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);

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
        let replicas = builder().read_routing_strategy(RandomReplicaStrategy);
        let clients = [builder(), replicas].map(|builder| builder.build().unwrap());
        let open = [0, 1].map(|which| {
            let connecting = clients[which].get_async_connection();
            runtime.block_on(connecting).expect("the nodes run")
        });
        let mut connections = Connections { clients, open, runtime };
        serve("redis-rs-async", Duration::from_millis(5), &mut connections, &asked, &answer);
    })
}

/// A connection finds nodes that have moved by itself. But a program has to connect again after a timeout, and must
/// limit the time of each call by itself:
///
/// - To a node that is there but does not answer, the client sends each request again, and never asks the other nodes.
/// - In redis-rs 1.8.1 a task that connects to a lost node again and a refresh of the slots can wait for each other.
///   Then no call of this connection ends any more, also not by the client's own timeouts.
struct Connections {
    /// One that reads from the primary, and one that reads from replicas.
    clients: [ClusterClient; 2],
    /// A connection of each.
    open: [ClusterConnection; 2],
    runtime: Runtime,
}

impl Connections {
    /// Waits for a call of a client, but not for ever.
    fn wait<T>(&self, call: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
        let ended = self.runtime.block_on(async { timeout(CALL_TIMEOUT, call).await });
        ended.unwrap_or_else(|_| Err(std::io::Error::from(TimedOut).into()))
    }

    /// Sends a command by one of the connections, which is replaced after a timeout.
    fn send<T: FromRedisValue>(&mut self, which: usize, command: &Cmd) -> RedisResult<T> {
        let mut connection = self.open[which].clone();
        let done = self.wait(command.query_async(&mut connection));
        if done.as_ref().is_err_and(RedisError::is_timeout)
            && let Ok(again) = self.wait(self.clients[which].get_async_connection())
        {
            self.open[which] = again;
        }
        done
    }
}

impl Client for Connections {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        self.send::<()>(0, &Cmd::set(key, value)).map_err(|why| why.to_string())
    }

    fn count(&mut self, keys: &[String], replicas: bool) -> usize {
        let end = Instant::now() + LIMIT / 2;
        let mut has = |key: &String| loop {
            let found = self.send::<Option<String>>(usize::from(replicas), &Cmd::get(key));
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
