#!/usr/bin/env bash
# The table of guarantees: what stands behind each, and how that fared in a run of all of it.
#
#   .ci/test                                    # leaves what its suites print in target/outputs/
#   loom-tests/guarantees.sh OUTPUT...          # prints the table; fails where a guarantee has nothing
#                                               # behind it, or something that failed or did not run
#   loom-tests/guarantees.sh --write OUTPUT...  # fills in docs/guarantees.md as well, seeded bugs included
#
# The guarantees are the sections of docs/guarantees.md. A test names those that it stands for:
#
#   // proves: G1 G3                above a function: a test, or one that tests are made of
#   // proves (property): G1 G3     the same, for a test that tries random cases
#   // each proves: G1              anywhere in a file: for each of its tests that says nothing else
#   breaks: "G1 G3",                the field of a seeded bug
#
# Models and random interleavings are told by their folders, and must name a guarantee.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

write=0
[[ ${1:-} != --write ]] || { write=1; shift; }
[[ $# -gt 0 ]] || { printf 'usage: %s [--write] OUTPUT...\n' "$0" >&2; exit 2; }

page=docs/guarantees.md
bugs=loom-tests/results/seeded-bugs.md
state=$(git rev-parse HEAD:src 2>/dev/null || echo unknown)
bugs_state='on this state'
grep -qF "$state" "$bugs" || bugs_state='on an EARLIER state of `src/`'
mapfile -t sources < <(find tests loom-tests src -name '*.rs' | LC_ALL=C sort)
filled=$(mktemp)
trap 'rm -f "$filled"' EXIT

LC_ALL=C awk -v write="$write" -v filled="$filled" \
    -v stamp="On $(date -u +%F), $(rustc -V), seeded bugs $bugs_state, \`src/\` $state." '
BEGIN {
    kinds = split("model random property test bug", kind_of, " ")
    split("Models;Random interleavings;Properties;Tests;Seeded bugs", title_of, ";")
    split("explored passed passed passed killed", word_of, " ")
}
function fail(text) { if (!(text in told)) { told[text]; print "error: " text >"/dev/stderr" }; failed = 1 }

# A file of sources begins: whose tests are in it, and the part of their paths that tells the file.
function begin(file, parts, n) {
    n = split(file, parts, "/")
    module = parts[n] == "mod.rs" ? parts[n - 1] : substr(parts[n], 1, length(parts[n]) - 3)
    if (parts[1] == "tests") target = n == 2 ? module : parts[2]
    else if (file ~ /^loom-tests\/random/) target = "trypema_random_tests"
    else target = parts[1] == "src" ? "trypema" : "trypema_loom_tests"
    if (module == "main" || (parts[1] == "tests" && n == 2)) module = ""
    by_place = file ~ /^loom-tests\/src\/models\// ? "model" : file ~ /^loom-tests\/random/ ? "random" : ""
    is_bugs = file ~ /^loom-tests\/src\/bin\//
    source = file; each = pending = ""; is_test = untagged = 0
}
function tag(kind, name, promises) {
    tags++
    tag_kind[tags] = kind; tag_name[tags] = name; tag_promises[tags] = promises
    tag_target[tags] = target; tag_module[tags] = module; tag_file[tags] = source
}
function end(i) {
    if (pending != "") fail(source ": no function below \"proves: " pending "\"")
    for (i = 1; i <= untagged; i++) {
        if (each != "") tag(by_place ? by_place : "test", loose[i], each)
        else if (by_place) fail(source ": " loose[i] " does not say what it proves")
    }
}
reading == "sources" {
    if (FILENAME != source) { if (source != "") end(); begin(FILENAME) }
    sub(/^ +/, "")
    if (is_bugs) {
        if (/^name: "/) { split($0, quoted, "\""); name = quoted[2] }
        if (/^breaks: "/) { split($0, quoted, "\""); tag("bug", name, quoted[2]) }
        next
    }
    if (sub(/^\/\/ each proves: /, "")) each = $0
    else if (sub(/^\/\/ proves: /, "")) { pending = $0; pending_kind = "test" }
    else if (sub(/^\/\/ proves \(property\): /, "")) { pending = $0; pending_kind = "property" }
    else if ($0 == "#[test]") is_test = 1
    else if (/^(pub )?fn [a-z0-9_$]+[(<]/) {
        sub(/^(pub )?fn /, ""); sub(/[(<].*/, "")
        # A test that a macro names has its name elsewhere.
        if (/\$/) { if (pending != "") fail(source ": a tag above " $0) }
        else if (pending != "") tag(by_place ? by_place : pending_kind, $0, pending)
        else if (is_test) loose[++untagged] = $0
        pending = ""; is_test = 0
    }
    next
}

# A test that was run more than once has to pass each time.
function result(path, passed,    name) {
    name = path; sub(/.*::/, "", name)
    if ((program, path) in good) passed = passed && good[program, path]
    else { tests++; paths[program, name] = paths[program, name] " " path }
    good[program, path] = passed
}
reading == "outputs" {
    if (source != "") { end(); source = "" }
    sub(/^ +/, "")
    if (/^Running /) { program = $NF; sub(/.*\//, "", program); sub(/-[0-9a-f]+\)$/, "", program) }
    else if (/^Doc-tests /) program = "doc"
    else if (/^test [^ ]+ (- should panic )?\.\.\. /) {
        # The output of a test stands between its name and its result.
        if ($NF == "ok" || $NF == "FAILED") { result($2, $NF == "ok"); begun = "" } else begun = $2
    }
    else if (begun != "" && ($0 == "ok" || $0 == "FAILED")) { result(begun, $0 == "ok"); begun = "" }
    if (/loom-result\t.*\texhausted$/) { n = split($0, fields, "\t"); models++; interleavings += fields[n - 2] }
    next
}
reading == "bugs" {
    n = split($0, cells, / *\| */)
    if (n == 7 && cells[6] ~ /^[0-9.]+$/) { ran++; killed[cells[2]] = cells[5] !~ /SURVIVED|BROKEN/ }
    next
}
reading == "page" {
    lines[++last] = $0
    if (/^### [A-Za-z0-9]+: /) { ids++; split($2, id_part, ":"); id[ids] = id_part[1]; title[id[ids]] = substr($0, 5) }
}

# "good", "failed" or "missing", and the names that stand for a tag: one for each provider.
function look_up(t, n, all, i, fate) {
    names = tag_name[t]
    if (tag_kind[t] == "bug") return !(names in killed) ? "missing" : killed[names] ? "good" : "failed"
    n = split(paths[tag_target[t], tag_name[t]], all, " ")
    fate = "missing"
    for (i = 1; i <= n; i++) {
        if (tag_module[t] != "" && index("::" all[i], "::" tag_module[t] "::") == 0) continue
        names = fate == "missing" ? all[i] : names " " all[i]
        if (!good[tag_target[t], all[i]]) fate = "failed"
        else if (fate == "missing") fate = "good"
    }
    return fate
}
END {
    for (t = 1; t <= tags; t++) {
        if (tag_kind[t] == "bug" && !write) continue
        fate = look_up(t)
        if (fate != "good") fail(tag_file[t] ": " tag_name[t] " " (fate == "failed" ? "failed" : "has no result"))
        n_promises = split(tag_promises[t], promises, " ")
        for (p = 1; p <= n_promises; p++) {
            if (!(promises[p] in title)) fail(tag_file[t] ": " tag_name[t] ": no guarantee " promises[p])
            key = promises[p] SUBSEP tag_kind[t]
            n = split(names, all, " ")
            count[key] += n; wrong[promises[p]] += fate != "good"; well[key] += fate == "good" ? n : 0
            if (from[key] != tag_file[t]) { from[key] = tag_file[t]; list[key] = list[key] "\n  - `" tag_file[t] "`:" }
            else list[key] = list[key] ","
            for (i = 1; i <= n; i++) {
                sub(/^models::/, "", all[i])
                list[key] = list[key] (i > 1 ? ", " : " ") (fate == "good" ? "" : "**" fate "** ") "`" all[i] "`"
            }
        }
    }
    table = "| guarantee | models | random interleavings | properties | tests | seeded bugs | result |\n|---|--:|--:|--:|--:|--:|---|\n"
    for (i = 1; i <= ids; i++) {
        row = "| " title[id[i]] " |"; behind = 0
        for (k = 1; k <= kinds; k++) {
            row = row " " (kind_of[k] == "bug" && !write ? "-" : count[id[i], kind_of[k]] + 0) " |"
            if (kind_of[k] != "bug") behind += count[id[i], kind_of[k]]
        }
        if (!behind) fail(id[i] ": nothing proves it")
        table = table row " " (!behind ? "NOTHING" : wrong[id[i]] ? wrong[id[i]] " FAILED OR MISSING" : "all good") " |\n"
    }
    printf "%s", table
    if (write) for (i = 1; i <= last; i++) {
        if (lines[i] ~ /^<!-- end -->$/) skip = 0
        if (skip) continue
        print lines[i] >filled
        if (lines[i] ~ /^### /) { split(lines[i], words, /[ :]/); at = words[2] }
        if (lines[i] == "<!-- table -->") {
            printf "\n%s\n*Generated:* %d tests run; %d models explored to the end, %d interleavings; %d seeded bugs. %s\n\n", \
                table, tests, models, interleavings, ran, stamp >filled
            skip = 1
        } else if (lines[i] == "<!-- proofs -->") {
            for (k = 1; k <= kinds; k++) if (count[at, kind_of[k]])
                printf "- %s, %d of %d %s:%s\n", title_of[k], well[at, kind_of[k]], count[at, kind_of[k]], word_of[k], list[at, kind_of[k]] >filled
            skip = 1
        }
    }
    exit failed
}' reading=sources "${sources[@]}" reading=outputs "$@" reading=bugs "$bugs" reading=page "$page" || status=$?
if [[ $write == 1 && -s $filled ]]; then
    cat "$filled" >"$page"
    [[ $bugs_state == 'on this state' ]] || { printf 'error: the seeded bugs ran %s\n' "$bugs_state" >&2; status=1; }
fi
exit "${status:-0}"
