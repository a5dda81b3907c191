/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msr: RDMSR and WRMSR: the table msrs.def, the few with side effects, then the engine's own.
 *
 * Unknown MSRs are #GP(0), as on hardware. Entered from the run loop.
 */
#include "cpu/exec/system.h"
#include "cpu/mem.h"

static bool canonical(u64 v)
{
	return (u64)((s64)(v << 16) >> 16) == v;
}

/* --- MTRRs: kept, without effect on a machine that caches nothing --- */

static u64 *mtrr_slot(struct cpu *c, u32 msr)
{
	static const u32 fixed[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
				    0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
	if (msr == MSR_MTRR_DEF_TYPE)
		return &c->s.mtrr_def;
	if (msr >= MSR_MTRR_PHYSBASE0 && msr < MSR_MTRR_PHYSBASE0 + 16)
		return &c->s.mtrr_var[msr - MSR_MTRR_PHYSBASE0];
	for (unsigned i = 0; i < ARRAY_LEN(fixed); i++)
		if (fixed[i] == msr)
			return &c->s.mtrr_fix[i];
	return NULL;
}

static bool memory_type_ok(u8 type, bool pat)
{
	return type == 0 || type == 1 || type == 4 || type == 5 || type == 6 || (pat && type == 7);
}

static int mtrr_write(struct cpu *c, u32 msr, u64 v)
{
	u64 phys = mask64(c->model->maxphyaddr);
	if (msr == MSR_MTRR_DEF_TYPE) {
		if (v & ~0xcffull || !memory_type_ok((u8)v, false))
			return -1;
	} else if (msr >= MSR_MTRR_PHYSBASE0 && msr < MSR_MTRR_PHYSBASE0 + 16) {
		if (msr & 1 ? v & ~(phys & ~0x7ffull) : v & ~(phys & ~0xf00ull))
			return -1;
		if (!(msr & 1) && !memory_type_ok((u8)v, false))
			return -1;
	} else {
		for (unsigned i = 0; i < 64; i += 8)
			if (!memory_type_ok((u8)(v >> i), false))
				return -1;
	}
	*mtrr_slot(c, msr) = v;
	return 0;
}

/* --- with side effects --- */

static int efer_write(struct cpu *c, u64 v)
{
	struct cpuid_regs ext = cpu_model_cpuid(c->model, 0x80000001, 0);
	u64 allowed = (ext.edx & BIT(11) ? EFER_SCE : 0) | (ext.edx & BIT(20) ? EFER_NXE : 0) |
		      (ext.edx & BIT(29) ? EFER_LME | EFER_LMA : 0);
	u64 old = c->s.efer;
	if (v & ~allowed)
		return -1;
	if ((old ^ v) & EFER_LME && c->s.cr0 & CR0_PG)
		return -1;
	c->s.efer = (v & ~(u64)EFER_LMA) | (old & EFER_LMA);
	if ((old ^ v) & EFER_NXE)
		tlb_flush_all(c);
	cpu_update_mode(c);
	return 0;
}

static int pat_write(struct cpu *c, u64 v)
{
	for (unsigned i = 0; i < 64; i += 8)
		if (!memory_type_ok((u8)(v >> i), true))
			return -1;
	c->s.pat = v;
	return 0;
}

static int base_write(struct cpu *c, unsigned seg, u64 v)
{
	if (!canonical(v))
		return -1;
	c->s.seg[seg].base = v;
	cpu_update_mode(c);
	return 0;
}

/* --- the two instructions --- */

enum msr_rule { ANY, CANON, U32, DBGCTL };
static bool rule_ok(enum msr_rule rule, u64 v)
{
	switch (rule) {
	case CANON: return canonical(v);
	case U32: return !(v >> 32);
	case DBGCTL: return !(v & ~(u64)(DEBUGCTL_LBR | DEBUGCTL_BTF));
	case ANY: break;
	}
	return true;
}

int msr_read(struct cpu *c, u32 msr, u64 *v)
{
	const u64 *slot = mtrr_slot(c, msr);
	if (slot) {
		*v = *slot;
		return 0;
	}
	switch (msr) {
		/* clang-format off */
#define FIELD(number, field, rule) case number: *v = c->s.field; return 0;
#define FIXED(number, value, writable) case number: *v = (value); return 0;
#include "cpu/msrs.def"
	/* clang-format on */
	case MSR_EFER: *v = c->s.efer; return 0;
	case MSR_PAT: *v = c->s.pat; return 0;
	case MSR_FS_BASE: *v = c->s.seg[S_FS].base; return 0;
	case MSR_GS_BASE: *v = c->s.seg[S_GS].base; return 0;
	case MSR_XSS:
		if (!(c->model->features & CPU_FEAT_BIT(XSAVES)))
			return -1;
		*v = c->s.xss;
		return 0;
	default: return c->ops->msr_read(c, msr, v);
	}
}

int msr_write(struct cpu *c, u32 msr, u64 v)
{
	if (mtrr_slot(c, msr))
		return mtrr_write(c, msr, v);
	switch (msr) {
		/* clang-format off */
#define FIELD(number, field, rule) case number: if (!rule_ok(rule, v)) return -1; c->s.field = v; return 0;
#define FIXED(number, value, writable) case number: return (writable) ? 0 : -1;
#include "cpu/msrs.def"
	/* clang-format on */
	case MSR_EFER: return efer_write(c, v);
	case MSR_PAT: return pat_write(c, v);
	case MSR_FS_BASE: return base_write(c, S_FS, v);
	case MSR_GS_BASE: return base_write(c, S_GS, v);
	case MSR_XSS:
		if (!(c->model->features & CPU_FEAT_BIT(XSAVES)) || v)
			return -1;
		c->s.xss = v;
		return 0;
	default: return c->ops->msr_write(c, msr, v);
	}
}
