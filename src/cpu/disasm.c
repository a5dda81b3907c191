/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disasm: names, registers, memory operands, immediates.
 *
 * The table has one name for what the manual calls by several, one for each operand size; those are
 * told apart here.
 *
 * Entered by: whoever shows code to people. No state.
 */
#include "cpu/disasm.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/bits.h"

/* --- text ------------------------------------------------------------------------------------- */

struct text {
	char *out;
	unsigned len;
};

static void format_fn(2, 3) put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->out + t->len, DISASM_MAX - t->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->len += (unsigned)n;
	if (t->len > DISASM_MAX - 1)
		t->len = DISASM_MAX - 1;
}

/* --- names ------------------------------------------------------------------------------------ */

/* What an operand size of 2, 4 and 8 bytes makes of a name; NULL: as it is. */
struct sized_name {
	const char *name, *w, *d, *q;
};

static const struct sized_name sized[] = {
	{"cbw", "cbw", "cwde", "cdqe"},	     {"cwd", "cwd", "cdq", "cqo"},
	{"movs", "movsw", "movsd", "movsq"}, {"cmps", "cmpsw", "cmpsd", "cmpsq"},
	{"stos", "stosw", "stosd", "stosq"}, {"lods", "lodsw", "lodsd", "lodsq"},
	{"scas", "scasw", "scasd", "scasq"}, {"ins", "insw", "insd", "insd"},
	{"outs", "outsw", "outsd", "outsd"}, {"pusha", "pusha", "pushad", NULL},
	{"popa", "popa", "popad", NULL},     {"pushf", "pushf", "pushfd", "pushfq"},
	{"popf", "popf", "popfd", "popfq"},  {"iret", "iret", "iretd", "iretq"},
	{"callf", "call", "call", "call"},   {"jmpf", "jmp", "jmp", "jmp"},
};

/* The same by W, of instructions on vectors. */
static const struct sized_name by_w[] = {
	{"movd", NULL, NULL, "movq"},
	{"vmovd", NULL, NULL, "vmovq"},
	{"pextrd", NULL, NULL, "pextrq"},
	{"vpextrd", NULL, NULL, "vpextrq"},
	{"pinsrd", NULL, NULL, "pinsrq"},
	{"vpinsrd", NULL, NULL, "vpinsrq"},
	{"cmpxchg8b", NULL, NULL, "cmpxchg16b"},
	{"fxsave", NULL, NULL, "fxsave64"},
	{"fxrstor", NULL, NULL, "fxrstor64"},
	{"xsave", NULL, NULL, "xsave64"},
	{"xrstor", NULL, NULL, "xrstor64"},
	{"xsavec", NULL, NULL, "xsavec64"},
	{"xsaveopt", NULL, NULL, "xsaveopt64"},
	{"xsaves", NULL, NULL, "xsaves64"},
	{"xrstors", NULL, NULL, "xrstors64"},
};

static const char *pick(const struct sized_name *list, unsigned count, const char *name,
			unsigned size)
{
	for (unsigned i = 0; i < count; i++) {
		const char *s;

		if (strcmp(list[i].name, name))
			continue;
		s = size == 2 ? list[i].w : size == 8 ? list[i].q : list[i].d;
		return s ? s : name;
	}
	return NULL;
}

static bool wide(const struct insn *in, u32 mode)
{
	return in->pfx & PFX_W && mode & MODE_64;
}

static const char *name_of(const struct insn *in, u32 mode)
{
	const struct insn_form *f = &insn_forms[in->form];
	const char *name = f->name, *other;

	if (!strcmp(name, "jrcxz"))
		return in->asz == 2 ? "jcxz" : in->asz == 4 ? "jecxz" : name;
	if (f->map == 0 && f->opcode == 0x90 && in->rm == 0)
		return in->pfx & PFX_REP ? "pause" : "nop";
	other = pick(sized, ARRAY_LEN(sized), name, in->osz);
	if (!other)
		other = pick(by_w, ARRAY_LEN(by_w), name, wide(in, mode) ? 8 : 4);
	return other ? other : name;
}

