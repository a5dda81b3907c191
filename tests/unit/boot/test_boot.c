/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_boot: kernels of both kinds land where the protocols say, everything else is refused with a
 * sentence, the memory map fits its RAM sizes.
 *
 * Kernels are synthesized; HOLM_TEST_KERNEL names a real bzImage to check as well.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "board/layout.h"
#include "boot/boot.h"
#include "boot/e820.h"
#include "boot/map.h"
#include "host/fail.h"
#include "lib/bits.h"
#include "spec/elf.h"
#include "spec/linux_boot.h"
#include "spec/pvh.h"
#include "spec/smbios.h"

#define MIB 0x100000ull
#define GIB 0x40000000ull

static char dir[] = "/dev/shm/holm-boot-XXXXXX";

/* ---- helpers ----------------------------------------------------------------------------- */

static const char *put(const char *name, const void *data, size_t len)
{
	static char path[16][64];
	static unsigned turn;
	char *p = path[turn++ & 15];
	FILE *f;

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	f = fopen(p, "wb");
	assert_non_null(f);
	if (len)
		assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
	return p;
}

static u8 bz[0x600 + 0x2000];

/* A bzImage: two setup sectors, 8 KiB of "code", init_size 16 MiB at 16 MiB. */
static size_t make_bzimage(void)
{
	struct linux_setup_header *h = (void *)(bz + LINUX_SETUP_OFFSET);

	memset(bz, 0, sizeof(bz));
	memset(bz + 0x600, 0xcc, 0x2000);
	h->setup_sects = 2;
	h->syssize = 0x2000 / 16;
	h->boot_flag = LINUX_BOOT_FLAG;
	h->jump = 0xeb;
	h->jump_offset = 0x6a;
	h->header = LINUX_HEADER_MAGIC;
	h->version = 0x020f;
	h->loadflags = LINUX_LOADED_HIGH;
	h->code32_start = LINUX_LOAD_HIGH;
	h->initrd_addr_max = 0x7fffffff;
	h->kernel_alignment = 0x200000;
	h->relocatable_kernel = 1;
	h->xloadflags = XLF_KERNEL_64;
	h->cmdline_size = 2047;
	h->pref_address = 16 * MIB;
	h->init_size = 16 * MIB;
	return sizeof(bz);
}

static u8 elf[0x1100];

static size_t make_elf(u32 note_type)
{
	struct elf64_ehdr *eh = (void *)elf;
	struct elf64_phdr *ph = (void *)(elf + 64);
	struct elf_nhdr *nh = (void *)(elf + 0x200);

	memset(elf, 0, sizeof(elf));
	*eh = (struct elf64_ehdr){.magic = ELF_MAGIC,
				  .class = ELFCLASS64,
				  .data = ELFDATA2LSB,
				  .type = ELF_ET_EXEC,
				  .machine = ELF_EM_X86_64,
				  .phoff = 64,
				  .phentsize = 56,
				  .phnum = 2};
	ph[0] = (struct elf64_phdr){.type = ELF_PT_LOAD,
				    .offset = 0x1000,
				    .paddr = 2 * MIB,
				    .filesz = 0x100,
				    .memsz = 0x3000};
	ph[1] = (struct elf64_phdr){.type = ELF_PT_NOTE, .offset = 0x200, .filesz = 20};
	*nh = (struct elf_nhdr){4, 4, note_type};
	memcpy(elf + 0x20c, "Xen", 4);
	st32(elf + 0x210, 2 * MIB + 0x40);
	memset(elf + 0x1000, 0x90, 0x100);
	return sizeof(elf);
}

/* The same kernel as a 32-bit ELF. */
static size_t make_elf32(void)
{
	struct elf32_ehdr *eh = (void *)elf;
	struct elf32_phdr *ph = (void *)(elf + 52);

	make_elf(PVH_PHYS32_ENTRY);
	memset(elf, 0, 0x200);
	*eh = (struct elf32_ehdr){.magic = ELF_MAGIC,
				  .class = ELFCLASS32,
				  .data = ELFDATA2LSB,
				  .type = ELF_ET_EXEC,
				  .machine = ELF_EM_386,
				  .phoff = 52,
				  .phentsize = 32,
				  .phnum = 2};
	ph[0] = (struct elf32_phdr){.type = ELF_PT_LOAD,
				    .offset = 0x1000,
				    .paddr = 2 * MIB,
				    .filesz = 0x100,
				    .memsz = 0x3000};
	ph[1] = (struct elf32_phdr){.type = ELF_PT_NOTE, .offset = 0x200, .filesz = 20};
	return sizeof(elf);
}

