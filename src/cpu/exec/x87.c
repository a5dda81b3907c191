/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x87: the bodies of all x87 instructions (SDM 1 chapter 8), around native stubs.
 *
 * Arithmetic, flags, stack faults and unmasked responses are the host CPU's own: a stub is the
 * guest's instruction with its memory operand moved to a buffer. What is left for C: guest memory,
 * #MF, the instruction and data pointers, and environment images in the guest's format.
 *
 * Order of faults as on hardware: #MF before anything about the memory operand, except for the
 * non-waiting instructions (FN...), which never raise #MF.
 *
 * Entered from the run loop through the form table. Context: vcpu.
 */
#include "cpu/exec/x87.h"

#include "cpu/exec/body.h"
#include "cpu/flags.h"
#include "cpu/x87_thunks.h"

/* --- helpers --- */

void x87_pending(struct cpu *c)
{
	if (c->s.cr0 & CR0_NE)
		cpu_raise(c, EXC_MF);
	__asm__ volatile("fnclex");
}

static always_inline void run_stub(struct cpu *c, x87_stub *stub, void *mem, u64 flags)
{
	if (unlikely(stub(mem, flags))) {
		x87_pending(c);
		stub(mem, flags); /* nothing is pending any more */
	}
}

static always_inline x87_stub *stub_of(const struct insn *in)
{
	return x87_thunk[in->form];
}

static always_inline x87_stub *stub_of_st(const struct insn *in)
{
	return (x87_stub *)((uintptr_t)x87_thunk[in->form] + (in->rm & 7u) * X87_STUB_STRIDE);
}

/* The pointers a completed non-control instruction leaves; FDP only with a memory operand. */
static always_inline void note_insn(struct cpu *c, const struct insn *in)
{
	c->x87_rip = c->blk_rip + in->off;
	c->x87_cs = c->s.seg[S_CS].sel;
	c->x87_op = (u16)((in->opcode & 7u) << 8 | in->modrm);
}

static always_inline void note_mem(struct cpu *c, const struct insn *in)
{
	note_insn(c, in);
	c->x87_dp = mem_ea(c, in);
	c->x87_ds = c->s.seg[in->seg].sel;
}

static void forget_pointers(struct cpu *c)
{
	c->x87_rip = 0;
	c->x87_dp = 0;
	c->x87_op = 0;
	c->x87_cs = 0;
	c->x87_ds = 0;
}

/* Linear address of the operand; #MF goes first if looking at the segment may raise. */
static always_inline u64 wait_addr(struct cpu *c, const struct insn *in, unsigned size,
				   enum cpu_access acc)
{
	if (unlikely(c->seg_chk >> in->seg & 1))
		x87_check(c);
	return mem_addr(c, in, size, acc);
}

/* An operand's buffer; wide enough for m80. */
union x87_buf {
	u8 b[16];
	u64 q[2];
};

static always_inline void load_operand(struct cpu *c, const struct insn *in, union x87_buf *buf,
				       unsigned size)
{
	u64 la = wait_addr(c, in, size, ACC_READ);
	const void *p = tlb_read(c, la, size);

	if (likely(p != NULL)) {
		__builtin_memcpy(buf->b, p, size);
		return;
	}
	x87_check(c);
	mem_ld_bytes(c, la, buf->b, size);
}

/* --- registers only --- */

static void x87_r(struct cpu *c, const struct insn *in)
{
	fpu_need(c);
	run_stub(c, stub_of(in), NULL, 0);
	note_insn(c, in);
}

static void x87_t(struct cpu *c, const struct insn *in)
{
	fpu_need(c);
	run_stub(c, stub_of_st(in), NULL, 0);
	note_insn(c, in);
}

static void fcmov(struct cpu *c, const struct insn *in)
{
	fpu_need(c);
	run_stub(c, stub_of_st(in), NULL, fl_status(c) << 8);
	note_insn(c, in);
}

static void fcomi(struct cpu *c, const struct insn *in)
{
	u8 flags;

	fpu_need(c);
	run_stub(c, stub_of_st(in), &flags, fl_status(c) << 8);
	fl_set_status(c, flags); /* OF becomes 0, the others are what LAHF saw */
	note_insn(c, in);
}

BODY_ONE(x87_r, x87_r)
BODY_ONE(x87_t, x87_t)
BODY_ONE(fcmov, fcmov)
BODY_ONE(fcomi, fcomi)

/* --- memory sources --- */

static always_inline void x87_ld(struct cpu *c, const struct insn *in, unsigned size)
{
	union x87_buf buf;

	fpu_need(c);
	load_operand(c, in, &buf, size);
	run_stub(c, stub_of(in), buf.b, 0);
	note_mem(c, in);
}

/* --- memory destinations --- */

/* Not an encoding any store produces for long: told apart from "nothing stored" by FSW. */
#define UNSTORED 0xa5a5a5a5a5a5a5a5ull

/* An unmasked #IA, #IS, #O or #U leaves memory alone; an unmasked #P does not. Nothing was pending
 * before the stub, or it would have faulted, so what is pending now came from it. */
