/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode: bytes -> struct insn, driven by the generated form tables.
 *
 * Length and fields only; what the form means is the table's. Prefix rules: SDM 2A 2.1 and 2.3
 * (VEX); APM 3 1.2 agrees. Entered by engine/soft and interp on the vCPU's thread, by the fuzzer;
 * pure. Trusts nothing in the bytes.
 */
#include "cpu/insn.h"
#include "cpu/insn_forms.h"
#include "lib/bits.h"
#include "spec/x86.h"

struct decoder {
	struct insn *in;
	const u8 *bytes;
	unsigned avail, pos;
	u32 mode;
	u64 rip;
	u8 rex; /* 0 or 40..4f; VEX fills the same bits */
	u8 rep; /* last of F2/F3 */
	bool opsize, adsize, lock;
	bool vex;
	u8 map, pp, vvvv, vl;
	bool vvvv_free; /* 1111b */
	u8 modrm;
	bool rip_relative;
};

#define REX_W 8u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u

/* --- bytes --- */

static int need(const struct decoder *d, unsigned n)
{
	if (d->pos + n > d->avail && d->avail < 15)
		return INSN_MORE; /* the fetch of the missing bytes may fault first */
	return d->pos + n > 15 ? INSN_TOO_LONG : INSN_OK;
}

#define NEED(d, n)                                                                                 \
	do {                                                                                       \
		int need_ = need(d, n);                                                            \
		if (unlikely(need_))                                                               \
			return need_;                                                              \
	} while (0)

static u64 take(struct decoder *d, unsigned size)
{
	u64 v = ld_size(d->bytes + d->pos, size);
	d->pos += size;
	return v;
}

static u64 take_signed(struct decoder *d, unsigned size)
{
	u64 v = take(d, size);
	unsigned shift = 64 - size * 8;
	return (u64)((s64)(v << shift) >> shift);
}

/* --- prefixes and opcode map --- */

static int prefixes(struct decoder *d)
{
	for (;;) {
		u8 b;
		NEED(d, 1);
		b = d->bytes[d->pos];
		switch (b) {
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
			if (!(d->mode & MODE_64))
				d->in->segpfx = (u8)(b >> 3 & 3);
			break;
		case 0x64:
		case 0x65: d->in->segpfx = (u8)(S_FS + (b & 1)); break;
		case 0x66: d->opsize = true; break;
		case 0x67: d->adsize = true; break;
		case 0xf0: d->lock = true; break;
		case 0xf2:
		case 0xf3: d->rep = b; break;
		default:
			if (!(d->mode & MODE_64) || (b & 0xf0) != 0x40)
				return INSN_OK;
			d->rex = b;
			d->pos++;
			continue;
		}
		d->rex = 0; /* a REX that is not last is ignored */
		d->pos++;
	}
}

static int vex_prefix(struct decoder *d, u8 first)
{
	u8 b1, b2;
	if (d->opsize || d->rep || d->lock || d->rex || !(d->mode & MODE_PE) || d->mode & MODE_VM)
		return INSN_UD;
	d->vex = true;
	b1 = d->bytes[d->pos];
	if (first == 0xc5) {
		d->pos++;
		d->rex = (u8)(b1 & 0x80 ? 0 : REX_R);
		d->map = 4;
		b2 = b1 & 0x7f;
	} else {
		NEED(d, 2);
		b2 = d->bytes[d->pos + 1];
		d->pos += 2;
		d->rex = (u8)(~b1 >> 5 & 7);
		d->map = (u8)((b1 & 0x1f) + 3);
		if (d->map < 4 || d->map > 6)
			return INSN_UD;
		d->rex |= (u8)(b2 >> 4 & REX_W);
	}
	if (!(d->mode & MODE_64))
		d->rex &= REX_W;
	d->vvvv = (u8)(~b2 >> 3 & 15);
	d->vvvv_free = !d->vvvv;
	if (!(d->mode & MODE_64))
		d->vvvv &= 7;
	d->vl = b2 & 4 ? 32 : 16;
	d->pp = b2 & 3;
	return INSN_OK;
}

