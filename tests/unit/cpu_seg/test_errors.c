/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu_seg_errors: what the manuals forbid, one row per rule: the vector and the error code; and the
 * rarer forms of transfers: gates without a change of level, 16-bit gates, LDTs, #AC.
 */
#include "cpu/insn_forms.h"
#include "rig.h"

/* ---- selector errors, as rows ---- */

/* A far jump to a selector, from CPL 0 or 3, in protected mode; tweak: the descriptor there. */
struct row {
	unsigned cpl;
	u16 sel;
	u64 desc; /* 0: as the rig has it */
	unsigned vector;
	u32 error;
};

static void run_rows(const struct row *row, unsigned n, const char *opcode, unsigned at,
		     unsigned size, bool lng)
{
	for (unsigned i = 0; i < n; i++) {
		struct rig *r = lng ? rig_long(row[i].cpl) : rig_protected(row[i].cpl);
		char bytes[8];

		memcpy(bytes, opcode, size);
		if (at)
			st16(bytes + at, row[i].sel);
		r->c.r[R_RAX] = row[i].sel;
		if (row[i].desc)
			set_desc(r, row[i].sel, row[i].desc);
		step(r, bytes, size);
		if (r->c.rip != handler(row[i].vector))
			print_error("row %u: rip %llx\n", i, (unsigned long long)r->c.rip);
		EXPECT_FAULT(r, row[i].vector, row[i].error);
		rig_free(r);
	}
}

static void test_jump_errors(void **state)
{
	static const struct row rows[] = {
		{0, 0, 0, 13, 0},
		{0, 3, 0, 13, 0},
		{0, 0xa8, 0, 13, 0xa8},			    /* beyond the GDT */
		{0, SEL_CODE32 | 4, 0, 13, SEL_CODE32 | 4}, /* no LDT */
		{0, SEL_DATA, 0, 13, SEL_DATA},		    /* not code */
		{0, SEL_CODE32 | 3, 0, 13, SEL_CODE32},	    /* RPL > CPL */
		{0, SEL_UCODE32, 0, 13, SEL_UCODE32 & ~3},  /* DPL != CPL */
		{3, SEL_CODE32, 0, 13, SEL_CODE32},
		{0, SEL_CONF, 0x00cffe000000ffff, 13, SEL_CONF},     /* conforming, DPL > CPL */
		{0, SEL_CODE16, 0x00001a000000ffff, 11, SEL_CODE16}, /* not present */
		{0, SEL_CODE16, 0, 13, 0},			     /* EIP over limit */
		{0, SEL_LDT, 0, 13, SEL_LDT},			     /* a system segment */
		{3, SEL_TSS2, 0, 13, SEL_TSS2},			     /* TSS with DPL 0 */
		{0, SEL_TSS2, 0x00008b0034000067, 13, SEL_TSS2},     /* busy */
		{0, SEL_TSS2, 0x0000090034000067, 11, SEL_TSS2},     /* TSS not present */
		{0, SEL_TSS2, 0x0000890034000066, 10, SEL_TSS2},     /* TSS too short */
		{0, SEL_TASK, 0x0000650000480000, 11, SEL_TASK},     /* gate not present */
		{0, SEL_TASK, 0x0000e50000000000, 13, 0},	     /* to a null TSS */
		{0, SEL_TASK, 0x0000e500004c0000, 13, 0x4c},	     /* TSS in the LDT */
		{0, SEL_TASK, 0x0000e50000380000, 13, SEL_TSS},	     /* busy */
		{0, SEL_GATE, 0x00006c0000180000, 11, SEL_GATE},     /* call gate not present */
		{3, SEL_GATE | 3, 0x00008c0000180000, 13, SEL_GATE}, /* DPL < CPL */
		{0, SEL_GATE | 3, 0x00008c0000180000, 13, SEL_GATE}, /* DPL < RPL */
		{0, SEL_GATE, 0x00008c0000000000, 13, 0},	     /* null target */
		{0, SEL_GATE, 0x00008c0000100000, 13, SEL_DATA},     /* target not code */
		{3, SEL_GATE, 0x0000ec0000180000, 13, SEL_CODE32},   /* JMP cannot go inwards */
	};

	(void)state;
	run_rows(rows, ARRAY_LEN(rows), "\xea\x00\x00\x05\x00\x00\x00", 5, 7, false);
}

