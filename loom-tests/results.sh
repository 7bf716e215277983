#!/usr/bin/env bash
# Runs the loom models and the random interleavings, and writes what came of them into
# loom-tests/results/models.md, with the versions and the date.
#
#   loom-tests/results.sh                                   # as CI runs them
#   TRYPEMA_LOOM_BOUND=3 TRYPEMA_LOOM_LONG=1 TRYPEMA_RANDOM_RUNS=300000 loom-tests/results.sh   # the long run
#   loom-tests/results.sh FILE...                           # from outputs of earlier runs, the first first
#
# The long run of all models takes hours. Each can be run by itself, see CONTRIBUTING.md, and its output
# (standard error) be given to this. A suite that fails ends this; nothing is written then.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Kept: a run that takes hours can be looked at before it has ended.
lines=${CARGO_TARGET_DIR:-target}/results-lines.txt
mkdir -p "$(dirname "$lines")"
: >"$lines"

# Results go to standard error, a line each, fields apart by tabs; standard output says which test
# runs, and may stand before them. --nocapture: otherwise they are printed for failures alone.
run() {
    cargo test --locked --profile loom "$@" --lib -- --nocapture 2>>"$lines" ||
        { grep -v -- '-result' "$lines" >&2; exit 1; }
}
if [[ $# -gt 0 ]]; then
    # Of a test that is in several files, the first counts.
    cat "$@" | grep -ao '[a-z]*-result'$'\t''.*' | awk -F '\t' '!seen[$1, $2, $1 ~ /loom/ ? $3 : ""]++' >"$lines"
else
    run -p trypema-loom-tests
    run -p trypema-random-tests
    # The same with the library's own numbers of marks: their rows are told apart by this.
    before=$(wc -l <"$lines")
    run -p trypema-random-tests --features real-sizes
    sed -i "$((before + 1)),\$s/random-result\t\([^\t]*\)/random-result\t\1, real sizes/" "$lines"
fi

# rows KIND FORMAT: the lines of one kind, sorted, as rows of a table.
rows() {
    grep -a "^$1-result" "$lines" | sort -t "$(printf '\t')" -k 2,3 | cut -f 2- |
        awk -F '\t' '{ for (i = 1; i <= NF; i++) printf "| %s ", $i; print "|" }'
}

models=$(rows loom)
runs=$(rows random)
[[ -n $models && -n $runs ]] || { printf 'error: no results among the output\n' >&2; exit 1; }
mkdir -p loom-tests/results
{
    printf '# Models and random runs\n\n'
    printf 'Written by `loom-tests/results.sh` on %s, with %s, on %s cores.\n\n' \
        "$(date -u +%Y-%m-%d)" "$(rustc --version)" "$(nproc)"
    if [[ $# -gt 0 ]]; then
        printf 'From the outputs of several runs: bounds and numbers of runs differ, and stand in each row.\n\n'
    else
        printf 'Environment: TRYPEMA_LOOM_BOUND=%s, TRYPEMA_LOOM_LONG=%s, TRYPEMA_RANDOM_RUNS=%s ' \
            "${TRYPEMA_LOOM_BOUND:-}" "${TRYPEMA_LOOM_LONG:-}" "${TRYPEMA_RANDOM_RUNS:-}"
        printf '(empty: as CI runs them).\n\n'
    fi
    printf '## Loom models\n\n| test | model | preemptions | iterations | s | |\n|---|---|--:|--:|--:|---|\n'
    printf '%s\n' "$models"
    printf '\n## Random interleavings\n\n| family | runs | s |\n|---|--:|--:|\n'
    printf '%s\n' "$runs"
} >loom-tests/results/models.md
printf 'wrote loom-tests/results/models.md: %d models, %d families\n' \
    "$(wc -l <<<"$models")" "$(wc -l <<<"$runs")"
