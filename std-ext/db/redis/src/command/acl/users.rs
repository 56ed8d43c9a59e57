//! The table of users, which all threads share.
//!
//! A connection keeps the snapshot of its user, so that its commands need no lock. Each change of the table gives it a
//! new version. A connection compares versions once for each batch of input, and each worker once a cycle, for the
//! clients that send nothing.

use super::file;
use super::log::{AclLog, AclLogEntry};
use super::rules::{RuleError, has_spaces, join_selectors};
use super::user::{DEFAULT, User};
use hedgerow_db_engine::gauge::Gauge;
use hedgerow_db_engine::lock::lock;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// The users by their names.
type UserTable = BTreeMap<Box<[u8]>, Arc<User>>;

/// Entries that ACL LOG keeps, unless a setting says otherwise.
const LOG_LENGTH: u64 = 128;

/// The users of a server.
pub struct Users {
    table: Mutex<UserTable>,
    version: AtomicU64,
    /// Whether new users have all channels (`acl-pubsub-default`).
    all_channels: AtomicBool,
    next_serial: Gauge,
    /// The file of users (`aclfile`), if there is one.
    file: OnceLock<PathBuf>,
    /// Wakes the threads that serve clients.
    on_change: OnceLock<Box<dyn Fn() + Send + Sync>>,
    log: Mutex<AclLog>,
    log_length: Gauge,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("table", &*lock(&self.table)).finish_non_exhaustive()
    }
}

impl Default for Users {
    /// There is one user, `default`, which has all rights and needs no password.
    fn default() -> Self {
        let default = Arc::new(User::default_user());
        Self {
            table: Mutex::new(BTreeMap::from([(DEFAULT.into(), default)])),
            version: AtomicU64::new(0),
            all_channels: AtomicBool::new(false),
            next_serial: Gauge::new(1),
            file: OnceLock::new(),
            on_change: OnceLock::new(),
            log: Mutex::default(),
            log_length: Gauge::new(LOG_LENGTH),
        }
    }
}

impl Users {
    /// Returns the version of the table. It changes with each change of a user.
    #[inline]
    pub fn version(&self) -> u64 {
        // Relaxed: a reader that sees a new version takes the lock of the table, in which `changed` has stored it. One
        // that still sees the old version acts one batch later.
        self.version.load(Ordering::Relaxed)
    }

    /// Sets what is called after each change.
    pub(crate) fn on_change(&self, wake: Box<dyn Fn() + Send + Sync>) {
        let _ = self.on_change.set(wake);
    }

    /// Changes the table, and wakes those who use it.
    fn change<T>(&self, change: impl FnOnce(&mut UserTable) -> T) -> T {
        let result = {
            let mut table = lock(&self.table);
            let result = change(&mut table);
            // Relaxed: the lock orders the table; see `version`.
            self.version.fetch_add(1, Ordering::Relaxed);
            result
        };
        // Behind the lock, which the threads that wake up want.
        if let Some(wake) = self.on_change.get() {
            wake();
        }
        result
    }

    /// Returns a user.
    pub(crate) fn get(&self, name: &[u8]) -> Option<Arc<User>> {
        lock(&self.table).get(name).cloned()
    }

    /// Returns the user of clients that have not named one.
    pub fn default_user(&self) -> Arc<User> {
        self.get(DEFAULT).unwrap_or_else(|| Arc::new(User::default_user()))
    }

    /// Returns all users, in the order of their names.
    pub(super) fn all(&self) -> Vec<Arc<User>> {
        lock(&self.table).values().cloned().collect()
    }

