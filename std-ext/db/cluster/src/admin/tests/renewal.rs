//! Nodes whose certificates are exchanged while they run. `check` asks all of them on their peer ports.

use super::*;
use hedgerow_db_redis::config::PeerCertificates;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs;
use std::path::Path;

/// Writes a certificate with this name, its key, and a new authority that has signed it.
fn write_certificates(folder: &Path, name: &str) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
}

#[test]
fn nodes_show_others_certificates_that_were_read_again() {
    let Some(etcd) = Etcd::start(1) else { return };
    let admin = Admin { etcd: etcd.endpoints().join(","), name: "renewal" };
    let (mut settings, folders) = (settings(&etcd, admin.name), Folders::new(2));
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    write_certificates(folder.path(), admin.name);
    settings.peer.tls = Some(PeerCertificates {
        certificate: file("cert.pem"),
        key: file("key.pem"),
        authorities: file("ca.pem"),
    });
    let nodes: Vec<_> = Node::start_all(&settings, &folders, 2);
    write(&nodes, "rose", "red");
    agree(&nodes, &[("rose".to_owned(), "red".to_owned())]);
    let [cert, key, ca] =
        ["cert.pem", "key.pem", "ca.pem"].map(|name| file(name).display().to_string());
    let check = || {
        let files = ["--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
        let done = admin.run(&[&["check"], &files[..]].concat());
        done.healthy && done.failed.is_none()
    };
    until("both nodes answer", check);

    write_certificates(folder.path(), admin.name);
    assert!(!check(), "nodes have certificates that nobody let them read");
    for node in &nodes {
        node.member.prepare(&settings).unwrap()();
    }
    assert!(check(), "nodes show their old certificates");

    fs::write(file("key.pem"), "no key").unwrap();
    let why = nodes[0].member.prepare(&settings).err().expect("a file is no key").to_string();
    assert!(why.contains("certificates cannot be used"), "{why}");
    write(&nodes, "rose", "blue");
    agree(&nodes, &[("rose".to_owned(), "blue".to_owned())]);
}
