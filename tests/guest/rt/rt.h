/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rt: what a boot program of these tests stands on: console, checks, traps, user mode, other CPUs.
 *
 * A suite is one C file with `void suite(void)`, linked with rt as a PVH kernel: it runs in place
 * of an operating system, on Holm and, as a second opinion, on QEMU. It prints "ok N name" lines
 * to COM1, a last line "holm-test: P passed, F failed, S skipped", and leaves by the debug exit
 * port or ACPI. Built twice: rt64 (long mode) and rt32 (protected mode, paging off at first).
 *
 * Memory (rt64): 0..1 GiB identity, supervisor; the same again at USER_BASE for CPL3; 3..4 GiB
 * identity, uncached. rt32: flat, no paging.
 */
#ifndef GUEST_RT_H
#define GUEST_RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;
typedef unsigned long uword; /* a register's width */

#define MAX_CPUS 8
#define NO_TRAP	 0xffffffffu
#define VEC_DONE 0x81 /* software interrupt that ends a piece of borrowed code */

enum { DE, DB, NMI, BP, OF, BR, UD, NM, DF, R9, TS, NP, SS, GP, PF, R15, MF, AC, MC, XM };

#define CR0_PE		   (1u << 0)
#define CR0_MP		   (1u << 1)
#define CR0_EM		   (1u << 2)
#define CR0_TS		   (1u << 3)
#define CR0_NE		   (1u << 5)
#define CR0_WP		   (1u << 16)
#define CR0_AM		   (1u << 18)
#define CR0_NW		   (1u << 29)
#define CR0_CD		   (1u << 30)
#define CR0_PG		   (1u << 31)
#define CR4_VME		   (1u << 0)
#define CR4_TSD		   (1u << 2)
#define CR4_DE		   (1u << 3)
#define CR4_PSE		   (1u << 4)
#define CR4_PAE		   (1u << 5)
#define CR4_PGE		   (1u << 7)
#define CR4_PCE		   (1u << 8)
#define CR4_OSFXSR	   (1u << 9)
#define CR4_OSXMMEXCPT	   (1u << 10)
#define CR4_UMIP	   (1u << 11)
#define CR4_FSGSBASE	   (1u << 16)
#define CR4_OSXSAVE	   (1u << 18)
#define CR4_SMEP	   (1u << 20)
#define CR4_SMAP	   (1u << 21)
#define FL_CF		   (1u << 0)
#define FL_ZF		   (1u << 6)
#define FL_TF		   (1u << 8)
#define FL_IF		   (1u << 9)
#define FL_IOPL3	   (3u << 12)
#define FL_NT		   (1u << 14)
#define FL_RF		   (1u << 16)
#define FL_VM		   (1u << 17)
#define FL_AC		   (1u << 18)
#define PTE_P		   1u
#define PTE_W		   2u
#define PTE_U		   4u
#define PTE_PCD		   16u
#define PTE_A		   32u
#define PTE_D		   64u
#define PTE_PS		   128u
#define PTE_NX		   (1ull << 63)
#define MSR_APICBASE	   0x1b
#define MSR_TSC_ADJUST	   0x3b
#define MSR_SYSENTER_CS	   0x174
#define MSR_SYSENTER_ESP   0x175
#define MSR_SYSENTER_EIP   0x176
#define MSR_TSC_DEADLINE   0x6e0
#define MSR_EFER	   0xc0000080u
#define MSR_STAR	   0xc0000081u
#define MSR_LSTAR	   0xc0000082u
#define MSR_CSTAR	   0xc0000083u
#define MSR_SFMASK	   0xc0000084u
#define MSR_FS_BASE	   0xc0000100u
#define MSR_GS_BASE	   0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define EFER_SCE	   1u
#define EFER_LME	   (1u << 8)
#define EFER_NXE	   (1u << 11)

/* --- console, checks ------------------------------------------------------------------------ */

