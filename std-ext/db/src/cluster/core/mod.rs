//! The protocol of one group: a state machine that takes events and gives actions.
//!
//! Nothing here has a thread, a socket, a clock or randomness of its own. The driver of a node runs it, and so does the
//! simulation.
//!
//! [`Group::handle`] takes one [`Event`] and answers with [`Action`]s, which the driver carries out in order.

pub mod api;
pub mod batch;
pub mod chain;
pub mod entry;
mod group;
pub mod members;
pub mod swap;
pub mod tail;

pub use api::{Action, Answer, Event, Failure, Read, Role, Seen, Settings, Status};
pub use batch::Batch;
pub use chain::Chain;
pub use entry::{Committed, Entry, Epoch, Mark, NodeId, Now, Position, Seq};
pub use group::Group;
pub use members::{Member, Members};
pub use swap::{Compare, Outcome, Put, Swap};
pub use tail::Tail;
