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
