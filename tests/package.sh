#!/usr/bin/env bash
# Builds the Debian package, installs it into a scratch root, and runs the server from there with its configuration.
#
#     tests/package.sh [PROGRAMS]
#
# PROGRAMS is where release programs are; without it they are built. cargo-deb is installed into target/tools, if it is not
# there. The package is left in target/package.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-target}
programs=${1:-}
made=target/package
root=$(mktemp -d)
server=

finish() {
    local code=$?
    if [ -n "$server" ]; then
        kill -KILL "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    if [ "$code" != 0 ] && [ -s "$root/said" ]; then
        tail -n 20 "$root/said" >&2
    fi
    rm -rf "$root"
}
trap finish EXIT

if [ -z "$programs" ]; then
    cargo build --release
    programs=$target/release
fi
# It runs once and briefly: without optimisation it is built in a third of the time.
tools=$target/tools
if [ ! -x "$tools/bin/cargo-deb" ]; then
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install --quiet --locked --no-default-features --version 3.8.0 --target-dir "$tools/build" --root "$tools" \
        cargo-deb
fi

rm -rf "$made"
for kind in man completions systemd fail2ban; do
    "$programs/porter-admin" generate "$kind" "$made/$kind"
done
# bash looks for the name of the program alone.
mkdir "$made/bash"
for script in "$made"/completions/*.bash; do
    cp "$script" "$made/bash/$(basename "$script" .bash)"
done
mkdir "$made/bin"
for program in server client load admin; do
    cp "$programs/porter-$program" "$made/bin/"
done
"$tools/bin/cargo-deb" --no-build --fast --compress-system --output "$made/porter.deb"

# As root as people do, and otherwise unpacked; nothing of this system is touched.
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates"
    touch "$root/var/lib/dpkg/status"
    # In a root that is empty nothing is there that could be depended on.
    dpkg --root="$root" --force-depends -i "$made/porter.deb" >"$root/said" 2>&1
    dpkg-query --admindir="$root/var/lib/dpkg" --show --showformat '${Package} ${Version} ${Status}\n${Conffiles}\n' porter
    dpkg-query --admindir="$root/var/lib/dpkg" --show --showformat '${Conffiles}' porter | grep -q /etc/porter/porter.toml
else
    dpkg-deb -x "$made/porter.deb" "$root"
fi
if [ -n "$(find "$root/etc/systemd" -name 'porter*' 2>/dev/null)" ]; then
    echo "the unit is enabled, and nobody has asked for that" >&2
    exit 1
fi
"$root/usr/bin/porter-server" --config "$root/etc/porter/porter.toml" --check-config >"$root/said"

# What the unit starts, in this root.
unit=$root/usr/lib/systemd/system/porter.service
read -r -a command < <(sed -n "s#^ExecStart=/usr#$root/usr#; s# /etc# $root/etc#; s#%S#$root/var/lib#; s#^$root#&#p" "$unit")
mkdir -p "$root/var/lib"
mkfifo "$root/stdout"
(cd "$root" && exec "${command[@]}" --port 0 </dev/null >stdout 2>said) &
server=$!
exec 3<"$root/stdout"
read -r -t 60 line <&3
echo "$line"

printf 'open sesame\n' >"$root/password"
admin=("$root/usr/bin/porter-admin" --data "$root/var/lib/porter")
"${admin[@]}" users add ann --password-file "$root/password"
answer=$(timeout 60 "$root/usr/bin/porter-client" --port "${line##*:}" --name ann --password-file "$root/password" --message hello)
echo "$answer"
[ "$answer" = "server: hello" ]
"${admin[@]}" stop
wait "$server"
server=
dpkg-deb --info "$made/porter.deb" | grep -E '^ (Version|Architecture|Depends|Installed-Size):'
echo "$made/porter.deb"
