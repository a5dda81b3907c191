/* SPDX-License-Identifier: Apache-2.0 */
/* segments32: protected-mode segmentation: limits, types, privileges, LDT, call gates, task
 * switches (Intel SDM 3A, 3, 5 and 7). */
#include "rt/rt.h"

#define S0 0x80 /* the tests' selectors */
#define S1 0x88
#define S2 0x90
#define S3 0x98

static u8 area[8192] __attribute__((aligned(4096)));

static void load_es(void *sel)
{
	asm volatile("mov %0, %%es" ::"r"((u32)sel));
}
static void load_fs(void *sel)
{
	asm volatile("mov %0, %%fs" ::"r"((u32)sel));
}
static void load_ss(void *sel)
{
	asm volatile("mov %%ss, %%ebx; mov %0, %%ss; mov %%ebx, %%ss" ::"r"((u32)sel) : "ebx");
}
static void read_fs(void *off)
{
	asm volatile("movb %%fs:(%0), %%al" ::"r"(off) : "eax");
}
static void read4_fs(void *off)
{
	asm volatile("movl %%fs:(%0), %%eax" ::"r"(off) : "eax");
}
static void write_fs(void *off)
{
	asm volatile("movb $1, %%fs:(%0)" ::"r"(off) : "memory");
}
static void write_cs(void *off)
{
	asm volatile("movb $1, %%cs:(%0)" ::"r"(off) : "memory");
}

#define LOADS(name, sel, vec, err) expect(name, vec, err, load_fs, (void *)(sel))

static void with_fs(u16 sel, const char *name, u32 vector, void (*fn)(void *), u32 off)
{
	asm volatile("mov %0, %%fs" ::"r"((u32)sel));
	qemu_differs("no segment limits or types");
	expect(name, vector, 0, fn, (void *)off);
	asm volatile("mov %0, %%fs" ::"r"(SEL_DATA));
}

static void limits(void)
{
	section("limits and types (SDM 3A 5.3, 5.5)");
	gdt_set(S0, (u32)area, 0xfff, 0x93, 4); /* byte granular, 4 KiB */
	with_fs(S0, "last byte", NO_TRAP, read_fs, 0xfff);
	with_fs(S0, "one over the limit: #GP(0)", GP, read_fs, 0x1000);
	with_fs(S0, "dword that crosses the limit", GP, read4_fs, 0xffd);
	with_fs(S0, "dword up to the limit", NO_TRAP, read4_fs, 0xffc);
	with_fs(S0, "dword that wraps", GP, read4_fs, 0xfffffffe);
	CHECK_EQ(gdt[S0 / 8] >> 40 & 1, 1, "accessed");
	gdt_set(S0, (u32)area, 0xfff, 0x92, 4);
	with_fs(S0, "not yet accessed", NO_TRAP, read_fs, 0);
	CHECK_EQ(gdt[S0 / 8] >> 40 & 1, 1, "loading sets accessed");
	gdt_set(S0, (u32)area, 0, 0x93, 0xc); /* page granular, 1 page */
	with_fs(S0, "page granular limit", NO_TRAP, read_fs, 0xfff);
	with_fs(S0, "and over it", GP, read_fs, 0x1000);
	gdt_set(S0, (u32)area, 0xfff, 0x97, 4); /* expand-down, 32-bit */
	with_fs(S0, "expand-down: at the limit", GP, read_fs, 0xfff);
	with_fs(S0, "expand-down: above it", NO_TRAP, read_fs, 0x1000);
	gdt_set(S0, (u32)area, 0xfff, 0x97, 0); /* expand-down, 16-bit */
	with_fs(S0, "expand-down 16-bit: upper bound ffff", GP, read_fs, 0x10000);
	gdt_set(S0, (u32)area, 0xfff, 0x91, 4); /* read-only */
	with_fs(S0, "read of a read-only segment", NO_TRAP, read_fs, 0);
	with_fs(S0, "write to it: #GP(0)", GP, write_fs, 0);
	gdt_set(S0, (u32)area, 0xfff, 0x9b, 4); /* readable code */
	with_fs(S0, "read of a readable code segment", NO_TRAP, read_fs, 0);
	with_fs(S0, "write to it: #GP(0)", GP, write_fs, 0);
	with_fs(0, "null selector: the access is #GP(0)", GP, read_fs, 0);
	qemu_differs("no segment types");
	expect("write through cs: #GP(0)", GP, 0, write_cs, area);
}

