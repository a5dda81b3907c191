/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stubs: the pieces of host code that every translated block shares: in, out, into an
 * instruction's body, a lookup's miss, the indirect branch.
 *
 * A stub that calls C first puts the guest's registers into their slots, and the vector registers
 * if they are in the host's (hot.simd): C may do with them what it likes.
 *
 * Context: owner, once when the code cache is made.
 */
#include "engine/soft/trans/gen.h"

static const u8 callee[] = {H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15};

static void save_regs(struct emit *e)
{
	for (unsigned i = 0; i < 16; i++)
		if (home[i] != NOREG)
			e_gs_store(e, home[i], G_REG(i));
}

static void load_regs(struct emit *e)
{
	for (unsigned i = 0; i < 16; i++)
		if (home[i] != NOREG)
			e_gs_load(e, home[i], G_REG(i));
}

/* After save_regs: RAX is free. */
static void save_flags(struct emit *e)
{
	e_lahf_seto(e);
	e_gs(e, false, 0x89, H_RAX, G(hot.status));
}

static void load_state(struct emit *e)
{
	e_gs(e, false, 0x8b, H_RAX, G(hot.status));
	e_from_ax(e);
	load_regs(e);
}

static void add_rsp(struct emit *e, s32 n)
{
	e_lea(e, H_RSP, H_RSP, NOREG, 0, n, 8);
}

static s32 vector_at(unsigned i, unsigned half)
{
	return (s32)(G(cpu.s.ymm) + i * 32 + half * 16);
}

/* movdqu or, with AVX, vmovdqu: xmm or ymm, gs:[...] or back */
static void vector_move(struct emit *e, unsigned i, bool avx, bool wide, bool store)
{
	e8(e, 0x65);
	if (avx) { /* VEX.F3.0F 6F/7F; of 128 bits it clears the upper half */
		e8(e, 0xc5);
		e8(e, (i & 8 ? 0 : 0x80u) | (wide ? 0x7e : 0x7a));
	} else {
		e8(e, 0xf3);
		if (i & 8)
			e8(e, 0x44);
		e8(e, 0x0f);
	}
	e8(e, store ? 0x7f : 0x6f);
	e_mem(e, i, NOREG, NOREG, 0, vector_at(i, 0));
}

/* Upper halves that are 0 are loaded as such: after a load of 256 bits the CPU does not know that
 * they are, and each SSE instruction would wait for what its register held before. Clobbers the
 * flags. */
static void vectors_in(struct emit *e)
{
	u8 *some, *done;
	for (unsigned i = 0; i < 16; i++) {
		e8(e, 0x65); /* vmovdqu xmm0, then vpor xmm0, xmm0, gs:[upper half] */
		e8(e, 0xc5);
		e8(e, i ? 0xf9 : 0xfa);
		e8(e, i ? 0xeb : 0x6f);
		e_mem(e, 0, NOREG, NOREG, 0, vector_at(i, 1));
	}
	e8(e, 0xc4); /* vptest xmm0, xmm0 */
	e8(e, 0xe2);
	e8(e, 0x79);
	e8(e, 0x17);
	e8(e, 0xc0);
	some = e_jcc_fwd(e, 5);
	for (unsigned i = 0; i < 16; i++)
		vector_move(e, i, true, false, false);
	done = e_jmp_fwd(e);
	e_here(e, some);
	for (unsigned i = 0; i < 16; i++)
		vector_move(e, i, true, true, false);
	e_here(e, done);
}

/* All vector registers to or from the vCPU block. */
static void simd_move(struct emit *e, bool store)
{
	bool avx = __builtin_cpu_supports("avx");
	if (avx && !store) {
		vectors_in(e);
		return;
	}
	for (unsigned i = 0; i < 16; i++)
		vector_move(e, i, avx, avx, store);
	if (avx) { /* vzeroupper: for the C code */
		e8(e, 0xc5);
		e8(e, 0xf8);
		e8(e, 0x77);
	}
}

