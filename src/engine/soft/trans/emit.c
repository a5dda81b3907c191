/* SPDX-License-Identifier: Apache-2.0 */
/* emit: see emit.h. */
#include "engine/soft/trans/emit.h"

#define NONE 16u

bool e_host_can(void)
{
	return __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

void e_mem(struct emit *e, unsigned reg, unsigned base, unsigned index, unsigned scale, s32 disp)
{
	unsigned mod, r = (reg & 7) << 3;
	if (base == NONE) { /* [disp32] or [index << scale + disp32] */
		e8(e, r | 4);
		e8(e, (index == NONE ? 4u : index & 7) << 3 | scale << 6 | 5);
		e32(e, (u32)disp);
		return;
	}
	mod = !disp && (base & 7) != 5 ? 0 : disp == (s8)disp ? 1 : 2;
	if (index == NONE && (base & 7) != 4) {
		e8(e, mod << 6 | r | (base & 7));
	} else {
		e8(e, mod << 6 | r | 4);
		e8(e, scale << 6 | (index == NONE ? 4u : index & 7) << 3 | (base & 7));
	}
	if (mod == 1)
		e8(e, (u8)disp);
	else if (mod == 2)
		e32(e, (u32)disp);
}

static unsigned high(unsigned reg)
{
	return reg == NONE ? 0 : reg;
}

void e_gs(struct emit *e, bool w, unsigned op, unsigned reg, u32 off)
{
	e8(e, 0x65);
	e_rex(e, w, reg, 0, 0);
	e8(e, op);
	e_mem(e, reg, NONE, NONE, 0, (s32)off);
}

void e_mov(struct emit *e, unsigned to, unsigned from)
{
	e_rex(e, true, from, 0, to);
	e8(e, 0x89);
	e8(e, 0xc0 | (from & 7) << 3 | (to & 7));
}

void e_mov_imm(struct emit *e, unsigned reg, u64 v)
{
	if (v <= 0xffffffffu) {
		e_rex(e, false, 0, 0, reg);
		e8(e, 0xb8 | (reg & 7));
		e32(e, (u32)v);
	} else if ((s64)v == (s32)v) {
		e_rex(e, true, 0, 0, reg);
		e8(e, 0xc7);
		e8(e, 0xc0 | (reg & 7));
		e32(e, (u32)v);
	} else {
		e_rex(e, true, 0, 0, reg);
		e8(e, 0xb8 | (reg & 7));
		e64(e, v);
	}
}

void e_lea(struct emit *e, unsigned reg, unsigned base, unsigned index, unsigned scale, s32 disp,
	   unsigned size)
{
	e_rex(e, size == 8, reg, high(index), high(base));
	e8(e, 0x8d);
	e_mem(e, reg, base, index, scale, disp);
}

void e_load(struct emit *e, unsigned size, unsigned reg, unsigned base, unsigned index,
	    unsigned scale, s32 disp)
{
	e_rex(e, size == 8, reg, high(index), high(base));
	e8(e, 0x8b);
	e_mem(e, reg, base, index, scale, disp);
}

void e_store(struct emit *e, unsigned size, unsigned reg, unsigned base, unsigned index, s32 disp)
{
	e_rex(e, size == 8, reg, high(index), high(base));
	e8(e, 0x89);
	e_mem(e, reg, base, index, 0, disp);
}

void e_pext_gs(struct emit *e, unsigned to, unsigned from, u32 off)
{
	/* VEX.LZ.F3.0F38.W1 F5 /r: to, from, m64 */
	e8(e, 0x65);
	e8(e, 0xc4);
	e8(e, (to & 8 ? 0 : 0x80u) | 0x60 | 2);
	e8(e, 0x80 | (~from & 15) << 3 | 2);
	e8(e, 0xf5);
	e_mem(e, to, NONE, NONE, 0, (s32)off);
}

void e_page_number(struct emit *e)
{
	e_mov_imm(e, H_R11, 36 << 8 | 12);
	/* VEX.LZ.0F38.W1 F7 /r: bextr r11, r10, r11 */
	e8(e, 0xc4);
	e8(e, 0x42);
	e8(e, 0xa0);
	e8(e, 0xf7);
	e8(e, 0xda);
}

void e_test_imm8(struct emit *e, unsigned reg, unsigned imm)
{
	if (reg >= 4)
		e8(e, 0x40 | (reg & 8 ? 1u : 0));
	e8(e, 0xf6);
	e8(e, 0xc0 | (reg & 7));
	e8(e, imm);
}

u8 *e_jcc_fwd(struct emit *e, unsigned cc)
{
	e8(e, 0x0f);
	e8(e, 0x80 | cc);
	e32(e, 0);
	return e->p - 4;
}

u8 *e_jmp_fwd(struct emit *e)
{
	e8(e, 0xe9);
	e32(e, 0);
	return e->p - 4;
}

void e_rel32(u8 *at, const u8 *to)
{
	st32(at, (u32)(to - (at + 4)));
}

void e_here(struct emit *e, u8 *rel32)
{
	if (!e->full)
		e_rel32(rel32, e->p);
}

void e_jmp(struct emit *e, const u8 *to)
{
	e8(e, 0xe9);
	e32(e, (u32)(to - (e->p + 4)));
}

void e_call(struct emit *e, const u8 *to)
{
	e8(e, 0xe8);
	e32(e, (u32)(to - (e->p + 4)));
}
