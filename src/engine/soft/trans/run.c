/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run: entering and leaving translated code, links between blocks, invalidation.
 *
 * Context: owner.
 */
#include <asm/prctl.h>
#include <cpuid.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cpu/flags.h"
#include "cpu/insn_forms.h"
#include "cpu/fpu.h"
#include "cpu/interp.h"
#include "cpu/mem.h"
#include "engine/soft/impl.h"
#include "engine/soft/trans/layout.h"
#include "engine/soft/trans/recode.h"
#include "host/fail.h"

#define ROOM	    65536u /* what a block may take */
#define BLOCK_LEAST 128u   /* bytes of code and record */
#define STORE_FIRST 16u	   /* 0 is no place in it */
#define DESC_FIRST  4096u  /* 0: code that nobody knows */
/* A slot that misses more often than once in so many cycles is worse than a lookup. */
#define SLOT_MISSES 256u
#define SLOT_CYCLES 400u

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

/* Others may be about to run it: it lies in one line of the host's cache (leave.c). */
static void set_rel32(u8 *at, const u8 *to)
{
	__atomic_store_n((u32 *)(void *)at, (u32)(to - (at + 4)), __ATOMIC_RELAXED);
}

static void unlink_in(struct tblock *t)
{
	for (struct tlink *l = t->in; l; l = l->next) {
		const u8 *start = from_of(l)->start;
		set_rel32((u8 *)start + l->rel, start + l->stub);
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

static void block_drop(struct vcpu *v, struct tblock *t)
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
		block_drop(v, t);
	for (struct tblock *t = p->cross; t; t = t->cross_next)
		block_drop(v, t);
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

/* Blocks are made one behind the other, in the store as in the cache: the last whose record, or
 * code, begins at or before `at`; NULL: none. */
static struct tblock *block_of(const struct tcache *k, const void *at)
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

static struct tblock *block_with(const struct tcache *k, const u8 *code)
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

/* Was code changed that this vCPU does not know of? */
static bool code_changed(const struct vcpu *v)
{
	return __atomic_load_n(&v->engine->changes, __ATOMIC_RELAXED) != v->trans->changed_seen;
}

static struct tabled *tabled_of(struct tcache *k, u64 rip)
{
	return &k->tabled[(rip ^ rip >> 12) % TRANS_TABLED];
}

u64 trans_tabled(struct tcache *k, u64 rip, u32 mode)
{
	const struct tabled *t = tabled_of(k, rip);
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
	t = block_with(k, k->unknown_saved + code);
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

/* --- running --- */

static u64 image_of(const struct cpu *c)
{
	return (fl_status(c) & 0xd5) << 8 | fl_of(c);
}

static void flags_in(struct cpu *c, u32 image)
{
	fl_set_status(c, (image >> 8 & 0xd5) | (image & 1 ? FL_OF : 0));
}

static void link_to(struct vcpu *v, struct tlink *l, struct tblock *t)
{
	struct tcache *k = v->trans->k;
	struct tblock *from;
	pthread_mutex_lock(&k->lock);
	from = from_of(l);
	if (!l->to && l->target == (t->block_rip & 0xfff) && from->page == t->page &&
	    !from->dropped && !t->dropped) {
		unsigned to = from->vec	 ? l->saved ? t->code_vec_saved : t->code_vec
			      : l->saved ? t->code_saved
					 : t->code;
		l->to = t;
		l->next = t->in;
		t->in = l;
		set_rel32(from->start + l->rel, t->start + to);
		v->trans->links++;
		if (unlikely(v->engine->traced))
			trace_link(v, l, t);
	}
	pthread_mutex_unlock(&k->lock);
}

static void timer_arm(struct vcpu *v)
{
	u64 deadline = lapic_timer_deadline_ns(&v->lapic), now;
	struct itimerspec its = {{0, 0}, {0, 0}};
	if (deadline == v->armed)
		return;
	v->armed = deadline;
	if (deadline != LAPIC_NEVER) {
		now = clock_now(&v->engine->board->clock);
		now = deadline > now ? deadline - now : 1;
		its.it_value.tv_sec = (time_t)(now / 1000000000ull);
		its.it_value.tv_nsec = (long)(now % 1000000000ull);
	}
	timer_settime(v->host_timer, 0, &its, NULL);
}

/* What RDTSC needs: from here to the next body nothing of it changes. */
static void tsc_ready(struct vcpu *v)
{
	const struct clock *clock = v->trans->k->host_tsc;
	u64 here = (u64)&v->hot;
	if (!clock)
		return;
	v->hot.tsc_add = clock->base_guest_tsc - clock->base_tsc + v->tsc_offset;
	v->hot.tsc_gate[0] = here;
	v->hot.tsc_gate[1] = v->cpu.s.cr4 & CR4_TSD ? 0 : here;
}

const struct insn *trans_insn(struct vcpu *v, const struct tinsn *ti)
{
	struct trans *x = v->trans;
	const struct tblock *t;
	const u8 *raw;
	if (ti->copy)
		return (const struct insn *)(const void *)(x->k->store + ti->copy);
	t = block_of(x->k, ti);
	raw = bytes_of(t);
	for (const struct tinsn *i = t->ti; i < ti; i++)
		raw += i->len;
	insn_decode(&x->cur, raw, ti->len, ti->rip, t->page->mode, v->cpu.model->features);
	interp_bind(&x->cur, t->page->mode);
	recode_general(&x->cur, t->page->mode); /* as it was translated */
	x->cur.off = 0;
	return &x->cur;
}

/* Those before ti in its block that nobody has noted. */
static void x87_late(struct vcpu *v, const struct tinsn *ti)
{
	const struct tcache *k = v->trans->k;
	const struct tinsn *first = block_of(k, ti)->ti;
	bool ip = false;
	while (ti-- > first) {
		u32 it = (u32)((const u8 *)ti - k->store);
		if (!(ti->x87 & X87_NOTES))
			continue;
		if (!ip && ti->x87 & X87_LATE_IP)
			v->hot.x87 = it;
		ip = true;
		if (!(trans_insn(v, ti)->pfx & PFX_MEM))
			continue;
		if (ti->x87 & X87_LATE_DP) {
			v->hot.x87_dp = mem_ea(&v->cpu, trans_insn(v, ti));
			v->hot.x87_mem = it;
		}
		break;
	}
}

/* FIP and its like (exec/x87.c: note_insn), if translated code left them to be told, before ti is
 * done (NULL: between blocks). */
static noinline void x87_tell(struct vcpu *v, const struct tinsn *ti)
{
	struct cpu *c = &v->cpu;
	const u8 *store = v->trans->k->store;
	const struct insn *in;
	if (ti && ti->x87 & X87_BEFORE)
		x87_late(v, ti);
	if (v->hot.x87_mem) {
		in = trans_insn(v, (const struct tinsn *)(const void *)(store + v->hot.x87_mem));
		c->x87_dp = v->hot.x87_dp;
		c->x87_ds = c->s.seg[in->seg].sel;
		v->hot.x87_mem = 0;
	}
	if (v->hot.x87) {
		ti = (const struct tinsn *)(const void *)(store + v->hot.x87);
		in = trans_insn(v, ti);
		c->x87_rip = ti->rip;
		c->x87_cs = c->s.seg[S_CS].sel;
		c->x87_op = (u16)((in->opcode & 7u) << 8 | in->modrm);
		v->hot.x87 = 0;
	}
}

static always_inline void x87_pointers(struct vcpu *v, const struct tinsn *ti)
{
	if (unlikely(v->hot.x87 | v->hot.x87_mem || (ti && ti->x87 & X87_BEFORE)))
		x87_tell(v, ti);
}

/* 32-bit code adds its registers as numbers of 64 bits: whatever bodies do to the upper halves,
 * that must not lead it out of its pages. */
static void cut_registers(struct cpu *c)
{
	for (unsigned i = 0; i < 8 && !(c->mode & MODE_64); i++)
		c->r[i] = (u32)c->r[i];
}

enum trans_exit trans_run(struct vcpu *v, struct tblock *t)
{
	struct trans *x = v->trans;
	const struct tcache *k = x->k;
	struct cpu *c = &v->cpu;
	u64 (*enter)(void *, const u8 *);
	enum trans_exit reason;
	if (unlikely(!__atomic_load_n(&c->poll, __ATOMIC_RELAXED))) {
		/* in this order: who sets an event sets it first */
		__atomic_store_n(&c->poll, (u64)&c->event, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&c->event, __ATOMIC_SEQ_CST)) {
			__atomic_store_n(&c->poll, 0, __ATOMIC_SEQ_CST);
			return TX_EVENT;
		}
	}
	table_mode(v);
	cut_registers(c);
	tsc_ready(v);
	if (!v->lockstep)
		table_code(v, c->rip, t->page->desc);
	if (v->link && !v->lockstep)
		link_to(v, v->link, t);
	v->link = NULL;
	timer_arm(v);
	x->entries++;
	v->hot.status = (u32)image_of(c);
	v->hot.simd = 0;
	*(const u8 **)(void *)&enter = k->rx + (k->enter - k->rw);
	reason = (enum trans_exit)enter(&v->hot, k->rx + (t->start - k->rw) + t->code_saved);
	if (reason == TX_BODY)
		return reason;
	x87_pointers(v, NULL);
	flags_in(c, v->hot.status);
	switch (reason) {
	case TX_LINK: v->link = (struct tlink *)v->hot.link; break;
	case TX_IBL:
		x->ibl_misses++;
		table_looked(v, c->rip);
		break;
	default: break;
	}
	return reason;
}

/* --- what stubs call --- */

/* What raises points at this instruction. */
static void at(struct vcpu *v, const struct tinsn *ti)
{
	struct cpu *c = &v->cpu;
	struct insn *cur = &v->trans->cur;
	x87_pointers(v, ti);
	cur->form = ti->form;
	cur->seg = ti->seg;
	cur->len = ti->len;
	cur->off = 0;
	c->cur = cur;
	c->blk_rip = ti->rip;
}

/* Its body. */
static const struct insn *do_it(struct vcpu *v, const struct tinsn *ti)
{
	struct cpu *c = &v->cpu;
	const struct insn *in;
	x87_pointers(v, ti);
	in = trans_insn(v, ti);
	c->cur = in;
	c->blk_rip = ti->rip - in->off;
	in->fn(c, in);
	return in;
}

/* 1: leave, RIP is set. */
static u64 after_body(struct vcpu *v, const struct tinsn *ti)
{
	struct cpu *c = &v->cpu;
	table_mode(v);
	cut_registers(c);
	if (unlikely(code_changed(v) || !c->flat)) { /* alignment is checked */
		c->rip = ti->rip + ti->len;
		return 1;
	}
	v->hot.status = (u32)image_of(c);
	if (v->hot.simd)
		fpu_need(c);
	return 0;
}

u64 trans_interp(struct vcpu *v, struct tinsn *ti)
{
	flags_in(&v->cpu, v->hot.status);
	do_it(v, ti);
	return after_body(v, ti);
}

/* 1: go on with what is known of RIP. */
u64 trans_interp_end(struct vcpu *v, struct tinsn *ti)
{
	struct cpu *c = &v->cpu;
	flags_in(c, v->hot.status);
	fast_learn(v, do_it(v, ti));
	tsc_ready(v);
	if (v->lockstep || __atomic_load_n(&c->event, __ATOMIC_RELAXED) || c->mode & MODE_STEP ||
	    !code_known(c, c->rip) || code_changed(v))
		return 0;
	table_mode(v);
	cut_registers(c);
	v->hot.status = (u32)image_of(c);
	return 1;
}

/* In 32-bit code: does FS or GS add no more than its base, and lead to all of the operand? */
static bool within_segment(struct vcpu *v, const struct tinsn *ti)
{
	const struct cpu *c = &v->cpu;
	const struct insn *in;
	if (c->mode & MODE_64 || (ti->seg != S_FS && ti->seg != S_GS))
		return true;
	in = trans_insn(v, ti);
	if (!(in->pfx & PFX_MEM))
		return true;
	return c->seg_wide >> in->seg & 1 && mem_ea(c, in) + ti->size - 1 <= 0xffffffffu;
}

u64 trans_miss(struct vcpu *v, u64 insn, u64 va)
{
	struct tinsn *ti = (struct tinsn *)(insn & ~1ull);
	struct cpu *c = &v->cpu;
	bool write = insn & 1;
	enum cpu_view view = (enum cpu_view)(c->view - c->views);
	struct tlb_entry *e = &c->view->e[va >> 12 & (TLB_ENTRIES - 1)];
	unsigned at_end = insn_forms[ti->form].attr & IA_END;
	v->trans->misses++;
	table_looked(v, va);
	flags_in(c, v->hot.status);
	at(v, ti);
	if (canonical(va) && within_segment(v, ti)) {
		lockstep_fill(v, true);
		/* a fault of alignment comes before a page fault: the body knows */
		if ((write ? e->w : e->r) != va >> 12 && !(va & (ti->size - 1u)) &&
		    insn_forms[ti->form].state != IST_X87) /* as #MF does */
			walk_translate(c, va, write ? ACC_WRITE : ACC_READ, view);
		lockstep_fill(v, false);
		if ((write ? e->w : e->r) == va >> 12 && (va & 0xfff) + ti->size <= 0x1000) {
			table_fill(v, va, view);
			if (v->lockstep)
				e->w = TLB_NONE;
			return e->add + 1;
		}
	}
	do_it(v, ti);
	if (at_end)
		return 2;
	return after_body(v, ti) ? 2 : 0;
}

/* The instruction faulted in the host: its body says how the guest sees that. */
u64 trans_fault(struct vcpu *v, struct tinsn *ti)
{
	struct cpu *c = &v->cpu;
	flags_in(c, v->hot.status);
	do_it(v, ti);
	if (!(insn_forms[ti->form].attr & IA_END))
		c->rip = ti->rip + ti->len;
	return 0;
}

/* 0: no window for it: RIP is set, go on without. */
u64 trans_stack(struct vcpu *v, struct tguard *g)
{
	struct cpu *c = &v->cpu;
	unsigned base = g->leave ? R_RBP : R_RSP;
	x87_pointers(v, g->ti);
	table_looked(v, c->r[base]);
	if (table_stack(v, c->r[base] + (u64)(s64)g->lo, g->len))
		return 1;
	c->rip = g->ti->rip;
	v->plain = g;
	return 0;
}

/* The site meets another page all the time: lookups are better there. */
static void table_from_now_on(struct vcpu *v, const struct tinsn *ti)
{
	struct tcache *k = v->trans->k;
	struct tblock *t = block_of(k, ti);
	pthread_mutex_lock(&k->lock);
	if (!t->dropped && !t->plain) {
		u64 known = trans_tabled(k, t->block_rip, t->page->mode);
		*tabled_of(k, t->block_rip) = (struct tabled){
			.rip = t->block_rip,
			.mode = t->page->mode,
			.which = known | BIT64((u64)(ti - t->ti) % (t->count / t->rounds))};
		block_drop(v, t);
	}
	pthread_mutex_unlock(&k->lock);
}

/* The page of a family, from va on, if it may be accessed as all of them will. 0: no window for it:
 * RIP is set, go on without. */
u64 trans_slot(struct vcpu *v, struct tguard *g, u64 va)
{
	const struct tinsn *ti = g->ti;
	struct cpu *c = &v->cpu;
	u64 page = va >> 12, own = va + g->own, now;
	struct tlb_entry *e = &c->view->e[page & (TLB_ENTRIES - 1)];
	v->trans->misses++;
	table_looked(v, va);
	flags_in(c, v->hot.status);
	at(v, ti);
	if (!(c->mode & MODE_64) && va >= LAST_PAGE) { /* the sum is cut */
		table_from_now_on(v, ti);
		goto plain;
	}
	if (!canonical(va) || (va & 0xfff) + g->len > RAM_PAGE)
		goto plain;
	lockstep_fill(v, true);
	/* faults of alignment and #MF come first: the body knows */
	if ((ti->write ? e->w : e->r) != page && !(own & (ti->size - 1u)) &&
	    insn_forms[ti->form].state != IST_X87)
		walk_translate(c, own, ti->write ? ACC_WRITE : ACC_READ,
			       (enum cpu_view)(c->view - c->views));
	lockstep_fill(v, false);
	if ((g->write ? e->w : e->r) != page)
		goto plain;
	table_fill(v, va, (enum cpu_view)(c->view - c->views));
	if (v->lockstep)
		e->w = TLB_NONE;
	table_slot(v, g->slot, va);
	if (!g->left) {
		now = __builtin_ia32_rdtsc();
		if (now - g->stamp < SLOT_MISSES * SLOT_CYCLES)
			table_from_now_on(v, ti);
		g->stamp = now;
		g->left = SLOT_MISSES;
	}
	return 1;
plain:
	c->rip = ti->rip;
	v->plain = g;
	return 0;
}

/* The entry of a family's page, as trans_slot(). 0: RIP is set, go on without. */
u64 trans_family(struct vcpu *v, struct tguard *g, u64 va)
{
	const struct tinsn *ti = g->ti;
	struct cpu *c = &v->cpu;
	enum cpu_view view = (enum cpu_view)(c->view - c->views);
	u64 page = va >> 12, own = va + g->own;
	struct tlb_entry *e = &c->view->e[page & (TLB_ENTRIES - 1)];
	v->trans->misses++;
	table_looked(v, va);
	flags_in(c, v->hot.status);
	at(v, ti);
	if (canonical(va) && (va & 0xfff) + g->len <= RAM_PAGE) {
		lockstep_fill(v, true);
		/* faults of alignment and #MF come first: the body knows */
		if ((ti->write ? e->w : e->r) != page && !(own & (ti->size - 1u)) &&
		    insn_forms[ti->form].state != IST_X87)
			walk_translate(c, own, ti->write ? ACC_WRITE : ACC_READ, view);
		lockstep_fill(v, false);
		if ((g->write ? e->w : e->r) == page) {
			table_fill(v, va, view);
			if (v->lockstep)
				e->w = TLB_NONE;
			return e->add + 1;
		}
	}
	if (!--g->left) /* again and again */
		table_from_now_on(v, ti);
	c->rip = ti->rip;
	v->plain = g;
	return 0;
}

void trans_fpu(struct vcpu *v)
{
	fpu_need(&v->cpu);
}

/* --- the thread --- */

static __thread struct vcpu *self;

bool trans_fixup(u64 *rip, u64 *r10)
{
	const struct tcache *x = self && self->trans ? self->trans->k : NULL;
	u64 off;
	u32 n;
	const struct tblock *t;
	if (!x || *rip - (u64)x->rx >= x->used)
		return false;
	off = *rip - (u64)x->rx;
	if (off >= (u64)(x->ibl - x->rw) && off < (u64)(x->ibl_end - x->rw)) {
		*rip = (u64)(x->rx + (x->unknown - x->rw));
		return true;
	}
	if (off >= (u64)(x->ibl_saved - x->rw) && off < (u64)(x->ibl_saved_end - x->rw)) {
		*rip = (u64)(x->rx + (x->unknown_saved - x->rw));
		return true;
	}
	t = block_with(x, x->rw + off);
	if (!t)
		return false;
	off -= (u64)(t->start - x->rw);
	for (n = t->count; n-- > 0 && t->ti[n].at > off;)
		;
	if (n >= t->count)
		return false;
	*r10 = (u64)&t->ti[n];
	*rip = (u64)(x->rx + ((t->ti[n].saved ? x->fault_saved : x->fault) - x->rw));
	return true;
}

static void on_timer(int number unused_arg)
{
	if (self)
		cpu_event(&self->cpu, EV_TIMER);
}

void trans_signal(void)
{
	struct sigaction action;
	memset(&action, 0, sizeof(action));
	action.sa_handler = on_timer;
	action.sa_flags = SA_RESTART | SA_ONSTACK;
	sigaction(TRANS_SIGNAL, &action, NULL);
}

int trans_thread(struct vcpu *v, const char **lack)
{
	int err;
	if (self == v)
		return 0;
	*lack = "translator-no-timer";
	err = trans_timer(&v->host_timer);
	if (err)
		return FAIL(err, "no timer for a vCPU (ulimit -i?): %s; use translate=off",
			    strerror(-err));
	v->armed = LAPIC_NEVER;
	*lack = "translator-no-gs";
	err = trans_gs((u64)v);
	if (err)
		return FAIL(err, "the host lets no thread set GS: %s; use translate=off",
			    strerror(-err));
	self = v;
	return 0;
}
