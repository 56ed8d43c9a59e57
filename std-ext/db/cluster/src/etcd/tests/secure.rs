//! etcd's authentication, and TLS.

use super::{client, run, soon};
use crate::etcd::process::Etcd;
use crate::etcd::{CallOutcome, ClientSettings, ErrorKind, EtcdClient, EtcdTransaction, Keys};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(60);

fn connect(etcd: &Etcd, user: &str, password: &str) -> EtcdClient {
    let user = Some((user.to_owned(), password.to_owned()));
    let settings = ClientSettings { user, ..ClientSettings::new(etcd.endpoints()) };
    EtcdClient::connect(&settings).unwrap().with_timeout(Duration::from_secs(10))
}

#[test]
fn users_sign_in_and_tokens_expire() {
    // A token ends after a second without use.
    let Some(etcd) = Etcd::start_with(1, &["--auth-token-ttl", "1"], None) else { return };
    run(async {
        // A user is no harm where nobody must sign in.
        let early = connect(&etcd, "rose", "red");
        early.put("r/1", "v", 0).await.unwrap();
        for arguments in [
            &["user", "add", "root:master"][..],
            &["user", "grant-role", "root", "root"],
            &["role", "add", "gardener"],
            &["role", "grant-permission", "gardener", "--prefix=true", "readwrite", "r/"],
            &["user", "add", "rose:red"],
            &["user", "grant-role", "rose", "gardener"],
            &["auth", "enable"],
        ] {
            etcd.etcdctl(arguments);
        }
        early.put("r/1", "v", 0).await.expect("the client signs in when it must");

        let rose = connect(&etcd, "rose", "red");
        let start = rose.put("r/2", "v", 0).await.unwrap();
        let mut watch = rose.watch(Keys::prefix("r/"), start);
        soon("a report", WITHIN, async { while watch.next().await.unwrap().events.is_empty() {} })
            .await;
        let error = rose.put("other", "v", 0).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::PermissionDenied, CallOutcome::NotDone)
        );
        let mut denied = rose.watch(Keys::prefix("other"), start);
        let error = soon("an error", WITHIN, denied.next()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);

        // Until the token has expired, the client's calls would prolong it.
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(2500)).await;
            let done = rose.transact(&EtcdTransaction::default()).await;
            done.expect("the client signs in again");
        }

        // Nothing but keys needs a right.
        assert!(rose.status().await.iter().all(|(_, state)| state.is_ok()), "no status");
        rose.compact(start).await.expect("compaction needs no right");
        assert_eq!(rose.alarms().await.expect("alarms may be read"), []);

        // A password that was changed.
        for arguments in [
            &["user", "delete", "rose"][..],
            &["user", "add", "rose:pink"],
            &["user", "grant-role", "rose", "gardener"],
        ] {
            etcd.etcdctl(&[&["--user", "root:master"], arguments].concat());
        }
        let renewed = ClientSettings {
            user: Some(("rose".to_owned(), "pink".to_owned())),
            ..ClientSettings::new(etcd.endpoints())
        };
        rose.renew(rose.prepare(&renewed).unwrap());
        rose.get("r/1").await.expect("the client signs in with the new password");

        let wrong = connect(&etcd, "rose", "red").get("r/1").await.unwrap_err();
        assert_eq!(
            (wrong.kind(), wrong.outcome()),
            (ErrorKind::AuthenticationFailed, CallOutcome::NotDone)
        );
        let nobody = client(&etcd.endpoints()).get("r/1").await.unwrap_err();
        assert_eq!(nobody.kind(), ErrorKind::AuthenticationFailed, "{nobody}");
    });
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use crate::etcd::TlsSettings;
    use crate::etcd::process::TlsFiles;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use std::fs;
    use std::path::{Path, PathBuf};

    /// Makes an authority, and a certificate of its for this machine and for clients.
    fn certificates(folder: &Path, name: &str) -> TlsFiles {
        let file = |what: &str| folder.join(format!("{name}-{what}.pem"));
        let write = |what: &str, text: String| -> PathBuf {
            fs::write(file(what), text).unwrap();
            file(what)
        };
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        TlsFiles {
            ca: write("ca", authority.pem()),
            cert: write("cert", certificate.pem()),
            key: write("key", key.serialize_pem()),
        }
    }

    #[test]
    fn certificates_are_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let ours = certificates(folder.path(), "ours");
        let other = certificates(folder.path(), "other");
        let Some(etcd) = Etcd::start_with(1, &[], Some(&ours)) else { return };
        let file = |name: &str| folder.path().join(name);
        let tls = TlsSettings {
            ca: Some(ours.ca.clone()),
            cert: Some(file("cert.pem")),
            key: Some(file("key.pem")),
        };
        let write = |of: &TlsFiles| {
            fs::copy(&of.cert, file("cert.pem")).unwrap();
            fs::copy(&of.key, file("key.pem")).unwrap();
        };
        let settings = ClientSettings { tls, ..ClientSettings::new(etcd.endpoints()) };
        run(async {
            write(&other);
            let waiting = EtcdClient::connect(&settings).unwrap().with_timeout(WITHIN / 20);
            waiting.get("k").await.expect_err("etcd accepts another authority");
            write(&ours);
            soon("the new files", WITHIN, async { while waiting.get("k").await.is_err() {} }).await;

            fs::write(file("key.pem"), "no key").unwrap();
            let Err(refused) = waiting.prepare(&settings) else { panic!("a file is no key") };
            assert_eq!(refused.kind(), ErrorKind::Settings);
            waiting.get("k").await.expect("the connection goes on");
            write(&other);
            waiting.renew(waiting.prepare(&settings).unwrap());
            waiting.get("k").await.expect("the connection goes on");
            let new = EtcdClient::connect(&settings).unwrap().with_timeout(WITHIN / 20);
            new.get("k").await.expect_err("a new connection has the old files");
        });
    }

    #[test]
    fn both_sides_show_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let ours = certificates(folder.path(), "ours");
        let other = certificates(folder.path(), "other");
        let Some(etcd) = Etcd::start_with(1, &[], Some(&ours)) else { return };
        let connect = |ca: &Path, own: Option<&TlsFiles>| {
            let tls = TlsSettings {
                ca: Some(ca.into()),
                cert: own.map(|own| own.cert.clone()),
                key: own.map(|own| own.key.clone()),
            };
            let settings = ClientSettings { tls, ..ClientSettings::new(etcd.endpoints()) };
            EtcdClient::connect(&settings).map(|client| client.with_timeout(Duration::from_secs(3)))
        };
        run(async {
            let client = connect(&ours.ca, Some(&ours)).unwrap();
            let client = client.with_timeout(Duration::from_secs(10));
            let start = client.put("k", "v", 0).await.unwrap();
            let mut watch = client.watch(Keys::one("k"), start);
            soon("a report", WITHIN, async {
                while watch.next().await.unwrap().events.is_empty() {}
            })
            .await;
            let error = connect(&other.ca, Some(&ours)).unwrap().get("k").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unreachable);
            assert!(error.to_string().contains("certificate"), "{error}");
            for own in [None, Some(&other)] {
                assert!(connect(&ours.ca, own).unwrap().get("k").await.is_err(), "{own:?}");
            }
            let plain = etcd.endpoints()[0].replace("https", "http");
            assert!(super::client(&[plain]).with_timeout(WITHIN / 20).get("k").await.is_err());
        });
        let missing = folder.path().join("missing.pem");
        for (error, says) in [
            (connect(&missing, None).unwrap_err(), "missing.pem"),
            (
                connect(&ours.ca, Some(&TlsFiles { cert: missing.clone(), ..ours.clone() }))
                    .unwrap_err(),
                "missing.pem",
            ),
        ] {
            assert_eq!(error.kind(), ErrorKind::Settings);
            assert!(error.to_string().contains(says), "{error}");
        }
        let bare = ClientSettings::new(etcd.endpoints());
        assert!(EtcdClient::connect(&bare).unwrap_err().to_string().contains("CA certificates"));
        let tls = TlsSettings { ca: Some(ours.ca), cert: Some(ours.cert), key: None };
        let half = EtcdClient::connect(&ClientSettings { tls, ..bare }).unwrap_err();
        assert!(half.to_string().contains("needs a key"), "{half}");
    }
}
