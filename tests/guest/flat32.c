/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flat32: code in flat segments, where addresses go on at 0 behind 4 GiB: sums that wrap, stacks
 * that do, FS and GS with bases and limits, segments that change under code that ran before (Intel
 * SDM 3A 3.2.2, 5.3; SDM 1 3.7.5).
 *
 * Random programs at CPL 3 are run by single steps first, and then as they are, several times: an
 * engine that translates code does not translate steps. Any seed must do.
 */
#include "rt/rt.h"

#define FLAT	 0x80 /* selectors: FS and GS of the programs */
#define ODD	 0x88
#define TOP	 0x90
#define SHORT	 0x98
#define LOCKED	 0xa0 /* read-only */
#define LOW_DATA 0xa8 /* data up to the area's second page */
#define NEAR_TOP 0xb8

#define RING   0xffffe000u /* two pages, and two from 0 on: both ends of the address space */
#define AREA   0x20000000u /* two pages, a read-only one, and none */
#define FL_ALL (0x8c5u)	   /* CF PF ZF SF OF: AF is undefined after logic */

static u8 frames[7][4096] __attribute__((aligned(4096)));
static u8 want[7][4096] __attribute__((aligned(4096)));
static u8 fresh[7][4096] __attribute__((aligned(4096)));
static u8 user_code[32 * 4096] __attribute__((aligned(4096)));
static u32 *pd;

/* --- surroundings ---------------------------------------------------------------------------- */

static void copy(void *to, const void *from, u32 n)
{
	n /= 4;
	asm volatile("cld; rep movsl" : "+D"(to), "+S"(from), "+c"(n)::"memory");
}

static bool equal(const void *a, const void *b, u32 n)
{
	bool same;

	n /= 4;
	asm volatile("cld; repe cmpsl; sete %0" : "=q"(same), "+D"(a), "+S"(b), "+c"(n)::"memory");
	return same;
}

static void paging_on(void)
{
	u32 *low = page_alloc(), *top = page_alloc(), *area = page_alloc();
	const u32 all = PTE_P | PTE_W | PTE_U;

	pd = page_alloc();
	for (u32 i = 0; i < 32; i++)
		pd[i] = i << 22 | PTE_P | PTE_W | PTE_PS;
	for (u32 i = 0; i < 1024; i++)
		low[i] = i << 12 | PTE_P | PTE_W;
	for (u32 i = 0; i < sizeof(user_code) / 4096;
	     i++) /* the programs' code, not theirs to write */
		low[((u32)user_code >> 12) + i] = ((u32)user_code + (i << 12)) | PTE_P | PTE_U;
	for (u32 i = 0; i < 2; i++) {
		top[1022 + i] = (u32)frames[i] | all;
		low[i] = (u32)frames[2 + i] | all;
		area[i] = (u32)frames[4 + i] | all;
	}
	area[2] = (u32)frames[6] | PTE_P | PTE_U;
	pd[0] = (u32)low | all;
	pd[1023] = (u32)top | all;
	pd[AREA >> 22] = (u32)area | all;
	write_cr4(read_cr4() | CR4_PSE);
	write_cr3((u32)pd);
	write_cr0(read_cr0() | CR0_PG);
	gdt_set(FLAT, AREA + 0x1000, 0xfffff, 0xf3, 0xc);
	gdt_set(ODD, AREA + 0xffd, 0xfffff, 0xf3, 0xc);
	gdt_set(TOP, 0xfffff800, 0xfffff, 0xf3, 0xc);
	gdt_set(SHORT, AREA, 0xfff, 0xf3, 0x4);
	gdt_set(LOCKED, AREA, 0xfffff, 0xf1, 0xc);
	gdt_set(LOW_DATA, 0, (AREA >> 12) + 1, 0xf3, 0xc);
	gdt_set(NEAR_TOP, 0, 0xffffe, 0xf3, 0xc);
}

/* --- running a piece of code ----------------------------------------------------------------- */

