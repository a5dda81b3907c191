/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rundir: the folder in which this user's running machines are found, each by a socket PID.sock.
 *
 * $XDG_RUNTIME_DIR/holm where that folder is this user's; else /run/holm for root; else
 * /tmp/holm-UID. It must belong to the user and be open to nobody else.
 *
 * Context: one thread, not in the jail.
 */
#ifndef API_RUNDIR_H
#define API_RUNDIR_H

#include "lib/types.h"

#define RUNDIR_MAX 256u

/* The folder, made if need be. 0, or -errno with a sentence. */
int rundir_make(char out[RUNDIR_MAX]);
/* The folder; -ENOENT: there is none, so no machine either. Others with a sentence. */
int rundir_find(char out[RUNDIR_MAX]);

#endif
