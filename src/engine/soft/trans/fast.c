/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fast: SYSCALL and SYSRET as a guest does them all the time, without the way through their bodies.
 *
 * The body runs the first time; what it made of the segments, the mode and the view is kept with
 * what that depends on. The next time the same is done from here. Whatever is not as it was then is
 * the body's again.
 *
 * Compiled without vector registers (as table.c is): its stub saves none.
 *
 * Context: owner, from translated code.
 */
#include "cpu/flags.h"
#include "cpu/insn_forms.h"
#include "engine/soft/impl.h"

#define SYSRET_FLAGS 0x3c7fd7u /* of R11: all but RF and VM */
#define SLOW_FLAGS   (FL_TF | FL_AC)

static bool as_then(const struct cpu *c, const struct fast_way *w)
{
	const struct cpu_state *s = &c->s;
	return w->known && w->star == s->star && w->efer == s->efer && w->cr0 == s->cr0 &&
	       w->cr4 == s->cr4 && w->xcr0 == s->xcr0 && !c->dr_armed && !c->dr6_pending &&
	       !c->intr_wait;
}

static void go(struct vcpu *v, const struct fast_way *w, u64 flags)
{
	struct cpu *c = &v->cpu;
	c->s.seg[S_CS] = w->cs;
	c->s.seg[S_SS] = w->ss;
	c->cpl = w->cpl;
	c->mode = w->mode;
	c->view = &c->views[w->view];
	c->rflags = flags & ~(u64)FL_STATUS;
	v->hot.status = (u32)((flags & 0xd5) << 8 | (flags & FL_OF ? 1 : 0));
	table_mode(v);
}

u64 trans_syscall(struct vcpu *v, struct tinsn *ti)
{
	struct cpu *c = &v->cpu;
	const struct fast_way *w = &v->trans->in;
	u64 flags = c->rflags | (v->hot.status >> 8 & 0xd5) | (v->hot.status & 1 ? FL_OF : 0);
	u64 after = (flags & ~c->s.sfmask & ~(u64)FL_RF) | FL_R1;
	if (!as_then(c, w) || after & SLOW_FLAGS || !canonical(c->s.lstar))
		return 0;
	c->r[R_RCX] = ti->rip + ti->len;
	c->r[R_R11] = flags & ~(u64)FL_RF;
	c->rip = c->s.lstar;
	go(v, w, after);
	return 1;
}

u64 trans_sysret(struct vcpu *v, struct tinsn *ti unused_arg)
{
	struct cpu *c = &v->cpu;
	const struct fast_way *w = &v->trans->out;
	u64 flags = (c->r[R_R11] & SYSRET_FLAGS) | FL_R1;
	if (!as_then(c, w) || flags & SLOW_FLAGS || !canonical(c->r[R_RCX]))
		return 0;
	c->rip = c->r[R_RCX];
	go(v, w, flags);
	return 1;
}

void fast_learn(struct vcpu *v, const struct insn *in)
{
	const struct cpu *c = &v->cpu;
	struct fast_way *w;
	bool call = in->opcode == 0x05;
	if (insn_forms[in->form].map != 1 || !(call || (in->opcode == 0x07 && in->osz == 8)))
		return;
	w = call ? &v->trans->in : &v->trans->out;
	w->known = !v->lockstep && !(c->rflags & SLOW_FLAGS) && !c->seg_chk &&
		   (c->mode & (MODE_64 | MODE_STEP)) == MODE_64;
	w->star = c->s.star;
	w->efer = c->s.efer;
	w->cr0 = c->s.cr0;
	w->cr4 = c->s.cr4;
	w->xcr0 = c->s.xcr0;
	w->cs = c->s.seg[S_CS];
	w->ss = c->s.seg[S_SS];
	w->cpl = c->cpl;
	w->mode = c->mode;
	w->view = (u8)(c->view - c->views);
}
