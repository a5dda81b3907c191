/* SPDX-License-Identifier: Apache-2.0 */
/* stale64: hot code, and what it stands on changes: page-table entries, address spaces, the code
 * itself, by this CPU and by others (Intel SDM 3A 4.8, 4.10, 8.1.3, 11.6). Any number of CPUs. */
#include "rt/code64.h"

#define LOW 0x123456789000ul

static u8 *page_a, *page_b;
static unsigned n_cpus;

/* --- what is mapped changes --------------------------------------------------------------------
 */

#define SPOT 0x10000000000ul /* a page that is mapped this way and that; the next one never is */

/* Each leaves in RAX what stood at SPOT + 200h, and (the writers) 77h in its place. RDI: the page.
 */
static const struct way {
	const char *name;
	bool write, stack, jump;
} ways[] = {
	{"a load", false, false, false},
	{"a store", true, false, false},
	{"xchg", true, false, false},
	{"a group of loads", false, false, false},
	{"a group, the last one a store", true, false, false},
	{"an indexed load", false, false, false},
	{"an absolute store", true, false, false},
	{"pop", false, true, false},
	{"push and pop", true, true, false},
	{"a jump through memory", false, false, true},
	{"a loop of loads", false, false, false},
	{"a loop with stores", true, false, false},
	{"fs:", false, false, false},
	{"leave", false, true, false},
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static u8 *way_code(unsigned w)
{
	u8 *start = piece(128), *again;

	switch (w) {
	case 0: put_mem(H_W, 0x8b, RAX, mem(RDI, NONE, 0, 0x200, 0)); break;
	case 1:
	case 6:
		put_mem(H_W, 0x89, RDX, mem(RDI, NONE, 0, 0x200, 0));
		put_mem(H_W, 0x8d, RAX, mem(RCX, NONE, 0, 0, 0));
		if (w == 6) {
			out = start;
			put_mem(H_W, 0x89, RDX, mem(NONE, R10, 0, 0x200, 0));
			put_mem(H_W, 0x8d, RAX, mem(RCX, NONE, 0, 0, 0));
		}
		break;
	case 2:
		put_mem(H_W, 0x8d, RAX, mem(RDX, NONE, 0, 0, 0));
		put_mem(H_W, 0x87, RAX, mem(RDI, NONE, 0, 0x200, 0));
		break;
	case 3:
	case 4:
		put_mem(H_W, 0x8b, RBX, mem(RDI, NONE, 0, 0x100, 0));
		put_mem(H_W, 0x8b, RAX, mem(RDI, NONE, 0, 0x200, 0));
		put_mem(H_W, 0x8b, RSI, mem(RDI, NONE, 0, 0x240, 0));
		if (w == 4)
			put_mem(H_W, 0x89, RDX, mem(RDI, NONE, 0, 0x200, 0));
		break;
	case 5:
		put_mem(H_W, 0x8b, RAX, mem(RDI, R11, 3, 0, 0));
		put_mem(H_W, 0x8b, RBX, mem(RDI, R11, 3, 8, 0));
		break;
	case 7: B(0x58); break;
	case 8:
		B(0x58, 0x52, 0x5b); /* pop rax; push rdx; pop rbx */
		break;
	case 9: put_mem(0, 0xff, 4, mem(RDI, NONE, 0, 0x200, 0)); break;
	case 10:
	case 11:
		again = out;
		put_mem(H_W, 0x8b, RAX, mem(RDI, NONE, 0, 0x200, 0));
		put_mem(H_W, 0x8b, RBX, mem(RDI, NONE, 0, 0x208, 0));
		B(0x48, 0xff, 0xcb); /* dec rbx */
		if (w == 11)
			put_mem(H_W, 0x89, RDX, mem(RDI, NONE, 0, 0x210, 0));
		B(0xff, 0xce, 0x75, (u8)(again - (out + 4))); /* dec esi; jnz */
		if (w == 11)
			put_mem(H_W, 0x89, RDX, mem(RDI, NONE, 0, 0x200, 0));
		break;
	case 12: put_mem(H_W, 0x8b, RAX, mem(RDI, NONE, 0, 0x200 - 0x40, 0x64)); break;
	case 13:
		put_mem(H_W, 0x8b, RSI, mem(RSP, NONE, 0, 8, 0));
		B(0x48, 0x89, 0xe5, 0xc9); /* mov rbp, rsp; leave */
		put_mem(H_W, 0x8d, RAX, mem(RBP, NONE, 0, 0, 0));
		break;
	}
	put_done();
	return start;
}

static u8 *landing[2]; /* mov eax, 1 or 2; done */

/* Runs a way; what it saw and did agrees with `page` (NULL: a fault with this error). */
static bool way_sees(unsigned w, u8 *start, bool user, u8 *page, u32 error)
{
	struct frame f = fresh();
	const struct trap *t = &this_cpu()->trap;
	u64 before = page ? *(volatile u64 *)(page + 0x200) : 0, after, want;
	u32 vector;

	f.rdi = f.r10 = SPOT;
	f.r11 = 0x200 / 8;
	f.rdx = 0x77;
	f.rcx = before;
	f.rsi = 20;
	if (ways[w].stack)
		f.rsp = SPOT + 0x200;
	vector = go(&f, start, user);
	if (!page)
		return vector == PF && (t->error == error || (on_qemu() && w == 2)) &&
		       t->cr2 - SPOT >= 0x100 && t->cr2 - SPOT < 0x280;
	after = *(volatile u64 *)(page + 0x200);
	want = ways[w].jump ? (before == (u64)landing[0] + (user ? USER_BASE : 0) ? 1 : 2) : before;
	*(volatile u64 *)(page + 0x200) = before;
	return vector == VEC_DONE && t->frame.rax == want &&
	       after == (ways[w].write ? 0x77 : before);
}

enum how { INVLPG, CR3, PGE, HOWS };

static void change(u64 pa, u64 bits, enum how how)
{
	*page_entry(SPOT, 1) = pa | bits;
	if (how == INVLPG) {
		invlpg(SPOT + 0x345);
	} else if (how == CR3) {
		write_cr3(read_cr3());
	} else {
		write_cr4(read_cr4() ^ CR4_PGE);
		write_cr4(read_cr4() ^ CR4_PGE);
	}
}

static void two_pages(bool user)
{
	u64 off = user ? USER_BASE : 0;

	for (unsigned i = 0; i < 2; i++) {
		u8 *page = i ? page_b : page_a;

		fill(page, (u8)(3 + i));
		landing[i] = piece(16);
		B(0xb8, (u8)(1 + i), 0, 0, 0);
		put_done();
		*(u64 *)(page + 0x200) = (u64)landing[i] + off;
	}
}

static void stale_entries(bool user)
{
	static const u64 good = PTE_P | PTE_W | PTE_U;
	static char names[2][WAYS][80];
	u32 u = user ? 4 : 0;

	section(user ? "entries that change under hot code, CPL 3 (SDM 3A 4.10.4)"
		     : "the same at CPL 0");
	wrmsr(MSR_FS_BASE, 0x40);
	for (unsigned w = 0; w < WAYS; w++) {
		char *name = names[user][w], *p = name;
		u32 err = (ways[w].write ? 2u : 0) | u;
		unsigned bad = 0;

		for (const char *c = ways[w].name; *c;)
			*p++ = *c++;
		for (const char *c = " sees another page, a read-only one, none"; *c;)
			*p++ = *c++;
		two_pages(user);
		for (enum how how = INVLPG; how < HOWS; how++) {
			u64 g = how == CR3 ? 0 : PTE_G;
			u8 *start = way_code(w);
			/* a group reads first, and finds that there is nothing */
			u32 first = w == 4 || w == 8 || w == 11 ? u : err;

			invlpg(SPOT); /* MOV CR3 leaves global ones */
			change((u64)page_a, good | g, how);
			for (unsigned i = 0; i < 6; i++)
				bad += !way_sees(w, start, user, page_a, 0);
			change((u64)page_b, good | g, how);
			for (unsigned i = 0; i < 3; i++)
				bad += !way_sees(w, start, user, page_b, 0);
			change((u64)page_b, (good & ~(u64)PTE_W) | g, how);
			for (unsigned i = 0; i < 3; i++)
				bad += !way_sees(w, start, user, ways[w].write ? NULL : page_b,
						 err | 1);
			bad += *(u64 *)(page_b + 0x200) != (u64)landing[1] + (user ? USER_BASE : 0);
			change((u64)page_a, good | g, how);
			for (unsigned i = 0; i < 3; i++)
				bad += !way_sees(w, start, user, page_a, 0);
			change((u64)page_b, 0, how);
			for (unsigned i = 0; i < 3; i++)
				bad += !way_sees(w, start, user, NULL, first);
			change((u64)page_b, good | g, how);
			bad += !way_sees(w, start, user, page_b, 0);
			change((u64)page_b, (good & ~(u64)PTE_U) | g, how);
			for (unsigned i = 0; i < 3; i++)
				bad += !way_sees(w, start, user, user ? NULL : page_b, first | 1);
			change((u64)page_a, good | g, how);
			for (unsigned i = 0; i < 3; i++)
				bad += !way_sees(w, start, user, page_a, 0);
			bad += !(filled(page_a, 3) ||
				 *(u64 *)(page_a + 0x200) ==
					 (u64)landing[0] + (user ? USER_BASE : 0));
		}
		CHECK_EQ(bad, 0, name);
	}
}

/* Two address spaces. */
static void spaces(bool user)
{
	u64 *pml4 = page_alloc(), *pdpt = page_alloc(), *pd = page_alloc(), *pt = page_alloc();
	u64 one = read_cr3(), two = (u64)pml4;
	unsigned bad = 0;

	memcpy(pml4, boot_pml4, 4096);
	pml4[SPOT >> 39 & 511] = (u64)pdpt | 7;
	pdpt[SPOT >> 30 & 511] = (u64)pd | 7;
	pd[SPOT >> 21 & 511] = (u64)pt | 7;
	pt[SPOT >> 12 & 511] = (u64)page_b | 7;
	change((u64)page_a, 7, INVLPG);
	for (unsigned w = 0; w < WAYS; w++) {
		u8 *start;

		two_pages(user);
		start = way_code(w);
		for (unsigned i = 0; i < 12; i++) {
			write_cr3(i & 1 ? two : one);
			bad += !way_sees(w, start, user, i & 1 ? page_b : page_a, 0);
			if (i % 5 == 0)
				bad += !way_sees(w, start, user, i & 1 ? page_b : page_a, 0);
		}
		/* not there in the second one */
		pt[SPOT >> 12 & 511] = 0;
		write_cr3(two);
		bad += way_sees(w, start, user, page_b, 0);
		bad += this_cpu()->trap.vector != PF;
		write_cr3(one);
		bad += !way_sees(w, start, user, page_a, 0);
		pt[SPOT >> 12 & 511] = (u64)page_b | 7;
	}
	CHECK_EQ(bad, 0, user ? "two address spaces in turns, CPL 3" : "in turns, CPL 0");
}

/* Indirect calls and jumps to a page of code that is another one now. */
static void targets(void)
{
	u8 *start, *to[2] = {page_alloc(), page_alloc()};
	unsigned bad = 0;

	for (unsigned i = 0; i < 2; i++)
		memcpy(to[i] + 0x80, (const u8[]){0xb8, (u8)(1 + i), 0, 0, 0, 0xc3}, 6);
	start = piece(64);
	B(0xff, 0xd7, 0x89, 0xc3, 0xff, 0xd7, 0x01, 0xd8); /* call rdi; mov ebx, eax; ...; add */
	put_done();
	for (unsigned i = 0; i < 60; i++) {
		struct frame f = fresh();
		u32 vector;

		f.rdi = SPOT + 0x80;
		change((u64)to[i & 1],
		       i % 7 == 6   ? 0
		       : i % 7 == 5 ? 3
				    : 7 | (i % 3 == 0 ? PTE_G : 0),
		       i % 3 == 0   ? PGE
		       : i % 3 == 1 ? INVLPG
				    : CR3);
		if (i % 3 == 1)
			invlpg(SPOT);
		vector = go(&f, start, true);
		if (i % 7 > 4)
			bad += vector != PF || this_cpu()->trap.cr2 != SPOT + 0x80 ||
			       this_cpu()->trap.frame.rip != SPOT + 0x80;
		else
			bad += vector != VEC_DONE || this_cpu()->trap.frame.rax != 2 + 2 * (i & 1);
		*page_entry(SPOT, 1) &= ~(u64)PTE_G;
		if (i % 3 == 0)
			change(0, 0, PGE);
	}
	CHECK_EQ(bad, 0, "calls reach the page that is mapped now");
	change(0, 0, PGE);
}

/* --- accessed, dirty ---------------------------------------------------------------------------
 */

static u64 bits_of(u64 *set)
{
	u64 now = *page_entry(SPOT, 1) & (PTE_A | PTE_D);

	if (set) {
		*page_entry(SPOT, 1) = ((u64)page_a | 7) | *set;
		invlpg(SPOT);
	}
	return now;
}

static void dirty_bits(bool user)
{
	unsigned bad = 0, late = 0;
	u64 none = 0, only_a = PTE_A;
	u8 *start;

	for (unsigned w = 0; w < WAYS; w++) {
		two_pages(user);
		start = way_code(w);
		change((u64)page_a, 7, INVLPG);
		for (unsigned i = 0; i < 8; i++) {
			bits_of(i & 1 ? &only_a : &none);
			bad += !way_sees(w, start, user, page_a, 0);
			bad += bits_of(NULL) != (PTE_A | (ways[w].write ? PTE_D : 0));
			if (i & 2) /* and without anything between */
				bad += !way_sees(w, start, user, page_a, 0);
		}
	}
	CHECK_EQ(bad, 0,
		 user ? "A by reads, D by writes only, again once cleared: CPL 3"
		      : "A by reads, D by writes only: CPL 0");
	/* mov rax, [rdi]; mov rbx, [rsi] (faults, or not); mov [rdi + 8], rdx */
	start = piece(64);
	put_mem(H_W, 0x8b, RAX, mem(RDI, NONE, 0, 0x200, 0));
	put_mem(H_W, 0x8b, RBX, mem(RSI, NONE, 0, 0x200, 0));
	put_mem(H_W, 0x89, RDX, mem(RDI, NONE, 0, 0x208, 0));
	put_done();
	for (unsigned i = 0; i < 20; i++) {
		struct frame f = fresh();
		bool ends = i % 3 == 2;

		f.rdi = SPOT;
		f.rsi = ends ? (u64)USER(page_b) : SPOT + 4096;
		f.rdx = i;
		bits_of(&none);
		*(u64 *)(page_a + 0x208) = 99;
		late += go(&f, start, user) != (ends ? VEC_DONE : PF);
		late += bits_of(NULL) != (ends ? PTE_A | PTE_D : PTE_A);
		late += *(volatile u64 *)(page_a + 0x208) != (ends ? i : 99);
	}
	CHECK_EQ(late, 0, "a store that is not reached sets no D");
	change(0, 0, INVLPG);
}

/* --- many places that read and write
 * -------------------------------------------------------------- */

#define BLOCKS 5200

static void many_places(void)
{
	u8 *area = (u8 *)(48ul << 20), *at[2];
	unsigned bad = 0, changed = 0;

	/* 16 bytes each, in memory that nothing else uses: even ones read, odd ones write */
	for (unsigned i = 0; i < BLOCKS; i++) {
		out = area + i * 32;
		put_mem(H_W, i & 1 ? 0x89 : 0x8b, RDX, mem(i % 3 ? RDI : R10, NONE, 0, 0x200, 0));
		put_mem(H_W, 0x8b, RAX, mem(i % 3 ? RDI : R10, NONE, 0, 0x208, 0));
		put_done();
	}
	out = code;
	fill(page_a, 1);
	fill(page_b, 2);
	page_map(SPOT, (u64)page_a, PTE_P | PTE_U);
	page_map(LOW, (u64)page_b, PTE_P | PTE_U | PTE_W);
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < BLOCKS; i++) {
			struct frame f = fresh();

			f.rdi = f.r10 = i & 1 ? LOW : SPOT;
			bad += go(&f, area + i * 32, true) != VEC_DONE;
			bad += this_cpu()->trap.frame.rax !=
			       *(u64 *)((i & 1 ? page_b : page_a) + 0x208);
		}
	CHECK_EQ(bad, 0, "5200 places read or write their page");
	for (unsigned i = 1; i < BLOCKS; i += 2) {
		struct frame f = fresh();

		f.rdi = f.r10 = SPOT;
		if (go(&f, area + i * 32, true) != PF || this_cpu()->trap.error != 7 ||
		    this_cpu()->trap.cr2 != SPOT + 0x200)
			bad++;
		changed += *(volatile u64 *)(page_a + 0x200) != 0x0101010101010101ul + 0x40;
		at[0] = area + (i - 1) * 32;
		at[1] = area + ((i * 7) % BLOCKS | 1) * 32;
		for (unsigned k = 0; k < 2; k++) { /* one that reads it, then one that writes */
			f = fresh();
			f.rdi = f.r10 = SPOT;
			bad += go(&f, at[k], true) != (k ? PF : VEC_DONE);
		}
	}
	CHECK_EQ(bad, 0, "and none of those that write may write to the readers' page");
	CHECK_EQ(changed || !filled(page_a, 1), 0, "where nothing changed");
	page_map(SPOT, 0, 0);
	page_map(LOW, 0, 0);
}

