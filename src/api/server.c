/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server: accepting clients, taking their lines apart, sending replies.
 *
 * Entered by: vm/service.c; the server's own loop thread. Owns the listening socket and its
 * clients. Trusts clients with nothing: they are this user's programs, but a line is at most
 * WIRE_REQUEST_MAX bytes, which bounds what jansson builds of it.
 */
#include "api/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/wire.h"
#include "host/fail.h"
#include "host/thread.h"

#define ACCEPT_PAUSE_NS 200000000ull /* after the host refused a descriptor */

/* --- types ------------------------------------------------------------------------------------ */

struct client {
	struct server *server;
	struct loop_fd src;
	u64 heard; /* server's count when it last asked something */
	bool used;
	bool ending; /* to be closed when its replies are out */
	size_t in_len, out_at, out_len;
	char in[WIRE_REQUEST_MAX];
	char out[WIRE_REPLY_MAX];
};

struct server {
	struct loop_thread thread;
	struct loop_fd listener;
	struct loop_timer again;
	const struct server_method *methods;
	void *arg;
	u64 heard;
	struct client *client[SERVER_CLIENTS]; /* made when first needed */
};

/* --- replies ---------------------------------------------------------------------------------- */

/* Puts {"version", "id", what: value} into the client's buffer. Takes value's reference. */
static void reply(struct client *c, const json_t *id, const char *what, json_t *value)
{
	static const char short_of_memory[] = "{\"version\":1,\"error\":{\"reason\":\"host\","
					      "\"sentence\":\"no memory for the reply\"}}";
	json_t *root = json_object();
	size_t len = 0;

	json_object_set_new(root, "version", json_integer(WIRE_VERSION));
	if (id)
		json_object_set(root, "id", (json_t *)(uintptr_t)id);
	if (!json_object_set_new(root, what, value))
		len = json_dumpb(root, c->out, sizeof(c->out) - 1,
				 JSON_COMPACT | JSON_REAL_PRECISION(12));
	json_decref(root);
	if (!len || len >= sizeof(c->out)) {
		len = sizeof(short_of_memory) - 1;
		memcpy(c->out, short_of_memory, len);
	}
	c->out[len] = '\n';
	c->out_at = 0;
	c->out_len = len + 1;
}

static void reply_error(struct client *c, const json_t *id, const char *reason,
			const char *sentence)
{
	reply(c, id, "error", json_pack("{s:s, s:s}", "reason", reason, "sentence", sentence));
}

/* --- requests --------------------------------------------------------------------------------- */

/* The first member that a request does not have, NULL when all are known. */
static const char *stranger(json_t *request)
{
	static const char *const known[] = {"method", "id", "version"};
	const char *key;
	json_t *value;
	unsigned i;

	json_object_foreach(request, key, value)
	{
		for (i = 0; i < ARRAY_LEN(known) && strcmp(known[i], key); i++)
			;
		if (i == ARRAY_LEN(known))
			return key;
	}
	return NULL;
}

static bool id_is_good(const json_t *id)
{
	return !id || json_is_integer(id) ||
	       (json_is_string(id) && json_string_length(id) <= WIRE_ID_MAX);
}

static void request_do(struct client *c, json_t *request)
{
	const struct server *s = c->server;
	const struct server_method *m = s->methods;
	const json_t *id = json_object_get(request, "id");
	const json_t *version = json_object_get(request, "version");
	const char *name = json_string_value(json_object_get(request, "method"));
	const char *other = stranger(request);
	char sentence[256];

	if (!id_is_good(id)) {
		reply_error(c, NULL, "bad-id", "an id is an integer or a text of up to 64 bytes");
	} else if (version && json_integer_value(version) != WIRE_VERSION) {
		snprintf(sentence, sizeof(sentence), "this machine speaks version %d",
			 WIRE_VERSION);
		reply_error(c, id, "unknown-version", sentence);
	} else if (other) {
		snprintf(sentence, sizeof(sentence),
			 "'%.40s' is not a member of a request; there are method, id and version",
			 other);
		reply_error(c, id, "unknown-member", sentence);
	} else if (!name) {
		reply_error(c, id, "no-method",
			    "a request names its method: {\"method\": \"stats\"}");
	} else {
		while (m->name && strcmp(m->name, name))
			m++;
		snprintf(sentence, sizeof(sentence), "there is no method '%.40s'", name);
		if (m->name)
			reply(c, id, "result", m->call(s->arg));
		else
			reply_error(c, id, "unknown-method", sentence);
	}
}

