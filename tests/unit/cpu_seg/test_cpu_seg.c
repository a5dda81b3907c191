/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu_seg: segment loads, far transfers, IDT delivery, IRET, tasks, SYSCALL, by stepping real
 * instructions over a flat 4 MiB memory. Expected values: SDM 2 (operation sections), SDM 3A 5-7.
 */
#include "rig.h"

/* ---- real mode ---- */

static void test_real_int(void **state)
{
	struct rig *r = rig_real();

	(void)state;
	r->c.rflags |= FL_IF;
	STEP(r, "\xcd\x21"); /* int 0x21 */
	assert_int_equal(r->c.s.seg[S_CS].sel, 0x4000);
	assert_int_equal(r->c.s.seg[S_CS].base, 0x40000);
	assert_int_equal(r->c.rip, 0x210);
	assert_int_equal(r->c.r[R_RSP], KSTACK - 6);
	assert_int_equal(get(r, KSTACK - 6, 2), 2);
	assert_int_equal(get(r, KSTACK - 4, 2), 0x1000);
	assert_int_equal(get(r, KSTACK - 2, 2), FL_R1 | FL_IF);
	assert_false(r->c.rflags & FL_IF);
	STEP(r, "\xcf"); /* iret */
	assert_int_equal(r->c.s.seg[S_CS].sel, 0x1000);
	assert_int_equal(r->c.rip, 2);
	assert_int_equal(r->c.r[R_RSP], KSTACK);
	assert_true(r->c.rflags & FL_IF);
	rig_free(r);
}

static void test_real_far(void **state)
{
	struct rig *r = rig_real();

	(void)state;
	STEP(r, "\x9a\x34\x12\x00\x20"); /* call 2000:1234 */
	assert_int_equal(r->c.s.seg[S_CS].base, 0x20000);
	assert_int_equal(r->c.rip, 0x1234);
	assert_int_equal(get(r, KSTACK - 4, 4), 0x10000005);
	STEP(r, "\xca\x02\x00"); /* retf 2 */
	assert_int_equal(r->c.s.seg[S_CS].sel, 0x1000);
	assert_int_equal(r->c.rip, 5);
	assert_int_equal(r->c.r[R_RSP], KSTACK + 2);
	STEP(r, "\xea\x00\x00\x00\x30"); /* jmp 3000:0 */
	assert_int_equal(r->c.s.seg[S_CS].base, 0x30000);
	rig_free(r);
}

/* Limits outlive the way into real mode; a push at SP 1 wraps over the limit. */
static void test_real_limits(void **state)
{
	struct rig *r = rig_real();

	(void)state;
	r->c.s.seg[S_DS].limit = 0xffffffff;
	r->c.r[R_RAX] = 0x1234;
	STEP(r, "\x8e\xd8"); /* mov ds, ax */
	assert_int_equal(r->c.s.seg[S_DS].limit, 0xffffffff);
	assert_int_equal(r->c.s.seg[S_DS].base, 0x12340);
	r->c.r[R_RBX] = 0xffff;
	STEP(r, "\x26\x8b\x07"); /* mov ax, es:[bx]: over the limit */
	assert_int_equal(r->c.rip, 13 * 16);
	rig_free(r);
}

static void test_real_no_stack(void **state)
{
	struct rig *r = rig_real();

	(void)state;
	r->c.r[R_RSP] = 1;
	STEP(r, "\xcd\x21");
	assert_int_equal(r->c.s.activity, CPU_SHUTDOWN);
	assert_true(r->c.event & EV_STOP);
	rig_free(r);
}

/* ---- long mode: delivery ---- */

static void test_long_int_iret(void **state)
{
	struct rig *r = rig_long(3);
	u64 top = KSTACK;

	(void)state;
	STEP(r, "\xcd\x80");
	assert_int_equal(r->c.rip, handler(0x80));
	assert_int_equal(r->c.cpl, 0);
	assert_int_equal(r->c.s.seg[S_CS].sel, SEL_CODE64);
	assert_int_equal(r->c.s.seg[S_SS].sel, 0);
	assert_true(r->c.s.seg[S_SS].ar & AR_UNUSABLE);
	assert_int_equal(r->c.r[R_RSP], top - 40);
	assert_int_equal(get(r, KSTACK - 8, 8), SEL_UDATA);
	assert_int_equal(get(r, KSTACK - 16, 8), USTACK);
	assert_int_equal(get(r, KSTACK - 24, 8), FL_R1 | FL_IF); /* no RF */
	assert_int_equal(get(r, KSTACK - 32, 8), SEL_UCODE64);
	assert_int_equal(get(r, KSTACK - 40, 8), CODE + 2);
	assert_false(r->c.rflags & FL_IF);
	STEP(r, "\x48\xcf"); /* iretq */
	assert_int_equal(r->c.cpl, 3);
	assert_int_equal(r->c.rip, CODE + 2);
	assert_int_equal(r->c.r[R_RSP], USTACK);
	assert_int_equal(r->c.s.seg[S_SS].sel, SEL_UDATA);
	assert_true(r->c.rflags & FL_IF);
	rig_free(r);
}

