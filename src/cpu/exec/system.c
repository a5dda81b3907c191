/* SPDX-License-Identifier: Apache-2.0 */
/*
 * system: control and debug registers, flags that need privilege, ports, halting, TLB control,
 * descriptor-table registers, CPUID, time stamps. SDM 2A-2D, SDM 3A 2.
 *
 * Entered from the run loop through the form table. Bodies that end a block store c->rip.
 */
#include "cpu/exec/body.h"
#include "cpu/exec/system.h"
#include "cpu/flags.h"
#include "cpu/stack.h"

static void next(struct cpu *c, const struct insn *in)
{
	c->rip = cpu_next_rip(c, in);
}

static bool canonical(u64 v)
{
	return (u64)((s64)(v << 16) >> 16) == v;
}

static unsigned iopl(const struct cpu *c)
{
	return (unsigned)(c->rflags >> FL_IOPL_SHIFT) & 3;
}

/* --- CR0, CR3, CR4 --- */

bool pdpte_load(struct cpu *c, u64 cr3)
{
	u64 v[4], rsv = (mask64(64) & ~mask64(c->model->maxphyaddr)) | 0x1e6;
	for (unsigned i = 0; i < 4; i++) {
		unsigned flags;
		gpa_t gpa = (cr3 & 0xffffffe0ull) + i * 8;
		u8 *page = c->ops->page(c, gpa & ~0xfffull, &flags);
		v[i] = page ? ld64(page + (gpa & 0xfff)) : 0;
		if (v[i] & PTE_P && v[i] & rsv)
			return false;
	}
	__builtin_memcpy(c->pdpte, v, sizeof(v));
	return true;
}

static bool pae_not_long(u64 cr0, u64 cr4, u64 efer)
{
	return cr0 & CR0_PG && cr4 & CR4_PAE && !(efer & EFER_LME);
}

void cr0_write(struct cpu *c, u64 v)
{
	u64 old = c->s.cr0, efer = c->s.efer;
	const u64 known = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM |
			  CR0_NW | CR0_CD | CR0_PG;
	if (v >> 32 || (v & CR0_PG && !(v & CR0_PE)) || (v & CR0_NW && !(v & CR0_CD)))
		cpu_gp0(c);
	v = (v & known) | CR0_ET;
	if (v & CR0_PG && !(old & CR0_PG) && efer & EFER_LME) {
		if (!(c->s.cr4 & CR4_PAE) || c->s.seg[S_CS].ar & AR_L ||
		    !(c->s.seg[S_TR].ar & 8)) /* a 16-bit TSS (SDM 3A 10.8.5) */
			cpu_gp0(c);
		efer |= EFER_LMA;
	}
	if (!(v & CR0_PG) && old & CR0_PG) {
		if (c->mode & MODE_64 || c->s.cr4 & CR4_PCIDE)
			cpu_gp0(c);
		efer &= ~(u64)EFER_LMA;
	}
	if (pae_not_long(v, c->s.cr4, efer) && (old ^ v) & (CR0_PG | CR0_CD | CR0_NW) &&
	    !pdpte_load(c, c->s.cr3))
		cpu_gp0(c);
	c->s.cr0 = v;
	c->s.efer = efer;
	if ((old ^ v) & (CR0_PG | CR0_PE | CR0_WP))
		tlb_flush_all(c);
	cpu_update_mode(c);
}

void cr3_write(struct cpu *c, u64 v)
{
	if (c->s.cr4 & CR4_PCIDE)
		v &= ~BIT64(63); /* "no flush" is a permission, not a duty */
	if (c->s.efer & EFER_LMA && v & ~mask64(c->model->maxphyaddr))
		cpu_gp0(c);
	if (pae_not_long(c->s.cr0, c->s.cr4, c->s.efer) && !pdpte_load(c, v))
		cpu_gp0(c);
	c->s.cr3 = v;
	tlb_flush_nonglobal(c);
}

