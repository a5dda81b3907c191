/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail: each case runs in a child that builds it and then does one thing. What is forbidden
 * must end the child with code 3 and one line, or be refused; what a VM needs must work.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/fail.h"
#include "host/sandbox.h"
#include "host/signal.h"

#define OK	 0
#define DIED	 3  /* the SIGSYS handler's exit code */
#define REFUSED	 40 /* the call returned an error */
#define HAPPENED 41 /* the call went through: the jail leaks */

static int said[2]; /* the child's stderr */

/* --- what the children do --------------------------------------------------------------------- */

static int verdict(long result)
{
	return result < 0 ? REFUSED : HAPPENED;
}

static int do_open(void)
{
	return verdict(open("/etc/passwd", O_RDONLY));
}

static int do_openat2(void)
{
	u64 how[3] = {O_RDONLY, 0, 0};

	return verdict(syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", how, sizeof(how)));
}

static int do_execve(void)
{
	char *const none[] = {NULL};

	return verdict(execve("/bin/true", none, none));
}

static int do_fork(void)
{
	return verdict(fork());
}

static int do_socket(void)
{
	return verdict(socket(AF_INET, SOCK_STREAM, 0));
}

static int do_ptrace(void)
{
	return verdict(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int do_exec_memory(void)
{
	void *map = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return map == MAP_FAILED ? REFUSED : HAPPENED;
}

static int do_mprotect_exec(void)
{
	void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return verdict(mprotect(map, 4096, PROT_READ | PROT_EXEC));
}

static int do_kill(void)
{
	return verdict(kill(getppid(), 0));
}

static int do_tgkill_other(void)
{
	return verdict(syscall(SYS_tgkill, 1, 1, 0));
}

static int do_tiocsti(void)
{
	return verdict(syscall(SYS_ioctl, 0, 0x5412, "x"));
}

static int do_unlink(void)
{
	return verdict(unlink("/tmp/holm-no-such-file"));
}

static int do_bpf(void)
{
	return verdict(syscall(SYS_bpf, 0, NULL, 0));
}

static int do_uring_setup(void)
{
	return verdict(syscall(SYS_io_uring_setup, 1, NULL));
}

static void *thread_exec(void *arg)
{
	char *const none[] = {NULL};
	bool *sealed = arg;

	while (!__atomic_load_n(sealed, __ATOMIC_ACQUIRE))
		sched_yield();
	execve("/bin/true", none, none);
	_exit(HAPPENED);
}

/* The list holds for threads made before it, too: see thread_exec. */
static int do_wait(void)
{
	const struct timespec second = {.tv_sec = 5};

	nanosleep(&second, NULL);
	return HAPPENED;
}

static int do_work(void)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	char *heap = malloc(1 << 20), random[16];
	struct timespec now;
	u64 one = 1;

	if (!heap || syscall(SYS_getrandom, random, sizeof(random), 0) != sizeof(random))
		return 50;
	memset(heap, 1, 1 << 20);
	free(heap);
	if (clock_gettime(CLOCK_MONOTONIC, &now) || write(STDERR_FILENO, "", 0) < 0)
		return 51;
	pthread_mutex_lock(&lock);
	pthread_mutex_unlock(&lock);
	if (raise(0) || write(said[1], &one, 0) < 0)
		return 52;
	return OK;
}

static int do_caps(void)
{
	unsigned head[2] = {0x20080522, 0}, data[6];

	/* capget is not on the list: look before sealing */
	if (syscall(SYS_capget, head, data))
		return 50;
	return data[0] | data[1] | data[2] | data[3] | data[4] | data[5] ? HAPPENED : OK;
}

/* --- running them ----------------------------------------------------------------------------- */

enum how { WHOLE, DROP_ONLY, THREAD };

static void child(int (*act)(void), enum how how)
{
	struct sandbox_report report;
	bool sealed = false;
	pthread_t thread;
	int fd;

	alarm(10);
	dup2(said[1], STDERR_FILENO);
	signal_catch_crashes();
	if (signal_open(&fd) || sandbox_drop(&report))
		_exit(60);
	if (how == THREAD && pthread_create(&thread, NULL, thread_exec, &sealed))
		_exit(61);
	if (how != DROP_ONLY && sandbox_seal(&report)) {
		dprintf(STDERR_FILENO, "%s\n", fail_text());
		_exit(62);
	}
	__atomic_store_n(&sealed, true, __ATOMIC_RELEASE);
	_exit(act());
}

/* Exit code of the child; text: what it said. */
static int run(int (*act)(void), enum how how, char *text, size_t len)
{
	int status;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(said), 0);
	pid = fork();
	if (!pid)
		child(act, how);
	close(said[1]);
	got = read(said[0], text, len - 1);
	text[got > 0 ? got : 0] = '\0';
	close(said[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	return WEXITSTATUS(status);
}

static void test_forbidden(void **state)
{
	static const struct {
		const char *name;
		int (*act)(void);
		int number;
	} row[] = {
		{"openat2", do_openat2, SYS_openat2},
		{"execve", do_execve, SYS_execve},
		{"fork", do_fork, SYS_clone},
		{"socket", do_socket, SYS_socket},
		{"ptrace", do_ptrace, SYS_ptrace},
		{"mmap exec", do_exec_memory, SYS_mmap},
		{"mprotect exec", do_mprotect_exec, SYS_mprotect},
		{"kill", do_kill, 0},
		{"tgkill", do_tgkill_other, SYS_tgkill},
		{"TIOCSTI", do_tiocsti, SYS_ioctl},
		{"unlink", do_unlink, SYS_unlink},
		{"bpf", do_bpf, SYS_bpf},
		{"io_uring_setup", do_uring_setup, SYS_io_uring_setup},
	};
	char text[512], wants[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		int code = run(row[i].act, WHOLE, text, sizeof(text));

		if (code != DIED)
			fail_msg("%s: code %d, said '%s'", row[i].name, code, text);
		snprintf(wants, sizeof(wants), "jail: system call %d", row[i].number);
		if (row[i].number && !strstr(text, wants))
			fail_msg("%s: '%s' does not say '%s'", row[i].name, text, wants);
	}
}

static void test_refused(void **state)
{
	char text[512];

	(void)state;
	assert_int_equal(run(do_open, WHOLE, text, sizeof(text)), REFUSED);
}

static void test_old_thread(void **state)
{
	char text[512];
	int code = run(do_wait, THREAD, text, sizeof(text));

	(void)state;
	if (code != DIED)
		fail_msg("code %d, said '%s'", code, text);
}

static void test_allowed(void **state)
{
	char text[512];
	int code = run(do_work, WHOLE, text, sizeof(text));

	(void)state;
	if (code != OK)
		fail_msg("code %d, said '%s'", code, text);
}

static void test_no_caps(void **state)
{
	char text[512];

	(void)state;
	assert_int_equal(run(do_caps, DROP_ONLY, text, sizeof(text)), OK);
}

/* Landlock alone, without the list, already keeps every path away. */
static void test_landlock(void **state)
{
	struct sandbox_report report;
	char text[512];

	(void)state;
	sandbox_probe(&report);
	assert_string_equal(report.refusal, "");
	assert_true(access("/etc/passwd", R_OK) == 0); /* the probe jails nobody but its child */
	if (!report.landlock)
		skip();
	assert_int_equal(run(do_open, DROP_ONLY, text, sizeof(text)), REFUSED);
}

static void count_row(void *arg, const char *call, bool allowed, const char *reason)
{
	(void)allowed;
	assert_true(call[0] && reason[0]);
	++*(unsigned *)arg;
}

static void test_reasons(void **state)
{
	unsigned rows = 0;

	(void)state;
	sandbox_each(count_row, &rows);
	assert_in_range(rows, 40, 120);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forbidden),  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_old_thread), cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_no_caps),	   cmocka_unit_test(test_landlock),
		cmocka_unit_test(test_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
