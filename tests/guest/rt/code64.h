/* SPDX-License-Identifier: Apache-2.0 */
/*
 * code64: pieces of code that are made while the test runs, and run with every register given until
 * they trap. For one C file of a suite.
 *
 * Code lies in `code`, at its own address for CPL 0, at USER() for CPL 3.
 */
#ifndef GUEST_CODE64_H
#define GUEST_CODE64_H

#include "rt.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9_, R10, R11, R12, R13, R14, R15_, NONE, RIP };

#define FL_PF	  (1u << 2)
#define FL_AF	  (1u << 4)
#define FL_SF	  (1u << 7)
#define FL_OF	  (1u << 11)
#define FL_STATUS (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)
#define CR4_OS	  (CR4_OSFXSR | CR4_OSXMMEXCPT)
#define PTE_G	  (1u << 8)

/* --- running it ------------------------------------------------------------------------------ */

/* A frame as trap_common leaves it. */
asm(".text; run_frame: mov %rdi, %rsp\n"
    "pop %r15; pop %r14; pop %r13; pop %r12; pop %r11; pop %r10; pop %r9; pop %r8\n"
    "pop %rdi; pop %rsi; pop %rbp; pop %rbx; pop %rdx; pop %rcx; pop %rax\n"
    "add $16, %rsp; iretq");
void run_frame(void *frame);

/* The vector that ends it; this_cpu()->trap has the rest. */
static u32 go(struct frame *f, const u8 *at, bool user)
{
	f->rip = (u64)at + (user ? USER_BASE : 0);
	f->cs = user ? SEL_UCODE : SEL_CODE;
	f->ss = user ? SEL_UDATA : SEL_DATA;
	f->rflags |= 2;
	try_run(run_frame, f);
	return this_cpu()->trap.vector;
}

/* All traps on a stack of their own, as RSP may be anything. */
static void traps_on_ist(bool on)
{
	for (unsigned v = 0; v < 0x82; v++) {
		if (on && v != DF && v != NMI)
			idt_gate((u8)v, idt_stub((u8)v), SEL_CODE,
				 v == BP || v == OF || v == VEC_DONE ? 0xee : 0x8e, 3);
		else
			idt_default((u8)v);
	}
}

static u64 *reg(struct frame *f, unsigned n)
{
	static const u8 place[16] = {
		offsetof(struct frame, rax) / 8, offsetof(struct frame, rcx) / 8,
		offsetof(struct frame, rdx) / 8, offsetof(struct frame, rbx) / 8,
		offsetof(struct frame, rsp) / 8, offsetof(struct frame, rbp) / 8,
		offsetof(struct frame, rsi) / 8, offsetof(struct frame, rdi) / 8,
		offsetof(struct frame, r8) / 8,	 offsetof(struct frame, r9) / 8,
		offsetof(struct frame, r10) / 8, offsetof(struct frame, r11) / 8,
		offsetof(struct frame, r12) / 8, offsetof(struct frame, r13) / 8,
		offsetof(struct frame, r14) / 8, offsetof(struct frame, r15) / 8};

	return (u64 *)f + place[n];
}

/* Says how they differ, 12 times at most. */
static inline bool same_regs(const struct frame *want, const struct frame *got, u64 flags,
			     const char *what)
{
	static const char *const name[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
					     "rsi", "rdi", "r8",  "r9",	 "r10", "r11",
					     "r12", "r13", "r14", "r15"};
	static unsigned told;
	const char *which = NULL;
	u64 a = 0, b = 0;

	for (unsigned i = 0; i < 16; i++) {
		a = *reg((struct frame *)(uword)want, i);
		b = *reg((struct frame *)(uword)got, i);
		if (a != b) {
			which = name[i];
			break;
		}
	}
	if (!which && want->rip != got->rip) {
		which = "rip";
		a = want->rip;
		b = got->rip;
	}
	if (!which && (want->rflags ^ got->rflags) & flags) {
		which = "flags";
		a = want->rflags;
		b = got->rflags;
	}
	if (which && told++ < 12)
		print("# %s at cs %x rip %llx: %s is %llx, want %llx\n", what, (unsigned)got->cs,
		      (unsigned long long)got->rip, which, (unsigned long long)b,
		      (unsigned long long)a);
	return !which;
}

/* --- making it ------------------------------------------------------------------------------- */

#define CODE_PAGES 16
static u8 code[CODE_PAGES * 4096] __attribute__((aligned(4096)));
static u8 *out = code;

static void put(const void *bytes, size_t n)
{
	memcpy(out, bytes, n);
	out += n;
}

#define B(...) put((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

static void put32(u32 v)
{
	put(&v, 4);
}

