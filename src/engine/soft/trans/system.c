/* SPDX-License-Identifier: Apache-2.0 */
/* system: what the kernel does all the time (SDM 2: PUSHF, POPF, CLI, STI, SWAPGS). See gen.h. */
#include "cpu/flags.h"
#include "engine/soft/trans/gen.h"

#define POPF_REST                                                                                  \
	0x247500u /* what POPF changes at CPL 0 besides IF and the status: its body knows */

/* op qword gs:[off], imm32: 1 or, 4 and, 6 xor */
static void gs_imm(struct emit *e, unsigned op, u32 off, u32 imm)
{
	e8(e, 0x65);
	e8(e, 0x48);
	e8(e, 0x81);
	e_mem(e, op, NOREG, NOREG, 0, (s32)off);
	e32(e, imm);
}

/* movzx to, byte gs:[off] */
static void gs_byte(struct emit *e, unsigned to, u32 off)
{
	e8(e, 0x65);
	e_rex(e, false, to, 0, 0);
	e8(e, 0x0f);
	e8(e, 0xb6);
	e_mem(e, to, NOREG, NOREG, 0, (s32)off);
}

/* An interrupt that waits for IF is the body's. */
static void body_if_waiting(struct tr *t, struct tinsn *ti)
{
	struct emit *e = &t->e;
	e8(e, 0x65); /* cmp byte gs:[intr_wait], 0 */
	e8(e, 0x80);
	e_mem(e, 7, NOREG, NOREG, 0, (s32)G(cpu.intr_wait));
	e8(e, 0);
	body_if(t, ti, 5);
}

void emit_cli(struct tr *t, bool live)
{
	flags_away(t, live);
	gs_imm(&t->e, 4, G(cpu.rflags), ~(u32)FL_IF);
}

/* Nothing comes between it and the next instruction: events are looked at behind jumps only. Behind
 * the last one of a block they may be, and the shadow says that it is too early. */
void emit_sti(struct tr *t, struct tinsn *ti, bool live)
{
	struct emit *e = &t->e;
	flags_away(t, live);
	body_if_waiting(t, ti);
	gs_imm(e, 1, G(cpu.rflags), FL_IF);
	if (t->i + 1 < t->count)
		return;
	e8(e, 0x65); /* mov byte gs:[shadow], 1 */
	e8(e, 0xc6);
	e_mem(e, 0, NOREG, NOREG, 0, (s32)G(cpu.shadow));
	e8(e, 1);
}

void emit_swapgs(struct tr *t)
{
	const u32 base = (u32)(G(cpu.s.seg) + S_GS * sizeof(struct cpu_segment) +
			       offsetof(struct cpu_segment, base));
	struct emit *e = &t->e;
	e_gs_load(e, H_R10, G(cpu.s.kernel_gs_base));
	e_gs_load(e, H_R11, base);
	e_gs_store(e, H_R11, G(cpu.s.kernel_gs_base));
	e_gs_store(e, H_R10, base);
	e_gs_store(e, H_R10, (u32)(G(cpu.seg_base) + S_GS * 8));
}

void emit_pushf(struct tr *t, struct tinsn *ti)
{
	struct emit *e = &t->e;
	if (!in_window(t)) {
		emit_interp(t, ti);
		return;
	}
	flags_away(t, true);
	gs_byte(e, H_R10, G(hot.status)); /* OF */
	e8(e, 0x41);			  /* shl r10d, 11 */
	e8(e, 0xc1);
	e8(e, 0xe2);
	e8(e, 11);
	gs_byte(e, H_R11, G(hot.status) + 1); /* the others, where EFLAGS has them */
	e8(e, 0x41);			      /* and r11d, D5h: POPF left all of the byte it had */
	e8(e, 0x81);
	e8(e, 0xe3);
	e32(e, 0xd5);
	e8(e, 0x45); /* or r10d, r11d */
	e8(e, 0x09);
	e8(e, 0xda);
	e_gs(e, true, 0x0b, H_R10, G(cpu.rflags)); /* or */
	e8(e, 0x41);				   /* and r10d, imm32 */
	e8(e, 0x81);
	e8(e, 0xe2);
	e32(e, 0xfcffff);
	window_store(t, H_R10, -(s32)t->word);
	move_rsp(t, -(s32)t->word);
}

