/* SPDX-License-Identifier: Apache-2.0 */
/* The proof of a block (check.c): host code as the emitters make it is accepted, the same with one
 * thing wrong is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/soft/trans/gen.h"
#include "host/fail.h"

#define SLOT_READ  ((u32)G(hot.slot))
#define SLOT_WRITE ((u32)(G(hot.slot) + (TRANS_SLOTS - 1) * sizeof(struct page_slot)))

static u8 cache[8192];
static struct tcache *x;
static struct tpage page32; /* of 32-bit code */
static struct tblock *t;
static struct emit e;
static u8 *main_end;

static void begin(void)
{
	memset(cache, 0xcc, sizeof(cache));
	e = (struct emit){.p = cache + 4096, .end = cache + sizeof(cache)};
	memset(t, 0, sizeof(*t) + 4 * sizeof(struct tinsn) + 2 * sizeof(struct tguard));
	t->count = 4;
	t->guards = 2;
	t->start = e.p;
	main_end = NULL;
}

static bool accepted(void)
{
	if (!main_end) {
		e_jmp(&e, cache + 64); /* out by a stub */
		main_end = e.p;
	}
	assert_false(e.full);
	return check_block(x, t, main_end, e.p);
}

static void bytes(const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		e8(&e, ((const u8 *)p)[i]);
}
#define BYTES(...) bytes((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

/* --- lookups: what emit_lookup() does, with knobs --- */

struct lookup {
	unsigned mask, size; /* of the crossing test; 0: none */
	u32 table;
	bool tested, back_far, other_address, read_miss;
	s32 disp; /* of the access; -1 is right */
	bool write;
};

static void lookup(struct lookup l)
{
	u8 *cross = NULL, *miss = NULL, *top, *back;
	e_lea(&e, H_R10, H_RBX, NOREG, 0, 16, 8);
	if (l.mask) {
		e_test_imm8(&e, H_R10, l.mask);
		cross = e_jcc_fwd(&e, 5);
	}
	top = e.p;
	e_pext_gs(&e, H_R11, H_R10, G(hot.mask));
	e_gs_load(&e, H_R10, l.table);
	e_load(&e, 8, H_R11, H_R10, H_R11, 3, 0);
	if (l.tested) {
		e_test_imm8(&e, H_R11, 1);
		miss = e_jcc_fwd(&e, 4);
	}
	back = e.p;
	if (l.write) { /* mov [rbx + r11 + disp], rcx */
		BYTES(0x4a, 0x89);
		e_mem(&e, H_RCX, H_RBX, H_R11, 0, 16 + l.disp);
	} else {
		e_load(&e, 8, H_RCX, H_RBX, H_R11, 0, 16 + l.disp);
	}
	e_jmp(&e, cache + 64);
	main_end = e.p;
	if (cross) {
		e_here(&e, cross);
		e_lea(&e, H_R11, H_R10, NOREG, 0, (s32)l.size - 1, 8);
		BYTES(0x4d, 0x31, 0xd3);       /* xor r11, r10 */
		BYTES(0x49, 0xc1, 0xeb, 0x0c); /* shr r11, 12 */
		e_rel32(e_jcc_fwd(&e, 4), l.back_far ? back : top);
	}
	if (miss) {
		e_here(&e, miss);
		e_lea(&e, H_R10, H_RBX, NOREG, 0, l.other_address ? 24 : 16, 8);
		t->ti[0].size = 8;
		e_mov_imm(&e, H_R11, (u64)&t->ti[0] | (l.write && !l.read_miss));
		e_call(&e, x->miss);
		e_jmp(&e, back);
	}
}

static const struct lookup good = {
	.mask = 7, .size = 8, .table = G(hot.rt), .tested = true, .disp = -1};

static void test_lookup(void **state)
{
	struct lookup l = good;
	(void)state;
	begin();
	lookup(l);
	assert_true(accepted());
	l.table = G(hot.wt);
	l.write = true;
	begin();
	lookup(l);
	assert_true(accepted());
}

