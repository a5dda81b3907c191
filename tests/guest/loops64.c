/* SPDX-License-Identifier: Apache-2.0 */
/* loops64: straight code and loops of one block on pages that are not all there, beside a model:
 * groups of operands counted from the same registers, across pages; each fault at its instruction,
 * with all before it done and nothing after it (Intel SDM 3A 6.5, 4.7). Any seed must do. */
#include "rt/code64.h"

#define VA	0x20000000000ul
#define PAGES	6 /* the first and the last are good: pointers begin between */
#define BOUNDS	(PAGES * 4096)
#define FS_BASE 0x40
#define GS_BASE 0x88

/* --- the model ------------------------------------------------------------------------------- */

enum what {
	LOAD,  /* mov, movups, vmovdqu reg, [m] */
	ALOAD, /* movaps */
	STORE,
	ASTORE,
	STORE_I, /* mov [m], imm */
	ADD_M,	 /* add [m], reg */
	LADD_M,	 /* lock add */
	ADC,	 /* adc reg, [m] */
	XCHG,
	INC_M,
	CMP_M, /* cmp [m], reg */
	PUSH,
	POP,
	PUSH_M,
	FST,	/* fst qword [m], ST(0) is 1 */
	FNSTCW, /* fnstcw [m] */
	MOVE,	/* mov reg, reg */
	ADD_R,	/* add reg, reg */
	ADD_I,	/* add reg, imm */
	SUB_I,
	INC,
	DEC,
	LEA,   /* lea reg, [m] */
	ADD_W, /* add reg32, imm */
	JNZ,   /* to the start */
	JC,    /* over the next */
	KINDS
};

struct ins {
	u8 what, size, reg, rm;
	struct mem m;
	int imm;
	u8 *at;
};

enum state { GOOD, READ_ONLY, ABSENT, SUPER };

struct machine {
	u64 r[16];
	u32 flags;
	u8 v[2][32];
	u8 page[PAGES][4096];
	enum state state[PAGES];
};

static struct machine want;
static u8 *frames[PAGES];
static bool user, has_avx;
static struct {
	u32 error;
	u64 cr2;
} fault;

static u32 parity(u64 r)
{
	return __builtin_popcount((u8)r) & 1 ? 0 : FL_PF;
}

static u64 mask_of(unsigned size)
{
	return size == 8 ? ~0ul : (1ul << size * 8) - 1;
}

/* a + b + carry, or a - b: flags and result. */
static u64 sum(u64 a, u64 b, u32 carry, unsigned size, bool minus)
{
	u64 m = mask_of(size), top = m ^ m >> 1, r;
	u32 f = 0;

	a &= m;
	b &= m;
	r = (minus ? a - b : a + b + carry) & m;
	if (minus)
		f |= a < b ? FL_CF : 0;
	else
		f |= r < a || (carry && r == a) ? FL_CF : 0;
	f |= (minus ? (a ^ b) & (a ^ r) : ~(a ^ b) & (a ^ r)) & top ? FL_OF : 0;
	f |= r ? 0 : FL_ZF;
	f |= r & top ? FL_SF : 0;
	f |= (a ^ b ^ r) & 0x10 ? FL_AF : 0;
	want.flags = f | parity(r);
	return r;
}

static void set_reg(unsigned n, unsigned size, u64 v)
{
	u64 *r = &want.r[n];

	if (size >= 4)
		*r = v & mask_of(size);
	else
		*r = (*r & ~mask_of(size)) | (v & mask_of(size));
}

static bool may(u64 la, bool write)
{
	u64 n = (la - VA) >> 12;
	enum state s = n < PAGES ? want.state[n] : ABSENT;
	u32 how = (write ? 2u : 0) | (user ? 4u : 0);

	if (s == GOOD || (s == READ_ONLY && !write) || (s == SUPER && !user))
		return true;
	fault.error = how | (s == ABSENT ? 0 : 1);
	fault.cr2 = la;
	return false;
}

/* Both pages before a byte is read or written. */
static bool reach(u64 la, unsigned size, bool write)
{
	u64 second = (la + size - 1) & ~0xffful;

	return may(la, write) && (second <= la || may(second, write));
}

static u8 *at(u64 la)
{
	return &want.page[(la - VA) >> 12][la & 0xfff];
}

static u64 get(u64 la, unsigned size)
{
	u64 v = 0;

	for (unsigned i = size; i-- > 0;)
		v = v << 8 | *at(la + i);
	return v;
}

/* What was written since compare() looked. */
static u64 wrote[64];
static unsigned writes;

static void set(u64 la, unsigned size, u64 v)
{
	wrote[writes++ % 64] = la;
	for (unsigned i = 0; i < size; i++, v >>= 8)
		*at(la + i) = (u8)v;
}

