/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lockstep: interpreter and translated code side by side, block by block.
 *
 * A block is first interpreted for show: every store is noted before it is made, and all is taken
 * back. Then its translated code runs for good, alone (nothing is linked, no indirect branch finds
 * code), and the registers, the exception if there was one, and every noted byte are compared. What
 * differs is run again, since a device may have written in between; what differs each time is
 * narrowed down to the first instruction that does, and ends the vCPU.
 *
 * Not compared: instructions that cannot be run twice (`alone`: they are blocks of their own and
 * interpreted), and blocks that met MMIO or their own code. Flags that an instruction leaves
 * undefined, and flags that nobody can see because the instruction that faulted overwrites them
 * when it runs again, may differ.
 *
 * In this mode the interpreter's TLB has no write tags, so that its stores come by will_write; the
 * translator's tables are filled as ever.
 *
 * Context: owner. One vCPU only: another one would write between the two runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/flags.h"
#include "cpu/fpu.h"
#include "cpu/insn_forms.h"
#include "cpu/interp.h"
#include "cpu/mem.h"
#include "engine/soft/impl.h"
#include "host/fail.h"

#define STORES_MAX 1024u
#define BYTES_MAX  65536u
#define ATTEMPTS   4

struct store {
	u8 *host;
	u32 size, at; /* of its bytes in `old` and `new` */
};

/* The state of a CPU that a block may change, but for what memory and TLBs hold. */
struct image {
	u64 r[17], fl_res, fl_car, fl_sx, rflags, rip;
	u64 seg_base[8], x87_rip, x87_dp, dr6_pending, pdpte[4];
	u32 seg_chk, seg_wide, mode;
	u16 x87_op, x87_cs, x87_ds;
	u8 cpl, shadow;
	bool flat, fpu_live, repeated, dr_armed, intr_wait;
	struct tlb_view *view;
	struct cpu_exception exc;
	struct cpu_state s;
};

struct lockstep {
	bool dry, filling;
	u32 stores, bytes;
	u64 updates; /* cpu.pte_updates when the run began */
	struct store store[STORES_MAX];
	u8 old[BYTES_MAX], new[BYTES_MAX];
	struct image before, want, got;
	int how; /* CPU_JMP_* of the interpreted run, 0: ran through */
};

#define CPU_JMP_NO_REPEAT 3 /* the dry run met what cannot be done twice */

/* --- which instructions --- */

bool lockstep_alone(const struct insn *in)
{
	const struct insn_form *f = &insn_forms[in->form];
	unsigned reg = in->modrm >> 3 & 7;
	if (f->attr & IA_STRING)
		return true;
	if (f->map == 0) /* IN, OUT, HLT; STI, whose shadow translated code has no need of */
		return (in->opcode & 0xf4) == 0xe4 || in->opcode == 0xf4 || in->opcode == 0xfb;
	if (f->map == 1)
		switch (in->opcode) {
		case 0x01: return in->modrm != 0xca && in->modrm != 0xcb; /* CLAC, STAC */
		case 0x31:						  /* RDTSC */
		case 0xa2: return true;					  /* CPUID */
		case 0xc7: return !(in->pfx & PFX_MEM) || reg != 1; /* RDRAND, RDSEED, XSAVES */
		default: break;
		}
	return f->attr & IA_PRIV && f->map;
}

/* --- images --- */

#define FIELD(f) memcpy(take ? (void *)&i->f : &c->f, take ? &c->f : (void *)&i->f, sizeof(i->f))

static always_inline void image_copy(struct image *i, struct cpu *c, bool take)
{
	if (c->fpu_live)
		fpu_store(c);
	FIELD(r);
	FIELD(fl_res);
	FIELD(fl_car);
	FIELD(fl_sx);
	FIELD(rflags);
	FIELD(rip);
	FIELD(seg_base);
	FIELD(x87_rip);
	FIELD(x87_dp);
	FIELD(dr6_pending);
	FIELD(pdpte);
	FIELD(seg_chk);
	FIELD(seg_wide);
	FIELD(flat);
	FIELD(mode);
	FIELD(x87_op);
	FIELD(x87_cs);
	FIELD(x87_ds);
	FIELD(cpl);
	FIELD(shadow);
	FIELD(fpu_live);
	FIELD(repeated);
	FIELD(dr_armed);
	FIELD(intr_wait);
	FIELD(view);
	FIELD(exc);
	FIELD(s);
}

static void image_take(struct image *i, struct cpu *c)
{
	image_copy(i, c, true);
}

static void image_put(struct image *i, struct cpu *c)
{
	image_copy(i, c, false);
}

/* --- memory --- */

bool lockstep_dry(const struct vcpu *v)
{
	return v->lockstep && v->lockstep->dry;
}

