#!/bin/sh
# Changes one thing in the code at a time, and lists the changes that no test notices. Needs cargo-mutants
# (`cargo install cargo-mutants`), and hours: of some 4 600 changes each SEED, from 0 to 23, has its own 24th.
#
#     tests/mutants.sh SEED [core|server]        both unless given
#
# Changes of protocol, auth, engine and store are to be found by the tests beside the code and the simulation; those of
# server and tls by the tests beside the code and those of the real programs. What was missed is in target/mutants.
# Of 150 drawn from all but tls in November 2026 two were missed, and they change nothing: reading or writing again after an
# interruption, which a call that does not block never has.
set -eu

cd "$(dirname "$0")/.."
seed=${1:?"which 24th? a number from 0 to 23"}
shift
[ $# -gt 0 ] || set -- core server
status=0
for part in "$@"; do
    case $part in
    core) folders='protocol auth engine store' tests=sim ;;
    server) folders='server tls' tests=it ;;
    *)
        echo "mutants.sh: there is no part '$part'" >&2
        exit 2
        ;;
    esac
    found=${CARGO_TARGET_DIR:-$PWD/target}/mutants/$part
    mkdir -p "$found"
    files=
    for folder in $folders; do
        files="$files --file src/$folder/**"
    done
    # They stand in for features that are on here.
    files="$files --exclude src/server/unencrypted.rs --exclude src/server/unlogged.rs"
    # Files are named by patterns, which are not for the shell to fill in.
    set -f
    # A crowded machine is no reason to take a test that is slow for one that has noticed something.
    env -u CARGO_TARGET_DIR PORTER_SEEDS=500 PORTER_SHRINK=no cargo mutants --no-config $files \
        --shard "$seed/24" --sharding round-robin --shuffle --timeout 300 --build-timeout 600 --output "$found" \
        --cargo-arg=--no-default-features --cargo-arg=--features=admin,tls --cargo-arg=--lib --cargo-arg=--test="$tests" \
        --cap-lints=true || status=$?
    set +f
done
exit "$status"
