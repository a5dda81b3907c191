/* SPDX-License-Identifier: Apache-2.0 */
/* classify: what the translator does with an instruction. Pure; see trans.h. */
#include "cpu/insn_forms.h"
#include "cpu/interp.h"
#include "engine/soft/trans/recode.h"
#include "engine/soft/trans/trans.h"

#define FL_ALL 0x3fu

/* A jump out of the canonical addresses, or out of 4 GiB, faults: left to its body. */
static enum tkind to_code(const struct insn *in, unsigned word, enum tkind kind)
{
	return (word == 8 ? canonical(in->imm) : in->imm <= 0xffffffffu) ? kind : T_END;
}

static enum tkind kind_one(const struct insn *in, unsigned word)
{
	unsigned op = in->opcode, reg = in->modrm >> 3 & 7;
	bool full = in->osz == word;
	if (op < 0x40)
		return (op & 7) < 6 ? T_COPY : T_INTERP;
	switch (op) {
	case 0x50 ... 0x57: return full ? T_PUSH_R : T_INTERP;
	case 0x58 ... 0x5f: return !full ? T_INTERP : in->rm == R_RSP ? T_POP_RSP : T_POP_R;
	case 0x63: return word == 8 ? T_COPY : T_INTERP; /* ARPL */
	case 0x68:
	case 0x6a: return full ? T_PUSH_I : T_INTERP;
	case 0x70 ... 0x7f: return to_code(in, word, T_JCC);
	case 0x90: return in->pfx & PFX_REP ? T_INTERP : in->rm == R_RAX ? T_NOP : T_COPY;
	case 0x69:
	case 0x6b:
	case 0x80:
	case 0x81:
	case 0x83 ... 0x8b:
	case 0x91 ... 0x99:
	case 0x9e:
	case 0x9f:
	case 0xa8:
	case 0xa9:
	case 0xb0 ... 0xbf:
	case 0xc0:
	case 0xc1:
	case 0xd0 ... 0xd3:
	case 0xf5:
	case 0xf8:
	case 0xf9:
	case 0xfe: return T_COPY;
	case 0x8d: return T_LEA;
	case 0xc6:
	case 0xc7: return reg == 0 ? T_COPY : T_INTERP;
	case 0xc2:
	case 0xc3: return full ? T_RET : T_END;
	case 0xc9: return full ? T_LEAVE : T_INTERP;
	case 0xe3: return in->asz == word ? to_code(in, word, T_JRCXZ) : T_END;
	case 0xe8: return full ? to_code(in, word, T_CALL) : T_END;
	case 0xe9:
	case 0xeb: return to_code(in, word, T_JMP);
	case 0xf6:
	case 0xf7: return T_COPY;
	case 0xff:
		if (reg < 2)
			return T_COPY;
		if (full && reg == 2)
			return T_CALL_E;
		if (full && reg == 4)
			return T_JMP_E;
		if (reg == 6)
			return full && in->pfx & PFX_MEM ? T_PUSH_M : T_INTERP;
		return T_END;
	default: return T_INTERP;
	}
}

static enum tkind kind_0f(const struct insn *in, unsigned word)
{
	unsigned op = in->opcode, reg = in->modrm >> 3 & 7;
	bool mem = in->pfx & PFX_MEM;
	switch (op) {
	case 0x0d:
	case 0x18 ... 0x1f: return T_NOP; /* ENDBR64, NOP Ev and their like */
	case 0x80 ... 0x8f: return to_code(in, word, T_JCC);
	case 0x40 ... 0x4f:
	case 0x90 ... 0x9f:
	case 0xa4:
	case 0xa5:
	case 0xac:
	case 0xad:
	case 0xaf:
	case 0xb0:
	case 0xb1:
	case 0xb6 ... 0xb8:
	case 0xba:
	case 0xbc ... 0xbf:
	case 0xc0:
	case 0xc1:
	case 0xc3:
	case 0xc8 ... 0xcf: return T_COPY;
	case 0xa3:
	case 0xab:
	case 0xb3:
	case 0xbb:
		if (!mem)
			return T_COPY;
		if (in->asz != word || (word == 4 && (in->seg == S_FS || in->seg == S_GS)))
			return T_INTERP;
		return T_BT;
	case 0xc7: /* CMPXCHG8B */ return mem && reg == 1 && !(in->pfx & PFX_W) ? T_COPY : T_INTERP;
	case 0xae:
		return !mem && reg >= 5 && !(in->pfx & (PFX_66 | PFX_REP | PFX_REPNE)) ? T_COPY
										       : T_INTERP;
	default: return T_INTERP;
	}
}