static void loads(void)
{
	section("loading segment registers (SDM 3A 5.6, 5.7)");
	LOADS("null", 0, NO_TRAP, 0);
	LOADS("over the GDT's limit", 0x1000, GP, 0x1000);
	gdt_set(S0, 0, 0xfffff, 0x99, 0xc);
	LOADS("execute-only code: #GP(sel)", S0, GP, S0);
	gdt_set(S0, 0, 0xfffff, 0x13, 0xc);
	LOADS("not present: #NP(sel)", S0, NP, S0);
	LOADS("a TSS: #GP(sel)", SEL_TSS(0), GP, SEL_TSS(0));
	LOADS("RPL 3 for DPL 0: #GP(sel)", SEL_DATA | 3, GP, SEL_DATA);
	LOADS("no LDT: #GP(sel)", 0x84, GP, 0x84);
	expect("es: RPL 0, DPL 3", NO_TRAP, 0, load_es, (void *)(SEL_UDATA & ~3));
	expect("ss null: #GP(0)", GP, 0, load_ss, NULL);
	expect("ss of DPL 3: #GP(sel)", GP, SEL_UDATA & ~3, load_ss, (void *)(SEL_UDATA & ~3));
	gdt_set(S0, 0, 0xfffff, 0x91, 0xc);
	expect("ss read-only: #GP(sel)", GP, S0, load_ss, (void *)S0);
	gdt_set(S0, 0, 0xfffff, 0x13, 0xc);
	expect("ss not present: #SS(sel)", SS, S0, load_ss, (void *)S0);
	expect_user("user loads DPL 0 data: #GP(sel)", GP, SEL_DATA, load_es, (void *)SEL_DATA);
	section("LDT (SDM 3A 3.5.1)");
	{
		static u64 ldt[4];
		u64 save = gdt[S1 / 8];

		gdt_set(S1, 0, 0xfffff, 0x93, 0xc);
		ldt[1] = gdt[S1 / 8];
		gdt[S1 / 8] = save;
		gdt_set(S0, (u32)ldt, sizeof(ldt) - 1, 0x82, 0);
		asm volatile("lldt %0" ::"r"((u16)S0));
		LOADS("from the LDT", 0x0c, NO_TRAP, 0);
		LOADS("over the LDT's limit", 0x24, GP, 0x24);
		asm volatile("lldt %0" ::"r"((u16)0));
		LOADS("after lldt 0", 0x0c, GP, 0x0c);
	}
	section("LAR, LSL, VERR, VERW, ARPL (SDM 2)");
	{
		u32 v = 0;
		bool z;

		gdt_set(S0, 0x123456, 0x1234, 0x93, 4);
		asm volatile("lar %2, %0; sete %1" : "=r"(v), "=q"(z) : "r"(S0));
		CHECK_EQ(v & 0xf0ff00, 0x409300, "lar");
		CHECK(z, "sets ZF");
		asm volatile("lsl %2, %0; sete %1" : "=r"(v), "=q"(z) : "r"(S0));
		CHECK_EQ(v, 0x1234, "lsl, bytes");
		gdt_set(S0, 0, 0x12, 0x93, 0xc);
		asm volatile("lsl %2, %0; sete %1" : "=r"(v), "=q"(z) : "r"(S0));
		CHECK_EQ(v, 0x12fff, "lsl, pages");
		asm volatile("lar %1, %%eax; sete %0" : "=q"(z) : "r"(0x1000) : "eax");
		CHECK(!z, "lar over the limit clears ZF");
		gdt_set(S0, 0, 0xfffff, 0x91, 0xc);
		asm volatile("verr %w1; sete %0" : "=q"(z) : "r"(S0));
		CHECK(z, "verr of read-only data");
		asm volatile("verw %w1; sete %0" : "=q"(z) : "r"(S0));
		CHECK(!z, "verw of it");
		v = 0x10;
		asm volatile("arpl %w2, %w0; sete %1" : "+r"(v), "=q"(z) : "r"(3));
		CHECK_EQ(v, 0x13, "arpl raises");
		CHECK(z, "and sets ZF");
	}
}

