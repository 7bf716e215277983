#!/usr/bin/env bash
# Instructions of the hot paths, counted by callgrind: writes benches/results/instructions.txt, or
# with --check compares with it. Arguments go to the program `instructions`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

as_root() {
    if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

if ! command -v valgrind >/dev/null; then
    command -v apt-get >/dev/null || {
        echo 'error: valgrind is missing, and so is apt-get: install it, then run this again' >&2
        exit 1
    }
    as_root apt-get update -q
    # noninteractive: nobody may be there to answer. Through env, since sudo drops variables.
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends valgrind
fi

# --profile bench: what the tables of `compare` are made with.
exec cargo run --locked --profile bench -p trypema-benches --bin instructions -- "$@"