/* What the kernel does all the time. */
static enum tkind kind_system(const struct insn *in, u32 mode)
{
	const struct insn_form *f = &insn_forms[in->form];
	bool cpl0 = !(mode & MODE_CPL);
	unsigned word = mode_word(mode);
	if (f->map == 1) {
		switch (in->opcode) {
		case 0x01:
			if (in->modrm == 0xf9)
				return T_RDTSC;
			return cpl0 && in->modrm == 0xf8 ? T_SWAPGS : T_INTERP;
		case 0x05: return word == 8 ? T_SYSCALL : T_INTERP;
		case 0x07: return cpl0 && in->osz == 8 ? T_SYSRET : T_INTERP;
		case 0x31: return T_RDTSC;
		default: return T_INTERP;
		}
	}
	if (f->map)
		return T_INTERP;
	switch (in->opcode) {
	case 0x8c: /* the others are #UD */
		if (in->reg > S_GS)
			return T_INTERP;
		if (in->pfx & PFX_MEM && (in->asz != word || (word == 4 && in->seg >= S_FS)))
			return T_INTERP;
		return T_MOV_SEG;
	case 0x9c: return in->osz == word ? T_PUSHF : T_INTERP;
	case 0x9d: return in->osz == word && cpl0 ? T_POPF : T_INTERP;
	case 0xfa: return cpl0 ? T_CLI : T_INTERP;
	case 0xfb: return cpl0 ? T_STI : T_INTERP;
	default: return T_INTERP;
	}
}

/* ModRM names memory, but it is a NOP or LEA. */
static bool no_access(const struct insn *in)
{
	unsigned map = insn_forms[in->form].map;
	return map == 0 ? in->opcode == 0x8d
			: map == 1 && (in->opcode == 0x0d || (in->opcode & 0xf8) == 0x18);
}

static enum tkind kind(const struct insn *in, unsigned word)
{
	switch (insn_forms[in->form].map) {
	case 0: return kind_one(in, word);
	case 1: return kind_0f(in, word);
	case 2:
		return in->opcode == 0xf0 || in->opcode == 0xf1 || in->opcode == 0xf6 ? T_COPY
										      : T_INTERP;
	case 5: return in->opcode >= 0xf2 && in->opcode <= 0xf7 ? T_COPY : T_INTERP;
	case 6: return in->opcode == 0xf0 ? T_COPY : T_INTERP;
	default: return T_INTERP;
	}
}

/* Vector instructions that copy: all but MMX, masked accesses, and what moves state. */
static bool vector_copy(const struct insn *in)
{
	const struct insn_form *f = &insn_forms[in->form];
	unsigned op = in->opcode;
	if (f->state != IST_SSE && f->state != IST_AVX)
		return false;
	for (unsigned i = 0; i < f->operands; i++)
		switch (f->op[i].kind) {
		case OP_P:
		case OP_Q:
		case OP_N:
		case OP_ST:
		case OP_VM: return false;
		default: break;
		}
	if ((f->map == 1 || f->map == 4) && (op == 0xf7 || op == 0xae))
		return false;
	return !(f->map == 5 && ((op >= 0x2c && op <= 0x2f) || op == 0x8c || op == 0x8e));
}

/* x87 instructions that copy: all but those that move or reset the environment, and FWAIT. */
static bool x87_copy(const struct insn *in)
{
	unsigned op = in->opcode, reg = in->modrm >> 3 & 7;
	bool mem = in->pfx & PFX_MEM;
	if (insn_forms[in->form].state != IST_X87 || op < 0xd8 || op > 0xdf)
		return false;
	if (mem && (in->seg == S_FS || in->seg == S_GS)) /* FDP is not its linear address */
		return false;
	if (mem && (op == 0xd9 || op == 0xdd))
		return !(reg == 4 || reg == 6);
	return mem || !(op == 0xdb && reg == 4);
}

bool classify_x87_notes(const struct insn *in)
{
	unsigned op = in->opcode, reg = in->modrm >> 3 & 7;
	if (in->pfx & PFX_MEM) /* FLDCW, FNSTCW; FNSTSW */
		return !(op == 0xd9 && (reg == 5 || reg == 7)) && !(op == 0xdd && reg == 7);
	return !(op == 0xdf && reg == 4); /* FNSTSW AX */
}

unsigned classify_width(const struct insn *in, unsigned w)
{
	switch (w) {
	case OPW_X: return in->vl;
	case OPW_H: return in->vl / 2u;
	case OPW_QTR: return in->vl / 4u;
	case OPW_EIGHTH: return in->vl / 8u;
	case OPW_V: return in->osz;
	case OPW_Y: return in->pfx & PFX_W ? 8 : 4;
	case OPW_Z: return in->osz == 2 ? 2 : 4;
	default: return w;
	}
}

/* Shifts and rotates leave all flags alone when the masked count is 0. */
static bool flags_may_stay(const struct insn *in)
{
	unsigned map = insn_forms[in->form].map, op = in->opcode;
	if (map == 0 && (op == 0xd2 || op == 0xd3))
		return true;
	if (map == 0 && (op == 0xc0 || op == 0xc1))
		return !(in->imm & (in->osz == 8 ? 63 : 31));
	if (map == 1 && (op == 0xa5 || op == 0xad))
		return true;
	if (map == 1 && (op == 0xa4 || op == 0xac))
		return !(in->imm & (in->osz == 8 ? 63 : 31));
	return false;
}

