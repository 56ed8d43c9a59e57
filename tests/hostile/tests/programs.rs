//! A few thousand programs on each kind of map. The program of this package runs more of them.

use hedgerow_hostile::play::STACK;
use hedgerow_hostile::program::Program;
use hedgerow_hostile::subjects;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Programs on each kind of map: `HEDGEROW_TEST_EFFORT` changes that as it does for the library's tests.
fn count() -> u64 {
    let effort = std::env::var("HEDGEROW_TEST_EFFORT").ok();
    let effort: f64 = effort.map_or(1.0, |text| text.parse().expect("a factor"));
    let count = Duration::from_secs(200).mul_f64(effort);
    count.as_secs().max(10)
}

fn play(name: &'static str) {
    let play = subjects::named(name).expect("there is such a kind of map");
    let (done, all_done) = mpsc::channel();
    let worker = thread::Builder::new().stack_size(STACK);
    let worker = worker.spawn(move || {
        for number in 0..count() {
            let program = Program::numbered(number, 0);
            done.send((number, play(&program))).expect("somebody waits for it");
        }
    });
    let worker = worker.expect("a thread is to be had");
    let mut next = 0;
    while next < count() {
        // Other tests' programs run in turns with these.
        let (number, findings) = all_done
            .recv_timeout(Duration::from_mins(2))
            .unwrap_or_else(|_| panic!("program {next} of {name} waits for ever"));
        let hex = Program::numbered(number, 0).hex();
        assert!(findings.is_empty(), "--replay {name} {hex}\n{}", findings.join("\n"));
        next = number + 1;
    }
    worker.join().expect("it has told all");
}

macro_rules! kinds {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            play(stringify!($name));
        })*

        #[test]
        fn every_kind_of_map_has_its_test() {
            let names: Vec<&str> = subjects::ALL.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

kinds! {
    flat_pairs flat_unit_keys flat_pages flat_bulk table_pairs owned_owned owned_void_keys owned_pages text
    left_right_owned left_right_pages left_right_inline left_right_shared left_right_table fence_pairs
    fence_bulk fence_owned fence_owned_pages workers compressed
}
