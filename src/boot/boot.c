/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot: ties the rooms of this floor together: payloads, memory map, tables, entry state.
 *
 * Placement: the kernel where it wants to be, the initrd as high as it may go below the ACPI region
 * at the top of low RAM; everything small in the first 640 KiB and the BIOS area.
 */
#include "boot/boot.h"

#include <stdlib.h>
#include <string.h>

#include "boot/acpi.h"
#include "boot/e820.h"
#include "boot/entry.h"
#include "boot/linux.h"
#include "boot/map.h"
#include "boot/payload.h"
#include "boot/pvh.h"
#include "boot/smbios.h"
#include "cpu/cpu.h"
#include "host/fail.h"
#include "lib/bits.h"
#include "spec/acpi_pm.h"

#define BOOT_MIB      0x100000ull
#define BOOT_HEADROOM (32 * BOOT_MIB) /* what a mend adds to the bare minimum */

/* ---- state ------------------------------------------------------------------------------- */

struct boot {
	struct boot_config cfg;
	struct payload_file kernel;
	struct payload_file initrd;
	struct kernel_image image;
	struct e820 map;
	u64 initrd_addr;
	const char *cmdline;
	struct smbios smbios;
	u8 acpi[MAP_ACPI_DATA_SIZE];
};

static unsigned long long boot_mib(u64 bytes)
{
	return (bytes + BOOT_MIB - 1) / BOOT_MIB;
}

/* ---- checks at open ---------------------------------------------------------------------- */

static int boot_check_config(const struct boot_config *cfg)
{
	if (!cfg->kernel || !*cfg->kernel)
		return FAIL(-EINVAL, "boot: no kernel given; name one with --kernel");
	if (!cfg->cpus)
		return FAIL(-EINVAL, "boot: a machine needs at least one CPU");
	if (cfg->ram % RAM_PAGE || cfg->ram < MAP_RAM_MIN || cfg->ram > LAYOUT_RAM_MAX)
		return FAIL(
			-EINVAL,
			"boot: %llu MiB of RAM is outside %llu MiB .. %llu GiB; choose another -m",
			boot_mib(cfg->ram), boot_mib(MAP_RAM_MIN),
			(unsigned long long)(LAYOUT_RAM_MAX >> 30));
	return 0;
}

static int boot_check_cmdline(const struct boot *boot)
{
	u64 len = strlen(boot->cmdline);
	u64 max = min_u64(boot->image.cmdline_max ? boot->image.cmdline_max : 255,
			  MAP_CMDLINE_MAX - 1);

	if (len > max)
		return FAIL(-E2BIG,
			    "boot: the command line has %llu characters, this kernel takes %llu; "
			    "shorten it",
			    (unsigned long long)len, (unsigned long long)max);
	return 0;
}

static int boot_check_kernel(const struct boot *boot)
{
	u64 need = boot->image.high + MAP_ACPI_SIZE;

	if (boot->image.high <= e820_usable_top(boot->cfg.ram))
		return 0;
	if (need > LAYOUT_LOW_RAM_MAX)
		return FAIL(
			-ENOSPC,
			"kernel: %s needs %llu MiB below 2 GiB, more than this machine has there",
			boot->kernel.path, boot_mib(need));
	return FAIL(-ENOSPC,
		    "kernel: %s needs %llu MiB to start but the VM has %llu MiB; give it -m %lluM "
		    "or more",
		    boot->kernel.path, boot_mib(need), boot_mib(boot->cfg.ram),
		    boot_mib(need + BOOT_HEADROOM));
}

