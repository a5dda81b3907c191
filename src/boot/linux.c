/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux: a bzImage started at its 64-bit entry point, or at its 32-bit one when it has no other.
 *
 * A relocatable kernel goes to its preferred address: it would move itself up to it anyway, and
 * init_size counts from there (boot.rst, "init_size"). Others are linked for the protocol's fixed
 * place. CPU at entry (boot.rst, "32-bit" and "64-bit boot protocol"): __BOOT_CS and __BOOT_DS in
 * the GDT, esi/rsi = boot_params, interrupts off; protected mode without paging, or long mode with
 * identity-mapped pages (we map 4 GiB).
 */
#include "boot/linux.h"

#include <string.h>
#include <sys/random.h>

#include "boot/entry.h"
#include "boot/map.h"
#include "host/fail.h"
#include "lib/bits.h"

/* ---- check ------------------------------------------------------------------------------- */

static int linux_check_header(const struct payload_file *file, const struct linux_setup_header *h)
{
	if (h->version < LINUX_PROTOCOL_MIN)
		return FAIL(-ENOEXEC,
			    "kernel: %s speaks boot protocol %u.%02u; 2.06 or later (Linux 2.6.22) "
			    "is needed",
			    file->path, h->version >> 8, h->version & 0xff);
	if (!(h->loadflags & LINUX_LOADED_HIGH))
		return FAIL(-ENOEXEC, "kernel: %s is a zImage; build a bzImage of it", file->path);
	/* iPXE's and other boot loaders' images: a Linux header, but the work is done by BIOS
	 * calls. */
	if (!h->code32_start)
		return FAIL(
			-ENOEXEC,
			"kernel: %s starts in real mode and needs a BIOS, which this machine does "
			"not have; give a kernel with a 32-bit or 64-bit entry point",
			file->path);
	if (h->kernel_alignment && !is_pow2(h->kernel_alignment))
		return FAIL(-ENOEXEC, "kernel: %s is damaged (alignment %#x); fetch it again",
			    file->path, h->kernel_alignment);
	return 0;
}

/* Where the protected-mode code goes, how far it reaches until it has unpacked itself, and where
 * it is entered. boot.rst, "relocatable_kernel", "pref_address", "init_size", "code32_start". */
static int linux_place(const struct payload_file *file, u64 size, struct kernel_image *out)
{
	const struct linux_setup_header *h = &out->hdr;
	bool placed = h->version >= LINUX_PROTOCOL_PREF;
	u64 runs = placed && h->pref_address ? h->pref_address : LINUX_LOAD_HIGH;

	if (h->kernel_alignment && h->relocatable_kernel)
		runs = round_up64(runs, h->kernel_alignment);
	if (runs < MAP_KERNEL_MIN || runs > LAYOUT_LOW_RAM_MAX)
		return FAIL(-ENOEXEC, "kernel: %s wants to be loaded at %#llx, where no RAM is",
			    file->path, (unsigned long long)runs);
	out->low = h->relocatable_kernel ? runs : LINUX_LOAD_HIGH;
	out->high = max_u64(out->low + size, runs + (placed ? h->init_size : 0));
	out->entry32 = h->version < LINUX_PROTOCOL_XLF || !(h->xloadflags & XLF_KERNEL_64);
	out->entry = out->low + (out->entry32 ? 0 : LINUX_ENTRY64_OFFSET);
	return 0;
}

