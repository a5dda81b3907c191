/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server: a Unix socket that answers the lines of wire.h, on a thread of its own.
 *
 * Nobody is waited for: a client that does not read is not read from either, and one that says
 * nothing is the first to go when there are too many. Requests and replies are bounded in size.
 *
 * Context: open, start, stop, close: the owner's thread; methods are called on the server's own.
 */
#ifndef API_SERVER_H
#define API_SERVER_H

#include <jansson.h>

#include "lib/types.h"

struct server;

#define SERVER_CLIENTS 16u

/* Answers with the result, or NULL where memory is short. */
struct server_method {
	const char *name;
	json_t *(*call)(void *arg);
};

/* Listens at path (mode 0600), in place of a dead socket. Nobody is answered before server_start. 0
 * or -errno with a sentence. Needs paths: before the jail. */
int server_open(const char *path, struct server **out);
/* methods: ends with a NULL name, lives until server_stop. Makes the thread. */
int server_start(struct server *server, const struct server_method *methods, void *arg);
/* No method runs after this. */
void server_stop(struct server *server);
void server_close(struct server *server); /* NULL is fine; the socket's file stays */

#endif
