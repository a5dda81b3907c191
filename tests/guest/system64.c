/* SPDX-License-Identifier: Apache-2.0 */
/* system64: what only the system level of long mode has: stepping across SYSCALL, call gates,
 * descriptors of 16 bytes, returns to other rings and sizes, hypercalls (Intel SDM 3A 3, 5, 6). */
#include "rt/rt.h"

#define S0 0x80 /* the tests' selectors; 16-byte descriptors take two */
#define S1 0x90
#define S2 0xa0

static volatile u64 cell[8];
static volatile u64 hits, hit_rip[16], hit_cs[16];

static bool count_db(struct frame *f)
{
	if (f->vector != DB)
		return false;
	if (hits < 16) {
		hit_rip[hits] = f->rip;
		hit_cs[hits] = f->cs;
	}
	hits++;
	write_dr6(0xffff0ff0);
	return true;
}

static void counting(bool on)
{
	hits = 0;
	this_cpu()->hook = on ? count_db : NULL;
}

/* --- TF ------------------------------------------------------------------------------------- */

#define SET_TF	 "pushfq; orl $0x100, (%%rsp); popfq;"
#define CLEAR_TF "pushfq; andl $~0x100, (%%rsp); popfq;"

asm(".text; just_return: sysretq");
extern u8 just_return[], after_syscall[] asm("after_syscall_label");

static void u_step_syscall(void *arg)
{
	(void)arg;
	asm volatile(SET_TF
		     "syscall; .globl after_syscall_label; after_syscall_label: nop;" CLEAR_TF ::
			     : "rcx", "r11", "memory", "cc");
}

/* A SYSRET whose R11 has TF, with nothing stepped before it. */
static void k_sysret_tf(void *arg)
{
	asm volatile("mov %0, %%rdi; lea after_sysret_label(%%rip), %%rcx; add %1, %%rcx;"
		     "add %1, %%rsp; mov $0x102, %%r11d; sysretq;"
		     ".globl after_sysret_label; after_sysret_label: nop;" CLEAR_TF
		     "int $0x81" ::"r"(arg),
		     "r"(USER_BASE)
		     : "rcx", "r11", "rdi", "memory", "cc");
}
extern u8 after_sysret[] asm("after_sysret_label");

asm(".text; .code32;"
    "c32_into_tf: pushfl; orl $0x100, (%esp); popfl; into; nop;"
    "pushfl; andl $~0x100, (%esp); popfl; int $0x81;"
    ".code64");
extern u8 c32_into_tf[];

static void stepping(void)
{
	section("TF across SYSCALL, SYSRET, INTO, HLT (SDM 3B 17.3.1.4, APM 3 SYSCALL)");
	wrmsr(MSR_STAR, (u64)SEL_CODE << 32 | (u64)SEL_UCODE32 << 48);
	wrmsr(MSR_LSTAR, (uword)just_return);
	wrmsr(MSR_SFMASK, FL_TF | FL_IF);
	counting(true);
	CHECK_EQ(user_run(u_step_syscall, NULL), NO_TRAP, "syscall while stepping");
	CHECK_EQ(hits, 5, "no #DB inside when SFMASK has TF");
	CHECK_EQ(hit_rip[0], (uword)USER(after_syscall), "the first is after SYSRET");
	CHECK_EQ(hit_cs[0], SEL_UCODE, "at CPL3");
	wrmsr(MSR_SFMASK, FL_IF);
	counting(true);
	CHECK_EQ(user_run(u_step_syscall, NULL), NO_TRAP, "syscall that keeps TF");
	CHECK_EQ(hits, 6, "one more #DB");
	CHECK_EQ(hit_rip[0], (uword)just_return, "at its target");
	wrmsr(MSR_SFMASK, FL_TF | FL_IF);
	counting(true);
	expect("sysret that sets TF", NO_TRAP, 0, k_sysret_tf, NULL);
	CHECK_EQ(hits, 5, "is a step itself");
	CHECK_EQ(hit_rip[0], (uword)USER(after_sysret), "that ends at its target");
	counting(true);
	CHECK_EQ(compat_run(c32_into_tf, 0), NO_TRAP, "into without OF while stepping");
	CHECK_EQ(hits, 5, "is stepped like any other");
	if (on_qemu()) {
		skip("hlt while stepping", "QEMU sleeps");
	} else {
		counting(true);
		asm volatile(SET_TF "hlt;" CLEAR_TF ::: "memory", "cc");
		CHECK_EQ(hits, 4, "the #DB after hlt wakes");
	}
	counting(false);
}

