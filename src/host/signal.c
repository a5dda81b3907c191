/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signal: signalfd for what people send, handlers for what goes wrong.
 *
 * Entered by: vm at start (open, catch), the main loop (next), the kernel (handlers, any thread).
 * Owns no memory; handlers use only async-signal-safe calls that are on the jail's list.
 */
#include "host/signal.h"

#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "host/fail.h"
#include "host/tty.h"

#define SIGNAL_EXIT 3 /* "the host failed" of exit.def; nothing above this floor is known here */

/* Sanitizers want to print their own report on a crash. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(HOLM_SANITIZED)
#define SIGNAL_SANITIZED 1
#else
#define SIGNAL_SANITIZED 0
#endif

/* --- what people send ------------------------------------------------------------------------- */

int signal_open(int *fd)
{
	static const int watched[] = {SIGTERM, SIGWINCH, SIGCONT, SIGTSTP};
	static const int polite[] = {SIGHUP, SIGINT, SIGQUIT};
	static const int ignored[] = {SIGPIPE, SIGTTIN, SIGTTOU, SIGXFSZ};
	struct sigaction before;
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(watched); i++)
		sigaddset(&set, watched[i]);
	/* a blocked signal would reach the descriptor even where it is ignored */
	for (size_t i = 0; i < ARRAY_LEN(polite); i++)
		if (sigaction(polite[i], NULL, &before) || before.sa_handler != SIG_IGN)
			sigaddset(&set, polite[i]);
	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		signal(ignored[i], SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return FAIL(-errno, "blocking signals: %s", strerror(errno));
	*fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (*fd < 0)
		return FAIL(-errno, "signalfd: %s", strerror(errno));
	return 0;
}

void signal_close(int fd)
{
	close(fd);
}

int signal_next(int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	return (int)info.ssi_signo;
}

void signal_suspend(void)
{
	sigset_t stop;

	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	raise(SIGTSTP);
	pthread_sigmask(SIG_UNBLOCK, &stop, NULL); /* stops here */
	pthread_sigmask(SIG_BLOCK, &stop, NULL);
}

/* --- what goes wrong -------------------------------------------------------------------------- */

static char *put_text(char *at, const char *text)
{
	size_t len = strlen(text);

	memcpy(at, text, len);
	return at + len;
}

static char *put_number(char *at, u64 value, unsigned base)
{
	char digits[24];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (n)
		*at++ = digits[--n];
	return at;
}

static const char *signal_word(int number)
{
	switch (number) {
	case SIGSEGV: return "invalid memory access";
	case SIGBUS: return "memory could not be provided (a truncated file, or a full tmpfs)";
	case SIGILL: return "illegal instruction";
	case SIGFPE: return "arithmetic fault";
	default: return "fault";
	}
}

static void signal_end(char *line, char *at)
{
	*at++ = '\n';
	tty_restore();
	if (write(STDERR_FILENO, line, (size_t)(at - line)) < 0)
		_exit(SIGNAL_EXIT);
	_exit(SIGNAL_EXIT);
}

/* Not our doing: somebody sent it, or a limit on the process's CPU time. */
static void signal_sent(int number, const siginfo_t *info)
{
	char line[256], *at = line;

	at = put_text(at, "holm: the machine was ended by signal ");
	at = put_number(at, (u64)number, 10);
	if (number == SIGXCPU)
		at = put_text(at, ": the limit on CPU time is used up (see ulimit -t)");
	else if (info->si_code == SI_USER || info->si_code == SI_QUEUE) {
		at = put_text(at, " from process ");
		at = put_number(at, (u64)info->si_pid, 10);
	}
	signal_end(line, at);
}

static void signal_other(int number, siginfo_t *info, void *context unused_arg)
{
	signal_sent(number, info);
}

static void signal_crash(int number, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	char line[256], *at = line;

	if (info->si_code == SI_USER)
		signal_sent(number, info);
	if (number == SIGABRT) { /* whoever called abort has said why */
		tty_restore();
		_exit(SIGNAL_EXIT);
	}
	at = put_text(at, "holm: a bug in holm: ");
	at = put_text(at, signal_word(number));
	at = put_text(at, " at address 0x");
	at = put_number(at, (u64)(uintptr_t)info->si_addr, 16);
	at = put_text(at, ", rip 0x");
	at = put_number(at, (u64)uc->uc_mcontext.gregs[16], 16); /* REG_RIP */
	signal_end(line, at);
}

/* SECCOMP_RET_TRAP: si_syscall is the number that was refused. */
static void signal_jail(int number, siginfo_t *info, void *context unused_arg)
{
	char line[256], *at = line;

	if (info->si_code == SI_USER)
		signal_sent(number, info);
	at = put_text(at, "holm: jail: system call ");
	at = put_number(at, (u64)(u32)info->si_syscall, 10);
	at = put_text(at, " is not on the VM process's list; the machine was ended");
	signal_end(line, at);
}

void signal_mask_async(sigset_t *set)
{
	static const int own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};

	sigfillset(set);
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		sigdelset(set, own[i]);
}

void signal_catch_crashes(void)
{
	static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
	static const int others[] = {SIGTRAP, SIGUSR1, SIGUSR2, SIGALRM,   SIGVTALRM,
				     SIGPROF, SIGIO,   SIGPWR,	SIGSTKFLT, SIGXCPU};
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigfillset(&action.sa_mask);
	action.sa_sigaction = signal_crash;
	for (size_t i = 0; i < ARRAY_LEN(crashes); i++)
		if (!SIGNAL_SANITIZED || crashes[i] == SIGABRT)
			sigaction(crashes[i], &action, NULL);
	action.sa_sigaction = signal_other;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		sigaction(others[i], &action, NULL);
	for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
		sigaction(number, &action, NULL);
	action.sa_sigaction = signal_jail;
	sigaction(SIGSYS, &action, NULL);
}
