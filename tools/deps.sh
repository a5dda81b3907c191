#!/bin/sh
# tools/deps.sh build|run|test|fuzz|ci: installs the Debian packages that Holm needs and are missing.
#
# Quick when nothing is: one dpkg-query. Uses root or sudo; with neither it says what to install.
set -eu
export LC_ALL=C

build="gcc libc6-dev binutils cmake ninja-build pkg-config python3-minimal libpython3-stdlib
	liburing-dev libseccomp-dev libyaml-dev libjansson-dev libcmocka-dev libzydis-dev"
run="$build apt cpio kmod xz-utils util-linux"
test="$run git mmdebstrap uidmap e2fsprogs qemu-system-x86 qemu-utils acpica-tools clang-format"
fuzz="$build clang libclang-rt-dev llvm"
ci="$test clang"

case ${1:-build} in
build) want=$build ;;
run) want=$run ;;
test) want=$test ;;
fuzz) want=$fuzz ;;
ci) want=$ci ;;
*) echo "usage: tools/deps.sh build|run|test|fuzz|ci" >&2; exit 2 ;;
esac

missing() {
	# shellcheck disable=SC2086
	have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $want 2>/dev/null |
		sed -n 's/^installed //p') || :
	for p in $want; do
		echo "$have" | grep -qxF "$p" || printf '%s ' "$p"
	done
}

if ! command -v dpkg-query >/dev/null; then
	echo "deps: not a Debian system: install the counterparts of: $(echo $want)" >&2
	exit 0
fi
need=$(missing)
[ -n "$need" ] || exit 0
if [ "$(id -u)" = 0 ]; then
	sudo=
elif command -v sudo >/dev/null; then
	sudo="sudo -E"
else
	echo "deps: missing: $need" >&2
	echo "deps: neither root nor sudo; as root: apt-get install --no-install-recommends $need" >&2
	exit 1
fi
echo "deps: installing $need" >&2
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get -qq update >&2
# shellcheck disable=SC2086
$sudo apt-get -qq -o Dpkg::Use-Pty=0 install --no-install-recommends -y $need >&2
need=$(missing)
[ -z "$need" ] || { echo "deps: could not install: $need" >&2; exit 1; }
