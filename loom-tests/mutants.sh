#!/usr/bin/env bash
# Mutation testing of the core: every operator, constant and function body of `src/window` and
# `src/policy`, changed one at a time by cargo-mutants, against the random interleavings and the
# arithmetic checks of `loom-tests/random`. Those build in seconds, see every word of both folders,
# and are the same on every run, so that a mutant costs a few seconds.
#
#   cargo install cargo-mutants --locked
#   loom-tests/mutants.sh                    # all of them
#   loom-tests/mutants.sh -F 'Usage::fits'   # those whose names match
#   loom-tests/mutants.sh --list             # their names, nothing run
#   loom-tests/mutants.sh --iterate          # those that were not caught the last time
#
# Few runs a family catch most. Mutants that these miss are shown to all of CI's runs, in a
# second round, and in a third to the same with the library's own numbers of marks. The verdicts are
# in mutants.out/ of the target folder: missed.txt has the survivors. Those that are known, each with
# the reason why no test can notice it, are left out: see .cargo/mutants.toml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v cargo-mutants >/dev/null || {
    printf 'error: cargo-mutants is missing: cargo install cargo-mutants --locked\n' >&2
    exit 1
}

# --profile loom: optimised, with assertions and overflow checks on.
# --test-package: mutants of the library, tests of another package, which includes the sources.
# --baseline skip: cargo-mutants would try the library's own tests without a mutant, and not those
# that are used here; that is done below.
# --timeout: a mutant that never ends is caught; the suite takes a few seconds.
mutants=(
    cargo mutants --package trypema --test-package trypema-random-tests
    --file 'src/window/*.rs' --file 'src/policy/*.rs' --file src/decision.rs --file src/local/slot_pool.rs
    --profile loom --baseline skip --timeout 30 --build-timeout 300 --no-shuffle --jobs 2
    --output "${CARGO_TARGET_DIR:-target}"
)

for argument in "$@"; do
    [[ $argument != --list ]] || exec "${mutants[@]}" "$@"
done

# A suite that fails without a mutant proves nothing.
cargo test --locked --profile loom -p trypema-random-tests --lib

# The first check that notices ends the others.
export TRYPEMA_RANDOM_FAIL_FAST=1
# A mutant is built once and run for seconds.
export CARGO_PROFILE_LOOM_DEBUG=false CARGO_PROFILE_LOOM_INCREMENTAL=true CARGO_PROFILE_LOOM_OPT_LEVEL=2

out=${CARGO_TARGET_DIR:-target}/mutants.out

# round ARGUMENT...: exits with 2 if it leaves survivors, and with 3 (even then) if it ran out of patience
# with one that never ends, which is as good as caught. So survivors are looked up.
round() {
    status=0
    "${mutants[@]}" "$@" || status=$?
    [[ $status -eq 2 || $status -eq 0 || $status -eq 3 ]] || exit "$status"
    status=0
    [[ ! -s $out/missed.txt ]] || status=2
}
TRYPEMA_RANDOM_RUNS=300 round "$@"
# --iterate: only what was not caught before.
[[ $status -ne 2 ]] || round --iterate "$@"
[[ $status -ne 2 ]] || round --iterate --features real-sizes "$@"

# The outcome, previous rounds included. Of some mutants there is nothing to tell.
for argument in "$@"; do
    [[ $argument == --iterate ]] || exit "$status"
done
all=$("${mutants[@]}" --no-config --list | wc -l)
listed=$("${mutants[@]}" --list | wc -l)
names() { sort -u "$out/$1"; }
count() { names "$1" | grep -c . || true; }
{
    printf '# Mutants\n\n'
    printf 'Written by `loom-tests/mutants.sh` on %s, with %s, %s.\n\n' \
        "$(date -u +%Y-%m-%d)" "$(cargo mutants --version)" "$(rustc --version)"
    printf '| | |\n|---|--:|\n'
    printf '| noticed by a test, or not to be built | %d |\n' \
        $((listed - $(count missed.txt) - $(count timeout.txt)))
    printf '| noticed, since they never end | %d |\n' "$(count timeout.txt)"
    printf '| left out: reasons in `.cargo/mutants.toml` | %d |\n' $((all - listed))
    printf '| survived | %d |\n' "$(count missed.txt)"
    names missed.txt | sed 's/.*/\n    &/'
} >loom-tests/results/mutants.md
exit "$status"
