//! builds: default
//!
//! The client of this crate against a server over TCP.

mod support;

use hedgerow_db::client::{Client, ClientError};
use hedgerow_db::resp::read::Reply;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;
use support::Running;

#[test]
fn commands_are_answered() {
    let server = Running::new(|_| ());
    let mut client = Client::connect(server.address).unwrap();
    assert_eq!(client.get("rose").unwrap(), None);
    client.set("rose", "red").unwrap();
    assert_eq!(client.get("rose").unwrap().as_deref(), Some(&b"red"[..]));
    assert!(
        !client.set_if_absent("rose", "white").unwrap()
            && client.set_if_absent("daisy", "white").unwrap()
    );
    client.set_with_ttl("poppy", "red", Duration::from_secs(60)).unwrap();
    assert!(matches!(client.command(&["TTL", "poppy"]).unwrap(), Reply::Integer(59..=60)));
    assert_eq!((client.add("petals", 5).unwrap(), client.add("petals", -7).unwrap()), (5, -2));
    assert!(client.delete("rose").unwrap() && !client.delete("rose").unwrap());
    let why = client.add("daisy", 1).unwrap_err().to_string();
    assert_eq!(why, "ERR value is not an integer or out of range");
    // The connection stays usable after an error reply.
    assert_eq!(client.get("daisy").unwrap().as_deref(), Some(&b"white"[..]));
}

#[test]
fn pipelines_are_answered_in_order() {
    let server = Running::new(|_| ());
    let mut client = Client::connect(server.address).unwrap();
    let long = vec![b'x'; 200_000];
    for round in 0..3 {
        let mut pipeline = client.pipeline();
        for number in 0..500 {
            let number = number.to_string();
            pipeline
                .command(&["SET", &number, &number])
                .command(&["GET", &number])
                .command(&["INCR", "sum"]);
        }
        pipeline
            .command(&[b"SET".as_slice(), b"long", &long])
            .command(&["GET", "long"])
            .command(&["INCR", "long"]);
        let replies = pipeline.send().unwrap();
        assert_eq!(replies.len(), 1503);
        for (number, of_one) in (0..500).zip(replies.chunks(3)) {
            assert_eq!(of_one[1], Reply::Bulk(number.to_string().into()));
            assert_eq!(of_one[2], Reply::Integer(500 * round + number + 1));
        }
        assert_eq!(replies[1501], Reply::Bulk(long.clone()));
        assert!(matches!(&replies[1502], Reply::Error(_)));
    }
    assert_eq!(client.pipeline().send().unwrap(), []);
}

#[test]
fn a_password_is_required() {
    let server = Running::new(|config| config.password = Some("thorn".into()));
    let why = Client::connect(server.address).unwrap_err();
    assert!(matches!(why, ClientError::Server(why) if why.starts_with("NOAUTH")));
    let why = Client::connect_with_password(server.address, "rose").unwrap_err();
    assert!(matches!(why, ClientError::Server(why) if why.starts_with("WRONGPASS")));
    Client::connect_with_password(server.address, "thorn").unwrap().set("rose", "red").unwrap();
}

/// A late reply is not mistaken for the reply to the next command.
#[test]
fn a_timeout_ends_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut some = [0; 64];
        assert!(stream.read(&mut some).unwrap() > 0);
        stream.write_all(b"%0\r\n").unwrap();
        assert!(stream.read(&mut some).unwrap() > 0);
        stream.write_all(b"$5\r\nro").unwrap();
        // Until the client has closed.
        assert_eq!(stream.read(&mut some).unwrap(), 0);
    });
    let mut client = Client::connect(address).unwrap();
    client.set_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(matches!(client.get("rose"), Err(ClientError::Io(_))));
    assert!(matches!(client.get("daisy"), Err(ClientError::Io(_))));
    drop(client);
    server.join().unwrap();
}