static void line_do(struct client *c, const char *line, size_t len)
{
	json_error_t why;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);
	char sentence[256];

	c->heard = ++c->server->heard;
	if (!request) {
		snprintf(sentence, sizeof(sentence), "the line is not JSON: %.160s", why.text);
		reply_error(c, NULL, "not-json", sentence);
	} else if (!json_is_object(request)) {
		reply_error(c, NULL, "not-an-object", "a request is one JSON object on one line");
	} else {
		request_do(c, request);
	}
	json_decref(request);
}

/* --- one client ------------------------------------------------------------------------------- */

static void client_drop(struct client *c)
{
	loop_remove(c->server->thread.loop, &c->src);
	close(c->src.fd);
	c->used = false;
}

/* False: it is gone. */
static bool client_send(struct client *c)
{
	while (c->out_at < c->out_len) {
		ssize_t put = write(c->src.fd, c->out + c->out_at, c->out_len - c->out_at);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return errno == EAGAIN;
		c->out_at += (size_t)put;
	}
	c->out_at = c->out_len = 0;
	return true;
}

/* Lines that are there, one by one, for as long as it takes the replies. False: it is gone. */
static bool client_serve(struct client *c)
{
	char *end;

	for (;;) {
		if (!client_send(c))
			return false;
		if (c->out_len)
			return true;
		end = memchr(c->in, '\n', c->in_len);
		if (end) {
			line_do(c, c->in, (size_t)(end - c->in));
			c->in_len -= (size_t)(end + 1 - c->in);
			memmove(c->in, end + 1, c->in_len);
		} else if (c->in_len == sizeof(c->in)) {
			reply_error(c, NULL, "too-long", "a request has at most 4096 bytes");
			c->in_len = 0;
			c->ending = true;
		} else {
			return !c->ending;
		}
	}
}

static bool client_read(struct client *c)
{
	ssize_t got = read(c->src.fd, c->in + c->in_len, sizeof(c->in) - c->in_len);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	c->in_len += (size_t)got;
	c->ending |= !got;
	return true;
}

static void client_ready(struct loop_fd *src, u32 revents)
{
	struct client *c = src->arg;
	bool stays = !(revents & (EPOLLERR | EPOLLHUP)) || revents & EPOLLIN;

	if (stays && revents & EPOLLIN && !c->out_len && !c->ending)
		stays = client_read(c);
	if (stays)
		stays = client_serve(c);
	/* not read from while it does not read */
	if (!stays ||
	    loop_modify(c->server->thread.loop, src, c->out_len ? (u32)EPOLLOUT : (u32)EPOLLIN))
		client_drop(c);
}

/* --- all of them ------------------------------------------------------------------------------ */

/* A place for one more: a free one, or that of whoever has been silent longest. */
static struct client *client_place(struct server *s)
{
	struct client *oldest = NULL;

	for (unsigned i = 0; i < SERVER_CLIENTS; i++) {
		struct client *c = s->client[i];

		if (!c)
			return s->client[i] = calloc(1, sizeof(*c));
		if (!c->used)
			return c;
		if (!oldest || c->heard < oldest->heard)
			oldest = c;
	}
	client_drop(oldest);
	return oldest;
}

