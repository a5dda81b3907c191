/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aio: chooses between io_uring and threads.
 *
 * Entered at open time by disk/. Owns nothing.
 */
#include "host/aio.h"

#include <string.h>

#include "host/fail.h"
#include "host/log.h"

int aio_open(const char *kind, struct loop *loop, unsigned depth, struct aio **out)
{
	bool any = !kind || !*kind;
	int rc;

	if (any || !strcmp(kind, aio_uring.name)) {
		rc = aio_uring.open(loop, depth, out);
		if (!rc || !any)
			return rc;
		log_line(LOG_INFO, "%s; using threads", fail_text());
		fail_clear();
	} else if (strcmp(kind, aio_pool.name)) {
		return FAIL(-EINVAL, "aio: \"%s\" is neither \"%s\" nor \"%s\"", kind,
			    aio_uring.name, aio_pool.name);
	}
	return aio_pool.open(loop, depth, out);
}

void aio_close(struct aio *aio)
{
	if (!aio)
		return;
	aio_drain(aio);
	aio->ops->close(aio);
}
