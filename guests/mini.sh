#!/bin/sh
# guests/mini.sh: Debian's cloud kernel and a busybox initramfs with a shell on ttyS0.
#
# Prints a folder with vmlinuz and initrd. HOLM_MINI_KERNEL names another kernel package, also one of
# another architecture (linux-image-686-pae:i386), whose busybox then comes along.
. "$(dirname "$0")/lib.sh"

KERNEL=${HOLM_MINI_KERNEL:-linux-image-cloud-amd64}
# Loaded at boot, in this order (what is built in is passed over) ...
BOOT_MODULES="virtio_pci virtio_blk virtio_console virtio_rng button evdev pvpanic-mmio"
# ... and there for modprobe.
MORE_MODULES="ext4 virtio_net virtio_balloon virtio_scsi vmw_vsock_virtio_transport 9pnet_virtio 9p
	pvpanic-pci msr cpuid loop isofs vfat nls_ascii nls_cp437 i6300esb i2c-i801"

arch=$(with_arch "$KERNEL")
arch=${arch##*:}
kernel=$("$GUESTS_SRC/kernel.sh" "$KERNEL")
busybox=$(pkg_version "busybox-static:$arch")
name=mini
[ "$KERNEL" = linux-image-cloud-amd64 ] || name=mini-$(echo "$KERNEL" | tr : -)
guest_begin "$name" "$(basename "$kernel") $busybox $(files_hash "$GUESTS_SRC/mini.sh" \
	"$GUESTS_SRC/mini") $(gcc -dumpfullversion)"

release=$(cat "$kernel/release")
root=$OUT/root
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/run" "$root/tmp" "$root/root" \
	"$root/mnt" "$root/lib/modules/$release" "$root/etc"
pkg_unpack "busybox-static:$arch" "$OUT/busybox"
cp "$OUT/busybox/bin/busybox" "$root/bin/busybox"
# The list comes from a program that the host can run.
[ "$arch" = amd64 ] || pkg_unpack busybox-static "$OUT/busybox-host"
lister=$OUT/busybox-host/bin/busybox
[ "$arch" != amd64 ] || lister=$root/bin/busybox
for applet in $("$lister" --list); do
	[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
ln -s bin "$root/sbin"
cp -R "$GUESTS_SRC/mini/root/." "$root/"
chmod 755 "$root/init" "$root"/etc/rc "$root"/etc/shell "$root"/etc/acpi/PWRF/*

# Modules with what they need, decompressed, in the order insmod wants them.
module_path() {
	modprobe -d "$kernel" -S "$release" --show-depends "$1" 2>/dev/null |
		sed -n 's/^insmod \([^ ]*\).*/\1/p'
}
add_module() {
	for path in $(module_path "$1"); do
		rel=${path#*"/modules/$release/"}
		to=$root/lib/modules/$release/$rel
		mkdir -p "$(dirname "$to")"
		case $rel in
		*.xz) to=${to%.xz}; [ -e "$to" ] || xz -dc "$path" >"$to" ;;
		*.zst) to=${to%.zst}; [ -e "$to" ] || zstd -qdc "$path" >"$to" ;;
		*) [ -e "$to" ] || cp "$path" "$to" ;;
		esac
		echo "${to#"$root"}"
	done
}
for m in $BOOT_MODULES; do
	add_module "$m"
done | awk '!seen[$0]++' >"$root/etc/modules"
for m in $MORE_MODULES; do
	add_module "$m" >/dev/null
done
cp "$kernel/lib/modules/$release/modules.builtin" "$kernel/lib/modules/$release/modules.order" \
	"$root/lib/modules/$release/"
cp "$kernel/lib/modules/$release/modules.builtin.modinfo" "$root/lib/modules/$release/"
depmod -b "$root" "$release"
rm -f "$root/lib/modules/$release"/modules.*.bin

# Our own small programs, static: one for each file, and one for each folder. The host's compiler
# makes them for its own architecture only.
mkdir -p "$OUT/native"
for c in "$GUESTS_SRC"/mini/tools/*.c "$GUESTS_SRC"/mini/tools/*/; do
	[ "$arch" = amd64 ] || continue
	tool=$(basename "$c" .c)
	set -- "$c"
	[ ! -d "$c" ] || set -- "$c"*.c
	gcc -O2 -fno-tree-vectorize -static -pthread -Wall -o "$root/bin/$tool" "$@" -lm
	strip "$root/bin/$tool"
	cp "$root/bin/$tool" "$OUT/native/$tool" # the same program on the host, for comparison
done

# Not compressed: unpacking costs an interpreted guest more than reading.
find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . | sort | cpio --quiet -o -H newc -R 0:0 --reproducible) >"$OUT/initrd"
cp "$kernel/vmlinuz" "$OUT/vmlinuz"
echo "$release" >"$OUT/release"
rm -rf "$root" "$OUT/busybox" "$OUT/busybox-host"
guest_done
