//! Documentation pages: getting started, configuration, guarantees, limits.

pub mod getting_started {
    //! Installing and running the database.
    //!
    #![doc = include_str!("../docs/getting_started.md")]
}

pub mod configuration {
    //! All settings, and where they can be given.
    //!
    #![doc = include_str!("../docs/configuration.md")]
}

pub mod guarantees {
    //! What an acknowledgement guarantees, and what survives a failure.
    //!
    #![doc = include_str!("../docs/guarantees.md")]
}

pub mod limits {
    //! What the database cannot do, and its limits.
    //!
    #![doc = include_str!("../docs/limits.md")]
}
