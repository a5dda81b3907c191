/* SPDX-License-Identifier: Apache-2.0 */
/*
 * payload: reads the kernel and initrd files and tells which kind of kernel it is.
 *
 * What is not a kernel we can start is named for what it is (a gzip file, an arm64 Image, a disk
 * image), because that is what the user needs to know to mend it.
 */
#include "boot/payload.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/linux.h"
#include "boot/pvh.h"
#include "host/fail.h"
#include "lib/bits.h"
#include "spec/elf.h"

/* ---- files ------------------------------------------------------------------------------- */

static int payload_fill(struct payload_file *file)
{
	u64 done = 0;

	while (done < file->size) {
		ssize_t n = pread(file->fd, file->data + done, file->size - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return FAIL(-errno, "%s: cannot read %s: %s", file->what, file->path,
				    strerror(errno));
		if (!n)
			return FAIL(-EIO, "%s: %s shrank while it was read; try again", file->what,
				    file->path);
		done += (u64)n;
	}
	return 0;
}

static int payload_size(struct payload_file *file)
{
	struct stat st;

	if (fstat(file->fd, &st) < 0)
		return FAIL(-errno, "%s: cannot look at %s: %s", file->what, file->path,
			    strerror(errno));
	if (S_ISDIR(st.st_mode))
		return FAIL(-EISDIR, "%s: %s is a directory; name the file in it", file->what,
			    file->path);
	if (!S_ISREG(st.st_mode))
		return FAIL(-EINVAL, "%s: %s is not a regular file; copy it to one first",
			    file->what, file->path);
	if (!st.st_size)
		return FAIL(-ENODATA, "%s: %s is empty; fetch or build it again", file->what,
			    file->path);
	file->size = (u64)st.st_size;
	return 0;
}

static int payload_open(struct payload_file *file)
{
	/* O_NONBLOCK: a FIFO must not hold us; it is refused below. */
	file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (file->fd < 0 && errno == ENOENT)
		return FAIL(-ENOENT, "%s: there is no file %s; check the path", file->what,
			    file->path);
	if (file->fd < 0 && errno == EACCES)
		return FAIL(-EACCES, "%s: no permission to read %s; make it readable to this user",
			    file->what, file->path);
	if (file->fd < 0)
		return FAIL(-errno, "%s: cannot open %s: %s", file->what, file->path,
			    strerror(errno));
	return 0;
}

static int payload_load(struct payload_file *file)
{
	void *map =
		mmap(NULL, file->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		return FAIL(-ENOMEM, "%s: no memory to hold %s (%llu MiB)", file->what, file->path,
			    (unsigned long long)(file->size >> 20));
	file->data = map;
	return payload_fill(file);
}

int payload_find(struct payload_file *file, const char *what, const char *path)
{
	int rc;

	*file = (struct payload_file){.path = path, .what = what};
	rc = payload_open(file);
	if (rc)
		return rc;
	rc = payload_size(file);
	if (rc) {
		file->size = 0;
		close(file->fd);
	}
	return rc;
}

int payload_read(struct payload_file *file, const char *what, const char *path)
{
	int rc = payload_find(file, what, path);

	if (rc)
		return rc;
	rc = payload_load(file);
	if (rc)
		payload_release(file);
	return rc;
}

int payload_wake(struct payload_file *file)
{
	int rc;

	if (file->data || !file->size)
		return 0;
	rc = payload_size(file);
	if (!rc)
		rc = payload_load(file);
	if (rc)
		payload_rest(file);
	return rc;
}

void payload_rest(struct payload_file *file)
{
	if (file->data)
		munmap(file->data, file->size);
	file->data = NULL;
}

void payload_release(struct payload_file *file)
{
	payload_rest(file);
	if (file->size)
		close(file->fd);
	file->size = 0;
}

/* ---- recognising ------------------------------------------------------------------------- */

/* Things people hand over as a kernel, by their first bytes. */
static const struct {
	u16 offset;
	u8 len;
	char magic[9];
	const char *sentence;
} payload_foreign[] = {
	{0x38, 4, "ARM\x64", "an arm64 kernel Image; this machine runs x86-64 kernels"},
	{0x38, 4, "RSC\x05", "a RISC-V kernel Image; this machine runs x86-64 kernels"},
	{0x24, 4, "\x18\x28\x6f\x01", "a 32-bit ARM zImage; this machine runs x86-64 kernels"},
	{0, 2, "\x1f\x8b", "gzip-compressed; unpack it with gunzip, or use the bzImage"},
	{0, 6,
	 "\xfd"
	 "7zXZ\0",
	 "xz-compressed; unpack it with unxz, or use the bzImage"},
	{0, 4, "\x28\xb5\x2f\xfd", "zstd-compressed; unpack it with unzstd, or use the bzImage"},
	{0, 3, "BZh", "bzip2-compressed; unpack it with bunzip2, or use the bzImage"},
	{0, 4, "\x02\x21\x4c\x18", "lz4-compressed; unpack it with unlz4, or use the bzImage"},
	{0, 6, "070701", "a cpio archive; give it as the initrd, not as the kernel"},
	{0, 6, "070702", "a cpio archive; give it as the initrd, not as the kernel"},
	{0, 4, "QFI\xfb", "a qcow2 disk image; give it as a disk, not as the kernel"},
	{0, 4, "KDMV", "a VMDK disk image; give it as a disk, not as the kernel"},
	{0, 8, "vhdxfile", "a VHDX disk image; give it as a disk, not as the kernel"},
	{0, 8, "!<arch>\n", "a package or archive; unpack it and use the vmlinuz inside"},
	{0, 4, "\xed\xab\xee\xdb", "an RPM package; unpack it and use the vmlinuz inside"},
	{0, 2, "#!", "a script; give the bzImage (vmlinuz) of an x86-64 kernel"},
};

static int payload_name_foreign(const struct payload_file *file)
{
	for (size_t i = 0; i < ARRAY_LEN(payload_foreign); i++) {
		u64 at = payload_foreign[i].offset, len = payload_foreign[i].len;

		if (file->size >= at + len &&
		    !memcmp(file->data + at, payload_foreign[i].magic, len))
			return FAIL(-ENOEXEC, "kernel: %s is %s", file->path,
				    payload_foreign[i].sentence);
	}
	return FAIL(
		-ENOEXEC,
		"kernel: %s is not a Linux kernel; give a bzImage (vmlinuz) or a PVH ELF vmlinux "
		"for x86-64",
		file->path);
}

int payload_check(const struct payload_file *file, struct kernel_image *out)
{
	const u8 *p = file->data;

	memset(out, 0, sizeof(*out));
	if (file->size >= 4 && ld32(p) == ELF_MAGIC)
		return pvh_check(file, out);
	if (file->size >= 0x206 && ld16(p + 0x1fe) == LINUX_BOOT_FLAG &&
	    ld32(p + 0x202) == LINUX_HEADER_MAGIC)
		return linux_check(file, out);
	/* A disk image begins with a boot sector too, but has no "HdrS". */
	if (file->size >= 0x200 && ld16(p + 0x1fe) == LINUX_BOOT_FLAG && p[0] != 'M')
		return FAIL(-ENOEXEC,
			    "kernel: %s is a boot sector or disk image, not a kernel (or a kernel "
			    "cut short); give it as a disk, or the whole bzImage",
			    file->path);
	if (file->size >= 2 && p[0] == 'M' && p[1] == 'Z' &&
	    !(file->size >= 0x3c &&
	      (!memcmp(p + 0x38, "ARM\x64", 4) || !memcmp(p + 0x38, "RSC\x05", 4))))
		return FAIL(-ENOEXEC,
			    "kernel: %s is an EFI program or a kernel cut short; give the whole "
			    "bzImage",
			    file->path);
	return payload_name_foreign(file);
}
