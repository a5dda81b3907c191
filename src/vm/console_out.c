/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console_out: the output buffer and the thread that empties it.
 *
 * Entered by: console devices on vCPU threads (write), vCPU threads outside the engine (wait), the
 * loop (drain, abandon). Owns the ring. The writer polls before it writes small pieces, so it never
 * sits in write(2) for long and can always be ended.
 */
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/fail.h"
#include "host/log.h"
#include "vm/console_impl.h"

#define OUT_HIGH   (CONSOLE_BUFFER / 2)
#define OUT_LOW	   (CONSOLE_BUFFER / 8)
#define OUT_PIECE  2048u   /* at most PIPE_BUF: a pipe that polls writable takes it whole */
#define OUT_POLL   100	   /* ms */
#define OUT_GATHER 300000l /* ns: a guest writes bytes, we would rather write lines */

/* --- the buffer, lock held -------------------------------------------------------------------- */

static void ring_put(struct console *console, const u8 *data, size_t len)
{
	size_t tail = (console->head + console->used) % CONSOLE_BUFFER;
	size_t first = CONSOLE_BUFFER - tail;

	if (first > len)
		first = len;
	memcpy(console->ring + tail, data, first);
	memcpy(console->ring, data + first, len - first);
	console->used += len;
}

static void ring_take(struct console *console, size_t len)
{
	console->head = (console->head + len) % CONSOLE_BUFFER;
	console->used -= len;
}

static void writer_tell(struct console *console)
{
	if (console->awake)
		return;
	console->awake = true;
	pthread_cond_signal(&console->data);
}

/* Nobody will take the bytes; a socket keeps the newest for its next client. */
static bool out_drops(const struct console *console)
{
	return console->gone || console->abandon;
}

/* --- from the guest --------------------------------------------------------------------------- */

/* Makes room in front of a socket that has no client: the newest bytes are worth most. */
static size_t ring_room(struct console *console, size_t want)
{
	size_t room = CONSOLE_BUFFER - console->used;

	if (room < want && console->listen_fd >= 0 && console->out_fd < 0) {
		ring_take(console, want - room < console->used ? want - room : console->used);
		room = CONSOLE_BUFFER - console->used;
	}
	return room < want ? room : want;
}

size_t console_write(struct console *console, const u8 *data, size_t len)
{
	size_t taken = len;
	bool throttle = false;

	pthread_mutex_lock(&console->lock);
	if (!out_drops(console)) {
		taken = ring_room(console, len);
		ring_put(console, data, taken);
		console->refused |= taken < len;
		if (console->out_fd >= 0 || console->refused)
			writer_tell(console);
		throttle = console->out_fd >= 0 && console->used >= OUT_HIGH;
	}
	console->bytes += taken;
	pthread_mutex_unlock(&console->lock);
	if (throttle)
		console->events.throttle(console->events.arg);
	return taken;
}

void console_wait(struct console *console)
{
	pthread_mutex_lock(&console->lock);
	while (console->used > OUT_LOW && console->out_fd >= 0 && !out_drops(console))
		pthread_cond_wait(&console->room, &console->lock);
	pthread_mutex_unlock(&console->lock);
}

u64 console_bytes(struct console *console)
{
	u64 bytes;

	pthread_mutex_lock(&console->lock);
	bytes = console->bytes;
	pthread_mutex_unlock(&console->lock);
	return bytes;
}

void console_drain(struct console *console)
{
	pthread_mutex_lock(&console->lock);
	console->drain = true;
	pthread_cond_signal(&console->data);
	pthread_mutex_unlock(&console->lock);
}

void console_abandon(struct console *console)
{
	pthread_mutex_lock(&console->lock);
	console->abandon = true;
	pthread_cond_signal(&console->data);
	pthread_cond_broadcast(&console->room);
	pthread_mutex_unlock(&console->lock);
}

/* --- clients of a socket ---------------------------------------------------------------------- */

