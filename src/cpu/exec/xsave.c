/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xsave: instructions that move x87, SSE and AVX state as a whole: FXSAVE, FXRSTOR, LDMXCSR,
 * STMXCSR, the XSAVE family, XGETBV, XSETBV. SDM 1 chapters 10.5 and 13.
 *
 * Components known here: 0 x87, 1 SSE, 2 AVX. XINUSE goes by value: a component is in use when it
 * differs from its initial configuration. The modified optimisation is not used. AVX sits at byte
 * 576 in both the standard and the compacted format.
 *
 * Everything that may fault is done before state or memory changes.
 *
 * Entered from the run loop through the form table. Context: vcpu.
 */
#include "cpu/exec/x87.h"

#include "cpu/exec/body.h"

/* --- areas --- */

#define XS_X87	   BIT64(0)
#define XS_SSE	   BIT64(1)
#define XS_AVX	   BIT64(2)
#define XS_COMPACT BIT64(63)

#define FX_SIZE	       512u
#define FX_MXCSR       24u
#define FX_MXCSR_MASK  28u
#define FX_ST	       32u
#define FX_XMM	       160u
#define XS_HEADER      512u
#define XS_HEADER_SIZE 64u
#define XS_YMM	       576u
#define XS_SIZE	       832u

/* Vector registers an instruction reaches in this mode. */
static always_inline unsigned vec_regs(const struct cpu *c)
{
	return c->mode & MODE_64 ? 16 : 8;
}

/* --- x87 legacy region: bytes 0..23 and 32..159 --- */

static void area_put_x87(u8 *area, const struct cpu_fpu *f, bool hidden, bool w64)
{
	st16(area, f->fcw);
	st16(area + 2, f->fsw);
	st16(area + 4, f->ftw);
	st16(area + 6, hidden ? 0 : f->fop);
	st64(area + 8, hidden ? 0 : w64 ? f->fip : (u32)f->fip | (u64)f->fcs << 32);
	st64(area + 16, hidden ? 0 : w64 ? f->fdp : (u32)f->fdp | (u64)f->fds << 32);
	__builtin_memcpy(area + FX_ST, f->st, sizeof(f->st));
}

static void area_get_x87(const u8 *area, struct cpu_fpu *f, bool w64)
{
	f->fcw = ld16(area);
	f->fsw = ld16(area + 2);
	f->ftw = area[4];
	f->fop = ld16(area + 6) & X87_FOP_MASK;
	f->fip = w64 ? ld64(area + 8) : ld32(area + 8);
	f->fdp = w64 ? ld64(area + 16) : ld32(area + 16);
	f->fcs = w64 ? 0 : ld16(area + 12);
	f->fds = w64 ? 0 : ld16(area + 20);
	__builtin_memcpy(f->st, area + FX_ST, sizeof(f->st));
}

static void x87_initial(struct cpu_fpu *f)
{
	u32 mxcsr = f->mxcsr;

	__builtin_memset(f, 0, sizeof(*f));
	f->fcw = X87_FCW_INIT;
	f->mxcsr = mxcsr;
}

static void area_put_mxcsr(u8 *area, u32 mxcsr)
{
	st32(area + FX_MXCSR, mxcsr);
	st32(area + FX_MXCSR_MASK, X87_MXCSR_MASK);
}

/* half: 0 XMM, 1 the upper halves */
static void area_put_vec(const struct cpu *c, u8 *to, unsigned half)
{
	for (unsigned i = 0; i < vec_regs(c); i++)
		__builtin_memcpy(to + i * 16, c->s.ymm[i] + half * 16, 16);
}

static void area_get_vec(struct cpu *c, const u8 *from, unsigned half)
{
	for (unsigned i = 0; i < vec_regs(c); i++)
		__builtin_memcpy(c->s.ymm[i] + half * 16, from + i * 16, 16);
}

static void vec_clear(struct cpu *c, unsigned half)
{
	for (unsigned i = 0; i < vec_regs(c); i++)
		__builtin_memset(c->s.ymm[i] + half * 16, 0, 16);
}

/* Writes area[from, to) to the guest at la + from; the caller has probed. */
static always_inline void area_write(struct cpu *c, u64 la, const u8 *area, unsigned from,
				     unsigned to)
{
	mem_st_vec(c, la + from, area + from, to - from, 0);
}

static u64 area_addr(struct cpu *c, const struct insn *in, unsigned size, unsigned align,
		     enum cpu_access acc)
{
	u64 la = mem_addr(c, in, size, acc);

	if (la & (align - 1))
		cpu_gp0(c);
	return la;
}

/* --- MXCSR --- */

