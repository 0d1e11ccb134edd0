#!/bin/sh
# Fuzzes one target, or each in turn, for some seconds each. Needs cargo-fuzz (`cargo install cargo-fuzz`).
#
#     tests/fuzz.sh [SECONDS [TARGET...]]        60 seconds of each unless given
#
# New inputs that reach new code are kept in target/fuzz; a finding ends the run and is written there.
set -eu

cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- frames messages conversation users addresses console phc
# libFuzzer's instrumentation is not among the stable flags of the compiler.
export RUSTC_BOOTSTRAP=1
found=target/fuzz
for target in "$@"; do
    mkdir -p "$found/corpus/$target" "$found/artifacts/$target"
    cargo fuzz run --fuzz-dir tests/fuzz --target-dir target/fuzz/build "$target" \
        "$found/corpus/$target" "tests/fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -timeout=10 -print_final_stats=1 -artifact_prefix="$found/artifacts/$target/"
done