const char *disasm_name(const struct insn *in, u32 mode, char out[DISASM_MAX])
{
	snprintf(out, DISASM_MAX, "%s", name_of(in, mode));
	return out;
}

static void put_name(struct text *t, const struct insn *in, u32 mode)
{
	const char *name = name_of(in, mode);

	if (in->pfx & PFX_LOCK)
		put(t, "lock ");
	if (insn_forms[in->form].attr & IA_STRING && in->pfx & (PFX_REP | PFX_REPNE)) {
		bool compares = !strncmp(name, "cmps", 4) || !strncmp(name, "scas", 4);

		put(t, in->pfx & PFX_REPNE ? "repne " : compares ? "repe " : "rep ");
	}
	put(t, "%s", name);
}

/* --- registers -------------------------------------------------------------------------------- */

static void put_gpr(struct text *t, unsigned n, unsigned size)
{
	static const char *const old[] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
	static const char suffix[] = {[1] = 'b', [2] = 'w', [4] = 'd'};

	if (n >= 8)
		put(t, "r%u%.*s", n, size < 8, &suffix[size < 8 ? size : 1]);
	else if (size == 1)
		put(t, n < 4 ? "%.1sl" : "%.2sl", old[n]);
	else
		put(t, "%s%s", size == 8 ? "r" : size == 4 ? "e" : "", old[n]);
}

/* off: its place in the register file, odd for AH to BH. */
static void put_gpr_at(struct text *t, unsigned off, unsigned size)
{
	if (off & 1)
		put(t, "%ch", "acdb"[off / 8]);
	else
		put_gpr(t, off / 8, size);
}

static void put_vector(struct text *t, unsigned n, unsigned size)
{
	put(t, "%cmm%u", size == 32 ? 'y' : 'x', n);
}

static const char *const segments[] = {"es", "cs", "ss", "ds", "fs", "gs", "seg6", "seg7"};

static void put_fixed(struct text *t, unsigned fixed, unsigned osz)
{
	static const char *const name[] = {
		[FX_NONE] = "?", [FX_1] = "0x1", [FX_AL] = "al",   [FX_CL] = "cl",
		[FX_AX] = "ax",	 [FX_DX] = "dx", [FX_ECX] = "ecx", [FX_rAX] = "?",
		[FX_ES] = "es",	 [FX_CS] = "cs", [FX_SS] = "ss",   [FX_DS] = "ds",
		[FX_FS] = "fs",	 [FX_GS] = "gs", [FX_ST0] = "st0", [FX_XMM0] = "xmm0"};

	if (fixed == FX_rAX)
		put_gpr(t, R_RAX, osz);
	else
		put(t, "%s", name[fixed]);
}

/* IN and OUT, which have no 64-bit form. */
static bool is_port(const struct insn *in)
{
	return insn_forms[in->form].map == 0 && (in->opcode & 0xf4) == 0xe4;
}

/* --- operands --------------------------------------------------------------------------------- */

/* Bytes of an operand; 0: it has no size of its own. */
static unsigned width_of(const struct insn *in, u32 mode, unsigned width)
{
	switch (width) {
	case OPW_V: return in->osz;
	case OPW_Z: return in->osz == 8 ? 4 : in->osz;
	case OPW_Y: return wide(in, mode) ? 8 : 4;
	case OPW_X: return in->vl;
	case OPW_H: return in->vl / 2u;
	case OPW_QTR: return in->vl / 4u;
	case OPW_EIGHTH: return in->vl / 8u;
	case OPW_P: return in->osz + 2u;
	case OPW_A: return in->osz * 2u;
	case OPW_S: return mode & MODE_64 ? 10 : 6;
	default: return width;
	}
}

static void put_size(struct text *t, unsigned bytes)
{
	switch (bytes) {
	case 1: put(t, "byte ptr "); break;
	case 2: put(t, "word ptr "); break;
	case 4: put(t, "dword ptr "); break;
	case 6: put(t, "fword ptr "); break;
	case 8: put(t, "qword ptr "); break;
	case 10: put(t, "tbyte ptr "); break;
	case 16: put(t, "xmmword ptr "); break;
	case 32: put(t, "ymmword ptr "); break;
	default: break;
	}
}

