#!/usr/bin/env bash
# The window, the maps and the wait queue under Miri: memory that is read after it was freed, data races,
# what `unsafe` promises and does not keep. A few minutes on an idle machine; not part of `.ci/test`.
#
# Installs what it misses (Miri, and the sources of the standard library) into rustup's nightly toolchain.
# It needs the network for that, once; where there is none it says so and ends.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

command -v rustup >/dev/null || fail 'rustup is missing, and Miri comes with nothing else: https://rustup.rs'
if ! cargo +nightly miri --version >/dev/null 2>&1; then
    rustup toolchain install nightly --profile minimal --component miri --component rust-src ||
        fail 'Miri is missing and cannot be installed: it needs the network, and a nightly that has it'
fi
cargo +nightly miri --version
# Builds the standard library for Miri, once for each nightly.
cargo +nightly miri setup ||
    fail 'the standard library cannot be built for Miri: rustup component add --toolchain nightly rust-src'

# -Zmiri-tree-borrows: crossbeam-epoch reaches a slice behind its header through a reference to the header,
#     which the older model, Stacked Borrows, forbids.
# -Zmiri-permissive-provenance: crossbeam-epoch keeps pointers as integers, with a tag in them; Miri is to
#     accept that without a warning for each place.
# -Zmiri-ignore-leaks: when the process ends, crossbeam-epoch's global collector still holds what it was to
#     free later. `tests/memory.rs` counts bytes instead.
export MIRIFLAGS="-Zmiri-tree-borrows -Zmiri-permissive-provenance -Zmiri-ignore-leaks ${MIRIFLAGS:-}"

# A folder of its own: the other builds are not done again.
under_miri() {
    cargo +nightly miri test --locked -p trypema --no-default-features --target-dir target/miri "$@"
}

# Unit tests of the window and the policy. Not those of the default clock: it reads the time-stamp counter
# by inline assembly, which Miri cannot run. All tests below bring a manual clock.
under_miri --lib -- --skip clock_cache

# Counts are smaller under Miri, see `scaled` in `tests/local/threads.rs`. --exact: these and no others.
tests=(
    # The window: rings that grow and units given back, on threads.
    threads::what_was_admitted_recorded_and_given_back_adds_up
    # The maps: keys displaced, and slots that return to their pool.
    max_keys::a_new_key_displaces_an_idle_one_and_no_other
    max_keys::a_key_that_was_fully_refunded_may_be_displaced
    # The wait queue: a thread that gives up at its head, and room that is found.
    acquire_order::who_gives_up_at_the_head_of_the_line_passes_the_turn_on
    acquire_room::room_is_found_as_soon_as_a_key_is_idle
)
under_miri --test local -- --exact "${tests[@]}"
