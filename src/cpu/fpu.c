/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fpu: moves the guest's x87 registers and MXCSR in and out of the host's.
 *
 * The instruction and data pointers never come from the host's registers: natively they would name
 * the stubs. The bodies note the guest's in c->x87_*. The host's FIP only serves as a witness: it
 * is loaded as FIP_WITNESS, and a CPU whose FXSAVE then stores 0 hides the pointers.
 *
 * fpu_fixup() is in exec/simd_thunk.c, next to the other stubs' bounds.
 *
 * Entered by: the run loop, the x87, MMX and SSE bodies. Owns nothing.
 * Trusts: c->s.fpu up to reserved bits, which are dropped here.
 */
#include "cpu/fpu.h"

#include "cpu/exec/x87.h"

/* --- images (FXSAVE64 layout, SDM 1 table 10-2) --- */

#define FIP_WITNESS 1u

struct fx_image {
	u8 b[512];
} __attribute__((aligned(16)));

static void fx_store(struct fx_image *fx)
{
	st64(fx->b + 8, 0); /* older AMD CPUs leave hidden pointers unwritten */
	__asm__ volatile("fxsave64 %0" : "+m"(*fx));
}

static void fx_read(const struct cpu *c, const struct fx_image *fx, struct cpu_fpu *out)
{
	out->fcw = ld16(fx->b);
	out->fsw = ld16(fx->b + 2);
	out->ftw = fx->b[4];
	out->mxcsr = ld32(fx->b + 24);
	__builtin_memcpy(out->st, fx->b + 32, sizeof(out->st));
	out->fip = c->x87_rip;
	out->fdp = c->x87_dp;
	out->fop = c->x87_op;
	out->fcs = c->x87_cs;
	out->fds = c->x87_ds;
}

void fpu_snapshot(const struct cpu *c, struct cpu_fpu *out, bool *hidden)
{
	struct fx_image fx;

	fx_store(&fx);
	fx_read(c, &fx, out);
	*hidden = ld64(fx.b + 8) == 0;
}

/* --- in and out --- */

void fpu_store(struct cpu *c)
{
	struct fx_image fx;
	u32 mxcsr = X87_MXCSR_INIT;

	if (!c->fpu_live)
		return;
	fx_store(&fx);
	fx_read(c, &fx, &c->s.fpu);
	__asm__ volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
	c->fpu_live = false;
}

void fpu_load(struct cpu *c)
{
	const struct cpu_fpu *f = &c->s.fpu;
	struct fx_image fx;

	st16(fx.b, f->fcw);
	st16(fx.b + 2, f->fsw);
	st16(fx.b + 4, f->ftw);
	st16(fx.b + 6, f->fop & X87_FOP_MASK);
	st64(fx.b + 8, FIP_WITNESS);
	st64(fx.b + 16, 0);
	st32(fx.b + 24, f->mxcsr & X87_MXCSR_MASK);
	st32(fx.b + 28, 0);
	__builtin_memcpy(fx.b + 32, f->st, sizeof(f->st));
	/* FXRSTOR is the quickest way; what it leaves in XMM does not matter to a C caller. */
	__asm__ volatile("fxrstor64 (%0)"
			 :
			 : "r"(fx.b)
			 : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
			   "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	c->x87_rip = f->fip;
	c->x87_dp = f->fdp;
	c->x87_op = f->fop & X87_FOP_MASK;
	c->x87_cs = f->fcs;
	c->x87_ds = f->fds;
	c->fpu_live = true;
}
