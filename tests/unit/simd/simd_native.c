/* SPDX-License-Identifier: Apache-2.0 */
/* simd_native: see the header. One thread only. */
#include "simd_native.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct native_state native_cur;
u64 native_code, native_saved_rsp, native_code_rsp;
static u64 (*native_fixup)(u64 rip);

void native_enter(void);
void native_back(void);

/* Loads everything from native_cur, calls the code, stores everything back. */
__asm__(".text\n"
	"native_enter:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp, native_saved_rsp(%rip)\n"
	"	lea native_cur(%rip), %rax\n"
	"	fxrstor64 144+512(%rax)\n"
	"	.set i, 0\n"
	"	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"	vmovdqu 144+32*\\n(%rax), %ymm\\n\n"
	"	.endr\n"
	"	push 128(%rax); popfq\n"
	"	mov 8(%rax), %rcx; mov 16(%rax), %rdx; mov 24(%rax), %rbx; mov 40(%rax), %rbp\n"
	"	mov 48(%rax), %rsi; mov 56(%rax), %rdi; mov 64(%rax), %r8; mov 72(%rax), %r9\n"
	"	mov 80(%rax), %r10; mov 88(%rax), %r11; mov 96(%rax), %r12; mov 104(%rax), %r13\n"
	"	mov 112(%rax), %r14; mov 120(%rax), %r15; mov (%rax), %rax\n"
	"	call *native_code(%rip)\n"
	"native_back:\n"
	"	mov native_saved_rsp(%rip), %rsp\n"
	"	push %rax; lea native_cur(%rip), %rax; pop (%rax)\n"
	"	mov %rcx, 8(%rax); mov %rdx, 16(%rax); mov %rbx, 24(%rax); mov %rbp, 40(%rax)\n"
	"	mov %rsi, 48(%rax); mov %rdi, 56(%rax); mov %r8, 64(%rax); mov %r9, 72(%rax)\n"
	"	mov %r10, 80(%rax); mov %r11, 88(%rax); mov %r12, 96(%rax); mov %r13, 104(%rax)\n"
	"	mov %r14, 112(%rax); mov %r15, 120(%rax)\n"
	"	pushfq; pop 128(%rax)\n"
	"	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"	vmovdqu %ymm\\n, 144+32*\\n(%rax)\n"
	"	.endr\n"
	"	fxsave64 144+512(%rax)\n"
	"	fninit\n"
	"	pushq $0x1f80; ldmxcsr (%rsp); pop %rcx; cld\n"
	"	vzeroupper\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n");
_Static_assert(offsetof(struct native_state, ymm) == 144, "asm above");
_Static_assert(offsetof(struct native_state, fx) == 144 + 512, "asm above");

static void on_signal(int sig, siginfo_t *si, void *ctx)
{
	greg_t *rip = &((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP];
	u64 to = native_fixup((u64)*rip);

	(void)si;
	if (!to && (u64)*rip >> 12 == native_code >> 12) {
		native_cur.fault = (u64)sig;
		to = (u64)native_back;
	}
	if (!to) {
		signal(sig, SIG_DFL);
		return;
	}
	*rip = (greg_t)to;
}

void native_open(u64 (*fixup)(u64 rip))
{
	static u8 stack[65536];
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};

	native_fixup = fixup;
	if (!native_code)
		native_code = (u64)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigaltstack(&ss, NULL);
	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
}

void native_run(struct native_state *st, const u8 *insn, unsigned len)
{
	u8 *code = (u8 *)native_code;

	memcpy(code, insn, len);
	code[len] = 0xc3;
	native_cur = *st;
	native_cur.fault = 0;
	native_enter();
	*st = native_cur;
}
