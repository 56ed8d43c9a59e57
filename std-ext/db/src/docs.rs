//! Documentation pages: getting started, migrating from Redis, testing, cluster, sharding, autoscaling, backup, etcd,
//! Kubernetes, security, upgrades, monitoring, configuration, guarantees, limits.

pub mod getting_started {
    //! Installing and running the database.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/getting_started.md")]
}

pub mod coming_from_redis {
    //! Migrating from Redis: which applications run, and how to move data in and out.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/coming_from_redis.md")]
}

pub mod testing {
    //! A server for each test, in Rust and in other languages.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/testing.md")]
}

pub mod cluster {
    //! Replication and failover: starting, using and administering a cluster.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/cluster.md")]
}

pub mod sharding {
    //! Several groups of nodes: automatic placement, slot migration, rebalancing.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/sharding.md")]
}

pub mod backup {
    //! Backups, restores, and recovery from the loss of nodes or etcd.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/backup.md")]
}

pub mod etcd {
    //! Running etcd for a cluster: versions, flags, disks, space and alarms.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/etcd.md")]
}

pub mod kubernetes {
    //! Running a cluster on Kubernetes.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/kubernetes.md")]
}

pub mod security {
    //! Access, users, TLS, etcd permissions, and certificate renewal.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/security.md")]
}

pub mod upgrades {
    //! Rolling restarts and upgrades of a cluster.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/upgrades.md")]
}

pub mod monitoring {
    //! Health checks, metrics, alerts and tracing.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/monitoring.md")]
}

pub mod autoscaling {
    //! Adding and removing nodes with the load.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/autoscaling.md")]
}

pub mod configuration {
    //! All settings, and how to set them.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/configuration.md")]
}

pub mod guarantees {
    //! Durability, recovery, consistency, and behaviour when disks or clocks fail.
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
    //! Lua scripts: atomicity, limits and differences from Redis.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/scripts.md")]
}

pub mod limits {
    //! Missing features, differences from Redis, and numeric limits.
    //!
    #![doc = include_str!("../docs/rustdoc_links.md")]
    #![doc = include_str!("../docs/limits.md")]
}
