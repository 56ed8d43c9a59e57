//! Scripts in Lua: EVAL, EVALSHA, their read-only forms, and SCRIPT.
//!
//! A script locks the shards of the keys that it declares, and executes its commands on them. At its end its changes
//! are one log entry, and readers see all of them or none. If it fails, its changes remain, as in Redis. If it
//! is stopped, because it takes too long or by SCRIPT KILL, its changes are undone.

mod api;
mod arguments;
mod base;
mod bits;
mod call;
mod cjson;
mod cjson_decode;
mod cjson_encode;
mod cjson_settings;
mod cmsgpack;
mod command_bytes;
mod compile;
mod control;
mod convert;
mod current_host;
mod eval;
mod host;
mod interpreter;
mod locked;
mod memory_limit;
mod names;
mod outbox;
mod output;
mod pattern;
mod prelude;
mod random;
mod raw;
mod sandbox;
mod shebang;
mod sort;
mod strings;
mod structs;
mod substitutes;
mod tables;
#[cfg(test)]
mod tests;
mod time_limit;
mod transaction;

pub(super) use shebang::declares_no_writes;