static u64 ea(const struct ins *in)
{
	u64 a = (u64)in->m.disp + (in->m.prefix == 0x64	  ? FS_BASE
				   : in->m.prefix == 0x65 ? GS_BASE
							  : 0);

	a += in->m.base < 16 ? want.r[in->m.base] : 0;
	return a + (in->m.index < 16 ? want.r[in->m.index] << in->m.scale : 0);
}

#define OK    (-1)
#define FAULT (-2) /* a page's */
#define BAD   (-3) /* #GP(0) */

/* One instruction; OK, FAULT, BAD, or where it jumps. */
static int step(const struct ins *in, int next)
{
	unsigned n = in->size, wide = n > 8;
	u64 *r = &want.r[in->reg], a = ea(in), v;
	u32 cf = want.flags & FL_CF;

	switch ((enum what)in->what) {
	case ALOAD:
		if (a & 15)
			return BAD;
		/* fallthrough */
	case LOAD:
		if (!reach(a, n, false))
			return FAULT;
		if (!wide)
			set_reg(in->reg, n, get(a, n));
		for (unsigned i = 0; wide && i < n; i++)
			want.v[in->reg & 1][i] = *at(a + i);
		return OK;
	case ASTORE:
		if (a & 15)
			return BAD;
		/* fallthrough */
	case STORE:
		if (!reach(a, n, true))
			return FAULT;
		if (!wide)
			set(a, n, *r);
		for (unsigned i = 0; wide && i < n; i++)
			set(a + i, 1, want.v[in->reg & 1][i]);
		return OK;
	case STORE_I:
		if (!reach(a, n, true))
			return FAULT;
		set(a, n, (u64)(s64)in->imm);
		return OK;
	case ADD_M:
	case LADD_M:
		if (!reach(a, n, true))
			return FAULT;
		set(a, n, sum(get(a, n), *r, 0, n, false));
		return OK;
	case INC_M:
		if (!reach(a, n, true))
			return FAULT;
		set(a, n, sum(get(a, n), 1, 0, n, false));
		want.flags = (want.flags & ~FL_CF) | cf;
		return OK;
	case ADC:
		if (!reach(a, n, false))
			return FAULT;
		set_reg(in->reg, n, sum(*r, get(a, n), cf, n, false));
		return OK;
	case CMP_M:
		if (!reach(a, n, false))
			return FAULT;
		sum(get(a, n), *r, 0, n, true);
		return OK;
	case XCHG:
		if (!reach(a, n, true))
			return FAULT;
		v = get(a, n);
		set(a, n, *r);
		set_reg(in->reg, n, v);
		return OK;
	case PUSH_M:
		if (!reach(a, 8, false))
			return FAULT;
		v = get(a, 8);
		if (!reach(want.r[RSP] - 8, 8, true))
			return FAULT;
		set(want.r[RSP] -= 8, 8, v);
		return OK;
	case PUSH:
		if (!reach(want.r[RSP] - 8, 8, true))
			return FAULT;
		v = *r;
		set(want.r[RSP] -= 8, 8, v);
		return OK;
	case POP:
		if (!reach(want.r[RSP], 8, false))
			return FAULT;
		v = get(want.r[RSP], 8);
		want.r[RSP] += 8;
		*r = v;
		return OK;
	case FST:
	case FNSTCW:
		if (!reach(a, n, true))
			return FAULT;
		set(a, n, n == 8 ? 0x3ff0000000000000 : 0x37f);
		return OK;
	case MOVE: set_reg(in->reg, n, want.r[in->rm]); return OK;
	case ADD_R: set_reg(in->reg, n, sum(*r, want.r[in->rm], 0, n, false)); return OK;
	case ADD_I: set_reg(in->reg, n, sum(*r, (u64)(s64)in->imm, 0, n, false)); return OK;
	case SUB_I: set_reg(in->reg, n, sum(*r, (u64)(s64)in->imm, 0, n, true)); return OK;
	case ADD_W: set_reg(in->reg, 4, sum(*r, (u64)(s64)in->imm, 0, 4, false)); return OK;
	case INC:
	case DEC:
		set_reg(in->reg, 8, sum(*r, 1, 0, 8, in->what == DEC));
		want.flags = (want.flags & ~FL_CF) | cf;
		return OK;
	case LEA: *r = a; return OK;
	case JNZ: return want.flags & FL_ZF ? OK : 0;
	case JC: return cf ? next + 1 : OK;
	case KINDS: break;
	}
	return OK;
}

static bool touches_flags(const struct ins *in, u32 *reads, u32 *writes_)
{
	*reads = *writes_ = 0;
	switch ((enum what)in->what) {
	case ADC: *reads = FL_CF; /* fallthrough */
	case ADD_M:
	case LADD_M:
	case CMP_M:
	case ADD_R:
	case ADD_I:
	case SUB_I:
	case ADD_W: *writes_ = FL_STATUS; break;
	case INC_M:
	case INC:
	case DEC: *writes_ = FL_STATUS & ~FL_CF; break;
	default: break;
	}
	return in->what == JC || in->what == JNZ;
}