static void test_ss_errors(void **state)
{
	static const struct row rows[] = {
		{0, 0, 0, 13, 0},
		{0, SEL_DATA | 1, 0, 13, SEL_DATA},		     /* RPL != CPL */
		{0, SEL_CODE32, 0, 13, SEL_CODE32},		     /* not data */
		{0, SEL_DATA16, 0x000091000000ffff, 13, SEL_DATA16}, /* read-only */
		{3, SEL_DATA | 3, 0, 13, SEL_DATA},		     /* DPL != CPL */
		{0, SEL_DATA16, 0x000013000000ffff, 12, SEL_DATA16}, /* not present */
	};

	(void)state;
	run_rows(rows, ARRAY_LEN(rows), "\x8e\xd0", 0, 2, false);
}

static void test_ltr_lldt_errors(void **state)
{
	static const struct row ltr_rows[] = {
		{0, 0, 0, 13, 0},
		{0, SEL_TSS2 | 4, 0, 13, SEL_TSS2 | 4},
		{0, SEL_DATA, 0, 13, SEL_DATA},
		{0, SEL_TSS2, 0x0000090034000067, 11, SEL_TSS2},
		{3, SEL_TSS2, 0, 13, 0},
	};
	static const struct row lldt_rows[] = {
		{0, SEL_LDT | 4, 0, 13, SEL_LDT | 4},
		{0, SEL_DATA, 0, 13, SEL_DATA},
		{0, SEL_LDT, 0x00000200380000ff, 11, SEL_LDT},
	};
	static const struct row long_rows[] = {
		{0, SEL_TSS2, 0x0000810034000067, 13, SEL_TSS2}, /* a 16-bit TSS */
		{0, 0xa0, 0x0000890034000067, 13, 0xa0},	 /* its second half is outside */
	};

	(void)state;
	run_rows(ltr_rows, ARRAY_LEN(ltr_rows), "\x0f\x00\xd8", 0, 3, false);
	run_rows(lldt_rows, ARRAY_LEN(lldt_rows), "\x0f\x00\xd0", 0, 3, false);
	run_rows(long_rows, ARRAY_LEN(long_rows), "\x0f\x00\xd8", 0, 3, true);
}

/* ---- returns ---- */

/* RETF or IRETD at CPL 0 with this frame on the stack. */
static struct rig *return_to(const char *op, u32 eip, u16 cs, u32 third, u32 fourth, u16 ss)
{
	struct rig *r = rig_protected(0);
	u32 sp = KSTACK - 0x100;

	put(r, sp, 4, eip);
	put(r, sp + 4, 4, cs);
	put(r, sp + 8, 4, third);
	put(r, sp + 12, 4, fourth);
	put(r, sp + 16, 4, ss);
	step(r, op, 1);
	return r;
}

static void test_return_errors(void **state)
{
	static const struct {
		u32 eip;
		u16 cs, ss;
		unsigned vector;
		u32 error;
	} rows[] = {
		{TARGET_AT, 0, 0, 13, 0},
		{TARGET_AT, 0xa8, 0, 13, 0xa8},
		{TARGET_AT, SEL_DATA, 0, 13, SEL_DATA},
		{TARGET_AT, SEL_CODE32 | 3, 0, 13, SEL_CODE32}, /* DPL != RPL */
		{0x20000, SEL_CODE16, 0, 13, 0},		/* over the limit */
		{TARGET_AT, SEL_UCODE32, 0, 13, 0},		/* null SS */
		{TARGET_AT, SEL_UCODE32, SEL_DATA | 3, 13, SEL_DATA},
		{TARGET_AT, SEL_UCODE32, 0xab, 13, 0xa8},
		{TARGET_AT, SEL_UCODE32, SEL_UDATA & ~3, 13, SEL_UDATA & ~3},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig *r = return_to("\xcf", rows[i].eip, rows[i].cs, 2, USTACK, rows[i].ss);

		EXPECT_FAULT(r, rows[i].vector, rows[i].error);
		rig_free(r);
	}
}

static void test_return_same_level(void **state)
{
	struct rig *r = return_to("\xcb", TARGET_AT, SEL_CODE32, 0, 0, 0);

	(void)state;
	assert_int_equal(r->c.rip, TARGET_AT);
	assert_int_equal(r->c.r[R_RSP], KSTACK - 0x100 + 8);
	rig_free(r);
	r = return_to("\xcb", 0x5000, SEL_CODE16, 0, 0, 0);
	assert_int_equal(r->c.rip, 0x5000);
	assert_int_equal(get(r, GDT + SEL_CODE16 + 5, 1), 0x9b);
	assert_false(r->c.mode & MODE_CS32);
	rig_free(r);
}

