/* SPDX-License-Identifier: Apache-2.0 */
/* breakout64: a guest that tries to reach what it may not: addresses that are not canonical, that
 * wrap, or that segment bases lead to (Intel SDM 1 3.3.7.1, 3A 3.4.4). */
#include "rt/code64.h"

#define LOW  0x123456789000ul /* pages of the tests' own, in both halves */
#define HIGH 0xffff923456789000ul
#define FAR_ 0x7654321000ul

static u8 *page_a;

/* --- addresses that are not canonical --------------------------------------------------------- */

struct op {
	const char *name;
	unsigned how, op, reg, imm; /* imm: its bytes */
	bool flags;		    /* it writes flags: what it leaves when it faults is not said */
};

static const struct op ops[] = {
	{"mov r8", 0, 0x8a, RDX, 0, false},
	{"mov r16", H_16, 0x8b, RDX, 0, false},
	{"mov r32", 0, 0x8b, RDX, 0, false},
	{"mov r64", H_W, 0x8b, RDX, 0, false},
	{"mov r9", H_W, 0x8b, R9_, 0, false},
	{"movzx", 0, 0x0fb6, RDX, 0, false},
	{"movsxd", H_W, 0x63, RDX, 0, false},
	{"cmovc", H_W, 0x0f42, RDX, 0, false},
	{"cmp", H_W, 0x3b, RDX, 0, true},
	{"adc", H_W, 0x13, RDX, 0, true},
	{"mov m8", 0, 0x88, RDX, 0, false},
	{"mov m16", H_16, 0x89, RDX, 0, false},
	{"mov m32", 0, 0x89, RDX, 0, false},
	{"mov m64", H_W, 0x89, RDX, 0, false},
	{"mov m64, r11", H_W, 0x89, R11, 0, false},
	{"mov m8, imm", 0, 0xc6, 0, 1, false},
	{"mov m64, imm", H_W, 0xc7, 0, 4, false},
	{"movnti", H_W, 0x0fc3, RDX, 0, false},
	{"add m64", H_W, 0x01, RDX, 0, true},
	{"lock add m64", H_W | H_LOCK, 0x01, RDX, 0, true},
	{"xchg", H_W, 0x87, RDX, 0, false},
	{"not m32", 0, 0xf7, 2, 0, false},
	{"inc m64", H_W, 0xff, 0, 0, true},
	{"lock cmpxchg", H_W | H_LOCK, 0x0fb1, RDX, 0, true},
	{"xadd", H_W, 0x0fc1, RDX, 0, true},
	{"setc", 0, 0x0f92, 0, 0, false},
	{"movups load", 0, 0x0f10, 1, 0, false},
	{"movaps load", 0, 0x0f28, 1, 0, false},
	{"movups store", 0, 0x0f11, 1, 0, false},
	{"movsd load", H_F2, 0x0f10, 1, 0, false},
	{"push m", 0, 0xff, 6, 0, false},
	{"pop m", 0, 0x8f, 0, 0, false},
	{"call m", 0, 0xff, 2, 0, false},
	{"jmp m", 0, 0xff, 4, 0, false},
	{"fild m64", 0, 0xdf, 5, 0, false},
};
#define OPS (sizeof(ops) / sizeof(ops[0]))

static const u8 bases[] = {RAX, RBP, RSP, R12, R13, R10, RDI, NONE};
static const u16 wrong[] = {1, 2, 0x8000, 0x7fff, 0xffff, 0xfffe, 0x00ff, 0x5555, 0x8001, 0x4000};

/* What CMP leaves of these two: all combinations of CF, ZF, SF, OF and PF that it can leave. */
static const u64 pairs[][2] = {
	{5, 5},
	{1, 0},
	{3, 0},
	{0, 1},
	{0, 3},
	{1ul << 63, 1},
	{1ul << 63, 2},
	{1, 1ul << 63},
	{2, 1ul << 63},
	{~0ul, 1},
	{~0ul, 2},
	{1, ~0ul},
	{0x7fffffffffffffff, ~0ul},
	{0x10, 1},
	{1ul << 63, ~0ul},
};
#define PAIRS (sizeof(pairs) / sizeof(pairs[0]))

