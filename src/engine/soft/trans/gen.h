/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen: what the pieces of the translator share while one block is made.
 *
 * Every instruction does its lookups and accesses before it changes anything, so a miss can always
 * be answered by running the interpreter's body instead. Lookups use the host's flags; while the
 * guest's are needed they are in the vCPU block (tr.saved).
 *
 * Entered by translate.c; access.c, window.c, kinds.c, system.c and leave.c emit. Context: owner.
 */
#ifndef ENGINE_SOFT_TRANS_GEN_H
#define ENGINE_SOFT_TRANS_GEN_H

#include "engine/soft/trans/layout.h"

#define SIDE_MAX     160u
#define FOLLOW	     3u /* blocks that are followed, see follow() */
#define FOLLOW_INSNS 3u
#define UNROLL	     4u /* times that the body of a loop of one block is emitted */

/* The address of a memory operand, so that it can be had again. */
struct ea {
	enum {
		EA_SIMPLE, /* base + disp */
		EA_AGAIN,  /* base + index << scale + disp + segment, at most one of them in a slot
			    */
		EA_STORED, /* in hot.ea */
	} kind;
	unsigned base, index; /* EA_SIMPLE: the host's register; EA_AGAIN: the guest's, 16: none */
	unsigned scale, size;
	u32 segment; /* its base's place in the vCPU block, 0: none */
	bool narrow; /* 32-bit code: the sum with the segment's base is cut to 32 bits */
	s64 disp;
};

/* Code that stands behind the block: misses, crossings, exits. */
struct side {
	enum {
		SIDE_CROSS,
		SIDE_MISS,
		SIDE_EXIT,
		SIDE_LINK,
		SIDE_SIMD,
		SIDE_STACK,
		SIDE_SLOT,
		SIDE_FAMILY,
		SIDE_BODY,
		SIDE_AGAIN
	} kind;
	u8 *start;   /* its own code */
	u8 *from;    /* rel32 of the jump that leads here */
	u8 *also[2]; /* SIDE_MISS, SIDE_FAMILY: others, or NULL */
	u8 *back;    /* SIDE_CROSS, SIDE_MISS: where the fast path goes on */
	u8 *done;    /* SIDE_MISS: behind the instruction */
	struct ea ea;
	struct tinsn *ti;
	struct tguard *guard;
	u8 size;
	bool write;
	bool saved; /* exits: where the flags are */
	int link;
	u64 target;
};

struct tr {
	struct tcache *x;
	struct emit e;
	struct block *b;
	struct tblock *t;
	unsigned word; /* bytes of a register, an address, a push: 8, or 4 in 32-bit code */
	struct side side[SIDE_MAX];
	unsigned sides;
	u8 live[BLOCK_INSNS + 2];     /* flags needed before instruction i */
	bool window[BLOCK_INSNS + 2]; /* its stack access is in a window, see window_find() */
	u32 slot[BLOCK_INSNS + 2]; /* the slot of its operand's family, see slot_find(); 0: none */
	/* what stands before it: a window's, a family's, or NULL */
	struct tguard *stack_guard[BLOCK_INSNS + 2], *slot_guard[BLOCK_INSNS + 2];
	u64 tabled;  /* see struct tabled */
	bool looked; /* families look their page up each time, they have no slots */
	unsigned i;  /* the instruction that is emitted */
	unsigned links;
	unsigned count;			 /* instructions, those of follow() and unroll() included */
	unsigned rounds;		 /* a loop's body is there so many times */
	struct insn in[BLOCK_INSNS + 2]; /* as they are translated: recode_general() was there */
	const u8 *raw[BLOCK_INSNS + 2];
	u64 rip[BLOCK_INSNS + 2];
	u8 *no_seg[2];		  /* jumps to the miss of the lookup that comes next, or NULL */
	u32 r10_holds, r11_holds; /* the slots whose addends they have, 0: none */
	u8 *leave[UNROLL]; /* jumps out of the loop but the last: where to is patched later */
	unsigned leaves;
	const u8 *body_end; /* behind the last instruction's code */
	bool failed, vec;
	bool saved;	      /* the guest's flags are in hot.status, the host's are anything */
	struct tpage *second; /* where instructions from second_at on are, if not in b's page */
	unsigned second_at;
	const struct block *followed[FOLLOW];
};

/* Its place in `tabled`. */
static inline unsigned place_of(const struct tr *t, unsigned i)
{
	return i % (t->count / t->rounds);
}

/* Before instruction i, what follows in its block. */
struct tguard *guard_new(struct tr *t, unsigned i);
/* The instruction that is emitted. */
static inline const struct insn *insn_now(const struct tr *t)
{
	return &t->in[t->i];
}

