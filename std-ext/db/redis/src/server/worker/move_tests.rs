//! Tests of clients that move between workers: always, at random, and at the moments that matter.

use super::*;
use crate::server::event_loops::WINDOW;
use crate::server::inbox::inboxes;
use crate::server::tests::{Slow, expect, run_server};
use crate::server::{Address, Server, ServerConfig};
use hedgerow_db_engine::effort::rounds;
use hedgerow_db_engine::log::Log;
use hedgerow_db_engine::{Db, Options};
use std::io::Read;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const WORKERS: usize = 3;

fn config() -> ServerConfig {
    ServerConfig { threads: WORKERS, ..ServerConfig::default() }
}

/// Runs a server until the test is done.
fn serve(server: Server, test: impl FnOnce(&ServerShared, &(dyn Fn() -> TcpStream + Sync))) {
    run_server(server, |stopper, connect| test(&stopper.0, connect));
}

fn in_memory() -> Server {
    Server::bind(Db::open(Options::in_memory()).unwrap(), config()).unwrap()
}

/// Waits until something is so, for a long time: other programs may need the processors.
pub(super) fn wait_until(otherwise: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{otherwise}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A generator of numbers that differ, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % end
    }
}

/// The last request of a conversation, and its reply.
const LAST: (&[u8], &[u8]) = (b"ECHO the-end\r\n", b"$7\r\nthe-end\r\n");

/// Makes the requests of a client: on its own keys, on the state of its connection, short and long.
fn requests(number: usize, count: usize) -> Vec<u8> {
    let (mut random, mut all) = (Random(number as u64), Vec::new());
    for i in 0..count {
        match random.below(8) {
            0 => {
                let long = if random.below(8) == 0 { 400_000 } else { 2_000 };
                let (name, value) = (format!("key-{number}"), vec![b'a'; random.below(long)]);
                write!(all, "*3\r\n$3\r\nSET\r\n${}\r\n{name}\r\n", name.len()).unwrap();
                write!(all, "${}\r\n", value.len()).unwrap();
                all.extend_from_slice(&value);
                all.extend_from_slice(b"\r\n");
            }
            1 => write!(all, "MULTI\r\nINCR count-{number}\r\n").unwrap(),
            2 => write!(all, "DISCARD\r\nSELECT 0\r\n").unwrap(),
            3 => write!(all, "CLIENT SETNAME name-{i}\r\nCLIENT GETNAME\r\n").unwrap(),
            4 => write!(all, "HELLO {}\r\nSELECT {}\r\n", 2 + i % 2, i % 5 / 4).unwrap(),
            5 => write!(all, "CLIENT REPLY SKIP\r\nINCR count-{number}\r\n").unwrap(),
            _ => write!(
                all,
                "INCR count-{number}\r\nAPPEND key-{number} {i}\r\nGET key-{number}\r\n"
            )
            .unwrap(),
        }
    }
    all.extend_from_slice(b"DISCARD\r\nSELECT 0\r\n");
    all.extend_from_slice(LAST.0);
    all
}

/// Sends requests in pieces that are cut anywhere, while another thread reads at an uneven pace. Returns all replies,
/// without the numbers of connections.
fn converse(client: TcpStream, number: usize, requests: &[u8]) -> Vec<u8> {
    let mut to = client.try_clone().unwrap();
    let mut from = client;
    thread::scope(|scope| {
        scope.spawn(move || {
            let (mut random, mut rest) = (Random(number as u64 + 100), requests);
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(rest.len().min(1 + random.below(20_000)));
                to.write_all(piece).unwrap();
                rest = later;
                thread::sleep(Duration::from_micros(random.below(300) as u64));
            }
        });
        let (mut random, mut got, mut piece) = (Random(number as u64), Vec::new(), vec![0; 70_000]);
        while !got.ends_with(LAST.1) {
            if random.below(50) == 0 {
                thread::sleep(Duration::from_millis(60));
            }
            let length = from.read(&mut piece).expect("the replies stop");
            assert!(length > 0, "the connection was closed");
            got.extend_from_slice(&piece[..length]);
        }
        got
    })
}

