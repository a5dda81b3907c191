/* SPDX-License-Identifier: Apache-2.0 */
/*
 * code: coherence of decoded code with guest memory.
 *
 * A page whose `lines` is not 0 gets no write tag in any TLB, so stores to it come through
 * code_stored(). Decoding marks lines before it reads bytes; a store checks lines after it wrote:
 * one of the two sees the other (both sides use sequentially consistent atomics).
 *
 * When a page becomes a code page, siblings may still hold write tags from before. They are told
 * by EV_FLUSH and answer by epoch_seen; until all have, blocks of the page are not trusted: their
 * source bytes are compared at each entry (block.c). Nobody waits for anybody.
 *
 * Context: any thread for code_stored; owner for the rest.
 */
#include "cpu/mem.h"
#include "engine/soft/impl.h"

struct soft_page *soft_page_of(const struct engine *e, gpa_t gpa)
{
	const struct soft_slot *s = soft_slot_find(e, gpa);
	return s ? &s->pages[(gpa - s->gpa) >> 12] : NULL;
}

static u64 line_mask(unsigned off, u64 len)
{
	unsigned first = off / 64, last = (unsigned)((off + len - 1) / 64);
	return mask64(last + 1) & ~mask64(first);
}

/* Under the lock: between the two steps of code_stored() a block would get the new version and lose
 * its marks. */
u32 code_version(struct vcpu *v, const struct soft_page *page)
{
	u32 ver;

	pthread_mutex_lock(&v->engine->code_lock);
	ver = __atomic_load_n(&page->ver, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&v->engine->code_lock);
	return ver;
}

void code_mark(struct vcpu *v, struct soft_page *page, unsigned off, unsigned len)
{
	struct engine *e = v->engine;
	u64 mask, old;
	if (off + len > RAM_PAGE)
		len = RAM_PAGE - off;
	mask = line_mask(off, len);
	if (likely((__atomic_load_n(&page->lines, __ATOMIC_RELAXED) & mask) == mask))
		return;
	old = __atomic_load_n(&page->lines, __ATOMIC_SEQ_CST);
	while (old) /* a code page already: just more lines of it */
		if (__atomic_compare_exchange_n(&page->lines, &old, old | mask, false,
						__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return;
	/* whoever sees a line sees an epoch that is not settled */
	__atomic_store_n(&page->epoch, ~0ull, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&page->lines, mask, __ATOMIC_SEQ_CST);
	__atomic_store_n(&page->epoch, __atomic_add_fetch(&e->epoch, 1, __ATOMIC_SEQ_CST),
			 __ATOMIC_SEQ_CST);
	tlb_flush_writes(&v->cpu);
	for (unsigned i = 0; i < e->cpus; i++)
		if (e->vcpu[i] && e->vcpu[i] != v)
			cpu_event(&e->vcpu[i]->cpu, EV_FLUSH);
	if (e->cpus == 1)
		__atomic_store_n(&v->epoch_seen, e->epoch, __ATOMIC_SEQ_CST);
	else
		cpu_event(&v->cpu, EV_FLUSH);
}

bool code_hit(const struct engine *e, gpa_t gpa, u64 len)
{
	const struct soft_page *page = soft_page_of(e, gpa);
	u64 mask = line_mask((unsigned)gpa & (RAM_PAGE - 1), len);
	return page && __atomic_load_n(&page->lines, __ATOMIC_SEQ_CST) & mask;
}

bool code_stored(struct engine *e, gpa_t gpa, u64 len)
{
	struct soft_page *page = soft_page_of(e, gpa);
	u64 mask = line_mask((unsigned)gpa & (RAM_PAGE - 1), len);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!page || !(__atomic_load_n(&page->lines, __ATOMIC_SEQ_CST) & mask))
		return false;
	/* in this order: whoever finds no lines finds no block of the old version either */
	pthread_mutex_lock(&e->code_lock);
	__atomic_fetch_add(&page->ver, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&page->lines, 0, __ATOMIC_SEQ_CST);
	e->changed[e->changes % CHANGES] = page;
	__atomic_store_n(&e->changes, e->changes + 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&e->code_lock);
	for (unsigned i = 0; e->hot_runs && i < e->cpus; i++)
		if (e->vcpu[i])
			cpu_event(&e->vcpu[i]->cpu, EV_CODE);
	return true;
}

void code_ack(struct vcpu *v)
{
	u64 now = __atomic_load_n(&v->engine->epoch, __ATOMIC_SEQ_CST);
	tlb_flush_writes(&v->cpu);
	__atomic_store_n(&v->epoch_seen, now, __ATOMIC_SEQ_CST);
}

bool code_settled(const struct engine *e, const struct soft_page *page)
{
	u64 epoch = __atomic_load_n(&page->epoch, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < e->cpus; i++)
		if (e->vcpu[i] &&
		    __atomic_load_n(&e->vcpu[i]->epoch_seen, __ATOMIC_SEQ_CST) < epoch)
			return false;
	return true;
}
