/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native: executes cases on the host CPU at CPL 3.
 *
 * The child lives in one signal handler. Returning from a signal loads a whole CPU state, so the
 * handler writes the next case into the signal frame and returns into it; the code around the
 * instruction is all INT3, so the next signal brings the result. 16- and 32-bit code only differ in
 * the frame's CS.
 *
 * While a case runs, FS and GS are the case's: the handler puts its own back first.
 *
 * Owns: the child. Trusts nothing that a case does to memory outside the sandbox: a dead child is
 * reported, not survived.
 */
#include "native.h"

#include <asm/prctl.h>
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define HANG_SECONDS	    20
#define HWCAP2_FSGSBASE_BIT 2u
#define SEGV_STACK	    65536u

/* --- the child's state: one static, as a signal handler has no argument of its own --- */

static struct {
	struct diff_shared *sh;
	u8 *code; /* writable view of the code pages */
	u8 *pattern;
	u64 fs_base;
	u32 turn, next;
	bool running, has_fs;
} child;

static void futex_wait(u32 *p, u32 seen, const struct timespec *timeout)
{
	syscall(SYS_futex, p, FUTEX_WAIT, seen, timeout, NULL, 0);
}
static void futex_wake(u32 *p)
{
	syscall(SYS_futex, p, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* --- signal frame <-> registers --- */

static const u8 greg_of[16] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8,	 REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

#define XS_HEADER 512u
#define XS_YMM	  576u

static void frame_get(const ucontext_t *uc, struct diff_regs *r)
{
	const greg_t *g = uc->uc_mcontext.gregs;
	const u8 *x = (const u8 *)uc->uc_mcontext.fpregs;

	for (unsigned i = 0; i < 16; i++)
		r->gpr[i] = (u64)g[greg_of[i]];
	r->rip = (u64)g[REG_RIP];
	r->rflags = (u64)g[REG_EFL];
	r->fcw = ld16(x);
	r->fsw = ld16(x + 2);
	r->ftw = x[4];
	r->fop = ld16(x + 6);
	r->fip = ld64(x + 8);
	r->fdp = ld64(x + 16);
	r->mxcsr = ld32(x + 24);
	__builtin_memcpy(r->st, x + 32, 128);
	for (unsigned i = 0; i < 16; i++) {
		__builtin_memcpy(r->ymm[i], x + 160 + i * 16, 16);
		__builtin_memcpy(r->ymm[i] + 16, x + XS_YMM + i * 16, 16);
	}
}

static void frame_put(ucontext_t *uc, const struct diff_case *k)
{
	const struct diff_regs *r = &k->r;
	greg_t *g = uc->uc_mcontext.gregs;
	u8 *x = (u8 *)uc->uc_mcontext.fpregs;
	u64 cs = k->mode == DM_64 ? SEL_CS64 : SEL_CS32;

	for (unsigned i = 0; i < 16; i++)
		g[greg_of[i]] = (greg_t)r->gpr[i];
	g[REG_RIP] = (greg_t)r->rip;
	g[REG_EFL] = (greg_t)r->rflags;
	g[REG_CSGSFS] = (greg_t)(cs | (u64)SEL_DATA << 48);
	st16(x, r->fcw);
	st16(x + 2, r->fsw);
	x[4] = r->ftw;
	st16(x + 6, r->fop);
	st64(x + 8, r->fip);
	st64(x + 16, r->fdp);
	st32(x + 24, r->mxcsr);
	__builtin_memcpy(x + 32, r->st, 128);
	for (unsigned i = 0; i < 16; i++) {
		__builtin_memcpy(x + 160 + i * 16, r->ymm[i], 16);
		__builtin_memcpy(x + XS_YMM + i * 16, r->ymm[i] + 16, 16);
	}
	st64(x + XS_HEADER, 7);
	st64(x + XS_HEADER + 8, 0);
}

/* --- the loop --- */

static u8 *code_of(const struct diff_case *k)
{
	return child.code + (k->r.rip - BOX_CODE);
}

/* Bytes of the case's code that lie in the code pages. */
static unsigned code_bytes(const struct diff_case *k)
{
	u64 room = BOX_CODE + BOX_CODE_SIZE - k->r.rip;

	return (unsigned)min_u64(k->code_len, room);
}

static void result_take(const ucontext_t *uc)
{
	const struct diff_case *k = &child.sh->k[child.turn >> 1 & 1][child.next];
	struct diff_result *out = &child.sh->out[child.turn >> 1 & 1][child.next];
	const greg_t *g = uc->uc_mcontext.gregs;

	frame_get(uc, &out->r);
	out->trap = (u8)g[REG_TRAPNO];
	out->error = (u32)g[REG_ERR];
	out->cr2 = (u64)g[REG_CR2];
	if (out->trap == EXC_BP) {
		out->trap = TRAP_NONE;
		out->r.rip--;
	}
	box_collect((u8 *)(u64)BOX_DATA, child.pattern, out);
	__builtin_memset(code_of(k), 0xcc, code_bytes(k));
	child.next++;
	__atomic_store_n(&child.sh->done, child.next, __ATOMIC_RELAXED);
}

static void batch_wait(void)
{
	child.turn++;
	__atomic_store_n(&child.sh->turn, child.turn, __ATOMIC_SEQ_CST);
	futex_wake(&child.sh->turn);
	while (__atomic_load_n(&child.sh->turn, __ATOMIC_SEQ_CST) == child.turn)
		futex_wait(&child.sh->turn, child.turn, NULL);
	child.turn++;
	child.next = 0;
}

static const struct diff_case *case_put(ucontext_t *uc)
{
	const struct diff_case *k = &child.sh->k[child.turn >> 1 & 1][child.next];

	__builtin_memcpy(code_of(k), k->code, code_bytes(k));
	box_patch((u8 *)(u64)BOX_DATA, k);
	frame_put(uc, k);
	return k;
}

/* The kernel leaves AC as the case had it, and FS and GS: nothing here may rely on either. */
__attribute__((no_stack_protector, no_sanitize("address", "undefined", "thread"))) static void
on_signal(int sig unused_arg, siginfo_t *info unused_arg, void *frame)
{
	const struct diff_case *k;
	ucontext_t *uc = frame;
	u64 fs = 0, gs = 0;

	__asm__ volatile("pushfq; andl $~0x40000, (%%rsp); popfq" : : : "cc", "memory");
	if (child.has_fs) {
		__asm__ volatile("rdfsbase %0; rdgsbase %1; wrfsbase %2"
				 : "=&r"(fs), "=&r"(gs)
				 : "r"(child.fs_base));
	}
	if (child.running) {
		struct diff_result *out = &child.sh->out[child.turn >> 1 & 1][child.next];
		out->r.fs_base = fs;
		out->r.gs_base = gs;
		result_take(uc);
	}
	if (!child.running || child.next == child.sh->count)
		batch_wait();
	child.running = true;
	k = case_put(uc);
	if (child.has_fs)
		__asm__ volatile("wrfsbase %0; wrgsbase %1"
				 :
				 : "r"(k->r.fs_base), "r"(k->r.gs_base));
}

static int map_box(int code_fd)
{
	int flags = MAP_FIXED_NOREPLACE | MAP_POPULATE;
	u8 *data = mmap((void *)(u64)BOX_DATA, BOX_DATA_SIZE, PROT_READ | PROT_WRITE,
			flags | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *code = mmap((void *)(u64)BOX_CODE, BOX_CODE_SIZE, PROT_READ | PROT_EXEC,
			  flags | MAP_SHARED, code_fd, 0);

	if (data == MAP_FAILED || code == MAP_FAILED)
		return -1;
	box_pattern(data);
	return mprotect((void *)(u64)BOX_RO, 0x1000, PROT_READ);
}

static noreturn_fn void child_run(struct diff_shared *sh)
{
	static const int signals[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	int fd = memfd_create("code", 0);
	stack_t ss = {.ss_size = SEGV_STACK};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	child.sh = sh;
	child.pattern = malloc(BOX_DATA_SIZE);
	ss.ss_sp = malloc(SEGV_STACK);
	if (fd < 0 || ftruncate(fd, BOX_CODE_SIZE) || !child.pattern || !ss.ss_sp)
		_exit(3);
	child.code = mmap(NULL, BOX_CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (child.code == MAP_FAILED || map_box(fd))
		_exit(3);
	box_pattern(child.pattern);
	memset(child.code, 0xcc, BOX_CODE_SIZE);
	child.has_fs = sh->has_fs;
	if (child.has_fs)
		__asm__ volatile("rdfsbase %0" : "=r"(child.fs_base));
	/* 32-bit code cannot use null selectors */
	__asm__ volatile("movl %0, %%ds; movl %0, %%es" : : "r"(SEL_DATA));
	sigfillset(&sa.sa_mask);
	sigaltstack(&ss, NULL);
	for (unsigned i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &sa, NULL);
	__asm__ volatile("int3");
	_exit(4);
}

/* --- the parent's side --- */

int native_open(struct native *n)
{
	n->sh = mmap(NULL, sizeof(*n->sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (n->sh == MAP_FAILED) {
		perror("diff: mmap");
		return -1;
	}
	n->sh->has_fs = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT;
	fflush(NULL);
	n->pid = fork();
	if (n->pid < 0) {
		perror("diff: fork");
		return -1;
	}
	if (!n->pid)
		child_run(n->sh);
	n->turn = 0;
	return native_wait(n);
}

void native_start(struct native *n, u32 count)
{
	n->sh->count = count;
	n->sh->done = 0;
	n->turn++;
	__atomic_store_n(&n->sh->turn, n->turn, __ATOMIC_SEQ_CST);
	futex_wake(&n->sh->turn);
}

int native_wait(struct native *n)
{
	struct timespec t = {.tv_sec = 1};
	u32 done = 0, idle = 0;

	while (__atomic_load_n(&n->sh->turn, __ATOMIC_SEQ_CST) == n->turn) {
		int status;
		futex_wait(&n->sh->turn, n->turn, &t);
		if (waitpid(n->pid, &status, WNOHANG) == n->pid) {
			n->pid = 0;
			printf("diff: the child died, status 0x%x\n", (unsigned)status);
			return -1;
		}
		idle = done == n->sh->done ? idle + 1 : 0;
		done = n->sh->done;
		if (idle > HANG_SECONDS) {
			printf("diff: the child hangs\n");
			return -1;
		}
	}
	n->turn++;
	return 0;
}

bool native_strayed(const struct native *n, u64 va)
{
	char name[32], line[512];
	unsigned long long from, to;
	bool mapped = false;
	FILE *f;

	if (va - BOX_BASE < BOX_SIZE)
		return false;
	snprintf(name, sizeof(name), "/proc/%d/maps", n->pid);
	f = fopen(name, "r");
	if (!f)
		return false;
	while (!mapped && fgets(line, sizeof(line), f))
		mapped = sscanf(line, "%llx-%llx", &from, &to) == 2 && va >= from && va < to;
	fclose(f);
	return mapped;
}

void native_close(struct native *n)
{
	if (n->pid > 0) {
		kill(n->pid, SIGKILL);
		waitpid(n->pid, NULL, 0);
	}
	munmap(n->sh, sizeof(*n->sh));
}
