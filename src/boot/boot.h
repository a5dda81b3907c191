/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot: what is in guest memory and in the boot CPU before the first instruction.
 *
 * boot_open reads the files (the only time anything is opened) and checks all that can be checked;
 * boot_build puts kernel, initrd, tables and CPU state in place, at power-on and at every reset.
 *
 * Entered by: vm/. Context: loop thread, no vCPU running.
 */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include "board/device.h"
#include "cpu/state.h"

struct boot_config {
	const char *kernel;
	const char *initrd;  /* NULL: none */
	const char *cmdline; /* NULL: empty */
	const char *model;   /* CPU model's name, for SMBIOS; may be NULL */
	u64 ram;	     /* bytes of guest RAM in all, page aligned */
	unsigned cpus;
	u8 uuid[16]; /* of the VM, all zero = none */
};

struct boot;

/* Strings of cfg must live until boot_close. 0 or -errno with the sentence:
 * -ENOENT, -EISDIR, -ENODATA (empty), -ENOEXEC (not a kernel we can start), -ENOSPC (does not fit
 * into RAM), -E2BIG (command line), -EINVAL. */
int boot_open(const struct boot_config *cfg, struct boot **out);
void boot_close(struct boot *boot);

/* Builds everything afresh; descs are the devices' descriptions for ACPI (only read here). On
 * return *bsp is ready to run. After one success it
 * fails only when a payload's file was changed or became unreadable. */
int boot_build(struct boot *boot, struct board *board, const struct device_desc *descs, unsigned n,
	       struct cpu_state *bsp);

/* What firmware would have set on an application processor, on top of cpu_state_reset(). */
void boot_setup_ap(struct cpu_state *ap);

#endif
