/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table: flat shadow tables of one vCPU: page number -> host addend, by view and kind of access;
 * page number -> descriptor of translated code, by mode.
 *
 * An entry is (host page - guest page) + 1, or 0: nothing known. Memory that was never touched
 * reads as 0. The page number is bits 47..12 of the address: what lies above cannot reach outside a
 * table, and makes the sum an address that the host does not have.
 *
 * Context: owner.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/soft/impl.h"
#include "host/fail.h"

#define PAGES	       TRANS_PAGES
#define TABLE_PAGES    2048u /* of 4 KiB, that the tables may have beside what is hashed alike */
#define LOOKED_REGIONS 2048u
#define MANY_PAGES     512u

static void *reserve(u64 bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

static void release(void *p, u64 bytes)
{
	if (p)
		munmap(p, bytes);
}

/* No window: neither the page nor any canonical address plus the addend is one that the host has.
 */
#define NO_STACK BIT64(63)
#define NO_ADD	 BIT64(62)
static const struct page_slot no_page = {.page = NO_STACK, .add = NO_ADD};

static struct page_slot *slot_at(struct vcpu *v, u32 off)
{
	return (struct page_slot *)(void *)((u8 *)v + off);
}

/* Whoever goes on in a block that looked it up faults. */
static void drop_looked(struct vcpu *v)
{
	for (unsigned i = 0; i < TRANS_LOOKED; i++)
		v->hot.looked[i] = NO_ADD + 1;
}

static void drop_stacks(struct vcpu *v)
{
	struct trans *x = v->trans;
	drop_looked(v);
	v->hot.stack_page = v->hot.other_page = NO_STACK;
	v->hot.stack_add = v->hot.other_add = NO_ADD;
	for (unsigned i = 0; i < TRANS_VIEWS; i++) {
		x->window[i].page = x->window[i].other_page = NO_STACK;
		x->window[i].add = x->window[i].other_add = NO_ADD;
	}
}

/* Slots of the pages from `first` (bits 47..12) on. */
static void drop_slots(struct vcpu *v, u64 first, u64 pages)
{
	u32 kept = 0;
	for (u32 i = 0; i < v->hot.slots_filled; i++) {
		struct page_slot *s = slot_at(v, v->hot.filled[i]);
		if ((((s->page >> 12) - first) & (PAGES - 1)) < pages)
			*s = no_page;
		else
			v->hot.filled[kept++] = v->hot.filled[i];
	}
	v->hot.slots_filled = kept;
}

static void drop_windows(struct vcpu *v)
{
	drop_stacks(v);
	drop_slots(v, 0, PAGES);
}

static void switch_stacks(struct vcpu *v, unsigned view)
{
	struct trans *x = v->trans;
	x->window[x->view].page = v->hot.stack_page;
	x->window[x->view].add = v->hot.stack_add;
	x->window[x->view].other_page = v->hot.other_page;
	x->window[x->view].other_add = v->hot.other_add;
	v->hot.stack_page = x->window[view].page;
	v->hot.stack_add = x->window[view].add;
	v->hot.other_page = x->window[view].other_page;
	v->hot.other_add = x->window[view].other_add;
	x->view = view;
}

int table_open(struct vcpu *v)
{
	struct trans *x = v->trans;
	bool ok = true;
	for (unsigned i = 0; i < TRANS_VIEWS; i++) {
		ok &= (x->rt[i] = reserve(PAGES * 8)) != NULL;
		ok &= (x->wt[i] = reserve(PAGES * 8)) != NULL;
	}
	for (unsigned i = 0; i < 2; i++)
		ok &= (x->xt[i] = reserve(PAGES * 4)) != NULL;
	for (unsigned i = 0; i < TRANS_SLOTS; i++)
		v->hot.slot[i] = no_page;
	drop_stacks(v);
	return ok ? 0
		  : FAIL(-ENOMEM, "no address space for the translator's tables (ulimit -v?); use "
				  "translate=off");
}

void table_close(struct vcpu *v)
{
	struct trans *x = v->trans;
	for (unsigned i = 0; i < TRANS_VIEWS; i++) {
		release(x->rt[i], PAGES * 8);
		release(x->wt[i], PAGES * 8);
	}
	for (unsigned i = 0; i < 2; i++)
		release(x->xt[i], PAGES * 4);
}

static u64 page_number(u64 la)
{
	return la >> 12 & (PAGES - 1);
}

/* Pages of the tables that were touched, 0: none; what they are known by. */
static u64 data_page(u64 n, unsigned view)
{
	return n >> 9 | (u64)(view + 1) << 36;
}

static u64 code_page(u64 n, unsigned ctx)
{
	return n >> 10 | (u64)(ctx + 5) << 36;
}

/* Where `at` is in that set, or would be. */
static u64 *touched(struct trans *x, u64 at)
{
	u64 i = (at * 0x9e3779b97f4a7c15ull) >> 32, *known;
	do {
		known = &x->touched[i++ % ARRAY_LEN(x->touched)];
	} while (*known && *known != at);
	return known;
}

/* Pages that were touched stay with the process until they are given back: a guest that touches
 * many would make the tables as large as they can be. `at` names n of them; false: that is enough,
 * give all back. */
static bool grow(struct trans *x, u64 at, u32 *pages, u32 n)
{
	u64 *known = touched(x, at);
	if (likely(*known))
		return true;
	*known = at;
	*pages += n;
	return ++x->touches <= TABLE_PAGES;
}

/* All of it reads 0 again; its memory goes back, the host's page tables for it too. */
static void renew(void *p, u64 bytes)
{
	if (mmap(p, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == p)
		madvise(p, bytes, MADV_NOHUGEPAGE);
	else
		madvise(p, bytes, MADV_DONTNEED);
}

static void drop_all(struct trans *x)
{
	memset(x->touched, 0, sizeof(x->touched));
	memset(x->looked, 0, sizeof(x->looked));
	x->touches = x->data_pages = x->code_pages = 0;
	x->looks = 0;
	for (unsigned i = 0; i < TRANS_VIEWS; i++) {
		renew(x->rt[i], PAGES * 8);
		renew(x->wt[i], PAGES * 8);
	}
	for (unsigned g = 0; g < 2; g++) {
		renew(x->xt[g], PAGES * 4);
		x->log[g].n = x->xlog[0][g].n = x->xlog[1][g].n = 0;
	}
}

/* Reading an entry that was never written takes no memory but the host's page tables: 4 KiB in each
 * table for each GiB of guest addresses. */
void table_looked(struct vcpu *v, u64 la)
{
	struct trans *x = v->trans;
	u64 region = (page_number(la) >> 18) + 1,
	    *known = &x->looked[region % ARRAY_LEN(x->looked)];
	if (likely(*known == region))
		return;
	*known = region;
	if (++x->looks > LOOKED_REGIONS)
		drop_all(x);
}

/* Entries of the tables that a log has no room for, or in pages that would be too many. */
static void room_for(struct trans *x, const struct tlog *log, u64 at, u32 *pages, u32 n)
{
	if (likely(log->n < TRANS_LOG && grow(x, at, pages, n)))
		return;
	drop_all(x);
	grow(x, at, pages, n);
}

/* Takes over what the interpreter's TLB knows of la. */
void table_fill(struct vcpu *v, u64 la, enum cpu_view view)
{
	struct trans *x = v->trans;
	const struct tlb_entry *e = &v->cpu.views[view].e[la >> 12 & (TLB_ENTRIES - 1)];
	struct tlog *log = &x->log[e->global != 0];
	u64 n = page_number(la);
	u64 read = e->add + 1, write = e->w == la >> 12 ? read : 0;
	room_for(x, log, data_page(n, view), &x->data_pages, 2);
	if (x->rt[view][n] != read || x->wt[view][n] != write)
		log->e[log->n++] = n | (u64)view << 36;
	x->rt[view][n] = read;
	x->wt[view][n] = write;
}

static void drop_log(struct trans *x, struct tlog *log)
{
	for (u32 i = 0; i < log->n; i++) {
		unsigned view = log->e[i] >> 36 & 3;
		x->rt[view][log->e[i] & (PAGES - 1)] = 0;
		x->wt[view][log->e[i] & (PAGES - 1)] = 0;
	}
	log->n = 0;
}

static void drop_code(struct trans *x, unsigned ctx, bool global)
{
	struct tlog *log = &x->xlog[ctx][global];
	for (u32 i = 0; i < log->n; i++)
		x->xt[ctx][log->e[i]] = 0;
	log->n = 0;
}

void table_flush(struct vcpu *v, bool global)
{
	struct trans *x = v->trans;
	drop_windows(v);
	for (unsigned g = 0; g <= (global ? 1u : 0u); g++) {
		drop_log(x, &x->log[g]);
		drop_code(x, 0, g);
		drop_code(x, 1, g);
	}
}

/* By what was filled, not by what could have been. */
static void drop_logged(struct trans *x, u64 first, u64 pages)
{
	for (unsigned g = 0; g < 2; g++) {
		for (u32 i = 0; i < x->log[g].n; i++) {
			u64 n = x->log[g].e[i] & (PAGES - 1);
			if (((n - first) & (PAGES - 1)) < pages) {
				x->rt[x->log[g].e[i] >> 36 & 3][n] = 0;
				x->wt[x->log[g].e[i] >> 36 & 3][n] = 0;
			}
		}
		for (unsigned ctx = 0; ctx < 2; ctx++)
			for (u32 i = 0; i < x->xlog[ctx][g].n; i++) {
				u64 n = x->xlog[ctx][g].e[i];
				if (((n - first) & (PAGES - 1)) < pages)
					x->xt[ctx][n] = 0;
			}
	}
}

/* Pages [n, n + pages) of 512 in a row. Memory that was never touched is left so. */
static void clear(struct trans *x, u64 n, u64 pages)
{
	for (unsigned i = 0; i < TRANS_VIEWS; i++) {
		if (!*touched(x, data_page(n, i)))
			continue;
		memset(&x->rt[i][n], 0, pages * 8);
		memset(&x->wt[i][n], 0, pages * 8);
	}
	for (unsigned i = 0; i < 2; i++)
		if (*touched(x, code_page(n, i)))
			memset(&x->xt[i][n], 0, pages * 4);
}

void table_flush_page(struct vcpu *v, u64 page, u64 pages)
{
	struct trans *x = v->trans;
	u64 n = page & (PAGES - 1);
	drop_stacks(v);
	drop_slots(v, n, pages);
	if (pages > MANY_PAGES) {
		drop_logged(x, n, pages);
		return;
	}
	for (u64 most; pages; pages -= most, n = (n + most) & (PAGES - 1)) {
		most = min_u64(pages, 512 - (n & 511));
		clear(x, n, most);
	}
}

void table_flush_writes(struct vcpu *v)
{
	struct trans *x = v->trans;
	drop_windows(v);
	for (unsigned g = 0; g < 2; g++)
		for (u32 i = 0; i < x->log[g].n; i++)
			x->wt[x->log[g].e[i] >> 36 & 3][x->log[g].e[i] & (PAGES - 1)] = 0;
}

void table_code(struct vcpu *v, u64 rip, u32 desc)
{
	struct trans *x = v->trans;
	struct cpu *c = &v->cpu;
	unsigned ctx = c->cpl == 3;
	u64 n = page_number(rip);
	const struct itlb_entry *e = &c->itlb[ctx][rip >> 12 & (ITLB_ENTRIES - 1)];
	struct tlog *log = &x->xlog[ctx][e->tag == rip >> 12 && e->global];
	if (x->xt[ctx][n] == desc)
		return;
	room_for(x, log, code_page(n, ctx), &x->code_pages, 1);
	/* an entry that was emptied is in a log already, but perhaps in the other one */
	log->e[log->n++] = n;
	x->xt[ctx][n] = desc;
}

void table_mode(struct vcpu *v)
{
	struct trans *x = v->trans;
	struct cpu *c = &v->cpu;
	unsigned ctx = c->cpl == 3, view = (unsigned)(c->view - c->views);
	if (x->xt_mode[ctx] != c->mode) {
		drop_code(x, ctx, false);
		drop_code(x, ctx, true);
		/* 32-bit code trusts that they are below 4 GiB */
		if ((x->xt_mode[ctx] ^ c->mode) & MODE_64)
			drop_windows(v);
		x->xt_mode[ctx] = c->mode;
	}
	if (x->view != view)
		switch_stacks(v, view);
	v->hot.xt = (u64)x->xt[ctx];
	v->hot.rt = (u64)x->rt[view];
	v->hot.wt = (u64)x->wt[view];
}

bool table_stack(struct vcpu *v, u64 la, unsigned len)
{
	const struct trans *x = v->trans;
	u64 n = page_number(la), entry = x->wt[x->view][n];
	if (!entry || x->rt[x->view][n] != entry || (la & 0xfff) + len > RAM_PAGE)
		return false;
	if (v->cpu.mode & MODE_64 ? !canonical(la) : la >= LAST_PAGE)
		return false;
	v->hot.other_page = v->hot.stack_page;
	v->hot.other_add = v->hot.stack_add;
	v->hot.stack_page = la & ~0xfffull;
	v->hot.stack_add = entry - 1;
	return true;
}

void table_slot(struct vcpu *v, u32 slot, u64 la)
{
	const struct trans *x = v->trans;
	struct page_slot *s = slot_at(v, slot);
	u64 page = la & ~0xfffull, add = x->rt[VIEW_USER][page_number(la)] - 1;
	if (!s->host)
		v->hot.filled[v->hot.slots_filled++] = slot;
	*s = (struct page_slot){page, add, page + add};
}
