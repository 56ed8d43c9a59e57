//! The gRPC server: its threads, its limits, and how it stops.
//!
//! Each thread has a runtime of its own, and a connection stays on its thread. So a connection's calls are executed
//! where its socket is written: responses that are ready together leave in one system call. A runtime of several
//! threads would hand nearly every call to another thread, wake that one, and write each response by itself.
//!
//! tonic's server has the certificates with which it was made. So when they are read again, each thread makes another
//! server for the connections from then on, and the ones before go on with their own.

use super::access::authenticate;
use super::api;
use super::api::database_server::DatabaseServer;
use super::bounds::{Accepted, Bounded, ToServer, ToThread, accept, incoming};
use super::service::Service;
use crate::grpc::options::GrpcOptions;
use futures_util::future::select;
use hedgerow_db_engine::db::Db;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_redis::config::ServerConfig;
use hedgerow_db_redis::limits::{GRPC_CALLS, GRPC_WATCHES};
use hedgerow_db_redis::server::RuntimeConfig;
use hedgerow_db_redis::server::Server as RespServer;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::Request;
use tonic::transport::Server;

/// How long a shutdown waits for the threads of watches.
const WATCH_SHUTDOWN: Duration = Duration::from_secs(1);
/// How much longer a shutdown waits for a thread that executes a call.
const BUSY_SHUTDOWN: Duration = Duration::from_secs(1);
/// How often a shutdown checks whether the threads have ended.
const SHUTDOWN_POLL: Duration = Duration::from_millis(2);

/// A running gRPC server. Dropping it shuts the server down: pending calls are completed, at the latest after
/// [`shutdown_timeout`](GrpcOptions::shutdown_timeout). If a single operation still occupies a thread two seconds
/// later, nobody waits for the thread, and it ends behind the operation.
#[derive(Debug)]
pub struct GrpcServer {
    address: SocketAddr,
    stop: Option<watch::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
    /// How long a shutdown waits for the threads.
    within: Duration,
    reloader: GrpcReloader,
}

/// Replaces the certificates of a gRPC server.
#[derive(Clone, Debug, Default)]
pub struct GrpcReloader {
    speaks_tls: bool,
    threads: Vec<(Handle, Thread)>,
}

impl GrpcReloader {
    /// Checks other certificates. The returned function uses them for new connections; those that exist go on. Whether
    /// there is TLS does not change.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn prepare(&self, options: GrpcOptions) -> io::Result<impl FnOnce() + Send + use<>> {
        let (server, threads) = (secured(options)?, self.threads.clone());
        let speaks_tls = self.speaks_tls;
        Ok(move || {
            if speaks_tls {
                for (runtime, thread) in threads {
                    thread.begin(server.clone(), &runtime);
                }
            }
        })
    }
}

impl GrpcServer {
    /// Serves a database at an address.
    ///
    /// # Errors
    /// If the address cannot be bound, or the certificates cannot be used.
    pub fn start(db: Db, address: impl ToSocketAddrs, options: GrpcOptions) -> io::Result<Self> {
        let mut config = ServerConfig::default();
        config.password.clone_from(&options.password);
        config.protected_mode = false;
        config.max_clients = options.max_clients;
        config.timeout = options.timeout;
        config.query_buffer_limit = options.query_buffer_limit;
        config.output.hard = options.output_buffer_limit;
        Self::start_with(db, address, options, &Arc::new(RuntimeConfig::new(&config)))
    }

