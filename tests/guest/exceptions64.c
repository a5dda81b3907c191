/* SPDX-License-Identifier: Apache-2.0 */
/* exceptions64: vectors and error codes in 64-bit mode (Intel SDM 3A, 6.13-6.15). */
#include "rt/rt.h"

static u64 scratch[8] __attribute__((aligned(64)));

#define T(name, body)                                                                              \
	static void name(void *arg)                                                                \
	{                                                                                          \
		(void)arg;                                                                         \
		asm volatile(body ::"D"(arg) : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "memory"); \
	}

T(t_div0, "xor %%ecx, %%ecx; mov $1, %%eax; xor %%edx, %%edx; div %%ecx")
T(t_div_big, "mov $1, %%ecx; mov $1, %%edx; xor %%eax, %%eax; div %%ecx")
T(t_idiv_min, "mov $-1, %%ecx; mov $0x80000000, %%eax; cltd; idiv %%ecx")
T(t_int3, "int3")
T(t_int1, ".byte 0xf1")
T(t_int3_long, ".byte 0xcd, 3")
T(t_ud2, "ud2")
T(t_ud1, ".byte 0x0f, 0xb9, 0xc0")
T(t_ud0, ".byte 0x0f, 0xff, 0xc0")
T(t_push_cs, ".byte 0x0e")
T(t_aaa, ".byte 0x37")
T(t_into, ".byte 0xce")
T(t_bound, ".byte 0x62, 0x07") /* EVEX prefix byte in 64-bit mode: #UD without AVX-512 */
T(t_lcall, ".byte 0x9a, 0, 0, 0, 0, 8, 0")
T(t_lock_mov, ".byte 0xf0, 0x89, 0x07")
T(t_lock_reg, ".byte 0xf0, 0x01, 0xc0")
T(t_lock_cmp, ".byte 0xf0, 0x39, 0x07")
T(t_lock_jmp, ".byte 0xf0, 0xeb, 0x00")
T(t_lock_bt, ".byte 0xf0, 0x0f, 0xa3, 0x07")
T(t_lock_add, "lock addl $1, (%%rdi)")
T(t_lock_bts, "lock btsl $1, (%%rdi)")
T(t_lock_cx16, "xor %%eax, %%eax; xor %%edx, %%edx; lock cmpxchg16b (%%rdi)")
T(t_cx16_unaligned, "cmpxchg16b 8(%%rdi)")
T(t_noncanon, "mov $0x800000000000, %%rax; mov (%%rax), %%ecx")
/* well inside the hole: 0x800000000000 itself would push to a canonical address */
T(t_noncanon_ss, "mov %%rsp, %%r8; mov $0x800000010000, %%rsp; push %%rax; mov %%r8, %%rsp")
T(t_noncanon_bp, "push %%rbp; mov $0x800000000000, %%rbp; mov (%%rbp), %%rax; pop %%rbp")
T(t_noncanon_jmp, "mov $0x800000000000, %%rax; jmp *%%rax")
T(t_pf_read, "mov 0x80000000, %%eax")
T(t_pf_write, "mov %%eax, 0x80000000")
T(t_pf_fetch, "mov $0x80000000, %%eax; jmp *%%rax")
T(t_pf_lockrd, "mov $0x80000000, %%eax; lock xadd %%ecx, (%%rax)")
T(t_sel_gp, "mov $0x1f8, %%eax; mov %%eax, %%ds")
T(t_sel_limit, "mov $0x1000, %%eax; mov %%eax, %%es")
T(t_sel_ldt, "mov $0x0c, %%eax; mov %%eax, %%fs")
T(t_ss_null3, "mov $3, %%eax; mov %%eax, %%ss")
T(t_mov_cs, ".byte 0x8e, 0xc8")
T(t_sreg6, ".byte 0x8e, 0xf0")
T(t_cr1, ".byte 0x0f, 0x20, 0xc8")
T(t_cr0_pg_only, "mov %%cr0, %%rax; and $~1, %%rax; mov %%rax, %%cr0")
T(t_cr0_high, "mov %%cr0, %%rax; bts $32, %%rax; mov %%rax, %%cr0")
T(t_cr0_nw, "mov %%cr0, %%rax; bts $29, %%rax; btr $30, %%rax; mov %%rax, %%cr0")
T(t_cr4_res, "mov %%cr4, %%rax; bts $31, %%rax; mov %%rax, %%cr4")
T(t_cr4_pae_off, "mov %%cr4, %%rax; btr $5, %%rax; mov %%rax, %%cr4")
T(t_cr8, "mov %%cr8, %%rax; mov %%rax, %%cr8")
T(t_cr8_high, "mov $0x10, %%eax; mov %%rax, %%cr8")
T(t_efer_res, "mov $0xc0000080, %%ecx; rdmsr; bts $9, %%eax; wrmsr")
T(t_efer_lme_off, "mov $0xc0000080, %%ecx; rdmsr; btr $8, %%eax; wrmsr")
T(t_msr_unknown, "mov $0x12345, %%ecx; rdmsr")
T(t_msr_lstar, "mov $0xc0000082, %%ecx; mov $0x8000, %%edx; xor %%eax, %%eax; wrmsr")
T(t_int_noncanon_ret, "pushq $0x10; push %%rsp; pushfq; pushq $8; mov $0x800000000000, %%rax;"
		      "push %%rax; iretq")