static void test_long_same_level_aligns(void **state)
{
	struct rig *r = rig_long(0);

	(void)state;
	r->c.r[R_RSP] = 0x7ffb;
	interp_interrupt(&r->c, 0x30);
	assert_int_equal(r->c.rip, handler(0x30));
	assert_int_equal(r->c.r[R_RSP], 0x7ff0 - 40);
	assert_int_equal(get(r, 0x7ff0 - 16, 8), 0x7ffb);
	assert_int_equal(get(r, 0x7ff0 - 8, 8), SEL_DATA);
	rig_free(r);
}

static void test_long_ist(void **state)
{
	struct rig *r = rig_long(0);

	(void)state;
	put(r, IDT + 0x30 * 16 + 4, 1, 1);
	interp_interrupt(&r->c, 0x30);
	assert_int_equal(r->c.r[R_RSP], IST1 - 40);
	assert_int_equal(r->c.s.seg[S_SS].sel, SEL_DATA); /* CPL did not change */
	rig_free(r);
}

static void test_long_gate_dpl(void **state)
{
	struct rig *r = rig_long(3);

	(void)state;
	STEP(r, "\xcd\x30");
	EXPECT_FAULT(r, 13, 0x30 * 8 + 2);
	assert_int_equal(get(r, KSTACK - 40, 8), CODE);
	assert_true(get(r, KSTACK - 24, 8) & FL_RF); /* a fault's image has RF */
	rig_free(r);

	r = rig_long(3);
	STEP(r, "\xcc"); /* int3: its gate has DPL 3 */
	assert_int_equal(r->c.rip, handler(3));
	assert_int_equal(get(r, KSTACK - 40, 8), CODE + 1);
	rig_free(r);

	r = rig_long(3);
	STEP(r, "\xf1"); /* int1: no DPL check */
	assert_int_equal(r->c.rip, handler(1));
	rig_free(r);
}

static void test_long_gate_errors(void **state)
{
	struct rig *r = rig_long(0);

	(void)state;
	put(r, IDT + 0x30 * 16 + 5, 1, 0x0e); /* not present */
	interp_interrupt(&r->c, 0x30);
	EXPECT_FAULT(r, 11, 0x30 * 8 + 3);
	rig_free(r);

	r = rig_long(0);
	put(r, IDT + 0x30 * 16 + 5, 1, 0x85); /* task gate */
	interp_interrupt(&r->c, 0x30);
	EXPECT_FAULT(r, 13, 0x30 * 8 + 3);
	rig_free(r);

	r = rig_long(0);
	put(r, IDT + 0x30 * 16 + 2, 2, SEL_CODE32); /* L = 0 */
	interp_interrupt(&r->c, 0x30);
	EXPECT_FAULT(r, 13, SEL_CODE32 + 1);
	rig_free(r);

	r = rig_long(0);
	put(r, IDT + 0x80 * 16 + 8, 4, 0x8000); /* RIP not canonical */
	STEP(r, "\xcd\x80");
	EXPECT_FAULT(r, 13, 0);
	rig_free(r);
}

/* Unmapped stack: #PF, #DF, and no way out. */
static void test_long_triple_fault(void **state)
{
	struct rig *r = rig_long(3);

	(void)state;
	put(r, TSS + 4, 8, 0x900000);
	STEP(r, "\x0f\x0b"); /* ud2 */
	assert_int_equal(r->c.s.activity, CPU_SHUTDOWN);
	assert_int_equal(r->c.cpl, 3);
	assert_int_equal(r->c.r[R_RSP], USTACK);
	rig_free(r);
}

/* The kernel's guard page: #PF while pushing #PF; #DF has its own stack and sees CR2. */
static void test_long_double_fault(void **state)
{
	struct rig *r = rig_long(3);

	(void)state;
	put(r, TSS + 4, 8, 0x900000);
	put(r, IDT + 8 * 16 + 4, 1, 1);
	STEP(r, "\x8b\x04\x25\x00\x00\x80\x00"); /* mov eax, [0x800000] */
	EXPECT_FAULT(r, 8, 0);
	assert_int_equal(r->c.r[R_RSP], IST1 - 48);
	assert_int_equal(r->c.s.cr2, 0x900000 - 8);
	assert_int_equal(get(r, IST1 - 40, 8), CODE);
	rig_free(r);
}

/* A contributory fault and then #PF are taken one after the other. */
static void test_long_serial(void **state)
{
	struct rig *r = rig_long(0);

	(void)state;
	put(r, TSS + 36, 8, 0x900000);
	put(r, IDT + 13 * 16 + 4, 1, 1); /* #GP on the bad stack */
	STEP(r, "\xcd\x30");		 /* fine */
	assert_int_equal(r->c.rip, handler(0x30));
	r->c.s.idt.limit = 0x2ff;
	STEP(r, "\xcd\x30");
	EXPECT_FAULT(r, 14, PF_W);
	rig_free(r);
}

static void test_debug_delivery(void **state)
{
	struct rig *r = rig_long(0);

	(void)state;
	r->c.s.dr6 = DR6_INIT | 4;
	r->c.s.dr7 |= DR7_GD;
	r->c.exc = (struct cpu_exception){.vector = EXC_DB, .kind = EXK_TRAP, .dr6 = DR6_BS};
	interp_deliver(&r->c);
	assert_int_equal(r->c.rip, handler(1));
	assert_int_equal(r->c.s.dr6, DR6_INIT | DR6_BS);
	assert_false(r->c.s.dr7 & DR7_GD);
	assert_false(get(r, (u32)r->c.r[R_RSP] + 16, 8) & FL_RF);
	rig_free(r);
}