/* --- descriptors ---------------------------------------------------------------------------- */

static void t_ltr(void *sel)
{
	asm volatile("ltr %0" ::"r"((u16)(uword)sel));
}
static void t_lldt(void *sel)
{
	asm volatile("lldt %0" ::"r"((u16)(uword)sel));
}

/* A system descriptor of 16 bytes. */
static void set16(u16 sel, u64 base, u32 limit, u8 access, u32 upper_type)
{
	gdt_set(sel, (u32)base, limit, access, 0);
	gdt[sel / 8 + 1] = base >> 32 | (u64)upper_type << 40;
}

static bool lar(u16 sel, u32 *v)
{
	bool z;

	asm volatile("lar %2, %0; sete %1" : "=r"(*v), "=q"(z) : "r"((u32)sel));
	return z;
}
static bool lsl(u16 sel, u32 *v)
{
	bool z;

	asm volatile("lsl %2, %0; sete %1" : "=r"(*v), "=q"(z) : "r"((u32)sel));
	return z;
}

static void descriptors(void)
{
	u64 base = (uword)page_alloc();
	u32 v, lar_ok = 0, lsl_ok = 0;

	section("16-byte descriptors: LTR, LLDT (SDM 3A 3.5.2, 7.2.3)");
	set16(S0, base, 103, 0x89, 0);
	set16(S1, base, 103, 0x8b, 0);
	expect("ltr of a busy TSS: #GP(sel)", GP, S1, t_ltr, (void *)S1);
	qemu_differs("takes it");
	expect("ltr null: #GP(0)", GP, 0, t_ltr, NULL);
	expect("ltr from the LDT: #GP(sel)", GP, S0 | 4, t_ltr, (void *)(S0 | 4));
	set16(S0, base, 103, 0x09, 0);
	expect("ltr not present: #NP(sel)", NP, S0, t_ltr, (void *)S0);
	set16(S0, base, 103, 0x81, 0);
	qemu_differs("takes a 16-bit TSS");
	expect("ltr of a 16-bit TSS: #GP(sel)", GP, S0, t_ltr, (void *)S0);
	t_ltr((void *)(set16(S0, (uword)&tss[0], 103, 0x89, 0), (uword)S0));
	set16(S0, base, 103, 0x89, 1);
	expect("ltr, upper half's type not 0: #GP(sel)", GP, S0, t_ltr, (void *)S0);
	set16(S0, 0x800000000000ul, 103, 0x89, 0);
	qemu_differs("not checked");
	expect("ltr, base not canonical: #GP(sel)", GP, S0, t_ltr, (void *)S0);
	set16(S0, base, 103, 0x82, 0);
	expect("lldt", NO_TRAP, 0, t_lldt, (void *)S0);
	set16(S0, base, 103, 0x82, 4);
	qemu_differs("not checked");
	expect("lldt, upper half's type not 0: #GP(sel)", GP, S0, t_lldt, (void *)S0);
	expect("lldt null", NO_TRAP, 0, t_lldt, NULL);
	set16(SEL_TSS(0), (uword)&tss[0], offsetof(struct tss64, io) - 1, 0x89, 0);
	t_ltr((void *)SEL_TSS(0));

	section("LAR, LSL by type in long mode (SDM 2 LAR, LSL)");
	for (u32 type = 0; type < 16; type++) {
		set16(S0, base, 0x777, (u8)(0x80 | type), 0);
		if (lar(S0, &v)) {
			lar_ok |= 1u << type;
			CHECK_EQ(v & 0xf0ff00, (0x80 | type) << 8, "lar");
		}
		if (lsl(S0, &v)) {
			lsl_ok |= 1u << type;
			CHECK_EQ(v, 0x777, "lsl");
		}
	}
	qemu_differs("takes the 16-bit types");
	CHECK_EQ(lar_ok, 0x1a04, "lar takes LDT, TSS, call gate");
	qemu_differs("takes the 16-bit types");
	CHECK_EQ(lsl_ok, 0xa04, "lsl takes LDT and TSS");
}

/* --- call gates ----------------------------------------------------------------------------- */

