//! builds: default
//!
//! The server over sockets: valid and invalid requests, and the treatment of clients that misbehave.

mod support;

use hedgerow_db::log::Fsync;
use hedgerow_db::server::http::HttpServer;
use hedgerow_db::server::{Bind, Server, ServerConfig};
use hedgerow_db::{Db, Options};
use hedgerow_db_engine::not_run::not_run;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::str::FromStr;
use std::time::{Duration, Instant};
use support::{Client, Running, bulk, command, numbers, until};

#[test]
fn commands_may_arrive_in_any_pieces() {
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
        // Complete requests are answered before the rest arrives.
        let early = cut >= first.len();
        if early {
            client.expect(b"+OK\r\n");
        }
        client.send(&text[cut..]);
        client.expect(&answers[if early { 5 } else { 0 }..]);
        client.send(command(&[b"SET", b"n", b"0"]));
        client.expect(b"+OK\r\n");
    }
    assert!(server.watcher.totals().commands >= 6 * text.len() as u64);
}

#[test]
fn half_closed_clients_get_their_replies() {
    let server = Running::new(|_| {});
    let mut client = server.client();
    client.send(command(&[b"SET", b"rose", b"red"]));
    client.send(command(&[b"GET", b"rose"]));
    client.0.shutdown(Shutdown::Write).unwrap();
    client.expect(b"+OK\r\n$3\r\nred\r\n");
    client.expect_end();
}

#[test]
fn large_values_are_stored_and_returned() {
    let server = Running::new(|_| {});
    let mut client = server.client();
    let value: Vec<u8> = (0..9_u32 << 20).map(|i| (i % 251) as u8).collect();
    let request = command(&[b"SET", b"big", &value]);
    client.send(&request[..5 << 20]);
    until(|| server.watcher.buffers() >= 5 << 20);
    client.send(&request[5 << 20..]);
    client.expect(b"+OK\r\n");
    client.send(command(&[b"GET", b"big"]).repeat(3));
    client.expect(bulk(&value).repeat(3));
    // The server keeps no buffer of that size.
    until(|| server.watcher.buffers() == 0);
}

#[test]
fn long_pipelines_are_answered_in_order() {
    let server = Running::new(|_| {});
    let mut client = server.client();
    let mut writer = client.0.try_clone().unwrap();
    let sends = std::thread::spawn(move || {
        writer.write_all(&command(&[b"INCR", b"n"]).repeat(50_000)).unwrap();
    });
    let answers = numbers(1..=50_000);
    client.expect(answers);
    sends.join().unwrap();
}

#[test]
fn a_client_that_reads_none_of_its_replies_is_closed() {
    let server = Running::new(|config| config.output.hard = 8 << 20);
    let mut client = server.client();
    client.send(command(&[b"SET", b"big", &vec![b'v'; 1 << 20]]));
    client.expect(b"+OK\r\n");
    let mut words: Vec<&[u8]> = vec![b"big"; 101];
    words[0] = b"MGET";
    client.send(command(&words));
    until(|| server.watcher.totals().slow == 1);
    let mut rest = Vec::new();
    let _ = client.0.read_to_end(&mut rest);
    assert!(rest.len() < 100 << 20);
    // With enough space, all replies are sent.
    let server = Running::new(|_| {});
    let mut client = server.client();
    client.send(command(&[b"SET", b"big", &vec![b'v'; 1 << 20]]));
    client.expect(b"+OK\r\n");
    client.send(command(&words));
    client.expect([&b"*100\r\n"[..], &bulk(&vec![b'v'; 1 << 20]).repeat(100)].concat());
}