void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* One test's verdict. The name says what is promised, `fmt` what was seen instead. */
void check(bool good, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void skip(const char *name, const char *why);
/* The next check may fail on QEMU TCG: a known difference of QEMU's, for this reason. */
void qemu_differs(const char *why);
/* True on QEMU TCG: for what would not survive there. */
bool on_qemu(void);
/* Announces the part of the manual that the next checks are about. */
void section(const char *title);
__attribute__((noreturn)) void finish(void);
__attribute__((noreturn)) void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#define CHECK(cond, name) check((cond), (name), "not so: %s", #cond)
#define CHECK_EQ(got, want, name)                                                                  \
	do {                                                                                       \
		u64 got_ = (u64)(got), want_ = (u64)(want);                                        \
		check(got_ == want_, (name), "got %llx, want %llx", (unsigned long long)got_,      \
		      (unsigned long long)want_);                                                  \
	} while (0)

/* --- traps ---------------------------------------------------------------------------------- */

struct frame {
#ifdef __x86_64__
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error, rip, cs, rflags, rsp, ss;
#else
	u32 gs, fs, es, ds;
	u32 edi, esi, ebp, esp_unused, ebx, edx, ecx, eax;
	u32 vector, error, rip, cs, rflags, rsp, ss; /* rsp, ss only from an outer ring */
	u32 v_es, v_ds, v_fs, v_gs;		     /* only from V86 */
#endif
};

/* What the last try_run (user_run, ...) ended with, on this CPU. */
struct trap {
	u32 vector; /* NO_TRAP: it returned */
	u64 error;
	u64 cr2;
	struct frame frame;
	u64 stack; /* where the frame lay */
};

struct cpu {
	u32 index;
	u32 apic_id;
	bool trying;
	uword back_sp;
	struct trap trap;
	/* Sees every trap first; true = resume with the (changed) frame. */
	bool (*hook)(struct frame *frame);
	volatile u64 irqs[256];
	u8 *stack_top;
	void (*volatile work)(struct cpu *cpu);
	volatile bool online;
};

extern struct cpu cpus[MAX_CPUS];
struct cpu *this_cpu(void);

/* Runs fn(arg) at CPL0; the vector that ended it, or NO_TRAP. Details in this_cpu()->trap. */
u32 try_run(void (*fn)(void *), void *arg);
/* The same at CPL3 (fn and arg through USER()). */
u32 user_run(void (*fn)(void *), void *arg);

/* Checks that fn(arg) ends in `vector` with `error`. */
void expect(const char *name, u32 vector, u64 error, void (*fn)(void *), void *arg);
void expect_user(const char *name, u32 vector, u64 error, void (*fn)(void *), void *arg);

/* --- descriptors ---------------------------------------------------------------------------- */

#define SEL_CODE     0x08
#define SEL_DATA     0x10
#define SEL_CODE32   0x18
#define SEL_UCODE32  0x23
#define SEL_UDATA    0x2b
#define SEL_UCODE    0x33
#define SEL_SYSENTER 0x40 /* code, data, user code32, user data, user code64, user data */
#define SEL_FREE     0x80 /* the tests' own, up to SEL_FREE_END */
#define SEL_FREE_END 0x1f0
#define SEL_TSS(n)   (0x200 + 16 * (n))
#define GDT_ENTRIES  128

extern u64 gdt[GDT_ENTRIES];
/* access: P, DPL, S, type; flags: G, D/B, L, AVL as bits 3..0 */
void gdt_set(u16 selector, u32 base, u32 limit, u8 access, u8 flags);
void gdt_load(void);
void idt_gate(u8 vector, void *handler, u16 selector, u8 type, u8 ist);
void *idt_stub(u8 vector);
void *idt_base(void);
/* Back to the runtime's own gate for this vector. */
void idt_default(u8 vector);

/* --- user mode, paging (rt64) --------------------------------------------------------------- */

#ifdef __x86_64__
#define USER_BASE 0x40000000ul
#else
#define USER_BASE 0ul
#endif
#define USER(p) ((void *)((uword)(p) + USER_BASE))

#ifdef __x86_64__
struct tss64 {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3, iomap;
	u8 io[128 + 1];
} __attribute__((packed));
extern struct tss64 tss[MAX_CPUS];

extern u64 boot_pml4[512];
/* The entry that maps va at `level` (1 = 4 KiB PTE); splits large pages on the way. */
volatile u64 *page_entry(u64 va, unsigned level);
/* 4 KiB mapping with these bits at each level from 1 to 4 (upper levels get P|W|U). */
volatile u64 *page_map(u64 va, u64 pa, u64 bits);
/* A fresh zeroed page frame. */
void *page_alloc(void);
/* Runs 32-bit code in compatibility mode (blob in .text, ends with int $VEC_DONE). */
u32 compat_run(void *code32, u64 rdi);
u32 user32_run(void *code32, u64 rdi);
u32 user_run_sel(u16 cs, u16 ss, void *code, uword arg, u64 rflags);
#else
struct tss32 {
	u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
	u32 eax, ecx, edx, ebx, esp, ebp, esi, edi;
	u32 es, cs, ss, ds, fs, gs, ldt;
	u16 trap, iomap;
	u8 io[8192 + 1];
} __attribute__((packed));
extern struct tss32 tss[MAX_CPUS];
void *page_alloc(void);
/* Runs code copied to real_base:0000 in real mode; ends with int $VEC_DONE. regs: in and out. */
struct real_regs {
	u32 eax, ebx, ecx, edx, esi, edi, ebp, esp, eflags;
	u16 ds, es, ss, cs, ip, fs, gs, vector;
};
#define REAL_SEG 0x3000
u32 v86_run(const void *code, size_t size, u32 eflags);
void real_run(const void *code, size_t size, struct real_regs *regs);
#endif

/* --- registers ------------------------------------------------------------------------------ */

#define DEFINE_CR(n)                                                                               \
	static inline uword read_cr##n(void)                                                       \
	{                                                                                          \
		uword v;                                                                           \
		asm volatile("mov %%cr" #n ", %0" : "=r"(v));                                      \
		return v;                                                                          \
	}                                                                                          \
	static inline void write_cr##n(uword v)                                                    \
	{                                                                                          \
		asm volatile("mov %0, %%cr" #n ::"r"(v) : "memory");                               \
	}
DEFINE_CR(0)
DEFINE_CR(2)
DEFINE_CR(3)
DEFINE_CR(4)
#define DEFINE_DR(n)                                                                               \
	static inline uword read_dr##n(void)                                                       \
	{                                                                                          \
		uword v;                                                                           \
		asm volatile("mov %%db" #n ", %0" : "=r"(v));                                      \
		return v;                                                                          \
	}                                                                                          \
	static inline void write_dr##n(uword v)                                                    \
	{                                                                                          \
		asm volatile("mov %0, %%db" #n ::"r"(v) : "memory");                               \
	}
DEFINE_DR(0)
DEFINE_DR(1)
DEFINE_DR(2)
DEFINE_DR(3)
DEFINE_DR(6)
DEFINE_DR(7)

static inline void outb(u16 port, u8 v)
{
	asm volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}
static inline void outw(u16 port, u16 v)
{
	asm volatile("outw %0, %1" ::"a"(v), "Nd"(port));
}
static inline void outl(u16 port, u32 v)
{
	asm volatile("outl %0, %1" ::"a"(v), "Nd"(port));
}
static inline u8 inb(u16 port)
{
	u8 v;
	asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline u32 inl(u16 port)
{
	u32 v;
	asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;
	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return lo | (u64)hi << 32;
}
static inline void wrmsr(u32 msr, u64 v)
{
	asm volatile("wrmsr" ::"c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}
static inline u64 rdtsc(void)
{
	u32 lo, hi;
	asm volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
	return lo | (u64)hi << 32;
}
struct cpuid {
	u32 a, b, c, d;
};
static inline struct cpuid cpuid(u32 leaf, u32 sub)
{
	struct cpuid r;
	asm volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
	return r;
}
static inline uword read_flags(void)
{
	uword v;
	asm volatile("pushf; pop %0" : "=r"(v)::"memory");
	return v;
}
static inline void invlpg(uword va)
{
	asm volatile("invlpg (%0)" ::"r"(va) : "memory");
}
static inline void sti(void)
{
	asm volatile("sti" ::: "memory");
}
static inline void cli(void)
{
	asm volatile("cli" ::: "memory");
}
static inline void pause(void)
{
	asm volatile("pause" ::: "memory");
}

/* --- time, APIC, other CPUs ----------------------------------------------------------------- */

/* Spins by the ACPI PM timer (3.579545 MHz). */
void delay_us(u32 us);

u32 apic_read(u32 reg);
void apic_write(u32 reg, u32 value);
void apic_enable(void);
#define APIC_ID	   0x20
#define APIC_TPR   0x80
#define APIC_PPR   0xa0
#define APIC_EOI   0xb0
#define APIC_LDR   0xd0
#define APIC_DFR   0xe0
#define APIC_SVR   0xf0
#define APIC_ISR   0x100
#define APIC_IRR   0x200
#define APIC_ESR   0x280
#define APIC_ICR   0x300
#define APIC_ICR2  0x310
#define APIC_LVTT  0x320
#define APIC_TMICT 0x380
#define APIC_TMCCT 0x390
#define APIC_TDCR  0x3e0
/* Interrupt command to one CPU (flags: delivery mode etc. as in the ICR's low word). */
void apic_ipi(u32 apic_id, u32 low);

/* Starts every other CPU once; the number of CPUs running. They spin for work. */
unsigned smp_start(void);
/* Runs fn on CPUs 0..n-1 at once and waits for all. */
void smp_run(unsigned n, void (*fn)(struct cpu *cpu));

void suite(void);

#endif