asm(".text; gate64: mov %cs, cell(%rip); mov %ss, cell+8(%rip); mov %rsp, cell+16(%rip);"
    "mov (%rsp), %rax; mov %rax, cell+24(%rip); mov 8(%rsp), %rax; mov %rax, cell+32(%rip);"
    "mov 16(%rsp), %rax; mov %rax, cell+40(%rip); mov 24(%rsp), %rax; mov %rax, cell+48(%rip);"
    "lretq; gate64_same: mov %cs, cell(%rip); mov %rsp, cell+16(%rip); lretq");
extern u8 gate64[], gate64_same[];

static const struct {
	u32 off;
	u16 sel;
} __attribute__((packed)) to_gate = {0, S0 | 3};

static void call_gate(void *arg)
{
	asm volatile("mov %%rsp, 56(%1); lcall *%0" ::"m"(*(const u16 *)arg), "r"(cell)
		     : "rax", "memory");
}
static void jmp_gate(void *arg)
{
	asm volatile("ljmp *%0" ::"m"(*(const u16 *)arg) : "rax", "memory");
}

static void gate_set(void *target, u16 code, u8 access, u32 upper_type)
{
	u64 p = (uword)target;

	gdt[S0 / 8] = (p & 0xffff) | (u64)code << 16 | (u64)access << 40 | (p >> 16 & 0xffff) << 48;
	gdt[S0 / 8 + 1] = p >> 32 | (u64)upper_type << 40;
}

#define GATE(name, vector, error) expect_user(name, vector, error, call_gate, USER(&to_gate))

static void gates(void)
{
	section("64-bit call gates (SDM 3A 5.8.3.1)");
	gate_set(gate64, SEL_CODE, 0xec, 0);
	GATE("call to ring 0 and back", NO_TRAP, 0);
	CHECK_EQ(cell[0] & 0xffff, SEL_CODE, "CS is the gate's");
	CHECK_EQ(cell[1] & 0xffff, 0, "SS is null");
	CHECK_EQ(cell[2], tss[0].rsp[0] - 32, "RSP from the TSS, four quadwords");
	CHECK_EQ(cell[4] & 0xffff, SEL_UCODE, "CS on the stack");
	CHECK_EQ(cell[5], cell[7], "RSP on the stack");
	CHECK_EQ(cell[6] & 0xffff, SEL_UDATA, "SS on the stack");
	gate_set(gate64, SEL_CODE, 0x8c, 0);
	GATE("gate of DPL 0: #GP(gate)", GP, S0);
	gate_set(gate64, SEL_CODE, 0x6c, 0);
	GATE("gate not present: #NP(gate)", NP, S0);
	gate_set(gate64, SEL_CODE, 0xec, 1);
	GATE("upper half's type not 0: #GP(gate)", GP, S0);
	gate_set(gate64, 0, 0xec, 0);
	GATE("gate to null: #GP(0)", GP, 0);
	gate_set(gate64, SEL_CODE32, 0xec, 0);
	GATE("gate to 32-bit code: #GP(target)", GP, SEL_CODE32);
	gate_set(gate64, SEL_DATA, 0xec, 0);
	GATE("gate to data: #GP(target)", GP, SEL_DATA);
	gdt_set(S1, 0, 0xfffff, 0x1b, 0xa);
	gate_set(gate64, S1, 0xec, 0);
	GATE("target not present: #NP(target)", NP, S1);
	gate_set(gate64, SEL_CODE, 0xe4, 0);
	qemu_differs("takes a 16-bit gate");
	GATE("16-bit gate: #GP(gate)", GP, S0);
	gate_set((void *)0x800000000000ul, SEL_CODE, 0xec, 0);
	qemu_differs("not checked");
	GATE("target not canonical: #GP(0)", GP, 0);
	gate_set(gate64, SEL_CODE, 0xec, 0);
	expect_user("jmp to an inner ring: #GP(target)", GP, SEL_CODE, jmp_gate, USER(&to_gate));
	gate_set(gate64_same, SEL_CODE, 0xec, 0);
	expect("call in ring 0 with RPL 3", NO_TRAP, 0, call_gate, (void *)&to_gate);
	CHECK_EQ(cell[2], cell[7] - 16, "CS and RIP on the same stack");
}

/* --- returns -------------------------------------------------------------------------------- */

struct iret {
	u64 rip, cs, rflags, rsp, ss;
};

static void k_iret(void *arg)
{
	asm volatile("pushq 32(%0); pushq 24(%0); pushq 16(%0); pushq 8(%0); pushq (%0);"
		     "iretq" ::"r"(arg)
		     : "memory");
}

