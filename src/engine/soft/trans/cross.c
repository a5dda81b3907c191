/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cross: an instruction whose bytes lie in two pages: a translated block of its own.
 *
 * The decoder's blocks end before such an instruction, which the interpreter fetches anew each
 * time. Once it is hot, it becomes a block of its first page; the second page drops it, too, when
 * its code changes, and at its head stands a comparison: the second page must still be mapped to
 * what the bytes came from (its entry in the code table), or C looks again.
 *
 * Context: owner.
 */
#include <string.h>

#include "cpu/interp.h"
#include "cpu/mem.h"
#include "engine/soft/impl.h"

static struct cross *slot(struct trans *x, u64 rip)
{
	return &x->cross[(rip >> 12 ^ rip >> 24) % TRANS_CROSS];
}

/* A block of the first page, as translate() wants it. */
struct one {
	u64 space[(sizeof(struct block) + 2 * sizeof(struct insn)) / 8 + 1];
	u8 raw[16];
};

static struct block *block_in(struct one *o)
{
	return (struct block *)(void *)o->space;
}

/* Marks and reads the bytes; false: other vCPUs may still write them unseen, or it is not such an
 * instruction. */
static bool read_one(struct vcpu *v, struct one *o, const struct itlb_entry *first,
		     const struct itlb_entry *second, u32 ver[2])
{
	struct cpu *c = &v->cpu;
	unsigned off = (unsigned)c->rip & 0xfff, n = RAM_PAGE - off;
	struct soft_page *page[2] = {soft_page_of(v->engine, first->gpa),
				     soft_page_of(v->engine, second->gpa)};
	struct block *b = block_in(o);
	struct insn *in = &b->insn[0];
	if (!page[0] || !page[1])
		return false;
	for (unsigned i = 0; i < 2; i++)
		ver[i] = code_version(v, page[i]);
	code_mark(v, page[0], off, n);
	code_mark(v, page[1], 0, 15 - n);
	if (!code_settled(v->engine, page[0]) || !code_settled(v->engine, page[1]))
		return false;
	memset(o, 0, sizeof(*o));
	memcpy(o->raw, first->host + off, n);
	memcpy(o->raw + n, second->host, 15 - n);
	if (insn_decode(in, o->raw, 15, c->rip, c->mode, c->model->features) != INSN_OK ||
	    in->len <= n)
		return false;
	interp_bind(in, c->mode);
	b->rip = c->rip;
	b->gpa = first->gpa | off;
	b->page = page[0];
	b->mode = c->mode;
	b->count = b->retired = 1;
	b->bytes = in->len;
	return true;
}

static struct tblock *make_cross(struct vcpu *v, const struct itlb_entry *first,
				 const struct itlb_entry *second)
{
	struct tcache *x = v->trans->k;
	struct tpage *p, *q;
	struct tblock *t = NULL;
	struct one o;
	struct block *b = block_in(&o), there;
	u32 ver[2];
	if (!read_one(v, &o, first, second, ver))
		return NULL;
	there = (struct block){.rip = (b->rip | 0xfff) + 1,
			       .gpa = second->gpa,
			       .page = soft_page_of(v->engine, second->gpa),
			       .mode = b->mode};
	pthread_mutex_lock(&x->lock);
	if (trans_room(v)) {
		p = trans_page(x, b);
		q = trans_page(x, &there);
		t = p && q ? translate(v, b, p, o.raw, false, q) : NULL;
	}
	if (t && (__atomic_load_n(&b->page->ver, __ATOMIC_SEQ_CST) != ver[0] ||
		  __atomic_load_n(&there.page->ver, __ATOMIC_SEQ_CST) != ver[1]))
		t = NULL;
	if (t) {
		t->cross_next = q->cross;
		q->cross = t;
		trans_known(x, p, t);
	}
	pthread_mutex_unlock(&x->lock);
	return t;
}

struct tblock *trans_cross(struct vcpu *v)
{
	struct trans *x = v->trans;
	struct cpu *c = &v->cpu;
	const struct itlb_entry *first, *second;
	struct itlb_entry one, two;
	struct cross *k = slot(x, c->rip);
	u64 next = (c->rip | 0xfff) + 1;
	bool plain = v->plain != NULL;
	v->plain = NULL;
	if (plain || v->lockstep || c->mode & MODE_STEP || !code_known(c, c->rip) ||
	    (c->rip & 0xfff) < RAM_PAGE - 14 || !canonical(next))
		return NULL;
	if (k->rip != c->rip || k->mode != c->mode || k->gen != v->native_gen) {
		*k = (struct cross){.rip = c->rip, .mode = c->mode, .gen = v->native_gen};
		return NULL;
	}
	if (k->t && k->t->dropped)
		k->t = NULL;
	if (!k->t && ++k->runs < v->engine->hot_runs)
		return NULL;
	/* faults of the fetch point at this RIP; the two may share a place in the TLB */
	c->cur = &c->step_insn;
	c->step_insn.off = 0;
	c->blk_rip = c->rip;
	one = *walk_fetch(c, c->rip);
	first = &one;
	if (!k->t) { /* it may be one that does not cross, at the end of its page */
		interp_fetch(c, &c->step_insn);
		if ((c->rip & 0xfff) + c->step_insn.len <= RAM_PAGE)
			return NULL;
	}
	two = *walk_fetch(c, next);
	second = &two;
	if (!first->host || !second->host)
		return NULL;
	if (k->t && (k->first != first->gpa || k->second != second->gpa))
		k->t = NULL;
	if (!k->t) {
		k->t = make_cross(v, first, second);
		k->first = first->gpa;
		k->second = second->gpa;
		k->gen = v->native_gen; /* there may have been no room */
	}
	if (k->t)
		table_code(v, next, k->t->second->desc);
	return k->t;
}