    /// Serves the database of a RESP server, with that server's password, protected mode, timeout and limits, which
    /// both servers share and `CONFIG SET` changes for both. Of the options, only the threads, the longest message and
    /// TLS are used.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_beside(
        server: &RespServer,
        address: impl ToSocketAddrs,
        options: GrpcOptions,
    ) -> io::Result<Self> {
        let options = GrpcOptions { shutdown_timeout: server.shutdown_timeout(), ..options };
        Self::start_with(server.db().clone(), address, options, &server.runtime_config())
    }

    fn start_with(
        db: Db,
        address: impl ToSocketAddrs,
        options: GrpcOptions,
        runtime_config: &Arc<RuntimeConfig>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let count = match options.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        #[cfg(feature = "tls")]
        let speaks_tls = options.tls.is_some();
        #[cfg(not(feature = "tls"))]
        let speaks_tls = false;
        let (longest_message, within) = (options.longest_message, options.shutdown_timeout);
        let server = secured(options)?;
        let service = Arc::new(Service::new(db));
        let (stop, stopped) = watch::channel(());
        let (queues, accepted): (Vec<_>, Vec<_>) = (0..count).map(|_| ToThread::new()).unzip();
        let mut listening = Some((listener, queues));
        let reloader = GrpcReloader { speaks_tls, threads: Vec::new() };
        // Dropping it stops the threads that run if one cannot be started.
        let mut running = Self {
            address,
            stop: Some(stop),
            threads: Vec::new(),
            within: within.saturating_add(WATCH_SHUTDOWN + BUSY_SHUTDOWN),
            reloader,
        };
        for accepted in accepted {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .thread_name("hedgerow-db grpc")
                .max_blocking_threads(GRPC_WATCHES + 8)
                .enable_all()
                .build()?;
            let part = Thread {
                service: Arc::clone(&service),
                runtime_config: Arc::clone(runtime_config),
                longest_message,
                within,
                stopped: stopped.clone(),
                servers: Arc::default(),
            };
            part.begin(server.clone(), runtime.handle());
            running.reloader.threads.push((runtime.handle().clone(), part.clone()));
            let listening = listening.take();
            let serve = move || part.run(runtime, listening, accepted);
            running
                .threads
                .push(thread::Builder::new().name("hedgerow-db grpc".into()).spawn(serve)?);
        }
        Ok(running)
    }

    /// Returns what replaces the certificates.
    pub fn reloader(&self) -> GrpcReloader {
        self.reloader.clone()
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        let (begun, within) = (Instant::now(), self.within);
        let are_busy = |all: &[JoinHandle<()>]| !all.iter().all(JoinHandle::is_finished);
        // Joining has no limit of time.
        while are_busy(&self.threads) && begun.elapsed() < within {
            thread::sleep(SHUTDOWN_POLL);
        }
        for thread in self.threads.drain(..) {
            if thread.is_finished() {
                // A panic in the thread has printed its message.
                let _ = thread.join();
            } else {
                tracing::warn!(
                    "a thread of the gRPC server is still busy: its calls get no response"
                );
            }
        }
    }
}

/// The longest request for the state of the server or the description of its interface, in bytes.
const LONGEST_QUESTION: usize = 4096;

/// Returns a server with the limits of connections, and with TLS if the options have certificates.
#[cfg_attr(
    not(feature = "tls"),
    expect(
        clippy::unnecessary_wraps,
        clippy::needless_pass_by_value,
        reason = "with TLS it can fail, and takes the certificates"
    )
)]
fn secured(options: GrpcOptions) -> io::Result<Server> {
    let server = Server::builder().max_concurrent_streams(GRPC_CALLS);
    #[cfg(feature = "tls")]
    if let Some((certificates, key)) = options.tls {
        let identity = tonic::transport::Identity::from_pem(certificates, key);
        let tls = tonic::transport::ServerTlsConfig::new().identity(identity);
        return server.tls_config(tls).map_err(io::Error::other);
    }
    #[cfg(not(feature = "tls"))]
    let _ = options;
    Ok(server)
}

/// The servers of a thread.
#[derive(Debug, Default)]
struct Servers {
    /// Give a server connections. The last one has the latest certificates; without its queue, a server would end its
    /// connections.
    queues: Vec<ToServer>,
    running: JoinSet<()>,
}

/// A thread's part of the server.
#[derive(Clone)]
struct Thread {
    service: Arc<Service>,
    runtime_config: Arc<RuntimeConfig>,
    /// The longest message of a request, in bytes.
    longest_message: usize,
    /// How long a shutdown waits for clients to read their responses.
    within: Duration,
    /// Completes when the sender is dropped.
    stopped: watch::Receiver<()>,
    servers: Arc<Mutex<Servers>>,
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread").finish_non_exhaustive()
    }
}

impl Thread {
    /// Begins to serve new connections by this server.
    fn begin(&self, server: Server, runtime: &Handle) {
        let (queue, given) = unbounded_channel();
        let thread = self.clone();
        let serve = async move {
            if let Err(why) = thread.serve(server, given).await {
                tracing::error!("the gRPC server has stopped: {why}");
            }
        };
        let mut servers = lock(&self.servers);
        servers.queues.push(queue);
        servers.running.spawn_on(serve, runtime);
    }