#[test]
fn many_idle_clients_cost_no_buffers() {
    let files = most_files();
    let many = 2000.min((files - 200) / 2);
    let server = Running::new(|config| config.max_clients = 10_000);
    let mut clients: Vec<Client> = (0..many).map(|_| server.client()).collect();
    let request = command(&[b"SET", b"rose", &[b'r'; 5000]]);
    for client in &mut clients {
        client.send(&request);
    }
    for client in &mut clients {
        client.expect(b"+OK\r\n");
    }
    assert_eq!(server.watcher.clients(), many);
    // An incomplete command stays in its buffer until the rest arrives.
    clients[0].send(&request[..3000]);
    until(|| server.watcher.buffers() >= 3000);
    clients[0].send(&request[3000..]);
    clients[0].expect(b"+OK\r\n");
    until(|| server.watcher.buffers() == 0);
    for client in &mut clients {
        client.send(b"PING\r\n");
    }
    for client in &mut clients {
        client.expect(b"+PONG\r\n");
    }
    drop(clients);
    until(|| server.watcher.clients() == 0);
}

/// Returns how many files this process may open.
#[cfg(unix)]
fn most_files() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(10_000).min(10_000);
    if limit.current.is_some_and(|now| now < most) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum })
            .unwrap();
    }
    most as usize
}

#[cfg(not(unix))]
fn most_files() -> usize {
    1000
}

#[test]
fn maxclients_is_enforced() {
    let server = Running::new(|config| config.max_clients = 2);
    let mut clients = [server.client(), server.client()];
    for client in &mut clients {
        client.send(b"PING\r\n");
        client.expect(b"+PONG\r\n");
    }
    let mut third = server.client();
    third.expect(b"-ERR max number of clients reached\r\n");
    third.expect_end();
    assert_eq!(server.watcher.totals().rejected, 1);
    let [one, mut two] = clients;
    drop(one);
    until(|| server.watcher.clients() == 1);
    let mut next = server.client();
    for client in [&mut next, &mut two] {
        client.send(b"PING\r\n");
        client.expect(b"+PONG\r\n");
    }
}

#[test]
fn silent_clients_time_out() {
    let server = Running::new(|config| config.timeout = Duration::from_millis(200));
    let mut client = server.client();
    client.send(b"PING\r\n");
    client.expect(b"+PONG\r\n");
    client.expect_end();
    assert_eq!(server.watcher.totals().idle, 1);
}

