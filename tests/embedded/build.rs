//! Gives the linker the memory of the machine that the firmware is for.

use std::{env, fs, path::PathBuf};

fn main() {
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap();
    let machine = match arch.as_str() {
        "riscv32" => "virt",
        "arm" if env::var_os("CARGO_FEATURE_MICROBIT").is_some() => "microbit",
        "arm" if env::var_os("CARGO_FEATURE_COMPRESSED").is_some() => "mps2-64k",
        "arm" => "mps2-an385",
        other => panic!("no machine for {other}: build with --target (see ./run)"),
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    fs::copy(format!("memory/{machine}.x"), out.join("memory.x")).unwrap();
    println!("cargo:rustc-link-search={}", out.display());
    if arch == "riscv32" {
        println!("cargo:rustc-link-arg=-Tmemory.x");
    }
    println!("cargo:rustc-link-arg=-Tlink.x");
    println!("cargo:rustc-link-arg=--nmagic");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=memory");
}