/* --- into code ------------------------------------------------------------------------------- */

static void assemble(struct ins *in, u8 *start)
{
	unsigned how = in->size == 8 ? H_W : in->size == 2 ? H_16 : in->size == 1 ? H_BYTE : 0;
	unsigned wide = in->size > 8, vex = in->size == 32 ? H_VEX : 0, byte = in->size != 1;

	if (wide)
		in->reg &= 1;
	in->at = out;
	switch ((enum what)in->what) {
	case LOAD:
		put_mem(wide ? vex : how, vex ? 0x6f : wide ? 0x0f10 : 0x8a | byte, in->reg, in->m);
		break;
	case STORE:
		put_mem(wide ? vex : how, vex ? 0x7f : wide ? 0x0f11 : 0x88 | byte, in->reg, in->m);
		break;
	case ALOAD: put_mem(0, 0x0f28, in->reg, in->m); break;
	case ASTORE: put_mem(0, 0x0f29, in->reg, in->m); break;
	case STORE_I:
		put_mem(how & ~H_BYTE, 0xc6 | byte, 0, in->m);
		put(&in->imm, in->size == 8 ? 4 : in->size);
		break;
	case ADD_M: put_mem(how, byte, in->reg, in->m); break;
	case LADD_M: put_mem(how | H_LOCK, byte, in->reg, in->m); break;
	case ADC: put_mem(how, 0x12 | byte, in->reg, in->m); break;
	case CMP_M: put_mem(how, 0x38 | byte, in->reg, in->m); break;
	case XCHG: put_mem(how, 0x86 | byte, in->reg, in->m); break;
	case INC_M: put_mem(how & ~H_BYTE, 0xfe | byte, 0, in->m); break;
	case PUSH_M: put_mem(0, 0xff, 6, in->m); break;
	case FST: put_mem(0, 0xdd, 2, in->m); break;
	case FNSTCW: put_mem(0, 0xd9, 7, in->m); break;
	case PUSH: B((u8)(0x40 | in->reg >> 3), (u8)(0x50 | (in->reg & 7))); break;
	case POP: B((u8)(0x40 | in->reg >> 3), (u8)(0x58 | (in->reg & 7))); break;
	case MOVE: put_rr(how, 0x88 | byte, in->rm, in->reg); break;
	case ADD_R: put_rr(how, byte, in->rm, in->reg); break;
	case ADD_I:
		put_rr(H_W, 0x81, 0, in->reg);
		put(&in->imm, 4);
		break;
	case SUB_I:
		if (in->imm == (signed char)in->imm) {
			put_rr(H_W, 0x83, 5, in->reg);
			B((u8)in->imm);
		} else {
			put_rr(H_W, 0x81, 5, in->reg);
			put(&in->imm, 4);
		}
		break;
	case ADD_W:
		put_rr(0, 0x81, 0, in->reg);
		put(&in->imm, 4);
		break;
	case INC: put_rr(H_W, 0xff, 0, in->reg); break;
	case DEC: put_rr(H_W, 0xff, 1, in->reg); break;
	case LEA: put_mem(H_W, 0x8d, in->reg, in->m); break;
	case JNZ: {
		int d = (int)(start - (out + 2));

		if (d >= -128)
			B(0x75, (u8)d);
		else {
			B(0x0f, 0x85);
			put32((u32)(d - 4));
		}
		break;
	}
	case JC: B(0x72, 0); break; /* patched */
	case KINDS: break;
	}
}

#define MOST 24
static struct ins prog[MOST + 4];
static unsigned prog_len;
static u8 *prog_at;

static void assemble_all(void)
{
	prog_at = piece(MOST * 16 + 64);
	for (unsigned i = 0; i < prog_len; i++) {
		assemble(&prog[i], prog_at);
		if (i && prog[i - 1].what == JC)
			prog[i - 1].at[1] = (u8)(out - prog[i - 1].at - 2);
	}
	put_done();
}

/* Flags that a fault's image may have otherwise: those that are overwritten, by it or by what
 * follows in the block, before they are read (docs/translator.md names the former only). */
static u32 loose(unsigned ip)
{
	u32 dead = 0, live = 0, reads, kills;

	for (; ip < prog_len && !touches_flags(&prog[ip], &reads, &kills); ip++) {
		live |= reads & ~dead;
		dead |= kills & ~live;
	}
	return dead;
}

static bool writes_flags(unsigned ip)
{
	u32 reads, kills;

	touches_flags(&prog[ip], &reads, &kills);
	return kills;
}

/* --- running both ---------------------------------------------------------------------------- */

