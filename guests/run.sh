#!/bin/sh
# guests/run.sh HOLM GUEST [FLAG]...: boots mini, debian or debian-cloud on this terminal.
#
# The Debian guests get a disk that keeps what they write: $HOLM_GUESTS/GUEST.disk.img, a sparse
# copy of the image's root, made when it is missing; delete it to start afresh. What `make run` does.
set -eu
cd "$(dirname "$0")/.."
holm=$1 guest=$2
shift 2

case $guest in
mini | debian | debian-cloud) ;;
*) echo "guests: no guest '$guest': mini, debian or debian-cloud" >&2; exit 2 ;;
esac
dir=$("guests/$guest.sh")
set -- --kernel "$dir/vmlinuz" --initrd "$dir/initrd" "$@"
if [ "$guest" != mini ]; then
	disk=$(dirname "$dir")/$guest.disk.img
	if [ ! -e "$disk" ]; then
		cp --sparse=always "$(readlink -f "$dir/root.img")" "$disk.$$"
		mv "$disk.$$" "$disk"
	fi
	set -- --disk "$disk" -m 1G --append "$(cat "$dir/cmdline") holm.autologin" "$@"
fi
exec "$holm" run "$@"
