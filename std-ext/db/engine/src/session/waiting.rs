//! Waiting for elements and entries: see [`waiters`](crate::state::waiters).

use super::Session;
use super::multi_key::{ApplyMany, advance, lock_shards};
use crate::log::Lsn;
use crate::request::{Answer, MultiKeyOp};
use crate::state::waiters::serve::{MoveKey, first_waiter, pass};
use crate::state::waiters::waiter::Wanted;
use crate::state::waiters::{WaitEnd, Waiter};
use std::sync::Arc;

impl Session {
    /// Takes elements, moves one, or reads entries of streams, as the operation says. If there is nothing, waits for
    /// it: then `answer` is not called, and the result has a waiter. The caller [forgets](Self::forget_waiter) the
    /// waiter in the end. Of an operation that cannot wait, the answer is that there is nothing.
    ///
    /// Otherwise as for [`execute`](Self::execute): the log entry must be committed before the answer is shown.
    pub fn take_or_wait(
        &mut self,
        op: MultiKeyOp<'_>,
        answer: &mut dyn FnMut(Answer<'_>),
    ) -> (Lsn, Option<Arc<Waiter>>) {
        let from = op.keys().next();
        let keys = match op {
            MultiKeyOp::PopFirst { keys, .. }
            | MultiKeyOp::ReadStreams { keys, .. }
            | MultiKeyOp::DeliverStreams { keys, .. } => keys,
            // One that moves an element waits for its first key alone.
            MultiKeyOp::MoveElement { .. } => from.as_slice(),
            op => return (self.multi_key(op, answer, None), None),
        };
        let mut waiter = None;
        let database = self.database;
        // Under the locks under which the keys were found empty: nothing comes between.
        let wait = &mut |apply: &mut ApplyMany<'_, '_>| {
            let Some(wanted) = Wanted::of(op, &mut |key| apply.last_id(key)) else { return };
            let new = Waiter::new(database, keys, wanted);
            for key in keys {
                apply.core(key).waiters.add(&new, key);
            }
            waiter = Some(new);
        };
        let lsn = self.multi_key(op, answer, Some(wait));
        (lsn, waiter)
    }

    /// Removes a waiter from all queues, once its wait is over. Locks the shard of each key.
    pub fn forget_waiter(&self, waiter: &Waiter) {
        let first = self.state.keyspace(waiter.database()).first;
        for key in waiter.keys() {
            let number = first + self.state.shard_of(key);
            let of = (waiter.database(), None);
            self.state.lock_current(of, number).1.waiters.remove(waiter, key);
        }
    }

    /// Serves the waiters that move an element. The caller holds no lock.
    #[inline]
    pub(super) fn serve_moves(&mut self) {
        if !self.moves.is_empty() {
            self.serve_all_moves();
        }
    }

    #[cold]
    fn serve_all_moves(&mut self) {
        while let Some(of) = self.moves.pop_front() {
            while self.serve_move(&of) {}
        }
    }

    /// Serves the first waiter of a key, if it moves an element. Returns whether there may be another one.
    fn serve_move(&mut self, (database, key): &MoveKey) -> bool {
        let state = Arc::clone(&self.state);
        let shard = |key: &[u8]| state.keyspace(*database).first + state.shard_of(key);
        // Its destination is known only under the lock, and decides which locks are needed.
        let first = {
            let (_, mut core) = state.lock_current((*database, None), shard(key));
            let time = core.advance_time(state.clock.now());
            first_waiter(&mut core, time, key)
        };
        let Some(waiter) = first else { return false };
        let to = if let Wanted::Move { to, .. } = waiter.wanted() { to } else { &**key };
        let mut cores = lock_shards(&state, || vec![shard(key), shard(to)]);
        let time = advance(&mut cores, state.clock.now());
        self.entry.clear();
        let (of, bounds) = ((*database, time), (state.largest_request, state.most_held()));
        let mut apply = ApplyMany::new(&state, &mut cores, of, &mut self.entry, bounds);
        let first = first_waiter(apply.core(key), time, key);
        if !first.is_some_and(|first| Arc::ptr_eq(&first, &waiter)) {
            // Another thread was faster.
            return true;
        }
        let Wanted::Move { take, put, .. } = waiter.wanted() else {
            // Those before it have ended.
            if let Some(record) = apply.find_alive(key) {
                apply.core(key).waiters.note(record);
            }
            state.serve_locked(&mut cores, time, &mut self.moves);
            return false;
        };
        if let Err(error) = state.check_writable() {
            // The element stays, and no change may come that would serve the waiter.
            waiter.end(WaitEnd::Refused(error));
            return true;
        }
        if !waiter.claim() {
            return true;
        }
        let mut taken = None;
        apply.log(|apply| {
            let answer = &mut |made: Answer<'_>| taken = Some(state.served(made));
            apply.move_element((key, *take), (to, *put), answer);
        });
        let core = apply.core(key);
        pass(core, &waiter, taken);
        core.waiters.remove(&waiter, key);
        state.log_and_publish_all(&mut cores, time, &self.entry);
        // The destination may have waiters, too.
        state.serve_locked(&mut cores, time, &mut self.moves);
        true
    }
}
