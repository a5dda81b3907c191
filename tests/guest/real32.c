/* SPDX-License-Identifier: Apache-2.0 */
/* real32: real-address mode and virtual-8086 mode (Intel SDM 3B, 20). */
#include "rt/rt.h"

#define BLOB(name, text)                                                                           \
	asm(".text; .code16; .globl " #name ", " #name "_end;" #name ":" text ";" #name            \
	    "_end: .code32");                                                                      \
	extern u8 name[], name##_end[]
#define RUN(name)	 real_run(name, (size_t)(name##_end - name), &r)
#define V86(name, flags) v86_run(name, (size_t)(name##_end - name), (flags))
#define END		 "; int $0x81"

BLOB(b_nop, "nop" END);
BLOB(b_add, "add %bx, %ax; adc %edx, %ecx" END);
BLOB(b_seg, "mov $0x1000, %ax; mov %ax, %ds; movw $0xbeef, 0x10; mov $0x1001, %ax; mov %ax, %es;"
	    "mov %es:0, %bx" END);
BLOB(b_limit, "mov $0xffff, %bx; mov (%bx), %ax" END);
BLOB(b_limit8, "mov $0xffff, %bx; mov (%bx), %al" END);
BLOB(b_limit32, "mov $0x10000, %ebx; mov (%ebx), %al" END);
BLOB(b_wrap, "mov $0, %sp; push %ax; mov %sp, %bx; mov $0x7000, %sp" END);
BLOB(b_ud, "ud2" END);
BLOB(b_div, "xor %cx, %cx; div %cx" END);
BLOB(b_into, "mov $0x7fff, %ax; add $1, %ax; into" END);
BLOB(b_bound,
     "mov $0x1000, %ax; mov %ax, %ds; movw $2, 0; movw $5, 2; mov $7, %ax; bound %ax, 0" END);
BLOB(b_call, "mov $0, %ax; call 1f; add $2, %ax; jmp 2f; 1: add $5, %ax; ret; 2: nop" END);
BLOB(b_lcall, "lcall $0x3000, $(1f - b_lcall); jmp 2f; 1: mov %cs, %bx; lret; 2: mov %cs, %cx" END);
BLOB(b_loop, "mov $10, %cx; xor %ax, %ax; 1: inc %ax; loop 1b" END);
BLOB(b_movs, "mov $0x1000, %ax; mov %ax, %ds; mov %ax, %es; movl $0x44332211, 0; xor %si, %si;"
	     "mov $0x100, %di; mov $4, %cx; cld; rep movsb; mov 0x100, %eax" END);
BLOB(b_lldt, "lldt %ax" END);
BLOB(b_arpl, ".byte 0x63, 0xc0" END);
BLOB(b_pushf, "pushfl; pop %eax; pushf; pop %bx" END);
BLOB(b_unreal, "mov %cr0, %eax; mov %eax, %ebx; or $1, %al; mov %eax, %cr0; jmp 1f;"
	       "1: mov $0x10, %cx; mov %cx, %fs; mov %ebx, %cr0; mov $0x200000, %ecx; mov "
	       "%fs:(%ecx), %eax" END);
BLOB(b_smsw, "smsw %ax" END);
BLOB(b_a32, "mov $0x1000, %ax; mov %ax, %ds; movl $0x5a5a, 0x20; xor %eax, %eax; mov $0x10, %ebx;"
	    "mov (%ebx, %ebx), %eax" END);
BLOB(b_int, "int $0x40" END);
BLOB(b_pusha, "mov $1, %ax; mov $2, %cx; pusha; mov %sp, %bp; mov 14(%bp), %si; mov 12(%bp), %di; "
	      "add $16, %sp" END);
BLOB(b_enter, "mov $0x1234, %bp; mov %sp, %si; enter $8, $0; mov %bp, %di; sub %sp, %di; leave; "
	      "sub %sp, %si" END);

