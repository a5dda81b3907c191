/* SPDX-License-Identifier: Apache-2.0 */
/* rt32: descriptor tables, CPL3, real mode and V86. One CPU. */
#include "rt.h"

u64 gdt[GDT_ENTRIES] __attribute__((aligned(16))) = {
	0,
	0x00cf9b000000ffff,		  /* 08 code32 */
	0x00cf93000000ffff,		  /* 10 data */
	0x00cf9b000000ffff,		  /* 18 code32 */
	0x00cffb000000ffff,		  /* 20 user code32 */
	0x00cff3000000ffff,		  /* 28 user data */
	[0x1e0 / 8] = 0x00009b000000ffff, /* 16-bit code and data on the way to real mode */
	[0x1e8 / 8] = 0x000093000000ffff,
};
struct tss32 tss[MAX_CPUS] __attribute__((aligned(16)));
static u64 idt[256] __attribute__((aligned(16)));
static u8 trap_stack[16384] __attribute__((aligned(16)));
static u8 user_stack[8192] __attribute__((aligned(16)));

extern u8 trap_stubs[], low_start[], low_end[], real_stub[];
void user_go(void *go);
void user_exit(void);
void rt_main(void);
void cpu_main(void);

void *idt_stub(u8 vector)
{
	return trap_stubs + 16 * vector;
}

void *idt_base(void)
{
	return idt;
}

void idt_gate(u8 vector, void *handler, u16 selector, u8 type, u8 ist)
{
	u32 p = (u32)handler;

	(void)ist;
	idt[vector] = (p & 0xffff) | (u32)selector << 16 | (u64)type << 40 | (u64)(p >> 16) << 48;
}

void idt_default(u8 vector)
{
	bool user = vector == BP || vector == OF || vector == VEC_DONE;

	idt_gate(vector, idt_stub(vector), SEL_CODE, user ? 0xee : 0x8e, 0);
}

void gdt_load(void)
{
	struct {
		u16 limit;
		u32 base;
	} __attribute__((packed)) p = {sizeof(gdt) - 1, (u32)gdt};

	asm volatile("lgdt %0" ::"m"(p));
}

void cpu_main(void)
{
	struct {
		u16 limit;
		u32 base;
	} __attribute__((packed)) p = {sizeof(idt) - 1, (u32)idt};

	for (unsigned v = 0; v < 256; v++)
		idt_default((u8)v);
	asm volatile("lidt %0" ::"m"(p));
	asm volatile("lldt %0" ::"r"((u16)0));
	tss[0].esp0 = (u32)(trap_stack + sizeof(trap_stack));
	tss[0].ss0 = SEL_DATA;
	tss[0].iomap = sizeof(struct tss32);
	gdt_set(SEL_TSS(0), (u32)&tss[0], offsetof(struct tss32, io) - 1, 0x89, 0);
	asm volatile("ltr %0" ::"r"((u16)SEL_TSS(0)));
	rt_main();
}

struct go {
	u32 eip, cs, eflags, esp, ss, es, ds, fs, gs;
};

u32 user_run(void (*fn)(void *), void *arg)
{
	u32 *sp = (u32 *)(user_stack + sizeof(user_stack) - 64);
	struct go go = {(u32)fn, SEL_UCODE32, 2, (u32)sp, SEL_UDATA, SEL_UDATA, SEL_UDATA, 0, 0};

	sp[0] = (u32)user_exit;
	sp[1] = (u32)arg;
	return try_run((void (*)(void *))user_go, &go);
}

u32 v86_run(const void *code, size_t size, u32 eflags)
{
	struct go go = {0, REAL_SEG, eflags | FL_VM | 2, 0xfff0, 0x2000, 0x1000, 0x1000, 0, 0};

	memcpy((void *)(REAL_SEG * 16), code, size);
	return try_run((void (*)(void *))user_go, &go);
}

void real_run(const void *code, size_t size, struct real_regs *regs)
{
	struct real_regs *r = (struct real_regs *)0x5800;
	void (*enter)(void) = (void (*)(void))0x6000;

	memcpy((void *)0x6000, low_start, (size_t)(low_end - low_start));
	for (unsigned v = 0; v < 256; v++) {
		u8 *stub = (u8 *)(0x4000 + 8 * v);
		u32 target = 0x6000 + (u32)(real_stub - low_start);
		u32 rel = target - (u32)(stub + 5);

		stub[0] = 0x6a; /* push imm8 */
		stub[1] = (u8)v;
		stub[2] = 0xe9; /* jmp rel16 */
		memcpy(stub + 3, &rel, 2);
		*(u32 *)(0x5000 + 4 * v) = (u32)stub;
	}
	memcpy((void *)(REAL_SEG * 16), code, size);
	*r = *regs;
	r->cs = REAL_SEG;
	r->ip = 0;
	r->ss = 0x2000;
	r->esp = 0xfff0;
	enter();
	*regs = *r;
	regs->vector &= 255;
}