/* --- call gates ----------------------------------------------------------------------------- */

static void gate_set(u16 sel, void *target, u16 code, u8 access, u8 params)
{
	u32 p = (u32)target;

	gdt[sel / 8] = (p & 0xffff) | (u32)code << 16 | (u64)(params & 31) << 32 |
		       (u64)access << 40 | (u64)(p >> 16) << 48;
}

asm(".text; gate_target: mov %cs, seen_gate; mov %ss, seen_gate + 4; mov %esp, seen_gate + 8;"
    "mov 8(%esp), %eax; mov %eax, seen_gate + 12; mov 12(%esp), %eax; mov %eax, seen_gate + 16;"
    "lret $8; gate_same: mov %cs, seen_gate; lret;"
    "gate_end: mov %cs, seen_gate; int $0x81;"
    ".bss; seen_gate: .skip 32; .text");
extern u8 gate_target[], gate_same[], gate_end[];
extern volatile u32 seen_gate[8];

static void u_call_gate(void *arg)
{
	(void)arg;
	asm volatile("push $0x2222; push $0x1111; lcall $0x83, $0" ::: "eax", "memory");
}
static void k_call_gate(void *arg)
{
	(void)arg;
	asm volatile("lcall $0x80, $0" ::: "memory");
}
static void k_jmp_gate(void *arg)
{
	(void)arg;
	asm volatile("ljmp $0x80, $0" ::: "memory");
}
static void u_jmp_code(void *arg)
{
	(void)arg;
	asm volatile("ljmp $8, $0" ::: "memory");
}

static void gates(void)
{
	section("call gates (SDM 3A 5.8)");
	gate_set(S0, gate_target, SEL_CODE, 0xec, 2);
	expect_user("call to an inner ring", NO_TRAP, 0, u_call_gate, NULL);
	CHECK_EQ(seen_gate[0] & 0xffff, SEL_CODE, "CS is the gate's, RPL = CPL");
	CHECK_EQ(seen_gate[1] & 0xffff, SEL_DATA, "SS from the TSS");
	CHECK_EQ(seen_gate[2], tss[0].esp0 - 24, "ESP from the TSS, frame of 6");
	CHECK_EQ(seen_gate[3], 0x1111, "first parameter");
	CHECK_EQ(seen_gate[4], 0x2222, "second parameter");
	gate_set(S0, gate_target, SEL_CODE, 0x8c, 2);
	expect_user("gate of DPL 0: #GP(gate)", GP, S0, u_call_gate, NULL);
	gate_set(S0, gate_target, SEL_CODE, 0x6c, 2);
	expect_user("gate not present: #NP(gate)", NP, S0, u_call_gate, NULL);
	gate_set(S0, gate_target, SEL_DATA, 0xec, 2);
	expect_user("gate to data: #GP(target)", GP, SEL_DATA, u_call_gate, NULL);
	gate_set(S0, gate_target, 0, 0xec, 2);
	expect_user("gate to null: #GP(0)", GP, 0, u_call_gate, NULL);
	gate_set(S0, gate_same, SEL_CODE, 0x8c, 0);
	expect("call in the same ring", NO_TRAP, 0, k_call_gate, NULL);
	gate_set(S0, gate_end, SEL_CODE, 0x8c, 0);
	expect("jmp in the same ring", NO_TRAP, 0, k_jmp_gate, NULL);
	expect_user("direct jmp to DPL 0 code: #GP(sel)", GP, SEL_CODE, u_jmp_code, NULL);
	gdt_set(S0, 0, 0xfffff, 0x9f, 0xc); /* conforming */
	gate_set(S1, gate_end, S0, 0xec, 0);
	{
		u8 code[] = {0x9a, 0, 0, 0, 0, S1 | 3, 0, 0xc3};

		expect_user("conforming code through a gate", NO_TRAP, 0,
			    (void (*)(void *))(void *)code, NULL);
		qemu_differs("enters at the target's DPL");
		CHECK_EQ(seen_gate[0] & 0xffff, S0 | 3, "keeps CPL 3");
	}
}

