#!/bin/sh
# Instructions, branch mispredictions and last-level misses of one operation,
# counted by callgrind (apt-get install valgrind): the difference of two runs
# that do nothing else differently. Simulated, so the same on a busy machine;
# `versus` measures the time on a real core.
#
#   ./count.sh [KEYS] [MAPS] [WORK]     e.g.  ./count.sh 65536 "flat hashbrown"
set -eu
keys=${1:-65536}
maps=${2:-flat hashbrown}
work=${3:-get-hit get-miss upsert insert}
few=10000
many=60000

cd "$(dirname "$0")"
cargo build --release --quiet --bin count
target=$(cargo metadata --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

# The same simulated machine everywhere: 48 KiB of L1, 32 MiB of L3.
counts() { # MAP WORK TIMES -> events of the run, as callgrind sums them
    valgrind --tool=callgrind --branch-sim=yes --cache-sim=yes \
        --I1=32768,8,64 --D1=49152,12,64 --LL=33554432,16,64 \
        --callgrind-out-file="$folder/out" \
        "$target/release/count" "$1" "$2" "$keys" "$3" 2>"$folder/log" ||
        { cat "$folder/log" >&2; exit 1; }
    awk '/^events:/ { for (i = 2; i <= NF; i++) name[i] = $i }
         /^(summary|totals):/ { for (i = 2; i <= NF; i++) n[name[i]] = $i }
         END { print n["Ir"], n["Bcm"] + n["Bim"], n["DLmr"] + n["DLmw"],
                     n["D1mr"] + n["D1mw"] }' "$folder/out"
}

echo "| operation at $keys keys | map | instructions | mispredictions | L1 misses | L3 misses |"
echo "|---|---|--:|--:|--:|--:|"
for op in $work; do
    for map in $maps; do
        few_counts=$(counts "$map" "$op" "$few")
        many_counts=$(counts "$map" "$op" "$many")
        echo "$few_counts $many_counts" | awk -v n=$((many - few)) -v op="$op" -v map="$map" '{
            printf "| %s | %s | %.1f | %.3f | %.3f | %.3f |\n", op, map,
                ($5 - $1) / n, ($6 - $2) / n, ($8 - $4) / n, ($7 - $3) / n }'
    done
done
