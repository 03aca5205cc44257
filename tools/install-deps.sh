#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Installs what is missing of the Debian packages that the groups named on the command line need: build, test, bench, peers.
set -eu

build="gcc libc6-dev meson ninja-build pkgconf libuv1-dev node-llhttp libsqlite3-dev libyajl-dev libc-ares-dev
	libssl-dev tzdata ca-certificates curl python3"
test="clang libclang-rt-14-dev libcmocka-dev python3-pytest python3-pytest-xdist prometheus sqlite3 openssl procps git patch"
bench="wrk nginx-light libcurl4-openssl-dev openssl python3 python3-matplotlib git"
peers="postgresql redis-server python3-celery python3-django-celery-beat python3-djangorestframework python3-requests
	python3-redis python3-psycopg2 gunicorn nodejs npm"

wanted=""
for group in "$@"; do
	case $group in
	build) wanted="$wanted $build" ;;
	test) wanted="$wanted $test" ;;
	bench) wanted="$wanted $bench" ;;
	peers) wanted="$wanted $peers" ;;
	*) echo "install-deps.sh: unknown group '$group'; use: build, test, bench, peers" >&2; exit 2 ;;
	esac
done

# npm may have come with Node.js from elsewhere, which Debian's package would conflict with.
command -v npm >/dev/null && wanted=$(echo "$wanted" | sed 's/ nodejs npm$//')

missing=""
for package in $wanted; do
	dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "install-deps.sh: missing packages:$missing; install them as root" >&2; exit 1; }
	as_root="sudo"
fi
echo "Installing:$missing"
# In runlevel 1 no package starts its service: what is measured starts its own.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
if ! { $as_root apt-get update && $as_root apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "install-deps.sh: apt-get failed; the lines above say why" >&2
	exit 1
fi