static u32 cmp_flags(u64 a, u64 b)
{
	u64 r = a - b;
	u32 f = 2;

	f |= a < b ? FL_CF : 0;
	f |= r ? 0 : FL_ZF;
	f |= r >> 63 ? FL_SF : 0;
	f |= ((a ^ b) & (a ^ r)) >> 63 ? FL_OF : 0;
	f |= (a ^ b ^ r) & 0x10 ? FL_AF : 0;
	f |= __builtin_popcount((u8)r) & 1 ? 0 : FL_PF;
	return f;
}

static bool stack_based(const struct mem *m)
{
	return (m->base == RSP || m->base == RBP) && !m->prefix;
}

/* cmp r14, r15 (or nothing); the instruction; done. */
static u8 *one_op(const struct op *op, struct mem m, bool compare, u8 **insn)
{
	u8 *start = piece(64);

	if (compare)
		put_rr(H_W, 0x39, R15_, R14);
	*insn = out;
	put_mem(op->how, op->op, op->reg, m);
	for (unsigned i = 0; i < op->imm; i++)
		B(0x11);
	put_done();
	return start;
}

static bool tried_one(const struct op *op, u64 page, struct mem m, unsigned variant, bool user)
{
	static unsigned n;
	struct frame f = fresh(), want;
	u8 *insn, *start = one_op(op, m, variant & 1, &insn);
	u64 off = user ? USER_BASE : 0, at = page + 0x200;
	u8 by = m.index < 16 ? m.index : m.base;
	bool good = true;

	/* m.disp + base (+ index) is `at` */
	if (m.index < 16)
		*reg(&f, m.index) = m.base < 16 ? 0x40 : at;
	if (m.base < 16)
		*reg(&f, m.base) = at - (m.index < 16 ? 0x40ul << m.scale : 0) - (u64)m.disp;
	else if (m.index < 16)
		*reg(&f, m.index) = at >> m.scale;
	for (unsigned i = 0; i < sizeof(wrong) / 2 + 2; i++) {
		u64 flip = i < 2 ? 0 : (u64)wrong[i - 2] << 48;
		u32 vector;

		n++;
		if (flip && m.index < 16 && m.scale)
			by = m.base; /* the index is shifted */
		if (by >= 16)
			return good;
		want = f;
		*reg(&want, by) ^= flip;
		want.r14 = pairs[n % PAIRS][0];
		want.r15 = pairs[n % PAIRS][1];
		want.rflags = (n * 0x45) & FL_STATUS;
		if (!flip) { /* the way is known: at its second time, too */
			*(volatile u64 *)(page_a + 0x200) = (u64)out - 2 + off;
			go(&want, start, user);
			continue;
		}
		fill(page_a, 7);
		vector = go(&want, start, user);
		want.rip = (u64)insn + off;
		if (variant & 1)
			want.rflags = cmp_flags(want.r14, want.r15);
		good &= vector == (stack_based(&m) && !on_qemu() ? SS : GP);
		good &= this_cpu()->trap.error == 0 && filled(page_a, 7);
		good &= same_regs(&want, &this_cpu()->trap.frame, op->flags ? 0 : FL_STATUS,
				  op->name);
	}
	return good;
}