/* Does one of its operands live in a general register, or have its width? */
static bool general_operand(const struct insn_form *f)
{
	if (f->map == 6 && (f->opcode == 0x60 || f->opcode == 0x61))
		return true; /* VPCMPESTRM, VPCMPESTRI: lengths in EAX and EDX */
	for (unsigned i = 0; i < f->operands; i++)
		switch ((enum insn_opk)f->op[i].kind) {
		case OP_E:
		case OP_G:
		case OP_R:
		case OP_VREG: return true;
		default:
			if (f->op[i].width == OPW_Y)
				return true;
		}
	return false;
}

/* In 32-bit code: does it mean the same in the host's 64-bit mode, and is its operand where flat
 * segments have it? */
static bool means_the_same(const struct insn *in)
{
	const struct insn_form *f = &insn_forms[in->form];
	if (f->map == 4 && in->opcode == 0x77) /* VZEROALL, VZEROUPPER: eight registers, not 16 */
		return false;
	if (in->pfx & PFX_VEX) {
		/* VEX.W is ignored where it would make a number of 64 bits; so is the fourth bit of
		 * a register in an immediate */
		if (in->pfx & PFX_W && general_operand(f))
			return false;
		if (f->imm == IMM_IS4 && in->imm & 0x80)
			return false;
	}
	return !(in->pfx & PFX_MEM) || (in->asz != 2 && in->seg != S_CS);
}

/* An operand at a known place in FS or GS goes over the end of 4 GiB, where nothing looks. */
static bool over_end(const struct insn *in, unsigned size)
{
	return in->pfx & PFX_MEM && (in->seg == S_FS || in->seg == S_GS) &&
	       in->base == REG_OFF_ZERO && in->index == REG_OFF_ZERO &&
	       in->disp + size - 1 > 0xffffffff;
}

struct tclass classify(const struct insn *given, u32 mode)
{
	struct insn general = *given;
	const struct insn *in = &general;
	const struct insn_form *f;
	struct tclass t = {.kind = T_INTERP, .fl_read = FL_ALL, .fl_touch = true};
	unsigned word = mode_word(mode);
	bool end, known;
	recode_general(&general, mode);
	f = &insn_forms[in->form];
	end = f->attr & IA_END;
	if (in->fn == interp_ud || in->fn == interp_gp0 || in->fn == interp_nm)
		return t; /* its body raises */
	known = mode_known(mode) && !(mode & MODE_STEP) &&
		(word == 8 || no_access(in) || means_the_same(in));
	t.x87 = known && x87_copy(in);
	t.vec = t.x87 || (known && vector_copy(in));
	if (!known || (f->state != IST_INT && !t.vec)) {
		t.kind = end ? T_END : T_INTERP;
		return t;
	}
	t.kind = (u8)kind_system(in, mode);
	if (t.kind != T_INTERP) {
		t.fl_read = f->fl_read;
		t.fl_kill = f->fl_write;
		if (t.kind == T_SYSCALL || t.kind == T_SYSRET)
			t.fl_read = FL_ALL; /* R11, and the image of a fault */
		t.fl_touch = t.fl_read || t.fl_kill;
		if (t.kind == T_MOV_SEG && in->pfx & PFX_MEM)
			t.size = 2;
		return t;
	}
	t.kind = (u8)(t.vec ? T_COPY : kind(in, word));
	if (word == 4 && t.kind != T_COPY && over_end(in, word))
		t.kind = T_INTERP;
	if (t.kind == T_INTERP || ((t.kind == T_COPY || t.kind == T_BT) && !recode_able(in)) ||
	    (f->attr & IA_PRIV)) {
		t.kind = end ? T_END : T_INTERP;
		t.vec = t.x87 = false;
		return t;
	}
	if (t.kind == T_END)
		return t;
	t.fl_read = f->fl_read;
	t.fl_kill = (u8)(f->fl_write | f->fl_undef);
	if (flags_may_stay(in)) {
		t.fl_read = FL_ALL;
		t.fl_kill = 0;
	}
	t.fl_touch = t.fl_read || t.fl_kill;
	if (t.kind == T_BT) {
		t.size = in->osz;
		t.write = in->opcode != 0xa3;
	}
	if (t.kind != T_COPY || !(in->pfx & PFX_MEM))
		return t;
	for (unsigned i = 0; i < f->operands; i++)
		if (f->op[i].kind == OP_E || f->op[i].kind == OP_M || f->op[i].kind == OP_W) {
			t.size = (u8)classify_width(in, f->op[i].width);
			t.read = f->op[i].access & OPA_R;
			t.write = f->op[i].access & OPA_W;
		}
	if (!t.size || t.size > 32 || (word == 4 && over_end(in, t.size)) ||
	    (t.size & (t.size - 1) && t.size != 10)) { /* not an operand this translator knows */
		t.kind = T_INTERP;
		t.fl_read = FL_ALL;
		t.fl_kill = 0;
		t.fl_touch = true;
		t.vec = t.x87 = false;
	}
	return t;
}