static void set_page(unsigned n, enum state s)
{
	static const u64 bits[] = {PTE_P | PTE_W | PTE_U, PTE_P | PTE_U, 0, PTE_P | PTE_W};

	if (want.state[n] != s)
		page_map(VA + n * 4096, (u64)frames[n], bits[s]);
	want.state[n] = s;
}

static unsigned told;
static u64 begin[16];

static void tell(const char *what, unsigned n)
{
	const struct trap *t = &this_cpu()->trap;

	if (told++ > 6)
		return;
	print("# %s, at instruction %u of %u, CPL %d: vector %d error %llx cr2 %llx rip %llx, want "
	      "%x "
	      "%llx\n# ",
	      what, n, prog_len, user ? 3 : 0, (int)t->vector, (unsigned long long)t->error,
	      (unsigned long long)t->cr2, (unsigned long long)t->frame.rip, fault.error,
	      (unsigned long long)fault.cr2);
	for (const u8 *p = prog_at; p < out; p++)
		print("%02x", *p);
	print("\n# registers, first: ");
	for (unsigned i = 0; i < 16; i++)
		print("%llx ", (unsigned long long)begin[i]);
	print("\n# states ");
	for (unsigned i = 0; i < PAGES; i++)
		print("%u", want.state[i]);
	print("\n");
}

static bool differs(unsigned n, unsigned off)
{
	if (told < 7)
		print("# at %llx: %llx, want %llx\n", (unsigned long long)VA + n * 4096 + off,
		      (unsigned long long)*(u64 *)(frames[n] + off),
		      (unsigned long long)*(u64 *)(want.page[n] + off));
	/* the next ones are not to suffer for it */
	for (unsigned i = 0; i < PAGES; i++)
		memcpy(want.page[i], frames[i], 4096);
	writes = 0;
	return false;
}

static bool same_memory(bool all)
{
	if (all || writes > 64) {
		for (unsigned n = 0; n < PAGES; n++)
			for (unsigned i = 0; i < 512; i++)
				if (((u64 *)frames[n])[i] != ((u64 *)want.page[n])[i])
					return differs(n, i * 8);
	}
	for (unsigned i = 0; i < writes && i < 64; i++)
		for (u64 a = (wrote[i] & ~7ul) - 16; a < wrote[i] + 16; a += 8)
			if (a - VA < BOUNDS &&
			    *(u64 *)(frames[(a - VA) >> 12] + (a & 0xfff)) != *(u64 *)at(a))
				return differs((unsigned)((a - VA) >> 12), (unsigned)a & 0xfff);
	writes = 0;
	return true;
}

/* The program from where the registers stand, faults mended one by one. */
static bool run_both(bool all)
{
	static struct frame got;
	unsigned steps = 0, faults = 0;
	int ip = 0;

	memcpy(begin, want.r, sizeof(begin));
	memset(&got, 0, sizeof(got));
	for (;;) {
		int r = OK;
		u32 vector, mask = FL_STATUS;

		for (unsigned i = 0; i < 16; i++)
			*reg(&got, i) = want.r[i];
		got.rflags = want.flags;
		vector = go(&got, prog[ip].at, user);
		for (; ip < (int)prog_len && r >= OK && steps < 2000; steps++) {
			r = step(&prog[ip], ip + 1);
			if (r >= 0)
				ip = r;
			else if (r == OK)
				ip++;
		}
		if (steps == 2000) {
			tell("endless", (unsigned)ip);
			return false;
		}
		got = this_cpu()->trap.frame;
		for (unsigned i = 0; i < 16; i++)
			if (*reg(&got, i) != want.r[i]) {
				tell("a register", (unsigned)ip);
				if (told < 7)
					print("# r%u is %llx, want %llx, count %llx %llx\n", i,
					      (unsigned long long)*reg(&got, i),
					      (unsigned long long)want.r[i],
					      (unsigned long long)got.rcx,
					      (unsigned long long)want.r[RCX]);
				return false;
			}
		if (r < OK)
			mask &= ~loose((unsigned)ip);
		if ((got.rflags ^ want.flags) & mask) {
			tell("flags", (unsigned)ip);
			return false;
		}
		if (!same_memory(all && r >= OK)) {
			tell("memory", (unsigned)ip);
			return false;
		}
		if (r >= OK) {
			if (vector != VEC_DONE)
				tell("it ended", (unsigned)ip);
			return vector == VEC_DONE;
		}
		if (got.rip != (u64)prog[ip].at + (user ? USER_BASE : 0)) {
			tell("rip", (unsigned)ip);
			return false;
		}
		if (r == BAD) {
			if (vector != GP || this_cpu()->trap.error)
				tell("it is misaligned", (unsigned)ip);
			return vector == GP && !this_cpu()->trap.error;
		}
		if (on_qemu() && fault.error & 2 && this_cpu()->trap.error == (fault.error & ~2u) &&
		    writes_flags((unsigned)ip))
			fault.error &= ~2u; /* it reads first */
		if (on_qemu() && prog[ip].what == XCHG)
			fault.error = (u32)this_cpu()->trap.error;
		if (vector != PF || this_cpu()->trap.error != fault.error ||
		    this_cpu()->trap.cr2 != fault.cr2) {
			tell("the fault", (unsigned)ip);
			return false;
		}
		if (fault.cr2 - VA >= BOUNDS || faults++ > 12)
			return true; /* nothing to mend */
		set_page((unsigned)((fault.cr2 - VA) >> 12), GOOD);
		want.flags = (u32)got.rflags & FL_STATUS; /* as a handler goes on */
	}
}

