/* SPDX-License-Identifier: Apache-2.0 */
/*
 * payload: the kernel and initrd files: read once, recognised, and what is wrong with them said.
 *
 * The VM's process may open no file after it is jailed, so the descriptor is kept; the bytes are
 * given back after each start, since a large initrd would double in memory. A reset reads them
 * again and refuses a file that was changed meanwhile. A file is not trusted; every offset in it is
 * checked.
 *
 * Entered by: boot.c at open; linux.c and pvh.c fill struct kernel_image.
 */
#ifndef BOOT_PAYLOAD_H
#define BOOT_PAYLOAD_H

#include "lib/types.h"
#include "spec/linux_boot.h"

struct payload_file {
	const char *path; /* the caller's, for messages */
	const char *what; /* "kernel" or "initrd" */
	u8 *data;	  /* own mapping, NULL when not given or not needed now */
	u64 size;
	int fd; /* valid while size is not 0 */
};

enum kernel_kind { KERNEL_BZIMAGE, KERNEL_PVH };

/* What a loader needs to know of a checked kernel. */
struct kernel_image {
	enum kernel_kind kind;
	u64 entry;		       /* physical */
	bool entry32;		       /* bzImage: protected mode, not long mode */
	u64 low, high;		       /* memory it takes while starting, [low, high) */
	u64 initrd_top;		       /* an initrd must end at or below this */
	u64 code_offset;	       /* bzImage: where the 64-bit kernel starts in the file */
	u32 cmdline_max;	       /* characters, terminator excluded */
	struct linux_setup_header hdr; /* bzImage */
};

/* Opens and measures a regular file; `what` is "kernel" or "initrd". The caller releases it. */
int payload_find(struct payload_file *file, const char *what, const char *path);
/* The same, and reads it. */
int payload_read(struct payload_file *file, const char *what, const char *path);
void payload_release(struct payload_file *file);
/* Between starts: gives the bytes back, keeps the file open. */
void payload_rest(struct payload_file *file);
/* Before a start: the bytes are there again, as the file has them now, its size too. */
int payload_wake(struct payload_file *file);

/* Recognises and checks the kernel; every rejection is a sentence with its mend. */
int payload_check(const struct payload_file *file, struct kernel_image *out);

#endif