static struct rig *iretq_to(u64 rip, u16 cs, u16 ss)
{
	struct rig *r = rig_long(0);
	u32 sp = KSTACK - 0x100;

	put(r, sp, 8, rip);
	put(r, sp + 8, 8, cs);
	put(r, sp + 16, 8, 2);
	put(r, sp + 24, 8, 0x7000);
	put(r, sp + 32, 8, ss);
	STEP(r, "\x48\xcf");
	return r;
}

static void test_iretq(void **state)
{
	struct rig *r = iretq_to(TARGET_AT, SEL_CODE64, 0); /* null SS at CPL 0 */

	(void)state;
	assert_int_equal(r->c.rip, TARGET_AT);
	assert_int_equal(r->c.r[R_RSP], 0x7000);
	assert_true(r->c.s.seg[S_SS].ar & AR_UNUSABLE);
	rig_free(r);
	r = iretq_to(TARGET_AT, SEL_UCODE64, 3);
	EXPECT_FAULT(r, 13, 0);
	rig_free(r);
	r = iretq_to(TARGET_AT, SEL_CODE32, 0); /* null SS for compatibility mode */
	EXPECT_FAULT(r, 13, 0);
	rig_free(r);
	r = iretq_to(0x800000000000, SEL_UCODE64, SEL_UDATA);
	EXPECT_FAULT(r, 13, 0);
	assert_int_equal(r->c.cpl, 0);
	rig_free(r);
	r = iretq_to(0x500000000 + TARGET_AT, SEL_UCODE32, SEL_UDATA);
	assert_int_equal(r->c.rip, TARGET_AT);
	assert_int_equal(r->c.cpl, 3);
	assert_true(r->c.mode & MODE_SS32);
	rig_free(r);
	r = rig_long(0);
	r->c.rflags |= FL_NT;
	STEP(r, "\x48\xcf");
	EXPECT_FAULT(r, 13, 0);
	rig_free(r);
}

/* ---- gates ---- */

static void test_gate_same_level(void **state)
{
	struct rig *r = rig_protected(0);

	(void)state;
	set_desc(r, SEL_GATE, gate(SEL_CODE32, TARGET_AT, 0x8c));
	STEP(r, "\x9a\x00\x00\x00\x00\x50\x00");
	assert_int_equal(r->c.rip, TARGET_AT);
	assert_int_equal(r->c.r[R_RSP], KSTACK - 0x100 - 8);
	assert_int_equal(get(r, KSTACK - 0x108, 4), CODE + 7);
	set_desc(r, SEL_GATE, gate(SEL_CODE16, 0x5000, 0x84)); /* 16 bits */
	STEP(r, "\x9a\x00\x00\x00\x00\x50\x00");
	assert_int_equal(r->c.rip, 0x5000);
	assert_int_equal(r->c.r[R_RSP], KSTACK - 0x100 - 12);
	assert_int_equal(get(r, KSTACK - 0x10c, 2), (TARGET_AT + 7) & 0xffff);
	rig_free(r);

	r = rig_long(0);
	set_desc(r, SEL_GATE, gate(SEL_CODE64, TARGET_AT, 0x8c));
	put(r, GDT + SEL_GATE + 8, 8, 0);
	put(r, 0x6004, 2, SEL_GATE);
	STEP(r, "\xff\x1c\x25\x00\x60\x00\x00");
	assert_int_equal(r->c.rip, TARGET_AT);
	assert_int_equal(r->c.r[R_RSP], KSTACK - 0x100 - 16);
	put(r, GDT + SEL_GATE + 13, 1, 1); /* type bits in the upper half */
	STEP(r, "\xff\x1c\x25\x00\x60\x00\x00");
	EXPECT_FAULT(r, 13, SEL_GATE);
	rig_free(r);
}