T(t_int_absent, "int $0x50")
T(t_hlt, "hlt")
T(t_cli, "cli")
T(t_in, "in $0x80, %%al")
T(t_lgdt, "lgdt (%%rdi)")
T(t_mov_cr3, "mov %%cr3, %%rax")
T(t_rdmsr, "mov $0x1b, %%ecx; rdmsr")
T(t_invlpg, "invlpg (%%rdi)")
T(t_swapgs, "swapgs")
T(t_int_dpl0, "int $0x20")
T(t_clts, "clts")
T(t_wbinvd, "wbinvd")
T(t_mov_dr, "mov %%db7, %%rax")
T(t_sgdt, "sgdt (%%rdi)")
T(t_str, "str %%eax")
T(t_smsw, "smsw %%eax")
T(t_rdtsc, "rdtsc")
T(t_fninit, "fninit")
T(t_fwait, "fwait")
T(t_xorps, ".byte 0x0f, 0x57, 0xc0")
T(t_paddb, ".byte 0x0f, 0xfc, 0xc0")
T(t_movaps_un, ".byte 0x0f, 0x28, 0x47, 0x04") /* movaps 4(%rdi), %xmm0 */
T(t_sqrt_bad, "movl $0x1f00, (%%rdi); ldmxcsr (%%rdi); movl $0xbf800000, 4(%%rdi);"
	      ".byte 0xf3, 0x0f, 0x51, 0x47, 0x04; movl $0x1f80, (%%rdi); ldmxcsr (%%rdi)")
T(t_mxcsr_res, "movl $0x10000, (%%rdi); ldmxcsr (%%rdi)")
T(t_x87_de, "fninit; movl $0x37b, (%%rdi); fldcw (%%rdi); fld1; fldz; fdivrp; fwait")
T(t_vex_lock, ".byte 0xf0, 0xc5, 0xf8, 0x57, 0xc0")
T(t_too_long, ".byte 0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x90")
T(t_too_long16,
  ".byte 0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x90")
T(t_ac_user, "pushfq; orl $0x40000, (%%rsp); popfq; mov 1(%%rdi), %%eax")
T(t_ac_ok, "pushfq; orl $0x40000, (%%rsp); popfq; mov 4(%%rdi), %%eax; movb 1(%%rdi), %%al")
T(t_popf_if, "pushfq; orl $0x3200, (%%rsp); popfq; pushfq; pop %%rax; mov %%rax, (%%rdi)")
T(t_int_de, "int $0")
T(t_int_gp, "int $13")

