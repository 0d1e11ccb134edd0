#!/bin/sh
# Plants the defects of tests/sim/defects one at a time in a scratch copy, and says how many seeds the simulated world
# takes to find each.  Usage: tests/sim/defects.sh [SEEDS [PATCH...]]   (10000 seeds at most, all patches)
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
seeds=${1:-10000}
case $seeds in
*[!0-9]*)
    echo "defects.sh: SEEDS is a number, not '$seeds'" >&2
    exit 2
    ;;
esac
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- "$root"/tests/sim/defects/*.patch
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM
# A directory of its own: cargo takes the scratch copy for the project itself, and would test what is planted there later on.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/defects"
missed=0
for patch in "$@"; do
    rm -rf "$scratch/src" "$scratch/tests"
    cp -R "$root/Cargo.toml" "$root/Cargo.lock" "$root/src" "$root/tests" "$scratch/"
    name=$(basename "$patch" .patch)
    if ! (cd "$scratch" && patch -s -p1 < "$patch"); then
        echo "$name: the patch does not apply"
        missed=1
        continue
    fi
    if ! (cd "$scratch" && cargo test -q --no-default-features --test sim --no-run) > "$scratch/build" 2>&1; then
        echo "$name: does not compile"
        missed=1
        continue
    fi
    out=$(cd "$scratch" && PORTER_SHRINK=no PORTER_SEEDS="$seeds" RUST_BACKTRACE=0 cargo test -q --no-default-features --test sim every_seed_holds 2>&1)
    seed=$(printf '%s\n' "$out" | sed -n 's/^seed \([0-9]*\):.*/\1/p' | head -n 1)
    if [ -n "$seed" ]; then
        what=$(printf '%s\n' "$out" | sed -n '/^seed [0-9]*:/{n;p;q;}' | cut -c 1-90)
        echo "$name: found after $((seed + 1)) seeds: $what"
    else
        echo "$name: NOT FOUND in $seeds seeds"
        missed=1
    fi
done
exit $missed