static void operands(bool user)
{
	static char names[2][OPS][64];
	unsigned n = 0;

	section(user ? "operands that are not canonical, at CPL 3" : "the same at CPL 0");
	for (unsigned o = 0; o < OPS; o++) {
		unsigned bad = 0;
		char *name = names[user][o], *p = name;

		for (const char *s = ops[o].name; *s;)
			*p++ = *s++;
		for (const char *s = ": #GP(0) or #SS(0), nothing changed"; *s;)
			*p++ = *s++;
		for (unsigned b = 0; b < sizeof(bases); b++)
			for (unsigned x = 0; x < 4; x++, n++) {
				static const u8 index[] = {NONE, RCX, R11, RBP};
				struct mem m = {bases[b], index[x], x == 2 ? 3 : 0,
						n % 3 ? (s64)(n % 5) * 8 : -0x140, 0};

				if (m.base == NONE && m.index == NONE)
					continue;
				if (m.base == NONE || m.index == m.base) {
					m.scale = 0;
					m.disp = 0;
				}
				if (m.index == m.base || (ops[o].reg == R11 && x == 2) ||
				    (ops[o].op == 0x8f && m.base == RSP))
					continue;
				bad += !tried_one(&ops[o], n & 4 ? HIGH : LOW, m, n, user);
			}
		CHECK_EQ(bad, 0, name);
	}
}

/* Instructions that use the stack by themselves. */
static void stack_operands(bool user)
{
	static const struct {
		const char *name;
		u8 bytes[8], n, at; /* at: of the instruction that faults */
		bool leave;
	} ways[] = {
		{"push", {0x52}, 1, 0, false},
		{"push r11", {0x41, 0x53}, 2, 0, false},
		{"push imm", {0x6a, 5}, 2, 0, false},
		{"pushf", {0x9c}, 1, 0, false},
		{"pop", {0x5a}, 1, 0, false},
		{"pop r10", {0x41, 0x5a}, 2, 0, false},
		{"ret", {0xc3}, 1, 0, false},
		{"ret 8", {0xc2, 8, 0}, 3, 0, false},
		{"call", {0xe8, 0, 0, 0, 0}, 5, 0, false},
		{"call reg", {0xff, 0xd2}, 2, 0, false},
		{"leave", {0xc9}, 1, 0, true},
		{"lea; push; push", {0x48, 0x8d, 0x64, 0x24, 8, 0x50, 0x51}, 7, 5, false},
		{"pop; pop", {0x5a, 0x5b}, 2, 0, false},
	};
	unsigned bad = 0;
	u64 off = user ? USER_BASE : 0;

	for (unsigned w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
		u8 *start = piece(64);

		put_rr(H_W, 0x39, R15_, R14);
		put(ways[w].bytes, ways[w].n);
		put_done();
		for (unsigned i = 0; i < sizeof(wrong) / 2 + 2; i++) {
			struct frame f = fresh();
			u64 flip = i < 2 ? 0 : (u64)wrong[i - 2] << 48;
			u64 at = ((i & 1 ? LOW : HIGH) + 0x200) ^ flip;
			u32 vector;

			f.rdx = (u64)out - 2 + off;
			*(ways[w].leave ? &f.rbp : &f.rsp) = at;
			f.r14 = pairs[(i + w) % PAIRS][0];
			f.r15 = pairs[(i + w) % PAIRS][1];
			if (!flip) {
				*(volatile u64 *)(page_a + 0x200) = f.rdx;
				bad += go(&f, start, user) != VEC_DONE;
				continue;
			}
			fill(page_a, 9);
			vector = go(&f, start, user);
			f.rip = (u64)start + off + 3 + ways[w].at;
			if (ways[w].at)
				f.rsp += 8;
			f.rflags = cmp_flags(f.r14, f.r15);
			bad += vector != (on_qemu() ? GP : SS) || this_cpu()->trap.error ||
			       !filled(page_a, 9) ||
			       !same_regs(&f, &this_cpu()->trap.frame, FL_STATUS, ways[w].name);
		}
	}
	CHECK_EQ(bad, 0, "push, pop, call, ret, leave: #SS(0), RSP, RBP and flags as before");
}