/* if (hot.simd) move, and set hot.simd to what it shall be afterwards */
static void simd_if_live(struct emit *e, bool store, bool leave_host)
{
	u8 *skip;
	e_gs_is_0(e, G(hot.simd));
	skip = e_jcc_fwd(e, 4);
	simd_move(e, store);
	if (leave_host)
		e_gs_set(e, G(hot.simd), 0);
	e_here(e, skip);
}

/* Back to trans_run with EAX = reason; nothing is saved here. */
static void leave(struct emit *e)
{
	e_gs_load(e, H_RSP, G(hot.host_rsp));
	add_rsp(e, 8);
	for (unsigned i = sizeof(callee); i-- > 0;) {
		if (callee[i] & 8)
			e8(e, 0x41);
		e8(e, 0x58 | (callee[i] & 7u));
	}
	e8(e, 0xc3);
}

static void exit_with(struct emit *e, unsigned reason, bool saved)
{
	save_regs(e);
	if (!saved)
		save_flags(e);
	simd_if_live(e, true, true);
	e_mov_imm(e, H_RAX, reason);
	leave(e);
}

static void call_c(struct emit *e, void *fn)
{
	e_mov_imm(e, H_RAX, (u64)fn);
	e8(e, 0xff);
	e8(e, 0xd0);
}

/* enter(hot, code in RX, its entry with the flags in hot.status): the C side's frame is left on the
 * stack. */
static void enter(struct emit *e)
{
	for (unsigned i = 0; i < sizeof(callee); i++) {
		if (callee[i] & 8)
			e8(e, 0x41);
		e8(e, 0x50 | (callee[i] & 7u));
	}
	add_rsp(e, -8);
	e_gs_store(e, H_RSP, G(hot.host_rsp));
	e_mov(e, H_R11, H_RSI);
	load_regs(e);
	e_jmp_r11(e);
}

static void into_body(struct emit *e)
{
	u8 *out;
	save_regs(e);
	save_flags(e);
	simd_if_live(e, true, false);
	e_gs_load(e, H_RDI, G(hot.self));
	e_mov(e, H_RSI, H_R10);
	add_rsp(e, -8);
	call_c(e, (void *)trans_interp);
	add_rsp(e, 8);
	e8(e, 0x85);
	e8(e, 0xc0);
	out = e_jcc_fwd(e, 5);
	simd_if_live(e, false, false);
	load_state(e);
	e8(e, 0xc3);
	e_here(e, out);
	e_mov_imm(e, H_RAX, TX_BODY);
	leave(e);
}

/* Goes on by an indirect branch if fn says so. */
static void into_last_body(struct tcache *x, struct emit *e, void *fn, bool saved)
{
	u8 *out;
	save_regs(e);
	if (!saved)
		save_flags(e);
	simd_if_live(e, true, true);
	e_gs_load(e, H_RDI, G(hot.self));
	e_mov(e, H_RSI, H_R10);
	call_c(e, fn);
	e8(e, 0x85); /* test eax, eax */
	e8(e, 0xc0);
	out = e_jcc_fwd(e, 4);
	load_regs(e);
	e_gs_load(e, H_R10, G(cpu.rip));
	e_jmp(e, x->ibl_saved);
	e_here(e, out);
	e_mov_imm(e, H_RAX, TX_BODY);
	leave(e);
}

/* r10 = tinsn, the flags are in hot.status: fn does it and says so, or its body does. Saves what fn
 * may clobber; it uses no vector registers. */
static void into_far(struct tcache *x, struct emit *e, void *fn)
{
	static const u8 some[] = {H_RAX, H_RCX, H_RDX, H_RSI, H_RDI, H_R8, H_R9};
	u8 *out;
	for (unsigned i = 0; i < 16; i++)
		for (unsigned k = 0; k < sizeof(some); k++)
			if (home[i] == some[k])
				e_gs_store(e, home[i], G_REG(i));
	e_gs_store(e, H_R10, G(hot.ea));
	e_gs_load(e, H_RDI, G(hot.self));
	e_mov(e, H_RSI, H_R10);
	call_c(e, fn);
	e8(e, 0x85); /* test eax, eax */
	e8(e, 0xc0);
	out = e_jcc_fwd(e, 4);
	for (unsigned i = 0; i < 16; i++)
		for (unsigned k = 0; k < sizeof(some); k++)
			if (home[i] == some[k])
				e_gs_load(e, home[i], G_REG(i));
	e_gs_load(e, H_R10, G(cpu.rip));
	e_jmp(e, x->ibl_saved);
	e_here(e, out);
	for (unsigned i = 0; i < 16; i++)
		for (unsigned k = 0; k < sizeof(some); k++)
			if (home[i] == some[k])
				e_gs_load(e, home[i], G_REG(i));
	e_gs_load(e, H_R10, G(hot.ea));
	e_jmp(e, x->interp_end_saved);
}

