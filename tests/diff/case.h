/* SPDX-License-Identifier: Apache-2.0 */
/*
 * case: one instruction with all the state it starts from, and what came out of it.
 *
 * The sandbox: two code pages, then a hole; four data pages with a hole on both sides, the last of
 * them read-only. It lies at the same low linear address for the host CPU and for the interpreter,
 * so that code of every width reaches it.
 *
 * Entered by: all files of tests/diff. Plain data, shared between the two processes.
 */
#ifndef DIFF_CASE_H
#define DIFF_CASE_H

#include <string.h>

#include "cpu/cpu.h"

#define BOX_BASE      0x20000000u /* 2 MiB aligned: one page table */
#define BOX_SIZE      0x200000u
#define BOX_CODE      BOX_BASE
#define BOX_CODE_SIZE 0x2000u
#define BOX_DATA      (BOX_BASE + 0x10000u)
#define BOX_DATA_SIZE 0x4000u
#define BOX_RO	      (BOX_DATA + 0x3000u)
#define BOX_FS	      (BOX_DATA + 0x0400u) /* FS and GS bases in 64-bit mode */
#define BOX_GS	      (BOX_DATA + 0x0900u)

/* Linux's user selectors on x86-64. */
#define SEL_CS64 0x33u
#define SEL_CS32 0x23u
#define SEL_DATA 0x2bu

enum diff_mode { DM_64, DM_32, DM_COUNT };

struct diff_regs {
	u64 gpr[16], rip, rflags, fs_base, gs_base;
	u64 fip, fdp;
	u32 mxcsr;
	u16 fcw, fsw, fop;
	u8 ftw, spare;
	u8 st[8][16];
	u8 ymm[16][32];
};

#define PATCH_A 896u
#define PATCH_B 64u

struct diff_case {
	u64 index;
	struct diff_regs r;
	u32 at_a, len_a, at_b, len_b; /* memory contents laid over the pattern */
	u8 mode;		      /* enum diff_mode */
	u8 code_len;
	u8 flush; /* interpreter: without TLB entries */
	u8 spare;
	u16 form; /* the form meant */
	u8 code[16];
	u8 a[PATCH_A], b[PATCH_B];
};

#define LINES	  16u
#define TRAP_NONE 0xffu

struct diff_result {
	struct diff_regs r;
	u64 cr2;
	u32 error;
	u8 trap; /* vector, TRAP_NONE: went on to r.rip */
	u16 lines;
	u64 hash; /* over all changed lines */
	struct {
		u32 at;
		u8 b[64];
	} line[LINES];
};

#define BATCH 128u

struct diff_shared {
	u32 turn;  /* futex: even: the parent's, odd: the child's */
	u32 count; /* cases in this batch */
	u32 done;
	bool has_fs;
	struct diff_case k[2][BATCH];
	struct diff_result out[2][BATCH];
};

/* Memory: the pattern, the case's patches, and what an instruction changed (then undone). */
void box_pattern(u8 *data);
static inline void box_patch(u8 *data, const struct diff_case *k)
{
	if (k->len_a)
		__builtin_memcpy(data + (k->at_a - BOX_DATA), k->a, k->len_a);
	if (k->len_b)
		__builtin_memcpy(data + (k->at_b - BOX_DATA), k->b, k->len_b);
}
static inline void box_hash(struct diff_result *out, u32 at, const u8 *line)
{
	for (unsigned i = 0; i < 64; i += 8)
		out->hash = (out->hash ^ ld64(line + i)) * 0x2545f4914f6cdd1dull + at;
}
void box_collect(u8 *data, const u8 *pattern, struct diff_result *out);

#endif