static int try_open(const char *kernel, const char *initrd, u64 ram)
{
	const struct boot_config cfg = {
		.kernel = kernel, .initrd = initrd, .cmdline = "quiet", .ram = ram, .cpus = 2};
	struct boot *boot = NULL;
	int rc = boot_open(&cfg, &boot);

	if (!rc)
		boot_close(boot);
	return rc;
}

/* Refused with this code and a sentence that has these words. */
static void refuse(const char *kernel, int code, const char *words)
{
	assert_int_equal(try_open(kernel, NULL, 512 * MIB), code);
	if (!strstr(fail_text(), words) || !strstr(fail_text(), kernel))
		fail_msg("\"%s\" lacks \"%s\"", fail_text(), words);
}

static void board_fill(struct board *board, u64 ram)
{
	u64 low = e820_low_top(ram);

	memset(board, 0, sizeof(*board));
	assert_int_equal(ram_open(&board->ram), 0);
	assert_int_equal(ram_add(&board->ram, 0, low, RAM_KIND_RAM, "low"), 0);
	if (ram > low)
		assert_int_equal(
			ram_add(&board->ram, LAYOUT_HIGH_RAM, ram - low, RAM_KIND_RAM, "high"), 0);
}

static const void *at(const struct board *board, u64 gpa, u64 len)
{
	const void *p = ram_ptr(&board->ram, gpa, len);

	assert_non_null(p);
	return p;
}

static u8 sum(const void *p, size_t len)
{
	const u8 *b = p;
	u8 s = 0;

	while (len--)
		s = (u8)(s + *b++);
	return s;
}

/* ---- memory map -------------------------------------------------------------------------- */

static void test_e820(void **state)
{
	static const u64 sizes[] = {64 * MIB,	128 * MIB, 2 * GIB,
				    2049 * MIB, 6 * GIB,   LAYOUT_RAM_MAX};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		u64 total = 0, end = 0, high = 0;
		struct e820 map;

		e820_build(&map, sizes[i]);
		for (unsigned k = 0; k < map.count; k++) {
			const struct e820_entry *e = &map.entry[k];

			assert_true(e->base >= end && e->size);
			end = e->base + e->size;
			if (e->type == E820_RAM || e->type == E820_ACPI || e->type == E820_NVS)
				total += e->size;
			if (e->base >= LAYOUT_HIGH_RAM)
				high = e->size;
		}
		/* All RAM is told, but for the 385 KiB between the EBDA and 1 MiB. */
		assert_int_equal(total, sizes[i] - (MIB - LAYOUT_EBDA));
		assert_int_equal(high, sizes[i] > 2 * GIB ? sizes[i] - 2 * GIB : 0);
		assert_true(end <= LAYOUT_PCI64);
	}
}

/* ---- refusals ---------------------------------------------------------------------------- */

static void test_files(void **state)
{
	struct linux_setup_header *h = (void *)(bz + LINUX_SETUP_OFFSET);
	char path[80];
	size_t len = make_bzimage();

	(void)state;
	snprintf(path, sizeof(path), "%s/absent", dir);
	refuse(path, -ENOENT, "there is no file");
	refuse(dir, -EISDIR, "directory");
	refuse("/dev/null", -EINVAL, "not a regular file");
	refuse(put("empty", "", 0), -ENODATA, "is empty");
	refuse(put("junk", "hello, world", 12), -ENOEXEC, "not a Linux kernel");
	refuse(put("vmlinux.gz", "\x1f\x8b\x08\0\0\0", 6), -ENOEXEC, "gunzip");
	refuse(put("script", "#!/bin/sh\n", 10), -ENOEXEC, "script");
	refuse(put("disk.qcow2", "QFI\xfb\0\0\0\3", 8), -ENOEXEC, "qcow2");
	for (size_t cut = 1; cut < len; cut += cut < 0x700 ? 1 : 97)
		assert_int_equal(try_open(put("cut", bz, cut), NULL, 512 * MIB), -ENOEXEC);
	refuse(put("cut", bz, len - 100), -ENOEXEC, "cut short");
	h->code32_start = 0;
	refuse(put("bz16", bz, len), -ENOEXEC, "real mode");
	h->code32_start = LINUX_LOAD_HIGH;
	h->version = 0x0205;
	refuse(put("old", bz, len), -ENOEXEC, "2.05");
	memset(bz, 0, 64);
	memcpy(bz, "MZ", 2);
	memcpy(bz + 0x38, "ARM\x64", 4);
	memset(bz + 0x1f0, 0, 0x100);
	refuse(put("Image", bz, len), -ENOEXEC, "arm64");
}

