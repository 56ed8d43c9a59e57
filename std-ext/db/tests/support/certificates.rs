//! Certificates that are made for a test, and TLS in front of a server that has none.
#![allow(dead_code, unreachable_pub, reason = "each test uses some of it")]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Certificates in a directory: an authority's, and those that it has signed. `localhost` is for that host and its
/// address.
pub struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // OpenSSL takes a certificate for self-signed if its subject is that of its authority.
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        for (file, names) in [
            ("localhost", &["localhost", "127.0.0.1"][..]),
            ("client", &["client"]),
            ("other", &["elsewhere"]),
        ] {
            let key = KeyPair::generate().unwrap();
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            let certificate =
                CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
            fs::write(folder.path().join(format!("{file}.pem")), certificate.pem()).unwrap();
            fs::write(folder.path().join(format!("{file}.key")), key.serialize_pem()).unwrap();
        }
        Self { folder }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn pem(&self, name: &str) -> Vec<u8> {
        fs::read(self.file(name)).unwrap()
    }

    /// Puts TLS in front of a server that has none. The threads end with the test's process.
    pub fn in_front_of(&self, server: SocketAddr) -> Front {
        let certificate = CertificateDer::from_pem_file(self.file("localhost.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.file("localhost.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = Arc::new(builder.with_single_cert(vec![certificate], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (closes, closed) = channel();
        let opened = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&opened);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (config, closes) = (Arc::clone(&config), closes.clone());
                count.fetch_add(1, Relaxed);
                std::thread::spawn(move || {
                    let tls = ServerConnection::new(config).unwrap();
                    carry(StreamOwned::new(tls, client), TcpStream::connect(server).unwrap());
                    // The test may have ended.
                    let _ = closes.send(());
                });
            }
        });
        Front { address, opened, closed }
    }
}

/// The address of a server with TLS in front of it.
pub struct Front {
    pub address: SocketAddr,
    /// The connections that were made.
    pub opened: Arc<AtomicU32>,
    /// Gets a message when a connection was closed.
    pub closed: Receiver<()>,
}

/// Carries bytes in both directions until one side ends. Then both end. A message of TLS that has no bytes of the
/// server follows a moment after each reply.
fn carry(mut client: StreamOwned<ServerConnection, TcpStream>, mut server: TcpStream) {
    let moment = Some(Duration::from_millis(2));
    client.sock.set_read_timeout(moment).unwrap();
    server.set_read_timeout(moment).unwrap();
    let mut bytes = vec![0; 64 << 10];
    let mut is_idle = true;
    loop {
        let ended = match client.read(&mut bytes) {
            Ok(came) => came == 0 || server.write_all(&bytes[..came]).is_err(),
            Err(why) if !is_timeout(&why) => true,
            Err(_) if is_idle => false,
            Err(_) => {
                is_idle = true;
                client.conn.refresh_traffic_keys().is_err() || client.flush().is_err()
            }
        };
        if ended {
            return;
        }
        match server.read(&mut bytes) {
            Ok(0) => break,
            Ok(came) if client.write_all(&bytes[..came]).is_err() => return,
            Ok(_) => is_idle = false,
            Err(why) if !is_timeout(&why) => break,
            Err(_) => {}
        }
    }
    client.conn.send_close_notify();
    let _ = client.flush();
}

fn is_timeout(why: &io::Error) -> bool {
    matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
