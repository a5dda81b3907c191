/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache: the translated code of a vCPU: pages, blocks, what leads from one to the other, and how
 * they go when the guest's code changes or the room is used up.
 *
 * Context: owner.
 */
#include <cpuid.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu/flags.h"
#include "cpu/insn_forms.h"
#include "engine/soft/impl.h"
#include "engine/soft/trans/layout.h"
#include "host/fail.h"

#define ROOM	    65536u /* what a block may take */
#define BLOCK_LEAST 128u   /* bytes of code and record */
#define STORE_FIRST 16u	   /* 0 is no place in it */
#define DESC_FIRST  4096u  /* 0: code that nobody knows */

/* --- open, close --- */

static void *reserve(u64 bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void release(void *p, u64 bytes)
{
	if (p)
		munmap(p, bytes);
}

void trans_close_cache(struct engine *e)
{
	struct tcache *k = e->cache;
	if (!k)
		return;
	release(k->rw, k->size);
	release(k->rx, k->size);
	release(k->store, k->size);
	release(k->desc, DESC_BYTES);
	pthread_mutex_destroy(&k->lock);
	free(k->order);
	free(k->check);
	free(k);
	e->cache = NULL;
}

static int cache_open(struct engine *e)
{
	struct tcache *k = calloc(1, sizeof(*k));
	int err;
	if (!k)
		return FAIL(-ENOMEM, "out of memory");
	e->cache = k;
	pthread_mutex_init(&k->lock, NULL);
	k->most = e->cache_most ? e->cache_most : trans_usual(e->cpus);
	k->size = (u32)k->most;
	k->store_used = STORE_FIRST;
	k->store = reserve(k->size);
	k->desc = reserve(DESC_BYTES);
	k->desc_used = DESC_FIRST;
	k->order_size = k->size / BLOCK_LEAST;
	k->order = malloc(k->order_size * sizeof(struct tblock *));
	if (!k->store || !k->desc || !k->order)
		return FAIL(-ENOMEM, "out of memory for the translator");
	madvise(k->desc, DESC_BYTES, MADV_NOHUGEPAGE);
	err = trans_memory(k->size, &k->rw, &k->rx);
	if (err)
		return FAIL(-EPERM,
			    "the host lets no memory be executed (memfd): %s; use translate=off",
			    strerror(-err));
	if (e->board && e->board->clock.use_tsc)
		k->host_tsc = &e->board->clock;
	stubs_build(k);
	return 0;
}

int trans_open(struct vcpu *v)
{
	struct engine *e = v->engine;
	struct trans *x;
	int err;
	if (!e_host_can())
		return FAIL(-ENOSYS, "the host's CPU has no BMI1 or BMI2; use translate=off");
	x = calloc(1, sizeof(*x));
	if (!x)
		return FAIL(-ENOMEM, "out of memory");
	v->trans = x;
	err = e->cache ? 0 : cache_open(e);
	x->k = e->cache;
	if (!err)
		err = table_open(v);
	if (!err && e->lockstep)
		err = lockstep_open(v);
	if (err)
		return err;
	v->native_gen = x->k->gen;
	v->hot.mask = 0xfffffffff000ull;
	v->hot.low = 0xfff;
	v->hot.self = (u64)v;
	v->hot.desc = (u64)x->k->desc;
	v->hot.code = (u64)(x->k->rx + (x->k->unknown - x->k->rw));
	v->hot.code_saved = v->hot.code + ENTRY_GAP;
	return 0;
}

void trans_rest(struct vcpu *v)
{
	v->resting = v->trans; /* others may still look at its counters */
	__atomic_store_n(&v->trans, NULL, __ATOMIC_RELEASE);
	v->plain = NULL;
	v->link = NULL;
}

void trans_close(struct vcpu *v)
{
	if (v->resting)
		v->trans = v->resting;
	v->resting = NULL;
	if (!v->trans)
		return;
	lockstep_close(v);
	table_close(v);
	free(v->trans);
	v->trans = NULL;
}

/* --- emptying it --- */

static void cache_reset(struct tcache *k)
{
	memset(k->hash, 0, sizeof(k->hash));
	memset(k->frame, 0, sizeof(k->frame));
	madvise(k->desc, DESC_BYTES, MADV_DONTNEED);
	k->desc_used = DESC_FIRST;
	k->desc_pages = 0;
	k->used_peak = (u32)max_u64(k->used, k->used_peak);
	k->store_peak = (u32)max_u64(k->store_used, k->store_peak);
	k->used = k->stubs;
	__atomic_store_n(&k->ordered, 0, __ATOMIC_RELEASE);
	k->store_used = STORE_FIRST;
	k->slot_next[0] = k->slot_next[1] = 0;
	k->resets++;
	k->full = false;
	__atomic_store_n(&k->gen, k->gen + 1, __ATOMIC_RELEASE);
}

void trans_reset(struct vcpu *v)
{
	cache_reset(v->trans->k);
}

/* What this vCPU knows of the cache is of a generation that is gone. */
static void forget(struct vcpu *v)
{
	unsigned a, b, c, d;
	v->native_gen = __atomic_load_n(&v->trans->k->gen, __ATOMIC_ACQUIRE);
	table_flush(v, true);
	v->link = NULL;
	v->plain = NULL;
	__cpuid(0, a, b, c, d); /* other instructions may be where it has run some before */
}

/* One of those who ask does it, while all others are parked. Who was parked inside goes on first:
 * it waits for its turn with a LOCKed access. */
static void empty(struct vcpu *v)
{
	struct engine *e = v->engine;
	bool inside = false;
	world_stop(v);
	for (unsigned i = 0; i < e->cpus; i++)
		inside |= e->vcpu[i] && e->vcpu[i] != v && e->vcpu[i]->inside;
	if (!inside && e->cache->full)
		cache_reset(e->cache);
	world_start(v);
	if (inside)
		sched_yield();
}

bool trans_enter(struct vcpu *v)
{
	const struct tcache *k = v->trans->k;
	if (unlikely(__atomic_load_n(&k->full, __ATOMIC_RELAXED))) {
		empty(v);
		return false;
	}
	if (unlikely(v->native_gen != __atomic_load_n(&k->gen, __ATOMIC_ACQUIRE)))
		forget(v);
	v->inside = true;
	return true;
}

/* --- pages --- */

static struct tpage **page_slot(struct tcache *k, gpa_t gpa, u64 rip)
{
	/* the two differ by the same for all of a kernel's pages */
	return &k->hash[((gpa >> 12) + (rip >> 12) * 3 + (rip >> 24)) % TRANS_HASH];
}

static struct tpage **frame_slot(struct tcache *k, const struct soft_page *info)
{
	return &k->frame[(u64)info / sizeof(*info) % TRANS_HASH];
}

static struct tpage *page_known(struct tcache *k, const struct block *b)
{
	u64 rip = b->rip & ~0xfffull;
	gpa_t gpa = b->gpa & ~0xfffull;
	struct tpage *p;
	for (p = *page_slot(k, gpa, rip); p; p = p->chain)
		if (p->gpa == gpa && p->rip == rip && p->mode == b->mode)
			break;
	return p;
}

struct tpage *trans_page(struct tcache *k, const struct block *b)
{
	u64 rip = b->rip & ~0xfffull;
	gpa_t gpa = b->gpa & ~0xfffull;
	struct tpage **slot = page_slot(k, gpa, rip), *p = page_known(k, b);
	u32 need = (sizeof(*p) + 15) & ~15u;
	if (p)
		return p;
	if (k->store_used + need > k->size || k->desc_used + 4096 > BIT64(28))
		return NULL;
	p = (struct tpage *)(void *)(k->store + k->store_used);
	k->store_used += need;
	*p = (struct tpage){
		.chain = *slot, .info = b->page, .rip = rip, .gpa = gpa, .mode = b->mode};
	p->desc = k->desc_used;
	k->desc_used += 4096;
	*slot = p;
	slot = frame_slot(k, b->page);
	p->of_frame = *slot;
	*slot = p;
	return p;
}

void trans_rel32(u8 *at, const u8 *to)
{
	__atomic_store_n((u32 *)(void *)at, (u32)(to - (at + 4)), __ATOMIC_RELAXED);
}

static void unlink_in(struct tblock *t)
{
	for (struct tlink *l = t->in; l; l = l->next) {
		const u8 *start = from_of(l)->start;
		trans_rel32((u8 *)start + l->rel, start + l->stub);
		l->to = NULL;
	}
	t->in = NULL;
}

static void unlink_out(struct tblock *t)
{
	for (unsigned i = 0; i < 2; i++) {
		struct tlink *l = &t->out[i], **p;
		if (!l->to)
			continue;
		for (p = &l->to->in; *p != l; p = &(*p)->next)
			;
		*p = l->next;
		l->to = NULL;
	}
}

/* What an indirect branch to t finds. */
static void desc_set(struct tcache *k, const struct tblock *t, bool known)
{
	u32 *d = k->desc + t->page->desc + (t->block_rip & 0xfff);
	u8 bit = (u8)(1u << (t->block_rip >> 10 & 3)); /* 1024 of them are a page */
	if (!(t->page->described & bit))
		k->desc_pages++;
	t->page->described |= bit;
	/* all of the block is there when others find it */
	__atomic_store_n(d, known ? (u32)(t->start + t->code_saved - k->unknown_saved) : 0,
			 __ATOMIC_RELEASE);
}

void trans_drop(struct vcpu *v, struct tblock *t)
{
	if (t->dropped) /* what is found at its address now may be another one */
		return;
	if (unlikely(v->engine->traced))
		trace_drop(v, t);
	desc_set(v->trans->k, t, false);
	unlink_in(t);
	unlink_out(t);
	t->dropped = true;
}

static void page_drop(struct vcpu *v, struct tpage *p)
{
	for (struct tblock *t = p->blocks; t; t = t->sibling)
		trans_drop(v, t);
	for (struct tblock *t = p->cross; t; t = t->cross_next)
		trans_drop(v, t);
	p->blocks = p->cross = NULL;
}

void trans_changed(struct vcpu *v)
{
	struct tcache *k = v->trans->k;
	struct engine *e = v->engine;
	u64 head, first;
	pthread_mutex_lock(&k->lock);
	head = __atomic_load_n(&e->changes, __ATOMIC_SEQ_CST);
	first = k->changed_seen;
	for (; k->changed_seen != head && head - first <= CHANGES; k->changed_seen++) {
		const struct soft_page *page =
			__atomic_load_n(&e->changed[k->changed_seen % CHANGES], __ATOMIC_SEQ_CST);
		for (struct tpage *p = *frame_slot(k, page); p; p = p->of_frame)
			if (p->info == page && (p->blocks || p->cross))
				page_drop(v, p);
	}
	/* the ring may have turned while it was read; one more may be written, not yet counted */
	if (__atomic_load_n(&e->changes, __ATOMIC_SEQ_CST) + 1 - first > CHANGES)
		__atomic_store_n(&k->full, true, __ATOMIC_RELAXED);
	__atomic_store_n(&k->changed_seen, head, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&k->lock);
	v->trans->changed_seen = head;
	v->link = NULL;
}

/* --- blocks --- */

const u8 *block_bytes(struct vcpu *v, const struct block *b)
{
	const struct soft_slot *s = soft_slot_find(v->engine, b->gpa);
	return s->host + (b->gpa - s->gpa);
}

void trans_known(struct tcache *k, struct tpage *p, struct tblock *t)
{
	t->sibling = p->blocks;
	p->blocks = t;
	k->order[k->ordered] = t;
	__atomic_store_n(&k->ordered, k->ordered + 1, __ATOMIC_RELEASE);
	if (!t->plain)
		desc_set(k, t, true);
}

struct tblock *trans_of(const struct tcache *k, const void *at)
{
	u32 lo = 0, hi = __atomic_load_n(&k->ordered, __ATOMIC_ACQUIRE);
	while (hi - lo > 1) {
		u32 mid = (lo + hi) / 2;
		if ((const u8 *)k->order[mid] <= (const u8 *)at)
			lo = mid;
		else
			hi = mid;
	}
	return k->order[lo];
}

struct tblock *trans_with(const struct tcache *k, const u8 *code)
{
	u32 lo = 0, hi = __atomic_load_n(&k->ordered, __ATOMIC_ACQUIRE);
	if (!hi)
		return NULL;
	while (hi - lo > 1) {
		u32 mid = (lo + hi) / 2;
		if (k->order[mid]->start <= code)
			lo = mid;
		else
			hi = mid;
	}
	return k->order[lo];
}

bool trans_stale(const struct vcpu *v)
{
	return __atomic_load_n(&v->engine->changes, __ATOMIC_RELAXED) != v->trans->changed_seen;
}

struct tabled *trans_tabled_of(struct tcache *k, u64 rip)
{
	return &k->tabled[(rip ^ rip >> 12) % TRANS_TABLED];
}

u64 trans_tabled(struct tcache *k, u64 rip, u32 mode)
{
	const struct tabled *t = trans_tabled_of(k, rip);
	return t->rip == rip && t->mode == mode ? t->which : 0;
}

/* Translated and found by its page; NULL if it cannot be, or changed meanwhile, or there is no room
 * now. Under the lock. */
static struct tblock *make(struct vcpu *v, struct block *b, bool plain)
{
	struct tcache *k = v->trans->k;
	struct tpage *p;
	struct tblock *t;
	if (!trans_room(v))
		return NULL;
	p = trans_page(k, b);
	t = p ? translate(v, b, p, block_bytes(v, b), plain, NULL) : NULL;
	/* the bytes were read after the decoder's: the same only if nobody wrote since */
	if (!t || __atomic_load_n(&b->page->ver, __ATOMIC_SEQ_CST) != b->ver) {
		b->untranslated = !t && !k->stale;
		return NULL;
	}
	if (t->second) {
		t->cross_next = t->second->cross;
		t->second->cross = t;
	}
	trans_known(k, p, t);
	return t;
}

bool trans_room(struct vcpu *v)
{
	struct tcache *k = v->trans->k;
	u64 taken = k->used + k->store_used + (u64)k->desc_pages * RAM_PAGE;
	if (taken + ROOM < k->most && k->ordered < k->order_size &&
	    k->desc_used + 8192 < DESC_BYTES / 4)
		return true;
	__atomic_store_n(&k->full, true, __ATOMIC_RELAXED);
	return false;
}

static bool good(const struct vcpu *v, const struct tblock *t, u64 gen)
{
	return likely(t && gen == v->native_gen && v->cpu.flat &&
		      !__atomic_load_n(&t->dropped, __ATOMIC_RELAXED));
}

/* trans_whole() under the lock. */
static struct tblock *whole(struct vcpu *v, struct block *b)
{
	if (good(v, b->plain, b->plain_gen))
		return b->plain;
	if (!good(v, b->native, b->native_gen) || !b->trusted)
		return NULL;
	b->plain = make(v, b, true);
	b->plain_gen = v->native_gen;
	return b->plain;
}

struct tblock *trans_whole(struct vcpu *v, struct block *b)
{
	struct tcache *k = v->trans->k;
	struct tblock *t;
	if (good(v, b->plain, b->plain_gen))
		return b->plain;
	pthread_mutex_lock(&k->lock);
	t = whole(v, b);
	pthread_mutex_unlock(&k->lock);
	return t;
}

/* Is its instruction the one at b's start, in the same page under the same address and mode?
 * Between its asking and now an interrupt may have led anywhere. */
static bool starts_at(struct tcache *k, const struct block *b, const struct tguard *g)
{
	const struct tpage *p = page_known(k, b);
	if (!p || g->ti->rip != b->rip)
		return false;
	for (const struct tblock *t = p->blocks; t; t = t->sibling)
		if (g >= guards_of(t) && g < guards_of(t) + t->guards)
			return true;
	return false;
}

struct tblock *trans_plain(struct vcpu *v, struct block *b, struct tblock *otherwise)
{
	struct tcache *k = v->trans->k;
	struct tguard *from = v->plain;
	struct tblock *t = otherwise;
	v->plain = NULL;
	if (!otherwise)
		return NULL;
	pthread_mutex_lock(&k->lock);
	if (starts_at(k, b, from)) {
		t = whole(v, b);
		if (t)
			__atomic_store_n(&from->plain, k->rx + (t->start - k->rw) + t->code_saved,
					 __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&k->lock);
	return t;
}

/* The translation of what b was decoded from, if there is one: by another vCPU, or before the
 * decoder's store was emptied. Under the lock. */
static struct tblock *made_before(struct vcpu *v, const struct block *b)
{
	struct tcache *k = v->trans->k;
	const struct tpage *p = page_known(k, b);
	u32 code = p ? k->desc[p->desc + (b->rip & 0xfff)] : 0;
	struct tblock *t;
	if (!code || __atomic_load_n(&v->engine->changes, __ATOMIC_SEQ_CST) != k->changed_seen)
		return NULL;
	t = trans_with(k, k->unknown_saved + code);
	return t && t->page == p && t->block_rip == b->rip && !t->dropped ? t : NULL;
}

struct tblock *trans_block(struct vcpu *v, struct block *b)
{
	struct tcache *k = v->trans->k;
	struct tblock *t = b->native;
	if (good(v, t, b->native_gen))
		return t;
	if (!code_known(&v->cpu, b->rip) || b->untranslated || b->mode & MODE_STEP || !b->trusted)
		return NULL;
	pthread_mutex_lock(&k->lock);
	t = made_before(v, b);
	if (!t && ++b->runs >= v->engine->hot_runs)
		t = make(v, b, false);
	pthread_mutex_unlock(&k->lock);
	b->native = t;
	b->native_gen = v->native_gen;
	return t;
}
