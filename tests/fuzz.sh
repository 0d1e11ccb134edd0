#!/bin/sh
# Fuzzes one target, or each in turn, for some seconds each. Needs a C++ compiler, and no other toolchain than the stable one.
#
#     tests/fuzz.sh [SECONDS [TARGET...]]        60 seconds of each unless given
#
# New inputs that reach new code are kept in target/fuzz; a finding ends the run and is written there.
set -eu

cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- frames messages conversation users addresses console control phc proxy_header http configuration
found=${CARGO_TARGET_DIR:-target}/fuzz
# With a target named the flags are for the programs alone, not for what builds them. They have libFuzzer told of every
# edge and comparison that is passed.
host=$(rustc -vV | sed -n 's/^host: //p')
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
RUSTFLAGS="-D warnings --cfg fuzzing -Cdebug-assertions $coverage" \
    cargo build --locked --release --manifest-path tests/fuzz/Cargo.toml --target "$host" --target-dir "$found/build"
for target in "$@"; do
    mkdir -p "$found/corpus/$target" "$found/artifacts/$target"
    "$found/build/$host/release/$target" -max_total_time="$seconds" -timeout=10 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="$found/artifacts/$target/" "$found/corpus/$target" "tests/fuzz/corpus/$target"
done
