/* SPDX-License-Identifier: Apache-2.0 */
/*
 * string: MOVS, STOS, LODS, CMPS, SCAS, INS, OUTS and their REP forms. SDM 1 7.3.9, SDM 2.
 *
 * REP MOVS and REP STOS work in runs that stay inside one page on both sides; registers are
 * updated after each run, and pending events are let in between (the instruction then restarts
 * with what is left). Everything else goes element by element.
 *
 * Entered from the run loop through the form table.
 */
#include "cpu/exec/body.h"
#include "cpu/exec/system.h"
#include "cpu/flags.h"

static u64 addr_mask(const struct insn *in)
{
	return in->asz == 8 ? ~0ull : in->asz == 4 ? 0xffffffffull : 0xffffull;
}

static u64 reg_addr(const struct cpu *c, const struct insn *in, unsigned r)
{
	return c->r[r] & addr_mask(in);
}

static void reg_advance(struct cpu *c, const struct insn *in, unsigned r, s64 by)
{
	reg_set(c, REG_OFF(r), in->asz, c->r[r] + (u64)by);
}

static s64 step_of(const struct cpu *c, unsigned size)
{
	return c->rflags & FL_DF ? -(s64)size : (s64)size;
}

static bool repeats(const struct insn *in)
{
	return in->pfx & (PFX_REP | PFX_REPNE);
}

/* Linear address of [RDI] in ES. Over the end of a flat segment is #GP, whatever the prefix says of
 * the source. */
static always_inline u64 dest_la(struct cpu *c, const struct insn *in, unsigned size,
				 enum cpu_access acc)
{
	u64 la = mem_la(c, S_ES, reg_addr(c, in, R_RDI), size, acc);

	if (unlikely((la + size - 1) >> 32 == 1 && !(c->mode & MODE_64)))
		cpu_gp0(c);
	return la;
}

/* The local APIC's timer only counts when the run loop looks at it, and the longest of these
 * instructions would keep it from that for minutes: after 4096 elements it gets its look, after
 * 65536 when a run does a page of them at once. */
static always_inline void let_timer_in(struct cpu *c, u64 left, u64 n)
{
	if (unlikely((left ^ (left + n)) >> (n == 1 ? 12 : 16)))
		cpu_event(c, EV_TIMER);
}

/* Between iterations: does something want in? Then the instruction starts again with the rest. */
static void let_events_in(struct cpu *c)
{
	if (unlikely(__atomic_load_n(&c->event, __ATOMIC_RELAXED) || c->mode & MODE_STEP)) {
		c->rip = cpu_insn_rip(c);
		c->repeated = true;
		cpu_restart(c);
	}
}

/* Elements that fit before either page ends, 0 if the fast form cannot be used. */
static u64 run_length(struct cpu *c, const struct insn *in, u64 off, unsigned seg, unsigned size)
{
	u64 la = c->seg_base[seg] + off, n;
	if (c->seg_chk >> seg & 1 || c->rflags & FL_DF || c->mode & MODE_STEP)
		return 0;
	n = (0x1000 - (la & 0xfff)) / size;
	if (in->asz != 8)
		n = min_u64(n, (addr_mask(in) - off) / size);
	return n;
}

/* Host pointers of a run, translated if need be: raises as its first element would. They stay good
 * when the other side takes their place in the TLB, which element by element would go on for the
 * whole page. NULL: MMIO, ROM, code, a breakpoint. */
static const u8 *run_from(struct cpu *c, u64 la, unsigned bytes)
{
	const u8 *p = tlb_read(c, la, bytes);
	if (unlikely(!p)) {
		mem_probe(c, la, 1, ACC_READ);
		p = tlb_read(c, la, bytes);
	}
	return p;
}

static u8 *run_to(struct cpu *c, u64 la, unsigned bytes)
{
	u8 *p = tlb_write(c, la, bytes);
	if (unlikely(!p)) {
		mem_probe(c, la, 1, ACC_WRITE);
		p = tlb_write(c, la, bytes);
	}
	return p;
}

