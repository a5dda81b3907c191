#!/bin/sh
# guests/debian.sh: Debian 12 on an ext4 root, with the generic and the cloud kernel.
#
# Prints a folder with vmlinuz, initrd (generic kernel), vmlinuz-cloud, initrd-cloud, root.img
# (sparse; never written to: every run takes a copy) and cmdline. Works as root and without (user
# namespaces). The initramfs is Debian's own, with a list of modules instead of "most".
. "$(dirname "$0")/lib.sh"

# HOLM_DEBIAN_NAME and HOLM_DEBIAN_EXTRA: another image with more packages, see debian-jit.sh.
NAME=${HOLM_DEBIAN_NAME:-debian}
SIZE=${HOLM_DEBIAN_SIZE:-3G}
PACKAGES="linux-image-amd64 linux-image-cloud-amd64 initramfs-tools lz4 systemd-sysv udev dbus login
	passwd procps kmod iproute2 iputils-ping ca-certificates python3 gcc libc6-dev make openssl
	stress-ng acpica-tools util-linux e2fsprogs pciutils"
PACKAGES="$PACKAGES${HOLM_DEBIAN_EXTRA:+ $HOLM_DEBIAN_EXTRA}"

sources() {
	apt-get indextargets --format 'deb $(SITE) $(RELEASE) main|$(ORIGIN)|$(CODENAME)|$(COMPONENT)' \
		'Created-By: Packages' | sed -n 's/|Debian|bookworm[^|]*|main$//p' | sort -u
}

versions=$(apt-cache policy linux-image-amd64 linux-image-cloud-amd64 systemd gcc-12 2>/dev/null |
	sed -n 's/^  Candidate: //p' | tr '\n' ' ')
guest_begin "$NAME" "$PACKAGES $SIZE $versions $(files_hash "$GUESTS_SRC/debian.sh" \
	"$GUESTS_SRC/debian")"
list=$(sources)
[ -n "$list" ] || die "no Debian 12 sources configured (apt-get update first)"

set -- --variant=minbase --include="$(echo $PACKAGES | tr ' ' ',')" --quiet \
	--aptopt='APT::Install-Recommends "false"' --aptopt='Apt::Sandbox::User "root"' \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' \
	--essential-hook="copy-in $GUESTS_SRC/debian/files/etc/initramfs-tools /etc" \
	--customize-hook="copy-in $GUESTS_SRC/debian/files/etc $GUESTS_SRC/debian/files/usr /" \
	--customize-hook='chroot "$1" sh /usr/local/sbin/holm-setup'
mode=$([ "$(id -u)" = 0 ] && echo root || echo unshare)
helper=$([ "$mode" = root ] || echo "mmdebstrap --unshare-helper")
root=$OUT/root
[ "$mode" = root ] || chmod 777 "$OUT" # the namespace's root is another user
trap '$helper rm -rf "$root"; rm -rf "$OUT"' EXIT
echo "$list" | mmdebstrap --mode="$mode" --format=directory "$@" bookworm "$root" - >&2 ||
	die "mmdebstrap failed (mode $mode)"

for flavour in amd64 cloud-amd64; do
	kernel=$(ls "$root"/boot/vmlinuz-* | grep -E "[0-9]-$flavour\$" | tail -n 1)
	suffix=$([ $flavour = amd64 ] || echo -cloud)
	cp "$kernel" "$OUT/vmlinuz$suffix"
	$helper cat "$root/boot/initrd.img-${kernel##*/vmlinuz-}" >"$OUT/initrd$suffix"
done
truncate -s "$SIZE" "$OUT/root.img"
[ "$mode" = root ] || chmod 666 "$OUT/root.img"
$helper mke2fs -q -t ext4 -L root -E root_owner=0:0,lazy_itable_init=1 -d "$root" "$OUT/root.img" >&2
$helper rm -rf "$root"
chmod 755 "$OUT"
chmod 644 "$OUT/root.img"
echo "root=/dev/vda rw" >"$OUT/cmdline"
guest_done
