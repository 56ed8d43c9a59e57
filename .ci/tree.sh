# Checks of the whole tree. `.ci/run` reads this file.

stage fmt first "any" "formatting, of the unpublished packages too; and each mutation names code that exists"
stage_fmt() {
    cargo fmt --all --check -- --color never
    local manifest
    for manifest in $(git ls-files '*/Cargo.toml' | grep -vxE 'std-ext/(db/((cluster|engine|formats|group|redis)/)?)?Cargo.toml'); do
        cargo fmt --check --manifest-path "$manifest" -- --color never
    done
    # Known before the other stages have run for half an hour.
    cargo test --quiet --release --manifest-path tests/mutants/Cargo.toml
    cargo run --quiet --release --manifest-path tests/mutants/Cargo.toml -- --check
}

stage clippy first "maps db" "clippy without warnings, for each set of features that changes what is compiled"
stage_clippy() {
    local feature
    # Integration tests need the maps, and the maps need `alloc`.
    cargo clippy -p hedgerow --lib --no-default-features -- -D warnings
    cargo clippy -p hedgerow --lib --no-default-features --features portable-atomic -- -D warnings
    cargo clippy -p hedgerow --lib -- -D warnings
    for feature in left-right-table ordered left-right compressed persistent; do
        cargo clippy -p hedgerow --lib --no-default-features --features $feature -- -D warnings
    done
    # With the database, the workspace has feature `std-ext` in any case.
    [ "$tier" != all ] || cargo clippy --workspace --all-targets -- -D warnings
    for feature in $(brief '' 'cli cluster grpc metrics scripts tls'); do
        cargo clippy -p hedgerow-db --no-default-features --features $feature -- -D warnings
    done
    # Tests of the cluster that need another feature must say so.
    [ "$tier" != all ] || cargo check -p hedgerow-db --no-default-features --features cluster --tests
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    cargo clippy --manifest-path tests/mutants/Cargo.toml -- -D warnings
}

stage docs first "maps db docs" "documentation without warnings; of a change of pages, their examples and what is compared with them"
stage_docs() {
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps
    # The stage `tests` does this, too, but a change of pages alone does not need it.
    [ -n "$base" ] || return 0
    cargo test -p hedgerow --features std-ext --doc
    cargo test -p hedgerow --features std-ext --test tidy --test ancestors --test api
    ! touches std-ext/db || cargo test -p 'hedgerow-db*' --doc
    ! touches std-ext/db || cargo test -p hedgerow-db-redis -p hedgerow-db-cluster --all-features --lib -- limits:: config:: node::metrics::
}

stage licences first "any" "licences and sources of the dependencies; of all, advisories about them, too"
stage_licences() {
    .ci/licences
    # Advisories are published on any day, and a verdict of the first tier does not depend on the day.
    [ "$tier" != all ] || .ci/advisories
}

stage msrv first "maps db" "the oldest compiler that Cargo.toml promises"
stage_msrv() {
    # Clippy checks the age of the standard library's methods, but not of other things, such as inference.
    ! has_oldest || with_flags msrv "" oldest_checks
}

oldest_checks() {
    cargo "+$(oldest)" check --locked -p hedgerow --no-default-features
    cargo "+$(oldest)" check --locked --workspace $(brief '' --all-features)
}

stage packages first "maps db" "what is published: complete, with no unused dependency, and for other systems"
stage_packages() {
    .ci/unused
    # An earlier run unpacked the same versions, and cargo would take them for the new packages.
    rm -rf "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/hedgerow-[0-9ds]*
    # A clean clone has no uncommitted files, which cargo would otherwise publish.
    local clone name file
    clone=$(mktemp -d)
    git clone --quiet . "$clone"
    # Cargo's verification compiles all dependencies once more; `check_published` takes those of other stages.
    [ "$tier" != all ] || (cd "$clone" && cargo publish --locked --workspace --dry-run)
    # All packages, as someone would who does not know which of them is never published.
    (cd "$clone" && cargo package --locked --no-verify --workspace) 2>&1 | tee "$clone/said" |
        grep -v 'warning: ignoring .* is not included in the published package$'
    # A version may be yanked on any day, and a verdict of the first tier does not depend on the day.
    [ "$tier" != all ] || ! grep 'is yanked in registry' "$clone/said" || return 1
    mkdir "$clone/published"
    for name in hedgerow hedgerow-std-ext hedgerow-db-{formats,group,engine,redis,cluster} hedgerow-db; do
        mkdir "$clone/published/$name"
        tar -xzf "$target/package/$name-"[0-9]*.crate -C "$clone/published/$name" --strip-components=1
        for file in LICENSE-APACHE LICENSE-MIT README.md $([ $name != hedgerow-db ] || echo hedgerow.proto); do
            [ -f "$clone/published/$name/$file" ] || { echo "the package $name has no $file"; return 1; }
        done
    done
    check_published "$clone/published"
    rm -rf "$clone" "$target/package"
    # The maps build for Windows. The database does not, and says why.
    if has_target x86_64-pc-windows-gnu && has_target x86_64-apple-darwin; then
        other_systems
    else
        left_out "Windows and macOS" "no such targets here"
    fi
    # As docs.rs builds it, with the features that each item needs.
    [ "$tier" != all ] || RUSTDOCFLAGS="--cfg docsrs -D warnings" with_flags ci-docsrs "" \
        cargo +nightly doc --workspace --exclude hedgerow-hostile --all-features --no-deps
}