/* r10 address, r11 tinsn | write. Returns r11 = table entry; or past the jump behind the call. */
static void into_miss(struct emit *e)
{
	u8 *other, *out;
	save_regs(e);
	simd_if_live(e, true, false);
	e_gs_load(e, H_RDI, G(hot.self));
	e_mov(e, H_RSI, H_R11);
	e_mov(e, H_RDX, H_R10);
	add_rsp(e, -8);
	call_c(e, (void *)trans_miss);
	add_rsp(e, 8);
	e_test_imm8(e, H_RAX, 1);
	other = e_jcc_fwd(e, 4);
	e_mov(e, H_R11, H_RAX);
	simd_if_live(e, false, false);
	load_regs(e);
	e8(e, 0xc3);
	e_here(e, other);
	e_test_imm8(e, H_RAX, 2);
	out = e_jcc_fwd(e, 5);
	simd_if_live(e, false, false);
	load_state(e);
	e8(e, 0x41);
	e8(e, 0x5b); /* pop r11 */
	e_lea(e, H_R11, H_R11, NOREG, 0, 5, 8);
	e_jmp_r11(e);
	e_here(e, out);
	e_mov_imm(e, H_RAX, TX_BODY);
	leave(e);
}

/* movsx or movzx to, word [base + off] */
static void word_of(struct emit *e, unsigned op, unsigned to, unsigned base, size_t off)
{
	e_rex(e, true, to, 0, base);
	e8(e, 0x0f);
	e8(e, op);
	e_mem(e, to, base, NOREG, 0, (s32)off);
}

static void word_of_r10(struct emit *e, unsigned op, unsigned to, size_t off)
{
	word_of(e, op, to, H_R10, off);
}

/* mov gs:[base + disp], from */
static void gs_put(struct emit *e, unsigned from, unsigned base, s32 disp)
{
	e8(e, 0x65);
	e_rex(e, true, from, 0, base);
	e8(e, 0x89);
	e_mem(e, from, base, NOREG, 0, disp);
}

/* mov r11, [a]; mov rax, [b]; and back, crosswise */
static void swap_gs(struct emit *e, u32 a, u32 b)
{
	e_gs_load(e, H_R11, a);
	e_gs_load(e, H_RAX, b);
	e_gs_store(e, H_R11, b);
	e_gs_store(e, H_RAX, a);
}

/* The bytes lie in two pages, where no window is of use, and the code without is there: go on in
 * it. RAX is in hot.rax. */
static void across_pages(struct emit *e)
{
	u8 *no[2];
	word_of_r10(e, 0xbf, H_R11, offsetof(struct tguard, lo));
	e_lea(e, H_R11, H_R11, H_R9, 0, 0, 8);
	e8(e, 0x41); /* and r11d, 4095 */
	e8(e, 0x81);
	e8(e, 0xe3);
	e32(e, RAM_PAGE - 1);
	word_of_r10(e, 0xb7, H_RAX, offsetof(struct tguard, len));
	e_lea(e, H_R11, H_R11, H_RAX, 0, 0, 8);
	e8(e, 0x49); /* cmp r11, 4096 */
	e8(e, 0x81);
	e8(e, 0xfb);
	e32(e, RAM_PAGE);
	no[0] = e_jcc_fwd(e, 6);
	e_load(e, 8, H_R11, H_R10, NOREG, 0, (s32)offsetof(struct tguard, plain));
	e8(e, 0x4d); /* test r11, r11 */
	e8(e, 0x85);
	e8(e, 0xdb);
	no[1] = e_jcc_fwd(e, 4);
	e_gs_load(e, H_RAX, G(hot.rax));
	add_rsp(e, 8);
	e_jmp_r11(e);
	e_here(e, no[0]);
	e_here(e, no[1]);
}

