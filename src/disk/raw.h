/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw: the image is the disk, byte for byte.
 */
#ifndef DISK_RAW_H
#define DISK_RAW_H

#include "disk/disk.h"
#include "disk/file.h"

/* Takes over *file. */
int disk_raw_open(const struct disk_config *config, const struct disk_file *file,
		  struct disk **out);

#endif
