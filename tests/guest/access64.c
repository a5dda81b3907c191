/* SPDX-License-Identifier: Apache-2.0 */
/* access64: every kind of access against every kind of page-table entry, beside a model of the
 * manual (Intel SDM 3A 4.5 to 4.8): error code, and A and D bits of both entries afterwards. */
#include "rt/rt.h"

#define VA	 0x10040000000ul
#define ROUNDS	 120000u
#define RSVD51	 (1ull << 51)
#define RSVD13	 (1ull << 13) /* of a 2 MiB page */
#define ERR_P	 1u
#define ERR_W	 2u
#define ERR_U	 4u
#define ERR_RSVD 8u
#define ERR_I	 16u

enum kind { READ, WRITE, FETCH, RMW };

struct combo {
	u64 pde, pte; /* flags only */
	bool large, wp, nxe, smep, smap, ac, user;
	enum kind kind;
};

struct verdict {
	bool fault;
	u32 error;
	u64 pde, pte;
};

static volatile u64 *pde, *pte;
static u8 *small_frame;
static u64 large_frame, table;

/* --- the model ------------------------------------------------------------------------------ */

static bool reserved(const struct combo *c, u64 entry, bool large)
{
	return entry & RSVD51 || (entry & PTE_NX && !c->nxe) || (large && entry & RSVD13);
}

static bool allowed(const struct combo *c, u64 all, u64 any)
{
	bool write = c->kind == WRITE || c->kind == RMW, user_page = all & PTE_U;

	if (c->kind == FETCH && any & PTE_NX)
		return false;
	if (c->user)
		return user_page && (!write || all & PTE_W);
	if (c->kind == FETCH)
		return !(user_page && c->smep);
	if (user_page && c->smap && !c->ac)
		return false;
	return !write || all & PTE_W || !c->wp;
}

static struct verdict predict(const struct combo *c)
{
	bool write = c->kind == WRITE || c->kind == RMW;
	struct verdict v = {.pde = c->pde, .pte = c->pte, .fault = true};
	u32 how = (write ? ERR_W : 0) | (c->user ? ERR_U : 0) |
		  (c->kind == FETCH && (c->nxe || c->smep) ? ERR_I : 0);
	u64 all = c->pde, any = c->pde;

	v.error = how;
	if (!(c->pde & PTE_P))
		return v;
	v.error |= ERR_P;
	if (reserved(c, c->pde, c->large)) {
		v.error |= ERR_RSVD;
		return v;
	}
	if (!c->large) {
		if (!(c->pte & PTE_P)) {
			v.error &= ~ERR_P;
			return v;
		}
		if (reserved(c, c->pte, false)) {
			v.error |= ERR_RSVD;
			return v;
		}
		all &= c->pte;
		any |= c->pte;
	}
	if (!allowed(c, all, any))
		return v;
	v.fault = false;
	v.error = 0;
	v.pde |= PTE_A | (c->large && write ? PTE_D : 0);
	if (!c->large)
		v.pte |= PTE_A | (write ? PTE_D : 0);
	return v;
}

/* --- the access ----------------------------------------------------------------------------- */

static void do_read(void *p)
{
	asm volatile("movb (%0), %%al" ::"r"(p) : "rax", "memory");
}
static void do_write(void *p)
{
	asm volatile("movb $0xc3, (%0)" ::"r"(p) : "memory");
}
static void do_fetch(void *p)
{
	asm volatile("call *%0" ::"r"(p) : "memory");
}
static void do_rmw(void *p)
{
	asm volatile("lock orb $0, (%0)" ::"r"(p) : "memory");
}
static void (*const access[])(void *) = {do_read, do_write, do_fetch, do_rmw};

static void with_ac(void *kind)
{
	asm volatile("pushfq; orl $0x40000, (%%rsp); popfq" ::: "memory", "cc");
	access[(uword)kind]((void *)VA);
	asm volatile("pushfq; andl $~0x40000, (%%rsp); popfq" ::: "memory", "cc");
}

static struct verdict observe(const struct combo *c)
{
	uword cr4 = read_cr4() & ~(uword)(CR4_SMEP | CR4_SMAP);
	uword cr0 = read_cr0() & ~(uword)CR0_WP;
	u64 efer = rdmsr(MSR_EFER);
	struct verdict v;
	u32 vector;