/* Over the edge of the canonical addresses. */
static void edges(bool user)
{
	static const u64 edge[] = {0x7ffffffff000, 0xffff800000000000};
	unsigned bad = 0;
	u64 off = user ? USER_BASE : 0;

	for (unsigned e = 0; e < 2; e++) {
		page_map(edge[e], (u64)page_a, PTE_P | PTE_W | PTE_U);
		for (unsigned o = 0; o < OPS; o++)
			for (int d = -16; d < 16; d++) {
				struct frame f = fresh(), want;
				struct mem m = {o & 1 ? RDI : R10, NONE, 0, o & 2 ? 8 : 0, 0};
				u8 *insn, *start = one_op(&ops[o], m, false, &insn);
				unsigned size = 1;
				u64 at = e ? edge[1] + (u64)(s64)d : edge[0] + 4096 + (u64)(s64)d;
				bool out_of_it;

				if (ops[o].how & H_16)
					size = 2;
				if (ops[o].how & H_W || ops[o].op == 0xff || ops[o].op == 0x8f ||
				    ops[o].op == 0xdf || ops[o].how & H_F2)
					size = 8;
				else if (ops[o].op == 0x8b || ops[o].op == 0x89 ||
					 ops[o].op == 0xf7)
					size = ops[o].how & H_16 ? 2 : 4;
				if (ops[o].name[3] == 's' && ops[o].name[4] == 'x')
					size = 4; /* movsxd */
				if (ops[o].op == 0x0f10 || ops[o].op == 0x0f28 ||
				    ops[o].op == 0x0f11)
					size = ops[o].how & H_F2 ? 8 : 16;
				if (ops[o].op == 0x0f28 && at & 15)
					continue;
				out_of_it = e ? d < 0 : d + (int)size > 0;
				if (!out_of_it || (on_qemu() && ops[o].op == 0x0f11))
					continue; /* QEMU stores halves of it */
				*reg(&f, m.base) = edge[e] + 0x200 - (u64)m.disp;
				*(volatile u64 *)(page_a + 0x200) = (u64)out - 2 + off;
				go(&f, start, user);
				f.rsp = (u64)USER(stack + 2048);
				*reg(&f, m.base) = at - (u64)m.disp;
				fill(page_a, 5);
				want = f;
				want.rip = (u64)insn + off;
				if (go(&f, start, user) != GP || !filled(page_a, 5) ||
				    !same_regs(&want, &this_cpu()->trap.frame,
					       ops[o].flags ? 0 : FL_STATUS, ops[o].name)) {
					print("# %s at %d: vector %d\n", ops[o].name, d,
					      (int)this_cpu()->trap.vector);
					bad++;
				}
			}
		page_map(edge[e], 0, 0);
	}
	CHECK_EQ(bad, 0, "operands over the edge of the canonical addresses: #GP(0)");
}

/* More of them than any list of places may hold. */
static void many_wrong(void)
{
	unsigned bad = 0;
	u8 *start = piece(64), *insn;
	struct frame f;

	put_mem(H_W, 0x8b, RAX, (struct mem){RDI, NONE, 0, 0, 0});
	put_mem(H_W, 0x89, RAX, (struct mem){RDI, NONE, 0, 8, 0});
	put_done();
	insn = piece(64); /* 100 families */
	for (unsigned i = 0; i < 5; i++) {
		put_mem(H_W, 0x8b, RAX, (struct mem){RDI, NONE, 0, 0, 0});
		put_rr(H_W, 0x01, RBX, RDI);
	}
	put_done();
	fill(page_a, 3);
	for (unsigned k = 0; k < 5000; k++) {
		f = fresh();
		f.rbx = 0;
		f.rdi = LOW ^ (u64)k << 48;
		bad += go(&f, k & 1 ? insn : start, true) != (k ? GP : VEC_DONE);
	}
	*(u64 *)(page_a + 8) = 0x0303030303030303ul + 1;
	bad += !filled(page_a, 3);
	CHECK_EQ(bad, 0, "5000 pages that are not canonical, from two places");
	for (unsigned k = 0; k < 5000; k++) {
		f = fresh();
		f.rdi = LOW;
		f.rbx = (u64)(k + 1) << 48;
		bad += go(&f, insn, true) != GP;
		bad += this_cpu()->trap.frame.rdi != LOW + f.rbx;
	}
	CHECK_EQ(bad, 0, "5000 in the middle of a block");
}

