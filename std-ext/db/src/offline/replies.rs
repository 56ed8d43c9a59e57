//! A server without clients: commands of a file are executed as those of a client, by the same layer.

use super::summary::{NamedCounts, count};
use hedgerow_db_engine::{Db, Session};
use hedgerow_db_formats::resp::parse::{self, Limits, Requests};
use hedgerow_db_formats::resp::read::{self, ReadItem, Reply};
use hedgerow_db_redis::command::{
    Connection, Context, NextStep, Scratch, ServerApi, Users, process_input,
};
use hedgerow_db_redis::pubsub::Hub;
use std::sync::Arc;

/// There are no statistics, settings or other clients, and no subscribers.
struct NoServer {
    hub: Arc<Hub>,
    users: Users,
}

impl ServerApi for NoServer {
    fn users(&self) -> &Users {
        &self.users
    }

    fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }
}

/// The connection by which commands are executed.
pub(super) struct Executor {
    server: NoServer,
    connection: Connection,
    scratch: Scratch,
    /// The commands that wait, and their names.
    input: Vec<u8>,
    names: Vec<&'static str>,
    /// The ends of the parts of the input that are executed one by one.
    ends: Vec<usize>,
    out: Vec<u8>,
    /// The first command that failed, and its reply.
    pub(super) first_error: Option<String>,
}

/// Commands are executed when they have this many bytes.
const CHUNK: usize = 1 << 20;

/// The most bytes of replies to one part of the commands. The reply to a command that returns a value is shorter, and
/// so are those to a batch of others.
const MOST_REPLIES: usize = 1 << 30;

impl Executor {
    pub(super) fn new() -> Self {
        let server = NoServer { hub: Hub::new(0), users: Users::default() };
        let mut connection = Connection::new(1, "import".into(), "import".into(), &server.users);
        connection.set_reply_limit(MOST_REPLIES);
        Self {
            server,
            connection,
            scratch: Scratch::default(),
            input: Vec::new(),
            names: Vec::new(),
            ends: Vec::new(),
            out: Vec::new(),
            first_error: None,
        }
    }

    /// Adds a command. Returns whether it is time to execute.
    pub(super) fn push(&mut self, name: &'static str, bytes: &[u8]) -> bool {
        // A batch of short commands could return a long value hundreds of times.
        let alone = returns_value(name, bytes);
        if alone {
            self.ends.push(self.input.len());
        }
        self.input.extend_from_slice(bytes);
        self.names.push(name);
        if alone {
            self.ends.push(self.input.len());
        }
        self.input.len() >= CHUNK
    }

    /// Executes the commands. Counts those that fail.
    ///
    /// # Errors
    /// If the log fails, or the connection ends.
    pub(super) fn execute(
        &mut self,
        db: &Db,
        session: &mut Session,
        failed: &mut NamedCounts<String>,
    ) -> Result<(), String> {
        self.ends.push(self.input.len());
        let (mut at, mut names) = (0, self.names.iter());
        for &end in &self.ends {
            while at < end {
                let scratch = &mut self.scratch;
                let mut context =
                    Context { session, db, server: &self.server, scratch, cluster: None };
                let input = &self.input[at..end];
                let done = process_input(&mut self.connection, &mut context, input, &mut self.out);
                if done.next != NextStep::Continue || done.consumed == 0 {
                    return Err("a command of the file ends its execution".to_owned());
                }
                db.log().wait(done.lsn).map_err(|why| why.to_string())?;
                at += done.consumed;
                let mut out = &self.out[..];
                while let Ok(ReadItem::Reply(reply, used)) = read::reply(out) {
                    out = &out[used..];
                    let name = names.next().copied().unwrap_or_default();
                    if let Reply::Error(text) = reply {
                        let name = name.to_ascii_uppercase();
                        self.first_error.get_or_insert_with(|| {
                            format!("{name}: {}", String::from_utf8_lossy(&text))
                        });
                        count(failed, name);
                    }
                }
                self.out.clear();
            }
        }
        self.ends.clear();
        self.input.clear();
        self.names.clear();
        Ok(())
    }
}

/// Returns whether a command that changes keys replies with a value.
fn returns_value(name: &str, bytes: &[u8]) -> bool {
    match name {
        // Those of sorted sets and `spop` as well: a member may be as long as a value.
        "getdel" | "getex" | "getset" | "lpop" | "rpop" | "lmove" | "rpoplpush" | "lmpop"
        | "spop" | "zpopmin" | "zpopmax" | "zmpop" => true,
        // Only with the option GET. `*3` is a SET without options.
        "set" if !bytes.starts_with(b"*3\r\n") => {
            let mut arguments = Vec::new();
            let found = Requests::default().next(bytes, Limits::FULL, &mut arguments);
            let is_whole = matches!(found, parse::ParsedItem::Request(_));
            !is_whole || arguments.iter().skip(3).any(|option| option.eq_ignore_ascii_case(b"get"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_engine::Options;
    use hedgerow_db_formats::resp::write::request;

    #[test]
    fn values_that_are_returned_wait_for_no_others() {
        let db = Db::open(Options::in_memory()).unwrap();
        let (mut session, mut executor) = (db.session(), Executor::new());
        let mut add = |name: &'static str, rest: &[&str]| {
            let (mut bytes, mut words) = (Vec::new(), vec![name]);
            words.extend(rest);
            request(&mut bytes, &words);
            executor.push(name, &bytes);
        };
        add("setrange", &["k", "999999", "x"]);
        for _ in 0..20 {
            add("getex", &["k", "PERSIST"]);
            add("set", &["n", "1", "get"]);
            add("incr", &["k"]);
            add("set", &["n", "1", "PX", "9999"]);
        }
        let value = "v".repeat(1_000_000);
        (0..20).for_each(|_| add("set", &["k", &value, "KEEPTTL", "GET"]));
        (0..20).for_each(|_| add("getset", &["k", &value]));
        let mut failed = NamedCounts::default();
        executor.execute(&db, &mut session, &mut failed).unwrap();
        assert_eq!(failed, [("INCR".to_owned(), 20)].into());
        let room = executor.out.capacity();
        assert!(room < 4_000_000, "values are returned together: {room} bytes");
        let got = db.get("k").unwrap().map(|value| value.len());
        assert_eq!((got, executor.input.len(), executor.ends.len()), (Some(1_000_000), 0, 0));
    }
}