static u32 mxcsr_get(const struct cpu *c)
{
	u32 v;

	if (!c->fpu_live)
		return c->s.fpu.mxcsr;
	__asm__ volatile("stmxcsr %0" : "=m"(v));
	return v;
}

static void mxcsr_set(struct cpu *c, u32 v)
{
	if (c->fpu_live)
		__asm__ volatile("ldmxcsr %0" : : "m"(v));
	else
		c->s.fpu.mxcsr = v;
}

static u32 mxcsr_checked(struct cpu *c, u32 v)
{
	if (v & ~X87_MXCSR_MASK)
		cpu_gp0(c);
	return v;
}

static void ldmxcsr(struct cpu *c, const struct insn *in)
{
	u32 v = (u32)mem_ld(c, mem_addr(c, in, 4, ACC_READ), 4);

	mxcsr_set(c, mxcsr_checked(c, v));
}

static void stmxcsr(struct cpu *c, const struct insn *in)
{
	u64 la = mem_addr(c, in, 4, ACC_WRITE);

	mem_st(c, la, 4, mxcsr_get(c));
}

/* --- FXSAVE, FXRSTOR; without CR4.OSFXSR they leave SSE state alone --- */

static void fxsave(struct cpu *c, const struct insn *in)
{
	u64 la = area_addr(c, in, FX_SIZE, 16, ACC_WRITE);
	u8 area[FX_SIZE];
	struct cpu_fpu f;
	bool hidden;

	mem_probe(c, la, FX_SIZE, ACC_WRITE);
	fpu_need(c);
	fpu_snapshot(c, &f, &hidden);
	area_put_x87(area, &f, hidden, in->pfx & PFX_W);
	if (!(c->mode & MODE_OSFXSR)) {
		area_write(c, la, area, 0, FX_MXCSR);
		area_write(c, la, area, FX_ST, FX_XMM);
		return;
	}
	area_put_mxcsr(area, f.mxcsr);
	area_put_vec(c, area + FX_XMM, 0);
	area_write(c, la, area, 0, FX_XMM + vec_regs(c) * 16);
}

static void fxrstor(struct cpu *c, const struct insn *in)
{
	u64 la = area_addr(c, in, FX_SIZE, 16, ACC_READ);
	u8 area[FX_SIZE];
	u32 mxcsr;

	mem_ld_bytes(c, la, area, FX_SIZE);
	if (c->mode & MODE_OSFXSR) {
		mxcsr = mxcsr_checked(c, ld32(area + FX_MXCSR));
		area_get_vec(c, area + FX_XMM, 0);
	} else {
		mxcsr = mxcsr_get(c);
	}
	area_get_x87(area, &c->s.fpu, in->pfx & PFX_W);
	c->s.fpu.mxcsr = mxcsr;
	fpu_load(c);
}

/* --- the XSAVE family: what is in use --- */

static bool bytes_zero(const void *p, size_t n)
{
	const u8 *b = p;
	u64 any = 0;

	for (size_t i = 0; i < n; i += 8)
		any |= ld64(b + i);
	return !any;
}

/* x87: FNINIT's values and zero registers; vectors: any bit set. MXCSR is left out, as the
 * instructions treat it each in their own way. */
static u64 xinuse(const struct cpu *c, const struct cpu_fpu *f, bool hidden)
{
	u64 in_use = 0, lo = 0, hi = 0;

	if (f->fcw != X87_FCW_INIT || f->fsw || f->ftw || !bytes_zero(f->st, sizeof(f->st)) ||
	    (!hidden && (f->fip || f->fdp || f->fop || f->fcs || f->fds)))
		in_use |= XS_X87;
	for (unsigned i = 0; i < 16; i++) {
		lo |= ld64(c->s.ymm[i]) | ld64(c->s.ymm[i] + 8);
		hi |= ld64(c->s.ymm[i] + 16) | ld64(c->s.ymm[i] + 24);
	}
	return in_use | (lo ? XS_SSE : 0) | (hi ? XS_AVX : 0);
}

static u64 xinuse_mxcsr(const struct cpu *c, const struct cpu_fpu *f, bool hidden)
{
	return xinuse(c, f, hidden) | (f->mxcsr != X87_MXCSR_INIT ? XS_SSE : 0);
}

static void xs_enter(struct cpu *c)
{
	if (!(c->mode & MODE_OSXSAVE))
		cpu_ud(c);
	if (c->mode & MODE_TS)
		cpu_raise(c, EXC_NM);
}

static u64 edx_eax(const struct cpu *c)
{
	return (u32)c->r[R_RAX] | c->r[R_RDX] << 32;
}

/* --- saving --- */

