/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service: what a running machine answers on its socket in the user's runtime folder
 * (api/rundir.h).
 *
 * The socket is made with the other files, before the jail; where that cannot be the machine runs
 * without. It is removed at the end, after a crash too (janitor.h).
 *
 * Context: loop thread; answers are made on the server's own.
 */
#ifndef VM_SERVICE_H
#define VM_SERVICE_H

#include "api/server.h"
#include "vm/janitor.h"

struct vm;

struct service {
	struct server *server; /* NULL: none */
	struct janitor janitor;
};

/* Says at -v why there is none. One thread only, still. */
void service_open(struct service *service);
/* The machine's parts are there and stay until service_stop. 0 or -errno with a sentence. */
int service_start(struct service *service, struct vm *vm);
void service_stop(struct service *service);
void service_close(struct service *service);

#endif
