//! builds: default
//!
//! Programs as users of dashmap, of papaya and of the standard library write them first. Each uses what the README and
//! the tables of `docs::coming_from` name, and no helper.

mod byte_budget;
mod configuration;
mod interrupt_table;
mod sessions;
mod time_series;
