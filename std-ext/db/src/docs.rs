//! Documentation pages: getting started, coming from Redis, cluster, sharding, autoscaling, backup, etcd, Kubernetes,
//! security, upgrades, monitoring, configuration, guarantees, limits.

pub mod getting_started {
    //! Installing and running the database.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/getting_started.md")]
}

pub mod coming_from_redis {
    //! Whether a program runs, and how data moves in and out.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/coming_from_redis.md")]
}

pub mod cluster {
    //! The database on several machines: a first cluster, and the death of a machine.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/cluster.md")]
}

pub mod sharding {
    //! Several groups of nodes: finding a group, moving slots, balancing.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/sharding.md")]
}

pub mod backup {
    //! Backups, and what to do after the loss of nodes or of etcd.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/backup.md")]
}

pub mod etcd {
    //! An etcd for a cluster: versions, flags, disks and alarms.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/etcd.md")]
}

pub mod kubernetes {
    //! Manifests for Kubernetes.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/kubernetes.md")]
}

pub mod security {
    //! The rights that each access gives; TLS, roles in etcd, and the renewal of certificates.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/security.md")]
}

pub mod upgrades {
    //! Restarting and upgrading the nodes of a cluster one after the other.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/upgrades.md")]
}

pub mod monitoring {
    //! Metrics, alerts and a dashboard.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/monitoring.md")]
}

pub mod autoscaling {
    //! As many nodes as the load needs.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/autoscaling.md")]
}

pub mod configuration {
    //! All settings, and where they can be given.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/configuration.md")]
}

pub mod guarantees {
    //! Guarantees of an acknowledgement, and the data that survives a failure.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/guarantees.md")]
    //!
    //! # The path of a SET
    //! <div style="overflow-x:auto">
    #![doc = include_str!("../docs/path_of_a_set.svg")]
    //! </div>
}

pub mod scripts {
    //! Scripts in Lua, and how they differ from those of Redis.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/scripts.md")]
}

pub mod limits {
    //! Unsupported operations, and limits.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/limits.md")]
}
