//! The user of a connection.

use super::user::User;
use super::users::Users;
use crate::command::connection::Connection;
use crate::command::table;
use std::sync::Arc;

impl Connection {
    /// Makes `default` the user, as for a new connection.
    pub(in crate::command) fn log_out(&mut self, users: &Users) {
        // Before the user is read: a change between the two is seen by the next comparison.
        self.users_version = users.version();
        self.user = users.default_user();
        self.is_logged_in = self.user.is_open();
        self.update_rights();
    }

    /// Makes this the user.
    pub(in crate::command) fn log_in(&mut self, user: Arc<User>) {
        (self.user, self.is_logged_in) = (user, true);
        self.update_rights();
    }

    fn update_rights(&mut self) {
        // A client that has not logged in is `default`, which may need no password by now.
        self.authenticated = self.is_logged_in || self.user.is_open();
        self.is_unrestricted = self.authenticated && self.user.is_unrestricted();
    }

    /// Returns the name of the user.
    pub fn user_name(&self) -> &[u8] {
        self.user.name()
    }

    /// Takes the newest snapshot of the user if the table has changed. Returns false if the connection must end: the
    /// user was removed, or the connection gets messages that the user may not have any more.
    #[inline]
    pub(crate) fn refresh_user(&mut self, users: &Users) -> bool {
        self.users_version == users.version() || self.take_changed_user(users)
    }

    #[cold]
    fn take_changed_user(&mut self, users: &Users) -> bool {
        // Before the user is read: a change between the two is seen by the next comparison.
        self.users_version = users.version();
        let known = users.get(&self.user.name).filter(|user| user.serial == self.user.serial);
        let Some(user) = known else {
            // Nothing may be executed with the rights of a user that was removed.
            self.user = Arc::new(User::new(self.user.name(), self.user.serial, false));
            (self.is_logged_in, self.authenticated, self.is_unrestricted) = (false, false, false);
            return false;
        };
        let before = std::mem::replace(&mut self.user, user);
        self.update_rights();
        // The user `default` has got a password, and this client has not given it.
        let lacks_login = !self.authenticated && self.gets_messages();
        let lacks_channel =
            self.user.has_fewer_channels_than(&before) && self.has_forbidden_subscription();
        !(lacks_login || lacks_channel || self.monitors_without_right())
    }

    fn monitors_without_right(&self) -> bool {
        let name: &[u8] = b"monitor";
        self.monitoring.is_some()
            && table::find(name).is_none_or(|monitor| self.user.refuses(monitor, &[name]))
    }

    fn has_forbidden_subscription(&self) -> bool {
        self.subscriptions().is_some_and(|subscriptions| {
            !subscriptions.all(|name, is_pattern| self.user.may_subscribe(name, is_pattern))
        })
    }
}
