#!/bin/sh
# porter beside its peers, in one run: prints Markdown tables.
#
#     tests/peers/run.sh [ROW...] [--rounds N] [--peers NAME,...] [--json FILE] [--picture FILE.svg]
#
# Each figure is the median of the rounds with the least and the most of them; date, machine and versions are printed and
# kept in --json.
#
# ROW is steady, syscalls, sequential, idle, chat, tls, storm, start or many; all unless some are named, which takes some
# 25 minutes.
# Builds porter and the comparison in release. Of Debian's packages it uses redis-server, mosquitto, python3, and
# linux-perf or strace; what is missing is named and left out. Needs Linux and two processors; figures are worth most
# when nothing else runs.
set -eu

cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
cargo build --release --quiet --bin porter-server --bin porter-admin
cargo build --release --quiet --locked --manifest-path tests/peers/Cargo.toml --target-dir "$target/peers"
exec "$target/peers/release/compare" --porter "$target/release/porter-server" "$@"