u64 cr4_allowed(const struct cpu_model *model)
{
	struct cpuid_regs l1 = cpu_model_cpuid(model, 1, 0), l7 = cpu_model_cpuid(model, 7, 0);
	u64 v = CR4_TSD | CR4_OSXMMEXCPT | CR4_OSFXSR | CR4_PCE;
	v |= l1.edx & BIT(1) ? CR4_VME | CR4_PVI : 0;
	v |= l1.edx & BIT(2) ? CR4_DE : 0;
	v |= l1.edx & BIT(3) ? CR4_PSE : 0;
	v |= l1.edx & BIT(6) ? CR4_PAE : 0;
	v |= l1.edx & BIT(7) ? CR4_MCE : 0;
	v |= l1.edx & BIT(13) ? CR4_PGE : 0;
	v |= l1.ecx & BIT(17) ? CR4_PCIDE : 0;
	v |= l1.ecx & BIT(26) ? CR4_OSXSAVE : 0;
	v |= l7.ecx & BIT(2) ? CR4_UMIP : 0;
	v |= l7.ebx & BIT(0) ? CR4_FSGSBASE : 0;
	v |= l7.ebx & BIT(7) ? CR4_SMEP : 0;
	v |= l7.ebx & BIT(20) ? CR4_SMAP : 0;
	return v;
}

void cr4_write(struct cpu *c, u64 v)
{
	u64 old = c->s.cr4;
	if (v & ~c->cr4_allowed)
		cpu_gp0(c);
	if (c->s.efer & EFER_LMA && !(v & CR4_PAE))
		cpu_gp0(c);
	if (v & CR4_PCIDE && !(old & CR4_PCIDE) && (!(c->s.efer & EFER_LMA) || c->s.cr3 & 0xfff))
		cpu_gp0(c);
	if (pae_not_long(c->s.cr0, v, c->s.efer) &&
	    (old ^ v) & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP) && !pdpte_load(c, c->s.cr3))
		cpu_gp0(c);
	c->s.cr4 = v;
	if ((old ^ v) & (CR4_PGE | CR4_PAE | CR4_PSE | CR4_PCIDE | CR4_SMEP | CR4_SMAP))
		tlb_flush_all(c);
	cpu_update_mode(c);
}

static u64 gpr_wide(const struct cpu *c, unsigned n)
{
	return c->mode & MODE_64 ? c->r[n] : (u32)c->r[n];
}

static void op_mov_RC(struct cpu *c, const struct insn *in)
{
	u64 v = 0;
	switch (in->reg) {
	case 0: v = c->s.cr0; break;
	case 2: v = c->s.cr2; break;
	case 3: v = c->s.cr3; break;
	case 4: v = c->s.cr4; break;
	case 8: v = c->ops->cr8_read(c); break;
	default: cpu_ud(c);
	}
	reg_set(c, REG_OFF(in->rm), c->mode & MODE_64 ? 8 : 4, v);
}
BODY_ONE(mov_RC, op_mov_RC)

static void op_mov_CR(struct cpu *c, const struct insn *in)
{
	u64 v = gpr_wide(c, in->rm);
	switch (in->reg) {
	case 0: cr0_write(c, v); break;
	case 2: c->s.cr2 = v; break;
	case 3: cr3_write(c, v); break;
	case 4: cr4_write(c, v); break;
	case 8:
		if (v > 15)
			cpu_gp0(c);
		c->ops->cr8_write(c, v);
		break;
	default: cpu_ud(c);
	}
	next(c, in);
}
BODY_ONE(mov_CR, op_mov_CR)

static void op_smsw(struct cpu *c, const struct insn *in)
{
	if (c->s.cr4 & CR4_UMIP && c->cpl)
		cpu_gp0(c);
	if (in->pfx & PFX_MEM)
		mem_st(c, mem_addr(c, in, 2, ACC_WRITE), 2, (u16)c->s.cr0);
	else
		reg_set(c, in->ereg, in->osz, c->s.cr0);
}
BODY_ONE(smsw, op_smsw)

static void op_lmsw(struct cpu *c, const struct insn *in)
{
	u64 v = src_e(c, in, 2, in->pfx & PFX_MEM);
	/* PE can be set, not cleared */
	cr0_write(c, (c->s.cr0 & ~0xeull) | (v & 0xf) | (c->s.cr0 & CR0_PE));
	next(c, in);
}
BODY_ONE(lmsw, op_lmsw)

static void op_clts(struct cpu *c, const struct insn *in)
{
	c->s.cr0 &= ~(u64)CR0_TS;
	cpu_update_mode(c);
	next(c, in);
}
BODY_ONE(clts, op_clts)

