# What the stages of several packages share. `.ci/run` reads this file.

export CI=true DEBIAN_FRONTEND=noninteractive CARGO_TERM_COLOR=never
# Tests panic hundreds of times as planned, and a backtrace of each takes longer than its test.
export RUST_BACKTRACE=0
# CI compiles everything once. Incremental data and debug information take a third of the time and most of the disk.
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_RELEASE_DEBUG=0
# A missing toolchain is an error, which a download would hide.
export RUSTUP_AUTO_INSTALL=0
export PATH="$HOME/.cargo/bin:$PATH"
export HEDGEROW_QEMU=${HEDGEROW_QEMU:-/opt/qemu-sys}
etcd=${HEDGEROW_ETCD:-/opt/hedgerow-etcd}
# The stages that need it name it, if it is there.
unset HEDGEROW_ETCD
promtool=${HEDGEROW_PROMTOOL:-/opt/hedgerow-promtool/promtool}
# Variables of the caller's shell would change the build.
unset RUSTFLAGS RUSTDOCFLAGS RUSTC RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER CARGO_BUILD_TARGET
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export CARGO_TARGET_DIR=$target
host=x86_64-unknown-linux-gnu
# shellcheck source=tests/embedded/toolchain.sh
. tests/embedded/toolchain.sh

# brief SHORT LONG: prints SHORT for a change, LONG for `all`.
brief() {
    if [ "$tier" = all ]; then echo "$2"; else echo "$1"; fi
}
effort=${HEDGEROW_EFFORT:-$(brief 0.07 1)}

# left_out WHAT [WHY]: says that the stage does not check this, for the summary.
left_out() {
    echo "LEFT OUT: $1${2:+: $2}"
}

# Leaves out the dependencies of benches and examples, which the builds with other flags do not have.
lean='--cfg hedgerow_lean'

# Flags change every artifact, so each set of them has a folder of its own. A run of all stages removes a folder after
# its command, because all of them do not fit on a small disk.
with_flags() {
    local folder=$target/$1 flags=$2
    shift 2
    CARGO_TARGET_DIR=$folder RUSTFLAGS=$flags "$@"
    [ -z "$frugal" ] || rm -r "$folder"
}

# The second compiler ships with its library's source, and so builds `core` and `std` for any target.
second_cargo() {
    RUSTC=${HEDGEROW_RUSTC:-/usr/bin/rustc} RUSTC_BOOTSTRAP=1 "${HEDGEROW_CARGO:-/usr/bin/cargo}" "$@"
}

# run_tagged BUILD FOLDER CARGO...: runs `CARGO...` for the crate's own tests, and for the test files in FOLDER that name
# the build in their first line. Of a binary of several modules it compiles those that name the build: a wrapper of the
# compiler sets `cfg(build_NAME)` for the workspace alone, so that other builds with the same flags share dependencies.
# The README's command runs all files; to build and run them all again in each way takes hours. tests/tidy checks the
# first lines.
run_tagged() {
    local build=$1 folder=$2 file tests=()
    shift 2
    for file in "$folder"/*.rs "$folder"/*/main.rs; do
        [[ $(head -n 1 "$file") =~ ^//!\ builds:.*\ $build(\ |$) ]] || continue
        file=${file#"$folder"/} file=${file%/main.rs}
        tests+=("--test=${file%.rs}")
    done
    [ ${#tests[@]} != 0 ] || { echo "no test file is tagged $build" >&2; return 1; }
    # Cargo compares the wrapper's path, and would not notice another content.
    local wrapper=$target/rustc-for-$build
    mkdir -p "$target"
    printf '#!/bin/sh\nexec "$@" --cfg build_%s\n' "$build" >"$wrapper"
    chmod +x "$wrapper"
    RUSTC_WORKSPACE_WRAPPER=$wrapper "$@" --lib "${tests[@]}"
}

# Only the README has these two commands, so CI runs the commands that users read.
readme_command() {
    grep -m1 "^$1" README.md || { echo "README.md has no line that starts with '$1'" >&2; return 1; }
}

# Names etcd to tests. Those that start it do not run without, and each says so.
name_etcd() {
    [ ! -x "$etcd/etcd" ] || export HEDGEROW_ETCD=$etcd
}

has_target() {
    rustup target list --installed | grep -qx "$1"
}

# The oldest toolchain that Cargo.toml promises.
oldest() {
    echo "$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml).0"
}

has_oldest() {
    rustup toolchain list | grep -q "^$(oldest)-" || { left_out "the toolchain $(oldest)" "not installed" && false; }
}

# Whether the changes since the base touch these paths; without a base, they may.
touches() {
    [ -z "$base" ] || ! git diff --quiet "$base" -- "$@" ||
        [ -n "$(git ls-files --others --exclude-standard -- "$@")" ]
}

# needs STAGE...: whether this run has one of these stages. To install everything, run the stage `setup` alone.
needs() {
    local name
    [ "${names[*]}" != setup ] || return 0
    for name; do [[ " ${names[*]} " != *" $name "* ]] || return 0; done
    false
}

# Prints the package of each path that it reads, or `any` if the file may matter to all.
packages_of() {
    local path
    while read -r path; do
        case $path in
        # CI runs the commands that it names.
        README.md) if git diff "$base" -- README.md | grep -q '^[-+]cargo'; then echo any; else echo docs; fi ;;
        tests/support/*) echo any ;;
        *.md | src/docs/* | std-ext/db/src/docs.rs) echo docs ;;
        std-ext/db/*) echo db ;;
        fuzz/*) echo fuzz ;;
        src/* | std-ext/* | tests/* | benches/*) echo maps ;;
        *) echo any ;;
        esac
    done | sort -u
}