    /// Gives connections to the latest server.
    async fn give(servers: Arc<Mutex<Servers>>, mut accepted: Accepted) {
        while let Some(connection) = accepted.recv().await {
            if let Some(latest) = lock(&servers).queues.last() {
                // Fails only if the server has stopped, which closes the connection.
                let _ = latest.send(connection);
            }
        }
    }

    /// Serves the connections that the thread gets, until the server stops. One thread also accepts them.
    fn run(
        self,
        runtime: Runtime,
        listening: Option<(TcpListener, Vec<ToThread>)>,
        accepted: Accepted,
    ) {
        let (within, runtime_config) = (self.within, Arc::clone(&self.runtime_config));
        let [mut stopped, mut ending, mut end] = [(); 3].map(|()| self.stopped.clone());
        let too_long = async move {
            let _ = ending.changed().await;
            tokio::time::sleep(within).await;
        };
        let served = runtime.block_on(async {
            if let Some((listener, queues)) = listening {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                tokio::spawn(async move {
                    // The listener closes when the server stops.
                    let accept = pin!(accept(listener, runtime_config, queues));
                    select(pin!(stopped.changed()), accept).await;
                });
            }
            let giving = tokio::spawn(Self::give(Arc::clone(&self.servers), accepted));
            let served = async {
                // Ends when the sender is dropped.
                let _ = end.changed().await;
                giving.abort();
                let running = std::mem::take(&mut lock(&self.servers).running);
                running.join_all().await;
            };
            select(pin!(served), pin!(too_long)).await;
            Ok::<_, io::Error>(())
        });
        if let Err(why) = served {
            tracing::error!("the gRPC server cannot accept connections: {why}");
        }
        // The threads of watches check now and then whether they are still wanted.
        runtime.shutdown_timeout(WATCH_SHUTDOWN);
    }

    async fn serve(
        self,
        mut server: Server,
        given: Accepted,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let Self { service, runtime_config, mut stopped, longest_message, .. } = self;
        let end = service.end();
        let database = DatabaseServer::from_arc(service).max_decoding_message_size(longest_message);
        let database = tonic::service::interceptor::InterceptedService::new(
            database.max_encoding_message_size(usize::MAX),
            move |request: Request<()>| authenticate(request, &runtime_config),
        );
        let database = Bounded { service: database, longest: longest_message };
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<DatabaseServer<Service>>().await;
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(api::DESCRIPTION)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        server
            .add_service(database)
            // These need no password.
            .add_service(questions(health_service.max_decoding_message_size(LONGEST_QUESTION)))
            .add_service(questions(
                reflection().build_v1()?.max_decoding_message_size(LONGEST_QUESTION),
            ))
            // Older clients know only this version.
            .add_service(questions(
                reflection().build_v1alpha()?.max_decoding_message_size(LONGEST_QUESTION),
            ))
            .serve_with_incoming_shutdown(incoming(given), async {
                let _ = stopped.changed().await;
                // Watches would not end on their own.
                end.notify_waiters();
                health.set_not_serving::<DatabaseServer<Service>>().await;
            })
            .await?;
        Ok(())
    }
}

/// Bounds a service whose requests are short.
fn questions<S>(service: S) -> Bounded<S> {
    Bounded { service, longest: LONGEST_QUESTION }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_engine::Options;
    use std::sync::mpsc;

    #[test]
    fn a_busy_thread_does_not_delay_shutdown() {
        let db = Db::open(Options::in_memory()).unwrap();
        let options = GrpcOptions {
            threads: 1,
            shutdown_timeout: Duration::from_millis(100),
            ..GrpcOptions::default()
        };
        let server = GrpcServer::start(db, "127.0.0.1:0", options).unwrap();
        let (release, released) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel();
        server.reloader.threads[0].0.spawn(async move {
            begun.send(()).unwrap();
            let _ = released.recv();
        });
        begins.recv().unwrap();
        let (ended, ends) = mpsc::channel();
        let stop = thread::spawn(move || {
            drop(server);
            ended.send(())
        });
        let within = ends.recv_timeout(Duration::from_secs(30));
        drop(release);
        assert!(within.is_ok(), "shutdown waits for a thread that is busy");
        stop.join().unwrap().unwrap();
    }
}