/* --- debug registers (SDM 3A 17.2) --- */

void debug_update(struct cpu *c)
{
	c->dr_armed = c->s.dr7 & DR7_ENABLED;
	tlb_flush_all(c); /* pages under data breakpoints stay out of the TLB */
	cpu_update_mode(c);
}

static unsigned dr_number(struct cpu *c, const struct insn *in)
{
	unsigned n = in->reg;
	if (n == 4 || n == 5) {
		if (c->s.cr4 & CR4_DE)
			cpu_ud(c);
		n += 2;
	}
	if (n > 7)
		cpu_ud(c);
	if (c->s.dr7 & DR7_GD) {
		c->exc.dr6 = DR6_BD;
		cpu_raise(c, EXC_DB);
	}
	return n;
}

static void op_mov_RD(struct cpu *c, const struct insn *in)
{
	unsigned n = dr_number(c, in);
	u64 v = n < 4 ? c->s.dr[n] : n == 6 ? c->s.dr6 : c->s.dr7;
	reg_set(c, REG_OFF(in->rm), c->mode & MODE_64 ? 8 : 4, v);
}
BODY_ONE(mov_RD, op_mov_RD)

static void op_mov_DR(struct cpu *c, const struct insn *in)
{
	unsigned n = dr_number(c, in);
	u64 v = gpr_wide(c, in->rm);
	if (n >= 6 && v >> 32)
		cpu_gp0(c);
	if (n < 4)
		c->s.dr[n] = v;
	else if (n == 6)
		c->s.dr6 = (v & 0xe00f) | DR6_INIT;
	else
		c->s.dr7 = (v & 0xffff23ffull) | DR7_INIT;
	debug_update(c);
	next(c, in);
}
BODY_ONE(mov_DR, op_mov_DR)

/* --- RFLAGS --- */

/* Writes those of RFLAGS named by mask; wakes what depends on them. */
static void flags_write(struct cpu *c, u64 v, u64 mask)
{
	u64 old = c->rflags, keep = ~mask;
	fl_set_status(c, v);
	c->rflags = ((old & keep) | (v & mask)) & ~(u64)FL_STATUS;
	c->rflags |= FL_R1;
	if ((old ^ c->rflags) & (FL_TF | FL_AC | FL_IF | FL_RF))
		cpu_update_mode(c);
}

/* V86 mode with IOPL < 3: #GP unless CR4.VME and a 16-bit operand. */
static bool v86_limited(struct cpu *c, unsigned size)
{
	if (!(c->mode & MODE_VM) || iopl(c) == 3)
		return false;
	if (!(c->s.cr4 & CR4_VME) || size != 2)
		cpu_gp0(c);
	return true;
}

static always_inline void body_pushf(struct cpu *c, const struct insn *in unused_arg, unsigned size,
				     bool mem unused_arg)
{
	u64 v = fl_get(c) & ~(u64)(FL_RF | FL_VM);
	if (v86_limited(c, size))
		v = (v & ~(u64)FL_IF) | FL_IOPL | (c->rflags & FL_VIF ? FL_IF : 0);
	stack_push(c, size, v);
}
BODY_SIZED(pushf, body_pushf)

static always_inline void body_popf(struct cpu *c, const struct insn *in, unsigned size,
				    bool mem unused_arg)
{
	u64 mask = FL_TF | FL_DF | FL_NT | FL_AC | FL_ID, v;
	if (v86_limited(c, size)) {
		v = stack_peek(c, size, 0);
		if (v & FL_TF || (v & FL_IF && c->rflags & FL_VIP))
			cpu_gp0(c);
		v = (v & ~(u64)FL_VIF) | (v & FL_IF ? FL_VIF : 0);
		mask = FL_TF | FL_DF | FL_NT | FL_VIF;
		stack_pop(c, size);
	} else {
		v = stack_pop(c, size);
		if (c->cpl == 0)
			mask |= FL_IF | FL_IOPL;
		else if (c->cpl <= iopl(c))
			mask |= FL_IF;
		if (size == 2)
			mask &= 0xffff;
		/* VIP, VIF cleared at CPL 0..: only 32/64-bit forms outside V86 */
		if (size != 2) {
			mask |= FL_RF;
			v &= ~(u64)FL_RF;
		}
	}
	flags_write(c, v, mask);
	next(c, in);
}
BODY_SIZED(popf, body_popf)

