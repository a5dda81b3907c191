/* SPDX-License-Identifier: Apache-2.0 */
/* syscall64: SYSCALL/SYSRET, SYSENTER/SYSEXIT, SWAPGS, FS/GS bases, IRET, compatibility mode,
 * string operations across pages (Intel SDM 2; 3A 5.8). */
#include "rt/rt.h"

static volatile u64 seen[8];

/* The system-call target: notes what it sees on a CPL0 stack and ends the try. */
asm(".text; target_asm: mov %rcx, seen_asm(%rip); mov %r11, seen_asm+8(%rip);"
    "mov %cs, seen_asm+16(%rip); mov %ss, seen_asm+24(%rip); mov %rsp, seen_asm+32(%rip);"
    "int $0x81");
extern u8 target_asm[];
asm(".bss; .balign 8; .globl seen_asm; seen_asm: .skip 64; .text");
extern volatile u64 seen_asm[8];

#define U(name, body)                                                                              \
	static void name(void *arg)                                                                \
	{                                                                                          \
		asm volatile(body ::"D"(arg)                                                       \
			     : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r11", "memory");          \
	}

U(u_syscall, "syscall")
U(u_sysenter, "sysenter")
U(u_sysret, "sysretq")
U(t_sysret_noncanon, "mov $0x800000000000, %%rcx; mov $2, %%r11d; sysretq")
U(t_wrfs_noncanon, "mov $0x800000000000, %%rax; .byte 0xf3, 0x48, 0x0f, 0xae, 0xd0")
U(t_rdfs, ".byte 0xf3, 0x48, 0x0f, 0xae, 0xc0")

/* From CPL0 into CPL3 by the fast ways; rdi = struct with rip, rsp. */
static void k_sysret(void *p)
{
	asm volatile(
		"mov (%0), %%rcx; mov 8(%0), %%rsp; mov 16(%0), %%r11; mov %0, %%rdi; sysretq" ::
			"r"(p)
		: "rcx", "r11", "rdi", "memory");
}

static void k_sysexit(void *p)
{
	asm volatile("mov (%0), %%rdx; mov 8(%0), %%rcx; .byte 0x48, 0x0f, 0x35" ::"r"(p)
		     : "rcx", "rdx", "memory");
}

asm(".text; user_note: mov %cs, %eax; mov %eax, 32(%rdi); mov %ss, %eax; mov %eax, 40(%rdi);"
    "pushfq; pop %rax; mov %rax, 48(%rdi); int $0x81");
extern u8 user_note[];
static u8 ustack[4096] __attribute__((aligned(16)));

static void syscalls(void)
{
	static volatile u64 block[8];
	bool intel;
	struct cpuid id = cpuid(0, 0);

	intel = id.b == 0x756e6547;
	section("SYSCALL, SYSRET (SDM 2)");
	wrmsr(MSR_STAR, (u64)SEL_CODE << 32 | (u64)SEL_UCODE32 << 48);
	wrmsr(MSR_LSTAR, (uword)target_asm);
	wrmsr(MSR_SFMASK, FL_TF | FL_IF | FL_NT | FL_CF);
	expect_user("syscall at CPL3", NO_TRAP, 0, u_syscall, NULL);
	CHECK_EQ(seen_asm[2] & 0xffff, SEL_CODE, "CS from STAR");
	CHECK_EQ(seen_asm[3] & 0xffff, SEL_CODE + 8, "SS = CS + 8");
	CHECK_EQ(*(u16 *)(seen_asm[0] - 2), 0x050f, "RCX = next instruction");
	CHECK_EQ(seen_asm[1] & (FL_IF | 2), 2, "R11 = RFLAGS");
	CHECK(seen_asm[4] > USER_BASE, "RSP is unchanged");
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~(u64)EFER_SCE);
	expect_user("syscall without SCE", UD, 0, u_syscall, NULL);
	expect("sysret without SCE", UD, 0, u_sysret, NULL);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
	expect_user("sysret at CPL3", GP, 0, u_sysret, NULL);
	if (intel) {
		qemu_differs("as AMD: the fault comes at CPL3");
		expect("sysret to a non-canonical RIP", GP, 0, t_sysret_noncanon, NULL);
	}
	block[0] = (uword)USER(user_note);
	block[1] = (uword)USER(ustack + 2048);
	block[2] = 0x3202 & ~FL_IF;
	asm volatile("" ::: "memory");
	{
		static u64 user_block[8];

		memcpy(user_block, (void *)block, sizeof(user_block));
		/* rdi must be a user address for the note, and readable here: the alias is both */
		expect("sysretq", NO_TRAP, 0, k_sysret, USER(user_block));
		CHECK_EQ((u32)user_block[4], SEL_UCODE, "CS = STAR + 16, RPL 3");
		CHECK_EQ((u32)user_block[5], SEL_UDATA, "SS = STAR + 8, RPL 3");
		CHECK_EQ(user_block[6] & FL_IOPL3, FL_IOPL3, "RFLAGS from R11");
		section("SYSENTER, SYSEXIT (SDM 2)");
		wrmsr(MSR_SYSENTER_CS, SEL_SYSENTER);
		wrmsr(MSR_SYSENTER_ESP, (uword)(ustack + 4096));
		wrmsr(MSR_SYSENTER_EIP, (uword)target_asm);
		if (id.b == 0x68747541) {
			expect_user("sysenter in long mode on AMD: #UD", UD, 0, u_sysenter, NULL);
		} else {
			wrmsr(MSR_SYSENTER_CS, 0);
			expect_user("sysenter with a null selector", GP, 0, u_sysenter, NULL);
			wrmsr(MSR_SYSENTER_CS, SEL_SYSENTER);
			expect_user("sysenter at CPL3", NO_TRAP, 0, u_sysenter, NULL);
			CHECK_EQ(seen_asm[2] & 0xffff, SEL_SYSENTER, "CS");
			CHECK_EQ(seen_asm[3] & 0xffff, SEL_SYSENTER + 8, "SS");
			CHECK_EQ(seen_asm[4], (uword)(ustack + 4096), "RSP");
			memset(user_block, 0, sizeof(user_block));
			user_block[0] = (uword)USER(user_note);
			user_block[1] = (uword)USER(ustack + 2048);
			expect("sysexit, 64 bits", NO_TRAP, 0, k_sysexit, USER(user_block));
			CHECK_EQ((u32)user_block[4], (SEL_SYSENTER + 32) | 3, "CS + 32");
			CHECK_EQ((u32)user_block[5], (SEL_SYSENTER + 40) | 3, "SS + 40");
		}
	}
}

static void bases(void)
{
	section("SWAPGS, FSGSBASE (SDM 2)");
	wrmsr(MSR_GS_BASE, 0x1111);
	wrmsr(MSR_KERNEL_GS_BASE, 0x2222);
	asm volatile("swapgs");
	CHECK_EQ(rdmsr(MSR_GS_BASE), 0x2222, "swapgs exchanges");
	CHECK_EQ(rdmsr(MSR_KERNEL_GS_BASE), 0x1111, "both");
	if (cpuid(7, 0).b & 1) {
		qemu_differs("fsgsbase is on from the start");
		expect("rdfsbase without CR4.FSGSBASE", UD, 0, t_rdfs, NULL);
		write_cr4(read_cr4() | CR4_FSGSBASE);
		expect("rdfsbase with it", NO_TRAP, 0, t_rdfs, NULL);
		qemu_differs("not checked");
		expect("wrfsbase, not canonical", GP, 0, t_wrfs_noncanon, NULL);
		wrmsr(MSR_FS_BASE, 0);
		write_cr4(read_cr4() & ~(uword)CR4_FSGSBASE);
	} else {
		expect("rdfsbase without the feature", UD, 0, t_rdfs, NULL);
	}
	seen[3] = 0x77;
	wrmsr(MSR_FS_BASE, (uword)seen);
	{
		u64 v;

		asm volatile("mov %%fs:24, %0" : "=r"(v));
		CHECK_EQ(v, 0x77, "FS base is added");
		asm volatile("mov %0, %%fs" ::"r"(0));
		asm volatile("mov %0, %%fs" ::"r"(SEL_DATA));
		CHECK_EQ(rdmsr(MSR_FS_BASE), 0, "loading FS loads its base");
	}
}

/* --- compatibility mode --------------------------------------------------------------------- */

asm(".text; .code32;"
    "c32_note: mov %cs, %eax; mov %eax, (%edi); inc %eax; mov %eax, 4(%edi);" /* 40: inc, not REX */
    "push %ebx; mov %esp, %ecx; pop %ebx; sub %esp, %ecx; mov %ecx, 8(%edi);"
    "push %cs; pop %eax; mov %eax, 12(%edi);"
    "mov $0x12345678, %eax; aaa; mov $1, %eax; int $0x81;"
    "c32_wrap: mov $0xfffffff0, %ebx; mov 0x10(%ebx,%edi), %eax; mov %eax, 4(%edi); int $0x81;"
    "c32_into: xor %eax, %eax; mov $0x7fffffff, %eax; add $1, %eax; into; int $0x81;"
    "c32_bound: mov $9, %eax; bound %eax, (%edi); int $0x81;"
    ".code64");
extern u8 c32_note[], c32_wrap[], c32_into[], c32_bound[];

static void compat(void)
{
	static u32 block[8];

	section("compatibility mode (SDM 1, 3.1.1)");
	CHECK_EQ(compat_run(c32_note, (uword)block), NO_TRAP, "32-bit code at CPL0");
	CHECK_EQ(block[0], SEL_CODE32, "CS");
	CHECK_EQ(block[1], SEL_CODE32 + 1, "40 is INC");
	CHECK_EQ(block[2], (u32)-4, "push moves by 4");
	CHECK_EQ(block[3] & 0xffff, SEL_CODE32, "push cs"); /* Intel writes 16 bits */
	CHECK_EQ(user32_run(c32_note, (uword)USER(block)), NO_TRAP, "32-bit code at CPL3");
	CHECK_EQ(block[0], SEL_UCODE32, "CS at CPL3");
	block[0] = 0xabcd;
	CHECK_EQ(compat_run(c32_wrap, (uword)block), NO_TRAP, "addresses wrap at 4 GiB");
	CHECK_EQ(block[1], 0xabcd, "and reach the right place");
	CHECK_EQ(user32_run(c32_into, 0), OF, "into: #OF");
	block[0] = 1;
	block[1] = 8;
	CHECK_EQ(compat_run(c32_bound, (uword)block), BR, "bound: #BR");
}

/* --- iret ----------------------------------------------------------------------------------- */

static void t_iret_nt(void *arg)
{
	(void)arg;
	asm volatile("pushfq; orl $0x4000, (%%rsp); popfq;"
		     "mov %%ss, %%eax; push %%rax; push %%rsp; pushfq; mov %%cs, %%eax; push %%rax;"
		     "lea 1f(%%rip), %%rax; push %%rax; iretq; 1:" ::
			     : "rax", "memory");
}

static void t_iret_same(void *arg)
{
	asm volatile("mov %%rsp, %%rbx; pushq $0x10; push %%rbx; pushfq; pushq $8;"
		     "lea 1f(%%rip), %%rax; push %%rax; iretq; 1: mov %%rsp, %%rcx;"
		     "sub %%rbx, %%rcx; mov %%rcx, (%0)" ::"r"(arg)
		     : "rax", "rbx", "rcx", "memory");
}

static void t_iret_cs_null(void *arg)
{
	(void)arg;
	asm volatile(
		"mov %%rsp, %%rbx; pushq $0x10; push %%rbx; pushfq; pushq $0; pushq $0; iretq" ::
			: "rbx", "memory");
}

static void t_iret_cs_data(void *arg)
{
	(void)arg;
	asm volatile("mov %%rsp, %%rbx; pushq $0x10; push %%rbx; pushfq; pushq $0x10; pushq $0;"
		     "iretq" ::
			     : "rbx", "memory");
}

static void t_iret_ss_bad(void *arg)
{
	(void)arg;
	asm volatile("mov %%rsp, %%rbx; pushq $0x10; push %%rbx; pushfq; pushq $0x33; pushq $0;"
		     "iretq" ::
			     : "rbx", "memory");
}

static void t_retf_outer(void *arg)
{
	(void)arg;
	asm volatile("push %0; push %1; push %2; push %3; lretq" ::"r"((u64)SEL_UDATA),
		     "r"(USER(ustack + 2048)), "r"((u64)SEL_UCODE), "r"(USER(user_note)), "D"(arg)
		     : "memory");
}

static void irets(void)
{
	static u64 delta;
	static u64 block[8];

	section("IRET, RET far (SDM 2)");
	expect("iretq to the same ring", NO_TRAP, 0, t_iret_same, &delta);
	CHECK_EQ(delta, 0, "restores RSP from the frame");
	expect("iretq with NT: #GP(0)", GP, 0, t_iret_nt, NULL);
	expect("iretq, null CS: #GP(0)", GP, 0, t_iret_cs_null, NULL);
	expect("iretq, data CS: #GP(sel)", GP, SEL_DATA, t_iret_cs_data, NULL);
	expect("iretq to CPL3, kernel SS: #GP(SS)", GP, SEL_DATA, t_iret_ss_bad, NULL);
	expect("far ret to CPL3", NO_TRAP, 0, t_retf_outer, USER(block));
	CHECK_EQ((u32)block[4], SEL_UCODE, "its CS");
}

/* --- strings -------------------------------------------------------------------------------- */

static void t_movs(void *p)
{
	u64 *a = p;

	asm volatile("mov (%0), %%rsi; mov 8(%0), %%rdi; mov 16(%0), %%rcx; cld; rep movsb" ::"r"(a)
		     : "rsi", "rdi", "rcx", "memory");
}

static void strings(void)
{
	u8 *a = page_alloc(), *b = page_alloc();
	u64 va = 0x10000000000ul;
	u64 args[3];

	section("string instructions that fault half-way (SDM 2 REP)");
	page_map(va, (uword)a, PTE_P | PTE_W);
	page_map(va + 4096, 0, 0);
	for (unsigned i = 0; i < 64; i++)
		b[i] = (u8)(i + 1);
	args[0] = (uword)b;
	args[1] = va + 4096 - 24;
	args[2] = 64;
	expect("rep movsb into an absent page", PF, 2, t_movs, args);
	CHECK_EQ(this_cpu()->trap.cr2, va + 4096, "CR2 is the page's first byte");
	CHECK_EQ(this_cpu()->trap.frame.rcx, 64 - 24, "RCX has what is left");
	CHECK_EQ(this_cpu()->trap.frame.rdi, va + 4096, "RDI stands at the fault");
	CHECK_EQ(this_cpu()->trap.frame.rsi, (uword)b + 24, "RSI too");
	CHECK_EQ(memcmp(a + 4096 - 24, b, 24), 0, "what was moved is there");
	{
		u64 c, d;
		u8 *s = a + 100;

		memcpy(s, "aaaaaaab", 8);
		asm volatile("cld; repe scasb" : "=c"(c), "=D"(d) : "0"(20ul), "1"(s), "a"('a'));
		CHECK_EQ(c, 12, "repe scasb stops at the difference");
		asm volatile("std; repne scasb; cld"
			     : "=c"(c), "=D"(d)
			     : "0"(20ul), "1"(s + 9), "a"('b'));
		CHECK_EQ(d, (uword)s + 6, "backwards");
		asm volatile("cld; rep stosl" : "=c"(c), "=D"(d) : "0"(0ul), "1"(s), "a"(0));
		CHECK_EQ(*s, 'a', "a count of 0 does nothing");
		for (unsigned i = 0; i < 32; i++)
			s[i] = (u8)i;
		asm volatile("cld; rep movsb" ::"c"(16), "S"(s), "D"(s + 1) : "memory");
		CHECK_EQ(s[16], 0, "overlapping rep movsb repeats bytes in order");
		asm volatile("cld; addr32 rep stosb"
			     : "=c"(c), "=D"(d)
			     : "0"(0x100000004ul), "1"(s), "a"(9));
		CHECK_EQ(c, 0, "addr32 counts ECX");
		CHECK_EQ(d, (uword)s + 4, "and steps EDI");
	}
}

void suite(void)
{
	syscalls();
	bases();
	compat();
	irets();
	strings();
}