/* --- programs -------------------------------------------------------------------------------- */

static const u8 pointers[] = {RDI, RSI, RBP, R10, R12, R13, RBX, R8};
static const u8 datas[] = {RAX, RDX, R9_, R15_, R11};

static struct mem any_mem(unsigned base)
{
	static const int far[] = {0, 8, 16, 0x40, 0x100, -8, -64, 4, 1, 0x7f, 0x80, -0x80, 0x200};
	struct mem m = {(u8)base, NONE, 0, far[dice(13)], 0};

	if (dice(4) == 0)
		m.disp += (int)dice(16) - 8;
	if (dice(4) == 0) {
		m.index = dice(2) ? R14 : R11;
		m.scale = (u8)dice(4);
	}
	if (dice(8) == 0)
		m.prefix = dice(2) ? 0x64 : 0x65;
	if (dice(16) == 0)
		m = (struct mem){NONE, (u8)base, 0, m.disp, 0};
	return m;
}

static unsigned any_size(void)
{
	static const u8 sizes[] = {8, 8, 8, 4, 2, 1, 16, 32};
	unsigned s = sizes[dice(8)];

	if (s > 8 && on_qemu())
		return 8; /* QEMU stores halves where the second page faults */
	return s == 32 && !has_avx ? 16 : s;
}

/* few: of the pointers. */
static struct ins any_ins(unsigned few, bool loop)
{
	static const int moves[] = {1, -1, 8, 8, 8, -8, 16, 4, 64, -64, 4096, -4096, 32};
	unsigned p = pointers[dice(few)], d = datas[dice(4)];
	struct ins in = {
		.size = (u8)any_size(), .reg = (u8)d, .rm = datas[dice(5)], .m = any_mem(p)};
	unsigned k = dice(42);

	if (k < 9)
		in.what = LOAD;
	else if (k < 17)
		in.what = STORE;
	else if (k < 27) {
		static const u8 ways[] = {ADD_I, ADD_I, SUB_I, SUB_I, INC,
					  DEC,	 LEA,	LEA,   ADD_W, ADD_I};

		in.what = ways[k - 17];
		in.reg = (u8)p;
		in.size = 8;
		in.imm = moves[dice(loop ? 10 : 13)];
		if (in.what == LEA)
			in.m = (struct mem){(u8)(dice(8) ? p : pointers[dice(few)]), NONE, 0,
					    in.imm, 0};
		if (in.what == ADD_W) {
			in.reg = (u8)d;
			in.imm = (int)dice(1u << 30) * 4;
		}
		if (k == 26) {
			in.reg = R14;
			in.imm = (int)dice(9) - 4;
		}
		return in;
	} else {
		static const u8 ways[] = {ALOAD, ASTORE, STORE_I, ADD_M, LADD_M, ADC, XCHG,  INC_M,
					  CMP_M, PUSH,	 POP,	  MOVE,	 ADD_R,	 FST, FNSTCW};

		in.what = ways[k - 27];
		in.imm = (int)(dice(1u << 31) * 2u);
		if (in.what == ALOAD || in.what == ASTORE)
			in.size = 16;
		else if (in.what == PUSH || in.what == POP) {
			in.size = 8;
			if (in.what == PUSH && dice(3) == 0)
				in.what = PUSH_M;
		} else if (in.size > 8)
			in.size = 8;
		if (in.what == FST || in.what == FNSTCW)
			in.size = in.what == FST ? 8 : 2;
		if (in.what == MOVE || in.what == ADD_R)
			in.size = in.size < 4 ? 4 : in.size;
	}
	return in;
}

static void any_prog(bool loop)
{
	unsigned n = loop ? 1 + dice(12) : 3 + dice(MOST - 3), few = 1 + dice(dice(3) ? 3 : 8);

	prog_len = 0;
	while (prog_len < n) {
		prog[prog_len] = any_ins(few, loop);
		/* a way around an instruction, now and then */
		if (!loop && dice(24) == 0 && prog_len + 2 < n)
			prog[prog_len++] = (struct ins){.what = JC};
		if (prog_len && prog[prog_len - 1].what == JC)
			prog[prog_len] = any_ins(few, loop);
		prog_len++;
	}
	if (loop) {
		prog[prog_len++] = (struct ins){.what = DEC, .reg = RCX, .size = 8};
		prog[prog_len++] = (struct ins){.what = JNZ};
	}
	assemble_all();
}