/* A frame as trap_common leaves it. */
asm(".text; run_frame: mov 4(%esp), %esp\n"
    "pop %gs; pop %fs; pop %es; pop %ds; popa; add $8, %esp; iret");
void run_frame(void *frame);

static u32 steps;

static bool step_hook(struct frame *f)
{
	if (f->vector != DB || (f->cs & 3) != 3)
		return false;
	return ++steps < 3000;
}

static u32 go(struct frame *f, bool stepping)
{
	f->rflags = stepping ? (f->rflags | FL_TF | 2) : ((f->rflags & ~FL_TF) | 2);
	steps = 0;
	this_cpu()->hook = stepping ? step_hook : NULL;
	try_run(run_frame, f);
	this_cpu()->hook = NULL;
	asm volatile("" ::: "memory");
	return this_cpu()->trap.vector;
}

/* --- making programs ------------------------------------------------------------------------- */

static u32 seed = 0x2545f491;

static u32 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed;
}
static u32 below(u32 n)
{
	return (rnd() >> 4) % n;
}

static u8 *out;
static u32 value[8]; /* of the registers, where `known` */
static bool known[8];

static void put(u32 v, unsigned n)
{
	memcpy(out, &v, n);
	out += n;
}

static bool points(u32 v)
{
	return v - RING < 0x4000 || v - AREA < 0x2000;
}

/* ModRM, SIB, displacement of an operand in the ring or the area, if a register leads there. */
static void operand(unsigned field)
{
	unsigned base = below(8), index = 4, scale = below(4);
	u32 sum, disp;

	for (unsigned i = 0; i < 8 && !(known[base] && points(value[base])); i++)
		base = (base + 1) & 7;
	if (!known[base] || !points(value[base]) || !below(8)) { /* an address */
		u32 at = below(2) ? RING + below(0x3ffc) : AREA + below(0x1ffc);

		put(field << 3 | 5, 1);
		put(below(4) ? at & ~3u : at, 4);
		return;
	}
	if (!below(4)) {
		index = below(8);
		if (!known[index] || index == 4)
			index = 4;
	}
	sum = value[base] + (index == 4 ? 0 : value[index] << scale);
	disp = (points(sum) ? sum : value[base]) + 4 * below(32) - 64 - sum;
	if (!below(8))
		disp += below(4);
	if (!below(16))
		disp = (below(2) ? RING + 4 * below(0x1000) : AREA + 4 * below(0xc00)) - sum;
	put(((s64)(int)disp == (signed char)disp ? 0x40 : 0x80) | field << 3 | 4, 1);
	put(scale << 6 | index << 3 | base, 1);
	put(disp, (s64)(int)disp == (signed char)disp ? 1 : 4);
}

static unsigned reg(void)
{
	unsigned r = below(8);

	return r == 4 ? 0 : r;
}

static void load(unsigned to, unsigned base, unsigned index, unsigned scale, u32 disp)
{
	put(0x8b, 1);
	put(0x80 | to << 3 | 4, 1);
	put(scale << 6 | index << 3 | base, 1);
	put(disp, 4);
	known[to] = false;
}

/* One operand twice, by registers that moved in between, perhaps over an end. */
static void there_again(void)
{
	unsigned base = below(8), index = 4, scale = below(4), moved, far = below(2) ? 64 : 0x2000;
	u32 at, disp, by = 4 * below(far);

	if (!known[base] || !points(value[base]))
		return;
	if (below(2))
		index = 1 + below(3);
	if (!known[index] || index == base)
		index = 4;
	at = below(4) ? value[base] : 4 * below(16) - 32;
	disp = at - value[base] - (index == 4 ? 0 : value[index] << scale);
	load(0, base, index, scale, disp);
	moved = index != 4 && below(2) ? index : base;
	if (!below(3))
		by = -by;
	put(0x81, 1);
	put(0xc0 | moved, 1);
	put(by, 4);
	value[moved] += by;
	disp -= moved == index ? by << scale : by;
	load(below(2) ? 0 : 7, base, index, scale, disp + 4 * below(3));
}