/* [RBX + RDI * 4], where RBX became a sum of so many: what the walk knows of it has an end. */
static void lookup_of_sum(unsigned terms)
{
	static const u8 others[] = {H_RCX, H_RDX, H_RSI, H_RBP, H_R8, H_R12, H_R13, H_R14, H_R15};
	u8 *cross, *miss, *top, *back;
	for (unsigned i = 0; i + 1 < terms; i++)
		e_lea(&e, H_RBX, H_RBX, others[i % sizeof(others)], 1, 8, 8);
	e_lea(&e, H_R10, H_RBX, H_RDI, 2, 0, 8);
	e_test_imm8(&e, H_R10, 7);
	cross = e_jcc_fwd(&e, 5);
	top = e.p;
	e_pext_gs(&e, H_R11, H_R10, G(hot.mask));
	e_gs_load(&e, H_R10, G(hot.rt));
	e_load(&e, 8, H_R11, H_R10, H_R11, 3, 0);
	e_test_imm8(&e, H_R11, 1);
	miss = e_jcc_fwd(&e, 4);
	back = e.p;
	e_lea(&e, H_R10, H_RBX, H_RDI, 2, 0, 8);
	e_load(&e, 8, H_RAX, H_R10, H_R11, 0, -1);
	e_jmp(&e, cache + 64);
	main_end = e.p;
	e_here(&e, cross);
	e_lea(&e, H_R11, H_R10, NOREG, 0, 7, 8);
	BYTES(0x4d, 0x31, 0xd3);       /* xor r11, r10 */
	BYTES(0x49, 0xc1, 0xeb, 0x0c); /* shr r11, 12 */
	e_rel32(e_jcc_fwd(&e, 4), top);
	e_here(&e, miss);
	e_lea(&e, H_R10, H_RBX, H_RDI, 2, 0, 8);
	t->ti[0].size = 8;
	e_mov_imm(&e, H_R11, (u64)&t->ti[0]);
	e_call(&e, x->miss);
	e_jmp(&e, back);
}

static void test_lookup_of_sums(void **state)
{
	(void)state;
	for (unsigned terms = 1; terms < 20; terms++) {
		begin();
		lookup_of_sum(terms);
		if (!accepted())
			fail_msg("%u terms: %s", terms, fail_text());
	}
}

/* A family that looks its page up: what look_up() of slot.c does, with knobs; the second member is
 * at [RBX + at], of 8 bytes. */
struct looked {
	unsigned len, crossed; /* bytes that the guard says, that the code tests */
	s32 at;
	bool tested, write, guard_write, table_write, moved, body, from_cell;
};

static void looked(struct looked l)
{
	struct tguard *g = &guards_of(t)[0];
	u32 entry = G(hot.looked[3]);
	u8 *cross, *miss = NULL, *back;
	*g = (struct tguard){
		.ti = &t->ti[0], .slot = entry, .len = (u16)l.len, .write = l.guard_write};
	e_lea(&e, H_R10, H_RBX, NOREG, 0, 16, 8);
	e_lea(&e, H_R11, H_R10, NOREG, 0, (s32)l.crossed - 1, 8);
	BYTES(0x4d, 0x31, 0xd3);       /* xor r11, r10 */
	BYTES(0x49, 0xc1, 0xeb, 0x0c); /* shr r11, 12 */
	cross = e_jcc_fwd(&e, 5);
	e_page_number(&e);
	e_gs_load(&e, H_R10, l.table_write ? G(hot.wt) : G(hot.rt));
	e_load(&e, 8, H_R11, H_R10, H_R11, 3, 0);
	if (l.tested) {
		e_test_imm8(&e, H_R11, 1);
		miss = e_jcc_fwd(&e, 4);
	}
	back = e.p;
	e_gs_store(&e, H_R11, entry);
	e_load(&e, 8, H_RCX, H_RBX, H_R11, 0, 16 - 1);
	if (l.moved)
		e_lea(&e, H_RBX, H_RBX, NOREG, 0, 8, 8);
	if (l.body) {
		e_mov_imm(&e, H_R10, (u64)&t->ti[0]);
		e_call(&e, x->interp);
	}
	if (l.from_cell || l.body)
		e_gs_load(&e, H_R11, entry);
	if (l.write) { /* mov [rbx + r11 + at - 1], rcx */
		BYTES(0x4a, 0x89);
		e_mem(&e, H_RCX, H_RBX, H_R11, 0, l.at - 1);
	} else {
		e_load(&e, 8, H_RCX, H_RBX, H_R11, 0, l.at - 1);
	}
	e_jmp(&e, cache + 64);
	main_end = e.p;
	e_here(&e, cross);
	if (miss)
		e_here(&e, miss);
	e_lea(&e, H_R10, H_RBX, NOREG, 0, 16, 8);
	e_mov_imm(&e, H_R11, (u64)g);
	e_call(&e, x->family[l.guard_write]);
	e_jmp(&e, back);
}

