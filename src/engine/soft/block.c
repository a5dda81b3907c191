/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block: decoded straight-line runs, one private store per vCPU.
 *
 * Found by RIP through a small direct-mapped cache that any TLB flush empties (by generation), then
 * by guest-physical address through a hash. A block is good while its page's version is the one it
 * was decoded under. The store is bump-allocated; when it is full everything is dropped.
 *
 * Context: owner.
 */
#include <string.h>
#include <sys/mman.h>

#include "cpu/insn_forms.h"
#include "cpu/interp.h"
#include "cpu/mem.h"
#include "engine/soft/impl.h"
#include "host/fail.h"

/* --- pseudo-instructions --- */

/* Closes a block that ends without a control transfer. */
static void block_end(struct cpu *c, const struct insn *in)
{
	c->rip = cpu_next_rip(c, in);
}

/* --- store --- */

int block_open(struct vcpu *v)
{
	void *p;
	v->store_size = v->trans ? BLOCK_STORE_TRANS : BLOCK_STORE;
	p = mmap(NULL, v->store_size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return FAIL(-ENOMEM, "out of memory for decoded code");
	v->store = p;
	block_reset(v);
	return 0;
}

void block_close(struct vcpu *v)
{
	if (v->store)
		munmap(v->store, v->store_size);
	v->store = NULL;
}

void block_reset(struct vcpu *v)
{
	memset(v->hash, 0, sizeof(v->hash));
	if (v->store_used > v->store_peak)
		v->store_peak = v->store_used;
	v->store_used = 0;
	v->jump_gen++;
	v->block = NULL;
}

static u32 hash_bytes(const u8 *p, unsigned n)
{
	u32 h = 2166136261u;
	for (unsigned i = 0; i < n; i++)
		h = (h ^ p[i]) * 16777619u;
	return h;
}

static unsigned hash_index(gpa_t gpa, u32 mode)
{
	return (unsigned)((gpa ^ gpa >> 16 ^ (u64)mode << 9) & (BLOCK_HASH - 1));
}

static struct jump_slot *jump_slot(struct vcpu *v, u64 rip)
{
	return &v->jump[(rip ^ rip >> 12) & (JUMP_CACHE - 1)];
}

/* --- decoding --- */

struct source {
	const u8 *page; /* host address of the page */
	struct soft_page *info;
	unsigned off; /* of the block's first byte */
	gpa_t gpa;
};

/* Adds one instruction; false when the block is complete without it. */
static bool decode_one(struct vcpu *v, struct block *b, const struct source *src, unsigned pos)
{
	struct cpu *c = &v->cpu;
	struct insn *in = &b->insn[b->count];
	unsigned at = src->off + pos, avail = RAM_PAGE - at;
	int r;
	if (!avail)
		return false;
	code_mark(v, src->info, at, 15);
	r = insn_decode(in, src->page + at, avail < 15 ? avail : 15, b->rip + pos, b->mode,
			c->model->features);
	if (r == INSN_MORE)
		return false;
	if (unlikely(v->lockstep) && r == INSN_OK && lockstep_alone(in)) {
		if (b->count)
			return false;
		b->untranslated = true;
	}
	if (unlikely(v->lockstep) && r == INSN_OK && lockstep_first(b, in))
		return false;
	in->off = (u16)pos;
	if (r == INSN_OK)
		interp_bind(in, b->mode);
	else
		in->fn = r == INSN_UD ? interp_ud : interp_gp0;
	b->count++;
	b->bytes = (u16)(pos + in->len);
	/* a body that only raises ends the block, as a control transfer does */
	return r == INSN_OK && !(insn_forms[in->form].attr & IA_END) && !b->untranslated;
}

static void close_block(struct block *b)
{
	struct insn *in = &b->insn[b->count];
	memset(in, 0, sizeof(*in));
	in->fn = block_end;
	in->off = b->bytes;
	b->count++;
}

static bool ends_itself(const struct block *b)
{
	const struct insn *last = &b->insn[b->count - 1];
	return last->fn == interp_ud || last->fn == interp_gp0 || last->fn == interp_nm ||
	       insn_forms[last->form].attr & IA_END;
}

static struct block *block_decode(struct vcpu *v, const struct source *src)
{
	struct cpu *c = &v->cpu;
	const u32 most = sizeof(struct block) + (BLOCK_INSNS + 1) * sizeof(struct insn);
	struct block *b;
	bool more = true;
	if (v->store_used + most > v->store_size) {
		block_reset(v);
		v->block_drops++;
	}
	b = (struct block *)(void *)(v->store + v->store_used);
	memset(b, 0, sizeof(*b));
	b->rip = c->rip;
	b->cs_base = c->seg_base[S_CS];
	b->gpa = src->gpa;
	b->page = src->info;
	b->mode = c->mode;
	b->ver = code_version(v, src->info);
	while (more && b->count < BLOCK_INSNS)
		more = decode_one(v, b, src, b->bytes);
	if (!b->count)
		return NULL;
	b->retired = b->count;
	if (!ends_itself(b))
		close_block(b);
	b->hash = hash_bytes(src->page + src->off, b->bytes);
	v->store_used += (u32)(sizeof(*b) + b->count * sizeof(struct insn) + 15) & ~15u;
	v->block_decodes++;
	return b;
}

/* --- look-up --- */

static bool block_current(const struct block *b)
{
	return likely(b->ver == __atomic_load_n(&b->page->ver, __ATOMIC_ACQUIRE));
}

/* Source unchanged, for a block whose page siblings may still write unseen. */
static bool block_verify(struct vcpu *v, struct block *b)
{
	const struct soft_slot *s = soft_slot_find(v->engine, b->gpa);
	bool settled = code_settled(v->engine, b->page);
	if (hash_bytes(s->host + (b->gpa - s->gpa), b->bytes) != b->hash)
		return false;
	b->trusted = settled;
	return true;
}

static bool block_fits(const struct cpu *c, const struct block *b)
{
	return c->mode & MODE_64 || b->rip + b->bytes - 1 <= c->s.seg[S_CS].limit;
}

static struct block *block_find(struct vcpu *v, gpa_t gpa, u64 rip)
{
	struct cpu *c = &v->cpu;
	struct block **from = &v->hash[hash_index(gpa, c->mode)], *b;
	while ((b = *from) != NULL) {
		if (b->gpa == gpa && !block_current(b)) {
			*from = b->chain; /* never good again */
			continue;
		}
		if (b->gpa == gpa && b->rip == rip && b->mode == c->mode &&
		    b->cs_base == c->seg_base[S_CS])
			return b;
		from = &b->chain;
	}
	return NULL;
}

struct block *block_known(struct vcpu *v, u64 rip)
{
	struct cpu *c = &v->cpu;
	const struct itlb_entry *e = &c->itlb[c->cpl == 3][rip >> 12 & (ITLB_ENTRIES - 1)];
	struct block *b;
	if (!code_known(c, rip) || e->tag != rip >> 12 || !e->host)
		return NULL;
	b = block_find(v, e->gpa | (rip & (RAM_PAGE - 1)), rip);
	return b && b->trusted && block_current(b) ? b : NULL;
}

static struct block *block_slow(struct vcpu *v)
{
	struct cpu *c = &v->cpu;
	u64 la = c->seg_base[S_CS] + c->rip;
	const struct itlb_entry *e;
	struct source src;
	struct block *b;
	unsigned h;
	v->block_lookups++;
	/* faults of the fetch point at this RIP */
	c->cur = &c->step_insn;
	c->step_insn.off = 0;
	c->blk_rip = c->rip;
	if (!(c->mode & MODE_64))
		la = (u32)la;
	else if ((u64)((s64)(la << 16) >> 16) != la)
		cpu_gp0(c);
	e = walk_fetch(c, la);
	if (!e->host)
		return NULL;
	src.off = (unsigned)la & (RAM_PAGE - 1);
	src.gpa = e->gpa | src.off;
	b = block_find(v, src.gpa, c->rip);
	if (!b) {
		src.page = e->host;
		src.info = soft_page_of(v->engine, e->gpa);
		b = block_decode(v, &src);
		if (!b)
			return NULL;
		h = hash_index(src.gpa, c->mode);
		b->chain = v->hash[h];
		v->hash[h] = b;
	}
	return b;
}

struct block *block_at(struct vcpu *v)
{
	struct cpu *c = &v->cpu;
	struct jump_slot *j = jump_slot(v, c->rip);
	struct block *b = j->block;
	if (likely(j->gen == v->jump_gen && b->rip == c->rip && b->mode == c->mode &&
		   b->cs_base == c->seg_base[S_CS] && block_current(b))) {
		if (likely(b->trusted) && likely(c->mode & MODE_64))
			return b;
	} else {
		b = block_slow(v);
		if (!b)
			return NULL;
		j->gen = v->jump_gen;
		j->block = b;
	}
	if (unlikely(!b->trusted) && !block_verify(v, b)) {
		/* changed under us: nothing decoded from this page is good */
		__atomic_fetch_add(&b->page->ver, 1, __ATOMIC_SEQ_CST);
		return NULL;
	}
	return block_fits(c, b) ? b : NULL;
}