int linux_check(const struct payload_file *file, struct kernel_image *out)
{
	struct linux_setup_header *h = &out->hdr;
	u64 sects, code, size, hdr_len;
	int rc;

	/* The header's end is in its jump instruction; what is beyond stays zero. */
	hdr_len = 0x202u + file->data[0x201] - LINUX_SETUP_OFFSET;
	hdr_len = min_u64(min_u64(hdr_len, sizeof(*h)), file->size - LINUX_SETUP_OFFSET);
	memcpy(h, file->data + LINUX_SETUP_OFFSET, hdr_len);
	rc = linux_check_header(file, h);
	if (rc)
		return rc;

	sects = h->setup_sects ? h->setup_sects : 4;
	code = (sects + 1) * LINUX_SECTOR;
	size = (u64)h->syssize * 16;
	/* syssize rounds up to 16 bytes; the file may lack the padding. */
	if (!size || file->size <= code || file->size + 15 < code + size)
		return FAIL(-ENOEXEC,
			    "kernel: %s is cut short: %llu of %llu bytes are there; fetch it again",
			    file->path, (unsigned long long)file->size,
			    (unsigned long long)(code + size));

	out->kind = KERNEL_BZIMAGE;
	out->code_offset = code;
	out->initrd_top = (u64)h->initrd_addr_max + 1;
	out->cmdline_max = h->cmdline_size;
	return linux_place(file, file->size - code, out);
}

/* ---- load -------------------------------------------------------------------------------- */

static void linux_fill_params(struct linux_boot_params *bp, const struct boot_load *load)
{
	struct linux_setup_header *h = &bp->hdr;

	*h = load->image->hdr;
	h->type_of_loader = LINUX_LOADER_UNKNOWN;
	h->ext_loader_type = 0;
	h->ext_loader_ver = 0;
	h->vid_mode = LINUX_VIDEO_NORMAL;
	h->loadflags = (u8)(h->loadflags & ~LINUX_CAN_USE_HEAP);
	h->code32_start = (u32)load->image->low;
	h->cmd_line_ptr = MAP_CMDLINE;
	h->ramdisk_image = (u32)load->initrd_addr;
	h->ramdisk_size = (u32)load->initrd_size;
	h->setup_data = MAP_SETUP_DATA;
	bp->acpi_rsdp_addr = load->rsdp_addr;
	bp->e820_entries = (u8)load->map->count;
	for (unsigned i = 0; i < load->map->count; i++) {
		const struct e820_entry *e = &load->map->entry[i];

		bp->e820_table[i] = (struct linux_e820_entry){e->base, e->size, e->type};
	}
}

/* Fresh entropy for the guest's generator on every start; without it boot is only slower. */
static int linux_load_seed(struct ram *ram)
{
	struct linux_setup_data seed = {.type = LINUX_SETUP_RNG_SEED, .len = sizeof(seed.data)};
	int rc;

	if (getrandom(seed.data, sizeof(seed.data), GRND_NONBLOCK) != (ssize_t)sizeof(seed.data))
		seed.len = 0;
	rc = ram_load(ram, MAP_SETUP_DATA, &seed, sizeof(seed));
	explicit_bzero(&seed, sizeof(seed));
	return rc;
}

static int linux_load_params(const struct boot_load *load, struct ram *ram)
{
	struct linux_boot_params bp;

	memset(&bp, 0, sizeof(bp));
	linux_fill_params(&bp, load);
	return ram_load(ram, MAP_PARAMS, &bp, sizeof(bp));
}

int linux_load(const struct boot_load *load, struct ram *ram, struct cpu_state *bsp)
{
	const struct payload_file *file = load->kernel;
	u64 code = load->image->code_offset;
	int rc;

	rc = ram_load(ram, load->image->low, file->data + code, file->size - code);
	if (!rc)
		rc = linux_load_params(load, ram);
	if (!rc)
		rc = linux_load_seed(ram);
	if (!rc)
		rc = load->image->entry32 ? entry_load_gdt32(ram) : entry_load_tables64(ram);
	if (rc)
		return FAIL(rc, "boot: guest RAM does not cover the kernel's place");

	if (load->image->entry32)
		entry_set_protected_mode(bsp);
	else
		entry_set_long_mode(bsp);
	bsp->rip = load->image->entry;
	bsp->gpr[R_RSI] = MAP_PARAMS;
	return 0;
}
