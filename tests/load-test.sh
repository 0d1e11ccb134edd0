#!/bin/sh
# Sends many clients, one after another, to a porter-server of its own, and prints what they saw.
#
#     tests/load-test.sh [CLIENTS]        10000 unless given
#
# Builds both programs in release, starts the server on a free port with temporary data and log, and stops it at the
# end. The exit code is the load tester's: 0 if no client failed and the run was not cut short.
set -eu

clients=${1:-10000}
case $clients in
'' | *[!0-9]*)
    echo "load-test.sh: CLIENTS is a number, not '$clients'" >&2
    exit 2
    ;;
esac

cd "$(dirname "$0")/.."
cargo build --release --quiet --bin porter-server --bin porter-load
programs=${CARGO_TARGET_DIR:-target}/release

work=$(mktemp -d)
server=
finish() {
    if [ -n "$server" ]; then
        kill -TERM "$server" 2>/dev/null || true
        wait "$server" || true
    fi
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The server's first line comes through a named pipe: reading it waits for it, and sees the end if there is none.
# The pipe stays open, so that the server never writes to nobody.
mkfifo "$work/stdout"
"$programs/porter-server" --host 127.0.0.1 --port 0 --data "$work/data" --log-file "$work/server.log" \
    </dev/null >"$work/stdout" &
server=$!
exec 3<"$work/stdout"
if ! read -r line <&3; then
    echo "load-test.sh: the server did not start" >&2
    exit 1
fi
address=${line#listening on }
port=${address##*:}
case $line in
"listening on "*:*[0-9]) ;;
*)
    echo "load-test.sh: the server said '$line' where its address was due" >&2
    exit 1
    ;;
esac

echo "porter-server on $address, $clients clients one after another"
# Not the last command of the trap's shell: its exit code must outlive the clean-up.
status=0
# Where the system tells what a process uses, the figures say what each client cost the server.
if [ -r "/proc/$server/stat" ]; then
    set -- --pid "$server"
else
    set --
fi
"$programs/porter-load" --host 127.0.0.1 --port "$port" --clients "$clients" "$@" || status=$?
exit "$status"
