/* SPDX-License-Identifier: Apache-2.0 */
/*
 * janitor: fork, wait for the pipe's end, unlink one socket.
 *
 * Entered by: console_open.c, service.c. The child owns two pipe ends and the socket's folder,
 * nothing else: no terminal, no guest memory, no signals.
 */
#include "vm/janitor.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/fail.h"

struct janitor_job {
	int dir;
	char name[256];
	struct stat socket;
};

static int job_open(struct janitor_job *job, const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[256] = ".";

	snprintf(job->name, sizeof(job->name), "%s", slash ? slash + 1 : path);
	if (slash)
		snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path),
			 path);
	job->dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (job->dir < 0)
		return -errno;
	if (fstatat(job->dir, job->name, &job->socket, AT_SYMLINK_NOFOLLOW)) {
		close(job->dir);
		return -errno;
	}
	return 0;
}

noreturn_fn static void janitor_child(const struct janitor_job *job, int hold, int done)
{
	struct stat now;
	sigset_t all;
	char byte;
	ssize_t got;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_NAME, "holm-janitor", 0, 0, 0);
	/* keep nothing of the VM's: a pipe behind stdout must see its end when the VM ends */
	for (int fd = 0; fd < 1024; fd++)
		if (fd != hold && fd != done && fd != job->dir)
			close(fd);
	do {
		got = read(hold, &byte, 1);
	} while (got > 0 || (got < 0 && errno == EINTR));
	if (!fstatat(job->dir, job->name, &now, AT_SYMLINK_NOFOLLOW) && S_ISSOCK(now.st_mode) &&
	    now.st_ino == job->socket.st_ino && now.st_dev == job->socket.st_dev)
		unlinkat(job->dir, job->name, 0);
	_exit(0);
}

int janitor_start(struct janitor *janitor, const char *what, const char *path)
{
	struct janitor_job job;
	int hold[2], done[2];
	pid_t child;
	int err;

	janitor->hold = janitor->done = -1;
	err = job_open(&job, path);
	if (err)
		return FAIL(err, "%s: '%.100s': %s", what, path, strerror(-err));
	if (pipe2(hold, O_CLOEXEC)) {
		err = FAIL(-errno, "pipe: %s", strerror(errno));
		goto fail_dir;
	}
	if (pipe2(done, O_CLOEXEC)) {
		err = FAIL(-errno, "pipe: %s", strerror(errno));
		goto fail_hold;
	}
	child = fork();
	if (child < 0) {
		err = FAIL(-errno,
			   "%s: no process to remove the socket at the end: %s (see ulimit "
			   "-u)",
			   what, strerror(errno));
		goto fail_done;
	}
	if (!child) {
		close(hold[1]);
		close(done[0]);
		janitor_child(&job, hold[0], done[1]);
	}
	close(hold[0]);
	close(done[1]);
	close(job.dir);
	janitor->hold = hold[1];
	janitor->done = done[0];
	return 0;

fail_done:
	close(done[0]);
	close(done[1]);
fail_hold:
	close(hold[0]);
	close(hold[1]);
fail_dir:
	close(job.dir);
	return err;
}

void janitor_finish(struct janitor *janitor)
{
	char byte;
	ssize_t got;

	if (janitor->hold < 0)
		return;
	close(janitor->hold);
	do {
		got = read(janitor->done, &byte, 1);
	} while (got < 0 && errno == EINTR);
	close(janitor->done);
	janitor->hold = janitor->done = -1;
}
