/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk: paging: 32-bit, PAE and 4-level walks, and the TLBs they fill. SDM 3A chapter 4.
 *
 * Entered by mem.c's slow paths and the fetch path on the vCPU's thread. Page-table entries are
 * read and their A/D bits set atomically, since other vCPUs walk and write the same tables.
 * Trusts the ops for what is RAM; a table in MMIO space reads as not present.
 */
#include "cpu/mem.h"

struct walk {
	gpa_t gpa;
	bool write, user, nx, global;
	bool accessed, dirty; /* need not be set any more */
	u64 page_size;
};

/* --- one entry --- */

static void *pte_host(struct cpu *c, gpa_t gpa)
{
	u8 *page = c->ops->page(c, gpa & ~0xfffull, NULL);
	return page ? page + (gpa & 0xfff) : NULL;
}

static bool pte_set(struct cpu *c, gpa_t gpa, unsigned size, u64 old, u64 bits)
{
	void *p = pte_host(c, gpa);
	u64 want = old | bits;
	bool ok;
	if ((old & bits) == bits)
		return true;
	c->pte_updates++;
	if (size == 8) {
		ok = __atomic_compare_exchange_n((u64 *)p, &old, want, false, __ATOMIC_SEQ_CST,
						 __ATOMIC_SEQ_CST);
	} else {
		u32 old32 = (u32)old;
		ok = __atomic_compare_exchange_n((u32 *)p, &old32, (u32)want, false,
						 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
	return ok;
}

/* Reserved bits of an 8-byte entry (SDM 3A 4.5.4, tables 4-14..4-19). */
static u64 pte_reserved(const struct cpu *c, unsigned level, bool large)
{
	u64 rsv = mask64(52) & ~mask64(c->model->maxphyaddr);
	if (!(c->s.efer & EFER_NXE))
		rsv |= PTE_NX;
	if (!(c->s.efer & EFER_LMA))
		rsv |= mask64(63) & ~mask64(52);
	if (large)
		rsv |= level == 3 ? 0x3fffe000ull : 0x1fe000ull;
	return rsv;
}

/* --- walks: 0 = ok, -1 = not present, -2 = reserved bit, -3 = lost a race, again --- */

static int walk_pae(struct cpu *c, u64 la, struct walk *w, u64 set)
{
	unsigned level = c->s.efer & EFER_LMA ? 4 : 2;
	gpa_t at[4], table;
	u64 pte[4], size = 0;
	unsigned n = 0;
	w->write = w->user = w->accessed = true;
	w->nx = false;
	if (level == 4) {
		table = c->s.cr3 & 0xffffffffff000ull;
	} else {
		u64 pdpte = c->pdpte[la >> 30 & 3];
		if (!(pdpte & PTE_P))
			return -1;
		table = pdpte & mask64(c->model->maxphyaddr) & ~0xfffull;
	}
	for (;; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		bool large;
		void *p;
		at[n] = table + (la >> shift & 511) * 8;
		p = pte_host(c, at[n]);
		pte[n] = p ? __atomic_load_n((u64 *)p, __ATOMIC_ACQUIRE) : 0;
		if (!(pte[n] & PTE_P))
			return -1;
		large = pte[n] & PTE_PS && level > 1;
		if (large && (level == 4 || (level == 3 && !c->has_1g)))
			return -2;
		if (pte[n] & pte_reserved(c, level, large))
			return -2;
		w->write &= !!(pte[n] & PTE_W);
		w->user &= !!(pte[n] & PTE_U);
		w->nx |= !!(pte[n] & PTE_NX);
		w->accessed &= !!(pte[n] & PTE_A);
		table = pte[n] & 0xffffffffff000ull;
		n++;
		if (level == 1 || large) {
			size = BIT64(shift);
			break;
		}
	}
	w->global = pte[n - 1] & PTE_G && c->s.cr4 & CR4_PGE;
	w->gpa = (table & ~(size - 1)) | (la & (size - 1));
	w->page_size = size;
	w->dirty = (pte[n - 1] | set) & PTE_D;
	if (!set)
		return 0;
	for (unsigned i = 0; i < n; i++)
		if (!pte_set(c, at[i], 8, pte[i], i == n - 1 ? set : PTE_A))
			return -3;
	return 0;
}

static int walk_32(struct cpu *c, u64 la, struct walk *w, u64 set)
{
	gpa_t at[2];
	u32 pte[2];
	void *p;
	unsigned n = 1;
	at[0] = (c->s.cr3 & 0xfffff000ull) + (la >> 22 & 1023) * 4;
	p = pte_host(c, at[0]);
	pte[0] = p ? __atomic_load_n((u32 *)p, __ATOMIC_ACQUIRE) : 0;
	if (!(pte[0] & PTE_P))
		return -1;
	w->write = pte[0] & PTE_W;
	w->user = pte[0] & PTE_U;
	w->nx = false;
	w->accessed = pte[0] & PTE_A;
	if (pte[0] & PTE_PS && c->s.cr4 & CR4_PSE) {
		if (pte[0] & 0x200000u)
			return -2;
		/* PSE-36: bits 20:13 are address bits 39:32 */
		w->gpa = (pte[0] & 0xffc00000ull) | (u64)(pte[0] >> 13 & 0xff) << 32 |
			 (la & 0x3fffff);
		w->page_size = 0x400000;
	} else {
		at[1] = (pte[0] & 0xfffff000ull) + (la >> 12 & 1023) * 4;
		p = pte_host(c, at[1]);
		pte[1] = p ? __atomic_load_n((u32 *)p, __ATOMIC_ACQUIRE) : 0;
		if (!(pte[1] & PTE_P))
			return -1;
		w->write &= !!(pte[1] & PTE_W);
		w->user &= !!(pte[1] & PTE_U);
		w->accessed &= !!(pte[1] & PTE_A);
		w->gpa = (pte[1] & 0xfffff000ull) | (la & 0xfff);
		w->page_size = 0x1000;
		n = 2;
	}
	w->global = pte[n - 1] & PTE_G && c->s.cr4 & CR4_PGE;
	w->dirty = (pte[n - 1] | set) & PTE_D;
	if (!set)
		return 0;
	for (unsigned i = 0; i < n; i++)
		if (!pte_set(c, at[i], 4, pte[i], i == n - 1 ? set : PTE_A))
			return -3;
	return 0;
}

static int walk_any(struct cpu *c, u64 la, struct walk *w, u64 set)
{
	if (!(c->s.cr0 & CR0_PG)) {
		*w = (struct walk){.gpa = (u32)la,
				   .write = true,
				   .user = true,
				   .accessed = true,
				   .dirty = true,
				   .page_size = 0x1000};
		return 0;
	}
	if (c->s.cr4 & CR4_PAE)
		return walk_pae(c, la, w, set);
	return walk_32(c, la, w, set);
}

/* --- permissions (SDM 3A 4.6) --- */

static bool walk_allowed(const struct cpu *c, const struct walk *w, enum cpu_access acc,
			 enum cpu_view view)
{
	if (!(c->s.cr0 & CR0_PG))
		return true;
	if (view == VIEW_USER) {
		if (!w->user || (acc == ACC_WRITE && !w->write))
			return false;
		return acc != ACC_EXEC || !w->nx;
	}
	switch (acc) {
	case ACC_EXEC: return !w->nx && !(w->user && c->s.cr4 & CR4_SMEP);
	case ACC_WRITE:
		if (!w->write && c->s.cr0 & CR0_WP)
			return false;
		break;
	case ACC_READ: break;
	}
	return !(view == VIEW_SMAP && w->user && c->s.cr4 & CR4_SMAP);
}

static bool walk_write_ok(const struct cpu *c, const struct walk *w, enum cpu_view view)
{
	return w->dirty && walk_allowed(c, w, ACC_WRITE, view);
}

static void dropped(struct cpu *c, enum tlb_loss loss, u64 page, u64 pages)
{
	if (c->ops->dropped)
		c->ops->dropped(c, loss, page, pages);
}

static void tlb_drop_page(struct cpu *c, u64 page)
{
	dropped(c, TLB_PAGES, page, 1);
	for (unsigned v = 0; v < VIEW_COUNT; v++) {
		struct tlb_entry *e = &c->views[v].e[page & (TLB_ENTRIES - 1)];
		if (e->r == page)
			e->r = e->w = TLB_NONE;
	}
	for (unsigned v = 0; v < 2; v++) {
		struct itlb_entry *e = &c->itlb[v][page & (ITLB_ENTRIES - 1)];
		if (e->tag == page)
			e->tag = TLB_NONE;
	}
}

static noreturn_fn void walk_fault(struct cpu *c, u64 la, enum cpu_access acc, enum cpu_view view,
				   int why)
{
	u32 err = 0;
	if (why != -1)
		err |= PF_P;
	if (acc == ACC_WRITE)
		err |= PF_W;
	if (view == VIEW_USER)
		err |= PF_U;
	if (why == -2)
		err |= PF_RSV;
	if (acc == ACC_EXEC &&
	    ((c->s.cr4 & CR4_PAE && c->s.efer & EFER_NXE) || c->s.cr4 & CR4_SMEP))
		err |= PF_I;
	/* entries that deny are not cached, and a fault drops what is (SDM 3A 4.10.4.1) */
	tlb_drop_page(c, la >> 12);
	cpu_raise_pf(c, la, err);
}

/* Walks for an access: permission first, then A/D, as one atomic step. */
static void walk_access(struct cpu *c, u64 la, enum cpu_access acc, enum cpu_view view,
			struct walk *w)
{
	int r;
	do {
		r = walk_any(c, la, w, 0);
		if (r < 0)
			walk_fault(c, la, acc, view, r);
		if (!walk_allowed(c, w, acc, view))
			walk_fault(c, la, acc, view, 0);
		if (w->accessed && (acc != ACC_WRITE || w->dirty))
			return;
		r = walk_any(c, la, w, PTE_A | (acc == ACC_WRITE ? PTE_D : 0));
		if (!r && !walk_allowed(c, w, acc, view))
			r = -3;
	} while (r == -3);
	if (r < 0)
		walk_fault(c, la, acc, view, r);
}

/* --- TLB fill --- */

/* A bit for each 2 MiB: many regions share one, so it says "perhaps". */
static unsigned large_bit(u64 la)
{
	return (unsigned)((la >> 21 ^ la >> 33) & 4095);
}

static bool had_large_2m(const struct cpu *c, u64 la)
{
	return c->large_2m[large_bit(la) / 64] >> large_bit(la) % 64 & 1;
}

static void tlb_note_large(struct cpu *c, u64 la, u64 size)
{
	if (size > 0x200000)
		c->large_1g |= BIT64(la >> 30 & 63);
	else if (size > 0x1000)
		c->large_2m[large_bit(la) / 64] |= BIT64(large_bit(la) % 64);
}

static void tlb_log(struct cpu *c, unsigned view, unsigned index, bool global)
{
	if (global)
		return;
	if (c->fills < TLB_LOG)
		c->fill[c->fills] = (u16)(view * TLB_ENTRIES + index);
	if (c->fills <= TLB_LOG)
		c->fills++;
}

static bool breakpoint_page(const struct cpu *c, u64 la)
{
	for (unsigned i = 0; i < 4; i++)
		if (c->s.dr7 >> (i * 2) & 3 && (c->s.dr[i] ^ la) >> 12 == 0)
			return true;
	return false;
}

gpa_t walk_translate(struct cpu *c, u64 la, enum cpu_access acc, enum cpu_view view)
{
	unsigned index = la >> 12 & (TLB_ENTRIES - 1), flags = 0;
	struct tlb_entry *e = &c->views[view].e[index];
	struct walk w;
	u8 *host;
	c->tlb_misses++;
	walk_access(c, la, acc, view, &w);
	host = c->ops->page(c, w.gpa & ~0xfffull, &flags);
	if (!host || (unlikely(c->dr_armed) && breakpoint_page(c, la)))
		return w.gpa;
	e->r = la >> 12;
	e->w = flags & PAGE_WRITABLE && walk_write_ok(c, &w, view) ? la >> 12 : TLB_NONE;
	e->add = (u64)host - (la & ~0xfffull);
	e->global = w.global;
	tlb_log(c, view, index, w.global);
	tlb_note_large(c, la, w.page_size);
	return w.gpa;
}

int walk_peek(struct cpu *c, u64 la, gpa_t *gpa)
{
	struct walk w;
	if (walk_any(c, la, &w, 0) < 0)
		return -1;
	*gpa = w.gpa;
	return 0;
}

const struct itlb_entry *walk_fetch(struct cpu *c, u64 la)
{
	bool user = c->cpl == 3;
	struct itlb_entry *e = &c->itlb[user][la >> 12 & (ITLB_ENTRIES - 1)];
	struct walk w;
	unsigned flags;
	if (likely(e->tag == la >> 12))
		return e;
	walk_access(c, la, ACC_EXEC, user ? VIEW_USER : VIEW_SUPER, &w);
	e->gpa = w.gpa & ~0xfffull;
	e->host = c->ops->page(c, e->gpa, &flags);
	e->tag = e->host ? la >> 12 : TLB_NONE;
	e->global = w.global;
	if (!w.global && c->ifills <= ITLB_LOG) {
		if (c->ifills < ITLB_LOG)
			c->ifill[c->ifills] =
				(u16)(user * ITLB_ENTRIES + (la >> 12 & (ITLB_ENTRIES - 1)));
		c->ifills++;
	}
	tlb_note_large(c, la, w.page_size);
	return e;
}

/* --- flushing --- */

void tlb_flush_all(struct cpu *c)
{
	for (unsigned v = 0; v < VIEW_COUNT; v++)
		for (unsigned i = 0; i < TLB_ENTRIES; i++)
			c->views[v].e[i].r = c->views[v].e[i].w = TLB_NONE;
	for (unsigned v = 0; v < 2; v++)
		for (unsigned i = 0; i < ITLB_ENTRIES; i++)
			c->itlb[v][i].tag = TLB_NONE;
	c->fills = c->ifills = 0;
	c->large_1g = 0;
	__builtin_memset(c->large_2m, 0, sizeof(c->large_2m));
	dropped(c, TLB_ALL, 0, 0);
	c->ops->flushed(c);
}

void tlb_flush_nonglobal(struct cpu *c)
{
	unsigned n = c->fills <= TLB_LOG ? c->fills : VIEW_COUNT * TLB_ENTRIES;
	for (unsigned k = 0; k < n; k++) {
		unsigned at = c->fills <= TLB_LOG ? c->fill[k] : k;
		struct tlb_entry *e = &c->views[at / TLB_ENTRIES].e[at % TLB_ENTRIES];
		if (!e->global)
			e->r = e->w = TLB_NONE;
	}
	n = c->ifills <= ITLB_LOG ? c->ifills : 2 * ITLB_ENTRIES;
	for (unsigned k = 0; k < n; k++) {
		unsigned at = c->ifills <= ITLB_LOG ? c->ifill[k] : k;
		struct itlb_entry *e = &c->itlb[at / ITLB_ENTRIES][at % ITLB_ENTRIES];
		if (!e->global)
			e->tag = TLB_NONE;
	}
	c->fills = c->ifills = 0;
	dropped(c, TLB_LOCAL, 0, 0);
	c->ops->flushed(c);
}

static void tlb_flush_range(struct cpu *c, u64 first_page, u64 pages)
{
	dropped(c, TLB_PAGES, first_page, pages);
	for (unsigned v = 0; v < VIEW_COUNT; v++)
		for (u64 k = 0; k < min_u64(pages, TLB_ENTRIES); k++) {
			struct tlb_entry *e = &c->views[v].e[(first_page + k) & (TLB_ENTRIES - 1)];
			if (e->r - first_page < pages)
				e->r = e->w = TLB_NONE;
		}
	for (unsigned v = 0; v < 2; v++)
		for (unsigned i = 0; i < ITLB_ENTRIES; i++)
			if (c->itlb[v][i].tag - first_page < pages)
				c->itlb[v][i].tag = TLB_NONE;
}

void tlb_flush_page(struct cpu *c, u64 la)
{
	u64 page = la >> 12;
	tlb_drop_page(c, page);
	/* INVLPG drops the whole large page; 4 MiB pages are two 2 MiB steps */
	if (c->large_1g >> (la >> 30 & 63) & 1)
		tlb_flush_range(c, page & ~0x3ffffull, 0x40000);
	else if (had_large_2m(c, la) || had_large_2m(c, la ^ 0x200000))
		tlb_flush_range(c, page & ~0x3ffull, 0x400);
	c->ops->flushed(c);
}

void tlb_flush_writes(struct cpu *c)
{
	dropped(c, TLB_WRITES, 0, 0);
	for (unsigned v = 0; v < VIEW_COUNT; v++)
		for (unsigned i = 0; i < TLB_ENTRIES; i++)
			c->views[v].e[i].w = TLB_NONE;
}
