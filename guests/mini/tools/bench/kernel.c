/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench: what the guest's kernel does for a program: system calls, files, memory, signals,
 * processes, switches. A call that fails ends the process, and the row with it.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PAGE 4096u

static void must(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	_exit(1);
}

/* --- system calls ----------------------------------------------------------------------------- */

static uint64_t getppids(uint64_t n)
{
	uint64_t sum = 0;

	while (n--)
		sum += syscall(SYS_getppid) >= 0;
	return sum;
}

static int fd;

static void open_zero(void)
{
	fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	must(fd >= 0, "/dev/zero");
}

static void close_fd(void)
{
	close(fd);
}

static uint64_t read_bytes(uint64_t n)
{
	uint64_t sum = 0;
	uint8_t byte;

	while (n--)
		sum += (uint64_t)read(fd, &byte, 1);
	return sum;
}

/* --- files in a tmpfs ------------------------------------------------------------------------- */

#define FILE_SIZE 1024u

static char file[64];

static void make_file(void)
{
	static const char *const folders[] = {"/run", "/dev/shm", "/tmp"};
	static const char block[FILE_SIZE];
	struct statfs fs;

	for (unsigned i = 0; i < COUNT(folders); i++)
		if (!statfs(folders[i], &fs) && fs.f_type == TMPFS_MAGIC &&
		    !access(folders[i], W_OK))
			snprintf(file, sizeof(file), "%s/bench-%d", folders[i], (int)getpid());
	must(file[0], "no tmpfs");
	fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	must(fd >= 0 && write(fd, block, FILE_SIZE) == FILE_SIZE, file);
}

static void remove_file(void)
{
	close(fd);
	unlink(file);
}

static uint64_t opens(uint64_t n)
{
	uint64_t sum = 0;

	while (n--) {
		int other = open(file, O_RDONLY | O_CLOEXEC);

		sum += other >= 0;
		close(other);
	}
	return sum;
}

static uint64_t stats(uint64_t n)
{
	uint64_t sum = 0;
	struct stat st;

	while (n--)
		sum += !stat(file, &st) && st.st_size == FILE_SIZE;
	return sum;
}

static uint64_t file_reads(uint64_t n)
{
	char block[FILE_SIZE];
	uint64_t sum = 0;

	while (n--)
		sum += (uint64_t)pread(fd, block, FILE_SIZE, 0);
	return sum;
}

static uint64_t file_writes(uint64_t n)
{
	static const char block[FILE_SIZE];
	uint64_t sum = 0;

	while (n--)
		sum += (uint64_t)pwrite(fd, block, FILE_SIZE, 0);
	return sum;
}

/* --- memory ----------------------------------------------------------------------------------- */

#define FAULTS 16u

static uint8_t *map(void)
{
	uint8_t *p = mmap(NULL, FAULTS * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	must(p != MAP_FAILED, "mmap");
	return p;
}

static uint64_t faults(uint64_t n)
{
	uint64_t sum = 0;

	while (n--) {
		uint8_t *p = map();

		for (unsigned i = 0; i < FAULTS; i++)
			sum += ++p[i * PAGE];
		munmap(p, FAULTS * PAGE);
	}
	return sum;
}

static uint8_t *area;

static void map_area(void)
{
	area = map();
	memset(area, 1, FAULTS * PAGE);
}

static void unmap_area(void)
{
	munmap(area, FAULTS * PAGE);
}

static uint64_t mprotects(uint64_t n)
{
	uint64_t sum = 0;

	while (n--) {
		sum += !mprotect(area, PAGE, PROT_READ);
		sum += area[0];
		sum += !mprotect(area, PAGE, PROT_READ | PROT_WRITE);
		area[0] = 1;
	}
	return sum;
}

/* --- signals and processes -------------------------------------------------------------------- */

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught += number == SIGUSR1;
}

static void catch_signals(void)
{
	struct sigaction act = {.sa_handler = on_signal};

	caught = 0;
	must(!sigaction(SIGUSR1, &act, NULL), "sigaction");
}

static uint64_t signals(uint64_t n)
{
	pid_t self = getpid();

	while (n--)
		kill(self, SIGUSR1);
	return (uint64_t)caught;
}

static uint64_t wait_for(pid_t pid)
{
	int status = 1;

	must(pid > 0 && waitpid(pid, &status, 0) == pid, "fork");
	return status == 0;
}

static uint64_t forks(uint64_t n)
{
	uint64_t sum = 0;

	while (n--) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		sum += wait_for(pid);
	}
	return sum;
}

static uint64_t execs(uint64_t n)
{
	uint64_t sum = 0;

	while (n--) {
		pid_t pid = fork();

		if (!pid) {
			execl("/proc/self/exe", "bench", "exit", NULL);
			_exit(1);
		}
		sum += wait_for(pid);
	}
	return sum;
}

/* --- two of them in turns --------------------------------------------------------------------- */

static int there[2], back[2];
static pid_t partner;

/* Sends each byte back until there are no more. */
static void echo(void)
{
	uint8_t byte;

	close(there[1]);
	close(back[0]);
	while (read(there[0], &byte, 1) == 1)
		must(write(back[1], &byte, 1) == 1, "write");
	_exit(0);
}

static void start_echo(void)
{
	must(!pipe(there) && !pipe(back), "pipe");
	partner = fork();
	if (!partner)
		echo();
	close(there[0]);
	close(back[1]);
}

static void stop_echo(void)
{
	close(there[1]);
	wait_for(partner);
	close(back[0]);
}

static uint64_t pipes(uint64_t n)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < n; i++) {
		uint8_t byte = (uint8_t)i;

		must(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1, "pipe");
		sum += byte;
	}
	return sum;
}

enum { MINE, THEIRS, OVER };

static uint32_t turn;
static pthread_t thread;

/* Waits until it is `who`'s turn; false when there are no more. */
static bool await(uint32_t who)
{
	uint32_t seen;

	while ((seen = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) != who) {
		if (seen == OVER)
			return false;
		syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
	}
	return true;
}

static void pass(uint32_t to)
{
	__atomic_store_n(&turn, to, __ATOMIC_RELEASE);
	syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *return_turns(void *unused)
{
	while (await(THEIRS))
		pass(MINE);
	return unused;
}

static void start_thread(void)
{
	turn = MINE;
	must(!pthread_create(&thread, NULL, return_turns, NULL), "pthread_create");
}

static void stop_thread(void)
{
	pass(OVER);
	pthread_join(thread, NULL);
}

static uint64_t futexes(uint64_t n)
{
	uint64_t sum = 0;

	while (n--) {
		pass(THEIRS);
		sum += await(MINE);
	}
	return sum;
}

const struct row kernel_rows[] = {
	{"getppid", getppids, 100, 1},
	{"read1", read_bytes, 100, 1, open_zero, close_fd},
	{"open", opens, 20, 1, make_file, remove_file},
	{"stat", stats, 20, 1, make_file, remove_file},
	{"file_read", file_reads, 50, 1, make_file, remove_file},
	{"file_write", file_writes, 50, 1, make_file, remove_file},
	{"fault", faults, 4, FAULTS},
	{"mprotect", mprotects, 10, 2, map_area, unmap_area},
	{"signal", signals, 20, 1, catch_signals},
	{"fork", forks, 2, 1},
	{"exec", execs, 1, 1},
	{"pipe", pipes, 20, 2, start_echo, stop_echo},
	{"futex", futexes, 20, 2, start_thread, stop_thread},
	{NULL},
};