#[test]
fn shutdown_answers_received_commands() {
    let server = Running::new(|_| {});
    let (mut busy, mut idle) = (server.client(), server.client());
    idle.send(b"PING\r\n");
    idle.expect(b"+PONG\r\n");
    let address = server.address;
    busy.send(command(&[b"INCR", b"n"]).repeat(3000));
    server.stopper.stop();
    let answers = numbers(1..=3000);
    busy.expect(answers);
    busy.expect_end();
    idle.expect_end();
    assert_eq!(server.end().save, None);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_client_can_shut_the_server_down() {
    let server = Running::new(|_| {});
    let mut client = server.client();
    client.send(b"SHUTDOWN NOSAVE\r\n");
    client.expect_end();
    assert_eq!(server.joined().save, Some(false));
}

#[test]
fn a_client_that_never_reads_does_not_delay_shutdown() {
    let server = Running::new(|config| config.shutdown_timeout = Duration::from_millis(100));
    let mut client = server.client();
    client.send(command(&[b"SET", b"big", &vec![b'v'; 32 << 20]]));
    client.expect(b"+OK\r\n");
    client.send(command(&[b"GET", b"big"]));
    server.end();
}

#[test]
fn a_password_is_required() {
    let server = Running::new(|config| config.password = Some("open sesame".into()));
    let mut client = server.client();
    client.send(b"GET rose\r\n");
    client.expect(b"-NOAUTH Authentication required.\r\n");
    client.send(command(&[b"AUTH", b"open"]));
    client.expect(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    client.send(b"GET rose\r\n");
    client.expect(b"-NOAUTH Authentication required.\r\n");
    client.send(command(&[b"AUTH", b"default", b"open sesame"]));
    client.send(b"GET rose\r\n");
    client.expect(b"+OK\r\n$-1\r\n");
    // A new password applies to later connections.
    client.send(command(&[b"CONFIG", b"SET", b"requirepass", b"mellon"]));
    client.send(b"GET rose\r\n");
    client.expect(b"+OK\r\n$-1\r\n");
    let mut other = server.client();
    other.send(command(&[b"AUTH", b"mellon"]));
    other.expect(b"+OK\r\n");
}

#[test]
fn settings_are_shown_and_modifiable_ones_changed() {
    let db = Db::open(Options::in_memory()).unwrap();
    let config = hedgerow_db::config::Config::default().server();
    let server = Running::over(db.clone(), |mine| mine.settings = config.settings);
    let mut client = server.client();
    client.send(b"CONFIG GET maxmemory\r\n");
    client.expect(b"*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n");
    client.send(b"CONFIG SET maxmemory 100mb\r\nCONFIG SET maxmemory-policy allkeys-lru\r\n");
    client.expect(b"+OK\r\n+OK\r\n");
    client.send(b"CONFIG GET maxmemory\r\n");
    client.expect(b"*2\r\n$9\r\nmaxmemory\r\n$9\r\n104857600\r\n");
    assert_eq!(db.stats().max_memory, 100 << 20);
    assert_eq!(db.eviction(), hedgerow_db::options::Eviction::Lru);
    // An older name of a setting.
    client.send(b"CONFIG SET lua-time-limit 77\r\nCONFIG GET LUA*\r\n");
    client.expect(b"+OK\r\n*2\r\n$14\r\nlua-time-limit\r\n$2\r\n77\r\n");
    client.send(b"CONFIG GET busy-reply-threshold\r\n");
    client.expect(b"*2\r\n$20\r\nbusy-reply-threshold\r\n$2\r\n77\r\n");
    client.send(b"CONFIG SET list-max-ziplist-size 7\r\nCONFIG GET list-max-listpack-size\r\n");
    client.expect(b"+OK\r\n*2\r\n$22\r\nlist-max-listpack-size\r\n$1\r\n7\r\n");
    client.send(b"CONFIG SET maxclients 1\r\n");
    client.expect(b"+OK\r\n");
    server.client().expect(b"-ERR max number of clients reached\r\n");
    for refused in ["port 7000", "timeout soon", "nothing 1"] {
        client.send(format!("CONFIG SET {refused}\r\n"));
        client.expect(b"-ERR ");
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(&client.0), &mut line).unwrap();
    }
}

#[test]
fn settings_are_changed_all_or_none() {
    let server = Running::new(|_| {});
    let mut client = server.client();
    for wrong in ["timeout soon", "port 7000", "nothing 1", "maxmemory-policy never"] {
        client.send(format!("CONFIG SET maxclients 7 maxmemory 100mb {wrong}\r\n"));
        client.expect(b"-ERR ");
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(&client.0), &mut line).unwrap();
        assert_eq!(server.watcher.max_clients(), 10_000, "maxclients was changed beside {wrong}");
        client.send(b"CONFIG GET maxmemory\r\n");
        client.expect(b"*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n");
    }
    client.send(b"CONFIG SET maxclients 7 maxmemory 1mb timeout 9\r\nCONFIG GET timeout\r\n");
    client.expect(b"+OK\r\n*2\r\n$7\r\ntimeout\r\n$1\r\n9\r\n");
    assert_eq!(server.watcher.max_clients(), 7);
}

