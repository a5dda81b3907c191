/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace: --log translate: a block's guest instructions, each followed by the host code it became.
 *
 * Written when the block is made, while what is known of it is at hand; links and the block's end
 * follow as they happen. A line is one write(2): on stderr it is one of Holm's own words.
 *
 * Context: owner. Lines of several vCPUs may alternate; each names its vCPU.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cpu/disasm.h"
#include "cpu/insn_forms.h"
#include "engine/soft/trans/gen.h"

#define LINE 256u
#define HEX  15u

static const u32 host_mode = MODE_64 | MODE_PE | MODE_LMA | MODE_OSFXSR | MODE_OSXSAVE | MODE_AVX;

/* --- lines ------------------------------------------------------------------------------------ */

static void format_fn(2, 3) line(const struct vcpu *v, const char *fmt, ...)
{
	char text[LINE];
	int fd = v->engine->trace.fd, head, body;
	va_list ap;
	size_t len;
	head = snprintf(text, sizeof(text), "%s", fd == STDERR_FILENO ? "holm: translate: " : "");
	va_start(ap, fmt);
	body = vsnprintf(text + head, sizeof(text) - (size_t)head, fmt, ap);
	va_end(ap);
	len = (size_t)head + (size_t)(body < 0 ? 0 : body);
	if (len > sizeof(text) - 1)
		len = sizeof(text) - 1;
	text[len++] = '\n';
	if (write(fd, text, len) < 0)
		return; /* a full disk: the guest runs on */
}

static const char *hex(const u8 *bytes, unsigned len, char out[HEX * 3 + 1])
{
	char *at = out;
	for (unsigned i = 0; i < len && i < HEX; i++)
		at += snprintf(at, 4, "%02x ", bytes[i]);
	*at = '\0';
	return out;
}

static bool wanted(const struct vcpu *v, u64 rip, u64 len)
{
	const struct engine_trace *trace = &v->engine->trace;
	return rip <= trace->last && rip + len - 1 >= trace->first;
}

/* --- what host code speaks of ----------------------------------------------------------------- */

struct name {
	u32 off;
	const char *name;
};

/* Fields of the vCPU block. */
#define FIELD(field)                                                                               \
	{                                                                                          \
		(u32) offsetof(struct vcpu, field), #field                                         \
	}
static const struct name fields[] = {
	FIELD(cpu.rip),	       FIELD(cpu.event),     FIELD(cpu.poll),	    FIELD(cpu.rflags),
	FIELD(hot.mask),       FIELD(hot.low),	     FIELD(hot.rt),	    FIELD(hot.wt),
	FIELD(hot.xt),	       FIELD(hot.desc),	     FIELD(hot.code),	    FIELD(hot.code_saved),
	FIELD(hot.stack_page), FIELD(hot.stack_add), FIELD(hot.other_page), FIELD(hot.other_add),
	FIELD(hot.host_rsp),   FIELD(hot.self),	     FIELD(hot.link),	    FIELD(hot.ea),
	FIELD(hot.bits),       FIELD(hot.tsc_add),   FIELD(hot.rax),	    FIELD(hot.rcx),
	FIELD(hot.x87_dp),     FIELD(hot.x87),	     FIELD(hot.x87_mem),    FIELD(hot.simd),
	FIELD(hot.status),
};
#undef FIELD

/* Stubs; addresses in struct tcache. */
#define NAMED(stub, text)                                                                          \
	{                                                                                          \
		(u32) offsetof(struct tcache, stub), text                                          \
	}
#define STUB(stub) NAMED(stub, #stub)
static const struct name stubs[] = {
	STUB(enter),
	STUB(exit_link),
	STUB(exit_to),
	STUB(ibl),
	STUB(interp),
	STUB(interp_end),
	STUB(miss),
	STUB(simd),
	STUB(fault),
	NAMED(stack_stub[0], "stack"),
	NAMED(stack_stub[1], "stack32"),
	STUB(stack_leave),
	NAMED(slot_stub[0][0], "slot_read"),
	NAMED(slot_stub[0][1], "slot_write"),
	NAMED(slot_stub[1][0], "slot_read32"),
	NAMED(slot_stub[1][1], "slot_write32"),
	NAMED(family[0], "family_read"),
	NAMED(family[1], "family_write"),
	STUB(exit_link_saved),
	STUB(exit_to_saved),
	STUB(ibl_saved),
	STUB(interp_end_saved),
	STUB(fault_saved),
	STUB(unknown),
	STUB(unknown_saved),
	STUB(syscall),
	STUB(sysret),
};
#undef STUB
#undef NAMED