static void one(void)
{
	unsigned r = reg(), k = below(31);
	u32 v;

	switch (k) {
	case 0:
	case 1:
	case 2: /* MOV, ADD, MOVZX */
		if (!below(6))
			put(below(2) ? 0x64 : 0x65, 1);
		if (k == 2)
			put(0x0f, 1);
		put(k == 0 ? 0x8b : k == 1 ? 0x03 : 0xb6, 1);
		operand(r);
		known[r] = false;
		break;
	case 3:
	case 4:
	case 5:
	case 6: /* MOV, ADD, MOV of a byte, back */
		if (!below(6))
			put(below(2) ? 0x64 : 0x65, 1);
		put(k == 5 ? 0x01 : k == 6 ? 0x88 : 0x89, 1);
		operand(below(8));
		break;
	case 7:
		put(0xc7, 1);
		operand(0);
		put(rnd(), 4);
		break;
	case 8:
		put(0xff, 1); /* INC, DEC */
		operand(below(2));
		break;
	case 9:
		put(0x83, 1);
		operand(below(8));
		put(rnd(), 1);
		break;
	case 10:
	case 11:
		put(0x50 | below(8), 1);
		value[4] -= 4;
		break;
	case 12:
		v = rnd();
		put(v & 1 ? 0x68 : 0x6a, 1);
		put(v, v & 1 ? 4 : 1);
		value[4] -= 4;
		break;
	case 13:
		put(0xff, 1);
		operand(6);
		value[4] -= 4;
		break;
	case 14:
	case 15:
		put(0x58 | r, 1);
		known[r] = false;
		value[4] += 4;
		break;
	case 16:
	case 17:
	case 18: /* ADD, SUB of a constant; now and then across the ring */
		r = below(8);
		v = 4 * below(below(4) ? 16 : 0x800);
		put(0x81, 1);
		put(0xc0 | (k & 1 ? 5 << 3 : 0) | r, 1);
		put(v, 4);
		value[r] += k & 1 ? -v : v;
		break;
	case 19: /* LEA r, [q + disp8] */
		v = reg();
		put(0x8d, 1);
		put(0x40 | r << 3 | v, 1);
		k = below(16) * 4;
		put(k, 1);
		value[r] = value[v] + k;
		known[r] = known[v];
		break;
	case 20:
	case 21:
		v = below(2);
		put(0x40 | v << 3 | r, 1);
		value[r] += v ? -1u : 1;
		break;
	case 22:
		put(0xa0 | below(4), 1);
		v = below(2) ? RING + 4 * below(0x1000) : AREA + 4 * below(0xc00);
		put(v, 4);
		known[0] = false;
		break;
	case 23: /* JCC over INC EDX */
		put(0x70 | below(16), 1);
		put(1, 1);
		put(0x42, 1);
		known[2] = false;
		break;
	case 24: /* CALL the next */
		put(0xe8, 1);
		put(0, 4);
		value[4] -= 4;
		break;
	case 25: /* PUSH the next, RET */
		put(0x68, 1);
		put((u32)out + 5, 4);
		put(0xc3, 1);
		break;
	case 26:
		v = reg();
		put(0x89, 1);
		put(0xc0 | v << 3 | r, 1);
		value[r] = value[v];
		known[r] = known[v];
		break;
	case 27:
		put(0x87, 1);
		operand(r);
		known[r] = false;
		break;
	case 28:
		put(0x0f, 1); /* BT, BTS, BTR, BTC by a register that may be anything */
		put(0xa3 | below(4) << 3, 1);
		operand(r);
		break;
	case 30: there_again(); break;
	case 29: /* MOV EBP, ESP and LEAVE */
		if (below(2) && known[5] && points(value[5])) {
			put(0xc9, 1);
			value[4] = value[5] + 4;
			known[5] = false;
		} else {
			put(0xe589, 2);
			value[5] = value[4];
			known[5] = true;
		}
		break;
	default: break;
	}
}