/* A gather's name: v[p]gather, d or q for its indices, and the kind of data. */
static bool quad_index(const char *name)
{
	const char *gather = strstr(name, "gather");

	return gather && gather[6] == 'q';
}

static bool quad_data(const char *name)
{
	char last = name[strlen(name) - 1];

	return last == 'q' || (last == 'd' && name[strlen(name) - 2] == 'p');
}

static unsigned index_width(const struct insn *in)
{
	const char *name = insn_forms[in->form].name;

	return !quad_index(name) && quad_data(name) ? 16 : in->vl;
}

static void put_segment(struct text *t, const struct insn *in, u32 mode)
{
	if (mode & MODE_64 ? in->seg == S_FS || in->seg == S_GS : in->segpfx != 0xff)
		put(t, "%s:", segments[in->seg]);
}

static void put_memory(struct text *t, const struct insn *in, u32 mode, unsigned bytes, bool vsib)
{
	bool based = in->base != REG_OFF_ZERO, indexed = in->index != REG_OFF_ZERO;
	u64 disp = (u64)in->disp & mask64(in->asz * 8);
	s64 near = in->asz == 8 ? in->disp : in->asz == 4 ? (s32)in->disp : (s16)in->disp;

	put_size(t, bytes);
	put_segment(t, in, mode);
	put(t, "[");
	if (based)
		put_gpr(t, in->base / 8u, in->asz);
	if (indexed) {
		put(t, "%s", based ? "+" : "");
		if (vsib)
			put_vector(t, in->index / 8u, index_width(in));
		else
			put_gpr(t, in->index / 8u, in->asz);
		if (in->scale)
			put(t, "*%u", 1u << in->scale);
	}
	if (!based && !indexed)
		put(t, "0x%llx", (unsigned long long)disp);
	else if (near < 0)
		put(t, "-0x%llx", (unsigned long long)-(u64)near);
	else if (near)
		put(t, "+0x%llx", (unsigned long long)near);
	put(t, "]");
}

static void put_string(struct text *t, const struct insn *in, u32 mode, unsigned bytes, bool source)
{
	put_size(t, bytes);
	if (!source && !(mode & MODE_64))
		put(t, "es:");
	else if (source && (mode & MODE_64 ? in->seg == S_FS || in->seg == S_GS : in->seg != S_DS))
		put(t, "%s:", segments[in->seg]);
	put(t, "[");
	put_gpr(t, source ? R_RSI : R_RDI, in->asz);
	put(t, "]");
}

static void put_immediate(struct text *t, const struct insn *in, unsigned bytes)
{
	const struct insn_form *f = &insn_forms[in->form];

	/* what is sign-extended is shown as wide as it is used */
	if (bytes == 4 || (f->map == 0 && (f->opcode == 0x83 || (f->opcode & 0xfd) == 0x69)) ||
	    (f->map == 0 && f->opcode == 0x6a))
		bytes = in->osz;
	if (f->imm == IMM_WB && bytes == 1)
		put(t, "0x%x", in->imm2);
	else
		put(t, "0x%llx", (unsigned long long)(in->imm & mask64(bytes * 8)));
}

static void put_far(struct text *t, const struct insn *in)
{
	put(t, "0x%llx:0x%llx", (unsigned long long)in->disp, (unsigned long long)in->imm);
}

static void put_rm(struct text *t, const struct insn *in, u32 mode, unsigned kind, unsigned bytes)
{
	if (in->pfx & PFX_MEM)
		put_memory(t, in, mode, bytes, false);
	else if (kind == OP_E || kind == OP_R)
		put_gpr_at(t, in->ereg, bytes);
	else if (kind == OP_Q || kind == OP_N)
		put(t, "mm%u", in->rm & 7u);
	else
		put_vector(t, in->rm, bytes);
}

