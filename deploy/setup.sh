#!/usr/bin/env bash
# Sets up what is missing to run and test bbaj on Debian 12: system packages, then a virtual
# environment of the project's own. Says first what it installs; does nothing where nothing is
# missing. Run it by `make setup`, as root or as a user with sudo. With the word `acceptance` it adds
# what only `make acceptance` needs: Go, with which others' code judges the journal (80 MB).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$here/.venv
stamp=$venv/.bbaj-setup

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "setup: $*"
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "needs root for: $* (become root, or install sudo)"
    fi
}

# --- system packages --------------------------------------------------------------------------

missing_packages() {
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || echo rabbitmq-server
    ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || echo postgresql
    command -v openssl >/dev/null || echo openssl
    command -v amqp-publish >/dev/null || echo amqp-tools
    command -v faketime >/dev/null || echo faketime
    command -v softhsm2-util >/dev/null || echo softhsm2
    missing_for_printing
    [ "${1-}" != acceptance ] || missing_for_acceptance
}

# The typesetter's libraries, and fonts with every letter of the three languages; poppler reads in
# the tests what was printed.
missing_for_printing() {
    [ -e "/usr/lib/$(uname -m)-linux-gnu/libpangoft2-1.0.so.0" ] || echo libpangoft2-1.0-0
    [ -e "/usr/lib/$(uname -m)-linux-gnu/libharfbuzz-subset.so.0" ] || echo libharfbuzz-subset0
    [ -d /usr/share/fonts/truetype/paratype ] || echo fonts-paratype
    [ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || echo fonts-dejavu-core
    command -v pdftotext >/dev/null || echo poppler-utils
}

missing_for_acceptance() {
    command -v go >/dev/null || echo golang-go
    [ -d /usr/share/gocode/src/golang.org/x/mod/sumdb ] || echo golang-golang-x-mod-dev
}

policy=/usr/sbin/policy-rc.d
cluster_conf=/etc/postgresql-common/createcluster.conf
made_policy=
kept_conf=

restore() {
    [ -z "$made_policy" ] || as_root rm -f "$policy"
    [ -z "$kept_conf" ] || as_root mv -f "$kept_conf" "$cluster_conf"
    made_policy= kept_conf=
}
trap restore EXIT

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o=Dpkg::Use-Pty=0 "$@"; }

install_packages() {
    say "setup: installs from Debian: $* (no service is started, no database cluster created)"
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        made_policy=yes
    fi
    apt update || fail "apt-get update failed: look at the network and /etc/apt/sources.list"
    case " $* " in *" postgresql "*)
        apt install -y --no-install-recommends postgresql-common >&2 ||
            fail "could not install postgresql-common: see the lines above"
        as_root cp -p "$cluster_conf" "$cluster_conf.bbaj"
        kept_conf=$cluster_conf.bbaj
        printf 'create_main_cluster = false\n' | as_root tee "$cluster_conf" >/dev/null
        ;;
    esac
    apt install -y --no-install-recommends "$@" >&2 ||
        fail "could not install $*: see the lines above"
    restore
}

# One at a time: others wait here, and then find nothing to do.
exec 9<"$here"
flock 9

command -v python3 >/dev/null || fail "python3 is missing: apt-get install python3"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "python3 is $(python3 -V 2>&1), 3.11 or newer is needed"

packages=$(missing_packages "$@")
if [ -n "$packages" ]; then
    # shellcheck disable=SC2086 # one word a package
    install_packages $packages
fi

# --- virtual environment ----------------------------------------------------------------------

wanted=$(cat "$here/requirements.lock" "$here/pyproject.toml" "${BASH_SOURCE[0]}" | sha256sum)
if [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$wanted $here" ]; then
    exit 0
fi
say "setup: makes $venv from requirements.lock (about a minute)"
# A folder that was copied or moved has programs that name their old place.
if ! head -n 1 "$venv/bin/pip" 2>/dev/null | grep -qF "#!$venv/bin/python"; then
    rm -rf "$venv"
    python3 -m venv "$venv" || fail "could not make $venv: does python3 -m venv work?"
fi
# The build backend is a program in the environment, found by PATH.
pip() {
    PATH=$venv/bin:$PATH "$venv/bin/python" -m pip --disable-pip-version-check --quiet install "$@"
}
pip --require-hashes --requirement "$here/requirements.lock" ||
    fail "could not install requirements.lock: look at the network, then run it again"
pip --no-deps --no-build-isolation --editable "$here" ||
    fail "could not install the project itself: see the lines above"
printf '%s' "$wanted $here" >"$stamp"