static const struct looked well = {.len = 64, .crossed = 64, .at = 16 + 40, .tested = true};

#define LOOKED(change)                                                                             \
	({                                                                                         \
		struct looked l = well;                                                            \
		change;                                                                            \
		begin();                                                                           \
		looked(l);                                                                         \
		accepted();                                                                        \
	})
#define WRITES (l.write = l.guard_write = l.table_write = true)

static void test_looked(void **state)
{
	(void)state;
	assert_true(LOOKED((void)0));
	assert_true(LOOKED(l.from_cell = true));
	assert_true(LOOKED(l.at = 16));
	assert_true(LOOKED(l.at = 16 + 56));
	assert_true(LOOKED(WRITES));
	assert_true(LOOKED((l.moved = true, l.at = 16 + 48)));
	assert_true(LOOKED((l.len = l.crossed = 4096, l.at = 16 + 4088)));
	assert_false(LOOKED(l.at = 16 + 57));			/* beyond it */
	assert_false(LOOKED(l.at = 15));			/* before it */
	assert_false(LOOKED((l.moved = true, l.at = 16 + 49))); /* since RBX moved */
	assert_false(LOOKED(l.crossed = 40));			/* fewer were tested */
	assert_false(LOOKED(l.len = 40));			/* or are in the stub */
	assert_false(LOOKED(l.tested = false));
	assert_false(LOOKED((l.write = l.guard_write = true))); /* by the table of reads */
	assert_false(LOOKED((l.write = l.table_write = true))); /* by a guard of reads */
	assert_false(LOOKED(l.write = true));
	assert_false(LOOKED(l.body = true)); /* a body may have dropped it */
	assert_false(LOOKED((l.len = l.crossed = 4097, l.at = 16 + 4089)));
}

#define REFUSED(change)                                                                            \
	do {                                                                                       \
		struct lookup l = good;                                                            \
		change;                                                                            \
		begin();                                                                           \
		lookup(l);                                                                         \
		assert_false(accepted());                                                          \
	} while (0)

static void test_lookup_wrong(void **state)
{
	(void)state;
	REFUSED(l.mask = 0);	   /* perhaps in two pages */
	REFUSED(l.mask = 3);	   /* too few bits */
	REFUSED(l.size = 4);	   /* the side tests too few bytes */
	REFUSED(l.tested = false); /* an empty entry */
	REFUSED(l.disp = 0);	   /* a byte behind */
	REFUSED(l.disp = 7);	   /* another address */
	REFUSED(l.disp = -4097);   /* another page */
	REFUSED(l.write = true);   /* a write by the table of reads */
	REFUSED(l.write = true; l.table = G(hot.wt); l.read_miss = true);
	REFUSED(l.table = G(hot.xt));	 /* the table of code */
	REFUSED(l.table = G(hot.mask));	 /* no table */
	REFUSED(l.other_address = true); /* the miss is told another address */
	REFUSED(l.back_far = true);	 /* the crossing test skips the lookup */
}

/* --- slots: what slot_guard() does --- */

