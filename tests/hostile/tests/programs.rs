//! Programs on each kind of map: two thousand, if that is quick. The program of this package runs more of them.

use hedgerow_hostile::play::STACK;
use hedgerow_hostile::program::Program;
use hedgerow_hostile::subjects;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Returns the number of programs: `HEDGEROW_TEST_EFFORT` changes it as it does for the library's tests.
fn effort(programs: f64) -> u64 {
    let effort = std::env::var("HEDGEROW_TEST_EFFORT").ok();
    let effort: f64 = effort.map_or(1.0, |text| text.parse().expect("a factor"));
    Duration::from_secs_f64(programs * effort).as_secs().max(10)
}

fn play(name: &'static str, programs: f64) {
    let count = effort(programs);
    let play = subjects::named(name).expect("the kind of map exists");
    let (done, all_done) = mpsc::channel();
    let worker = thread::Builder::new().stack_size(STACK);
    let worker = worker.spawn(move || {
        for number in 0..count {
            let program = Program::numbered(number, 0);
            done.send((number, play(&program))).expect("somebody waits for it");
        }
    });
    let worker = worker.expect("a thread starts");
    let mut next = 0;
    while next < count {
        // Programs of other tests run between these.
        let (number, findings) = all_done
            .recv_timeout(Duration::from_secs(120))
            .unwrap_or_else(|_| panic!("program {next} of {name} waits for ever"));
        let hex = Program::numbered(number, 0).hex();
        assert!(findings.is_empty(), "--replay {name} {hex}\n{}", findings.join("\n"));
        next = number + 1;
    }
    worker.join().expect("it has told all");
}

macro_rules! kinds {
    ($($name:ident: $programs:literal;)*) => {
        $(#[test]
        fn $name() {
            play(stringify!($name), $programs);
        })*

        #[test]
        fn every_kind_of_map_has_its_test() {
            let names: Vec<&str> = subjects::ALL.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

// Fewer programs of large values, of threads, and of maps that clone whole leaves, which take longer.
kinds! {
    flat_pairs: 2000.0;
    flat_unit_keys: 2000.0;
    flat_pages: 200.0;
    flat_bulk: 30.0;
    table_pairs: 2000.0;
    owned_owned: 2000.0;
    owned_void_keys: 2000.0;
    owned_pages: 100.0;
    text: 2000.0;
    left_right_owned: 2000.0;
    left_right_pages: 2000.0;
    left_right_inline: 100.0;
    left_right_shared: 2000.0;
    left_right_table: 2000.0;
    fence_pairs: 2000.0;
    fence_bulk: 100.0;
    fence_owned: 2000.0;
    fence_owned_pages: 2000.0;
    snapshot_owned: 150.0;
    snapshot_void_keys: 1000.0;
    snapshot_pages: 150.0;
    workers: 100.0;
    compressed: 200.0;
}

/// Shortened programs that each found a fault once, and the kind of map that had it.
const FOUND: &[(&str, &str)] = &[
    // A codec that ran within a look-up's sweep wrote to its map, and waited for that sweep.
    (
        "compressed",
        "000000000001000013606ed1000099377fde585659fa02a8c9bb6aa36e9b2c68d57cb2a164e02957",
    ),
];

#[test]
fn what_was_found_stays_mended() {
    for &(name, hex) in FOUND {
        let play = subjects::named(name).expect("the kind of map exists");
        let program = Program::of_hex(hex).expect("digits");
        let worker = thread::Builder::new().stack_size(STACK).spawn(move || play(&program));
        let findings = worker.expect("a thread starts").join().expect("it ends");
        assert!(findings.is_empty(), "--replay {name} {hex}\n{}", findings.join("\n"));
    }
}
