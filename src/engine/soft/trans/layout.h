/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout: where translated code finds things: guest registers in the host's, fields of the vCPU
 * block by their offset from the GS base.
 *
 * Entered by translate.c and stubs.c only.
 */
#ifndef ENGINE_SOFT_TRANS_LAYOUT_H
#define ENGINE_SOFT_TRANS_LAYOUT_H

#include "engine/soft/impl.h"
#include "engine/soft/trans/emit.h"

#define G(field) ((u32)offsetof(struct vcpu, field))
#define G_REG(n) ((u32)((n)*8)) /* cpu.r stands first */
#define NOREG	 16u

/* Where guest register n lives; NOREG: in its slot, cpu.r[n]. */
static const u8 home[16] = {H_RAX, H_RCX, H_RDX, H_RBX, H_R9,  H_RBP, H_RSI, H_RDI,
			    H_R8,  NOREG, NOREG, NOREG, H_R12, H_R13, H_R14, H_R15};

/* The status flags as LAHF and SETO give them, in AX: in hot.status, bits 15..8 and 0. */
static inline void e_lahf_seto(struct emit *e)
{
	e8(e, 0x9f);
	e8(e, 0x0f);
	e8(e, 0x90);
	e8(e, 0xc0);
}
/* And back: adding 7Fh to 1 overflows, to 0 it does not; SAHF leaves OF alone. */
static inline void e_from_ax(struct emit *e)
{
	e8(e, 0x04);
	e8(e, 0x7f);
	e8(e, 0x9e);
}
/* Indirect branches find the entry for flags put aside, from which most of them come; the one for
 * flags in the host's is so many bytes before: what puts them aside (flags_save()), or a jump. */
#define ENTRY_GAP 18u
static inline void e_fill(struct emit *e, const u8 *to)
{
	while (e->p < to && !e->full)
		e8(e, 0x90); /* nop */
}
/* cmp dword gs:[off], 0 */
static inline void e_gs_is_0(struct emit *e, u32 off)
{
	e8(e, 0x65);
	e8(e, 0x83);
	e_mem(e, 7, NOREG, NOREG, 0, (s32)off);
	e8(e, 0);
}
/* mov dword gs:[off], v */
static inline void e_gs_set(struct emit *e, u32 off, u32 v)
{
	e8(e, 0x65);
	e8(e, 0xc7);
	e_mem(e, 0, NOREG, NOREG, 0, (s32)off);
	e32(e, v);
}
/* r10, where a branch goes, becomes cpu.rip; the host faults if it is not canonical. Clobbers r11,
 * leaves the flags: bits 63..32 minus the sign extension of bits 47..32 is 0, or a multiple of 2^16
 * that, turned by 32, makes an address that no process has. */
static inline void e_new_rip(struct emit *e)
{
	const u32 rip = (u32)offsetof(struct vcpu, cpu.rip);
	e_gs_store(e, H_R10, rip);
	e8(e, 0x65); /* movsx r11, word gs:[rip + 4] */
	e8(e, 0x4c);
	e8(e, 0x0f);
	e8(e, 0xbf);
	e_mem(e, H_R11, NOREG, NOREG, 0, (s32)rip + 4);
	e8(e, 0x49); /* not r11 */
	e8(e, 0xf7);
	e8(e, 0xd3);
	e8(e, 0xc4); /* rorx r10, r10, 32 */
	e8(e, 0x43);
	e8(e, 0xfb);
	e8(e, 0xf0);
	e8(e, 0xd2);
	e8(e, 32);
	e8(e, 0x4d); /* movsxd r10, r10d */
	e8(e, 0x63);
	e8(e, 0xd2);
	e_lea(e, H_R11, H_R11, H_R10, 0, 1, 8);
	e8(e, 0xc4); /* rorx r11, r11, 32 */
	e8(e, 0x43);
	e8(e, 0xfb);
	e8(e, 0xf0);
	e8(e, 0xdb);
	e8(e, 32);
	e8(e, 0x65); /* mov r11d, gs:[r11] */
	e8(e, 0x45);
	e8(e, 0x8b);
	e8(e, 0x1b);
	e_gs_load(e, H_R10, rip);
}
/* Faults while an event waits. Clobbers r11, leaves the flags. */
static inline void e_poll(struct emit *e)
{
	e_gs_load(e, H_R11, (u32)offsetof(struct vcpu, cpu.poll));
	e8(e, 0x45); /* mov r11d, [r11] */
	e8(e, 0x8b);
	e8(e, 0x1b);
}
/* mov r11d, [r10 + r11 * (1 << scale) + disp] */
static inline void e_r11d_table(struct emit *e, unsigned scale, s32 disp)
{
	e8(e, 0x47);
	e8(e, 0x8b);
	e_mem(e, H_R11, H_R10, H_R11, scale, disp);
}

static inline void e_jmp_r11(struct emit *e)
{
	e8(e, 0x41);
	e8(e, 0xff);
	e8(e, 0xe3);
}

/* r10 = cpu.rip, canonical. Two loads, no compare, the flags stay: what is not known is 0, and at
 * hot.code_saved stands the exit that says so. With flags in the host's all is ENTRY_GAP before. */
static inline void e_indirect(struct emit *e, bool saved)
{
	e_pext_gs(e, H_R11, H_R10, G(hot.mask));
	e_gs_load(e, H_R10, G(hot.xt));
	e_r11d_table(e, 2, 0);
	e_gs_load(e, H_R10, (u32)offsetof(struct vcpu, cpu.rip));
	e_pext_gs(e, H_R10, H_R10, G(hot.low));
	e_lea(e, H_R11, H_R11, H_R10, 0, 0, 8);
	e_gs_load(e, H_R10, G(hot.desc));
	e_r11d_table(e, 2, 0);
	e_gs_load(e, H_R10, saved ? G(hot.code_saved) : G(hot.code));
	e_lea(e, H_R11, H_R11, H_R10, 0, 0, 8);
	e_jmp_r11(e);
}

#endif