static void not_canonical(void)
{
	page_map(LOW, (u64)page_a, PTE_P | PTE_W | PTE_U);
	page_map(HIGH, (u64)page_a, PTE_P | PTE_W | PTE_U);
	for (unsigned user = 2; user-- > 0;) {
		operands(user);
		stack_operands(user);
		edges(user);
	}
	many_wrong();
	page_map(LOW, 0, 0);
	page_map(HIGH, 0, 0);
}

/* --- addresses ------------------------------------------------------------------------------- */

#define CODE_FAR 0x123456780000ul /* `code`, once more */
#define DATA_FAR 0x123456791000ul

/* mov rdx, [m] and mov [m], rdx; each is run three times, where it shall reach `page` at 200h (0: a
 * page fault, at linear address la; 1: #GP). */
static bool reaches(struct mem m, struct frame f, u64 la, const u8 *page, bool user, bool far_code)
{
	static const struct {
		unsigned how, op, reg;
		bool write;
	} ways[] = {
		{H_W, 0x8b, RDX, false}, {H_W, 0x89, RDX, true}, {H_W, 0x87, RDX, true},
		{H_W, 0x03, RDX, false}, {0, 0xff, 6, false},	 {H_W | H_LOCK, 0x0fc1, RDX, true},
		{H_W, 0x8b, R11, false}, {H_W, 0x89, R11, true}, {0, 0x8a, RDX, false}};
	bool good = true;

	for (unsigned w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
		u8 *start = piece(64);
		u64 at = (u64)start + (far_code ? CODE_FAR - (u64)code : user ? USER_BASE : 0);
		u64 len;

		put_mem(ways[w].how, ways[w].op, ways[w].reg, m);
		len = (u64)(out - start);
		if (m.base == RIP) { /* m.disp leads from here if the FS base is 0 */
			u64 base = m.prefix ? la - (at + len + (u64)m.disp) : 0;

			if (m.prefix)
				wrmsr(m.prefix == 0x64 ? MSR_FS_BASE : MSR_GS_BASE, base);
			else
				*(u32 *)(out - 4) = (u32)(la - (at + len));
		}
		put_done();
		for (unsigned i = 0; i < 3; i++) {
			struct frame g = f;
			const struct trap *t = &this_cpu()->trap;
			u64 seen;
			u32 vector;

			g.rdx = g.r11 = 0x5555000000000000ul + i;
			if ((u64)page > 1) {
				fill((u8 *)(uword)page, (u8)(i + 1));
				*(volatile u64 *)(page + 0x200) = 0x1000 + i;
			}
			vector = go(&g, (u8 *)(at - (user ? USER_BASE : 0)), user);
			if ((u64)page <= 1) {
				u64 err = (ways[w].write ? 2u : 0) | (user ? 4u : 0);

				if (page)
					good &= vector == GP && !t->error;
				else
					good &= vector == PF && t->cr2 == la &&
						((t->error & ~1ul) == err ||
						 (on_qemu() && ways[w].op != 0x89));
				good &= t->frame.rdx == g.rdx && t->frame.rsp == g.rsp &&
					t->frame.rip == at;
				continue;
			}
			seen = *(const volatile u64 *)(page + 0x200);
			if (vector != VEC_DONE) {
				good = false;
				print("# vector %d, cr2 %llx, want %llx\n", (int)vector,
				      (unsigned long long)t->cr2, (unsigned long long)la);
				break;
			}
			if (ways[w].op == 0x0fc1)
				good &= seen == g.rdx + 0x1000 + i;
			else if (ways[w].write)
				good &= seen == g.rdx;
			else
				good &= seen == 0x1000 + i;
			if (ways[w].op == 0x8b)
				good &= (ways[w].reg == RDX ? t->frame.rdx : t->frame.r11) ==
					0x1000 + i;
		}
	}
	return good;
}

