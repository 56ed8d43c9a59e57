# Chooses the compiler for a target whose library may not be installed. Installs nothing. `./run`, `.ci/no-std` and
# `.ci/cross` source it, and so does `.ci/model`, for `elapsed`.
#
# A target that the toolchain has (`rustup target add`) is built by plain cargo. Any other is built
# together with `core` and `alloc` from source, by a compiler that ships with its library's source;
# Debian's packages rustc-web, cargo-web and rust-web-src are one.
#
#   HEDGEROW_RUSTC, HEDGEROW_CARGO   that second compiler; default /usr/bin/rustc, /usr/bin/cargo

bare_rustc=${HEDGEROW_RUSTC:-/usr/bin/rustc}
bare_cargo=${HEDGEROW_CARGO:-/usr/bin/cargo}

# bare_missing TARGET: says on stdout what is missing to build for it, and nothing if all is there.
bare_missing() {
    [ -d "$(rustc --print sysroot 2>/dev/null)/lib/rustlib/$1/lib" ] && return
    if ! [ -x "$bare_rustc" ] || ! [ -x "$bare_cargo" ]; then
        echo "no $1 in the toolchain, and no second compiler at $bare_rustc and $bare_cargo" \
            "(apt-get install rustc-web cargo-web rust-web-src, or rustup target add $1)"
    elif ! [ -d "$("$bare_rustc" --print sysroot)/lib/rustlib/src/rust/library" ]; then
        echo "$bare_rustc has no library source to build core from" \
            "(apt-get install rust-web-src, or rustup target add $1)"
    fi
}

# bare_cargo_for TARGET ARGS...: `cargo ARGS --target TARGET` with a compiler that can. If that compiler
# builds the library too, it builds all of it for targets with an operating system.
bare_cargo_for() {
    local target=$1 library=core,alloc
    shift
    [[ $target == *-linux-* ]] && library=std,panic_abort,test
    if [ -d "$(rustc --print sysroot 2>/dev/null)/lib/rustlib/$target/lib" ]; then
        cargo "$@" --target "$target"
    else
        RUSTC=$bare_rustc RUSTC_BOOTSTRAP=1 "$bare_cargo" "$@" "-Zbuild-std=$library" \
            --target "$target"
    fi
}

# bare_linker: LLVM's linker, as rustup's toolchains carry it, or as a distribution installs it.
bare_linker() {
    local host sysroot
    if sysroot=$(rustc --print sysroot 2>/dev/null); then
        host=$(rustc -vV | sed -n 's/^host: //p')
        if [ -x "$sysroot/lib/rustlib/$host/bin/rust-lld" ]; then
            echo "$sysroot/lib/rustlib/$host/bin/rust-lld"
            return
        fi
    fi
    command -v rust-lld || command -v ld.lld
}

# elapsed BEGIN: seconds since BEGIN, a value of EPOCHREALTIME, with two decimals.
elapsed() {
    local hundredths=$(((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}) / 10000))
    printf '%d.%02d' $((hundredths / 100)) $((hundredths % 100))
}
