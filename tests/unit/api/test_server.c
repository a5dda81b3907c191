/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket of a machine: what lines get, and that no client can hold up the others. The folder it
 * is in, and the client's side of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "api/client.h"
#include "api/rundir.h"
#include "api/server.h"
#include "api/wire.h"
#include "host/fail.h"

#define BIG 30000

static char base[64], folder[RUNDIR_MAX], path[RUNDIR_MAX + 32];
static struct server *server;

/* --- helpers ---------------------------------------------------------------------------------- */

static json_t *call_hello(void *arg)
{
	return json_pack("{s:s, s:i}", "hello", (const char *)arg, "number", 42);
}

static json_t *call_size(size_t size)
{
	char *text = malloc(size + 1);
	json_t *json;

	memset(text, 'x', size);
	text[size] = '\0';
	json = json_string(text);
	free(text);
	return json;
}

static json_t *call_big(void *arg)
{
	(void)arg;
	return call_size(BIG);
}

static json_t *call_huge(void *arg)
{
	(void)arg;
	return call_size(WIRE_REPLY_MAX);
}

static json_t *call_none(void *arg)
{
	(void)arg;
	return NULL;
}

static const struct server_method methods[] = {{"stats", call_hello},
					       {"big", call_big},
					       {"huge", call_huge},
					       {"none", call_none},
					       {NULL, NULL}};