static void test_nmi_blocking(void **state)
{
	struct rig *r = rig_long(0);

	(void)state;
	interp_interrupt(&r->c, EXC_NMI);
	assert_true(r->c.s.nmi_blocked);
	STEP(r, "\x48\xcf");
	assert_false(r->c.s.nmi_blocked);
	assert_int_equal(r->c.rip, CODE);
	rig_free(r);
}

/* ---- long mode: loads ---- */

static void test_long_sreg(void **state)
{
	struct rig *r = rig_long(0);

	(void)state;
	r->c.r[R_RAX] = 0;
	STEP(r, "\x8e\xd0"); /* mov ss, ax: null is fine at CPL 0 */
	assert_true(r->c.s.seg[S_SS].ar & AR_UNUSABLE);
	assert_int_equal(r->c.shadow, 2);
	assert_int_equal(r->c.rip, CODE + 2);
	r->c.r[R_RAX] = 3;
	STEP(r, "\x8e\xd0");
	EXPECT_FAULT(r, 13, 0);
	rig_free(r);

	r = rig_long(3);
	r->c.r[R_RAX] = SEL_DATA;
	STEP(r, "\x8e\xd8"); /* mov ds, ax: DPL 0 */
	EXPECT_FAULT(r, 13, SEL_DATA);
	rig_free(r);

	r = rig_long(0);
	r->c.r[R_RAX] = SEL_ABSENT;
	STEP(r, "\x8e\xd8");
	EXPECT_FAULT(r, 11, SEL_ABSENT);
	r->c.r[R_RAX] = SEL_XONLY;
	STEP(r, "\x8e\xd8");
	EXPECT_FAULT(r, 13, SEL_XONLY);
	r->c.r[R_RAX] = 0x1000;
	STEP(r, "\x8e\xd8");
	EXPECT_FAULT(r, 13, 0x1000);
	r->c.r[R_RAX] = 0x14; /* null LDT */
	STEP(r, "\x8e\xd8");
	EXPECT_FAULT(r, 13, 0x14);
	STEP(r, "\x8e\xc8"); /* mov cs, ax */
	assert_int_equal(r->c.rip, handler(6));
	rig_free(r);
}

static void test_accessed_bit(void **state)
{
	struct rig *r = rig_long(0);

	(void)state;
	r->c.r[R_RAX] = SEL_DATA16;
	STEP(r, "\x8e\xe0"); /* mov fs, ax */
	assert_int_equal(get(r, GDT + SEL_DATA16 + 5, 1), 0x93);
	assert_int_equal(r->c.s.seg[S_FS].ar & 0xff, 0x93);
	rig_free(r);
}

static void test_long_fs_survives_iret(void **state)
{
	struct rig *r = rig_long(3);

	(void)state;
	seg_set_null(&r->c.s.seg[S_FS], 0, 0);
	r->c.s.seg[S_FS].base = 0x7f0012345000;
	cpu_update_mode(&r->c);
	STEP(r, "\xcd\x80");
	r->c.s.seg[S_DS] = segment(r, SEL_DATA);
	STEP(r, "\x48\xcf");
	assert_true(r->c.s.seg[S_FS].base == 0x7f0012345000);
	assert_true(r->c.s.seg[S_DS].ar & AR_UNUSABLE); /* was the kernel's */
	assert_int_equal(r->c.s.seg[S_ES].sel, SEL_UDATA);
	rig_free(r);
}

static void test_long_ltr_lldt(void **state)
{
	struct rig *r = rig_long(0);

	(void)state;
	r->c.r[R_RAX] = SEL_TSS;
	STEP(r, "\x0f\x00\xd8"); /* ltr ax */
	assert_int_equal(get(r, GDT + SEL_TSS + 5, 1), 0x8b);
	assert_int_equal(r->c.s.seg[S_TR].ar & 0xff, 0x8b);
	STEP(r, "\x0f\x00\xd8"); /* busy now */
	EXPECT_FAULT(r, 13, SEL_TSS);
	put(r, GDT + SEL_LDT + 8, 8, 0x7fff);
	r->c.r[R_RAX] = SEL_LDT;
	STEP(r, "\x0f\x00\xd0"); /* lldt ax */
	assert_true(r->c.s.seg[S_LDTR].base == (0x7fffull << 32 | LDT));
	put(r, GDT + SEL_LDT + 8, 8, 0x8000);
	STEP(r, "\x0f\x00\xd0");
	EXPECT_FAULT(r, 13, SEL_LDT);
	rig_free(r);
}