static u32 start_value(void)
{
	switch (below(8)) {
	case 0: return below(64);
	case 1: return -below(64);
	case 2: return rnd();
	case 3:
	case 4: return AREA + 4 * below(0xc00);
	case 5: return 4 * below(32) - 64; /* at the edge */
	default: return RING + 4 * below(0x1000);
	}
}

static u16 some_segment(void)
{
	static const u16 sel[] = {FLAT, FLAT, ODD, TOP, SHORT, LOCKED, 0, SEL_UDATA};
	u16 s = sel[below(8)];

	return s ? s | 3 : 0;
}

/* A program of n instructions, `rounds` times. */
static void make(struct frame *f, unsigned n, unsigned rounds)
{
	u32 *r[8] = {&f->eax, &f->ecx, &f->edx, &f->ebx, &f->rsp, &f->ebp, &f->esi, &f->edi};
	u8 *top;

	memset(f, 0, sizeof(*f));
	for (unsigned i = 0; i < 8; i++) {
		value[i] = start_value();
		if (i == 4)
			value[i] = below(2) ? RING + 4 * below(0x1000) : AREA + 4 * below(0x7c0);
		if (i == 4 && !below(3))
			value[i] = 4 * below(16) - 32;
		known[i] = true;
		*r[i] = value[i];
	}
	f->cs = SEL_UCODE32;
	f->ss = f->ds = f->es = SEL_UDATA;
	f->fs = some_segment();
	f->gs = some_segment();
	f->rflags = 2;
	if (out > user_code + sizeof(user_code) - 1024)
		out = user_code;
	f->rip = (u32)out;
	top = out;
	for (unsigned i = 0; i < n; i++)
		one();
	if (rounds > 1) { /* SUB [AREA + 1FF8h], 1; JNZ: what lies there is a small number */
		put(0x2d83, 2);
		put(AREA + 0x1ff8, 4);
		put(1, 1);
		put(0x850f, 2);
		put((u32)(top - (out + 4)), 4);
	}
	put(0x81cd, 2);
	*(u32 *)(fresh[5] + 0xff8) = rounds;
}

/* --- comparing ------------------------------------------------------------------------------- */

static unsigned told;

static bool same(const struct trap *a, const struct trap *b, const char *what, unsigned n)
{
	const struct frame *x = &a->frame, *y = &b->frame;
	u32 flags = a->vector == VEC_DONE ? FL_ALL : 0;
	bool good = a->vector == b->vector && a->error == b->error &&
		    (a->vector != PF || a->cr2 == b->cr2) && x->eax == y->eax && x->ecx == y->ecx &&
		    x->edx == y->edx && x->ebx == y->ebx && x->ebp == y->ebp && x->esi == y->esi &&
		    x->edi == y->edi && x->rip == y->rip && x->rsp == y->rsp && x->ss == y->ss &&
		    x->fs == y->fs && !((x->rflags ^ y->rflags) & flags);
	bool memory = equal(want, frames, sizeof(want));

	if ((!good || !memory) && told++ < 8)
		print("# program %u, %s: vector %u %u error %x %x cr2 %x %x rip %x %x esp %x %x "
		      "eax %x %x ecx %x %x flags %x %x%s\n",
		      n, what, a->vector, b->vector, (u32)a->error, (u32)b->error, (u32)a->cr2,
		      (u32)b->cr2, x->rip, y->rip, x->rsp, y->rsp, x->eax, y->eax, x->ecx, y->ecx,
		      x->rflags, y->rflags, memory ? "" : ", memory");
	return good && memory;
}

static unsigned ended[34];

