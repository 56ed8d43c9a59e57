//! builds: default
//!
//! The server over TLS, and the client of this crate, with certificates made for the test.
#![cfg(feature = "tls")]

#[path = "support/certificates.rs"]
mod certificates;
mod support;

use certificates::Certificates;
use hedgerow_db::client::{self, ClientError, ClientOptions, ClientTls};
use hedgerow_db::resp::read::Reply;
use hedgerow_db::server::{ClientCertificates, TlsFiles};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use support::{Client, Running, bulk, command, numbers};

impl Certificates {
    fn files(&self, clients: ClientCertificates) -> TlsFiles {
        let (certificate, key) = (self.file("localhost.pem"), self.file("localhost.key"));
        TlsFiles { certificate, key, authorities: Some(self.file("ca.pem")), clients }
    }

    fn serve(&self, clients: ClientCertificates) -> Running {
        let files = self.files(clients);
        Running::new(|config| {
            config.tls_binds = std::mem::take(&mut config.binds);
            config.tls = Some(files);
        })
    }

    /// Connects a client, with or without a certificate.
    fn connect(&self, server: &Running, shows: bool) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.file("ca.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = if shows {
            let certificate = CertificateDer::from_pem_file(self.file("client.pem")).unwrap();
            let key = PrivateKeyDer::from_pem_file(self.file("client.key")).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        } else {
            builder.with_no_client_auth()
        };
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(support::LIMIT)).unwrap();
        stream.set_write_timeout(Some(support::LIMIT)).unwrap();
        StreamOwned::new(tls, stream)
    }
}

fn expect(client: &mut impl Read, wanted: &[u8]) {
    let mut got = vec![0; wanted.len()];
    client.read_exact(&mut got).unwrap();
    assert!(got == wanted, "{:?}", String::from_utf8_lossy(&got[..got.len().min(100)]));
}

#[test]
fn commands_and_large_values_work() {
    let certificates = Certificates::new();
    let server = certificates.serve(ClientCertificates::Ignored);
    let mut client = certificates.connect(&server, false);
    let value: Vec<u8> = (0..3_u32 << 20).map(|i| (i % 251) as u8).collect();
    client.write_all(&command(&[b"SET", b"big", &value])).unwrap();
    expect(&mut client, b"+OK\r\n");
    // More than the buffers in between hold, and read only after all requests were sent.
    client.write_all(&command(&[b"GET", b"big"]).repeat(8)).unwrap();
    expect(&mut client, &bulk(&value).repeat(8));
    client.write_all(&command(&[b"INCR", b"n"]).repeat(5000)).unwrap();
    let answers = numbers(1..=5000);
    expect(&mut client, &answers);
    client.write_all(b"QUIT\r\n").unwrap();
    expect(&mut client, b"+OK\r\n");
    // The server sends close_notify: without it, this would be an error.
    assert_eq!(client.read(&mut [0; 16]).unwrap(), 0);
}

#[test]
fn client_certificates_are_required() {
    let certificates = Certificates::new();
    for (clients, shows, served) in [
        (ClientCertificates::Required, true, true),
        (ClientCertificates::Required, false, false),
        (ClientCertificates::Optional, true, true),
        (ClientCertificates::Optional, false, true),
    ] {
        let server = certificates.serve(clients);
        let mut client = certificates.connect(&server, shows);
        let mut got = [0; 7];
        let answer =
            client.write_all(b"PING\r\n").and_then(|()| client.read_exact(&mut got)).map(|()| got);
        assert_eq!(answer.is_ok_and(|got| got == *b"+PONG\r\n"), served, "{clients:?} {shows}");
    }
}

#[test]
fn connections_without_tls_are_closed() {
    let certificates = Certificates::new();
    let server = certificates.serve(ClientCertificates::Ignored);
    let mut client = Client::new(TcpStream::connect(server.address).unwrap());
    client.send(b"PING\r\n");
    let mut rest = Vec::new();
    // If anything arrives, it is a TLS alert.
    let _ = client.0.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"+"), "{rest:?}");
    let mut client = certificates.connect(&server, false);
    client.write_all(b"PING\r\n").unwrap();
    expect(&mut client, b"+PONG\r\n");
}

#[test]
fn invalid_files_are_named() {
    let certificates = Certificates::new();
    let db = hedgerow_db::Db::open(hedgerow_db::Options::in_memory()).unwrap();
    for (certificate, key, wrong) in [
        ("missing.pem", "localhost.key", "missing.pem"),
        ("localhost.key", "localhost.key", "localhost.key"),
        ("localhost.pem", "localhost.pem", "localhost.pem"),
        ("localhost.pem", "client.key", "localhost.pem"),
    ] {
        let mut config = hedgerow_db::server::ServerConfig::default();
        config.tls = Some(TlsFiles {
            certificate: certificates.file(certificate),
            key: certificates.file(key),
            authorities: None,
            clients: ClientCertificates::Ignored,
        });
        let why = hedgerow_db::server::Server::bind(db.clone(), config).err().unwrap();
        assert!(why.to_string().contains(wrong), "{why}");
    }
}

/// A PING over a new connection.
fn pings(certificates: &Certificates, server: &Running) -> bool {
    let mut client = certificates.connect(server, true);
    let mut got = [0; 7];
    let sent = client.write_all(b"PING\r\n").and_then(|()| client.read_exact(&mut got));
    sent.is_ok_and(|()| got == *b"+PONG\r\n")
}