static int opcode(struct decoder *d, u8 *op)
{
	static const u8 pp_of_rep[] = {0, 2, 3};
	u8 b;
	NEED(d, 1);
	b = d->bytes[d->pos++];
	d->map = 0;
	d->vl = 16;
	d->pp = pp_of_rep[d->rep == 0xf3 ? 1 : d->rep == 0xf2 ? 2 : 0];
	if (!d->pp && d->opsize)
		d->pp = 1;
	if (b == 0xc4 || b == 0xc5) {
		if (need(d, 1) == INSN_OK && ((d->mode & MODE_64) || d->bytes[d->pos] >= 0xc0)) {
			int r = vex_prefix(d, b);
			if (r)
				return r;
			NEED(d, 1);
			b = d->bytes[d->pos++];
		} else {
			NEED(d, 1);
		}
	} else if (b == 0x0f) {
		NEED(d, 1);
		b = d->bytes[d->pos++];
		d->map = 1;
		if (b == 0x38 || b == 0x3a) {
			d->map = b == 0x38 ? 2 : 3;
			NEED(d, 1);
			b = d->bytes[d->pos++];
		}
	}
	*op = b;
	return INSN_OK;
}

/* --- the form --- */

static bool form_matches(const struct decoder *d, const struct insn_form *f, u64 features)
{
	unsigned feature;
	if (!(f->mode_mask & (d->mode & MODE_64 ? 2 : 1)) || !(f->pfx_mask >> d->pp & 1) ||
	    !(f->w_mask & (d->rex & REX_W ? 2 : 1)))
		return false;
	if (d->vex && !(f->l_mask & (d->vl == 32 ? 2 : 1)))
		return false;
	if (f->attr & IA_MODRM) {
		bool reg = d->modrm >= 0xc0;
		if (!(f->reg_mask >> (d->modrm >> 3 & 7) & 1))
			return false;
		if (!(f->attr & IA_REG)) {
			if (!(f->mod_mask & (reg ? 2 : 1)))
				return false;
			if (reg && !(f->rm_mask >> (d->modrm & 7) & 1))
				return false;
		}
	} else if (f->rm_mask == 1 && d->rex & REX_B) {
		return false;
	}
	feature = d->vex && d->vl == 32 ? f->feature1 : f->feature;
	return feature == CPU_FEAT_COUNT || (features >> feature & 1);
}

static int find_form(struct decoder *d, u8 op, u64 features)
{
	unsigned i = insn_first[d->map][op], end = insn_first[d->map][op + 1u];
	if (i == end)
		return INSN_UD;
	if (insn_forms[i].attr & IA_MODRM || insn_forms[end - 1].attr & IA_MODRM) {
		NEED(d, 1);
		d->modrm = d->bytes[d->pos];
	}
	for (; i < end; i++) {
		const struct insn_form *f = &insn_forms[i];
		if (!form_matches(d, f, features))
			continue;
		if (f->attr & IA_MODRM)
			d->pos++;
		d->in->form = (u16)i;
		return INSN_OK;
	}
	return INSN_UD;
}

static u8 operand_size(const struct decoder *d, const struct insn_form *f)
{
	bool long_mode = d->mode & MODE_64;
	bool big = (long_mode || d->mode & MODE_CS32) ? true : false;
	switch ((enum insn_osz)f->osz) {
	case OSZ_B: return 1;
	case OSZ_W: return 2;
	case OSZ_D: return 4;
	case OSZ_Q: return long_mode ? 8 : 4;
	case OSZ_Y: return long_mode && d->rex & REX_W ? 8 : 4;
	case OSZ_V: break;
	}
	if (long_mode) {
		if (d->rex & REX_W || f->attr & IA_F64)
			return 8;
		if (f->attr & IA_D64)
			return d->opsize ? 2 : 8;
	}
	return big != d->opsize ? 4 : 2;
}

/* --- ModRM, SIB, displacement --- */

static int modrm16(struct decoder *d)
{
	static const u8 base[8] = {R_RBX, R_RBX, R_RBP, R_RBP, R_RSI, R_RDI, R_RBP, R_RBX};
	static const u8 index[8] = {R_RSI, R_RDI, R_RSI, R_RDI, 16, 16, 16, 16};
	struct insn *in = d->in;
	unsigned mod = d->modrm >> 6, rm = d->modrm & 7;
	in->base = REG_OFF(base[rm]);
	in->index = REG_OFF(index[rm]);
	in->seg = base[rm] == R_RBP ? S_SS : S_DS;
	if (mod == 0 && rm == 6) {
		in->base = REG_OFF_ZERO;
		in->seg = S_DS;
		mod = 2;
	}
	if (mod) {
		NEED(d, mod);
		in->disp = (s64)take_signed(d, mod);
	}
	return INSN_OK;
}