static void stale(void)
{
	write_cr4(read_cr4() | CR4_PGE);
	for (unsigned user = 2; user-- > 0;) {
		stale_entries(user);
		spaces(user);
		dirty_bits(user);
	}
	targets();
	many_places();
	wrmsr(MSR_FS_BASE, 0);
	write_cr4(read_cr4() & ~(uword)CR4_PGE);
}

/* --- code that changes -------------------------------------------------------------------------
 */

/* The ways to write DL (or EDX, or what XMM0 has) to RDI. */
static const struct {
	const char *name;
	u8 bytes[16], n;
	bool push; /* RSP leads there */
} stores[] = {
	{"mov", {0x89, 0x17}, 2, false},
	{"mov with a group", {0x8b, 0x5f, 0xf0, 0x89, 0x17, 0x8b, 0x5f, 0x08}, 8, false},
	{"mov behind a load", {0x8a, 0x1f, 0x89, 0x17}, 4, false},
	{"mov [rdi + r11]", {0x42, 0x89, 0x14, 0x1f}, 4, false},
	{"xchg", {0x87, 0x17}, 2, false},
	{"movd", {0x66, 0x0f, 0x6e, 0xca, 0x66, 0x0f, 0x7e, 0x0f}, 8, false},
	{"lock xadd", {0xc7, 0x07, 0, 0, 0, 0, 0xf0, 0x0f, 0xc1, 0x17}, 10, false},
	{"push", {0x52}, 1, true},
	{"pop and push", {0x5b, 0x52}, 2, true},
};
#define STORES (sizeof(stores) / sizeof(stores[0]))

