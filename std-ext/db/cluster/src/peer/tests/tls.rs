//! Certificates: both sides need one of the cluster's authority with the cluster's name.

use super::node::{Node, crowd, loopback, options};
use super::served::status;
use crate::peer::client::{PeerClient, PeerClientOptions};
use crate::peer::error::PeerError;
use crate::peer::identity::PeerStatus;
use crate::peer::server::{PeerServer, PeerServerOptions};
use crate::peer::tls::{PeerTls, SharedTls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificates with a name, of a node that trusts `trusted`, for the cluster `cluster`.
fn certificates(by: &Authority, trusted: &Authority, name: &str, cluster: &str) -> PeerTls {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, by).unwrap();
    PeerTls {
        ca: trusted.pem().into_bytes(),
        cert: certificate.pem().into_bytes(),
        key: key.serialize_pem().into_bytes(),
        name: cluster.to_owned(),
    }
}

fn asked(server: &PeerTls, client: Option<&PeerTls>) -> Result<PeerStatus, PeerError> {
    let node = Node::empty();
    let tls = PeerServerOptions { tls: Some(server.clone()), insecure: false };
    let server = PeerServer::start(loopback(), &tls, node.serving()).unwrap();
    let options = PeerClientOptions { tls: client.cloned().map(Into::into), ..options() };
    status(&server.address().to_string(), &options)
}

#[test]
fn both_sides_show_the_name_of_the_cluster() {
    let own = authority();
    let good = certificates(&own, &own, "roses", "roses");
    asked(&good, Some(&good)).unwrap();
    let other = certificates(&own, &own, "tulips", "roses");
    let refused = asked(&good, Some(&other)).unwrap_err();
    assert!(refused.to_string().contains("the cluster's name"), "{refused}");
    let refused = asked(&other, Some(&good)).unwrap_err();
    assert!(matches!(refused, PeerError::Unreachable(_)), "{refused}");
}

#[test]
fn clients_without_a_certificate_take_no_place_of_a_peer() {
    let own = authority();
    let good = certificates(&own, &own, "roses", "roses");
    let node = Node::empty();
    let tls = PeerServerOptions { tls: Some(good.clone()), insecure: false };
    let server = PeerServer::start(loopback(), &tls, node.serving()).unwrap();
    let address = server.address().to_string();
    let with = |tls: &PeerTls| PeerClientOptions { tls: Some(tls.clone().into()), ..options() };
    // These have a certificate of the authority, and it is not one of this cluster.
    let other = certificates(&own, &own, "tulips", "roses");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connected = PeerClient::new(&address, &with(&good)).unwrap();
        connected.status().await.unwrap();
        let mut others = Vec::new();
        for _ in 0..8 {
            let mut client = PeerClient::new(&address, &with(&other)).unwrap();
            client.status().await.unwrap_err();
            others.push(client);
        }
        let silent = crowd(server.address());
        let asked = PeerClient::new(&address, &with(&good)).unwrap().status().await;
        asked.expect("silent clients take the place of a peer");
        connected.status().await.expect("a peer's connection was closed");
        drop((silent, others));
    });
}

#[test]
fn both_sides_are_signed_by_the_authority() {
    let (own, foreign) = (authority(), authority());
    let good = certificates(&own, &own, "roses", "roses");
    let foreigner = certificates(&foreign, &own, "roses", "roses");
    for (server, client) in [(&good, Some(&foreigner)), (&foreigner, Some(&good)), (&good, None)] {
        let refused = asked(server, client);
        assert!(matches!(refused, Err(PeerError::Unreachable(_))), "{refused:?}");
    }
}

#[test]
fn certificates_that_cannot_be_used_are_refused() {
    let own = authority();
    let good = certificates(&own, &own, "roses", "roses");
    let no_key = PeerTls { key: b"no key".to_vec(), ..good.clone() };
    let no_name = PeerTls { name: "a b".into(), ..good };
    for (bad, says) in
        [(no_key, "certificates cannot be used"), (no_name, "cannot be used in a certificate")]
    {
        let node = Node::empty();
        let tls = PeerServerOptions { tls: Some(bad.clone()), insecure: false };
        let text = PeerServer::start(loopback(), &tls, node.serving()).unwrap_err().to_string();
        assert!(text.contains(says), "{text}");
        let options = PeerClientOptions { tls: Some(bad.into()), ..options() };
        let text = status("127.0.0.1:1", &options).unwrap_err().to_string();
        assert!(text.contains(says), "{text}");
    }
}

/// A certificate that was good until a day ago.
fn expired(by: &Authority, name: &str) -> PeerTls {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    let certificate = params.signed_by(&key, by).unwrap();
    PeerTls {
        ca: by.pem().into_bytes(),
        cert: certificate.pem().into_bytes(),
        key: key.serialize_pem().into_bytes(),
        name: name.to_owned(),
    }
}

#[test]
fn expired_certificates_are_refused() {
    let own = authority();
    let (good, old) = (certificates(&own, &own, "roses", "roses"), expired(&own, "roses"));
    for (server, client) in [(&good, &old), (&old, &good)] {
        let refused = asked(server, Some(client));
        assert!(matches!(refused, Err(PeerError::Unreachable(_))), "{refused:?}");
    }
}

#[test]
fn new_connections_get_certificates_that_were_read_again() {
    let (first, second) = (authority(), authority());
    let before = certificates(&first, &first, "roses", "roses");
    let after = certificates(&second, &second, "roses", "roses");
    let node = Node::empty();
    let tls = PeerServerOptions { tls: Some(before.clone()), insecure: false };
    let server = PeerServer::start(loopback(), &tls, node.serving()).unwrap();
    let address = server.address().to_string();
    // The client that a node uses has certificates that are exchanged under it.
    let shared = SharedTls::from(before.clone());
    let renewed = PeerClientOptions { tls: Some(shared.clone()), ..options() };
    let fixed = PeerClientOptions { tls: Some(before.clone().into()), ..options() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connected = PeerClient::new(&address, &renewed).unwrap();
        connected.status().await.unwrap();
        let foreign = PeerTls { key: before.key.clone(), ..after.clone() };
        assert!(server.prepare(&foreign).is_err(), "the key is of another certificate");
        connected.status().await.expect("certificates that cannot be used change nothing");

        server.prepare(&after).unwrap()();
        shared.renew(after.clone());
        connected.status().await.expect("a connection that exists goes on");
        PeerClient::new(&address, &renewed).unwrap().status().await.expect("it has the new ones");
        let revoked = PeerClient::new(&address, &fixed).unwrap().status().await;
        assert!(matches!(revoked, Err(PeerError::Unreachable(_))), "the old authority counts");
        connected.status().await.expect("a connection that exists goes on");
    });
}