static void put_done(void)
{
	B(0xcd, VEC_DONE);
}

/* A new piece begins, of no more than `most` bytes. */
static u8 *piece(size_t most)
{
	if (out + most > code + sizeof(code))
		out = code;
	return out;
}

struct mem {
	u8 base, index, scale;
	s64 disp;  /* RIP: from the end of the instruction, if nothing follows the displacement */
	u8 prefix; /* segment or 67h, 0: none */
};

#define H_16   1u /* 66h */
#define H_LOCK 2u
#define H_F3   4u
#define H_F2   8u
#define H_W    16u
#define H_BYTE 32u /* a byte register */
#define H_VEX  64u /* 256 bits, F3, map 0F */

/* op: the opcode's bytes, as 0F38xxh, 0Fxxh, xxh; r: register or /digit. */
static void put_mem(unsigned how, unsigned op, unsigned r, struct mem m)
{
	unsigned base = m.base < 16 ? m.base : 0, index = m.index < 16 ? m.index : 4;
	unsigned rex = (how & H_W ? 8u : 0) | (r & 8 ? 4u : 0) |
		       (m.index < 16 && index & 8 ? 2u : 0) | (base & 8 ? 1u : 0);
	bool sib = m.index < 16 || (m.base != RIP && (m.base == NONE || (base & 7) == 4));
	unsigned mod = m.base >= 16		       ? 0
		       : !m.disp && (base & 7) != 5    ? 0
		       : m.disp == (signed char)m.disp ? 1
						       : 2;

	if (m.prefix)
		B(m.prefix);
	if (how & H_LOCK)
		B(0xf0);
	if (how & H_16)
		B(0x66);
	if (how & H_F3)
		B(0xf3);
	if (how & H_F2)
		B(0xf2);
	if (how & H_VEX)
		B(0xc4, (u8)((~rex & 7) << 5 | 1), 0x7e, (u8)op);
	else if (rex || (how & H_BYTE && r >= 4))
		B((u8)(0x40 | rex));
	if (!(how & H_VEX)) {
		if (op >> 16)
			B((u8)(op >> 16));
		if (op >> 8)
			B((u8)(op >> 8));
		B((u8)op);
	}
	B((u8)(mod << 6 | (r & 7) << 3 | (sib ? 4 : m.base == RIP ? 5 : base & 7)));
	if (sib)
		B((u8)(m.scale << 6 | (index & 7) << 3 | (m.base == NONE ? 5 : base & 7)));
	if (mod == 1)
		B((u8)m.disp);
	else if (mod == 2 || m.base >= 16)
		put32((u32)m.disp);
}

/* op r/m, r between registers. */
static inline void put_rr(unsigned how, unsigned op, unsigned r, unsigned rm)
{
	if (how & H_16)
		B(0x66);
	B((u8)(0x40 | (how & H_W ? 8 : 0) | (r & 8 ? 4 : 0) | (rm & 8 ? 1 : 0)));
	if (op >> 8)
		B((u8)(op >> 8));
	B((u8)op, (u8)(0xc0 | (r & 7) << 3 | (rm & 7)));
}

static inline struct mem mem(u8 base, u8 index, u8 scale, s64 disp, u8 prefix)
{
	return (struct mem){base, index, scale, disp, prefix};
}

/* --- what it works on --------------------------------------------------------------------------
 */

/* Where the tests work: the edges, and around 200h. */
static const struct {
	u16 first, last;
} used[] = {{0, 8}, {0x1c0 / 8, 0x280 / 8}, {504, 512}};

static inline void fill(u8 *page, u8 seed_byte)
{
	for (unsigned k = 0; k < 3; k++)
		for (unsigned i = used[k].first; i < used[k].last; i++)
			((u64 *)page)[i] = 0x0101010101010101ul * seed_byte + i;
}

/* Is it as fill() left it? */
static inline bool filled(const u8 *page, u8 seed_byte)
{
	for (unsigned k = 0; k < 3; k++)
		for (unsigned i = used[k].first; i < used[k].last; i++)
			if (((const u64 *)page)[i] != 0x0101010101010101ul * seed_byte + i)
				return false;
	return true;
}

static u8 *stack; /* for fresh() */

/* All registers different, none an address. */
static inline struct frame fresh(void)
{
	struct frame f;

	memset(&f, 0, sizeof(f));
	for (unsigned i = 0; i < 16; i++)
		*reg(&f, i) = 0x1111 * (i + 1);
	f.rsp = (u64)USER(stack + 2048);
	return f;
}

/* --- dice ------------------------------------------------------------------------------------ */

static u64 seed = 1;

static inline u32 dice(u32 sides)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(seed >> 33) % sides;
}

#endif