# Compiles the published files: those that a package leaves out are missing here.
check_published() {
    cp Cargo.lock "$1"
    cat >"$1/Cargo.toml" <<'END'
[workspace]
resolver = "3"
members = ["hedgerow*"]
[patch.crates-io]
hedgerow = { path = "hedgerow" }
hedgerow-std-ext = { path = "hedgerow-std-ext" }
hedgerow-db-formats = { path = "hedgerow-db-formats" }
hedgerow-db-group = { path = "hedgerow-db-group" }
hedgerow-db-engine = { path = "hedgerow-db-engine" }
hedgerow-db-redis = { path = "hedgerow-db-redis" }
hedgerow-db-cluster = { path = "hedgerow-db-cluster" }
END
    cargo check --offline --workspace --manifest-path "$1/Cargo.toml"
}

other_systems() {
    cargo check --locked -p hedgerow --features std-ext --target x86_64-pc-windows-gnu
    cargo check --locked -p hedgerow --features std-ext --target x86_64-apple-darwin
    cargo check --locked -p hedgerow-db --no-default-features --features cli --target x86_64-apple-darwin
    ! cargo check --locked -p hedgerow-db --no-default-features --target x86_64-pc-windows-gnu 2>"$target/windows" ||
        { echo "the database builds for Windows: its README says that it does not"; return 1; }
    grep -q 'hedgerow-db runs on Unix only' "$target/windows"
}

stage tests first "maps db" "the README's test command; of all, then the same API over portable-atomic; includes tidy"
stage_tests() {
    local command
    name_etcd
    command=$(readme_command 'cargo test')
    # A change of the database affects no test of the maps.
    touches ':!*.md' ':!std-ext/db' || command="cargo test -p 'hedgerow-db*' && cargo test --test tidy"
    echo "$command"
    HEDGEROW_TEST_EFFORT=$(brief 0.25 1) bash -c "$command"
    unset HEDGEROW_ETCD
    # `portable-atomic` replaces every atomic of the crate. The tagged files use all of each structure, some with
    # threads, and the features that the command above leaves out. Firmware of the stage `embedded` runs over it, too.
    [ "$tier" != all ] || HEDGEROW_TEST_EFFORT=$effort run_tagged portable tests \
        cargo test -p hedgerow --features std,portable-atomic,serde,rayon,defmt
}

stage example first "maps db" "the README's first command, asked by redis-cli; and the examples that check what they do"
stage_example() {
    local command folder server
    command=$(readme_command 'cargo run')
    echo "$command"
    folder=$(mktemp -d)
    # As a user runs it, except for the port, which may be taken, and the folder.
    export HEDGEROW_DB_PORT=16379 HEDGEROW_DB_DIR=$folder/data
    bash -c "${command/run/build}"
    bash -c "exec $command" >"$folder/out" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        ! grep -q '^Try: ' "$folder/out" || break
        kill -0 "$server" || { cat "$folder/out"; return 1; }
        sleep 0.1
    done
    cat "$folder/out"
    # The server prints a command to try.
    [ "$($(sed -n 's/^Try: //p' "$folder/out"))" = OK ]
    [ "$(redis-cli -p 16379 get rose)" = red ]
    kill "$server"
    wait "$server"
    unset HEDGEROW_DB_PORT HEDGEROW_DB_DIR
    rm -r "$folder"
    # With the features of the stage `tests`, so that cargo compiles no dependency again.
    cargo build --workspace --features std-ext --example wordcount --example routes --example versions
    "$target/debug/examples/wordcount"
    "$target/debug/examples/routes" --seconds 1
    "$target/debug/examples/versions"
    cargo run -p hedgerow-db-group --example memory
}
