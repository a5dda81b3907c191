#!/bin/sh
# guests/debian-cloud.sh: the root of `debian` with the cloud kernel.
. "$(dirname "$0")/lib.sh"

debian=$("$GUESTS_SRC/debian.sh")
guest_begin debian-cloud "$(basename "$debian") $(files_hash "$GUESTS_SRC/debian-cloud.sh")"
for f in vmlinuz initrd; do
	ln -s "../$(basename "$debian")/$f-cloud" "$OUT/$f"
done
for f in root.img cmdline; do
	ln -s "../$(basename "$debian")/$f" "$OUT/$f"
done
guest_done
