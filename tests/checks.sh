# Checks of the maps and of their threaded workers. `.ci/run` reads this file.

stage benches first "maps" "the comparison with other maps, which is a package of its own, still compiles"
stage_benches() {
    cargo clippy --manifest-path benches/versus/Cargo.toml -- -D warnings
}

stage peers first "maps" "the tests of papaya, dashmap, flurry and crossbeam-skiplist against our maps; without all, they only compile"
stage_peers() {
    local peers=(--quiet --locked --manifest-path tests/peers/Cargo.toml)
    if [ "$tier" = all ]; then
        cargo clippy "${peers[@]}" --all-targets -- -D warnings
        cargo test "${peers[@]}" --no-fail-fast -- --include-ignored
    else
        cargo check "${peers[@]}" --tests
        left_out "running them" "only \`all\` does"
    fi
}

stage counts first "maps" "no operation of a map takes over 3 % more instructions than benches/counts/table.tsv says"
stage_counts() {
    cargo clippy --manifest-path benches/counts/Cargo.toml -- -D warnings
    ! has_oldest || RUSTUP_TOOLCHAIN=$(oldest) benches/counts/run
}

stage loom beside "maps" "the models: every interleaving up to each model's bound; histories of random schedules; and users' models"
stage_loom() {
    [ "$tier" = all ] || left_out "the nineteen longest models" "only \`all\` plays them"
    with_flags ci-loom "--cfg hedgerow_loom -D warnings" models loom hedgerow hedgerow-std-ext
    # As on 32 bits, where a count of swaps soon begins again.
    [ "$tier" != all ] ||
        with_flags ci-round "--cfg hedgerow_loom --cfg hedgerow_swaps_wrap" models sync::sides_loom hedgerow
    [ "$tier" != all ] || with_flags ci-shuttle "--cfg hedgerow_loom --cfg hedgerow_shuttle" models shuttle hedgerow
    # Users' programs: loom must find their races, and no fault in the maps.
    local modelled=(--quiet --locked --manifest-path tests/modelled/Cargo.toml)
    with_flags ci-modelled-loom "--cfg loom -D warnings" cargo test "${modelled[@]}"
    if [ "$tier" = all ]; then
        with_flags ci-modelled-shuttle "--cfg shuttle -D warnings" cargo test "${modelled[@]}"
    else
        left_out "users' models under shuttle" "only \`all\` runs them"
    fi
}

# These nineteen take four times as long as the other 128.
long_models='slot_handed_on_by|slot_handed_on_between|read_against_two_levels|insert_and_read_against_split|split_then_write'
long_models+='|two_inserts_split_once|split_with_overflow|reader_asked_to_fence:|nested_one_by_interruption'
long_models+='|write_to_entries_that_a_split_moved|get_by_order_against_split|pop_against_an_insert_and_a_lookup'
long_models+='|read_against_overflow_and_recycling|a_window_answers_in_order|reads_without_a_fence_against_a_swap'
long_models+='|reader_asked_to_fence_that_stops|reader_that_stops_fencing'
long_models+='|a_batch_served_by_another_thread_by_interruption|get_against_a_neighbour_that_comes_and_goes'

