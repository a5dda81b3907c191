#!/bin/sh
# guests/memtest.sh: Memtest86+ 6, 64-bit and 32-bit: programs by the Linux boot protocol.
#
# Prints a folder with memtest86+x64.bin and memtest86+ia32.bin. Its console: console=ttyS0,115200
. "$(dirname "$0")/lib.sh"

version=$(pkg_version memtest86+)
guest_begin memtest "$version $(files_hash "$GUESTS_SRC/memtest.sh")"
pkg_unpack memtest86+ "$OUT/x"
mv "$OUT"/x/boot/memtest86+*.bin "$OUT"
rm -rf "$OUT/x"
guest_done