static bool program(unsigned n)
{
	static struct trap first;
	struct frame f, start;
	bool good = true;

	make(&start, 1 + below(below(3) ? 12 : 40), below(3) ? 1 : 2 + below(6));
	for (unsigned way = 0; way < 4 && good; way++) {
		f = start;
		if (way == 3) { /* other segments under the same code, by steps and directly */
			f.fs = some_segment();
			f.gs = some_segment();
			if (!below(2))
				f.ds = LOW_DATA | 3;
			if (!below(8))
				f.ss = NEAR_TOP | 3;
		}
		start = f;
		if (way == 0 || way == 3) {
			copy(frames, fresh, sizeof(frames));
			go(&f, true);
			first = this_cpu()->trap;
			copy(want, frames, sizeof(frames));
			ended[first.vector < 32		 ? first.vector
			      : first.vector == VEC_DONE ? 32
							 : 33]++;
			f = start;
		}
		if (!below(4))
			write_cr3(read_cr3());
		copy(frames, fresh, sizeof(frames));
		go(&f, false);
		good = same(&first, &this_cpu()->trap, way == 3 ? "other segments" : "again", n);
	}
	return good;
}

static void programs(void)
{
	unsigned bad = 0;

	section("random programs, by steps and directly");
	for (unsigned i = 0; i < sizeof(fresh); i += 4)
		*(u32 *)((u8 *)fresh + i) = below(3) ? start_value() : rnd();
	out = user_code;
	for (unsigned n = 0; n < 2000 && bad < 4; n++)
		bad += !program(n);
	print("# ended: %u, #GP %u, #SS %u, #PF %u, after 3000 steps %u\n", ended[32], ended[GP],
	      ended[SS], ended[PF], ended[DB]);
	CHECK_EQ(bad, 0, "the same");
	CHECK(ended[32] > 500 && ended[PF] > 50 && ended[GP] > 50 && ended[SS] > 10,
	      "they ended in all ways");
}

/* --- by hand: what is known to be right ------------------------------------------------------ */

static volatile u32 *at(u32 va)
{
	asm("" : "+r"(va)); /* address 0 is one like others */
	return (volatile u32 *)va;
}
static u32 word(u32 va)
{
	return *at(va);
}

u32 back; /* the stack that was */

#define ON_STACK(sp, code, in, out_)                                                               \
	asm volatile("mov %%esp, back; mov %2, %%esp\n" code "mov back, %%esp"                     \
		     : "+a"(in), "=c"(out_)                                                        \
		     : "r"(sp)                                                                     \
		     : "edx", "memory")

/* At CPL 0, where no guard but the stack's is. Each three times: pages are learned. */
static void wraps(void)
{
	section("stacks at both ends of the address space");
	for (unsigned i = 0; i < 3; i++) {
		u32 a = 0x1000 + i, b = 0;

		ON_STACK(0xfffffff0, "push %%eax; add $0x20, %%esp; mov -0x20(%%esp), %%ecx\n", a,
			 b);
		CHECK_EQ(b, a, "PUSH, over the end, and back by a displacement");
		CHECK_EQ(word(0xffffffec), a, "which is where it was");
		a = 0x2000 + i;
		ON_STACK(0xffffeff8, "push %%eax; add $0x1010, %%esp; mov -0x1010(%%esp), %%ecx\n",
			 a, b);
		CHECK_EQ(b, a, "the same from the page below");
		a = 0x3000 + i;
		ON_STACK(4,
			 "push %%eax; push %%eax; mov (%%esp), %%ecx; add $4, %%esp; pop %%edx\n",
			 a, b);
		CHECK_EQ(b, a, "PUSH from 4 down");
		CHECK(word(0) == a && word(0xfffffffc) == a, "is at 0 and at the end");
		a = 0x4000 + i;
		ON_STACK(0xfffffffc, "mov %%eax, (%%esp); pop %%ecx; mov -4(%%esp), %%ecx\n", a, b);
		CHECK_EQ(b, a, "POP of the last word; ESP is 0");
		a = 0x5000 + i;
		ON_STACK(0xffffffe0,
			 "push %%ebp; mov %%esp, %%ebp; sub $0x40, %%esp; mov %%eax, 4(%%ebp)\n"
			 "mov 0x44(%%esp), %%ecx; leave; pop %%edx; push %%edx\n",
			 a, b);
		CHECK_EQ(b, a, "a frame");
		a = 0x6000 + i;
		ON_STACK(8, "push %%eax; sub $0x10, %%esp; mov 0x10(%%esp), %%ecx\n", a, b);
		CHECK_EQ(b, a, "PUSH, below 0, and back by a displacement");
	}
}