/* mov eax, imm, and with `push` 4 more bytes for it; done. Where the immediate is. */
static u8 *imm_code(void)
{
	u8 *imm;

	B(0x90, 0x90, 0x48, 0xb8); /* mov rax, imm64 */
	imm = out;
	put32(0);
	put32(0);
	put_done();
	return imm;
}

static struct frame writer(unsigned w, u64 to, u32 value)
{
	struct frame f = fresh();

	f.rdi = to;
	f.rdx = value;
	f.r11 = 0;
	if (stores[w].push)
		f.rsp = stores[w].n == 1 ? to + 8 : to; /* pop; push */
	return f;
}

static void own_block(bool user)
{
	u64 off = user ? USER_BASE : 0;
	unsigned bad = 0, loops = 0, other = 0;
	u8 *start, *imm;

	for (unsigned w = 0; w < STORES; w++) {
		start = piece(128);
		put(stores[w].bytes, stores[w].n);
		imm = imm_code();
		for (u32 i = 1; i < 30; i++) {
			struct frame f = writer(w, (u64)imm + off, i);

			if (i == 9) /* meanwhile to a page of data */
				f = writer(w, (u64)page_a + 0x200 + off, i);
			bad += go(&f, start, user) != VEC_DONE;
			bad += (u32)this_cpu()->trap.frame.rax != (i == 9 ? 8 : i);
		}
		/* through another address, and a serialising instruction */
		page_map(LOW, (u64)imm & ~0xffful, PTE_P | PTE_W | PTE_U);
		page_map(LOW + 4096, ((u64)imm & ~0xffful) + 4096, PTE_P | PTE_W | PTE_U);
		start = piece(128);
		put(stores[w].bytes, stores[w].n);
		B(0x31, 0xc0, 0x0f, 0xa2); /* xor eax, eax; cpuid */
		imm = imm_code();
		page_map(LOW, (u64)imm & ~0xffful, PTE_P | PTE_W | PTE_U);
		page_map(LOW + 4096, ((u64)imm & ~0xffful) + 4096, PTE_P | PTE_W | PTE_U);
		for (u32 i = 1; i < 20; i++) {
			struct frame f = writer(w, LOW + ((u64)imm & 0xfff), i);

			other += go(&f, start, user) != VEC_DONE;
			other += (u32)this_cpu()->trap.frame.rax != i;
		}
	}
	CHECK_EQ(bad, 0,
		 user ? "a block writes its own end: CPL 3" : "a block writes its own end: CPL 0");
	CHECK_EQ(other, 0, "through another address, behind CPUID");
	/* 1: mov dl, [rsi]; mov [rdi], dl; inc rsi; inc rdi; dec ecx; jnz 1b, and what it copies to
	 */
	start = piece(160);
	B(0x8a, 0x16, 0x88, 0x17, 0x48, 0xff, 0xc6, 0x48, 0xff, 0xc7, 0xff, 0xc9, 0x75, 0xf2);
	for (unsigned i = 0; i < 80; i++)
		B(0x90);
	imm = imm_code();
	memcpy(page_a, start + 14, 100);
	for (u32 n = 1; n <= 94; n++) {
		struct frame f = fresh();
		u64 want = 0x1111111111111111;

		memset(imm, 0x11, 8);
		memset(page_a + 84, (int)n, 8);
		memset(&want, (int)n, n < 84 ? 0 : n > 92 ? 8 : n - 84);
		f.rdi = (u64)start + 14 + off;
		f.rsi = (u64)page_a + off;
		f.rcx = n;
		loops += go(&f, start, user) != VEC_DONE;
		loops += this_cpu()->trap.frame.rax != want;
	}
	CHECK_EQ(loops, 0, "a loop writes the code behind it");
}