struct guard {
	u32 slot, load;
	s32 lo, disp, len;
	bool guarded, moved, write, side_read, body;
	s8 add[2]; /* 32-bit code: to ESI, behind the guard */
	bool narrow, wide_stub, copied, upper, again;
};

static void guard(struct guard g)
{
	u8 *miss = NULL, *back;
	struct tguard *of = &guards_of(t)[1];
	t->page = g.narrow ? &page32 : NULL;
	if (g.upper)
		e_gs_load(&e, H_RSI, G(cpu.s.kernel_gs_base));
	of->ti = &t->ti[1];
	of->slot = g.slot;
	of->len = (u16)g.len;
	of->write = g.slot == SLOT_WRITE;
	if (g.guarded) {
		e_lea(&e, H_R10, H_RSI, NOREG, 0, g.lo, 8);
		e_gs(&e, true, 0x2b, H_R10, g.slot);
		BYTES(0x49, 0x81, 0xfa); /* cmp r10, imm32 */
		e32(&e, (u32)(RAM_PAGE - g.len));
		miss = e_jcc_fwd(&e, 7);
	}
	back = e.p;
	if (g.moved)
		e_lea(&e, H_RSI, H_RSI, NOREG, 0, 8, 8);
	for (unsigned i = 0; i < 2; i++)
		if (g.add[i]) /* add esi, imm8 */
			BYTES(0x83, 0xc6, (u8)g.add[i]);
	if (g.again)
		e_lea(&e, H_RSI, H_RSI, NOREG, 0, 0, 4);
	if (g.copied) /* mov esi, edi */
		BYTES(0x89, 0xfe);
	if (g.body) {
		e_mov_imm(&e, H_R10, (u64)&t->ti[0]);
		e_call(&e, x->interp);
	}
	e_gs_load(&e, H_R10, g.load);
	if (g.write) { /* mov [rsi + r10 + disp], rcx */
		BYTES(0x4a, 0x89);
		e_mem(&e, H_RCX, H_RSI, H_R10, 0, g.disp);
	} else {
		e_load(&e, 8, H_RCX, H_RSI, H_R10, 0, g.disp);
	}
	e_jmp(&e, cache + 64);
	main_end = e.p;
	if (miss) {
		e_here(&e, miss);
		e_lea(&e, H_R10, H_RSI, NOREG, 0, g.lo, 8);
		e_mov_imm(&e, H_R11, (u64)of);
		e_call(&e, x->slot_stub[g.narrow && !g.wide_stub]
				       [g.slot == SLOT_WRITE && !g.side_read]);
		e_jmp(&e, back);
	}
}

static const struct guard fine = {
	.slot = SLOT_READ, .load = SLOT_READ + 8, .lo = -8, .disp = 0, .len = 16, .guarded = true};

#define GUARD(answer, change)                                                                      \
	do {                                                                                       \
		struct guard g = fine;                                                             \
		change;                                                                            \
		begin();                                                                           \
		guard(g);                                                                          \
		assert_int_equal(accepted(), answer);                                              \
	} while (0)

static void test_slots(void **state)
{
	(void)state;
	GUARD(true, (void)g);
	GUARD(true, g.disp = -8);
	GUARD(true, g.moved = true; g.disp = -8); /* the same bytes as before */
	GUARD(true, g.slot = SLOT_WRITE; g.load = SLOT_WRITE + 8; g.write = true);
	GUARD(false, g.guarded = false);
	GUARD(false, g.disp = 1);	       /* the last byte is one too far */
	GUARD(false, g.disp = -9);	       /* the first one too early */
	GUARD(false, g.moved = true);	       /* 8 bytes on */
	GUARD(false, g.write = true);	       /* a slot that readers fill */
	GUARD(false, g.load = SLOT_WRITE + 8); /* another slot's addend */
	GUARD(false, g.load = SLOT_READ);      /* its page */
	GUARD(false, g.load = SLOT_READ + 16); /* the host's page, as if it was an addend */
	GUARD(false, g.body = true);	       /* a body may have changed it */
	GUARD(false, g.slot = SLOT_WRITE; g.load = SLOT_WRITE + 8; g.write = true;
	      g.side_read = true);
}

