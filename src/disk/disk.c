/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk: opens an image: the file, its lock, then the format's own part.
 *
 * A known image format is never served as raw: a guest would find the container instead of its
 * disk, and would overwrite it.
 *
 * Context: open time.
 */
#include "disk/disk.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "disk/file.h"
#include "disk/raw.h"
#include "host/fail.h"

struct disk_magic {
	const char *name;
	u32 offset;
	u32 len;
	const char *bytes;
};

/* First bytes as published in each format's specification. */
static const struct disk_magic disk_magics[] = {
	{"qcow2", 0, 4, "QFI\xfb"}, {"qed", 0, 4, "QED\0"},    {"vmdk", 0, 4, "KDMV"},
	{"vhdx", 0, 8, "vhdxfile"}, {"vhd", 0, 8, "conectix"}, {"vdi", 64, 4, "\x7f\x10\xda\xbe"},
};

static const char *disk_probe(const struct disk_file *file)
{
	u8 head[512] = {0}, tail[8];

	if (pread(file->fd, head, sizeof(head), 0) < 0)
		return NULL;
	for (size_t i = 0; i < sizeof(disk_magics) / sizeof(disk_magics[0]); i++) {
		const struct disk_magic *magic = &disk_magics[i];

		if (!memcmp(head + magic->offset, magic->bytes, magic->len))
			return magic->name;
	}
	/* a VHD of fixed size is the disk with a footer behind it */
	if (file->size > 512 && pread(file->fd, tail, 8, (off_t)file->size - 512) == 8 &&
	    !memcmp(tail, "conectix", 8))
		return "vhd";
	return NULL;
}

int disk_open(const struct disk_config *config, struct disk **out)
{
	struct disk_file file;
	const char *format;
	int rc;

	rc = disk_file_open(&file, config->path, config->read_only);
	if (rc)
		return rc;
	format = disk_probe(&file);
	if (format) {
		disk_file_close(&file);
		return FAIL(-ENOTSUP,
			    "disk: %s is a %s image, not raw; convert it with: qemu-img convert "
			    "-O raw %s %s.raw",
			    config->path, format, config->path, config->path);
	}
	rc = disk_raw_open(config, &file, out);
	if (rc)
		disk_file_close(&file);
	return rc;
}

void disk_close(struct disk *disk)
{
	if (disk)
		disk->ops->close(disk);
}