bool emit_popf(struct tr *t, struct tinsn *ti)
{
	struct emit *e = &t->e;
	u8 *off;
	if (!in_window(t)) {
		emit_end(t, ti);
		return false;
	}
	window_load(t, H_R10, H_R9, 0);
	e_mov(e, H_R11, H_R10);
	e_gs(e, true, 0x33, H_R11, G(cpu.rflags)); /* xor */
	e8(e, 0x41);				   /* test r11d, imm32 */
	e8(e, 0xf7);
	e8(e, 0xc3);
	e32(e, POPF_REST);
	body_if(t, ti, 5);
	e8(e, 0x41); /* test r10d, IF */
	e8(e, 0xf7);
	e8(e, 0xc2);
	e32(e, FL_IF);
	off = e_jcc_fwd(e, 4);
	body_if_waiting(t, ti);
	e_here(e, off);
	e8(e, 0x41); /* and r11d, IF */
	e8(e, 0x81);
	e8(e, 0xe3);
	e32(e, FL_IF);
	e_gs(e, true, 0x31, H_R11, G(cpu.rflags)); /* xor */
	e8(e, 0x65);				   /* mov gs:[status + 1], r10b */
	e8(e, 0x44);
	e8(e, 0x88);
	e_mem(e, H_R10, NOREG, NOREG, 0, (s32)G(hot.status) + 1);
	e8(e, 0x41); /* bt r10d, 11 */
	e8(e, 0x0f);
	e8(e, 0xba);
	e8(e, 0xe2);
	e8(e, 11);
	e8(e, 0x65); /* setc gs:[status] */
	e8(e, 0x0f);
	e8(e, 0x92);
	e_mem(e, 0, NOREG, NOREG, 0, (s32)G(hot.status));
	t->saved = true;
	move_rsp(t, (s32)t->word);
	return true;
}

/* rorx rdx, from, 32 */
static void rorx_rdx(struct emit *e, unsigned from)
{
	e8(e, 0xc4);
	e8(e, from & 8 ? 0xc3 : 0xe3);
	e8(e, 0xfb);
	e8(e, 0xf0);
	e8(e, 0xd0 | (from & 7));
	e8(e, 32);
}

/* Host TSC plus an offset (board/clock.h). Who may not read it faults in the host. */
void emit_rdtsc(struct tr *t, struct tinsn *ti)
{
	struct emit *e = &t->e;
	if (!t->x->host_tsc) {
		emit_interp(t, ti);
		return;
	}
	e_gs_load(e, H_R11, t->b->mode & MODE_CPL ? G(hot.tsc_gate[1]) : G(hot.tsc_gate[0]));
	e8(e, 0x45); /* mov r11d, [r11] */
	e8(e, 0x8b);
	e8(e, 0x1b);
	e8(e, 0x0f); /* rdtsc */
	e8(e, 0x31);
	rorx_rdx(e, H_RDX);
	e_lea(e, H_RAX, H_RAX, H_RDX, 0, 0, 8);
	e_gs_load(e, H_RDX, G(hot.tsc_add));
	e_lea(e, H_RAX, H_RAX, H_RDX, 0, 0, 8);
	rorx_rdx(e, H_RAX);
	e8(e, 0x89); /* mov edx, edx; mov eax, eax */
	e8(e, 0xd2);
	e8(e, 0x89);
	e8(e, 0xc0);
	if (insn_now(t)->opcode == 0x01)
		e_gs(e, false, 0x8b, H_RCX, G(cpu.s.tsc_aux));
}

/* The selector, zero-extended but for 16-bit operands. */
void emit_mov_seg(struct tr *t, struct tinsn *ti, bool live)
{
	struct emit *e = &t->e;
	const u32 sel = (u32)(G(cpu.s.seg) + insn_now(t)->reg * sizeof(struct cpu_segment) +
			      offsetof(struct cpu_segment, sel));
	bool mem = insn_now(t)->pfx & PFX_MEM;
	unsigned to = mem			       ? H_R11
		      : home[insn_now(t)->rm] == NOREG ? H_R10
						       : home[insn_now(t)->rm],
		 miss = 0;
	struct ea ea;
	if (mem) {
		flags_away(t, live);
		emit_ea(t, insn_now(t), &ea);
		miss = emit_lookup(t, ti, &ea, 2, true);
		emit_host(t, &ea);
		ti->saved = t->saved;
	}
	if (!mem && insn_now(t)->osz == 2 && to != H_R10) {
		e8(e, 0x66); /* mov to16, gs:[sel] */
		e_gs(e, false, 0x8b, to, sel);
		return;
	}
	e8(e, 0x65); /* movzx to, word gs:[sel] */
	e_rex(e, false, to, 0, 0);
	e8(e, 0x0f);
	e8(e, 0xb7);
	e_mem(e, to, NOREG, NOREG, 0, (s32)sel);
	if (mem) {
		e8(e, 0x66); /* mov [r10], r11w */
		e8(e, 0x45);
		e8(e, 0x89);
		e8(e, 0x1a);
		done_here(t, miss);
	} else if (to == H_R10 && insn_now(t)->osz == 2) {
		e8(e, 0x66); /* mov gs:[slot], r10w */
		e_gs(e, false, 0x89, H_R10, G_REG(insn_now(t)->rm));
	} else if (to == H_R10) {
		e_gs_store(e, H_R10, G_REG(insn_now(t)->rm));
	}
}

/* SYSCALL, SYSRET: to their stub. */
void emit_far(struct tr *t, struct tinsn *ti, const u8 *stub)
{
	flags_away(t, true);
	e_mov_imm(&t->e, H_R10, (u64)ti);
	e_jmp(&t->e, stub);
}
