//! Pages to read: getting started, configuration, guarantees, limits.

/// From nothing to a database that runs, and keeps running.
pub mod getting_started {
    #![doc = include_str!("../docs/getting_started.md")]
}

/// All settings, and the three places where they can be given.
pub mod configuration {
    #![doc = include_str!("../docs/configuration.md")]
}

/// What an acknowledgement means, and what is left when something goes wrong.
pub mod guarantees {
    #![doc = include_str!("../docs/guarantees.md")]
}

/// What it cannot do, and what costs more than elsewhere.
pub mod limits {
    #![doc = include_str!("../docs/limits.md")]
}
