# Installs what the other stages need and the machine lacks. `.ci/run` reads this file.

stage setup setup any "install what the other stages need and the machine lacks"
stage_setup() {
    local packages=(gcc libc6-dev git) missing=() p
    # netbase: the services that the example `routes` looks up.
    ! needs example || packages+=(netbase redis-tools)
    ! needs tests clients cluster kills || packages+=(python3-redis redis-tools)
    ! needs counts || packages+=(valgrind)
    # A second compiler with its library's source, to build `core` for any target; and a linker for 32-bit tests. bc:
    # sums in the embedded runner.
    ! needs no-std embedded narrow tsan || packages+=(rustc-web cargo-web rust-web-src gcc-12-multilib libc6-dev-i386 bc)
    # The database is compared with redis-server.
    ! needs tests clients || packages+=(redis-server)
    # libfaketime: sets clocks. tcl: Redis's own tests.
    [ "$tier" != all ] || packages+=(libfaketime redis-server tcl)
    for p in "${packages[@]}"; do
        dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
    done
    if [ ${#missing[@]} != 0 ]; then
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    fi
    # Node may be installed without a package.
    # shellcheck disable=SC2046 # stages are words
    ! needs no-std $(brief '' 'clients cluster') || command -v npm >/dev/null ||
        apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null
    ! needs embedded || install_qemu
    ! needs tests cluster mutations || install_etcd || left_out "etcd of Debian 13" "not available here"
    ! needs cluster kubernetes || install_promtool || left_out "promtool of Debian" "not available here"
    ! needs fuzz || command -v cargo-fuzz >/dev/null || cargo install --locked --quiet cargo-fuzz
    [ "$tier" != all ] || ! needs mutants || command -v cargo-mutants >/dev/null ||
        cargo install --locked --quiet cargo-mutants
    ! needs counts msrv || rustup toolchain list | grep -q "^$(oldest)-" ||
        rustup toolchain install --profile minimal --no-self-update "$(oldest)" ||
        left_out "the toolchain $(oldest)" "not available here"
    # CI checks the packages for the first two, and runs nothing. Where the others cannot be had, the second compiler
    # builds their library, which takes minutes.
    for p in $(! needs packages || echo x86_64-pc-windows-gnu x86_64-apple-darwin); do
        has_target "$p" || rustup target add "$p" || left_out "the target $p" "not available here"
    done
    # shellcheck disable=SC2086 # targets are words
    for p in $(! needs narrow || echo i686-unknown-linux-gnu) \
        $(! needs no-std embedded || brief "$bare_brief $firmware_brief" ''); do
        has_target "$p" || rustup target add "$p" || echo "no target $p: its library will be built from source"
    done
    rustc --version
}

# Unpacks QEMU into a folder of its own: installed as packages, its emulators could replace a newer
# QEMU of the machine.
install_qemu() {
    [ ! -x "$HEDGEROW_QEMU/usr/bin/qemu-system-arm" ] || return 0
    local debs names
    debs=$(mktemp -d)
    apt-get update -qq
    names=$(apt-get install -s --no-install-recommends qemu-system-arm qemu-system-misc |
        awk '/^Inst/ {print $2}')
    # apt drops its privileges to download, and then could not write into a folder of root's.
    (cd "$debs" && xargs apt-get download -qq -o APT::Sandbox::User=root <<<"$names")
    mkdir -p "$HEDGEROW_QEMU"
    local deb
    for deb in "$debs"/*.deb; do
        dpkg -x "$deb" "$HEDGEROW_QEMU"
    done
    rm -r "$debs"
}

# Unpacks etcd of Debian 13 into a folder of its own: Debian 12 has 3.4, which the database refuses. The machine's own
# lists and packages stay as they are.
install_etcd() {
    [ ! -x "$etcd/etcd" ] || return 0
    local folder uri
    folder=$(mktemp -d)
    # The archive that the machine's own packages come from.
    # shellcheck disable=SC2016 # apt fills these in
    uri=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' 'Origin: Debian' |
        awk '$2 !~ /-/ {print $1; exit}')
    [ -n "$uri" ] || return 1
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri trixie main" >"$folder/sources.list"
    mkdir -p "$folder"/{lists,cache/archives}/partial "$folder/files" "$etcd"
    local apt=(apt-get -qq -o APT::Sandbox::User=root -o Dir::Etc::SourceList="$folder/sources.list"
        -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$folder/lists" -o Dir::Cache="$folder/cache")
    "${apt[@]}" update && (cd "$folder" && "${apt[@]}" download etcd-server etcd-client) || return 1
    local deb
    for deb in "$folder"/*.deb; do
        dpkg -x "$deb" "$folder/files" || return 1
    done
    cp "$folder"/files/usr/bin/{etcd,etcdctl} "$etcd" || return 1
    rm -r "$folder"
    "$etcd/etcd" --version | sed -n 1p
}

# Unpacks promtool, which evaluates the rules of alerts. Its package would start Prometheus.
install_promtool() {
    [ ! -x "$promtool" ] || return 0
    local folder
    folder=$(mktemp -d)
    (cd "$folder" && apt-get -qq -o APT::Sandbox::User=root download prometheus && dpkg -x prometheus_*.deb files) || return 1
    mkdir -p "${promtool%/*}"
    cp "$folder/files/usr/bin/promtool" "$promtool" || return 1
    rm -r "$folder"
}