static void any_registers(bool loop)
{
	for (unsigned i = 0; i < 16; i++)
		want.r[i] = (u64)dice(1u << 31) << 33 | dice(1u << 31);
	for (unsigned i = 0; i < sizeof(pointers); i++)
		want.r[pointers[i]] = VA + 4096 * (2 + dice(3)) + dice(4) * 128 - 256 +
				      dice(64) * (dice(3) ? 8 : 1);
	want.r[RSP] = VA + 4096 * (2 + dice(3)) + dice(12) * 8 - 48 + (dice(8) ? 0 : dice(8));
	want.r[R14] = dice(8);
	want.r[R11] = dice(8);
	want.r[RCX] = loop ? 1 + dice(dice(4) ? 24 : 90) : 1;
	want.flags = dice(4096) & FL_STATUS;
	for (unsigned i = 0; i < PAGES; i++) {
		unsigned s = dice(12);

		set_page(i, i == 0 || i == PAGES - 1 || s > 3 ? GOOD : (enum state)s);
	}
}

static void random_progs(bool loop, unsigned count)
{
	static char name[2][2][80] = {
		{"straight code at random, CPL 0", "straight code at random, CPL 3"},
		{"loops at random, CPL 0", "loops at random, CPL 3"}};
	unsigned bad = 0;

	for (unsigned i = 0; i < count; i++) {
		any_prog(loop);
		for (unsigned k = 0; k < 5; k++) {
			any_registers(loop);
			bad += !run_both((i & 31) == 0);
			if (bad > 4)
				break;
		}
		if (bad > 4)
			break;
	}
	CHECK_EQ(bad, 0, name[loop][user]);
}

/* XMM0 and XMM1, as the model has them. */
static void load_vectors(void)
{
	prog_len = 0;
	for (unsigned i = 0; i < 2; i++)
		prog[prog_len++] = (struct ins){.what = LOAD,
						.size = has_avx ? 32 : 16,
						.reg = (u8)i,
						.m = mem(RDI, NONE, 0, 32 * (s64)i, 0)};
	assemble_all();
	any_registers(false);
	want.r[RDI] = VA + 64;
	run_both(true);
}

/* --- groups, one by one ---------------------------------------------------------------------- */

static void add(unsigned what, unsigned size, unsigned r, struct mem m, int disp)
{
	m.disp += disp;
	prog[prog_len++] = (struct ins){
		.what = (u8)what, .size = (u8)size, .reg = (u8)r, .rm = RAX, .m = m, .imm = 0x1234};
}

/* Operands counted from the same registers, with `between` between them. */
static bool group(struct mem m, unsigned between)
{
	bool good = true;

	prog_len = 0;
	add(LOAD, 8, RAX, m, 0);
	if (between < KINDS)
		add(between, between == FNSTCW ? 2 : between == ALOAD ? 16 : 8, RDX, m, 0x10);
	add(LOAD, 8, R15_, m, 8);
	add(STORE, 8, RAX, m, 0x18);
	add(LOAD, 4, RSI, m, 0x20);
	add(STORE_I, 8, 0, m, 0x28);
	assemble_all();
	for (unsigned k = 0; k < 3; k++) {
		any_registers(false);
		for (unsigned i = 0; i < PAGES; i++)
			set_page(i, GOOD);
		for (unsigned i = 0; i < 16; i++)
			if (i != RSP)
				want.r[i] = VA + 4096 + 0x100 + 0x200 * k;
		if (m.base < 16 && m.index < 16) {
			want.r[m.base] -= 0x20;
			want.r[m.index] = 0x20 >> m.scale;
		} else if (m.index < 16)
			want.r[m.index] >>= m.scale;
		good &= run_both(false);
	}
	return good;
}

static void groups(void)
{
	static const u8 all[] = {NONE, RDI, RBP, RBX, R8, R9_, R10, R11, R12, R13, R14};
	static const u8 ways[] = {KINDS, PUSH_M, FST,  FNSTCW, PUSH,	MOVE, LOAD,
				  ALOAD, ADD_M,	 XCHG, LADD_M, STORE_I, INC_M};
	unsigned bad[13] = {0};

	section(user ? "groups of operands, CPL 3" : "groups of operands, CPL 0");
	for (unsigned w = 0; w < sizeof(ways); w++)
		for (unsigned b = 0; b < sizeof(all); b++)
			for (unsigned x = 0; x < sizeof(all); x++)
				for (unsigned p = 0; p < 3; p++) {
					struct mem m = {all[b], all[x], (u8)((b + x) % 4), 0,
							p ? (u8)(0x63 + p) : 0};

					if (w && (b + x + w) % 8)
						continue;
					if (m.index == NONE)
						m.scale = 0;
					if ((m.base == m.index))
						continue;
					bad[w] += !group(m, ways[w]);
				}
	CHECK_EQ(bad[0], 0, "any base, index and segment");
	CHECK_EQ(bad[1], 0, "with push m between them");
	CHECK_EQ(bad[2], 0, "with fst m");
	CHECK_EQ(bad[3], 0, "with fnstcw m");
	for (unsigned w = 5; w < 13; w++)
		bad[4] += bad[w];
	CHECK_EQ(bad[4], 0, "with others");
}