bool lockstep_tags(const struct vcpu *v)
{
	return !v->lockstep || v->lockstep->filling;
}

void lockstep_fill(struct vcpu *v, bool on)
{
	if (v->lockstep)
		v->lockstep->filling = on;
}

noreturn_fn void lockstep_no_repeat(struct vcpu *v)
{
	v->cpu.jump = CPU_JMP_NO_REPEAT;
	__builtin_longjmp(v->cpu.jb, 1);
}

void lockstep_store(struct vcpu *v, u8 *host, unsigned size)
{
	struct lockstep *l = v->lockstep;
	struct store *s;
	if (!l->dry)
		return;
	if (l->stores == STORES_MAX || l->bytes + size > BYTES_MAX)
		lockstep_no_repeat(v);
	s = &l->store[l->stores++];
	*s = (struct store){host, size, l->bytes};
	memcpy(l->old + s->at, host, size);
	l->bytes += size;
}

static void memory_back(struct vcpu *v)
{
	struct lockstep *l = v->lockstep;
	for (u32 i = l->stores; i-- > 0;)
		memcpy(l->store[i].host, l->old + l->store[i].at, l->store[i].size);
	if (l->stores && v->cpu.pte_updates != l->updates)
		tlb_flush_all(&v->cpu); /* a bit may have been set in what was taken back */
	l->updates = v->cpu.pte_updates;
}

static void memory_keep(struct lockstep *l)
{
	for (u32 i = 0; i < l->stores; i++)
		memcpy(l->new + l->store[i].at, l->store[i].host, l->store[i].size);
}

/* --- running --- */

/* Frames of their own: nothing local survives the long jump. */
static noinline int interpret(struct vcpu *v, const struct block *b)
{
	struct cpu *c = &v->cpu;
	const struct insn *in = b->insn, *end = in + b->retired;
	if (__builtin_setjmp(c->jb))
		return v->cpu.jump;
	c->blk_rip = b->rip;
	do {
		c->cur = in;
		in->fn(c, in);
	} while (++in != end);
	if (!(insn_forms[c->cur->form].attr & IA_END))
		c->rip = cpu_next_rip(c, c->cur);
	return 0;
}

static noinline int run_translated(struct vcpu *v, struct tblock *t, enum trans_exit *why)
{
	if (__builtin_setjmp(v->cpu.jb)) {
		v->lockstep->filling = false;
		return v->cpu.jump;
	}
	*why = trans_run(v, t);
	return 0;
}

/* It left in the middle of a LOCKed access. */
static void world_on(struct cpu *c)
{
	if (c->world)
		c->ops->world_start(c);
	c->world = false;
}

/* The interpreted run, taken back; events are held back meanwhile and returned. */
static u32 run_dry(struct vcpu *v, const struct block *b)
{
	const u32 own = EV_SHADOW | EV_TRAP | EV_STOP | EV_NMI | EV_INTR;
	struct lockstep *l = v->lockstep;
	struct cpu *c = &v->cpu;
	u32 ev;
	l->stores = l->bytes = 0;
	l->updates = c->pte_updates;
	image_take(&l->before, c);
	l->dry = true;
	l->how = interpret(v, b);
	l->dry = false;
	world_on(c);
	if (l->how)
		c->rip = cpu_insn_rip(c);
	memory_keep(l);
	memory_back(v);
	image_take(&l->want, c);
	image_put(&l->before, c);
	ev = __atomic_fetch_and(&c->event, ~own, __ATOMIC_SEQ_CST) & own;
	return ev & EV_INTR; /* perhaps not from this run */
}

/* --- comparing --- */

static u64 flags_of(u8 bits)
{
	static const u16 fl[] = {FL_CF, FL_PF, FL_AF, FL_ZF, FL_SF, FL_OF};
	u64 v = 0;
	for (unsigned i = 0; i < 6; i++)
		v |= bits >> i & 1 ? fl[i] : 0;
	return v;
}

/* Shifts and rotates: what the table cannot say, since it depends on the count (SDM 2). Rather too
 * many: the differential test looks closer. */
static u8 shift_undefined(const struct insn *in)
{
	const struct insn_form *f = &insn_forms[in->form];
	const u8 cf = 1, af = 4, of = 32;
	if (f->map == 0 && ((f->opcode & 0xfe) == 0xc0 || (f->opcode & 0xfc) == 0xd0))
		return in->osz < 4 ? cf | af | of : af | of;
	if (f->map == 1 && (f->opcode & 0xf6) == 0xa4)
		return in->osz < 4 ? 0x3f : af | of;
	return 0;
}