/* A 16-bit interrupt gate with a 16-bit TSS. */
static void test_gate_16(void **state)
{
	struct rig *r = rig_protected(3);

	(void)state;
	set_desc(r, SEL_CODE16, descriptor(0, 0xffff, 0x9a, 0));
	put(r, IDT + 0x80 * 8, 8, gate(SEL_CODE16, 0x5000, 0xe6));
	r->c.s.seg[S_TR].ar = 0x83;
	put(r, TSS + 2, 2, 0x7000);
	put(r, TSS + 4, 2, SEL_DATA16);
	STEP(r, "\xcd\x80");
	assert_int_equal(r->c.rip, 0x5000);
	assert_int_equal(r->c.r[R_RSP], 0x7000 - 10);
	assert_int_equal(get(r, 0x7000 - 2, 2), SEL_UDATA);
	assert_int_equal(get(r, 0x7000 - 4, 2), USTACK);
	assert_int_equal(get(r, 0x7000 - 10, 2), (CODE + 2) & 0xffff);
	assert_false(r->c.rflags & FL_IF);
	rig_free(r);
}

static void test_trap_gate_keeps_if(void **state)
{
	struct rig *r = rig_protected(3);

	(void)state;
	fl_set_status(&r->c, FL_OF);
	STEP(r, "\xce"); /* into */
	assert_int_equal(r->c.rip, handler(4));
	assert_true(r->c.rflags & FL_IF);
	fl_set_status(&r->c, 0);
	STEP(r, "\xce");
	assert_int_equal(r->c.rip, handler(4) + 1);
	rig_free(r);
}

/* ---- loads ---- */

static void test_ldt(void **state)
{
	struct rig *r = rig_protected(0);

	(void)state;
	put(r, LDT + 8, 8, descriptor(0x1234, 0xff, 0x92, 0));
	r->c.r[R_RAX] = SEL_LDT;
	STEP(r, "\x0f\x00\xd0");
	STEP(r, "\x0f\x00\x05\x00\x60\x00\x00"); /* sldt [0x6000] */
	assert_int_equal(get(r, 0x6000, 4), SEL_LDT);
	r->c.r[R_RAX] = 0xc;
	STEP(r, "\x8e\xc0"); /* mov es, ax */
	assert_int_equal(r->c.s.seg[S_ES].base, 0x1234);
	STEP(r, "\x8c\xc3"); /* mov ebx, es */
	assert_int_equal(r->c.r[R_RBX], 0xc);
	r->c.r[R_RAX] = 0;
	STEP(r, "\x0f\x00\xd0"); /* lldt null */
	assert_true(r->c.s.seg[S_LDTR].ar & AR_UNUSABLE);
	rig_free(r);
}

static void test_far_pointers_64(void **state)
{
	struct rig *r = rig_long(0);

	(void)state;
	r->c.r[R_RBX] = 0x6000;
	put(r, 0x6000, 8, 0x1122334455667788);
	put(r, 0x6008, 2, SEL_DATA16);
	STEP(r, "\x48\x0f\xb4\x03"); /* lfs rax, [rbx] */
	assert_true(r->c.r[R_RAX] == 0x1122334455667788);
	assert_int_equal(r->c.s.seg[S_FS].sel, SEL_DATA16);
	vendor(r, true);
	put(r, 0x6004, 2, SEL_UDATA);
	STEP(r, "\x48\x0f\xb5\x03"); /* lgs: AMD knows no m16:64 */
	assert_int_equal(r->c.r[R_RAX], 0x55667788);
	assert_int_equal(r->c.s.seg[S_GS].sel, SEL_UDATA);
	rig_free(r);
}

static void test_arpl_memory(void **state)
{
	struct rig *r = rig_protected(3);

	(void)state;
	put(r, 0x6000, 4, 0x00aa0010);
	r->c.r[R_RCX] = 2;
	r->c.r[R_RBX] = 0x6000;
	STEP(r, "\x63\x0b"); /* arpl [ebx], cx */
	assert_int_equal(get(r, 0x6000, 4), 0x00aa0012);
	assert_true(fl_zf(&r->c));
	rig_free(r);
}

static void test_alignment_check(void **state)
{
	struct rig *r = rig_long(3);

	(void)state;
	r->c.s.cr0 |= CR0_AM;
	r->c.rflags |= FL_AC;
	cpu_update_mode(&r->c);
	r->c.r[R_RBX] = 0x6004;
	STEP(r, "\x8b\x03"); /* mov eax, [rbx] */
	assert_int_equal(r->c.rip, CODE + 2);
	STEP(r, "\x48\x8b\x03");
	EXPECT_FAULT(r, 17, 0);
	rig_free(r);
}

/* ---- tasks ---- */

