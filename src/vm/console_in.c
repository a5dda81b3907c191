/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console_in: the thread that reads the user's keys, and Ctrl-].
 *
 * Entered by: the kernel (poll). Owns the input descriptor, accepts and drops clients of a socket.
 * Reads no further while the device has not taken what was read: that is the flow control which
 * keeps a paste whole. Trusts nothing: bytes go to the guest as they are.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/fail.h"
#include "host/tty.h"
#include "vm/console_impl.h"

#define KEY_ESCAPE  0x1d /* Ctrl-] */
#define IN_RETRY_MS 50	 /* should a device ever forget to say that it has room */

/* --- own words, on stderr --------------------------------------------------------------------- */

static void say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return; /* nowhere left to say it */
}

static void say_keys(void)
{
	say("\nholm: keys after Ctrl-]\n"
	    "holm:   q       end the machine now\n"
	    "holm:   p       press its power button\n"
	    "holm:   r       reset it\n"
	    "holm:   b       send a break on its serial port (Linux: SysRq)\n"
	    "holm:   s       say how it is\n"
	    "holm:   Ctrl-]  send Ctrl-] to the guest\n"
	    "holm:   h       these lines\n");
}

/* --- keys ------------------------------------------------------------------------------------- */

/* The key after Ctrl-]; true when it is a byte for the guest. */
static bool key_escaped(struct console *console, u8 key)
{
	switch (key) {
	case KEY_ESCAPE: return true;
	case 'q':
	case 'p':
	case 'r':
	case 'b':
	case 's': console->events.key(console->events.arg, (char)key); return false;
	default: say_keys(); return false;
	}
}

/* Takes Ctrl-] and what follows it out of in[0..len). */
static size_t keys_filter(struct console *console, size_t len)
{
	size_t kept = 0;

	for (size_t i = 0; i < len; i++) {
		u8 key = console->in[i];

		if (console->escape) {
			console->escape = false;
			if (!key_escaped(console, key))
				continue;
		} else if (key == KEY_ESCAPE) {
			console->escape = true;
			continue;
		}
		console->in[kept++] = key;
	}
	return kept;
}

/* --- input ------------------------------------------------------------------------------------ */

static void input_push(struct console *console)
{
	size_t taken;

	if (console->in_at == console->in_len)
		return;
	taken = console->events.input(console->events.arg, console->in + console->in_at,
				      console->in_len - console->in_at);
	console->in_at += taken;
}

static void input_end(struct console *console)
{
	console->in_fd = -1; /* stdin stays open, a client is closed by who dropped it */
}

static void input_read(struct console *console)
{
	ssize_t got = read(console->in_fd, console->in, sizeof(console->in));

	if (got > 0) {
		console->in_at = 0;
		console->in_len =
			console->terminal ? keys_filter(console, (size_t)got) : (size_t)got;
		input_push(console);
	} else if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
		return;
	} else if (got < 0 && errno == EIO && console->terminal &&
		   !tty_is_foreground(console->in_fd)) {
		__atomic_store_n(&console->paused, true, __ATOMIC_SEQ_CST);
	} else {
		input_end(console);
	}
}

/* --- clients ---------------------------------------------------------------------------------- */

static void client_accept(struct console *console)
{
	static const char busy[] = "holm: this console is in use\r\n";
	int fd = accept4(console->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (console->out_fd >= 0) { /* only this thread changes it */
		if (write(fd, busy, sizeof(busy) - 1) < 0)
			say("");
		close(fd);
		return;
	}
	console->in_fd = fd;
	console_client_take(console, fd);
}

static void client_leave(struct console *console)
{
	shutdown(console->out_fd, SHUT_RDWR);
	console->in_fd = -1;
	console_client_drop(console);
}

/* --- the reader ------------------------------------------------------------------------------- */

enum reader_slot { SLOT_WAKE, SLOT_IN, SLOT_CLIENT, SLOT_LISTEN, SLOT_COUNT };

static void reader_watch(struct console *console, struct pollfd poll_fd[SLOT_COUNT])
{
	bool pending = console->in_at != console->in_len;
	bool paused = __atomic_load_n(&console->paused, __ATOMIC_SEQ_CST);

	poll_fd[SLOT_WAKE] = (struct pollfd){.fd = console->wake_fd, .events = POLLIN};
	poll_fd[SLOT_IN] =
		(struct pollfd){.fd = pending || paused ? -1 : console->in_fd, .events = POLLIN};
	/* a client that only stopped sending is still listening: watch for its real end */
	poll_fd[SLOT_CLIENT] =
		(struct pollfd){.fd = console->listen_fd >= 0 ? console->out_fd : -1, .events = 0};
	poll_fd[SLOT_LISTEN] = (struct pollfd){.fd = console->listen_fd, .events = POLLIN};
}

static bool reader_stops(struct console *console)
{
	bool stop;

	pthread_mutex_lock(&console->lock);
	stop = console->stop;
	pthread_mutex_unlock(&console->lock);
	return stop;
}

void *console_reader(void *arg)
{
	struct console *console = arg;
	struct pollfd poll_fd[SLOT_COUNT];
	bool pending;
	u64 count;

	while (!reader_stops(console)) {
		pending = console->in_at != console->in_len;
		reader_watch(console, poll_fd);
		if (poll(poll_fd, SLOT_COUNT, pending ? IN_RETRY_MS : -1) < 0)
			continue;
		if (poll_fd[SLOT_WAKE].revents && read(console->wake_fd, &count, sizeof(count)) < 0)
			continue;
		input_push(console);
		if (poll_fd[SLOT_IN].revents)
			input_read(console);
		if (poll_fd[SLOT_CLIENT].revents & (POLLHUP | POLLERR))
			client_leave(console);
		if (poll_fd[SLOT_LISTEN].revents & POLLIN)
			client_accept(console);
	}
	return NULL;
}

void console_input_ready(struct console *console)
{
	const u64 one = 1;

	if (write(console->wake_fd, &one, sizeof(one)) < 0)
		return; /* full: the reader is being woken anyway */
}

void console_foreground(struct console *console)
{
	int err;

	if (!console->terminal)
		return;
	err = tty_raw(STDIN_FILENO);
	__atomic_store_n(&console->paused, err == -EAGAIN, __ATOMIC_SEQ_CST);
	console_input_ready(console);
}
