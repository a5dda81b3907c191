/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pvh: an ELF kernel that names a 32-bit physical entry point in a note.
 *
 * Segments go to their physical addresses, the rest of each is zeroed. At entry: protected mode
 * without paging, flat segments, ebx = hvm_start_info, interrupts off.
 */
#include "boot/pvh.h"

#include <string.h>

#include "boot/entry.h"
#include "boot/map.h"
#include "host/fail.h"
#include "lib/bits.h"
#include "spec/elf.h"
#include "spec/pvh.h"

#define PVH_MODLIST_OFFSET 0x100u
#define PVH_MEMMAP_OFFSET  0x200u

/* ---- check ------------------------------------------------------------------------------- */

static const char *pvh_machine_name(unsigned machine)
{
	switch (machine) {
	case ELF_EM_ARM: return "ARM";
	case ELF_EM_AARCH64: return "arm64";
	case ELF_EM_RISCV: return "RISC-V";
	case ELF_EM_386:
	case ELF_EM_X86_64: return "big-endian x86";
	default: return "another machine's";
	}
}

static int pvh_cut_short(const struct payload_file *file)
{
	return FAIL(-ENOEXEC, "kernel: %s is an ELF file cut short or damaged; fetch it again",
		    file->path);
}

/* The file's header as its 64-bit form; 32-bit kernels start at the same 32-bit entry. */
static bool pvh_header(const struct payload_file *file, struct elf64_ehdr *eh)
{
	struct elf32_ehdr small;

	if (file->size < sizeof(small))
		return false;
	memcpy(&small, file->data, sizeof(small));
	if (small.class == ELFCLASS32) {
		*eh = (struct elf64_ehdr){.class = small.class,
					  .data = small.data,
					  .type = small.type,
					  .machine = small.machine,
					  .phoff = small.phoff,
					  .phentsize = small.phentsize,
					  .phnum = small.phnum};
		return true;
	}
	if (file->size < sizeof(*eh))
		return false;
	memcpy(eh, file->data, sizeof(*eh));
	return true;
}

static u64 pvh_phdr_size(const struct elf64_ehdr *eh)
{
	return eh->class == ELFCLASS32 ? sizeof(struct elf32_phdr) : sizeof(struct elf64_phdr);
}

static bool pvh_phdr(const struct payload_file *file, const struct elf64_ehdr *eh, unsigned i,
		     struct elf64_phdr *ph)
{
	u64 size = pvh_phdr_size(eh), at = eh->phoff + i * size;
	struct elf32_phdr small;

	if (eh->phoff > file->size || at + size > file->size)
		return false;
	if (eh->class == ELFCLASS32) {
		memcpy(&small, file->data + at, sizeof(small));
		*ph = (struct elf64_phdr){.type = small.type,
					  .offset = small.offset,
					  .paddr = small.paddr,
					  .filesz = small.filesz,
					  .memsz = small.memsz,
					  .align = small.align};
	} else {
		memcpy(ph, file->data + at, sizeof(*ph));
	}
	return ph->offset <= file->size && ph->filesz <= file->size - ph->offset;
}

/* Looks through one PT_NOTE; true and *entry when it holds the note. gABI 5, "Note Section". */
static bool pvh_find_note(const struct payload_file *file, const struct elf64_phdr *ph, u64 *entry)
{
	const u8 *p = file->data + ph->offset;
	u64 left = ph->filesz;
	u64 align = ph->align == 8 ? 8 : 4;

	while (left >= sizeof(struct elf_nhdr)) {
		struct elf_nhdr nh;
		u64 desc, next;

		memcpy(&nh, p, sizeof(nh));
		desc = round_up64(sizeof(nh) + (u64)nh.namesz, align);
		next = round_up64(desc + nh.descsz, align);
		if (desc + nh.descsz > left)
			return false;
		if (nh.type == PVH_PHYS32_ENTRY && nh.namesz == sizeof(PVH_NOTE_NAME) &&
		    !memcmp(p + sizeof(nh), PVH_NOTE_NAME, sizeof(PVH_NOTE_NAME)) &&
		    (nh.descsz == 4 || nh.descsz == 8)) {
			*entry = ld_size(p + desc, nh.descsz);
			return true;
		}
		if (next >= left)
			return false;
		p += next;
		left -= next;
	}
	return false;
}

static int pvh_check_header(const struct payload_file *file, struct elf64_ehdr *eh)
{
	if (!pvh_header(file, eh))
		return pvh_cut_short(file);
	if (eh->data != ELFDATA2LSB || (eh->machine != ELF_EM_X86_64 && eh->machine != ELF_EM_386))
		return FAIL(
			-ENOEXEC,
			"kernel: %s is an ELF file for %s CPUs; this machine runs x86-64 kernels",
			file->path, pvh_machine_name(eh->machine));
	if (eh->class != ELFCLASS64 && eh->class != ELFCLASS32)
		return pvh_cut_short(file);
	if (eh->type != ELF_ET_EXEC && eh->type != ELF_ET_DYN)
		return FAIL(-ENOEXEC,
			    "kernel: %s is an object file or module; give the kernel itself",
			    file->path);
	if (eh->phentsize != pvh_phdr_size(eh) || !eh->phnum)
		return pvh_cut_short(file);
	return 0;
}

static int pvh_check_segments(const struct payload_file *file, const struct elf64_ehdr *eh,
			      struct kernel_image *out)
{
	u64 total = 0;