	*pde = c->pde | (c->large ? large_frame : table);
	*pte = c->pte | (uword)small_frame;
	write_cr0(cr0 | (c->wp ? CR0_WP : 0));
	wrmsr(MSR_EFER, (efer & ~(u64)EFER_NXE) | (c->nxe ? EFER_NXE : 0));
	write_cr4(cr4 | (c->smep ? CR4_SMEP : 0) | (c->smap ? CR4_SMAP : 0));
	write_cr3(read_cr3());
	if (c->user)
		vector = user_run(access[c->kind], (void *)VA);
	else if (c->ac)
		vector = try_run(with_ac, (void *)(uword)c->kind);
	else
		vector = try_run(access[c->kind], (void *)VA);
	write_cr4(cr4);
	write_cr0(cr0 | CR0_WP);
	wrmsr(MSR_EFER, efer);
	v = (struct verdict){.fault = vector != NO_TRAP, .pde = *pde, .pte = *pte};
	if (vector == PF)
		v.error = (u32)this_cpu()->trap.error;
	else if (v.fault)
		v.error = 0x10000 | vector;
	v.pde &= ~(c->large ? large_frame : table);
	v.pte &= ~(u64)(uword)small_frame;
	return v;
}

static bool same(const struct verdict *want, const struct verdict *got)
{
	/* a fault below may or may not leave A in the entry above */
	u64 loose = want->fault ? PTE_A : 0;
	u32 error = want->error;

	if (on_qemu() && error & ERR_RSVD)
		error &= ~ERR_P; /* QEMU forgets P */
	return got->fault == want->fault && got->error == error &&
	       ((got->pde ^ want->pde) & ~loose) == 0 && got->pte == want->pte;
}

/* --- the sweep ------------------------------------------------------------------------------ */

static u64 seed = 1;

static u32 dice(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(seed >> 33);
}

/* Mostly good, so that what is bad stands alone often enough. */
static u64 entry(bool large)
{
	u32 r = dice();
	u64 e = (r & 7 ? PTE_P : 0) | (r & 8 ? PTE_W : 0) | (r & 16 ? PTE_U : 0) |
		(r & 32 ? PTE_A : 0);

	e |= (r >> 6 & 3) ? 0 : PTE_NX;
	e |= (r >> 8 & 15) ? 0 : RSVD51;
	if (large)
		e |= PTE_PS | (r >> 12 & 15 ? 0 : RSVD13);
	return e;
}

static void sweep(void)
{
	bool has_smep = cpuid(7, 0).b >> 7 & 1, has_smap = cpuid(7, 0).b >> 20 & 1;
	unsigned bad = 0, faults = 0;

	section("accesses and entries at random, against the manual (SDM 3A 4.5-4.8)");
	for (unsigned i = 0; i < ROUNDS; i++) {
		u32 r = dice();
		struct combo c = {.large = (r & 3) == 0,
				  .wp = r & 4,
				  .nxe = (r >> 3 & 3) != 0,
				  .smep = has_smep && r & 32,
				  .smap = has_smap && r & 64,
				  .ac = r & 128,
				  .user = r & 256,
				  .kind = (enum kind)(r >> 9 & 3)};
		struct verdict want, got;

		if (c.kind == RMW && on_qemu())
			c.kind = WRITE; /* QEMU reads first */
		c.pde = entry(c.large);
		c.pte = entry(false) | (r & 1u << 12 ? PTE_D : 0);
		if (c.large && r & 1u << 13)
			c.pde |= PTE_D;
		want = predict(&c);
		got = observe(&c);
		faults += want.fault;
		if (same(&want, &got))
			continue;
		if (bad++ < 8)
			print("# pde %llx pte %llx wp%u nxe%u smep%u smap%u ac%u user%u kind %u: "
			      "error %x want %x, pde %llx want %llx, pte %llx want %llx\n",
			      (unsigned long long)c.pde, (unsigned long long)c.pte, c.wp, c.nxe,
			      c.smep, c.smap, c.ac, c.user, c.kind, got.error, want.error,
			      (unsigned long long)got.pde, (unsigned long long)want.pde,
			      (unsigned long long)got.pte, (unsigned long long)want.pte);
	}
	CHECK_EQ(bad, 0, "all as the model says");
	CHECK(faults > ROUNDS / 5 && faults < ROUNDS * 19 / 20, "both kinds of outcome came up");
}

void suite(void)
{
	u64 aligned;

	/* 4 KiB tables first, so that the PDE has a table to name; 2 MiB of RAM at 32 MiB */
	pte = page_entry(VA, 1);
	pde = page_entry(VA, 2);
	table = *pde & 0xffffffffff000ull;
	small_frame = page_alloc();
	small_frame[0] = 0xc3;
	aligned = 32ul << 20;
	large_frame = aligned;
	*(u8 *)large_frame = 0xc3;
	sweep();
}
