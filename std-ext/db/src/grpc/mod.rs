//! The database over gRPC: single operations, batches, streams of them, walks and watches, beside the standard health
//! and reflection services. `proto/hedgerow.proto` describes it; [`api`] is made of that.
//!
//! Threads of its own serve it, which share the database with those of the RESP server.

mod service;

#[expect(missing_docs, clippy::pedantic, clippy::allow_attributes, reason = "made by a machine")]
#[rustfmt::skip]
#[path = "generated.rs"]
pub mod api;

use crate::command::same_secret;
use crate::db::Db;
use api::database_server::DatabaseServer;
use service::Service;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::thread::{self, JoinHandle};
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};

/// How the database is served.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GrpcOptions {
    /// Threads that serve; 0 for one a core.
    pub threads: usize,
    /// What clients have to send in `authorization: Bearer`, if anything.
    pub password: Option<String>,
    /// Bytes of a message, at most.
    pub longest_message: usize,
    /// Certificates and key, as PEM.
    #[cfg(feature = "tls")]
    pub tls: Option<(Vec<u8>, Vec<u8>)>,
}

impl Default for GrpcOptions {
    /// A thread a core, no password, 64 MiB, no TLS.
    fn default() -> Self {
        Self {
            threads: 0,
            password: None,
            longest_message: 64 << 20,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// A server that runs; it ends, after what was asked is answered, when this is dropped.
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
    /// When the address cannot be had, or the certificates are no good.
    pub fn start(db: Db, address: impl ToSocketAddrs, options: GrpcOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        if options.threads != 0 {
            builder.worker_threads(options.threads);
        }
        builder.thread_name("hedgerow-db grpc").max_blocking_threads(service::MOST_WATCHES + 8);
        let runtime = builder.enable_all().build()?;
        let mut server = Server::builder().tcp_nodelay(true);
        #[cfg(feature = "tls")]
        if let Some((certificates, key)) = &options.tls {
            let identity = tonic::transport::Identity::from_pem(certificates, key);
            let tls = tonic::transport::ServerTlsConfig::new().identity(identity);
            server = server.tls_config(tls).map_err(io::Error::other)?;
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("hedgerow-db grpc".into()).spawn(move || {
            let served = runtime.block_on(serve(server, listener, db, options, async {
                // Dropping the other end says so, too.
                let _ = stopped.await;
            }));
            if let Err(why) = served {
                tracing::error!("gRPC is served no more: {why}");
            }
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there was told there.
            let _ = thread.join();
        }
    }
}

async fn serve(
    mut server: Server,
    listener: TcpListener,
    db: Db,
    options: GrpcOptions,
    stopped: impl Future<Output = ()>,
) -> Result<(), Box<dyn std::error::Error>> {
    let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?);
    let service = Service::new(db);
    let end = service.end();
    let limit = options.longest_message;
    let database = DatabaseServer::new(service).max_decoding_message_size(limit);
    let password = options.password;
    let database = tonic::service::interceptor::InterceptedService::new(
        database.max_encoding_message_size(usize::MAX),
        move |request: Request<()>| admitted(request, password.as_deref()),
    );
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<DatabaseServer<Service>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(api::DESCRIPTION)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    server
        .add_service(database)
        .add_service(health_service)
        .add_service(reflection)
        .serve_with_incoming_shutdown(incoming.with_nodelay(Some(true)), async {
            stopped.await;
            // Watches would go on for ever.
            end.notify_waiters();
            health.set_not_serving::<DatabaseServer<Service>>().await;
        })
        .await?;
    Ok(())
}

/// Lets requests pass that have the password, if there is one.
fn admitted(request: Request<()>, password: Option<&str>) -> Result<Request<()>, Status> {
    let Some(password) = password else { return Ok(request) };
    let sent = request.metadata().get("authorization").and_then(|sent| sent.to_str().ok());
    match sent.and_then(|sent| sent.strip_prefix("Bearer ")) {
        Some(sent) if same_secret(sent.as_bytes(), password.as_bytes()) => Ok(request),
        _ => Err(Status::unauthenticated("send the password in `authorization: Bearer`")),
    }
}
