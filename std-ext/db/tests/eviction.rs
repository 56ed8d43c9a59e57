//! builds: default
//!
//! The choice of the keys that are evicted, seen through the database's interface.

use hedgerow_db::Db;
use hedgerow_db::options::{Eviction, Options};

/// Fills memory ten times over with keys that are used once, after `hot` keys were used often. Returns how many of the
/// hot keys are left.
fn hot_keys_after_a_flood(policy: Eviction) -> usize {
    const HOT: usize = 100;
    let mut options = Options::in_memory();
    (options.max_memory, options.eviction, options.shards) = (1 << 19, policy, 2);
    let db = Db::open(options).unwrap();
    let set = |key: String| {
        let value = [b'v'; 100];
        match policy {
            Eviction::VolatileLfu => {
                db.set_with_ttl(key, value, std::time::Duration::from_secs(10_000)).unwrap();
            }
            _ => db.set(key, value).unwrap(),
        }
    };
    (0..HOT).for_each(|key| set(format!("hot{key}")));
    for _ in 0..100 {
        (0..HOT).for_each(|key| assert!(db.get(format!("hot{key}")).unwrap().is_some()));
    }
    (0..15_000).for_each(|key| set(format!("once{key}")));
    let stats = db.stats();
    assert!(stats.evicted > 8000 && stats.memory <= stats.max_memory + 4096, "{stats:?}");
    (0..HOT).filter(|key| db.get(format!("hot{key}")).unwrap().is_some()).count()
}

#[test]
fn keys_that_are_used_often_outlive_a_flood_of_others() {
    for policy in [Eviction::Lfu, Eviction::VolatileLfu] {
        let left = hot_keys_after_a_flood(policy);
        assert!(left >= 95, "{left} of 100 hot keys are left under {policy:?}");
    }
    // The check can fail: other policies evict them.
    let left = hot_keys_after_a_flood(Eviction::Random);
    assert!(left < 50, "{left} of 100 keys are left although keys are evicted at random");
}