/* --- groups with anything in them --------------------------------------------------------------
 */

static const struct {
	const char *name;
	unsigned how, op, reg, imm;
} others[] = {
	{"imul", H_W, 0x0faf, RDX, 0},
	{"imul imm", H_W, 0x6b, RDX, 1},
	{"imul r9, imm", H_W, 0x69, R9_, 4},
	{"mul", H_W, 0xf7, 4, 0},
	{"mul m8", 0, 0xf6, 4, 0},
	{"cmpxchg", H_W, 0x0fb1, RDX, 0},
	{"lock cmpxchg", H_LOCK, 0x0fb1, RDX, 0},
	{"xadd", H_W, 0x0fc1, RDX, 0},
	{"xadd r9", H_W, 0x0fc1, R9_, 0},
	{"bt imm", H_W, 0x0fba, 4, 1},
	{"lock bts imm", H_LOCK, 0x0fba, 5, 1},
	{"btc reg", H_W, 0x0fbb, RDX, 0},
	{"shld imm", H_W, 0x0fa4, RDX, 1},
	{"shl cl", H_W, 0xd3, 4, 0},
	{"rcl imm", H_W, 0xc1, 2, 1},
	{"setc", 0, 0x0f92, 0, 0},
	{"cmovc r9", H_W, 0x0f42, R9_, 0},
	{"movzx", 0, 0x0fb7, RDX, 0},
	{"movsx r9", H_W, 0x0fbe, R9_, 0},
	{"popcnt", H_F3 | H_W, 0x0fb8, RDX, 0},
	{"bsf", H_W, 0x0fbc, RDX, 0},
	{"bsr r9", H_W, 0x0fbd, R9_, 0},
	{"crc32", H_F2, 0x0f38f1, RDX, 0},
	{"neg", H_W, 0xf7, 3, 0},
	{"not m8", 0, 0xf6, 2, 0},
	{"xchg r9", H_W, 0x87, R9_, 0},
	{"nop", 0, 0x0f1f, 0, 0},
	{"prefetch", 0, 0x0f18, 1, 0},
	{"movnti", H_W, 0x0fc3, RDX, 0},
	{"cmp imm", H_W, 0x83, 7, 1},
	{"test imm", H_W, 0xf7, 0, 4},
	{"adc imm", 0, 0x81, 2, 4},
	{"mov ah", 0, 0x8a, RSP, 0},
	{"mov to m from ah", 0, 0x88, RSP, 0},
	{"lea", H_W, 0x8d, RDX, 0},
	{"movsxd r9", H_W, 0x63, R9_, 0},
	{"push m", 0, 0xff, 6, 0},
	{"pop m", 0, 0x8f, 0, 0},
	{"movhps", 0, 0x0f16, 1, 0},
	{"movlps store", 0, 0x0f13, 1, 0},
	{"cvtsi2sd", H_F2 | H_W, 0x0f2a, 1, 0},
	{"cvttsd2si", H_F2 | H_W, 0x0f2c, RDX, 0},
	{"cvttsd2si r9", H_F2 | H_W, 0x0f2c, R9_, 0},
	{"movd", H_16, 0x0f6e, 1, 0},
	{"movq store", H_16, 0x0fd6, 1, 0},
	{"ucomisd", H_16, 0x0f2e, 1, 0},
	{"paddb", H_16, 0x0ffc, 1, 0},
	{"pextrq", H_16 | H_W, 0x0f3a16, 1, 1},
	{"pinsrq", H_16 | H_W, 0x0f3a22, 1, 1},
	{"pmovzx", H_16, 0x0f3830, 1, 0},
	{"fadd m64", 0, 0xdc, 0, 0},
	{"fcom m32", 0, 0xd8, 2, 0},
	{"fst m32", 0, 0xd9, 2, 0},
	{"fiadd m16", 0, 0xde, 0, 0},
	{"fist m32", 0, 0xdb, 2, 0},
	{"fnstsw m", 0, 0xdd, 7, 0},
	{"paddb mmx", 0, 0x0ffc, 1, 0},
	{"cmpxchg16b", H_W, 0x0fc7, 1, 0},
	{"sgdt or umip", 0, 0x0f01, 0, 0},
	{"stmxcsr", 0, 0x0fae, 3, 0},
	{"fxsave", 0, 0x0fae, 0, 0},
	{"movq mmx store", 0, 0x0f7f, 1, 0},
};
#define OTHERS (sizeof(others) / sizeof(others[0]))