/* 32-bit code, whose registers are cut when they move: bytes -8 to 7 from ESI were guarded. */
static void test_narrow(void **state)
{
	(void)state;
	GUARD(true, g.narrow = true);
	GUARD(true, g.narrow = true; g.add[0] = 8; g.disp = -8);
	GUARD(true, g.narrow = true; g.add[0] = -8; g.disp = 8);
	GUARD(true, g.narrow = true; g.add[0] = 4; g.add[1] = 4; g.disp = -8);
	GUARD(true, g.narrow = true; g.add[0] = 100; g.add[1] = -100); /* out, and back */
	GUARD(true, g.narrow = true; g.add[0] = 100; g.add[1] = -96; g.disp = -4);
	GUARD(false, g.narrow = true; g.add[0] = 9; g.disp = -9); /* perhaps over 4 GiB */
	GUARD(false, g.narrow = true; g.add[0] = -9; g.disp = 9); /* perhaps below 0 */
	GUARD(false, g.narrow = true; g.add[0] = 100; g.add[1] = -91; g.disp = -9);
	GUARD(false, g.narrow = true; g.add[0] = 8); /* 8 bytes on */
	GUARD(false, g.narrow = true; g.copied = true);
	/* a base that is not in the page: ESI is cut already, 64 bits of RSI are not */
	GUARD(true, g.narrow = true; g.again = true; g.lo = g.disp = 16);
	GUARD(false, g.narrow = true; g.again = g.upper = true; g.lo = g.disp = 16);
	GUARD(false, g.narrow = true; g.wide_stub = true); /* fills it with any page */
	GUARD(false, g.add[0] = 8; g.disp = -8); /* 64-bit code: it may have been anything */
}

/* --- single instructions --- */

static bool one(const void *p, size_t n)
{
	begin();
	bytes(p, n);
	return accepted();
}
#define ONE(...) one((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

static void test_instructions(void **state)
{
	(void)state;
	assert_true(ONE(0x48, 0x01, 0xd8));			     /* add rax, rbx */
	assert_true(ONE(0xc5, 0xfc, 0x58, 0xc1));		     /* vaddps ymm0, ymm0, ymm1 */
	assert_true(ONE(0x65, 0x48, 0x8b, 0x04, 0x25, 8, 0, 0, 0));  /* mov rax, gs:[8] */
	assert_false(ONE(0x0f, 0x05));				     /* syscall */
	assert_false(ONE(0xcd, 0x80));				     /* int 80h */
	assert_false(ONE(0xf4));				     /* hlt */
	assert_false(ONE(0xc3));				     /* ret */
	assert_false(ONE(0x50));				     /* push rax */
	assert_false(ONE(0x5c));				     /* pop rsp */
	assert_false(ONE(0xf3, 0xa4));				     /* rep movsb */
	assert_false(ONE(0x0f, 0xae, 0x38));			     /* clflush [rax] */
	assert_false(ONE(0xf3, 0x48, 0x0f, 0xae, 0xd8));	     /* wrgsbase rax */
	assert_false(ONE(0x65, 0x8e, 0xe8));			     /* mov gs, eax */
	assert_false(ONE(0x48, 0x89, 0xc4));			     /* mov rsp, rax */
	assert_false(ONE(0x48, 0x83, 0xc4, 8));			     /* add rsp, 8 */
	assert_false(ONE(0x48, 0x8b, 0x03));			     /* mov rax, [rbx] */
	assert_false(ONE(0x48, 0x8b, 0x04, 0x24));		     /* mov rax, [rsp] */
	assert_false(ONE(0x48, 0x8b, 0x05, 0, 0, 0, 0));	     /* mov rax, [rip] */
	assert_false(ONE(0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0));	     /* mov rax, [0] */
	assert_false(ONE(0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0)); /* mov rax, fs:[0] */
	assert_false(ONE(0x65, 0x48, 0x8b, 0x03));		     /* mov rax, gs:[rbx] */
	assert_false(ONE(0x65, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0x40));		 /* far outside */
	assert_false(ONE(0x65, 0x48, 0x8b, 0x04, 0x25, 0xf8, 0xff, 0xff, 0xff)); /* before it */
	assert_false(ONE(0xff, 0xe0));						 /* jmp rax */
	assert_false(ONE(0xff, 0xd0));						 /* call rax */
	assert_false(ONE(0xe8, 0, 0, 0, 0)); /* call what follows */
}

