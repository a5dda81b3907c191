#!/bin/sh
# guests/kernel.sh PACKAGE[:ARCH]: a Debian kernel, unpacked and never installed.
#
# Prints a folder with vmlinuz, config, release and lib/modules/RELEASE (depmod done). Takes meta
# packages and concrete ones: linux-image-cloud-amd64, linux-image-rt-amd64, linux-image-686-pae:i386.
. "$(dirname "$0")/lib.sh"

[ $# -eq 1 ] || die "usage: guests/kernel.sh PACKAGE[:ARCH]"
real=$(kernel_package "$1")
version=$(pkg_version "$real")
guest_begin "kernel-${1%:*}-$(with_arch "$1" | sed 's/.*://')" \
	"$real $version $(files_hash "$GUESTS_SRC/kernel.sh")"

pkg_unpack "$real" "$OUT/x"
release=$(basename "$OUT"/x/boot/vmlinuz-*)
release=${release#vmlinuz-}
mv "$OUT/x/boot/vmlinuz-$release" "$OUT/vmlinuz"
mv "$OUT/x/boot/config-$release" "$OUT/config"
mkdir -p "$OUT/lib"
if [ -d "$OUT/x/usr/lib/modules" ]; then
	mv "$OUT/x/usr/lib/modules" "$OUT/lib/modules"
else
	mv "$OUT/x/lib/modules" "$OUT/lib/modules"
fi
rm -rf "$OUT/x"
echo "$release" >"$OUT/release"
depmod -b "$OUT" "$release"
guest_done
