/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules: everything in which a correct interpreter may differ from a correct CPU, in one place.
 *
 * Flags: SDM 2 "Flags Affected" where it depends on operands (the table's u= says the rest).
 * Vendor rules: where AMD and Intel differ and Holm does it one way, or where the kernel between
 * the CPU and this test changes what is seen.
 */
#include "compare.h"
#include "spec/x86.h"

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

void rules_allow(const struct diff_case *k, const struct insn *in, const struct diff_result *host,
		 const struct diff_result *soft, struct allowance *a)
{
	const struct insn_form *f;

	memset(a, 0, sizeof(*a));
	a->flags = FL_RF;
	/* AMD shows the x87 pointers only while an unmasked exception is pending. */
	a->x87_pointers = !(host->r.fsw & 0x80);
	if (!in)
		return;
	f = &insn_forms[in->form];
	if (host->trap == TRAP_NONE)
		a->flags |= flags_of_table(f->fl_undef);
	if (is_shift(f))
		a->flags |= shift_flags(k, in);
	if (is_double_shift(f)) {
		unsigned n = double_shift_count(k, in);
		a->flags |= n ? FL_AF : 0;
		a->flags |= n > 1 ? FL_OF : 0;
		a->flags |= n > in->osz * 8u ? FL_STATUS : 0;
	}
	(void)soft;
}

/* --- vendor and kernel --- */

#define TASK_SIZE_MAX 0x00007ffffffff000ull
#define PF_PRESENT    1u

void rules_vendor(const struct diff_case *k, const struct insn *in, struct diff_result *host,
		  struct diff_result *soft)
{
	/* Linux hides whether a kernel address is mapped: always "present". */
	if (host->trap == EXC_PF && soft->trap == EXC_PF && host->cr2 >= TASK_SIZE_MAX) {
		host->error &= ~PF_PRESENT;
		soft->error &= ~PF_PRESENT;
	}
	if (!in)
		return;
	(void)k;
}
