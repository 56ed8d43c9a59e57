//! builds: narrow
//!
//! `CompressedMap` with some tens of KiB: its peak of memory, and the stack that it needs. Words are twice as long here
//! as on most boards, where half as much is enough: `tests/embedded/src/packed.rs`.

#![cfg(feature = "lz4")]

use crate::support;

use hedgerow::CompressedMap;
use hedgerow::compressed::StoreError;
use hedgerow::compressed::codec::{Codec, Corrupt, Lz4, Model};
use std::thread;
use support::alloc::{counted, peak};
use support::rng::Rng;

/// The text that readings have in common, as firmware would contain it.
const COMMON: &[u8] = concat!(
    r#""state":"stopped","alarm":true"#,
    r#"{"device":"valve 00","place":"roof","unit":"kPa","value":0.25,"#,
    r#"{"device":"fan 00","place":"cellar","unit":"rpm","value":10.75,"#,
    r#"{"device":"pump 00","place":"boiler room","unit":"kPa","value":100.50,"state":"running","alarm":false}"#,
)
.as_bytes();

fn reading(n: usize) -> Vec<u8> {
    let device = ["pump", "valve", "fan"][n % 3];
    let (place, unit) = [("cellar", "rpm"), ("roof", "kPa"), ("boiler room", "kPa")][n / 3 % 3];
    let state = if n.is_multiple_of(5) { "stopped" } else { "running" };
    format!(
        concat!(
            r#"{{"device":"{} {:02}","place":"{}","unit":"{}","#,
            r#""value":{}.{:02},"state":"{}","alarm":{}}}"#
        ),
        device,
        n,
        place,
        unit,
        n * 7919 % 1009,
        n % 4 * 25,
        state,
        n.is_multiple_of(16),
    )
    .into_bytes()
}

/// A codec with a fixed dictionary and no training.
struct Shipped;

impl Codec for Shipped {
    fn name(&self) -> &'static str {
        "shipped"
    }

    fn untrained(&self) -> Option<Box<dyn Model>> {
        self.import(COMMON).ok()
    }

    fn train(&self, _: &[&[u8]], _: usize) -> Option<Box<dyn Model>> {
        None
    }

    fn import(&self, bytes: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
        Lz4::new().import(bytes)
    }
}

fn small(budget: usize) -> CompressedMap {
    CompressedMap::builder_without_codecs(budget).segment_bytes(1 << 10).codec(Shipped).build()
}

/// Fills the map, then does random operations and checks them. Returns how many rows fit at first.
fn play(map: &CompressedMap) -> usize {
    let mut model: Vec<Option<usize>> = vec![None; 2000];
    let mut into = [0; 160];
    let mut first: usize = 0;
    while let Ok(false) = map.insert(&first.to_le_bytes()[..4], &reading(first)) {
        model[first] = Some(first);
        first += 1;
    }
    let mut rng = Rng::new(support::seed());
    for step in 0..support::effort(20_000) {
        let n = rng.below(first);
        let key = &n.to_le_bytes()[..4];
        match rng.below(8) {
            0 => assert_eq!(map.remove(key), model[n].take().is_some()),
            1 | 2 => match map.insert(key, &reading(step)) {
                Ok(replaced) => assert_eq!(replaced, model[n].replace(step).is_some()),
                Err(error) => assert_eq!(error, StoreError::BudgetExceeded),
            },
            3 => drop(map.compress_step(256)),
            _ => {
                let length = map.get_into(key, &mut into).expect("it is long enough");
                let read = length.map(|length| &into[..length]);
                assert_eq!(read, model[n].map(reading).as_deref());
            }
        }
    }
    first
}

#[test]
fn it_takes_no_more_than_its_budget_and_holds_more_than_that() {
    for (budget, least) in [(48 << 10, 450), (64 << 10, 500)] {
        let ((map, first), most) = peak(|| {
            let map = small(budget);
            let first = play(&map);
            (map, first)
        });
        let stats = map.stats();
        // The test itself allocates the model, and a value or two.
        let own = 2000 * size_of::<Option<usize>>() + 1024;
        let most = most.cast_unsigned() - own + size_of_val(&map);
        println!("{budget}: {first} rows, at most {most} bytes: {stats:?}");
        assert!(most <= budget, "{most} bytes of {budget}: {stats:?}");
        assert!(first >= least, "{first} rows in {budget}: {stats:?}");
        let ((), freed) = counted(|| drop(map));
        assert!(freed.live < 0);
    }
}

#[test]
fn a_small_stack_is_enough() {
    // The system uses a part of a thread's stack, and unoptimized code takes several times as much. In a box, because
    // unoptimized code of the standard library puts a dozen copies of the closure on the new stack.
    let map = Box::new(small(48 << 10));
    let thread = thread::Builder::new().stack_size(48 << 10).spawn(move || play(&map));
    assert!(thread.expect("a thread").join().expect("it ends") > 100);
}
