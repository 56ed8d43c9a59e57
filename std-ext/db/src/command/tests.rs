//! Commands as a client sends them, with the bytes that it gets.

use super::*;
use crate::resp::read::{self, Reply};
use crate::resp::write;
use crate::{Db, Options, Session};
use std::cell::RefCell;

/// A server that knows little, and has a password or none.
#[derive(Default)]
struct Server {
    password: Option<&'static [u8]>,
    timeout: RefCell<String>,
}

impl ServerFacts for Server {
    fn figures(&self) -> ServerFigures {
        ServerFigures { port: 6379, clients: 2, run_id: "0".repeat(40), ..ServerFigures::default() }
    }

    fn settings(&self, each: &mut dyn FnMut(&str, &str)) {
        each("port", "6379");
        each("timeout", &self.timeout.borrow());
        each("maxmemory", "the database's own is shown");
    }

    fn set(&self, name: &str, value: &str) -> Result<(), NotSet> {
        match name {
            "timeout" if value == "x" => Err(NotSet::Wrong("argument couldn't be parsed".into())),
            "timeout" => {
                value.clone_into(&mut self.timeout.borrow_mut());
                Ok(())
            }
            "port" => Err(NotSet::Fixed),
            _ => Err(NotSet::Unknown),
        }
    }

    fn reset_counters(&self) {}

    fn clients(&self, but: u64, each: &mut dyn FnMut(&ClientFacts<'_>)) {
        let other = Connection::new(but + 1, "10.0.0.2:2".into(), false);
        each(&other.facts());
    }

    fn password_is(&self, user: &[u8], password: &[u8]) -> bool {
        let wanted = self.password.unwrap_or(password);
        same_secret(user, b"default") & same_secret(password, wanted)
    }

    fn has_password(&self) -> bool {
        self.password.is_some()
    }
}

/// A database with one connection.
pub(super) struct Client {
    db: Db,
    session: Session,
    server: Server,
    connection: Connection,
    scratch: Scratch,
    then: Then,
}

impl Client {
    pub(super) fn new() -> Self {
        Self::of(Server::default())
    }

    fn of(server: Server) -> Self {
        let db = Db::open(Options { shards: 4, ..Options::in_memory() }).unwrap();
        let connection = Connection::new(7, "10.0.0.1:1".into(), server.has_password());
        let (session, scratch) = (db.session(), Scratch::default());
        Self { db, session, server, connection, scratch, then: Then::GoOn }
    }

    fn obey(&mut self, input: &[u8], out: &mut Vec<u8>) -> Obeyed {
        let mut context = Context {
            session: &mut self.session,
            db: &self.db,
            server: &self.server,
            scratch: &mut self.scratch,
        };
        obey(&mut self.connection, &mut context, input, out)
    }

    /// Sends bytes, all of which have to be obeyed; what is answered.
    pub(super) fn send(&mut self, mut input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        while !input.is_empty() && self.then == Then::GoOn {
            let obeyed = self.obey(input, &mut out);
            self.then = obeyed.then;
            input = &input[obeyed.consumed..];
            assert!(obeyed.consumed > 0 || obeyed.then != Then::GoOn, "{input:?}");
        }
        out
    }

    /// Sends bytes, which may ask for nothing, or end before a request does.
    pub(super) fn send_some(&mut self, mut input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        while self.then == Then::GoOn {
            let obeyed = self.obey(input, &mut out);
            self.then = obeyed.then;
            input = &input[obeyed.consumed..];
            if obeyed.consumed == 0 {
                break;
            }
        }
        out
    }

    /// What is to be done with the connection.
    pub(super) fn then(&self) -> Then {
        self.then
    }

    /// Sends a line of words, as one request.
    fn ask(&mut self, line: &str) -> String {
        let mut input = Vec::new();
        write::request(&mut input, &crate::resp::inline::split(line.as_bytes()).unwrap());
        String::from_utf8_lossy(&self.send(&input)).replace("\r\n", " ").trim_end().to_owned()
    }

    fn reply(&mut self, line: &str) -> Reply {
        let answer = self.send(format!("{line}\r\n").as_bytes());
        match read::reply(&answer) {
            Ok(read::Found::Reply(reply, length)) if length == answer.len() => reply,
            other => panic!("{other:?} of {answer:?}"),
        }
    }
}

#[test]
fn a_pipeline_is_answered_in_its_order() {
    let mut client = Client::new();
    let input = b"SET a 1\r\nSET b two\r\nGET a\r\nINCR a\r\nPING\r\nGET c\r\nMGET a b c\r\nDEL a b c\r\nINCR b\r\n";
    let mut input = input.to_vec();
    write::request(&mut input, &["COMMAND", "COUNT"]);
    write::request(&mut input, &["EXISTS", "b", "b", "c"]);
    let wanted = "+OK\r\n+OK\r\n$1\r\n1\r\n:2\r\n+PONG\r\n$-1\r\n*3\r\n$1\r\n2\r\n$3\r\ntwo\r\n$-1\r\n:2\r\n:1\r\n:62\r\n:2\r\n";
    assert_eq!(String::from_utf8(client.send(&input)).unwrap(), wanted);
}

#[test]
fn hello_chooses_the_protocol() {
    let mut client = Client::new();
    assert_eq!(client.ask("get a"), "$-1");
    let hello = client.ask("hello 3 setname rose");
    let wanted = "%7 $6 server $5 redis $7 version $6 7.0.15 $5 proto :3 $2 id :7 $4 mode $10 standalone \
        $4 role $6 master $7 modules *0";
    assert_eq!(hello, wanted);
    assert_eq!(client.ask("get a"), "_");
    assert_eq!(client.ask("client getname"), "$4 rose");
    // What was asked before is answered as it was asked.
    let answers = client.send(b"get a\r\nhello 2\r\nget a\r\n");
    assert!(answers.starts_with(b"_\r\n*14\r\n") && answers.ends_with(b"*0\r\n$-1\r\n"));
}
