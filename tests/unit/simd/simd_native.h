/* SPDX-License-Identifier: Apache-2.0 */
/* simd_native: runs one instruction on the host with all registers chosen; the oracle of test_simd.
 */
#ifndef TESTS_UNIT_SIMD_NATIVE_H
#define TESTS_UNIT_SIMD_NATIVE_H

#include "lib/types.h"

struct native_state {
	u64 gpr[16]; /* RSP is not loaded */
	u64 flags;
	u64 fault; /* signal number, 0 if none */
	u8 ymm[16][32];
	u8 fx[512] __attribute__((aligned(16)));
};

/* Maps the code page and takes SIGFPE, SIGILL, SIGSEGV; `fixup` is asked first. */
void native_open(u64 (*fixup)(u64 rip));
void native_run(struct native_state *st, const u8 *insn, unsigned len);

#endif
