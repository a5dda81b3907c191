/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel: boot/ with a kernel file made of the input: bzImage, PVH ELF, or something foreign.
 *
 * Input: RAM size, initrd size, CPUs and command line length in 8 bytes, then the file. What opens
 * is built into guest memory twice, as at a start and a reset; what does not must say why.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "board/layout.h"
#include "boot/boot.h"
#include "boot/e820.h"
#include "fuzz.h"
#include "host/fail.h"

#define HEAD	   8u
#define MIB	   (1ull << 20)
#define CMDLINE	   4096u
#define INITRD_MAX 0x40000u

/* A file without a place on a disk; opened again by the path in /proc. */
static int file_open(const char *name, const u8 *data, size_t size, size_t whole, char path[32])
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	ASSERT(fd >= 0, "memfd_create failed");
	if (whole)
		ASSERT(!ftruncate(fd, (off_t)whole), "ftruncate failed");
	if (size)
		ASSERT(pwrite(fd, data, size, 0) == (ssize_t)size, "pwrite failed");
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

static void ram_fill(struct ram *ram, u64 size)
{
	u64 low = e820_low_top(size);

	ASSERT(!ram_open(ram), "ram");
	ASSERT(!ram_add(ram, 0, low, RAM_KIND_RAM, "low"), "ram");
	if (size > low)
		ASSERT(!ram_add(ram, LAYOUT_HIGH_RAM, size - low, RAM_KIND_RAM, "high"), "ram");
}

/* An ELF file may ask for 2 GiB of zeroes, which takes seconds: those are only opened when the
 * machine is large enough to have them. */
static bool builds_quickly(const struct fuzz_in *file, u64 ram)
{
	return ram <= 64 * MIB || !file->left || file->at[0] != 0x7f;
}

static void build(struct boot *boot, u64 size)
{
	struct cpu_state bsp;
	struct board board;

	memset(&board, 0, sizeof(board));
	ram_fill(&board.ram, size);
	for (unsigned i = 0; i < 2; i++) {
		ASSERT(!boot_build(boot, &board, NULL, 0, &bsp), "what opened does not build");
		ASSERT(ram_ptr(&board.ram, bsp.rip, 1), "the first instruction is outside memory");
	}
	ram_close(&board.ram);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const u64 sizes[] = {16 * MIB,	32 * MIB,   64 * MIB,
				    2048 * MIB, 2049 * MIB, 6144 * MIB};
	struct fuzz_in in = {data, size};
	char kernel[32], initrd[32], cmdline[CMDLINE];
	u64 ram = sizes[fuzz_u8(&in) % ARRAY_LEN(sizes)];
	u8 cpus = fuzz_u8(&in);
	u32 initrd_size = fuzz_u32(&in);
	u16 length = fuzz_u16(&in) % CMDLINE;
	struct boot_config config = {.kernel = kernel, .cmdline = cmdline, .ram = ram};
	struct boot *boot = NULL;
	int kernel_fd, initrd_fd = -1, rc;

	config.cpus = cpus % 64 + 1;
	memset(cmdline, 'a', length);
	cmdline[length] = '\0';
	kernel_fd = file_open("kernel", in.at, in.left, 0, kernel);
	if (initrd_size) {
		initrd_fd = file_open("initrd", NULL, 0, initrd_size % INITRD_MAX, initrd);
		config.initrd = initrd;
	}
	fail_clear();
	rc = boot_open(&config, &boot);
	if (rc)
		ASSERT(fail_text()[0], "refused without a sentence");
	else if (builds_quickly(&in, ram))
		build(boot, ram);
	if (!rc)
		boot_close(boot);
	close(kernel_fd);
	if (initrd_fd >= 0)
		close(initrd_fd);
	return 0;
}