/* --- tasks ---------------------------------------------------------------------------------- */

static struct tss32 other;
static u8 other_stack[4096] __attribute__((aligned(16)));
static volatile u32 task_runs, task_flags, task_tr;

static void task_body(void)
{
	for (;;) {
		u16 tr;

		asm volatile("str %0" : "=r"(tr));
		task_tr = tr;
		task_flags = read_flags();
		task_runs++;
		asm volatile("iret");
	}
}

static void task_prepare(void)
{
	memset(&other, 0, sizeof(other));
	other.eip = (u32)task_body;
	other.eflags = 2;
	other.esp = (u32)(other_stack + sizeof(other_stack) - 64);
	other.cs = SEL_CODE;
	other.ss = other.ds = other.es = SEL_DATA;
	other.esp0 = other.esp;
	other.ss0 = SEL_DATA;
	other.iomap = 104;
	gdt_set(S0, (u32)&other, 103, 0x89, 0);
}

static void call_task(void *arg)
{
	(void)arg;
	asm volatile("lcall $0x80, $0" ::: "memory");
}

static void jmp_task(void *arg)
{
	(void)arg;
	asm volatile("ljmp $0x80, $0" ::: "memory");
}

static void soft_task(void *arg)
{
	(void)arg;
	asm volatile("int $0x50" ::: "memory");
}

static void jmp_back(void)
{
	task_runs++;
	task_flags = read_flags();
	for (;;)
		asm volatile("ljmp $0x200, $0");
}

static void t_iret_nt(void *link)
{
	tss[0].link = (u32)link;
	asm volatile("pushf; orl $0x4000, (%%esp); popf; pushf; push %%cs; push $0; iret" ::
			     : "memory");
}

/* #DF on a stack that is none: only a task of its own can handle it. */
asm(".text; df_task: mov 4(%esp), %eax; pop %eax; mov %eax, df_seen; mov tss, %eax;"
    "mov other, %eax; mov %eax, df_seen + 4; movl $df_back, tss + 32; mov df_sp, %eax;"
    "mov %eax, tss + 56; iret; jmp df_task; .bss; df_seen: .skip 8; df_sp: .skip 4; .text");
extern u8 df_task[];
extern volatile u32 df_seen[2];

static void double_fault(void)
{
	task_prepare();
	other.eip = (u32)df_task;
	idt_gate(DF, 0, S0, 0x85, 0);
	gdt_set(S1, 0, 0x0, 0x93, 4); /* a stack segment without room */
	asm volatile(
		"push %%ebp; push %%ebx; mov %%esp, df_sp; mov %%ss, %%ebx;"
		"mov %0, %%ss; push $1; df_back: mov %%ebx, %%ss; pop %%ebx; pop %%ebp" ::"r"(S1)
		: "eax", "ecx", "edx", "esi", "edi", "memory");
	CHECK_EQ(df_seen[0], 0, "error code 0 on the task's stack");
	CHECK_EQ(df_seen[1] & 0xffff, SEL_TSS(0), "the link names the broken task");
	idt_default(DF);
	asm volatile("clts");
}

/* Through a 16-bit gate the frame has words; so its caller must lie low in its segment. */
asm(".text; from16: mov %esp, seen_gate + 8; int $0x50; from16_back: lret;"
    "gate16: mov %esp, seen_gate; mov (%esp), %eax; mov %eax, seen_gate + 4; iretw");
extern u8 gate16[], from16[], from16_back[];