static void test_elf_files(void **state)
{
	struct elf64_ehdr *eh = (void *)elf;
	struct elf64_phdr *ph = (void *)(elf + 64);
	size_t len = make_elf(PVH_PHYS32_ENTRY);

	(void)state;
	assert_int_equal(try_open(put("pvh", elf, len), NULL, 64 * MIB), 0);
	for (size_t cut = 4; cut < len; cut += 13)
		assert_int_equal(try_open(put("cut", elf, cut), NULL, 64 * MIB), -ENOEXEC);
	eh->machine = ELF_EM_AARCH64;
	refuse(put("vmlinux", elf, len), -ENOEXEC, "arm64");
	make_elf(1);
	refuse(put("vmlinux", elf, len), -ENOEXEC, "PVH");
	make_elf(PVH_PHYS32_ENTRY);
	ph[0].paddr = 0x1000;
	refuse(put("vmlinux", elf, len), -ENOEXEC, "no RAM");
	/* Each fits, all together cannot: zeroing a table of thousands of them would take hours. */
	make_elf(PVH_PHYS32_ENTRY);
	eh->phnum = 3;
	ph[0].memsz = 1200 * MIB;
	ph[2] = ph[0];
	refuse(put("vmlinux", elf, len), -ENOEXEC, "damaged");
	make_elf32();
	assert_int_equal(try_open(put("pvh32", elf, len), NULL, 64 * MIB), 0);
	for (size_t cut = 4; cut < len; cut += 13)
		assert_int_equal(try_open(put("cut", elf, cut), NULL, 64 * MIB), -ENOEXEC);
	/* Hostile numbers: nothing may be read outside the file. */
	for (unsigned i = 0; i < 20000; i++) {
		if (i & 1)
			make_elf(PVH_PHYS32_ENTRY);
		else
			make_elf32();
		elf[random() % 0x214] = (u8)random();
		elf[random() % 0x214] = (u8)random();
		try_open(put("fuzz", elf, len), NULL, 64 * MIB);
	}
}

static void test_fit(void **state)
{
	size_t len = make_bzimage();
	const char *kernel = put("bz", bz, len);
	char initrd[80];
	FILE *f;

	(void)state;
	/* 16 + 16 MiB and the ACPI region. */
	assert_int_equal(try_open(kernel, NULL, 32 * MIB), -ENOSPC);
	assert_non_null(strstr(fail_text(), "-m"));
	assert_int_equal(try_open(kernel, NULL, 33 * MIB), 0);
	assert_int_equal(try_open(kernel, NULL, 8 * MIB), -EINVAL);
	snprintf(initrd, sizeof(initrd), "%s/initrd", dir);
	f = fopen(initrd, "wb");
	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), 40 * MIB), 0);
	fclose(f);
	assert_int_equal(try_open(kernel, initrd, 64 * MIB), -ENOSPC);
	assert_non_null(strstr(fail_text(), "40 MiB"));
	assert_non_null(strstr(fail_text(), "64 MiB"));
	assert_non_null(strstr(fail_text(), "-m "));
	assert_int_equal(try_open(kernel, initrd, 73 * MIB), 0);
	/* A kernel that takes no initrd above itself has no room for one, however much RAM there
	 * is. */
	((struct linux_setup_header *)(void *)(bz + LINUX_SETUP_OFFSET))->initrd_addr_max =
		0xffffff;
	put("bz", bz, len);
	assert_int_equal(try_open(kernel, initrd, 512 * MIB), -ENOSPC);
	assert_non_null(strstr(fail_text(), "at most 0 MiB"));
	put("initrd", "", 0);
	assert_int_equal(try_open(kernel, initrd, 73 * MIB), -ENODATA);
}

