#!/usr/bin/env bash
# Mutation testing of the core: every operator, constant and function body of `src/key` and
# `src/policy`, changed one at a time by cargo-mutants, against the random interleavings and the
# arithmetic checks of `loom-tests/random`. Those build in seconds, see every word of both folders,
# and are the same on every run, so that a mutant costs a few seconds.
#
#   cargo install cargo-mutants --locked
#   loom-tests/mutants.sh                    # all of them
#   loom-tests/mutants.sh -F 'Sight::fits'   # those whose names match
#   loom-tests/mutants.sh --list             # their names, nothing run
#
# What is caught is caught by few runs a family. What these miss is shown to all of CI's runs, in a
# second round. The verdicts are in mutants.out/ of the target folder: missed.txt has the survivors.
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
    --file 'src/key/*.rs' --file 'src/policy/*.rs' --file src/decision.rs --file src/store/slots.rs
    --profile loom --baseline skip --timeout 90 --build-timeout 300 --no-shuffle
    --output "${CARGO_TARGET_DIR:-target}"
)

for argument in "$@"; do
    [[ $argument != --list ]] || exec "${mutants[@]}" "$@"
done

# A suite that fails without a mutant proves nothing.
cargo test --locked --profile loom -p trypema-random-tests --lib

# The first check that notices ends the others.
export TRYPEMA_RANDOM_FAIL_FAST=1

# A round that leaves survivors exits with 2.
status=0
TRYPEMA_RANDOM_RUNS=300 "${mutants[@]}" "$@" || status=$?
if [[ $status -eq 2 ]]; then
    status=0
    # --iterate: only what was not caught before.
    "${mutants[@]}" --iterate "$@" || status=$?
fi
exit "$status"