static void fill_task(struct rig *r, u32 flags)
{
	put(r, TSS2 + 28, 4, TABLES);
	put(r, TSS2 + 32, 4, 0x500);
	put(r, TSS2 + 36, 4, FL_R1 | flags);
	put(r, TSS2 + 56, 4, 0x7000);
	for (unsigned i = 0; i < 6; i++)
		put(r, TSS2 + 72 + i * 4, 2, i == S_CS ? SEL_CODE32 : SEL_DATA);
}

static void test_task_selectors(void **state)
{
	static const struct {
		u8 at;
		u16 sel;
		unsigned vector;
		u32 error;
	} rows[] = {
		{76, 0, 10, 0},
		{76, SEL_DATA, 10, SEL_DATA},
		{76, 0xa8, 10, 0xa8},
		{80, 0, 10, 0},
		{80, SEL_CODE32, 10, SEL_CODE32},
		{72, SEL_XONLY, 10, SEL_XONLY},
		{88, SEL_ABSENT, 11, SEL_ABSENT},
		{96, SEL_DATA, 10, SEL_DATA},
		{96, SEL_LDT | 4, 10, SEL_LDT | 4},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig *r = rig_protected(0);

		fill_task(r, 0);
		put(r, TSS2 + rows[i].at, 2, rows[i].sel);
		/* handlers on a task of their own: the new one may have no stack */
		put(r, IDT + 10 * 8, 8, gate(SEL_GATE, 0, 0x85));
		put(r, IDT + 11 * 8, 8, gate(SEL_GATE, 0, 0x85));
		set_desc(r, SEL_GATE, descriptor(LDT, 0x67, 0x89, 0));
		put(r, LDT + 32, 4, TARGET_AT);
		put(r, LDT + 56, 4, 0x7800);
		put(r, LDT + 76, 2, SEL_CODE32);
		put(r, LDT + 80, 2, SEL_DATA);
		STEP(r, "\xea\x00\x00\x00\x00\x48\x00");
		assert_int_equal(r->c.rip, TARGET_AT);
		assert_int_equal(get(r, 0x7800 - 4, 4), rows[i].error);
		assert_int_equal(get(r, TSS2 + 32, 4), 0x500); /* at its first instruction */
		assert_true(get(r, TSS2 + 36, 4) & FL_RF);
		rig_free(r);
	}
}

static void test_task_v86_ldt_trap(void **state)
{
	struct rig *r = rig_protected(0);

	(void)state;
	fill_task(r, FL_VM);
	put(r, TSS2 + 96, 2, SEL_LDT);
	STEP(r, "\xea\x00\x00\x00\x00\x48\x00");
	assert_true(r->c.mode & MODE_VM);
	assert_int_equal(r->c.cpl, 3);
	assert_int_equal(r->c.s.seg[S_DS].base, SEL_DATA << 4);
	assert_int_equal(r->c.s.seg[S_LDTR].base, LDT);
	rig_free(r);

	r = rig_protected(0);
	fill_task(r, 0);
	put(r, TSS2 + 100, 2, 1); /* T */
	r->c.s.dr7 |= 1;
	r->c.s.dr[0] = 0x3f0000;
	STEP(r, "\xea\x00\x00\x00\x00\x48\x00");
	assert_int_equal(r->c.rip, handler(1));
	assert_true(r->c.s.dr6 & DR6_BT);
	assert_false(r->c.s.dr7 & 1);
	assert_int_equal(get(r, (u32)r->c.r[R_RSP], 4), 0x500);
	rig_free(r);

	r = rig_protected(0); /* into a task with an error code: the #DB comes last */
	fill_task(r, 0);
	put(r, TSS2 + 100, 2, 1);
	put(r, IDT + 13 * 8, 8, gate(SEL_TSS2, 0, 0x85));
	r->c.s.idt.limit = 0x7f7;
	STEP(r, "\xcd\xff");
	assert_int_equal(r->c.rip, handler(1));
	assert_int_equal(get(r, 0x7000 - 4, 4), 0xff * 8 + 2);
	assert_int_equal(r->c.r[R_RSP], 0x7000 - 16);
	rig_free(r);
}