enum if_rule { IF_REAL, IF_VIRTUAL };
static enum if_rule if_rule(struct cpu *c)
{
	if (!(c->mode & MODE_PE) || c->cpl <= iopl(c))
		return IF_REAL;
	if (c->mode & MODE_VM ? c->s.cr4 & CR4_VME : c->cpl == 3 && c->s.cr4 & CR4_PVI)
		return IF_VIRTUAL;
	cpu_gp0(c);
}

static void op_cli(struct cpu *c, const struct insn *in)
{
	c->rflags &= ~(u64)(if_rule(c) == IF_REAL ? FL_IF : FL_VIF);
	next(c, in);
}
BODY_ONE(cli, op_cli)

static void op_sti(struct cpu *c, const struct insn *in)
{
	if (if_rule(c) == IF_VIRTUAL) {
		if (c->rflags & FL_VIP)
			cpu_gp0(c);
		c->rflags |= FL_VIF;
	} else if (!(c->rflags & FL_IF)) {
		c->rflags |= FL_IF;
		c->shadow = 1;
		cpu_event(c, EV_SHADOW | EV_INTR);
	}
	next(c, in);
}
BODY_ONE(sti, op_sti)

static void ac_write(struct cpu *c, u64 ac)
{
	if (c->cpl)
		cpu_ud(c);
	c->rflags = (c->rflags & ~(u64)FL_AC) | ac;
	cpu_update_view(c);
}
static void op_clac(struct cpu *c, const struct insn *in unused_arg)
{
	ac_write(c, 0);
}
BODY_ONE(clac, op_clac)
static void op_stac(struct cpu *c, const struct insn *in unused_arg)
{
	ac_write(c, FL_AC);
}
BODY_ONE(stac, op_stac)

/* --- ports --- */

/* SDM 3B 17.2.4: RW = 10 is I/O, with CR4.DE only; a trap. */
static void io_breakpoints(struct cpu *c, u16 port, unsigned size)
{
	static const u8 len_of[4] = {1, 2, 8, 4};
	if (!(c->s.cr4 & CR4_DE))
		return;
	for (unsigned i = 0; i < 4; i++) {
		u64 len = len_of[c->s.dr7 >> (18 + i * 4) & 3], at = c->s.dr[i] & ~(len - 1);
		if (c->s.dr7 >> (i * 2) & 3 && (c->s.dr7 >> (16 + i * 4) & 3) == 2 &&
		    port < at + len && at < (u64)port + size)
			c->dr6_pending |= BIT(i);
	}
}

void io_check(struct cpu *c, u16 port, unsigned size)
{
	const struct cpu_segment *tr = &c->s.seg[S_TR];
	u64 base;
	u32 bits;
	if (unlikely(c->dr_armed))
		io_breakpoints(c, port, size);
	if (!(c->mode & MODE_PE) || (!(c->mode & MODE_VM) && c->cpl <= iopl(c)))
		return;
	if ((tr->ar & 7 & ~2u) != 1 || !(tr->ar & 8) || tr->limit < 103)
		cpu_gp0(c); /* not a 32/64-bit TSS */
	base = sys_ld(c, tr->base + 0x66, 2) + port / 8u;
	if (base + 1 > tr->limit)
		cpu_gp0(c);
	bits = (u32)sys_ld(c, tr->base + base, 2) >> (port & 7);
	if (bits & (BIT(size) - 1))
		cpu_gp0(c);
}

static always_inline void port_in(struct cpu *c, u16 port, unsigned size)
{
	size = size == 8 ? 4 : size;
	io_check(c, port, size);
	reg_set(c, REG_OFF(R_RAX), size, c->ops->io_read(c, port, size));
}
static always_inline void port_out(struct cpu *c, u16 port, unsigned size)
{
	size = size == 8 ? 4 : size;
	io_check(c, port, size);
	c->ops->io_write(c, port, size, (u32)reg_get(c, REG_OFF(R_RAX), size));
}
static void op_in_I(struct cpu *c, const struct insn *in)
{
	port_in(c, (u8)in->imm, in->osz);
}
BODY_ONE(in_I, op_in_I)
static void op_in_D(struct cpu *c, const struct insn *in)
{
	port_in(c, (u16)c->r[R_RDX], in->osz);
}
BODY_ONE(in_D, op_in_D)
static void op_out_I(struct cpu *c, const struct insn *in)
{
	port_out(c, (u8)in->imm, in->osz);
}
BODY_ONE(out_I, op_out_I)
static void op_out_D(struct cpu *c, const struct insn *in)
{
	port_out(c, (u16)c->r[R_RDX], in->osz);
}
BODY_ONE(out_D, op_out_D)