static void test_questions(void **state)
{
	struct rig *r = rig_protected(3);

	(void)state;
	r->c.r[R_RBX] = SEL_UDATA;
	r->c.r[R_RAX] = ~0ull;
	STEP(r, "\x0f\x02\xc3"); /* lar eax, ebx */
	assert_true(fl_zf(&r->c));
	assert_int_equal(r->c.r[R_RAX], 0x00c0f300);
	STEP(r, "\x0f\x03\xc3"); /* lsl eax, ebx */
	assert_int_equal(r->c.r[R_RAX], 0xffffffff);
	STEP(r, "\x0f\x00\xeb"); /* verw bx */
	assert_true(fl_zf(&r->c));
	r->c.r[R_RBX] = SEL_DATA;
	STEP(r, "\x0f\x02\xc3"); /* DPL 0 */
	assert_false(fl_zf(&r->c));
	r->c.r[R_RBX] = SEL_CONF;
	STEP(r, "\x0f\x00\xe3"); /* verr bx: conforming, readable */
	assert_true(fl_zf(&r->c));
	r->c.r[R_RBX] = SEL_TASK | 3;
	STEP(r, "\x0f\x02\xc3"); /* task gate, DPL 3 */
	assert_true(fl_zf(&r->c));
	STEP(r, "\x0f\x03\xc3"); /* has no limit */
	assert_false(fl_zf(&r->c));
	r->c.r[R_RCX] = 0x10;
	r->c.r[R_RDX] = 3;
	STEP(r, "\x63\xd1"); /* arpl cx, dx */
	assert_true(fl_zf(&r->c));
	assert_int_equal(r->c.r[R_RCX], 0x13);
	STEP(r, "\x63\xd1");
	assert_false(fl_zf(&r->c));
	rig_free(r);
}

static void test_umip(void **state)
{
	struct rig *r = rig_long(3);

	(void)state;
	STEP(r, "\x0f\x00\xc8"); /* str eax */
	assert_int_equal(r->c.r[R_RAX], SEL_TSS);
	r->c.s.cr4 |= CR4_UMIP;
	STEP(r, "\x0f\x00\xc8");
	EXPECT_FAULT(r, 13, 0);
	rig_free(r);
}

/* ---- long mode: far transfers ---- */

static void test_long_compat_and_back(void **state)
{
	struct rig *r = rig_long(0);

	(void)state;
	put(r, 0x6000, 4, CODE + 0x100);
	put(r, 0x6004, 2, SEL_CODE32);
	STEP(r, "\xff\x2c\x25\x00\x60\x00\x00"); /* jmp far [0x6000] */
	assert_int_equal(r->c.rip, CODE + 0x100);
	assert_false(r->c.mode & MODE_64);
	assert_true(r->c.mode & MODE_CS32);
	STEP(r, "\xea\x00\x02\x01\x00\x08\x00"); /* jmp 8:CODE+0x200 */
	assert_true(r->c.mode & MODE_64);
	assert_int_equal(r->c.rip, CODE + 0x200);
	rig_free(r);
}

static void test_long_call_gate(void **state)
{
	struct rig *r = rig_long(3);

	(void)state;
	set_desc(r, SEL_GATE, gate(SEL_CODE64, TARGET_AT, 0xec));
	put(r, GDT + SEL_GATE + 8, 8, 0);
	put(r, 0x6000, 4, 0);
	put(r, 0x6004, 2, SEL_GATE | 3);
	STEP(r, "\xff\x1c\x25\x00\x60\x00\x00"); /* call far [0x6000] */
	assert_int_equal(r->c.rip, TARGET_AT);
	assert_int_equal(r->c.cpl, 0);
	assert_int_equal(r->c.r[R_RSP], KSTACK - 32);
	assert_int_equal(get(r, KSTACK - 8, 8), SEL_UDATA);
	assert_int_equal(get(r, KSTACK - 16, 8), USTACK);
	assert_int_equal(get(r, KSTACK - 24, 8), SEL_UCODE64);
	assert_int_equal(get(r, KSTACK - 32, 8), CODE + 7);
	STEP(r, "\x48\xcb"); /* retfq */
	assert_int_equal(r->c.cpl, 3);
	assert_int_equal(r->c.rip, CODE + 7);
	assert_int_equal(r->c.r[R_RSP], USTACK);
	rig_free(r);
}

/* ---- system calls ---- */

static void test_syscall(void **state)
{
	struct rig *r = rig_long(3);

	(void)state;
	r->c.s.star = (u64)0x0023 << 48 | (u64)SEL_CODE64 << 32;
	r->c.s.lstar = TARGET_AT;
	r->c.s.sfmask = FL_IF | FL_DF;
	r->c.rflags |= FL_DF;
	fl_set_status(&r->c, FL_CF | FL_SF);
	STEP(r, "\x0f\x05");
	assert_int_equal(r->c.rip, TARGET_AT);
	assert_int_equal(r->c.cpl, 0);
	assert_int_equal(r->c.r[R_RCX], CODE + 2);
	assert_int_equal(r->c.r[R_R11], FL_R1 | FL_IF | FL_DF | FL_CF | FL_SF);
	assert_int_equal(fl_get(&r->c), FL_R1 | FL_CF | FL_SF);
	assert_int_equal(r->c.s.seg[S_CS].sel, SEL_CODE64);
	assert_int_equal(r->c.s.seg[S_SS].sel, SEL_DATA);
	STEP(r, "\x48\x0f\x07"); /* sysretq */
	assert_int_equal(r->c.rip, CODE + 2);
	assert_int_equal(r->c.cpl, 3);
	assert_int_equal(r->c.s.seg[S_CS].sel, 0x33);
	assert_int_equal(r->c.s.seg[S_SS].sel, 0x2b);
	assert_int_equal(fl_get(&r->c), FL_R1 | FL_IF | FL_DF | FL_CF | FL_SF);
	STEP(r, "\x48\x0f\x07"); /* CPL 3 */
	EXPECT_FAULT(r, 13, 0);
	rig_free(r);
}

