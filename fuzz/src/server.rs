//! A database's commands, without a network.

use hedgerow_db::command::{
    Connection, Context, NextStep, Scratch, ServerApi, Users, process_input,
};
use hedgerow_db::pubsub::Hub;
use hedgerow_db::request::{MultiKeyOp, Request};
use hedgerow_db::{Db, Session};
use std::sync::{Arc, LazyLock};

/// A server without statistics or settings.
#[derive(Default)]
struct Server {
    users: Users,
}

impl ServerApi for Server {
    fn users(&self) -> &Users {
        &self.users
    }

    fn hub(&self) -> &Arc<Hub> {
        &HUB
    }
}

static HUB: LazyLock<Arc<Hub>> = LazyLock::new(|| Hub::new(0));

/// Removes all keys, and sets the limit of memory that inputs may have changed.
pub fn clear(db: &Db, session: &mut Session) {
    session.execute(&[Request::MultiKey(MultiKeyOp::ClearAll)], &mut |_, _| {});
    db.set_max_memory(0);
}

/// Returns the replies to a new client, whose bytes arrive in pieces.
pub fn answers(
    db: &Db,
    session: &mut Session,
    bytes: &[u8],
    piece: &mut dyn FnMut() -> usize,
) -> Vec<u8> {
    let server = Server::default();
    let mut connection = Connection::new(1, "fuzz".into(), "here".into(), &server.users);
    let mut scratch = Scratch::default();
    let (mut out, mut from, mut to) = (Vec::new(), 0, 0);
    loop {
        let scratch = &mut scratch;
        let context = &mut Context { session, db, server: &server, scratch, cluster: None };
        let outcome = process_input(&mut connection, context, &bytes[from..to], &mut out);
        from += outcome.consumed;
        if outcome.next != NextStep::Continue || outcome.consumed == 0 && to == bytes.len() {
            return out;
        }
        if outcome.consumed == 0 {
            to = (to + piece().max(1)).min(bytes.len());
        }
    }
}