static int setup(void **state)
{
	(void)state;
	snprintf(base, sizeof(base), "/tmp/holm-test-XXXXXX");
	assert_non_null(mkdtemp(base));
	setenv("XDG_RUNTIME_DIR", base, 1);
	assert_int_equal(rundir_make(folder), 0);
	snprintf(path, sizeof(path), "%s/%d.sock", folder, (int)getpid());
	assert_int_equal(server_open(path, &server), 0);
	assert_int_equal(server_start(server, methods, (void *)(uintptr_t) "you"), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	server_close(server);
	unlink(path);
	rmdir(folder);
	rmdir(base);
	return 0;
}

static int dial(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.100s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The next line within five seconds; "" at the end. */
static const char *hear(int fd)
{
	static char line[WIRE_REPLY_MAX + 1];
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	size_t len = 0;
	ssize_t got;
	char *end;

	do {
		assert_true(len < WIRE_REPLY_MAX);
		assert_int_equal(poll(&poll_fd, 1, 5000), 1);
		got = recv(fd, line + len, WIRE_REPLY_MAX - len, MSG_PEEK);
		if (got <= 0)
			return "";
		end = memchr(line + len, '\n', (size_t)got);
		if (end)
			got = end + 1 - (line + len);
		assert_int_equal(recv(fd, line + len, (size_t)got, 0), got);
		len += (size_t)got;
	} while (!end);
	line[len] = '\0';
	return line;
}

static void expect_reason(int fd, const char *request, const char *reason)
{
	char want[64];

	say(fd, request);
	snprintf(want, sizeof(want), "\"reason\":\"%s\"", reason);
	if (!strstr(hear(fd), want))
		fail_msg("%s: not %s", request, reason);
}

/* --- lines ------------------------------------------------------------------------------------ */

static void test_lines(void **state)
{
	static const char want[] = "{\"version\":1,\"result\":{\"hello\":\"you\",\"number\":42}}\n";
	int fd = dial();

	(void)state;
	say(fd, "{\"method\":\"stats\"}\n");
	assert_string_equal(hear(fd), want);
	say(fd, "{\"meth");
	usleep(20000);
	say(fd, "od\":\"stats\"}\r\n{\"method\":\"stats\", \"version\": 1}\n{");
	assert_string_equal(hear(fd), want);
	assert_string_equal(hear(fd), want);
	say(fd, "\"method\":\"stats\",\"id\":-7}\n");
	assert_non_null(strstr(hear(fd), "\"id\":-7,\"result\""));
	say(fd, "{\"method\":\"nope\",\"id\":\"a b\"}\n");
	assert_non_null(
		strstr(hear(fd), "\"id\":\"a b\",\"error\":{\"reason\":\"unknown-method\""));
	/* who has said all still hears all */
	say(fd, "{\"method\":\"big\"}\n{\"method\":\"stats\"}\n");
	shutdown(fd, SHUT_WR);
	assert_true(strlen(hear(fd)) > BIG);
	assert_string_equal(hear(fd), want);
	assert_string_equal(hear(fd), "");
	close(fd);
}

static void test_wrong(void **state)
{
	char deep[3001], text[128];
	int fd = dial();

	(void)state;
	expect_reason(fd, "\n", "not-json");
	expect_reason(fd, "hello\n", "not-json");
	expect_reason(fd, "{\"method\":\"stats\"} x\n", "not-json");
	expect_reason(fd, "{\"method\":\"stats\",\"method\":\"stats\"}\n", "not-json");
	expect_reason(fd, "{\"method\":\"\xff\"}\n", "not-json");
	expect_reason(fd, "[1]\n", "not-an-object");
	expect_reason(fd, "{}\n", "no-method");
	expect_reason(fd, "{\"method\":1}\n", "no-method");
	expect_reason(fd, "{\"method\":\"\\u001b[2J\"}\n", "unknown-method");
	expect_reason(fd, "{\"method\":\"stats\",\"params\":{}}\n", "unknown-member");
	expect_reason(fd, "{\"method\":\"stats\",\"version\":2}\n", "unknown-version");
	expect_reason(fd, "{\"method\":\"stats\",\"version\":\"1\"}\n", "unknown-version");
	expect_reason(fd, "{\"method\":\"stats\",\"id\":1.5}\n", "bad-id");
	expect_reason(fd, "{\"method\":\"stats\",\"id\":[]}\n", "bad-id");
	snprintf(text, sizeof(text), "{\"method\":\"stats\",\"id\":\"%065d\"}\n", 0);
	expect_reason(fd, text, "bad-id");
	expect_reason(fd, "{\"method\":\"huge\"}\n", "host");
	expect_reason(fd, "{\"method\":\"none\"}\n", "host");
	memset(deep, '[', 3000);
	deep[2999] = '\n';
	deep[3000] = '\0';
	expect_reason(fd, deep, "not-json");
	close(fd);
}

static void test_too_long(void **state)
{
	char text[WIRE_REQUEST_MAX + 1];
	int fd = dial();

	(void)state;
	memset(text, ' ', sizeof(text));
	memcpy(text, "{\"method\":\"stats\"}", 18);
	text[WIRE_REQUEST_MAX - 1] = '\n';
	text[WIRE_REQUEST_MAX] = '\0';
	say(fd, text);
	assert_non_null(strstr(hear(fd), "result"));
	text[WIRE_REQUEST_MAX - 1] = ' ';
	expect_reason(fd, text, "too-long");
	assert_string_equal(hear(fd), "");
	close(fd);
}

/* --- clients ---------------------------------------------------------------------------------- */

static void expect_served(void)
{
	int fd = dial();

	say(fd, "{\"method\":\"stats\"}\n");
	assert_non_null(strstr(hear(fd), "result"));
	close(fd);
}

/* One that asks and never reads. */
static void test_slow(void **state)
{
	static const char ask[] = "{\"method\":\"big\"}\n";
	int fd = dial();
	unsigned asked = 0, heard = 0;

	(void)state;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (asked < 100000 && send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL) > 0)
		asked++;
	assert_true(asked > 10 && asked < 100000);
	for (unsigned i = 0; i < 50; i++)
		expect_served();
	fcntl(fd, F_SETFL, 0);
	shutdown(fd, SHUT_WR);
	while (*hear(fd))
		heard++;
	assert_true(heard >= 10 && heard <= asked);
	close(fd);
}

/* Many that say nothing: the new one is heard, and so is one that was heard lately. */
static void test_silent(void **state)
{
	int fd[3 * SERVER_CLIENTS], alive = dial();

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = dial();
		say(alive, "{\"method\":\"stats\"}\n");
		assert_non_null(strstr(hear(alive), "result"));
		expect_served();
	}
	for (unsigned i = 0; i < ARRAY_LEN(fd); i++)
		close(fd[i]);
	close(alive);
}

/* Clients that go away at any time, while their replies are made. */
static void test_gone(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		int fd = dial();

		if (i % 3)
			say(fd,
			    "{\"method\":\"big\"}\n{\"method\":\"big\"}\n{\"method\":\"big\"}\n");
		if (i % 3 == 2)
			shutdown(fd, SHUT_RD);
		close(fd);
	}
	expect_served();
}

static void test_in_use(void **state)
{
	struct server *second = NULL;

	(void)state;
	assert_int_equal(server_open(path, &second), -EADDRINUSE);
	expect_served();
}

/* --- the folder and who looks into it --------------------------------------------------------- */