/* As high as allowed (boot.rst, "initrd_addr_max"), page aligned, above the starting kernel. */
static int boot_place_initrd(struct boot *boot)
{
	u64 size = boot->initrd.size;
	u64 limit = min_u64(boot->image.initrd_top, LAYOUT_LOW_RAM_MAX);
	u64 top = min_u64(e820_usable_top(boot->cfg.ram), boot->image.initrd_top);
	u64 need = round_up64(boot->image.high, RAM_PAGE) + round_up64(size, RAM_PAGE);
	u64 beside, room;

	if (!size)
		return 0;
	if (need <= top) {
		boot->initrd_addr = round_down64(top - size, RAM_PAGE);
		return 0;
	}
	need += MAP_ACPI_SIZE;
	beside = boot->image.high + MAP_ACPI_SIZE;
	room = limit > beside ? limit - beside : 0;
	if (need > limit)
		return FAIL(
			-ENOSPC,
			"initrd: %s has %llu MiB but at most %llu MiB fit below 2 GiB beside the "
			"kernel; put its contents on a disk",
			boot->initrd.path, boot_mib(size), (unsigned long long)(room >> 20));
	/* The kernel also unpacks it, so twice its size is the least that helps. */
	return FAIL(
		-ENOSPC,
		"initrd: %s has %llu MiB and does not fit into %llu MiB of RAM beside the kernel; "
		"give the VM -m %lluM or more",
		boot->initrd.path, boot_mib(size), boot_mib(boot->cfg.ram),
		boot_mib(need + size + BOOT_HEADROOM));
}

/* ---- build ------------------------------------------------------------------------------- */

/* BIOS data area: what kernels look up there (EBDA segment, conventional memory in KiB). */
static int boot_load_bda(struct ram *ram)
{
	u8 bda[256] = {0};
	u8 ebda = (LAYOUT_VGA_HOLE - LAYOUT_EBDA) / 1024;
	int rc;

	st16(bda + 0x0e, LAYOUT_EBDA >> 4);
	st16(bda + 0x13, LAYOUT_EBDA / 1024);
	rc = ram_load(ram, MAP_BDA, bda, sizeof(bda));
	return rc ? rc : ram_load(ram, LAYOUT_EBDA, &ebda, 1);
}

/* What a kernel jumps to that leaves the machine to the BIOS (Linux' reboot=bios): there is none,
 * so that a hard reset is all that is left to do. */
static int boot_load_reset(struct ram *ram)
{
	static const u8 code[] = {
		0xba,
		LAYOUT_PORT_RESET & 0xff,
		LAYOUT_PORT_RESET >> 8, /* mov dx, 0xcf9 */
		0xb0,
		ACPI_RESET_VALUE, /* mov al, 6 */
		0xee,		  /* out dx, al */
		0xfa,
		0xf4, /* cli; hlt */
	};

	return ram_load(ram, MAP_RESET_VECTOR, code, sizeof(code));
}

static int boot_load_acpi(struct boot *boot, struct ram *ram, const struct device_desc *descs,
			  unsigned n)
{
	struct acpi_output out = {.data = boot->acpi, .cap = sizeof(boot->acpi)};
	struct acpi_input in = {.cpus = boot->cfg.cpus, .descs = descs, .desc_count = n};
	int rc;

	in.base = e820_usable_top(boot->cfg.ram);
	in.facs_gpa = in.base + MAP_ACPI_DATA_SIZE;
	memset(boot->acpi, 0, sizeof(boot->acpi));
	rc = acpi_build(&in, &out);
	if (rc)
		return rc;
	rc = ram_load(ram, in.base, boot->acpi, sizeof(boot->acpi));
	if (!rc)
		rc = ram_load(ram, in.facs_gpa, &out.facs, sizeof(out.facs));
	if (!rc)
		rc = ram_load(ram, MAP_RSDP, &out.rsdp, sizeof(out.rsdp));
	return rc ? FAIL(rc, "boot: guest RAM does not cover the ACPI tables' place") : 0;
}

static int boot_load_smbios(struct boot *boot, struct ram *ram)
{
	const struct smbios_input in = {.table_gpa = MAP_SMBIOS_TABLES,
					.ram = boot->cfg.ram,
					.cpus = boot->cfg.cpus,
					.model = boot->cfg.model,
					.uuid = boot->cfg.uuid};
	int rc;

	smbios_build(&in, &boot->smbios);
	rc = ram_load(ram, MAP_SMBIOS3, &boot->smbios.entry3, sizeof(boot->smbios.entry3));
	if (!rc)
		rc = ram_load(ram, MAP_SMBIOS2, &boot->smbios.entry2, sizeof(boot->smbios.entry2));
	if (!rc)
		rc = ram_load(ram, MAP_SMBIOS_TABLES, boot->smbios.table, boot->smbios.len);
	return rc ? FAIL(rc, "boot: guest RAM does not cover the BIOS area") : 0;
}

