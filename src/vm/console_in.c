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
#include "host/signal.h"
#include "host/tty.h"
#include "vm/console_impl.h"

#define KEY_ESCAPE  0x1d /* Ctrl-] */
#define IN_PIECE    256u
#define IN_RETRY_MS 50	/* should a device ever forget to say that it has room */
#define IN_TURN_MS  300 /* no signal tells a background job that `fg` made it the foreground's */

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

/* Takes Ctrl-] and what follows it out of keys[0..len). */
static size_t keys_filter(struct console *console, u8 *keys, size_t len)
{
	size_t kept = 0;

	for (size_t i = 0; i < len; i++) {
		u8 key = keys[i];

		if (console->escape) {
			console->escape = false;
			if (!key_escaped(console, key))
				continue;
		} else if (key == KEY_ESCAPE) {
			console->escape = true;
			continue;
		}
		keys[kept++] = key;
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
	if (console->in_at == console->in_len)
		console->in_at = console->in_len = 0;
}

static void input_end(struct console *console)
{
	console->in_fd = -1; /* stdin stays open, a client is closed by who dropped it */
}

/* Only a terminal is read ahead of the guest: what else sends should feel the guest's pace. */
static size_t input_room(const struct console *console)
{
	size_t pending = console->in_len - console->in_at;

	if (console->terminal)
		return sizeof(console->in) - pending;
	return pending ? 0 : IN_PIECE;
}

/* Where the next bytes go; input_room is not 0. */
static u8 *input_space(struct console *console, size_t *len)
{
	size_t pending = console->in_len - console->in_at;

	if (sizeof(console->in) - console->in_len < IN_PIECE) {
		memmove(console->in, console->in + console->in_at, pending);
		console->in_at = 0;
		console->in_len = pending;
	}
	*len = sizeof(console->in) - console->in_len;
	if (*len > IN_PIECE)
		*len = IN_PIECE;
	return console->in + console->in_len;
}

static void input_read(struct console *console)
{
	size_t len;
	u8 *space = input_space(console, &len);
	ssize_t got = read(console->in_fd, space, len);

	if (got > 0) {
		console->in_len +=
			console->terminal ? keys_filter(console, space, (size_t)got) : (size_t)got;
		input_push(console);
	} else if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
		return;
	} else if (got < 0 && errno == EIO && console->terminal &&
		   !tty_is_foreground(console->in_fd)) {
		console->paused = true;
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
	bool reads = input_room(console) && !console->paused;

	poll_fd[SLOT_WAKE] = (struct pollfd){.fd = console->wake_fd, .events = POLLIN};
	poll_fd[SLOT_IN] = (struct pollfd){.fd = reads ? console->in_fd : -1, .events = POLLIN};
	/* a client that only stopped sending is still listening: watch for its real end */
	poll_fd[SLOT_CLIENT] =
		(struct pollfd){.fd = console->listen_fd >= 0 ? console->out_fd : -1, .events = 0};
	poll_fd[SLOT_LISTEN] = (struct pollfd){.fd = console->listen_fd, .events = POLLIN};
}

static int reader_patience(const struct console *console)
{
	if (console->in_at != console->in_len)
		return IN_RETRY_MS;
	return console->paused ? IN_TURN_MS : -1;
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
	u64 count;

	while (!reader_stops(console)) {
		reader_watch(console, poll_fd);
		if (poll(poll_fd, SLOT_COUNT, reader_patience(console)) < 0)
			continue;
		if (poll_fd[SLOT_WAKE].revents && read(console->wake_fd, &count, sizeof(count)) < 0)
			continue;
		if (__atomic_exchange_n(&console->look_again, false, __ATOMIC_SEQ_CST) ||
		    (console->paused && tty_is_foreground(console->in_fd)))
			console_terminal(console);
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

/* --- whose turn it is at the terminal --------------------------------------------------------- */

void console_terminal(struct console *console)
{
	if (console->terminal)
		console->paused = tty_raw(STDIN_FILENO) == -EAGAIN;
}

void console_foreground(struct console *console)
{
	__atomic_store_n(&console->look_again, true, __ATOMIC_SEQ_CST);
	console_input_ready(console);
}

void console_suspend(struct console *console)
{
	tty_restore();
	signal_suspend();
	console_foreground(console); /* also where the kernel found nobody who could resume us */
}
