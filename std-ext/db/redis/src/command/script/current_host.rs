//! The host of the running script, for functions of the interpreter, which live longer than a run.
//!
//! `redis.call` is made once for an interpreter, and each run has a host of its own, which borrows from the connection
//! and from locked keys. A closure of `mlua` for each run would take a sixth of the time of a short script.

use crate::command::acl::user::User;
use hedgerow_db_formats::resp::Protocol;
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::Arc;

/// Executes the commands of a script.
pub(super) trait Host {
    /// Executes a command, and appends its reply to `out`.
    ///
    /// # Errors
    /// Scripts must not call it. The text is the error that the script gets, with its code.
    fn call(
        &mut self,
        arguments: &[&[u8]],
        protocol: Protocol,
        out: &mut Vec<u8>,
    ) -> Result<(), String>;

    /// Returns whether the script must end, and begin anew with the locks of more shards.
    fn needs_locks(&self) -> bool {
        false
    }

    /// Returns the user of the client that runs the script.
    fn user(&self) -> Arc<User>;
}

/// Where functions find the host of the script that runs.
#[derive(Default)]
pub(super) struct CurrentHost(Cell<Option<NonNull<dyn Host>>>);

impl CurrentHost {
    /// Calls `run`. Until it returns, [`with`](Self::with) finds `host`.
    pub(super) fn set_during<R>(&self, host: &mut (dyn Host + '_), run: impl FnOnce() -> R) -> R {
        let host = NonNull::from(host);
        // SAFETY: the pointers differ only in how long their host lives. This one is used by `with` alone, and it is
        // removed when `set_during` ends, by `RestoresHost` also if `run` panics. Until then `host` is borrowed here.
        let host = unsafe {
            std::mem::transmute::<NonNull<dyn Host + '_>, NonNull<dyn Host + 'static>>(host)
        };
        let _restored = RestoresHost(self, self.0.replace(Some(host)));
        run()
    }

    /// Calls `with` with the host. Returns `None` if there is none, or if it is in use further up the stack.
    pub(super) fn with<R>(&self, with: impl FnOnce(&mut (dyn Host + '_)) -> R) -> Option<R> {
        let mut host = self.0.take()?;
        let _restored = RestoresHost(self, Some(host));
        // SAFETY: the host is borrowed until `set_during` ends, which has called `run`, and `run` this function, so it
        // ends later. Nobody else uses the host: the place is empty until `_restored` is dropped, and `set_during` has
        // the only other reference, which it does not use again.
        Some(with(unsafe { host.as_mut() }))
    }
}

/// Restores what was in the place before.
struct RestoresHost<'p>(&'p CurrentHost, Option<NonNull<dyn Host>>);

impl Drop for RestoresHost<'_> {
    fn drop(&mut self) {
        self.0.0.set(self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    struct Counting<'c>(&'c mut Vec<usize>);

    impl Host for Counting<'_> {
        fn call(
            &mut self,
            arguments: &[&[u8]],
            _: Protocol,
            _: &mut Vec<u8>,
        ) -> Result<(), String> {
            self.0.push(arguments.len());
            Ok(())
        }

        fn user(&self) -> Arc<User> {
            unreachable!("no script runs")
        }
    }

    fn call(place: &CurrentHost, arguments: &[&[u8]]) -> Option<Result<(), String>> {
        place.with(|host| host.call(arguments, Protocol::Two, &mut Vec::new()))
    }

    #[test]
    fn a_host_is_found_until_the_run_ends() {
        let (place, mut counted) = (CurrentHost::default(), Vec::new());
        assert_eq!(call(&place, &[]), None);
        place.set_during(&mut Counting(&mut counted), || {
            assert_eq!(call(&place, &[b"a"]), Some(Ok(())));
            place.with(|_| assert_eq!(call(&place, &[]), None, "it is in use"));
            assert_eq!(call(&place, &[b"a", b"b"]), Some(Ok(())));
        });
        assert_eq!(call(&place, &[]), None);
        assert_eq!(counted, [1, 2]);
    }

    #[test]
    fn no_host_is_left_by_a_panic() {
        let (place, mut counted) = (CurrentHost::default(), Vec::new());
        let caught = catch_unwind(AssertUnwindSafe(|| {
            place
                .set_during(&mut Counting(&mut counted), || place.with(|_| panic!("in a command")));
        }));
        assert!(caught.is_err());
        assert!(place.0.get().is_none(), "a host was left");
    }
}
