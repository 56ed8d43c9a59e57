//! Commands about several databases: SELECT, MOVE, COPY and SWAPDB. A node of a cluster has database 0 only.

use crate::command::arguments::{CommandError, NOT_AN_INTEGER, SYNTAX, is};
use crate::command::execute::Execution;
use crate::command::reply::{ReplyKind, error_text};
use crate::command::rows::{Run, alone, command};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, OW, RO, RW, UPDATE, key};
use hedgerow_db_engine::request::{MultiKeyOp, RequestError};
use hedgerow_db_formats::number;

const SAME_KEY: &str = "ERR source and destination objects are the same";
const OUT_OF_RANGE: &str =
    "ERR value is out of range, value must between -2147483648 and 2147483647";

/// Parses a number as Redis does the number of a database.
fn small_integer(text: &[u8]) -> Result<i32, CommandError> {
    let number = number::integer(text).ok_or(NOT_AN_INTEGER)?;
    i32::try_from(number).map_err(|_| OUT_OF_RANGE.into())
}

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    command("copy", -3, "write denyoom", |e, a| e.copy(a))
        .keys(&[key(1, RO | ACCESS), key(2, OW | UPDATE)])
        .since("6.2.0", Group::Generic)
        .syntax("source#0 destination#1 [DB destination-db/integer] [REPLACE]")
        .summary("Copies the value of a key to another key.")
        .takes_time("O(N), N is the number of bytes"),
    command("move", 3, "write fast", |e, a| e.move_key(a))
        .keys(&[key(1, RW | ACCESS | UPDATE)])
        .since("1.0.0", Group::Generic)
        .syntax("key#0 db/integer")
        .summary("Moves a key to another database.")
        .takes_time("O(N), N is the number of bytes"),
    alone("select", 2, "loading stale fast", |e, a| e.select(a[1]))
        .since("1.0.0", Group::Connection)
        .syntax("index/integer")
        .summary("Selects the database of the following commands.")
        .without_data()
        .brief(),
    alone("swapdb", 3, "write fast", |e, a| e.swapdb(a))
        .since("4.0.0", Group::Server)
        .syntax("index1/integer index2/integer")
        .summary("Swaps two databases.")
        .also_in("keyspace dangerous"),
];

impl<'a> Execution<'_, 'a> {
    /// Returns the database of a number.
    fn database(&self, number: i32) -> Result<u16, CommandError> {
        let number = u16::try_from(number).ok().filter(|number| *number < self.session.databases());
        number.ok_or_else(|| error_text(RequestError::NoSuchDatabase).into())
    }

    /// SELECT.
    pub(super) fn select(&mut self, number: &[u8]) -> Result<(), CommandError> {
        let number = small_integer(number)?;
        if self.group().is_some() {
            return self.select_in_cluster(number);
        }
        let database = self.database(number)?;
        // EXEC executes the batch as a whole, so the change is a request in it. Later commands of the queue compare
        // with `database` below at once.
        if self.collects {
            self.batch.select(database);
        } else {
            self.execute_batch();
            self.session.set_database(database);
            self.reply(|out| out.ok());
        }
        self.connection.database = database;
        Ok(())
    }

    /// SELECT at a node of a cluster. From one that fails until one that succeeds, commands about keys are refused:
    /// they were meant for another database.
    fn select_in_cluster(&mut self, number: i32) -> Result<(), CommandError> {
        self.connection.missing_db_selected = number != 0;
        self.connection.update_blocked();
        if number != 0 {
            return Err("ERR SELECT is not allowed in cluster mode".into());
        }
        self.reply(|out| out.ok());
        Ok(())
    }

    /// MOVE.
    pub(super) fn move_key(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        if self.group().is_some() {
            return Err("ERR MOVE is not allowed in cluster mode".into());
        }
        let to = self.database(small_integer(arguments[2])?)?;
        if to == self.connection.database {
            return Err(SAME_KEY.into());
        }
        self.batch.multi_key(MultiKeyOp::Move { key: arguments[1], to }, ReplyKind::Integer);
        Ok(())
    }

    /// COPY.
    pub(super) fn copy(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (mut database, mut replace) = (self.connection.database, false);
        let mut options = &arguments[3..];
        loop {
            options = match options {
                [] => break,
                [option, rest @ ..] if is(option, "replace") => {
                    replace = true;
                    rest
                }
                [option, number, rest @ ..] if is(option, "db") => {
                    database = self.copy_target(small_integer(number)?)?;
                    rest
                }
                _ => return Err(SYNTAX),
            };
        }
        let (from, to) = (arguments[1], arguments[2]);
        if self.group().is_some() && database != 0 {
            return Err("ERR Copying to another database is not allowed in cluster mode".into());
        }
        if database == self.connection.database && from == to {
            return Err(SAME_KEY.into());
        }
        let copy = MultiKeyOp::Copy { from, to, database, replace };
        self.batch.multi_key(copy, ReplyKind::Integer);
        Ok(())
    }

    /// Returns the database of a copy. In a cluster it need not exist: the reply is another error.
    fn copy_target(&self, number: i32) -> Result<u16, CommandError> {
        match (self.group(), u16::try_from(number)) {
            // The default of Redis's `databases`, against which it checks the number before it refuses the copy.
            (Some(_), Ok(number @ 0..16)) => Ok(number),
            _ => self.database(number),
        }
    }

    /// SWAPDB.
    pub(super) fn swapdb(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        if self.group().is_some() {
            return Err("ERR SWAPDB is not allowed in cluster mode".into());
        }
        let one = small_integer(arguments[1]).map_err(|_| "ERR invalid first DB index")?;
        let other = small_integer(arguments[2]).map_err(|_| "ERR invalid second DB index")?;
        let swap = MultiKeyOp::SwapDatabases(self.database(one)?, self.database(other)?);
        self.batch.multi_key(swap, ReplyKind::Done);
        Ok(())
    }
}