static void after_run(struct cpu *c, const struct insn *in, u64 n)
{
	u64 left;
	reg_advance(c, in, R_RCX, -(s64)n);
	left = reg_addr(c, in, R_RCX);
	if (!left)
		return;
	let_timer_in(c, left, n);
	let_events_in(c);
}

/* --- MOVS --- */

static always_inline void movs_one(struct cpu *c, const struct insn *in, unsigned size)
{
	u64 src = mem_la(c, in->seg, reg_addr(c, in, R_RSI), size, ACC_READ);
	u64 v = mem_ld(c, src, size);
	mem_st(c, dest_la(c, in, size, ACC_WRITE), size, v);
	reg_advance(c, in, R_RSI, step_of(c, size));
	reg_advance(c, in, R_RDI, step_of(c, size));
}

static always_inline u64 movs_run(struct cpu *c, const struct insn *in, unsigned size, u64 count)
{
	u64 si = reg_addr(c, in, R_RSI), di = reg_addr(c, in, R_RDI), n, bytes;
	const u8 *s;
	u8 *d;
	n = min_u64(run_length(c, in, si, in->seg, size), run_length(c, in, di, S_ES, size));
	n = min_u64(n, count);
	if (n < 2)
		return 0;
	bytes = n * size;
	s = run_from(c, c->seg_base[in->seg] + si, (unsigned)bytes);
	d = run_to(c, c->seg_base[S_ES] + di, (unsigned)bytes);
	if (!s || !d)
		return 0;
	if ((u64)(d - s) >= bytes) {
		__builtin_memmove(d, s, bytes);
	} else { /* overlapping ahead: the pattern repeats */
		for (u64 i = 0; i < bytes; i += size)
			st_size(d + i, size, ld_size(s + i, size));
	}
	reg_advance(c, in, R_RSI, (s64)bytes);
	reg_advance(c, in, R_RDI, (s64)bytes);
	return n;
}

static always_inline void body_movs(struct cpu *c, const struct insn *in, unsigned size,
				    bool mem unused_arg)
{
	u64 count;
	if (!repeats(in)) {
		movs_one(c, in, size);
		return;
	}
	while ((count = reg_addr(c, in, R_RCX)) != 0) {
		u64 n = movs_run(c, in, size, count);
		if (!n) {
			movs_one(c, in, size);
			n = 1;
		}
		after_run(c, in, n);
	}
}
BODY_SIZED(movs, body_movs)

/* --- STOS --- */

static always_inline void stos_one(struct cpu *c, const struct insn *in, unsigned size)
{
	mem_st(c, dest_la(c, in, size, ACC_WRITE), size, reg_get(c, REG_OFF(R_RAX), size));
	reg_advance(c, in, R_RDI, step_of(c, size));
}

static always_inline u64 stos_run(struct cpu *c, const struct insn *in, unsigned size, u64 count)
{
	u64 di = reg_addr(c, in, R_RDI), v = reg_get(c, REG_OFF(R_RAX), size);
	u64 n = min_u64(run_length(c, in, di, S_ES, size), count);
	u8 *d;
	if (n < 2)
		return 0;
	d = run_to(c, c->seg_base[S_ES] + di, (unsigned)(n * size));
	if (!d)
		return 0;
	if (size == 1 || v == 0) {
		__builtin_memset(d, (int)(u8)v, n * size);
	} else {
		for (u64 i = 0; i < n; i++)
			st_size(d + i * size, size, v);
	}
	reg_advance(c, in, R_RDI, (s64)(n * size));
	return n;
}

static always_inline void body_stos(struct cpu *c, const struct insn *in, unsigned size,
				    bool mem unused_arg)
{
	u64 count;
	if (!repeats(in)) {
		stos_one(c, in, size);
		return;
	}
	while ((count = reg_addr(c, in, R_RCX)) != 0) {
		u64 n = stos_run(c, in, size, count);
		if (!n) {
			stos_one(c, in, size);
			n = 1;
		}
		after_run(c, in, n);
	}
}
BODY_SIZED(stos, body_stos)

/* --- LODS --- */

