//! Pages to read: getting started, configuration, guarantees, limits.

pub mod getting_started {
    //! From nothing to a database that runs, and that keeps running.
    //!
    #![doc = include_str!("../docs/getting_started.md")]
}

pub mod configuration {
    //! All settings, and the three places that set them.
    //!
    #![doc = include_str!("../docs/configuration.md")]
}

pub mod guarantees {
    //! What an acknowledgement means, and what is left when something fails.
    //!
    //! <div style="overflow-x:auto">
    #![doc = include_str!("../docs/path_of_a_set.svg")]
    //! </div>
    //!
    #![doc = include_str!("../docs/guarantees.md")]
}

pub mod limits {
    //! What the database cannot do, what costs more than elsewhere, and what one client can take.
    //!
    #![doc = include_str!("../docs/limits.md")]
}