static void segments_and_wraps(bool user)
{
	struct frame f = fresh();
	bool good = true;

	section(user ? "operands of all kinds, at CPL 3" : "the same at CPL 0");
	/* [rip + x] with code far up: the page after the code, and the same with segment bases */
	CHECK(reaches(mem(RIP, NONE, 0, 0, 0), f, DATA_FAR + 0x200, page_a, user, true),
	      "[rip + disp] above 4 GiB");
	CHECK(reaches(mem(RIP, NONE, 0, 0, 0), f, DATA_FAR + 0x5200, NULL, user, true),
	      "and not mapped: CR2");
	for (unsigned s = 0x64; s <= 0x65; s++) {
		static const u64 to[] = {DATA_FAR, FAR_, HIGH, 0xfffffffffffff000, 0x40000000000};
		static const int disps[] = {0,	0x12345678, -0x12345678,
					    -1, 0x7fffffff, -0x7fffffff - 1};

		for (unsigned i = 0; i < 5; i++)
			for (unsigned d = 0; d < 6; d++) {
				bool there = to[i] != 0x40000000000;

				/* the base has to be canonical: not from the lower half up */
				if (to[i] == HIGH)
					continue;
				good &= reaches(mem(RIP, NONE, 0, disps[d], (u8)s), f,
						to[i] + 0x200, there ? page_a : NULL, user, true);
			}
	}
	CHECK(good, "fs:[rip + disp] and gs:, any base, mapped and not");
	good = true;
	for (unsigned s = 0x64; s <= 0x65; s++) {
		u32 msr = s == 0x64 ? MSR_FS_BASE : MSR_GS_BASE;

		wrmsr(msr, FAR_ + 0x100);
		good &= reaches(mem(NONE, NONE, 0, 0x100, (u8)s), f, FAR_ + 0x200, page_a, user,
				false);
		wrmsr(msr, FAR_ + 0x300);
		good &= reaches(mem(NONE, NONE, 0, -0x100, (u8)s), f, FAR_ + 0x200, page_a, user,
				false);
		f.rdi = 0x80;
		f.rcx = 0x10;
		good &= reaches(mem(RDI, RCX, 3, -0x200, (u8)s), f, FAR_ + 0x200, page_a, user,
				false);
		f.r11 = 0x10;
		f.r10 = 0x80;
		good &= reaches(mem(R10, RCX, 3, -0x200, (u8)s), f, FAR_ + 0x200, page_a, user,
				false);
		wrmsr(msr, HIGH + 0x1000);
		f.rbp = (u64)-0xe00;
		good &= reaches(mem(RBP, NONE, 0, 0, (u8)s), f, HIGH + 0x200, page_a, user, false);
		/* the sum is not canonical; with FS and GS it is #GP, whatever the base register */
		f.rbp = 0x8000000000000000 - 0xe00;
		good &= reaches(mem(RBP, NONE, 0, 0, (u8)s), f, 0, (u8 *)1, user, false);
		wrmsr(msr, FAR_ + 0x1000);
		f.rdi = 0x0001000000000000 - 0xe00;
		good &= reaches(mem(RDI, NONE, 0, 0, (u8)s), f, 0, (u8 *)1, user, false);
		/* but a register that is not may lead to a sum that is */
		wrmsr(msr, HIGH);
		f.rdi = FAR_ + 0x200 - HIGH;
		good &= reaches(mem(RDI, NONE, 0, 0, (u8)s), f, FAR_ + 0x200, page_a, user, false);
	}
	CHECK(good, "fs: and gs: with registers and displacements, canonical and not");
	/* absolute */
	good = reaches(mem(NONE, NONE, 0, (s64)(u64)USER(page_a + 0x200), 0), f,
		       (u64)USER(page_a + 0x200), page_a, user, false);
	good &= reaches(mem(NONE, NONE, 0, -0x1000 + 0x200, 0), f, 0xfffffffffffff200, page_a, user,
			false);
	good &= reaches(mem(NONE, NONE, 0, -0x7ffff000, 0), f, 0xffffffff80001000, NULL, user,
			false);
	f.rcx = 0x20;
	good &= reaches(mem(NONE, RCX, 3, (s64)(u64)USER(page_a + 0x100), 0), f, 0, page_a, user,
			false);
	f.r11 = (u64)-0x20;
	good &= reaches(mem(NONE, R10, 3, (s64)(u64)USER(page_a + 0x300), 0),
			(struct frame){.r10 = (u64)-0x20, .rsp = f.rsp}, 0, page_a, user, false);
	CHECK(good, "[disp32], [disp32 + index * 8], negative ones");
	/* wraps */
	f.rdi = (u64)-8;
	good = reaches(mem(RDI, NONE, 0, 16, 0), f, 8, NULL, user, false);
	if (!user)
		good = true; /* page 0 is there */
	f.rdi = 8;
	good &= reaches(mem(RDI, NONE, 0, 0x200 - 0x1000 - 8, 0), f, 0, page_a, user, false);
	f.r12 = 0x8000000000000000 | 0x100;
	f.rcx = 0x8000000000000000 | (FAR_ + 0x40);
	good &= reaches(mem(R12, RCX, 0, 0xc0, 0), f, FAR_ + 0x200, page_a, user, false);
	f.rdi = 0;
	f.rcx = 0x2000000000000000 | (FAR_ / 8);
	good &= reaches(mem(RDI, RCX, 3, 0x200, 0), f, FAR_ + 0x200, page_a, user, false);
	CHECK(good, "sums that wrap at 2^64");
	/* 67h */
	f.rdi = 0xabcdef0000000000 | (u64)USER(page_a + 0x200);
	good = reaches(mem(RDI, NONE, 0, 0, 0x67), f, 0, page_a, user, false);
	f.r10 = 0xabcdef0000000000 | (u64)USER(page_a + 0x100);
	f.rcx = 0xfffffff000000020;
	good &= reaches(mem(R10, RCX, 3, 0, 0x67), f, 0, page_a, user, false);
	f.rdi = 0xfffffff0;
	f.rcx = (u64)USER(page_a + 0x210);
	good &= reaches(mem(RDI, RCX, 0, 0, 0x67), f, 0, page_a, user, false);
	good &= reaches(mem(RCX, NONE, 0, -0x10, 0x67), f, 0, page_a, user, false);
	CHECK(good, "67h: wraps at 2^32");
	f.rdi = 0xfffffff8;
	if (user)
		CHECK(reaches(mem(RDI, NONE, 0, 16, 0x67), f, 8, NULL, user, false),
		      "67h: wraps to a page that is the supervisor's");
}

static void addresses(void)
{
	for (unsigned i = 0; i < CODE_PAGES; i++)
		page_map(CODE_FAR + 4096 * i, (u64)code + 4096 * i, PTE_P | PTE_W | PTE_U);
	page_map(FAR_, (u64)page_a, PTE_P | PTE_W | PTE_U);
	page_map(HIGH, (u64)page_a, PTE_P | PTE_W | PTE_U);
	page_map(DATA_FAR, (u64)page_a, PTE_P | PTE_W | PTE_U);
	page_map(0xfffffffffffff000, (u64)page_a, PTE_P | PTE_W | PTE_U);
	segments_and_wraps(true);
	segments_and_wraps(false);
	wrmsr(MSR_FS_BASE, 0);
	wrmsr(MSR_GS_BASE, 0);
	page_map(FAR_, 0, 0);
	page_map(HIGH, 0, 0);
	page_map(0xfffffffffffff000, 0, 0);
}

void suite(void)
{
	page_a = page_alloc();
	stack = page_alloc();
	write_cr4(read_cr4() | CR4_OS);
	asm volatile("fninit");
	traps_on_ist(true);
	not_canonical();
	addresses();
	traps_on_ist(false);
}