/* Flags that may be anything after the first n instructions; `fault`: before the last of them. */
static u64 flags_free(const struct block *b, unsigned n, bool fault)
{
	u8 undefined = 0, live = 0x3f;
	for (unsigned i = 0; i + fault < n; i++) {
		const struct insn_form *f = &insn_forms[b->insn[i].form];
		u8 shift = shift_undefined(&b->insn[i]);
		undefined =
			shift ? undefined | shift : (u8)((undefined & ~f->fl_write) | f->fl_undef);
	}
	if (fault) {
		for (unsigned i = b->retired; i-- >= n;) {
			struct tclass t = classify(&b->insn[i], b->mode);
			live = (u8)((live & ~t.fl_kill) | t.fl_read);
		}
		undefined |= ~live & 0x3f;
	}
	return flags_of(undefined);
}

bool lockstep_first(const struct block *b, const struct insn *in)
{
	return insn_forms[in->form].map == 0 && (in->opcode == 0x9c || in->opcode == 0x9f) &&
	       flags_free(b, b->count, false);
}

/* Leaves the image's in c. */
static u64 image_flags(struct cpu *c, const struct image *i)
{
	c->fl_res = i->fl_res;
	c->fl_car = i->fl_car;
	c->fl_sx = i->fl_sx;
	return fl_status(c) | i->rflags;
}

struct check {
	char *text;
	size_t left;
	bool same;
};

static void differs(struct check *k, const char *what, unsigned index, u64 want, u64 got)
{
	int n;
	k->same = false;
	n = snprintf(k->text, k->left, "; %s%.0u interpreted %llx translated %llx", what, index,
		     (unsigned long long)want, (unsigned long long)got);
	if (n > 0 && (size_t)n < k->left) {
		k->text += n;
		k->left -= (size_t)n;
	}
}

static void check_number(struct check *k, const char *what, unsigned index, u64 want, u64 got)
{
	if (unlikely(want != got))
		differs(k, what, index, want, got);
}

static void check_bytes(struct check *k, const char *what, const void *want, const void *got,
			size_t size)
{
	const u8 *a = want, *b = got;
	if (likely(!memcmp(a, b, size)))
		return;
	for (size_t i = 0; i < size; i++)
		if (a[i] != b[i]) {
			differs(k, what, (unsigned)i, a[i], b[i]);
			return;
		}
}

/* Padding differs for no reason. */
static void tidy(struct cpu_state *s)
{
	struct cpu_segment seg;
	struct cpu_dtable table;
	for (unsigned i = 0; i < S_COUNT; i++) {
		memset(&seg, 0, sizeof(seg));
		seg.base = s->seg[i].base;
		seg.limit = s->seg[i].limit;
		seg.ar = s->seg[i].ar;
		seg.sel = s->seg[i].sel;
		memcpy(&s->seg[i], &seg, sizeof(seg));
	}
	for (unsigned i = 0; i < 2; i++) {
		struct cpu_dtable *t = i ? &s->idt : &s->gdt;
		memset(&table, 0, sizeof(table));
		table.base = t->base;
		table.limit = t->limit;
		memcpy(t, &table, sizeof(table));
	}
}

static void check_state(struct check *k, struct image *a, struct image *b)
{
	for (unsigned i = 0; i < 16; i++)
		check_number(k, "r", i, a->r[i], b->r[i]);
	check_number(k, "rip", 0, a->rip, b->rip);
	check_number(k, "mode", 0, a->mode, b->mode);
	check_number(k, "cpl", 0, a->cpl, b->cpl);
	check_number(k, "shadow", 0, a->shadow, b->shadow);
	check_bytes(k, "segment base at ", a->seg_base, b->seg_base, sizeof(a->seg_base));
	if (likely(!memcmp(&a->s, &b->s, sizeof(a->s))))
		return;
	tidy(&a->s);
	tidy(&b->s);
	check_bytes(k, "ymm at ", a->s.ymm, b->s.ymm, sizeof(a->s.ymm));
	check_bytes(k, "x87 at ", &a->s.fpu, &b->s.fpu, sizeof(a->s.fpu));
	check_bytes(k, "state at ", &a->s, &b->s, sizeof(a->s));
}

