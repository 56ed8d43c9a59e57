//! builds: asan default tsan
//!
//! Versions that threads share, change and drop.

use crate::support::effort;
use crate::support::rng::Rng;
use hedgerow::persistent::PersistentMap;
use std::sync::mpsc;
use std::thread;

/// Two threads hand versions of one map to each other, and change their own ones in place.
#[test]
fn threads_change_their_own_versions() {
    let base: PersistentMap<u64, String> = (0..2000).map(|n| (n, n.to_string())).collect();
    let ((to_second, from_first), (to_first, from_second)) = (mpsc::channel(), mpsc::channel());
    let play =
        |seed: u64, to: mpsc::Sender<PersistentMap<u64, String>>, from: mpsc::Receiver<_>| {
            let mut rng = Rng::new(seed);
            let mut map = base.clone();
            for step in 0..effort(20_000u32) {
                let key = rng.below(3000) as u64;
                if rng.one_in(3) {
                    drop(map.remove(&key));
                } else {
                    map.insert(key, key.to_string());
                }
                if step % 50 == 0 {
                    let _ = to.send(map.clone());
                    if let Ok(other) = from.try_recv() {
                        map = other;
                    }
                }
            }
            assert!(map.iter().all(|(key, value)| *value == key.to_string()));
        };
    thread::scope(|scope| {
        scope.spawn(|| play(1, to_second, from_second));
        scope.spawn(|| play(2, to_first, from_first));
    });
    assert_eq!(base.len(), 2000);
    assert!(base.iter().all(|(key, value)| *value == key.to_string()), "a version has changed");
}
