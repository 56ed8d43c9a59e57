# Checks of the database. `.ci/run` reads this file.

stage proto first "db" "the code for gRPC is what its descriptions make"
stage_proto() {
    # The sums tell whether anything changed since the code was last made: to make it takes half a minute.
    [ "$tier" = all ] || ! (cd std-ext/db && sha256sum --check --quiet proto/made.sha256) || return 0
    cargo run --quiet --locked --manifest-path std-ext/db/proto/Cargo.toml
    # shellcheck disable=SC2046 # no file has a blank in its name
    (cd std-ext/db && sha256sum hedgerow.proto proto/{*.proto,Cargo.lock,src/main.rs} \
        $(git ls-files '*/generated.rs') >proto/made.sha256)
    git diff --exit-code --stat -- std-ext/db/proto/made.sha256 'std-ext/db/**/generated.rs'
}

stage clients first "db" "redis-py and redis-cli get what they expect; of all: replies to random commands are redis-server's, ioredis, redis-benchmark, idle clients, Redis's and redis-py's own tests, and programs"
stage_clients() {
    cargo build --release -p hedgerow-db
    # Besides the recorded replies of the stage `tests`, these find nearly every wrong reply. A change does not wait for
    # the others, which take an hour and need registries.
    # shellcheck disable=SC2046 # no option is no word
    std-ext/db/tests/clients/run $(brief --brief '') "$target/release/hedgerow-db"
    python3 std-ext/db/tests/clients/random_commands.py "$target/release/hedgerow-db" --self-test
    if [ "$tier" != all ]; then
        left_out "random commands, the other clients, their tests and Redis's, and programs" "only \`all\` plays them"
        return
    fi
    python3 std-ext/db/tests/clients/random_commands.py "$target/release/hedgerow-db" --seconds 300
    # They install many packages. The script says if a registry does not answer, or a package is missing.
    apt-get update -qq -o APT::Update::Error-Mode=any && apt-get install -y -qq --no-install-recommends ruby-redis \
        ruby-activesupport ruby-redis-store ruby-sidekiq php-cli php-redis php-symfony-cache php-symfony-lock \
        php-symfony-semaphore >/dev/null || true
    std-ext/db/tests/programs/run "$target/release/hedgerow-db"
    redis_py_suite "$target/release/hedgerow-db"
    # These take half an hour, and need Debian's source packages.
    if command -v tclsh >/dev/null && apt-get update -qq -o APT::Update::Error-Mode=any 2>/dev/null; then
        python3 std-ext/db/tests/clients/redis_tcl_suite.py "$target/release/hedgerow-db"
    else
        echo "LEFT OUT: Redis's own tests: there is no tclsh, or no registry of Debian answers"
    fi
}

# redis_py_suite PROGRAM [OPTION]: plays redis-py's own tests, which take twenty minutes, and need pip's registry.
redis_py_suite() {
    if python3 -m pip index versions redis >/dev/null 2>&1; then
        python3 std-ext/db/tests/clients/redis_py_suite.py "$@"
    else
        echo "LEFT OUT: the tests of redis-py: no registry of pip answers"
    fi
}

stage beside first "db" "of all: honest clients beside hostile ones wait no longer than at redis-server"
stage_beside() {
    # The stage compares waits in milliseconds: on a busy machine it could fail a change that is right.
    [ "$tier" = all ] || { left_out "all of it" "it compares times; only \`all\` does" && return; }
    cargo build --release -p hedgerow-db --features grpc
    std-ext/db/tests/hostile/run "$target/release/hedgerow-db"
}

stage kills first "db" "the database is killed a hundred times (of all: a thousand), and has lost nothing that it acknowledged"
stage_kills() {
    # The stage `tests` has built them without optimization.
    # shellcheck disable=SC2046 # no option is no word
    HEDGEROW_DB_KILLS=$(brief 50 500) cargo test --workspace --features std-ext $(brief '' --release) \
        --test kills --test kills_blocking --test kills_server -- --nocapture
}

stage cluster first "db" "what the default features leave out: the cluster, with real etcd, and gRPC"
stage_cluster() {
    name_etcd
    cargo test -p hedgerow-db --features cluster,grpc --lib --test grpc
    group_example
    cluster_clients
    # The tests have built the program.
    [ "$tier" != all ] || [ ! -x "$etcd/etcd" ] || redis_py_suite "$target/debug/hedgerow-db" --cluster
    chaos "$target/debug/hedgerow-db"
    if [ -x "$promtool" ]; then
        HEDGEROW_PROMTOOL=$promtool std-ext/db/tests/cluster/alerts "$target/debug/hedgerow-db" --break
    else
        left_out "the alerts" "no promtool"
    fi
    unset HEDGEROW_ETCD
}

