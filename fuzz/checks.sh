# Checks by fuzzing. `.ci/run` reads this file.

stage fuzz late "maps db fuzz" "each fuzz target for a short while, from its committed corpus; of all, with AddressSanitizer and for longer"
stage_fuzz() {
    local folder targets=() name
    if [ "$tier" = all ]; then
        folder=$target/ci-fuzz/$host/release
        cargo +nightly fuzz build --codegen-units 1 --target-dir "$target/ci-fuzz"
    else
        folder=$target/ci-fuzz/release
        bare_fuzz_targets
    fi
    for name in $(cargo +nightly fuzz list); do
        if [ -x "$folder/$name" ]; then targets+=("$name"); else left_out "$name" "only \`all\` builds it"; fi
    done
    [ ${#targets[@]} != 0 ] || { echo "no fuzz targets"; return 1; }
    HEDGEROW_FUZZ_TIME=${HEDGEROW_FUZZ_TIME:-$(brief 2 60)} \
        xargs -d '\n' -n 1 -P "$(nproc)" .ci/fuzz "$folder" < <(printf '%s\n' "${targets[@]}")
    [ -z "$frugal" ] || rm -r "$target/ci-fuzz"
}

# Builds the fuzz targets without AddressSanitizer, coverage and optimization: that takes a quarter of the time, and in
# a few seconds they still execute more inputs. Three targets need what takes minutes to compile: gRPC, and the hostile
# programs, which have a stage of their own.
bare_fuzz_targets() {
    RUSTFLAGS='--cfg fuzzing -Cdebug-assertions' CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
        cargo build --quiet --release --bins --manifest-path fuzz/Cargo.toml --target-dir "$target/ci-fuzz" \
        --no-default-features --features scripts --config profile.release.codegen-units=16
}