static void client_welcome(struct server *s, int fd)
{
	struct client *c = client_place(s);

	if (!c) {
		close(fd);
		return;
	}
	c->server = s;
	c->src = (struct loop_fd){.fd = fd, .events = EPOLLIN, .ready = client_ready, .arg = c};
	c->in_len = c->out_at = c->out_len = 0;
	c->ending = false;
	c->heard = ++s->heard;
	c->used = !loop_add(s->thread.loop, &c->src);
	if (!c->used)
		close(fd);
}

static void listener_ready(struct loop_fd *src, u32 revents unused_arg)
{
	struct server *s = src->arg;
	int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0) {
		client_welcome(s, fd);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		loop_remove(s->thread.loop, src); /* it would call again at once */
		loop_timer_arm(&s->again, host_now_ns() + ACCEPT_PAUSE_NS);
	}
}

static void listener_again(struct loop_timer *timer)
{
	struct server *s = timer->arg;

	if (loop_add(s->thread.loop, &s->listener))
		loop_timer_arm(&s->again, host_now_ns() + ACCEPT_PAUSE_NS);
}

/* --- open, start, stop, close ----------------------------------------------------------------- */

/* By a process of the same number, in another container. */
static bool is_served(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool served;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	served = fd >= 0 && !connect(fd, (const struct sockaddr *)&addr, sizeof(addr));
	if (fd >= 0)
		close(fd);
	return served;
}

/* Listens under another name first: who finds the socket by its own finds it listening. */
static int listen_at(int fd, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	mode_t mask;
	int err;

	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s.new", path) >=
	    (int)sizeof(addr.sun_path))
		return FAIL(-ENAMETOOLONG, "'%s' is too long a name for a socket", path);
	if (is_served(path))
		return FAIL(-EADDRINUSE, "another process listens at '%s'", path);
	unlink(addr.sun_path); /* a process of this number that was killed in here */
	mask = umask(0177);
	err = bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
	umask(mask);
	if (!err && (listen(fd, SERVER_CLIENTS) || rename(addr.sun_path, path))) {
		err = -errno;
		unlink(addr.sun_path);
	}
	return err ? FAIL(err, "cannot listen at '%s': %s", path, strerror(-err)) : 0;
}

int server_open(const char *path, struct server **out)
{
	struct server *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return FAIL(-ENOMEM, "out of memory");
	json_object_seed(0); /* reads a file the first time */
	s->listener = (struct loop_fd){.events = EPOLLIN, .ready = listener_ready, .arg = s};
	s->listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listener.fd < 0)
		err = FAIL(-errno, "socket: %s", strerror(errno));
	else
		err = listen_at(s->listener.fd, path);
	if (err)
		server_close(s);
	else
		*out = s;
	return err;
}

static void server_listen(void *arg)
{
	struct server *s = arg;

	if (loop_add(s->thread.loop, &s->listener))
		loop_timer_arm(&s->again, host_now_ns() + ACCEPT_PAUSE_NS);
}

int server_start(struct server *s, const struct server_method *methods, void *arg)
{
	int err = loop_thread_open(&s->thread, "holm-api");

	if (err)
		return err;
	s->methods = methods;
	s->arg = arg;
	loop_timer_init(s->thread.loop, &s->again, listener_again, s);
	loop_sync(s->thread.loop, server_listen, s);
	return 0;
}

/* On the server's thread. */
static void server_hang_up(void *arg)
{
	struct server *s = arg;

	loop_timer_cancel(&s->again);
	loop_remove(s->thread.loop, &s->listener);
	for (unsigned i = 0; i < SERVER_CLIENTS; i++)
		if (s->client[i] && s->client[i]->used)
			client_drop(s->client[i]);
}

void server_stop(struct server *s)
{
	if (!s->thread.running)
		return;
	loop_sync(s->thread.loop, server_hang_up, s);
	loop_thread_close(&s->thread);
}

void server_close(struct server *s)
{
	if (!s)
		return;
	server_stop(s);
	if (s->listener.fd >= 0)
		close(s->listener.fd);
	for (unsigned i = 0; i < SERVER_CLIENTS; i++)
		free(s->client[i]);
	free(s);
}
