/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file: see file.h. The first thing a user meets when a path is wrong, so every refusal says what
 * to do.
 *
 * Context: open time.
 */
#include "disk/file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/fail.h"
#include "lib/bits.h"

#define SECTOR 512u

static int disk_file_refused(const char *path, bool read_only, int error)
{
	switch (error) {
	case ENOENT:
		return FAIL(-error, "disk: %s does not exist; create it with: truncate -s 8G %s",
			    path, path);
	case EBUSY:
		return FAIL(-error,
			    "disk: %s is mounted or otherwise in use on this host; unmount it, or "
			    "add \",ro\"",
			    path);
	case EISDIR:
		return FAIL(-error, "disk: %s is a directory; name the image file in it", path);
	case EACCES:
	case EROFS:
	case EPERM:
		if (!read_only && !access(path, R_OK))
			return FAIL(-error,
				    "disk: %s may only be read; add \",ro\" to use it so, or "
				    "make it writable",
				    path);
		return FAIL(-error, "disk: %s: permission denied; see who owns it with: ls -l %s",
			    path, path);
	default: return FAIL(-error, "disk: %s cannot be opened: %s", path, strerror(error));
	}
}

static int disk_file_measure(struct disk_file *file, const char *path)
{
	struct stat st;
	u32 block = 0;

	if (fstat(file->fd, &st))
		return FAIL(-errno, "disk: %s cannot be examined", path);
	if (S_ISDIR(st.st_mode))
		return disk_file_refused(path, true, EISDIR);
	if (S_ISREG(st.st_mode)) {
		file->size = (u64)st.st_size;
		file->block_size = 4096;
	} else if (S_ISBLK(st.st_mode)) {
		file->is_device = true;
		if (ioctl(file->fd, BLKGETSIZE64, &file->size))
			return FAIL(-errno, "disk: %s does not tell its size", path);
		if (ioctl(file->fd, BLKPBSZGET, &block) || !is_pow2(block) || block < SECTOR)
			block = SECTOR;
		file->block_size = block;
	} else {
		return FAIL(-EINVAL, "disk: %s is neither a file nor a block device", path);
	}
	if (!file->size)
		return FAIL(-EINVAL, "disk: %s is empty; give it a size with: truncate -s 8G %s",
			    path, path);
	return 0;
}

/* A device is opened exclusively to be written: not one that this host has mounted, and the host
 * will not mount it meanwhile. A file knows no such thing. */
static int disk_file_flags(const char *path, bool read_only)
{
	struct stat st;

	if (read_only)
		return O_RDONLY;
	return !stat(path, &st) && S_ISBLK(st.st_mode) ? O_RDWR | O_EXCL : O_RDWR;
}

int disk_file_open(struct disk_file *file, const char *path, bool read_only)
{
	int rc;

	memset(file, 0, sizeof(*file));
	file->read_only = read_only;
	/* Non-blocking, so that a FIFO given by mistake does not hold us. */
	file->fd = open(path, disk_file_flags(path, read_only) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file->fd < 0)
		return disk_file_refused(path, read_only, errno);
	rc = disk_file_measure(file, path);
	/* Some kernels and file systems answer io_uring with -EAGAIN for ever while it is set. */
	if (!rc && fcntl(file->fd, F_SETFL, 0) < 0)
		rc = FAIL(-errno, "disk: %s cannot be set up", path);
	if (!rc)
		rc = disk_lock(file->fd, path, read_only);
	if (rc)
		disk_file_close(file);
	return rc;
}

void disk_file_close(struct disk_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}