/// Replaces the numbers of connections, which `HELLO` tells.
fn without_ids(replies: &[u8]) -> Vec<u8> {
    let (mut all, mut rest) = (Vec::new(), replies);
    while let Some(at) = memchr::memmem::find(rest, b"$2\r\nid\r\n:") {
        let (before, after) = rest.split_at(at + 9);
        all.extend_from_slice(before);
        rest = &after[after.iter().position(|byte| *byte == b'\r').unwrap_or(0)..];
    }
    all.extend_from_slice(rest);
    all
}

/// Lets clients have their conversations. The replies are a plain function of the requests.
fn converse_all(connect: &(dyn Fn() -> TcpStream + Sync), clients: usize) -> Vec<Vec<u8>> {
    thread::scope(|scope| {
        let each = |number| move || converse(connect(), number, &requests(number, 400));
        let running: Vec<_> = (0..clients).map(|number| scope.spawn(each(number))).collect();
        running.into_iter().map(|one| without_ids(&one.join().unwrap())).collect()
    })
}

#[test]
fn clients_that_always_move_get_the_same_replies() {
    const CLIENTS: usize = 6;
    let mut wanted = Vec::new();
    serve(in_memory(), |_, connect| wanted = converse_all(connect, CLIENTS));
    serve(in_memory(), |shared, connect| {
        shared.event_loops.restless.set(1);
        let got = converse_all(connect, CLIENTS);
        for (number, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
            assert_eq!(got.len(), wanted.len(), "client {number} got more or less");
            let differs = got.iter().zip(wanted).position(|(got, wanted)| got != wanted);
            let around = |all: &[u8], at: usize| {
                String::from_utf8_lossy(&all[at.saturating_sub(80)..all.len().min(at + 80)])
                    .into_owned()
            };
            let differs = differs.map(|at| (around(got, at), around(wanted, at)));
            assert_eq!(differs, None, "client {number} got other replies");
        }
        let served = shared.workers.iter().filter(|worker| worker.counters.commands.get() > 0);
        assert_eq!(served.count(), WORKERS, "the clients have not moved");
    });
}

/// Loops become active and retire at random while some clients do what they can to be in the way.
#[test]
fn hostile_clients_do_not_disturb_moves() {
    serve(in_memory(), |shared, connect| {
        let over = AtomicBool::new(false);
        // Relaxed: the end of the test; the threads are joined.
        let goes_on = || !over.load(Ordering::Relaxed);
        thread::scope(|scope| {
            // Sends as much as it can, in one pipeline.
            scope.spawn(|| {
                let mut client = connect();
                let pipeline =
                    b"SET long 0123456789012345678901234567890123456789\r\n".repeat(20_000);
                let mut reads = client.try_clone().unwrap();
                scope.spawn(move || while matches!(reads.read(&mut [0; 1 << 13]), Ok(1..)) {});
                while goes_on() && client.write_all(&pipeline).is_ok() {}
                let _ = client.shutdown(std::net::Shutdown::Both);
            });
            // Never reads.
            scope.spawn(|| {
                while goes_on() {
                    let mut client = connect();
                    client.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
                    let pipeline = b"GET large\r\n".repeat(1000);
                    while goes_on() && client.write_all(&pipeline).is_ok() {}
                }
            });
            // Connects again and again.
            scope.spawn(|| {
                while goes_on() {
                    let mut many: Vec<_> = (0..50).map(|_| connect()).collect();
                    for client in &mut many {
                        client.write_all(b"PING\r\nGE").unwrap();
                    }
                }
            });
            let mut random = Random(1);
            scope.spawn(move || {
                while goes_on() {
                    shared.event_loops.set_active(1 + random.below(WORKERS));
                    for worker in &shared.workers {
                        worker.wake();
                    }
                    thread::sleep(Duration::from_millis(random.below(40) as u64));
                }
            });
            let mut client = connect();
            let large = vec![b'x'; 100_000];
            client.write_all(b"*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$100000\r\n").unwrap();
            client.write_all(&[&large[..], b"\r\n"].concat()).unwrap();
            expect(&mut client, "+OK\r\n");
            let begin = Instant::now();
            for round in 1.. {
                client.write_all(b"INCR honest\r\nSTRLEN large\r\n").unwrap();
                expect(&mut client, &format!(":{round}\r\n:100000\r\n"));
                if begin.elapsed() > Duration::from_secs(3) {
                    break;
                }
            }
            // Relaxed: as above.
            over.store(true, Ordering::Relaxed);
        });
    });
}