static bool same(struct vcpu *v, const struct block *b, int how, char *text, size_t size)
{
	struct lockstep *l = v->lockstep;
	struct cpu *c = &v->cpu;
	struct check k = {text, size, true};
	unsigned n = b->retired;
	u64 seen;
	bool fault = how == CPU_JMP_EXCEPTION;
	text[0] = 0;
	if (how)
		c->rip = cpu_insn_rip(c);
	image_take(&l->got, c);
	check_number(&k, "end", 0, (u64)l->how, (u64)how);
	if (fault && l->how == how) {
		check_number(&k, "vector", 0, l->want.exc.vector, l->got.exc.vector);
		check_number(&k, "error", 0, l->want.exc.error, l->got.exc.error);
		check_number(&k, "cr2", 0, l->want.exc.cr2, l->got.exc.cr2);
	}
	if (how)
		for (n = 1; n < b->retired && b->rip + b->insn[n].off <= c->rip; n++)
			;
	seen = ~flags_free(b, n, how != 0);
	check_number(&k, "flags", 0, image_flags(c, &l->want) & seen,
		     image_flags(c, &l->got) & seen);
	check_state(&k, &l->want, &l->got);
	for (u32 i = 0; i < l->stores; i++)
		check_bytes(&k, "memory at ", l->new + l->store[i].at, l->store[i].host,
			    l->store[i].size);
	return k.same;
}

/* --- a block --- */

static void take_back(struct vcpu *v)
{
	world_on(&v->cpu);
	memory_back(v);
	image_put(&v->lockstep->before, &v->cpu);
	__atomic_fetch_and(&v->cpu.event, ~(EV_SHADOW | EV_TRAP | EV_STOP | EV_NMI),
			   __ATOMIC_SEQ_CST);
}

static int leave_both(struct vcpu *v, void *const *jb, u32 ev)
{
	memcpy(v->cpu.jb, jb, sizeof(v->cpu.jb));
	cpu_event(&v->cpu, ev);
	return -1;
}

/* 1: compared and the same, 0: differs (text says how), -1: not compared, interpreted or not run;
 * what the guest does is done. */
static int both(struct vcpu *v, struct block *b, struct tblock *t, char *text, size_t size)
{
	struct lockstep *l = v->lockstep;
	struct cpu *c = &v->cpu;
	enum trans_exit why = TX_BODY;
	void *jb[5];
	int how, r;
	u32 ev;
	memcpy(jb, c->jb, sizeof(jb));
	ev = run_dry(v, b);
	if (l->how == CPU_JMP_NO_REPEAT) {
		v->block = b;
		how = interpret(v, b);
		v->block = NULL;
		c->insns += how ? 0 : b->retired;
		v->trans->uncompared++;
		r = -1;
	} else {
		how = run_translated(v, t, &why);
		if (!how && why == TX_PLAIN) { /* from the start, not from where it stopped */
			take_back(v);
			v->plain = NULL;
			t = trans_whole(v, b);
			if (!t)
				return leave_both(v, jb, ev);
			how = run_translated(v, t, &why);
		}
		if (!how && why == TX_EVENT)
			r = -1;
		else
			r = same(v, b, how, text, size);
	}
	memcpy(c->jb, jb, sizeof(jb));
	cpu_event(c, ev);
	if (r && how)
		interp_landed(c);
	if (r == 1)
		v->trans->compared++;
	return r;
}

/* The shortest part of the block that differs. */
static void narrow(struct vcpu *v, const struct block *b, struct tblock *t, char *text, size_t size)
{
	size_t bytes = sizeof(*b) + b->count * sizeof(struct insn);
	const u8 *raw = block_bytes(v, b);
	char code[48] = "", part_text[400];
	struct block *part = malloc(bytes);
	const struct insn *in;
	u16 n = 1;
	for (; part && n < b->retired; n++) {
		struct tblock *part_t;
		memcpy(part, b, bytes);
		part->count = part->retired = n;
		part->bytes = b->insn[n].off;
		part_t = translate(v, part, t->page, raw, true, NULL);
		if (part_t && !both(v, part, part_t, part_text, sizeof(part_text))) {
			snprintf(text, size, "%s", part_text);
			break;
		}
		take_back(v);
	}
	free(part);
	in = &b->insn[n - 1];
	for (unsigned i = 0; i < in->len; i++)
		snprintf(code + i * 3, sizeof(code) - i * 3, " %02x", raw[in->off + i]);
	FAIL(-EIO, "lockstep: %s at %llx, instruction %u of %u, bytes%s%s",
	     insn_forms[in->form].name, (unsigned long long)(b->rip + in->off), n, b->retired, code,
	     text);
}

bool lockstep_run(struct vcpu *v, struct block *b, struct tblock *t)
{
	char text[400];
	for (unsigned i = 0; i < ATTEMPTS; i++) {
		if (both(v, b, t, text, sizeof(text)))
			return true;
		take_back(v);
	}
	narrow(v, b, t, text, sizeof(text));
	return false;
}

int lockstep_open(struct vcpu *v)
{
	v->lockstep = calloc(1, sizeof(*v->lockstep));
	return v->lockstep ? 0 : FAIL(-ENOMEM, "out of memory for lockstep");
}

void lockstep_close(struct vcpu *v)
{
	free(v->lockstep);
	v->lockstep = NULL;
}