static void sums(void)
{
	section("sums that wrap");
	for (unsigned i = 0; i < 3; i++) {
		volatile u32 *p = (volatile u32 *)(AREA + 0x100);
		u32 v, w;

		p[-1] = 0x11110000 + i;
		p[-2] = 0x22220000 + i;
		asm volatile("mov (%1, %2, 4), %0" : "=r"(v) : "r"(p), "r"(-1));
		CHECK_EQ(v, 0x11110000 + i, "an index of -1");
		asm volatile("mov (%1, %2, 8), %0" : "=r"(v) : "r"(p), "r"(-1));
		CHECK_EQ(v, 0x22220000 + i, "by 8");
		asm volatile("mov -0x40000004(%1), %0" : "=r"(v) : "r"((u32)p + 0x40000000));
		CHECK_EQ(v, 0x11110000 + i, "a displacement of C0000000h and more");
		asm volatile("movl %2, 0x10(%3); mov %3, %1; add $0x1ff0, %1; mov -0x1fe0(%1), %0"
			     : "=&r"(v), "=&r"(w)
			     : "r"(0x33330000 + i), "r"(0xfffff000));
		CHECK_EQ(v, 0x33330000 + i, "a base that goes over the end between two operands");
		CHECK_EQ(w, 0xff0, "and is cut");
	}
}

static void fs_base(u32 base)
{
	gdt_set(FLAT, base, 0xfffff, 0xf3, 0xc);
	asm volatile("mov %0, %%fs" ::"r"(FLAT));
}

static void t_fs4(void *off)
{
	asm volatile("mov %%fs:(%0), %%eax" ::"r"(off) : "eax");
}
static void t_fs_end(void *unused)
{
	(void)unused;
	asm volatile("mov %%fs:0xfffffffe, %%eax" ::: "eax");
}

static void bases(void)
{
	section("FS with a base and 4 GiB");
	for (unsigned i = 0; i < 3; i++) {
		u32 v;

		fs_base(AREA + 0x801);
		*(volatile u32 *)(AREA + 0x801 - 8) = 0x44440000 + i;
		asm volatile("mov %%fs:0xfffffff8, %0" : "=r"(v));
		CHECK_EQ(v, 0x44440000 + i, "a negative offset");
		asm volatile("mov %%fs:(%1), %0" : "=r"(v) : "r"(-8));
		CHECK_EQ(v, 0x44440000 + i, "in a register");
		expect("a dword over the end of the segment: #GP(0)", GP, 0, t_fs4, (void *)-2);
		expect("the same by its address", GP, 0, t_fs_end, NULL);
		fs_base(AREA + 0x802);
		expect("aligned, but over the end: #GP(0)", GP, 0, t_fs4, (void *)-2);
		asm volatile("mov %0, %%fs" ::"r"(SHORT));
		expect("a limit under the same code: #GP(0)", GP, 0, t_fs4, (void *)0x1000);
		asm volatile("mov %0, %%fs" ::"r"(0));
		expect("no segment: #GP(0)", GP, 0, t_fs4, (void *)0x10);
		fs_base(0xfffffffe);
		*at(2) = 0x55550000 + i;
		asm volatile("mov %%fs:(%1), %0" : "=r"(v) : "r"(4));
		CHECK_EQ(v, 0x55550000 + i, "base and offset wrap");
		asm volatile("mov %0, %%fs" ::"r"(SEL_DATA));
	}
	gdt_set(FLAT, AREA + 0x1000, 0xfffff, 0xf3, 0xc);
}

void suite(void)
{
	paging_on();
	wraps();
	sums();
	if (on_qemu())
		skip("limits", "QEMU has none");
	else
		bases();
	if (on_qemu())
		skip("random programs", "QEMU has no limits, and single steps differ");
	else
		programs();
	write_cr0(read_cr0() & ~CR0_PG);
}