static always_inline bool was_stored(const union x87_buf *buf, unsigned size)
{
	static const union x87_buf unstored = {.q = {UNSTORED, UNSTORED}};

	if (likely(__builtin_memcmp(buf->b, unstored.b, size) != 0))
		return true;
	return !(x87_fsw() & ~x87_fcw() & 0x1f);
}

static always_inline void x87_st(struct cpu *c, const struct insn *in, unsigned size)
{
	union x87_buf buf = {.q = {UNSTORED, UNSTORED}};
	u64 la;
	void *p;

	fpu_need(c);
	la = wait_addr(c, in, size, ACC_WRITE);
	p = tlb_write(c, la, size);
	if (unlikely(!p)) {
		x87_check(c);
		mem_probe(c, la, size, ACC_WRITE);
	}
	run_stub(c, stub_of(in), buf.b, 0);
	note_mem(c, in);
	if (unlikely(!was_stored(&buf, size)))
		return;
	if (likely(p != NULL))
		__builtin_memcpy(p, buf.b, size);
	else
		mem_st_bytes(c, la, buf.b, size);
}

#define X87_SIZED(name, size)                                                                      \
	static void name##size(struct cpu *c, const struct insn *in)                               \
	{                                                                                          \
		name(c, in, size);                                                                 \
	}                                                                                          \
	BODY_ONE(name##size, name##size)
X87_SIZED(x87_ld, 2)
X87_SIZED(x87_ld, 4)
X87_SIZED(x87_ld, 8)
X87_SIZED(x87_ld, 10)
X87_SIZED(x87_st, 2)
X87_SIZED(x87_st, 4)
X87_SIZED(x87_st, 8)
X87_SIZED(x87_st, 10)

/* --- control: words --- */

static void fldcw(struct cpu *c, const struct insn *in)
{
	union x87_buf buf;

	fpu_need(c);
	load_operand(c, in, &buf, 2);
	run_stub(c, stub_of(in), buf.b, 0);
}

static void fnstcw(struct cpu *c, const struct insn *in)
{
	u64 la = mem_addr(c, in, 2, ACC_WRITE);

	fpu_need(c);
	mem_st(c, la, 2, x87_fcw());
}

static void fnstsw(struct cpu *c, const struct insn *in)
{
	u64 la = mem_addr(c, in, 2, ACC_WRITE);

	fpu_need(c);
	mem_st(c, la, 2, x87_fsw());
}

static void fnstsw_AX(struct cpu *c, const struct insn *in unused_arg)
{
	fpu_need(c);
	reg_set(c, REG_OFF(R_RAX), 2, x87_fsw());
}

/* FNCLEX */
static void fnclex(struct cpu *c, const struct insn *in unused_arg)
{
	fpu_need(c);
	__asm__ volatile("fnclex");
}

static void fninit(struct cpu *c, const struct insn *in unused_arg)
{
	fpu_need(c);
	__asm__ volatile("fninit");
	forget_pointers(c);
}

/* FENI, FDISI, FSETPM: 8087 and 80287 only. */
static void x87_nop(struct cpu *c unused_arg, const struct insn *in unused_arg)
{
}

/* FWAIT heeds CR0.TS only together with MP, and CR0.EM not at all. */
static void fwait(struct cpu *c, const struct insn *in)
{
	if ((c->s.cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		cpu_raise(c, EXC_NM);
	fpu_need(c);
	run_stub(c, stub_of(in), NULL, 0);
}

BODY_ONE(fldcw, fldcw)
BODY_ONE(fnstcw, fnstcw)
BODY_ONE(fnstsw, fnstsw)
BODY_ONE(fnstsw_AX, fnstsw_AX)
BODY_ONE(fnclex, fnclex)
BODY_ONE(fninit, fninit)
BODY_ONE(x87_nop, x87_nop)
BODY_ONE(fwait, fwait)

/* --- control: environment images (SDM 1, figures 8-9 to 8-12) --- */

#define ENV_SIZE 28u /* 32-bit format, protected mode: what the host's stubs use */
#define ST_SIZE	 80u

static bool env_real(const struct cpu *c)
{
	return !(c->mode & MODE_PE) || (c->mode & MODE_VM);
}

static void env_put_protected(const struct cpu *c, u8 *env, unsigned osz)
{
	if (osz == 2) {
		st16(env + 6, (u16)c->x87_rip);
		st16(env + 8, c->x87_cs);
		st16(env + 10, (u16)c->x87_dp);
		st16(env + 12, c->x87_ds);
		return;
	}
	st32(env + 12, (u32)c->x87_rip);
	st32(env + 16, (u32)c->x87_op << 16 | c->x87_cs);
	st32(env + 20, (u32)c->x87_dp);
	st32(env + 24, 0xffff0000u | c->x87_ds);
}

/* Real mode and virtual-8086: linear addresses, cut in two. */
static void env_put_real(const struct cpu *c, u8 *env, unsigned osz)
{
	u32 ip = (u32)c->x87_rip + ((u32)c->x87_cs << 4);
	u32 dp = (u32)c->x87_dp + ((u32)c->x87_ds << 4);

	if (osz == 2) {
		st16(env + 6, (u16)ip);
		st16(env + 8, (u16)((ip >> 4 & 0xf000) | c->x87_op));
		st16(env + 10, (u16)dp);
		st16(env + 12, (u16)(dp >> 4 & 0xf000));
		return;
	}
	st32(env + 12, 0xffff0000u | (u16)ip);
	st32(env + 16, (ip >> 4 & 0x0ffff000) | c->x87_op);
	st32(env + 20, 0xffff0000u | (u16)dp);
	st32(env + 24, dp >> 4 & 0x0ffff000);
}

static void env_get_protected(struct cpu *c, const u8 *env, unsigned osz)
{
	if (osz == 2) {
		c->x87_rip = ld16(env + 6);
		c->x87_cs = ld16(env + 8);
		c->x87_op = 0;
		c->x87_dp = ld16(env + 10);
		c->x87_ds = ld16(env + 12);
		return;
	}
	c->x87_rip = ld32(env + 12);
	c->x87_cs = ld16(env + 16);
	c->x87_op = ld16(env + 18) & X87_FOP_MASK;
	c->x87_dp = ld32(env + 20);
	c->x87_ds = ld16(env + 24);
}

static void env_get_real(struct cpu *c, const u8 *env, unsigned osz)
{
	if (osz == 2) {
		c->x87_rip = ld16(env + 6) | (ld16(env + 8) & 0xf000u) << 4;
		c->x87_op = ld16(env + 8) & X87_FOP_MASK;
		c->x87_dp = ld16(env + 10) | (ld16(env + 12) & 0xf000u) << 4;
	} else {
		c->x87_rip = ld16(env + 12) | (ld32(env + 16) & 0x0ffff000u) << 4;
		c->x87_op = ld16(env + 16) & X87_FOP_MASK;
		c->x87_dp = ld16(env + 20) | (ld32(env + 24) & 0x0ffff000u) << 4;
	}
	c->x87_cs = 0;
	c->x87_ds = 0;
}

static unsigned env_size(const struct insn *in)
{
	return in->osz == 2 ? 14 : ENV_SIZE;
}

/* FNSTENV, FNSAVE: `tail` bytes of registers follow the environment. */
static void env_store(struct cpu *c, const struct insn *in, unsigned tail)
{
	unsigned osz = in->osz, head = env_size(in);
	u8 native[ENV_SIZE + ST_SIZE], image[ENV_SIZE + ST_SIZE];
	u64 la = mem_addr(c, in, head + tail, ACC_WRITE);

	fpu_need(c);
	mem_probe(c, la, head + tail, ACC_WRITE);
	run_stub(c, stub_of(in), native, 0);
	if (osz == 2) {
		st16(image, ld16(native));
		st16(image + 2, ld16(native + 4));
		st16(image + 4, ld16(native + 8));
	} else {
		__builtin_memcpy(image, native, 12);
	}
	if (env_real(c))
		env_put_real(c, image, osz);
	else
		env_put_protected(c, image, osz);
	__builtin_memcpy(image + head, native + ENV_SIZE, tail);
	mem_st_bytes(c, la, image, head + tail);
}

static void env_load(struct cpu *c, const struct insn *in, unsigned tail)
{
	unsigned osz = in->osz, head = env_size(in);
	u8 native[ENV_SIZE + ST_SIZE], image[ENV_SIZE + ST_SIZE];
	u64 la;

	fpu_need(c);
	x87_check(c);
	la = mem_addr(c, in, head + tail, ACC_READ);
	mem_ld_bytes(c, la, image, head + tail);
	__builtin_memset(native, 0, ENV_SIZE);
	st16(native, ld16(image));
	st16(native + 4, ld16(image + (osz == 2 ? 2 : 4)));
	st16(native + 8, ld16(image + (osz == 2 ? 4 : 8)));
	native[12] = 1; /* see FIP_WITNESS in fpu.c */
	__builtin_memcpy(native + ENV_SIZE, image + head, tail);
	run_stub(c, stub_of(in), native, 0);
	if (env_real(c))
		env_get_real(c, image, osz);
	else
		env_get_protected(c, image, osz);
}

static void fnstenv(struct cpu *c, const struct insn *in)
{
	env_store(c, in, 0);
}

static void fnsave(struct cpu *c, const struct insn *in)
{
	env_store(c, in, ST_SIZE);
	forget_pointers(c);
}

static void fldenv(struct cpu *c, const struct insn *in)
{
	env_load(c, in, 0);
}

static void frstor(struct cpu *c, const struct insn *in)
{
	env_load(c, in, ST_SIZE);
}

BODY_ONE(fnstenv, fnstenv)
BODY_ONE(fnsave, fnsave)
BODY_ONE(fldenv, fldenv)
BODY_ONE(frstor, frstor)