static void test_sysret_canonical(void **state)
{
	struct rig *r = rig_long(0);

	(void)state;
	r->c.s.star = (u64)0x0023 << 48;
	r->c.r[R_RCX] = 0x800000000000;
	STEP(r, "\x48\x0f\x07");
	EXPECT_FAULT(r, 13, 0);
	assert_int_equal(get(r, (u32)r->c.r[R_RSP] + 16, 8), SEL_CODE64);
	rig_free(r);

	r = rig_long(0);
	vendor(r, true);
	r->c.s.star = (u64)0x0023 << 48;
	r->c.r[R_RCX] = 0x800000000000;
	STEP(r, "\x48\x0f\x07");
	assert_int_equal(r->c.cpl, 3);
	assert_true(r->c.rip == 0x800000000000);
	rig_free(r);
}

static void test_sysenter(void **state)
{
	struct rig *r = rig_long(3);

	(void)state;
	r->c.s.sysenter_cs = SEL_CODE64;
	r->c.s.sysenter_esp = KSTACK;
	r->c.s.sysenter_eip = TARGET_AT;
	STEP(r, "\x0f\x34");
	assert_int_equal(r->c.rip, TARGET_AT);
	assert_int_equal(r->c.cpl, 0);
	assert_int_equal(r->c.r[R_RSP], KSTACK);
	assert_false(r->c.rflags & FL_IF);
	r->c.r[R_RDX] = CODE;
	r->c.r[R_RCX] = USTACK;
	STEP(r, "\x48\x0f\x35"); /* sysexit */
	assert_int_equal(r->c.cpl, 3);
	assert_int_equal(r->c.s.seg[S_CS].sel, SEL_CODE64 + 32 + 3);
	assert_int_equal(r->c.rip, CODE);
	vendor(r, true);
	STEP(r, "\x0f\x34");
	assert_int_equal(r->c.rip, handler(6));
	rig_free(r);
}

/* ---- protected mode ---- */

static void test_protected_int_iret(void **state)
{
	struct rig *r = rig_protected(3);

	(void)state;
	STEP(r, "\xcd\x80");
	assert_int_equal(r->c.rip, handler(0x80));
	assert_int_equal(r->c.cpl, 0);
	assert_int_equal(r->c.s.seg[S_SS].sel, SEL_DATA);
	assert_int_equal(r->c.r[R_RSP], KSTACK - 20);
	assert_int_equal(get(r, KSTACK - 4, 4), SEL_UDATA);
	assert_int_equal(get(r, KSTACK - 8, 4), USTACK);
	assert_int_equal(get(r, KSTACK - 12, 4), FL_R1 | FL_IF);
	assert_int_equal(get(r, KSTACK - 20, 4), CODE + 2);
	r->c.s.seg[S_DS] = segment(r, SEL_DATA);
	STEP(r, "\xcf");
	assert_int_equal(r->c.cpl, 3);
	assert_int_equal(r->c.r[R_RSP], USTACK);
	assert_true(r->c.s.seg[S_DS].ar & AR_UNUSABLE);
	assert_int_equal(r->c.s.seg[S_ES].sel, SEL_UDATA);
	rig_free(r);
}

/* A user at IOPL 0 cannot change IF and IOPL by IRET. */
static void test_iret_flags(void **state)
{
	struct rig *r = rig_protected(3);

	(void)state;
	put(r, USTACK - 12, 4, CODE);
	put(r, USTACK - 8, 4, SEL_UCODE32);
	put(r, USTACK - 4, 4, FL_IOPL | FL_AC | FL_CF | FL_VIP);
	r->c.r[R_RSP] = USTACK - 12;
	STEP(r, "\xcf");
	assert_int_equal(fl_get(&r->c), FL_R1 | FL_IF | FL_AC | FL_CF);
	rig_free(r);
}

static void test_protected_tss_errors(void **state)
{
	struct rig *r = rig_protected(3);

	(void)state;
	put(r, TSS + 8, 2, 0); /* null SS0: #TS(EXT) cannot be delivered either */
	STEP(r, "\xcd\x80");
	assert_int_equal(r->c.s.activity, CPU_SHUTDOWN);
	rig_free(r);

	r = rig_protected(3);
	/* only vector 0x80 goes to level 1, whose stack is wrong */
	set_desc(r, SEL_CODE64, descriptor(0, 0xfffff, 0xbb, 0xc));
	put(r, IDT + 0x80 * 8, 8, gate(SEL_CODE64 | 1, TARGET_AT, 0xee));
	put(r, TSS + 12, 4, KSTACK);
	put(r, TSS + 16, 2, SEL_DATA | 1); /* DPL 0 */
	STEP(r, "\xcd\x80");
	EXPECT_FAULT(r, 10, SEL_DATA);
	rig_free(r);
}