static void test_cmdline(void **state)
{
	static char line[2049];
	size_t len = make_bzimage();
	struct boot_config cfg = {
		.kernel = put("bz", bz, len), .cmdline = line, .ram = 64 * MIB, .cpus = 1};
	struct boot *boot;

	(void)state;
	memset(line, 'a', 2048);
	assert_int_equal(boot_open(&cfg, &boot), -E2BIG);
	line[2047] = 0;
	assert_int_equal(boot_open(&cfg, &boot), 0);
	boot_close(boot);
}

/* ---- build ------------------------------------------------------------------------------- */

static void check_smbios(const struct board *board)
{
	const struct smbios_entry2 *e2 = at(board, MAP_SMBIOS2, sizeof(*e2));
	const struct smbios_entry3 *e3 = at(board, MAP_SMBIOS3, sizeof(*e3));
	const u8 *p = at(board, e3->table_address, e3->max_size), *end = p + e3->max_size;
	unsigned count = 0;
	u8 last = 0;

	assert_int_equal(sum(e2, sizeof(*e2)), 0);
	assert_int_equal(sum(e2->anchor2, 15), 0);
	assert_int_equal(sum(e3, sizeof(*e3)), 0);
	while (p < end) {
		last = p[0];
		p += p[1];
		while (p[0] || p[1])
			p++;
		p += 2;
		count++;
	}
	assert_ptr_equal(p, end);
	assert_int_equal(last, 127);
	assert_int_equal(count, e2->count);
}

static void check_linux(const struct board *board, const struct cpu_state *s, u64 ram)
{
	const struct linux_boot_params *bp = at(board, MAP_PARAMS, sizeof(*bp));
	const struct linux_setup_data *sd;
	const u64 *gdt;

	assert_int_equal(s->rip, 16 * MIB + 0x200);
	assert_int_equal(s->gpr[R_RSI], MAP_PARAMS);
	assert_int_equal(s->rflags, 2);
	assert_int_equal(s->seg[S_CS].sel, 0x10);
	assert_true(s->seg[S_CS].ar & AR_L);
	assert_int_equal(s->efer & 0x500, 0x500);
	gdt = at(board, s->gdt.base, s->gdt.limit + 1u);
	assert_int_equal(gdt[2], 0x00af9b000000ffffull);
	assert_int_equal(gdt[3], 0x00cf93000000ffffull);
	/* Walk the identity map at 3 GiB + 2 MiB. */
	assert_int_equal(
		ld64(at(board,
			(ld64(at(board, (ld64(at(board, s->cr3, 8)) & ~0xfffull) + 3 * 8, 8)) &
			 ~0xfffull) +
				8,
			8)),
		(3 * GIB + 2 * MIB) | 0x83);
	assert_int_equal(bp->hdr.boot_flag, 0xaa55);
	assert_int_equal(bp->hdr.type_of_loader, 0xff);
	assert_int_equal(bp->acpi_rsdp_addr, MAP_RSDP);
	assert_int_equal(bp->sentinel, 0);
	assert_int_equal(bp->e820_entries, ram > 2 * GIB ? 8 : 7);
	assert_string_equal(at(board, bp->hdr.cmd_line_ptr, 6), "quiet");
	assert_true(bp->hdr.ramdisk_image + bp->hdr.ramdisk_size <= e820_usable_top(ram));
	assert_true(e820_usable_top(ram) - bp->hdr.ramdisk_image < 8192);
	assert_memory_equal(at(board, bp->hdr.ramdisk_image, 5), "INITR", 5);
	/* A jump to the BIOS finds a way to reset: mov dx, 0xcf9 */
	assert_memory_equal(at(board, 0xffff0, 3), "\xba\xf9\x0c", 3);
	sd = at(board, bp->hdr.setup_data, sizeof(*sd));
	assert_int_equal(sd->type, 9);
	assert_int_equal(sd->next, 0);
}

