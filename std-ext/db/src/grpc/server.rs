//! The gRPC server: its threads, its limits, and how it stops.

use super::api;
use super::api::database_server::DatabaseServer;
use super::bounds::{Bounded, incoming};
use super::service::Service;
use crate::config::{GrpcOptions, ServerConfig};
use crate::db::Db;
use crate::limits::{GRPC_CALLS, GRPC_WATCHES};
use crate::server::Server as RespServer;
use crate::server::runtime_config::RuntimeConfig;
use futures_util::future::{Either, select};
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tonic::transport::Server;
use tonic::{Request, Status};

/// How long a shutdown waits for the threads of watches.
const WATCH_SHUTDOWN: Duration = Duration::from_secs(1);

/// A running gRPC server. Dropping it shuts the server down: pending calls are completed, at the latest after
/// [`shutdown_timeout`](GrpcOptions::shutdown_timeout).
#[derive(Debug)]
pub struct GrpcServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl GrpcServer {
    /// Serves a database at an address.
    ///
    /// # Errors
    /// If the address cannot be bound, or the certificates cannot be used.
    pub fn start(db: Db, address: impl ToSocketAddrs, options: GrpcOptions) -> io::Result<Self> {
        let config = ServerConfig {
            password: options.password.clone(),
            protected_mode: false,
            max_clients: options.max_clients,
            timeout: options.timeout,
            query_buffer_limit: options.query_buffer_limit,
            output_buffer_limit: options.output_buffer_limit,
            ..ServerConfig::default()
        };
        Self::start_with(db, address, options, Arc::new(RuntimeConfig::new(&config)))
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
        Self::start_with(server.db().clone(), address, options, server.runtime_config())
    }

    fn start_with(
        db: Db,
        address: impl ToSocketAddrs,
        options: GrpcOptions,
        runtime_config: Arc<RuntimeConfig>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        if options.threads != 0 {
            builder.worker_threads(options.threads);
        }
        builder.thread_name("hedgerow-db grpc").max_blocking_threads(GRPC_WATCHES + 8);
        let runtime = builder.enable_all().build()?;
        #[cfg_attr(not(feature = "tls"), expect(unused_mut, reason = "TLS changes it"))]
        let mut server = Server::builder().max_concurrent_streams(GRPC_CALLS);
        #[cfg(feature = "tls")]
        if let Some((certificates, key)) = &options.tls {
            let identity = tonic::transport::Identity::from_pem(certificates, key);
            let tls = tonic::transport::ServerTlsConfig::new().identity(identity);
            server = server.tls_config(tls).map_err(io::Error::other)?;
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let (ending, within) = (Arc::new(Notify::new()), options.shutdown_timeout);
        let thread = thread::Builder::new().name("hedgerow-db grpc".into()).spawn(move || {
            let ends = Arc::clone(&ending);
            let serve = serve(server, listener, (db, runtime_config), options, async move {
                // Dropping the sender is a signal as well.
                let _ = stopped.await;
                ends.notify_one();
            });
            let too_long = async {
                ending.notified().await;
                tokio::time::sleep(within).await;
            };
            let served = runtime.block_on(async {
                match select(pin!(serve), pin!(too_long)).await {
                    Either::Left((served, _)) => served,
                    Either::Right(_) => Ok(()),
                }
            });
            if let Err(why) = served {
                tracing::error!("the gRPC server has stopped: {why}");
            }
            // The threads of watches check now and then whether they are still wanted.
            runtime.shutdown_timeout(WATCH_SHUTDOWN);
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has printed its message.
            let _ = thread.join();
        }
    }
}

async fn serve(
    mut server: Server,
    listener: TcpListener,
    (db, runtime_config): (Db, Arc<RuntimeConfig>),
    options: GrpcOptions,
    stopped: impl Future<Output = ()>,
) -> Result<(), Box<dyn std::error::Error>> {
    let incoming =
        incoming(tokio::net::TcpListener::from_std(listener)?, Arc::clone(&runtime_config));
    let service = Service::new(db);
    let end = service.end();
    let limit = options.longest_message;
    let database = DatabaseServer::new(service).max_decoding_message_size(limit);
    let database = tonic::service::interceptor::InterceptedService::new(
        database.max_encoding_message_size(usize::MAX),
        move |request: Request<()>| authenticate(request, &runtime_config),
    );
    let database = Bounded { service: database, longest: limit };
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<DatabaseServer<Service>>().await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(api::DESCRIPTION)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    server
        .add_service(database)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        // Older clients know only this version.
        .add_service(reflection().build_v1alpha()?)
        .serve_with_incoming_shutdown(incoming, async {
            stopped.await;
            // Watches would not end on their own.
            end.notify_waiters();
            health.set_not_serving::<DatabaseServer<Service>>().await;
        })
        .await?;
    Ok(())
}

/// Admits a request if it carries the current password, or if no password is set.
fn authenticate(
    request: Request<()>,
    runtime_config: &RuntimeConfig,
) -> Result<Request<()>, Status> {
    if !runtime_config.has_password() {
        return Ok(request);
    }
    let sent = request.metadata().get("authorization");
    match sent.and_then(|sent| sent.as_encoded_bytes().strip_prefix(b"Bearer ")) {
        Some(sent) if runtime_config.password_is(b"default", sent) => Ok(request),
        _ => Err(Status::unauthenticated("send the password in `authorization: Bearer`")),
    }
}