static always_inline void body_lods(struct cpu *c, const struct insn *in, unsigned size,
				    bool mem unused_arg)
{
	do {
		if (repeats(in) && !reg_addr(c, in, R_RCX))
			return;
		reg_set(c, REG_OFF(R_RAX), size,
			mem_ld(c, mem_la(c, in->seg, reg_addr(c, in, R_RSI), size, ACC_READ),
			       size));
		reg_advance(c, in, R_RSI, step_of(c, size));
		if (repeats(in))
			after_run(c, in, 1);
	} while (repeats(in));
}
BODY_SIZED(lods, body_lods)

/* --- CMPS, SCAS: REPE / REPNE stop on ZF --- */

static always_inline bool compare_done(struct cpu *c, const struct insn *in, u64 a, u64 b,
				       unsigned size)
{
	fl_sub(c, size, a, b, a - b);
	if (!repeats(in))
		return true;
	reg_advance(c, in, R_RCX, -1);
	if (fl_zf(c) != !!(in->pfx & PFX_REP) || !reg_addr(c, in, R_RCX))
		return true;
	let_timer_in(c, reg_addr(c, in, R_RCX), 1);
	let_events_in(c);
	return false;
}

static always_inline void body_cmps(struct cpu *c, const struct insn *in, unsigned size,
				    bool mem unused_arg)
{
	u64 a, b;
	if (repeats(in) && !reg_addr(c, in, R_RCX))
		return;
	do {
		a = mem_ld(c, mem_la(c, in->seg, reg_addr(c, in, R_RSI), size, ACC_READ), size);
		b = mem_ld(c, dest_la(c, in, size, ACC_READ), size);
		reg_advance(c, in, R_RSI, step_of(c, size));
		reg_advance(c, in, R_RDI, step_of(c, size));
	} while (!compare_done(c, in, a, b, size));
}
BODY_SIZED(cmps, body_cmps)

static always_inline void body_scas(struct cpu *c, const struct insn *in, unsigned size,
				    bool mem unused_arg)
{
	u64 a = reg_get(c, REG_OFF(R_RAX), size), b;
	if (repeats(in) && !reg_addr(c, in, R_RCX))
		return;
	do {
		b = mem_ld(c, dest_la(c, in, size, ACC_READ), size);
		reg_advance(c, in, R_RDI, step_of(c, size));
	} while (!compare_done(c, in, a, b, size));
}
BODY_SIZED(scas, body_scas)

/* --- INS, OUTS --- */

static void ins_one(struct cpu *c, const struct insn *in, unsigned size)
{
	u64 la = dest_la(c, in, size, ACC_WRITE);
	mem_probe(c, la, size, ACC_WRITE);
	mem_st(c, la, size, c->ops->io_read(c, (u16)c->r[R_RDX], size));
	reg_advance(c, in, R_RDI, step_of(c, size));
}
static void outs_one(struct cpu *c, const struct insn *in, unsigned size)
{
	u64 la = mem_la(c, in->seg, reg_addr(c, in, R_RSI), size, ACC_READ);
	u64 v = mem_ld(c, la, size);
	c->ops->io_write(c, (u16)c->r[R_RDX], size, (u32)v);
	reg_advance(c, in, R_RSI, step_of(c, size));
}

static always_inline void port_string(struct cpu *c, const struct insn *in,
				      void (*one)(struct cpu *, const struct insn *, unsigned))
{
	unsigned size = in->osz == 8 ? 4 : in->osz;
	io_check(c, (u16)c->r[R_RDX], size); /* also where nothing will be transferred */
	if (repeats(in) && !reg_addr(c, in, R_RCX))
		return;
	do {
		one(c, in, size);
		if (!repeats(in))
			return;
		after_run(c, in, 1);
	} while (reg_addr(c, in, R_RCX));
}
static void op_ins(struct cpu *c, const struct insn *in)
{
	port_string(c, in, ins_one);
}
BODY_ONE(ins, op_ins)
static void op_outs(struct cpu *c, const struct insn *in)
{
	port_string(c, in, outs_one);
}
BODY_ONE(outs, op_outs)