/// Connects clients, and lets them know the second loop, which retires then.
fn clients_of_a_retired_loop(
    shared: &ServerShared,
    connect: &(dyn Fn() -> TcpStream + Sync),
    prepare: impl Fn(&mut TcpStream),
) -> Vec<TcpStream> {
    shared.event_loops.pin(2);
    let mut clients: Vec<_> = (0..4).map(|_| connect()).collect();
    clients.iter_mut().for_each(prepare);
    assert!(shared.workers[1].clients.get() > 0, "all clients are on one loop");
    shared.event_loops.set_active(1);
    // Its window is over when it serves its clients next.
    thread::sleep(WINDOW * 2);
    clients
}

/// [MV-1] The worker that has parked a reply releases it, and then the client moves.
#[test]
fn a_client_whose_reply_waits_for_the_log_stays() {
    let log: Arc<Slow> = Arc::default();
    let db = Db::open(Options::in_memory()).unwrap();
    let server = Server::bind_with(db, Arc::clone(&log) as Arc<dyn Log>, config()).unwrap();
    serve(server, |shared, connect| {
        let mut clients = clients_of_a_retired_loop(shared, connect, |client| {
            client.write_all(b"PING\r\n").unwrap();
            expect(client, "+PONG\r\n");
        });
        for (client, lsn) in clients.iter_mut().zip(1..) {
            client.write_all(b"SET rose red\r\n").unwrap();
            log.until_committed(lsn);
        }
        thread::sleep(WINDOW);
        assert!(shared.workers[1].clients.get() > 0, "a client has moved with a reply that waits");
        log.set(|state| state.committed = 4);
        for client in &mut clients {
            expect(client, "+OK\r\n");
        }
        wait_until("a client stays after its reply was released", || {
            for client in &mut clients {
                client.write_all(b"PING\r\n").unwrap();
                expect(client, "+PONG\r\n");
            }
            shared.workers[1].clients.get() == 0
        });
    });
}

/// Two workers that do not run, and a client of the first.
fn two_workers() -> (Arc<ServerShared>, ServerWorker, ServerWorker, TcpStream) {
    let server = in_memory();
    let Address::Tcp(address) = server.addresses()[0] else { panic!("TCP is first") };
    let (shared, threads) = server.into_parts();
    let inboxes = inboxes(threads.len());
    let mut workers = threads.into_iter().enumerate().map(|(number, (poll, listeners))| {
        ServerWorker::new(&shared, Arc::clone(&inboxes), number, poll, listeners).unwrap()
    });
    let (mut one, mut two) = (workers.next().unwrap(), workers.next().unwrap());
    let mut third = workers.next();
    drop(workers);
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // Any of the three listeners has it, a little later.
    let deadline = Instant::now() + Duration::from_secs(60);
    while one.clients.is_empty() && Instant::now() < deadline {
        for worker in [&mut one, &mut two].into_iter().chain(third.as_mut()) {
            worker.pending_accepts.now.push(0);
            worker.accept_connections();
        }
        take(&mut one);
    }
    assert_eq!((one.clients.len(), two.clients.len()), (1, 0), "the first loop is active");
    (shared, one, two, client)
}

fn take(worker: &mut ServerWorker) {
    worker.woken = true;
    worker.accept_connections();
}

#[test]
fn what_is_counted_of_a_client_moves_with_it() {
    let (shared, mut one, mut two, mut client) = two_workers();
    // Half a request, so the server keeps some bytes.
    client.write_all(b"*1\r\n$900000\r\n").unwrap();
    client.write_all(&vec![b'x'; 100_000]).unwrap();
    let (key, _) = one.clients.iter().next().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while one.clients[key].buffers() < 100_000 {
        assert!(Instant::now() < deadline, "the bytes do not arrive");
        one.clients[key].on_event(true, false, false);
        one.queue(key);
        one.run_cycle();
    }
    one.sweep();
    let bytes = one.clients[key].buffers() as u64;
    let counted = || {
        let each = |worker: &crate::server::shared::WorkerHandle| {
            (worker.clients.get(), worker.buffers.get())
        };
        (each(&shared.workers[0]), each(&shared.workers[1]))
    };
    assert_eq!(counted(), ((1, bytes), (0, 0)));
    assert!(one.give_away(key, 1));
    take(&mut two);
    assert_eq!(counted(), ((0, 0), (1, bytes)), "memory and clients are counted elsewhere");
    assert_eq!(shared.runtime_config.clients(), 1);
    // The rest of the request is executed there.
    let (key, _) = two.clients.iter().next().unwrap();
    assert!(two.clients[key].queued, "nobody reads what came meanwhile");
}

