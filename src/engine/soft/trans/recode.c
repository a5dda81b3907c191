/* SPDX-License-Identifier: Apache-2.0 */
/* recode: see recode.h. Encodings: SDM 2A chapter 2. */
#include "engine/soft/trans/recode.h"
#include "cpu/interp.h"
#include "lib/bits.h"
#include "spec/x86.h"

#define REX	    0x40u
#define PFX_F3_ONLY 4u /* insn_form.pfx_mask */
#define PFX_F2_ONLY 8u

/* Which fields of the encoding name general registers, and which of them as bytes. */
struct fields {
	bool reg, rm, vvvv;
	bool reg_byte, rm_byte;
};

static struct fields fields_of(const struct insn *in)
{
	const struct insn_form *f = &insn_forms[in->form];
	struct fields x = {0};
	for (unsigned i = 0; i < f->operands; i++) {
		const struct insn_operand *op = &f->op[i];
		switch ((enum insn_opk)op->kind) {
		case OP_G:
			x.reg = true;
			x.reg_byte = op->width == 1;
			break;
		case OP_E:
		case OP_R:
		case OP_Z:
			x.rm = !(in->pfx & PFX_MEM);
			x.rm_byte = x.rm && op->width == 1;
			break;
		case OP_VREG: x.vvvv = true; break;
		default: break;
		}
	}
	return x;
}

static void become(struct insn *in, unsigned opcode, unsigned reg)
{
	in->form = insn_first[0][opcode];
	while (!(insn_forms[in->form].reg_mask >> reg & 1))
		in->form++;
	in->opcode = (u8)opcode;
	in->reg = (u8)reg;
	in->greg = REG_OFF(reg);
}

void recode_general(struct insn *in, u32 mode)
{
	unsigned op = in->opcode;
	bool raises = in->fn == interp_ud || in->fn == interp_gp0 || in->fn == interp_nm;
	if (raises || insn_forms[in->form].map)
		;
	else if (op >= 0xa0 && op <= 0xa3) {
		static const u8 general[] = {0x8a, 0x8b, 0x88, 0x89};
		become(in, general[op & 3], 0);
		in->pfx |= PFX_MEM;
		in->modrm = 4; /* [SIB], for whoever asks whether it is memory */
		interp_bind(in, mode);
	} else if (op >= 0x40 && op <= 0x4f && !(mode & MODE_64)) {
		become(in, 0xff, op >> 3 & 1);
		in->modrm = (u8)(0xc0 | in->reg << 3 | in->rm);
		interp_bind(in, mode);
	}
	if (!(mode & MODE_64) && in->pfx & PFX_MEM && in->base == REG_OFF_ZERO &&
	    in->index == REG_OFF_ZERO && in->opcode != 0x8d)
		in->disp = (u32)in->disp;
}

bool recode_able(const struct insn *in)
{
	const struct insn_form *f = &insn_forms[in->form];
	return !(f->attr & (IA_VSIB | IA_REG | IA_STRING | IA_PRIV | IA_END)) && in->asz != 2 &&
	       f->imm != IMM_MOFFS && f->imm != IMM_FAR;
}

static unsigned imm_bytes(const struct insn *in)
{
	switch ((enum insn_imm)insn_forms[in->form].imm) {
	case IMM_B:
	case IMM_BU:
	case IMM_JB:
	case IMM_IS4: return 1;
	case IMM_W: return 2;
	case IMM_D: return 4;
	case IMM_WB: return 3;
	case IMM_Z:
	case IMM_JZ: return in->osz == 2 ? 2 : in->osz == 1 ? 1 : 4;
	case IMM_V: return in->osz;
	default: return 0;
	}
}

/* Is a byte register AH, CH, DH or BH? Its offset in the register file is odd then. */
static bool high_byte(u8 off)
{
	return off & 1;
}