static void name_field(u64 off, char *out, size_t size)
{
	static const char *const gpr[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					  "r8",	 "r9",	"r10", "r11", "r12", "r13", "r14", "r15"};
	const u64 slots = offsetof(struct vcpu, hot.slot), one = sizeof(struct page_slot);
	if (off < 16 * 8) {
		snprintf(out, size, "guest %s", gpr[off / 8]);
	} else if (off >= slots && off < slots + TRANS_SLOTS * one) {
		static const char *const part[] = {"page", "add", "host"};
		snprintf(out, size, "slot %u, %s", (unsigned)((off - slots) / one),
			 part[(off - slots) % one / 8]);
	}
	for (unsigned i = 0; i < ARRAY_LEN(fields); i++)
		if (fields[i].off == off)
			snprintf(out, size, "%s", fields[i].name);
}

static void name_target(const struct tr *t, u64 target, char *out, size_t size)
{
	u64 start = (u64)t->t->start, rw = (u64)t->x->rw;
	if (target >= start && target < (u64)t->e.p) {
		snprintf(out, size, "+0x%x", (unsigned)(target - start));
		return;
	}
	snprintf(out, size, "code 0x%x", (unsigned)(target - rw));
	for (unsigned i = 0; i < ARRAY_LEN(stubs); i++) {
		const u8 *at;
		memcpy(&at, (const u8 *)t->x + stubs[i].off, sizeof(at));
		if ((u64)at == target)
			snprintf(out, size, "stub %s", stubs[i].name);
	}
}

/* What a constant points to. */
static void name_constant(const struct tr *t, u64 value, char *out, size_t size)
{
	u64 ti = value - (u64)t->t->ti, link = value - (u64)t->t->out;
	u64 guard = value - (u64)guards_of(t->t);
	if (ti < t->count * sizeof(struct tinsn))
		snprintf(out, size, "instruction 0x%llx",
			 (unsigned long long)t->rip[ti / sizeof(struct tinsn)]);
	else if (guard < t->t->guards * sizeof(struct tguard))
		snprintf(
			out, size, "guard before 0x%llx",
			(unsigned long long)guards_of(t->t)[guard / sizeof(struct tguard)].ti->rip);
	else if (link < sizeof(t->t->out))
		snprintf(out, size, "link %u", (unsigned)(link / sizeof(struct tlink)));
}

/* One host instruction: branches by what they lead to, others with what they speak of. */
static void host_text(const struct tr *t, const struct insn *in, char *out, size_t size)
{
	const struct insn_form *f = &insn_forms[in->form];
	char text[DISASM_MAX], what[64] = "";
	if (f->imm == IMM_JB || f->imm == IMM_JZ) {
		name_target(t, in->imm, what, sizeof(what));
		snprintf(out, size, "%s %s", disasm_name(in, host_mode, text), what);
		return;
	}
	if (in->pfx & PFX_MEM && in->seg == S_GS && in->base == REG_OFF_ZERO)
		name_field((u64)in->disp, what, sizeof(what));
	else if (f->imm == IMM_V)
		name_constant(t, in->imm, what, sizeof(what));
	snprintf(out, size, "%s%s%s", disasm(in, host_mode, text), what[0] ? "  ; " : "", what);
}

/* --- code ------------------------------------------------------------------------------------- */

static void host_code(const struct vcpu *v, const struct tr *t, const u8 *from, const u8 *to)
{
	char bytes[HEX * 3 + 1], text[DISASM_MAX + 64];
	struct insn in;
	while (from < to) {
		unsigned left = (unsigned)(to - from);
		if (insn_decode(&in, from, left < 15 ? left : 15, (u64)from, host_mode, ~0ull) !=
		    INSN_OK) { /* never: it is ours */
			in.len = 1;
			snprintf(text, sizeof(text), "?");
		} else {
			host_text(t, &in, text, sizeof(text));
		}
		line(v, "    +0x%03x %-33s%s", (unsigned)(from - t->t->start),
		     hex(from, in.len, bytes), text);
		from += in.len;
	}
}

static void guest_insn(const struct vcpu *v, const struct tr *t, unsigned i)
{
	const struct tinsn *ti = &t->t->ti[i];
	const struct tguard *window = t->stack_guard[i], *family = t->slot_guard[i];
	char bytes[HEX * 3 + 1], text[DISASM_MAX];
	line(v, "  0x%llx %-24s%s", (unsigned long long)ti->rip, hex(t->raw[i], ti->len, bytes),
	     disasm(&t->in[i], t->b->mode, text));
	if (window)
		line(v, "    stack window: %s%+d to %+d", window->leave ? "rbp" : "rsp", window->lo,
		     window->lo + window->len);
	else if (t->window[i])
		line(v, "    in the stack window");
	if (family)
		line(v, "    family of %u bytes, its own at +%u, %s", family->len, family->own,
		     family->write ? "read and written" : "read");
	if (t->slot[i] && t->looked)
		line(v, "    operand by look-up %u of the block",
		     (unsigned)((t->slot[i] - offsetof(struct vcpu, hot.looked)) / 8));
	else if (t->slot[i])
		line(v, "    operand in slot %u",
		     (unsigned)((t->slot[i] - offsetof(struct vcpu, hot.slot)) /
				sizeof(struct page_slot)));
}

