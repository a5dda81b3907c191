/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client: asks the running machines of this user, all at once and not for longer than told.
 *
 * Context: one thread, not in the jail.
 */
#ifndef API_CLIENT_H
#define API_CLIENT_H

#include <jansson.h>

#include "lib/types.h"

struct peer {
	u32 pid; /* of its process, by the socket's name */
	int fd;
	bool asked;
	size_t len;
	char *line;
	json_t *result; /* of the last question, or NULL */
	char why[128];	/* why there is none; "" */
};

struct peers {
	struct peer *peer; /* by pid */
	size_t count;
};

/* The machines whose sockets are in the user's folder, connected; sockets of dead processes are
 * removed. None: count is 0. 0 or -errno with a sentence. */
int peers_open(struct peers *peers);
void peers_close(struct peers *peers);
/* Takes one out. */
void peers_forget(struct peers *peers, size_t index);

/* Asks all of them for `method`, and waits timeout_ms at most: each has a result or a why then. */
void peers_ask(struct peers *peers, const char *method, unsigned timeout_ms);

#endif