static void vcpu_write(u32 off)
{
	begin();
	e_gs_store(&e, H_RAX, off);
}

static void test_vcpu_block(void **state)
{
	(void)state;
	vcpu_write(G_REG(10));
	assert_true(accepted());
	vcpu_write(G(hot.rt));
	assert_false(accepted());
	vcpu_write(G(hot.stack_add));
	assert_false(accepted());
	vcpu_write(SLOT_READ + 8);
	assert_false(accepted());
	vcpu_write(G(hot.mask));
	assert_false(accepted());
	vcpu_write(G(cpu.mode));
	assert_false(accepted());
	vcpu_write(G(cpu.rflags) + 4); /* and what follows */
	assert_false(accepted());
}

/* --- what the proof takes for granted of addresses: docs/translator.md --- */

/* Guest addresses whose bits 47..12 are those of a mapped page, with every pattern above; the
 * host's page lies in user space. All but the page itself end where the host has nothing. */
static void test_upper_bits(void **state)
{
	static const u64 host[] = {0x1000, 0x555555554000, 0x7ffffffff000 - 0x1000};
	static const u64 guest[] = {0x1000, 0x7ffffffff000, 0xffff800000000000, 0xfffffffffffff000};
	(void)state;
	for (unsigned h = 0; h < ARRAY_LEN(host); h++)
		for (unsigned g = 0; g < ARRAY_LEN(guest); g++)
			for (u64 k = 0; k < 0x10000; k++) {
				u64 entry = host[h] - guest[g] + 1;
				u64 a = (guest[g] + 0xff8) ^ k << 48, at = a + entry - 1;
				assert_true(k ? !canonical(at) : at == host[h] + 0xff8);
			}
}

/* An empty slot or window: whatever passes its guard, or would be added to it. */
static void test_empty_slots(void **state)
{
	(void)state;
	for (u64 off = 0; off < RAM_PAGE; off += 8)
		assert_false(canonical(BIT64(63) + off + BIT64(62)));
	for (u64 a = 0; a < BIT64(47); a += BIT64(40) - 8) {
		assert_false(canonical(a + BIT64(62)));
		assert_false(canonical((0 - BIT64(47)) + a + BIT64(62)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_upper_bits),     cmocka_unit_test(test_empty_slots),
		cmocka_unit_test(test_lookup),	       cmocka_unit_test(test_lookup_wrong),
		cmocka_unit_test(test_lookup_of_sums), cmocka_unit_test(test_looked),
		cmocka_unit_test(test_slots),	       cmocka_unit_test(test_instructions),
		cmocka_unit_test(test_vcpu_block),     cmocka_unit_test(test_narrow),
	};
	x = calloc(1, sizeof(*x));
	t = calloc(1, sizeof(*t) + 4 * sizeof(struct tinsn) + 2 * sizeof(struct tguard));
	assert_non_null(x);
	assert_non_null(t);
	x->rw = cache;
	x->stubs = 1024;
	x->miss = cache + 128;
	x->slot_stub[0][0] = cache + 192;
	x->slot_stub[0][1] = cache + 256;
	x->slot_stub[1][0] = cache + 576;
	x->slot_stub[1][1] = cache + 640;
	x->interp = cache + 320;
	x->simd = cache + 384;
	x->family[0] = cache + 704;
	x->family[1] = cache + 768;
	x->stack_stub[0] = cache + 448;
	x->stack_stub[1] = cache + 704;
	x->stack_leave = cache + 512;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