# models FILTER PACKAGE...: runs the models side by side, each in a process of its own. Threads of one process would wait
# for each other, because loom maps and unmaps the stack of every thread of every interleaving.
models() {
    local filter=$1 output binary names all=
    shift
    # A model spends most of its time in the checker. To optimize the crate takes longer than it saves.
    output=$(cargo test --config 'profile.release.package.hedgerow.opt-level=1' --release --lib --features std \
        --no-run "${@/#/--package=}" 2>&1) || { echo "$output"; return 1; }
    for binary in $(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' <<<"$output"); do
        # From the end, where the long ones are, so that no core idles at last.
        names=$("$binary" --list "$filter" | sort -r | grep -vE "$(brief "$long_models" "^$")" | sed -n "s|\(.*\): test\$|$binary\n\1|p")
        # A filter without a match would pass, and so would a misspelt cfg.
        [ -n "$names" ] || { echo "no model of $binary has $filter in its name"; return 1; }
        all+=$names$'\n'
    done
    xargs -d '\n' -n 2 -P "$(nproc)" .ci/model <<<"${all%$'\n'}"
}

# The first tier's targets without an operating system: those that are checked, and those that run firmware. Of the
# latter one lacks compare-and-swap and one has it.
bare_brief='armv7r-none-eabi aarch64-unknown-none wasm32-unknown-unknown'
firmware_brief='thumbv6m-none-eabi riscv32imac-unknown-none-elf'

stage no-std beside "maps" "the core on targets without an operating system; of all, WebAssembly with std and threads under Node"
stage_no-std() {
    # The next stage builds and runs firmware for the other targets.
    # shellcheck disable=SC2046 # targets are words
    .ci/no-std $bare_brief $(brief '' 'riscv64gc-unknown-none-elf x86_64-unknown-none')
    # Builds the standard library twice.
    if [ "$tier" = all ]; then tests/wasm/run; else left_out "WebAssembly under Node" "only \`all\` does"; fi
}

stage embedded beside "maps" "interrupts against the main loop, in QEMU, each with its negative control"
stage_embedded() {
    if [ "$tier" = all ]; then
        tests/embedded/run
    else
        HEDGEROW_APART=yes xargs -n 1 -P "$(nproc)" tests/embedded/run <<<"$firmware_brief"
    fi
    # The flash and RAM of static tables, and the example with an interrupt handler.
    # shellcheck disable=SC2046 # an empty word is left out
    benches/flash/run $(brief thumbv6m-none-eabi '')
}

stage narrow late "maps" "the tests on 32 bits, where versions are short and the map's words are half as wide"
stage_narrow() {
    # Doctests are left out, because the other compiler's rustdoc would build them. Panics and failing allocators are
    # left out, because they do not depend on the width of a word.
    HEDGEROW_TEST_EFFORT=$effort with_flags ci-narrow "$lean" run_tagged narrow tests \
        bare_cargo_for i686-unknown-linux-gnu test -p hedgerow --features std
}

stage asan late maps "tests of the maps under AddressSanitizer, leaks included: of memory, of all every one"
stage_asan() {
    local maps=(cargo +nightly test -p hedgerow --features std --target "$host")
    # Each record is a block of malloc's, because the sanitizer does not know the crate's own blocks.
    local flags="$lean --cfg hedgerow_malloc -Zsanitizer=address"
    if [ "$tier" = all ]; then
        # The tagged files repeat nothing that a fuzz target does under the same sanitizer.
        HEDGEROW_TEST_EFFORT=$effort with_flags ci-asan "$flags" run_tagged asan tests "${maps[@]}"
    else
        # The stage `hostile` uses every map under the same sanitizer. These fail in their allocators, too.
        HEDGEROW_TEST_EFFORT=$effort with_flags ci-asan "$flags" \
            "${maps[@]}" --lib --test ord_map_alloc --test owned_alloc
    fi
}

stage hostile late "maps" "users that break every contract, against every map"
stage_hostile() {
    # The README's command plays a few programs without a sanitizer. The harness itself counts values that are never
    # dropped. Unlike the leak detector it excepts those that the compiler forgets when a destructor panics.
    ASAN_OPTIONS=detect_leaks=0 HEDGEROW_TEST_EFFORT=$(brief 0.1 1) with_flags ci-asan-hostile -Zsanitizer=address \
        cargo +nightly test -p hedgerow-hostile --target $host
    [ "$tier" != all ] || cargo run --release -p hedgerow-hostile -- --programs 5000
}

stage tsan late "maps" "the tests under ThreadSanitizer, standard library and all"
stage_tsan() {
    # A prebuilt standard library orders the drop of an `Arc` by `atomic::fence`, which the
    # sanitizer does not know: every thread that ends would be a false alarm, and a suppression wide
    # enough for that would hide races of ours. Built with the sanitizer, it uses a load instead.
    # Only the second compiler has the library's source, only rustup's has the runtime, and only
    # LLVM's linker resolves that runtime's symbol versions.
    local lib runtime
    lib=$(rustc --print sysroot)/lib/rustlib/$host
    runtime=$lib/lib/librustc-stable_rt.tsan.a
    local flags=(
        -Zsanitizer=thread -Zexternal-clangrt
        "-Clink-arg=-B$lib/bin/gcc-ld" -Clink-arg=-fuse-ld=lld
        "-Clink-arg=-Wl,--whole-archive,$runtime,--no-whole-archive"
        -Clink-arg=-Wl,--export-dynamic -Clink-arg=-lm -Clink-arg=-lc
        # It cannot see through inline assembly: payload words are plain integer atomics here. All
        # data that the crate's own fences publish is atomic, and so no race to the sanitizer.
        --cfg hedgerow_int_words
    )
    # Only files with threads are tagged: one thread has no race.
    HEDGEROW_TEST_EFFORT=$effort with_flags ci-tsan "$lean ${flags[*]}" run_tagged tsan tests \
        second_cargo test -p hedgerow --features std -Zbuild-std --target $host
}
