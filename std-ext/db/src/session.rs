//! What a thread asks with.

use crate::ask::{Answer, Ask};
use crate::log::Lsn;

/// A thread's way to the database. Made by [`Db::session`](crate::Db::session); belongs to one thread at a time.
pub struct Session {
    _x: (),
}

impl Session {
    /// Answers all asks, each once, by `answer(its number, ...)`: not in order where changes are among them. Those of one
    /// key take effect in order; a change and a look at another key may change places, until the first is answered.
    /// Returns the log's entry that must be safe ([`Log::commit`](crate::log::Log::commit)) before any of these answers may be shown to
    /// anybody: also of looks, which may have seen what is not safe yet.
    pub fn run(&mut self, asks: &[Ask<'_>], answer: &mut impl FnMut(usize, Answer<'_>)) -> Lsn {
        let _ = (asks, answer);
        unimplemented!()
    }

    /// Milliseconds since 1970, by which keys end.
    pub fn now(&self) -> u64 {
        unimplemented!()
    }

    /// How many keys there are, with those that have ended and were not removed yet.
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Visits some keys, about `count`, from a place on; the place to go on from, 0 where all were visited. A key that is there
    /// all the time is visited, maybe more than once. Begin with 0.
    pub fn scan(&mut self, from: u64, count: usize, each: &mut dyn FnMut(&[u8])) -> u64 {
        let _ = (from, count, each);
        unimplemented!()
    }

    /// Any key, if there is one.
    pub fn random_key(&mut self) -> Option<Vec<u8>> {
        unimplemented!()
    }
}