#[test]
fn a_password_may_be_any_bytes() {
    let server = Running::new(|_| {});
    let mut client = server.client();
    let password = b"se\xff\x00same";
    client.send(command(&[b"CONFIG", b"SET", b"requirepass", password]));
    client.expect(b"+OK\r\n");
    client.send(command(&[b"CONFIG", b"GET", b"requirepass"]));
    client.expect(b"*2\r\n$11\r\nrequirepass\r\n");
    client.expect(bulk(password));
    let mut other = server.client();
    other.send(command(&[b"AUTH", "se\u{fffd}\0same".as_bytes()]));
    other.expect(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    other.send(command(&[b"AUTH", password]));
    other.expect(b"+OK\r\n");
}

#[test]
fn databases_are_selected_by_connections() {
    let server = Running::new(|_| {});
    let mut client = server.client();
    // A pipeline whose commands are about several databases.
    client.send(
        b"SET rose red\r\nSELECT 1\r\nGET rose\r\nSET rose white\r\nSELECT 0\r\nGET rose\r\n",
    );
    client.expect(b"+OK\r\n+OK\r\n$-1\r\n+OK\r\n+OK\r\n$3\r\nred\r\n");
    // A SELECT that fails leaves the selected database as it is.
    client.send(b"SELECT 1\r\nSELECT 16\r\nGET rose\r\n");
    client.expect(b"+OK\r\n-ERR DB index is out of range\r\n$5\r\nwhite\r\n");
    // Connections of one thread share its session.
    let mut other = server.client();
    other.send(b"GET rose\r\nCLIENT SETNAME other\r\n");
    other.expect(b"$3\r\nred\r\n+OK\r\n");
    client.send(b"GET rose\r\nFLUSHDB\r\nDBSIZE\r\nRESET\r\nDBSIZE\r\n");
    client.expect(b"$5\r\nwhite\r\n+OK\r\n:0\r\n+RESET\r\n:1\r\n");
    // Quoted words are executed by an execution of their own.
    client.send(b"SELECT \"3\"\r\nSET \"rose\" blue\r\nSWAPDB 3 0\r\nGET rose\r\n");
    client.expect(b"+OK\r\n+OK\r\n+OK\r\n$3\r\nred\r\n");
    other.send(b"GET rose\r\n");
    other.expect(b"$4\r\nblue\r\n");
}

#[test]
fn redis_clients_get_the_settings_they_read() {
    let server = Running::new(|_| {});
    let mut client = server.client();
    client.send(b"INFO cluster\r\n");
    let section = b"# Cluster\r\ncluster_enabled:0\r\n";
    client.expect(bulk(section));
    // Names are stored for as long as the connection lives, and shown to all clients that list connections.
    let long = [b'n'; 1025];
    client.send(command(&[b"CLIENT", b"SETNAME", &long]));
    client.expect(b"-ERR Client names cannot be longer than 1024 bytes.\r\n");
    client.send(command(&[b"CLIENT", b"SETINFO", b"lib-name", &long]));
    client.expect(b"-ERR lib-name cannot be longer than 1024 bytes.\r\n");
    client.send(command(&[b"CLIENT", b"SETNAME", &long[1..]]));
    client.expect(b"+OK\r\n");
}

#[test]
fn clients_are_listed() {
    let server = Running::new(|_| {});
    let (mut one, mut two) = (server.client(), server.client());
    one.send(b"CLIENT SETNAME rose\r\n");
    one.expect(b"+OK\r\n");
    two.send(b"CLIENT LIST\r\n");
    let mut text = [0; 4096];
    let got = two.0.read(&mut text).unwrap();
    let text = String::from_utf8_lossy(&text[..got]).into_owned();
    assert_eq!(text.matches(" addr=127.0.0.1:").count(), 2, "{text}");
    assert!(text.contains("name=rose "), "{text}");
    drop(one);
    until(|| server.watcher.clients() == 1);
    two.send(b"CLIENT LIST\r\n");
    let mut text = [0; 4096];
    let got = two.0.read(&mut text).unwrap();
    assert!(!String::from_utf8_lossy(&text[..got]).contains("rose"));
}

/// Returns the line of `CLIENT LIST` about a client, as another client sees it.
fn listed(client: &mut Client, name: &str) -> Option<String> {
    client.send(b"CLIENT LIST\r\n");
    let mut text = [0; 4096];
    let got = client.0.read(&mut text).unwrap();
    let text = String::from_utf8_lossy(&text[..got]).into_owned();
    text.lines().find(|line| line.contains(&format!(" name={name} "))).map(str::to_owned)
}

/// Returns the value of a field in a line of `CLIENT LIST`.
fn field<'l>(line: &'l str, name: &str) -> &'l str {
    let mut fields = line.split(' ').filter_map(|field| field.split_once('='));
    fields.find_map(|(field, value)| (field == name).then_some(value)).unwrap_or("")
}