    /// Returns the user if this is one of its passwords, and it is on.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<Arc<User>> {
        self.get(name).filter(|user| user.admits(password))
    }

    /// Makes a user, or changes it. An error changes nothing.
    pub(super) fn set(&self, name: &[u8], rules: &[&[u8]]) -> Result<(), Vec<u8>> {
        if has_spaces(name) {
            return Err(b"Usernames can't contain spaces or null characters".to_vec());
        }
        // Redis accepts it, and then writes a file of users that has another user.
        if name.is_empty() {
            return Err(b"Usernames can't be empty".to_vec());
        }
        let rules = join_selectors(rules).map_err(|at| {
            [b"Unmatched parenthesis in acl selector starting at '", rules[at], b"'."].concat()
        })?;
        let all_channels = self.new_users_have_all_channels();
        self.change(|table| {
            let known = table.get(name);
            let mut user = known.map_or_else(|| self.new_user(name), |user| User::clone(user));
            for rule in &rules {
                user.apply(rule, all_channels).map_err(|why| {
                    let why = format!("': {why}");
                    [b"Error in ACL SETUSER modifier '", &rule[..], why.as_bytes()].concat()
                })?;
            }
            table.insert(name.into(), Arc::new(user));
            Ok(())
        })
    }

    /// Makes a user of the configuration file. The rules of `default` replace those that it has.
    pub(crate) fn configure(&self, name: &[u8], rules: &[&[u8]]) -> Result<(), String> {
        if has_spaces(name) {
            return Err("Spaces not allowed in ACL usernames".to_owned());
        }
        let shown = String::from_utf8_lossy(name);
        let rules =
            join_selectors(rules).map_err(|_| format!("user '{shown}': Unmatched parenthesis"))?;
        let all_channels = self.new_users_have_all_channels();
        self.change(|table| {
            let known = table.get(name);
            let mut user = known.map_or_else(|| self.new_user(name), |user| User::clone(user));
            if known.is_some() {
                // The configuration file describes a user completely. Rights that it had before do not count.
                user.apply(b"reset", all_channels).map_err(|why| why.to_string())?;
            }
            for rule in &rules {
                user.apply(rule, all_channels).map_err(|why| {
                    // Other rules may hold passwords.
                    let is_shown = matches!(why, RuleError::UnknownName);
                    let rule = if is_shown { String::from_utf8_lossy(rule) } else { "".into() };
                    format!("user '{shown}': {why} {rule}").trim_end().to_owned()
                })?;
            }
            table.insert(name.into(), Arc::new(user));
            Ok(())
        })
    }

    fn new_user(&self, name: &[u8]) -> User {
        User::new(name, self.next_serial.add(1), self.new_users_have_all_channels())
    }

    /// Removes users. Returns how many there were.
    pub(super) fn delete(&self, names: &[&[u8]]) -> usize {
        self.change(|table| names.iter().filter(|name| table.remove(**name).is_some()).count())
    }

    /// Makes this the password of the user `default`, or lets it need none (`requirepass`).
    pub(crate) fn set_default_password(&self, password: &[u8]) {
        self.change(|table| {
            let known = table.get(DEFAULT);
            let mut user = known.map_or_else(User::default_user, |user| User::clone(user));
            // `requirepass` is one password. Rights stay: ACL rules may have limited them.
            user.passwords.clear();
            user.needs_no_password = password.is_empty();
            if !password.is_empty() {
                user.passwords.push(super::user::digest(password));
            }
            table.insert(DEFAULT.into(), Arc::new(user));
        });
    }

    /// Replaces all users by those of a text in the format of a file of users. `default` keeps its connections, others
    /// lose them, as in Redis.
    ///
    /// If the text does not name `default`, that user gets all rights. It keeps its passwords, and stays off if it is:
    /// Redis would let everybody in without a password, though `requirepass` is set.
    ///
    /// # Errors
    /// All errors of the text, whose name is `file`; nothing has changed then.
    pub(crate) fn load(&self, file: &str, text: &[u8]) -> Result<(), Vec<u8>> {
        let read = file::parse(file, text, self.new_users_have_all_channels(), |name| {
            self.new_user(name)
        })?;
        self.change(|table| {
            let known = table.get(DEFAULT).cloned();
            *table = read.into_iter().map(|user| (user.name.clone(), Arc::new(user))).collect();
            let default = table.entry(DEFAULT.into());
            let default = default.or_insert_with(|| {
                let all = User::default_user();
                Arc::new(known.map_or(all.clone(), |known| all.with_login_of(&known)))
            });
            // Connections of `default` recognize it by its serial number.
            Arc::make_mut(default).serial = User::default_user().serial;
        });
        Ok(())
    }

    /// Returns all users in the format of a file of users.
    pub(crate) fn lines(&self) -> Vec<Vec<u8>> {
        self.all().iter().map(|user| user.line()).collect()
    }

    /// Returns whether there is only `default`, with all rights and this password, or without one if it is empty.
    pub(crate) fn are_implied_by(&self, password: &[u8]) -> bool {
        let table = lock(&self.table);
        let user = table.get(DEFAULT).filter(|user| {
            table.len() == 1 && user.is_on && user.is_unrestricted() && user.selectors.is_empty()
        });
        user.is_some_and(|user| match &user.passwords[..] {
            [] => user.needs_no_password && password.is_empty(),
            [own] => !password.is_empty() && *own == super::user::digest(password),
            _ => false,
        })
    }

    /// Returns the file of users.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.get().map(PathBuf::as_path)
    }

    /// Sets the file of users.
    pub(crate) fn set_file(&self, file: PathBuf) {
        let _ = self.file.set(file);
    }

    fn new_users_have_all_channels(&self) -> bool {
        // Relaxed: the flag stands for itself.
        self.all_channels.load(Ordering::Relaxed)
    }

    /// Sets whether new users have all channels.
    pub(crate) fn set_all_channels(&self, yes: bool) {
        // Relaxed: the flag stands for itself.
        self.all_channels.store(yes, Ordering::Relaxed);
    }

    /// Sets how many entries ACL LOG keeps.
    pub(crate) fn set_log_length(&self, entries: u64) {
        self.log_length.set(entries);
    }

    /// Adds an entry to ACL LOG.
    pub(super) fn add_to_log(&self, entry: AclLogEntry) {
        let longest = usize::try_from(self.log_length.get()).unwrap_or(usize::MAX);
        lock(&self.log).add(entry, longest);
    }

    /// Calls `with` with the entries of ACL LOG.
    pub(super) fn with_log<T>(&self, with: impl FnOnce(&mut AclLog) -> T) -> T {
        with(&mut lock(&self.log))
    }
}
