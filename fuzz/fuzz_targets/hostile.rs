//! Users that break the contracts of traits, against every kind of map: the first byte says which.

#![no_main]

use hedgerow_hostile::program::Program;
use hedgerow_hostile::subjects::ALL;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&first, rest)) = input.split_first() else { return };
    let (name, play) = ALL[usize::from(first) % ALL.len()];
    let program = Program::of(rest);
    let findings = play(&program);
    assert!(findings.is_empty(), "--replay {name} {}\n{}", program.hex(), findings.join("\n"));
});