/* --- halting, TLB control --- */

static void op_hlt(struct cpu *c, const struct insn *in)
{
	next(c, in);
	c->s.activity = CPU_HALTED;
	cpu_event(c, EV_STOP);
}
BODY_ONE(hlt, op_hlt)

static void op_invlpg(struct cpu *c, const struct insn *in)
{
	u64 la = c->seg_base[in->seg] + mem_ea(c, in);
	if (!(c->mode & MODE_64))
		la = (u32)la;
	tlb_flush_page(c, la);
	next(c, in);
}
BODY_ONE(invlpg, op_invlpg)

static void op_invpcid(struct cpu *c, const struct insn *in)
{
	u64 d[2], type = gpr_wide(c, in->reg);
	mem_ld_bytes(c, mem_addr(c, in, 16, ACC_READ), d, 16);
	if (type > 3 || d[0] >> 12)
		cpu_gp0(c);
	if (type <= 1 && d[0] && !(c->s.cr4 & CR4_PCIDE))
		cpu_gp0(c);
	if (type == 0 && !canonical(d[1]))
		cpu_gp0(c);
	if (type == 0)
		tlb_flush_page(c, d[1]);
	else if (type == 2)
		tlb_flush_all(c);
	else
		tlb_flush_nonglobal(c);
	next(c, in);
}
BODY_ONE(invpcid, op_invpcid)

/* --- GDTR, IDTR --- */

static void table_store(struct cpu *c, const struct insn *in, const struct cpu_dtable *t)
{
	unsigned base = c->mode & MODE_64 ? 8 : 4;
	u8 image[10];
	if (c->s.cr4 & CR4_UMIP && c->cpl)
		cpu_gp0(c);
	st16(image, t->limit);
	st64(image + 2, t->base);
	mem_st_bytes(c, mem_addr(c, in, 2 + base, ACC_WRITE), image, 2 + base);
}
static void op_sgdt(struct cpu *c, const struct insn *in)
{
	table_store(c, in, &c->s.gdt);
}
BODY_ONE(sgdt, op_sgdt)
static void op_sidt(struct cpu *c, const struct insn *in)
{
	table_store(c, in, &c->s.idt);
}
BODY_ONE(sidt, op_sidt)

static void table_load(struct cpu *c, const struct insn *in, struct cpu_dtable *t)
{
	unsigned size = c->mode & MODE_64 ? 8 : 4;
	u8 image[10] = {0};
	u64 base;
	mem_ld_bytes(c, mem_addr(c, in, 2 + size, ACC_READ), image, 2 + size);
	base = ld64(image + 2);
	if (size == 8 && !canonical(base))
		cpu_gp0(c);
	if (size == 4)
		base &= in->osz == 2 ? 0xffffffull : 0xffffffffull;
	t->limit = ld16(image);
	t->base = base;
}
static void op_lgdt(struct cpu *c, const struct insn *in)
{
	table_load(c, in, &c->s.gdt);
}
BODY_ONE(lgdt, op_lgdt)
static void op_lidt(struct cpu *c, const struct insn *in)
{
	table_load(c, in, &c->s.idt);
}
BODY_ONE(lidt, op_lidt)

/* --- FS and GS bases --- */