#[test]
fn clients_are_killed() {
    let server = Running::new(|_| {});
    let mut killer = server.client();
    // The server distributes clients over two threads, so some of these belong to another thread than the killer.
    for filter in ["addr", "id", "old", "laddr"].repeat(2) {
        let mut victim = server.client();
        victim.send(b"CLIENT SETNAME victim\r\n");
        victim.expect(b"+OK\r\n");
        let line = listed(&mut killer, "victim").unwrap();
        assert_eq!(field(&line, "laddr"), server.address.to_string(), "{line}");
        let request = match filter {
            "old" => format!("CLIENT KILL {}\r\n", field(&line, "addr")),
            filter => format!("CLIENT KILL {filter} {}\r\n", field(&line, filter)),
        };
        killer.send(request);
        killer.expect(if filter == "old" { "+OK\r\n" } else { ":1\r\n" });
        let left = listed(&mut killer, "victim");
        assert_eq!(left, None, "a killed client is listed");
        victim.expect_end();
        until(|| server.watcher.clients() == 1);
    }
    let (mut one, mut two) = (server.client(), server.client());
    one.send(b"PING\r\n");
    one.expect(b"+PONG\r\n");
    two.send(b"PING\r\n");
    two.expect(b"+PONG\r\n");
    killer
        .send(b"CLIENT KILL TYPE normal ADDR nowhere\r\nCLIENT KILL TYPE normal USER default\r\n");
    killer.expect(b":0\r\n:2\r\n");
    one.expect_end();
    two.expect_end();
    // A client that kills itself gets the reply, and its later commands are not executed.
    killer.send(b"SET rose red\r\nCLIENT KILL TYPE normal SKIPME no\r\nSET rose white\r\n");
    killer.expect(b"+OK\r\n:1\r\n");
    killer.expect_end();
    let mut other = server.client();
    other.send(b"GET rose\r\n");
    other.expect(b"$3\r\nred\r\n");
}

/// Returns an address of this machine that other machines could reach, if there is one. Nothing is sent.
fn outer_address() -> Option<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback())
}

#[test]
fn protected_mode_refuses_other_machines() {
    let anywhere = Bind { address: ([0, 0, 0, 0], 0).into(), optional: false };
    let server = Running::new(|config| config.binds = vec![anywhere]);
    let mut client = Client::new(TcpStream::connect(("127.0.0.1", server.address.port())).unwrap());
    client.send(b"PING\r\n");
    client.expect(b"+PONG\r\n");
    let Some(outer) = outer_address() else {
        not_run("this machine has no address that other machines could reach");
        return;
    };
    let mut other = Client::new(TcpStream::connect((outer, server.address.port())).unwrap());
    other.expect(b"-DENIED ");
    assert_eq!(server.watcher.totals().denied, 1);
    client.send(b"CONFIG SET protected-mode no\r\n");
    client.expect(b"+OK\r\n");
    let mut other = Client::new(TcpStream::connect((outer, server.address.port())).unwrap());
    other.send(b"PING\r\n");
    other.expect(b"+PONG\r\n");
}

#[test]
fn an_address_that_cannot_be_bound_is_named() {
    let bind = |text: &str, optional| {
        let mut config = ServerConfig::default();
        config.binds.push(Bind { address: text.parse().unwrap(), optional });
        Server::bind(Db::open(Options::in_memory()).unwrap(), config)
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let why = bind(&address, true).err().unwrap();
    assert_eq!(why.kind(), io::ErrorKind::AddrInUse);
    assert!(why.to_string().contains(&address), "{why}");
    // No machine has an address that is reserved for documentation.
    assert_eq!(bind("192.0.2.1:0", false).err().unwrap().kind(), io::ErrorKind::AddrNotAvailable);
    assert_eq!(bind("192.0.2.1:0", true).unwrap().addresses().len(), 1);
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_served_and_removed() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixListener, UnixStream};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    // The socket file of a killed process does not prevent a start.
    drop(UnixListener::bind(&path).unwrap());
    let server = Running::new(|config| {
        config.unix = Some(path.clone());
        config.unix_mode = Some(0o600);
    });
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"PING\r\n").unwrap();
    let mut got = [0; 7];
    client.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"+PONG\r\n");
    // Connected clients are served on, even with much output pending.
    client.write_all(&command(&[b"SET", b"big", &vec![b'v'; 3 << 20]])).unwrap();
    client.write_all(&command(&[b"GET", b"big"])).unwrap();
    let mut rest = vec![0; 5 + bulk(&vec![b'v'; 3 << 20]).len()];
    client.read_exact(&mut rest).unwrap();
    // A socket that is in use is left alone.
    let mut config = ServerConfig::default();
    config.unix = Some(path.clone());
    let why = Server::bind(Db::open(Options::in_memory()).unwrap(), config).err().unwrap();
    assert_eq!(why.kind(), io::ErrorKind::AddrInUse);
    server.end();
    assert!(!path.exists());
}

