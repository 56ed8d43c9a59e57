//! builds: default
//!
//! A cache of rendered pages that stays within a budget of bytes, by a user of dashmap.

use hedgerow::CompressedMap;
use hedgerow::compressed::Policy;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

struct Pages {
    cache: CompressedMap,
    rendered: AtomicUsize,
}

impl Pages {
    fn page(&self, path: &str) -> Vec<u8> {
        let render = || {
            self.rendered.fetch_add(1, Ordering::Relaxed);
            let page = format!("<html><title>{path}</title>{}</html>", "<p>hedge</p>".repeat(50));
            page.into_bytes()
        };
        self.cache.get_or_insert_with(path, render).unwrap()
    }
}

#[test]
fn pages_stay_within_the_budget() {
    const BUDGET: usize = 1 << 20;
    let pages = Pages {
        cache: CompressedMap::builder(BUDGET).policy(Policy::Evict).build(),
        rendered: AtomicUsize::new(0),
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for n in 0..5_000 {
                    assert!(pages.page(&format!("/page/{n}")).starts_with(b"<html>"));
                    pages.page("/index");
                }
            });
        }
    });
    assert!(pages.cache.stats().memory_bytes <= BUDGET);
    assert!(pages.cache.contains_key("/index"));
    assert!(pages.rendered.load(Ordering::Relaxed) >= 5_001);
}
