//! A server without clients: commands of a file are executed as those of a client, by the same layer.

use super::summary::{Counts, count};
use crate::command::{Connection, Context, NextStep, Scratch, ServerApi, Users, process_input};
use crate::pubsub::Hub;
use crate::resp::read::{self, Found, Reply};
use crate::{Db, Session};
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
    out: Vec<u8>,
    /// The first command that failed, and its reply.
    pub(super) first_error: Option<String>,
}

/// Commands are executed when they have this many bytes.
const CHUNK: usize = 1 << 20;

impl Executor {
    pub(super) fn new() -> Self {
        let server = NoServer { hub: Hub::new(0), users: Users::default() };
        let connection = Connection::new(1, "import".into(), "import".into(), &server.users);
        let (input, names, out) = (Vec::new(), Vec::new(), Vec::new());
        let scratch = Scratch::default();
        Self { server, connection, scratch, input, names, out, first_error: None }
    }

    /// Adds a command. Returns whether it is time to execute.
    pub(super) fn push(&mut self, name: &'static str, bytes: &[u8]) -> bool {
        self.input.extend_from_slice(bytes);
        self.names.push(name);
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
        failed: &mut Counts<String>,
    ) -> Result<(), String> {
        let (mut at, mut names) = (0, self.names.iter());
        while at < self.input.len() {
            let scratch = &mut self.scratch;
            let mut context = Context { session, db, server: &self.server, scratch, cluster: None };
            let done =
                process_input(&mut self.connection, &mut context, &self.input[at..], &mut self.out);
            if done.next != NextStep::Continue || done.consumed == 0 {
                return Err("a command of the file ends its execution".to_owned());
            }
            db.log().wait(done.lsn).map_err(|why| why.to_string())?;
            at += done.consumed;
            let mut out = &self.out[..];
            while let Ok(Found::Reply(reply, used)) = read::reply(out) {
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
        self.input.clear();
        self.names.clear();
        Ok(())
    }
}