/* A page is data, and written in hot code, then it has code, too. */
static void data_to_code(bool user)
{
	u64 off = user ? USER_BASE : 0;
	unsigned bad = 0;

	for (unsigned w = 0; w < STORES; w++) {
		u8 *page = page_alloc(), *start = piece(64), *imm;

		put(stores[w].bytes, stores[w].n);
		put_done();
		out = page + 0x100;
		imm = imm_code();
		out = start + 64;
		for (u32 i = 1; i < 60; i++) {
			struct frame f = writer(w, (u64)(i % 5 == 4 ? imm : page + 0x800) + off, i);

			bad += go(&f, start, user) != VEC_DONE;
			if (i > 8 && i % 3 == 0) {
				f = fresh();
				bad += go(&f, page + 0x100, user) != VEC_DONE;
				bad += (u32)this_cpu()->trap.frame.rax != *(volatile u32 *)imm;
			}
			if (i % 5 == 4)
				bad += *(volatile u32 *)imm != i;
			else
				bad += *(volatile u32 *)(page + 0x800) != i;
		}
	}
	CHECK_EQ(bad, 0,
		 user ? "a page of data gets code, and is written on: CPL 3"
		      : "a page of data gets code, and is written on: CPL 0");
}

/* Data beside the code, in groups; now and then the code changes. */
static void beside(void)
{
	u8 *page = page_alloc(), *save = out, *imm;
	unsigned bad = 0;
	u64 total = 0;

	out = page;
	for (unsigned i = 0; i < 4; i++) {
		put_mem(H_W, 0x8b, RBX, mem(RIP, NONE, 0, 0x800, 0));
		put_mem(H_W, 0x03, RBX, mem(RDI, NONE, 0, 8, 0));
		put_mem(H_W, 0x01, RDX, mem(RDI, NONE, 0, 0x10, 0));
	}
	imm = imm_code();
	out = save;
	*(u64 *)(page + 0xc10) = 0;
	for (u32 i = 1; i < 400; i++) {
		struct frame f = fresh();

		f.rdi = (u64)USER(page + 0xc00);
		f.rdx = i;
		*(u64 *)(page + 0xc08) = i;
		if (i % 50 == 0)
			*(volatile u32 *)imm = i;
		total += 4 * i;
		bad += go(&f, page, true) != VEC_DONE;
		bad += (u32)this_cpu()->trap.frame.rax != i / 50 * 50;
		bad += *(u64 *)(page + 0xc10) != total;
	}
	CHECK_EQ(bad, 0, "groups of data beside their code, which changes");
}

