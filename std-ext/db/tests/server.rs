//! The server over sockets: what clients do to it, whatever they send, and what becomes of those that do not behave.

use hedgerow_db::server::{Address, Ended, Server, ServerConfig, Stopper, Watcher};
use hedgerow_db::{Db, Options};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

/// A server that runs until it is dropped.
struct Running {
    address: SocketAddr,
    stopper: Stopper,
    watcher: Watcher,
    thread: Option<JoinHandle<io::Result<Ended>>>,
}

impl Running {
    fn new(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let db = Db::open(Options::in_memory()).unwrap();
        Self::over(db, change)
    }

    fn over(db: Db, change: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut config = ServerConfig::default();
        config.threads = 2;
        change(&mut config);
        let server = Server::bind(db, config).unwrap();
        let tcp = |address: &Address| match address {
            Address::Tcp(address) | Address::Tls(address) => Some(*address),
            _ => None,
        };
        let address = server.addresses().iter().find_map(tcp).unwrap();
        let (stopper, watcher) = (server.stopper(), server.watcher());
        let thread = Some(std::thread::spawn(|| server.run()));
        Self { address, stopper, watcher, thread }
    }

    fn client(&self) -> Client {
        Client::new(TcpStream::connect(self.address).unwrap())
    }

    fn end(mut self) -> Ended {
        self.stopper.stop();
        self.thread.take().unwrap().join().unwrap().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(std::thread::panicking() || matches!(ended, Ok(Ok(_))), "{ended:?}");
        }
    }
}

/// A client that fails a test sooner than it waits for ever.
struct Client(TcpStream);

impl Client {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    #[track_caller]
    fn expect(&mut self, wanted: impl AsRef<[u8]>) {
        let wanted = wanted.as_ref();
        let mut got = vec![0; wanted.len()];
        self.0.read_exact(&mut got).unwrap();
        if got != wanted {
            let show =
                |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
            panic!("{} and not {}", show(&got), show(wanted));
        }
    }

    #[track_caller]
    fn expect_end(&mut self) {
        let mut rest = Vec::new();
        // Bytes that it never read can make the end a rude one.
        let end = self.0.read_to_end(&mut rest);
        assert!(!end.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock), "it did not end");
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

#[test]
fn commands_are_obeyed_however_they_are_cut() {
    let server = Running::new(|_| {});
    let first = command(&[b"SET", b"rose", b"red"]);
    let text = [
        first.clone(),
        command(&[b"GET", b"rose"]),
        b"PING\r\n".to_vec(),
        command(&[b"INCR", b"n"]),
        command(&[b"GET", b"violet"]),
    ]
    .concat();
    let answers = b"+OK\r\n$3\r\nred\r\n+PONG\r\n:1\r\n$-1\r\n";
    for cut in 0..=text.len() {
        let mut client = server.client();
        client.send(&text[..cut]);
        // What is complete is answered before the rest comes.
        let early = cut >= first.len();
        if early {
            client.expect(b"+OK\r\n");
        }
        client.send(&text[cut..]);
        client.expect(&answers[if early { 5 } else { 0 }..]);
        client.send(command(&[b"SET", b"n", b"0"]));
        client.expect(b"+OK\r\n");
    }
    assert!(server.watcher.counted().commands >= 6 * text.len() as u64);
}

#[test]
fn half_open_clients_get_their_answers() {
    let server = Running::new(|_| {});
    let mut client = server.client();
    client.send(command(&[b"SET", b"rose", b"red"]));
    client.send(command(&[b"GET", b"rose"]));
    client.0.shutdown(Shutdown::Write).unwrap();
    client.expect(b"+OK\r\n$3\r\nred\r\n");
    client.expect_end();
    assert_eq!(bulk(b"a"), b"$1\r\na\r\n");
    server.end();
}
