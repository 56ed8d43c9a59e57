//! Sequences of operations on `FlatMap<u64, u64>` against std's `HashMap`, under a hasher that the
//! input chooses.

#![no_main]

use hedgerow_fuzz::play::{Script, play};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: Script| play::<u64, u64>(&script));
