/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client: looks for sockets, asks, waits, takes the replies apart.
 *
 * Entered by: prog's `holm stats`. Owns its connections. Trusts a machine's process with nothing
 * but the time and memory given here: its guest may have taken it over.
 */
#include "api/client.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/rundir.h"
#include "api/wire.h"
#include "host/fail.h"
#include "host/loop.h"

#define PEERS_MAX 1024u
#define LINE_MAX  (2 * WIRE_REPLY_MAX)

/* --- finding ---------------------------------------------------------------------------------- */

/* PID of "PID.sock", 0 for another name. */
static u32 name_pid(const char *name)
{
	char *end;
	unsigned long pid = *name >= '1' && *name <= '9' ? strtoul(name, &end, 10) : 0;

	return pid && pid < 1ul << 31 && !strcmp(end, ".sock") ? (u32)pid : 0;
}

/* A connected descriptor, or -errno. Nobody listens: the machine is dead, its socket goes. */
static int socket_connect(const char *folder, const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, err;

	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", folder, name) >=
	    (int)sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	err = -errno;
	close(fd);
	if (err == -ECONNREFUSED)
		unlink(addr.sun_path);
	return err;
}

static int peer_add(struct peers *peers, const char *folder, const char *name)
{
	u32 pid = name_pid(name);
	struct peer *peer = &peers->peer[peers->count];
	int fd;

	if (!pid || peers->count == PEERS_MAX)
		return 0;
	fd = socket_connect(folder, name);
	if (fd == -ECONNREFUSED || fd == -ENOENT) /* dead, or just ending */
		return 0;
	memset(peer, 0, sizeof(*peer));
	peer->pid = pid;
	peer->fd = fd;
	if (fd < 0)
		snprintf(peer->why, sizeof(peer->why), "does not answer: %s", strerror(-fd));
	peer->line = malloc(LINE_MAX);
	peers->count++;
	return peer->line ? 0 : FAIL(-ENOMEM, "out of memory");
}

static int peer_order(const void *a, const void *b)
{
	const struct peer *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

int peers_open(struct peers *peers)
{
	char folder[RUNDIR_MAX];
	struct dirent *entry;
	DIR *dir;
	int err = rundir_find(folder);

	memset(peers, 0, sizeof(*peers));
	if (err)
		return err == -ENOENT ? 0 : err;
	peers->peer = calloc(PEERS_MAX, sizeof(*peers->peer));
	if (!peers->peer)
		return FAIL(-ENOMEM, "out of memory");
	dir = opendir(folder);
	if (!dir)
		return FAIL(-errno, "'%s': %s", folder, strerror(errno));
	while (!err && (entry = readdir(dir)))
		err = peer_add(peers, folder, entry->d_name);
	closedir(dir);
	qsort(peers->peer, peers->count, sizeof(*peers->peer), peer_order);
	return err;
}

static void peer_close(struct peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	free(peer->line);
	json_decref(peer->result);
}

void peers_close(struct peers *peers)
{
	for (size_t i = 0; i < peers->count; i++)
		peer_close(&peers->peer[i]);
	free(peers->peer);
	memset(peers, 0, sizeof(*peers));
}

void peers_forget(struct peers *peers, size_t index)
{
	peer_close(&peers->peer[index]);
	peers->count--;
	memmove(&peers->peer[index], &peers->peer[index + 1],
		(peers->count - index) * sizeof(peers->peer[0]));
}

/* --- asking ----------------------------------------------------------------------------------- */

static void peer_fail(struct peer *peer, const char *why)
{
	snprintf(peer->why, sizeof(peer->why), "%s", why);
	peer->asked = false;
}

static void peer_ask(struct peer *peer, const char *request, size_t len)
{
	json_decref(peer->result);
	peer->result = NULL;
	if (peer->fd < 0)
		return;
	peer->len = 0;
	peer->why[0] = '\0';
	/* the socket's buffer is empty: a short line goes whole, or the other end is gone */
	peer->asked = send(peer->fd, request, len, MSG_NOSIGNAL) == (ssize_t)len;
	if (!peer->asked)
		peer_fail(peer, "has ended");
}

static void peer_answer(struct peer *peer, size_t len)
{
	json_t *root = json_loadb(peer->line, len, 0, NULL);
	json_t *error = json_object_get(root, "error");
	const char *sentence = json_string_value(json_object_get(error, "sentence"));

	peer->asked = false;
	peer->result = json_incref(json_object_get(root, "result"));
	if (json_integer_value(json_object_get(root, "version")) != WIRE_VERSION)
		peer_fail(peer, "speaks another version of the API");
	else if (!peer->result)
		peer_fail(peer, sentence ? sentence : "gives no answer that is one");
	if (peer->why[0]) {
		json_decref(peer->result);
		peer->result = NULL;
	}
	json_decref(root);
}

static void peer_read(struct peer *peer)
{
	ssize_t got = read(peer->fd, peer->line + peer->len, LINE_MAX - peer->len);
	char *end;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		peer_fail(peer, "has ended");
		return;
	}
	peer->len += (size_t)got;
	end = memchr(peer->line, '\n', peer->len);
	if (end)
		peer_answer(peer, (size_t)(end - peer->line));
	else if (peer->len == LINE_MAX)
		peer_fail(peer, "gives an answer that is too long");
}

/* How many are still to answer; `poll_fd` watches those. */
static size_t peers_watch(struct peers *peers, struct pollfd *poll_fd)
{
	size_t waiting = 0;

	for (size_t i = 0; i < peers->count; i++) {
		poll_fd[i] = (struct pollfd){.fd = -1, .events = POLLIN};
		if (!peers->peer[i].asked)
			continue;
		poll_fd[i].fd = peers->peer[i].fd;
		waiting++;
	}
	return waiting;
}

void peers_ask(struct peers *peers, const char *method, unsigned timeout_ms)
{
	struct pollfd *poll_fd = calloc(peers->count + 1, sizeof(*poll_fd));
	u64 end = host_now_ns() + timeout_ms * 1000000ull, now;
	char request[128];
	int len = snprintf(request, sizeof(request), "{\"version\":%d,\"method\":\"%s\"}\n",
			   WIRE_VERSION, method);

	for (size_t i = 0; i < peers->count; i++)
		peer_ask(&peers->peer[i], request, (size_t)len);
	while (poll_fd && peers_watch(peers, poll_fd) && (now = host_now_ns()) < end) {
		if (poll(poll_fd, peers->count, (int)((end - now) / 1000000ull) + 1) <= 0)
			continue;
		for (size_t i = 0; i < peers->count; i++)
			if (poll_fd[i].revents)
				peer_read(&peers->peer[i]);
	}
	for (size_t i = 0; i < peers->count; i++)
		if (peers->peer[i].asked) {
			/* its answer may still come, to a question that is over */
			close(peers->peer[i].fd);
			peers->peer[i].fd = -1;
			peer_fail(&peers->peer[i], "does not answer");
		}
	free(poll_fd);
}