void console_client_drop(struct console *console)
{
	int fd;

	pthread_mutex_lock(&console->lock);
	fd = console->out_fd;
	console->out_fd = -1;
	pthread_cond_signal(&console->data);
	pthread_cond_broadcast(&console->room);
	while (console->writing)
		pthread_cond_wait(&console->room, &console->lock);
	pthread_mutex_unlock(&console->lock);
	if (fd >= 0)
		close(fd);
}

void console_client_take(struct console *console, int fd)
{
	pthread_mutex_lock(&console->lock);
	console->out_fd = fd;
	writer_tell(console);
	pthread_mutex_unlock(&console->lock);
}

/* --- the writer ------------------------------------------------------------------------------- */

/* Writes what the target takes now, at most len. 0: try again; -errno: it takes no more. */
static ssize_t piece_write(int fd, const u8 *data, size_t len)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
	ssize_t put;

	if (poll(&poll_fd, 1, OUT_POLL) <= 0)
		return 0;
	put = write(fd, data, len);
	if (put >= 0)
		return put;
	return errno == EINTR || errno == EAGAIN ? 0 : -errno;
}

/* Lock held. */
static void out_lost(struct console *console, int err)
{
	if (console->listen_fd >= 0) /* the reader sees it leave; its bytes wait for the next */
		return;
	console->gone = true;
	console->used = 0;
	if (err != -EPIPE && err != -EIO)
		log_line(LOG_WARN, "console: %s; further console output is dropped",
			 strerror(-err));
}

/* Whoever was refused may write again. Lock held, given up in between. */
static void writer_invite(struct console *console)
{
	console->refused = false;
	pthread_mutex_unlock(&console->lock);
	console->events.room(console->events.arg);
	pthread_mutex_lock(&console->lock);
}

/* One piece, lock held on entry and exit, given up in between. */
static void writer_step(struct console *console)
{
	u8 piece[OUT_PIECE];
	size_t len = console->used < OUT_PIECE ? console->used : OUT_PIECE;
	size_t first = CONSOLE_BUFFER - console->head;
	int fd = console->out_fd;
	ssize_t put;

	if (first > len)
		first = len;
	memcpy(piece, console->ring + console->head, first);
	memcpy(piece + first, console->ring, len - first);
	console->writing = true;
	pthread_mutex_unlock(&console->lock);
	put = piece_write(fd, piece, len);
	pthread_mutex_lock(&console->lock);
	console->writing = false;
	if (put > 0)
		ring_take(console, (size_t)put);
	else if (put < 0)
		out_lost(console, (int)put);
	if (console->used <= OUT_LOW || console->out_fd != fd || put < 0)
		pthread_cond_broadcast(&console->room);
	if (console->refused && console->used <= OUT_HIGH)
		writer_invite(console);
	/* a client that is gone but not yet dropped would make us spin */
	if (put < 0 && console->listen_fd >= 0 && console->out_fd == fd && !console->stop)
		pthread_cond_wait(&console->data, &console->lock);
}

static void writer_idle(struct console *console)
{
	const struct timespec gather = {.tv_nsec = OUT_GATHER};

	if (console->refused) {
		writer_invite(console);
		return;
	}
	if (console->drain) {
		console->drain = false;
		pthread_mutex_unlock(&console->lock);
		console->events.drained(console->events.arg);
		pthread_mutex_lock(&console->lock);
		return;
	}
	console->awake = false;
	pthread_cond_wait(&console->data, &console->lock);
	console->awake = true;
	if (console->drain || console->stop)
		return;
	pthread_mutex_unlock(&console->lock);
	nanosleep(&gather, NULL);
	pthread_mutex_lock(&console->lock);
}

void *console_writer(void *arg)
{
	struct console *console = arg;

	pthread_mutex_lock(&console->lock);
	while (!console->stop) {
		if (console->used && console->out_fd >= 0 && !out_drops(console))
			writer_step(console);
		else
			writer_idle(console);
	}
	pthread_mutex_unlock(&console->lock);
	return NULL;
}