#define EDGE SPOT /* a page of code; behind it another one */

/* An instruction of the vector unit in two pages, reached from code that has such ones: the second
 * page becomes another one. */
static void edge(void)
{
	u8 *save = out, *second[2] = {page_alloc(), page_alloc()};
	struct frame f;

	out = page_a + 0xff0;
	B(0x66, 0x48, 0x0f, 0x6e, 0xc9); /* movq xmm1, rcx */
	while (((u64)out & 0xfff) < 0xffc)
		B(0x90);
	B(0x66, 0x0f, 0x70, 0xd1); /* pshufd xmm2, xmm1, which */
	for (unsigned i = 0; i < 2; i++) {
		out = second[i];
		B(i ? 0x55 : 0);
		B(0x66, 0x48, 0x0f, 0x7e, 0xd0); /* movq rax, xmm2 */
		put_done();
	}
	out = save;
	page_map(EDGE, (u64)page_a, PTE_P | PTE_U);
	for (unsigned n = 0; n < 30; n++) {
		u64 half = n / 5 & 1 ? 7 : 5;

		*page_map(EDGE + 4096, (u64)second[n / 5 & 1], PTE_P | PTE_U);
		invlpg(EDGE + 4096);
		f = fresh();
		f.rcx = 7ul << 32 | 5;
		f.rip = EDGE + 0xff0;
		f.cs = SEL_UCODE;
		f.ss = SEL_UDATA;
		f.rflags |= 2;
		try_run(run_frame, &f);
		if (this_cpu()->trap.vector != VEC_DONE ||
		    this_cpu()->trap.frame.rax != (half << 32 | half)) {
			CHECK_EQ(this_cpu()->trap.frame.rax, half << 32 | half,
				 "an instruction whose second page changes");
			return;
		}
	}
	*page_map(EDGE + 4096, 0, 0) = 0;
	invlpg(EDGE + 4096);
	f.rip = EDGE + 0xff0;
	try_run(run_frame, &f);
	CHECK(this_cpu()->trap.vector == PF && this_cpu()->trap.cr2 == EDGE + 4096 &&
		      this_cpu()->trap.frame.rip == EDGE + 0xffc,
	      "an instruction whose second page changes, and is gone");
	page_map(EDGE, 0, 0);
	invlpg(EDGE);
}