static void t_from16(void *arg)
{
	(void)arg;
	asm volatile("lcall $0x88, $0" ::: "eax", "memory");
}

static void gates16(void)
{
	section("16-bit interrupt gates, IRET with 16-bit operands (SDM 3A 6.12)");
	gdt_set(S0, (u32)gate16, 0xffff, 0x9b, 4);
	gdt_set(S1, (u32)from16, 0xffff, 0x9b, 4);
	idt_gate(0x50, 0, S0, 0x86, 0);
	expect("there and back", NO_TRAP, 0, t_from16, NULL);
	CHECK_EQ(seen_gate[0], seen_gate[2] - 6, "three words");
	CHECK_EQ(seen_gate[1], S1 << 16 | (u32)(from16_back - from16), "IP and CS");
	idt_default(0x50);
}

static void tasks(void)
{
	section("task switches (SDM 3A 7.3)");
	task_prepare();
	call_task(NULL);
	CHECK_EQ(task_runs, 1, "call runs the task, iret returns");
	CHECK_EQ(task_tr, S0, "TR is its selector");
	CHECK(task_flags & FL_NT, "NT is set by call");
	CHECK_EQ(other.link, SEL_TSS(0), "the link names the caller");
	CHECK_EQ(gdt[S0 / 8] >> 40 & 0xff, 0x89, "not busy after the return");
	CHECK_EQ(gdt[SEL_TSS(0) / 8] >> 40 & 0xff, 0x8b, "the caller is busy");
	CHECK(!(read_flags() & FL_NT), "NT is clear here");
	CHECK_EQ(read_cr0() & CR0_TS, CR0_TS, "TS is set");
	asm volatile("clts");
	task_prepare();
	other.eip = (u32)jmp_back;
	jmp_task(NULL);
	CHECK_EQ(task_runs, 2, "jmp runs the task, jmp returns");
	CHECK(!(task_flags & FL_NT), "NT is not set by jmp");
	task_prepare();
	gdt_set(S0, (u32)&other, 103, 0x8b, 0);
	expect("call to a busy TSS: #GP(sel)", GP, S0, call_task, NULL);
	gdt_set(S0, (u32)&other, 103, 0x09, 0);
	expect("TSS not present: #NP(sel)", NP, S0, call_task, NULL);
	gdt_set(S0, (u32)&other, 102, 0x89, 0);
	expect("TSS limit under 67h: #TS(sel)", TS, S0, call_task, NULL);
	task_prepare();
	gdt[S1 / 8] = (u64)S0 << 16 | 0x85ull << 40;
	task_runs = 0;
	asm volatile("lcall $0x88, $0" ::: "memory");
	CHECK_EQ(task_runs, 1, "call through a task gate");
	task_prepare();
	idt_gate(0x50, 0, S0, 0x85, 0);
	soft_task(NULL);
	CHECK_EQ(task_runs, 2, "interrupt through a task gate");
	idt_default(0x50);
	asm volatile("clts");
	section("IRET with NT (SDM 3A 7.4)");
	gdt_set(S0, (u32)&other, 103, 0x89, 0);
	expect("link to an available TSS: #TS(sel)", TS, S0, t_iret_nt, (void *)S0);
	gdt_set(S0, (u32)&other, 103, 0x0b, 0);
	expect("link to one not present: #NP(sel)", NP, S0, t_iret_nt, (void *)S0);
	expect("link to a data segment: #TS(sel)", TS, SEL_DATA, t_iret_nt, (void *)SEL_DATA);
	expect("link to null: #TS(0)", TS, 0, t_iret_nt, NULL);
	expect("link into the LDT: #TS(sel)", TS, S0 | 4, t_iret_nt, (void *)(S0 | 4));
	section("#DF through a task gate (SDM 3A 6.15)");
	if (on_qemu())
		skip("#DF by a stack without room", "QEMU has no segment limits");
	else
		double_fault();
}

void suite(void)
{
	limits();
	loads();
	gates();
	gates16();
	tasks();
}