static u8 *put_modrm_mem(u8 *p, unsigned reg, const struct recode *r)
{
	unsigned base = r->base & 7, index = r->index < 16 ? r->index & 7 : 4;
	unsigned mod = !r->disp && base != 5 ? 0 : r->disp == (s8)r->disp ? 1 : 2;
	bool sib = base == 4 || r->index < 16;
	*p++ = (u8)(mod << 6 | (reg & 7) << 3 | (sib ? 4 : base));
	if (sib)
		*p++ = (u8)(r->scale << 6 | index << 3 | base);
	if (mod == 1)
		*p++ = (u8)r->disp;
	if (mod == 2) {
		st32(p, (u32)r->disp);
		p += 4;
	}
	return p;
}

/* The VEX bytes' W, L, pp, as the guest wrote them. */
static u8 vex_last(const u8 *raw)
{
	while (*raw != 0xc4 && *raw != 0xc5) /* segment and address-size prefixes */
		raw++;
	return raw[0] == 0xc5 ? raw[1] & 0x7f : raw[2];
}

unsigned recode(u8 *out, const struct insn *in, const u8 *raw, const struct recode *r)
{
	const struct insn_form *f = &insn_forms[in->form];
	const struct fields x = fields_of(in);
	const bool mem = in->pfx & PFX_MEM, plus = f->attr & IA_PLUSR;
	bool high = (x.reg_byte && high_byte(in->greg)) || (x.rm_byte && high_byte(in->ereg));
	unsigned reg = in->reg, rm = mem ? r->base : in->rm, vvvv = in->vvvv, n = imm_bytes(in);
	unsigned bits, need = 0;
	u8 *p = out;
	/* AH..BH have the numbers 4..7 and no others: identity only */
	if (x.reg && !(x.reg_byte && high_byte(in->greg)))
		reg = r->host[in->reg];
	if (x.rm && !(x.rm_byte && high_byte(in->ereg)))
		rm = r->host[in->rm];
	if (x.vvvv)
		vvvv = r->host[in->vvvv];
	bits = (in->pfx & PFX_W ? 8u : 0) | (!plus && reg & 8 ? 4u : 0) | (rm & 8 ? 1u : 0);
	if (mem && r->index < 16 && r->index & 8)
		bits |= 2;
	if (in->pfx & PFX_VEX) {
		u8 last = vex_last(raw);
		*p++ = 0xc4;
		*p++ = (u8)((~bits & 7) << 5 | (f->map - 3u)); /* R, X, B inverted */
		*p++ = (u8)((last & 0x87) | (~vvvv & 15) << 3);
	} else {
		if (x.reg_byte && !high_byte(in->greg) && reg >= 4)
			need = REX;
		if (x.rm_byte && !high_byte(in->ereg) && rm >= 4)
			need = REX;
		if (high && (bits || need))
			return 0;
		if (in->pfx & PFX_LOCK)
			*p++ = 0xf0;
		if (in->pfx & PFX_66)
			*p++ = 0x66;
		/* where the form does not ask for it, it means nothing to the guest, and may
		 * mean another instruction to the host (BSF and TZCNT) */
		if (f->pfx_mask == PFX_F3_ONLY || f->pfx_mask == PFX_F2_ONLY)
			*p++ = f->pfx_mask == PFX_F3_ONLY ? 0xf3 : 0xf2;
		if (bits || need)
			*p++ = (u8)(REX | bits);
		if (f->map)
			*p++ = 0x0f;
		if (f->map > 1)
			*p++ = f->map == 2 ? 0x38 : 0x3a;
	}
	*p++ = plus ? (u8)((in->opcode & ~7u) | (rm & 7)) : in->opcode;
	if (mem)
		p = put_modrm_mem(p, reg, r);
	else if (f->attr & IA_MODRM)
		*p++ = (u8)(0xc0 | (reg & 7) << 3 | (rm & 7));
	for (unsigned i = 0; i < n; i++)
		*p++ = raw[in->len - n + i];
	return (unsigned)(p - out);
}
