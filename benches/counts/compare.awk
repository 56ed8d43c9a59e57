# Compares the counts of the second file with those of the first. Fails if an operation takes over 3 % more, or if the
# two files have different operations.

FNR == NR { before[$1] = $2; next }

{
    change = $1 in before ? 100 * ($2 / before[$1] - 1) : 0
    verdict = "as before"
    if (!($1 in before)) verdict = "NOT IN table.tsv"
    else if (change > 3) verdict = "MORE"
    else if (change < -3) verdict = "less: write table.tsv anew"
    failed += verdict ~ /^[A-Z]/
    seen[$1] = 1
    if (verdict != "as before") printf "%-52s %9.1f, was %9.1f: %+.1f %%, %s\n", $1, $2, before[$1], change, verdict
}

END {
    for (name in before) if (!(name in seen)) { print name ": NOT COUNTED"; failed++ }
    printf "%d operations counted, %d failed\n", length(seen), failed
    if (failed) print "If this is meant to be: benches/counts/run --write, and say why in the commit"
    exit failed > 0
}