static void test_call_gate_params(void **state)
{
	struct rig *r = rig_protected(3);

	(void)state;
	set_desc(r, SEL_GATE, gate(SEL_CODE32, TARGET_AT, 0xec) | (u64)2 << 32);
	put(r, USTACK, 4, 0x1111);
	put(r, USTACK + 4, 4, 0x2222);
	STEP(r, "\x9a\x00\x00\x00\x00\x53\x00"); /* call 53:0 */
	assert_int_equal(r->c.rip, TARGET_AT);
	assert_int_equal(r->c.cpl, 0);
	assert_int_equal(r->c.r[R_RSP], KSTACK - 24);
	assert_int_equal(get(r, KSTACK - 4, 4), SEL_UDATA);
	assert_int_equal(get(r, KSTACK - 8, 4), USTACK);
	assert_int_equal(get(r, KSTACK - 12, 4), 0x2222);
	assert_int_equal(get(r, KSTACK - 16, 4), 0x1111);
	assert_int_equal(get(r, KSTACK - 20, 4), SEL_UCODE32);
	assert_int_equal(get(r, KSTACK - 24, 4), CODE + 7);
	STEP(r, "\xca\x08\x00"); /* retf 8 */
	assert_int_equal(r->c.cpl, 3);
	assert_int_equal(r->c.r[R_RSP], USTACK + 8);
	assert_int_equal(r->c.rip, CODE + 7);
	rig_free(r);
}

static void test_conforming(void **state)
{
	struct rig *r = rig_protected(3);

	(void)state;
	STEP(r, "\xea\x00\x00\x05\x00\x60\x00"); /* jmp 60:50000 */
	assert_int_equal(r->c.rip, TARGET_AT);
	assert_int_equal(r->c.cpl, 3);
	assert_int_equal(r->c.s.seg[S_CS].sel, SEL_CONF | 3);
	STEP(r, "\xea\x00\x00\x05\x00\x18\x00"); /* to DPL 0, not conforming */
	EXPECT_FAULT(r, 13, SEL_CODE32);
	rig_free(r);
}

static void test_segment_limits(void **state)
{
	struct rig *r = rig_protected(0);

	(void)state;
	r->c.s.seg[S_ES] = segment(r, SEL_DOWN);
	cpu_update_mode(&r->c);
	r->c.r[R_RBX] = 0x1000;
	STEP(r, "\x26\x89\x03"); /* mov es:[ebx], eax: first valid byte */
	assert_int_equal(r->c.rip, CODE + 3);
	r->c.r[R_RBX] = 0xfff;
	STEP(r, "\x26\x89\x03");
	EXPECT_FAULT(r, 13, 0);
	r->c.s.seg[S_SS].limit = 0x7fff;
	cpu_update_mode(&r->c);
	r->c.r[R_RBX] = 0x7ffd;
	STEP(r, "\x36\x89\x03"); /* mov ss:[ebx], eax: one byte over */
	EXPECT_FAULT(r, 12, 0);
	seg_set_null(&r->c.s.seg[S_DS], 0, 0);
	cpu_update_mode(&r->c);
	STEP(r, "\x8b\x03"); /* through a null segment */
	EXPECT_FAULT(r, 13, 0);
	r->c.s.seg[S_DS] = segment(r, SEL_CODE32);
	cpu_update_mode(&r->c);
	r->c.r[R_RBX] = 0x6000;
	STEP(r, "\x89\x03"); /* code is not writable */
	EXPECT_FAULT(r, 13, 0);
	rig_free(r);
}

static void test_protected_lds(void **state)
{
	struct rig *r = rig_protected(0);

	(void)state;
	put(r, 0x6000, 4, 0xcafe0000);
	put(r, 0x6004, 2, SEL_DATA16);
	r->c.r[R_RBX] = 0x6000;
	STEP(r, "\xc5\x03"); /* lds eax, [ebx] */
	assert_int_equal(r->c.r[R_RAX], 0xcafe0000);
	assert_int_equal(r->c.s.seg[S_DS].limit, 0xffff);
	STEP(r, "\x1e"); /* push ds: Intel writes 16 bits */
	STEP(r, "\x07"); /* pop es */
	assert_int_equal(r->c.s.seg[S_ES].sel, SEL_DATA16);
	assert_int_equal(r->c.r[R_RSP], KSTACK - 0x100);
	rig_free(r);
}

/* ---- tasks ---- */

static void fill_tss2(struct rig *r)
{
	put(r, TSS2 + 32, 4, TARGET_AT);
	put(r, TSS2 + 36, 4, FL_R1 | FL_CF);
	put(r, TSS2 + 40, 4, 0xaaaa);
	put(r, TSS2 + 56, 4, 0x7000);
	for (unsigned i = 0; i < 6; i++)
		put(r, TSS2 + 72 + i * 4, 2, i == S_CS ? SEL_CODE32 : SEL_DATA);
}