/* Jumps if the address in `reg` is in the last page of 4 GiB, or not in them. Clobbers RAX. */
static u8 *if_last_page(struct emit *e, unsigned reg)
{
	e_mov_imm(e, H_RAX, LAST_PAGE);
	e_rex(e, true, H_RAX, 0, reg); /* cmp reg, rax */
	e8(e, 0x39);
	e8(e, 0xc0 | (reg & 7));
	return e_jcc_fwd(e, 3);
}

/* They lie in one page that the table of writes knows. RAX is in hot.rax. */
static void known_stack(struct emit *e, bool narrow)
{
	u8 *no[2], *high = NULL;
	e_gs_store(e, H_RCX, G(hot.rcx));
	word_of_r10(e, 0xbf, H_R11, offsetof(struct tguard, lo));
	e_lea(e, H_R11, H_R11, H_R9, 0, 0, 8);
	if (narrow)
		high = if_last_page(e, H_R11);
	e8(e, 0x44); /* mov ecx, r11d */
	e8(e, 0x89);
	e8(e, 0xd9);
	e8(e, 0x81); /* and ecx, 4095 */
	e8(e, 0xe1);
	e32(e, RAM_PAGE - 1);
	word_of_r10(e, 0xb7, H_RAX, offsetof(struct tguard, len));
	e_lea(e, H_RAX, H_RAX, H_RCX, 0, 0, 8);
	e8(e, 0x3d); /* cmp eax, 4096 */
	e32(e, RAM_PAGE);
	no[0] = e_jcc_fwd(e, 7);
	e_pext_gs(e, H_RAX, H_R11, G(hot.mask));
	e_gs_load(e, H_RCX, G(hot.wt));
	e_load(e, 8, H_RCX, H_RCX, H_RAX, 3, 0);
	e_test_imm8(e, H_RCX, 1);
	no[1] = e_jcc_fwd(e, 4);
	e_gs_load(e, H_RAX, G(hot.stack_page));
	e_gs_store(e, H_RAX, G(hot.other_page));
	e_gs_load(e, H_RAX, G(hot.stack_add));
	e_gs_store(e, H_RAX, G(hot.other_add));
	e_lea(e, H_RCX, H_RCX, NOREG, 0, -1, 8);
	e_gs_store(e, H_RCX, G(hot.stack_add));
	e8(e, 0x49); /* and r11, -4096 */
	e8(e, 0x81);
	e8(e, 0xe3);
	e32(e, (u32)-RAM_PAGE);
	e_gs_store(e, H_R11, G(hot.stack_page));
	e_gs_load(e, H_RAX, G(hot.rax));
	e_gs_load(e, H_RCX, G(hot.rcx));
	e8(e, 0xc3);
	e_here(e, no[0]);
	e_here(e, no[1]);
	if (high)
		e_here(e, high);
	e_gs_load(e, H_RCX, G(hot.rcx));
}

/* r10 its guard, its bytes counted from r9: the window before this one may do. */
static void other_stack(struct emit *e, bool narrow)
{
	u8 *no[2];
	e_gs_store(e, H_RAX, G(hot.rax));
	word_of_r10(e, 0xbf, H_R11, offsetof(struct tguard, lo));
	e_lea(e, H_R11, H_R11, H_R9, 0, 0, 8);
	e_gs(e, true, 0x2b, H_R11, G(hot.other_page)); /* sub */
	word_of_r10(e, 0xb7, H_RAX, offsetof(struct tguard, len));
	e8(e, 0x49); /* cmp r11, 4095 */
	e8(e, 0x81);
	e8(e, 0xfb);
	e32(e, RAM_PAGE - 1);
	no[0] = e_jcc_fwd(e, 7);
	e_lea(e, H_RAX, H_RAX, H_R11, 0, 0, 8);
	e8(e, 0x48); /* cmp rax, 4096 */
	e8(e, 0x3d);
	e32(e, RAM_PAGE);
	no[1] = e_jcc_fwd(e, 7);
	swap_gs(e, G(hot.stack_page), G(hot.other_page));
	swap_gs(e, G(hot.stack_add), G(hot.other_add));
	e_gs_load(e, H_RAX, G(hot.rax));
	e8(e, 0xc3);
	e_here(e, no[0]);
	e_here(e, no[1]);
	across_pages(e);
	known_stack(e, narrow);
	e_gs_load(e, H_RAX, G(hot.rax));
}

