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
    //! The meaning of an acknowledgement, and the state that is left after a failure.
    //!
    //! <div style="overflow-x:auto">
    #![doc = include_str!("../docs/path_of_a_set.svg")]
    //! </div>
    //!
    #![doc = include_str!("../docs/guarantees.md")]
}

pub mod limits {
    //! Missing commands, costs beside Redis, and the limits of one client.
    //!
    #![doc = include_str!("../docs/limits.md")]
}