static int modrm_sib(struct decoder *d, unsigned mod, unsigned *disp_size, bool vsib)
{
	struct insn *in = d->in;
	unsigned base, index;
	u8 sib;
	NEED(d, 1);
	sib = d->bytes[d->pos++];
	base = (sib & 7u) | (d->rex & REX_B ? 8u : 0);
	index = (sib >> 3 & 7u) | (d->rex & REX_X ? 8u : 0);
	in->scale = sib >> 6;
	in->index = index == 4 && !vsib ? REG_OFF_ZERO : REG_OFF(index);
	if ((sib & 7) == 5 && mod == 0) {
		in->base = REG_OFF_ZERO;
		*disp_size = 4;
		return INSN_OK;
	}
	in->base = REG_OFF(base);
	if (base == R_RSP || base == R_RBP)
		in->seg = S_SS;
	return INSN_OK;
}

static int modrm32(struct decoder *d, bool vsib)
{
	struct insn *in = d->in;
	unsigned mod = d->modrm >> 6, rm = d->modrm & 7;
	unsigned disp_size = mod == 1 ? 1 : mod == 2 ? 4 : 0;
	in->seg = S_DS;
	in->index = REG_OFF_ZERO;
	if (rm == 4) {
		int r = modrm_sib(d, mod, &disp_size, vsib);
		if (r)
			return r;
	} else if (rm == 5 && mod == 0) {
		in->base = REG_OFF_ZERO;
		disp_size = 4;
		d->rip_relative = d->mode & MODE_64;
	} else {
		unsigned base = rm | (d->rex & REX_B ? 8u : 0);
		in->base = REG_OFF(base);
		if (base == R_RBP)
			in->seg = S_SS;
	}
	if (disp_size) {
		NEED(d, disp_size);
		in->disp = (s64)take_signed(d, disp_size);
	}
	return INSN_OK;
}

/* Without REX, byte registers 4..7 are AH, CH, DH, BH. */
static u8 reg_offset(const struct decoder *d, unsigned n, bool byte)
{
	if (byte && !d->rex && !d->vex && n >= 4 && n < 8)
		return (u8)(REG_OFF(n - 4) + 1);
	return REG_OFF(n);
}

static void registers(struct decoder *d, const struct insn_form *f)
{
	struct insn *in = d->in;
	bool greg_byte = false, ereg_byte = false;
	for (unsigned i = 0; i < f->operands; i++) {
		const struct insn_operand *op = &f->op[i];
		greg_byte |= (op->kind == OP_G || op->kind == OP_Z) && op->width == 1;
		ereg_byte |= (op->kind == OP_E || op->kind == OP_R) && op->width == 1;
	}
	if (f->attr & IA_PLUSR) {
		in->reg = in->rm = (u8)((in->opcode & 7u) | (d->rex & REX_B ? 8u : 0));
		in->greg = in->ereg = reg_offset(d, in->rm, greg_byte);
		return;
	}
	in->reg = (u8)((d->modrm >> 3 & 7u) | (d->rex & REX_R ? 8u : 0));
	in->rm = (u8)((d->modrm & 7u) | (d->rex & REX_B ? 8u : 0));
	in->greg = reg_offset(d, in->reg, greg_byte);
	in->ereg = reg_offset(d, in->rm, ereg_byte);
}

/* --- immediates --- */

static int immediate(struct decoder *d, const struct insn_form *f)
{
	struct insn *in = d->in;
	unsigned n;
	switch ((enum insn_imm)f->imm) {
	case IMM_NONE: break;
	case IMM_B:
	case IMM_BU:
	case IMM_JB:
		NEED(d, 1);
		in->imm = take_signed(d, 1);
		break;
	case IMM_IS4:
		NEED(d, 1);
		in->imm = take(d, 1);
		in->imm2 = (u8)(in->imm >> 4);
		if (!(d->mode & MODE_64))
			in->imm2 &= 7;
		break;
	case IMM_W:
		NEED(d, 2);
		in->imm = take(d, 2);
		break;
	case IMM_D:
		NEED(d, 4);
		in->imm = take_signed(d, 4);
		break;
	case IMM_WB:
		NEED(d, 3);
		in->imm = take(d, 2);
		in->imm2 = (u8)take(d, 1);
		break;
	case IMM_Z:
	case IMM_JZ:
		n = in->osz == 2 ? 2 : in->osz == 1 ? 1 : 4;
		NEED(d, n);
		in->imm = take_signed(d, n);
		break;
	case IMM_V:
		n = in->osz;
		NEED(d, n);
		in->imm = n == 8 ? take(d, 8) : take_signed(d, n);
		break;
	case IMM_MOFFS:
		NEED(d, in->asz);
		in->disp = (s64)take(d, in->asz);
		in->seg = S_DS;
		break;
	case IMM_FAR:
		n = in->osz == 2 ? 2 : 4;
		NEED(d, n + 2);
		in->imm = take(d, n);
		in->disp = (s64)take(d, 2);
		break;
	}
	return INSN_OK;
}