#[test]
fn new_connections_get_certificates_that_were_read_again() {
    let (before, after) = (Certificates::new(), Certificates::new());
    let server = before.serve(ClientCertificates::Required);
    let mut connected = before.connect(&server, true);
    let mut ping = || {
        connected.write_all(b"PING\r\n").unwrap();
        expect(&mut connected, b"+PONG\r\n");
    };
    ping();
    let with = |files: TlsFiles| {
        let mut config = hedgerow_db::server::ServerConfig::default();
        config.tls = Some(files);
        config
    };
    // Nothing changes if a file is wrong.
    let files = after.files(ClientCertificates::Required);
    let wrong = TlsFiles { key: after.file("client.key"), ..files.clone() };
    let why = server.reloader.prepare(&with(wrong), Vec::new()).err().unwrap();
    assert!(why.to_string().contains("localhost.pem"), "{why}");
    assert!(pings(&before, &server), "certificates that were wrong are used");
    server.reloader.prepare(&with(files.clone()), Vec::new()).unwrap()();
    assert!(pings(&after, &server), "a new connection gets the old certificate");
    assert!(!pings(&before, &server), "a certificate of the old authority is accepted");
    ping();
    // Under another name, the client refuses the server.
    let (certificate, key) = (after.file("other.pem"), after.file("other.key"));
    let other = TlsFiles { certificate, key, ..files };
    server.reloader.prepare(&with(other), Vec::new()).unwrap()();
    assert!(!pings(&after, &server), "a client accepts another name");
    ping();
}

/// Connects the crate's own client, by a name of the host.
fn own_client(
    server: &Running,
    host: &str,
    tls: &ClientTls,
    login: Option<(&str, &str)>,
) -> Result<client::Client, ClientError> {
    let mut options = ClientOptions::default();
    options.tls = Some(tls.clone());
    if let Some((user, password)) = login {
        options.user = Some(user.to_owned());
        options.password = Some(password.to_owned());
    }
    assert!(!format!("{options:?}").contains("thorn"));
    client::Client::connect_with(&format!("{host}:{}", server.address.port()), &options)
}

#[test]
fn the_own_client_checks_the_server() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let server = certificates.serve(ClientCertificates::Ignored);
    let tls = ClientTls::new(&certificates.pem("ca.pem")).unwrap();
    let mut client = own_client(&server, "localhost", &tls, None).unwrap();
    let value: Vec<u8> = (0..3_u32 << 20).map(|i| (i % 251) as u8).collect();
    client.set("big", &value).unwrap();
    assert!(client.get("big").unwrap() == Some(value.clone()));
    let mut pipeline = client.pipeline();
    for _ in 0..8 {
        pipeline.command(&["GET", "big"]);
    }
    assert!(pipeline.send().unwrap().iter().all(|reply| *reply == Reply::Bulk(value.clone())));
    // By its address, too.
    own_client(&server, "127.0.0.1", &tls, None).unwrap();

    let refused = |server: &Running, tls: &ClientTls| {
        let why = own_client(server, "localhost", tls, None).unwrap_err();
        assert!(matches!(why, ClientError::Io(_)), "{why}");
        why.to_string()
    };
    let strangers = ClientTls::new(&others.pem("ca.pem")).unwrap();
    assert!(refused(&server, &strangers).contains("invalid peer certificate"));
    let mut files = certificates.files(ClientCertificates::Ignored);
    (files.certificate, files.key) =
        (certificates.file("other.pem"), certificates.file("other.key"));
    let elsewhere = Running::new(|config| {
        config.tls_binds = std::mem::take(&mut config.binds);
        config.tls = Some(files);
    });
    assert!(refused(&elsewhere, &tls).contains("not valid for name"));
    // A server without TLS is not trusted with a request.
    let plain = Running::new(|_| ());
    refused(&plain, &tls);
}

#[test]
fn the_own_client_shows_a_certificate_and_a_user() {
    let certificates = Certificates::new();
    let server = certificates.serve(ClientCertificates::Required);
    let pem = |name| certificates.pem(name);
    let without = ClientTls::new(&pem("ca.pem")).unwrap();
    assert!(own_client(&server, "localhost", &without, None).is_err());
    let with = ClientTls::with_certificate(&pem("ca.pem"), &pem("client.pem"), &pem("client.key"))
        .unwrap();
    let mut client = own_client(&server, "localhost", &with, None).unwrap();
    client.command(&["ACL", "SETUSER", "gardener", "on", ">thorn", "~*", "+@all"]).unwrap();
    let mut gardener =
        own_client(&server, "localhost", &with, Some(("gardener", "thorn"))).unwrap();
    let name = gardener.command(&["ACL", "WHOAMI"]).unwrap();
    assert_eq!(name, Reply::Bulk(b"gardener".to_vec()));
    let why = own_client(&server, "localhost", &with, Some(("gardener", "rose"))).unwrap_err();
    assert!(matches!(why, ClientError::Server(why) if why.starts_with("WRONGPASS")));

    for (authorities, certificate, key) in [
        (&b""[..], pem("client.pem"), pem("client.key")),
        (&pem("ca.pem"), pem("client.key"), pem("client.key")),
        (&pem("ca.pem"), pem("client.pem"), pem("client.pem")),
        (&pem("ca.pem"), pem("client.pem"), pem("other.key")),
    ] {
        ClientTls::with_certificate(authorities, &certificate, &key).unwrap_err();
    }
    let mut options = ClientOptions::default();
    options.tls = Some(with);
    for address in ["localhost", ":1", "a b:1"] {
        let why = client::Client::connect_with(address, &options).unwrap_err();
        assert!(matches!(why, ClientError::Io(_)), "{why}");
    }
}