/* The table gives one width for what differs by mode, or between register and memory. */
static unsigned operand_width(const struct insn *in, u32 mode, const struct insn_operand *op)
{
	const struct insn_form *f = &insn_forms[in->form];
	unsigned bytes = width_of(in, mode, op->width), kind = op->kind;

	if (bytes == 8 && !(mode & MODE_64) && (kind == OP_R || kind == OP_G))
		return 4;
	if (kind == OP_E && in->pfx & PFX_MEM &&
	    (f->op[1].kind == OP_SREG || (op->access == OPA_W && f->map == 1 && f->opcode < 2)))
		return 2; /* SLDT, STR, SMSW */
	if (f->attr & IA_VSIB && kind != OP_VM && quad_index(f->name) && !quad_data(f->name))
		return bytes / 2;
	return bytes;
}

static void put_operand(struct text *t, const struct insn *in, u32 mode,
			const struct insn_operand *op)
{
	unsigned bytes = operand_width(in, mode, op);

	switch ((enum insn_opk)op->kind) {
	case OP_E:
	case OP_M:
	case OP_R:
	case OP_W:
	case OP_U:
	case OP_Q:
	case OP_N: put_rm(t, in, mode, op->kind, bytes); break;
	case OP_G: put_gpr_at(t, in->greg, bytes); break;
	case OP_Z: put_gpr_at(t, in->ereg, bytes); break;
	case OP_VREG: put_gpr(t, in->vvvv, bytes); break;
	case OP_V: put_vector(t, in->reg, bytes); break;
	case OP_H: put_vector(t, in->vvvv, bytes); break;
	case OP_L: put_vector(t, in->imm2, bytes); break;
	case OP_P: put(t, "mm%u", in->reg & 7u); break;
	case OP_ST: put(t, "st%u", in->rm & 7u); break;
	case OP_VM: put_memory(t, in, mode, bytes, true); break;
	case OP_I: put_immediate(t, in, bytes); break;
	case OP_J: put(t, "0x%llx", (unsigned long long)in->imm); break;
	case OP_FAR: put_far(t, in); break;
	case OP_O: put_memory(t, in, mode, bytes, false); break;
	case OP_SREG: put(t, "%s", segments[in->reg & 7u]); break;
	case OP_CR: put(t, "cr%u", in->reg); break;
	case OP_DR: put(t, "dr%u", in->reg); break;
	case OP_X: put_string(t, in, mode, bytes, true); break;
	case OP_Y: put_string(t, in, mode, bytes, false); break;
	case OP_FIXED: put_fixed(t, op->fixed, is_port(in) && in->osz == 8 ? 4 : in->osz); break;
	case OP_NONE: break;
	}
}

/* Registers that go without saying. */
static bool is_hidden(const struct insn *in, const struct insn_form *f, unsigned i)
{
	const struct insn_operand *op = &f->op[i], *other = &f->op[!i];

	switch (op->fixed) {
	case FX_ST0:
		if (in->pfx & PFX_MEM)
			return true;
		/* where it is compared, exchanged, or stored whole */
		return other->kind == OP_ST && !strstr(f->name, "comi") &&
		       (op->access == OPA_R ? other->access != (OPA_R | OPA_W)
					    : other->access == (OPA_R | OPA_W));
	case FX_ECX: return true;
	case FX_XMM0: return op->access & OPA_W;
	case FX_AL: return f->operands == 1;
	default: return f->map == 0 && f->opcode == 0x90 && in->rm == 0;
	}
}

const char *disasm(const struct insn *in, u32 mode, char out[DISASM_MAX])
{
	const struct insn_form *f = &insn_forms[in->form];
	struct text t = {.out = out};
	const char *separator = " ";

	out[0] = '\0';
	put_name(&t, in, mode);
	if (f->op[0].kind == OP_FAR || f->op[0].width == OPW_P)
		separator = " far ";
	for (unsigned i = 0; i < f->operands; i++) {
		if (is_hidden(in, f, i))
			continue;
		put(&t, "%s", separator);
		separator = ", ";
		/* XCHG of the accumulator is written with that last */
		put_operand(&t, in, mode,
			    &f->op[f->op[0].fixed == FX_rAX && f->attr & IA_PLUSR ? 1 - i : i]);
	}
	return out;
}