static void user_checks(void)
{
	expect_user("read at CPL3: error 4", PF, 4, t_pf_read, NULL);
	section("privileged instructions at CPL3: #GP(0) (SDM 2, each instruction)");
	expect_user("hlt at CPL3", GP, 0, t_hlt, NULL);
	expect_user("cli with IOPL 0", GP, 0, t_cli, NULL);
	expect_user("in without I/O permission", GP, 0, t_in, NULL);
	expect_user("lgdt at CPL3", GP, 0, t_lgdt, USER(scratch));
	expect_user("mov from cr3 at CPL3", GP, 0, t_mov_cr3, NULL);
	expect_user("rdmsr at CPL3", GP, 0, t_rdmsr, NULL);
	expect_user("invlpg at CPL3", GP, 0, t_invlpg, USER(scratch));
	expect_user("swapgs at CPL3", GP, 0, t_swapgs, NULL);
	expect_user("clts at CPL3", GP, 0, t_clts, NULL);
	expect_user("wbinvd at CPL3", GP, 0, t_wbinvd, NULL);
	expect_user("mov from dr7 at CPL3", GP, 0, t_mov_dr, NULL);
	qemu_differs("error code n * 16 + 2");
	expect_user("int n to a DPL 0 gate: error n*8+2", GP, 0x20 * 8 + 2, t_int_dpl0, NULL);
	expect_user("int 0 at CPL3 is not #DE", GP, 2, t_int_de, NULL);
	qemu_differs("error code n * 16 + 2");
	expect_user("int 13 at CPL3: error 13*8+2", GP, 13 * 8 + 2, t_int_gp, NULL);
	expect_user("int3 at CPL3", BP, 0, t_int3, NULL);
	expect_user("sgdt at CPL3 without UMIP", NO_TRAP, 0, t_sgdt, USER(scratch));
	if (cpuid(7, 0).c & 4) {
		write_cr4(read_cr4() | CR4_UMIP);
		expect_user("sgdt at CPL3 with UMIP", GP, 0, t_sgdt, USER(scratch));
		expect_user("str at CPL3 with UMIP", GP, 0, t_str, NULL);
		expect_user("smsw at CPL3 with UMIP", GP, 0, t_smsw, NULL);
		expect("sgdt at CPL0 with UMIP", NO_TRAP, 0, t_sgdt, scratch);
		write_cr4(read_cr4() & ~(uword)CR4_UMIP);
	} else {
		skip("UMIP", "not offered");
	}
	write_cr4(read_cr4() | CR4_TSD);
	expect_user("rdtsc at CPL3 with TSD", GP, 0, t_rdtsc, NULL);
	expect("rdtsc at CPL0 with TSD", NO_TRAP, 0, t_rdtsc, NULL);
	write_cr4(read_cr4() & ~(uword)CR4_TSD);
	expect_user("popf at CPL3 runs", NO_TRAP, 0, t_popf_if, USER(scratch));
	CHECK_EQ(scratch[0] & (FL_IF | FL_IOPL3), 0, "popf at CPL3 leaves IF and IOPL alone");

	section("alignment check (SDM 3A 6.15, vector 17)");
	write_cr0(read_cr0() | CR0_AM);
	qemu_differs("no alignment checks");
	expect_user("unaligned load with AM and AC", AC, 0, t_ac_user, USER(scratch));
	expect_user("aligned loads with AM and AC", NO_TRAP, 0, t_ac_ok, USER(scratch));
	expect("unaligned load at CPL0 is no #AC", NO_TRAP, 0, t_ac_user, scratch);
	write_cr0(read_cr0() & ~(uword)CR0_AM);
	expect_user("unaligned load with AC, without AM", NO_TRAP, 0, t_ac_user, USER(scratch));
}