static void test_task_16(void **state)
{
	struct rig *r = rig_protected(0);

	(void)state;
	set_desc(r, SEL_TSS2, descriptor(TSS2, 0x2b, 0x81, 0));
	put(r, TSS2 + 14, 2, 0x500);
	put(r, TSS2 + 16, 2, 2);
	put(r, TSS2 + 26, 2, 0x7000);
	for (unsigned i = 0; i < 4; i++)
		put(r, TSS2 + 34 + i * 2, 2, i == S_CS ? SEL_CODE32 : SEL_DATA);
	STEP(r, "\x9a\x00\x00\x00\x00\x48\x00");
	assert_int_equal(r->c.rip, 0x500);
	assert_int_equal(r->c.r[R_RSP], 0x7000);
	assert_true(r->c.s.seg[S_FS].ar & AR_UNUSABLE);
	assert_int_equal(get(r, TSS2, 2), SEL_TSS);
	STEP(r, "\xcf");
	assert_int_equal(r->c.rip, CODE + 7);
	assert_int_equal(get(r, TSS2 + 14, 2), 0x501);
	rig_free(r);
}

/* ---- virtual-8086 ---- */

static void test_v86_code(void **state)
{
	struct rig *r = rig_protected(0);
	u32 sp = KSTACK - 0x100;

	(void)state;
	put(r, sp + 4, 4, 0x1000);
	put(r, sp + 8, 4, FL_R1 | FL_VM | FL_IOPL);
	put(r, sp + 12, 4, 0xfff0);
	put(r, sp + 16, 4, 0x600);
	STEP(r, "\xcf");
	r->c.r[R_RAX] = 0x700;
	STEP(r, "\x8e\xd8"); /* mov ds, ax */
	assert_int_equal(r->c.s.seg[S_DS].base, 0x7000);
	STEP(r, "\x9a\x00\x01\x00\x20"); /* call 2000:100 */
	assert_int_equal(r->c.s.seg[S_CS].base, 0x20000);
	assert_int_equal(r->c.s.seg[S_CS].ar, AR_V86);
	STEP(r, "\xcb");
	assert_int_equal(r->c.s.seg[S_CS].sel, 0x1000);
	put(r, 0x6000 + 0xffea, 2, 0x40);
	put(r, 0x6000 + 0xffec, 2, 0x1001);
	put(r, 0x6000 + 0xffee, 2, FL_CF | FL_IF);
	r->c.r[R_RSP] = 0xffea;
	STEP(r, "\xcf"); /* IOPL 3: IF may change, IOPL not */
	assert_int_equal(r->c.rip, 0x40);
	assert_int_equal(fl_get(&r->c), FL_R1 | FL_CF | FL_IF | FL_VM | FL_IOPL);
	STEP(r, "\x0f\x00\xc8"); /* str */
	assert_int_equal(r->c.rip, handler(6));
	rig_free(r);
}

/* ---- AMD outside 64-bit mode ---- */

static void test_amd_syscall_compat(void **state)
{
	struct rig *r = rig_long(3);
	struct insn in = {.len = 2, .osz = 4};

	(void)state;
	vendor(r, true);
	r->c.s.seg[S_CS] = segment(r, SEL_UCODE32);
	cpu_update_mode(&r->c);
	r->c.s.star = (u64)SEL_CODE64 << 32 | (u64)0x23 << 48;
	r->c.s.cstar = TARGET_AT;
	r->c.blk_rip = CODE;
	r->c.cur = &in;
	x_syscall.f[4](&r->c, &in);
	assert_int_equal(r->c.rip, TARGET_AT);
	assert_true(r->c.mode & MODE_64);
	assert_int_equal(r->c.r[R_RCX], CODE + 2);
	x_sysret.f[4](&r->c, &in);
	assert_int_equal(r->c.rip, CODE + 2);
	assert_int_equal(r->c.s.seg[S_CS].sel, SEL_UDATA);
	assert_true(r->c.mode & MODE_CS32);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jump_errors),
		cmocka_unit_test(test_ss_errors),
		cmocka_unit_test(test_ltr_lldt_errors),
		cmocka_unit_test(test_return_errors),
		cmocka_unit_test(test_return_same_level),
		cmocka_unit_test(test_iretq),
		cmocka_unit_test(test_gate_same_level),
		cmocka_unit_test(test_gate_16),
		cmocka_unit_test(test_trap_gate_keeps_if),
		cmocka_unit_test(test_ldt),
		cmocka_unit_test(test_far_pointers_64),
		cmocka_unit_test(test_arpl_memory),
		cmocka_unit_test(test_alignment_check),
		cmocka_unit_test(test_task_selectors),
		cmocka_unit_test(test_task_v86_ldt_trap),
		cmocka_unit_test(test_task_16),
		cmocka_unit_test(test_v86_code),
		cmocka_unit_test(test_amd_syscall_compat),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