	for (unsigned i = 0; i < eh->phnum; i++) {
		struct elf64_phdr ph;

		if (!pvh_phdr(file, eh, i, &ph))
			return pvh_cut_short(file);
		if (ph.type != ELF_PT_LOAD || !ph.memsz)
			continue;
		/* all of them have to fit below 2 GiB; a table of many huge ones that overlap would
		 * keep us zeroing for hours */
		total += min_u64(ph.memsz, LAYOUT_LOW_RAM_MAX);
		if (ph.filesz > ph.memsz || total > LAYOUT_LOW_RAM_MAX)
			return pvh_cut_short(file);
		if (ph.paddr < MAP_KERNEL_MIN || ph.paddr > LAYOUT_LOW_RAM_MAX ||
		    ph.memsz > LAYOUT_LOW_RAM_MAX)
			return FAIL(-ENOEXEC,
				    "kernel: %s wants to be loaded at %#llx, where no RAM is free",
				    file->path, (unsigned long long)ph.paddr);
		out->low = min_u64(out->low, ph.paddr);
		out->high = max_u64(out->high, ph.paddr + ph.memsz);
	}
	return 0;
}

int pvh_check(const struct payload_file *file, struct kernel_image *out)
{
	struct elf64_ehdr eh = {0};
	bool found = false;
	int rc;

	rc = pvh_check_header(file, &eh);
	if (rc)
		return rc;
	out->kind = KERNEL_PVH;
	out->low = ~0ull;
	/* programs of the host are ELF files too: what makes a kernel is looked for first */
	for (unsigned i = 0; i < eh.phnum && !found; i++) {
		struct elf64_phdr ph;

		if (!pvh_phdr(file, &eh, i, &ph))
			return pvh_cut_short(file);
		found = ph.type == ELF_PT_NOTE && pvh_find_note(file, &ph, &out->entry);
	}
	if (!found)
		return FAIL(-ENOEXEC,
			    "kernel: %s is an ELF file without a PVH entry (CONFIG_PVH); use the "
			    "bzImage of this kernel",
			    file->path);
	rc = pvh_check_segments(file, &eh, out);
	if (rc)
		return rc;
	if (out->entry < out->low || out->entry >= out->high)
		return pvh_cut_short(file);
	out->initrd_top = LAYOUT_HIGH_RAM;
	out->cmdline_max = MAP_CMDLINE_MAX - 1;
	return 0;
}

/* ---- load -------------------------------------------------------------------------------- */

static int pvh_zero(struct ram *ram, u64 addr, u64 len)
{
	void *p;

	if (!len)
		return 0;
	p = ram_write_begin(ram, addr, len);
	if (!p)
		return -EFAULT;
	memset(p, 0, len);
	ram_write_end(ram, addr, len);
	return 0;
}

static int pvh_load_segments(const struct payload_file *file, struct ram *ram)
{
	struct elf64_ehdr eh;
	int rc = 0;

	if (!pvh_header(file, &eh))
		return -EINVAL;
	for (unsigned i = 0; i < eh.phnum && !rc; i++) {
		struct elf64_phdr ph;

		if (!pvh_phdr(file, &eh, i, &ph))
			return -EINVAL;
		if (ph.type != ELF_PT_LOAD || !ph.memsz)
			continue;
		rc = ram_load(ram, ph.paddr, file->data + ph.offset, ph.filesz);
		if (!rc)
			rc = pvh_zero(ram, ph.paddr + ph.filesz, ph.memsz - ph.filesz);
	}
	return rc;
}

static int pvh_load_start_info(const struct boot_load *load, struct ram *ram)
{
	u8 page[RAM_PAGE] = {0};
	struct hvm_start_info *si = (void *)page;
	struct hvm_modlist_entry *mod = (void *)(page + PVH_MODLIST_OFFSET);
	struct hvm_memmap_entry *mem = (void *)(page + PVH_MEMMAP_OFFSET);

	_Static_assert(PVH_MEMMAP_OFFSET + E820_ENTRIES * sizeof(*mem) <= RAM_PAGE, "one page");
	si->magic = PVH_START_MAGIC;
	si->version = PVH_START_VERSION;
	si->cmdline_paddr = MAP_CMDLINE;
	si->rsdp_paddr = load->rsdp_addr;
	if (load->initrd_size) {
		si->nr_modules = 1;
		si->modlist_paddr = MAP_PARAMS + PVH_MODLIST_OFFSET;
		mod->paddr = load->initrd_addr;
		mod->size = load->initrd_size;
	}
	si->memmap_paddr = MAP_PARAMS + PVH_MEMMAP_OFFSET;
	si->memmap_entries = load->map->count;
	for (unsigned i = 0; i < load->map->count; i++) {
		const struct e820_entry *e = &load->map->entry[i];

		mem[i] = (struct hvm_memmap_entry){e->base, e->size, e->type, 0};
	}
	return ram_load(ram, MAP_PARAMS, page, sizeof(page));
}

int pvh_load(const struct boot_load *load, struct ram *ram, struct cpu_state *bsp)
{
	int rc;

	rc = pvh_load_segments(load->kernel, ram);
	if (!rc)
		rc = pvh_load_start_info(load, ram);
	if (!rc)
		rc = entry_load_gdt32(ram);
	if (rc)
		return FAIL(rc, "boot: guest RAM does not cover the kernel's place");

	entry_set_protected_mode(bsp);
	bsp->rip = load->image->entry;
	bsp->gpr[R_RBX] = MAP_PARAMS;
	return 0;
}