static void test_linux(void **state)
{
	static const u64 sizes[] = {64 * MIB, 2 * GIB, 2049 * MIB};
	size_t len = make_bzimage();
	const char *kernel = put("bz", bz, len), *initrd = put("initrd", "INITRD", 6);
	const struct device_desc desc = {"PNP0103", 0, {{BOARD_RES_MMIO, LAYOUT_HPET, 0x400}}, 1};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		const struct boot_config cfg = {.kernel = kernel,
						.initrd = initrd,
						.cmdline = "quiet",
						.ram = sizes[i],
						.cpus = 2};
		const struct linux_boot_params *bp;
		struct board board;
		struct boot *boot;
		struct cpu_state s;

		board_fill(&board, sizes[i]);
		assert_int_equal(boot_open(&cfg, &boot), 0);
		assert_int_equal(boot_build(boot, &board, &desc, 1, &s), 0);
		check_linux(&board, &s, sizes[i]);
		check_smbios(&board);
		assert_memory_equal(at(&board, MAP_RSDP, 8), "RSD PTR ", 8);
		assert_memory_equal(at(&board, 16 * MIB, 4), "\xcc\xcc\xcc\xcc", 4);
		/* A reset, after the guest scribbled everywhere and the file's name is gone. */
		memset(board.ram.slot[0].host, 0xa5, 40 * MIB);
		unlink(kernel);
		assert_int_equal(boot_build(boot, &board, &desc, 1, &s), 0);
		check_linux(&board, &s, sizes[i]);
		check_smbios(&board);
		/* A file that was written in place is taken as it is now. */
		put("initrd", "longer initrd", 13);
		assert_int_equal(boot_build(boot, &board, &desc, 1, &s), 0);
		bp = at(&board, MAP_PARAMS, sizeof(*bp));
		assert_int_equal(bp->hdr.ramdisk_size, 13);
		assert_memory_equal(at(&board, bp->hdr.ramdisk_image, 13), "longer initrd", 13);
		put("initrd", "", 0);
		assert_int_equal(boot_build(boot, &board, &desc, 1, &s), -ENODATA);
		put("initrd", "INITRD", 6);
		put("bz", bz, len);
		boot_close(boot);
		ram_close(&board.ram);
	}
}

/* A kernel without a 64-bit entry, built at `code`, started at its 32-bit one. */
static void check_linux32(size_t len, u64 code)
{
	const struct boot_config cfg = {.kernel = put("bz32", bz, len),
					.initrd = put("initrd", "INITRD", 6),
					.cmdline = "quiet",
					.ram = 64 * MIB,
					.cpus = 1};
	const struct linux_boot_params *bp;
	struct board board;
	struct boot *boot;
	struct cpu_state s;
	const u64 *gdt;

	board_fill(&board, cfg.ram);
	assert_int_equal(boot_open(&cfg, &boot), 0);
	assert_int_equal(boot_build(boot, &board, NULL, 0, &s), 0);
	assert_int_equal(s.rip, code);
	assert_int_equal(s.gpr[R_RSI], MAP_PARAMS);
	assert_int_equal(s.gpr[R_RBP] | s.gpr[R_RDI] | s.gpr[R_RBX], 0);
	assert_int_equal(s.cr0 & 0x80000001, 1);
	assert_int_equal(s.efer, 0);
	assert_int_equal(s.rflags, 2);
	assert_int_equal(s.seg[S_CS].sel, 0x10);
	assert_int_equal(s.seg[S_CS].ar & (AR_L | AR_DB), AR_DB);
	assert_int_equal(s.seg[S_SS].sel, 0x18);
	gdt = at(&board, s.gdt.base, s.gdt.limit + 1u);
	assert_int_equal(gdt[2], 0x00cf9b000000ffffull);
	assert_int_equal(gdt[3], 0x00cf93000000ffffull);
	assert_memory_equal(at(&board, code, 4), "\xcc\xcc\xcc\xcc", 4);
	bp = at(&board, MAP_PARAMS, sizeof(*bp));
	assert_int_equal(bp->hdr.code32_start, code);
	assert_string_equal(at(&board, bp->hdr.cmd_line_ptr, 6), "quiet");
	assert_memory_equal(at(&board, bp->hdr.ramdisk_image, 5), "INITR", 5);
	boot_close(boot);
	ram_close(&board.ram);
}

static void test_linux32(void **state)
{
	struct linux_setup_header *h = (void *)(bz + LINUX_SETUP_OFFSET);
	size_t len = make_bzimage();

	(void)state;
	h->xloadflags = 0;
	check_linux32(len, 16 * MIB);
	/* Not relocatable: the fixed place, and what it unpacks to is reckoned where it runs. */
	h->relocatable_kernel = 0;
	check_linux32(len, MIB);
	h->init_size = 512 * MIB;
	refuse(put("bz32", bz, len), -ENOSPC, "give it -m");
	h->init_size = 16 * MIB;
	/* Before 2.12 there are no xloadflags, before 2.10 no pref_address. */
	h->xloadflags = XLF_KERNEL_64;
	h->version = 0x020b;
	h->relocatable_kernel = 1;
	check_linux32(len, 16 * MIB);
	h->version = 0x0206;
	h->kernel_alignment = MIB;
	check_linux32(len, MIB);
}

