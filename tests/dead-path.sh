#!/usr/bin/env bash
# A path that dies: server and clients find out within 40 s, and the clients resume when it is back. And one that reads
# nothing is told 108 rather than reset by the system, which counts a shut window as a dead path too.
#
#     tests/dead-path.sh FOLDER_OF_THE_PROGRAMS
#
# It takes some 50 s, most of them waiting. The path is a pair of interfaces between two network namespaces, whose
# packets are sent to a hardware address that nobody has: no reset tells of it, as with a laptop that went to sleep. That
# needs root and Linux; elsewhere it says what it leaves out.
set -euo pipefail

programs=$(cd "$1" && pwd)
tag=porter$$
near=$tag-a far=$tag-b
work=$(mktemp -d)
pids=()

finish() {
    local code=$?
    kill -KILL "${pids[@]}" 2>/dev/null || true
    ip netns del "$near" 2>/dev/null || true
    ip netns del "$far" 2>/dev/null || true
    [ "$code" = 0 ] || tail -n 20 "$work"/*.log "$work"/*.err >&2 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

fail() {
    echo "dead-path.sh: $*" >&2
    exit 1
}

# until_true WHAT SECONDS COMMAND...: tries the command until it succeeds.
until_true() {
    local what=$1 until=$((SECONDS + $2))
    shift 2
    while ! "$@"; do
        [ $SECONDS -lt "$until" ] || fail "waited in vain: $what"
        sleep 0.2
    done
}

logged() {
    [ "$(grep -c -- "$1" "$work/near.log" || true)" -ge "$2" ]
}

# server LOG FLAGS...: starts one; $address is where it listens.
server() {
    local log=$1 line
    shift
    mkfifo "$work/$log.out"
    "$@" --port 0 --plaintext --hash-rounds 1000 --data "$work/$log.data" --log-file "$work/$log.log" \
        </dev/null >"$work/$log.out" 2>"$work/$log.err" &
    pids+=($!)
    disown
    exec {out}<"$work/$log.out"
    read -r -t 30 line <&"$out" || fail "the server does not start"
    address=${line#listening on }
}

# slow_consumer ADDRESS LOG: reads nothing until the server has had enough, and then all: the last word is Error 108.
slow_consumer() {
    python3 - "$1" "$2" <<'PYTHON'
import socket, struct, sys, time
host, port = sys.argv[1].rsplit(":", 1)
line = socket.socket()
line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
line.connect((host, int(port)))
line.settimeout(30)
def frame(kind, payload): return struct.pack(">IB", len(payload) + 1, kind) + payload
def read(count):
    data = b""
    while len(data) < count:
        more = line.recv(count - len(data))
        if not more: return None
        data += more
    return data
def receive():
    header = read(4)
    return header and read(struct.unpack(">I", header)[0])
receive()
for request in (frame(1, b"slow"), frame(2, b"open sesame"), frame(3, b"open sesame")):
    line.sendall(request)
    body = receive()
message = frame(5, body[1:17] + b"x" * 30000)
line.settimeout(2)
try:
    while True: line.sendall(message)
except TimeoutError:
    pass
until = time.monotonic() + 90
while "disconnected" not in (log := open(sys.argv[2]).read()) and "SlowConsumer" not in log:
    assert time.monotonic() < until, "the server waits for ever"
    time.sleep(0.1)
line.settimeout(30)
last = None
while (body := receive()) is not None: last = body
assert last and last[:3] == b"\x8f\x00\x6c", f"the last word is {last and last[:60]}, not Error 108"
PYTHON
}

server slow "$programs/porter-server" --host 127.0.0.1
slow_consumer "$address" "$work/slow.log" 2>"$work/slow_consumer.err" &
slow=$!
pids+=("$slow")

namespaces() {
    ip netns add "$near" && ip netns add "$far" &&
        ip link add "$tag"0 netns "$near" type veth peer name "$tag"1 netns "$far" &&
        ip -n "$near" addr add 192.0.2.1/30 dev "$tag"0 && ip -n "$far" addr add 192.0.2.2/30 dev "$tag"1 &&
        ip -n "$near" link set "$tag"0 up && ip -n "$far" link set "$tag"1 up && ip -n "$near" link set lo up
}

# cut: what either side sends is received by nobody from now on; mend: it is again.
cut() {
    ip -n "$near" neigh replace 192.0.2.2 lladdr 02:00:00:00:00:99 nud permanent dev "$tag"0
    ip -n "$far" neigh replace 192.0.2.1 lladdr 02:00:00:00:00:99 nud permanent dev "$tag"1
}
mend() {
    ip -n "$near" neigh del 192.0.2.2 dev "$tag"0
    ip -n "$far" neigh del 192.0.2.1 dev "$tag"1
}

# client NAME: one whose input stays open; $input is where to write to.
client() {
    mkfifo "$work/$1.in"
    PORTER_PASSWORD="open sesame" ip netns exec "$far" "$programs/porter-client" --host 192.0.2.1 --port "${address##*:}" \
        --plaintext --name "$1" <"$work/$1.in" >"$work/$1.replies" 2>"$work/$1.err" &
    pids+=($!)
    disown
    exec {input}>"$work/$1.in"
    echo one >&"$input"
    until_true "the first echo of $1" 30 grep -q one "$work/$1.replies"
}

if ! namespaces 2>"$work/namespaces.err"; then
    echo "dead-path.sh: LEFT OUT: no network namespaces here ($(head -n 1 "$work/namespaces.err")), so that no path was cut" >&2
else
    server near ip netns exec "$near" "$programs/porter-server" --host 192.0.2.1
    client silent
    silent=$input
    client talking
    talking=$input
    cut
    began=$SECONDS
    # What is sent into the dead path is noticed by its lack of an answer; who is silent, by the probes'.
    echo two >&"$talking"
    until_true "the server finds out" 60 logged "disconnected" 2
    server_took=$((SECONDS - began))
    until_true "the silent client finds out" 60 grep -qi "lost\|again" "$work/silent.err"
    until_true "the talking client finds out" 60 grep -qi "lost\|again" "$work/talking.err"
    took=$((SECONDS - began))
    # Some to spare for a busy machine.
    [ "$took" -le 60 ] || fail "it took $took s to find out"
    mend
    until_true "both are back" 60 logged "resumed" 2
    echo three >&"$silent"
    echo three >&"$talking"
    until_true "the silent client goes on" 30 grep -q three "$work/silent.replies"
    until_true "the talking client goes on" 30 grep -q three "$work/talking.replies"
    echo "the server found out after $server_took s, all after $took s, and all are back $((SECONDS - began)) s after the cut"
fi
wait "$slow" || fail "the slow consumer: $(cat "$work/slow_consumer.err")"
echo "a slow consumer was told 108"