/* r10 the guard; the flags are in hot.status or nowhere. Comes back with a window, or leaves. */
static void into_stack(struct emit *e)
{
	u8 *out;
	save_regs(e);
	simd_if_live(e, true, false);
	e_gs_load(e, H_RDI, G(hot.self));
	e_mov(e, H_RSI, H_R10);
	add_rsp(e, -8);
	call_c(e, (void *)trans_stack);
	add_rsp(e, 8);
	e8(e, 0x85); /* test eax, eax */
	e8(e, 0xc0);
	out = e_jcc_fwd(e, 4);
	simd_if_live(e, false, false);
	load_regs(e);
	e8(e, 0xc3);
	e_here(e, out);
	e_mov_imm(e, H_RAX, TX_PLAIN);
	leave(e);
}

/* r10: first byte of a family, r11: its guard; the flags are in hot.status or nowhere. Comes back
 * with its slot filled, or leaves. */
static void into_slot(struct emit *e, bool narrow, bool write)
{
	u8 *far, *slow[2], *out, *known, *high = NULL;
	e_gs_store(e, H_RAX, G(hot.rax));
	e_gs_store(e, H_RCX, G(hot.rcx));
	if (narrow)
		high = if_last_page(e, H_R10);
	e8(e, 0x44); /* mov eax, r10d */
	e8(e, 0x89);
	e8(e, 0xd0);
	e8(e, 0x25); /* and eax, 4095 */
	e32(e, RAM_PAGE - 1);
	word_of(e, 0xb7, H_RCX, H_R11, offsetof(struct tguard, len));
	e_lea(e, H_RAX, H_RAX, H_RCX, 0, 0, 8);
	e8(e, 0x3d); /* cmp eax, 4096 */
	e32(e, RAM_PAGE);
	far = e_jcc_fwd(e, 7);
	e_pext_gs(e, H_RAX, H_R10, G(hot.mask));
	e_gs_load(e, H_RCX, write ? G(hot.wt) : G(hot.rt));
	e_load(e, 8, H_RAX, H_RCX, H_RAX, 3, 0);
	e_test_imm8(e, H_RAX, 1);
	slow[0] = e_jcc_fwd(e, 4);
	e8(e, 0x66); /* sub word [r11 + left], 1 */
	e_rex(e, false, 0, 0, H_R11);
	e8(e, 0x83);
	e_mem(e, 5, H_R11, NOREG, 0, (s32)offsetof(struct tguard, left));
	e8(e, 1);
	slow[1] = e_jcc_fwd(e, 4);
	e_lea(e, H_RAX, H_RAX, NOREG, 0, -1, 8);
	e_rex(e, false, H_RCX, 0, H_R11); /* mov ecx, [r11 + slot] */
	e8(e, 0x8b);
	e_mem(e, H_RCX, H_R11, NOREG, 0, (s32)offsetof(struct tguard, slot));
	e8(e, 0x49); /* and r10, -4096 */
	e8(e, 0x81);
	e8(e, 0xe2);
	e32(e, (u32)-RAM_PAGE);
	gs_put(e, H_RAX, H_RCX, (s32)offsetof(struct page_slot, add));
	gs_put(e, H_R10, H_RCX, (s32)offsetof(struct page_slot, page));
	e_lea(e, H_RAX, H_RAX, H_R10, 0, 0, 8);
	e8(e, 0x65); /* cmp qword gs:[rcx + host], 0: was it empty? */
	e8(e, 0x48);
	e8(e, 0x83);
	e_mem(e, 7, H_RCX, NOREG, 0, (s32)offsetof(struct page_slot, host));
	e8(e, 0);
	gs_put(e, H_RAX, H_RCX, (s32)offsetof(struct page_slot, host));
	known = e_jcc_fwd(e, 5);
	e_gs(e, false, 0x8b, H_RAX, G(hot.slots_filled));
	e8(e, 0x65); /* mov gs:[filled + rax * 4], ecx */
	e8(e, 0x89);
	e_mem(e, H_RCX, NOREG, H_RAX, 2, (s32)G(hot.filled));
	e_lea(e, H_RAX, H_RAX, NOREG, 0, 1, 8);
	e_gs(e, false, 0x89, H_RAX, G(hot.slots_filled));
	e_here(e, known);
	e_gs_load(e, H_RAX, G(hot.rax));
	e_gs_load(e, H_RCX, G(hot.rcx));
	e8(e, 0xc3);
	e_here(e, far); /* no window is of use; the code without, if it is there */
	e_load(e, 8, H_RAX, H_R11, NOREG, 0, (s32)offsetof(struct tguard, plain));
	e8(e, 0x48); /* test rax, rax */
	e8(e, 0x85);
	e8(e, 0xc0);
	out = e_jcc_fwd(e, 4);
	e_mov(e, H_R11, H_RAX);
	e_gs_load(e, H_RAX, G(hot.rax));
	e_gs_load(e, H_RCX, G(hot.rcx));
	add_rsp(e, 8);
	e_jmp_r11(e);
	e_here(e, out);
	e_here(e, slow[0]);
	e_here(e, slow[1]);
	if (high)
		e_here(e, high);
	e_gs_load(e, H_RAX, G(hot.rax));
	e_gs_load(e, H_RCX, G(hot.rcx));
	save_regs(e);
	simd_if_live(e, true, false);
	e_gs_load(e, H_RDI, G(hot.self));
	e_mov(e, H_RSI, H_R11);
	e_mov(e, H_RDX, H_R10);
	add_rsp(e, -8);
	call_c(e, (void *)trans_slot);
	add_rsp(e, 8);
	e8(e, 0x85); /* test eax, eax */
	e8(e, 0xc0);
	out = e_jcc_fwd(e, 4);
	simd_if_live(e, false, false);
	load_regs(e);
	e8(e, 0xc3);
	e_here(e, out);
	e_mov_imm(e, H_RAX, TX_PLAIN);
	leave(e);
}

