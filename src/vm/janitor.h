/* SPDX-License-Identifier: Apache-2.0 */
/*
 * janitor: a tiny child process that removes a socket of ours when the VM process is gone.
 *
 * The jailed VM process can reach no path, so it cannot remove the socket itself; and after a crash
 * or SIGKILL nobody else would. The child waits for the end of a pipe, removes that one socket if
 * it is still the same one, and ends.
 *
 * Context: janitor_start before any further thread exists.
 */
#ifndef VM_JANITOR_H
#define VM_JANITOR_H

#include "lib/types.h"

struct janitor {
	int hold; /* its end tells the child to work; -1: no child */
	int done; /* its end tells us that the child is through */
};

/* path: a socket that exists; what: it is the socket of, for messages. 0 or -errno. */
int janitor_start(struct janitor *janitor, const char *what, const char *path);
/* Lets the child work and waits for it. Allowed in the jail. */
void janitor_finish(struct janitor *janitor);

#endif