static void try_iret(const char *name, u32 vector, u64 error, u16 cs, u16 ss)
{
	struct iret f = {(uword)USER(just_return), cs, 2, 0x1000, ss};

	expect(name, vector, error, k_iret, &f);
}

asm(".text; user_sel: mov %fs, %eax; mov %eax, (%rdi); int $0x81;"
    ".code32; c16_sp: mov %esp, (%edi); int $0x81; .code64");
extern u8 user_sel[], c16_sp[];

static void returns(void)
{
	static u64 seen[1];

	section("IRET to an outer ring (SDM 2 IRET)");
	gdt_set(S0, 0, 0xfffff, 0x7b, 0xa); /* code, absent */
	gdt_set(S1, 0, 0xfffff, 0x73, 0xc); /* data, absent */
	gdt_set(S2, 0, 0xfffff, 0xff, 0xa); /* conforming, DPL 3 */
	try_iret("CS not present: #NP(sel)", NP, S0, S0 | 3, SEL_UDATA);
	qemu_differs("#NP");
	try_iret("SS not present: #SS(sel)", SS, S1, SEL_UCODE, S1 | 3);
	try_iret("SS null: #GP(0)", GP, 0, SEL_UCODE, 0);
	try_iret("SS null with RPL 3: #GP(0)", GP, 0, SEL_UCODE, 3);
	try_iret("SS of another RPL: #GP(sel)", GP, SEL_UDATA & ~3, SEL_UCODE, SEL_UDATA & ~3);
	try_iret("SS is code: #GP(sel)", GP, SEL_UCODE & ~3, SEL_UCODE, SEL_UCODE);
	try_iret("CS over the GDT: #GP(sel)", GP, 0xfff8, 0xfffb, SEL_UDATA);
	try_iret("CS in no LDT: #GP(sel)", GP, 0x84, 0x87, SEL_UDATA);
	gdt_set(S0, 0, 0xfffff, 0xfb, 0xe); /* L and D */
	qemu_differs("error 0");
	try_iret("CS with L and D: #GP(sel)", GP, S0, S0 | 3, SEL_UDATA);
	gdt_set(S0, 0, 0xfff, 0xfb, 0x4); /* 32-bit, 4 KiB */
	qemu_differs("no limits");
	try_iret("EIP over the limit: #GP(0)", GP, 0, S0 | 3, SEL_UDATA);
	asm volatile("mov %0, %%fs" ::"r"(3));
	CHECK_EQ(user_run((void (*)(void *))(void *)user_sel, USER(seen)), NO_TRAP, "to ring 3");
	qemu_differs("keeps FS");
	CHECK_EQ((u32)seen[0], 0, "a null FS loses its RPL");
	gdt_set(S0, 0, 0xffff, 0xf3, 0); /* 16-bit stack */
	CHECK_EQ(user_run_sel(SEL_UCODE32, S0 | 3, c16_sp, (uword)USER(seen), 2), NO_TRAP,
		 "to a 16-bit stack");
	qemu_differs("loads all of ESP");
	CHECK(((u32)seen[0] ^ this_cpu()->back_sp) >> 20 == 0, "loads SP only");
}

/* --- interrupts ----------------------------------------------------------------------------- */

static void t_int(void *arg)
{
	(void)arg;
	asm volatile("int $0x50" ::: "memory");
}

asm(".text; conforming: mov %cs, %eax; mov %eax, (%rdi); int $0x81");
extern u8 conforming[];

static void u_int_rdi(void *arg)
{
	asm volatile("int $0x50" ::"D"(arg) : "rax", "memory");
}

static bool iret_faults(struct frame *f)
{
	if (f->vector == NMI) {
		apic_ipi(this_cpu()->apic_id, 0x4400); /* held back by this one */
		delay_us(1000);
		f->cs = SEL_DATA; /* its IRET is #GP */
		hits++;
		this_cpu()->hook = NULL;
		return true;
	}
	return false;
}

static void t_nmi(void *arg)
{
	apic_write(APIC_ICR, (u32)(uword)arg);
	delay_us(1000);
}

