# Shared by the guest recipes: the cache, its keys, and Debian packages without root.
#
# A recipe calls guest_begin NAME KEYFILE..., builds into $OUT and calls guest_done, which renames
# the finished folder into place. Two builds at the same time take turns on a lock. Sourced, not
# run. Needs: apt-get, dpkg-deb, flock, sha256sum.

set -eu
umask 022
export LC_ALL=C
GUESTS_SRC=$(cd "$(dirname "$0")" && pwd)
GUESTS=${HOLM_GUESTS:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/holm/guests}
mkdir -p "$GUESTS"
GUESTS=$(cd "$GUESTS" && pwd)
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'guests: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# --- Debian packages --------------------------------------------------------------------------
# The machine's own package lists are used where they know the package; otherwise (fresh system,
# other architecture) a private set under the cache, refreshed when it is older than a week.

apt_private_opts() {
	printf '%s\n' "-oDir::State=$GUESTS/.apt/$1/state" "-oDir::Cache=$GUESTS/.apt/$1/cache" \
		"-oDir::State::status=$GUESTS/.apt/$1/status" "-oAPT::Architecture=amd64" \
		"-oAPT::Architectures::=amd64" "-oAPT::Architectures::=$1" "-oAPT::Sandbox::User=root"
}

apt_private_refresh() {
	dir=$GUESTS/.apt/$1
	mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial"
	: >>"$dir/status"
	[ -z "$(find "$dir/fresh" -mtime -7 2>/dev/null)" ] || return 0
	say "fetching the package lists ($1)"
	# shellcheck disable=SC2046
	apt-get -qq $(apt_private_opts "$1") update >&2 && touch "$dir/fresh"
}

# apt_for PACKAGE:ARCH sets APT_OPTS
apt_for() {
	arch=${1##*:}
	APT_OPTS=
	if [ "$arch" = amd64 ] && apt-cache show "${1%:*}" >/dev/null 2>&1; then
		return 0
	fi
	exec 8>"$GUESTS/.apt.lock"
	flock 8
	apt_private_refresh "$arch" || say "package lists could not be refreshed"
	exec 8>&-
	APT_OPTS=$(apt_private_opts "$arch")
}

with_arch() { case $1 in *:*) echo "$1" ;; *) echo "$1:amd64" ;; esac; }

# pkg_version PACKAGE[:ARCH]
pkg_version() {
	p=$(with_arch "$1")
	apt_for "$p"
	# shellcheck disable=SC2086
	v=$(apt-cache $APT_OPTS policy "$p" | sed -n 's/^  Candidate: //p')
	[ -n "$v" ] && [ "$v" != "(none)" ] || die "no package $1 in the configured Debian sources"
	echo "$v"
}

# pkg_unpack PACKAGE[:ARCH] DIR: downloads and unpacks, no root, nothing installed
pkg_unpack() {
	p=$(with_arch "$1")
	apt_for "$p"
	tmp=$(mktemp -d "$GUESTS/.deb.XXXXXX")
	# shellcheck disable=SC2086
	if ! (cd "$tmp" && apt-get -qq $APT_OPTS -oAPT::Sandbox::User=root download "$p" >&2); then
		rm -rf "$tmp"
		die "could not download $1"
	fi
	mkdir -p "$2"
	dpkg-deb -x "$tmp"/*.deb "$2"
	rm -rf "$tmp"
}

# kernel_package META[:ARCH]: the package a linux-image-* metapackage stands for
kernel_package() {
	p=$(with_arch "$1")
	apt_for "$p"
	# shellcheck disable=SC2086
	real=$(apt-cache $APT_OPTS show "$p" | sed -n 's/^Depends: .*\(linux-image-[0-9][^ ,]*\).*/\1/p' |
		head -n 1)
	echo "${real:-${p%:*}}:${p##*:}"
}

# --- cache ------------------------------------------------------------------------------------

# files_hash FILE-OR-FOLDER...
files_hash() {
	find "$@" -type f ! -name '*.swp' ! -path '*/__pycache__/*' | sort | xargs sha256sum |
		sed "s#$GUESTS_SRC/##" | sha256sum | cut -c 1-12
}

# guest_begin NAME KEY: exits after printing the folder when it is there already; else sets $OUT
guest_begin() {
	NAME=$1
	FINAL=$GUESTS/$1-$(printf '%s' "$2" | sha256sum | cut -c 1-12)
	if [ -e "$FINAL/done" ]; then
		guest_link
		echo "$FINAL"
		exit 0
	fi
	exec 9>"$GUESTS/.$1.lock"
	flock 9
	if [ -e "$FINAL/done" ]; then
		echo "$FINAL"
		exit 0
	fi
	rm -rf "$FINAL" "$GUESTS/.build.$1".*
	OUT=$(mktemp -d "$GUESTS/.build.$1.XXXXXX")
	chmod 755 "$OUT"
	trap 'rm -rf "$OUT"' EXIT
	trap 'exit 130' INT TERM HUP
	say "building guest '$1' (once; cached in $GUESTS)"
}

guest_link() {
	[ "$(readlink "$GUESTS/$NAME" || :)" = "$(basename "$FINAL")" ] ||
		ln -sfn "$(basename "$FINAL")" "$GUESTS/$NAME"
}

guest_done() {
	touch "$OUT/done"
	mv "$OUT" "$FINAL"
	trap - EXIT
	guest_link
	echo "$FINAL"
}