/* Pieces that cannot be translated as a whole, each with a call to one in another page that has not
 * been, and code of many pages behind them. */
static void not_as_a_whole(void)
{
	unsigned wrong = 0;

	out = code;
	for (unsigned round = 0; round < 6; round++)
		for (unsigned i = 0; i < CODE_PAGES; i += 2) {
			u8 *from = code + i * 4096 + 0x10 * i, *to = from + 4096;
			struct frame f = fresh();

			if (!round) {
				u32 rel = (u32)(to - from) - 12;

				out = from;
				put_mem(H_W, 0x8b, RAX, mem(RBX, NONE, 0, -0x80000000l, 0));
				B(0xe8);
				put32(rel);
				put_done();
				out = to;
				B(0x48, 0xff, 0xc0, 0xc3); /* inc rax; ret */
			}
			*(u64 *)page_a = round * 100 + i;
			f.rbx = (u64)USER(page_a) + 0x80000000ul;
			wrong += go(&f, from, true) != VEC_DONE ||
				 this_cpu()->trap.frame.rax != round * 100 + i + 1;
		}
	CHECK_EQ(wrong, 0, "a call from code that cannot be translated");
	out = code;
}

static void code_changes(void)
{
	section("code that changes (SDM 3A 8.1.3, 11.6)");
	for (unsigned user = 2; user-- > 0;) {
		own_block(user);
		data_to_code(user);
	}
	beside();
	edge();
	not_as_a_whole();
}