/* r10: first byte of a family, r11: its guard; the flags are in hot.status or nowhere. Comes back
 * with its page's entry in r11, or leaves. */
static void into_family(struct emit *e)
{
	u8 *no[2], *out;
	e_gs_store(e, H_RAX, G(hot.rax));
	e_gs_store(e, H_RCX, G(hot.rcx));
	e8(e, 0x44); /* mov eax, r10d */
	e8(e, 0x89);
	e8(e, 0xd0);
	e8(e, 0x25); /* and eax, 4095 */
	e32(e, RAM_PAGE - 1);
	word_of(e, 0xb7, H_RCX, H_R11, offsetof(struct tguard, len));
	e_lea(e, H_RAX, H_RAX, H_RCX, 0, 0, 8);
	e8(e, 0x3d); /* cmp eax, 4096 */
	e32(e, RAM_PAGE);
	no[0] = e_jcc_fwd(e, 6);
	/* in two pages: the code without, if it is there */
	e_load(e, 8, H_RAX, H_R11, NOREG, 0, (s32)offsetof(struct tguard, plain));
	e8(e, 0x48); /* test rax, rax */
	e8(e, 0x85);
	e8(e, 0xc0);
	no[1] = e_jcc_fwd(e, 4);
	e_mov(e, H_R11, H_RAX);
	e_gs_load(e, H_RAX, G(hot.rax));
	e_gs_load(e, H_RCX, G(hot.rcx));
	add_rsp(e, 8);
	e_jmp_r11(e);
	e_here(e, no[0]);
	e_here(e, no[1]);
	e_gs_load(e, H_RAX, G(hot.rax));
	e_gs_load(e, H_RCX, G(hot.rcx));
	save_regs(e);
	simd_if_live(e, true, false);
	e_gs_load(e, H_RDI, G(hot.self));
	e_mov(e, H_RSI, H_R11);
	e_mov(e, H_RDX, H_R10);
	add_rsp(e, -8);
	call_c(e, (void *)trans_family);
	add_rsp(e, 8);
	e8(e, 0x48); /* test rax, rax */
	e8(e, 0x85);
	e8(e, 0xc0);
	out = e_jcc_fwd(e, 4);
	e_mov(e, H_R11, H_RAX);
	simd_if_live(e, false, false);
	load_regs(e);
	e8(e, 0xc3);
	e_here(e, out);
	e_mov_imm(e, H_RAX, TX_PLAIN);
	leave(e);
}

