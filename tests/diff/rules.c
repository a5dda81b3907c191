/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules: everything in which a correct interpreter may differ from a correct CPU, in one place.
 *
 * Flags: SDM 2 "Flags Affected" where it depends on operands (the table's u= says the rest).
 * Vendor rules: where AMD and Intel differ and Holm does it one way, or where the kernel between
 * the CPU and this test changes what is seen.
 */
#include "compare.h"
#include "gen.h"
#include "spec/x86.h"

/* The instruction was executed; what trapped may be the fetch of the next one. */
static bool completed(const struct diff_case *k, const struct diff_result *host)
{
	return host->trap == TRAP_NONE || host->r.rip != k->r.rip;
}

/* --- flags --- */

static u64 flags_of_table(u8 bits)
{
	static const u16 fl[] = {FL_CF, FL_PF, FL_AF, FL_ZF, FL_SF, FL_OF};
	u64 v = 0;

	for (unsigned i = 0; i < 6; i++)
		v |= bits >> i & 1 ? fl[i] : 0;
	return v;
}

static bool is_shift(const struct insn_form *f)
{
	return f->map == 0 && ((f->opcode & 0xfe) == 0xc0 || (f->opcode & 0xfc) == 0xd0);
}

static u64 shift_flags(const struct diff_case *k, const struct insn *in)
{
	const struct insn_form *f = &insn_forms[in->form];
	unsigned n = f->opcode < 0xd0 ? (u8)in->imm : f->opcode < 0xd2 ? 1 : (u8)k->r.gpr[R_RCX];
	unsigned bits = in->osz * 8u, op = in->modrm >> 3 & 7;
	u64 fl = 0;

	n &= in->osz == 8 ? 63 : 31;
	if (!n)
		return 0;
	if (n > 1)
		fl |= FL_OF;
	if (op >= 4)
		fl |= FL_AF;
	if (op >= 4 && op != 7 && n >= bits)
		fl |= FL_CF;
	return fl;
}

static bool is_double_shift(const struct insn_form *f)
{
	return f->map == 1 && (f->opcode & 0xf6) == 0xa4 && (f->opcode & 7) >= 4;
}

static unsigned double_shift_count(const struct diff_case *k, const struct insn *in)
{
	unsigned n = in->opcode & 1 ? (u8)k->r.gpr[R_RCX] : (u8)in->imm;

	return n & (in->osz == 8 ? 63 : 31);
}

/* Encodings the vendors treat differently, Holm as the SDM says. */
static bool vendor_skip(const struct diff_case *k, const struct insn *in)
{
	const struct insn_form *f = &insn_forms[in->form];
	unsigned op = f->opcode;

	/* 0F 0D with a register: #UD on AMD, a NOP on Intel */
	if (f->map == 1 && op == 0x0d && !(in->pfx & PFX_MEM))
		return true;
	/* REP before LOOPE, LOOPNE is reserved; AMD takes F3 for "while equal", F2 for "while not"
	 */
	if (f->map == 0 &&
	    ((op == 0xe0 && in->pfx & PFX_REP) || (op == 0xe1 && in->pfx & PFX_REPNE)))
		return true;
	/* 66 MOVSXD reads two bytes on Intel, four on AMD */
	if (f->map == 0 && op == 0x63 && k->mode == DM_64 && in->osz == 2 && in->pfx & PFX_MEM)
		return true;
	/* VPEXTRD and VPINSRD with VEX.W = 1 outside 64-bit mode: #UD on AMD, W ignored on Intel */
	return f->map == 6 && k->mode != DM_64 && in->pfx & PFX_W && (op == 0x16 || op == 0x22);
}

void rules_allow(const struct diff_case *k, const struct insn *in, const struct diff_result *host,
		 const struct diff_result *soft, struct allowance *a)
{
	const struct insn_form *f;

	memset(a, 0, sizeof(*a));
	a->flags = FL_RF;
	/* AMD shows the x87 pointers only while an unmasked exception is pending. */
	a->x87_pointers = !(host->r.fsw & 0x80);
	/* before it was, an interrupt between two signals may have lost the old FDP */
	a->fdp = !(k->r.fsw & 0x80) && !(in && in->pfx & PFX_MEM);
	/* UD0 and UD1 have operands on Intel; AMD does not fetch them */
	a->skip = host->trap == EXC_UD && soft->trap != TRAP_NONE &&
		  !strncmp(insn_forms[k->form].name, "ud", 2);
	/* LOCK MOV CR0 is MOV CR8 on AMD */
	a->skip |= host->trap == EXC_GP && soft->trap == EXC_UD && insn_forms[k->form].map == 1 &&
		   (insn_forms[k->form].opcode & 0xfd) == 0x20;
	if (!in)
		return;
	f = &insn_forms[in->form];
	if (completed(k, host))
		a->flags |= flags_of_table(f->fl_undef);
	if (is_shift(f))
		a->flags |= shift_flags(k, in);
	if (is_double_shift(f)) {
		unsigned n = double_shift_count(k, in);
		a->flags |= n ? FL_AF : 0;
		a->flags |= n > 1 ? FL_OF : 0;
		a->flags |= n > in->osz * 8u ? FL_STATUS : 0;
		/* 16 bits by more than 16: the result is undefined; AMD shifts the source in again,
		 * Intel (and Holm) the destination */
		a->skip = n > in->osz * 8u && completed(k, host) && completed(k, soft);
	}
	a->skip |= vendor_skip(k, in);
}

/* --- vendor and kernel --- */

#define TASK_SIZE_MAX 0x00007ffffffff000ull
#define LAST_PAGE_32  0xfffff000ull
#define PF_PRESENT    1u

/* The bytes at `at` of a recorded line, NULL if they are not there. */
static u8 *memory_of(struct diff_result *r, u64 at)
{
	for (unsigned i = 0; i < r->lines && i < LINES; i++)
		if (at - r->line[i].at < 64)
			return r->line[i].b + (at - r->line[i].at);
	return NULL;
}

static void rehash(struct diff_result *r)
{
	r->hash = 0;
	for (unsigned i = 0; i < r->lines && i < LINES; i++)
		box_hash(r, r->line[i].at - BOX_DATA, r->line[i].b);
}

static u64 linear(const struct diff_case *k, const struct insn *in)
{
	u64 ea = (u64)in->disp;

	ea += in->base == REG_OFF_ZERO ? 0 : k->r.gpr[in->base / 8];
	ea += in->index == REG_OFF_ZERO ? 0 : k->r.gpr[in->index / 8] << in->scale;
	ea = in->asz == 8 ? ea : in->asz == 4 ? (u32)ea : (u16)ea;
	return ea + (in->seg == S_FS ? k->r.fs_base : in->seg == S_GS ? k->r.gs_base : 0);
}

#define MXCSR_MASK_AT 28u
#define MXCSR_MASK_MM BIT(17) /* AMD: misaligned SSE, in no model */

static void hide_mxcsr_mask(const struct diff_case *k, const struct insn *in,
			    struct diff_result *host)
{
	u8 *p = memory_of(host, linear(k, in) + MXCSR_MASK_AT);

	if (host->lines > LINES || !p || !completed(k, host))
		return;
	if (ld32(p) != (0xffff | MXCSR_MASK_MM))
		return; /* not written */
	st32(p, 0xffff);
	rehash(host);
}

/* ENTER and PUSHA may have pushed a part before they faulted: nothing above the old stack pointer,
 * and the instruction starts again from the same state. */
static void forget_memory(struct diff_result *host, struct diff_result *soft)
{
	host->lines = soft->lines = 0;
	host->hash = soft->hash = 0;
}

/* CMPS with two faulty operands: some CPUs read [RDI] first, some (and Holm) [RSI]. Did the host
 * fault at [RDI]? */
static bool cmps_other_operand(const struct diff_case *k, const struct insn *in,
			       const struct diff_result *host, const struct diff_result *soft)
{
	u64 di = host->r.gpr[R_RDI], size = insn_forms[in->form].opcode & 1 ? in->osz : 1;

	if (soft->trap != EXC_PF && soft->trap != EXC_GP && soft->trap != EXC_SS &&
	    soft->trap != EXC_AC)
		return false;
	di = in->asz == 8 ? di : in->asz == 4 ? (u32)di : (u16)di;
	if (host->trap == EXC_PF)
		return host->cr2 - di < size;
	if (host->trap == EXC_AC)
		return k->r.rflags & FL_AC && di & (size - 1);
	return host->trap == EXC_GP &&
	       di + size - 1 > (k->mode == DM_64 ? TASK_SIZE_MAX : 0xffffffffull);
}

void rules_vendor(const struct diff_case *k, const struct insn *in, struct diff_result *host,
		  struct diff_result *soft)
{
	const char *name = insn_forms[k->form].name;

	/* Linux hides whether a kernel address is mapped: always "present". */
	if (host->trap == EXC_PF && soft->trap == EXC_PF && host->cr2 >= TASK_SIZE_MAX) {
		host->error &= ~PF_PRESENT;
		soft->error &= ~PF_PRESENT;
	}
	if (!in)
		return;
	if (!strncmp(name, "cmps", 4) && insn_forms[in->form].map == 0 &&
	    (insn_forms[in->form].opcode & 0xfe) == 0xa6 && cmps_other_operand(k, in, host, soft)) {
		soft->trap = host->trap;
		soft->error = host->error;
		soft->cr2 = host->cr2;
	}
	/* which element of a long operand faults first is the CPU's choice */
	if (host->trap == EXC_PF && soft->trap == EXC_PF && in->pfx & PFX_MEM &&
	    host->cr2 - linear(k, in) < 832 && gen_mem_size(&insn_forms[in->form], in) > 10 &&
	    insn_forms[in->form].state != IST_SSE && insn_forms[in->form].state != IST_AVX)
		host->cr2 = soft->cr2, host->error = soft->error;
	/* CALL to a target that is not canonical with a bad stack: AMD pushes first */
	if ((host->trap == EXC_AC || host->trap == EXC_SS ||
	     (host->trap == EXC_PF && k->r.gpr[R_RSP] - 1 - host->cr2 < 8)) &&
	    soft->trap == EXC_GP && !strcmp(name, "call"))
		*host = *soft;
	/* a SIMD exception while an x87 exception is pending: AMD raises #XM, Intel #MF */
	if (host->trap == EXC_XM && soft->trap == EXC_MF && k->r.fsw & 0x80)
		*host = *soft;
	/* a gather's elements, one absent, one not canonical: which of them is the CPU's choice */
	if (strstr(name, "gather") && soft->trap == EXC_PF &&
	    (host->trap == EXC_GP || host->trap == EXC_SS))
		*host = *soft;
	/* VMASKMOV over the end of a flat segment: AMD looks at all of it, Holm at each element */
	if (soft->trap == EXC_PF && (host->trap == EXC_GP || host->trap == EXC_SS) &&
	    k->mode != DM_64 && (u32)(soft->cr2 - LAST_PAGE_32) < 0x2000 && strstr(name, "maskmov"))
		*host = *soft;
	/* ... and at its alignment first */
	if (host->trap == EXC_AC && (soft->trap == EXC_GP || soft->trap == EXC_SS) &&
	    k->mode != DM_64 && strstr(name, "maskmov"))
		*host = *soft;
	/* misaligned, and over the limit of SS: AMD looks at the alignment first */
	if (host->trap == EXC_GP && soft->trap == EXC_SS && k->mode != DM_64 &&
	    (insn_forms[in->form].attr & IA_ALIGN || !strncmp(name, "xrstor", 6) ||
	     !strncmp(name, "xsave", 5)))
		host->trap = EXC_SS;
	/* POPA may have loaded some registers before it faulted; ESP is as before */
	if (!strcmp(name, "popa") && !completed(k, host))
		memcpy(soft->r.gpr, host->r.gpr, sizeof(soft->r.gpr));
	/* an operand of several parts across the end of a flat segment or the canonical edge: AMD
	 * meets the missing page first */
	if (host->trap == EXC_PF && (soft->trap == EXC_GP || soft->trap == EXC_SS) &&
	    (host->cr2 - TASK_SIZE_MAX < 0x1000 ||
	     (k->mode != DM_64 && (u32)(host->cr2 - LAST_PAGE_32) < 0x2000))) {
		soft->trap = EXC_PF;
		soft->error = host->error;
		soft->cr2 = host->cr2;
	}
	/* FXSAVE and FXRSTOR misaligned while #AC is on: either fault (SDM 2A FXSAVE) */
	if (host->trap == EXC_AC && soft->trap == EXC_GP && !strncmp(name, "fx", 2))
		host->trap = EXC_GP;
	/* ... or not canonical in the stack segment */
	if (host->trap == EXC_SS && soft->trap == EXC_GP && !strncmp(name, "fx", 2))
		host->trap = EXC_GP;
	/* and an x87 environment that is misaligned and crosses the canonical edge */
	if (host->trap == EXC_AC && (soft->trap == EXC_GP || soft->trap == EXC_SS) &&
	    in->pfx & PFX_MEM && insn_forms[in->form].state == IST_X87)
		host->trap = soft->trap;
	if (!strncmp(name, "xsave", 5) || !strcmp(name, "fxsave"))
		hide_mxcsr_mask(k, in, host);
	/* the host has more state components than any model */
	if (!strcmp(name, "xgetbv") && completed(k, host))
		host->r.gpr[R_RAX] &= 7;
	if ((!strcmp(name, "enter") || !strcmp(name, "pusha")) && !completed(k, host))
		forget_memory(host, soft);
}
