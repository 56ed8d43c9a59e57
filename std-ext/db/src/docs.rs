//! Documentation pages: getting started, cluster, sharding, etcd, Kubernetes, autoscaling, configuration, guarantees,
//! limits.

pub mod getting_started {
    //! Installing and running the database.
    //!
    #![doc = include_str!("../docs/getting_started.md")]
}

pub mod cluster {
    //! The database on several machines: a first cluster, and the death of a machine.
    //!
    #![doc = include_str!("../docs/cluster.md")]
}

pub mod sharding {
    //! Several groups of nodes: finding a group, moving slots, balancing.
    //!
    #![doc = include_str!("../docs/sharding.md")]
}

pub mod etcd {
    //! An etcd for a cluster: versions, flags, disks and alarms.
    //!
    #![doc = include_str!("../docs/etcd.md")]
}

pub mod kubernetes {
    //! Manifests for Kubernetes.
    //!
    #![doc = include_str!("../docs/kubernetes.md")]
}

pub mod autoscaling {
    //! As many nodes as the load needs.
    //!
    #![doc = include_str!("../docs/autoscaling.md")]
}

pub mod configuration {
    //! All settings, and where they can be given.
    //!
    #![doc = include_str!("../docs/configuration.md")]
}

pub mod guarantees {
    //! Guarantees of an acknowledgement, and the data that survives a failure.
    //!
    #![doc = include_str!("../docs/guarantees.md")]
    //!
    //! # The path of a SET
    //! <div style="overflow-x:auto">
    #![doc = include_str!("../docs/path_of_a_set.svg")]
    //! </div>
}

pub mod limits {
    //! Unsupported operations, and limits.
    //!
    #![doc = include_str!("../docs/limits.md")]
}
