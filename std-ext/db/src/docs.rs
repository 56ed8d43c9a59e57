//! Pages to read: getting started, configuration, guarantees, limits.

pub mod getting_started {
    //! From nothing to a database that runs, and keeps running.
    //!
    #![doc = include_str!("../docs/getting_started.md")]
}

pub mod configuration {
    //! All settings, and the three places where they can be given.
    //!
    #![doc = include_str!("../docs/configuration.md")]
}

pub mod guarantees {
    //! What an acknowledgement means, and what is left when something goes wrong.
    //!
    #![doc = include_str!("../docs/guarantees.md")]
}

pub mod limits {
    //! What it cannot do, and what costs more than elsewhere.
    //!
    #![doc = include_str!("../docs/limits.md")]
}
