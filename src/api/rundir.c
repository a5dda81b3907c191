/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rundir: see rundir.h. Entered by: vm (makes it), prog (looks into it). Owns nothing. Trusts no
 * folder in /tmp: whoever owns it could put sockets of his own there.
 */
#include "api/rundir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/fail.h"

static bool mine(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

static int rundir_name(char out[RUNDIR_MAX])
{
	const char *base = getenv("XDG_RUNTIME_DIR");
	int len;

	/* someone else's, kept by sudo: not where this user's machines are */
	if (base && base[0] == '/' && mine(base))
		len = snprintf(out, RUNDIR_MAX, "%s/holm", base);
	else if (!geteuid())
		len = snprintf(out, RUNDIR_MAX, "/run/holm");
	else
		len = snprintf(out, RUNDIR_MAX, "/tmp/holm-%u", (unsigned)geteuid());
	if (len >= (int)RUNDIR_MAX)
		return FAIL(-ENAMETOOLONG,
			    "XDG_RUNTIME_DIR is too long a name; name a shorter one");
	return 0;
}

int rundir_find(char out[RUNDIR_MAX])
{
	struct stat st;
	int err = rundir_name(out);

	if (err)
		return err;
	if (lstat(out, &st))
		return errno == ENOENT ? -ENOENT : FAIL(-errno, "'%s': %s", out, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return FAIL(-ENOTDIR, "'%s' is not a folder; remove it", out);
	if (st.st_uid != geteuid())
		return FAIL(-EPERM,
			    "'%s' belongs to another user; have it removed, or set "
			    "XDG_RUNTIME_DIR to a folder of your own",
			    out);
	if (st.st_mode & 077)
		return FAIL(-EPERM, "'%s' is open to other users; chmod 700 it", out);
	return 0;
}

int rundir_make(char out[RUNDIR_MAX])
{
	int err = rundir_find(out);

	if (err != -ENOENT)
		return err;
	if (mkdir(out, 0700) && errno != EEXIST)
		return FAIL(-errno, "cannot make the folder '%s': %s", out, strerror(errno));
	err = rundir_find(out);
	return err == -ENOENT ? FAIL(err, "'%s' was removed", out) : err;
}
