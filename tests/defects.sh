#!/bin/sh
# Plants defects one at a time in a scratch copy, and says how each is found.
#
#     tests/defects.sh sim [SEEDS [PATCH...]]    after how many seeds the simulated world finds it; 10000 at most
#     tests/defects.sh it [PATCH...]             whether the test of the real programs that the patch names fails
#
# Without PATCH all of tests/sim/defects or tests/it/defects. A patch that does not apply or not compile, or a defect that
# is not found, makes it exit with an error.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
usage() {
    sed -n 's/^#     //p' "$0" >&2
    exit 2
}
by=${1:-}
case $by in
sim | it) shift ;;
*) usage ;;
esac
if [ "$by" = sim ]; then
    seeds=${1:-10000}
    case $seeds in
    *[!0-9]*) usage ;;
    esac
    [ $# -gt 0 ] && shift
fi
[ $# -gt 0 ] || set -- "$root/tests/$by/defects"/*.patch
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM
# A directory of its own: cargo takes the scratch copy for the project itself, and would test what is planted there later on.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/defects"

# What the simulation needs is built alone; the server and porter-admin are built with encryption, without client and load tester.
cargo_test() {
    features=shared
    [ "$by" = sim ] || features=admin,tls
    (cd "$scratch" && cargo test -q --no-default-features --features "$features" --test "$by" "$@") 2>&1
}

found_by_sim() {
    out=$(PORTER_SHRINK=no PORTER_SEEDS="$seeds" RUST_BACKTRACE=0 cargo_test every_seed_holds)
    seed=$(printf '%s\n' "$out" | sed -n 's/^seed \([0-9]*\):.*/\1/p' | head -n 1)
    if [ -z "$seed" ]; then
        echo "$name: NOT FOUND in $seeds seeds"
        return 1
    fi
    what=$(printf '%s\n' "$out" | sed -n '/^seed [0-9]*:/{n;p;q;}' | cut -c 1-90)
    echo "$name: found after $((seed + 1)) seeds: $what"
}

# The test must be there, and fail.
found_by_it() {
    tests=$(sed -n '1s/^Found by //p' "$1")
    out=$(RUST_BACKTRACE=0 cargo_test "$tests")
    case $out in
    *'test result: FAILED'*) echo "$name: found by $(printf '%s\n' "$out" | sed -n 's/^---- \(.*\) stdout ----$/\1/p' | head -n 1)" ;;
    *'running 0 tests'*)
        echo "$name: there is no test '$tests'"
        return 1
        ;;
    *)
        echo "$name: NOT FOUND by $tests"
        return 1
        ;;
    esac
}

missed=0
for patch in "$@"; do
    rm -rf "$scratch/src" "$scratch/tests"
    cp -R "$root/Cargo.toml" "$root/Cargo.lock" "$root/src" "$root/tests" "$scratch/"
    name=$(basename "$patch" .patch)
    if ! (cd "$scratch" && patch -s -p1) < "$patch"; then
        echo "$name: the patch does not apply"
        missed=1
    elif ! cargo_test --no-run > "$scratch/build"; then
        echo "$name: does not compile"
        missed=1
    else
        "found_by_$by" "$patch" || missed=1
    fi
done
exit $missed