BLOB(v_cli, "cli" END);
BLOB(v_sti, "sti" END);
BLOB(v_pushf, "pushf; pop %ax" END);
BLOB(v_int, "int $0x40" END);
BLOB(v_int3, "int3" END);
BLOB(v_hlt, "hlt" END);
BLOB(v_in, "in $0x80, %al" END);
BLOB(v_lmsw, "lmsw %ax" END);
BLOB(v_seg, "mov $0x1000, %ax; mov %ax, %ds; movw $0x7788, 0x40; mov $0x1004, %ax; mov %ax, %es; "
	    "mov %es:0, %bx" END);
BLOB(v_limit, "mov $0xffff, %bx; mov (%bx), %ax" END);
BLOB(v_cr, "mov %cr0, %eax" END);
BLOB(v_iret, "pushf; push %cs; push $(1f - v_iret); iret; 1: mov $0x55, %dx" END);
BLOB(v_popf, "pushf; orw $0x3000, (%esp); popf; pushf; pop %cx" END);
BLOB(v_str, "str %ax" END);

static void real_mode(void)
{
	struct real_regs r = {.eax = 1};

	section("real-address mode (SDM 3B 20.1)");
	RUN(b_nop);
	CHECK_EQ(r.vector, VEC_DONE, "in and out");
	r = (struct real_regs){.eax = 0xffff, .ebx = 1, .ecx = 0x10, .edx = 0x20};
	RUN(b_add);
	CHECK_EQ(r.eax & 0xffff, 0, "16-bit add wraps");
	CHECK_EQ(r.ecx, 0x31, "and carries into a 32-bit adc");
	RUN(b_seg);
	CHECK_EQ(r.ebx & 0xffff, 0xbeef, "segment * 16 + offset");
	RUN(b_limit);
	qemu_differs("no segment limits");
	CHECK_EQ(r.vector, GP, "word at ffff: #GP");
	qemu_differs("no segment limits");
	CHECK_EQ(r.ip, 3, "a fault: IP of the instruction");
	RUN(b_limit8);
	CHECK_EQ(r.vector, VEC_DONE, "byte at ffff");
	RUN(b_limit32);
	qemu_differs("no segment limits");
	CHECK_EQ(r.vector, GP, "offset 10000: #GP");
	r = (struct real_regs){0};
	RUN(b_wrap);
	CHECK_EQ(r.ebx & 0xffff, 0xfffe, "push with SP = 0 wraps to fffe");
	r = (struct real_regs){0};
	RUN(b_ud);
	CHECK_EQ(r.vector, UD, "ud2");
	RUN(b_div);
	CHECK_EQ(r.vector, DE, "div by zero");
	RUN(b_into);
	CHECK_EQ(r.vector, OF, "into");
	RUN(b_bound);
	CHECK_EQ(r.vector, BR, "bound");
	r = (struct real_regs){0};
	RUN(b_call);
	CHECK_EQ(r.eax & 0xffff, 7, "near call and ret");
	r = (struct real_regs){0};
	RUN(b_lcall);
	CHECK_EQ(r.ebx & 0xffff, REAL_SEG, "far call");
	CHECK_EQ(r.ecx & 0xffff, REAL_SEG, "far ret");
	RUN(b_loop);
	CHECK_EQ(r.eax & 0xffff, 10, "loop counts CX");
	RUN(b_movs);
	CHECK_EQ(r.eax, 0x44332211, "rep movsb");
	RUN(b_lldt);
	CHECK_EQ(r.vector, UD, "lldt: #UD");
	RUN(b_arpl);
	CHECK_EQ(r.vector, UD, "arpl: #UD");
	r = (struct real_regs){.eflags = 0x3000};
	RUN(b_pushf);
	CHECK_EQ(r.ebx & 0x3002, 0x3002, "IOPL comes from iret");
	r = (struct real_regs){0};
	RUN(b_unreal);
	CHECK_EQ(r.vector, VEC_DONE, "limits survive the way back from protected mode");
	CHECK_EQ(r.eax, *(u32 *)0x200000, "and reach over 1 MiB");
	RUN(b_smsw);
	CHECK_EQ(r.eax & 1, 0, "PE is clear");
	RUN(b_a32);
	CHECK_EQ(r.eax, 0x5a5a, "32-bit addressing");
	RUN(b_int);
	CHECK_EQ(r.vector, 0x40, "int n through the vector table");
	CHECK_EQ(r.ip, 2, "IP behind it");
	RUN(b_pusha);
	CHECK_EQ(r.esi & 0xffff, 1, "pusha: AX first");
	CHECK_EQ(r.edi & 0xffff, 2, "then CX");
	r = (struct real_regs){0};
	RUN(b_enter);
	CHECK_EQ(r.edi & 0xffff, 8, "enter makes room");
	CHECK_EQ(r.esi & 0xffff, 0, "leave undoes it");
}