/* The vector registers, x87 and MXCSR come to the host. Clobbers the flags. */
static void into_simd(struct emit *e)
{
	u8 *ready;
	e8(e, 0x65);
	e8(e, 0x80);
	e_mem(e, 7, NOREG, NOREG, 0, (s32)G(cpu.fpu_live));
	e8(e, 0);
	ready = e_jcc_fwd(e, 5);
	save_regs(e);
	e_gs_load(e, H_RDI, G(hot.self));
	add_rsp(e, -8);
	call_c(e, (void *)trans_fpu);
	add_rsp(e, 8);
	load_regs(e);
	e_here(e, ready);
	simd_move(e, false);
	e_gs_set(e, G(hot.simd), 1);
	e8(e, 0xc3);
}

static u8 *exit_to(struct emit *e, unsigned reason, bool saved)
{
	u8 *at = e->p;
	e_gs_store(e, H_R10, G(cpu.rip));
	exit_with(e, reason, saved);
	return at;
}

void stubs_build(struct tcache *x)
{
	u8 *in_host;
	struct emit e = {.p = x->rw, .end = x->rw + x->size};
	/* offset 0 of both entries: where an indirect branch lands that knows no code */
	x->unknown = e.p;
	in_host = e_jmp_fwd(&e);
	e_fill(&e, x->unknown + ENTRY_GAP);
	x->unknown_saved = e.p;
	exit_with(&e, TX_IBL, true);
	e_here(&e, in_host);
	exit_with(&e, TX_IBL, false);
	x->enter = e.p;
	enter(&e);
	x->exit_link = exit_to(&e, TX_LINK, false);
	x->exit_link_saved = exit_to(&e, TX_LINK, true);
	x->exit_to = exit_to(&e, TX_IBL, false);
	x->exit_to_saved = exit_to(&e, TX_IBL, true);
	x->ibl = e.p;
	e_poll(&e); /* whom it stops goes to the exit, see trans_fixup */
	e_indirect(&e, false);
	x->ibl_saved = x->ibl_end = e.p;
	e_poll(&e);
	e_indirect(&e, true);
	x->ibl_saved_end = x->interp = e.p;
	into_body(&e);
	x->interp_end = e.p;
	into_last_body(x, &e, (void *)trans_interp_end, false);
	x->interp_end_saved = e.p;
	into_last_body(x, &e, (void *)trans_interp_end, true);
	x->fault = e.p;
	into_last_body(x, &e, (void *)trans_fault, false);
	x->fault_saved = e.p;
	into_last_body(x, &e, (void *)trans_fault, true);
	x->simd = e.p;
	into_simd(&e);
	x->miss = e.p;
	into_miss(&e);
	x->stack_stub[0] = e.p;
	other_stack(&e, false);
	x->stack_leave = e.p;
	into_stack(&e);
	x->stack_stub[1] = e.p;
	other_stack(&e, true);
	e_jmp(&e, x->stack_leave);
	x->syscall = e.p;
	into_far(x, &e, (void *)trans_syscall);
	x->sysret = e.p;
	into_far(x, &e, (void *)trans_sysret);
	for (unsigned i = 0; i < 4; i++) {
		x->slot_stub[i >> 1][i & 1] = e.p;
		into_slot(&e, i >> 1, i & 1);
	}
	for (unsigned i = 0; i < 2; i++) { /* two, so that a proof sees which table it is of */
		x->family[i] = e.p;
		into_family(&e);
	}
	x->stubs = x->used = (u32)(e.p - x->rw + 63) & ~63u;
}
