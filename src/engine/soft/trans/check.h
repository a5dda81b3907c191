/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.h: what the proof of a block knows at a place in its host code: of each register a sum of
 * unknown values plus a constant, a table, a table's index or entry, a slot's addend; and facts
 * that guards and lookups have added.
 *
 * check.c walks the code, check_insn.c takes it from one instruction to the next, check_know.c
 * reckons with what is known. Nobody else includes this.
 */
#ifndef ENGINE_SOFT_TRANS_CHECK_H
#define ENGINE_SOFT_TRANS_CHECK_H

#include "cpu/insn_forms.h"
#include "engine/soft/trans/gen.h"

#define TERMS	    8
#define FACTS	    64
#define POINTS	    256 /* places behind a conditional jump, and jumps out of the main line */
#define CELLS	    (16 + TRANS_LOOKED) /* guest registers in memory, two addresses, entries */
#define CELL_EA	    14
#define CELL_BITS   15
#define CELL_LOOKED 16
#define WIDE	    0x40000000u /* in the number of an unknown value, see wide() */

/* A sum of unknown values (each has a number) and a constant, modulo 2^64. */
struct lin {
	u32 var[TERMS];
	s64 coef[TERMS];
	s64 k;
	u8 n;
};

enum what {
	W_NUMBER, /* lin */
	W_TABLE,  /* rt, wt, xt, desc or the base of the code: `id` says which */
	W_INDEX,  /* page number of lin */
	W_ENTRY,  /* of page lin; id 1: of the table of writes; plus sum */
	W_DIFF,	  /* lin - page of slot id */
	W_ADD,	  /* lin + addend of slot id */
	W_HOST,	  /* lin + host page of slot id */
	W_POLL,	  /* where 4 bytes may be read */
	W_LOW,	  /* 0 .. id */
	W_DESC,	  /* from a code table, plus perhaps W_LOW */
	W_CODE,	  /* a place in the code cache, or its distance from its base */
	W_PAGES,  /* what differs between lin and lin + id */
};
enum table { T_RT, T_WT, T_XT, T_DESC, T_CODE };

struct value {
	u8 what;
	bool valid; /* W_ENTRY: bit 0 was seen to be 1 */
	u32 id;
	struct lin lin, sum;
};

enum fact_kind { F_RANGE, F_FIXED, F_WHOLE };
struct fact {
	u8 kind;
	bool write;
	u32 slot; /* F_RANGE, F_FIXED */
	s64 len;  /* F_RANGE: bytes from lin; F_WHOLE: so many from lin lie in one page */
	struct lin lin;
};

struct state {
	struct value r[16], cell[CELLS];
	struct fact fact[FACTS];
	u32 facts;
};

/* What the last comparison said. */
struct compare {
	enum { C_NONE, C_CROSS, C_VALID, C_RANGE, C_FIXED, C_SIMD } kind;
	struct value v;
	s64 imm;
	u32 slot;
};

struct point {
	const u8 *at;
	bool joins; /* a side may come back here */
	struct state s;
};

struct check {
	const struct tcache *x;
	const struct tblock *t;
	const u8 *p, *end, *main_end;
	struct state s;
	struct compare c;
	u32 vars;
	bool narrow; /* 32-bit code: numbers in guest registers are below 2^32 */
	struct {
		struct lin of, whole;
		u32 var;
	} cut[64];
	unsigned cuts;
	struct point side[POINTS], join[POINTS];
	unsigned sides, joins;
	const u8 *label[POINTS]; /* jumps forward inside the main line */
	unsigned labels;
	const u8 *done[POINTS]; /* where it goes on after a body instead of the access */
	unsigned dones;
	const char *why;
	struct insn in;
};

/* check_know.c */
bool ck_no(struct check *k, const char *why); /* not proven, and why; always false */

struct lin ck_number(s64 k);
/* False: too many terms. */
bool ck_add_term(struct lin *a, u32 var, s64 coef);
bool ck_add_lin(struct lin *a, const struct lin *b, s64 times);
/* Is a - b a constant? */
bool ck_apart(const struct lin *a, const struct lin *b, s64 *by);
bool ck_same_value(const struct value *a, const struct value *b);

/* Numbers that nothing is known of. */
struct value ck_fresh(struct check *k);
struct value ck_wide(struct check *k);			     /* as long as a register of the host */
struct value ck_cut(struct check *k, const struct lin *sum); /* the lower half of a sum */
bool ck_no_upper_half(const struct check *k, const struct lin *of);

void ck_learn(struct check *k, struct fact f);
void ck_forget_slot(struct check *k, u32 slot); /* it was filled anew */
/* [v, v + size) as a host address: guest memory that may be accessed so? */
bool ck_may_access(struct check *k, const struct value *v, s64 size, bool write);

/* Places in the vCPU block. */
bool ck_is_slot(s64 off, u32 *slot, s64 *field);
bool ck_for_writes(u32 slot);
struct value *ck_cell(struct check *k, s64 off); /* NULL: it is not followed */

/* check_insn.c: what is known behind an instruction. False: it must not be there. */
void ck_set(struct check *k, unsigned r, struct value v);
void ck_written(struct check *k, const struct insn *in, unsigned r); /* perhaps not all of it */
bool ck_memory(struct check *k, const struct insn *in);		     /* guest memory */
bool ck_table_load(struct check *k, const struct insn *in, struct value *v);
bool ck_vcpu_block(struct check *k, const struct insn *in); /* gs:[disp] */
bool ck_base_of_segment(s64 off, struct value *v);
bool ck_registers(struct check *k, const struct insn *in);

#endif
