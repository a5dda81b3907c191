/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fw_cfg: how firmware and kernels fetch named blobs from the machine: ports 0x510, 0x511 and the
 * DMA register at 0x514 (QEMU documentation, specs/fw_cfg).
 */
#ifndef DEV_CHIPSET_FW_CFG_H
#define DEV_CHIPSET_FW_CFG_H

#include "board/device.h"

/* Well-known keys */
#define FW_CFG_SIGNATURE 0x00
#define FW_CFG_ID	 0x01
#define FW_CFG_RAM_SIZE	 0x03
#define FW_CFG_NOGRAPHIC 0x04
#define FW_CFG_NB_CPUS	 0x05
#define FW_CFG_BOOT_MENU 0x0e
#define FW_CFG_MAX_CPUS	 0x0f
#define FW_CFG_FILE_DIR	 0x19
#define FW_CFG_FILES	 0x20 /* first key of a named file */
#define FW_CFG_FILES_MAX 48
#define FW_CFG_NAME_MAX	 55

/* Context: loop, vCPUs stopped. */
int fw_cfg_open(struct board *board, struct device **out);

/* Copies `len` bytes under a numbered key below FW_CFG_FILE_DIR. -EEXIST, -EINVAL, -ENOMEM. */
int fw_cfg_add_key(struct device *dev, u16 key, const void *data, u32 len);

/* Copies `len` bytes under a name, e.g. "etc/e820"; adding a name again replaces its content.
 * -EINVAL (name too long), -ENOSPC, -ENOMEM. Context: loop, vCPUs stopped. */
int fw_cfg_add_file(struct device *dev, const char *name, const void *data, u32 len);

/* As above, but the guest may write it by DMA; written(arg) is told on a vCPU thread with the
 * device's lock held. */
int fw_cfg_add_writable(struct device *dev, const char *name, const void *data, u32 len,
			void (*written)(void *arg, const u8 *data, u32 len), void *arg);

#endif
