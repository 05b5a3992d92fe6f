#!/bin/sh
# Set-up for the Makefile. Arguments, each done in turn and only when needed:
#   packages  Debian packages for the tests (real Dovecot, Postfix, PostgreSQL…), through apt, with sudo when not root
#   measures  Debian packages for the bench alone
#   run       .venv with what the hub needs to run, every version and hash locked (requirements/run.txt)
#   dev       the same with what the tests need (requirements/dev.txt)
set -eu
cd "$(dirname "$0")/.."
# The distribution's own Python first: it is what a site runs and apt keeps, and it is built with more optimisation than
# one made by hand usually is (docs/performance.md).
PYTHONS="${PYTHON:-/usr/bin/python3 python3}"

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else echo "setup: this needs root: $*" >&2; exit 1
    fi
}

install_debian() {
    missing=""
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "install ok installed" || missing="$missing $package"
    done
    [ -z "$missing" ] && return 0
    echo "setup: installing Debian packages:$missing"
    # Services of these packages must not start by themselves: the tests run private ones on loopback.
    policy=/usr/sbin/policy-rc.d
    kept=""
    if [ -e "$policy" ]; then kept=yes; else
        printf '#!/bin/sh\nexit 101\n' > .policy-rc.d
        as_root install -m 755 .policy-rc.d "$policy"
        rm -f .policy-rc.d
    fi
    status=0
    as_root apt-get update -qq || status=$?
    # shellcheck disable=SC2086
    [ $status = 0 ] && { as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null || status=$?; }
    [ -n "$kept" ] || as_root rm -f "$policy"
    return $status
}

# A Debian in a folder may know no `localhost`, by which the embedded operator is named.
named_localhost() {
    command -v getent >/dev/null || return 0  # no Debian
    getent hosts localhost >/dev/null || install_debian netbase
}

first_ready_python() {
    for one in $PYTHONS; do
        if "$one" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$one"
            return 0
        fi
    done
    return 1
}

environment() {
    lock="requirements/$1.txt"
    stamp=".venv/.$1"
    sum="$(cat "$lock" pyproject.toml | sha256sum)"
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$sum" ] && return 0
    if [ ! -x .venv/bin/python ]; then
        first_ready_python >/dev/null || install_debian python3 python3-venv
        python="$(first_ready_python)" || { echo "setup: Python 3.11 or later with venv is needed (PYTHON=…)" >&2; exit 1; }
        "$python" -m venv .venv
    fi
    echo "setup: installing the locked packages of $lock"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
    rm -f .venv/.run .venv/.dev
    echo "$sum" > "$stamp"
    # What runs the tests also runs the hub.
    if [ "$1" = dev ]; then cat requirements/run.txt pyproject.toml | sha256sum > .venv/.run; fi
}

# swaks speaks TLS with libnet-ssleay-perl, which it merely recommends.
for part in "$@"; do
    case "$part" in
        packages) install_debian python3 python3-venv dovecot-imapd dovecot-lmtpd postfix postgresql redis-server rabbitmq-server \
            strace faketime fiu-utils isync openssl procps unzip \
            curl mutt s-nail swaks libnet-ssleay-perl fonts-dejavu-core ;;
        measures) install_debian valgrind ;;
        run|dev) named_localhost; environment "$part" ;;
        *) echo "setup: unknown part: $part" >&2; exit 2 ;;
    esac
done