/// A client that comes back to its worker may find the entry on the worker's list that it left behind.
#[test]
fn a_client_that_comes_back_is_served_once_a_cycle() {
    let (shared, mut one, mut two, mut client) = two_workers();
    client.set_nonblocking(true).unwrap();
    let set = format!("SET rose {}\r\n", "x".repeat(10_000)).into_bytes();
    // Until no buffer takes more: much more than the server reads at once.
    while client.write_all(&set).is_ok() {}
    let (key, _) = one.clients.iter().next().unwrap();
    one.on_event(key, true, false, false);
    assert!(one.give_away(key, 1));
    take(&mut two);
    let (there, _) = two.clients.iter().next().unwrap();
    assert!(two.give_away(there, 0));
    take(&mut one);
    assert_eq!(one.ready.now, [key, key]);
    let most = one.context.scratch.len() as u64;
    let read = || shared.workers[0].counters.bytes_in.get();
    one.run_cycle();
    assert_eq!(read(), most, "it is not served once, by one read");
    one.run_cycle();
    assert!(read() > most, "nothing was left for a second read");
}

/// [MV-2] A worker that has exited takes no client.
#[test]
fn a_client_stays_if_the_other_worker_has_exited() {
    let (shared, mut one, two, _client) = two_workers();
    assert!(one.inboxes[1].close());
    let (key, _) = one.clients.iter().next().unwrap();
    assert!(!one.give_away(key, 1));
    assert_eq!((one.clients.len(), two.clients.len()), (1, 0), "a client is lost");
    assert_eq!((shared.workers[0].clients.get(), shared.workers[1].clients.get()), (1, 0));
    let killed =
        shared.client_list.kill(0, Instant::now(), &mut |_| true, |worker| assert_eq!(worker, 0));
    assert_eq!(killed, 1);
}

#[test]
fn a_worker_does_not_exit_while_a_client_is_on_its_way() {
    let (_shared, mut one, mut two, _client) = two_workers();
    let (key, _) = one.clients.iter().next().unwrap();
    assert!(one.give_away(key, 1));
    two.stopping_since = Some(Instant::now());
    assert!(!two.is_finished(), "a worker exits without a client that was given to it");
    take(&mut two);
    assert_eq!(two.clients.len(), 1);
}

/// [MV-3]
#[test]
fn a_client_that_is_killed_on_its_way_is_closed() {
    let (shared, mut one, mut two, mut client) = two_workers();
    let (key, _) = one.clients.iter().next().unwrap();
    assert!(one.give_away(key, 1));
    assert_eq!(shared.client_list.kill(0, Instant::now(), &mut |_| true, |_| {}), 1);
    // The worker was woken by the kill, and looks for it before it has the client.
    two.close_killed();
    take(&mut two);
    assert_eq!(two.clients.len(), 0, "a killed client goes on");
    assert!(matches!(client.read(&mut [0; 8]), Ok(0) | Err(_)));
}

/// [MV-4] A client that does not read, and moves so often that no poll reports anything.
#[test]
fn replies_that_always_move_are_written() {
    serve(in_memory(), |shared, connect| {
        shared.event_loops.restless.set(1);
        let mut client = connect();
        let value = vec![b'x'; 6 << 20];
        write!(client, "*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n${}\r\n", value.len()).unwrap();
        client.write_all(&[&value[..], b"\r\n"].concat()).unwrap();
        expect(&mut client, "+OK\r\n");
        client.write_all(b"GET large\r\n").unwrap();
        thread::sleep(Duration::from_millis(300));
        expect(&mut client, &format!("${}\r\n", value.len()));
        let mut got = vec![0; value.len() + 2];
        client.read_exact(&mut got).expect("the reply stops");
        assert!(got.starts_with(&value), "other bytes were sent");
    });
}

