//! Users and their rights, as the access control lists of Redis 7.
//!
//! - `users`: the table of all users.
//! - `user`: one user, whose rights are in selectors (`selector`): commands (`commands`), keys and channels.
//! - `rules`: the words that change a user; `describe`: the words that make it again; `file`: files of them.
//! - `login`: the user of a connection; `check`: the check of each command.
//! - `log`: refused commands; `subcommands`: the command ACL.
//!
//! A connection whose user may do everything is unrestricted: one flag lets its commands pass.

mod absent;
mod check;
mod commands;
mod describe;
mod file;
mod log;
mod login;
mod rules;
mod selector;
mod subcommands;
pub(super) mod user;
pub(super) mod users;

#[cfg(test)]
mod tests;

pub(super) use subcommands::COMMANDS;