static void test_task_call_iret(void **state)
{
	struct rig *r = rig_protected(0);

	(void)state;
	fill_tss2(r);
	r->c.r[R_RDI] = 0x5555;
	STEP(r, "\x9a\x00\x00\x00\x00\x48\x00"); /* call 48:0 */
	assert_int_equal(r->c.rip, TARGET_AT);
	assert_int_equal(r->c.r[R_RAX], 0xaaaa);
	assert_int_equal(r->c.r[R_RSP], 0x7000);
	assert_int_equal(r->c.s.seg[S_TR].sel, SEL_TSS2);
	assert_int_equal(r->c.s.seg[S_CS].sel, SEL_CODE32);
	assert_int_equal(fl_get(&r->c), FL_R1 | FL_CF | FL_NT);
	assert_true(r->c.s.cr0 & CR0_TS);
	assert_int_equal(get(r, TSS2, 2), SEL_TSS);
	assert_int_equal(get(r, GDT + SEL_TSS + 5, 1), 0x8b);
	assert_int_equal(get(r, GDT + SEL_TSS2 + 5, 1), 0x8b);
	assert_int_equal(get(r, TSS + 32, 4), CODE + 7);
	assert_int_equal(get(r, TSS + 68, 4), 0x5555);
	r->c.r[R_RAX] = 0xbbbb;
	STEP(r, "\xcf"); /* iret with NT */
	assert_int_equal(r->c.rip, CODE + 7);
	assert_int_equal(r->c.r[R_RDI], 0x5555);
	assert_int_equal(r->c.s.seg[S_TR].sel, SEL_TSS);
	assert_int_equal(get(r, GDT + SEL_TSS2 + 5, 1), 0x89);
	assert_int_equal(get(r, TSS2 + 40, 4), 0xbbbb);
	assert_false(get(r, TSS2 + 36, 4) & FL_NT);
	rig_free(r);
}

static void test_task_jmp_and_busy(void **state)
{
	struct rig *r = rig_protected(0);

	(void)state;
	fill_tss2(r);
	STEP(r, "\xea\x00\x00\x00\x00\x38\x00"); /* jmp to our own TSS: busy */
	EXPECT_FAULT(r, 13, SEL_TSS);
	STEP(r, "\xea\x00\x00\x00\x00\x88\x00"); /* jmp through the task gate */
	assert_int_equal(r->c.rip, TARGET_AT);
	assert_int_equal(get(r, GDT + SEL_TSS + 5, 1), 0x89);
	assert_false(r->c.rflags & FL_NT);
	rig_free(r);
}

/* The new task's segments fault in the new task. */
static void test_task_bad_segment(void **state)
{
	struct rig *r = rig_protected(0);

	(void)state;
	fill_tss2(r);
	put(r, TSS2 + 84, 2, SEL_ABSENT); /* DS */
	STEP(r, "\xea\x00\x00\x00\x00\x48\x00");
	EXPECT_FAULT(r, 11, SEL_ABSENT);
	assert_int_equal(r->c.s.seg[S_TR].sel, SEL_TSS2);
	assert_int_equal(get(r, (u32)r->c.r[R_RSP] + 4, 4), TARGET_AT);
	rig_free(r);
}

static void test_task_gate_with_error(void **state)
{
	struct rig *r = rig_protected(0);

	(void)state;
	fill_tss2(r);
	put(r, IDT + 13 * 8, 8, gate(SEL_TSS2, 0, 0x85));
	STEP(r, "\xcd\xff");
	assert_int_equal(r->c.rip, handler(0xff)); /* present: no fault */
	r->c.s.idt.limit = 0x7f7;
	STEP(r, "\xcd\xff");
	assert_int_equal(r->c.rip, TARGET_AT);
	assert_int_equal(r->c.r[R_RSP], 0x7000 - 4);
	assert_int_equal(get(r, 0x7000 - 4, 4), 0xff * 8 + 2);
	assert_true(r->c.rflags & FL_NT);
	assert_int_equal(get(r, TSS + 32, 4), handler(0xff));
	rig_free(r);
}

/* ---- virtual-8086 ---- */

static void enter_v86(struct rig *r, u32 flags)
{
	static const u32 frame[] = {0x0000, 0x1000, 0, 0xfff0, 0x0600, 0x100, 0x200, 0x300, 0x400};

	for (unsigned i = 0; i < ARRAY_LEN(frame); i++)
		put(r, KSTACK - 0x100 + i * 4, 4, frame[i]);
	put(r, KSTACK - 0x100 + 8, 4, flags | FL_VM | FL_R1);
	STEP(r, "\xcf");
}

static void test_v86_round_trip(void **state)
{
	struct rig *r = rig_protected(0);

	(void)state;
	enter_v86(r, FL_IF | FL_IOPL);
	assert_true(r->c.mode & MODE_VM);
	assert_int_equal(r->c.cpl, 3);
	assert_int_equal(r->c.s.seg[S_CS].base, 0x10000);
	assert_int_equal(r->c.s.seg[S_ES].base, 0x1000);
	assert_int_equal(r->c.s.seg[S_GS].sel, 0x400);
	assert_int_equal(r->c.r[R_RSP], 0xfff0);
	STEP(r, "\xcd\x80"); /* IOPL 3: to the monitor */
	assert_int_equal(r->c.rip, handler(0x80));
	assert_int_equal(r->c.cpl, 0);
	assert_false(r->c.mode & MODE_VM);
	assert_int_equal(r->c.r[R_RSP], KSTACK - 36);
	assert_int_equal(get(r, KSTACK - 4, 4), 0x400);
	assert_int_equal(get(r, KSTACK - 16, 4), 0x100);
	assert_int_equal(get(r, KSTACK - 20, 4), 0x600);
	assert_int_equal(get(r, KSTACK - 28, 4), FL_R1 | FL_IF | FL_IOPL | FL_VM);
	assert_int_equal(get(r, KSTACK - 36, 4), 2);
	assert_true(r->c.s.seg[S_DS].ar & AR_UNUSABLE);
	STEP(r, "\xcf");
	assert_true(r->c.mode & MODE_VM);
	assert_int_equal(r->c.rip, 2);
	assert_int_equal(r->c.s.seg[S_DS].sel, 0x200);
	rig_free(r);
}