# The example of the replicated log, on an etcd of its own.
group_example() {
    [ -x "$etcd/etcd" ] || { left_out "the example of hedgerow-db-group" "no etcd" && return; }
    local folder server url=http://127.0.0.1:23779 peer=http://127.0.0.1:23780
    folder=$(mktemp -d)
    "$etcd/etcd" --data-dir "$folder/data" --listen-client-urls $url --advertise-client-urls $url \
        --listen-peer-urls $peer --initial-advertise-peer-urls $peer --initial-cluster default=$peer \
        >"$folder/log" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        ! curl -fs "$url/health" >/dev/null || break
        sleep 0.1
    done
    cargo run -p hedgerow-db-group --example etcd -- $url
    kill "$server"
    wait "$server" || true
    rm -r "$folder"
}

# Clients for clusters that others wrote: through failovers, if there is etcd; of all, their replies beside Redis's, too.
cluster_clients() {
    # Without them, the tests say what they leave out: a change does with redis-rs, redis-cli and Debian's redis-py.
    if [ "$tier" = all ] && std-ext/db/tests/clients/get-ioredis "$target/ioredis"; then
        export HEDGEROW_IOREDIS=$target/ioredis
    fi
    # Debian's redis-py is older.
    if [ "$tier" = all ] && python3 -m pip install --quiet --upgrade --target "$target/redis-py" redis; then
        export HEDGEROW_REDIS_PY=$target/redis-py
    fi
    # shellcheck disable=SC2046 # arguments are words
    HEDGEROW_FAILOVER_ROUNDS=$(brief 1 10) cargo test -p hedgerow-db --features cluster,grpc \
        --test cluster_clients --test failover $(brief '' '--test cluster_replies') -- --nocapture
    unset HEDGEROW_IOREDIS HEDGEROW_REDIS_PY
}

# Nodes of this version and of the present one run in one cluster. Once there is a release, this is its tag.
earlier=c89c5609

# chaos PROGRAM: real processes, faults, and checks of all replies.
chaos() {
    local run=std-ext/db/tests/cluster/run
    "$run" --self-test
    "$run" "$1" --moves "$(brief 2 200)" --seed 1
    "$run" "$1" --scaling "$(brief 6 9)"
    if [ "$tier" = brief ]; then
        "$run" "$1" --faults kill_primary,cut_primary_inward,stop_primary,hand_over,primary_ahead,kill_quorum
        return
    fi
    "$run" "$1"
    "$run" "$1" --seed 1 --minutes 20
    "$run" "$1" --seed 2 --minutes 5 --reads log
    "$run" "$1" --seed 3 --rounds 10 --network proxies
    "$run" "$1" --scenarios all
    if git cat-file -e "$earlier^{commit}"; then
        mkdir -p "$target/earlier/source"
        git archive "$earlier" | tar -x -C "$target/earlier/source"
        CARGO_TARGET_DIR=$target/earlier cargo build --locked -p hedgerow-db --features cluster \
            --manifest-path "$target/earlier/source/Cargo.toml"
        "$run" "$1" --scaling 6 --earlier "$target/earlier/debug/hedgerow-db"
        rm -r "$target/earlier"
    else
        echo "LEFT OUT: nodes of the earlier version $earlier: this clone is shallow"
    fi
    RUSTC_WORKSPACE_WRAPPER=$PWD/std-ext/db/tests/cluster/without_checks cargo build -p hedgerow-db --features cluster,grpc
    cp "$1" "$1-without-checks"
    # The next stage finds the usual program again.
    cargo build -p hedgerow-db --features cluster,grpc
    "$run" "$1-without-checks" --break
    "$run" "$1-without-checks" --break --moves 40
    rm "$1-without-checks"
}

stage kubernetes first "db" "the manifests for Kubernetes, compared with its schemas and with the settings and metrics that exist"
stage_kubernetes() {
    local packages=$target/kubernetes-validate
    if ! command -v kubectl >/dev/null; then
        left_out "all of it" "no kubectl"
    elif ! python3 -m pip install --quiet --upgrade --target "$packages" kubernetes-validate==1.37.0; then
        left_out "all of it" "pip has no kubernetes-validate"
    else
        [ ! -x "$promtool" ] || export HEDGEROW_PROMTOOL=$promtool
        PYTHONPATH=$packages std-ext/db/kubernetes/check
    fi
}

stage db-asan late db "tests of the database under AddressSanitizer, leaks included, of all every one"
stage_db-asan() {
    # The database frees its records by hand. Each is a block of malloc's, because the sanitizer does not know the
    # database's own blocks.
    local database=(cargo +nightly test -p hedgerow-db -p hedgerow-db-redis --no-default-features
        --features hedgerow-db/scripts --target "$host")
    local flags="$lean --cfg hedgerow_malloc -Zsanitizer=address"
    if [ "$tier" = all ]; then
        HEDGEROW_TEST_EFFORT=$effort with_flags ci-db-asan "$flags" run_tagged asan std-ext/db/tests "${database[@]}"
    else
        HEDGEROW_TEST_EFFORT=$effort with_flags ci-db-asan "$flags" "${database[@]}" --lib --test model --test eviction
    fi
}