/* --- other CPUs ---------------------------------------------------------------------------------
 */

#define X_PAGES 16
static u8 *x_page[X_PAGES], *x_imm[X_PAGES], *x_writer[STORES];
static volatile u32 turn, wrong_code;

/* CPU 0 writes in hot code what the others run, page after page. */
static void written_elsewhere(struct cpu *cpu)
{
	for (u32 i = 1; i <= 160; i++) {
		unsigned n = i / 8 % X_PAGES, w = i % STORES;
		struct frame f;

		if (!cpu->index) {
			for (unsigned k = 0; k < 3; k++) {
				f = writer(w, (u64)USER(x_page[n] + 0x800), i);
				go(&f, x_writer[w], true);
			}
			f = writer(w, (u64)USER(x_imm[n]), i);
			if (go(&f, x_writer[w], true) != VEC_DONE)
				__atomic_add_fetch(&wrong_code, 1, __ATOMIC_SEQ_CST);
			__atomic_store_n(&turn, i * n_cpus, __ATOMIC_RELEASE);
			while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != i * n_cpus + n_cpus - 1)
				pause();
			continue;
		}
		while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) < i * n_cpus)
			pause();
		f = fresh();
		f.rsp -= cpu->index * 128;
		if (go(&f, x_page[n] + 0x100, true) != VEC_DONE || (u32)cpu->trap.frame.rax != i)
			__atomic_add_fetch(&wrong_code, 1, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&turn, 1, __ATOMIC_SEQ_CST);
	}
}

static volatile u32 acks, stop, old_pages, poisoned;
static u8 *loop_code[4];

static bool flush_hook(struct frame *f)
{
	if (f->vector == PF) /* read-only: again until it is not, so that the IPI gets in between */
		return true;
	if (f->vector != 0x60)
		return false;
	invlpg(SPOT);
	if (__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
		f->rsi = 1;
	apic_write(APIC_EOI, 0);
	__atomic_add_fetch(&acks, 1, __ATOMIC_SEQ_CST);
	return true;
}

static void shoot(u64 pa, u64 bits)
{
	acks = 0;
	*page_entry(SPOT, 1) = pa | bits;
	invlpg(SPOT);
	apic_write(APIC_ICR, 0xc4060);
	while (__atomic_load_n(&acks, __ATOMIC_SEQ_CST) < n_cpus - 1)
		pause();
}

static bool loop_user;

/* Loops that read and write SPOT until RSI is not 0. Poison in RBX: a stale page was read. */
static void shootdown(struct cpu *cpu)
{
	if (cpu->index) {
		unsigned kind = cpu->index % 4;
		struct frame f = fresh();

		cpu->hook = flush_hook;
		f.rdi = SPOT;
		f.rsp = SPOT + 0x400 - cpu->index * 64;
		f.rbp = SPOT + 0x500 + cpu->index * 64;
		f.rbx = f.rcx = f.rsi = 0;
		f.r11 = 0x40;
		f.rflags = FL_IF;
		__atomic_add_fetch(&turn, 1, __ATOMIC_SEQ_CST);
		if (go(&f, loop_code[kind], loop_user) != VEC_DONE || cpu->trap.frame.rbx >> 63)
			__atomic_add_fetch(&poisoned, 1, __ATOMIC_SEQ_CST);
		cpu->hook = NULL;
		return;
	}
	while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) < n_cpus - 1)
		pause();
	delay_us(500);
	for (unsigned i = 1; i <= 60; i++) {
		u8 *now = i & 1 ? page_b : page_a, *old = i & 1 ? page_a : page_b;

		shoot((u64)now, PTE_P | PTE_W | PTE_U | (i % 3 ? 0 : PTE_G));
		/* nobody may reach the old one any more */
		for (unsigned k = 0; k < 512; k++)
			((volatile u64 *)old)[k] = 0xdead000000000000 + k;
		delay_us(20);
		for (unsigned k = 0; k < 512; k++)
			old_pages += ((volatile u64 *)old)[k] != 0xdead000000000000 + k;
		for (unsigned k = 0; k < 512; k++)
			((volatile u64 *)old)[k] = 1;
		if (i % 4 == 0) { /* read-only for a while */
			shoot((u64)now, PTE_P | PTE_U);
			for (unsigned k = 0; k < 512; k++)
				((volatile u64 *)now)[k] = 5 + k;
			delay_us(20);
			for (unsigned k = 0; k < 512; k++)
				old_pages += ((volatile u64 *)now)[k] != 5 + k;
			*page_entry(SPOT, 1) = (u64)now | PTE_P | PTE_W | PTE_U;
			invlpg(SPOT);
		}
	}
	stop = 1;
	shoot((u64)page_a, PTE_P | PTE_W | PTE_U);
}

