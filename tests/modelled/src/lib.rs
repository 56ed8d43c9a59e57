//! Programs that use the maps as a user would, each with a race and without it. `tests/races.rs` runs both under a
//! model checker, which must find the race.

pub mod model;
pub mod programs;