static void side_title(const struct vcpu *v, const struct side *s)
{
	static const char *const of[] = {[SIDE_CROSS] = "the operand may cross a page",
					 [SIDE_MISS] = "look-up missed",
					 [SIDE_EXIT] = "to another page",
					 [SIDE_LINK] = "link, not linked",
					 [SIDE_SIMD] = "bring vector registers in",
					 [SIDE_STACK] = "no stack window",
					 [SIDE_SLOT] = "no slot",
					 [SIDE_FAMILY] = "look-up for a family missed",
					 [SIDE_BODY] = "by its body",
					 [SIDE_AGAIN] = "the second page changed"};
	u64 about = s->ti ? s->ti->rip : s->target;
	if (about)
		line(v, "  %s, 0x%llx", of[s->kind], (unsigned long long)about);
	else
		line(v, "  %s", of[s->kind]);
}

static void host_sides(const struct vcpu *v, const struct tr *t)
{
	for (unsigned i = 0; i < t->sides; i++) {
		const u8 *end = i + 1 < t->sides ? t->side[i + 1].start : t->e.p;
		side_title(v, &t->side[i]);
		host_code(v, t, t->side[i].start, end);
	}
}

/* --- blocks ----------------------------------------------------------------------------------- */

static bool block_wanted(const struct vcpu *v, const struct tblock *t)
{
	for (unsigned i = 0; i < t->count; i++)
		if (wanted(v, t->ti[i].rip, t->ti[i].len))
			return true;
	return false;
}

static void head_of(const struct vcpu *v, const struct tr *t)
{
	const struct tblock *b = t->t;
	line(v, "block 0x%llx%s: vCPU %u, CPL %u, guest-physical 0x%llx, %u instructions%s",
	     (unsigned long long)b->block_rip, b->plain ? " without windows" : "", v->id,
	     t->b->mode & MODE_CPL, (unsigned long long)t->b->gpa, t->count / t->rounds,
	     t->rounds > 1 ? " unrolled" : "");
	line(v,
	     "  host code: %u bytes at 0x%x; entries: +0x%x, flags put aside +0x%x; from vector "
	     "code +0x%x, +0x%x",
	     (unsigned)(t->e.p - b->start), (unsigned)(b->start - t->x->rw), b->code, b->code_saved,
	     b->code_vec, b->code_vec_saved);
	if (b->second)
		line(v, "  second page 0x%llx", (unsigned long long)b->second->rip);
	for (unsigned i = 0; i < t->links; i++)
		line(v, "  link %u: to 0x%llx, jump at +0x%x", i,
		     (unsigned long long)((b->block_rip & ~0xfffull) | b->out[i].target),
		     b->out[i].rel);
}

void trace_block(const struct vcpu *v, const struct tr *t)
{
	const struct tblock *b = t->t;
	if (!block_wanted(v, b))
		return;
	head_of(v, t);
	host_code(v, t, b->start, b->start + b->ti[0].at);
	for (unsigned i = 0; i < t->count; i++) {
		const u8 *end = i + 1 < t->count ? b->start + b->ti[i + 1].at : t->body_end;
		guest_insn(v, t, i);
		host_code(v, t, b->start + b->ti[i].at, end);
	}
	host_sides(v, t);
	line(v, "block 0x%llx ends", (unsigned long long)b->block_rip);
}

void trace_link(const struct vcpu *v, const struct tlink *l, const struct tblock *t)
{
	const struct tblock *from = from_of(l);
	if (block_wanted(v, from) || block_wanted(v, t))
		line(v, "block 0x%llx: vCPU %u, link %u goes to block 0x%llx",
		     (unsigned long long)from->block_rip, v->id, l->which,
		     (unsigned long long)t->block_rip);
}

void trace_drop(const struct vcpu *v, const struct tblock *t)
{
	if (!t->dropped && block_wanted(v, t))
		line(v, "block 0x%llx%s: vCPU %u, dropped", (unsigned long long)t->block_rip,
		     t->plain ? " without windows" : "", v->id);
}
