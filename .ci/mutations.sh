# Whether the checks notice when the code is broken. `.ci/run` reads this file.

stage mutations last "maps db fuzz" "each broken ordering, protocol step and invariant turns its check red; without a base only of all"
stage_mutations() {
    name_etcd
    if [ "$tier" = all ]; then
        cargo run --quiet --release --manifest-path tests/mutants/Cargo.toml
    elif [ -n "$base" ]; then
        cargo run --quiet --release --manifest-path tests/mutants/Cargo.toml -- --since="$base" --minutes=10
    else
        left_out "all rows" "without a base only \`all\` plays them"
    fi
}

stage mutants last "maps db" "of all: cargo-mutants breaks std-ext, and tests notice it or a list has the reason; of the maps and the database it breaks a sample, or the change, and reports what no test notices"
stage_mutants() {
    [ "$tier" = all ] || { left_out "all of it" "only \`all\` installs cargo-mutants, which takes minutes" && return; }
    rm -rf "$mutants_out"
    # The mutants of the other files have not been read yet.
    mutants 600 std-ext -p hedgerow-std-ext \
        --file='std-ext/src/{affinity,builder,counters,fence_workers,map,membarrier}.rs'
    local known unlisted stale day maps db
    known=$(sed -n 's/^~ //; /^[^#]/p' std-ext/mutants-missed.txt | sort -u)
    unlisted=$(comm -13 <(echo "$known") <(named missed std-ext))
    # Code of several systems has the same name.
    stale=$(comm -12 <(grep -v '^[#~]' std-ext/mutants-missed.txt | sort -u) <(named caught std-ext) |
        comm -23 - <(named missed std-ext))
    [ -z "$unlisted" ] || printf 'No test notices these: add one, or a line with the reason.\n%s\n' "$unlisted"
    [ -z "$stale" ] || printf 'Tests notice these by now: delete their lines in std-ext/mutants-missed.txt.\n%s\n' "$stale"
    [ -z "$unlisted$stale" ]
    if [ -n "$base" ]; then
        git diff "$base" -- '*.rs' >"$mutants_out/change"
        maps=--in-diff=$mutants_out/change db=$maps
    else
        # Each day has others: all of them would take weeks.
        day=$(($(git log -1 --format=%ct) / 86400))
        maps=--shard=$((day % 1000))/1000 db=--shard=$((day % 2000))/2000
        left_out "all but a thousandth of the mutants" "the next days have others"
    fi
    mutants 20 maps -p hedgerow --features=std-ext --baseline=skip --timeout=600 "$maps"
    mutants 20 redis -p hedgerow-db-redis --all-features --baseline=skip --timeout=600 "$db"
    mutants 20 cluster -p hedgerow-db-cluster --all-features --baseline=skip --timeout=600 "$db"
    mutants 20 db -p hedgerow-db --features=cluster,grpc --cargo-test-arg=--lib --baseline=skip --timeout=600 "$db"
    mutants 20 engine -p hedgerow-db-engine --baseline=skip --timeout=600 "$db"
    mutants 10 formats -p hedgerow-db-formats --baseline=skip --timeout=600 "$db"
    named missed maps redis cluster db engine formats | sed "s/^/LEFT OUT: a test that notices /"
}
mutants_out=$target/mutants-out

# mutants MINUTES NAME OPTION...: runs cargo-mutants, at most for so long.
mutants() {
    local minutes=$1 out=$mutants_out/$2 status=0
    shift 2
    mkdir -p "$out"
    # A mutant compiles its package again, in a copy of the tree.
    env -u CARGO_TARGET_DIR CARGO_INCREMENTAL=1 timeout --signal=INT "${minutes}m" \
        cargo mutants --sharding=round-robin --no-times --colors=never --output="$out" "$@" || status=$?
    case $status in
    # Some survive, or hang.
    0 | 2 | 3) ;;
    124) left_out "the rest of ${out##*/}" "after $minutes minutes" ;;
    *) return $status ;;
    esac
}

# named OUTCOME NAME...: prints the mutants of these runs with this outcome, sorted, without line numbers, which change
# with every line above.
named() {
    local outcome=$1 name
    shift
    for name; do
        cat "$mutants_out/$name/mutants.out/$outcome.txt" 2>/dev/null || true
    done | sed -E 's/^([^:]*):[0-9]+:[0-9]+: /\1: /' | sort -u
}