static void base_write(struct cpu *c, unsigned seg, u64 v)
{
	if (!canonical(v))
		cpu_gp0(c);
	c->s.seg[seg].base = v;
	c->seg_base[seg] = v;
}
static void fsgsbase_check(struct cpu *c)
{
	if (!(c->s.cr4 & CR4_FSGSBASE))
		cpu_ud(c);
}
#define FSGSBASE(name, number)                                                                     \
	static void op_rd##name(struct cpu *c, const struct insn *in)                              \
	{                                                                                          \
		fsgsbase_check(c);                                                                 \
		reg_set(c, in->ereg, in->osz, c->s.seg[number].base);                              \
	}                                                                                          \
	BODY_ONE(rd##name, op_rd##name)                                                            \
	static void op_wr##name(struct cpu *c, const struct insn *in)                              \
	{                                                                                          \
		fsgsbase_check(c);                                                                 \
		base_write(c, number, reg_get(c, in->ereg, in->osz));                              \
	}                                                                                          \
	BODY_ONE(wr##name, op_wr##name)
FSGSBASE(fsbase, S_FS)
FSGSBASE(gsbase, S_GS)

static void op_swapgs(struct cpu *c, const struct insn *in unused_arg)
{
	u64 v = c->s.kernel_gs_base;
	c->s.kernel_gs_base = c->s.seg[S_GS].base;
	c->s.seg[S_GS].base = v;
	c->seg_base[S_GS] = v;
}
BODY_ONE(swapgs, op_swapgs)

/* --- CPUID, time, MSRs --- */

static void op_cpuid(struct cpu *c, const struct insn *in unused_arg)
{
	u32 leaf = (u32)c->r[R_RAX], sub = (u32)c->r[R_RCX];
	struct cpuid_regs r = cpu_model_cpuid(c->model, leaf, sub);
	if (leaf == 1 && c->s.cr4 & CR4_OSXSAVE)
		r.ecx |= BIT(27);
	if (leaf == 0xd && (sub == 0 || (sub == 1 && r.ebx)))
		r.ebx = c->s.xcr0 & 4 ? 832 : 576; /* no supervisor states */
	c->ops->cpuid(c, leaf, sub, &r);
	c->r[R_RAX] = r.eax;
	c->r[R_RBX] = r.ebx;
	c->r[R_RCX] = r.ecx;
	c->r[R_RDX] = r.edx;
}
BODY_ONE(cpuid, op_cpuid)

static void tsc_read(struct cpu *c)
{
	u64 v;
	if (c->s.cr4 & CR4_TSD && c->cpl)
		cpu_gp0(c);
	v = c->ops->tsc(c);
	c->r[R_RAX] = (u32)v;
	c->r[R_RDX] = v >> 32;
}
static void op_rdtsc(struct cpu *c, const struct insn *in unused_arg)
{
	tsc_read(c);
}
BODY_ONE(rdtsc, op_rdtsc)
static void op_rdtscp(struct cpu *c, const struct insn *in unused_arg)
{
	tsc_read(c);
	c->r[R_RCX] = (u32)c->s.tsc_aux;
}
BODY_ONE(rdtscp, op_rdtscp)
/* No performance counters in any model: every index is out of range. */
static void op_rdpmc(struct cpu *c, const struct insn *in unused_arg)
{
	cpu_gp0(c);
}
BODY_ONE(rdpmc, op_rdpmc)

static void op_rdmsr(struct cpu *c, const struct insn *in unused_arg)
{
	u64 v;
	if (msr_read(c, (u32)c->r[R_RCX], &v))
		cpu_gp0(c);
	c->r[R_RAX] = (u32)v;
	c->r[R_RDX] = v >> 32;
}
BODY_ONE(rdmsr, op_rdmsr)
static void op_wrmsr(struct cpu *c, const struct insn *in)
{
	if (msr_write(c, (u32)c->r[R_RCX], (u32)c->r[R_RAX] | c->r[R_RDX] << 32))
		cpu_gp0(c);
	next(c, in);
}
BODY_ONE(wrmsr, op_wrmsr)

/* --- VMCALL, VMMCALL: hypercalls of the KVM interface that CPUID shows; either one goes, whatever
 * the vendor (Linux Documentation/virt/kvm/x86/hypercalls.rst). No optional one is offered. --- */

#define KVM_HC_VAPIC_POLL_IRQ 1u
#define KVM_EPERM	      (-1)
#define KVM_ENOSYS	      (-1000)

static void op_hypercall(struct cpu *c, const struct insn *in unused_arg)
{
	s64 r = KVM_ENOSYS;
	if (c->cpl)
		r = KVM_EPERM;
	else if (gpr_wide(c, R_RAX) == KVM_HC_VAPIC_POLL_IRQ)
		r = 0; /* coming here was the point */
	reg_set(c, REG_OFF(R_RAX), c->mode & MODE_64 ? 8 : 4, (u64)r);
}
BODY_ONE(hypercall, op_hypercall)