static void test_client(void **state)
{
	struct peers peers;
	char dead[RUNDIR_MAX + 32], other[RUNDIR_MAX + 32];
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), silent;

	(void)state;
	snprintf(dead, sizeof(dead), "%s/999999999.sock", folder);
	snprintf(other, sizeof(other), "%s/readme", folder);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.100s", dead);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	fd = open(other, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(peers_open(&peers), 0);
	assert_int_equal(peers.count, 1);
	assert_int_equal(peers.peer[0].pid, getpid());
	assert_int_equal(access(dead, F_OK), -1);
	assert_int_equal(access(other, F_OK), 0);
	for (unsigned i = 0; i < 3; i++) {
		peers_ask(&peers, "stats", 5000);
		assert_non_null(peers.peer[0].result);
		assert_string_equal(peers.peer[0].why, "");
	}
	peers_ask(&peers, "nope", 5000);
	assert_null(peers.peer[0].result);
	assert_string_equal(peers.peer[0].why, "there is no method 'nope'");
	peers_close(&peers);

	/* one that listens and says nothing */
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.100s", dead);
	silent = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(silent, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(silent, 1), 0);
	assert_int_equal(peers_open(&peers), 0);
	assert_int_equal(peers.count, 2);
	peers_ask(&peers, "stats", 200);
	assert_non_null(peers.peer[0].result);
	assert_null(peers.peer[1].result);
	assert_string_equal(peers.peer[1].why, "does not answer");
	peers_close(&peers);
	close(silent);
	unlink(dead);
	unlink(other);
}

static void test_folder(void **state)
{
	char out[RUNDIR_MAX], away[128], longer[400];
	struct stat st;

	(void)state;
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(chmod(folder, 0755), 0);
	assert_int_equal(rundir_make(out), -EPERM);
	assert_non_null(strstr(fail_text(), "chmod 700"));
	assert_int_equal(rundir_find(out), -EPERM);
	assert_int_equal(chmod(folder, 0700), 0);
	snprintf(away, sizeof(away), "%s.away", base);
	assert_int_equal(rename(base, away), 0);
	assert_int_equal(setenv("XDG_RUNTIME_DIR", base, 1), 0);
	assert_int_equal(rundir_find(out) == 0 || rundir_find(out) == -ENOENT, 1);
	assert_null(strstr(out, base)); /* it is not there: the next one */
	assert_int_equal(rename(away, base), 0);
	memset(longer, '/', sizeof(longer));
	memcpy(longer, base, strlen(base));
	longer[399] = '\0';
	setenv("XDG_RUNTIME_DIR", longer, 1);
	assert_int_equal(rundir_make(out), -ENAMETOOLONG);
	setenv("XDG_RUNTIME_DIR", base, 1);
	/* a link is not a folder */
	assert_int_equal(rename(folder, away), 0);
	assert_int_equal(symlink(away, folder), 0);
	assert_int_equal(rundir_make(out), -ENOTDIR);
	assert_int_equal(unlink(folder), 0);
	assert_int_equal(rename(away, folder), 0);
}

/* /tmp/holm-UID, made by someone who was quicker. */
static void test_folder_in_tmp(void **state)
{
	char out[RUNDIR_MAX];
	int status = 0;
	pid_t child;

	(void)state;
	if (getuid())
		skip();
	child = fork();
	if (!child) {
		char trap[64];
		int err;

		snprintf(trap, sizeof(trap), "/tmp/holm-%u", 54321u);
		unsetenv("XDG_RUNTIME_DIR");
		if (mkdir(trap, 0700) || setgid(54321) || setuid(54321))
			_exit(1);
		err = rundir_make(out);
		_exit(err == -EPERM && !strcmp(out, trap) &&
				      strstr(fail_text(), "belongs to another user")
			      ? 0
			      : 2);
	}
	waitpid(child, &status, 0);
	rmdir("/tmp/holm-54321");
	assert_int_equal(status, 0);
	child = fork();
	if (!child) {
		unsetenv("XDG_RUNTIME_DIR");
		if (setgid(54321) || setuid(54321))
			_exit(1);
		_exit(rundir_make(out) || strcmp(out, "/tmp/holm-54321") || rundir_make(out));
	}
	waitpid(child, &status, 0);
	rmdir("/tmp/holm-54321");
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	 cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_too_long), cmocka_unit_test(test_slow),
		cmocka_unit_test(test_silent),	 cmocka_unit_test(test_gone),
		cmocka_unit_test(test_in_use),	 cmocka_unit_test(test_client),
		cmocka_unit_test(test_folder),	 cmocka_unit_test(test_folder_in_tmp),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, setup, teardown);
}