static void test_pvh(void **state)
{
	size_t len = make_elf(PVH_PHYS32_ENTRY);
	const struct boot_config cfg = {.kernel = put("pvh", elf, len),
					.initrd = put("initrd", "INITRD", 6),
					.cmdline = "quiet",
					.ram = 64 * MIB,
					.cpus = 1};
	const struct hvm_start_info *si;
	const struct hvm_modlist_entry *mod;
	const struct hvm_memmap_entry *mem;
	struct board board;
	struct boot *boot;
	struct cpu_state s;

	(void)state;
	board_fill(&board, cfg.ram);
	memset(board.ram.slot[0].host + 2 * MIB, 0xa5, 0x4000);
	assert_int_equal(boot_open(&cfg, &boot), 0);
	assert_int_equal(boot_build(boot, &board, NULL, 0, &s), 0);
	assert_int_equal(s.rip, 2 * MIB + 0x40);
	assert_int_equal(s.cr0 & 0x80000001, 1);
	assert_int_equal(s.cr4, 0);
	si = at(&board, s.gpr[R_RBX], sizeof(*si));
	assert_int_equal(si->magic, 0x336ec578);
	assert_int_equal(si->nr_modules, 1);
	assert_int_equal(si->memmap_entries, 7);
	mod = at(&board, si->modlist_paddr, sizeof(*mod));
	assert_int_equal(mod->size, 6);
	assert_memory_equal(at(&board, mod->paddr, 6), "INITRD", 6);
	mem = at(&board, si->memmap_paddr, sizeof(*mem) * 7);
	assert_int_equal(mem[0].type, 1);
	assert_string_equal(at(&board, si->cmdline_paddr, 6), "quiet");
	/* bss is zeroed, and no more than it. */
	assert_int_equal(*(const u8 *)at(&board, 2 * MIB + 0xff, 1), 0x90);
	assert_int_equal(*(const u8 *)at(&board, 2 * MIB + 0x100, 1), 0);
	assert_int_equal(*(const u8 *)at(&board, 2 * MIB + 0x2fff, 1), 0);
	assert_int_equal(*(const u8 *)at(&board, 2 * MIB + 0x3000, 1), 0xa5);
	boot_close(boot);
	ram_close(&board.ram);
}

/* A distribution's kernel, when the test cache has one. */
static void test_real(void **state)
{
	const char *kernel = getenv("HOLM_TEST_KERNEL");
	struct boot_config cfg = {
		.kernel = kernel, .cmdline = "console=ttyS0", .ram = 256 * MIB, .cpus = 4};
	const struct linux_boot_params *bp;
	struct board board;
	struct boot *boot;
	struct cpu_state s;

	(void)state;
	if (!kernel || access(kernel, R_OK))
		skip();
	board_fill(&board, cfg.ram);
	assert_int_equal(boot_open(&cfg, &boot), 0);
	assert_int_equal(boot_build(boot, &board, NULL, 0, &s), 0);
	bp = at(&board, MAP_PARAMS, sizeof(*bp));
	assert_int_equal(s.rip, bp->hdr.pref_address + 0x200);
	assert_true(bp->hdr.version >= 0x20c);
	/* Linux' 64-bit entry begins with cld; cli, on old ones, after an endbr. */
	assert_int_equal(*(const u8 *)at(&board, s.rip, 1), 0xfc);
	boot_close(boot);
	ram_close(&board.ram);
}

static int setup(void **state)
{
	(void)state;
	srandom(1);
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char cmd[64];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	return system(cmd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_e820),	  cmocka_unit_test(test_files),
		cmocka_unit_test(test_elf_files), cmocka_unit_test(test_fit),
		cmocka_unit_test(test_cmdline),	  cmocka_unit_test(test_linux),
		cmocka_unit_test(test_linux32),	  cmocka_unit_test(test_pvh),
		cmocka_unit_test(test_real),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