/* Near targets and RIP-relative addresses become absolute: a block is keyed by its RIP. */
static void resolve(struct decoder *d, const struct insn_form *f)
{
	struct insn *in = d->in;
	u64 next = d->rip + d->pos;
	if (f->imm == IMM_JB || f->imm == IMM_JZ) {
		in->imm += next;
		if (in->osz == 2)
			in->imm = (u16)in->imm;
		else if (in->osz == 4)
			in->imm = (u32)in->imm;
	}
	if (d->rip_relative)
		in->disp += (s64)next;
}

static int operands(struct decoder *d, const struct insn_form *f)
{
	struct insn *in = d->in;
	int r;
	in->asz = (u8)(d->mode & MODE_64 ? (d->adsize ? 4 : 8)
					 : (!(d->mode & MODE_CS32) == d->adsize ? 4 : 2));
	in->base = in->index = REG_OFF_ZERO;
	in->seg = S_DS;
	if (f->attr & IA_MODRM && d->modrm < 0xc0 && !(f->attr & IA_REG)) {
		in->pfx |= PFX_MEM;
		if (in->asz == 2)
			r = modrm16(d);
		else
			r = modrm32(d, f->attr & IA_VSIB);
		if (r)
			return r;
	}
	registers(d, f);
	r = immediate(d, f);
	if (r)
		return r;
	if (in->segpfx != 0xff)
		in->seg = in->segpfx;
	resolve(d, f);
	return INSN_OK;
}

/* Control and debug registers that do not exist are #UD before the privilege check. */
static bool no_such_register(const struct decoder *d, const struct insn_form *f)
{
	if (f->map != 1 || (f->opcode & 0xfc) != 0x20)
		return false;
	if (f->opcode & 1)
		return d->in->reg > 7;
	return !(BIT(d->in->reg) & (BIT(0) | BIT(2) | BIT(3) | BIT(4) | BIT(8)));
}

static bool illegal(const struct decoder *d, const struct insn_form *f)
{
	if (d->lock && (!(f->attr & IA_LOCK) || !(d->in->pfx & PFX_MEM)))
		return true;
	if (f->attr & IA_PROT && (!(d->mode & MODE_PE) || d->mode & MODE_VM))
		return true;
	if (f->attr & IA_REG && no_such_register(d, f))
		return true;
	/* a vector of indices needs a SIB byte */
	if (f->attr & IA_VSIB && d->in->pfx & PFX_MEM && (d->in->asz == 2 || (d->modrm & 7) != 4))
		return true;
	return d->vex && f->attr & IA_NOPFX && !d->vvvv_free;
}

static int decode(struct decoder *d, u64 features)
{
	struct insn *in = d->in;
	const struct insn_form *f;
	u8 op;
	int r = prefixes(d);
	if (!r)
		r = opcode(d, &op);
	if (!r) {
		in->opcode = op;
		r = find_form(d, op, features);
	}
	if (r)
		return r;
	f = &insn_forms[in->form];
	in->modrm = d->modrm;
	in->vvvv = d->vvvv;
	in->vl = d->vl;
	in->osz = operand_size(d, f);
	in->pfx = (u8)((d->lock ? PFX_LOCK : 0) | (d->rep == 0xf3 ? PFX_REP : 0) |
		       (d->rep == 0xf2 ? PFX_REPNE : 0) | (d->opsize ? PFX_66 : 0) |
		       (d->rex && !d->vex ? PFX_REX : 0) | (d->vex ? PFX_VEX : 0) |
		       (d->rex & REX_W ? PFX_W : 0));
	r = operands(d, f);
	if (!r && illegal(d, f))
		r = INSN_UD;
	return r;
}

int insn_decode(struct insn *out, const u8 *bytes, unsigned avail, u64 rip, u32 mode, u64 features)
{
	struct decoder d = {.in = out, .bytes = bytes, .avail = avail, .mode = mode, .rip = rip};
	int r;
	*out = (struct insn){.segpfx = 0xff};
	r = decode(&d, features);
	out->len = (u8)d.pos;
	return r;
}
