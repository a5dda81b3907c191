/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd_thunk: what the stubs cannot do: raising, and getting out of a SIGFPE.
 *
 * Entered by: the thunk bodies; fpu_fixup from the owner of SIGFPE (a signal handler).
 * Context: vcpu.
 */
#include "cpu/exec/simd_thunk.h"
#include "cpu/x87_thunks.h"

void thunk_failed(struct cpu *c, bool mmx)
{
	if (mmx && x87_fsw() & X87_FSW_ES) {
		x87_pending(c);
		return;
	}
	cpu_raise(c, c->s.cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
}

void thunk_mm_get(struct cpu *c, unsigned n, u64 *v)
{
	thunk_fn *stub = (thunk_fn *)(void *)(u64)(thunk_mm_store + n * T_MM_STRIDE);

	while (unlikely(stub(NULL, v, NULL, NULL, NULL, NULL) < 0))
		thunk_failed(c, true);
}

u64 fpu_fixup(u64 rip)
{
	if (rip >= (u64)thunk_text_start && rip < (u64)thunk_text_avx)
		return (u64)thunk_fault;
	if (rip >= (u64)thunk_text_avx && rip < (u64)thunk_text_end)
		return (u64)thunk_fault_avx;
	if (rip >= (u64)x87_thunk_start && rip < (u64)x87_thunk_end)
		return (u64)x87_thunk_fault;
	return 0;
}