/// [MV-4] Clients that do not read: the new worker asks its own poll when it can write to them.
#[test]
fn replies_that_wait_for_the_client_are_sent_by_the_new_worker() {
    let value = vec![b'x'; 6 << 20];
    serve(in_memory(), |shared, connect| {
        let mut clients = clients_of_a_retired_loop(shared, connect, |client| {
            write!(client, "*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n${}\r\n", value.len()).unwrap();
            client.write_all(&[&value[..], b"\r\n"].concat()).unwrap();
            expect(client, "+OK\r\n");
            client.write_all(b"GET large\r\n").unwrap();
            // By then the server waits for room in the socket.
            thread::sleep(Duration::from_millis(100));
        });
        for client in &mut clients {
            client.write_all(b"PING\r\n").unwrap();
        }
        wait_until("a retired loop keeps its clients", || shared.workers[1].clients.get() == 0);
        for client in &mut clients {
            expect(client, &format!("${}\r\n", value.len()));
            let mut got = vec![0; value.len()];
            client.read_exact(&mut got).expect("the reply stops");
            assert!(got == value, "other bytes were sent");
            expect(client, "\r\n+PONG\r\n");
        }
    });
}

#[test]
fn a_retired_loop_gives_its_clients_away() {
    serve(in_memory(), |shared, connect| {
        shared.event_loops.pin(2);
        let mut clients: Vec<_> = (0..10).map(|_| connect()).collect();
        let mut talk = || {
            for client in &mut clients {
                client.write_all(b"PING\r\n").unwrap();
                expect(client, "+PONG\r\n");
            }
        };
        talk();
        let of = |worker: usize| shared.workers[worker].clients.get();
        assert!(of(0) > 0 && of(1) > 0, "new clients go to one loop: {} and {}", of(0), of(1));
        // Both idle, so one retires by itself.
        shared.event_loops.unpin();
        // A client that moves is counted at neither loop for a moment.
        wait_until("an idle loop does not retire", || {
            talk();
            shared.event_loops.active() == 1 && (of(0), of(1)) == (10, 0)
        });
    });
}

/// [MV-5] Messages follow a subscriber that moves with each of them.
#[test]
fn subscribers_that_always_move_get_every_message() {
    let messages = rounds(300, 100);
    serve(in_memory(), |shared, connect| {
        shared.event_loops.restless.set(1);
        let mut subscribers: Vec<_> = (0..4).map(|_| connect()).collect();
        for subscriber in &mut subscribers {
            subscriber.write_all(b"HELLO 3\r\nSUBSCRIBE news\r\nECHO begin\r\n").unwrap();
            let mut got = Vec::new();
            while !got.ends_with(b"begin\r\n") {
                let mut piece = [0; 1024];
                let length = subscriber.read(&mut piece).unwrap();
                got.extend_from_slice(&piece[..length]);
            }
        }
        let listen = |mut subscriber: TcpStream| {
            let (mut wanted, mut got) = (Vec::new(), Vec::new());
            for n in 0..messages {
                let text = n.to_string();
                let length = text.len();
                write!(wanted, ">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n${length}\r\n{text}\r\n")
                    .unwrap();
            }
            let mut random = Random(7);
            while got.len() < wanted.len() {
                // A command moves it as well, but its reply would be among the messages.
                if random.below(4) == 0 {
                    subscriber.write_all(b"\r\n").unwrap();
                }
                let mut piece = vec![0; 1 + random.below(3000)];
                let length = subscriber.read(&mut piece).expect("messages stop");
                assert!(length > 0, "the subscriber was disconnected");
                got.extend_from_slice(&piece[..length]);
            }
            assert!(got == wanted, "a subscriber that moves got other messages");
        };
        thread::scope(|scope| {
            for subscriber in subscribers {
                scope.spawn(move || listen(subscriber));
            }
            let mut publisher = connect();
            for n in 0..messages {
                write!(publisher, "PUBLISH news {n}\r\n").unwrap();
                expect(&mut publisher, ":4\r\n");
            }
        });
        let served = shared.workers.iter().filter(|worker| worker.counters.messages.get() > 0);
        assert_eq!(served.count(), WORKERS, "the subscribers have not moved");
    });
}