static void fpu_checks(void)
{
	section("x87 and SSE availability (SDM 3A 2.5, 13.1)");
	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
	write_cr0((read_cr0() & ~(uword)CR0_EM) | CR0_TS | CR0_MP);
	expect("x87 with TS", NM, 0, t_fninit, NULL);
	expect("fwait with TS and MP", NM, 0, t_fwait, NULL);
	expect("SSE with TS", NM, 0, t_xorps, NULL);
	expect("MMX with TS", NM, 0, t_paddb, NULL);
	write_cr0(read_cr0() & ~(uword)CR0_MP);
	expect("fwait with TS, without MP", NO_TRAP, 0, t_fwait, NULL);
	write_cr0((read_cr0() & ~(uword)CR0_TS) | CR0_EM | CR0_MP);
	expect("x87 with EM", NM, 0, t_fninit, NULL);
	expect("SSE with EM", UD, 0, t_xorps, NULL);
	expect("MMX with EM", UD, 0, t_paddb, NULL);
	write_cr0(read_cr0() & ~(uword)CR0_EM);
	write_cr4(read_cr4() & ~(uword)CR4_OSFXSR);
	expect("SSE without OSFXSR", UD, 0, t_xorps, NULL);
	write_cr4(read_cr4() | CR4_OSFXSR);
	expect("SSE with OSFXSR", NO_TRAP, 0, t_xorps, NULL);
	expect("movaps unaligned: #GP(0)", GP, 0, t_movaps_un, scratch);
	qemu_differs("not checked");
	expect("ldmxcsr with a reserved bit: #GP(0)", GP, 0, t_mxcsr_res, scratch);
	qemu_differs("no SIMD exceptions");
	expect("unmasked SSE exception: #XM", XM, 0, t_sqrt_bad, scratch);
	asm volatile("ldmxcsr %0" ::"m"((u32){0x1f80}));
	write_cr4(read_cr4() & ~(uword)CR4_OSXMMEXCPT);
	qemu_differs("no SIMD exceptions");
	expect("unmasked SSE exception without OSXMMEXCPT: #UD", UD, 0, t_sqrt_bad, scratch);
	asm volatile("ldmxcsr %0" ::"m"((u32){0x1f80}));
	write_cr4(read_cr4() | CR4_OSXMMEXCPT);
	expect("unmasked x87 divide by zero: #MF at the next wait", MF, 0, t_x87_de, scratch);
	asm volatile("fninit");
}

static void t_df(void *arg)
{
	(void)arg;
	asm volatile("mov %%rsp, %%r15; mov $0x90000000, %%rsp; push %%rax; mov %%r15, %%rsp" ::
			     : "r15", "memory");
}

static void t_df_np(void *arg)
{
	idt_gate(GP, idt_stub(GP), SEL_CODE, 0x0e, 0); /* #GP gate not present: #NP while #GP */
	t_noncanon(arg);
}

static void nested(void)
{
	section("double fault and contributory faults (SDM 3A 6.15, vector 8, table 6-5)");
	expect("#PF whose push faults: #DF with error 0", DF, 0, t_df, NULL);
	CHECK_EQ(this_cpu()->trap.frame.rsp, 0x90000000, "#DF saved the broken stack pointer");
	expect("#NP on the #GP gate: #DF", DF, 0, t_df_np, NULL);
	idt_default(GP);
	idt_gate(0x50, idt_stub(0x50), SEL_CODE, 0x0e, 0);
	qemu_differs("error code n * 16 + 2");
	expect("int n, gate not present: #NP(n*8+2)", NP, 0x50 * 8 + 2, t_int_absent, NULL);
	idt_gate(0x50, idt_stub(0x50), 0, 0x8e, 0);
	expect("int n, null code selector: #GP(0)", GP, 0, t_int_absent, NULL);
	idt_gate(0x50, idt_stub(0x50), SEL_DATA, 0x8e, 0);
	expect("int n, data selector: #GP(sel)", GP, SEL_DATA, t_int_absent, NULL);
	idt_gate(0x50, idt_stub(0x50), SEL_CODE32, 0x8e, 0);
	expect("int n, 32-bit code selector: #GP(sel)", GP, SEL_CODE32, t_int_absent, NULL);
	idt_gate(0x50, idt_stub(0x50), SEL_CODE, 0x85, 0);
	qemu_differs("error code n * 16 + 2");
	expect("int n, task gate in long mode: #GP(n*8+2)", GP, 0x50 * 8 + 2, t_int_absent, NULL);
	idt_gate(0x50, idt_stub(0x50), SEL_CODE, 0x86, 0);
	qemu_differs("error code n * 16 + 2");
	expect("int n, 16-bit gate in long mode: #GP(n*8+2)", GP, 0x50 * 8 + 2, t_int_absent, NULL);
	idt_gate(0x50, idt_stub(0x50), SEL_CODE, 0x8f, 3);
	expect("int n through IST 3", 0x50, 0, t_int_absent, NULL);
	check(this_cpu()->trap.stack + sizeof(struct frame) == tss[0].ist[2],
	      "IST 3 starts at its stack's top", "frame at %llx",
	      (unsigned long long)this_cpu()->trap.stack);
	idt_default(0x50);
}