/* Writes the components of `set`, and MXCSR if asked for. */
static void xs_write(struct cpu *c, u64 la, const struct cpu_fpu *f, bool hidden, u64 set,
		     bool mxcsr, bool w64)
{
	unsigned vec_bytes = vec_regs(c) * 16;
	u8 area[XS_SIZE];

	if (set & XS_X87) {
		area_put_x87(area, f, hidden, w64);
		area_write(c, la, area, 0, FX_MXCSR);
		area_write(c, la, area, FX_ST, FX_XMM);
	}
	if (mxcsr) {
		area_put_mxcsr(area, f->mxcsr);
		area_write(c, la, area, FX_MXCSR, FX_ST);
	}
	if (set & XS_SSE) {
		area_put_vec(c, area + FX_XMM, 0);
		area_write(c, la, area, FX_XMM, FX_XMM + vec_bytes);
	}
	if (set & XS_AVX) {
		area_put_vec(c, area + XS_YMM, 1);
		area_write(c, la, area, XS_YMM, XS_YMM + vec_bytes);
	}
}

static u64 xs_probe(struct cpu *c, const struct insn *in, u64 rfbm)
{
	unsigned size = rfbm & XS_AVX ? XS_YMM + vec_regs(c) * 16 : XS_YMM;
	u64 la = area_addr(c, in, size, 64, ACC_WRITE);

	mem_probe(c, la, size, ACC_WRITE);
	return la;
}

/* XSAVE and XSAVEOPT: standard format; the latter skips what is in its initial configuration. */
static always_inline void xs_save(struct cpu *c, const struct insn *in, bool optimised)
{
	u64 rfbm, la, used, bv;
	struct cpu_fpu f;
	bool hidden;

	xs_enter(c);
	rfbm = edx_eax(c) & c->s.xcr0;
	la = xs_probe(c, in, rfbm);
	bv = mem_ld(c, la + XS_HEADER, 8);
	fpu_need(c);
	fpu_snapshot(c, &f, &hidden);
	used = xinuse(c, &f, hidden) & rfbm;
	xs_write(c, la, &f, hidden, optimised ? used : rfbm, rfbm & (XS_SSE | XS_AVX),
		 in->pfx & PFX_W);
	mem_st(c, la + XS_HEADER, 8, (bv & ~rfbm) | used);
}

/* XSAVEC and XSAVES: compacted format. */
static always_inline void xs_save_compact(struct cpu *c, const struct insn *in, u64 enabled)
{
	u64 rfbm, la, used;
	struct cpu_fpu f;
	bool hidden;
	u8 header[16];

	xs_enter(c);
	rfbm = edx_eax(c) & enabled;
	la = xs_probe(c, in, rfbm);
	fpu_need(c);
	fpu_snapshot(c, &f, &hidden);
	used = xinuse_mxcsr(c, &f, hidden) & rfbm;
	xs_write(c, la, &f, hidden, used, used & XS_SSE, in->pfx & PFX_W);
	st64(header, used);
	st64(header + 8, rfbm | XS_COMPACT);
	mem_st_bytes(c, la + XS_HEADER, header, sizeof(header));
}

static void xsave(struct cpu *c, const struct insn *in)
{
	xs_save(c, in, false);
}
static void xsaveopt(struct cpu *c, const struct insn *in)
{
	xs_save(c, in, true);
}
static void xsavec(struct cpu *c, const struct insn *in)
{
	xs_save_compact(c, in, c->s.xcr0);
}
static void xsaves(struct cpu *c, const struct insn *in)
{
	if (c->cpl)
		cpu_gp0(c);
	xs_save_compact(c, in, c->s.xcr0 | c->s.xss);
}

/* --- restoring --- */

struct xs_restore {
	u64 rfbm, bv;
	u8 area[XS_SIZE];
	bool compact;
	bool set_mxcsr;
	u32 mxcsr;
};

static void xs_header(struct cpu *c, struct xs_restore *x, u64 la, u64 enabled, bool want_compact)
{
	u8 *h = x->area + XS_HEADER;
	u64 comp;

	if (unlikely(!tlb_read(c, la, 1))) /* also where nothing of it will be loaded */
		mem_probe(c, la, 1, ACC_READ);
	mem_ld_bytes(c, la + XS_HEADER, h, XS_HEADER_SIZE);
	x->bv = ld64(h);
	comp = ld64(h + 8);
	x->compact = comp >> 63;
	if (x->compact) {
		if (!(c->model->features & (CPU_FEAT_BIT(XSAVEC) | CPU_FEAT_BIT(XSAVES))))
			cpu_gp0(c);
		comp &= ~XS_COMPACT;
		if ((comp & ~enabled) || (x->bv & ~comp) || !bytes_zero(h + 16, 48))
			cpu_gp0(c);
	} else if (want_compact || (x->bv & ~enabled) || !bytes_zero(h + 8, 16)) {
		cpu_gp0(c);
	}
}