static void test_v86_iopl(void **state)
{
	struct rig *r = rig_protected(0);

	(void)state;
	enter_v86(r, FL_IF);
	STEP(r, "\xcd\x80");
	EXPECT_FAULT(r, 13, 0);
	STEP(r, "\x83\xc4\x04"); /* drop the error code */
	STEP(r, "\xcf");
	STEP(r, "\xcc"); /* INT3 does not ask for IOPL */
	assert_int_equal(r->c.rip, handler(3));
	rig_free(r);
}

static void test_v86_redirection(void **state)
{
	struct rig *r = rig_protected(0);

	(void)state;
	r->c.s.cr4 |= CR4_VME;
	put(r, TSS + 102, 2, 0x100);
	put(r, TSS + 0x100 - 32 + 2, 1, 0x02); /* vector 0x11 to the monitor */
	put(r, 0x10 * 4, 4, 0x20001234);
	enter_v86(r, FL_IF | FL_VIF);
	STEP(r, "\xcd\x10");
	assert_true(r->c.mode & MODE_VM);
	assert_int_equal(r->c.s.seg[S_CS].sel, 0x2000);
	assert_int_equal(r->c.rip, 0x1234);
	assert_int_equal(get(r, 0x6000 + 0xfff0 - 2, 2), FL_R1 | FL_IF | FL_IOPL);
	assert_false(r->c.rflags & FL_VIF);
	assert_true(r->c.rflags & FL_IF);
	STEP(r, "\xcf"); /* with the virtual IF */
	assert_true(r->c.rflags & FL_VIF);
	assert_int_equal(r->c.rip, 2);
	STEP(r, "\xcd\x11");
	EXPECT_FAULT(r, 13, 0);
	rig_free(r);
}

/* ---- reset ---- */

static void test_reset_state(void **state)
{
	struct cpu_state s;

	(void)state;
	cpu_state_reset(&s, 3, false);
	assert_int_equal(s.rip, 0xfff0);
	assert_int_equal(s.seg[S_CS].base, 0xffff0000);
	assert_int_equal(s.cr0, 0x60000010);
	assert_int_equal(s.rflags, 2);
	assert_int_equal(s.dr6, 0xffff0ff0);
	assert_int_equal(s.activity, CPU_WAIT_SIPI);
	assert_int_equal(s.lapic.id, 3);
	s.pat = 7;
	s.cr0 = 0xc0000011;
	cpu_state_init(&s, true);
	assert_int_equal(s.cr0, 0x40000010);
	assert_int_equal(s.pat, 7);
	assert_int_equal(s.lapic.id, 3);
	assert_int_equal(s.activity, CPU_RUNNING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real_int),
		cmocka_unit_test(test_real_far),
		cmocka_unit_test(test_real_limits),
		cmocka_unit_test(test_real_no_stack),
		cmocka_unit_test(test_long_int_iret),
		cmocka_unit_test(test_long_same_level_aligns),
		cmocka_unit_test(test_long_ist),
		cmocka_unit_test(test_long_gate_dpl),
		cmocka_unit_test(test_long_gate_errors),
		cmocka_unit_test(test_long_triple_fault),
		cmocka_unit_test(test_long_double_fault),
		cmocka_unit_test(test_long_serial),
		cmocka_unit_test(test_debug_delivery),
		cmocka_unit_test(test_nmi_blocking),
		cmocka_unit_test(test_long_sreg),
		cmocka_unit_test(test_accessed_bit),
		cmocka_unit_test(test_long_fs_survives_iret),
		cmocka_unit_test(test_long_ltr_lldt),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_umip),
		cmocka_unit_test(test_long_compat_and_back),
		cmocka_unit_test(test_long_call_gate),
		cmocka_unit_test(test_syscall),
		cmocka_unit_test(test_sysret_canonical),
		cmocka_unit_test(test_sysenter),
		cmocka_unit_test(test_protected_int_iret),
		cmocka_unit_test(test_iret_flags),
		cmocka_unit_test(test_protected_tss_errors),
		cmocka_unit_test(test_call_gate_params),
		cmocka_unit_test(test_conforming),
		cmocka_unit_test(test_segment_limits),
		cmocka_unit_test(test_protected_lds),
		cmocka_unit_test(test_task_call_iret),
		cmocka_unit_test(test_task_jmp_and_busy),
		cmocka_unit_test(test_task_bad_segment),
		cmocka_unit_test(test_task_gate_with_error),
		cmocka_unit_test(test_v86_round_trip),
		cmocka_unit_test(test_v86_iopl),
		cmocka_unit_test(test_v86_redirection),
		cmocka_unit_test(test_reset_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