/* access.c: where the flags are changes from instruction to instruction. r11 is clobbered. */
void flags_save(struct emit *e);
void flags_restore(struct emit *e);
void flags_away(struct tr *t, bool live);
void flags_back(struct tr *t);

/* access.c: operands in memory, by lookup */
struct side *side_new(struct tr *t);
unsigned reg_in_host(struct emit *e, unsigned n, unsigned scratch);
void emit_ea_again(struct emit *e, const struct ea *ea);
/* With no more than a base in a slot. */
struct ea ea_of(const struct tr *t, const struct insn *in);
void emit_ea(struct tr *t, const struct insn *in, struct ea *ea);
unsigned emit_lookup(struct tr *t, struct tinsn *ti, const struct ea *ea, unsigned size,
		     bool write);
void emit_host(struct tr *t, const struct ea *ea);
unsigned emit_lookup_at(struct tr *t, struct tinsn *ti, unsigned guest, s32 disp, bool write);
void done_here(struct tr *t, unsigned s);

/* window.c: operands on the stack, without */
bool in_window(const struct tr *t);
bool in_window_at(const struct tr *t, unsigned i);
void window_find(struct tr *t, const struct tclass *c);
void window_guard(struct tr *t, bool live);
void window_store(struct tr *t, unsigned from, s32 disp);
void window_load(struct tr *t, unsigned to, unsigned base, s32 disp);
/* RSP += by */
void move_rsp(struct tr *t, s32 by);

/* slot.c: operands that remember their page */
struct place {
	u8 base, index, scale;
	s32 disp;
};
/* What r10 and r11 have is not known any more. */
static inline void forget_addends(struct tr *t)
{
	t->r10_holds = t->r11_holds = 0;
}
/* Bit n: an instruction of kind T_COPY may write general register n. */
u32 writes_gprs(const struct insn *in);
bool in_family(const struct tr *t);
void slot_find(struct tr *t, const struct tclass *c);
void slot_guard(struct tr *t, bool live);
/* r11: it may be used, too. */
struct place slot_operand(struct tr *t, const struct insn *in, bool r11);

/* kinds.c: one instruction */
/* Is there an encoding? If not its body runs. */
bool can_emit(const struct insn *in, const struct tclass *c, const u8 *raw);
void emit_interp(struct tr *t, struct tinsn *ti);
void emit_end(struct tr *t, struct tinsn *ti);
void body_if(struct tr *t, struct tinsn *ti, unsigned cc);
void reg_to(struct emit *e, unsigned host, unsigned guest);
void store_r11(struct tr *t);
void emit_copy(struct tr *t, struct tinsn *ti, const struct tclass *c, const u8 *raw, bool live);
void emit_bt(struct tr *t, struct tinsn *ti, const struct tclass *c, const u8 *raw, bool live);
void emit_lea(struct tr *t);
void emit_push(struct tr *t, struct tinsn *ti, bool imm, bool live);
void emit_pop(struct tr *t, struct tinsn *ti, bool live);
void emit_pop_rsp(struct tr *t, struct tinsn *ti);
int load_m(struct tr *t, struct tinsn *ti, bool live);
void emit_push_m(struct tr *t, struct tinsn *ti, bool live);
void emit_leave(struct tr *t, struct tinsn *ti, bool live);

/* system.c: what the kernel does all the time */
void emit_cli(struct tr *t, bool live);
void emit_sti(struct tr *t, struct tinsn *ti, bool live);
void emit_swapgs(struct tr *t);
void emit_pushf(struct tr *t, struct tinsn *ti);
bool emit_popf(struct tr *t, struct tinsn *ti);

void emit_rdtsc(struct tr *t, struct tinsn *ti);
void emit_mov_seg(struct tr *t, struct tinsn *ti, bool live);
void emit_far(struct tr *t, struct tinsn *ti, const u8 *stub);

/* leave.c: out of the block */
void emit_jump(struct tr *t, u64 target);
void poll_if_back(struct tr *t, struct tinsn *ti);
void emit_jcc(struct tr *t, struct tinsn *ti);
/* Goes on behind it if it is taken, see unroll(). */
void emit_jcc_inside(struct tr *t, struct tinsn *ti);
void emit_jrcxz(struct tr *t, struct tinsn *ti);
void emit_call(struct tr *t, struct tinsn *ti, bool live);
void emit_ret(struct tr *t, struct tinsn *ti, bool live);
void emit_jmp_e(struct tr *t, struct tinsn *ti, bool live);
void emit_call_e(struct tr *t, struct tinsn *ti, bool live);
void emit_jmp(struct tr *t, struct tinsn *ti);

/* trace.c: the block that is ready, if --log translate wants it. */
void trace_block(const struct vcpu *v, const struct tr *t);

#endif