static void t_sti_run(void *arg)
{
	(void)arg;
	asm volatile("sti; int $0x50");
}

static void gates(void)
{
	section("gates and RFLAGS (SDM 3A 6.12.1, 6.14)");
	expect("interrupt through a gate", 0x50, 0, t_sti_run, NULL);
	CHECK(this_cpu()->trap.frame.rflags & FL_IF, "pushed RFLAGS keep IF");
	expect("int3 pushes the next rip", BP, 0, t_int3, NULL);
	CHECK_EQ(*(u8 *)(this_cpu()->trap.frame.rip - 1), 0xcc, "int3 is a trap");
	expect("ud2 pushes its own rip", UD, 0, t_ud2, NULL);
	CHECK_EQ(*(u16 *)this_cpu()->trap.frame.rip, 0x0b0f, "ud2 is a fault");
	qemu_differs("RF is not set");
	CHECK_EQ(this_cpu()->trap.frame.rflags >> 16 & 1, 1, "a fault pushes RF = 1");
	CHECK_EQ(this_cpu()->trap.stack & 15, (0 - sizeof(struct frame)) & 15,
		 "64-bit frames are aligned to 16 bytes");
}

void suite(void)
{
	section("faults of ordinary instructions (SDM 3A 6.15)");
	expect("div by zero", DE, 0, t_div0, NULL);
	expect("div overflow", DE, 0, t_div_big, NULL);
	expect("idiv overflow", DE, 0, t_idiv_min, NULL);
	expect("int3", BP, 0, t_int3, NULL);
	expect("int 3 in two bytes", BP, 0, t_int3_long, NULL);
	qemu_differs("F1 is #UD");
	expect("int1 (F1)", DB, 0, t_int1, NULL);
	expect("ud2", UD, 0, t_ud2, NULL);
	expect("ud1", UD, 0, t_ud1, NULL);
	expect("ud0", UD, 0, t_ud0, NULL);
	expect("push cs in 64-bit mode", UD, 0, t_push_cs, NULL);
	expect("aaa in 64-bit mode", UD, 0, t_aaa, NULL);
	expect("into in 64-bit mode", UD, 0, t_into, NULL);
	expect("bound in 64-bit mode", UD, 0, t_bound, scratch);
	expect("far call, direct, in 64-bit mode", UD, 0, t_lcall, NULL);
	section("LOCK (SDM 2, LOCK)");
	qemu_differs("no #UD for this LOCK");
	expect("lock mov", UD, 0, t_lock_mov, scratch);
	expect("lock add to a register", UD, 0, t_lock_reg, NULL);
	expect("lock cmp", UD, 0, t_lock_cmp, scratch);
	qemu_differs("no #UD for this LOCK");
	expect("lock jmp", UD, 0, t_lock_jmp, NULL);
	qemu_differs("no #UD for this LOCK");
	expect("lock bt", UD, 0, t_lock_bt, scratch);
	expect("lock add to memory", NO_TRAP, 0, t_lock_add, scratch);
	expect("lock bts to memory", NO_TRAP, 0, t_lock_bts, scratch);
	expect("lock cmpxchg16b", NO_TRAP, 0, t_lock_cx16, scratch);
	expect("cmpxchg16b unaligned: #GP(0)", GP, 0, t_cx16_unaligned, scratch);
	expect("lock before VEX", UD, 0, t_vex_lock, NULL);
	section("instruction length (SDM 2, 2.3.11)");
	expect("15 bytes", NO_TRAP, 0, t_too_long, NULL);
	expect("16 bytes: #GP(0)", GP, 0, t_too_long16, NULL);
	section("canonical addresses: #GP(0), stack #SS(0) (SDM 1, 3.3.7.1)");
	expect("load", GP, 0, t_noncanon, NULL);
	idt_gate(SS, idt_stub(SS), SEL_CODE, 0x8e, 3);
	qemu_differs("#GP instead of #SS");
	expect("push", SS, 0, t_noncanon_ss, NULL);
	idt_default(SS);
	expect("push, without an IST: #DF", DF, 0, t_noncanon_ss, NULL);
	qemu_differs("#GP instead of #SS");
	expect("load through rbp", SS, 0, t_noncanon_bp, NULL);
	expect("jmp", GP, 0, t_noncanon_jmp, NULL);
	expect("iretq to one", GP, 0, t_int_noncanon_ret, NULL);
	section("page faults, page not present (SDM 3A 4.7)");
	expect("read: error 0", PF, 0, t_pf_read, NULL);
	CHECK_EQ(this_cpu()->trap.cr2, 0x80000000, "CR2 has the address");
	expect("write: error 2", PF, 2, t_pf_write, NULL);
	qemu_differs("reads first");
	expect("locked read-modify-write: error 2", PF, 2, t_pf_lockrd, NULL);
	expect("fetch with NXE: error 16", PF, 16, t_pf_fetch, NULL);
	section("selectors (SDM 3A 5.4, 6.13)");
	expect("mov ds, empty descriptor: #GP(sel)", GP, 0x1f8, t_sel_gp, NULL);
	expect("mov es, over the limit: #GP(sel)", GP, 0x1000, t_sel_limit, NULL);
	expect("mov fs, no LDT: #GP(sel)", GP, 0x0c, t_sel_ldt, NULL);
	qemu_differs("RPL of a null SS is not checked");
	expect("mov ss, null with RPL 3 at CPL0: #GP(0)", GP, 0, t_ss_null3, NULL);
	expect("mov cs", UD, 0, t_mov_cs, NULL);
	expect("mov to segment 6", UD, 0, t_sreg6, NULL);
	section("control registers and MSRs (SDM 3A 2.5, SDM 4)");
	expect("mov from cr1", UD, 0, t_cr1, NULL);
	if (on_qemu()) {
		skip("cr0 and cr4 checks", "QEMU does not make them and would not survive");
	} else {
		expect("cr0: PG without PE", GP, 0, t_cr0_pg_only, NULL);
		expect("cr0: bit 32", GP, 0, t_cr0_high, NULL);
		expect("cr0: NW without CD", GP, 0, t_cr0_nw, NULL);
		expect("cr4: reserved bit", GP, 0, t_cr4_res, NULL);
		expect("cr4: PAE off in long mode", GP, 0, t_cr4_pae_off, NULL);
	}
	expect("cr8 read and write", NO_TRAP, 0, t_cr8, NULL);
	qemu_differs("not checked");
	expect("cr8: over 15", GP, 0, t_cr8_high, NULL);
	qemu_differs("not checked");
	expect("efer: reserved bit", GP, 0, t_efer_res, NULL);
	qemu_differs("not checked");
	expect("efer: LME off while paging", GP, 0, t_efer_lme_off, NULL);
	qemu_differs("reads 0");
	expect("rdmsr of an unknown one", GP, 0, t_msr_unknown, NULL);
	qemu_differs("not checked");
	expect("lstar not canonical", GP, 0, t_msr_lstar, NULL);
	gates();
	nested();
	user_checks();
	fpu_checks();
}