static void v86_mode(void)
{
	struct frame *f = &this_cpu()->trap.frame;

	section("virtual-8086 mode (SDM 3B 20.2)");
	CHECK_EQ(V86(b_nop, FL_IOPL3), NO_TRAP, "in and out with IOPL 3");
	CHECK(f->rflags & FL_VM, "the frame has VM");
	CHECK_EQ(f->cs, REAL_SEG, "CS as in real mode");
	CHECK_EQ(f->v_ds, 0x1000, "DS in the frame");
	CHECK_EQ(f->ds & 0xffff, 0, "data segments are null in the handler");
	CHECK_EQ(V86(v_seg, FL_IOPL3), NO_TRAP, "segments");
	CHECK_EQ(f->ebx & 0xffff, 0x7788, "segment * 16 + offset");
	qemu_differs("no segment limits");
	CHECK_EQ(V86(v_limit, FL_IOPL3), GP, "word at ffff: #GP");
	CHECK_EQ(V86(v_cli, FL_IOPL3), NO_TRAP, "cli with IOPL 3");
	CHECK_EQ(V86(v_cli, 0), GP, "cli with IOPL 0: #GP");
	CHECK_EQ(this_cpu()->trap.error, 0, "error 0");
	CHECK_EQ(V86(v_sti, 0), GP, "sti with IOPL 0: #GP");
	CHECK_EQ(V86(v_pushf, 0), GP, "pushf with IOPL 0: #GP");
	CHECK_EQ(V86(v_int, 0), GP, "int n with IOPL 0: #GP");
	CHECK_EQ(this_cpu()->trap.error, 0, "error 0");
	CHECK_EQ(V86(v_int3, 0), BP, "int3 with IOPL 0");
	CHECK_EQ(V86(v_iret, 0), GP, "iret with IOPL 0: #GP");
	CHECK_EQ(V86(v_int, FL_IOPL3), GP, "int n to a DPL 0 gate: #GP");
	CHECK_EQ(this_cpu()->trap.error, 0x40 * 8 + 2, "error n*8+2");
	CHECK_EQ(V86(v_iret, FL_IOPL3), NO_TRAP, "iret with IOPL 3");
	CHECK_EQ(f->edx & 0xffff, 0x55, "goes where it should");
	CHECK_EQ(V86(v_hlt, FL_IOPL3), GP, "hlt: #GP");
	CHECK_EQ(V86(v_in, FL_IOPL3), GP, "in without permission: #GP, whatever IOPL");
	CHECK_EQ(V86(v_lmsw, FL_IOPL3), GP, "lmsw: #GP");
	CHECK_EQ(V86(v_cr, FL_IOPL3), GP, "mov from cr0: #GP");
	CHECK_EQ(V86(v_str, FL_IOPL3), UD, "str: #UD");
	CHECK_EQ(V86(v_popf, FL_IOPL3), NO_TRAP, "popf with IOPL 3");
	if (cpuid(1, 0).d & 2) {
		section("VME (SDM 3B 20.3)");
		write_cr4(read_cr4() | CR4_VME);
		CHECK_EQ(V86(v_cli, 0), GP, "cli with VME and VIP 0 runs until int: #GP at int");
		CHECK_EQ(f->rip, 1, "the cli itself ran");
		write_cr4(read_cr4() & ~CR4_VME);
	} else {
		skip("VME", "not offered");
	}
}

void suite(void)
{
	real_mode();
	v86_mode();
}