static int boot_load_files(const struct boot *boot, struct ram *ram)
{
	int rc = ram_load(ram, MAP_CMDLINE, boot->cmdline, strlen(boot->cmdline) + 1);

	if (!rc && boot->initrd.size)
		rc = ram_load(ram, boot->initrd_addr, boot->initrd.data, boot->initrd.size);
	return rc ? FAIL(rc, "boot: guest RAM does not cover the initrd's place") : 0;
}

static int boot_place(struct boot *boot, struct board *board, const struct device_desc *descs,
		      unsigned n, struct cpu_state *bsp)
{
	struct ram *ram = &board->ram;
	struct boot_load load = {.kernel = &boot->kernel,
				 .image = &boot->image,
				 .map = &boot->map,
				 .cmdline = boot->cmdline,
				 .initrd_addr = boot->initrd_addr,
				 .initrd_size = boot->initrd.size,
				 .rsdp_addr = MAP_RSDP};
	int rc;

	rc = boot_load_bda(ram);
	if (rc)
		return FAIL(rc, "boot: there is no guest RAM at address 0");
	rc = boot_load_reset(ram);
	if (rc)
		return FAIL(rc, "boot: guest RAM does not cover the BIOS area");
	rc = boot_load_acpi(boot, ram, descs, n);
	if (!rc)
		rc = boot_load_smbios(boot, ram);
	if (!rc)
		rc = boot_load_files(boot, ram);
	if (rc)
		return rc;
	cpu_state_reset(bsp, 0, true);
	rc = boot->image.kind == KERNEL_PVH ? pvh_load(&load, ram, bsp)
					    : linux_load(&load, ram, bsp);
	if (rc)
		return rc;
	entry_set_mtrrs(bsp);
	entry_set_virtual_wire(bsp);
	return 0;
}

/* Kernel and sizes: is it something to boot, and does it fit? Places the initrd. */
static int boot_check_files(struct boot *boot)
{
	int rc = payload_check(&boot->kernel, &boot->image);

	if (!rc)
		rc = boot_check_cmdline(boot);
	if (!rc)
		rc = boot_check_kernel(boot);
	if (!rc)
		rc = boot_place_initrd(boot);
	return rc;
}

/* The files may have been written to since the last start, so they are checked again. */
static int boot_read_files(struct boot *boot)
{
	int rc = payload_wake(&boot->kernel);

	if (!rc)
		rc = payload_wake(&boot->initrd);
	return rc ? rc : boot_check_files(boot);
}

int boot_build(struct boot *boot, struct board *board, const struct device_desc *descs, unsigned n,
	       struct cpu_state *bsp)
{
	int rc = boot_read_files(boot);

	if (!rc)
		rc = boot_place(boot, board, descs, n, bsp);
	payload_rest(&boot->kernel);
	payload_rest(&boot->initrd);
	return rc;
}

void boot_setup_ap(struct cpu_state *ap)
{
	entry_set_mtrrs(ap);
}

/* ---- open and close ---------------------------------------------------------------------- */

int boot_open(const struct boot_config *cfg, struct boot **out)
{
	struct boot *boot;
	int rc = boot_check_config(cfg);

	if (rc)
		return rc;
	boot = calloc(1, sizeof(*boot));
	if (!boot)
		return FAIL(-ENOMEM, "boot: no memory");
	boot->cfg = *cfg;
	boot->cmdline = cfg->cmdline ? cfg->cmdline : "";
	rc = payload_read(&boot->kernel, "kernel", cfg->kernel);
	if (!rc && cfg->initrd) /* may be huge: it is read when it is known to fit */
		rc = payload_find(&boot->initrd, "initrd", cfg->initrd);
	if (!rc)
		rc = boot_check_files(boot);
	if (rc) {
		boot_close(boot);
		return rc;
	}
	e820_build(&boot->map, cfg->ram);
	*out = boot;
	return 0;
}

void boot_close(struct boot *boot)
{
	if (!boot)
		return;
	payload_release(&boot->initrd);
	payload_release(&boot->kernel);
	free(boot);
}