fn http(http: &HttpServer, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(http.address().unwrap()).unwrap();
    stream.set_read_timeout(Some(support::LIMIT)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// Returns the value of a metric.
fn metric<T: FromStr>(page: &HttpServer, name: &str) -> T {
    let (_, text) = http(page, "/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("hedgerow_db_{name} ")));
    let number = line.unwrap_or_else(|| panic!("no {name} in {text}")).parse();
    number.unwrap_or_else(|_| panic!("{name} is no number in {text}"))
}

/// Also for replies that wait for the log.
#[test]
fn the_latency_of_each_command_is_counted() {
    let page = HttpServer::start(([127, 0, 0, 1], 0).into()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::at(folder.path());
    options.fsync = Fsync::Always;
    let server = Running::over(Db::open(options).unwrap(), |_| {});
    page.set_server(server.watcher.clone());
    let mut client = server.client();
    for _ in 0..20 {
        client.send(b"SET rose red\r\nGET rose\r\nSET rose blue\r\n");
        client.expect(b"+OK\r\n$3\r\nred\r\n+OK\r\n");
    }
    // The last ones are counted when their replies are sent.
    let begun = Instant::now();
    let count = |name: &str| metric::<u64>(&page, &format!("command_duration_seconds_{name}"));
    while count("count") != 60 && begun.elapsed() < support::LIMIT {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(count("count"), 60, "the latency of each of 60 commands was not counted");
    assert_eq!((count("bucket{le=\"25.0\"}"), count("bucket{le=\"+Inf\"}")), (60, 60));
    let each = metric::<f64>(&page, "command_duration_seconds_sum") / 60.0;
    assert!((1e-6..1.0).contains(&each), "{each} s a command");
    server.end();
}

#[test]
fn monitoring_reports_the_state_of_the_server() {
    let page = HttpServer::start(([127, 0, 0, 1], 0).into()).unwrap();
    assert_eq!((http(&page, "/livez").0, http(&page, "/readyz").0), (200, 503));
    let server = Running::new(|_| {});
    page.set_server(server.watcher.clone());
    assert_eq!((http(&page, "/readyz").0, http(&page, "/other").0), (200, 404));
    let mut client = server.client();
    client.send(b"SET rose red\r\n");
    client.expect(b"+OK\r\n");
    client.send(b"GET rose\r\nGET violet\r\n");
    client.expect(b"$3\r\nred\r\n$-1\r\n");
    let (status, text) = http(&page, "/metrics");
    assert_eq!(status, 200);
    for line in [
        "db_keys 1",
        "connected_clients 1",
        "commands_processed_total 3",
        "keyspace_hits_total 1",
        "keyspace_misses_total 1",
    ] {
        assert!(text.contains(&format!("\nhedgerow_db_{line}\n")), "{line} in {text}");
    }
    // Each metric has its HELP and TYPE before it.
    let (stats, end) = text.split_at(text.len() - "# EOF\n".len());
    assert_eq!(end, "# EOF\n");
    let mut known = "";
    for line in stats.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(rest) => known = rest.split(' ').next().unwrap(),
            None => assert!(line.starts_with("# HELP ") || line.starts_with(known), "{line}"),
        }
    }
    server.end();
    assert_eq!((http(&page, "/livez").0, http(&page, "/readyz").0), (200, 503));
}