static void interrupts(void)
{
	static u64 seen[2];

	section("interrupt gates: targets, TSS limit (SDM 3A 6.12, 6.14)");
	gdt_set(S0, 0, 0xfffff, 0x9f, 0xa); /* conforming code of DPL 0 */
	idt_gate(0x50, USER(conforming), S0, 0xee, 0);
	expect_user("int n to conforming code", NO_TRAP, 0, u_int_rdi, USER(seen));
	CHECK_EQ((u32)seen[0], S0 | 3, "keeps CPL 3");
	gdt_set(S0, 0, 0xfffff, 0xfb, 0xa); /* DPL 3 */
	idt_gate(0x50, conforming, S0, 0x8e, 0);
	expect("int n to an outer ring: #GP(sel)", GP, S0, t_int, NULL);
	gdt_set(S0, 0, 0xfffff, 0x1b, 0xa);
	idt_gate(0x50, conforming, S0, 0x8e, 0);
	expect("int n to absent code: #NP(sel)", NP, S0, t_int, NULL);
	idt_gate(0x50, (void *)0x800000000000ul, SEL_CODE, 0x8e, 0);
	qemu_differs("not checked");
	expect("int n to no canonical address: #GP(0)", GP, 0, t_int, NULL);
	set16(S1, (uword)&tss[0], 0x53, 0x89, 0); /* up to IST 6 */
	t_ltr((void *)S1);
	idt_gate(0x50, idt_stub(0x50), SEL_CODE, 0x8e, 7);
	qemu_differs("no limit");
	expect("IST over the TSS's limit: #TS(TR)", TS, S1, t_int, NULL);
	set16(SEL_TSS(0), (uword)&tss[0], offsetof(struct tss64, io) - 1, 0x89, 0);
	t_ltr((void *)SEL_TSS(0));
	idt_default(0x50);
	section("NMI (SDM 3A 6.7)");
	apic_enable();
	hits = 0;
	if (on_qemu()) {
		skip("NMI by the self shorthand", "QEMU blocks NMIs after an IRET that faults");
	} else {
		u32 vector;

		this_cpu()->hook = iret_faults;
		vector = try_run(t_nmi, (void *)0x44400);
		this_cpu()->hook = NULL;
		CHECK_EQ(hits, 1, "NMI by the self shorthand");
		/* the IRET faults, and lets the second NMI in before #GP's handler runs */
		check(vector == GP || vector == NMI, "an IRET that faults", "vector %u", vector);
		delay_us(1000);
		expect("NMIs go on after it", NMI, 0, t_nmi, (void *)0x44400);
	}
}

/* --- hypercalls, debug registers, INVPCID --------------------------------------------------- */

static void t_vmcall(void *nr)
{
	asm volatile("vmcall" : "=a"(cell[0]) : "0"(nr) : "memory");
}
static void u_vmmcall(void *to)
{
	asm volatile("vmmcall; mov %%rax, (%1)" ::"a"(0x123), "r"(to) : "memory");
}
static void t_invpcid(void *type)
{
	static u64 desc[2] __attribute__((aligned(16))) = {0x1000, 0};

	asm volatile("invpcid (%0), %1" ::"r"(desc), "r"(type) : "memory");
}

static void others(void)
{
	section("hypercalls (KVM's interface)");
	if (cpuid(0x40000000, 0).b == 0x4b4d564b) {
		static u64 seen[1];

		expect("vmcall", NO_TRAP, 0, t_vmcall, (void *)0xffffffff);
		CHECK_EQ(cell[0], (u64)-1000, "an unknown one is -KVM_ENOSYS");
		expect_user("vmmcall at CPL3", NO_TRAP, 0, u_vmmcall, USER(seen));
		CHECK_EQ(seen[0], (u64)-1, "is -KVM_EPERM");
	} else {
		skip("hypercalls", "no KVM signature");
	}
	section("DR7, INVPCID (SDM 3B 17.2.4, SDM 2 INVPCID)");
	write_dr7(0xc00);
	qemu_differs("keeps it");
	CHECK_EQ(read_dr7(), 0x400, "DR7 bit 11 is not there");
	write_dr7(0x400);
	if (cpuid(7, 0).b >> 10 & 1) {
		for (uword type = 0; type < 4; type++) {
			qemu_differs("types 2 and 3 are not checked");
			expect("invpcid with a reserved bit: #GP(0)", GP, 0, t_invpcid,
			       (void *)type);
		}
		expect("invpcid type 4: #GP(0)", GP, 0, t_invpcid, (void *)4);
	} else {
		skip("INVPCID", "not offered");
	}
}

void suite(void)
{
	stepping();
	descriptors();
	gates();
	returns();
	interrupts();
	others();
}
