//! Ends the program when a map hangs. Some do: two threads in a small table that
//! grows have found more than one.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// No round takes as long, not even the building of the largest map before it.
const TIME_LIMIT: Duration = Duration::from_mins(3);

/// The present work and its begin.
static DOING: Mutex<Option<(Instant, String)>> = Mutex::new(None);

/// Says what begins now.
pub fn pat(doing: String) {
    *DOING.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), doing));
}

/// Watches from now on.
pub fn start() {
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(TIME_LIMIT / 20);
            let doing = DOING.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, doing)) =
                doing.as_ref().filter(|(begin, _)| begin.elapsed() > TIME_LIMIT)
            {
                eprintln!("{doing} hangs");
                std::process::exit(1);
            }
        }
    });
}