static void make_loops(void)
{
	for (unsigned k = 0; k < 4; k++) {
		u8 *again = loop_code[k] = piece(128);

		switch (k) {
		case 0: /* a group */
			put_mem(H_W, 0x8b, RAX, mem(RDI, NONE, 0, 0x100, 0));
			put_mem(H_W, 0x0b, RBX, mem(RDI, NONE, 0, 0x108, 0));
			put_mem(H_W, 0x89, RCX, mem(RDI, NONE, 0, 0x140, 0));
			put_rr(H_W, 0x09, RAX, RBX);
			break;
		case 1: /* the stack; it is nobody else's there, and the page changes between them
			 */
			put_mem(H_W, 0x89, RCX, mem(RSP, NONE, 0, -8, 0));
			put_mem(H_W, 0x0b, RBX, mem(RDI, NONE, 0, 0x80, 0));
			B(0x51, 0x51, 0x58, 0x58); /* push rcx; push rcx; pop rax; pop rax */
			break;
		case 2: /* locked, indexed, by RBP */
			put_mem(H_W | H_LOCK, 0x01, RDX, mem(RBP, NONE, 0, 0, 0));
			put_mem(H_W, 0x0b, RBX, mem(RDI, R11, 3, 0, 0));
			put_mem(H_W, 0x89, RCX, mem(RDI, R11, 3, 8, 0));
			break;
		case 3: /* stores only */
			put_mem(H_W, 0x89, RCX, mem(RDI, NONE, 0, 0x600, 0));
			put_mem(H_W, 0xc7, 0, mem(RDI, NONE, 0, 0x608, 0));
			put32(3);
			put_mem(H_W, 0x0fc3, RCX, mem(RDI, NONE, 0, 0x610, 0));
			break;
		}
		B(0x48, 0xff, 0xc1);			      /* inc rcx */
		B(0x85, 0xf6, 0x74, (u8)(again - (out + 4))); /* test esi, esi; jz */
		put_done();
	}
}

static void other_cpus(void)
{
	section("other CPUs");
	for (unsigned w = 0; w < STORES; w++) {
		x_writer[w] = piece(64);
		put(stores[w].bytes, stores[w].n);
		put_done();
	}
	for (unsigned i = 0; i < X_PAGES; i++) {
		u8 *save = out;

		x_page[i] = page_alloc();
		out = x_page[i] + 0x100;
		x_imm[i] = imm_code();
		out = save;
	}
	smp_run(n_cpus, written_elsewhere);
	CHECK_EQ(wrong_code, 0, "code that one CPU's hot code writes and the others run");
	make_loops();
	for (unsigned u = 0; u < 2; u++) {
		/* at CPL 0, too, an interrupt must not push to the page that comes and goes */
		loop_user = !u;
		turn = stop = old_pages = poisoned = 0;
		for (unsigned k = 0; k < 512; k++)
			((u64 *)page_a)[k] = ((u64 *)page_b)[k] = 1;
		page_map(SPOT, (u64)page_a, PTE_P | PTE_W | PTE_U);
		smp_run(n_cpus, shootdown);
		CHECK_EQ(old_pages, 0,
			 u ? "no store reaches a page after its shootdown: CPL 0"
			   : "no store reaches a page after its shootdown: CPL 3");
		CHECK_EQ(poisoned, 0, "and no load");
	}
	page_map(SPOT, 0, 0);
}

void suite(void)
{
	page_a = page_alloc();
	page_b = page_alloc();
	stack = page_alloc();
	write_cr4(read_cr4() | CR4_OS);
	traps_on_ist(true);
	stale();
	code_changes();
	n_cpus = smp_start();
	print("# %u CPUs\n", n_cpus);
	if (n_cpus > 1)
		other_cpus();
	else
		skip("other CPUs", "one CPU");
	traps_on_ist(false);
}
