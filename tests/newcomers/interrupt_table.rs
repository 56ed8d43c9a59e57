//! builds: default
//!
//! A static table that an interrupt handler fills and the main loop reads. Here the handler is called by a thread.

use hedgerow::flat::{FlatTable, bins_for};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

static LEVELS: FlatTable<u8, i16, { bins_for(40) }> = FlatTable::new();
static LOST: AtomicU32 = AtomicU32::new(0);

/// Stores a sample. A handler must not wait for the code that it interrupts.
fn on_sample(channel: u8, level: i16) {
    if LEVELS.try_insert(channel, level).is_err() {
        LOST.fetch_add(1, Ordering::Relaxed);
    }
}

/// The main loop's part, which may wait.
fn sum() -> i32 {
    LEVELS.iter().map(|(_, level)| i32::from(level)).sum()
}

#[test]
fn a_handler_and_the_main_loop_share_a_table() {
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..1000 {
                for channel in 0..40 {
                    on_sample(channel, round);
                }
            }
        });
        for _ in 0..1000 {
            assert!(sum() >= 0);
            if let Ok(Some(level)) = LEVELS.try_get(&7) {
                assert!((0..1000).contains(&level));
            }
            LEVELS.update(&7, |level| level);
        }
    });
    assert!(LEVELS.get(&39).is_some());
    println!("{} samples lost", LOST.load(Ordering::Relaxed));
}