/* rbx = [m]; it, at m + 16; r15 = [m + 8]; [m + 28h] = rbx; esi = [m + 30h] */
static bool mixed(unsigned o, struct mem m)
{
	struct mem n[5] = {m, m, m, m, m};
	u8 *start = piece(128);
	bool good = true, big = others[o].op == 0x0fae && !others[o].reg;

	n[1].disp += big ? 0x200 : 0x10;
	n[2].disp += 8;
	n[3].disp += 0x28;
	n[4].disp += 0x30;
	put_mem(H_W, 0x8b, RBX, n[0]);
	put_mem(others[o].how, others[o].op, others[o].reg, n[1]);
	for (unsigned i = 0; i < others[o].imm; i++)
		B((u8)(i ? 0 : 3));
	put_mem(H_W, 0x8b, R15_, n[2]);
	put_mem(H_W, 0x89, RBX, n[3]);
	put_mem(0, 0x8b, RSI, n[4]);
	B(0x48, 0x39, 0xdb); /* cmp rbx, rbx: what it left of the flags may be undefined */
	put_done();
	for (unsigned k = 0; k < 3; k++) {
		struct frame f, *t = &this_cpu()->trap.frame;
		u64 to = VA + 4096 + 4096 * (k & 1), *p = (u64 *)frames[1 + (k & 1)];
		u32 vector;

		memset(&f, 0, sizeof(f));
		for (unsigned i = 0; i < 128; i++)
			p[i] = i * 0x1000000010001ul + k;
		*reg(&f, m.base) = to + 0x100 - (m.index < 16 ? 0x40u << m.scale : 0) -
				   (m.prefix ? FS_BASE : 0) - (u64)m.disp;
		if (m.index < 16)
			*reg(&f, m.index) = 0x40;
		f.rdx = k;
		f.rsp = VA + 3 * 4096 + 0x800;
		vector = go(&f, start, user);
		good &= vector == VEC_DONE && t->rbx == 0x20 * 0x1000000010001ul + k &&
			t->r15 == 0x21 * 0x1000000010001ul + k && p[0x25] == t->rbx &&
			t->rsi == (u32)(0x26 * 0x1000000010001ul + k);
		asm volatile("fninit; fld1");
	}
	return good;
}

static void anything(void)
{
	static const u8 base[] = {RDI, R10, RBP, R8}, index[] = {NONE, R11, RCX, R14};
	unsigned bad = 0;

	for (unsigned i = 0; i < PAGES; i++)
		set_page(i, GOOD);
	for (unsigned o = 0; o < OTHERS; o++) {
		bool good = true;

		for (unsigned v = o % 2; v < 32; v += 2) {
			struct mem m = {base[v & 3], index[v >> 2 & 3], (u8)(v % 3), 0,
					v & 16 ? 0x64 : 0};

			if (m.index == NONE)
				m.scale = 0;
			good &= mixed(o, m);
		}
		if (!good)
			print("# %s\n", others[o].name);
		bad += !good;
	}
	CHECK_EQ(bad, 0,
		 user ? "groups with any instruction in them, CPL 3"
		      : "groups with any instruction in them, CPL 0");
	for (unsigned i = 0; i < PAGES; i++)
		memcpy(want.page[i], frames[i], 4096);
}

void suite(void)
{
	struct cpuid id = cpuid(1, 0);

	write_cr4(read_cr4() | CR4_OS);
	asm volatile("fninit; fld1");
	if (id.c >> 26 & 1 && id.c >> 28 & 1) {
		write_cr4(read_cr4() | CR4_OSXSAVE);
		asm volatile("xsetbv" ::"a"(7), "d"(0), "c"(0));
		has_avx = true;
	}
	wrmsr(MSR_FS_BASE, FS_BASE);
	wrmsr(MSR_GS_BASE, GS_BASE);
	/* scattered */
	for (unsigned i = 0; i < 2 * PAGES; i++) {
		u8 *p = page_alloc();

		if (i & 1)
			frames[(i / 2 * 5) % PAGES] = p;
	}
	for (unsigned i = 0; i < PAGES; i++) {
		want.state[i] = ABSENT;
		for (unsigned k = 0; k < 4096; k++)
			want.page[i][k] = frames[i][k] = (u8)dice(256);
	}
	traps_on_ist(true);
	for (unsigned round = 0; round < 2; round++) {
		user = !round;
		load_vectors();
		groups();
		anything();
		load_vectors();
		random_progs(false, 100);
		random_progs(true, 100);
	}
	traps_on_ist(false);
}
