/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console_open: the console's targets: the process's own stdin and stdout, a file, a Unix socket.
 *
 * Entered by: vm, on its first thread. Owns descriptors and threads of the console. Nothing on disk
 * is changed before everything else of the machine was found good: the file is emptied at start.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/fail.h"
#include "host/tty.h"
#include "vm/console_impl.h"

/* --- targets ---------------------------------------------------------------------------------- */

static int target_stdio(struct console *console)
{
	console->in_fd = STDIN_FILENO;
	console->out_fd = STDOUT_FILENO;
	console->terminal = tty_is_terminal(STDIN_FILENO);
	return 0;
}

static int target_file(struct console *console, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
	int err = -errno;

	if (fd >= 0) {
		console->out_fd = fd;
		return 0;
	}
	if (err == -ENXIO)
		return FAIL(err,
			    "console: nobody reads from the pipe '%.150s'; start its reader first",
			    path);
	if (err == -EISDIR)
		return FAIL(err, "console: '%.150s' is a folder; name a file in it", path);
	return FAIL(err, "console: cannot write '%.150s': %s", path, strerror(-err));
}

/* True when a socket lies at the address that nobody serves any more. */
static bool socket_is_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd, err;

	if (lstat(addr->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	err = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) ? errno : 0;
	close(fd);
	return err == ECONNREFUSED;
}

static int fail_socket(int err, const char *path)
{
	struct stat st;

	if (err != -EADDRINUSE)
		return FAIL(err, "console: cannot listen at '%.110s': %s", path, strerror(-err));
	if (!lstat(path, &st) && !S_ISSOCK(st.st_mode))
		return FAIL(-EEXIST,
			    "console: '%.110s' exists and is not a socket; name another path",
			    path);
	return FAIL(err, "console: another process listens at '%.110s'; name another path", path);
}

static int target_socket(struct console *console, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	mode_t mask;
	int err = 0;

	strncpy(addr.sun_path, path, sizeof(addr.sun_path) - 1);
	console->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (console->listen_fd < 0)
		return FAIL(-errno, "console: socket: %s", strerror(errno));
	mask = umask(0177); /* the owner alone: a console is a way in. One thread only, still. */
	if (bind(console->listen_fd, (const struct sockaddr *)&addr, sizeof(addr)))
		err = -errno;
	if (err == -EADDRINUSE && socket_is_stale(&addr) && !unlink(path))
		err = bind(console->listen_fd, (const struct sockaddr *)&addr, sizeof(addr))
			      ? -errno
			      : 0;
	umask(mask);
	if (err)
		return fail_socket(err, path);
	if (listen(console->listen_fd, 4)) {
		err = FAIL(-errno, "console: listen: %s", strerror(errno));
		unlink(path);
		return err;
	}
	err = janitor_start(&console->janitor, "console", path);
	if (err)
		unlink(path);
	return err;
}

/* --- open, start, close ----------------------------------------------------------------------- */

int console_open(enum config_console_kind kind, const char *path, struct console **out)
{
	struct console *console = calloc(1, sizeof(*console));
	int err = 0;

	if (!console)
		return FAIL(-ENOMEM, "out of memory");
	console->kind = kind;
	console->in_fd = console->out_fd = console->listen_fd = -1;
	console->janitor.hold = -1;
	console->gone = kind == CONFIG_CONSOLE_NONE;
	pthread_mutex_init(&console->lock, NULL);
	pthread_cond_init(&console->data, NULL);
	pthread_cond_init(&console->room, NULL);
	console->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (console->wake_fd < 0)
		err = FAIL(-errno, "eventfd: %s", strerror(errno));
	else if (kind == CONFIG_CONSOLE_STDIO)
		err = target_stdio(console);
	else if (kind == CONFIG_CONSOLE_FILE)
		err = target_file(console, path);
	else if (kind == CONFIG_CONSOLE_UNIX)
		err = target_socket(console, path);
	if (err)
		console_close(console);
	else
		*out = console;
	return err;
}

static int thread_start(pthread_t *thread, void *(*run)(void *arg), struct console *console)
{
	int err = pthread_create(thread, NULL, run, console);

	return err ? FAIL(-err, "console: cannot start a thread: %s", strerror(err)) : 0;
}

int console_start(struct console *console, const struct console_events *events)
{
	struct stat st;
	int err;

	console->events = *events;
	console_terminal(console);
	if (console->kind == CONFIG_CONSOLE_FILE && !fstat(console->out_fd, &st) &&
	    S_ISREG(st.st_mode) && ftruncate(console->out_fd, 0))
		return FAIL(-errno, "console: cannot empty the file: %s", strerror(errno));
	err = thread_start(&console->writer, console_writer, console);
	if (err)
		return err;
	err = thread_start(&console->reader, console_reader, console);
	if (err) {
		pthread_mutex_lock(&console->lock);
		console->stop = true;
		pthread_cond_signal(&console->data);
		pthread_mutex_unlock(&console->lock);
		pthread_join(console->writer, NULL);
		return err;
	}
	console->started = true;
	return 0;
}

void console_stop(struct console *console)
{
	if (!console->started)
		return;
	console->started = false;
	pthread_mutex_lock(&console->lock);
	console->stop = true;
	console->abandon = true;
	pthread_cond_broadcast(&console->data);
	pthread_cond_broadcast(&console->room);
	pthread_mutex_unlock(&console->lock);
	console_input_ready(console);
	pthread_join(console->writer, NULL);
	pthread_join(console->reader, NULL);
}

void console_close(struct console *console)
{
	if (!console)
		return;
	console_stop(console);
	tty_restore();
	if (console->listen_fd >= 0) {
		if (console->out_fd >= 0)
			close(console->out_fd);
		close(console->listen_fd);
		janitor_finish(&console->janitor);
	} else if (console->kind == CONFIG_CONSOLE_FILE && console->out_fd >= 0) {
		close(console->out_fd);
	}
	if (console->wake_fd >= 0)
		close(console->wake_fd);
	pthread_cond_destroy(&console->room);
	pthread_cond_destroy(&console->data);
	pthread_mutex_destroy(&console->lock);
	free(console);
}

int console_size(struct console *console, u16 *columns, u16 *rows)
{
	if (!console->terminal)
		return -ENOTTY;
	return tty_size(STDIN_FILENO, columns, rows);
}

bool console_file(const struct console *console, u64 *dev, u64 *ino)
{
	struct stat st;

	if (console->kind != CONFIG_CONSOLE_FILE || fstat(console->out_fd, &st))
		return false;
	*dev = st.st_dev;
	*ino = st.st_ino;
	return true;
}