/* Reads what will be loaded; all faults happen here. */
static void xs_read(struct cpu *c, struct xs_restore *x, u64 la)
{
	u64 load = x->rfbm & x->bv;
	unsigned vec_bytes = vec_regs(c) * 16;
	u64 mxcsr_from = x->compact ? load & XS_SSE : x->rfbm & (XS_SSE | XS_AVX);

	if (load & XS_X87)
		mem_ld_bytes(c, la, x->area, FX_XMM);
	if (load & XS_SSE)
		mem_ld_bytes(c, la + FX_XMM, x->area + FX_XMM, vec_bytes);
	if (load & XS_AVX)
		mem_ld_bytes(c, la + XS_YMM, x->area + XS_YMM, vec_bytes);
	x->set_mxcsr = mxcsr_from || (x->compact && (x->rfbm & XS_SSE));
	x->mxcsr = X87_MXCSR_INIT;
	if (mxcsr_from)
		x->mxcsr = mxcsr_checked(c, (u32)mem_ld(c, la + FX_MXCSR, 4));
}

static void xs_load_vec(struct cpu *c, const struct xs_restore *x, u64 comp, unsigned at,
			unsigned half)
{
	if (!(x->rfbm & comp))
		return;
	if (x->bv & comp)
		area_get_vec(c, x->area + at, half);
	else
		vec_clear(c, half);
}

static void xs_load(struct cpu *c, struct xs_restore *x, bool w64)
{
	xs_load_vec(c, x, XS_SSE, FX_XMM, 0);
	xs_load_vec(c, x, XS_AVX, XS_YMM, 1);
	if (x->set_mxcsr)
		mxcsr_set(c, x->mxcsr);
	if (!(x->rfbm & XS_X87))
		return;
	c->s.fpu.mxcsr = mxcsr_get(c);
	if (x->bv & XS_X87)
		area_get_x87(x->area, &c->s.fpu, w64);
	else
		x87_initial(&c->s.fpu);
	fpu_load(c);
}

static void xs_restore(struct cpu *c, const struct insn *in, u64 enabled, bool want_compact)
{
	struct xs_restore x;
	u64 la;

	xs_enter(c);
	x.rfbm = edx_eax(c) & enabled;
	la = area_addr(c, in, XS_YMM, 64, ACC_READ);
	xs_header(c, &x, la, enabled, want_compact);
	xs_read(c, &x, la);
	xs_load(c, &x, in->pfx & PFX_W);
}

static void xrstor(struct cpu *c, const struct insn *in)
{
	xs_restore(c, in, c->s.xcr0, false);
}
static void xrstors(struct cpu *c, const struct insn *in)
{
	if (c->cpl)
		cpu_gp0(c);
	xs_restore(c, in, c->s.xcr0 | c->s.xss, true);
}

/* --- XCR0 --- */

static void xgetbv(struct cpu *c, const struct insn *in unused_arg)
{
	u32 n = (u32)c->r[R_RCX];
	u64 v = c->s.xcr0;
	struct cpu_fpu f;
	bool hidden;

	if (!(c->mode & MODE_OSXSAVE))
		cpu_ud(c);
	if (n == 1 && (c->model->features & CPU_FEAT_BIT(XGETBV1))) {
		fpu_need(c);
		fpu_snapshot(c, &f, &hidden);
		v &= xinuse_mxcsr(c, &f, hidden);
	} else if (n) {
		cpu_gp0(c);
	}
	c->r[R_RAX] = (u32)v;
	c->r[R_RDX] = v >> 32;
}

static void xsetbv(struct cpu *c, const struct insn *in)
{
	u64 v = edx_eax(c);

	if (!(c->mode & MODE_OSXSAVE))
		cpu_ud(c);
	if (c->cpl || (u32)c->r[R_RCX] || !(v & XS_X87) || (v & ~c->model->xcr0) ||
	    (v & (XS_SSE | XS_AVX)) == XS_AVX)
		cpu_gp0(c);
	c->s.xcr0 = v;
	cpu_update_mode(c);
	c->rip = cpu_next_rip(c, in);
}

BODY_ONE(ldmxcsr, ldmxcsr)
BODY_ONE(stmxcsr, stmxcsr)
BODY_ONE(fxsave, fxsave)
BODY_ONE(fxrstor, fxrstor)
BODY_ONE(xsave, xsave)
BODY_ONE(xsaveopt, xsaveopt)
BODY_ONE(xsavec, xsavec)
BODY_ONE(xsaves, xsaves)
BODY_ONE(xrstor, xrstor)
BODY_ONE(xrstors, xrstors)
BODY_ONE(xgetbv, xgetbv)
BODY_ONE(xsetbv, xsetbv)
