/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file: opens the file or block device under an image, and keeps other programs out of it.
 *
 * Context: open time, any thread.
 */
#ifndef DISK_FILE_H
#define DISK_FILE_H

#include "lib/types.h"

struct disk_file {
	int fd;
	u64 size;
	u32 block_size; /* physical */
	bool read_only;
	bool is_device;
};

/* Opens and locks `path`. The sentence of an error names the mend. */
int disk_file_open(struct disk_file *file, const char *path, bool read_only);
void disk_file_close(struct disk_file *file);

/* disk/lock.c: the byte locks QEMU's tools take on image files, so that both keep each other out.
 * -EBUSY when another program uses the image in a way that does not go with ours. */
int disk_lock(int fd, const char *path, bool read_only);

#endif
