/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test raw: the refusals a user meets, both I/O engines, and the locks against ourselves and
 * against QEMU's tools where they are installed.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disk/disk.h"
#include "disk/file.h"
#include "host/fail.h"
#include "host/log.h"
#include "host/thread.h"
#include "lib/bits.h"

#define SIZE 0x100000u

static char *image(char *path, size_t size, const char *head)
{
	int fd;

	strcpy(path, "/tmp/holm-test-raw-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	if (head)
		assert_int_equal(pwrite(fd, head, strlen(head), 0), strlen(head));
	close(fd);
	return path;
}

static void refused(const char *path, bool read_only, int code, const char *word)
{
	struct disk_config config = {.path = path, .read_only = read_only};
	struct disk *disk;

	assert_int_equal(disk_open(&config, &disk), code);
	if (!strstr(fail_text(), word))
		fail_msg("\"%s\" does not say \"%s\"", fail_text(), word);
}

static void test_refusals(unused_arg void **state)
{
	char path[64];

	refused("/tmp/holm-no-such-image", false, -ENOENT, "truncate");
	refused("/tmp", false, -EISDIR, "directory");
	refused("/tmp", true, -EISDIR, "directory");
	refused("/dev/null", true, -EINVAL, "neither");
	refused(image(path, 0, NULL), false, -EINVAL, "empty");
	unlink(path);
	refused(image(path, 1000, NULL), false, -EINVAL, "512");
	unlink(path);
	refused(image(path, 65536, "QFI\xfb"), false, -ENOTSUP, "qcow2");
	refused(image(path, 196616, "QFI\xfb"), false, -ENOTSUP,
		"qcow2"); /* as qemu-img makes it */
	unlink(path);
	refused(image(path, 65536, "vhdxfile"), true, -ENOTSUP, "vhdx");
	unlink(path);
	if (geteuid()) {
		image(path, SIZE, NULL);
		chmod(path, 0444);
		refused(path, false, -EACCES, ",ro");
		unlink(path);
	}
}

/* ---- locks ------------------------------------------------------------------------------- */

static struct disk *open_ok(const char *path, bool read_only)
{
	struct disk_config config = {.path = path, .read_only = read_only};
	struct disk *disk = NULL;

	assert_int_equal(disk_open(&config, &disk), 0);
	return disk;
}

static void test_locks(unused_arg void **state)
{
	struct disk *one, *two;
	char path[64];

	image(path, SIZE, NULL);
	one = open_ok(path, false);
	refused(path, false, -EBUSY, "in use");
	refused(path, true, -EBUSY, "in use");
	disk_close(one);
	one = open_ok(path, true);
	two = open_ok(path, true);
	refused(path, false, -EBUSY, "in use");
	disk_close(one);
	disk_close(two);
	disk_close(open_ok(path, false));
	unlink(path);
}

static int shell(const char *format, const char *path)
{
	char command[256];
	int rc;

	snprintf(command, sizeof(command), format, path);
	rc = system(command);
	return WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
}

static void test_locks_qemu(unused_arg void **state)
{
	char path[64], command[256];
	struct disk *disk;
	FILE *io;

	if (shell("command -v qemu-io >/dev/null 2>&1%s", ""))
		skip();
	image(path, SIZE, NULL);
	/* Ours keeps theirs out. */
	disk = open_ok(path, false);
	assert_int_not_equal(shell("qemu-io -f raw -c 'write 0 512' %s >/dev/null 2>&1", path), 0);
	disk_close(disk);
	disk = open_ok(path, true);
	assert_int_equal(shell("qemu-io -r -f raw -c 'read 0 512' %s >/dev/null 2>&1", path), 0);
	assert_int_not_equal(shell("qemu-io -f raw -c 'write 0 512' %s >/dev/null 2>&1", path), 0);
	disk_close(disk);
	/* Theirs keeps ours out: qemu-io waits for commands with the image open. */
	shell("qemu-io -f raw -c 'write 0 512' %s >/dev/null 2>&1", path);
	snprintf(command, sizeof(command), "exec qemu-io -f raw %s >/dev/null 2>&1", path);
	io = popen(command, "w");
	assert_non_null(io);
	for (unsigned i = 0; i < 100; i++) {
		struct disk_config config = {.path = path};

		if (disk_open(&config, &disk)) {
			assert_non_null(strstr(fail_text(), "qemu-io"));
			break;
		}
		disk_close(disk);
		assert_true(i < 99);
		usleep(50000);
	}
	fputs("quit\n", io);
	pclose(io);
	disk_close(open_ok(path, false));
	unlink(path);
}

/* ---- requests ---------------------------------------------------------------------------- */

struct work {
	struct disk *disk;
	struct disk_req req[64];
	struct iovec iov[64][3];
	u8 *data;
	enum disk_op op; /* run_op */
	int result;
};

static void on_done(struct disk_req *req, int result)
{
	req->flags = result ? 0xffu : 0xaau;
}

/* On the loop's thread: all 64 at once, then wait. */
static void run(struct work *work, enum disk_op op)
{
	for (unsigned i = 0; i < 64; i++) {
		u8 *at = work->data + i * 16384;

		work->iov[i][0] = (struct iovec){at, 512};
		work->iov[i][1] = (struct iovec){at + 512, 4096};
		work->iov[i][2] = (struct iovec){at + 4608, 16384 - 4608};
		work->req[i] = (struct disk_req){.op = op,
						 .offset = i * 16384,
						 .length = 16384,
						 .iov = work->iov[i],
						 .iovs = 3,
						 .done = on_done};
		disk_submit(work->disk, &work->req[i]);
	}
	disk_kick(work->disk);
	disk_drain(work->disk);
	for (unsigned i = 0; i < 64; i++)
		if (work->req[i].flags != 0xaau)
			work->result = -EIO;
}

static void run_write(void *arg)
{
	run(arg, DISK_WRITE);
	run(arg, DISK_FLUSH);
}

static void run_read(void *arg)
{
	run(arg, DISK_READ);
}

static void run_zero(void *arg)
{
	run(arg, DISK_WRITE_ZEROES);
	run(arg, DISK_DISCARD);
}

static void run_op(void *arg)
{
	struct work *work = arg;

	run(work, work->op);
}

static void run_detach(void *arg)
{
	disk_detach(((struct work *)arg)->disk);
}

static void test_requests(unused_arg void **state)
{
	static const char *const kinds[] = {"io_uring", "threads", ""};

	for (unsigned k = 0; k < 3; k++) {
		struct disk_config config = {.aio = kinds[k]};
		struct work *work = calloc(1, sizeof(*work));
		struct loop_thread thread;
		char path[64];

		config.path = image(path, SIZE, NULL);
		work->data = malloc(SIZE);
		assert_int_equal(disk_open(&config, &work->disk), 0);
		assert_int_equal(work->disk->size, SIZE);
		assert_int_equal(loop_thread_open(&thread, "test"), 0);
		if (disk_attach(work->disk, thread.loop)) {
			assert_int_equal(k, 0); /* only io_uring may be refused */
			print_message("io_uring is refused here: %s\n", fail_text());
		} else {
			for (unsigned i = 0; i < SIZE; i++)
				work->data[i] = (u8)(i * 11 + i / 4096);
			loop_sync(thread.loop, run_write, work);
			memset(work->data, 0, SIZE);
			loop_sync(thread.loop, run_read, work);
			for (unsigned i = 0; i < SIZE; i++)
				assert_int_equal(work->data[i], (u8)(i * 11 + i / 4096));
			loop_sync(thread.loop, run_zero, work);
			loop_sync(thread.loop, run_read, work);
			for (unsigned i = 0; i < SIZE; i++)
				assert_int_equal(work->data[i], 0);
			assert_int_equal(work->result, 0);
			loop_sync(thread.loop, run_detach, work);
		}
		loop_thread_close(&thread);
		disk_close(work->disk);
		free(work->data);
		free(work);
		unlink(path);
	}
}

/* The file shrinks under us: an error, not a hang. */
static void test_truncated(unused_arg void **state)
{
	struct disk_config config = {0};
	struct work *work = calloc(1, sizeof(*work));
	struct loop_thread thread;
	char path[64];

	config.path = image(path, SIZE, NULL);
	work->data = malloc(SIZE);
	assert_int_equal(disk_open(&config, &work->disk), 0);
	assert_int_equal(loop_thread_open(&thread, "test"), 0);
	assert_int_equal(disk_attach(work->disk, thread.loop), 0);
	assert_int_equal(truncate(path, SIZE / 2 + 100), 0);
	loop_sync(thread.loop, run_read, work);
	assert_int_equal(work->result, -EIO);
	loop_sync(thread.loop, run_detach, work);
	loop_thread_close(&thread);
	disk_close(work->disk);
	free(work->data);
	free(work);
	unlink(path);
}

/* The host refuses to write (a sealed file): every request of it comes back as an error, reads go
 * on. */
static void test_refused_writes(unused_arg void **state)
{
	static const char *const kinds[] = {"io_uring", "threads"};
	static const enum disk_op ops[] = {DISK_WRITE, DISK_WRITE_ZEROES, DISK_DISCARD};

	for (unsigned k = 0; k < 2; k++) {
		struct work *work = calloc(1, sizeof(*work));
		struct disk_config config = {.aio = kinds[k]};
		struct loop_thread thread;
		char path[64];
		int fd = memfd_create("sealed", MFD_ALLOW_SEALING);

		assert_true(fd >= 0);
		assert_int_equal(ftruncate(fd, SIZE), 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		config.path = path;
		work->data = calloc(1, SIZE);
		assert_int_equal(disk_open(&config, &work->disk), 0);
		assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
		assert_int_equal(loop_thread_open(&thread, "test"), 0);
		if (disk_attach(work->disk, thread.loop)) {
			assert_int_equal(k, 0);
		} else {
			loop_sync(thread.loop, run_read, work);
			assert_int_equal(work->result, 0);
			for (unsigned i = 0; i < ARRAY_LEN(ops); i++) {
				work->result = 0;
				work->op = ops[i];
				loop_sync(thread.loop, run_op, work);
				assert_int_equal(work->result, -EIO);
			}
			loop_sync(thread.loop, run_detach, work);
		}
		loop_thread_close(&thread);
		disk_close(work->disk);
		close(fd);
		free(work->data);
		free(work);
	}
}

/* An image left in non-blocking mode makes io_uring answer -EAGAIN on some hosts. */
static void test_blocking(unused_arg void **state)
{
	struct disk_file file;
	char path[64];

	image(path, SIZE, NULL);
	assert_int_equal(disk_file_open(&file, path, false), 0);
	assert_int_equal(fcntl(file.fd, F_GETFL) & O_NONBLOCK, 0);
	disk_file_close(&file);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),   cmocka_unit_test(test_locks),
		cmocka_unit_test(test_locks_qemu), cmocka_unit_test(test_requests),
		cmocka_unit_test(test_truncated),  cmocka_unit_test(test_refused_writes),
		cmocka_unit_test(test_blocking),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
